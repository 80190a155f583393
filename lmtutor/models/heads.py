"""The output layers of the language models and their losses, in nats.

Every head turns what a model hands it, ``hidden (T, B, H)``, into the distribution over the next token, and has
three methods: `loss` for training, `log_probs` for generating, `target_log_probs` for scoring. Scoring is exact and
in float32 for every head, whatever road its training takes.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmtutor.models.fused import IGNORED, linear_cross_entropy, linear_log_probs, product
from lmtutor.system.errors import LMTutorError, one_of
from lmtutor.system.machine import product_dtype

SCORED_LOGITS = 1 << 24  # logits of an adaptive softmax held at once when scoring: 64 MiB


class Head(nn.Module):
    """What the heads share: the weight and bias over the vocabulary, and scoring against the whole of it.

    Attributes
    ----------
    precision : str
        Of the large products in `loss`: "float32", "bfloat16", or "auto", which is bfloat16 where the processor
        multiplies it in hardware. Training sets it. Log-probabilities are float32 always.
    label_smoothing : float
        The ε of training: each type gets the share ε / V of a target that is otherwise 1 − ε sure. Training sets it,
        and `SoftmaxHead` heeds it. One of the sources shares its ε among the V − 1 other types; ours is the same at
        ε V / (V − 1).
    """

    def __init__(self, hidden_size: int, vocab_size: int, tied_weight: nn.Parameter | None = None):
        super().__init__()
        if tied_weight is None:
            tied_weight = nn.Parameter(torch.empty(vocab_size, hidden_size).uniform_(-0.1, 0.1))
        self.vocab_size = vocab_size
        self.weight = tied_weight
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self.precision = "float32"  # of the large products in `loss`: auto, float32, bfloat16
        self.label_smoothing = 0.0

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of every type in nats: (…, H) to (…, V)."""
        if torch.is_grad_enabled():
            logits = F.linear(hidden, self.weight, self.bias)
        else:
            logits = product(hidden.reshape(-1, hidden.shape[-1]), self.weight.t(), self.bias)
            logits = logits.view(*hidden.shape[:-1], -1)
        return F.log_softmax(logits, dim=-1)

    def target_log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target in nats: (T, B, H) and (T, B) to (T, B); 0 where the target is -100.

        Not differentiable. The logits are made in tiles, so that long texts and large vocabularies fit.
        """
        rows = hidden.detach().flatten(0, -2)
        return linear_log_probs(rows, self.weight, self.bias, targets.flatten()).view(targets.shape)


class SoftmaxHead(Head):
    """Linear layer and softmax over the whole vocabulary: the exact loss, by the road of `lmtutor.models.fused`.

    Parameters
    ----------
    hidden_size : int
        H, the features of a hidden state.
    vocab_size : int
        V, the number of types.
    tied_weight : nn.Parameter, optional
        The (V, H) matrix of an embedding, used as this layer's weight too (Press and Wolf 2017). The parameter is
        shared, not copied.
    """

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log-probability of the targets in nats, a 0-dim tensor; targets of -100 do not count.

        `hidden` is (T, B, H), `targets` (T, B). With no target to score the loss is 0.
        """
        rows, ids = hidden.flatten(0, -2), targets.flatten()
        dtype = product_dtype(self.precision, hidden.device) if hidden.dtype == torch.float32 else hidden.dtype
        loss = linear_cross_entropy(rows, self.weight, self.bias, ids, dtype)
        if not (self.training and self.label_smoothing):
            return loss
        # Smoothed targets cost ε times what the logit of the target has over the mean of all logits.
        rows, ids = rows[ids != IGNORED], ids[ids != IGNORED]
        own = (rows * self.weight[ids]).sum(-1) + self.bias[ids]
        mean = rows @ self.weight.mean(0) + self.bias.mean()
        return loss + self.label_smoothing * (own - mean).sum() / max(1, len(ids))


