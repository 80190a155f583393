"""The whole road on a GPU: train, stop within an epoch, resume, save, score, write, with the numbers of the CPU."""

import contextlib
import dataclasses
import itertools

import pytest
import torch

import lmtutor as lm
from lmtutor.models.attention import TransformerConfig
from lmtutor.models.awd import AWDConfig
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.models.window import WindowConfig
from lmtutor.runs.recipe import read_recipe
from lmtutor.scoring.dynamic import gradient_rms
from lmtutor.training.session import Session
from tests.helpers import tiny_corpus
from tests.pretend_cuda import CUDA, pretend_cuda

FAMILIES = {
    "lstm": RecurrentConfig(embedding=8, hidden=8, layers=2),
    "gru": RecurrentConfig(cell="gru", embedding=8, hidden=8),
    "min-gru": RecurrentConfig(cell="min-gru", embedding=8, hidden=8),
    "peephole": RecurrentConfig(cell="lstm-2002", embedding=8, hidden=8, layers=1),
    "sampled": RecurrentConfig(embedding=8, hidden=8, head="sampled"),
    "awd": AWDConfig(embedding=8, hidden=12, layers=2),
    "awd-qrnn": AWDConfig(cell="qrnn", embedding=8, hidden=12, layers=2),
    "window": WindowConfig(embedding=8, hidden=8),
    "transformer": TransformerConfig(embedding=8, hidden=16, heads=2, layers=1, context=16),
    "delta": TransformerConfig(embedding=8, hidden=16, heads=2, layers=1, mixer="delta", units=4),
}
CONFIG = lm.TrainConfig(epochs=2, batch_size=4, bptt=5, optimizer="adam", lr=0.01, seed=3, precision="float32")


def trained(family, corpus, out, *, stopped=False):
    """A model trained in `out`, at one go or stopped within the first epoch and resumed."""
    torch.manual_seed(1)
    model = lm.build_model(FAMILIES[family], corpus.vocab)
    if stopped:
        with pytest.MonkeyPatch.context() as patch:
            look = Session.after_step

            def ask(session, whole):
                session.asked = session.step == 9
                look(session, whole)

            patch.setattr(Session, "after_step", ask)
            patch.setattr("lmtutor.training.session.LOOK_EVERY", 1)
            cut = lm.fit(model, corpus, CONFIG, out=out, progress=False)
            assert cut.attrs["interrupted"] and not len(cut)
    return model, lm.fit(model, corpus, CONFIG, out=out, resume=stopped, progress=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_stopped_within_an_epoch_goes_on_bit_for_bit(family, tmp_path):
    """On the CPU, where nothing is pretended: whatever a model carries from batch to batch is saved."""
    corpus = tiny_corpus()
    (whole, expected), (resumed, history) = (
        trained(family, corpus, None),
        trained(family, corpus, tmp_path, stopped=True),
    )
    assert history["valid_loss"].tolist() == expected["valid_loss"].tolist()
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def use(there, corpus, folder):
    """Everything that is done with a trained model on the device; return its score, which the saved one keeps here."""
    assert next(there.parameters()).device.type == "cpu"  # where it came from
    there.to(CUDA)
    score = lm.evaluate(there, corpus.test)
    assert lm.generate(there, corpus.vocab, "a b", 5, seed=2)
    cache = lm.NeuralCache(there, 7, 0.5, 0.2)
    assert lm.evaluate(cache, corpus.test).nats != score.nats
    lm.tune_cache(there, corpus.test, [5], [0.5], [0.1])
    rms = gradient_rms(there, corpus.train, batch_size=4, bptt=7, batches=2)
    lm.dynamic_evaluate(there, corpus.test[:30], rms)
    lm.save_checkpoint(folder, there, corpus.vocab)
    return score


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_trained_there_is_what_is_trained_here(family, monkeypatch, tmp_path):
    corpus = tiny_corpus()
    here, expected = trained(family, corpus, tmp_path / "here")
    with pretend_cuda(monkeypatch):
        there, history = trained(family, corpus, tmp_path / "there", stopped=True)
        assert history["valid_loss"].tolist() == pytest.approx(expected["valid_loss"].tolist(), rel=1e-4)
        score = use(there, corpus, tmp_path / "saved")
    assert score.nats == pytest.approx(lm.evaluate(here, corpus.test).nats, rel=1e-4)
    loaded, _ = lm.load_checkpoint(tmp_path / "saved")
    assert lm.evaluate(loaded, corpus.test).nats == pytest.approx(score.nats, rel=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_road_on_a_real_one(family, tmp_path):
    """A GPU draws random numbers of its own: a run is held against itself, and what it learned against the CPU."""
    corpus = tiny_corpus()
    _, expected = trained(family, corpus, None)
    there, history = trained(family, corpus, tmp_path / "there", stopped=True)
    assert history["valid_loss"].tolist() == pytest.approx(expected["valid_loss"].tolist(), rel=1e-4)
    score = use(there, corpus, tmp_path / "saved")
    loaded, _ = lm.load_checkpoint(tmp_path / "saved")
    assert lm.evaluate(loaded, corpus.test).nats == pytest.approx(score.nats, rel=1e-4)


FOR_A_GPU = ["wikitext-2/awd-lstm", "wikitext-2/awd-lstm-one-cycle", "wikitext-2/awd-lstm-one-cycle-sgd"]


@pytest.mark.parametrize("name", FOR_A_GPU)
def test_the_recipes_for_a_gpu_take_their_steps_there(name, monkeypatch):
    """Every option of the recipe, fewer units and tokens: the losses are those of the CPU."""
    recipe, corpus = read_recipe(name), tiny_corpus()
    config = dataclasses.replace(recipe.training, batch_size=4, bptt=10, precision="float32", epochs=1)
    dropouts = dict(embedding_dropout=0.0, input_dropout=0.0, hidden_dropout=0.0, output_dropout=0.0, weight_drop=0.0)
    small = dataclasses.replace(recipe.model_config(), embedding=8, hidden=12, **dropouts)
    losses = []
    for there in (False, True):
        with contextlib.ExitStack() as stack:
            if there:
                stack.enter_context(pretend_cuda(monkeypatch))
            torch.manual_seed(1)
            session = Session(lm.build_model(small, corpus.vocab), corpus, config)
            assert session.device.type == ("cuda" if there else "cpu")
            losses.append([float(session.train_step(batch, 0.5)) for batch in itertools.islice(session.batches(), 6)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FOR_A_GPU[1:])
def test_a_recipe_for_a_gpu_takes_one_whole_step_here(name):
    """At full size: 1,150 units, 33,278 types, the columns of the recipe."""
    recipe, generator = read_recipe(name), torch.Generator().manual_seed(1)
    ids = torch.randint(33_278, (recipe.training.batch_size * 110,), generator=generator)
    words = ["<unk>", "<eos>", *map(str, range(33_276))]
    corpus = lm.Corpus("random", ids, ids[:100], ids[:100], lm.Vocabulary(words), dict.fromkeys(["train"]))
    session = Session(lm.build_model(recipe.model_config(), corpus.vocab), corpus, recipe.training)
    before = session.model.embedding.weight.detach().clone()
    batch = next(iter(session.batches()))
    nats = float(session.train_step(batch, 0.5)) / session.scored(batch)
    assert nats == pytest.approx(session.guess, rel=0.01)  # an untrained model guesses
    assert not torch.equal(session.model.embedding.weight, before) and session.model.embedding.weight.isfinite().all()
