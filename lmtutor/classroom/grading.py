"""Grade a class in one go: nbgrader's gradebook and rules, with student code in a confined process.

nbgrader restores edited test cells, puts the hidden tests back and keeps the scores. The two classes here take the
places of its steps that trust the student: `Intake` rebuilds what came in on the released notebook, and
`ConfinedExecute` runs it in a `Sandbox` instead of a kernel with the teacher's rights.
"""

import hashlib
import hmac
import json
import math
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from nbconvert.preprocessors import Preprocessor
from traitlets import Bool

from lmtutor.classroom.course import nbgrader_api
from lmtutor.classroom.feedback import graded_cells, said_by, write_feedback
from lmtutor.classroom.intake import Refused, plain_notebook, printable, read_time, safe_name, take
from lmtutor.classroom.rebuild import rebuild
from lmtutor.classroom.sandbox import Cell, Limits, Outcome, Sandbox
from lmtutor.classroom.sources import HELPED, TEXT_STUB, question_of
from lmtutor.system.errors import LMTutorError

# What an answer has no use for, and an attack on the tests has; the summary says where it stands.
SUSPECT = re.compile(r"get_ipython|_getframe|currentframe|f_back|tb_frame|\bgc\b|ctypes|ast_transformers|linecache")


@dataclass
class Session:
    """What grading one class shares: the sandbox, and what was noticed, by student."""

    box: Sandbox
    notes: dict[str, list[str]] = field(default_factory=dict)


_SESSION: list[Session] = []


@contextmanager
def session(limits: Limits | None = None, isolation: str | None = None) -> Iterator[Session]:
    """Open a sandbox for every notebook graded inside the block."""
    with Sandbox(limits, isolation) as box:
        _SESSION.append(Session(box))
        try:
            yield _SESSION[-1]
        finally:
            _SESSION.pop()


def secret_number(course: Path, what: str) -> int:
    """A number below 2^31 that the secret of the course draws for something, such as "a1/ann"."""
    path = course / "secret.txt"
    if not path.is_file():
        path.write_text(secrets.token_hex(16), encoding="utf-8")
        path.chmod(0o600)
    key = path.read_text(encoding="utf-8").strip().encode()
    return int.from_bytes(hmac.digest(key, what.encode(), "sha256")[:4], "big") >> 1


def seed_of(course: Path, name: str, student: str) -> int:
    """The seed of a submission's hidden tests: from the assignment, the student and the secret of the course."""
    return secret_number(course, f"{name}/{student}")


class Intake(Preprocessor):
    """Rebuild a submission on the release: known cells once each, in their released kind, missing ones put back."""

    enabled = Bool(True).tag(config=True)

    def preprocess(self, nb: Any, resources: dict) -> tuple[Any, dict]:
        """Take sources from the student and metadata from the release."""
        import nbformat

        course, name = _course_of(resources), resources["nbgrader"]["assignment"]
        released = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
        nb.cells, lost = rebuild(nb.cells, released.cells, name)
        nb.metadata = released.metadata
        if lost and _SESSION:
            notes = _SESSION[-1].notes.setdefault(resources["nbgrader"]["student"], [])
            notes.append(f"marks of cells were lost; known by their place: {', '.join(lost)}")
        return nb, resources


class ConfinedExecute(Preprocessor):
    """Run the cells in the sandbox; write outputs and errors into the notebook, where nbgrader looks for them."""

    enabled = Bool(True).tag(config=True)

    def preprocess(self, nb: Any, resources: dict) -> tuple[Any, dict]:
        """Run the notebook."""
        if not _SESSION:  # called by nbgrader's own command
            with session():
                return self.preprocess(nb, resources)
        now, student, name = _SESSION[-1], resources["nbgrader"]["student"], resources["nbgrader"]["assignment"]
        course = _course_of(resources)
        seed = seed_of(course, name, student)
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        cells = [_seeded(cell, seed + number) for number, cell in enumerate(code)]
        folder = course / "submitted" / student / name
        notes = now.notes.setdefault(student, [])
        asked = question_of(next((_facts(c)["grade_id"] for c in code if _facts(c)), "the first question"))
        for cell, outcome in zip(code, now.box.run(cells, folder if folder.is_dir() else None), strict=True):
            asked, graded = question_of(_facts(cell).get("grade_id", asked)), _facts(cell).get("grade")
            cell.execution_count, cell.outputs = None, _outputs(outcome, cell.source if graded else None)
            if outcome.stopped or outcome.error in ("NotRun", "NotTrusted"):
                notes.append(f"{asked}: {outcome.message}")
            elif outcome.error and not graded:
                notes.append(f"{asked}: {outcome.error} {outcome.where or ''}".strip())
            if not _facts(cell).get("locked") and (words := set(SUSPECT.findall(cell.source))):
                notes.append(f"{asked}: please look at the code: {', '.join(sorted(words))}")
        return nb, resources


