"""Hints of assignment 1: counts."""

import math
from collections import Counter

import numpy as np


def perplexity(f):
    """Question 1."""
    chances = [math.log(p) for p in (0.5, 0.1, 0.2)]
    kept, value = list(chances), f(chances)
    yield chances != kept, "The list that came in was changed."
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
    yield math.inf not in (f([0.0, -math.inf]), f([-math.inf, 0.0])), "An impossible token leaves it finite."
    yield f([0.0, -math.inf]) != f([-math.inf, 0.0]), "It matters where in the text the impossible token stands."
    yield not math.isclose(f(kept[:1] + kept), 200**0.25), "Two tokens of one probability are two tokens."
    long = f([math.log(0.01)] * 2000)
    yield not math.isclose(long, 100, rel_tol=1e-6), "On a text of 2,000 tokens something underflows or overflows."
    yield (
        not math.isclose(value, 100 ** (1 / 3)),
        "Probabilities 1/2, 1/10, 1/5 multiply to 1/100. What is the perplexity, by hand?",
    )


def count_places(f):
    """Question 2."""
    text = "a b a b a b c a".split()
    kept, (pairs, followers, predecessors, kinds) = list(text), f(text)
    yield text != kept, "The text that came in was changed."
    yield sum(pairs.values()) != 7, "The pairs of eight tokens are seven occurrences in total."
    yield kinds != len(pairs), "The last number is that of different pairs."
    both = {sum(followers.values()), sum(predecessors.values())}
    yield (
        both != {kinds},
        "Each different pair adds one to a follower count and one to a predecessor count: both sum to N1+(. .).",
    )
    yield followers["b"] != 2, "In `a b a b a b c a`, the word b is followed by a and by c."
    yield predecessors["b"] != 1, "In `a b a b a b c a`, the word b occurs three times, after one word."
    yield f(kept)[0] != pairs, "A second call counts on where the first stopped."
    yield f(["x", "x", "X"])[3] != 2, "A word may follow itself, and a capital makes another word."
    yield f("he a she a".split())[0]["he", "a"] != 1, "A word is found within a longer one."
    yield f("a b a c a b".split())[1]["a"] != 2, "In `a b a c a b`, the word a is followed by b and by c."
    yield followers["never"] + predecessors["never"] + pairs["never", "a"] != 0, "What never occurred counts something."


def discount(f):
    """Question 3."""
    pairs = Counter({n: 1 for n in range(5)} | {n: 3 for n in range(5, 9)})
    kept, value = pairs.copy(), f(pairs)
    yield pairs != kept, "The counts that came in were changed."
    yield not math.isclose(value, 1), "Where no pair was seen twice, D is 1. Do counts of three change your result?"
    yield f(Counter({n: 2 for n in range(5)})) != 0, "Where no pair was seen once, D is 0."
    yield f(Counter({1: 3})) != 0, "Where no pair was seen once, D is 0."
    yield not math.isclose(f(Counter({1: 1, 2: 1, 3: 2})), 0.5), "Take two pairs seen once and one seen twice, by hand."
    yield not math.isclose(f(Counter({1: 1, 2: 2})), 1 / 3), "Take one pair seen once and one seen twice, by hand."


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
    yield p("never-seen", "a") != 0 or p("never-seen", "d") != 0, "A word that the text does not have gets something."
    yield f("a b a c".split(), 0)("c", "b") != 0, "With D = 0 nothing is taken from a pair, and an unseen pair gets 0."
    before = p("b", "a")
    f("d c d".split(), 0.9)
    yield p("b", "a") != before, "A second model changes the first."
    yield (
        not math.isclose(p("b", "a"), 1.5 / 3 + 0.5 * 2 / 3 / 5),
        "Compute p(b | a) in `a b a c a b d` with D = 1/2 by hand.",
    )


HINTS = (perplexity, count_places, discount, kneser_ney)
