"""The data of sweeps that train on other images than the rest of their experiment."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import emnist_jax as ej
from emnist_jax.data import Split

Change = Callable[[ej.Dataset], ej.Dataset]
FIFTH, HALF = "fifth/", "half/"  # folders of runs on so many of the training images


class OtherData(NamedTuple):
    """Other data: of another source, changed, or both."""

    option: str = ""  # the option that names them; "" for the experiment's own
    change: Change | None = None

    def then(self, change: Change) -> "OtherData":
        """Return these data changed once more."""
        own = self.change
        return OtherData(self.option, (lambda data: change(own(data))) if own else change)


def first_part(data: ej.Dataset, of: int) -> ej.Dataset:
    """Return the first of so many parts of the training images, and the rest as it is."""
    count = len(data.train) // of
    return replace(data, train=Split(data.train.images[:count], data.train.labels[:count]))


fifth, half = partial(first_part, of=5), partial(first_part, of=2)  # 20,000 and 50,000 of EMNIST's
