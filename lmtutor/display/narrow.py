"""What a figure needs beside its drawing: labels that do not touch, and a layout for a phone.

On a phone it is narrower, its panels stand below one another, and its words are as large as before.
"""

import re
from contextlib import ExitStack, contextmanager

import numpy as np

NARROW = 4.3  # inches: shown on a phone at four fifths of its size
MANY = 24  # slanted words below an axis: more touch at that width


@contextmanager
def narrow(fig, width: float = NARROW):
    """Lay a matplotlib figure out for a phone within the ``with`` block; afterwards it is as it was.

    Parameters
    ----------
    fig : with a layout engine, which gives what changes its room.
    width : in inches.
    """
    with ExitStack() as afterwards:
        afterwards.callback(fig.set_size_inches, tuple(fig.get_size_inches()))
        columns = _stack_panels(fig, afterwards)
        fig.set_size_inches(width, fig.get_figheight() * (0.85 * columns if columns > 1 else 1))
        for title in (title for ax in fig.axes for title in (ax.title, ax._left_title)):
            title.set_wrap(True)
            afterwards.callback(title.set_wrap, False)
        _words_upright(fig, afterwards)
        _numbers_upright(fig, afterwards)
        afterwards.enter_context(uncrowded(fig))
        yield


@contextmanager
def wide(fig):
    """Lay a figure out for a page within the ``with`` block: what neighbouring panels have in common is said once."""
    with ExitStack() as afterwards:
        places = {ax: ax.get_subplotspec() for ax in fig.axes if ax.get_subplotspec()}
        at = {(place.rowspan.start, place.colspan.start): _words_around(ax) for ax, place in places.items()}
        for (row, column), words in at.items():
            for word, neighbour in zip(words, ((row - 1, column), (row + 1, column), (row, column - 1)), strict=True):
                if neighbour in at and word.get_text() in [other.get_text() for other in at[neighbour]]:
                    _change(afterwards, word, visible=False)
        afterwards.enter_context(uncrowded(fig))
        yield


@contextmanager
def uncrowded(fig):
    """Keep labels below an axis apart, words off lines and legends off curves within the ``with`` block."""
    with ExitStack() as afterwards:
        for ax in fig.axes:
            _labels_apart(fig, ax, afterwards)
        fig.draw_without_rendering()
        for ax in fig.axes:
            _numbers_above_lines(ax, afterwards)
            _words_beside_lines(ax, afterwards)
        _legends_off_curves(fig, afterwards)
        yield


def legend_below(fig, handles, names, size: float = 8):
    """Put a legend below the panels, in as many columns as a narrow figure has room for; return it."""
    longest = max(map(len, names)) * 0.6 * size + 5 * size  # points, with the line before it and the gap
    columns = max(1, min(len(names), 4, int(72 * NARROW / longest)))
    return fig.legend(handles, names, loc="outside lower center", ncols=columns, fontsize=size)


def _words_around(ax) -> tuple:
    """The title of a panel, and the labels of its axes."""
    return ax._left_title, ax.xaxis.label, ax.yaxis.label


def _stack_panels(fig, afterwards: ExitStack) -> int:
    """Put panels side by side below one another, each with the labels of its axes; return how many columns it had."""
    from matplotlib.gridspec import GridSpec

    places = {ax: ax.get_subplotspec() for ax in fig.axes if ax.get_subplotspec()}
    rows, columns = max((place.get_gridspec().get_geometry() for place in places.values()), default=(1, 1))
    if columns > 1:
        grid = GridSpec(rows * columns, 1, figure=fig)
        for ax, place in places.items():
            labels = ax.xaxis.get_tick_params() | ax.yaxis.get_tick_params()
            before = {name: labels[name] for name in ("labelleft", "labelbottom") if name in labels}
            afterwards.callback(ax.tick_params, **before)
            afterwards.callback(ax.set_subplotspec, place)
            ax.set_subplotspec(grid[place.num1])
            ax.tick_params(**dict.fromkeys(before, True))
    return columns


def _words_upright(fig, afterwards: ExitStack) -> None:
    """Where more slanted words stand below an axis than have room, stand them upright, and take the numbers off."""
    for ax in fig.axes:
        slanted = [label for label in ax.get_xticklabels() if label.get_rotation() % 90]
        for label in slanted if len(slanted) > MANY else ():
            upright = {"rotation": 90, "horizontalalignment": "center", "rotation_mode": "default"}
            _change(afterwards, label, fontsize=8, **upright)
        for number in ax.texts if len(slanted) > MANY else ():
            _change(afterwards, number, visible=False)


