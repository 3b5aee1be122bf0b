"""Beyond the paper: what it left open, or could not carry, put as claims and judged like its own.

Each question is worded as an answer to it; the verdict says whether that answer holds. Networks and
rules are compared at their best settings, less the luck of the choice.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product

import numpy as np
import xarray as xr

from emnist_jax.stats import rank_correlation, regret
from experiments._data import FIFTH
from experiments._names import name
from experiments.claims.criteria import Estimate, above, at_least, at_most, below
from experiments.claims.judge import Claim
from experiments.claims.measures import best_accuracy, overfitting
from experiments.claims.networks import NONE_GAINED, WHY_NONE
from experiments.claims.quantities import TUNED, Measured, Quantity, run
from experiments.claims.rules import (
    AVERAGE_CLAIMS,
    NAMES,
    NEWER,
    ON_C2,
    RULES,
    folder,
    rule_claims,
    tuned_gain,
)
from experiments.claims.runs import NotTestable, Runs
from experiments.claims.tuning import held_out_best

GRIDS = ("sgd", "rmsprop", "adam")  # the paper's rules
REGULARISED = ("batch_norm", "dropout", "weight_decay")
LESS = Quantity(
    "training less validation accuracy after the last epoch",
    "points",
    lambda curves: held_out_best(best_accuracy(curves), overfitting(curves))[0],
)


def pooled_settings(curves: Mapping[str, xr.Dataset]) -> xr.DataArray:
    """Return best accuracies (%) of all settings of several rules along one dimension, `choice`."""
    rows = []
    for rule, one in curves.items():
        score = best_accuracy(one).reset_coords(drop=True)
        dims = [dim for dim in score.dims if dim != "seed"]
        flat = score.stack(setting=dims, create_index=False).transpose("setting", "seed")
        names = [
            ", ".join([name(rule), *(f"{name(dim)} {flat[dim].values[i]:g}" for dim in dims)])
            for i in range(flat.sizes["setting"])
        ]
        coords = {"choice": names, "seed": flat.seed.values}
        coords |= {"rule": ("choice", [rule] * len(names))}
        rows.append(xr.DataArray(flat.values, coords, ("choice", "seed")))
    return xr.concat(rows, "choice", join="inner")


# X2 and W1: other images, another problem

RANKS = at_least(0.7, "half the variance of the ranks is shared; noise pulls it down")
SERVES = at_most(1, "one point; each seed's best is chosen on the other seeds")


def _over(
    measure: Callable[..., xr.Dataset], value: str, pick: Callable[[Runs], Sequence[xr.DataArray]]
) -> Callable[[Runs], Estimate]:
    """Return a function that measures scores on two problems; the first is judged."""

    def of(runs: Runs) -> Estimate:
        scores = pick(runs)
        found = measure(*scores)
        values = [float(found[v]) for v in (value, "lower", "upper")]
        if not np.isfinite(values).all():
            raise NotTestable("one seed, or settings that all tie, give no interval")
        return Estimate(*values, scores[0].sizes["seed"])

    return of


def _sizes(runs: Runs) -> list[xr.DataArray]:
    """Return each rule's accuracy (%) at its best setting, on all images and on a fifth of them."""
    found = []
    for part in ("", FIFTH):
        scores = [TUNED.of(runs.pick(part + folder("dense", rule))) for rule in RULES + NEWER]
        one = xr.concat(scores, "choice", join="inner")
        found.append(one.assign_coords(choice=list(RULES + NEWER)))
    return found


def two_problems(runs: Runs, rules: tuple[str, ...] = GRIDS) -> list[xr.DataArray]:
    """Return the best accuracies (%) of all settings of some rules on EMNIST and on CIFAR-10."""
    return [
        pooled_settings({rule: runs.pick(f"cifar10/{problem}/{rule}") for rule in rules})
        for problem in ("emnist", "cifar10")
    ]


def _ranks(*rules: str) -> Measured:
    words = f"Spearman's correlation of best validation accuracies, settings of {', '.join(rules)}"
    of = _over(rank_correlation, "correlation", partial(two_problems, rules=rules))
    return Measured(f"{words} (interval over seeds, for these settings)", "rho", of)


