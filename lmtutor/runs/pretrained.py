"""Small trained models that come with the book, with their vocabularies and model cards.

A packed model takes a quarter of its size: every row of a matrix becomes 8-bit integers and one scale,

    q = round(w / s),   s = max |w| / 127 over the row,   w ≈ s · q,

so that a weight is off by at most half a step of its row. Vectors stay as they are. What the packing costs in
perplexity is measured and stands on the card.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from lmtutor.system import files as data_files
from lmtutor.system.errors import LMTutorError, one_of
from lmtutor.system.files import write_atomically
from lmtutor.text.catalogue import CatalogueFile, read_tables
from lmtutor.text.download import fetch_files
from lmtutor.text.sources import digest
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import (
    model_tensors,
    read_tensors,
    read_vocabulary,
    rebuild_model,
    write_tensors,
    write_vocabulary,
)

PACKED = ("model.safetensors", "vocabulary.json", "card.md")  # the files of a packed model
MODEL = {"title": str, "licence": str, "run": str, "files": lambda v: isinstance(v, dict) and {*v} == {*PACKED}}


@dataclass(frozen=True)
class Pretrained:
    """What ``data/models/catalogue.toml`` says of one model."""

    name: str
    title: str
    licence: str
    run: str  # the recorded run that trained it
    files: dict[str, CatalogueFile]

    def folder(self) -> Path:
        """Where its files are: beside the package, or downloaded now and checked."""
        here = data_files.find(f"models/{self.name}")
        if here is not None and all((here / file).is_file() for file in PACKED):
            return here
        return fetch_files(self.name, self.files)["model.safetensors"].parent

    def problems(self) -> dict[str, str]:
        """What is wrong with each file that is here, empty where nothing is."""
        folder = self.folder()
        return {name: file.mismatch(folder / name) for name, file in self.files.items()}

    def card(self) -> str:
        """The model card."""
        return (self.folder() / "card.md").read_text(encoding="utf-8")


@cache
def pretrained_models() -> dict[str, Pretrained]:
    """The models that `load_pretrained` knows, by name."""
    path, models = data_files.find("models/catalogue.toml"), {}
    for name, table in (read_tables(path, MODEL) if path else {}).items():
        places = {file: f"models/{name}/{file}" for file in PACKED}
        files = {file: CatalogueFile(**{**table["files"][file], "path": place}) for file, place in places.items()}
        models[name] = Pretrained(name, **{**table, "files": files})
    return models


def find_pretrained(name: str) -> Pretrained:
    """The entry of a model; `LMTutorError` with the nearest names where there is none."""
    return pretrained_models()[one_of("pretrained model", name, pretrained_models())]


def load_pretrained(name: str) -> tuple[nn.Module, Vocabulary]:
    """Load ``(model, vocabulary)`` by name; the model is in evaluation mode.

    Raises
    ------
    LMTutorError : an unknown name, a damaged file, or weights that cannot be had.
    """
    model = find_pretrained(name)
    for file, problem in model.problems().items():
        if problem:
            raise LMTutorError(f"{model.folder() / file} is damaged ({problem}): restore it, or delete it to fetch it.")
    return load_packed(model.folder())


def load_packed(folder: str | Path) -> tuple[nn.Module, Vocabulary]:
    """Load what `pack_model` wrote."""
    path = Path(folder) / "model.safetensors"
    tensors, header = read_tensors(path)
    vocab = read_vocabulary(Path(folder), header)
    return rebuild_model(path, header, vocab, unpack_rows(tensors)), vocab


def pack_model(folder: str | Path, model: nn.Module, vocab: Vocabulary, card: str) -> None:
    """Write a model with 8-bit rows, its vocabulary and its card into `folder`."""
    from lmtutor.models.registry import config_to_dict

    folder = Path(folder)
    header = {"config": config_to_dict(model.config), "vocab_size": len(vocab)}
    header["vocabulary_sha256"] = write_vocabulary(folder, vocab)
    write_tensors(folder / "model.safetensors", pack_rows(model_tensors(model)), header)
    write_atomically(folder / "card.md", card.encode())


def pack_rows(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as int8 rows with a float32 ``.scale`` (rows, 1) each; all else as it is."""
    packed = {}
    for name, value in tensors.items():
        if value.dim() != 2:
            packed[name] = value
            continue
        scale = value.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
        packed[name] = (value / scale).round().to(torch.int8)
        packed[f"{name}.scale"] = scale
    return packed


def unpack_rows(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `pack_rows`, up to the rounding."""
    tensors = {}
    for name, value in packed.items():
        if value.dtype == torch.int8:
            scale = packed.get(f"{name}.scale")
            if scale is None or value.dim() != 2 or scale.shape != (len(value), 1) or not scale.is_floating_point():
                raise LMTutorError(f"The packed model has no scale for {name}: it is damaged.")
            tensors[name] = value.float() * scale
        elif not name.endswith(".scale"):
            tensors[name] = value
    return tensors


def catalogue_entry(folder: str | Path, title: str, licence: str, run: str) -> str:
    """The TOML of a packed model for ``data/models/catalogue.toml``, with sizes and checksums."""
    folder = Path(folder)
    lines = [f"[{folder.name}]"]
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in
              dict(title=title, licence=licence, run=run).items()]  # fmt: skip
    for name in PACKED:
        path = folder / name
        lines += [
            f'\n[{folder.name}.files."{name}"]',
            f'checksum = "sha256:{digest(path)}"',
            f"size = {path.stat().st_size}",
        ]
    return "\n".join(lines) + "\n"
