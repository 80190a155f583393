"""Grading is stopped half-way: no student's process is left, no file is half-written, a second run does it all."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lmtutor.classroom import confine
from lmtutor.classroom.workspace import LOCKED, work_folder

pytest.importorskip("nbgrader")
from lmtutor.classroom import grading  # noqa: E402
from lmtutor.classroom.sandbox import Limits  # noqa: E402

pytestmark = [
    pytest.mark.classroom,
    pytest.mark.slow,
    pytest.mark.skipif(not confine.roads(), reason="this machine cannot confine a process"),
]
START = "import sys, lmtutor.cli.commands as cli; sys.argv[0] = 'lmtutor'; cli.main()"


def left_over(folder: Path) -> list[str]:
    """The processes that were started with this folder for their temporary files, and still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "stat").read_text())
        except OSError:
            continue
    return [line for line in found if ") Z" not in line]


@pytest.fixture
def work():
    """A folder for temporary files that other users may enter, as one road needs."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_stopped_half_way(classroom, work, monkeypatch, kind):
    for student in ("ann", "bob"):
        classroom.hand_in(student, classroom.notebook())
    for student in ("cyd", "dan"):
        classroom.with_answer(student, "a1-q1", "def perplexity(log_probs):\n    while True: pass")
    classroom.with_answer("eve", "a1-q1", "import time\ntime.sleep(3600)")
    monkeypatch.setenv("TMPDIR", str(work))
    monkeypatch.setattr(tempfile, "tempdir", str(work))
    line = [sys.executable, "-c", START, "assignments", "grade", "a1", "--course", str(classroom.course)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as grader:
        told = next((said for said in grader.stdout if said.startswith("bob: 16 of 20")), None)
        time.sleep(2)  # the next ones are on their way
        before = left_over(work)
        grader.send_signal(getattr(signal, kind))
        _, said = grader.communicate(timeout=60)
    assert told and len(before) > 1
    if kind == "SIGKILL":
        deadline = time.monotonic() + 30
        while left_over(work) and time.monotonic() < deadline:
            time.sleep(0.2)
    else:
        assert grader.returncode == 130 and said.startswith("stopped; no file is half-written"), said
        assert not list(work.iterdir()), "its temporary folders are gone"
    assert not left_over(work)

    for path in classroom.course.glob("autograded/*/a1/*"):
        assert path.name == "a1.ipynb" and json.loads(path.read_text())["cells"]
    assert not (classroom.course / "summary-a1.csv").exists()
    for student in ("cyd", "dan", "eve"):
        classroom.hand_in(student, classroom.notebook())
    table = grading.grade(classroom.course, "a1", Limits(cell_seconds=60, megabytes=1000))
    assert table["score"].tolist() == [16] * 5
    assert not list(work.iterdir()), "nothing is left, of the run that was killed either"


def test_only_what_is_ours_and_abandoned_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    for name in ("killed", "another's"):
        (tmp_path / f"{LOCKED}{name}" / "x").mkdir(parents=True)
    (tmp_path / f"{LOCKED}link").symlink_to(tmp_path / "precious")
    theirs = {"lmtutor-work-another's"} if os.getuid() == 0 else set()
    if theirs:
        os.chown(tmp_path / "lmtutor-work-another's", 61_000, 61_000)
    with work_folder() as live, work_folder() as second:
        assert live.is_dir() and second.is_dir(), "a second run leaves that of the first alone"
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {"precious", f"{LOCKED}link", live.name, second.name} | theirs
    assert (tmp_path / "precious" / "file").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} == {"precious", f"{LOCKED}link"} | theirs
