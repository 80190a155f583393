"""The docstrings on the API page: formulas stay as they were typed."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from docstrings import fields_are_parameters, formulas_are_literal, names_are_links, sentences_are_no_types

from lmtutor.models.attention import TransformerConfig
from lmtutor.models.awd import AWDConfig
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.models.window import WindowConfig
from lmtutor.training import TrainConfig

PACKAGE = Path(__file__).resolve().parents[2] / "lmtutor"


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
    before = "Step.\n\nParameters\n----------\n{}\n\nReturns\n-------\nnats\n    () a mean."
    for field in ("x : (T, B) ids", "head : Head\n    The layer. Its bias is kept.", "n : int, optional"):
        assert moved(before.format(field)) == before.format(field)
    for field, after in (
        ("lr : learning rate.", "lr\n    learning rate."),
        ("a, b : what to add; half of it\n    is lost.", "a, b\n    what to add; half of it\n    is lost."),
        ("**more : of the model.", "**more\n    of the model."),
    ):
        assert moved(before.format(field)) == before.format(after)


class Setting(NamedTuple):
    """How to do it."""

    lr: float = 0.1  # learning rate
    names: tuple = ("#",)  # whose
    free: int = 0


def test_comments_beside_fields_are_parameters():
    lines = ["How to do it.", ""]
    fields_are_parameters(None, "class", "Setting", Setting, None, lines)
    assert lines[3:] == ["Parameters", "----------", "lr", "    learning rate.", "names", "    whose."]


@pytest.mark.parametrize(
    "config",
    [TrainConfig, AWDConfig, RecurrentConfig, TransformerConfig, WindowConfig],
    ids=lambda config: config.__name__,
)
def test_every_field_of_a_config_is_explained(config):
    lines = []
    fields_are_parameters(None, "class", config.__name__, config, None, lines)
    assert lines[3::2] == [field.name for field in dataclasses.fields(config)]


def test_a_name_that_another_docstring_explains_is_a_link():
    lines = ["See `TrainConfig`, `load_corpus`, `text`, `lm.fit`, ``Batch`` and `Score`."]
    names_are_links(None, "class", "lmtutor.scoring.score.Score", None, None, lines)
    corpus, config = ":py:obj:`~lmtutor.text.corpora.load_corpus`", ":py:obj:`~lmtutor.training.config.TrainConfig`"
    assert lines == [f"See {config}, {corpus}, `text`, `lm.fit`, ``Batch`` and `Score`."]


def test_an_error_is_a_name_and_what_raises_it():
    text = "Load.\n\nRaises\n------\nLMTutorError : it is damaged"
    assert moved(text) == "Load.\n\nRaises\n------\nLMTutorError\n    it is damaged"


def through_napoleon(text, what="function"):
    """A docstring as Sphinx reads it in the end."""
    from docstrings import colons_are_no_types, colons_come_back
    from sphinx.ext.napoleon import Config, NumpyDocstring

    lines = text.splitlines()
    for step in (formulas_are_literal, sentences_are_no_types, colons_are_no_types):
        step(None, what, "f", None, None, lines)
    config = Config(napoleon_use_param=False, napoleon_use_rtype=False)
    lines = str(NumpyDocstring("\n".join(lines), config, what=what)).splitlines()
    colons_come_back(None, what, "f", None, None, lines)
    return "\n".join(lines)


def test_what_is_returned_stays_a_sentence():
    for said in ("One row an epoch: number, nats, perplexity.", "{name of a parameter: tensor of its shape}"):
        assert said in through_napoleon(f"Score.\n\nReturns\n-------\n{said}")
    shown = through_napoleon("Step.\n\nReturns\n-------\nx : (T, …). No gradient flows: see above.\ny : (T,)")
    assert "(T, …). No gradient flows: see above." in shown and "((" not in shown
    assert "*DataFrame*" in through_napoleon("Read.\n\nReturns\n-------\nframe : DataFrame\n    A row an epoch.")


def test_the_first_line_of_a_property_is_no_type():
    shown = through_napoleon("Whether the record holds: to the bit, on the same machine.", "property")
    assert shown.strip() == "Whether the record holds: to the bit, on the same machine."


def test_signatures_are_short():
    from docstrings import short_signature

    array = "~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~_ScalarT]]"
    before = f"(x: {array}, y: dict[str, {array}], z: list[int] = <factory>, c: ~a.b.Config = <factory>, *more: t.Any)"
    for nothing in ("(*args, **kwargs)", "(*args: ~typing.Any, **kwargs: ~typing.Any)"):
        assert short_signature(None, "class", "f", None, None, nothing, None) == ("", None)
    after = "(x: ndarray, y: dict[str, ndarray], z: list[int] = [], c: ~a.b.Config = Config(), *more: Any)"
    assert short_signature(None, "function", "f", None, None, before, array) == (after, "ndarray")
    assert short_signature(None, "class", "f", None, None, None, None) == (None, None)


@pytest.mark.book
def test_the_reference_shows_no_machinery(pages):
    for page in pages:
        if "/api/" in page.name:
            for accident in ("_ScalarT", "Alias for field", "<factory>", "~lmtutor", "~typing", "t.Any"):
                assert accident not in page.article.get_text(), f"{accident} on {page.name}"


def misread(docstring: str) -> list[str]:
    """The lines in which Sphinx would lose something: a backslash within `code`, a lone letter that makes a list."""
    return [
        line.strip()
        for line in docstring.splitlines()
        if re.search(r"(?<![:`])`[^`]*\\[^`]*`(?!`)", line) or re.fullmatch(r"\s*[A-Za-z]\.", line)
    ]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_docstring_loses_a_backslash_or_becomes_a_list(file):
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, documented):
            assert not misread(ast.get_docstring(node) or ""), file


@pytest.mark.parametrize("text", ["lines that end in `\\n`.", "batch_size : int\n    B."])
def test_what_would_be_misread_is_found(text):
    assert len(misread(text)) == 1 and not misread("``\\n``, :math:`\\alpha`, `B`, the number of columns, B.")
