"""Time a QRNN layer beside torch's LSTM layer, forwards and back, over the length of the sequence.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_qrnn.py [--device cuda] [--record]

Timed in processor seconds on a CPU, which other work on the machine leaves alone, and by the clock on a GPU; the best
of several rounds counts. `--record` writes `data/runs/benchmark-qrnn/history.csv` and `result.json`, which chapter 06
shows.
"""

import argparse
import json
import time
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from lmtutor.models import qrnn
from lmtutor.runs.provenance import provenance
from lmtutor.system.machine import product_dtype

FOLDER = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-qrnn"
INPUTS, HIDDEN = 256, 256
LENGTHS = (1, 4, 16, 64, 256, 1024)
TOKENS = 10_240  # a batch and a length with more than these are left out


class Recurrence(nn.Module):
    """A QRNN layer's recurrence alone, in one of its two forms: no gates, no gradient."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, x, state):
        with torch.no_grad():
            return self.form(x, x), state


def layers(batch: int, device: torch.device):
    """What is timed, by name, with its state, and whether it is timed backwards too."""
    exact, rough = (qrnn.QRNNLayer(INPUTS, HIDDEN).to(device) for _ in range(2))
    rough.products = product_dtype("auto", device)
    yield "LSTM", nn.LSTM(INPUTS, HIDDEN).to(device), None, True
    yield "QRNN", exact, exact.initial_state(batch), True
    if rough.products != torch.float32:
        yield "QRNN, products in bfloat16", rough, rough.initial_state(batch), True
    yield "recurrence alone, as a loop", Recurrence(qrnn.loop), None, False
    yield "recurrence alone, as a scan", Recurrence(qrnn.scan), None, False


def seconds(layer, x, state, backwards: bool, least: float) -> float:
    """The best time of one pass, among as many as fit into `least` seconds, three at the fewest."""
    cuda = x.device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    wait = torch.cuda.synchronize if cuda else lambda: None
    best, spent, rounds = float("inf"), 0.0, 0
    while rounds < 3 or spent < least:
        wait()
        began = clock()
        out, _ = layer(x, state)
        if backwards:
            out.sum().backward()
        wait()
        took = clock() - began
        best, spent, rounds = min(best, took), spent + took, rounds + 1
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each measurement")
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    device, rows = torch.device(args.device), []
    torch.manual_seed(0)
    for batch in (1, 20):
        for name, layer, state, backwards in layers(batch, device):
            for length in (n for n in LENGTHS if n * batch <= TOKENS):
                x = torch.rand(length, batch, INPUTS, device=device, requires_grad=backwards)
                took = seconds(layer, x, state, backwards, args.seconds)
                rate = length * batch / took
                rows.append(
                    dict(layer=name, batch=batch, length=length, milliseconds=1e3 * took, tokens_per_second=rate)
                )
                print(f"{name:<30}{batch:>4}{length:>6}{1e3 * took:>12.3f} ms{rate:>14,.0f} tokens/s", flush=True)
    if args.record:
        FOLDER.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(FOLDER / "history.csv", index=False)
        clock = "seconds by the clock" if device.type == "cuda" else "processor seconds"
        protocol = f"one layer, {INPUTS} inputs, {HIDDEN} units, forwards and back; {clock}, the best of several rounds"
        result = dict(protocol=protocol, **provenance(device, 0))
        result["command"] = f"python tests/benchmarks/bench_qrnn.py --device {device} --record"
        (FOLDER / "result.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
