# %% a2-q1 wrong: nothing is subtracted
def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)

# %% a2-q1 wrong: the first axis
def softmax(z):
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)

# %% a2-q1 wrong: one sum for all
def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()

# %% a2-q1 wrong: one maximum for all rows
def softmax(z):
    e = np.exp(z - np.max(z))
    return e / e.sum(axis=-1, keepdims=True)

# %% a2-q1 wrong: in place
def softmax(z):
    z -= z.max(axis=-1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=-1, keepdims=True)
    return z

# %% a2-q1 wrong: axis 1 of whatever comes
def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

# %% a2-q1 wrong: the axis is not kept
def softmax(z):
    e = np.exp(z - z.max(axis=-1))
    return e / e.sum(axis=-1)

# %% a2-q1 right: log-sum-exp
def softmax(z):
    top = np.max(z, axis=-1, keepdims=True)
    log_total = top + np.log(np.sum(np.exp(z - top), axis=-1, keepdims=True))
    return np.exp(z - log_total)

# %% a2-q1 right: a scipy-like way through the transpose
def softmax(z):
    t = np.moveaxis(z, -1, 0)
    e = np.exp(t - t.max(axis=0))
    return np.moveaxis(e / e.sum(axis=0), 0, -1)

# %% a2-q2 wrong: the mean
def forward(params, x, y, h0):
    h = [h0]
    for t in range(len(x)):
        h.append(np.tanh(params["W_xh"][x[t]] + h[t] @ params["W_hh"] + params["b_h"]))
    h = np.array(h)
    p = softmax(h[1:] @ params["W_hy"] + params["b_y"])
    return -np.mean(np.log(p[range(len(y)), y])), h, p

# %% a2-q2 wrong: the state that came in is missing
def forward(params, x, y, h0):
    h, states = h0, []
    for t in range(len(x)):
        h = np.tanh(params["W_xh"][x[t]] + h @ params["W_hh"] + params["b_h"])
        states.append(h)
    h = np.array(states)
    p = softmax(h @ params["W_hy"] + params["b_y"])
    return -np.sum(np.log(p[range(len(y)), y])), h, p

# %% a2-q2 wrong: each step begins afresh
def forward(params, x, y, h0):
    h = np.array([h0] + [np.tanh(params["W_xh"][s] + h0 @ params["W_hh"] + params["b_h"]) for s in x])
    p = softmax(h[1:] @ params["W_hy"] + params["b_y"])
    return -np.sum(np.log(p[range(len(y)), y])), h, p

# %% a2-q2 wrong: bits
def forward(params, x, y, h0):
    h = [h0]
    for t in range(len(x)):
        h.append(np.tanh(params["W_xh"][x[t]] + h[t] @ params["W_hh"] + params["b_h"]))
    h = np.array(h)
    p = softmax(h[1:] @ params["W_hy"] + params["b_y"])
    return -np.sum(np.log2(p[range(len(y)), y])), h, p

# %% a2-q2 wrong: it scores what was read
def forward(params, x, y, h0):
    h = [h0]
    for t in range(len(x)):
        h.append(np.tanh(params["W_xh"][x[t]] + h[t] @ params["W_hh"] + params["b_h"]))
    h = np.array(h)
    p = softmax(h[1:] @ params["W_hy"] + params["b_y"])
    return -np.sum(np.log(p[range(len(x)), x])), h, p

# %% a2-q2 wrong: probabilities of the state before
def forward(params, x, y, h0):
    h = [h0]
    for t in range(len(x)):
        h.append(np.tanh(params["W_xh"][x[t]] + h[t] @ params["W_hh"] + params["b_h"]))
    h = np.array(h)
    p = softmax(h[:-1] @ params["W_hy"] + params["b_y"])
    return -np.sum(np.log(p[range(len(y)), y])), h, p

# %% a2-q2 right: arrays filled
def forward(params, x, y, h0):
    T, H = len(x), len(h0)
    h = np.empty((T + 1, H))
    h[0] = h0
    loss, p = 0.0, []
    for t in range(T):
        h[t + 1] = np.tanh(params["W_xh"][x[t], :] + np.dot(h[t], params["W_hh"]) + params["b_h"])
        p.append(softmax(np.dot(h[t + 1], params["W_hy"]) + params["b_y"]))
        loss -= np.log(p[-1][y[t]])
    return loss, h, np.stack(p)

