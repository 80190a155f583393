"""Hints of assignment 8: a recurrence in two forms, a matrix state, recall."""

import torch


def _case(T):
    torch.manual_seed(T)
    return torch.rand(T, 2, 3).double(), torch.randn(T, 2, 3).double(), torch.randn(2, 3).double()


def _recurrence(f):
    """What both forms have to do."""
    a, b, h0 = torch.full((4, 1, 1), 0.5), torch.ones(4, 1, 1), torch.zeros(1, 1)
    got = f(a, b, h0)
    yield tuple(got.shape) != (4, 1, 1), "A state for each step is asked for, no more and no fewer."
    yield got[0].item() != 1.0, "From h0 = 0 the first state is the first b, and a gate does not scale b."
    yield abs(got[1].item() - 1.5) > 1e-6, "Gate 0.5, inputs 1: the second state is 0.5 · 1 + 1."
    yield abs(got[3].item() - 1.875) > 1e-6, "Gate 0.5, inputs 1: after four steps the state is 1.875."
    carried = f(a, b, torch.full((1, 1), 8.0))
    yield (
        abs(carried[0].item() - 5.0) > 1e-6,
        "A state of 8 that is carried in is 4 after the first gate, and 1 is added.",
    )
    yield (
        abs(carried[3].item() - 2.375) > 1e-6,
        "A state of 8 that is carried in is 0.5 after four gates, and counts till then.",
    )
    mixed = torch.tensor([0.5, 0.25, 1.0]).view(3, 1, 1)
    yield abs(f(mixed, b[:3], h0)[2].item() - 2.25) > 1e-6, "With gates 0.5, 0.25, 1 another step's gate is used."
    given = _case(5)
    kept = [x.clone() for x in given]
    f(*given)
    yield not all(map(torch.equal, given, kept)), "It changes what it was given."
    a, b, h0 = given
    yield not torch.allclose(f(a, b, h0)[0], a[0] * h0 + b[0]), "Every column of the batch begins with its own h0."


def one_by_one(f):
    """Question 1."""
    yield from _recurrence(f)


def scan(f):
    """Question 2."""
    yield from _recurrence(f)
    yield bool(f(*_case(6)).shape[0] != 6 or f(*_case(7)).shape[0] != 7), "How many steps come back from 6, from 7?"
    down = f(torch.ones(6, 1, 1), -torch.ones(6, 1, 1), torch.zeros(1, 1)).flatten()
    yield bool((down[4:] != torch.tensor([-5.0, -6.0])).any()), "Inputs of −1 and gates of 1: six steps make −6."
    a, b, h0 = _case(9)
    a[4] = 0
    yield not torch.allclose(f(a, b, h0)[4], b[4]), "After a gate of 0 the state is b alone. What do you divide by?"
    long = f(torch.full((600, 1, 1), 0.1), torch.ones(600, 1, 1), torch.zeros(1, 1))
    yield (
        not torch.isfinite(long).all(),
        "On a long text there are values that are no numbers: products of gates become 0.",
    )
    yield abs(long[-1].item() - 10 / 9) > 1e-4, "On a long text the last state is wrong."
    whole = f(torch.ones(5000, 1, 1), torch.ones(5000, 1, 1), torch.zeros(1, 1))[-1].item()
    yield whole != 5000, "Gates and inputs of 1: after 5,000 steps the state is 5,000. How many rounds does that take?"
    few, many = (_operations(lambda: f(*_case(T))) for T in (16, 128))  # noqa: B023
    yield many > 4 * few, "Eight times the steps take many more operations: there is a loop over the steps."
    a.requires_grad_()
    yield not f(a, b, h0).requires_grad, "The gradient does not reach the gates."


