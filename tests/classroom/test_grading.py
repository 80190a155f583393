"""Through real nbgrader: who gets which points, whatever is handed in."""

import json
import os
import re
import sqlite3
import time

import pandas as pd
import pytest

from lmtutor.classroom import confine
from lmtutor.classroom.sources import assignment_names, hidden_tests, read_assignment

from .conftest import cell_of

pytest.importorskip("nbgrader")
from lmtutor.classroom import grading  # noqa: E402
from lmtutor.classroom.course import set_due  # noqa: E402
from lmtutor.classroom.sandbox import Limits  # noqa: E402

pytestmark = [
    pytest.mark.classroom,
    pytest.mark.slow,
    pytest.mark.skipif(not confine.roads(), reason="this machine cannot confine a process"),
]
LIMITS = Limits(cell_seconds=20, notebook_seconds=300, megabytes=1000)


@pytest.mark.parametrize("name", assignment_names())
def test_solution_scores_full_marks_and_the_empty_release_zero(classroom, name):
    classroom.hand_in("solved", classroom.notebook(name), name)
    classroom.hand_in("blank", classroom.notebook(name, "release"), name)
    table = grading.grade(classroom.course, name, Limits(cell_seconds=300))
    points = read_assignment(name).points.set_index("question")
    tested = points[points["graded by"] != "read"]["points"]
    assert table.loc["solved", tested.index].to_dict() == tested.to_dict(), table.loc["solved", "notes"]
    assert table.loc["solved", "to_read"] == points["points"].sum() - tested.sum()
    assert table.loc["solved", "notes"] == ""
    assert table.loc["blank", "score"] == 0


@pytest.mark.parametrize("name", assignment_names())
def test_nbgrader_s_release_holds_what_ours_holds(built, name):
    import nbformat

    from lmtutor.classroom.sources import release

    theirs = nbformat.read(built / "release" / f"{name}.ipynb", as_version=4)
    ours = release(read_assignment(name))
    assert [c.source.rstrip() for c in theirs.cells] == [c.source for c in ours.cells]
    text = json.dumps(theirs)
    assert not any(
        line in text
        for code in hidden_tests(read_assignment(name)).values()
        for line in code.splitlines()
        if len(line) > 30
    )


def test_hard_coded_answer_loses_the_hidden_points(classroom):
    code = "def perplexity(log_probs):\n    return float('inf') if -math.inf in log_probs else 4.0"
    classroom.with_answer("parrot", "a1-q1", code)
    table = grading.grade(classroom.course, "a1", LIMITS)
    assert table.loc["parrot", "a1-q1"] == 0 and table.loc["parrot", "a1-q4"] == 6


def test_edited_deleted_moved_and_doubled_test_cells_are_restored(classroom):
    edited, deleted, doubled, dearer = (classroom.notebook() for _ in range(4))
    cell_of(edited, "a1-q1").source = cell_of(deleted, "a1-q1").source = "def perplexity(log_probs):\n    return 1.0"
    cell_of(edited, "a1-q1-test").source = "assert True"
    deleted.cells.remove(cell_of(deleted, "a1-q1-test"))
    cell_of(doubled, "a1-q1").source = "def perplexity(log_probs):\n    return 1.0"
    copy_of_test = cell_of(doubled, "a1-q1-test").copy()
    copy_of_test["source"] = "pass"
    copy_of_test["id"] = "another"
    doubled.cells.append(copy_of_test)
    cell_of(dearer, "a1-q3-test").metadata.nbgrader.points = 1000
    for student, notebook in {"edited": edited, "deleted": deleted, "doubled": doubled, "dearer": dearer}.items():
        classroom.hand_in(student, notebook)
    table = grading.grade(classroom.course, "a1", LIMITS)
    assert (table.loc[["edited", "deleted", "doubled"], "a1-q1"] == 0).all()
    assert (table.loc[["edited", "deleted", "doubled"], "a1-q2"] == 4).all()
    assert table.loc["dearer", "score"] == 16 and table.loc["dearer", "points"] == 20


def test_deleted_test_cell_still_gives_points_for_a_right_answer(classroom):
    notebook = classroom.notebook()
    notebook.cells = [
        c for c in notebook.cells if not c.metadata.get("nbgrader", {}).get("grade_id", "").endswith("-test")
    ]
    classroom.hand_in("tidy", notebook)
    assert grading.grade(classroom.course, "a1", LIMITS).loc["tidy", "score"] == 16


