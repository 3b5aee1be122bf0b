"""Hand-made curves for the questions beyond the paper: a world in which every answer holds."""

import numpy as np
import xarray as xr
from paper_world import CHOSEN, experiment, learn

from experiments import depth, weights_or_convolution
from experiments._data import FIFTH, HALF
from experiments.claims.beyond import REGULARISED
from experiments.claims.rules import NEWER, ON_C2, RULES, folder
from experiments.rules_compared import AVERAGED

SPREAD = 0.0002


def networks(names, best, rates=(1e-3,)):
    """Return curves of networks by name that peak at `best` of it, or at .8."""
    return {name: network(best.get(name, 0.8), rates=rates) for name in names}


def network(peak, final_train=0.9, rates=(1e-3,), **grid):
    """Return curves that peak at epoch 10 and end at .79, at `final_train` in training."""
    curves = experiment(5, SPREAD, learning_rate=list(rates), **CHOSEN, **grid)
    learn(curves, {0: 0.02, 10: peak, 100: 0.79}, {0: 0.02, 100: final_train})
    return curves


def searched(peak, rises_by, others=0.0):
    """Return curves of four random settings: one peaks, the others `others` below it."""
    rows = []
    for k in range(4):
        one = experiment(5, SPREAD, {"seconds_per_epoch": 1.0}, learning_rate=[1e-3])
        learn(one, {0: 0.02, rises_by: peak - others * (k > 0), 100: 0.5})
        rows.append(one.isel(learning_rate=0, drop=True))
    curves = xr.concat(rows, "sample")
    return curves.assign_coords(learning_rate=("sample", 10.0 ** np.arange(-4, 0)))


def rules(network, names=RULES + NEWER):
    """Rules within a point, SGD last and slow, and hard to tune; schedule-free AdamW first.

    With a cosine all but schedule-free AdamW, which has none and is first still, are better.
    """
    peaks = dict.fromkeys(names, 0.83) | {"sgd": 0.826, "schedule_free_adamw": 0.8345}
    found = {folder(network, rule): searched(peak, 5) for rule, peak in peaks.items()}
    found[folder(network, "sgd")] = searched(0.826, 40, 0.2)
    for rule, peak in peaks.items():
        if rule != "schedule_free_adamw":
            found[folder(network, rule, "cosine")] = searched(peak + 0.002, 5)
    return found


def averaged():
    return {folder("dense", rule, "averaged"): searched(0.832, 5) for rule in AVERAGED}


def parts():
    """Nine rules whose accuracies rank alike on a part of the images and on all."""
    dense, found = rules("dense"), {}
    for part, images in ((FIFTH, 20_000), (HALF, 50_000), ("", 100_000)):
        for rule in RULES + NEWER:
            name = folder("dense", rule)
            found[f"{part}{name}"] = dense[name].assign_attrs(train_images=images)
    return found


GRIDS = {"sgd": 3, "rmsprop": 3, "adam": 4}


def problem(order):
    """Three rules whose settings reach .5 and more in steps, in the order given."""
    found, next_one = {}, iter(order)
    for rule, count in GRIDS.items():
        curves = experiment(5, SPREAD, learning_rate=[10.0**-k for k in range(count)])
        for rate in curves.learning_rate.values:
            learn(curves, {0: 0.02, 50: 0.5 + 0.02 * next(next_one), 100: 0.5}, learning_rate=rate)
        found[rule] = curves
    return found


def cifar10(there=range(10), here=range(10)):
    one, other = problem(there), problem(here)
    made = {f"cifar10/emnist/{rule}": curves for rule, curves in one.items()}
    return made | {f"cifar10/cifar10/{rule}": curves for rule, curves in other.items()}


def regularisation():
    found = {}
    for net in ("dense", "c1"):
        found[f"regularisation/{net}/plain"] = network(0.82, 0.95)
        for variant in REGULARISED:
            axis = {"dropout": [0.2, 0.5], "weight_decay": [0.01, 0.1]}
            one = network(0.83, 0.9, **({variant: axis[variant]} if variant in axis else {}))
            found[f"regularisation/{net}/{variant}"] = one.isel(learning_rate=0)
        plain = found[f"regularisation/{net}/plain"]
        found[f"regularisation/{net}/plain"] = plain.isel(learning_rate=0)
    return found


def weights():
    best = {"c1": 0.87, "c2": 0.87, "c1_shuffled": 0.8, "c1_weights": 0.81}
    made = networks(weights_or_convolution.NETWORKS, best, (1e-4, 1e-3))
    return {f"weights_or_convolution/{name}": curves for name, curves in made.items()}


def depths():
    best = {
        "conv10_head150": 0.84,
        "conv10_head576-160": 0.85,
        "conv20_head576-160": 0.86,
        "conv5-10_head150": 0.86,
        "conv5-10_head576-160": 0.87,
        "conv10-10_head150": 0.87,
        "conv10-20_head150": 0.88,
    }
    return networks(depth.NETWORKS, {f"depth/{name}": peak for name, peak in best.items()})


def world():
    """Return runs by name, in which every answer of `claims.BEYOND` holds."""
    dense = rules("dense") | averaged() | parts()
    return dense | rules("c2", ON_C2) | cifar10() | regularisation() | weights() | depths()
