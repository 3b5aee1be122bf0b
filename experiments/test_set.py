"""T1 and T2: the networks the paper tested, after 7 epochs, on validation and test images.

    python -m experiments.test_set --data emnist/balanced

The dense net without batch normalisation, with it frozen at its draws (the bug) and with it
trained, and C1; with Adam b1 .9, b2 .9999 at eta 1e-4 and at 1e-3 (undamped Adam at 1e-4). Nothing
is chosen on the test images: they are looked at once, after the last epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from flax import linen as nn

import emnist_jax as ej
from emnist_jax.figures import plot_intervals
from emnist_jax.figures.tables import Table
from emnist_jax.stats import interval, wilson
from experiments._common import (
    CHOSEN,
    CHOSEN_RATES,
    draw,
    main,
    train_and_test,
)
from experiments._common import Options as CommonOptions

SEED = 3  # the paper's, for T1
T1, T2 = (84.2, 0.493, 82.22, 0.547), (87.44, 0.363, 86.76, 0.397)
# For each network what the paper reports: validation accuracy and error, test accuracy and error.
REPORTED = {"none": T1, "frozen": T1, "trained": T1, "c1": T2}
TOLERANCES = (1.0, 0.03, 1.0, 0.03)
RUNS = tuple(f"test_set/{cell}{part}" for cell in REPORTED for part in ("", "/test"))
CAPTIONS = {
    "test_accuracy": "Test accuracy after 7 epochs, mean over seeds with its 95 % interval; "
    "diamonds: the paper's.",
}


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    epochs: int = 7
    """passes over the training images"""
    learning_rate: tuple[float, ...] = CHOSEN_RATES
    """learning rates of Adam with b1 .9, b2 .9999; 1e-3 is undamped Adam at 1e-4"""


def networks() -> dict[str, nn.Module]:
    """Return the networks by name; batch normalisation draws and evaluates as in the paper."""
    norms = {"none": None} | {
        kind: ej.BatchNorm(kind, "normal", "minibatch") for kind in ("frozen", "trained")
    }
    dense = {name: ej.MLP(hidden=(100, 100), batch_norm=norm) for name, norm in norms.items()}
    return dense | {"c1": ej.ConvNet(channels=(10,), hidden=(576, 160))}


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train and test every network, and draw the figure and the tables.

    Returns:
        Curves by network, and test results by network + "/test".
    """
    found = measure(options)
    draw(figures(found), tables(found), options.out / "test_set")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train and test every network, and save curves and results, named as `run` does."""
    found = {}
    for cell, model in networks().items():
        grid = {"learning_rate": options.learning_rate, **CHOSEN}
        found[cell], found[f"{cell}/test"] = train_and_test(
            options, f"test_set/{cell}", model, grid, "last"
        )
    return found


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return test accuracies with intervals beside the reported ones."""
    rows, reported = [], []
    for cell, numbers in REPORTED.items():
        over = interval(100 * found[f"{cell}/test"].accuracy)
        for rate in over.learning_rate.values:
            one = over.sel(learning_rate=rate)
            rows.append((f"{cell}, eta {rate:g}", one["mean"], one.lower, one.upper))
            reported.append(numbers[2])
    tested = found["c1/test"]
    note = (
        f"{tested.attrs['data']} · {tested.sizes['seed']} seeds · {tested.attrs['images']} images"
    )
    figure = plot_intervals(
        *zip(*rows, strict=True), reference=reported, xlabel="test accuracy (%)", note=note
    )
    return {"test_accuracy": figure}


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return the results over all seeds, and those of the paper's seed with Wilson's interval."""
    header = ["network", "eta of Adam", "validation (%)", "error", "test (%)", "error"]
    several, one = [], []
    for cell, reported in REPORTED.items():
        curves, tested = found[cell].isel(epoch=-1), found[f"{cell}/test"]
        for rate in tested.learning_rate.values:
            valid, test = (x.sel(learning_rate=rate) for x in (curves, tested))
            numbers = (100 * valid.valid_accuracy, valid.valid_error, 100 * test.accuracy)
            numbers += (test.error,)
            macro = _mean(100 * test.macro_accuracy, "2")
            cells = (*map(_mean, numbers, "2323"), macro, _matches(numbers, reported))
            several.append([cell, f"{rate:g}", *cells])
            if SEED in tested.seed:
                row = [x.sel(seed=SEED).item() for x in numbers]
                within = wilson(row[2] / 100, int(tested.attrs["images"]))
                bounds = f"{100 * float(within.lower):.2f} to {100 * float(within.upper):.2f}"
                one.append([cell, f"{rate:g}", *map(_plain, row, "2323"), bounds])
    made = {"seeds": Table([*header, "macro test (%)", "near the paper's"], several)}
    return made | ({f"seed_{SEED}": Table([*header, "Wilson 95 %"], one)} if one else {})


def finding(found: Mapping[str, xr.Dataset]) -> str:
    """Return which networks come near the reported numbers."""
    rows = tables(found)["seeds"].rows
    told = [f"{row[0]}, eta {row[1]}: {row[-1]}" for row in rows]
    return (
        "Of the paper's four numbers (T1: 84.2 %, .493, 82.22 %, .547; T2, for C1: 87.44 %, .363, "
        f"86.76 %, .397), within a point or .03 nats here: {'; '.join(told)}. "
        "In the table, ± is half the 95 % interval of the mean over seeds."
    )


def _mean(values: xr.DataArray, digits: str) -> str:
    over = interval(values)
    half = float(over["mean"] - over.lower)
    return f"{float(over['mean']):.{digits}f} ± {half:.{digits}f}"


def _plain(value: float, digits: str) -> str:
    return f"{value:.{digits}f}"


def _matches(numbers: tuple[xr.DataArray, ...], reported: tuple[float, ...]) -> str:
    """Return how many of the four means lie within a point, or .03 nats, of the reported ones."""
    means = np.array([float(x.mean()) for x in numbers])
    near = np.abs(means - reported) <= TOLERANCES
    return f"{near.sum()} of {len(near)}"


if __name__ == "__main__":
    main(run, Options)
