"""`Runs`: the one place that knows where curves lie, and how a reading of Adam picks them."""

import math
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import xarray as xr

from emnist_jax.errors import InputError
from emnist_jax.models import rebuild

CLASSES = 47
# Implementations that the paper's Adam may have been; the first is its Algorithm 1.
READINGS = (
    "adam",
    "adam_undamped",
    "adam_uncorrected",
    "adam_undamped_uncorrected",
    "adam_constant_correction",
)
_CURVES = ("train_error", "train_accuracy", "valid_error", "valid_accuracy", "error", "accuracy")


class NotTestable(Exception):  # noqa: N818 (an answer, not an error)
    """The runs do not hold what a claim needs; the message is the reason."""


class Runs:
    """Curves by the name of their run, read as one implementation of Adam would be.

    Args:
        datasets: by path below the folder of results: "sgd", "convnets/c1", "convnets/c1/test".
        reading: one of `READINGS`. "adam_undamped" lacks the factor (1 - b1), which is Adam at
            the learning rate eta / (1 - b1): that run is read at that rate, not trained again.
        macro: read every accuracy as the mean over classes.
    """

    def __init__(
        self, datasets: Mapping[str, xr.Dataset], reading: str = "adam", macro: bool = False
    ):
        self.datasets, self.reading, self.macro = datasets, reading, macro

    def pick(
        self, name: str, *, epochs: int = 0, variant: str = "", **setting: float
    ) -> xr.Dataset:
        """Return the curves of one setting (dimensions not named are kept), NaN at chance.

        A diverged network guesses: of n classes its accuracy counts as 1/n from there on, its error
        as ln n.
        `variant` is that of the sweep's variants whose evaluation to read.

        Raises:
            NotTestable: no such run, setting or variable, or fewer epochs than `epochs`.
        """
        if name not in self.datasets:
            raise NotTestable(f"{name} was not run")
        curves = self._evaluated(self.datasets[name], name, variant)
        for key, value in setting.items():
            curves = _select(curves, name, key, value)
        if epochs and curves.epoch.max() < epochs:
            have = int(curves.epoch.max())
            raise NotTestable(f"{name} has {have} epochs, this needs {epochs}")
        n = _classes(curves)
        return curves.fillna({v: 1 / n if "accuracy" in v else math.log(n) for v in curves})

    def adam(
        self, learning_rate: float, b1: float, b2: float | None = None, epochs: int = 0
    ) -> xr.Dataset:
        """Return the dense net's curves under this reading of Adam; all b2 if it is not given.

        Raises:
            NotTestable: as `pick`.
        """
        setting = {"learning_rate": learning_rate, "b1": b1} | ({} if b2 is None else {"b2": b2})
        if self.reading in ("adam", "adam_undamped"):
            setting["learning_rate"] = self._rate(learning_rate, b1)
            return self.pick("adam", epochs=epochs, **setting)
        return self.pick(f"forensics/{self.reading}", epochs=epochs, **setting)

    def chosen_adam(self, name: str, epochs: int = 0, variant: str = "") -> xr.Dataset:
        """Return the curves of a network trained by Adam with the paper's choice 1e-4, .9, .9999.

        Raises:
            NotTestable: as `pick`; or the reading was tried on the dense net only.
        """
        if self.reading not in ("adam", "adam_undamped"):
            raise NotTestable(f"{name} was not run with {self.reading}")
        rate = self._rate(1e-4, 0.9)
        return self.pick(name, epochs=epochs, variant=variant, learning_rate=rate)

    def time_ratio(self, one: str, other: str) -> float:
        """Return the ratio of two networks' training times of an epoch, each alone on a device.

        Raises:
            NotTestable: no such runs, or without times, or not of one network alone on one device:
                a core that trains ten has other times than one that trains two.
        """

        names = [f"times/{one}", f"times/{other}"]
        a, b = (self.pick(name).attrs for name in names)
        for name, attrs in zip(names, (a, b), strict=True):
            if not attrs.get("seconds_per_epoch"):
                raise NotTestable(f"{name} holds no times")
            if (together := attrs.get("trials_at_once")) != 1:
                raise NotTestable(f"{name} has the times of {together} networks at once")
        if a.get("device") != b.get("device"):
            raise NotTestable(
                f"times of {one} and {other} are of {a.get('device')} and {b.get('device')}"
            )
        return float(a["seconds_per_epoch"]) / float(b["seconds_per_epoch"])

    def _rate(self, learning_rate: float, b1: float) -> float:
        return learning_rate / (1 - b1) if self.reading == "adam_undamped" else learning_rate

    def _evaluated(self, curves: xr.Dataset, name: str, variant: str) -> xr.Dataset:
        """Return the curves with what is to be read under the plain names."""
        sources = {}
        for v in _CURVES:
            if v in curves:
                source = v.replace("accuracy", "macro_accuracy") if self.macro else v
                sources[v] = f"{source}_{variant}" if variant else source
                if sources[v] not in curves:
                    raise NotTestable(f"{name} holds no {sources[v]}")
        return curves.assign({v: curves[source] for v, source in sources.items() if v != source})


def _classes(curves: xr.Dataset) -> int:
    with suppress(InputError):
        return rebuild(curves.attrs.get("model", "")).classes or CLASSES
    return CLASSES


def _select(curves: xr.Dataset, name: str, key: str, value: float) -> xr.Dataset:
    """Select by value up to rounding; a coordinate of one value for all trials must agree."""
    if key not in curves.coords:
        raise NotTestable(f"{name} has no {key}")
    found = np.flatnonzero(np.isclose(np.atleast_1d(curves[key].values), value, rtol=1e-6, atol=0))
    if not len(found):
        raise NotTestable(f"{name} was not run at {key}={value:g}")
    return curves.isel({key: found[0]}) if key in curves.dims else curves
