"""From text to tokens and back: whitespace words, characters, Treebank words, byte pairs.

Every scheme keeps `<unk>`, `<eos>`, `<bos>` and `<pad>` whole where a text already holds them. The token `<eos>`
stands where a line ends (Treebank words: a sentence), so a prompt that stops mid-line has none at its end.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from lmtutor.data_files import read_table, write_atomically
from lmtutor.errors import LMTutorError, nearest

SPECIALS = ("<unk>", "<eos>", "<bos>", "<pad>")
SPECIAL = re.compile("|".join(SPECIALS))


@dataclass(frozen=True)
class Normalisation:
    """What is done to a text before it is cut into tokens. Every switch is off unless asked for."""

    nfkc: bool = False  # one form for each character: the ligature 'ﬁ' becomes 'fi', full-width 'Ａ' becomes 'A'
    whitespace: bool = False  # a run of blanks becomes one space, blanks at line ends go
    lower: bool = False  # fold case

    def __call__(self, text: str) -> str:
        """Return the text with the chosen changes made, always in this order."""
        if self.nfkc:
            text = unicodedata.normalize("NFKC", text)
        if self.whitespace:
            text = re.sub(r" ?\n ?", "\n", re.sub(r"[^\S\n]+", " ", text))
        return text.lower() if self.lower else text

    def __str__(self) -> str:
        return ", ".join(name for name, on in asdict(self).items() if on) or "none"


class Tokenizer:
    """Cuts text into tokens, and joins tokens to text. The schemes below are its subclasses.

    A scheme that learns (where sentences end, which bytes pair) does so once, from the training split, in `fit`.
    """

    name: ClassVar[str]
    specials: ClassVar[tuple[str, ...]] = ("<unk>", "<eos>")  # what its vocabularies hold whether seen or not
    kinds: ClassVar[dict[str, type["Tokenizer"]]] = {}

    def __init_subclass__(cls) -> None:
        Tokenizer.kinds[cls.name] = cls

    def __init__(self, normalisation: Normalisation | None = None):
        self.normalisation = normalisation or Normalisation()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(normalisation: {self.normalisation})"

    @property
    def fitted(self) -> bool:
        """Whether it can cut text now, or must `fit` first."""
        return True

    @property
    def types(self) -> list[str]:
        """Every type that it can produce, where that is known beforehand (byte pairs); else empty."""
        return []

    def fit(self, texts: Iterable[str]) -> "Tokenizer":
        """Learn from the blocks of a training text, and return the fitted tokenizer."""
        return self

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text, normalised first."""
        if not self.fitted:
            raise LMTutorError(f"the {self.name!r} tokenizer has learned from no text yet: call fit(texts) first.")
        return self._cut(self.normalisation(text))

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Return the text that tokens stand for, as nearly as the scheme remembers it."""
        return self._join(list(tokens))

    def _cut(self, text: str) -> list[str]:
        raise TypeError(f"{type(self).__name__} has to define _cut")

    def _join(self, tokens: list[str]) -> str:
        raise TypeError(f"{type(self).__name__} has to define _join")

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` needs to make the same tokenizer again, as JSON-able values."""
        return {"name": self.name, "normalisation": asdict(self.normalisation)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Tokenizer":
        """Make a tokenizer again from what `to_dict` returned."""
        try:
            settings = {key: value for key, value in values.items() if key not in ("name", "normalisation")}
            normalisation = Normalisation(**values.get("normalisation", {}))
            return _kind(values.get("name"))(normalisation, **settings)
        except (TypeError, AttributeError) as error:
            raise LMTutorError(f"this is no tokenizer: {error}.") from None

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to a JSON file."""
        write_atomically(path, json.dumps(self.to_dict(), ensure_ascii=False).encode())

    @staticmethod
    def load(path: str | Path) -> "Tokenizer":
        """Read a tokenizer that `save` wrote."""
        return Tokenizer.from_dict(read_table(Path(path)))


def get_tokenizer(scheme: str | Tokenizer, **switches: bool) -> Tokenizer:
    """Return a tokenizer by name, with switches of `Normalisation`: `nfkc`, `whitespace`, `lower`."""
    return scheme if isinstance(scheme, Tokenizer) else _kind(scheme)(Normalisation(**switches))


def _kind(name: object) -> type[Tokenizer]:
    if name not in Tokenizer.kinds:
        raise LMTutorError(f"no tokenizer is called {name!r}.{nearest(str(name), Tokenizer.kinds)}")
    return Tokenizer.kinds[name]


def _lines(tokens: list[str]) -> Iterator[list[str]]:
    """Cut tokens after each `<eos>`, which is left out; what follows the last one comes last, if only as []."""
    line: list[str] = []
    for token in tokens:
        if token == "<eos>":
            yield line
            line = []
        else:
            line.append(token)
    yield line


class Words(Tokenizer):
    """What stands between blanks, with `<eos>` for each line end: how WikiText and PTB are meant to be read.

    Text comes back from tokens up to the width of its blanks, and tokens come back from text exactly.
    """

    name = "words"

    def _cut(self, text: str) -> list[str]:
        for special in SPECIALS:
            text = text.replace(special, f" {special} ")  # also where it touches a word: "<unk>, said he"
        return text.replace("\n", " <eos> ").split()

    def _join(self, tokens: list[str]) -> str:
        return "\n".join(" ".join(line) for line in _lines(tokens))


class Characters(Tokenizer):
    """Single characters, the line end among them. Text comes back exactly.

    Parameters
    ----------
    keep_specials
        Read `<unk>` as one token. Character-level Penn Treebank does not: its published figures spell it out.
    """

    name = "characters"
    specials = ("<unk>",)
    _pattern = re.compile(SPECIAL.pattern + "|.", re.DOTALL)

    def __init__(self, normalisation: Normalisation | None = None, keep_specials: bool = True):
        super().__init__(normalisation)
        self.keep_specials = keep_specials

    def _cut(self, text: str) -> list[str]:
        if self.keep_specials and SPECIAL.search(text):
            return self._pattern.findall(text)
        return list(text)

    def _join(self, tokens: list[str]) -> str:
        return "".join(tokens)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"keep_specials": self.keep_specials}


class Treebank(Tokenizer):
    """Penn Treebank words within Punkt sentences, `<eos>` after each sentence.

    Sentence ends are found by Punkt (Kiss and Strunk, 2006), which learns the abbreviations of the training text
    without supervision; words are cut by NLTK's Treebank rules. A blank line ends a paragraph, and with it a
    sentence; a single line end is a blank. Curved double quotes become the Treebank's own `` and ''.
    """

    name = "treebank"

    def __init__(self, normalisation: Normalisation | None = None, punkt: dict[str, Any] | None = None):
        super().__init__(normalisation)
        self.punkt = punkt
        self._sentences = self._words = self._glue = None

    @property
    def fitted(self) -> bool:
        return self.punkt is not None

    def fit(self, texts: Iterable[str]) -> "Treebank":
        from nltk.tokenize.punkt import PunktTrainer

        trainer = PunktTrainer()
        for text in texts:
            trainer.train(_plain(self.normalisation(text)), finalize=False)
        learned = trainer.get_params()
        punkt = {
            "abbrev_types": sorted(learned.abbrev_types),
            "collocations": sorted(map(list, learned.collocations)),
            "sent_starters": sorted(learned.sent_starters),
            "ortho_context": dict(sorted(learned.ortho_context.items())),
        }
        return Treebank(self.normalisation, punkt)

    def _open(self) -> None:
        """Make NLTK's parts when the first text comes: importing NLTK takes a second."""
        from nltk.tokenize.destructive import NLTKWordTokenizer
        from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
        from nltk.tokenize.treebank import TreebankWordDetokenizer

        learned = PunktParameters()
        try:
            learned.abbrev_types = set(self.punkt["abbrev_types"])
            learned.collocations = {(first, second) for first, second in self.punkt["collocations"]}
            learned.sent_starters = set(self.punkt["sent_starters"])
            learned.ortho_context.update({word: flags | 0 for word, flags in self.punkt["ortho_context"].items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LMTutorError(f"the tokenizer's sentence ends are damaged ({error!r}): fit it again.") from None
        self._sentences = PunktSentenceTokenizer(learned)
        self._words, self._glue = NLTKWordTokenizer(), TreebankWordDetokenizer()

    def _cut(self, text: str) -> list[str]:
        if self._words is None:
            self._open()
        text = _plain(text)
        tokens: list[str] = []
        for paragraph in re.split(r"\n\s*\n", text):
            for sentence in self._sentences.tokenize(" ".join(paragraph.split())):
                tokens += (_SHOWN.get(word, word) for word in self._words.tokenize(sentence))
                tokens.append("<eos>")
        if tokens and not text[-1].isspace():
            tokens.pop()  # the text stops within a sentence that may go on
        return tokens

    def _join(self, tokens: list[str]) -> str:
        if self._words is None:
            self._open()
        return "\n".join(self._glue.detokenize(line) for line in _lines(tokens))

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"punkt": self.punkt}


# NLTK would cut '<unk>' in three, so each special travels through it as one letter of the private use area.
_HIDDEN = {special: chr(0xE000 + i) for i, special in enumerate(SPECIALS)}
_SHOWN = {hidden: special for special, hidden in _HIDDEN.items()}
_QUOTES = str.maketrans({"“": "``", "”": "''", "‘": "`", "’": "'"})


def _plain(text: str) -> str:
    return SPECIAL.sub(lambda match: f" {_HIDDEN[match[0]]} ", text).translate(_QUOTES)


class BytePairs(Tokenizer):
    """Byte-pair encoding (Sennrich et al., 2016) over bytes: no text is out of vocabulary, and it comes back exactly.

    A space is shown as `Ġ` at the head of the piece that follows it; `<eos>` stands for each line end.

    Parameters
    ----------
    size
        The most pieces to learn, the 256 bytes among them.
    merges
        The learned scheme as the `tokenizers` library writes it, as `fit` leaves it there.
    """

    name = "bpe"
    longest = 20_000  # characters: the library's work grows with the square of an unbroken run
    _seam = re.compile(f"(\n|{SPECIAL.pattern})")
    # What the library does not cut before it pairs: letters, digits, signs, blanks. To it, unlike to Python, the four
    # of ASCII are no blanks.
    _run = re.compile(r"[^\W\d_]+|\d+|(?:[^\w\s]|[_\x1c-\x1f])+|\s+")

    def __init__(self, normalisation: Normalisation | None = None, size: int = 8000, merges: str | None = None):
        if size < 256:
            raise LMTutorError(f"byte pairs need at least 256 types, one a byte, not {size}: ask for more.")
        super().__init__(normalisation)
        self.size, self.merges = size, merges

    @property
    def fitted(self) -> bool:
        return self.merges is not None

    @property
    def types(self) -> list[str]:
        return list(self._pairs.get_vocab())

    def fit(self, texts: Iterable[str]) -> "BytePairs":
        pairs = _pipeline()
        size = min(self.size, 10**7)  # the library sets memory aside for them all, and aborts where there is none
        alphabet = pairs.pre_tokenizer.alphabet()
        trainer = _library().trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        pieces = (piece for text in texts for piece in self._pieces(self.normalisation(text))[::2])
        pairs.train_from_iterator(filter(None, pieces), trainer)
        return BytePairs(self.normalisation, self.size, pairs.to_str())

    @cached_property
    def _pairs(self) -> Any:
        """The pipeline, made anew around what `fit` learned: a file may be anyone's, so it brings none of its own."""
        with _explained("the tokenizer's byte pairs are damaged", "fit it again, or restore its file"):
            saved = json.loads(self.merges)
            kinds = sorted(part["type"] for part in saved.values() if part and type(part) is not str)
            vocab, merges = saved["model"]["vocab"], saved["model"]["merges"]
            pairs = _pipeline(vocab, [(left, right) for left, right in merges])
            whole = sorted(vocab.values()) == [*range(len(vocab))] and {*pairs.pre_tokenizer.alphabet()} <= vocab.keys()
            if not whole or kinds != ["BPE", "ByteLevel", "ByteLevel"]:
                raise ValueError("not what 'fit' saves")
        return pairs

    def _pieces(self, text: str) -> list[str]:
        """Cut a text at its seams, which stand at the odd places; refuse what the library would fail on."""
        with _explained("the text is not Unicode", "take that character out"):
            text.encode()
        pieces = self._seam.split(text)
        for piece in pieces:
            if len(piece) > self.longest < len(run := max(self._run.findall(piece), key=len)):
                raise LMTutorError(
                    f"the text has {len(run):,} letters, digits, signs or blanks in a row with nothing else between, "
                    f"and byte pairs take at most {self.longest:,}: break its lines, or read it as 'characters'."
                )
        return pieces

    def _cut(self, text: str) -> list[str]:
        pairs, pieces, tokens = self._pairs, self._pieces(text), []
        with _explained("byte pairs cannot cut this text", "take another tokenizer, such as 'characters'"):
            between = pairs.encode_batch(pieces[::2])
        for encoded, seam in zip(between, [*pieces[1::2], None], strict=True):
            tokens += encoded.tokens
            if seam:
                tokens.append("<eos>" if seam == "\n" else seam)
        return tokens

    def _join(self, tokens: list[str]) -> str:
        decode, text = self._pairs.decoder.decode, []
        with _explained("byte pairs cannot join these tokens", "give tokens that this tokenizer made"):
            for special, group in groupby(tokens, SPECIALS.__contains__):
                run = list(group)
                text += ["\n" if token == "<eos>" else token for token in run] if special else [decode(run)]
        return "".join(text)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"size": self.size, "merges": self.merges}


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise LMTutorError("byte pairs need the 'tokenizers' library: pip install tokenizers.") from None
    return tokenizers


def _pipeline(*learned: Any) -> Any:
    """Return the pipeline of byte pairs: one to train, or one that has learned pieces and merges."""
    library = _library()
    pairs = library.Tokenizer(library.models.BPE(*learned))
    pairs.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = library.decoders.ByteLevel()
    return pairs


@contextmanager
def _explained(fault: str, remedy: str) -> Iterator[None]:
    """Turn what the library raises within into our error, also a panic of its Rust code, which is no `Exception`."""
    try:
        yield
    except BaseException as error:
        kind = type(error).__name__
        theirs = isinstance(error, Exception) or kind == "PanicException"
        if not theirs or isinstance(error, LMTutorError | MemoryError):
            raise
        raise LMTutorError(f"{fault} ({kind}: {str(error)[:100]}): {remedy}.") from None
