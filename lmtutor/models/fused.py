"""Softmax cross-entropy of a linear layer, exactly, without ever holding the matrix of logits.

The output layer is where a language model spends its time: at 700 rows and 33,278 types the plain
``F.cross_entropy(F.linear(...))`` writes and reads 93 MB of logits many times over. Four ideas make it cheap.

*Tiles.* Logits are made a few thousand types at a time, in a piece of memory that stays in the processor's cache.

*A shift instead of a maximum.* exp(logit) must not overflow, so every row is shifted. The usual shift, the row's
maximum, needs a pass over all logits before the first exp. Any shift near the maximum does as well: here the largest
logit of the first tile, or the target's, whichever is larger. The bias and the shift ride along in the product as
more columns, [h, 1, -shift] · [w, b, 1], so a tile comes out ready for exp. (For 2 to the power, rather: it is four
times as fast, and the factor log2(e) goes into the small matrix.)

*Sums from the product.* With E = exp(logits - shift), the gradient of the states needs E · W. The column of ones in
[w, b, 1] returns the row sums of E beside it, and log(row sum) + shift is the log-sum-exp.

*Division last.* Dividing by the row sums scales rows of the small matrices (H columns), never the tiles.

What is kept of a block of rows is E, for the weight gradient Eᵀ · h; in bfloat16 that is two bytes per logit. Large
batches are taken in several blocks of rows, so that what is kept stays below `KEPT` bytes, or `LEAST_ROWS` rows.

All of this is for a processor with a cache. On a GPU many small operations cost more than the memory they save: there
`stock_cross_entropy` takes torch's own operators, a gigabyte of logits at a time.
"""

import functools
import math
import platform

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

IGNORED = -100  # a target that is not scored
PLAIN_LOGITS = 1 << 18  # batches with fewer logits take torch's own road: tiles would cost more than they save
STOCK_LOGITS = 1 << 28  # logits held at once on that road: 1 GiB of float32
TILE = 8192  # bytes of a row of a tile: 2,048 types in float32, 4,096 in bfloat16
KEPT = 48 << 20  #: Bytes of E kept for the backward products.
LEAST_ROWS = 256  #: Rows in a block, however large the vocabulary: with fewer, the products slow down.
SCORED = 2048, 1024  # types and rows of a tile when scoring, where nothing is kept
LOG2_E = math.log2(math.e)


