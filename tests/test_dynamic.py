"""Dynamic evaluation against a plain loop: loss.backward() and the update written out."""

import copy
import math

import pytest
import torch

from lmtutor.models import build_model
from lmtutor.scoring.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError

V = 9


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model("lstm-200", V, embedding=6, hidden=6, init_range=0.8, dropout=0.4).double().eval()


def text(n, seed=1):
    return torch.randint(0, V, (n,), generator=torch.Generator().manual_seed(seed))


def mean_loss(model, inputs, targets, state):
    """Cross-entropy from the model's parts, without its own loss."""
    hidden = model.embedding(inputs)
    new_state = []
    for layer, layer_state in zip(model.layers, state, strict=True):
        hidden, layer_state = layer(hidden, layer_state)
        new_state.append(tuple(part.detach() for part in layer_state))
    log_p = torch.log_softmax(hidden @ model.head.weight.T + model.head.bias, dim=-1)
    return -log_p.gather(-1, targets[..., None])[..., 0], new_state


def reference_rms(model, ids, batch_size, bptt, batches=10**9):
    length = len(ids) // batch_size
    grid = torch.stack([ids[c * length : (c + 1) * length] for c in range(batch_size)], dim=1)
    squares, state, done = {n: 0 for n, _ in model.named_parameters()}, model.initial_state(batch_size), 0
    for start in range(0, length - 1, bptt):
        if done == batches:
            break
        stop = min(start + bptt, length - 1)
        nats, state = mean_loss(model, grid[start:stop], grid[start + 1 : stop + 1], state)
        model.zero_grad()
        nats.mean().backward()
        for n, p in model.named_parameters():
            squares[n] = squares[n] + p.grad**2
        done += 1
    model.zero_grad()
    return {n: (s / done).sqrt() for n, s in squares.items()}


def reference_scores(model, ids, rms, lr, decay, segment, epsilon):
    model = copy.deepcopy(model)
    trained = copy.deepcopy(dict(model.named_parameters()))
    average = sum(r.mean() for r in rms.values()) / len(rms)
    state, nats = model.initial_state(1), []
    for start in range(0, len(ids) - 1, segment):
        stop = min(start + segment, len(ids) - 1)
        surprisal, state = mean_loss(model, ids[start:stop, None], ids[start + 1 : stop + 1, None], state)
        nats += surprisal[:, 0].tolist()
        model.zero_grad()
        surprisal.mean().backward()
        with torch.no_grad():
            for n, p in model.named_parameters():
                pull = torch.minimum(decay * rms[n] / average, torch.ones(()))
                p += pull * (trained[n] - p) - lr * p.grad / (rms[n] + epsilon)
    return nats


def test_statistics_agree_with_the_loop(model):
    ids = text(203)
    for batches in (None, 3):
        found = gradient_rms(model, ids, batch_size=4, bptt=7, batches=batches)
        expected = reference_rms(model, ids, 4, 7, batches or 10**9)
        assert found.keys() == expected.keys()
        assert all(torch.allclose(found[n], expected[n], rtol=1e-10, atol=1e-14) for n in found)


@pytest.mark.parametrize(("segment", "decay"), [(5, 0.0), (5, 0.05), (1, 0.6), (64, 0.05)])
def test_scores_agree_with_the_loop(model, segment, decay):
    ids = text(64, seed=2)
    rms = gradient_rms(model, text(200), batch_size=4, bptt=7)
    score = dynamic_evaluate(model, ids, rms, lr=0.01, decay=decay, segment=segment)
    expected = reference_scores(model, ids, rms, 0.01, decay, segment, 2e-5)
    assert score.tokens == len(expected) == 63
    assert math.isclose(score.nats, sum(expected), rel_tol=1e-10)


def test_without_steps_it_is_plain_evaluation(model):
    ids = text(300, seed=3)
    rms = gradient_rms(model, text(200), batch_size=4, bptt=7)
    cache = NeuralCache(model, 50, 0.7, 0.3)
    for wrapped in (model, cache):
        score = dynamic_evaluate(wrapped, ids, rms, lr=0, decay=0.1, segment=7)
        assert math.isclose(score.nats, evaluate(wrapped, ids).nats, rel_tol=1e-10)


def test_it_learns_a_habit_of_the_text_and_the_cache_adds_to_it(model):
    ids = torch.tensor([1, 2, 3, 4] * 120)  # a habit that random weights do not know
    rms = gradient_rms(model, text(400), batch_size=4, bptt=7)
    plain, moving = evaluate(model, ids), dynamic_evaluate(model, ids, rms, lr=0.003, decay=0.01, segment=5)
    both = dynamic_evaluate(NeuralCache(model, 50, 3.0, 0.5), ids, rms, lr=0.003, decay=0.01, segment=5)
    assert moving.nats < 0.7 * plain.nats
    assert both.nats < 0.97 * moving.nats
    assert moving.protocol.endswith("dynamic evaluation in segments of 5, lr 0.003, decay 0.01")
    assert "dynamic evaluation" in both.protocol and "neural cache of window 50" in both.protocol


def test_a_segment_is_scored_before_it_is_learned(model):
    ids = text(21, seed=4)
    rms = gradient_rms(model, text(200), batch_size=4, bptt=7)
    once = dynamic_evaluate(model, ids, rms, lr=0.5, decay=0.0, segment=20)
    assert math.isclose(once.nats, evaluate(model, ids).nats, rel_tol=1e-10)


def test_weights_come_back_also_after_an_error(model):
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    rms = gradient_rms(model, text(200), batch_size=4, bptt=7)
    dynamic_evaluate(model, text(100), rms, lr=0.1, decay=0.01)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    calls, own = [], model.head.loss

    def fail_later(hidden, targets):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of luck")
        return own(hidden, targets)

    model.head.loss = fail_later
    with pytest.raises(RuntimeError, match="out of luck"):
        dynamic_evaluate(model, text(100), rms, lr=0.1, decay=0.01)
    model.head.loss = own
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    with pytest.raises(LMTutorError, match="diverged after"):
        dynamic_evaluate(model, text(2000), rms, lr=1e300, decay=0.0, segment=5)
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in model.named_parameters())


def test_the_mode_of_the_model_comes_back(model):
    model.train()
    rms = gradient_rms(model, text(200), batch_size=4, bptt=7)
    model.eval()
    expected = dynamic_evaluate(model, text(60), rms, lr=0.01).nats
    model.train()
    assert dynamic_evaluate(model, text(60), rms, lr=0.01).nats == expected  # no dropout in it
    assert model.training


def test_bad_input_says_what_to_do(model):
    rms = gradient_rms(model, text(200), batch_size=4, bptt=7)
    other = build_model("lstm-200", V, embedding=5, hidden=5)
    for wrong, match in [
        (dict(lr=-1.0), "lr must be .*got -1"),
        (dict(lr=math.nan), "lr must be .*got nan"),
        (dict(decay=-0.1), "decay"),
        (dict(segment=0), "segment must be .*got 0"),
    ]:
        with pytest.raises(LMTutorError, match=match):
            dynamic_evaluate(model, text(50), rms, **wrong)
    with pytest.raises(LMTutorError, match="another model"):
        dynamic_evaluate(other, text(50), rms)
    with pytest.raises(LMTutorError, match="at least 2"):
        dynamic_evaluate(model, text(1), rms)
    with pytest.raises(LMTutorError, match=r"batches must be .*got 0"):
        gradient_rms(model, text(200), batch_size=4, bptt=7, batches=0)
    with pytest.raises(LMTutorError, match="too few"):
        gradient_rms(model, text(150))
