"""What holds for every text, setting and file: sums of probabilities, no good end for divergence, no traceback."""

import dataclasses
import itertools
import math
import random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lmtutor.cli import commands
from lmtutor.models import NGramLM, build_model
from lmtutor.models.base import eval_mode
from lmtutor.models.ngram import SMOOTHINGS
from lmtutor.runs.run import Run
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import load_state
from lmtutor.training.config import TrainConfig
from lmtutor.training.resume import resume
from lmtutor.training.session import Session, fit
from tests.helpers import tiny_corpus, tiny_model

V = 7
MODELS = {
    **{name: dict(name="lstm-200", embedding=6, hidden=6, head=name) for name in ("softmax", "sampled")},
    **{name: dict(name="lstm-200", embedding=6, hidden=6, tied=False, head=name) for name in ("adaptive", "split")},
    "elman": dict(name="rnn-200", cell="elman-1990", embedding=6, hidden=6),
    "min-gru": dict(name="min-gru-200", embedding=6, hidden=6),
    "awd": dict(name="awd-lstm", embedding=6, hidden=8, layers=2),
    "awd-qrnn": dict(name="awd-qrnn", embedding=6, hidden=8, layers=2),
    "transformer": dict(name="transformer-200", embedding=8, hidden=8, heads=2, layers=1, context=5),
    "delta": dict(name="delta-200", embedding=8, hidden=8, heads=2, layers=1),
}
texts = st.lists(st.integers(0, V - 1), min_size=1, max_size=30)


def sums(model, ids):
    """The sum of the probabilities of all types after each token of a text, read step by step."""
    state, found = model.initial_state(1), []
    for token in ids:
        log_probs, state = model.next_log_probs(torch.tensor([[token]]), state)
        found.append(log_probs.double().exp().sum().item())
    return found


@pytest.mark.parametrize("name", MODELS)
@given(ids=texts, scale=st.sampled_from([1.0, 30.0]), seed=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_probabilities_sum_to_one_on_any_text(name, ids, scale, seed):
    torch.manual_seed(seed)
    options = dict(MODELS[name])
    model = build_model(options.pop("name"), V, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    with eval_mode(model):
        assert sums(model, ids) == pytest.approx([1.0] * len(ids), abs=1e-5)
        assert sums(NeuralCache(model, 4, 0.5, 0.3), ids) == pytest.approx([1.0] * len(ids), abs=1e-5)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@given(learned=texts, times=st.integers(1, 4), ids=texts, order=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_n_grams_sum_to_one_on_any_text(smoothing, learned, times, ids, order):
    """Also where a text is pasted several times, as people do."""
    text = torch.tensor(learned * times)
    if len(text) < order:
        return
    model = NGramLM(order, smoothing).fit(text, V)
    assert sums(model, ids) == pytest.approx([1.0] * len(ids), abs=1e-9)


RECIPE = """[corpus]
name = "text.txt"

[model]
name = "lstm-200"
embedding = 8
hidden = 8
layers = 1

[training]
batch_size = 4
bptt = 10
"""


@given(
    lr=st.sampled_from([0.01, 1.0, 20.0, 300.0, 1e5, 1e30]),
    optimizer=st.sampled_from(["sgd", "adam", "nt-asgd"]),
    clip=st.sampled_from([0.0, 0.25]),
    epochs=st.integers(1, 2),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_divergent_never_ends_with_exit_0(lr, optimizer, clip, epochs, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.chdir(folder)
    (folder / "text.txt").write_text("the cat sat on the mat .\na dog sat on a log .\n" * 60)
    (folder / "own.toml").write_text(RECIPE)
    changes = [f"lr={lr}", f"optimizer={optimizer}", f"clip={clip}", f"epochs={epochs}"]
    done = CliRunner().invoke(commands.app, ["train", "own.toml", *(word for c in changes for word in ("--set", c))])
    if done.exit_code == 0:
        run = Run(folder / "runs" / "own")
        guess = math.log(len(Vocabulary.load(run.path / "checkpoint" / "vocabulary.json")))
        assert all(run.score(split).nats_per_token < guess + 0.5 for split in ("valid", "test"))
    else:
        assert "diverged" in str(done.exception) and not (folder / "runs" / "own" / "result.json").exists()


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("value", [math.nan, -math.inf, -1e6])
def test_nor_does_what_breaks_in_the_very_last_step(value, epochs, tmp_path, monkeypatch):
    """Of two epochs the first is sound and stays as the best, but the run has no result."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the cat sat on the mat .\na dog sat on a log .\n" * 60)
    (tmp_path / "own.toml").write_text(RECIPE + "lr = 1.0\n")
    step, taken = Session.train_step, itertools.count(1)

    def spoilt(self, *batch):
        loss = step(self, *batch)
        if next(taken) == epochs * sum(1 for _ in self.batches()):
            with torch.no_grad():
                self.model.head.bias[3] = value
        return loss

    monkeypatch.setattr(Session, "train_step", spoilt)
    done = CliRunner().invoke(commands.app, ["train", "own.toml", "--set", f"epochs={epochs}"])
    assert isinstance(done.exception, Diverged) and next(taken) == epochs * 22 + 1
    assert not (tmp_path / "runs/own/result.json").exists()
    assert (tmp_path / "runs/own/checkpoint").exists() == (epochs == 2)


STRANGE = [None, True, 3, -1, 0.5, math.nan, "x", [], [1], {}, {"a": 1}, (1,), torch.zeros(2), torch.zeros(3).long()]
OPTIMIZERS = {
    "adam": dict(optimizer="adam", lr=0.01),
    "averaging": dict(optimizer="asgd", lr=0.5),
    "momentum": dict(optimizer="sgd", lr=0.5, momentum=0.5),
}


def paths(value, path=()):
    """The way to all that is inside nested dictionaries, lists and tuples, five steps deep."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in inside if len(path) < 5 else ():
        yield (*path, key)
        yield from paths(part, (*path, key))


def replaced(value, path, new):
    """The same with one part replaced."""
    if not path:
        return new
    if isinstance(value, dict):
        return {**value, path[0]: replaced(value[path[0]], path[1:], new)}
    return type(value)(replaced(part, path[1:], new) if i == path[0] else part for i, part in enumerate(value))


@pytest.mark.parametrize("options", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_state_in_which_anything_is_replaced_resumes_or_is_refused_in_a_line(options, tmp_path):
    """As somebody may write it who can also compute the file's checksum."""
    corpus, config = tiny_corpus(), TrainConfig(epochs=1, bptt=7, batch_size=4, **options)
    fit(tiny_model(), corpus, config, out=tmp_path, progress=False)
    state, refused = load_state(tmp_path / "state.safetensors"), 0
    everything = [(path, new) for path in paths(state) for new in STRANGE]
    for path, new in random.Random(1).sample(everything, 250):
        session = Session(tiny_model(), corpus, dataclasses.replace(config, epochs=2), tmp_path)
        try:
            resume(session, replaced(state, path, new))
        except LMTutorError:
            refused += 1
            continue
        session.train_step(next(iter(session.batches())), 0.5)
    assert refused > 100
