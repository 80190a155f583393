"""What is handed in: of files from anywhere one plain notebook is kept, or one line that says why not.

Nothing here trusts a name, a link, a time or a cell of a student's, and nothing here runs.
"""

import json
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

MOST_MEGABYTES, MOST_PARTS, MOST_CELLS = 40, 500_000, 2_000  # of a notebook; parts are its lists and tables
MOST_BYTES, MOST_FILES = 200, 20_000  # of a name; in a zip
CELL_ID = re.compile(r"(?!own-)[A-Za-z0-9_-]{1,64}")
# Where HTML, an entity, a script's address or a TeX command that makes links or classes could begin:
BEGINNINGS = re.compile(
    r"<(?=[a-z/!?])|&(?=[#\w])|(script|data)(?=[\s\\]*:)|\\(?=href|url|class|cssId|style|require|html|mmlToken)", re.I
)
APART = "\u200b"  # a space of no width: what it splits is shown as it is, and does nothing


class Refused(Exception):
    """Why something cannot be taken; its text is for the summary."""


def printable(text: str, keep: str = "") -> str:
    """Show control characters, line breaks and halves of characters as escapes, so that no terminal obeys them."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def plain_files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder: no link is followed, no pipe or device opened, what systems hide left out."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not hidden(name))
        for path in sorted(Path(top) / name for name in names if not hidden(name)):
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def hidden(name: str) -> bool:
    """Whether this is a file or folder that an editor or a system keeps for itself."""
    return name.startswith(".") or name == "__MACOSX"


def safe_name(name: str) -> str:
    """Make a name for a folder of a student's, in any script: letters, marks and digits stay; `Bob_Brown_1234`."""
    plain = "".join(
        c if c.isalnum() or unicodedata.category(c)[0] == "M" or c in "_.@-" else "_"
        for c in unicodedata.normalize("NFC", name)
    )
    plain = re.sub("__+", "_", plain).strip("_.@-")
    if not plain or not plain[0].isalnum() or len(plain.encode()) > MOST_BYTES:
        raise Refused("the name is not a student's")
    return plain


def take(path: Path) -> bytes:
    """Read a regular file of at most `MOST_MEGABYTES`; no link, pipe, device or folder."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise Refused(f"{printable(path.name)} is a link, a folder or a device")
        content = path.read_bytes() if path.stat().st_size <= MOST_MEGABYTES * 2**20 else None
    except OSError:
        raise Refused(f"no file {printable(path.name)}") from None
    if content is None:
        raise Refused(f"larger than {MOST_MEGABYTES} MB")
    return content


def plain_notebook(content: bytes) -> str:
    """Write the notebook anew with what is graded of it: kinds, sources and ids of its cells. No output, no picture."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    if text.count("[") + text.count("{") > MOST_PARTS:
        raise Refused("not a notebook (too many parts)")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("not a notebook (no JSON)") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("cells"), list):
        raise Refused("not a notebook (no cells)")
    if len(raw["cells"]) > MOST_CELLS:
        raise Refused(f"more than {MOST_CELLS:,} cells")
    cells, ids = [], set()
    for number, cell in enumerate(raw["cells"]):
        match cell:
            case {"cell_type": "code" | "markdown" | "raw" as kind, "source": str() | list() as source}:
                pass
            case _:
                raise Refused("not a notebook (a cell without a source)")
        source = source if isinstance(source, str) else "".join(line for line in source if isinstance(line, str))
        plain = {"cell_type": kind, "source": source.encode("utf-8", "replace").decode(), "metadata": {}}
        plain |= {"outputs": [], "execution_count": None} if kind == "code" else {}
        match cell:
            case {"metadata": {"nbgrader": {"grade_id": str(grade_id)}}}:
                plain["metadata"] = {"nbgrader": {"grade_id": printable(grade_id)}}
        known = cell.get("id")
        fine = isinstance(known, str) and CELL_ID.fullmatch(known) and known not in ids
        plain["id"] = known if fine else f"own-{number}"
        ids.add(plain["id"])
        cells.append(plain)
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def harmless(text: str) -> str:
    """Take the life out of a student's Markdown: shown as before, it makes no HTML, no script and no link to one."""
    return BEGINNINGS.sub(lambda m: m[0] + APART, text)


def read_time(stamp: Path) -> datetime | None:
    """The time that a file `timestamp.txt` holds, in UTC; None where it holds no sensible one."""
    try:
        when = datetime.fromisoformat(take(stamp)[:64].decode().strip().removesuffix(" UTC"))
        when = when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    except (Refused, ValueError, OverflowError):
        return None
    return when if 2000 <= when.year < 2200 else None


def unzip(archive: Path, place: Path, megabytes: int) -> list[str]:
    """Unpack a zip below `place`, with the times of its files; name what could not be unpacked. No link comes out."""
    problems = []
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [member for member in packed.infolist() if not member.is_dir()]
            if len(members) > MOST_FILES or sum(member.file_size for member in members) > megabytes * 2**20:
                raise Refused(f"more than {MOST_FILES:,} files or {megabytes} MB, unpacked")
            for member in members:
                try:
                    out = packed.extract(member, place)
                    os.utime(out, (datetime(*member.date_time).timestamp(),) * 2)
                except Exception as problem:  # of whatever kind: the other students' files are unpacked
                    problems.append(f"{printable(member.filename)}: {printable(str(problem))}")
    except (OSError, ValueError, zipfile.BadZipFile) as problem:
        raise Refused(f"not a zip that can be read ({printable(str(problem))})") from None
    return problems
