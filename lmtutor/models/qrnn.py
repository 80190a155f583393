"""The quasi-recurrent layer: all matrix products at once, and a recurrence that needs none. Chapter 06."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lmtutor.models.regularise import call_with_weight_drop
from lmtutor.system.errors import LMTutorError

LOOP_FROM = 4096  # numbers per step: on the CPU, steps at least this wide are faster one after the other


def scan(a: Tensor, b: Tensor) -> Tensor:
    r"""All :math:`x_t = a_t x_{t-1} + b_t` from :math:`x_{-1} = 0`, in about 2 log T passes instead of T steps.

    Two steps make one of the same form, :math:`x_t = a_t a_{t-1} x_{t-2} + (a_t b_{t-1} + b_t)`. So: join neighbours,
    solve the problem of half the length, and fill in the steps between (Blelloch 1990). The work is that of 3T
    steps whatever T. There is no division and, with every `a` between 0 and 1, nothing that could overflow.

    Parameters
    ----------
    a, b : (T, …), of one shape; T at least 1. ``a[0]`` does not matter.

    Returns
    -------
    x : (T, …). No gradient flows through it: see `linear_recurrence`.
    """
    steps = len(b)
    if steps == 1:
        return b
    first, second = slice(0, steps - 1, 2), slice(1, None, 2)  # of each pair of neighbours
    x = torch.empty_like(b)
    x[0] = b[0]
    x[second] = scan(a[second] * a[first], torch.addcmul(b[second], a[second], b[first]))
    if steps > 2:
        torch.addcmul(b[2::2], a[2::2], x[1 : steps - 1 : 2], out=x[2::2])
    return x


def loop(a: Tensor, b: Tensor) -> Tensor:
    """The same, one step after the other."""
    x = torch.empty_like(b)
    x[0] = b[0]
    for t in range(1, len(b)):
        torch.addcmul(b[t], a[t], x[t - 1], out=x[t])
    return x


def recurrence(a: Tensor, b: Tensor) -> Tensor:
    """The faster of `scan` and `loop`.

    A GPU has no time to lose with starting T small jobs. A CPU core computes one number after the other anyway; if
    a step has many of them, the loop's smaller memory traffic wins.
    """
    return loop(a, b) if b.device.type == "cpu" and b[0].numel() >= LOOP_FROM else scan(a, b)


class LinearRecurrence(torch.autograd.Function):
    """The recurrence and its gradient, which is the same recurrence run backwards."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor, x0: Tensor) -> Tensor:
        b = b.clone()
        b[0].addcmul_(a[0], x0)
        x = recurrence(a, b)
        ctx.save_for_backward(a, x0, x)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, x0, x = ctx.saved_tensors
        # δ_t = grad_t + a_{t+1} δ_{t+1}, from the last step to the first
        delta = recurrence(a.roll(-1, 0).flip(0), grad.flip(0)).flip(0)
        return delta * torch.cat([x0[None], x[:-1]]), delta, delta[0] * a[0]


def linear_recurrence(a: Tensor, b: Tensor, x0: Tensor) -> Tensor:
    r"""All :math:`x_t = a_t \odot x_{t-1} + b_t`, with gradients for all three arguments.

    Parameters
    ----------
    a, b : (T, B, H), `a` between 0 and 1.
    x0 : (B, H), before the first step.

    Returns
    -------
    x : (T, B, H).
    """
    return LinearRecurrence.apply(a, b, x0)


def forget_mult(f: Tensor, z: Tensor, c0: Tensor) -> Tensor:
    r""":math:`c_t = f_t \odot c_{t-1} + (1 - f_t) \odot z_t`: each unit is a running mean with a gate of its own."""
    return linear_recurrence(f, (1 - f) * z, c0)


class QRNNLayer(nn.Module):
    r"""A quasi-recurrent layer with fo-pooling (Bradbury, Merity, Xiong and Socher, ICLR 2017).

    .. math::
        z_t = \tanh(W_z [x_{t-1}; x_t] + b_z), \quad
        f_t = \sigma(W_f [x_{t-1}; x_t] + b_f), \quad
        o_t = \sigma(W_o [x_{t-1}; x_t] + b_o)

        c_t = f_t \odot c_{t-1} + (1 - f_t) \odot z_t, \qquad h_t = o_t \odot c_t

    The gates see inputs only, never :math:`h_{t-1}`: they are known for all steps before the recurrence starts.

    Parameters
    ----------
    input_size, hidden_size : E and H, units.
    window : how many inputs a gate sees: 2 as above, 1 for :math:`x_t` alone, and so on.
    zoneout : probability that a unit keeps its :math:`c_{t-1}` for a step (f = 1) in training.
    weight_drop : probability of an entry of the gates' weight to be dropped for a batch.

    Attributes
    ----------
    products : dtype of the gates' products in training, float32 unless set to bfloat16; evaluation is in float32.

    Raises
    ------
    LMTutorError : a window below 1.
    """

    def __init__(
        self, input_size: int, hidden_size: int, window: int = 1, zoneout: float = 0.0, weight_drop: float = 0.0
    ):
        super().__init__()
        if window < 1:
            raise LMTutorError(f"window must be at least 1, the present input (got {window}).")
        self.input_size, self.hidden_size, self.window = input_size, hidden_size, window
        self.zoneout, self.weight_drop = zoneout, weight_drop
        self.products = torch.float32
        self.gates = nn.Linear(window * input_size, 3 * hidden_size)  # z, f, o

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Zeros: the cell (1, B, H), and the window - 1 inputs before the first (window - 1, B, E)."""
        like = self.gates.weight
        before = like.new_zeros(self.window - 1, batch_size, self.input_size)
        return like.new_zeros(1, batch_size, self.hidden_size), before

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read `x` (T, B, E) on from `state`; return h (T, B, H) and the new state."""
        cell, before = state
        if self.window > 1:
            padded = torch.cat([before, x])
            before = padded[len(x) :]
            x = torch.cat([padded[k : k + len(x)] for k in range(self.window)], dim=-1)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.products == torch.bfloat16 and self.training):
            gates = call_with_weight_drop(self.gates, (x,), self.weight_drop, ["weight"])
        z, f, o = gates.to(cell.dtype).chunk(3, dim=-1)  # the recurrence itself is never less than float32
        f, z = self.zone_out(f.sigmoid()), z.tanh()
        c = forget_mult(f, z, cell[0])
        return o.sigmoid() * c, (c[-1:], before)

    def zone_out(self, f: Tensor) -> Tensor:
        """Let a share of the forget gates be 1 in training; in evaluation mode, what that is in the mean."""
        if self.zoneout == 0:
            return f
        update = 1 - f
        if self.training:
            return 1 - update * torch.empty_like(f).bernoulli_(1 - self.zoneout)
        return 1 - update * (1 - self.zoneout)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return f"{self.input_size}, {self.hidden_size}, window={self.window}, zoneout={self.zoneout}"
