"""The catalogue of corpora, and getting their files: found where they are, or downloaded and verified.

A download ends as the right file or as one line of error, never as a wrong or half file: it is written under another
name, checked against the catalogue's checksum and only then moved to its place, with one process at a time. One that
was interrupted continues where it stopped.
"""

import contextlib
import errno
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError, nearest
from lmtutor.text.prepare import PREPARATIONS, sherlock_stories
from lmtutor.text.sources import SPLITS, Rules, Span, are_strings, blocks, check, digest, is_count, or_none

TIMEOUT = (5, 60)  # seconds to wait for a connection, and for the next bytes
TRIES = 5  # of one download whose connection breaks again and again
OK, NO_SUCH_RANGE = 200, 416  # HTTP's words for: here is the file; there is nothing from that byte on
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
OUTSIDE = re.compile(r"[/\\]|.*:|(.*[/\\])?\.\.([/\\]|$)", re.DOTALL)  # how a path starts that may leave its folder
CHECKSUM = re.compile("sha256:[0-9a-f]{64}|sha1:[0-9a-f]{40}|")
FILE: Rules = (  # what a catalogue may say of a file
    (["path", "checksum", "stories"], "a string", lambda v: isinstance(v, str)),
    (["path"], "a relative path without '..'", lambda v: v.isprintable() and v.strip("./") and not OUTSIDE.match(v)),
    (["checksum", "stories"], "'sha256:' and 64 digits, or 'sha1:' and 40", CHECKSUM.fullmatch),
    (["mirrors"], "a list of addresses", are_strings),
    (["size"], "an integer, in bytes", or_none(is_count)),
)
ENTRY: Rules = (  # and of a corpus
    (["title", "licence", "source", "tokenizer"], "a string", lambda v: isinstance(v, str)),
    (["prepare"], f"one of {', '.join(PREPARATIONS)}", list(PREPARATIONS).__contains__),
    (["encoding"], "utf-8 or latin-1", ["utf-8", "latin-1"].__contains__),  # `sources.blocks` knows no other
    (["keep_specials"], "true or false", lambda v: isinstance(v, bool)),
    (["specials"], "a list of strings", or_none(are_strings)),
    (["tokens"], "a table of counts", or_none(lambda v: isinstance(v, dict) and all(map(is_count, v.values())))),
    (["types"], "an integer", or_none(is_count)),
)
A_FILE_FOR_EACH_SPLIT = ("as they are", "ptb characters")  # these preparations take; the others one, called "all"


@dataclass(frozen=True)
class CatalogueFile:
    """One file of a corpus: where it belongs, how to know it, and who has it."""

    path: str  # below LMTUTOR_DATA or the cache folder
    mirrors: Sequence[str]  # addresses; "archive#member" for a file inside a zip or tar archive
    checksum: str = ""  # "sha256:…" of the whole file
    stories: str = ""  # "sha256:…" of the twelve stories, for a file whose header changes
    size: int | None = None  # bytes

    def __post_init__(self):
        check(vars(self), FILE, f"the file {self.path!r}: ")
        if not (self.checksum or self.stories):
            raise LMTutorError(f"the file {self.path!r} has no checksum: give one.")

    def mismatch(self, path: Path) -> str:
        """Say what is wrong with a file; nothing where it is the right one."""
        try:
            if self.stories:
                text = "".join(story for _, story in sherlock_stories("".join(blocks([Span(path)]))))
                found, wanted = digest(text.encode()), self.stories.removeprefix("sha256:")
            else:
                algorithm, wanted = self.checksum.split(":")
                found = digest(path, algorithm)
        except LMTutorError as error:
            return str(error).removeprefix(f"{path} ")
        if found == wanted:
            return ""
        if _is_web_page(path):
            return "it is a web page"
        size = path.stat().st_size
        hint = f", {size:,} bytes instead of {self.size:,}" if self.size not in (None, size) else ""
        return f"its checksum is {found[:12]}… instead of {wanted[:12]}…{hint}"


@dataclass(frozen=True)
class Entry:
    """What the catalogue says of one corpus."""

    name: str
    title: str
    licence: str
    source: str
    tokenizer: str
    files: dict[str, CatalogueFile]
    prepare: str = "as they are"
    encoding: str = "utf-8"
    keep_specials: bool = True
    specials: Sequence[str] | None = None
    tokens: dict[str, int] | None = None
    types: int | None = None


@cache
def catalogue() -> dict[str, Entry]:
    """Read `data/catalogue.toml`: an `Entry` for each corpus, by name."""
    path, name, entries = data_files.path("catalogue.toml"), "TOML", {}
    try:
        tables: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))
        for name in tables:
            entries[name] = _entry(name, tables)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise LMTutorError(f"{path} is damaged ({name}: {str(error).rstrip('.')}): restore it.") from None
    return entries


