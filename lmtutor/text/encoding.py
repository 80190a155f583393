"""Text becomes ids once: they are kept on disk under a key made of *what was read and how*, and memory-mapped.

A mapped tensor takes no memory of its own. The system loads the pages that are read and drops them again when
memory is wanted, so a corpus of 100 million tokens (0.8 GB of ids) trains in a few hundred megabytes.
"""

import json
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import ROOM, alone, cache_folder, read_table, unfinished, writing
from lmtutor.system.limits import fits
from lmtutor.text.sources import SPLITS, Span, Splits, blocks, digest
from lmtutor.text.tokenizers import Tokenizer
from lmtutor.text.vocabulary import Vocabulary

KEY_FORMAT = 3  # part of every key: raise it when the same text and settings would give other ids
AT_A_TIME = 1 << 20  # tokens
LONGEST_TOKEN = 1000  # characters of an average token beyond which a text must have been cut the wrong way
LEARNED_FROM = 10_000_000  # characters of the training split that Punkt or byte pairs learn from
COUNTS = dict.fromkeys(SPLITS, int)
ABOUT = {"tokens": COUNTS, "characters": COUNTS, "unknown": COUNTS, "vocab": dict}  # what about.json says of ids


@dataclass(frozen=True)
class Reading:
    """How a text is read: all that decides which ids come out of it."""

    tokenizer: Tokenizer  # what cuts the text
    min_count: int = 1  # see `Vocabulary.build`
    max_size: int | None = None  # likewise
    specials: Sequence[str] | None = None  # likewise
    vocab: Vocabulary | None = None  # given: nothing is counted, this one is used
    boundaries: bool = False  # <bos> before each document

    def key(self, splits: Splits) -> str:
        """Return a name for the ids that this reading makes of these texts."""
        digests: dict[Path | bytes, str] = {}
        settings: list[Any] = [KEY_FORMAT]
        for split in SPLITS:
            for span in splits[split]:
                digests[span.source] = digests.get(span.source) or digest(span.source)
                settings += [split, digests[span.source], *span.bounds, span.raw]
        library = {"treebank": "nltk", "bpe": "tokenizers"}.get(self.tokenizer.name)
        settings += [self.tokenizer.to_dict(), library and version(library), self.min_count, self.max_size]
        settings += [self.specials and list(self.specials), self.vocab and self.vocab.to_dict(), self.boundaries]
        return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Encoded:
    """A text as ids, split by split, with the vocabulary that they number."""

    ids: dict[str, Tensor]  # (N,) each, memory-mapped
    characters: dict[str, int]  # of the text as it was read
    unknown: dict[str, int]  # tokens that are <unk>
    vocab: Vocabulary  # of the ids


