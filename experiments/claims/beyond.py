"""Beyond the paper: what it left open, or could not carry, put as claims and judged like its own.

Each question is worded as an answer to it; the verdict says whether that answer holds. Networks and
rules are compared at their best settings, less the luck of the choice.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product

import numpy as np
import xarray as xr

from emnist_jax.stats import difference_after_k, rank_correlation, regret
from experiments._data import FIFTH
from experiments.claims.baseline import SLIGHT, TWICE
from experiments.claims.criteria import Estimate, above, at_least, at_most, below, between
from experiments.claims.judge import Claim
from experiments.claims.measures import (
    best_accuracy,
    held_out_best,
    overfitting,
    seed_differences,
    slowest_over_fastest,
    tuned_range,
)
from experiments.claims.networks import NONE_GAINED, WHY_NONE
from experiments.claims.quantities import TUNED, Measured, Quantity, run
from experiments.claims.runs import NotTestable, Runs

SCHEDULE_FREE = "schedule_free_adamw"
RULES = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
NEWER = ("adamw", "lion", SCHEDULE_FREE, "adopt")
ON_C2 = ("sgd", "adam", "adamw", "nesterov", "lion", SCHEDULE_FREE)
COUNTS = {3: "three", 4: "four", 6: "six", 9: "nine"}
SEARCHES = {"dense": "rules_compared/dense", "c2": "rules_on_c2"}
GRIDS = ("sgd", "rmsprop", "adam")  # the paper's rules
REGULARISED = ("batch_norm", "dropout", "weight_decay")
NAMES = {"dense": "the dense net", "c1": "C1", "c2": "C2"}
LESS = Quantity(
    "training less validation accuracy after the last epoch",
    "points",
    lambda curves: held_out_best(best_accuracy(curves), overfitting(curves))[0],
)


def gain(name: str, over: str) -> Measured:
    """Return what one run's best setting gains over another's."""
    return TUNED(run(name)) - TUNED(run(over))


def pooled_settings(curves: Mapping[str, xr.Dataset]) -> xr.DataArray:
    """Return best accuracies (%) of all settings of several rules along one dimension, `choice`."""
    rows = []
    for rule, one in curves.items():
        score = best_accuracy(one).reset_coords(drop=True)
        dims = [dim for dim in score.dims if dim != "seed"]
        flat = score.stack(setting=dims, create_index=False).transpose("setting", "seed")
        names = [
            ", ".join([rule, *(f"{dim}={flat[dim].values[i]:g}" for dim in dims)])
            for i in range(flat.sizes["setting"])
        ]
        coords = {"choice": names, "seed": flat.seed.values}
        coords |= {"rule": ("choice", [rule] * len(names))}
        rows.append(xr.DataArray(flat.values, coords, ("choice", "seed")))
    return xr.concat(rows, "choice", join="exact")


# Rules at equal budgets


def folder(network: str, rule: str, kind: str = "") -> str:
    """Return where a rule's curves on a network are: at a constant rate, "cosine", "averaged".

    Schedule-free AdamW averages; it has no cosine, and stands beside both.
    """
    ending = f"_{kind}" if kind and rule != SCHEDULE_FREE else ""
    return f"{SEARCHES[network]}/{rule}{ending}"


def _adam_over_sgd(curves: Mapping[str, xr.Dataset]) -> Estimate:
    a, b = (best_accuracy(curves[rule]) for rule in ("adam", "sgd"))
    if min(a.sizes["seed"], b.sizes["seed"]) < 2:
        raise NotTestable("one seed gives no interval")
    alike = a.sizes["sample"] == b.sizes["sample"]  # then of the same quantiles
    found = difference_after_k(a, b, resample="both", same_settings=alike)
    after = found.isel(k=min(2, found.sizes["k"] - 1))
    return Estimate(*(float(after[x]) for x in ("difference", "lower", "upper")), int(found.n))


def _newest_over_adam(curves: Mapping[str, xr.Dataset]) -> xr.DataArray:
    found = {rule: TUNED.of(one) for rule, one in curves.items()}
    adam = found.pop("adam")
    return seed_differences(max(found.values(), key=lambda x: float(x.mean())), adam)


def _rule_claims(letters: str, network: str, rules: tuple[str, ...]) -> tuple[Claim, ...]:
    name, both, count = NAMES[network], "Abstract, Section 7", COUNTS[len(rules)]
    newer = tuple(rule for rule in rules if rule in NEWER)

    def of(function, words, unit="points", rules=rules, kind=""):
        def measured(runs: Runs):
            return function({rule: runs.pick(folder(network, rule, kind)) for rule in rules})

        return Measured(words, unit, measured)

    def adam(kind: str) -> str:
        return folder(network, "adam", kind)

    # fmt: off
    return (
        Claim(f"X1{letters[0]}",
              f"which of {count} rules is taken matters little for the accuracy of {name}",
              of(tuned_range, "best validation accuracy in as many epochs, best less worst rule"),
              at_most(SLIGHT, "one point, as for the paper's three rules (F1e)"), section=both),
        Claim(f"X1{letters[1]}",
              f"which of {count} rules is taken matters much for the time to train {name}",
              of(slowest_over_fastest,
                 "epochs to a point below the best, slowest over fastest rule (never counts as one "
                 "epoch more than there were, with no upper end)", "times"),
              at_least(2, TWICE), section=both),
        Claim(f"X1{letters[2]}",
              f"with three random settings to try on {name}, Adam is the better bet than SGD",
              of(_adam_over_sgd,
                 "expected best validation accuracy after three settings, Adam less SGD",
                 rules=("adam", "sgd")),
              above(0, "the sign; bootstrap over seeds and settings"), section="Section 7"),
        Claim(f"X1{letters[3]}", f"one of {COUNTS[len(newer)]} newer rules beats Adam on {name}",
              of(_newest_over_adam,
                 f"best validation accuracy in the epochs trained, the best of {', '.join(newer)} "
                 "less Adam", rules=("adam", *newer)),
              above(0, "the sign; the best of several noisy means flatters it a little"),
              section="beyond"),
        Claim(f"X1{letters[4]}",
              f"where every rule may decay its rate, the choice matters little on {name}",
              of(tuned_range,
                 "best validation accuracy, best less worst rule, all with a cosine but "
                 "schedule-free AdamW", kind="cosine"),
              at_most(SLIGHT, "one point, as for the paper's three rules (F1e)"), section=both),
        Claim(f"X1{letters[5]}", f"schedule-free AdamW beats Adam with a cosine on {name}",
              gain(folder(network, SCHEDULE_FREE), adam("cosine")), above(0), section="beyond"),
        Claim(f"X1{letters[6]}", f"a cosine helps Adam on {name}",
              gain(adam("cosine"), adam("")), above(0), section="beyond"),
    )
    # fmt: on


_AVERAGED = folder("dense", "adam", "averaged")
# fmt: off
AVERAGE_CLAIMS = (
    Claim("X1h", "schedule-free AdamW beats Adam evaluated at an average of its weights",
          gain(folder("dense", SCHEDULE_FREE), _AVERAGED), above(0), section="beyond"),
    Claim("X1i", "averaging does for Adam what a cosine does",
          gain(_AVERAGED, folder("dense", "adam", "cosine")),
          between(-NONE_GAINED, NONE_GAINED, WHY_NONE), section="beyond"),
)
# fmt: on


# X2 and W1: other images, another problem

RANKS = at_least(0.7, "half the variance of the ranks is shared; noise pulls it down")
SERVES = at_most(1, "one point; each seed's best is chosen on the other seeds")


def _over(
    measure: Callable[..., xr.Dataset], name: str, pick: Callable[[Runs], Sequence[xr.DataArray]]
) -> Callable[[Runs], Estimate]:
    """Return a function that measures scores on two problems; the first is judged."""

    def of(runs: Runs) -> Estimate:
        scores = pick(runs)
        found = measure(*scores)
        values = [float(found[v]) for v in (name, "lower", "upper")]
        if not np.isfinite(values).all():
            raise NotTestable("one seed, or settings that all tie, give no interval")
        return Estimate(*values, scores[0].sizes["seed"])

    return of


def _sizes(runs: Runs) -> list[xr.DataArray]:
    """Return each rule's accuracy (%) at its best setting, on all images and on a fifth of them."""
    found = []
    for part in ("", FIFTH):
        scores = [TUNED.of(runs.pick(part + folder("dense", rule))) for rule in RULES + NEWER]
        found.append(xr.concat(scores, "choice").assign_coords(choice=list(RULES + NEWER)))
    return found


