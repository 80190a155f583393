"""The speed of training, scoring and generating, beside pytorch/examples' word_language_model in the same run.

    LMTUTOR_PEER=FOLDER LMTUTOR_DATA=FOLDER python -m tests.benchmarks [--quick] [--only NAME …] [--record]

`LMTUTOR_PEER` is the folder with the peer's main.py, which is not part of this project; without it only ours is timed.
Contestants take turns, a few steps each, and medians over all turns are compared: by the wall clock, and in processor
seconds, which other work on the machine disturbs less. `--record` writes what was measured to
``data/runs/benchmark-speed/`` for the book.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

import pandas as pd
import torch

from lmtutor.runs.provenance import provenance
from lmtutor.system.errors import LMTutorError
from lmtutor.text.corpora import load_corpus
from tests.benchmarks.workers import BATCH, BPTT, workers

RUN = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-speed"
STAGES = {  # the waterfall: each adds one trick to the ones before
    "plain": dict(head="plain", keep_memory=False, fused=False),
    "logits in tiles": dict(precision="float32", keep_memory=False, fused=False),
    "bfloat16 products": dict(keep_memory=False, fused=False),
    "memory kept": dict(fused=False),
    "fused optimizer": dict(),
}


PARTS = ("training", "inference", "waterfall", "precision", "sweep")


def median(times: list) -> tuple[float, float]:
    """Median wall and processor seconds of a list of (wall, processor) pairs."""
    return tuple(statistics.median(column) for column in zip(*times, strict=True))


def take_turns(team: dict, do: str, count: int, rounds: int) -> dict[str, dict]:
    """Let every worker do the same in turn, several times over; each one's times, one after another."""
    for worker in team.values():
        worker.ask(do, count)  # warm up
    found = {name: {"times": []} for name in team}
    for _ in range(rounds):
        for name, worker in team.items():
            reply = worker.ask(do, count)
            found[name]["times"] += reply.pop("times")
            found[name].update(reply)
    for reply in found.values():
        reply["wall"], reply["cpu"] = median(reply.pop("times"))
    return found


def training(peer: dict | None, data: str | None, rounds: int) -> list[dict]:
    """Training tokens a second, peak memory, and the share of the machine's own limit."""
    team = dict(ours=("ours", dict(data=data)), limit=("limit", {}))
    if peer:
        team["peer"] = ("peer", peer)
    with workers(**team) as running:
        found = take_turns(running, "train", 5, rounds)
        imported = {name: worker.hello.get("imported") for name, worker in running.items()}
    ours, rows = found["ours"], []
    tokens = BATCH * BPTT
    row = dict(figure="training, tokens/s", ours=tokens / ours["wall"], goal="≥ 4.5 × peer")
    if peer:
        theirs = found["peer"]
        row |= dict(peer=tokens / theirs["wall"], ratio=theirs["wall"] / ours["wall"])
        row |= dict(ratio_cpu=theirs["cpu"] / ours["cpu"])
    rows.append(row)
    share = found["limit"]["wall"] / ours["wall"], found["limit"]["cpu"] / ours["cpu"]
    rows.append(
        dict(figure="share of the machine's limit", ours=share[0], ratio=share[0], ratio_cpu=share[1], goal="≥ 0.7")
    )
    row = dict(figure="peak memory, MiB", ours=ours["peak"], goal="≤ 0.5 × peer")
    above = dict(figure="peak memory above the imports, MiB", ours=ours["peak"] - imported["ours"], goal="≤ 0.5 × peer")
    if peer:
        for one, base in ((row, 0), (above, imported["peer"])):
            one["peer"] = theirs["peak"] - base
            one["ratio"] = one["ours"] / one["peer"]
    return [*rows, row, above]


def inference(peer: dict | None, data: str | None, rounds: int) -> list[dict]:
    """Tokens a second of scoring (batch 1, exact; the peer's at its batch 10) and of generating (batch 1)."""
    if data is None:
        return []
    rows = []
    for do, count, goal in (("evaluate", 24_000, "≥ 4 × peer"), ("generate", 300, "≥ 2 × peer")):
        team = dict(ours=("ours", dict(data=data)))
        if peer:
            team["peer"] = ("peer", peer)
        with workers(**team) as running:
            found = take_turns(running, do, count, rounds)
        ours = found["ours"]
        row = dict(figure=f"{do}, tokens/s", ours=ours["tokens"] / ours["wall"], goal=goal)
        if peer:
            theirs = found["peer"]
            row["peer"] = theirs["tokens"] / theirs["wall"]
            row["ratio"] = row["ours"] / row["peer"]
            row["ratio_cpu"] = ours["tokens"] / ours["cpu"] / (theirs["tokens"] / theirs["cpu"])
        rows.append(row)
    return rows


def waterfall(rounds: int) -> pd.DataFrame:
    """A step's time as the tricks come in, one after another: milliseconds, wall and processor, and peak MiB."""
    with workers(**{name: ("ours", settings) for name, settings in STAGES.items()}) as running:
        found = take_turns(running, "train", 3, rounds)
        imported = {name: worker.hello["imported"] for name, worker in running.items()}
    return pd.DataFrame(
        [
            dict(
                stage=n, wall_ms=1e3 * f["wall"], cpu_ms=1e3 * f["cpu"], peak_mib_above_imports=f["peak"] - imported[n]
            )
            for n, f in found.items()
        ]
    )


