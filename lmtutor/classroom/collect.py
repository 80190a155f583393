"""From a folder or a zip of submissions into the course: one notebook per student, or the reason why not."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lmtutor.classroom.intake import Refused, hidden, plain_files, printable, read_time, safe_name, take, unzip
from lmtutor.classroom.platforms import NAMES, Roster
from lmtutor.classroom.workspace import work_folder
from lmtutor.system.errors import LMTutorError

CLASS_MEGABYTES, STUDENT_MEGABYTES = 8_000, 400  # unpacked


@dataclass
class Collected:
    """What `collect` did."""

    taken: int = 0  # notebooks
    left: list[str] = field(default_factory=list)  # what was not taken, and why


@dataclass(frozen=True)
class Entry:
    """A file or folder of the download, and what its name says."""

    path: Path
    student: str
    number: str = ""  # the platform's, of the student
    attempt: int = 0
    late: bool = False
    file: str = ""  # as the student called it


@dataclass(frozen=True)
class Found:
    """A file of a student's."""

    path: Path
    name: str  # below the student's folder
    entry: Entry


def collect(
    source: Path,
    course: Path,
    name: str,
    platform: str | None = None,
    roster: Roster | None = None,
    timestamps: bool = False,
    due: datetime | None = None,
) -> Collected:
    """Copy submissions into the course. Who handed in nothing that can be taken gets a row all the same.

    Parameters
    ----------
    course, name : the course's folder, and the assignment, such as a1.
    source : a folder or a zip with files `STUDENT.ipynb`, folders or zips of a student's, or a platform's download.
    platform : "moodle" or "canvas": take only what is named as it names files. Default: whichever fits.
    roster : the list of the class; who is in it and has handed in nothing gets a row.
    timestamps : believe `STUDENT/timestamp.txt` (or `STUDENT.txt`) about when it was handed in. Students can write
        such a file; by default the time counts at which the notebook was last changed, or what the platform says.
    due : when it is due, in UTC. Canvas says who is late and not by how much: that counts as a second.
    """
    done = Collected()
    with work_folder() as space:
        folder = source
        if source.is_file():
            folder = space / "all"
            folder.mkdir()
            try:
                done.left += unzip(source, folder, CLASS_MEGABYTES)
            except Refused as refused:
                raise LMTutorError(f"{source}: {refused}") from None
        if not folder.is_dir():
            raise LMTutorError(f"{source} is not a folder or a zip of submissions: name the one that holds them")
        students = _students(folder, platform, roster, done.left)
        for student, entries in students.items():
            place = course / "submitted" / student / name
            place.mkdir(parents=True, exist_ok=True)
            for old in ("timestamp.txt", "came-as.txt", "not-taken.txt", f"{name}.ipynb"):
                (place / old).unlink(missing_ok=True)
            try:
                best = _choose(entries, name, space / student, done.left)
                (place / f"{name}.ipynb").write_bytes(take(best.path))
                _note_time(best, place, roster, timestamps, due, done.left)
                done.taken += 1
            except (Refused, OSError, OverflowError, ValueError) as problem:
                (place / "not-taken.txt").write_text(printable(str(problem)), encoding="utf-8")
                done.left.append(f"{student}: {printable(str(problem))}")
    return done


def _students(folder: Path, platform: str | None, roster: Roster | None, left: list[str]) -> dict[str, list[Entry]]:
    """The entries of each student, and an empty list for each who is missing."""
    entries = [path for path in sorted(folder.iterdir()) if not hidden(path.name)]
    while platform and len(entries) == 1 and entries[0].is_dir() and not NAMES[platform].fullmatch(entries[0].name):
        entries = [path for path in sorted(entries[0].iterdir()) if not hidden(path.name)]  # a folder round them all
    students: dict[str, list[Entry]] = {}
    for path in entries:
        shown = printable(path.name)
        try:
            entry = _read_name(path, platform, roster)
            if entry.student in students and not entry.number:
                other = students[entry.student][0].path.name
                raise Refused(f"{entry.student} has handed in {printable(other)}, too: keep one of them")
            if roster and entry.number not in roster.people:
                left.append(f"{shown}: not in {roster.path.name}; taken all the same")
            students.setdefault(entry.student, []).append(entry)
        except Refused as refused:
            left += [f"{shown}: {refused}"] if path.suffix != ".txt" else []
    for number in roster.people if roster else ():
        students.setdefault(roster.student(number), [])
    return students


