"""Recipes and runs: what to train, written down before; what came out, written down after.

A *recipe* is a TOML file with the tables ``[corpus]``, ``[model]``, ``[training]`` and ``[published]`` (the
figure that it aims at). Training it makes a *run*, a folder with ``recipe.toml``, ``history.csv``,
``result.json`` and ``checkpoint/``. Recorded runs lie in ``data/runs/``, without their weights.
"""

import dataclasses
import inspect
import json
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lmtutor import data_files, distributed
from lmtutor.checkpoint import load_checkpoint, load_tensors, model_tensors, write_atomically
from lmtutor.corpora import Corpus, load_corpus
from lmtutor.errors import LMTutorError, nearest
from lmtutor.evaluate import Score, evaluate
from lmtutor.machine import choose_device
from lmtutor.models import build_model, config_to_dict, model_config, replace_checked
from lmtutor.pretrained import load_pretrained, pretrained_models
from lmtutor.provenance import git_commit, provenance
from lmtutor.train import TrainConfig, fit, text_to_score

RECIPES = Path(__file__).parent / "recipes"
TABLES = ("corpus", "model", "training", "published")


@dataclass(frozen=True)
class Recipe:
    """A training, written down."""

    name: str
    corpus: dict[str, Any]  # name, and options of load_corpus
    model: dict[str, Any]  # name of a preset, and fields of its config to change
    training: TrainConfig = field(default_factory=TrainConfig)
    published: dict[str, Any] = field(default_factory=dict)  # curve, valid, test: the figures aimed at, and source

    def load_corpus(self) -> Corpus:
        """The corpus of the recipe."""
        options = {k: v for k, v in self.corpus.items() if k != "name"}
        known = set(inspect.signature(load_corpus).parameters) - {"name_or_path", "vocab"}
        if unknown := sorted(set(options) - known):
            raise LMTutorError(f"[corpus] has no {unknown[0]!r}.{nearest(unknown[0], known)}")
        try:
            return load_corpus(self.corpus["name"], **options)
        except (TypeError, AttributeError) as error:
            raise LMTutorError(f"[corpus] of {self.name} has a value of the wrong type ({error}).") from None

    def model_config(self) -> Any:
        """The model's config; a wrong name or field is an `LMTutorError`."""
        return model_config(self.model["name"], **{k: v for k, v in self.model.items() if k != "name"})

    def with_changes(self, changes: list[str]) -> "Recipe":
        """A recipe with ``key=value`` changes: ``lr=5`` is of the training, ``model.dropout=0.5`` of a table."""
        recipe = self
        for change in changes:
            key, equals, text = change.partition("=")
            table, _, name = key.strip().rpartition(".")
            table = table or "training"
            if not equals or not name or table not in TABLES:
                raise LMTutorError(
                    f"--set {change!r}: write key=value, as in lr=5, model.dropout=0.5 or corpus.name=ptb."
                )
            try:
                value = tomllib.loads(f"value = {text}")["value"]
            except tomllib.TOMLDecodeError:
                value = text
            old = getattr(recipe, table)
            new = replace_checked(old, {name: value}) if table == "training" else {**old, name: value}
            aim = {} if table != "published" else new  # another training aims at nothing
            recipe = dataclasses.replace(recipe, **{table: new, "published": aim})
        recipe.model_config()  # a wrong name shows now, not after the corpus is read
        return recipe

    def to_toml(self) -> str:
        """The recipe as a file."""
        tables = {**{t: getattr(self, t) for t in TABLES}, "training": dataclasses.asdict(self.training)}
        lines = [f"# {self.name}"]
        for table, values in tables.items():
            if values:
                lines += [
                    "",
                    f"[{table}]",
                    *(f"{key} = {toml_value(value)}" for key, value in values.items()),
                ]
        return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """A number, truth value, string or list as TOML; JSON writes all of these the same way."""
    return json.dumps(value, ensure_ascii=False)


