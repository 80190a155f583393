"""The hand-written RNN against finite differences, torch and plain loops; the training loop."""

import numpy as np
import pytest
import torch

from lmtutor.scratch import CharRNN, adagrad, bits_per_symbol, check_gradients, columns, encode, train
from lmtutor.scratch.training import softmax_loss
from lmtutor.system.errors import LMTutorError

from .conftest import B, H, T, V


def torch_twin(model):
    """Return a torch RNN and output layer with the same weights."""
    rnn, out = torch.nn.RNN(V, H).double(), torch.nn.Linear(H, V).double()
    p = {name: torch.from_numpy(theta.T.copy()) for name, theta in model.params.items()}
    with torch.no_grad():
        for ours, theirs in (
            ("W_xh", rnn.weight_ih_l0),
            ("W_hh", rnn.weight_hh_l0),
            ("b_h", rnn.bias_ih_l0),
            ("W_hy", out.weight),
            ("b_y", out.bias),
        ):
            theirs.copy_(p[ours])
        rnn.bias_hh_l0.zero_()
    return rnn, out


def test_gradients_against_finite_differences(problem):
    x, y, fill = problem
    model, state = fill(CharRNN(V, H))
    loss, cache = model.forward(x, y, state)
    check = check_gradients(lambda: model.forward(x, y, state)[0], model.params, model.backward(cache))
    assert set(check.errors) == set(model.params)
    assert check.worst < 1e-6
    assert check.wrong == []


def test_loss_and_gradients_against_torch(problem):
    x, y, fill = problem
    model, state = fill(CharRNN(V, H))
    loss, cache = model.forward(x, y, state)
    grads = model.backward(cache)
    rnn, out = torch_twin(model)
    h, last = rnn(torch.nn.functional.one_hot(torch.from_numpy(x), V).double(), torch.from_numpy(state)[None])
    nats = torch.nn.functional.cross_entropy(out(h).flatten(0, 1), torch.from_numpy(y).flatten(), reduction="sum") / B
    nats.backward()
    assert loss == pytest.approx(nats.item(), abs=1e-10)
    np.testing.assert_allclose(cache["state"], last[0].detach(), atol=1e-10)
    for name, theirs in (
        ("W_xh", rnn.weight_ih_l0),
        ("W_hh", rnn.weight_hh_l0),
        ("b_h", rnn.bias_ih_l0),
        ("W_hy", out.weight),
        ("b_y", out.bias),
    ):
        np.testing.assert_allclose(grads[name], theirs.grad.numpy().T, atol=1e-10, rtol=0)


def test_error_by_lag_is_the_gradient_of_the_last_loss(problem):
    x, y, fill = problem
    model, state = fill(CharRNN(V, H))
    _, cache = model.forward(x, y, state)
    p = {name: torch.from_numpy(theta) for name, theta in model.params.items()}
    h, hidden = torch.from_numpy(state), []
    for t in range(T):
        h = torch.tanh(p["W_xh"][x[t]] + h @ p["W_hh"] + p["b_h"]).requires_grad_()
        hidden.append(h)
    nats = torch.nn.functional.cross_entropy(h @ p["W_hy"] + p["b_y"], torch.from_numpy(y[-1]), reduction="sum")
    grads = torch.autograd.grad(nats, hidden)
    expected = [g.norm(dim=1).mean().item() for g in reversed(grads)]
    np.testing.assert_allclose(model.error_by_lag(cache), expected, atol=1e-12)


def test_softmax_does_not_overflow():
    loss, dz = softmax_loss(np.array([[[1e4, 0.0, -1e4]]]), np.array([[0]]))
    assert loss == 0
    assert np.isfinite(dz).all()


