"""Time the hand-written character RNN, and the classic listing beside it on the same text.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_rnn.py TEXT [--listing FILE] [--record]

The sizes are those of the classic 112 lines: 100 units, windows of 25 characters. `--listing` is that script, which
is not ours to include, with nothing changed but what Python 3 asks for. It reads `input.txt` in its folder, prints
lines like ``iter 1200, loss: 55.3`` (nats for 25 characters, a running mean over about 25,000) and runs as a process
of its own. Both are timed in processor seconds, which other work on the machine leaves alone. `--record` writes
`data/runs/benchmark-rnn/result.json`, which chapter 02 shows.
"""

import argparse
import json
import math
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lmtutor.runs import provenance
from lmtutor.scratch import CharRNN, bits_per_symbol, encode, train

RESULT = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-rnn" / "result.json"
STEPS, CHARACTERS, HELD_OUT = 25, 1_000_000, 20_000
SETTINGS = ((1, 0.1, "float64"), (16, 0.05, "float64"), (16, 0.05, "float32"), (32, 0.05, "float32"))


def classic(listing: Path, text: str) -> dict:
    """Run the listing until it has read enough; return its rate and its smoothed loss."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "input.txt").write_text(text, encoding="utf-8")
        command = [sys.executable, "-u", str(listing.resolve())]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            found = re.match(r"iter (\d+), loss: ([\d.]+)", line)
            if found and int(found[1]) * STEPS >= CHARACTERS:
                break
        else:
            raise SystemExit(f"{listing} ended before {CHARACTERS:,} characters.")
        process.terminate()
        process.wait()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = int(found[1]) * STEPS / (used.ru_utime + used.ru_stime)
    return dict(what="classic listing", rate=rate, bits=float(found[2]) / STEPS / math.log(2))


def ours(ids: np.ndarray, symbols: int, batch_size: int, lr: float, dtype: str) -> dict:
    """Train for as many characters; return the rate, and the loss smoothed as the listing does it."""
    model, smooth = CharRNN(symbols, 100, dtype=np.dtype(dtype)), math.log2(symbols)
    began = time.process_time()
    for seen, bits in train(model, ids[:-HELD_OUT], batch_size=batch_size, steps=STEPS, lr=lr):
        keep = 0.999**batch_size
        smooth = keep * smooth + (1 - keep) * bits
        if seen >= CHARACTERS:
            break
    rate = seen / (time.process_time() - began)
    what = f"CharRNN, {batch_size} column{'s' * (batch_size > 1)}, {dtype}"
    return dict(what=what, rate=rate, bits=smooth, held_out_bits=bits_per_symbol(model, ids[-HELD_OUT:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--listing", type=Path)
    parser.add_argument("--record", action="store_true")
    args = parser.parse_args()
    text = args.text.read_text(encoding="utf-8")
    ids, alphabet = encode(text)
    rows = [classic(args.listing, text)] if args.listing else []
    rows += [ours(ids, len(alphabet), *setting) for setting in SETTINGS]
    print(f"{'':<30}{'characters/s':>14}{'ratio':>8}{'bits':>8}{'held out':>10}")
    for row in rows:
        row["ratio"] = row["rate"] / rows[0]["rate"]
        held_out = row.get("held_out_bits", math.nan)
        print(f"{row['what']:<30}{row['rate']:>14,.0f}{row['ratio']:>8.1f}{row['bits']:>8.3f}{held_out:>10.3f}")
    if args.record:
        result = dict(
            text=f"{args.text.parent.name}, {len(ids):,} characters, {len(alphabet)} symbols",
            protocol=f"{CHARACTERS:,} characters read in windows of {STEPS}, 100 units, one thread; characters a "
            "processor second; bits a character while training, a running mean over 25,000 characters",
            rows=rows,
            **{**provenance(torch.device("cpu"), 1), "command": "python tests/benchmarks/bench_rnn.py TEXT --record"},
        )
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
