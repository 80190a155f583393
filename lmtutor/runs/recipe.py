"""Recipes: what to train, written down before.

A *recipe* is a TOML file with the tables ``[corpus]``, ``[model]``, ``[training]``, for training that continues from
another run ``[start]``, and ``[published]``, the figures that it aims at.
"""

import dataclasses
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmtutor.models.registry import model_config, replace_checked
from lmtutor.system.errors import LMTutorError, nearest, one_of
from lmtutor.system.files import PACKAGE, reading
from lmtutor.system.limits import fits
from lmtutor.text.corpora import OPTIONS, Corpus, load_corpus
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.config import TrainConfig

RECIPES = PACKAGE / "recipes"
TABLES = ("corpus", "model", "training", "start", "published")
CORPUS_OPTIONS = {*OPTIONS, "shares"} - {"vocab"}  # of load_corpus, as TOML writes them


@dataclass(frozen=True)
class Recipe:
    """A training, written down."""

    name: str  # of the recipe, such as wikitext-2/lstm-200
    corpus: dict[str, Any]  # name, and options of load_corpus
    model: dict[str, Any]  # name of a preset, and fields of its config to change
    training: TrainConfig = field(default_factory=TrainConfig)  # how to train
    published: dict[str, Any] = field(default_factory=dict)  # curve, valid, test: the figures aimed at, and source
    start: dict[str, Any] = field(default_factory=dict)  # run: whose weights it begins with

    def load_corpus(self, vocab: Vocabulary | None = None) -> Corpus:
        """The corpus of the recipe, cut and split as it says; `vocab` in place of the one that it would choose."""
        options = {name: value for name, value in self.corpus.items() if name != "name"}
        for name in options:
            one_of("option of [corpus]", name, CORPUS_OPTIONS)
        return load_corpus(self.corpus["name"], vocab=vocab, **options)

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
                raise LMTutorError(f"--set {change!r}: write key=value, as in lr=5 or model.dropout=0.5.")
            try:
                value = tomllib.loads(f"value = {text}")["value"]
            except (ValueError, RecursionError):  # not TOML: a plain word, such as a name
                value = text
            old = getattr(recipe, table)
            new = replace_checked(old, {name: value}) if table == "training" else {**old, name: value}
            aim = {} if table != "published" else new  # another training aims at nothing
            recipe = dataclasses.replace(recipe, **{table: new, "published": aim})
        check_tables({t: getattr(recipe, t) for t in TABLES}, "--set")
        recipe.model_config()  # a wrong name shows now, not after the corpus is read
        return recipe

    def to_toml(self) -> str:
        """The recipe as a file."""
        tables = {**{t: getattr(self, t) for t in TABLES}, "training": dataclasses.asdict(self.training)}
        lines = ["# " + "".join(c if c.isprintable() else "?" for c in self.name)]
        for table, values in tables.items():
            if values:
                lines += [
                    "",
                    f"[{table}]",
                    *(f"{key} = {toml_value(value)}" for key, value in values.items()),
                ]
        return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """A number, truth value, string or list as TOML. JSON writes all of these the same way, but for DEL.

    Raises
    ------
    ValueError : anything else, NaN, infinity, or a string with bytes that are no text.
    """
    if not isinstance(value, bool | int | float | str | list | tuple):
        raise ValueError("it is none of these")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
    text.encode()
    return text


def check_tables(tables: dict[str, dict[str, Any]], where: object) -> None:
    """Raise `LMTutorError` unless the tables name a corpus, a model and at most one start, and can be written again."""
    for table in ("corpus", "model"):
        if not fits(tables.get(table), {"name": str}):
            raise LMTutorError(f'{where}: [{table}] needs a name, as in name = "wikitext-2".')
    start = tables.get("start")
    if start and not (fits(start, {"run": str}) and len(start) == 1):
        raise LMTutorError(f'{where}: [start] names one run, as in run = "lstm-200-wikitext-2".')
    for table in ("corpus", "model", "start", "published"):
        for name, value in tables.get(table, {}).items():
            try:
                plain = bool(re.fullmatch(r"[A-Za-z0-9_-]+", name) and toml_value(value))
            except (ValueError, RecursionError):
                plain = False
            if not plain:
                what = "plain names, and finite numbers, true, false, text and lists of these"
                raise LMTutorError(f"{where}: [{table}] has {what}; fix {name!r}.")


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
    with reading(path, "write it as TOML"):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = set(tables) - set(TABLES)
    if unknown or not all(isinstance(table, dict) for table in tables.values()):
        raise LMTutorError(f"{path}: a recipe has the tables {', '.join(TABLES)}; fix {', '.join(unknown) or 'it'}.")
    check_tables(tables, path)
    name = path.relative_to(RECIPES).with_suffix("").as_posix() if path.is_relative_to(RECIPES) else path.stem
    training = replace_checked(TrainConfig(), tables.get("training", {}))
    more = [tables.get(table, {}) for table in ("published", "start")]
    recipe = Recipe(name, tables["corpus"], tables["model"], training, *more)
    recipe.model_config()  # a wrong model name or field shows now, not after the corpus is read
    return recipe
