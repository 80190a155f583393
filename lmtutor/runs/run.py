"""Runs: what came out of a training.

Training a recipe makes a *run*, a folder with ``recipe.toml``, ``history.csv``, ``result.json`` and ``checkpoint/``.
Recorded runs lie in ``data/runs/``, without their weights.
"""

import dataclasses
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from lmtutor.models.registry import build_model, config_to_dict
from lmtutor.runs.pretrained import load_pretrained, pretrained_models
from lmtutor.runs.provenance import git_commit, provenance
from lmtutor.runs.recipe import Recipe, read_recipe
from lmtutor.scoring.score import Score, evaluate
from lmtutor.system import files as data_files
from lmtutor.system import processes as distributed
from lmtutor.system.errors import LMTutorError, nearest
from lmtutor.system.files import UNFINISHED, alone, write_atomically
from lmtutor.system.machine import choose_device
from lmtutor.text.corpora import Corpus
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import load_checkpoint, load_tensors, model_tensors
from lmtutor.training.extend import extend_vocabulary
from lmtutor.training.loop import COLUMNS, Trainer, fit, text_to_score

LOCK = ".lock"  # in a run folder: held while a process trains into it
FILES = (
    "recipe.toml", "history.csv", "result.json", "state.safetensors", "model.safetensors", "vocabulary.json",
    "cache.csv", "cache.json",
)  # fmt: skip
HALF = re.compile(f"{re.escape(UNFINISHED)}({'|'.join(map(re.escape, FILES))})[.]\\w{{8}}")  # names while written


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
        """A row an epoch, as `fit` returned it; `LMTutorError` where the file is missing or damaged."""
        path = self.path / "history.csv"
        try:
            return pd.read_csv(path)[COLUMNS].astype({"epoch": int}).astype(dict.fromkeys(COLUMNS[1:], float))
        except FileNotFoundError:
            raise LMTutorError(f"{self.path} has no history.csv: no epoch has ended.") from None
        except (ValueError, KeyError, ArithmeticError) as error:
            reason = " ".join(str(error).split())
            raise LMTutorError(f"{path} is damaged ({reason}): restore it, or train again.") from None

    @property
    def result(self) -> dict[str, Any]:
        """Scores and provenance; `LMTutorError` where the run has none yet, or went on since, or they are damaged."""
        try:
            result = data_files.read_table(self.path / "result.json")
        except FileNotFoundError:
            raise LMTutorError(f"{self.path} has no result.json: the training has not ended; resume it.") from None
        if self._went_on(result):
            raise LMTutorError(f"{self.path} was trained on after its result.json and has not ended; resume it.")
        return result

    def _went_on(self, result: dict[str, Any]) -> bool:
        """Whether the history has epochs that the result does not know: of a longer training that was stopped."""
        history, epochs = self.path / "history.csv", result.get("epochs")
        return isinstance(epochs, int) and history.is_file() and history.read_bytes().count(b"\n") > epochs + 1

    def score(self, split: str = "test") -> Score:
        """The recorded score of a split."""
        result = self.result
        try:
            values = result[split]
            score = Score(values["nats"], values["tokens"], values.get("characters"), result["protocol"])
            str(score)  # with numbers in it, none of them zero
            return score
        except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError, OverflowError):
            raise LMTutorError(f"{self.path / 'result.json'} has no score of {split!r}: train again.") from None

    def load(self):
        """The trained model and its vocabulary: the run's own checkpoint, or the packed weights that come with it."""
        if self.packed is None and (self.path / "checkpoint").is_dir():
            return load_checkpoint(self.path / "checkpoint")
        packed = self.packed or next((p.name for p in pretrained_models().values() if p.run == self.name), None)
        if packed is None:
            raise LMTutorError(f"The run {self.name} is here without its weights: train it with lmtutor train.")
        return load_pretrained(packed)

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


def beginning(recipe: Recipe) -> tuple[nn.Module, Corpus]:
    """The model that a recipe's training begins with, and the corpus.

    The weights are fresh, or those of the run that the recipe starts from. On another corpus than that run's, the
    vocabulary is the run's and the new words, see `extend_vocabulary`.

    Raises
    ------
    LMTutorError : the starting run is missing, has another shape, or its corpus has another vocabulary now.
    """
    corpus, begun = recipe.load_corpus(), None
    if recipe.start:
        start = find_run(recipe.start["run"])
        begun, vocab = start.load()
        if start.recipe.corpus["name"] != recipe.corpus["name"]:
            begun, vocab = extend_vocabulary(begun, vocab, corpus.vocab)
            corpus = recipe.load_corpus(vocab)
        elif start.recipe.start and vocab.tokens != corpus.vocab.tokens:  # already extended, for this text
            corpus = recipe.load_corpus(vocab)
        elif vocab.tokens != corpus.vocab.tokens:
            raise LMTutorError(f"{start.path} was trained with another vocabulary than {corpus.name} has now.")
    torch.manual_seed(recipe.training.seed)
    model = build_model(recipe.model_config(), corpus.vocab)
    if begun is not None:
        load_tensors(model, model_tensors(begun), start.path)
    return model, corpus


