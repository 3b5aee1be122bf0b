"""Beyond the paper: what it left open, or could not carry, put as claims and judged like its own.

Each question is worded as an answer to it; the verdict says whether that answer holds. Networks and
rules are compared at their best settings, which for each seed are chosen on the other seeds.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import xarray as xr

from emnist_jax.stats import difference_after_k, rank_correlation, regret, time_to_target
from experiments.claims.judge import Claim, Estimate, NotTestable, Runs
from experiments.claims.measures import INF, SIGN, best_accuracy, held_out_best, paired, ratio

RULES = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
NEWER = ("adamw", "lion", "schedule_free_adamw", "adopt")
GRIDS = ("sgd", "rmsprop", "adam")  # the paper's rules
REGULARISED = ("batch_norm", "dropout", "weight_decay")
NAMES = {"dense": "the dense net", "c1": "C1", "c2": "C2"}
FURTHER = "further work"
Measure = Callable[[Runs], xr.DataArray | Estimate]


def tuned(runs: Runs, name: str) -> xr.DataArray:
    """Return the best validation accuracy (%) of a run's best setting, chosen on other seeds."""
    return held_out_best(best_accuracy(runs.pick(name)))[0]


def gain(name: str, over: str) -> Measure:
    """Return the measure of what one run's best setting gains over another's, seed by seed."""
    return lambda runs: paired(tuned(runs, name), tuned(runs, over))


def overfitting(curves: xr.Dataset) -> xr.DataArray:
    """Return training less validation accuracy (points) after the last epoch."""
    last = curves.isel(epoch=-1, drop=True)
    return 100 * (last.train_accuracy - last.valid_accuracy)


def target_of(
    scores: Mapping[str, xr.DataArray], pick: Callable[[Iterable[float]], float] = max
) -> float:
    """Return the accuracy (%) to reach: a point below the best setting of the best rule.

    `pick`: of which rule; min for the worst, so that all reach it.
    """
    return pick(float(score.mean("seed").max()) for score in scores.values()) - 1


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
        rows.append(xr.DataArray(flat.values, coords, ("choice", "seed")))
    return xr.concat(rows, "choice", join="exact")


# Rules at equal budgets


def _compared(network: str, rule: str) -> str:
    return f"rules_compared/{network}/{rule}"


def _range_over_rules(network: str) -> Measure:
    def measure(runs: Runs) -> xr.DataArray:
        found = [tuned(runs, _compared(network, rule)) for rule in RULES + NEWER]
        means = [float(x.mean()) for x in found]
        return paired(found[int(np.argmax(means))], found[int(np.argmin(means))])

    return measure


def _slowest_over_fastest(network: str) -> Measure:
    def measure(runs: Runs) -> Estimate:
        curves = {rule: runs.pick(_compared(network, rule)) for rule in RULES + NEWER}
        scores = {rule: best_accuracy(one) for rule, one in curves.items()}
        found = []
        for rule, one in curves.items():
            epochs = time_to_target(one, target_of(scores) / 100).epochs
            late = float(one.epoch.max()) + 1  # the least that a trial that never arrives takes
            found.append(held_out_best(scores[rule], epochs.clip(1, late), np.isinf(epochs))[1:])
        means = [float(times.mean()) for times, _ in found]
        slowest, never = found[int(np.argmax(means))]
        times = ratio(slowest, found[int(np.argmin(means))][0])
        return times._replace(upper=INF) if never.any() else times  # it may be any later epoch

    return measure


def _adam_over_sgd(network: str) -> Measure:
    def measure(runs: Runs) -> Estimate:
        a, b = (best_accuracy(runs.pick(_compared(network, rule))) for rule in ("adam", "sgd"))
        if min(a.sizes["seed"], b.sizes["seed"]) < 2:
            raise NotTestable("one seed gives no interval")
        alike = a.sizes["sample"] == b.sizes["sample"]  # then of the same quantiles
        found = difference_after_k(a, b, resample="both", same_settings=alike)
        at = found.isel(k=min(2, found.sizes["k"] - 1))
        return Estimate(*(float(at[x]) for x in ("difference", "lower", "upper")), int(found.n))

    return measure