@functools.cache
def _onednn_linear():
    """oneDNN's float32 product a @ b.T, or None where it is unavailable or incorrect.

    torch sends float32 products to MKL, which runs at half of oneDNN's speed or less on processors not made by Intel.
    The operator is not part of torch's public interface, so it is tried on a small case before it is trusted.
    """
    there = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()
    if not there or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    linear = torch.ops.mkldnn._linear_pointwise
    a, b = torch.arange(12.0).view(3, 4), torch.arange(20.0).view(4, 5).t()
    try:
        return linear if torch.equal(linear(a, b, None, "none", [], ""), a @ b.t()) else None
    except RuntimeError:  # what torch raises where a later version takes other arguments
        return None


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """The matrix product (N, K) @ (K, M), plus a bias (M,), by the fastest exact road for its type and device.

    Not differentiable.
    """
    if a.dtype == torch.float32 and a.device.type == "cpu" and a.numel() * b.shape[1] > 1 << 20:
        linear = _onednn_linear()
        if linear is not None:
            return linear(a, b.t(), bias, "none", [], "")
    return a @ b if bias is None else torch.addmm(bias, a, b)


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Mean cross-entropy in nats of ``softmax(hidden @ weight.T + bias)`` against `targets`.

    The same number and gradients as ``F.cross_entropy(F.linear(hidden, weight, bias), targets)``, except that the mean
    over no targets is 0, not NaN.

    Parameters
    ----------
    hidden : (N, H), the states.
    weight, bias : (V, H) and (V,), of the layer.
    targets : (N,) ids; -100 is not scored.
    dtype : the type of the large products, by default that of `hidden`, in which sums, loss and gradients stay.

    Returns
    -------
    0-dim tensor. The gradients are computed on the way when any are wanted, and kept for the backward pass.
    """
    dtype = dtype or hidden.dtype
    if hidden.device.type != "cpu":
        return stock_cross_entropy(hidden, weight, bias, targets, dtype)
    if len(targets) * len(weight) <= PLAIN_LOGITS:
        return stock_cross_entropy(hidden, weight, bias, targets, hidden.dtype)
    wanted = tuple(torch.is_grad_enabled() and x.requires_grad for x in (hidden, weight, bias))
    return _LinearCrossEntropy.apply(hidden, weight, bias, targets, dtype, wanted)


def stock_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """`linear_cross_entropy` by torch's own operators; only the products are in `dtype`, their results in float32.

    Of a large batch the logits are made for some rows at a time, and again in the backward pass.
    """

    narrow, ignored = dtype != hidden.dtype, targets == IGNORED

    def nats(h: Tensor, t: Tensor) -> Tensor:
        if narrow:
            logits = _WideProduct.apply(h, weight, dtype) + bias
            return logits.logsumexp(1).masked_fill(t == IGNORED, 0.0).sum()
        return F.cross_entropy(F.linear(h, weight, bias), t, ignore_index=IGNORED, reduction="sum")

    rows = max(1, STOCK_LOGITS // len(weight))
    if len(targets) <= rows:
        total = nats(hidden, targets)
    else:
        pieces = zip(hidden.split(rows), targets.split(rows), strict=True)
        total = sum(checkpoint(nats, h, t, use_reentrant=False, preserve_rng_state=False) for h, t in pieces)
    if narrow:  # the targets' own logits, whose gradients are the largest, are not rounded
        ids = targets.clamp(min=0)
        own = (hidden * F.embedding(ids, weight)).sum(1) + bias[ids]
        total = total - own.masked_fill(ignored, 0.0).sum()
    return total / (~ignored).sum().clamp(min=1)


class _WideProduct(torch.autograd.Function):
    """a @ b.T with the factors rounded to `dtype`, and sums and results in float32; its gradients likewise."""

    @staticmethod
    def forward(ctx, a, b, dtype):
        a, b = a.to(dtype), b.to(dtype)
        ctx.save_for_backward(a, b)
        return _wide(a, b.t())

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        a, b = ctx.saved_tensors
        upstream = upstream.to(a.dtype)
        return _wide(upstream, b), _wide(upstream.t(), a), None


def _wide(a: Tensor, b: Tensor) -> Tensor:
    """a @ b in float32. From 2.8 torch has a product for it on CUDA; elsewhere the factors are made float32 first."""
    if a.is_cuda and "dtype" in torch.ops.aten.mm.overloads():
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()


@torch.no_grad()
def linear_log_probs(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Log-probability in nats of each target, (N,); 0 where the target is -100. Not differentiable.

    Shapes as in `linear_cross_entropy`; the products are in the type of `hidden`.
    """
    pieces = [hidden.new_zeros(0)]
    if hidden.device.type != "cpu":
        rows = max(1, STOCK_LOGITS // len(weight))
        for h, t in zip(hidden.split(rows), targets.split(rows), strict=True):
            pieces.append(-F.cross_entropy(F.linear(h, weight, bias), t, ignore_index=IGNORED, reduction="none"))
        return torch.cat(pieces)
    types, rows = SCORED
    scaled_bias = bias * LOG2_E
    for h, t in zip(hidden.split(rows), targets.clamp(min=0).split(rows), strict=True):
        target_logits = torch.linalg.vecdot(h, weight[t]) + bias[t]
        # With no gradient to make, no column of ones is needed; and logits of a sane model need no shift.
        states, row_sum = h * LOG2_E, 0
        for w, b in zip(weight.split(types), scaled_bias.split(types), strict=True):
            row_sum = row_sum + product(states, w.t(), b).exp2_().sum(1)
        log_sum = row_sum.log()
        if not (log_sum.abs() < 80).all():
            log_sum = _Exponentials(h, weight, bias, target_logits, h.dtype).log_sum
        pieces.append(target_logits - log_sum)
    return torch.where(targets != IGNORED, torch.cat(pieces), 0.0)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, dtype, wanted):
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.settings = dtype, wanted
        loss, ctx.gradients = _loss_and_gradients(hidden, weight, bias, targets, dtype, wanted)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:  # a second backward pass through the same graph: the first gave its tensors away
            gradients = _loss_and_gradients(*ctx.saved_tensors, *ctx.settings)[1]
        if upstream.item() != 1.0:  # it nearly always is: that saves a pass over the weight gradient
            gradients = [None if g is None else g.mul_(upstream) for g in gradients]
        return *gradients, None, None, None


