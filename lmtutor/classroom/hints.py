"""Hints for students: `lm.check("a2-q3", answer)` says what looks wrong, never what would be right.

Each hint tries an answer on small cases of its own and looks for the marks of a frequent mistake. Finding none proves
nothing; the tests look at more. Nothing is sent or stored.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lmtutor.errors import LMTutorError, nearest


class Hint(str):
    """A message that a notebook shows without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


NOTHING = Hint("No frequent mistake found. The tests look at more.")
_HINTS: dict[str, Callable[[Any], str | None]] = {}


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
    from lmtutor.classroom import hints_by_hand, hints_torch  # noqa: F401  (they register themselves)

    if question not in _HINTS:
        raise LMTutorError(f"check: there is no question {question!r} with hints.{nearest(question, _HINTS)}")
    if not callable(answer):
        return Hint(f"Give the function itself, without calling it: lm.check({question!r}, your_function).")
    try:
        with np.errstate(all="ignore"):
            found = _HINTS[question](answer)
    except Exception as error:  # whatever a student's function raises
        if "still yours to write" in str(error):
            return Hint("Not begun yet.")
        return Hint(f"On a small case it raises {type(error).__name__}: {error}")
    return Hint(found) if found else NOTHING


def hint_for(question: str) -> Callable:
    """Register a function as the hint of a question: it tries an answer and returns a complaint, or None."""

    def register(hint: Callable) -> Callable:
        _HINTS[question] = hint
        return hint

    return register
