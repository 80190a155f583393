"""Save and restore everything that changes during a training run."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from lmtutor.models.base import detach, map_state
from lmtutor.system import processes
from lmtutor.system.errors import LMTutorError
from lmtutor.text.corpora import Corpus
from lmtutor.training import checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.loop import COLUMNS, Trainer
from lmtutor.training.optim import parameters_of

PLAIN = ("epoch", "step", "nats", "tokens", "seconds", "lr")  # numbers
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
        **{name: getattr(session, name) for name in PLAIN},
    )


def resume(session: Trainer, state: dict[str, Any]) -> None:
    """Put a state that `training_state` made into a session that has not begun.

    Raises
    ------
    LMTutorError : it is of another training, not such a state at all, or the best epoch's weights are missing.
    """
    _check_form(session, state)
    _check_training(session, state)
    best = session.out / "checkpoint" / "model.safetensors"
    if state["history"] and not best.exists():
        raise LMTutorError(f"{best}, the weights of the best epoch, is missing: restore it or retrain from scratch.")
    session.best = checkpoint.read_tensors(best)[0] if best.exists() else None
    if session.best:
        checkpoint.check_tensors(session.model, session.best, best)
    checkpoint.load_tensors(session.model, state["model"], session.out)
    learned = {name: value for name, value in state["optimizer"]["param_groups"][0].items() if name in GROUP}
    groups = [{**group, **learned} for group in session.optimizer.state_dict()["param_groups"]]
    session.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})
    session.schedule.load_state_dict(state["schedule"])
    session.history = state["history"]
    for name in PLAIN:
        setattr(session, name, state[name])
    own = state["processes"][processes.rank()]
    session.hidden = map_state(lambda part: part.to(session.device), own["hidden"])
    torch.set_rng_state(own["rng"])
    if session.device.type == "cuda" and "cuda_rng" in own:
        torch.cuda.set_rng_state(own["cuda_rng"], session.device)
    if len(set(processes.gather((session.epoch, session.step)))) > 1:
        raise LMTutorError(f"The processes found different states in {session.out}: it must be a shared folder.")


def read_rows(path: Path, columns: list[str], counts: int = 1) -> pd.DataFrame:
    """Read a table of numbers, the first `counts` columns whole ones; `LMTutorError` where the file is damaged."""
    try:
        table = pd.read_csv(path, dtype=object).reindex(columns=columns)  # pandas would round the last digit
        return table.astype({name: int if n < counts else float for n, name in enumerate(columns)})
    except (ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).split())
        raise LMTutorError(f"{path} is damaged ({reason}): restore it, or train again.") from None


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


def _check_form(session: Trainer, state: dict[str, Any]) -> None:
    """Refuse what does not look like a state of this session: its own present state is the measure."""
    own = training_state(session)
    optimizer, row = own["optimizer"], dict.fromkeys(COLUMNS, 1.0)
    weights = {i: tuple(p.shape) for i, p in enumerate(parameters_of(session.optimizer))}
    columns = session.config.batch_size // processes.world()
    carried = form(session.model.initial_state(columns), free=1)

    def same(name: str) -> bool:
        if name == "history":
            return all(form(entry) == form(row) for entry in state[name])
        if name == "config":
            return isinstance(state[name], dict)
        if name == "processes":
            hidden = [form(None), carried] if session.config.cut == "stream" else None
            return all(
                isinstance(entry, dict) and form(entry.get("rng")) == form(own[name][0]["rng"])
                and (hidden is None or form(entry["hidden"], free=1) in hidden)
                for entry in state[name]
            )  # fmt: skip
        if name == "optimizer":
            return (
                isinstance(state[name], dict) and state[name].keys() == optimizer.keys()
                and form({k: v for k, v in state[name]["param_groups"][0].items() if k in GROUP and k != "losses"})
                == form({k: v for k, v in optimizer["param_groups"][0].items() if k in GROUP and k != "losses"})
                and all(
                    i in weights and all(not v.dim() or tuple(v.shape) == weights[i] for v in entry.values())
                    for i, entry in state[name]["state"].items()
                )
            )  # fmt: skip
        return form(state[name]) == form(own[name])

    missing = own.keys() - state.keys()
    wrong = sorted(missing) or [name for name in own if not same(name)]
    if not wrong and not all(math.isfinite(state[name]) and state[name] >= 0 for name in PLAIN):
        wrong = ["counts"]
    if wrong:
        raise LMTutorError(f"{session.out} holds no state of this training (its {wrong[0]} differs): train again.")


def _check_training(session: Trainer, state: dict[str, Any]) -> None:
    """Refuse a state of another training."""
    now = {**dataclasses.asdict(session.config), "epochs": state["config"].get("epochs")}
    then = {**dataclasses.asdict(TrainConfig()), **state["config"]}  # newer fields: their default
    if changed := ", ".join(name for name in now if now[name] != then[name]):
        raise LMTutorError(
            f"{session.out} was trained with another {changed}: resume with the same, or start a new run."
        )
    if state["splits"] != session.text:
        raise LMTutorError(
            f"{session.out} was trained on another text than {session.corpus.name} has now: restore the text, or train "
            "it into a new folder."
        )
    if session.config.epochs < state["epoch"]:
        raise LMTutorError(
            f"{session.out} has {state['epoch']} epochs already: ask for as many or more, or train into a new folder."
        )
    if len(state["processes"]) != processes.world():
        raise LMTutorError(f"{session.out} was trained by {len(state['processes'])} processes: resume with as many.")
