"""Hints of assignment 4: columns, windows, the loop, the score."""

import math

import torch
from torch.nn.functional import cross_entropy


def columns(f):
    """Question 1."""
    ids = torch.arange(13)
    grid = f(ids, 3)
    yield len(ids) != 13, "The text that came in was changed."
    yield len(grid) != 4, "Thirteen tokens in three columns: how many whole rows?"
    yield bool((grid.diff(dim=0) != 1).any()), "Reading down a column, tokens do not follow each other."
    yield tuple(grid.shape) != (4, 3), f"Four rows of three columns are asked for, not {tuple(grid.shape)}."
    yield (
        grid.tolist() != [[n, n + 4, n + 8] for n in range(4)],
        "What is left over is dropped at the end, not at the beginning.",
    )
    yield grid.dtype != ids.dtype, "Ids are whole numbers, and yours have become others."
    for N in (12, 14):
        rows = f(torch.arange(N), 3).tolist()
        yield rows != grid.tolist(), f"{N} tokens in three columns are four rows, the same as of 13."


def windows(f):
    """Question 2."""
    grid = torch.arange(22).view(2, 11).t()
    pairs = list(f(grid, 4))
    yield any(len(x) != len(y) for x, y in pairs), "A window has more inputs than targets, or fewer."
    yield (
        sum(len(y) for _, y in pairs) < 10,
        "Some rows are never a target. What becomes of the last window, and of borders?",
    )
    yield any(not torch.equal(x + 1, y) for x, y in pairs), "Targets are not the inputs one row further down."
    square = list(f(grid[:, [0, 1, 0]] ** 2, 6))
    yield tuple(square[0][1].shape) != (6, 3), "Windows of six rows of three columns are asked for, and come out other."
    yield not torch.equal(square[1][1][:, 0], grid[7:, 0] ** 2), "A target is the next *row*, whatever number it holds."
    short = [len(y) for _, y in f(grid[:6], 4)]
    yield short != [4, 1], f"Five predictions in windows of 4 are 4 and 1, not {short}."
    yield max(len(x) for x, _ in pairs) > 4, "A window has more than T rows."
    yield (
        min(len(x) for x, _ in f(grid[:9], 4)) < 1,
        "Where the windows come out even, there is one too many, and it is empty.",
    )
    yield sum(len(y) for _, y in pairs) > 10, "Some rows are a target twice."


class _Counting(torch.nn.Module):
    """A bigram model whose state counts the windows; it writes down what it was given."""

    def __init__(self):
        super().__init__()
        self.w, self.v = torch.nn.Parameter(torch.randn(5, 5)), torch.nn.Parameter(torch.zeros(5))
        self.seen, self.modes = [], []

    def initial_state(self, B):
        return torch.zeros(1, B, 1), torch.zeros(1, B, 1)

    def forward(self, inputs, state):
        self.seen.append(state)
        self.modes.append(self.training)
        return self.w[inputs] + 9 * self.v + state[0], tuple(part + 1 + self.w.sum() * 0 for part in state)


