"""The commands that use a trained model: evaluate, tune-cache, generate, score."""

import itertools
import json
import math
from pathlib import Path
from typing import Annotated

import typer

from lmtutor.cli.texts import Encoding, advise, not_there_yet
from lmtutor.system.errors import LMTutorError, refuse

REPEATS = 0.1  # share of repeated runs of four words from which a sample is said to repeat itself


RunName = Annotated[str, typer.Argument(help="A run folder, a recorded run, or a pretrained model.", metavar="RUN")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Grid = Annotated[str | None, typer.Option(help="Values to try, with commas between; default: a grid of its own.")]
CorpusName = Annotated[str | None, typer.Option(help="Score this corpus or text instead of the run's own.")]


def load(run, device: str, epoch: int | None = None):
    """The model of a run, or of an epoch that it kept, on a device, and its vocabulary."""
    from lmtutor.system.machine import choose_device

    where = choose_device(device)
    model, vocab = run.load(epoch)
    return model.to(where), vocab


def show(table, out: Path | None) -> None:
    """Print a table, or write it to a file with all its digits."""
    from lmtutor.system.files import write_atomically

    if out:
        write_atomically(out, table.to_csv(index=False).encode())
    else:
        typer.echo(table.to_string(index=False, na_rep="", float_format="{:.4f}".format))


def evaluate(
    run: RunName,
    text: Annotated[str | None, typer.Argument(help="A file, - for standard input, or a text: scored whole.")] = None,
    split: Annotated[str | None, typer.Option(help="train, valid or test; default: test.")] = None,
    corpus: CorpusName = None,
    cache: Annotated[bool, typer.Option("--cache", help="With the neural cache that tune-cache found.")] = False,
    window: Annotated[int | None, typer.Option(help="Of the cache: how many tokens it goes back.")] = None,
    theta: Annotated[float | None, typer.Option(help="Of the cache: inverse temperature.")] = None,
    lam: Annotated[float | None, typer.Option(help="Of the cache: its share of the mixture.")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="With dynamic evaluation: it learns as it reads.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Read so many columns, or windows, side by side.")] = 1,
    context: Annotated[int | None, typer.Option(min=1, help="Read windows of so many tokens, each afresh.")] = None,
    stride: Annotated[int, typer.Option(min=0, help="Tokens from one window to the next; 0: no overlap.")] = 0,
    epochs: Annotated[str | None, typer.Option(help="A table of epochs that were kept: all, 5 or 3-8.")] = None,
    per_line: Annotated[bool, typer.Option("--per-line", help="Of a text: a table with one row per line.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the table to this CSV file.", callback=not_there_yet)] = None,
    encoding: Encoding = None,
    device: Device = "auto",
) -> None:
    """Score a text, or a split of the run's corpus: batch 1, state carried, every token but the first.

    The rows of --per-line sum to the whole, but for treebank words, which read each line as a paragraph of its own.
    """
    from lmtutor.runs.reproduction import score_kept
    from lmtutor.runs.run import find_run
    from lmtutor.runs.tuning import adapted_score
    from lmtutor.scoring.neural_cache import NeuralCache
    from lmtutor.scoring.score import score_lines
    from lmtutor.text.batches import cut_batches
    from lmtutor.text.sources import text_blocks

    whole, pieces = text is not None, context or batch_size > 1
    chosen = {name: one for name, one in dict(window=window, theta=theta, lam=lam).items() if one is not None}
    refuse(
        {
            "a text is scored whole: leave out --corpus, --epochs and --split": whole and (corpus or epochs or split),
            "--per-line wants a file, - or a text, and reads it as one stream": per_line and not whole,
            "--per-line reads one stream: no --dynamic, --context, --batch-size": per_line and (dynamic or pieces),
            "--out is for a table: give --per-line or --epochs too": out and not (per_line or epochs),
            "--stride is the step from window to window: give --context too": stride and not context,
            "--epochs scores the run's own corpus, as one stream": epochs and (corpus or pieces or per_line),
            "--epochs scores without a cache or --dynamic": epochs and (cache or chosen or dynamic),
        }
    )
    split, found = split or "test", find_run(run)
    if epochs:
        return show(score_kept(found, split, epochs), out)
    settings = cache_asked(found, cache, chosen)
    model, vocab = load(found, device)
    if per_line:
        table = score_lines(NeuralCache(model, **settings) if settings else model, vocab, text_blocks(text, encoding))
        return show(table, out)
    what, about, ids, characters = asked(found, vocab, text, corpus, split, encoding)
    cut = cutting(found.recipe.training, whole, batch_size, context, stride)
    if cut and (settings or dynamic):
        raise LMTutorError("The cache and dynamic evaluation read one stream, neither columns nor windows nor samples.")
    options = dict(cache=settings, dynamic=dynamic, characters=in_columns(characters, ids, vocab, cut), progress=True)
    train = found.load_corpus(vocab).train if dynamic else None
    result = adapted_score(model, cut_batches(ids, vocab, **cut) if cut else ids, train, **options)
    typer.echo(f"{what}: {result}\nprotocol: {result.protocol}\ntext: {about}")


