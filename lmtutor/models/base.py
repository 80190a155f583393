"""What every torch language model of the package shares: the loss, the score of a text, the next token.

A model reads token ids time-major, ``(T, B)``: `T` steps down, `B` independent columns across. A *state* is
whatever the model carries from one step to the next: nested tuples of tensors whose next-to-last axis is `B`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lmtutor.system.limits import number, whole

State = tuple | Tensor | None
# Of a config: sizes some times what has ever been trained; layers; factors.
SIZE, LAYERS, FACTOR = whole(1, 100_000), whole(1, 1000), number(0, 1e9)


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


@contextmanager
def eval_mode(model: Any) -> Iterator[None]:
    """Dropout off inside the block, and each part's former mode back after it. N-grams have no mode."""
    was_training = [m for m in model.modules() if m.training] if isinstance(model, nn.Module) else []
    for module in was_training:
        module.training = False
    try:
        yield
    finally:
        for module in was_training:
            module.training = True


def device_of(model: Any) -> torch.device:
    """Where the model's parameters live; the CPU for models without any."""
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if first is None else first.device


class Scorer(Protocol):
    """What scoring asks of a model: a torch model, n-grams, or a `NeuralCache` around one. Shapes are time-major."""

    vocab_size: int
    protocol: str  # what `Score.protocol` adds of a model that keeps learning while it reads; else empty

    def initial_state(self, batch_size: int) -> State:
        """The state before the first token."""

    def target_log_probs(self, inputs: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probability of each target (T, B), nats; 0 where the target is -100."""

    def next_log_probs(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probability of every type for the token after the last input (B, V), nats."""


class LanguageModel(nn.Module):
    """Base of the torch models. A subclass sets `config` and `head`, and writes `initial_state` and `forward`.

    ``forward(inputs (T, B), state) -> (hidden (T, B, H), state)`` returns what the head reads: in training mode
    after dropout, in evaluation mode exactly.
    """

    config: object
    head: nn.Module
    vocab: Any = None  # the `Vocabulary` that it was built for, if one was given
    protocol = ""

    @property
    def vocab_size(self) -> int:
        return self.head.vocab_size

    def initial_state(self, batch_size: int) -> State:
        """The state before the first token: zeros."""
        raise NotImplementedError

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
        device = device_of(self)
        hidden, state = self(inputs.to(device), state)
        return self.head.target_log_probs(hidden, targets.to(device)), state

    @torch.no_grad()
    def next_log_probs(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probability of every type for the token after the last input, nats, ``(B, V)``. Generation uses this."""
        hidden, state = self(inputs.to(device_of(self)), state)
        return self.head.log_probs(hidden[-1]), state
