"""The training loop against one written out by hand, and against itself after an interruption."""

import math
import os
import signal
import threading

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from lmtutor.runs.run import Run
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.training.config import TrainConfig
from lmtutor.training.loop import COLUMNS, Trainer
from lmtutor.training.optim import Schedule
from lmtutor.training.session import fit
from tests.helpers import tiny_corpus, tiny_model

CONFIG = TrainConfig(epochs=2, lr=2.0, bptt=7, batch_size=4, precision="float32")


def by_hand(model, corpus, config):
    """Truncated BPTT as a textbook writes it."""
    length = len(corpus.train) // config.batch_size
    grid = corpus.train[: length * config.batch_size].reshape(config.batch_size, length).t()
    lr, best, losses = config.lr, math.inf, []
    for _ in range(config.epochs):
        h = [(torch.zeros(1, 4, 8), torch.zeros(1, 4, 8)) for _ in range(2)]
        total = count = 0
        for t in range(0, length - 1, config.bptt):
            x, y = grid[t : t + config.bptt][: length - 1 - t], grid[t + 1 : t + 1 + config.bptt]
            out = F.embedding(x, model.embedding.weight)
            for i, layer in enumerate(model.layers):
                out, h[i] = layer(out, tuple(part.detach() for part in h[i]))
            loss = F.cross_entropy(F.linear(out, model.head.weight, model.head.bias).flatten(0, 1), y.flatten())
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            with torch.no_grad():
                for p in model.parameters():
                    p -= lr * p.grad
            total, count = total + loss.item() * y.numel(), count + y.numel()
        valid = evaluate(model, corpus.valid).nats_per_token
        losses.append((total / count, valid))
        if valid >= best:
            lr /= 4
        best = min(best, valid)
    return losses


def test_the_loop_is_the_textbooks():
    corpus = tiny_corpus()
    history = fit(tiny_model(), corpus, CONFIG, progress=False)
    assert list(history.columns) == COLUMNS
    expected = by_hand(tiny_model(), corpus, CONFIG)
    for row, (train, valid) in zip(history.itertuples(), expected, strict=True):
        assert row.train_loss == pytest.approx(train, rel=1e-5)
        assert row.valid_loss == pytest.approx(valid, rel=1e-5)
        assert row.valid_perplexity == pytest.approx(math.exp(row.valid_loss))


def test_it_learns():
    corpus, model = tiny_corpus(4000), tiny_model()
    before = evaluate(model, corpus.test).perplexity
    config = TrainConfig(epochs=6, optimizer="adamw", lr=0.03, schedule="one-cycle", clip=1.0, bptt=20, batch_size=4)
    fit(model, corpus, config, progress=False)
    assert evaluate(model, corpus.test).perplexity < 3.5 < 7 < before  # the corpus chooses between two letters


def test_two_runs_with_one_seed_agree_bit_for_bit():
    corpus = tiny_corpus()
    runs = [fit(tiny_model(dropout=0.3), corpus, CONFIG, progress=False) for _ in range(2)]
    timeless = ["train_loss", "valid_loss", "lr"]
    pd.testing.assert_frame_equal(runs[0][timeless], runs[1][timeless], check_exact=True)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict(optimizer="adamw", lr=0.01, schedule="one-cycle", weight_decay=0.1),
        dict(random_bptt=True, bptt=20, schedule="linear", warmup=0.5, weight_decay=0.1, decay_vectors=False),
    ],
)
@pytest.mark.parametrize("stop_after", [1, 20, 30])
def test_an_interrupted_run_resumes_bit_for_bit(tmp_path, monkeypatch, changes, stop_after):
    from dataclasses import replace

    monkeypatch.setattr("lmtutor.training.session.LOOK_EVERY", 1)
    corpus, config = tiny_corpus(), replace(CONFIG, epochs=3, **changes)
    whole = tiny_model(dropout=0.3)
    expected = fit(whole, corpus, config, progress=False)

    step = Trainer.train_step

    def stopping(self, batch, done):
        result = step(self, batch, done)
        stopping.steps += 1
        self.stop = stopping.steps == stop_after
        return result

    stopping.steps = 0
    monkeypatch.setattr(Trainer, "train_step", stopping)
    cut = fit(tiny_model(dropout=0.3), corpus, config, out=tmp_path, progress=False)
    assert cut.attrs["interrupted"]
    monkeypatch.setattr(Trainer, "train_step", step)
    torch.manual_seed(999)  # the saved state has to bring its own randomness
    resumed = tiny_model(dropout=0.3, seed=5)
    history = fit(resumed, corpus, config, out=tmp_path, resume=True, progress=False)
    timeless = ["epoch", "train_loss", "valid_loss", "lr"]
    pd.testing.assert_frame_equal(history[timeless], expected[timeless], check_exact=True)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    on_disk = pd.read_csv(tmp_path / "history.csv")
    assert list(on_disk["epoch"]) == [1, 2, 3]


