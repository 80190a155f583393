"""Take every privilege from the present process that student code does not need. Linux.

Two ways, the better one that the machine allows:

- *namespaces* (root, or any user where user namespaces are on): no network, no other process in sight, every file
  system read-only but the work folder, and the folders named in `hide` empty;
- *user*: root becomes an unprivileged user with a number of its own. It can write nothing of others, but it has the
  network. `isolation` says which it will be; without either, grading is refused.
"""

import contextlib
import ctypes
import os
import resource
import shutil
import sys
from pathlib import Path

NEWNS, NEWUSER, NEWPID, NEWNET, NEWIPC = 0x00020000, 0x10000000, 0x20000000, 0x40000000, 0x08000000
REC, PRIVATE, BIND, MOVE, NOSUID, NODEV = 0x4000, 1 << 18, 0x1000, 0x2000, 2, 4
RDONLY, AT_FDCWD, AT_RECURSIVE, MOUNT_SETATTR = 1, -100, 0x8000, 442
NO_NEW_PRIVS, PDEATHSIG, DUMPABLE = 38, 1, 4
FIRST_USER, USERS = 61_000, 4_000  # numbers that no distribution gives to people


class MountAttributes(ctypes.Structure):
    """The argument of mount_setattr(2)."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _call(function, *arguments) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def isolation() -> str:
    """Say what this machine allows: "namespaces", "user" or "none". Tried in a child, so nothing changes here."""
    if not sys.platform.startswith("linux"):
        return "none"
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            enter_namespaces()
            _read_only("/")
            status = 0
        os._exit(status)
    works = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return "namespaces" if works else "user" if os.getuid() == 0 else "none"


def possible() -> bool:
    """Say whether student code can be confined here at all."""
    way = isolation()
    return way == "namespaces" or (way == "user" and not any(closed_to_others(path) for path in libraries()))


def enter_namespaces() -> None:
    """Leave the machine's mounts, network, processes (for children) and shared memory behind."""
    libc, uid, gid = _libc(), os.getuid(), os.getgid()
    flags = NEWNS | NEWPID | NEWNET | NEWIPC
    if uid != 0:
        _call(libc.unshare, NEWUSER | flags)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    else:
        _call(libc.unshare, flags)
    _call(libc.mount, b"none", b"/", None, REC | PRIVATE, None)


def _read_only(where: str) -> None:
    wanted = MountAttributes(set=RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    _call(_libc().syscall, MOUNT_SETATTR, AT_FDCWD, where.encode(), AT_RECURSIVE, ctypes.byref(wanted), size)


def _empty(where: Path, options: str) -> None:
    _call(_libc().mount, b"tmpfs", str(where).encode(), b"tmpfs", NOSUID | NODEV, options.encode())


def arrange_files(folder: Path, hide: list[Path], user: int, megabytes: int) -> None:
    """Inside the namespaces: everything read-only, `hide` empty, and a small disk in memory over `folder`.

    `folder` keeps the files that it has; they are copied onto the disk.
    """
    packed = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    _read_only("/")
    _empty(folder, f"size={megabytes}m,mode=700")
    if os.getuid() == 0:
        _open_the_way(folder / ".stage")
    for place in hide:
        if place.is_dir():
            _empty(place, "size=4k,mode=000")
    for name, content in packed.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if os.getuid() == 0:
        own(folder, user)


def libraries() -> list[Path]:
    """The folders that a running Python reads: itself, its environment, this package."""
    return [Path(p).resolve() for p in (sys.base_prefix, sys.prefix, Path(__file__).parents[2])]


def closed_to_others(path: Path) -> Path | None:
    """The first folder on the way to a path that other users may not pass, such as root's home."""
    for place in reversed([path, *path.parents]):
        if not place.stat().st_mode & 0o001:
            return place
    return None


def _open_the_way(stage: Path) -> None:
    """Let other users reach the libraries where they lie in a closed folder: the rest of it is empty in here."""
    libc, found = _libc(), {}
    for number, path in enumerate(libraries()):
        if closed_to_others(path):
            found[path] = stage / str(number)
            found[path].mkdir(parents=True)
            _call(libc.mount, str(path).encode(), str(found[path]).encode(), None, BIND | REC, None)
    for path, staged in found.items():
        if not path.exists() or closed_to_others(path):
            blocked = closed_to_others(path) if path.exists() else None
            if blocked:
                _empty(blocked, "size=64k,mode=755")
            path.mkdir(parents=True, exist_ok=True)
        _call(libc.mount, str(staged).encode(), str(path).encode(), None, MOVE, None)


def own(folder: Path, user: int) -> None:
    """Give a folder and all that is in it to a user."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, user)


def show_own_processes_only() -> None:
    """Mount a /proc of the new process namespace; where that is forbidden, the old one stays, read-only."""
    with contextlib.suppress(OSError):
        _call(_libc().mount, b"proc", b"/proc", b"proc", NOSUID | NODEV, None)


def drop_privileges(user: int) -> None:
    """Become `user` for good (root), or lose every capability (others); never gain any by running a program."""
    libc = _libc()
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _call(libc.prctl, NO_NEW_PRIVS, 1, 0, 0, 0)
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _call(libc.capset, header, nothing)
    _call(libc.prctl, PDEATHSIG, 9, 0, 0, 0)  # the supervisor gone: gone too


def limit(megabytes: int, cpu_seconds: int, file_megabytes: int) -> None:
    """Set limits that cannot be raised again: memory beyond what is in use now, CPU time, file size; no new process."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    wanted = {
        resource.RLIMIT_AS: in_use + megabytes * 2**20,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: file_megabytes * 2**20,
        resource.RLIMIT_NPROC: 1,
        resource.RLIMIT_NOFILE: 128,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
