"""Time how text becomes ids: WikiText-2 fresh and from the cache, and a text of 100 million tokens in little memory.

    LMTUTOR_DATA=FOLDER OMP_NUM_THREADS=1 python tests/benchmarks/bench_reading.py [--peer FILE] [--large TOKENS]

`--peer` names a Python file whose `Corpus(folder)` reads the same three files, such as `data.py` of the word language
model of pytorch/examples; it is no part of this project. The two are timed in turn, in processor seconds, so that a
busy machine does them as little wrong as possible. `--large` writes a text of so many random words, reads it, starts
again from the cache and trains a small model for an epoch, each in a process of its own, and reports peak memory. Of
that, *private* is what the process asked for; *mapped* are pages of files, of the ids and of the libraries, which the
system takes back when memory is wanted. To show that it does, the training is done once more in a control group that
kills it above 512 MiB (Linux, as root). With `--record` the figures go to `data/runs/benchmark-reading/`, which
chapter 05 shows.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lmtutor.models import build_model
from lmtutor.runs.provenance import provenance
from lmtutor.text.corpora import load_corpus
from lmtutor.training.config import TrainConfig
from lmtutor.training.session import fit

RESULT = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-reading" / "result.json"
SEEN, KEPT = 60_000, 200  # types in the large text, and in the vocabulary of the model that trains on it
SHARES = (0.998, 0.001, 0.001)
MODEL = dict(embedding=16, hidden=16, layers=1, dropout=0.0)
TRAINING = TrainConfig(epochs=1, optimizer="adam", lr=0.01, schedule="constant", batch_size=20, bptt=350)
CONFINED = 512  # MiB: what a training is then given, and no more


def seconds(call, *args) -> float:
    """Processor time of a call."""
    start = time.process_time()
    call(*args)
    return time.process_time() - start


def wikitext(cache: Path, peer: str | None, repeats: int) -> dict:
    """Read WikiText-2 fresh, from the cache, and by the peer, in turn: lowest, middle and highest seconds of each."""
    if peer:
        spec = importlib.util.spec_from_file_location("peer", peer)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    rows = []
    for _ in range(repeats):
        shutil.rmtree(cache / "tokens", ignore_errors=True)
        row = {"fresh": seconds(load_corpus, "wikitext-2"), "cached": seconds(load_corpus, "wikitext-2")}
        if peer:
            row["peer"] = seconds(module.Corpus, os.path.join(os.environ["LMTUTOR_DATA"], "wikitext-2"))
            row["ratio"] = row["fresh"] / row["peer"]
        rows.append(row)
    return pd.DataFrame(rows).agg(["min", "median", "max"]).round(3).to_dict()


def schemes(cache: Path, repeats: int) -> dict[str, float]:
    """Read Sherlock Holmes by each scheme: processor seconds a million characters, what it learns first included."""
    found = {}
    for scheme in ("words", "characters", "bpe", "treebank"):
        spent = []
        for _ in range(repeats):
            shutil.rmtree(cache / "tokens", ignore_errors=True)
            spent.append(seconds(partial(load_corpus, "sherlock-holmes", tokenizer=scheme)))
        characters = sum(load_corpus("sherlock-holmes", tokenizer=scheme).characters.values())
        found[scheme] = round(1e6 * min(spent) / characters, 2)
    return found


def write_text(path: Path, tokens: int) -> None:
    """Write lines of 24 random words, of which few are frequent and most are rare."""
    rng = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(SEEN)], dtype=object)
    with path.open("w") as file:
        for _ in range(tokens // 250_000):
            chosen = words[(rng.pareto(0.6, 240_000) * 10).astype(np.int64) % SEEN].reshape(-1, 24)
            file.writelines(" ".join(line) + "\n" for line in chosen)


def memory() -> dict[str, int]:
    """Private and mapped memory of this process now, MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) >> 10 for name, key in [("private", "RssAnon"), ("mapped", "RssFile")]}


