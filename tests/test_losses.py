"""The loss heads against torch's own cross-entropy."""

import copy

import pytest
import torch
import torch.nn.functional as F

from lmtutor.models import fused
from lmtutor.models import heads as losses
from lmtutor.system.errors import LMTutorError
from lmtutor.training.config import TrainConfig


def example(T=7, B=3, H=5, V=23, seed=0, scale=1.0, dtype=torch.float32):
    """A head, hidden states and targets, two of them not scored."""
    torch.manual_seed(seed)
    head = losses.SoftmaxHead(H, V).to(dtype)
    with torch.no_grad():
        head.bias.uniform_(-1, 1)
        head.weight.normal_(0, scale)
    hidden = torch.randn(T, B, H, dtype=dtype, requires_grad=True)
    targets = torch.randint(0, V, (T, B))
    targets[0, 1 % B] = targets[-1, -1] = -100
    return head, hidden, targets


def plain(head, hidden, targets):
    logits = F.linear(hidden, head.weight, head.bias).flatten(0, -2)
    return F.cross_entropy(logits, targets.flatten(), ignore_index=-100)


def with_gradients(loss, *tensors):
    return loss.detach(), *torch.autograd.grad(loss, tensors)


def assert_agree(ours, theirs, tolerance):
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() <= tolerance * b.abs().max(), float((a - b).abs().max() / b.abs().max())


@pytest.fixture(autouse=True)
def tiles_always(monkeypatch):
    """Small examples too take the road of large ones, unless a test says otherwise."""
    monkeypatch.setattr(fused, "PLAIN_LOGITS", 0)


@pytest.fixture(params=[None, (16, 160, 4)], ids=["one tile", "many tiles and blocks"])
def tiling(request, monkeypatch):
    """Run a test with the real tile sizes, and with tiles of 4 types and blocks of 4 rows or a little more."""
    if request.param:
        for name, value in zip(("TILE", "KEPT", "LEAST_ROWS"), request.param, strict=True):
            monkeypatch.setattr(fused, name, value)
        monkeypatch.setattr(fused, "SCORED", (6, 5))


def test_label_smoothing_is_torchs_in_training_alone():
    head, hidden, targets = example()
    head.label_smoothing = 0.1
    logits = F.linear(hidden, head.weight, head.bias).flatten(0, -2)
    expected = F.cross_entropy(logits, targets.flatten(), ignore_index=-100, label_smoothing=0.1)
    wanted = with_gradients(expected, hidden, head.weight, head.bias)
    assert_agree(with_gradients(head.loss(hidden, targets), hidden, head.weight, head.bias), wanted, 1e-5)
    head.eval()
    assert_agree([head.loss(hidden, targets)], [plain(head, hidden, targets)], 1e-6)


@pytest.mark.parametrize("shape", [(7, 3, 5, 23), (1, 1, 1, 1), (2, 9, 16, 64), (5, 1, 3, 1000)])
def test_loss_and_gradients_agree_with_torch(tiling, shape):
    head, hidden, targets = example(*shape)
    if shape == (1, 1, 1, 1):
        targets[:] = 0
    tensors = hidden, head.weight, head.bias
    theirs = with_gradients(plain(head, hidden, targets), *tensors)
    ours = with_gradients(head.loss(hidden, targets), *tensors)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


def test_gradients_pass_the_finite_difference_check(tiling):
    head, hidden, targets = example(T=3, B=2, H=3, V=11, dtype=torch.float64)
    weight, bias = (p.detach().clone().requires_grad_() for p in (head.weight, head.bias))

    def loss(h, w, b):
        return fused.linear_cross_entropy(h.flatten(0, 1), w, b, targets.flatten())

    assert torch.autograd.gradcheck(loss, (hidden, weight, bias))


def test_bfloat16_products_stay_close(tiling):
    head, hidden, targets = example(T=20, B=20, H=32, V=500, scale=0.3)
    tensors = hidden, head.weight, head.bias
    theirs = with_gradients(plain(head, hidden, targets), *tensors)
    head.precision = "bfloat16"
    ours = with_gradients(head.loss(hidden, targets), *tensors)
    assert abs(ours[0] - theirs[0]) < 1e-3  # nats
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        assert (a - b).norm() < 0.005 * b.norm()
        assert a.dtype == torch.float32


