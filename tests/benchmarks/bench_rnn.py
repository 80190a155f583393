"""Time the hand-written character RNN, and the classic listing beside it on the same text.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_rnn.py [TEXT] [--listing FILE] [--record]

The sizes are those of the classic 112 lines: 100 units, windows of 25 characters. `--listing` is that script, which
is not ours to include, with nothing changed but what Python 3 asks for. It reads `input.txt` in its folder, prints
lines like ``iter 1200, loss: 55.3`` (nats for 25 characters, a running mean over about 25,000) and runs as a process
of its own. All take turns, a quarter of the text each, so that what else the machine does falls on all alike; times
are processor seconds, and a ratio is the median over the turns. `--record` writes
`data/runs/benchmark-rnn/result.json`, which chapter 02 shows.
"""

import argparse
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from lmtutor.runs.provenance import provenance
from lmtutor.scratch import CharRNN, bits_per_symbol, encode, train
from lmtutor.text.corpora import sample_text

RESULT = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-rnn" / "result.json"
STEPS, CHARACTERS, TURNS, HELD_OUT = 25, 1_000_000, 4, 20_000
SETTINGS = (
    (1, 0.1, "float64"),
    (16, 0.05, "float64"),
    (32, 0.05, "float64"),
    (16, 0.05, "float32"),
    (32, 0.05, "float32"),
)


def processor_seconds(pid: int) -> float:
    """Return what a running process has used, its own and the system's on its behalf."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def classic(listing: Path, text: str) -> Iterator[dict]:
    """Run the listing a turn at a time, asleep in between; yield the rate of each turn and the smoothed loss."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "input.txt").write_text(text, encoding="utf-8")
        command = [sys.executable, "-u", str(listing.resolve())]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        before, used = 0, 0.0
        for turn in range(1, TURNS + 1):
            for line in process.stdout:
                found = re.match(r"iter (\d+), loss: ([\d.]+)", line)
                if found and int(found[1]) * STEPS == 0:
                    used = processor_seconds(process.pid)  # what came before was reading the text
                if found and int(found[1]) * STEPS >= CHARACTERS * turn // TURNS:
                    break
            else:
                raise SystemExit(f"{listing} ended before {CHARACTERS:,} characters.")
            process.send_signal(signal.SIGSTOP)
            seen, now = int(found[1]) * STEPS, processor_seconds(process.pid)
            bits = float(found[2]) / STEPS / math.log(2)
            yield dict(what="classic listing", rate=(seen - before) / (now - used), bits=bits)
            before, used = seen, now
            process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def ours(ids: np.ndarray, symbols: int, batch_size: int, lr: float, dtype: str) -> Iterator[dict]:
    """Train a turn at a time; yield the rate of each turn, and the loss smoothed as the listing does it."""
    model, smooth = CharRNN(symbols, 100, dtype=np.dtype(dtype)), math.log2(symbols)
    windows = train(model, ids[:-HELD_OUT], batch_size=batch_size, steps=STEPS, lr=lr)
    what, before = f"CharRNN, {batch_size} column{'s' * (batch_size > 1)}, {dtype}", 0
    for turn in range(1, TURNS + 1):
        began = time.process_time()
        for seen, bits in windows:
            keep = 0.999**batch_size
            smooth = keep * smooth + (1 - keep) * bits
            if seen >= CHARACTERS * turn // TURNS:
                break
        rate = (seen - before) / (time.process_time() - began)
        held_out = bits_per_symbol(model, ids[-HELD_OUT:]) if turn == TURNS else math.nan
        yield dict(what=what, rate=rate, bits=smooth, held_out_bits=held_out)
        before = seen


def measured(turns: list[dict], first: list[dict]) -> dict:
    """Put the turns of one program together: median rate, median ratio to the first program, loss at the end."""
    ratios = [turn["rate"] / yardstick["rate"] for turn, yardstick in zip(turns, first, strict=True)]
    rate = statistics.median(turn["rate"] for turn in turns)
    return {**turns[-1], "rate": rate, "ratio": statistics.median(ratios), "ratios": [min(ratios), max(ratios)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, nargs="?", help="a text to read; the embedded stories unless given")
    parser.add_argument("--listing", type=Path)
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    text = args.text.read_text(encoding="utf-8") if args.text else sample_text("baker-street", characters=1_200_000)
    ids, alphabet = encode(text)
    programs = [classic(args.listing, text)] if args.listing else []
    programs += [ours(ids, len(alphabet), *setting) for setting in SETTINGS]
    turns = list(zip(*programs, strict=True))
    rows = [measured(list(program), [turn[0] for turn in turns]) for program in zip(*turns, strict=True)]
    print(f"{'':<30}{'characters/s':>14}{'ratio':>8}{'bits':>8}{'held out':>10}")
    for row in rows:
        held_out = row.get("held_out_bits", math.nan)
        print(f"{row['what']:<30}{row['rate']:>14,.0f}{row['ratio']:>8.1f}{row['bits']:>8.3f}{held_out:>10.3f}")
    if args.record:
        result = dict(
            text=f"{args.text.parent.name}, {len(ids):,} characters, {len(alphabet)} symbols",
            protocol=f"{CHARACTERS:,} characters read in windows of {STEPS}, 100 units, one thread; characters a "
            f"processor second, median of {TURNS} turns taken in rotation; bits a character while training, a running "
            "mean over 25,000 characters",
            rows=rows,
            **{**provenance(torch.device("cpu"), 1), "command": "python tests/benchmarks/bench_rnn.py TEXT --record"},
        )
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
