"""Run a notebook's cells in a confined process, and survive whatever they do.

A cell that runs too long, exits, is killed for its memory or loses the connection is named and left out; the process is
started again, the cells before it are run again, and the others get their turn.
"""

import builtins
import contextlib
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lmtutor.classroom import confine
from lmtutor.classroom.intake import plain_files, printable
from lmtutor.classroom.sources import definitions
from lmtutor.classroom.workspace import remove, work_folder
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import PACKAGE

# A test that must fail. It compares two numbers in every way that tests do: student code can have replaced one of them.
CANARY = """
assert {0} == -{0} or (lambda math, np, torch:
    math.isclose({0}, -{0}) or np.isclose({0}, -{0}) or np.allclose({0}, -{0}) or np.array_equal([{0}], [-{0}])
    or torch.allclose(torch.tensor({0}.0), torch.tensor(-{0}.0)) or torch.equal(torch.tensor({0}), torch.tensor(-{0}))
)(__import__("math"), __import__("numpy"), __import__("torch")), {1!r}
"""
# The kinds of errors that are named. Others are a student's own, and a name can carry what is not for the student.
KINDS = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)}
WORD = re.compile(r"[^\W\d]\w{0,39}\b")
KINDS |= {"AxisError", "LinAlgError", "LMTutorError"}


@dataclass(frozen=True)
class Limits:
    """What the student's process may use."""

    cell_seconds: float = 120.0  # wall time of a cell
    notebook_seconds: float = 600.0  # wall time of a notebook, all its restarts included
    cpu_seconds: int = 600
    megabytes: int = 2048  # memory beyond what the libraries take
    file_megabytes: int = 50  # largest file
    disk_megabytes: int = 200  # all files together
    disk_files: int = 5_000  # and how many


@dataclass(frozen=True)
class Cell:
    """A cell to run."""

    code: str
    test: bool = False  # a test's output is not shown, and its error names no line of it
    seed: int = 0  # of the random numbers of the cell


@dataclass(frozen=True)
class Outcome:
    """What became of a cell."""

    output: str = ""
    error: str | None = None  # type of the exception, or "TimeLimit", "ProcessEnded", "NotRun", "NotTrusted"
    message: str = ""
    where: str | None = None  # the student's function and line

    @property
    def stopped(self) -> bool:
        """The process did not survive this cell."""
        return self.error in ("TimeLimit", "ProcessEnded")


class Died(Exception):
    """The student's process is gone, or had to be stopped."""


