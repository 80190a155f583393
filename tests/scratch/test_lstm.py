"""The hand-written LSTM against finite differences, torch and the cells; the five bugs and their symptoms."""

import numpy as np
import pytest
import torch

from lmtutor.models import build_model
from lmtutor.models.cells import LSTM2002
from lmtutor.scratch import BUGS, BrokenLSTM, CharLSTM, check_gradients, encode, train
from lmtutor.system.errors import LMTutorError

from .conftest import B, H, T, V


def checked(model, x, y, state):
    _, cache = model.forward(x, y, state)
    return check_gradients(lambda: model.forward(x, y, state)[0], model.params, model.backward(cache))


@pytest.mark.parametrize("peepholes", [True, False])
def test_gradients_against_finite_differences(problem, peepholes):
    x, y, fill = problem
    model, state = fill(CharLSTM(V, H, peepholes=peepholes))
    check = checked(model, x, y, state)
    assert set(check.errors) == set(model.params)
    assert check.worst < 1e-6


def one_hot(x):
    return torch.nn.functional.one_hot(torch.from_numpy(x), V).double()


def stacked(model, kind, order="ifgo"):
    return torch.from_numpy(np.concatenate([model.params[f"{kind}{k}"].T for k in order]))


def test_loss_and_gradients_against_torch(problem):
    x, y, fill = problem
    model, (h, c) = fill(CharLSTM(V, H, peepholes=False))
    loss, cache = model.forward(x, y, (h, c))
    grads = model.backward(cache)
    lstm, out = torch.nn.LSTM(V, H).double(), torch.nn.Linear(H, V).double()
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(stacked(model, "W_x"))
        lstm.weight_hh_l0.copy_(stacked(model, "W_h"))
        lstm.bias_ih_l0.copy_(stacked(model, "b_"))
        lstm.bias_hh_l0.zero_()
        out.weight.copy_(torch.from_numpy(model.params["W_hy"].T))
        out.bias.copy_(torch.from_numpy(model.params["b_y"]))
    hidden, (h_last, c_last) = lstm(one_hot(x), (torch.from_numpy(h)[None], torch.from_numpy(c)[None]))
    logits = out(hidden).flatten(0, 1)
    nats = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y).flatten(), reduction="sum") / B
    nats.backward()
    assert loss == pytest.approx(nats.item(), abs=1e-10)
    np.testing.assert_allclose(cache["state"][0], h_last[0].detach(), atol=1e-10)
    np.testing.assert_allclose(cache["state"][1], c_last[0].detach(), atol=1e-10)
    for kind, theirs in (("W_x", lstm.weight_ih_l0), ("W_h", lstm.weight_hh_l0), ("b_", lstm.bias_ih_l0)):
        for k, part in zip("ifgo", theirs.grad.chunk(4), strict=True):
            np.testing.assert_allclose(grads[f"{kind}{k}"], part.numpy().T, atol=1e-10, rtol=0)
    np.testing.assert_allclose(grads["W_hy"], out.weight.grad.numpy().T, atol=1e-10, rtol=0)
    np.testing.assert_allclose(grads["b_y"], out.bias.grad.numpy(), atol=1e-10, rtol=0)


def test_peepholes_agree_with_the_cell_of_2002(problem):
    """The papers' cell is twice ours (their g goes from −2 to 2): halve its candidates, double our peepholes."""
    x, y, fill = problem
    model, (h, c) = fill(CharLSTM(V, H))
    cell = LSTM2002(V, H).double()
    double = torch.tensor([1.0, 1, 1, 2]).repeat_interleave(H)[:, None].double()
    with torch.no_grad():
        cell.weight_ih.copy_(double * stacked(model, "W_x", "ifog"))
        cell.weight_hh.copy_(double * stacked(model, "W_h", "ifog"))
        cell.bias.copy_(double[:, 0] * stacked(model, "b_", "ifog"))
        cell.peepholes.copy_(torch.from_numpy(np.stack([model.params[f"p_{k}"] for k in "ifo"])) / 2)
    state = torch.from_numpy(h)[None], 2 * torch.from_numpy(c)[None]
    hidden, (_, c_last) = cell(one_hot(x), state)
    _, cache = model.forward(x, y, (h, c))
    np.testing.assert_allclose(cache["h"][1:], hidden.detach(), atol=1e-10)
    np.testing.assert_allclose(2 * cache["state"][1], c_last[0].detach(), atol=1e-10)


