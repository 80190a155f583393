"""The look of the book's figures, and how one shows itself: wide, narrow on a phone, with alternative text.

Display goes through HTML: a notebook's own image outputs have one width, and lose the alternative text on the way to
the page. Letters stay letters, to be selected and searched; the built page brings their font.
"""

import base64
import html
import io
import math
from contextlib import contextmanager
from functools import cache

from lmtutor.display.narrow import NARROW, narrow, wide
from lmtutor.system.errors import LMTutorError

PAPER, INK, MUTED, GRID = "#fbfaf6", "#1f2a30", "#55636b", "#dfe1dc"
ON_DARK, ON_BRIGHT = "#fefefe", "#010101"  # letters on a heat map, which is the same in both themes
# After Okabe and Ito, the light ones darkened to 3:1 on the paper; lines differ in dashes and markers too.
COLOURS = ("#0072b2", "#d55e00", "#00805d", "#a34f83", "#8f6a00", "#1f2a30", "#c0304f", "#0a8ea0")
DASHES = (
    "-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 2)), (0, (3, 3)), (0, (4, 1, 1, 1, 1, 1)),
    (0, (12, 3)),
)  # fmt: skip
MARKERS = "osD^vPh>"
WIDTH = 7.2  # inches: the column of the book
PHONE = "(max-width: 576px)"
STYLE = {
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "savefig.facecolor": PAPER, "legend.facecolor": PAPER,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": MUTED, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.axisbelow": True, "axes.titlesize": 11, "axes.titlelocation": "left", "axes.labelsize": 10, "font.size": 10,
    "font.family": "DejaVu Sans", "legend.frameon": False, "legend.fontsize": 9, "lines.linewidth": 1.8,
    "lines.markersize": 4.5, "axes.unicode_minus": True, "svg.hashsalt": "lmtutor", "svg.fonttype": "none",
}  # fmt: skip


@contextmanager
def style():
    """The style of the book, for matplotlib figures drawn within the ``with`` block."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


@cache
def _figure_class():
    from matplotlib.figure import Figure

    class BookFigure(Figure):
        """A matplotlib figure that shows itself with its alternative text (`alt`) and caption, unknown to pyplot."""

        alt = ""
        caption = ""

        def captioned(self, caption: str):
            """The figure, with a sentence below it that says what to see."""
            self.caption = caption
            return self

        def _repr_mimebundle_(self, include=None, exclude=None):
            return {"text/plain": self.alt, "text/html": to_html(self, self.alt, self.caption)}

    return BookFigure


def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    height: float = 3.2,
    width: float = WIDTH,
    narrow: float = NARROW,
    **keywords,
):
    """An empty `BookFigure` and its axes (one, or an array), in the style of the book; sizes in inches.

    A phone shows the figure laid out anew, `narrow` inches wide, fitted to its screen: letters of 9 points are at
    least 9 pixels there as long as that is at most 4.95.
    """
    with style():
        fig = _figure_class()(figsize=(width, height), layout="constrained")
        fig.narrow = narrow
        return fig, fig.subplots(rows, columns, **keywords)


def in_style(fig) -> None:
    """Give legends, titles and the numbers of axes the look that they have everywhere in the book, in place."""
    for axes in fig.axes:
        if axes.get_legend():
            axes.get_legend().set_frame_on(STYLE["legend.frameon"])
        title = axes.get_title("center")
        if title and not axes.get_title("left"):
            axes.set_title("", loc="center")
            axes.set_title(title, loc="left", fontsize=STYLE["axes.titlesize"])
        plain_numbers(axes.xaxis)
        plain_numbers(axes.yaxis)


def to_html(fig, alt: str, caption: str | None = None) -> str:
    """A figure as one HTML element that needs nothing else: SVG images with their alternative text."""
    with style():
        in_style(fig)
        with wide(fig):
            image = f'<img {_source("src", fig)} alt="{html.escape(alt)}" style="max-width:100%;height:auto">'
        with narrow(fig, getattr(fig, "narrow", NARROW)):
            image = f'<source media="{PHONE}" {_source("srcset", fig)}>{image}'
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f'<figure style="margin:1em 0"><picture>{image}</picture>{below}</figure>'


def _source(attribute: str, fig) -> str:
    """The attributes of an element that shows a figure as it is laid out now."""
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None})
    # A picture sees no font of the page around it: Verdana has the widths of DejaVu Sans where that is missing.
    drawn = buffer.getvalue().replace("font-family: 'DejaVu Sans'", "font-family: 'DejaVu Sans', Verdana, sans-serif")
    width, height = (round(96 * inches) for inches in fig.get_size_inches())
    data = base64.b64encode(drawn.encode()).decode()
    return f'{attribute}="data:image/svg+xml;base64,{data}" width="{width}" height="{height}"'


def show(fig, alt: str | None = None, caption: str | None = None) -> None:
    """Display any matplotlib figure with an alternative text (default: its own) and a caption.

    Raises
    ------
    LMTutorError
        If the figure has no alternative text and none is given.
    """
    from IPython.display import display

    alt = alt or getattr(fig, "alt", "")
    if not alt:
        raise LMTutorError('show: the figure has no alternative text; give one, alt="what the figure shows"')
    caption = caption or getattr(fig, "caption", "")
    display({"text/plain": alt, "text/html": to_html(fig, alt, caption)}, raw=True)


# --- Pieces that several plots share


def line(axes, x, y, i: int, label: str) -> None:
    """Draw the i-th curve: its own colour, dashes, and markers as long as they are few; from 8 on, other pairs."""
    n = len(COLOURS)
    other = (i + i // n) % n
    marker = MARKERS[other] if len(x) <= 30 else ""
    axes.plot(x, y, color=COLOURS[i % n], linestyle=DASHES[other], marker=marker, label=label)


def floor_line(axes, value: float, label: str, *, horizontal: bool) -> None:
    """Draw what no curve gets below: fine dots in ink, which no curve of `line` has."""
    draw = axes.axhline if horizontal else axes.axvline
    draw(value, color=INK, linestyle=(0, (1, 1.3)), linewidth=1.6, label=label)


def whole_numbers(axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def plain_numbers(axis) -> None:
    """Label an axis that still has matplotlib's own labels with plain numbers, with commas from a thousand on."""
    from matplotlib.ticker import FuncFormatter, LogFormatter, ScalarFormatter

    own = axis.get_major_formatter()
    if isinstance(own, LogFormatter):
        plain_log(axis)
    elif isinstance(own, ScalarFormatter) and max(map(abs, axis.get_view_interval())) >= 1000:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))


def plain_log(axis) -> None:
    """Label a logarithmic axis with plain numbers, also between the powers of ten; with powers if it goes far down."""
    from matplotlib.ticker import FuncFormatter, LogFormatterMathtext, LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    decades = math.log10(high / low)
    subs = (
        (1,)
        if decades > 4
        else (1, 2, 5)
        if decades > 1.5
        else (1, 1.5, 2, 3, 5, 7)
        if decades > 0.5
        else (1, 1.2, 1.4, 1.6, 1.8, *range(2, 10))
    )
    axis.set_major_locator(LogLocator(base=10, subs=subs))
    plain = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 100 else f"{value:.5g}")
    axis.set_major_formatter(LogFormatterMathtext() if low < 1e-4 else plain)
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)


def described(fig, alt: str):
    """The figure, with its alternative text."""
    fig.alt = alt
    return fig
