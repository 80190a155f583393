"""The process that runs student code. Started by `sandbox`, as `python -m lmtutor.classroom.worker`.

It imports the heavy libraries once. For each notebook it forks a supervisor, which enters the namespaces and forks the
one process that gives up all privileges and runs the cells it is sent. That process holds nothing worth stealing: one
socket, its own copy of the student's files, and the cell that it is asked to run.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

from lmtutor.classroom import confine
from lmtutor.classroom.cells import make_shell, run_cell


def serve(connection: socket.socket) -> None:
    """Run the cells that come, one line of JSON each, until the connection closes."""
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
    confine.end_with_parent()
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
        if job["isolation"] == "user":
            watch(child, job)
        os.waitpid(child, 0)
        return
    control.close()
    try:
        if job["isolation"] == "namespaces":
            confine.enter_root(folder, user, job["disk_megabytes"], job["disk_files"])
        os.setsid()
        give_up_privileges(job, in_use)
    except (OSError, ValueError) as error:  # setrlimit raises the latter
        os.write(tell, str(error).encode())
        os._exit(1)
    os.close(tell)  # not before: what fails above is no fault of the student's
    serve_alone(connection)


def watch(child: int, job: dict) -> None:
    """Where the student has no disk of its own: end the process when it has more files, or larger ones, than it may.

    As the student's user, who may look into the process, as root may not in every container. Ours remains root in
    name, so that the student cannot end it.
    """
    os.setegid(job["user"])
    os.seteuid(job["user"])
    folder, most, largest = Path(job["folder"]), job["disk_files"], job["file_megabytes"] * 2**20
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        files, size = confine.holds(folder, child, most, largest)
        if files > most or size > job["disk_megabytes"] * 2**20:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


def give_up_privileges(job: dict, in_use: int) -> None:
    """Work in the student's folder from now on, without what is left of the privileges."""
    folder = job["folder"]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(job["environment"], HOME=folder, LMTUTOR_CACHE=f"{folder}/.cache", TMPDIR=folder)
    confine.drop_privileges(job["user"])
    if job["isolation"] == "user" and confine.landlock():
        confine.open_only(Path(folder))
    confine.limit(in_use, job["megabytes"], job["cpu_seconds"], job["file_megabytes"])


def serve_alone(connection: socket.socket) -> None:
    """Close what else is open, and run cells."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, 1024)
    serve(connection)


def in_bubblewrap(connection: socket.socket) -> None:
    """Wait for the job, copy the student's files onto the small disk, and run cells."""
    job = json.loads(connection.makefile("r", buffering=1).readline())
    in_use, folder = confine.memory_in_use(), Path(job["folder"])
    confine.limit_files(folder, job["disk_megabytes"], job["disk_files"])
    shutil.copytree(confine.GIVEN, folder, dirs_exist_ok=True)
    give_up_privileges(job, in_use)
    connection.sendall(b'{"ready": true}\n')
    serve_alone(connection)


def main() -> None:
    """Import what assignments use, then fork for each job that arrives on the socket; in bubblewrap, do the one job."""
    door = socket.socket(fileno=int(sys.argv[1]))
    for name in (*confine.LIBRARIES, "IPython.core.interactiveshell", "lmtutor"):
        __import__(name)
    import matplotlib
    import torch

    matplotlib.use("agg")
    torch.set_num_threads(1)
    if sys.argv[2:]:
        return in_bubblewrap(door)
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
