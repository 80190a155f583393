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
