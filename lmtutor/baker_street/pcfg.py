"""A probabilistic context-free grammar with a small memory: it writes texts, reads them, and knows its own entropy.

The memory holds what a text keeps coming back to. In the stories of `rules.py`, which are written in the
notation that this file reads: the names of the cast, the stolen thing, the house, the clue.

Every grammar here is **LL(1)**: the next token always tells which alternative was taken, and the tests prove it. So a
story has one derivation, and three things follow exactly, none of them by sampling:

* the true distribution of the next token given the story so far (`Reader`);
* the entropy of a story. It is the entropy of its derivation, H = Σ_A E[n_A] H_A, where E[n_A] is the expected number
  of times that rule A is used and H_A the entropy of its choice (Grenander 1976; Chi 1999, "Statistical properties of
  probabilistic context-free grammars", Computational Linguistics 25). To write a register *again* costs nothing; to
  choose *which* register is written is a choice like any other, between words that differ;
* the entropy rate H / E[tokens of a story], in nats per token, because a corpus is a row of independent stories. No
  model can have a lower expected loss: this is the floor.
"""

import math
import random
import re
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from lmtutor.system.errors import LMTutorError


class Pool:
    """Words from which registers draw without repetition, the word of rank r with weight proportional to r^−0.75."""

    def __init__(self, registers: list[str], words: list[str]):
        self.registers, self.words = registers, words
        weights = np.arange(1, len(words) + 1) ** -0.75
        self.probs = weights / weights.sum()
        self.prob = dict(zip(words, self.probs.tolist(), strict=True))
        self.cumulative = [*accumulate(self.probs.tolist()[:-1]), 1.0]

    def entropy(self) -> float:
        """Joint entropy in nats of all draws: Σ_draws E[log Z − (1/Z) Σ p log p], Z and Σ over the words left."""
        n, total = len(self.words), 0.0
        plogp = self.probs * np.log(self.probs)
        chance, mass, plogp_left = np.ones(()), np.ones(()), np.full((), plogp.sum())  # one axis for each draw so far
        for draw in range(len(self.registers)):
            possible = chance > 0
            z = mass[possible]
            total += (chance[possible] * (np.log(z) - plogp_left[possible] / z)).sum()
            if draw + 1 == len(self.registers):
                break
            chance = np.divide(chance, mass, out=np.zeros_like(chance), where=possible)[..., None] * self.probs
            for axis in range(draw):  # a word drawn before is not drawn again
                shape = [n if i in (axis, draw) else 1 for i in range(draw + 1)]
                chance = np.where(np.eye(n, dtype=bool).reshape(shape), 0.0, chance)
            mass, plogp_left = mass[..., None] - self.probs, plogp_left[..., None] - plogp
        return float(total)


_VARIABLES = {"n", "t", "x", "y"}  # the names of parameters; everything else after a colon is a value


def _read_rule(text: str) -> tuple[list[str], list[tuple[float, list[str]]]]:
    """One rule of the notation: ([name, *parameters], [(weight, symbols), ...])."""
    head, sign, body = text.split(maxsplit=2)
    if sign == "~":
        return re.split("[:,]", head), [((rank + 1) ** -0.5, [word]) for rank, word in enumerate(body.split())]
    alternatives = []
    for part in body.split("|"):
        symbols = part.split()
        weight = float(symbols.pop(0)) if symbols[0].isdigit() else 1.0
        alternatives.append((weight, [s for s in symbols if s != "_"]))
    return re.split("[:,]", head), alternatives


def _filled(symbol: str, values: dict[str, str]) -> str:
    """A symbol with values in the place of its parameters: "ASK:x" or "@x.he" with x = a."""
    return re.sub(r"(?<=[:,@+])\w+", lambda found: values.get(found[0], found[0]), symbol)


class Draw(NamedTuple):
    """`+a`: draw a word that the story does not hold yet, write it, keep it in the register."""

    register: str  # its name, such as a


