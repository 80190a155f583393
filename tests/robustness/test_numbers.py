"""Numbers at their edges: an error that says what is wrong, or the right number; never a wrong one."""

import math

import pytest
import torch

from lmtutor import NeuralCache, NGramLM, evaluate, fit, generate, score_text
from lmtutor.scoring.score import Score
from lmtutor.system.errors import Diverged, LMTutorError
from lmtutor.text.corpora import Corpus, load_corpus
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import load_checkpoint, save_checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.loop import Trainer
from tests.helpers import tiny_corpus, tiny_model

CONFIG = TrainConfig(epochs=1, lr=1.0, bptt=10, batch_size=4, precision="float32")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("clip", [0.0, 0.25])
def test_a_gradient_that_is_no_number(bad, clip):
    """Whatever clipping makes of it, no epoch ends and nothing is kept."""
    model = tiny_model()
    model.head.bias.register_hook(lambda gradient: gradient.clone().fill_(bad))
    with pytest.raises(Diverged, match=r"diverged to (nan|inf) nats per token .* try a third of it"):
        fit(model, tiny_corpus(), TrainConfig(**{**vars(CONFIG), "clip": clip}), progress=False)


def test_a_gradient_spoilt_at_the_very_last_step_shows_in_the_validation(tmp_path, monkeypatch):
    step = Trainer.train_step

    def last(self, batch, done):
        result = step(self, batch, done)
        with torch.no_grad():
            self.model.head.bias.fill_(math.nan)
        return result

    monkeypatch.setattr("lmtutor.training.session.LOOK_EVERY", 10**9)
    monkeypatch.setattr(Trainer, "train_step", last)
    corpus = tiny_corpus()
    short = Corpus("short", corpus.train[:44], corpus.valid, corpus.test, corpus.vocab, corpus.characters)
    with pytest.raises(Diverged, match="NaN"):
        fit(tiny_model(), short, CONFIG, out=tmp_path, progress=False)
    assert not (tmp_path / "checkpoint").exists()


def test_an_exploding_loss_names_the_rate():
    with pytest.raises(Diverged, match=r"at learning rate 1e\+06"):
        fit(tiny_model(), tiny_corpus(12_000), TrainConfig(lr=1e6, clip=0.0, bptt=7, batch_size=4), progress=False)


def test_targets_of_probability_zero_cost_infinitely_much():
    ids = torch.tensor([0, 1, 0, 1, 0, 1, 2])
    model = NGramLM(order=2, smoothing="mle").fit(ids[:6], 3)
    assert evaluate(model, ids[:6]).nats == 0  # after 0 always 1, after 1 always 0
    score = evaluate(model, ids)
    assert score.nats == math.inf and score.perplexity == math.inf and "perplexity inf" in str(score)
    with pytest.raises(LMTutorError, match="at least 0 and below 1"):
        NeuralCache(tiny_model(vocab=3), window=4, theta=0.5, lam=1.0)  # what was not seen lately would cost so too


def test_a_model_of_nans_has_no_perplexity():
    model = tiny_model()
    with torch.no_grad():
        model.head.bias.fill_(math.nan)
    with pytest.raises(Diverged, match="not numbers"):
        evaluate(model, tiny_corpus().test)
    assert math.isnan(Score(math.nan, 3).perplexity)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_checkpoint_of_nans_is_refused(tmp_path, value):
    model = tiny_model()
    with torch.no_grad():
        model.embedding.weight[2, 3] = value
    save_checkpoint(tmp_path, model, tiny_corpus().vocab)
    with pytest.raises(LMTutorError, match="embedding.weight holds NaN or infinity"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "nats, perplexity", [(0.0, 1.0), (700.0, math.exp(700)), (709.0, math.inf), (1e308, math.inf), (math.inf, math.inf)]
)
def test_a_perplexity_that_overflows_is_infinite(nats, perplexity):
    score = Score(nats, 1, 2)
    assert score.perplexity == perplexity
    assert str(score).startswith("perplexity")


def test_one_type_is_known_for_certain(tmp_path):
    vocab = Vocabulary(["<eos>"])
    ids = torch.zeros(400, dtype=torch.long)
    corpus = Corpus("one", ids, ids[:50], ids[:50], vocab, dict(train=None, valid=None, test=None))
    model = tiny_model(vocab=1)
    history = fit(model, corpus, CONFIG, progress=False)
    assert history["valid_perplexity"].iloc[0] == pytest.approx(1.0, abs=1e-6)
    assert evaluate(model, ids).nats_per_token == pytest.approx(0.0, abs=1e-6)
    for smoothing in ("mle", "add-k", "kneser-ney"):
        assert evaluate(NGramLM(order=2, smoothing=smoothing).fit(ids, 1), ids).perplexity == pytest.approx(1.0)
    assert generate(model, vocab, "", tokens=3, unk=True).strip() == ""


@pytest.mark.parametrize("length", [0, 1])
def test_texts_of_no_token_and_of_one(length, tmp_path):
    corpus, ids = tiny_corpus(), torch.zeros(length, dtype=torch.long)
    with pytest.raises(LMTutorError, match="at least 2 token ids"):
        evaluate(tiny_model(), ids)
    for split in ("train", "valid"):
        splits = {"train": corpus.train, "valid": corpus.valid, split: ids}
        short = Corpus("short", **splits, test=corpus.test, vocab=corpus.vocab, characters=corpus.characters)
        with pytest.raises(LMTutorError, match="too few|at least 2"):
            fit(tiny_model(), short, CONFIG, progress=False)
    (tmp_path / "a.txt").write_text("a" * length)
    with pytest.raises(LMTutorError, match="is empty|give more text"):
        load_corpus(tmp_path / "a.txt")


def test_no_text_to_score_and_none_to_draw():
    model, vocab = tiny_model(), tiny_corpus().vocab
    with pytest.raises(LMTutorError, match="no text to score"):
        score_text(model, vocab, "")
    assert generate(model, vocab, "a b", tokens=0, seed=1) == "a b"


@pytest.mark.parametrize("name", ["hidden", "embedding"])
def test_weights_that_no_machine_holds(name):
    for size in (100_001, 10**18):
        with pytest.raises(LMTutorError, match=f"{name} must be an integer from 1 to 100,000"):
            tiny_model(**{name: size})
    with pytest.raises(LMTutorError, match="from 1 to 1,000"):
        tiny_model(layers=10**9)
    for range_ in (-0.1, math.nan, math.inf):
        with pytest.raises(LMTutorError, match=r"init_range must be"):
            tiny_model(init_range=range_)
