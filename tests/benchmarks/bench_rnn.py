"""Time the hand-written character RNN, and another listing beside it on the same text.

    python tests/benchmarks/bench_rnn.py TEXT [--characters 1000000] [--listing FILE]

Sizes are those of the classic listing: 100 units, windows of 25. `--listing` is a script of the reader's own that
reads `input.txt` in its folder and prints lines like ``iter 1200, loss: 55.3`` (nats for 25 characters, smoothed
over about a thousand windows), for instance the well-known NumPy character RNN with its prints made Python 3's. It
runs as a process of its own, with one thread as here. Run with OMP_NUM_THREADS=1.
"""

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lmtutor.scratch.rnn import CharRNN
from lmtutor.scratch.training import bits_per_symbol, encode, train

STEPS = 25


def other(listing: Path, text: Path, characters: int) -> tuple[float, float]:
    """Run a listing until it has read enough; return characters a second and bits a character."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "input.txt").write_text(text.read_text(encoding="utf-8"), encoding="utf-8")
        command = [sys.executable, "-u", str(listing.resolve())]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        began = None
        for line in process.stdout:
            found = re.match(r"iter (\d+), loss: ([\d.]+)", line)
            if found and began is None:
                began = time.perf_counter()
            elif found and int(found[1]) * STEPS >= characters:
                process.terminate()
                process.wait()
                seconds = time.perf_counter() - began
                return int(found[1]) * STEPS / seconds, float(found[2]) / STEPS / math.log(2)
    raise SystemExit(f"{listing} ended before {characters:,} characters.")


def ours(ids: np.ndarray, vocab_size: int, characters: int, batch_size: int, lr: float, dtype) -> tuple:
    """Train for so many characters; return characters a second, recent bits, and the model."""
    model, recent, seen = CharRNN(vocab_size, 100, dtype=dtype), [], 0
    began = time.perf_counter()
    for seen, bits in train(model, ids, batch_size=batch_size, steps=STEPS, lr=lr):
        recent.append(bits)
        if seen >= characters:
            break
    seconds = time.perf_counter() - began
    windows = max(1, 25_000 // (batch_size * STEPS))  # what the listing smooths over
    return seen / seconds, float(np.mean(recent[-windows:])), model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--listing", type=Path)
    args = parser.parse_args()
    ids, alphabet = encode(args.text.read_text(encoding="utf-8"))
    held_out = ids[-20_000:]
    print(f"{len(ids):,} characters, {len(alphabet)} symbols; {args.characters:,} characters read")
    print(f"{'':<24}{'characters/s':>14}{'ratio':>8}{'training bits':>15}{'held-out bits':>15}")
    base = None
    if args.listing:
        base, bits = other(args.listing, args.text, args.characters)
        print(f"{args.listing.name:<24}{base:>14,.0f}{1.0:>8.1f}{bits:>15.3f}")
    for batch_size, lr, dtype in ((1, 0.1, np.float64), (16, 0.05, np.float64), (16, 0.05, np.float32),
                                  (32, 0.05, np.float32), (64, 0.05, np.float32)):  # fmt: skip
        rate, bits, model = ours(ids[:-20_000], len(alphabet), args.characters, batch_size, lr, dtype)
        name = f"CharRNN B={batch_size} {np.dtype(dtype).name}"
        ratio = f"{rate / base:>8.1f}" if base else " " * 8
        print(f"{name:<24}{rate:>14,.0f}{ratio}{bits:>15.3f}{bits_per_symbol(model, held_out):>15.3f}", flush=True)


if __name__ == "__main__":
    main()
