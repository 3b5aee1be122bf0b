"""Learning rules compared on small networks: every setting and every seed trains at once."""

from emnist_jax._setup import prepare_jax

prepare_jax()

from emnist_jax import figures, rules, schedules, stats  # noqa: E402
from emnist_jax.data import Dataset, load, pictures  # noqa: E402
from emnist_jax.engine.sweep import sweep  # noqa: E402
from emnist_jax.errors import InputError  # noqa: E402
from emnist_jax.figures import (  # noqa: E402
    most_confused,
    plot_best_against_rate,
    plot_confused_examples,
    plot_confusion,
    plot_curves,
    plot_heatmap,
    plot_samples,
    plot_weights,
    save_figure,
)
from emnist_jax.figures.notebooks import show_curves_as_tables  # noqa: E402
from emnist_jax.layers import BatchNorm  # noqa: E402
from emnist_jax.models import MLP, ConvNet  # noqa: E402
from emnist_jax.store import export  # noqa: E402
from emnist_jax.store.curves import load_curves, save_curves  # noqa: E402
from emnist_jax.store.networks import Networks, load_networks, predict  # noqa: E402

__all__ = [
    "MLP",
    "BatchNorm",
    "ConvNet",
    "Dataset",
    "InputError",
    "Networks",
    "export",
    "figures",
    "load",
    "load_curves",
    "load_networks",
    "most_confused",
    "pictures",
    "plot_best_against_rate",
    "plot_confused_examples",
    "plot_confusion",
    "plot_curves",
    "plot_heatmap",
    "plot_samples",
    "plot_weights",
    "predict",
    "rules",
    "save_curves",
    "save_figure",
    "schedules",
    "stats",
    "sweep",
]

show_curves_as_tables()
