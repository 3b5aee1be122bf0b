"""Tables of searches of rules: which to take, what a schedule adds, how wide good settings lie."""

import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.stats import best_setting, good_share, median_time
from experiments._curves import over_seeds, tuned
from experiments._experiment import Results
from experiments._names import NAMES
from experiments._rules import KINDS, called, choices, epochs_to, percent, scheduled, scores
from experiments.claims.rules import NEWER, RULES


def choice_table(runs: Results, network: str) -> Table:
    """Return which rule to take at which budget."""
    rows = []
    for one in choices(runs, network):
        alike = [called(rule, one.kind) for rule in one.alike]
        row = {
            "learning rate": KINDS[one.kind],
            "settings to try": one.k,
            "take": called(one.lead, one.kind),
            "expected best (%)": 100 * one.after.expected,
            "95 %": percent(one.after),
            "may be as good": "all" if len(alike) == one.others else ", ".join(alike),
            "worst": called(one.worst, one.kind),
            "loses (points)": 100 * one.lost.difference,
            "95 % of the loss": percent(one.lost),
        }
        rows.append(row)
    return Table(rows)


def kinds_table(runs: Results) -> Table:
    """Return each rule's accuracy of each kind on the dense net, at its best setting of it."""
    rows = []
    for rule in RULES + NEWER:
        row: dict[str, object] = {"rule": NAMES[rule]}
        for kind, words in {**KINDS, "averaged": "averaged"}.items():
            own = scheduled(runs, "dense", kind).get(rule)
            mean, bounds = (None, None) if own is None else over_seeds(tuned(own))
            row |= {f"{words} (%)": mean, f"95 %, {words}": bounds}
        rows.append(row)
    return Table(rows)


def tuned_table(runs: Results, network: str) -> Table:
    """Return each rule at its best setting: accuracy, epochs, and how wide good settings lie."""
    rows = []
    for kind, words in KINDS.items():
        found = scheduled(runs, network, kind)
        when, sooner = (epochs_to(found, pick) for pick in (max, min))
        for rule, score in scores(found).items():
            share = good_share(score)
            mean, bounds = over_seeds(tuned(found[rule]))
            coords = best_setting(found[rule]).coords
            drawn = {k: v for k, v in coords.items() if v.ndim == 0 and k != "sample"}
            rows.append(
                {
                    "rule": NAMES[rule],
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