def train_epoch(f):
    """Question 3."""
    torch.manual_seed(1)
    grid = torch.randint(5, (13, 2))
    for carry in (True, False):
        torch.manual_seed(2)
        model = _Counting().eval()
        before = model.w.detach().clone()
        losses = f(model, grid, 4, 0.1, 0.5, carry)
        yield torch.equal(before, model.w), "No parameter has changed."
        yield (
            not isinstance(losses, list) or len(losses) != 3,
            "Twelve predictions in windows of four: a list of three losses.",
        )
        yield any(isinstance(loss, torch.Tensor) for loss in losses), "A loss that is a tensor keeps its graph alive."
        yield (
            any(p.requires_grad for state in model.seen for p in state),
            "A state still remembers how it was computed.",
        )
        yield not all(model.modes), "The model is not in training mode."
        last = model.seen[-1][0].flatten()[0].item()
        yield carry and last != 2, "The third window does not begin from the second one's state."
        yield not carry and last != 0, "Without carrying, each window begins from a fresh state."
        yield (
            not math.isclose(losses[0], _first(before, grid[:5]), rel_tol=1e-4),
            "The loss of the first window is not the mean over its predictions.",
        )
        right, uneven = _trained(before, grid), grid[:12]
        yield (
            isinstance(losses, list) and not math.isclose(losses[2], right[1], rel_tol=1e-3),
            "The losses begin right, and the third is another: the loss of each window for itself, and the step?",
        )
        yield not torch.allclose(model.w, right[0], atol=1e-4), (
            "The losses begin right, and the weights end elsewhere. One norm for all gradients, no gradient of an "
            "earlier window, and a plain step downhill?")  # fmt: skip
        other = _Counting()
        other.w.data.copy_(before)
        f(other, uneven, 4, 0.1, 0.5, carry)
        last = other.seen[-1][0].flatten()[0].item()
        yield carry and last != 2, "The last window is shorter, and does not begin from the state before it."
        yield (
            not torch.allclose(other.w, _trained(before, uneven)[0], atol=1e-4),
            "Where the last window is shorter, the weights end elsewhere. Its step is as long as the others.",
        )


def _first(w, rows):
    return cross_entropy(w[rows[:-1]].flatten(0, 1), rows[1:].flatten()).item()


def _trained(w, grid):
    """Where plain clipped steps lead, and the last loss; a constant state changes no softmax."""
    w, v = w.clone().requires_grad_(), torch.zeros(5, requires_grad=True)
    for start in (0, 4, 8):
        rows = grid[start : start + 5]
        loss = cross_entropy((w[rows[:-1]] + 9 * v).flatten(0, 1), rows[1:].flatten())
        grads = torch.autograd.grad(loss, (w, v))
        factor = min(1.0, 0.5 / math.sqrt(sum(float((g**2).sum()) for g in grads)))
        with torch.no_grad():
            w -= 0.1 * factor * grads[0]
            v -= 0.1 * factor * grads[1]
    return w.detach(), loss.item()


class _Fixed(torch.nn.Module):
    """A model of three types whose state counts the tokens; its dropout shows whether it is on."""

    def __init__(self):
        super().__init__()
        self.drop, self.other, self.read = torch.nn.Dropout(0.5), torch.nn.Dropout(0.5), []

    def initial_state(self, B):
        return (torch.zeros(1, B, 1),)

    def forward(self, inputs, state):
        self.read.append(len(inputs))
        steps = state[0] + torch.arange(1.0, len(inputs) + 1).view(-1, 1, 1)
        return 2 * self.other(self.drop(torch.cat([steps, -steps, 2 * steps], 2).sin())), (state[0] + len(inputs),)


def score(f):
    """Question 4."""
    ids, model = torch.tensor([0, 1, 2, 0, 1, 0, 2, 2, 0]), _Fixed()
    whole = f(model, ids, 100)
    yield whole != f(model, ids, 100), "Two scores of one text differ: dropout is on."
    yield not model.training, "The model is left in another mode than it came in."
    for stretch in (3, 7):
        model.read.clear()
        yield (
            not math.isclose(whole, f(model, ids, stretch), rel_tol=1e-5),
            f"Read in stretches of {stretch} and all at once, one text has two scores.",
        )
        yield max(model.read) > stretch, f"More than {stretch} tokens are read at a time."
    model.eval()
    f(model, ids, 3)
    yield model.training, "The model came in evaluation mode, and is left in training mode."
    logits = model(ids[:-1, None], model.initial_state(1))[0]
    right = cross_entropy(logits[:, 0], ids[1:]).item()
    yield math.isclose(whole, right, rel_tol=1e-4), "That is the loss. The perplexity is its exponential."
    yield (
        not math.isclose(whole, math.exp(right), rel_tol=1e-4),
        "Nine tokens are eight predictions: which are scored, and by what do you divide?",
    )
    given = []
    model.register_forward_pre_hook(lambda _, inputs: given.append(torch.is_grad_enabled()))
    f(model, ids, 3)
    yield any(given), "No gradient is needed here, and yours could be computed."


HINTS = (columns, windows, train_epoch, score)
