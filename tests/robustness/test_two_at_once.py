"""Two processes on one thing: a lock, or a clear refusal; and what they leave is right. Real processes, real kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmtutor.runs.train import train_recipe
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import alone
from lmtutor.text.corpora import load_corpus
from tests.robustness.kills import wait_or_kill
from tests.robustness.zoo import TEXT

ROOT = Path(__file__).resolve().parents[2]


def fork(act) -> int:
    """Run `act` in a process of its own; its exit code is 0, or 2 after an `LMTutorError`."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        act()
        code = 0
    except LMTutorError as error:
        print(error, flush=True)
        code = 2
    finally:
        os._exit(code)


def test_a_second_training_into_one_folder_is_refused(recipe, tmp_path):
    out = tmp_path / "run"
    with alone(out / ".lock"):
        command = [sys.executable, "-m", "lmtutor", "train", "cats.toml", "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.splitlines() == [
        f"lmtutor: Another process is training into {out} now: wait for it, or name a new folder with --out."
    ]
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_of_two_trainings_that_start_together_one_trains(recipe, tmp_path):
    def act():
        train_recipe(recipe, tmp_path / "run", progress=False)

    codes = [wait_or_kill(process, None) for process in (fork(act), fork(act))]
    assert sorted(codes) == [0, 2]
    together = train_recipe(recipe, tmp_path / "other", progress=False)
    for name in ("recipe.toml", "checkpoint/model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (together.path / name).read_bytes()


def test_a_dead_process_holds_no_lock(recipe, tmp_path):
    lock, held = tmp_path / ".lock", tmp_path / "held"

    def act():
        with alone(lock, "busy"):
            held.touch()
            time.sleep(60)

    process = fork(act)
    while not held.exists():
        time.sleep(0.01)
    with pytest.raises(LMTutorError, match="busy"), alone(lock, "busy"):
        pass
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with alone(lock, "busy"):
        pass


def test_a_folder_left_by_a_kill_at_the_very_start_is_trained_into(recipe, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".unfinished-recipe.toml.ab12cd_9").write_text("[corp")
    with pytest.raises(LMTutorError, match="holds no run to resume"):
        train_recipe(recipe, out, resume=True, progress=False)
    run = train_recipe(recipe, out, progress=False)
    assert run.score().tokens > 0 and not list(out.glob(".unfinished-*"))


def test_a_kill_between_the_first_checkpoint_and_the_first_state_loses_no_more_than_the_epoch(recipe, tmp_path):
    whole = train_recipe(recipe, tmp_path / "whole", progress=False)
    run = train_recipe(recipe, tmp_path / "run", progress=False)
    for name in ("state.safetensors", "history.csv", "result.json"):
        (run.path / name).unlink()
    again = train_recipe(recipe, run.path, resume=True, progress=False)
    assert again.score() == whole.score()
    (run.path / "state.safetensors").unlink()  # a finished run whose state was thrown away is another matter
    (run.path / "result.json").unlink()
    with pytest.raises(LMTutorError, match="has no state.safetensors"):
        train_recipe(recipe, run.path, resume=True, progress=False)


def test_two_processes_make_one_set_of_token_ids(recipe, tmp_path, monkeypatch):
    """One builds, the others wait and find what it built. One killed before them leaves nothing in the way."""
    from lmtutor.text import encoding as token_cache

    tokens, build = tmp_path / "cache/tokens", token_cache._build

    def slow(folder, splits, reading):
        with (tmp_path / "builders").open("a") as file:
            file.write("x")
        time.sleep(0.3)
        return build(folder, splits, reading)

    monkeypatch.setattr(token_cache, "_build", slow)

    def act():
        corpus = load_corpus("cats.txt")
        assert corpus.vocab.decode_text(corpus.train) == TEXT[: len(corpus.vocab.decode_text(corpus.train))]

    killed = fork(act)
    while not ((tmp_path / "builders").exists() and (tmp_path / "builders").read_text()):
        time.sleep(0.01)
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    assert list(tokens.glob("unfinished-*"))
    assert [wait_or_kill(process, None) for process in [fork(act) for _ in range(3)]] == [0, 0, 0]
    assert (tmp_path / "builders").read_text() == "xx"  # the one that was killed, and one of the three
    assert not list(tokens.glob("unfinished-*"))


@pytest.mark.parametrize("name", ["train.ids", "about.json"])
def test_ids_whose_file_was_cut_short_are_made_again(recipe, tmp_path, name):
    load_corpus("cats.txt")
    (path,) = (tmp_path / "cache/tokens").glob(f"*/{name}")
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    corpus = load_corpus("cats.txt")
    text = corpus.vocab.decode_text(corpus.train)
    assert text and TEXT.startswith(text)
    assert path.read_bytes() == whole
