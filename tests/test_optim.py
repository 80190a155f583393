"""Averaged SGD against sums written out, its trigger on made-up histories, and the schedules at their corners."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError
from lmtutor.training import checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.loop import Trainer
from lmtutor.training.optim import (
    AveragedAdamW,
    AveragedSGD,
    Schedule,
    averaged_weights,
    make_optimizer,
    non_monotone,
    set_rate,
)
from lmtutor.training.session import Session
from tests.helpers import tiny_corpus, tiny_model

CONFIG = TrainConfig(epochs=3, optimizer="nt-asgd", schedule="constant", lr=2.0, bptt=7, batch_size=4, nonmono=0)


def walk(optimizer, p, steps, seed=0):
    """Steps along made-up gradients; the weights after each."""
    generator = torch.Generator().manual_seed(seed)
    path = []
    for _ in range(steps):
        p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        optimizer.step()
        path.append(p.detach().clone())
    return path


@pytest.mark.parametrize(
    ("history", "fires_at"),
    [
        ([5, 4, 3, 2, 1, 0], None),  # always falling
        ([5, 4, 3, 3.5, 3.6, 3.7], 5),  # 3.7 is above 3, the best of all before 3.5 and 3.6
        ([5, 4, 3.5, 3.2, 2.9, 3.1], None),  # 3.1 is worse than 2.9, but 2.9 and 3.2 are the last two
        ([5, 4, 3.5, 3.2, 2.9, 3.1, 3.3], 6),  # 3.2 is compared with now
        ([1, 2, 3], None),  # the third has two before it, and those are left out
        ([1, 2, 3, 4], 3),
    ],
)
def test_trigger_on_a_made_up_history(history, fires_at):
    nonmono = 2
    fired = [k for k, loss in enumerate(history) if non_monotone(history[:k], loss, nonmono)]
    brute = [k for k, loss in enumerate(history) if k > nonmono and any(loss > history[j] for j in range(k - nonmono))]
    assert fired == brute
    p = nn.Parameter(torch.zeros(3))
    optimizer = AveragedSGD([p], lr=0.1, nonmono=nonmono)
    began = None
    for k, loss in enumerate(history):
        optimizer.after_epoch(loss)
        if optimizer.averaging and began is None:
            began = k
    assert began == fires_at == (fired[0] if fired else None)


def test_trigger_needs_more_epochs_than_the_interval():
    assert not non_monotone([1.0] * 5, 9.0, 5)
    assert non_monotone([1.0] * 6, 9.0, 5)
    assert non_monotone([1.0], 9.0, 0)
    assert not non_monotone([], 9.0, 0)


@pytest.mark.parametrize("kind", [AveragedSGD, AveragedAdamW])
def test_average_is_the_mean_of_the_weights_since_the_start(kind):
    p = nn.Parameter(torch.randn(4, dtype=torch.float64))
    optimizer = kind([p], lr=0.3, weight_decay=0.01)
    walk(optimizer, p, 5)
    optimizer.begin_averaging()
    start = p.detach().clone()
    path = walk(optimizer, p, 6, seed=1)
    expected = torch.stack([start, *path]).mean(0)
    torch.testing.assert_close(optimizer.state[p]["average"], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("nonmono", [0, 1, 3])
def test_a_whole_training_is_algorithm_1(nonmono):
    """NT-ASGD as the paper writes it, in plain numbers: logs of the validation loss, a trigger T, a mean from T on."""
    noise = torch.Generator().manual_seed(3)
    jolts = torch.randn(12, 5, generator=noise, dtype=torch.float64).tolist()
    w, lr, logs, walk_from_trigger, scores = 4.0, 0.3, [], None, []
    p = nn.Parameter(torch.tensor([4.0], dtype=torch.float64))
    optimizer = make_optimizer("nt-asgd", [p], lr, nonmono=nonmono)
    for epoch in jolts:
        for jolt in epoch:
            w -= lr * (w + jolt)
            if walk_from_trigger is not None:
                walk_from_trigger.append(w)
            p.grad = p.detach() + jolt
            optimizer.step()
        mean = w if walk_from_trigger is None else sum(walk_from_trigger) / len(walk_from_trigger)
        v = mean**2  # the validation loss, with the averaged weights where there are any
        with averaged_weights(optimizer):
            assert p.item() == pytest.approx(mean, abs=1e-12)
        optimizer.after_epoch(v)
        if walk_from_trigger is None and len(logs) > nonmono and v > min(logs[: len(logs) - nonmono]):
            walk_from_trigger = [w]
        logs.append(v)
        scores.append(walk_from_trigger is not None)
        assert optimizer.averaging == scores[-1]
    assert True in scores and not scores[0]


def test_torchs_asgd_begins_its_mean_two_terms_later():
    """As the docstring says: the toolkit's optimizer leaves out the weights that it begins with, and the next."""
    theirs = nn.Parameter(torch.full((3,), 4.0, dtype=torch.float64))
    asgd = torch.optim.ASGD([theirs], lr=0.3, lambd=0.0, alpha=0.0, t0=0)
    path = walk(asgd, theirs, 6)
    ours = nn.Parameter(torch.full((3,), 4.0, dtype=torch.float64))
    optimizer = make_optimizer("asgd", [ours], 0.3)
    torch.testing.assert_close(torch.stack(walk(optimizer, ours, 6)), torch.stack(path))
    torch.testing.assert_close(asgd.state[theirs]["ax"], torch.stack(path[1:]).mean(0))
    start = torch.full((1, 3), 4.0, dtype=torch.float64)
    torch.testing.assert_close(optimizer.state[ours]["average"], torch.cat([start, torch.stack(path)]).mean(0))


