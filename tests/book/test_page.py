"""What `lmtutor page` writes, from the disk and in a browser, against the package."""

import json
import math
import re

import numpy as np
import pytest
import torch

import lmtutor as lm
from lmtutor.display.page import SCRIPTS, write_page
from lmtutor.runs.pretrained import pack_rows, unpack_rows
from lmtutor.runs.recipe import read_recipe
from lmtutor.runs.run import Run
from lmtutor.text.tokenizers import get_tokenizer
from lmtutor.training.checkpoint import load_tensors, model_tensors, save_checkpoint
from tests.book.test_playground import expected, read_script, said, settle

RECIPE = """
[corpus]
name = "{text}"
[model]
name = "lstm-200"
embedding = 12
hidden = 8
"""


@pytest.fixture(scope="module", params=["words", "treebank"])
def made(tmp_path_factory, request):
    """A run whose vocabulary would end a script, and the page of it."""
    folder = tmp_path_factory.mktemp("page")
    torch.manual_seed(0)
    types = ["<unk>", "<eos>", "the", "cat", "sat", "</script>", "<!--", "<script", "&amp;", "café"]
    vocab = lm.Vocabulary(types, get_tokenizer(request.param).fit(["the cat sat .\n"]))
    model = lm.build_model("lstm-200", vocab, embedding=12, hidden=8)
    (folder / "recipe.toml").write_text(RECIPE.format(text=folder / "cats.txt"))
    save_checkpoint(folder / "checkpoint", model, vocab)
    write_page(Run(folder), folder / "page.html")
    load_tensors(model, unpack_rows(pack_rows(model_tensors(model))))
    return folder / "page.html", model.eval(), lm.Vocabulary(types)  # in the page, words stand between blanks


def test_the_page_holds_scripts_and_weights_and_asks_for_nothing(made):
    path, model, vocab = made
    text = path.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    assert len(scripts) == len(SCRIPTS) + 2 and not re.search(r"\ssrc=|<link|url\(|@import", text)
    file, arrays = read_script(scripts[-1].encode())
    assert file["words"].split(" ") == vocab.tokens
    packed = pack_rows(model_tensors(model))["embedding.weight"]  # of rounded weights: the same whole numbers
    assert np.array_equal(arrays["E"], packed.numpy().ravel())
    assert read_recipe(path.parent / "recipe.toml").corpus["name"] in text


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("transformer-200", dict(embedding=8, hidden=8, layers=1)),
        ("awd-lstm", dict(embedding=8, hidden=8)),
        ("lstm-200", dict(embedding=8, hidden=8, tied=False)),
        ("lstm-200", dict(embedding=8, hidden=8, head="adaptive")),
    ],
)
def test_another_model_is_refused_in_a_line(name, changes, tmp_path):
    vocab = lm.Vocabulary(["<unk>", "<eos>", "the", "cat", "sat"])
    (tmp_path / "recipe.toml").write_text(RECIPE.format(text="cats.txt"))
    save_checkpoint(tmp_path / "checkpoint", lm.build_model(name, vocab, **changes), vocab)
    with pytest.raises(lm.LMTutorError, match="cannot run in a page.*take a tied LSTM"):
        write_page(Run(tmp_path), tmp_path / "page.html")


@pytest.mark.browser
def test_the_page_predicts_as_the_package_does(made, browser):
    path, model, vocab = made
    view = browser.new_page()
    faults = []
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("request", lambda request: faults.append(request.url) if request.url != path.as_uri() else None)
    view.goto(path.as_uri(), wait_until="load")
    view.locator("#pg-text").wait_for(timeout=60_000)
    view.locator("#pg-text").fill("the cat </script> dog <!-- ")
    settle(view)
    (bits, p), (true_bits, true_p) = said(view), expected(model, vocab, "the cat </script> dog <!--")
    assert np.abs(p - true_p).max() < 1e-5 and np.allclose(bits, true_bits, atol=1e-3)
    assert not faults and not math.isnan(sum(bits)) and json.dumps(bits)
    view.close()
