"""The training loop: truncated backpropagation through time, validation after every epoch, exact resume."""

import contextlib
import hashlib
import json
import math
import sys
import time
from itertools import islice
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from lmtutor.models.base import detach
from lmtutor.models.heads import IGNORED
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import Score, evaluate
from lmtutor.system import processes as distributed
from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.system.files import write_atomically
from lmtutor.system.machine import choose_device, describe, keep_freed_memory
from lmtutor.system.progress import Progress, tensorboard
from lmtutor.text.batches import cut_batches, scored_tokens
from lmtutor.text.corpora import Corpus
from lmtutor.training import checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.interrupt import stop_signals
from lmtutor.training.optim import AveragedSGD, Schedule, averaged_weights, make_optimizer, set_rate
from lmtutor.training.resume import COLUMNS, take_over, training_state

LOOK_EVERY = 20  # steps between two looks at the loss; on a GPU each look waits for the device
SAVE_EVERY = 300  # seconds between two saves within an epoch


def fit(
    model: nn.Module,
    corpus: Corpus,
    config: TrainConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    keep_every: int = 0,
    keep_start: bool = False,
    sample: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a model on a corpus and leave it with the weights of its best epoch.

    Parameters
    ----------
    model : a torch model of the package; trained in place.
    corpus : its training split is read, its validation split chooses the best epoch.
    config : see `TrainConfig`.
    out : folder for ``history.csv``, ``checkpoint/`` (the best epoch) and ``state.safetensors`` (to resume from).
    resume : go on from ``out/state.safetensors``, exactly as if there had been no interruption.
    keep_every : also keep every n-th epoch, in ``out/epochs/``.
    keep_start : only an epoch better than the weights it begins with replaces them; for finetuning.
    sample : print a continuation of this prompt after each epoch.
    progress : show a progress bar and a line an epoch.

    Returns
    -------
    DataFrame
        A row an epoch: ``epoch train_loss valid_loss valid_perplexity seconds tokens_per_second lr``; losses in nats a
        token, `lr` the epoch's last, `seconds` of training and validation. ``history.attrs["interrupted"]`` says
        whether Ctrl-C or SIGTERM ended it early.

    Raises
    ------
    Diverged : the loss is NaN, infinite, or stays worse than guessing; the message says where and what to try.
    LMTutorError : the text is too small for the batch, or `resume` finds nothing that fits.
    """
    trainer = Trainer(model, corpus, config or TrainConfig(), Path(out) if out else None, progress)
    if sample is not None:
        corpus.vocab.encode_text(sample)  # what it cannot read fails now, not after the first epoch
    trainer.keep_every, trainer.sample = keep_every, sample
    if resume:
        trainer.restore()
    elif keep_start:
        trainer.keep(evaluate(model, text_to_score(corpus, "valid", trainer.config)))
    with stop_signals(trainer):
        trainer.run()
    return trainer.frame()


def text_to_score(corpus: Corpus, split: str, config: TrainConfig):
    """A split as `evaluate` is to read it: the stream of its ids, or the samples that a training on samples knows."""
    ids = corpus.split(split)
    if config.cut == "stream":
        return ids
    cutting = dict(batch_size=config.batch_size, bptt=config.bptt, stride=config.stride)
    return cut_batches(ids, corpus.vocab, config.cut, **cutting)


def _digest(corpus: Corpus) -> str:
    """SHA-256 of the words, and of the ids of each split: whoever resumes has to read the same."""
    splits = corpus.train, corpus.valid, corpus.test
    sha = hashlib.sha256(json.dumps([corpus.vocab.tokens, [len(ids) for ids in splits]]).encode())
    for ids in splits:
        sha.update(ids.cpu().contiguous().numpy())
    return sha.hexdigest()


class Trainer:
    """All that a training run holds. Whatever changes from step to step is in `state` and nowhere else."""

    def __init__(self, model: nn.Module, corpus: Corpus, config: TrainConfig, out: Path | None, progress: bool):
        if model.vocab_size != len(corpus.vocab):
            raise LMTutorError(
                f"The model has {model.vocab_size} types, the corpus {len(corpus.vocab)}: "
                "build the model with corpus.vocab, or load the corpus with vocab=…"
            )
        if distributed.world() > 1 and config.cut != "stream":
            raise LMTutorError(f"cut={config.cut!r} trains in one process: start it without torchrun, or cut a stream.")
        self.device = choose_device(config.device)
        self.model, self.corpus, self.config, self.out = model.to(self.device), corpus, config, out
        self.model.head.precision = config.precision
        self.train_ids = corpus.train.to(self.device) if config.cut == "stream" else corpus.train
        more = dict(momentum=config.momentum, betas=config.betas, nonmono=config.nonmono)
        self.optimizer = make_optimizer(config.optimizer, model.parameters(), config.lr, config.weight_decay, **more)
        self.schedule = Schedule(config.schedule, config.lr, milestones=config.milestones)
        self.lr = config.lr  # of the last step, before random BPTT scales it
        self.keep_every, self.sample = 0, None
        self.show = progress and distributed.rank() == 0
        self.writes = out is not None and distributed.rank() == 0
        self.best: dict[str, torch.Tensor] | None = None
        self.asked, self.stop = False, False  # a signal came; all processes have agreed to stop
        self.history: list[dict] = []
        self.epoch, self.step = 0, 0  # finished epochs; finished steps of the one under way
        self.nats, self.tokens, self.seconds = 0.0, 0, 0.0  # of the epoch under way
        self.hidden = None  # the recurrent state, carried from batch to batch
        cut = cut_batches(self.train_ids, corpus.vocab, generator=torch.Generator(), **self.cutting())
        for batch in islice(cut, 1):  # what cannot be cut or shared out is refused here, before anything is written
            distributed.my_columns(batch.inputs)
        self.text = _digest(corpus) if out else ""
        distributed.same_start(model)
        torch.manual_seed(config.seed + distributed.rank())  # each process drops other units

    def run(self) -> None:
        """Train until the last epoch, or until `stop` is set."""
        keep_freed_memory()
        if self.show:
            print(f"training on {describe(self.device, self.config.precision)}", flush=True)
        self.last_save = time.monotonic()
        while self.epoch < self.config.epochs and not self.stop and not getattr(self.optimizer, "done", False):
            self.train_epoch()
            if not self.stop or self.step == 0:
                self.end_epoch()
        if self.stop:
            self.save()
            go_on = "; go on with resume=True (lmtutor train ... --resume)" if self.out else ""
            if distributed.rank() == 0:
                print(f"Stopped after {len(self.history)} whole epochs{go_on}.", flush=True)
        if self.best is not None:
            checkpoint.load_tensors(self.model, self.best)

    def train_epoch(self) -> None:
        """One pass over the training split; when interrupted, `step` stays above 0."""
        config, began = self.config, time.monotonic()
        spent = self.seconds
        # A generator of its own for each epoch: a resumed epoch draws the same batches and skips those done.
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.epoch)
        batches = cut_batches(self.train_ids, self.corpus.vocab, generator=generator, **self.cutting())
        whole = scored_tokens(self.train_ids, self.corpus.vocab, config.cut, config.batch_size)
        self.model.train()
        nats = torch.zeros((), dtype=torch.float64, device=self.device)
        with Progress(whole, f"epoch {self.epoch + 1}", self.show, done=self.tokens) as bar:
            for batch in islice(batches, self.step, None):
                nats += self.train_step(batch, (self.epoch + self.tokens / whole) / config.epochs)
                self.tokens += self.scored(batch)
                self.step += 1
                self.seconds = spent + time.monotonic() - began
                if self.step % LOOK_EVERY == 0 or self.tokens == whole:
                    self.nats += float(distributed.total(nats))
                    nats.zero_()
                    self.look()
                    mean = self.nats / self.tokens
                    bar.update(self.tokens, loss=mean, perplexity=math.exp(min(mean, 700)))
                    if self.agree():
                        self.save()
                    if self.stop and self.tokens < whole:
                        return
        self.step = 0

    def agree(self) -> bool:
        """Whether to save now, and by `stop` whether to end: the same answer in every process."""
        due = bool(self.out) and distributed.rank() == 0 and time.monotonic() - self.last_save > SAVE_EVERY
        asked, due = distributed.total(torch.tensor([float(self.asked), float(due)], device=self.device)).tolist()
        self.stop = self.stop or asked > 0
        return due > 0 or self.stop

    def train_step(self, batch, done: float) -> torch.Tensor:
        """One update of the parameters; returns the batch's summed nats, not yet waited for."""
        config = self.config
        inputs, targets = (distributed.my_columns(part).to(self.device) for part in (batch.inputs, batch.targets))
        if not batch.carry or self.hidden is None:
            self.hidden = self.model.initial_state(inputs.shape[1])
        self.lr = self.schedule.lr(done)
        length = len(batch.inputs) / config.bptt if config.random_bptt else 1.0  # this batch's, for this batch's step
        set_rate(self.optimizer, self.lr * length, self.schedule.momentum_drop(done))
        self.optimizer.zero_grad(set_to_none=True)
        nats, penalty, self.hidden = self.model.loss(inputs, targets, detach(self.hidden))
        ((nats + penalty) / distributed.world()).backward()
        distributed.sum_gradients(self.model.parameters())
        if config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        return nats.detach().double() * (targets != IGNORED).sum()

    def cutting(self) -> dict:
        """How the config wants a text cut, for `cut_batches`."""
        names = ("cut", "batch_size", "bptt", "stride", "random_bptt")
        return {name: getattr(self.config, name) for name in names}

    def scored(self, batch) -> int:
        """How many targets of a batch count; in a stream all do, and the device need not be asked."""
        return batch.targets.numel() if self.config.cut == "stream" else int((batch.targets != IGNORED).sum())

    def look(self) -> None:
        """Raise `Diverged` when the loss is not a number, or the epoch is far worse than guessing."""
        mean, guess = self.nats / self.tokens, math.log(self.model.vocab_size)
        if math.isfinite(mean) and (mean < 2 * guess + 5 or self.step < 5 * LOOK_EVERY):
            return
        lr = self.optimizer.param_groups[0]["lr"]
        clip = f"a smaller clip (now {self.config.clip:g})" if self.config.clip else "a clip (now there is none)"
        kept = f" The best epoch is in {self.out / 'checkpoint'}." if self.out and self.history else ""
        raise Diverged(
            f"The loss diverged to {mean:.4g} nats a token (guessing costs {guess:.2f}) by step {self.step} of epoch "
            f"{self.epoch + 1} at learning rate {lr:.4g}: try a third of it, or {clip}.{kept}"
        )

    def end_epoch(self) -> None:
        """Validate, note the epoch down, keep it if it is the best, and save."""
        began = time.monotonic()
        with averaged_weights(self.optimizer):
            score = evaluate(self.model, text_to_score(self.corpus, "valid", self.config))
            if not math.isfinite(score.nats):
                raise Diverged(
                    f"The validation loss of epoch {self.epoch + 1} is {score.nats}: lower lr ({self.config.lr:g})."
                )
            self.epoch += 1
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
            self.keep(score)
        if isinstance(self.optimizer, AveragedSGD):
            self.optimizer.after_epoch(score.nats_per_token)
        self.nats, self.tokens, self.seconds, self.hidden = 0.0, 0, 0.0, None
        self.agree()
        self.save()
        with averaged_weights(self.optimizer):
            self.tell(row, score)

    def keep(self, score: Score) -> None:
        """Keep the weights that the model has now if they are the best so far, and every n-th epoch if asked to."""
        if self.schedule.after_epoch(score.nats_per_token, self.epoch):
            self.best = {name: value.clone() for name, value in checkpoint.model_tensors(self.model).items()}
            if self.writes:
                checkpoint.save_checkpoint(self.out / "checkpoint", self.model, self.corpus.vocab)
        if self.writes and self.keep_every and self.epoch % self.keep_every == 0:
            checkpoint.save_checkpoint(self.out / "epochs" / f"{self.epoch:04}", self.model, self.corpus.vocab)

    def tell(self, row: dict, score: Score) -> None:
        """One line an epoch, a sample if asked for, scalars for TensorBoard if it is installed."""
        if self.show:
            print(
                f"epoch {row['epoch']}: train {row['train_loss']:.4f}, valid {row['valid_loss']:.4f} nats a token, "
                f"valid perplexity {score.perplexity:.2f}, {row['tokens_per_second']:,.0f} tokens/s, "
                f"{row['seconds']:.0f} s, lr {row['lr']:.4g}",
                flush=True,
            )
        if self.sample is not None and distributed.rank() == 0:
            with torch.random.fork_rng(devices=[]):
                text = generate(self.model, self.corpus.vocab, self.sample, 30, seed=self.config.seed)
            known = sys.stdout.encoding or "utf-8"  # a sample for the eye: no letter of it may end the training
            print(f"  {text.encode(known, 'replace').decode(known)}", flush=True)
        if self.writes:
            with contextlib.suppress(ImportError), tensorboard(self.out) as writer:
                for name in COLUMNS[1:]:
                    writer.add_scalar(name, row[name], row["epoch"])

    def frame(self) -> pd.DataFrame:
        """The history so far."""
        frame = pd.DataFrame(self.history, columns=COLUMNS)
        frame.attrs["interrupted"] = self.stop
        return frame

    def save(self) -> None:
        """Write the history and all that an exact resume needs."""
        if not self.out:
            return
        processes = distributed.gather({"hidden": detach(self.hidden), "rng": torch.get_rng_state()})
        self.last_save = time.monotonic()
        if not self.writes:
            return
        checkpoint.save_state(self.out / "state.safetensors", training_state(self, processes))
        self.write_history()

    def write_history(self) -> None:
        """Write ``history.csv``."""
        write_atomically(self.out / "history.csv", self.frame().to_csv(index=False).encode())

    def restore(self) -> None:
        """Go back to what `save` wrote."""
        if not self.out:
            raise LMTutorError("resume=True needs out=, the folder of the run to go on with.")
        take_over(self, checkpoint.load_state(self.out / "state.safetensors"))
        best = self.out / "checkpoint" / "model.safetensors"
        if self.history and not best.exists():
            raise LMTutorError(f"{best}, the weights of the best epoch, is gone: restore it, or train anew.")
        self.best = checkpoint.read_tensors(best)[0] if best.exists() else None
        if self.best:
            checkpoint.check_tensors(self.model, self.best, best)  # fails now, not after the last epoch
        if len(set(distributed.gather((self.epoch, self.step)))) > 1:
            raise LMTutorError(f"The processes found different states in {self.out}: it has to be a shared folder.")
        if self.writes and self.history:
            self.write_history()  # the end may have come between the state and the history of its last epoch
