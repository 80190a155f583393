"""The command ``lmtutor``. Bad input ends it with exit code 2 and one line that says what to do."""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lmtutor.classroom.cli import app as assignments
from lmtutor.cli import texts as cli_text
from lmtutor.cli.texts import Split, example
from lmtutor.system.errors import LMTutorError

app = typer.Typer(
    help="Train, score and use recurrent language models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunName = Annotated[str, typer.Argument(help="A run folder, a recorded run, or a pretrained model.", metavar="RUN")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
CorpusName = Annotated[str | None, typer.Option(help="Score this corpus or text instead of the run's own.")]


@app.command(**example("lmtutor train wikitext-2/lstm-200 --out runs/mine --set epochs=1"))
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a TOML file.", metavar="RECIPE")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/RECIPE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in that folder.")] = False,
    set: Annotated[list[str] | None, typer.Option(help="Change a value: lr=5, model.dropout=0.5.")] = None,
    keep_every: Annotated[int, typer.Option(min=0, help="Keep every n-th epoch; 0 keeps only the best.")] = 0,
    sample: Annotated[str | None, typer.Option(help="Print a continuation of this prompt after each epoch.")] = None,
) -> None:
    """Train a recipe and make a run folder: recipe.toml, history.csv, result.json, checkpoint/."""
    from lmtutor.runs.recipe import read_recipe
    from lmtutor.runs.train import train_recipe
    from lmtutor.system import processes

    plan = read_recipe(recipe).with_changes(set or [])
    processes.start(plan.training.device)
    folder = out or Path("runs") / plan.name
    run = train_recipe(plan, folder, resume=resume, keep_every=keep_every, sample=sample)
    if processes.rank() > 0:
        return
    if run.interrupted:
        raise typer.Exit(130)
    for split in ("valid", "test"):
        typer.echo(f"{folder}: {split} {run.score(split)}{beside(run, split)}")


def beside(run, split: str) -> str:
    """What stands beside the score of a split: the published figure that the run's recipe aims at, if there is one."""
    aim = run.recipe.published
    return f"; published {aim[split]} ({aim.get('source', 'no source')})" if split in aim else ""


@app.command(**example("lmtutor finetune runs/mine --set epochs=20"))
def finetune(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run; default: RUN-finetuned.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the finetuning in that folder.")] = False,
    set: Annotated[list[str] | None, typer.Option(help="Change a value: epochs=20, lr=10.")] = None,
) -> None:
    """Finetune a finished run with averaged SGD, into a new run; the old one stays as it is."""
    from lmtutor.runs.finetuning import finetune as tune
    from lmtutor.runs.run import find_run

    start = find_run(run)
    before = {split: start.score(split).perplexity for split in ("valid", "test")}
    folder = out or Path("runs") / f"{start.name}-finetuned"
    tuned = tune(start, folder, changes=set or [], resume=resume)
    if tuned.interrupted:
        raise typer.Exit(130)
    for split in ("valid", "test"):
        typer.echo(f"{folder}: {split} {tuned.score(split)}; before {before[split]:.2f}{beside(tuned, split)}")


