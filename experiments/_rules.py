"""What searches of rules show: scores, choices at budgets, figures, tables, and findings."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import xarray as xr

from emnist_jax.figures import plot_budget, plot_settings
from emnist_jax.stats import (
    best,
    best_after_k,
    best_setting,
    difference_after_k,
    time_to_target,
)
from experiments._curves import NONE, Mean, gain, gains, plot_differences, plot_means
from experiments._experiment import Results
from experiments._names import NAMES
from experiments.claims.rules import NEWER, RULES, SCHEDULE_FREE, folder
from experiments.claims.tuning import target_of

KINDS = {"": "at a constant rate", "cosine": "with a cosine"}
BOOTSTRAP = "95 % bootstrap over seeds and settings"


def searched(runs: Results, network: str, kind: str = "") -> dict[str, xr.Dataset]:
    """Return the curves of each rule that was tried on a network."""
    names = {rule: folder(network, rule, kind) for rule in RULES + NEWER}
    return {rule: runs[name] for rule, name in names.items() if name in runs}


def called(rule: str, kind: str) -> str:
    """Return a rule in words, among rules of a kind."""
    return NAMES[rule] + " (constant rate)" * bool(kind and rule == SCHEDULE_FREE)


def scheduled(runs: Results, network: str, kind: str) -> dict[str, xr.Dataset]:
    """Return the curves of each rule that has this kind, which schedule-free AdamW has not."""
    found = searched(runs, network, kind)
    return {rule: one for rule, one in found.items() if not kind or rule != SCHEDULE_FREE}


def scores(curves: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    """Return each rule's best validation accuracies (0 to 1), by setting and seed."""
    return {rule: best(one).valid_accuracy.fillna(0) for rule, one in curves.items()}


def percent(one: xr.Dataset) -> tuple[float, float]:
    """Return the ends of an interval of fractions in percent."""
    return 100 * float(one.lower), 100 * float(one.upper)


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


def choices(runs: Results, network: str) -> Iterator[Choice]:
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


def gains_of_kind(runs: Results, network: str, kind: str) -> dict[str, Mean]:
    """Return what a kind adds on a network to each rule that has it, in points."""
    has = scheduled(runs, network, kind)
    return gains(runs, {rule: (folder(network, rule, kind), folder(network, rule)) for rule in has})


# Figures


def about(runs: Results, network: str) -> str:
    """Return what the note of a figure says of a network's runs."""
    curves = runs[folder(network, "adam")]
    return f"{curves.attrs.get('data', '')} · {NAMES[network]} · {curves.sizes['seed']} seeds"


def draw_budgets(runs: Results, network: str, kind: str = ""):
    """Draw what tuning buys, a panel each rule, with Adam's."""
    found = {}
    for rule, score in scores(searched(runs, network, kind)).items():
        after = best_after_k(score, resample="both")
        found[NAMES[rule]] = (after.k, after.expected, after.lower, after.upper)
    note = f"{about(runs, network)} · mean over orders of trying settings · {BOOTSTRAP}"
    return plot_budget(found, against=NAMES["adam"], note=note)


def draw_against_adam(runs: Results, network: str):
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
    return plot_means(panels, reference=0, xlabel=xlabel, same_scale=True, note=note)


def draw_tuned(runs: Results, network: str):
    """Draw each rule less Adam (points), both at their best settings, a panel each kind."""
    panels = {}
    for kind, words in KINDS.items():
        own = searched(runs, network, kind)
        adam = own.pop("adam")
        panels[words] = {NAMES[rule]: gain(one, adam) for rule, one in own.items()}
    xlabel = "best settings, less Adam's, points"
    note = f"{about(runs, network)} · mean difference and 95 % t interval over seeds"
    return plot_means(panels, reference=0, xlabel=xlabel, same_scale=True, note=note)


def draw_kinds(runs: Results, network: str):
    """Draw what a cosine, and an average where there is one, add to each rule on a network."""
    cosine, averaged = (gains_of_kind(runs, network, kind) for kind in ("cosine", "averaged"))
    panels = {"with a cosine": {NAMES[rule]: found for rule, found in cosine.items()}}
    if averaged:
        found = {NAMES[rule]: averaged.get(rule, NONE) for rule in cosine}
        panels["averaged weights"] = found
    xlabel = "less the constant rate, best settings, points"
    return plot_differences(panels, xlabel, same_scale=True)


def draw_settings(runs: Results, network: str):
    """Draw every setting's accuracy by its learning rate."""
    note = f"{about(runs, network)} · a dot: mean over seeds"
    own = scores(searched(runs, network))
    return plot_settings({NAMES[rule]: score for rule, score in own.items()}, note=note)
