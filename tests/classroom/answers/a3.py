# %% a3-q1 wrong: an absolute tolerance
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            down = loss()
            theta[i] = old
            if abs((up - down) / (2 * s) - grads[name][i]) > tolerance:
                wrong.add(name)
    return wrong

# %% a3-q1 wrong: relative to each number
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slope = (up - loss()) / (2 * s)
            theta[i] = old
            if abs(slope - grads[name][i]) > tolerance * abs(slope):
                wrong.add(name)
    return wrong

# %% a3-q1 wrong: relative to the largest slope of all
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, slopes = 1e-5, {k: np.zeros_like(v) for k, v in params.items()}
    for name, theta in params.items():
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slopes[name][i] = (up - loss()) / (2 * s)
            theta[i] = old
    top = max(np.abs(v).max() for v in slopes.values())
    return {k for k in params if np.abs(slopes[k] - grads[k]).max() > tolerance * top}

# %% a3-q1 wrong: the mean
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = old
        if np.abs(slopes - grads[name]).mean() / np.abs(slopes).max() > tolerance:
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: norms are compared
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = old
        if abs(np.linalg.norm(slopes) - np.linalg.norm(grads[name])) > tolerance * np.abs(slopes).max():
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: too large only
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = old
        if (grads[name] - slopes).max() > tolerance * np.abs(slopes).max():
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: a list
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, []
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = old
        if np.abs(slopes - grads[name]).max() > tolerance * np.abs(slopes).max():
            wrong.append(name)
    return wrong

# %% a3-q1 wrong: one side
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong, base = 1e-5, set(), loss()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            slopes[i] = (loss() - base) / s
            theta[i] = old
        if np.abs(slopes - grads[name]).max() > tolerance * np.abs(slopes).max():
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: added and taken away
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            theta[i] += s
            up = loss()
            theta[i] -= 2 * s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] += s
        if np.abs(slopes - grads[name]).max() > tolerance * np.abs(slopes).max():
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: the tolerance is a constant
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = old
        if not np.allclose(slopes, grads[name], rtol=1e-4):
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: only the first row
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        for i in range(len(theta)):
            old = theta[i].copy()
            theta[i] = old + s
            up = loss()
            theta[i] = old - s
            slope = (up - loss()) / (2 * s)
            theta[i] = old
            if np.abs(slope - grads[name][i]).max() > tolerance * max(abs(slope), 1e-12):
                wrong.add(name)
    return wrong

# %% a3-q1 right: the package's checker in other words
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    def slope(theta, i, s=1e-5):
        kept, sides = theta[i], []
        for moved in (kept + s, kept - s):
            theta[i] = moved
            sides.append(loss())
        theta[i] = kept
        return (sides[0] - sides[1]) / (2 * s)

    bad = set()
    for name in params:
        slopes = np.array([slope(params[name], i) for i in np.ndindex(params[name].shape)])
        off = np.abs(slopes - np.ravel(grads[name]))
        if (off > tolerance * np.abs(slopes).max()).any():
            bad |= {name}
    return bad

# %% a3-q1 right: a ratio
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    wrong = set()
    for name, theta in params.items():
        numeric = np.zeros(theta.shape)
        flat, out = theta.ravel(), numeric.ravel()
        for k in range(theta.size):
            old = flat[k].copy()
            flat[k] = old + 1e-5
            plus = loss()
            flat[k] = old - 1e-5
            minus = loss()
            flat[k] = old
            out[k] = (plus - minus) / 2e-5
        if np.max(np.abs(numeric - grads[name])) / (np.max(np.abs(numeric)) + 1e-15) > tolerance:
            wrong.add(name)
    return wrong

# %% a3-q2 wrong: as it was handed out
backward = broken_backward

# %% a3-q2 wrong: the slope of tanh is missing
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        d_o = dh * tanh_c * o[t] * (1 - o[t])
        dc = dh * o[t] + dc_next
        d_i = dc * g[t] * i[t] * (1 - i[t])
        d_f = dc * c[t] * f[t] * (1 - f[t])
        d_g = dc * i[t] * (1 - g[t] ** 2)
        da = np.concatenate([d_i, d_f, d_g, d_o])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next = da @ params["W_h"].T
        dc_next = dc * f[t]
    return grads

