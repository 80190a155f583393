"""The neural cache against a plain loop over tokens, which does what the equations say and nothing else."""

import math

import pytest
import torch

from lmtutor.models import build_model
from lmtutor.models.ngram import NGramLM
from lmtutor.scoring.neural_cache import NeuralCache, tune_cache
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import evaluate, score_text
from lmtutor.system.errors import LMTutorError

V = 11  # few types, so that words repeat


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_model("lstm-200", V, embedding=8, hidden=6, layers=2, tied=False, init_range=1.5, dropout=0.3)
    return model.double().eval()


def text(n, seed=1):
    return torch.randint(0, V, (n,), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def reference(model, column, window, theta, lam):
    """log p of every token of one column but the first, one token at a time, with a list as the cache."""
    state, kept, result = model.initial_state(1), [], []
    for read, target in zip(column[:-1].tolist(), column[1:].tolist(), strict=True):
        e = model.embedding(torch.tensor([[read]]))
        outputs, new_state = [], []
        for layer, layer_state in zip(model.layers, state, strict=True):
            e, layer_state = layer(e, layer_state)
            outputs.append(e[0, 0])
            new_state.append(layer_state)
        state = tuple(new_state)
        p = float(torch.softmax(model.head.weight @ outputs[-1] + model.head.bias, 0)[target])
        h = outputs[-1]
        if kept:
            weights = [math.exp(theta * float(h @ key)) for key, _ in kept]
            hit = sum(w for w, (_, word) in zip(weights, kept, strict=True) if word == target)
            p = (1 - lam) * p + lam * hit / sum(weights)
        result.append(math.log(p))
        kept = [*kept, (h, target)][-window:]  # after scoring
    return torch.tensor(result, dtype=torch.float64)


def in_chunks(cache, columns, sizes):
    """Score columns (T, B) in chunks of the given sizes, the state carried."""
    state, pieces, start = cache.initial_state(columns.shape[1]), [], 0
    for size in sizes:
        inputs, targets = columns[start : start + size], columns[start + 1 : start + size + 1]
        log_probs, state = cache.target_log_probs(inputs, targets, state)
        pieces.append(log_probs)
        start += size
    assert start == len(columns) - 1
    return torch.cat(pieces)


@pytest.mark.parametrize("window", [1, 2, 7, 59, 60, 61, 1000])
@pytest.mark.parametrize("sizes", [[60], [1] * 60, [5, 1, 30, 24]])
def test_every_position_agrees_with_the_loop(model, window, sizes):
    ids = text(61)
    cache = NeuralCache(model, window, theta=0.9, lam=0.3)
    found = in_chunks(cache, ids[:, None], sizes)[:, 0]
    assert torch.allclose(found, reference(model, ids, window, 0.9, 0.3), rtol=0, atol=1e-10)


def test_float32_and_several_blocks_agree_to_1e_6(model):
    ids = text(700)
    small = build_model(model.config, V)
    small.load_state_dict(model.state_dict())
    cache = NeuralCache(small.eval(), 300, theta=0.9, lam=0.3)
    expected = reference(model, ids, 300, 0.9, 0.3)
    for sizes in ([699], [400, 299]):
        assert (in_chunks(cache, ids[:, None], sizes)[:, 0] - expected).abs().max() < 1e-6


def test_columns_do_not_see_each_other(model):
    columns = torch.stack([text(400, seed) for seed in range(3)], dim=1)
    found = in_chunks(NeuralCache(model, 90, 1.3, 0.5), columns, [150, 249])
    for column in range(3):
        expected = reference(model, columns[:, column], 90, 1.3, 0.5)
        assert torch.allclose(found[:, column], expected, rtol=0, atol=1e-10)


def test_theta_0_counts_words_and_lam_0_is_the_model(model):
    ids = text(80)
    found = in_chunks(NeuralCache(model, 30, 0, 0.4), ids[:, None], [40, 39])[:, 0]
    plain = reference(model, ids, 30, 0.0, 0.0)
    for t in range(1, 79):
        before = ids[max(1, t + 1 - 30) : t + 1]  # the words already predicted, at most 30 of them
        share = float((before == ids[t + 1]).double().mean())
        assert math.isclose(math.exp(found[t]), 0.6 * math.exp(plain[t]) + 0.4 * share, rel_tol=1e-10)
    assert torch.allclose(in_chunks(NeuralCache(model, 30, 2, 0), ids[:, None], [79])[:, 0], plain, rtol=0, atol=1e-10)


def test_hot_temperatures_do_not_overflow(model):
    ids = text(80)
    found = in_chunks(NeuralCache(model, 30, 5e4, 0.4), ids[:, None], [79])
    assert found.isfinite().all()


def test_next_log_probs_is_the_whole_mixture(model):
    columns = torch.stack([text(40, seed) for seed in (5, 6)], dim=1)
    cache = NeuralCache(model, 15, 0.8, 0.35)
    whole, part, state = cache.initial_state(2), cache.initial_state(2), None
    for start, stop in ((0, 1), (1, 2), (2, 30), (30, 31), (31, 40)):
        rows, part = cache.next_log_probs(columns[start:stop], part)
        assert torch.allclose(rows.exp().sum(-1), torch.ones(2, dtype=torch.float64))
        for word in range(V):
            targets = torch.cat([columns[1:stop], torch.full((1, 2), word)])
            log_probs, state = cache.target_log_probs(columns[:stop], targets, whole)
            assert torch.allclose(log_probs[-1], rows[:, word], rtol=0, atol=1e-10)
    assert all(torch.allclose(a, b) for a, b in zip(part[1], state[1], strict=True))


def test_the_target_is_not_in_the_cache_when_it_is_scored(model):
    """Changing a token changes no score before its own, and its own only through being another target."""
    ids = text(50)
    cache = NeuralCache(model, 10, 1.0, 0.5)
    before = in_chunks(cache, ids[:, None], [49])
    changed = ids.clone()
    changed[30] = (ids[30] + 1) % V
    after = in_chunks(cache, changed[:, None], [49])
    assert torch.equal(before[:29], after[:29])
    rows, _ = cache.next_log_probs(ids[:30, None], cache.initial_state(1))
    assert math.isclose(float(after[29, 0]), float(rows[0, changed[30]]), abs_tol=1e-10)


def test_evaluate_scores_the_stream_and_names_the_protocol(model):
    ids = text(2500)  # three of evaluate's stretches
    score = evaluate(NeuralCache(model, window=40, theta=0.66, lam=0.13), ids)
    assert math.isclose(score.nats, -float(reference(model, ids, 40, 0.66, 0.13).sum()), rel_tol=1e-10)
    assert score.tokens == 2499
    assert score.protocol.startswith("batch 1, state carried")
    assert score.protocol.endswith("neural cache of window 40, theta 0.66, lam 0.13")
    assert evaluate(model, ids).protocol.endswith("except the very first")


def test_ignored_targets_count_nothing(model):
    columns = text(20)[:, None]
    targets = columns[1:].clone()
    targets[-4:] = -100
    cache = NeuralCache(model, 5, 0.5, 0.2)
    log_probs, _ = cache.target_log_probs(columns[:-1], targets, cache.initial_state(1))
    assert (log_probs[-4:] == 0).all() and (log_probs[:-4] < 0).all()


def test_the_state_keeps_the_last_window_and_no_more(model):
    columns = torch.stack([text(60, seed) for seed in (1, 2)], dim=1)
    cache = NeuralCache(model, 25, 0.5, 0.2)
    state = cache.target_log_probs(columns[:-1], columns[1:], cache.initial_state(2))[1]
    keys, ids = state[1]
    assert keys.shape == (25, 2, 6) and torch.equal(ids[..., 0], columns[34:59])
    assert keys.untyped_storage().nbytes() == 25 * 2 * 6 * 8  # not a view of something longer


def test_dropout_is_off_in_evaluation_and_back_on_after(model):
    cache = NeuralCache(model, 5, 0.5, 0.2)
    ids, expected = text(30), reference(model, text(30), 5, 0.5, 0.2)
    model.train()
    try:
        assert cache.training
        assert math.isclose(evaluate(cache, ids).nats, -float(expected.sum()), rel_tol=1e-10)
        assert model.training
    finally:
        model.eval()


def test_it_generates(model):
    from lmtutor.text.vocabulary import Vocabulary

    words = "the cat sat on a mat and so dogs <eos>".split()
    vocab = Vocabulary.build(words)
    assert len(vocab) == V
    cache = NeuralCache(model, 50, 1.0, 0.9)
    greedy = generate(cache, vocab, "the cat", tokens=12, temperature=0)
    assert generate(cache, vocab, "the cat", tokens=12, beam=1) == greedy
    wide = generate(cache, vocab, "the cat", tokens=6, beam=V**2)

    def log_p(sentence):
        return score_text(cache, vocab, sentence)["log_probability"].iloc[2:].sum()

    assert log_p(wide) >= log_p(generate(cache, vocab, "the cat", tokens=6, temperature=0)) - 1e-9


def test_tuning_gives_what_evaluate_gives(model):
    ids = text(1100, seed=9)  # more than one of evaluate's stretches
    windows, thetas, lams = [3, 5000, 40], [0.0, 1.5], [0.0, 0.2, 0.5]
    surface, best = tune_cache(model, ids, windows, thetas, lams)
    assert len(surface) == 18
    for row in surface.itertuples():
        score = evaluate(NeuralCache(model, row.window, row.theta, row.lam), ids)
        assert math.isclose(row.nats_per_token, score.nats_per_token, rel_tol=1e-9)
        assert math.isclose(row.perplexity, score.perplexity, rel_tol=1e-9)
    assert evaluate(NeuralCache(model, **best), ids).nats_per_token == pytest.approx(surface["nats_per_token"].min())


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (dict(window=0, theta=0.5, lam=0.1), r"window must be .*\(got 0\)"),
        (dict(window=2.5, theta=0.5, lam=0.1), r"window must be .*\(got 2.5\)"),
        (dict(window=5, theta=-0.5, lam=0.1), r"theta must be .*\(got -0.5\)"),
        (dict(window=5, theta=math.nan, lam=0.1), r"theta must be .*\(got nan\)"),
        (dict(window=5, theta=0.5, lam=1.0), r"lam must be .*\(got 1.0\)"),
        (dict(window=5, theta=0.5, lam=-0.1), r"lam must be .*\(got -0.1\)"),
        (dict(window=5, theta="hot", lam=0.1), r"theta must be .*\(got 'hot'\)"),
    ],
)
def test_bad_settings_say_what_is_wrong(model, settings, what):
    with pytest.raises(LMTutorError, match=what):
        NeuralCache(model, **settings)


def test_a_model_without_hidden_states_is_refused(model):
    with pytest.raises(LMTutorError, match="no hidden states"):
        NeuralCache(NGramLM(2), 5, 0.5, 0.1)
    with pytest.raises(LMTutorError, match="at least one window"):
        tune_cache(model, text(10), [], [0.1], [0.1])
    with pytest.raises(LMTutorError, match="at least 2"):
        tune_cache(model, text(1), [5], [0.1], [0.1])
