"""Small corpora and models that several tests use."""

import torch

from lmtutor.corpora import Corpus
from lmtutor.models import build_model
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.text import Vocabulary

WORDS = ["<unk>", "<eos>", *"abcdefgh"]


def tiny_corpus(tokens: int = 1200, seed: int = 0) -> Corpus:
    """A corpus in which the next letter depends on the last: something to learn, in a second."""
    generator = torch.Generator().manual_seed(seed)
    jumps = torch.randint(1, 3, (tokens,), generator=generator)
    ids = 2 + torch.cumsum(jumps, 0) % 8
    ids[::17] = 1
    valid = slice(tokens * 8 // 10, tokens * 9 // 10)
    return Corpus(
        "tiny",
        ids[: valid.start],
        ids[valid],
        ids[valid.stop :],
        Vocabulary(WORDS),
        dict(train=None, valid=None, test=None),
    )


def tiny_model(vocab=10, dropout: float = 0.0, seed: int = 0, **changes):
    """A small LSTM language model."""
    torch.manual_seed(seed)
    return build_model(RecurrentConfig(embedding=8, hidden=8, layers=2, dropout=dropout), vocab, **changes)
