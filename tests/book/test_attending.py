"""Chapter 08's attention on the reader's own line: the page's weights are the package's, and so are its next words."""

import attending
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sphinx.errors import ExtensionError

from lmtutor.models.attention import rotate, turns
from lmtutor.runs.pretrained import load_pretrained

PAGE = "book/chapters/08-what-came-next.html"
LINES = [attending.LINE, "“ Who knew of it ? ” asked Mr. Mercer , the zyzzogeton", "I"]


@pytest.fixture(scope="module")
def pretrained():
    return load_pretrained(attending.MODEL)


@pytest.fixture(scope="module")
def view(browser, served):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{served}/{PAGE}", wait_until="load")
    page.locator(".attending .buttons button").click()
    page.wait_for_function("window.lmtutorAttending")
    yield page
    page.close()


@torch.no_grad()
def by_hand(model, ids: list[int]) -> list[torch.Tensor]:
    """The weights (heads, T, T) of every layer by (8.1) to (8.3), one after the other, as the chapter writes them."""
    size, found = model.config.embedding, []
    x = model.embedding.weight[ids] * size**0.5
    for block in model.layers:
        layer = block.attention
        q, k, v = layer.inner(block.norms[0](x)).unflatten(-1, (3, layer.heads, -1)).permute(1, 2, 0, 3)
        cos, sin = turns(len(ids), q.shape[-1], q)
        products = rotate(q, cos, sin) @ rotate(k, cos, sin).mT / q.shape[-1] ** 0.5
        weights = products.masked_fill(torch.ones(len(ids), len(ids)).triu(1).bool(), -torch.inf).softmax(-1)
        found.append(weights)
        x = x + layer.outer((weights @ v).transpose(0, 1).flatten(1))
        up, _, down = block.feed_forward
        x = x + down(F.gelu(up(block.norms[1](x))))
    return found


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("line", LINES)
def test_weights_and_next_words_are_the_packages(view, pretrained, line):
    model, vocab = pretrained
    ids = [vocab.eos_id, *vocab.encode_text(line).tolist()]
    view.locator(".attending input").fill(f"{line} ")
    found = view.evaluate("({weights: lmtutorAttending.found.weights, p: [...lmtutorAttending.found.p]})")
    _, p = attending.look(model, ids)
    assert np.abs(np.array(found["p"]) - p.numpy()).max() < 1e-5
    for layer, wanted in enumerate(by_hand(model, ids)):
        for t in range(len(ids)):
            shown = np.array(found["weights"][t][layer])
            assert np.abs(shown - wanted[:, t, : t + 1].numpy()).max() < 1e-5


@pytest.mark.book
@pytest.mark.browser
def test_a_word_a_layer_and_a_head_are_chosen(view, pretrained):
    model, vocab = pretrained
    view.locator(".attending input").fill(f"{attending.LINE} ")
    said = view.locator(".attending .told")
    assert "Layer 3, head 3: “harp” looks at girls 0.96" in said.inner_text() and "were" in said.inner_text()
    weights = by_hand(model, [vocab.eos_id, *vocab.encode_text(attending.LINE).tolist()])
    view.locator(".attending .layer").select_option("1")
    view.locator(".attending .head").select_option("2")
    button = view.locator(".attending li button").nth(5)
    button.focus()
    view.keyboard.press("Enter")
    assert view.evaluate("document.activeElement.dataset.at") == "5", "the focus is lost"
    assert said.inner_text().startswith("Layer 1, head 2: “the” looks at ")
    bars = """[...document.querySelectorAll('.attending li')].map(
        li => [...li.querySelectorAll('i')].map(i => +i.style.getPropertyValue('--v')))"""
    assert np.abs(np.array(view.evaluate(bars)).T - weights[0][:, 5].numpy()).max() < 0.00051
    heaviest = (
        "Math.max(...[...document.querySelectorAll('.attending .across path')].map(p => +p.getAttribute('opacity')))"
    )
    assert view.evaluate(heaviest) == 1


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_without_a_script_the_last_word_of_the_line_looks_back(browser, served, width):
    context = browser.new_context(java_script_enabled=False, viewport={"width": width, "height": 900})
    view = context.new_page()
    view.goto(f"{served}/{PAGE}", wait_until="load")
    root = view.locator(".attending")
    assert "girls 0.96" in root.locator(".told").inner_text() and root.locator("path:visible").count() > 0
    assert not any(root.locator(part).is_visible() for part in (".field", ".choice", ".buttons"))
    assert root.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    context.close()


def test_a_head_that_finds_no_subject_fails_the_build(pretrained, monkeypatch):
    attending.must_find_the_subject(*pretrained)
    monkeypatch.setattr(attending, "HEAD", 2)
    with pytest.raises(ExtensionError, match="no longer finds the subject"):
        attending.must_find_the_subject(*pretrained)
