"""Folders for work that is under way. What a grader that was killed has left behind, the next one removes.

The lock on a folder is the kernel's: it ends with the process that took it, however that ends.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

NEW, LOCKED = "lmtutor-new-", "lmtutor-work-"


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A folder of our own, gone at the end."""
    _remove_abandoned()
    new = tempfile.mkdtemp(prefix=NEW)
    lock, folder = _lock(new), Path(new.replace(NEW, LOCKED))
    os.rename(new, folder)  # it gets the name by which others are removed only when it is locked
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


def _lock(folder: str) -> int:
    """Lock a folder that is no link; `OSError` where its process lives."""
    import fcntl  # which Windows lacks

    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(place)
        raise
    return place


def _remove_abandoned() -> None:
    """Remove what is ours, has the name, and is locked by no process."""
    for folder in Path(tempfile.gettempdir()).glob(f"{LOCKED}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid():
                lock = _lock(str(folder))
                remove(folder)
                os.close(lock)


def remove(folder: Path) -> None:
    """Remove a folder of any depth, which shutil cannot."""
    subprocess.run(["rm", "-rf", "--", folder])
