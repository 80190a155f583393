"""The forms of Moodle and Canvas: names of submissions, the list of a class, the grades and pages that each takes back.

A roster is a file that the platform itself writes: Moodle's offline grading worksheet, Canvas's exported gradebook.
Going back, its rows and columns stay as they are and one column is filled in.
"""

import csv
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lmtutor.classroom.grading import read_summary
from lmtutor.classroom.intake import safe_name
from lmtutor.system.errors import LMTutorError, nearest, one_of

# Names of files and folders in a platform's download:
NAMES = {
    "moodle": re.compile(r"(?P<name>[^_]*)_(?P<number>\d+)_assignsubmission_[a-z]+_?(?P<file>.*)", re.S),
    "canvas": re.compile(r"(?P<name>.+?)(?P<late>_LATE)?_(?P<number>\d+)_(?P<attempt>\d+)_(?P<file>.+)", re.S),
}
NO_STUDENTS = ("Student, Test", "Points Possible")  # rows that Canvas adds
DATE = "%A, %d %B %Y, %I:%M %p"  # as Moodle writes it in English: Friday, 15 January 2027, 5:30 PM


@dataclass(frozen=True)
class Roster:
    """The list of a class, as the platform wrote it."""

    platform: str
    path: Path
    rows: list[list[str]]  # the header first
    delimiter: str

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return self.rows[0]

    @property
    def people(self) -> dict[str, list[str]]:
        """The rows of students, by the platform's number for each: `Participant 301`, in any language; Canvas's ID."""
        moodle = self.platform == "moodle"
        where, form = (0, r"\D+(\d+)") if moodle else (self.header.index("ID"), r"(\d+)")
        rows = [row for row in self.rows[1:] if len(row) > where and (moodle or row[0].strip() not in NO_STUDENTS)]
        found = [(re.fullmatch(form, row[where].strip()), row) for row in rows]
        return {number[1]: row for number, row in found if number}

    def student(self, number: str) -> str:
        """The name under which a course keeps a student's work."""
        row = self.people[number]
        name = self.value(row, "Full name") if self.platform == "moodle" else row[0]
        return safe_name(f"{(name or 'Participant')[:60]}_{number}")

    def value(self, row: list[str], column: str) -> str:
        """What stands in a column of a row; empty where there is no such column."""
        return row[self.header.index(column)] if column in self.header else ""

    def handed_in(self, number: str) -> datetime | None:
        """When, by Moodle's worksheet (in this machine's time zone); None where it does not say."""
        said = " ".join(self.value(self.people[number], "Last modified (submission)").split())
        try:
            return datetime.strptime(said, DATE).astimezone(UTC).replace(tzinfo=None)
        except ValueError:
            return None

    def grades(self, name: str, column: str | None) -> int:
        """Where the grades go: the place of that column, or of the one whose name begins with the assignment's."""
        fitting = [c for c in self.header if re.match(rf"{re.escape(name)}\b", c, re.I)]
        column = column or ("Grade" if self.platform == "moodle" else fitting[0] if len(fitting) == 1 else "")
        if column not in self.header:
            raise LMTutorError(f"{self.path}: name the column of {name} with --column.{nearest(column, self.header)}")
        return self.header.index(column)


def read_roster(path: Path, platform: str) -> Roster:
    """Read a roster; raise `LMTutorError` where it is none of this platform's."""
    one_of("platform", platform, NAMES)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise LMTutorError(f"{path} cannot be read ({problem}): export it again, as CSV in UTF-8.") from None
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    roster = Roster(
        platform, path, [row for row in csv.reader(text.splitlines(True), delimiter=delimiter) if row], delimiter
    )
    if platform == "canvas" and roster.rows and not {"Student", "ID"} <= set(roster.header) or len(roster.rows) < 2:
        raise LMTutorError(f"{path} is no gradebook of Canvas's: export it under Grades → Export.")
    if platform == "moodle" and not roster.people:
        raise LMTutorError(f"{path} is no grading worksheet of Moodle's: its first column has no participants.")
    return roster


def hand_back(course: Path, name: str, roster: Roster, column: str | None = None) -> tuple[Path, Path, list[str]]:
    """Write what the platform takes back: the roster with grades, penalties taken off, and a zip of the feedback pages.

    Returns
    -------
    The two files, and a line for each student of the roster who gets no grade or no page.

    Raises
    ------
    LMTutorError
        If nothing was graded, or the platform gives the assignment another number of points.
    """
    table, left = read_summary(course, name).set_index("student"), []
    where, full = roster.grades(name, column), table["points"].max()
    out, pages = (course / f"{roster.platform}-{name}{end}" for end in (".csv", "-feedback.zip"))
    with zipfile.ZipFile(pages, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, row in roster.people.items():
            student = roster.student(number)
            if student not in table.index:
                left.append(f"{student}: no grade")
                continue
            _same_points(roster, row, where, full)
            row[where] = f"{table.loc[student, 'score']:g}"
            page = course / "feedback" / student / name / f"{name}.html"
            called = _page_name(course, name, roster, number)
            if called and page.is_file():
                packed.write(page, called)
            else:
                left.append(f"{student}: no page, as nothing was handed in")
    with out.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=roster.delimiter, lineterminator="\n").writerows(roster.rows)
    return out, pages, left


def _same_points(roster: Roster, row: list[str], where: int, full: float) -> None:
    possible = [r[where] for r in roster.rows if r[0].strip() == "Points Possible" and len(r) > where]
    most = roster.value(row, "Maximum Grade") if roster.platform == "moodle" else possible[0] if possible else ""
    number = re.fullmatch(r"\d+(?:[.,]\d+)?", most.strip())
    if number and float(number[0].replace(",", ".")) != full:
        raise LMTutorError(
            f"{roster.path} gives the assignment {most.strip()} points, and it has {full:g}: set it so there."
        )


def _page_name(course: Path, name: str, roster: Roster, number: str) -> str | None:
    """The name by which the platform finds whose page it is. Canvas asks for that of a file handed in."""
    if roster.platform == "moodle":
        called = (roster.value(roster.people[number], "Full name") or "Participant").replace("_", " ").replace("/", " ")
        return f"{called}_{number}_assignsubmission_file_{name}.html"
    came = course / "submitted" / roster.student(number) / name / "came-as.txt"
    return f"{came.read_text(encoding='utf-8')}{name}.html" if came.is_file() else None
