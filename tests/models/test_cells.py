"""The historical cells against plain NumPy loops, torch's own cells and the NumPy LSTM of chapter 03."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lmtutor.models import build_model
from lmtutor.models.cells import CELLS, LSTM1997, LSTM2000, LSTM2002, Elman1990, hidden_for, parameter_count
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.system.errors import LMTutorError

T, B, E, H = 7, 3, 5, 6


@pytest.fixture(autouse=True)
def double():
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def randomise(module):
    """Make every parameter matter: biases and peepholes too."""
    with torch.no_grad():
        for p in module.parameters():
            p.uniform_(-0.8, 0.8)
    return module


def loop(cell, x, h, c):
    """The equations of the papers, one cell of one block of one column at a time."""
    w, u, b = (p.detach().numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias))
    size, blocks, n_gates = cell.block_size, cell.blocks, len(cell.gates)
    peep = cell.peepholes.detach().numpy() if isinstance(cell, LSTM2002) else np.zeros((3, H))
    squash = getattr(cell, "squash", True)
    outputs = np.zeros((len(x), x.shape[1], H))
    for col in range(x.shape[1]):
        h_now, c_now = h[col].copy(), c[col].copy()
        for t in range(len(x)):
            z = w @ x[t, col] + u @ h_now + b
            h_next, c_next = np.zeros(H), np.zeros(H)
            for j in range(blocks):
                cells = range(j * size, (j + 1) * size)
                net = {name: z[k * blocks + j] for k, name in enumerate(cell.gates)}
                net["input"] += sum(peep[0, v] * c_now[v] for v in cells)
                forget = 1.0
                if "forget" in net:
                    forget = sigmoid(net["forget"] + sum(peep[1, v] * c_now[v] for v in cells))
                for v in cells:
                    g = z[n_gates * blocks + v]
                    g = 4 * sigmoid(g) - 2 if squash else g
                    c_next[v] = forget * c_now[v] + sigmoid(net["input"]) * g
                net["output"] += sum(peep[2, v] * c_next[v] for v in cells)
                for v in cells:
                    out = 2 * sigmoid(c_next[v]) - 1 if squash else c_next[v]
                    h_next[v] = sigmoid(net["output"]) * out
            h_now, c_now = h_next, c_next
            outputs[t, col] = h_now
    return outputs


@pytest.mark.parametrize("make", [LSTM1997, LSTM2000, LSTM2002, partial(LSTM2002, squash=False)])
@pytest.mark.parametrize("block_size", [1, 2, 3])
def test_the_blocks_follow_the_papers(make, block_size):
    cell = randomise(make(E, H, block_size=block_size))
    x, h, c = torch.randn(T, B, E), torch.randn(B, H), torch.randn(B, H)
    output, (h_last, c_last) = cell(x, (h[None], c[None]))
    np.testing.assert_allclose(output.detach(), loop(cell, x.numpy(), h.numpy(), c.numpy()), atol=1e-12)
    assert torch.equal(h_last[0], output[-1])
    assert c_last.shape == (1, B, H)


@pytest.mark.parametrize("name", CELLS)
def test_two_halves_with_carried_state_equal_the_whole(name):
    cell = randomise(CELLS[name](E, H))
    x = torch.randn(T, B, E)
    whole, _ = cell(x)
    first, state = cell(x[:3], cell.initial_state(B))
    second, _ = cell(x[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-14, rtol=0)


def test_elman_is_torch_rnn_in_other_units():
    """σ(a) = (1 + tanh(a / 2)) / 2: with h = (1 + h') / 2 the logistic network is a tanh network."""
    cell, torch_cell = randomise(Elman1990(E, H)), nn.RNN(E, H)
    with torch.no_grad():
        torch_cell.weight_ih_l0.copy_(cell.weight_ih / 2)
        torch_cell.weight_hh_l0.copy_(cell.weight_hh / 4)
        torch_cell.bias_ih_l0.copy_(cell.bias / 2 + cell.weight_hh.sum(1) / 4)
        torch_cell.bias_hh_l0.zero_()
    x = torch.randn(T, B, E)
    expected, _ = torch_cell(x)  # h' = 0 is h = 0.5, the paper's start
    torch.testing.assert_close(cell(x)[0], (1 + expected) / 2, atol=1e-12, rtol=0)


def test_lstm_2000_is_torch_lstm_with_halved_candidates():
    cell, torch_cell = randomise(LSTM2000(E, H, block_size=1)), nn.LSTM(E, H)
    order = torch.cat([torch.arange(0, 2 * H), torch.arange(3 * H, 4 * H), torch.arange(2 * H, 3 * H)])  # i f g o
    half = torch.ones(4 * H)
    half[3 * H :] = 0.5  # our rows are i f o g
    with torch.no_grad():
        torch_cell.weight_ih_l0.copy_((half[:, None] * cell.weight_ih)[order])
        torch_cell.weight_hh_l0.copy_((half[:, None] * cell.weight_hh)[order])
        torch_cell.bias_ih_l0.copy_((half * cell.bias)[order])
        torch_cell.bias_hh_l0.zero_()
    x = torch.randn(T, B, E, requires_grad=True)
    ours, (_, c) = cell(x)
    theirs, (_, c_torch) = torch_cell(x)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(c, 2 * c_torch, atol=1e-12, rtol=0)
    grad, grad_torch = (torch.autograd.grad(y.square().sum(), x, retain_graph=True)[0] for y in (ours, theirs))
    torch.testing.assert_close(grad, grad_torch, atol=1e-12, rtol=0)


def test_first_values_follow_the_papers():
    torch.manual_seed(1)
    cells = {name: make(4, 16) for name, make in CELLS.items()}
    for name, reach in (("elman-1990", 0.1), ("lstm-1997", 0.2), ("lstm-2000", 0.2), ("lstm-2002", 0.1)):
        for weight in (cells[name].weight_ih, cells[name].weight_hh):
            assert 0.8 * reach < weight.abs().max() <= reach
    # 16 cells in blocks of two: eight gates of a kind.
    down = torch.tensor([-1.0, -2, -3, -4] * 2)
    assert torch.equal(cells["lstm-1997"].bias, torch.cat([torch.zeros(8), down, torch.zeros(16)]))
    assert torch.equal(cells["lstm-2000"].bias, torch.cat([down / 2, -down / 2, down / 2, torch.zeros(16)]))
    expected = torch.tensor([0.0, -2.0, 2.0, 0.0])  # input, forget, output, candidate
    expected = expected.repeat_interleave(16)
    assert torch.equal(cells["lstm-2002"].bias, expected)
    assert cells["elman-1990"].initial_state(2).unique().tolist() == [0.5]


def test_blocks_and_first_values_are_fields_of_the_config():
    model = build_model(
        RecurrentConfig("lstm-2002", 12, 12, 1, block_size=3, cell_range=0.5, biases=(1.5, -1.0)), vocab=9
    )
    layer = model.layers[0]
    assert layer.block_size == 3 and 0.45 < layer.weight_hh.abs().max() <= 0.5
    assert layer.bias[: 3 * 4].tolist() == [0.0] * 4 + [1.5] * 4 + [-1.0] * 4
    assert build_model(RecurrentConfig("elman-1990", biases=(0.0,)), vocab=9).layers[0].start == 0.0
    plain = build_model(RecurrentConfig("lstm-1997", 8, 8, 1), vocab=9).layers[0]
    assert plain.block_size == 2 and plain.weight_hh.abs().max() <= 0.2  # the paper's
    for wrong in (
        dict(block_size=2), dict(cell="gru", cell_range=0.1), dict(cell="elman-1990", block_size=2),
        dict(cell="lstm-2002", biases=(1.0,)), dict(cell="lstm-2000", biases=("a",)), dict(biases=(1.0,)),
    ):  # fmt: skip
        with pytest.raises(LMTutorError):
            RecurrentConfig(**wrong)


def test_equal_parameters():
    for name, make in CELLS.items():
        step = 2 if name in ("lstm-1997", "lstm-2000") else 1
        size = hidden_for(lambda h, make=make: make(32, h), 10_000, multiple_of=step)
        assert parameter_count(make(32, size)) <= 10_000 < parameter_count(make(32, size + step))
    # By hand: h·(32 + h + 1) ≤ 10,000 → h = 84.
    assert hidden_for(lambda h: Elman1990(32, h), 10_000) == 84
    with pytest.raises(LMTutorError, match="too few"):
        hidden_for(lambda h: Elman1990(32, h), 10)


@pytest.mark.parametrize("name", CELLS)
def test_a_language_model_of_each_cell_carries_its_state_and_learns(name):
    torch.manual_seed(3)
    config = RecurrentConfig(cell=name, embedding=8, hidden=16, layers=1, dropout=0.0, tied=False)
    model = build_model(config, 7).double()
    text = (torch.arange(60) % 7).reshape(2, 30).T
    whole, _ = model.target_log_probs(text[:-1], text[1:], model.initial_state(2))
    first, state = model.target_log_probs(text[:9], text[1:10], model.initial_state(2))
    second, _ = model.target_log_probs(text[9:-1], text[10:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(50):
        optimizer.zero_grad()
        nats, _, _ = model.loss(text[:-1], text[1:], model.initial_state(2))
        nats.backward()
        optimizer.step()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())
    assert nats.item() < 0.5 * np.log(7)


def test_cells_that_do_not_fill_blocks_are_refused():
    with pytest.raises(LMTutorError, match="blocks of 2"):
        LSTM1997(4, 7)
