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
CorpusName = Annotated[str | None, typer.Option(help="Score this corpus or text instead of the run's own.")]


@app.command(**example("lmtutor train wikitext-2/lstm-200 --out runs/mine --set epochs=1"))
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a TOML file.", metavar="RECIPE")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    set: Annotated[list[str] | None, typer.Option(help="Change a value: lr=5, model.dropout=0.5.")] = None,
    keep_every: Annotated[int, typer.Option(min=0, help="Keep every n-th epoch; 0 keeps the best alone.")] = 0,
    sample: Annotated[str | None, typer.Option(help="Continue this prompt after each epoch.")] = None,
) -> None:
    """Train a recipe and make a run folder: recipe.toml, history.csv, result.json, checkpoint/."""
    from lmtutor.runs.recipe import read_recipe
    from lmtutor.runs.run import train_recipe
    from lmtutor.system import processes as distributed

    distributed.start()
    plan = read_recipe(recipe).with_changes(set or [])
    folder = out or Path("runs") / plan.name
    run = train_recipe(plan, folder, resume=resume, keep_every=keep_every, sample=sample)
    if distributed.rank() > 0:
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
    out: Annotated[Path | None, typer.Option(help="Folder of the new run; RUN-finetuned unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the finetuning in that folder.")] = False,
    set: Annotated[list[str] | None, typer.Option(help="Change a value: epochs=20, lr=10.")] = None,
) -> None:
    """Go on from a finished run with averaged SGD, into a new run; the old one stays as it is."""
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


@app.command(**example("lmtutor evaluate runs/mine --split valid --cache"))
def evaluate(
    run: RunName,
    split: Split = "test",
    corpus: CorpusName = None,
    cache: Annotated[bool, typer.Option("--cache", help="With the neural cache that tune-cache found.")] = False,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="With dynamic evaluation: it learns as it reads.")] = False,
    kept: Annotated[bool, typer.Option("--kept", help="Score every epoch that train --keep-every kept.")] = False,
) -> None:
    """Score a split: batch 1, state carried, every token but the first."""
    from torch import Tensor

    from lmtutor.runs.run import find_run
    from lmtutor.runs.tuning import adapted_score, cache_settings
    from lmtutor.training.loop import text_to_score

    found = find_run(run)
    if kept:
        from lmtutor.runs.reproduction import score_kept

        if corpus or cache or dynamic:
            raise LMTutorError("--kept scores the run's own corpus, without a cache: leave the other options out.")
        typer.echo(score_kept(found, split).to_string(index=False, float_format="{:.4f}".format))
        return
    settings = cache_settings(found.path) if cache else None
    model, vocab, text = load_all(run, corpus)
    ids = text_to_score(text, split, found.recipe.training)
    if not isinstance(ids, Tensor) and (cache or dynamic):
        raise LMTutorError("The cache and dynamic evaluation read a stream; this run was trained on samples.")
    own = load_all(run, None)[2] if dynamic and corpus else text  # whose training split the model comes from
    options = dict(cache=settings, dynamic=dynamic, characters=text.characters[split], progress=True)
    result = adapted_score(model, ids, own.train, **options)
    typer.echo(f"{text.name} {split}: {result}\nprotocol: {result.protocol}\ntext: {text.note}")


@app.command(**example("lmtutor tune-cache runs/mine"))
def tune_cache(run: RunName) -> None:
    """Find window, theta and lam of the neural cache on the validation split; keep them with the run."""
    from lmtutor.runs.run import find_run
    from lmtutor.runs.tuning import tune_run

    model, _, text = load_all(run, None)
    found = find_run(run)
    surface, record = tune_run(found, model, text.valid)
    best = surface.sort_values("perplexity").head(5)
    typer.echo(f"{text.name} valid, the best settings of {len(surface)}:")
    typer.echo(best.to_string(index=False, float_format="{:.4g}".format))
    alone = surface.loc[surface["lam"] == 0, "perplexity"].min()
    typer.echo(f"without the cache: perplexity {alone:.2f}; with it: {record['valid']['perplexity']:.2f}")
    if record["at_the_edge"]:
        typer.echo(f"note: the best {', '.join(record['at_the_edge'])} is at an end of what was tried")
    typer.echo(f"kept in {found.path / 'cache.json'}; score with lmtutor evaluate {run} --cache")


