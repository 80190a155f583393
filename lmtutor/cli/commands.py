"""The command ``lmtutor``. Bad input ends it with exit code 2 and one line that says what to do."""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lmtutor.classroom.cli import app as assignments
from lmtutor.cli import scoring, texts
from lmtutor.cli.scoring import RunName
from lmtutor.cli.texts import example, not_there_yet
from lmtutor.system.errors import LMTutorError

app = typer.Typer(
    help="Train, score and use recurrent language models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "color": True},  # else echo drops what looks like a colour
)


@app.command(**example("lmtutor train wikitext-2/lstm-200 --out runs/mine --set epochs=1"))
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a TOML file.", metavar="RECIPE")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; default: runs/RECIPE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in that folder.")] = False,
    set: Annotated[
        list[str] | None, typer.Option(help="Change a value, such as lr=5 or model.dropout=0.5; may be repeated.")
    ] = None,
    keep_every: Annotated[int, typer.Option(min=0, help="Keep every n-th epoch; 0 keeps only the best.")] = 0,
    log_every: Annotated[int, typer.Option(min=0, help="Log every n-th step, in history.csv too.")] = 0,
    sample: Annotated[str | None, typer.Option(help="Print a continuation of this prompt after each epoch.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Time a few steps, write nothing: say shapes, memory, and minutes per epoch."),
    ] = False,
) -> None:
    """Train a recipe and make a run folder: recipe.toml, history.csv, result.json, checkpoint/."""
    from lmtutor.runs.recipe import read_recipe
    from lmtutor.runs.train import rehearse, train_recipe
    from lmtutor.system import processes

    plan = read_recipe(recipe).with_changes(set or [])
    processes.start(plan.training.device)
    if dry_run:
        return typer.echo(rehearse(plan))
    folder = out or Path("runs") / plan.name
    run = train_recipe(plan, folder, resume=resume, keep_every=keep_every, log_every=log_every, sample=sample)
    if processes.rank() > 0:
        return
    if run.interrupted:
        sys.exit(130)
    for split in ("valid", "test"):
        typer.echo(f"{folder}: {split} {run.score(split)}{beside(run, split)}")


def beside(run, split: str) -> str:
    """What stands beside the score of a split: the published figure that the run's recipe aims at, if there is one."""
    aim = run.recipe.published
    return f"; published {aim[split]} ({aim.get('source', 'no source')})" if split in aim else ""


@app.command(**example("lmtutor finetune runs/mine --set epochs=20"))
def finetune(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run; default: runs/RUN-finetuned.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the finetuning in that folder.")] = False,
    set: Annotated[
        list[str] | None, typer.Option(help="Change a value, such as epochs=20 or lr=10; may be repeated.")
    ] = None,
) -> None:
    """Finetune a finished run with averaged SGD, into a new run; the old one stays as it is."""
    from lmtutor.runs.finetuning import finetune as tune
    from lmtutor.runs.run import find_run

    start = find_run(run)
    before = {split: start.score(split).perplexity for split in ("valid", "test")}
    folder = out or Path("runs") / f"{start.name}-finetuned"
    tuned = tune(start, folder, changes=set or [], resume=resume)
    if tuned.interrupted:
        sys.exit(130)
    for split in ("valid", "test"):
        typer.echo(f"{folder}: {split} {tuned.score(split)}; before {before[split]:.2f}{beside(tuned, split)}")


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
        sys.exit(130)
    typer.echo(str(comparison))
    sys.exit(int(not comparison.holds))


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


app.command(**example("lmtutor evaluate runs/mine my-novel.txt --per-line"))(scoring.evaluate)
app.command(**example("lmtutor tune-cache runs/mine"))(scoring.tune_cache)
app.command(**example('lmtutor generate runs/mine --prompt "The detective" --seed 1'))(scoring.generate)
app.command(**example('lmtutor score runs/mine "It was a cold night ."'))(scoring.score)
app.add_typer(texts.corpora, name="corpora")
app.command(**example("lmtutor tokenize my-novel.txt --tokenizer bpe --limit 50"))(texts.tokenize)
app.command(**example("lmtutor detokenize runs/mine '17 5 2'"))(texts.detokenize)
app.command(**example("lmtutor vocabulary my-novel.txt --min-count 3 --out vocabulary.json"))(texts.vocabulary)


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
    sys.exit(int(wrong))


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


@app.command(**example("lmtutor page runs/mine novel.html"))
def page(
    run: RunName,
    out: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE", callback=not_there_yet)],
) -> None:
    """Write an HTML page that runs a tied LSTM of words in a browser, offline: the playground with your model."""
    from lmtutor.display.page import write_page
    from lmtutor.runs.run import find_run

    typer.echo(f"{out}: {write_page(find_run(run), out) / 1e6:.1f} MB; open it in a browser")


@app.command(**example("lmtutor export lstm-200-wikitext-2 lstm.onnx"))
def export(
    run: RunName,
    out: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE", callback=not_there_yet)],
) -> None:
    """Write an LSTM as an ONNX file, for other programs, and its vocabulary beside it. Needs the extra onnx."""
    from lmtutor.runs.onnx import export_onnx
    from lmtutor.runs.run import find_run

    types = not_there_yet(Path(f"{out}.json"))
    export_onnx(*find_run(run).load(), out)
    typer.echo(f"{out}: from ids and states to log-probabilities and states; {types}: the vocabulary")


app.add_typer(assignments, name="assignments")


def main() -> None:
    """Run the command; an `LMTutorError` becomes one line and exit code 2."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
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