class Write(NamedTuple):
    """`@a` or `@a.he`: write the register, or the one of two forms that agrees with it."""

    register: str  # its name, such as a
    forms: tuple[str, str] | None  # such as he and she; None: the word itself
    second: frozenset[str] = frozenset()  # the words that take the second form

    def word(self, memory: dict[str, str]) -> str:
        word = memory[self.register]
        return word if self.forms is None else self.forms[word in self.second]


class Choice:
    """One rule with its parameters filled in: alternatives, of which the next token tells which was taken."""

    def __init__(self, name: str):
        self.name = name

    def fill(self, weights: Sequence[float], bodies: list[tuple]) -> None:
        self.bodies = bodies
        self.pushes = [body[::-1] for body in bodies]  # in the order in which they go on the stack
        self.probs = [weight / sum(weights) for weight in weights]
        self.log_probs = [math.log(p) for p in self.probs]
        self.cumulative = [*accumulate(self.probs[:-1]), 1.0]
        self.entropy = -sum(p * math.log(p) for p in self.probs)
        self.by_word: dict[str, int] = {}  # next token -> alternative
        self.by_register: list[tuple] = []  # (Write or Draw, alternative), where the words depend on the story
        self.otherwise: int | None = None  # the alternative that may be empty


class Grammar:
    """An LL(1) probabilistic grammar with registers.

    Two alternatives of a rule must not begin with the same token, and each register is drawn exactly once per story:
    else derivations and strings would not be one to one, and the entropy would be wrong. The tests prove both.

    Parameters
    ----------
    rules
        In the notation of `lmtutor.baker_street.rules`.
    pools
        For each list of words: the registers that draw from it, without repetition; the words, frequent ones first.
    forms
        ``"he": ("he", "she")`` says that ``@a.he`` writes the second if the register holds a word of `second`.

    second
        The words of the pools that take the second form.

    Raises
    ------
    LMTutorError
        If a rule is missing.
    """

    def __init__(
        self, rules: str, pools: list[tuple[str, str]], forms: dict[str, tuple[str, str]], second: frozenset[str]
    ):
        self.forms, self.second = forms, second
        self.pools = [Pool(registers.split(), words.split()) for registers, words in pools]
        self.pool_of = {register: pool for pool in self.pools for register in pool.registers}
        self._rules: dict[str, list] = {}  # name -> [(parameters, alternatives), ...]
        for text in re.split(r"\n(?=[A-Z])", re.sub(r"(?m)^#.*\n", "", rules).strip()):
            (name, *parameters), alternatives = _read_rule(text)
            self._rules.setdefault(name, []).append((parameters, alternatives))
        self._nodes: dict[str, Choice] = {}
        self.start = self._choice("STORY")
        self._make_tables()

    # --- Building -------------------------------------------------------------------------------------------------

    def _alternatives(self, name: str) -> list[tuple[float, list[str]]]:
        """Alternatives of a rule with its parameters filled in: "ASK:a" from "ASK:x"."""
        rule, *arguments = re.split("[:,]", name)
        for parameters, alternatives in self._rules.get(rule, ()):  # the first that fits: special ones stand first
            if len(parameters) == len(arguments):
                values = dict(zip(parameters, arguments, strict=True))
                if all(p == a or p in _VARIABLES for p, a in values.items()):
                    return [(weight, [_filled(s, values) for s in body]) for weight, body in alternatives]
        raise LMTutorError(f"grammar: no rule {name!r}; add one")

    def _choice(self, name: str) -> Choice:
        if name not in self._nodes:
            self._nodes[name] = Choice(name)
            self._factor(self._nodes[name], [(w, self._symbols(body)) for w, body in self._alternatives(name)])
        return self._nodes[name]

    def _symbols(self, body: list[str]) -> list:
        symbols: list = []
        for text in body:
            if text[0] == "+" and text[1:] in self.pool_of:
                symbols.append(Draw(text[1:]))
            elif text[0] == "@" and text[1:] in self.pool_of:
                symbols.append(Write(text[1:], None))
            elif text[0] == "@":
                base, _, form = text[1:].partition(".")
                register = f"{base}.title" if f"{base}.title" in self.pool_of else base
                symbols.append(Write(register, self.forms[form], self.second))
            elif not re.match("[A-Z]{2}", text):
                symbols.append(text)
            elif len(alternatives := self._alternatives(text)) == 1:  # no choice: put it in its place
                symbols += self._symbols(alternatives[0][1])
            else:
                symbols.append(self._choice(text))
        return symbols

    def _factor(self, node: Choice, alternatives: list[tuple[float, list]]) -> None:
        """Left factoring: alternatives with the same first symbol become that symbol and a choice of what follows."""
        groups: dict = {}
        for weight, body in alternatives:
            groups.setdefault(body[0] if body else None, []).append((weight, body[1:]))
        weights, bodies = [], []
        for first, group in groups.items():
            weights.append(sum(weight for weight, _ in group))
            if len(group) == 1 or first is None:
                bodies.append((first, *group[0][1]) if first is not None else ())
                continue
            name = f"{node.name}/{len(self._nodes)}"
            self._nodes[name] = Choice(name)
            self._factor(self._nodes[name], group)
            bodies.append((first, self._nodes[name]))
        node.fill(weights, bodies)

    def _make_tables(self) -> None:
        """The table token -> alternative of every choice, from FIRST sets (Aho & Ullman)."""
        first: dict[Choice, set] = {node: set() for node in self._nodes.values()}  # None in the set: may be empty

        def first_of(body: tuple) -> set:
            found: set = set()
            for symbol in body:
                some = first[symbol] if isinstance(symbol, Choice) else {symbol}
                found |= some - {None}
                if None not in some:
                    return found
            return found | {None}

        before = -1
        while before != (size := sum(map(len, first.values()))):
            before = size
            for node, found in first.items():
                found.update(*map(first_of, node.bodies))
        for node in first:
            for k, body in enumerate(node.bodies):
                for symbol in first_of(body):
                    if symbol is None:
                        node.otherwise = k
                    elif isinstance(symbol, str):
                        node.by_word[symbol] = k
                    else:
                        node.by_register.append((symbol, k))

    # --- Exact expectations ---------------------------------------------------------------------------------------

    def expectations(self) -> tuple[float, float]:
        """Entropy of a story in nats, and its expected length in tokens; both exact."""
        nodes = list(self._nodes.values())
        index = {node: i for i, node in enumerate(nodes)}
        uses = np.zeros((len(nodes), len(nodes)))  # uses[i, j]: expected uses of j in one use of i
        tokens = np.zeros(len(nodes))
        for i, node in enumerate(nodes):
            for p, body in zip(node.probs, node.bodies, strict=True):
                for symbol in body:
                    if isinstance(symbol, Choice):
                        uses[i, index[symbol]] += p
                    else:
                        tokens[i] += p
        counts = np.linalg.solve(np.eye(len(nodes)) - uses.T, np.eye(len(nodes))[index[self.start]])
        choices = counts @ np.array([node.entropy for node in nodes])
        return float(choices + sum(pool.entropy() for pool in self.pools)), float(counts @ tokens)

    # --- Writing and reading --------------------------------------------------------------------------------------

    def story(self, rng: random.Random) -> list[str]:
        """Draw one story: a list of tokens, every line closed by <eos>."""
        story: list[str] = []
        memory: dict[str, str] = {}
        stack: list = [self.start]
        uniform = rng.random
        while stack:
            symbol = stack.pop()
            kind = type(symbol)
            if kind is str:
                story.append(symbol)
            elif kind is Choice:
                stack += symbol.pushes[bisect(symbol.cumulative, uniform())]
            elif kind is Write:
                story.append(symbol.word(memory))
            else:
                pool = self.pool_of[symbol.register]
                taken = {memory.get(register) for register in pool.registers}
                while (word := pool.words[bisect(pool.cumulative, uniform())]) in taken:
                    pass  # rejection draws from what is left
                memory[symbol.register] = word
                story.append(word)
        return story
