"""Going on from a finished run: finetuning with averaged SGD, and the weights that a run ended with."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lmtutor.runs.recipe import Recipe
from lmtutor.runs.run import Run, find_run
from lmtutor.runs.train import train_recipe
from lmtutor.system.errors import LMTutorError
from lmtutor.text.vocabulary import Vocabulary
from lmtutor.training.checkpoint import check_tensors, load_state, load_tensors

SGD = ("sgd", "nt-asgd", "asgd")
SGD_RATE = 30.0  # of the published finetuning


def finetuning_recipe(start: Run, changes: Sequence[str] = ()) -> Recipe:
    """How to finetune a run: its own recipe with ASGD from the first step (Merity et al. 2018, section 5).

    The learning rate is that of the recipe, constant, or 30 after Adam, whose rates are no rates for SGD. The
    published figures become those of the finetuned model, where the recipe gives them.
    """
    recipe = start.recipe
    rate = recipe.training.lr if recipe.training.optimizer in SGD else SGD_RATE
    training = dataclasses.replace(
        recipe.training, optimizer="asgd", schedule="constant", milestones=(), momentum=0.0, lr=rate
    )
    mark = "finetuned_"
    aim = {name.removeprefix(mark): value for name, value in recipe.published.items() if name.startswith(mark)}
    if aim:
        aim["source"] = recipe.published.get("source", "no source") + ", finetuned"
    begin = {"run": start.reference}
    made = dataclasses.replace(recipe, name=f"{start.name}-finetuned", training=training, start=begin, published=aim)
    return made.with_changes(list(changes))


def finetune(
    run: Run | str | Path, out: str | Path, *, changes: Sequence[str] = (), resume: bool = False, **options: Any
) -> Run:
    """Train a finished run on with ASGD, into a new run; the start is read and left as it is.

    The averaging begins at once, and the training ends after the recipe's epochs or when the validation loss has
    stopped falling, by the criterion of `training.optim.non_monotone`. The start counts: when no epoch is better,
    its weights are the result.

    Parameters
    ----------
    run : a run with its weights: the object, its folder or its name.
    out : folder of the new run.
    changes : ``key=value`` changes of the recipe, such as ``epochs=20``.
    resume : continue an interrupted finetuning in `out`. The start may have moved since, and `run` says where to.
    options : go to `lmtutor.fit`: ``keep_every``, ``sample``, ``progress``.

    Raises
    ------
    LMTutorError : the run has no weights, or `out` is its own folder or holds another run.
    """
    start = run if isinstance(run, Run) else find_run(run)
    if Path(out).resolve() == start.path.resolve():
        raise LMTutorError(f"{out} is the run to start from: finetuning goes into a new folder, name another one.")
    return train_recipe(finetuning_recipe(start, changes), out, resume=resume, **options)


def load_last(run: Run | str | Path) -> tuple[nn.Module, Vocabulary]:
    """The model with the weights of a run's last step, neither averaged nor chosen, and its vocabulary.

    `Run.load` gives those of the best epoch, averaged if the averages were better. Comparing the two with
    `lmtutor.scoring.score` shows what averaging and choosing have done.

    Raises
    ------
    LMTutorError : the run is here without its weights.
    """
    run = run if isinstance(run, Run) else find_run(run)
    model, vocab = run.load()
    last = load_state(run.path / "state.safetensors")["model"]
    check_tensors(model, last, run.path)
    load_tensors(model, last)
    return model, vocab
