"""The character RNN of chapter 02, by hand: forward, backward through time, sampling. NumPy only.

Row t of the text is read by all B columns at once. x_t (B,) are ids, so that a product with a one-hot vector is the
look-up of a row:

    a_t = W_xh[x_t] + h_{t−1} W_hh + b_h                (2.1)      (B, H)
    h_t = tanh(a_t)                                     (2.2)      (B, H)
    z_t = h_t W_hy + b_y                                (2.3)      (B, V)

The softmax (2.4), the loss (2.5) and its gradient (2.6) are in `training.softmax_loss`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtutor.scratch.training import Arrays, check_batch, check_state, one_hot_product, softmax_loss


class CharRNN:
    """A vanilla RNN over symbols.

    Parameters
    ----------
    vocab_size, hidden : int
        V symbols, H units.
    seed : int
        Of the initial weights, which are normal with deviation `scale`.
    dtype : data type
        The gradient check needs float64; float32 trains faster.

    Attributes
    ----------
    params : dict of arrays
        W_xh (V, H), W_hh (H, H), b_h (H,), W_hy (H, V), b_y (V,).
    """

    def __init__(self, vocab_size: int, hidden: int = 100, seed: int = 1, dtype: Any = np.float64, scale: float = 0.01):
        rng = np.random.default_rng(seed)
        self.vocab_size, self.hidden = vocab_size, hidden
        shapes = {"W_xh": (vocab_size, hidden), "W_hh": (hidden, hidden), "W_hy": (hidden, vocab_size)}
        self.params: Arrays = {name: rng.normal(0, scale, shape).astype(dtype) for name, shape in shapes.items()}
        self.params |= {"b_h": np.zeros(hidden, dtype), "b_y": np.zeros(vocab_size, dtype)}

    def initial_state(self, batch_size: int) -> NDArray:
        """Return h before the first symbol: zeros, (B, H)."""
        return np.zeros((batch_size, self.hidden), self.params["W_hh"].dtype)

    def forward(self, x: NDArray, y: NDArray, state: NDArray) -> tuple[float, dict]:
        """Read a window and compare what it predicts with what came.

        Parameters
        ----------
        x, y : int arrays (T, B)
            Symbols read, and the symbols that followed.
        state : float array (B, H)
            From the window before: h_0.

        Returns
        -------
        (float, dict)
            Nats for T symbols, mean over the columns (2.5); and what `backward` needs, with the last h as "state".

        Raises
        ------
        LMTutorError
            When the shapes do not fit or an id is outside the alphabet.
        """
        check_batch(x, y, self.vocab_size)
        check_state(state, (x.shape[1], self.hidden))
        p, steps = self.params, len(x)
        h = np.empty((steps + 1, *state.shape), state.dtype)  # h[t] is h_t; h[0] was carried in
        h[0] = state
        a = p["W_xh"][x] + p["b_h"]  # (T, B, H): this part of (2.1) waits for nobody
        for t in range(steps):
            h[t + 1] = np.tanh(a[t] + h[t] @ p["W_hh"])  # (2.1), (2.2)
        z = h[1:].reshape(-1, self.hidden) @ p["W_hy"] + p["b_y"]  # (2.3), all steps in one product
        loss, dz = softmax_loss(z.reshape(*x.shape, -1), y)
        return loss, {"x": x, "h": h, "dz": dz, "state": h[-1]}

    def backward(self, cache: dict) -> Arrays:
        """Go back through time: the gradients of (2.5) with respect to every parameter.

            dh_t = dz_t W_hyᵀ + da_{t+1} W_hhᵀ                                (2.7)
            da_t = (1 − h_t²) dh_t                                            (2.8)
            dW_hy = Σ h_tᵀ dz_t   dW_hh = Σ h_{t−1}ᵀ da_t   dW_xh[x_t] += da_t   (2.9)

        In (2.7) stand today's error and tomorrow's.

        Returns
        -------
        dict of arrays
            By the names and in the shapes of `params`.
        """
        p, x, h, dz = self.params, cache["x"], cache["h"], cache["dz"]
        steps = len(x)
        flat = dz.reshape(-1, self.vocab_size)
        da = (flat @ p["W_hy"].T).reshape(h[1:].shape)  # (T, B, H): dz W_hyᵀ, turned into da step by step
        slope = 1 - h[1:] ** 2
        W_hh_T = np.ascontiguousarray(p["W_hh"].T)
        da[-1] *= slope[-1]  # nothing comes after the last step
        for t in range(steps - 2, -1, -1):
            da[t] += da[t + 1] @ W_hh_T  # (2.7)
            da[t] *= slope[t]  # (2.8)
        da = da.reshape(-1, self.hidden)
        before, after = (part.reshape(-1, self.hidden) for part in (h[:-1], h[1:]))
        return {  # (2.9): sums over steps and columns, each one product
            "W_xh": one_hot_product(x.ravel(), da, self.vocab_size),
            "W_hh": before.T @ da,
            "b_h": da.sum(axis=0),
            "W_hy": after.T @ flat,
            "b_y": flat.sum(axis=0),
        }

    def error_by_lag(self, cache: dict) -> NDArray:
        """Measure how the error of the *last* step fades on its way back.

        Returns
        -------
        float array (T,)
            At k, the Euclidean norm of ∂loss_T / ∂h_{T−k}, averaged over the columns: (2.7) and (2.8) with the
            errors of all earlier steps left out.
        """
        h, dh = cache["h"], cache["dz"][-1] @ self.params["W_hy"].T
        norms = []
        for t in range(len(cache["x"]), 0, -1):
            norms.append(np.linalg.norm(dh, axis=1).sum())  # each dh holds a 1 / B: this is the mean
            dh = (dh * (1 - h[t] ** 2)) @ self.params["W_hh"].T
        return np.array(norms)

    def sample(
        self, first: int, length: int, seed: int = 1, state: NDArray | None = None, temperature: float = 1.0
    ) -> NDArray:
        """Let the model write: draw a symbol, read it back, draw the next.

        Parameters
        ----------
        first : int
            The id that is read first; it is not part of what is returned.
        length : int
            Symbols to draw.
        seed : int
            Of the drawing.
        state : float array (1, H), optional
            Where to begin (default: zeros).
        temperature : float
            Logits are divided by this.

        Returns
        -------
        int array (length,)
        """
        p, rng = self.params, np.random.default_rng(seed)
        h, symbol, drawn = self.initial_state(1) if state is None else state, first, []
        for _ in range(length):
            h = np.tanh(p["W_xh"][symbol] + h @ p["W_hh"] + p["b_h"])
            z = (h @ p["W_hy"] + p["b_y"])[0].astype(np.float64) / temperature
            chances = np.exp(z - z.max())
            symbol = int(rng.choice(self.vocab_size, p=chances / chances.sum()))
            drawn.append(symbol)
        return np.array(drawn, dtype=int)
