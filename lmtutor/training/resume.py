"""Save and restore everything that changes during a training run."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lmtutor.models.base import detach, map_state
from lmtutor.system import processes
from lmtutor.system.errors import LMTutorError, refuse
from lmtutor.system.limits import fits
from lmtutor.text.corpora import Corpus
from lmtutor.training import checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.loop import COLUMNS, Trainer
from lmtutor.training.optim import parameters_of

PLAIN = ("epoch", "step", "nats", "tokens", "seconds", "lr")  # numbers
WHOLE = ("epoch", "step", "tokens")  # those that are whole
#: Of a step, see `fit`.
LOGGED = ("epoch", "step", "tokens", "nats", "train_loss", "seconds", "tokens_per_second", "lr")
# Of each weight, from the first step on:
MOMENTS = dict.fromkeys(["adam", "adamw", "nt-adamw"], ("step", "exp_avg", "exp_avg_sq"))
GROUP = ("averaged", "losses", "triggered", "lr")  # what of an optimizer's group no config says


def corpus_digest(corpus: Corpus) -> str:
    """SHA-256 of the words, and of the ids of each split: a resumed training must read the same."""
    splits = corpus.train, corpus.valid, corpus.test
    sha = hashlib.sha256(json.dumps([corpus.vocab.tokens, [len(ids) for ids in splits]]).encode())
    for ids in splits:
        sha.update(ids.cpu().contiguous().numpy())
    return sha.hexdigest()


def training_state(session: Trainer) -> dict[str, Any]:
    """Everything that an exact resume needs, for `checkpoint.save_state`; every process takes part."""
    own = {"hidden": detach(session.hidden), "rng": torch.get_rng_state()}
    if session.device.type == "cuda":
        own["cuda_rng"] = torch.cuda.get_rng_state(session.device)
    return dict(
        config=dataclasses.asdict(session.config),
        splits=session.text,
        model=checkpoint.model_tensors(session.model),
        optimizer=session.optimizer.state_dict(),
        schedule=session.schedule.state_dict(),
        processes=processes.gather(own),
        history=session.history,
        steps=torch.tensor([[*row.values()] for row in session.steps], dtype=torch.float64).reshape(-1, len(LOGGED)),
        **{name: getattr(session, name) for name in PLAIN},
    )


def resume(session: Trainer, state: dict[str, Any]) -> None:
    """Put a state that `training_state` made into a session that has not begun.

    Raises
    ------
    LMTutorError : it is of another training, not such a state at all, or the best epoch's weights are missing.
    """
    if wrong := [name for name, shape in _shapes(session).items() if not fits(state.get(name), shape)]:
        raise LMTutorError(f"{session.out} holds no state of this training (its {wrong[0]} differs): train again.")
    refuse(_differences(session, state))
    best = session.out / "checkpoint" / "model.safetensors"
    if state["history"] and not best.exists():
        raise LMTutorError(f"{best}, the weights of the best epoch, is missing: restore it or retrain from scratch.")
    session.best = checkpoint.read_tensors(best)[0] if best.exists() else None
    if session.best:
        checkpoint.check_tensors(session.model, session.best, best)
    checkpoint.check_tensors(session.model, state["model"], session.out)
    checkpoint.load_tensors(session.model, state["model"])
    learned = {name: value for name, value in state["optimizer"]["param_groups"][0].items() if name in GROUP}
    groups = [{**group, **learned} for group in session.optimizer.state_dict()["param_groups"]]
    session.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})
    session.schedule.load_state_dict(state["schedule"])
    session.history = state["history"]
    logged = state.get("steps")  # an older state has none
    session.steps = [] if logged is None else [dict(zip(LOGGED, row, strict=True)) for row in logged.tolist()]
    for name in PLAIN:
        setattr(session, name, state[name])
    own = state["processes"][processes.rank()]
    session.hidden = map_state(lambda part: part.to(session.device), own["hidden"])
    torch.set_rng_state(own["rng"])
    if session.device.type == "cuda" and "cuda_rng" in own:
        torch.cuda.set_rng_state(own["cuda_rng"], session.device)
    if len(set(processes.gather((session.epoch, session.step)))) > 1:
        raise LMTutorError(f"The processes found different states in {session.out}: it must be a shared folder.")


def form(value: Any, free: int = 0) -> Any:
    """The shape of nested data without its values: types of numbers and strings, shapes of tensors, names of fields.

    Of the shapes the first `free` sizes are left out: a Transformer's state, (n, B, E), grows with the n tokens read.
    """
    if isinstance(value, Tensor):
        return str(value.dtype), value.dim(), tuple(value.shape[free:])
    if isinstance(value, dict):
        return {name: form(part, free) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [form(part, free) for part in value]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "number" if number else type(value).__name__


def like(example: Any, free: int = 0) -> Callable[[Any], bool]:
    """A test, for `fits`, whether a value has the form of an example."""
    return lambda value: form(value, free) == form(example, free)


def _shapes(session: Trainer) -> dict[str, Any]:
    """What a state of this session looks like, for `fits`: its own present state is the measure."""
    own = training_state(session)
    carried = session.model.initial_state(session.config.batch_size // processes.world())
    hidden = (None, like(carried, free=1)) if session.config.cut == "stream" else lambda value: True
    return {
        **{name: like(own[name]) for name in ("splits", "model", "schedule")},
        "steps": (None, like(own["steps"], free=1)),
        **{name: _is_count if name in WHOLE else _is_number for name in PLAIN},
        "config": {str: (bool, int, float, str, _is_numbers)},
        "processes": [{"rng": like(own["processes"][0]["rng"]), "hidden": hidden}],
        "history": [like(dict.fromkeys(COLUMNS, 1.0))],
        "optimizer": lambda value: _fits_optimizer(session, value, own["optimizer"]["param_groups"][0]),
    }


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _is_numbers(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(_is_number, value))


def _fits_optimizer(session: Trainer, value: Any, own: dict[str, Any]) -> bool:
    """Whether an optimizer's state is one of this session; `own` is the first group of the present one."""
    group = {name: [_is_number] if name == "losses" else like(own[name]) for name in GROUP if name in own}
    if not fits(value, {"param_groups": [dict], "state": dict}) or not value["param_groups"]:
        return False
    first, weights = value["param_groups"][0], dict(enumerate(parameters_of(session.optimizer)))
    if not fits(first, group):
        return False
    kept = {*MOMENTS.get(session.config.optimizer, ["momentum_buffer"] if own.get("momentum") else [])}
    if first.get("averaged"):
        kept.add("average")
        if value["state"].keys() != weights.keys():
            return False
    for i, entry in value["state"].items():
        wanted = {name: like(torch.tensor(0.0) if name == "step" else weights.get(i)) for name in kept}
        if not fits(entry, wanted) or entry.keys() != kept:
            return False
    return True


def _differences(session: Trainer, state: dict[str, Any]) -> dict[str, Any]:
    """What would make a state one of another training, and whether it does; for `refuse`."""
    now = {**dataclasses.asdict(session.config), "epochs": state["config"].get("epochs")}
    then = {**dataclasses.asdict(TrainConfig()), **state["config"]}  # newer fields: their default
    changed, ranks = ", ".join(name for name in now if now[name] != then[name]), len(state["processes"])
    out, text, epochs = session.out, session.corpus.name, state["epoch"]
    return {
        f"{out} was trained with another {changed}: resume with the same, or start a new run": changed,
        f"{out} was trained on another text than {text} has now: restore it": state["splits"] != session.text,
        f"{out} has {epochs} epochs already: ask for as many or more": session.config.epochs < epochs,
        f"{out} was trained by {ranks} processes: resume with as many": ranks != processes.world(),
    }