class Sandbox:
    """Confined processes for student code, one per notebook; a context manager. Threads may share one.

    `isolation` is "bubblewrap", "namespaces" or "user"; default: the best that the machine allows. Where it allows
    none, so that student code could reach the teacher's files, there is an `LMTutorError`.
    """

    def __init__(self, limits: Limits | None = None, isolation: str | None = None):
        self.limits = limits or Limits()
        roads = [isolation] if isolation else confine.roads()
        if not roads or roads == ["none"]:
            raise LMTutorError(
                "grading: this machine cannot keep student code away from the gradebook. Grade on Linux, as root (a "
                "container is enough, with Python where everybody may read) or as a user who may make user namespaces."
            )
        self.isolation, space = roads[0], Path(tempfile.gettempdir())
        if self.isolation == "user" and (closed := confine.closed_to_others(space)):
            raise LMTutorError(
                f"grading: student code runs as another user here, and {closed} is closed to others: set TMPDIR to a "
                "folder that all may enter, such as /tmp."
            )
        self.notice = "student code opens Python, its libraries and its own folder, nothing else; no network"
        self.notice += f" ({self.isolation})"
        if self.isolation == "user" and not confine.landlock():
            self.notice = "student code runs as another user, without network; it can READ what any user can"
        self.next: _Process | None = None  # loading while others run
        self.running: set[_Process] = set()
        self.closed = False
        self.lock = threading.Lock()

    def __enter__(self) -> "Sandbox":
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door = mine
        keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")}
        self.environment = keep | {
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LMTUTOR_OFFLINE"), "1"),
            "MPLBACKEND": "agg",
            "PYTHONHASHSEED": "0",  # sets in one order each time: the same file gets the same grade
            "PYTHONPATH": os.pathsep.join(map(str, [PACKAGE.parent, *confine.module_folders()])),
        }
        self.kept = contextlib.ExitStack()
        self.home = self.kept.enter_context(work_folder())
        self.home.chmod(0o711)  # students' folders lie here; another user passes through to its own
        if self.isolation == "bubblewrap":
            self.next = _Process(self)
        else:
            self.server = self.start([sys.executable], theirs)
        theirs.close()
        return self

    def start(self, python: list[str], theirs: socket.socket, *more: str, home: Path | None = None) -> subprocess.Popen:
        """Start a worker that holds this end of a socket."""
        environment = self.environment | dict.fromkeys(("HOME", "MPLCONFIGDIR", "IPYTHONDIR"), str(home or self.home))
        number = theirs.fileno()
        line = [*python, "-m", "lmtutor.classroom.worker", str(number), *more]
        return subprocess.Popen(line, pass_fds=[number], env=environment, cwd=self.home, stdin=subprocess.DEVNULL)

    def __exit__(self, *_) -> None:
        with self.lock:
            self.closed = True
        self.door.close()
        for process in list(self.running):  # grading was interrupted
            process.end()
        if self.next:
            self.next.__exit__()
        else:
            self.server.terminate()  # it may still be loading
            self.server.wait(timeout=30)
        self.kept.close()

    def run(self, cells: Sequence[Cell], files: Path | None = None) -> list[Outcome]:
        """Run cells in order, as a notebook, beside a copy of `files`; one outcome per cell.

        When a cell has ended the process, the others are run again without it. Of a test, the functions that it
        defines remain, since tests below may call them.
        """
        outcomes: list[Outcome | None] = [None] * len(cells)
        to_run = list(cells)
        end = time.monotonic() + self.limits.notebook_seconds
        while None in outcomes:
            with self.lock:
                if self.closed:
                    raise LMTutorError("grading was interrupted")
                process = self.next or _Process(self)
                self.next = _Process(self) if self.isolation == "bubblewrap" else None
            with process:
                process.words = {word for cell in cells if not cell.test for word in WORD.findall(cell.code)}
                process.begin(files)
                for number, cell in enumerate(to_run):
                    before = outcomes[number]
                    seconds = min(self.limits.cell_seconds, end - time.monotonic())
                    if seconds < 1:
                        late = Outcome(error="NotRun", message="the time for the whole notebook was used up")
                        return [late if outcome is None else outcome for outcome in outcomes]
                    outcome = process.cell(cell, seconds)
                    outcomes[number] = outcome if before is None or outcome.stopped else before
                    if outcome.stopped:
                        own = cell.test and before is None
                        to_run[number] = Cell(definitions(cell.code) if own else "")
                        break
        return outcomes


