"""Hints of assignment 2: the network by hand."""

import math

import numpy as np

from lmtutor.scratch import CharRNN, check_gradients


def softmax(f):
    """Question 1."""
    z = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    kept, p = z.copy(), f(z)
    yield not np.array_equal(z, kept), "The logits that came in were changed."
    yield p.shape != z.shape, "The shape of the result differs from that of the logits."
    yield not np.allclose(p.sum(-1), 1), "Rows do not add up to 1. Over which axis do you sum, and do you keep it?"
    yield (
        not np.isfinite(f(z + 2000)).all(),
        "Large logits overflow. Which constant can be subtracted from all of them?",
    )
    yield not np.allclose(f(z + 2000), p), "The same constant added to all logits changes your result."
    yield (
        not np.isfinite(f(np.array([[1e3, 1e3], [-1e3, -1e3]]))).all(),
        "One row of 1000 and one of -1000: each needs its own constant.",
    )
    yield not np.isfinite(f(np.array([[1e3, -1e3]]))).all(), "One row of 1000 and -1000: its largest number has to go."
    yield (
        f(np.array([0.0, 1e3]))[0] > 1e-9,
        "Beside a logit of 1000 one of 0 has no probability left. Is something added?",
    )
    for shape in ((3,), (2, 2, 3)):
        yield not np.allclose(f(np.zeros(shape)), 1 / 3), f"Zeros of shape {shape} do not become thirds."


def _case(steps=5, V=4, H=3):
    """Parameters, x, y and h0, and what the book's network makes of them: loss, states, probabilities."""
    rng = np.random.default_rng(11)
    shapes = {"W_xh": (V, H), "W_hh": (H, H), "b_h": (H,), "W_hy": (H, V), "b_y": (V,)}
    model = CharRNN(V, hidden=H)
    model.params = {name: rng.normal(0, 0.6, shape) for name, shape in shapes.items()}
    x, y, h0 = rng.integers(0, V, steps), rng.integers(0, V, steps), rng.normal(0, 0.5, H)

    def forward():
        loss, cache = model.forward(x[:, None], y[:, None], h0[None])
        return loss, cache["h"][:, 0].copy(), cache["dz"][:, 0] + np.eye(V)[y]

    return model.params, x, y, h0, forward


def forward(f):
    """Question 2."""
    params, x, y, h0, by_the_book = _case()
    right, states, chances = by_the_book()
    kept = h0.copy()
    loss, h, p = f(params, x, y, h0)
    yield not np.array_equal(h0, kept), "The state that came in was changed."
    yield h.shape != (6, 3), "The states have T + 1 rows: the one that came in is row 0."
    yield not np.allclose(h[0], h0), "Row 0 of the states is the state that came in."
    yield (
        not np.allclose(h[1], states[1]),
        "The first step is off: does it take the state that came in, both weights and the bias?",
    )
    yield not np.allclose(h, states), "The first step is right and a later one is not. Which state does it begin from?"
    yield (
        not np.allclose(p, chances),
        "The states are right and the probabilities are not. Which state does row t belong to?",
    )
    yield math.isclose(loss, right / 5), "The loss is asked for as a sum over the steps."
    yield math.isclose(loss, right / math.log(2)), "The loss is asked for in nats."
    yield (
        not math.isclose(loss, right),
        "The probabilities are right and the loss is not. Of which symbols is the probability taken?",
    )


def backward(f):
    """Question 3."""
    for steps, scale in ((1, 1), (5, 1), (5, 30)):
        params, x, y, h0, by_the_book = _case(steps)
        params["W_hy"] *= scale
        _, h, p = by_the_book()
        kept, grads = p.copy(), f(params, x, y, h, p)
        yield not np.array_equal(p, kept), "The probabilities that came in were changed."
        wrong = set(check_gradients(lambda: by_the_book()[0], params, grads, tolerance=1e-5).wrong)  # noqa: B023
        yield (
            bool({"b_y", "W_hy"} & wrong),
            "What lies above the state is off: begin with dz, and with the state beside it.",
        )
        yield (
            steps == 1 and bool(wrong),
            f"With one step {sorted(wrong)} is off: check the slope of tanh, and the states.",
        )
        yield scale > 1 and bool(wrong), "Small gradients are right and large ones are not: clipping comes later."
        yield wrong == {"W_hh"}, "Only W_hh is off: it was used with another state than the one you multiply."
        yield wrong == {"W_xh"}, "Only W_xh is off: does a symbol that is read twice add up twice?"
        yield bool(wrong), "One step is right and several are not: check what comes back from the step after."


def numeric_gradient(f):
    """Question 4."""
    theta = np.array([[0.3, -1.0], [2e-7, 5.0]])
    before = theta.copy()
    slopes = f(lambda: float((3 * theta).sum()), theta, 1e-5)
    yield not np.array_equal(theta, before), "theta is not left as it was, to the last bit."
    yield not slopes.any(), "All slopes are 0: loss reads theta itself, so move its numbers in place."
    yield (
        np.allclose(slopes, 6) or np.allclose(slopes, 1.5),
        "Off by a factor of two: how far apart are the two points?",
    )
    yield (
        not np.allclose(slopes, 3),
        "A linear function has one slope everywhere. Is one number moved at a time, and put back?",
    )
    cube = f(lambda: float((theta**3).sum()), theta, 0.1)
    yield (
        not np.allclose(cube, 3 * before**2 + 0.01),
        "Try θ³ with s = 0.1 by hand: both sides, and the s that was given.",
    )
    line = np.array([1.0, 2.0, 3.0])
    yield not np.allclose(f(lambda: float(line.sum()), line, 1e-5), 1), "It is wrong for an array of one axis."


def clip_by_norm(f):
    """Question 5."""
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([0.0, 4.0])}
    out = f(grads, 1.0)
    yield grads["b"][1] != 4.0, "The arrays that came in were changed."
    yield np.allclose(out["a"], [1, 0]), "Both arrays were shrunk alone: the direction of the step changed."
    yield not np.allclose(out["b"] * 3, out["a"][::-1] * 4), "The arrays were not shrunk by one factor."
    yield not math.isclose(out["a"][0], 0.6, rel_tol=1e-4), "The norm of (3, 0, 0, 4) is 5. By hand, what becomes of 3?"
    matrix = f({"a": np.diag([3.0, 4.0])}, 1.0)["a"]
    yield not math.isclose(matrix[0, 0], 0.6, rel_tol=1e-4), "The numbers of a matrix count as one long vector."
    yield not np.allclose(f(grads, 10.0)["a"], [3, 0]), "Below the limit nothing changes."
    yield (
        not np.isfinite(f({"a": np.zeros(2)}, 1.0)["a"]).all(),
        "Gradients of zero become something that is no number.",
    )


HINTS = (softmax, forward, backward, numeric_gradient, clip_by_norm)