HARMFUL = {
    "loop": "def discount(pairs):\n    while True: pass",
    "memory": "def discount(pairs):\n    return bytearray(3 * 2**30)",
    "fork": "import os\ndef discount(pairs):\n    while True: os.fork()",
    "exit": "import os\ndef discount(pairs):\n    os._exit(0)",
    "writes": "def discount(pairs):\n    open('COURSE/../outside.txt', 'w').write('x')\n    return 0.5",
    "gradebook": "import sqlite3\ndef discount(pairs):\n    db = sqlite3.connect('COURSE/gradebook.db')\n"
    "    db.execute('update grade set manual_score = 20')\n    db.commit()",
}


def test_harmful_code_costs_its_own_question_alone(classroom):
    for student, code in HARMFUL.items():
        classroom.with_answer(student, "a1-q3", code.replace("COURSE", str(classroom.course)))
    classroom.hand_in("zoe", classroom.notebook())
    table = grading.grade(classroom.course, "a1", LIMITS)
    assert (table["status"] == "graded").all()
    assert table.loc["zoe", "score"] == 16, "the student after all of them"
    for student in HARMFUL:
        scores = table.loc[student, ["a1-q1", "a1-q2", "a1-q3", "a1-q4"]].tolist()
        assert scores == [3, 4, 0, 6], f"{student}: {scores} {table.loc[student, 'notes']}"
    for student in ("loop", "exit"):
        assert "a1-q3" in table.loc[student, "notes"]
    assert not (classroom.course.parent / "outside.txt").exists()
    with sqlite3.connect(classroom.course / "gradebook.db") as database:
        assert database.execute("select count(*) from grade where manual_score is not null").fetchone() == (0,)


