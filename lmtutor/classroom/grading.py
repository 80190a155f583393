"""Grade a class in one go: student code in a confined process, scores in nbgrader's gradebook.

A submission is rebuilt on the release, gets the tests of the course's source, hidden ones too, and runs in a `Sandbox`.
What came of it stands in `course/autograded/`, where nbgrader's Formgrader looks for it.
"""

import copy
import hashlib
import hmac
import json
import math
import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbconvert.preprocessors import Preprocessor

from lmtutor.classroom.course import check_released, nbgrader_api
from lmtutor.classroom.feedback import graded_cells, said_by, write_feedback
from lmtutor.classroom.intake import Refused, plain_notebook, printable, read_time, safe_name, take
from lmtutor.classroom.rebuild import rebuild
from lmtutor.classroom.sandbox import Cell, Limits, Outcome, Sandbox
from lmtutor.classroom.sources import HELPED, TEXT_STUB, question_of
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import write_atomically

# What an answer has no use for, and an attack on the tests has; the summary says where it stands.
SUSPECT = re.compile(
    r"get_ipython|_getframe|currentframe|f_back|tb_frame|\bgc\b|ctypes|ast_transformers|linecache|settrace|setprofile|"
    r"__eq__|__ne__|__builtins__|\bbuiltins\b|sys\.modules|\.\w*(?:close|equal) *=(?!=)"
)
FORMULA = tuple("=+-@＝＋－＠")  # how a text begins that a spreadsheet would compute, of full width too
MOST_NOTES = 20  # a page full of them tells a student what is run, not what is wrong


class UseOurCommand(Preprocessor):
    """Stands where `nbgrader autograde`, and its button, would run student code with the teacher's rights."""

    def preprocess(self, nb: Any, resources: dict) -> tuple[Any, dict]:
        """Refuse."""
        raise LMTutorError("student code runs confined only with: lmtutor assignments grade NAME")


def secret_number(course: Path, what: str) -> int:
    """A number below 2^31 that the secret of the course draws for something, such as "a1/ann"."""
    path = course / "secret.txt"
    if not path.is_file():
        write_atomically(path, secrets.token_hex(16).encode())
        path.chmod(0o600)
    key = path.read_text(encoding="utf-8").strip().encode()
    return int.from_bytes(hmac.digest(key, what.encode(), "sha256")[:4], "big") >> 1


