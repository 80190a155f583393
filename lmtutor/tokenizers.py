"""From text to tokens and back: words and characters."""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from lmtutor.errors import LMTutorError, nearest

SPECIALS = ("<unk>", "<eos>", "<bos>", "<pad>")
SPECIAL = re.compile("|".join(SPECIALS))


@dataclass(frozen=True)
class Normalisation:
    """What is done to a text before it is cut into tokens. Every switch is off unless asked for."""

    nfkc: bool = False  # one form for each character: 'ﬁ' becomes 'fi', full-width letters plain ones
    whitespace: bool = False  # runs of blanks become one space; blanks at line ends go
    lower: bool = False  # fold case

    def __call__(self, text: str) -> str:
        if self.nfkc:
            text = unicodedata.normalize("NFKC", text)
        if self.whitespace:
            text = re.sub(r"[^\S\n]*\n[^\S\n]*", "\n", re.sub(r"[^\S\n]+", " ", text))
        return text.lower() if self.lower else text


class Tokenizer:
    """Cuts text into tokens, and joins tokens to text."""

    name: ClassVar[str]
    specials: ClassVar[tuple[str, ...]] = ("<unk>", "<eos>")  # that a vocabulary needs by default
    kinds: ClassVar[dict[str, type["Tokenizer"]]] = {}

    def __init_subclass__(cls) -> None:
        Tokenizer.kinds[cls.name] = cls

    def __init__(self, normalisation: Normalisation = Normalisation()):
        self.normalisation = normalisation

    def fit(self, texts: Iterable[str]) -> "Tokenizer":
        """Learn from the training text what the scheme learns; words and characters learn nothing."""
        return self

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text. A line end is the token `<eos>` (for characters: itself)."""
        return self._cut(self.normalisation(text))

    def _cut(self, text: str) -> list[str]:
        raise TypeError(f"{type(self).__name__} does not say how it cuts text")

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Return the text that the tokens stand for."""
        raise TypeError(f"{type(self).__name__} does not say how it joins tokens")

    def to_dict(self) -> dict:
        """Return what `from_dict` needs to make the same tokenizer, as JSON-able values."""
        return {"name": self.name, "normalisation": asdict(self.normalisation)}

    @classmethod
    def from_dict(cls, values: dict) -> "Tokenizer":
        """Make a tokenizer again from what `to_dict` returned."""
        values = dict(values)
        kind = cls.kinds.get(values.pop("name", None))
        if kind is None:
            raise LMTutorError(f"no tokenizer is described by {values!r}: expected a key 'name'.")
        return kind(Normalisation(**values.pop("normalisation", {})), **values)

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to a JSON file."""
        Path(path).write_text(json.dumps(self.to_dict(), ensure_ascii=False), encoding="utf-8")

    @staticmethod
    def load(path: str | Path) -> "Tokenizer":
        """Read a tokenizer that `save` wrote."""
        return Tokenizer.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))


class Words(Tokenizer):
    """Whitespace words; each line end is `<eos>`. The text comes back up to the width of its blanks."""

    name = "words"

    def _cut(self, text: str) -> list[str]:
        return text.replace("\n", " <eos> ").split()

    def detokenize(self, tokens: Iterable[str]) -> str:
        return " ".join(tokens).replace(" <eos>", "\n").replace("<eos>", "\n").replace("\n ", "\n")


class Characters(Tokenizer):
    """Characters, the line end among them; exact both ways."""

    name = "characters"
    specials = ("<unk>",)

    def _cut(self, text: str) -> list[str]:
        if not SPECIAL.search(text):
            return list(text)
        return re.findall(SPECIAL.pattern + "|.", text, re.DOTALL)

    def detokenize(self, tokens: Iterable[str]) -> str:
        return "".join(tokens)


def get_tokenizer(name: str | Tokenizer, **switches: bool) -> Tokenizer:
    """Return a tokenizer by name, with its normalisation switches (`nfkc`, `whitespace`, `lower`)."""
    if isinstance(name, Tokenizer):
        return name
    if name not in Tokenizer.kinds:
        raise LMTutorError(f"no tokenizer is called {name!r}.{nearest(str(name), Tokenizer.kinds)}")
    return Tokenizer.kinds[name](Normalisation(**switches))
