"""What a file holds, by its first bytes: plain text, text that is packed or in another encoding, or no text at all."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from typing import BinaryIO

from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import reading
from lmtutor.system.limits import fits

LIMIT = 1 << 28  #: Bytes of text that are unpacked or decoded in memory.
PACKINGS = {"gzip": rb"\x1f\x8b", "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P)", "xz": rb"\xfd7zXZ\0"}
PACKINGS["zip"] = rb"PK(\x03\x04|\x05\x06)"  # the second in one without a file
NO_TEXT = {
    "a PDF": rb"%PDF-",
    "an image": rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|BM.{4}\0{4}|II\*\0|MM\0\*|RIFF.{4}WEBP",
    "a web page": rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b",
    "an old Word or Excel file": rb"\xd0\xcf\x11\xe0",
    "a rich text file": rb"\{\\rtf",
    "a Python pickle": rb"\x80[\x02-\x05]",
    "an array of NumPy": rb"\x93NUMPY",
    "a tar archive": rb".{257}ustar[\0 ]",
    "a 7z, RAR or Zstandard archive": rb"7z\xbc\xaf|Rar!\x1a|\x28\xb5\x2f\xfd",
    "an e-book (Mobipocket)": rb".{60}BOOKMOBI",
    "a database": rb"SQLite format 3\0|PAR1\x15",
    "a program": rb"\x7fELF|MZ.{10,58}\0\0",
    "sound or film": rb"ID3[\x02-\x04]|OggS|fLaC|.{4}ftyp|RIFF.{4}(WAVE|AVI )",
}
ZIPS = {"word/document.xml": "a Word document", "xl/workbook.xml": "an Excel file", "content.xml": "an office document"}
ZIPS |= {"META-INF/container.xml": "an e-book (EPUB)"}
MARKED = {"utf-32": rb"\xff\xfe\0\0|\0\0\xfe\xff", "utf-16": rb"\xff\xfe|\xfe\xff"}  # by a byte order mark
# What unpackers raise of an archive that is damaged, or packed in a way that they do not know.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)
BROKEN += (EOFError, OSError, ValueError, NotImplementedError)


def first_match(marks: dict[str, bytes], head: bytes) -> str:
    """The name of the first mark that bytes begin with; empty where none fits."""
    for name, mark in marks.items():
        if re.match(mark, head, re.DOTALL | re.IGNORECASE):
            return name
    return ""


def plain_text(
    file: BinaryIO, name: str, encoding: str | None = None, column: tuple[str, str] | None = None
) -> bytes | None:
    """Return what a file holds as UTF-8; None where the file is plain UTF-8 already, as far as its first bytes tell.

    Parameters
    ----------
    name
        What errors call it.
    encoding
        Of the text; default: what its byte order mark says, or UTF-8.
    column
        How a table is written (`"csv"`, `"tsv"`, `"jsonl"`), and which of its columns is the text.

    Raises
    ------
    LMTutorError
        If it is no text, which is named; if it cannot be unpacked or decoded, or is longer than `LIMIT` then.
    """
    head = file.read(1 << 12)
    file.seek(0)
    whole = None
    if packing := first_match(PACKINGS, head):
        whole = _unpacked(file, packing, name)
        head = whole[: 1 << 12]
        if not head or first_match(PACKINGS, head):
            raise LMTutorError(f"{name} holds {'another archive' if head else 'nothing'}: unpack it, and look.")
    if what := first_match(NO_TEXT, head):
        raise LMTutorError(f"{name} is {what}: save its text as plain UTF-8.")
    encoding = encoding or first_match(MARKED, head)
    if not encoding and (found := _unmarked(head)):
        raise LMTutorError(f"{name} is {found[:6].upper()} without a byte order mark: say so with --encoding {found}.")
    if whole is None and encoding in ("", "utf-8") and not column:
        return None
    whole = file.read(LIMIT + 1) if whole is None else whole
    if len(whole) > LIMIT:
        raise LMTutorError(f"{name} holds more than {LIMIT >> 20} MiB of text: save it as plain UTF-8.")
    if not encoding and not column:
        return whole  # where it is not UTF-8, the byte is named when it is read
    try:
        text = whole.decode(encoding or "utf-8-sig")
    except UnicodeError as error:
        raise LMTutorError(f"{name} is not {encoding or 'utf-8'} ({error}): name its encoding.") from None
    except (LookupError, ValueError):  # so Python says that it has no such encoding
        raise LMTutorError(f"There is no encoding {encoding!r}: name one such as latin-1, cp1251 or gb18030.") from None
    return (_column(text, name, *column) if column else text).encode("utf-8", "surrogatepass")


def _unpacked(file: BinaryIO, packing: str, name: str) -> bytes:
    with reading(name, "perhaps only half of it is here; get it once more", *BROKEN):
        if packing == "zip":
            return _only_member(file, name)
        return {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}[packing](file).read(LIMIT + 1)


def _only_member(file: BinaryIO, name: str) -> bytes:
    with zipfile.ZipFile(file) as archive:
        files = [member for member in archive.infolist() if not member.is_dir()]
        members = [file for file in files if not re.search(r"(^|/)(__MACOSX/|\.)", file.filename)]  # a Mac adds its own
        if what := next((what for part, what in ZIPS.items() if part in archive.namelist()), ""):
            raise LMTutorError(f"{name} is {what}: save its text as plain UTF-8.")
        if len(members) != 1 or members[0].flag_bits & 1:
            what = "one with a password" if len(members) == 1 else f"one of {len(members)} files"
            raise LMTutorError(f"{name} is a zip archive, and {what}: unpack it, and name the text in it.")
        return archive.open(members[0]).read(LIMIT + 1)


def _unmarked(head: bytes) -> str:
    """Which UTF-16 or 32 bytes without a mark are, if any: then every character is printable, and one is common."""
    for order in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        text = head.decode(order, "ignore")
        if re.search("[\n .,、。，]", text) and all(sign.isprintable() or sign.isspace() for sign in text):
            return order
    return ""


def _column(text: str, name: str, kind: str, column: str) -> str:
    """One column of a table: the text of each row, with a line end."""
    csv.field_size_limit(LIMIT)
    lines = io.StringIO(text, newline="")
    mark = max(",;", key=text.partition("\n")[0].count)  # where the comma is the decimal sign, Excel writes semicolons
    rows = {
        "csv": lambda: csv.DictReader(lines, delimiter=mark),
        "tsv": lambda: csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE),
    }.get(kind, lambda: map(json.loads, filter(str.strip, lines)))()
    texts = []
    try:
        for row in rows:
            if not fits(row, {column: str}):
                has = f"; it has {', '.join(map(str, row))[:200]}" if isinstance(row, dict) else ""
                raise LMTutorError(f"{name}: row {len(texts) + 1} has no text {column!r}{has}.")
            texts.append(row[column] + "\n")
    except (json.JSONDecodeError, RecursionError, csv.Error) as error:
        raise LMTutorError(f"{name}: row {len(texts) + 1} is damaged ({error}).") from None
    return "".join(texts)


def likely_encodings(raw: bytes) -> str:
    """What bytes that are not UTF-8 may be: no text, letters with accents here and there, or another script."""
    if re.search(rb"[\0-\x08\x0e-\x19\x1c-\x1f\x7f]", raw):
        return "no text at all: it holds control characters"
    if sum(byte > 127 for byte in raw) < len(raw) / 5:
        return "Latin-1 or Windows-1252 (cp1252)"
    return "Shift-JIS, GB18030, Big5, EUC-KR, Windows-1251 (cp1251) or KOI8-R"
