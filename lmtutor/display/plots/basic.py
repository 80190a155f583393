"""Curves, dots and bars from a table: one call makes a figure, with the numbers of its ends as alternative text.

A table is a frame: its index is the x axis, its columns are the curves. Several tables by name stand side by side; then
a setting that is a tuple has one value per panel.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmtutor.display.figures import (
    COLOURS,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    described,
    figure,
    floor_line,
    line,
    plain_log,
    style,
    whole_numbers,
)
from lmtutor.display.narrow import legend_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style()
def plot_lines(
    table, x=None, *, floor: float | None = None, levels: Mapping[str, float] | None = None,
    mark: Mapping[str, float] | None = None, at: Mapping[str, float] | None = None,
    height: float = 3.5, sharey: bool = True, **settings,
) -> "Figure":  # fmt: skip
    """Draw named curves, no two alike.

    Parameters
    ----------
    table
        A frame, or name -> values (a series brings its own index); or several such tables by title. What is missing
        (NaN) is left out.
    x
        Where the values stand, for values without an index; default: 0, 1, 2, ….
    floor
        What no curve gets below, drawn as a line.
    levels
        Label -> height of other horizontal lines.
    mark
        Name of a curve -> the place on its x axis that gets a cross.
    at
        Title of a panel -> the place of a vertical line.
    height
        Of the figure, in inches.
    sharey
        Whether panels have one y axis.
    settings
        For ``axes.set``: labels, limits, scales; a tuple has one value per panel.
    """
    panels = {title: _frame(one, x) for title, one in _panels(table).items()}
    fig, axes = figure(1, len(panels), height=height, sharey=sharey, squeeze=False)
    said = []
    for i, (ax, (title, frame)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        curves = {str(name): frame[name].dropna() for name in frame}
        for label, level in (levels or {}).items():
            ax.axhline(level, color=MUTED, linestyle=":", linewidth=1.2)
            ax.annotate(label.replace(", ", "\n"), (1, level), (3, 0), xycoords=("axes fraction", "data"),
                        textcoords="offset points", va="center", fontsize=8, color=MUTED)  # fmt: skip
        ends = _draw(ax, curves, mark or {})
        if title in (at or {}):
            ax.axvline(at[title], color=MUTED, linewidth=1)
        if floor is not None:
            floor_line(ax, floor, f"the floor, {floor:.3g}", horizontal=True)
        several = len(panels) > 1  # then a tuple has one value per panel
        ax.set(title=title, **{k: v[i] if several and isinstance(v, tuple) else v for k, v in settings.items()})
        _ticks(ax, frame.index, len(panels))
        said.append(
            f"{title + ', ' if title else ''}{ax.get_ylabel()} by {ax.get_xlabel()}: {'; '.join(ends)}".lstrip()
        )
    _legend(fig, axes[0])
    lines = {"the floor": floor} if floor is not None else {}
    below = "".join(f" A line at {value:.3g}: {label}." for label, value in (lines | dict(levels or {})).items())
    return described(fig, f"Line plot. {'. '.join(said)}.{below}")


def _panels(table) -> Mapping:
    """Tables by title: several, or one without a title."""
    several = isinstance(table, Mapping) and isinstance(next(iter(table.values())), pd.DataFrame | Mapping)
    return table if several else {"": table}


def _frame(table, x) -> pd.DataFrame:
    """A frame of curves that begin together and may differ in length."""
    if isinstance(table, pd.DataFrame):
        return table
    series = {n: v if isinstance(v, pd.Series) else pd.Series(np.asarray(v, float)) for n, v in table.items()}
    frame = pd.DataFrame(series)
    return frame if x is None else frame.set_index(pd.Index(np.asarray(x)))


def _draw(ax, curves: Mapping[str, pd.Series], mark: Mapping[str, float]) -> list[str]:
    """Draw curves on axes; return where each begins and ends."""
    ends = []
    for i, (name, curve) in enumerate(curves.items()):
        line(ax, curve.index, curve, i, name)
        ends.append(f"{name} {curve.iloc[0]:.4g} to {curve.iloc[-1]:.4g}")
        if name in mark:
            ax.plot(mark[name], curve[mark[name]], "X", color=INK, markersize=10, zorder=3)
            ends[-1] += f", with a cross at {mark[name]:g}, where it is {curve[mark[name]]:.4g}"
    return ends


def _ticks(ax, places, panels: int) -> None:
    """Plain numbers on logarithmic axes, whole ones where all are whole, all of them where they are few."""
    for axis, scale in ((ax.xaxis, ax.get_xscale()), (ax.yaxis, ax.get_yscale())):
        if scale == "log":
            plain_log(axis)
    if ax.get_xscale() == "log" and len(places) <= 8:
        shown = places[:: -(-len(places) * panels // 12)]  # as many as there is room for
        ax.set_xticks(shown, [f"{place:,g}" for place in shown])
        ax.minorticks_off()
    elif ax.get_xscale() != "log" and pd.api.types.is_integer_dtype(places):
        whole_numbers(ax)


def _legend(fig, axes) -> None:
    """One legend where the panels have the same curves, below them where it is long; else one per panel."""
    most = max((ax.get_legend_handles_labels() for ax in axes), key=lambda both: len(both[1]))
    names = most[1]
    alike = all(set(ax.get_legend_handles_labels()[1]) <= set(names) for ax in axes)
    if alike and len(axes) > 1 and len(names) > 2:
        legend_below(fig, *most)
        return
    for ax in axes[:1] if alike else axes:
        if len(ax.get_legend_handles_labels()[1]) > 1 or not alike:
            ax.legend(ncols=2 if len(names) > 5 else 1)


@style()
def plot_bars(table: pd.DataFrame, *, form: str = "%.2f", height: float = 3.2, **settings) -> "Figure":
    """Draw a group of bars for each row, one bar for each column, with their values."""
    fig, ax = figure(height=height)
    places, width = np.arange(len(table)), 0.8 / len(table.columns)
    for i, name in enumerate(table):
        shift = (i - (len(table.columns) - 1) / 2) * width
        hatch = ("", "//", "..", "xx")[i % 4]
        bars = ax.bar(places + shift, table[name], 0.92 * width, color=COLOURS[i % 6], label=name, hatch=hatch,
                      edgecolor=PAPER, linewidth=0)  # fmt: skip
        ax.bar_label(bars, fmt=form, fontsize=8, padding=2)
    ax.set_xticks(places, [str(name) for name in table.index], fontsize=8)
    ax.set(**settings)
    ax.grid(axis="x", visible=False)
    if len(table.columns) > 1:
        ax.legend()
    said = [
        f"{name}: {', '.join(f'{column} {form % row[column]}' for column in table)}" for name, row in table.iterrows()
    ]
    return described(fig, f"Bars of {settings.get('ylabel', 'values')}. {'; '.join(said)}.".replace("\n", " "))


@style()
def plot_dots(
    values, *, form: str = "{:.2f}",
    reference: tuple[str, float] | None = None, height: float | None = None, **settings,
) -> "Figure":  # fmt: skip
    """Draw one dot per row with its name and its value, from top to bottom.

    Parameters
    ----------
    values
        Name -> value; or several such tables, by what is on their x axes.
    form
        Of the values.
    reference
        The label and the place of a vertical line.
    height
        Of the figure in inches; default: by the number of rows.
    settings
        For ``axes.set``.
    """
    several = isinstance(next(iter(values.values())), Mapping)
    panels = values if several else {settings.pop("xlabel", ""): values}
    names = list(next(iter(panels.values())))
    rows = np.arange(len(names))
    fig, axes = figure(1, len(panels), height=height or 1 + 0.34 * len(rows), sharey=True, squeeze=False)
    for ax, (label, panel) in zip(axes[0], panels.items(), strict=True):
        at = list(panel.values())
        ax.plot(at, rows, "o", markersize=8, color=COLOURS[0])
        for row, value in zip(rows, at, strict=True):
            ax.annotate(form.format(value), (value, row), (8, 0), textcoords="offset points", va="center")
        if reference:
            floor_line(ax, reference[1], reference[0], horizontal=False)
            ax.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)  # above, where no dot is
        if "xlim" not in settings and settings.get("xscale") != "log":
            ax.set_xlim(0, 1.2 * max(at))
        ax.set(xlabel=label, ylim=(len(rows) - 0.5, -0.5), **settings)
    axes[0, 0].set_yticks(rows, names, fontsize=9)
    said = [
        f"{label}: {', '.join(f'{n} {form.format(v)}' for n, v in panel.items())}" for label, panel in panels.items()
    ]
    line = f" A line at {reference[1]:.4g}: {reference[0]}." if reference else ""
    return described(fig, f"One dot per row. {'; '.join(said)}.{line}".replace("\n", " "))


@style()
def plot_points(groups: Mapping[str, np.ndarray], **settings) -> "Figure":
    """Points (N, 2) of several kinds, by name."""
    fig, ax = figure(height=4.2)
    for i, (name, points) in enumerate(groups.items()):
        ax.scatter(*np.asarray(points).T, label=name, marker=MARKERS[i % 6], color=COLOURS[i % 6], s=22)
    ax.set(**settings)
    ax.legend()
    middles = [f"{name} about ({x:.1f}, {y:.1f})" for name, (x, y) in
               ((name, np.asarray(points).mean(0)) for name, points in groups.items())]  # fmt: skip
    return described(fig, f"Scatter plot of {len(groups)} kinds of points in two dimensions: {'; '.join(middles)}.")


@style()
def plot_maps(
    panels: Mapping[str, np.ndarray], *, limit: float, rows: Mapping[int, str] | None = None, height: float = 3.3,
    **settings,
) -> "Figure":  # fmt: skip
    """Heat maps side by side: arrays by title; what is 0 is blank, and all share one scale.

    Parameters
    ----------
    panels
        Title -> array of two axes, rows down.
    limit
        The number with the darkest colour; with negative numbers the scale is centred on 0.
    rows
        Row -> its label; default: numbers.
    height, settings
        Inches; for ``axes.set``.
    """
    arrays = {title: np.asarray(values, dtype=float) for title, values in panels.items()}
    signed = min(values.min() for values in arrays.values()) < 0
    fig, axes = figure(1, len(arrays), height=height, sharey=True, squeeze=False)
    said = []
    for ax, (title, values) in zip(axes[0], arrays.items(), strict=True):
        ax.imshow(
            values,
            cmap="RdBu" if signed else "Blues",
            vmin=-limit * signed,
            vmax=limit,
            aspect="auto",
            interpolation="nearest",
        )
        ax.set(title=title, **settings)
        ax.grid(visible=False)
        blank = int((~values.any(axis=0)).sum()), int((~values.any(axis=1)).sum())
        said.append(
            f"{title}: {values.shape[0]} by {values.shape[1]}, {(values == 0).mean():.0%} of it blank, with {blank[0]} "
            f"whole columns and {blank[1]} whole rows; mean square {np.square(values).mean():.3g}"
        )
    if rows:
        axes[0, 0].set_yticks(list(rows), list(rows.values()), fontsize=8)
    return described(fig, f"Heat maps. {'; '.join(said)}.".replace("$", "").replace("\\odot", "times"))
