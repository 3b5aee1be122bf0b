"""Do the intervals hold? 200 seeds of SGD and Adam, draws of a few of them, and races among them.

    python -m experiments.coverage --data emnist/balanced

Each seed decides initial weights and minibatch order. Beside them 20 orders of 10 seeds each, all
seeds of an order sharing it, as in this project's first version: intervals over such seeds leave
out how orders differ.
"""

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax.figures.style import caption, line_style, new_figure, styled
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, coverage, interval, simulate_races
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._networks import DENSE

SEEDS, ORDERS, DRAWN = 200, 20, (3, 5, 10)
RATES = {"sgd": 0.1, "adam": 1e-3}
QUANTITIES = ("sgd", "adam", "adam - sgd")


def sweeps(orders: int = ORDERS) -> dict[str, ej.Sweep]:
    """Return the sweeps: of each rule 200 seeds, and 10 seeds of each of the fixed orders."""
    made = {}
    for rule, rate in RATES.items():
        one = ej.Sweep(DENSE, rule, {"learning_rate": rate}, seeds=SEEDS, epochs=8)
        made[f"coverage/{rule}"] = one
        for order in range(orders):
            made[f"coverage/{rule}_order_{order}"] = one.replace(seeds=10, order=order)
    return made


def scores(runs: Results, part: str = "") -> dict[str, xr.DataArray]:
    """Return each seed's best validation accuracy (%), of both rules and their difference."""
    found = {
        rule: 100 * best(runs[f"coverage/{rule}{part}"]).valid_accuracy.reset_coords(drop=True)
        for rule in RATES
    }
    return found | {"adam - sgd": found["adam"] - found["sgd"]}


def own_order(runs: Results) -> list[list[float]]:
    """Return the coverage of intervals of 3, 5 and 10 of all seeds, for each quantity."""
    found = scores(runs)
    return [[float(coverage(found[name], n)) for n in DRAWN] for name in QUANTITIES]


def shared_order(runs: Results) -> list[list[float]]:
    """Return how often intervals of seeds that share an order hold the mean of all other seeds."""
    truth = {name: float(one.mean()) for name, one in scores(runs).items()}
    of_orders = [scores(runs, f"_order_{k}") for k in _orders(runs)]
    return [
        [np.mean([_covered(one[name], n, truth[name]) for one in of_orders]) for n in DRAWN]
        for name in QUANTITIES
    ]


def _orders(runs: Results) -> list[int]:
    """Return the shared orders that were run."""
    start = "coverage/adam_order_"
    return sorted(int(name.removeprefix(start)) for name in runs if name.startswith(start))


def _covered(values: xr.DataArray, n: int, truth: float, draws: int = 500) -> float:
    """Return the share of draws of n seeds whose interval holds a number."""
    generator = np.random.default_rng(0)
    picks = generator.permuted(np.tile(np.arange(values.sizes["seed"]), (draws, 1)), axis=1)[:, :n]
    found = interval(values.isel(seed=xr.DataArray(picks, dims=("draw", "of"))), "of")
    return float(((found.lower <= truth) & (truth <= found.upper)).mean())


def coverage_table(runs: Results) -> Table:
    """Return the coverage of 95 % intervals, in percent."""
    rows = []
    for order, found in (("its own", own_order(runs)), ("shared", shared_order(runs))):
        for name, shares in zip(QUANTITIES, found, strict=True):
            cells = {f"{n} seeds (%)": 100 * share for n, share in zip(DRAWN, shares, strict=True)}
            rows.append({"accuracy of": name, "a seed's order": order} | cells)
    return Table(rows, {f"{n} seeds (%)": ".1f" for n in DRAWN})


def races_table(runs: Results) -> Table:
    """Return what races do: Adam against itself, where any decision is wrong, and against SGD."""
    found = scores(runs)
    pairs = {"adam, adam": (found["adam"], None), "adam, sgd": (found["adam"], found["sgd"])}
    rows = []
    for name, (one, other) in pairs.items():
        raced = simulate_races(one, other, races=4000)
        for way in raced.way.values:
            at = raced.sel(way=way)
            row = {"rules": name, "decided by": str(way), "decided (%)": 100 * float(at.decided)}
            rows.append(row | {"wrongly (%)": 100 * float(at.wrong), "seeds used": float(at.seeds)})
    return Table(rows, dict.fromkeys(("decided (%)", "wrongly (%)", "seeds used"), ".1f"))


@styled
def draw_coverage(runs: Results):
    """Draw the coverage of intervals over seeds with orders of their own and with a shared one."""
    figure = new_figure(8, 3.2)
    axes = figure.subplots()
    orders = {"own order": own_order(runs), "shared order": shared_order(runs)}
    for i, (order, found) in enumerate(orders.items()):
        for name, shares in zip(QUANTITIES, found, strict=True):
            style = line_style(i) | {"marker": "osD"[QUANTITIES.index(name)]}
            axes.plot(DRAWN, [100 * share for share in shares], label=f"{name}, {order}", **style)
    axes.axhline(95, color="black", linewidth=0.8)
    axes.set(
        xlabel="seeds", ylabel="intervals that hold the mean (%)", xticks=DRAWN, ylim=(45, 100)
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))  # beside the lines
    data = runs["coverage/adam"].attrs.get("data", "")
    of = f"{runs['coverage/adam'].sizes['seed']} seeds, and those of {len(_orders(runs))} orders"
    caption(figure, f"{data} · {of} · nominal: 95 %")
    return figure


def finding(runs: Results) -> str:
    """Return the range of the coverage with each kind of order, and how often races are wrong."""
    own, shared = np.array(own_order(runs)), np.array(shared_order(runs))
    seeds = runs["coverage/adam"].sizes["seed"]
    raced = races_table(runs).rows
    wrong = {row["decided by"]: row["wrongly (%)"] for row in raced if row["rules"] == "adam, adam"}
    return (
        f"With an order a seed, 95 % intervals of {_listed(DRAWN)} seeds hold the mean of all "
        f"{seeds} in {100 * own.min():.1f} to {100 * own.max():.1f} % of draws; with a shared "
        f"order in {100 * shared.min():.1f} to {100 * shared.max():.1f} %. Of races of Adam with "
        f"itself {wrong['race']:.1f} % are decided, which is wrong; peeking at t intervals "
        f"decides {wrong['peeking']:.1f} %."
    )


def _listed(numbers: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


EXPERIMENT = Experiment(
    "coverage",
    "Do the intervals hold?",
    sweeps=sweeps,
    size=26_320,
    least_seeds=DRAWN[-1] + 1,
    figures={
        "coverage": Figure("How often 95 % intervals over seeds hold the mean.", draw_coverage)
    },
    tables={"coverage": coverage_table, "races": races_table},
    finding=finding,
    cost="20 minutes on two CPU cores",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
