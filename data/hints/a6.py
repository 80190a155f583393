"""Hints of assignment 6: three dropouts, and when averaging begins."""

import torch


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


def weight_dropped(f):
    """Question 3."""
    torch.manual_seed(1)
    lstm, x = torch.nn.LSTM(2, 8), torch.randn(5, 1, 2)
    zeros, kept = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)), lstm.weight_hh_l0.detach().clone()
    plain, (out, _) = lstm(x, zeros)[0], f(lstm, x, zeros, 0.5)
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
    yield (
        not torch.allclose(f(lstm.eval(), x, zeros, 0.5)[0], plain, atol=1e-6),
        "In evaluation mode something is still dropped, or stayed dropped.",
    )


def should_average(f):
    """Question 4."""
    yield bool(f([3.0], 9.0, 3)) or bool(f([3.0, 2.0], 9.0, 2)), "It begins although no more than n epochs lie behind."
    yield bool(f([5.0, 4.0, 3.0, 2.0], 2.5, 2)), "It compares with one of the last n losses."
    yield not f([2.0, 5.0, 5.0, 5.0], 4.0, 2), "A loss that was reached long ago is forgotten."
    yield bool(f([4.0, 3.0], 4.0, 1)), "As good as the best is not worse."
    yield not f([4.0], 4.1, 0), "With n = 0 all earlier epochs count."


HINTS = (locked_dropout, embed, weight_dropped, should_average)
