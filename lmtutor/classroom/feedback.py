"""A feedback page per student: the score of each question, what the tests said, the student's answers. One HTML file.

The page holds no code of a test, no script and no link to anything else. What the student's code printed while it was
graded is not shown: code that is run beside hidden tests could print them.
"""

import ast
import html
import re
from pathlib import Path
from typing import Any

from lmtutor.classroom.sandbox import Outcome
from lmtutor.classroom.sources import question_of
from lmtutor.system.files import write_atomically

PAGE_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  background: #fff }
table { border-collapse: collapse } td, th { padding: .3rem .8rem; border-bottom: 1px solid #767676; text-align: left }
pre { background: #f2f2f2; padding: .8rem; overflow-x: auto } .less { color: #a30000 } .full { color: #00591a }
"""
SHORTEST = 12  # characters of a line of a test that may not be quoted in a message
FILLED_IN = 60  # characters shown of what a test's message quotes from the answer
FEWEST = 3  # students, so that what the class found hard names nobody


def graded_cells(course: Path, name: str, student: str) -> list:
    """The cells of a submission as they were graded; none where nothing was."""
    import nbformat

    path = course / "autograded" / student / name / f"{name}.ipynb"
    return nbformat.read(path, as_version=4).cells if path.is_file() else []


def write_feedback(course: Path, name: str, row: dict, api: Any, rows: list[dict]) -> Path:
    """Write `course/feedback/STUDENT/NAME/NAME.html` from a row of the summary, with the comments in the gradebook.

    `rows` are those of the whole class, of which the page shows how it did on each question.
    """
    student, cells, unread, comments = row["student"], [], set(), {}
    if row["status"] == "graded":
        cells = graded_cells(course, name, student)
        with api.gradebook as gradebook:
            kept = gradebook.find_submission_notebook(name, name, student)
            unread = {one.name for one in kept.grades if one.needs_manual_grade}
            comments = {one.name: one.comment for one in kept.comments}
    secrets = _secret_lines(course, name)
    parts = [f"<h1>{_text(name)}: {row['score']:g} of {row['points']:g} points</h1>", f"<p>{_text(student)}</p>"]
    if not cells:
        parts.append(f"<p>Your submission could not be graded: {_text(row['status'])}.</p>")
    if row["to_read"]:
        parts.append(f"<p>{row['to_read']:g} points are awaiting manual grading.</p>")
    if row["late_hours"]:
        taken = f"; {row['penalty']:g} points are taken off" if row["penalty"] else ""
        parts.append(f"<p>Handed in {row['late_hours']:g} hours late{taken}.</p>")
    if row["notes"]:
        parts.append(f"<p>Noticed while grading: {_text(without_secrets(row['notes'], secrets))}.</p>")
    parts.append(_results(cells, row, secrets, unread, rows))
    for cell in cells:
        facts = cell.metadata.get("nbgrader", {})
        if facts.get("solution"):
            parts.append(
                f"<h2>{_text(question_of(facts['grade_id']))}: your answer</h2><pre>{_text(cell.source)}</pre>"
            )
            if comment := comments.get(facts["grade_id"]):
                parts.append(f"<p><strong>Comment:</strong> {_text(comment)}</p>")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(name)}, {_text(student)}</title>'
        f"<style>{PAGE_STYLE}</style></head>\n<body>{chr(10).join(parts)}</body></html>\n"
    )
    out = course / "feedback" / student / name / f"{name}.html"
    write_atomically(out, page.encode())
    return out


def _results(cells: list, row: dict, secrets: set[str], unread: set[str], rows: list[dict]) -> str:
    """A row a question, with what the class reached; of tests in parts, what the first one said that failed."""
    full, said = {}, {}
    for cell in cells:
        facts = cell.metadata.get("nbgrader", {})
        if not facts.get("grade"):
            continue
        question = question_of(facts["grade_id"])
        full[question] = full.get(question, 0) + facts["points"]
        if cell.cell_type == "markdown":
            said[question] = "not read yet" if facts["grade_id"] in unread else "read by a person"
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                said.setdefault(question, without_secrets("".join(output.traceback), secrets))
    lines = ["<table><tr><th>question</th><th>points</th><th>the class</th><th>what the tests said</th></tr>"]
    for question, points in full.items():
        score, words = row.get(question) or 0.0, said.get(question, "passed")
        kind = "full" if score == points else "less"
        mine = (
            f'<td class="{kind}">{score:g} of {points:g}</td>'
            if words != "not read yet"
            else f"<td>– of {points:g}</td>"
        )
        among = f"<td>{_share(rows, question, points, words)}</td>"
        lines.append(f"<tr><td>{_text(question)}</td>{mine}{among}<td>{_text(words)}</td></tr>")
    return "\n".join([*lines, "</table>"])


def _share(rows: list[dict], question: str, points: float, said: str) -> str:
    """The share of a question's points that the class has reached; of free answers, among those that were read."""
    counted = [
        row
        for row in rows
        if row["status"] == "graded" and not (said.startswith(("not read", "read")) and row["to_read"])
    ]
    return f"{sum(row[question] for row in counted) / len(counted) / points:.0%}" if len(counted) >= FEWEST else "–"


def without_secrets(message: str, secrets: set[str]) -> str:
    """Leave out a message that quotes a line of a test."""
    return "the message was left out: it quotes a test" if any(line in message for line in secrets) else message


def _secret_lines(course: Path, name: str) -> set[str]:
    """The code lines of the test cells, hidden and visible; their messages alone may be shown."""
    import nbformat

    source = nbformat.read(course / "source" / name / f"{name}.ipynb", as_version=4)
    tests = [cell.source for cell in source.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    lines = {line.strip() for text in tests for line in text.splitlines()}
    return {line for line in lines if len(line) >= SHORTEST}


def _text(value: str) -> str:
    return html.escape(str(value))


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
        pattern = "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else "(.{0,300}?)" for p in parts if p)
        found = re.fullmatch(pattern, outcome.message, re.S) if pattern else None
        if found:
            fields = (field if len(field) <= FILLED_IN else field[:FILLED_IN] + " …" for field in found.groups())
            return "".join(p.value if isinstance(p, ast.Constant) else next(fields) for p in parts)
    return None
