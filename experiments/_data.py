"""The data of sweeps that train on other images than the rest of their experiment."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import emnist_jax as ej
from emnist_jax.data import Split

Change = Callable[[ej.Dataset], ej.Dataset]
FIFTH, HALF = "fifth/", "half/"  # folders of runs on so many of the training images


class Source(NamedTuple):
    """Other data: of another source, changed, or both."""

    option: str = ""  # the option that names them; "" for the experiment's own
    change: Change | None = None

    def then(self, change: Change) -> "Source":
        """Return these data changed once more."""
        first = self.change
        return Source(self.option, (lambda data: change(first(data))) if first else change)


def fifth(data: ej.Dataset) -> ej.Dataset:
    """Return the first fifth of the training images, 20,000 of EMNIST's; the rest as it is."""
    return _first(data, 5)


def half(data: ej.Dataset) -> ej.Dataset:
    """Return the first half of the training images; the rest as it is."""
    return _first(data, 2)


def _first(data: ej.Dataset, of: int) -> ej.Dataset:
    count = len(data.train) // of
    return replace(data, train=Split(data.train.images[:count], data.train.labels[:count]))
