"""RecurrentLM against torch's own modules, put together by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmtutor.models import build_model, describe, model_names
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.models.registry import config_from_dict, config_to_dict, outline
from lmtutor.system.errors import LMTutorError

SMALL = dict(embedding=6, hidden=7, layers=2, dropout=0.0)


def reference(model, inputs, cell):
    """Logits of an embedding, torch's own two-layer module and a linear map with the model's weights."""
    c = model.config
    stack = cell(c.embedding, c.hidden, num_layers=2)
    for layer in (0, 1):
        for name, value in model.layers[layer].named_parameters():
            getattr(stack, name.replace("_l0", f"_l{layer}")).data.copy_(value)
    hidden, _ = stack(F.embedding(inputs, model.embedding.weight))
    return F.linear(hidden, model.head.weight, model.head.bias)


@pytest.mark.parametrize("name, cell", [("lstm", nn.LSTM), ("gru", nn.GRU), ("rnn-tanh", nn.RNN)])
def test_loss_and_gradients_are_those_of_torchs_own_stack(name, cell):
    torch.manual_seed(0)
    model = build_model(RecurrentConfig(cell=name, tied=False, **SMALL), 11)
    inputs, targets = torch.randint(11, (5, 3)), torch.randint(11, (5, 3))
    nats, penalty, _ = model.loss(inputs, targets, model.initial_state(3))
    expected = F.cross_entropy(reference(model, inputs, cell).flatten(0, 1), targets.flatten())
    assert penalty == 0
    torch.testing.assert_close(nats, expected, atol=1e-6, rtol=1e-6)
    ours = torch.autograd.grad(nats, model.embedding.weight)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(expected, model.embedding.weight)[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn-tanh", "rnn-relu"])
def test_reading_in_two_halves_is_reading_at_once(cell):
    torch.manual_seed(0)
    model = build_model(RecurrentConfig(cell=cell, **SMALL), 11)
    inputs = torch.randint(11, (8, 3))
    whole, last = model(inputs, model.initial_state(3))
    first, state = model(inputs[:5], model.initial_state(3))
    second, end = model(inputs[5:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_reading_step_by_step_without_gradient_is_reading_at_once(cell):
    torch.manual_seed(0)
    model = build_model(RecurrentConfig(cell=cell, **SMALL), 11)
    inputs, state = torch.randint(11, (6, 3)), model.initial_state(3)
    whole, last = model(inputs, state)
    steps = []
    with torch.no_grad():
        for row in inputs:
            hidden, state = model(row[None], state)
            steps.append(hidden)
    torch.testing.assert_close(torch.cat(steps), whole)
    torch.testing.assert_close(state, last)


def test_a_tied_model_has_one_matrix_and_both_uses_train_it():
    model = build_model(RecurrentConfig(tied=True, **SMALL), 11)
    assert model.head.weight is model.embedding.weight
    assert model.layers[-1].hidden_size == model.config.embedding
    inputs, targets = torch.tensor([[1], [2]]), torch.tensor([[2], [3]])
    model.loss(inputs, targets, model.initial_state(1))[0].backward()
    moved = model.embedding.weight.grad.abs().sum(1) > 0
    assert moved.all()  # the softmax moves every row, not only the rows that were read


def test_the_models_own_parameter_counts():
    # 33,278·200 embedding + bias, two layers of 4·(200·200 + 200·200 + 200 + 200)
    model = build_model("lstm-200", 33_278)
    total = 33_278 * 200 + 33_278 + 2 * 4 * (200 * 400 + 400)
    assert describe(model)["numbers"].iloc[-1] == total == sum(p.numel() for p in model.parameters())


def test_dropout_acts_in_training_alone():
    model = build_model("lstm-200", 11, embedding=6, hidden=6, dropout=0.5)
    inputs, state = torch.zeros(4, 2, dtype=torch.long), model.initial_state(2)
    assert not torch.equal(model(inputs, state)[0], model(inputs, state)[0])
    model.eval()
    assert torch.equal(model(inputs, state)[0], model(inputs, state)[0])


@pytest.mark.parametrize("name", model_names())
def test_every_preset_goes_through_its_dictionary_and_back(name):
    from lmtutor.models import model_config

    config = model_config(name)
    assert config_from_dict(config_to_dict(config)) == config


@pytest.mark.parametrize(
    "name, changes, says",
    [
        ("lstm-20", {}, "Did you mean 'lstm-200'"),
        ("lstm-200", {"hiden": 5}, "Did you mean 'hidden'"),
        ("lstm-200", {"hidden": "5"}, "wants int, not str"),
        ("lstm-200", {"hidden": True}, "wants int, not bool"),
        ("lstm-200", {"hidden": 0}, "from 1 to"),
        ("lstm-200", {"dropout": 1.0}, "below 1"),
        ("lstm-200", {"cell": "lstmm"}, "Did you mean 'lstm'"),
    ],
)
def test_wrong_names_and_values_say_what_to_do(name, changes, says):
    with pytest.raises(LMTutorError, match=says):
        build_model(name, 10, **changes)


def test_a_bug_in_a_model_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("lmtutor.models.recurrent.make_head", lambda *arguments: None + 1)
    for build in (build_model, outline):
        with pytest.raises(TypeError, match="NoneType"):
            build(RecurrentConfig(), 10)


def test_an_outline_has_the_shapes_and_takes_no_memory():
    config = RecurrentConfig(embedding=100_000, hidden=100_000)
    model = outline(config, 1000)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert model.layers[0].weight_ih_l0.shape == (400_000, 100_000)
