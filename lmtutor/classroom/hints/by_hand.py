"""The hints of assignments 1 to 3: counts, and the networks by hand."""

import math
from collections import Counter

import numpy as np


def _perplexity(f):
    chances = [math.log(p) for p in (0.5, 0.1, 0.2)]
    value = f(chances)
    if value is None:
        return "It returns nothing."
    if value < 1:
        return "It is below 1. A perplexity never is: which sign has a log-probability?"
    if math.isclose(value, math.exp(-sum(chances))):
        return "Your perplexity is the exponential of the *sum*. A longer text must not have a larger one."
    if math.isclose(value, -sum(chances) / 3):
        return "That is the cross-entropy, in nats. One step is missing."
    if not math.isclose(value, f(chances * 2)):
        return "The same text twice has another perplexity. Which count do you divide by?"


def _places(f):
    pairs, followers, predecessors, kinds = f("a b a b a b c".split())
    if sum(pairs.values()) != 6:
        return "The pairs of seven tokens are six occurrences in total."
    if sum(followers.values()) != kinds or sum(predecessors.values()) != kinds:
        return (
            "Each different pair adds one to a follower count and one to a predecessor count, so both sum to N1+(. .)."
        )


def _discount(f):
    value = f(Counter({n: 1 for n in range(5)} | {n: 3 for n in range(5, 9)}))
    if not math.isclose(value, 1):
        return "Where no pair was seen twice, D is 1. Do counts of three change your result?"
    if f(Counter({n: 2 for n in range(5)})):
        return "Where no pair was seen once, D is 0."


def _kneser_ney(f):
    tokens = "a b a c a b d".split()
    p = f(tokens, 0.5)
    for u in "abc":
        total = sum(p(x, u) for x in "abcd")
        if not math.isclose(total, 1):
            less = "less" if total < 1 else "more"
            return f"After {u!r} the probabilities add up to {less} than 1. Is what the discount takes handed back?"
    if p("d", "a") == 0:
        return "An unseen pair gets nothing. Where does the discount go?"


def _rnn_case(steps=5, V=4, H=3):
    rng = np.random.default_rng(11)
    shapes = {"W_xh": (V, H), "W_hh": (H, H), "b_h": (H,), "W_hy": (H, V), "b_y": (V,)}
    params = {name: rng.normal(0, 0.6, shape) for name, shape in shapes.items()}
    return params, rng.integers(0, V, steps), rng.integers(0, V, steps), rng.normal(0, 0.5, H)


def _softmax(f):
    z = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]])
    p = f(z)
    if p.shape != z.shape:
        return "The shape of the result differs from that of the logits."
    if not np.allclose(p.sum(-1), 1):
        return "Rows do not add up to 1. Over which axis do you sum, and do you keep it?"
    if not np.isfinite(f(z + 2000)).all():
        return "Large logits overflow. Which constant can be subtracted from all of them?"


def _rnn_forward(f):
    params, x, y, h0 = _rnn_case()
    loss, h, p = f(params, x, y, h0)
    if h.shape != (6, 3):
        return "The states have T + 1 rows: the one that came in is row 0."
    if np.allclose(h[1:], f(params, x, y, 0 * h0)[1][1:]):
        return "The state that comes in makes no difference to the first step."
    again = f(params, np.tile(x, 2)[:5], y, h0)[0]
    if not math.isclose(again, loss):
        return "Two runs on one text differ: something is kept between calls."
    if loss < 1.2 * -np.log(p[np.arange(5), y]).mean():
        return "The loss is asked for as a sum over the steps."


def _rnn_backward(f):
    from lmtutor.scratch import CharRNN, check_gradients

    params, x, y, h0 = _rnn_case()
    model = CharRNN(4, hidden=3)
    model.params = params
    _, cache = model.forward(x[:, None], y[:, None], h0[None])
    p = cache["dz"][:, 0] + np.eye(4)[y]
    grads = f(params, x, y, cache["h"][:, 0].copy(), p)
    wrong = check_gradients(
        lambda: model.forward(x[:, None], y[:, None], h0[None])[0], params, grads, tolerance=1e-5
    ).wrong
    if "b_y" in wrong or "W_hy" in wrong:
        return "The gradients above the state are off already. Begin with dz, and with the state that stands beside it."
    if wrong == ["W_hh"]:
        return "Only W_hh is off: it was used with another state than the one you multiply."
    if wrong == ["W_xh"]:
        return "Only W_xh is off: does a symbol that is read twice add up twice?"
    if wrong:
        return "What lies below the state is off. Check the slope of tanh, and the error that comes from the next step."


