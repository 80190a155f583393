"""Getting the files of a corpus: from the first mirror that has the right ones.

A download ends as the right file or as one line of error, never as a wrong or half file: it is written in a folder of
its own, checked against the catalogue's checksum and only then moved to its place, with one process at a time.
"""

import contextlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import ROOM, alone, unfinished, writing
from lmtutor.text.catalogue import CatalogueFile, download_folder, local_file
from lmtutor.text.formats import BROKEN, NO_TEXT, first_match

TIMEOUT = (5, 60)  # seconds to wait for a connection, and for the next bytes


def is_offline() -> bool:
    """Return whether `LMTUTOR_OFFLINE` forbids any use of the network."""
    return os.environ.get("LMTUTOR_OFFLINE", "") not in ("", "0")


def fetch_files(name: str, files: dict[str, CatalogueFile], progress: bool = True) -> dict[str, Path]:
    """Return where files are, downloading those that are not here.

    Parameters
    ----------
    name
        What errors call them together; they belong in one folder.
    files
        What the catalogue says of each, by split.
    progress
        Show a bar.

    Raises
    ------
    LMTutorError
        If a file can be had from no mirror, or `LMTUTOR_OFFLINE` is set: the addresses that were tried, what went
        wrong with each, and the folder to put the file in by hand.
    """
    missing = [file for file in files.values() if not local_file(file)]
    if missing:
        folder = (download_folder() / missing[0].path).parent
        if is_offline():
            raise LMTutorError(
                f"{name} is not on this machine and LMTUTOR_OFFLINE is set: unset it to download from "
                f"{' or '.join(missing[0].mirrors)}; or {_by_hand(missing[0])}."
            )
        lock, space = alone(folder / ".lock"), unfinished(folder / "unfinished")
        with writing(f"{name} in {folder}", ROOM), lock, space as work:
            for file in missing:
                if not local_file(file):  # or another process has fetched it while this one waited
                    _download(name, file, work, progress)
    return {key: local_file(file) for key, file in files.items()}


def _by_hand(file: CatalogueFile) -> str:
    target = download_folder() / file.path
    return f"put the file at {target} by hand, or point LMTUTOR_DATA at a folder that holds {file.path}"


def _download(name: str, file: CatalogueFile, work: Path, progress: bool) -> None:
    """Put the right file in its place. An archive stays in the folder `work`, for the other files in it."""
    from requests import HTTPError, RequestException

    failures = []
    for mirror in file.mirrors:
        url, _, member = mirror.partition("#")
        got = work / PurePosixPath(url).name
        try:
            if not got.is_file():
                _retrieve(url, got, progress)
            found = _member(got, member, work) if member else got
            wrong = file.mismatch(found)
        except LMTutorError as error:
            wrong = str(error)
        except RequestException as error:  # it would say the rest in hundreds of words
            wrong = f"there is no connection to it, or it broke off: {type(error).__name__}"
            if isinstance(error, HTTPError):
                wrong = f"it answered {error.response.status_code} {error.response.reason}"
        if not wrong:
            os.replace(found, download_folder() / file.path)
            return
        got.unlink(missing_ok=True)
        failures.append(f"{mirror}: {wrong}")
    raise LMTutorError(f"{name}: no mirror gave {file.path} ({'; '.join(failures)}): {_by_hand(file)}.")


def _retrieve(url: str, path: Path, progress: bool) -> None:
    import pooch

    headers = {"User-Agent": "lmtutor (a tutorial on language models)"}  # some refuse Python's own
    download = pooch.HTTPDownloader(progressbar=progress, headers=headers, timeout=TIMEOUT)
    with path.open("wb") as file:
        download(url, file, None)


def _member(archive: Path, member: str, work: Path) -> Path:
    """Copy one file out of a zip or tar archive; nothing else of it ever touches the disk."""
    if not zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
        with archive.open("rb") as file:
            what = first_match(NO_TEXT, file.read(512)) or "something else, or half a file,"
        raise LMTutorError(f"it answered with {what} instead of an archive")
    target = work / "member"
    try:
        with contextlib.ExitStack() as stack:
            if zipfile.is_zipfile(archive):
                zipped = stack.enter_context(zipfile.ZipFile(archive))
                names, read = zipped.namelist(), zipped.open
            else:
                tarred = stack.enter_context(tarfile.open(archive))
                names, read = tarred.getnames(), tarred.extractfile
            name = next((name for name in names if PurePosixPath(name) == PurePosixPath(member)), None)
            source = name and read(name)
            if not source:
                raise LMTutorError(f"the archive holds no file {member}")
            with source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    except LMTutorError:
        raise
    except BROKEN as error:
        if getattr(error, "errno", None):  # it is the disk's; that of a broken bz2 has no number
            raise
        raise LMTutorError(f"the archive is broken ({error})") from None
    return target
