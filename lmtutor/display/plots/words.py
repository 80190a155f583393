"""Words and models: surprisal, frequency, perplexity."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmtutor.display.figures import COLOURS, DASHES, INK, PAPER, described, figure, floor_line, plain_log, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style()
def plot_surprisal(
    tokens: Sequence[str], nats: Sequence[float], *, truth: Sequence[float] | None = None, title: str | None = None,
    row: int = 22,
) -> "Figure":  # fmt: skip
    """How surprised a model was by each token: bars of −log p in nats, with their mean.

    Parameters
    ----------
    tokens, nats
        N tokens and the surprisal of each (not below 0; NaN where it has none, as for the first).
    truth
        What the true source needs for each, as dots; then the bars carry no numbers.
    row
        Tokens in one row of bars; longer texts wrap.
    """
    values = np.asarray(nats, dtype=float)
    rows = -(-len(tokens) // row)
    per_row = -(-len(tokens) // rows)
    fig, axes = figure(rows, 1, height=2.5 * rows + 0.2, sharey=True, squeeze=False)
    mean = float(np.nanmean(values))
    for r, ax in enumerate(axes[:, 0]):
        part = slice(r * per_row, (r + 1) * per_row)
        _surprisal_bars(ax, tokens[part], values[part], mean, numbers=truth is None)
        if truth is not None:
            ax.plot(range(len(values[part])), truth[part], "o", color=INK, label="true source")
            ax.legend()
        ax.set(xlim=(-0.7, per_row - 0.3), ylim=(0, np.nanmax(values) * 1.18 + 0.1))
    label = f"mean {mean:.2f} nats, perplexity {math.exp(mean):.1f}"
    axes[0, 0].set_title(f"{title} ({label})" if title else f"Surprisal of each token ({label})")
    worst = np.argsort(-np.nan_to_num(values, nan=-1))[:3]
    most = ", ".join(f"“{tokens[i]}” {values[i]:.1f}" for i in worst)
    dots = "" if truth is None else f" Dots show what the true source needs, on average {np.mean(truth):.2f}."
    return described(
        fig, f"Bar chart of the surprisal of each token of: {' '.join(tokens)}. Highest: {most}; {label}.{dots}"
    )


def _surprisal_bars(ax, tokens: Sequence[str], heights: np.ndarray, mean: float, numbers: bool = True) -> None:
    """Draw one row of bars, and a line at their mean."""
    ax.bar(np.arange(len(heights)), heights, width=0.8, color=COLOURS[0])
    for i, height in enumerate(heights if numbers else ()):
        if not math.isnan(height):
            ax.annotate(f"{height:.1f}", (i, height), (0, 3), textcoords="offset points", ha="center", fontsize=8)
    ax.axhline(mean, color=COLOURS[1], linestyle=DASHES[1], linewidth=1.4, zorder=0.9)
    ax.set_xticks(np.arange(len(heights)), list(tokens), rotation=50, ha="right", rotation_mode="anchor")
    ax.set(ylabel="nats")
    ax.grid(axis="x", visible=False)


@style()
def plot_readings(readings: Mapping[str, pd.DataFrame]) -> "Figure":
    """Several texts below each other, each with the surprisal of its tokens.

    Parameters
    ----------
    readings
        Title -> what `score_text` returns.
    """
    fig, axes = figure(len(readings), 1, height=2.6 * len(readings), sharey=True, squeeze=False)
    said = []
    for ax, (title, table) in zip(axes[:, 0], readings.items(), strict=True):
        nats = -table["log_probability"].to_numpy()
        _surprisal_bars(ax, table["token"], nats, nats.mean())
        ax.set(title=f"{title}: {nats.sum():.0f} nats, {nats.mean():.2f} per token")
        said.append(
            f"{title}, “{' '.join(table['token'])}”: {nats.mean():.2f} nats per token, at most {nats.max():.1f}"
        )
    axes[0, 0].set_ylim(0, 1.15 * max(-table["log_probability"].min() for table in readings.values()))
    return described(fig, f"Bar charts of the surprisal of each token. {'; '.join(said)}.")


@style()
def plot_discount(words: Sequence[str], counts, kept, dealt, discount: float, history: str) -> "Figure":
    """The counts after a history with what each loses; what each word kept and what it was dealt."""
    fig, (left, right) = figure(1, 2, height=3, width_ratios=(1, 3))
    seen = int((counts > 0).sum())
    taken = {"color": COLOURS[1], "hatch": "//", "edgecolor": PAPER}
    left.bar(words[:seen], counts[:seen] - discount, color=COLOURS[0])
    left.bar(words[:seen], discount, bottom=counts[:seen] - discount, **taken)
    right.bar(words, kept, color=COLOURS[0], label="kept")
    right.bar(words, dealt, bottom=kept, **taken, label="dealt out")
    left.set(title=f"count after {history}", yticks=range(int(counts.max()) + 1))
    right.set(title=f"p(word | {history})")
    right.tick_params(axis="x", rotation=40)
    right.legend()
    most = [words[i] for i in np.argsort(-np.asarray(dealt), kind="stable")[:3]]
    return described(
        fig,
        f"Bars of the counts of {' and '.join(words[:seen])}, the top {discount:g} of each hatched. Then a bar "
        f"for each word: {' and '.join(words[:seen])} have a part that they kept, and every word a small hatched one, "
        f"largest for {', '.join(most)}.",
    )


@style()
def plot_zipf(counts: Mapping[str, int] | Sequence[int], *, label: str = "types") -> "Figure":
    """Frequency against rank on logarithmic axes, beside Zipf's law (frequency ∝ 1/rank).

    Parameters
    ----------
    counts
        Type -> number of tokens, such as a `Counter` (then some types are named), or the numbers alone.
    """
    words = isinstance(counts, Mapping)
    pairs = sorted(counts.items(), key=lambda kv: -kv[1]) if words else [("", n) for n in sorted(counts, reverse=True)]
    pairs = [(word, n) for word, n in pairs if n > 0]
    ranks, frequencies = np.arange(1, len(pairs) + 1), np.array([n for _, n in pairs], dtype=float)
    fig, axes = figure(height=3.8)
    axes.plot(ranks, frequencies[0] / ranks, color=COLOURS[1], linestyle=DASHES[1], label="1 / rank")
    some = np.unique(np.geomspace(1, len(pairs), 300).astype(int)) - 1  # more dots would lie on each other
    axes.plot(ranks[some], frequencies[some], color=COLOURS[0], marker="o", markersize=3, linestyle="none", label=label)
    named = sorted({int(r) for r in np.geomspace(1, len(pairs), 9)}) if words else []
    for rank in (r for r in named if any(map(str.isalnum, pairs[r - 1][0]))):
        axes.annotate(pairs[rank - 1][0], (rank, frequencies[rank - 1]), (5, 5), textcoords="offset points", fontsize=9)
    axes.set(xscale="log", yscale="log", xlabel="rank", ylabel="tokens", xlim=(0.8, len(pairs) * 2.2))
    axes.legend()
    share = frequencies[:10].sum() / frequencies.sum()
    alt = (
        f"Scatter plot of frequency against rank on logarithmic axes, near the line 1 / rank: {len(pairs):,} types, "
        f"the commonest {frequencies[0]:,.0f} times; the first ten make {share:.0%} of all tokens."
    )
    return described(fig, alt)


@style()
def plot_perplexities(
    table: Mapping[str, float] | pd.Series, floor: float | None = None, *, title: str | None = None
) -> "Figure":
    """Models compared by perplexity on a logarithmic axis, best last, against the exact floor.

    Parameters
    ----------
    table
        Name of the model -> perplexity.
    floor
        The exact entropy in nats per token.
    """
    results = sorted(((str(name), float(value)) for name, value in dict(table).items()), key=lambda kv: -kv[1])
    names, values = zip(*results, strict=True)
    fig, axes = figure(height=1.0 + 0.36 * len(names))
    rows = np.arange(len(names))
    least = min(values) if floor is None else math.exp(floor)
    axes.hlines(rows, least * (0.9 if floor is None else 1), values, color=COLOURS[0], linewidth=2.2)
    axes.plot(values, rows, "o", color=COLOURS[0], markersize=7)
    for row, value in enumerate(values):
        axes.annotate(f"{value:.1f}", (value, row), (8, 0), textcoords="offset points", va="center")
    alt = f"Models by perplexity: {'; '.join(f'{name} {value:.1f}' for name, value in results)}."
    if floor is not None:
        floor_line(axes, least, f"exact floor {least:.1f}", horizontal=False)
        axes.legend(loc="lower right")
        alt += f" The exact floor is {least:.1f}."
    axes.set(yticks=rows, yticklabels=names, xscale="log", xlabel="perplexity", xlim=(least * 0.9, max(values) * 1.5))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    if title:
        axes.set_title(title)
    plain_log(axes.xaxis)
    return described(fig, alt)


@style()
def plot_choices(distributions: Mapping[str, np.ndarray], tokens: Sequence[str], most: int = 10) -> "Figure":
    """Several ways to choose the next token, side by side: bars of the tokens that are likeliest in the first.

    Parameters
    ----------
    distributions
        What to call each way -> probabilities (V,), 0 where a token is cut off.
    tokens
        The V tokens.
    most
        Tokens to show.
    """
    first = next(iter(distributions.values()))
    shown = np.argsort(-np.asarray(first))[:most]
    fig, axes = figure(1, len(distributions), height=0.9 + 0.24 * most, sharey=True, squeeze=False)
    said = []
    for i, (ax, (name, p)) in enumerate(zip(axes[0], distributions.items(), strict=True)):
        p = np.asarray(p)
        ax.barh(range(most), p[shown], color=COLOURS[i % 6], height=0.7)
        ax.set(title=name, xlim=(0, 1), xticks=[0, 0.5, 1], xticklabels=["0", "½", "1"])
        ax.grid(axis="y", visible=False)
        left = 1 - p[shown].sum()
        ax.text(1, most - 0.3, f"others {left:.2f}", ha="right", va="center", fontsize=9)
        said.append(f"{name}: “{tokens[shown[0]]}” {p[shown[0]]:.2f}, “{tokens[shown[1]]}” {p[shown[1]]:.2f}, "
                    f"{(p > 0).sum():,} tokens possible, all but the {most} shown together {left:.2f}")  # fmt: skip
    axes[0, 0].set(yticks=range(most), yticklabels=[tokens[v] for v in shown], ylim=(most + 0.2, -0.6))
    fig.supxlabel("probability", fontsize=10)
    return described(fig, f"Bar charts of the probability of the next token. {'; '.join(said)}.")