# %% a3-q2 wrong: the slope of tanh on the whole
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        d_o = dh * tanh_c * o[t] * (1 - o[t])
        dc = (dh * o[t] + dc_next) * (1 - tanh_c**2)
        d_i = dc * g[t] * i[t] * (1 - i[t])
        d_f = dc * c[t] * f[t] * (1 - f[t])
        d_g = dc * i[t] * (1 - g[t] ** 2)
        da = np.concatenate([d_i, d_f, d_g, d_o])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next = da @ params["W_h"].T
        dc_next = dc * f[t]
    return grads

# %% a3-q2 wrong: the candidate as a sigmoid
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        d_o = dh * tanh_c * o[t] * (1 - o[t])
        dc = dh * o[t] * (1 - tanh_c**2) + dc_next
        d_i = dc * g[t] * i[t] * (1 - i[t])
        d_f = dc * c[t] * f[t] * (1 - f[t])
        d_g = dc * i[t] * g[t] * (1 - g[t])
        da = np.concatenate([d_i, d_f, d_g, d_o])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next = da @ params["W_h"].T
        dc_next = dc * f[t]
    return grads

# %% a3-q2 wrong: the new cell at the forget gate
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        d_o = dh * tanh_c * o[t] * (1 - o[t])
        dc = dh * o[t] * (1 - tanh_c**2) + dc_next
        d_i = dc * g[t] * i[t] * (1 - i[t])
        d_f = dc * c[t + 1] * f[t] * (1 - f[t])
        d_g = dc * i[t] * (1 - g[t] ** 2)
        da = np.concatenate([d_i, d_f, d_g, d_o])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next = da @ params["W_h"].T
        dc_next = dc * f[t]
    return grads

# %% a3-q2 wrong: the new state beside the recurrent weights
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        d_o = dh * tanh_c * o[t] * (1 - o[t])
        dc = dh * o[t] * (1 - tanh_c**2) + dc_next
        d_i = dc * g[t] * i[t] * (1 - i[t])
        d_f = dc * c[t] * f[t] * (1 - f[t])
        d_g = dc * i[t] * (1 - g[t] ** 2)
        da = np.concatenate([d_i, d_f, d_g, d_o])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t + 1], da)
        grads["b"] += da
        dh_next = da @ params["W_h"].T
        dc_next = dc * f[t]
    return grads

# %% a3-q2 wrong: the cell's error goes back whole
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        d_o = dh * tanh_c * o[t] * (1 - o[t])
        dc = dh * o[t] * (1 - tanh_c**2) + dc_next
        d_i = dc * g[t] * i[t] * (1 - i[t])
        d_f = dc * c[t] * f[t] * (1 - f[t])
        d_g = dc * i[t] * (1 - g[t] ** 2)
        da = np.concatenate([d_i, d_f, d_g, d_o])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next = da @ params["W_h"].T
        dc_next = dc
    return grads

# %% a3-q2 wrong: the cell's error goes back through the output gate
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        d_o = dh * tanh_c * o[t] * (1 - o[t])
        dc = dh * o[t] * (1 - tanh_c**2) + dc_next
        d_i = dc * g[t] * i[t] * (1 - i[t])
        d_f = dc * c[t] * f[t] * (1 - f[t])
        d_g = dc * i[t] * (1 - g[t] ** 2)
        da = np.concatenate([d_i, d_f, d_g, d_o])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next = da @ params["W_h"].T
        dc_next = dc * o[t]
    return grads

# %% a3-q2 right: with other names, and einsum
def backward(params, cache):
    x, y, h, c = (cache[k] for k in ("x", "y", "h", "c"))
    T, H = y.shape
    da = np.zeros((T, 4 * H))
    back_h, back_c = np.zeros(H), np.zeros(H)
    for t in reversed(range(T)):
        i, f, g, o = (cache[k][t] for k in "ifgo")
        squashed = np.tanh(c[t + 1])
        error_h = h[t + 1] - y[t] + back_h
        error_c = back_c + error_h * o * (1 - squashed * squashed)
        da[t, :H] = error_c * g * i * (1 - i)
        da[t, H : 2 * H] = error_c * c[t] * f * (1 - f)
        da[t, 2 * H : 3 * H] = error_c * i * (1 - g * g)
        da[t, 3 * H :] = error_h * squashed * o * (1 - o)
        back_h, back_c = params["W_h"] @ da[t], error_c * f
    return {"W_x": np.einsum("te,tg->eg", x, da), "W_h": np.einsum("th,tg->hg", h[:-1], da), "b": da.sum(axis=0)}

