"""How to train: one frozen dataclass, which a recipe writes down."""

import math
from dataclasses import dataclass

from lmtutor.system.errors import LMTutorError


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the original tutorial's recipe."""

    epochs: int = 3  # passes over the training split
    optimizer: str = "sgd"  # sgd, nt-asgd, asgd, adam, adamw
    lr: float = 20.0  # highest learning rate
    schedule: str = "plateau"  # constant, plateau, steps, linear, one-cycle, four-phase: see optim.Schedule
    milestones: tuple = ()  # epochs after which the schedule `steps` divides lr by 10
    momentum: float = 0.0  # of sgd; the cycles take up to 0.1 off it while lr is high
    betas: tuple = (0.9, 0.999)  # of adam and adamw; likewise the first
    nonmono: int = 5  # epochs that nt-asgd and asgd do not compare with
    clip: float = 0.25  # largest Euclidean norm of the whole gradient; 0 does not clip
    bptt: int = 35  # tokens through which the gradient flows
    random_bptt: bool = False  # draw each batch's length around bptt, and scale its learning rate with it
    batch_size: int = 20  # columns read side by side
    weight_decay: float = 0.0  # share of a weight taken off a step, times lr
    cut: str = "stream"  # stream; sentences, documents, windows: samples, each from a fresh state
    stride: int = 0  # of windows, which are bptt long: tokens from one to the next; 0 is bptt, no overlap
    seed: int = 1  # of the dropout and of all else that is drawn
    precision: str = "auto"  # of the softmax's products: auto, float32, bfloat16
    device: str = "auto"  # auto, cpu, cuda

    def __post_init__(self):
        for name in ("bptt", "batch_size"):
            if getattr(self, name) < 1:
                raise LMTutorError(f"{name}={getattr(self, name)}: it has to be at least 1.")
        for name in ("epochs", "clip", "weight_decay", "seed", "momentum", "nonmono", "stride"):
            if not getattr(self, name) >= 0:
                raise LMTutorError(f"{name}={getattr(self, name)}: it has to be 0 or more.")
        for name in ("clip", "weight_decay", "momentum"):
            if not math.isfinite(getattr(self, name)):
                raise LMTutorError(f"{name}={getattr(self, name)}: it has to be a finite number.")
        for name in ("epochs", "bptt", "batch_size", "nonmono", "stride", "seed"):
            if getattr(self, name) >= 1 << 31:
                raise LMTutorError(f"{name} is too large: it has to be below {1 << 31}.")
        if not all(type(epoch) is int and 0 < epoch < 1 << 31 for epoch in self.milestones):
            raise LMTutorError(f"milestones={list(self.milestones)}: give epochs, whole numbers from 1 on.")
        if self.epochs < 1:
            raise LMTutorError(f"epochs={self.epochs}: it has to be at least 1.")
        betas = list(self.betas)
        if len(betas) != 2 or not all(isinstance(b, (int, float)) and 0 <= b < 1 for b in betas):
            raise LMTutorError(f"betas={betas}: give two numbers of at least 0 and below 1.")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise LMTutorError(f"lr={self.lr}: the learning rate has to be a positive number.")
