"""Where a corpus comes from: files, parts of files and texts in memory, read in blocks of whole lines.

A split is a list of spans, one a document. Blocks keep memory small however long the text is; whatever is wrong
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lmtutor.system.errors import LMTutorError

SPLITS = ("train", "valid", "test")
LONGEST_NAME = 256  # bytes: what is longer is not a file's name
BLOCK = 1 << 15  # bytes read at a time: the words cut from it still fit in the processor's own cache
NAMES = {  # how a file name says which split it holds: train.txt, ptb.valid.txt, wiki.test.tokens
    "train": re.compile(r"(^|[._-])train([._-]|$)"),
    "valid": re.compile(r"(^|[._-])(valid|validation|val|dev)([._-]|$)"),
    "test": re.compile(r"(^|[._-])test([._-]|$)"),
}


@dataclass(frozen=True)
class Span:
    """The bytes `start` to `stop` of a file, or of bytes held in memory under a name for messages."""

    source: Path | bytes
    start: int = 0
    stop: int | None = None  # None: to the end
    label: str = ""

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
Rules = Sequence[tuple[Sequence[str], str, Callable[[Any], object]]]  # names; what their values must be; whether


def check(values: Mapping[str, Any], rules: Rules, of: str = "") -> None:
    """Raise `LMTutorError` at the first value that breaks its rule: whose it is, its name, and what it must be."""
    for names, wanted, holds in rules:
        for name in names:
            if not holds(values[name]):
                raise LMTutorError(f"{of}{name} must be {wanted} (got {values[name]!r:.200}).")


def is_count(value: object) -> bool:
    """Whether a value is an integer of at least 1; True is none, though Python takes it for 1."""
    return type(value) is int and value >= 1


def are_strings(value: object) -> bool:
    """Whether a value is a list of strings; a string is none, though its characters are strings."""
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def or_none(holds: Callable[[Any], object]) -> Callable[[Any], object]:
    """The test of a value that may be left out."""
    return lambda value: value is None or holds(value)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file, with a one-line error where it is missing, a folder, a device or a pipe, unreadable or empty."""
    try:
        mode = path.stat().st_mode  # asked before it is opened: a pipe may never open, and a device never end
        file = path.open("rb") if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else None
    except FileNotFoundError:
        raise LMTutorError(f"{path}: no such file: check the path.") from None
    except IsADirectoryError:
        raise LMTutorError(f"{path} is a folder, where a text file was expected.") from None
    except OSError as error:  # no permission, a broken disk
        raise LMTutorError(f"{path} cannot be read ({error.strerror}): check its permissions.") from None
    except ValueError:  # a NUL byte, or half a character
        raise LMTutorError(f"{str(path)!r} cannot be the name of a file: check the path.") from None
    if file is None:
        raise LMTutorError(f"{path} is not a plain file: pipe its text in, with - in place of the path.")
    if not file.peek(1):
        file.close()
        raise LMTutorError(f"{path} is empty: put some text in it, or leave it out.")
    return file


def blocks(spans: Sequence[Span], encoding: str = "utf-8") -> Iterator[str]:
    """Read spans as text, a block of whole lines at a time.

    A UTF-8 text loses its byte order mark, and its line ends become `"\\n"`; the last line of a span gets one
    if it has none. With the encoding `"latin-1"` each byte is one character and nothing is changed.

    Raises
    ------
    LMTutorError
        Where a byte is not UTF-8, or NUL: the file, the byte's offset, and what may be the cause.
    """
    for span in spans:
        kept: list[str] = []
        for text in _decoded(span, encoding):
            if end := text.rfind("\n") + 1:
                yield "".join([*kept, text[:end]])
                kept = []
            kept.append(text[end:])
        if rest := "".join(kept):
            yield rest if rest.endswith("\n") or encoding == "latin-1" else rest + "\n"