def _seeded(cell: Any, seed: int) -> Cell:
    """A cell with its seed; a test's generators start from it, too."""
    graded = bool(_facts(cell).get("grade"))
    return Cell(cell.source.replace("default_rng()", f"default_rng({seed})") if graded else cell.source, graded, seed)


def _facts(cell: Any) -> dict:
    return cell.metadata.get("nbgrader", {})


def _course_of(resources: dict) -> Path:
    return Path(resources["nbgrader"]["db_url"].removeprefix("sqlite:///")).parent


def _outputs(outcome: Outcome, test: str | None) -> list:
    from nbformat.v4 import new_output

    outputs = [new_output("stream", name="stdout", text=outcome.output)] if outcome.output else []
    if outcome.error:
        own = outcome.stopped or outcome.error in ("NotRun", "NotTrusted")
        message = outcome.message if own or test is None else said_by(test, outcome) or ""
        told = outcome.error + (f": {message}" if message else "") + (f" ({outcome.where})" if outcome.where else "")
        outputs.append(new_output("error", ename=outcome.error, evalue=message, traceback=[told]))
    return outputs


def grade(
    course: Path,
    name: str,
    limits: Limits | None = None,
    isolation: str | None = None,
    progress: Any = None,
    only: str | None = None,
) -> pd.DataFrame:
    """Grade every submission of an assignment that lies in `course/submitted/STUDENT/NAME/`.

    Nothing a student hands in stops the class: what cannot be graded gets zero points and a note.

    Parameters
    ----------
    limits, isolation : see `Sandbox`.
    progress : called with a line per student.
    only : the one student to grade; the summary keeps the rows of the others.

    Returns
    -------
    DataFrame
        A row per student: status, score (less the penalty), points, to_read (points awaiting manual grading),
        late_hours, penalty, seed of the hidden tests, digest of the file, who helped, score of each question, notes.
        Written to `course/summary-NAME.csv`, too; pages to `feedback/`.
    """
    course = Path(course).resolve()
    if not (course / "release" / name).is_dir():
        raise LMTutorError(f"{name!r} is not in the course {course}; build it with: lmtutor assignments build")
    students = sorted(path.parent.name for path in (course / "submitted").glob(f"*/{name}"))
    students = [student for student in students if only in (None, student)]
    if not students:
        raise LMTutorError(f"Nothing to grade: put submissions at {course}/submitted/STUDENT/{name}/{name}.ipynb")
    api, rows = nbgrader_api(course, submitted="checked"), []
    with session(limits, isolation) as now:
        if progress:
            progress(now.box.notice)
        for student in students:
            try:
                row = _grade_one(api, course, name, student, now.notes)
            except Exception as error:  # whatever one student's files do to nbgrader, the others are graded
                row = {"student": printable(student), "status": f"the grader failed ({type(error).__name__})"}
                row |= dict.fromkeys(("score", "points", "to_read", "late_hours", "penalty"), 0.0)
            rows.append(row)
            if progress:
                notes = f"; {row['notes']}" if row.get("notes") else ""
                progress(f"{row['student']}: {row['score']:g} of {row['points']:g}; {row['status']}{notes}")
    path = course / f"summary-{name}.csv"
    if only is not None and path.is_file():
        rows = [row for row in read_summary(course, name).to_dict("records") if row["student"] != only] + rows
    for row in rows:
        if row["student"] in students:
            write_feedback(course, name, row, api, rows)
    return _write_summary(path, rows)


def regrade(course: Path, name: str, student: str, limits: Limits | None = None) -> pd.DataFrame:
    """Grade one submission again, with the seed that the summary names; return its row before and now."""
    course = Path(course).resolve()
    before = read_summary(course, name).set_index("student")
    if student not in before.index:
        raise LMTutorError(f"{student!r} is not in the summary of {name}: grade the assignment first")
    if str(before.loc[student, "seed"]) != str(seed_of(course, name, student)):
        raise LMTutorError(f"secret.txt in {course} has changed since {name} was graded: put the old one back")
    now = grade(course, name, limits, only=student)
    return pd.DataFrame({"before": before.loc[student], "now": now.loc[student]})


def report(course: Path, name: str) -> pd.DataFrame:
    """Write the summary and the feedback again, with the points and comments that a person gave since; run nothing.

    More points than a question has are refused with an `LMTutorError`: they were not given by a person.
    """
    course = Path(course).resolve()
    before, api = read_summary(course, name).to_dict("records"), nbgrader_api(course)
    rows = [old | _row(api, course, name, old["student"], old["status"], old["notes"], most=True) for old in before]
    for row in rows:
        write_feedback(course, name, row, api, rows)
    return _write_summary(course / f"summary-{name}.csv", rows)


def read_summary(course: Path, name: str) -> pd.DataFrame:
    """The summary table of an assignment; `LMTutorError` where it was not graded yet."""
    path = course / f"summary-{name}.csv"
    if not path.is_file():
        raise LMTutorError(f"{name!r} was not graded in {course} yet: lmtutor assignments grade {name}")
    texts = dict.fromkeys(("student", "notes", "status", "digest", "helped"), str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False)


