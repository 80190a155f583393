"""Time the neural cache: against the AWD-LSTM toolkit's pointer, and as a share of scoring WikiText-2.

    LMTUTOR_DATA=FOLDER python tests/benchmarks/bench_cache.py [--pointer SCRIPT] [--out FOLDER]

All times are processor seconds, summed over threads: what else the machine does meanwhile hardly matters.

*The same hidden states.* 400 units, 33,278 types, a window of 3,785: the toolkit's published setting. The states go to
a file; each side reads it in a process of its own, so that peak memory can be told apart, and is timed on what it does
from hidden states and the model's probabilities to mixed log-probabilities. The toolkit's loop is not part of this
project: `--pointer` names a script of one's own that runs it, called with the file and a number of tokens, and prints
a JSON line with ``tokens seconds peak_mb first log_probs``; without it only ours is timed. Where both have a full
window the log-probabilities must agree.

*Scoring WikiText-2.* A stretch of the test split at batch 1, without the cache and with one that is full, in turn, for
the AWD-LSTM's shape (window 3,785) and for the small tied LSTM (window 2,000). Weights are fresh: time does not depend
on them.
"""

import argparse
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lmtutor.models import build_model
from lmtutor.models.heads import SoftmaxHead
from lmtutor.runs.provenance import provenance
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.scoring.score import STRETCH
from lmtutor.text.corpora import load_corpus

WINDOW, HIDDEN, THETA, LAM = 3785, 400, 0.66, 0.13
TYPES = 33_278
SHAPES = {
    "lstm-200": (dict(), 2000),
    "lstm 400-1150-1150-400": (dict(embedding=400, hidden=1150, layers=3), WINDOW),
}


