"""The fixed-window model against its equation, and its contract."""

import pytest
import torch

from lmtutor.models.window import WindowConfig, WindowLM
from lmtutor.system.errors import LMTutorError

V = 11


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WindowLM(WindowConfig(order=4, embedding=3, hidden=5), V).double()


def by_hand(model, history):
    """Equation 1 of the paper, word by word; history: ids, the newest last → (V,) log-probabilities."""
    e, size = model.embedding.weight, model.config.embedding
    a = model.hidden.bias.clone()
    for j in range(model.config.order - 1):
        if j < len(history):
            a = a + model.hidden.weight[:, j * size : (j + 1) * size] @ e[history[-1 - j]]
    z = model.head.weight @ torch.tanh(a) + model.head.bias
    return torch.log(z.exp() / z.exp().sum())


def test_it_computes_the_equation_with_short_histories_too(model):
    text = torch.randint(V, (8, 2), generator=torch.Generator().manual_seed(1))
    log_p, _ = model.target_log_probs(text[:-1], text[1:], model.initial_state(2))
    for b in range(2):
        for t in range(7):
            expected = by_hand(model, text[: t + 1, b].tolist())[text[t + 1, b]]
            torch.testing.assert_close(log_p[t, b], expected)


def test_only_the_last_words_matter_and_the_state_carries_them(model):
    text = torch.randint(V, (9, 2), generator=torch.Generator().manual_seed(2))
    whole, _ = model(text, None)
    first, state = model(text[:1], model.initial_state(2))
    second, state = model(text[1:6], state)
    third, state = model(text[6:], state)
    torch.testing.assert_close(torch.cat([first, second, third]), whole)
    assert torch.equal(state[..., 0], text[-3:])
    changed = text.clone()
    changed[:6] = 0
    assert torch.equal(model.next_log_probs(changed, None)[0], model.next_log_probs(text, None)[0])
    changed[6] += 1
    assert not torch.equal(model.next_log_probs(changed % V, None)[0], model.next_log_probs(text, None)[0])


def test_loss_is_the_mean_of_the_scores(model):
    text = torch.randint(V, (9, 2), generator=torch.Generator().manual_seed(3))
    targets = text[1:].clone()
    targets[2, 1] = -100
    nats, penalty, _ = model.loss(text[:-1], targets, model.initial_state(2))
    log_p, _ = model.target_log_probs(text[:-1], targets, model.initial_state(2))
    torch.testing.assert_close(nats, -log_p.sum() / 15)
    assert penalty == 0
    nats.backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_it_learns_a_text_of_its_order(model):
    """A cycle in which three words of history decide the next word, and two do not."""
    cycle = torch.tensor([0, 1, 2, 3, 1, 2, 4, 5, 6, 7] * 10)[:, None]
    small = WindowLM(WindowConfig(order=4, embedding=8, hidden=16), V)
    optimizer = torch.optim.Adam(small.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        nats, _, _ = small.loss(cycle[:-1], cycle[1:], None)
        nats.backward()
        optimizer.step()
    assert nats.item() < 0.1


def test_bad_shapes_are_refused():
    with pytest.raises(LMTutorError, match=r"order must be .*got 1"):
        WindowConfig(order=1)
    with pytest.raises(LMTutorError, match=r"hidden must be .*got 0"):
        WindowConfig(hidden=0)
