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
    a = [math.exp(2 * float(states[i] @ states[3])) for i in range(3)]
    yield (
        not math.isclose(f(states, words, 2.0, 10)[3], (a[0] + a[2]) / sum(a), rel_tol=1e-4),
        "Compute a word's weights by hand: the softmax of θ times the products of *its* state with earlier ones.",
    )


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
    kept, out = own.clone(), f(own, cached, 0.25)
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
    yield (
        not torch.isfinite(f(torch.tensor([-1.0, -900.0]), torch.zeros(2), 0.5)).all(),
        "Very small probabilities become 0 on the way. Where do you leave the logarithms?",
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
    late = torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
    yield (
        f(states, late, own, [0.5], [0.0, 0.5], 3)[1] != 0.0,
        "Words that come back after six are beyond a window of 3.",
    )


HINTS = (cache_loop, cache_matrix, mix, tune)