def _operations(call) -> int:
    """Count the operations on tensors in a call."""
    count = [0]

    class Counting(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            count[0] += 1
            return function(*args, **(kwargs or {}))

    with Counting():
        call()
    return count[0]


def chunk(f):
    """Question 3."""
    torch.manual_seed(3)
    one, S = torch.ones(3).double(), torch.zeros(2, 2).double()
    k = torch.eye(2).double()[[0, 1, 0]]
    v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]).double()
    found = f(k, k, v, one, S)
    yield len(found) != 2, "Return the outputs and the last state."
    outputs, last = found
    yield tuple(outputs.shape) != (3, 2) or tuple(last.shape) != (2, 2), "Shapes: outputs (T, V), state (D, V)."
    yield not torch.allclose(outputs[0], v[0]), "Step 1 reads what it has just written, and nothing that comes later."
    yield (
        not torch.allclose(outputs[2], v[0] + v[2]),
        "With gates of 1, a key reads the sum of all that was written under it.",
    )
    yield not torch.allclose(last, k.T @ v), "With gates of 1, the last state is the sum of all pairs."
    half = 0.5 * one
    outputs, last = f(k, k, v, half, S)
    yield not torch.allclose(outputs[0], v[0]), "At its own step a pair has not been decayed yet."
    yield (
        not torch.allclose(outputs[2], 0.25 * v[0] + v[2]),
        "Gates of 0.5: from step 1 to step 3 a pair passes two of them.",
    )
    yield not torch.allclose(last[1], 0.5 * v[1]), "Gates of 0.5: the pair of step 2 is halved once in the last state."
    first = torch.eye(2).double()
    outputs, last = f(k, k, 0 * v, half, first)
    yield (
        not torch.allclose(outputs[0], 0.5 * first[0]),
        "A state that is carried in passes the first gate before step 1 reads it.",
    )
    yield (
        not torch.allclose(last, 0.125 * first),
        "Gates of 0.5: after three steps an eighth of the carried state is left.",
    )
    uneven = torch.tensor([0.5, 0.1, 1.0]).double()
    yield (
        not torch.allclose(f(k, k, v, uneven, S)[0][2], 0.1 * v[0] + v[2]),
        "From step 1 to step 3 gates 2 and 3 count.",
    )
    tiny = 1e-200 * one
    yield not all(part.isfinite().all() for part in f(k, k, v, tiny, S)), "Small gates overflow."
    gates = tiny.clone().requires_grad_()
    f(k, k, v, gates, S)[0].sum().backward()
    yield (
        not gates.grad.isfinite().all(),
        "The gradient of small gates overflows: mask before the exponential, not after.",
    )
    few, many = (_operations(lambda: f(*_matrices(T))) for T in (8, 40))  # noqa: B023
    yield many > few + 10, "A longer text takes more operations: there is a loop."


def _matrices(T):
    q, k, v = torch.randn(3, T, 2).double()
    return q, k, v, torch.full((T,), 0.9).double(), torch.zeros(2, 2).double()


def tell(f):
    """Question 4: the first of its two functions."""
    right = torch.eye(3).double()
    S = f([(0, 1), (2, 0)], right, 2, "add")
    yield tuple(S.shape) != (3, 2), "S has a row for each number of a key and a column for each value."
    yield f([(4, 1)], right[[0, 1, 2, 0, 1]], 2, "add").shape != (3, 2), "Five keys of three numbers: S has three rows."
    yield S[0].tolist() != [0, 1] or S[2].tolist() != [1, 0], "Keys at right angles: row i holds what key i was told."
    yield f([(0, 1), (0, 0)], right, 2, "add")[0].tolist() != [1, 1], "With adding, a key told twice holds both values."
    yield (
        f([(0, 1), (0, 0)], right, 2, "delta")[0].tolist() != [1, 0],
        "With the delta rule the second value replaces the first.",
    )
    yield (
        f([(0, 1), (1, 0)], right, 2, "delta")[0].tolist() != [0, 1],
        "With the delta rule another key at right angles stays.",
    )
    slanted = torch.tensor([[1.0, 0.0], [0.8, 0.6]], dtype=torch.float64)
    S = f([(1, 0)], slanted, 2, "add")
    yield (
        not torch.allclose(S[:, 0], slanted[1]),
        "What is written is an outer product: a key of several numbers fills several rows.",
    )
    S = f([(0, 0), (1, 1)], slanted, 2, "delta")
    yield (
        not torch.allclose(S.T @ slanted[1], torch.tensor([0.0, 1.0]).double()),
        ("Right after it was told, a key of length 1 reads its own value and nothing else."),
    )
    yield (
        not torch.allclose(S.T @ slanted[0], torch.tensor([0.36, 0.8], dtype=torch.float64)),
        ("A key that is not at right angles to the new one loses a part of what it held."),
    )


HINTS = (one_by_one, scan, chunk, tell)
