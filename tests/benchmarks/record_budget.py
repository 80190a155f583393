"""Record six families of language models under one budget: the comparison of chapter 08.

    LMTUTOR_DATA=FOLDER OMP_NUM_THREADS=1 python -m tests.benchmarks.record_budget --out FOLDER

Vanilla RNN, GRU, LSTM, AWD-LSTM, QRNN and Transformer, each with as many parameters as the Transformer has, are trained
on WikiText-2 in turn, a round of tokens each, until each has read the training split once. After every round the
model is scored on a slice of the validation split, so that one training tells both the perplexity after so many
tokens and after so many seconds.

For such a curve to be fair at each of its points, no point may depend on when the training will end. So the learning
rate is constant after a warm-up, and what is scored are *averaged* weights, over about the last ninth of the steps
taken so far (polynomial decay averaging, Shamir and Zhang 2013). Seconds are those of the processor, on one thread,
without the scoring: other work on the machine hardly counts.

Into FOLDER go

* ``sweep.csv``: optimizers and learning rates tried for each family, on the beginning of the training split;
* ``history.csv``: a row a family and round; ``seconds`` of training, ``nats_per_token`` on the slice;
* ``result.json``: shapes, settings, scores of the test split with and without the cache, and what made all this;
* ``states/``: what is needed to go on. The same command goes on where it stopped; ``--rounds`` sets another end.
"""

import argparse
import dataclasses
import json
import shlex
import sys
import time
from itertools import islice
from pathlib import Path

import pandas as pd
import torch

from lmtutor.batches import cut_batches
from lmtutor.cache import NeuralCache, tune_cache
from lmtutor.checkpoint import load_state, load_tensors, model_tensors, save_state, write_atomically
from lmtutor.config import TrainConfig
from lmtutor.corpora import load_corpus
from lmtutor.errors import LMTutorError
from lmtutor.evaluate import STREAM_PROTOCOL, Score, evaluate
from lmtutor.machine import keep_freed_memory
from lmtutor.models import build_model, config_to_dict
from lmtutor.models.attention import TransformerConfig
from lmtutor.models.awd import AWDConfig
from lmtutor.models.cells import hidden_for, parameter_count
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.provenance import provenance
from lmtutor.runs import score_dict
from lmtutor.train import Trainer
from tests.benchmarks.record_cache import both

