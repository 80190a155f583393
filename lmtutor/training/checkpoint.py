"""Saved models and saved training states: safetensors and JSON, never a pickle.

A checkpoint is a folder with ``model.safetensors`` (parameters; the config in its header) and
``vocabulary.json``. Every file is written under a temporary name, flushed to the disk, then renamed: a
reader finds the old file or the new one, whole. A checksum in the file covers all of it: one bit that the disk has
lost is an error, not another model.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmtutor.models.registry import build_model, config_from_dict, config_to_dict, outline
from lmtutor.system.errors import LMTutorError, refuse
from lmtutor.system.files import read_table, reading, write_atomically
from lmtutor.system.limits import fits
from lmtutor.text.vocabulary import Vocabulary

FORMAT = 1  # raised when a reader of this version could no longer read what is written
WRITTEN = (torch.float32, torch.float64, torch.int8, torch.int32, torch.int64, torch.uint8)  # types of saved tensors


def write_tensors(path: str | Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write named tensors and a JSON header as one safetensors file, atomically."""
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format": FORMAT, **header}
    # One entry, because safetensors writes several in an order that changes from one process to the next.
    words = json.dumps({**header, "sha256": sha256_of(plain, header)})
    write_atomically(path, save(plain, {"lmtutor": words}))


def sha256_of(tensors: dict[str, Tensor], header: dict[str, Any]) -> str:
    """SHA-256 over a header and the names, types, shapes and bytes of tensors."""
    sha = hashlib.sha256(json.dumps(header).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Raises
    ------
    LMTutorError : the file is missing, damaged, not ours, or of a later format.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise LMTutorError(f"{path} is missing, or not a plain file: restore it or train again.")
    with reading(path, "restore it, train again, or install the lmtutor that wrote it", SafetensorError, OSError):
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("lmtutor", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        if odd := {str(tensor.dtype) for tensor in tensors.values() if tensor.dtype not in WRITTEN}:
            raise ValueError(f"it holds numbers of type {', '.join(sorted(odd))}")
        if not fits(header, {"format": FORMAT}):
            raise ValueError(f"it is not of format {FORMAT}, which this version reads")
        signed = header.pop("sha256", None)
        if signed and signed != sha256_of(tensors, header):
            raise ValueError("its checksum is wrong")
    return tensors, header


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; a tied weight stands once, under its first name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy values into a model of the same names and shapes."""
    for name, own in model_tensors(model).items():
        own.copy_(tensors[name])


def check_tensors(model: nn.Module, tensors: dict[str, Tensor], where: object) -> None:
    """Raise `LMTutorError` unless tensors are finite, of a model's names, shapes and kinds; an `outline` will do."""
    own = model_tensors(model)
    odd = ", ".join(sorted(own.keys() ^ tensors.keys())[:4])
    refuse({f"{where}: the saved tensors are not this model's; they differ in {odd}": odd})
    for name, value in tensors.items():
        mine, here = own[name], f"{where}: {name}"
        refuse(
            {
                f"{here} has shape {tuple(value.shape)}, the model {tuple(mine.shape)}": value.shape != mine.shape,
                f"{here} is of type {value.dtype}, the model {mine.dtype}": value.is_floating_point()
                != mine.is_floating_point(),
                f"{here} holds NaN or infinity; take an earlier epoch": not value.to(mine.dtype).isfinite().all(),
            }
        )


def write_vocabulary(folder: Path, vocab: Vocabulary) -> str:
    """Write ``vocabulary.json`` unless it is there already; return its SHA-256, which the model's header keeps."""
    words = json.dumps(vocab.to_dict(), ensure_ascii=False).encode()
    path = folder / "vocabulary.json"
    if not path.is_file() or path.read_bytes() != words:
        write_atomically(path, words)
    return hashlib.sha256(words).hexdigest()


def read_vocabulary(folder: Path, header: dict[str, Any]) -> Vocabulary:
    """Read the vocabulary that belongs to a model's header; `LMTutorError` if it is missing or another one."""
    path = folder / "vocabulary.json"
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != header.get("vocabulary_sha256"):
        raise LMTutorError(f"{path} is not a plain file, or is not the vocabulary that the model was trained with.")
    return Vocabulary.from_dict(read_table(path))


def rebuild_model(path: Path, header: dict[str, Any], vocab: Vocabulary, tensors: dict[str, Tensor]) -> nn.Module:
    """The model that a header describes, with the saved values, in evaluation mode.

    A few bytes of a header can describe a model of many gigabytes: no memory is asked for before the saved tensors
    have its shapes.
    """
    if not isinstance(header.get("config"), dict):
        raise LMTutorError(f"{path} has a header without a usable config.")
    config = config_from_dict(header["config"])
    check_tensors(outline(config, vocab), tensors, path)
    model = build_model(config, vocab)
    load_tensors(model, tensors)
    return model.eval()


def save_checkpoint(path: str | Path, model: nn.Module, vocab: Vocabulary) -> None:
    """Save a model and its vocabulary into the folder `path`."""
    digest = write_vocabulary(Path(path), vocab)
    header = {"config": config_to_dict(model.config), "vocabulary_sha256": digest, "vocab_size": len(vocab)}
    write_tensors(Path(path) / "model.safetensors", model_tensors(model), header)


def load_checkpoint(path: str | Path) -> tuple[nn.Module, Vocabulary]:
    """Load ``(model, vocabulary)`` from a folder that `save_checkpoint` wrote; the model is in evaluation mode.

    Raises
    ------
    LMTutorError : missing, damaged, of a later format, or a vocabulary that is not the model's.
    """
    path = Path(path)
    tensors, header = read_tensors(path / "model.safetensors")
    vocab = read_vocabulary(path, header)
    return rebuild_model(path, header, vocab, tensors), vocab


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Turn nested Python data with tensors in it into JSON, moving the tensors into `tensors`."""
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [pack(item, tensors) for item in value]}
    if isinstance(value, list):
        return [pack(item, tensors) for item in value]
    return value


def unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `pack`; `ValueError` for what `pack` cannot have written."""
    if isinstance(value, list):
        return [unpack(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    kind, inner = next(iter(value.items()), ("", None))
    if kind == "tensor" and isinstance(inner, str) and inner in tensors:
        return tensors[inner]
    if kind == "tuple" and isinstance(inner, list):
        return tuple(unpack(item, tensors) for item in inner)
    if kind == "dict" and isinstance(inner, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in inner):
        return {key: unpack(item, tensors) for key, item in inner if isinstance(key, (str, int))}
    raise ValueError(f"{kind!r:.60} is none of tensor, tuple, dict")


def save_state(path: str | Path, state: dict[str, Any]) -> None:
    """Save a training state: nested dictionaries, lists and tuples of numbers, strings and tensors."""
    tensors: dict[str, Tensor] = {}
    skeleton = pack(state, tensors)
    write_tensors(path, tensors, {"state": skeleton})


def load_state(path: str | Path) -> dict[str, Any]:
    """Load what `save_state` wrote.

    Raises
    ------
    LMTutorError : missing, damaged, or not a training state.
    """
    tensors, header = read_tensors(path)
    with reading(path, "train again"):
        state = unpack(header.get("state"), tensors)
        if not isinstance(state, dict):
            raise ValueError("not a training state")
        return state
