"""Short versions of the three commands of this folder; their long ones are recorded in data/runs/robustness."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.robustness import kills, memory

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "data/runs/robustness"


def test_four_kills(tmp_path, monkeypatch):
    monkeypatch.setenv("LMTUTOR_CACHE", str(tmp_path / "cache"))
    seed = random.SystemRandom().randrange(10**6)
    outcome = kills.campaign("AWD, random BPTT", 4, tmp_path / "runs", random.Random(seed))
    assert outcome.kills >= 4 and not outcome.differences, (seed, outcome)


def test_two_hundred_inputs():
    """In a process of its own, whose memory is limited."""
    command = [sys.executable, "-m", "tests.robustness.fuzz", "--inputs", "200", "--seed", "11"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert '"inputs": 200' in done.stdout and '"fault": 0' in done.stdout


def test_memory_and_files_stay_flat(tmp_path):
    for table in (memory.train(12, tmp_path / "run"), memory.score(400_000, tmp_path)):
        assert memory.growth(table) < 8, table
        assert table["open_files"].nunique() == 1, table


@pytest.mark.parametrize("name", ["kills", "fuzz", "memory"])
def test_what_is_recorded_held(name):
    facts = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    assert facts["commit"] and facts["command"].startswith(f"python -m tests.robustness.{name} ")
    if name == "kills":
        assert facts["kills"] >= 50 and facts["differences"] == 0
        assert min(facts["writing"], facts["mid_epoch"], facts["averaging"], facts["on_the_command_line"]) > 0
    if name == "fuzz":
        assert facts["inputs"] >= 10_000 and facts["fault"] == 0
        assert facts["largest_resident_mebibytes"] < 2048 + 1024
    if name == "memory":
        assert facts["training_growth_mib"] < 8 and facts["scoring_growth_mib"] < 8
        assert facts["open_files"][0] == facts["open_files"][1]
