"""Spoil files and command lines, and see that each ends well or in one line.

    python -m tests.robustness.fuzz --inputs 10000 --processes 4   # a table; --record keeps it in data/runs/robustness

Three in five inputs are files spoiled byte by byte, one in five files changed by what knows how they are made
(hypothesis draws the values; checksums are put right again), one in five command lines. A fault is an error that is no
`LMTutorError` or has several lines, a hang, more than 2 GiB of memory above the start, a pickle that was opened, or a
file that reading has changed.
"""

import argparse
import contextlib
import faulthandler
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from lmtutor import models
from lmtutor.runs.provenance import git_commit
from lmtutor.system.errors import LMTutorError
from tests.robustness import mutations, zoo

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10  # processor time of one input
ROOM = 2 << 30  # bytes of address space above what the process has at the start

SCALARS = st.sampled_from(mutations.VALUES) | st.integers() | st.floats() | st.text(max_size=20)
STRANGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
# Amounts of work (epochs, tokens to draw) stay small: a long training that was asked for is no hang.
COMMANDS = {
    "evaluate RUN": ("--split", "--corpus", "--cache", "--dynamic", "--per-line", "--epochs", "--out", "--encoding"),
    "generate RUN --tokens 3": (
        "--prompt", "--temperature", "--top-k", "--top-p", "--beam", "--seed", "--unk", "--sentences",
        "--epoch", "--out",
    ),
    "score RUN": ("--encoding",),
    "runs": (),
    "corpora list": (), "corpora fetch": (), "corpora verify": (),
    "corpora describe": ("--tokenizer", "--encoding"),
    "corpora sample": ("--split", "--characters", "--encoding"),
    "tokenize": ("--tokenizer", "--split", "--limit", "--run", "--encoding"), "detokenize RUN": (),
    "vocabulary": ("--tokenizer", "--min-count", "--max-size", "--limit", "--out", "--encoding"),
    "pretrained": ("--verify",),
    "train cats.toml --out new": ("--resume", "--set", "--keep-every", "--log-every", "--sample", "--dry-run"),
    "train cats.toml --out run --resume": ("--set",),
    "finetune RUN --out new": ("--resume", "--set"),
    "reproduce RUN --out new": ("--resume",),
    "tune-cache RUN": (),
    "release RUN": ("--title", "--licence"),
    "assignments points": (), "assignments due": (), "assignments report": (),
    "assignments hidden": ("--out", "--sources"),
}  # fmt: skip
WORDS = st.sampled_from(
    ["", "-", "--", "run", "cats.txt", "cats.zip", "cats.toml", "cp1251", "utf-16", "hex",
     "nowhere", "baker-street", "wikitext-2", "words", "bpe", "treebank",
     "characters", "train", "valid", "test", "0", "1", "-1", "3", "0.5", "nan", "inf", "1e400", "9" * 20, "lr=0",
     "lr=nan", "epochs=1", "bptt=0", "bptt=99999999", "batch_size=10000000", "model.hidden=1000000", "model.dropout=1",
     "model.layers=10000000", "model.cell=gru", "corpus.name=", "corpus.min_count=-1", "corpus.shares=[1]", "seed=-1",
     "optimizer=adam", "schedule=steps", "milestones=[1]", "milestones=['a']", "betas=[1]", "cut=documents",
     "cut=windows", "precision=x", "device=cuda:9", "published.test=x", "start.run=run", "model.name=awd-lstm", "a.b=c",
     "=", "[", "é", "\ud800", "--help", "-h"]
) | st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=6)  # fmt: skip


class TooLong(BaseException):
    """An input took more than its time."""


