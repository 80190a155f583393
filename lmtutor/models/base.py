"""What every torch language model of the package shares: the loss, the score of a text, the next token.

A model reads token ids time-major, ``(T, B)``: `T` steps down, `B` independent columns across. A *state* is
whatever the model carries from one step to the next: nested tuples of tensors whose next-to-last axis is `B`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

State = tuple | Tensor | None


def map_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """Apply `function` to every tensor of a nested state."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        return function(state)
    return tuple(map_state(function, part) for part in state)


def detach(state: State) -> State:
    """Cut the graph behind a state: this is the truncation in truncated backpropagation through time."""
    return map_state(Tensor.detach, state)


class LanguageModel(nn.Module):
    """Base of the torch models. A subclass sets `config` and `head`, and writes `initial_state` and `forward`.

    ``forward(inputs (T, B), state) -> (hidden (T, B, H), state)`` returns what the head reads: in training mode
    after dropout, in evaluation mode exactly.
    """

    config: object
    head: nn.Module

    @property
    def vocab_size(self) -> int:
        return self.head.vocab_size

    def initial_state(self, batch_size: int) -> State:
        """The state before the first token: zeros."""
        raise TypeError(f"{type(self).__name__} has to define initial_state")

    def loss(self, inputs: Tensor, targets: Tensor, state: State) -> tuple[Tensor, Tensor | float, State]:
        """Score `targets` and return what training needs.

        Parameters
        ----------
        inputs, targets : (T, B) int64; a target of -100 is not scored.

        Returns
        -------
        nats
            () mean over the scored targets, the figure that perplexity derives from.
        penalty
            () what the model adds for the optimizer only (AR and TAR in chapter 06), else 0.
        state
            The state after the last step.
        """
        hidden, state = self(inputs, state)
        return self.head.loss(hidden, targets), 0.0, state

    @torch.no_grad()
    def target_log_probs(self, inputs: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probability of each target, nats, ``(T, B)``; 0 where the target is -100. Evaluation uses this."""
        hidden, state = self(inputs, state)
        return self.head.target_log_probs(hidden, targets), state

    @torch.no_grad()
    def next_log_probs(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probability of every type for the token after the last input, nats, ``(B, V)``. Generation uses this."""
        hidden, state = self(inputs, state)
        return self.head.log_probs(hidden[-1]), state
