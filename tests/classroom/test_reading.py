"""Free answers read together, points taken back, lateness, what the class found hard, answers alike beyond chance."""

import csv
import html
import json
import random
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lmtutor.classroom import confine
from lmtutor.classroom.sources import TEXT_STUB, assignment_names, read_assignment, solved
from lmtutor.cli.commands import app
from lmtutor.system.errors import LMTutorError

from .conftest import cell_of

pytest.importorskip("nbgrader")
from lmtutor.classroom import grading, reading  # noqa: E402
from lmtutor.classroom.alike import alike  # noqa: E402
from lmtutor.classroom.course import due_of, nbgrader_api, set_due  # noqa: E402

pytestmark = [
    pytest.mark.classroom,
    pytest.mark.slow,
    pytest.mark.skipif(not confine.roads(), reason="this machine cannot confine a process"),
]
FREE = {"ann": "Los Angeles", "bob": "</template><script>alert(1)</script>", "cleo": "New York & <b>more</b> {{data}}"}


@pytest.fixture
def read(classroom):
    """A class of three, graded, whose free answers nobody has read."""
    for student, text in FREE.items():
        notebook = classroom.notebook()
        cell_of(notebook, "a1-q5").source = text
        notebook.cells[-1].source = notebook.cells[-1].source.replace(TEXT_STUB, f"=My sister {student}")
        if student == "cleo":
            cell_of(notebook, "a1-q3").source = "def discount(pairs):\n    return 0.3"
        classroom.hand_in(student, notebook)
        (classroom.place(student).parent / "timestamp.txt").write_text("2027-01-17 01:00:00 UTC")
    classroom.table = grading.grade(classroom.course, "a1")
    return classroom


