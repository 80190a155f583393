"""Every cell of every chapter where CUDA is there: nothing mixes devices, and no model stays behind on the GPU.

The device is pretended (`tests/pretend_cuda.py`), the corpora are cut to a few hundred words, an epoch to two steps,
and assertions about numbers are left out: what is tried is where the numbers are, not how large. It takes many
minutes, since every operation passes through Python: `LMTUTOR_EVERY_CELL=1` asks for it.
"""

import ast
import dataclasses
import itertools
import os
from pathlib import Path

import jupytext
import matplotlib
import pytest
import torch

import lmtutor as lm
from lmtutor.training.loop import Trainer
from lmtutor.training.session import Session
from tests.pretend_cuda import pretend_cuda

CHAPTERS = sorted(Path(__file__).parents[2].glob("book/chapters/*.md"))
SHARES = {"train": 6000, "valid": 800, "test": 800}  # tokens
LONG = {"01": 4000, "07": 4000, "08": 20_000}  # of valid and test, where a chapter needs more


class WithoutAssertions(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)


def cells(page: Path) -> list[str]:
    return [cell.source for cell in jupytext.read(page).cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LMTUTOR_EVERY_CELL"), reason="many minutes: LMTUTOR_EVERY_CELL=1 asks for it")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy's, of what torch's arrays do not take
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda file: file.stem[:2])
def test_every_cell(path, monkeypatch, tmp_path):
    matplotlib.use("Agg")
    load, batches = lm.load_corpus, Trainer.batches

    def short(*arguments, **options):
        corpus = load(*arguments, **options)
        if len(corpus.vocab) < 200:  # characters: short as they are
            return corpus
        shares = SHARES | dict.fromkeys(("valid", "test"), LONG.get(path.stem[:2], SHARES["valid"]))
        return dataclasses.replace(corpus, **{split: corpus.split(split)[:n] for split, n in shares.items()})

    monkeypatch.setattr(lm, "load_corpus", short)
    monkeypatch.setattr(Trainer, "batches", lambda trainer: itertools.islice(batches(trainer), 2))
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
            except Exception as error:
                failed.append((number, repr(error)[:300]))
            for name, value in names.items():
                if isinstance(value, torch.nn.Module):
                    devices = {p.device.type for p in value.parameters()}
                    if devices - {"cpu"}:
                        failed.append((number, f"{name} is on {devices}"))
    assert not failed, "\n".join(map(str, failed))
