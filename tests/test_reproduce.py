"""A recorded run comes out again, to the bit on the same machine; kept epochs are scored one by one."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from lmtutor.cli import commands as cli
from lmtutor.runs.recipe import Recipe
from lmtutor.runs.reproduction import NOISE, compare, reproduce, score_kept, seed_noise
from lmtutor.runs.run import Run, recorded_runs
from lmtutor.runs.train import train_recipe
from lmtutor.scoring.score import evaluate
from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError
from lmtutor.training.config import TrainConfig

TRAINING = TrainConfig(epochs=2, optimizer="adamw", lr=1e-2, schedule="one-cycle", bptt=10, batch_size=4)
MODEL = {"name": "lstm-200", "embedding": 12, "hidden": 12, "layers": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    for split, lines in (("train", 60), ("valid", 20), ("test", 20)):
        (folder / f"{split}.txt").write_text("the cat sees the dog and the dog sees a cat\n" * lines)
    recipe = Recipe("made-up", {"name": str(folder)}, MODEL, TRAINING)
    return train_recipe(recipe, folder / "run", progress=False, keep_every=1)


def changed(run: Run, folder, **result) -> Run:
    """The run with another record."""
    shutil.copytree(run.path, folder)
    record = json.loads((folder / "result.json").read_text()) | result
    (folder / "result.json").write_text(json.dumps(record))
    return Run(folder)


def test_on_the_same_machine_every_bit_agrees(run, tmp_path):
    comparison = reproduce(run.path, tmp_path / "again", progress=False)
    assert comparison.differences == [] and comparison.bit_equal and comparison.holds
    assert list(comparison.table.index[-2:]) == ["valid perplexity", "test perplexity"]
    assert len(comparison.table) == 2 * 2 + 2  # two losses in each of two epochs, two scores
    assert "bit-equal" in str(comparison)


def test_a_figure_that_is_not_the_recorded_one_is_noticed(run, tmp_path):
    """On the same machine the smallest difference counts, on another a few per cent do not."""
    test = run.result["test"]
    nudged = changed(run, tmp_path / "nudged", test=test | {"nats": test["nats"] * (1 + 1e-12)})
    comparison = compare(nudged, run)
    assert not comparison.bit_equal and not comparison.holds and "NOT bit-equal" in str(comparison)

    elsewhere = changed(run, tmp_path / "elsewhere", test=test | {"nats": test["nats"] * 1.01}, device="another")
    comparison = compare(elsewhere, run)
    assert comparison.holds and comparison.differences and "within" in str(comparison)

    wrong = changed(run, tmp_path / "wrong", test=test | {"nats": test["nats"] * 2}, device="another")
    assert not compare(wrong, run).holds and "NOT within" in str(compare(wrong, run))


def test_runs_of_different_length_are_compared_by_their_perplexities(run, tmp_path):
    """Averaged SGD ends by a criterion, and may end an epoch later on another machine."""
    shorter = changed(run, tmp_path / "shorter", device="another")
    rows = (shorter.path / "history.csv").read_text().splitlines()
    (shorter.path / "history.csv").write_text("\n".join(rows[:-1]) + "\n")
    comparison = compare(shorter, run)
    assert comparison.holds and not comparison.bit_equal
    assert list(comparison.table.index[-2:]) == ["valid perplexity", "test perplexity"]


def test_a_record_without_a_recipe_is_one_line(run, tmp_path):
    with pytest.raises(LMTutorError, match="names no recipe"):
        reproduce(changed(run, tmp_path / "none", recipe=None).path, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_command_ends_with_what_it_found(run, tmp_path):
    test = run.result["test"]
    wrong = changed(run, tmp_path / "wrong", test=test | {"nats": test["nats"] * 2})
    for recorded, code in ((run, 0), (wrong, 1)):
        out = str(tmp_path / f"again-{code}")
        done = CliRunner().invoke(cli.app, ["reproduce", str(recorded.path), "--out", out])
        assert done.exit_code == code, done.output
        assert "test perplexity" in done.output


def test_it_does_not_write_over_the_run(run, tmp_path):
    with pytest.raises(LMTutorError, match="the run to compare with"):
        reproduce(run.path, run.path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(LMTutorError, match="not empty"):
        reproduce(run.path, tmp_path)


def test_kept_epochs_are_scored_by_the_full_protocol(run, tmp_path):
    (run.path / "epochs" / ".DS_Store").write_text("not an epoch")
    table = score_kept(run, "valid")
    assert table["epoch"].tolist() == [1, 2]
    best = table.loc[table["perplexity"].idxmin()]
    assert best["perplexity"] == pytest.approx(run.score("valid").perplexity, rel=1e-6)
    model, _ = run.load()
    assert best["nats_per_token"] == evaluate(model, run.recipe.load_corpus().valid).nats_per_token
    done = CliRunner().invoke(cli.app, ["evaluate", str(run.path), "--epochs", "all", "--split", "valid"])
    assert done.exit_code == 0 and f"{best['perplexity']:.4f}" in done.output
    first, vocab = run.load(1)
    assert evaluate(first, run.load_corpus(vocab).valid).perplexity == pytest.approx(table["perplexity"][0], rel=1e-9)
    assert score_kept(run, "valid", "2-9")["epoch"].tolist() == score_kept(run, "valid", "2")["epoch"].tolist() == [2]
    for wrong, says in (("3-9", r"kept: 1, 2"), ("best", "such as 3-8"), ("1-", "such as 3-8")):
        with pytest.raises(LMTutorError, match=says):
            score_kept(run, "valid", wrong)
    with pytest.raises(LMTutorError, match=r"epoch 3 \(kept: \[1, 2\]\)"):
        run.load(3)
    shutil.copytree(run.path, tmp_path / "none")
    shutil.rmtree(tmp_path / "none" / "epochs")
    with pytest.raises(LMTutorError, match="--keep-every"):
        score_kept(Run(tmp_path / "none"))


SMALL = [r for r in recorded_runs() if r.name == "baker-street/lstm-64"]


@pytest.mark.parametrize("recorded", SMALL, ids=lambda r: r.name)
def test_a_recorded_run_comes_out_again(recorded, tmp_path):
    """The book's smallest recorded run, whole. To the bit where processor, threads and versions are the recorded."""
    comparison = reproduce(recorded.name, tmp_path / "again", progress=False)
    assert comparison.holds, str(comparison)


def test_the_noise_of_a_recipe_is_that_of_its_seeds():
    tests = [run.score("test").perplexity for run in recorded_runs() if run.result["recipe"] == "baker-street/lstm-64"]
    seeds = {run.result["seed"] for run in recorded_runs() if run.result["recipe"] == "baker-street/lstm-64"}
    assert seeds == {1, 2, 3}
    assert seed_noise("baker-street/lstm-64") == pytest.approx((max(tests) - min(tests)) / min(tests))
    assert seed_noise("wikitext-2/lstm-200") == NOISE  # one seed


def test_recorded_runs_are_complete():
    assert data_files.find("runs") is not None
    for run in recorded_runs():
        assert {"command", "seed", "commit", "versions", "device", "threads", "date"} <= set(run.result), run.name
        assert len(run.history) == run.result["epochs"]
        assert run.score("valid").perplexity == pytest.approx(run.history["valid_perplexity"].min(), rel=0.02)
