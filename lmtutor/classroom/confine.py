"""Take every privilege from the present process that student code does not need. Linux.

Three ways, the best one that the machine allows:

- *bubblewrap*, where `bwrap` is installed and works: no network, no other process in sight, and a root folder that
  holds only what is listed in `needed`, read-only, and the work folder;
- *namespaces* (root, or any user where user namespaces are on): the same by our own calls;
- *user*: root becomes an unprivileged user with a number of its own. Where the kernel has Landlock, it can open the
  same files as above and no others; where not, it can read what every user of the machine can, and write where all
  can. `roads` says which there are; without any, grading is refused.

In all, the kernel refuses the calls of `CALLS`: no socket, so no network and no service of others, no new process, no
namespace or mount, no memory beside the counted.
"""

import contextlib
import ctypes
import importlib.util
import itertools
import os
import platform
import resource
import shutil
import site
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

from lmtutor.classroom.workspace import work_folder
from lmtutor.system.files import CHECKOUT, PACKAGE

NEWNS, NEWUSER, NEWPID, NEWNET, NEWIPC = 0x00020000, 0x10000000, 0x20000000, 0x40000000, 0x08000000
REC, PRIVATE, BIND, NOSUID, NODEV, DETACH = 0x4000, 1 << 18, 0x1000, 2, 4, 2
RDONLY, AT_FDCWD, AT_RECURSIVE, MOUNT_SETATTR = 1, -100, 0x8000, 442
NO_NEW_PRIVS, PDEATHSIG, DUMPABLE, SECCOMP, FILTER = 38, 1, 4, 22, 2
FIRST_USER, USERS = 61_000, 4_000  # numbers that no distribution gives to people
SYSTEM = "/lib /lib64 /usr/lib /usr/lib64 /usr/share/zoneinfo /usr/share/fonts /etc/fonts /etc/ld.so.cache".split()
LIBRARIES = ("numpy", "pandas", "torch", "matplotlib", "IPython")  # what answers import, and what runs them
LONGEST = 1_000  # characters of the path of a student's file
GIVEN = "/given"  # where bubblewrap shows the student's files
DEVICES = "/dev/null /dev/zero /dev/random /dev/urandom".split()
# By machine: its name for the kernel, pivot_root, clone, and the numbers of the calls that are refused:
CALLS = {
    # socket, unshare, setns, mount, umount2, pivot_root, chroot, memfd_create, ptrace, shmget, mq_open, add_key,
    # keyctl, and on x86-64 fork and vfork, which elsewhere are forms of clone
    "x86_64": (0xC000003E, 155, 56, (41, 272, 308, 165, 166, 155, 161, 319, 101, 29, 240, 248, 250, 57, 58)),
    "aarch64": (0xC00000B7, 41, 220, (198, 97, 268, 40, 39, 41, 51, 279, 117, 194, 180, 217, 219)),
}
# open_tree, move_mount, fsopen, fsconfig, fsmount, io_uring_setup, mount_setattr, memfd_secret: alike everywhere
CALLS_EVERYWHERE = (428, 429, 430, 431, 432, 425, 442, 447)
LANDLOCK = (444, 445, 446)  # landlock_create_ruleset, landlock_add_rule, landlock_restrict_self; alike everywhere
EXECUTE, WRITE, READ, LIST, TRUNCATE = 1, 2, 4, 8, 1 << 14  # those of its rights that are named here
CLONE3, ANY_NAMESPACE, THREAD = 435, 0x7E020000, 0x00010000


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _call(function, *arguments) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def roads() -> list[str]:
    """The ways that this machine allows, the best first: each is tried, in a child process."""
    found: list[str] = []
    if not sys.platform.startswith("linux"):
        return found
    with work_folder() as folder:
        if shutil.which("bwrap"):
            done = subprocess.run([*bubblewrap(folder, 1), "-c", "pass"], capture_output=True, timeout=60)
            found += ["bubblewrap"] if done.returncode == 0 else []
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                enter_namespaces()
                enter_root(folder, os.getuid(), 1, 100)
                status = 0
            os._exit(status)
        found += ["namespaces"] if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 else []
    readable = os.getuid() == 0 and not any(closed_to_others(path) for path in libraries())
    return found + (["user"] if readable else [])


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


def module_folders() -> list[Path]:
    """Where installed modules lie: the site folders of Python, environment and user, and where LIBRARIES really are.

    What else stands on `sys.path`, such as a notebook's folder or a course of the teacher's, is none of a student's.
    """
    sites = [*map(sysconfig.get_path, ("purelib", "platlib")), *site.getsitepackages()]
    sites += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    found = [importlib.util.find_spec(name) for name in LIBRARIES]
    sites += [str(Path(spec.origin).parents[1]) for spec in found if spec and spec.origin]
    return [Path(path) for path in dict.fromkeys(sites) if Path(path).is_dir()]


