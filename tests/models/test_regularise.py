"""Each regulariser by its effect: what it drops, what gets a gradient, what evaluation sees."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmtutor.models.regularise import (
    activation_penalty,
    call_with_weight_drop,
    embed_with_dropout,
    locked_dropout,
    slowness_penalty,
)

T, B, E, H = 7, 3, 4, 5


@pytest.fixture(autouse=True)
def no_warnings():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def lstm_by_hand(x, w_ih, w_hh, b_ih, b_hh):
    """An LSTM from zeros, one step after the other."""
    h = c = torch.zeros(x.shape[1], w_hh.shape[1])
    out = []
    for step in x:
        i, f, g, o = (step @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        out.append(h)
    return torch.stack(out)


def gru_by_hand(x, w_ih, w_hh, b_ih, b_hh):
    h = torch.zeros(x.shape[1], w_hh.shape[1])
    out = []
    for step in x:
        (r, u, n), (hr, hu, hn) = (step @ w_ih.T + b_ih).chunk(3, -1), (h @ w_hh.T + b_hh).chunk(3, -1)
        u = (u + hu).sigmoid()
        h = (1 - u) * (n + (r + hr).sigmoid() * hn).tanh() + u * h
        out.append(h)
    return torch.stack(out)


@pytest.mark.parametrize(("kind", "by_hand"), [(nn.LSTM, lstm_by_hand), (nn.GRU, gru_by_hand)])
def test_a_weight_dropped_layer_is_a_hand_masked_loop(kind, by_hand):
    layer, x = kind(E, H), torch.randn(T, B, E)
    torch.manual_seed(5)
    out, _ = call_with_weight_drop(layer, (x,), 0.5)
    out.square().sum().backward()
    torch.manual_seed(5)  # the same mask, drawn by the test
    mask = F.dropout(torch.ones_like(layer.weight_hh_l0), 0.5)
    own = {name: p.detach().clone().requires_grad_() for name, p in layer.named_parameters()}
    expected = by_hand(x, own["weight_ih_l0"], own["weight_hh_l0"] * mask, own["bias_ih_l0"], own["bias_hh_l0"])
    expected.square().sum().backward()
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)
    for name, p in layer.named_parameters():
        torch.testing.assert_close(p.grad, own[name].grad, rtol=0, atol=2e-6)
    grad = layer.weight_hh_l0.grad  # what is dropped does not learn from this batch; what is kept does
    assert (grad[mask == 0] == 0).all() and (grad[mask > 0] != 0).all()


def test_the_share_that_is_dropped_and_the_mean_that_stays():
    linear = nn.Linear(200, 300, bias=False)
    nn.init.ones_(linear.weight)
    rows = torch.stack([call_with_weight_drop(linear, (torch.eye(200),), 0.3, ["weight"]) for _ in range(5)])
    assert abs((rows == 0).float().mean().item() - 0.3) < 0.005
    assert abs(rows.mean().item() - 1) < 0.01
    torch.testing.assert_close(rows[rows != 0], torch.full_like(rows[rows != 0], 1 / 0.7))


def test_every_batch_drops_other_weights_and_the_first_step_feels_none():
    layer, x = nn.LSTM(E, H), torch.randn(T, B, E)
    one, two = (call_with_weight_drop(layer, (x,), 0.5)[0] for _ in range(2))
    torch.testing.assert_close(one[0], two[0])  # h = 0 before it, so its hidden-to-hidden weights do nothing
    assert not torch.isclose(one[1:], two[1:]).all(-1).any()


def test_train_eval_train():
    layer, x = nn.LSTM(E, H), torch.randn(T, B, E)
    raw = layer(x)[0].detach()
    for _ in range(3):
        assert not torch.allclose(call_with_weight_drop(layer.train(), (x,), 0.5)[0], raw)
        assert torch.equal(call_with_weight_drop(layer.eval(), (x,), 0.5)[0], raw)


def test_training_changes_what_evaluation_sees():
    """The bug of the ports: their raw weight got no gradient, or their evaluation read a stale copy."""
    layer, x = nn.LSTM(E, H), torch.randn(T, B, E)
    before = call_with_weight_drop(layer.eval(), (x,), 0.5)[0].detach()
    optimizer = torch.optim.SGD([layer.weight_hh_l0], 1.0)
    call_with_weight_drop(layer.train(), (x,), 0.5)[0].sum().backward()
    optimizer.step()
    after = call_with_weight_drop(layer.eval(), (x,), 0.5)[0]
    assert torch.equal(after[0], before[0]) and not torch.isclose(after[1:], before[1:]).all(-1).any()
    assert torch.equal(after, layer(x)[0])


def test_names_copies_and_modes_stay_clean():
    layer, x = nn.LSTM(E, H), torch.randn(T, B, E)
    names, weight = list(layer.state_dict()), layer.weight_hh_l0
    call_with_weight_drop(layer, (x,), 0.5)
    assert list(layer.state_dict()) == names == [name for name, _ in layer.named_parameters()]
    assert layer.weight_hh_l0 is weight and weight.is_leaf
    twin = copy.deepcopy(layer)  # in training mode, after a dropped batch
    torch.manual_seed(3)
    a = call_with_weight_drop(layer, (x,), 0.5)[0]
    torch.manual_seed(3)
    b = call_with_weight_drop(twin, (x,), 0.5)[0]
    assert torch.equal(a, b) and twin.weight_hh_l0 is not weight
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
    assert weight.abs().sum() > 0
    other = nn.LSTM(E, H)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x)[0], layer(x)[0])
    moved = copy.deepcopy(layer).to(torch.float64)
    assert call_with_weight_drop(moved, (x.double(),), 0.5)[0].dtype == torch.float64
    on_meta = copy.deepcopy(layer).to("meta")  # a device that every machine has
    assert call_with_weight_drop(on_meta, (x.to("meta"),), 0.5)[0].device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_weight_drop_on_cuda_is_the_hand_masked_loop():
    layer, x = nn.LSTM(E, H).cuda(), torch.randn(T, B, E, device="cuda")
    for _ in range(2):  # the second time the weights have been moved into cuDNN's one block
        torch.manual_seed(5)
        out, _ = call_with_weight_drop(layer, (x,), 0.5)
        torch.manual_seed(5)
        mask = F.dropout(torch.ones_like(layer.weight_hh_l0), 0.5)
        own = {name: p.detach().cpu() for name, p in layer.named_parameters()}
        own["weight_hh_l0"] *= mask.cpu()
        torch.testing.assert_close(out.cpu(), lstm_by_hand(x.cpu(), *own.values()), rtol=0, atol=1e-5)
        layer.zero_grad()
        out.sum().backward()
        assert (layer.weight_hh_l0.grad[mask == 0] == 0).all() and (layer.weight_hh_l0.grad != 0).any()


def test_embedding_dropout_drops_types_not_places():
    embedding, ids = nn.Embedding(50, E), torch.randint(0, 50, (40, 6))
    nn.init.uniform_(embedding.weight, 0.5, 1)
    vectors = embed_with_dropout(embedding, ids, 0.4)
    gone = (vectors == 0).all(-1)
    for token in ids.unique():
        of_type = gone[ids == token]
        assert of_type.all() or not of_type.any()
    kept = ids[~gone]
    torch.testing.assert_close(vectors[~gone], embedding.weight[kept] / 0.6)
    many = torch.stack([(embed_with_dropout(embedding, ids, 0.4) == 0).all(-1) for _ in range(200)])
    assert abs(many.float().mean().item() - 0.4) < 0.03
    assert torch.equal(embed_with_dropout(embedding.eval(), ids, 0.4), embedding(ids))


def test_embedding_dropout_is_that_of_a_masked_matrix():
    embedding, ids = nn.Embedding(9, E), torch.randint(0, 9, (T, B))
    torch.manual_seed(1)
    ours = embed_with_dropout(embedding, ids, 0.5)
    torch.manual_seed(1)
    mask = torch.empty(9).bernoulli_(0.5) / 0.5
    weight = torch.randn(T, B, E)
    (ours * weight).sum().backward()
    raw = embedding.weight.detach().clone().requires_grad_()
    theirs = F.embedding(ids, raw * mask[:, None])
    (theirs * weight).sum().backward()
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(embedding.weight.grad, raw.grad)
    assert (embedding.weight.grad[mask == 0] == 0).all()


def test_locked_dropout_has_one_mask_a_sequence():
    x = torch.rand(T, B, 1000) + 1
    dropped = locked_dropout(x, 0.3, training=True)
    gone = dropped == 0
    assert (gone == gone[0]).all() and not torch.equal(gone[0, 0], gone[0, 1])
    torch.testing.assert_close(dropped[~gone], x[~gone] / 0.7)
    assert abs(gone.float().mean().item() - 0.3) < 0.05
    assert locked_dropout(x, 0.3, training=False) is x
    plain = F.dropout(x, 0.3) == 0  # what it is not
    assert not torch.equal(plain[0], plain[1])


def test_locked_dropout_gradient_is_its_mask():
    x = torch.randn(T, B, H, requires_grad=True)
    torch.manual_seed(2)
    locked_dropout(x, 0.5, training=True).sum().backward()
    torch.manual_seed(2)
    mask = torch.empty(1, B, H).bernoulli_(0.5) / 0.5
    assert torch.equal(x.grad, mask.expand(T, B, H))


def test_penalties_and_their_gradients_by_hand():
    h = torch.randn(T, B, H, dtype=torch.float64, requires_grad=True)
    expected = sum(h[t, b, u].item() ** 2 for t in range(T) for b in range(B) for u in range(H)) / (T * B * H)
    assert activation_penalty(h, 2.0).item() == pytest.approx(2 * expected)
    jumps = [(h[t + 1, b, u] - h[t, b, u]).item() for t in range(T - 1) for b in range(B) for u in range(H)]
    assert slowness_penalty(h, 3.0).item() == pytest.approx(3 * sum(j * j for j in jumps) / len(jumps))
    (activation_penalty(h, 2.0) + slowness_penalty(h, 3.0)).backward()
    n = (T - 1) * B * H
    assert h.grad[3, 1, 2].item() == pytest.approx(
        (4 * h[3, 1, 2] / (T * B * H) + 6 * (2 * h[3, 1, 2] - h[2, 1, 2] - h[4, 1, 2]) / n).item()
    )
    assert torch.autograd.gradcheck(lambda x: slowness_penalty(x, 3.0) + activation_penalty(x, 2.0), h)


def test_no_penalty_where_there_is_nothing_to_punish():
    h = torch.randn(1, B, H)
    assert slowness_penalty(h, 1.0) == 0.0  # one step has no change: not the mean of nothing, which is NaN
    assert activation_penalty(h, 0.0) == slowness_penalty(torch.randn(T, B, H), 0.0) == 0.0
    constant = torch.ones(T, B, H)
    assert slowness_penalty(constant, 5.0).item() == 0 and activation_penalty(constant, 5.0).item() == 5
