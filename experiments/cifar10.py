"""W1: do the settings found on EMNIST serve on CIFAR-10? One grid on both, on the dense net.

    python -m experiments.cifar10 --data emnist/balanced
    python -m experiments.cifar10 --data emnist/balanced --cifar10 folder/of/cifar10
    python -m experiments.cifar10 --data emnist/balanced --size None

Of the paper's settings: SGD's and RMSprop's all, and of Adam's b1 0 and .9 with b2 .9 and .9999 at
eta .01, .001 and .0001: 5 + 6 + 12. The dense net is 784-100-100-47 on the one and 3072-100-100-10
on the other. CIFAR-10 is that of TensorFlow Datasets, or a folder with train/<class>/*.png or *.jpg
(an archive has to be unpacked). Projected on two CPU cores, from .2 ms a step on EMNIST and .7 ms
on CIFAR-10: 18 minutes as it stands, with 26,320 images of each; the third line, with all, 50
minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_pairs
from emnist_jax.figures.tables import Table
from emnist_jax.stats import rank_correlation, regret
from experiments._common import Options as CommonOptions
from experiments._common import draw, main, train
from experiments.claims.beyond import GRIDS, pooled_settings

PROBLEMS = ("emnist", "cifar10")
COST = "18 minutes on two CPU cores with 26,320 images of each, 50 minutes with all (projected)"
RUNS = tuple(f"cifar10/{problem}/{rule}" for problem in PROBLEMS for rule in GRIDS)
CAPTIONS = {
    "settings": "Best validation accuracy of every setting on EMNIST and on CIFAR-10 (dense net), "
    "and their ranks."
}


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    size: int | None = 26_320
    """use a fixed random subset of so many images in all of each; None: all"""
    epochs: int = 20
    """passes over the training images"""
    cifar10: str = "cifar10"
    """the second data set: a TensorFlow Datasets name, or a path as for --data"""
    sgd_rates: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003, 0.001)
    """learning rates of SGD"""
    rmsprop_rates: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    """learning rates of RMSprop, decay .9"""
    adam_rates: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    """learning rates of Adam"""
    b1: tuple[float, ...] = (0.0, 0.9)
    """Adam's decays of the first moment"""
    b2: tuple[float, ...] = (0.9, 0.9999)
    """Adam's decays of the second moment"""


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train the grid on both data sets, save the curves, and draw the figure and tables."""
    found = measure(options)
    draw(figures(found), tables(found), options.out / "cifar10")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train the grid on both data sets; return the curves by "problem/rule"."""
    grids = {
        "sgd": {"learning_rate": options.sgd_rates},
        "rmsprop": {"learning_rate": options.rmsprop_rates, "decay": 0.9},
        "adam": {"learning_rate": options.adam_rates, "b1": options.b1, "b2": options.b2},
    }
    found = {}
    for problem, data in zip(PROBLEMS, (options.data, options.cifar10), strict=True):
        own = replace(options, data=data)
        for rule, grid in grids.items():
            cell = f"{problem}/{rule}"
            found[cell] = train(own, f"cifar10/{cell}", ej.MLP(hidden=(100, 100)), rule, grid)
    return found


def scores(found: Mapping[str, xr.Dataset], rules: tuple[str, ...] = GRIDS) -> list[xr.DataArray]:
    """Return the best accuracies (%) of all settings of some rules on EMNIST and on CIFAR-10."""
    return [pooled_settings({rule: found[f"{p}/{rule}"] for rule in rules}) for p in PROBLEMS]


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return each setting's accuracy on one against that on the other."""
    one, other = scores(found)
    names = [found[f"{problem}/sgd"].attrs.get("data", problem) for problem in PROBLEMS]
    groups = [str(choice).partition(",")[0] for choice in one.choice.values]
    return {
        "settings": plot_pairs(
            one,
            other,
            groups,
            labels=[f"best validation accuracy on {name} (%)" for name in names],
            ranks=[f"rank on {name}" for name in names],
            note=f"dense net · {one.sizes['seed']} seeds · a point: mean and 95 % t interval · "
            "dashed: equal ranks",
        )
    }


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return the rank correlations, what EMNIST's choice costs, and all settings."""
    correlations, losses = [], []
    for rules in (GRIDS, *((rule,) for rule in GRIDS)):
        one, other = scores(found, rules)
        told, ranks, lost = ", ".join(rules), rank_correlation(one, other), regret(other, one)
        correlations.append(
            [
                told,
                str(one.sizes["choice"]),
                f"{float(ranks.correlation):.2f}",
                f"{float(ranks.lower):.2f} to {float(ranks.upper):.2f}",
            ]
        )
        losses.append(
            [
                told,
                str(lost.chosen_choice.item()),
                str(lost.best_choice.item()),
                f"{float(lost.regret):.2f}",
                f"{float(lost.held_out):.2f}",
                f"{float(lost.lower):.2f} to {float(lost.upper):.2f}",
            ]
        )
    header = ["settings of", "best on EMNIST", "best on CIFAR-10", "regret (points)"]
    return {
        "rank_correlation": Table(
            ["settings of", "settings", "Spearman", "95 % over seeds, for these settings"],
            correlations,
        ),
        "regret": Table([*header, "held out", "95 % over CIFAR-10's seeds"], losses),
        "settings": _settings(found),
    }


def _settings(found: Mapping[str, xr.Dataset]) -> Table:
    sides = []
    for score in scores(found):
        mean = score.mean("seed").values
        ranks = np.argsort(np.argsort(-mean)) + 1
        sides.append([[f"{m:.2f}", str(rank)] for m, rank in zip(mean, ranks, strict=True)])
    names = map(str, scores(found)[0].choice.values)
    rows = [[name, *one, *other] for name, one, other in zip(names, *sides, strict=True)]
    return Table(["setting", "EMNIST (%)", "rank", "CIFAR-10 (%)", "rank"], rows)


def finding(found: Mapping[str, xr.Dataset]) -> str:
    """Return how far EMNIST's settings serve on CIFAR-10."""
    made = tables(found)
    everything, lost = made["rank_correlation"].rows[0], made["regret"].rows[0]
    return (
        f"Spearman's correlation over all {everything[1]} settings is {everything[2]} "
        f"[{everything[3]}]. EMNIST's best setting, {lost[1]}, loses {lost[4]} points [{lost[5]}] "
        f"on CIFAR-10 to its own best, {lost[2]} (each seed's best chosen on the others). "
        "Correlations are of these settings: their intervals are over seeds, and say nothing of "
        "other settings; settings that learn nothing rank among themselves by chance."
    )


if __name__ == "__main__":
    main(run, Options)
