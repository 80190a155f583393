"""Two processes beside one: the same global batch, the same curve, and how much of twice the speed there is.

    LMTUTOR_DATA=FOLDER python -m tests.benchmarks.bench_torchrun [--tokens N] [--rounds N] [--record]

The tutorial's model (tied 2×200 LSTM, 33,278 types, 20 columns of 35 words, no dropout) trains on the first tokens of
WikiText-2: in one process with one thread, and in two processes with one thread each, started by torchrun with gloo.
They take turns. Efficiency is the speed of two over twice the speed of one; both by the wall clock, so the machine has
to have two cores free. The learning rate is 1: at 10, differences of rounding alone grow to a tenth of a nat within 300
steps. `--record` writes ``data/runs/benchmark-torchrun/``.
"""

import argparse
import dataclasses
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch

from lmtutor.models import build_model
from lmtutor.runs.provenance import provenance
from lmtutor.system import processes as distributed
from lmtutor.text.corpora import load_corpus
from lmtutor.training.config import TrainConfig
from lmtutor.training.session import fit
from tests.benchmarks.workers import BATCH, BPTT

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "data" / "runs" / "benchmark-torchrun"
EPOCHS = 3


def train(tokens: int, out: Path) -> None:
    """In each process: train, and let the first write the history."""
    distributed.start()
    corpus = load_corpus("wikitext-2")
    corpus = dataclasses.replace(corpus, train=corpus.train[:tokens], valid=corpus.valid[:5_000])
    torch.manual_seed(1)
    model = build_model("lstm-200", corpus.vocab, dropout=0.0)
    config = TrainConfig(epochs=EPOCHS, lr=1.0, schedule="constant", batch_size=BATCH, bptt=BPTT, precision="float32")
    history = fit(model, corpus, config, progress=False)
    if distributed.rank() == 0:
        history.to_csv(out, index=False)
    distributed.stop()


def measure(tokens: int, rounds: int) -> pd.DataFrame:
    """A row a round, number of processes and epoch: tokens a second, loss in training and validation."""
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(1, rounds + 1):
            for processes in (1, 2):
                out = Path(folder) / f"{turn}-{processes}.csv"
                launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
                command = [sys.executable, *launch, "-m", "tests.benchmarks.bench_torchrun"]
                command += ["--tokens", str(tokens), "--worker", str(out)]
                subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})
                table = pd.read_csv(out)[["epoch", "tokens_per_second", "train_loss", "valid_loss"]]
                tables.append(table.assign(round=turn, processes=processes))
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bench_torchrun", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--tokens", type=int, default=70_000, help="of the training text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help=f"write to data/runs/{RUN.name}/")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return train(options.tokens, options.worker)
    table = measure(options.tokens, options.rounds)
    one, two = (table[table["processes"] == n].reset_index(drop=True) for n in (1, 2))
    ratios = two["tokens_per_second"] / (2 * one["tokens_per_second"])
    efficiency = statistics.median(ratios)
    apart = float((one - two)[["train_loss", "valid_loss"]].abs().to_numpy().max())
    print(f"{table.to_string(index=False)}\n\nefficiency {efficiency:.0%}, curves at most {apart:.1e} nats apart")
    if options.record:
        RUN.mkdir(parents=True, exist_ok=True)
        table.to_csv(RUN / "history.csv", index=False, float_format="%.8g")
        made = provenance(torch.device("cpu"), seed=1) | dict(
            command=shlex.join(["python", "-m", "tests.benchmarks.bench_torchrun", *sys.argv[1:]]),
            load=round(os.getloadavg()[0], 1),
            efficiency=round(efficiency, 3),
            apart=apart,
            protocol="tied 2x200 LSTM, 33,278 types, batch 20, bptt 35, float32; one thread a process, gloo",
        )
        (RUN / "result.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