def _numbers_upright(fig, afterwards: ExitStack) -> None:
    """Where the numbers above neighbouring bars would touch, stand all of them upright."""
    fig.draw_without_rendering()
    for ax in fig.axes:
        numbers = [text for text in ax.texts if text.get_visible() and ax.patches and not text.get_bbox_patch()]
        boxes = [number.get_window_extent().padded(1) for number in numbers]
        if any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]):
            for number in numbers:
                _change(afterwards, number, rotation=90)


def _numbers_above_lines(ax, afterwards: ExitStack) -> None:
    """Where a line across the panel would cross the number of a bar, put the number above the line."""
    levels = [line for line in ax.lines if line.get_transform() == ax.get_yaxis_transform()]
    for number in ax.texts if ax.patches else ():
        box = number.get_window_extent().padded(1)
        for y in (ax.transData.transform((0, line.get_ydata()[0]))[1] for line in levels):
            if box.y0 < y < box.y1:
                right, up = number.get_position()
                _change(afterwards, number, position=(right, up + (y - box.y0 + 1) * 72 / ax.figure.dpi))


def _words_beside_lines(ax, afterwards: ExitStack) -> None:
    """Where a word above an upright line lies on another line, put it beside that; without room, leave it out."""
    drawn = (one.get_segments() for one in ax.collections if hasattr(one, "get_segments"))
    uprights = [ax.transData.transform(s) for segments in drawn for s in segments if np.ptp(s[:, 0]) == 0]
    kept = []
    for word in ax.texts if uprights else ():
        own = ax.transData.transform(word.xy)[0]

        def crossed(word=word, own=own):
            box = word.get_window_extent().padded(1)
            tall = (x for (x, _), (_, top) in uprights if top > box.y0 and abs(x - own) > 0.1)
            return [x for x in tall if box.x0 < x < box.x1]

        if on := crossed():
            _change(afterwards, word, horizontalalignment="left" if on[0] < own else "right")
        box = word.get_window_extent()
        if crossed() or any(box.overlaps(other) for other in kept):
            _change(afterwards, word, visible=False)
        else:
            kept.append(box)


def _change(afterwards: ExitStack, artist, **look) -> None:
    """Set properties of an artist until the end of the block."""
    afterwards.callback(artist.set, **{name: getattr(artist, f"get_{name}")() for name in look})
    artist.set(**look)


def _labels_apart(fig, ax, afterwards: ExitStack) -> None:
    """Where labels below an axis touch: letters go in two rows, words are slanted, and of numbers some are left out.

    The last to be left out are powers of ten.
    """
    fig.draw_without_rendering()
    labels = [one for one in ax.get_xticklabels() if one.get_visible() and one.get_text() and not one.get_rotation()]
    crowded, placed = [], []
    for label in sorted(labels, key=lambda one: not re.fullmatch(r"(0\.0*)?1[0,]*", one.get_text())):
        room = 3 if len(label.get_text()) > 1 else -0.5  # pixels
        box = label.get_window_extent()
        if any(box.x0 < other.x1 + room and other.x0 < box.x1 + room for other in placed):
            crowded.append(label)
        else:
            placed.append(box)
    if crowded and all(len(label.get_text()) == 1 for label in labels):
        height = labels[0].get_window_extent().height / ax.get_window_extent().height
        for label in labels[1::2]:
            _change(afterwards, label, position=(label.get_position()[0], -1.2 * height))
    elif any(re.search("[A-Za-z]{2}", label.get_text()) for label in crowded):
        for label in labels:
            _change(afterwards, label, rotation=40, horizontalalignment="right", rotation_mode="anchor")
    else:
        for label in crowded:
            _change(afterwards, label, visible=False)


def _legends_off_curves(fig, afterwards: ExitStack) -> None:
    """Where a panel has no room for its legend beside curves and bars, put the legend below the panels."""
    fig.draw_without_rendering()
    for legend in (ax.get_legend() for ax in fig.axes if ax.get_legend()):
        ax, room = legend.axes, legend.get_window_extent().padded(-4)
        paths = (line.get_path().transformed(line.get_transform()) for line in ax.lines)
        on_curve = any(path.intersects_bbox(room, filled=False) for path in paths)
        if on_curve or any(drawn.get_window_extent().overlaps(room) for drawn in (*ax.patches, *ax.texts)):
            _change(afterwards, legend, visible=False)
            afterwards.callback(legend_below(fig, *ax.get_legend_handles_labels()).remove)