def recipe_names() -> list[str]:
    """The recipes that come with the package, such as ``wikitext-2/lstm-200``."""
    return sorted(path.relative_to(RECIPES).with_suffix("").as_posix() for path in RECIPES.rglob("*.toml"))


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by name, or a file.

    Raises
    ------
    LMTutorError : no such recipe, not TOML, an unknown table, field, model or value.
    """
    path = RECIPES / f"{name_or_path}.toml"
    if not path.is_file():
        path = Path(name_or_path)
    if not path.is_file():
        raise LMTutorError(f"There is no recipe {str(name_or_path)!r}.{nearest(str(name_or_path), recipe_names())}")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LMTutorError(f"{path} is not a TOML file: {error}.") from None
    unknown = set(tables) - set(TABLES)
    if unknown or not all(isinstance(table, dict) for table in tables.values()):
        raise LMTutorError(f"{path}: a recipe has the tables {', '.join(TABLES)}; mend {', '.join(unknown) or 'it'}.")
    for table in ("corpus", "model"):
        if not isinstance(tables.get(table, {}).get("name"), str):
            raise LMTutorError(f'{path}: [{table}] needs a name, as in name = "wikitext-2".')
    name = path.relative_to(RECIPES).with_suffix("").as_posix() if path.is_relative_to(RECIPES) else path.stem
    training = replace_checked(TrainConfig(), tables.get("training", {}))
    recipe = Recipe(name, tables["corpus"], tables["model"], training, tables.get("published", {}))
    recipe.model_config()  # a wrong model name or field shows now, not after the corpus is read
    return recipe


@dataclass(frozen=True)
class Run:
    """A finished (or stopped) training in a folder."""

    path: Path
    packed: str | None = None  # the pretrained model whose weights stand for the run's own

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
    def recipe(self) -> Recipe:
        """What was trained."""
        return dataclasses.replace(read_recipe(self.path / "recipe.toml"), name=self.name)

    @property
    def history(self) -> pd.DataFrame:
        """A row an epoch, as `fit` returned it."""
        return pd.read_csv(self.path / "history.csv")

    @property
    def result(self) -> dict[str, Any]:
        """Scores and provenance; `LMTutorError` where the run has none yet or it is damaged."""
        path = self.path / "result.json"
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LMTutorError(f"{self.path} has no result.json: the training has not ended; resume it.") from None
        except (ValueError, RecursionError) as error:
            raise LMTutorError(f"{path} is damaged ({error}): train again.") from None
        if not isinstance(result, dict):
            raise LMTutorError(f"{path} is damaged (not a table): train again.")
        return result

    def score(self, split: str = "test") -> Score:
        """The recorded score of a split."""
        result = self.result
        try:
            values = result[split]
            return Score(values["nats"], values["tokens"], values.get("characters"), result["protocol"])
        except (KeyError, TypeError, AttributeError):
            raise LMTutorError(
                f"{self.path / 'result.json'} has no score of {split!r}: train again."
            ) from None

    def load(self):
        """The trained model and its vocabulary: the run's own checkpoint, or the packed weights that come with it."""
        if self.packed is None and (self.path / "checkpoint").is_dir():
            return load_checkpoint(self.path / "checkpoint")
        packed = self.packed or next((p.name for p in pretrained_models().values() if p.run == self.name), None)
        if packed is None:
            raise LMTutorError(f"The run {self.name} is here without its weights: train it with lmtutor train.")
        return load_pretrained(packed)


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


def train_recipe(
    recipe: Recipe, out: str | Path, *, resume: bool = False, start: Run | None = None, **options: Any
) -> Run:
    """Train a recipe into the folder `out` and score the best epoch on the validation and test splits.

    Begins with the weights of the run `start` if there is one, see `lmtutor.finetune`, else with fresh ones.
    `options` go to `fit`: ``keep_every``, ``sample``, ``progress``.

    Raises
    ------
    LMTutorError : `out` holds another run already, or what `fit` raises.
    """
    out, began, commit = Path(out), time.time(), git_commit()
    if resume:
        if resumable(recipe, out):
            return Run(out)
    elif distributed.rank() == 0 and out.exists() and any(out.iterdir()):
        raise LMTutorError(f"{out} is not empty: name a new folder with --out, or go on with --resume.")
    corpus = recipe.load_corpus()
    if distributed.rank() == 0 and options.get("progress", True):
        print(corpus.note, flush=True)
    torch.manual_seed(recipe.training.seed)
    model = build_model(recipe.model_config(), corpus.vocab)
    if start is not None:
        trained, vocab = start.load()
        if vocab.tokens != corpus.vocab.tokens:
            raise LMTutorError(f"{start.path} was trained with another vocabulary than {corpus.name} has now.")
        load_tensors(model, model_tensors(trained), start.path)
        options["keep_start"] = True
    device = choose_device(recipe.training.device)
    if distributed.rank() == 0:
        write_atomically(out / "recipe.toml", recipe.to_toml().encode())
    state = distributed.gather(resume and (out / "state.safetensors").is_file())[0]  # the first process decides
    history = fit(model, corpus, recipe.training, out=out, resume=state, **options)
    if history.attrs["interrupted"] or distributed.rank() > 0:
        return Run(out)
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
        finetuned_from=start.name if start else None,
        epochs=len(history),
        training_seconds=float(history["seconds"].sum()),
        seconds=time.time() - began,
        **{**provenance(device, recipe.training.seed), "commit": commit},
    )
    write_atomically(out / "result.json", (json.dumps(result, indent=2, ensure_ascii=False) + "\n").encode())
    return Run(out)


def resumable(recipe: Recipe, out: Path) -> bool:
    """Check that a run can go on as the recipe says; True when it has reached its end already.

    Raises
    ------
    LMTutorError : there is nothing to go on with, or it is another training.
    """
    own = out / "recipe.toml"
    if not own.is_file():
        raise LMTutorError(f"{out} holds no run to resume: check --out, or start without --resume.")
    stored = read_recipe(own)
    if (stored.corpus, stored.model) != (recipe.corpus, recipe.model):
        raise LMTutorError(
            f"{out} was trained on another corpus or model: give the same recipe and --set values, "
            f"or its own recipe: lmtutor train {own} --resume --out {out}."
        )
    now, then = (dataclasses.asdict(r.training) for r in (recipe, stored))
    if changed := [name for name in now if now[name] != then[name] and name != "epochs"]:
        raise LMTutorError(
            f"{out} was trained with another {', '.join(changed)}: resume with the same, or start a new run."
        )
    if (out / "result.json").is_file() and Run(out).result.get("epochs") == recipe.training.epochs:
        return True
    if not (out / "state.safetensors").is_file() and ((out / "checkpoint").exists() or (out / "result.json").exists()):
        raise LMTutorError(f"{out} has no state.safetensors to go on from: train again into a new folder.")
    return False


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
