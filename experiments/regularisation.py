"""W2: do batch normalisation, dropout and weight decay help? On the dense net and on C1.

    python -m experiments.regularisation --data emnist/balanced
    python -m experiments.regularisation --data emnist/balanced --size 131600

Each by itself against the plain network on the same seeds: batch normalisation as is usual (trained
from 1 and 0, running statistics in evaluation), dropout of hidden dense units, and decoupled weight
decay (AdamW; Loshchilov & Hutter, 2019). Adam as in the paper, b1 .9, b2 .9999, at eta 1e-3, which
is its undamped rule at 1e-4. Projected on two CPU cores, from .2 ms a step of the dense net and 4.4
ms of C1: 2 + 14 minutes as it stands, with 26,320 images; 80 minutes with all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_curves, plot_intervals
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, interval, paired
from experiments._common import CHOSEN, draw, main, peak_limits, together, train
from experiments._common import Options as CommonOptions
from experiments.claims.beyond import overfitting
from experiments.claims.measures import best_accuracy, held_out_best
from experiments.convnets import NETWORKS as PAPERS

NETWORKS = {name: PAPERS[name] for name in ("dense", "c1")}
VARIANTS = ("plain", "batch_norm", "dropout", "weight_decay")
COST = "16 minutes on two CPU cores with 26,320 images, 80 minutes with all (projected)"
RUNS = tuple(f"regularisation/{network}/{variant}" for network in NETWORKS for variant in VARIANTS)
CAPTIONS = {
    "gains": "What each regulariser adds to the best validation accuracy, and to the gap between "
    "training and validation accuracy after the last epoch; same seeds.",
    **{
        f"accuracy_{network}": f"Regularisers on {network}, each at its best strength: training "
        "(dashed) and validation accuracy."
        for network in NETWORKS
    },
}


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    size: int | None = 26_320
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    epochs: int = 20
    """passes over the training images, of the dense net"""
    convnet_epochs: int = 10
    """passes over the training images, of C1"""
    learning_rate: float = 1e-3
    """learning rate of Adam"""
    dropout: tuple[float, ...] = (0.2, 0.5)
    """probabilities of dropping a hidden dense unit"""
    weight_decay: tuple[float, ...] = (0.01, 0.1, 1.0)
    """strengths of weight decay: a step takes eta times so much off every parameter"""


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train every network with every regulariser, save the curves, draw figures and tables."""
    found = measure(options)
    draw(figures(found), tables(found), options.out / "regularisation")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train every network with every regulariser; return their curves by "network/variant"."""
    found = {}
    usual = {"learning_rate": options.learning_rate, **CHOSEN, "weight_decay": 0.0}
    for network, model in NETWORKS.items():
        own = options if network == "dense" else replace(options, epochs=options.convnet_epochs)
        for variant, (changed, axis) in {
            "plain": (model, {}),
            "batch_norm": (model.clone(batch_norm=ej.BatchNorm()), {}),
            "dropout": (model, {"dropout": options.dropout}),
            "weight_decay": (model, {"weight_decay": options.weight_decay}),
        }.items():
            folder = f"regularisation/{network}/{variant}"
            grid = usual | axis
            found[f"{network}/{variant}"] = train(own, folder, changed, "adamw", grid)
    return found


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return what each regulariser gains, and the curves of each network."""
    rows = []
    for network in NETWORKS:
        plain = found[f"{network}/plain"]
        for variant in VARIANTS[1:]:
            for name, one in settings(found[f"{network}/{variant}"]).items():
                for what, measured in (("accuracy", best_accuracy), ("gap", overfitting)):
                    over = paired(*(measured(x).reset_coords(drop=True) for x in (one, plain)))
                    label = f"{network}, {variant.replace('_', ' ')} {name}: {what}"
                    numbers = (float(over[x]) for x in ("difference", "lower", "upper"))
                    rows.append((" ".join(label.split()).replace(" :", ":"), *numbers))
    made = {
        "gains": plot_intervals(
            *zip(*rows, strict=True),
            reference=0,
            xlabel="with it less without, points",
            note="mean difference and 95 % t interval over seeds",
        )
    }
    for network in NETWORKS:
        shown = {v: strongest(found[f"{network}/{v}"]) for v in VARIANTS}
        made[f"accuracy_{network}"] = plot_curves(
            together(shown, "variant"),
            hue="variant",
            variables=("train_accuracy", "valid_accuracy"),
            ylim=peak_limits(shown["plain"]),
        )
    return made


