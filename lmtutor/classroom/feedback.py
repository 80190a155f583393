"""A feedback page per student: the score of each question, what the tests said, the student's answers. One HTML file.

The page holds no code of a test, no script and no link to anything else. What the student's code printed while it was
graded is not shown: code that is run beside hidden tests could print them.
"""

import html
from pathlib import Path
from typing import Any

from lmtutor.classroom.sources import question_of

PAGE_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a;
  background: #fff }
table { border-collapse: collapse } td, th { padding: .3rem .8rem; border-bottom: 1px solid #767676; text-align: left }
pre { background: #f2f2f2; padding: .8rem; overflow-x: auto } .less { color: #a30000 } .full { color: #00591a }
"""
SHORTEST = 12  # characters of a line of a test that may not be quoted in a message


def write_feedback(course: Path, name: str, row: dict, api: Any) -> Path:
    """Write `course/feedback/STUDENT/NAME/NAME.html` from a row of the summary, with the comments in the gradebook."""
    import nbformat

    student = row["student"]
    path = course / "autograded" / student / name / f"{name}.ipynb"
    graded = row["status"] == "graded" and path.is_file()
    cells = nbformat.read(path, as_version=4).cells if graded else []
    secrets = _secret_lines(course, name)
    parts = [f"<h1>{_text(name)}: {row['score']:g} of {row['points']:g} points</h1>", f"<p>{_text(student)}</p>"]
    if not graded:
        parts.append(f"<p>Your submission could not be graded: {_text(row['status'])}.</p>")
    if row["to_read"]:
        parts.append(f"<p>{row['to_read']:g} points are awaiting manual grading.</p>")
    if row["late_hours"]:
        parts.append(f"<p>Handed in {row['late_hours']:g} hours late.</p>")
    if row["notes"]:
        parts.append(f"<p>Noticed while grading: {_text(without_secrets(row['notes'], secrets))}.</p>")
    parts.append(_results(cells, row, secrets))
    for cell in cells:
        facts = cell.metadata.get("nbgrader", {})
        if facts.get("solution"):
            question = question_of(facts["grade_id"])
            comment = _comment(api, name, student, facts["grade_id"])
            parts.append(f"<h2>{_text(question)}: your answer</h2><pre>{_text(cell.source)}</pre>")
            if comment:
                parts.append(f"<p><strong>Comment:</strong> {_text(comment)}</p>")
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_text(name)}, {_text(student)}</title>'
        f"<style>{PAGE_STYLE}</style></head>\n<body>{chr(10).join(parts)}</body></html>\n"
    )
    out = course / "feedback" / student / name / f"{name}.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out


def _results(cells: list, row: dict, secrets: set[str]) -> str:
    lines = ["<table><tr><th>question</th><th>points</th><th>what the tests said</th></tr>"]
    for cell in cells:
        facts = cell.metadata.get("nbgrader", {})
        if not facts.get("grade"):
            continue
        question = question_of(facts["grade_id"])
        score = row.get(question) or 0.0
        said = "passed" if cell.cell_type == "code" else "read by a person"
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                said = without_secrets("".join(output.traceback), secrets)
        kind = "full" if score == facts["points"] else "less"
        points = f'<td class="{kind}">{score:g} of {facts["points"]:g}</td>'
        lines.append(f"<tr><td>{_text(question)}</td>{points}<td>{_text(said)}</td></tr>")
    return "\n".join([*lines, "</table>"])


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


def _comment(api: Any, name: str, student: str, grade_id: str) -> str | None:
    with api.gradebook as gradebook:
        return gradebook.find_comment(grade_id, name, name, student).comment


def _text(value: str) -> str:
    return html.escape(str(value))
