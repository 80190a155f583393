"""What is handed in: of files from anywhere one plain notebook is kept, or one line that says why not.

Nothing here trusts a name, a link, a time or a cell of a student's, and nothing here runs.
"""

import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lmtutor.system.errors import LMTutorError

MOST_MEGABYTES, MOST_PARTS = 40, 500_000  # of a notebook; parts are its lists and tables
STUDENT, CELL_ID = re.compile(r"\w[\w.@-]{0,79}"), re.compile(r"(?!own-)[A-Za-z0-9_-]{1,64}")
# Names of files and folders as learning platforms write them: the student's, then their number.
MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(file|onlinetext)_?")
CANVAS = re.compile(r"(?P<name>[^_]+)_(LATE_)?(?P<number>\d+)_\d+_.+")
# Where HTML, an entity, a script's address or a TeX command that makes links or classes could begin:
BEGINNINGS = re.compile(
    r"<(?=[a-z/!?])|&(?=[#\w])|(script|data)(?=[\s\\]*:)|\\(?=href|url|class|cssId|style|require|html)", re.I
)
APART = "\u200b"  # a space of no width: what it splits is shown as it is, and does nothing


class Refused(Exception):
    """Why something cannot be taken; its text is for the summary."""


@dataclass
class Collected:
    """What `collect` did."""

    taken: int = 0
    left: list[str] = field(default_factory=list)  # what was not taken, and why


def printable(text: str, keep: str = "") -> str:
    """Show control characters, line breaks and halves of characters as escapes, so that no terminal obeys them."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def plain_files(folder: Path) -> Iterator[Path]:
    """The regular files below a folder: no link is followed, no pipe or device opened."""
    for top, _, names in os.walk(folder):
        for path in sorted(Path(top) / name for name in names):
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def student_id(name: str) -> str:
    """Make a safe name of a file's or folder's: `Bob_Brown_1234` of `Bob Brown_1234_assignsubmission_file_`."""
    found = MOODLE.fullmatch(name) or CANVAS.fullmatch(name)
    plain = unicodedata.normalize("NFC", f"{found['name']}_{found['number']}" if found else name)
    plain = re.sub(r"[^\w.@-]+", "_", plain).strip("_.@-")
    if not STUDENT.fullmatch(plain):
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


def collect(folder: Path, course: Path, name: str, timestamps: bool = False) -> Collected:
    """Copy submissions into the course: files `STUDENT.ipynb`, or folders `STUDENT/` with `NAME.ipynb` in them.

    A file or folder of which nothing can be taken gets a row in the summary all the same, with no points.

    Parameters
    ----------
    timestamps : believe `STUDENT/timestamp.txt` (or `STUDENT.txt`) about when it was handed in. Students can write
        such a file; by default the time counts at which the notebook was last changed.
    """
    if not folder.is_dir():
        raise LMTutorError(f"{folder} is not a folder of submissions: name the folder that holds them")
    done, seen = Collected(), {}
    for entry in sorted(folder.iterdir()):
        shown = printable(entry.name)
        if entry.is_symlink() or not (entry.is_dir() or entry.suffix in (".ipynb", ".zip")):
            if entry.suffix != ".txt":
                done.left.append(f"{shown}: not a notebook or a folder")
            continue
        try:
            student = student_id(entry.name if entry.is_dir() else entry.stem)
            if student in seen:
                raise Refused(f"{student} has handed in {seen[student]}, too: keep one of them")
            seen[student] = shown
            place = course / "submitted" / student / name
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{name}.ipynb").unlink(missing_ok=True)
            found = _notebook_in(entry, name, done.left)
            (place / f"{name}.ipynb").write_bytes(take(found))
            stamp = entry / "timestamp.txt" if entry.is_dir() else entry.with_suffix(".txt")
            when = read_time(stamp) if timestamps else None
            when = when or datetime.fromtimestamp(found.stat().st_mtime, UTC).replace(tzinfo=None)
            (place / "timestamp.txt").write_text(f"{when.isoformat(sep=' ')} UTC", encoding="utf-8")
            done.taken += 1
        except (Refused, OSError, OverflowError, ValueError) as problem:
            done.left.append(f"{shown}: {printable(str(problem))}")
    return done


def _notebook_in(entry: Path, name: str, left: list[str]) -> Path:
    """Choose the notebook of one student: the only one, or the only one with the right name."""
    files = list(plain_files(entry)) if entry.is_dir() else [entry]
    found = [path for path in files if path.suffix == ".ipynb" and ".ipynb_checkpoints" not in path.parts]
    right = [path for path in found if path.name == f"{name}.ipynb"]
    chosen = [path for path in right if path.parent == entry] or right or found
    if len(chosen) != 1:
        names = ", ".join(printable(str(path.relative_to(entry))) for path in chosen or files if path != entry)
        raise Refused(f"no single {name}.ipynb among: {names or 'nothing'}")
    others = [path for path in files if path not in chosen and path.name != "timestamp.txt"]
    left += [f"{printable(str(path.relative_to(entry.parent)))}: not taken" for path in others]
    return chosen[0]
