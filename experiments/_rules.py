"""What searches of rules show: scores, choices at budgets, figures, tables, and findings."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import xarray as xr

from emnist_jax.figures import plot_budget, plot_settings
from emnist_jax.figures.tables import Table
from emnist_jax.stats import (
    best,
    best_after_k,
    best_setting,
    difference_after_k,
    good_share,
    median_time,
    time_to_target,
)
from experiments._curves import NONE, Mean, gain, over_seeds, plot_differences, plot_means, tuned
from experiments._experiment import Runs
from experiments._names import NAMES
from experiments.claims.beyond import NEWER, RULES, folder
from experiments.claims.measures import target_of

KINDS = {"": "at a constant rate", "cosine": "with a cosine"}
BOOTSTRAP = "95 % bootstrap over seeds and settings"


def searched(runs: Runs, network: str, kind: str = "") -> dict[str, xr.Dataset]:
    """Return the curves of each rule that was tried on a network."""
    names = {rule: folder(network, rule, kind) for rule in RULES + NEWER}
    return {rule: runs[name] for rule, name in names.items() if name in runs}


def scores(curves: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    """Return each rule's best validation accuracies (0 to 1), by setting and seed."""
    return {rule: best(one).valid_accuracy.fillna(0) for rule, one in curves.items()}


def less_after_k(one: xr.DataArray, other: xr.DataArray, k: int) -> xr.Dataset:
    """Return one rule less another after k settings; the i-th of both have the same quantiles."""
    return difference_after_k(one, other, resample="both", same_settings=True).sel(k=k)


def epochs_to(
    curves: Mapping[str, xr.Dataset], pick: Callable[[Iterable[float]], float] = max
) -> dict[str, xr.DataArray]:
    """Return when each rule, at its best setting, is within a point of the best rule's best.

    `pick`: of which rule's; min for the worst's, which all can reach.
    """
    own = {rule: 100 * score for rule, score in scores(curves).items()}
    target = target_of(own, pick) / 100
    return {
        rule: time_to_target(best_setting(one), target).epochs.reset_coords(drop=True)
        for rule, one in curves.items()
    }


class Choice(NamedTuple):
    """Which rule to take if so many settings can be tried."""

    kind: str
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


def choices(runs: Runs, network: str) -> Iterator[Choice]:
    """Yield for each kind and budget the best rule, and those that may be as good."""
    for kind in KINDS:
        own = scores(searched(runs, network, kind))
        after = {rule: best_after_k(score, resample="both") for rule, score in own.items()}
        for k in budgets(own["sgd"].sizes["sample"]):
            ranked = sorted(own, key=lambda rule: -float(after[rule].sel(k=k).expected))
            lead, worst = ranked[0], ranked[-1]
            lost = {rule: less_after_k(own[lead], own[rule], k) for rule in ranked[1:]}
            alike = [rule for rule, less in lost.items() if not float(less.lower) > 0]
            led = after[lead].sel(k=k)
            yield Choice(kind, k, lead, led, len(lost), alike, worst, lost[worst])


def gains(runs: Runs, kind: str) -> dict[str, Mean]:
    """Return what a kind adds on the dense net to each rule that has it, in points."""
    found = {}
    for rule in RULES + NEWER:
        one, plain = folder("dense", rule, kind), folder("dense", rule)
        if one != plain and one in runs:
            found[rule] = gain(runs[one], runs[plain])
    return found


# Figures


def about(runs: Runs, network: str) -> str:
    """Return what the note of a figure says of a network's runs."""
    curves = runs[folder(network, "adam")]
    return f"{curves.attrs.get('data', '')} · {NAMES[network]} · {curves.sizes['seed']} seeds"


def draw_budgets(runs: Runs, network: str, kind: str = ""):
    """Draw what tuning buys, a panel each rule, with Adam's."""
    found = {}
    for rule, score in scores(searched(runs, network, kind)).items():
        after = best_after_k(score, resample="both")
        found[NAMES[rule]] = (after.k, after.expected, after.lower, after.upper)
    note = f"{about(runs, network)} · mean over orders of trying settings · {BOOTSTRAP}"
    return plot_budget(found, against=NAMES["adam"], note=note)


def draw_against_adam(runs: Runs, network: str):
    """Draw each rule less Adam (points) with half the settings tried, a panel each kind."""
    panels: dict[str, dict[str, Mean]] = {}
    k = max(1, runs[folder(network, "adam")].sizes["sample"] // 2)
    for kind, words in KINDS.items():
        own = scores(searched(runs, network, kind))
        adam = own.pop("adam")
        less = {NAMES[rule]: less_after_k(one, adam, k) for rule, one in own.items()}
        panels[words] = {of: (100 * float(x.difference), percent(x)) for of, x in less.items()}
    xlabel = f"best after {k} settings less Adam's, points"
    note = f"{about(runs, network)} · {BOOTSTRAP}"
    return plot_means(panels, reference=0, xlabel=xlabel, note=note)


def draw_kinds(runs: Runs):
    """Draw what a cosine and an average add to each rule on the dense net."""
    cosine, averaged = (gains(runs, kind) for kind in ("cosine", "averaged"))
    panels = {
        "with a cosine": {NAMES[rule]: found for rule, found in cosine.items()},
        "averaged weights": {NAMES[rule]: averaged.get(rule, NONE) for rule in cosine},
    }
    return plot_differences(panels, "less the constant rate, best settings, points")


def draw_settings(runs: Runs, network: str):
    """Draw every setting's accuracy by its learning rate."""
    note = f"{about(runs, network)} · a dot: mean over seeds"
    own = scores(searched(runs, network))
    return plot_settings({NAMES[rule]: score for rule, score in own.items()}, note=note)


# Tables


def choice_table(runs: Runs, network: str) -> Table:
    """Return which rule to take at which budget."""
    rows = [
        {
            "learning rate": KINDS[one.kind],
            "settings to try": one.k,
            "take": one.lead,
            "expected best (%)": 100 * one.after.expected,
            "95 %": percent(one.after),
            "may be as good": "all" if len(one.alike) == one.others else ", ".join(one.alike),
            "worst": one.worst,
            "loses (points)": 100 * one.lost.difference,
            "95 % of the loss": percent(one.lost),
        }
        for one in choices(runs, network)
    ]
    return Table(rows)


def percent(one: xr.Dataset) -> tuple[float, float]:
    """Return the ends of an interval of fractions in percent."""
    return 100 * float(one.lower), 100 * float(one.upper)


def kinds_table(runs: Runs) -> Table:
    """Return each rule's accuracy of each kind on the dense net, at its best setting of it."""
    rows = []
    for rule in RULES + NEWER:
        row: dict[str, object] = {"rule": rule}
        for kind, words in {**KINDS, "averaged": "averaged"}.items():
            name = folder("dense", rule, kind)
            own = name in runs and (not kind or name != folder("dense", rule))
            mean, bounds = over_seeds(tuned(runs[name])) if own else (None, None)
            row |= {f"{words} (%)": mean, f"95 %, {words}": bounds}
        rows.append(row)
    return Table(rows)


def tuned_table(runs: Runs, network: str) -> Table:
    """Return each rule at its best setting: accuracy, epochs, and how wide good settings lie."""
    rows = []
    for kind, words in KINDS.items():
        found = searched(runs, network, kind)
        when, sooner = (epochs_to(found, pick) for pick in (max, min))
        for rule, score in scores(found).items():
            share = good_share(score)
            mean, bounds = over_seeds(tuned(found[rule]))
            coords = best_setting(found[rule]).coords
            drawn = {k: v for k, v in coords.items() if v.ndim == 0 and k != "sample"}
            rows.append(
                {
                    "rule": rule,
                    "learning rate": words,
                    "best setting": ", ".join(f"{k}={float(v):.5g}" for k, v in drawn.items()),
                    "best, less the choice's luck (%)": mean,
                    "95 %": bounds,
                    "epochs to a point below the best rule": _time(when[rule]),
                    "seeds that never get there": int(median_time(when[rule]).censored),
                    "epochs to a point below the worst rule": _time(sooner[rule]),
                    "settings within a point of its own best (%)": 100 * share.share,
                    "95 % of those": percent(share),
                }
            )
    times = ("epochs to a point below the best rule", "epochs to a point below the worst rule")
    whole = [name for name in rows[0] if "settings within" in name or "95 % of" in name]
    return Table(rows, dict.fromkeys(times, ".3g") | dict.fromkeys(whole, ".0f"))


def _time(values: xr.DataArray) -> float:
    """Return the median over seeds, infinite where half of them or more never arrive."""
    return float(median_time(values)["median"])


# Findings


def finding_on(runs: Runs, network: str) -> str:
    """Return which rule to take with half the settings tried, of each kind."""
    found = list(choices(runs, network))
    k = max(1, found[-1].k // 2)
    leads = [
        f"{KINDS[one.kind]} {NAMES[one.lead]}, {100 * float(one.after.expected):.2f} % "
        f"[{interval_words(one.after)}], {_rivals(one)}"
        for one in found
        if one.k == k
    ]
    return (
        f"**Which rule?** With {k} settings to try: {'; '.join(leads)}. "
        f"{found[0].others + 1} rules are compared, and the leader is picked by these very "
        "numbers: of intervals of 95 % one in twenty misses; where few settings are tried, where "
        "the ranges lie decides as much as the rule."
    )


def interval_words(one: xr.Dataset) -> str:
    """Return an interval of fractions in percent."""
    return "{:.2f} to {:.2f}".format(*percent(one))


def _rivals(one: Choice) -> str:
    """Return in words how many of the other rules may be as good as the leader."""
    if not one.alike:
        return "ahead of every other"
    return f"{len(one.alike)} of {one.others} others may be as good"