def cutting(trained, whole: bool, batch_size: int, context: int | None, stride: int) -> dict:
    """How to cut what is scored, for `cut_batches`: as asked, else a split as in training; empty for one stream."""
    if context or batch_size > 1:
        return dict(cut="windows" if context else "stream", batch_size=batch_size, bptt=context or 35, stride=stride)
    return {} if whole or trained.cut == "stream" else {**trained.cutting, "random_bptt": False}


def in_columns(characters: int, ids, vocab, cut: dict) -> int:
    """The characters of what is scored: columns leave tokens out, and as large a share of the characters."""
    from lmtutor.text.batches import scored_tokens

    if cut.get("cut") != "stream":
        return characters
    return round(characters * scored_tokens(ids, vocab, "stream", cut["batch_size"]) / (len(ids) - 1))


def cache_asked(found, cache: bool, chosen: dict[str, float]) -> dict[str, float] | None:
    """The settings of the cache that is asked for: those chosen, else as tune-cache found them; None for no cache."""
    from lmtutor.runs.tuning import cache_settings

    if len(chosen) == 3:
        return chosen
    return {**cache_settings(found), **chosen} if cache or chosen else None


def asked(found, vocab, text: str | None, corpus: str | None, split: str, encoding: str | None):
    """What `evaluate` is to read: its name, a note on it, its ids, and its characters where they are known."""
    from lmtutor.text.corpora import load_corpus
    from lmtutor.text.encoding import encode_whole
    from lmtutor.text.hints import hint
    from lmtutor.text.sources import text_blocks

    if text is not None:
        texts = text_blocks(text, encoding)
        beginning = next(texts)
        ids, characters = encode_whole(itertools.chain([beginning], texts), vocab)
        unknown = 0 if vocab.unk_id is None else int((ids == vocab.unk_id).sum())
        advice = hint(text, beginning, vocab.tokenizer, unknown / max(1, len(ids)))
        about = f"{len(ids):,} tokens, {unknown:,} unknown{advice and f'. {advice}'}"
        return "the standard input" if text == "-" else text[:60], about, ids, characters
    read = load_corpus(corpus, vocab=vocab, encoding=encoding) if corpus else found.load_corpus(vocab)
    return f"{read.name} {split}", read.note, read.split(split), read.characters[split]


def numbers(name: str, words: str) -> list[float]:
    """The numbers of a list such as 500,2000."""
    try:
        return [float(word) if "." in word else int(word) for word in words.split(",")]
    except ValueError:
        raise LMTutorError(f"--{name} must be numbers with commas between (got {words!r:.60}).") from None