def _decoded(span: Span, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    position, stop = span.bounds
    with span.open() as file:
        if position == 0 and encoding != "latin-1" and file.read(3) == codecs.BOM_UTF8:
            position = 3
        file.seek(position)
        while position < stop:
            raw = file.read(min(BLOCK, stop - position))
            if not raw:
                raise LMTutorError(f"{span.name} became shorter while it was read: leave it alone meanwhile.")
            if b"\0" in raw:
                offset = position + raw.index(b"\0")
                raise LMTutorError(
                    f"{span.name} holds a NUL byte at offset {offset:,}: it is a binary file or UTF-16; "
                    "save it as plain UTF-8 text."
                )
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(raw, final=position + len(raw) >= stop)
            except UnicodeDecodeError as error:
                offset = position - pending + error.start
                raise LMTutorError(
                    f"{span.name} is not UTF-8: byte 0x{error.object[error.start]:02X} at offset {offset:,}; "
                    "save the file as UTF-8 (it may be Latin-1 or Windows-1252)."
                ) from None
            if encoding != "latin-1":
                text = newlines.decode(text, final=position + len(raw) >= stop)
            position += len(raw)
            yield text


def standard_input() -> Span:
    """Everything that is piped in; `LMTutorError` where that is nothing."""
    try:
        text = sys.stdin.buffer.read() if sys.stdin else b""
    except (OSError, ValueError):  # open for writing alone
        text = b""
    if not text:
        raise LMTutorError("the standard input is closed or empty: pipe a text into it.")
    return Span(text, label="the standard input")


def read_text(source: str) -> str:
    """A whole text, read as every text is: no byte order mark, lines that end in `"\\n"`.

    Parameters
    ----------
    source
        The path of a file, `"-"` for the standard input, or else the text itself.
    """
    if source == "-":
        span = standard_input()
    elif "\0" not in source and len(os.fsencode(source)) < LONGEST_NAME and Path(source).is_file():
        span = Span(Path(source))
    else:
        span = Span(source.encode("utf-8", "surrogateescape"), label="the text")
    with span.open() as file:
        whole = file.read()
    text = "".join(blocks([span]))
    return text if whole.endswith((b"\n", b"\r")) else text.removesuffix("\n")


def digest(source: Path | bytes, algorithm: str = "sha256") -> str:
    """Return the checksum of a file or of bytes, as hexadecimal digits."""
    if isinstance(source, bytes):
        return hashlib.new(algorithm, source).hexdigest()
    with open_bytes(source) as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def find_splits(path: str | Path, shares: Sequence[float]) -> tuple[Splits, str]:
    """Turn what a user points at into spans for each split, and a sentence that says how it was split.

    Parameters
    ----------
    path
        A folder with a file for each split, one text file, a glob such as `"letters/*.txt"` whose files are
        documents, or `"-"` for the standard input.
    shares
        What share of one text, or of the documents of a glob, goes to train, valid and test.
    """
    path = str(path)
    if path == "-":
        return by_shares(standard_input(), shares)
    if Path(path).is_dir():
        return from_folder(Path(path)), f"Split by the files of the folder {Path(path).name}."
    if glob.has_magic(path) and not Path(path).exists():
        files = sorted(Path(name) for name in glob.glob(path, recursive=True) if Path(name).is_file())
        if not files:
            raise LMTutorError(f"no file matches {path!r}: check the pattern.")
        return by_documents([Span(file) for file in files], shares)
    return by_shares(Span(Path(path)), shares)


def from_folder(folder: Path) -> Splits:
    """Find the one file for each split in a folder, by names such as `train.txt` or `wiki.valid.tokens`."""
    names = sorted(file.name for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
    splits: Splits = {}
    for split, pattern in NAMES.items():
        fitting = [name for name in names if pattern.search(name)]
        if not fitting:
            raise LMTutorError(
                f"{folder} holds no file for the split {split!r}: name one {split}.txt, or load the files as "
                f"documents with the pattern {str(folder / '*.txt')!r}."
            )
        if len(fitting) > 1:
            raise LMTutorError(f"{folder} holds more than one file for {split!r}: {', '.join(fitting)}; keep one.")
        splits[split] = [Span(folder / fitting[0])]
    return splits


def by_shares(span: Span, shares: Sequence[float]) -> tuple[Splits, str]:
    """Cut one text in three contiguous parts, at the line ends nearest after the shares asked for."""
    _check_shares(shares)
    with span.open() as file:
        start, stop = span.bounds
        cuts = [start]
        for share in (shares[0], shares[0] + shares[1]):
            cuts.append(_line_end(file, max(cuts[-1], start + round(share * (stop - start))), stop))
        cuts.append(stop)
    parts = [Span(span.source, first, last, span.label) for first, last in zip(cuts[:-1], cuts[1:], strict=True)]
    where = "the text's first, middle and last part"
    return dict(zip(SPLITS, ([part] for part in parts), strict=True)), f"Split as {where}: {_percent(shares)}."


def _line_end(file: BinaryIO, near: int, stop: int, reach: int = 1 << 16) -> int:
    """Return the nearest place at or after `near` where a line ends; in one endless line, where a word does."""
    before = max(0, near - 1)
    file.seek(before)
    ahead = file.read(min(reach, stop - before))
    for separator in (rb"\n|\r(?!\Z)\n?", b" "):  # what follows a \r at the end of what was read is not known
        if (found := re.search(separator, ahead)) and before + found.end() < stop:
            return before + found.end()
    while near < stop and ahead[near - before] & 0b1100_0000 == 0b1000_0000:
        near += 1  # no blank either: at least do not cut through a character of several bytes
    return near


def by_documents(spans: Sequence[Span], shares: Sequence[float]) -> tuple[Splits, str]:
    """Deal whole documents, in their order, to the three splits so that their sizes are near the shares."""
    _check_shares(shares)
    if len(spans) < 3:
        raise LMTutorError(
            f"{len(spans)} document(s) cannot be dealt to three splits: give three or more, or one long file."
        )
    sizes = [stop - start for start, stop in (span.bounds for span in spans)]
    cuts, total, done = [], max(1, sum(sizes)), 0  # 0: all are empty, which is said where they are opened
    for i, size in enumerate(sizes):
        while len(cuts) < 2 and (done + size / 2) / total > sum(shares[: len(cuts) + 1]):
            cuts.append(i)
        done += size
    first = min(max(1, cuts[0] if cuts else len(spans)), len(spans) - 2)  # at least one document in each
    second = min(max(first + 1, cuts[1] if len(cuts) > 1 else len(spans)), len(spans) - 1)
    parts = (list(spans[:first]), list(spans[first:second]), list(spans[second:]))
    counts = " / ".join(str(len(part)) for part in parts)
    return dict(zip(SPLITS, parts, strict=True)), f"Split by whole documents in the order of their names: {counts}."


def _check_shares(shares: Sequence[float]) -> None:
    given = list(shares) if isinstance(shares, Iterable) else []
    numbers = [share for share in given if isinstance(share, (int, float)) and 0 < share < 1]
    if len(given) != 3 or len(numbers) != 3 or abs(sum(numbers) - 1) > 1e-9:
        raise LMTutorError(f"shares are {shares!r:.200}: give three positive numbers that sum to 1.")


def _percent(shares: Sequence[float]) -> str:
    return " / ".join(f"{100 * share:.4g}" for share in shares) + " %"
