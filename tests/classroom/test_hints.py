"""`lm.check`: silent on right answers, helpful on frequent mistakes, and it gives nothing away."""

import math
from collections import Counter

import pytest

import lmtutor as lm
from lmtutor.classroom.hints import checking
from lmtutor.classroom.sources import HIDDEN, SOLUTION, assignment_names, read_assignment


def answers(name: str) -> dict:
    """The names that the solved notebook defines, without running its tests or its long cells."""
    space = {}
    for grade_id, cell in read_assignment(name).cells.items():
        if cell.cell_type == "code" and (cell.metadata.nbgrader.solution or grade_id.endswith("-setup")):
            exec(SOLUTION.sub(lambda m: m[2], HIDDEN.sub("", cell.source)), space)
    if name == "a7":
        space["one_by_one"] = space["cache_loop"]
    return space


QUESTIONS = {
    "a1": ["perplexity", "count_places", "discount", "kneser_ney"],
    "a2": ["softmax", "forward", "backward", "numeric_gradient", "clip_by_norm"],
    "a3": ["wrong_gradients", "backward", "kept"],
    "a4": ["columns", "windows", "train_epoch", "score"],
    "a5": ["tokenize", "build_vocabulary", "learn_merges", "nats_per_character"],
    "a6": ["locked_dropout", "embed", "weight_dropped", "should_average"],
    "a7": ["cache_loop", "cache_matrix", "mix", "tune"],
}


@pytest.mark.parametrize("name", assignment_names())
def test_right_answers_get_no_complaint(name):
    space = answers(name)
    for number, function in enumerate(QUESTIONS[name], start=1):
        assert lm.check(f"{name}-q{number}", space[function]) == checking.NO_MISTAKE, f"{name}-q{number}"


def test_every_tested_question_has_a_hint():
    for name in assignment_names():
        points = read_assignment(name).points
        tested = set(points[points["graded by"] != "read"]["question"])
        assert tested == {f"{name}-q{n}" for n in range(1, len(QUESTIONS[name]) + 1)}
        assert tested <= set(checking.HINTS)


MISTAKES = {
    "a1-q1": (lambda logs: math.exp(-sum(logs)), "exponential of the \\*sum"),
    "a1-q3": (lambda pairs: sum(n == 1 for n in pairs.values()) / len(pairs), "seen twice"),
    "a4-q1": (lambda ids, B: ids[: len(ids) // B * B].view(-1, B), "follow each other"),
    "a5-q1": (lambda text: text.split(), "<eos>"),
    "a5-q3": (lambda words, n: [min(Counter(w[i : i + 2] for w in words for i in range(len(w) - 1)))], "as often"),
    "a6-q3": (lambda lstm, x, state, p: lstm(x, state), "without dropping"),
    "a6-q4": (lambda earlier, now, n: bool(earlier) and now > min(earlier), "no more than n"),
    "a7-q3": (lambda own, cached, lam: (0.5 * own.exp() + 0.5 * cached).log(), "must not take a share"),
}


@pytest.mark.parametrize("question", MISTAKES)
def test_frequent_mistakes_are_named(question):
    function, words = MISTAKES[question]
    import re

    assert re.search(words, lm.check(question, function))


def test_bugs_of_the_lstm_are_located():
    space = answers("a3")
    for cell_id, cell in read_assignment("a3").cells.items():
        if cell_id == "a3-broken":
            exec(cell.source, space)
    assert "With 1 step(s) the bias gradients of these blocks are off" in lm.check("a3-q2", space["broken_backward"])


def test_other_uses_are_answered_in_one_line():
    assert lm.check("a1-q1", 4.0).startswith("Give the function itself")
    assert (
        repr(lm.check("a1-q1", lambda logs: 1 / 0)) == "On a small case it raises ZeroDivisionError: division by zero"
    )

    def blank(logs):
        raise RuntimeError("this part is still yours to write")

    assert lm.check("a1-q1", blank) == "Not begun yet."
    with pytest.raises(lm.LMTutorError, match="no question 'a1-q9'"):
        lm.check("a1-q9", blank)
