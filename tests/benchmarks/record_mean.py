"""Record the mean of the weights of several trainings of one model, each begun where the one before it ended.

    LMTUTOR_DATA=FOLDER python -m tests.benchmarks.record_mean NAME OUT RUN...

A rate that falls to zero, rises, and falls again leaves the model at another place of the same valley each time, and
the mean of the places lies lower than each of them (Izmailov et al. 2018, who average at the end of every cycle). NAME
is what the run will be called in data/runs; the files that record it, and a checkpoint, go to OUT. Its history is that
of the last RUN; its minutes are those of all.
"""

import argparse
import json
import shlex
import shutil
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from lmtutor.runs.provenance import provenance
from lmtutor.runs.run import Run, find_run, score_dict
from lmtutor.scoring.score import evaluate
from lmtutor.training.checkpoint import save_checkpoint
from lmtutor.training.config import text_to_score


def mean(models: list[nn.Module]) -> dict[str, Tensor]:
    """The mean of the weights of models of one form, by name."""
    states = [model.state_dict() for model in models]
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def record(name: str, out: Path, runs: list[Run]) -> dict:
    """Average, score valid and test, and write a run folder; return its result."""
    (model, vocab), *others = [run.load() for run in runs]
    model.load_state_dict(mean([model, *(other for other, _ in others)]))
    last, begun = runs[-1], time.monotonic()
    corpus = last.load_corpus(vocab)
    scores = {split: evaluate(model, text_to_score(corpus, split, last.recipe.training)) for split in ("valid", "test")}
    result = last.result | {split: score_dict(score) for split, score in scores.items()}
    result |= provenance(torch.device("cpu"), last.result["seed"])
    result |= {
        "recipe": name,
        "mean_of": [run.result["recipe"] for run in runs],
        "training_seconds": sum(run.result["training_seconds"] for run in runs),
        "seconds": time.monotonic() - begun,
        "command": shlex.join(["python", "-m", "tests.benchmarks.record_mean", *sys.argv[1:]]),
    }
    save_checkpoint(out / "checkpoint", model, vocab)
    for file in ("recipe.toml", "history.csv"):
        shutil.copy(last.path / file, out / file)
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", type=find_run)
    asked = parser.parse_args()
    made = record(asked.name, asked.out, asked.runs)
    print({split: round(made[split]["perplexity"], 2) for split in ("valid", "test")})
