"""The loss heads against torch's own cross-entropy."""

import pytest
import torch
import torch.nn.functional as F

from lmtutor import losses
from lmtutor.errors import LMTutorError


def example(T=7, B=3, H=5, V=23, seed=0):
    torch.manual_seed(seed)
    head = losses.SoftmaxHead(H, V)
    with torch.no_grad():
        head.bias.uniform_(-1, 1)
    hidden = torch.randn(T, B, H, requires_grad=True)
    targets = torch.randint(0, V, (T, B))
    targets[0, 1] = targets[-1, -1] = -100
    return head, hidden, targets


def test_loss_is_the_mean_of_torch_cross_entropy():
    head, hidden, targets = example()
    expected = F.cross_entropy(
        F.linear(hidden, head.weight, head.bias).flatten(0, 1), targets.flatten(), ignore_index=-100
    )
    assert torch.allclose(head.loss(hidden, targets), expected, rtol=1e-6)


def test_target_log_probs_agree_with_log_probs(monkeypatch):
    head, hidden, targets = example()
    monkeypatch.setattr(losses, "SCORED_LOGITS", 50)  # two rows at a time
    full = head.log_probs(hidden)
    expected = full.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (targets != -100)
    assert torch.allclose(head.target_log_probs(hidden, targets), expected, atol=1e-6)
    assert torch.allclose(full.exp().sum(-1), torch.ones(7, 3), atol=1e-5)


def test_a_tied_weight_is_the_same_parameter():
    embedding = torch.nn.Embedding(11, 4)
    head = losses.SoftmaxHead(4, 11, tied_weight=embedding.weight)
    assert head.weight is embedding.weight
    with pytest.raises(LMTutorError, match="must be .* \\(11, 5\\) but is \\(11, 4\\)"):
        losses.SoftmaxHead(5, 11, tied_weight=embedding.weight)