class SampledHead(Head):
    r"""Linear layer and softmax, trained on a sample of the vocabulary (Bengio and Senécal 2003; Jean et al. 2015).

    The normaliser is estimated by importance sampling. `samples` types are drawn for the whole batch from the
    log-uniform distribution, close to Zipf's law, :math:`q(k) = \ln\frac{k+2}{k+1} / \ln(V+1)` for the type of rank
    `k`; the target's own term is exact:

    .. math:: \hat Z = e^{z_t} + \sum_{s \ne t} \frac{e^{z_s}}{S\,q(s)}

    :math:`\hat Z` is unbiased, its logarithm a little too low; the loss is an estimate of the exact one, in nats.
    Outside training, and in every score, the softmax is exact. Ids have to run from frequent to rare, as those of a
    `Vocabulary` built from a text do.

    Parameters
    ----------
    hidden_size, vocab_size, tied_weight : as of `SoftmaxHead`.
    samples : S, types per batch.
    """

    def __init__(self, hidden_size: int, vocab_size: int, tied_weight: nn.Parameter | None = None, samples: int = 1024):
        super().__init__(hidden_size, vocab_size, tied_weight)
        self.samples = samples

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log-probability of the targets in nats, a 0-dim tensor: estimated in training mode.

        `hidden` is (T, B, H), `targets` (T, B); targets of -100 do not count. With no target the loss is 0.
        """
        rows, ids = hidden.flatten(0, -2), targets.flatten()
        if not self.training:
            return linear_cross_entropy(rows, self.weight, self.bias, ids)
        drawn = torch.rand(self.samples, device=rows.device, dtype=torch.float64)
        drawn = ((drawn * math.log(self.vocab_size + 1)).exp().long() - 1).clamp(max=self.vocab_size - 1)
        chance = ((drawn + 2) / (drawn + 1)).log() / math.log(self.vocab_size + 1)
        others = F.linear(rows, self.weight[drawn], self.bias[drawn]) - (chance * self.samples).log()
        others = others.masked_fill(drawn == ids.unsqueeze(1), -math.inf)
        known = ids.clamp(min=0)
        own = torch.linalg.vecdot(rows, self.weight[known]) + self.bias[known]
        nats = torch.cat([own.unsqueeze(1), others], dim=1).logsumexp(1) - own
        scored = ids != IGNORED
        return torch.where(scored, nats, 0.0).sum() / scored.sum().clamp(min=1)


class SplitHead(Head):
    r"""A softmax in two steps, of full width (the *split* softmax of Merity et al. 2018's toolkit).

    The first step chooses a frequent type or a cluster of rarer ones, the second a type of that cluster:
    :math:`p(v) = p(\text{cluster}) \, p(v \mid \text{cluster})`. Clusters are as wide as the rest, unlike those of
    `AdaptiveHead`, so that the whole weight can be tied; beside it each has one vector and one bias. Training
    multiplies with a cluster's rows only where a target lies in it. The probabilities are exact, of another model than
    the full softmax. Ids have to run from frequent to rare.

    Parameters
    ----------
    hidden_size, vocab_size, tied_weight : as of `SoftmaxHead`.
    cutoffs : the ids at which the clusters begin; 1 %, 7 % and 28 % of the vocabulary by default, which is where the
        toolkit cuts that of WikiText-103.
    """

    def __init__(
        self, hidden_size: int, vocab_size: int, tied_weight: nn.Parameter | None = None, cutoffs: tuple[int, ...] = ()
    ):
        super().__init__(hidden_size, vocab_size, tied_weight)
        self.cutoffs = choose_cutoffs(vocab_size, cutoffs, (1, 7, 28))
        self.clusters = nn.Parameter(torch.zeros(len(self.cutoffs), hidden_size))
        self.cluster_bias = nn.Parameter(torch.zeros(len(self.cutoffs)))

    def steps(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of the first step, the clusters after the frequent types, then of each cluster."""
        sizes = [b - a for a, b in itertools.pairwise([0, *self.cutoffs, self.vocab_size])]
        parts = list(zip(self.weight.split(sizes), self.bias.split(sizes), strict=True))
        first = torch.cat([parts[0][0], self.clusters]), torch.cat([parts[0][1], self.cluster_bias])
        return [first, *parts[1:]]

    def asked(self, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Which rows each step is asked for, and the ids within it; targets (N,)."""
        edges = [*self.cutoffs, self.vocab_size]
        cluster = torch.bucketize(targets, torch.tensor(self.cutoffs, device=targets.device), right=True)
        first = torch.where(cluster == 0, targets, self.cutoffs[0] + cluster - 1)
        rows = [(cluster == number).nonzero()[:, 0] for number in range(1, len(edges))]
        everything = torch.arange(len(targets), device=targets.device)
        return [(everything, first), *((r, targets[r] - start) for r, start in zip(rows, self.cutoffs, strict=True))]

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log-probability of the targets in nats, a 0-dim tensor; targets of -100 do not count."""
        rows, ids = hidden.flatten(0, -2), targets.flatten()
        scored = ids != IGNORED
        rows, ids = rows[scored], ids[scored]
        dtype = product_dtype(self.precision, hidden.device) if hidden.dtype == torch.float32 else hidden.dtype
        nats = [
            linear_cross_entropy(rows[where], weight, bias, within, dtype) * len(where)
            for (weight, bias), (where, within) in zip(self.steps(), self.asked(ids), strict=True)
            if len(where)
        ]
        return sum(nats, rows.sum() * 0.0) / max(1, len(ids))

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of every type in nats: (…, H) to (…, V)."""
        first, *others = (F.log_softmax(F.linear(hidden, weight, bias), -1) for weight, bias in self.steps())
        known, clusters = first.tensor_split([self.cutoffs[0]], dim=-1)
        return torch.cat([known, *(clusters[..., n, None] + other for n, other in enumerate(others))], dim=-1)

    @torch.no_grad()
    def target_log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target in nats: (T, B, H) and (T, B) to (T, B); 0 where the target is -100."""
        rows, ids = hidden.flatten(0, -2), targets.flatten()
        out = rows.new_zeros(len(ids))
        for (weight, bias), (where, within) in zip(self.steps(), self.asked(ids.clamp(min=0)), strict=True):
            out.index_add_(0, where, linear_log_probs(rows[where], weight, bias, within))
        return out.masked_fill(ids == IGNORED, 0.0).view(targets.shape)


def choose_cutoffs(vocab_size: int, cutoffs: tuple[int, ...], percent: tuple[int, ...]) -> tuple[int, ...]:
    """The ids at which clusters begin: those given, or these hundredths of the vocabulary."""
    if vocab_size < 3:
        raise LMTutorError(f"{vocab_size} types are too few to be split into clusters: use the full softmax.")
    cutoffs = tuple(cutoffs) or tuple(sorted({max(1, vocab_size * share // 100) for share in percent}))
    if not all(type(c) is int for c in cutoffs) or [0, *cutoffs, vocab_size] != sorted({0, *cutoffs, vocab_size}):
        raise LMTutorError(f"cutoffs must be rising ids from 1 to {vocab_size - 1} (got {list(cutoffs)}).")
    return cutoffs


class AdaptiveHead(nn.Module):
    """Adaptive softmax (Grave et al. 2017): a short list of frequent types, and clusters of rare ones with fewer units.

    The work is done by `torch.nn.AdaptiveLogSoftmaxWithLoss`. Ids have to run from frequent to rare, as those of a
    `Vocabulary` built from a text do. The probabilities are exact; it is another model than the full softmax, with
    fewer parameters, and not an approximation of it.

    Parameters
    ----------
    hidden_size, vocab_size : H features of a hidden state, V types.
    tied_weight : the (V, H) matrix of an embedding. Only the short list can share it: clusters have fewer units.
    cutoffs : the ids at which the clusters begin; default: 6 % and 30 % of the vocabulary.

    Raises
    ------
    LMTutorError : cutoffs out of order or out of range
    """

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        tied_weight: nn.Parameter | None = None,
        cutoffs: tuple[int, ...] = (),
    ):
        super().__init__()
        cutoffs = choose_cutoffs(vocab_size, cutoffs, (6, 30))
        self.vocab_size = vocab_size
        self.precision = "float32"  # its products are small: there is nothing to choose
        narrowing = 4.0 if hidden_size >= 4 ** len(cutoffs) else 1.0
        self.stock = nn.AdaptiveLogSoftmaxWithLoss(hidden_size, vocab_size, cutoffs, narrowing, head_bias=True)
        for weight in self.stock.parameters():
            nn.init.uniform_(weight, -0.1, 0.1)
        if tied_weight is not None:
            self.stock.head = _TiedShortList(self.stock.head, tied_weight, self.stock.shortlist_size)

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log-probability of the targets in nats, a 0-dim tensor; targets of -100 do not count."""
        scored = targets != IGNORED
        if not scored.any():
            return hidden.sum() * 0.0
        return self.stock(hidden[scored], targets[scored]).loss

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of every type in nats: (…, H) to (…, V)."""
        return self.stock.log_prob(hidden.flatten(0, -2)).view(*hidden.shape[:-1], self.vocab_size)

    @torch.no_grad()
    def target_log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target in nats: (T, B, H) and (T, B) to (T, B); 0 where the target is -100."""
        scored = targets != IGNORED
        out = hidden.new_zeros(targets.shape)
        rows = max(1, SCORED_LOGITS // self.vocab_size)
        pieces = zip(hidden[scored].split(rows), targets[scored].split(rows), strict=True)
        if scored.any():
            out[scored] = torch.cat([self.stock(h, t).output for h, t in pieces])
        return out


class _TiedShortList(nn.Module):
    """The first layer of an adaptive softmax whose rows for the frequent types are those of an embedding."""

    def __init__(self, layer: nn.Linear, tied_weight: nn.Parameter, shortlist: int):
        super().__init__()
        self.weight, self.shortlist = tied_weight, shortlist
        self.clusters = nn.Parameter(layer.weight[shortlist:].detach().clone())
        self.bias = layer.bias

    def forward(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, torch.cat([self.weight[: self.shortlist], self.clusters]), self.bias)


HEADS = {"softmax": SoftmaxHead, "adaptive": AdaptiveHead, "split": SplitHead, "sampled": SampledHead}
CLUSTERED = ("adaptive", "split")  # take cutoffs


def make_head(
    kind: str,
    hidden_size: int,
    vocab_size: int,
    tied_weight: nn.Parameter | None = None,
    cutoffs: tuple[int, ...] = (),
) -> Head | AdaptiveHead:
    """A head by name: "softmax", "adaptive", "split" or "sampled"; `cutoffs` are of the second and third.

    Raises
    ------
    LMTutorError : unknown name, or a tied weight of another shape.
    """
    one_of("head", kind, HEADS)
    if cutoffs and kind not in CLUSTERED:
        raise LMTutorError(f"head={kind!r} has no clusters: leave cutoffs out.")
    shape = None if tied_weight is None else tuple(tied_weight.shape)
    if shape not in (None, (vocab_size, hidden_size)):
        raise LMTutorError(f"a tied weight must be of shape ({vocab_size}, {hidden_size}) but is {shape}: untie it.")
    return HEADS[kind](hidden_size, vocab_size, tied_weight, *([cutoffs] if cutoffs else []))