def load_all(run: str, corpus: str | None):
    """The model and vocabulary of a run, and the corpus to score, read with that vocabulary."""
    from lmtutor.runs.run import find_run
    from lmtutor.text.corpora import load_corpus

    found = find_run(run)
    model, vocab = found.load()
    if corpus is None:
        return model, vocab, found.load_corpus(vocab)
    return model, vocab, load_corpus(corpus, tokenizer=vocab.tokenizer, vocab=vocab)


@app.command(**example('lmtutor generate runs/mine --prompt "The detective" --temperature 0.8 --seed 1'))
def generate(
    run: RunName,
    prompt: Annotated[str, typer.Option(help="Text to go on from.")] = "",
    tokens: Annotated[int, typer.Option(help="How many tokens to add.")] = 60,
    temperature: Annotated[float, typer.Option(help="0 is greedy; 1 the model's own distribution.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest types.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the smallest set that reaches probability p.")] = None,
    beam: Annotated[int | None, typer.Option(help="Search for the likeliest text with a beam this wide.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same text.")] = None,
    unk: Annotated[bool, typer.Option("--unk", help="Let <unk> be drawn.")] = False,
) -> None:
    """Continue a prompt."""
    from lmtutor.runs.run import find_run
    from lmtutor.scoring.sampling import generate as draw

    model, vocab = find_run(run).load()
    options = dict(temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, seed=seed, unk=unk)
    typer.echo(draw(model, vocab, prompt, tokens, **options))


@app.command(**example('lmtutor score runs/mine "It was a cold night ."'))
def score(run: RunName, text: Annotated[str, typer.Argument(help="A text; - reads standard input.")]) -> None:
    """Print the log-probability (nats) of each token of a text, and its perplexity."""
    import math

    from lmtutor.runs.run import find_run
    from lmtutor.scoring.score import score_text

    model, vocab = find_run(run).load()
    if text == "-":
        if sys.stdin is None:
            raise LMTutorError("The standard input is closed: there is nothing to read.")
        try:
            text = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise LMTutorError(f"The standard input is not UTF-8 at byte {error.start}: convert it first.") from None
    table = score_text(model, vocab, text)
    typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
    mean = table["log_probability"].mean()
    typer.echo(f"{-table['log_probability'].sum():.4f} nats, perplexity {math.exp(min(-mean, 700)):.2f}")


@app.command(**example("lmtutor reproduce wikitext-2/lstm-200"))
def reproduce(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run; runs/reproduced/RUN unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the repetition in that folder.")] = False,
) -> None:
    """Train a recorded run again and compare; exit code 1 if its figures do not come out."""
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
    name: Annotated[str, typer.Argument(help="What the model is to be called.")],
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
    except LMTutorError as error:
        sys.stderr.write(f"lmtutor: {error}\n")
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        reason = f"cannot use {error.filename or 'a file'}: {error.strerror or error}."
        sys.stderr.write(f"lmtutor: {' '.join(reason.split())}\n")
        sys.exit(2)
    except UnicodeEncodeError as error:  # into a file or a pipe: a ? there would be a loss that nobody sees
        sys.stderr.write(
            f"lmtutor: the output is {error.encoding}, which has no {error.object[error.start]!a}: "
            "set PYTHONIOENCODING=utf-8.\n"
        )
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:  # torch has no class of its own for the CPU's memory
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        sys.stderr.write("lmtutor: out of memory: make batch_size, bptt, hidden or the vocabulary smaller.\n")
        sys.exit(2)
