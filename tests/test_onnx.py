"""What `lmtutor export` writes, run by onnxruntime, against our own scores."""

import json

import pytest
import torch

from lmtutor.models import build_model
from lmtutor.runs.onnx import export_onnx
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError
from tests.helpers import tiny_corpus

pytest.importorskip("onnx", exc_type=ImportError)


@pytest.mark.parametrize("name", ["lstm-200", "awd-lstm-600"])
def test_onnxruntime_gives_our_score_in_pieces_with_the_state_carried(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    corpus = tiny_corpus()
    torch.manual_seed(0)
    model = build_model(name, corpus.vocab, embedding=8, hidden=12).eval()
    export_onnx(model, corpus.vocab, tmp_path / "lstm.onnx")
    session = runtime.InferenceSession(tmp_path / "lstm.onnx")
    state = {}
    for n, (h, c) in enumerate(model.initial_state(1)):
        state |= {f"h_{n}": h.numpy(), f"c_{n}": c.numpy()}
    nats, names = 0.0, [output.name for output in session.get_outputs()]
    for inputs, targets in zip(corpus.test[:-1].split(50), corpus.test[1:].split(50), strict=True):
        found = dict(zip(names, session.run(None, {"ids": inputs[:, None].numpy(), **state}), strict=True))
        state = {key.removeprefix("next_"): value for key, value in found.items() if key != "log_probs"}
        nats -= found["log_probs"][range(len(targets)), 0, targets].sum(dtype=float)
    assert nats == pytest.approx(evaluate(model, corpus.test).nats, rel=1e-6)
    assert json.loads((tmp_path / "lstm.onnx.json").read_text()) == corpus.vocab.to_dict()


def test_what_is_no_stack_of_lstms_is_refused(tmp_path):
    for name, changes in (("gru-200", {}), ("transformer-96", {}), ("lstm-200", dict(head="adaptive"))):
        model = build_model(name, tiny_corpus().vocab, **changes)
        with pytest.raises(LMTutorError, match="must be LSTM layers under a full softmax"):
            export_onnx(model, tiny_corpus().vocab, tmp_path / "no.onnx")
    assert list(tmp_path.iterdir()) == []
