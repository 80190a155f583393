"""The sources are whole, and their releases give nothing away. No nbgrader needed."""

import json

import jupytext
import nbformat
import pytest
from typer.testing import CliRunner

from lmtutor.classroom.sources import (
    HIDDEN,
    SOLUTION,
    SOURCES,
    assignment_names,
    hidden_tests,
    question_of,
    read_assignment,
    release,
    solution,
    write_hidden,
)
from lmtutor.cli.commands import app
from lmtutor.system.errors import LMTutorError
from tests.helpers import ROOT

NAMES = assignment_names()


def secret_lines(notebook) -> set[str]:
    """Lines of solutions and hidden tests that stand nowhere in what a student may see."""
    secret, visible = set(), set()
    for cell in notebook.cells:
        for match in SOLUTION.finditer(cell.source):
            secret |= {line.strip() for line in match[2].splitlines()}
        for text in HIDDEN.findall(cell.source):
            secret |= {line.strip() for line in text.splitlines()}
        visible |= {line.strip() for line in SOLUTION.sub("", HIDDEN.sub("", cell.source)).splitlines()}
    return {line for line in secret - visible if len(line) > 8}


@pytest.mark.parametrize("name", NAMES)
def test_the_teaching_page_says_what_an_assignment_is(name):
    assignment = read_assignment(name)
    by_hand = assignment.points.loc[assignment.points["graded by"] == "read", "points"].sum()
    page = (ROOT / "book/appendix/teaching.md").read_text(encoding="utf-8")
    assert f"| {name} | {assignment.title} | {assignment.minutes} | {by_hand} |" in page
    assert assignment.points["points"].sum() == 20


def test_an_assignment_more_is_one_file_more(tmp_path):
    text = (SOURCES / "a1.md").read_text(encoding="utf-8")
    for name in ("a1", "a9"):
        (tmp_path / f"{name}.md").write_text(text.replace("a1-", f"{name}-"), encoding="utf-8")
    run = CliRunner()
    out, sources = ["--no-course", "--out", str(tmp_path / "out")], ["--sources", str(tmp_path)]
    assert run.invoke(app, ["assignments", "build", *out, *sources]).exit_code == 0
    assert (tmp_path / "out/release/a9.ipynb").is_file()
    assert run.invoke(app, ["assignments", "hidden", str(tmp_path / "own"), *sources]).exit_code == 0
    assert "# %% a9-q1-test" in (tmp_path / "own/a9.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_release_holds_no_solution_and_no_hidden_test(name):
    assignment = read_assignment(name)
    made = release(assignment)
    nbformat.validate(made)
    secrets = secret_lines(assignment.notebook)
    assert len(secrets) > 20
    everything = json.dumps(made, ensure_ascii=False)
    leaked = [line for line in secrets if json.dumps(line, ensure_ascii=False)[1:-1] in everything]
    assert not leaked
    assert "SOLUTION" not in everything and "HIDDEN" not in everything
    assert all(not cell.get("outputs") for cell in made.cells)


@pytest.mark.parametrize("name", NAMES)
def test_every_question_has_an_answer_cell_tests_and_points(name):
    assignment = read_assignment(name)
    cells = assignment.cells
    assert assignment.points["points"].sum() == 20
    assert 60 <= assignment.minutes <= 120
    kinds = assignment.points["graded by"].str[:5].value_counts()
    assert kinds["tests"] >= 3 and 1 <= kinds["read"] <= 2
    for grade_id, cell in cells.items():
        facts = cell.metadata.nbgrader
        if facts.grade and not facts.solution:
            answer = cells[question_of(grade_id)]
            assert answer.metadata.nbgrader.solution and "### BEGIN SOLUTION" in answer.source
            assert facts.points <= 4, "larger questions are graded in parts"
            assert facts.locked and "### BEGIN HIDDEN TESTS" in cell.source
            assert "default_rng()" in cell.source or "manual_seed(secrets" in cell.source, (
                "hidden tests draw fresh cases"
            )
    for cell in assignment.notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "markdown":
            where = assignment.notebook.cells.index(cell)
            assert "Rubric" in assignment.notebook.cells[where - 1].source


@pytest.mark.parametrize("name", NAMES)
def test_solution_is_the_release_with_answers(name):
    assignment = read_assignment(name)
    made, blank = solution(assignment), release(assignment)
    assert [c.cell_type for c in made.cells] == [c.cell_type for c in blank.cells]
    for mine, theirs in zip(made.cells, blank.cells, strict=True):
        assert "###" not in mine.source or mine.cell_type == "markdown"
        assert (mine.source != theirs.source) == bool(mine.metadata.get("nbgrader", {}).get("solution"))


def test_point_table_is_printed_in_the_notebook():
    assignment = read_assignment("a1")
    text = assignment.notebook.cells[0].source
    assert "| **all** | | **20** |" in text and "%points%" not in text


def test_release_is_the_same_each_time():
    assert release(read_assignment("a1")) == release(read_assignment("a1"))


def test_own_hidden_tests_replace_the_worked_set(tmp_path):
    worked = read_assignment("a1")
    write_hidden(worked, tmp_path / "a1.py")
    assert hidden_tests(read_assignment("a1", hidden=tmp_path)).keys() == hidden_tests(worked).keys()
    (tmp_path / "a1.py").write_text('# %% a1-q2-test\nassert count_places([])[3] == 0, "an empty text"\n')
    own = read_assignment("a1", hidden=tmp_path)
    assert "an empty text" in hidden_tests(own)["a1-q2-test"]
    assert hidden_tests(own)["a1-q1-test"] == hidden_tests(worked)["a1-q1-test"]
    assert "an empty text" not in json.dumps(release(own))
    (tmp_path / "a1.py").write_text("# %% a1-q9-test\nassert True\n")
    with pytest.raises(LMTutorError, match="Unknown cell with hidden tests.*a1-q9-test"):
        read_assignment("a1", hidden=tmp_path)


def test_wrong_metadata_is_refused(tmp_path):
    text = (SOURCES / "a1.md").read_text(encoding="utf-8")
    (tmp_path / "a1.md").write_text(text.replace("grade_id: a1-q2-test", "grade_id: a1-q1-test"), encoding="utf-8")
    with pytest.raises(LMTutorError, match="used once"):
        read_assignment("a1", tmp_path)
    (tmp_path / "a1.md").write_text(text.replace("task: false, points: 3", "task: false", 1), encoding="utf-8")
    with pytest.raises(LMTutorError, match="points if graded"):
        read_assignment("a1", tmp_path)
    with pytest.raises(LMTutorError, match="Unknown assignment of .*'b1'"):
        read_assignment("b1")


def test_sources_are_read_by_jupytext_as_they_are_written():
    for name in NAMES:
        notebook = jupytext.read(SOURCES / f"{name}.md")
        assert {"code", "markdown"} == {cell.cell_type for cell in notebook.cells}


def test_command_builds_without_nbgrader_and_prints_points(tmp_path):
    run = CliRunner()
    made = run.invoke(app, ["assignments", "build", "a1", "--no-course", "--out", str(tmp_path)])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "release/a1.ipynb").is_file() and (tmp_path / "solution/a1.ipynb").is_file()
    assert not (tmp_path / "course").exists()
    assert "a1-q4" in run.invoke(app, ["assignments", "points", "a1"]).output


def test_the_rest_of_the_package_never_imports_nbgrader():
    import subprocess
    import sys

    code = "import sys, lmtutor, lmtutor.cli.commands, lmtutor.classroom.sandbox; sys.exit('nbgrader' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
