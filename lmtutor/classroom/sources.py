"""One source per assignment: read it, check it, and make the release and the solution of it.

A source is a MyST notebook with nbgrader's cell metadata. Regions between `### BEGIN SOLUTION` and `### END SOLUTION`
become a stub in the release; regions between `### BEGIN HIDDEN TESTS` and `### END HIDDEN TESTS` vanish from it.
Every assignment gets two cells that no source needs to write: one that installs the package, one that asks who helped.
An instructor can keep hidden tests of their own in a folder outside the tree, `FOLDER/a1.py`, a block per test cell.
"""

import ast
import copy
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lmtutor.system.errors import LMTutorError, one_of
from lmtutor.system.files import PACKAGE

SOURCES = PACKAGE.parent / "book" / "assignments"
STILL_OPEN = "this part is still yours to write"
CODE_STUB = f'# Your code here.\nraise RuntimeError("{STILL_OPEN}")'
TEXT_STUB = "*Your answer here.*"
HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\n(.*?)^[ \t]*### END HIDDEN TESTS[ \t]*\n?", re.M | re.S)
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[ \t]*(\n?)", re.M | re.S)
POINTS_MARK = "%points%"
INSTALL = """\
# Installs the book's package where it is missing, as on Colab. Where it is there, this cell does nothing.
from importlib.util import find_spec

if find_spec("lmtutor") is None:
    %pip install --quiet "{requirement}"\
"""
HELPED = f"""\
## Who helped?

People, pages, programs: say so here. It costs nothing.

{TEXT_STUB}\
"""
GOES_ON = "raises-exception"  # Jupyter's tag of cells after whose errors "Run All" goes on
HIDDEN_BLOCK = re.compile(r"^# %% +(\S+)[ \t]*\n", re.M)


@dataclass(frozen=True)
class Assignment:
    """A source that was read and checked."""

    name: str  # a1
    title: str
    minutes: int  # of a student who has read the chapter
    notebook: Any  # nbformat's; with solutions and hidden tests

    @property
    def cells(self) -> dict[str, Any]:
        """The cells that nbgrader knows, by grade_id."""
        return {c.metadata.nbgrader.grade_id: c for c in self.notebook.cells if "nbgrader" in c.metadata}

    @property
    def points(self) -> pd.DataFrame:
        """A row per question: question, how it is graded ("tests", "tests in 2 parts" or "read"), points."""
        graded = {name: cell for name, cell in self.cells.items() if cell.metadata.nbgrader.grade}
        rows = []
        for question in dict.fromkeys(map(question_of, graded)):
            parts = [cell for name, cell in graded.items() if question_of(name) == question]
            kind = "read" if parts[0].cell_type == "markdown" else "tests"
            kind += f" in {len(parts)} parts" if len(parts) > 1 else ""
            rows.append((question, kind, sum(cell.metadata.nbgrader.points for cell in parts)))
        return pd.DataFrame(rows, columns=["question", "graded by", "points"])


def question_of(grade_id: str) -> str:
    """`a1-q2` for its answer cell `a1-q2` and its test cells `a1-q2-test`, `a1-q2-test-b` …"""
    return grade_id.partition("-test")[0]


def is_test(grade_id: str) -> bool:
    """Whether this is the id of a cell with tests, of a first or a further part."""
    return question_of(grade_id) != grade_id


def definitions(code: str) -> str:
    """What a test defines and imports."""
    tree = ast.parse(code)
    kept = ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    tree.body = [node for node in tree.body if isinstance(node, kept)]
    return ast.unparse(tree)


def assignment_names(folder: Path = SOURCES) -> list[str]:
    """List the assignments of a folder: a1, a2 …"""
    return sorted(path.stem for path in Path(folder).glob("*.md"))


def read_assignment(
    name: str, folder: Path = SOURCES, hidden: Path | None = None, requirement: str = "lmtutor"
) -> Assignment:
    """Read a source and check its metadata.

    Parameters
    ----------
    name, folder : of the source, such as a1, and where it lies.
    hidden : an instructor's folder; its `NAME.py`, where there is one, replaces the hidden tests of the source.
    requirement : what pip installs where the package is missing, such as the address of a wheel.
    """
    import jupytext

    path = Path(folder) / f"{one_of(f'assignment of {folder}', name, assignment_names(folder))}.md"
    notebook = jupytext.read(path)
    facts = notebook.metadata.pop("assignment", None) or {}
    if not {"title", "minutes"} <= set(facts):
        raise LMTutorError(f"{path}: the header needs `assignment:` with a title and minutes.")
    notebook.metadata = type(notebook.metadata)(
        kernelspec=notebook.metadata.get("kernelspec"), language_info={"name": "python"}
    )
    _add_frame(notebook, name, requirement)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{number}"  # jupytext draws ids at random; the release must be the same each time
    assignment = Assignment(name, facts["title"], facts["minutes"], notebook)
    _check(assignment, path)
    own = Path(hidden) / f"{name}.py" if hidden else None
    if own and own.is_file():
        _replace_hidden(assignment, own)
    for cell in notebook.cells:
        if POINTS_MARK in cell.source:
            cell.source = cell.source.replace(POINTS_MARK, _points_table(assignment))
    marks = [
        (name, fingerprint(cell.source) if cell.metadata.nbgrader.locked else "")
        for name, cell in assignment.cells.items()
    ]
    notebook.metadata["lmtutor"] = {"assignment": name, "title": assignment.title, "cells": marks}
    return assignment


