"""Chapter 06's dropouts, batch by batch: the page shows what the package leaves, each in a pattern of its own."""

import dropouts
import numpy as np
import pytest

PAGE = "book/chapters/06-awd-lstm.html"
SHOWN = "name => [...document.querySelectorAll(`.${name} .cells i`)].map(i => +i.style.getPropertyValue('--v'))"
WORDS = "[...document.querySelectorAll('.words li')].map(li => [li.textContent, li.className])"


def test_each_removes_what_the_page_says():
    for batch in dropouts.batches():
        for name, x in batch.read.items():
            kept = batch.kept(name)
            assert np.allclose(batch.left[name][kept], x[kept] / (1 - dropouts.P), atol=1e-6) and 0 < kept.sum()
        words, locked = batch.kept("embedding"), batch.kept("locked")
        assert (words.any(1) == words.all(1)).all(), "whole words"
        fate = {word: bool(kept.all()) for word, kept in zip(batch.words, words, strict=True)}
        assert [fate[word] for word in batch.words] == words.all(1).tolist(), "at each of their places"
        assert (locked.any(0) == locked.all(0)).all(), "a unit at every step"
        assert 1 <= (~locked.any(0)).sum() <= 3 and batch.kept("dropout").any(0).all()


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_steps_through_the_batches(browser, served, width):
    view = browser.new_page(viewport={"width": width, "height": 900})
    view.goto(f"{served}/{PAGE}", wait_until="load")
    root = view.locator(".dropouts")
    batches = dropouts.batches()
    root.locator(".after").focus()
    for number, batch in enumerate(batches, start=1):
        for name, left in batch.left.items():
            wanted = (left if name == "weights" else left.T).flatten().numpy()
            assert np.abs(np.array(view.evaluate(SHOWN, name)) - wanted).max() < 1e-5, (number, name)
        gone = [("" if kept.any() else "gone") for kept in batch.kept("embedding")]
        assert view.evaluate(WORDS) == [list(pair) for pair in zip(batch.words, gone, strict=True)]
        assert root.locator(".told").inner_text() == dropouts.said(number, batch)
        assert root.locator(".before").is_disabled() == (number == 1)
        view.keyboard.press("Enter")
    assert root.locator(".after").is_disabled()
    root.locator(".before").click()
    assert root.locator(".told").inner_text() == dropouts.said(len(batches) - 1, batches[-2])
    assert root.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    view.close()


@pytest.mark.book
@pytest.mark.browser
def test_without_a_script_the_last_batch_stands(browser, served):
    context = browser.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(f"{served}/{PAGE}", wait_until="load")
    last = dropouts.batches()[-1]
    assert view.locator(".dropouts .told").inner_text() == dropouts.said(dropouts.BATCHES, last)
    assert view.locator(".dropouts .embedding i.gone").count() == int((~last.kept("embedding")).sum())
    assert not view.locator(".dropouts .buttons").is_visible()
    context.close()
