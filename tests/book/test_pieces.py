"""A sentence of the reader's own in the page: JavaScript cuts it as the package does, in Chromium."""

import random

import pytest

import lmtutor as lm
from lmtutor.display.pieces import Pieces
from lmtutor.text.byte_pairs import BytePairs
from lmtutor.text.tokenizers import get_tokenizer
from lmtutor.text.vocabulary import Vocabulary

STORY = """“You've read it, Watson?” said Holmes. He didn't look up: 3.5 pages, no more.
The lamps -- all (or nearly all) of them -- were lit; 'twas cold, and it cost £12.50... "Really?" asked Dr. Vane.
I cannot say; she's gonna wait, they'll see. <unk> & Co. wanna pay 40% of $3,000, isn't it?
"""
WRITTEN = [
    "",
    " ",
    "a ",
    "Let's meet at 5 p.m. 👍",
    "夜の霧は深い。",
    "Inspector Quill re-read the 3rd telegram: it said <unk>.",
    "He said, \"I can't,\" and 'left'.  “Did he?” ‘Yes’, l'été",
    "D'ye know? 'Tis more'n I'd give'em; gimme that, lemme gotta wanna go",
    "<unk><eos> <b>bold</b> </script> <!-- x & y",
    "naïve café — “quoted”, 1,000.00 (ok)! ½ ² Ⅳ ﬁ Straße",
]
ALPHABET = [
    *"aAnst'\"`.,:;!?()[]{}<>-–—…“”‘’«»@#$%&*/\\_0123 ",
    *"\t\u00a0\u2003\u3000\u0085\x1c\x1f\ufeff\u200bé\u0301ß½²Ⅳ夜の👍🏽",
    *"\ue000\ue001",  # letters like any other
    *["<unk>", "<eos>", "cannot", "n't", "'ll", "'s", "'Tis ", "gonna", " wanna ", "''", "``", "--", "...", "Holmes"],
]


@pytest.fixture(scope="module")
def pieces():
    """The four schemes, as they come from one story."""
    tokenizers = [get_tokenizer("characters"), BytePairs(size=400), get_tokenizer("treebank"), get_tokenizer("words")]
    made = {}
    for tokenizer in tokenizers:
        fitted = tokenizer.fit([STORY] * 3)
        types = fitted.types or sorted({*fitted.tokenize(STORY)} - {"<unk>", "<eos>"})
        made[fitted.name] = Vocabulary(["<unk>", "<eos>", *types], fitted)
    return Pieces(made)


def texts(number):
    """What people write, and what nobody writes."""
    chance = random.Random(5)
    drawn = ["".join(chance.choices(ALPHABET, k=chance.randrange(1, 25))) for _ in range(number)]
    return [*WRITTEN, *STORY.splitlines(), *drawn]


@pytest.mark.browser
def test_the_page_cuts_as_the_package_does(browser, pieces, monkeypatch):
    class OneSentence:
        def span_tokenize(self, text):
            return [(0, len(text))] if text else []

    treebank = pieces.vocabularies["treebank"].tokenizer
    treebank.tokenize("Its parts are made.")
    monkeypatch.setattr(treebank, "_sentences", OneSentence())
    page = browser.new_page()
    asked = texts(600)
    answers = page.evaluate(f"(texts) => texts.map({pieces.in_page()})", asked)
    page.close()
    for text, answer in zip(asked, answers, strict=True):
        assert answer == pieces(text), repr(text)
    assert sum("⟦" in answer for answer in answers) > 100


@pytest.mark.browser
def test_the_field_in_the_page(browser, pieces):
    states = {"one": pieces("The lamps"), "two": pieces("so long")}
    made = lm.widgets.explorer("sentence", states, own=pieces)
    page = browser.new_page()
    page.set_content(f"<html lang=en><title>x</title><main>{made._repr_html_()}</main></html>")
    field, menu = page.get_by_label("your own"), page.get_by_label("sentence").locator("select")
    said = page.locator(".lm-explorer > [aria-live=polite] > pre")
    field.press_sequentially("<b>Holmes</b> isn't")
    assert said.inner_text() == pieces("<b>Holmes</b> isn't")
    assert page.locator(".lm-state:visible").count() == 0
    menu.select_option("1")
    assert not said.is_visible() and "so long" in page.locator(".lm-state:visible").inner_text()
    assert field.input_value() == ""
    field.fill("gone")
    field.fill("")
    assert not said.is_visible() and page.locator(".lm-state:visible").count() == 1
    page.close()


@pytest.mark.browser
def test_without_scripts_there_is_no_field(browser, pieces):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_content(lm.widgets.explorer("sentence", {"one": "x"}, own=pieces)._repr_html_())
    assert not page.get_by_label("your own").is_visible() and page.locator(".lm-state").is_visible()
    context.close()


def test_what_a_page_cannot_do():
    vocab = Vocabulary(["<unk>", "a"], get_tokenizer("words", lower=True))
    with pytest.raises(lm.LMTutorError, match=r"plain: a page cannot normalise \(lower\)"):
        Pieces({"plain": vocab}).in_page()
