"""Models on another device than the ids: every operation that mixes devices is an error, and no such device is needed.

`FakeTensorMode` follows shapes and devices without computing anything. Of the devices that a torch for processors
knows by name, ``lazy`` is one that it lets a fake tensor be on.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from lmtutor.models import build_model, fused
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.scoring.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.scoring.neural_cache import NeuralCache, tune_cache
from lmtutor.scoring.sampling import generate
from lmtutor.scoring.score import evaluate, score_text
from lmtutor.text.batches import stream_batches
from tests.helpers import tiny_corpus

ELSEWHERE = torch.device("lazy:0")


class Answer(TorchDispatchMode):
    """Answer 1 when a number is asked for, and count the operations and how often that was."""

    operations = asked = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        self.operations += 1
        if function is torch.ops.aten._local_scalar_dense.default:
            self.asked += 1
            return 1
        return function(*arguments, **(named or {}))


@pytest.fixture
def elsewhere():
    """Fake tensors, and a way to build a model on the other device."""
    with FakeTensorMode(allow_non_fake_inputs=True), Answer() as answer:

        def build(name, vocab, **changes):
            with ELSEWHERE:
                return build_model(name, vocab, **changes)

        build.answer = answer
        yield build


@pytest.mark.parametrize("name", ["lstm-200", "gru-200", "window-5", "awd-lstm-600"])
def test_scores_and_samples_of_ids_on_the_processor(elsewhere, name):
    model, corpus = elsewhere(name, 10), tiny_corpus()
    assert next(model.parameters()).device == ELSEWHERE
    assert evaluate(model, corpus.test).tokens
    evaluate(model, stream_batches(corpus.test, 4, 9))
    assert generate(model, corpus.vocab, "a b", 3, seed=1)
    generate(model, corpus.vocab, "", 2, beam=2)
    ids = corpus.test[:9, None]
    log_probs, state = model.target_log_probs(ids[:-1], ids[1:], model.initial_state(1))
    assert log_probs.device == model.next_log_probs(ids[-1:], state)[0].device == ELSEWHERE


def test_the_cache_and_dynamic_evaluation(elsewhere):
    config = RecurrentConfig(embedding=8, hidden=8, tied=False)
    model, corpus = elsewhere(config, 10), tiny_corpus()
    cache = NeuralCache(model, 7, 0.5, 0.2)
    evaluate(cache, corpus.test)
    generate(cache, corpus.vocab, "a b", 3, seed=1)
    rms = {name: r.cpu() for name, r in gradient_rms(model, corpus.train, batch_size=4, bptt=7, batches=2).items()}
    dynamic_evaluate(cache, corpus.test[:30], rms)
    score_text(model, corpus.vocab, "a b")
    tune_cache(model, corpus.test, [5], [0.5], [0.1])


def test_the_exact_loss_is_few_operations_at_any_vocabulary(elsewhere, monkeypatch):
    """On a GPU each operation is a launch: in tiles, a step at 267,735 types took 25,000. Nobody waits for a number."""
    monkeypatch.setattr(torch, "lazy", torch.cpu, raising=False)  # whom the recomputation asks about its device
    with ELSEWHERE:
        hidden, weight, bias = torch.zeros(8400, 64), torch.zeros(267_735, 64), torch.zeros(267_735)
        targets = torch.zeros(8400, dtype=torch.long)
    tensors = [t.requires_grad_() for t in (hidden, weight, bias)]
    elsewhere.answer.operations = elsewhere.answer.asked = 0
    loss = fused.linear_cross_entropy(*tensors, targets, dtype=torch.bfloat16)
    gradients = torch.autograd.grad(loss, tensors)
    assert [g.dtype for g in gradients] == [torch.float32] * 3 and loss.device == ELSEWHERE
    assert elsewhere.answer.operations < 1000 and elsewhere.answer.asked == 0
    fused.linear_log_probs(hidden, weight, bias, targets)
    assert elsewhere.answer.operations < 1100 and elsewhere.answer.asked == 0