# %% a2-q3 wrong: the truth is not subtracted
def backward(params, x, y, h, p):
    g = {k: np.zeros_like(v) for k, v in params.items()}
    later = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        dz = p[t]
        da = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dz + params["W_hh"] @ later)
        g["W_hy"] += np.outer(h[t + 1], dz); g["b_y"] += dz
        g["W_hh"] += np.outer(h[t], da); g["W_xh"][x[t]] += da; g["b_h"] += da
        later = da
    return g

# %% a2-q3 wrong: the state above beside W_hh
def backward(params, x, y, h, p):
    g = {k: np.zeros_like(v) for k, v in params.items()}
    dzs = p - np.eye(p.shape[1])[y]
    later = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        dz = dzs[t]
        da = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dz + params["W_hh"] @ later)
        g["W_hy"] += np.outer(h[t + 1], dz); g["b_y"] += dz
        g["W_hh"] += np.outer(h[t + 1], da); g["W_xh"][x[t]] += da; g["b_h"] += da
        later = da
    return g

# %% a2-q3 wrong: nothing comes from later
def backward(params, x, y, h, p):
    g = {k: np.zeros_like(v) for k, v in params.items()}
    dzs = p - np.eye(p.shape[1])[y]
    for t in range(len(x)):
        da = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dzs[t])
        g["W_hy"] += np.outer(h[t + 1], dzs[t]); g["b_y"] += dzs[t]
        g["W_hh"] += np.outer(h[t], da); g["W_xh"][x[t]] += da; g["b_h"] += da
    return g

# %% a2-q3 wrong: from the first step to the last
def backward(params, x, y, h, p):
    g = {k: np.zeros_like(v) for k, v in params.items()}
    dzs = p - np.eye(p.shape[1])[y]
    later = np.zeros(h.shape[1])
    for t in range(len(x)):
        da = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dzs[t] + params["W_hh"] @ later)
        g["W_hy"] += np.outer(h[t + 1], dzs[t]); g["b_y"] += dzs[t]
        g["W_hh"] += np.outer(h[t], da); g["W_xh"][x[t]] += da; g["b_h"] += da
        later = da
    return g

# %% a2-q3 wrong: no slope of tanh
def backward(params, x, y, h, p):
    g = {k: np.zeros_like(v) for k, v in params.items()}
    dzs = p - np.eye(p.shape[1])[y]
    later = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        da = params["W_hy"] @ dzs[t] + params["W_hh"] @ later
        g["W_hy"] += np.outer(h[t + 1], dzs[t]); g["b_y"] += dzs[t]
        g["W_hh"] += np.outer(h[t], da); g["W_xh"][x[t]] += da; g["b_h"] += da
        later = da
    return g

# %% a2-q3 wrong: a symbol read twice counts once
def backward(params, x, y, h, p):
    g = {k: np.zeros_like(v) for k, v in params.items()}
    dz = p - np.eye(p.shape[1])[y]
    da = np.zeros_like(h)
    for t in reversed(range(len(x))):
        later = da[t + 2] if t + 2 < len(da) else 0 * da[0]
        da[t + 1] = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dz[t] + params["W_hh"] @ later)
    g["W_hy"], g["b_y"] = h[1:].T @ dz, dz.sum(0)
    g["W_hh"], g["b_h"] = h[:-1].T @ da[1:], da.sum(0)
    g["W_xh"][x] += da[1:]
    return g

# %% a2-q3 wrong: averaged over the steps
def backward(params, x, y, h, p):
    g = {k: np.zeros_like(v) for k, v in params.items()}
    dzs = (p - np.eye(p.shape[1])[y]) / len(x)
    later = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        da = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dzs[t] + params["W_hh"] @ later)
        g["W_hy"] += np.outer(h[t + 1], dzs[t]); g["b_y"] += dzs[t]
        g["W_hh"] += np.outer(h[t], da); g["W_xh"][x[t]] += da; g["b_h"] += da
        later = da
    return g

# %% a2-q3 right: matrices
def backward(params, x, y, h, p):
    dz = p - np.eye(p.shape[1])[y]
    da = np.zeros((len(x) + 1, h.shape[1]))
    for t in reversed(range(len(x))):
        da[t] = (1 - h[t + 1] ** 2) * (dz[t] @ params["W_hy"].T + da[t + 1] @ params["W_hh"].T)
    da = da[:-1]
    W_xh = np.zeros_like(params["W_xh"])
    np.add.at(W_xh, x, da)
    return {"W_xh": W_xh, "W_hh": h[:-1].T @ da, "b_h": da.sum(0), "W_hy": h[1:].T @ dz, "b_y": dz.sum(0)}

