"""Record how many pairs each family can keep: the first experiment of chapter 09.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.record_recall [--out FOLDER] [--seeds 3] [--steps 400]

Eleven models of about 100,000 parameters each learn lines of ``recall_lines``: n pairs, then 16 questions. The largest
n grows from 4 to 64 during the first half of the training. Afterwards each is asked at every n on new lines. The
Transformer, which learns this late, is trained once more, with one seed and four times as many steps. The same command
goes on where it stopped: ``history.csv`` has a row a family, seed and n.
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
from lmtutor.models.awd import AWDConfig, unregularised
from lmtutor.models.base import map_state
from lmtutor.models.cells import hidden_for, parameter_count
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.models.registry import config_to_dict
from lmtutor.runs.provenance import provenance
from lmtutor.system.files import write_atomically
from lmtutor.system.machine import keep_freed_memory
from lmtutor.text.recall import TYPES, recall_lines

OUT = Path(__file__).resolve().parents[2] / "data" / "runs" / "recall"
PAIRS = (2, 4, 8, 16, 32, 64)
BUDGET, ASKED, LINES, LR, TEST_LINES = 100_000, 16, 16, 5e-3, 64


def families() -> dict:
    """The config of each family, all of the same size or a little below."""
    block = TransformerConfig(64, layers=2, heads=1, context=512, dropout=0.0)
    recurrent = {"vanilla RNN": "rnn-tanh", "LSTM": "lstm", "minGRU": "min-gru"}
    found = {name: RecurrentConfig(cell, 64, 64, 2, 0.0, tied=False) for name, cell in recurrent.items()}
    found["QRNN"] = unregularised(AWDConfig("qrnn", 64, 64, 2, tied=False))
    for mixer in ("gated", "delta"):
        found |= {f"{mixer} {d}²": dataclasses.replace(block, mixer=mixer, units=d) for d in (16, 32, 64)}
    found["Transformer"] = dataclasses.replace(block, heads=2)
    for name, config in found.items():
        units = hidden_for(lambda h, c=config: build_model(dataclasses.replace(c, hidden=h), len(TYPES)), BUDGET)
        found[name] = dataclasses.replace(config, hidden=units)
    return found | {"Transformer ×4": found["Transformer"]}


def train(config, seed: int, steps: int):
    """A model after `steps` steps of Adam, and the processor seconds they took."""
    torch.manual_seed(seed)
    model, lines = build_model(config, len(TYPES)), torch.Generator().manual_seed(seed)
    model.head.precision = "float32"
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    began = time.process_time()
    for step in range(steps):
        largest = 1 + min(5, int(2 * step / steps * 5) + 1)  # of the exponents: n up to 4, 8, … 64
        n = 2 ** int(torch.randint(1, largest + 1, (), generator=lines))
        for group in optimizer.param_groups:  # up in the first 50 steps, down to nothing in the last third
            group["lr"] = LR * min(1.0, (step + 1) / 50, 3 * (1 - step / steps))
        loss, _, _ = model.loss(*recall_lines(n, ASKED, LINES, lines), model.initial_state(LINES))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model.eval(), time.process_time() - began


@torch.no_grad()
def ask(model, pairs: int) -> dict:
    """The share of right answers on new lines of n pairs, and the numbers carried when the questions begin."""
    lines = torch.Generator().manual_seed(1_000 + pairs)
    inputs, targets = recall_lines(pairs, ASKED, TEST_LINES, lines)
    hidden, state = model(inputs[:-ASKED], model.initial_state(TEST_LINES))
    hidden, _ = model(inputs[-ASKED:], state)
    found = model.head.log_probs(hidden.flatten(0, 1)).argmax(-1)
    numbers: list[int] = []
    map_state(lambda part: numbers.append(part.numel() // TEST_LINES) or part, state)
    return dict(share=float((found == targets[-ASKED:].flatten()).float().mean()), numbers=sum(numbers))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", nargs="+", help="some of the families (a trial)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    path = args.out / "history.csv"
    rows = pd.read_csv(path).to_dict("records") if path.is_file() else []
    done = {(row["family"], row["seed"]) for row in rows}
    configs = families()
    for seed in range(1, args.seeds + 1):
        for name, config in configs.items():
            long = "×4" in name
            if (name, seed) in done or (long and seed > 1) or (args.only and name not in args.only):
                continue
            model, seconds = train(config, seed, args.steps * (4 if long else 1))
            asked = [dict(family=name, seed=seed, pairs=n, **ask(model, n), seconds=seconds) for n in PAIRS]
            rows += asked
            write_atomically(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode())
            print(name, seed, f"{seconds:.0f} s", [f"{row['share']:.2f}" for row in asked], flush=True)
    result = dict(
        protocol=f"{args.steps} steps of {LINES} lines with {ASKED} questions each, Adam {LR:g} (×4: four times as "
        f"many, one seed); asked on {TEST_LINES} new lines at each n",
        seeds=args.seeds,
        steps=args.steps,
        models={name: config_to_dict(config) for name, config in configs.items()},
        parameters={name: parameter_count(build_model(config, len(TYPES))) for name, config in configs.items()},
        **provenance(torch.device("cpu"), 1),
    )
    result["command"] = shlex.join(["python", "-m", "tests.benchmarks.record_recall", *sys.argv[1:]])
    write_atomically(args.out / "result.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
