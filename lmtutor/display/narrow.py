"""A figure laid out anew for a phone: narrower, its panels below one another, its words as large as before."""

import math
from contextlib import ExitStack, contextmanager

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
        for label in _crowded_labels(fig):
            label.set_visible(False)
            afterwards.callback(label.set_visible, True)
        yield


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
            look = ("rotation", "horizontalalignment", "rotation_mode", "fontsize")
            afterwards.callback(label.set, **{name: getattr(label, f"get_{name}")() for name in look})
            label.set(rotation=90, horizontalalignment="center", rotation_mode="default", fontsize=8)
        for number in ax.texts if len(slanted) > MANY else ():
            number.set_visible(False)
            afterwards.callback(number.set_visible, True)


def _crowded_labels(fig) -> list:
    """Return the labels below an axis that would run into the one before."""
    fig.draw_without_rendering()
    crowded = []
    for ax in fig.axes:
        end = -math.inf
        for label in ax.get_xticklabels():
            if not label.get_text() or label.get_rotation():
                continue
            box, room = label.get_window_extent(), 3 if len(label.get_text()) > 1 else 0  # pixels; letters stand close
            if box.x0 < end + room:
                crowded.append(label)
            else:
                end = box.x1
    return crowded
