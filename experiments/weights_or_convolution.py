"""W3: is it the convolution, or the number of weights? C1 and C2 against dense nets of their size.

    python -m experiments.weights_or_convolution --data emnist/balanced
    python -m experiments.weights_or_convolution --data emnist/balanced --size 131600

Dense nets with as many parameters as C1 (784-768-768-47: 1,229,615 to 1,229,683) and C2
(784-89-89-47: 82,105 to 82,137), and with as many multiplications an image (848-848, 357-357); C1's
head alone (784-576-160-47); and C1 and C2 on shuffled pixels: one fixed permutation of the pixels
of all images, which is nothing to a dense net and takes a convolution's neighbourhoods away. Adam
as in the paper, b1 .9, b2 .9999, at eta 1e-4 and 1e-3; each network counts at the rate that suits
it. Projected on two CPU cores, from 4.4 ms a step of C1, 1.7 ms of C2 and .2 ms of the paper's
dense net (the others by their weights): 18 minutes as it stands, with 26,320 images; 90 minutes
with all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from flax import linen as nn

import emnist_jax as ej
from emnist_jax.data.dataset import permutation
from emnist_jax.figures import plot_curves, plot_intervals
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, interval
from experiments._common import (
    CHOSEN,
    CHOSEN_RATES,
    difference,
    draw,
    load_data,
    main,
    together,
    train,
    tuned,
)
from experiments._common import Options as CommonOptions
from experiments.convnets import NETWORKS as PAPERS
from experiments.convnets import multiply_adds, parameters

NETWORKS: Mapping[str, nn.Module] = {
    "c1": PAPERS["c1"],
    "c1_shuffled": PAPERS["c1"],
    "c1_weights": ej.MLP(hidden=(768, 768)),
    "c1_operations": ej.MLP(hidden=(848, 848)),
    "c1_head": ej.MLP(hidden=(576, 160)),
    "c2": PAPERS["c2"],
    "c2_shuffled": PAPERS["c2"],
    "c2_weights": ej.MLP(hidden=(89, 89)),
    "c2_operations": ej.MLP(hidden=(357, 357)),
}
RIVALS = ("weights", "operations", "head", "shuffled")
COST = "18 minutes on two CPU cores with 26,320 images, 90 minutes with all (projected)"
RUNS = tuple(f"weights_or_convolution/{name}" for name in NETWORKS)
CAPTIONS = {
    "gains": "What C1 and C2 gain over dense nets of as many weights or operations, over C1's head "
    "alone, and over themselves on shuffled pixels; same seeds.",
    "accuracy": "C1, C2 and the networks they are compared with: validation accuracy.",
}


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    size: int | None = 26_320
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    epochs: int = 10
    """passes over the training images"""
    learning_rate: tuple[float, ...] = CHOSEN_RATES
    """learning rates of Adam; for each seed the best is chosen on the other seeds"""


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train all networks, save their curves, and draw figures and tables."""
    found = measure(options)
    draw(figures(found), tables(found), options.out / "weights_or_convolution")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train all networks; return their curves by name."""
    grid = {"learning_rate": options.learning_rate, **CHOSEN}
    data = load_data(options)
    shuffled = shuffle_pixels(data)
    return {
        name: train(
            options,
            f"weights_or_convolution/{name}",
            model,
            "adam",
            grid,
            data=shuffled if name.endswith("_shuffled") else data,
        )
        for name, model in NETWORKS.items()
    }


def shuffle_pixels(data: ej.Dataset) -> ej.Dataset:
    """Return the data with the pixels of every image in one order, that of the data's own seed.

    The order is `permutation` (PCG64 with seed 2017) of the height x width positions; the channels
    of a pixel stay together.
    """
    height, width, channels = data.train.images.shape[1:]
    order = permutation(height * width)

    def shuffled(part: ej.data.Split) -> tuple[np.ndarray, np.ndarray]:
        flat = part.images.reshape(len(part), height * width, channels)
        return flat[:, order].reshape(part.images.shape), part.labels

    parts = {part: shuffled(getattr(data, part)) for part in ("train", "valid", "test")}
    return replace(data, **parts, name=f"{data.name}, pixels shuffled")


def pairs() -> list[tuple[str, str]]:
    """Return each ConvNet with each network it is compared with."""
    rivals = [(net, f"{net}_{rival}") for net in ("c1", "c2") for rival in RIVALS]
    return [(net, rival) for net, rival in rivals if rival in NETWORKS] + [
        ("c1_shuffled", "c1_weights"),
        ("c2_shuffled", "c2_weights"),
    ]


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return the gains with intervals, and all curves, a panel a rate."""
    rows = [
        (f"{network} less {rival}", *difference(tuned(found[network]), tuned(found[rival])))
        for network, rival in pairs()
    ]
    curves = together({name: found[name] for name in NETWORKS}, "network")
    return {
        "gains": plot_intervals(
            *zip(*rows, strict=True),
            reference=0,
            xlabel="best validation accuracy, points",
            note="mean difference and 95 % t interval over seeds",
        ),
        "accuracy": plot_curves(curves, hue="network", col="learning_rate"),
    }


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return the size and the accuracy of every network."""
    header = ["network", "parameters", "multiply-adds an image", "best (%)", "95 %"]
    header += ["epoch of best", "training less validation (points)", "s an epoch"]
    rows = []
    for name, model in NETWORKS.items():
        over, at_best = interval(tuned(found[name])), _at_best(found[name])
        gap = 100 * (at_best.train_accuracy - at_best.valid_accuracy)
        rows.append(
            [
                name,
                f"{parameters(model):,}",
                f"{multiply_adds(model):,}",
                f"{float(over['mean']):.2f}",
                f"{float(over.lower):.2f} to {float(over.upper):.2f}",
                f"{float(at_best.best_epoch):.1f}",
                f"{float(gap):.2f}",
                f"{found[name].attrs.get('seconds_per_epoch', float('nan')):.3g}",
            ]
        )
    return {"networks": Table(header, rows)}


def _at_best(curves: xr.Dataset) -> xr.Dataset:
    """Return the mean over seeds of what holds at the best epoch, of the best learning rate."""
    means = best(curves).mean("seed")
    return means.isel(learning_rate=means.valid_accuracy.argmax("learning_rate"))


def finding(found: Mapping[str, xr.Dataset]) -> str:
    """Return how much of what C1 and C2 gain each explanation leaves."""
    told = []
    for network, rival in pairs():
        mean, lower, upper = difference(tuned(found[network]), tuned(found[rival]))
        told.append(f"{network} less {rival}: {mean:+.2f} points [{lower:.2f}, {upper:.2f}]")
    rising = [
        name for name in NETWORKS if _at_best(found[name]).best_epoch > found[name].epoch[-1] - 0.5
    ]
    unfinished = f" Best at the last epoch, and perhaps not done: {', '.join(rising)}."
    return "; ".join(told) + "." + (unfinished if rising else "")


if __name__ == "__main__":
    main(run, Options)
