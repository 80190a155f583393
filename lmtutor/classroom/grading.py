"""Grade a class in one go: nbgrader's gradebook and rules, with student code in a confined process.

nbgrader restores edited test cells, puts the hidden tests back and keeps the scores. The two classes here take the
places of its steps that trust the student: `Intake` rebuilds what came in on the released notebook, and
`ConfinedExecute` runs it in a `Sandbox` instead of a kernel with the teacher's rights.
"""

import ast
import hmac
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
from lmtutor.classroom.feedback import write_feedback
from lmtutor.classroom.intake import STUDENT, Refused, harmless, plain_notebook, printable, read_time, take
from lmtutor.classroom.sandbox import Cell, Limits, Outcome, Sandbox
from lmtutor.classroom.sources import HIDDEN, question_of
from lmtutor.system.errors import LMTutorError

# What an answer has no use for, and an attack on the tests has; the summary says where it stands.
SUSPECT = re.compile(r"get_ipython|_getframe|currentframe|f_back|tb_frame|\bgc\b|ctypes|ast_transformers|linecache")
FILLED_IN = 60  # characters shown of what a test's message quotes from the answer


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


def seed_of(course: Path, name: str, student: str) -> int:
    """The seed of a submission's hidden tests: from the assignment, the student and the secret of the course."""
    path = course / "secret.txt"
    if not path.is_file():
        path.write_text(secrets.token_hex(16), encoding="utf-8")
        path.chmod(0o600)
    key = path.read_text(encoding="utf-8").strip().encode()
    return int.from_bytes(hmac.digest(key, f"{name}/{student}".encode(), "sha256")[:4], "big") >> 1


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
        ids = [_recognise(cell, known) for cell in nb.cells]
        lost = _answers_by_place(nb.cells, ids, released.cells)
        for place, grade_id in lost.items():
            ids[place] = grade_id
        if lost and _SESSION:
            notes = _SESSION[-1].notes.setdefault(resources["nbgrader"]["student"], [])
            notes.append(f"marks of cells were lost; known by their place: {', '.join(sorted(lost.values()))}")
        cells, seen = [], set()
        for cell, grade_id in zip(nb.cells, ids, strict=True):
            early = grade_id in known and grade_id.endswith("-test") and question_of(grade_id) not in seen
            if grade_id in seen or early and question_of(grade_id) in ids:
                continue  # a second copy, or a test above its answer: it is put back where it belongs
            kind = "markdown" if cell.cell_type == "raw" else cell.cell_type
            mine = nbformat.NotebookNode(cell_type=kind, metadata={}, source=cell.source)
            mine |= {"outputs": [], "execution_count": None} if kind == "code" else {}
            if grade_id in known:
                seen.add(grade_id)
                mine = known[grade_id].copy()
                if not mine.metadata.nbgrader.locked:
                    mine["source"] = cell.source
            if mine.cell_type == "markdown" and not mine.metadata.get("nbgrader", {}).get("locked"):
                mine["source"] = harmless(mine.source)
            cells.append(mine)
        _put_back(cells, known, seen)
        for number, cell in enumerate(cells):
            cell.id = f"{name}-{number}"
        nb.cells = cells
        nb.metadata = released.metadata
        return nb, resources


def _recognise(cell: Any, known: dict) -> str | None:
    """The grade_id of a cell: from its mark, else from its id or its text where an editor has lost the mark."""
    facts = cell.metadata.get("nbgrader", {})
    grade_id = facts.get("grade_id") if isinstance(facts, dict) else None
    if isinstance(grade_id, str):
        return grade_id if grade_id in known else None
    for grade_id, released in known.items():
        same = released.metadata.nbgrader.locked and cell.source == released.source or cell.get("id") == released.id
        if same and cell.cell_type == released.cell_type:
            return grade_id
    return None


def _answers_by_place(cells: list, ids: list, released: list) -> dict[int, str]:
    """Find free answers without a mark: a text right below the cell that stands above the answer in the release."""
    found = {}
    sources = {cell.source.strip() for cell in released}
    for above, cell in zip(released, released[1:], strict=False):
        facts = cell.metadata.get("nbgrader", {})
        if not (facts.get("solution") and cell.cell_type == "markdown") or facts["grade_id"] in ids:
            continue
        for place, theirs in enumerate(cells[1:], start=1):
            free = ids[place] is None and theirs.cell_type == "markdown" and theirs.source.strip() not in sources
            if free and cells[place - 1].source.strip() == above.source.strip():
                found[place] = facts["grade_id"]
    return found


def _put_back(cells: list, known: dict, seen: set) -> None:
    """Insert the missing locked and graded cells, each after what stands before it in the release."""
    order = list(known)
    for place, grade_id in enumerate(order):
        facts = known[grade_id].metadata.nbgrader
        if grade_id in seen or not (facts.grade or facts.locked):  # an answer may stand in a cell of the student's own
            continue
        before = set(order[:place])
        spots = [i for i, c in enumerate(cells) if _facts(c).get("grade_id") in before]
        following = spots[-1] + 1 if spots else 0
        while following < len(cells) and "nbgrader" not in cells[following].metadata and spots:
            following += 1  # after the student's own cells that belong to the same question
        cells.insert(following, known[grade_id])


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


class HideTests(Preprocessor):
    """For `nbgrader generate_feedback`: no hidden test, and nothing that student code printed beside them."""

    enabled = Bool(True).tag(config=True)

    def preprocess(self, nb: Any, resources: dict) -> tuple[Any, dict]:
        """Take them out of the page, not out of the notebook on the disk."""
        for cell in nb.cells:
            cell.source = HIDDEN.sub("", cell.source)
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.output_type == "error"]
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


