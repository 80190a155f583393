"""Optimizers by name, averaged SGD with its trigger, and the schedules of the learning rate."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

OPTIMIZERS = ("sgd", "nt-asgd", "asgd", "adam", "adamw", "nt-adamw")
SCHEDULES = ("constant", "plateau", "steps", "linear", "one-cycle", "four-phase")


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    lr: float,
    weight_decay: float = 0.0,
    *,
    decay_vectors: bool = True,
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    nonmono: int = 5,
) -> torch.optim.Optimizer:
    """A torch optimizer by name, fused into one pass over the parameters.

    Parameters
    ----------
    name : one of `OPTIMIZERS`: sgd, adam, adamw; nt-asgd, asgd and nt-adamw, see `Averaging`.
    parameters : what is to be trained.
    lr : learning rate.
    weight_decay : adamw takes this share, times lr, off a weight; the others add it, times the weight, to the gradient.
    decay_vectors : whether it reaches parameters of one dimension, biases and the factors of norms.
    momentum : of sgd.
    betas, epsilon : of Adam: decay of the running means of the gradient and its square; added to the latter's root.
    nonmono : patience of nt-asgd, asgd and nt-adamw, epochs.
    """
    groups: Iterable = parameters
    if not decay_vectors:
        weights = list(parameters)
        groups = [
            {"params": [p for p in weights if p.dim() > 1]},
            {"params": [p for p in weights if p.dim() <= 1], "weight_decay": 0.0},
        ]
    options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "fused": True}
    if "adam" in name:
        options |= {"betas": tuple(map(float, betas)), "eps": epsilon}
    match name:
        case "adam":
            return torch.optim.Adam(groups, **options)
        case "adamw":
            return torch.optim.AdamW(groups, **options)
        case "nt-adamw":
            return AveragedAdamW(groups, nonmono=nonmono, **options)
        case "sgd":
            return torch.optim.SGD(groups, momentum=momentum, **options)
        case _:
            return AveragedSGD(groups, nonmono=nonmono, at_once=name == "asgd", **options)


def non_monotone(losses: Sequence[float], loss: float, nonmono: int) -> bool:
    """Whether `loss` is above the lowest of the earlier `losses`, the last `nonmono` of them left out.

    The criterion of Merity et al. (2018), algorithm 1: with `nonmono` = 5, an epoch is allowed to be worse than the
    five before it, but not worse than the best of all before those.
    """
    return len(losses) > nonmono and loss > min(losses[: len(losses) - nonmono])


class Averaging(torch.optim.Optimizer):
    r"""What lets an optimizer, from some moment T on, also keep the mean of the weights it walked through.

    .. math:: \bar w_k = \frac{1}{k - T + 1} \sum_{i=T}^{k} w_i

    The walk itself is left alone (Polyak and Juditsky 1992). The mean is kept in the optimizer's state, so that it is
    saved and restored with it; `averaged_weights` puts it into the model for a while.

    Parameters
    ----------
    parameters, options : as of the optimizer beside it in the class, ``lr=0.1`` and the like.
    nonmono : epochs that `non_monotone` leaves out.
    at_once : False: averaging begins when the validation loss stops falling (Merity et al. 2018).
        True: it begins here, and the same criterion says when the training is `done`; for finetuning.
    """

    def __init__(self, parameters: Iterable, *, nonmono: int = 5, at_once: bool = False, **options: Any):
        super().__init__(parameters, **options)
        self.nonmono, self.at_once = nonmono, at_once
        # In the first group of parameters because that is what `state_dict` keeps.
        self.param_groups[0].update(averaged=0, losses=[], triggered=False)
        if at_once:
            self.begin_averaging()

    @property
    def averaging(self) -> bool:
        """Whether the mean has begun."""
        return self.param_groups[0]["averaged"] > 0

    @property
    def done(self) -> bool:
        """Whether an averaged training has stopped to improve and may end."""
        return self.at_once and self.param_groups[0]["triggered"]

    @torch.no_grad()
    def begin_averaging(self) -> None:
        """Let the mean start from the weights of this moment."""
        for p in parameters_of(self):
            self.state[p]["average"] = p.detach().clone()
        self.param_groups[0]["averaged"] = 1

    @torch.no_grad()
    def step(self, closure=None):
        """One step of the walk, taken into the mean if that has begun."""
        loss = super().step(closure)
        if self.averaging:
            group = self.param_groups[0]
            group["averaged"] += 1
            for p in parameters_of(self):
                self.state[p]["average"].lerp_(p, 1 / group["averaged"])
        return loss

    def after_epoch(self, valid_loss: float) -> None:
        """Take note of an epoch's validation loss (nats per token), and begin to average if it is time."""
        group = self.param_groups[0]
        if not group["triggered"] and non_monotone(group["losses"], valid_loss, self.nonmono):
            group["triggered"] = True
            if not self.averaging:
                self.begin_averaging()
        group["losses"].append(valid_loss)


