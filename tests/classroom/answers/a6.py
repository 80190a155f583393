# %% a6-q1 wrong: another mask at each step
def locked_dropout(x, p, training):
    return nn.functional.dropout(x, p, training)

# %% a6-q1 wrong: one mask for all columns
def locked_dropout(x, p, training):
    if not training:
        return x
    mask = (torch.rand(1, 1, x.shape[2]) > p).to(x.dtype) / (1 - p)
    return x * mask

# %% a6-q1 wrong: nothing is scaled
def locked_dropout(x, p, training):
    if not training:
        return x
    return x * (torch.rand(x.shape[1:]) > p).to(x.dtype)

# %% a6-q1 wrong: p is kept
def locked_dropout(x, p, training):
    if not training or p == 0:
        return x
    return x * (torch.rand(x.shape[1:]) < p).to(x.dtype) / p

# %% a6-q1 wrong: scaled outside training
def locked_dropout(x, p, training):
    if not training:
        return x * (1 - p)
    return x * (torch.rand(x.shape[1:]) > p).to(x.dtype)

# %% a6-q1 wrong: a frozen mask
def locked_dropout(x, p, training):
    if not training:
        return x
    g = torch.Generator().manual_seed(0)
    return x * (torch.rand(x.shape[1:], generator=g) > p).to(x.dtype) / (1 - p)

# %% a6-q1 wrong: whole columns
def locked_dropout(x, p, training):
    if not training:
        return x
    return x * (torch.rand(1, x.shape[1], 1) > p).to(x.dtype) / (1 - p)

# %% a6-q1 wrong: the input is changed
def locked_dropout(x, p, training):
    if training:
        x *= (torch.rand(x.shape[1:]) > p).to(x.dtype) / (1 - p)
    return x

# %% a6-q1 wrong: always
def locked_dropout(x, p, training):
    return x * (torch.rand(x.shape[1:]) > p).to(x.dtype) / (1 - p)

# %% a6-q1 right: torch's dropout on a layer of ones
def locked_dropout(x, p, training):
    return x * nn.functional.dropout(torch.ones_like(x[0]), p, training)

# %% a6-q1 right: a comparison
def locked_dropout(x, p, training):
    if training:
        keep = torch.rand(x.shape[1], x.shape[2]) >= p
        x = torch.where(keep, x / (1 - p), torch.zeros(()))
    return x

# %% a6-q2 wrong: single numbers
def embed(weight, ids, p, training):
    return nn.functional.dropout(weight, p, training)[ids]

# %% a6-q2 wrong: places instead of types
def embed(weight, ids, p, training):
    vectors = weight[ids]
    if not training:
        return vectors
    return vectors * (torch.rand(*ids.shape, 1) > p).to(weight.dtype) / (1 - p)

# %% a6-q2 wrong: the weight is changed
def embed(weight, ids, p, training):
    if training:
        with torch.no_grad():
            weight *= (torch.rand(len(weight), 1) > p).to(weight.dtype) / (1 - p)
    return weight[ids]

# %% a6-q2 wrong: no gradient
def embed(weight, ids, p, training):
    if not training:
        return weight[ids]
    mask = (torch.rand(len(weight), 1) > p).to(weight.dtype) / (1 - p)
    return (weight.detach() * mask)[ids].requires_grad_()

# %% a6-q2 wrong: nothing is scaled
def embed(weight, ids, p, training):
    if not training:
        return weight[ids]
    return (weight * (torch.rand(len(weight), 1) > p).to(weight.dtype))[ids]

# %% a6-q2 wrong: columns of the table
def embed(weight, ids, p, training):
    if not training:
        return weight[ids]
    return (weight * (torch.rand(1, weight.shape[1]) > p).to(weight.dtype) / (1 - p))[ids]

# %% a6-q2 wrong: also outside training
def embed(weight, ids, p, training):
    return (weight * (torch.rand(len(weight), 1) > p).to(weight.dtype) / (1 - p))[ids]

# %% a6-q2 right: torch's embedding of a masked table
def embed(weight, ids, p, training):
    mask = nn.functional.dropout(torch.ones(len(weight), 1), p, training)
    return nn.functional.embedding(ids, weight * mask)

# %% a6-q3 wrong: nothing is dropped
def weight_dropped(lstm, x, state, p):
    weight = nn.functional.dropout(lstm.weight_hh_l0, p, lstm.training)
    return lstm(x, state)

# %% a6-q3 wrong: the parameter is overwritten
def weight_dropped(lstm, x, state, p):
    if lstm.training:
        with torch.no_grad():
            lstm.weight_hh_l0.copy_(nn.functional.dropout(lstm.weight_hh_l0, p))
    return lstm(x, state)

# %% a6-q3 wrong: cut off from the parameter
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    weight = nn.functional.dropout(lstm.weight_hh_l0.data, p)
    return torch.func.functional_call(lstm, {"weight_hh_l0": weight}, (x, state))

