"""The docstrings on the API page: formulas stay as they were typed."""

from docstrings import formulas_are_literal, sentences_are_no_types


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


def moved(text):
    lines = text.splitlines()
    sentences_are_no_types(None, "function", "f", None, None, lines)
    return "\n".join(lines)


def test_a_sentence_beside_a_name_is_a_description_and_a_shape_is_a_type():
    before = "Step.\n\nParameters\n----------\n{}\n\nReturns\n-------\nnats : () a mean."
    for field in ("x : (T, B) ids", "head : Head\n    The layer. Its bias is kept.", "n : int, optional"):
        assert moved(before.format(field)) == before.format(field)
    for field, after in (
        ("lr : learning rate.", "lr\n    learning rate."),
        ("a, b : what to add; half of it\n    is lost.", "a, b\n    what to add; half of it\n    is lost."),
        ("**more : of the model.", "**more\n    of the model."),
    ):
        assert moved(before.format(field)) == before.format(after)


def test_an_error_is_a_name_and_what_raises_it():
    text = "Load.\n\nRaises\n------\nLMTutorError : it is damaged"
    assert moved(text) == "Load.\n\nRaises\n------\nLMTutorError\n    it is damaged"
