"""The hints of assignments 4 to 7: training, tokens, dropout, the cache."""

import math
from collections import Counter

import torch


def _columns(f):
    grid = f(torch.arange(13), 3)
    if len(grid) != 4:
        return "Thirteen tokens in three columns: how many whole rows?"
    if (grid.diff(dim=0) != 1).any():
        return "Reading down a column, tokens do not follow each other."


def _windows(f):
    pairs = list(f(torch.arange(22).view(2, 11).t(), 4))
    if sum(len(x) for x, _ in pairs) < 10:
        return "Some rows are never a target. What becomes of the last, shorter window?"
    if any(not torch.equal(x + 1, y) for x, y in pairs):
        return "Targets are not the inputs one row further down."


def _train_epoch(f):
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.seen = torch.nn.Parameter(torch.randn(5, 5)), []

        def initial_state(self, B):
            return (torch.zeros(1, B, 1),)

        def forward(self, inputs, state):
            self.seen.append(state[0])
            return self.w[inputs] + state[0], (state[0] + 1 + self.w.sum() * 0,)

    torch.manual_seed(1)
    model = Counting()
    before = model.w.detach().clone()
    losses = f(model, torch.randint(5, (13, 2)), 4, 0.1, 1.0, True)
    if torch.equal(before, model.w):
        return "No parameter has changed."
    if len(losses) != 3:
        return "Twelve predictions in windows of four: one loss a window."
    if any(state.requires_grad for state in model.seen):
        return "A carried state still remembers how it was computed. Which method forgets that?"
    if model.seen[-1].flatten()[0] != 2:
        return "The third window does not begin from the second one's state."
    if (before - model.w).norm() > 3 * 0.1 * 1.0 * 1.01:
        return "The steps are longer than clipping allows, or gradients of earlier windows add up."


def _score(f):
    class Fixed(torch.nn.Module):
        def initial_state(self, B):
            return (torch.zeros(1, B, 1),)

        def forward(self, inputs, state):
            steps = state[0] + torch.arange(1.0, len(inputs) + 1).view(-1, 1, 1)
            return torch.cat([steps, -steps, 2 * steps], 2).sin(), (state[0] + len(inputs),)

    ids = torch.tensor([0, 1, 2, 0, 1, 0, 2, 2, 0])
    model = Fixed()
    whole, parts = f(model, ids, 100), f(model, ids, 3)
    if not math.isclose(whole, parts, rel_tol=1e-5):
        return "Read in stretches of 3 and all at once, one text has two scores."
    if not model.training:
        return "The model is left in another mode than it came in."


def _tokenize(f):
    tokens = f("It's <unk>,\nnot 1,000!")
    if "\n" in "".join(tokens) or "<eos>" not in tokens:
        return "A line end becomes a token `<eos>`."
    if "<unk>" not in tokens:
        return "`<unk>` falls apart. In a pattern with alternatives the first that fits wins."
    if "It's" not in tokens or "1,000" not in tokens:
        return "A mark inside a word or a number belongs to it."
    if "".join(tokens).replace("<eos>", "") != "It's<unk>,not1,000!":
        return "Something was lost or added."


def _vocabulary(f):
    types = f(["b", "a", "b", "a", "<unk>", "c"], 1)
    if types.count("<unk>") != 1 or types[0] != "<unk>":
        return "`<unk>` stands first, and once."
    if types.index("a") > types.index("b"):
        return "Equally frequent types stand in alphabetical order."


def _merges(f):
    merges = f(Counter({"aab": 1, "cd": 5}), 3)
    if merges[0] != ("c", "d"):
        return "A pair counts as often as its word occurs."
    if len(set(merges)) != len(merges):
        return "One pair was merged twice: are the words cut anew after each merge?"


def _fair(f):
    if not math.isclose(f(10.0, "abcde", [], 26), f(20.0, "abcdefghij", [], 26)):
        return "Twice the nats on twice the characters has to give the same."
    if f(10.0, "abcde", ["x"], 26) <= f(10.0, "abcde", [], 26):
        return "An unknown word costs nothing."
    if not math.isclose(f(0.0, "abcde", ["xy"], 26) / f(0.0, "abcde", ["x"], 26), 1.5):
        return "A word of two letters costs 3 signs, one of one letter 2: both have an end."


