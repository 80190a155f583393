"""Matrix states against sums over the past and a step at a time; chunks, gradients, carried states, whole models."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lmtutor.models import build_model, matrix_state
from lmtutor.models.attention import TransformerConfig
from lmtutor.models.matrix_state import MatrixState, in_chunks, in_steps
from lmtutor.models.qrnn import forget_mult
from lmtutor.models.registry import config_from_dict, config_to_dict
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError
from lmtutor.training.checkpoint import load_checkpoint, save_checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.session import fit
from tests.helpers import assert_pieces_are_the_whole, tiny_corpus

MIXERS = ["gated", "delta", "min-gru", "min-lstm", "rglru"]
SMALL = TransformerConfig(embedding=12, hidden=20, layers=2, heads=3, dropout=0.0, units=4)


def parts(steps, batch, heads, d, delta, seed=0, spread=1.0):
    """q, k, v, log f, β or None, S: random, keys of length 1, float64."""
    make = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(batch, heads, *shape, generator=make, dtype=torch.float64)

    q, k, v, S = draw(steps, d), F.normalize(draw(steps, d), dim=-1), draw(steps, d), draw(d, d)
    log_f = F.logsigmoid(spread * draw(steps))
    return [part.requires_grad_() for part in (q, k, v, log_f, *([draw(steps).sigmoid()] if delta else []), S)]


def run(form, inputs, delta):
    return form(*inputs) if delta else form(*inputs[:4], None, inputs[4])


@pytest.mark.parametrize("delta", [False, True])
@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 100), batch=st.integers(1, 3), heads=st.integers(1, 2), d=st.integers(1, 6),
    seed=st.integers(0, 99), spread=st.floats(0, 40), chunk=st.sampled_from([1, 7, 32]),
)  # fmt: skip
def test_chunks_and_their_gradients_are_the_steps(delta, steps, batch, heads, d, seed, spread, chunk):
    """Forgetting between hardly and e^-40 a step, which naive quotients of products do not survive."""
    inputs = parts(steps, batch, heads, d, delta, seed, spread)
    weight = torch.randn(batch, heads, steps, d, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_state, "CHUNK", chunk)
        chunks = run(in_chunks, inputs, delta)
    loop = run(in_steps, inputs, delta)
    got, expected = (torch.autograd.grad((out * weight).sum() + S.sum(), inputs) for out, S in (chunks, loop))
    for ours, theirs in zip((*chunks, *got), (*loop, *expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_without_a_gate_it_is_attention_without_a_softmax():
    q, k, v, _, S = parts(9, 1, 1, 4, delta=False)
    out, _ = in_chunks(q, k, v, torch.zeros(1, 1, 9, dtype=torch.float64), None, torch.zeros_like(S))
    torch.testing.assert_close(out, (q @ k.mT).tril() @ v, rtol=0, atol=1e-12)


def test_heads_of_one_unit_are_the_qrnns_pooling():
    f, z = torch.rand(20, 2, 5, dtype=torch.float64), torch.randn(20, 2, 5, dtype=torch.float64)
    c0 = torch.randn(2, 5, dtype=torch.float64)
    ones = torch.ones(2, 5, 20, 1, dtype=torch.float64)
    f_, z_ = (part.permute(1, 2, 0) for part in (f, z))
    out, _ = in_chunks(ones, (1 - f_)[..., None], z_[..., None], f_.log(), None, c0[..., None, None])
    torch.testing.assert_close(out[..., 0].permute(2, 0, 1), forget_mult(f, z, c0), rtol=0, atol=1e-12)


def test_the_delta_rule_replaces_what_a_key_held():
    """With β = 1 and keys at right angles the state is a dictionary: the last value of each key, and no other."""
    order = torch.tensor([0, 1, 0, 2, 1, 1])
    keys, values = torch.eye(4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    k, v = keys[order][None, None], values[None, None]
    zeros, S = torch.zeros(1, 1, 6, dtype=torch.float64), torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    for form in (in_steps, in_chunks):
        _, last = form(k, k, v, zeros, zeros + 1, S)
        torch.testing.assert_close(last[0, 0], torch.stack([values[2], values[5], values[3], values[0] * 0]))
        _, summed = form(k, k, v, zeros, None, S)
        torch.testing.assert_close(summed[0, 0, 1], values[1] + values[4] + values[5])


@pytest.mark.parametrize("delta", [False, True])
def test_layer_in_pieces_is_the_layer_at_once(delta):
    torch.manual_seed(0)
    layer = MatrixState(6, heads=2, units=3, delta=delta).double()
    with torch.no_grad():
        layer.shift.normal_()
    assert_pieces_are_the_whole(layer, torch.randn(70, 3, 6, dtype=torch.float64))


@pytest.mark.parametrize("mixer", MIXERS)
def test_everything_works_as_for_every_model(mixer, tmp_path):
    corpus = tiny_corpus()
    config = TrainConfig(epochs=2, optimizer="adam", lr=0.01, schedule="constant", bptt=10, batch_size=4, clip=1.0)
    torch.manual_seed(0)
    model = build_model(SMALL, corpus.vocab, mixer=mixer, dropout=0.1)
    assert config_from_dict(config_to_dict(model.config)) == model.config
    history = fit(model, corpus, config, out=tmp_path / "a", progress=False)
    assert history["valid_loss"].iloc[-1] < history["valid_loss"].iloc[0] < math.log(len(corpus.vocab))
    torch.manual_seed(0)
    parts = build_model(SMALL, corpus.vocab, mixer=mixer, dropout=0.1)
    fit(parts, corpus, TrainConfig(**{**config.__dict__, "epochs": 1}), out=tmp_path / "b", progress=False)
    again = fit(parts, corpus, config, out=tmp_path / "b", resume=True, progress=False)
    assert again["valid_loss"].tolist() == history["valid_loss"].tolist()

    save_checkpoint(tmp_path / "c", model.eval(), corpus.vocab)
    loaded, _ = load_checkpoint(tmp_path / "c")
    assert evaluate(loaded, corpus.test).nats == evaluate(model, corpus.test).nats

    ids = corpus.vocab.encode_text("a b c")
    with torch.no_grad():
        for _ in range(12):  # everything is read again for each token
            log_probs, _ = model.next_log_probs(ids[:, None], model.initial_state(1))
            ids = torch.cat([ids, log_probs.argmax(1)])
    greedy = generate(model, corpus.vocab, "a b c", 12, temperature=0, unk=True)
    assert greedy == corpus.vocab.decode_text(ids)
    assert generate(model, corpus.vocab, "a b c", 12, beam=1, unk=True) == greedy
    assert generate(model, corpus.vocab, "a b c", 12, beam=3, unk=True)

    cached = evaluate(NeuralCache(model, window=8, theta=0.3, lam=0.2), corpus.test[:60])
    assert math.isfinite(cached.nats) and cached.nats != evaluate(model, corpus.test[:60]).nats


@pytest.mark.parametrize("mixer", MIXERS)
def test_bfloat16_products_are_for_training_alone_and_stay_close(mixer):
    torch.manual_seed(0)
    model = build_model(SMALL, 11, mixer=mixer).eval()
    inputs, state = torch.randint(11, (40, 2)), model.initial_state(2)
    exact = model(inputs, state)[0]
    model.train().head.precision = "bfloat16"
    rough, carried = model(inputs, state)
    assert rough.dtype == torch.float32 and not torch.equal(rough, exact)
    assert (rough - exact).abs().mean() < 0.02
    model(inputs, carried)


def test_an_unknown_mixer_says_which_there_are():
    with pytest.raises(LMTutorError, match="Did you mean 'delta'"):
        build_model(SMALL, 10, mixer="dleta")
    with pytest.raises(LMTutorError, match="from 1 to"):
        build_model(SMALL, 10, units=0)
