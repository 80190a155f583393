"""The output layers of the language models and their losses, in nats.

Every head turns what a model hands it, ``hidden (T, B, H)``, into the distribution over the next token, and has
three methods: `loss` for training, `log_probs` for generating, `target_log_probs` for scoring. Scoring is exact and
in float32 for every head, whatever road its training takes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmtutor.errors import LMTutorError
from lmtutor.fused import IGNORED, linear_cross_entropy, linear_log_probs
from lmtutor.machine import product_dtype

PLAIN_LOGITS = 1 << 26  # on a GPU, batches with fewer logits take torch's own road: 256 MiB


class Head(nn.Module):
    """What the heads share: the weight and bias over the vocabulary, and scoring against the whole of it.

    Attributes
    ----------
    precision : str
        Of the large products in `loss`: "float32", "bfloat16", or "auto", which is bfloat16 where the processor
        multiplies it in hardware. Training sets it. Log-probabilities are float32 always.

    Raises
    ------
    LMTutorError
        When `tied_weight` has another shape than (V, H), or `precision` is set to something unknown.
    """

    def __init__(self, hidden_size: int, vocab_size: int, tied_weight: nn.Parameter | None = None):
        super().__init__()
        if tied_weight is None:
            tied_weight = nn.Parameter(torch.empty(vocab_size, hidden_size).uniform_(-0.1, 0.1))
        elif tuple(tied_weight.shape) != (vocab_size, hidden_size):
            raise LMTutorError(
                f"{type(self).__name__}: a tied weight must be (vocabulary, hidden) = ({vocab_size}, {hidden_size}) "
                f"but is {tuple(tied_weight.shape)}; make the embedding as wide as the last hidden layer or untie it."
            )
        self.weight = tied_weight
        self.bias = nn.Parameter(torch.zeros(vocab_size))
        self._precision = "float32"

    @property
    def vocab_size(self) -> int:
        """V, the number of types."""
        return self.bias.shape[0]

    @property
    def precision(self) -> str:
        """Of the large products in `loss`: auto, float32 or bfloat16."""
        return self._precision

    @precision.setter
    def precision(self, name: str) -> None:
        product_dtype(name, "cpu")  # raises for an unknown name
        self._precision = name

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of every type in nats: (…, H) to (…, V)."""
        return F.log_softmax(F.linear(hidden, self.weight, self.bias), dim=-1)

    def target_log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target in nats: (T, B, H) and (T, B) to (T, B); 0 where the target is -100.

        Not differentiable. The logits are made in tiles, so that long texts and large vocabularies fit.
        """
        rows = hidden.detach().flatten(0, -2)
        return linear_log_probs(rows, self.weight, self.bias, targets.flatten()).view(targets.shape)


class SoftmaxHead(Head):
    """Linear layer and softmax over the whole vocabulary: the exact loss, by the road of `lmtutor.fused`.

    Parameters
    ----------
    hidden_size : int
        H, the features of a hidden state.
    vocab_size : int
        V, the number of types.
    tied_weight : nn.Parameter, optional
        The (V, H) matrix of an embedding, used as this layer's weight too (Press and Wolf 2017). The parameter is
        shared, not copied.
    label_smoothing : float
        ε: in training, the target distribution is (1 - ε) one-hot + ε uniform (Szegedy et al. 2016, section 7).
    """

    def __init__(
        self,
        hidden_size: int,
        vocab_size: int,
        tied_weight: nn.Parameter | None = None,
        label_smoothing: float = 0.0,
    ):
        super().__init__(hidden_size, vocab_size, tied_weight)
        if not 0 <= label_smoothing < 1:
            raise LMTutorError(f"label_smoothing={label_smoothing}: it has to be at least 0 and below 1.")
        self.label_smoothing = label_smoothing

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log-probability of the targets in nats, a 0-dim tensor; targets of -100 do not count.

        `hidden` is (T, B, H), `targets` (T, B). With no target to score the loss is 0.
        """
        rows, ids = hidden.flatten(0, -2), targets.flatten()
        dtype = product_dtype(self.precision, hidden.device) if hidden.dtype == torch.float32 else hidden.dtype
        smoothing = self.label_smoothing if self.training else 0.0
        if hidden.is_cuda and len(rows) * self.vocab_size <= PLAIN_LOGITS:
            logits = F.linear(rows.to(dtype), self.weight.to(dtype), self.bias.to(dtype)).to(hidden.dtype)
            total = F.cross_entropy(logits, ids, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing)
            return total / (ids != IGNORED).sum().clamp(min=1)
        return linear_cross_entropy(rows, self.weight, self.bias, ids, label_smoothing=smoothing, dtype=dtype)
