"""The AWD models as a whole: shapes as published, evaluation by hand, training that respects what is dropped."""

import copy
import dataclasses
import warnings

import pytest
import torch
import torch.nn.functional as F

import lmtutor as lm
from lmtutor.models import build_model, model_config
from lmtutor.models.awd import HALF_FROM, PROBABILITIES, AWDConfig, unregularised
from lmtutor.models.base import detach
from lmtutor.models.registry import config_from_dict, config_to_dict
from lmtutor.system.errors import LMTutorError
from lmtutor.system.machine import has_bfloat16
from lmtutor.training.checkpoint import load_checkpoint, model_tensors, save_checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.session import fit
from tests.helpers import tiny_corpus

T, B, V = 6, 3, 10
SMALL = AWDConfig(embedding=6, hidden=9, layers=3)


@pytest.fixture(autouse=True)
def no_warnings():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def small(cell="lstm", **changes):
    return build_model(dataclasses.replace(SMALL, cell=cell, **changes), V)


def batch():
    ids = torch.randint(0, V, (T + 1, B))
    return ids[:-1], ids[1:]


@pytest.mark.parametrize(
    ("name", "vocab", "parameters"),
    [
        # 3 layers: 4(400+1150)·1150 + 4(1150+1150)·1150 + 4(1150+400)·400, two biases each, V(400+1) tied
        ("awd-lstm-1150", 33_278, 33_556_078),
        ("awd-lstm", 10_000, 24_221_600),
    ],
)
def test_the_published_sizes(name, vocab, parameters):
    with torch.device("meta"):
        model = build_model(name, vocab)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_presets_have_the_published_dropouts():
    c = model_config("awd-lstm-1150")
    values = (c.embedding_dropout, c.input_dropout, c.hidden_dropout, c.output_dropout, c.weight_drop, c.alpha, c.beta)
    assert values == (0.1, 0.65, 0.2, 0.4, 0.5, 2, 1)
    q = model_config("awd-qrnn-1550")
    assert (q.cell, q.hidden, q.layers, q.weight_drop, q.window) == ("qrnn", 1550, 4, 0.1, 2)
    with torch.device("meta"):
        qrnn = build_model("awd-qrnn", 100)
    assert [layer.window for layer in qrnn.layers] == [2, 1, 1, 1]
    assert [layer.hidden_size for layer in qrnn.layers] == [1550, 1550, 1550, 400]


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
def test_evaluation_is_a_plain_stack(cell):
    model = small(cell).eval()
    inputs, targets = batch()
    hidden = F.embedding(inputs, model.embedding.weight)
    for layer, state in zip(model.layers, model.initial_state(B), strict=True):
        hidden, _ = layer(hidden, state)
    logits = hidden @ model.embedding.weight.T + model.head.bias
    expected = logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    ours, _ = model.target_log_probs(inputs, targets, model.initial_state(B))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
    nats, _, _ = model.loss(inputs, targets, model.initial_state(B))
    assert nats.item() == pytest.approx(-expected.mean().item(), abs=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
def test_pieces_read_on_from_the_state(cell):
    model = small(cell).eval()
    inputs, _ = batch()
    whole, _ = model(inputs, model.initial_state(B))
    first, state = model(inputs[:1], model.initial_state(B))
    second, _ = model(inputs[1:], detach(state))
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
@pytest.mark.parametrize(
    ("name", "places"),  # 0 to 2: what the three layers read; 3: what the head reads
    [("embedding_dropout", [0]), ("input_dropout", [0]), ("hidden_dropout", [1, 2]), ("output_dropout", [3])],
)
def test_each_dropout_acts_at_its_own_place(cell, name, places):
    model = small(cell, **{**dict.fromkeys(PROBABILITIES, 0.0), name: 0.5})
    read = []
    for layer in model.layers:
        layer.register_forward_pre_hook(lambda _, arguments: read.append(arguments[0].detach()))
    inputs = batch()[0]
    _, dropped, _ = model.read(inputs, model.initial_state(B))
    gone = [x == 0 for x in (*read, dropped)]
    assert [place for place, holes in enumerate(gone) if holes.any()] == places
    for holes in (gone[place] for place in places):
        if name == "embedding_dropout":
            assert (holes == holes[..., :1]).all() and not holes.all()  # whole vectors
        else:
            assert (holes == holes[0]).all() and not holes.all()  # the same units at every step


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
def test_weight_drop_cuts_weights_of_every_layer_anew_for_each_batch(cell):
    model = small(cell, **{**dict.fromkeys(PROBABILITIES, 0.0), "weight_drop": 0.5})
    weights = [layer.gates.weight if cell == "qrnn" else layer.weight_hh_l0 for layer in model.layers]
    inputs, targets = batch()
    cut = []
    for _ in range(2):
        model.zero_grad()
        model.loss(inputs, targets, model.initial_state(B))[0].backward()
        cut.append([w.grad == 0 for w in weights])
    for first, second in zip(*cut, strict=True):
        assert 0.3 < first.float().mean() < 0.7 and not torch.equal(first, second)


def step_by_step(model, inputs, targets):
    """Loss and penalty of a training step as the papers write them, one time step after the other; the masks drawn."""
    c, x = model.config, model.embedding.weight[inputs]

    def mask(p, *shape):
        return torch.empty(shape, dtype=x.dtype).bernoulli_(1 - p) / (1 - p)

    x = x * mask(c.embedding_dropout, V)[inputs][..., None]
    x = x * mask(c.input_dropout, 1, *x.shape[1:])
    for depth, layer in enumerate(model.layers):
        h = cell = x.new_zeros(B, layer.hidden_size)
        raw = []
        if c.cell == "qrnn":
            weight = F.dropout(layer.gates.weight, c.weight_drop)
            zone = torch.empty(T, B, layer.hidden_size, dtype=x.dtype).bernoulli_(1 - c.zoneout)
            padded = [x.new_zeros(B, x.shape[2])] * (layer.window - 1) + list(x)
            for t in range(T):
                seen = torch.cat(padded[t : t + layer.window], dim=1)
                z, f, o = (seen @ weight.T + layer.gates.bias).chunk(3, dim=1)
                f = torch.where(zone[t] == 0, 1.0, f.sigmoid())  # a zoned-out unit keeps its cell
                cell = f * cell + (1 - f) * z.tanh()
                raw.append(o.sigmoid() * cell)
        else:
            weight = F.dropout(layer.weight_hh_l0, c.weight_drop)
            for t in range(T):
                gates = x[t] @ layer.weight_ih_l0.T + h @ weight.T + layer.bias_ih_l0 + layer.bias_hh_l0
                i, f, g, o = gates.chunk(4, dim=1)
                cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
                h = o.sigmoid() * cell.tanh()
                raw.append(h)
        raw = torch.stack(raw)
        x = raw * mask(c.output_dropout if depth == c.layers - 1 else c.hidden_dropout, 1, *raw.shape[1:])
    logits = x @ model.embedding.weight.T + model.head.bias
    penalty = c.alpha * (x**2).mean() + c.beta * ((raw[1:] - raw[:-1]) ** 2).mean()
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten()), penalty