def test_error_by_lag_is_the_gradient_of_the_last_loss(problem):
    x, y, fill = problem
    model, (h, c) = fill(CharLSTM(V, H))
    _, cache = model.forward(x, y, (h, c))
    p = {name: torch.from_numpy(theta) for name, theta in model.params.items()}
    h, c, kept = torch.from_numpy(h), torch.from_numpy(c), []
    for t in range(T):
        a = {k: p[f"W_x{k}"][x[t]] + h @ p[f"W_h{k}"] + p[f"b_{k}"] for k in "ifgo"}
        i, f = torch.sigmoid(a["i"] + p["p_i"] * c), torch.sigmoid(a["f"] + p["p_f"] * c)
        c = (f * c + i * torch.tanh(a["g"])).requires_grad_()
        h = (torch.sigmoid(a["o"] + p["p_o"] * c) * torch.tanh(c)).requires_grad_()
        kept.append((h, c))
    nats = torch.nn.functional.cross_entropy(h @ p["W_hy"] + p["b_y"], torch.from_numpy(y[-1]), reduction="sum")
    grads = torch.autograd.grad(nats, [part for pair in kept for part in pair])
    by_lag = model.error_by_lag(cache)
    for name, mine in (("h", grads[0::2]), ("c", grads[1::2])):
        expected = [g.norm(dim=1).mean().item() for g in reversed(mine)]
        np.testing.assert_allclose(by_lag[name], expected, atol=1e-12)


def test_without_bugs_the_broken_model_is_whole(problem):
    x, y, fill = problem
    model, state = fill(BrokenLSTM(V, H, bugs=()))
    assert checked(model, x, y, state).worst < 1e-6


SYMPTOMS = {  # parameters whose gradients must come out wrong, and some that stay right
    1: ({"W_xi", "W_hf", "W_xg", "W_ho", "p_i", "p_o", "b_g"}, {"W_hy", "b_y"}),
    2: ({"W_xi", "W_hf", "W_xg", "W_ho", "p_i", "p_o", "b_g"}, {"W_hy", "b_y"}),
    3: ({"W_xi", "W_hf", "W_xg", "W_ho", "p_i", "p_o", "b_g"}, {"W_hy", "b_y"}),
    4: ({"p_i", "p_f"}, {"W_xi", "W_hi", "W_xf", "W_hf", "W_xg", "W_hg", "W_xo", "W_ho", "p_o", "W_hy", "b_y"}),
    5: ({"W_xi", "W_hi", "p_i", "b_i"}, {"W_hy", "b_y"}),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_checker_names_what_each_bug_spoils(problem, bug):
    x, y, fill = problem
    model, state = fill(BrokenLSTM(V, H, bugs=[bug]))
    check = checked(model, x, y, state)
    wrong, right = SYMPTOMS[bug]
    assert wrong <= set(check.wrong)
    assert not right & set(check.wrong)
    assert check.worst > 0.3  # no bug is subtle once it is measured


def test_four_fixes_of_five_are_not_enough(problem):
    x, y, fill = problem
    for left in BUGS:
        model, state = fill(BrokenLSTM(V, H, bugs=[left]))
        assert checked(model, x, y, state).worst > 0.3
    model, state = fill(BrokenLSTM(V, H))
    assert checked(model, x, y, state).worst > 1


def test_it_learns():
    ids, alphabet = encode("the cat sat on the mat. the dog sat on the log. " * 10)
    model = CharLSTM(len(alphabet), 24)
    losses = [bits for _, bits in train(model, ids, batch_size=4, steps=20, lr=0.1, epochs=25)]
    assert losses[-1] < 0.4 < losses[0]


def test_bad_input_is_told_in_one_line():
    ok = np.zeros((2, 1), int)
    model = CharLSTM(3, 4)
    with pytest.raises(LMTutorError, match=r"got \(1, 5\)"):
        model.forward(ok, ok, (np.zeros((1, 4)), np.zeros((1, 5))))
    with pytest.raises(LMTutorError, match="outside 0…2"):
        model.forward(ok + 3, ok, model.initial_state(1))
    with pytest.raises(LMTutorError, match="not among 1 to 5"):
        BrokenLSTM(3, bugs=[6])
    with pytest.raises(LMTutorError, match="float64"):
        single = CharLSTM(3, 4, dtype=np.float32)
        check_gradients(lambda: 0.0, single.params, single.params)


def test_of_torch_reads_like_the_model_that_it_copies():
    torch.manual_seed(3)
    model = build_model("lstm-200", 7, embedding=5, hidden=4, layers=1, dropout=0.0, tied=False).double()
    x = np.array([[0, 1], [2, 3], [6, 5], [4, 4]])
    _, seen = CharLSTM.of_torch(model).forward(x[:-1], x[1:], (np.zeros((2, 4)), np.zeros((2, 4))))
    with torch.no_grad():
        hidden, _ = model.eval()(torch.from_numpy(x[:-1]), model.initial_state(2))
    assert np.abs(seen["h"][1:] - hidden.numpy()).max() < 1e-12
