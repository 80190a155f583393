"""Record six families of language models under one budget: the comparison of chapter 08; with --states, of chapter 09.

    LMTUTOR_DATA=FOLDER OMP_NUM_THREADS=1 python -m tests.benchmarks.record_budget CORPUS --out FOLDER [--states]

Vanilla RNN, GRU, LSTM, AWD-LSTM, QRNN and Transformer, each with as many parameters as the Transformer has, are trained
on a corpus: on WikiText-2 for up to one epoch, on baker-street for three. Each family starts with several optimizers
and learning rates, in turn, a round of tokens each; after some rounds the best goes on, with ``--seeds`` several times.
After every round the model is scored on a slice of the validation split, so that one training tells both the perplexity
after so many tokens and after so many seconds. With ``--states`` there are three families more, four settings for each
of the nine, and no cache; the choice falls after half of the rounds.

For such a curve to be fair at each of its points, no point may depend on when the training will end. So the learning
rate is constant after a warm-up, and what is scored are *averaged* weights, over about the last ninth of the steps
taken so far (polynomial decay averaging, Shamir and Zhang 2013). Seconds are those of the processor, on one thread,
without the scoring: other work on the machine hardly counts.

Into FOLDER go

* ``history.csv``: a row a family, setting, seed and round; ``seconds`` of training, ``nats_per_token`` on the slice;
* ``classes.csv``: with ``--states``, a row a family, seed and class of word of the test split, and for the grammar;
* ``result.json``: shapes, settings, scores of the test split with and without the cache, and what made all this;
* ``states/``: what is needed to go on. The same command goes on where it stopped; ``--rounds`` sets another end.
"""

import argparse
import dataclasses
import itertools
import json
import shlex
import sys
import time
from pathlib import Path

import pandas as pd
import torch

from lmtutor.baker_street.rules import POOLS
from lmtutor.baker_street.truth import true_log_probs
from lmtutor.models import build_model
from lmtutor.models.attention import TransformerConfig
from lmtutor.models.awd import AWDConfig
from lmtutor.models.cells import hidden_for, parameter_count
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.models.registry import config_to_dict
from lmtutor.runs.provenance import provenance
from lmtutor.runs.run import score_dict
from lmtutor.scoring.neural_cache import NeuralCache, tune_cache
from lmtutor.scoring.score import STREAM_PROTOCOL, Score, evaluate, stream_log_probs
from lmtutor.system.files import write_atomically
from lmtutor.system.machine import keep_freed_memory
from lmtutor.text.batches import cut_batches
from lmtutor.text.corpora import load_corpus
from lmtutor.training.checkpoint import load_state, load_tensors, model_tensors, save_state
from lmtutor.training.config import TrainConfig
from lmtutor.training.session import Session
from tests.benchmarks.record_cache import both


@dataclasses.dataclass(frozen=True)
class Plan:
    """What depends on the corpus."""

    model: TransformerConfig  # whose width and number of parameters all families share
    round: int  # tokens
    rounds: int
    trial_rounds: int  # after which only the best setting of each family goes on
    slice: int  # tokens of the validation split, for the curve
    cache_slice: int  # and to tune the cache
    windows: tuple[int, ...]  # of the cache, to try


