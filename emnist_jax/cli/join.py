"""Sweeps trained apart, such as the jobs of a cluster's array, made one.

emnist-jax join runs/part0 runs/part1 runs/part2 --out runs/whole
"""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

import emnist_jax as ej
from emnist_jax.cli.options import option
from emnist_jax.console import show
from emnist_jax.figures import summarise


@dataclass(frozen=True)
class Options:
    """Options of this command."""

    parts: Positional[option(tuple[Path, ...], "none", "RUN ...")] = ()
    """folders of finished runs, split by seeds, settings or both"""
    out: option(Path | None, "none", "FOLDER") = None
    """folder of the curves of the whole"""


def run(options: Options) -> None:
    """Write the curves of the whole, print where they are, and their table."""
    if len(options.parts) < 2 or options.out is None:
        raise ej.InputError("give the folders of two runs or more, and --out FOLDER")
    path = options.out / "curves.nc"
    if path.exists():
        raise ej.InputError(f"{path} exists: choose another --out")
    curves = ej.join(*map(ej.load_curves, options.parts))
    ej.save_curves(curves, path)
    show(f"{path}\n\n{summarise(curves)}")