def _entry(name: str, tables: dict[str, dict[str, Any]]) -> Entry:
    files = tables[tables[name].get("files_of", name)].get("files", {})
    facts = {key: value for key, value in tables[name].items() if key not in ("files", "files_of")}
    entry = Entry(name, **facts, files={key: CatalogueFile(**file) for key, file in files.items()})
    check(vars(entry), ENTRY)
    wanted = {*SPLITS} if entry.prepare in A_FILE_FOR_EACH_SPLIT else {"all"}
    if {*files} != wanted and name != "baker-street":  # which is drawn, not read
        raise LMTutorError(f"its files are {sorted(files)}: prepare={entry.prepare!r} takes {sorted(wanted)}.")
    return entry


def find_entry(name: str) -> Entry:
    """Return the entry of a corpus, or say which names there are."""
    if name not in catalogue():
        raise LMTutorError(f"{name!r} is neither a corpus of the catalogue nor a path.{nearest(name, catalogue())}")
    return catalogue()[name]


def local_file(file: CatalogueFile) -> Path | None:
    """Return where a file is on this machine: below `$LMTUTOR_DATA` first, then in the cache folder."""
    roots = [Path(os.environ["LMTUTOR_DATA"])] if os.environ.get("LMTUTOR_DATA") else []
    for root in [*roots, download_folder()]:
        if (root / file.path).is_file():
            return root / file.path
    return None


def download_folder() -> Path:
    """Return the folder that downloads go to, and where a file may be put by hand."""
    return data_files.cache_folder() / "corpora"


def is_offline() -> bool:
    """Return whether `LMTUTOR_OFFLINE` forbids any use of the network."""
    return os.environ.get("LMTUTOR_OFFLINE", "") not in ("", "0")


def fetch_files(entry: Entry, progress: bool = True) -> dict[str, Path]:
    """Return the files of a corpus, downloading those that are not here, with a progress bar unless told not to.

    Raises
    ------
    LMTutorError
        If a file can be had from no mirror, or `LMTUTOR_OFFLINE` is set: the addresses that were tried, what went
        wrong with each, and the folder to put the file in by hand.
    """
    missing = [file for file in entry.files.values() if not local_file(file)]
    for file in missing:
        _download(entry, file, progress)
    for file in missing:  # the archives that they came in are of no more use
        for mirror in file.mirrors:
            if "#" in mirror:
                _kept_archive(file, mirror).unlink(missing_ok=True)
    return {key: local_file(file) for key, file in entry.files.items()}


def _kept_archive(file: CatalogueFile, mirror: str) -> Path:
    return (download_folder() / file.path).parent / PurePosixPath(mirror.partition("#")[0]).name


def _download(entry: Entry, file: CatalogueFile, progress: bool) -> None:
    from filelock import FileLock

    target = download_folder() / file.path
    by_hand = f"put the file at {target} by hand, or point LMTUTOR_DATA at a folder that holds {file.path}"
    if is_offline():
        raise LMTutorError(
            f"{entry.name} is not on this machine and LMTUTOR_OFFLINE is set: unset it to download from "
            f"{' or '.join(file.mirrors)}; or {by_hand}."
        )
    failures = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / ".lock"):
            if target.is_file():  # another process fetched it while this one waited for the lock
                return
            for left_by_a_crash in target.parent.glob("extracting-*"):
                shutil.rmtree(left_by_a_crash)
            for mirror in file.mirrors:
                if not (failure := _from_mirror(mirror, file, target, progress)):
                    for other in file.mirrors:
                        _unfinished(file, other).unlink(missing_ok=True)
                    return
                failures.append(f"{mirror}: {failure}")
    except OSError as error:
        full = error.errno in DISK_FULL
        raise LMTutorError(
            f"{entry.name} cannot be written to {target.parent}: "
            f"{'the disk is full' if full else error.strerror or error}; point LMTUTOR_CACHE at a folder with room."
        ) from None
    raise LMTutorError(f"{entry.name}: no mirror gave {file.path} ({'; '.join(failures)}): {by_hand}.")


def _unfinished(file: CatalogueFile, mirror: str) -> Path:
    """Where what has come from a mirror waits for the rest: mirrors may differ, so each has its own."""
    url = mirror.partition("#")[0]
    name = f"unfinished-{digest(url.encode())[:8]}-{PurePosixPath(url).name}"
    return (download_folder() / file.path).parent / name


