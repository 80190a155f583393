"""Lines of associative recall: what is asked was told, and the targets are what a dictionary answers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtutor.text.recall import KEYS, TYPES, VALUES, recall_lines


@settings(max_examples=40, deadline=None)
@given(pairs=st.integers(1, 64), asked=st.integers(1, 20), lines=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_answers_are_those_of_a_dictionary(pairs, asked, lines, seed):
    inputs, targets = recall_lines(pairs, asked, lines, torch.Generator().manual_seed(seed))
    assert inputs.shape == targets.shape == (2 * pairs + 1 + asked, lines)
    for column, answers in zip(inputs.T.tolist(), targets.T.tolist(), strict=True):
        line = "".join(TYPES[i] for i in column)
        told, questions = line.split(";")
        known = dict(zip(told[::2], told[1::2], strict=True))
        assert len(known) == pairs and set(known) <= set(KEYS) and set(known.values()) <= set(VALUES)
        assert answers == [-100] * (2 * pairs + 1) + [TYPES.index(known[key]) for key in questions]


def test_there_are_no_more_keys_than_64():
    with pytest.raises(RuntimeError):
        recall_lines(65, 4, 2, torch.Generator())
