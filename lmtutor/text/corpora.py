"""Corpora: from a name or a path to three long tensors of ids, cut nowhere, and the vocabulary that numbers them."""

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from lmtutor.system.errors import LMTutorError
from lmtutor.text.byte_pairs import BytePairs
from lmtutor.text.catalogue import Entry, catalogue, download_folder, fetch_files, find_entry, is_offline, local_file
from lmtutor.text.encoding import Encoded, Reading, encode
from lmtutor.text.prepare import PREPARATIONS
from lmtutor.text.sources import SPLITS, Rules, Span, Splits, are_strings, blocks, check, find_splits, is_count, or_none
from lmtutor.text.tokenizers import Characters, Normalisation, Tokenizer, Words, get_tokenizer
from lmtutor.text.vocabulary import Vocabulary

SHARES = (0.9, 0.05, 0.05)  # of a text without splits of its own
RULES = {
    "words": "whitespace words, <eos> at each line end",
    "characters": "characters, line ends among them",
    "treebank": "Treebank words, <eos> after each Punkt sentence",
    "bpe": "byte pairs, <eos> at each line end",
}
OPTIONS: Rules = (  # of load_corpus; the shares are checked where a text is cut
    (["nfkc", "whitespace", "lower", "boundaries", "progress"], "true or false", lambda v: isinstance(v, bool)),
    (["min_count"], "an integer of at least 1", is_count),
    (["max_size", "tokens"], "an integer of at least 1", or_none(is_count)),
    (["seed"], "an integer", or_none(lambda v: type(v) is int)),
    (["specials"], "a list of strings", or_none(are_strings)),
    (["tokenizer"], "a tokenizer or the name of one", or_none(lambda v: isinstance(v, (str, Tokenizer)))),
    (["vocab"], "a Vocabulary", or_none(lambda v: isinstance(v, Vocabulary))),
)


@dataclass(frozen=True)
class Corpus:
    """Three splits of a text as ids, and the vocabulary of the training split."""

    name: str
    train: Tensor  # (N,) ids, memory-mapped
    valid: Tensor
    test: Tensor
    vocab: Vocabulary
    characters: dict[str, int]  # characters of each split's raw text, for nats per character
    entropy: float | None = None  # nats per token, where it is known exactly (baker-street)
    note: str = ""  # how the text was split and read, in a few sentences

    def split(self, name: str) -> Tensor:
        """Return the ids of the split `"train"`, `"valid"` or `"test"`, shape (N,)."""
        if name not in SPLITS:
            raise LMTutorError(f"no split is called {name!r}: ask for one of {', '.join(SPLITS)}.")
        return getattr(self, name)

    def report(self) -> pd.DataFrame:
        """Return one row per split: tokens, types, the share of `<unk>`, characters, characters per token."""
        rows = []
        for name in SPLITS:
            ids = self.split(name)
            counts = ids.bincount(minlength=len(self.vocab))
            unk = 0 if self.vocab.unk_id is None else int(counts[self.vocab.unk_id])
            rows.append(
                {
                    "split": name,
                    "tokens": len(ids),
                    "types": int((counts > 0).sum()),
                    "unk_rate": unk / len(ids),
                    "characters": self.characters[name],
                    "characters_per_token": self.characters[name] / len(ids),
                }
            )
        return pd.DataFrame(rows).set_index("split")


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
    tokens: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> Corpus:
    """Load a corpus of the catalogue, or a text of your own.

    Parameters
    ----------
    name_or_path
        A name such as `"wikitext-2"` (downloaded if it is not here), a folder with a file for each split, one text
        file, a pattern such as `"letters/*.txt"` whose files are documents, or `"-"` for the standard input.
    tokenizer
        `"words"`, `"characters"`, `"treebank"`, `"bpe"`, or a `Tokenizer`; default: the corpus's own.
    nfkc, whitespace, lower
        What is done to the text first, see `Normalisation`.
    min_count, max_size, specials
        How the vocabulary is chosen from the training split, see `Vocabulary.build`. For byte pairs `max_size` is
        the number of pieces to learn.
    vocab
        Use this vocabulary, with its tokenizer, in place of one made from the text.
    shares
        Shares of one file's bytes, or of a pattern's documents, for train, valid and test.
    boundaries
        Put `<bos>` before each document.
    tokens, seed
        Size of the training split and seed of `"baker-street"`.
    progress
        Show a bar while downloading.

    Raises
    ------
    LMTutorError
        If there is no such corpus or file, a file is empty, binary or not UTF-8, a split is too small, or a download
        fails, or an option is not of its kind: always one line that says where, what, and what to do.
    """
    check(locals(), OPTIONS)
    if not str(name_or_path):
        raise LMTutorError("The name of the corpus is empty: give a name of the catalogue or a path.")
    if tokens is not None or seed is not None:
        if str(name_or_path) != "baker-street":
            raise LMTutorError("tokens and seed are for 'baker-street' alone: other corpora are as long as they are.")
    found = _find(name_or_path, shares, tokens, seed, progress)
    entry = found.entry
    if vocab is None:
        chosen = _tokenizer(tokenizer, entry, Normalisation(nfkc, whitespace, lower), max_size)
        if specials is None and tokenizer is None and entry:
            specials = entry.specials
    else:
        chosen, min_count, max_size, specials = vocab.tokenizer, 1, None, None
    encoded = encode(found.splits, Reading(chosen, min_count, max_size, specials, vocab, found.encoding, boundaries))
    return Corpus(
        name=entry.name if entry else Path(name_or_path).name,
        **encoded.ids,
        vocab=vocab or encoded.vocab,
        characters=encoded.characters,
        entropy=found.entropy if encoded.vocab.tokenizer.to_dict() == Words().to_dict() else None,  # it is per word
        note=_note(name_or_path, found, encoded, borrowed=vocab is not None),
    )