def _two_problems(runs: Runs, rules: tuple[str, ...] = GRIDS) -> list[xr.DataArray]:
    return [
        pooled_settings({rule: runs.pick(f"cifar10/{problem}/{rule}") for rule in rules})
        for problem in ("emnist", "cifar10")
    ]


def _ranks(*rules: str) -> Measured:
    words = f"Spearman's correlation of best validation accuracies, settings of {', '.join(rules)}"
    of = _over(rank_correlation, "correlation", partial(_two_problems, rules=rules))
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
                   _over(regret, "held_out", lambda runs: _two_problems(runs)[::-1])), SERVES),
)
# fmt: on


# W2 to W4: regularisation, weights or convolution, depth

_LETTERS = ("ag", "bh", "ci", "dj", "ek", "fl")  # of the two claims on a network and a regulariser


def _regularisation_claims(letters: str, network: str, variant: str) -> tuple[Claim, ...]:
    what, name = variant.replace("_", " ").replace("norm", "normalisation"), NAMES[network]
    one, plain = (f"regularisation/{network}/{kind}" for kind in (variant, "plain"))
    less = LESS(run(one)) - LESS(run(plain))
    return (
        Claim(f"W2{letters[0]}", f"{what} helps {name}", gain(one, plain), above(0)),
        Claim(f"W2{letters[1]}", f"{what} makes {name} overfit less", less, below(0)),
    )


def _gains(row: str, folder: str, *claims: tuple[str, ...]) -> tuple[Claim, ...]:
    """Return a claim for each (says, network, other, criterion): it gains, unless given, over 0."""
    found = []
    for letter, (says, one, other, *by) in zip("abcdefgh", claims, strict=False):
        gained = gain(f"{folder}/{one}", f"{folder}/{other}")
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
    "rules_compared": (*_rule_claims("abcdefg", "dense", RULES + NEWER), *AVERAGE_CLAIMS),
    "rules_on_c2": _rule_claims("jklmnop", "c2", ON_C2),
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
