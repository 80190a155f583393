"""The fixed-window neural language model (Bengio, Ducharme, Vincent and Jauvin 2003). Chapter 01."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lmtutor.models.base import FACTOR, SIZE, LanguageModel
from lmtutor.models.heads import SoftmaxHead
from lmtutor.system.limits import SHARE, expect, whole


@dataclass(frozen=True)
class WindowConfig:
    """Shape of a `WindowLM`."""

    order: int = 5  # n: the window is the last n − 1 tokens
    embedding: int = 60  # units of a word vector
    hidden: int = 100  # tanh units
    dropout: float = 0.0  # probability, before the head
    init_range: float = 0.1  # embedding and head start uniform in ± this

    def __post_init__(self):
        limits = {"order": whole(2, 100_000), "embedding hidden": SIZE, "dropout": SHARE, "init_range": FACTOR}
        expect(vars(self), limits)


class WindowLM(LanguageModel):
    r"""The last n − 1 words, each as a vector, side by side, through one hidden layer to a softmax.

    .. math:: h_t = \tanh\Bigl(b + \sum_{j=0}^{n-2} H_j\, E[x_{t-j}]\Bigr), \quad z_t = U h_t + d

    Equation 1 of the paper without its optional direct connections. The state is the last n − 1 ids, −1 where the
    text has not begun; such a place has the zero vector. (A state's columns are its next-to-last axis in every
    model of the package, hence the 1 at the end of its shape.)

    Parameters
    ----------
    config : WindowConfig
    vocab_size : int
        V, the number of types.
    """

    def __init__(self, config: WindowConfig, vocab_size: int):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embedding)
        self.hidden = nn.Linear((config.order - 1) * config.embedding, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.head = SoftmaxHead(config.hidden, vocab_size)
        for weight in (self.embedding.weight, self.head.weight):
            nn.init.uniform_(weight, -config.init_range, config.init_range)

    def initial_state(self, batch_size: int) -> Tensor:
        """Return an empty window, (n − 1, B, 1) of −1."""
        return torch.full((self.config.order - 1, batch_size, 1), -1, device=self.embedding.weight.device)

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Read inputs (T, B) after a window (n − 1, B, 1); return what the head reads (T, B, H), and the window."""
        steps, window = len(inputs), self.config.order - 1
        window_before = self.initial_state(inputs.shape[1]) if state is None else state
        seen = torch.cat([window_before[..., 0], inputs])
        e = self.embedding(seen.clamp(min=0)) * (seen >= 0).unsqueeze(-1)  # (n − 1 + T, B, E)
        # Row t of the j-th slice is the word j places before the one read at t.
        words = [e[window - j : window - j + steps] for j in range(window)]
        hidden = torch.tanh(self.hidden(torch.cat(words, dim=-1)))
        return self.dropout(hidden), seen[-window:, :, None]


WINDOW_PRESETS = {"window-5": WindowConfig()}