WIDTH, DROPOUT, SEED = 96, 0.1, 1
ROUND = 140 * 700  # tokens of a round: 140 steps of 35 × 20
ROUNDS = 22  # the last is short: one epoch
WARM_UP, ETA, EVERY = 50, 8, 5  # steps; the averaging's parameter; steps between two weights that enter it
SLICE, SWEEP_SLICE, CACHE_SLICE = 12_001, 6_001, 40_001  # tokens of the validation split
WINDOWS = (500, 2000)
THETAS = (0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6)
LAMS = (0.0, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
MILD = dict(  # a fifth of what the paper takes for many epochs
    embedding_dropout=0.02,
    input_dropout=0.13,
    hidden_dropout=0.04,
    output_dropout=0.08,
    weight_drop=0.1,
    alpha=0.4,
    beta=0.2,
)
MILD_QRNN = {**MILD, "input_dropout": 0.08, "weight_drop": 0.02}
CLIP = {"sgd": 0.25, "adam": 1.0}
ADAM = (("adam", 2e-3), ("adam", 4e-3))
FAMILIES = {  # shape, whose hidden size is set by the budget; optimizers and learning rates to try
    "vanilla RNN": (
        RecurrentConfig("rnn-tanh", WIDTH, WIDTH, 2, DROPOUT),
        (("sgd", 1.25), ("sgd", 2.5), ("sgd", 5.0), ("sgd", 10.0), *ADAM),
    ),
    "GRU": (RecurrentConfig("gru", WIDTH, WIDTH, 2, DROPOUT), (("sgd", 5.0), ("sgd", 10.0), ("sgd", 20.0), *ADAM)),
    "LSTM": (RecurrentConfig("lstm", WIDTH, WIDTH, 2, DROPOUT), (("sgd", 10.0), ("sgd", 20.0), ("sgd", 40.0), *ADAM)),
    "AWD-LSTM": (AWDConfig("lstm", WIDTH, WIDTH, 3, **MILD), (("sgd", 10.0), ("sgd", 20.0), ("sgd", 40.0), *ADAM)),
    "QRNN": (AWDConfig("qrnn", WIDTH, WIDTH, 4, **MILD_QRNN), (("sgd", 10.0), ("sgd", 20.0), ("sgd", 40.0), *ADAM)),
    "Transformer": (
        TransformerConfig(WIDTH, 576, layers=4, heads=3, dropout=DROPOUT),
        (("sgd", 5.0), ("adam", 1e-3), *ADAM),
    ),
}


def shapes(types: int) -> dict:
    """The config of each family: as many parameters as the Transformer has, or a few less."""
    configs = {name: config for name, (config, *_) in FAMILIES.items()}
    with torch.device("meta"):
        budget = parameter_count(build_model(configs["Transformer"], types))
    for name, config in configs.items():
        if name != "Transformer":
            units = hidden_for(lambda h, c=config: build_model(dataclasses.replace(c, hidden=h), types), budget)
            configs[name] = dataclasses.replace(config, hidden=units)
    return configs


class Student:
    """A model in training: a `Trainer` for the steps, and beside it the average of the weights."""

    def __init__(self, config, corpus, optimizer: str, lr: float):
        torch.manual_seed(SEED)
        model = build_model(config, corpus.vocab)
        training = TrainConfig(
            optimizer=optimizer, lr=lr, clip=CLIP[optimizer], schedule="constant", bptt=35, batch_size=20, seed=SEED
        )
        self.trainer = Trainer(model, corpus, training, None, progress=False)
        self.average = {key: value.clone() for key, value in model_tensors(model).items()}
        self.step, self.tokens, self.seconds, self.averaged = 0, 0, 0.0, 0

    def read(self, tokens: int) -> None:
        """Train on so many more tokens, or to the end of the epoch."""
        trainer = self.trainer
        torch.manual_seed(SEED * 1_000_003 + self.step)  # the same dropout, resumed or not
        batches = cut_batches(trainer.train_ids, trainer.corpus.vocab, **trainer.cutting())
        trainer.model.train()
        goal = self.tokens + tokens
        for batch in islice(batches, self.step, None):
            began = time.process_time()
            trainer.schedule.scale = min(1.0, (self.step + 1) / WARM_UP)
            nats = trainer.train_step(batch, 0.0)
            self.step += 1
            self.tokens += batch.targets.numel()
            if self.step % EVERY == 0:
                self.take_into_average()
            self.seconds += time.process_time() - began
            if not torch.isfinite(nats):
                raise LMTutorError(f"diverged at step {self.step}")
            if self.tokens >= goal:
                return

    @torch.no_grad()
    def take_into_average(self) -> None:
        """Give the present weights their share of the average."""
        self.averaged += 1
        share = (ETA + 1) / (self.averaged + ETA)
        for key, value in model_tensors(self.trainer.model).items():
            self.average[key].lerp_(value, share)

    def score(self, ids: torch.Tensor) -> Score:
        """The score of the averaged weights; the own ones are back afterwards."""
        model = self.trainer.model
        own = {key: value.clone() for key, value in model_tensors(model).items()}
        load_tensors(model, self.average)
        try:
            return evaluate(model, ids)
        finally:
            load_tensors(model, own)

    def save(self, path: Path) -> None:
        """Write all that going on needs."""
        trainer = self.trainer
        own = {key: getattr(self, key) for key in ("step", "tokens", "seconds", "averaged", "average")}
        tensors = model_tensors(trainer.model)
        save_state(path, dict(**own, model=tensors, optimizer=trainer.optimizer.state_dict(), hidden=trainer.hidden))

    def restore(self, path: Path) -> None:
        """Read what `save` wrote."""
        state = load_state(path)
        load_tensors(self.trainer.model, state.pop("model"))
        self.trainer.optimizer.load_state_dict(state.pop("optimizer"))
        self.trainer.hidden = state.pop("hidden")
        for key, value in state.items():
            setattr(self, key, value)


def state_path(out: Path, name: str, number: int) -> Path:
    return out / "states" / f"{name.lower().replace(' ', '-')}-{number}.safetensors"


def trial_path(out: Path, name: str, optimizer: str, lr: float) -> Path:
    return state_path(out, f"{name} {optimizer} {lr:g}", 1)


def write_table(path: Path, rows: list[dict]) -> None:
    write_atomically(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode())


def read_table(path: Path) -> list[dict]:
    return pd.read_csv(path).to_dict("records") if path.is_file() else []


def sweep(out: Path, corpus, configs: dict, say) -> dict[str, tuple[str, float]]:
    """Try the optimizers and learning rates of each family for one round; the best of each."""
    rows = read_table(out / "sweep.csv")
    done = {(row["family"], row["optimizer"], row["lr"]) for row in rows}
    for name, (_, trials) in FAMILIES.items():
        for optimizer, lr in trials:
            if (name, optimizer, lr) in done:
                continue
            student = Student(configs[name], corpus, optimizer, lr)
            try:
                student.read(ROUND)
                nats = student.score(corpus.valid[:SWEEP_SLICE]).nats_per_token
            except LMTutorError:
                nats = float("inf")
            student.save(trial_path(out, name, optimizer, lr))  # the best is the first round of its family
            rows.append(dict(family=name, optimizer=optimizer, lr=lr, tokens=student.tokens, nats_per_token=nats))
            write_table(out / "sweep.csv", rows)
            say("sweep", rows[-1])
    table = pd.DataFrame(rows)
    best = table.loc[table.groupby("family")["nats_per_token"].idxmin()]
    return {row["family"]: (row["optimizer"], row["lr"]) for row in best.to_dict("records")}


def train(out: Path, corpus, configs: dict, rates: dict, rounds: int, say) -> None:
    """Let every family read a round, then every one the next."""
    rows = read_table(out / "history.csv")
    for number in range(1, rounds + 1):
        for name, config in configs.items():
            if any(row["family"] == name and row["round"] == number for row in rows):
                continue
            student, before = Student(config, corpus, *rates[name]), state_path(out, name, number - 1)
            if number == 1:  # done in the sweep
                before = trial_path(out, name, *rates[name])
            if number > 1 or before.is_file():
                student.restore(before)
            if student.tokens < number * ROUND:
                student.read(ROUND)
            score = student.score(corpus.valid[:SLICE])
            student.save(state_path(out, name, number))
            rows.append(
                dict(family=name, round=number, tokens=student.tokens, seconds=student.seconds,
                     nats_per_token=score.nats_per_token, perplexity=score.perplexity)
            )  # fmt: skip
            write_table(out / "history.csv", rows)
            before.unlink(missing_ok=True)
            say(f"{name}, round {number}: {student.tokens:,} tokens, {student.seconds:.0f} s, {score.perplexity:.1f}")


def scores(out: Path, corpus, name: str, config, rate: tuple, rounds: int, most: int | None) -> dict:
    """Tune the cache on the validation split, then score the test split with and without it."""
    student = Student(config, corpus, *rate)
    student.restore(state_path(out, name, rounds))
    model = student.trainer.model.eval()
    load_tensors(model, student.average)
    surface, best = tune_cache(model, corpus.valid[:CACHE_SLICE][:most], WINDOWS, THETAS, LAMS)
    test = corpus.test[:most]
    plain, cached = both(NeuralCache(model, **best), test)
    n = len(test) - 1
    return dict(
        cache=best,
        plain=score_dict(Score(-float(plain.sum()), n)),
        with_cache=score_dict(Score(-float(cached.sum()), n)),
        valid_slice_with_cache=float(surface["perplexity"].min()),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of {ROUND:,} tokens each")
    parser.add_argument("--most", type=int, help="score this many tokens of a split (a trial)")
    parser.add_argument("--no-scores", action="store_true", help="stop before the test split")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    began = time.time()
    (args.out / "states").mkdir(parents=True, exist_ok=True)

    def say(*text):
        print(f"{time.time() - began:.0f} s:", *text, flush=True)

    corpus = load_corpus("wikitext-2")
    configs = shapes(len(corpus.vocab))
    rates = sweep(args.out, corpus, configs, say)
    train(args.out, corpus, configs, rates, args.rounds, say)
    if args.no_scores:
        return
    history = pd.DataFrame(read_table(args.out / "history.csv"))
    result = dict(
        families={},
        tokens=int(history["tokens"].max()),
        protocol=f"{STREAM_PROTOCOL}; averaged weights",
        curve_on=f"the first {SLICE - 1:,} targets of the validation split",
        cache_tuned_on=f"the first {CACHE_SLICE - 1:,} targets of the validation split",
        round_tokens=ROUND,
        warm_up_steps=WARM_UP,
        averaging=dict(eta=ETA, every=EVERY),
        corpus=corpus.note,
        **provenance(torch.device("cpu"), SEED),
    )
    result["command"] = shlex.join(["python", "-m", "tests.benchmarks.record_budget", *sys.argv[1:]])
    for name, config in configs.items():
        with torch.device("meta"):
            size = parameter_count(build_model(config, len(corpus.vocab)))
        result["families"][name] = dict(
            parameters=size,
            beside_embedding=size - len(corpus.vocab) * (WIDTH + 1),
            model=config_to_dict(config),
            training=dict(
                optimizer=rates[name][0], lr=rates[name][1], clip=CLIP[rates[name][0]], bptt=35, batch_size=20
            ),
            seconds=float(history.loc[history["family"] == name, "seconds"].max()),
            **scores(args.out, corpus, name, config, rates[name], args.rounds, args.most),
        )
        say(name, result["families"][name]["plain"]["perplexity"], result["families"][name]["with_cache"]["perplexity"])
    write_atomically(args.out / "result.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