def _loss_and_gradients(hidden, weight, bias, targets, dtype, wanted):
    """Return the loss and the gradients of (hidden, weight, bias), None for those not `wanted`."""
    rows, V = targets.numel(), weight.shape[0]
    scored = targets != IGNORED
    share = scored.to(hidden.dtype) / scored.sum().clamp(min=1)  # (N,) each row's part in the mean
    ids = targets.clamp(min=0)
    target_weight = weight[ids]
    target_logits = torch.linalg.vecdot(hidden, target_weight) + bias[ids]

    # Every row of the weight's gradient is written below, unless there is no row of states at all.
    fresh = torch.empty_like if rows else torch.zeros_like
    d_hidden, d_weight, d_bias = (
        fresh(x) if want else None for x, want in zip((hidden, weight, bias), wanted, strict=True)
    )
    log_sum = torch.empty_like(target_logits)
    size = max(LEAST_ROWS, KEPT // dtype.itemsize // V)
    size = max(1, -(-rows // max(1, -(-rows // size))))  # blocks of equal height
    for start in range(0, rows, size):
        block = slice(start, start + size)
        exps = _Exponentials(
            hidden[block], weight, bias, target_logits[block], dtype, weigh=wanted[0], keep=wanted[1] or wanted[2]
        )
        log_sum[block] = exps.log_sum
        scale = (share[block] / exps.row_sum).unsqueeze(1)  # turns rows of E into the gradient of the logits
        if d_hidden is not None:
            torch.mul(exps.by_weight, scale, out=d_hidden[block])
        if exps.tiles:
            exps.add_weight_gradients(d_weight, d_bias, hidden[block] * scale, scale, first=start == 0)
        del exps  # before the next block needs the memory
    loss = log_sum - target_logits

    # What is left is the target's own logit.
    if d_hidden is not None:
        d_hidden.addcmul_(target_weight, share.unsqueeze(1), value=-1)
    for total, part in ((d_weight, hidden * share.unsqueeze(1)), (d_bias, share)):
        if total is not None:
            total.index_add_(0, ids, part, alpha=-1)
    # A row that is not scored adds 0 even where its own loss is not finite.
    return torch.where(scored, loss * share, 0.0).sum(), (d_hidden, d_weight, d_bias)


class _Exponentials:
    """E = exp(logits - shift) of a block of rows, made tile by tile, and its sums.

    Attributes
    ----------
    row_sum : (N,) sums of the rows of E
    log_sum : (N,) log Σ exp(logits) of each row, nats
    by_weight : (N, H) E @ weight, if `weigh`
    tiles : the pieces of E, side by side, each (N, at most `TILE` bytes), if `keep`
    """

    def __init__(self, hidden, weight, bias, target_logits, dtype, weigh=False, keep=False):
        rows, H = hidden.shape
        self.dtype, self.H = dtype, H
        width = -(-(H + 3) // 32) * 32  # whole vector registers
        states = hidden.new_zeros(rows, width, dtype=dtype)
        states[:, :H] = hidden * LOG2_E
        states[:, H : H + 2] = 1
        types = TILE // dtype.itemsize
        packed = hidden.new_zeros(min(types, len(weight)), width, dtype=dtype)
        packed[:, H + 2] = 1

        def logits():  # in units of ln 2, minus the shift; with the packed weights they came from
            for w, b in zip(weight.split(types), (bias * LOG2_E).split(types), strict=True):
                tile = packed[: len(w)]
                tile[:, :H] = w
                tile[:, H] = b
                tile[:, H + 1] = b - tile[:, H]  # what bfloat16 cut off: biases of frequent words are large
                yield product(states, tile.t()), tile

        shift = torch.maximum(next(logits())[0].amax(1) / LOG2_E, target_logits)
        for _ in range(2):
            states[:, H + 2] = shift * -LOG2_E
            rounded = states[:, H + 2].to(hidden.dtype) / -LOG2_E  # as rounded
            self.tiles = []
            sums = hidden.new_zeros(rows, width if weigh else 1)
            for e, tile in logits():
                e.exp2_()
                sums += product(e, tile) if weigh else e.sum(1, keepdim=True)
                if keep:
                    self.tiles.append(e)
            self.by_weight, self.row_sum = sums[:, :H], sums[:, H + 2 if weigh else 0]
            if self.row_sum.isfinite().all():
                break
            # A logit beats the guess by 88 nats: the model is very wrong, or diverging. Take the true maximum.
            states[:, H + 2] = 0
            shift = torch.stack([e.amax(1) for e, _ in logits()]).amax(0).to(hidden.dtype) / LOG2_E
        self.log_sum = self.row_sum.log() + rounded

    def add_weight_gradients(self, d_weight, d_bias, states, scale, first):
        """Write (`first`) or add Eᵀ @ states (N, H) into `d_weight`, and Eᵀ @ scale (N, 1) into `d_bias`."""
        columns = states.new_zeros(len(states), -(-(self.H + 1) // 16) * 16, dtype=self.dtype)
        columns[:, : self.H] = states
        columns[:, self.H : self.H + 1] = scale
        start = 0
        for e in self.tiles:
            part = product(e.t(), columns)
            here = slice(start, start + len(part))
            for total, piece in ((d_weight, part[:, : self.H]), (d_bias, part[:, self.H])):
                if total is not None and first:
                    total[here].copy_(piece)
                elif total is not None:
                    total[here].add_(piece)
            start = here.stop