def test_a_bias_keeps_its_precision_in_bfloat16():
    """A bias of 9.02 is 9.0 in bfloat16: 2 % of a frequent word's probability, the same at every position."""
    torch.manual_seed(0)
    hidden, weight, bias = torch.randn(1000, 16), torch.randn(2000, 16) * 0.1, torch.randn(2000) * 2
    bias[7] = 9.02
    targets = torch.randint(0, 2000, (1000,))
    expected = F.cross_entropy(F.linear(hidden, weight, bias), targets)
    rounded = F.cross_entropy(F.linear(hidden, weight, bias.bfloat16().float()), targets)
    ours = fused.linear_cross_entropy(hidden, weight, bias, targets, dtype=torch.bfloat16)
    assert abs(rounded - expected) > 5e-3 and abs(ours - expected) < 5e-4


def test_the_largest_logit_may_stand_anywhere(tiling):
    """The shift is a guess from the first tile: logits of hundreds outside it must neither overflow nor vanish."""
    head, hidden, targets = example(scale=80.0)
    tensors = hidden, head.weight, head.bias
    theirs = with_gradients(plain(head, hidden, targets), *tensors)
    ours = with_gradients(head.loss(hidden, targets), *tensors)
    assert theirs[0] > 90
    assert_agree(ours, theirs, 1e-5)
    assert torch.allclose(-head.target_log_probs(hidden, targets).sum() / (targets != -100).sum(), theirs[0], rtol=1e-5)


def test_no_scored_target_gives_zero(tiling):
    head, hidden, targets = example()
    nothing = torch.full_like(targets, -100)
    loss, *gradients = with_gradients(head.loss(hidden, nothing), hidden, head.weight, head.bias)
    assert loss == 0 and all((g == 0).all() for g in gradients)
    assert (head.target_log_probs(hidden, nothing) == 0).all()
    empty = with_gradients(head.loss(hidden[:0], targets[:0]), head.weight, head.bias)
    assert empty[0] == 0 and (empty[1] == 0).all()
    assert head.target_log_probs(hidden[:0], targets[:0]).shape == (0, 3)


def test_a_small_batch_takes_the_plain_road_to_the_same_numbers(monkeypatch):
    head, hidden, targets = example()
    head.precision = "bfloat16"
    monkeypatch.setattr(fused, "PLAIN_LOGITS", 21 * 23)
    monkeypatch.delattr(fused, "_LinearCrossEntropy")
    tensors = hidden, head.weight, head.bias
    theirs = with_gradients(plain(head, hidden, targets), *tensors)
    assert_agree(with_gradients(head.loss(hidden, targets), *tensors), theirs, 1e-6)
    assert head.loss(hidden, torch.full_like(targets, -100)) == 0


@pytest.mark.parametrize("small", [0, 1000], ids=["tiles", "plain"])
def test_a_nan_is_not_hidden(monkeypatch, small):
    monkeypatch.setattr(fused, "PLAIN_LOGITS", small)
    head, hidden, targets = example()
    with torch.no_grad():
        hidden[2, 0, 0] = torch.nan
    assert head.loss(hidden, targets).isnan()


def test_only_the_wanted_gradients_are_made(tiling):
    head, hidden, targets = example()
    expected = with_gradients(plain(head, hidden, targets), hidden, head.weight, head.bias)
    head.requires_grad_(False)
    assert torch.allclose(torch.autograd.grad(head.loss(hidden, targets), hidden)[0], expected[1], atol=1e-6)
    head.bias.requires_grad_(True)
    assert torch.allclose(torch.autograd.grad(head.loss(hidden, targets), head.bias)[0], expected[3], atol=1e-6)
    with torch.no_grad():
        assert not head.loss(hidden, targets).requires_grad