def test_the_walk_is_plain_sgd():
    one, two = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    ours = make_optimizer("asgd", [one], 0.3, 0.01)
    theirs = torch.optim.SGD([two], 0.3, weight_decay=0.01, fused=True)
    for a, b in zip(walk(ours, one, 7), walk(theirs, two, 7), strict=True):
        assert torch.equal(a, b)


def test_averages_are_swapped_in_and_the_weights_come_back_bit_for_bit():
    p = nn.Parameter(torch.randn(50))
    optimizer = make_optimizer("asgd", [p], 0.3)
    walk(optimizer, p, 3)
    before, storage = p.detach().clone(), p.data_ptr()
    with averaged_weights(optimizer) as swapped:
        assert swapped and torch.equal(p, optimizer.state[p]["average"]) and not torch.equal(p, before)
    assert torch.equal(p, before) and p.data_ptr() == storage
    with pytest.raises(RuntimeError, match="inside"), averaged_weights(optimizer):
        raise RuntimeError("inside")
    assert torch.equal(p, before)
    with averaged_weights(torch.optim.SGD([p], 0.1)) as swapped:
        assert not swapped and torch.equal(p, before)


def test_the_averaged_walk_of_adamw_is_adamw():
    one, two = nn.Parameter(torch.ones(6)), nn.Parameter(torch.ones(6))
    how = dict(lr=0.1, weight_decay=0.2, betas=(0.8, 0.95), epsilon=1e-3)
    ours, theirs = make_optimizer("nt-adamw", [one], nonmono=0, **how), make_optimizer("adamw", [two], **how)
    walk(ours, one, 3), walk(theirs, two, 3)
    for loss in (1.0, 2.0):
        ours.after_epoch(loss)
    assert ours.averaging and not ours.done
    for a, b in zip(walk(ours, one, 7, seed=1), walk(theirs, two, 7, seed=1), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(ours.state[one]["average"], one)


@pytest.mark.parametrize("kind", [AveragedSGD, AveragedAdamW])
def test_state_survives_a_checkpoint(tmp_path, kind):
    p = nn.Parameter(torch.randn(5))
    optimizer = kind([p], lr=0.3, nonmono=0)
    walk(optimizer, p, 3)
    for loss in (2.0, 3.0):
        optimizer.after_epoch(loss)
    walk(optimizer, p, 2)
    checkpoint.save_state(tmp_path / "state", {"optimizer": optimizer.state_dict(), "p": p.detach()})
    state = checkpoint.load_state(tmp_path / "state")
    q = nn.Parameter(state["p"].clone())
    other = kind([q], lr=0.3, nonmono=0)
    other.load_state_dict(state["optimizer"])
    assert other.averaging and other.param_groups[0]["losses"] == [2.0, 3.0]
    walk(optimizer, p, 4, seed=2)
    walk(other, q, 4, seed=2)
    assert torch.equal(p, q) and torch.equal(optimizer.state[p]["average"], other.state[q]["average"])


def test_asgd_is_done_when_the_trigger_fires():
    p = nn.Parameter(torch.zeros(2))
    finetune, plain = AveragedSGD([p], lr=0.1, nonmono=1, at_once=True), AveragedSGD([p], lr=0.1, nonmono=1)
    assert finetune.averaging and not plain.averaging
    for loss in (1.0, 2.0, 3.0):
        assert not finetune.done
        finetune.after_epoch(loss)
        plain.after_epoch(loss)
    assert finetune.done and plain.averaging and not plain.done


class Watched(Session):
    """A trainer that notes what it evaluates and forces the trigger after the first epoch."""

    def end_epoch(self):
        self.raw = {k: v.clone() for k, v in checkpoint.model_tensors(self.model).items()}
        super().end_epoch()
        if self.epoch == 1:
            self.optimizer.begin_averaging()


def test_training_scores_and_keeps_the_average_and_walks_on_from_its_own_weights(tmp_path):
    corpus, model = tiny_corpus(), tiny_model()
    trainer = Watched(model, corpus, dataclasses.replace(CONFIG, epochs=2, lr=4.0), tmp_path)
    trainer.fit()
    average = dict(zip(trainer.raw, [s["average"] for s in trainer.optimizer.state.values()], strict=True))
    other = copy.deepcopy(model)
    checkpoint.load_tensors(other, average)
    averaged_loss = evaluate(other, corpus.valid).nats_per_token
    checkpoint.load_tensors(other, trainer.raw)
    assert trainer.history[1]["valid_loss"] == averaged_loss != evaluate(other, corpus.valid).nats_per_token
    # the saved state holds the raw weights, the checkpoint the better of the two epochs
    saved = checkpoint.load_state(tmp_path / "state.safetensors")["model"]
    assert all(torch.equal(saved[name], trainer.raw[name]) for name in saved)
    if trainer.history[1]["valid_loss"] < trainer.history[0]["valid_loss"]:
        kept = checkpoint.read_tensors(tmp_path / "checkpoint" / "model.safetensors")[0]
        assert all(torch.equal(kept[name], average[name]) for name in kept)


@pytest.mark.parametrize(("optimizer", "lr"), [("nt-asgd", 4.0), ("nt-adamw", 0.5)])
def test_resume_with_averages_is_exact(tmp_path, optimizer, lr):
    corpus, config = tiny_corpus(), dataclasses.replace(CONFIG, optimizer=optimizer, lr=lr, epochs=5)
    whole = Watched(tiny_model(), corpus, config, None, False)
    whole.run()
    Watched(tiny_model(), corpus, dataclasses.replace(config, epochs=3), tmp_path, False).run()
    state = checkpoint.load_state(tmp_path / "state.safetensors")["optimizer"]["param_groups"][0]
    assert state["averaged"] > 0, "the averages have to begin before the interruption"
    resumed = Watched(tiny_model(), corpus, config, tmp_path, False)
    resumed.restore()
    resumed.run()
    assert [row["valid_loss"] for row in resumed.history] == [row["valid_loss"] for row in whole.history]
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_start_is_kept_unless_an_epoch_is_better():
    corpus, model = tiny_corpus(), tiny_model()
    start = {k: v.clone() for k, v in checkpoint.model_tensors(model).items()}
    config = TrainConfig(epochs=1, lr=1e-9, schedule="constant", weight_decay=0.0, bptt=7, batch_size=4, clip=0)
    worse = dataclasses.replace(config, lr=20.0)
    session = Session(model, corpus, worse)
    session.keep_start()
    session.fit()
    assert all(torch.equal(v, start[k]) for k, v in checkpoint.model_tensors(model).items())


def test_random_bptt_scales_the_rate_of_the_very_batch():
    corpus = tiny_corpus()
    config = dataclasses.replace(CONFIG, optimizer="sgd", random_bptt=True, epochs=1, bptt=12)
    trainer = Trainer(tiny_model(), corpus, config)
    seen, loss, step = [], trainer.model.loss, trainer.optimizer.step

    def note_length(inputs, targets, state):
        seen.append([len(inputs)])
        return loss(inputs, targets, state)

    def note_rate(*arguments):
        seen[-1].append(trainer.optimizer.param_groups[0]["lr"])
        return step(*arguments)

    trainer.model.loss, trainer.optimizer.step = note_length, note_rate
    trainer.run()
    assert len({length for length, _ in seen}) > 1
    for length, rate in seen:
        assert rate == pytest.approx(2.0 * length / 12)
    assert trainer.history[0]["lr"] == 2.0  # the history has the schedule's rate, not the last batch's


def test_weight_decay_is_a_share_of_the_weight():
    p = nn.Parameter(torch.full((3,), 2.0))
    optimizer = make_optimizer("nt-asgd", [p], 0.5, 0.1)
    p.grad = torch.zeros(3)
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.full((3,), 2.0 * (1 - 0.5 * 0.1)))


