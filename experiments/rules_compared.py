"""Nine learning rules at equal budgets: as many random settings each, on the dense net and on C2.

    python -m experiments.rules_compared --data emnist/balanced
    python -m experiments.rules_compared --data emnist/balanced --size 131600 --convnet-epochs 10

Which rule to take, if one can try k settings? The ranges, below, are fixed beforehand; learning
rates span three decades each, and what is drawn for a hyperparameter of one name has the same
quantiles for all rules: they are compared setting by setting, and a lucky draw is lucky for all.
As it stands, with 26,320 images, it took 13 + 52 minutes on two CPU cores (pauses left out); the
second line, with all of EMNIST, is projected on the same cores at 12 hours.

Besides the usual rules: Lion (Chen et al., 2023), schedule-free AdamW (Defazio et al., 2024), and
ADOPT (Taniguchi et al., 2024) as the most recent: it is said to converge with any b2, which is what
the paper found of such weight in Adam; every operation of it is elementwise, so that all its
hyperparameters are axes of one compiled program. (Muon's orthogonalisation costs several times the
network's own operations here; Prodigy has no learning rate to compare.)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr
from flax import linen as nn

import emnist_jax as ej
from emnist_jax.engine import ranges
from emnist_jax.errors import InputError, check_count
from emnist_jax.figures import plot_budget, plot_intervals, plot_profile, plot_settings
from emnist_jax.figures.tables import Table
from emnist_jax.stats import (
    best,
    best_after_k,
    good_share,
    interval,
    median_time,
    performance_profile,
    time_to_target,
)
from experiments._common import Options as CommonOptions
from experiments._common import draw, main, train, tuned
from experiments._rules_told import SCHEDULE, as_range, common_pace, less_after_k, limits
from experiments.claims.beyond import NAMES, NEWER, RULES
from experiments.claims.measures import target_of

NETWORKS: Mapping[str, nn.Module] = {
    "dense": ej.MLP(hidden=(100, 100)),
    "c2": ej.ConvNet(channels=(5, 10), hidden=(150,)),
}
_DECAY, _LONG = "1-loguniform(0.01,0.5)", "1-loguniform(0.0001,0.1)"
_ADAM = {"learning_rate": "loguniform(1e-5,1e-2)", "b1": "1-loguniform(0.02,1)", "b2": _LONG}
SPACES: Mapping[str, Mapping[str, str]] = {
    "sgd": {"learning_rate": "loguniform(1e-3,1)"},
    "momentum": {"learning_rate": "loguniform(1e-4,1e-1)", "decay": _DECAY},
    "nesterov": {"learning_rate": "loguniform(1e-4,1e-1)", "decay": _DECAY},
    "rmsprop": {"learning_rate": "loguniform(1e-5,1e-2)", "decay": "1-loguniform(0.001,0.5)"},
    "adam": _ADAM,
    "adamw": _ADAM | {"weight_decay": "loguniform(1e-4,1)"},
    "lion": {
        "learning_rate": "loguniform(1e-6,1e-3)",
        "b1": "1-loguniform(0.02,0.5)",
        "b2": "1-loguniform(0.001,0.1)",
        "weight_decay": "loguniform(1e-3,10)",
    },
    "schedule_free_adamw": {
        "learning_rate": "loguniform(1e-4,1e-1)",
        "b1": "1-loguniform(0.02,0.5)",
        "b2": _LONG,
        "weight_decay": "loguniform(1e-4,1)",
    },
    "adopt": _ADAM,
}
DECADES = 3  # of every learning rate
COST = "65 minutes on two CPU cores with 26,320 images, 12 hours with all (projected)"
RUNS = tuple(f"rules_compared/{network}/{rule}" for network in NETWORKS for rule in RULES + NEWER)
CAPTIONS = {
    **{
        f"{kind}_{network}": text.format(network)
        for network in NETWORKS
        for kind, text in {
            "budgets": "Nine rules on {}: expected best validation accuracy after k settings.",
            "against_adam": "Eight rules less Adam on {}, at equal budgets.",
            "settings": "Nine rules on {}: every setting's best validation accuracy by its eta.",
        }.items()
    },
    "profile": "Nine rules, each at its best setting: the share of problems (a network with a "
    "seed) brought to a point below the best rule's accuracy, by the epochs it took.",
}


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    size: int | None = 26_320
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    epochs: int = 10
    """passes over the training images, of the dense net"""
    convnet_epochs: int = 4
    """passes over the training images, of C2"""
    settings: int = 16
    """random settings of each rule"""
    sample_seed: int = 0
    """seed of the draw of settings"""


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train all settings of all rules, save their curves, and draw figures and tables."""
    found = measure(options)
    draw(figures(found), tables(found), options.out / "rules_compared")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train all settings of all rules; return their curves by "network/rule".

    Raises:
        InputError: fewer than two seeds, or no setting.
    """
    check_count("settings", options.settings)
    if options.seeds < 2:  # said before hours of training, not after
        raise InputError(f"seeds={options.seeds}: rules are compared on two seeds or more")
    found = {}
    for network, model in NETWORKS.items():
        own = options if network == "dense" else replace(options, epochs=options.convnet_epochs)
        for rule, settings in drawn(options.settings, options.sample_seed).items():
            cell = f"{network}/{rule}"
            found[cell] = train(own, f"rules_compared/{cell}", model, rule, settings)
    return found


def drawn(settings: int, seed: int) -> dict[str, list[dict[str, float]]]:
    """Return the random settings of each rule."""
    return {
        rule: ranges.draw({n: ranges.parse(n, [word]) for n, word in space.items()}, settings, seed)
        for rule, space in SPACES.items()
    }


def scores(found: Mapping[str, xr.Dataset], network: str) -> dict[str, xr.DataArray]:
    """Return each rule's best validation accuracies (0 to 1), by setting and seed."""
    return {
        rule: best(found[f"{network}/{rule}"]).valid_accuracy.fillna(0) for rule in RULES + NEWER
    }


