"""What the cells of a shipped model hold while it reads, and the record of those that hold a bracket or a quotation.

    LMTUTOR_DATA=DIR .venv/bin/python book/_ext/latches.py [MODEL]

chooses on the first 40,000 tokens of the WikiText-2 validation split and measures on those of the test split. It writes
`data/runs/latches/MODEL`: `cells.csv`, how well tanh c of each cell of each layer separates the tokens inside from
those outside where it chose; `result.json`, the best cell for each pair of signs, and what that cell does on the other
text. The front page shows these two cells. A minute on one core.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lmtutor.runs.pretrained import find_pretrained, load_pretrained
from lmtutor.runs.provenance import provenance
from lmtutor.system.errors import LMTutorError
from lmtutor.text.corpora import load_corpus

ROOT = Path(__file__).resolve().parents[2]
MODEL = "lstm-200-wikitext-2"
LINE = 'The book " The Old House " ( published in New York in 1922'  # the pages show the cells on it
TOKENS = 40_000
THRESHOLD = 0.5  # of |tanh c|: beyond it the cell counts as set
PAIRS = {"brackets": ("(", ")"), "quotes": ('"', '"')}
GATES = ("i", "f", "g", "o", "c", "h")  # of (3.1) to (3.6), in this order; c is tanh c


def record_path(name: str) -> Path:
    """Where the record of a model's cells lies."""
    return ROOT / "data" / "runs" / "latches" / name / "result.json"


def record_of(name: str) -> dict:
    """What was recorded of a model's cells, of the very weights that are shipped."""
    found = json.loads(record_path(name).read_text(encoding="utf-8"))
    if found["weights"] != find_pretrained(name).files["model.safetensors"].checksum:
        raise LMTutorError(f"The cells of {name} were recorded with other weights: python {__file__} {name}")
    return found


@torch.no_grad()
def read_cells(model, ids: Tensor) -> list[Tensor]:
    """What each layer of an LSTM computes for a text that it reads from its initial state.

    Parameters
    ----------
    ids : (T,)

    Returns
    -------
    For each layer (T, 6, H): the gates i, f, g and o, tanh c, and h.
    """
    below, layers = model.embedding.weight[ids], []
    for cell in model.layers:
        h = c = torch.zeros(cell.hidden_size)
        net = below @ cell.weight_ih_l0.T + cell.bias_ih_l0 + cell.bias_hh_l0
        rows = torch.empty(len(ids), 6, cell.hidden_size)
        for t, row in enumerate(rows):
            i, f, g, o = (net[t] + cell.weight_hh_l0 @ h).chunk(4)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            c = f * c + i * g
            h = o * c.tanh()
            torch.stack([i, f, g, o, c.tanh(), h], out=row)
        layers.append(rows)
        below = rows[:, 5]
    return layers


def inside(words: list[str], opens: str, closes: str) -> np.ndarray:
    """Which words stand within a pair of signs, (T,) bool: from the opening sign on, without the closing one.

    A pair ends with its line at the latest.
    """
    depth, found = 0, []
    for word in words:
        if word == "<eos>":
            depth = 0
        elif opens == closes == word:
            depth = 1 - depth
        elif word in (opens, closes):
            depth = max(0, depth + (1 if word == opens else -1))
        found.append(depth > 0)
    return np.array(found)


def separation(memory: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Share of the tokens inside at which a cell is set, less the share outside: (H,), each with its better sign.

    Parameters
    ----------
    memory : (T, H), tanh c.
    within : (T,) bool.
    """
    both = [(sign * memory > THRESHOLD) for sign in (1, -1)]
    return np.max([is_set[within].mean(0) - is_set[~within].mean(0) for is_set in both], axis=0)


def describe(layers: list[Tensor], place: tuple[int, int], words: np.ndarray, within: np.ndarray, pair) -> dict:
    """What is recorded of one cell."""
    opens, closes = pair
    layer, cell = place
    i, f, _, _, memory, _ = layers[layer][:, :, cell].numpy().T
    sign = int(np.sign(memory[within].mean()))
    is_set, between = sign * memory > THRESHOLD, within & (words != opens)
    opening, closing = (words == opens) & within, (words == closes) & ~within
    return {
        "layer": layer + 1, "cell": cell, "sign": sign, "openings": int(opening.sum()),
        "inside": int(within.sum()), "set_inside": int(is_set[within].sum()),
        "outside": int((~within).sum()), "set_outside": int(is_set[~within].sum()),
        "input_at_opening": float(i[opening].mean()), "forget_between": float(f[between].mean()),
        "forget_at_closing": float(f[closing].mean()),
    }  # fmt: skip


def choose(model, ids: Tensor, words: list[str]) -> tuple[dict, dict]:
    """The separations of all cells, and the place (layer, cell) of the best cell of each pair.

    A cell that separates the other pair at least half as well is no cell for this one: it says that something is open.
    """
    layers = read_cells(model, ids)
    within = {pair: inside(words, *signs) for pair, signs in PAIRS.items()}
    table = {pair: np.stack([separation(rows[:, 4].numpy(), w) for rows in layers]) for pair, w in within.items()}
    places = {}
    for pair, other in zip(PAIRS, reversed(PAIRS), strict=True):
        own = np.where(table[other] < table[pair] / 2, table[pair], -1)
        places[pair] = tuple(map(int, np.unravel_index(own.argmax(), own.shape)))
    return table, places


def measure(model, ids: Tensor, words: list[str], places: dict) -> dict:
    """What the chosen cells do on another text."""
    layers, names = read_cells(model, ids), np.array(words)
    return {
        pair: describe(layers, place, names, inside(words, *PAIRS[pair]), PAIRS[pair]) for pair, place in places.items()
    }


def record(name: str) -> Path:
    """Measure a shipped model and write what was found."""
    model, vocab = load_pretrained(name)
    corpus = load_corpus("wikitext-2", vocab=vocab)
    texts = [(ids[:TOKENS], vocab.decode(ids[:TOKENS].tolist())) for ids in (corpus.valid, corpus.test)]
    table, places = choose(model, *texts[0])
    found = measure(model, *texts[1], places)
    target = record_path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    layers, cells = next(iter(table.values())).shape
    rows = [f"{layer + 1},{cell}," + ",".join(f"{table[pair][layer, cell]:.4f}" for pair in PAIRS)
            for layer in range(layers) for cell in range(cells)]  # fmt: skip
    lines = [",".join(["layer", "cell", *PAIRS]), *rows, ""]
    target.with_name("cells.csv").write_text("\n".join(lines), encoding="utf-8")
    result = {
        "model": name, "weights": find_pretrained(name).files["model.safetensors"].checksum,
        "chosen_on": f"the first {TOKENS:,} tokens of the WikiText-2 validation split, from the initial state",
        "measured_on": f"the first {TOKENS:,} tokens of the WikiText-2 test split, from the initial state",
        "threshold": THRESHOLD, "latches": found,
        **provenance(torch.device("cpu"), None), "command": f"python book/_ext/latches.py {name}",
    }  # fmt: skip
    target.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(record(*(sys.argv[1:] or [MODEL])))
