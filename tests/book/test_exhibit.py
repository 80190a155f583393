"""The exhibit of the front page: its numbers are the model's, it stands without a script, and can fail a build."""

import gzip
import json
import re

import exhibit
import latches
import moving_picture
import numpy as np
import pandas as pd
import pytest
import torch
from sphinx.errors import ExtensionError

import lmtutor as lm
from lmtutor.text.corpora import corpus_available

PAGE = "book/intro.html"
LARGEST = 15_000  # bytes of the exhibit; and, compressed, of it and all that it loads
FOLD = 700  # pixels
WORDS = latches.LINE.split()


# --- What is recorded and shown --------------------------------------------------------------------------------------


def test_what_is_inside_a_pair_of_signs():
    words = 'a ( b ( c ) d ) e " f " g ) h ( i <eos> j " <eos> k'.split()
    assert "".join(map(str, latches.inside(words, "(", ")").astype(int))) == "0111111000000001100000"
    assert [w for w, q in zip(words, latches.inside(words, '"', '"'), strict=True) if q] == ['"', "f", '"']


def test_the_separation_is_a_difference_of_shares():
    rng = np.random.default_rng(1)
    memory, within = rng.uniform(-1, 1, (200, 7)), rng.random(200) < 0.3
    memory[within, 3], memory[within, 4] = 0.9, -0.9
    found = latches.separation(memory, within)
    for cell, column in enumerate(memory.T):
        shares = [
            [np.mean([s * m > 0.5 for m, w in zip(column, within, strict=True) if w == side]) for side in (1, 0)]
            for s in (1, -1)
        ]
        assert np.isclose(found[cell], max(inside - outside for inside, outside in shares))
    assert found[3:5].min() > 0.7 > found[[0, 1, 2, 5, 6]].max()


def test_the_record_names_the_best_cell_of_each_pair():
    record = latches.record_of(latches.MODEL)
    cells = pd.read_csv(latches.record_path(latches.MODEL).with_name("cells.csv"))
    for pair, other in (("brackets", "quotes"), ("quotes", "brackets")):
        best = cells[cells[other] < cells[pair] / 2].sort_values(pair).iloc[-1]
        found = record["latches"][pair]
        assert (best["layer"], best["cell"]) == (found["layer"], found["cell"])
        shares = [found[f"set_{side}"] / found[side] for side in ("inside", "outside")]
        assert np.isclose(best[pair], shares[0] - shares[1], atol=0.1)  # there it was chosen, here it is measured
        assert found["inside"] + found["outside"] == latches.TOKENS


@pytest.mark.slow
def test_the_record_can_be_measured_again():
    if not corpus_available("wikitext-2"):
        pytest.skip("WikiText-2 is not on this machine (LMTUTOR_DATA)")
    model, vocab = lm.load_pretrained(latches.MODEL)
    corpus = lm.load_corpus("wikitext-2", vocab=vocab)
    chosen_on, other = (ids[: latches.TOKENS] for ids in (corpus.valid, corpus.test))
    _, places = latches.choose(model, chosen_on, vocab.decode(chosen_on.tolist()))
    found = latches.measure(model, other, vocab.decode(other.tolist()), places)
    recorded = latches.record_of(latches.MODEL)["latches"]
    assert {pair: pytest.approx(cell, rel=1e-3, abs=2) for pair, cell in recorded.items()} == found


def test_its_numbers_are_those_of_torch():
    model, vocab = lm.load_pretrained(latches.MODEL)
    following, arcs, values = exhibit.states(latches.MODEL)
    assert len(following) == len(arcs) == len(values) == len(WORDS)

    def after(words: list[str]) -> torch.Tensor:
        ids = torch.tensor([vocab.eos_id, *vocab.encode(words).tolist()])
        with torch.no_grad():
            return model.next_log_probs(ids[:, None], model.initial_state(1))[0][0]

    for t in (0, 6, len(WORDS) - 1):
        p = after(WORDS[: t + 1])
        top = p.topk(exhibit.SHOWN)
        shown = [exhibit.RARE if i == vocab.unk_id else vocab.tokens[i] for i in top.indices.tolist()]
        assert [word for word, _ in following[t]] == shown
        assert np.allclose([share for _, share in following[t]], top.values.exp(), atol=6e-5)
        word = vocab[exhibit.guess(following[t])]
        lost = {k: float(p[word] - after(WORDS[:k] + WORDS[k + 1 : t + 1])[word]) for k in range(t + 1)}
        drawn = dict(map(tuple, arcs[t]))
        assert all(
            drawn.get(k, 0) > 0 for k, nats in lost.items() if nats > 1.1 * exhibit.LIGHTEST * max(lost.values())
        )
        assert all(abs(lost[k] - nats) < 0.006 for k, nats in drawn.items())


