"""The figures about speed: what each change saved, and how near a computation comes to the machine's limits."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmtutor.display.figures import COLOURS, DASHES, MARKERS, MUTED, PAPER, described, figure, line, plain_log, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style()
def plot_waterfall(steps: Sequence[str], seconds: Sequence[float], *, unit: str = "seconds") -> "Figure":
    """What each of a row of changes saved.

    Parameters
    ----------
    steps
        The starting point, then what was changed, one change after the other.
    seconds
        Time before all changes, then after each of them, in `unit`.
    """
    fig, axes = figure(height=0.9 + 0.42 * len(steps))
    rows, times = np.arange(len(steps)), np.asarray(seconds, dtype=float)
    axes.barh(rows, times, color=COLOURS[0], height=0.62)
    saved = np.maximum(times[:-1] - times[1:], 0)
    axes.barh(rows[1:], saved, left=times[1:], height=0.62, color=PAPER, edgecolor=MUTED, hatch="////", linewidth=0.8)
    edges = [times[0], *np.maximum(times[:-1], times[1:])]
    for row, edge in zip(rows, edges, strict=True):
        factor = times[row - 1] / times[row] if row else 1.0
        gain = f" ({factor:.2g}× faster)" if factor >= 1.05 else f" ({1 / factor:.2g}× slower)" if factor < 0.95 else ""
        axes.annotate(f"{times[row]:.3g}{gain}", (edge, row), (5, 0), textcoords="offset points", va="center")
    axes.set(yticks=rows, yticklabels=list(steps), xlabel=unit, xlim=(0, times.max() * 1.4))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    parts = "; ".join(f"{step}: {time:.3g}" for step, time in zip(steps, times, strict=True))
    return described(
        fig, f"Bar chart of {unit} after each change. {parts}. In all {times[0] / times[-1]:.1f} times faster."
    )


@style()
def plot_roofline(parts: pd.DataFrame, bandwidth: float, products: Mapping[str, float]) -> "Figure":
    """The rate of some computations under a roofline (Williams, Waterman and Patterson 2009).

    Parameters
    ----------
    parts
        One row per computation: `part` (its name), `operations`, `bytes` moved and `seconds`.
    bandwidth
        Of the memory, bytes per second: the sloping part of the roof.
    products
        Operations per second of the machine's best product, by the name of its format: the level parts of the roof.
    """
    intensity, rate = parts["operations"] / parts["bytes"], parts["operations"] / parts["seconds"] / 1e9
    fig, axes = figure(height=3.9)
    edges = [most / bandwidth for most in products.values()]
    low, high = min(intensity.min(), *edges) / 3, max(intensity.max(), *edges) * 6
    for i, (name, most) in enumerate(products.items()):
        edge, dash = edges[i], DASHES[i % len(DASHES)]
        roof = [low * bandwidth / 1e9, most / 1e9, most / 1e9]
        axes.plot([low, edge, high], roof, color=MUTED, linestyle=dash)
        axes.annotate(f"{name}: {most / 1e9:.0f}", (high, most / 1e9), (0, 3), textcoords="offset points", ha="right")
    axes.annotate(
        f"memory: {bandwidth / 1e9:.0f} GB/s", (low, low * bandwidth / 1e9), (10, 2), textcoords="offset points"
    )
    for row, name in enumerate(parts["part"]):
        x, y = intensity.iloc[row], rate.iloc[row]
        axes.plot(x, y, MARKERS[row % 6], color=COLOURS[row % 6], markersize=8, label=f"{name}: {y:.3g}")
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set(xlabel="operations per byte moved", ylabel="billion operations per second")
    plain_log(axes.xaxis)
    plain_log(axes.yaxis)
    axes.legend(loc="lower right")
    said = "; ".join(
        f"{name} {y:.3g} at {x:.3g} operations per byte"
        for name, x, y in zip(parts["part"], intensity, rate, strict=True)
    )
    roofs = ", ".join(f"{name} {most / 1e9:.0f}" for name, most in products.items())
    return described(
        fig,
        f"Roofline on two logarithmic axes: billion operations per second over operations per byte moved. The roof "
        f"rises with the memory's {bandwidth / 1e9:.0f} GB per second up to {roofs}. Below it: {said}.",
    )


@style()
def plot_sweep(
    sweep: pd.DataFrame, heads: Mapping[str, str], sizes: Mapping[str, tuple[str, Sequence[int]]]
) -> "Figure":
    """Speed (above) and memory (below) of a training step while one size of the model grows.

    Parameters
    ----------
    sweep
        One row per measurement: `axis`, `head`, `value`, `tokens_per_cpu_second`, `peak_mib_above_imports`.
    heads
        What `head` says -> its name in the legend.
    sizes
        What `axis` says -> a title, and the ticks.
    """
    fig, axes = figure(2, len(sizes), height=5.8, sharex="col")
    said = []
    for column, (size, (title, ticks)) in enumerate(sizes.items()):
        for i, (head, name) in enumerate(heads.items()):
            rows = sweep[(sweep["axis"] == size) & (sweep["head"] == head)]
            speed, memory = rows["tokens_per_cpu_second"], rows["peak_mib_above_imports"]
            line(axes[0, column], rows["value"], speed, i, name)
            line(axes[1, column], rows["value"], memory, i, name)
            said.append(
                f"{name}, {title} from {rows['value'].iloc[0]:,} to {rows['value'].iloc[-1]:,}: "
                f"{speed.iloc[0]:,.0f} to {speed.iloc[-1]:,.0f} tokens per second, "
                f"{memory.iloc[0]:,.0f} to {memory.iloc[-1]:,.0f} MiB"
            )
        for row, label in enumerate(("tokens / processor\nsecond", "memory, MiB")):
            axes[row, column].set(xscale="log", yscale="log", xlabel=title, ylabel=label)
            plain_log(axes[row, column].yaxis)
        axes[1, column].minorticks_off()
        axes[1, column].set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes[0, -1].legend(loc="center")
    return described(fig, f"Curves in two rows: speed above, memory below. {'; '.join(said)}.")
