"""Kill a training at random moments, resume it, and compare with one that was left alone.

    OMP_NUM_THREADS=1 python -m tests.robustness.kills --kills 50 --seed 1

It prints a table; ``--record`` keeps it in ``data/runs/robustness``. Several trainings run side by side: without
OMP_NUM_THREADS=1 their threads wait for one another, and a minute becomes twenty.

Every training is the one of ``lmtutor train``. Most are forked from one process that has the imports behind it, and
save at every step they look at the loss, so that many kills hit a save; some are the true command line.
"""

import argparse
import contextlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from lmtutor.runs.provenance import git_commit
from lmtutor.system.files import UNFINISHED
from lmtutor.training.checkpoint import load_state

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """[corpus]
name = "baker-street"
tokens = 3000

[model]
{model}

[training]
{training}
"""
LSTM = 'name = "lstm-200"\nembedding = 12\nhidden = 12\ndropout = 0.3'
AWD = 'name = "awd-lstm"\nembedding = 12\nhidden = 16\nlayers = 2'
SMALL = "batch_size = 4\nbptt = 12\nseed = 3\n"
KINDS = {  # what is trained: the model's table and the training's
    "SGD, plateau": (LSTM, SMALL + "epochs = 4\nlr = 5.0"),
    "AdamW, one-cycle": (
        LSTM, SMALL + 'epochs = 4\noptimizer = "adamw"\nlr = 0.01\nschedule = "one-cycle"\nclip = 1.0',
    ),
    "NT-ASGD, triggered": (
        LSTM, SMALL + 'epochs = 5\noptimizer = "nt-asgd"\nnonmono = 1\nlr = 60.0\nclip = 5.0\nschedule = "constant"',
    ),
    "AWD, random BPTT": (
        AWD, SMALL + 'epochs = 4\noptimizer = "nt-asgd"\nlr = 10.0\nschedule = "constant"\nrandom_bptt = true',
    ),
}  # fmt: skip
SAME = ("valid", "test", "model", "parameters", "epochs", "protocol", "corpus")  # of result.json
AIMED = 1 / 3  # of the kills wait, once their random moment has come, for the next write to begin
TIMES = ["seconds", "tokens_per_second"]  # of history.csv


@dataclass
class Outcome:
    """What the kills of one kind of training came to."""

    kind: str
    kills: int = 0
    writing: int = 0  # a half-written file was left
    mid_epoch: int = 0  # the state on disk lay within an epoch
    averaging: int = 0  # the averages of (NT-)ASGD had begun in it
    before_any: int = 0  # nothing was saved yet
    command: int = 0  # of them, the true command line
    differences: list[str] = field(default_factory=list)


def write_recipe(folder: Path, kind: str) -> Path:
    """The recipe of a kind of training, in a folder."""
    model, training = KINDS[kind]
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(model=model, training=training), encoding="utf-8")
    return path


def child(arguments: list[str], save_often: bool, tell: Path | None = None) -> None:
    """Be ``lmtutor train``, in a forked process, and tell in a file what was imported; never returns."""
    import lmtutor.training.session
    from lmtutor.cli.commands import main

    code = 70
    try:
        with open(os.devnull, "w") as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
        if save_often:
            lmtutor.training.session.SAVE_EVERY = -1
        sys.argv = ["lmtutor", *arguments]
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        if tell:
            tell.write_text("\n".join(sys.modules))
        os._exit(code)


def start(arguments: list[str], command: bool, save_often: bool = True, tell: Path | None = None) -> int:
    """Start a training, and return its process id."""
    if command:
        null = subprocess.DEVNULL
        call = [sys.executable, "-m", "lmtutor", *arguments]
        return subprocess.Popen(call, stdout=null, stderr=null, cwd=ROOT).pid
    process = os.fork()
    if process == 0:
        child(arguments, save_often, tell)
    return process