# %% a6-q3 wrong: the input weights
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    weight = nn.functional.dropout(lstm.weight_ih_l0, p)
    return torch.func.functional_call(lstm, {"weight_ih_l0": weight}, (x, state))

# %% a6-q3 wrong: in evaluation too
def weight_dropped(lstm, x, state, p):
    weight = nn.functional.dropout(lstm.weight_hh_l0, p, True)
    return torch.func.functional_call(lstm, {"weight_hh_l0": weight}, (x, state))

# %% a6-q3 wrong: another mask at each step
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    outputs = []
    for step in x:
        weight = nn.functional.dropout(lstm.weight_hh_l0, p)
        out, state = torch.func.functional_call(lstm, {"weight_hh_l0": weight}, (step[None], state))
        outputs.append(out)
    return torch.cat(outputs), state

# %% a6-q3 wrong: the output is dropped
def weight_dropped(lstm, x, state, p):
    out, state = lstm(x, state)
    return nn.functional.dropout(out, p, lstm.training), state

# %% a6-q3 wrong: nothing is scaled
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    mask = (torch.rand_like(lstm.weight_hh_l0) > p).float()
    return torch.func.functional_call(lstm, {"weight_hh_l0": lstm.weight_hh_l0 * mask}, (x, state))

# %% a6-q3 wrong: whole units
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    mask = (torch.rand(1, lstm.hidden_size) > p).float() / (1 - p)
    return torch.func.functional_call(lstm, {"weight_hh_l0": lstm.weight_hh_l0 * mask}, (x, state))

# %% a6-q3 wrong: only the output
def weight_dropped(lstm, x, state, p):
    weight = nn.functional.dropout(lstm.weight_hh_l0, p, lstm.training)
    return torch.func.functional_call(lstm, {"weight_hh_l0": weight}, (x, state))[0]

# %% a6-q3 right: one call for both modes
def weight_dropped(lstm, x, state, p):
    weight = nn.functional.dropout(lstm.weight_hh_l0, p=p, training=lstm.training)
    return torch.func.functional_call(lstm, {"weight_hh_l0": weight}, args=(x, state))

# %% a6-q3 right: a mask by hand
def weight_dropped(lstm, x, state, p):
    names = dict(lstm.named_parameters())
    if lstm.training:
        keep = torch.bernoulli(torch.full_like(names["weight_hh_l0"], 1 - p))
        names["weight_hh_l0"] = names["weight_hh_l0"] * keep / (1 - p)
    return torch.func.functional_call(lstm, names, (x, state))

# %% a6-q4 wrong: the best of all
def should_average(earlier, now, n):
    return len(earlier) > n and now > min(earlier)

# %% a6-q4 wrong: the best of the last n
def should_average(earlier, now, n):
    return len(earlier) > n and now > min(earlier[-n:])

# %% a6-q4 wrong: as good is worse
def should_average(earlier, now, n):
    return len(earlier) > n and now >= min(earlier[: len(earlier) - n])

# %% a6-q4 wrong: too early by one
def should_average(earlier, now, n):
    return len(earlier) >= n and now > min(earlier[: max(1, len(earlier) - n)], default=now)

# %% a6-q4 wrong: nothing is left for n = 0
def should_average(earlier, now, n):
    old = earlier[:-n]
    return len(old) > 0 and now > min(old)

# %% a6-q4 wrong: the epoch n ago
def should_average(earlier, now, n):
    return len(earlier) > n and now > earlier[-n - 1]

# %% a6-q4 wrong: better instead of worse
def should_average(earlier, now, n):
    return len(earlier) > n and now < min(earlier[: len(earlier) - n])

# %% a6-q4 right: sorted
def should_average(earlier, now, n):
    old = list(earlier)[: max(0, len(earlier) - n)]
    return bool(old) and now > sorted(old)[0]

# %% a6-q4 right: any
def should_average(earlier, now, n):
    return any(now > loss for k, loss in enumerate(earlier) if k < len(earlier) - n)

# %% a6-q1 wrong: cut off from the graph
def locked_dropout(x, p, training):
    if not training:
        return x
    return x.detach() * torch.bernoulli(torch.full(x.shape[1:], 1 - p)) / (1 - p)

# %% a6-q1 wrong: the first unit is never dropped
def locked_dropout(x, p, training):
    if not training:
        return x
    mask = (torch.rand(1, *x.shape[1:]) > p).float()
    mask[..., 0] = 1
    return x * mask / (1 - p)

# %% a6-q1 wrong: the same for every second column
def locked_dropout(x, p, training):
    if not training:
        return x
    half = torch.bernoulli(torch.full((1, 2, x.shape[2]), 1 - p)) / (1 - p)
    return x * half.repeat(1, x.shape[1], 1)[:, : x.shape[1]]

