"""How to train: one frozen dataclass, which a recipe writes down."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lmtutor.system.errors import one_of
from lmtutor.system.limits import COUNT, MOST, POSITIVE, SHARE, Limit, expect, fits, number, whole
from lmtutor.system.machine import PRECISIONS
from lmtutor.text.batches import CUTS, Batch, cut_batches
from lmtutor.training.optim import OPTIMIZERS, SCHEDULES

_NAMES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "cut": CUTS, "precision": PRECISIONS}
_LIMITS = {
    "epochs bptt batch_size": whole(1, MOST),
    "nonmono stride seed": COUNT,
    "clip weight_decay momentum": number(0),
    "lr epsilon": POSITIVE,
    "warmup label_smoothing": SHARE,
    "milestones": Limit(
        lambda value: fits([*value], [lambda one: type(one) is int and one >= 1]), "epochs, integers from 1 on"
    ),
    "betas": Limit(lambda value: len(value) == 2 and fits([*value], [SHARE.shape]), "two shares, each below 1"),
}


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are those of GluonNLP's tutorial (chapter 04)."""

    epochs: int = 3  # passes over the training split
    optimizer: str = "sgd"  # sgd, nt-asgd, asgd, adam, adamw, nt-adamw
    lr: float = 20.0  # highest learning rate
    schedule: str = "plateau"  # constant, plateau, steps, linear, one-cycle, four-phase: see `Schedule`
    warmup: float = 0.02  # share of the run over which the schedule `linear` rises
    milestones: tuple = ()  # epochs after which the schedule `steps` divides lr by 10
    momentum: float = 0.0  # of sgd; the cycles take up to 0.1 off it while lr is high
    betas: tuple = (0.9, 0.999)  # of adam and adamw; likewise the first
    epsilon: float = 1e-8  # of adam and adamw: added to the root of the mean squared gradient
    nonmono: int = 5  # epochs that nt-asgd, nt-adamw and asgd do not compare with
    clip: float = 0.25  # largest Euclidean norm of the whole gradient; 0 does not clip
    bptt: int = 35  # tokens through which the gradient flows
    random_bptt: bool = False  # draw each batch's length around bptt, and scale its learning rate with it
    batch_size: int = 20  # columns read side by side
    weight_decay: float = 0.0  # share of a weight taken off per step, times lr
    decay_vectors: bool = True  # whether it reaches biases and the norms' factors too, or matrices alone
    label_smoothing: float = 0.0  # share of a target that all types get alike, while training; of the head softmax
    cut: str = "stream"  # stream; sentences, documents, windows: samples, each from a fresh state
    stride: int = 0  # of windows, which are bptt long: tokens from one to the next; 0 is bptt, no overlap
    seed: int = 1  # of the dropout and of all else that is drawn
    precision: str = "auto"  # of the softmax's products: auto, float32, bfloat16
    device: str = "auto"  # auto, cpu, cuda or cuda:N

    def __post_init__(self):
        for name, known in _NAMES.items():
            one_of(name, getattr(self, name), known)
        expect(vars(self), _LIMITS)

    @property
    def cutting(self) -> dict[str, Any]:
        """How a text is cut into batches, for `cut_batches`."""
        return {name: getattr(self, name) for name in ("cut", "batch_size", "bptt", "stride", "random_bptt")}


def text_to_score(corpus, split: str, config: TrainConfig) -> Tensor | Iterable[Batch]:
    """A split as `evaluate` reads it: the stream of its ids, or the samples where training is cut into samples."""
    ids = corpus.split(split)
    if config.cut == "stream":
        return ids
    return cut_batches(ids, corpus.vocab, **{**config.cutting, "random_bptt": False})
