"""Figure 1: 25 labelled samples of the data, ink dark on white.

    python -m experiments.samples --data emnist/balanced

Nothing is trained, so there are no epochs, batch size or seeds to choose; `--seed` chooses the
samples.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import emnist_jax as ej
from emnist_jax.cli.options import guarded, option, parse
from emnist_jax.console import show
from emnist_jax.figures import plot_samples, save_figure

FIGURE = Path("samples/figure_1_samples.png")


@dataclass(frozen=True)
class Options:
    """Options of this experiment."""

    data: str = "glyphs"
    """glyphs (drawn), a TensorFlow Datasets name (emnist/balanced), a path of IDX files, images"""
    split: Literal["paper", "official"] = "paper"
    """which images are training images, from which the samples are drawn"""
    size: option(int | None, "all", "INT") = None
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    seed: int = 0
    """which 25 of the training images"""
    out: Path = Path("runs")
    """folder of results; the figure goes to samples/ in it"""


def run(options: Options) -> Path:
    """Draw the figure, and return its path."""
    data = ej.load(options.data, split=options.split, size=options.size)
    count = len(data.train.labels)
    chosen = np.random.default_rng(options.seed).choice(count, min(25, count), replace=False)
    images, labels = data.train.images[chosen], data.train.labels[chosen]
    figure = plot_samples(images, labels, data.classes, note=data.name)
    save_figure(figure, (options.out / FIGURE).with_suffix(""))
    show(options.out / FIGURE)
    return options.out / FIGURE


if __name__ == "__main__":
    guarded(lambda: run(parse(Options, "python -m experiments.samples", __doc__)))
