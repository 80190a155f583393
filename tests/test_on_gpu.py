"""The script for a borrowed GPU: what it runs, in which order, and that it ends in time."""

import signal
import time

import pytest

from tests import on_gpu


@pytest.fixture
def ran(monkeypatch):
    words = []
    monkeypatch.setattr(on_gpu, "run", lambda *command, until=None: words.append((command[:2], until)) or 0)
    return words


def test_tests_then_a_rehearsal_then_training_until_the_time_is_over(ran, tmp_path):
    begun = time.monotonic()
    assert on_gpu.main(["5", "--out", str(tmp_path / "run")]) == 0
    assert [command for command, _ in ran] == [("pytest", "-q"), ("lmtutor", "train"), ("lmtutor", "train")]
    assert begun + 200 < ran[-1][1] < begun + 300


def test_the_same_line_goes_on_without_a_rehearsal(ran, tmp_path):
    (tmp_path / "recipe.toml").touch()
    assert on_gpu.main(["5", "--out", str(tmp_path)]) == 0
    assert len(ran) == 2


def test_no_training_begins_without_time(ran, tmp_path, capsys):
    assert on_gpu.main(["1", "--out", str(tmp_path / "run")]) == 0
    assert len(ran) == 2 and "no time left" in capsys.readouterr().out


def test_a_process_is_stopped_in_time():
    begun = time.monotonic()
    assert on_gpu.run("http.server", "0", "--bind", "127.0.0.1", until=begun + 2) == -signal.SIGTERM
    assert time.monotonic() - begun < 60
