"""The figures of the book: one style, no meaning by colour alone, alternative text attached.

Every ``plot_...`` returns a matplotlib figure. At the end of a cell it shows itself as an image with its alternative
text, which says what the figure shows, with its main numbers. `show` gives another text or a caption.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmtutor.display.figures import (
    COLOURS,
    DASHES,
    PAPER,
    described,
    figure,
    floor_line,
    line,
    plain_log,
    show,
    style,
    whole_numbers,
)
from lmtutor.display.plots_speed import plot_roofline, plot_waterfall
from lmtutor.runs.published import published_curve, published_table
from lmtutor.system.errors import LMTutorError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "figure",
    "plot_gates",
    "plot_gradient_norms_by_lag",
    "plot_history",
    "plot_perplexities",
    "plot_roofline",
    "plot_run_curves",
    "plot_surprisal",
    "plot_waterfall",
    "plot_zipf",
    "published_curve",
    "published_table",
    "show",
    "style",
]


PUBLISHED = 3  # the place among the styles of curves that is theirs


# --- Training ----------------------------------------------------------------------------------------------------


@style()
def plot_history(
    history: pd.DataFrame, published: str | pd.DataFrame | None = None, floor: float | None = None
) -> "Figure":
    """Loss (nats per token) and validation perplexity by epoch.

    Parameters
    ----------
    history
        What `fit` returns: columns ``epoch``, ``train_loss``, ``valid_loss``, ``valid_perplexity``.
    published
        The name of a published curve, or a frame with ``epoch`` and ``valid_perplexity``. Only the epochs near ours
        are drawn; its best one is in the legend.
    floor
        The exact entropy of the corpus in nats per token: no model gets below.
    """
    _need(history, "plot_history", "epoch", "train_loss", "valid_loss", "valid_perplexity")
    fig, (left, right) = figure(1, 2)
    epochs = history["epoch"]
    line(left, epochs, history["train_loss"], 0, "training (as it goes)")
    line(left, epochs, history["valid_loss"], 1, "validation")
    line(right, epochs, history["valid_perplexity"], 1, "this run")
    first, last = history["valid_perplexity"].iloc[[0, -1]]
    alt = (
        f"Two line plots by epoch, {len(history)} in all. The training loss goes from "
        f"{history['train_loss'].iloc[0]:.2f} to {history['train_loss'].iloc[-1]:.2f} nats per token, the validation "
        f"perplexity from {first:.1f} to {last:.1f}, lowest {history['valid_perplexity'].min():.1f}."
    )
    if published is not None:
        alt += draw_published(right, published, epochs.max())
    if floor is not None:
        floor_line(left, floor, f"exact entropy {floor:.2f}", horizontal=True)
        floor_line(right, math.exp(floor), f"exact floor {math.exp(floor):.1f}", horizontal=True)
        alt += f" The exact floor is {floor:.2f} nats per token, a perplexity of {math.exp(floor):.1f}."
    left.set(title="Loss", ylabel="nats per token", xlabel="epoch")
    right.set(title="Validation perplexity", xlabel="epoch", yscale="log")
    for axes in (left, right):
        whole_numbers(axes)
        axes.legend()
    plain_log(right.yaxis)
    return described(fig, alt)


@style()
def plot_run_curves(
    histories: Mapping[str, pd.DataFrame],
    published: str | pd.DataFrame | None = None,
    floor: float | None = None,
    *,
    column: str = "valid_perplexity",
    x: str = "epoch",
    log_x: bool = False,
) -> "Figure":
    """One curve a run, on a logarithmic axis.

    Parameters
    ----------
    histories
        Name of the run -> its history.
    published, floor
        As in `plot_history`; the floor in nats per token.
    column
        What to draw: ``valid_perplexity``, or any other positive column.
    x
        ``"epoch"``, or ``"seconds"`` for the time since the start (the column is summed).
    log_x
        Whether that axis is logarithmic too: for long runs in which much happens early.
    """
    if not histories:
        raise LMTutorError("plot_run_curves: there is no history; give {name: history}")
    fig, axes = figure(height=3.8)
    ends = []
    for i, (name, history) in enumerate(histories.items()):
        _need(history, f"plot_run_curves: {name}", x, column)
        along = history["seconds"].cumsum() if x == "seconds" else history[x]
        style_of = i if published is None else i + (i >= PUBLISHED)  # no run looks like the published curve
        line(axes, along, history[column], style_of, name)
        ends.append(f"{name} ends at {history[column].iloc[-1]:.1f}, lowest {history[column].min():.1f}")
    said = column.replace("valid_", "validation ").replace("_", " ")
    alt = f"Line plot of {said} by {x}: {'; '.join(ends)}."
    if published is not None and x == "epoch":
        alt += draw_published(axes, published, max(history["epoch"].max() for history in histories.values()))
    if floor is not None:
        floor_line(axes, math.exp(floor), f"exact floor {math.exp(floor):.1f}", horizontal=True)
        alt += f" The exact floor is {math.exp(floor):.1f}."
    axes.set(xlabel=x, ylabel=said, yscale="log")
    if log_x:
        axes.set_xscale("log")
        plain_log(axes.xaxis)
    elif x == "epoch":
        whole_numbers(axes)
    plain_log(axes.yaxis)
    axes.legend()
    return described(fig, alt)


# --- Words and models --------------------------------------------------------------------------------------------


@style()
def plot_surprisal(
    tokens: Sequence[str], nats: Sequence[float], *, title: str | None = None, row: int = 22
) -> "Figure":
    """How surprised a model was by each token: bars of −log p in nats, with their mean.

    Parameters
    ----------
    tokens, nats
        N tokens and the surprisal of each (not below 0; NaN where it has none, as for the first).
    row
        Tokens in one row of bars; longer texts wrap.
    """
    values = np.asarray(nats, dtype=float)
    if len(tokens) != len(values) or not len(values):
        raise LMTutorError(f"plot_surprisal: {len(tokens)} tokens and {len(values)} values; give one value a token")
    rows = -(-len(tokens) // row)
    per_row = -(-len(tokens) // rows)
    fig, axes = figure(rows, 1, height=2.5 * rows + 0.2, sharey=True, squeeze=False)
    mean, box = float(np.nanmean(values)), {"facecolor": PAPER, "edgecolor": "none", "pad": 0}
    for r, ax in enumerate(axes[:, 0]):
        part = slice(r * per_row, (r + 1) * per_row)
        heights = values[part]
        ax.bar(np.arange(len(heights)), heights, width=0.8, color=COLOURS[0])
        for i, height in enumerate(heights):
            if not math.isnan(height):
                ax.annotate(
                    f"{height:.1f}", (i, height), (0, 3), textcoords="offset points", ha="center", fontsize=8, bbox=box
                )
        ax.axhline(mean, color=COLOURS[1], linestyle=DASHES[1], linewidth=1.4, zorder=0.9)
        ax.set_xticks(np.arange(len(heights)), list(tokens[part]), rotation=50, ha="right", rotation_mode="anchor")
        ax.set(xlim=(-0.7, per_row - 0.3), ylim=(0, np.nanmax(values) * 1.18 + 0.1), ylabel="nats")
        ax.grid(axis="x", visible=False)
    label = f"mean {mean:.2f} nats, perplexity {math.exp(mean):.1f}"
    axes[0, 0].set_title(f"{title} ({label})" if title else f"Surprisal of each token ({label})")
    worst = np.argsort(-np.nan_to_num(values, nan=-1))[:3]
    most = ", ".join(f"“{tokens[i]}” {values[i]:.1f}" for i in worst)
    return described(fig, f"Bar chart of the surprisal of each token of: {' '.join(tokens)}. Highest: {most}; {label}.")


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
    if not pairs:
        raise LMTutorError("plot_zipf: there are no counts; give a Counter of tokens")
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
    if not results:
        raise LMTutorError("plot_perplexities: the table is empty; give {model: perplexity}")
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
def plot_gradient_norms_by_lag(curves: Mapping[str, Sequence[float]]) -> "Figure":
    """How much of the gradient arrives k steps earlier, one curve a model, on a logarithmic axis.

    Parameters
    ----------
    curves
        Name of the model -> norm of the gradient at lags 0, 1, 2, ….
    """
    if not curves:
        raise LMTutorError("plot_gradient_norms_by_lag: there is no curve; give {model: norms}")
    fig, axes = figure(height=3.6)
    said = []
    for i, (name, norms) in enumerate(curves.items()):
        norms = np.asarray(norms, dtype=float)
        shown = np.where(norms > 0, norms, np.nan)  # a norm that underflowed has no place on this axis
        line(axes, np.arange(len(norms)), shown, i, name)
        said.append(f"{name} from {norms[0]:.2g} at lag 0 to {norms[-1]:.2g} at lag {len(norms) - 1}")
    axes.set(xlabel="lag: steps back in time", ylabel="norm of the gradient", yscale="log")
    axes.legend()
    return described(fig, f"Line plot of the gradient's norm by lag on a logarithmic axis: {'; '.join(said)}.")


@style()
def plot_gates(activations: Mapping[str, np.ndarray], tokens: Sequence[str]) -> "Figure":
    """Heat maps of what the gates did over a sentence: units down, tokens across.

    Parameters
    ----------
    activations
        Name of the gate -> array (T, H). With negative values the colours are centred on 0, else they run from 0 to 1.
    tokens
        The T tokens.
    """
    if not activations:
        raise LMTutorError("plot_gates: there are no activations; give {gate: array (T, H)}")
    fig, axes = figure(len(activations), 1, height=1.35 * len(activations) + 0.8, sharex=True, squeeze=False)
    said = []
    for ax, (name, values) in zip(axes[:, 0], activations.items(), strict=True):
        values = np.asarray(values, dtype=float)
        if values.ndim != 2 or len(values) != len(tokens):
            raise LMTutorError(f"plot_gates: {name} has shape {values.shape}; give ({len(tokens)}, units)")
        top = max(1.0, np.abs(values).max())
        colours, low = ("PuOr", -top) if values.min() < 0 else ("cividis", 0.0)
        image = ax.imshow(values.T, aspect="auto", cmap=colours, vmin=low, vmax=top, interpolation="nearest")
        fig.colorbar(image, ax=ax, pad=0.01, fraction=0.05)
        ax.set_ylabel(name)
        ax.set_yticks([])
        ax.grid(visible=False)
        said.append(f"{name} mean {values.mean():.2f}, highest at “{tokens[int(values.mean(1).argmax())]}”")
    ax.set_xticks(np.arange(len(tokens)), list(tokens), rotation=50, ha="right", rotation_mode="anchor")
    return described(fig, f"Heat maps of activations, a column a token, for: {' '.join(tokens)}. {'; '.join(said)}.")


# --- Shared ------------------------------------------------------------------------------------------------------


def _need(history: pd.DataFrame, who: str, *columns: str) -> None:
    missing = [column for column in columns if column not in history]
    if missing or not len(history):
        lack = f"has no column {missing[0]!r}" if missing else "has no epochs"
        raise LMTutorError(f"{who}: the history {lack}; give what fit() returned")


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
