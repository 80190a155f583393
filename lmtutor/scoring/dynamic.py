"""Dynamic evaluation (Krause, Kahembwe, Murray and Renals 2018): a model that keeps learning while it is tested.

The text is read in segments. Each is scored with the weights as they are, *then* one gradient step on it is taken:

.. math:: \\theta \\leftarrow \\theta - \\eta\\, \\frac{g}{r + \\epsilon} + \\lambda\\, \\hat r\\, (\\theta_0 - \\theta)

with :math:`g` the gradient of the segment's mean loss, :math:`r` the root mean square of each weight's gradient over
the training split, :math:`\\hat r = r / \\mathrm{mean}(r)`, and :math:`\\theta_0` the trained weights, towards which
all decays. A weight whose gradient is usually large takes the smaller step and the stronger pull back.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lmtutor.models.base import LanguageModel, detach, device_of, eval_mode
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.scoring.score import STREAM_PROTOCOL, Score, check_ids, stretches
from lmtutor.system.errors import LMTutorError
from lmtutor.system.limits import expect, number, optional, whole
from lmtutor.system.progress import Progress
from lmtutor.text.batches import stream_batches

_STATISTICS = {"batches": optional(whole(1))}
_LIMITS = {"lr decay epsilon": number(0), "segment": whole(1)}


def gradients(loss: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    """The gradient of `loss` for each parameter; zeros where it does not depend on it. Leaves ``.grad`` alone."""
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


@contextmanager
def learning_in_eval_mode(model: LanguageModel) -> Iterator[None]:
    """Gradients on, dropout off. cuDNN's recurrent layers refuse a backward pass in that mode: torch's own do it."""
    with eval_mode(model), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


@contextmanager
def restored(weights: list[Tensor]) -> Iterator[list[Tensor]]:
    """Hand out copies of the weights, and put them back in the end, also after an error."""
    kept = [weight.detach().clone() for weight in weights]
    try:
        yield kept
    finally:
        with torch.no_grad():
            for weight, start in zip(weights, kept, strict=True):
                weight.copy_(start)


def gradient_rms(
    model: LanguageModel,
    train_ids: Tensor,
    *,
    batch_size: int = 100,
    bptt: int = 20,
    batches: int | None = None,
    progress: bool = False,
) -> dict[str, Tensor]:
    """Root mean square of each weight's gradient over the training split: the r of dynamic evaluation.

    Parameters
    ----------
    model : a torch model of the package, trained.
    train_ids : (N,) ids of the training split.
    batch_size, bptt : columns and steps of the batches whose mean loss is differentiated. More tokens per batch make
        smaller gradients, and so larger steps afterwards: the learning rate belongs to these two.
    batches : stop after this many (default: the whole split).
    progress : show a progress bar.

    Returns
    -------
    {name of a parameter: tensor of its shape}

    Raises
    ------
    LMTutorError : too few tokens for the columns, or nothing to average.
    """
    expect(dict(batches=batches), _STATISTICS)
    parameters, device = dict(model.named_parameters()), device_of(model)
    squares = [torch.zeros_like(p) for p in parameters.values()]
    state, number = None, 0
    whole = min(len(train_ids), batches * batch_size * bptt if batches else len(train_ids))
    with learning_in_eval_mode(model), Progress(whole, "gradient statistics", progress) as bar:
        for batch in stream_batches(train_ids, batch_size, bptt):
            if batches is not None and number == batches:
                break
            state = model.initial_state(batch_size) if state is None else detach(state)
            loss, _, state = model.loss(batch.inputs.to(device), batch.targets.to(device), state)
            for total, gradient in zip(squares, gradients(loss, list(parameters.values())), strict=True):
                total.addcmul_(gradient, gradient)
            number += 1
            bar.update(number * batch_size * bptt)
    return {name: (total / number).sqrt_() for name, total in zip(parameters, squares, strict=True)}


class UpdateRule:
    """The step of dynamic evaluation: for each weight, how far a gradient moves it and how strongly it is pulled back.

    The mean of r gives each parameter tensor the same weight, as in the authors' program: its published settings hold.
    The parameters are those of `dynamic_evaluate`.
    """

    def __init__(self, model: LanguageModel, rms: dict[str, Tensor], lr: float, decay: float, epsilon: float):
        parameters = dict(model.named_parameters())
        if {n: r.shape for n, r in rms.items()} != {n: p.shape for n, p in parameters.items()}:
            raise LMTutorError("These gradient statistics are of another model: collect them with gradient_rms.")
        self.weights = list(parameters.values())
        usual = [rms[name].to(weight.device) for name, weight in parameters.items()]
        mean = torch.stack([r.mean() for r in usual]).mean()
        self.pulls = [(r * (decay / mean)).clamp_(max=1) for r in usual]  # no further than all the way
        self.rates = [lr / (r + epsilon) for r in usual]

    def step(self, loss: Tensor, trained: list[Tensor]) -> None:
        """Move the weights against the gradient of a segment's loss, and towards the trained ones."""
        found = gradients(loss, self.weights)
        with torch.no_grad():
            for weight, start, pull, rate, gradient in zip(
                self.weights, trained, self.pulls, self.rates, found, strict=True
            ):
                weight.lerp_(start, pull).addcmul_(gradient, rate, value=-1)


