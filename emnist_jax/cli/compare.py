"""Which rule is better, tuned alike on the same seeds, and how sure that is.

emnist-jax compare runs/mine runs/adam --figure comparison
"""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

import emnist_jax as ej
from emnist_jax.cli.options import option
from emnist_jax.console import show


@dataclass(frozen=True)
class Options:
    """Options of this command."""

    runs: Positional[option(tuple[Path, ...], "none", "RUN ...")] = ()
    """folders of finished runs; the first is compared with each of the others"""
    k: option(int | None, "as many as the least tuned has", "INT") = None
    """settings that each rule is given"""
    epoch: option(int | None, "each trial's best", "INT") = None
    """read all trials at this epoch"""
    figure: option(Path | None, "none", "FIGURE") = None
    """also draw it, to FIGURE.png and FIGURE.svg"""


def run(options: Options) -> None:
    """Print the comparison, and draw it where a figure is named."""
    if len(options.runs) < 2:
        raise ej.InputError("give the folders of two runs or more")
    folders = [path.parent if path.is_file() else path for path in map(Path.resolve, options.runs)]
    if len({*folders}) < len(folders):
        raise ej.InputError("a run is named twice; give the folders of runs to compare")
    names = [folder.name for folder in folders]
    if len({*names}) < len(names):
        names = map(str, options.runs)  # paths tell runs of one name apart
    curves = dict(zip(names, map(ej.load_curves, options.runs), strict=True))
    compared = ej.compare(curves, k=options.k, epoch=options.epoch)
    show(compared)
    if options.figure is not None:
        show(ej.save_figure(compared.plot(), options.figure)[0])
