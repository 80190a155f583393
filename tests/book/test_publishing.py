"""What runs elsewhere: the workflows and the configuration of Binder call only what is here, at the pinned versions."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
COMMON = {"cp", "mkdir", "git", "cd", "echo"}


def steps(workflow: Path) -> list[dict]:
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    return [step for job in content["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_well_formed_and_calls_what_exists(workflow):
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert content["name"] and content[True], "`on`, which YAML reads as a truth value"
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    for step in steps(workflow):
        assert ("run" in step) != ("uses" in step)
        assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])
        for line in step.get("run", "").splitlines():
            command, *arguments = shlex.split(line)
            if command == "make":
                assert set(arguments) <= targets, line
            elif "/" in command:
                assert os.access(ROOT / command, os.X_OK), line
            else:
                assert command in COMMON, line


def test_the_book_is_built_tested_and_published_with_its_notebooks():
    (book,) = (path for path in WORKFLOWS if path.stem == "book")
    runs = " ".join(step.get("run", "") for step in steps(book))
    used = " ".join(step.get("uses", "") for step in steps(book))
    assert "make test" in runs and "make notebooks" in runs and "push --force origin notebooks" in runs
    assert "upload-pages-artifact" in used and "deploy-pages" in used
    assert "LMTUTOR_REPOSITORY" in book.read_text(encoding="utf-8"), "the pages must know where they are published"


def test_binder_has_the_pinned_torch_without_cuda():
    lines = (ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (torch,) = (line for line in lines if line.startswith("torch=="))
    pinned = re.search(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.M)[1]
    assert torch == f"torch=={pinned}+cpu"
    assert "--constraint constraints.txt" in lines, "Binder runs pip in the root of the repository"
    names = {line for line in lines if re.fullmatch(r"[a-z-]+", line)}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name}==", pins, flags=re.M) for name in names)
    python = (ROOT / ".binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    assert re.fullmatch(r"python-3\.(1[1-9])", python)


def test_binders_last_step_is_a_sound_script():
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
