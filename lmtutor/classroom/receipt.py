"""A student's own check before handing in: the visible tests in a fresh process, warnings, a receipt. No nbgrader."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lmtutor.classroom.intake import Refused, plain_notebook, take
from lmtutor.classroom.sources import STILL_OPEN, TEXT_STUB, fingerprint, is_test, question_of
from lmtutor.system.errors import LMTutorError

MISSING = "a cell with its tests is missing"
LARGE = 10  # megabytes; some platforms take no larger file


@dataclass(frozen=True)
class Receipt:
    """What a student can show: which file it was, when, and what passed."""

    name: str
    title: str
    digest: str  # the first digits of the file's SHA-256, which the summary of the class shows, too
    when: str
    results: dict[str, str]  # what the visible tests of a question said
    warnings: list[str]

    @property
    def passed(self) -> int:
        """How many questions pass every test that a student sees."""
        return sum(said == "passed" for said in self.results.values())

    def __str__(self) -> str:
        rows = [f"  {question:8}{said}" for question, said in self.results.items()]
        found = [f"warning: {warning}" for warning in self.warnings]
        end = f"receipt: {self.name}, file {self.digest}, {self.when}, {self.passed} of {len(self.results)} passed"
        return "\n".join([f"{self.name}. {self.title}", *rows, *found, end])


def check(path: Path, seconds: float = 300.0) -> Receipt:
    """Run a notebook from its first cell to its last in a fresh process, as it would be handed in; change nothing.

    Parameters
    ----------
    path : the notebook.
    seconds : the most that the whole notebook may take.

    Raises
    ------
    LMTutorError
        If the file is no notebook, or no assignment.
    """
    try:
        content = take(path)
        cells = json.loads(plain_notebook(content))["cells"]
    except Refused as refused:
        raise LMTutorError(f"{path}: {refused}") from None
    match json.loads(content.decode("utf-8-sig")):
        case {"metadata": {"lmtutor": {"assignment": str(), "title": str(), "cells": list()} as facts}}:
            ids = [cell["metadata"].get("nbgrader", {}).get("grade_id", "") for cell in cells]
        case _:
            raise LMTutorError(
                f"{path} is no assignment of this course, or an editor has removed what marks it as one."
            )
    digest, now = hashlib.sha256(content).hexdigest()[:16], datetime.now().astimezone()
    warnings = _about_the_file(path, content, facts["assignment"]) + _about_the_cells(cells, ids, facts)
    said = _run(cells, ids, path.resolve().parent, seconds)
    tests = [mark for mark, _ in facts["cells"] if is_test(mark)]
    lost = {question_of(mark) for mark in tests if mark not in ids}
    results = {each: MISSING if each in lost else said[each] for each in map(question_of, tests)}
    return Receipt(facts["assignment"], facts["title"], digest, f"{now:%Y-%m-%d %H:%M %z}", results, warnings)


def _about_the_file(path: Path, content: bytes, name: str) -> list[str]:
    found = []
    if path.stem != name:
        found.append(f"this is assignment {name}, and the file is called {path.name}")
    if len(content) > LARGE * 2**20:
        found.append(f"{len(content) / 2**20:.0f} MB: clear the outputs before you hand in")
    others = [other.name for other in path.resolve().parent.glob("*.ipynb") if other.name != path.name]
    twins = [other for other in others if other.startswith(f"{name}.") or other.startswith(f"{name}-")]
    if twins:
        found.append(f"there is another copy in this folder: {', '.join(sorted(twins))}. Hand in the right one")
    return found


def _about_the_cells(cells: list[dict], ids: list[str], facts: dict) -> list[str]:
    """Compare the cells with the list of those that were handed out."""
    marks = dict(facts["cells"])
    found = [f"{each}: a cell of another assignment" for each in ids if each and each not in marks]
    found += [f"{each}: the cell is missing" for each in marks if each not in ids]
    found += [
        f"{each}: stands here {n} times, and the first counts" for each, n in Counter(ids).items() if each and n > 1
    ]
    known = list(dict.fromkeys(each for each in ids if each in marks))
    if known != [each for each in marks if each in known]:
        found.append("cells were moved: put them back in their order, or fetch the notebook again")
    for cell, each in zip(cells, ids, strict=True):
        if marks.get(each) and fingerprint(cell["source"]) != marks[each]:
            found.append(f"{each}: was changed, and will be put back when it is graded")
        if cell["cell_type"] == "markdown" and each in marks and TEXT_STUB in cell["source"]:
            found.append(f"{each}: nothing is written here yet")
    return found


def _run(cells: list[dict], ids: list[str], folder: Path, seconds: float) -> dict[str, str]:
    """What the visible tests of each question say."""
    code = [(each, cell["source"]) for each, cell in zip(ids, cells, strict=True) if cell["cell_type"] == "code"]
    command = [sys.executable, "-m", "lmtutor.classroom.cells"]
    sources = json.dumps([source for _, source in code])
    try:
        done = subprocess.run(
            command, input=sources, stdout=subprocess.PIPE, cwd=folder, text=True, encoding="utf-8", timeout=seconds
        ).stdout
    except subprocess.TimeoutExpired as late:
        done = (late.stdout or b"").decode()
    errors = [json.loads(line) for line in done.splitlines()]
    ended, results = len(errors), {}
    for number, (each, _) in enumerate(code):
        if not is_test(each):
            continue
        said = _in_words(errors[number]) if number < ended else "not run"
        if number >= ended:
            stopped = code[ended][0] or "one of your own cells"
            said = f"not run: {stopped} did not end within {seconds:g} s, or ended the process"
        before = results.get(question_of(each), "passed")
        results[question_of(each)] = said if before == "passed" else before
    return results


def _in_words(error: list | None) -> str:
    if error is None:
        return "passed"
    kind, message = error[:2]
    if STILL_OPEN in message:
        return "not answered yet"
    return message.splitlines()[0] if kind == "AssertionError" and message else f"{kind}: {message}"
