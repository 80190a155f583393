"""The directive `recalling`: a line of recall fills the matrix state of chapter 09, under three rules side by side.

The line of the book is read when the book is built, by the package's `in_steps`, and without a script its end stands.
`recalling.js` steps through it, and through any line that the reader writes.
"""

import html
import math

import torch
from panels import add_panel
from torch import Tensor

from lmtutor.models.matrix_state import in_steps
from lmtutor.text.recall import VALUES

LINE = "a2 b0 c3 a1 d0 b? a?"
ROOM = 6  # rows of a matrix: so many keys at right angles
GATE, RATE = 0.7, 1.0
RULES = {  # whether the gate is at work, and the rate
    "add": ("add (9.2)", False, False),
    "gate": ("gate (9.3)", True, False),
    "delta": ("delta (9.9)", False, True),
}


def states(line: str, gate: float = GATE, rate: float = RATE) -> dict[str, Tensor]:
    """For each rule the matrix after a line, (ROOM, 10). The keys have a row each, in the order in which they come."""
    keys = list(dict.fromkeys(word[0] for word in line.split()))
    told = [(keys.index(key), VALUES.index(value)) for key, value in line.split() if value != "?"]
    at, values = torch.tensor(told).T
    k, v = torch.eye(ROOM)[at][None, None], torch.eye(len(VALUES))[values][None, None]
    found, like = {}, torch.ones(1, 1, len(told))
    for rule, (_, gated, delta) in RULES.items():
        log_f, beta = like * (math.log(gate) if gated else 0), like * rate if delta else None
        S = torch.zeros(1, 1, ROOM, len(VALUES))
        found[rule] = in_steps(k, k, v, log_f, beta, S)[1][0, 0]
    return found


def answer(row: Tensor) -> str:
    """What a key is answered: the values that are largest in its row."""
    best = (row >= row.max() * (1 - 1e-6)).nonzero()[:, 0].tolist()
    return " or ".join(VALUES[k] for k in best) if row.max() > 0 else "nothing"


def table_html(rule: str, S: Tensor, line: str) -> str:
    """One matrix: a row per key, a column per value that the line names; as `recalling.js` shows it."""
    keys, asked = list(dict.fromkeys(word[0] for word in line.split())), line.split()[-1][0]
    columns = sorted({word[1] for word in line.split()} - {"?"})
    rows = ""
    for k, row in enumerate(S):
        cells = "".join(
            f'<td style="--v:{row[int(c)]:.5f}">{f"{row[int(c)]:.2f}".rstrip("0").rstrip(".")}</td>' for c in columns
        )
        key = html.escape(keys[k]) if k < len(keys) else "–"
        rows += f'<tr class="{"read" * (key == asked)}"><th scope="row">{key}</th>{cells}</tr>'
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    name, said = RULES[rule][0], f"{asked} → {answer(S[keys.index(asked)])}"
    return (
        f'<table class="{rule}"><caption>{name}<br><strong>{said}</strong></caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def page_html() -> str:
    """The matrices at the end of the book's line, and the controls."""
    found, words = states(LINE), LINE.split()
    tables = "".join(table_html(rule, S, LINE) for rule, S in found.items())
    line = " ".join(words[:-1]) + f" <b>{words[-1]}</b>"
    sliders = "".join(
        f'<span><label>{name} <input type="range" class="{kind}" min="0" max="1" step="0.05" value="{value}" '
        f'autocomplete="off"></label> <output>{value:.2f}</output></span>'
        for kind, name, value in (("forget", "gate f", GATE), ("rate", "rate β", RATE))
    )
    return (
        '<div class="recalling panel" role="group" aria-label="A matrix state that fills" '
        f'data-room="{ROOM}"><p class="field" hidden><label>Your line <input type="text" maxlength="120" '
        f'spellcheck="false" autocapitalize="off" autocomplete="off" value="{LINE}"></label></p>'
        f'<p class="choice" hidden>{sliders}</p><p class="line">{line}</p>'
        '<p class="buttons" hidden><button type="button" class="before">back</button> '
        '<button type="button" class="after">step</button></p><p class="told" role="status"></p>'
        f'<div class="matrices">{tables}</div></div>'
    )


def setup(app):
    return add_panel(app, "recalling", page_html, "recalling.js", "recalling.css")
