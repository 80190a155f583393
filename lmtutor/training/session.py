"""A training that can be watched, stopped and resumed: what surrounds the loop.

A `Session` is a `Trainer` that shows its progress, keeps the best epoch, saves everything that an exact resume needs,
ends politely on Ctrl-C or SIGTERM, shares its batches with other processes, and notices divergence.
"""

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from lmtutor.models.heads import SoftmaxHead
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import Score, check_vocabulary, evaluate
from lmtutor.system import processes
from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.system.files import write_atomically
from lmtutor.system.machine import choose_device, describe_device, keep_freed_memory
from lmtutor.system.progress import Progress
from lmtutor.text.corpora import Corpus
from lmtutor.training import checkpoint
from lmtutor.training.config import TrainConfig, text_to_score
from lmtutor.training.loop import COLUMNS, Trainer
from lmtutor.training.resume import LOGGED, WHOLE, corpus_digest, resume, training_state

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
    log_every: int = 0,
    sample: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a model on a corpus and leave it with the weights of its best epoch, on the device that it came from.

    Parameters
    ----------
    model : a torch model of the package; trained in place.
    corpus : its training split is read, its validation split chooses the best epoch.
    config : see `TrainConfig`.
    out : folder for ``history.csv``, ``checkpoint/`` (the best epoch) and ``state.safetensors`` (to resume from).
    resume : continue from ``out/state.safetensors``, exactly as if there had been no interruption.
    keep_every : also keep every n-th epoch, in ``out/epochs/``.
    log_every : every so many steps print a line, and write a row into ``history.csv``, before that of its epoch. Such
        a row has a number under ``step``, and no ``valid_loss``; its ``train_loss`` is the mean since the row before,
        its ``seconds``, ``tokens`` and ``nats`` are those of the epoch so far.
    sample : after each epoch, print a continuation of this prompt.
    progress : show a progress bar and one line per epoch.

    Returns
    -------
    DataFrame
        One row per epoch: ``epoch train_loss valid_loss valid_perplexity seconds tokens_per_second lr``; losses in nats
        per token, `lr` the epoch's last, `seconds` of training and validation. ``history.attrs["interrupted"]`` says
        whether Ctrl-C or SIGTERM ended it early.

    Raises
    ------
    Diverged : the loss is NaN, infinite, or stays worse than guessing; the message says where and what to try.
    LMTutorError : the text is too small for the batch, or `resume` finds nothing that fits.
    """
    session = Session(model, corpus, config or TrainConfig(), out, progress, keep_every, sample, log_every)
    if resume:
        session.restore()
    return session.fit()


class Session(Trainer):
    """A training with its surroundings; the parameters are those of `fit`. What it cannot do it refuses here."""

    def __init__(
        self,
        model: nn.Module,
        corpus: Corpus,
        config: TrainConfig,
        out: str | Path | None = None,
        progress: bool = False,
        keep_every: int = 0,
        sample: str | None = None,
        log_every: int = 0,
    ):
        check_vocabulary(model, corpus.vocab)
        if sample is not None:
            corpus.vocab.encode_text(sample)  # what it cannot read fails now, not after the first epoch
        self.home = next(model.parameters()).device
        super().__init__(model.to(choose_device(config.device)), corpus, config)
        if config.label_smoothing and not isinstance(model.head, SoftmaxHead):
            raise LMTutorError("label_smoothing needs the logits of all types: set model.head=softmax.")
        model.head.precision, model.head.label_smoothing = config.precision, config.label_smoothing
        self.out, self.keep_every, self.sample = Path(out) if out else None, keep_every, sample
        self.log_every, self.text_sample = log_every, ""
        self.shows = progress and processes.rank() == 0
        self.writes = out is not None and processes.rank() == 0
        self.best: dict[str, Tensor] | None = None  # weights of the best epoch
        self.guess = math.log(model.vocab_size)  # what guessing costs, nats per token
        self.hopeless = 2 * self.guess + 5  # a loss from which no training comes back
        self.asked = False  # to stop, by a signal to this process
        self.last_save = time.monotonic()
        self.bar = Progress(0, "", shown=False)
        self.text = corpus_digest(corpus) if out else ""
        if processes.world() > 1:
            self.join()
        self.share(next(iter(self.batches())).inputs)  # what cannot be cut or shared out fails now
        torch.manual_seed(config.seed + processes.rank())  # each process drops other units

    def join(self) -> None:
        """Begin as the other processes do, and let the loop share batches, gradients and sums with them."""
        if self.config.cut != "stream":
            raise LMTutorError(f"cut={self.config.cut!r} trains in one process: leave out torchrun, or cut='stream'.")
        processes.same_start(self.model)
        self.share, self.total = processes.my_columns, processes.total
        self.after_backward = lambda: processes.average_gradients(self.model.parameters())

    def fit(self) -> pd.DataFrame:
        """Train to the end, or until a signal; see the function `fit`."""
        keep_freed_memory()
        if self.shows:
            print(f"training on {describe_device(self.device, self.config.precision)}", flush=True)
        try:
            with self.stop_signals():
                self.run()
            if self.stop:
                how = ""
                if self.out:
                    self.save()
                    how = "; continue with resume=True (lmtutor train ... --resume)"
                if processes.rank() == 0:
                    print(f"Stopped after {len(self.history)} whole epochs{how}.", flush=True)
            elif self.history and self.schedule.best > self.guess + 0.5:
                self.diverged(self.schedule.best, "after the last epoch")
            if self.best is not None:
                checkpoint.load_tensors(self.model, self.best)
        finally:
            self.model.to(self.home)
        return self.frame()

    def frame(self) -> pd.DataFrame:
        """The history so far."""
        frame = pd.DataFrame(self.history, columns=COLUMNS)
        frame.attrs["interrupted"] = self.stop
        return frame

    # --- What the loop calls

    def train_epoch(self) -> None:
        with Progress(0, f"epoch {self.epoch + 1}", self.shows, done=self.tokens) as self.bar:
            super().train_epoch()

    def after_step(self, whole: int) -> None:
        if self.log_every and self.step % self.log_every == 0:
            self.log_step()
        if self.step % LOOK_EVERY and self.tokens < whole:
            return
        self.count()
        mean = self.nats / self.tokens
        early = self.epoch == 0 and self.step < 5 * LOOK_EVERY and self.tokens < whole
        if not math.isfinite(mean) or (mean > self.hopeless and not early):
            self.diverged(mean, f"by step {self.step} of epoch {self.epoch + 1}")
        self.bar.total = whole
        self.bar.update(self.tokens, loss=mean, perplexity=math.exp(min(mean, 700)))
        due = bool(self.out) and processes.rank() == 0 and time.monotonic() - self.last_save > SAVE_EVERY
        self.agree_to_stop()
        if self.total(torch.tensor(float(due), device=self.device)) > 0:
            self.save()

    def log_step(self) -> None:
        """Note how the training stands, a row of `LOGGED`."""
        nats, last = self.nats + float(self.total(self.fresh)), {"nats": 0.0, "tokens": 0}
        if self.steps and self.steps[-1]["epoch"] == self.epoch + 1:
            last = self.steps[-1]
        loss = (nats - last["nats"]) / (self.tokens - last["tokens"])
        speed = self.tokens / self.seconds
        row = (self.epoch + 1, self.step, self.tokens, nats, loss, self.seconds, speed, self.lr)
        self.steps.append(dict(zip(LOGGED, row, strict=True)))
        if self.shows:
            print(f"epoch {row[0]}, step {self.step}: train {loss:.4f} nats per token, lr {self.lr:.4g}", flush=True)

    def keep(self, score: Score, improved: bool) -> None:
        if not score.nats_per_token < self.hopeless:  # NaN too
            self.diverged(score.nats_per_token, f"on the validation split after epoch {self.epoch}")
        if improved:
            self.best = {name: value.clone() for name, value in checkpoint.model_tensors(self.model).items()}
        if self.writes:
            kept = self.keep_every and self.epoch % self.keep_every == 0
            for folder in ["checkpoint"] * improved + [f"epochs/{self.epoch:04}"] * bool(kept):
                checkpoint.save_checkpoint(self.out / folder, self.model, self.corpus.vocab)
        if self.sample is not None and processes.rank() == 0:
            self.text_sample = self.draw_sample()  # now, with the weights that were scored

    def after_epoch(self, row: dict) -> None:
        self.agree_to_stop()
        if self.out:
            self.save()
        if self.shows:
            print(
                f"epoch {row['epoch']}: train {row['train_loss']:.4f}, valid {row['valid_loss']:.4f} nats per token, "
                f"valid perplexity {row['valid_perplexity']:.2f}, {row['tokens_per_second']:,.0f} tokens/s, "
                f"{row['seconds']:.0f} s, lr {row['lr']:.4g}",
                flush=True,
            )
        if self.text_sample:
            print(f"  {self.text_sample}", flush=True)

    def draw_sample(self) -> str:
        """A continuation of the prompt, which leaves the randomness of the training alone."""
        with torch.random.fork_rng(devices=[]):
            text = generate(self.model, self.corpus.vocab, self.sample, 30, seed=self.config.seed)
        known = sys.stdout.encoding or "utf-8"  # no letter of a sample may end the training
        return text.encode(known, "replace").decode(known)

    def keep_start(self) -> None:
        """Take the weights as they are for the best so far."""
        score = evaluate(self.model, text_to_score(self.corpus, "valid", self.config))
        self.keep(score, self.schedule.after_epoch(score.nats_per_token))

    def diverged(self, loss: float, where: str) -> None:
        """Raise `Diverged`."""
        clip = f"a smaller clip (now {self.config.clip:g})" if self.config.clip else "a clip (now there is none)"
        kept = f" The best epoch is in {self.out / 'checkpoint'}." if self.out and self.history else ""
        raise Diverged(
            f"The loss diverged to {loss:.4g} nats per token (guessing costs {self.guess:.2f}) {where} at learning "
            f"rate {self.lr:.4g}: try a third of it, or {clip}.{kept}"
        )

    # --- Stopping

    def agree_to_stop(self) -> None:
        """Set `stop` where a signal has reached any of the processes."""
        self.stop = self.stop or bool(self.total(torch.tensor(float(self.asked), device=self.device)) > 0)

    @contextlib.contextmanager
    def stop_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM ask for a stop; a second one ends the program at once.

        Outside the main thread, where Python hands out no signals, nothing happens.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number, frame):
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- Saving

    def save(self) -> None:
        """Write ``state.safetensors`` and ``history.csv``; every process takes part."""
        state = training_state(self)
        self.last_save = time.monotonic()
        if self.writes:
            checkpoint.save_state(self.out / "state.safetensors", state)
            self.write_history()

    def write_history(self) -> None:
        """Write ``history.csv``: a row per epoch, and before it those of its logged steps, if there are any."""
        table = self.frame()
        if self.steps:
            rows = sorted(self.steps + self.history, key=lambda row: row["epoch"])  # stable: steps, then their epoch
            whole = dict.fromkeys(WHOLE, "Int64")  # which may be missing
            table = pd.DataFrame(rows, columns=[*COLUMNS, "step", "tokens", "nats"]).astype(whole)
        write_atomically(self.out / "history.csv", table.to_csv(index=False).encode())

    def restore(self) -> None:
        """Go back to what `save` wrote, or raise `LMTutorError` and change nothing on the disk."""
        if not self.out:
            raise LMTutorError("resume=True needs out=, the folder of the run to resume.")
        resume(self, checkpoint.load_state(self.out / "state.safetensors"))
        if self.writes and self.history:
            self.write_history()  # the end may have come between the state and the history of its last epoch