def _numeric(f):
    theta = np.array([0.3, -1.0])
    before = theta.copy()
    slopes = f(lambda: float((3 * theta).sum()), theta, 1e-5)
    if not np.array_equal(theta, before):
        return "theta is not left as it was, to the last bit."
    if np.allclose(slopes, 6) or np.allclose(slopes, 1.5):
        return "Off by a factor of two: how far apart are the two points?"
    if not np.allclose(slopes, slopes[0]):
        return "A linear function has one slope everywhere; yours differ. Is each number put back before the next?"


def _clip(f):
    grads = {"a": np.array([0.1, 0.0]), "b": np.array([0.0, 10.0])}
    out = f(grads, 1.0)
    if grads["b"][1] != 10.0:
        return "The arrays that came in were changed."
    if math.isclose(out["a"][0], 0.1):
        return "The small array stayed as it was while the large one shrank: the direction of the step changed."


def _lstm_case():
    rng = np.random.default_rng(12)
    H, E, T = 3, 2, 4
    params = {"W_x": rng.normal(size=(E, 4 * H)), "W_h": rng.normal(size=(H, 4 * H)), "b": rng.normal(size=4 * H)}
    return params, rng.normal(size=(T, E)), rng.normal(size=(T, H))


def _lstm_forward(params, x, y):
    T, H = y.shape
    h, c = np.zeros((T + 1, H)), np.zeros((T + 1, H))
    i, f, g, o = (np.zeros((T, H)) for _ in range(4))
    for t in range(T):
        a = x[t] @ params["W_x"] + h[t] @ params["W_h"] + params["b"]
        i[t], f[t], o[t] = (0.5 + 0.5 * np.tanh(a[k * H : (k + 1) * H] / 2) for k in (0, 1, 3))
        g[t] = np.tanh(a[2 * H : 3 * H])
        c[t + 1] = f[t] * c[t] + i[t] * g[t]
        h[t + 1] = o[t] * np.tanh(c[t + 1])
    return 0.5 * float(((h[1:] - y) ** 2).sum()), dict(x=x, y=y, h=h, c=c, i=i, f=f, g=g, o=o)


def _wrong_gradients(f):
    params = {"u": np.array([1.0, 2.0])}
    if not isinstance(f(lambda: float(params["u"].sum()), params, {"u": np.ones(2)}), set):
        return "Return a set of names."
    if not f(lambda: float(params["u"].sum()), params, {"u": np.zeros(2)}):
        return "A gradient of zeros passes as right."
    if params["u"].tolist() != [1.0, 2.0]:
        return "The parameters are not left as they were."


def _lstm_backward(f):
    from lmtutor.scratch import check_gradients

    params, x, y = _lstm_case()
    for steps in (1, 4):
        cache = _lstm_forward(params, x[:steps], y[:steps])[1]
        grads, H, off = f(params, cache), 3, []
        for k, name in enumerate(("input", "forget", "candidate", "output")):
            part = slice(k * H, (k + 1) * H)
            one = {"b": params["b"][part]}
            loss = lambda steps=steps: _lstm_forward(params, x[:steps], y[:steps])[0]  # noqa: E731
            off += [name] if check_gradients(loss, one, {"b": grads["b"][part]}, tolerance=1e-5).wrong else []
        if off:
            return f"With {steps} step(s) the bias gradients of these blocks are off: {', '.join(off)}."
        loss = lambda steps=steps: _lstm_forward(params, x[:steps], y[:steps])[0]  # noqa: E731
        wrong = check_gradients(loss, params, grads, tolerance=1e-5).wrong
        if wrong:
            return (
                f"With {steps} step(s) the biases are right and {wrong} is not: what does it multiply the error with?"
            )


def _kept(f):
    gates = np.random.default_rng(1).uniform(0.2, 0.8, (4, 2))
    shares = f(gates)
    if not np.allclose(shares[-1], 1):
        return "At the last cell nothing has been lost yet."
    changed = gates.copy()
    changed[0] = 0
    if not np.allclose(f(changed), shares):
        return "The very first gate makes a difference. Does the error pass it?"


BY_HAND = {
    "a1": (_perplexity, _places, _discount, _kneser_ney),
    "a2": (_softmax, _rnn_forward, _rnn_backward, _numeric, _clip),
    "a3": (_wrong_gradients, _lstm_backward, _kept),
}
