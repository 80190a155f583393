"""Recurrences whose gates see the input alone: minGRU, minLSTM and the real-gated linear recurrence. Chapter 09.

All are called as `torch.nn.GRU` is: ``output (T, B, H), state = layer(x (T, B, E), state)``. Gates that do not wait for
the last hidden state are known for all steps at once. What is left is ``h_t = a_t h_{t-1} + b_t`` with `a` between 0
and 1, which `qrnn.linear_recurrence` computes step by step or in parallel, whichever is faster.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmtutor.models.qrnn import linear_recurrence


class LinearRNN(nn.Module):
    """A layer ``h_t = a_t h_{t-1} + b_t``; a subclass says how `a` and `b` come from ``parts`` maps of the input.

    Parameters
    ----------
    input_size, hidden_size : E and H, units.
    """

    parts: int

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.inner = nn.Linear(input_size, self.parts * hidden_size)

    def initial_state(self, batch_size: int) -> Tensor:
        """Zeros, (1, B, H)."""
        return self.inner.weight.new_zeros(1, batch_size, self.hidden_size)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (T, B, E) on from `state` (1, B, H); return h (T, B, H) and the last of it, (1, B, H)."""
        maps = self.inner(x).to(state.dtype)  # the recurrence itself is never less than float32
        h = linear_recurrence(*self.coefficients(*maps.chunk(self.parts, dim=-1)), state[0])
        return h, h[-1:]

    def coefficients(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        """The `a` and `b` of all steps, (T, B, H) each, from as many maps of the input."""
        raise NotImplementedError


class MinGRU(LinearRNN):
    r"""The GRU without its reset gate, its tanh and its look at :math:`h_{t-1}` (Feng et al. 2024).

    .. math:: z_t = \sigma(W_z x_t + b_z), \quad h_t = (1 - z_t) \odot h_{t-1} + z_t \odot (W_h x_t + b_h)

    The paper's form in log space makes what enters positive; `scan` needs no logarithms, so nothing must be.
    """

    parts = 2

    def coefficients(self, z: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.sigmoid(z)
        return 1 - z, z * candidate


class MinLSTM(LinearRNN):
    r"""The LSTM with gates that see the input alone and sum to 1, and no output gate (Feng et al. 2024).

    .. math::
        f_t = \sigma(W_f x_t + b_f), \quad i_t = \sigma(W_i x_t + b_i), \quad
        h_t = \frac{f_t}{f_t + i_t} \odot h_{t-1} + \frac{i_t}{f_t + i_t} \odot (W_h x_t + b_h)
    """

    parts = 3

    def coefficients(self, f: Tensor, i: Tensor, candidate: Tensor) -> tuple[Tensor, Tensor]:
        f = torch.sigmoid(F.logsigmoid(f) - F.logsigmoid(i))  # f / (f + i), where both may be tiny
        return f, (1 - f) * candidate


class RGLRU(LinearRNN):
    r"""The real-gated linear recurrent unit of Hawk and Griffin (De et al. 2024).

    .. math::
        r_t = \sigma(W_r x_t + b_r), \quad i_t = \sigma(W_i x_t + b_i), \quad a_t = \sigma(\Lambda)^{8 r_t}, \quad
        h_t = a_t \odot h_{t-1} + \sqrt{1 - a_t^2} \odot i_t \odot (W_u x_t)

    The root keeps the size of h: if what enters has variance 1 and is independent from step to step, so has h.
    The equations are the paper's, but for :math:`W_u`: a linear map and a convolution stand before the unit there.
    """

    parts = 3
    power = 8

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size)
        kept = torch.empty(hidden_size).uniform_(0.9, 0.999)  # where r = 1
        self.decay = nn.Parameter(torch.logit(kept ** (1 / self.power)))

    def coefficients(self, r: Tensor, i: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        log_a = self.power * torch.sigmoid(r) * F.logsigmoid(self.decay)
        room = (-torch.expm1(2 * log_a)).clamp(min=torch.finfo(r.dtype).tiny)  # a root has no slope at 0
        return log_a.exp(), room.sqrt() * torch.sigmoid(i) * u


MIN_CELLS: dict[str, type[LinearRNN]] = {"min-gru": MinGRU, "min-lstm": MinLSTM, "rglru": RGLRU}
