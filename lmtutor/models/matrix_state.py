"""Attention without its softmax, which is a recurrence with a matrix for a state: gated, or with the delta rule.

    S_t = f_t S_{t-1} + k_t u_tᵀ,    o_t = S_tᵀ q_t

as in chapter 09. What is written is ``u_t = v_t`` (gated linear attention), or under the *delta rule*
``β_t (v_t − f_t S_{t-1}ᵀ k_t)``: the value less what the key holds already. `in_steps` is that, step by step.
`in_chunks` gives the same numbers from matrix products over many steps at once. The exponents in it are sums of log f
over part of a chunk: none is positive.

Shapes: q, k, v are (B, heads, T, d); log_f and beta (B, heads, T); S (B, heads, d, d), one row per key.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHUNK = 32  #: Steps that are computed at once.


def in_steps(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, beta: Tensor | None, S: Tensor) -> tuple[Tensor, Tensor]:
    """One step after the other; the outputs (B, heads, T, d) and the last state. `beta` None writes v itself."""
    outputs = []
    for t in range(q.shape[-2]):
        S = log_f[..., t, None, None].exp() * S
        write = v[..., t : t + 1, :]
        if beta is not None:
            write = beta[..., t, None, None] * (write - k[..., t : t + 1, :] @ S)
        S = S + k[..., t, :, None] * write
        outputs.append(q[..., t : t + 1, :] @ S)
    return torch.cat(outputs, dim=-2), S


def in_chunks(q: Tensor, k: Tensor, v: Tensor, log_f: Tensor, beta: Tensor | None, S: Tensor) -> tuple[Tensor, Tensor]:
    r"""The same, `CHUNK` steps at once.

    Let :math:`L_t` be the sum of log f up to t, within the chunk, and S the state before it. Written out,

    .. math:: S_t = e^{L_t} S + \sum_{s \le t} e^{L_t - L_s} k_s u_s^\top

    so that all outputs are products of matrices with a causal mask. Under the delta rule each u depends on the earlier
    ones of the chunk: linear equations of a triangular matrix, solved at once (Yang et al. 2024, section 3).
    """
    outputs = []
    rates = itertools.repeat(None) if beta is None else beta.unsqueeze(-1).split(CHUNK, dim=-2)
    chunks = (part.split(CHUNK, dim=-2) for part in (q, k, v, log_f.unsqueeze(-1)))
    for q_, k_, v_, log, rate in zip(*chunks, rates, strict=False):
        L = log.cumsum(-2)  # (B, heads, C, 1)
        later = torch.ones(L.shape[-2], L.shape[-2], dtype=torch.bool, device=L.device).triu(1)
        decay = (L - L.mT).masked_fill(later, -math.inf).exp()
        since, until = L.exp(), (L[..., -1:, :] - L).exp()  # the chunk's beginning; its end
        if rate is not None:
            earlier = rate * (k_ @ k_.mT * decay).tril(-1)
            write = rate * (v_ - since * (k_ @ S))
            v_ = torch.linalg.solve_triangular(earlier, write, upper=False, unitriangular=True)
        outputs.append(since * (q_ @ S) + (q_ @ k_.mT * decay) @ v_)
        S = since[..., -1:, :] * S + (until * k_).mT @ v_
    return torch.cat(outputs, dim=-2), S


class MatrixState(nn.Module):
    """A layer with one matrix per head for a state, in the place of attention: T steps in, T out.

    Each unit of queries, keys and values mixes the present input and the one before. At the start keys take the one
    before and the others the present: a value is filed under the word that stood before it, as in the neural cache.
    Queries and keys have length 1. Each head's output is normalised.

    Gated linear attention (after Yang et al. 2023, who have a gate for each row of S; here a head has one) or the delta
    rule (Schlag et al. 2021).

    Parameters
    ----------
    size : E, units read and written.
    heads : matrices side by side.
    units : d of each; the state has heads · d² numbers.
    delta : the delta rule with a rate β_t and f = 1, instead of a gate f_t.
    """

    def __init__(self, size: int, heads: int, units: int, delta: bool):
        super().__init__()
        self.heads, self.units, self.delta = heads, units, delta
        self.inner = nn.Linear(size, 3 * heads * units)  # queries, keys, values
        shift = torch.tensor([0.0, 1.0, 0.0]).repeat_interleave(
            heads * units
        )  # 0: the present input, 1: the one before
        self.shift = nn.Parameter(shift)
        self.gate = nn.Linear(size, heads)  # of f, which begins near 1; or of β, near 1/2
        nn.init.constant_(self.gate.bias, 0.0 if delta else 4.0)
        self.norm = nn.LayerNorm(units)
        self.outer = nn.Linear(heads * units, size)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Zeros: the matrices (1, B, heads · d²), and the queries, keys and values before (1, B, 3 · heads · d)."""
        like = self.shift
        return (
            like.new_zeros(1, batch_size, self.heads * self.units**2),
            like.new_zeros(1, batch_size, len(like)),
        )

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Read x (T, B, E) on from `state`; return what the block adds (T, B, E) and the new state."""
        S, before = state
        maps = torch.cat([before, self.inner(x).to(before.dtype)])
        qkv = torch.lerp(maps[1:], maps[:-1], self.shift).unflatten(-1, (3, self.heads, self.units))
        qkv = qkv.permute(2, 1, 3, 0, 4).contiguous()  # one copy here instead of one in each product
        (q, k), v = F.normalize(qkv[:2], dim=-1), qkv[2]
        gate = self.gate(x).to(before.dtype).permute(1, 2, 0)
        log_f, beta = (torch.zeros_like(gate), gate.sigmoid()) if self.delta else (F.logsigmoid(gate), None)
        S = S[0].unflatten(-1, (self.heads, self.units, self.units))
        with torch.autocast(x.device.type, enabled=False):  # what a state adds up is never less than float32
            out, S = (in_steps if len(x) == 1 else in_chunks)(q, k, v, log_f, beta, S)
            out = self.norm(out)
        return self.outer(out.permute(2, 0, 1, 3).flatten(-2)), (S.flatten(1)[None], maps[-1:])
