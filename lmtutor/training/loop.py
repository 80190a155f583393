"""The training loop: truncated backpropagation through time, and a validation after every epoch.

A text of a million words is too long to send a gradient through. So the loop reads a few rows of its columns at a
time, takes one step of the optimizer, and carries the hidden state on to the next rows, but not the graph behind it:
that is the truncation. Nothing here knows of files, signals, several processes or progress bars. `session` adds them
through the six methods at the end.
"""

import time
from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

from lmtutor.models.base import detach
from lmtutor.models.heads import IGNORED
from lmtutor.scoring.score import Score, evaluate
from lmtutor.text.batches import Batch, cut_batches, scored_tokens
from lmtutor.training.config import TrainConfig, text_to_score
from lmtutor.training.optim import Averaging, Schedule, averaged_weights, make_optimizer, set_rate

COLUMNS = ["epoch", "train_loss", "valid_loss", "valid_perplexity", "seconds", "tokens_per_second", "lr"]


class Trainer:
    """A model in training: everything that changes from step to step, and the loop that changes it.

    Parameters
    ----------
    model : a torch model of the package, trained in place, on the device where it lies.
    corpus : its training split is read; its validation split is scored after every epoch.
    config : see `TrainConfig`.
    """

    def __init__(self, model: nn.Module, corpus, config: TrainConfig):
        self.model, self.corpus, self.config = model, corpus, config
        self.device = next(model.parameters()).device
        self.ids = corpus.train.to(self.device) if config.cut == "stream" else corpus.train
        names = ("weight_decay", "decay_vectors", "momentum", "betas", "epsilon", "nonmono")
        more = {name: getattr(config, name) for name in names}
        self.optimizer = make_optimizer(config.optimizer, model.parameters(), config.lr, **more)
        self.schedule = Schedule(config.schedule, config.lr, config.warmup, config.milestones)
        self.lr = config.lr  # of the last step, before random BPTT scales it
        self.epoch, self.step = 0, 0  # finished epochs; finished steps of the one under way
        self.nats, self.tokens, self.seconds = 0.0, 0, 0.0  # of the epoch under way
        self.fresh = torch.zeros((), dtype=torch.float64, device=self.device)  # nats that are not counted yet
        self.hidden = None  # the recurrent state, carried from batch to batch
        self.history: list[dict] = []  # a row per epoch
        self.steps: list[dict] = []  # a row per logged step: of a `Session`
        self.stop = False  # whether to end before the last epoch

    def run(self) -> None:
        """Train until the last epoch, until averaging no longer helps, or until `stop` is set."""
        while self.epoch < self.config.epochs and not self.stop and not getattr(self.optimizer, "done", False):
            self.train_epoch()
            if self.step == 0:  # else it was stopped on the way
                self.end_epoch()

    def train_epoch(self) -> None:
        """Read the training split once; where it is stopped on the way, `step` stays above 0."""
        whole = scored_tokens(self.ids, self.corpus.vocab, self.config.cut, self.config.batch_size)
        self.model.train()
        began = time.monotonic() - self.seconds
        # A resumed epoch draws the same batches and skips those that are done.
        for batch in islice(self.batches(), self.step, None):
            done = (self.epoch + self.tokens / whole) / self.config.epochs  # share of the run behind us
            self.fresh += self.train_step(batch, done)
            self.tokens += self.scored(batch)
            self.step += 1
            self.seconds = time.monotonic() - began
            self.after_step(whole)
            if self.stop and self.tokens < whole:
                return
        self.step = 0

    def batches(self) -> Iterable[Batch]:
        """The batches of this epoch, from a generator of its own, so that they can be drawn again."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.epoch)
        return cut_batches(self.ids, self.corpus.vocab, generator=generator, **self.config.cutting)

    def train_step(self, batch: Batch, done: float) -> Tensor:
        """Update the parameters once; return the summed nats of the batch, not yet waited for."""
        inputs, targets = (self.share(part).to(self.device) for part in (batch.inputs, batch.targets))
        if not batch.carry or self.hidden is None:
            self.hidden = self.model.initial_state(inputs.shape[1])
        self.lr = self.schedule.lr(done)
        # The loss is a mean over the batch: a longer batch has more to say, and takes a longer step.
        length = len(batch.inputs) / self.config.bptt if self.config.random_bptt else 1.0
        set_rate(self.optimizer, self.lr * length, self.schedule.momentum_drop(done))
        self.optimizer.zero_grad(set_to_none=True)
        nats, penalty, self.hidden = self.model.loss(inputs, targets, detach(self.hidden))
        (nats + penalty).backward()
        self.after_backward()
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        return nats.detach().double() * (targets != IGNORED).sum()

    def scored(self, batch: Batch) -> int:
        """How many targets of a batch count; in a stream all do, and the device need not be asked."""
        return batch.targets.numel() if self.config.cut == "stream" else int((batch.targets != IGNORED).sum())

    def count(self) -> None:
        """Count the nats of the steps since the last call; on a GPU this waits for them."""
        self.nats += float(self.total(self.fresh))
        self.fresh.zero_()

    def end_epoch(self) -> None:
        """Score the validation split, with averaged weights where there are any, and write a row of the history."""
        began = time.monotonic()
        self.count()
        with averaged_weights(self.optimizer):
            score = evaluate(self.model, text_to_score(self.corpus, "valid", self.config))
            self.epoch += 1
            self.keep(score, self.schedule.after_epoch(score.nats_per_token, self.epoch))
        if isinstance(self.optimizer, Averaging):
            self.optimizer.after_epoch(score.nats_per_token)
        row = dict(
            epoch=self.epoch,
            train_loss=self.nats / self.tokens,
            valid_loss=score.nats_per_token,
            valid_perplexity=score.perplexity,
            seconds=self.seconds + time.monotonic() - began,
            tokens_per_second=self.tokens / self.seconds,
            lr=self.lr,
        )
        self.history.append(row)
        self.nats, self.tokens, self.seconds, self.hidden = 0.0, 0, 0.0, None
        self.after_epoch(row)

    # What `session` fills in. In a plain Trainer these do nothing.

    def share(self, part: Tensor) -> Tensor:
        """Return the columns of (T, B) that this process reads."""
        return part

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a number over all processes."""
        return value

    def after_backward(self) -> None:
        """Called between the gradient and the step that it leads to."""

    def after_step(self, whole: int) -> None:
        """Called after every step; `whole` is how many targets the epoch has."""

    def keep(self, score: Score, improved: bool) -> None:
        """Called when an epoch is scored, with the weights that were; `improved` where it is the best so far."""

    def after_epoch(self, row: dict) -> None:
        """Called when an epoch is over, with its row of the history."""
