"""Finetuning starts where a run ended, leaves that run alone, and never makes it worse."""

import dataclasses
import hashlib
import random
import shutil

import pytest
import torch
from typer.testing import CliRunner

from lmtutor.cli import commands as cli
from lmtutor.runs.finetuning import finetune, finetuning_recipe, load_last
from lmtutor.runs.recipe import Recipe, read_recipe, recipe_names
from lmtutor.runs.reproduction import score_kept
from lmtutor.runs.run import Run
from lmtutor.runs.train import starting_point, train_recipe
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError
from lmtutor.text.sources import SPLITS
from lmtutor.training.checkpoint import load_state, model_tensors
from lmtutor.training.config import TrainConfig
from lmtutor.training.loop import Trainer

SMALL = {"name": "awd-lstm", "embedding": 8, "hidden": 12, "layers": 2, "input_dropout": 0.2, "weight_drop": 0.2}
TRAINING = TrainConfig(
    epochs=3, optimizer="nt-asgd", lr=4.0, schedule="constant", bptt=10, batch_size=4, nonmono=0, random_bptt=True
)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A finished run on a text that a program wrote."""
    folder = tmp_path_factory.mktemp("start")
    draw = random.Random(0)
    words = ["the", "a", "cat", "dog", "sees", "hears", "one", "another"]
    for split, lines in (("train", 120), ("valid", 30), ("test", 30)):
        text = "\n".join(" ".join(draw.choice(words[i : i + 3]) for i in range(6)) for _ in range(lines)) + "\n"
        (folder / f"{split}.txt").write_text(text)
    published = {"test": 9.0, "finetuned_test": 8.0, "source": "nobody"}
    recipe = Recipe("made-up", {"name": str(folder)}, SMALL, TRAINING, published)
    return train_recipe(recipe, folder / "run", progress=False)


def fingerprint(run):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(run.path.rglob("*")) if p.is_file()}


def test_finetuning_makes_a_new_run_no_worse_and_leaves_the_start(start, tmp_path):
    before = fingerprint(start)
    tuned = finetune(start, tmp_path / "tuned", progress=False)
    assert fingerprint(start) == before
    assert tuned.score("valid").perplexity <= start.score("valid").perplexity * (1 + 1e-6)
    assert tuned.result["finetuned_from"] == str(start.path) and start.result["finetuned_from"] is None
    assert tuned.recipe.training.optimizer == "asgd" and tuned.recipe.published["test"] == 8.0
    model, vocab = tuned.load()
    ids = tuned.recipe.load_corpus().valid
    assert evaluate(model, ids).perplexity == pytest.approx(tuned.score("valid").perplexity)


def test_a_finetuning_that_goes_wrong_returns_the_start(start, tmp_path):
    tuned = finetune(start, tmp_path / "wild", changes=["lr=20", "epochs=1", "clip=0"], progress=False)
    assert tuned.history["valid_loss"].min() > start.score("valid").nats_per_token
    own, theirs = (model_tensors(run.load()[0]) for run in (tuned, start))
    assert all(torch.equal(own[name], theirs[name]) for name in own)


def test_it_does_not_write_into_the_start(start, tmp_path):
    with pytest.raises(LMTutorError, match="new folder"):
        finetune(start, start.path)
    (tmp_path / "something").touch()
    with pytest.raises(LMTutorError, match="not empty"):
        finetune(start, tmp_path)


def test_it_stops_when_the_trigger_fires(start, tmp_path):
    """With the rate near zero every epoch is as good as the last; a rise is made up."""
    losses = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    after_epoch = "lmtutor.training.optim.AveragedSGD.after_epoch"
    from lmtutor.training.optim import AveragedSGD

    real = AveragedSGD.after_epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(after_epoch, lambda self, loss: real(self, next(losses)))
        tuned = finetune(start, tmp_path / "tuned", changes=["epochs=5", "nonmono=1"], progress=False)
    assert len(tuned.history) == 3


def test_resumed_finetuning_is_exact(start, tmp_path, monkeypatch):
    monkeypatch.setattr("lmtutor.training.session.LOOK_EVERY", 1)
    whole = finetune(start, tmp_path / "whole", progress=False)
    step = Trainer.train_step

    def stopping(self, batch, done):
        self.stop = self.epoch == 0 and self.step == 3
        return step(self, batch, done)

    monkeypatch.setattr(Trainer, "train_step", stopping)
    finetune(start, tmp_path / "cut", progress=False)
    monkeypatch.setattr(Trainer, "train_step", step)
    cut = finetune(start, tmp_path / "cut", resume=True, progress=False)
    assert list(cut.history["valid_loss"]) == list(whole.history["valid_loss"])
    a, b = (model_tensors(run.load()[0]) for run in (cut, whole))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_last_weights_are_the_raw_ones(start):
    model, vocab = load_last(start)
    saved = load_state(start.path / "state.safetensors")
    assert all(torch.equal(value, saved["model"][name]) for name, value in model_tensors(model).items())
    if saved["optimizer"]["param_groups"][0]["averaged"]:
        averages = [state["average"] for state in saved["optimizer"]["state"].values()]
        assert not all(torch.equal(p, a) for p, a in zip(model.parameters(), averages, strict=True))


def test_the_rate_after_adam_is_one_for_sgd(start):
    recipe = dataclasses.replace(start.recipe, training=dataclasses.replace(TRAINING, optimizer="adam", lr=5e-3))

    class AdamRun(Run):
        recipe = property(lambda self: made)

    made = recipe
    assert finetuning_recipe(AdamRun(start.path)).training.lr == 30.0
    assert finetuning_recipe(start).training.lr == 4.0


def test_a_finetuning_goes_on_when_its_start_has_moved(start, tmp_path, monkeypatch):
    """Exactly, from the new place or by another path; but from no other run, and from no other training."""

    def tune(run, out, *changes, **options):
        return finetune(run, tmp_path / out, changes=["epochs=2", *changes], progress=False, **options)

    whole = tune(start, "whole")
    monkeypatch.chdir(start.path.parent)
    assert tune(start.path.name, "tuned", "epochs=1").recipe.start == {"run": start.path.name}
    monkeypatch.chdir(tmp_path)  # from here that path leads nowhere
    moved = shutil.copytree(start.path, tmp_path / "moved")
    as_it_was = (tmp_path / "tuned" / "recipe.toml").read_bytes()
    with pytest.raises(LMTutorError, match="another lr"):
        tune(moved, "tuned", "lr=1.0", resume=True)
    assert (tmp_path / "tuned" / "recipe.toml").read_bytes() == as_it_was

    tuned = tune(moved, "tuned", resume=True)
    assert list(tuned.history["valid_loss"]) == list(whole.history["valid_loss"])
    assert tuned.recipe.start["run"] == tuned.result["finetuned_from"] == str(moved)
    assert tune("moved", "tuned", resume=True).recipe.start["run"] == str(moved)
    with pytest.raises(LMTutorError, match="another start"):
        tune(shutil.copytree(moved, tmp_path / "other"), "tuned", resume=True)


def test_the_command(start, tmp_path):
    out = tmp_path / "tuned"
    done = CliRunner().invoke(cli.app, ["finetune", str(start.path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    valid, test = done.stdout.splitlines()[-2:]
    run = Run(out)
    before = {split: f"; before {start.score(split).perplexity:.2f}" for split in ("valid", "test")}
    assert valid == f"{out}: valid {run.score('valid')}{before['valid']}"
    assert test == f"{out}: test {run.score('test')}{before['test']}; published 8.0 (nobody, finetuned)"


def test_a_changed_finetuning_aims_at_nothing(start):
    assert finetuning_recipe(start).published == {"test": 8.0, "source": "nobody, finetuned"}
    assert finetuning_recipe(start, ["epochs=1"]).published == {}


OURS = ("ptb/awd-lstm-small", "ptb/awd-qrnn-small", "ptb/awd-lstm-600")


@pytest.mark.parametrize("name", [name for name in recipe_names() if "/awd-" in name and name not in OURS])
def test_recipes_of_the_toolkit(name):
    recipe = read_recipe(name)
    assert recipe.model_config().layers in (3, 4)
    assert recipe.published["source"] and recipe.published["test"] > 0
    assert recipe.training.schedule != "steps" or recipe.training.milestones[-1] < recipe.training.epochs


def test_a_recipe_goes_on_from_a_run_with_another_text(start, tmp_path):
    """The words that the run lacks are added, and it begins where `extend_vocabulary` leaves it."""
    text = "\n".join(["the cat sees a mouse", "a mouse hears the dog", "one mouse sees another"] * 40)
    (tmp_path / "mice.txt").write_text(text)
    training = dataclasses.replace(TRAINING, epochs=1, lr=1.0)
    recipe = Recipe("mice", {"name": str(tmp_path / "mice.txt")}, SMALL, training, {}, {"run": str(start.path)})
    (tmp_path / "mice.toml").write_text(recipe.to_toml())
    assert dataclasses.replace(read_recipe(tmp_path / "mice.toml"), name="mice") == recipe

    model, corpus = starting_point(recipe)
    trained, vocab = start.load()
    assert corpus.vocab.tokens == [*vocab.tokens, "mouse"]
    ids = corpus.vocab.encode("the cat sees a mouse".split())[:4].unsqueeze(1)
    state = model.eval().initial_state(1)
    old, new = (m.next_log_probs(ids, state)[0] for m in (trained, model))
    unknown = vocab.unk_id
    # <unk> keeps its weight and the one new word takes as much again: 1 + p(<unk>) is what all are divided by
    torch.testing.assert_close(new[:, -1], new[:, unknown])
    torch.testing.assert_close(new[:, : len(vocab)], old - old[:, unknown].exp().log1p().unsqueeze(1))

    run = train_recipe(recipe, tmp_path / "run", progress=False)
    assert run.result["finetuned_from"] == str(start.path) and run.load()[1].tokens == corpus.vocab.tokens
    assert run.score("valid").nats < evaluate(model, corpus.valid).nats


def test_going_on_with_another_text_keeps_how_it_is_split(start, tmp_path):
    """Its shares hold for the training, for every score of it, and for the run that goes on from that one."""
    text = "\n".join(["the cat sees a mouse", "a mouse hears the dog", "one mouse sees another"] * 60)
    (tmp_path / "mice.txt").write_text(text)
    table = {"name": str(tmp_path / "mice.txt"), "shares": [0.5, 0.2, 0.3]}
    training = dataclasses.replace(TRAINING, epochs=1, lr=1.0)
    recipe = Recipe("mice", table, SMALL, training, {}, {"run": str(start.path)})
    plain = recipe.load_corpus()
    assert [len(starting_point(recipe)[1].split(s)) for s in SPLITS] == [len(plain.split(s)) for s in SPLITS]

    run = train_recipe(recipe, tmp_path / "run", progress=False, keep_every=1)
    assert run.score("test").tokens == len(plain.test) - 1
    assert score_kept(run, "test")["epoch"].tolist() == [0, 1]
    assert len(run.load_corpus(run.load()[1]).test) == len(plain.test)

    again = finetune(run, tmp_path / "again", changes=["epochs=1"], progress=False)
    assert again.load()[1].tokens == run.load()[1].tokens
    assert again.score("valid").nats <= run.score("valid").nats * (1 + 1e-6)


@pytest.mark.parametrize("table", ["run = 3", 'run = "a"\nother = 1', 'name = "a"'])
def test_a_start_is_one_run(start, tmp_path, table):
    (tmp_path / "bad.toml").write_text(start.recipe.to_toml() + f"\n[start]\n{table}\n")
    with pytest.raises(LMTutorError, match="names one run"):
        read_recipe(tmp_path / "bad.toml")
