"""Sums to learn by heart or by rule, such as `16+75=91`: a corpus that is drawn, of characters."""

import random
from itertools import combinations_with_replacement

from lmtutor.system.errors import LMTutorError

LARGEST_NUMBER = 999
HELD_OUT = 2_500  # sums of the validation split, and of the test split


def addition_corpus(tokens: int, seed: int) -> dict[str, str]:
    """Draw the text of each split, a sum per line. No two sums, of one split or of two, have the same two numbers.

    Parameters
    ----------
    tokens
        Characters of the training split, line ends among them; it ends with the line that reaches them.
    seed
        Of the draw.

    Raises
    ------
    LMTutorError
        If there are not so many sums.
    """
    draw = random.Random(seed)
    pairs = list(combinations_with_replacement(range(LARGEST_NUMBER + 1), 2))
    draw.shuffle(pairs)
    lines = (f"{a}+{b}={a + b}\n" for a, b in (draw.sample(pair, 2) for pair in pairs))
    splits = {split: "".join(next(lines) for _ in range(HELD_OUT)) for split in ("valid", "test")}
    train, size = [], 0
    for line in lines:
        train.append(line)
        size += len(line)
        if size >= tokens:
            return {"train": "".join(train), **splits}
    raise LMTutorError(f"all sums together have {size:,} characters for the training split: ask for fewer tokens.")
