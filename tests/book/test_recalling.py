"""Chapter 09's matrix states on the reader's own line: the page's numbers are the package's, in steps and in chunks."""

import math
import random

import numpy as np
import pytest
import recalling
import torch
from torch.nn.functional import normalize

from lmtutor.models.matrix_state import in_chunks

PAGE = "book/chapters/09-the-return-of-the-state.html"
LINES = [recalling.LINE, "a4 b7 c1 a?", "x9", "q1 q1 q1 q2 z?", "A0 a1 b2 c3 d4 e5 A6 e? A? a8 "]
SHOWN = """rule => [...document.querySelector(`.recalling .${rule}`).tBodies[0].rows].map(
    row => [...row.cells].slice(1).map(cell => [+cell.style.getPropertyValue('--v'), +cell.textContent]))"""


def by_chunks(line: str, gate: float, rate: float) -> dict[str, np.ndarray]:
    """The states after a line, (6, 10), by the package's parallel form."""
    keys = list(dict.fromkeys(word[0] for word in line.split()))
    pairs = [(keys.index(word[0]), int(word[1])) for word in line.split() if word[1] != "?"]
    if not pairs:
        return dict.fromkeys(recalling.RULES, np.zeros((6, 10)))
    rows, columns = torch.tensor(pairs).T
    k, v = torch.eye(6)[rows][None, None], torch.eye(10)[columns][None, None]
    ones, S = torch.ones(1, 1, len(pairs)), torch.zeros(1, 1, 6, 10)
    rules = {"add": (0, None), "gate": (math.log(gate), None), "delta": (0, rate * ones)}
    return {rule: in_chunks(k, k, v, log_f * ones, b, S)[1][0, 0].numpy() for rule, (log_f, b) in rules.items()}


@pytest.fixture(scope="module")
def view(browser, served):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{served}/{PAGE}", wait_until="load")
    yield page
    page.close()


def write(view, line: str, gate: float = 0.7, rate: float = 1.0) -> str:
    """Set the controls, write a line, and return what the page says."""
    for name, value in ((".forget", gate), (".rate", rate)):
        view.locator(f".recalling {name}").fill(str(value))
    view.get_by_label("Your line").fill(line)
    return view.locator(".recalling .told").inner_text()


@pytest.mark.parametrize("line", LINES)
def test_what_is_built_is_the_parallel_form(line):
    for rule, S in by_chunks(line, 0.7, 0.45).items():
        assert np.abs(recalling.states(line, 0.7, 0.45)[rule].numpy() - S).max() < 1e-6, rule


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("seed", range(4))
def test_each_step_of_any_line_is_the_packages(view, seed):
    draw = random.Random(seed)
    lines = [*LINES, " ".join(draw.choice("abcdef") + draw.choice("0123456789?") for _ in range(30))]
    for line in lines:
        gate, rate = draw.randint(1, 20) / 20, draw.randint(0, 20) / 20
        write(view, line, gate, rate)
        words = line.split()
        for count in range(len(words), -1, -1):
            wanted = by_chunks(" ".join(words[:count]), gate, rate)
            columns = sorted({int(word[1]) for word in words if word[1] != "?"})
            for rule, S in view.evaluate("n => lmtutorRecalling.fill(n).S", count).items():
                assert np.abs(np.array(S) - wanted[rule]).max() < 1e-5, (line, count, rule)
                shown = np.array(view.evaluate(SHOWN, rule))
                assert np.abs(shown[..., 0] - wanted[rule][:, columns]).max() < 1.1e-5
                assert np.abs(shown[..., 1] - wanted[rule][:, columns]).max() <= 0.00501
            if count:
                view.locator(".recalling .before").click()
        assert view.locator(".recalling .before").is_disabled()


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("delta", [False, True])
def test_the_rule_holds_for_keys_that_overlap(view, delta):
    """(9.3) and (9.9) as they stand in the page, for vectors of any direction."""
    torch.manual_seed(9)
    k, v, f, beta = normalize(torch.randn(12, 5), dim=-1), torch.randn(12, 4), torch.rand(12), torch.rand(12)
    rule = """([S, k, v, f, b]) => { const {written, readOut} = lmtutorRecalling, next = written(S, k, v, f, b);
        return [next, readOut(next, k)]; }"""
    S, outputs = np.zeros((5, 4)).tolist(), []
    for t in range(12):
        S, read = view.evaluate(rule, [S, k[t].tolist(), v[t].tolist(), float(f[t]), float(beta[t]) if delta else None])
        outputs.append(read)
    many = [x[None, None] for x in (k, k, v, f.log())]
    wanted, last = in_chunks(*many, beta[None, None] if delta else None, torch.zeros(1, 1, 5, 4))
    assert np.abs(np.array(outputs) - wanted[0, 0].numpy()).max() < 1e-5
    assert np.abs(np.array(S) - last[0, 0].numpy()).max() < 1e-5


@pytest.mark.book
@pytest.mark.browser
def test_a_line_is_answered(view):
    assert "gate 4," in write(view, "a4 b1 c2 d3 e5 f6 a?", 0.05, 1), "a trace of a millionth is the only one"
    said = write(view, "a2 b0 c3 a1 d0 b? a?")
    assert said == "“a?” asks. Answers: add 1 or 2, gate 1, delta 1."
    assert view.locator(".recalling .add caption").inner_text().split("\n")[-1] == "a → 1 or 2"
    assert write(view, "a2 z?") == "“z?” asks. Answers: add nothing, gate nothing, delta nothing."
    assert write(view, "a2 b") == "“a2” is told. Whoever asked for a now would get: add 2, gate 2, delta 2."
    assert write(view, " ") == "Nothing is told yet."


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("line", ["a4 bb", "4a", "a4 , b7", "<b>1", "a1 b2 c3 d4 e5 f6 g7", "a b4", "é1", "a44 "])
def test_a_line_that_is_none_gets_one_plain_sentence(view, line):
    write(view, "a4 b7 a?")
    before = view.evaluate(SHOWN, "delta")
    said = write(view, line)
    assert ("is neither." in said or "7 keys" in said) and "\n" not in said and len(said) < 160
    assert (
        view.evaluate(SHOWN, "delta") == before
        and view.get_by_label("Your line").get_attribute("aria-invalid") == "true"
    )
    write(view, "a4 b7 a?")
    assert view.get_by_label("Your line").get_attribute("aria-invalid") == "false"


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_keyboard_steps_through_the_book_s_line(browser, served, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{served}/{PAGE}", wait_until="load")
    root, words = page.locator(".recalling"), recalling.LINE.split()
    root.locator(".after").focus()
    for word in words:
        assert root.locator(".told").inner_text().startswith(f"“{word}” ")
        assert root.locator(".line b").inner_text() == word
        page.keyboard.press("Enter")
    assert root.locator(".after").is_disabled()
    for rule, S in recalling.states(recalling.LINE).items():
        shown = np.array(page.evaluate(SHOWN, rule))[..., 0]
        assert np.abs(shown - S[:, :4].numpy()).max() < 1.1e-5
    assert root.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
    page.close()


@pytest.mark.book
@pytest.mark.browser
def test_without_a_script_the_end_of_the_line_stands(browser, served):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}/{PAGE}", wait_until="load")
    root = page.locator(".recalling")
    assert "a → 1 or 2" in root.locator(".add caption").inner_text() and root.locator(".line b").inner_text() == "a?"
    assert np.array(page.evaluate(SHOWN, "gate")).shape == (6, 4, 2)
    assert not any(root.locator(part).is_visible() for part in (".field", ".choice", ".buttons"))
    context.close()
