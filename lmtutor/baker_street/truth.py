"""The embedded corpus "baker-street": small detective stories of our own, and the true model that wrote them.

The rules and the words are in `rules.py`, the machinery is in `pcfg.py`. No download, any size, the same text
for the same seed, and a floor that is known exactly: `baker_street_entropy()` is the expected loss of a perfect model.
"""

import math
import random
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from lmtutor.baker_street import rules as baker_street
from lmtutor.baker_street.pcfg import Choice, Draw, Grammar, Write
from lmtutor.system.errors import LMTutorError


class Reader:
    """The true model as a machine: give it the tokens one by one, it tells how probable each was.

    It holds what of the past matters: what is still to come of the sentence and the story (a stack), and the registers.
    """

    def __init__(self, grammar: Grammar):
        self.grammar = grammar
        self.stack: list = []  # empty between two stories
        self.memory: dict[str, str] = {}

    def _left(self, draw: Draw) -> tuple[set, float]:
        """The words of the pool that the story has drawn already, and the probability mass of the others."""
        pool = self.grammar.pool_of[draw.register]
        taken = {self.memory[r] for r in pool.registers if r in self.memory}
        return taken, 1.0 - sum(pool.prob[word] for word in taken)

    def _begins(self, symbol: Write | Draw, token: str) -> bool:
        if type(symbol) is Write:
            return symbol.word(self.memory) == token
        pool = self.grammar.pool_of[symbol.register]
        return token in pool.prob and all(self.memory.get(register) != token for register in pool.registers)

    def read(self, token: str) -> float:
        """Take one token; return the natural logarithm of its probability given the story so far (−inf: impossible)."""
        stack, log_prob = self.stack, 0.0
        if not stack:
            stack.append(self.grammar.start)
            self.memory = {}
        while True:
            symbol = stack.pop()
            kind = type(symbol)
            if kind is str:
                return log_prob if symbol == token else -math.inf
            if kind is Choice:
                k = symbol.by_word.get(token)
                if k is None:
                    k = next((k for s, k in symbol.by_register if self._begins(s, token)), symbol.otherwise)
                    if k is None:
                        return -math.inf
                log_prob += symbol.log_probs[k]
                stack += symbol.pushes[k]
            elif not self._begins(symbol, token):
                return -math.inf
            elif kind is Write:
                return log_prob
            else:
                left = self._left(symbol)[1]
                self.memory[symbol.register] = token
                return log_prob + math.log(self.grammar.pool_of[symbol.register].prob[token] / left)

    def next_probs(self) -> dict[str, float]:
        """The true distribution of the next token: token -> probability (only what is possible; sums to 1)."""
        probs: dict[str, float] = {}

        def spread(stack: tuple, p: float) -> None:
            symbol, below = stack[-1], stack[:-1]
            if isinstance(symbol, Choice):
                for share, push in zip(symbol.probs, symbol.pushes, strict=True):
                    spread(below + push, p * share)
            elif isinstance(symbol, Draw):
                taken, left = self._left(symbol)
                for word, share in self.grammar.pool_of[symbol.register].prob.items():
                    if word not in taken:
                        probs[word] = probs.get(word, 0.0) + p * share / left
            else:
                word = symbol if isinstance(symbol, str) else symbol.word(self.memory)
                probs[word] = probs.get(word, 0.0) + p

        spread(tuple(self.stack) or (self.grammar.start,), 1.0)
        return probs


class GrammarCorpus(NamedTuple):
    """Three lists of tokens (whole stories, every line closed by <eos>), and the exact entropy in nats per token."""

    train: list[str]
    valid: list[str]
    test: list[str]
    entropy: float


@cache
def baker_street_grammar() -> Grammar:
    """The grammar of the corpus, built once."""
    return Grammar(baker_street.RULES, baker_street.POOLS, baker_street.FORMS, baker_street.SECOND)


@cache
def baker_street_entropy() -> float:
    """The exact entropy rate in nats per token; its exponential is the perplexity that no model can beat."""
    nats, tokens = baker_street_grammar().expectations()
    return nats / tokens


def sample_stories(tokens: int, seed: int | str = 0) -> list[str]:
    """Whole stories, drawn until there are at least `tokens` tokens; the same ones for the same seed, everywhere."""
    if tokens < 1:
        raise LMTutorError(f"baker-street: cannot draw {tokens} tokens; ask for 1 or more")
    rng, text = random.Random(seed), []
    while len(text) < tokens:
        text += baker_street_grammar().story(rng)
    return text


def baker_street_corpus(tokens: int = 200_000, seed: int = 0) -> GrammarCorpus:
    """Draw the embedded corpus.

    Parameters
    ----------
    tokens
        Size of the training split; validation and test have a tenth each. Every split is rounded up to whole stories.
    seed
        The splits of one seed are independent of each other and, at another size, beginnings of the same texts.

    Returns
    -------
    GrammarCorpus
        ``train``, ``valid``, ``test``: lists of tokens; ``entropy``: exact, in nats per token.
    """
    sizes = {"train": tokens, "valid": -(-tokens // 10), "test": -(-tokens // 10)}
    splits = {name: sample_stories(size, f"{seed} {name}") for name, size in sizes.items()}
    return GrammarCorpus(**splits, entropy=baker_street_entropy())


def _impossible(tokens: Sequence[str], i: int) -> LMTutorError:
    before = " ".join(tokens[max(0, i - 5) : i])
    return LMTutorError(
        f"baker-street: token {i} ({tokens[i]!r}) cannot follow {before!r} in any story; "
        "give whole stories, as sample_stories draws them"
    )


def true_log_probs(tokens: Sequence[str]) -> np.ndarray:
    """The natural logarithm of the true probability of each token given the story so far.

    Parameters
    ----------
    tokens
        N tokens of the corpus, from the beginning of a story; the last story may be cut short.

    Returns
    -------
    ndarray (N,)
        In nats, all finite and at most 0. Over many stories, minus their mean tends to `baker_street_entropy()`.

    Raises
    ------
    LMTutorError
        At the first token that no story could have there.
    """
    reader, log_probs = Reader(baker_street_grammar()), np.empty(len(tokens))
    for i, token in enumerate(tokens):
        log_probs[i] = reader.read(token)
        if log_probs[i] == -math.inf:
            raise _impossible(tokens, i)
    return log_probs


def next_token_probs(tokens: Sequence[str]) -> dict[str, float]:
    """The true distribution of the token after `tokens`, which begin with a story: token -> probability.

    Only what is possible is listed; the values sum to 1. Raises `LMTutorError` like `true_log_probs`.
    """
    reader = Reader(baker_street_grammar())
    for i, token in enumerate(tokens):
        if reader.read(token) == -math.inf:
            raise _impossible(tokens, i)
    return reader.next_probs()
