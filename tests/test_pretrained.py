"""Packed models: what rounding to eight bits does, and that the catalogue's files are the right ones."""

import math

import pytest
import torch

from lmtutor import LMTutorError, evaluate
from lmtutor.runs.pretrained import (
    catalogue_entry,
    find_pretrained,
    load_packed,
    load_pretrained,
    pack_model,
    pack_rows,
    pretrained_models,
    unpack_rows,
)
from tests.helpers import tiny_corpus, tiny_model


def test_a_weight_is_off_by_at_most_half_a_step_of_its_row():
    weights = {"w": torch.randn(50, 30) * torch.logspace(-4, 2, 50)[:, None], "b": torch.randn(50)}
    packed = pack_rows(weights)
    assert packed["w"].dtype == torch.int8
    back = unpack_rows(packed)
    half_step = weights["w"].abs().amax(1, keepdim=True) / 127 / 2
    assert ((back["w"] - weights["w"]).abs() <= half_step * 1.0001).all()
    assert torch.equal(back["b"], weights["b"])
    zeros = {"w": torch.zeros(3, 4)}
    assert torch.equal(unpack_rows(pack_rows(zeros))["w"], zeros["w"])


def test_a_packed_model_comes_back(tmp_path):
    corpus, model = tiny_corpus(), tiny_model()
    pack_model(tmp_path / "m", model, corpus.vocab, "# A card\n")
    loaded, vocab = load_packed(tmp_path / "m")
    assert vocab == corpus.vocab and loaded.head.weight is loaded.embedding.weight
    whole, packed = (evaluate(m, corpus.test).nats_per_token for m in (model, loaded))
    assert abs(whole - packed) < 0.003
    entry = catalogue_entry(tmp_path / "m", "a title", "CC0", "a/run")
    assert entry.startswith('[m]\ntitle = "a title"') and entry.count("sha256:") == 3


def test_a_scale_that_is_missing(tmp_path):
    packed = pack_rows({"w": torch.randn(3, 3)})
    del packed["w.scale"]
    with pytest.raises(LMTutorError, match="no scale for w"):
        unpack_rows(packed)


def test_unknown_names():
    with pytest.raises(LMTutorError, match="Unknown pretrained model .* Known: awd-lstm-wikitext-2"):
        find_pretrained("gpt-5")


@pytest.mark.parametrize("name", pretrained_models())
def test_every_model_of_the_catalogue_loads_and_predicts(name):
    entry = find_pretrained(name)
    assert not any(entry.problems().values())
    assert sum((entry.folder() / file).stat().st_size for file in entry.files) <= 16 << 20
    model, vocab = load_pretrained(name)
    start = torch.tensor([[vocab.eos_id if vocab.eos_id is not None else 0]])
    log_probs, _ = model.next_log_probs(start, model.initial_state(1))
    assert log_probs.shape == (1, len(vocab)) and math.isclose(log_probs.exp().sum(), 1, rel_tol=1e-4)
