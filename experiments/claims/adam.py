"""Section 3: Adam on the dense net."""

import numpy as np
import xarray as xr

from experiments.claims.judge import Claim, Runs
from experiments.claims.measures import (
    INF,
    LONG,
    SIGN,
    SPLIT,
    accuracy_at,
    best_accuracy,
    best_epoch,
    change,
    chosen,
    held_out_best,
    largest_fall,
    paired,
    reached_by,
    roughness,
    worst_step,
)


def _highest(scores: xr.DataArray) -> xr.DataArray:
    """Return the score of the b2 with the highest mean: "no b2" stands or falls with it."""
    return scores.isel(b2=int(scores.mean("seed").argmax("b2")), drop=True)


def _beats_the_rest(scores: xr.DataArray, b2: float) -> xr.DataArray:
    """Return a b2's score less that of the best other b2."""
    others = scores.sel(b2=[v for v in scores.b2.values if v != b2])
    return scores.sel(b2=b2, drop=True) - _highest(others)


def _longer_window_always_better(runs: Runs) -> xr.DataArray:
    """Return what the least favourable step to a larger b2 gains, over b1 and both small rates."""
    rows = []
    for b1 in (0.0, 0.9):
        for rate in (1e-3, 1e-4):
            score = best_accuracy(runs.adam(rate, b1, epochs=20))
            rows.append(worst_step(score.reset_coords(drop=True), "b2"))
    return min(rows, key=lambda row: float(row.mean()))


def whole_grid(runs: Runs) -> xr.Dataset:
    """Return the curves of every setting of the grid; rates of .1 and more, useless, are left out.

    The settings are named by eta and b1 as the paper gives them.
    """
    rows = []
    for rate in (1e-2, 1e-3, 1e-4):
        for b1 in (0.0, 0.9):
            curves = runs.adam(rate, b1, epochs=LONG).reset_coords(drop=True)
            rows.append(curves.assign_coords(rate=rate, b1=b1))
    return xr.concat(rows, "setting")


def _above(runs: Runs, rate: float, b1: float, b2: float) -> xr.DataArray:
    """Return by how much the best other setting of the grid exceeds this one's accuracy.

    Were the setting itself among those to choose from, it could not lose, and where it is chosen
    for each seed the difference would be zero without an error.
    """
    scores = best_accuracy(whole_grid(runs))
    own = (scores.rate == rate) & (scores.b1 == b1) & (abs(scores.b2 - b2) < 1e-6)
    others = held_out_best(scores.where(~own, -np.inf))[0]
    return paired(others, best_accuracy(runs.adam(rate, b1, b2, LONG)))


def _overfits_most(runs: Runs) -> xr.DataArray:
    """Return how much larger the final gap of errors is at b2 .9999 than at the next largest."""
    curves = runs.adam(1e-4, 0.9, epochs=LONG).sel(epoch=slice(95, 100)).mean("epoch")
    return _beats_the_rest(curves.valid_error - curves.train_error, 0.9999)


