"""Recipes and runs."""

import json
import shutil
import tomllib

import pytest

from lmtutor import find_run, recorded_runs
from lmtutor.runs.recipe import read_recipe, recipe_names
from lmtutor.runs.train import train_recipe
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError

TEXT = "the cat sat on the mat .\nthe dog sat on the log .\na cat and a dog sat .\n" * 240
RECIPE = """
[corpus]
name = "{name}"

[model]
name = "lstm-200"
embedding = 8
hidden = 8
dropout = 0.1

[training]
epochs = 2
lr = 2.0
bptt = 10
batch_size = 4

[published]
test = 3.5
source = "a made-up paper"
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "cats.txt").write_text(TEXT)
    path = tmp_path / "cats.toml"
    path.write_text(RECIPE.format(name=tmp_path / "cats.txt"))
    return path


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_reads_and_goes_through_toml_and_back(name, tmp_path):
    recipe = read_recipe(name)
    copy = tmp_path / "copy.toml"
    copy.write_text(recipe.to_toml())
    back = read_recipe(copy)
    assert (back.corpus, back.model, back.training, back.published) == (
        recipe.corpus,
        recipe.model,
        recipe.training,
        recipe.published,
    )


def test_training_a_recipe_makes_a_run(recipe, tmp_path):
    run = train_recipe(read_recipe(recipe), tmp_path / "run", progress=False)
    assert {"recipe.toml", "history.csv", "result.json", "checkpoint"} <= {p.name for p in run.path.iterdir()}
    result = run.result
    for key in ("command", "seed", "commit", "versions", "device", "seconds", "protocol", "published", "parameters"):
        assert key in result
    assert len(run.history) == result["epochs"] == 2
    model, vocab = run.load()
    corpus = run.recipe.load_corpus()
    assert corpus.vocab == vocab
    for split in ("valid", "test"):
        assert evaluate(model, corpus.split(split)).nats == pytest.approx(result[split]["nats"], rel=1e-6)
        assert run.score(split).perplexity == pytest.approx(result[split]["perplexity"])
    assert find_run(run.path).path == run.path
    assert run.score("test").perplexity < 12  # of 15 types


def test_a_folder_in_use_is_not_overwritten(recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(LMTutorError, match="is not empty"):
        train_recipe(read_recipe(recipe), tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


def test_resuming_a_finished_run_changes_nothing(recipe, tmp_path):
    first = train_recipe(read_recipe(recipe), tmp_path / "run", progress=False).result["test"]
    again = train_recipe(read_recipe(recipe), tmp_path / "run", resume=True, progress=False).result["test"]
    assert first == again


def test_changes_are_typed_and_drop_the_published_figure(recipe):
    changed = read_recipe(recipe).with_changes(["lr=5", "model.dropout=0.5", "corpus.name=ptb", "optimizer=adamw"])
    assert (changed.training.lr, changed.model["dropout"], changed.corpus["name"]) == (5, 0.5, "ptb")
    assert changed.training.optimizer == "adamw" and changed.published == {}


ODD = [  # found by the next step, as a traceback, or by the next command, in a recipe.toml that it could not read
    "model.name=5",
    "corpus.name=5",
    "start.run=5",
    "start.walk=x",
    "published.date=2020-01-01",
    "published.test=inf",
    "published.a b=1",
]


@pytest.mark.parametrize("change", ["lr", "=5", "nonsense.x=1", "learning_rate=3", "lr=fast", "epochs=1.5", *ODD])
def test_changes_that_mean_nothing(recipe, change):
    with pytest.raises(LMTutorError):
        read_recipe(recipe).with_changes([change])


@pytest.mark.parametrize(
    "text, says",
    [
        ("[corpus", "is damaged .*: write it as TOML"),
        ("", "needs a name"),
        ('[corpus]\nname="a"\n[model]\nname="lstm-200"\n[trainng]\n', "trainng"),
        ('[corpus]\nname="a"\n[model]\nname="lstm"\n', "Unknown model"),
        ('[corpus]\nname="a"\n[model]\nname="lstm-200"\nlayer=3\n', "Did you mean"),
        ('[corpus]\nname="a"\n[model]\nname="lstm-200"\n[training]\nlr="x"\n', "wants float"),
        ('corpus="a"', "has the tables"),
        ('[corpus]\nname=3\n[model]\nname="lstm-200"\n', "needs a name"),
    ],
)
def test_recipes_that_are_wrong(tmp_path, text, says):
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(LMTutorError, match=says) as error:
        read_recipe(path)
    assert "\n" not in str(error.value)


def test_names_that_are_not_there():
    with pytest.raises(LMTutorError, match="Did you mean 'wikitext-2/lstm-200"):
        read_recipe("wikitext-2/lstm-20")
    with pytest.raises(LMTutorError, match="There is no run"):
        find_run("no-such-run")


def test_a_damaged_result(recipe, tmp_path):
    run = train_recipe(read_recipe(recipe), tmp_path / "run", progress=False)
    for text in ("{", "[]", "1"):
        (run.path / "result.json").write_text(text)
        with pytest.raises(LMTutorError, match="is damaged"):
            _ = run.result
    (run.path / "result.json").unlink()
    with pytest.raises(LMTutorError, match="has not ended"):
        _ = run.result


def test_recorded_runs_are_whole():
    for run in recorded_runs():
        result = run.result
        assert json.dumps(result)
        assert tomllib.loads((run.path / "recipe.toml").read_text())
        assert len(run.history) == result["epochs"]
        for split in ("valid", "test"):
            assert run.score(split).perplexity == pytest.approx(result[split]["perplexity"], rel=1e-9)


def test_resuming_refuses_another_training_and_nothing_is_overwritten(recipe, tmp_path):
    plan = read_recipe(recipe)
    run = train_recipe(plan, tmp_path / "run", progress=False)
    before = {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()}
    with pytest.raises(LMTutorError, match="another corpus or model"):
        train_recipe(plan.with_changes(["model.hidden=9"]), run.path, resume=True, progress=False)
    with pytest.raises(LMTutorError, match="another lr"):
        train_recipe(plan.with_changes(["lr=1"]), run.path, resume=True, progress=False)
    with pytest.raises(LMTutorError, match="no run to resume"):
        train_recipe(plan, tmp_path / "typo", resume=True, progress=False)
    assert {p.name: p.read_bytes() for p in run.path.iterdir() if p.is_file()} == before
    (run.path / "state.safetensors").unlink()
    (run.path / "result.json").unlink()
    with pytest.raises(LMTutorError, match="has no state.safetensors"):
        train_recipe(plan, run.path, resume=True, progress=False)


def test_more_epochs_on_resuming_make_the_longer_run(recipe, tmp_path):
    plan = read_recipe(recipe)
    train_recipe(plan.with_changes(["epochs=1"]), tmp_path / "run", progress=False)
    longer = train_recipe(plan, tmp_path / "run", resume=True, progress=False)
    whole = train_recipe(plan, tmp_path / "whole", progress=False)
    assert longer.result["epochs"] == 2 and longer.result["test"]["nats"] == whole.result["test"]["nats"]


@pytest.mark.parametrize("change", ["corpus.foo=1", "corpus.shares=3", "corpus.max_size=-5", "corpus.min_count=hello"])
def test_corpus_options_that_mean_nothing(recipe, change):
    with pytest.raises(LMTutorError):
        read_recipe(recipe).with_changes([change]).load_corpus()


def test_a_pretrained_name_means_its_own_weights():
    run = find_run("lstm-200-wikitext-2")
    assert run.packed == "lstm-200-wikitext-2" and run.name == "wikitext-2/lstm-200-linear"
    assert find_run(run.path.parent / ".." / "wikitext-2" / "lstm-200-linear").name == run.name


def test_a_release_overwrites_nothing_and_stays_in_its_folder(recipe, tmp_path):
    from lmtutor.runs.packing import release

    run = train_recipe(read_recipe(recipe), tmp_path / "run", progress=False)
    for name, says in (("lstm-200-wikitext-2", "already"), ("../../out", "letters"), ("mine", "not the recorded run")):
        with pytest.raises(LMTutorError, match=says):
            release(run, name, "a title", "CC0")


def test_a_release_is_a_model_with_a_card(recipe, tmp_path, monkeypatch):
    """Weights that load, scores with and without the cache in the card, and an entry that finds them."""
    from lmtutor.runs.packing import release
    from lmtutor.runs.pretrained import load_pretrained, pretrained_models
    from lmtutor.scoring.neural_cache import NeuralCache, tune_cache
    from lmtutor.system import files as data_files

    run = train_recipe(read_recipe(recipe), tmp_path / "run", progress=False)
    checkout = tmp_path / "data"
    (checkout / "models").mkdir(parents=True)
    (checkout / "catalogue.toml").write_text("")
    shutil.copytree(run.path, checkout / "runs" / "cats")
    monkeypatch.setattr(data_files, "CHECKOUT", checkout)
    pretrained_models.cache_clear()
    try:
        scores = release(run, "cats", "A model of cats", "CC0")
        model, vocab = load_pretrained("cats")
        corpus = run.load_corpus(vocab)
        assert evaluate(model, corpus.test) == scores["test"]
        assert scores["test"].nats_per_token == pytest.approx(run.score("test").nats_per_token, rel=0.01)
        cache = NeuralCache(model, **tune_cache(model, corpus.valid)[1])
        card = (checkout / "models" / "cats" / "card.md").read_text()
        assert f"test perplexity {evaluate(cache, corpus.test).perplexity:.2f} (window {cache.window}" in card
        assert f"{scores['test'].perplexity:.2f} packed" in card and "A model of cats" in card
    finally:
        monkeypatch.undo()
        pretrained_models.cache_clear()


def test_a_run_that_went_on_has_no_result_until_it_ends(recipe, tmp_path):
    """What an earlier end scored is not shown beside the history of a longer training; a refused resume keeps it."""
    run = train_recipe(read_recipe(recipe), tmp_path / "run", progress=False)
    assert run.result["epochs"] == 2 and run.result["processes"] == 1
    longer = read_recipe(recipe).with_changes(["epochs=3"])

    state = run.path / "state.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LMTutorError):
        train_recipe(longer, run.path, resume=True, progress=False)
    assert run.result["epochs"] == 2
    state.write_bytes(whole)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("lmtutor.runs.train.evaluate", interrupt)  # the third epoch is trained, and not scored
        train_recipe(longer, run.path, resume=True, progress=False)
    with pytest.raises(LMTutorError, match="has not ended; resume it"):
        run.result  # noqa: B018
    assert train_recipe(longer, run.path, resume=True, progress=False).result["epochs"] == 3
