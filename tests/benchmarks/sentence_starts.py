"""Kneser-Ney a second time, in plain dictionaries, to see what the symbols put before a sentence do to the figure.

`NGramLM` lets histories cross the ends of sentences, or begin at them, as if one start symbol stood there. Programs
that pad each sentence with n − 1 of them, so that every word has a history of full length, get another figure. With
one symbol, this agrees with `NGramLM(boundary=…)`: two programs that share no line.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

START = "<s>"
Sentence = Sequence[str | int]


def count(sentences: Iterable[Sentence], order: int, starts: int, keep: bool) -> dict[int, Counter]:
    """Count the k-grams of padded sentences: occurrences at the highest order, different words before it elsewhere.

    Parameters
    ----------
    starts : int
        Start symbols before each sentence. They are read, never predicted.
    keep : bool
        Whether k-grams that begin with a start symbol keep their occurrences at the lower orders too.
    """
    seen = {k: Counter() for k in range(1, order + 1)}
    for sentence in sentences:
        text = (START,) * starts + tuple(sentence)
        for end in range(starts + 1, len(text) + 1):
            for k in range(1, min(order, end) + 1):
                seen[k][text[end - k : end]] += 1
    used = {order: seen[order]}
    for k in range(1, order):
        used[k] = Counter(gram[1:] for gram in seen[k + 1])
        if keep:
            used[k].update({gram: n - used[k][gram] for gram, n in seen[k].items() if gram[0] == START})
    return used


def discounts(counts: Iterable[int], three: bool) -> tuple[float, ...]:
    """Return what counts of 0, 1, 2 and 3 or more lose, from the counts of counts (Chen and Goodman 1999)."""
    n = Counter(counts)
    n1, n2, n3, n4 = (max(n[j], 1) for j in (1, 2, 3, 4))
    d = n1 / (n1 + 2 * n2)
    return (0, 1 - 2 * d * n2 / n1, max(2 - 3 * d * n3 / n2, 0), max(3 - 4 * d * n4 / n3, 0)) if three else (0, d, d, d)


def perplexity(used: dict[int, Counter], sentences: Iterable[Sentence], vocab_size: int, starts: int, three: bool):
    """Score padded sentences, every token of each: the perplexity, and how many tokens it covers."""
    order = len(used)
    lost = {k: discounts(used[k].values(), three) for k in used}
    total, left_over = Counter(), defaultdict(float)
    for k in used:
        for gram, n in used[k].items():
            total[gram[:-1]] += n
            left_over[gram[:-1]] += lost[k][min(n, 3)]

    def p(gram: tuple) -> float:
        if not gram:
            return 1 / vocab_size
        shorter, history, n = p(gram[1:]), gram[:-1], used[len(gram)][gram]
        if not total[history]:
            return shorter
        return (n - lost[len(gram)][min(n, 3)] + left_over[history] * shorter) / total[history]

    nats, tokens = 0.0, 0
    for sentence in sentences:
        text = (START,) * starts + tuple(sentence)
        for end in range(starts + 1, len(text) + 1):
            nats -= math.log(p(text[max(0, end - order) : end]))
        tokens += len(sentence)
    return math.exp(nats / tokens), tokens