def test_a_class_of_all_kinds_in_one_command(classroom, capsys):
    from typer.testing import CliRunner

    from lmtutor.cli.commands import app

    set_due(classroom.course, "a1", "2027-01-15T18:00+00:00")
    box = classroom.course.parent / "handed-in"
    expected = {}

    def hand_in(student: str, content: bytes, score: float, stamp: str = "2027-01-15 17:00:00 UTC"):
        (box / student).mkdir(parents=True)
        (box / student / "a1.ipynb").write_bytes(content)
        (box / student / "timestamp.txt").write_text(stamp)
        expected[student] = score

    def as_bytes(notebook) -> bytes:
        return classroom.nbformat.writes(notebook).encode()

    solved = as_bytes(classroom.notebook())
    for n in range(3):
        hand_in(f"right-{n}", solved, 16)
    for n in range(3):
        hand_in(f"late-{n}", solved, 16, f"2027-01-16 {n + 1:02}:00:00 UTC")
    wrong = classroom.notebook()
    cell_of(wrong, "a1-q2").source = "def count_places(tokens):\n    return {}, {}, {}, 0"
    for n in range(2):
        hand_in(f"wrong-{n}", as_bytes(wrong), 12)  # later questions get a reference for its answer
    broken = classroom.notebook()
    cell_of(broken, "a1-q3").source = "def discount(pairs:"
    for n in range(2):
        hand_in(f"broken-{n}", as_bytes(broken), 13)
    for n in range(1):
        hand_in(f"blank-{n}", as_bytes(classroom.notebook(kind="release")), 0)
    hand_in("latin-1", solved.replace("–".encode(), "é".encode("latin-1")), 0)
    hand_in("binary", bytes(range(256)) * 4, 0)
    hand_in("essay", b"Dear teacher, my dog ate the notebook.", 0)
    hand_in("empty", b"", 0)
    hand_in("old-json", b'{"cells": 3}', 0)
    command = [
        "assignments",
        "grade",
        "a1",
        "--course",
        str(classroom.course),
        "--collect",
        str(box),
        "--seconds",
        "20",
        "--timestamps",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(classroom.course / "summary-a1.csv", index_col="student")
    assert table["score"].to_dict() == expected
    assert table.loc["latin-1", "status"] == "not UTF-8" and "not a notebook" in table.loc["essay", "status"]
    assert table["late_hours"].astype(bool).sum() == 3 and table.loc["late-2", "late_hours"] == 9
    assert "a1-q3" in table.loc["broken-1", "notes"]
    pages = list((classroom.course / "feedback").rglob("*.html"))
    assert len(pages) == len(expected)


@pytest.mark.skipif(not os.environ.get("LMTUTOR_HUNDRED"), reason="ten minutes at most: LMTUTOR_HUNDRED=1 asks for it")
def test_a_hundred_with_an_endless_loop_take_ten_minutes_on_two_free_cores(classroom):
    from typer.testing import CliRunner

    from lmtutor.cli.commands import app

    box, endless = classroom.course.parent / "hundred", classroom.notebook()
    cell_of(endless, "a1-q1").source = "def perplexity(log_probs):\n    while True:\n        pass"
    for n in range(100):
        (box / f"s{n:03}").mkdir(parents=True)
        notebook = endless if n == 50 else classroom.notebook()
        (box / f"s{n:03}" / "a1.ipynb").write_text(classroom.nbformat.writes(notebook), encoding="utf-8")
    begun = time.monotonic()
    done = CliRunner().invoke(
        app, ["assignments", "grade", "a1", "--course", str(classroom.course), "--collect", str(box)]
    )
    took = time.monotonic() - begun
    assert done.exit_code == 0, done.output
    table = pd.read_csv(classroom.course / "summary-a1.csv", index_col="student")
    table = table[table.index.str.match(r"s\d{3}")]
    print(f"{took:.0f} s")
    assert len(table) == 100 and (table["score"].drop("s050") == 16).all() and table.loc["s050", "score"] < 16
    assert took < 600


def test_feedback_shows_messages_and_no_code_of_a_test(classroom):
    classroom.with_answer("ann", "a1-q1", "def perplexity(log_probs):\n    return math.exp(-sum(log_probs))")
    steal = (
        "def discount(pairs):\n    import inspect, linecache\n    frame = inspect.currentframe().f_back\n"
        "    raise AssertionError(''.join(linecache.getlines(frame.f_code.co_filename)))"
    )
    classroom.with_answer("bob", "a1-q3", steal)
    grading.grade(classroom.course, "a1", LIMITS)
    pages = {s: (classroom.course / f"feedback/{s}/a1/a1.html").read_text(encoding="utf-8") for s in ("ann", "bob")}
    assert "That is the exponential of the sum." in pages["ann"]
    import html

    for page in map(html.unescape, pages.values()):
        for code in hidden_tests(read_assignment("a1")).values():
            assert not any(line.strip() in page for line in code.splitlines() if len(line.strip()) > 12)
    for page in pages.values():
        assert not re.search(r"<script|<link|<img|https?://|src=", page)


def test_hidden_message_is_shown_without_its_code(classroom):
    classroom.with_answer(
        "carl", "a1-q1", "def perplexity(log_probs):\n    if len(log_probs) == 4: return 4.0\n    return math.inf"
    )
    grading.grade(classroom.course, "a1", LIMITS)
    page = (classroom.course / "feedback/carl/a1/a1.html").read_text(encoding="utf-8")
    assert "perplexity is wrong on a random text" in page and "rng" not in page


def test_points_and_comments_of_a_person_reach_the_feedback(classroom):
    from lmtutor.classroom.course import nbgrader_api

    classroom.hand_in("dora", classroom.notebook())
    grading.grade(classroom.course, "a1", LIMITS)
    with nbgrader_api(classroom.course).gradebook as gradebook:
        one = gradebook.find_grade("a1-q5", "a1", "a1", "dora")
        one.manual_score, one.needs_manual_grade = 3, False
        gradebook.find_comment("a1-q5", "a1", "a1", "dora").manual_comment = "A good pair of words."
        gradebook.db.commit()
    table = grading.report(classroom.course, "a1")
    assert table.loc["dora", "score"] == 19 and table.loc["dora", "to_read"] == 0
    page = (classroom.course / "feedback/dora/a1/a1.html").read_text(encoding="utf-8")
    assert "A good pair of words." in page and "3 of 4" in page


def test_one_file_one_grade_and_regrade_repeats_it(classroom):
    shaky = "import numpy as np\ndef perplexity(log_probs):\n    right = math.exp(-sum(log_probs) / len(log_probs))\n"
    shaky += "    return right if len(log_probs) < 5 or 37 in [int(1000 * x) % 100 for x in np.exp(log_probs)] else 0"
    for student in ("ann", "bob"):
        classroom.with_answer(student, "a1-q1", shaky)
    first = grading.grade(classroom.course, "a1", LIMITS)
    assert first.loc["ann", "seed"] != first.loc["bob", "seed"]
    again = grading.regrade(classroom.course, "a1", "ann", LIMITS)
    assert (again["before"].drop("notes") == again["now"].drop("notes")).all()
    assert set(pd.read_csv(classroom.course / "summary-a1.csv")["student"]) == {"ann", "bob"}
    (classroom.course / "secret.txt").write_text("another")
    with pytest.raises(grading.LMTutorError, match="put the old one back"):
        grading.regrade(classroom.course, "a1", "ann", LIMITS)


def test_html_of_a_student_s_is_dead_and_too_many_points_are_refused(classroom):
    from lmtutor.classroom.course import nbgrader_api

    notebook = classroom.notebook()
    cell_of(notebook, "a1-q5").source = "<img src=x onerror=alert(1)> [me](javascript:alert(1))"
    notebook.cells.append(classroom.nbformat.v4.new_raw_cell("<script>1</script>", metadata={"format": "text/html"}))
    classroom.hand_in("mallory", notebook)
    grading.grade(classroom.course, "a1", LIMITS)
    text = (classroom.course / "autograded/mallory/a1/a1.ipynb").read_text(encoding="utf-8")
    assert "<img" not in text and "<script" not in text and "javascript:" not in text and '"raw"' not in text
    with nbgrader_api(classroom.course).gradebook as gradebook:
        one = gradebook.find_grade("a1-q5", "a1", "a1", "mallory")
        one.manual_score, one.extra_credit = 4, 250
        gradebook.db.commit()
    with pytest.raises(grading.LMTutorError, match="mallory: a1-q5 has 254 of 4 points"):
        grading.report(classroom.course, "a1")
    assert grading.grade(classroom.course, "a1", LIMITS).loc["mallory", "score"] == 20


def test_message_of_a_student_s_own_is_not_shown(classroom):
    own = "def discount(pairs):\n    raise {}('a secret that was found')"
    for student, kind in {"ann": "ValueError", "bob": "AssertionError"}.items():
        classroom.with_answer(student, "a1-q3", own.format(kind))
    grading.grade(classroom.course, "a1", LIMITS)
    for student, kind in {"ann": "ValueError", "bob": "AssertionError"}.items():
        page = (classroom.course / f"feedback/{student}/a1/a1.html").read_text(encoding="utf-8")
        page = page.split("your answer")[0]
        assert "a secret" not in page and f"{kind} (in discount, line 2 of its cell)" in page


def test_a_page_of_errors_is_cut_short(classroom):
    notebook = classroom.notebook()
    notebook.cells += [classroom.nbformat.v4.new_code_cell("raise ValueError") for _ in range(40)]
    classroom.hand_in("ann", notebook)
    row = grading.grade(classroom.course, "a1", LIMITS).loc["ann"]
    assert row["score"] == 16 and row["notes"].count("ValueError") == 20 and row["notes"].endswith("and so on")


def test_marks_of_cells_that_an_editor_lost(classroom):
    notebook = classroom.notebook()
    for cell in notebook.cells:
        cell.metadata, cell.id = classroom.nbformat.NotebookNode(), cell.id.replace("a1", "x")
    classroom.hand_in("ed", notebook)
    table = grading.grade(classroom.course, "a1", LIMITS)
    assert table.loc["ed", "score"] == 16 and table.loc["ed", "to_read"] == 4
    assert "a1-q5" in table.loc["ed", "notes"]
    assert "baker" in (classroom.course / "feedback/ed/a1/a1.html").read_text(encoding="utf-8")


def test_nothing_stops_the_class(classroom):
    import os

    place = classroom.place("folder")
    place.mkdir()
    os.mkfifo(classroom.place("pipe"))
    classroom.place("zero").symlink_to("/dev/zero")
    classroom.with_answer("half", "a1-q3", "def discount(pairs):\n    raise ValueError('\\ud800')")
    classroom.hand_in("year", classroom.notebook())
    (classroom.place("year").parent / "timestamp.txt").write_text("0001-01-01 00:00:00 UTC")
    moved = classroom.notebook()
    for part in ("a1-q4-test-b", "a1-q4-test"):
        moved.cells.insert(0, moved.cells.pop(moved.cells.index(cell_of(moved, part))))
    classroom.hand_in("moved", moved)
    (classroom.course / "submitted" / "=1+1" / "a1").mkdir(parents=True)
    classroom.hand_in("zoe", classroom.notebook())
    table = grading.grade(classroom.course, "a1", LIMITS)
    assert table["score"].to_dict() == {
        "=1+1": 0, "folder": 0, "half": 13, "moved": 16, "pipe": 0, "year": 16, "zero": 0, "zoe": 16,
    }  # fmt: skip
    assert "'=1+1" in (classroom.course / "summary-a1.csv").read_text()
    assert "please look" not in "".join(table["notes"])


def test_nbgrader_s_own_feedback_holds_no_hidden_test(classroom):
    from lmtutor.classroom.course import nbgrader_api

    code = "import sys\ndef discount(pairs):\n    print(sys._getframe(1).f_code)\n    return 0.5"
    classroom.with_answer("ann", "a1-q3", code)
    table = grading.grade(classroom.course, "a1", LIMITS)
    assert "please look at the code: _getframe" in table.loc["ann", "notes"]
    assert nbgrader_api(classroom.course).generate_feedback("a1", "ann", force=True)["success"]
    page = (classroom.course / "feedback/ann/a1/a1.html").read_text(encoding="utf-8")
    assert "HIDDEN" not in page and "random_pairs" not in page