@dataclass(frozen=True)
class _Found:
    """Where a corpus is, before any of it is cut into tokens."""

    splits: Splits
    how: str  # how it was split, in a sentence
    entry: Entry | None = None  # of the catalogue; None for a text of your own
    entropy: float | None = None  # nats per token

    @property
    def encoding(self) -> str:
        return self.entry.encoding if self.entry else "utf-8"


def _find(
    name_or_path: str | Path,
    shares: Sequence[float] = SHARES,
    tokens: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> _Found:
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name not in catalogue():
        if name != "-" and not Path(name).exists() and not any(sign in name for sign in "/\\*?[.~"):
            find_entry(name)  # raises, with the nearest names
        return _Found(*find_splits(name if "\0" in name else os.path.expanduser(name), shares))
    entry = find_entry(name)
    if name == "baker-street":
        return _baker_street(entry, tokens or 200_000, seed or 0)
    files = fetch_files(entry, progress)
    for key, path in files.items():
        if wrong := entry.files[key].mismatch(path):
            if path.is_relative_to(download_folder()):
                raise LMTutorError(f"{path} is not what {name} should be ({wrong}): delete it and load again.")
            warnings.warn(f"{path} is not the {name} of the catalogue: {wrong}.", stacklevel=3)
    return _Found(*PREPARATIONS[entry.prepare](files), entry)


def _baker_street(entry: Entry, tokens: int, seed: int) -> _Found:
    from lmtutor.baker_street.truth import baker_street_corpus

    drawn = baker_street_corpus(tokens, seed)
    splits = {}
    for split in SPLITS:
        text = get_tokenizer("words").detokenize(getattr(drawn, split))
        splits[split] = [Span(text.encode(), label=f"the {split} split of baker-street")]
    return _Found(splits, "Independent stories in each split.", entry, drawn.entropy)


def _tokenizer(
    asked: str | Tokenizer | None, entry: Entry | None, normalisation: Normalisation, max_size: int | None
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


def _note(name: str | Path, found: _Found, encoded: Encoded, borrowed: bool) -> str:
    """Say in a few sentences what was done to a text, so that a number measured on it means something."""
    vocab, tokenizer = encoded.vocab, encoded.vocab.tokenizer
    rule = RULES.get(tokenizer.name, tokenizer.name)
    changed = "" if tokenizer.normalisation == Normalisation() else f"; normalised: {tokenizer.normalisation}"
    origin = "of another text" if borrowed else "of the training split"
    unknown = ""
    if vocab.unk_id is not None:
        rates = [f"{100 * encoded.unknown[split] / len(encoded.ids[split]):.2f}" for split in SPLITS]
        unknown = f"; <unk> is {' / '.join(rates)} % of the tokens"
    title = found.entry.title if found.entry else Path(name).name
    return f"{title}. {found.how} Tokens: {rule}{changed}. Vocabulary: {len(vocab):,} types {origin}{unknown}."


def corpus_available(name: str, fetch: bool = False) -> bool:
    """Return whether a corpus of the catalogue can be loaded now, without the network.

    Parameters
    ----------
    name
        A name of the catalogue.
    fetch
        Try once to download it if it is not here (never under `LMTUTOR_OFFLINE`).
    """
    entry = find_entry(name)
    if all(local_file(file) for file in entry.files.values()):
        return True
    if not fetch or is_offline():
        return False
    try:
        fetch_files(entry, progress=False)
    except LMTutorError:
        return False
    return True


def fetch_corpus(name: str, progress: bool = True) -> dict[str, Path]:
    """Download what is missing of a corpus of the catalogue, and return where its files are."""
    return fetch_files(find_entry(name), progress)


def verify_corpus(name: str) -> pd.DataFrame:
    """Compare the files of a corpus that are here with the catalogue.

    Returns
    -------
    DataFrame
        One row per file: `path` (empty where it is missing), `bytes`, and what is wrong (`problem`, empty if nothing).
    """
    rows = []
    for key, file in find_entry(name).files.items():
        path = local_file(file)
        size = path.stat().st_size if path else 0
        problem = file.mismatch(path) if path else "missing"
        rows.append({"file": key, "path": str(path or ""), "bytes": size, "problem": problem})
    return pd.DataFrame(rows, columns=["file", "path", "bytes", "problem"]).set_index("file")


def list_corpora() -> pd.DataFrame:
    """Return the catalogue: one row per corpus: title, token counts, types, licence, and whether it is here."""
    rows = []
    for entry in catalogue().values():
        counts = entry.tokens or {}
        rows.append(
            {
                "name": entry.name,
                "title": entry.title,
                **{f"{split}_tokens": counts.get(split) for split in SPLITS},
                "types": entry.types,
                "tokenizer": entry.tokenizer,
                "licence": entry.licence,
                "here": corpus_available(entry.name),
            }
        )
    return pd.DataFrame(rows).set_index("name").convert_dtypes()


def sample_text(name_or_path: str | Path, split: str = "train", characters: int = 500) -> str:
    """Return the beginning of a split's raw text."""
    found = _find(name_or_path)
    if split not in found.splits:
        raise LMTutorError(f"no split is called {split!r}: ask for one of {', '.join(SPLITS)}.")
    text = ""
    for block in blocks(found.splits[split], found.encoding):
        text += block
        if len(text) >= characters:
            break
    return text[:characters]


def coverage(name_or_path: str | Path, vocab: Vocabulary) -> pd.DataFrame:
    """Return how much of a text a vocabulary covers, cut by its own tokenizer: one row per split.

    The columns are those of `Vocabulary.coverage`: tokens, types, those out of vocabulary, and their rate.
    """
    found = _find(name_or_path)
    rows = {}
    for split, spans in found.splits.items():
        counts: Counter[str] = Counter()
        for span in spans:
            for tokens in vocab.tokenizer.tokenize_blocks(blocks([span], found.encoding)):
                counts.update(tokens)
        rows[split] = vocab.coverage(counts)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("split")