def _newest_over_adam(network: str) -> Measure:
    def measure(runs: Runs) -> xr.DataArray:
        found = [tuned(runs, _compared(network, rule)) for rule in NEWER]
        newest = max(found, key=lambda x: float(x.mean()))
        return paired(newest, tuned(runs, _compared(network, "adam")))

    return measure


def _rule_claims(letters: str, network: str) -> tuple[Claim, ...]:
    name = NAMES[network]
    return (
        Claim(
            f"X1{letters[0]}",
            "Abstract, Section 7",
            f"which of nine rules is taken matters little for the accuracy of {name}",
            "best validation accuracy in the epochs trained, the best less the worst rule, is at "
            "most 1",
            _range_over_rules(network),
            -INF,
            1,
            "one point, as for the paper's three rules (F1e)",
            "points",
        ),
        Claim(
            f"X1{letters[1]}",
            "Abstract, Section 7",
            f"which of nine rules is taken matters much for the time to train {name}",
            "epochs to a point below the best, slowest over fastest rule, is 2 or more "
            "(never counts as one epoch more than there were, with no upper end)",
            _slowest_over_fastest(network),
            2,
            INF,
            "twice as long is much, as in F1f",
            "times",
        ),
        Claim(
            f"X1{letters[2]}",
            "Section 7",
            f"with three random settings to try on {name}, Adam is the better bet than SGD",
            "expected best validation accuracy after three settings, Adam less SGD, is above 0",
            _adam_over_sgd(network),
            0,
            INF,
            "the sign; bootstrap over seeds and settings",
            "points",
        ),
        Claim(
            f"X1{letters[3]}",
            "beyond",
            f"one of four newer rules beats Adam on {name}",
            "best validation accuracy in the epochs trained, the best of AdamW, Lion, "
            "schedule-free AdamW and ADOPT less Adam, is above 0",
            _newest_over_adam(network),
            0,
            INF,
            "the sign; the best of four noisy means flatters it a little",
            "points",
        ),
    )


# W1: CIFAR-10


def _problem(runs: Runs, problem: str, rules: tuple[str, ...]) -> xr.DataArray:
    return pooled_settings({rule: runs.pick(f"cifar10/{problem}/{rule}") for rule in rules})


def _ranks(*rules: str) -> Measure:
    def measure(runs: Runs) -> Estimate:
        one, other = (_problem(runs, problem, rules) for problem in ("emnist", "cifar10"))
        found = rank_correlation(one, other)
        values = [float(found[name]) for name in ("correlation", "lower", "upper")]
        return _checked(values, one.sizes["seed"])

    return measure


def _regret(runs: Runs) -> Estimate:
    there, here = (_problem(runs, problem, GRIDS) for problem in ("emnist", "cifar10"))
    found = regret(here, there)
    values = [float(found[name]) for name in ("held_out", "lower", "upper")]
    return _checked(values, here.sizes["seed"])


def _checked(values: list[float], seeds: int) -> Estimate:
    if not np.isfinite(values).all():
        raise NotTestable("one seed, or settings that all tie, give no interval")
    return Estimate(*values, seeds)


CIFAR10 = (
    Claim(
        "W1a",
        FURTHER,
        "settings rank on CIFAR-10 as they do on EMNIST",
        "Spearman's correlation of best validation accuracies over all settings of SGD, RMSprop "
        "and Adam is .7 or more (interval over seeds, for these settings)",
        _ranks(*GRIDS),
        0.7,
        INF,
        "half the variance of the ranks is shared; noise pulls it down",
        "rho",
    ),
    Claim(
        "W1b",
        FURTHER,
        "settings of Adam rank on CIFAR-10 as they do on EMNIST",
        "the same over Adam's settings",
        _ranks("adam"),
        0.7,
        INF,
        "the same",
        "rho",
    ),
    Claim(
        "W1c",
        FURTHER,
        "EMNIST's best setting serves on CIFAR-10",
        "what it loses there to CIFAR-10's own best setting is at most 1",
        _regret,
        -INF,
        1,
        "one point; each seed's best is chosen on the other seeds",
        "points",
    ),
)


# W2: regularisation


