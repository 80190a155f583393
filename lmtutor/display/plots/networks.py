"""Recurrent networks from within: gates, cells, the error on its way back."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lmtutor.display.figures import COLOURS, DASHES, INK, MUTED, described, figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    fig, axes = figure(len(activations), 1, height=1.35 * len(activations) + 0.8, sharex=True, squeeze=False)
    said = []
    for ax, (name, values) in zip(axes[:, 0], activations.items(), strict=True):
        values = np.asarray(values, dtype=float)
        top = max(1.0, np.abs(values).max())
        colours, low = ("PuOr", -top) if values.min() < 0 else ("cividis", 0.0)
        image = ax.imshow(values.T, aspect="auto", cmap=colours, vmin=low, vmax=top, interpolation="nearest")
        fig.colorbar(image, ax=ax, pad=0.01, fraction=0.05)
        ax.set_ylabel(name)
        ax.set_yticks(np.arange(values.shape[1]) if values.shape[1] <= 12 else [])
        ax.set_yticklabels([str(unit + 1) for unit in range(len(ax.get_yticks()))], fontsize=8)
        ax.grid(visible=False)
        said.append(f"{name} mean {values.mean():.2f}, highest at “{tokens[int(values.mean(1).argmax())]}”")
    letters = max(map(len, tokens)) == 1
    look = {"fontsize": 8} if letters else {"rotation": 50, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(np.arange(len(tokens)), list(tokens), **look)
    return described(
        fig, f"Heat maps of activations, one column per token, for: {' '.join(tokens)}. {'; '.join(said)}."
    )


@style()
def plot_error_by_lag(curves: Mapping[int, Sequence[float]], read: int) -> "Figure":
    """One moment of training: how much of an error is left k letters back, among the other moments.

    Parameters
    ----------
    curves
        Letters read -> size of the error at lags 0, 1, 2, …, 20 or more.
    read
        The moment to show.
    """
    fig, axes = figure(height=3)
    for other in curves.values():
        axes.plot(other / other[0], color=MUTED, alpha=0.6, linewidth=1.4)
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
    below.set_xticks(steps, list(letters), fontsize=8)
    for axes in (above, below):
        axes.grid(axis="x", visible=False)
    said = []
    for name, values in gates.items():
        low = [letters[t] for t in np.flatnonzero(np.asarray(values) < 0.5)]
        said.append(f"its {name} is {np.mean(values):.2f} on average and below a half at: {' '.join(low) or 'none'}")
    return described(fig, f"One cell over {len(letters)} letters: {'; '.join(said)}.")


@style()
def plot_network_steps(letters: Sequence[str], states, probabilities, alphabet: Sequence[str]) -> "Figure":
    """A small recurrent network at work: letters below, states in the middle, probabilities above.

    Parameters
    ----------
    letters
        The T letters that it reads.
    states
        Array (T, H), from −1 to 1.
    probabilities
        Array (T, V).
    alphabet
        The V letters.
    """
    fig, axes = figure(height=3.9, narrow=4.95)
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
    best = [f"{letter} → {alphabet[int(np.argmax(p))]}" for letter, p in zip(letters, probabilities, strict=True)]
    return described(
        fig,
        f"{len(letters)} steps side by side. Each has a letter, an arrow up to {states.shape[1]} coloured squares, and "
        "an arrow up to a bar for each letter that may come next. Arrows lead from each column of squares to the next. "
        f"The tallest bars: {', '.join(best)}.",
    )


@style()
def plot_window(vectors, hidden, guesses: Mapping[str, float], words: Sequence[str]) -> "Figure":
    """A network with a window at work: embeddings (n − 1, K) of the words, hidden state (H,), the likeliest guesses."""
    fig, (left, middle, right) = figure(1, 3, height=2.8, width_ratios=(3, 0.7, 2))
    look = {"aspect": "auto", "cmap": "RdBu_r", "vmin": -1, "vmax": 1}
    left.imshow(vectors, **look)
    left.set_yticks(range(len(words)), words)
    left.set(xticks=[], xlabel=f"{vectors.shape[1]} numbers per word", title="window")
    middle.imshow(hidden[:, None], **look)
    middle.set(xticks=[], yticks=[], xlabel=f"{len(hidden)} units", title="h")
    right.barh(range(len(guesses)), list(guesses.values()), color=COLOURS[0])
    right.set_yticks(range(len(guesses)), list(guesses))
    right.invert_yaxis()
    right.set_title(f"p(next | {' '.join(words)})", wrap=True)
    for ax in (left, middle):
        ax.grid(visible=False)
    right.grid(axis="y", visible=False)
    said = ", ".join(f"{word} {p:.2f}" for word, p in guesses.items())
    return described(
        fig,
        f"Coloured strips for the embeddings of {' '.join(words)}, one strip for the hidden state, and bars for the "
        f"likeliest next words: {said}.",
    )