# fmt: off
SIZES = (
    Claim("X2a", "rules rank on a fifth of the training images as they do on all",
          Measured("Spearman's correlation of nine rules' accuracies at their best settings", "rho",
                   _over(rank_correlation, "correlation", _sizes)), RANKS),
    Claim("X2b", "the rule that is best on a fifth of the training images serves on all",
          Measured("what it loses there to the best rule", "points",
                   _over(regret, "held_out", _sizes)), SERVES),
)
CIFAR10 = (
    Claim("W1a", "settings rank on CIFAR-10 as they do on EMNIST", _ranks(*GRIDS), RANKS),
    Claim("W1b", "settings of Adam rank on CIFAR-10 as they do on EMNIST", _ranks("adam"), RANKS),
    Claim("W1c", "EMNIST's best setting serves on CIFAR-10",
          Measured("what it loses there to CIFAR-10's own best setting", "points",
                   _over(regret, "held_out", lambda runs: two_problems(runs)[::-1])), SERVES),
)
# fmt: on


# W2 to W4: regularisation, weights or convolution, depth

_LETTERS = ("ab", "cd", "ef", "gh", "ij", "kl")  # of the two claims on a network and a regulariser


def _regularisation_claims(letters: str, network: str, variant: str) -> tuple[Claim, ...]:
    what, net = name(variant), NAMES[network]
    one, plain = (f"regularisation/{network}/{kind}" for kind in (variant, "plain"))
    less = LESS(run(one)) - LESS(run(plain))
    return (
        Claim(f"W2{letters[0]}", f"{what} helps {net}", tuned_gain(one, plain), above(0)),
        Claim(f"W2{letters[1]}", f"{what} makes {net} overfit less", less, below(0)),
    )


def _gains(row: str, folder: str, *claims: tuple[str, ...]) -> tuple[Claim, ...]:
    """Return a claim for each (says, network, other, criterion): it gains, unless given, over 0."""
    found = []
    for letter, (says, one, other, *by) in zip("abcdefgh", claims, strict=False):
        gained = tuned_gain(f"{folder}/{one}", f"{folder}/{other}")
        found.append(Claim(f"{row}{letter}", says, gained, *(by or [above(0)])))
    return tuple(found)


C1_OWN, C1_SMALL = "conv10_head576-160", "conv10_head150"
C2_OWN, C2_LARGE = "conv5-10_head150", "conv5-10_head576-160"
# fmt: off
WEIGHTS = _gains(
    "W3", "weights_or_convolution",
    ("C1 beats a dense net with as many weights", "c1", "c1_weights"),
    ("C2 beats a dense net with as many weights", "c2", "c2_weights"),
    ("C1 beats a dense net of as many operations", "c1", "c1_operations"),
    ("C2 beats a dense net of as many operations", "c2", "c2_operations"),
    ("C1 beats its own head alone", "c1", "c1_head"),
    ("C1 needs neighbouring pixels to be neighbours", "c1", "c1_shuffled"),
    ("C2 needs neighbouring pixels to be neighbours", "c2", "c2_shuffled"),
    ("on shuffled pixels C1 is no better than a dense net with as many weights",
     "c1_shuffled", "c1_weights", at_most(NONE_GAINED, WHY_NONE)),
)
DEPTH = _gains(
    "W4", "depth",
    ("C2 beats C1 with C2's head", C2_OWN, C1_SMALL),
    ("C2 with C1's head beats C1", C2_LARGE, C1_OWN),
    ("two convolutions of ten channels beat one, heads equal", "conv10-10_head150", C1_SMALL),
    ("twice the channels help C2", "conv10-20_head150", C2_OWN),
    ("twice the channels help C1", "conv20_head576-160", C1_OWN),
    ("C1's head is better for C1 than C2's", C1_OWN, C1_SMALL),
    ("C1's head is better for C2 than its own", C2_LARGE, C2_OWN),
)
# fmt: on
BEYOND: Mapping[str, tuple[Claim, ...]] = {
    "rules_compared": (*rule_claims("abcdefgq", "dense", RULES + NEWER), *AVERAGE_CLAIMS),
    "rules_on_c2": rule_claims("jklmnopr", "c2", ON_C2),
    "training_size": SIZES,
    "cifar10": CIFAR10,
    "regularisation": tuple(
        claim
        for letters, of in zip(_LETTERS, product(("dense", "c1"), REGULARISED), strict=True)
        for claim in _regularisation_claims(letters, *of)
    ),
    "weights_or_convolution": WEIGHTS,
    "depth": DEPTH,
}
"""The claims by the experiment that settles them."""