def test_backward_twice_and_scaled(tiling):
    head, hidden, targets = example()
    once = torch.autograd.grad(plain(head, hidden, targets), head.weight)[0]
    loss = head.loss(hidden, targets) * 3
    loss.backward(retain_graph=True)
    loss.backward()
    assert torch.allclose(head.weight.grad, 6 * once, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_tied_weight_is_one_parameter_with_both_gradients(sparse):
    embedding = torch.nn.Embedding(11, 4, sparse=sparse)
    head = losses.SoftmaxHead(4, 11, tied_weight=embedding.weight)
    assert head.weight is embedding.weight
    ids, targets = torch.randint(0, 11, (5, 2)), torch.randint(0, 11, (5, 2))
    head.loss(embedding(ids).tanh(), targets).backward()
    ours = embedding.weight.grad
    assert not ours.is_sparse  # the lookup's part is added to the head's
    theirs = torch.autograd.grad(plain(head, F.embedding(ids, head.weight).tanh(), targets), head.weight)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)
    with pytest.raises(LMTutorError, match="must be .* \\(11, 5\\) but is \\(11, 4\\)"):
        losses.make_head("softmax", 5, 11, embedding.weight)


def test_target_log_probs_agree_with_log_probs(tiling):
    head, hidden, targets = example()
    full = head.log_probs(hidden)
    expected = full.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (targets != -100)
    assert torch.allclose(head.target_log_probs(hidden, targets), expected, atol=1e-6)
    assert torch.allclose(full.exp().sum(-1), torch.ones(7, 3), atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(head.log_probs(hidden), full, atol=1e-6)
        assert torch.allclose(head.log_probs(hidden[2, 1]), full[2, 1], atol=1e-6)
    head.precision = "bfloat16"  # of training alone
    assert torch.allclose(head.target_log_probs(hidden, targets), expected, atol=1e-6)


def test_without_onednn_the_results_agree(monkeypatch):
    head, hidden, targets = example(T=30, B=20, H=32, V=5000)
    tensors = hidden, head.weight, head.bias
    first = with_gradients(head.loss(hidden, targets), *tensors)
    monkeypatch.setattr(fused, "_onednn_linear", lambda: None)
    assert_agree(with_gradients(head.loss(hidden, targets), *tensors), first, 1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (700, 33, 5), (64, 200, 900), (0, 3, 4)])
def test_product_is_the_matrix_product(shape):
    n, k, m = shape
    torch.manual_seed(0)
    a, b = torch.randn(n, k), torch.randn(k, m)
    expected = (a.double() @ b.double()).float()
    for left in (a, a.t().contiguous().t()):
        for right in (b, b.t().contiguous().t(), torch.cat([b, b], dim=1)[:, :m]):
            assert torch.allclose(fused.product(left, right), expected, rtol=1e-5, atol=1e-4)
            bias = torch.randn(m)
            assert torch.allclose(fused.product(left, right, bias), expected + bias, rtol=1e-5, atol=1e-4)


def test_a_broken_operator_is_not_trusted(monkeypatch):
    fused._onednn_linear.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda a, b, *rest: a @ b.t() + 1)
    assert fused._onednn_linear() is None
    fused._onednn_linear.cache_clear()


@pytest.mark.parametrize("held", [1 << 28, 3000], ids=["at once", "some rows at a time"])
def test_the_road_of_a_gpu_is_as_exact_as_the_tiles(held, monkeypatch):
    """In bfloat16 both err by what the products are rounded to; the float32 road is torch's own."""
    monkeypatch.setattr(fused, "STOCK_LOGITS", held)
    head, hidden, targets = example(T=20, B=20, H=32, V=500, scale=0.3)
    with torch.no_grad():
        head.bias.mul_(8)  # logits as large as a trained model's
    tensors, rows, ids = (hidden, head.weight, head.bias), hidden.flatten(0, 1), targets.flatten()
    theirs = with_gradients(plain(head, hidden, targets), *tensors)
    exact = fused.stock_cross_entropy(rows, head.weight, head.bias, ids, torch.float32)
    assert_agree(with_gradients(exact, *tensors), theirs, 1e-5)
    stock = fused.stock_cross_entropy(rows, head.weight, head.bias, ids, torch.bfloat16)
    tiles = fused.linear_cross_entropy(rows, head.weight, head.bias, ids, torch.bfloat16)
    stock, tiles = with_gradients(stock, *tensors), with_gradients(tiles, *tensors)
    assert abs(stock[0] - theirs[0]) < 1e-3
    for ours, cpu, right in zip(stock[1:], tiles[1:], theirs[1:], strict=True):
        assert ours.dtype == torch.float32
        assert (ours - right).norm() <= 1.05 * (cpu - right).norm() + 1e-4 * right.norm()
        assert (ours - right).norm() < 0.004 * right.norm()


