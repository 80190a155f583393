"""Time how text becomes ids: WikiText-2 fresh and from the cache, and a text of 100 million tokens in little memory.

    LMTUTOR_DATA=FOLDER python tests/benchmarks/bench_reading.py [--peer FILE] [--large TOKENS]

`--peer` names a Python file whose `Corpus(folder)` reads the same three files, such as `data.py` of the word language
model of pytorch/examples; it is no part of this project. The two are timed in turn, in processor seconds, so that a
busy machine does them no wrong. `--large` writes a text of so many random words, reads it, starts again from the cache
and runs through one epoch of batches, and reports peak memory: of the process itself (anonymous), and with the mapped
pages that the system may drop whenever it likes (resident).
"""

import argparse
import importlib.util
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pandas as pd

from lmtutor.batches import stream_batches
from lmtutor.corpora import load_corpus


def seconds(call, *args) -> float:
    """Processor time of a call."""
    start = time.process_time()
    call(*args)
    return time.process_time() - start


def wikitext(cache: Path, peer: str | None, repeats: int = 5) -> pd.DataFrame:
    """Read WikiText-2 fresh, from the cache, and by the peer, in turn."""
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
        rows.append(row)
    return pd.DataFrame(rows)


def memory() -> dict[str, int]:
    """Resident and anonymous memory of this process now, MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) // 1024 for name, key in [("resident", "VmRSS"), ("anonymous", "RssAnon")]}


def large(folder: Path, tokens: int) -> pd.DataFrame:
    """Read a text of so many tokens, and run through it once."""
    rng = random.Random(1)
    words = [f"w{int(rng.paretovariate(0.6)) % 60_000}" for _ in range(200_000)]
    path = folder / "large.txt"
    with path.open("w") as file:
        for _ in range(tokens // 25_000):
            file.write((" ".join(rng.choices(words, k=999)) + "\n") * 25)
    rows = [{"step": "before", **memory()}]
    for step in ("read afresh", "start from the cache"):
        start = time.perf_counter()
        corpus = load_corpus(path)
        rows.append({"step": step, "seconds": time.perf_counter() - start, **memory()})
    start = time.perf_counter()
    for batch in stream_batches(corpus.train, 20, 35):
        batch.inputs.sum()
    rows.append({"step": "one epoch of batches", "seconds": time.perf_counter() - start, **memory()})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python file with a Corpus class to time beside ours")
    parser.add_argument("--large", type=int, help="tokens of the large text, such as 100000000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LMTUTOR_CACHE"] = folder
        print(wikitext(Path(folder), options.peer).describe().loc[["min", "50%", "max"]].round(3).to_string())
        if options.large:
            print(large(Path(folder), options.large).round(1).to_string(index=False))


if __name__ == "__main__":
    main()