def import_all(names: list[str]) -> None:
    """Import what a training imports as it goes, so that a fork of this process starts with the training itself."""
    for name in names:
        if name not in sys.modules and not name.startswith("__"):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def wait_or_kill(process: int, seconds: float | None, saving: Path | None = None) -> int | None:
    """Wait for a process, at most that long, and until it writes into the folder `saving` if there is one.

    Returns its exit code, or None when it had to be killed.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if deadline is not None and time.monotonic() >= deadline and (saving is None or writing(saving)):
            os.kill(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
        time.sleep(0.002)


def writing(out: Path) -> bool:
    """Whether a file is half written in a run folder."""
    folders = [folder for folder in (out, out / "checkpoint") if folder.is_dir()]
    return any(name.startswith(UNFINISHED) for folder in folders for name in os.listdir(folder))


def look(out: Path, outcome: Outcome) -> None:
    """Note what a kill has left."""
    outcome.kills += 1
    outcome.writing += writing(out)
    if not (out / "state.safetensors").exists():
        outcome.before_any += 1
        return
    state = load_state(out / "state.safetensors")  # raises unless whole
    outcome.mid_epoch += state["step"] > 0
    outcome.averaging += bool(state["optimizer"]["param_groups"][0].get("averaged"))


def compare(ours: Path, theirs: Path) -> list[str]:
    """In what two runs differ, timings aside; nothing when they are equal bit for bit."""
    wrong = []
    tables = [pd.read_csv(run / "history.csv", dtype=str).drop(columns=TIMES) for run in (ours, theirs)]  # as written
    if not tables[0].equals(tables[1]):
        wrong.append("history")
    results = [json.loads((run / "result.json").read_text()) for run in (ours, theirs)]
    wrong += [name for name in SAME if results[0][name] != results[1][name]]
    if (ours / "checkpoint/model.safetensors").read_bytes() != (theirs / "checkpoint/model.safetensors").read_bytes():
        wrong.append("parameters of the best epoch")
    states = [load_state(run / "state.safetensors") for run in (ours, theirs)]
    wrong += [name for name in ("model", "optimizer", "schedule", "processes") if not same(*(s[name] for s in states))]
    if left := [path.name for path in ours.rglob(f"{UNFINISHED}*")]:
        wrong.append(f"left behind: {left}")
    return wrong


def same(a, b) -> bool:
    """Whether two nested states are equal bit for bit."""
    if hasattr(a, "numpy"):
        return a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def campaign(kind: str, kills: int, folder: Path, dice: random.Random, command: int = 0) -> Outcome:
    """Kill trainings of one kind that many times, `command` of them on the true command line, and compare the ends."""
    import lmtutor.runs.run  # noqa: F401, the forked processes have the imports behind them

    folder.mkdir(parents=True)
    recipe, outcome = write_recipe(folder, kind), Outcome(kind)
    alone = folder / "alone"
    began, tell = time.monotonic(), folder / "imported"
    code = wait_or_kill(start(["train", str(recipe), "--out", str(alone)], command=False, tell=tell), 900)
    assert code == 0, f"the undisturbed run of {kind!r} ended with {code}"
    takes, run = time.monotonic() - began, 0
    import_all(tell.read_text().split("\n"))
    while outcome.kills < kills:
        run += 1
        out, fast = folder / f"killed-{run}", True
        for _ in range(20):  # at most so many lives; then it may end in peace
            resume = ["--resume"] if (out / "recipe.toml").exists() else []
            true_command = outcome.command < command and outcome.kills >= kills - command
            seconds = dice.uniform(0.0, 0.7) * takes + 0.5 * takes * true_command  # the imports come first
            born = time.monotonic()
            process = start(["train", str(recipe), "--out", str(out), *resume], true_command, fast)
            aim = out if dice.random() < AIMED else None
            code = wait_or_kill(process, seconds if outcome.kills < kills else None, aim)
            if code is not None:
                if not resume:  # a whole run in peace: the first may have found a busier machine
                    takes = time.monotonic() - born
                break
            look(out, outcome)
            outcome.command += true_command
        else:
            code = wait_or_kill(start(["train", str(recipe), "--out", str(out), "--resume"], False, fast), None)
        if code != 0:
            outcome.differences.append(f"run {run} ended with {code}")
        else:
            outcome.differences += [f"run {run}: {what}" for what in compare(out, alone)]
    return outcome


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--command", type=int, default=8, help="of them, on the true command line")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="write data/runs/robustness/kills.csv and .json")
    options = parser.parse_args()
    commit, began = git_commit(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(len(KINDS), get_context("fork")) as pool:
        os.environ["LMTUTOR_CACHE"] = f"{folder}/cache"
        tasks = []
        for i, kind in enumerate(KINDS):  # side by side
            share, own = ((n + len(KINDS) - 1 - i) // len(KINDS) for n in (options.kills, options.command))
            dice = random.Random(f"{options.seed} {kind}")
            tasks.append(pool.submit(campaign, kind, share, Path(folder) / str(i), dice, own))
        rows = [task.result() for task in tasks]
    for row in rows:
        print(row)
    table = pd.DataFrame([{**vars(row), "differences": len(row.differences)} for row in rows])
    print(table.to_string(index=False))
    facts = dict(
        command=f"python -m tests.robustness.kills --kills {options.kills} --command {options.command} "
        f"--seed {options.seed}",
        date=time.strftime("%Y-%m-%d"),
        commit=commit,
        seconds=round(time.monotonic() - began, 1),
        on_the_command_line=int(table["command"].sum()),
        **{name: int(table[name].sum()) for name in table.columns if name not in ("kind", "command")},
    )
    print(json.dumps(facts, indent=2))
    if options.record:
        where = ROOT / "data/runs/robustness"
        where.mkdir(parents=True, exist_ok=True)
        table.to_csv(where / "kills.csv", index=False)
        (where / "kills.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    sys.exit(bool(facts["differences"]))


if __name__ == "__main__":
    main()
