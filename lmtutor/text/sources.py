"""Where a corpus comes from: files, parts of files and texts in memory, read in blocks of whole lines.

A split is a list of spans, one per document. Blocks keep memory small however long the text is; whatever is wrong
with a file is said in one line that names the file and the byte.
"""

import codecs
import glob
import hashlib
import io
import os
import re
import stat
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from lmtutor.system.errors import LMTutorError, refuse
from lmtutor.text.formats import likely_encodings, plain_text

SPLITS = ("train", "valid", "test")
LONGEST_NAME, LONGEST_PATH = 256, 4096  # bytes: what is as long is not a file's name, or path
BLOCK = 1 << 15  # bytes read at a time: the words cut from it still fit in the processor's own cache
SPLIT_NAMES = {  # how a file name says which split it holds: train.txt, ptb.valid.txt, wiki.test.tokens
    "train": re.compile(r"(^|[._-])train([._-]|$)"),
    "valid": re.compile(r"(^|[._-])(valid|validation|val|dev)([._-]|$)"),
    "test": re.compile(r"(^|[._-])test([._-]|$)"),
}
# What looks like this is a file, whether it is there or not, and no text to be scored.
FILE_NAME = re.compile(
    r"(?i)(~|\.{0,2})/\S+"
    r"|\S+\.(txt|text|tokens|md|gz|bz2|xz|zip|(jsonl|ndjson|csv|tsv)(\.(gz|bz2|xz|zip))?(:[^:/\\\s][^:/\\\n]*)?)"
)
COLUMN = re.compile(r"(.+\.(jsonl|ndjson|csv|tsv)(?:\.(?:gz|bz2|xz|zip))?):([^:/\\]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """The bytes `start` to `stop` of a file, or of bytes held in memory under a name for messages."""

    source: Path | bytes  # the file, or the bytes themselves
    start: int = 0  # first byte
    stop: int | None = None  # the byte after the last; None: to the end
    label: str = ""  # what messages call it; default: its path
    raw: bool = False  # each byte is one character, and nothing is changed; else UTF-8

    @property
    def name(self) -> str:
        return self.label or str(self.source)

    def open(self) -> BinaryIO:
        """Open the bytes for reading, from the first byte of the whole source."""
        return open_bytes(self.source) if isinstance(self.source, Path) else io.BytesIO(self.source)

    @property
    def bounds(self) -> tuple[int, int]:
        """First byte and the one after the last."""
        size = self.source.stat().st_size if isinstance(self.source, Path) else len(self.source)
        return self.start, size if self.stop is None else min(self.stop, size)


Splits = dict[str, list[Span]]


def open_bytes(path: Path) -> BinaryIO:
    """Open a file, with a one-line error where it is missing, a folder, a device or a pipe, unreadable or empty."""
    try:
        plain = stat.S_ISREG(path.stat().st_mode)  # asked before: a pipe may never open, and a device never end
        file = path.open("rb") if plain else None
    except FileNotFoundError:
        raise LMTutorError(f"{path}: no such file: check the path.") from None
    except (OSError, ValueError) as error:  # no permission, a broken disk; a NUL byte in the name
        why = getattr(error, "strerror", error)
        raise LMTutorError(f"{str(path)!r} cannot be read ({why}): check its name and permissions.") from None
    if file is None:
        advice = "name a file in it" if path.is_dir() else "pipe its text in, with - in place of the path"
        raise LMTutorError(f"{path} is not a plain file: {advice}.")
    if not file.peek(1):
        file.close()
        raise LMTutorError(f"{path} is empty: put some text in it, or leave it out.")
    return file


def text_span(source: str | Path | bytes, encoding: str | None = None, label: str = "") -> Span:
    """Return the span of a text: a plain file as it is, one that is packed, encoded or a table as UTF-8 in memory.

    Parameters
    ----------
    source
        A file, bytes, or `"FILE:COLUMN"`, a file of JSON lines, CSV or TSV and the column of it that is the text.
    encoding
        Of the text, if it is not UTF-8.
    label
        What messages call it, in place of its path.
    """
    column = None
    if not isinstance(source, bytes):
        label = label or str(source)
        file, column = _parts(label)
        source = Path(file)
    span = Span(source, label=label)
    with span.open() as file:
        text = plain_text(file, span.name, encoding, column)
    return span if text is None else Span(text, label=span.name)


def _parts(path: str) -> tuple[str, tuple[str, str] | None]:
    """The file that a path names, and of `"FILE:COLUMN"` how the table is written, and its column."""
    table = None if Path(path).is_file() else COLUMN.fullmatch(path)
    return (table[1], (table[2].lower(), table[3])) if table else (path, None)


def blocks(spans: Sequence[Span]) -> Iterator[str]:
    """Read spans as text, a block of whole lines at a time.

    A text loses its byte order mark, and its line ends become line feeds; the last line of a span gets one if it has
    none.

    Raises
    ------
    LMTutorError
        Where a byte is not UTF-8, or NUL: the file, the byte's offset, and what may be the cause.
    """
    for span in spans:
        kept: list[str] = []
        for text in _decoded(span):
            if end := text.rfind("\n") + 1:
                yield "".join([*kept, text[:end]])
                kept = []
            kept.append(text[end:])
        if rest := "".join(kept):
            yield rest if span.raw else rest + "\n"


def _decoded(span: Span) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("latin-1" if span.raw else "utf-8")()
    reader = io.IncrementalNewlineDecoder(decoder, translate=not span.raw)
    position, stop = span.bounds
    with span.open() as file:
        if position == 0 and not span.raw and file.read(3) == codecs.BOM_UTF8:
            position = 3
        file.seek(position)
        while position < stop:
            raw = file.read(min(BLOCK, stop - position))
            if not raw:
                raise LMTutorError(f"{span.name} became shorter while it was read: leave it alone meanwhile.")
            if b"\0" in raw:
                offset = position + raw.index(b"\0")
                raise LMTutorError(f"{span.name} holds a NUL byte at offset {offset:,}: it is a binary file.")
            pending = len(decoder.getstate()[0])
            try:
                yield reader.decode(raw, final=position + len(raw) >= stop)
            except UnicodeDecodeError as error:
                raise LMTutorError(
                    f"{span.name} is not UTF-8: byte 0x{error.object[error.start]:02X} at offset "
                    f"{position - pending + error.start:,}; name its encoding (--encoding), or save it as UTF-8 "
                    f"(it may be {likely_encodings(raw)})."
                ) from None
            position += len(raw)


def standard_input(encoding: str | None = None) -> Span:
    """Everything that is piped in; `LMTutorError` where that is nothing."""
    try:
        text = sys.stdin.buffer.read() if sys.stdin else b""
    except (OSError, ValueError):  # open for writing alone
        text = b""
    if not text:
        raise LMTutorError("the standard input is closed or empty: pipe a text into it.")
    return text_span(text, encoding, label="the standard input")


def text_blocks(source: str | Path, encoding: str | None = None) -> Iterator[str]:
    """A whole text in blocks of whole lines, without a byte order mark and with a line feed at each line's end.

    Parameters
    ----------
    source
        A path; or a string that is the path of a file (`"FILE:COLUMN"` of a table) or looks like one, `"-"` for the
        standard input, or else the text itself.
    encoding
        Of the file, if it is not UTF-8.
    """
    if source == "-":
        return _as_it_ends(standard_input(encoding))
    if isinstance(source, Path) or _names_a_file(source):
        return _as_it_ends(text_span(source, encoding))
    return iter([as_read(source)])


def as_read(text: str) -> str:
    """A string as a file that holds it would be read: no byte order mark, a line feed at each line's end."""
    return "".join(_as_it_ends(Span(text.encode("utf-8", "surrogateescape"), label="the text")))


def _names_a_file(name: str) -> bool:
    """Whether a string is the path of a file, or looks like one."""
    path = os.fsencode(name)
    if b"\0" in path or len(path) >= LONGEST_PATH or max(map(len, path.split(b"/"))) >= LONGEST_NAME:
        return False
    here = Path(_parts(name)[0])
    return bool(FILE_NAME.fullmatch(name)) or os.path.lexists(here) and not here.is_dir()


def _as_it_ends(span: Span) -> Iterator[str]:
    """The blocks of a text, without the line end that is put where its last line has none."""
    with span.open() as file:
        file.seek(max(0, span.bounds[1] - 1))
        ended = file.read(1) in (b"\n", b"\r")
    held = ""
    for text in blocks([span]):
        if held:
            yield held
        held = text
    yield held if ended else held.removesuffix("\n")


def read_text(source: str | Path, encoding: str | None = None) -> str:
    """The blocks of `text_blocks` in one piece."""
    return "".join(text_blocks(source, encoding))


def digest(source: Path | bytes, algorithm: str = "sha256") -> str:
    """Return the checksum of a file or of bytes, as hexadecimal digits."""
    if isinstance(source, bytes):
        return hashlib.new(algorithm, source).hexdigest()
    with open_bytes(source) as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def find_splits(path: str, shares: Sequence[float], encoding: str | None = None) -> tuple[Splits, str]:
    """Turn what a user points at into spans for each split, and a sentence that says how it was split.

    Parameters
    ----------
    path
        A folder with a file for each split, one text file, a glob such as `"letters/*.txt"` whose files are
        documents, or `"-"` for the standard input; a file or glob of tables with the column, `"FILE:COLUMN"`.
    shares
        What share of one text, or of the documents of a glob, goes to train, valid and test.
    encoding
        Of the files, if it is not UTF-8.
    """
    if Path(path).is_dir():
        return from_folder(Path(path), encoding), f"Split by the files of the folder {Path(path).name}."
    spans = find_documents(path, encoding)
    return by_shares(spans[0], shares) if len(spans) == 1 else by_documents(spans, shares)


def find_documents(path: str, encoding: str | None = None) -> list[Span]:
    """The files that fit a pattern, in the order of their names; or the one file, or the standard input."""
    if path == "-":
        return [standard_input(encoding)]
    if not glob.has_magic(path) or Path(path).exists():
        return [text_span(path, encoding)]
    pattern, _ = _parts(path)
    files = sorted(name for name in glob.glob(pattern, recursive=True) if Path(name).is_file())
    refuse({f"no file matches {path!r}: check the pattern": not files})
    return [text_span(file + path[len(pattern) :], encoding) for file in files]


def from_folder(folder: Path, encoding: str | None = None) -> Splits:
    """Find the one file for each split in a folder, by names such as `train.txt` or `wiki.valid.tokens`."""
    names = sorted(file.name for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
    fitting = {split: [name for name in names if pattern.search(name)] for split, pattern in SPLIT_NAMES.items()}
    for split, found in fitting.items():
        documents = f"name one {split}.txt, or load the files as documents with the pattern {str(folder / '*.txt')!r}"
        refuse(
            {
                f"{folder} holds no file for the split {split!r}: {documents}": not found,
                f"{folder} holds more than one file for {split!r}: {', '.join(found)}; keep one": len(found) > 1,
            }
        )
    return {split: [text_span(folder / found[0], encoding)] for split, found in fitting.items()}


def by_shares(span: Span, shares: Sequence[float]) -> tuple[Splits, str]:
    """Cut one text in three contiguous parts, at the line ends nearest after the shares asked for."""
    train, valid, test = _checked(shares)
    first, stop = span.bounds
    with span.open() as file:
        second = _line_end(file, first + round(train * (stop - first)), stop)
        third = _line_end(file, max(second, first + round((train + valid) * (stop - first))), stop)
    splits = {
        "train": [replace(span, stop=second)],
        "valid": [replace(span, start=second, stop=third)],
        "test": [replace(span, start=third)],
    }
    percent = f"{100 * train:.4g} / {100 * valid:.4g} / {100 * test:.4g} %"
    return splits, f"Split as the text's first, middle and last part: {percent}."


def _line_end(file: BinaryIO, near: int, stop: int, reach: int = 1 << 16) -> int:
    """Return the nearest place at or after `near` where a line ends; in one endless line, where a word does."""
    before = max(0, near - 1)
    file.seek(before)
    ahead = file.read(min(reach, stop - before))
    for separator in (rb"\n|\r(?!\Z)\n?", b" "):  # what follows a \r at the end of what was read is not known
        if (found := re.search(separator, ahead)) and before + found.end() < stop:
            return before + found.end()
    while near < stop and ahead[near - before] & 0b1100_0000 == 0b1000_0000:
        near += 1  # no space either: at least do not cut through a character of several bytes
    return near


def by_documents(spans: Sequence[Span], shares: Sequence[float]) -> tuple[Splits, str]:
    """Deal whole documents, in their order, to the three splits so that their sizes are near the shares."""
    train, valid, _ = _checked(shares)
    refuse({f"{len(spans)} document(s) cannot be dealt to three splits: give more, or one long file": len(spans) < 3})
    middles, done = [], 0.0  # bytes before the middle of each document
    for start, stop in (span.bounds for span in spans):
        middles.append(done + (stop - start) / 2)
        done += stop - start
    first = bisect_right(middles, train * done)
    first = min(max(1, first), len(spans) - 2)  # at least one document in each
    second = min(max(first + 1, bisect_right(middles, (train + valid) * done)), len(spans) - 1)
    parts = [*spans[:first]], [*spans[first:second]], [*spans[second:]]
    counts = " / ".join(str(len(part)) for part in parts)
    return dict(zip(SPLITS, parts, strict=True)), f"Split by whole documents in the order of their names: {counts}."


def _checked(shares: Sequence[float]) -> Sequence[float]:
    given = [*shares] if isinstance(shares, Iterable) else []
    positive = [share for share in given if isinstance(share, int | float) and 0 < share < 1]
    if len(given) != 3 or len(positive) != 3 or abs(sum(given) - 1) > 1e-9:
        raise LMTutorError(f"shares are {shares!r:.200}: give three positive numbers that sum to 1.")
    return given