DROPOUT, SEED = 0.1, 1
PLANS = {
    "wikitext-2": Plan(
        TransformerConfig(96, 576, layers=4, heads=3, dropout=DROPOUT), 140 * 700, 22, 6, 12_001, 40_001, (500, 2000)
    ),
    "baker-street": Plan(
        TransformerConfig(64, 128, layers=2, heads=4, dropout=DROPOUT), 60 * 700, 14, 14, 6_001, 20_001, (100, 400)
    ),
}
WARM_UP, ETA, EVERY = 50, 8, 5  # steps; the averaging's parameter; steps between two weights that enter it
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
TRIALS = {  # optimizers and learning rates
    "vanilla RNN": (("sgd", 2.5), ("sgd", 5.0), ("adam", 4e-3)),
    "GRU": (("sgd", 10.0), ("sgd", 20.0), ("adam", 4e-3)),
    "LSTM": (("sgd", 20.0), ("sgd", 40.0), ("adam", 4e-3)),
    "AWD-LSTM": (("sgd", 20.0), ("sgd", 40.0), ("adam", 4e-3)),
    "QRNN": (("sgd", 20.0), ("sgd", 40.0), ("adam", 4e-3)),
    "Transformer": (("sgd", 5.0), ("adam", 2e-3), ("adam", 4e-3)),
}
SGD = {name: tuple(rate for rule, rate in settings if rule == "sgd") for name, settings in TRIALS.items()}
SGD |= {"minGRU": SGD["GRU"], **dict.fromkeys(("Transformer", "gated linear attention", "delta rule"), (5.0, 10.0))}
STATES_TRIALS = {  # chapter 09: four for each
    name: (*(("sgd", rate) for rate in rates), ("adam", 2e-3), ("adam", 4e-3)) for name, rates in SGD.items()
}
CLASSES = {"client a b c": "surnames", "thing": "the stolen thing", "place": "the house", "clue": "the clue"}
CLASSES |= {"det": "the detective"}