def _less_overfitting(network: str, variant: str) -> Measure:
    def measure(runs: Runs) -> xr.DataArray:
        gaps = []
        for name in (variant, "plain"):
            curves = runs.pick(f"regularisation/{network}/{name}")
            gaps.append(held_out_best(best_accuracy(curves), overfitting(curves))[1])
        return paired(*gaps)

    return measure


def _regularisation_claims(number: int, network: str, variant: str) -> tuple[Claim, ...]:
    what, name = variant.replace("_", " ").replace("norm", "normalisation"), NAMES[network]
    folder = f"regularisation/{network}"
    return (
        Claim(
            f"W2{'abcdef'[number]}",
            FURTHER,
            f"{what} helps {name}",
            f"best validation accuracy with {what} less that without is above 0",
            gain(f"{folder}/{variant}", f"{folder}/plain"),
            0,
            INF,
            SIGN,
            "points",
        ),
        Claim(
            f"W2{'ghijkl'[number]}",
            FURTHER,
            f"{what} makes {name} overfit less",
            "training less validation accuracy after the last epoch, with it less without, "
            "is below 0",
            _less_overfitting(network, variant),
            -INF,
            0,
            SIGN,
            "points",
        ),
    )


# W3: weights or convolution


def _w3(letter: str, says: str, name: str, over: str, low: float = 0, high: float = INF) -> Claim:
    side = "above 0" if high == INF else f"at most {high:g}"
    why = SIGN if high == INF else "half a point is little beside what a convolution may gain"
    return Claim(
        f"W3{letter}",
        FURTHER,
        says,
        f"best validation accuracy, {name} less {over}, is {side}",
        gain(f"weights_or_convolution/{name}", f"weights_or_convolution/{over}"),
        low,
        high,
        why,
        "points",
    )


WEIGHTS = (
    _w3("a", "C1 beats a dense net with as many weights", "c1", "c1_weights"),
    _w3("b", "C2 beats a dense net with as many weights", "c2", "c2_weights"),
    _w3("c", "C1 beats a dense net of as many operations", "c1", "c1_operations"),
    _w3("d", "C2 beats a dense net of as many operations", "c2", "c2_operations"),
    _w3("e", "C1 beats its own head alone", "c1", "c1_head"),
    _w3("f", "C1 needs neighbouring pixels to be neighbours", "c1", "c1_shuffled"),
    _w3("g", "C2 needs neighbouring pixels to be neighbours", "c2", "c2_shuffled"),
    _w3(
        "h",
        "on shuffled pixels C1 is no better than a dense net with as many weights",
        "c1_shuffled",
        "c1_weights",
        -INF,
        0.5,
    ),
)


# W4: depth


def _w4(letter: str, says: str, name: str, over: str) -> Claim:
    return Claim(
        f"W4{letter}",
        FURTHER,
        says,
        f"best validation accuracy, {name} less {over}, is above 0",
        gain(f"depth/{name}", f"depth/{over}"),
        0,
        INF,
        SIGN,
        "points",
    )


DEPTH = (
    _w4("a", "C2 beats C1 with C2's head", "conv5-10_head150", "conv10_head150"),
    _w4("b", "C2 with C1's head beats C1", "conv5-10_head576-160", "conv10_head576-160"),
    _w4(
        "c",
        "two convolutions of ten channels beat one, heads equal",
        "conv10-10_head150",
        "conv10_head150",
    ),
    _w4("d", "twice the channels help C2", "conv10-20_head150", "conv5-10_head150"),
    _w4("e", "twice the channels help C1", "conv20_head576-160", "conv10_head576-160"),
    _w4("f", "C1's head is better for C1 than C2's", "conv10_head576-160", "conv10_head150"),
    _w4("g", "C1's head is better for C2 than its own", "conv5-10_head576-160", "conv5-10_head150"),
)

BEYOND: Mapping[str, tuple[Claim, ...]] = {
    "rules_compared": (*_rule_claims("abcd", "dense"), *_rule_claims("efgh", "c2")),
    "cifar10": CIFAR10,
    "regularisation": tuple(
        claim
        for number, (network, variant) in enumerate(
            (network, variant) for network in ("dense", "c1") for variant in REGULARISED
        )
        for claim in _regularisation_claims(number, network, variant)
    ),
    "weights_or_convolution": WEIGHTS,
    "depth": DEPTH,
}
"""The claims by the experiment that settles them."""