# %% a3-q3 wrong: a step's own gate
def kept(f):
    shares = np.ones_like(f)
    for t in range(len(f) - 2, -1, -1):
        shares[t] = shares[t + 1] * f[t]
    return shares

# %% a3-q3 wrong: from the front
def kept(f):
    return np.cumprod(f, axis=0)

# %% a3-q3 wrong: the last row too
def kept(f):
    return np.cumprod(f[::-1], axis=0)[::-1]

# %% a3-q3 wrong: a sum
def kept(f):
    shares = np.ones_like(f)
    for t in range(len(f) - 2, -1, -1):
        shares[t] = f[t + 1 :].mean(axis=0)
    return shares

# %% a3-q3 wrong: in place
def kept(f):
    shares = f
    for t in range(len(f) - 2, -1, -1):
        shares[t] = shares[t + 1] * f[t + 1]
    shares[-1] = 1
    return shares

# %% a3-q3 wrong: a quotient
def kept(f):
    return np.prod(f, axis=0) / np.cumprod(f, axis=0)

# %% a3-q3 right: products of slices
def kept(f):
    return np.stack([np.prod(f[t + 1 :], axis=0) for t in range(f.shape[0])])

# %% a3-q3 right: reversed and rolled
def kept(f):
    back = np.cumprod(f[::-1], axis=0)
    return np.concatenate([np.ones((1, f.shape[1])), back[:-1]])[::-1]

# %% a3-q1 wrong: the first row only
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        row, given = (theta[0], grads[name][0]) if theta.ndim > 1 else (theta, grads[name])
        slopes = np.zeros_like(row)
        for j in range(len(row)):
            kept = row[j]
            row[j] = kept + s
            up = loss()
            row[j] = kept - s
            slopes[j] = (up - loss()) / (2 * s)
            row[j] = kept
        if np.abs(slopes - given).max() > tolerance * np.abs(slopes).max():
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: relative to the gradient that was given
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            kept = theta[i]
            theta[i] = kept + s
            up = loss()
            theta[i] = kept - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = kept
        if np.abs(slopes - grads[name]).max() > tolerance * np.abs(grads[name]).max():
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: relative to the largest slope with its sign
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            kept = theta[i]
            theta[i] = kept + s
            up = loss()
            theta[i] = kept - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = kept
        if np.abs(slopes - grads[name]).max() > tolerance * slopes.max():
            wrong.add(name)
    return wrong

# %% a3-q1 wrong: the gradients are written over
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, wrong = 1e-5, set()
    for name, theta in params.items():
        slopes = np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            kept = theta[i]
            theta[i] = kept + s
            up = loss()
            theta[i] = kept - s
            slopes[i] = (up - loss()) / (2 * s)
            theta[i] = kept
        difference = grads[name]
        difference -= slopes
        if np.abs(difference).max() > tolerance * np.abs(slopes).max():
            wrong.add(name)
    return wrong

# %% a3-q1 right: whole arrays, put back whole
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    def slope(theta, where, s=1e-5):
        kept, losses = theta.copy(), []
        for sign in (1, -1):
            theta[where] = kept[where] + sign * s
            losses.append(loss())
            np.copyto(theta, kept)
        return (losses[0] - losses[1]) / (2 * s)

    off = lambda a, b: np.max(np.abs(a - b)) > tolerance * np.max(np.abs(a))
    found = {n: np.array([slope(t, w) for w in np.ndindex(*t.shape)]).reshape(t.shape) for n, t in params.items()}
    return {name for name in params if off(found[name], np.asarray(grads[name]))}

# %% a3-q2 wrong: clipped
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = (h[t + 1] - y[t]) + dh_next
        tanh_c = np.tanh(c[t + 1])
        dc = dh * o[t] * (1 - tanh_c**2) + dc_next
        da = np.concatenate([dc * g[t] * i[t] * (1 - i[t]), dc * c[t] * f[t] * (1 - f[t]),
                             dc * i[t] * (1 - g[t] ** 2), dh * tanh_c * o[t] * (1 - o[t])])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next, dc_next = da @ params["W_h"].T, dc * f[t]
    return {name: np.clip(grad, -5, 5) for name, grad in grads.items()}