def test_bad_settings():
    head = losses.SoftmaxHead(4, 11)
    with pytest.raises(LMTutorError, match="precision 'bloat16'.*Did you mean 'bfloat16'"):
        TrainConfig(precision="bloat16")
    head.precision = "bfloat16"
    assert copy.deepcopy(head).precision == "bfloat16"
    assert sorted(head.state_dict()) == ["bias", "weight"]


def test_sampled_loss_estimates_the_exact_one():
    """The mean of many estimates of Z is Z; with many samples the loss and its gradient are close to the exact ones."""
    exact, hidden, targets = example(T=6, B=5, H=8, V=200, scale=0.5)
    head = losses.SampledHead(8, 200, samples=20)
    head.load_state_dict(exact.state_dict())
    torch.manual_seed(1)
    scored = targets != -100
    logits = F.linear(hidden, head.weight, head.bias)
    own = logits.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    # One row alone, so that exp(loss) is its estimate of Z / exp(target's logit).
    h, t = hidden[1:2, :1], targets[1:2, :1]
    estimates = torch.stack([head.loss(h, t).exp() for _ in range(4000)])
    truth = (logits[1, 0].logsumexp(0) - own[1, 0]).exp()
    assert abs(estimates.mean() - truth) < 4 * estimates.std() / 4000**0.5
    assert scored.sum() == 28

    head.samples = 400_000
    theirs = with_gradients(plain(exact, hidden, targets), hidden, exact.weight, exact.bias)
    ours = with_gradients(head.loss(hidden, targets), hidden, head.weight, head.bias)
    assert_agree(ours, theirs, 0.05)


def test_sampled_head_is_exact_outside_training():
    exact, hidden, targets = example()
    head = losses.SampledHead(5, 23)
    head.load_state_dict(exact.state_dict())
    assert torch.equal(head.target_log_probs(hidden, targets), exact.target_log_probs(hidden, targets))
    assert torch.equal(head.log_probs(hidden), exact.log_probs(hidden))
    assert torch.allclose(head.eval().loss(hidden, targets), plain(exact, hidden, targets))
    assert head.train().loss(hidden, torch.full_like(targets, -100)) == 0


