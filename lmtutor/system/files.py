"""Where the files that travel with the package lie, and where it may leave its own.

In a checkout they are under `data/`, beside the package: the catalogue of corpora, the published figures, the
recorded runs and the small pretrained weights. A wheel carries them inside the package, as `_data/`.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmtutor.system.errors import LMTutorError

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent / "data"
INSIDE = PACKAGE / "_data"
ROOM = "free some disk space, or point LMTUTOR_CACHE at a folder with room"  # where a cache cannot be written
UNFINISHED = ".unfinished-"  # how temporary names begin; what a killed process left is known by it


def in_checkout() -> bool:
    """Return whether the package runs from a checkout, where recorded runs and weights lie beside it."""
    return (CHECKOUT / "catalogue.toml").is_file()


def find(name: str) -> Path | None:
    """Return the path of a file or folder such as `"runs/lstm-200"`, or None where it is not here."""
    return next((root / name for root in (CHECKOUT, INSIDE) if (root / name).exists()), None)


def path(name: str) -> Path:
    """Return the path of a file or folder such as `"published"`; `LMTutorError` where it is not here."""
    if found := find(name):
        return found
    raise LMTutorError(f"data/{name} is not here: install lmtutor again, or run from a checkout of the project.")


def refuse_what_is_no_file(path: Path, advice: str) -> None:
    """Raise `LMTutorError` for a folder, a device, or a pipe, which would be waited for; a missing file passes."""
    if path.exists() and not path.is_file():
        raise LMTutorError(f"{path} is not a plain file: {advice}.")


@contextlib.contextmanager
def reading(path: object, advice: str = "restore or remake it", *errors: type[Exception]) -> Iterator[None]:
    """Inside, content that is of no use (a ValueError, or one of `errors`) becomes one line: the reason, and advice."""
    try:
        yield
    except LMTutorError:
        raise
    except (ValueError, RecursionError, *errors) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise LMTutorError(f"{path} is damaged ({reason}): {advice}.") from None


@contextlib.contextmanager
def writing(what: object, advice: str) -> Iterator[None]:
    """Inside, a disk that is full, or a folder that does not take a file, becomes one line."""
    try:
        yield
    except OSError as error:
        raise LMTutorError(f"{what} cannot be written ({error.strerror or error}): {advice}.") from None


def read_table(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds a table.

    Raises
    ------
    FileNotFoundError : there is none; what that means, the caller knows.
    LMTutorError : it is damaged, or no plain file.
    """
    refuse_what_is_no_file(path, "restore or remake it")
    with reading(path):
        table = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(table, dict):
            raise ValueError("not a table")
        return table


def write_atomically(path: str | Path, data: bytes) -> None:
    """Replace a file by `data`, or leave it as it was: never a half-written one, also when the power fails.

    Raises
    ------
    LMTutorError : the disk is full, or does not take it for another reason; `path` is a device, a pipe or a folder.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    with writing(path, "what was there before is as it was; free some disk space or fix the folder's permissions"):
        refuse_what_is_no_file(path, "name another")
        _replace(path, data)


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{UNFINISHED}{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the file is whole and in its place, whether or not the folder can be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name itself
        finally:
            os.close(folder)


@contextlib.contextmanager
def unfinished(work: Path) -> Iterator[Path]:
    """Lend the folder `work`, empty at first and gone in the end; what a killed process left in it goes too."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def cache_folder() -> Path:
    """Return the user's folder for downloads and token ids: `$LMTUTOR_CACHE`, or the system's place for caches."""
    if os.environ.get("LMTUTOR_CACHE"):
        return Path(os.environ["LMTUTOR_CACHE"])
    from platformdirs import user_cache_path  # as pooch.os_cache does, without the 0.3 s that importing it takes

    return user_cache_path("lmtutor")


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
    try:
        with FileLock(path, timeout=0 if busy else -1):
            yield
    except Timeout:
        raise LMTutorError(busy) from None
