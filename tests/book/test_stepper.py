"""Chapter 02's stepper: its numbers are torch's, its formulas the chapter's, and each step lights what it uses."""

import re
from pathlib import Path

import numpy as np
import pytest
import stepper
import torch
from bs4 import BeautifulSoup

from lmtutor.scratch import CharRNN, encode, train

CHAPTER = Path(__file__).resolve().parents[2] / "book" / "chapters" / "02-vanilla-rnn.md"
PAGE = "book/chapters/02-vanilla-rnn.html"


def by_torch() -> dict[str, np.ndarray]:
    """Probabilities, states and errors of the same network, differentiated by torch."""
    ids, _ = encode(stepper.WORD)
    model = CharRNN(4, hidden=4, seed=2, scale=0.5)
    for _ in train(model, ids, batch_size=1, steps=len(ids) - 1, epochs=stepper.EPOCHS):
        pass
    W = {name: torch.from_numpy(theta) for name, theta in model.params.items()}
    h, kept = torch.zeros(4, dtype=torch.float64), {"a": [], "h": [], "z": []}
    for x in ids[:-1]:
        a = W["W_xh"][x] + h @ W["W_hh"] + W["b_h"]
        a.requires_grad_()
        h = torch.tanh(a)
        z = h @ W["W_hy"] + W["b_y"]
        for name, value in (("a", a), ("h", h), ("z", z)):
            value.retain_grad()
            kept[name].append(value)
    loss = torch.nn.functional.cross_entropy(torch.stack(kept["z"]), torch.from_numpy(ids[1:]), reduction="sum")
    loss.backward()
    found = {f"d{name}": np.stack([value.grad.numpy() for value in kept[name]]) for name in kept}
    return found | {
        "h": torch.stack(kept["h"]).detach().numpy(),
        "p": torch.stack(kept["z"]).softmax(-1).detach().numpy(),
    }


def test_its_numbers_are_torchs():
    html = BeautifulSoup(stepper.page_html(), "html.parser")
    wanted, steps = by_torch(), html.select("[data-step]")
    assert len(steps) == 25

    def shown(step: int) -> np.ndarray:
        return np.array([float(title.get_text()) for title in steps[step].select("title")])

    for t in range(4):
        assert np.allclose(shown(3 * t), wanted["h"][t], atol=0.0051)
        bars = [float(bar["height"]) / 60 for bar in steps[3 * t + 1].select(".share")]
        assert np.allclose(bars, wanted["p"][t], atol=1e-3)
        for place, name in enumerate(("dz", "dh", "da")):
            assert np.allclose(shown(12 + 3 * (3 - t) + place), wanted[name][t], atol=0.0051), (name, t)


def test_its_formulas_are_the_chapters():
    def plain(latex: str) -> str:
        return re.sub(r"\\[,;!]|[&\s\\]|qquad|quad|_\{t=1\}\^\{T\}", "", latex.replace("_{t=1}^{T}", "")).replace(
            "_t", ""
        )

    source = plain(CHAPTER.read_text(encoding="utf-8"))
    for number, latex in stepper.EQUATIONS.items():
        left, right = plain(latex).split("=", 1)
        right = right.split(";")[0].split("/")[0].strip(",").removesuffix("ldots").rstrip(",")
        assert left in source and (number == "2.4" or right in source), number


@pytest.mark.book
@pytest.mark.browser
def test_a_step_shows_its_parts_and_lights_its_equations(browser, served):
    view = browser.new_page(viewport={"width": 1280, "height": 900})
    view.goto(f"{served}/{PAGE}", wait_until="load")
    parts = (
        "[...document.querySelectorAll('[data-step]')].filter(e => getComputedStyle(e).visibility === 'visible').length"
    )
    lit = "[...document.querySelectorAll('.equations .lit')].map(e => e.dataset.equation).join(' ')"
    view.locator(".stepper .before").click()
    assert view.evaluate(parts) == 0 and view.locator(".stepper .before").is_disabled()
    view.locator(".stepper .after").focus()
    for k, (equations, sentence) in enumerate(stepper.steps_of_the_word().said):
        view.keyboard.press("Enter")
        assert view.evaluate(parts) == k + 1
        assert view.evaluate(lit) == equations
        assert view.locator(".stepper .now").inner_text().startswith(sentence)
    assert view.locator(".stepper .after").is_disabled()
    view.close()


@pytest.mark.book
@pytest.mark.browser
def test_without_a_script_all_of_it_stands(browser, served):
    context = browser.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(f"{served}/{PAGE}", wait_until="load")
    assert view.locator(".stepper .said-steps li").count() == 25
    assert view.locator(".stepper svg").is_visible() and not view.locator(".stepper .buttons").is_visible()
    context.close()


@pytest.mark.book
@pytest.mark.browser
def test_on_a_phone_the_step_is_in_sight(browser, served):
    context = browser.new_context(viewport={"width": 390, "height": 844})
    view = context.new_page()
    view.goto(f"{served}/{PAGE}", wait_until="load")
    view.locator(".stepper").scroll_into_view_if_needed()
    place = """k => { const part = document.querySelectorAll('[data-step]')[k].getBoundingClientRect();
        return [part.left, part.right]; }"""
    for k in range(1, 20):
        view.locator(".stepper .after").click()
        left, right = view.evaluate(place, k)
        assert left >= -5 and right <= 395, k
    assert view.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
