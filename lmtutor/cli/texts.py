"""The commands that read a text and train nothing: corpora, tokenize, vocabulary."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lmtutor.system.errors import LMTutorError


def example(text: str) -> dict[str, str]:
    """The epilogue of a command's help."""
    return {"epilog": f"Example: {text}"}


def not_there_yet(path: Path | None) -> Path | None:
    """Refuse to write over a file: it may be the very text that is read."""
    if path and path.exists():
        raise LMTutorError(f"{path} is there already: name another file.")
    return path


def advise(name: str, text: str, vocab, tokens: Sequence[str]) -> None:
    """Say on the error stream which tokenizer would fit a text better, if one would."""
    from lmtutor.text.hints import hint

    if advice := hint(name, text[: 1 << 15], vocab.tokenizer, tokens.count("<unk>") / max(1, len(tokens))):
        typer.echo(advice, err=True)


corpora = typer.Typer(
    help="List, fetch, verify and describe the corpora of the catalogue.", no_args_is_help=True, rich_markup_mode=None
)
CatalogueName = Annotated[str, typer.Argument(help="A name of the catalogue.", metavar="NAME")]
TextName = Annotated[
    str, typer.Argument(help="A corpus, a folder, a file, a pattern, or - for standard input.", metavar="TEXT")
]
TokenizerName = Annotated[
    str | None, typer.Option(help="words, characters, treebank or bpe; default: the corpus's own, else words.")
]
Encoding = Annotated[str | None, typer.Option(help="Of the file, if it is not UTF-8: cp1251, gb18030, …")]
OwnSplit = Annotated[str | None, typer.Option(help="train, valid or test; without it, a text of your own is whole.")]


@corpora.command("list", **example("lmtutor corpora list"))
def corpora_list() -> None:
    """List the catalogue: token counts, types, tokenizer, licence, and whether the files are here."""
    from lmtutor.text.corpora import list_corpora

    table = list_corpora().drop(columns="title")
    typer.echo(table.to_string(na_rep="", formatters={c: "{:,}".format for c in table.columns if "tokens" in c}))


@corpora.command("fetch", **example("lmtutor corpora fetch wikitext-2"))
def corpora_fetch(name: CatalogueName) -> None:
    """Download a corpus, check it, and say where it is."""
    from lmtutor.text.catalogue import find_entry, find_folder
    from lmtutor.text.download import fetch_files

    entry = find_entry(name)
    places = {"folder": find_folder(entry)} if entry.folder else fetch_files(name, entry.files)
    for key, path in places.items():
        typer.echo(f"{key}: {path}")


@corpora.command("verify", **example("lmtutor corpora verify wikitext-2"))
def corpora_verify(name: CatalogueName) -> None:
    """Compare the files of a corpus with the catalogue: sizes and SHA-256; exit code 1 if any differs."""
    from lmtutor.text.catalogue import find_entry, find_folder, local_file

    entry = find_entry(name)
    if entry.folder:
        return typer.echo(f"folder: {find_folder(entry)}; only its archive has a checksum, if any")
    found = {key: (file, local_file(file)) for key, file in entry.files.items()}
    problems = {key: file.mismatch(path) if path else "missing" for key, (file, path) in found.items()}
    for key, problem in problems.items():
        typer.echo(f"{key}: {problem or 'right'}  {found[key][1] or ''}")
    sys.exit(int(any(problems.values())))


@corpora.command("describe", **example("lmtutor corpora describe my-novel.txt --tokenizer treebank"))
def corpora_describe(text: TextName, tokenizer: TokenizerName = None, encoding: Encoding = None) -> None:
    """Say how a text is split and read: tokens, types, unknown words, characters."""
    from lmtutor.text.corpora import load_corpus

    corpus = load_corpus(text, tokenizer=tokenizer, encoding=encoding)
    typer.echo(f"{corpus.note}\n{corpus.report().to_string()}")


