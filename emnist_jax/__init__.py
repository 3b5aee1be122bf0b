"""Learning rules compared on small networks: every setting and every seed trains at once.

Names are imported when they are first used, so that `import emnist_jax` takes little more time than
JAX itself and sets nothing up; see `_setup` for what a sweep sets up when it first runs.
"""

from importlib import import_module
from importlib.metadata import version

_MODULES = {
    "rules": "rules",
    "schedules": "schedules",
    "stats": "stats",
    "figures": "figures",
    "pictures": "data.pictures",
    "export": "store.export",
}
_NAMES = {
    "engine.sweep": ("Sweep",),
    "engine.run": ("run", "sweep"),
    "data": ("Dataset", "load"),
    "models": ("MLP", "ConvNet"),
    "layers": ("BatchNorm",),
    "errors": ("InputError",),
    "store.curves": ("load_curves", "save_curves"),
    "comparison": ("Comparison", "compare"),
    "racing": ("Race", "race"),
    "store.imports": ("curves_from",),
    "store.join": ("join",),
    "store.networks": ("Networks", "load_networks", "predict"),
    "figures": (
        *("most_confused", "plot_best_against_rate", "plot_confused_examples", "plot_confusion"),
        *("plot_curves", "plot_heatmap", "plot_samples", "plot_weights", "save_figure"),
    ),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = sorted([*_MODULES, *_HOMES])


def __getattr__(name: str) -> object:
    if name in _MODULES:
        found = import_module(f"emnist_jax.{_MODULES[name]}")
    elif name in _HOMES:
        found = getattr(import_module(f"emnist_jax.{_HOMES[name]}"), name)
    elif name == "__version__":
        found = version("emnist_jax")
    else:
        raise AttributeError(f"module 'emnist_jax' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
