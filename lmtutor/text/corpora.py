"""Corpora: from a name or a path to three long tensors of ids, cut nowhere, and the vocabulary that numbers them."""

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from lmtutor.system.errors import LMTutorError, one_of
from lmtutor.system.limits import Limit, expect, fits, optional, whole
from lmtutor.text.addition import addition_corpus
from lmtutor.text.byte_pairs import BytePairs
from lmtutor.text.catalogue import (
    DRAWN,
    CorpusEntry,
    catalogue,
    download_folder,
    find_entry,
    find_folder,
    local_file,
    local_folder,
)
from lmtutor.text.download import fetch_files
from lmtutor.text.encoding import Encoded, Reading, encode_splits
from lmtutor.text.hints import hint
from lmtutor.text.prepare import PREPARATIONS, published_folder
from lmtutor.text.sources import SPLITS, Span, Splits, blocks, find_documents, find_splits
from lmtutor.text.tokenizers import Characters, Normalisation, Tokenizer, Words, get_tokenizer
from lmtutor.text.vocabulary import Vocabulary

SHARES = (0.9, 0.05, 0.05)  # of a text without splits of its own
SCHEMES = {
    "words": "whitespace words, <eos> at each line end",
    "characters": "characters, line ends among them",
    "treebank": "Treebank words, <eos> after each Punkt sentence",
    "bpe": "byte pairs, <eos> at each line end",
}


OPTIONS = {  # of load_corpus; the shares are checked where a text is cut
    **dict.fromkeys(["nfkc", "whitespace", "lower", "boundaries", "progress"], Limit(bool, "true or false")),
    **dict.fromkeys(["max_size", "tokens"], optional(whole(1))),
    "min_count": whole(1),
    "seed": Limit((None, int), "an integer"),
    "specials": Limit((None, [str], lambda v: isinstance(v, tuple) and fits([*v], [str])), "a list of strings"),
    "encoding": Limit((None, str), "a string"),
    "tokenizer": Limit((None, str, lambda v: isinstance(v, Tokenizer)), "a tokenizer or the name of one"),
    "vocab": Limit((None, lambda v: isinstance(v, Vocabulary)), "a Vocabulary"),
}


@dataclass(frozen=True)
class Corpus:
    """Three splits of a text as ids, and the vocabulary of the training split."""

    name: str  # of the catalogue, or the path
    train: Tensor  # (N,) ids, memory-mapped
    valid: Tensor  # likewise
    test: Tensor  # likewise
    vocab: Vocabulary  # of the training split
    characters: dict[str, int]  # characters of each split's raw text, for nats per character
    entropy: float | None = None  # nats per token, where it is known exactly (baker-street)
    note: str = ""  # how the text was split and read, in a few sentences

    def split(self, name: str) -> Tensor:
        """Return the ids of the split `"train"`, `"valid"` or `"test"`, shape (N,)."""
        return getattr(self, one_of("split", name, SPLITS))

    def report(self) -> pd.DataFrame:
        """Return one row per split: tokens, types, the share of `<unk>`, characters, characters per token."""
        rows = {}
        for name in SPLITS:
            ids, characters = self.split(name), self.characters[name]
            counts = ids.bincount(minlength=len(self.vocab))
            rows[name] = {
                "tokens": len(ids),
                "types": int((counts > 0).sum()),
                "unk_rate": 0.0 if self.vocab.unk_id is None else int(counts[self.vocab.unk_id]) / len(ids),
                "characters": characters,
                "characters_per_token": characters / len(ids),
            }
        return pd.DataFrame(rows.values(), pd.Index(rows, name="split"))