class Fuzzer:
    """Runs inputs in a folder of its own and counts how they end."""

    def __init__(self, folder: Path, number: int):
        self.folder, self.dice = folder, random.Random(number)
        self.number, self.seen = number, Counter()
        self.faults: list[str] = []
        os.chdir(folder)
        zoo.build(folder)
        shutil.copytree(folder, keep := folder.with_name("kept"))
        self.kept = keep
        self.start = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        self.slowest = 0.0

    def restore(self) -> None:
        """Put the specimens back."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.copytree(self.kept, self.folder, dirs_exist_ok=True)

    def attempt(self, name: str, what: str, act: Callable[[], object], left_alone: Path | None = None) -> None:
        """Run one input, and note how it ended."""
        before = left_alone.read_bytes() if left_alone else b""
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        faulthandler.dump_traceback_later(600, exit=True)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                act()
            end = "fine"
        except LMTutorError as error:
            end = "refused" if str(error) and "\n" not in str(error) else f"several lines: {error!r}"
        except (Exception, TooLong, KeyboardInterrupt) as error:
            where = traceback.extract_tb(error.__traceback__)
            own = [f"{Path(f.filename).name}:{f.lineno}" for f in where if "lmtutor" in f.filename]
            end = f"{type(error).__name__}: {' '.join(str(error).split())[:200]} at {' '.join(own[-3:])}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()
        self.slowest = max(self.slowest, time.process_time() - began)
        if end == "refused" and left_alone and (not left_alone.exists() or left_alone.read_bytes() != before):
            end = "the file was changed"
        if (self.folder / mutations.MARK).exists():
            end = "a pickle was opened"
        self.seen[name, end if end in ("fine", "refused") else "fault"] += 1
        if end not in ("fine", "refused"):
            self.faults.append(f"{name} [{what}]: {end}")

    def choose(self, knowing: bool) -> tuple[zoo.Target, Path]:
        """One target and its file."""
        while True:
            target = self.dice.choice(zoo.TARGETS)
            paths = sorted(self.folder.glob(target.file))
            if paths and (not knowing or paths[0].suffix in mutations.KNOWING):
                return target, self.dice.choice(paths)

    def bytes_input(self) -> None:
        """A file spoiled byte by byte."""
        target, path = self.choose(knowing=False)
        path.write_bytes(mutations.spoil(path.read_bytes(), self.dice))
        self.read(target, path, "bytes")

    def knowing_input(self, number: int, draw: Callable[[], object]) -> None:
        """A file changed by what knows how it is made."""
        self.dice = random.Random(number)
        target, path = self.choose(knowing=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mutations.KNOWING[path.suffix](path, self.dice, draw)
        self.read(target, path, f"knowing {number}")

    def read(self, target: zoo.Target, path: Path, what: str) -> None:
        kept = None if "cached" in target.name else path  # a spoiled cache is made again
        self.attempt(target.name, what, lambda: target.read(self.folder), kept)
        if path.parent == self.folder and target.read is not zoo.read_a_text:  # nothing else was touched
            shutil.copy(self.kept / path.relative_to(self.folder), path)
        else:
            self.restore()

    def words_input(self, words: list[str]) -> None:
        """A command line."""
        self.attempt(f"lmtutor {words[0]}", " ".join(words).encode("utf-8", "replace").decode(), lambda: command(words))
        self.restore()


def command(words: list[str]) -> None:
    """Run the command line in this process: its one line becomes an `LMTutorError`, whatever else it says a fault."""
    from lmtutor.cli import commands as cli

    complaint, sys.argv = io.StringIO(), ["lmtutor", *words]
    sys.stdin = io.TextIOWrapper(io.BytesIO(zoo.TEXT.encode()))
    try:
        with contextlib.redirect_stderr(complaint):
            cli.main()
    except SystemExit as end:
        lines = complaint.getvalue().splitlines()
        if end.code == 2 and lines and not lines[0].startswith("Usage:"):
            lines = [line for line in lines if not line.startswith(("epoch ", "\r"))]  # a progress bar
            raise LMTutorError("\n".join(lines)) from None
        if end.code not in (0, 1, 2, None):
            raise RuntimeError(f"exit code {end.code}") from None


def limits(fuzzer: Fuzzer) -> None:
    """No input may take more than its time or its memory."""

    def too_long(*_):
        raise TooLong

    signal.signal(signal.SIGPROF, too_long)
    models.memory = lambda: 1 << 62  # or the limit below would hide from the package what it would do without one
    resource.setrlimit(resource.RLIMIT_AS, (fuzzer.start + ROOM, resource.getrlimit(resource.RLIMIT_AS)[1]))


def fuzz(inputs: int, number: int, folder: Path) -> Fuzzer:
    """Try that many inputs, from one seed, in an empty folder."""
    fuzzer = Fuzzer(folder, number)
    fixed = dict(database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))

    @seed(number)
    @settings(max_examples=inputs // 5, **fixed)
    @given(st.integers(0, 2**63), st.data())
    def knowing(own, data):
        fuzzer.knowing_input(own, lambda: data.draw(STRANGE))

    @seed(number)
    @settings(max_examples=inputs // 5, **fixed)
    @given(st.sampled_from(sorted(COMMANDS)), st.data())
    def words(name, data):
        known = COMMANDS[name]
        options = data.draw(st.lists(st.sampled_from(known), max_size=2)) if known else []
        drawn = [word for option in options for word in (option, *data.draw(st.lists(WORDS, max_size=1)))]
        run = data.draw(st.sampled_from(["run"] * 5 + ["cats.txt", "", "nowhere"]))
        fuzzer.words_input([*name.replace("RUN", run).split(" "), *drawn, *data.draw(st.lists(WORDS, max_size=2))])

    limits(fuzzer)
    try:
        knowing()
        words()
        for _ in range(inputs - fuzzer.seen.total()):  # hypothesis may stop early when it has seen every case
            fuzzer.bytes_input()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return fuzzer


def work(inputs: int, number: int) -> tuple[Counter, list[str], float, int]:
    """Fuzz in this process: how inputs ended, the faults, the slowest input's seconds, the largest resident MiB."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "zoo"
        folder.mkdir()
        os.environ.update(LMTUTOR_CACHE=str(folder / "cache"), LMTUTOR_OFFLINE="1")
        os.environ.pop("LMTUTOR_DATA", None)
        fuzzer = fuzz(inputs, number, folder)
        os.chdir(ROOT)
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return fuzzer.seen, fuzzer.faults, fuzzer.slowest, largest


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1, help="side by side, each with a seed of its own")
    parser.add_argument("--record", action="store_true", help="write data/runs/robustness/fuzz.csv and .json")
    options = parser.parse_args()
    commit, began = git_commit(), time.monotonic()
    where = ROOT / "data/runs/robustness"
    share = -(-options.inputs // options.processes)
    with ProcessPoolExecutor(options.processes, get_context("fork")) as pool:
        seeds = [1000 * options.seed + i for i in range(options.processes)]
        parts = list(pool.map(work, [share] * options.processes, seeds))
    seen, faults = sum((part[0] for part in parts), Counter()), [fault for part in parts for fault in part[1]]
    table = pd.Series(seen).unstack(fill_value=0).rename_axis("read")
    table = table.reindex(columns=["fine", "refused", "fault"], fill_value=0)
    print(table.to_string())
    for fault, times in Counter(faults).most_common(60):
        print(times, fault)
    facts = dict(
        command=f"python -m tests.robustness.fuzz --inputs {options.inputs} --seed {options.seed} "
        f"--processes {options.processes}",
        date=time.strftime("%Y-%m-%d"),
        commit=commit,
        inputs=seen.total(),
        **{name: int(table[name].sum()) for name in table},
        slowest_processor_seconds=round(max(part[2] for part in parts), 2),
        largest_resident_mebibytes=max(part[3] for part in parts),
        seconds=round(time.monotonic() - began),
    )
    print(json.dumps(facts, indent=2))
    if options.record:
        where.mkdir(parents=True, exist_ok=True)
        table.to_csv(where / "fuzz.csv")
        (where / "fuzz.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