def _write_summary(path: Path, rows: list[dict]) -> pd.DataFrame:
    """Write the table; a text that a spreadsheet would take for a formula gets an apostrophe."""
    table = pd.DataFrame(rows).sort_values("student").set_index("student")
    table["notes"] = table.pop("notes").fillna("") if "notes" in table else ""  # the last column
    texts = table.reset_index()
    for column in texts.select_dtypes(exclude="number"):
        texts[column] = ["'" + str(x) if str(x)[:1] in ("=", "+", "-", "@") else x for x in texts[column]]
    texts.to_csv(path, index=False)
    return table


def _grade_one(api: Any, course: Path, name: str, student: str, notes: dict) -> dict:
    """Grade one submission, from a plain copy in `course/checked`; return its row."""
    if safe_name(student) != student:
        raise Refused("the folder's name is not a student's")
    came, place, content = course / "submitted" / student / name, course / "checked" / student / name, b""
    place.mkdir(parents=True, exist_ok=True)
    when, problem = read_time(came / "timestamp.txt"), None
    (place / "timestamp.txt").write_text(f"{when} UTC" if when else "", encoding="utf-8")
    try:
        if came.is_symlink() or came.parent.is_symlink():
            raise Refused("the folder is a link")
        if (came / "not-taken.txt").is_file():
            raise Refused(printable(take(came / "not-taken.txt")[:200].decode(errors="replace")))
        content = take(came / f"{name}.ipynb")
        (place / f"{name}.ipynb").write_text(_of_this_assignment(plain_notebook(content), name), encoding="utf-8")
        result = api.autograde(name, student, force=True, create=True)
        if not result["success"]:
            lines = (result.get("error") or result.get("log") or "").strip().splitlines() or ["no reason given"]
            raise Refused(f"the grader failed ({printable(lines[-1][:120])})")
    except Refused as refused:
        problem = str(refused)
        _give_zero(api, name, student, when)
    own = {"digest": hashlib.sha256(content).hexdigest()[:16], "helped": ""}
    for cell in [] if problem else graded_cells(course, name, student):
        if cell.cell_type == "markdown" and cell.source.startswith(HELPED.partition(TEXT_STUB)[0]):
            said = cell.source.removeprefix(HELPED.partition(TEXT_STUB)[0]).replace(TEXT_STUB, "").strip()
            own["helped"] = printable(said)
    row = _row(api, course, name, student, problem or "graded", "; ".join(notes.get(student, [])))
    return row | own


def _of_this_assignment(notebook: str, name: str) -> str:
    """Pass the notebook on, where its marks are not all another assignment's."""
    marks = {
        cell["metadata"]["nbgrader"]["grade_id"].split("-")[0]
        for cell in json.loads(notebook)["cells"]
        if cell["metadata"]
    }
    if marks and name not in marks:
        raise Refused(f"this is assignment {', '.join(sorted(marks))[:80]}, not {name}")
    return notebook


def _give_zero(api: Any, name: str, student: str, when: Any) -> None:
    with api.gradebook as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(name, student, **({"timestamp": when} if when else {}))
        for notebook in submission.notebooks:
            for one in notebook.grades:
                one.auto_score, one.needs_manual_grade = 0, False
        gradebook.db.commit()


def _row(api: Any, course: Path, name: str, student: str, status: str, notes: str, most: bool = False) -> dict:
    """The row of the summary; with `most`, refuse more points than a question has."""
    row = {"student": student, "status": status, "score": 0.0, "points": 0.0, "to_read": 0.0, "late_hours": 0.0}
    with api.gradebook as gradebook:
        submission = gradebook.find_submission(name, student)
        late, scores = submission.total_seconds_late, {}
        row |= {"points": submission.max_score, "late_hours": round(late / 3600, 2), "penalty": 0.0}
        row["seed"] = seed_of(course, name, student)
        grades = [one for notebook in submission.notebooks for one in notebook.grades]
        row["to_read"] = sum(one.max_score_gradecell for one in grades if one.needs_manual_grade)
        for one in sorted(grades, key=lambda one: one.name):
            question, full = question_of(one.name), one.max_score_gradecell
            if most and one.score > full:
                raise LMTutorError(f"{student}: {one.name} has {one.score:g} of {full:g} points: mend it in Formgrader")
            scores[question] = scores.get(question, 0.0) + min(one.score, full)
        percent = api.config.LatePenalty.get("percent_a_day", 0)
        if percent:  # ours, kept where nbgrader keeps its own, so that its export agrees
            share = percent / 100 * math.ceil(late / 86_400)
            submission.notebooks[0].late_submission_penalty = min(share * row["points"], sum(scores.values()))
            gradebook.db.commit()
        row["penalty"] = sum(notebook.late_submission_penalty or 0.0 for notebook in submission.notebooks)
    return row | {"score": max(sum(scores.values()) - row["penalty"], 0.0)} | scores | {"notes": notes}
