# %% a4-q1 wrong: neighbours in a row
def columns(ids, B):
    n = len(ids) // B
    return ids[: n * B].view(n, B)

# %% a4-q1 wrong: the end is kept, the beginning dropped
def columns(ids, B):
    n = len(ids) // B
    return ids[-n * B :].view(B, n).t()

# %% a4-q1 wrong: pieces of unequal length
def columns(ids, B):
    return torch.nn.utils.rnn.pad_sequence(list(ids.tensor_split(B)))

# %% a4-q1 wrong: filled up with zeros
def columns(ids, B):
    n = -(-len(ids) // B)
    return F.pad(ids, (0, n * B - len(ids))).view(B, n).t()

# %% a4-q1 wrong: not laid down
def columns(ids, B):
    n = len(ids) // B
    return ids[: n * B].view(B, n)

# %% a4-q1 right: stacked
def columns(ids, B):
    n = len(ids) // B
    return torch.stack([ids[b * n : (b + 1) * n] for b in range(B)], dim=1)

# %% a4-q2 wrong: the last window is lost
def windows(grid, T):
    for start in range(0, len(grid) - T, T):
        yield grid[start : start + T], grid[start + 1 : start + T + 1]

# %% a4-q2 wrong: targets are the inputs
def windows(grid, T):
    for start in range(0, len(grid) - 1, T):
        stop = min(start + T, len(grid) - 1)
        yield grid[start:stop], grid[start:stop]

# %% a4-q2 wrong: the last window has no target
def windows(grid, T):
    for start in range(0, len(grid), T):
        stop = min(start + T, len(grid) - 1)
        yield grid[start:stop], grid[start + 1 : stop + 1]

# %% a4-q2 wrong: inputs longer than targets
def windows(grid, T):
    for start in range(0, len(grid) - 1, T):
        yield grid[start : start + T], grid[start + 1 : start + T + 1]

# %% a4-q2 wrong: cut first, shifted inside
def windows(grid, T):
    for piece in grid.split(T):
        if len(piece) > 1:
            yield piece[:-1], piece[1:]

# %% a4-q2 wrong: a window of T + 1
def windows(grid, T):
    for start in range(0, len(grid) - 1, T + 1):
        stop = min(start + T + 1, len(grid) - 1)
        yield grid[start:stop], grid[start + 1 : stop + 1]

# %% a4-q2 right: two splits
def windows(grid, T):
    return zip(grid[:-1].split(T), grid[1:].split(T))

# %% a4-q3 wrong: the state stays on the graph
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        if not carry:
            state = model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward(retain_graph=True)
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: half of the state is cut off
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    h, c = model.initial_state(grid.shape[1])
    losses = []
    for x, y in windows(grid, T):
        if not carry:
            h, c = model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, (h, c) = model(x, (h.detach(), c))
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward(retain_graph=True)
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: never carried
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    losses = []
    for x, y in windows(grid, T):
        state = model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, _ = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: always carried
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        model.zero_grad()
        logits, state = model(x, tuple(s.detach() for s in state))
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: each gradient is clipped alone
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        with torch.no_grad():
            for theta in model.parameters():
                nn.utils.clip_grad_norm_([theta], clip)
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: numbers are clipped, not the norm
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: gradients add up
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: the sum of the losses
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: one number for all windows
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return sum(losses) / len(losses)

# %% a4-q3 wrong: Adam
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
        optimizer.zero_grad()
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: logits and targets laid out in different orders
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for x, y in windows(grid, T):
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
        model.zero_grad()
        logits, state = model(x, state)
        loss = F.cross_entropy(logits.flatten(0, 1), y.t().flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 right: torch's own SGD
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    B = grid.size(1)
    sgd = torch.optim.SGD(model.parameters(), lr=lr)
    state, out = model.initial_state(B), []
    for x, y in windows(grid, T):
        if carry:
            state = tuple(s.detach() for s in state)
        else:
            state = model.initial_state(B)
        sgd.zero_grad()
        logits, state = model(x, state)
        loss = nn.CrossEntropyLoss()(logits.reshape(-1, logits.size(-1)), y.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=clip)
        sgd.step()
        out.append(float(loss))
    return out

# %% a4-q3 right: gradients by hand
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    parameters = list(model.parameters())
    state, losses = model.initial_state(grid.shape[1]), []
    for start in range(0, len(grid) - 1, T):
        x, y = grid[:-1][start : start + T], grid[1:][start : start + T]
        logits, state = model(x, state)
        loss = -torch.log_softmax(logits, -1).gather(-1, y[..., None]).mean()
        grads = torch.autograd.grad(loss, parameters)
        norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
        with torch.no_grad():
            for theta, g in zip(parameters, grads):
                theta.sub_(lr * min(1, clip / norm) * g)
        losses.append(loss.item())
        state = tuple(s.detach() for s in state) if carry else model.initial_state(grid.shape[1])
    return losses

# %% a4-q4 wrong: dropout is on
def score(model, ids, stretch=200):
    state, nats = model.initial_state(1), 0.0
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, state = model(x, state)
            nats += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    return math.exp(nats / (len(ids) - 1))

# %% a4-q4 wrong: the mode is not put back
def score(model, ids, stretch=200):
    model.eval()
    state, nats = model.initial_state(1), 0.0
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, state = model(x, state)
            nats += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    return math.exp(nats / (len(ids) - 1))

# %% a4-q4 wrong: always back to training
def score(model, ids, stretch=200):
    model.eval()
    state, nats = model.initial_state(1), 0.0
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, state = model(x, state)
            nats += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train()
    return math.exp(nats / (len(ids) - 1))

# %% a4-q4 wrong: a mean of means
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    state, means = model.initial_state(1), []
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, state = model(x, state)
            means.append(F.cross_entropy(logits.flatten(0, 1), y.flatten()).item())
    model.train(mode)
    return math.exp(sum(means) / len(means))

# %% a4-q4 wrong: a mean of perplexities
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    state, ppl = model.initial_state(1), []
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, state = model(x, state)
            ppl.append(F.cross_entropy(logits.flatten(0, 1), y.flatten()).exp().item())
    model.train(mode)
    return sum(ppl) / len(ppl)

# %% a4-q4 wrong: not carried
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    nats = 0.0
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, _ = model(x, model.initial_state(1))
            nats += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train(mode)
    return math.exp(nats / (len(ids) - 1))

# %% a4-q4 wrong: divided by all tokens
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    state, nats = model.initial_state(1), 0.0
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, state = model(x, state)
            nats += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train(mode)
    return math.exp(nats / len(ids))

# %% a4-q4 wrong: the loss
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    state, nats = model.initial_state(1), 0.0
    with torch.no_grad():
        for x, y in windows(ids[:, None], stretch):
            logits, state = model(x, state)
            nats += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train(mode)
    return nats / (len(ids) - 1)

# %% a4-q4 right: log-probabilities gathered
@torch.no_grad()
def score(model, ids, stretch=200):
    was = model.training
    model.eval()
    state, total = model.initial_state(1), 0.0
    inputs, targets = ids[:-1].unsqueeze(1), ids[1:].unsqueeze(1)
    for start in range(0, len(inputs), stretch):
        logits, state = model(inputs[start : start + stretch], state)
        log_p = logits.log_softmax(-1)
        total -= log_p.gather(2, targets[start : start + stretch].unsqueeze(2)).sum().item()
    model.train(was)
    return math.exp(total / len(targets))

# %% a4-q1 wrong: numbers with a point
def columns(ids, B):
    length = len(ids) // B
    grid = torch.zeros(length, B)
    for b in range(B):
        grid[:, b] = ids[b * length : (b + 1) * length]
    return grid

# %% a4-q1 wrong: the text itself is shortened
def columns(ids, B):
    length = len(ids) // B
    return ids.resize_(length * B).view(B, length).t()

# %% a4-q1 right: each column a slice
def columns(ids, B):
    n = len(ids) // B
    return torch.stack([ids[b * n : b * n + n] for b in range(B)]).transpose(0, 1)

# %% a4-q1 right: strides
def columns(ids, B):
    n = ids.numel() // B
    return ids.contiguous().as_strided((n, B), (1, n))

# %% a4-q2 right: cut twice
def windows(grid, T):
    return iter(list(zip(torch.split(grid[:-1], T), torch.split(grid[1:], T), strict=True)))

# %% a4-q3 wrong: a shorter window takes a shorter step
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    state, losses = model.initial_state(grid.shape[1]), []
    for inputs, targets in windows(grid, T):
        if not carry:
            state = model.initial_state(grid.shape[1])
        logits, state = model(inputs, tuple(part.detach() for part in state))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * len(inputs) / T * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 wrong: zeros of one's own
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    H = model.lstm.hidden_size
    fresh = lambda: (torch.zeros(1, grid.shape[1], H), torch.zeros(1, grid.shape[1], H))
    state, losses = fresh(), []
    for inputs, targets in windows(grid, T):
        if not carry:
            state = fresh()
        logits, state = model(inputs, tuple(part.detach() for part in state))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for theta in model.parameters():
                theta -= lr * theta.grad
        losses.append(loss.item())
    return losses

# %% a4-q3 right: gradients asked for, clipped by hand
def train_epoch(model, grid, T, lr, clip, carry=True):
    model.train()
    thetas, B = list(model.parameters()), grid.shape[1]
    state, losses = model.initial_state(B), []
    for inputs, targets in windows(grid, T):
        h, c = state if carry else model.initial_state(B)
        logits, state = model(inputs, (h.detach(), c.detach()))
        loss = -torch.log_softmax(logits, -1).gather(-1, targets[..., None]).mean()
        grads = torch.autograd.grad(loss, thetas)
        norm = torch.sqrt(sum((g**2).sum() for g in grads)).item()
        factor = clip / norm if norm > clip else 1.0
        with torch.no_grad():
            for theta, g in zip(thetas, grads):
                theta.sub_(lr * factor * g)
        losses.append(float(loss.detach()))
    return losses

# %% a4-q3 right: an optimiser, and no windows
def train_epoch(model, grid, T, lr, clip, carry=True):
    sgd, measure, losses, state = torch.optim.SGD(model.parameters(), lr), nn.CrossEntropyLoss(), [], None
    model.train(True)
    for k in range(0, grid.size(0) - 1, T):
        x, y = grid[k : k + T][: grid.size(0) - 1 - k], grid[k + 1 : k + T + 1]
        if state is None or not carry:
            state = model.initial_state(grid.size(1))
        sgd.zero_grad()
        logits, (h, c) = model(x, state)
        loss = measure(logits.permute(0, 2, 1), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=clip)
        sgd.step()
        state = h.data, c.data
        losses.append(loss.item())
    return losses

# %% a4-q4 wrong: the whole text at once
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    with torch.no_grad():
        logits, _ = model(ids[:-1, None], model.initial_state(1))
        loss = F.cross_entropy(logits[:, 0], ids[1:]).item()
    model.train(mode)
    return math.exp(loss)

# %% a4-q4 wrong: a last stretch of one token is left out
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    total, state = 0.0, model.initial_state(1)
    with torch.no_grad():
        for start in range(0, len(ids) - 2, stretch):
            targets = ids[start + 1 : start + stretch + 1]
            logits, state = model(ids[start : start + len(targets)][:, None], state)
            total += F.cross_entropy(logits[:, 0], targets, reduction="sum").item()
    model.train(mode)
    return math.exp(total / (len(ids) - 1))

# %% a4-q4 wrong: one dropout switched off by name
def score(model, ids, stretch=200):
    kept = model.drop.p
    model.drop.p = 0.0
    total, state = 0.0, model.initial_state(1)
    with torch.no_grad():
        for start in range(0, len(ids) - 1, stretch):
            targets = ids[start + 1 : start + stretch + 1]
            logits, state = model(ids[start : start + len(targets)][:, None], state)
            total += F.cross_entropy(logits[:, 0], targets, reduction="sum").item()
    model.drop.p = kept
    return math.exp(total / (len(ids) - 1))

# %% a4-q4 right: windows of one column, probabilities gathered
@torch.no_grad()
def score(model, ids, stretch=200):
    was = model.training
    model.train(False)
    nats, state = [], model.initial_state(1)
    for inputs, targets in windows(ids.unsqueeze(1), stretch):
        logits, state = model(inputs, state)
        nats += (-logits.log_softmax(2).gather(2, targets.unsqueeze(2))).flatten().tolist()
    model.train(was)
    return float(np.exp(np.mean(nats)))

# %% a4-q4 wrong: capped at the exponential of 20
def score(model, ids, stretch=200):
    mode = model.training
    model.eval()
    nats, state = 0.0, model.initial_state(1)
    with torch.no_grad():
        for s in range(0, len(ids) - 1, stretch):
            x, y = ids[s : s + stretch][: len(ids) - 1 - s], ids[s + 1 : s + 1 + stretch]
            logits, state = model(x[:, None], state)
            nats += F.cross_entropy(logits[:, 0], y, reduction="sum").item()
    model.train(mode)
    return math.exp(min(nats / (len(ids) - 1), 20))

# %% a4-q4 wrong: gradients are switched off for good
def score(model, ids, stretch=200):
    torch.set_grad_enabled(False)
    mode = model.training
    model.eval()
    nats, state = 0.0, model.initial_state(1)
    for s in range(0, len(ids) - 1, stretch):
        e = min(s + stretch, len(ids) - 1)
        logits, state = model(ids[s:e][:, None], state)
        nats += F.cross_entropy(logits[:, 0], ids[s + 1 : e + 1], reduction="sum").item()
    model.train(mode)
    return math.exp(nats / (len(ids) - 1))

# %% a4-q2 right: indices
def windows(grid, T):
    last = grid.size(0) - 1
    k = 0
    while k < last:
        n = min(T, last - k)
        yield grid.narrow(0, k, n), grid.narrow(0, k + 1, n)
        k += n

# %% a4-q4 right: a try and finally
def score(model, ids, stretch=200):
    was = model.training
    model.eval()
    try:
        total, state = 0.0, model.initial_state(1)
        with torch.no_grad():
            for k in range(0, ids.numel() - 1, stretch):
                y = ids[k + 1 : k + 1 + stretch]
                logits, state = model(ids[k : k + len(y)].unsqueeze(1), state)
                total -= F.log_softmax(logits.squeeze(1), -1)[torch.arange(len(y)), y].sum().item()
        return float(np.exp(total / (ids.numel() - 1)))
    finally:
        model.train(was)