def settings(curves: xr.Dataset) -> dict[str, xr.Dataset]:
    """Return the curves of each strength of a regulariser, by its value as text."""
    dims = [dim for dim in curves.dims if dim not in ("seed", "epoch")]
    if not dims:
        return {"": curves}
    return {f"{value:g}": curves.sel({dims[0]: value}) for value in curves[dims[0]].values}


def strongest(curves: xr.Dataset) -> xr.Dataset:
    """Return the curves of the strength with the highest mean best accuracy."""
    one = max(settings(curves).values(), key=lambda x: float(best_accuracy(x).mean()))
    return one.drop_vars(["dropout", "weight_decay"], errors="ignore")


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return accuracy and over-fitting of every setting, with its paired gain."""
    header = ["network", "regulariser", "strength", "best (%)", "95 %", "less plain (points)"]
    header += ["95 %", "effect size g", "epoch of best", "gap at best epoch (points)"]
    header += ["gap at last epoch", "less plain", "95 %"]
    rows = []
    for network in NETWORKS:
        plain = found[f"{network}/plain"]
        for variant in VARIANTS:
            for name, one in settings(found[f"{network}/{variant}"]).items():
                cells = _cells(one, None if variant == "plain" else plain)
                rows.append([network, variant.replace("_", " "), name, *cells])
    return {"settings": Table(header, rows)}


def _cells(curves: xr.Dataset, plain: xr.Dataset | None) -> list[str]:
    """Return the numbers of a setting's row; compared with the plain network if that is given."""
    at_best, over = best(curves), interval(best_accuracy(curves))
    gap = 100 * (at_best.train_accuracy - at_best.valid_accuracy).mean("seed")
    cells = [
        f"{float(over['mean']):.2f}",
        f"{float(over.lower):.2f} to {float(over.upper):.2f}",
        f"{float(at_best.best_epoch.mean('seed')):.1f}",
        f"{float(gap):.2f}",
        f"{float(overfitting(curves).mean('seed')):.2f}",
    ]
    if plain is None:
        return [*cells[:2], "", "", "", *cells[2:], "", ""]
    accuracy, last = (
        paired(*(measured(x).reset_coords(drop=True) for x in (curves, plain)))
        for measured in (best_accuracy, overfitting)
    )
    told = [
        [f"{float(x.difference):+.2f}", f"{float(x.lower):.2f} to {float(x.upper):.2f}"]
        for x in (accuracy, last)
    ]
    return [*cells[:2], *told[0], f"{float(accuracy.g_z):.1f}", *cells[2:], *told[1]]


def finding(found: Mapping[str, xr.Dataset]) -> str:
    """Return what each regulariser does at the strength that the other seeds choose."""
    told = []
    for network in NETWORKS:
        both = {}
        for variant in VARIANTS:
            curves = found[f"{network}/{variant}"]
            both[variant] = held_out_best(best_accuracy(curves), overfitting(curves))
        for variant in VARIANTS[1:]:
            gains = [interval(a - b) for a, b in zip(both[variant], both["plain"], strict=True)]
            accuracy, gap = (
                f"{float(x['mean']):+.2f} [{float(x.lower):.2f}, {float(x.upper):.2f}]"
                for x in gains
            )
            what = variant.replace("_", " ")
            told.append(f"{network}, {what}: accuracy {accuracy}, over-fitting gap {gap} points")
    return "; ".join(told) + "."


if __name__ == "__main__":
    main(run, Options)
