"""Hints of assignment 3: the gradient check, the LSTM by hand, the product of gates."""

import numpy as np

from lmtutor.scratch import check_gradients


def wrong_gradients(f):
    """Question 1."""
    u, v = np.array([1.0, 2.0, 3e-7]), np.array([[4.0, 5.0], [6.0, 0.5]])
    both, kept = {"u": u, "v": v}, (u.copy(), v.copy())
    right = {"u": 2 * u, "v": 2 * v}

    def loss() -> float:
        return float((u**2).sum() + (v**2).sum())

    found = f(loss, both, right)
    yield not isinstance(found, set), "Return a set of names."
    yield (
        not (np.array_equal(u, kept[0]) and np.array_equal(v, kept[1])),
        "The parameters are not left as they were, to the last bit.",
    )
    yield bool(found), "A right gradient is called wrong. A slope may be 0: relative to what is an error measured?"
    yield (
        bool(f(loss, both, right, 1e-6)),
        "With tolerance 1e-6 the gradient of a square is called wrong: move each number to both sides.",
    )
    yield not f(loss, both, right | {"u": 0 * u}), "A gradient of zeros passes as right."
    kept = {name: -g for name, g in right.items()}
    down = {name: g.copy() for name, g in kept.items()}
    yield bool(f(lambda: -loss(), both, down)), "Where all slopes are negative, right gradients are called wrong."
    yield any((kept[name] != down[name]).any() for name in kept), "The gradients that came in were changed."
    yield f(loss, both, {"u": 2.2 * u, "v": 2.2 * v}) != {"u", "v"}, "Both gradients are off, and one is not named."
    yield not f(loss, both, {"u": 4 * u, "v": 4 * v}, 0.6), "Off by the whole slope is more than a tolerance of 0.6."
    for change in (-1, 1):
        off = right | {"v": 2 * v + [[0, 0], [0, change]]}
        yield f(loss, both, off) != {"v"}, f"One number of v is off by {change}, and v alone should be named."
    yield f(loss, both, right | {"u": 2 * u + [1, -1, 0]}) != {"u"}, "Two errors that cancel each other are not seen."
    yield bool(f(loss, both, {"u": 2.2 * u, "v": 2.2 * v}, 0.5)), "Off by a tenth is within a tolerance of 0.5."
    for size in (1e4, 1e-4):
        one = {"w": np.ones(100)}
        off = np.full(100, size)
        off[3] *= 1.01
        said = (
            "Slopes of 10⁴ or 10⁻⁴: is the error relative to the largest slope, and is one bad number of many enough?"
        )
        yield f(lambda: size * float(one["w"].sum()), one, {"w": off}, 1e-3) != {"w"}, said  # noqa: B023
        off[3] = size * (1 + 1e-5)
        yield bool(f(lambda: size * float(one["w"].sum()), one, {"w": off}, 1e-3)), said  # noqa: B023
    two = {"large": np.ones(2), "small": np.ones(2)}
    off = {"large": np.full(2, 1e3), "small": np.array([1.0, 1.1])}
    found = f(lambda: float(1e3 * two["large"].sum() + two["small"].sum()), two, off, 1e-3)
    yield found != {"small"}, "An error of a parameter with small slopes hides behind one with large slopes."


def _case(steps=4, H=3, E=2):
    """Parameters, and a function that returns the loss and what backward needs."""
    rng = np.random.default_rng(12)
    params = {"W_x": rng.normal(size=(E, 4 * H)), "W_h": rng.normal(size=(H, 4 * H)), "b": rng.normal(size=4 * H)}
    x, y = rng.normal(size=(steps, E)), rng.normal(size=(steps, H))

    def forward():
        h, c = np.zeros((steps + 1, H)), np.zeros((steps + 1, H))
        i, f, g, o = (np.zeros((steps, H)) for _ in range(4))
        for t in range(steps):
            a = x[t] @ params["W_x"] + h[t] @ params["W_h"] + params["b"]
            i[t], f[t], o[t] = (0.5 + 0.5 * np.tanh(a[k * H : (k + 1) * H] / 2) for k in (0, 1, 3))
            g[t] = np.tanh(a[2 * H : 3 * H])
            c[t + 1] = f[t] * c[t] + i[t] * g[t]
            h[t + 1] = o[t] * np.tanh(c[t + 1])
        return 0.5 * float(((h[1:] - y) ** 2).sum()), dict(x=x, y=y, h=h, c=c, i=i, f=f, g=g, o=o)

    return params, forward


def backward(f):
    """Question 2."""
    for steps in (1, 8):
        params, forward = _case(steps)
        cache = forward()[1]
        kept = {name: a.copy() for name, a in cache.items()}
        grads, off = f(params, cache), []
        yield any(not np.array_equal(kept[name], cache[name]) for name in kept), "The arrays of the cache were changed."
        for k, name in enumerate(("input", "forget", "candidate", "output")):
            part = slice(k * 3, (k + 1) * 3)
            one = {"b": params["b"][part]}
            wrong = check_gradients(lambda: forward()[0], one, {"b": grads["b"][part]}, tolerance=1e-5).wrong  # noqa: B023
            off += [name] if wrong else []
        yield bool(off), f"With {steps} step(s) the bias gradients of these blocks are off: {', '.join(off)}."
        wrong = check_gradients(lambda: forward()[0], params, grads, tolerance=1e-5).wrong  # noqa: B023
        yield (
            bool(wrong),
            f"With {steps} step(s) the biases are right and {wrong} is not: what does it multiply the error with?",
        )


def kept(f):
    """Question 3."""
    gates = np.random.default_rng(1).uniform(0.2, 0.8, (4, 2))
    before, shares = gates.copy(), f(gates)
    yield not np.array_equal(gates, before), "The gates that came in were changed."
    yield not np.allclose(shares[-1], 1), "At the last cell nothing has been lost yet."
    yield (
        not np.allclose(shares[-2], before[-1]),
        "From the last cell to the one before, the error passes one gate. Which?",
    )
    changed = before.copy()
    changed[0] = 0
    yield not np.allclose(f(changed), shares), "The very first gate makes a difference. Does the error pass it?"
    yield (
        not np.allclose(shares[0], before[1] * before[2] * before[3]),
        "Try four steps by hand: which gates does the first cell's share pass?",
    )
    yield not np.array_equal(f(np.zeros((3, 1))), [[0], [0], [1]]), "A gate may be 0, and then lets nothing pass."
    yield not np.array_equal(f(np.full((1, 2), 0.5)), np.ones((1, 2))), "One step is a case, too."


HINTS = (wrong_gradients, backward, kept)
