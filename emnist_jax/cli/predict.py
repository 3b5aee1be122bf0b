"""What the networks of a run read in pictures: the most probable classes of each.

    emnist-jax sweep --learning-rate 1e-3 --keep best
    emnist-jax predict runs/adam letter.png
    emnist-jax predict runs/own letter.png --model mymodels.py:Net

The seeds' networks of the best setting answer together, by the mean of their probabilities. Dark
ink on light paper is inverted where the training images are light on dark; a character is cut out,
scaled and centred like them. --figure draws the pictures as the networks see them.
"""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

import emnist_jax as ej
from emnist_jax._setup import start_jax
from emnist_jax.cli.options import option
from emnist_jax.cli.parts import own_model
from emnist_jax.console import show
from emnist_jax.figures import plot_samples, save_figure


@dataclass(frozen=True)
class Options:
    """Options of this command."""

    run: Positional[option(Path | None, "none", "RUN")] = None
    """folder of a run that kept its networks: --keep best"""
    pictures: Positional[option(tuple[Path, ...], "none", "PICTURE ...")] = ()
    """PNG or JPEG files, a character or an object each"""
    model: option(str | None, "one of this package", "FILE.py:CLASS") = None
    """the class of networks of your own, as they were trained with"""
    top: int = 3
    """classes to name"""
    figure: option(Path | None, "none", "FIGURE") = None
    """also draw what the networks see, to FIGURE.png and FIGURE.svg"""


def run(options: Options) -> list:
    """Print the most probable classes of each picture."""
    if options.run is None or not options.pictures:
        raise ej.InputError("give the folder of a run, then the path of a picture or several")
    start_jax()
    networks = ej.load_networks(options.run, options.model and own_model(options.model))
    predictions = networks.predict(options.pictures, options.top)
    for path, prediction in zip(options.pictures, predictions, strict=True):
        show(f"{path}: {prediction}")
    if options.figure is not None:
        labels = [networks.classes.index(prediction.name) for prediction in predictions]
        columns = min(len(labels), 8)
        rows = -(-len(labels) // columns)
        seen = networks.seen(options.pictures)
        figure = plot_samples(seen, labels, networks.classes, rows, columns)
        show(save_figure(figure, options.figure)[0])
    return predictions