@corpora.command("sample", **example("lmtutor corpora sample baker-street --characters 300"))
def corpora_sample(
    text: TextName,
    split: OwnSplit = None,
    characters: Annotated[int, typer.Option(min=1, help="How many.")] = 500,
    encoding: Encoding = None,
) -> None:
    """Print the beginning of a text, or of a split."""
    from lmtutor.text.corpora import sample_text

    typer.echo(sample_text(text, split, characters, encoding))


def tokenize(
    text: TextName,
    tokenizer: TokenizerName = None,
    run: Annotated[str | None, typer.Option(help="Cut the whole text as this run's model reads it.")] = None,
    split: OwnSplit = None,
    limit: Annotated[int, typer.Option(min=1, help="Print this many tokens.")] = 200,
    encoding: Encoding = None,
) -> None:
    """Print the first tokens of a text, one per line, with their ids: the run's, or numbered in the text itself."""
    from lmtutor.runs.run import find_run
    from lmtutor.text.catalogue import catalogue
    from lmtutor.text.corpora import load_corpus, sample_text
    from lmtutor.text.sources import read_text
    from lmtutor.text.tokenizers import get_tokenizer
    from lmtutor.text.vocabulary import Vocabulary

    whole = ""
    if run:
        vocab, whole = find_run(run).load()[1], read_text(text, encoding)
        ids = vocab.encode_text(whole)
    elif split or text in catalogue():
        corpus = load_corpus(text, tokenizer=tokenizer, encoding=encoding)
        vocab, ids = corpus.vocab, corpus.split(split or "train")
    else:
        whole = sample_text(text, characters=sys.maxsize, encoding=encoding)
        scheme = get_tokenizer(tokenizer or "words").fit([whole])
        tokens = scheme.tokenize(whole)
        vocab = Vocabulary.build(tokens, scheme)
        ids = vocab.encode(tokens)
    advise(text, whole, vocab, vocab.decode(ids[: 1 << 12]))
    for number, token in zip(ids[:limit].tolist(), vocab.decode(ids[:limit]), strict=True):
        typer.echo(f"{number:>7} {token!r}")


def detokenize(
    run: Annotated[str, typer.Argument(help="The run whose ids they are.", metavar="RUN")],
    ids: Annotated[str, typer.Argument(help="Ids, a file of them, or -; of each line the numbers that begin it.")],
) -> None:
    """Print the text that ids stand for, such as those that ``tokenize --run`` printed."""
    from lmtutor.runs.run import find_run
    from lmtutor.text.sources import read_text

    vocab = find_run(run).load()[1]
    begun = (re.match(r"(\s*\d+(?!\S))*", line)[0] for line in read_text(ids).split("\n"))
    numbers = [int(number[:20]) for line in begun for number in line.split()]
    if not numbers or max(numbers) >= len(vocab):
        raise LMTutorError(f"{ids:.60} has to hold ids from 0 to {len(vocab) - 1:,}, of the vocabulary of {run}.")
    typer.echo(vocab.decode_text(numbers))


def vocabulary(
    text: TextName,
    tokenizer: TokenizerName = None,
    min_count: Annotated[int, typer.Option(min=1, help="Rarer types become <unk>.")] = 1,
    max_size: Annotated[int | None, typer.Option(min=1, help="The most types to keep.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Print this many types, from frequent to rare.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write it to this JSON file.", callback=not_there_yet)] = None,
    encoding: Encoding = None,
) -> None:
    """Choose a vocabulary from the training split; print its coverage of each split and its most frequent types."""
    from lmtutor.text.corpora import coverage, load_corpus

    if text == "-":
        raise LMTutorError("vocabulary reads its text twice: give a file, not the standard input.")
    corpus = load_corpus(text, tokenizer=tokenizer, min_count=min_count, max_size=max_size, encoding=encoding)
    typer.echo(f"{corpus.note}\n{coverage(text, corpus.vocab, encoding).to_string()}")
    counts = corpus.train.bincount(minlength=len(corpus.vocab))
    for number in counts.argsort(descending=True, stable=True)[:limit].tolist():
        typer.echo(f"{int(counts[number]):>9,} {corpus.vocab.tokens[number]!r}")
    if out:
        corpus.vocab.save(out)
