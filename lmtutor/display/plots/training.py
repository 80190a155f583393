"""Training runs: curves by epoch or by time, beside published ones and the exact floor."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmtutor.display.figures import (
    COLOURS,
    DASHES,
    GRID,
    MARKERS,
    MUTED,
    described,
    figure,
    floor_line,
    line,
    plain_log,
    style,
    whole_numbers,
)
from lmtutor.runs.published import published_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = 3  # the place among the styles of curves that is theirs


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
    x: str = "epoch",
    log_x: bool = False,
) -> "Figure":
    """The validation perplexity of several runs, on a logarithmic axis.

    Parameters
    ----------
    histories
        Name of the run -> its history.
    published, floor
        As in `plot_history`; the floor in nats per token.
    x
        ``"epoch"``, or ``"seconds"`` for the time since the start.
    log_x
        Whether that axis is logarithmic too: for long runs in which much happens early.
    """
    fig, axes = figure(height=3.8)
    ends = []
    for i, (name, history) in enumerate(histories.items()):
        along = history["seconds"].cumsum() if x == "seconds" else history[x]
        style_of = i if published is None else i + (i >= PUBLISHED)  # no run looks like the published curve
        perplexity = history["valid_perplexity"]
        line(axes, along, perplexity, style_of, name)
        ends.append(f"{name} ends at {perplexity.iloc[-1]:.1f}, lowest {perplexity.min():.1f}")
    alt = f"Line plot of validation perplexity by {x}: {'; '.join(ends)}."
    if published is not None and x == "epoch":
        alt += draw_published(axes, published, max(history["epoch"].max() for history in histories.values()))
    if floor is not None:
        floor_line(axes, math.exp(floor), f"exact floor {math.exp(floor):.1f}", horizontal=True)
        alt += f" The exact floor is {math.exp(floor):.1f}."
    axes.set(xlabel=x, ylabel="validation perplexity", yscale="log")
    if log_x:
        axes.set_xscale("log")
        plain_log(axes.xaxis)
    elif x == "epoch":
        whole_numbers(axes)
    plain_log(axes.yaxis)
    axes.legend()
    return described(fig, alt)


@style()
def plot_beside_published(
    ours: Mapping[str, pd.DataFrame], published: Mapping[str, pd.DataFrame], chosen: str
) -> "Figure":
    """Validation perplexity of our runs, one published curve that was chosen, and the others in grey.

    Parameters
    ----------
    ours, published
        Name -> columns ``epoch`` and ``valid_perplexity``.
    chosen
        A name of `published`.
    """
    fig, axes = figure(height=3.8)
    for name, curve in published.items():
        if name != chosen:
            axes.plot(curve["epoch"], curve["valid_perplexity"], color=MUTED, alpha=0.6, linewidth=1.2)
    curve = published[chosen]
    colour, dash = COLOURS[PUBLISHED], DASHES[PUBLISHED]
    axes.plot(curve["epoch"], curve["valid_perplexity"], color=colour, linestyle=dash, label=f"published: {chosen}")
    others = [i for i in range(6) if i != PUBLISHED]
    for i, (name, history) in zip(others, ours.items(), strict=False):
        look = {"color": COLOURS[i], "marker": MARKERS[i]}
        axes.plot(history["epoch"], history["valid_perplexity"], **look, label=f"ours: {name}")
    axes.set(xscale="log", yscale="log", xlabel="epoch", ylabel="validation perplexity", ylim=(55, 800))
    plain_log(axes.xaxis)
    plain_log(axes.yaxis)
    axes.legend()
    best = curve["valid_perplexity"].min()
    ends = [f"{name} at {one['valid_perplexity'].iloc[-1]:.1f} after {len(one)}" for name, one in ours.items()]
    return described(
        fig,
        f"Validation perplexity by epoch, both axes logarithmic. The published {chosen} falls to {best:.1f} in "
        f"{len(curve)} epochs; the other published curves are grey. Ours end: {', '.join(ends)}.",
    )


@style()
def plot_losses_beside(history: pd.DataFrame, beside: pd.DataFrame | None, floor: float, name: str) -> "Figure":
    """Training (dashed) and validation loss by epoch, those of another run in grey, and the exact entropy."""
    fig, axes = figure(height=3.6)
    for column, dash, colour, label in (
        ("train_loss", "--", COLOURS[0], "training"), ("valid_loss", "-", COLOURS[1], "validation")
    ):  # fmt: skip
        if beside is not None:
            axes.plot(beside["epoch"], beside[column], dash, color=MUTED, alpha=0.6, linewidth=1.2)
        axes.plot(history["epoch"], history[column], dash, color=colour, label=label)
    floor_line(axes, floor, f"exact entropy {floor:.2f}", horizontal=True)
    best, last = history["valid_loss"].min(), history.iloc[-1]
    axes.set(xlabel="epoch", ylabel="nats per token", title=f"{name}: best validation loss {best:.3f}")
    whole_numbers(axes)
    axes.legend()
    return described(
        fig,
        f"Training and validation loss by epoch: {name}. Validation is best at {best:.3f} nats and ends at "
        f"{last['valid_loss']:.3f}; training ends at {last['train_loss']:.3f}. Grey: the run without any regulariser.",
    )


@style()
def plot_valley(path: np.ndarray, mean: np.ndarray, curvature: Sequence[float], start: int) -> "Figure":
    """A walk (N, 2) in a narrow valley and the mean of its places since a step: from above, and their losses."""

    def loss(places):
        return 0.5 * (np.square(places) * np.asarray(curvature)).sum(-1)

    fig, (left, right) = figure(1, 2, height=3.4)
    a, b = np.meshgrid(np.linspace(-2.5, 4.5, 80), np.linspace(-3, 2, 80))
    left.contour(a, b, loss(np.stack([a, b], -1)), levels=14, colors=GRID, linewidths=0.8)
    left.plot(*path.T, color=COLOURS[0], linewidth=0.7, marker="o", markersize=2, label="SGD")
    left.plot(*mean.T, color=COLOURS[1], linewidth=2, label=f"mean since step {start}")
    left.set(xlabel="flat direction", ylabel="steep direction", title="The walk")
    right.plot(loss(path), color=COLOURS[0], linewidth=0.8, label="SGD")
    right.plot(range(start, len(path)), loss(mean), color=COLOURS[1], linewidth=2, label=f"mean since step {start}")
    right.set(xlabel="step", ylabel="loss", yscale="log", title="Its loss", ylim=(1e-3, 60))
    left.legend(loc="lower right")
    right.legend(loc="lower left")
    return described(
        fig,
        "A walk in a narrow valley that jumps between the walls, and the mean of its places, a short line near the "
        f"bottom. Then the losses: that of the walk ends at {loss(path)[-1]:.2g}, the mean's at {loss(mean)[-1]:.2g}.",
    )


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
