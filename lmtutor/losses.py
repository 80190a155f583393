"""The output layers of the language models and their losses, in nats.

Every head turns what a model hands it, ``hidden (T, B, H)``, into the distribution over the next token, and has
three methods: ``loss`` for training, ``log_probs`` for generating, ``target_log_probs`` for scoring.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmtutor.errors import LMTutorError

IGNORED = -100  # a target that is not scored
SCORED_LOGITS = 1 << 22  # logits held at once when scoring: 16 MiB of float32


class SoftmaxHead(nn.Module):
    """Linear layer and softmax over the whole vocabulary.

    Parameters
    ----------
    hidden_size : int
        H, the features of a hidden state.
    vocab_size : int
        V, the number of types.
    tied_weight : nn.Parameter, optional
        The (V, H) matrix of an embedding, used as this layer's weight too (Press and Wolf 2017). The parameter is
        shared, not copied.

    Raises
    ------
    LMTutorError
        When ``tied_weight`` has another shape than (V, H).
    """

    def __init__(self, hidden_size: int, vocab_size: int, tied_weight: nn.Parameter | None = None):
        super().__init__()
        if tied_weight is None:
            tied_weight = nn.Parameter(torch.empty(vocab_size, hidden_size).uniform_(-0.1, 0.1))
        elif tuple(tied_weight.shape) != (vocab_size, hidden_size):
            raise LMTutorError(
                f"SoftmaxHead: a tied weight must be (vocabulary, hidden) = ({vocab_size}, {hidden_size}) but is "
                f"{tuple(tied_weight.shape)}; make the embedding as wide as the last hidden layer, or do not tie."
            )
        self.weight = tied_weight
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    @property
    def vocab_size(self) -> int:
        """V, the number of types."""
        return self.weight.shape[0]

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log-probability of the targets in nats, a 0-dim tensor; targets of -100 do not count.

        ``hidden`` is (T, B, H), ``targets`` (T, B). With no target to score the loss is 0.
        """
        logits = F.linear(hidden.flatten(0, -2), self.weight, self.bias)
        total = F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum")
        return total / (targets != IGNORED).sum().clamp(min=1)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Log-probabilities of every type in nats: (…, H) to (…, V)."""
        return F.log_softmax(F.linear(hidden, self.weight, self.bias), dim=-1)

    def target_log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target in nats: (T, B, H) and (T, B) to (T, B); 0 where the target is -100.

        Rows are taken in chunks, so that no more than about four million logits exist at a time.
        """
        rows = max(1, SCORED_LOGITS // self.vocab_size)
        pieces = [
            -F.cross_entropy(F.linear(h, self.weight, self.bias), t, ignore_index=IGNORED, reduction="none")
            for h, t in zip(hidden.flatten(0, -2).split(rows), targets.flatten().split(rows), strict=True)
        ]
        return torch.cat(pieces).view(targets.shape)