def test_columns_cover_the_text_and_drop_nothing():
    ids = np.arange(23)
    for batch_size in (1, 2, 3, 4, 5, 7, 22):
        laid = columns(ids, batch_size)
        assert laid.shape == (-(-22 // batch_size) + 1, batch_size)
        assert (np.diff(laid, axis=0) == 1).all()  # each column is a stretch of the text
        pairs = set(zip(laid[:-1].ravel(), laid[1:].ravel(), strict=True))
        assert pairs == set(zip(ids[:-1], ids[1:], strict=True))  # every prediction is made


def test_encode_is_sorted_and_reversible():
    text = "naïve, ‘quoted’ – 𝄞 café\n"
    ids, alphabet = encode(text)
    assert list(alphabet) == sorted(set(text))
    assert "".join(alphabet[i] for i in ids) == text


def test_adagrad_equals_torch_after_clipping():
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 2))}
    twin = torch.nn.Parameter(torch.from_numpy(params["w"].copy()))
    optimizer = torch.optim.Adagrad([twin], lr=0.1, eps=1e-8)
    memory = {"w": np.zeros((3, 2))}
    for _ in range(5):
        g = rng.normal(0, 6, (3, 2))
        adagrad(params, {"w": g}, memory, lr=0.1, clip=5.0)
        twin.grad = torch.from_numpy(g).clamp(-5, 5)
        optimizer.step()
    np.testing.assert_allclose(params["w"], twin.detach(), atol=1e-8)


def test_window_by_window_is_one_long_reading_with_carried_state():
    """Without learning, the windows' losses add up to the loss of the whole text."""
    ids, alphabet = encode("abracadabra, said the cat " * 5)
    model = CharRNN(len(alphabet), 8, scale=0.5)
    text = columns(ids, 2)
    whole, _ = model.forward(text[:-1], text[1:], model.initial_state(2))
    windows = list(train(model, ids, batch_size=2, steps=7, lr=0, epochs=1))
    lengths = [len(text[1:][start : start + 7]) for start in range(0, len(text) - 1, 7)]
    total = sum(bits * np.log(2) * length for (_, bits), length in zip(windows, lengths, strict=True))
    assert windows[-1][0] == 2 * (len(text) - 1)
    assert total == pytest.approx(whole)
    one = ids[:, None]
    nats, _ = model.forward(one[:-1], one[1:], model.initial_state(1))
    assert bits_per_symbol(model, ids, chunk=9) == pytest.approx(nats / (len(ids) - 1) / np.log(2))


def test_it_learns_and_writes_what_it_learnt():
    ids, alphabet = encode("hello hello hello hello hello hello hello hello ")
    model = CharRNN(len(alphabet), 16)
    losses = [bits for _, bits in train(model, ids, batch_size=2, steps=6, lr=0.1, epochs=60)]
    assert losses[0] == pytest.approx(np.log2(len(alphabet)), abs=0.02)
    assert losses[-1] < 0.1
    drawn = model.sample(alphabet.index(" "), 11, seed=3)
    assert "".join(alphabet[i] for i in drawn) == "hello hello"


def test_two_runs_with_one_seed_agree_bit_for_bit():
    ids, alphabet = encode("the quick brown fox jumps over the lazy dog " * 4)
    runs = []
    for _ in range(2):
        model = CharRNN(len(alphabet), 8, seed=5)
        list(train(model, ids, batch_size=2, steps=10, epochs=3))
        runs.append((model.params, model.sample(0, 20, seed=4)))
    assert all(np.array_equal(runs[0][0][k], runs[1][0][k]) for k in runs[0][0])
    assert np.array_equal(runs[0][1], runs[1][1])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: encode(""), "no characters"),
        (lambda: encode("aaaa"), "only the symbol 'a'"),
        (lambda: columns(np.arange(4), 4), "do not fill 4 columns"),
        (lambda: next(train(CharRNN(3), np.array([0, 1, 2] * 4), batch_size=2, steps=25)), "window of 25"),
        (lambda: bits_per_symbol(CharRNN(3), np.array([1])), "nothing to score"),
        (lambda: CharRNN(3).forward(np.zeros(4, int), np.zeros(4, int), np.zeros((1, 100))), r"\(T, B\)"),
        (
            lambda: CharRNN(3).forward(np.zeros((2, 1), int), np.zeros((2, 2), int), np.zeros((1, 100))),
            r"\(T, B\)",
        ),
        (lambda: CharRNN(3, 4).forward(np.full((2, 1), 3), np.zeros((2, 1), int), np.zeros((1, 4))), "outside 0…2"),
        (
            lambda: CharRNN(3, 4).forward(np.zeros((2, 1), int), np.zeros((2, 1), int), np.zeros((2, 4))),
            r"got \(2, 4\)",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(make, says):
    with pytest.raises(LMTutorError, match=says) as error:
        make()
    assert "\n" not in str(error.value)