# --- A build that must fail -----------------------------------------------------------------------------------------


@pytest.fixture
def altered(monkeypatch):
    """A function that changes one cell of the record; what was computed before is forgotten."""
    record = json.loads(json.dumps(latches.record_of(latches.MODEL)))
    monkeypatch.setattr(exhibit, "states", exhibit.states.__wrapped__)

    def change(**facts):
        record["latches"]["brackets"] |= facts
        monkeypatch.setattr(latches, "record_of", lambda name: record)

    return change


def test_a_build_fails_where_the_cell_does_not_hold_the_line(altered):
    altered(cell=3)
    with pytest.raises(ExtensionError, match="Cell 3 .* does not hold the brackets"):
        exhibit.states(latches.MODEL)


@pytest.mark.parametrize("facts", [{"set_inside": 900}, {"set_outside": 5000}])
def test_a_build_fails_where_the_record_does_not_separate(altered, facts):
    altered(**facts)
    with pytest.raises(ExtensionError, match="Cell 118 .* holds no brackets"):
        exhibit.states(latches.MODEL)


def test_a_build_fails_where_the_model_is_not_the_recorded_one(monkeypatch, tmp_path):
    other = tmp_path / "result.json"
    other.write_text(json.dumps(latches.record_of(latches.MODEL) | {"weights": "sha256:0"}), encoding="utf-8")
    monkeypatch.setattr(latches, "record_path", lambda name: other)
    with pytest.raises(lm.LMTutorError, match="other weights"):
        latches.record_of(latches.MODEL)


# --- The moving picture of the README --------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", moving_picture.COLOURS)
def test_the_moving_picture_is_made_of_the_same_states(theme):
    kept = (moving_picture.ASSETS / f"memory-{theme}.svg").read_text(encoding="utf-8")
    made = moving_picture.picture(latches.MODEL, theme)
    number = re.compile(r"(?<![\w#.])-?\d+(?:\.\d+)?")
    assert number.sub("0", kept) == number.sub("0", made), "run book/_ext/moving_picture.py"
    assert np.allclose([float(n) for n in number.findall(kept)], [float(n) for n in number.findall(made)], atol=1)
    assert len(kept) < 1_000_000 and "prefers-reduced-motion" in kept and "<title>" in kept


# --- The page in Chromium ---------------------------------------------------------------------------------------------


@pytest.mark.book
def test_it_is_small(site):
    page = (site / PAGE).read_text(encoding="utf-8")
    block = page[page.index('<div class="exhibit panel"') : page.index('role="status"')]
    assert len(block.encode()) <= LARGEST
    files = [(site / "_static" / name).read_bytes() for name in ("tape.js", "exhibit.js", "tape.css", "front.css")]
    assert sum(len(gzip.compress(part)) for part in (block.encode(), *files)) <= LARGEST


def open_front(browser, served, **settings):
    usual = {"reduced_motion": "reduce", "viewport": {"width": 1440, "height": 900}}
    view = browser.new_context(**(usual | settings)).new_page()
    view.faults = []
    view.on("console", lambda m: view.faults.append(m.text) if m.type in ("error", "warning") else None)
    view.on("pageerror", lambda error: view.faults.append(str(error)))
    view.goto(f"{served}/{PAGE}", wait_until="load")
    return view


