"""Record how five sizes of one family approach the entropy of a source that never ends: a section of chapter 09.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.record_law [--out FOLDER]

minGRUs of five widths read fresh text of the grammar, none of it twice. The rate is constant and the weights that are
scored are averaged, as in `record_budget`, so that each point of a curve is as good as a training that ended there.
``history.csv`` has a row a width and number of tokens; ``result.json`` the entropy rate and what the grammar itself
scores on the same slice of the validation split.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import pandas as pd
import torch

from lmtutor.baker_street.truth import true_log_probs
from lmtutor.models.cells import parameter_count
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.runs.provenance import provenance
from lmtutor.system.files import write_atomically
from lmtutor.system.machine import keep_freed_memory
from lmtutor.text.corpora import load_corpus
from tests.benchmarks.record_budget import Student

OUT = Path(__file__).resolve().parents[2] / "data" / "runs" / "baker-street" / "law"
WIDTHS = (8, 16, 32, 64, 128)
READ = [20_000 * 2**i for i in range(5)]  # tokens after which each is scored
SLICE, RATE = 10_001, ("adam", 4e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    corpus = load_corpus("baker-street", tokens=400_000)
    assert len(corpus.train) > READ[-1], "none of the text is read twice"
    valid, rows = corpus.valid[:SLICE], []
    for width in WIDTHS:
        student = Student(RecurrentConfig("min-gru", width, 2 * width, 2, dropout=0.0), corpus, *RATE)
        for tokens in READ:
            student.read(tokens - student.tokens)
            score = student.score(valid)
            rows.append(dict(width=width, tokens=student.tokens, nats_per_token=score.nats_per_token))
            rows[-1] |= dict(seconds=student.seconds, parameters=parameter_count(student.trainer.model))
            print(rows[-1], flush=True)
            write_atomically(
                args.out / "history.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode()
            )
    write_atomically(args.out / "history.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.6g").encode())
    truth = true_log_probs(corpus.vocab.decode(valid.tolist()))[1:]
    result = dict(
        protocol=f"minGRU, two layers, no dropout, Adam {RATE[1]:g} without a schedule, averaged weights, one seed",
        entropy=corpus.entropy,
        grammar_on_slice=-float(truth.mean()),
        scored=f"the first {SLICE - 1:,} targets of the validation split",
        **provenance(torch.device("cpu"), 1),
    )
    result["command"] = shlex.join(["python", "-m", "tests.benchmarks.record_law", *sys.argv[1:]])
    write_atomically(args.out / "result.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