@app.command(**example("lmtutor evaluate runs/mine my-novel.txt --cache"))
def evaluate(
    run: RunName,
    text: Annotated[str | None, typer.Argument(help="A file, - for standard input, or a text: scored whole.")] = None,
    split: Split = "test",
    corpus: CorpusName = None,
    cache: Annotated[bool, typer.Option("--cache", help="With the neural cache that tune-cache found.")] = False,
    window: Annotated[int | None, typer.Option(help="Of the cache: how many tokens it goes back.")] = None,
    theta: Annotated[float | None, typer.Option(help="Of the cache: inverse temperature.")] = None,
    lam: Annotated[float | None, typer.Option(help="Of the cache: its share of the mixture.")] = None,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="With dynamic evaluation: it learns as it reads.")] = False,
    kept: Annotated[bool, typer.Option("--kept", help="Score every epoch that train --keep-every kept.")] = False,
    device: Device = "auto",
) -> None:
    """Score a text, or a split of the run's corpus: batch 1, state carried, every token but the first."""
    from torch import Tensor

    from lmtutor.runs.reproduction import score_kept
    from lmtutor.runs.run import find_run
    from lmtutor.runs.tuning import adapted_score, cache_settings
    from lmtutor.scoring.score import read_ids
    from lmtutor.text.corpora import load_corpus
    from lmtutor.training.config import text_to_score

    if text is not None and (corpus or kept):
        raise LMTutorError("give a text to score, or --corpus or --kept, not both.")
    found = find_run(run)
    if kept:
        if corpus or cache or dynamic:
            raise LMTutorError("--kept scores the run's own corpus, without a cache: leave the other options out.")
        typer.echo(score_kept(found, split).to_string(index=False, float_format="{:.4f}".format))
        return
    chosen = {name: value for name, value in (("window", window), ("theta", theta), ("lam", lam)) if value is not None}
    settings = None
    if cache or chosen:
        settings = chosen if len(chosen) == 3 else {**cache_settings(found), **chosen}
    model, vocab = load(found, device)
    own = found.load_corpus(vocab) if dynamic or (text is None and corpus is None) else None
    if text is not None:
        ids, characters = read_ids(model, vocab, text)
        what = "the standard input" if text == "-" else text[:60]
        about = f"{len(ids):,} tokens, {int((ids == vocab.unk_id).sum()) if vocab.unk_id is not None else 0:,} unknown"
    else:
        read = own if corpus is None else load_corpus(corpus, tokenizer=vocab.tokenizer, vocab=vocab)
        ids, characters = text_to_score(read, split, found.recipe.training), read.characters[split]
        what, about = f"{read.name} {split}", read.note
    if not isinstance(ids, Tensor) and (settings or dynamic):
        raise LMTutorError("The cache and dynamic evaluation read a stream; this run was trained on samples.")
    options = dict(cache=settings, dynamic=dynamic, characters=characters, progress=True)
    result = adapted_score(model, ids, own.train if own else None, **options)
    typer.echo(f"{what}: {result}\nprotocol: {result.protocol}\ntext: {about}")


@app.command(**example("lmtutor tune-cache runs/mine"))
def tune_cache(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Where to keep it; default: the run, or runs/RUN.")] = None,
    device: Device = "auto",
) -> None:
    """Find window, theta and lam of the neural cache on the validation split, and keep them."""
    from lmtutor.runs.run import find_run
    from lmtutor.runs.tuning import own_folder, tune_run

    found = find_run(run)
    model, vocab = load(found, device)
    text, folder = found.load_corpus(vocab), out or own_folder(found)
    surface, record = tune_run(found, model, text.valid, folder)
    best = surface.sort_values("perplexity").head(5)
    typer.echo(f"{text.name} valid, the best settings of {len(surface)}:")
    typer.echo(best.to_string(index=False, float_format="{:.4g}".format))
    alone = surface.loc[surface["lam"] == 0, "perplexity"].min()
    typer.echo(f"without the cache: perplexity {alone:.2f}; with it: {record['valid']['perplexity']:.2f}")
    if record["at_the_edge"]:
        typer.echo(f"note: the best {', '.join(record['at_the_edge'])} is at an end of what was tried")
    typer.echo(f"kept in {folder / 'cache.json'}; score with lmtutor evaluate {run} --cache")


def load(run, device: str):
    """The model of a run on a device, and its vocabulary."""
    from lmtutor.system.machine import choose_device

    where = choose_device(device)
    model, vocab = run.load()
    return model.to(where), vocab


@app.command(**example('lmtutor generate runs/mine --prompt "The detective" --temperature 0.8 --seed 1'))
def generate(
    run: RunName,
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = "",
    tokens: Annotated[int, typer.Option(help="How many tokens to add.")] = 60,
    temperature: Annotated[float, typer.Option(help="0 is greedy; 1 the model's own distribution.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest types.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the smallest set that reaches probability p.")] = None,
    beam: Annotated[int | None, typer.Option(help="Search for the likeliest text with a beam this wide.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same text.")] = None,
    unk: Annotated[bool, typer.Option("--unk", help="Allow <unk> to be sampled.")] = False,
    device: Device = "auto",
) -> None:
    """Continue a prompt."""
    from lmtutor.runs.run import find_run
    from lmtutor.scoring.sampling import generate as draw

    model, vocab = load(find_run(run), device)
    options = dict(temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, seed=seed, unk=unk)
    typer.echo(draw(model, vocab, prompt, tokens, **options))


@app.command(**example('lmtutor score runs/mine "It was a cold night ."'))
def score(
    run: RunName,
    text: Annotated[str, typer.Argument(help="A text, a file, or - for standard input.")],
    device: Device = "auto",
) -> None:
    """Print the log-probability (nats) of each token of a text, and its perplexity."""
    import math

    from lmtutor.runs.run import find_run
    from lmtutor.scoring.score import score_text
    from lmtutor.text.sources import read_text

    model, vocab = load(find_run(run), device)
    table = score_text(model, vocab, read_text(text))
    typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
    mean = table["log_probability"].mean()
    typer.echo(f"{-table['log_probability'].sum():.4f} nats, perplexity {math.exp(min(-mean, 700)):.2f}")


