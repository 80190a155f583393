"""A disk that is full at any write of a training: one line, exit code 2, and what was there before goes on."""

import errno
import os
import stat
from pathlib import Path

import pytest

from lmtutor.cli import commands as cli
from lmtutor.runs.train import train_recipe
from lmtutor.system.files import write_atomically
from tests.robustness.kills import compare


@pytest.fixture
def whole(recipe):
    """A run that nothing has disturbed; the working directory holds its recipe."""
    return train_recipe(recipe, "whole", progress=False)


def run(monkeypatch, capsys, *words) -> tuple[int, str]:
    """The command in this process: exit code and standard error."""
    monkeypatch.setattr("sys.argv", ["lmtutor", *words])
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().err


def test_full_at_every_write_in_turn(whole, monkeypatch, capsys, tmp_path):
    """Write after write is the first that fails, until a training has none left that could."""
    flush, failed = os.fsync, 0
    for allowed in range(100):
        left = [allowed]

        def full(handle, left=left):
            left[0] -= stat.S_ISREG(os.fstat(handle).st_mode)
            if left[0] == -1 and stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.ENOSPC, "No space left on device")
            flush(handle)

        out = f"run-{allowed}"
        monkeypatch.setattr(os, "fsync", full)
        code, said = run(monkeypatch, capsys, "train", "cats.toml", "--out", out)
        monkeypatch.setattr(os, "fsync", flush)
        if code == 0:
            break
        failed += 1
        complaint = said.splitlines()[-1]
        assert code == 2 and "cannot be written (No space left on device)" in complaint, said
        assert "Traceback" not in said and not list((tmp_path / out).rglob(".unfinished-*"))
        go_on = ["--resume"] if (tmp_path / out / "recipe.toml").exists() else []
        assert run(monkeypatch, capsys, "train", "cats.toml", "--out", out, *go_on)[0] == 0
        assert compare(tmp_path / out, tmp_path / "whole") == []
    assert failed >= 7  # recipe, vocabulary, a best epoch or two, two states, two histories, result


def test_a_folder_that_cannot_be_synced_is_no_loss(monkeypatch, tmp_path):
    """The new file stands there already: to call the old one safe would be untrue."""
    flush = os.fsync

    def picky(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", picky)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_vocabulary_that_finds_the_disk_full_leaves_nothing_behind(whole, monkeypatch, capsys):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = {*Path().iterdir()}
    code, said = run(monkeypatch, capsys, "vocabulary", "cats.txt", "--out", "v.json", "--min-count", "2")
    assert code == 2 and "cannot be written (No space left on device)" in said.splitlines()[-1]
    assert {*Path().iterdir()} == before
