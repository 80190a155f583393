"""All of a training that changes from step to step, out of a trainer and back into one."""

import copy
import dataclasses
from typing import Any

import torch

from lmtutor.scoring.score import eval_mode
from lmtutor.system import processes as distributed
from lmtutor.system.errors import LMTutorError
from lmtutor.text.batches import Batch
from lmtutor.training import checkpoint
from lmtutor.training.config import TrainConfig
from lmtutor.training.optim import AveragedSGD, set_rate

COLUMNS = ["epoch", "train_loss", "valid_loss", "valid_perplexity", "seconds", "tokens_per_second", "lr"]
PLAIN = ("epoch", "step", "nats", "tokens", "seconds", "lr")  # numbers


def training_state(trainer: Any, processes: list[dict]) -> dict[str, Any]:
    """What an exact resume needs of a `Trainer`, for `lmtutor.training.checkpoint.save_state`.

    Parameters
    ----------
    trainer : whose model, optimizer, schedule and counts are meant.
    processes : the hidden state and the random state of each process that trains.
    """
    return dict(
        config=dataclasses.asdict(trainer.config),
        splits=trainer.text,
        model=checkpoint.model_tensors(trainer.model),
        optimizer=trainer.optimizer.state_dict(),
        schedule=trainer.schedule.state_dict(),
        processes=processes,
        cuda_rng=torch.cuda.get_rng_state() if trainer.device.type == "cuda" else None,
        history=trainer.history,
        **{name: getattr(trainer, name) for name in PLAIN},
    )


def take_over(trainer: Any, state: dict[str, Any]) -> None:
    """Put a state that `training_state` made into a trainer.

    Raises
    ------
    LMTutorError : it is of another training, or no such state at all.
    """
    try:
        _take_over(trainer, state)
    except LMTutorError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if "memory" in str(error):  # too little of it: the state is as good as before
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        raise LMTutorError(f"{trainer.out} holds no state of this training ({reason}): train again.") from None


def _take_over(trainer: Any, state: dict[str, Any]) -> None:
    now = {**dataclasses.asdict(trainer.config), "epochs": state["config"]["epochs"]}
    then = {**dataclasses.asdict(TrainConfig()), **state["config"]}  # newer fields: their default
    if now != then:
        changed = ", ".join(name for name in now if now[name] != then[name])
        raise LMTutorError(
            f"{trainer.out} was trained with another {changed}: resume with the same, or start a new run."
        )
    if state.get("splits", trainer.text) != trainer.text:  # older states do not say
        raise LMTutorError(
            f"{trainer.out} was trained on another text than {trainer.corpus.name} has now: restore the text, or train "
            "it into a new folder."
        )
    if trainer.config.epochs < state["epoch"]:
        raise LMTutorError(
            f"{trainer.out} has {state['epoch']} epochs already: ask for as many or more, or train into a new folder."
        )
    if len(state["processes"]) != distributed.world():
        raise LMTutorError(f"{trainer.out} was trained by {len(state['processes'])} processes: resume with as many.")
    own = state["processes"][distributed.rank()]
    checkpoint.load_tensors(trainer.model, state["model"], trainer.out)
    trainer.optimizer.load_state_dict(state["optimizer"])
    for parameter, kept in trainer.optimizer.state.items():
        for name, value in kept.items():
            if isinstance(value, torch.Tensor) and value.dim() and value.shape != parameter.shape:
                raise ValueError(f"{name} of the optimizer has shape {tuple(value.shape)}")
    trainer.schedule.load_state_dict(state["schedule"])
    trainer.history = [
        {name: (int if name == "epoch" else float)(row[name]) for name in COLUMNS} for row in state["history"]
    ]
    state = {"lr": trainer.lr, **state}  # older states have none
    for name in PLAIN:
        setattr(trainer, name, type(getattr(trainer, name))(state[name]))
    trainer.hidden = own["hidden"]
    _try_out(trainer)
    torch.set_rng_state(own["rng"])
    if state["cuda_rng"] is not None and trainer.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"])


@torch.no_grad()
def _try_out(trainer: Any) -> None:
    """One step on a copy: what does not fit fails here, before anything is changed, and not amid the training."""
    twin = copy.deepcopy(trainer.optimizer)
    twin.__dict__ |= {k: v for k, v in vars(trainer.optimizer).items() if k not in vars(twin)}  # torch copies its own
    for parameter in twin.param_groups[0]["params"]:
        parameter.grad = torch.zeros_like(parameter)
    set_rate(twin, trainer.schedule.lr(0.5), trainer.schedule.momentum_drop(0.5))
    twin.step()
    if isinstance(twin, AveragedSGD):
        twin.after_epoch(1.0)
    columns = trainer.config.batch_size // distributed.world()
    batch = Batch(*[torch.zeros(1, columns, dtype=torch.long, device=trainer.device)] * 2)
    if trainer.hidden is not None and trainer.config.cut == "stream":  # of samples, the last batch is narrower
        with eval_mode(trainer.model):
            trainer.model.loss(batch.inputs, batch.targets, trainer.hidden)