def test_sampled_types_follow_the_log_uniform_distribution(monkeypatch):
    """Frequencies of the drawn ids against q(k), the correction that the loss divides by."""
    head = losses.SampledHead(2, 50, samples=200_000)
    drawn = []
    linear = F.linear
    monkeypatch.setattr(F, "linear", lambda x, w, b: drawn.append(b) or linear(x, w, b))
    with torch.no_grad():
        head.bias.copy_(torch.arange(50.0))  # so that the biases of the drawn types tell their ids
        head.loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.long))
    frequency = drawn[0].long().bincount(minlength=50) / 200_000
    k = torch.arange(50.0)
    q = ((k + 2) / (k + 1)).log() / torch.tensor(51.0).log()
    assert torch.allclose(frequency, q, atol=0.004) and torch.allclose(q.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("tied", [False, True])
def test_adaptive_head_is_a_distribution_and_scores_its_own(tied, monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(losses, "SCORED_LOGITS", 300)
    embedding = torch.nn.Embedding(100, 16)
    head = losses.AdaptiveHead(16, 100, tied_weight=embedding.weight if tied else None)
    hidden = torch.randn(6, 4, 16, requires_grad=True)
    targets = torch.randint(0, 100, (6, 4))
    targets[0, 0] = targets[3, 1] = -100
    full = head.log_probs(hidden)
    assert torch.allclose(full.exp().sum(-1), torch.ones(6, 4), atol=1e-5)
    expected = full.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (targets != -100)
    assert torch.allclose(head.target_log_probs(hidden, targets), expected, atol=1e-5)
    loss = head.loss(hidden, targets)
    assert torch.allclose(loss, -expected.sum() / 22, atol=1e-5)
    loss.backward()
    assert hidden.grad[0, 0].abs().sum() == 0
    if tied:
        shared = [p for p in head.parameters() if p is embedding.weight]
        assert len(shared) == 1 and embedding.weight.grad[:6].abs().sum() > 0 and embedding.weight.grad[6:].sum() == 0
    nothing = torch.full_like(targets, -100)
    assert head.loss(hidden, nothing) == 0 and (head.target_log_probs(hidden, nothing) == 0).all()


@pytest.mark.parametrize("small", [True, False])
def test_split_head_is_the_product_of_two_softmaxes(small, monkeypatch):
    """Against the definition, a type at a time; loss and gradients, by torch's operators and by our tiles."""
    torch.manual_seed(0)
    monkeypatch.setattr(fused, "PLAIN_LOGITS", 1 << 18 if small else 0)
    embedding = torch.nn.Embedding(100, 8)
    head = losses.SplitHead(8, 100, embedding.weight, (5, 20, 60)).double()
    for p in head.parameters():
        torch.nn.init.normal_(p)
    hidden, targets = torch.randn(6, 4, 8, dtype=torch.float64, requires_grad=True), torch.randint(0, 100, (6, 4))
    targets[0] = torch.tensor([4, 5, 19, 99])
    targets[3, 1] = -100

    def nats(h, v):
        logits = head.weight @ h + head.bias
        first = torch.cat([logits[:5], head.clusters @ h + head.cluster_bias]).softmax(0)
        if v < 5:
            return -first[v].log()
        n, (a, b) = next((n, c) for n, c in enumerate([(5, 20), (20, 60), (60, 100)]) if v < c[1])
        return -(first[5 + n] * logits[a:b].softmax(0)[v - a]).log()

    full = head.log_probs(hidden)
    assert torch.allclose(full.exp().sum(-1), torch.ones(6, 4, dtype=torch.float64))
    expected = [nats(hidden[t, b], int(targets[t, b])) for t in range(6) for b in range(4) if targets[t, b] >= 0]
    assert torch.allclose(-full[0, 0, 4], expected[0]) and torch.allclose(-full[0, 3, 99], expected[3])
    scored = head.target_log_probs(hidden, targets)
    assert torch.allclose(scored[targets >= 0], -torch.stack(expected)) and scored[3, 1] == 0
    loss, by_hand = head.loss(hidden, targets), torch.stack(expected).mean()
    assert torch.allclose(loss, by_hand)
    ours, theirs = (torch.autograd.grad(x, [hidden, *head.parameters()], retain_graph=True) for x in (loss, by_hand))
    assert all(torch.allclose(a, b) for a, b in zip(ours, theirs, strict=True))
    assert head.loss(hidden, torch.full_like(targets, -100)) == 0


@pytest.mark.parametrize("head", ["adaptive", "sampled", "split"])
def test_the_other_heads_learn_a_small_language(head):
    """Train on ids whose successor is fixed: the exact cross-entropy has to fall from ln 30 to nearly 0."""
    torch.manual_seed(0)
    embedding = torch.nn.Embedding(30, 64)
    model = losses.make_head(head, 64, 30, None if head == "adaptive" else embedding.weight)
    between = torch.nn.Linear(64, 64)
    parameters = {*embedding.parameters(), *model.parameters(), *between.parameters()}
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    ids = torch.arange(30).view(30, 1)
    for _ in range(150):
        optimizer.zero_grad()
        model.loss(between(embedding(ids)), (ids * 7 + 1) % 30).backward()
        optimizer.step()
    assert -model.target_log_probs(between(embedding(ids)), (ids * 7 + 1) % 30).mean() < 0.1


def test_heads_by_name():
    weight = torch.nn.Parameter(torch.zeros(9, 4))
    for kind, made in losses.HEADS.items():
        head = losses.make_head(kind, 4, 9, weight)
        assert type(head) is made and head.vocab_size == 9 and head.precision == "float32"
        with pytest.raises(LMTutorError, match="a tied weight must be"):
            losses.make_head(kind, 5, 9, weight)
    with pytest.raises(LMTutorError, match="Unknown head 'adaptative'. Did you mean 'adaptive'"):
        losses.make_head("adaptative", 4, 9)
    for cutoffs in ((5, 3), (0, 3), (4, 9), (4, 4)):
        for kind in losses.CLUSTERED:
            with pytest.raises(LMTutorError, match="cutoffs must be"):
                losses.make_head(kind, 4, 9, cutoffs=cutoffs)
    with pytest.raises(LMTutorError, match="leave cutoffs out"):
        losses.make_head("softmax", 4, 9, cutoffs=(3,))
    with pytest.raises(LMTutorError, match="too few"):
        losses.AdaptiveHead(4, 2)
