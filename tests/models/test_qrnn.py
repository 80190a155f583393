"""The parallel recurrence against a plain loop, its gradients against autograd, the layer against the equations."""

import copy

import pytest
import torch

from lmtutor.models import qrnn
from lmtutor.models.qrnn import QRNNLayer, forget_mult, loop, scan
from lmtutor.system.errors import LMTutorError

LENGTHS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 70, 141]


def plain(f, z, c0):
    """The recurrence as the paper writes it, through autograd."""
    c, out = c0, []
    for t in range(len(f)):
        c = f[t] * c + (1 - f[t]) * z[t]
        out.append(c)
    return torch.stack(out)


def inputs(steps, shape=(3, 5), dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    f = torch.rand(steps, *shape, generator=generator, dtype=dtype)
    z = torch.rand(steps, *shape, generator=generator, dtype=dtype) * 2 - 1
    c0 = torch.rand(*shape, generator=generator, dtype=dtype) * 2 - 1
    return [x.requires_grad_() for x in (f, z, c0)]


@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("form", [scan, loop])
def test_forward_and_gradients_are_the_plain_loops(monkeypatch, steps, form):
    monkeypatch.setattr(qrnn, "recurrence", form)
    ours, theirs = inputs(steps), inputs(steps)
    weight = torch.randn(steps, 3, 5, generator=torch.Generator().manual_seed(1))
    c, expected = forget_mult(*ours), plain(*theirs)
    torch.testing.assert_close(c, expected, rtol=0, atol=1e-6)
    (c * weight).sum().backward()
    (expected * weight).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-6)


def test_gradient_by_finite_differences():
    assert torch.autograd.gradcheck(forget_mult, inputs(6, (2, 3), torch.float64))


def test_both_forms_agree_wherever_one_takes_over():
    for width in (qrnn.LOOP_FROM - 1, qrnn.LOOP_FROM):
        f, z, c0 = (x.detach() for x in inputs(9, (1, width)))
        torch.testing.assert_close(forget_mult(f, z, c0), plain(f, z, c0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30])
def test_the_scan_is_safe_at_the_ends_of_the_gate(value):
    steps = 300
    f, z, c0 = torch.full((steps, 1, 2), value), torch.ones(steps, 1, 2), torch.full((1, 2), 7.0)
    for x in (f, z, c0):
        x.requires_grad_()
    c = forget_mult(f, z, c0)
    torch.testing.assert_close(c, plain(f, z, c0), rtol=0, atol=1e-6)
    c.sum().backward()
    assert all(torch.isfinite(x.grad).all() for x in (f, z, c0))


def test_the_scan_needs_few_passes():
    """Not a loop over steps: the number of kernels started grows with the logarithm of the length."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.calls += function.name() in ("aten::mul.Tensor", "aten::addcmul", "aten::addcmul.out")
            return function(*args, **(kwargs or {}))

    counts = []
    for steps in (64, 1024):
        with Count() as count:
            scan(torch.rand(steps, 2), torch.rand(steps, 2))
        counts.append(count.calls)
    assert counts == [3 * 6 - 1, 3 * 10 - 1]  # two passes down and one up a halving; the last needs no way up


def test_nothing_but_a_cpu_walks_step_by_step(monkeypatch):
    """On any other device the recurrence is the scan, however wide a step is; the meta device stands for them all."""
    walked = []
    monkeypatch.setattr(qrnn, "loop", lambda a, b: walked.append(a.device.type) or b)
    for device in ("meta", "cpu"):
        wide = torch.ones(9, 1, qrnn.LOOP_FROM, device=device)
        assert qrnn.recurrence(wide, wide).shape == wide.shape
    assert walked == ["cpu"]


@pytest.mark.parametrize("window", [1, 2, 3])
def test_layer_against_its_equations(window):
    torch.manual_seed(0)
    layer = QRNNLayer(4, 3, window)
    x = torch.randn(6, 2, 4)
    h, (cell, before) = layer(x, layer.initial_state(2))
    weight, bias = layer.gates.weight, layer.gates.bias
    c = torch.zeros(2, 3)
    for t in range(6):
        seen = torch.cat([x[t - k] if t >= k else torch.zeros(2, 4) for k in reversed(range(window))], dim=-1)
        z = torch.tanh(seen @ weight[:3].T + bias[:3])
        f = torch.sigmoid(seen @ weight[3:6].T + bias[3:6])
        o = torch.sigmoid(seen @ weight[6:].T + bias[6:])
        c = f * c + (1 - f) * z
        torch.testing.assert_close(h[t], o * c, rtol=0, atol=1e-6)
    torch.testing.assert_close(cell[0], c, rtol=0, atol=1e-6)
    assert torch.equal(before, x[6 - (window - 1) :])


@pytest.mark.parametrize("window", [1, 2, 3])
def test_reading_in_pieces_is_reading_at_once(window):
    torch.manual_seed(0)
    layer = QRNNLayer(4, 3, window)
    x = torch.randn(9, 2, 4)
    whole, last = layer(x, layer.initial_state(2))
    state, pieces = layer.initial_state(2), []
    for piece in x.split([1, 4, 1, 3]):
        h, state = layer(piece, state)
        pieces.append(h)
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-6)
    for a, b in zip(state, last, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_zoneout_keeps_whole_cells_in_training_and_their_mean_in_evaluation():
    torch.manual_seed(0)
    layer = QRNNLayer(8, 400, zoneout=0.25)
    f = torch.rand(50, 1, 400)
    zoned = layer.train().zone_out(f)
    kept = zoned == 1
    assert abs(kept.float().mean().item() - 0.25) < 0.02
    torch.testing.assert_close(zoned[~kept], f[~kept], rtol=0, atol=1e-6)
    torch.testing.assert_close(layer.eval().zone_out(f), 1 - 0.75 * (1 - f), rtol=0, atol=1e-6)
    many = torch.stack([layer.train().zone_out(f) for _ in range(400)]).mean(0)
    torch.testing.assert_close(many, layer.eval().zone_out(f), rtol=0, atol=0.12)


def test_weight_drop_cuts_entries_of_the_gates_in_training_alone():
    torch.manual_seed(0)
    layer = QRNNLayer(5, 4, weight_drop=0.5)
    x, raw = torch.randn(7, 2, 5), copy.deepcopy(layer)
    raw.weight_drop = 0.0
    state = layer.initial_state(2)
    assert torch.equal(layer.eval()(x, state)[0], raw(x, state)[0])
    assert not torch.allclose(layer.train()(x, state)[0], raw(x, state)[0])
    layer(x, state)[0].sum().backward()
    assert 0 < (layer.gates.weight.grad != 0).float().mean() < 0.8


def test_bfloat16_products_are_for_training_alone_and_stay_close():
    torch.manual_seed(0)
    layer = QRNNLayer(16, 8, window=2)
    x, state = torch.randn(20, 2, 16), layer.initial_state(2)
    exact = layer(x, state)[0]
    layer.products = torch.bfloat16
    rough = layer(x, state)[0]
    assert rough.dtype == torch.float32 and not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.02)
    rough.sum().backward()
    rough_grad, layer.gates.weight.grad = layer.gates.weight.grad, None
    exact.sum().backward()
    torch.testing.assert_close(rough_grad, layer.gates.weight.grad, rtol=0.05, atol=0.1)
    assert torch.equal(layer.eval()(x, state)[0], exact)


def test_a_layer_has_to_see_something():
    with pytest.raises(LMTutorError, match=r"window must be .*got 0"):
        QRNNLayer(3, 3, window=0)
