"""Free answers, read together: a page per question with the answers of all, without names, and the points taken back.

A page is one HTML file that needs nothing else. It keeps what is typed in the browser, and saves a CSV with a row an
answer. Answers are named by a code that only the secret of the course turns back into a student.
"""

import base64
import csv
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from lmtutor.classroom.course import nbgrader_api
from lmtutor.classroom.feedback import graded_cells
from lmtutor.classroom.grading import read_summary, secret_number
from lmtutor.system.errors import LMTutorError

PAGE = Path(__file__).with_name("reading.html")
RUBRIC = re.compile(r"\*Rubric \((\d+) points?\): (.*?)\.?\*", re.S)


def rubric(text: str) -> list[tuple[int, str]]:
    """The parts of a rubric, `*Rubric (4 points): 1 for …; 3 for ….*`: points, and what they are for."""
    found = RUBRIC.search(text)
    parts = re.split(r";\s+(?=\d+ for )", " ".join(found[2].split())) if found else []
    return [(int(part.partition(" ")[0]), part.partition(" for ")[2]) for part in parts]


def code_of(course: Path, question: str, student: str) -> str:
    """The name of an answer on the page."""
    return f"{question}-{secret_number(course, f'read {question}/{student}'):08x}"


def _free(course: Path, name: str) -> dict[str, Any]:
    """The cells of the free answers in the source, each with the cell that asks."""
    import nbformat

    cells = nbformat.read(course / "source" / name / f"{name}.ipynb", as_version=4).cells
    pairs = zip(cells, cells[1:], strict=False)
    return {
        cell.metadata.nbgrader.grade_id: (above.source, cell.metadata.nbgrader.points)
        for above, cell in pairs
        if cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("grade")
    }


def write_pages(course: Path, name: str) -> list[Path]:
    """Write `course/reading/QUESTION.html` for each question that a person reads, in an order that tells nothing."""
    course = Path(course).resolve()
    table = read_summary(course, name)
    students = table[table["status"] == "graded"]["student"]
    template, pages = PAGE.read_text(encoding="utf-8"), []
    script = re.search(r"<script>(.*?)</script>", template, re.S)[1]
    for question, (asked, full) in _free(course, name).items():
        answers = []
        with nbgrader_api(course).gradebook as gradebook:
            for student in students:
                one = gradebook.find_grade(question, name, name, student)
                text = next(
                    cell.source
                    for cell in graded_cells(course, name, student)
                    if cell.metadata.get("nbgrader", {}).get("grade_id") == question
                )
                comment = gradebook.find_comment(question, name, name, student).comment or ""
                points = "" if one.needs_manual_grade else f"{one.score:g}"
                answers.append(
                    {"code": code_of(course, question, student), "text": text, "points": points, "comment": comment}
                )
        answers.sort(key=lambda answer: answer["code"])
        data = {"question": question, "full": full, "rubric": rubric(asked), "answers": answers}
        values = {"name": name, "question": question, "asked": RUBRIC.sub("", asked).strip(), "data": json.dumps(data)}
        values["script"] = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        page = re.sub(r"{{(\w+)}}", lambda m: html.escape(values[m[1]]), template)  # noqa: B023
        out = course / "reading" / f"{question}.html"
        out.parent.mkdir(exist_ok=True)
        out.write_text(page, encoding="utf-8")
        pages.append(out)
    return pages


def take_points(course: Path, name: str, path: Path) -> int:
    """Put points and comments of a CSV (answer, points, comment) into the gradebook; return of how many answers.

    Raises
    ------
    LMTutorError
        For an answer that is not of this class, points that are none or too many. Then nothing is taken.
    """
    course, rows = Path(course).resolve(), []
    try:
        lines = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(True)))
    except (OSError, UnicodeDecodeError) as problem:
        raise LMTutorError(f"{path} cannot be read ({problem})") from None
    students, free = read_summary(course, name)["student"], _free(course, name)
    known = {code_of(course, question, student): (question, student) for question in free for student in students}
    for line in lines:
        code, points = (line.get("answer") or "").strip(), (line.get("points") or "").strip().replace(",", ".")
        if code not in known:
            raise LMTutorError(f"{path}: {code!r} is no answer to {name} in this class")
        full = free[known[code][0]][1]
        if points and not (re.fullmatch(r"\d+(\.\d+)?", points) and float(points) <= full):
            raise LMTutorError(f"{path}: {code} has {points!r} points, and must have 0 to {full}")
        if points:
            rows.append((*known[code], float(points), line.get("comment") or ""))
    with nbgrader_api(course).gradebook as gradebook:
        for question, student, score, comment in rows:
            one = gradebook.find_grade(question, name, name, student)
            one.manual_score, one.needs_manual_grade = score, False
            gradebook.find_comment(question, name, name, student).manual_comment = comment or None
        gradebook.db.commit()
    return len(rows)