class Watch(threading.Thread):
    """Looks at the memory 50 times a second and remembers the most."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.going = {"private": 0, "mapped": 0, "resident": 0}, True

    def run(self):
        while self.going:
            now = memory()
            now["resident"] = now["private"] + now["mapped"]
            self.most = {name: max(self.most[name], now[name]) for name in now}
            time.sleep(0.02)


def start(path: str) -> dict:
    """Load the corpus: read afresh where the cache has nothing."""
    corpus = load_corpus(path, max_size=KEPT, shares=SHARES)
    return {"tokens": sum(len(corpus.split(name)) for name in ("train", "valid", "test"))}


def train(path: str) -> dict:
    """Train for one epoch."""
    corpus = load_corpus(path, max_size=KEPT, shares=SHARES)
    torch.manual_seed(TRAINING.seed)
    model = build_model("lstm-200", corpus.vocab, **MODEL)
    (epoch,) = fit(model, corpus, TRAINING, progress=False).to_dict("records")
    return {"tokens": len(corpus.train), "train_loss": epoch["train_loss"], "valid_loss": epoch["valid_loss"]}


@contextmanager
def confined(mebibytes: int):
    """Processes started inside have so much memory between them, pages of ids included: above it they are killed."""
    root = Path("/sys/fs/cgroup")
    old = (root / "memory").is_dir()  # version 1 of control groups
    group = (root / "memory" if old else root) / f"lmtutor-{os.getpid()}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(mebibytes << 20))
        for swap in group.glob("memory.swap.max"):
            swap.write_text("0")
        (group / "cgroup.procs").write_text(str(os.getpid()))  # whoever is started from here inherits it
        os.sync()
        for kept in Path(os.environ["LMTUTOR_CACHE"]).rglob("*.ids"):  # pages read before are charged to nobody new
            with kept.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield group / ("memory.max_usage_in_bytes" if old else "memory.peak")
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def watched(work, path: str) -> dict:
    """Do one piece of work; return what it says, the seconds it took and the most memory it had."""
    watch = Watch()
    watch.start()
    began = time.perf_counter(), time.process_time()
    said = work(path)
    clock, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    watch.going = False
    watch.join()
    return {"seconds": round(clock, 2), "processor_seconds": round(processor, 2), **watch.most, **said}


def apart(work, *args) -> dict:
    """Do a piece of work in a process of its own, and show what it says; an error if the process is killed."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        row = pool.submit(work, *args).result()
    print(args[0].__name__ if args else "imports", row, flush=True)
    return row


def large(folder: Path, tokens: int) -> dict:
    """Each piece of work on the large text in a process of its own, after one that only imports."""
    path = folder / "large.txt"
    write_text(path, tokens)
    pieces = {"read afresh": start, "start from the cache": start, "train": train}
    rows = {"imports": apart(memory), **{name: apart(watched, work, str(path)) for name, work in pieces.items()}}
    with confined(CONFINED) as most:
        rows[f"train in {CONFINED} MiB"] = apart(watched, train, str(path)) | {"charged": int(most.read_text()) >> 20}
    return {"bytes": path.stat().st_size, **rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python file with a Corpus class to time beside ours")
    parser.add_argument("--large", type=int, help="tokens of the large text, such as 100000000")
    parser.add_argument("--repeats", type=int, default=5, help="how often WikiText-2 is read")
    parser.add_argument("--record", action="store_true", help="keep the figures where chapter 05 finds them")
    options = parser.parse_args()
    result = json.loads(RESULT.read_text()) if options.record and RESULT.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LMTUTOR_CACHE"] = folder
        if options.repeats:
            result["wikitext-2"] = wikitext(Path(folder), options.peer, options.repeats)
            result["schemes"] = schemes(Path(folder), min(options.repeats, 3))
            print(pd.DataFrame(result["wikitext-2"]).to_string(), result["schemes"], sep="\n")
        if options.large:
            result["large"] = large(Path(folder), options.large)
    if options.record:
        said = ["--peer FILE" if options.peer else "", f"--repeats {options.repeats}"]
        said += [f"--large {options.large}"] if options.large else []
        command = " ".join(["OMP_NUM_THREADS=1 python tests/benchmarks/bench_reading.py", *filter(None, said)])
        part = "large" if options.large else "wikitext-2"
        about = provenance(torch.device("cpu"), 1) | {"command": f"{command} --record"}
        result.setdefault("made_by", {})[part] = about
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