def encode_splits(splits: Splits, reading: Reading) -> Encoded:
    """Return the ids of a text: from the cache, or by reading it and leaving them there."""
    root = cache_folder() / "tokens"
    folder = root / reading.key(splits)
    if found := _load(folder):
        return found
    try:
        root.mkdir(parents=True, exist_ok=True)
        writable = os.access(root, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        folder = Path(_until_the_end().name) / folder.name
    with writing(f"the token ids in {folder.parent}", ROOM), alone(folder.with_suffix(".lock")):
        if found := _load(folder):  # another process has made them meanwhile
            return found
        shutil.rmtree(folder, ignore_errors=True)  # what is there, if anything, is broken
        with unfinished(folder.with_name(f"unfinished-{folder.name}")) as work:
            about, vocab = _build(work, splits, reading)
            (work / "about.json").write_text(json.dumps({**about, "vocab": vocab.to_dict()}), encoding="utf-8")
            work.rename(folder)
        return _mapped(folder, about, vocab)


@cache
def _until_the_end() -> tempfile.TemporaryDirectory:
    """A folder that lasts as long as the process, where no cache can be written."""
    return tempfile.TemporaryDirectory(prefix="lmtutor-")


def _load(folder: Path) -> Encoded | None:
    """Map the ids of a folder; None where it is missing or not whole."""
    try:
        about = read_table(folder / "about.json")
        vocab = Vocabulary.from_dict(about["vocab"]) if fits(about, ABOUT) else None
        sizes = [(folder / f"{split}.ids").stat().st_size for split in SPLITS]
    except (OSError, LMTutorError):
        return None
    whole = vocab and sizes == [8 * about["tokens"][split] for split in SPLITS]
    return _mapped(folder, about, vocab) if whole else None


def _mapped(folder: Path, about: dict[str, Any], vocab: Vocabulary) -> Encoded:
    ids = {}
    for split, n in about["tokens"].items():
        # Not shared: a process that writes into the tensor gets a page of its own, the file stays as it is.
        ids[split] = torch.from_file(str(folder / f"{split}.ids"), shared=False, size=n, dtype=torch.long)
    return Encoded(ids, about["characters"], about["unknown"], vocab)


def _build(work: Path, splits: Splits, reading: Reading) -> tuple[dict[str, dict[str, int]], Vocabulary]:
    """Read the text once, its types numbered as they come; then number them as the vocabulary says."""
    tokenizer = reading.tokenizer if reading.vocab is None else reading.vocab.tokenizer
    if not tokenizer.fitted:
        tokenizer = tokenizer.fit(_first(splits["train"], LEARNED_FROM))
    number: defaultdict[str, int] = defaultdict(count().__next__)  # a type's place in order of first sight
    about: dict[str, dict[str, int]] = {"tokens": {}, "characters": {}, "unknown": dict.fromkeys(SPLITS, 0)}
    seen: list[str] = []  # in the training split
    for split in SPLITS:
        path = work / f"{split}.ids"
        about["characters"][split], about["tokens"][split] = _number(path, splits[split], reading, tokenizer, number)
        seen = seen or list(number)
    _check(splits, about["characters"], about["tokens"], number)
    vocab = reading.vocab or _choose(work / "train.ids", seen, tokenizer, reading)
    to_id = vocab.encode(number).numpy()
    for split in SPLITS:
        with (work / f"{split}.ids").open("r+b") as file:
            for chunk in _chunks(file):
                ids = to_id[chunk]
                file.seek(-ids.nbytes, os.SEEK_CUR)
                ids.tofile(file)
                about["unknown"][split] += int((ids == vocab.unk_id).sum())
    return about, vocab


class _Counted:
    """Texts, and the characters of those that have been read."""

    def __init__(self, texts: Iterable[str]):
        self.texts, self.characters = texts, 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.characters += len(text)
            yield text


def encode_whole(texts: Iterable[str], vocab: Vocabulary) -> tuple[Tensor, int]:
    """The ids of a text that comes in blocks of whole lines, shape (N,), memory-mapped; and its characters."""
    read = _Counted(texts)
    return mapped(map(vocab.encode, vocab.tokenizer.tokenize_blocks(read))), read.characters


def mapped(parts: Iterable[Tensor]) -> Tensor:
    """Ids in one row, (N,), memory-mapped from a file without a name, which goes when they do."""
    with tempfile.TemporaryFile() as file:
        for ids in parts:
            ids.numpy().tofile(file)
        size = file.tell() // 8
        # Not shared, like the ids of a corpus.
        return torch.from_numpy(np.memmap(file, np.int64, "c", shape=(size,)) if size else np.zeros(0, np.int64))


def _first(spans: Sequence[Span], most: int) -> Iterator[str]:
    """Yield the first `most` characters of a text."""
    for text in blocks(spans):
        yield text[:most]
        most -= len(text)
        if most <= 0:
            return


def _number(
    path: Path, spans: Sequence[Span], reading: Reading, tokenizer: Tokenizer, number: defaultdict[str, int]
) -> tuple[int, int]:
    """Write the provisional numbers of a split's tokens; return its characters and its tokens."""
    characters = tokens = 0

    with path.open("wb") as file:
        for span in spans:
            if reading.boundaries:
                np.array([number["<bos>"]]).tofile(file)
                tokens += 1
            read = _Counted(blocks([span]))
            for cut in tokenizer.tokenize_blocks(read):
                np.fromiter(map(number.__getitem__, cut), dtype=np.int64, count=len(cut)).tofile(file)
                tokens += len(cut)
            characters += read.characters
    return characters, tokens


def _chunks(file: BinaryIO) -> Iterator[np.ndarray]:
    while len(chunk := np.fromfile(file, dtype=np.int64, count=AT_A_TIME)):
        yield chunk


def _choose(path: Path, types: list[str], tokenizer: Tokenizer, reading: Reading) -> Vocabulary:
    """Choose the vocabulary from the counts of the training split."""
    counts = np.zeros(len(types), dtype=np.int64)
    with path.open("rb") as file:
        for chunk in _chunks(file):
            counts += np.bincount(chunk, minlength=len(types))
    counter = Counter(dict(zip(types, counts.tolist(), strict=True)))
    specials = reading.specials
    if specials is None and reading.boundaries:
        specials = [*tokenizer.specials, "<bos>"]
    return Vocabulary.build(counter, tokenizer, reading.min_count, reading.max_size, specials)


def _check(splits: Splits, characters: dict[str, int], tokens: dict[str, int], types: Iterable[str]) -> None:
    """Refuse what can teach nothing: a split of fewer than two tokens, endless words, nothing but `<unk>`."""
    for split in SPLITS:
        name = splits[split][0].name
        if tokens[split] < 2:
            raise LMTutorError(
                f"{name}: the split {split!r} has {tokens[split]} token(s), too few to predict one from another: "
                "give more text, or a tokenizer that cuts it smaller, such as 'characters'."
            )
        if (length := characters[split] // tokens[split]) > LONGEST_TOKEN:
            raise LMTutorError(
                f"{name}: a token of the split {split!r} has {length:,} characters on average: "
                "text without whitespace needs a finer tokenizer, such as 'characters'."
            )
    if not set(types) - {"<unk>", "<eos>", "<bos>", "\n", " "}:
        raise LMTutorError(f"{splits['train'][0].name} contains only <unk>: there is nothing to learn.")
