"""Hints for students: `lm.check("a2-q3", answer)` says what looks wrong, never what would be right.

The hints of an assignment lie beside the package, in `data/hints/NAME.py`: one function per tested question, listed in
their order as `HINTS`. It tries the answer on small cases of its own and yields pairs: whether something looks wrong,
and what to say then. The first that does is said. Finding none proves nothing; the tests look at more. Nothing is sent
or stored.
"""

import runpy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from lmtutor.system import files
from lmtutor.system.errors import LMTutorError, nearest


class Hint(str):
    """A message that a notebook shows without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


NO_MISTAKE = Hint("No frequent mistake found. The tests look at more.")


@cache
def hints_of(assignment: str) -> dict[str, Callable]:
    """The hints of an assignment by question; none where it has none."""
    path = files.find(f"hints/{assignment}.py") if assignment.isalnum() else None
    hints = runpy.run_path(str(path))["HINTS"] if path else ()
    return {f"{assignment}-q{n}": hint for n, hint in enumerate(hints, start=1)}


def check(question: str, answer: Any) -> Hint:
    """Say what looks wrong with an answer to an assignment.

    Parameters
    ----------
    question : such as `"a2-q3"`.
    answer : the function that you wrote (the first, where a question asks for two), not what it returns.

    Returns
    -------
    Hint, a string.

    Raises
    ------
    LMTutorError
        When there is no such question to check.
    """
    hints = hints_of(question.partition("-")[0])
    if question not in hints:
        raise LMTutorError(f"check: there is no question {question!r} with hints.{nearest(question, hints)}")
    if not callable(answer):
        return Hint(f"Give the function itself, without calling it: lm.check({question!r}, your_function).")
    try:
        with np.errstate(all="ignore"):
            return Hint(next((said for wrong, said in hints[question](answer) if wrong), NO_MISTAKE))
    except Exception as error:  # whatever a student's function raises, or does to what it returns
        if "still yours to write" in str(error):
            return Hint("Not begun yet.")
        return Hint(f"On a small case it raises {type(error).__name__}: {error}")