@pytest.mark.parametrize("cell", ["lstm", "qrnn"])
def test_a_training_step_with_every_regulariser_is_that_of_a_loop(cell):
    model = small(cell, window=3, zoneout=0.3 if cell == "qrnn" else 0.0).double()
    inputs, targets = batch()
    torch.manual_seed(7)
    nats, penalty, _ = model.loss(inputs, targets, model.initial_state(B))
    torch.manual_seed(7)
    expected = step_by_step(model, inputs, targets)
    torch.testing.assert_close((nats, penalty), expected, rtol=0, atol=1e-12)
    ours, theirs = (torch.autograd.grad(sum(x), list(model.parameters())) for x in ((nats, penalty), expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_zoneout_reaches_every_quasi_recurrent_layer():
    model = small("qrnn", **{**dict.fromkeys(PROBABILITIES, 0.0), "zoneout": 0.5})
    out = []
    for layer in model.layers:
        layer.register_forward_hook(lambda _, arguments, result: out.append(result[0].detach()))
    model(batch()[0], model.initial_state(B))
    for hidden in out:  # a unit that keeps its first cell keeps the zero it began with
        assert 0.2 < (hidden[0] == 0).float().mean() < 0.8


def test_ar_reads_the_dropped_and_tar_the_raw_output():
    inputs, targets = batch()
    model = small(output_dropout=0.9, alpha=1.0, beta=1.0)
    torch.manual_seed(4)
    raw, dropped, _ = model.read(inputs, model.initial_state(B))
    torch.manual_seed(4)
    _, penalty, _ = model.loss(inputs, targets, model.initial_state(B))
    expected = dropped.square().mean() + (raw[1:] - raw[:-1]).square().mean()
    assert (dropped == 0).float().mean() > 0.6 and (raw != 0).all()
    assert penalty.item() == pytest.approx(expected.item())
    without = small(alpha=0.0, beta=0.0)
    assert without.loss(inputs, targets, without.initial_state(B))[1] == 0


def test_embedding_dropout_leaves_the_tied_decoder_whole():
    model = small(embedding_dropout=0.8)
    hidden = torch.randn(4, 2, 6)
    inside = []
    model.embedding.register_forward_hook(lambda *_: inside.append(model.head.log_probs(hidden)))
    model(batch()[0], model.initial_state(B))
    assert model.head.weight is model.embedding.weight
    torch.testing.assert_close(inside[0], (hidden @ model.embedding.weight.T + model.head.bias).log_softmax(-1))
    # and through the loss: a type that was dropped from the lookup is still learned as a target
    inputs, targets = torch.zeros(T, B, dtype=torch.long), torch.ones(T, B, dtype=torch.long)
    model.loss(inputs, targets, model.initial_state(B))[0].backward()
    assert (model.embedding.weight.grad != 0).any(1).all()


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
def test_every_parameter_learns_and_the_whole_survives_copies_and_checkpoints(cell, tmp_path):
    corpus = tiny_corpus()
    model = build_model(dataclasses.replace(SMALL, cell=cell, weight_drop=0.3), corpus.vocab)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    config = TrainConfig(epochs=1, optimizer="nt-asgd", lr=1.0, bptt=12, batch_size=5, random_bptt=True)
    fit(model, corpus, config, progress=False)
    for name, p in model.named_parameters():
        assert not torch.equal(p, before[name]), name
    twin = copy.deepcopy(model)
    save_checkpoint(tmp_path, model, corpus.vocab)
    loaded, _ = load_checkpoint(tmp_path)
    reference = lm.evaluate(model, corpus.valid).nats
    assert loaded.config == model.config
    assert lm.evaluate(loaded, corpus.valid).nats == lm.evaluate(twin, corpus.valid).nats == reference
    assert set(model_tensors(model)) == {name for name in model.state_dict() if name != "head.weight"}
    lm.generate(model, corpus.vocab, "a b", 5, seed=1)


def test_resume_in_the_middle_of_an_epoch_draws_the_same_masks(tmp_path, monkeypatch):
    from lmtutor.training.loop import Trainer

    monkeypatch.setattr("lmtutor.training.session.LOOK_EVERY", 1)
    corpus, config = tiny_corpus(), TrainConfig(epochs=2, optimizer="nt-asgd", lr=1.0, bptt=12, batch_size=5)

    def fresh():
        torch.manual_seed(1)
        return build_model(dataclasses.replace(SMALL, cell="qrnn", zoneout=0.1), corpus.vocab)

    whole, step = fresh(), Trainer.train_step
    fit(whole, corpus, config, progress=False)

    def stopping(self, batch, done):
        self.stop = self.epoch == 1 and self.step == 6
        return step(self, batch, done)

    monkeypatch.setattr(Trainer, "train_step", stopping)
    assert fit(fresh(), corpus, config, out=tmp_path, progress=False).attrs["interrupted"]
    monkeypatch.setattr(Trainer, "train_step", step)
    again = fresh()
    fit(again, corpus, config, out=tmp_path, resume=True, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_regularisers_close_the_gap_between_training_and_validation():
    """On a text of 300 tokens without any pattern, a big model learns by heart unless it is kept from it."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 10, (900,), generator=generator)
    corpus = dataclasses.replace(tiny_corpus(), train=ids[:300], valid=ids[300:600], test=ids[600:])
    config = AWDConfig(embedding=32, hidden=64, layers=2, input_dropout=0.4)
    training = TrainConfig(epochs=150, optimizer="adam", lr=0.01, schedule="constant", bptt=20, batch_size=5, clip=1.0)
    losses = {}
    for name, shape in (("with", config), ("without", unregularised(config))):
        torch.manual_seed(0)
        model = build_model(shape, corpus.vocab)
        losses[name] = fit(model, corpus, training, progress=False).iloc[-1]
    assert losses["without"].train_loss < 0.5 < 1.2 < losses["with"].train_loss
    assert losses["with"].valid_loss < losses["without"].valid_loss - 1


def test_bad_settings_say_so():
    with pytest.raises(LMTutorError, match="gru, lstm, qrnn"):
        AWDConfig(cell="rnn")
    with pytest.raises(LMTutorError, match=r"weight_drop must be .*got 1.0"):
        AWDConfig(weight_drop=1.0)
    with pytest.raises(LMTutorError, match=r"alpha must be .*got -1"):
        AWDConfig(alpha=-1.0)
    with pytest.raises(LMTutorError, match=r"layers must be .*got 0"):
        AWDConfig(layers=0)


def test_a_sampled_head_trains_and_its_scores_are_exact():
    corpus = tiny_corpus()
    model = build_model("awd-lstm-600", corpus.vocab, head="sampled", embedding=16, hidden=24)
    before = lm.evaluate(model, corpus.valid).nats
    config = TrainConfig(epochs=2, optimizer="adam", lr=0.01, bptt=12, batch_size=5, precision="float32")
    fit(model, corpus, config, progress=False)
    twin = build_model("awd-lstm-600", corpus.vocab, embedding=16, hidden=24)
    twin.load_state_dict(model.state_dict())
    assert lm.evaluate(twin, corpus.valid).nats == lm.evaluate(model, corpus.valid).nats < before


@pytest.mark.parametrize("head", ["adaptive", "split"])
def test_heads_in_clusters_are_fields_of_the_config(head):
    corpus = tiny_corpus()
    model = build_model("awd-lstm-600", corpus.vocab, head=head, cutoffs=[3, 7], embedding=16, hidden=24)
    assert config_from_dict(config_to_dict(model.config)) == model.config and model.config.cutoffs == (3, 7)
    before = lm.evaluate(model, corpus.valid).nats
    fit(model, corpus, TrainConfig(epochs=1, optimizer="adam", lr=0.01, bptt=12, batch_size=5), progress=False)
    assert lm.evaluate(model, corpus.valid).nats < before


@pytest.mark.skipif(not has_bfloat16(), reason="needs a processor that multiplies bfloat16")
def test_large_layers_in_bfloat16_have_nearly_the_same_gradients():
    model = build_model("awd-lstm-600", 50, layers=2, hidden=200, embedding_dropout=0.0)
    assert model.layers[0].weight_hh_l0.numel() >= HALF_FROM
    inputs, targets = torch.randint(0, 50, (2, 20, 8))
    found = {}
    for precision in ("float32", "bfloat16"):
        model.head.precision = precision
        torch.manual_seed(1)  # the same masks
        nats, penalty, _ = model.loss(inputs, targets, model.initial_state(8))
        found[precision] = torch.autograd.grad(nats + penalty, list(model.parameters()))
    for exact, half in zip(*found.values(), strict=True):
        assert half.dtype == torch.float32
        assert (half - exact).norm() < 0.02 * exact.norm()
    assert any(not torch.equal(exact, half) for exact, half in zip(*found.values(), strict=True))
