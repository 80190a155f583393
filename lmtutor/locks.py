"""One process at a time: a lock that the system takes back when its holder ends, however it ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lmtutor.errors import LMTutorError


@contextlib.contextmanager
def alone(path: Path, busy: str = "") -> Iterator[None]:
    """Hold the lock file `path` inside the block; its folder is made if need be.

    Parameters
    ----------
    path : the lock file; it stays behind, empty, since removing it would let two processes hold two locks of one name.
    busy : the error if another process holds the lock. Empty: wait until it is free.

    Raises
    ------
    LMTutorError : the lock is held, and `busy` says so.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0 if busy else -1)
    try:
        lock.acquire()
    except Timeout:
        raise LMTutorError(busy) from None
    try:
        yield
    finally:
        lock.release()
