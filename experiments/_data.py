"""The data of sweeps that train on other images than the rest of their experiment."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import emnist_jax as ej
from emnist_jax.data import Split

Change = Callable[[ej.Dataset], ej.Dataset]


class Source(NamedTuple):
    """Other data: of another source, changed, or both."""

    option: str = ""  # the option that names them; "" for the experiment's own
    change: Change | None = None


def fifth(data: ej.Dataset) -> ej.Dataset:
    """Return the first fifth of the training images, 20,000 of EMNIST's; the rest as it is."""
    return _first(data, 5)


def half(data: ej.Dataset) -> ej.Dataset:
    """Return the first half of the training images; the rest as it is."""
    return _first(data, 2)


def _first(data: ej.Dataset, of: int) -> ej.Dataset:
    count = len(data.train) // of
    return replace(data, train=Split(data.train.images[:count], data.train.labels[:count]))


def with_small(
    sweeps: Mapping[str, ej.Sweep], data: Mapping[str, Source] | None = None
) -> tuple[dict[str, ej.Sweep], dict[str, Source]]:
    """Return sweeps and their data with each again on a fifth of its training images, in small/."""
    data = dict(data or {})

    def less(source: Source) -> Source:
        change = source.change
        return Source(source.option, fifth if change is None else lambda of: fifth(change(of)))

    changed = {source: less(source) for source in {Source(), *data.values()}}
    again = {f"small/{name}": changed[data.get(name, Source())] for name in sweeps}
    return dict(sweeps) | {f"small/{name}": one for name, one in sweeps.items()}, data | again
