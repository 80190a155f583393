"""Record what the cache and dynamic evaluation do for a trained run: the figures of chapter 07.

    LMTUTOR_DATA=FOLDER python -m tests.benchmarks.record_cache RUN OUT

Everything is chosen on the validation split; the test split is scored once for each of the four protocols. Into the
folder OUT go

* ``cache.csv``: the validation perplexity of every window, θ and λ tried;
* ``dynamic.csv``: that of every learning rate and decay tried, on the beginning of the validation split;
* ``words.csv``: for each type of the test split, how often it occurs and how many nats the cache saves on it;
* ``attention.csv``: the cache's weights over its window, for one token of the test split; words are named for the
  heaviest ones alone;
* ``result.json``: the scores, the settings, the misleading short run of chapter 07, and what made all this. It is
  written after the cache and again after dynamic evaluation, which takes most of the time.
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lmtutor.runs.provenance import provenance
from lmtutor.runs.run import find_run, score_dict
from lmtutor.runs.tuning import STATISTICS_BATCHES
from lmtutor.scoring.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.scoring.neural_cache import NeuralCache, tune_cache
from lmtutor.scoring.score import STREAM_PROTOCOL, Score, device_of, evaluate, stretches

WINDOWS = (100, 500, 1000, 2000, 4000, 8000)
THETAS = (0.0, 0.2, 0.4, 0.66, 1.0, 1.5, 2.0)
LAMS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
SEGMENT = 60  # tokens between two steps: three times faster than the published 20, for a little less
RATES, DECAYS = (1e-4, 2e-4, 3e-4, 5e-4), (0.0, 0.005)
SLICE = 12_000  # tokens on which learning rate and decay are chosen
SHORT = dict(window=2, theta=0.662, lam=0.1279)  # the setting of a published tutorial's run over 2,000 tokens
BEFORE = 12_000  # tokens read before the example, so that window and state are full


@torch.no_grad()
def both(cache, ids):
    """Log-probability of every token but the first, (N − 1,) nats: the model's and the cache's, in one reading."""
    plain, mixed, state, history = [], [], cache.model.initial_state(1), None
    for batch in stretches(ids):
        hidden, state = cache.model(batch.inputs, state)
        plain.append(cache.model.head.target_log_probs(hidden, batch.targets))
        log_probs, history = cache.mix(plain[-1], hidden, batch.inputs, batch.targets, history)
        mixed.append(log_probs)
    return torch.cat(plain)[:, 0].double().numpy(), torch.cat(mixed)[:, 0].double().numpy()


@torch.no_grad()
def attention(model, ids, position, settings):
    """The cache's weights when the token at `position` is asked for: distance back, weight, id of the word."""
    hidden, _ = model(ids[max(0, position - BEFORE) : position, None], model.initial_state(1))
    keys = hidden[:, 0][-1 - settings["window"] :]
    weights = torch.softmax(settings["theta"] * (keys[:-1] @ keys[-1]), 0).numpy()
    words = ids[position - len(weights) : position].numpy()
    return pd.DataFrame(dict(back=np.arange(len(weights), 0, -1), weight=weights, id=words))


