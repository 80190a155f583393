"""Record the time from a cold start to a published test perplexity of WikiText-2: our recipe, and a peer's.

    export LMTUTOR_PEER=FOLDER LMTUTOR_DATA=FOLDER OMP_NUM_THREADS=1
    python -m tests.benchmarks.record_time --out FOLDER [--record]

The mark is 147.84, the test perplexity of the original tutorial after three epochs. Ours is the command
``lmtutor train wikitext-2/lstm-200-quick`` from its start to its end: nothing is cached, and its scoring counts too.
The peer is the word-level example of pytorch/examples (`LMTUTOR_PEER`, no part of this project) with its own settings
and ``--tied``. Its `main.py` runs unchanged, but for `torch.save`, which leaves the bare weights. After each epoch it
is stopped, and its clock too, while the weights are scored as ours are: every token of the split but the first, read
as one stream. At the mark it is ended; or, not yet there, at the end of the epoch in which it has taken `ENOUGH` times
as long as ours: then the ratio is a lower bound, and the record says so.

One after the other, on as many threads as OMP_NUM_THREADS says. Our run stays in ``FOLDER/ours``. `--record` writes
the two curves to ``data/runs/benchmark-time/``.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from lmtutor.models import build_model
from lmtutor.runs.provenance import provenance
from lmtutor.runs.run import Run
from lmtutor.scoring.score import STREAM_PROTOCOL, evaluate
from lmtutor.text.corpora import load_corpus
from lmtutor.training.checkpoint import load_tensors, read_tensors, write_tensors

RECIPE, MARK = "wikitext-2/lstm-200-quick", 147.84
ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "data" / "runs" / "benchmark-time"
EPOCHS = 12  # that the peer may take
ENOUGH = 10  # times as long as ours: the goal, and where the peer is ended


def ours(folder: Path) -> list[dict]:
    """Train by the command: validation perplexity after each epoch, and the test perplexity at the end."""
    command = [sys.executable, "-m", "lmtutor", "train", RECIPE, "--out", str(folder / "ours")]
    began = time.monotonic()
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"LMTUTOR_CACHE": str(folder / "cache")})
    whole = time.monotonic() - began
    run = Run(folder / "ours")
    rows = [
        dict(who="ours", epoch=epoch, seconds=seconds, valid_perplexity=valid)
        for epoch, seconds, valid in zip(
            run.history["epoch"], run.history["seconds"].cumsum(), run.history["valid_perplexity"], strict=True
        )
    ]
    rows[-1] |= dict(seconds=whole, test_perplexity=run.score("test").perplexity)
    return rows


def train_peer(source: Path, data: str, out: Path) -> None:
    """In a process of its own: the peer's `main.py`, whose `torch.save` writes weights and the list of words."""
    os.chdir(source)
    sys.path.insert(0, str(source))
    script, saved = {"__name__": "__main__", "__file__": str(source / "main.py")}, 0

    def save(model, file) -> None:
        nonlocal saved
        saved += 1
        words = script["corpus"].dictionary.idx2word
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}  # tied ones are one tensor
        write_tensors(out / f"{saved}.safetensors", weights, {"words": words})

    torch.save = save
    sys.argv = ["main.py", "--data", data, "--tied", "--epochs", str(EPOCHS), "--save", os.devnull]
    exec(compile((source / "main.py").read_text(), "main.py", "exec"), script)


def score_peer(path: Path) -> dict[str, float]:
    """Perplexities of the peer's weights, in our model of the same shape, by our protocol."""
    weights, header = read_tensors(path)
    corpus = load_corpus("wikitext-2")
    known = {word: index for index, word in enumerate(header["words"])}
    order = torch.tensor([known[word] for word in corpus.vocab.tokens])
    model = build_model("lstm-200", corpus.vocab)
    tensors = {"embedding.weight": weights["encoder.weight"][order], "head.bias": weights["decoder.bias"][order]}
    for name, tensor in weights.items():
        if name.startswith("rnn."):  # rnn.weight_ih_l1 is layers.1.weight_ih_l0
            kind, _, layer = name.removeprefix("rnn.").rpartition("_l")
            tensors[f"layers.{layer}.{kind}_l0"] = tensor
    load_tensors(model, tensors)
    return {f"{name}_perplexity": evaluate(model, corpus.split(name)).perplexity for name in ("valid", "test")}


def peer(source: Path, data: str, folder: Path, enough: float) -> list[dict]:
    """The peer's saves until its test perplexity is at the mark, or `enough` seconds are over.

    It saves after each epoch that is the best so far.
    """
    out = folder / "peer"
    out.mkdir()
    command = [sys.executable, "-m", "tests.benchmarks.record_time", "--train-peer", str(source), data, str(out)]
    began, stopped, rows = time.monotonic(), 0.0, []
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        while not rows or (rows[-1]["test_perplexity"] > MARK and rows[-1]["seconds"] < enough):
            path = out / f"{len(rows) + 1}.safetensors"
            if not path.is_file():
                if process.poll() is not None:
                    raise SystemExit(f"The peer ended, with exit code {process.returncode}, before it was at the mark.")
                time.sleep(0.2)
                continue
            seconds = time.monotonic() - began - stopped
            process.send_signal(signal.SIGSTOP)
            rows.append(dict(who="peer", epoch=len(rows) + 1, seconds=seconds, **score_peer(path)))
            print(rows[-1], flush=True)
            process.send_signal(signal.SIGCONT)
            stopped = time.monotonic() - began - seconds
    finally:
        process.kill()
        process.wait()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.record_time", description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help=f"write to data/runs/{RUN.name}/")
    parser.add_argument("--out", type=Path, help="a new folder for both trainings")
    parser.add_argument("--train-peer", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train_peer:
        source, data, out = options.train_peer
        return train_peer(Path(source), data, Path(out))
    source, data = (Path(os.environ.get(name, "")).resolve() for name in ("LMTUTOR_PEER", "LMTUTOR_DATA"))
    if not (source / "main.py").is_file() or not (data / "wikitext-2" / "train.txt").is_file():
        parser.error("LMTUTOR_PEER has to name the folder of the peer's main.py, LMTUTOR_DATA that of wikitext-2.")
    if not options.out:
        parser.error("--out has to name a new folder.")
    options.out.mkdir(parents=True)
    out = options.out.resolve()
    rows = ours(out)
    rows += peer(source, str(data / "wikitext-2"), out, enough=ENOUGH * rows[-1]["seconds"])
    table = pd.DataFrame(rows)
    end = table.dropna(subset=["test_perplexity"]).groupby("who").last()
    ratio = end.loc["peer", "seconds"] / end.loc["ours", "seconds"]
    reached = bool(end.loc["peer", "test_perplexity"] <= MARK)
    print(f"\n{table.to_string(index=False)}\n\npeer / ours: {ratio:.1f}{'' if reached else ' or more'}")
    if options.record:
        RUN.mkdir(parents=True, exist_ok=True)
        table.to_csv(RUN / "history.csv", index=False, float_format="%.6g")
        made = provenance(torch.device("cpu"), seed=1) | dict(
            command="python -m tests.benchmarks.record_time --out FOLDER --record",
            load=round(os.getloadavg()[0], 1),
            mark=MARK,
            ratio=round(ratio, 2),
            reached=reached,  # whether the peer was at the mark when it was ended
            protocol=STREAM_PROTOCOL,
        )
        (RUN / "result.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
