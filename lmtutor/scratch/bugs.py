"""A backward pass with five errors to find: the exercise of chapter 03.

The errors are those of a listing that many people learned from. Each can be switched on alone, so that its symptoms
can be studied: which gradients are off, by how much, and what it does to training. The correct lines, and why they
are so, are in `lstm.CharLSTM.backward`.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from lmtutor.scratch.lstm import CharLSTM
from lmtutor.scratch.training import Arrays
from lmtutor.system.errors import LMTutorError

BUGS = {
    1: "the error from the next step has the wrong sign",
    2: "the error from the next step comes through the candidate only, not through the three gates",
    3: "the error of the cell is carried back by this step's forget gate, not the next one's",
    4: "the peepholes of the input and forget gates are trained with the present cell, not the previous one",
    5: "the error of the input gate multiplies the previous cell, not the candidate",
}


class BrokenLSTM(CharLSTM):
    """A `CharLSTM` whose forward pass is right and whose backward pass is wrong.

    Parameters
    ----------
    vocab_size, hidden : int
        V symbols, H cells.
    bugs : iterable of int
        Which of `BUGS` to switch on (default: all five); none makes the backward pass right.
    **options
        Those of `CharLSTM`; peepholes stay on.

    Raises
    ------
    LMTutorError
        For a bug that does not exist.
    """

    def __init__(self, vocab_size: int, hidden: int = 100, bugs: Iterable[int] = tuple(BUGS), **options: Any):
        super().__init__(vocab_size, hidden, peepholes=True, **options)
        self.bugs = frozenset(bugs)
        if not self.bugs <= BUGS.keys():
            raise LMTutorError(f"BrokenLSTM: bugs {sorted(self.bugs - BUGS.keys())} are not among 1 to 5.")

    def backward(self, cache: dict) -> Arrays:
        """Go back through time, with the chosen errors."""
        i, f, g, o, c, dz = (cache[k] for k in ("i", "f", "g", "o", "c", "dz"))
        steps, H = len(i), self.hidden
        p_i, p_f, p_o = (self.params[f"p_{k}"] for k in "ifo")
        dh = (dz.reshape(-1, self.vocab_size) @ self.params["W_hy"].T).reshape(i.shape)
        W_h_T = self.stacked("W_h").T.copy()
        if 2 in self.bugs:  # keep the rows of g alone
            W_h_T[: 2 * H] = 0
            W_h_T[3 * H :] = 0
        sign = -1 if 1 in self.bugs else 1
        tanh_c = np.tanh(c[1:])
        delta = np.zeros((*i.shape[:2], 4 * H), i.dtype)
        d_i, d_f, d_g, d_o = (delta[..., k * H : (k + 1) * H] for k in range(4))
        dc = np.zeros_like(i)
        for t in range(steps - 1, -1, -1):
            carried = 0.0
            if t < steps - 1:
                dh[t] += sign * delta[t + 1] @ W_h_T
                gate = f[t] if 3 in self.bugs else f[t + 1]
                carried = gate * dc[t + 1] + p_i * d_i[t + 1] + p_f * d_f[t + 1]
            d_o[t] = dh[t] * tanh_c[t] * o[t] * (1 - o[t])
            dc[t] = dh[t] * o[t] * (1 - tanh_c[t] ** 2) + p_o * d_o[t] + carried
            d_i[t] = dc[t] * (c[t] if 5 in self.bugs else g[t]) * i[t] * (1 - i[t])
            d_f[t] = dc[t] * c[t] * f[t] * (1 - f[t])
            d_g[t] = dc[t] * i[t] * (1 - g[t] ** 2)
        grads = self.collect(cache, delta)
        if 4 in self.bugs:
            grads["p_i"], grads["p_f"] = ((c[1:] * d).sum(axis=(0, 1)) for d in (d_i, d_f))
        return grads