def seed_of(course: Path, name: str, student: str) -> int:
    """The seed of a submission's hidden tests: from the assignment, the student and the secret of the course."""
    return secret_number(course, f"{name}/{student}")


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
        late_hours, penalty, seed of the hidden tests, score of each question, digest of the file, who helped, notes.
        Written to `course/summary-NAME.csv`, too; pages to `feedback/`.
    """
    course = Path(course).resolve()
    check_released(course, name)
    students = sorted(path.parent.name for path in (course / "submitted").glob(f"*/{name}"))
    students = [student for student in students if only in (None, student)]
    if not students:
        raise LMTutorError(f"Nothing to grade: put submissions at {course}/submitted/STUDENT/{name}/{name}.ipynb")
    api = nbgrader_api(course)
    rows = _grade_all(api, course, name, students, limits, isolation, progress or (lambda line: None))
    path = course / f"summary-{name}.csv"
    if only is not None and path.is_file():
        rows = [row for row in read_summary(course, name).to_dict("records") if row["student"] != only] + rows
    for row in rows:
        if row["student"] in students:
            write_feedback(course, name, row, api, rows)
    return _write_summary(path, rows)


def _grade_all(api: Any, course: Path, name: str, students: list, limits: Any, isolation: Any, tell: Any) -> list[dict]:
    """Run the submissions, as many at a time as there are processor cores; a row each, in the order of the names."""
    handed_out, rows = _handed_out(course, name), []
    secret_number(course, name)  # written here, before the threads ask for it
    with Sandbox(limits, isolation) as box:
        tell(box.notice)
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        running = {student: pool.submit(_run_one, course, name, student, box, handed_out) for student in students}
        try:
            for student in students:
                try:
                    row = _record(api, course, name, student, running.pop(student).result())
                except Exception as error:  # whatever one student's files do, the others are graded
                    status = printable(f"the grader failed ({type(error).__name__}: {error})")
                    row = {"student": printable(student), "status": status}
                    row |= dict.fromkeys(("score", "points", "to_read", "late_hours", "penalty"), 0.0) | {"notes": ""}
                rows.append(row)
                notes = f"; {row['notes']}" if row["notes"] else ""
                tell(f"{row['student']}: {row['score']:g} of {row['points']:g}; {row['status']}{notes}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return rows


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
    rows = [old | _scores(api, course, name, old["student"], most=True) for old in before]
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
    table["notes"] = table.pop("notes")  # the last column
    texts = table.reset_index()
    for column in texts.select_dtypes(exclude="number"):
        texts[column] = ["'" + str(x) if str(x)[:1] in FORMULA else x for x in texts[column]]
    write_atomically(path, texts.to_csv(index=False).encode())
    return table


def _handed_out(course: Path, name: str) -> tuple[list, dict[str, str]]:
    """The cells of the release, and the text of the test cells with their hidden tests."""
    released, source = (
        nbformat.read(course / kind / name / f"{name}.ipynb", as_version=4).cells for kind in ("release", "source")
    )
    tests = {_facts(cell)["grade_id"]: cell.source for cell in source if _is_test(cell)}
    return released, tests


@dataclass(frozen=True)
class _Run:
    """What came of running a submission."""

    status: str
    digest: str
    when: datetime | None
    cells: list
    notes: list[str]


def _run_one(course: Path, name: str, student: str, box: Sandbox, handed_out: tuple) -> _Run:
    """Take what a student handed in and run it with the tests."""
    if safe_name(student) != student:
        raise Refused("the folder's name is not a student's")
    came, content, cells, notes, status = course / "submitted" / student / name, b"", [], [], "graded"
    try:
        if came.is_symlink() or came.parent.is_symlink():
            raise Refused("the folder is a link")
        if (came / "not-taken.txt").is_file():
            raise Refused(printable(take(came / "not-taken.txt")[:200].decode(errors="replace")))
        content = take(came / f"{name}.ipynb")
        cells, notes = _put_on_release(plain_notebook(content), name, handed_out)
        notes += _run(box, cells, seed_of(course, name, student), came)
    except Refused as refused:
        cells, status = [], str(refused)
    digest = hashlib.sha256(content).hexdigest()[:16]
    return _Run(status, digest, read_time(came / "timestamp.txt"), cells, notes)


def _record(api: Any, course: Path, name: str, student: str, run: _Run) -> dict:
    """Put a submission into the gradebook; return its row of the summary."""
    _keep_scores(api, course, name, student, run.when, run.cells)
    row = {"student": student, "status": run.status, **_scores(api, course, name, student)}
    row |= {"digest": run.digest, "helped": "", "notes": "; ".join(run.notes)}
    for cell in run.cells:
        if cell.cell_type == "markdown" and cell.source.startswith(HELPED.partition(TEXT_STUB)[0]):
            said = cell.source.removeprefix(HELPED.partition(TEXT_STUB)[0]).replace(TEXT_STUB, "").strip()
            row["helped"] = printable(said[:500])
    return row


def _put_on_release(notebook: str, name: str, handed_out: tuple) -> tuple[list, list[str]]:
    """The student's cells in the form of the release, with all tests; and what was noticed on the way."""
    marks = {
        c["metadata"]["nbgrader"]["grade_id"].split("-")[0] for c in json.loads(notebook)["cells"] if c["metadata"]
    }
    if marks and name not in marks:
        raise Refused(f"this is assignment {', '.join(sorted(marks))[:80]}, not {name}")
    released, tests = handed_out
    cells, lost = rebuild(nbformat.reads(notebook, as_version=4).cells, copy.deepcopy(released), name)
    for cell in cells:
        cell.source = tests.get(_facts(cell).get("grade_id"), cell.source)
    return cells, [f"written outside the cell that is marked for it: {', '.join(lost)}"] if lost else []


def _run(box: Sandbox, cells: list, seed: int, folder: Path) -> list[str]:
    """Run the cells in the sandbox; write outputs and errors into them, and return what was noticed."""
    code, notes, seeded = [cell for cell in cells if cell.cell_type == "code"], [], []
    for n, cell in enumerate(code, start=seed):
        source = cell.source.replace("default_rng()", f"default_rng({n})") if _is_test(cell) else cell.source
        seeded.append(Cell(source, _is_test(cell), n))
    asked = "before the first question"
    for cell, outcome in zip(code, box.run(seeded, folder), strict=True):
        asked = question_of(_facts(cell).get("grade_id", asked))
        cell.execution_count, cell.outputs = None, _outputs(outcome, cell.source if _is_test(cell) else None)
        if outcome.stopped or outcome.error in ("NotRun", "NotTrusted"):
            notes.append(f"{asked}: {outcome.message}")
        elif outcome.error and not _is_test(cell):
            notes.append(f"{asked}: {outcome.error} {outcome.where or ''}".strip())
        if not _facts(cell).get("locked") and (words := set(SUSPECT.findall(cell.source))):
            notes.append(f"{asked}: please look at the code: {', '.join(sorted(words))}")
    return notes[:MOST_NOTES] + ["and so on"] * (len(notes) > MOST_NOTES)