def example(model, ids, words, plain, cached, settings):
    """A telling token: of the capitalised words that stand ten times in the window, and of which no single place takes
    more than a quarter of the weight, the one that gains most. Its position, and its row of weights."""
    window = settings["window"]
    for i in (np.argsort(plain - cached) + 1).tolist():
        if i > window and words[i][0].isupper() and words[i - window : i].count(words[i]) >= 10:
            weights = attention(model, ids, i, settings)
            if weights["weight"].max() <= 0.25:
                return i, weights
    raise SystemExit("The text has no such word.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder with its checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--most", type=int, help="read this many tokens of each split (a trial)")
    args = parser.parse_args()
    began, run = time.time(), find_run(args.run)
    model, vocab = run.load()
    corpus = run.load_corpus(vocab)
    valid, test = corpus.valid[: args.most], corpus.test[: args.most]
    args.out.mkdir(parents=True, exist_ok=True)

    def say(*text):
        print(f"{time.time() - began:.0f} s:", *text, flush=True)

    def score(split, nats, tokens):
        return score_dict(Score(float(nats), tokens, None if args.most else corpus.characters[split]))

    surface, best = tune_cache(model, valid, WINDOWS, THETAS, LAMS)
    surface.to_csv(args.out / "cache.csv", index=False, float_format="%.6g")
    cache = NeuralCache(model, **best)
    say(best)
    alone, tuned = surface.loc[surface["lam"] == 0, "nats_per_token"].min(), surface["nats_per_token"].min()
    plain, cached = both(cache, test)
    n = len(valid) - 1
    scores = {
        "plain": {"valid": score("valid", alone * n, n), "test": score("test", -plain.sum(), len(plain))},
        "cache": {"valid": score("valid", tuned * n, n), "test": score("test", -cached.sum(), len(plain))},
    }
    say({name: {split: one["perplexity"] for split, one in parts.items()} for name, parts in scores.items()})

    words = corpus.vocab.decode(test.tolist())
    saved = pd.DataFrame(dict(word=words[1:], saved=cached - plain))
    table = saved.groupby("word")["saved"].agg(["size", "sum"]).sort_values("sum")
    table.columns = ["tokens", "nats_saved"]
    table.to_csv(args.out / "words.csv", float_format="%.5g")

    at, weights = example(model, test, words, plain, cached, best)
    weights["same"] = weights["id"] == int(test[at])
    heavy = weights["weight"].rank(ascending=False) <= 12
    named = corpus.vocab.decode(weights.pop("id").tolist())
    weights["word"] = [word if keep else "" for word, keep in zip(named, heavy, strict=True)]
    weights.to_csv(args.out / "attention.csv", index=False, float_format="%.5g")

    first, short = valid[:2001], NeuralCache(model, **SHORT)
    _, shortened = both(short, valid)
    result = dict(
        run=run.result["recipe"],
        cache=best,
        scores=scores,
        protocols={"plain": STREAM_PROTOCOL, "cache": f"{STREAM_PROTOCOL}; {cache.protocol}"},
        example=dict(position=at, word=words[at], plain=float(plain[at - 1]), with_cache=float(cached[at - 1])),
        short=dict(
            settings=SHORT,
            first_2000={
                name: evaluate(scored, first).perplexity
                for name, scored in (("plain", model), ("cache", short), ("tuned", cache))
            },
            whole_split=dict(cache=float(np.exp(-shortened.mean()))),
        ),
        corpus=corpus.note,
        **provenance(device_of(model), run.recipe.training.seed),
    )
    result["command"] = shlex.join(["python", "-m", "tests.benchmarks.record_cache", *sys.argv[1:]])

    def write():
        result["wall_seconds"] = round(time.time() - began)
        text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
        (args.out / "result.json").write_text(text, encoding="utf-8")

    write()
    say(result["short"], result["example"])

    rms = gradient_rms(model, corpus.train, batches=STATISTICS_BATCHES)
    say("gradient statistics")
    rows = []
    for lr in RATES:
        for decay in DECAYS:
            one = dynamic_evaluate(model, valid[:SLICE], rms, lr=lr, decay=decay, segment=SEGMENT)
            rows.append((lr, decay, one.nats_per_token, one.perplexity))
            say(rows[-1])
    dynamic = pd.DataFrame(rows, columns=["lr", "decay", "nats_per_token", "perplexity"])
    dynamic.to_csv(args.out / "dynamic.csv", index=False, float_format="%.6g")
    rates = {k: float(dynamic.loc[dynamic["perplexity"].idxmin(), k]) for k in ("lr", "decay")}
    result["dynamic"] = dict(**rates, segment=SEGMENT, tuned_on=f"the first {SLICE:,} tokens of the validation split")
    for split, ids in (("test", test), ("valid", valid)):
        for name, scored in (("dynamic", model), ("dynamic+cache", cache)):
            one = dynamic_evaluate(scored, ids, rms, **rates, segment=SEGMENT)
            scores.setdefault(name, {})[split] = score(split, one.nats, one.tokens)
            result["protocols"][name] = one.protocol
            say(name, split, one)
            write()


if __name__ == "__main__":
    main()