def fingerprint(source: str) -> str:
    """Name the text of a released cell, so that a changed one is noticed."""
    return hashlib.sha256(HIDDEN.sub("", source).strip().encode()).hexdigest()[:8]


def _add_frame(notebook: Any, name: str, requirement: str) -> None:
    """Put in the cells that every assignment has; let "Run All" go on after an error from the first question on."""
    from nbformat.v4 import new_code_cell, new_markdown_cell

    kinds = [cell.cell_type for cell in notebook.cells]
    answers = [bool(cell.metadata.get("nbgrader", {}).get("solution")) for cell in notebook.cells]
    for cell in notebook.cells[answers.index(True) :] if any(answers) else []:
        if cell.cell_type == "code":
            cell.metadata["tags"] = [GOES_ON]
    facts = dict.fromkeys(("solution", "grade", "task"), False) | {"locked": True, "schema_version": 3}
    installing = new_code_cell(INSTALL.format(requirement=requirement))
    installing.metadata["nbgrader"] = facts | {"grade_id": f"{name}-install"}
    notebook.cells.insert(kinds.index("code"), installing)
    notebook.cells.append(new_markdown_cell(HELPED))


def _check(assignment: Assignment, path: Path) -> None:
    seen = set()
    for cell in assignment.notebook.cells:
        facts = cell.metadata.get("nbgrader")
        if facts is None:
            if "### BEGIN" in cell.source:
                raise LMTutorError(f"{path}: a cell with a solution or hidden tests has no nbgrader metadata.")
            continue
        wanted = {"schema_version", "grade_id", "solution", "grade", "locked", "task"}
        if not wanted <= set(facts) or facts.grade != ("points" in facts) or facts.schema_version != 3:
            raise LMTutorError(f"{path}: {facts.get('grade_id')}: metadata need {sorted(wanted)}, points if graded.")
        if facts.grade_id in seen or not facts.grade_id.startswith(f"{assignment.name}-"):
            raise LMTutorError(f"{path}: {facts.grade_id}: ids are used once and start with {assignment.name}-.")
        seen.add(facts.grade_id)


def _points_table(assignment: Assignment) -> str:
    rows = [
        f"| {question} | {kind} | {points} |" for question, kind, points in assignment.points.itertuples(index=False)
    ]
    total = assignment.points["points"].sum()
    return "\n".join(["| question | graded by | points |", "|---|---|---|", *rows, f"| **all** | | **{total}** |"])


def hidden_tests(assignment: Assignment) -> dict[str, str]:
    """Return the code of the hidden tests by grade_id of their cell."""
    found = {name: HIDDEN.findall(cell.source) for name, cell in assignment.cells.items()}
    return {name: "".join(parts) for name, parts in found.items() if parts}


def write_hidden(assignment: Assignment, path: Path) -> None:
    """Write the hidden tests as `read_assignment` reads them back: a block per cell, after `# %% a1-q1-test`."""
    blocks = [f"# %% {name}\n{code}" for name, code in hidden_tests(assignment).items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(blocks), encoding="utf-8")


def _replace_hidden(assignment: Assignment, path: Path) -> None:
    parts = HIDDEN_BLOCK.split(path.read_text(encoding="utf-8"))
    blocks = dict(zip(parts[1::2], parts[2::2], strict=True))
    for name, code in blocks.items():
        cell = assignment.cells[one_of(f"cell with hidden tests, in {path},", name, hidden_tests(assignment))]
        region = f"### BEGIN HIDDEN TESTS\n{code.strip()}\n### END HIDDEN TESTS\n"
        cell.source = HIDDEN.sub(lambda _, region=region: region, cell.source).rstrip()


def release(assignment: Assignment) -> Any:
    """Make the student's notebook: stubs for solutions, no hidden tests, no outputs, test cells locked."""
    notebook = copy.deepcopy(assignment.notebook)
    for cell in notebook.cells:
        facts = cell.metadata.get("nbgrader")
        if facts is None:
            continue
        cell.source = HIDDEN.sub("", cell.source).rstrip()
        if facts.solution:
            cell.source = _with_stub(cell.source, TEXT_STUB if cell.cell_type == "markdown" else CODE_STUB)
        if facts.locked:
            cell.metadata["deletable"] = cell.metadata["editable"] = False
    return without_outputs(notebook)


def _with_stub(source: str, stub: str) -> str:
    def one(match: re.Match) -> str:
        return "\n".join(match[1] + line for line in stub.splitlines()) + match[3]

    replaced, count = SOLUTION.subn(one, source)
    return replaced.rstrip() if count else stub


def solution(assignment: Assignment) -> Any:
    """Make the solved notebook: as a student with full marks would hand it in, without hidden tests."""
    notebook = copy.deepcopy(assignment.notebook)
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.source = solved(cell.source)
    return without_outputs(notebook)


def solved(source: str) -> str:
    """A cell as a student with full marks would hand it in."""
    return SOLUTION.sub(lambda m: m[2], HIDDEN.sub("", source)).rstrip()


def without_outputs(notebook: Any) -> Any:
    """Empty the outputs of the code cells, in place."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook
