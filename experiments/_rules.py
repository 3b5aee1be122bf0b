"""What `rules_compared` reads from its runs: scores, times, choices at budgets, and tables."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.stats import (
    best,
    best_after_k,
    difference_after_k,
    good_share,
    median_time,
    time_to_target,
)
from experiments._curves import over_seeds, tuned
from experiments._experiment import Runs
from experiments.claims.beyond import NEWER, RULES
from experiments.claims.measures import target_of

NETWORKS = ("dense", "c2")


def folder(network: str, rule: str) -> str:
    """Return where a rule's curves on a network are."""
    return f"rules_compared/{network}/{rule}"


def scores(runs: Runs, network: str) -> dict[str, xr.DataArray]:
    """Return each rule's best validation accuracies (0 to 1), by setting and seed."""
    found = {rule: best(runs[folder(network, rule)]) for rule in RULES + NEWER}
    return {rule: one.valid_accuracy.fillna(0) for rule, one in found.items()}


def at_best_setting(runs: Runs, network: str) -> dict[str, xr.Dataset]:
    """Return each rule's curves at its best setting."""
    return {
        rule: runs[folder(network, rule)].isel(sample=int(score.mean("seed").argmax("sample")))
        for rule, score in scores(runs, network).items()
    }


def less_after_k(one: xr.DataArray, other: xr.DataArray, k: int) -> xr.Dataset:
    """Return one rule less another after k settings; the i-th of both have the same quantiles."""
    return difference_after_k(one, other, resample="both", same_settings=True).sel(k=k)


def times(
    runs: Runs, network: str, pick: Callable[[Iterable[float]], float] = max
) -> dict[str, xr.Dataset]:
    """Return when each rule, at its best setting, is within a point of the best rule's best.

    `pick`: of which rule's; min for the worst's, which all can reach.
    """
    own = {rule: 100 * score for rule, score in scores(runs, network).items()}
    target = target_of(own, pick) / 100
    return {
        rule: time_to_target(curves, target).reset_coords(drop=True)
        for rule, curves in at_best_setting(runs, network).items()
    }


class Choice(NamedTuple):
    """Which rule to take on a network if so many settings can be tried."""

    network: str
    k: int
    lead: str
    after: xr.Dataset  # the leader's expected best after k settings, with its interval
    others: int  # rules besides
    alike: list[str]  # those whose gap to the leader may be zero
    worst: str
    lost: xr.Dataset  # what the worst loses against the leader


def budgets(settings: int) -> list[int]:
    """Return the budgets to report: 1, 2, 4, ... up to half the settings, and all of them."""
    doubled = [2**i for i in range(20) if 2 ** (i + 1) <= settings]
    return sorted({1, *doubled, settings})


def choices(runs: Runs) -> Iterator[Choice]:
    """Yield for each network and budget the best rule, and those that may be as good."""
    for network in NETWORKS:
        own = scores(runs, network)
        after = {rule: best_after_k(score, resample="both") for rule, score in own.items()}
        for k in budgets(own["sgd"].sizes["sample"]):
            ranked = sorted(own, key=lambda rule: -float(after[rule].sel(k=k).expected))
            lead, worst = ranked[0], ranked[-1]
            lost = {rule: less_after_k(own[lead], own[rule], k) for rule in ranked[1:]}
            alike = [rule for rule, less in lost.items() if not float(less.lower) > 0]
            led = after[lead].sel(k=k)
            yield Choice(network, k, lead, led, len(lost), alike, worst, lost[worst])


# Tables


def choice_table(runs: Runs) -> Table:
    """Return which rule to take at which budget."""
    rows = [
        {
            "network": one.network,
            "settings to try": one.k,
            "take": one.lead,
            "expected best (%)": 100 * one.after.expected,
            "95 %": percent(one.after),
            "may be as good": "all" if len(one.alike) == one.others else ", ".join(one.alike),
            "worst": one.worst,
            "loses (points)": 100 * one.lost.difference,
            "95 % of the loss": percent(one.lost),
        }
        for one in choices(runs)
    ]
    return Table(rows)


def percent(one: xr.Dataset) -> tuple[float, float]:
    return 100 * float(one.lower), 100 * float(one.upper)


def tuned_table(runs: Runs) -> Table:
    """Return each rule at its best setting: accuracy, times, and how wide good settings lie."""
    rows = []
    for network in NETWORKS:
        own, curves = scores(runs, network), at_best_setting(runs, network)
        when, sooner = times(runs, network), times(runs, network, min)
        top = max(float(score.mean("seed").max()) for score in own.values())
        for rule, score in own.items():
            share, of_any = good_share(score), good_share(score, top)
            mean, bounds = over_seeds(tuned(runs[folder(network, rule)]))
            drawn = {k: v for k, v in curves[rule].coords.items() if v.ndim == 0 and k != "sample"}
            seconds = when[rule].get("seconds")
            rows.append(
                {
                    "network": network,
                    "rule": rule,
                    "best setting": ", ".join(f"{k}={float(v):.5g}" for k, v in drawn.items()),
                    "best, less the choice's luck (%)": mean,
                    "95 %": bounds,
                    "epochs to a point below the best rule": _time(when[rule].epochs),
                    "seeds that never get there": int(median_time(when[rule].epochs).censored),
                    "seconds": None if seconds is None else _time(seconds),
                    "epochs to a point below the worst rule": _time(sooner[rule].epochs),
                    "settings within a point of its own best (%)": 100 * share.share,
                    "95 % of those": percent(share),
                    "settings within a point of the best rule's (%)": 100 * of_any.share,
                    "95 % of these": percent(of_any),
                    "diverged": int(best(runs[folder(network, rule)]).diverged.sum()),
                }
            )
    times_of = ("epochs to a point below the best rule", "epochs to a point below the worst rule")
    whole = [name for name in rows[0] if "settings within" in name or "95 % of" in name]
    return Table(rows, dict.fromkeys((*times_of, "seconds"), ".3g") | dict.fromkeys(whole, ".0f"))


def _time(values: xr.DataArray) -> float:
    """Return the median over seeds, infinite where half of them or more never arrive."""
    return float(median_time(values)["median"])
