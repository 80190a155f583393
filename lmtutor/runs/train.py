"""Training a recipe into a run folder: the weights it begins with, the lock, the scores at its end."""

import dataclasses
import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lmtutor.models.registry import build_model, config_to_dict, describe
from lmtutor.runs.provenance import git_commit, provenance
from lmtutor.runs.recipe import Recipe, read_recipe
from lmtutor.runs.run import Run, find_run, score_dict
from lmtutor.scoring.score import evaluate
from lmtutor.system import processes
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import UNFINISHED, alone, read_table, write_atomically
from lmtutor.system.machine import describe_device, peak_memory
from lmtutor.text.batches import scored_tokens
from lmtutor.text.corpora import Corpus
from lmtutor.training.checkpoint import check_tensors, load_tensors, model_tensors
from lmtutor.training.config import text_to_score
from lmtutor.training.extend import extend_vocabulary
from lmtutor.training.session import Session

LOCK = ".lock"  # in a run folder: held while a process trains into it
RUN_FILES = (
    "recipe.toml",
    "history.csv",
    "result.json",
    "state.safetensors",
    "model.safetensors",
    "vocabulary.json",
)
HALF_WRITTEN = re.compile(f"{re.escape(UNFINISHED)}({'|'.join(map(re.escape, RUN_FILES))})[.]\\w+")


def train_recipe(recipe: Recipe, out: str | Path, *, resume: bool = False, **options: Any) -> Run:
    """Train a recipe into the folder `out` and score the best epoch on the validation and test splits.

    `options` are those of `fit`: ``keep_every``, ``log_every``, ``sample``, ``progress``.

    Raises
    ------
    LMTutorError : `out` holds another run already, another process is training into it, or what `fit` raises.
    """
    out = Path(out)
    if processes.rank() > 0:  # the first process looks, and holds the lock for all
        return _train(recipe, out, resume, **options)
    _check_folder(out, resume)  # before the lock, which would leave its file in a folder that is not ours
    busy = f"Another process is training into {out} now: wait for it, or name a new folder with --out."
    with alone(out / LOCK, busy):
        _check_folder(out, resume)
        for path in out.rglob(f"{UNFINISHED}*"):
            if HALF_WRITTEN.fullmatch(path.name):  # by a process that was killed
                path.unlink()
        return _train(recipe, out, resume, **options)


def _check_folder(out: Path, resume: bool) -> None:
    """Refuse a folder that holds something, or nothing to resume; what a process killed at its start left is fine."""
    if not str(out).isprintable():
        raise LMTutorError(f"the name of the run folder must be printable text (got {str(out)!r}): use another --out.")
    if resume:
        if not (out / "recipe.toml").is_file():
            raise LMTutorError(f"{out} holds no run to resume: check --out, or start without --resume.")
    elif out.exists():
        held = [path.name for path in out.iterdir() if path.name != LOCK and not HALF_WRITTEN.fullmatch(path.name)]
        if held:
            raise LMTutorError(f"{out} is not empty: name a new folder with --out, or continue with --resume.")


def _train(
    recipe: Recipe,
    out: Path,
    resume: bool,
    *,
    keep_every: int = 0,
    log_every: int = 0,
    sample: str | None = None,
    progress: bool = True,
) -> Run:
    began, commit = time.time(), git_commit()
    if resume and finished(recipe, out):
        return Run(out)
    model, corpus = starting_point(recipe)
    saved = processes.gather(resume and (out / "state.safetensors").is_file())[0]  # the first process decides
    # What cannot be trained or resumed is refused by these two, before anything is written.
    session = Session(model, corpus, recipe.training, out, progress, keep_every, sample, log_every)
    if saved:
        session.restore()
    if processes.rank() == 0:
        write_atomically(out / "recipe.toml", recipe.to_toml().encode())
        if progress:
            print(corpus.note, flush=True)
    if recipe.start and not saved:
        session.keep_start()
    history = session.fit()
    if session.stop or processes.rank() > 0:
        return Run(out, interrupted=session.stop)
    model.to(session.device)  # to be scored where it was trained
    scores = {
        split: evaluate(model, text_to_score(corpus, split, recipe.training), characters=corpus.characters[split])
        for split in ("valid", "test")
    }
    result = dict(
        recipe=recipe.name,
        parameters=sum(p.numel() for p in model.parameters()),
        model=config_to_dict(model.config),
        **{split: score_dict(score) for split, score in scores.items()},
        protocol=scores["test"].protocol,
        corpus=corpus.note,
        published=recipe.published,
        finetuned_from=recipe.start.get("run"),
        epochs=len(history),
        training_seconds=float(history["seconds"].sum()),
        seconds=time.time() - began,
        **{**provenance(session.device, recipe.training.seed), "commit": commit},
        processes=processes.world(),
    )
    words = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_atomically(out / "result.json", words.encode(errors="replace"))  # the command may hold bytes that are no text
    return Run(out)


