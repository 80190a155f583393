"""Time the Kneser-Ney model: Penn Treebank from end to end, and against nltk.lm on the same tokens.

    LMTUTOR_DATA=FOLDER python tests/benchmarks/bench_ngram.py [--train 50000] [--score 400]

nltk recounts continuations for every word that it scores, so it gets the first tokens of the corpus only, and both
models are timed on exactly those: fitted on `--train` tokens, order 5, scoring the `--score` tokens that follow.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from lmtutor.models.ngram import NGramLM


def timed(work):
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--score", type=int, default=400)
    args = parser.parse_args()
    folder = Path(os.environ["LMTUTOR_DATA"]) / "ptb"
    words = {s: (folder / f"{s}.txt").read_text().replace("\n", " <eos> ").split() for s in ("train", "test")}
    number = {w: i for i, w in enumerate(dict.fromkeys(words["train"]))}
    train, test = (np.array([number[w] for w in words[s]]) for s in ("train", "test"))

    print(f"Penn Treebank, {len(train):,} training and {len(test):,} test tokens, order 5")
    print(f"{'smoothing':<22}{'histories':<18}{'perplexity':>11}{'fit s':>8}{'score s':>9}{'tokens/s':>12}")
    for smoothing in ("kneser-ney", "modified-kneser-ney"):
        for name, boundary in (("cross line ends", None), ("stop at <eos>", number["<eos>"])):
            model, fit = timed(lambda s=smoothing, b=boundary: NGramLM(5, s, boundary=b).fit(train, len(number)))
            scores, score = timed(lambda m=model: m.score(test))
            rate = len(test) / score
            perplexity = np.exp(-scores.mean())
            print(f"{smoothing:<22}{name:<18}{perplexity:>11.2f}{fit:>8.2f}{score:>9.3f}{rate:>12,.0f}")

    from nltk.lm import KneserNeyInterpolated
    from nltk.util import everygrams

    print(f"\nThe same text for both: fitted on {args.train:,} tokens, {args.score:,} scored, order 5, D = 0.75")
    text, probe = train[: args.train], train[args.train - 4 : args.train + args.score]
    # A word that the short text lacks would raise in neither, but keep the comparison to known words.
    probe = np.where(np.isin(probe, text), probe, number["<unk>"])
    names = list(number)
    words, asked = [names[i] for i in text], [names[i] for i in probe]
    theirs = KneserNeyInterpolated(5, discount=0.75)
    _, their_fit = timed(lambda: theirs.fit([list(everygrams(words, max_len=5))], words))
    spans = [(asked[i], tuple(asked[i - 4 : i])) for i in range(4, len(asked))]
    their_p, their_score = timed(lambda: [theirs.score(w, h) for w, h in spans])
    ours, our_fit = timed(lambda: NGramLM(5, discount=[0, 0.75, 0.75, 0.75, 0.75]).fit(text, len(number)))
    our_p, our_short = timed(lambda: np.exp(ours.score(probe))[3:])
    _, our_score = timed(lambda: ours.score(test))  # a rate needs more than a millisecond of work
    their_rate, our_rate = len(spans) / their_score, len(test) / our_score
    print(f"{'':<12}{'fit s':>8}{'tokens/s':>12}")
    print(f"{'nltk.lm':<12}{their_fit:>8.2f}{their_rate:>12,.1f}")
    print(f"{'NGramLM':<12}{our_fit:>8.2f}{our_rate:>12,.0f}")
    print(f"ratio {our_rate / their_rate:,.0f} ({len(spans) / our_short / their_rate:,.0f} on the {args.score} alone)")
    print(f"largest difference of two probabilities: {np.abs(np.array(their_p) - our_p).max():.1e}")


if __name__ == "__main__":
    main()
