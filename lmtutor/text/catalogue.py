"""The catalogue of corpora: what each is, and where its files are on this machine."""

import os
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError, nearest
from lmtutor.text.formats import NO_TEXT, first_match
from lmtutor.text.prepare import PREPARATIONS, sherlock_stories
from lmtutor.text.sources import SPLITS, Span, blocks, digest

OUTSIDE = re.compile(r"[/\\]|.*:|(.*[/\\])?\.\.([/\\]|$)", re.DOTALL)  # how a path starts that may leave its folder
NAME = re.compile(r"\w[\w.-]*")
CHECKSUM = re.compile("sha256:[0-9a-f]{64}|sha1:[0-9a-f]{40}")
A_FILE_FOR_EACH_SPLIT = ("as they are", "ptb characters")  # these preparations take; the others one, called "all"


def is_string(value: Any) -> bool:
    """Whether a value of a catalogue is a string."""
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_string, value))


def _is_checksum(value: Any) -> bool:
    return is_string(value) and bool(CHECKSUM.fullmatch(value))


def _is_below_a_folder(value: Any) -> bool:
    return is_string(value) and value.isprintable() and bool(value.strip("./")) and not OUTSIDE.match(value)


Keys = dict[str, Callable[[Any], bool]]  # of a table of a catalogue, and what their values have to be
FILE: Keys = {
    "path": _is_below_a_folder,
    "mirrors": _are_strings,
    "checksum": _is_checksum,
    "stories": _is_checksum,
    "size": _is_count,
}
FILES: Keys = {"files": lambda v: isinstance(v, dict) and all(isinstance(file, dict) for file in v.values())}
NEEDED = ("title", "licence", "source", "tokenizer")
ENTRY: Keys = {
    **dict.fromkeys([*NEEDED, "files_of"], is_string),
    "prepare": lambda v: is_string(v) and v in PREPARATIONS,
    "keep_specials": lambda v: isinstance(v, bool),
    "specials": _are_strings,
    "tokens": lambda v: isinstance(v, dict) and all(map(_is_count, v.values())),
    "types": _is_count,
}


@dataclass(frozen=True)
class CatalogueFile:
    """One file of a corpus: where it belongs, how to know it, and who has it."""

    path: str = ""  # below LMTUTOR_DATA or the cache folder
    mirrors: Sequence[str] = ()  # addresses; "archive#member" for a file inside a zip or tar archive
    checksum: str = ""  # "sha256:…" of the whole file
    stories: str = ""  # "sha256:…" of the twelve stories, for a file whose header changes
    size: int | None = None  # bytes

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
        with path.open("rb") as file:
            if what := first_match(NO_TEXT, file.read(512)):
                return f"it is {what}"
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
    keep_specials: bool = True
    specials: Sequence[str] | None = None
    tokens: dict[str, int] | None = None
    types: int | None = None


def read_tables(path: Path, keys: Keys, needed: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read a catalogue: a table for each name, and in it one for each file.

    Raises
    ------
    LMTutorError
        If it is no TOML, or a table lacks a key, has an unknown one, or a value that is of no use.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LMTutorError(f"{path} is damaged ({str(error).rstrip('.')}): restore it.") from None
    for name, table in tables.items():
        wrong = _wrong(table, keys | FILES, needed) if NAME.fullmatch(name) else "no name that a folder may have"
        for file in {} if wrong else table.get("files", {}).values():
            wrong = wrong or _wrong(file, FILE, () if "stories" in file else ("checksum",))
        if wrong:
            raise LMTutorError(f"{path} is damaged ({name}: {wrong}): restore it.")
    return tables


def _wrong(table: Any, keys: Keys, needed: Sequence[str]) -> str:
    """What is wrong with a table; nothing where all is right."""
    if not isinstance(table, dict):
        return f"{table!r:.100} is no table"
    missing = [f"it has no {key}" for key in needed if key not in table]
    unfit = [f"{k} = {v!r:.100}" for k, v in table.items() if k not in keys or not keys[k](v)]
    return next(iter(missing + unfit), "")


@cache
def catalogue() -> dict[str, Entry]:
    """Read `data/catalogue.toml`: an `Entry` for each corpus, by name."""
    path, entries = data_files.path("catalogue.toml"), {}
    tables = read_tables(path, ENTRY, NEEDED)
    for name, table in tables.items():
        files = tables.get(table.get("files_of", name), {}).get("files", {})
        facts = {key: value for key, value in table.items() if key not in ("files", "files_of")}
        entry = Entry(name, **facts, files={key: CatalogueFile(**file) for key, file in files.items()})
        wanted = {*SPLITS} if entry.prepare in A_FILE_FOR_EACH_SPLIT else {"all"}
        if {*files} != wanted and name != "baker-street":  # which is drawn, not read
            wrong = f"its files are {sorted(files)}, prepare = {entry.prepare!r} takes {sorted(wanted)}"
            raise LMTutorError(f"{path} is damaged ({name}: {wrong}): restore it.")
        entries[name] = entry
    return entries


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