def _locked(f):
    torch.manual_seed(1)
    out = f(torch.ones(5, 4, 60), 0.5, True)
    if not (out == 0).any():
        return "Nothing is dropped."
    if not (out == out[0]).all():
        return "The mask changes from step to step."
    if (out == out[:, :1]).all():
        return "All columns share one mask."
    if abs(out.mean() - 1) > 0.3:
        return "The mean has changed: what is kept has to make up for what is dropped."


def _embed(f):
    torch.manual_seed(1)
    weight = torch.ones(30, 4, requires_grad=True)
    out = f(weight, torch.arange(30).repeat(2, 1), 0.5, True).detach()
    if not torch.equal(out[0], out[1]):
        return "One type is dropped at one place and not at another."
    if ((out == 0).any(2) != (out == 0).all(2)).any():
        return "Parts of vectors are dropped."
    if weight.detach().ne(1).any():
        return "The weight itself was changed."


def _weight_drop(f):
    torch.manual_seed(1)
    lstm, x = torch.nn.LSTM(2, 8), torch.randn(5, 1, 2)
    zeros = (torch.zeros(1, 1, 8), torch.zeros(1, 1, 8))
    plain, out = lstm(x, zeros)[0], f(lstm, x, zeros, 0.5)[0]
    if torch.allclose(plain, out):
        return "The output is that of the LSTM without dropping."
    if not torch.allclose(plain[0], out[0], atol=1e-6):
        return "The first step differs, where no recurrent weight is at work. Were other weights dropped?"
    out.sum().backward()
    if lstm.weight_hh_l0.grad is None:
        return "No gradient reaches the recurrent weight."
    if not torch.allclose(f(lstm.eval(), x, zeros, 0.5)[0], plain, atol=1e-6):
        return "In evaluation mode something is still dropped, or stayed dropped."


def _average(f):
    if f([3.0], 9.0, 3):
        return "It begins although no more than n epochs lie behind."
    if f([5.0, 4.0, 3.0, 2.0], 2.5, 2):
        return "It compares with one of the last n losses."
    if not f([2.0, 5.0, 5.0, 5.0], 4.0, 2):
        return "A loss that was reached long ago is forgotten."


def _cache_hint(f):
    states, words = torch.zeros(5, 2), torch.tensor([1, 2, 1, 1, 3])
    p = f(states, words, 1.0, 10)
    if p.isnan().any():
        return "There is a value that is not a number. What does the first word see?"
    if p[4] > 0 or p[1] > 0:
        return "A word that comes for the first time has a probability: it was stored before it was scored."
    if torch.equal(p, f(states, words, 1.0, 1)):
        return "The window makes no difference."
    torch.manual_seed(1)
    states = torch.randn(5, 2)
    if torch.allclose(f(states, words, 0.0, 10), f(states, words, 3.0, 10)):
        return "θ makes no difference."


def _mix(f):
    own, cached = torch.log(torch.tensor([0.5, 0.5, 0.25])), torch.tensor([0.0, 1.0, 0.0])
    out = f(own, cached, 0.5)
    if not torch.isclose(out[0], own[0]):
        return "At position 0 the cache is empty and must not take a share."
    if not out[2] < own[2]:
        return "Where the cache has nothing, the model's part has to shrink."
    if not torch.isfinite(f(torch.tensor([-1.0, -900.0]), torch.zeros(2), 0.5)).all():
        return "Very small probabilities become 0 on the way. Where do you leave the logarithms?"


def _tune(f):
    torch.manual_seed(2)
    states, words, own = torch.randn(12, 2).double(), torch.randint(3, (12,)), torch.full((12,), -1.0).double()
    found = f(states, words, own, [0.5], [0.0], 5)
    if len(found) != 3:
        return "Return theta, lam and the perplexity."
    if not math.isclose(found[2], math.e, rel_tol=1e-6):
        return "With λ = 0 alone to choose from, the perplexity is the model's own."


WITH_TORCH = {
    "a4": (_columns, _windows, _train_epoch, _score),
    "a5": (_tokenize, _vocabulary, _merges, _fair),
    "a6": (_locked, _embed, _weight_drop, _average),
    "a7": (_cache_hint, _cache_hint, _mix, _tune),
}
