"""The two test-time methods on a run: tune the cache once, keep its settings, score with them.

``cache.csv`` holds every setting tried on the validation split, ``cache.json`` the best one and its origin. They lie in
the run's folder or, for a run that came with the package, below ``runs/`` where the command is called.
"""

import json
from pathlib import Path

import pandas as pd
from torch import Tensor

from lmtutor.models.base import device_of
from lmtutor.runs.provenance import provenance
from lmtutor.runs.run import Run, score_dict
from lmtutor.scoring.dynamic import dynamic_evaluate, gradient_rms
from lmtutor.scoring.neural_cache import SETTINGS, NeuralCache, tune_cache
from lmtutor.scoring.score import STREAM_PROTOCOL, Score, evaluate
from lmtutor.system.errors import LMTutorError
from lmtutor.system.files import read_table, write_atomically
from lmtutor.system.limits import fits

STATISTICS_BATCHES = 200  # of 100 × 20 training tokens: enough for a mean square, and minutes instead of an hour


def own_folder(run: Run) -> Path:
    """Where what is found out about a run may be written: its folder, or for a recorded run ``runs/NAME``."""
    return Path("runs") / run.name if run.recorded else run.path


def tune_run(run: Run, model, valid_ids: Tensor, out: Path | None = None, **grid) -> tuple[pd.DataFrame, dict]:
    """Tune the cache of a run on the validation split and write ``cache.csv`` and ``cache.json``.

    Parameters
    ----------
    run, model : a run and its trained model.
    valid_ids : (N,) ids of the validation split.
    out : the folder to write to; default: `own_folder`.
    grid : ``windows``, ``thetas``, ``lams``: what `tune_cache` is to try, if not its own choice.

    Returns
    -------
    surface
        DataFrame ``window theta lam nats_per_token perplexity``.
    record
        What ``cache.json`` says: the best ``window theta lam``, its score, and which of the three lie at an end of
        what was tried.
    """
    surface, best = tune_cache(model, valid_ids, **grid)
    tokens, lowest = len(valid_ids) - 1, surface["nats_per_token"].min()
    score = Score(lowest * tokens, tokens, protocol=f"{STREAM_PROTOCOL}; {NeuralCache(model, **best).protocol}")
    record = dict(
        **best,
        at_the_edge=[name for name in best if best[name] in (surface[name].min(), surface[name].max())],
        valid=score_dict(score),
        protocol=score.protocol,
        **provenance(device_of(model), run.recipe.training.seed),
    )
    out = out or own_folder(run)
    write_atomically(out / "cache.csv", surface.to_csv(index=False).encode())
    write_atomically(out / "cache.json", (json.dumps(record, indent=2) + "\n").encode())
    return surface, record


def cache_settings(run: Run) -> dict[str, float]:
    """The ``window theta lam`` that `tune_run` found for a run, here or when it was recorded.

    Raises
    ------
    LMTutorError : the run's cache is not tuned, or the file is damaged.
    """
    for folder in (own_folder(run), run.path):
        path = folder / "cache.json"
        if path.exists():
            record = read_table(path)
            settings = {name: record.get(name) for name in SETTINGS}
            if not fits(settings, {name: limit.shape for name, limit in SETTINGS.items()}):
                raise LMTutorError(f"{path} is damaged ({settings}): run lmtutor tune-cache again.")
            return settings
    raise LMTutorError(f"The cache of {run.reference} is not tuned: run lmtutor tune-cache {run.reference} first.")


def adapted_score(
    model,
    ids: Tensor,
    train_ids: Tensor,
    *,
    cache: dict[str, float] | None = None,
    dynamic: bool = False,
    characters: int | None = None,
    progress: bool = False,
) -> Score:
    """Score a text plainly, with a cache of the settings given, with dynamic evaluation, or with both."""
    scored = NeuralCache(model, **cache) if cache else model
    if not dynamic:
        return evaluate(scored, ids, characters=characters)
    rms = gradient_rms(model, train_ids, batches=STATISTICS_BATCHES, progress=progress)
    return dynamic_evaluate(scored, ids, rms, characters=characters, progress=progress)