def dynamic_evaluate(
    model: LanguageModel | NeuralCache,
    ids: Tensor,
    rms: dict[str, Tensor],
    *,
    lr: float = 1e-4,
    decay: float = 0.005,
    segment: int = 20,
    epsilon: float = 2e-5,
    characters: int | None = None,
    progress: bool = False,
) -> Score:
    r"""Score a text with weights that follow it. Afterwards, also after an error, the weights are what they were.

    Parameters
    ----------
    model : a torch model, or one in a `NeuralCache`, whose memory is then mixed in.
    ids : (N,) the text, read as one stream at batch 1.
    rms : from `gradient_rms`, of the training split.
    lr : η, the learning rate.
    decay : λ, the pull towards the trained weights per step. No weight is pulled further than all the way.
    segment : tokens scored between two steps, and through which the gradient flows.
    epsilon : keeps the step of a weight that had no gradient in training finite.
    characters : of the raw text, for `Score.nats_per_character`.
    progress : show a progress bar.

    Raises
    ------
    LMTutorError : a setting out of range, statistics of another model, or the weights diverged.
    """
    expect(dict(lr=lr, decay=decay, segment=segment, epsilon=epsilon), _LIMITS)
    check_ids(model, ids)
    cache = model if isinstance(model, NeuralCache) else None
    inner = model.model if cache else model
    rule, device = UpdateRule(inner, rms, lr, decay, epsilon), device_of(inner)
    nats, tokens, state, history = 0.0, 0, inner.initial_state(1), None
    bar = Progress(len(ids) - 1, "dynamic evaluation", progress)
    with restored(rule.weights) as trained, learning_in_eval_mode(inner), bar:
        for batch in stretches(ids, segment):
            inputs, targets = batch.inputs.to(device), batch.targets.to(device)
            hidden, state = inner(inputs, state)
            with torch.no_grad():
                log_probs = inner.head.target_log_probs(hidden, targets)
                if cache:
                    log_probs, history = cache.mix(log_probs, hidden, inputs, targets, history)
            nats -= float(log_probs.double().sum())
            tokens += len(inputs)
            if not math.isfinite(nats):
                raise LMTutorError(f"Dynamic evaluation diverged after {tokens:,} tokens: lower lr ({lr:g}).")
            bar.update(tokens, perplexity=math.exp(min(nats / tokens, 700)))
            rule.step(inner.head.loss(hidden, targets), trained)
            state = detach(state)
    protocol = f"{STREAM_PROTOCOL}; dynamic evaluation in segments of {segment}, lr {lr:g}, decay {decay:g}"
    return Score(nats, tokens, characters, f"{protocol}; {cache.protocol}" if cache else protocol)