ADAM = (
    *(
        Claim(
            f"A1{letter}",
            "Section 3, Figure 6",
            f"Adam does not converge at eta {rate:g} (b1 {b1:g})",
            "validation accuracy, mean of epochs 91-100 at the b2 where it is highest, is at most "
            "70 %",
            lambda runs, rate=rate, b1=b1: _highest(
                100
                * runs.adam(rate, b1, epochs=LONG)
                .valid_accuracy.sel(epoch=slice(91, 100))
                .mean("epoch")
            ),
            -INF,
            70,
            "ten points and more below what smaller rates reach; not at all means with no b2",
            any_adam=b1 > 0,
        )
        for letter, rate, b1 in (
            ("a", 0.1, 0.0),
            ("b", 0.1, 0.9),
            ("c", 0.01, 0.0),
            ("d", 0.01, 0.9),
        )
    ),
    *(
        Claim(
            f"A1{letter}",
            "Section 3",
            f"Adam at eta .01 (b1 {b1:g}) falls from 55 to 30 % between epochs",
            "largest fall of validation accuracy in one epoch, median of all b2, is 20 or more",
            lambda runs, b1=b1: largest_fall(runs.adam(0.01, b1, epochs=20)).median("b2"),
            20,
            INF,
            "25 points were seen; 20 in at least half of the settings counts as common",
            "points",
            any_adam=b1 > 0,
        )
        for letter, b1 in (("e", 0.0), ("f", 0.9))
    ),
    Claim(
        "A1g",
        "Section 3, Figure 6",
        "Adam at eta 1e-3, b1 .9 reaches only 80 %, even with b2 .9999",
        "best validation accuracy at b2 .9999",
        lambda runs: best_accuracy(runs.adam(1e-3, 0.9, 0.9999, 20)),
        79,
        81,
        SPLIT,
        any_adam=True,
    ),
    Claim(
        "A1h",
        "Section 3, Figure 6",
        "Adam at eta 1e-3, b1 .9 improves with a larger b2",
        "best validation accuracy, b2 .9999 less b2 .9, is above 0",
        lambda runs: (
            best_accuracy(runs.adam(1e-3, 0.9, 0.9999, 20))
            - best_accuracy(runs.adam(1e-3, 0.9, 0.9, 20))
        ),
        0,
        INF,
        SIGN,
        "points",
        any_adam=True,
    ),
    Claim(
        "A1i",
        "Section 3, Figure 6",
        "Adam at eta 1e-3, b1 0, b2 .9999 reaches 83.5 +- .3 %",
        "best validation accuracy",
        lambda runs: best_accuracy(runs.adam(1e-3, 0.0, 0.9999, 20)),
        82.5,
        84.5,
        SPLIT,
    ),
    Claim(
        "A1j",
        "Section 3",
        "Adam at eta 1e-3, b1 0, b2 .9999 is best at epoch 10 to 12",
        "epoch of its best validation accuracy",
        lambda runs: best_epoch(runs.adam(1e-3, 0.0, 0.9999, 20)),
        8,
        14,
        "10 to 12 and two epochs more either way: the top of the curve is flat",
        "epoch",
    ),
    Claim(
        "A1k",
        "Section 3",
        "Adam at eta 1e-3, b1 0, b2 .9999 overfits from there on",
        "validation accuracy, epochs 96-100 less epochs 10-12, is below 0",
        lambda runs: change(
            runs.adam(1e-3, 0.0, 0.9999, LONG), "valid_accuracy", (10, 12), (96, 100)
        ),
        -INF,
        0,
        SIGN,
        "points",
    ),
    Claim(
        "A1l",
        "Section 3, Figure 6",
        "Adam at eta 1e-3, b1 0 is best with b2 .9999",
        "best validation accuracy, b2 .9999 less the best other b2, is above 0",
        lambda runs: _beats_the_rest(best_accuracy(runs.adam(1e-3, 0.0, epochs=20)), 0.9999),
        0,
        INF,
        SIGN,
        "points",
    ),
    Claim(
        "A1m",
        "Section 3",
        "Adam at eta 1e-4, b1 0 rises almost without a fall, whatever b2",
        "largest fall of validation accuracy in one epoch up to 44, at the b2 where it is largest, "
        "is at most 1",
        lambda runs: _highest(
            largest_fall(runs.adam(1e-4, 0.0, epochs=44).sel(epoch=slice(0, 44)))
        ),
        -INF,
        1,
        "a point: what 15,800 images and one minibatch of noise can do",
        "points",
    ),
    Claim(
        "A1n",
        "Section 3, Figure 6",
        "Adam at eta 1e-4, b1 0 reaches 83.5 %",
        "best validation accuracy, mean of all b2",
        lambda runs: best_accuracy(runs.adam(1e-4, 0.0, epochs=LONG)).mean("b2"),
        82.5,
        84.5,
        SPLIT,
    ),
    Claim(
        "A1o",
        "Section 3",
        "Adam at eta 1e-4, b1 0 is best at epoch 44 to 52",
        "epoch of its best validation accuracy, mean of all b2",
        lambda runs: best_epoch(runs.adam(1e-4, 0.0, epochs=LONG)).mean("b2"),
        34,
        62,
        "44 to 52 and ten epochs more either way: the curve is flatter still",
        "epoch",
    ),
    Claim(
        "A1p",
        "Section 3",
        "Adam at eta 1e-4, b1 .9 learns quickly: 83 % by epoch 6",
        "highest validation accuracy up to epoch 6 at b2 .9999",
        lambda runs: reached_by(chosen(runs, 6), 6),
        82,
        84,
        SPLIT,
        any_adam=True,
    ),
    Claim(
        "A1q",
        "Section 3",
        "at eta 1e-4, b1 .9 the training error fluctuates less with a larger b2",
        "mean bend (second difference) of the training error, epochs 5 to 20, b2 .9999 less b2 .9, "
        "is below 0",
        lambda runs: (
            roughness(runs.adam(1e-4, 0.9, 0.9999, 20)) - roughness(runs.adam(1e-4, 0.9, 0.9, 20))
        ),
        -INF,
        0,
        SIGN,
        "nats",
        any_adam=True,
    ),
    Claim(
        "A1r",
        "Section 3, Figure 7",
        "at eta 1e-4, b1 .9, b2 .9999 overfits most",
        "validation less training error, epochs 95-100, b2 .9999 less the next largest, is above 0",
        _overfits_most,
        0,
        INF,
        SIGN,
        "nats",
        any_adam=True,
    ),
    Claim(
        "A1s",
        "Section 3",
        "a larger b2 is always better for Adam",
        "gain in best validation accuracy of the least favourable step to a larger b2 "
        "(both b1, eta 1e-3 and 1e-4) is above 0",
        _longer_window_always_better,
        0,
        INF,
        "always means at every step; the least favourable is picked by its mean",
        "points",
        any_adam=True,
    ),
    Claim(
        "A1t",
        "Section 3",
        "Adam with b1 0 learns much slower than with b1 .9",
        "validation accuracy after epoch 1 at eta 1e-4, b2 .9999: b1 .9 less b1 0 is 5 or more",
        lambda runs: (
            accuracy_at(chosen(runs, 1), 1) - accuracy_at(runs.adam(1e-4, 0.0, 0.9999, 1), 1)
        ),
        5,
        INF,
        "five points: what the paper could see in a figure",
        "points",
        any_adam=True,
    ),
    Claim(
        "A1u",
        "Sections 3, 7",
        "Adam's usual defaults (eta 1e-3, b1 .9, b2 .999) are not the best",
        "best validation accuracy of the grid's best other setting less theirs is above 0",
        lambda runs: _above(runs, 1e-3, 0.9, 0.999),
        0,
        INF,
        "the sign; each seed's best setting is chosen on the other seeds",
        "points",
        any_adam=True,
    ),
    Claim(
        "A1v",
        "Section 5",
        "Adam performs best at eta 1e-4, b1 .9, b2 .9999",
        "best validation accuracy of the grid's best other setting less its own is at most .3",
        lambda runs: _above(runs, 1e-4, 0.9, 0.9999),
        -INF,
        0.3,
        "the paper's sd at its best setting; each seed's best is chosen on the other seeds",
        "points",
        any_adam=True,
    ),
)
