"""Hints of assignment 6: three dropouts, and when averaging begins."""

import torch


def _alone(draw, p=0.4):
    """Draw which entries are gone, 200 times; is one gone too rarely or often, and do some go together?"""
    gone = torch.stack([draw().flatten() for _ in range(200)]).float()
    yield (
        bool(((gone.mean(0) - p).abs() > 0.18).any()),
        "Over many calls, something is dropped too rarely or too often.",
    )
    yield bool((gone.T.corrcoef().fill_diagonal_(0).abs() > 0.5).any()), "Over many calls, some are dropped together."


def locked_dropout(f):
    """Question 1."""
    ones = torch.ones(5, 4, 60)
    torch.manual_seed(1)
    out = f(ones, 0.3, True)
    yield bool((ones != 1).any()), "What came in was changed."
    yield not bool((out == 0).any()), "Nothing is dropped."
    yield not bool((out == out[0]).all()), "The mask changes from step to step."
    yield bool((out == out[:, :1]).all()), "All columns share one mask."
    yield bool((out == out[:, :, :1]).all()), "Whole columns are dropped, not units."
    yield abs(out.mean() - 1) > 0.2, "The mean has changed: what is kept has to make up for what is dropped."
    yield abs((out == 0).float().mean() - 0.3) > 0.15, "p is the share of what is dropped."
    yield torch.equal(f(ones, 0.3, True), out), "Two calls drop the same units."
    yield not torch.equal(f(ones, 0.3, False), ones), "Outside training something is dropped or scaled."
    small = torch.ones(2, 4, 5, requires_grad=True)
    yield from _alone(lambda: f(small.detach().clone(), 0.4, True)[0] == 0)
    for p in (0.2, 0.5):
        out = f(small, p, True)
        yield (
            bool((out[out > 0] - 1 / (1 - p)).abs().max() > 1e-4),
            f"With p = {p} what is kept grows by 1 / (1 − p) = {1 / (1 - p):g}, and yours by another factor.",
        )
        yield not out.requires_grad, "No gradient reaches what came in."


def embed(f):
    """Question 2."""
    torch.manual_seed(1)
    weight, ids = torch.ones(60, 4, requires_grad=True), torch.arange(60).repeat(2, 1)
    out = f(weight, ids, 0.3, True)
    yield bool(weight.detach().ne(1).any()), "The weight itself was changed."
    gone = out.detach() == 0
    yield not bool(gone.any()), "Nothing is dropped."
    yield not torch.equal(gone.any(2), gone.all(2)), "Parts of vectors are dropped."
    yield not torch.equal(out[0], out[1]), "One type is dropped at one place and not at another."
    yield abs(out.detach().mean() - 1) > 0.25, "The mean has changed: what is kept has to make up for what is dropped."
    yield torch.equal(f(weight, ids, 0.3, True), out), "Two calls drop the same types."
    yield not torch.equal(f(weight, ids, 0.3, False), weight[ids]), "Outside training this is a plain lookup."
    out.sum().backward()
    yield weight.grad is None, "No gradient reaches the weight."
    yield not torch.allclose(weight.grad, 2 * out.detach()[0]), "The gradient is not that of what comes out."
    yield bool((out[out > 0] - 1 / 0.7).abs().max() > 1e-4), "What is kept grows by 1 / (1 − p)."
    yield from _alone(lambda: f(torch.ones(8, 2), torch.arange(8)[:, None], 0.4, True)[..., 0] == 0)
    apart = f(torch.ones(60, 4), torch.stack([torch.arange(60), torch.arange(60).roll(1)]), 0.3, True)
    yield not torch.equal(apart[0], apart[1].roll(-1, 0)), "One type is dropped at one place and not at another."


def weight_dropped(f):
    """Question 3."""
    torch.manual_seed(1)
    lstm, x = torch.nn.LSTM(2, 8), torch.randn(5, 1, 2)
    zeros, kept = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)), lstm.weight_hh_l0.detach().clone()
    plain, (out, _) = lstm(x, zeros)[0], f(lstm, x, zeros, 0.5)
    yield not lstm.training, "The mode of the LSTM was changed."
    yield not torch.equal(lstm.weight_hh_l0, kept), "The parameter itself was changed."
    yield torch.allclose(plain, out), "The output is that of the LSTM without dropping."
    yield (
        not torch.allclose(plain[0], out[0], atol=1e-6),
        "The first step differs, where no recurrent weight is at work. Were other weights dropped?",
    )
    out.sum().backward()
    grad = lstm.weight_hh_l0.grad
    yield grad is None, "No gradient reaches the recurrent weight."
    yield (
        not 0.3 < (grad == 0).float().mean() < 0.7,
        "About half of the weights should have gradient 0. Is there one mask for the whole call?",
    )
    yield bool((grad == 0).all(0).any()), "Whole columns of the weight are dropped, not single entries."
    with torch.no_grad():
        lstm.weight_hh_l0.mul_((grad != 0) * 2)
        by_hand, last = lstm(x, zeros)
        lstm.weight_hh_l0.copy_(kept)
    yield (
        not torch.allclose(by_hand, out, atol=1e-5),
        "With its mask put in by hand an LSTM gives another output: what is kept grows by 1/(1 − p).",
    )
    yield torch.equal(f(lstm, x, zeros, 0.5)[0], out), "Two calls drop the same weights."
    ones = (torch.ones(1, 1, 8), torch.ones(1, 1, 8))
    yield torch.allclose(f(lstm, x, ones, 0.01)[0][0], plain[0], atol=1e-3), "The state that comes in is forgotten."

    net = torch.nn.LSTM(2, 2)

    def gone():
        net.zero_grad()
        f(net, x, (torch.ones(1, 1, 2), torch.ones(1, 1, 2)), 0.4)[0].sum().backward()
        return net.weight_hh_l0.grad == 0

    yield from _alone(gone)
    yield (
        not torch.allclose(f(lstm.eval(), x, zeros, 0.5)[0], plain, atol=1e-6),
        "In evaluation mode something is still dropped, or stayed dropped.",
    )
    yield not torch.equal(f(lstm, x, ones, 0.5)[0], lstm(x, ones)[0]), "In evaluation mode the state is forgotten."


def should_average(f):
    """Question 4."""
    yield bool(f([3.0], 9.0, 3)) or bool(f([3.0, 2.0], 9.0, 2)), "It begins although no more than n epochs lie behind."
    yield bool(f([5.0, 4.0, 3.0, 2.0], 2.5, 2)), "It compares with one of the last n losses."
    yield not f([2.0, 5.0, 5.0, 5.0], 4.0, 2), "A loss that was reached long ago is forgotten."
    yield bool(f([4.0, 3.0], 4.0, 1)), "As good as the best is not worse."
    yield not f([4.0], 4.1, 0), "With n = 0 all earlier epochs count."
    yield not f([4.0, 5.0, 3.0], 4.5, 1), "The best lies in the last n; now is worse than what was reached before."
    yield not f([4.0, 5.0], 4.001, 1), "A little worse is worse."
    yield bool(f([1.0] * 7, 2.0, 7)), "It begins although no more than n epochs lie behind."
    losses = [5.0, 3.0, 4.0]
    f(losses, 4.5, 1)
    yield losses != [5.0, 3.0, 4.0], "The list that came in was changed."


HINTS = (locked_dropout, embed, weight_dropped, should_average)
