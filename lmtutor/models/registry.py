"""Language models by name, each with a dataclass config."""

import dataclasses
from typing import Any

import pandas as pd
import torch
from torch import nn

from lmtutor.models import attention, awd, recurrent, window
from lmtutor.models.base import LanguageModel
from lmtutor.system.errors import LMTutorError, nearest, one_of

# kind -> (config class, model class); the kind is what a checkpoint and a recipe write down
KINDS: dict[str, tuple[type, type]] = {
    "recurrent": (recurrent.RecurrentConfig, recurrent.RecurrentLM),
    "window": (window.WindowConfig, window.WindowLM),
    "awd": (awd.AWDConfig, awd.AWDLM),
    "attention": (attention.TransformerConfig, attention.TransformerLM),
}
PRESETS: dict[str, Any] = {
    **recurrent.RECURRENT_PRESETS,
    **awd.AWD_PRESETS,
    **window.WINDOW_PRESETS,
    **attention.ATTENTION_PRESETS,
}


def model_names() -> list[str]:
    """The names that `build_model` knows."""
    return sorted(PRESETS)


def replace_checked(config: Any, changes: dict[str, Any]) -> Any:
    """`dataclasses.replace` with a helpful error for unknown names and for values of the wrong type."""
    known = {field.name: type(getattr(config, field.name)) for field in dataclasses.fields(config)}
    for name, value in changes.items():
        if name not in known:
            raise LMTutorError(f"{type(config).__name__} has no {name!r}.{nearest(name, known)}")
        if known[name] is tuple and isinstance(value, list):  # TOML and JSON write a tuple as a list
            changes = {**changes, name: (value := tuple(value))}
        fine = isinstance(value, known[name]) and (known[name] is bool) == isinstance(value, bool)
        if not fine and not (known[name] is float and type(value) is int):
            wanted, given = known[name].__name__, type(value).__name__
            raise LMTutorError(f"{name}={value!r:.60}: {type(config).__name__} wants {wanted}, not {given}.")
    return dataclasses.replace(config, **changes)


def model_config(name: str | Any, **overrides: Any) -> Any:
    """The config behind a model name (or a config itself), with overrides.

    Raises
    ------
    LMTutorError : unknown model, unknown field, wrong type.
    """
    return replace_checked(PRESETS[one_of("model", name, PRESETS)] if isinstance(name, str) else name, overrides)


def build_model(name: str | Any, vocab, **overrides: Any) -> LanguageModel:
    """Make a fresh model.

    Parameters
    ----------
    name : a name from `model_names`, or a config object.
    vocab : a `Vocabulary`, or the number of types.
    overrides : fields of the config to change, e.g. ``dropout=0.5``.

    Examples
    --------
    >>> build_model("lstm-200", 1000, layers=1).config.layers
    1
    """
    config = model_config(name, **overrides)
    vocab_size = vocab if isinstance(vocab, int) else len(vocab)
    if vocab_size < 1:
        raise LMTutorError(f"A vocabulary of {vocab_size} types has nothing to predict: build it from some text.")
    model = KINDS[kind_of(config)][1](config, vocab_size)
    model.vocab = None if isinstance(vocab, int) else vocab
    return model


def outline(config: Any, vocab) -> LanguageModel:
    """A model's names and shapes without its numbers: on torch's device `meta`, which takes no memory."""
    with torch.device("meta"):
        return build_model(config, vocab)


def kind_of(config: Any) -> str:
    """The kind of model that a config describes."""
    return next(kind for kind, (config_class, _) in KINDS.items() if type(config) is config_class)


def config_to_dict(config: Any) -> dict[str, Any]:
    """A flat dictionary with the config's `kind`, for TOML and JSON."""
    return {"kind": kind_of(config), **dataclasses.asdict(config)}


def config_from_dict(values: dict[str, Any]) -> Any:
    """The inverse of `config_to_dict`."""
    config_class, _ = KINDS[one_of("kind of model", values.get("kind"), KINDS)]
    return replace_checked(config_class(), {name: value for name, value in values.items() if name != "kind"})


def describe(model: nn.Module) -> pd.DataFrame:
    """A table of the model's parameters: name, shape, number. Shared (tied) weights are listed once."""
    rows = [(name, tuple(p.shape), p.numel()) for name, p in model.named_parameters()]
    table = pd.DataFrame(rows, columns=["parameter", "shape", "numbers"])
    table.loc[len(table)] = ["total", "", table["numbers"].sum()]
    return table
