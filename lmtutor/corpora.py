"""Corpora: from a name or a path to three long tensors of token ids and a vocabulary."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lmtutor.errors import LMTutorError
from lmtutor.text import Tokenizer, Vocabulary, get_tokenizer

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Corpus:
    """Three splits of a text as ids, cut nowhere, with the vocabulary of the training split."""

    name: str
    train: Tensor  # (N,) ids
    valid: Tensor
    test: Tensor
    vocab: Vocabulary
    characters: dict[str, int | None]  # characters of each split's raw text, for nats per character
    entropy: float | None = None  # nats per token, where it is known exactly (baker-street)
    note: str = ""  # what was done to the text, in a sentence or two

    def split(self, name: str) -> Tensor:
        """Return the ids of the split `"train"`, `"valid"` or `"test"`."""
        if name not in SPLITS:
            raise LMTutorError(f"no split is called {name!r}: ask for one of {', '.join(SPLITS)}.")
        return getattr(self, name)


def load_corpus(
    name_or_path: str | Path,
    *,
    tokenizer: str | Tokenizer = "words",
    lower: bool = False,
    min_count: int = 1,
    max_size: int | None = None,
    specials: Sequence[str] | None = None,
    vocab: Vocabulary | None = None,
) -> Corpus:
    """Load a corpus of the catalogue by name, or one's own text by path."""
    name = str(name_or_path)
    if name == "baker-street":
        from lmtutor.grammar import baker_street_corpus

        *splits, entropy = baker_street_corpus()
        texts = [get_tokenizer("words").detokenize(split) for split in splits]
        return _encode(name, texts, get_tokenizer("words"), min_count, max_size, specials, vocab, entropy)
    folder = Path(name)
    if not folder.exists() and os.environ.get("LMTUTOR_DATA"):
        folder = Path(os.environ["LMTUTOR_DATA"]) / name
    if folder.is_file():
        text = folder.read_text(encoding="utf-8-sig")
        ends = [text.find("\n", int(len(text) * share)) + 1 for share in (0.9, 0.95)]
        texts = [text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] :]]
    elif folder.is_dir():
        texts = [(folder / f"{split}.txt").read_text(encoding="utf-8-sig") for split in SPLITS]
    else:
        raise LMTutorError(f"{name!r} is neither a corpus nor a path.")
    return _encode(name, texts, get_tokenizer(tokenizer, lower=lower), min_count, max_size, specials, vocab)


def _encode(name, texts, tokenizer, min_count, max_size, specials, vocab, entropy=None) -> Corpus:
    number: defaultdict[str, int] = defaultdict(count().__next__)
    raw = []
    for text in texts:
        tokens = tokenizer.tokenize(text if text.endswith("\n") else text + "\n")
        raw.append(np.fromiter(map(number.__getitem__, tokens), dtype=np.int64, count=len(tokens)))
        if vocab is None:
            from collections import Counter

            seen = dict(zip(number, np.bincount(raw[0]).tolist(), strict=True))
            vocab = Vocabulary.build(Counter(seen), tokenizer, min_count, max_size, specials)
    to_id = vocab.encode(number).numpy()
    ids = [torch.from_numpy(to_id[r]) for r in raw]
    return Corpus(name, *ids, vocab, dict(zip(SPLITS, map(len, texts), strict=True)), entropy)