def test_steps_are_logged_and_a_resumed_log_is_that_of_one_run(tmp_path, monkeypatch, capsys):
    corpus, whole, cut = tiny_corpus(), tmp_path / "whole", tmp_path / "cut"
    history = fit(tiny_model(), corpus, CONFIG, out=whole, log_every=5)
    assert "epoch 2, step 30: train " in capsys.readouterr().out
    table = pd.read_csv(whole / "history.csv")
    assert table["step"].fillna(0).tolist() == [*range(5, 36, 5), 0] * 2  # steps, then their epoch
    steps = table.dropna(subset="step")
    pd.testing.assert_frame_equal(Run(whole).history, history, check_exact=True)  # epochs alone
    plain = fit(tiny_model(), corpus, CONFIG, progress=False)
    assert plain["train_loss"].tolist() == history["train_loss"].tolist()  # looking changes nothing
    for epoch, rows in steps.groupby("epoch"):
        tokens = rows["tokens"].diff().fillna(rows["tokens"])
        assert (rows["train_loss"] * tokens).sum() == pytest.approx(rows["nats"].iloc[-1])
        assert rows["nats"].iloc[-1] / rows["tokens"].iloc[-1] == pytest.approx(history["train_loss"][epoch - 1], 0.05)

    step = Trainer.train_step
    monkeypatch.setattr("lmtutor.training.session.LOOK_EVERY", 1)

    def stopping(self, batch, done):
        self.stop = (self.epoch, self.step) == (1, 7)
        return step(self, batch, done)

    monkeypatch.setattr(Trainer, "train_step", stopping)
    fit(tiny_model(), corpus, CONFIG, out=cut, log_every=5, progress=False)
    monkeypatch.setattr(Trainer, "train_step", step)
    assert pd.read_csv(cut / "history.csv")["step"].iloc[-1] == 5
    fit(tiny_model(), corpus, CONFIG, out=cut, log_every=5, resume=True, progress=False)
    timeless = [name for name in table if name not in ("seconds", "tokens_per_second")]
    again = pd.read_csv(cut / "history.csv")
    pd.testing.assert_frame_equal(again[timeless], table[timeless], check_exact=True)


def test_resume_refuses_another_training(tmp_path):
    corpus = tiny_corpus()
    fit(tiny_model(), corpus, CONFIG, out=tmp_path, progress=False)
    with pytest.raises(LMTutorError, match="another lr"):
        fit(tiny_model(), corpus, TrainConfig(**{**vars(CONFIG), "lr": 1.0}), out=tmp_path, resume=True)
    with pytest.raises(LMTutorError, match="is missing"):
        fit(tiny_model(), corpus, CONFIG, out=tmp_path / "elsewhere", resume=True)
    with pytest.raises(LMTutorError, match="needs out"):
        fit(tiny_model(), corpus, CONFIG, resume=True)


def test_more_epochs_may_be_asked_for_on_resuming(tmp_path):
    corpus = tiny_corpus()
    fit(tiny_model(), corpus, CONFIG, out=tmp_path, progress=False)
    more = TrainConfig(**{**vars(CONFIG), "epochs": 3})
    history = fit(tiny_model(), corpus, more, out=tmp_path, resume=True, progress=False)
    expected = fit(tiny_model(), corpus, more, progress=False)
    assert list(history["valid_loss"]) == list(expected["valid_loss"])


def test_ctrl_c_ends_cleanly_with_the_history(capsys):
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    history = fit(tiny_model(), tiny_corpus(), TrainConfig(epochs=10_000, lr=0.1, bptt=10), progress=False)
    assert history.attrs["interrupted"] and 0 < len(history) < 10_000
    assert "Stopped after" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


def test_the_model_ends_with_its_best_epoch(monkeypatch, tmp_path):
    from lmtutor import load_checkpoint

    corpus, model = tiny_corpus(), tiny_model()
    config = TrainConfig(epochs=4, lr=1.0, bptt=7, schedule="constant", seed=3)
    history = fit(model, corpus, config, out=tmp_path, keep_every=2, progress=False)
    assert evaluate(model, corpus.valid).nats_per_token == pytest.approx(history["valid_loss"].min())
    loaded, vocab = load_checkpoint(tmp_path / "checkpoint")
    assert evaluate(loaded, corpus.valid) == evaluate(model, corpus.valid)
    assert vocab == corpus.vocab
    assert sorted(p.name for p in (tmp_path / "epochs").iterdir()) == ["0002", "0004"]


