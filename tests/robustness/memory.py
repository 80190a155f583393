"""Watch the memory and the open files of long work: 50 epochs of training, 100 million tokens of scoring.

python -m tests.robustness.memory --epochs 50 --tokens 100000000     # --record keeps it in data/runs/robustness
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch

from lmtutor import TrainConfig, build_model, evaluate, fit
from lmtutor.models.window import WindowConfig
from lmtutor.runs.provenance import git_commit
from lmtutor.training.loop import Trainer
from tests.helpers import tiny_corpus, tiny_model

ROOT = Path(__file__).resolve().parents[2]


def look() -> dict[str, float]:
    """This process's memory of its own (anonymous), all that is resident (with mapped files), and its open files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    kibibytes = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines if " kB" in line)}
    return dict(
        own_mib=kibibytes["RssAnon"] / 1024,
        resident_mib=kibibytes["VmRSS"] / 1024,
        open_files=len(os.listdir("/proc/self/fd")),
    )


def train(epochs: int, folder: Path) -> pd.DataFrame:
    """Train a tiny model with all that is saved after an epoch; a row an epoch."""
    rows, end_epoch = [], Trainer.end_epoch

    def watched(self):
        end_epoch(self)
        rows.append(dict(part="training", done=self.epoch, **look()))

    config = TrainConfig(epochs=epochs, lr=1.0, bptt=20, batch_size=4, precision="float32")
    with mock.patch.object(Trainer, "end_epoch", watched):
        fit(tiny_model(dropout=0.2), tiny_corpus(), config, out=folder, progress=False)
    return pd.DataFrame(rows)


def score(tokens: int, folder: Path, looks: int = 50) -> pd.DataFrame:
    """Score that many tokens, mapped from a file as a corpus is; a row for each of `looks` parts of the work."""
    block = torch.randint(0, 16, (1_000_003,), generator=torch.Generator().manual_seed(0)).numpy()
    with (folder / "ids").open("wb") as file:
        for start in range(0, tokens, len(block)):
            block[: tokens - start].astype(np.int64).tofile(file)
    ids = torch.from_file(str(folder / "ids"), shared=False, size=tokens, dtype=torch.long)
    model = build_model(WindowConfig(order=3, embedding=4, hidden=4, dropout=0.0), 16)
    rows, done, score_some = [], 0, type(model).target_log_probs

    def watched(self, inputs, targets, state):
        nonlocal done
        done += targets.numel()
        if done * looks // tokens > len(rows) - 1:
            rows.append(dict(part="scoring", done=done, **look()))
        return score_some(self, inputs, targets, state)

    with mock.patch.object(type(model), "target_log_probs", watched):
        result = evaluate(model, ids)
    assert result.tokens == tokens - 1 == done
    return pd.DataFrame(rows)


def growth(table: pd.DataFrame) -> float:
    """By how many MiB the memory of its own grows from the first fifth to the last, the highest of each."""
    fifth = max(1, len(table) // 5)
    return float(table["own_mib"].iloc[-fifth:].max() - table["own_mib"].iloc[fifth : 2 * fifth].max())


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=100_000_000)
    parser.add_argument("--record", action="store_true", help="write data/runs/robustness/memory.csv and .json")
    options = parser.parse_args()
    commit, began = git_commit(), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        parts = [train(options.epochs, Path(place) / "run"), score(options.tokens, Path(place))]
    table = pd.concat(parts, ignore_index=True)
    facts = dict(
        command=f"python -m tests.robustness.memory --epochs {options.epochs} --tokens {options.tokens}",
        date=time.strftime("%Y-%m-%d"),
        commit=commit,
        training_growth_mib=round(growth(parts[0]), 2),
        scoring_growth_mib=round(growth(parts[1]), 2),
        open_files=[int(table["open_files"].min()), int(table["open_files"].max())],
        seconds=round(time.monotonic() - began),
    )
    print(table.to_string(), json.dumps(facts, indent=2), sep="\n")
    if options.record:
        where = ROOT / "data/runs/robustness"
        where.mkdir(parents=True, exist_ok=True)
        table.round(2).to_csv(where / "memory.csv", index=False)
        (where / "memory.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
