"""The directive `dropouts`: what each dropout of chapter 06 removes, batch by batch, in a page without a kernel.

The package draws the masks when the book is built. A page shows the last batch; `dropouts.js` steps through all.
"""

import html
import json
from dataclasses import dataclass

import torch
from panels import add_panel
from torch import Tensor
from torch.nn.functional import dropout

from lmtutor.models.regularise import embed_with_dropout, locked_dropout
from lmtutor.text.corpora import load_corpus

P, BATCHES, STEPS, UNITS, FIRST = 0.3, 6, 16, 6, 36  # share dropped; number of batches; their size; where they begin
MAPS = {
    "embedding": "embedding dropout: a word, at each of its places",
    "dropout": "dropout: any unit, at any step",
    "locked": "locked dropout: a unit, at every step",
    "weights": "weight drop: a connection, for all steps",
}


@dataclass
class Batch:
    """The words, what is read (a tensor for each map, in hundredths), and what is left of it."""

    words: list[str]
    read: dict[str, Tensor]
    left: dict[str, Tensor]

    def kept(self, name: str) -> Tensor:
        return self.left[name] != 0


def batches() -> list[Batch]:
    """Six batches of one column. Maps of states are (T, H), that of the weights is (H, H), from unit j to unit k."""
    corpus = load_corpus("baker-street")
    torch.manual_seed(28)  # drops one to three units a batch, and words that come twice

    def hundredths(*size: int) -> Tensor:
        drawn = (torch.randn(*size).tanh() * 100).round()
        return torch.where(drawn == 0, 1, drawn) / 100  # nothing is zero before it is dropped

    embedding, W_hh, found = torch.nn.Embedding(len(corpus.vocab), UNITS), hundredths(UNITS, UNITS), []
    embedding.weight.data = hundredths(len(corpus.vocab), UNITS)
    for ids in corpus.train[FIRST : FIRST + BATCHES * STEPS].view(BATCHES, STEPS, 1):
        h = hundredths(STEPS, 1, UNITS)
        read = {"embedding": embedding(ids), "dropout": h, "locked": h, "weights": W_hh}
        left = {
            "embedding": embed_with_dropout(embedding, ids, P),
            "dropout": dropout(h, P),
            "locked": locked_dropout(h, P, training=True),
            "weights": dropout(W_hh, P),
        }
        words = corpus.vocab.decode(ids[:, 0].tolist())
        found.append(Batch(words, *({name: x.detach().squeeze(1) for name, x in of.items()} for of in (read, left))))
    return found


def listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1])] * (len(names) > 1) + names[-1:])


def said(number: int, batch: Batch) -> str:
    """What a batch shows, in words."""
    gone = sorted({word for word, kept in zip(batch.words, batch.kept("embedding"), strict=True) if not kept.any()})
    units = [str(k + 1) for k, kept in enumerate(batch.kept("locked").T) if not kept.any()]
    places, cut = (int((~batch.kept(name)).sum()) for name in ("dropout", "weights"))
    words = (
        f"{listed([f'‘{word}’' for word in gone])} {'are' if len(gone) > 1 else 'is'} gone" if gone else "none is gone"
    )
    all_steps = f"{'units' if len(units) > 1 else 'unit'} {listed(units)}" if units else "no unit"
    return (
        f"Batch {number} of {BATCHES}. Of its words {words}. Dropout removes {places} of {STEPS * UNITS} numbers, here "
        f"and there; locked dropout {all_steps}, at all {STEPS} steps; weight drop {cut} of {UNITS**2} connections."
    )


def cell(value: float) -> str:
    """One number, as `dropouts.js` shows it: its sign by colour, its size by depth; nothing where it is dropped."""
    kind = "gone" if value == 0 else "minus" if value < 0 else "plus"
    return f'<i class="{kind}" style="--v:{value:.5f}"></i>'


def words_html(batch: Batch) -> str:
    words = "".join(
        f'<li class="{"" if kept.any() else "gone"}">{html.escape(word)}</li>'
        for word, kept in zip(batch.words, batch.kept("embedding"), strict=True)
    )
    return f'<ol class="words" aria-label="The words of the batch">{words}</ol>'


def map_html(name: str, batch: Batch) -> str:
    """One map: a column per step, or per unit that a connection leaves; a row per unit."""
    values = batch.left[name].T if name != "weights" else batch.left[name]
    cells = "".join(cell(value) for value in values.flatten().tolist())
    words = words_html(batch) if name == "embedding" else ""
    return f'<div class="{name}"><p>{MAPS[name]}</p>{words}<div class="cells" aria-hidden="true">{cells}</div></div>'


def page_html() -> str:
    """The maps of the last batch, with all of them beside it."""
    all_batches = batches()
    sentences = [said(number, batch) for number, batch in enumerate(all_batches, start=1)]
    states = [
        {
            "words": batch.words,
            "said": sentence,
            "read": {name: (100 * x).round().int().flatten().tolist() for name, x in batch.read.items()},
            "kept": {name: "".join(map(str, batch.kept(name).int().flatten().tolist())) for name in MAPS},
        }
        for batch, sentence in zip(all_batches, sentences, strict=True)
    ]
    last, data = all_batches[-1], json.dumps(states, separators=(",", ":"), ensure_ascii=False)
    data = data.replace("<", "\\u003c")  # of <eos>
    return (
        f'<div class="dropouts panel" role="group" aria-label="What each dropout removes, batch by batch" data-p="{P}" '
        f'style="--steps:{STEPS};--units:{UNITS}">'
        '<p class="buttons" hidden><button type="button" class="before">back</button> '
        '<button type="button" class="after">next batch</button></p>'
        '<div class="maps"><div>'
        + "".join(map_html(name, last) for name in MAPS if name != "weights")
        + f"</div>{map_html('weights', last)}</div>"
        f'<p class="told" role="status">{html.escape(sentences[-1])}</p>'
        f'<script type="application/json">{data}</script></div>'
    )


def setup(app):
    return add_panel(app, "dropouts", page_html, "dropouts.js", "dropouts.css")
