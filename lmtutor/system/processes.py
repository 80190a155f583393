"""Training on several processes, started by torchrun: the columns are shared out, the gradients averaged.

Every process holds the whole model and reads its own columns, so their hidden states never travel. After each backward
pass all processes sum their gradients, and so take the same step. The loss is a mean over as many tokens in each
process: the mean of the means is that of the whole batch, and the run is that of one process, up to rounding. One
process writes.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lmtutor.system.errors import LMTutorError


def start(device: str = "auto") -> None:
    """Join the processes that torchrun started; nothing without torchrun.

    NCCL joins processes that train on CUDA, one GPU each, and gloo all others.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or dist.is_initialized():
        return
    if missing := [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise LMTutorError(f"WORLD_SIZE is set, but not {missing[0]}: start with torchrun, or unset it.")
    cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        dist.init_process_group("nccl" if cuda else "gloo")
    except ValueError as error:  # what torchrun sets, set by somebody else
        raise LMTutorError(f"These processes cannot be joined ({error}): start them with torchrun.") from None


def stop() -> None:
    """Leave them again."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one; 0 writes."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def exchanging() -> Iterator[None]:
    """Within, an exchange that fails is one line: with gloo because another process was killed, or is out of reach.

    NCCL does not raise here: it ends the process by itself, and torchrun says so.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise LMTutorError(
            "An exchange with the other processes of this training failed; one of them has probably ended. What was "
            f"saved last is whole: the same torchrun command with --resume continues from there. ({error})"
        ) from error


def my_columns(part: Tensor) -> Tensor:
    """This process's share of a batch: its columns, the last axis of ``(T, B)``.

    Raises
    ------
    LMTutorError : the columns cannot be divided evenly.
    """
    if part.shape[-1] % world():
        raise LMTutorError(f"{part.shape[-1]} columns cannot be divided among {world()} processes: change batch_size.")
    return part.chunk(world(), dim=-1)[rank()]


@torch.no_grad()
def same_start(model: nn.Module) -> None:
    """Give every process the parameters and buffers of the first."""
    with exchanging():
        for value in [*model.parameters(), *model.buffers()]:
            dist.broadcast(value, src=0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes, in place."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    with exchanging():
        for exchange in [dist.all_reduce(gradient.div_(world()), async_op=True) for gradient in gradients]:
            exchange.wait()


def total(value: Tensor) -> Tensor:
    """The sum of a number over the processes."""
    value = value.clone()
    with exchanging():
        dist.all_reduce(value)
    return value


def gather(state: object) -> list:
    """What every process has, in the order of their ranks, in every process; for saving."""
    if world() == 1:
        return [state]
    states = [None] * world()
    with exchanging():
        dist.all_gather_object(states, state)
    return states