def _outputs(outcome: Outcome, test: str | None) -> list:
    from nbformat.v4 import new_output

    outputs = [new_output("stream", name="stdout", text=outcome.output)] if outcome.output else []
    if outcome.error:
        own = outcome.stopped or outcome.error in ("NotRun", "NotTrusted")
        message = outcome.message if own or test is None else said_by(test, outcome) or ""
        told = outcome.error + (f": {message}" if message else "") + (f" ({outcome.where})" if outcome.where else "")
        outputs.append(new_output("error", ename=outcome.error, evalue=message, traceback=[told]))
    return outputs


def _facts(cell: Any) -> dict:
    return cell.metadata.get("nbgrader", {})


def _is_test(cell: Any) -> bool:
    return bool(_facts(cell).get("grade")) and cell.cell_type == "code"


def _keep_scores(api: Any, course: Path, name: str, student: str, when: datetime | None, cells: list) -> None:
    """Put the scores of the tests into the gradebook, and the cells where Formgrader shows them.

    Points and comments of a person stay as long as the answer stays the same.
    """
    path = course / "autograded" / student / name / f"{name}.ipynb"
    before, now = (
        {_facts(cell)["grade_id"]: cell.source for cell in one if _facts(cell).get("solution")}
        for one in (graded_cells(course, name, student), cells)
    )
    changed = {question_of(each) for each in before | now if before.get(each) != now.get(each)}
    with api.gradebook as gradebook:
        gradebook.update_or_create_student(student)
        submission = gradebook.update_or_create_submission(name, student, timestamp=when)
        for comment in submission.notebooks[0].comments:
            if question_of(comment.name) in changed:
                comment.manual_comment = None
        for one in submission.notebooks[0].grades:
            if question_of(one.name) in changed:
                one.manual_score = one.extra_credit = None
            cell = next((cell for cell in cells if _facts(cell).get("grade_id") == one.name), None)
            if cell is None or _is_test(cell):
                passed = cell is not None and not any(output.output_type == "error" for output in cell.outputs)
                one.auto_score, one.needs_manual_grade = one.max_score_gradecell if passed else 0, False
            elif TEXT_STUB in cell.source and len(cell.source) < 2 * len(TEXT_STUB):
                one.auto_score, one.needs_manual_grade = 0, False
            elif one.manual_score is None:
                one.needs_manual_grade = True
        gradebook.db.commit()
    write_atomically(path, nbformat.writes(nbformat.v4.new_notebook(cells=cells)).encode())


def _scores(api: Any, course: Path, name: str, student: str, most: bool = False) -> dict:
    """The part of a row that stands in the gradebook; with `most`, refuse more points than a question has."""
    with api.gradebook as gradebook:
        submission = gradebook.find_submission(name, student)
        late, scores, grades = submission.total_seconds_late, {}, submission.notebooks[0].grades
        for one in sorted(grades, key=lambda one: one.name):
            question, full = question_of(one.name), one.max_score_gradecell
            if most and one.score > full:
                raise LMTutorError(f"{student}: {one.name} has {one.score:g} of {full:g} points: fix it in Formgrader")
            scores[question] = scores.get(question, 0.0) + min(one.score, full)
        share = api.config.LatePenalty.get("percent_a_day", 0) / 100 * math.ceil(late / 86_400)
        penalty = min(share * submission.max_score, sum(scores.values()))
        submission.notebooks[0].late_submission_penalty = penalty  # where nbgrader's export looks for it
        gradebook.db.commit()
        row = {"score": sum(scores.values()) - penalty, "points": submission.max_score}
        row["to_read"] = sum(one.max_score_gradecell for one in grades if one.needs_manual_grade)
        row |= {"late_hours": math.ceil(late / 36) / 100, "penalty": penalty, "seed": seed_of(course, name, student)}
        return row | scores