def sweep(quick: bool, rounds: int) -> pd.DataFrame:
    """Tokens a second and memory as the vocabulary, the hidden layers and bptt grow; the plain road beside."""
    axes = dict(
        vocab=(1_000, 3_300, 10_000, 33_278, 100_000, 300_000), hidden=(200, 400, 650, 1500), bptt=(35, 70, 140, 280)
    )
    if quick:
        axes = dict(vocab=(1_000, 33_278), hidden=(400,), bptt=(70,))
    rows = []
    for axis, values in axes.items():
        for value in values:
            team = {name: ("ours", dict(head=name, **{axis: value})) for name in ("tiles", "plain")}
            if axis == "vocab" and value > 100_000:
                del team["plain"]  # one matrix of logits is 840 MB
            with workers(**team) as running:
                found = take_turns(running, "train", 1, rounds)
                imported = {name: worker.hello["imported"] for name, worker in running.items()}
            tokens = BATCH * (value if axis == "bptt" else BPTT)
            for name, reply in found.items():
                rows.append(
                    dict(
                        axis=axis,
                        value=value,
                        head=name,
                        tokens_per_second=tokens / reply["wall"],
                        tokens_per_cpu_second=tokens / reply["cpu"],
                        peak_mib_above_imports=reply["peak"] - imported[name],
                    )
                )
    return pd.DataFrame(rows)


def precision(data: str, quick: bool) -> pd.DataFrame:
    """The same training in float32 and in bfloat16, with three seeds each: loss of every 20 steps, and at the end.

    Nats a token. The last row of each run, `step` 0, is the score of the first 20,000 tokens of the test split.
    """
    rows = []
    for seed in (1, 2) if quick else (1, 2, 3):
        pair = {name: ("ours", dict(data=data, precision=name, seed=seed)) for name in ("float32", "bfloat16")}
        with workers(**pair) as running:
            for step in range(20, 61 if quick else 241, 20):
                for name, worker in running.items():
                    rows.append(dict(seed=seed, precision=name, step=step, nats=worker.ask("train", 20)["loss"]))
            for name, worker in running.items():
                score = worker.ask("evaluate", 2_000 if quick else 20_000)
                rows.append(dict(seed=seed, precision=name, step=0, nats=score["nats_per_token"]))
    return pd.DataFrame(rows)


def find_corpus() -> str | None:
    """The folder with WikiText-2, or None with a sentence."""
    try:
        load_corpus("wikitext-2")
    except (LMTutorError, OSError):
        print("WikiText-2 is not here; LMTUTOR_DATA can name its folder. Random ids instead, and nothing is scored.")
        return None
    return "wikitext-2"


def find_peer(data: str | None) -> dict | None:
    """Settings of the peer's worker, or None with a sentence."""
    folder = os.environ.get("LMTUTOR_PEER")
    texts = Path(os.environ.get("LMTUTOR_DATA", "")) / "wikitext-2"
    if not folder or not (Path(folder) / "main.py").is_file():
        print("LMTUTOR_PEER does not name a folder with pytorch/examples' word_language_model: ours is timed alone.")
    elif data is None or not (texts / "train.txt").is_file():
        print(
            "The peer reads WikiText-2 from LMTUTOR_DATA/wikitext-2/train.txt, which is not there: ours is timed alone."
        )
    else:
        return dict(data=str(texts.resolve()))
    return None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, a short sweep")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    parser.add_argument("--record", action="store_true", help=f"write to data/runs/{RUN.name}/")
    options = parser.parse_args()
    parts = options.only or PARTS
    data = find_corpus()
    peer = find_peer(data)
    rounds = 2 if options.quick else 8

    def figures() -> pd.DataFrame:
        found = training(peer, data, rounds) if "training" in parts else []
        return pd.DataFrame(found + (inference(peer, data, max(1, rounds // 2)) if "inference" in parts else []))

    tables = {
        "figures": figures if {"training", "inference"} & set(parts) else None,
        "waterfall": lambda: waterfall(rounds),
        "precision": (lambda: precision(data, options.quick)) if data else None,
        "sweep": lambda: sweep(options.quick, max(1, rounds // 4)),
    }
    for name, measure in tables.items():
        if measure is None or (name != "figures" and name not in parts):
            continue
        table = measure()
        print(f"\n{name}\n{table.to_string(index=False, float_format='{:,.2f}'.format, na_rep='')}", flush=True)
        if options.record:
            record(name, table)


def record(name: str, table: pd.DataFrame) -> None:
    """Write a table and how it came about."""
    RUN.mkdir(parents=True, exist_ok=True)
    table.to_csv(RUN / f"{name}.csv", index=False, float_format="%.6g")
    made = provenance(torch.device("cpu"), seed=1) | dict(
        command=" ".join(["python -m tests.benchmarks", *sys.argv[1:]]),
        load=round(os.getloadavg()[0], 1),  # processes that wanted to run, on average: above the cores, others did too
        protocol="tied 2x200 LSTM, 33,278 types, batch 20, bptt 35; medians over turns that all contestants take",
    )
    path = RUN / "result.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(known | {name: made}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
