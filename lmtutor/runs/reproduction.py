"""Looking back at a run: train it again and compare, or score the epochs that it kept."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lmtutor.runs.run import Run, find_run, recorded_runs
from lmtutor.runs.train import train_recipe
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError
from lmtutor.training.config import text_to_score

NOISE = 0.03  #: Share of a perplexity, where nobody has recorded what another seed changes.
COMPARED = ("valid", "test")  # whose perplexities are compared
MACHINE = ("device", "threads", "processes", "versions")  # where these agree, so does every bit


@dataclass(frozen=True)
class Comparison:
    """A recorded run beside its repetition.

    Attributes
    ----------
    table
        One row per figure: ``recorded``, ``here`` and ``ratio``, the second over the first. Losses of every epoch are
        in nats per token, the last two rows are perplexities.
    differences
        What is not the same about the machine, a line each; empty where bit-equality is promised.
    noise
        How far the perplexities may be apart on another machine, as a share; see `seed_noise`.
    """

    recorded: Run
    here: Run
    table: pd.DataFrame
    differences: list[str]
    noise: float

    @property
    def bit_equal(self) -> bool:
        """Whether every loss and score agrees to the last bit."""
        return bool((self.table["recorded"] == self.table["here"]).all())

    @property
    def holds(self) -> bool:
        """Whether the record holds: to the bit on the same machine, within the noise on another."""
        if not self.differences:
            return self.bit_equal
        scores = self.table.loc[[f"{split} perplexity" for split in COMPARED], "ratio"]
        return bool(((scores - 1).abs() <= self.noise).all())

    def __str__(self) -> str:
        if self.bit_equal:
            verdict = "bit-equal: every loss and score is the recorded one"
        elif not self.differences:
            verdict = "NOT bit-equal, on the same processor, threads and versions"
        else:
            verdict = f"{'within' if self.holds else 'NOT within'} {self.noise:.1%} of the recorded perplexities"
        return "\n".join([self.table.to_string(float_format="{:.4f}".format), *self.differences, verdict])


def reproduce(
    name_or_path: str | Path, out: str | Path | None = None, *, resume: bool = False, **options: Any
) -> Comparison | None:
    """Train the recipe of a recorded run with its own seed into a new folder, and compare.

    On the same processor, number of threads and library versions every number has to agree bit for bit. Elsewhere the
    sums are rounded differently, small differences grow, and the two final perplexities have to agree within
    `seed_noise`. None if the training is interrupted.

    Parameters
    ----------
    name_or_path : a recorded run, a run folder, or a pretrained model.
    out : folder of the new run (default: ``runs/reproduced/NAME``).
    resume : continue an interrupted repetition in `out`.
    options : go to `lmtutor.fit`: ``progress``.

    Raises
    ------
    LMTutorError : no such run, a run without a result, an `out` that is not empty, or what the training raises.
    """
    recorded = find_run(name_or_path)
    result = recorded.result  # missing or damaged: better said before the training than after it
    out = Path(out) if out is not None else Path("runs") / "reproduced" / recorded.name
    if out.resolve() == recorded.path.resolve():
        raise LMTutorError(f"{out} is the run to compare with: name another folder with --out.")
    if not isinstance(result.get("recipe"), str):
        raise LMTutorError(f"{recorded.path / 'result.json'} names no recipe: train again.")
    for split in COMPARED:
        recorded.score(split)
    here = train_recipe(dataclasses.replace(recorded.recipe, name=result["recipe"]), out, resume=resume, **options)
    return None if here.interrupted else compare(recorded, here)


def compare(recorded: Run, here: Run) -> Comparison:
    """Put two runs of one recipe side by side."""
    columns = {}
    for label, run in (("recorded", recorded), ("here", here)):
        losses = run.history.set_index("epoch")[["train_loss", "valid_loss"]].stack()
        figures = {f"epoch {epoch} {name}": loss for (epoch, name), loss in losses.items()}
        columns[label] = figures
    table = pd.DataFrame(columns)  # one of them may have ended sooner, by the criterion of averaged SGD
    for split in COMPARED:
        table.loc[f"{split} perplexity"] = [run.score(split).perplexity for run in (recorded, here)]
    table["ratio"] = table["here"] / table["recorded"]
    then, now = ({"processes": 1, **run.result} for run in (recorded, here))  # early records do not name their one
    differences = [
        f"another {name}: {then.get(name)} then, {now.get(name)} here"
        for name in MACHINE
        if then.get(name) != now.get(name)
    ]
    return Comparison(recorded, here, table, differences, seed_noise(recorded.result["recipe"]))


def seed_noise(recipe: str) -> float:
    """How far apart the test perplexities of a recipe are with other seeds: (largest − smallest) / smallest.

    Where it was recorded with one seed alone, `NOISE`.
    """
    tests = [run.score("test").perplexity for run in recorded_runs() if run.result["recipe"] == recipe]
    return max(tests) / min(tests) - 1 if len(tests) > 1 else NOISE


def score_kept(run: Run, split: str = "valid", epochs: str = "all") -> pd.DataFrame:
    """Score epochs that a run kept (``keep_every``), by the full-split protocol: ``"all"``, ``"5"`` or ``"3-8"``.

    Returns
    -------
    One row per kept epoch: ``epoch``, ``nats_per_token``, ``perplexity``.

    Raises
    ------
    LMTutorError : the run kept none of them.
    """
    ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", epochs)
    if not ends and epochs != "all":
        raise LMTutorError(f"epochs must be all, one such as 5, or a range such as 3-8 (got {epochs!r:.60}).")
    wanted = [epoch for epoch in run.kept if not ends or int(ends[1]) <= epoch <= int(ends[2] or ends[1])]
    if not wanted:
        kept = ", ".join(map(str, run.kept)) or "none: train with --keep-every 1"
        raise LMTutorError(f"{run.path} has kept no such epochs (kept: {kept}).")
    corpus, rows = run.load_corpus(run.load(wanted[0])[1]), []
    for epoch in wanted:
        score = evaluate(run.load(epoch)[0], text_to_score(corpus, split, run.recipe.training))
        rows.append({"epoch": epoch, "nats_per_token": score.nats_per_token, "perplexity": score.perplexity})
    return pd.DataFrame(rows)