def budgets(settings: int) -> list[int]:
    """Return the budgets to tell of: 1, 2, 4, ... up to half the settings, and all of them."""
    doubled = [2**i for i in range(20) if 2 ** (i + 1) <= settings]
    return sorted({1, *doubled, settings})


def chosen(found: Mapping[str, xr.Dataset], network: str) -> dict[str, xr.Dataset]:
    """Return each rule's curves at its best setting."""
    return {
        rule: found[f"{network}/{rule}"].isel(sample=int(score.mean("seed").argmax("sample")))
        for rule, score in scores(found, network).items()
    }


def times(
    found: Mapping[str, xr.Dataset],
    network: str,
    pick: Callable[[Iterable[float]], float] = max,
) -> dict[str, xr.Dataset]:
    """Return when each rule, at its best setting, is within a point of the best rule's best.

    `pick`: of which rule's; min for the worst's, which all can reach.
    """
    own = {rule: 100 * score for rule, score in scores(found, network).items()}
    target = target_of(own, pick) / 100
    return {
        rule: time_to_target(curves, target).reset_coords(drop=True)
        for rule, curves in chosen(found, network).items()
    }


def profile(found: Mapping[str, xr.Dataset]) -> xr.DataArray:
    """Return the performance profile of the rules in epochs; a problem is a network with a seed."""
    cost = xr.concat(
        [
            xr.concat([one.epochs for one in times(found, network).values()], "rule")
            for network in NETWORKS
        ],
        "network",
    ).assign_coords(rule=list(RULES + NEWER))
    problems = cost.clip(min=1).stack(problem=("network", "seed"), create_index=False)
    return performance_profile(problems)


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return what tuning buys and every setting's accuracy on each network, and the profile."""
    made = {}
    for network in NETWORKS:
        own, curves = scores(found, network), found[f"{network}/adam"]
        note = f"{curves.attrs.get('data', '')} · {network} · {curves.sizes['seed']} seeds"
        after = {rule: best_after_k(score, resample="both") for rule, score in own.items()}
        made[f"budgets_{network}"] = plot_budget(
            {rule: (a.k, a.expected, a.lower, a.upper) for rule, a in after.items()},
            band=False,
            note=f"{note} · mean over orders of trying settings",
        )
        made[f"against_adam_{network}"] = plot_intervals(
            *zip(*_against_adam(own), strict=True),
            reference=0,
            xlabel="expected best validation accuracy minus Adam's, points",
            note=f"{note} · after one setting, and after half of them · 95 % bootstrap over seeds "
            "and settings",
        )
        made[f"settings_{network}"] = plot_settings(own, note=f"{note} · a dot: mean over seeds")
    made["profile"] = plot_profile(
        profile(found),
        xlabel="epochs to the target, relative to the fastest rule",
        note="each rule at its best setting; a problem is a network with a seed",
    )
    return made


