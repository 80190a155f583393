"""The figures of chapter 09 draw the numbers that they are given."""

import numpy as np
import pandas as pd

from lmtutor.display import plots_state


def test_recall_draws_the_mean_of_the_seeds_and_a_tick_where_rows_and_pairs_are_equal():
    rows = [
        dict(family=name, seed=seed, pairs=n, share=share + seed / 10, numbers=n * 100)
        for name, share in (("LSTM", 0.1), ("delta 16²", 0.5))
        for seed in (1, 2)
        for n in (2, 16)
    ]
    fig = plots_state.plot_recall(pd.DataFrame(rows), {"delta 16²": 16}, chance=0.1)
    left, right, below, _ = fig.axes
    assert np.allclose(left.lines[0].get_ydata(), 0.25) and np.allclose(right.lines[0].get_ydata(), 0.65)
    assert list(right.lines[1].get_xdata()) == [16, 16] and list(below.lines[0].get_ydata()) == [200, 1600]
    assert "delta 16²: 65% of 2, 65% of 16" in fig.alt and "Seeds lie up to 10% apart" in fig.alt
    (band,) = right.collections
    assert np.allclose(np.unique(band.get_paths()[0].vertices[:, 1]), [0.6, 0.7])


def test_the_law_draws_what_is_left_above_each_floor():
    history = pd.DataFrame(dict(width=[8, 8, 16, 16], tokens=[10, 20] * 2, nats_per_token=[3.0, 2.5, 2.8, 2.2]))
    fig = plots_state.plot_law(history, {"the truth": 2.0, "fitted": 1.0})
    assert [list(line.get_ydata().round(6)) for line in fig.axes[0].lines] == [[1.0, 0.5], [0.8, 0.2]]
    assert list(fig.axes[1].lines[1].get_ydata().round(6)) == [1.8, 1.2]
    assert "the largest ends 0.200 nats above it" in fig.alt


def test_costs_and_budgets_say_their_numbers():
    passes = pd.DataFrame(dict(layer=["GRU"] * 2, steps=[64, 256], batch=[1, 1], tokens_per_second=[2e3, 3e3]))
    steps = pd.DataFrame(dict(model=["LSTM"] * 2, read=[100, 1000], milliseconds=[0.5, 0.5], bytes=[4096, 4096]))
    fig = plots_state.plot_costs(passes, steps)
    assert list(fig.axes[0].lines[0].get_ydata()) == [2e3, 3e3] and "GRU: 2,000 to 3,000" in fig.alt
    curves = pd.DataFrame(dict(family=["LSTM"] * 2, tokens=[10, 20], seconds=[1.0, 2.0], perplexity=[30.0, 20.0]))
    fig = plots_state.plot_tokens_and_seconds(curves, ["LSTM"], floor=7.0)
    assert list(fig.axes[1].lines[0].get_xdata()) == [1.0, 2.0] and "LSTM 20 after 20 tokens" in fig.alt
