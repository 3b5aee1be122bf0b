"""Beyond the paper: nine rules at equal budgets, and the questions it left open (W1 to W4).

    python -m experiments.beyond --preset demo
    python -m experiments.beyond --data emnist/balanced --out results
    python -m experiments.beyond --data emnist/balanced --preset full --out runs/full

The first takes minutes, with few images drawn by the program; the second is each experiment as it
stands, on a part of EMNIST, about 130 minutes on two CPU cores (projected from measured step times,
see each experiment); the third has all images, about 16 hours there. Each goes on where it stopped,
and the report of `experiments.paper` in the same folder shows what is finished.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from emnist_jax.errors import InputError, check_count, nearest
from experiments._common import main, otherwise
from experiments.paper import BEYOND, write_report

_SMALL = {"size": 1880, "seeds": 2, "epochs": 2}
_ALL = {"size": None}
# What a preset changes of each experiment's own defaults.
PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "demo": {
        **dict.fromkeys(BEYOND, _SMALL),
        "rules_compared": _SMALL | {"epochs": 5, "convnet_epochs": 2, "settings": 4},
        "cifar10": _SMALL | {"epochs": 5, "cifar10": "glyphs"},
        "regularisation": _SMALL | {"epochs": 5, "convnet_epochs": 2},
    },
    "short": {},
    "full": {**dict.fromkeys(BEYOND, _ALL), "rules_compared": _ALL | {"convnet_epochs": 10}},
}


@dataclass(frozen=True)
class Options:
    """Options of the whole."""

    preset: Literal["demo", "short", "full"] = "short"
    """demo: few small images, minutes; short: each as it stands, on part of the data; full: all"""
    data: Annotated[str | None, otherwise("glyphs in the demo, else emnist/balanced", "STR")] = None
    """glyphs, a TensorFlow Datasets name, or a path of data"""
    cifar10: Annotated[str | None, otherwise("glyphs in the demo, else cifar10", "STR")] = None
    """the second data set of the experiment cifar10; the demo compares glyphs with itself"""
    split: Literal["paper", "official"] = "paper"
    """paper: all images pooled and split again; official: the source's own test part"""
    seeds: Annotated[int | None, otherwise("as each experiment has", "INT")] = None
    """random initialisations of every setting"""
    only: Annotated[tuple[str, ...], otherwise("all", "NAME ...")] = ()
    """run these experiments only; the report shows all that are finished"""
    out: Annotated[Path | None, otherwise("runs/beyond-PRESET", "PATH")] = None
    """folder of results"""
    overwrite: bool = False
    """begin again, whatever is there"""


def run(options: Options) -> Path:
    """Run what is not finished, and write the report; return its path.

    Raises:
        InputError: options that cannot be meant, or a folder of another run.
    """
    for name in options.only:
        if name not in BEYOND:
            raise InputError(f'no experiment "{name}": {nearest(name, BEYOND)}')
    if options.seeds is not None:
        check_count("seeds", options.seeds)
    out = Path("runs") / f"beyond-{options.preset}" if options.out is None else options.out
    for name in options.only or BEYOND:
        module = BEYOND[name][0]
        module.measure(module.Options(**arguments(options, name, out)))
    return write_report(out)


def arguments(options: Options, name: str, out: Path) -> dict[str, Any]:
    """Return the arguments of an experiment's options: its preset's, then those given."""
    usual = "glyphs" if options.preset == "demo" else "emnist/balanced"
    chosen = {"data": usual, **PRESETS[options.preset].get(name, {})}
    given = {"data": options.data, "seeds": options.seeds}
    if name == "cifar10":
        given["cifar10"] = options.cifar10
    chosen |= {option: value for option, value in given.items() if value is not None}
    return chosen | {"split": options.split, "out": out, "overwrite": options.overwrite}


if __name__ == "__main__":
    main(run, Options)
