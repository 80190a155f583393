"""Train the family of recurrent cells at equal parameters; record the curves that chapter 03 shows.

    OMP_NUM_THREADS=1 python tests/benchmarks/record_cells.py

Every cell gets a model of at most 30,000 parameters and the same training on the same letters of `baker-street`. The
three historical LSTMs run twice: from the first weights of their papers, and from those of `torch.nn.LSTM`.
Writes `data/runs/benchmark-cells/result.json`. About five minutes on one core.
"""

import json
import math
import time
from pathlib import Path

import torch

import lmtutor as lm
from lmtutor.models.cells import hidden_for, parameter_count
from lmtutor.models.recurrent import RecurrentConfig, RecurrentLM
from lmtutor.runs.provenance import provenance

RESULT = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-cells" / "result.json"
HISTORICAL = ("lstm-1997", "lstm-2000", "lstm-2002")
CELLS = ("elman-1990", "rnn-tanh", "lstm-1997", "lstm-2000", "lstm-2002", "lstm", "gru")
BUDGET, WORDS, SEED = 30_000, 40_000, 1
TRAINING = lm.TrainConfig(
    epochs=8, optimizer="adam", lr=0.01, schedule="linear", clip=1.0, bptt=32, batch_size=16, seed=SEED
)


def record(cell: str, corpus: lm.Corpus, modern: bool = False) -> dict:
    """Train one cell, from modern first weights if asked; return its size and its bits a letter by epoch."""

    def config(hidden: int) -> RecurrentConfig:
        return RecurrentConfig(cell=cell, embedding=32, hidden=hidden, layers=1, dropout=0.0, tied=False)

    hidden = hidden_for(lambda h: RecurrentLM(config(h), len(corpus.vocab)), BUDGET, multiple_of=2)
    torch.manual_seed(SEED)
    model = lm.build_model(config(hidden), corpus.vocab)
    if modern:  # what torch.nn.LSTM does: everything uniform in ± 1/√H, the biases too
        for weight in model.layers[0].parameters():
            torch.nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)
    began = time.process_time()
    history = lm.fit(model, corpus, TRAINING, progress=False)
    row = dict(
        cell=f"{cell}, modern start" if modern else cell,
        hidden=hidden,
        parameters=parameter_count(model),
        valid_bits=(history.valid_loss / math.log(2)).tolist(),
        test_bits=lm.evaluate(model, corpus.test).bits_per_token,
        seconds=round(time.process_time() - began, 1),
    )
    print(f"{row['cell']:<25}{hidden:>5}{row['test_bits']:>7.3f} bits{row['seconds']:>7.0f} s", flush=True)
    return row


def main():
    corpus = lm.load_corpus("baker-street", tokenizer="characters", tokens=WORDS)
    words = lm.load_corpus("baker-street", tokens=WORDS)
    result = dict(
        corpus=corpus.note,
        letters={split: len(corpus.split(split)) for split in ("train", "valid", "test")},
        protocol="bits a letter on the validation split after each epoch; every letter but the first, state carried",
        training=str(TRAINING),
        floor_bits=words.entropy * len(words.test) / len(corpus.test) / math.log(2),
        rows=[record(cell, corpus) for cell in CELLS],
        modern_start=[record(cell, corpus, modern=True) for cell in HISTORICAL],
        **{**provenance(torch.device("cpu"), SEED), "command": "python tests/benchmarks/record_cells.py"},
    )
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
