"""minGRU, minLSTM and RG-LRU against the equations of their papers, a step at a time in float64, and read in pieces."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtutor.models import qrnn
from lmtutor.models.minrnn import MIN_CELLS
from tests.helpers import assert_pieces_are_the_whole

CLOSE = dict(rtol=0, atol=1e-10)


def by_equations(layer, name, x, h):
    """The papers' equations, through autograd, without the package's recurrence: x (T, B, E) → h (T, B, H)."""
    maps = torch.einsum("tbe,he->tbh", x, layer.inner.weight) + layer.inner.bias
    H, out = layer.hidden_size, []
    for row in maps:
        if name == "min-gru":
            z = 1 / (1 + torch.exp(-row[:, :H]))
            h = (1 - z) * h + z * row[:, H:]
        elif name == "min-lstm":
            f, i = (1 / (1 + torch.exp(-part)) for part in (row[:, :H], row[:, H : 2 * H]))
            h = f / (f + i) * h + i / (f + i) * row[:, 2 * H :]
        else:
            r, i = (1 / (1 + torch.exp(-part)) for part in (row[:, :H], row[:, H : 2 * H]))
            a = (1 / (1 + torch.exp(-layer.decay))) ** (8 * r)
            h = a * h + torch.sqrt(1 - a**2) * i * row[:, 2 * H :]
        out.append(h)
    return torch.stack(out)


@pytest.mark.parametrize("name", MIN_CELLS)
@pytest.mark.parametrize("form", [qrnn.scan, qrnn.loop])
@settings(max_examples=25, deadline=None)
@given(steps=st.integers(1, 70), batch=st.integers(1, 4), spread=st.floats(0.1, 6), seed=st.integers(0, 99))
def test_both_forms_and_their_gradients_are_the_equations(name, form, steps, batch, spread, seed):
    torch.manual_seed(seed)
    layer = MIN_CELLS[name](3, 5).double()
    x = (spread * torch.randn(steps, batch, 3, dtype=torch.float64)).requires_grad_()
    state = torch.randn(1, batch, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(steps, batch, 5, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(qrnn, "recurrence", form)
        h, last = layer(x, state)
        leaves = [x, state, *layer.parameters()]
        got = torch.autograd.grad((h * weight).sum(), leaves)
    expected = by_equations(layer, name, x, state[0])
    torch.testing.assert_close(h, expected, **CLOSE)
    assert torch.equal(last[0], h[-1])
    for ours, theirs in zip(got, torch.autograd.grad((expected * weight).sum(), leaves), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MIN_CELLS)
def test_reading_in_pieces_is_reading_at_once(name):
    torch.manual_seed(0)
    assert_pieces_are_the_whole(MIN_CELLS[name](4, 6).double(), torch.randn(70, 3, 4, dtype=torch.float64))


@pytest.mark.parametrize("name", MIN_CELLS)
def test_gates_at_their_ends_stay_finite(name):
    """Maps of ±60: sigmoids that are 0 or 1 in float32, for a thousand steps."""
    torch.manual_seed(0)
    layer = MIN_CELLS[name](2, 4)
    x = 200 * torch.randn(1000, 2, 2)
    x.requires_grad_()
    h, _ = layer(x, layer.initial_state(2))
    grads = torch.autograd.grad(h.sum(), [x, *layer.parameters()])
    assert all(part.isfinite().all() for part in (h, *grads))


def test_the_root_keeps_the_variance_of_what_enters():
    """De et al. 2024: with r = i = 1 and inputs of variance 1, h ends with variance 1, whatever it decays by."""
    torch.manual_seed(0)
    layer = MIN_CELLS["rglru"](1, 2000).requires_grad_(False)
    kept = torch.sigmoid(layer.decay) ** 8
    assert 0.9 <= kept.min() < 0.91 and 0.99 < kept.max() <= 0.999
    H = layer.hidden_size
    a, b = layer.coefficients(torch.full((4000, 1, H), 30.0), torch.full((4000, 1, H), 30.0), torch.randn(4000, 1, H))
    h = qrnn.linear_recurrence(a, b, torch.zeros(1, H))
    assert math.isclose(float(h[-1].var()), 1.0, rel_tol=0.15)