def peak_mb() -> float:
    """Largest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ours(file: str) -> dict:
    """Our side, in its own process: stretch by stretch, as `evaluate` does."""
    data = np.load(file)
    hidden, ids = torch.from_numpy(data["hidden"])[:, None], torch.from_numpy(data["ids"])
    before = peak_mb()
    head = SoftmaxHead(hidden.shape[2], len(data["bias"]), torch.nn.Parameter(torch.from_numpy(data["weight"])))
    cache = NeuralCache(build_model("lstm-200", 2), int(data["window"]), float(data["theta"]), float(data["lam"]))
    pieces, history, seconds, tokens = [], None, 0.0, 0
    with torch.no_grad():
        for start in range(0, len(hidden), STRETCH):
            part = slice(start, start + STRETCH)
            inputs, targets = ids[:-1][part, None], ids[1:][part, None]
            log_probs = head.target_log_probs(hidden[part], targets)
            began = time.process_time()
            mixed, history = cache.mix(log_probs, hidden[part], inputs, targets, history)
            if start >= cache.window:  # with a full window
                seconds, tokens = seconds + time.process_time() - began, tokens + len(inputs)
            pieces.append(mixed[:, 0])
    return dict(
        tokens=tokens, seconds=seconds, peak_mb=peak_mb() - before, first=0, log_probs=torch.cat(pieces).tolist()
    )


def same_states(pointer: str | None, tokens: int, pointer_tokens: int) -> tuple[list[dict], dict]:
    """Both sides on one file of hidden states; rows for the table, and how they compare."""
    ids = load_corpus("wikitext-2").test[: 8 * STRETCH + tokens + 1].clone()
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(len(ids) - 1, HIDDEN, generator=generator) * 0.15  # attention neither flat nor a spike
    weight = torch.randn(TYPES, HIDDEN, generator=generator) * 0.1
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/states.npz"
        settings = dict(window=WINDOW, theta=THETA, lam=LAM, bias=np.zeros(TYPES, np.float32))
        np.savez(file, hidden=states.numpy(), ids=ids.numpy(), weight=weight.numpy(), **settings)
        commands = {"lmtutor": [sys.executable, __file__, "--measure", file]}
        if pointer:
            commands["pointer.py"] = [sys.executable, pointer, file, str(pointer_tokens)]
        for name, command in commands.items():
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            found[name] = one = json.loads(lines[-1])
            rate = one["tokens"] / one["seconds"]
            what = f"{name}, window {WINDOW}, hidden {HIDDEN}, 33278 types"
            rows.append(dict(what=what, tokens=one["tokens"], seconds=one["seconds"], tokens_per_second=rate))
            rows[-1]["peak_mb"] = one["peak_mb"]
    if not pointer:
        return rows, {}
    theirs, first = found["pointer.py"], found["pointer.py"]["first"]
    mine = found["lmtutor"]["log_probs"][first : first + theirs["tokens"]]
    return rows, dict(
        ratio=rows[0]["tokens_per_second"] / rows[1]["tokens_per_second"],
        largest_difference=float(np.abs(np.array(mine) - theirs["log_probs"]).max()),
    )


def scoring(rounds: int) -> tuple[list[dict], dict]:
    """A stretch of tokens without the cache and with a full one, in turn; the fastest of the rounds counts."""
    text = load_corpus("wikitext-2").test
    inputs, targets = text[:STRETCH, None], text[1 : STRETCH + 1, None]
    rows, shares = [], {}
    for name, (shape, window) in SHAPES.items():
        torch.manual_seed(1)
        model = build_model("lstm-200", TYPES, **shape).eval()
        units = model.head.weight.shape[1]
        full = torch.randn(window, 1, units) * 0.15, text[-window:, None, None]
        state = model.initial_state(1)
        sides = {
            "alone": (model, state),
            f"with the cache, window {window}": (NeuralCache(model, window, THETA, LAM), (state, full)),
        }
        best = dict.fromkeys(sides, float("inf"))
        for _ in range(rounds):
            for side, (scored, start) in sides.items():
                began = time.process_time()
                scored.target_log_probs(inputs, targets, start)
                best[side] = min(best[side], time.process_time() - began)
        for side, seconds in best.items():
            rate = STRETCH / seconds
            rows.append(dict(what=f"{name}, {side}", tokens=STRETCH, seconds=seconds, tokens_per_second=rate))
        alone, cached = best.values()
        shares[name] = cached / alone - 1
    return rows, dict(more_time_with_cache=shares)


def write(out: Path, rows: list[dict], compared: dict) -> None:
    """Add a part's rows to ``history.csv`` and its figures to ``result.json``."""
    out.mkdir(parents=True, exist_ok=True)
    history, result = out / "history.csv", out / "result.json"
    table = pd.DataFrame(rows)
    if history.exists():
        table = pd.concat([pd.read_csv(history), table]).drop_duplicates("what", keep="last")
    table.to_csv(history, index=False, float_format="%.6g")
    record = json.loads(result.read_text()) if result.exists() else {}
    record |= {**compared, "settings": dict(window=WINDOW, theta=THETA, lam=LAM, hidden=HIDDEN)}
    record |= {**provenance(torch.device("cpu"), 1), "command": shlex.join(["python", *sys.argv])}
    result.write_text(json.dumps(record, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pointer", help="a script that runs the toolkit's pointer")
    parser.add_argument("--tokens", type=int, default=16 * STRETCH, help="tokens with a full window that ours scores")
    parser.add_argument("--pointer-tokens", type=int, default=120, help="and the toolkit")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=["states", "scoring"], help="only this one")
    parser.add_argument("--out", type=Path, help="where history.csv and result.json go")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(ours(args.measure)))
        return
    parts = {
        "states": lambda: same_states(args.pointer, args.tokens, args.pointer_tokens),
        "scoring": lambda: scoring(args.rounds),
    }
    for part in [args.part] if args.part else parts:
        rows, compared = parts[part]()
        print(pd.DataFrame(rows).to_string(index=False, float_format="{:,.3f}".format), compared, flush=True)
        if args.out:
            write(args.out, rows, compared)


if __name__ == "__main__":
    main()