@pytest.mark.parametrize("name", ["sgd", "asgd", "adamw"])
def test_weight_decay_may_spare_vectors(name):
    matrix, bias = (nn.Parameter(torch.full(shape, 2.0)) for shape in ((3, 2), (3,)))
    optimizer = make_optimizer(name, [bias, matrix], 0.5, 0.1, decay_vectors=False)
    bias.grad, matrix.grad = torch.zeros(3), torch.zeros(3, 2)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), torch.full((3, 2), 2.0 * (1 - 0.5 * 0.1)))
    torch.testing.assert_close(bias.detach(), torch.full((3,), 2.0))
    with averaged_weights(optimizer) as swapped:
        assert swapped == (name == "asgd")
        torch.testing.assert_close(matrix.detach(), torch.full((3, 2), 1.95 if swapped else 1.9))


def test_epsilon_and_warm_up_reach_the_training():
    """Adam's first step is lr · g / (|g| + ε); a linear schedule is at half its height after half of the warm-up."""
    config = TrainConfig(optimizer="adamw", lr=0.5, epsilon=3.0, schedule="linear", warmup=0.2, bptt=7, batch_size=4)
    trainer = Trainer(tiny_model(), tiny_corpus(), config)
    p = trainer.optimizer.param_groups[0]["params"][0]
    assert trainer.schedule.lr(0.1) == pytest.approx(0.5 * (0.01 + 0.5))
    assert trainer.optimizer.param_groups[0]["eps"] == 3.0
    before = p.detach().clone()
    for other in trainer.model.parameters():
        other.grad = torch.full_like(other, 7.0)
    trainer.optimizer.step()
    torch.testing.assert_close(p.detach(), before - 0.5 * 7 / 10)


