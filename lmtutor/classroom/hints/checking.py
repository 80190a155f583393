"""Hints for students: `lm.check("a2-q3", answer)` says what looks wrong, never what would be right.

Each hint tries an answer on small cases of its own and looks for the marks of a frequent mistake. Finding none proves
nothing; the tests look at more. Nothing is sent or stored.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lmtutor.classroom.hints import by_hand, torch
from lmtutor.system.errors import LMTutorError, nearest


class Hint(str):
    """A message that a notebook shows without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


NO_MISTAKE = Hint("No frequent mistake found. The tests look at more.")
HINTS: dict[str, Callable[[Any], str | None]] = {
    f"{assignment}-q{number}": hint
    for assignment, hints in {**by_hand.BY_HAND, **torch.WITH_TORCH}.items()
    for number, hint in enumerate(hints, start=1)
}


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
    if question not in HINTS:
        raise LMTutorError(f"check: there is no question {question!r} with hints.{nearest(question, HINTS)}")
    if not callable(answer):
        return Hint(f"Give the function itself, without calling it: lm.check({question!r}, your_function).")
    try:
        with np.errstate(all="ignore"):
            found = HINTS[question](answer)
    except Exception as error:  # whatever a student's function raises
        if "still yours to write" in str(error):
            return Hint("Not begun yet.")
        return Hint(f"On a small case it raises {type(error).__name__}: {error}")
    return Hint(found) if found else NO_MISTAKE
