"""What a student's own check says: before handing in, in a process of its own, without nbgrader."""

import hashlib
import json

import nbformat
import pytest
from typer.testing import CliRunner

from lmtutor.classroom.receipt import check
from lmtutor.classroom.sources import GOES_ON, assignment_names, read_assignment, release, solution
from lmtutor.cli.commands import app
from lmtutor.system.errors import LMTutorError

from .conftest import cell_of

pytestmark = pytest.mark.slow


@pytest.fixture
def mine(tmp_path):
    """A function that writes a notebook into a student's folder."""

    def write(notebook, name="a1"):
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        return tmp_path / f"{name}.ipynb"

    return write


def test_solved_notebook_gets_a_receipt_that_names_the_file(mine):
    path = mine(solution(read_assignment("a1")))
    before = path.read_bytes()
    done = CliRunner().invoke(app, ["assignments", "check", str(path)])
    assert done.exit_code == 0, done.output
    assert "a1-q4   passed" in done.output and "4 of 4 passed" in done.output and "warning" not in done.output
    assert hashlib.sha256(before).hexdigest()[:16] in done.output and path.read_bytes() == before


def test_blank_and_wrong_answers_are_named_and_what_follows_is_run(mine):
    notebook = release(read_assignment("a1"))
    cell_of(notebook, "a1-q2").source = "def count_places(tokens):\n    return {}, {}, {}, 0"
    cell_of(notebook, "a1-q3").source = "def discount(pairs):\n    return 1 / 0"
    cell_of(notebook, "a1-q4").source = "def kneser_ney(tokens, D:"
    notebook.cells.insert(3, nbformat.v4.new_code_cell("!echo a program that prints"))
    done = CliRunner().invoke(app, ["assignments", "check", str(mine(notebook))])
    assert done.exit_code == 1
    assert "a1-q1   not answered yet" in done.output and "0 of 4 passed" in done.output
    assert "a1-q2   KeyError: ('left', 'baker')" in done.output
    assert "a1-q3   ZeroDivisionError" in done.output and "a1-q4   NameError" in done.output
    assert "warning: a1-q5: nothing is written here yet" in done.output


def test_every_part_of_a_question_s_tests_counts(mine):
    notebook = solution(read_assignment("a8"))
    cell_of(notebook, "a8-q2").source = "def scan(a, b, h0):\n    return one_by_one(a, b, h0)"
    results = check(mine(notebook, "a8")).results
    assert results.pop("a8-q2").startswith("Four times the steps may take two rounds more"), "the second part says it"
    assert set(results.values()) == {"passed"}


def test_warnings(mine, tmp_path):
    notebook = solution(read_assignment("a1"))
    notebook.cells.remove(cell_of(notebook, "a1-q3-test"))
    cell_of(notebook, "a1-q1-test").source = "assert True"
    notebook.cells.append(cell_of(notebook, "a1-q2").copy())
    notebook.cells[-1]["id"] = "twin"
    notebook.cells.insert(0, notebook.cells.pop(notebook.cells.index(cell_of(notebook, "a1-q4"))))
    notebook.cells.append(nbformat.v4.new_markdown_cell("x" * 11 * 2**20))
    other = cell_of(release(read_assignment("a2")), "a2-q1")
    notebook.cells += [other, cell_of(release(read_assignment("a2")), "a2-q1-test")]
    (tmp_path / "a1-Copy1.ipynb").write_text("{}")
    receipt = check(mine(notebook, "a2"))
    assert list(receipt.results) == ["a1-q1", "a1-q2", "a1-q3", "a1-q4"], "those of this assignment, in its order"
    assert receipt.results["a1-q3"] == "a cell with its tests is missing" and receipt.passed < 4
    said = "\n".join(receipt.warnings)
    for warning in (
        "this is assignment a1, and the file is called a2.ipynb",
        "11 MB: clear the outputs",
        "another copy in this folder: a1-Copy1.ipynb",
        "a2-q1: a cell of another assignment",
        "a1-q3-test: the cell is missing",
        "a1-q2: stands here 2 times, and the first counts",
        "cells were moved",
        "a1-q1-test: was changed, and will be put back",
    ):
        assert warning in said, warning


def test_endless_loop_ends_and_is_named(mine):
    notebook = solution(read_assignment("a1"))
    cell_of(notebook, "a1-q2").source = "import time; time.sleep(1000)"
    receipt = check(mine(notebook), seconds=25)
    assert receipt.results["a1-q1"] == "passed"
    assert (
        receipt.results["a1-q2"]
        == receipt.results["a1-q4"]
        == ("not run: a1-q2 did not end within 25 s, or ended the process")
    )


@pytest.mark.parametrize(
    "content", ["", "{}", '{"cells": []}', json.dumps({"cells": [], "metadata": {"lmtutor": 3}})], ids=range(4)
)
def test_what_is_no_assignment_is_refused(tmp_path, content):
    (tmp_path / "a1.ipynb").write_text(content)
    with pytest.raises(LMTutorError):
        check(tmp_path / "a1.ipynb")
    with pytest.raises(LMTutorError, match="no file a2.ipynb"):
        check(tmp_path / "a2.ipynb")


@pytest.mark.parametrize("name", assignment_names())
def test_every_release_installs_goes_on_asks_who_helped_and_ends_with_a_result(name):
    cells = release(read_assignment(name)).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    ids = [cell.metadata.nbgrader.grade_id.split("-", 1)[1] for cell in code]
    assert ids[:2] == ["install", "setup"] and "%pip install" in code[0].source
    assert all(GOES_ON in cell.metadata.get("tags", []) for cell in code[ids.index("q1") :])
    assert not any("tags" in cell.metadata for cell in code[: ids.index("q1")])
    assert cells[-1].source.startswith("## Who helped?") and "nbgrader" not in cells[-1].metadata
    last = code[-1].metadata.nbgrader
    assert last.locked and not last.grade and "print(" in code[-1].source, "it ends with a result worth seeing"
