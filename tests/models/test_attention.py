"""TransformerLM against torch's own attention, against loops written out, and against itself read in another way."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmtutor.models import build_model
from lmtutor.models.attention import Attention, TransformerConfig, rotate, turns
from lmtutor.models.registry import config_from_dict, config_to_dict
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError
from lmtutor.training.checkpoint import load_checkpoint, save_checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.loop import Trainer
from lmtutor.training.session import fit
from tests.helpers import tiny_corpus

SMALL = TransformerConfig(embedding=12, hidden=20, layers=2, heads=3, context=5, dropout=0.0)


def small_model(seed=0, vocab=11, **changes):
    torch.manual_seed(seed)
    return build_model(SMALL, vocab, **changes).eval()


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_and_its_gradients_are_those_of_torch(heads):
    torch.manual_seed(0)
    ours, theirs = Attention(12, heads, context=7, rotary=False), nn.MultiheadAttention(12, heads)
    theirs.in_proj_weight.data.copy_(ours.inner.weight)
    theirs.in_proj_bias.data.copy_(ours.inner.bias)
    theirs.out_proj.load_state_dict(ours.outer.state_dict())
    x, weight = torch.randn(7, 4, 12), torch.randn(7, 4, 12)
    got, _ = ours(x, ours.initial_state(4))
    hidden = nn.Transformer.generate_square_subsequent_mask(7)
    expected, _ = theirs(x, x, x, attn_mask=hidden, is_causal=True, need_weights=False)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    (got * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.inner.weight.grad, theirs.in_proj_weight.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("changes", [dict(norm_first=False, activation="relu"), dict()], ids=["2017", "ours"])
def test_a_stack_and_its_gradients_are_those_of_torchs_encoder(changes):
    """With torch's own layers, and with positions written out from the paper's formula."""
    model = small_model(rotary=False, sinusoidal=True, context=9, **changes).double()
    norm_first, activation = model.config.norm_first, model.config.activation
    layer = nn.TransformerEncoderLayer(12, 3, 20, 0.0, activation, norm_first=norm_first, dtype=torch.float64)
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(12) if norm_first else None, enable_nested_tensor=False)
    for ours, theirs in zip(model.layers, encoder.layers, strict=True):
        names = dict(zip(("norm1", "norm2"), ours.norms, strict=True), linear1=ours.feed_forward[0])
        for name, part in {**names, "linear2": ours.feed_forward[2]}.items():
            nn.init.normal_(part.weight)
            getattr(theirs, name).load_state_dict(part.state_dict())
        theirs.self_attn.in_proj_weight.data.copy_(ours.attention.inner.weight)
        theirs.self_attn.in_proj_bias.data.copy_(ours.attention.inner.bias)
        theirs.self_attn.out_proj.load_state_dict(ours.attention.outer.state_dict())
    places = [[(math.sin, math.cos)[j % 2](t / 10_000 ** ((j - j % 2) / 12)) for j in range(12)] for t in range(9)]
    inputs, weight = torch.randint(11, (9, 4)), torch.randn(9, 4, 12, dtype=torch.float64)
    vectors = model.embedding.weight[inputs] * math.sqrt(12) + torch.tensor(places, dtype=torch.float64)[:, None]
    mask = nn.Transformer.generate_square_subsequent_mask(9, dtype=torch.float64)
    expected, (got, _) = encoder.double()(vectors, mask=mask), model(inputs, model.initial_state(4))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-10)
    (got * weight).sum().backward()
    gradient, model.embedding.weight.grad = model.embedding.weight.grad, None
    (expected * weight).sum().backward()
    torch.testing.assert_close(gradient, model.embedding.weight.grad, rtol=0, atol=1e-9)


def attend_by_loops(layer, x):
    """The equations for one column, a query, a head and a key at a time: x (T, E) → (T, E)."""
    size = x.shape[1]
    d = size // layer.heads
    q, k, v = (
        F.linear(x, w, b) for w, b in zip(layer.inner.weight.split(size), layer.inner.bias.split(size), strict=True)
    )
    out = torch.zeros_like(x)
    for t in range(len(x)):
        for head in range(layer.heads):
            own = slice(head * d, (head + 1) * d)
            seen = range(max(0, t - layer.context + 1), t + 1)
            scores = []
            for s in seen:
                product = 0.0
                for j in range(d // 2):  # as complex numbers: conj(q) k turned by the distance
                    a = torch.complex(q[t, own][j], q[t, own][j + d // 2])
                    b = torch.complex(k[s, own][j], k[s, own][j + d // 2])
                    angle = torch.tensor((s - t) * 10_000 ** (-2 * j / d))
                    product = product + (a.conj() * b * torch.polar(torch.tensor(1.0), angle)).real
                scores.append(product / math.sqrt(d))
            weights = torch.softmax(torch.stack(scores), 0)
            out[t, own] = sum(w * v[s, own] for w, s in zip(weights, seen, strict=True))
    return F.linear(out, layer.outer.weight, layer.outer.bias)


def read_by_loops(model, ids):
    """Log-probabilities after each token of one column, everything recomputed: (T,) → (T, V)."""
    x = model.embedding.weight[ids] * math.sqrt(model.config.embedding)
    for block in model.layers:
        x = x + attend_by_loops(block.attention, block.norms[0](x))
        x = x + block.feed_forward(block.norms[1](x))
    return F.log_softmax(F.linear(model.norm(x), model.head.weight, model.head.bias), -1)


@torch.no_grad()
def test_the_carried_state_scores_as_brute_force_over_the_same_context_does():
    model = small_model()
    ids = torch.randint(11, (23,))
    expected = read_by_loops(model, ids)[:-1].gather(1, ids[1:, None])[:, 0]
    state, got = model.initial_state(1), []
    for t in range(len(ids) - 1):  # a token at a time, keys and values carried
        log_probs, state = model.target_log_probs(ids[t].view(1, 1), ids[t + 1].view(1, 1), state)
        got.append(log_probs[0, 0])
        assert all(len(part) == min(t + 1, 4) for pair in state for part in pair)
    torch.testing.assert_close(torch.stack(got), expected, rtol=0, atol=1e-5)
    score = evaluate(model, ids)
    assert score.tokens == 22 and score.nats == pytest.approx(-expected.double().sum().item(), abs=1e-4)


@pytest.mark.parametrize("changes", [{}, dict(rotary=False), dict(rotary=False, sinusoidal=True, norm_first=False)])
@torch.no_grad()
def test_reading_in_pieces_is_reading_at_once(changes):
    model = small_model(**changes)
    inputs = torch.randint(11, (30, 3))
    whole, last = model(inputs, model.initial_state(3))
    for cut in ([1, 13, 2, 14], [1] * 30, [29, 1]):
        state, pieces = model.initial_state(3), []
        for piece in inputs.split(cut):
            hidden, state = model(piece, state)
            pieces.append(hidden)
        torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-5)
        torch.testing.assert_close(state, last, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_future_changes_nothing():
    model = small_model()
    inputs = torch.randint(11, (12, 2))
    changed = inputs.clone()
    changed[7:] = (inputs[7:] + 1) % 11
    before, after = (model(x, model.initial_state(2))[0] for x in (inputs, changed))
    assert torch.equal(before[:7], after[:7])
    assert not torch.isclose(before[7], after[7]).all(-1).any()


@torch.no_grad()
def test_a_layer_sees_its_context_and_no_further():
    model = small_model(layers=1)
    inputs = torch.randint(11, (12, 1))
    changed = inputs.clone()
    changed[3] = (inputs[3] + 1) % 11
    before, after = (model(x, model.initial_state(1))[0][:, 0] for x in (inputs, changed))
    same = torch.isclose(before, after, rtol=0, atol=1e-6).all(-1)
    assert same.tolist() == [not 3 <= t < 3 + SMALL.context for t in range(12)]


def test_a_rotated_product_knows_the_distance_alone():
    torch.manual_seed(0)
    q, k = torch.randn(8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    cos, sin = turns(50, 8, q)
    at = [[rotate(q, cos[t], sin[t]) @ rotate(k, cos[s], sin[s]) for s in range(50)] for t in range(50)]
    for distance in (0, 1, 7):
        products = torch.stack([at[t][t - distance] for t in range(distance, 50)])
        torch.testing.assert_close(products, products[0].expand_as(products))
    assert abs(at[9][9] - at[9][8]) > 1e-3
    assert at[0][0] == pytest.approx(float(q @ k)) == pytest.approx(float(at[30][30]))


def test_gradients_by_finite_differences():
    model = small_model(layers=1).double()
    inputs, targets = torch.randint(11, (4, 2)), torch.randint(11, (4, 2))

    def nats(inner, weight):
        changed = {"layers.0.attention.inner.weight": inner, "embedding.weight": weight}
        hidden, _ = torch.func.functional_call(model, changed, (inputs, model.initial_state(2)))
        return F.cross_entropy(F.linear(hidden, weight).flatten(0, 1), targets.flatten())

    wanted = [model.layers[0].attention.inner.weight, model.embedding.weight]
    assert torch.autograd.gradcheck(nats, [p.detach().clone().requires_grad_() for p in wanted])


def test_generation_with_the_carried_state_is_generation_without():
    corpus = tiny_corpus()
    model = small_model(vocab=len(corpus.vocab), context=64)
    text = generate(model, corpus.vocab, "a b c", 20, temperature=0, unk=True)
    ids = corpus.vocab.encode_text("a b c")
    with torch.no_grad():
        for _ in range(20):  # everything is read again for each token
            log_probs, _ = model.next_log_probs(ids[:, None], model.initial_state(1))
            log_probs[0, [i for i in (corpus.vocab.bos_id, corpus.vocab.pad_id) if i is not None]] = -math.inf
            ids = torch.cat([ids, log_probs.argmax(1)])
    assert text == corpus.vocab.decode_text(ids)


def test_beam_search_reorders_keys_and_values():
    corpus = tiny_corpus()
    model = small_model(vocab=len(corpus.vocab))
    text = generate(model, corpus.vocab, "a b", 6, beam=4, unk=True)
    ids = corpus.vocab.encode_text(text)
    paths = {tuple(corpus.vocab.encode_text("a b").tolist()): 0.0}
    with torch.no_grad():
        for _ in range(6):  # the same search, every member of the beam read from its beginning
            grown = {}
            for path, total in paths.items():
                column = torch.tensor(path)[:, None]
                log_probs, _ = model.next_log_probs(column, model.initial_state(1))
                grown.update({(*path, v): total + float(p) for v, p in enumerate(log_probs[0])})
            paths = dict(sorted(grown.items(), key=lambda item: -item[1])[:4])
    assert tuple(ids.tolist()) == max(paths, key=paths.get)


def test_it_trains_resumes_and_comes_back_from_a_checkpoint(tmp_path, monkeypatch):
    corpus = tiny_corpus()
    config = TrainConfig(
        epochs=2, optimizer="adam", lr=0.01, schedule="constant", bptt=10, batch_size=4, precision="float32"
    )
    torch.manual_seed(0)
    straight = build_model(SMALL, corpus.vocab, dropout=0.1)
    history = fit(straight, corpus, config, out=tmp_path / "a", progress=False)
    assert history["valid_loss"].iloc[-1] < history["valid_loss"].iloc[0] < math.log(len(corpus.vocab))

    torch.manual_seed(0)
    parts = build_model(SMALL, corpus.vocab, dropout=0.1)
    one = TrainConfig(**{**config.__dict__, "epochs": 1})
    fit(parts, corpus, one, out=tmp_path / "b", progress=False)
    again = fit(parts, corpus, config, out=tmp_path / "b", resume=True, progress=False)
    assert again["valid_loss"].tolist() == history["valid_loss"].tolist()

    step = Trainer.train_step

    def stopping(self, batch, done):
        self.stop = (self.epoch, self.step) == (1, 7)  # with keys and values of earlier batches in its state
        return step(self, batch, done)

    monkeypatch.setattr(Trainer, "train_step", stopping)
    torch.manual_seed(0)
    cut = build_model(SMALL, corpus.vocab, dropout=0.1)
    assert fit(cut, corpus, config, out=tmp_path / "d", progress=False).attrs["interrupted"]
    monkeypatch.setattr(Trainer, "train_step", step)
    resumed = fit(cut, corpus, config, out=tmp_path / "d", resume=True, progress=False)
    assert resumed["valid_loss"].tolist() == history["valid_loss"].tolist()

    save_checkpoint(tmp_path / "c", straight, corpus.vocab)
    loaded, _ = load_checkpoint(tmp_path / "c")
    assert evaluate(loaded, corpus.test).nats == evaluate(straight, corpus.test).nats


@torch.no_grad()
def test_the_neural_cache_wraps_it():
    model = small_model()
    ids = torch.randint(11, (40,))
    cache = NeuralCache(model, window=8, theta=0.3, lam=0.2)
    hidden = model(ids[:-1, None], model.initial_state(1))[0][:, 0]
    p = F.softmax(F.linear(hidden, model.head.weight, model.head.bias), -1)
    nats = -float(p[0, ids[1]].log())
    for t in range(1, 39):
        seen = slice(max(0, t - 8), t)
        weights = torch.softmax(0.3 * hidden[seen] @ hidden[t], 0)
        cached = weights[ids[seen.start + 1 : t + 1] == ids[t + 1]].sum()
        nats -= float((0.8 * p[t, ids[t + 1]] + 0.2 * cached).log())
    assert evaluate(cache, ids).nats == pytest.approx(nats, abs=1e-3)


def test_bfloat16_products_are_for_training_alone_and_stay_close(monkeypatch):
    model = small_model()
    inputs, state = torch.randint(11, (9, 2)), model.initial_state(2)
    exact = model(inputs, state)[0]
    model.train()
    assert torch.equal(model(inputs, state)[0], exact)
    model.head.precision = "bfloat16"
    rough, (pair, *_) = model(inputs, state)
    assert rough.dtype == pair[0].dtype == torch.float32 and not torch.equal(rough, exact)
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.06)
    assert torch.equal(model.eval()(inputs, state)[0], exact)


def test_dropout_acts_in_training_alone():
    model = small_model(dropout=0.5)
    inputs, state = torch.randint(11, (6, 2)), model.initial_state(2)
    assert torch.equal(model(inputs, state)[0], model(inputs, state)[0])
    model.train()
    assert not torch.equal(model(inputs, state)[0], model(inputs, state)[0])


def test_a_tied_model_has_one_matrix_and_the_number_of_parameters_that_the_shape_says():
    model = build_model("transformer-96", 1000)
    assert model.head.weight is model.embedding.weight
    E, H = 96, 576
    layer = 4 * E * E + 4 * E + 2 * E * H + E + H + 4 * E  # attention; the two maps; the two norms
    assert sum(p.numel() for p in model.parameters()) == 1000 * E + 1000 + 4 * layer + 2 * E


def test_config_goes_through_its_dictionary_and_back():
    assert config_from_dict(config_to_dict(SMALL)) == SMALL


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"heads": 5}, "multiple of 10"),
        ({"heads": 5, "rotary": False}, "multiple of 5"),
        ({"context": 0}, "from 1 to"),
        ({"activation": "rel"}, "Did you mean 'relu'"),
        ({"mixer": "delta", "sinusoidal": True}, "counts no positions"),
        ({"dropout": 1.0}, "below 1"),
        ({"head": 2}, "Did you mean 'heads'"),
    ],
)
def test_bad_shapes_say_what_to_do(changes, says):
    with pytest.raises(LMTutorError, match=says):
        build_model(SMALL, 10, **changes)
