"""Figures and tables in one style, from labelled curves, statistics and images.

Every figure is returned, never shown: a notebook draws it, a script hands it to `save_figure`. A
trial that diverged (NaN from there on) is counted in the caption, and a mean line ends where its
first seed diverged: a mean over the survivors would flatter the setting.
"""

from emnist_jax.console import sparkline
from emnist_jax.figures.comparisons import plot_budget, plot_intervals, plot_pairs, plot_settings
from emnist_jax.figures.curves import plot_curves
from emnist_jax.figures.heatmap import plot_heatmap
from emnist_jax.figures.images import (
    confusion_matrix,
    most_confused,
    plot_confused_examples,
    plot_confusion,
    plot_samples,
    plot_weights,
)
from emnist_jax.figures.rates import plot_best_against_rate, plot_comparison, plot_sequence
from emnist_jax.figures.style import save_figure
from emnist_jax.figures.tables import curves_summary_html, summarise

__all__ = [
    "confusion_matrix",
    "curves_summary_html",
    "most_confused",
    "plot_best_against_rate",
    "plot_budget",
    "plot_comparison",
    "plot_confused_examples",
    "plot_confusion",
    "plot_curves",
    "plot_heatmap",
    "plot_intervals",
    "plot_pairs",
    "plot_samples",
    "plot_sequence",
    "plot_settings",
    "plot_weights",
    "save_figure",
    "sparkline",
    "summarise",
]