def _against_adam(own: Mapping[str, xr.DataArray]) -> list[tuple[str, float, float, float]]:
    """Return each rule less Adam (points) at equal budgets, one setting and half of them."""
    rows = []
    for k in sorted({1, max(1, own["adam"].sizes["sample"] // 2)}):
        for rule in (rule for rule in own if rule != "adam"):
            less = less_after_k(own[rule], own["adam"], k)
            numbers = (100 * float(less[x]) for x in ("difference", "lower", "upper"))
            rows.append((f"{rule}, {k} tried", *numbers))
    return rows


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return which rule to take at which budget, each at its best, the profile, and the ranges."""
    return {
        "choice": _choice(found),
        "tuned": _tuned(found),
        "profile": _profile(found),
        "ranges": _ranges(),
    }


class Choice(NamedTuple):
    """Which rule to take on a network if so many settings can be tried."""

    network: str
    k: int
    lead: str
    after: xr.Dataset  # the leader's expected best after k settings, with its interval
    others: int  # rules besides
    alike: list[str]  # those that cannot be told from the leader
    worst: str
    lost: xr.Dataset  # what the worst loses against the leader


def choices(found: Mapping[str, xr.Dataset]) -> Iterator[Choice]:
    """Yield for each network and budget the best rule, and those that cannot be told from it."""
    for network in NETWORKS:
        own = scores(found, network)
        after = {rule: best_after_k(score, resample="both") for rule, score in own.items()}
        for k in budgets(own["sgd"].sizes["sample"]):
            ranked = sorted(own, key=lambda rule: -float(after[rule].sel(k=k).expected))
            lead, worst = ranked[0], ranked[-1]
            lost = {rule: less_after_k(own[lead], own[rule], k) for rule in ranked[1:]}
            alike = [rule for rule, less in lost.items() if not float(less.lower) > 0]
            led = after[lead].sel(k=k)
            yield Choice(network, k, lead, led, len(lost), alike, worst, lost[worst])


def _choice(found: Mapping[str, xr.Dataset]) -> Table:
    header = ["network", "settings to try", "take", "expected best (%)", "95 %"]
    header += ["not told apart from", "worst", "loses (points)", "95 %"]
    rows = [
        [
            one.network,
            str(one.k),
            one.lead,
            f"{100 * float(one.after.expected):.2f}",
            as_range(one.after),
            "all others" if len(one.alike) == one.others else ", ".join(one.alike) or "-",
            one.worst,
            f"{100 * float(one.lost.difference):.2f}",
            as_range(one.lost),
        ]
        for one in choices(found)
    ]
    return Table(header, rows)


def _tuned(found: Mapping[str, xr.Dataset]) -> Table:
    header = ["network", "rule", "best setting", "best, chosen on other seeds (%)", "95 %"]
    header += ["epochs to a point below the best rule", "seconds"]
    header += ["epochs to a point below the worst rule"]
    header += ["settings within a point of its own best", "in decades of eta"]
    header += ["settings within a point of the best rule's", "diverged"]
    rows = []
    for network in NETWORKS:
        own, when = scores(found, network), times(found, network)
        sooner, at_best = times(found, network, min), chosen(found, network)
        top = max(float(score.mean("seed").max()) for score in own.values())
        for rule, score in own.items():
            over = interval(tuned(found[f"{network}/{rule}"]))
            share, of_any = good_share(score), good_share(score, top)
            setting = [
                f"{name}={float(at_best[rule][name]):.5g}"
                for name in SPACES[rule]
                if name in score.coords
            ]
            lost = best(found[f"{network}/{rule}"]).diverged
            rows.append(
                [
                    network,
                    rule,
                    ", ".join(setting),
                    f"{float(over['mean']):.2f}",
                    f"{float(over.lower):.2f} to {float(over.upper):.2f}",
                    _time(when[rule].epochs),
                    _time(when[rule].seconds) if "seconds" in when[rule] else "",
                    _time(sooner[rule].epochs),
                    _share(share),
                    f"{DECADES * float(share.share):.1f}",
                    _share(of_any),
                    f"{int(lost.sum())} of {lost.size}",
                ]
            )
    return Table(header, rows)


def _profile(found: Mapping[str, xr.Dataset]) -> Table:
    rho = profile(found)
    taus = (1.0, 1.5, 2.0, 4.0, np.inf)
    header = ["rule", *(f"within {tau:g} times" for tau in taus[:-1]), "ever"]
    rows = []
    for rule in rho.rule.values:
        steps = rho.sel(rule=rule)
        shares = [steps.where(steps.tau <= tau, 0).max().item() for tau in taus]
        rows.append([str(rule), *(f"{100 * share:.0f} %" for share in shares)])
    return Table(header, rows)


def _ranges() -> Table:
    rows = [
        [rule, ", ".join(f"{name} {range_}" for name, range_ in space.items())]
        for rule, space in SPACES.items()
    ]
    return Table(["rule", "settings drawn from"], rows)


def finding(found: Mapping[str, xr.Dataset]) -> str:
    """Return which rule to take at which budget."""
    told: dict[str, list[str]] = {network: [] for network in NETWORKS}
    for one in choices(found):
        mean = f"{100 * float(one.after.expected):.2f} % [{as_range(one.after)}]"
        told[one.network].append(f"{one.k}: **{one.lead}**, {mean}, {_told_apart(one)}")
    lines = [
        f"To take on {NAMES[network]}, by settings to try: {'; '.join(of)}."
        for network, of in told.items()
    ]
    lines.append(
        "Many rules are compared, and the leader is picked by these very numbers, so some gaps "
        "are luck; intervals near all settings are too narrow; and where few settings are tried, "
        "where the ranges lie decides as much as the rule."
    )
    for network in NETWORKS:
        told_of = limits(scores(found, network), chosen(found, network))
        pace = common_pace(times(found, network, min))
        lines.append(f"On {NAMES[network]}, {told_of} {pace}")
    return "\n\n".join([*lines, SCHEDULE])


def _told_apart(one: Choice) -> str:
    """Return in words from how many of the other rules the leader cannot be told apart."""
    if len(one.alike) in (0, one.others):
        return "told apart from none" if one.alike else "ahead of every other"
    return f"not told apart from {len(one.alike)} of {one.others}"


def _share(one: xr.Dataset) -> str:
    lower, upper = 100 * float(one.lower), 100 * float(one.upper)
    return f"{100 * float(one.share):.0f} % ({lower:.0f} to {upper:.0f})"


def _time(values: xr.DataArray) -> str:
    found = median_time(values)
    late = f", {int(found.censored)} of {int(found.n)} never" if found.censored else ""
    median = float(found["median"])
    return (f"{median:.3g}" if np.isfinite(median) else "not reached") + late


if __name__ == "__main__":
    main(run, Options)