def said_by(test: str, outcome: Outcome) -> str | None:
    """The message, where an assertion of the test says it; what it quotes from the answer is cut short.

    Student code can raise what it likes, the text of a hidden test for instance. What no assertion says is not shown.
    """
    if outcome.error != "AssertionError":
        return None
    for node in ast.walk(ast.parse(test)):
        if not isinstance(node, ast.Assert):
            continue
        if node.msg is None and not outcome.message and not outcome.where:
            return "a test without a message failed"
        parts = getattr(node.msg, "values", [node.msg])
        pattern = "".join(re.escape(p.value) if isinstance(p, ast.Constant) else "(.{0,300}?)" for p in parts if p)
        found = re.fullmatch(pattern, outcome.message, re.S) if pattern else None
        if found:
            fields = (field if len(field) <= FILLED_IN else field[:FILLED_IN] + " …" for field in found.groups())
            return "".join(p.value if isinstance(p, ast.Constant) else next(fields) for p in parts)
    return None


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
        A row per student: status, score, points, to_read (points awaiting manual grading), late_hours, seed of the
        hidden tests, score of each question, notes. Written to `course/summary-NAME.csv`, too; pages to `feedback/`.
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
                row |= dict.fromkeys(("score", "points", "to_read", "late_hours"), 0.0)
            rows.append(row)
            if progress:
                notes = f"; {row['notes']}" if row.get("notes") else ""
                progress(f"{row['student']}: {row['score']:g} of {row['points']:g}; {row['status']}{notes}")
    path = course / f"summary-{name}.csv"
    if only is not None and path.is_file():
        rows = [row for row in _read_summary(path).to_dict("records") if row["student"] != only] + rows
    return _write_summary(path, rows)


def regrade(course: Path, name: str, student: str, limits: Limits | None = None) -> pd.DataFrame:
    """Grade one submission again, with the seed that the summary names; return its row before and now."""
    path = Path(course).resolve() / f"summary-{name}.csv"
    before = _read_summary(path).set_index("student") if path.is_file() else pd.DataFrame()
    if student not in before.index:
        raise LMTutorError(f"{student!r} is not in {path}: grade the assignment first")
    if str(before.loc[student, "seed"]) != str(seed_of(path.parent, name, student)):
        raise LMTutorError(f"secret.txt in {path.parent} has changed since {name} was graded: put the old one back")
    now = grade(course, name, limits, only=student)
    return pd.DataFrame({"before": before.loc[student], "now": now.loc[student]})


def report(course: Path, name: str) -> pd.DataFrame:
    """Write the summary and the feedback again, with the points and comments that a person gave since; run nothing.

    More points than a question has are refused with an `LMTutorError`: they were not given by a person.
    """
    course = Path(course).resolve()
    path = course / f"summary-{name}.csv"
    if not path.is_file():
        raise LMTutorError(f"{name!r} was not graded in {course} yet: lmtutor assignments grade {name}")
    api, rows = nbgrader_api(course), []
    for before in _read_summary(path).to_dict("records"):
        rows.append(_row(api, course, name, before["student"], before["status"], before["notes"], most=True))
        write_feedback(course, name, rows[-1], api)
    return _write_summary(path, rows)


def _read_summary(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"student": str, "notes": str, "status": str}, keep_default_na=False)


def _write_summary(path: Path, rows: list[dict]) -> pd.DataFrame:
    """Write the table; a text that a spreadsheet would take for a formula gets an apostrophe."""
    table = pd.DataFrame(rows).sort_values("student").set_index("student")
    table["notes"] = table["notes"].fillna("") if "notes" in table else ""
    texts = table.reset_index()
    for column in ("student", "status", "notes"):
        texts[column] = ["'" + text if text[:1] in ("=", "+", "-", "@") else text for text in texts[column]]
    texts.to_csv(path, index=False)
    return table


def _grade_one(api: Any, course: Path, name: str, student: str, notes: dict) -> dict:
    """Grade one submission, from a plain copy in `course/checked`; return its row."""
    if not STUDENT.fullmatch(student):
        raise Refused("the folder's name is not a student's")
    came, place = course / "submitted" / student / name, course / "checked" / student / name
    place.mkdir(parents=True, exist_ok=True)
    when, problem = read_time(came / "timestamp.txt"), None
    (place / "timestamp.txt").write_text(f"{when} UTC" if when else "", encoding="utf-8")
    try:
        if came.is_symlink() or came.parent.is_symlink():
            raise Refused("the folder is a link")
        (place / f"{name}.ipynb").write_text(plain_notebook(take(came / f"{name}.ipynb")), encoding="utf-8")
        result = api.autograde(name, student, force=True, create=True)
        if not result["success"]:
            lines = (result.get("error") or result.get("log") or "").strip().splitlines() or ["no reason given"]
            raise Refused(f"the grader failed ({printable(lines[-1][:120])})")
    except Refused as refused:
        problem = str(refused)
        _give_zero(api, name, student, when)
    row = _row(api, course, name, student, problem or "graded", "; ".join(notes.get(student, [])))
    write_feedback(course, name, row, api)
    return row


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
        row |= {"points": submission.max_score, "seed": seed_of(course, name, student)}
        row["late_hours"] = round(submission.total_seconds_late / 3600, 2)
        grades = [one for notebook in submission.notebooks for one in notebook.grades]
        row["to_read"] = sum(one.max_score_gradecell for one in grades if one.needs_manual_grade)
        for one in sorted(grades, key=lambda one: one.name):
            question, full = question_of(one.name), one.max_score_gradecell
            if most and one.score > full:
                raise LMTutorError(f"{student}: {question} has {one.score:g} of {full:g} points: mend it in Formgrader")
            row[question] = min(one.score, full)
            row["score"] += row[question]
    return row | {"notes": notes}
