"""What the classroom's tests share: one course, built once, and submissions made from its notebooks."""

import copy
import shutil
from pathlib import Path

import pytest

from lmtutor.classroom.sources import SOURCES, assignment_names

NAMES = assignment_names(SOURCES)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder that `lmtutor assignments build` makes; needs nbgrader."""
    pytest.importorskip("nbgrader")
    from lmtutor.classroom.course import build

    out = tmp_path_factory.mktemp("assignments")
    build(out)
    return out


class Class:
    """A course of its own for one test, and a way to hand things in."""

    def __init__(self, built: Path, folder: Path):
        import nbformat

        self.nbformat, self.built = nbformat, built
        self.course = folder / "course"
        shutil.copytree(built / "course", self.course)

    def notebook(self, name: str = "a1", kind: str = "solution"):
        """A fresh copy of a release or a solution."""
        return copy.deepcopy(self.nbformat.read(self.built / kind / f"{name}.ipynb", as_version=4))

    def place(self, student: str, name: str = "a1") -> Path:
        """Where a submission goes."""
        path = self.course / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def hand_in(self, student: str, notebook, name: str = "a1") -> None:
        """Hand in a notebook."""
        self.nbformat.write(notebook, self.place(student, name))

    def with_answer(self, student: str, question: str, code: str) -> None:
        """Hand in the solution with one answer changed."""
        notebook = self.notebook(question.split("-")[0])
        cell_of(notebook, question).source = code
        self.hand_in(student, notebook, question.split("-")[0])


def cell_of(notebook, grade_id: str):
    """The cell with this id."""
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


@pytest.fixture
def classroom(built, tmp_path):
    """A course in which nothing has been handed in yet."""
    return Class(built, tmp_path)
