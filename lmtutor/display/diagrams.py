"""Drawings of chapters 06 to 08: boxes, arrows and small tables of numbers, no data."""

import numpy as np

from lmtutor.display.figures import COLOURS, INK, MUTED, PAPER, described, figure, style

BLUE, ORANGE = COLOURS[:2]


def _canvas(width: float, height: float, inches: float):
    """An axes without ticks, in units of our own: x from 0 to `width`, y from 0 to `height`."""
    fig, ax = figure(height=inches)
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return fig, ax


def _box(ax, x: float, y: float, text: str, colour: str = MUTED, size: float = 10) -> None:
    frame = {"boxstyle": "round,pad=0.35", "facecolor": PAPER, "edgecolor": colour, "linewidth": 1.5}
    ax.text(x, y, text, ha="center", va="center", fontsize=size, bbox=frame, zorder=3)


def _go(ax, start, end, colour: str = INK, bend: float = 0.0, width: float = 1.3, dash="-") -> None:
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": width, "linestyle": dash, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=arrow | {"connectionstyle": f"arc3,rad={bend}"})


@style()
def join_tree():
    """Chapter 06: how the scan joins eight steps c_t = a_t c_(t-1) + b_t in three rounds up and two down."""
    fig, ax = _canvas(9, 6.2, 3.6)
    rows = [[str(t) for t in range(1, 9)], ["1–2", "3–4", "5–6", "7–8"], ["1–4", "5–8"], ["1–8"]]
    places = [np.arange(1.0, 9.0)]
    for _ in rows[1:]:
        places.append((places[-1][::2] + places[-1][1::2]) / 2)
    for level, (labels, xs) in enumerate(zip(rows, places, strict=True)):
        for x, label in zip(xs, labels, strict=True):
            _box(ax, x, 1 + 1.5 * level, label, BLUE)
        for i, x in enumerate(places[level - 1] if level else []):
            _go(ax, (x, 1.5 * level - 0.15), (xs[i // 2] + (0.12 if i % 2 else -0.12), 0.65 + 1.5 * level), BLUE)
    for level, i, j in ((2, 0, 2), (1, 0, 2), (1, 1, 4), (1, 2, 6)):  # what is known on the left is handed to the right
        target = places[level - 1][j]
        _go(ax, (places[level][i] + 0.35, 0.85 + 1.5 * level), (target, 1.5 * level - 0.12), ORANGE, -0.15, 1.1, "--")
    ax.text(0.1, 0.2, "up: neighbours are joined", color=BLUE, fontsize=9)
    ax.text(4.6, 0.2, "down: what came before is handed on", color=ORANGE, fontsize=9)
    alt = (
        "A tree over eight steps. Solid arrows join 1 and 2, 3 and 4, 5 and 6, 7 and 8, then pairs of pairs, then all. "
        "Dashed arrows lead back down and hand what is known of the steps on the left to those on the right."
    )
    return described(fig, alt)


@style()
def upright_band(steps: int = 4, window: int = 3):
    """Chapter 07: a band of a matrix, and the same numbers read with a row stride that is one longer than a row."""
    columns = steps + window - 1
    fig, (left, right) = figure(1, 2, height=2.3, width_ratios=[columns, window + 1.5])
    for ax, width, stride in ((left, columns, columns), (right, window, columns + 1)):
        for row in range(steps):
            for column in range(width):
                place = row * stride + column
                inside = row <= place - row * columns < row + window
                ax.text(column, row, str(place), ha="center", va="center", color=INK if inside else MUTED,
                        weight="bold" if inside else "normal")  # fmt: skip
                ax.fill_between([column - 0.45, column + 0.45], row - 0.4, row + 0.4, color=BLUE, alpha=0.25 * inside)
        ax.set(xlim=(-0.6, width - 0.4), ylim=(steps - 0.4, -0.6))
        ax.axis("off")
    left.set_title(f"as it lies: {columns} numbers from row to row")
    right.set_title(f"as it is read: {columns + 1}")
    alt = (
        f"Left, a matrix of {steps} rows and {columns} columns numbered as it lies in memory; a diagonal "
        f"band {window} wide is shaded. Right, the same numbers alone, upright: {steps} rows of {window}."
    )
    return described(fig, alt)


@style()
def attention_diagram():
    """Chapter 08: one query, four keys, four weights, four values, one sum."""
    fig, ax = _canvas(10, 5.4, 3.4)
    words, weights = ("Pell", "said", "to", "Vane"), (0.5, 0.08, 0.02, 0.4)
    for i, (word, weight) in enumerate(zip(words, weights, strict=True)):
        x = 1.4 + 1.9 * i
        ax.text(x, 0.25, word, ha="center", style="italic")
        _box(ax, x - 0.4, 1.2, f"$k_{i + 1}$", BLUE)
        _box(ax, x + 0.4, 1.2, f"$v_{i + 1}$", COLOURS[2])
        _go(ax, (x - 0.4, 1.6), (x - 0.1, 2.5), BLUE)
        _box(ax, x, 2.85, f"$a_{i + 1}$ = {weight:g}", ORANGE, 9)
        _go(ax, (x + 0.4, 1.6), (4.6 + 0.12 * i, 4.6), COLOURS[2], width=0.5 + 4 * weight)
    _box(ax, 9.2, 1.2, "$q_4$", ORANGE)
    ax.text(9.2, 1.85, "asks", ha="center", fontsize=9)
    ax.plot([9.2, 9.2, 1.3], [2.1, 3.45, 3.45], color=ORANGE, linestyle=":", linewidth=1.3)
    ax.text(9.1, 3.6, "compared with each key", ha="right", fontsize=9, color=ORANGE)
    _box(ax, 4.8, 5.0, "$o_4 = a_1 v_1 + a_2 v_2 + a_3 v_3 + a_4 v_4$", COLOURS[2])
    alt = (
        "Four words, each with a key and a value. The query of the last is compared with each key, which gives four "
        "weights: 0.5, 0.08, 0.02, 0.4. Arrows as thick as the weights lead from the values to their weighted sum."
    )
    return described(fig, alt)


@style()
def layer_diagram(heads: int = 4):
    """Chapter 08: a Transformer layer: two halves that each add to the road they read from; the heads of the first."""
    fig, ax = _canvas(12, 5, 3.2)
    ax.plot([0.4, 11.3], [1, 1], color=INK, linewidth=3.4, solid_capstyle="butt")
    _go(ax, (11.2, 1), (11.7, 1), width=3.4)
    ax.text(0.4, 0.45, "$x$", fontsize=12)
    for x, end, label in ((1.1, 6.4, "norm"), (7.2, 10.7, "norm")):
        _go(ax, (x, 1), (x, 2.35))
        _box(ax, x, 2.7, label)
        _go(ax, (end, 2.4), (end, 1.25))
        _box(ax, end, 1, "+", INK, 12)
    _go(ax, (7.6, 2.7), (8.1, 2.7))
    _box(ax, 9.0, 2.7, "$W_1$, gelu, $W_2$", BLUE)
    ax.plot([9.9, 10.7, 10.7], [2.7, 2.7, 2.4], color=INK, linewidth=1.3)
    for i in range(heads):
        y = 1.95 + 0.75 * i
        _go(ax, (1.55, 2.7), (2.5, y))
        _box(ax, 3.4, y, f"head {i + 1}", ORANGE, 9)
        _go(ax, (4.3, y), (5.1, 2.9))
    _box(ax, 5.5, 2.9, "$W_o$", BLUE)
    ax.plot([5.9, 6.4, 6.4], [2.9, 2.9, 2.4], color=INK, linewidth=1.3)
    alt = (
        f"A thick line, x, runs to the right through two plus signs. Before the first a branch leads through norm into "
        f"{heads} heads side by side, through a matrix W_o and back to it. Before the second a branch leads "
        "through norm, W_1, gelu and W_2 and back."
    )
    return described(fig, alt)


@style()
def induction_diagram():
    """Chapter 08: A B … A: two layers find what followed the earlier A."""
    fig, ax = _canvas(10, 4.6, 2.8)
    words, xs = ("Violet", "Pell", "took", "the", "train", ".", "Violet"), 0.8 + 1.35 * np.arange(7)
    for x, word in zip(xs, words, strict=True):
        ax.text(x, 0.3, word, ha="center", style="italic")
        _box(ax, x, 1.25, "   ", MUTED)
        _box(ax, x, 3.0, "   ", MUTED)
    _box(ax, xs[1], 3.0, "“after Violet”", BLUE, 8)
    _go(ax, (xs[0], 1.6), (xs[1] - 0.1, 2.6), BLUE, width=2)
    ax.text(xs[1] + 0.25, 2.1, "layer 1: what stood before me?", color=BLUE, fontsize=9)
    _go(ax, (xs[6], 3.4), (xs[1], 3.45), ORANGE, 0.18, 2)
    ax.text(xs[6], 4.25, "layer 2: who stands after Violet?", color=ORANGE, fontsize=9, ha="right")
    ax.text(xs[6] + 0.35, 2.9, "→ Pell", color=ORANGE, weight="bold")
    alt = (
        "The words Violet Pell took the train . Violet. In layer 1 an arrow from Violet writes “after Violet” into "
        "the step of Pell. In layer 2 the last Violet looks back at that step, and so predicts Pell."
    )
    return described(fig, alt)
