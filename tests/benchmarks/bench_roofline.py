"""Where the time of a training step goes, and how near each part of it comes to what the machine can do.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_roofline [--record]

The step is that of the original tutorial: a tied 2×200 LSTM, 33,278 types, 20 columns of 35 words; the softmax as torch
does it, by this project's road, and sampled. All share what makes freed memory cheap to take again, and the fused
update. The parts take turns, and the median of each is reported, in processor seconds of one thread; of the machine's
limits, the best.

A roofline (Williams, Waterman and Patterson 2009) sets the rate of a part, in operations a second, against its
arithmetic intensity: operations per byte that has to be moved between processor and memory. The roof is the lower of
two measured limits, the memory's bandwidth times the intensity and the processor's fastest product. Bytes are counted,
not measured: each operand read once, each result written once; the LSTM's recurrent weights once a step of time.

`--record` writes `data/runs/benchmark-roofline/`, which chapter 04 shows.
"""

import argparse
import json
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from lmtutor.models import build_model
from lmtutor.models.fused import product
from lmtutor.models.heads import SampledHead
from lmtutor.runs.provenance import provenance
from lmtutor.system.machine import keep_freed_memory, product_dtype
from lmtutor.training.optim import make_optimizer
from tests.benchmarks.workers import BATCH, BPTT, PlainHead, V

RUN = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-roofline"
HIDDEN, LAYERS, ROWS, SAMPLES = 200, 2, BATCH * BPTT, 1024
SIDE, LONG = 2048, 32 << 20  # of the squares whose product, and the vectors whose sum, is the machine's limit


def timed(call: Callable, *args) -> tuple[float, object]:
    """Processor seconds of a call, and what it returned."""
    began = time.process_time()
    result = call(*args)
    return time.process_time() - began, result


def limits() -> dict[str, Callable[[], object]]:
    """What the machine does best: products in both formats, and reading two long vectors to write a third."""
    a, b = (torch.rand(SIDE, SIDE) for _ in range(2))
    half_a, half_b = a.bfloat16(), b.bfloat16()
    x, y, z = (torch.rand(LONG) for _ in range(3))
    return {
        "float32 products": lambda: product(a, b),
        "bfloat16 products": lambda: product(half_a, half_b),
        "memory": lambda: torch.add(x, y, out=z),
    }


def step(model: nn.Module, head: nn.Module, optimizer, ids: Tensor, state) -> Iterator[tuple[str, float]]:
    """One training step, part by part: name and processor seconds."""
    inputs, targets = ids[:-1], ids[1:]
    optimizer.zero_grad()
    seconds, hidden = timed(lambda: model(inputs, state)[0])
    seen = hidden.detach().requires_grad_()

    def softmax() -> None:
        head.loss(seen, targets).backward()

    softmax_seconds, _ = timed(softmax)
    back, _ = timed(hidden.backward, seen.grad)
    yield "softmax", softmax_seconds
    yield "LSTM", seconds + back

    def update() -> None:
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()

    yield "clipping and update", timed(update)[0]


def work(parameters: int, dtype: torch.dtype) -> pd.DataFrame:
    """Operations and bytes of each part, counted."""
    logits, weight, states = ROWS * V, V * HIDDEN, ROWS * HIDDEN
    size = dtype.itemsize
    gates = 4 * HIDDEN * 2 * HIDDEN
    parts = [
        # Three products. Of the logits, torch writes the product's and reads them, writes their log-softmax and the
        # gradient of that, reads both, writes the gradient of the logits, and reads it for two products and the bias.
        ("softmax, torch", 6 * logits * HIDDEN, 4 * (3 * (weight + states) + 10 * logits)),
        # The same; of the logits only the exponentials are kept, in the format of the products, written and read once.
        ("softmax, ours", 6 * logits * HIDDEN, (2 * size + 4) * (weight + states) + 2 * size * logits),
        # Products with the targets' rows and the drawn ones; the gradient of the weight is as large as the weight.
        ("softmax, sampled", 6 * ROWS * (SAMPLES + 1) * HIDDEN, 4 * (4 * states + 3 * SAMPLES * HIDDEN + 4 * weight)),
        # For each layer three products, of which the recurrent ones are made step by step, forwards and back.
        ("LSTM", LAYERS * 6 * ROWS * gates, LAYERS * 4 * (2 * BPTT * gates // 2 + 2 * gates + 3 * ROWS * 6 * HIDDEN)),
        # The norm reads the gradients, the clipping reads and writes them, the update reads both and writes weights.
        ("clipping and update", 5 * parameters, 24 * parameters),
    ]
    return pd.DataFrame(parts, columns=["part", "operations", "bytes"]).set_index("part")


def measure(rounds: int) -> pd.DataFrame:
    """Rows of parts and limits: operations, bytes, median processor seconds."""
    keep_freed_memory()
    torch.manual_seed(1)
    model = build_model("lstm-200", V)
    model.head.precision = "auto"
    sampled = SampledHead(HIDDEN, V, model.embedding.weight, SAMPLES)
    heads = {"torch": PlainHead(model.head), "ours": model.head, "sampled": sampled}
    optimizer = make_optimizer("sgd", model.parameters(), 1.0)
    ids, state, best = torch.randint(0, V, (BPTT + 1, BATCH)), model.initial_state(BATCH), limits()
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        found = [(name, timed(call)[0]) for name, call in best.items()]
        for whose, head in heads.items():
            for name, seconds in step(model, head, optimizer, ids, state):
                found.append((f"softmax, {whose}" if name == "softmax" else name, seconds))
        if turn:  # the first is for warming up
            for name, seconds in found:
                times.setdefault(name, []).append(seconds)
    products = 2 * SIDE**3
    table = work(sum(p.numel() for p in model.parameters()), product_dtype("auto", "cpu"))
    table.loc["float32 products"] = products, 4 * 3 * SIDE**2
    table.loc["bfloat16 products"] = products, 2 * 3 * SIDE**2
    table.loc["memory"] = LONG, 3 * 4 * LONG
    # A limit is the best that was seen; a part is what it usually takes.
    table["seconds"] = [(min if name in best else statistics.median)(times[name]) for name in table.index]
    return table.reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bench_roofline", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--record", action="store_true", help=f"write to data/runs/{RUN.name}/")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure(options.rounds)
    shown = table.assign(
        milliseconds=1e3 * table["seconds"],
        intensity=table["operations"] / table["bytes"],
        giga_per_second=table["operations"] / table["seconds"] / 1e9,
    )
    print(shown[["part", "milliseconds", "intensity", "giga_per_second"]].to_string(index=False))
    if options.record:
        RUN.mkdir(parents=True, exist_ok=True)
        table.to_csv(RUN / "parts.csv", index=False, float_format="%.6g")
        made = provenance(torch.device("cpu"), seed=1) | dict(
            command=shlex.join(["python", "-m", "tests.benchmarks.bench_roofline", *sys.argv[1:]]),
            load=round(os.getloadavg()[0], 1),
            protocol="tied 2x200 LSTM, 33,278 types, batch 20, bptt 35; processor seconds of one thread: medians, "
            "of the limits the best",
        )
        (RUN / "result.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