# %% a2-q4 wrong: one side
def numeric_gradient(loss, theta, s=1e-5):
    slopes, base = np.zeros_like(theta), loss()
    for i in np.ndindex(*theta.shape):
        old = theta[i]
        theta[i] = old + s
        slopes[i] = (loss() - base) / s
        theta[i] = old
    return slopes

# %% a2-q4 wrong: added and taken away
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros_like(theta)
    for i in np.ndindex(*theta.shape):
        theta[i] += s
        up = loss()
        theta[i] -= 2 * s
        down = loss()
        theta[i] += s
        slopes[i] = (up - down) / (2 * s)
    return slopes

# %% a2-q4 wrong: divided by s
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros_like(theta)
    for i in np.ndindex(*theta.shape):
        old = theta[i]
        theta[i] = old + s
        up = loss()
        theta[i] = old - s
        slopes[i] = (up - loss()) / s
        theta[i] = old
    return slopes

# %% a2-q4 wrong: a copy is moved
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros_like(theta)
    for i in np.ndindex(*theta.shape):
        moved = theta.copy()
        moved[i] += s
        up = loss()
        moved[i] -= 2 * s
        slopes[i] = (up - loss()) / (2 * s)
    return slopes

# %% a2-q4 wrong: whole rows
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros_like(theta)
    for i in range(len(theta)):
        old = np.copy(theta[i])
        theta[i] = old + s
        up = loss()
        theta[i] = old - s
        slopes[i] = (up - loss()) / (2 * s)
        theta[i] = old
    return slopes

# %% a2-q4 wrong: not put back
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros_like(theta)
    for i in np.ndindex(*theta.shape):
        theta[i] += s
        up = loss()
        theta[i] -= 2 * s
        slopes[i] = (up - loss()) / (2 * s)
    return slopes

# %% a2-q4 right: flat views
def numeric_gradient(loss, theta, s=1e-5):
    slopes, numbers = np.empty(theta.shape), theta.reshape(-1)
    for i in range(theta.size):
        kept = float(numbers[i])
        values = []
        for sign in (+1, -1):
            numbers[i] = kept + sign * s
            values.append(loss())
        numbers[i] = kept
        slopes.flat[i] = (values[0] - values[1]) / (2 * s)
    return slopes

# %% a2-q5 wrong: each array alone
def clip_by_norm(grads, limit):
    out = {}
    for k, g in grads.items():
        n = np.linalg.norm(g)
        out[k] = g * limit / n if n > limit else g
    return out

# %% a2-q5 wrong: each number alone
def clip_by_norm(grads, limit):
    return {k: np.clip(g, -limit, limit) for k, g in grads.items()}

# %% a2-q5 wrong: always to the limit
def clip_by_norm(grads, limit):
    n = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    return {k: g * limit / max(n, 1e-12) for k, g in grads.items()}

# %% a2-q5 wrong: in place
def clip_by_norm(grads, limit):
    n = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    if n > limit:
        for g in grads.values():
            g *= limit / n
    return grads

# %% a2-q5 wrong: the square of the norm
def clip_by_norm(grads, limit):
    n = sum(np.sum(g**2) for g in grads.values())
    return {k: g * limit / n if n > limit else g for k, g in grads.items()}

# %% a2-q5 wrong: a sum of norms
def clip_by_norm(grads, limit):
    n = sum(np.linalg.norm(g) for g in grads.values())
    return {k: g * limit / n if n > limit else g for k, g in grads.items()}

# %% a2-q5 right: concatenated
def clip_by_norm(grads, limit):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in grads.values()]))
    if norm <= limit:
        return {name: g.copy() for name, g in grads.items()}
    return {name: g / norm * limit for name, g in grads.items()}

