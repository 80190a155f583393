"""What the hand-written models of chapters 02 and 03 share: text to ids, the softmax, Adagrad, the training loop.

Shapes are time-major: T steps, B columns, H units, V symbols. Losses are in nats.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lmtutor.system.errors import LMTutorError

Arrays = dict[str, NDArray]  # parameters, gradients: one array a name


class Model(Protocol):
    """What the training loop needs of a hand-written model."""

    params: Arrays

    def initial_state(self, batch_size: int) -> Any: ...

    def forward(self, x: NDArray, y: NDArray, state: Any) -> tuple[float, dict]: ...

    def backward(self, cache: dict) -> Arrays: ...


def encode(text: str) -> tuple[NDArray, str]:
    """Number the characters of a text.

    Returns
    -------
    (int array (N,), str)
        The ids, and the alphabet in the order of the ids. It is sorted: the same text gives the same ids in every
        run, which `list(set(text))` does not promise.

    Raises
    ------
    LMTutorError
        When the text is empty, or has one symbol only, so that there is nothing to predict.
    """
    alphabet = "".join(sorted(set(text)))
    if len(alphabet) < 2:
        what = f"only the symbol {alphabet!r}" if alphabet else "no characters"
        raise LMTutorError(f"encode: the text has {what}; give a text with at least two different ones.")
    points = np.array([ord(c) for c in alphabet])
    return np.searchsorted(points, np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)), alphabet


def columns(ids: NDArray, batch_size: int) -> NDArray:
    """Lay a text out in B columns, to be read side by side.

    Column b is the text from its b-th part on. The parts are of one length, so where N − 1 predictions do not
    divide evenly, neighbours overlap by a few symbols: no symbol of the text is dropped.

    Parameters
    ----------
    ids : int array (N,)
    batch_size : int
        B columns.

    Returns
    -------
    int array (L + 1, B)
        L rows to read, each row's answers in the row below.

    Raises
    ------
    LMTutorError
        When the text has fewer than B + 1 symbols.
    """
    n = len(ids)
    if batch_size < 1 or n < batch_size + 1:
        raise LMTutorError(f"columns: {n} symbols do not fill {batch_size} columns; take fewer, or a longer text.")
    length = -(-(n - 1) // batch_size)  # rounded up
    starts = np.linspace(0, n - 1 - length, batch_size).astype(int)
    return ids[starts + np.arange(length + 1)[:, None]]


def softmax_loss(z: NDArray, y: NDArray) -> tuple[float, NDArray]:
    """Return the loss (2.5) and the gradient of the logits (2.6).

        p_t = softmax(z_t)                                                                   (2.4)
        L   = −Σ_t log p_t[y_t], the mean over the columns                                   (2.5)
        dz  = (p − onehot(y)) / B                                                            (2.6)

    The largest logit is subtracted first: the probabilities stay as they are, and `exp` cannot overflow.

    Parameters
    ----------
    z : float array (T, B, V)
        Logits.
    y : int array (T, B)
        The ids that followed.

    Returns
    -------
    (float, float array (T, B, V))
        Nats for T symbols, and dL/dz.
    """
    p = z - z.max(axis=-1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=-1, keepdims=True)
    t, b = np.ogrid[: len(y), : y.shape[1]]
    loss = -np.log(np.maximum(p[t, b, y], np.finfo(p.dtype).tiny)).sum() / y.shape[1]
    p[t, b, y] -= 1
    p /= y.shape[1]
    return float(loss), p


def one_hot_product(x: NDArray, da: NDArray, vocab_size: int) -> NDArray:
    """Add up the rows of da (N, K) by the symbol x (N,) that each belongs to; (V, K).

    This is onehot(x)ᵀ da: the gradient of a table of which each step reads one row.
    """
    hot = np.zeros((len(x), vocab_size), dtype=da.dtype)
    hot[np.arange(len(x)), x] = 1
    return hot.T @ da


def adagrad(params: Arrays, grads: Arrays, memory: Arrays, lr: float = 0.05, clip: float = 5.0) -> None:
    """Change the parameters by one step of Adagrad (Duchi, Hazan and Singer 2011), in place.

        g ← clip(dL/dθ, −5, 5),   m ← m + g²,   θ ← θ − lr · g / √(m + 10⁻⁸)           (2.10)

    A weight that has moved much takes small steps; one that is rarely used takes large ones.

    Parameters
    ----------
    params, grads, memory : dict of float arrays
        By name. `memory` begins with zeros.
    lr : float
        Learning rate.
    clip : float
        Largest size of a single number of the gradient.
    """
    for name, theta in params.items():
        g = np.clip(grads[name], -clip, clip)
        memory[name] += g * g
        theta -= lr * g / np.sqrt(memory[name] + 1e-8)


def train(
    model: Model,
    ids: NDArray,
    *,
    batch_size: int = 16,
    steps: int = 25,
    lr: float = 0.05,
    clip: float = 5.0,
    carry: bool = True,
    epochs: int | None = None,
) -> Iterator[tuple[int, float]]:
    """Train by truncated backpropagation through time, one window at each `next`.

    The columns are read window by window, `steps` rows at a time. The state at the end of one window is the
    state at the beginning of the next (`carry`), but no gradient flows back across: that is the truncation.
    At the end of the text the state is cleared and reading begins again.

    Parameters
    ----------
    model : CharRNN or CharLSTM
        Changed in place.
    ids : int array (N,)
        The text.
    batch_size, steps : int
        B columns; T steps through which the gradient flows.
    lr, clip : float
        See `adagrad`.
    carry : bool
        False clears the state before each window.
    epochs : int, optional
        Readings of the text; None never ends.

    Yields
    ------
    (int, float)
        Symbols read so far, and the loss of the window just read in bits per symbol, before the step it caused.

    Raises
    ------
    LMTutorError
        When a column is shorter than a window.
    """
    text = columns(ids, batch_size)
    length = len(text) - 1
    if length < steps:
        raise LMTutorError(f"train: a column has {length} symbols, too few for a window of {steps}: use fewer.")
    memory = {name: np.zeros_like(theta) for name, theta in model.params.items()}
    seen, epoch = 0, 0
    while epochs is None or epoch < epochs:
        state = model.initial_state(batch_size)
        for start in range(0, length, steps):
            rows = text[start : start + steps + 1]  # the last window may be shorter: the tail counts too
            loss, cache = model.forward(rows[:-1], rows[1:], state)
            adagrad(model.params, model.backward(cache), memory, lr, clip)
            state = cache["state"] if carry else model.initial_state(batch_size)
            seen += rows[1:].size
            yield seen, loss / (len(rows) - 1) / np.log(2)
        epoch += 1


def bits_per_symbol(model: Model, ids: NDArray, chunk: int = 1000) -> float:
    """Score a text: one column, state carried all through, every symbol but the first; mean bits.

    Raises
    ------
    LMTutorError
        When there is no second symbol to score.
    """
    if len(ids) < 2:
        raise LMTutorError(f"bits_per_symbol: {len(ids)} symbols leave nothing to score; give two or more.")
    text, state, nats = ids[:, None], model.initial_state(1), 0.0
    for start in range(0, len(ids) - 1, chunk):
        rows = text[start : start + chunk + 1]
        loss, cache = model.forward(rows[:-1], rows[1:], state)
        nats, state = nats + loss, cache["state"]
    return nats / (len(ids) - 1) / np.log(2)


def check_batch(x: NDArray, y: NDArray, vocab_size: int) -> None:
    """Refuse inputs and targets that a model cannot read.

    Raises
    ------
    LMTutorError
        When they are not two (T, B) arrays of one shape, or hold ids outside 0 … V − 1.
    """
    if x.ndim != 2 or x.shape != y.shape or x.size == 0:
        raise LMTutorError(f"forward: inputs {x.shape} and targets {y.shape} must both be (T, B), not empty.")
    if min(x.min(), y.min()) < 0 or max(x.max(), y.max()) >= vocab_size:
        raise LMTutorError(f"forward: an id is outside 0…{vocab_size - 1}; encode with the model's alphabet.")


def check_state(state: NDArray, shape: tuple[int, int]) -> None:
    """Refuse a carried state of another shape than (B, H)."""
    if state.shape != shape:
        raise LMTutorError(f"forward: the state must be (B, H) = {shape} (got {state.shape}).")
