"""Which promises about student code this machine keeps: each is tried, from inside the confined process."""

import socket

import pandas as pd

from lmtutor.classroom.confine import roads
from lmtutor.classroom.sandbox import Cell, Limits, Sandbox
from lmtutor.classroom.workspace import work_folder
from lmtutor.system.errors import one_of

WAIT = "\nimport time; time.sleep(5)"  # where files are not limited by the kernel, but watched
# What must fail, and how it is tried. OPEN, CLOSED and FREE are files planted for it, PORT and SOCKET listen.
PROMISES = {
    "cannot read files that are yours alone": "open(CLOSED).read()",
    "cannot read files that every user may read": "open(OPEN).read()",
    "cannot write outside its folder": "import os\ntry: open(OPEN + '.new', 'w')\nexcept OSError: os.truncate(FREE, 0)",
    "has no network": "import socket; socket.create_connection(('127.0.0.1', PORT), 2)",
    "cannot speak to services through socket files": "import socket; socket.socket(socket.AF_UNIX).connect(SOCKET)",
    "cannot speak to the host of a virtual machine": "import socket; socket.socket(40, socket.SOCK_STREAM)",
    "cannot use more memory than the limit": "bytearray(600 * 2**20)",
    "cannot hide memory in a file of its own": "import os; os.memfd_create('x')",
    "cannot start another process": "import os; os.fork()",
    "cannot write a file larger than the limit": "open('x', 'wb').write(bytes(6 * 2**20))",
    "cannot fill the disk": "for n in range(9): open(str(n), 'wb').write(bytes(4 * 2**20))" + WAIT,
    "cannot fill the disk with files that it has removed": "import mmap, os\nkept = []\nfor n in range(9):\n"
    "    file = open('x', 'w+b')\n    file.write(bytes(4 * 2**20))\n    file.flush()\n"
    "    kept.append(mmap.mmap(file.fileno(), 4096))\n    file.close()\n    os.remove('x')" + WAIT,
    "cannot make files without number": "for n in range(6_000): open(str(n), 'w').close()" + WAIT,
    "cannot run for ever": "while True: pass",
}
TIDY = "import os\nfor name in os.listdir('.'): os.path.isfile(name) and os.remove(name)"


def examine(isolation: str | None = None) -> tuple[str, pd.DataFrame]:
    """Try every promise, on the road that grading would take or on the one named; return it and a table, yes or NO."""
    if isolation is not None:
        one_of("road of this machine", isolation, roads())
    limits = Limits(cell_seconds=20, megabytes=400, file_megabytes=5, disk_megabytes=20)
    with (
        work_folder() as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as service,
        Sandbox(limits, isolation) as box,
    ):
        folder.chmod(0o755)
        service.bind(str(folder / "service"))
        service.listen()
        (folder / "service").chmod(0o777)
        for file, mode in (("open", 0o644), ("closed", 0o600), ("free", 0o666)):
            (folder / file).write_text("planted")
            (folder / file).chmod(mode)
        planted = (
            f"OPEN, CLOSED, FREE, SOCKET = ({str(folder)!r} + '/' + x for x in ('open', 'closed', 'free', 'service'))\n"
        )
        planted += f"PORT = {server.getsockname()[1]}"
        cells = [Cell(code) for promise in PROMISES.values() for code in (f"{planted}\n{promise}", TIDY)]
        tried = [outcome.error is not None for outcome in box.run(cells)[::2]]
    rows = [(f"student code {what}", "yes" if kept else "NO") for what, kept in zip(PROMISES, tried, strict=True)]
    return box.isolation, pd.DataFrame(rows, columns=["promise", "kept"])
