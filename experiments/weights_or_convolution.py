"""W3: is it the convolution, or the number of weights? C1 and C2 against dense nets of their size.

    python -m experiments.weights_or_convolution --data emnist/balanced

Dense nets with as many parameters as C1 (784-768-768-47: 1,229,615 to 1,229,683) and C2
(784-89-89-47: 82,105 to 82,137), and with as many multiplications an image (848-848, 357-357); C1's
head alone (784-576-160-47); and C1 and C2 on shuffled pixels: one fixed permutation of the pixels
of all images, which is nothing to a dense net and takes a convolution's neighbourhoods away. Adam
as in the paper, b1 .9, b2 .9999, at eta 1e-4 and 1e-3; each network counts at the rate that suits
it. C1 and its rivals have 15 epochs, C2 and its 25.
"""

from dataclasses import replace
from functools import partial

import numpy as np

import emnist_jax as ej
from emnist_jax.data.dataset import permutation
from emnist_jax.figures import plot_curves
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, best_setting
from experiments import convnets
from experiments._curves import (
    peak_limits,
    perhaps_not_done,
    plot_gains,
    size_row,
    together,
    tuned,
    with_names,
)
from experiments._data import OtherData
from experiments._experiment import Experiment, Figure, Results, Taken
from experiments._main import main
from experiments._names import NAMES
from experiments._networks import C1, C2, CHOSEN_GRID, float32_sweep

NETWORKS = {
    "c1": C1,
    "c1_shuffled": C1,
    "c1_weights": ej.MLP(hidden=(768, 768)),
    "c1_operations": ej.MLP(hidden=(848, 848)),
    "c1_head": ej.MLP(hidden=(576, 160)),
    "c2": C2,
    "c2_shuffled": C2,
    "c2_weights": ej.MLP(hidden=(89, 89)),
    "c2_operations": ej.MLP(hidden=(357, 357)),
}
RIVALS = ("weights", "operations", "shuffled")
EPOCHS = {"c1": 15, "c2": 25}  # past the peak at the larger rate


def folder_of(name: str) -> str:
    """Return where a network's curves are."""
    return f"weights_or_convolution/{name}"


def called(network: str) -> str:
    """Return a network in words: C1, or a dense net of its weights (C1)."""
    net, _, rival = network.partition("_")
    return NAMES.get(network) or f"{NAMES[rival]} ({NAMES[net]})"


# Each ConvNet, and what it is compared with.
PAIRS = {
    f"{NAMES[one]} less {NAMES[rival]}": (folder_of(one), folder_of(f"{net}_{rival}"))
    for one, net, rivals in (
        ("c1", "c1", ("weights", "operations", "head", "shuffled")),
        ("c2", "c2", RIVALS),
        ("c1_shuffled", "c1", ("weights",)),
        ("c2_shuffled", "c2", ("weights",)),
    )
    for rival in rivals
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


def draw_accuracy(runs: Results, net: str):
    """Draw C1 or C2 beside what both are compared with, all at their best rates."""
    own = {NAMES[net]: net} | {NAMES[rival]: f"{net}_{rival}" for rival in RIVALS}
    lines = {words: best_setting(runs[folder_of(one)]) for words, one in own.items()}
    curves = with_names(together(lines, "network").drop_vars("learning_rate"))
    return plot_curves(curves, hue="network", ylim=peak_limits(curves))


def sizes(runs: Results) -> Table:
    """Return the size and the accuracy of every network."""
    rows = []
    for name, model in NETWORKS.items():
        top = best(best_setting(runs[folder_of(name)])).mean("seed")
        more = {
            "epoch of best": top.best_epoch,
            "training less validation (points)": 100 * (top.train_accuracy - top.valid_accuracy),
        }
        rows.append({"network": called(name)} | size_row(model, runs[folder_of(name)], **more))
    return Table(rows, {"epoch of best": ".1f", "s an epoch": ".3g"})


def finding(runs: Results) -> str:
    """Return what each network reaches, and which may not be done."""
    curves = {called(name): runs[folder_of(name)] for name in NETWORKS}
    reached = (f"{words} {float(tuned(one).mean()):.1f} %" for words, one in curves.items())
    return f"Best validation accuracy: {', '.join(reached)}. {perhaps_not_done(curves)}"


EXPERIMENT = Experiment(
    "weights_or_convolution",
    "Weights or convolution? (W3)",
    sweeps={
        folder_of(name): float32_sweep(model, "adam", CHOSEN_GRID, epochs=EPOCHS[name[:2]])
        for name, model in NETWORKS.items()
    },
    taken={
        folder_of(name): Taken(f"convnets/{name}", convnets.sweeps()[f"convnets/{name}"])
        for name in EPOCHS
    },
    data={
        folder_of(name): OtherData(change=shuffle_pixels) for name in ("c1_shuffled", "c2_shuffled")
    },
    figures={
        "gains": Figure(
            "Is it the convolution? What C1 and C2 gain over dense nets of as many weights or "
            "operations, over C1's head alone, and over themselves on shuffled pixels; same seeds.",
            partial(plot_gains, pairs=PAIRS),
        ),
        **{
            f"accuracy_{net}": Figure(
                f"{NAMES[net]} beside dense nets, and on shuffled pixels, each at its best rate: "
                "validation accuracy.",
                partial(draw_accuracy, net=net),
            )
            for net in EPOCHS
        },
    },
    tables={"networks": sizes},
    finding=finding,
    cost="115 minutes on two CPU cores",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
