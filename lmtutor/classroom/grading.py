"""Grade a class in one go: nbgrader's gradebook and rules, with student code in a confined process.

nbgrader restores edited test cells, puts the hidden tests back and keeps the scores. The two classes here take the
places of its steps that trust the student: `Intake` rebuilds what came in on the released notebook, and
`ConfinedExecute` runs it in a `Sandbox` instead of a kernel with the teacher's rights.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from nbconvert.preprocessors import Preprocessor
from traitlets import Bool

from lmtutor.classroom.course import nbgrader_api
from lmtutor.classroom.sandbox import Cell, Limits, Outcome, Sandbox
from lmtutor.classroom.sources import question_of
from lmtutor.system.errors import LMTutorError

LARGEST = 10 * 2**20  # bytes of a submission
STUDENT = re.compile(r"[\w.@-]{1,80}")


@dataclass
class Session:
    """What grading one class shares: the sandbox, and what was noticed, by student."""

    box: Sandbox
    notes: dict[str, list[str]] = field(default_factory=dict)


_SESSION: list[Session] = []


@contextmanager
def session(course: Path, limits: Limits | None = None, isolation: str | None = None) -> Iterator[Session]:
    """Open a sandbox for every notebook graded inside the block."""
    with Sandbox(limits, isolation) as box:
        _SESSION.append(Session(box))
        try:
            yield _SESSION[-1]
        finally:
            _SESSION.pop()


class Intake(Preprocessor):
    """Rebuild a submission on the release: known cells once each, in their released kind, missing ones put back."""

    enabled = Bool(True).tag(config=True)

    def preprocess(self, nb: Any, resources: dict) -> tuple[Any, dict]:
        """Take sources from the student and metadata from the release."""
        import nbformat

        course = _course_of(resources)
        name = resources["nbgrader"]["assignment"]
        released = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
        known = {c.metadata.nbgrader.grade_id: c for c in released.cells if "nbgrader" in c.metadata}
        cells, seen = [], set()
        for cell in nb.cells:
            facts = cell.metadata.pop("nbgrader", None)
            grade_id = facts.get("grade_id") if isinstance(facts, dict) else None
            if grade_id in known and grade_id not in seen:
                seen.add(grade_id)
                mine = known[grade_id].copy()
                if not mine.metadata.nbgrader.locked:
                    mine["source"] = cell.source
                cell = mine
            cells.append(cell)
        order = list(known)
        for place, grade_id in enumerate(order):
            if grade_id in seen or not (
                known[grade_id].metadata.nbgrader.grade or known[grade_id].metadata.nbgrader.locked
            ):
                continue  # a missing answer stays missing: the student may have written it in a cell of their own
            before = set(order[:place])
            spots = [i for i, c in enumerate(cells) if c.metadata.get("nbgrader", {}).get("grade_id") in before]
            following = spots[-1] + 1 if spots else 0
            while following < len(cells) and "nbgrader" not in cells[following].metadata and spots:
                following += 1  # after the student's own cells that belong to the same question
            cells.insert(following, known[grade_id])
        for number, cell in enumerate(cells):
            cell.id = f"{name}-{number}"
        nb.cells = cells
        nb.metadata = released.metadata
        return nb, resources


class ConfinedExecute(Preprocessor):
    """Run the cells in the sandbox; write outputs and errors into the notebook, where nbgrader looks for them."""

    enabled = Bool(True).tag(config=True)

    def preprocess(self, nb: Any, resources: dict) -> tuple[Any, dict]:
        """Run the notebook."""
        if not _SESSION:  # called by nbgrader's own command
            with session(_course_of(resources)):
                return self.preprocess(nb, resources)
        now, student = _SESSION[-1], resources["nbgrader"]["student"]
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        cells = [Cell(cell.source, bool(_facts(cell).get("grade"))) for cell in code]
        folder = _course_of(resources) / "submitted" / student / resources["nbgrader"]["assignment"]
        notes = now.notes.setdefault(student, [])
        asked = question_of(next((_facts(c)["grade_id"] for c in code if _facts(c)), "the first question"))
        for cell, outcome in zip(code, now.box.run(cells, folder if folder.is_dir() else None), strict=True):
            asked = question_of(_facts(cell).get("grade_id", asked))
            cell.execution_count, cell.outputs = None, _outputs(outcome)
            if outcome.stopped or outcome.error == "NotRun":
                notes.append(f"{asked}: {outcome.message}")
            elif outcome.error and not _facts(cell).get("grade"):
                notes.append(f"{asked}: {outcome.error}: {outcome.message}"[:160])
        return nb, resources


def _facts(cell: Any) -> dict:
    return cell.metadata.get("nbgrader", {})


def _course_of(resources: dict) -> Path:
    return Path(resources["nbgrader"]["db_url"].removeprefix("sqlite:///")).parent


def _outputs(outcome: Outcome) -> list:
    from nbformat.v4 import new_output

    outputs = [new_output("stream", name="stdout", text=outcome.output)] if outcome.output else []
    if outcome.error:
        told = f"{outcome.error}: {outcome.message}" + (f" ({outcome.where})" if outcome.where else "")
        outputs.append(new_output("error", ename=outcome.error, evalue=outcome.message, traceback=[told]))
    return outputs


def problem_with(path: Path) -> str | None:
    """Say why a submitted file cannot be graded; None when it can."""
    import nbformat

    if not path.is_file() or path.is_symlink():
        return f"no file {path.name}"
    if path.stat().st_size > LARGEST:
        return f"larger than {LARGEST // 2**20} MB"
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return "not UTF-8"
    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises many kinds, and none of them may end the class
        return f"not a notebook ({type(error).__name__})"
    return None


def grade(
    course: Path, name: str, limits: Limits | None = None, isolation: str | None = None, progress: Any = None
) -> pd.DataFrame:
    """Grade every submission of an assignment that lies in `course/submitted/STUDENT/NAME/`.

    Nothing a student hands in stops the class: what cannot be graded gets zero points and a note.

    Parameters
    ----------
    limits : of a student's process.
    isolation : see `Sandbox`.
    progress : called with each student's name and note.

    Returns
    -------
    DataFrame
        A row a student: status, score, points, to_read (points that a person still has to give), late_hours, the score
        of each question, notes. Also written to `course/summary-NAME.csv`; the feedback pages to `course/feedback/`.
    """
    from lmtutor.classroom.feedback import write_feedback

    course = Path(course).resolve()
    if not (course / "release" / name).is_dir():
        raise LMTutorError(f"{name!r} is not in the course {course}; build it with: lmtutor assignments build")
    students = sorted(path.parent.name for path in (course / "submitted").glob(f"*/{name}"))
    if not students:
        raise LMTutorError(f"Nothing to grade: put submissions at {course}/submitted/STUDENT/{name}/{name}.ipynb")
    api = nbgrader_api(course)
    rows = []
    with session(course, limits, isolation) as now:
        if progress:
            progress(now.box.notice)
        for student in students:
            problem = _grade_one(api, course, name, student)
            notes = "; ".join(now.notes.get(student, []))
            status = "graded" if problem is None else problem
            row = _row(api, name, student, status, notes)
            write_feedback(course, name, row, api)
            rows.append(row)
            if progress:
                progress(f"{student}: {row['score']:g} of {row['points']:g}; {status}{'; ' + notes if notes else ''}")
    table = pd.DataFrame(rows).set_index("student")
    table.to_csv(course / f"summary-{name}.csv")
    return table


def report(course: Path, name: str) -> pd.DataFrame:
    """Write the summary and the feedback again, with the points and comments that a person gave since; run nothing.

    Returns
    -------
    DataFrame, as from `grade`.

    Raises
    ------
    LMTutorError
        When the assignment was not graded yet.
    """
    from lmtutor.classroom.feedback import write_feedback

    course = Path(course).resolve()
    path = course / f"summary-{name}.csv"
    if not path.is_file():
        raise LMTutorError(f"{name!r} was not graded in {course} yet: lmtutor assignments grade {name}")
    api, rows = nbgrader_api(course), []
    before = pd.read_csv(path, dtype={"student": str}, keep_default_na=False)
    for student, status, notes in before[["student", "status", "notes"]].itertuples(index=False):
        rows.append(_row(api, name, student, status, notes))
        write_feedback(course, name, rows[-1], api)
    table = pd.DataFrame(rows).set_index("student")
    table.to_csv(path)
    return table


def _grade_one(api: Any, course: Path, name: str, student: str) -> str | None:
    """Grade one submission; return what was wrong with it."""
    if not STUDENT.fullmatch(student):
        return "the folder's name is no student name"
    problem = problem_with(course / "submitted" / student / name / f"{name}.ipynb")
    if problem is None:
        result = api.autograde(name, student, force=True, create=True)
        if result["success"]:
            return None
        lines = (result.get("error") or result.get("log") or "").strip().splitlines()
        problem = "the grader failed" + (f" ({lines[-1][:120]})" if lines else "")
    _give_zero(api, course, name, student)
    return problem


def _give_zero(api: Any, course: Path, name: str, student: str) -> None:
    stamp = course / "submitted" / student / name / "timestamp.txt"
    with api.gradebook as gradebook:
        gradebook.update_or_create_student(student)
        when = _when(stamp)
        submission = gradebook.update_or_create_submission(name, student, **({"timestamp": when} if when else {}))
        for notebook in submission.notebooks:
            for one in notebook.grades:
                one.auto_score, one.needs_manual_grade = 0, False
        gradebook.db.commit()


def _when(stamp: Path) -> datetime | None:
    try:
        when = datetime.fromisoformat(stamp.read_text(encoding="utf-8").strip().removesuffix(" UTC"))
    except (OSError, ValueError):
        return None
    return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when


def _row(api: Any, name: str, student: str, status: str, notes: str) -> dict:
    with api.gradebook as gradebook:
        row = {"student": student, "status": status, "score": 0.0, "points": 0.0, "to_read": 0.0, "late_hours": 0.0}
        if not STUDENT.fullmatch(student):
            return row | {"notes": notes}
        submission = gradebook.find_submission(name, student)
        row |= {"score": submission.score, "points": submission.max_score}
        row["late_hours"] = round(submission.total_seconds_late / 3600, 2)
        grades = [one for notebook in submission.notebooks for one in notebook.grades]
        row["to_read"] = sum(one.max_score_gradecell for one in grades if one.needs_manual_grade)
        row |= {question_of(one.name): one.score for one in sorted(grades, key=lambda one: one.name)}
    return row | {"notes": notes}


def collect(folder: Path, course: Path, name: str) -> int:
    """Copy submissions into the course: files `STUDENT.ipynb`, or folders `STUDENT/` that hold one notebook.

    When a file was last changed counts as when it was handed in, unless a `timestamp.txt` lies beside it.

    Returns
    -------
    How many were copied.
    """
    if not folder.is_dir():
        raise LMTutorError(f"{folder} is no folder of submissions.")
    count = 0
    for entry in sorted(folder.iterdir()):
        found = sorted(entry.glob("*.ipynb")) if entry.is_dir() else [entry] if entry.suffix == ".ipynb" else []
        if not found:
            continue
        student = entry.name if entry.is_dir() else entry.stem
        place = course / "submitted" / student / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.ipynb").write_bytes(found[0].read_bytes())
        stamp = entry / "timestamp.txt" if entry.is_dir() else entry.with_suffix(".txt")
        when = _when(stamp) or datetime.fromtimestamp(found[0].stat().st_mtime, UTC).replace(tzinfo=None)
        (place / "timestamp.txt").write_text(f"{when.isoformat(sep=' ')} UTC", encoding="utf-8")
        count += 1
    return count