# %% a3-q2 wrong: the states in the cache are changed
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    grads = {name: np.zeros_like(theta) for name, theta in params.items()}
    dh_next, dc_next = np.zeros(H), np.zeros(H)
    for t in range(T - 1, -1, -1):
        dh = h[t + 1]
        dh -= y[t]
        dh += dh_next
        tanh_c = np.tanh(c[t + 1])
        dc = dh * o[t] * (1 - tanh_c**2) + dc_next
        da = np.concatenate([dc * g[t] * i[t] * (1 - i[t]), dc * c[t] * f[t] * (1 - f[t]),
                             dc * i[t] * (1 - g[t] ** 2), dh * tanh_c * o[t] * (1 - o[t])])
        grads["W_x"] += np.outer(x[t], da)
        grads["W_h"] += np.outer(h[t], da)
        grads["b"] += da
        dh_next, dc_next = da @ params["W_h"].T, dc * f[t]
    return grads

# %% a3-q2 wrong: finite differences of the forward pass
def backward(params, cache):
    grads = {}
    for name, theta in params.items():
        grads[name] = np.zeros_like(theta)
        for k in np.ndindex(theta.shape):
            kept = theta[k]
            theta[k] = kept + 1e-5
            up = forward(params, cache["x"], cache["y"])[0]
            theta[k] = kept - 1e-5
            grads[name][k] = (up - forward(params, cache["x"], cache["y"])[0]) / 2e-5
            theta[k] = kept
    return grads

# %% a3-q2 right: the sums at the end, as matrix products
def backward(params, cache):
    x, y, h, c, i, f, g, o = (cache[name] for name in "x y h c i f g o".split())
    T, H = y.shape
    da, dh, dc = np.empty((T, 4, H)), np.zeros(H), np.zeros(H)
    for t in reversed(range(T)):
        dh = dh + h[t + 1] - y[t]
        dc = dc + dh * o[t] / np.cosh(c[t + 1]) ** 2
        da[t] = (dc * g[t] * i[t] * (1 - i[t]), dc * c[t] * f[t] * (1 - f[t]), dc * i[t] * (1 - g[t] * g[t]),
                 dh * np.tanh(c[t + 1]) * o[t] * (1 - o[t]))
        dh, dc = params["W_h"] @ da[t].ravel(), dc * f[t]
    da = da.reshape(T, -1)
    return {"W_x": x.T @ da, "W_h": h[:-1].T @ da, "b": da.sum(0)}

# %% a3-q3 right: each row a product
def kept(f):
    return np.array([np.prod(f[t + 1 :], axis=0) for t in range(len(f))])

# %% a3-q3 right: from the end, recursively
def kept(f):
    if len(f) == 1:
        return np.ones(f.shape)
    below = kept(f[1:])
    return np.vstack([below[:1] * f[1:2], below])

# %% a3-q1 wrong: relative to the mean slope
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    wrong = set()
    for name, theta in params.items():
        s, num = 1e-5, np.zeros_like(theta)
        for i in np.ndindex(theta.shape):
            old = theta[i]
            theta[i] = old + s; up = loss()
            theta[i] = old - s; down = loss()
            theta[i] = old
            num[i] = (up - down) / (2 * s)
        if np.abs(num - grads[name]).max() > tolerance * np.abs(num).mean():
            wrong.add(name)
    return wrong

# %% a3-q3 wrong: nothing is below one in a hundred million
def kept(f):
    s = np.ones_like(f)
    for t in range(len(f) - 2, -1, -1):
        s[t] = np.maximum(s[t + 1] * f[t + 1], 1e-8)
    return s

# %% a3-q3 right: a product of each tail
def kept(f):
    s = np.ones(f.shape)
    for t in range(len(f) - 1):
        s[t] = np.prod(f[t + 1:], axis=0)
    return s

# %% a3-q1 right: norms of maxima by ravel
def wrong_gradients(loss, params, grads, tolerance=1e-4):
    s, names = 1e-5, []
    for name in params:
        flat = params[name].reshape(-1)
        slopes = []
        for k in range(flat.size):
            old = flat[k].item()
            flat[k] = old + s
            plus = loss()
            flat[k] = old - s
            minus = loss()
            flat[k] = old
            slopes.append((plus - minus) / (2 * s))
        slopes = np.array(slopes)
        worst = np.max(np.abs(slopes - np.ravel(grads[name])))
        if worst > tolerance * np.max(np.abs(slopes)):
            names.append(name)
    return set(names)