def page_of(read, student: str) -> str:
    return html.unescape((read.course / f"feedback/{student}/a1/a1.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", assignment_names())
def test_rubrics_add_up(name):
    cells = read_assignment(name).notebook.cells
    for above, cell in zip(cells, cells[1:], strict=False):
        if cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("grade"):
            parts = reading.rubric(above.source)
            assert sum(points for points, _ in parts) == cell.metadata.nbgrader.points, parts


def test_pages_name_nobody_and_points_come_back(read):
    (page,) = reading.write_pages(read.course, "a1")
    text = page.read_text(encoding="utf-8")
    assert not any(student in text for student in FREE) and "<script>alert" not in text
    data = json.loads(html.unescape(re.search(r'<template id="data">(.*?)</template>', text, re.S)[1]))
    assert [points for points, _ in data["rubric"]] == [1, 1, 1, 1] and data["full"] == 4
    assert len({answer["text"].replace("\u200b", "") for answer in data["answers"]} & {*FREE.values()}) == 3
    codes = {answer["text"].replace("\u200b", ""): answer["code"] for answer in data["answers"]}
    rows = [
        [codes[FREE["ann"]], "3.5", 'A "good" pair, really'],
        [codes[FREE["bob"]], "0", ""],
        [codes[FREE["cleo"]], "", "x"],
    ]
    table = read.course / "points.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["answer", "points", "comment"], *rows])
    command = ["assignments", "report", "a1", "--course", str(read.course), "--points", str(table)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "points for 2 answers" in done.output, done.output
    summary = pd.read_csv(read.course / "summary-a1.csv", index_col="student")
    assert summary["a1-q5"].to_dict() == {"ann": 3.5, "bob": 0, "cleo": 0}
    assert summary["to_read"].to_dict() == {"ann": 0, "bob": 0, "cleo": 4}
    assert 'A "good" pair, really' in page_of(read, "ann") and "3.5 of 4" in page_of(read, "ann")
    assert "read by a person" in page_of(read, "bob") and "not read yet" in page_of(read, "cleo")
    for wrong in (["a1-q5-00000000", "1", ""], [codes[FREE["ann"]], "5", ""], [codes[FREE["ann"]], "many", ""]):
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([["answer", "points", "comment"], [codes[FREE["bob"]], "2", ""], wrong])
        with pytest.raises(LMTutorError, match="no answer to a1|must have 0 to 4"):
            reading.take_points(read.course, "a1", table)
    assert grading.report(read.course, "a1").loc["bob", "a1-q5"] == 0, "a table with an error is not taken in parts"


def test_page_in_a_browser_keeps_points_and_saves_them(read, tmp_path):
    api = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    (page,) = reading.write_pages(read.course, "a1")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        context, dialogs = browser.new_context(accept_downloads=True), []
        view = context.new_page()
        view.on("dialog", lambda dialog: dialogs.append(dialog.message))
        view.goto(page.as_uri())
        first = view.locator("article").nth(0)
        first.get_by_role("checkbox").nth(0).check()
        first.get_by_role("checkbox").nth(2).check()
        first.get_by_label("Comment").fill("Well seen.")
        view.locator("article").nth(1).get_by_label("Points").fill("4")
        view.locator("article").nth(1).get_by_label("Comment").focus()
        assert view.locator("output").inner_text() == "2 of 3 read"
        view.reload()
        assert view.locator("output").inner_text() == "2 of 3 read", "what was typed is kept"
        assert view.locator("datalist option").get_attribute("value") == "Well seen."
        with view.expect_download() as download:
            view.get_by_role("button").click()
        download.value.save_as(tmp_path / "a1-q5.csv")
        browser.close()
    assert not dialogs and reading.take_points(read.course, "a1", tmp_path / "a1-q5.csv") == 2
    assert sorted(grading.report(read.course, "a1")["a1-q5"]) == [0, 2, 4]


def test_page_of_a_student_shows_what_is_not_read_and_what_the_class_found_hard(read):
    page = page_of(read, "ann")
    assert re.search(r"<td>a1-q5</td><td>– of 4</td><td>–</td><td>not read yet</td>", page)
    assert re.search(r'<td>a1-q3</td><td class="full">3 of 3</td><td>67%</td><td>passed</td>', page)
    assert (
        read.table.loc["ann", "helped"] == "=My sister ann"
        and "'=My sister" in (read.course / "summary-a1.csv").read_text()
    )


def test_lateness_is_punished_once_and_alike_in_nbgrader_s_export(read):
    set_due(read.course, "a1", "2027-01-15T18:00+00:00")
    assert f"{due_of(read.course, 'a1'):%Y-%m-%d %H:%M}" == "2027-01-15 18:00"
    assert grading.report(read.course, "a1").loc["ann", ["score", "penalty"]].tolist() == [16, 0]
    (read.course / "own_config.py").write_text("c.LatePenalty.percent_a_day = 10\n")
    for _ in range(2):
        table = grading.report(read.course, "a1")  # 31 hours: two days begun, of 20 points
    assert table[["score", "penalty", "late_hours"]].loc["ann"].tolist() == [12, 4, 31]
    assert table.loc["cleo", "score"] == 9
    with nbgrader_api(read.course).gradebook as gradebook:
        assert gradebook.find_submission("a1", "ann").late_submission_penalty == 4
    assert "31 hours late; 4 points are taken off" in page_of(read, "ann")


def test_points_of_a_person_are_for_the_answer_that_was_read(read):
    with nbgrader_api(read.course).gradebook as gradebook:
        for student in FREE:
            one = gradebook.find_grade("a1-q5", "a1", "a1", student)
            one.manual_score, one.needs_manual_grade = 3, False
            gradebook.find_grade("a1-q1-test", "a1", "a1", student).manual_score = 1
            gradebook.find_comment("a1-q5", "a1", "a1", student).manual_comment = "Well seen."
        gradebook.db.commit()
    notebook = read.notebook()
    cell_of(notebook, "a1-q5").source = "Another answer"
    read.hand_in("ann", notebook)
    read.place("bob").write_text("no notebook")
    table = grading.grade(read.course, "a1")
    assert table["a1-q5"].to_dict() == {"ann": 0, "bob": 0, "cleo": 3}
    assert table["a1-q1"].to_dict() == {"ann": 1, "bob": 0, "cleo": 1}, "ann has changed another answer"
    assert table["to_read"].to_dict() == {"ann": 4, "bob": 0, "cleo": 0} and table.loc["bob", "score"] == 0
    assert "Well seen." in page_of(read, "cleo") and "Well seen." not in page_of(read, "ann")


def test_a_second_too_late_is_told(read):
    (read.course / "own_config.py").write_text("c = get_config()\nc.LatePenalty.percent_a_day = 10\n")
    set_due(read.course, "a1", "2027-01-17T00:59:59+00:00")
    assert grading.report(read.course, "a1").loc["ann", ["penalty", "late_hours"]].tolist() == [2, 0.01]
    assert "0.01 hours late; 2 points are taken off" in page_of(read, "ann")


def test_other_assignment_and_nothing_handed_in_get_a_row(classroom):
    classroom.hand_in("ann", classroom.notebook("a2"))
    (classroom.place("bob").parent / "not-taken.txt").write_text("nothing handed in")
    table = grading.grade(classroom.course, "a1")
    assert table["status"].to_dict() == {"ann": "this is assignment a2, not a1", "bob": "nothing handed in"}
    assert table["score"].tolist() == [0, 0]


def test_answers_alike_beyond_chance(tmp_path, built):
    """A class of 24 that writes from one stock of phrases; two pairs have copied everything but a few words."""
    import nbformat

    rng, stock = random.Random(1), [f"p{n}" for n in range(60)]
    course, students = tmp_path / "course", [f"s{n:02}" for n in range(24)]
    shutil.copytree(built / "course" / "source", course / "source")
    source = nbformat.read(course / "source/a1/a1.ipynb", as_version=4)
    texts = {s: {f"a1-q{q}": " ".join(rng.choices(stock, k=80)) for q in range(1, 6)} for s in students}
    for thief, victim in (("s01", "s02"), ("s03", "s04")):
        texts[thief] = {q: re.sub(r"\bp[12]\b", "mine", text) for q, text in texts[victim].items()}
    texts["s05"]["a1-q1"] = texts["s06"]["a1-q1"]  # one answer of five, as from a page that both have read
    answered = [cell for cell in source.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    for student in ("s07", "s08"):  # what the course has handed out itself says nothing about two students
        texts[student] = {cell.metadata.nbgrader.grade_id: solved(cell.source) for cell in answered}
    for student, answers in texts.items():
        for cell in answered:
            cell.source = answers[cell.metadata.nbgrader.grade_id]
        (course / f"autograded/{student}/a1").mkdir(parents=True)
        nbformat.write(source, course / f"autograded/{student}/a1/a1.ipynb")
    pd.DataFrame({"student": students, "status": "graded", "notes": ""}).to_csv(course / "summary-a1.csv", index=False)
    found = alike(course, "a1")
    pairs = list(zip(found["student"], found["and"], strict=True))
    assert set(pairs[:2]) == {("s01", "s02"), ("s03", "s04")} and (found["by chance"][:2] < 0.2).all()
    assert ("s05", "s06") not in pairs[:2] and ("s07", "s08") not in pairs
    honest = found[2:]
    assert len(honest) <= 4 and (np.diff(found["likeness"]) <= 0).all()
