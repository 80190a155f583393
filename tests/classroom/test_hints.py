"""`lm.check`: a hint for every tested question; silent, helpful and discreet. Its set of answers: test_answers.py."""

import pytest

import lmtutor as lm
from lmtutor.classroom.hints import NO_MISTAKE, hints_of
from lmtutor.classroom.sources import assignment_names, read_assignment

from .test_answers import first_function, solved


@pytest.mark.parametrize("name", assignment_names())
def test_every_tested_question_has_a_hint_that_is_silent_on_its_solution(name):
    points = read_assignment(name).points
    tested = points[points["graded by"] != "read"]["question"]
    assert list(tested) == list(hints_of(name))
    for question in tested:
        assert lm.check(question, first_function(question, solved(question))) == NO_MISTAKE, question


def test_other_uses_are_answered_in_one_line():
    assert lm.check("a1-q1", 4.0).startswith("Give the function itself")
    said = lm.check("a1-q1", lambda logs: 1 / 0)
    assert repr(said) == "On a small case it raises ZeroDivisionError: division by zero"

    def blank(logs):
        raise RuntimeError("this part is still yours to write")

    assert lm.check("a1-q1", blank) == "Not begun yet."
    for unknown in ("a1-q9", "b1-q1", "../a1-q1", ""):
        with pytest.raises(lm.LMTutorError, match="no question"):
            lm.check(unknown, blank)
