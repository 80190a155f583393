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
    GRID,
    INK,
    MARKERS,
    MUTED,
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
    "draw_backward",
    "draw_dots",
    "draw_lines",
    "draw_lstm_cell",
    "draw_network_steps",
    "figure",
    "plot_error_by_lag",
    "plot_gates",
    "plot_gradient_norms_by_lag",
    "plot_history",
    "plot_one_cell",
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
        ax.set_yticks(np.arange(values.shape[1]) if values.shape[1] <= 12 else [])
        ax.set_yticklabels([str(unit + 1) for unit in range(len(ax.get_yticks()))], fontsize=7)
        ax.grid(visible=False)
        said.append(f"{name} mean {values.mean():.2f}, highest at “{tokens[int(values.mean(1).argmax())]}”")
    ax.set_xticks(np.arange(len(tokens)), list(tokens), rotation=50, ha="right", rotation_mode="anchor")
    return described(
        fig, f"Heat maps of activations, one column per token, for: {' '.join(tokens)}. {'; '.join(said)}."
    )


# --- On axes that a page made: such a figure gets its number from the page ----------------------------------------


def draw_lines(axes, curves: Mapping[str, Sequence[float]], x=None, *, floor: float | None = None, **settings) -> None:
    """Draw named curves, no two alike, and the floor; then set the axes.

    Parameters
    ----------
    axes
        Of matplotlib.
    curves
        Name -> values.
    x
        Where the values stand; default: 0, 1, 2, ….
    floor
        What no curve gets below, drawn as a line.
    settings
        For ``axes.set``: labels, limits, scales.
    """
    for i, (name, values) in enumerate(curves.items()):
        places, other = np.arange(len(values)) if x is None else x, (i + i // 6) % 6  # the seventh is not the first
        marker = MARKERS[other] if len(values) <= 30 else ""
        axes.plot(places, values, color=COLOURS[i % 6], linestyle=DASHES[other], marker=marker, label=name)
    if floor is not None:
        floor_line(axes, floor, "the floor", horizontal=True)
    axes.set(**settings)
    axes.legend()


def draw_dots(axes, values: Mapping[str, float], *, form: str = "{:.2f}", **settings) -> None:
    """Draw one dot per row with its name and its value, from top to bottom; then set the axes."""
    rows = np.arange(len(values))
    axes.plot(list(values.values()), rows, "o", markersize=8, color=COLOURS[0])
    for row, value in zip(rows, values.values(), strict=True):
        axes.annotate(form.format(value), (value, row), (8, 0), textcoords="offset points", va="center")
    axes.set_yticks(rows, list(values), fontsize=9)
    axes.set(ylim=(len(values) - 0.5, -0.5), **settings)


def draw_network_steps(axes, letters: Sequence[str], states, probabilities, alphabet: Sequence[str]) -> None:
    """Draw a small recurrent network at work: letters below, states in the middle, probabilities above.

    Parameters
    ----------
    letters
        The T letters that it reads.
    states
        Array (T, H), from −1 to 1.
    probabilities
        Array (T, V).
    """
    arrows = (((0.3, -0.6), (0.3, -0.1)), ((0.3, 2.5), (0.3, 3.1)), ((0.65, 1.2), (2.35, 1.2)))
    for t, (letter, state, p) in enumerate(zip(letters, states, probabilities, strict=True)):
        left = 2.4 * t
        axes.text(left + 0.3, -1.1, letter, fontsize=22, ha="center", family="monospace")
        box = (left, left + 0.6, 0, 2.4)
        axes.imshow(state[::-1, None], cmap="coolwarm", vmin=-1, vmax=1, extent=box, aspect="auto")
        for (x0, y0), (x1, y1) in arrows:
            axes.annotate("", (left + x1, y1), (left + x0, y0), arrowprops={"arrowstyle": "-|>", "color": MUTED})
        bars = left - 0.3 + 0.4 * np.arange(len(p))
        axes.bar(bars, 1.2 * p, 0.34, 3.5, color=COLOURS[1])
        for x, symbol in zip(bars, alphabet, strict=True):
            axes.text(x, 3.15, symbol, ha="center", family="monospace")
    axes.set(xlim=(-0.9, 2.4 * len(letters) + 0.2), ylim=(-1.5, 4.9))
    axes.axis("off")


def draw_backward(axes) -> None:
    """Draw three steps of a recurrent network, and the way of the errors back through them."""
    for t, step in enumerate(("t-1", "t", "t+1")):
        left, back = 3.0 * t, {"arrowstyle": "-|>", "color": COLOURS[1], "lw": 2, "linestyle": "--"}
        for y, name in ((0, f"$x_{{{step}}}$"), (1.5, f"$h_{{{step}}}$"), (3, f"$z_{{{step}}}$")):
            axes.text(left, y, name, ha="center", va="center", bbox={"boxstyle": "round", "fc": PAPER, "ec": INK})
        for x, y0, y1 in ((left - 0.25, 0.3, 1.2), (left - 0.25, 1.8, 2.7)):
            axes.annotate("", (x, y1), (x, y0), arrowprops={"arrowstyle": "-|>", "color": COLOURS[0]})
        axes.annotate("", (left + 0.25, 1.8), (left + 0.25, 2.7), arrowprops=back)
        axes.annotate("", (left + 0.25, 0.3), (left + 0.25, 1.2), arrowprops=back)
        axes.text(left + 0.4, 2.25, "$dz\\,W_{hy}^{\\top}$", va="center", color=COLOURS[1])
        if t < 2:
            axes.annotate(
                "", (left + 2.3, 1.65), (left + 0.7, 1.65), arrowprops={"arrowstyle": "-|>", "color": COLOURS[0]}
            )
            axes.annotate("", (left + 0.7, 1.35), (left + 2.3, 1.35), arrowprops=back)
            axes.text(left + 1.5, 1.0, "$da\\,W_{hh}^{\\top}$", ha="center", color=COLOURS[1])
    axes.set(xlim=(-1, 7.6), ylim=(-0.5, 3.5))
    axes.axis("off")


def draw_lstm_cell(axes) -> None:
    """Draw one LSTM cell: the carousel above, the gates below, the peepholes dashed."""

    def go(start, end, **look):
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "lw": 1.3, "color": MUTED, **look})

    def put(x, y, text, colour=PAPER, shape="round,pad=0.35"):
        box = {"boxstyle": shape, "fc": colour, "ec": INK}
        axes.text(x, y, text, ha="center", va="center", fontsize=13, zorder=5, color=INK, bbox=box)

    go((0, 3.4), (9.6, 3.4), lw=3.4, color=INK)
    for x, y, sign in ((2, 3.4, "×"), (4.2, 3.4, "+"), (4.2, 2.45, "×"), (7.9, 1.5, "×")):
        put(x, y, sign, shape="circle,pad=0.15")
    for x, name in ((2, "f"), (3.6, "i"), (4.8, "g"), (6.6, "o")):
        put(x, 1.5, name, GRID)
        go((x, 0.35), (x, 1.1))
    put(7.9, 2.5, "tanh", GRID)
    for start, end in (
        ((2, 1.9), (2, 3.1)), ((3.65, 1.9), (4.08, 2.2)), ((4.75, 1.9), (4.32, 2.2)), ((4.2, 2.7), (4.2, 3.1)),
        ((7.9, 3.4), (7.9, 2.85)), ((7.9, 2.2), (7.9, 1.78)), ((6.95, 1.5), (7.62, 1.5)), ((8.15, 1.5), (9.6, 1.5)),
    ):  # fmt: skip
        go(start, end)
    for start, end in (((0.7, 3.3), (1.7, 1.85)), ((0.9, 3.3), (3.25, 1.8)), ((7.1, 3.3), (6.7, 1.9))):
        go(start, end, linestyle="--", lw=1.1)
    axes.plot([0.2, 6.6], [0.35, 0.35], color=MUTED, lw=1.3)
    for x, y, name in (
        (-0.55, 3.4, "$c_{t-1}$"),
        (10, 3.4, "$c_t$"),
        (10, 1.5, "$h_t$"),
        (-0.75, 0.35, "$x_t, h_{t-1}$"),
    ):
        axes.text(x, y, name, fontsize=14, ha="center", va="center")
    axes.set(xlim=(-1.6, 10.5), ylim=(0, 3.9))
    axes.axis("off")


