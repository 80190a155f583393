"""From one long tensor of ids to what a model eats: batches, cut in one of three ways.

The *stream* (`stream_batches`) lays the corpus out in columns and reads them from top to bottom, the state carried
all the way: this is how recurrent language models are trained. *Samples* (`sample_batches`) are sentences or
documents, each read from a fresh state. *Windows* (`window_batches`) are stretches of fixed length, each read from a
fresh state with some context before what is scored: how models without a state are judged.

All three yield the same `Batch`, so one loop trains or scores from any of them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lmtutor.models.heads import IGNORED
from lmtutor.system.errors import LMTutorError
from lmtutor.system.limits import expect, whole


class Batch(NamedTuple):
    """What one step of training or scoring sees, time-major."""

    inputs: Tensor  # (T, B) ids
    targets: Tensor  # (T, B) ids of the tokens that follow; IGNORED where nothing is scored
    carry: bool = True  # the state continues from the batch before; False: start from a fresh one


def lay_out(ids: Tensor, batch_size: int) -> Tensor:
    """Lay a corpus out in columns that are read side by side, from top to bottom.

    ::

        a b c d e f g h i j k l m      a e i     Three columns of the 13-token corpus. Each one
                                   →   b f j     continues where its neighbour to the left ends,
        batch_size = 3                 c g k     and the state of column n at its foot is
                                       d h l     *not* what column n+1 starts from.

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
    _at_least_one(batch_size=batch_size)
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
        Where `random_bptt` draws from; default: torch's global generator.
    random_bptt
        Draw each length anew, as AWD-LSTM does (Merity et al., 2017, section 4.1): around `bptt` with
        probability 0.95, else around half of it, with a standard deviation of 5 and at least 5.
    """
    _at_least_one(bptt=bptt)
    grid = lay_out(ids, batch_size)
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


def sentences(ids: Tensor, eos_id: int) -> Tensor:
    """Find the samples that `<eos>` closes: their first positions and the ones after their last, shape (S, 2).

    The samples tile the corpus; what follows the last `<eos>` is one too.
    """
    return _tiles((ids == eos_id).nonzero().flatten() + 1, len(ids))


def documents(ids: Tensor, bos_id: int) -> Tensor:
    """Find the samples that `<bos>` opens, shape (S, 2): `load_corpus(…, boundaries=True)` puts it there."""
    return _tiles((ids == bos_id).nonzero().flatten(), len(ids))


def _tiles(cuts: Tensor, length: int) -> Tensor:
    cuts = torch.cat([torch.tensor([0]), cuts, torch.tensor([length])]).unique_consecutive()
    return torch.stack([cuts[:-1], cuts[1:]], dim=1)


def sample_batches(
    ids: Tensor,
    samples: Tensor,
    batch_size: int,
    *,
    start: int,
    bptt: int | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Read samples side by side, each from a fresh state, and score every token of each.

    Samples of similar length share a batch; the shorter ones are padded, and the padding is not scored::

        samples  c d e .    a b .    inputs  ^ ^    targets  c a    ^ is the token `start`:
                                             c a             d b    every sample begins with it,
                                             d b             e .    and it is never scored;
                                             e ^             . -    - is a target not scored

    Parameters
    ----------
    ids
        The corpus, shape (N,).
    samples
        Where its samples are, shape (S, 2), as `sentences` and `documents` say.
    batch_size
        The most samples B in a batch.
    start
        The id put before samples that do not begin with it: `<bos>`, or `<eos>` where the vocabulary has no `<bos>`.
    bptt
        Cut batches of long samples into stretches of at most this many steps; all but the first carry the state.
    generator
        Shuffle the batches, and which of the equally long samples share one. Without it, the longest come first.

    Raises
    ------
    LMTutorError
        If `batch_size` or `bptt` is below 1, or there is nothing to score.
    """
    _at_least_one(batch_size=batch_size, bptt=1 if bptt is None else bptt)
    first, last = samples.unbind(1)
    lead = (ids[first] != start).long()  # 1 where a start has to be put before the sample
    lengths = last - first + lead
    order = _order(len(samples), generator)
    order = order[lengths[order].argsort(descending=True, stable=True)]
    groups = order[lengths[order] > 1].split(batch_size)
    if not len(groups[0]):
        raise LMTutorError("there is no sample with a token to score: give more text.")
    where = torch.stack([first, last, lead], dim=1)
    for i in _order(len(groups), generator):
        spans = where[groups[i]].tolist()
        rows = [torch.cat([ids.new_full((led,), start), ids[a:b]]) for a, b, led in spans]
        inputs = pad_sequence([row[:-1] for row in rows], padding_value=start)
        targets = pad_sequence([row[1:] for row in rows], padding_value=IGNORED)
        step = bptt or len(inputs)
        for top in range(0, len(inputs), step):
            yield Batch(inputs[top : top + step], targets[top : top + step], carry=top > 0)


