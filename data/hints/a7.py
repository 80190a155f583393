"""Hints of assignment 7: the cache, the mixture, tuning."""

import math

import torch


def _cache(f):
    """What both forms of the cache have to do."""
    states, words = torch.zeros(5, 2).double(), torch.tensor([1, 2, 1, 1, 3])
    p = f(states, words, 1.0, 10)
    yield tuple(p.shape) != (5,), "A number for each word is asked for."
    yield bool(p.isnan().any()), "There is a value that is not a number. What does the first word see?"
    yield (
        bool(p[4] > 0 or p[1] > 0),
        "A word that comes for the first time has a probability: does it see itself, or what comes later?",
    )
    yield (
        not math.isclose(p[3], 2 / 3, rel_tol=1e-4),
        "With equal states the weights are equal: of 1, 2, 1 two are the word 1. What do the weights add up to?",
    )
    short = f(states, words, 1.0, 2)
    yield not math.isclose(short[3], 1 / 2, rel_tol=1e-4), "With a window of 2, word number 3 sees two others, 2 and 1."
    torch.manual_seed(1)
    states = torch.randn(5, 2).double()
    yield torch.allclose(f(states, words, 0.0, 10), f(states, words, 3.0, 10)), "θ makes no difference."
    yield not torch.isfinite(f(300 * states, words, 5.0, 10)).all(), "Large products of states overflow."
    aligned = 9 * torch.tensor([[1.0], [1.1], [1.2]]).double()
    seen = torch.tensor([1, 2, 1])
    yield bool(f(aligned, seen, 9.0, 5)[2] > 1e-9), "Between two large scores the larger one takes all."
    yield (
        not math.isclose(f(states, seen.repeat(2)[:5], 0.1, 10)[2], _second(states, 0.1), rel_tol=1e-4),
        "With a small θ the weights are nearly equal, and yours are not.",
    )
    away, alike = 100 * torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]).double(), torch.zeros(4, dtype=torch.long)
    yield (
        bool((f(away, alike, 5.0, 1)[1:] != 1).any()),
        "In a window of 1 the one entry has weight 1, however small its score.",
    )
    yield (
        bool(f(torch.zeros(120, 1), torch.zeros(120, dtype=torch.long), 1.0, 5)[-1] != 1),
        "A longer text comes out wrong.",
    )
    a = [math.exp(2 * float(states[i] @ states[3])) for i in range(3)]
    yield (
        not math.isclose(f(states, words, 2.0, 10)[3], (a[0] + a[2]) / sum(a), rel_tol=1e-4),
        "Compute a word's weights by hand: the softmax of θ times the products of *its* state with earlier ones.",
    )


def _second(states, theta):
    """The weight of the first of two states for the third."""
    first, second = (math.exp(theta * float(states[i] @ states[2])) for i in (0, 1))
    return first / (first + second)


def cache_loop(f):
    """Question 1."""
    yield from _cache(f)


def cache_matrix(f):
    """Question 2."""
    yield from _cache(f)
    counts = []
    for N in (10, 40):
        lines = _operations(lambda: f(torch.randn(N, 2).double(), torch.ones(N, dtype=torch.long), 1.0, 5))  # noqa: B023
        counts.append(lines)
    yield counts[1] > counts[0] + 10, "A longer text takes more operations: there is still a loop."


def _operations(call) -> int:
    """Count the operations on tensors in a call."""
    count = [0]

    class Counting(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            count[0] += 1
            return function(*args, **(kwargs or {}))

    with Counting():
        call()
    return count[0]


def mix(f):
    """Question 3."""
    own, cached = torch.log(torch.tensor([0.5, 0.5, 0.25])), torch.tensor([0.0, 1.0, 0.0])
    kept, kept_cache, out = own.clone(), cached.clone(), f(own, cached, 0.25)
    yield not torch.equal(cached, kept_cache), "The cache's probabilities were changed."
    yield not torch.equal(own, kept), "The model's log-probabilities were changed."
    yield (
        bool((out > 0).any()) or math.isclose(out[1], 0.625, rel_tol=1e-4),
        "Logarithms of probabilities are asked for.",
    )
    yield not torch.isclose(out[0], own[0]), "At position 0 the cache is empty and must not take a share."
    yield not bool(out[2] < own[2]), "Where the cache has nothing, the model's part has to shrink."
    yield (
        not math.isclose(out[1].exp(), 0.625, rel_tol=1e-4),
        "With λ = 1/4 the cache has a quarter: mix 0.5 and 1 by hand.",
    )
    tiny = f(torch.tensor([-1.0, -1900.0]).double(), torch.zeros(2).double(), 0.5)
    yield (
        not math.isclose(tiny[1], -1900 - math.log(2), rel_tol=1e-6),
        "Very small probabilities become 0 on the way, or something else. Where do you leave the logarithms?",
    )
    yield not torch.allclose(f(kept.clone(), cached, 0.0), kept), "With λ = 0 the model stands alone."


def tune(f):
    """Question 4."""
    torch.manual_seed(2)
    states, words, own = torch.randn(12, 2).double(), torch.randint(3, (12,)), torch.full((12,), -1.0).double()
    found = f(states, words, own, [0.5], [0.0], 5)
    yield len(found) != 3, "Return theta, lam and the perplexity."
    yield found[0] != 0.5 or found[1] != 0.0, "Return theta, lam and the perplexity, in this order."
    yield (
        not math.isclose(found[2], math.e, rel_tol=1e-6),
        "With λ = 0 alone to choose from, the perplexity is the model's own.",
    )
    uneven = torch.tensor([-9.0] + [-1.0] * 8 + [-5.0] * 3).double()
    yield (
        not math.isclose(f(states, words, uneven, [0.5], [0.0], 5)[2], math.exp(32 / 12), rel_tol=1e-6),
        "The perplexity is that of *all* positions.",
    )
    same = torch.zeros(12, dtype=torch.long)
    yield (
        f(states, same, own, [0.5], [0.9, 0.0, 0.5], 5)[1] != 0.9,
        "On a text of one repeated word the largest λ is best.",
    )
    yield (
        f(states, same, own, [0.5, 0.1], [0.5], 5)[2] >= math.e,
        "A cache that is always right makes the perplexity smaller.",
    )
    apart = torch.eye(2).repeat(6, 1).double() * 3
    turns = torch.tensor([0, 1] * 6)
    yield (
        f(apart, turns, own, [0.0, 2.0, 1.0], [0.5], 5)[0] != 2.0,
        "Where the state tells the word, the largest θ is best.",
    )
    yield (
        f(apart, turns, own, [0.0, 2.0, 1.0], [0.0, 0.5], 5)[:2] != (2.0, 0.5),
        "Try each λ with each θ: with λ = 0 all θ are alike.",
    )
    yield (
        f(states, same, own, [0.5], [0.5, 0.1, 0.9], 5)[1] != 0.9,
        "Try every λ: the first that is worse is not the last.",
    )
    equal, better = f(apart, turns, own, [0.0], [0.5], 5)[2], f(apart, turns, own, [2.0], [0.5], 5)[2]
    yield (
        not equal > better or math.isclose(equal, f(apart, turns, own, [0.3], [0.5], 5)[2]),
        "θ = 0 is a θ like any other.",
    )
    late = torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
    yield (
        f(states, late, own, [0.5], [0.0, 0.5], 3)[1] != 0.0,
        "Words that come back after six are beyond a window of 3.",
    )


HINTS = (cache_loop, cache_matrix, mix, tune)