def libraries() -> list[Path]:
    """The folders that a running Python reads: its own, those of modules, this package and its data."""
    own = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    prefixes = [Path(prefix) / "lib" for prefix in (sys.base_prefix, sys.prefix)]
    found = {path for path in [*own, *prefixes, *module_folders(), PACKAGE, CHECKOUT] if path.exists()}
    return sorted(found | {path.resolve() for path in found})


def needed() -> list[Path]:
    """All that a confined process sees, each once; what is a link is shown as one."""
    seen: list[Path] = []
    for path in [*libraries(), *map(Path, SYSTEM + DEVICES)]:
        if path.exists() and path not in seen and not any(o in path.parents for o in seen if not o.is_symlink()):
            seen.append(path)
    return seen


def bubblewrap(folder: Path, megabytes: int) -> list[str]:
    """The command that starts a Python in the same root and namespaces; it finds the files of `folder` in `GIVEN`."""
    python = Path(sys.executable).resolve()
    line = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--die-with-parent", "--new-session"]
    line += ["--cap-add", "CAP_SYS_ADMIN"]  # to limit the files of its disk; dropped before any student code runs
    for path in needed():
        kind = "--dev-bind" if str(path) in DEVICES else "--ro-bind"
        line += ["--symlink", os.readlink(path), str(path)] if path.is_symlink() else [kind, str(path), str(path)]
    line += ["--ro-bind", str(python), str(python), "--ro-bind", str(folder), GIVEN, "--proc", "/proc"]
    line += ["--size", str(megabytes * 2**20), "--tmpfs", str(folder), "--chdir", str(folder), str(python)]
    return line


def limit_files(folder: Path, megabytes: int, files: int) -> None:
    """In bubblewrap: let the disk at `folder` hold only so many files, where the machine leaves us the right to."""
    with contextlib.suppress(OSError):
        options = f"size={megabytes}m,nr_inodes={files},mode=700".encode()
        _call(_libc().mount, b"tmpfs", str(folder).encode(), b"tmpfs", NOSUID | NODEV, options)


def enter_root(folder: Path, user: int, megabytes: int, files: int) -> None:
    """Inside the namespaces: see nothing but the libraries, read-only, and a small disk in memory at `folder`.

    `folder` keeps the files that it has; they are copied onto the disk. First process of its namespace: /proc shows it
    alone.
    """
    packed = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    _disk(folder, "size=4m,mode=755")
    for path in needed():
        place = folder / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            place.symlink_to(path.readlink())
            continue
        place.mkdir() if path.is_dir() else place.touch()
        _call(_libc().mount, str(path).encode(), str(place).encode(), None, BIND | REC, None)
    work, processes = folder / folder.relative_to("/"), folder / "proc"
    work.mkdir(parents=True)
    processes.mkdir()
    _read_only(folder)
    _disk(work, f"size={megabytes}m,nr_inodes={files},mode=700")
    for name, content in packed.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    if os.getuid() == 0:
        own(work, user)
    with contextlib.suppress(OSError):  # some containers forbid it; then there is no /proc at all
        _call(_libc().mount, b"proc", str(processes).encode(), b"proc", NOSUID | NODEV, None)
    os.chdir(folder)
    _call(_libc().syscall, CALLS[platform.machine()][1], b".", b".")
    _call(_libc().umount2, b".", DETACH)  # the old root lay upon the new one
    os.chdir("/")


def landlock() -> int:
    """Which version of Landlock the kernel has, by which a process says what files it will open; 0 where none."""
    return max(_libc().syscall(LANDLOCK[0], None, 0, 1), 0) if sys.platform.startswith("linux") else 0


def open_only(folder: Path) -> None:
    """For `user`, with Landlock: open only what is `needed`, to read, and `folder`."""
    # Version 1 knows 13 rights. Version 2 adds the move between folders, which is refused unless it is granted;
    # version 3 truncate(2), which is allowed everywhere unless it is handled.
    every = (1 << 12 + min(landlock(), 3)) - 1
    libc, handled = _libc(), struct.pack("Q", every)
    rules = libc.syscall(LANDLOCK[0], handled, len(handled), 0)
    if rules < 0:
        raise OSError(ctypes.get_errno(), "Landlock takes no rules")
    for path in (*needed(), folder):
        rights = every if path == folder else EXECUTE | READ | LIST
        if not path.is_dir():
            rights = (READ | WRITE | TRUNCATE) & every if str(path) in DEVICES else EXECUTE | READ
        place = os.open(path, os.O_PATH)
        _call(libc.syscall, LANDLOCK[1], rules, 1, struct.pack("=Qi", rights, place), 0)
        os.close(place)
    _call(libc.syscall, LANDLOCK[2], rules, 0)