def window_batches(
    ids: Tensor,
    batch_size: int,
    window: int,
    stride: int | None = None,
    *,
    generator: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Read stretches of fixed length, each from a fresh state, and score each token but the first exactly once.

    A window reads `window` tokens and scores the `stride` tokens that end it; the ones before are context::

        window = 4, stride = 2     a b c d          scores b c d e, having nothing before them
        of  a b c d e f g h            c d e f      scores f g, with c d as context
                                         d e f g    scores h: the last window ends with the text

    Parameters
    ----------
    ids
        The corpus, shape (N,).
    batch_size
        The most windows B side by side; the last batch may have fewer.
    window, stride
        Tokens read by a window, and from one window to the next: default: `window` (no overlap).
    generator
        Shuffle the windows.

    Raises
    ------
    LMTutorError
        If a number is below 1, the stride is longer than the window, or the corpus has fewer than two tokens.
    """
    stride = window if stride is None else stride
    _at_least_one(batch_size=batch_size, window=window, stride=stride)
    if stride > window:
        raise LMTutorError(f"a stride of {stride} skips tokens between windows of {window}: make it at most {window}.")
    if len(ids) < 2:
        raise LMTutorError(f"{len(ids)} token(s) leave nothing to predict: give more text.")
    window = min(window, len(ids) - 1)
    last = len(ids) - 1 - window  # where the last window starts
    starts = torch.cat([torch.arange(0, last, stride), torch.tensor([last])])
    scored = torch.cat([torch.tensor([0]), starts[:-1] + window])  # first position whose successor a window scores
    order = _order(len(starts), generator)
    steps = torch.arange(window).unsqueeze(1)
    for group in order.split(batch_size):
        positions = starts[group] + steps  # (T, B)
        targets = ids[positions + 1].masked_fill(positions < scored[group], IGNORED)
        yield Batch(ids[positions], targets, carry=False)


def _order(n: int, generator: torch.Generator | None) -> Tensor:
    return torch.arange(n) if generator is None else torch.randperm(n, generator=generator)


def _at_least_one(**numbers: int) -> None:
    expect(numbers, {" ".join(numbers): whole(1)})


CUTS = ("stream", "sentences", "documents", "windows")


def cut_batches(
    ids: Tensor,
    vocab,
    cut: str = "stream",
    *,
    batch_size: int,
    bptt: int,
    stride: int = 0,
    random_bptt: bool = False,
    generator: torch.Generator | None = None,
) -> Iterator[Batch]:
    """Cut a text as a `TrainConfig` says: as one stream in columns, or into samples that start from a fresh state.

    Parameters
    ----------
    ids
        The text, shape (N,).
    vocab
        Where `<eos>`, which closes sentences, and `<bos>`, which opens documents, get their ids.
    cut
        `"stream"`, `"sentences"`, `"documents"`, or `"windows"` of `bptt` tokens that begin every `stride` tokens.
    batch_size, bptt, stride, random_bptt, generator
        As of `stream_batches`, `sample_batches` and `window_batches`; stride 0 is no overlap.

    Raises
    ------
    LMTutorError
        If the vocabulary lacks the type that the cut goes by.
    """
    if cut == "stream":
        return stream_batches(ids, batch_size, bptt, generator=generator, random_bptt=random_bptt)
    if cut == "windows":
        return window_batches(ids, batch_size, bptt, stride or None, generator=generator)
    return sample_batches(
        ids, _samples(ids, vocab, cut), batch_size, start=_start(vocab), bptt=bptt, generator=generator
    )


def scored_tokens(ids: Tensor, vocab, cut: str, batch_size: int) -> int:
    """How many tokens one pass over a text scores when it is cut so."""
    if cut == "stream":
        return (len(ids) // batch_size - 1) * batch_size
    if cut == "windows":
        return len(ids) - 1
    samples = _samples(ids, vocab, cut)
    return int((samples[:, 1] - samples[:, 0] - (ids[samples[:, 0]] == _start(vocab)).long()).sum())


def _samples(ids: Tensor, vocab, cut: str) -> Tensor:
    special, where = ("<eos>", vocab.eos_id) if cut == "sentences" else ("<bos>", vocab.bos_id)
    if where is None:
        hint = "" if cut == "sentences" else ", which load_corpus(…, boundaries=True) puts before each document"
        raise LMTutorError(f"cut={cut!r} goes by {special}{hint}; this vocabulary has none: say cut='stream'.")
    return sentences(ids, where) if cut == "sentences" else documents(ids, where)


def _start(vocab) -> int:
    return vocab.bos_id if vocab.bos_id is not None else vocab.eos_id
