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


def start() -> None:
    """Join the processes that torchrun started; nothing without torchrun."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or dist.is_initialized():
        return
    try:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    except (ValueError, KeyError) as error:
        raise LMTutorError(
            f"WORLD_SIZE is set, but not all that torchrun sets with it ({error}): start with torchrun, or unset it."
        ) from None


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
            f"saved last is whole: the same torchrun command with --resume goes on from there. ({error})"
        ) from error


def my_columns(part: Tensor) -> Tensor:
    """This process's share of a batch: its columns, the last axis of ``(T, B)``.

    Raises
    ------
    LMTutorError : the columns cannot be shared out evenly.
    """
    if world() == 1:
        return part
    if part.shape[-1] % world():
        raise LMTutorError(
            f"{part.shape[-1]} columns cannot be shared out evenly to {world()} processes: change batch_size."
        )
    return part.chunk(world(), dim=-1)[rank()]


@torch.no_grad()
def same_start(model: nn.Module) -> None:
    """Give every process the parameters and buffers of the first."""
    if world() > 1:
        with exchanging():
            for value in [*model.parameters(), *model.buffers()]:
                dist.broadcast(value, src=0)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its sum over the processes, in place; the loss was divided by their number before."""
    if world() == 1:
        return
    with exchanging():
        exchanges = [dist.all_reduce(p.grad, async_op=True) for p in parameters if p.grad is not None]
        for exchange in exchanges:
            exchange.wait()


def total(value: Tensor) -> Tensor:
    """The sum of a number over the processes."""
    if world() > 1:
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