STATE = """() => { const all = selector => [...document.querySelectorAll(selector)];
  return {
    words: all('.tape li').filter(e => e.checkVisibility()).map(e => e.querySelector('b').textContent),
    arcs: all('.tape path').map(e => [e.getAttribute('d'), e.getAttribute('stroke-width')].join()),
    next: all('.to-come li').map(e => e.innerText.split(/\\s+(?=\\S+$)/)),
  };
}"""


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 820, 390])
def test_it_is_drawn_within_the_first_screen(browser, served, width, theme):
    view = open_front(browser, served, viewport={"width": width, "height": 844}, color_scheme=theme)
    for part in (".claim", ".tape", ".to-come", ".buttons"):
        assert view.locator(f".exhibit {part}").evaluate("e => e.getBoundingClientRect().bottom") <= FOLD, part
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    words = view.locator(".tape li b").all()
    assert all(word.evaluate("e => e.scrollWidth <= e.clientWidth + 1") for word in words), "a word is cut off"
    prose = view.locator("article p:not(.exhibit p)").first.evaluate("e => e.getBoundingClientRect().top")
    assert prose > view.locator(".exhibit").evaluate("e => e.getBoundingClientRect().bottom") - 1
    assert not view.faults
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_the_last_state_stands_without_a_script(browser, served):
    still = open_front(browser, served, java_script_enabled=False)
    shown = still.evaluate(STATE)
    assert shown["words"] == [*WORDS, ")"] and len(shown["arcs"]) == 4 and shown["next"][0] == [")", "97%"]
    assert not still.locator(".buttons").is_visible()
    still.context.close()
    view = open_front(browser, served)
    assert view.evaluate(STATE) == shown
    for _ in WORDS:  # once around
        view.locator(".step").click()
    assert view.evaluate(STATE) == shown, "the script draws otherwise"
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_it_steps_by_keyboard_and_says_what_it_shows(browser, served):
    view = open_front(browser, served)
    view.locator(".step").focus()
    following, arcs, values = exhibit.states(latches.MODEL)
    for t, _ in enumerate(WORDS):
        view.keyboard.press("Enter")
        shown = view.evaluate(STATE)
        assert shown["words"] == [*WORDS[: t + 1], exhibit.guess(following[t])]
        assert len(shown["arcs"]) == 2 * len(arcs[t])
        assert [word for word, _ in shown["next"]] == [word for word, _ in following[t]]
        told = view.locator(".exhibit [role=status]").text_content()
        assert told.startswith(f"{WORDS[t]}: brackets: forget {values[t][0][0]:.2f}, input")
        word, percent = re.search(r"Likeliest next: (.+?), (\d+) percent; ", told).groups()
        assert word == following[t][0][0] and abs(int(percent) - 100 * following[t][0][1]) <= 0.5
    assert not view.faults
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_it_plays_only_where_motion_is_welcome(browser, served):
    still = open_front(browser, served)
    before = still.evaluate(STATE)
    still.wait_for_timeout(3000)
    assert still.evaluate(STATE) == before and still.locator(".play").inner_text() == "play"
    still.context.close()
    view = open_front(browser, served, reduced_motion="no-preference")
    view.get_by_role("button", name="pause").wait_for(timeout=5000)  # it begins by itself
    view.wait_for_function("document.querySelectorAll('.tape li[hidden]').length > 8")
    view.get_by_role("button", name="pause").click()
    paused = view.evaluate(STATE)
    view.wait_for_timeout(1200)
    assert view.evaluate(STATE) == paused
    view.locator(".play").click()
    view.wait_for_function("!document.querySelector('.tape li[hidden]')", timeout=30_000)
    assert view.evaluate(STATE) == before
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_a_reader_who_is_quicker_is_not_played_over(browser, served):
    view = open_front(browser, served, reduced_motion="no-preference")
    view.locator(".step").click()
    mine = view.evaluate(STATE)
    view.wait_for_timeout(3000)
    assert view.evaluate(STATE) == mine and view.locator(".play").inner_text() == "play"
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_ones_own_line_is_read_by_the_model_itself(browser, served):
    view = open_front(browser, served)
    built = view.evaluate(STATE)
    bars = "[...document.querySelectorAll('.tape i')].map(e => +e.style.getPropertyValue('--v'))"
    values = view.evaluate(bars)
    view.locator(".own").click()
    field = view.get_by_label("Your line")
    field.wait_for(timeout=60_000)
    assert field.evaluate("e => e === document.activeElement")
    field.fill(" ".join(WORDS[1:]) + " ")  # thirteen words fit
    view.evaluate("lmtutorExhibit.update()")
    view.wait_for_function("document.querySelectorAll('.tape path').length > 0")
    assert view.evaluate(STATE)["words"] == built["words"][1:]
    field.fill("The road ( and the river ")
    view.evaluate("lmtutorExhibit.update()")
    memory = np.array(view.evaluate(bars)).reshape(-1, 2, 3)[:, 0, 2]
    assert (memory < -0.5).tolist() == [False, False, True, True, True, True]
    # the line of the book, of which the first words are left out of sight: what is seen is what was built
    field.fill(latches.LINE + " ")
    view.evaluate("lmtutorExhibit.update()")
    assert np.allclose(view.evaluate(bars), values[6:], atol=1.1e-3)
    assert view.evaluate(STATE)["next"] == built["next"]
    assert not view.faults
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_a_model_that_does_not_arrive_can_be_asked_for_again(browser, served):
    view = open_front(browser, served)
    view.route("**/playground-model.js*", lambda route: route.abort())
    view.locator(".own").click()
    view.get_by_role("button", name="It could not be loaded. Try again").wait_for()
    view.unroute("**/playground-model.js*")
    view.locator(".own").click()
    view.get_by_label("Your line").wait_for(timeout=60_000)
    view.context.close()
