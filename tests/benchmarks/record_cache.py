"""Record what the cache and dynamic evaluation do for a trained run: the figures of chapter 07.

    LMTUTOR_DATA=FOLDER python tests/benchmarks/record_cache.py RUN OUT

Everything is chosen on the validation split; the test split is scored once for each of the four protocols. Into the
folder OUT go

* ``cache.csv``: the validation perplexity of every window, θ and λ tried;
* ``dynamic.csv``: that of every learning rate and decay tried, on the first 30,000 tokens of the validation split;
* ``words.csv``: for each type of the test split, how often it occurs and how many nats the cache saves on it;
* ``attention.csv``: the cache's weights over its window, for one token of the test split; words are named for the
  heaviest ones alone;
* ``result.json``: the scores, the settings, the misleading short run of chapter 07, and what made all this.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lmtutor.adapt import STATISTICS_BATCHES
from lmtutor.cache import NeuralCache, tune_cache
from lmtutor.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.evaluate import device_of, evaluate, stretches
from lmtutor.runs import find_run, provenance, score_dict

WINDOWS = (100, 250, 500, 1000, 2000, 4000)
THETAS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.66, 1.0)
LAMS = (0.0, 0.03, 0.06, 0.09, 0.13, 0.17, 0.22, 0.28)
RATES, DECAYS = (3e-5, 1e-4, 3e-4), (0.0, 0.005, 0.02)
SLICE = 30_000  # tokens on which learning rate and decay are chosen, as in the authors' quick search
SHORT = dict(window=2, theta=0.662, lam=0.1279)  # the setting of a published tutorial's run over 2,000 tokens


@torch.no_grad()
def per_token(model, ids):
    """Log-probability of every token but the first, (N − 1,) nats."""
    pieces, state = [], model.initial_state(1)
    for batch in stretches(ids):
        log_probs, state = model.target_log_probs(batch.inputs, batch.targets, state)
        pieces.append(log_probs[:, 0].double())
    return torch.cat(pieces).numpy()


@torch.no_grad()
def attention(model, ids, position, settings):
    """The cache's weights when the token at `position` is asked for: distance back, weight, id of the word."""
    start = max(0, position - 2 * settings["window"])  # the state before it has long been forgotten
    hidden, _ = model(ids[start:position, None], model.initial_state(1))
    keys = hidden[:, 0][-1 - settings["window"] :]
    weights = torch.softmax(settings["theta"] * (keys[:-1] @ keys[-1]), 0).numpy()
    words = ids[position - len(weights) : position].numpy()
    return pd.DataFrame(dict(back=np.arange(len(weights), 0, -1), weight=weights, id=words))


def example(words, plain, cached, window):
    """A telling token: a capitalised word, often in the window, on which the cache saves most."""
    best, found = 0.0, None
    for i in np.argsort(plain - cached)[:2000] + 1:
        often = words[max(0, i - window) : i].count(words[i])
        if i > window and words[i][0].isupper() and often >= 10 and cached[i - 1] - plain[i - 1] > best:
            best, found = cached[i - 1] - plain[i - 1], int(i)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder with its checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--most", type=int, help="read this many tokens of each split (a trial)")
    args = parser.parse_args()
    began, run = time.time(), find_run(args.run)
    model, _ = run.load()
    corpus = run.recipe.load_corpus()
    splits = {name: corpus.split(name)[: args.most] for name in ("valid", "test")}
    args.out.mkdir(parents=True, exist_ok=True)

    surface, best = tune_cache(model, splits["valid"], WINDOWS, THETAS, LAMS)
    surface.to_csv(args.out / "cache.csv", index=False, float_format="%.6g")
    print(f"{time.time() - began:.0f} s: {best}", flush=True)
    cache = NeuralCache(model, **best)

    rms = gradient_rms(model, corpus.train, batches=STATISTICS_BATCHES)
    rows = []
    for lr in RATES:
        for decay in DECAYS:
            score = dynamic_evaluate(model, splits["valid"][:SLICE], rms, lr=lr, decay=decay)
            rows.append((lr, decay, score.nats_per_token, score.perplexity))
            print(f"{time.time() - began:.0f} s: {rows[-1]}", flush=True)
    dynamic = pd.DataFrame(rows, columns=["lr", "decay", "nats_per_token", "perplexity"])
    dynamic.to_csv(args.out / "dynamic.csv", index=False, float_format="%.6g")
    moving = {k: float(dynamic.loc[dynamic["perplexity"].idxmin(), k]) for k in ("lr", "decay")}

    scores, seconds, protocols = {}, {}, {}
    for name, score in {
        "plain": lambda ids, n: evaluate(model, ids, characters=n),
        "cache": lambda ids, n: evaluate(cache, ids, characters=n),
        "dynamic": lambda ids, n: dynamic_evaluate(model, ids, rms, **moving, characters=n),
        "dynamic+cache": lambda ids, n: dynamic_evaluate(cache, ids, rms, **moving, characters=n),
    }.items():
        for split, ids in splits.items():
            start = time.time()
            one = score(ids, corpus.characters[split])
            seconds.setdefault(name, {})[split] = round(time.time() - start, 1)
            scores.setdefault(name, {})[split] = score_dict(one)
            protocols[name] = one.protocol
            print(f"{time.time() - began:.0f} s: {name} {split} {one}", flush=True)

    words = corpus.vocab.decode(splits["test"].tolist())
    plain, cached = per_token(model, splits["test"]), per_token(cache, splits["test"])
    saved = pd.DataFrame(dict(word=words[1:], saved=cached - plain))
    table = saved.groupby("word")["saved"].agg(["size", "sum"]).sort_values("sum")
    table.columns = ["tokens", "nats_saved"]
    table.to_csv(args.out / "words.csv", float_format="%.5g")

    position = example(words, plain, cached, best["window"])
    weights = attention(model, splits["test"], position, best)
    weights["same"] = weights["id"] == int(splits["test"][position])
    heavy = weights["weight"].rank(ascending=False) <= 12
    named = corpus.vocab.decode(weights.pop("id").tolist())
    weights["word"] = [word if keep else "" for word, keep in zip(named, heavy, strict=True)]
    weights.to_csv(args.out / "attention.csv", index=False, float_format="%.5g")

    first, short = splits["valid"][:2001], NeuralCache(model, **SHORT)
    result = dict(
        run=run.recipe.name,
        cache=best,
        dynamic=moving,
        scores=scores,
        protocols=protocols,
        seconds=seconds,
        example=dict(
            position=position, word=words[position], plain=plain[position - 1], with_cache=cached[position - 1]
        ),
        short=dict(
            settings=SHORT,
            first_2000=dict(
                plain=evaluate(model, first).perplexity,
                cache=evaluate(short, first).perplexity,
                tuned=evaluate(cache, first).perplexity,
            ),
            whole_split=dict(cache=evaluate(short, splits["valid"]).perplexity),
        ),
        corpus=corpus.note,
        wall_seconds=round(time.time() - began),
        **provenance(device_of(model), run.recipe.training.seed),
    )
    result["command"] = "python tests/benchmarks/record_cache.py RUN OUT"
    (args.out / "result.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