class AveragedSGD(Averaging, torch.optim.SGD):
    """SGD with the mean of its walk: asgd and nt-asgd.

    `torch.optim.ASGD`, with which the toolkit of Merity et al. averages and finetunes, leaves out the first two terms
    of the sum.
    """


class AveragedAdamW(Averaging, torch.optim.AdamW):
    """AdamW with the mean of its walk: nt-adamw. Not the paper's optimizer, but its trigger and its mean."""


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """What an optimizer trains, in the order in which its state numbers them."""
    return [p for group in optimizer.param_groups for p in group["params"]]


@contextmanager
@torch.no_grad()
def averaged_weights(optimizer: torch.optim.Optimizer) -> Iterator[bool]:
    """Inside the block the model has the mean of its weights, after it its own again, bit for bit.

    Without averages, because none have begun or the optimizer keeps none, nothing changes. Yields whether they are in.
    """
    if not (isinstance(optimizer, Averaging) and optimizer.averaging):
        yield False
        return
    parameters = parameters_of(optimizer)
    raw: list[Tensor] = [p.clone() for p in parameters]
    for p in parameters:
        p.copy_(optimizer.state[p]["average"])
    try:
        yield True
    finally:
        for p, own in zip(parameters, raw, strict=True):
            p.copy_(own)


class Schedule:
    """The learning rate over a run.

    * `constant`: the learning rate throughout;
    * `plateau`: divided by 4 after each epoch whose validation loss is no better than the best so far;
    * `steps`: divided by 10 after each epoch of `milestones`;
    * `linear`: up to `lr` over the first `warmup` of the run, constant to 40 %, then straight down to zero;
    * `one-cycle`: from a tenth up to `lr` over 30 % of the run, then a cosine down to a thousandth (Smith 2018);
    * `four-phase`: from a tenth up to `lr` over 1/12 of the run, constant for 5/12, down to a tenth over 5/12, a cosine
      to zero over the last 1/12 (Gugger 2018: AWD-LSTM in 90 epochs).

    Parameters
    ----------
    name : one of the above, `SCHEDULES`.
    lr : the (highest) learning rate.
    warmup : share of the run over which the linear schedule rises.
    milestones : epochs, counted from 1, of the schedule `steps`.
    """

    def __init__(self, name: str, lr: float, warmup: float = 0.02, milestones: Sequence[int] = ()):
        self.name, self.peak, self.warmup, self.milestones = name, lr, warmup, tuple(milestones)
        self.scale = 1.0  # what the plateaus and steps have left of the learning rate
        self.best = math.inf  # lowest validation loss, nats per token

    def lr(self, done: float) -> float:
        """Learning rate when the share `done` of the run is behind, from 0 up to (not including) 1."""
        if self.name == "linear":
            rise = min(1.0, 0.01 + done / self.warmup) if self.warmup else 1.0
            return self.peak * min(rise, 1.0, (1 - done) / 0.6)
        if self.name == "one-cycle":
            if done < 0.3:
                return self.peak * (0.1 + 0.9 * done / 0.3)
            return self.peak * (0.001 + 0.999 * half_cosine((done - 0.3) / 0.7))
        if self.name == "four-phase":
            if done < 11 / 12:
                return self.peak * (0.1 + 0.9 * min(1.0, done * 12, (11 - 12 * done) / 5))
            return self.peak * 0.1 * half_cosine(12 * done - 11)
        return self.peak * self.scale

    def momentum_drop(self, done: float) -> float:
        """What to take off the momentum (of Adam: the first beta): up to 0.1 while a cycle's rate is high, else 0."""
        if self.name not in ("one-cycle", "four-phase"):
            return 0.0
        return 0.1 * min(1.0, max(0.0, self.lr(done) / self.peak - 0.1) / 0.9)

    def after_epoch(self, valid_loss: float, epoch: int = 0) -> bool:
        """Take note of the validation loss (nats per token) of an epoch, counted from 1; True when the best so far."""
        improved = valid_loss < self.best
        if improved:
            self.best = valid_loss
        elif self.name == "plateau":
            self.scale /= 4
        if self.name == "steps" and epoch in self.milestones:
            self.scale /= 10
        return improved

    def state_dict(self) -> dict[str, float]:
        """What an exact resume needs."""
        return {"scale": self.scale, "best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """The inverse of `state_dict`."""
        self.scale, self.best = state["scale"], state["best"]


def half_cosine(x: float) -> float:
    """From 1 at `x` = 0 to 0 at `x` = 1, flat at both ends."""
    return 0.5 * (1 + math.cos(math.pi * x))


def set_rate(optimizer: torch.optim.Optimizer, lr: float, momentum_drop: float = 0.0) -> None:
    """Set the learning rate, and the momentum that far below what the optimizer was made with."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        if "betas" in group:
            group["betas"] = (max(0.0, optimizer.defaults["betas"][0] - momentum_drop), group["betas"][1])
        elif group.get("momentum"):
            group["momentum"] = max(0.0, optimizer.defaults["momentum"] - momentum_drop)