def holds(folder: Path, process: int, most: int, largest: int) -> tuple[int, int]:
    """How many files and folders lie in a folder, counted up to `most`, and how many bytes the students' own take.

    With the files that a process has open or mapped, since no folder need name them; a library that it reads takes
    nothing. What cannot be counted, such as a folder that is closed to us or too deep, is too many.

    Parameters
    ----------
    largest : bytes that a file may have: what is counted for one that is mapped and not named any more.
    """
    files, sizes, places = 0, {}, [str(folder), f"/proc/{process}/fd"]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for line in Path(f"/proc/{process}/maps").read_text(errors="replace").splitlines():
            _, _, _, device, number, *path = line.split(maxsplit=5)
            if path and path[0].startswith(str(folder)) and path[0].endswith(" (deleted)"):
                sizes[device, number] = largest
    while places and files <= most:
        try:
            with os.scandir(places.pop()) as found:
                for entry in itertools.islice(found, most + 1):
                    files += 1 if len(entry.path) < LONGEST else most + 1
                    with contextlib.suppress(FileNotFoundError):  # closed or removed meanwhile
                        seen = entry.stat(follow_symlinks=entry.path.startswith("/proc/"))
                        theirs = 0 <= seen.st_uid - FIRST_USER < USERS
                        sizes[seen.st_dev, seen.st_ino] = seen.st_blocks * 512 * theirs
                        places += [entry.path] if entry.is_dir(follow_symlinks=False) else []
        except (FileNotFoundError, ProcessLookupError):
            continue  # a folder that was removed, a process that ended
        except PermissionError:
            files += most + 1
    return files, sum(sizes.values())


def _read_only(where: Path) -> None:
    wanted = struct.pack("4Q", RDONLY, 0, 0, 0)  # set, clear, propagation, user namespace
    size = ctypes.c_size_t(len(wanted))
    _call(_libc().syscall, MOUNT_SETATTR, AT_FDCWD, str(where).encode(), AT_RECURSIVE, wanted, size)


def _disk(where: Path, options: str) -> None:
    _call(_libc().mount, b"tmpfs", str(where).encode(), b"tmpfs", NOSUID | NODEV, options.encode())


def closed_to_others(path: Path) -> Path | None:
    """The first folder on the way to a path that other users may not pass, such as root's home."""
    for place in reversed([path, *path.parents]):
        if not place.stat().st_mode & 0o001:
            return place
    return None


def own(folder: Path, user: int) -> None:
    """Give a folder and all that is in it to a user."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, user)


def forbid_calls() -> None:
    """Let the kernel refuse the calls of `CALLS`, for this process and whatever it starts."""
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    refuse, unknown, allow = 0x00050000 | 1, 0x00050000 | 38, 0x7FFF0000  # EPERM, ENOSYS
    machine, _, clone, numbers = CALLS[platform.machine()]
    code = [(load, 0, 0, 4), (equal, 1, 0, machine), (answer, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(at_least, 0, 1, 0x40000000), (answer, 0, 0, refuse)]  # numbers of another kind of program
    for number in (*numbers, *CALLS_EVERYWHERE):
        code += [(equal, 0, 1, number), (answer, 0, 0, refuse)]
    code += [(equal, 0, 1, CLONE3), (answer, 0, 0, unknown)]  # libraries then use clone, whose flags can be read:
    code += [(equal, 0, 4, clone), (load, 0, 0, 16), (any_bit, 1, 0, ANY_NAMESPACE), (any_bit, 1, 0, THREAD)]
    code += [(answer, 0, 0, refuse)]  # a namespace, or a process that is no thread
    code += [(answer, 0, 0, allow)]
    program = b"".join(struct.pack("HBBI", *line) for line in code)
    kept = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(kept)))
    _call(_libc().prctl, SECCOMP, FILTER, header, 0, 0)


def drop_privileges(user: int) -> None:
    """Become `user` for good (root), or lose every capability (others); never gain any by running a program."""
    libc = _libc()
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        _call(libc.prctl, DUMPABLE, 1, 0, 0, 0)  # so that a process that watches, as this user, sees its open files
    _call(libc.prctl, NO_NEW_PRIVS, 1, 0, 0, 0)
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    _call(libc.capset, header, nothing)
    end_with_parent()
    if platform.machine() in CALLS:
        forbid_calls()


def end_with_parent() -> None:
    """Let the kernel kill this process when the one that started it is gone."""
    _call(_libc().prctl, PDEATHSIG, 9, 0, 0, 0)


def memory_in_use() -> int:
    """The address space of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limit(in_use: int, megabytes: int, cpu_seconds: int, file_megabytes: int) -> None:
    """Set limits that cannot be raised again: memory beyond what is in use now, CPU time, file size; no new process."""
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
