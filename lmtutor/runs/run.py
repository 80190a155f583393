"""Runs: what training leaves behind.

Training a recipe makes a *run*, a folder with ``recipe.toml``, ``history.csv``, ``result.json`` and ``checkpoint/``.
Recorded runs lie in ``data/runs/``, without their weights.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from lmtutor.runs.pretrained import load_pretrained, pretrained_models
from lmtutor.runs.recipe import Recipe, read_recipe
from lmtutor.scoring.score import Score
from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError, nearest
from lmtutor.system.limits import POSITIVE, fits
from lmtutor.text.corpora import Corpus
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import load_checkpoint
from lmtutor.training.loop import COLUMNS

SCORE = {"nats": POSITIVE.shape, "tokens": POSITIVE.shape, "characters": (None, POSITIVE.shape)}  # in result.json


@dataclass(frozen=True)
class Run:
    """A finished (or stopped) training in a folder."""

    path: Path
    packed: str | None = None  # the pretrained model whose weights stand for the run's own
    interrupted: bool = False  # a signal ended the training early, just now

    @property
    def name(self) -> str:
        """Its path below ``data/runs/``, or the folder's name."""
        recorded = data_files.find("runs")
        return self.path.resolve().relative_to(recorded.resolve()).as_posix() if self.recorded else self.path.name

    @property
    def recorded(self) -> bool:
        """Whether it is one of ``data/runs/``."""
        recorded = data_files.find("runs")
        return recorded is not None and self.path.resolve().is_relative_to(recorded.resolve())

    @property
    def reference(self) -> str:
        """What `find_run` finds it by again."""
        return self.packed or (self.name if self.recorded else str(self.path))

    @property
    def recipe(self) -> Recipe:
        """What was trained."""
        return dataclasses.replace(read_recipe(self.path / "recipe.toml"), name=self.name)

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch, as `fit` returned it; `LMTutorError` where the file is missing or damaged."""
        try:
            with data_files.reading(self.path / "history.csv", "restore it, or train again", ArithmeticError):
                table = pd.read_csv(self.path / "history.csv", dtype=object)  # pandas would round the last digit
                epochs = table[table["step"].isna()] if "step" in table else table  # not the steps between
                types = {name: int if name == "epoch" else float for name in COLUMNS}
                return epochs.reindex(columns=COLUMNS).astype(types).reset_index(drop=True)
        except FileNotFoundError:
            raise LMTutorError(f"{self.path} has no history.csv: no epoch has ended.") from None

    @property
    def result(self) -> dict[str, Any]:
        """Scores and provenance; `LMTutorError` where the run has none yet, or went on since, or they are damaged."""
        try:
            result = data_files.read_table(self.path / "result.json")
        except FileNotFoundError:
            raise LMTutorError(f"{self.path} has no result.json: the training has not ended; resume it.") from None
        if self.went_on(result):
            raise LMTutorError(f"{self.path} was trained on after its result.json and has not ended; resume it.")
        return result

    def went_on(self, result: dict[str, Any]) -> bool:
        """Whether the history has epochs that the result does not know: of a longer training that was stopped."""
        epochs = result.get("epochs")
        return isinstance(epochs, int) and (self.path / "history.csv").is_file() and len(self.history) > epochs

    def score(self, split: str = "test") -> Score:
        """The recorded score of a split."""
        result = self.result
        if not fits(result, {"protocol": str, split: SCORE}):
            raise LMTutorError(f"{self.path / 'result.json'} is damaged (the score of {split!r}): train again.")
        values = result[split]
        return Score(values["nats"], values["tokens"], values.get("characters"), result["protocol"])

    def load(self, epoch: int | None = None) -> tuple[nn.Module, Vocabulary]:
        """The trained model and its vocabulary: the run's own checkpoint, or the packed weights that come with it.

        With an `epoch`, the model as it was then, if the training kept it.
        """
        if epoch is not None:
            if epoch not in self.kept:
                raise LMTutorError(f"{self.reference} has not kept epoch {epoch} (kept: {self.kept or 'none'}).")
            return load_checkpoint(self.path / "epochs" / f"{epoch:04}")
        if self.packed is None and (self.path / "checkpoint").is_dir():
            return load_checkpoint(self.path / "checkpoint")
        packed = self.packed or next((p.name for p in pretrained_models().values() if p.run == self.name), None)
        if packed is None:
            raise LMTutorError(f"The run {self.name} is here without its weights: train it with lmtutor train.")
        return load_pretrained(packed)

    @property
    def kept(self) -> list[int]:
        """The epochs that the training kept (``keep_every``)."""
        return sorted(int(folder.name) for folder in (self.path / "epochs").glob("*") if folder.name.isdecimal())

    def load_corpus(self, vocab: Vocabulary) -> Corpus:
        """Its corpus, read with the vocabulary of its model: in a run that went on from another, not the text's own."""
        corpus = self.recipe.load_corpus()
        return corpus if corpus.vocab.tokens == vocab.tokens else self.recipe.load_corpus(vocab)


def recorded_runs() -> list[Run]:
    """The runs of ``data/runs/``, by name; none where the package is installed without them."""
    folder = data_files.find("runs")
    return sorted((Run(p.parent) for p in folder.rglob("recipe.toml")), key=lambda r: r.name) if folder else []


def find_run(name_or_path: str | Path) -> Run:
    """A run folder by path, a recorded run by name, or the run of a pretrained model by the model's name.

    Raises
    ------
    LMTutorError : none of these; the message lists the names there are.
    """
    name = str(name_or_path)
    recorded = pretrained_models()[name].run if name in pretrained_models() else name
    for path in (Path(name_or_path), data_files.find(f"runs/{recorded}")):
        if path is not None and (path / "recipe.toml").is_file():
            return Run(path, name if name in pretrained_models() else None)
    known = [*(run.name for run in recorded_runs()), *pretrained_models()]
    raise LMTutorError(f"There is no run {name!r}.{nearest(name, known)}")


def score_dict(score: Score) -> dict[str, Any]:
    """A score as it stands in ``result.json``."""
    return dict(
        nats=score.nats,
        tokens=score.tokens,
        characters=score.characters,
        perplexity=score.perplexity,
        nats_per_token=score.nats_per_token,
        nats_per_character=score.nats_per_character,
    )
