"""Record the Penn Treebank figures that chapter 01 shows, in `data/runs/benchmark-ngram/result.json`.

    LMTUTOR_DATA=FOLDER python tests/benchmarks/record_ngram.py
    LMTUTOR_DATA=FOLDER python tests/benchmarks/record_ngram.py --wikitext-2

Every test token but the first is scored, `<eos>` at each line end included. About two minutes on one core. The second
call scores WikiText-2 with orders 1 to 6, for the introduction's road, and with order 5 both splits, for the results
page: `data/runs/wikitext-2/ngram/result.json`.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch

from lmtutor.models.ngram import NGramLM
from lmtutor.runs.provenance import provenance
from lmtutor.text.corpora import load_corpus

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.sentence_starts import count, perplexity  # noqa: E402

RUNS = Path(__file__).resolve().parents[2] / "data" / "runs"
PUBLISHED = {3: 148.3, 5: 141.2}  # modified Kneser-Ney, no cut-offs: see data/published
NLTK_TRAIN, NLTK_SCORE = 50_000, 400


def seconds(work):
    """Run `work`; return its result and the processor seconds it took, which other work on the machine leaves alone."""
    start = time.process_time()
    return work(), time.process_time() - start


def with_plain_counts(model: NGramLM, ids) -> NGramLM:
    """Give the lower orders of a fitted Kneser-Ney model their occurrences instead of their continuations."""
    plain = NGramLM(model.order, "mle", boundary=model.boundary).fit(ids, model.vocab_size)
    for k, order in enumerate(plain.orders[:-1], start=1):
        model.orders[k - 1] = model._order(k, order.keys, order.counts, len(order.totals))
    return model


def score(label: str, corpus, *, plain_counts: bool = False, split: str = "test", **options) -> dict:
    """Fit on the training split and score; a row of the table."""
    model, fit_seconds = seconds(lambda: NGramLM(**options).fit(corpus.train, len(corpus.vocab)))
    if plain_counts:
        model = with_plain_counts(model, corpus.train)
    log_p, score_seconds = seconds(lambda: model.score(corpus.split(split)))
    row = dict(
        what=label,
        order=options["order"],
        perplexity=math.exp(-log_p.mean()),
        nats=-float(log_p.sum()),
        tokens=len(log_p),
        fit_seconds=round(fit_seconds, 3),
        score_seconds=round(score_seconds, 3),
    )
    print(f"{label:<56}{row['perplexity']:>9.2f}{fit_seconds:>7.2f} s{score_seconds:>7.2f} s", flush=True)
    return row


def steps(corpus) -> list[dict]:
    """From plain absolute discounting to what the classic toolkit does, one change at a time."""
    eos = corpus.vocab.eos_id
    single, three = dict(order=5, smoothing="kneser-ney"), dict(order=5, smoothing="modified-kneser-ney")
    cut_offs = (1, 1, 2, 2, 2)
    return [
        score("one discount an order, lower orders count occurrences", corpus, plain_counts=True, **single),
        score("lower orders count continuations (Kneser-Ney)", corpus, **single),
        score("three discounts an order (modified Kneser-Ney)", corpus, **three),
        score("a history begins at its sentence", corpus, boundary=eos, **three),
        score("3-, 4- and 5-grams seen once are cut", corpus, boundary=eos, min_counts=cut_offs, **three),
    ]


def fixed_discounts(corpus) -> list[dict]:
    """Kneser-Ney with one number for every order: a usual default, and the best on the validation split."""

    def one(d: float, split: str) -> dict:
        return score(f"D = {d:.2f} at every order, {split}", corpus, split=split, order=5, discount=d)

    tuned = min((0.80, 0.85, 0.90, 0.95), key=lambda d: one(d, "valid")["perplexity"])
    return [one(0.75, "test"), one(tuned, "test")]


def sentence_starts(corpus) -> list[dict]:
    """Order 5 with one and with three discounts, by what stands before a sentence."""
    eos, rows = corpus.vocab.eos_id, []
    for what, boundary in (("nothing: histories run across the line end", None), ("one start symbol", eos)):
        models = [dict(order=5, smoothing=f"{kind}kneser-ney", boundary=boundary) for kind in ("", "modified-")]
        rows.append([what, *(score(what, corpus, **options)["perplexity"] for options in models)])
    splits = []
    for ids in (corpus.train, corpus.test):
        ends = (torch.nonzero(ids == eos)[:-1, 0] + 1).tolist()
        splits.append([part.tolist() for part in ids.tensor_split(ends)])
    for what, keep in (
        ("four start symbols, counted as all else", False),
        ("four start symbols, whose n-grams keep their occurrences", True),
    ):
        used = count(splits[0], 5, 4, keep)
        found = [perplexity(used, splits[1], len(corpus.vocab), 4, three)[0] for three in (False, True)]
        print(what, *(f"{value:.2f}" for value in found), flush=True)
        rows.append([what, *found])
    return [dict(zip(("what", "one", "three"), row, strict=True)) for row in rows]


def by_order(corpus) -> list[dict]:
    """The modified model at orders 1 to 6."""
    options = dict(smoothing="modified-kneser-ney", boundary=corpus.vocab.eos_id)
    return [score(f"order {n}", corpus, order=n, **options) for n in range(1, 7)]


def by_split(corpus) -> dict:
    """The modified model of order 5 on validation and test, with and without the targets that are <unk>."""
    model = NGramLM(5, "modified-kneser-ney", boundary=corpus.vocab.eos_id).fit(corpus.train, len(corpus.vocab))
    rows = {}
    for split in ("valid", "test"):
        nats, known = -model.score(corpus.split(split)), (corpus.split(split)[1:] != corpus.vocab.unk_id).numpy()
        rows[split] = dict(
            unknown=1 - float(known.mean()), perplexity=math.exp(nats.mean()), known_only=math.exp(nats[known].mean())
        )
    return rows


def against_nltk(corpus) -> dict:
    """Scoring rates on the same words; nltk is slow, so it gets the first tokens of the corpus only."""
    from nltk.lm import KneserNeyInterpolated
    from nltk.util import everygrams

    train, test = corpus.train[:NLTK_TRAIN], corpus.train[NLTK_TRAIN - 4 : NLTK_TRAIN + NLTK_SCORE]
    known = torch.isin(test, train)
    test = torch.where(known, test, corpus.vocab.unk_id)
    words, asked = corpus.vocab.decode(train.tolist()), corpus.vocab.decode(test.tolist())
    theirs = KneserNeyInterpolated(5, discount=0.75)
    theirs.fit([list(everygrams(words, max_len=5))], words)
    spans = [(asked[i], tuple(asked[i - 4 : i])) for i in range(4, len(asked))]
    their_p, their_seconds = seconds(lambda: [theirs.score(w, h) for w, h in spans])
    ours = NGramLM(5, discount=[0, 0.75, 0.75, 0.75, 0.75]).fit(train, len(corpus.vocab))
    _, our_seconds = seconds(lambda: ours.score(corpus.test))
    difference = (torch.tensor(their_p) - torch.from_numpy(ours.score(test)[3:]).exp()).abs().max()
    rates = dict(nltk=len(spans) / their_seconds, ours=(len(corpus.test) - 1) / our_seconds)
    print({k: round(v) for k, v in rates.items()}, "ratio", round(rates["ours"] / rates["nltk"]))
    return dict(
        what=f"order 5, D = 0.75, fitted on {NLTK_TRAIN:,} tokens of Penn Treebank; scored tokens a processor second",
        nltk_tokens_per_second=rates["nltk"],
        ours_tokens_per_second=rates["ours"],
        ratio=rates["ours"] / rates["nltk"],
        largest_difference_of_probabilities=float(difference),
    )


def penn_treebank(corpus) -> dict:
    """All that chapter 01 shows."""
    return dict(
        steps=steps(corpus),
        fixed_discounts=fixed_discounts(corpus),
        sentence_starts=sentence_starts(corpus),
        orders=by_order(corpus),
        published={str(n): p for n, p in PUBLISHED.items()},
        nltk=against_nltk(corpus),
    )


def main():
    began, wikitext = time.time(), "--wikitext-2" in sys.argv
    command = " ".join(["python tests/benchmarks/record_ngram.py", *sys.argv[1:]])
    corpus = load_corpus("wikitext-2" if wikitext else "ptb")
    result = dict(
        corpus=corpus.note,
        protocol="every test token scored except the very first, <eos> and <unk> included",
        **(dict(orders=by_order(corpus), splits=by_split(corpus)) if wikitext else penn_treebank(corpus)),
        **{**provenance(torch.device("cpu"), 0), "command": command},
        seconds=round(time.time() - began, 1),
    )
    path = RUNS / ("wikitext-2/ngram" if wikitext else "benchmark-ngram") / "result.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
