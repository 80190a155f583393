"""What a borrowed GPU is for, in a given number of minutes: its tests, the time of an epoch, then a recipe.

    python -m tests.on_gpu MINUTES [RECIPE] [--out DIR] [--set NAME=VALUE ...]

The tests marked `gpu` come first; they fail fast. Then the recipe (wikitext-2/awd-lstm-one-cycle) is rehearsed, which
says its minutes an epoch, and trained. When the minutes are over, the training is told to stop (SIGTERM): it saves
itself, and the same line typed again goes on from there. A rehearsal without a GPU takes a slice and a small model:

    python -m tests.on_gpu 3 baker-street/lstm-64 --out runs/rehearsal --set epochs=2
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

RESERVE = 30  # seconds for what an interrupted training writes
SHORTEST = 60  # seconds of training that are worth a start


def run(*words: str, until: float | None = None) -> int:
    """Run a module of this environment; interrupt it when the time has come. Return its exit code."""
    print("$ python -m", *words, flush=True)
    process = subprocess.Popen([sys.executable, "-m", *words])
    try:
        return process.wait(until and until - time.monotonic())
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.wait()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("recipe", nargs="?", default="wikitext-2/awd-lstm-one-cycle")
    parser.add_argument("--out", type=Path, default=Path("runs/on-gpu"))
    parser.add_argument("--set", nargs="*", default=[])
    asked = parser.parse_args(arguments)
    end = time.monotonic() + 60 * asked.minutes - RESERVE
    changes = [word for change in asked.set for word in ("--set", change)]
    code = run("pytest", "-q", "-x", "-m", "gpu", "-p", "no:cacheprovider", "tests/models")
    if code not in (0, 5):  # 5: no test was chosen
        return code
    go_on = ["--resume"] if (asked.out / "recipe.toml").exists() else []
    if not go_on and (code := run("lmtutor", "train", asked.recipe, "--dry-run", *changes)):
        return code
    if end - time.monotonic() < SHORTEST:
        print("no time left to train")
        return 0
    return run("lmtutor", "train", asked.recipe, "--out", str(asked.out), *go_on, *changes, until=end)


if __name__ == "__main__":
    sys.exit(main())
