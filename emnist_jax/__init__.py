"""Learning rules compared on small networks: every setting and every seed trains at once."""

from emnist_jax._setup import prepare_jax

prepare_jax()

from emnist_jax import rules, schedules, stats  # noqa: E402
from emnist_jax.data import Dataset, load  # noqa: E402
from emnist_jax.errors import InputError  # noqa: E402
from emnist_jax.figures import plot_curves  # noqa: E402
from emnist_jax.layers import BatchNorm  # noqa: E402
from emnist_jax.models import MLP, ConvNet  # noqa: E402
from emnist_jax.networks import load as load_networks  # noqa: E402
from emnist_jax.networks import predict  # noqa: E402
from emnist_jax.results import load as load_curves  # noqa: E402
from emnist_jax.results import save as save_curves  # noqa: E402
from emnist_jax.sweep import sweep  # noqa: E402

__all__ = [
    "MLP",
    "BatchNorm",
    "ConvNet",
    "Dataset",
    "InputError",
    "load",
    "load_curves",
    "load_networks",
    "plot_curves",
    "predict",
    "rules",
    "save_curves",
    "schedules",
    "stats",
    "sweep",
]
