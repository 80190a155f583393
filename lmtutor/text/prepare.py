"""What must be done to some corpora of the catalogue before they can be read: cleaning, splitting, respelling."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import reading
from lmtutor.system.limits import fits
from lmtutor.text.sources import SPLIT_NAMES, Span, Splits, blocks, by_documents, by_shares, read_text

_BODY = re.compile(r"^\*\*\* ?START OF .*\*\*\*\n(.*?)^\*\*\* ?END OF ", re.MULTILINE | re.DOTALL)
_STORY = re.compile(r"^(?:ADVENTURE )?([IVX]+)\. ([A-Z][^a-z\n]{3,})\n", re.MULTILINE)
_PART = re.compile(r"^([IVX]+\.)\n", re.MULTILINE)
_SHARES = (0.9, 0.05, 0.05)


def strip_licence(text: str) -> str:
    """Return what a Project Gutenberg file holds between its START and END marks, without either.

    Raises
    ------
    LMTutorError
        If the marks are not there.
    """
    found = _BODY.search(re.sub("\r\n?", "\n", text.removeprefix("\ufeff")))
    if not found:
        raise LMTutorError("the text has no '*** START OF …' and '*** END OF …' lines: is it from Project Gutenberg?")
    return found[1]


def sherlock_stories(text: str) -> list[tuple[str, str]]:
    """Cut *The Adventures of Sherlock Holmes* into its twelve stories: pairs of title and text.

    The licence and the table of contents are left out, and so are the underscores that mark italics. Editions of
    the file differ in blank lines only, so these go too, but for one after a title or the number of a part.
    """
    text = re.sub(r"\s*\n\s*", "\n", strip_licence(text).replace("_", ""))
    heads = list(_STORY.finditer(text))
    if len(heads) != 12:
        raise LMTutorError(f"{len(heads)} story titles were found, not twelve: is it Project Gutenberg's file 1661?")
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [
        (head[2], f"{head[2]}\n\n" + _PART.sub(r"\n\1\n\n", text[head.end() : end]).strip() + "\n")
        for head, end in zip(heads, ends, strict=True)
    ]


def _sherlock_holmes(files: dict[str, Path]) -> tuple[Splits, str]:
    (path,) = files.values()
    stories = [text for _, text in sherlock_stories("".join(blocks([Span(path)])))]
    spans = [Span(text.encode(), label=f"story {i} of {path.name}") for i, text in enumerate(stories, 1)]
    return (
        {"train": spans[:10], "valid": spans[10:11], "test": spans[11:]},
        "Split by story: I to X, XI, XII; licence, contents and italics marks removed, case kept.",
    )


def _ptb_characters(files: dict[str, Path]) -> tuple[Splits, str]:
    splits = {}
    for split, path in files.items():
        lines = "".join(blocks([Span(path)])).split("\n")[:-1]
        text = "".join(f"{line.strip()}\n" for line in lines)
        splits[split] = [Span(text.encode(), label=f"the characters of {path.name}")]
    return splits, "The words of Penn Treebank, spelled: a space between words, a line end after each sentence."


def _enwik8(files: dict[str, Path]) -> tuple[Splits, str]:
    (path,) = files.values()
    unit = path.stat().st_size // 100
    bounds = [(0, 90 * unit), (90 * unit, 95 * unit), (95 * unit, None)]
    parts = [Span(path, first, stop, raw=True) for first, stop in bounds]
    splits = dict(zip(("train", "valid", "test"), ([part] for part in parts), strict=True))
    return splits, "The first 90, next 5 and last 5 million bytes; each byte is one character."


def _one_file(files: dict[str, Path]) -> tuple[Splits, str]:
    (path,) = files.values()
    return by_shares(Span(path), _SHARES)


def published_folder(folder: Path) -> tuple[Splits, str] | None:
    """The splits of a corpus whose authors publish it as a folder of many files; None where it is not such a folder."""
    if any(SPLIT_NAMES["train"].search(file.name) for file in folder.iterdir() if file.is_file()):
        return None  # whatever lies below it
    if training := sorted(folder.rglob("training-monolingual.tokenized.shuffled/news.en-*")):
        heldout = training[0].parents[1] / "heldout-monolingual.tokenized.shuffled"
        valid, test = (heldout / f"news.en.heldout-0000{n}-of-00050" for n in (1, 0))
        splits = {"train": [*map(Span, training)], "valid": [Span(valid)], "test": [Span(test)]}
        return splits, f"{len(training)} shuffled files of sentences; of the held-out text parts 1 and 0."
    if files := sorted(folder.rglob("poet.*.json"), key=lambda file: (len(file.name), file.name)):
        return by_documents([poem for file in files for poem in _poems(file)], _SHARES)
    return None


def _poems(path: Path) -> list[Span]:
    with reading(path):
        poems = json.loads(read_text(path))
        if not fits(poems, [{"paragraphs": [str]}]):
            raise ValueError("no list of poems with paragraphs each")
    texts = ("".join(f"{line}\n" for line in poem["paragraphs"]) for poem in poems)
    return [Span(text.encode(), label=f"poem {n} of {path.name}") for n, text in enumerate(texts, 1) if text]


def _as_they_are(files: dict[str, Path]) -> tuple[Splits, str]:
    return {split: [Span(path)] for split, path in files.items()}, "The original splits."


PREPARATIONS: dict[str, Callable[[dict[str, Path]], tuple[Splits, str]]] = {
    "as they are": _as_they_are,
    "one file": _one_file,
    "sherlock holmes": _sherlock_holmes,
    "ptb characters": _ptb_characters,
    "enwik8": _enwik8,
}
