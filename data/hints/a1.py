"""Hints of assignment 1: counts."""

import math
from collections import Counter

import numpy as np


def perplexity(f):
    """Question 1."""
    chances = [math.log(p) for p in (0.5, 0.1, 0.2)]
    value = f(chances)
    yield value is None, "It returns nothing."
    yield value < 1, "It is below 1. A perplexity never is: which sign has a log-probability?"
    yield (
        math.isclose(value, 100),
        "Your perplexity is the exponential of the *sum*: a longer text would have a larger one.",
    )
    yield math.isclose(value, math.log(100) / 3), "That is the cross-entropy, in nats. One step is missing."
    yield (
        not math.isclose(value, f(chances * 2)),
        "The same text twice has another value. Which count do you divide by?",
    )
    yield not math.isclose(value, f(np.array(chances))), "An array has another value than the same numbers in a list."
    yield f([0.0, -math.inf]) != math.inf, "A text with an impossible token has a finite perplexity."
    long = f([math.log(0.01)] * 2000)
    yield not math.isclose(long, 100, rel_tol=1e-6), "On a text of 2,000 tokens something underflows or overflows."
    yield (
        not math.isclose(value, 100 ** (1 / 3)),
        "Probabilities 1/2, 1/10, 1/5 multiply to 1/100. What is the perplexity, by hand?",
    )


def count_places(f):
    """Question 2."""
    pairs, followers, predecessors, kinds = f("a b a b a b c a".split())
    yield sum(pairs.values()) != 7, "The pairs of eight tokens are seven occurrences in total."
    yield kinds != len(pairs), "The last number is that of different pairs."
    both = {sum(followers.values()), sum(predecessors.values())}
    yield (
        both != {kinds},
        "Each different pair adds one to a follower count and one to a predecessor count: both sum to N1+(. .).",
    )
    yield followers["b"] != 2, "In `a b a b a b c a`, the word b is followed by a and by c."
    yield predecessors["b"] != 1, "In `a b a b a b c a`, the word b occurs three times, after one word."
    yield followers["never"] + predecessors["never"] + pairs["never", "a"] != 0, "What never occurred counts something."


def discount(f):
    """Question 3."""
    value = f(Counter({n: 1 for n in range(5)} | {n: 3 for n in range(5, 9)}))
    yield not math.isclose(value, 1), "Where no pair was seen twice, D is 1. Do counts of three change your result?"
    yield f(Counter({n: 2 for n in range(5)})) != 0, "Where no pair was seen once, D is 0."
    yield f(Counter({1: 3})) != 0, "Where no pair was seen once, D is 0."
    yield not math.isclose(f(Counter({1: 1, 2: 1, 3: 2})), 0.5), "Take two pairs seen once and one seen twice, by hand."


def kneser_ney(f):
    """Question 4."""
    for tokens in ("a b a c a b d".split(), "a b a c a b".split()):
        p = f(tokens, 0.5)
        for u in "abc":
            total = sum(p(x, u) for x in sorted(set(tokens)))
            less = "less" if total < 1 else "more"
            yield (
                not math.isclose(total, 1),
                f"In {' '.join(tokens)!r}, the probabilities after {u!r} add up to {less} than 1.",
            )
    p = f("a b a c a b d".split(), 0.5)
    yield p("d", "a") <= 0, "An unseen pair of known words gets nothing. Where does the discount go?"
    for u in ("d", "unknown"):
        yield (
            not math.isclose(sum(p(x, u) for x in "abcd"), 1),
            f"After {u!r}, which nothing follows, they do not add up to 1.",
        )
    yield (
        p("b", "unknown") != p("c", "unknown"),
        "In `a b a c a b d`, b and c have one place each: after an unknown word they are alike.",
    )
    yield (
        not math.isclose(p("b", "a"), 1.5 / 3 + 0.5 * 2 / 3 / 5),
        "Compute p(b | a) in `a b a c a b d` with D = 1/2 by hand.",
    )


HINTS = (perplexity, count_places, discount, kneser_ney)
