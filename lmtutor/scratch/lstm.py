"""The character LSTM with peepholes of chapter 03, by hand: forward, backward through time. NumPy only.

σ is the logistic function, ∘ multiplies element by element. Gates i (input), f (forget), o (output), candidate g,
cell c, hidden state h, all (B, H); x_t (B,) are ids:

    i_t = σ(W_xi[x_t] + h_{t−1} W_hi + p_i ∘ c_{t−1} + b_i)                              (3.1)
    f_t = σ(W_xf[x_t] + h_{t−1} W_hf + p_f ∘ c_{t−1} + b_f)                              (3.2)
    g_t = tanh(W_xg[x_t] + h_{t−1} W_hg + b_g)                                           (3.3)
    c_t = f_t ∘ c_{t−1} + i_t ∘ g_t                                                      (3.4)
    o_t = σ(W_xo[x_t] + h_{t−1} W_ho + p_o ∘ c_t + b_o)                                  (3.5)
    h_t = o_t ∘ tanh(c_t)                                                                (3.6)
    z_t = h_t W_hy + b_y                                                                 (3.7)

The softmax and the loss are those of chapter 02. The order of the four blocks in stacked arrays is i, f, g, o.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmtutor.scratch.training import Arrays, check_batch, check_state, one_hot_product, softmax_loss

LSTMState = tuple[NDArray, NDArray]  # h (B, H), c (B, H)
BLOCKS = "ifgo"


def sigmoid(a: NDArray) -> NDArray:
    """σ(a) = 1 / (1 + e^−a), written with tanh so that nothing overflows."""
    return 0.5 + 0.5 * np.tanh(0.5 * a)


class CharLSTM:
    """An LSTM over symbols, with or without peepholes.

    Parameters
    ----------
    vocab_size, hidden : int
        V symbols, H cells.
    peepholes : bool
        False leaves out p_i, p_f and p_o: the LSTM of `torch.nn.LSTM`.
    seed : int
        Of the initial weights, which are normal with deviation `scale`.
    dtype : data type
        The gradient check needs float64; float32 trains faster.
    forget_bias : float
        First value of b_f: above 0 the cell begins by remembering.

    Attributes
    ----------
    params : dict of arrays
        For each block k of i, f, g, o: W_xk (V, H), W_hk (H, H), b_k (H,); p_i, p_f, p_o (H,); W_hy (H, V), b_y (V,).
    """

    def __init__(
        self,
        vocab_size: int,
        hidden: int = 100,
        peepholes: bool = True,
        seed: int = 1,
        dtype: Any = np.float64,
        scale: float = 0.05,
        forget_bias: float = 1.0,
    ):
        rng = np.random.default_rng(seed)
        self.vocab_size, self.hidden, self.peepholes = vocab_size, hidden, peepholes
        shapes = {f"W_x{k}": (vocab_size, hidden) for k in BLOCKS}
        shapes |= {f"W_h{k}": (hidden, hidden) for k in BLOCKS}
        shapes |= {f"p_{k}": (hidden,) for k in "ifo" if peepholes} | {"W_hy": (hidden, vocab_size)}
        self.params: Arrays = {name: rng.normal(0, scale, shape).astype(dtype) for name, shape in shapes.items()}
        self.params |= {f"b_{k}": np.zeros(hidden, dtype) for k in BLOCKS} | {"b_y": np.zeros(vocab_size, dtype)}
        self.params["b_f"] += forget_bias

    def initial_state(self, batch_size: int) -> LSTMState:
        """Return h and c before the first symbol: zeros, (B, H) each."""
        zeros = np.zeros((batch_size, self.hidden), self.params["W_hi"].dtype)
        return zeros, zeros.copy()

    def stacked(self, kind: str) -> NDArray:
        """Put the four blocks of W_x, W_h or b side by side, in the order i f g o: one product instead of four."""
        return np.concatenate([self.params[f"{kind}{k}"] for k in BLOCKS], axis=-1)

    def peephole(self, k: str) -> NDArray | float:
        """Return p_k (H,), or 0 without peepholes."""
        return self.params[f"p_{k}"] if self.peepholes else 0.0

    def forward(self, x: NDArray, y: NDArray, state: LSTMState) -> tuple[float, dict]:
        """Read a window and compare what it predicts with what came.

        Parameters
        ----------
        x, y : int arrays (T, B)
            Symbols read, and the symbols that followed.
        state : (h, c), float arrays (B, H)
            From the window before.

        Returns
        -------
        (float, dict)
            Nats for T symbols, mean over the columns; and what `backward` needs: the gates "i" "f" "g" "o" (T, B, H),
            "c" and "h" (T + 1, B, H) with what was carried in as number 0, and the last (h, c) as "state".

        Raises
        ------
        LMTutorError
            When the shapes do not fit or an id is outside the alphabet.
        """
        check_batch(x, y, self.vocab_size)
        for part in state:
            check_state(part, (x.shape[1], self.hidden))
        p, steps, H = self.params, len(x), self.hidden
        p_i, p_f, p_o = (self.peephole(k) for k in "ifo")
        a = self.stacked("W_x")[x] + self.stacked("b_")  # (T, B, 4H), becomes i f g o in place
        W_h = self.stacked("W_h")
        h, c = (np.empty((steps + 1, *part.shape), part.dtype) for part in state)
        h[0], c[0] = state
        i, f, g, o = (a[..., k * H : (k + 1) * H] for k in range(4))  # views into a
        for t in range(steps):
            a[t] += h[t] @ W_h
            i[t] = sigmoid(i[t] + p_i * c[t])  # (3.1)
            f[t] = sigmoid(f[t] + p_f * c[t])  # (3.2)
            g[t] = np.tanh(g[t])  # (3.3)
            c[t + 1] = f[t] * c[t] + i[t] * g[t]  # (3.4)
            o[t] = sigmoid(o[t] + p_o * c[t + 1])  # (3.5)
            h[t + 1] = o[t] * np.tanh(c[t + 1])  # (3.6)
        z = h[1:].reshape(-1, H) @ p["W_hy"] + p["b_y"]  # (3.7)
        loss, dz = softmax_loss(z.reshape(*x.shape, -1), y)
        cache = {"x": x, "i": i, "f": f, "g": g, "o": o, "c": c, "h": h, "dz": dz}
        return loss, cache | {"state": (h[-1].copy(), c[-1].copy())}

    def backward(self, cache: dict) -> Arrays:
        """Go back through time: the gradient of every parameter.

        δ^k is the error of the net input of block k. With δ = 0 after the last step:

            dh_t = dz_t W_hyᵀ + Σ_k δ^k_{t+1} W_hkᵀ,  k = i f g o                        (3.8)
            δ^o_t = dh_t ∘ tanh(c_t) ∘ o_t (1 − o_t)                                     (3.9)
            dc_t = dh_t ∘ o_t (1 − tanh²c_t) + p_o ∘ δ^o_t
                   + f_{t+1} ∘ dc_{t+1} + p_i ∘ δ^i_{t+1} + p_f ∘ δ^f_{t+1}              (3.10)
            δ^i_t = dc_t ∘ g_t ∘ i_t (1 − i_t)                                           (3.11)
            δ^f_t = dc_t ∘ c_{t−1} ∘ f_t (1 − f_t)                                       (3.12)
            δ^g_t = dc_t ∘ i_t ∘ (1 − g_t²)                                              (3.13)
            dW_xk[x_t] += δ^k_t    dW_hk = Σ h_{t−1}ᵀ δ^k_t    db_k = Σ δ^k_t
            dp_i = Σ c_{t−1} ∘ δ^i_t   dp_f = Σ c_{t−1} ∘ δ^f_t   dp_o = Σ c_t ∘ δ^o_t   (3.14)

        Returns
        -------
        dict of arrays
            By the names and in the shapes of `params`.
        """
        x, i, f, g, o, c, h, dz = (cache[k] for k in ("x", "i", "f", "g", "o", "c", "h", "dz"))
        steps, H = len(x), self.hidden
        p_i, p_f, p_o = (self.peephole(k) for k in "ifo")
        flat = dz.reshape(-1, self.vocab_size)
        dh = (flat @ self.params["W_hy"].T).reshape(i.shape)
        W_h_T = np.ascontiguousarray(self.stacked("W_h").T)
        tanh_c = np.tanh(c[1:])
        delta = np.empty((*i.shape[:2], 4 * H), i.dtype)  # (T, B, 4H)
        d_i, d_f, d_g, d_o = (delta[..., k * H : (k + 1) * H] for k in range(4))
        dc_later = 0.0  # the last three terms of (3.10)
        for t in range(steps - 1, -1, -1):
            if t < steps - 1:
                dh[t] += delta[t + 1] @ W_h_T  # (3.8)
            d_o[t] = dh[t] * tanh_c[t] * o[t] * (1 - o[t])  # (3.9)
            dc = dh[t] * o[t] * (1 - tanh_c[t] ** 2) + p_o * d_o[t] + dc_later  # (3.10)
            d_i[t] = dc * g[t] * i[t] * (1 - i[t])  # (3.11)
            d_f[t] = dc * c[t] * f[t] * (1 - f[t])  # (3.12): c[t] is c_{t−1}
            d_g[t] = dc * i[t] * (1 - g[t] ** 2)  # (3.13)
            dc_later = f[t] * dc + p_i * d_i[t] + p_f * d_f[t]
        return self.collect(cache, delta)

    def collect(self, cache: dict, delta: NDArray) -> Arrays:
        """Add up the gradients of the parameters (3.14) from the errors of the net inputs, (T, B, 4H)."""
        x, c, h, H = cache["x"], cache["c"], cache["h"], self.hidden
        flat, errors = cache["dz"].reshape(-1, self.vocab_size), delta.reshape(-1, 4 * H)
        stacked = {
            "W_x": one_hot_product(x.ravel(), errors, self.vocab_size),
            "W_h": h[:-1].reshape(-1, H).T @ errors,
            "b_": errors.sum(axis=0),
        }
        grads = {
            f"{kind}{k}": part
            for kind, whole in stacked.items()
            for k, part in zip(BLOCKS, np.split(whole, 4, axis=-1), strict=True)
        }
        grads |= {"W_hy": h[1:].reshape(-1, H).T @ flat, "b_y": flat.sum(axis=0)}
        if self.peepholes:
            d_i, d_f, _, d_o = np.split(delta, 4, axis=-1)
            for k, seen, d in (("i", c[:-1], d_i), ("f", c[:-1], d_f), ("o", c[1:], d_o)):
                grads[f"p_{k}"] = (seen * d).sum(axis=(0, 1))
        return grads

    def error_by_lag(self, cache: dict) -> dict[str, NDArray]:
        """Measure how the error of the *last* step fades on its way back.

        Returns
        -------
        dict of float arrays (T,)
            At k, the Euclidean norm of ∂loss_T / ∂h_{T−k} as "h", of ∂loss_T / ∂c_{T−k} as "c", averaged over the
            columns: (3.8) to (3.13) with the errors of all earlier steps left out.
        """
        i, f, g, o, c = (cache[k] for k in "ifgoc")
        W_h_T, (p_i, p_f, p_o) = self.stacked("W_h").T, (self.peephole(k) for k in "ifo")
        dh, dc_later, norms = cache["dz"][-1] @ self.params["W_hy"].T, 0.0, {"h": [], "c": []}
        for t in range(len(i) - 1, -1, -1):
            tanh_c = np.tanh(c[t + 1])
            d_o = dh * tanh_c * o[t] * (1 - o[t])
            dc = dh * o[t] * (1 - tanh_c**2) + p_o * d_o + dc_later
            norms["h"].append(np.linalg.norm(dh, axis=1).sum())  # each dh holds a 1 / B: this is the mean
            norms["c"].append(np.linalg.norm(dc, axis=1).sum())
            d_i, d_f = dc * g[t] * i[t] * (1 - i[t]), dc * c[t] * f[t] * (1 - f[t])
            dc_later = f[t] * dc + p_i * d_i + p_f * d_f
            dh = np.concatenate([d_i, d_f, dc * i[t] * (1 - g[t] ** 2), d_o], axis=1) @ W_h_T
        return {name: np.array(values) for name, values in norms.items()}

    @classmethod
    def of_torch(cls, model) -> "CharLSTM":
        """Copy a one-layer LSTM of `lmtutor.models`; its embedding times its input matrix becomes the table W_x."""

        def array(tensor) -> NDArray:
            return tensor.detach().double().numpy()

        cell, twin = model.layers[0], cls(model.vocab_size, model.layers[0].hidden_size, peepholes=False)
        parts = (getattr(cell, f"{kind}_l0") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        for k, w_ih, w_hh, b_ih, b_hh in zip(BLOCKS, *(np.split(array(part), 4) for part in parts), strict=True):
            twin.params[f"W_x{k}"] = array(model.embedding.weight) @ w_ih.T
            twin.params[f"W_h{k}"], twin.params[f"b_{k}"] = w_hh.T.copy(), b_ih + b_hh
        twin.params["W_hy"], twin.params["b_y"] = array(model.head.weight).T.copy(), array(model.head.bias)
        return twin
