"""Byte pairs: text to pieces of words and back, learned and cut by the `tokenizers` library."""

import codecs
import json
import re
from collections.abc import Iterable
from functools import cached_property
from itertools import groupby
from typing import Any

from lmtutor.system.errors import LMTutorError
from lmtutor.system.limits import fits
from lmtutor.text.tokenizers import SPECIAL, SPECIALS, Normalisation, Tokenizer

SAVED = {  # what the library writes of a pipeline that `fit` has trained; only the model's pieces and merges are read
    **dict.fromkeys(["normalizer", "post_processor", "padding", "truncation"]),
    "added_tokens": [],
    "pre_tokenizer": {"type": "ByteLevel"},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {str: int}, "merges": [[str]]},
}
# The bytes by the characters that show them: 188 show themselves, the others are shown beyond U+00FF, in order.
_OWN = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = {chr(byte): byte for byte in _OWN}
BYTES |= {chr(256 + n): byte for n, byte in enumerate(byte for byte in range(256) if byte not in _OWN)}
_HALF = re.compile("[\ud800-\udfff]")  # of a character beyond U+FFFF; the library takes none


class BytePairs(Tokenizer):
    """Byte-pair encoding (Sennrich et al., 2016) over bytes: no text is out of vocabulary, and it comes back exactly.

    A space is shown as `Ġ` at the head of the piece that follows it; `<eos>` stands for each line end.

    Parameters
    ----------
    normalisation
        What is done to a text first; default: nothing.
    size
        The most pieces to learn, the 256 bytes among them.
    merges
        The learned scheme as the `tokenizers` library writes it, as `fit` leaves it there.
    """

    name = "bpe"
    settings = {"size": int, "merges": (str, None)}
    longest = 20_000  # characters: the library's work grows with the square of an unbroken run
    _seam = re.compile(f"(\n|{SPECIAL.pattern})")
    # What the library does not cut before it pairs: letters, digits (more than Python's), signs, spaces. To it, unlike
    # to Python, the four of ASCII are no spaces.
    _run = re.compile(r"[^\W_]+|(?:[^\w\s]|[_\x1c-\x1f])+|\s+")

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
        try:
            saved = json.loads(self.merges)
        except (ValueError, RecursionError):
            saved = None
        if fits(saved, SAVED) and not _HALF.search("".join(saved["model"]["vocab"])):
            vocab, merges = saved["model"]["vocab"], saved["model"]["merges"]
            pairs = all(len(pair) == 2 and {*pair, "".join(pair)} <= vocab.keys() for pair in merges)
            if (
                pairs
                and sorted(vocab.values()) == [*range(len(vocab))]
                and vocab.keys() >= {*_library().pre_tokenizers.ByteLevel.alphabet()}
            ):
                return _pipeline(vocab, [(left, right) for left, right in merges])
        raise LMTutorError("the tokenizer's byte pairs are damaged: fit it again, or restore its file.")

    def written(self, tokens: Iterable[str]) -> list[str]:
        """What each piece adds to the text: a letter of several bytes stands where its last one is read."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        return [token if token in SPECIALS else decode(bytes(map(BYTES.__getitem__, token))) for token in tokens]

    def _pieces(self, text: str) -> list[str]:
        """Cut a text at its seams, which stand at the odd places; refuse what the library would fail on."""
        _check_unicode(text)
        pieces = self._seam.split(text)
        for piece in pieces:
            if len(piece) > self.longest < len(run := max(self._run.findall(piece), key=len)):
                raise LMTutorError(
                    f"the text has {len(run):,} letters, digits, signs or spaces in a row with nothing else between, "
                    f"and byte pairs take at most {self.longest:,}: break its lines, or read it as 'characters'."
                )
        return pieces

    def _cut(self, text: str) -> list[str]:
        pairs, pieces, tokens = self._pairs, self._pieces(text), []
        for encoded, seam in zip(pairs.encode_batch(pieces[::2]), [*pieces[1::2], None], strict=True):
            tokens += encoded.tokens
            if seam:
                tokens.append("<eos>" if seam == "\n" else seam)
        return tokens

    def _join(self, tokens: list[str]) -> str:
        _check_unicode("".join(tokens))
        decode, text = self._pairs.decoder.decode, []
        for special, group in groupby(tokens, SPECIALS.__contains__):
            run = list(group)
            text += ["\n" if token == "<eos>" else token for token in run] if special else [decode(run)]
        return "".join(text)


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


def _check_unicode(text: str) -> None:
    if half := _HALF.search(text):
        raise LMTutorError(f"byte pairs take Unicode text, and {half[0]!r} is half a character: take it out.")
