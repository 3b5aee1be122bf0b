"""An experiment as data: what is trained, and what is made of it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures.tables import Table
from experiments._data import OtherData

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Results = Mapping[str, xr.Dataset]
"""Curves and test results by the folder they are in: "sgd", "convnets/c1", "convnets/c1/test"."""
Sweeps = Mapping[str, ej.Sweep]


class Figure(NamedTuple):
    """A figure: what its caption says, and how it is drawn from the runs."""

    caption: str
    draw: "Callable[[Results], Drawing]"
    of: str = ""  # the folder of the runs it shows, if not all of the experiment's


class Taken(NamedTuple):
    """A folder of another experiment, and its sweep, which trains all that one here needs."""

    folder: str
    sweep: ej.Sweep


@dataclass(frozen=True)
class Experiment:
    """What is trained, and what is made of it.

    Attributes:
        name: of its module, and of the folder of its figures and tables.
        title: of its section in the report.
        sweeps: by the folder each is trained in; networks that one keeps are tested, once, on the
            test images. A function makes them from further options, which are its arguments; one
            called `images` is no option: it is the number of training images.
        figures: by the name of their file.
        tables: by the name of their file, from the runs.
        finding: what the runs show, in a few sentences.
        reads: folders of other experiments' runs that figures and tables need.
        taken: of folders whose curves are selected from another experiment's, if it was run; they
            are trained where it was not.
        data: of folders with other data than the rest.
        size: number of images in all, a subset; None for all.
        least_seeds: fewer are refused.
        help: of further options.
        cost: how long it takes, for the report of a folder without it.
    """

    name: str
    title: str
    sweeps: Sweeps | Callable[..., Sweeps] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    tables: Mapping[str, Callable[[Results], Table]] = field(default_factory=dict)
    finding: Callable[[Results], str] = lambda runs: ""
    reads: tuple[str, ...] = ()
    taken: Mapping[str, Taken] = field(default_factory=dict)
    data: Mapping[str, OtherData] = field(default_factory=dict)
    size: int | None = None
    least_seeds: int = 1
    help: Mapping[str, str] = field(default_factory=dict)
    cost: str = ""

    def make(self, **arguments: Any) -> Sweeps:
        """Return the sweeps, with other arguments than usual if they are a function's."""
        return self.sweeps(**arguments) if callable(self.sweeps) else self.sweeps

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of its function of sweeps with their defaults."""
        known = inspect.signature(self.sweeps).parameters if callable(self.sweeps) else {}
        return {name: one.default for name, one in known.items()}

    @property
    def further(self) -> dict[str, Any]:
        """Its further options with their defaults: those arguments, and the names of sources."""
        sources = {one.option: one.option for one in self.data.values() if one.option}
        return {k: v for k, v in self.arguments.items() if k != "images"} | sources

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of its curves and test results."""
        made = self.make().items()
        tested = {f"{folder}/test" for folder, sweep in made if sweep.keep is not None}
        return (*(folder for folder, _ in made), *sorted(tested))
