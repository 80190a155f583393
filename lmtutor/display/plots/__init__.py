"""The figures of the book: one style, no meaning by colour alone, alternative text attached.

Every ``plot_...`` returns a matplotlib figure. At the end of a cell it shows itself as an image with its alternative
text, which says what the figure shows, with its main numbers. `show` gives another text or a caption.
"""

from lmtutor.display.figures import figure, show, style
from lmtutor.display.plots.basic import plot_bars, plot_dots, plot_lines, plot_maps, plot_points
from lmtutor.display.plots.memory import (
    plot_band,
    plot_cache_surface,
    plot_head,
    plot_weights,
    plot_winners,
    shade_words,
)
from lmtutor.display.plots.networks import (
    plot_error_by_lag,
    plot_gates,
    plot_network_steps,
    plot_one_cell,
    plot_window,
)
from lmtutor.display.plots.speed import plot_roofline, plot_sweep, plot_waterfall
from lmtutor.display.plots.training import (
    plot_beside_published,
    plot_history,
    plot_losses_beside,
    plot_run_curves,
    plot_valley,
)
from lmtutor.display.plots.words import (
    plot_choices,
    plot_discount,
    plot_perplexities,
    plot_readings,
    plot_surprisal,
    plot_zipf,
)
from lmtutor.runs.published import published_curve, published_table
