"""Time a token and weigh the state against the number of tokens in view: the second comparison of chapter 08.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_context [--out FOLDER]

The models are the six of `record_budget`, with fresh weights: neither time nor memory depends on them. Two costs of a
token, without the softmax, at batch 1 and on one thread:

* *step*: n tokens have been read, one more is read; what generating costs.
* *text*: n tokens are read at once, from the beginning; what scoring costs, and a training's forward pass.

The Transformer's ``context`` is set so that all n are in view. *state* are the bytes carried to the next token. Times
are the shortest of several, in processor seconds. FOLDER receives ``history.csv`` and ``result.json``.
"""

import argparse
import dataclasses
import json
import shlex
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from lmtutor.models import build_model
from lmtutor.models.attention import TransformerConfig
from lmtutor.models.base import State, map_state
from lmtutor.models.registry import config_to_dict
from lmtutor.runs.provenance import provenance
from lmtutor.system.files import write_atomically
from lmtutor.system.machine import keep_freed_memory
from tests.benchmarks.record_budget import PLANS, shapes

OUT = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-context"
LENGTHS = (16, 64, 256, 1024, 4096, 16384)
LONGEST_TEXT = 4096  # read at once: the products of all pairs take memory
TYPES = 33_278
ENOUGH = 1.0  # processor seconds a measurement, at least three repetitions


def shortest(function) -> float:
    """Processor seconds of the quickest call."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < ENOUGH and len(times) < 300:
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return min(times)


def size(state: State) -> int:
    """Bytes of a state."""
    found: list[int] = []
    map_state(lambda part: found.append(part.numel() * part.element_size()) or part, state)
    return sum(found)


@torch.no_grad()
def measure(name: str, config) -> list[dict]:
    rows = []
    for n in LENGTHS:
        if isinstance(config, TransformerConfig):
            config = dataclasses.replace(config, context=n + 1)
        torch.manual_seed(1)
        model = build_model(config, TYPES).eval()
        text = torch.randint(TYPES, (n, 1))
        state = model.initial_state(1)
        for piece in text.split(1024):
            _, state = model(piece, state)
        one = torch.randint(TYPES, (1, 1))
        row = dict(family=name, tokens=n, state=size(state), step=shortest(lambda m=model, x=one, s=state: m(x, s)))
        if n <= LONGEST_TEXT:
            row["text"] = shortest(lambda m=model, t=text: m(t, m.initial_state(1))) / n
        rows.append(row)
        print(row, flush=True)
    return rows


@torch.no_grad()
def softmax_seconds(config) -> float:
    """Processor seconds of the softmax over all types, for one token."""
    model = build_model(config, TYPES).eval()
    hidden = torch.randn(1, 1, model.head.weight.shape[1])
    return shortest(lambda: model.head.log_probs(hidden))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    configs = shapes(TYPES, PLANS["wikitext-2"])
    rows = [row for name, config in configs.items() for row in measure(name, config)]
    result = dict(
        protocol="batch 1, one thread, float32; the shortest of several processor times a token, without the softmax",
        softmax_seconds=softmax_seconds(configs["Transformer"]),
        types=TYPES,
        models={name: config_to_dict(config) for name, config in configs.items()},
        **provenance(torch.device("cpu"), 1),
    )
    result["command"] = shlex.join(["python", "-m", "tests.benchmarks.bench_context", *sys.argv[1:]])
    write_atomically(args.out / "history.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode())
    write_atomically(args.out / "result.json", (json.dumps(result, indent=2) + "\n").encode())


if __name__ == "__main__":
    main()
