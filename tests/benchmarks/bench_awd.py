"""Where the milliseconds of an AWD-LSTM step go: the head, the batch, the number format; and plain torch beside it.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_awd [--record]

A step is loss, gradient, clipping and SGD, of the two shapes that the GluonNLP zoo trains on WikiText-2. Plain torch
has the same layers, no regularisers, and `cross_entropy` on all logits. Timed in processor seconds, which other work on
the machine leaves alone; the best of three steps counts. `--record` writes `data/runs/benchmark-awd`.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from lmtutor.models.registry import build_model
from lmtutor.runs.provenance import provenance
from lmtutor.training.optim import make_optimizer

FOLDER = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-awd"
V, STEPS = 33_278, 70
SHAPES = {"awd-lstm-600": (200, 600), "awd-lstm-1150": (400, 1150)}
WAYS = {  # head, precision of the products
    "exact head, float32": ("softmax", "float32"),
    "exact head, bfloat16": ("softmax", "bfloat16"),
    "sampled head, float32": ("sampled", "float32"),
    "sampled head, bfloat16": ("sampled", "bfloat16"),
}


def plain_torch(embedding: int, hidden: int) -> tuple[nn.Module, Callable]:
    """The same layers out of torch's box, and their loss."""
    sizes = [(embedding, hidden), (hidden, hidden), (hidden, embedding)]
    modules = nn.ModuleDict(
        {
            "embedding": nn.Embedding(V, embedding),
            "layers": nn.ModuleList(nn.LSTM(below, above) for below, above in sizes),
            "head": nn.Linear(embedding, V),
        }
    )
    modules["head"].weight = modules["embedding"].weight

    def loss(inputs, targets):
        out = modules["embedding"](inputs)
        for layer in modules["layers"]:
            out, _ = layer(out)
        return F.cross_entropy(modules["head"](out).flatten(0, 1), targets.flatten())

    return modules, loss


def ours(name: str, head: str, precision: str, batch: int) -> tuple[nn.Module, Callable]:
    """The package's model, and its loss with penalties."""
    model = build_model(name, V, head=head).train()
    model.head.precision = precision
    state = model.initial_state(batch)
    return model, lambda inputs, targets: sum(model.loss(inputs, targets, state)[:2])


def step_seconds(model: nn.Module, loss: Callable, batch: int) -> dict[str, float]:
    """Processor seconds of the parts of the fastest of three steps."""
    inputs, targets = torch.randint(0, V, (2, STEPS, batch))
    optimizer, best = make_optimizer("sgd", model.parameters(), 1e-3), None
    for _ in range(4):  # the first is not counted: it sets things up
        optimizer.zero_grad(set_to_none=True)
        clock = [time.process_time()]
        value = loss(inputs, targets)
        clock.append(time.process_time())
        value.backward()
        clock.append(time.process_time())
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        clock.append(time.process_time())
        parts = dict(zip(("forward", "backward", "update"), (b - a for a, b in itertools.pairwise(clock)), strict=True))
        best = parts if best is None or sum(parts.values()) < sum(best.values()) else best
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    args, rows = parser.parse_args(), []
    torch.manual_seed(0)
    for name, shape in SHAPES.items():
        for batch in (20, 40, 80) if name == "awd-lstm-600" else (40,):
            contestants = {"plain torch": plain_torch(*shape)} if batch == 40 else {}
            for way, (head, precision) in WAYS.items():
                contestants[way] = ours(name, head, precision, batch)
            for way, (model, loss) in contestants.items():
                parts = step_seconds(model, loss, batch)
                total = sum(parts.values())
                milliseconds = {part: round(1000 * seconds, 1) for part, seconds in parts.items()}
                rows.append(
                    dict(model=name, batch=batch, way=way, **milliseconds, tokens_per_second=STEPS * batch / total)
                )
                print(
                    f"{name:<15}{batch:>3}  {way:<24}{1000 * total:>9.0f} ms{STEPS * batch / total:>9,.0f} tokens/s",
                    flush=True,
                )
    if args.record:
        FOLDER.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(FOLDER / "history.csv", index=False)
        protocol = f"a step of {STEPS} tokens a column, vocabulary {V:,}; processor seconds, the best of three steps"
        result = dict(protocol=protocol, **provenance(torch.device("cpu"), 0))
        result["command"] = "python -m tests.benchmarks.bench_awd --record"
        (FOLDER / "result.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
