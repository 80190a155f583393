"""The directive `attending`: chapter 08's Transformer reads a line, and shows which words each of its heads looks at.

The line of the book is read when the book is built. With its last word the arcs are those of one head, and the bars
those of all heads of its layer; without a script that stands. `attending.js` loads the model when the reader asks for
it, and shows the same for any line, word, layer and head (`transformer.js`).
"""

import html
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import exhibit
import torch
from panels import add_panel
from sphinx.errors import ExtensionError
from torch import Tensor

from lmtutor.display.page import as_script
from lmtutor.models import attention
from lmtutor.runs.pretrained import find_pretrained, load_pretrained
from lmtutor.training.checkpoint import read_tensors, read_vocabulary

MODEL = "transformer-128-baker-street-continued"
SCRIPT = "attending-model.js"  # in _static of the built book
SAID = {  # the subject of a line, the verb that fits it, and the one that does not: what the chapter says of them
    "The girls who touch the chairs under the harp": ("girls", "were", "was"),
    "The girl who touches the chairs under the harps": ("girl", "was", "were"),
}
LINE = next(iter(SAID))
LAYER, HEAD = 3, 3  # the head that finds the subject
LEAST = 0.8  # of its weight at the last word of each line
START = "↵"  # the line end before the text


@contextmanager
def watched() -> Iterator[list[Tensor]]:
    """Keep the weights, (heads, T, T), of each attention that is computed within the block."""
    found, torchs = [], attention.F.scaled_dot_product_attention

    def watch(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor) -> Tensor:
        products = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~attn_mask, -math.inf)
        found.append(products.softmax(-1)[0])
        return torchs(q, k, v, attn_mask=attn_mask)

    with mock.patch.object(attention.F, "scaled_dot_product_attention", watch):
        yield found


@torch.no_grad()
def look(model, ids: list[int]) -> tuple[Tensor, Tensor]:
    """Weights of every layer and head (layers, heads, T, T), and the probability of each next word (V,)."""
    with watched() as weights:
        hidden, _ = model(torch.tensor(ids)[:, None], model.initial_state(1))
    return torch.stack(weights), model.head.log_probs(hidden[-1, 0]).exp()


def must_find_the_subject(model, vocab) -> None:
    """Fail unless the head looks at the subject of both lines, and the verb that fits is the likelier one by far."""
    for line, (subject, fits, other) in SAID.items():
        weights, p = look(model, [vocab.eos_id, *vocab.encode_text(line).tolist()])
        weight = weights[LAYER - 1, HEAD - 1, -1, 1 + line.split().index(subject)]
        if weight < LEAST or p[vocab[fits]] < 10 * p[vocab[other]]:
            raise ExtensionError(f"Head {HEAD} of layer {LAYER} of {MODEL} no longer finds the subject of {line!r}.")


@cache
def script() -> bytes:
    """The model as it lies in its file, as a script."""
    folder = find_pretrained(MODEL).folder()
    tensors, header = read_tensors(folder / "model.safetensors")
    shape = {name: header["config"][name] for name in ("layers", "heads")}
    return as_script(shape, tensors, read_vocabulary(folder, header))


def told(word: str, weights: list[float], words: list[str], following: list[tuple[str, float]]) -> str:
    """What the arcs and the next words say: as `attending.js` says it."""
    order = sorted(range(len(weights)), key=lambda k: -weights[k])[:3]
    most = ", ".join(f"{words[k]} {weights[k]:.2f}" for k in order)
    likely = ", ".join(f"{name} {100 * share:.0f} %" for name, share in following)
    return f"Layer {LAYER}, head {HEAD}: “{word}” looks at {most}. What may come after the line: {likely}."


@cache
def page_html() -> str:
    """The line, read by the model, with the head's arcs; and the controls."""
    model, vocab = load_pretrained(MODEL)
    must_find_the_subject(model, vocab)
    weights, p = look(model, [vocab.eos_id, *vocab.encode_text(LINE).tolist()])
    words, last = [START, *LINE.split()], weights[LAYER - 1, :, -1]
    top = p.topk(3)
    following = [(vocab.tokens[i], q) for q, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]
    columns, heads = exhibit.widths(words), range(1, len(last) + 1)
    items = "".join(
        f"<li><b>{html.escape(word)}</b><span class='gates'>"
        + "".join(f'<i style="--v:{value:.3f}"></i>' for value in last[:, k].tolist())
        + "</span></li>"
        for k, word in enumerate(words)
    )
    layers = "".join(f"<option{' selected' * (n == LAYER)}>{n}</option>" for n in range(1, len(weights) + 1))
    choice = "".join(f"<option{' selected' * (n == HEAD)}>{n}</option>" for n in heads)
    arcs = exhibit.arcs_html(columns, list(enumerate(last[HEAD - 1].tolist())))
    style = f"--columns:{' '.join(f'minmax(0,{width:g}fr)' for width in columns)};--count:{len(words)}"
    names = "".join(f"<span>head {n}</span>" for n in heads)
    size = f"{len(script()) / 1e6:.1f} MB"
    return (
        '<div class="attending panel" id="attending" role="group" '
        f'aria-label="What the heads look at, on your own line" data-model="{SCRIPT}" data-size="{size}">'
        '<p class="field" hidden><label>Your line <input type="text" '
        f'maxlength="400" spellcheck="false" autocapitalize="off" autocomplete="off" value="{LINE} "></label></p>'
        '<p class="choice" hidden><label>layer <select class="layer" autocomplete="off">'
        f'{layers}</select></label> <label>arcs of head <select class="head" autocomplete="off">{choice}</select>'
        f'</label></p><div class="view"><div class="tape" style="{style}"><div class="names" aria-hidden="true">'
        f'<div class="gates"><b>layer {LAYER}</b>{names}</div></div>'
        f'<div>{arcs}<ol aria-label="The line, word by word">{items}</ol></div></div></div>'
        f'<p class="told" role="status">{told(words[-1], last[HEAD - 1].tolist(), words, following)}</p>'
        f'<p class="buttons" hidden><button type="button">write your own <small>({size})</small></button></p></div>'
    )


def place_model(app, exception) -> None:
    """Put the weights beside the finished pages."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / SCRIPT).write_bytes(script())


def setup(app):
    app.connect("build-finished", place_model)
    files = ("lstm.js", "tape.js", "transformer.js", "attending.js", "tape.css", "attending.css")
    return add_panel(app, "attending", page_html, *files)
