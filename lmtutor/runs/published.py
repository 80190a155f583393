"""Numbers that others published: their results and training curves, in ``data/published`` with the sources."""

import pandas as pd

from lmtutor.system import files as data_files
from lmtutor.system.errors import one_of


def published_curve(name: str) -> pd.DataFrame:
    """A published training curve, such as ``"gluonnlp/standard_lstm_lm_200"``.

    Returns
    -------
    DataFrame
        One row per epoch (from 1): ``epoch``, ``epoch_seconds``, ``valid_perplexity``, ``test_perplexity`` (empty where
        it was not measured). The sources are in ``data/published/README.md``.
    """
    folder = data_files.path("published")
    known = {file.relative_to(folder).with_suffix("").as_posix(): file for file in folder.glob("*/*.csv")}
    return pd.read_csv(known[one_of("published curve", name, known)])


def published_table() -> pd.DataFrame:
    """Published results: corpus, model, setting, valid_perplexity, test_perplexity, epochs, cost, source."""
    return pd.read_csv(data_files.path("published") / "published.csv")
