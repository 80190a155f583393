"""The look inside: gates, gradients, losses and cache weights of the page are torch's, and what they draw is right."""

import math
import re

import latches
import numpy as np
import pytest
import torch

from lmtutor.scratch import CharLSTM
from tests.book.test_playground import load_model, open_page, pretrained, settle, write  # noqa: F401

pytestmark = [pytest.mark.book, pytest.mark.browser]

TEXTS = [latches.LINE, "After the war , he sold his house and moved to New", "The\nzyzzogeton"]
QUICK = 0.150  # seconds of one core for one more word after twenty


@pytest.fixture(scope="module")
def view(browser, served):
    page = load_model(open_page(browser, served, viewport={"width": 1280, "height": 1000}))
    yield page
    assert not page.faults
    page.context.close()


def ids_of(vocab, text: str) -> list[int]:
    return [vocab.eos_id, *vocab.encode_text(text).tolist()]


def by_scratch(model, ids: list[int]) -> list[np.ndarray]:
    """The gates of each layer by the network of chapter 03, whose input is a table: (T, 6, H)."""
    below, layers = model.embedding.weight[ids].detach().double().numpy(), []
    for cell in model.layers:
        twin = CharLSTM(len(ids), cell.hidden_size, peepholes=False)
        w_ih, w_hh, b_ih, b_hh = (
            getattr(cell, f"{kind}_l0").detach().double().numpy()
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        for k, rows in zip("ifgo", np.arange(4 * cell.hidden_size).reshape(4, -1), strict=True):
            twin.params[f"W_x{k}"], twin.params[f"W_h{k}"] = below @ w_ih[rows].T, w_hh[rows].T.copy()
            twin.params[f"b_{k}"] = (b_ih + b_hh)[rows]
        steps = np.arange(len(ids))[:, None]
        _, seen = twin.forward(steps, steps, twin.initial_state(1))
        gates = [np.asarray(seen[k])[-len(ids) :, 0] for k in "ifgoch"]
        gates[4] = np.tanh(gates[4])
        layers.append(np.stack(gates, axis=1))
        below = gates[5]
    return layers


def log_p(model, vectors: torch.Tensor, word: int) -> torch.Tensor:
    """By torch's own LSTM: the log-probability of a word after some vectors, (T, E)."""
    h = vectors[:, None]
    for layer in model.layers:
        h, _ = layer(h)
    return model.head.log_probs(h[-1, 0])[word]


def ask(view, script: str, *arguments):
    function = f"async ([a, b]) => {{ const {{reading}} = lmtutorPlayground; return {script}; }}"
    return view.evaluate(function, [*arguments, 0, 0])


@pytest.mark.parametrize("text", TEXTS)
def test_gates_are_those_of_chapter_03(view, pretrained, text):  # noqa: F811
    model, vocab = pretrained
    write(view, f"{text} ")
    gates = "state.map(s => [s.i, s.f, s.g, s.o, s.c.map(Math.tanh), s.h].map(v => [...v]))"
    script = f"reading.steps.map(({{state}}) => {gates})"
    shown = np.array(ask(view, script))
    ids = ids_of(vocab, text)
    for layer, wanted in enumerate(by_scratch(model, ids)):
        assert shown[:, layer].shape == wanted.shape
        assert np.abs(shown[:, layer] - wanted).max() < 1e-5
    # and those of the record and of the front page
    assert all(
        np.abs(a.numpy() - b).max() < 1e-5
        for a, b in zip(latches.read_cells(model, torch.tensor(ids)), by_scratch(model, ids), strict=True)
    )


@pytest.mark.parametrize("text", TEXTS)
def test_gradients_are_those_of_autograd(view, pretrained, text):  # noqa: F811
    model, vocab = pretrained
    write(view, f"{text} ")
    for word in (vocab[")"], vocab["York"], vocab["the"]):
        vectors = model.embedding.weight[ids_of(vocab, text)].detach().requires_grad_()
        wanted = torch.autograd.grad(log_p(model, vectors, word), vectors)[0].norm(dim=1).numpy()
        shown = np.array(ask(view, "reading.gradients(a)", word))
        assert np.abs(shown - wanted).max() < 1e-3 * wanted.max()
        assert np.allclose(ask(view, "reading.gradients(a, 2)", word), shown[2:], rtol=1e-6)


def test_a_word_that_is_left_out_is_missed_as_in_torch(view, pretrained):  # noqa: F811
    model, vocab = pretrained
    write(view, f"{latches.LINE} ")
    ids, word = ids_of(vocab, latches.LINE), vocab[")"]
    with torch.no_grad():
        vectors = model.embedding.weight[ids]
        without = [log_p(model, vectors[[j for j in range(len(ids)) if j != k]], word) for k in range(1, len(ids))]
        wanted = np.array([float(log_p(model, vectors, word) - one) for one in without])
    assert np.abs(np.array(ask(view, "await reading.leftOut(a, 1)", word)) - wanted).max() < 1e-3
    assert wanted[latches.LINE.split().index("(")] > math.log(1000)


@pytest.mark.parametrize("window, theta", [(2000, 0.662), (4, 0.3), (5, 0.0)])
def test_weights_of_the_cache_are_a_softmax_of_inner_products(view, pretrained, window, theta):  # noqa: F811
    model, vocab = pretrained
    text = "Penelope met a wizard . Penelope asked the wizard for"
    write(view, f"{text} ", {"window": window, "theta": theta, "lam": 0.2})
    ids = ids_of(vocab, text)
    with torch.no_grad():
        h = model(torch.tensor(ids)[:, None], model.initial_state(1))[0][:, 0].double()
    first = max(0, len(ids) - 1 - window)
    wanted = torch.softmax(theta * (h[first:-1] @ h[-1]), 0).numpy()
    shown = ask(view, "reading.attention(reading.steps.length - 1, {window: a, theta: b})", window, theta)
    assert [word for word, _ in shown] == ids[first + 1 :]
    assert np.abs(np.array([weight for _, weight in shown]) - wanted).max() < 1e-5
    # and the arcs lead to those words
    view.locator(".inside .arcs").select_option("cache")
    arcs = view.evaluate("arcsNow(0, 0)")
    assert [inside for inside, _ in arcs] == list(range(first, len(ids) - 1))
    view.locator(".inside .arcs").select_option("gradient")


def test_one_more_word_after_twenty_is_quick(view):
    session = view.context.new_cdp_session(view)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    text = "The house in which he was born ( in the old part of the town ) was sold in 1922 to a "
    write(view, text)
    spent = []
    for word in ("man", "house", "group"):
        before = busy()
        write(view, f"{text}{word} ")
        spent.append(busy() - before)
        write(view, text)
    print([f"{1000 * time:.0f} ms" for time in spent])
    assert min(spent) < QUICK


def test_a_latch_is_chosen_and_held(view):
    write(view, f"{latches.LINE} ")
    cells = latches.record_of(latches.MODEL)["latches"]
    bars = """[...document.querySelectorAll('.tape li')].map(
        li => [...li.querySelectorAll('i')].map(i => +i.style.getPropertyValue('--v')))"""
    for pair, cell in cells.items():
        view.get_by_role("button", name=pair, exact=True).click()
        settle(view)
        assert view.locator(".tape .names b").inner_text() == f"layer {cell['layer']}, cell {cell['cell']}"
        memory = np.array([row[3] for row in view.evaluate(bars)[:-1]])
        within = latches.inside(latches.LINE.split(), *latches.PAIRS[pair])
        assert ((cell["sign"] * memory > latches.THRESHOLD) == within).all()


def test_the_cells_that_noticed_a_word_are_listed_and_lead_to_themselves(view, pretrained):  # noqa: F811
    model, vocab = pretrained
    write(view, f"{latches.LINE} ")
    at = latches.LINE.split().index("(")
    view.locator(f".tape button[data-at='{at}']").click()
    listed = view.locator(".noticed button").all_inner_texts()
    found = [re.match(r"layer (\d), cell (\d+): (\S+) → (\S+)", text).groups() for text in listed]
    layers = latches.read_cells(model, torch.tensor(ids_of(vocab, latches.LINE)))
    for layer, rows in enumerate(layers):
        change = (rows[at + 1, 4] - rows[at, 4]).abs()
        wanted = set(change.topk(5).indices.tolist())
        assert {int(cell) for one, cell, *_ in found if int(one) == layer + 1} == wanted
    layer, cell, before, after = found[0]
    assert abs(float(before.replace("−", "-")) - float(layers[int(layer) - 1][at, 4, int(cell)])) < 0.0051
    view.locator(".noticed button").first.click()
    assert view.locator(".tape .names b").inner_text() == f"layer {layer}, cell {cell}"
    view.locator(f".tape button[data-at='{at}']").press("Enter")  # a second press, by keyboard, lets it go
    assert view.locator(".noticed button").count() == 0
    assert view.evaluate("document.activeElement.dataset.at") == str(at), "the focus is lost"


def test_arcs_say_what_they_show_and_change_with_the_question(view):
    write(view, f"{latches.LINE} ")
    drawn = "[...document.querySelectorAll('.tape .across path')].map(p => p.getAttribute('d')).join()"
    said = view.locator(".arcs-said")
    pictures = {view.evaluate(drawn)}
    assert "gradient" in said.inner_text() and "1922" in said.inner_text()
    view.locator(".arcs").select_option("without")
    view.wait_for_function("document.querySelector('.arcs-said').textContent.includes('nats')")
    assert re.search(r"Most: 1922 9\.\d, \( 8\.\d", said.inner_text())
    pictures.add(view.evaluate(drawn))
    view.locator(".asked").select_option(index=1)
    view.wait_for_function("document.querySelector('.arcs-said').textContent.includes('“,”')")
    pictures.add(view.evaluate(drawn))
    assert len(pictures) == 3
    view.locator(".arcs").select_option("gradient")


@pytest.mark.parametrize(("width", "way"), [(1280, "across"), (390, "down")])
def test_an_arc_ends_at_its_word(browser, served, width, way):
    """Across and down: the heaviest arc begins at the word to come and ends at the word that it means."""
    page = load_model(open_page(browser, served, viewport={"width": width, "height": 900}))
    write(page, f"{latches.LINE} ")
    ends = """way => {
        const path = document.querySelectorAll(`.tape .${way} path`), all = [...document.querySelectorAll('.tape li')];
        const line = [...path].sort((a, b) => b.getAttribute('stroke-width') - a.getAttribute('stroke-width'))[0];
        const matrix = line.getScreenCTM();
        const at = s => { const p = line.getPointAtLength(s).matrixTransform(matrix); return [p.x, p.y]; };
        const middle = li => {
            const b = li.querySelector('b').getBoundingClientRect();
            return [b.left + b.width / 2, b.top + b.height / 2];
        };
        return [at(0), at(line.getTotalLength()), middle(all.at(-1)), middle(all.at(-2))];
    }"""
    start, end, awaited, meant = page.evaluate(ends, way)
    axis = 0 if way == "across" else 1
    page.context.close()
    assert abs(start[axis] - awaited[axis]) < 3 and abs(end[axis] - meant[axis]) < 3


@pytest.mark.parametrize(("name", "kind"), [("03-lstm", "gradient"), ("07-neural-cache", "cache")])
def test_a_chapter_looks_inside_at_a_text_of_ones_own(browser, served, name, kind):
    page = load_model(open_page(browser, served, page=f"book/chapters/{name}.html"))
    write_here = page.locator("#pg-text")
    write_here.fill("Penelope met a wizard . Penelope ")
    settle(page)
    assert page.locator(".inside .arcs").input_value() == kind
    assert page.locator(".tape .across path").count() > 0 and len(page.locator(".arcs-said").inner_text()) > 40
    for part in (".words", ".columns", ".examples", ".writing"):
        assert not page.locator(f".playground {part}").is_visible()
    assert not page.faults
    page.context.close()