def tune_cache(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Where to keep it; default: the run, or runs/RUN.")] = None,
    windows: Grid = None,
    thetas: Grid = None,
    lams: Grid = None,
    device: Device = "auto",
) -> None:
    """Find window, theta and lam of the neural cache on the validation split, and keep them."""
    from lmtutor.runs.run import find_run
    from lmtutor.runs.tuning import own_folder, tune_run

    found = find_run(run)
    model, vocab = load(found, device)
    text, folder = found.load_corpus(vocab), out or own_folder(found)
    tried = dict(windows=windows, thetas=thetas, lams=lams)
    grid = {name: numbers(name, words) for name, words in tried.items() if words is not None}
    surface, record = tune_run(found, model, text.valid, folder, **grid)
    best = surface.sort_values("perplexity").head(5)
    typer.echo(f"{text.name} valid, the best settings of {len(surface)}:")
    typer.echo(best.to_string(index=False, float_format="{:.4g}".format))
    alone = surface.loc[surface["lam"] == 0, "perplexity"].min()
    without = "" if math.isnan(alone) else f"without the cache: perplexity {alone:.2f}; "
    typer.echo(f"{without}with it: {record['valid']['perplexity']:.2f}")
    if record["at_the_edge"]:
        typer.echo(f"note: the best {', '.join(record['at_the_edge'])} is at an end of what was tried")
    how = "--window {window} --theta {theta:g} --lam {lam:g}".format(**record) if out else "--cache"
    typer.echo(f"kept in {folder / 'cache.json'}; score with lmtutor evaluate {run} {how}")


def generate(
    run: RunName,
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    tokens: Annotated[int, typer.Option(help="How many tokens to add, at most.")] = 60,
    sentences: Annotated[
        int | None, typer.Option(help="Stop after so many sentences, or lines; 1 stops at <eos>.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Draw so many, with seeds one after the other.")] = 1,
    temperature: Annotated[float, typer.Option(help="0 is greedy; 1 the model's own distribution.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest types.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the smallest set that reaches probability p.")] = None,
    beam: Annotated[int | None, typer.Option(help="Search for the likeliest text with a beam this wide.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same text.")] = None,
    unk: Annotated[bool, typer.Option("--unk", help="Allow <unk> to be sampled.")] = False,
    epoch: Annotated[
        int | None, typer.Option(help="Of the epochs that train --keep-every kept; default: the best.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the text to this file.", callback=not_there_yet)] = None,
    device: Device = "auto",
) -> None:
    """Continue a prompt; without one, begin as after the end of a line.

    A blank line separates several samples; in a file whose name ends in .jsonl, each is a JSON line of its own.
    """
    from lmtutor.runs.run import find_run
    from lmtutor.scoring.sampling import generate as draw
    from lmtutor.scoring.sampling import repetition
    from lmtutor.system.files import write_atomically

    model, vocab = load(find_run(run), device, epoch)
    options = dict(
        temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, sentences=sentences, seed=seed, unk=unk
    )
    drawn = draw(model, vocab, prompt, tokens, samples=samples if samples > 1 else None, **options)
    texts = drawn if samples > 1 else [drawn]
    for number, text in enumerate(texts, 1):
        if (share := repetition(text)) > REPEATS:
            typer.echo(
                f"note: sample {number} repeats itself: {share:.0%} of its runs of 4 words are not new", err=True
            )
    whole = "\n\n".join(texts)
    if out and out.suffix == ".jsonl":
        whole = "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    if out:
        return write_atomically(out, f"{whole}\n".encode())
    typer.echo(whole)


def score(
    run: RunName,
    text: Annotated[str, typer.Argument(help="A text, a file, or - for standard input.")],
    encoding: Encoding = None,
    device: Device = "auto",
) -> None:
    """Print the log-probability (nats) of each token of a text, and its perplexity."""
    from lmtutor.runs.run import find_run
    from lmtutor.scoring.score import score_text
    from lmtutor.text.sources import read_text

    model, vocab = load(find_run(run), device)
    whole = read_text(text, encoding)
    table = score_text(model, vocab, whole)
    advise(text, whole, vocab, table["type"].tolist())
    typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
    mean = table["log_probability"].mean()
    typer.echo(f"{-table['log_probability'].sum():.4f} nats, perplexity {math.exp(min(-mean, 700)):.2f}")
