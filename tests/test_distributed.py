"""Two processes train as one does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from lmtutor import find_run
from tests.test_runs import RECIPE, TEXT


def launch(folder, out, *words, processes=2):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = command if processes > 1 else [sys.executable]
    command += ["-m", "lmtutor", "train", str(folder / "cats.toml"), "--out", str(out), *words]
    return command, {**os.environ, "OMP_NUM_THREADS": "1"}


def train(folder, out, *words, processes=2):
    command, env = launch(folder, out, *words, processes=processes)
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    (folder / "cats.txt").write_text(TEXT)
    (folder / "cats.toml").write_text(RECIPE.format(name=folder / "cats.txt"))
    return folder


SETTINGS = ["--set", "model.dropout=0.0", "--set", "precision=float32"]


def test_two_processes_give_the_curve_of_one(folder):
    curves = {}
    for processes in (1, 2):
        done = train(folder, folder / str(processes), *SETTINGS, processes=processes)
        assert done.returncode == 0, done.stderr[-2000:]
        curves[processes] = find_run(folder / str(processes)).history
    for column in ("train_loss", "valid_loss"):
        assert (curves[1][column] - curves[2][column]).abs().max() < 1e-4
    results = [find_run(folder / str(n)).result["test"]["nats_per_token"] for n in (1, 2)]
    assert abs(results[0] - results[1]) < 1e-4


def test_two_processes_resume_as_two(folder):
    whole = find_run(folder / "2").history if (folder / "2").exists() else None
    if whole is None:
        assert train(folder, folder / "2", *SETTINGS).returncode == 0
        whole = find_run(folder / "2").history
    assert train(folder, folder / "half", *SETTINGS, "--set", "epochs=1").returncode == 0
    alone = train(folder, folder / "half", *SETTINGS, "--resume", processes=1)
    assert alone.returncode == 2 and "was trained by 2 processes" in alone.stderr
    done = train(folder, folder / "half", *SETTINGS, "--resume")
    assert done.returncode == 0, done.stderr[-2000:]
    columns = ["epoch", "train_loss", "valid_loss"]
    pd.testing.assert_frame_equal(find_run(folder / "half").history[columns], whole[columns], rtol=1e-6)


def test_when_one_process_is_killed_the_other_says_so_and_the_training_can_go_on(folder):
    settings, out = [*SETTINGS, "--set", "epochs=8"], folder / "killed"
    assert train(folder, folder / "calm", *settings).returncode == 0
    command, env = launch(folder, out, *settings)
    training = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env)
    until = time.monotonic() + 120
    while not (out / "history.csv").is_file() and time.monotonic() < until:
        time.sleep(0.02)
    children = Path(f"/proc/{training.pid}/task/{training.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    said = training.communicate(timeout=120)[1]
    assert training.returncode != 0 and not (out / "result.json").exists()
    assert "lmtutor: An exchange with the other processes of this training failed" in said
    assert "lmtutor/training" not in said  # no traceback
    assert train(folder, out, *settings, "--resume").returncode == 0
    columns = ["epoch", "train_loss", "valid_loss"]
    calm = find_run(folder / "calm").history[columns]
    pd.testing.assert_frame_equal(find_run(out).history[columns], calm, rtol=1e-6)


def test_columns_that_cannot_be_shared_out(folder):
    done = train(folder, folder / "odd", "--set", "batch_size=3")
    assert done.returncode != 0
    assert "3 columns cannot be divided among 2 processes" in done.stderr
