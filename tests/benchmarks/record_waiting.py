"""Training speed beside other work, by how torch's threads wait for one another: spinning, asleep, or in between.

    LMTUTOR_DATA=FOLDER python -m tests.benchmarks.record_waiting [--seconds N] [--record]

Two threads of torch work on one step, and the one that is done first waits. With ``OMP_WAIT_POLICY=active`` it spins,
with ``passive`` it sleeps, and ``GOMP_SPINCOUNT`` lets it spin for a while first. The policy is asked for once, when
torch is loaded, so each is tried in a process of its own, first on a machine that is left alone and then beside one
process in an endless loop. Run it on two quiet cores; it takes a few minutes. `--record` writes
``data/runs/benchmark-waiting/``, which the page *Where the time goes* shows.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "data" / "runs" / "benchmark-waiting"
THREADS = 2
POLICIES = {
    "spinning": {"OMP_WAIT_POLICY": "active"},
    "spinning for 20,000 rounds": {"GOMP_SPINCOUNT": "20000"},
    "asleep": {"OMP_WAIT_POLICY": "passive"},
}


def train(seconds: float) -> None:
    """In a process of its own: steps of the recipe ``lstm-200`` for some time; print tokens per second."""
    import torch

    from lmtutor.models import build_model
    from lmtutor.models.base import detach
    from lmtutor.text.batches import stream_batches
    from lmtutor.text.corpora import load_corpus

    torch.set_num_threads(THREADS)
    torch.manual_seed(1)
    corpus = load_corpus("wikitext-2")
    model = build_model("lstm-200", corpus.vocab)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    state, tokens, began = None, 0, None
    for i, batch in enumerate(stream_batches(corpus.train, 20, 35)):
        if i == 3:  # the first steps warm up
            began = time.perf_counter()
        state = model.initial_state(20) if state is None else detach(state)
        nats, _, state = model.loss(batch.inputs, batch.targets, state)
        optimizer.zero_grad()
        nats.backward()
        optimizer.step()
        if began is not None:
            tokens += batch.targets.numel()
            if time.perf_counter() - began > seconds:
                break
    print(tokens / (time.perf_counter() - began))


def measure(seconds: float) -> pd.DataFrame:
    """One row per policy and machine, quiet or busy: tokens per second."""
    rows = []
    for policy, chosen in POLICIES.items():
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
        environment |= {"OMP_NUM_THREADS": str(THREADS)} | chosen
        for machine in ("quiet", "busy"):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if machine == "busy" else None
            try:
                command = [sys.executable, "-m", "tests.benchmarks.record_waiting", "--worker", str(seconds)]
                done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
            finally:
                if loop:
                    loop.kill()
                    loop.wait()
            rows.append({"waiting": policy, "machine": machine, "tokens_per_second": float(done.stdout.split()[-1])})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.record_waiting", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=20, help="of training for each figure")
    parser.add_argument("--record", action="store_true", help=f"write to data/runs/{RUN.name}/")
    parser.add_argument("--worker", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return train(options.worker)
    load = os.getloadavg()[0]
    table = measure(options.seconds)
    if options.record:
        import torch

        from lmtutor.runs.provenance import provenance

        RUN.mkdir(parents=True, exist_ok=True)
        table.to_csv(RUN / "history.csv", index=False, float_format="%.6g")
        made = provenance(torch.device("cpu"), seed=1) | dict(
            command=shlex.join(["python", "-m", "tests.benchmarks.record_waiting", *sys.argv[1:]]),
            threads=THREADS,
            load=round(load, 1),
            protocol="tied 2x200 LSTM, 33,278 types, batch 20, bptt 35; two threads; busy: beside one endless loop",
        )
        (RUN / "result.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
