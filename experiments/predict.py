"""What the networks of a run read in pictures: the most probable classes of each.

    python -m experiments.sweep --keep best
    python -m experiments.predict runs/sweep letter.png
    python -m experiments.predict runs/own letter.png --model mymodels.py:Net

The seeds' networks of the best setting answer together, by the mean of their probabilities. Dark
ink on light paper is inverted where the training images are light on dark; a character is cut out,
scaled and centred like them. --figure draws the pictures as the networks see them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

import emnist_jax as ej
from emnist_jax.figures import plot_samples
from experiments._common import main, otherwise, save_figures
from experiments._own import own_model


@dataclass(frozen=True)
class Options:
    """Options of this command."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """folder of a run that kept its networks: --keep best"""
    pictures: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="PICTURE ...", help_behavior_hint="(at least one)"),
    ] = ()
    """PNG or JPEG files, a character or an object each"""
    model: Annotated[str | None, otherwise("one of this package", "FILE.py:CLASS")] = None
    """the class of networks of your own, as they were trained with"""
    top: int = 3
    """classes to name"""
    figure: Annotated[Path | None, otherwise("none", "FIGURE")] = None
    """also draw what the networks see, to FIGURE.png and FIGURE.svg"""


def run(options: Options) -> list:
    """Print the most probable classes of each picture."""
    if not options.pictures:
        raise ej.InputError("give the path of a picture, or several")
    networks = ej.load_networks(options.run, options.model and own_model(options.model))
    predictions = networks.predict(options.pictures, options.top)
    for path, prediction in zip(options.pictures, predictions, strict=True):
        print(f"{path}: {prediction}")
    if options.figure is not None:
        labels = [networks.classes.index(prediction.name) for prediction in predictions]
        columns = min(len(labels), 8)
        rows = -(-len(labels) // columns)
        seen = networks.seen(options.pictures)
        figure = plot_samples(seen, labels, networks.classes, rows, columns)
        save_figures({options.figure.name: figure}, options.figure.parent)
    return predictions


if __name__ == "__main__":
    main(run, Options)
