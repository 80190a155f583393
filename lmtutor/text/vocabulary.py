"""The vocabulary: which tokens a model knows, and the number that each one has."""

import json
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from itertools import repeat
from pathlib import Path

import torch
from torch import Tensor

from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import read_table, write_atomically
from lmtutor.system.limits import fits
from lmtutor.text.tokenizers import SPECIALS, Tokenizer, Words


class Vocabulary:
    """The types that a model knows, numbered 0 … V-1, with the tokenizer that makes them from text.

    Parameters
    ----------
    tokens
        The types in the order of their ids, each once.
    tokenizer
        How text becomes tokens; default: whitespace words.
    """

    def __init__(self, tokens: Sequence[str], tokenizer: Tokenizer | None = None):
        self.tokens = list(tokens)
        self.tokenizer = tokenizer or Words()
        self._ids = dict(zip(self.tokens, range(len(self.tokens)), strict=True))
        if len(self._ids) != len(self.tokens):
            twice, _ = Counter(self.tokens).most_common(1)[0]
            raise LMTutorError(f"the vocabulary lists {twice!r} more than once: give each type once.")
        self.unk_id, self.eos_id, self.bos_id, self.pad_id = map(self._ids.get, SPECIALS)

    @classmethod
    def build(
        cls,
        tokens: Iterable[str],
        tokenizer: Tokenizer | None = None,
        min_count: int = 1,
        max_size: int | None = None,
        specials: Sequence[str] | None = None,
    ) -> "Vocabulary":
        """Choose the types of a vocabulary from the tokens of a *training* split.

        The specials come first, then the types from frequent to rare, equally frequent ones in alphabetical
        order, so that the same text always gives the same ids.

        Parameters
        ----------
        tokens
            The tokens, or a `Counter` of them.
        min_count
            Types seen fewer times than this are left out, and read as `<unk>`.
        max_size
            The most types to keep, the specials among them.
        specials
            The types to have whether seen or not; the tokenizer's own (`<unk>`, `<eos>`) by default.
        """
        tokenizer = tokenizer or Words()
        specials = list(tokenizer.specials if specials is None else specials)
        if tokenizer.types:  # byte pairs: seen or not, every piece may be needed to spell a text
            min_count, max_size = 0, None
        counts = Counter(tokens)
        counts.update(dict.fromkeys(tokenizer.types, 0))
        ranked = _ranked(counts, min_count, without=specials)
        room = None if max_size is None else max(0, max_size - len(specials))
        return cls(specials + ranked[:room], tokenizer)

    def coverage(self, tokens: Iterable[str]) -> dict[str, float]:
        """Return how much of a text these types cover.

        Parameters
        ----------
        tokens
            The text's tokens, or a `Counter` of them.

        Returns
        -------
        dict
            `tokens` and `types` of the text; `oov_tokens` and `oov_types`, those that are not in the vocabulary;
            `oov_rate`, a share of the tokens; and `unk_in_text`, the tokens that were `<unk>` before we came.
        """
        counts = Counter(tokens)
        unknown = [token for token in counts if token not in self._ids]
        missed = sum(counts[token] for token in unknown)
        return {
            "tokens": counts.total(),
            "types": len(counts),
            "oov_tokens": missed,
            "oov_types": len(unknown),
            "oov_rate": missed / max(1, counts.total()),
            "unk_in_text": counts["<unk>"],
        }

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __getitem__(self, token: str) -> int:
        """Return the id of a token; that of `<unk>` if it is unknown."""
        found = self._ids.get(token, self.unk_id)
        if found is None:
            raise LMTutorError(f"{token!r} is not among the {len(self):,} types, and there is no <unk>: leave it out.")
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.to_dict() == other.to_dict()

    __hash__ = None

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} types, tokenizer={self.tokenizer.name!r})"

    def encode(self, tokens: Iterable[str]) -> Tensor:
        """Return the ids of tokens, shape (N,)."""
        tokens = list(tokens)
        ids = list(map(self._ids.get, tokens, repeat(self.unk_id)))
        if self.unk_id is None and None in ids:
            self[tokens[ids.index(None)]]  # raises, naming the token
        return torch.tensor(ids, dtype=torch.long)

    def decode(self, ids: Iterable[int] | Tensor) -> list[str]:
        """Return the tokens of ids."""
        return [self.tokens[i] for i in (ids.tolist() if isinstance(ids, Tensor) else ids)]

    def encode_text(self, text: str) -> Tensor:
        """Return the ids of a text, shape (N,). `<eos>` stands where a line ends, not at the text's end."""
        return self.encode(self.tokenizer.tokenize(text))

    def decode_text(self, ids: Iterable[int] | Tensor) -> str:
        """Return the text that ids stand for."""
        return self.tokenizer.detokenize(self.decode(ids))

    def to_dict(self) -> dict:
        """Return the vocabulary as JSON-able values, its tokenizer included."""
        return {"tokens": self.tokens, "tokenizer": self.tokenizer.to_dict()}

    @classmethod
    def from_dict(cls, values: dict) -> "Vocabulary":
        """Make a vocabulary again from what `to_dict` returned."""
        if not fits(values, {"tokens": [str], "tokenizer": dict}) or not values["tokens"]:
            raise LMTutorError("not a valid vocabulary: it must have tokens, a list of strings, and a tokenizer.")
        return cls(values["tokens"], Tokenizer.from_dict(values["tokenizer"]))

    def save(self, path: str | Path) -> None:
        """Write the vocabulary to a JSON file; `LMTutorError` where that cannot be written, and an old file stays."""
        write_atomically(path, json.dumps(self.to_dict(), ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Read a vocabulary that `save` wrote."""
        return cls.from_dict(read_table(Path(path)))


def _ranked(counts: Counter, min_count: int, without: Container[str]) -> list[str]:
    """Return the types seen often enough, from frequent to rare, equally frequent ones in alphabetical order."""
    kept = sorted(token for token, n in counts.items() if n >= min_count and token not in without)
    return sorted(kept, key=counts.__getitem__, reverse=True)  # sorting keeps the order of what is equal