@app.command(**example("lmtutor reproduce wikitext-2/lstm-200"))
def reproduce(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run; default: runs/reproduced/RUN.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the repetition in that folder.")] = False,
) -> None:
    """Train a recorded run again and compare; exit code 1 if the results do not match."""
    from lmtutor.runs.reproduction import reproduce as repeat

    comparison = repeat(run, out, resume=resume)
    if comparison is None:
        raise typer.Exit(130)
    typer.echo(str(comparison))
    raise typer.Exit(int(not comparison.holds))


@app.command(**example("lmtutor runs"))
def runs() -> None:
    """List the recorded runs and the recipes."""
    from lmtutor.runs.recipe import recipe_names
    from lmtutor.runs.run import recorded_runs

    typer.echo(f"{'recorded run':<36}{'valid':>9}{'test':>9}{'epochs':>8}{'minutes':>9}")
    for run in recorded_runs():
        result = run.result
        valid, test = (run.score(split).perplexity for split in ("valid", "test"))
        minutes = result["training_seconds"] / 60
        typer.echo(f"{run.name:<36}{valid:9.2f}{test:9.2f}{result['epochs']:8}{minutes:9.1f}")
    typer.echo("\nrecipes (lmtutor train NAME): " + ", ".join(recipe_names()))


app.add_typer(cli_text.corpora, name="corpora")
app.command(**example("lmtutor tokenize my-novel.txt --tokenizer bpe --limit 50"))(cli_text.tokenize)
app.command(**example("lmtutor vocabulary my-novel.txt --min-count 3 --out vocabulary.json"))(cli_text.vocabulary)


@app.command(**example("lmtutor pretrained lstm-200-wikitext-2"))
def pretrained(
    name: Annotated[str | None, typer.Argument(help="Show this model's card; without it, list them all.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file; exit code 1 if one is not right.")
    ] = False,
) -> None:
    """List, describe and verify the pretrained models."""
    from lmtutor.runs.pretrained import find_pretrained, pretrained_models

    wrong, width = False, max(map(len, pretrained_models()), default=0) + 2
    for model in [find_pretrained(name)] if name else pretrained_models().values():
        if verify:
            for file, problem in model.problems().items():
                wrong |= bool(problem)
                typer.echo(f"{model.name}/{file}: {problem or 'right'}")
        else:
            typer.echo(model.card() if name else f"{model.name:<{width}}{model.title}")
    raise typer.Exit(int(wrong))


@app.command(**example('lmtutor release runs/mine lstm-mine --title "An LSTM on my text" --licence "CC BY 4.0"'))
def release(
    run: RunName,
    name: Annotated[str, typer.Argument(help="Name for the model.")],
    title: Annotated[str, typer.Option(help="One line that says what it is.")],
    licence: Annotated[str, typer.Option(help="Of the weights: the corpus decides.")],
) -> None:
    """Make a pretrained model of a run: 8-bit weights, vocabulary and card, in data/models."""
    from lmtutor.runs.packing import release as pack
    from lmtutor.runs.run import find_run

    for split, score in pack(find_run(run), name, title, licence).items():
        typer.echo(f"{name} {split}: {score}")


app.add_typer(assignments, name="assignments")


def main() -> None:
    """Run the command; an `LMTutorError` becomes one line and exit code 2."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "w"))
    if sys.stdout.isatty() and isinstance(sys.stdout, io.TextIOWrapper):  # one that knows fewer letters shows a ?
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (LMTutorError, OSError, UnicodeEncodeError, MemoryError, RuntimeError) as error:
        # A RuntimeError is a bug, but for the one in which torch says that the CPU's memory is used up.
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        sys.stderr.write(f"lmtutor: {in_a_line(error)}\n")
        sys.exit(2)


def in_a_line(error: Exception) -> str:
    """What a user is told of an error that is not a bug."""
    if isinstance(error, LMTutorError):
        return str(error)
    if isinstance(error, UnicodeEncodeError):  # into a file or a pipe: a ? there would be a loss that nobody sees
        letter = error.object[error.start]
        return f"the output is {error.encoding}, which has no {letter!a}: set PYTHONIOENCODING=utf-8."
    if isinstance(error, OSError):
        return " ".join(f"cannot use {error.filename or 'a file'}: {error.strerror or error}.".split())
    return "out of memory: make batch_size, bptt, hidden or the vocabulary smaller."