def test_a_diverging_loss_says_where_and_what_to_do(monkeypatch):
    monkeypatch.setattr("lmtutor.training.session.LOOK_EVERY", 1)
    with pytest.raises(Diverged, match=r"step \d+ of epoch 1 at learning rate 1e\+08: try a third of it, or a clip"):
        fit(tiny_model(), tiny_corpus(), TrainConfig(lr=1e8, clip=0.0, bptt=7), progress=False)


def test_a_nan_names_the_step(monkeypatch):
    monkeypatch.setattr("lmtutor.training.session.LOOK_EVERY", 1)
    model = tiny_model()
    with torch.no_grad():
        model.head.bias[3] = math.nan
    with pytest.raises(Diverged, match="diverged to nan nats per token"):
        fit(model, tiny_corpus(), CONFIG, progress=False)


def test_texts_and_vocabularies_that_do_not_fit():
    with pytest.raises(LMTutorError, match="too few for 2000 columns"):
        fit(tiny_model(), tiny_corpus(), TrainConfig(batch_size=2000), progress=False)
    with pytest.raises(LMTutorError, match="The model has 9 types, the vocabulary 10"):
        fit(tiny_model(vocab=9), tiny_corpus(), CONFIG)


@pytest.mark.parametrize(
    "bad",
    [
        *(dict(lr=lr) for lr in (0.0, math.inf)),
        *(dict(clip=clip) for clip in (-1.0, math.inf)),
        *(dict([(name, 0)]) for name in ("bptt", "batch_size", "epochs")),
        dict(seed=1 << 40),
        dict(betas=(2.0, 0.9)),
        *(dict(warmup=1.0), dict(epsilon=0.0)),
    ],
)
def test_settings_without_a_meaning(bad):
    with pytest.raises(LMTutorError, match=next(iter(bad))):
        TrainConfig(**bad)


@pytest.mark.parametrize("bad", [dict(optimizer="sdg"), dict(schedule="linea"), dict(device="tpu")])
def test_unknown_names(bad):
    with pytest.raises(LMTutorError):
        fit(tiny_model(), tiny_corpus(), TrainConfig(**bad))


def test_a_sample_and_a_line_an_epoch(capsys):
    fit(tiny_model(), tiny_corpus(), CONFIG, sample="a b")
    out = capsys.readouterr().out
    assert out.count("valid perplexity") == 2 and out.count("  a b ") == 2


def test_samples_do_not_change_the_training():
    corpus = tiny_corpus()
    plain, sampled = (fit(tiny_model(dropout=0.3), corpus, CONFIG, sample=s, progress=False) for s in (None, "a"))
    assert list(plain["train_loss"]) == list(sampled["train_loss"])


def test_schedules():
    plateau = Schedule("plateau", 20.0)
    assert [plateau.after_epoch(loss) for loss in (3.0, 2.0, 2.5, 1.0, 1.0)] == [True, True, False, True, False]
    assert plateau.lr(0.5) == 20.0 / 16
    linear = Schedule("linear", 10.0, warmup=0.1)
    assert linear.lr(0.05) < linear.lr(0.2) == linear.lr(0.4) == 10.0 > linear.lr(0.7) == pytest.approx(5.0)
    cycle = Schedule("one-cycle", 1.0)
    assert cycle.lr(0.0) == pytest.approx(0.1) and cycle.lr(0.3) == pytest.approx(1.0)
    assert cycle.lr(0.999999) == pytest.approx(0.001, rel=1e-2)


@pytest.mark.parametrize("changes", [dict(cut="sentences"), dict(cut="windows", bptt=16, stride=8)])
def test_samples_are_trained_and_scored_by_the_same_calls(changes):
    from lmtutor.text.batches import scored_tokens
    from lmtutor.training.config import text_to_score

    corpus, model = tiny_corpus(), tiny_model()
    config = TrainConfig(epochs=4, lr=1.0, batch_size=4, precision="float32", **changes)
    history = fit(model, corpus, config, progress=False)
    assert history["valid_loss"].iloc[-1] < history["valid_loss"].iloc[0]
    score = evaluate(model, text_to_score(corpus, "valid", config))
    assert score.nats_per_token == pytest.approx(history["valid_loss"].min())
    assert score.tokens == scored_tokens(corpus.valid, corpus.vocab, config.cut, config.batch_size)
    assert "each sample from a fresh state" in score.protocol


def test_documents_need_bos():
    with pytest.raises(LMTutorError, match="boundaries=True"):
        fit(tiny_model(), tiny_corpus(), TrainConfig(cut="documents"), progress=False)
    with pytest.raises(LMTutorError, match="Did you mean 'sentences'"):
        fit(tiny_model(), tiny_corpus(), TrainConfig(cut="sentence"), progress=False)
