"""What every experiment shares: its options, its command line, its figures on disk."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from emnist_jax.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Options:
    """Options of every experiment."""

    data: str = "glyphs"
    """glyphs (drawn by the program), a TensorFlow Datasets name such as emnist/balanced, or the path of a folder of IDX files, of EMNIST's gzip.zip, or of an image folder"""
    split: Literal["paper", "official"] = "paper"
    """paper: train and test pooled and split again 100,000 / 15,800 / 15,800; official: the source's own test part"""
    seeds: int = 5
    """number of random initialisations of every setting: seeds 0, 1, ..."""
    epochs: int = 100
    """passes over the training images"""
    batch_size: int = 50
    """images a minibatch"""
    out: Path = Path("runs")
    """folder of results; the experiment writes to a folder of its own name in it, resumes what was interrupted there and skips what is complete"""
    overwrite: bool = False
    """begin again, whatever is there"""


def save_figures(figures: Mapping[str, "Figure"], folder: Path) -> list[Path]:
    """Write figures as PNG and SVG under their names and print where the PNGs are."""
    from emnist_jax.figures import save_figure

    paths = [path for name, figure in figures.items() for path in save_figure(figure, folder / name)]
    for path in paths:
        if path.suffix == ".png":
            print(path)
    return paths


def main(run: Callable, options: type) -> None:
    """Run an experiment from the command line: bad input is one line and exit code 2."""
    chosen = tyro.cli(options, description=sys.modules[run.__module__].__doc__)
    try:
        run(chosen)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        import shlex

        again = shlex.join(["python", *sys.orig_argv[1:]])
        print(f"\nstopped; to go on from here: {again}", file=sys.stderr)
        sys.exit(130)