def train_recipe(recipe: Recipe, out: str | Path, *, resume: bool = False, **options: Any) -> Run:
    """Train a recipe into the folder `out` and score the best epoch on the validation and test splits.

    `options` go to `fit`: ``keep_every``, ``sample``, ``progress``.

    Raises
    ------
    LMTutorError : `out` holds another run already, another process trains into it now, or what `fit` raises.
    """
    out = Path(out)
    if distributed.rank() > 0:  # the first process looks, and holds the lock for all
        return _train(recipe, out, resume, options)
    _check_folder(out, resume)  # before the lock, which would leave its file in a folder that is not ours
    busy = f"Another process is training into {out} now: wait for it, or name a new folder with --out."
    with alone(out / LOCK, busy):
        _check_folder(out, resume)
        for half in filter(_half_written, out.rglob("*")):
            half.unlink()
        return _train(recipe, out, resume, options)


def _half_written(path: Path) -> bool:
    """Whether a process was killed while it wrote this file."""
    return HALF.fullmatch(path.name) is not None and path.is_file()


def _check_folder(out: Path, resume: bool) -> None:
    """Refuse a folder that holds something, or nothing to resume; what a process killed at its start left is fine."""
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise LMTutorError(f"{str(out)!r} has bytes in it that are no text: name another folder with --out.") from None
    if resume:
        if not (out / "recipe.toml").is_file():
            raise LMTutorError(f"{out} holds no run to resume: check --out, or start without --resume.")
    elif out.exists() and any(path.name != LOCK and not _half_written(path) for path in out.iterdir()):
        raise LMTutorError(f"{out} is not empty: name a new folder with --out, or go on with --resume.")


def _train(recipe: Recipe, out: Path, resume: bool, options: dict[str, Any]) -> Run:
    began, commit = time.time(), git_commit()
    if resume and resumable(recipe, out):
        return Run(out)
    model, corpus = beginning(recipe)
    if recipe.start:
        options["keep_start"] = True
    if distributed.rank() == 0 and options.get("progress", True):
        print(corpus.note, flush=True)
    device = choose_device(recipe.training.device)
    state = distributed.gather(resume and (out / "state.safetensors").is_file())[0]  # the first process decides
    # What cannot be trained or resumed is refused by one that trains nothing, before anything is changed.
    trial = Trainer(model, corpus, recipe.training, out if state else None, progress=False)
    if state:
        trial.restore()
    del trial  # and what its optimizer holds
    if options.get("sample") is not None:
        corpus.vocab.encode_text(options["sample"])
    if distributed.rank() == 0:
        write_atomically(out / "recipe.toml", recipe.to_toml().encode())
    history = fit(model, corpus, recipe.training, out=out, resume=state, **options)
    if history.attrs["interrupted"] or distributed.rank() > 0:
        return Run(out, interrupted=history.attrs["interrupted"])
    scores = {
        split: evaluate(model, text_to_score(corpus, split, recipe.training), characters=corpus.characters[split])
        for split in ("valid", "test")
    }
    result = dict(
        recipe=recipe.name,
        parameters=sum(p.numel() for p in model.parameters()),
        model=config_to_dict(model.config),
        **{split: score_dict(score) for split, score in scores.items()},
        protocol=scores["test"].protocol,
        corpus=corpus.note,
        published=recipe.published,
        finetuned_from=recipe.start.get("run"),
        epochs=len(history),
        training_seconds=float(history["seconds"].sum()),
        seconds=time.time() - began,
        **{**provenance(device, recipe.training.seed), "commit": commit},
        processes=distributed.world(),
    )
    words = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_atomically(out / "result.json", words.encode(errors="replace"))  # the command may hold bytes that are no text
    return Run(out)


def resumable(recipe: Recipe, out: Path) -> bool:
    """Check that a run can go on as the recipe says; True when it has reached its end already.

    Raises
    ------
    LMTutorError : there is nothing to go on with, or it is another training.
    """
    own = out / "recipe.toml"
    stored = read_recipe(own)
    if (stored.corpus, stored.model) != (recipe.corpus, recipe.model) or not one_start(recipe.start, stored.start):
        raise LMTutorError(
            f"{out} was trained on another corpus or model, or from another start: give the same recipe and "
            f"--set values, or its own recipe: lmtutor train {own} --resume --out {out}."
        )
    now, then = (dataclasses.asdict(r.training) for r in (recipe, stored))
    if changed := [name for name in now if now[name] != then[name] and name != "epochs"]:
        raise LMTutorError(
            f"{out} was trained with another {', '.join(changed)}: resume with the same, or start a new run."
        )
    if (out / "result.json").is_file():
        result = data_files.read_table(out / "result.json")
        if result.get("epochs") == recipe.training.epochs and not Run(out)._went_on(result):
            return True
    # A checkpoint alone is of the first epoch, from a process killed before it saved the state: that begins again.
    begun = any((out / name).exists() for name in ("history.csv", "result.json"))
    if begun and not (out / "state.safetensors").is_file():
        raise LMTutorError(f"{out} has no state.safetensors to go on from: train again into a new folder.")
    return False


def one_start(now: dict[str, str], then: dict[str, str]) -> bool:
    """Whether two tables ``[start]`` name the same run, as two paths to one folder do.

    Where the old path leads nowhere, the run was moved, or the command is called from another folder: then the run
    that is named now is taken for it, and stands in the recipe from then on.

    Raises
    ------
    LMTutorError : the run named now is not there.
    """
    if now == then or not (now and then):
        return now == then
    start = find_run(now["run"])
    try:
        before = find_run(then["run"])
    except LMTutorError:
        return True
    return (before.path.resolve(), before.packed) == (start.path.resolve(), start.packed)


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
