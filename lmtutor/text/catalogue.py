"""The catalogue of corpora: what each is, and where its files are on this machine."""

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError, nearest
from lmtutor.system.limits import fits
from lmtutor.text.formats import NO_TEXT, first_match
from lmtutor.text.prepare import PREPARATIONS, sherlock_stories
from lmtutor.text.sources import SPLITS, Span, blocks, digest

DRAWN = ("baker-street", "addition")  # not read
A_FILE_FOR_EACH_SPLIT = ("as they are", "ptb characters")  # these preparations take; the others one, called "all"
NAME = re.compile(r"\w[\w.-]*")
FILE = {  # what a catalogue says of a file
    "path": (None, re.compile(rf"{NAME.pattern}(/{NAME.pattern})*")),  # relative, and never back up
    "mirrors": (None, [str]),
    "checksum": re.compile("(sha256|stories):[0-9a-f]{64}|sha1:[0-9a-f]{40}"),
    "size": (None, int),
}
ENTRY = {  # and of a corpus
    **dict.fromkeys(["title", "licence", "source", "tokenizer"], str),
    "prepare": (None, *PREPARATIONS),
    "keep_specials": (None, bool),
    "specials": (None, [str]),
    "tokens": (None, {str: int}),
    "types": (None, int),
    "files_of": (None, str),
    "folder": (None, FILE["path"][1]),
    **dict.fromkeys(["archive", "archive_checksum"], (None, str)),
    "files": (None, dict),
}


@dataclass(frozen=True)
class CatalogueFile:
    """One file of a corpus: where it belongs, how to know it, and who has it."""

    path: str  # below LMTUTOR_DATA or the cache folder
    mirrors: Sequence[str] = ()  # addresses; "archive#member" for a file inside a zip or tar archive
    checksum: str = ""  # "sha256:…" of the whole file; "stories:…", SHA-256 of the twelve, where the header changes
    size: int | None = None  # bytes

    def mismatch(self, path: Path) -> str:
        """Say what is wrong with a file; nothing where it is the right one."""
        algorithm, wanted = self.checksum.split(":")
        try:
            if algorithm == "stories":
                text = "".join(story for _, story in sherlock_stories("".join(blocks([Span(path)]))))
                found = digest(text.encode())
            else:
                found = digest(path, algorithm)
        except LMTutorError as error:
            return str(error).removeprefix(f"{path} ")
        if found == wanted:
            return ""
        with path.open("rb") as file:
            if what := first_match(NO_TEXT, file.read(512)):
                return f"it is {what}"
        size = path.stat().st_size
        hint = f", {size:,} bytes instead of {self.size:,}" if self.size not in (None, size) else ""
        return f"its checksum is {found[:12]}… instead of {wanted[:12]}…{hint}"


@dataclass(frozen=True)
class CorpusEntry:
    """What the catalogue says of one corpus."""

    name: str
    title: str  # what it is, in words
    licence: str  # of the text
    source: str  # who made it, and where it is described
    tokenizer: str  # words, characters, treebank or bpe
    files: dict[str, CatalogueFile]  # by split, or one for all
    prepare: str = "as they are"  # what is done to the files first, see `text.prepare`
    keep_specials: bool = True  # see `Characters`
    specials: Sequence[str] | None = None  # types of the vocabulary whether seen or not
    tokens: dict[str, int] | None = None  # published counts, by split
    types: int | None = None  # published size of the vocabulary
    folder: str | None = None  # of a corpus of many files, below LMTUTOR_DATA or the cache folder, unpacked by hand
    archive: str = ""  # its address
    archive_checksum: str = "no checksum is published"


def read_tables(path: Path, shape: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Read a catalogue: a table for each name, and in it one for each file.

    Raises
    ------
    LMTutorError
        If it is not TOML, or a key of a table is missing, unknown, or has a value of no use.
    """
    with data_files.reading(path, "restore it"):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    for name, table in tables.items():
        wrong = _misfit(table, shape) if NAME.fullmatch(name) else "no name that a folder may have"
        for file in {} if wrong else table.get("files", {}).values():
            wrong = wrong or _misfit(file, FILE)
        if wrong:
            raise LMTutorError(f"{path} is damaged ({name}: {wrong}): restore it.")
    return tables


def _misfit(table: Any, shape: dict[str, Any]) -> str:
    if not isinstance(table, dict):
        return f"{table!r:.100} is no table"
    keys = [key for key in {**shape, **table} if key not in shape or not fits(table.get(key), shape[key])]
    return f"{keys[0]} = {table.get(keys[0])!r:.100}" if keys else ""


@cache
def catalogue() -> dict[str, CorpusEntry]:
    """Read `data/catalogue.toml`: a `CorpusEntry` for each corpus, by name."""
    path, entries = data_files.path("catalogue.toml"), {}
    tables = read_tables(path, ENTRY)
    for name, table in tables.items():
        files = tables.get(table.get("files_of", name), {}).get("files", {})
        facts = {key: value for key, value in table.items() if key not in ("files", "files_of")}
        entries[name] = CorpusEntry(name, **facts, files={key: CatalogueFile(**file) for key, file in files.items()})
        _check_files(path, entries[name])
    return entries


def _check_files(path: Path, entry: CorpusEntry) -> None:
    wanted = {*SPLITS} if entry.prepare in A_FILE_FOR_EACH_SPLIT else {"all"}
    if {*entry.files} != wanted and entry.name not in DRAWN and not entry.folder:
        wrong = f"its files are {sorted(entry.files)}, prepare = {entry.prepare!r} takes {sorted(wanted)}"
        raise LMTutorError(f"{path} is damaged ({entry.name}: {wrong}): restore it.")


def find_entry(name: str) -> CorpusEntry:
    """Return the entry of a corpus, or say which names there are."""
    if name not in catalogue():
        raise LMTutorError(f"{name!r} is neither a corpus of the catalogue nor a path.{nearest(name, catalogue())}")
    return catalogue()[name]


def local_file(file: CatalogueFile) -> Path | None:
    """Return where a file is on this machine: below `$LMTUTOR_DATA` first, then in the cache folder."""
    return next((place for place in _places(file.path) if place.is_file()), None)


def local_folder(entry: CorpusEntry) -> Path | None:
    """Return where the folder of a corpus of many files is on this machine."""
    return next((place for place in _places(entry.folder) if place.is_dir()), None)


def find_folder(entry: CorpusEntry) -> Path:
    """Return the folder of a corpus of many files, or say how it gets here."""
    if found := local_folder(entry):
        return found
    raise LMTutorError(
        f"{entry.name} is not on this machine: unpack {entry.archive} ({entry.archive_checksum}) as the folder "
        f"{_places(entry.folder)[-1]}, or point LMTUTOR_DATA at a folder that holds {entry.folder}."
    )


def _places(path: str) -> list[Path]:
    roots = [Path(os.environ["LMTUTOR_DATA"])] if os.environ.get("LMTUTOR_DATA") else []
    return [root / path for root in [*roots, download_folder()]]


def download_folder() -> Path:
    """Return the folder that downloads go to, and where a file may be put by hand."""
    return data_files.cache_folder() / "corpora"