@style()
def plot_error_by_lag(curves: Mapping[int, Sequence[float]], read: int) -> "Figure":
    """One moment of a training: how much of an error is left k letters back, among the other moments.

    Parameters
    ----------
    curves
        Letters read -> size of the error at lags 0, 1, 2, …, 20 or more.
    read
        The moment to show.
    """
    fig, axes = figure(height=3)
    for other in curves.values():
        axes.plot(other / other[0], color=GRID, linewidth=1.4)
    size = curves[read] / curves[read][0]
    gone = int(np.argmax(size < 0.01))  # the first lag with less than a hundredth
    axes.plot(size, color=INK, linewidth=2.6)
    axes.plot(gone, size[gone], "o", color=COLOURS[1])
    axes.axhline(0.01, color=COLOURS[1], linestyle=":")
    axes.set(yscale="log", ylim=(1e-8, 3), xlim=(0, 50), xlabel="letters back, k", ylabel="size of the error")
    axes.set_title(f"after {read:,} letters: less than a hundredth is left after {gone} letters")
    left = f"{size[5]:.1%} is left after 5 letters, {size[20]:.2%} after 20"
    return described(fig, f"Size of the error by lag after {read:,} letters: {left}; below a hundredth after {gone}.")


@style()
def plot_one_cell(gates: Mapping[str, np.ndarray], cell: np.ndarray, letters: Sequence[str]) -> "Figure":
    """The gates of one cell (T,) by name, and below them the tanh of the cell (T,), over a line of T letters."""
    fig, (above, below) = figure(2, 1, height=3.4, sharex=True)
    steps = np.arange(len(letters))
    for i, (name, values) in enumerate(gates.items()):
        above.step(steps, values, color=COLOURS[i], linestyle=DASHES[i], where="mid", label=name)
    below.fill_between(steps, cell, step="mid", color=COLOURS[2])
    below.axhline(0, color=MUTED, linewidth=0.8)
    above.set(ylim=(-0.05, 1.05), ylabel="gates")
    above.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    below.set(ylim=(-1.05, 1.05), ylabel="tanh of the cell", xlim=(-0.5, len(letters) - 0.5))
    below.set_xticks(steps, list(letters), fontsize=7)
    for axes in (above, below):
        axes.grid(axis="x", visible=False)
    said = []
    for name, values in gates.items():
        low = [letters[t] for t in np.flatnonzero(np.asarray(values) < 0.5)]
        said.append(f"its {name} is {np.mean(values):.2f} on average and below a half at: {' '.join(low) or 'none'}")
    return described(fig, f"One cell over {len(letters)} letters: {'; '.join(said)}.")


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