def test_label_smoothing_reaches_the_training_and_only_where_all_logits_are_there():
    config = TrainConfig(label_smoothing=0.1, bptt=7, batch_size=4)
    assert Session(tiny_model(), tiny_corpus(), config).model.head.label_smoothing == 0.1
    with pytest.raises(LMTutorError, match="set model.head=softmax"):
        Session(tiny_model(head="sampled"), tiny_corpus(), config)
    with pytest.raises(LMTutorError, match="label_smoothing must be a share"):
        TrainConfig(label_smoothing=1.0)


@pytest.mark.parametrize(("name", "expected"), [("adam", 2 - 0.5), ("adamw", 2 * (1 - 0.5 * 0.1) - 0.5)])
def test_adam_decays_through_the_gradient_and_adamw_past_it(name, expected):
    """The first step of Adam has length lr whatever the gradient is, decay included; AdamW decays besides."""
    p = nn.Parameter(torch.full((3,), 2.0))
    optimizer = make_optimizer(name, [p], 0.5, 0.1)
    p.grad = torch.full((3,), 7.0)
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.full((3,), expected))


def test_steps_divide_by_ten_after_each_milestone():
    schedule = Schedule("steps", 1e-3, milestones=[2, 4])
    rates = []
    for epoch in range(1, 6):
        rates.append(schedule.lr((epoch - 1) / 5))
        schedule.after_epoch(1.0, epoch)
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


def test_four_phases():
    schedule = Schedule("four-phase", 6.0)
    at = [schedule.lr(done) for done in (0, 1 / 24, 1 / 12, 0.3, 0.5, 17 / 24, 11 / 12, 23 / 24, 1)]
    assert at == pytest.approx([0.6, 3.3, 6, 6, 6, 3.3, 0.6, 0.3, 0], abs=1e-9)
    drops = [schedule.momentum_drop(done) for done in (0, 1 / 24, 0.3, 17 / 24, 11 / 12, 1)]
    assert drops == pytest.approx([0, 0.05, 0.1, 0.05, 0, 0], abs=1e-9)


def test_the_cycles_lower_the_momentum_of_both_kinds():
    p = nn.Parameter(torch.zeros(2))
    adam = make_optimizer("adamw", [p], 1.0, betas=(0.8, 0.99))
    sgd = make_optimizer("sgd", [p], 1.0, momentum=0.95)
    plain = make_optimizer("sgd", [p], 1.0)
    schedule = Schedule("one-cycle", 3.0)
    for optimizer in (adam, sgd, plain):
        set_rate(optimizer, schedule.lr(0.3), schedule.momentum_drop(0.3))
    assert adam.param_groups[0]["betas"] == pytest.approx((0.7, 0.99))
    assert sgd.param_groups[0]["momentum"] == pytest.approx(0.85)
    assert plain.param_groups[0]["momentum"] == 0 and adam.param_groups[0]["lr"] == 3.0
    set_rate(adam, schedule.lr(0.999), schedule.momentum_drop(0.999))
    assert adam.param_groups[0]["betas"] == pytest.approx((0.8, 0.99))


def test_unknown_names_say_what_there_is():
    with pytest.raises(LMTutorError, match="nt-asgd"):
        TrainConfig(optimizer="ntasgd")
    with pytest.raises(LMTutorError, match="four-phase"):
        TrainConfig(schedule="four-phases")
