"""C1 to C3: one and two convolutions against the dense net, with times and operation counts.

    python -m experiments.convnets --data emnist/balanced

All three with the same Adam, b1 .9, b2 .9999, at eta 1e-4 and at 1e-3 (undamped Adam at 1e-4). The
ConvNets still rise at the smaller rate when they are past their best at the larger one: they train
longer with it in a run of their own. The networks of each trial's best validation epoch then see
the test images, once.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import jax
import numpy as np
import xarray as xr
from flax import linen as nn
from flax.traverse_util import flatten_dict

import emnist_jax as ej
from emnist_jax.figures import confusion_matrix, plot_confusion, plot_curves
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, fraction_reached, interval
from emnist_jax.store.networks import Networks
from experiments._common import (
    CHOSEN,
    CHOSEN_RATES,
    draw,
    main,
    peak_limits,
    together,
    train_and_test,
)
from experiments._common import Options as CommonOptions
from experiments.claims.measures import best_epoch, still_rising

NETWORKS: Mapping[str, nn.Module] = {
    "dense": ej.MLP(hidden=(100, 100)),
    "c1": ej.ConvNet(channels=(10,), hidden=(576, 160)),
    "c2": ej.ConvNet(channels=(5, 10), hidden=(150,)),
}
LONGER = {"c1": 2, "c2": 3}  # times as many epochs, at the smallest learning rate
CELLS = (*NETWORKS, *(f"{cell}/longer" for cell in LONGER))
RUNS = tuple(f"convnets/{cell}{part}" for cell in CELLS for part in ("", "/test"))


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    epochs: int = 20
    """passes over the training images: enough for the ConvNets to peak at the larger rate; at the
    smallest, C1 gets twice as many in a further run and C2 three times"""
    learning_rate: tuple[float, ...] = CHOSEN_RATES
    """learning rates of Adam with b1 .9, b2 .9999; 1e-3 is undamped Adam at 1e-4"""


CAPTIONS = {
    "accuracy": "ConvNets and the dense net with the same Adam: validation accuracy.",
    "error": "ConvNets and the dense net, the same Adam: training (dashed) and validation error.",
    "longer_c1": "C1 at the smallest eta, for longer: training (dashed), validation accuracy.",
    "longer_c2": "C2 at the smallest eta, for longer: training (dashed), validation accuracy.",
    "confusion_c1": "C1 at its best validation epoch (first eta): test images of each class by the "
    "class they are read as, all seeds.",
}


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train the three networks, test them, and draw figures and the table of all.

    Returns:
        Curves by network, those of the longer runs by network + "/longer", and test results by
        either with "/test" behind.
    """
    found = measure(options)
    draw(figures(found), tables(found), options.out / "convnets")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train and test every network, and save curves and results, named as `run` does."""
    found = {}
    for cell in CELLS:
        network, _, longer = cell.partition("/")
        rates = (min(options.learning_rate),) if longer else options.learning_rate
        times = LONGER[network] if longer else 1
        found[cell], found[f"{cell}/test"] = train_and_test(
            replace(options, epochs=times * options.epochs),
            f"convnets/{cell}",
            NETWORKS[network],
            {"learning_rate": rates, **CHOSEN},
            "best",
            test_with_confusion,
        )
    return found


def test_with_confusion(networks: Networks, data: ej.Dataset) -> xr.Dataset:
    """Return errors, accuracies and confusion matrices (true class, predicted class)."""
    split, names = data.test, list(data.classes)
    predicted = networks.logits(split.images).argmax("class")
    flat = predicted.values.reshape(-1, len(split.labels))
    matrices = [confusion_matrix(split.labels, row, len(names)) for row in flat]
    matrices = np.asarray(matrices, np.int32).reshape(*networks.epoch.shape, *matrices[0].shape)
    dims = (*networks.epoch.dims, "true", "predicted")
    tested = networks.evaluate(split).assign_coords(true=names, predicted=names)
    return tested.assign(confusion=(dims, matrices), best_epoch=networks.epoch)


def multiply_adds(model: nn.Module, height: int = 28, width: int = 28, classes: int = 47) -> int:
    """Return the multiplications with additions of one image's forward pass, by layer shapes.

    A dense layer has inputs x outputs; a convolution that keeps the size has rows x columns of its
    image for every element of its kernel. Biases, activations and pooling are left out.
    """
    shapes = jax.eval_shape(
        model.clone(classes=classes).init, jax.random.key(0), np.zeros((1, height, width, 1))
    )
    total = 0
    for path, leaf in sorted(flatten_dict(shapes["params"]).items()):
        if path[-1].endswith("kernel"):
            layer = int(path[-1].split("_")[1]) if leaf.ndim == 4 else 0
            positions = (height >> layer) * (width >> layer) if leaf.ndim == 4 else 1
            total += positions * math.prod(leaf.shape)
    return total


def parameters(model: nn.Module, classes: int = 47) -> int:
    """Return the number of parameters on 28x28 images."""
    shapes = jax.eval_shape(
        model.clone(classes=classes).init, jax.random.key(0), np.zeros((1, 28, 28, 1))
    )
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return the curves of the three networks, of the longer runs, and C1's confusion matrix."""
    curves = together({cell: found[cell] for cell in NETWORKS}, "network")
    tested = found["c1/longer/test"]
    of = " · ".join(str(tested.attrs[name]) for name in ("data", "rule", "model"))
    note = f"{of} · {tested.attrs['images']:,} test images"
    return {
        "accuracy": plot_curves(
            curves, hue="network", col="learning_rate", ylim=peak_limits(curves)
        ),
        "error": plot_curves(
            curves, hue="network", col="learning_rate", variables=("train_error", "valid_error")
        ),
        **{
            f"longer_{cell}": plot_curves(
                found[f"{cell}/longer"],
                col="learning_rate",
                variables=("train_accuracy", "valid_accuracy"),
                ylim=peak_limits(found[f"{cell}/longer"]),
            )
            for cell in LONGER
        },
        "confusion_c1": plot_confusion(tested.confusion.isel(learning_rate=0), note=note),
    }


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return accuracies, and sizes, operation counts and times, of the three networks."""
    return {"accuracy": _accuracies(found), "cost": _costs(found)}


def longest(found: Mapping[str, xr.Dataset]) -> Iterator[tuple[str, xr.Dataset, xr.Dataset]]:
    """Yield networks, curves and test results at each rate, of the longer run if there is one."""
    for cell in NETWORKS:
        longer = found.get(f"{cell}/longer")
        for rate in found[cell].learning_rate.values:
            name = cell if longer is None or rate not in longer.learning_rate else f"{cell}/longer"
            yield cell, *(found[run].sel(learning_rate=rate) for run in (name, f"{name}/test"))


def _accuracies(found: Mapping[str, xr.Dataset]) -> Table:
    header = ["network", "eta", "epochs", "best validation (%)", "95 %", "at epoch"]
    header += ["after epoch 1 (%)", "of the best (%)", "test at best epoch (%)", "95 %"]
    header += ["macro (%)", "test error"]
    rows = []
    for cell, curves, tested in longest(found):
        at_best, mean = best(curves), tested.mean("seed")
        valid, test = (interval(100 * x) for x in (at_best.valid_accuracy, tested.accuracy))
        share = fraction_reached(curves.valid_accuracy)
        numbers = (
            f"{float(valid['mean']):.2f}",
            f"{float(valid.lower):.2f} to {float(valid.upper):.2f}",
            f"{float(at_best.best_epoch.mean()):.1f}",
            f"{100 * float(curves.valid_accuracy.sel(epoch=1).mean()):.2f}",
            f"{100 * float(share.mean()):.1f}",
            f"{float(test['mean']):.2f}",
            f"{float(test.lower):.2f} to {float(test.upper):.2f}",
            f"{100 * float(mean.macro_accuracy):.2f}",
            f"{float(mean.error):.3f}",
        )
        rate, last = float(curves.learning_rate), int(curves.epoch[-1])
        rows.append([cell, f"{rate:g}", str(last), *numbers])
    return Table(header, rows)


def _costs(found: Mapping[str, xr.Dataset]) -> Table:
    header = ["network", "parameters", "multiply-adds an image", "of dense", "s an epoch"]
    header += ["of dense", "device"]
    operations = {cell: multiply_adds(model) for cell, model in NETWORKS.items()}
    seconds = {cell: float(found[cell].attrs["seconds_per_epoch"]) for cell in NETWORKS}
    rows = [
        [
            cell,
            f"{parameters(NETWORKS[cell]):,}",
            f"{operations[cell]:,}",
            f"{operations[cell] / operations['dense']:.1f}",
            f"{seconds[cell]:.3g}",
            f"{seconds[cell] / seconds['dense']:.1f}",
            str(found[cell].attrs["device"]),
        ]
        for cell in NETWORKS
    ]
    return Table(header, rows)


def finding(found: Mapping[str, xr.Dataset]) -> str:
    """Return which networks were still improving when their training ended."""
    still = [
        f"{cell}, eta {float(curves.learning_rate):g} (mean epoch of best "
        f"{float(best_epoch(curves).mean()):.1f} of {int(curves.epoch[-1])})"
        for cell, curves, _ in longest(found)
        if still_rising(curves)
    ]
    if not still:
        return "Every network was past its best when training ended."
    return (
        "Still improving when training ended, so that their best accuracy is too low and its epoch "
        f"too early: {'; '.join(still)}."
    )


if __name__ == "__main__":
    main(run, Options)
