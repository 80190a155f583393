"""The benchmark's own machinery, on a vocabulary of a hundred types: contestants answer, and their figures add up."""

import json

import pandas as pd
import pytest

from tests.benchmarks.__main__ import STAGES, find_peer, median, record, take_turns
from tests.benchmarks.workers import workers


def test_contestants_take_turns(monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small = dict(vocab=100, hidden=8, bptt=5)
    team = dict(ours=("ours", small), limit=("limit", small), plain=("ours", STAGES["plain"] | small))
    with workers(**team) as running:
        found = take_turns(running, "train", 3, rounds=2)
        processes = [worker.process for worker in running.values()]
    assert all(process.returncode == 0 for process in processes)
    for reply in found.values():
        assert 0 < reply["cpu"] and 0 < reply["wall"]
    assert found["ours"]["peak"] > 100
    # The same seed and batches, with and without the tricks: the same loss.
    assert found["ours"]["loss"] == pytest.approx(found["plain"]["loss"], abs=0.02)
    monkeypatch.delenv("LMTUTOR_PEER", raising=False)
    assert find_peer("wikitext-2") is None and "ours is timed alone" in capsys.readouterr().out


def test_a_contestant_that_breaks_says_so():
    with pytest.raises(RuntimeError, match="ended early"):
        with workers(ours=("ours", dict(vocab=-1))):
            pass


def test_records_are_kept_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.__main__.RUN", tmp_path / "run")
    for name in ("figures", "sweep"):
        record(name, pd.DataFrame({"a": [1.25, 2.0]}))
    assert sorted(json.loads((tmp_path / "run" / "result.json").read_text())) == ["figures", "sweep"]
    assert pd.read_csv(tmp_path / "run" / "sweep.csv")["a"].tolist() == [1.25, 2.0]
    assert median([(1, 10), (3, 30), (2, 20)]) == (2, 20)