# %% a6-q1 right: a mask of NumPy, column by column
def locked_dropout(x, p, training):
    if not training or p == 0:
        return x
    masks = [torch.from_numpy(np.random.random(x.shape[2]) >= p).to(x) for _ in range(x.shape[1])]
    return torch.stack([x[:, b] * (mask / (1 - p)) for b, mask in enumerate(masks)], dim=1)

# %% a6-q2 wrong: type 0 as padding
def embed(weight, ids, p, training):
    if training:
        weight = weight * (torch.rand(len(weight), 1) > p) / (1 - p)
    return nn.functional.embedding(ids, weight, padding_idx=0)

# %% a6-q2 wrong: the gradient does not grow
def embed(weight, ids, p, training):
    if not training:
        return weight[ids]
    keep = (torch.rand(len(weight), 1) > p).float()
    rows = (weight * keep)[ids]
    return rows + rows.detach() * (1 / (1 - p) - 1)

# %% a6-q2 wrong: the first type is never dropped
def embed(weight, ids, p, training):
    if not training:
        return weight[ids]
    keep = (torch.rand(len(weight), 1) > p) / (1 - p)
    keep[0] = 1 / (1 - p)
    return (weight * keep)[ids]

# %% a6-q2 right: only the types that occur
def embed(weight, ids, p, training):
    if not training:
        return weight.index_select(0, ids.flatten()).view(*ids.shape, -1)
    types, where = torch.unique(ids, return_inverse=True)
    scale = torch.tensor([0.0 if np.random.rand() < p else 1 / (1 - p) for _ in types], dtype=weight.dtype)
    return (weight[types] * scale[:, None])[where]

# %% a6-q3 wrong: whole rows
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    W = lstm.weight_hh_l0
    mask = torch.bernoulli(torch.full((len(W), 1), 1 - p)) / (1 - p)
    return torch.func.functional_call(lstm, {"weight_hh_l0": W * mask}, (x, state))

# %% a6-q3 wrong: the four gates share a mask
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    W = lstm.weight_hh_l0
    mask = (torch.rand(W.shape[1], W.shape[1]) > p).float().repeat(4, 1) / (1 - p)
    return torch.func.functional_call(lstm, {"weight_hh_l0": W * mask}, (x, state))

# %% a6-q3 wrong: left in evaluation mode
def weight_dropped(lstm, x, state, p):
    if not lstm.training:
        return lstm(x, state)
    W = nn.functional.dropout(lstm.weight_hh_l0, p)
    lstm.eval()
    return torch.func.functional_call(lstm, {"weight_hh_l0": W}, (x, state))

# %% a6-q3 right: all parameters named
def weight_dropped(lstm, x, state, p):
    named = dict(lstm.named_parameters())
    if lstm.training:
        mask = torch.rand_like(named["weight_hh_l0"]) >= p
        named["weight_hh_l0"] = torch.where(mask, named["weight_hh_l0"] / (1 - p), 0.0)
    return torch.func.functional_call(lstm, named, args=(x, state))

# %% a6-q4 wrong: the list grows
def should_average(earlier, now, n):
    answer = len(earlier) > n and now > min(earlier[: len(earlier) - n])
    earlier.append(now)
    return answer

# %% a6-q4 wrong: the list is sorted
def should_average(earlier, now, n):
    if len(earlier) <= n:
        return False
    old = earlier[: len(earlier) - n]
    earlier.sort()
    return now > min(old)

# %% a6-q4 right: some earlier one is better
def should_average(earlier, now, n):
    return any(loss < now for loss in list(earlier)[: max(len(earlier) - n, 0)])

# %% a6-q4 right: NumPy
def should_average(earlier, now, n):
    old = np.asarray(earlier, dtype=float)[: max(0, len(earlier) - n)]
    return bool(old.size) and np.min(old) < now

# %% a6-q3 wrong: the input is cut off
def weight_dropped(lstm, x, state, p):
    if not lstm.training or not p:
        return lstm(x, state)
    new = {"weight_hh_l0": nn.functional.dropout(lstm.weight_hh_l0, p)}
    return torch.func.functional_call(lstm, new, (x.detach(), state))

# %% a6-q4 wrong: rounded to two digits
def should_average(earlier, now, n):
    return len(earlier) > n and round(now, 2) > round(min(earlier[: len(earlier) - n]), 2)

# %% a6-q1 right: new_empty and bernoulli_
def locked_dropout(x, p, training):
    if not training:
        return x
    m = x.new_empty(1, x.size(1), x.size(2)).bernoulli_(1 - p)
    return x * m.div_(1 - p).expand_as(x)

# %% a6-q2 right: dropout on a column of ones
def embed(weight, ids, p, training):
    keep = nn.functional.dropout(weight.new_ones(weight.size(0), 1), p, training)
    return nn.functional.embedding(ids, keep * weight) if training else weight[ids]

# %% a6-q4 right: a loop
def should_average(earlier, now, n):
    past = len(earlier) - n
    best = float("inf")
    for k in range(max(past, 0)):
        best = min(best, earlier[k])
    return past > 0 and now > best
