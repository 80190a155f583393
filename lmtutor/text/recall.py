"""Lines that ask for what they told: ``a4 b7 c1 ; b -> 7``. A measure of memory. Chapter 09."""

import string

import torch
from torch import Tensor

from lmtutor.text.batches import IGNORED

KEYS = string.ascii_letters + "αβγδεζηθικλμ"  # 64
VALUES = string.digits
TYPES = [*KEYS, *VALUES, ";"]


def recall_lines(pairs: int, asked: int, lines: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw lines of different keys with a value each, a semicolon, and then some of the keys again.

    Parameters
    ----------
    pairs : n, from 1 to 64.
    asked : A, how many keys are asked, drawn from the n.
    lines : B, columns.

    Returns
    -------
    inputs, targets : (2n + 1 + A, B) ids into `TYPES`, which are keys, values and the semicolon; the last A targets are
        the values, the others -100.
    """
    keys = torch.rand(lines, len(KEYS), generator=generator).argsort(1)[:, :pairs].T  # (n, B), all different
    values = len(KEYS) + torch.randint(len(VALUES), (pairs, lines), generator=generator)
    which = torch.randint(pairs, (asked, lines), generator=generator)
    told = torch.stack([keys, values], dim=1).flatten(0, 1)
    semicolon = torch.full((1, lines), TYPES.index(";"))
    inputs = torch.cat([told, semicolon, keys.gather(0, which)])
    targets = torch.full_like(inputs, IGNORED)
    targets[-asked:] = values.gather(0, which)
    return inputs, targets