def _from_mirror(mirror: str, file: CatalogueFile, target: Path, progress: bool) -> str:
    """Try one mirror; return what went wrong, or nothing once the right file is in its place."""
    url, _, member = mirror.partition("#")
    kept, unfinished = _kept_archive(file, mirror), _unfinished(file, mirror)
    if member and kept.is_file() and not _accept(kept, kept, member, file, target):
        return ""
    resumed = unfinished.is_file()
    while True:
        failure = _retrieve(url, unfinished, progress) or _accept(unfinished, kept, member, file, target)
        if not (failure and resumed and not unfinished.exists()):
            return failure
        resumed = False  # what an earlier try had left does not fit what the mirror has now: once more, from the start


def _accept(got: Path, kept: Path, member: str, file: CatalogueFile, target: Path) -> str:
    """Move the right file to its place; delete a wrong one and return what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="extracting-", dir=target.parent) as work:
        try:
            found = _extract(got, member, Path(work)) if member else got
            wrong = file.mismatch(found)
        except _BadArchive as error:
            wrong = str(error)
        if wrong:
            got.unlink()
            return wrong
        if member:
            os.replace(got, kept)  # for the corpus's other files, which are wanted next
        os.replace(found, target)
    return ""


def _retrieve(url: str, unfinished: Path, progress: bool) -> str:
    """Download an address, continuing where an earlier try broke off; return what went wrong, or nothing.

    A connection that breaks is taken up again at once, so long as each try brings something new. What has come by
    then stays for the next call. A server that cannot start in the middle sends the whole file again.
    """
    import pooch

    try:
        release = version("lmtutor")
    except PackageNotFoundError:
        release = "checkout"
    headers = {
        "User-Agent": f"lmtutor/{release} (a tutorial on language models)",  # some refuse Python's own
        "Accept-Encoding": "identity",  # a byte range of a compressed response is not a byte range of the file
    }
    for _ in range(TRIES):
        had = unfinished.stat().st_size if unfinished.is_file() else 0
        if had:
            headers["Range"] = f"bytes={had}-"
        try:
            with unfinished.open("ab") as file:

                def begins(response, *, file=file, **_):
                    if response.status_code == OK:  # and not 206, partial content: it comes whole
                        file.truncate(0)

                hooks = {"response": begins}
                download = pooch.HTTPDownloader(progressbar=progress, headers=headers, timeout=TIMEOUT, hooks=hooks)
                download(url, file, None)
            return ""
        except OSError as error:  # requests' own errors are OSErrors too, but have no number
            failure = error
        status = getattr(getattr(failure, "response", None), "status_code", None)
        has = unfinished.stat().st_size
        if has == 0 or status == NO_SUCH_RANGE or failure.errno in DISK_FULL:
            unfinished.unlink()
        if failure.errno in DISK_FULL:
            raise failure
        if status or has <= had:
            break
    return _reason(failure)


def _reason(error: OSError) -> str:
    """Say in a few words why a download failed: requests say it in hundreds."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError):
        return f"it answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.Timeout):
        return f"no connection in {TIMEOUT[0]} seconds, or no answer in {TIMEOUT[1]}"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, exceptions.ConnectionError):
        return "there is no connection to it, or it broke off"
    return " ".join(str(error).split())


class _BadArchive(Exception):
    """An archive that is none, that lacks a file, or that would write outside its folder."""


def _extract(archive: Path, member: str, work: Path) -> Path:
    """Copy one file out of a zip or tar archive; nothing else of it ever touches the disk."""
    target = work / "extracted member"
    try:
        with _opened(archive) as (names, read):
            if unsafe := [name for name in names if OUTSIDE.match(name)]:
                raise _BadArchive(f"the archive is refused, {unsafe[0]!r} in it points outside its folder")
            source = next((read(name) for name in names if PurePosixPath(name) == PurePosixPath(member)), None)
            if source is None:
                raise _BadArchive(f"the archive holds no file {member}")
            with source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError) as error:
        of_the_disk = getattr(error, "errno", None)  # that of a broken bz2 has no number
        raise error if of_the_disk else _BadArchive(f"the archive is broken ({error})") from None
    return target


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[str], Callable[[str], BinaryIO | None]]]:
    """Open a zip or tar archive: the names in it, and a function that opens one of its files."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield opened.namelist(), opened.open
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened:
            yield opened.getnames(), opened.extractfile
    else:
        what = "a web page" if _is_web_page(archive) else "something else, or half a file,"
        raise _BadArchive(f"it answered with {what} instead of an archive")


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(512).lstrip().lower().startswith((b"<!doctype", b"<html"))