def rehearse(recipe: Recipe) -> str:
    """Time a few steps of training without keeping anything: its shapes, its memory, its minutes per epoch.

    The memory of weights, gradients and optimizer follows from their shapes; averages that begin later (nt-asgd) take
    as much again as the weights. The peak is that of the process so far, or on CUDA of the device.
    """
    model, corpus = starting_point(recipe)
    session, config = Session(model, corpus, recipe.training), recipe.training
    step = timed_steps(session)
    some = corpus.valid[: max(2, round(1 / step))]  # about a second, or less
    began = time.monotonic()
    evaluate(model, some)
    scoring = (time.monotonic() - began) / len(some) * len(corpus.valid) / 60
    whole = scored_tokens(corpus.train, corpus.vocab, config.cut, config.batch_size)
    minutes = whole * step / 60 + scoring
    kept = [
        value for entry in session.optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)
    ]
    numbers = sum(value.nbytes for value in [*kept, *model.parameters(), *model.parameters()])
    return "\n".join(
        [
            f"{recipe.name}: {corpus.note}",
            describe(model).to_string(index=False),
            f"memory: {numbers >> 20:,} MiB of weights, gradients and optimizer, {peak_memory() >> 20:,} MiB in all",
            f"an epoch: {minutes:.2f} minutes at {1 / step:,.0f} tokens/s, {scoring:.2f} of them to score valid",
            f"{config.epochs} epochs: {minutes * config.epochs:,.1f} minutes on {describe_device(session.device)}",
        ]
    )


def timed_steps(session: Session, most: int = 10, patience: float = 20.0) -> float:
    """Seconds a token of training, over so many steps or seconds at most, without the first, which sets things up."""
    seconds, tokens = [], []
    for batch in itertools.islice(session.batches(), most + 1):
        began = time.monotonic()
        float(session.train_step(batch, 0.5))  # waits for the device
        seconds.append(time.monotonic() - began)
        tokens.append(session.scored(batch))
        if sum(seconds) > patience:
            break
    return sum(seconds[1:] or seconds) / sum(tokens[1:] or tokens)


def starting_point(recipe: Recipe) -> tuple[nn.Module, Corpus]:
    """The model that a recipe's training begins with, and the corpus.

    The weights are fresh, or those of the run that the recipe starts from. On another corpus than that run's, the
    vocabulary is the run's and the new words, see `extend_vocabulary`.

    Raises
    ------
    LMTutorError : the starting run is missing, has another shape, or its corpus has another vocabulary now.
    """
    corpus, start = recipe.load_corpus(), None
    if recipe.start:
        run = find_run(recipe.start["run"])
        start, vocab = run.load()
        if run.recipe.corpus["name"] != recipe.corpus["name"]:
            start, vocab = extend_vocabulary(start, vocab, corpus.vocab)
            corpus = recipe.load_corpus(vocab)
        elif run.recipe.start and vocab.tokens != corpus.vocab.tokens:  # already extended, for this text
            corpus = recipe.load_corpus(vocab)
        elif vocab.tokens != corpus.vocab.tokens:
            raise LMTutorError(f"{run.path} was trained with another vocabulary than {corpus.name} has now.")
    torch.manual_seed(recipe.training.seed)
    model = build_model(recipe.model_config(), corpus.vocab)
    if start is not None:
        check_tensors(model, model_tensors(start), recipe.start["run"])
        load_tensors(model, model_tensors(start))
    return model, corpus


def finished(recipe: Recipe, out: Path) -> bool:
    """Check that a run can be resumed as the recipe says; True when it has reached its end already.

    Raises
    ------
    LMTutorError : there is nothing to resume, or it is another training.
    """
    own = out / "recipe.toml"
    stored = read_recipe(own)
    if (stored.corpus, stored.model) != (recipe.corpus, recipe.model) or not names_same_run(recipe.start, stored.start):
        raise LMTutorError(
            f"{out} was trained on another corpus or model, or from another start: give the same recipe and "
            f"--set values, or its own recipe: lmtutor train {own} --resume --out {out}."
        )
    now, then = (dataclasses.asdict(r.training) for r in (recipe, stored))
    if changed := [name for name in now if now[name] != then[name] and name != "epochs"]:
        raise LMTutorError(f"{out} was trained with another {', '.join(changed)}: resume with the same.")
    if (out / "result.json").is_file():
        result = read_table(out / "result.json")
        if result.get("epochs") == recipe.training.epochs and not Run(out).went_on(result):
            return True
    # A checkpoint alone is of the first epoch, from a process killed before it saved the state: that begins again.
    begun = any((out / name).exists() for name in ("history.csv", "result.json"))
    if begun and not (out / "state.safetensors").is_file():
        raise LMTutorError(f"{out} has no state.safetensors to resume from: train again into a new folder.")
    return False


def names_same_run(now: dict[str, str], then: dict[str, str]) -> bool:
    """Whether two tables ``[start]`` name the same run, as two paths to one folder do.

    Where the old path leads nowhere, the run was moved, or the command is called from another folder: then the run
    that is named now is taken for it, and stands in the recipe from then on.

    Raises
    ------
    LMTutorError : the run named now is not there.
    """
    if now == then or not (now and then):
        return now == then
    start = find_run(now["run"])
    try:
        before = find_run(then["run"])
    except LMTutorError:
        return True
    return (before.path.resolve(), before.packed) == (start.path.resolve(), start.packed)
