"""The cache's settings kept with a run, and the commands that tune and use them."""

import json
import math

import pandas as pd
import pytest
from typer.testing import CliRunner

from lmtutor.cli import commands as cli
from lmtutor.runs.recipe import read_recipe
from lmtutor.runs.run import Run, find_run
from lmtutor.runs.train import train_recipe
from lmtutor.runs.tuning import STATISTICS_BATCHES, adapted_score, cache_settings, tune_run
from lmtutor.scoring.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.scoring.neural_cache import NeuralCache
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError

RECIPE = """
[corpus]
name = "{text}"
tokenizer = "words"
shares = [0.8, 0.1, 0.1]
[model]
name = "lstm-200"
embedding = 8
hidden = 8
[training]
epochs = 1
lr = 1.0
batch_size = 4
bptt = 10
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a text in which every paragraph has a hero of its own, named again and again."""
    folder = tmp_path_factory.mktemp("run")
    heroes = ["Ada", "Bo", "Cy", "Dot", "Eve", "Flo", "Gus", "Hal"]
    lines = [f"{hero} came and {hero} saw , then {hero} left ." for hero in heroes * 6 for _ in range(6)]
    (folder / "heroes.txt").write_text("\n".join(lines) + "\n")
    (folder / "recipe.toml").write_text(RECIPE.format(text=(folder / "heroes.txt").as_posix()))
    return train_recipe(read_recipe(folder / "recipe.toml"), folder / "out", progress=False)


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_tuning_is_kept_with_the_run_and_used(run):
    with pytest.raises(LMTutorError, match="lmtutor tune-cache"):
        cache_settings(run)
    before = (run.path / "result.json").read_bytes()
    found = invoke("tune-cache", run.path)
    assert found.exit_code == 0, found.output
    assert "without the cache: perplexity" in found.output
    assert (run.path / "result.json").read_bytes() == before
    surface, record = pd.read_csv(run.path / "cache.csv"), json.loads((run.path / "cache.json").read_text())
    model, vocab = run.load()
    corpus = run.recipe.load_corpus()
    settings = cache_settings(run)
    score = evaluate(NeuralCache(model, **settings), corpus.valid)
    assert math.isclose(surface["perplexity"].min(), score.perplexity, rel_tol=1e-5)
    assert math.isclose(record["valid"]["nats"], score.nats, rel_tol=1e-5)
    assert record["protocol"] == score.protocol and record["valid"]["tokens"] == score.tokens
    assert score.nats < evaluate(model, corpus.valid).nats
    assert {"command", "seed", "versions", "device", "date"} <= record.keys()

    shown = invoke("evaluate", run.path, "--cache")
    assert shown.exit_code == 0, shown.output
    score = evaluate(NeuralCache(model, **settings), corpus.test)
    assert (
        f"perplexity {score.perplexity:.2f}" in shown.output
        and f"neural cache of window {settings['window']}" in shown.output
    )


def test_the_four_protocols(run):
    model, _ = run.load()
    corpus = run.recipe.load_corpus()
    cache = dict(window=40, theta=1.0, lam=0.3)
    rms = gradient_rms(model, corpus.train, batches=STATISTICS_BATCHES)
    wrapped = NeuralCache(model, **cache)
    for settings, expected in [
        (dict(), evaluate(model, corpus.test)),
        (dict(cache=cache), evaluate(wrapped, corpus.test)),
        (dict(dynamic=True), dynamic_evaluate(model, corpus.test, rms)),
        (dict(cache=cache, dynamic=True), dynamic_evaluate(wrapped, corpus.test, rms)),
    ]:
        assert adapted_score(model, corpus.test, corpus.train, **settings) == expected
    shown = invoke("evaluate", run.path, "--dynamic")
    assert shown.exit_code == 0, shown.output
    assert "dynamic evaluation in segments of 20" in shown.output


@pytest.mark.parametrize("damage", ["{", "[]", '{"window": 5}', '{"window": -5, "theta": 1, "lam": 0.1}'])
def test_damaged_settings_are_said_to_be(tmp_path, damage):
    (tmp_path / "cache.json").write_text(damage)
    with pytest.raises(LMTutorError, match="is damaged"):
        cache_settings(Run(tmp_path))


def test_a_grid_of_ones_own(run, tmp_path):
    model, _ = run.load()
    (tmp_path / "recipe.toml").write_bytes((run.path / "recipe.toml").read_bytes())
    corpus = run.recipe.load_corpus()
    surface, record = tune_run(
        find_run(tmp_path), model, corpus.valid, windows=[5, 10, 4000], thetas=[0.5], lams=[0.0, 0.1, 0.2, 0.9]
    )
    assert len(surface) == 12 and "theta" in record["at_the_edge"]
    assert cache_settings(find_run(tmp_path)) == {name: record[name] for name in ("window", "theta", "lam")}


def test_the_command_takes_a_grid(run, tmp_path):
    words = ("tune-cache", run.path, "--out", tmp_path, "--windows", "5,20", "--thetas", "0.5,1", "--lams", "0.1")
    found = invoke(*words)
    assert found.exit_code == 0 and "the best settings of 4" in found.output and "without the cache" not in found.output
    assert pd.read_csv(tmp_path / "cache.csv")["window"].tolist() == [5, 5, 20, 20]
    best = json.loads((tmp_path / "cache.json").read_text())  # where evaluate --cache does not look
    assert f"--window {best['window']} --theta {best['theta']:g} --lam 0.1\n" in found.output
    for wrong, says in (("5;20", "with commas between"), ("0", "at least 1")):
        assert says in str(invoke(*words, "--windows", wrong).exception)


def test_nothing_is_written_beside_a_recorded_run(tmp_path, monkeypatch, run):
    """What came with the package is not the user's to change: the settings go below runs/, and are found there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, "recorded", True)
    monkeypatch.setattr(Run, "name", "wikitext-2/mine")
    model, _ = run.load()
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    _, record = tune_run(run, model, run.recipe.load_corpus().valid, windows=[7], thetas=[0.5], lams=[0.0, 0.1])
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "runs/wikitext-2/mine/cache.json").is_file()
    assert cache_settings(run)["window"] == record["window"] == 7
    shown = invoke("evaluate", run.path, "--window", 3, "--theta", 0.2, "--lam", 0.1, "--device", "cpu")
    assert "neural cache of window 3" in shown.output, shown.output