def load_corpus(
    name_or_path: str | Path,
    *,
    tokenizer: str | Tokenizer | None = None,
    nfkc: bool = False,
    whitespace: bool = False,
    lower: bool = False,
    min_count: int = 1,
    max_size: int | None = None,
    specials: Sequence[str] | None = None,
    vocab: Vocabulary | None = None,
    shares: Sequence[float] = SHARES,
    boundaries: bool = False,
    encoding: str | None = None,
    tokens: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Load a corpus of the catalogue, or a text of your own.

    Parameters
    ----------
    name_or_path
        A name such as `"wikitext-2"` (downloaded if it is not here), a folder with a file for each split, or as One
        Billion Words and Chinese poems are published, one text file, a pattern such as `"letters/*.txt"` whose files
        are documents, or `"-"` for the standard input. A file may be packed (gz, bz2, xz, zip), and `"FILE:COLUMN"`
        is a column of JSON lines, CSV or TSV.
    tokenizer
        `"words"`, `"characters"`, `"treebank"`, `"bpe"`, or a `Tokenizer`; default: the corpus's own.
    nfkc, whitespace, lower
        What is done to the text first, see `Normalisation`.
    min_count, max_size, specials
        How the vocabulary is chosen from the training split, see `Vocabulary.build`. For byte pairs `max_size` is
        the number of pieces to learn.
    vocab
        Use this vocabulary, with its tokenizer, in place of one made from the text.
    shares, boundaries
        Shares of one file's bytes, or of a pattern's documents, for the splits; put `<bos>` before each document.
    encoding
        Of the files, if they are not UTF-8: any that Python knows, such as `"cp1251"`.
    tokens, seed, progress
        Size of the training split and seed of `"baker-street"` and `"addition"`; show a bar while downloading.

    Raises
    ------
    LMTutorError : something is wrong with a name, a file or an option.
    """
    expect(locals(), OPTIONS)
    found = _find(name_or_path, shares, encoding, tokens, seed, progress)
    if vocab is None:
        chosen = _tokenizer(tokenizer, found.entry, Normalisation(nfkc, whitespace, lower), max_size)
        if specials is None and tokenizer is None and found.entry:
            specials = found.entry.specials
        reading = Reading(chosen, min_count, max_size, specials, boundaries=boundaries)
    else:
        reading = Reading(vocab.tokenizer, vocab=vocab, boundaries=boundaries)
    return _corpus(name_or_path, found, encode_splits(found.splits, reading), vocab)


@dataclass(frozen=True)
class _Found:
    """Where a corpus is, before any of it is cut into tokens."""

    splits: Splits
    how: str  # how it was split, in a sentence
    entry: CorpusEntry | None = None  # of the catalogue; None for a text of your own
    entropy: float | None = None  # nats per token


def _path(name_or_path: str | Path) -> str:
    """The path of a text of your own; empty where it is the name of a corpus."""
    name = str(name_or_path)
    is_path = isinstance(name_or_path, Path) or name == "-" or any(sign in name for sign in "/\\*?[.~")
    if not is_path and (name in catalogue() or not Path(name).exists()):
        return ""
    return name if "\0" in name else os.path.expanduser(name)


def _find(
    name_or_path: str | Path,
    shares: Sequence[float] = SHARES,
    encoding: str | None = None,
    tokens: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> _Found:
    name = str(name_or_path)
    if (tokens is not None or seed is not None) and name not in DRAWN:
        raise LMTutorError(f"tokens and seed are for {' and '.join(DRAWN)} alone: other corpora are as they are.")
    if own := _path(name_or_path):
        published = published_folder(Path(own)) if Path(own).is_dir() else None
        return _Found(*(published or find_splits(own, shares, encoding)))
    entry = find_entry(name)
    if name in DRAWN:
        return _drawn(entry, tokens or 200_000, seed or 0)
    if entry.folder:
        folder = find_folder(entry)
        return _Found(*(published_folder(folder) or find_splits(str(folder), shares)), entry)
    files = fetch_files(name, entry.files, progress)
    for key, path in files.items():
        if wrong := entry.files[key].mismatch(path):
            if path.is_relative_to(download_folder()):
                raise LMTutorError(f"{path} is not what {name} should be ({wrong}): delete it and load again.")
            warnings.warn(f"{path} is not the {name} of the catalogue: {wrong}.", stacklevel=3)
    return _Found(*PREPARATIONS[entry.prepare](files), entry)


def _drawn(entry: CorpusEntry, tokens: int, seed: int) -> _Found:
    if entry.name == "addition":
        texts, how, entropy = addition_corpus(tokens, seed), "Different sums in each split.", None
    else:
        from lmtutor.baker_street.truth import baker_street_corpus

        drawn = baker_street_corpus(tokens, seed)
        texts = {split: get_tokenizer("words").detokenize(getattr(drawn, split)) for split in SPLITS}
        how, entropy = "Independent stories in each split.", drawn.entropy
    spans = {split: [Span(texts[split].encode(), label=f"the {split} split of {entry.name}")] for split in SPLITS}
    return _Found(spans, how, entry, entropy)


def _tokenizer(
    asked: str | Tokenizer | None, entry: CorpusEntry | None, normalisation: Normalisation, max_size: int | None
) -> Tokenizer:
    if isinstance(asked, Tokenizer):
        if normalisation != Normalisation():
            raise LMTutorError("the tokenizer brings its own normalisation: give nfkc, whitespace, lower to it.")
        return asked
    name = asked or (entry.tokenizer if entry else "words")
    if name == "characters" and entry:
        return Characters(normalisation, keep_specials=entry.keep_specials)
    if name == "bpe" and max_size:
        return BytePairs(normalisation, size=max_size)
    return get_tokenizer(name, **asdict(normalisation))


def _corpus(name_or_path: str | Path, found: _Found, encoded: Encoded, borrowed: Vocabulary | None) -> Corpus:
    """Put a corpus together, with a note on what was done, so that a number measured on it means something."""
    vocab, entry = borrowed or encoded.vocab, found.entry
    tokenizer = vocab.tokenizer
    percent = {}
    for split in SPLITS:
        percent[split] = 100 * encoded.unknown[split] / len(encoded.ids[split])
    title, name, advice = Path(name_or_path).name, Path(name_or_path).name, ""
    if entry:
        title, name = entry.title, entry.name
    else:
        first = found.splits["train"][0]
        advice = hint(first.name, next(blocks([first])), tokenizer, max(percent.values()) / 100)
    scheme = SCHEMES.get(tokenizer.name, tokenizer.name)
    if tokenizer.normalisation != Normalisation():
        scheme += f"; normalised: {tokenizer.normalisation}"
    types = f"{len(vocab):,} types of {'another text' if borrowed else 'the training split'}"
    if vocab.unk_id is not None:
        types += "; <unk> is {train:.2f} / {valid:.2f} / {test:.2f} % of the tokens".format(**percent)
    return Corpus(
        name=name,
        **encoded.ids,
        vocab=vocab,
        characters=encoded.characters,
        entropy=found.entropy if tokenizer.to_dict() == Words().to_dict() else None,  # it is per word
        note=f"{title}. {found.how} Tokens: {scheme}. Vocabulary: {types}. {advice}".rstrip(),
    )


def corpus_available(name: str) -> bool:
    """Return whether the files of a corpus of the catalogue are on this machine."""
    entry = find_entry(name)
    return bool(local_folder(entry)) if entry.folder else all(map(local_file, entry.files.values()))


def list_corpora() -> pd.DataFrame:
    """Return the catalogue: one row per corpus: title, token counts, types, licence, and whether it is here."""
    rows = [
        {
            "name": entry.name,
            "title": entry.title,
            **{f"{split}_tokens": (entry.tokens or {}).get(split) for split in SPLITS},
            "types": entry.types,
            "tokenizer": entry.tokenizer,
            "licence": entry.licence,
            "here": corpus_available(entry.name),
        }
        for entry in catalogue().values()
    ]
    return pd.DataFrame(rows).set_index("name").convert_dtypes()


def sample_text(
    name_or_path: str | Path, split: str | None = None, characters: int = 500, encoding: str | None = None
) -> str:
    """Return the beginning of a split's raw text; default: of your own text, or of the training split."""
    path = _path(name_or_path)
    if split is None and path and not Path(path).is_dir():
        spans = find_documents(path, encoding)
    else:
        one_of("split", split or "train", SPLITS)
        spans = _find(name_or_path, encoding=encoding).splits[split or "train"]
    text = ""
    for block in blocks(spans):
        text += block
        if len(text) >= characters:
            break
    return text[:characters]


def coverage(name_or_path: str | Path, vocab: Vocabulary, encoding: str | None = None) -> pd.DataFrame:
    """Return how much of a text a vocabulary covers, cut by its own tokenizer: one row per split.

    The columns are those of `Vocabulary.coverage`: tokens, types, those out of vocabulary, and their rate.
    """
    found = _find(name_or_path, encoding=encoding)
    rows = {}
    for split, spans in found.splits.items():
        counts: Counter[str] = Counter()
        for span in spans:
            for tokens in vocab.tokenizer.tokenize_blocks(blocks([span])):
                counts.update(tokens)
        rows[split] = vocab.coverage(counts)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("split")
