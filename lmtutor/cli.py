"""The command ``lmtutor``. Bad input ends it with exit code 2 and one line that says what to do."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lmtutor.errors import LMTutorError

app = typer.Typer(
    help="Train, score and use recurrent language models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunName = Annotated[str, typer.Argument(help="A run folder, or the name of a recorded run.", metavar="RUN")]
Split = Annotated[str, typer.Option(help="train, valid or test.")]
CorpusName = Annotated[str | None, typer.Option(help="Score this corpus or text instead of the run's own.")]


def example(text: str) -> dict[str, str]:
    """The epilogue of a command's help."""
    return {"epilog": f"Example: {text}"}


@app.command(**example("lmtutor train wikitext-2/lstm-200 --out runs/mine --set epochs=1"))
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a TOML file.", metavar="RECIPE")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    set: Annotated[list[str] | None, typer.Option(help="Change a value: lr=5, model.dropout=0.5.")] = None,
    keep_every: Annotated[int, typer.Option(help="Keep every n-th epoch; 0 keeps the best alone.")] = 0,
    sample: Annotated[str | None, typer.Option(help="Continue this prompt after each epoch.")] = None,
) -> None:
    """Train a recipe and make a run folder: recipe.toml, history.csv, result.json, checkpoint/."""
    from lmtutor.runs import read_recipe, train_recipe

    plan = read_recipe(recipe).with_changes(set or [])
    folder = out or Path("runs") / plan.name
    run = train_recipe(plan, folder, resume=resume, keep_every=keep_every, sample=sample)
    if not (folder / "result.json").exists():
        raise typer.Exit(130)
    typer.echo(f"{folder}: valid {run.score('valid')}\n{folder}: test {run.score('test')}")
    if "test" in plan.published:
        typer.echo(f"published: test perplexity {plan.published['test']} ({plan.published.get('source', 'no source')})")


@app.command(**example("lmtutor finetune runs/mine --set epochs=20"))
def finetune(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Folder of the new run; RUN-finetuned unless given.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the finetuning in that folder.")] = False,
    set: Annotated[list[str] | None, typer.Option(help="Change a value: epochs=20, lr=10.")] = None,
) -> None:
    """Go on from a finished run with averaged SGD, into a new run; the old one stays as it is."""
    from lmtutor.finetune import finetune as tune
    from lmtutor.runs import find_run

    start = find_run(run)
    folder = out or Path("runs") / f"{start.name}-finetuned"
    tuned = tune(start, folder, changes=set or [], resume=resume)
    if not (folder / "result.json").exists():
        raise typer.Exit(130)
    for split in ("valid", "test"):
        typer.echo(f"{folder}: {split} {tuned.score(split)}; before {start.score(split).perplexity:.2f}")
    aim = tuned.recipe.published
    if "test" in aim:
        typer.echo(f"published: test perplexity {aim['test']} ({aim.get('source', 'no source')})")


@app.command(**example("lmtutor evaluate runs/mine --split valid --cache"))
def evaluate(
    run: RunName,
    split: Split = "test",
    corpus: CorpusName = None,
    cache: Annotated[bool, typer.Option("--cache", help="With the neural cache that tune-cache found.")] = False,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="With dynamic evaluation: it learns as it reads.")] = False,
) -> None:
    """Score a split: batch 1, state carried, every token but the first."""
    from lmtutor.adapt import adapted_score, cache_settings
    from lmtutor.runs import find_run

    settings = cache_settings(find_run(run).path) if cache else None
    model, vocab, text = load_all(run, corpus)
    own = load_all(run, None)[2] if dynamic and corpus else text  # whose training split the model comes from
    options = dict(cache=settings, dynamic=dynamic, characters=text.characters[split], progress=True)
    result = adapted_score(model, text.split(split), own.train, **options)
    typer.echo(f"{text.name} {split}: {result}\nprotocol: {result.protocol}\ntext: {text.note}")


@app.command(**example("lmtutor tune-cache runs/mine"))
def tune_cache(run: RunName) -> None:
    """Find window, theta and lam of the neural cache on the validation split; keep them with the run."""
    from lmtutor.adapt import tune_run
    from lmtutor.runs import find_run

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
    from lmtutor.corpora import load_corpus
    from lmtutor.runs import find_run

    found = find_run(run)
    model, vocab = found.load()
    if corpus is None:
        options = {k: v for k, v in found.recipe.corpus.items() if k != "name"}
        return model, vocab, load_corpus(found.recipe.corpus["name"], **{**options, "vocab": vocab})
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
    from lmtutor.generate import generate as draw
    from lmtutor.runs import find_run

    model, vocab = find_run(run).load()
    options = dict(temperature=temperature, top_k=top_k, top_p=top_p, beam=beam, seed=seed, unk=unk)
    typer.echo(draw(model, vocab, prompt, tokens, **options))


@app.command(**example('lmtutor score runs/mine "It was a cold night ."'))
def score(run: RunName, text: Annotated[str, typer.Argument(help="A text; - reads standard input.")]) -> None:
    """Print the log-probability (nats) of each token of a text, and its perplexity."""
    import math

    from lmtutor.evaluate import score_text
    from lmtutor.runs import find_run

    model, vocab = find_run(run).load()
    table = score_text(model, vocab, sys.stdin.read() if text == "-" else text)
    typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
    mean = table["log_probability"].mean()
    typer.echo(f"{-table['log_probability'].sum():.4f} nats, perplexity {math.exp(min(-mean, 700)):.2f}")


@app.command(**example("lmtutor runs"))
def runs() -> None:
    """List the recorded runs and the recipes."""
    from lmtutor.runs import recipe_names, recorded_runs

    typer.echo(f"{'recorded run':<36}{'valid':>9}{'test':>9}{'epochs':>8}{'minutes':>9}")
    for run in recorded_runs():
        result = run.result
        valid, test = (run.score(split).perplexity for split in ("valid", "test"))
        minutes = result["training_seconds"] / 60
        typer.echo(f"{run.name:<36}{valid:9.2f}{test:9.2f}{result['epochs']:8}{minutes:9.1f}")
    typer.echo("\nrecipes (lmtutor train NAME): " + ", ".join(recipe_names()))


def main() -> None:
    """Run the command; an `LMTutorError` becomes one line and exit code 2."""
    try:
        app()
    except LMTutorError as error:
        sys.stderr.write(f"lmtutor: {error}\n")
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
