"""T1 and T2: the networks the paper tested, after 7 epochs, on validation and test images.

    python -m experiments.test_set --data emnist/balanced

The dense net without batch normalisation, with it frozen at its draws (the bug) and with it
trained, and C1; with Adam b1 .9, b2 .9999 at eta 1e-4 and at 1e-3 (undamped Adam at 1e-4). They are
the runs of `experiments.convnets` and `experiments.batch_norm`, read after epoch 7. Nothing is
chosen on the test images.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.stats import wilson
from experiments import batch_norm, convnets
from experiments._curves import Mean, adam_at, of_variant, over_seeds, plot_means
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main

SEED, EPOCH, IMAGES = 3, 7, 15_800  # the paper's seed for T1, its epochs and test images
T1, T2 = (84.2, 0.493, 82.22, 0.547), (87.44, 0.363, 86.76, 0.397)
# For each network what the paper reports: validation accuracy and error, test accuracy and error.
REPORTED = {"none": T1, "frozen": T1, "trained": T1, "c1": T2}
LABELS = {
    "none": "dense net",
    "frozen": "batch norm. frozen",
    "trained": "batch norm. trained",
    "c1": "C1",
}
TOLERANCES = (1.0, 0.03, 1.0, 0.03)
# Where each was trained, and the variant to evaluate it with: as in the paper, batch normalisation
# has scale and bias drawn, and the statistics of minibatches.
TRAINED = {
    "none": ("convnets/dense", ""),
    "frozen": ("batch_norm/frozen_normal", "minibatch"),
    "trained": ("batch_norm/trained_normal", "minibatch"),
    "c1": ("convnets/c1", ""),
}
SWEEPS = batch_norm.EXPERIMENT.make() | convnets.EXPERIMENT.make()
Four = tuple[xr.DataArray, xr.DataArray, xr.DataArray, xr.DataArray]


def measured(runs: Results) -> Iterator[tuple[str, float, Four, xr.Dataset]]:
    """Yield network, rate, validation accuracy and error, test accuracy and error, test results."""
    for name, (folder, variant) in TRAINED.items():
        # In a run of few epochs the last of them is kept.
        tested = of_variant(runs[f"{folder}/test"], variant).sel(epoch=EPOCH, method="pad")
        curves = of_variant(runs[folder], variant).sel(epoch=tested.epoch)
        for rate in tested.learning_rate.values:
            valid, test = (x.sel(learning_rate=rate) for x in (curves, tested))
            numbers = (100 * valid.valid_accuracy, valid.valid_error)
            yield name, rate, (*numbers, 100 * test.accuracy, test.error), test


def near_of(name: str, numbers: Four) -> int:
    """Return how many of the four means lie within a point, or .03 nats, of the reported ones."""
    both = zip(numbers, REPORTED[name], TOLERANCES, strict=True)
    return sum(abs(float(mine.mean()) - paper) <= most for mine, paper, most in both)


def draw(runs: Results):
    """Draw test accuracies beside the reported ones with their intervals, a panel a rate."""
    panels: dict[str, dict[str, Mean]] = {}
    papers: dict[str, float] = {}
    for name, rate, numbers, tested in measured(runs):
        panels.setdefault(adam_at(rate), {})[LABELS[name]] = over_seeds(numbers[2])
        papers[name] = REPORTED[name][2]
        seeds, about = tested.sizes["seed"], tested.attrs
    reported = np.array(list(papers.values()))
    figure = plot_means(
        panels,
        reference=[reported] * len(panels),
        xlabel="test accuracy (%)",
        note=f"{about['data']} · {seeds} seeds · {about['images']:,} "
        f"images · reported: Wilson's 95 % interval of one network on {IMAGES:,} images",
    )
    within = wilson(xr.DataArray(reported / 100), IMAGES)
    reach = np.abs(100 * np.array([within.lower, within.upper]) - reported)
    for axes in figure.axes:
        rows = range(len(reported))
        axes.errorbar(reported, rows, xerr=reach, fmt="none", ecolor="black", capsize=5)
    ends = [axes.get_xlim() for axes in figure.axes]
    for axes in figure.axes:
        axes.set_xlim(np.min(ends), np.max(ends))
    return figure


def all_seeds(runs: Results) -> Table:
    """Return the means over all seeds."""
    names = {"validation": " (%)", "validation error": "", "test": " (%)", "test error": ""}
    rows = []
    for name, rate, numbers, tested in measured(runs):
        row = {"network": name, "eta of Adam": rate}
        for (what, unit), values in zip(names.items(), numbers, strict=True):
            row[what + unit], row[f"95 % of {what}"] = over_seeds(values)
        row["macro test (%)"] = 100 * tested.macro_accuracy.mean()
        rows.append(row | {"of 4 near the paper's": near_of(name, numbers)})
    errors = [
        f"{start}{part} error" for start in ("", "95 % of ") for part in ("validation", "test")
    ]
    return Table(rows, dict.fromkeys(errors, ".3f") | {"eta of Adam": "g"})


def papers_seed(runs: Results) -> Table:
    """Return the results of the paper's seed, with Wilson's interval of its test accuracy."""
    rows = []
    for name, rate, numbers, tested in measured(runs):
        if SEED in tested.seed:
            valid, error, test, test_error = (x.sel(seed=SEED).item() for x in numbers)
            within = wilson(test / 100, int(tested.attrs["images"]))
            rows.append(
                {
                    "network": name,
                    "eta of Adam": rate,
                    "validation (%)": valid,
                    "validation error": error,
                    "test (%)": test,
                    "Wilson 95 %": (100 * within.lower, 100 * within.upper),
                    "test error": test_error,
                }
            )
    return Table(rows, {"eta of Adam": "g", "validation error": ".3f", "test error": ".3f"})


def finding(runs: Results) -> str:
    """Return which networks come near the reported numbers."""
    found = [
        f"{name}, eta {rate:g}: {near_of(name, four)} of 4"
        for name, rate, four, _ in measured(runs)
    ]
    return (
        "Of the paper's four numbers (T1: 84.2 %, .493, 82.22 %, .547; T2, for C1: 87.44 %, .363, "
        f"86.76 %, .397), within a point or .03 nats here: {'; '.join(found)}."
    )


EXPERIMENT = Experiment(
    "test_set",
    "Test results (T1, T2)",
    sweeps={folder: SWEEPS[folder] for folder, _ in TRAINED.values()},
    figures={
        "test_accuracy": Figure(
            "Test accuracy after 7 epochs, mean over seeds with its 95 % interval; diamonds: the "
            "paper's T1 at each net it may be of, and T2.",
            draw,
        )
    },
    tables={"seeds": all_seeds, f"seed_{SEED}": papers_seed},
    finding=finding,
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
