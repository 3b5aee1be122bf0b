"""W1: do the settings found on EMNIST serve on CIFAR-10? One grid on both, on the dense net.

    python -m experiments.cifar10 --data emnist/balanced
    python -m experiments.cifar10 --data emnist/balanced --cifar10 folder/of/cifar10

Of the paper's settings: SGD's and RMSprop's all, and of Adam's b1 0 and .9 with b2 .9 and .9999 at
eta .01, .001 and .0001: 5 + 6 + 12, 100 epochs on EMNIST as in the paper, and 60 on CIFAR-10. The
dense net is 784-100-100-47 on the one and 3072-100-100-10 on the other. CIFAR-10 is that of
TensorFlow Datasets, or a folder with train/<class>/*.png or *.jpg (an archive has to be unpacked);
its training and test images are pooled and split anew, as EMNIST's are.
"""

import numpy as np
import xarray as xr

from emnist_jax.figures import plot_pairs
from emnist_jax.figures.tables import Table
from emnist_jax.stats import rank_correlation, regret
from experiments import adam, rmsprop, sgd
from experiments._curves import over_seeds, signed
from experiments._data import OtherData
from experiments._experiment import Experiment, Figure, Results, Taken
from experiments._main import main
from experiments._names import NAMES
from experiments._networks import DENSE, float32_sweep
from experiments.claims.beyond import two_problems
from experiments.claims.measures import still_rising
from experiments.claims.runs import Runs

EPOCHS = {"emnist": 100, "cifar10": 60}
PROBLEMS = tuple(EPOCHS)
JPEG = "cifar10-jpeg is all 60,000 images of CIFAR-10, JPEG-compressed, so with other pixels."
NEAR = 5  # points below EMNIST's best: settings that one may take
GRIDS = {
    "sgd": {"learning_rate": sgd.RATES},
    "rmsprop": rmsprop.GRID,
    "adam": {"learning_rate": (1e-2, 1e-3, 1e-4), "b1": (0.0, 0.9), "b2": (0.9, 0.9999)},
}
RULES = (tuple(GRIDS), *((rule,) for rule in GRIDS))  # all together, and each


def scores(runs: Results, rules: tuple[str, ...] = RULES[0]) -> list[xr.DataArray]:
    """Return the best accuracies (%) of all settings of some rules on EMNIST and on CIFAR-10."""
    return two_problems(Runs(runs), rules)  # where a diverged network guesses


def near_best(one: xr.DataArray, other: xr.DataArray) -> list[xr.DataArray]:
    """Return the scores on both of the settings that are `NEAR` the best on the first."""
    mean = one.mean("seed")
    return [scored.isel(choice=(mean > mean.max() - NEAR).values) for scored in (one, other)]


def draw(runs: Results):
    """Draw each setting's accuracy on one against that on the other."""
    one, other = scores(runs)
    names = [runs[f"cifar10/{problem}/sgd"].attrs.get("data", problem) for problem in PROBLEMS]
    return plot_pairs(
        one,
        other,
        [NAMES[rule] for rule in one.rule.values],
        labels=[f"best validation accuracy on {name} (%)" for name in names],
        ranks=[f"rank on {name}" for name in names],
        note=f"dense net · {one.sizes['seed']} seeds · a point: mean and 95 % t interval · "
        "dashed: equal ranks",
    )


def _words(rules: tuple[str, ...]) -> str:
    return ", ".join(NAMES[rule] for rule in rules)


def correlations(runs: Results) -> Table:
    """Return Spearman's correlation of the settings' accuracies, of all rules and of each."""
    pairs = {_words(rules): scores(runs, rules) for rules in RULES}
    pairs[f"all, within {NEAR} points of EMNIST's best"] = near_best(*scores(runs))
    rows = []
    for of, (one, other) in pairs.items():
        if one.sizes["choice"] < 2:  # nothing else comes near
            continue
        found = rank_correlation(one, other)
        rows.append(
            {
                "settings of": of,
                "settings": one.sizes["choice"],
                "Spearman": found.correlation,
                "95 % over seeds, for these settings": (found.lower, found.upper),
            }
        )
    return Table(rows)


def losses(runs: Results) -> Table:
    """Return what EMNIST's best setting loses on CIFAR-10."""
    rows = []
    for rules in RULES:
        one, other = scores(runs, rules)
        found = regret(other, one)
        rows.append(
            {
                "settings of": _words(rules),
                "best on EMNIST": str(found.chosen_choice.item()),
                "best on CIFAR-10": str(found.best_choice.item()),
                "regret (points)": found.regret,
                "held out": found.held_out,
                "95 % over CIFAR-10's seeds": (found.lower, found.upper),
            }
        )
    return Table(rows)


