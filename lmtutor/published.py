"""Numbers that others published: their results and training curves, in ``data/published`` with the sources."""

import pandas as pd

from lmtutor import data_files
from lmtutor.errors import LMTutorError, nearest
from lmtutor.figures import line

PUBLISHED = 3  # the place among the styles of curves that is theirs


def published_curve(name: str) -> pd.DataFrame:
    """A published training curve, such as ``"gluonnlp/standard_lstm_lm_200"``.

    Returns
    -------
    DataFrame
        A row an epoch (from 1): ``epoch``, ``epoch_seconds``, ``valid_perplexity``, ``test_perplexity`` (empty where
        it was not measured). The sources are in ``data/published/README.md``.
    """
    folder = data_files.path("published")
    known = {file.relative_to(folder).with_suffix("").as_posix(): file for file in folder.glob("*/*.csv")}
    if name not in known:
        raise LMTutorError(f"no published curve is called {name!r}.{nearest(name, known)}")
    return pd.read_csv(known[name])


def published_table() -> pd.DataFrame:
    """Published results: corpus, model, setting, valid_perplexity, test_perplexity, epochs, cost, source."""
    return pd.read_csv(data_files.path("published") / "published.csv")


def draw_published(axes, published: str | pd.DataFrame, epochs: int) -> str:
    """Draw a published curve as far as ours goes, at least three epochs; return a sentence for the alternative text."""
    name, curve = (published, published_curve(published)) if isinstance(published, str) else ("published", published)
    near = curve[curve["epoch"] <= max(epochs, 3)]
    best = curve.loc[curve["valid_perplexity"].idxmin()]
    rest = f"best {best['valid_perplexity']:.1f} at epoch {best['epoch']:.0f} of {len(curve)}"
    label = name if len(near) == len(curve) else f"{name}\n({rest})"
    line(axes, near["epoch"], near["valid_perplexity"], PUBLISHED, label)
    there, then = near["valid_perplexity"].iloc[-1], near["epoch"].iloc[-1]
    return f" The published curve {name} is at {there:.1f} after epoch {then:.0f}; {rest}."
