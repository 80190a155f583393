"""Every cell of every chapter where CUDA is there: nothing mixes devices, and no model stays behind on the GPU.

The device is pretended (`tests/pretend_cuda.py`), the corpora are cut to a few hundred words, an epoch to two steps,
a training to three epochs, and assertions about numbers are left out: what is tried is where the numbers are, not how
large. Every operation passes through Python, so a chapter takes half a minute: they take turns, three a commit.
`LMTUTOR_EVERY_CELL=1` asks for all.
"""

import ast
import dataclasses
import gc
import itertools
import os
import subprocess
import traceback
from pathlib import Path

import jupytext
import matplotlib
import pytest
import torch

import lmtutor as lm
from lmtutor.baker_street import truth
from lmtutor.training import optim
from lmtutor.training.loop import Trainer
from lmtutor.training.session import Session
from tests.pretend_cuda import pretend_cuda

CHAPTERS = sorted(Path(__file__).parents[2].glob("book/chapters/*.md"))
LONG = {"01": 4000, "02": 100_000, "03": 10_000, "07": 4000, "08": 20_000}  # tokens of the test split; 150 for the rest


class WithoutAssertions(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


def turn() -> int:
    """Which third of the chapters is tried, by the commit."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return int(commit.stdout or "0", 16) % 3


def cells(page: Path) -> list[str]:
    return [cell.source for cell in jupytext.read(page).cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy's, of what torch's arrays do not take
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # folders of a page end with its kernel
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda file: file.stem[:2])
def test_every_cell(path, monkeypatch, tmp_path):
    if not os.environ.get("LMTUTOR_EVERY_CELL") and path not in CHAPTERS[turn() :: 3]:
        pytest.skip("half a minute for each chapter: LMTUTOR_EVERY_CELL=1 asks for all")
    matplotlib.use("Agg")
    load, batches, draw = lm.load_corpus, Trainer.batches, truth.baker_street_corpus
    fit, dynamic, rms = lm.fit, lm.dynamic_evaluate, lm.gradient_rms

    def short(*arguments, **options):
        corpus = load(*arguments, **options)
        letters = len(corpus.vocab) < 200  # read by NumPy's models, which are quick
        train, tried = (len(corpus.train), 1500) if letters else (3000, 150)
        test = LONG.get(path.stem[:2], tried)
        shares = {"train": train, "valid": test if letters else min(test, 1500), "test": test}
        return dataclasses.replace(corpus, **{split: corpus.split(split)[:n] for split, n in shares.items()})

    def few(model, corpus, config=None, **options):
        config = config or lm.TrainConfig()
        return fit(model, corpus, dataclasses.replace(config, epochs=min(config.epochs, 3)), **options)

    if path.stem[:2] == "05":  # it reads its corpus in a dozen ways
        monkeypatch.setattr(truth, "baker_street_corpus", lambda tokens, seed: draw(20_000, seed))
    monkeypatch.setattr(lm, "load_corpus", short)
    monkeypatch.setattr(lm, "fit", few)
    monkeypatch.setattr(lm.widgets, "explorer", lambda *arguments, **options: None)  # draws, at length
    monkeypatch.setattr(lm, "gradient_rms", lambda *given, **options: rms(*given, **options | {"batches": 3}))
    monkeypatch.setattr(lm, "dynamic_evaluate", lambda model, ids, *rest, **o: dynamic(model, ids[:700], *rest, **o))
    monkeypatch.setattr(Trainer, "batches", lambda trainer: itertools.islice(batches(trainer), 2))
    monkeypatch.setattr(optim, "non_monotone", lambda losses, *arguments: bool(losses))  # the mean begins at once
    monkeypatch.setattr(Session, "diverged", lambda *arguments: None)  # two steps are too few for any rate
    monkeypatch.chdir(path.parent)
    monkeypatch.delenv("LMTUTOR_DATA", raising=False)
    names = {"__name__": "__main__", "display": lambda *things, **options: None}
    failed = []
    with pretend_cuda(monkeypatch):
        for number, source in enumerate(cells(path), 1):
            code = ast.fix_missing_locations(WithoutAssertions().visit(ast.parse(source)))
            try:
                exec(compile(code, f"{path.stem}, cell {number}", "exec"), names)
            except Exception:
                failed.append(f"cell {number}: {traceback.format_exc(limit=-3)}")
            for name, value in names.items():
                if isinstance(value, torch.nn.Module):
                    devices = {p.device.type for p in value.parameters()}
                    if devices - {"cpu"}:
                        failed.append(f"cell {number}: {name} is on {devices}")
    names.clear()  # models in a circle with their folders
    gc.collect()
    assert not failed, "\n".join(failed)
