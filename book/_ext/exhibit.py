"""The directive `exhibit`: on the front page, a network that reads one line, and two cells that remember.

All of it is computed from a shipped model when the book is built: what the two cells hold at each word, what may come
next, and which words made the likeliest one likely. Without a script the last state stands; `exhibit.js` steps through
the others. The cells are those of the record (`latches.py`). If they no longer do what the page says, the build fails.
"""

import html
import json
from functools import cache
from pathlib import Path
from string import Template

import latches
import playground
import torch
from panels import add_panel
from sphinx.errors import ExtensionError
from torch import Tensor

from lmtutor.runs.pretrained import load_pretrained

ROWS = ("forget", "input", "memory")
KIND = {"memory": "signed"}  # from -1 to 1, the others from 0
SHOWN = 5  # words that may come next
RARE = "a rare word"  # what <unk> stands for
LIGHTEST = 0.08  # of the heaviest arc, as in tape.js
ENOUGH = {"inside": 0.9, "outside": 0.1}  # of the tokens: at least, at most


def must_remember(name: str, pair: str, cell: dict, memory: Tensor) -> None:
    """Fail unless a cell separates inside from outside: in the record, and at every word of the line."""
    within = torch.from_numpy(latches.inside(["<eos>", *latches.LINE.split()], *latches.PAIRS[pair]))
    is_set = cell["sign"] * memory > latches.THRESHOLD
    shares = {side: cell[f"set_{side}"] / cell[side] for side in ENOUGH}
    if not torch.equal(is_set, within):
        raise ExtensionError(f"Cell {cell['cell']} of {name} does not hold the {pair} of the front page's line.")
    if shares["inside"] < ENOUGH["inside"] or shares["outside"] > ENOUGH["outside"]:
        raise ExtensionError(f"Cell {cell['cell']} of {name} holds no {pair}: it is set at {shares} of the tokens.")


@torch.no_grad()
def read(model, ids: list[int]) -> Tensor:
    """Log-probabilities of the next word after each word, (T, V) nats."""
    hidden, _ = model(torch.tensor(ids)[:, None], model.initial_state(1))
    return model.head.log_probs(hidden[:, 0])


def left_out(model, ids: list[int], wanted: list[int]) -> Tensor:
    """How much less likely the wanted next word is without an earlier word.

    Parameters
    ----------
    ids : the words, the first of them the line end before the text, which is never left out.
    wanted : for each of them, the next word in question.

    Returns
    -------
    (T, T) nats: row t, column k ≤ t, log p(wanted after t) less the same where word k was not read.
    """
    rows = torch.arange(len(ids))
    whole = read(model, ids)[rows, wanted]
    loss = torch.zeros(len(ids), len(ids))
    for k in range(1, len(ids)):
        without = read(model, ids[:k] + ids[k + 1 :])[rows[k - 1 : -1], wanted[k:]]
        loss[k:, k] = whole[k:] - without
    return loss


def widths(words: list[str]) -> list[float]:
    """How wide the columns of words are: as `tape.js` has them."""
    return [max(len(word), 2) + 2.5 for word in words]


def arcs_html(columns: list[float], arcs: list[tuple[int, float]]) -> str:
    """Arcs from the last column back to others, across and down: as `tape.js` draws them."""
    edges = [sum(columns[:k]) for k in range(len(columns) + 1)]
    heaviest, count = max(weight for _, weight in arcs), len(columns)

    def n(value: float) -> str:
        return f"{value:.2f}".rstrip("0").rstrip(".")

    def curve(start, end, total, turned):
        far = 10 - 12.5 * (0.3 + 0.7 * (start - end) / total)
        points = [(start, 10), (start, far), (end, far), (end, 10)]
        a, b, c, d = (" ".join(map(n, point[::-1] if turned else point)) for point in points)
        return f"M{a}C{b} {c} {d}"

    pictures = []
    for way, box in (("across", f"{n(edges[-1])} 10"), ("down", f"10 {count}")):
        paths = []
        for k, weight in arcs:
            share = weight / heaviest
            ends = [edges[j] + columns[j] / 2 for j in (count - 1, k)] if way == "across" else [count - 0.5, k + 0.5]
            if share >= LIGHTEST:
                d = curve(*ends, edges[-1] if way == "across" else count, way == "down")
                paths.append(f'<path d="{d}" stroke-width="{n(1 + 4 * share)}" opacity="{n(0.3 + 0.7 * share)}"/>')
        pictures.append(
            f'<svg class="{way}" viewBox="0 0 {box}" preserveAspectRatio="none" aria-hidden="true">'
            f"{''.join(paths)}</svg>"
        )
    return "".join(pictures)


def said(cells: dict, values: list[list[float]]) -> str:
    """What a word's bars say, in words: as `exhibit.js` says it."""
    return "; ".join(
        f"{pair}: " + ", ".join(f"{row} {value:.2f}" for row, value in zip(ROWS, numbers, strict=True))
        for pair, numbers in zip(cells, values, strict=True)
    ).replace("-", "−")


