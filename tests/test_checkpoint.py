"""Checkpoints: what was saved comes back; what is damaged, foreign or hostile is refused in one line."""

import json
import pickle

import pytest
import torch

from lmtutor import load_checkpoint, save_checkpoint
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import write_atomically
from lmtutor.training.checkpoint import load_state, read_tensors, save_state
from tests.helpers import tiny_corpus, tiny_model


@pytest.fixture
def saved(tmp_path):
    model, vocab = tiny_model(), tiny_corpus().vocab
    save_checkpoint(tmp_path / "c", model, vocab)
    return tmp_path / "c", model, vocab


def test_a_model_comes_back_bit_for_bit(saved):
    path, model, vocab = saved
    loaded, words = load_checkpoint(path)
    assert words == vocab and loaded.config == model.config and not loaded.training
    for (name, ours), theirs in zip(loaded.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert loaded.head.weight is loaded.embedding.weight  # still one matrix


def test_saving_again_replaces(saved):
    path, model, vocab = saved
    with torch.no_grad():
        model.head.bias.add_(1)
    save_checkpoint(path, model, vocab)
    assert torch.equal(load_checkpoint(path)[0].head.bias, model.head.bias)
    assert sorted(p.name for p in path.iterdir()) == ["model.safetensors", "vocabulary.json"]


class Payload:
    def __reduce__(self):
        return (open, ("opened-by-a-pickle", "w"))


def test_a_pickle_is_never_opened(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, *_ = saved
    for name in ("model.safetensors", "vocabulary.json"):
        keep = (path / name).read_bytes()
        (path / name).write_bytes(pickle.dumps(Payload()))
        with pytest.raises(LMTutorError):
            load_checkpoint(path)
        (path / name).write_bytes(keep)
    torch.save({"a": Payload()}, path / "model.safetensors")
    with pytest.raises(LMTutorError, match="is damaged"):
        load_checkpoint(path)
    assert not (tmp_path / "opened-by-a-pickle").exists()


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 100, 1000, -1])
def test_a_truncated_file(saved, cut):
    path, *_ = saved
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(LMTutorError, match="model.safetensors") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def rewrite(path, change):
    """Change the JSON header of a checkpoint's tensors."""
    from safetensors.torch import save

    tensors, header = read_tensors(path / "model.safetensors")
    change(tensors, header)
    (path / "model.safetensors").write_bytes(save(tensors, {"lmtutor": json.dumps(header)}))


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda t, h: h.update(format=99), "not of format 1, which this version reads"),
        (lambda t, h: h.pop("config"), "without a usable config"),
        (lambda t, h: h.update(config=[1]), "without a usable config"),
        (lambda t, h: h["config"].update(kind="banana"), "Unknown kind of model 'banana'"),
        (lambda t, h: h["config"].update(hidden="many"), "wants int, not str"),
        (lambda t, h: h["config"].update(hidden=9), "has shape"),
        (lambda t, h: t.pop("head.bias"), "differ in head.bias"),
        (lambda t, h: t.update(extra=torch.zeros(1)), "differ in extra"),
        (lambda t, h: h.update(vocabulary_sha256="0"), "is not the vocabulary that"),
    ],
)
def test_a_header_or_tensors_that_do_not_fit(saved, change, says):
    path, *_ = saved
    rewrite(path, change)
    with pytest.raises(LMTutorError, match=says):
        load_checkpoint(path)


def test_another_vocabulary_is_refused(saved):
    path, _, vocab = saved
    (path / "vocabulary.json").write_text(json.dumps({**vocab.to_dict(), "tokens": vocab.tokens[::-1]}))
    with pytest.raises(LMTutorError, match="is not the vocabulary that"):
        load_checkpoint(path)


def test_what_is_not_there(tmp_path, saved):
    with pytest.raises(LMTutorError, match="is missing, or not a plain file"):
        load_checkpoint(tmp_path / "nowhere")
    (saved[0] / "vocabulary.json").unlink()
    with pytest.raises(LMTutorError, match="is not a plain file, or is not the vocabulary"):
        load_checkpoint(saved[0])


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LMTutorError, match="file cannot be written .No space left on device."):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]  # and no temporary file stays behind


def test_a_training_state_comes_back_exactly(tmp_path):
    state = {
        "a": [1, 2.5, None, "x", (torch.arange(3), (torch.zeros(2, 2), 0.1))],
        "b": {0: {"exp_avg": torch.randn(2)}, "k": True},
        "c": 0.1 + 0.2,
    }
    save_state(tmp_path / "s", state)
    back = load_state(tmp_path / "s")
    assert back["c"] == state["c"] and back["b"]["k"] is True and back["a"][:4] == state["a"][:4]
    assert torch.equal(back["b"][0]["exp_avg"], state["b"][0]["exp_avg"])
    assert isinstance(back["a"][4], tuple) and torch.equal(back["a"][4][1][0], torch.zeros(2, 2))


def test_a_model_is_no_training_state(saved):
    with pytest.raises(LMTutorError, match="not a training state"):
        load_state(saved[0] / "model.safetensors")
