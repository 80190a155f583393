"""Time the layers of chapter 09, a training pass over the length, and weigh and time a generated token.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_states [--out FOLDER]

Layers of the same width take turns, so that other work on the machine meets all alike; the median over the rounds
counts, in processor seconds on one thread. *pass*: one sequence, and once 16 of 256 steps, forwards and back. *step*:
one more token after so many, through a model of two layers, without the softmax; *state*: the bytes carried.
FOLDER receives ``pass.csv``, ``step.csv`` and ``result.json``.
"""

import argparse
import json
import shlex
import statistics
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from lmtutor.models import build_model
from lmtutor.models.attention import Attention
from lmtutor.models.matrix_state import MatrixState
from lmtutor.models.minrnn import RGLRU, MinGRU, MinLSTM
from lmtutor.runs.provenance import provenance
from lmtutor.system.files import write_atomically
from lmtutor.system.machine import keep_freed_memory
from tests.benchmarks.bench_context import size

OUT = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-states"
WIDTH, HEADS, TYPES = 256, 8, 100
LENGTHS, READ = (64, 256, 1024, 4096), (100, 1000, 10_000)
LAYERS = {
    "minGRU": lambda: MinGRU(WIDTH, WIDTH),
    "minLSTM": lambda: MinLSTM(WIDTH, WIDTH),
    "RG-LRU": lambda: RGLRU(WIDTH, WIDTH),
    "gated linear attention": lambda: MatrixState(WIDTH, HEADS, WIDTH // HEADS, delta=False),
    "delta rule": lambda: MatrixState(WIDTH, HEADS, WIDTH // HEADS, delta=True),
}
OTHERS = {
    "LSTM": lambda: nn.LSTM(WIDTH, WIDTH),
    "GRU": lambda: nn.GRU(WIDTH, WIDTH),
    "attention": lambda: Attention(WIDTH, HEADS, LENGTHS[-1]),
}
SMALL = dict(embedding=WIDTH, hidden=WIDTH, layers=2, dropout=0.0)
MODELS = {
    "LSTM": ("lstm-200", SMALL),
    "minGRU": ("min-gru-200", SMALL),
    "gated linear attention": ("gated-200", SMALL | dict(heads=HEADS)),
    "Transformer": ("transformer-200", SMALL | dict(heads=HEADS)),
}


def pair(layers: list[nn.Module], steps: int, batch: int, rounds: int) -> list[float]:
    """Processor seconds of a pass forwards and back of each layer, which take turns; the median of the rounds."""
    x = torch.randn(steps, batch, WIDTH, requires_grad=True)
    times: list[list[float]] = [[] for _ in layers]
    for _ in range(rounds):
        for layer, found in zip(layers, times, strict=True):
            state = layer.initial_state(batch) if hasattr(layer, "initial_state") else None
            began = time.process_time()
            layer(x, state)[0].sum().backward()
            found.append(time.process_time() - began)
    return [statistics.median(found) for found in times]


def passes(rounds: int) -> list[dict]:
    rows = []
    makers = OTHERS | LAYERS
    for steps, batch in [*((length, 1) for length in LENGTHS), (256, 16)]:
        torch.manual_seed(0)
        found = pair([make() for make in makers.values()], steps, batch, rounds)
        for name, seconds in zip(makers, found, strict=True):
            rows.append(dict(layer=name, steps=steps, batch=batch, tokens_per_second=steps * batch / seconds))
        print(rows[-len(makers) :], flush=True)
    return rows


@torch.no_grad()
def steps(rounds: int) -> list[dict]:
    rows = []
    for name, (preset, shape) in MODELS.items():
        for read in READ:
            torch.manual_seed(0)
            context = dict(context=read + 1) if name == "Transformer" else {}
            model = build_model(preset, TYPES, **shape, **context).eval()
            state = model.initial_state(1)
            for piece in torch.randint(TYPES, (read, 1)).split(512):
                _, state = model(piece, state)
            one, times = torch.zeros(1, 1, dtype=torch.long), []
            for _ in range(5 * rounds):
                began = time.process_time()
                model(one, state)
                times.append(time.process_time() - began)
            rows.append(dict(model=name, read=read, milliseconds=1e3 * statistics.median(times), bytes=size(state)))
            print(rows[-1], flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    for name, rows in (("step", steps(args.rounds)), ("pass", passes(args.rounds))):
        write_atomically(args.out / f"{name}.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode())
    result = dict(
        protocol=f"width {WIDTH}, {HEADS} heads, one thread; the median of {args.rounds} processor times, in turns",
        **provenance(torch.device("cpu"), 0),
    )
    result["command"] = shlex.join(["python", "-m", "tests.benchmarks.bench_states", *sys.argv[1:]])
    write_atomically(args.out / "result.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
