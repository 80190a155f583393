"""Answers that agree more than chance explains: a list of pairs to ask about, with what chance alone would list."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from lmtutor.classroom.feedback import graded_cells
from lmtutor.classroom.grading import read_summary
from lmtutor.classroom.sources import solved

RUN, SHUFFLES, LISTED = 6, 200, 1.0  # tokens of a run; draws of the base rate; pairs expected by chance, at most
WHAT = (
    "Compared are runs of six words and signs, in answers and in their comments. A run that stands in the notebook "
    "or its\nsolution counts nothing, and one that many share counts little. `by chance` says how many pairs of this "
    "class would be\nalike to that degree if agreeing on one question had nothing to do with agreeing on another. "
    "It is not small for\nstudents who learned from one source or worked together as allowed: ask before you judge."
)


def alike(course: Path, name: str) -> pd.DataFrame:
    """Return the pairs of which chance would make less than one in a class like this.

    Returns
    -------
    DataFrame
        Two students, likeness (nats: the sum, over shared runs, of the logarithm of how rare they are), the number of
        pairs expected by chance, and the question on which they agree most. The likest pair first.
    """
    import nbformat

    course = Path(course).resolve()
    table = read_summary(course, name)
    students = list(table[table["status"] == "graded"]["student"])
    source = nbformat.read(course / "source" / name / f"{name}.ipynb", as_version=4).cells
    given = {run for cell in source for run in _runs(cell.source) | _runs(solved(cell.source))}
    questions = [c.metadata.nbgrader.grade_id for c in source if c.metadata.get("nbgrader", {}).get("solution")]
    answers = [
        {c.metadata.get("nbgrader", {}).get("grade_id"): c.source for c in graded_cells(course, name, s)}
        for s in students
    ]
    by_question = np.array([_likeness([_runs(a.get(q, "")) - given for a in answers]) for q in questions])
    total, rng, N = by_question.sum(axis=0), np.random.default_rng(0), len(students)
    pairs = np.triu_indices(N, 1)
    chance = []
    for _ in range(SHUFFLES):
        orders = [rng.permutation(N) for _ in questions]
        chance.append(sum(m[np.ix_(o, o)] for m, o in zip(by_question, orders, strict=True))[pairs])
    chance = np.sort(np.concatenate(chance)) if N > 1 else np.array([])
    rows = []
    for i, j in zip(*pairs, strict=True):
        expected = (len(chance) - np.searchsorted(chance, total[i, j] - 1e-9)) / SHUFFLES
        if total[i, j] > 0 and expected < LISTED:
            most = questions[int(by_question[:, i, j].argmax())]
            rows.append((students[i], students[j], round(total[i, j], 1), round(expected, 2), most))
    columns = ["student", "and", "likeness", "by chance", "most in"]
    return pd.DataFrame(rows, columns=columns).sort_values("likeness", ascending=False)


def _runs(text: str) -> set[tuple]:
    tokens = re.findall(r"\w+|[^\w\s]", text.lower())
    return set(zip(*(tokens[k:] for k in range(RUN)), strict=False))


def _likeness(runs: list[set]) -> np.ndarray:
    """(N, N): for each pair of answers, how rare the runs are that both hold."""
    held, N = Counter(run for one in runs for run in one), len(runs)
    together = np.zeros((N, N))
    for i in range(N):
        for j in range(i + 1, N):
            together[i, j] = together[j, i] = sum(np.log(N / held[run]) for run in runs[i] & runs[j])
    return together
