"""Drawings of chapters 02 to 08: boxes, arrows and small tables of numbers, no data."""

from functools import partial

import numpy as np

from lmtutor.display.figures import COLOURS, GRID, INK, MUTED, PAPER, described, figure, style

BLUE, ORANGE = COLOURS[:2]
drawing = partial(figure, narrow=4.95)  # inches: the boxes have room, and letters of 9 points are 9 pixels on a phone


def _canvas(width: float, height: float, inches: float, **keywords):
    """An axes without ticks, in units of our own: x from 0 to `width`, y from 0 to `height`."""
    fig, ax = drawing(height=inches, **keywords)
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return fig, ax


def _box(ax, x: float, y: float, text: str, colour: str = MUTED, size: float = 10, pad: float = 0.35) -> None:
    frame = {"boxstyle": f"round,pad={pad}", "facecolor": PAPER, "edgecolor": colour, "linewidth": 1.5}
    ax.text(x, y, text, ha="center", va="center", fontsize=size, bbox=frame, zorder=4)  # over the arrows


def _go(ax, start, end, colour: str = INK, bend: float = 0.0, width: float = 1.3, dash="-") -> None:
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": width, "linestyle": dash, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=arrow | {"connectionstyle": f"arc3,rad={bend}"})


@style()
def backward_diagram():
    """Chapter 02: three steps of a recurrent network, and the way of the errors back through them."""
    fig, axes = drawing(height=3.1)
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
    return described(
        fig,
        "Three columns of boxes x, h and z. Solid arrows lead up in each column and from each h to the next. Dashed "
        "arrows lead back, from each z down to its h, from each h to the h before, and from each h down to its x.",
    )


@style()
def lstm_cell_diagram():
    """Chapter 03: one LSTM cell: the carousel above, the gates below, the peepholes dashed."""
    fig, axes = drawing(height=4.1)

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
    return described(
        fig,
        "A thick line runs from the old cell c at the left through a times sign and a plus sign to the new cell at the "
        "right. Below it stand four boxes fed by x and the old h. f feeds the times sign; i and g meet in another "
        "times sign that feeds the plus sign; o is multiplied with the tanh of the new cell to give the new h. Dashed "
        "arrows lead from the old cell to f and i, and from the new cell to o.",
    )


@style()
def columns_diagram(text: str = "abcdefghijklmnopqrstuvwxyz", columns: int = 4):
    """Chapter 04: a text cut into pieces of equal length, which then stand side by side and are read downwards."""
    rows = len(text) // columns
    fig, ax = _canvas(len(text) + 1, rows + 3.2, 2.9)
    left = (len(text) - 3 * columns) / 2 + 1.5
    for i, letter in enumerate(text):
        column, row = divmod(i, rows)
        kept = column < columns
        colour = COLOURS[column] if kept else MUTED
        _box(ax, i + 1, rows + 2.5, letter, colour, 9, 0.2)
        if kept:
            _box(ax, left + 3 * column, rows - row, letter, colour, 9, 0.2)
    for column in range(columns):
        x = left + 3 * column
        _go(ax, (column * rows + rows / 2 + 0.5, rows + 2), (x, rows + 0.6), COLOURS[column], width=1)
        if column + 1 < columns:
            _go(ax, (x + 0.5, 1), (x + 2.5, rows), MUTED, dash="--", width=1)
    ax.annotate("time", (left - 2, 0.8), (left - 2, rows), ha="center",
                arrowprops={"arrowstyle": "-|>", "color": INK})  # fmt: skip
    ax.text(len(text) - 0.5, rows + 1.2, "left out", color=MUTED, ha="center", fontsize=9)
    alt = (
        f"Above, the {len(text)} letters in a row, in {columns} pieces of {rows}; the last {len(text) % columns} are "
        f"left out. Below, the pieces as {columns} columns read downwards; a dashed arrow leads from the end of each "
        "column to the beginning of the next."
    )
    return described(fig, alt)


@style()
def cut_diagram(steps: int = 3, batches: int = 2):
    """Chapter 04: the state passes from batch to batch, the gradient does not."""
    fig, ax = _canvas(2 * steps * batches + 1.4, 4.4, 2.6)
    last = steps * batches
    for t in range(last):
        x = 1.2 + 2 * t
        _box(ax, x, 0.7, f"$x_{t + 1}$")
        _box(ax, x, 2.1, f"$h_{t + 1}$", BLUE)
        _box(ax, x, 3.6, f"$x_{t + 2}$", COLOURS[2])
        _go(ax, (x - 0.12, 1.05), (x - 0.12, 1.7), BLUE)
        _go(ax, (x - 0.12, 2.5), (x - 0.12, 3.2), BLUE)
        _go(ax, (x + 0.15, 3.2), (x + 0.15, 2.5), ORANGE, dash="--")
        if t + 1 < last:
            _go(ax, (x + 0.5, 2.25), (x + 1.5, 2.25), BLUE, width=2)
            if (t + 1) % steps:
                _go(ax, (x + 1.5, 1.95), (x + 0.5, 1.95), ORANGE, dash="--")
    for batch in range(1, batches):
        ax.plot([0.2 + 2 * steps * batch] * 2, [0.3, 4.1], color=INK, linestyle=":", linewidth=1.6)
    alt = (
        f"{last} steps in {batches} batches of {steps}: inputs below, states in the middle, targets above. Solid "
        "arrows carry the state from step to step, across the border of the batches too. Dashed arrows carry the "
        "gradient back, and none crosses the border."
    )
    return described(fig, alt)


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
    fig, (left, right) = drawing(1, 2, height=2.3, width_ratios=[columns, window + 1.5])
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
        f"First, a matrix of {steps} rows and {columns} columns numbered as it lies in memory; a diagonal "
        f"band {window} wide is shaded. Then the same numbers alone, upright: {steps} rows of {window}."
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
    _go(ax, (7.6, 2.7), (8.4, 2.7))
    _box(ax, 9.0, 2.7, "$W_1$\ngelu\n$W_2$", BLUE)
    ax.plot([9.4, 10.7, 10.7], [2.7, 2.7, 2.4], color=INK, linewidth=1.3)
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
    for x in np.delete(xs, 1):
        _box(ax, x, 3.0, "   ", MUTED)
    _box(ax, xs[1], 3.0, "“after Violet”", BLUE, 9)
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
