"""Ctrl-C and SIGTERM on the true command: it saves, says how to go on, and does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from lmtutor.runs.recipe import read_recipe
from lmtutor.runs.train import train_recipe
from lmtutor.training.checkpoint import load_state
from tests.robustness.zoo import RECIPE, TEXT

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("number", "encoding"), [(signal.SIGTERM, "utf-8"), (signal.SIGINT, "ascii")])
def test_a_signal_saves_and_says_how_to_go_on(number, encoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "cats.txt").write_text(TEXT)
    (tmp_path / "cats.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "lmtutor", "train", "cats.toml", "--out", "run", "--set", "epochs=1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "run/history.csv").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=300)
    epochs = len(pd.read_csv("run/history.csv"))
    assert process.returncode == 130 and "Traceback" not in err
    assert out.splitlines()[-1] == (
        f"Stopped after {epochs} whole epochs; continue with resume=True (lmtutor train ... --resume)."
    )
    assert load_state("run/state.safetensors")["epoch"] == epochs and not (tmp_path / "run/result.json").exists()
    recipe = read_recipe("cats.toml").with_changes([f"epochs={epochs + 1}"])
    assert len(train_recipe(recipe, "run", resume=True, progress=False).history) == epochs + 1


def test_a_longer_training_that_is_interrupted_does_not_show_the_old_result(tmp_path, monkeypatch, capsys):
    from lmtutor.cli import commands as cli
    from lmtutor.training.loop import Trainer

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cats.txt").write_text(TEXT)
    (tmp_path / "cats.toml").write_text(RECIPE)
    train_recipe(read_recipe("cats.toml"), "run", progress=False)
    step = Trainer.train_step

    def interrupted(self, batch, done):
        self.asked = True
        return step(self, batch, done)

    monkeypatch.setattr(Trainer, "train_step", interrupted)
    monkeypatch.setattr("sys.argv", ["lmtutor", *"train cats.toml --out run --resume --set epochs=3".split()])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out = capsys.readouterr().out
    assert end.value.code == 130 and "Stopped after" in out and "run: test perplexity" not in out