def word_html(word: str, cells: dict, values: list[list[float]]) -> str:
    bars = "".join(
        '<span class="gates">'
        + "".join(f'<i class="{KIND.get(r, "")}" style="--v:{v:.3f}"></i>' for r, v in zip(ROWS, numbers, strict=True))
        + "</span>"
        for numbers in values
    ).replace(' class=""', "")
    return f'<li><b>{html.escape(word)}</b>{bars}<span class="said">{said(cells, values)}</span></li>'


def percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.005 else "&lt;1%"


def next_html(word: str, share: float) -> str:
    """One word that may come next: as `exhibit.js` shows it."""
    return f'<li><b>{html.escape(word)}</b><i style="--v:{share:.3f}"></i><span>{percent(share)}</span></li>'


@cache
def states(name: str) -> tuple[list[list], list[list], list[list[list[float]]]]:
    """What is shown after each word of the line.

    Returns
    -------
    next : [[word, probability], ...], the likeliest first.
    arcs : [[k, nats], ...], which words made the likeliest known word likely: word k of the line, the first is 0.
    values : for each cell [forget, input, memory].
    """
    model, vocab = load_pretrained(name)
    ids = [vocab.eos_id, *vocab.encode_text(latches.LINE).tolist()]
    p = read(model, ids).exp()
    top = p.topk(SHOWN)
    likeliest = [[RARE if i == vocab.unk_id else vocab.tokens[i] for i in row] for row in top.indices.tolist()]
    known = p.index_fill(1, torch.tensor(vocab.unk_id), 0).argmax(1)
    loss = left_out(model, ids, known.tolist())
    layers = latches.read_cells(model, torch.tensor(ids))
    values = [[] for _ in ids]
    for pair, cell in latches.record_of(name)["latches"].items():
        rows = layers[cell["layer"] - 1][:, :, cell["cell"]]
        must_remember(name, pair, cell, rows[:, 4])
        for at, row in zip(values, rows, strict=True):
            at.append([float(row[latches.GATES.index(gate)]) for gate in "fic"])
    following = [
        [[word, round(q, 4)] for word, q in zip(*row, strict=True)]
        for row in zip(likeliest, top.values.tolist(), strict=True)
    ]
    arcs = [
        [[k - 1, nats] for k, nats in enumerate(row) if nats > LIGHTEST * max(row)]
        for row in loss.double().round(decimals=2).tolist()
    ]
    return following[1:], arcs[1:], values[1:]


def guess(following: list) -> str:
    """The likeliest word that the model can name."""
    return next(word for word, _ in following if word != RARE)


@cache
def page_html(name: str) -> str:
    """The exhibit in its last state, with the others beside it."""
    following, arcs, values = states(name)
    cells = latches.record_of(name)["latches"]
    words = [*latches.LINE.split(), guess(following[-1])]
    columns = widths(words)
    rows = "".join(f'<span class="{KIND.get(row, "")}">{row}</span>' for row in ROWS).replace(' class=""', "")
    names = "".join(
        f'<div class="gates"><b>cell {cell["cell"]}: {pair}</b>{rows}</div>' for pair, cell in cells.items()
    )
    bracket = cells["brackets"]
    told = (
        "An LSTM with two layers of 200 cells, trained to guess the next word of Wikipedia. Nobody told it what a "
        f"bracket is. Its cell {bracket['cell']} is set at {bracket['set_inside'] / bracket['inside']:.1%} of the "
        f"{bracket['inside']:,} tokens inside brackets, in text that neither trained it nor chose the cell, and at "
        f"{bracket['set_outside'] or 'none'} of the {bracket['outside']:,} outside. The arcs lead to the words without "
        "which the likeliest would have been less likely."
    )
    script = playground.script_of(name)
    return Template((Path(__file__).parent / "exhibit.html").read_text(encoding="utf-8")).substitute(
        script=playground.address_of(name),
        size=f"{len(script) / 1e6:.1f} MB",
        written=html.escape(latches.LINE),
        style=f"--columns:{' '.join(f'minmax(0,{width:g}fr)' for width in columns)};--count:{len(words)}",
        names=names,
        arcs=arcs_html(columns, arcs[-1]),
        words="".join(word_html(w, cells, v) for w, v in zip(words, values, strict=False))
        + f'<li class="awaited"><b>{html.escape(words[-1])}</b></li>',
        next="".join(next_html(*row) for row in following[-1]),
        told=told,
        states=json.dumps(
            {
                "next": following, "arcs": arcs, "rare": RARE,
                "cells": [[pair, cell["layer"], cell["cell"]] for pair, cell in cells.items()],
            },
            separators=(",", ":"), ensure_ascii=False,
        ).replace("<", "\\u003c"),
    )  # fmt: skip


def setup(app):
    files = ("tape.js", "exhibit.js", "tape.css", "front.css")
    return add_panel(app, "exhibit", page_html, *files, arguments=1)