def shapes(types: int, plan: Plan, states: bool = False) -> dict:
    """The config of each family: as many parameters as the Transformer has, or a few less.

    Those of chapter 08, and with `states` those that chapter 09 sets beside them.
    """
    width = plan.model.embedding
    configs = {
        "vanilla RNN": RecurrentConfig("rnn-tanh", width, width, 2, DROPOUT),
        "GRU": RecurrentConfig("gru", width, width, 2, DROPOUT),
        "LSTM": RecurrentConfig("lstm", width, width, 2, DROPOUT),
        "AWD-LSTM": AWDConfig("lstm", width, width, 3, **MILD),
        "QRNN": AWDConfig("qrnn", width, width, 4, **MILD_QRNN),
    }
    if states:
        configs |= {
            "Transformer": plan.model,
            "minGRU": RecurrentConfig("min-gru", width, width, 2, DROPOUT),
            "gated linear attention": dataclasses.replace(plan.model, mixer="gated", heads=2, units=width // 2),
            "delta rule": dataclasses.replace(plan.model, mixer="delta", heads=2, units=width // 2),
        }
    with torch.device("meta"):
        budget = parameter_count(build_model(plan.model, types))
    for name, config in configs.items():
        units = hidden_for(lambda h, c=config: build_model(dataclasses.replace(c, hidden=h), types), budget)
        configs[name] = dataclasses.replace(config, hidden=units)
    return configs if states else {**configs, "Transformer": plan.model}


class Student:
    """A model in training: a `Session` for the steps, and beside it the average of the weights."""

    def __init__(self, config, corpus, optimizer: str, lr: float, seed: int = SEED):
        torch.manual_seed(seed)
        model = build_model(config, corpus.vocab)
        training = TrainConfig(
            optimizer=optimizer, lr=lr, clip=CLIP[optimizer], schedule="constant", bptt=35, batch_size=20, seed=seed
        )
        self.trainer, self.seed = Session(model, corpus, training), seed
        self.average = {key: value.clone() for key, value in model_tensors(model).items()}
        self.step, self.tokens, self.seconds, self.averaged = 0, 0, 0.0, 0

    def read(self, tokens: int) -> None:
        """Train on so many more tokens."""
        trainer = self.trainer
        torch.manual_seed(self.seed * 1_000_003 + self.step)  # the same dropout, resumed or not
        trainer.model.train()
        goal = self.tokens + tokens
        for batch in itertools.islice(self.batches(), self.step, None):
            began = time.process_time()
            trainer.schedule.scale = min(1.0, (self.step + 1) / WARM_UP)
            trainer.train_step(batch, 0.0)
            self.step += 1
            self.tokens += batch.targets.numel()
            if self.step % EVERY == 0:
                self.take_into_average()
            self.seconds += time.process_time() - began
            if self.tokens >= goal:
                return

    def batches(self):
        """Epoch after epoch, the state carried within each."""
        while True:
            yield from cut_batches(self.trainer.ids, self.trainer.corpus.vocab, **self.trainer.config.cutting)

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


def state_path(out: Path, name: str, optimizer: str, lr: float, seed: int, number: int) -> Path:
    return out / "states" / f"{name.lower().replace(' ', '-')}-{optimizer}-{lr:g}-seed-{seed}-{number}.safetensors"


def write_table(path: Path, rows: list[dict]) -> None:
    write_atomically(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode())


def read_table(path: Path) -> list[dict]:
    return pd.read_csv(path).to_dict("records") if path.is_file() else []


def best_settings(rows: list[dict], number: int) -> dict[str, tuple[str, float]]:
    """Optimizer and learning rate of each family's best setting in a round, with the first seed."""
    table = pd.DataFrame(rows)
    table = table[(table["round"] == number) & (table["seed"] == SEED)]
    best = table.loc[table.groupby("family")["nats_per_token"].idxmin()]
    return {row["family"]: (row["optimizer"], row["lr"]) for row in best.to_dict("records")}


def train(out: Path, corpus, plan: Plan, configs: dict, trials: dict, rounds: int, seeds: int, say) -> dict:
    """Let every family read a round with each setting, then the next; then the best to the end, with every seed."""
    rows = read_table(out / "history.csv")
    columns = ("family", "optimizer", "lr", "seed", "round")
    done = {tuple(row[column] for column in columns) for row in rows}

    def read_round(name, setting, seed, number):
        if (name, *setting, seed, number) in done:
            return
        student, before = (
            Student(configs[name], corpus, *setting, seed),
            state_path(out, name, *setting, seed, number - 1),
        )
        if number > 1:
            student.restore(before)
        student.read(plan.round)
        score = student.score(corpus.valid[: plan.slice])
        student.save(state_path(out, name, *setting, seed, number))
        row = dict(zip(columns, (name, *setting, seed, number), strict=True))
        row |= dict(tokens=student.tokens, seconds=student.seconds)
        rows.append(row | dict(nats_per_token=score.nats_per_token, perplexity=score.perplexity))
        done.add((name, *setting, seed, number))
        write_table(out / "history.csv", rows)
        before.unlink(missing_ok=True)
        say(rows[-1])

    tried = min(plan.trial_rounds, rounds)
    for number, name in itertools.product(range(1, tried + 1), configs):
        for setting in trials[name]:
            read_round(name, setting, SEED, number)
    rates = best_settings(rows, tried)
    for seed, name, number in itertools.product(range(1, seeds + 1), configs, range(1, rounds + 1)):
        read_round(name, rates[name], seed, number)
    return rates


def trained(out: Path, corpus, plan: Plan, name: str, config, rate: tuple, seed: int, rounds: int):
    """The model of a finished training, with its averaged weights; read once more where its state was not kept."""
    student, path = Student(config, corpus, *rate, seed), state_path(out, name, *rate, seed, rounds)
    if path.is_file():
        student.restore(path)
    else:
        for _ in range(rounds):
            student.read(plan.round)
        student.save(path)
    load_tensors(student.trainer.model, student.average)
    return student.trainer.model.eval()


def scores(model, corpus, plan: Plan, most: int | None) -> dict:
    """Tune the cache on the validation split, then score the test split with and without it."""
    surface, best = tune_cache(model, corpus.valid[: plan.cache_slice][:most], plan.windows, THETAS, LAMS)
    test = corpus.test[:most]
    plain, cached = both(NeuralCache(model, **best), test)
    n = len(test) - 1
    return dict(
        cache=best,
        plain=score_dict(Score(-float(plain.sum()), n)),
        with_cache=score_dict(Score(-float(cached.sum()), n)),
        valid_slice_with_cache=float(surface["perplexity"].min()),
    )


def by_class(log_probs, corpus) -> list[dict]:
    """Nats and tokens of each class of word of the test split: what a story keeps to, and all other words."""
    words = corpus.vocab.decode(corpus.test.tolist())
    classes = {word: CLASSES[kind] for kind, pool in POOLS if kind in CLASSES for word in pool.split()}
    table = pd.DataFrame({"class": [classes.get(word, "all other words") for word in words[1:]], "nats": -log_probs})
    return table.groupby("class")["nats"].agg(tokens="size", nats="sum").reset_index().to_dict("records")


def write_classes(out: Path, corpus, plan: Plan, configs: dict, rates: dict, seeds: int, rounds: int, say) -> None:
    """Score the test split with every seed of every family, class by class, and with the grammar itself."""
    words = corpus.vocab.decode(corpus.test.tolist())
    rows = read_table(out / "classes.csv")
    if not rows:
        rows = [dict(family="the grammar", seed=0, **row) for row in by_class(true_log_probs(words)[1:], corpus)]
    done = {(row["family"], row["seed"]) for row in rows}
    for seed, name in itertools.product(range(1, seeds + 1), configs):
        if (name, seed) not in done:
            model = trained(out, corpus, plan, name, configs[name], rates[name], seed, rounds)
            found = by_class(stream_log_probs(model, corpus.test).numpy(), corpus)
            rows += [dict(family=name, seed=seed, **row) for row in found]
            write_table(out / "classes.csv", rows)
            say(name, seed, f"{sum(row['nats'] for row in found) / sum(row['tokens'] for row in found):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", choices=PLANS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--states", action="store_true", help="the families of chapter 09")
    parser.add_argument("--seeds", type=int, default=1, help="of each family's best setting")
    parser.add_argument("--rounds", type=int, help="fewer, or more, than planned")
    parser.add_argument("--most", type=int, help="score this many tokens of a split (a trial)")
    parser.add_argument("--no-scores", action="store_true", help="stop before the test split")
    args = parser.parse_args()
    plan = PLANS[args.corpus]
    rounds = args.rounds or plan.rounds
    torch.set_num_threads(1)
    keep_freed_memory()
    began = time.time()
    (args.out / "states").mkdir(parents=True, exist_ok=True)

    def say(*text):
        print(f"{time.time() - began:.0f} s:", *text, flush=True)

    corpus = load_corpus(args.corpus)
    configs = shapes(len(corpus.vocab), plan, args.states)
    trials = STATES_TRIALS if args.states else TRIALS
    if args.states:
        plan = dataclasses.replace(plan, trial_rounds=plan.rounds // 2)
    rates = train(args.out, corpus, plan, configs, trials, rounds, args.seeds, say)
    if args.no_scores:
        return
    if args.states:
        write_classes(args.out, corpus, plan, configs, rates, args.seeds, rounds, say)
    history = pd.DataFrame(read_table(args.out / "history.csv"))
    result = dict(
        families={},
        tokens=int(history["tokens"].max()),
        protocol=f"{STREAM_PROTOCOL}; averaged weights",
        curve_on=f"the first {min(plan.slice, len(corpus.valid)) - 1:,} targets of the validation split",
        cache_tuned_on=f"the first {min(plan.cache_slice, len(corpus.valid)) - 1:,} targets of the validation split",
        round_tokens=plan.round,
        trial_rounds=min(plan.trial_rounds, rounds),
        settings={name: [" ".join(map(str, setting)) for setting in trials[name]] for name in configs},
        seeds=args.seeds,
        entropy=corpus.entropy,
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
            beside_embedding=size - len(corpus.vocab) * (plan.model.embedding + 1),
            model=config_to_dict(config),
            training=dict(
                optimizer=rates[name][0], lr=rates[name][1], clip=CLIP[rates[name][0]], bptt=35, batch_size=20
            ),
            seconds=float(
                history.loc[(history["family"] == name) & (history["lr"] == rates[name][1]), "seconds"].max()
            ),
        )
        if not args.states:
            model = trained(args.out, corpus, plan, name, config, rates[name], SEED, rounds)
            result["families"][name] |= scores(model, corpus, plan, args.most)
        say(name, result["families"][name])
    write_atomically(args.out / "result.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
