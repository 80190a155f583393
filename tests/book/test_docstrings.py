"""The docstrings on the API page: formulas stay as they were typed."""

from docstrings import formulas_are_literal


def shown(text):
    lines = text.splitlines()
    formulas_are_literal(None, "function", "f", None, None, lines)
    return lines


def test_an_indented_formula_becomes_literal():
    text = "One step:\n\n    h = tanh(a)\n    y = W h\n\nand so on."
    assert shown(text) == ["One step:", "", "::", "", "    h = tanh(a)", "    y = W h", "", "and so on."]


def test_a_block_marked_by_hand_stays():
    text = "One step::\n\n    h = tanh(a)\n\n    y = W h"
    assert shown(text) == text.splitlines()


def test_parameters_are_left_alone():
    text = "Add.\n\nParameters\n----------\nx : Tensor (T, B)\n    The ids.\n\n    More about them."
    assert shown(text) == text.splitlines()


def test_continued_list_items_and_examples_are_left_alone():
    for text in ("- one\n\n    more about one", ">>> f(1)\n\n    2", "Nothing indented.\n\nAt all."):
        assert shown(text) == text.splitlines()