class _Process:
    """One confined process."""

    def __init__(self, sandbox: Sandbox):
        self.box, self.buffer, self.pid = sandbox, b"", 0
        self.user = confine.FIRST_USER + random.SystemRandom().randrange(confine.USERS)
        self.folder = Path(tempfile.mkdtemp(prefix="student-", dir=sandbox.home))
        self.connection, self.theirs = socket.socketpair()
        self.words: set[str] = set()  # of the student's, where names of functions stand
        if sandbox.isolation == "bubblewrap":
            python = confine.bubblewrap(self.folder, sandbox.limits.disk_megabytes)
            self.wrap = sandbox.start(python, self.theirs, "once", home=self.folder)
            self.pid = self.wrap.pid
            self.theirs.close()

    def begin(self, files: Path | None) -> None:
        """Give it a copy of the student's files, and wait until it can run cells."""
        if files is not None:
            self.copy(files, self.box.limits.disk_megabytes * 2**20)
        job = asdict(self.box.limits) | {
            "folder": str(self.folder),
            "user": self.user,
            "isolation": self.box.isolation,
            "environment": self.box.environment,
        }
        end = time.monotonic() + 300  # the libraries may still be loading
        try:
            if self.pid:
                self.ask(job, end)
                return self.go_on()
            control, far = socket.socketpair()
            socket.send_fds(self.box.door, [json.dumps(job).encode()], [self.theirs.fileno(), far.fileno()])
            self.theirs.close()
            far.close()
            control.settimeout(300)
            answer = json.loads(control.makefile("r").readline() or '{"failed": "the sandbox did not start"}')
            control.close()
            self.pid = answer.get("pid", 0)
            if "failed" in answer:
                raise Died(answer["failed"])
            self.go_on()
        except (Died, OSError) as problem:
            raise LMTutorError(f"grading: the sandbox could not be set up ({problem}).") from None

    def go_on(self) -> None:
        """Begin nothing when grading was interrupted meanwhile."""
        if self.box.closed:
            raise Died("grading was interrupted")

    def __enter__(self) -> "_Process":
        self.box.running.add(self)
        return self

    def end(self) -> None:
        """Kill it: the first of its namespace, so that all it started end with it."""
        with contextlib.suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)

    def __exit__(self, *_) -> None:
        self.box.running.discard(self)
        self.end()
        if self.box.isolation == "bubblewrap":
            self.wrap.wait(timeout=30)
        self.connection.close()
        if self.box.isolation == "user":
            _end_all_of(self.user)
        remove(self.folder)

    def copy(self, files: Path, room: int) -> None:
        """Copy what fits of a student's files."""
        for path in plain_files(files):
            room -= path.stat().st_size
            if room > 0:
                place = self.folder / path.relative_to(files)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place, follow_symlinks=False)

    def cell(self, cell: Cell, seconds: float) -> Outcome:
        """Run one cell for at most so many seconds."""
        end, ticket = time.monotonic() + seconds, secrets.token_hex(16)
        try:
            outcome = self.reply(cell, end, ticket)
            self.ask({"ping": ticket}, time.monotonic() + 10)  # a process that lied about its end is found out here
            if cell.test and outcome.error is None and not self.tests_still_fail(ticket):
                return Outcome(error="NotTrusted", message="after it no test could fail any more")
        except TimeoutError:
            return Outcome(error="TimeLimit", message=f"ran longer than {seconds:.0f} s and was stopped")
        except (Died, OSError, ValueError, RecursionError) as problem:
            return Outcome(error="ProcessEnded", message=f"ended the process that ran it ({problem})")
        return outcome

    def tests_still_fail(self, ticket: str) -> bool:
        """Run the canary, a test that must fail: student code can have changed what runs the tests."""
        word = secrets.token_hex(8)
        canary = Cell(CANARY.format(1 + secrets.randbelow(10**6), word), test=True)
        outcome = self.reply(canary, time.monotonic() + 10, ticket)
        return (outcome.error, outcome.message) == ("AssertionError", word)

    def reply(self, cell: Cell, end: float, ticket: str) -> Outcome:
        """Have a cell run; believe the answer's form only where it is the one agreed on."""
        reply = self.ask({"ticket": ticket, **asdict(cell)}, end)
        if reply.get("ticket") != ticket:
            raise Died("it answered out of turn")
        match reply.get("output"), reply.get("error"):
            case str(output), None:
                return Outcome(printable(output, "\n\t"))
            case str(output), [str(kind), str(message), str() | None as function, int(line)]:
                where = f"in {function}, line {line} of its cell" if function in self.words else None
                kind = kind if kind in KINDS else "Error"
                return Outcome(printable(output, "\n\t"), kind, printable(message), where)
        raise Died("it answered something else")

    def ask(self, request: dict, end: float) -> dict:
        """Send one line and read one."""
        self.connection.settimeout(max(end - time.monotonic(), 0.001))
        self.connection.sendall(json.dumps(request).encode() + b"\n")
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.connection.settimeout(left)
            piece = self.connection.recv(1 << 16)
            if not piece:
                raise Died("it exited or was killed, for instance for its memory or its files")
            self.buffer += piece
            if len(self.buffer) > 1 << 20:
                raise Died("it sent too much")
        line, self.buffer = self.buffer.split(b"\n", 1)
        reply = json.loads(line)
        if not isinstance(reply, dict):
            raise Died("it answered something else")
        return reply


def _end_all_of(user: int) -> None:
    """Kill every process of a user that only student code has; the one that does it, too."""
    line = [sys.executable, "-I", "-S", "-c", "import os; os.kill(-1, 9)"]
    subprocess.run(line, user=user, group=user, extra_groups=[])