def settings(runs: Results) -> Table:
    """Return every setting's accuracy and rank on both."""
    means = [score.mean("seed").values for score in scores(runs)]
    ranks = [np.argsort(np.argsort(-mean)) + 1 for mean in means]
    rows = [
        {
            "setting": str(name),
            "EMNIST (%)": one,
            "rank on EMNIST": first,
            "CIFAR-10 (%)": other,
            "rank on CIFAR-10": second,
        }
        for name, one, first, other, second in zip(
            scores(runs)[0].choice.values, means[0], ranks[0], means[1], ranks[1], strict=True
        )
    ]
    return Table(rows)


def finding(runs: Results) -> str:
    """Return how far EMNIST's settings serve on CIFAR-10."""
    one, other = scores(runs)
    near, lost = near_best(one, other), regret(other, one)
    chosen, best_there = lost.chosen_choice.item(), lost.best_choice.item()
    loss = f"{float(lost.held_out):.2f} points [{float(lost.lower):.2f}, {float(lost.upper):.2f}]"
    if chosen == best_there:
        serves = f"is CIFAR-10's best too: a loss of {loss}"
    else:
        here = over_seeds(one.sel(choice=chosen) - one.sel(choice=best_there))
        serves = (
            f"on EMNIST {signed(here)} over CIFAR-10's best, {best_there}, loses {loss} to that "
            "one there"
        )
    rising = [_rising(runs, problem) for problem in PROBLEMS]
    done = ~(rising[0] | rising[1])
    of_adam = done & (one.rule == "adam").values
    left = ""
    if not done.all() and of_adam.sum() > 2:
        whole, adam = (_rho(one[of], other[of]) for of in (done, of_adam))
        left = f"; over the others the correlation is {whole}, over Adam's among them {adam}"
    jpeg = runs["cifar10/cifar10/sgd"].attrs.get("data") == "cifar10-jpeg"
    about = f" {JPEG}" if jpeg else ""
    return (
        f"Spearman's correlation over all {one.sizes['choice']} settings is {_rho(one, other)}, "
        f"over the {near[0].sizes['choice']} within {NEAR} points of EMNIST's best {_rho(*near)}. "
        f"EMNIST's best setting, {chosen}, {serves} (each seed's best chosen on the others). "
        "Correlations are of these settings: their intervals are over seeds, and say nothing of "
        f"other settings. Still rising at the end: {rising[0].sum()} settings on EMNIST, "
        f"{rising[1].sum()} on CIFAR-10{left}.{about}"
    )


def _rising(runs: Results, problem: str) -> np.ndarray:
    """Return which settings still rise at the end on a problem, in the order of `scores`."""
    found = [still_rising(runs[f"cifar10/{problem}/{rule}"]) for rule in GRIDS]
    return np.concatenate([one.values.ravel() for one in found])


def _rho(one: xr.DataArray, other: xr.DataArray) -> str:
    if one.sizes["choice"] < 2:
        return "not defined"
    found = rank_correlation(one, other)
    return f"{float(found.correlation):.2f} [{float(found.lower):.2f}, {float(found.upper):.2f}]"


EXPERIMENT = Experiment(
    "cifar10",
    "The same settings on CIFAR-10? (W1)",
    sweeps={
        f"cifar10/{problem}/{rule}": float32_sweep(DENSE, rule, grid, epochs=epochs)
        for problem, epochs in EPOCHS.items()
        for rule, grid in GRIDS.items()
    },
    taken={
        f"cifar10/emnist/{one.EXPERIMENT.name}": Taken(*next(iter(one.EXPERIMENT.make().items())))
        for one in (sgd, rmsprop, adam)
    },
    data={f"cifar10/cifar10/{rule}": OtherData("cifar10") for rule in GRIDS},
    help={"cifar10": "the second data set: a TFDS name, or a path as for --data"},
    figures={
        "settings": Figure(
            "Do settings rank on CIFAR-10 as they do on EMNIST? Each setting's best validation "
            "accuracy on both (dense net), and their ranks.",
            draw,
        )
    },
    tables={"rank_correlation": correlations, "regret": losses, "settings": settings},
    finding=finding,
    cost="105 minutes on two CPU cores (projected)",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
