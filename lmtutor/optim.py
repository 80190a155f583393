"""Optimizers by name, and the schedules of the learning rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from lmtutor.errors import LMTutorError, nearest

OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
SCHEDULES = ("constant", "plateau", "linear", "one-cycle")


def make_optimizer(name: str, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0):
    """A torch optimizer by name, fused into one pass over the parameters.

    Raises
    ------
    LMTutorError : unknown name.
    """
    if name not in OPTIMIZERS:
        raise LMTutorError(f"Unknown optimizer {name!r}.{nearest(name, OPTIMIZERS)}")
    return OPTIMIZERS[name](parameters, lr=lr, weight_decay=weight_decay, fused=True)


class Schedule:
    """The learning rate over a run.

    ========== ===========================================================================================
    constant   `lr` throughout
    plateau    `lr`, divided by 4 after each epoch whose validation loss is no better than the best so far
    linear     up to `lr` over the first `warmup` of the run, constant to 40 %, then straight down to zero
    one-cycle  from `lr`/10 up to `lr` over 30 % of the run, then a cosine down to `lr`/1000 (Smith 2018)
    ========== ===========================================================================================

    Parameters
    ----------
    name : one of the above.
    lr : the (highest) learning rate.
    warmup : share of the run over which the linear schedule rises.

    Raises
    ------
    LMTutorError : unknown name.
    """

    def __init__(self, name: str, lr: float, warmup: float = 0.02):
        if name not in SCHEDULES:
            raise LMTutorError(f"Unknown schedule {name!r}.{nearest(name, SCHEDULES)}")
        self.name, self.peak, self.warmup = name, lr, warmup
        self.scale = 1.0  # what the plateaus have left of the learning rate
        self.best = math.inf  # lowest validation loss, nats a token

    def lr(self, done: float) -> float:
        """Learning rate when the share `done` of the run is behind, from 0 up to (not including) 1."""
        if self.name == "linear":
            rise = min(1.0, 0.01 + done / self.warmup) if self.warmup else 1.0
            return self.peak * min(rise, 1.0, (1 - done) / 0.6)
        if self.name == "one-cycle":
            if done < 0.3:
                return self.peak * (0.1 + 0.9 * done / 0.3)
            return self.peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7)))
        return self.peak * self.scale

    def after_epoch(self, valid_loss: float) -> bool:
        """Take note of an epoch's validation loss (nats a token); True when it is the best so far."""
        improved = valid_loss < self.best
        if improved:
            self.best = valid_loss
        elif self.name == "plateau":
            self.scale /= 4
        return improved

    def state_dict(self) -> dict[str, float]:
        """What an exact resume needs."""
        return {"scale": self.scale, "best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """The inverse of `state_dict`."""
        self.scale, self.best = state["scale"], state["best"]
