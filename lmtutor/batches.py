"""From one long tensor of ids to what a model eats: columns, and batches cut from them."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lmtutor.errors import LMTutorError


class Batch(NamedTuple):
    """What one step of training or scoring sees, time-major."""

    inputs: Tensor  # (T, B) ids
    targets: Tensor  # (T, B) ids of the tokens that follow; -100 where nothing is scored
    carry: bool = True  # the state goes on from the batch before; False: start from a fresh one


def columns(ids: Tensor, batch_size: int) -> Tensor:
    """Lay a corpus out in columns that are read side by side, from top to bottom.

    ::

        a b c d e f g h i j k l m        a e i        Three columns of the 13-token corpus. Each one
                                   →     b f j        goes on where its neighbour to the left ends,
        batch_size = 3                   c g k        and the state of column n at its foot is
                                         d h l        *not* what column n+1 starts from.

    The tail that fills no whole row (here `m`) is left out. The result is a view: nothing is copied.

    Parameters
    ----------
    ids
        The corpus, shape (N,).
    batch_size
        The number of columns, B.

    Returns
    -------
    Tensor
        Shape (N // B, B).

    Raises
    ------
    LMTutorError
        If a column would hold fewer than two tokens, so that there is nothing to predict.
    """
    if batch_size < 1:
        raise LMTutorError(f"batch_size is {batch_size}: it must be at least 1.")
    length = len(ids) // batch_size
    if length < 2:
        raise LMTutorError(
            f"{len(ids):,} tokens are too few for {batch_size} columns of at least two tokens: "
            f"use a batch_size of at most {len(ids) // 2}, or more text."
        )
    return ids[: length * batch_size].view(batch_size, length).t()


def stream_batches(
    ids: Tensor,
    batch_size: int,
    bptt: int,
    *,
    generator: torch.Generator | None = None,
    random_bptt: bool = False,
) -> Iterator[Batch]:
    """Read the columns of a corpus from top to bottom, `bptt` rows at a time.

    Every token of a column but its first is a target exactly once; the last batch may be shorter. The first
    batch starts from a fresh state and the others carry on from the one before.

    Parameters
    ----------
    ids
        The corpus, shape (N,).
    batch_size, bptt
        The number of columns B, and of steps T through which the gradient flows.
    generator
        Where `random_bptt` draws from; torch's global generator unless given.
    random_bptt
        Draw each length anew, as AWD-LSTM does (Merity et al., 2017, section 4.1): around `bptt` with
        probability 0.95, else around half of it, with a standard deviation of 5 and at least 5.
    """
    if bptt < 1:
        raise LMTutorError(f"bptt is {bptt}: it must be at least 1.")
    grid = columns(ids, batch_size)
    last = len(grid) - 1
    start = 0
    while start < last:
        length = _random_length(bptt, generator) if random_bptt else bptt
        stop = min(start + length, last)
        yield Batch(grid[start:stop], grid[start + 1 : stop + 1], carry=start > 0)
        start = stop


def _random_length(bptt: int, generator: torch.Generator | None) -> int:
    mean = bptt if torch.rand((), generator=generator) < 0.95 else bptt / 2
    return max(5, int(torch.normal(torch.tensor(mean, dtype=torch.float), 5.0, generator=generator)))
