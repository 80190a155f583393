"""What a page shows: figures, plots, widgets. Nothing below imports matplotlib or ipywidgets.

Imports `system`, `models`, `text`, `scoring`, `training` and `runs`.
"""

from lmtutor.display import plots, widgets
from lmtutor.display.notebook import corpus_here
from lmtutor.display.plots import (
    plot_gates,
    plot_history,
    plot_perplexities,
    plot_roofline,
    plot_run_curves,
    plot_surprisal,
    plot_waterfall,
    plot_zipf,
)
