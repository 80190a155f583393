"""From text to tokens and back: whitespace words, characters, Treebank words; byte pairs are in `byte_pairs`.

Every scheme keeps `<unk>`, `<eos>`, `<bos>` and `<pad>` whole where a text already holds them. The token `<eos>`
stands where a line ends (Treebank words: a sentence), so a prompt that stops mid-line has none at its end.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from itertools import chain
from typing import Any, ClassVar

from lmtutor.system.errors import LMTutorError, one_of
from lmtutor.system.limits import fits

SPECIALS = ("<unk>", "<eos>", "<bos>", "<pad>")
SPECIAL = re.compile("|".join(SPECIALS))
PIECE = 1 << 16  # characters that are cut into tokens, or learned from, at a time
BEFORE_A_WORD = re.compile(r"(?<=\S) (?=\S)")


@dataclass(frozen=True)
class Normalisation:
    """What is done to a text before it is cut into tokens. Every switch is off unless asked for."""

    nfkc: bool = False  # one form for each character: the ligature 'ﬁ' becomes 'fi', full-width 'Ａ' becomes 'A'
    whitespace: bool = False  # a run of whitespace becomes one space, whitespace at both ends of a line goes
    lower: bool = False  # fold case

    def __call__(self, text: str) -> str:
        """Return the text with the chosen changes made, always in this order."""
        if self.nfkc:
            text = unicodedata.normalize("NFKC", text)
        if self.whitespace:  # a text begins a line, so that a block of one does too
            text = re.sub(r" ?\n ?", "\n", re.sub(r"[^\S\n]+", " ", text)).removeprefix(" ")
        return text.lower() if self.lower else text

    def __str__(self) -> str:
        return ", ".join(name for name, on in asdict(self).items() if on) or "none"


class Tokenizer:
    """Cuts text into tokens, and joins tokens to text. Its schemes are its subclasses, here and in `byte_pairs`.

    A scheme defines `_cut(text)` and `_join(tokens)`. One that learns (where sentences end, which bytes pair) does so
    once, from the training split, in `fit`.
    """

    name: ClassVar[str]
    specials: ClassVar[tuple[str, ...]] = ("<unk>", "<eos>")  # what its vocabularies hold whether seen or not
    settings: ClassVar[dict[str, Any]] = {}  # what `to_dict` adds to name and normalisation, with its shape
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
        return [token for tokens in self.tokenize_blocks([text]) for token in tokens]

    def tokenize_blocks(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """Yield the tokens of a text that comes in blocks of whole lines; where it is cut in blocks does not matter."""
        if not self.fitted:
            raise LMTutorError(f"the {self.name!r} tokenizer has learned from no text yet: call fit(texts) first.")
        return self._cut_blocks(map(self.normalisation, texts))

    def _cut_blocks(self, texts: Iterable[str]) -> Iterator[list[str]]:
        return map(self._cut, chain.from_iterable(map(_before_words, texts)))

    def detokenize(self, tokens: Iterable[str]) -> str:
        """Return the text that tokens stand for, as nearly as the scheme remembers it."""
        return self._join(list(tokens))

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` needs to make the same tokenizer again, as JSON-able values."""
        own = {key: getattr(self, key) for key in self.settings}
        return {"name": self.name, "normalisation": asdict(self.normalisation), **own}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Tokenizer":
        """Make a tokenizer again from what `to_dict` returned."""
        kind = Tokenizer.kinds[one_of("tokenizer", values.get("name"), Tokenizer.kinds)]
        switches = values.get("normalisation", {})
        settings = {key: value for key, value in values.items() if key not in ("name", "normalisation")}
        wrong = [key for key, value in settings.items() if not fits(value, kind.settings.get(key, ()))]
        if not fits(switches, {str: bool}) or not switches.keys() <= asdict(Normalisation()).keys():
            wrong.append("normalisation")
        if wrong:
            raise LMTutorError(f"not a valid tokenizer: {wrong[0]} is damaged: fit it again.")
        return kind(Normalisation(**switches), **settings)


def get_tokenizer(scheme: str | Tokenizer, **switches: bool) -> Tokenizer:
    """Return a tokenizer by name, with switches of `Normalisation`: `nfkc`, `whitespace`, `lower`."""
    if isinstance(scheme, Tokenizer):
        return scheme
    return Tokenizer.kinds[one_of("tokenizer", scheme, Tokenizer.kinds)](Normalisation(**switches))


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
    """What stands between spaces, with `<eos>` for each line end: how WikiText and PTB are meant to be read.

    Text comes back from tokens up to the width of its spaces, and tokens come back from text exactly.
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
    normalisation
        What is done to a text first; default: nothing.
    keep_specials
        Read `<unk>` as one token. Character-level Penn Treebank does not: its published figures spell it out.
    """

    name = "characters"
    specials = ("<unk>",)
    settings = {"keep_specials": bool}
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


PUNKT = {  # what Punkt learns
    "abbrev_types": [str],
    "collocations": [[str]],
    "sent_starters": [str],
    "ortho_context": {str: int},
}