# %% a2-q1 wrong: the mean is subtracted
def softmax(z):
    e = np.exp(z - z.mean(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

# %% a2-q1 wrong: the smallest is subtracted
def softmax(z):
    e = np.exp(z - z.min(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

# %% a2-q1 wrong: the largest size is subtracted
def softmax(z):
    e = np.exp(z - np.abs(z).max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

# %% a2-q1 wrong: one row or a table, nothing higher
def softmax(z):
    rows = np.atleast_2d(z)
    e = np.exp(rows - rows.max(axis=1)[:, None])
    return (e / e.sum(axis=1)[:, None]).reshape(z.shape)

# %% a2-q2 wrong: the output has no bias
def forward(params, x, y, h0):
    h, p = [h0], []
    for t in range(len(x)):
        h.append(np.tanh(params["W_xh"][x[t]] + h[-1] @ params["W_hh"] + params["b_h"]))
        p.append(softmax(h[-1] @ params["W_hy"]))
    p = np.array(p)
    return -np.log(p[np.arange(len(y)), y]).sum(), np.array(h), p

# %% a2-q2 wrong: a sigmoid
def forward(params, x, y, h0):
    h, p = [h0], []
    for t in range(len(x)):
        h.append(1 / (1 + np.exp(-(params["W_xh"][x[t]] + h[-1] @ params["W_hh"] + params["b_h"]))))
        p.append(softmax(h[-1] @ params["W_hy"] + params["b_y"]))
    p = np.array(p)
    return -np.log(p[np.arange(len(y)), y]).sum(), np.array(h), p

# %% a2-q2 wrong: all words at once, one state for all
def forward(params, x, y, h0):
    h = np.tanh(params["W_xh"][x] + h0 @ params["W_hh"] + params["b_h"])
    p = softmax(h @ params["W_hy"] + params["b_y"])
    return -np.log(p[np.arange(len(y)), y]).sum(), np.vstack([h0, h]), p

# %% a2-q2 wrong: the likeliest word is scored
def forward(params, x, y, h0):
    h, p = [h0], []
    for t in range(len(x)):
        h.append(np.tanh(params["W_xh"][x[t]] + h[-1] @ params["W_hh"] + params["b_h"]))
        p.append(softmax(h[-1] @ params["W_hy"] + params["b_y"]))
    p = np.array(p)
    return -np.log(p.max(axis=1)).sum(), np.array(h), p

# %% a2-q3 wrong: W_hh is not transposed
def backward(params, x, y, h, p):
    g = {name: np.zeros_like(v) for name, v in params.items()}
    da = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        dz = p[t].copy()
        dz[y[t]] -= 1
        da = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dz + params["W_hh"].T @ da)
        g["W_hy"] += np.outer(h[t + 1], dz)
        g["b_y"] += dz
        g["W_hh"] += np.outer(h[t], da)
        g["b_h"] += da
        g["W_xh"][x[t]] += da
    return g

# %% a2-q3 wrong: the slope of tanh twice
def backward(params, x, y, h, p):
    g = {name: np.zeros_like(v) for name, v in params.items()}
    da = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        dz = p[t].copy()
        dz[y[t]] -= 1
        da = (1 - np.tanh(h[t + 1]) ** 2) * (params["W_hy"] @ dz + params["W_hh"] @ da)
        g["W_hy"] += np.outer(h[t + 1], dz)
        g["b_y"] += dz
        g["W_hh"] += np.outer(h[t], da)
        g["b_h"] += da
        g["W_xh"][x[t]] += da
    return g

# %% a2-q3 wrong: dh goes back, not da
def backward(params, x, y, h, p):
    g = {name: np.zeros_like(v) for name, v in params.items()}
    back = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        dz = p[t].copy()
        dz[y[t]] -= 1
        dh = params["W_hy"] @ dz + back
        da = (1 - h[t + 1] ** 2) * dh
        back = params["W_hh"] @ dh
        g["W_hy"] += np.outer(h[t + 1], dz)
        g["b_y"] += dz
        g["W_hh"] += np.outer(h[t], da)
        g["b_h"] += da
        g["W_xh"][x[t]] += da
    return g

# %% a2-q3 wrong: clipped at the end
def backward(params, x, y, h, p):
    g = {name: np.zeros_like(v) for name, v in params.items()}
    da = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        dz = p[t].copy()
        dz[y[t]] -= 1
        da = (1 - h[t + 1] ** 2) * (params["W_hy"] @ dz + params["W_hh"] @ da)
        g["W_hy"] += np.outer(h[t + 1], dz)
        g["b_y"] += dz
        g["W_hh"] += np.outer(h[t], da)
        g["b_h"] += da
        g["W_xh"][x[t]] += da
    return {name: np.clip(v, -5, 5) for name, v in g.items()}

# %% a2-q3 wrong: the slope of the state before
def backward(params, x, y, h, p):
    g = {name: np.zeros_like(v) for name, v in params.items()}
    da = np.zeros(h.shape[1])
    for t in reversed(range(len(x))):
        dz = p[t].copy()
        dz[y[t]] -= 1
        da = (1 - h[t] ** 2) * (params["W_hy"] @ dz + params["W_hh"] @ da)
        g["W_hy"] += np.outer(h[t + 1], dz)
        g["b_y"] += dz
        g["W_hh"] += np.outer(h[t], da)
        g["b_h"] += da
        g["W_xh"][x[t]] += da
    return g

# %% a2-q4 wrong: always the same step
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros_like(theta)
    for place in np.ndindex(theta.shape):
        kept = theta[place]
        theta[place] = kept + 1e-5
        up = loss()
        theta[place] = kept - 1e-5
        slopes[place] = (up - loss()) / (2 * s)
        theta[place] = kept
    return slopes

# %% a2-q4 wrong: rounded
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros(theta.shape)
    for place in np.ndindex(theta.shape):
        kept = theta[place]
        theta[place] = kept + s
        up = loss()
        theta[place] = kept - s
        slopes[place] = round((up - loss()) / (2 * s), 3)
        theta[place] = kept
    return slopes

# %% a2-q4 wrong: the size of the slope
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.zeros(theta.shape)
    for place in np.ndindex(theta.shape):
        kept = theta[place]
        theta[place] = kept + s
        up = loss()
        theta[place] = kept - s
        slopes[place] = abs(up - loss()) / (2 * s)
        theta[place] = kept
    return slopes

# %% a2-q5 wrong: the largest number
def clip_by_norm(grads, limit):
    norm = max(np.abs(g).max() for g in grads.values())
    factor = min(1.0, limit / norm) if norm else 1.0
    return {name: g * factor for name, g in grads.items()}

# %% a2-q5 wrong: the root of the mean square
def clip_by_norm(grads, limit):
    flat = np.concatenate([g.ravel() for g in grads.values()])
    norm = np.sqrt((flat**2).mean())
    factor = min(1.0, limit / norm) if norm else 1.0
    return {name: g * factor for name, g in grads.items()}

# %% a2-q5 wrong: the largest of the norms
def clip_by_norm(grads, limit):
    norm = max(np.linalg.norm(g) for g in grads.values())
    factor = min(1.0, limit / norm) if norm else 1.0
    return {name: g * factor for name, g in grads.items()}

# %% a2-q5 wrong: nothing of a zero gradient
def clip_by_norm(grads, limit):
    norm = math.sqrt(sum(float((g**2).sum()) for g in grads.values()))
    return {name: g * min(1.0, limit / norm) for name, g in grads.items()}

# %% a2-q3 right: all steps of dz first
def backward(params, x, y, h, p):
    dz = p - np.eye(p.shape[1])[y]
    above, da = dz @ params["W_hy"].T, np.zeros_like(h[1:])
    for t in range(len(x) - 1, -1, -1):
        later = params["W_hh"] @ da[t + 1] if t + 1 < len(x) else 0
        da[t] = (1 - np.square(h[t + 1])) * (above[t] + later)
    read = np.zeros_like(params["W_xh"])
    np.add.at(read, x, da)
    return {"W_xh": read, "W_hh": h[:-1].T @ da, "b_h": da.sum(0), "W_hy": h[1:].T @ dz, "b_y": dz.sum(0)}

# %% a2-q4 right: nditer
def numeric_gradient(loss, theta, s=1e-5):
    slopes = np.full(theta.shape, np.nan)
    it = np.nditer(theta, flags=["multi_index"])
    for _ in it:
        i, old = it.multi_index, theta[it.multi_index].copy()
        values = []
        for sign in (1, -1):
            theta[i] = old + sign * s
            values.append(loss())
        theta[i] = old
        slopes[i] = np.subtract(*values) / (2 * s)
    return slopes

# %% a2-q1 right: through differences of all pairs
def softmax(z):
    return 1.0 / np.exp(np.minimum(z[..., None, :] - z[..., :, None], 700)).sum(axis=-1)

# %% a2-q2 right: log-softmax
def forward(params, x, y, h0):
    states = np.zeros((len(x) + 1, len(h0)))
    states[0] = h0
    for t, s in enumerate(x):
        states[t + 1] = np.tanh(params["W_xh"][s] + states[t] @ params["W_hh"] + params["b_h"])
    z = states[1:] @ params["W_hy"] + params["b_y"]
    logp = z - z.max(1, keepdims=True)
    logp = logp - np.log(np.exp(logp).sum(1, keepdims=True))
    return -sum(logp[t, y[t]] for t in range(len(y))), states, np.exp(logp)

# %% a2-q5 right: as torch does
def clip_by_norm(grads, limit):
    total = np.sqrt(sum(np.linalg.norm(g) ** 2 for g in grads.values()))
    coef = np.clip(limit / (total + 1e-6), None, 1.0)
    return {k: coef * v for k, v in grads.items()}
