"""The figures of chapter 09: what a state of fixed size remembers and costs, how near it comes to a known floor."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from lmtutor.display.figures import COLOURS, MUTED, described, figure, floor_line, line, plain_log, style
from lmtutor.display.narrow import legend_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@style()
def plot_recall(history: pd.DataFrame, capacity: Mapping[str, int], chance: float) -> "Figure":
    """The share of right answers against the number of pairs, mean and range of the seeds; below, the numbers carried.

    Parameters
    ----------
    history
        One row per family, seed and number of `pairs`: the `share` answered right, the `numbers` carried.
    capacity
        Family -> how many keys at right angles its state has room for; a tick on the curve.
    chance
        The share that guessing answers right.
    """
    groups = {"vectors and attention": [], "matrices": []}
    for name in history["family"].unique():
        groups["matrices" if name in capacity else "vectors and attention"].append(name)
    fig, axes = figure(2, 2, height=6.2, sharex="col", sharey="row", gridspec_kw={"height_ratios": [3, 2]})
    said, apart = [], {}
    for column, (title, names) in enumerate(groups.items()):
        top, strip = axes[0, column], axes[1, column]
        for i, name in enumerate(names):
            pairs = history[history["family"] == name].groupby("pairs")
            mean, low, high = pairs[["share", "numbers"]].mean(), pairs["share"].min(), pairs["share"].max()
            line(top, mean.index, mean["share"], i, name)
            top.fill_between(mean.index, low, high, color=COLOURS[i % 6], alpha=0.2, linewidth=0)
            apart[name] = (high - low).max()
            line(strip, mean.index, mean["numbers"], i, name)
            if name in capacity:
                top.axvline(capacity[name], ymax=0.05, color=COLOURS[i % 6], linewidth=3)
            said.append(f"{name}: " + ", ".join(f"{share:.0%} of {n}" for n, share in mean["share"].items()))
        top.axhline(chance, color=MUTED, linestyle=":")
        top.set(title=title, ylabel="share of right answers", ylim=(0, 1.04), xscale="log")
        top.legend(fontsize=8, loc="center left" if column else "upper right")
        strip.set(title=title, ylabel="numbers carried", yscale="log", ylim=(50, 60_000))
        for ax in (top, strip):
            ax.set_xlabel("pairs in a line")
        strip.set_xticks(mean.index, mean.index)
        strip.minorticks_off()
        plain_log(strip.yaxis)
    return described(
        fig,
        f"Share of right answers against pairs in a line; guessing gets {chance:.0%}. {'; '.join(said)}. "
        f"Seeds lie up to {max(apart.values()):.0%} apart, those of {max(apart, key=apart.__getitem__)}.",
    )


@style()
def plot_costs(passes: pd.DataFrame, steps: pd.DataFrame) -> "Figure":
    """Tokens per second of a training pass against length, at batch 1; time and bytes of a token against those read."""
    fig, axes = figure(1, 3, height=4.1)
    said = []
    alone = passes[passes["batch"] == 1]
    both = dict.fromkeys(("attention", "Transformer"), "attention, Transformer")  # the layer, and the model of it
    shown = list(dict.fromkeys(both.get(name, name) for name in [*alone["layer"], *steps["model"]]))
    panels = [(alone, "layer", "steps", "tokens_per_second"), (steps, "model", "read", "milliseconds")]
    panels.append((steps.assign(KiB=steps["bytes"] / 1024), "model", "read", "KiB"))
    for ax, (table, which, x, y) in zip(axes, panels, strict=True):
        for name, part in table.groupby(which, sort=False):
            i = shown.index(both.get(name, name))
            line(ax, part[x], part[y], i, shown[i])
            ends = [f"{end:,.0f}" if end >= 100 else f"{end:.3g}" for end in part[y].iloc[[0, -1]]]
            said.append(f"{y.replace('_', ' ')}, {name}: {' to '.join(ends)}")
    titles = {"training, tokens/s": "length", "one more token, ms": "tokens read", "the state, KiB": "tokens read"}
    for ax, (title, x), ticks in zip(axes, titles.items(), (alone["steps"], steps["read"], steps["read"]), strict=True):
        ax.set(xscale="log", yscale="log", title=title, xlabel=x)
        ax.title.set_fontsize(9)
        ax.set_xticks(ticks.unique(), [f"{tick:,}" for tick in ticks.unique()])
        ax.minorticks_off()
        plain_log(ax.yaxis)
        ax.tick_params(labelsize=8)
    handles = {name: one for ax in axes for one, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    legend_below(fig, handles.values(), handles)
    return described(fig, f"Training speed, time and memory of a token, on logarithmic axes. {'; '.join(said)}.")


@style()
def plot_law(history: pd.DataFrame, floors: Mapping[str, float]) -> "Figure":
    """ln(L − H) against ln(tokens) for every width, with each of several floors H taken off."""
    fig, axes = figure(1, len(floors), height=3.4, sharey=True, squeeze=False)
    said = []
    for ax, (name, floor) in zip(axes[0], floors.items(), strict=True):
        for i, (width, part) in enumerate(history.groupby("width")):
            above = part["nats_per_token"] - floor
            line(ax, part["tokens"], above.where(above > 0), i, f"{width} units")
        said.append(f"with {name}, H = {floor:.3f}, the largest ends {above.iloc[-1]:.3f} nats above it")
        ax.set(xscale="log", yscale="log", title=f"{name}: {floor:.2f}")
        ax.set(xlabel="thousand tokens read", ylabel="L − H, nats per token")
        ax.title.set_fontsize(9)
        ticks = sorted(history["tokens"].unique())
        ax.set_xticks(ticks, [f"{tick / 1000:.0f}" for tick in ticks])
        ax.minorticks_off()
        plain_log(ax.yaxis)
    axes[0, 0].legend(fontsize=8)
    return described(fig, f"Loss above a floor against tokens, on logarithmic axes, five widths. {'; '.join(said)}.")


@style()
def plot_tokens_and_seconds(curves: pd.DataFrame, families: Sequence[str], floor: float) -> "Figure":
    """Perplexity of every family against what it has read, and against the processor seconds that took."""
    from matplotlib import ticker

    fig, axes = figure(1, 2, height=3.8, sharey=True)
    ends = []
    for ax, column, label in ((axes[0], "tokens", "tokens"), (axes[1], "seconds", "processor seconds, one thread")):
        for i, name in enumerate(families):
            part = curves[curves["family"] == name]
            line(ax, part[column], part["perplexity"], i, name)
            ends += [f"{name} {part['perplexity'].iloc[-1]:.3g} after {part[column].iloc[-1]:,.0f} {label}"]
        floor_line(ax, floor, "the exact floor", horizontal=True)
        ax.set(yscale="log", xlabel=label, ylabel="validation perplexity")
        plain_log(ax.yaxis)
    axes[0].xaxis.set_major_locator(ticker.MaxNLocator(4, prune="upper"))
    axes[1].legend(fontsize=8)
    return described(
        fig, f"Perplexity against tokens and against seconds, down to a floor of {floor:.3g}. {'; '.join(ends)}."
    )