def _read_name(path: Path, platform: str | None, roster: Roster | None) -> Entry:
    if path.is_symlink() or not (path.is_dir() or path.is_file()):
        raise Refused("not a file or a folder")
    fits = [found for kind in ([platform] if platform else NAMES) if (found := NAMES[kind].fullmatch(path.name))]
    if not fits:
        if platform or not (path.is_dir() or path.suffix in (".ipynb", ".zip")):
            raise Refused(f"not named as {platform.title()} names it" if platform else "not a notebook or a folder")
        return Entry(path, safe_name(path.name if path.is_dir() else path.stem), file=path.name)
    said = fits[0].groupdict()
    known = roster and said["number"] in roster.people
    student = roster.student(said["number"]) if known else safe_name(f"{said['name'][:60]}_{said['number']}")
    return Entry(path, student, said["number"], int(said.get("attempt") or 0), bool(said.get("late")), said["file"])


def _choose(entries: list[Entry], name: str, space: Path, left: list[str]) -> Found:
    """The notebook that counts, of all that a student handed in."""
    if not entries:
        raise Refused("nothing handed in")
    files = [found for entry in entries for found in _files(entry, space, left)]
    best = _latest(files, name)
    others = [found for found in files if found is not best and found.path.name != "timestamp.txt"]
    left += [f"{best.entry.student}: {printable(found.name)} not taken" for found in others]
    return best


def _note_time(
    best: Found, place: Path, roster: Roster | None, timestamps: bool, due: datetime | None, left: list[str]
) -> None:
    """Write down when it was handed in, as far as anybody knows, and under which name it came from Canvas."""
    entry = best.entry
    when = roster.handed_in(entry.number) if roster and entry.number in roster.people else None
    if timestamps and not when:
        when = read_time(entry.path / "timestamp.txt" if entry.path.is_dir() else entry.path.with_suffix(".txt"))
    if not when and not entry.number:
        when = datetime.fromtimestamp(best.path.stat().st_mtime, UTC).replace(tzinfo=None)
    if entry.late and due and not when:
        when = due + timedelta(seconds=1)
        left.append(f"{entry.student}: late; Canvas does not say by how much")
    if when:
        (place / "timestamp.txt").write_text(f"{when.isoformat(sep=' ')} UTC", encoding="utf-8")
    if entry.attempt:
        (place / "came-as.txt").write_text(entry.path.name.removesuffix(entry.file), encoding="utf-8")


def _files(entry: Entry, space: Path, left: list[str]) -> list[Found]:
    """A student's files, those in their zips too."""
    files = list(plain_files(entry.path)) if entry.path.is_dir() else [entry.path]
    base = entry.path if entry.path.is_dir() else None
    found = [Found(path, str(path.relative_to(base)) if base else entry.file or path.name, entry) for path in files]
    for number, packed in enumerate([one for one in found if one.name.lower().endswith(".zip")]):
        inside = space / f"{entry.attempt}-{number}"
        left += [f"{entry.student}: {line}" for line in unzip(packed.path, inside, STUDENT_MEGABYTES)]
        found += [Found(path, f"{packed.name}/{path.relative_to(inside)}", entry) for path in plain_files(inside)]
        found.remove(packed)
    return found


def _latest(files: list[Found], name: str) -> Found:
    """Choose a notebook: the right name, the latest attempt, the topmost folder; else the only one."""
    notebooks = [found for found in files if found.name.lower().endswith(".ipynb")]
    own = re.compile(rf"{re.escape(name)}(-\d+| ?\(\d+\))?\.ipynb", re.I)  # platforms and browsers add numbers
    named = [found for found in notebooks if own.fullmatch(Path(found.name).name)]
    pool = named or [found for found in notebooks if found.entry.attempt == max(n.entry.attempt for n in notebooks)]
    exact = [(f.entry.attempt, Path(f.name).name == f"{name}.ipynb", -f.name.count("/")) for f in pool]
    best = [found for found, rank in zip(pool, exact, strict=True) if rank == max(exact)]
    if len(best) != 1 or (not named and len(pool) != 1):
        names = ", ".join(printable(found.name) for found in pool or files)
        raise Refused(f"no single {name}.ipynb among: {names or 'nothing'}")
    return best[0]