class Treebank(Tokenizer):
    """Penn Treebank words within Punkt sentences, `<eos>` after each sentence.

    Sentence ends are found by Punkt (Kiss and Strunk, 2006), which learns the abbreviations of the training text
    without supervision, or are the full stops of Chinese and Japanese; words are cut by NLTK's Treebank rules. A blank
    line ends a paragraph, and with it a sentence; a single line end is a space. Curved double quotes become the
    Treebank's own, two grave accents and two apostrophes.
    """

    name = "treebank"
    settings = {"punkt": (None, PUNKT)}

    def __init__(self, normalisation: Normalisation | None = None, punkt: dict[str, Any] | None = None):
        super().__init__(normalisation)
        self.punkt = punkt

    @property
    def fitted(self) -> bool:
        return self.punkt is not None

    def fit(self, texts: Iterable[str]) -> "Treebank":
        from nltk.tokenize.punkt import PunktTrainer

        trainer = PunktTrainer()
        for text in _in_pieces(map(self.normalisation, texts), PIECE):
            trainer.train(_spaced(text), finalize=False)
        learned = trainer.get_params()
        punkt = {
            "abbrev_types": sorted(learned.abbrev_types),
            "collocations": sorted(map(list, learned.collocations)),
            "sent_starters": sorted(learned.sent_starters),
            "ortho_context": dict(sorted(learned.ortho_context.items())),
        }
        return Treebank(self.normalisation, punkt)

    @cached_property
    def _sentences(self) -> Any:
        from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer  # importing NLTK takes a second

        learned = PunktParameters()
        learned.abbrev_types = set(self.punkt["abbrev_types"])
        learned.collocations = set(map(tuple, self.punkt["collocations"]))
        learned.sent_starters = set(self.punkt["sent_starters"])
        learned.ortho_context.update(self.punkt["ortho_context"])
        return PunktSentenceTokenizer(learned)

    @cached_property
    def _words(self) -> Any:
        return treebank_rules()()

    def _cut_blocks(self, texts: Iterable[str]) -> Iterator[list[str]]:
        held, enough, ends = "", 0, False  # a sentence that fills block after block is looked at when it has doubled
        for text in texts:
            held, ends = held + _spaced(text), text[-1:].isspace()
            if len(held) >= enough:
                sentences, held = self._ended(held)
                enough = 2 * len(held)
                yield self._words_of(sentences)
        sentences, last = self._ended(held)
        tokens = self._words_of([*sentences, *self._sentences_of(last.rstrip())])
        yield tokens if ends else tokens[:-1]  # it stops within a sentence that may continue

    def _ended(self, text: str) -> tuple[list[str], str]:
        """The sentences of a text but the last, and the line of the last, whose end the next block may move.

        Nor is an end within a run of signs certain: in `so?!` Punkt sees one after the `?` until a word follows.
        """
        *paragraphs, last = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
        spans = [*self._sentences.span_tokenize(last)]
        start = max((start for start, _ in spans if last[start - 1 : start] == " "), default=0)
        sentences = [sentence for paragraph in paragraphs for sentence in self._sentences_of(paragraph)]
        sentences += [last[first:stop] for first, stop in spans if first < start]
        return sentences, last[start:] + "\n"

    def _sentences_of(self, paragraph: str) -> list[str]:
        return [paragraph[first:stop] for first, stop in self._sentences.span_tokenize(paragraph)]

    def _words_of(self, sentences: list[str]) -> list[str]:
        return [token for sentence in sentences for token in [*self._words.tokenize(sentence), "<eos>"]]

    def _join(self, tokens: list[str]) -> str:
        from nltk.tokenize.treebank import TreebankWordDetokenizer

        return "\n".join(map(TreebankWordDetokenizer().detokenize, _lines(tokens)))


_QUOTES = str.maketrans({"“": "``", "”": "''", "‘": "`", "’": "'"})
# With what closes after it, for Punkt waits for a space; not from within a run, which would be read once a sign.
_FULL_STOP = re.compile(r"(?<![。！？])[。！？]++['」』）]*+(?!\Z)")


def _spaced(text: str) -> str:
    text = SPECIAL.sub(r" \g<0> ", text).translate(_QUOTES)
    return _FULL_STOP.sub("\\g<0>\n\n", text)


def _before_words(text: str) -> Iterator[str]:
    """Cut a long block, such as an endless line, before blanks between words, where no token goes across."""
    start = 0
    while len(text) - start > PIECE and (found := BEFORE_A_WORD.search(text, start + PIECE)):
        yield text[start : found.start()]
        start = found.start()
    yield text[start:]


def _in_pieces(texts: Iterable[str], size: int) -> Iterator[str]:
    """Cut a text anew, at the last line end within `size` characters; in one endless line, after them."""
    kept = ""
    for text in texts:
        kept += text
        while len(kept) >= size:
            end = kept.rfind("\n", 0, size) + 1 or size
            yield kept[:end]
            kept = kept[end:]
    yield kept


@cache
def treebank_rules() -> type:
    """NLTK's class of Treebank rules, but for the specials, which it would cut in three."""
    from nltk.tokenize.destructive import NLTKWordTokenizer

    class TreebankRules(NLTKWordTokenizer):
        PARENS_BRACKETS = (re.compile(rf"{SPECIAL.pattern}|[\]\[\(\)\{{\}}<>]"), r" \g<0> ")

    return TreebankRules
