"""n-gram language models on id arrays: maximum likelihood, add-k and interpolated Kneser-Ney.

Counting and scoring are array operations; no Python loop runs over tokens. Every k-gram of the training text
gets a number, and a (k+1)-gram is the pair *(number of its first k ids, last id)*, packed in one int64:

    text                  the  dog  saw  the  dog
    1-gram number           0    1    2    0    1        (the token id itself)
    2-gram key              -  0·V+1 1·V+2 2·V+0 0·V+1   → sorted unique keys → number
    3-gram key              -    -   (number of "the dog")·V+2 …

so that one sorted array per order holds the model, and looking up a text of any length is `np.searchsorted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lmtutor.system.errors import LMTutorError, one_of
from lmtutor.system.limits import POSITIVE, expect, whole

UNSEEN, TOO_LONG = -1, -2  # a history that the training text lacks; a history longer than the text so far
SMOOTHINGS = ("mle", "add-k", "kneser-ney", "modified-kneser-ney")


@dataclass(frozen=True)
class _Order:
    """The k-grams of one order k, and what is left over for each of their histories."""

    keys: np.ndarray  # (G,) int64, sorted: history number · V + id of the last word
    counts: np.ndarray  # (G,) the count that this order uses (occurrences, or continuations)
    totals: np.ndarray  # (H,) sum of `counts` over each history
    discounts: np.ndarray  # (4,) what a count of 0, 1, 2, 3 or more loses
    left_over: np.ndarray  # (H,) discounted mass of each history, in counts


class NGramLM:
    """An n-gram model with the interface that `evaluate` and `generate` use (`lmtutor.models.base.Scorer`).

    Parameters
    ----------
    order : int
        Length n of the longest n-gram: the history is n − 1 tokens.
    smoothing : str
        ``"mle"`` relative frequencies; ``"add-k"`` (count + k) / (total + k·V); ``"kneser-ney"`` interpolated
        Kneser-Ney with one discount per order; ``"modified-kneser-ney"`` with three (Chen and Goodman
        1999, eq. 23 to 26).
    k : float
        The added count of ``"add-k"``.
    discount : float, sequence of float, optional
        Fixed discounts for ``"kneser-ney"``: one number, or one for each order beginning with unigrams.
        None estimates n1 / (n1 + 2 n2) from the counts of counts of each order.
    min_counts : sequence of int, optional
        Cut-offs of the classic toolkits, one for each order beginning with unigrams: a k-gram whose count is
        below its cut-off is forgotten, and its probability goes to the lower order. None keeps everything.
    boundary : int, optional
        An id (that of ``<eos>``) behind which no history reaches: the sentence start of the classic toolkits.
        None lets histories run across sentence ends, as a recurrent network's state does.

    Notes
    -----
    Interpolated Kneser-Ney, with h a history, h' the history without its oldest word, and c the number of
    occurrences at the highest order and of *different words seen before the k-gram* at every other:

        p(w | h) = (c(hw) − D(c(hw))) / Σ c(h·)  +  left_over(h) / Σ c(h·) · p(w | h')

    The unigram level is interpolated with 1/V. A history that was never seen passes p(w | h') on unchanged.
    With ``"mle"`` the longest seen suffix of the history decides alone, so the probabilities of the next word
    always sum to one, and an unseen word has probability 0.

    Raises
    ------
    LMTutorError
        For an order below 1, an unknown smoothing, a k or discount that is out of range.
    """

    protocol = ""

    def __init__(
        self,
        order: int = 5,
        smoothing: str = "kneser-ney",
        k: float = 1.0,
        discount: float | Sequence[float] | None = None,
        min_counts: Sequence[int] | None = None,
        boundary: int | None = None,
    ):
        one_of("smoothing", smoothing, SMOOTHINGS)
        expect(dict(order=order, k=k), {"order": whole(1)} | ({"k": POSITIVE} if smoothing == "add-k" else {}))
        if discount is not None:
            discount = [discount] * order if np.isscalar(discount) else list(discount)
            if len(discount) != order or not all(0 <= d <= 1 for d in discount):
                raise LMTutorError(f"NGramLM: discount needs 1 or {order} numbers between 0 and 1.")
        if min_counts is not None and (len(min_counts) != order or smoothing not in SMOOTHINGS[2:]):
            raise LMTutorError(f"NGramLM: min_counts needs {order} numbers and a Kneser-Ney smoothing.")
        self.order, self.smoothing, self.k = order, smoothing, k
        self.discount, self.min_counts, self.boundary = discount, min_counts, boundary
        self.vocab_size = 0
        self.orders: list[_Order] = []

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(o.keys):,}" for o in self.orders) or "not fitted"
        return f"NGramLM(order={self.order}, smoothing={self.smoothing!r}; n-grams of each order: {sizes})"

    def fit(self, ids: torch.Tensor | np.ndarray, vocab_size: int) -> "NGramLM":
        """Count the n-grams of a text.

        Parameters
        ----------
        ids : LongTensor or integer array (N,)
            The training text, cut nowhere.
        vocab_size : int
            V, the number of types.

        Returns
        -------
        NGramLM
            The model itself.

        Raises
        ------
        LMTutorError
            When the text is shorter than the order, or holds an id outside the vocabulary.
        """
        ids = self._checked(ids, vocab_size)
        if len(ids) < self.order:
            raise LMTutorError(f"NGramLM.fit: {len(ids)} tokens are fewer than the order {self.order}.")
        self.vocab_size = vocab_size
        tables, numbers = [], np.zeros(len(ids), dtype=np.int64)  # the empty history has number 0
        for length in range(1, self.order + 1):
            # `history` holds, for each position, the number of the (length − 1)-gram just before it.
            history = numbers if length == 1 else self._moved_on(numbers, ids, length - 1)
            there = np.flatnonzero(history >= 0)
            keys, first, number, counts = np.unique(
                history[there] * vocab_size + ids[there],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            numbers = np.full(len(ids), TOO_LONG)
            numbers[there] = number
            tables.append((keys, there[first], numbers, counts))
        self.orders = []
        for length, (keys, ends, numbers, counts) in enumerate(tables, start=1):
            if self.smoothing.endswith("kneser-ney") and length < self.order:
                # Each different (k+1)-gram, cut by its oldest word, is one continuation of the k-gram left.
                continuations = np.bincount(numbers[tables[length][1]], minlength=len(keys))
                # Nothing comes before a sentence start: k-grams that begin with one keep their occurrences.
                starts = length > 1 and self.boundary is not None and ids[ends - length + 1] == self.boundary
                counts = np.where(starts, counts, continuations)
            n_histories = max(1, len(tables[length - 2][0])) if length > 1 else 1  # of sentence ends alone: none
            self.orders.append(self._order(length, keys, counts, n_histories))
        return self

    def _moved_on(self, numbers: np.ndarray, ids: np.ndarray, length: int) -> np.ndarray:
        """Turn the number of the k-gram that *ends* at each row into that of the k-gram *before* each row."""
        if length > 1 and self.boundary is not None:  # a boundary may only be the oldest word of a history
            numbers = np.where(ids == self.boundary, TOO_LONG, numbers)
        return np.concatenate([np.full_like(numbers[:1], TOO_LONG), numbers[:-1]])

    def _order(self, length: int, keys: np.ndarray, counts: np.ndarray, n_histories: int) -> _Order:
        history = keys // self.vocab_size
        totals = np.bincount(history, weights=counts, minlength=n_histories)
        discounts = self._discounts(length, counts)
        lost = discounts[np.minimum(counts, 3)]
        if self.min_counts is not None:
            rare = counts < self.min_counts[length - 1]
            lost, counts = np.where(rare, counts, lost), np.where(rare, 0, counts)
        left_over = np.bincount(history, weights=lost, minlength=n_histories)
        return _Order(keys, counts, totals, discounts, left_over)

    def _discounts(self, length: int, counts: np.ndarray) -> np.ndarray:
        """Return what counts of 0, 1, 2 and 3 or more lose; (4,) float."""
        if not self.smoothing.endswith("kneser-ney"):
            return np.zeros(4)
        if self.discount is not None:
            return np.array([0.0] + [self.discount[length - 1]] * 3)
        # n1 … n4: how many k-grams were seen once … four times. A tiny text may have none of some kind:
        # one imaginary k-gram keeps the quotients finite there.
        n = np.maximum(np.bincount(np.minimum(counts, 5), minlength=6)[1:5], 1)
        single = n[0] / (n[0] + 2 * n[1])
        if self.smoothing == "kneser-ney":
            return np.array([0.0, single, single, single])
        # In a text of pasted pieces an estimate may fall to 0 or below, and would leave nothing for unseen words.
        three = [j - (j + 1) * single * n[j] / n[j - 1] for j in (1, 2, 3)]
        return np.array([0.0, *(discount if discount > 0 else single for discount in three)])

    def score(self, ids: torch.Tensor | np.ndarray) -> np.ndarray:
        """Return the log-probability in nats of every token but the first; (N,) ids → (N − 1,) float64."""
        ids = self._checked(ids, self._fitted().vocab_size)[:, None]
        histories = [h[1:] for h in self._histories(ids)]
        return self._log_probs(histories, ids[1:])[:, 0]

    def _histories(self, text: np.ndarray) -> list[np.ndarray]:
        """Number the histories of length 0 … n − 1 before each row; (L, B) ids, −1 for none → n × (L, B)."""
        numbers = np.zeros_like(text)
        histories = [numbers]
        for length, order in enumerate(self.orders[:-1], start=1):
            history = histories[-1]
            numbers = self._find(order, history, text)[0]
            numbers[(history == TOO_LONG) | (text < 0)] = TOO_LONG
            histories.append(self._moved_on(numbers, text, length))
        return histories

    def _find(self, order: _Order, history: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look up k-grams by history number and last word; → their numbers (UNSEEN if new) and counts."""
        keys = np.where((history >= 0) & (words >= 0), history * self.vocab_size + words, -1)
        if not len(order.keys):  # a text of sentence ends alone has no longer k-grams
            return np.full(keys.shape, UNSEEN), np.zeros(keys.shape, dtype=np.int64)
        at = np.minimum(np.searchsorted(order.keys, keys), len(order.keys) - 1)
        found = order.keys[at] == keys
        return np.where(found, at, UNSEEN), np.where(found, order.counts[at], 0)

    def _log_probs(self, histories: list[np.ndarray], words: np.ndarray) -> np.ndarray:
        """Return log p(word | history) in nats; numbers and words broadcast together."""
        p = np.full(np.broadcast_shapes(histories[0].shape, words.shape), 1.0 / self.vocab_size)
        for order, history in zip(self.orders, histories, strict=True):
            count = self._find(order, history, words)[1]
            h = np.maximum(history, 0)
            total = np.where(history >= 0, order.totals[h], 0.0)
            if self.smoothing == "add-k":  # the longest history that is there decides, even when never seen
                p = np.where(history == TOO_LONG, p, (count + self.k) / (total + self.k * self.vocab_size))
                continue
            kept = count - order.discounts[np.minimum(count, 3)]
            mixed = (kept + order.left_over[h] * p) / np.where(total > 0, total, 1.0)
            p = np.where(total > 0, mixed, p)
        with np.errstate(divide="ignore"):
            return np.log(p)

    def initial_state(self, batch_size: int) -> torch.Tensor:
        """Return an empty history; (n − 1, B, 1) of −1, which stands for "nothing there yet"."""
        return torch.full((self.order - 1, batch_size, 1), -1, dtype=torch.long)

    def target_log_probs(
        self, inputs: torch.Tensor, targets: torch.Tensor, state: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score the targets.

        Parameters
        ----------
        inputs, targets : LongTensor (T, B)
            Ids; a target of −100 is not scored and gets 0.
        state : LongTensor (n − 1, B, 1) or None
            The ids before `inputs`, −1 where there are none.

        Returns
        -------
        (float64 tensor (T, B), LongTensor (n − 1, B, 1))
            Log-probability of each target in nats, and the last n − 1 ids seen.
        """
        seen = self._seen(inputs, state)
        words = targets.cpu().numpy()
        log_p = self._log_probs([h[-len(words) :] for h in self._after(seen)], words)
        log_p = torch.from_numpy(np.where(words < 0, 0.0, log_p))
        return log_p.to(targets.device), self._tail(seen)[..., None]

    def next_log_probs(self, inputs: torch.Tensor, state: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Score every type as the token after the last; (T, B) ids → (B, V) nats, state (n − 1, B, 1)."""
        seen = self._seen(inputs, state)
        last = [h[-1][:, None] for h in self._after(seen[-self.order :])]
        log_p = self._log_probs(last, np.arange(self.vocab_size)[None])
        return torch.from_numpy(log_p).to(inputs.device), self._tail(seen)[..., None]

    def _fitted(self) -> "NGramLM":
        if not self.orders:
            raise LMTutorError("NGramLM: this model has seen no text; call .fit(ids, vocab_size) first.")
        return self

    def _seen(self, inputs: torch.Tensor, state: torch.Tensor | None) -> torch.Tensor:
        state = self.initial_state(inputs.shape[1]) if state is None else state
        return torch.cat([state[..., 0].to(inputs.device), inputs])

    def _after(self, seen: torch.Tensor) -> list[np.ndarray]:
        """Number the histories that *end* at each row; (L, B) ids → n arrays (L, B)."""
        text = self._fitted()._checked(seen, self.vocab_size, lowest=-1)
        padded = np.vstack([text, np.full_like(text[:1], -1)])
        return [h[1:] for h in self._histories(padded)]

    def _tail(self, seen: torch.Tensor) -> torch.Tensor:
        return seen[len(seen) - self.order + 1 :]

    @staticmethod
    def _checked(ids: torch.Tensor | np.ndarray, vocab_size: int, lowest: int = 0) -> np.ndarray:
        ids = (ids.cpu().numpy() if isinstance(ids, torch.Tensor) else np.asarray(ids)).astype(np.int64)
        if len(ids) == 0:
            raise LMTutorError("NGramLM: the text is empty; give at least one token.")
        if ids.min() < lowest or ids.max() >= vocab_size:
            raise LMTutorError(f"NGramLM: an id is outside 0…{vocab_size - 1}; use the vocabulary of the text.")
        return ids
