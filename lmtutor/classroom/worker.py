"""The process that runs student code. Started by `sandbox`, as `python -m lmtutor.classroom.worker`.

It imports the heavy libraries once. For each notebook it forks a supervisor, which enters the namespaces and forks the
one process that gives up all privileges and runs the cells it is sent. That process holds nothing worth stealing: one
socket, its own copy of the student's files, and the cell that it is asked to run.
"""

import contextlib
import io
import json
import os
import random
import signal
import socket
import sys
import traceback
from pathlib import Path

from lmtutor.classroom import confine

KEPT_OUTPUT = 20_000  # characters kept of what a cell prints
KEPT_MESSAGE = 1_000  # and of an error's message


class Capped(io.StringIO):
    """Keeps the first characters written, and swallows the rest."""

    def write(self, text: str) -> int:
        """Keep what still fits."""
        room = KEPT_OUTPUT - self.tell()
        if room > 0:
            super().write(text[:room])
        return len(text)


def make_shell():
    """Make an IPython without history, threads or a terminal: magics and display work, nothing is written."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.xmode = "Plain"
    return InteractiveShell.instance(config=config)


def run_cell(shell, code: str, is_test: bool, seed: int) -> dict:
    """Run one cell; say what it printed, and what was raised and where."""
    import numpy as np
    import torch

    for draw in (random.seed, np.random.seed, torch.manual_seed):
        draw(seed)
    out = Capped()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        shell.showtraceback = shell.showsyntaxerror = lambda *a, **k: None
        shell.showindentationerror = lambda *a, **k: None
        result = shell.run_cell(code, store_history=False)
    error = result.error_before_exec or result.error_in_exec
    return {"output": "" if is_test else out.getvalue(), "error": error and name_error(error, is_test)}


def name_error(error: BaseException, is_test: bool) -> list:
    """Type, message, and the function and line of the student's that raised it: None, 0 where that was the test."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "ipython-input" in f.filename]
    theirs = [f for f in frames if not is_test or f.filename != frames[0].filename]
    where = [theirs[-1].name, theirs[-1].lineno] if theirs else [None, 0]
    return [type(error).__name__, str(error)[:KEPT_MESSAGE], *where]


def serve(connection: socket.socket) -> None:
    """Run the cells that come, one JSON a line, until the connection closes."""
    shell, me = make_shell(), os.getpid()
    for line in connection.makefile("r", encoding="utf-8"):
        request = json.loads(line)
        if "ping" in request:
            reply = {"pong": request["ping"]}
        else:
            reply = {"ticket": request["ticket"], **run_cell(shell, request["code"], request["test"], request["seed"])}
        if os.getpid() != me:
            os._exit(1)  # a fork of the student's that came back here
        connection.sendall(json.dumps(reply).encode() + b"\n")


def supervise(connection: socket.socket, control: socket.socket, job: dict) -> None:
    """Enter the namespaces, fork the process that runs the cells, tell its number, and wait for its end."""
    folder, user, in_use = Path(job["folder"]), job["user"], confine.memory_in_use()
    if job["isolation"] == "namespaces":
        confine.enter_namespaces()
    else:
        confine.own(folder, user)
    ready, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        problem = os.read(ready, 500).decode()
        control.sendall(json.dumps({"failed": problem} if problem else {"pid": child}).encode() + b"\n")
        control.close()
        connection.close()
        os.waitpid(child, 0)
        return
    control.close()
    if job["isolation"] == "namespaces":
        try:
            confine.enter_root(folder, user, job["disk_megabytes"], job["disk_files"])
        except OSError as error:
            os.write(tell, str(error).encode())
            os._exit(1)
    os.close(tell)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(job["environment"], HOME=str(folder), LMTUTOR_CACHE=f"{folder}/.cache", TMPDIR=str(folder))
    confine.drop_privileges(user)
    confine.limit(in_use, job["megabytes"], job["cpu_seconds"], job["file_megabytes"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, 1024)
    serve(connection)


def main() -> None:
    """Import what assignments use, then fork for each job that arrives on the socket given as argument."""
    door = socket.socket(fileno=int(sys.argv[1]))
    for name in ("numpy", "pandas", "torch", "matplotlib", "IPython.core.interactiveshell", "lmtutor"):
        __import__(name)
    import matplotlib
    import torch

    matplotlib.use("agg")
    torch.set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are not waited for
    while True:
        message, numbers, _, _ = socket.recv_fds(door, 1 << 20, 2)
        if not message:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            door.close()
            connection, control = (socket.socket(fileno=n) for n in numbers)
            status = 1
            with contextlib.suppress(BaseException):
                try:
                    supervise(connection, control, json.loads(message))
                    status = 0
                except BaseException as error:  # this child ends here: what went wrong is told to the grader
                    control.sendall(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
            os._exit(status)
        for number in numbers:
            os.close(number)


if __name__ == "__main__":
    main()
