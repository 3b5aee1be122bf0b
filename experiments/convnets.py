"""C1 to C3: one and two convolutions against the dense net, with times and operation counts.

    python -m experiments.convnets --data emnist/balanced

All three with the same Adam, b1 .9, b2 .9999, at eta 1e-4 and at 1e-3 (undamped Adam at 1e-4). The
ConvNets peak at the larger rate within 20 epochs, C1 at the smaller within 40; C2 and the dense
net get 100. Each is one run, kept at epochs on the way; each trial's best of them by validation
sees the test images. The dense net's settings are two of the grid's in `experiments.adam`, trained
once more for these networks.
"""

from collections.abc import Iterator

import xarray as xr

from emnist_jax import Sweep
from emnist_jax.figures import plot_confusion, plot_curves
from emnist_jax.figures.style import COLOURS, mark
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, fraction_reached
from experiments._curves import over_seeds, peak_limits, together, with_names, with_rates
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._names import NAMES
from experiments._networks import C1, C2, CHOSEN_GRID, DENSE, multiply_adds, paper_sweep, parameters
from experiments.claims.measures import best_epoch, still_rising

NETWORKS = {"dense": DENSE, "c1": C1, "c2": C2}
TIMES = {"dense": 5, "c1": 2, "c2": 5}  # as many epochs as ConvNets need to peak at eta 1e-3

# The paper's validation accuracies (%): in words, epochs, how far these reach, and the numbers.
REPORTED = {
    "c1": ("C1 83.7 % after epoch 1, 87.44 % after 7", (1, 7), (0, 0), (83.7, 87.44)),
    "c2": ("C2 83.2 % after epoch 1, 87.1 % before 10", (1, 5), (0, 4), (83.2, 87.1)),
}


def sweeps(epochs: int = 20) -> dict[str, Sweep]:
    """Return the three networks' sweeps, kept after 7 epochs (see `test_set`) and further on."""
    found = {}
    for name, model in NETWORKS.items():
        last = TIMES[name] * epochs
        keep = sorted({min(7, last), *(times * epochs for times in range(1, TIMES[name] + 1))})
        sweep = paper_sweep(model, "adam", CHOSEN_GRID, epochs=last, keep=tuple(keep))
        found[f"convnets/{name}"] = sweep
        # One network alone, as the paper timed its own: times of unlike numbers do not compare.
        alone = sweep.replace(grid=CHOSEN_GRID | {"learning_rate": 1e-4}, keep=None)
        found[f"times/{name}"] = alone.replace(seeds=1, epochs=3)
    return found


def at_best_kept(runs: Results, name: str) -> xr.Dataset:
    """Return test results at the epoch, of those kept, of each trial's best validation accuracy."""
    tested = runs[f"convnets/{name}/test"]
    valid = runs[f"convnets/{name}"].valid_accuracy.sel(epoch=tested.epoch)
    return tested.sel(epoch=valid.fillna(0).idxmax("epoch"))


def settings(runs: Results) -> Iterator[tuple[str, xr.Dataset, xr.Dataset]]:
    """Yield networks, curves and test results at each rate."""
    for name in NETWORKS:
        curves, tested = runs[f"convnets/{name}"], at_best_kept(runs, name)
        for rate in curves.learning_rate.values:
            yield name, curves.sel(learning_rate=rate), tested.sel(learning_rate=rate)


def draw_together(runs: Results, variables: tuple[str, ...]):
    """Draw the curves of the three networks in the epochs all have, a panel each learning rate."""
    curves = {NAMES[one]: with_rates(runs[f"convnets/{one}"]) for one in NETWORKS}
    shown = together(curves, "network")
    accuracy = variables == ("valid_accuracy",)
    options = {"variables": variables, "ylim": peak_limits(shown) if accuracy else None}
    figure = plot_curves(shown, hue="network", col="learning_rate", **options)
    if accuracy:
        return mark_best(mark_best(figure, "c1"), "c2")
    return mark(figure, "C1 .363 after epoch 7", 7, 0.363, colour=COLOURS[1], loc="upper right")


def draw_alone(runs: Results, name: str):
    """Draw training and validation accuracy of a network in all its epochs."""
    curves, both = with_rates(runs[f"convnets/{name}"]), ("train_accuracy", "valid_accuracy")
    limits = peak_limits(curves, both)
    return mark_best(plot_curves(curves, col="learning_rate", variables=both, ylim=limits), name)


def mark_best(figure, name: str):
    """Draw the paper's accuracies after epoch 1 and at best, in the colour beside the dense net."""
    words, epochs, reach, numbers = REPORTED[name]
    colour = COLOURS[list(NETWORKS).index(name)]
    return mark(figure, words, epochs, numbers, dx=reach, colour=colour)


def draw_confusion(runs: Results):
    """Draw which test images of each class C1 reads as which."""
    tested = with_names(at_best_kept(runs, "c1"))
    about = " · ".join(str(tested.attrs[name]) for name in ("data", "rule", "model"))
    note = f"{about} · {tested.attrs['images']:,} test images"
    return plot_confusion(tested.confusion.isel(learning_rate=0), note=note)


def accuracies(runs: Results) -> Table:
    """Return each network's accuracies on validation and test images at both rates."""
    rows = []
    for name, curves, tested in settings(runs):
        at_best = best(curves)
        (valid, within), (test, around) = (
            over_seeds(100 * x) for x in (at_best.valid_accuracy, tested.accuracy)
        )
        rows.append(
            {
                "network": name,
                "eta": float(curves.learning_rate),
                "epochs": int(curves.epoch[-1]),
                "best validation (%)": valid,
                "95 %": within,
                "at epoch": at_best.best_epoch.mean(),
                "after epoch 1 (%)": 100 * curves.valid_accuracy.sel(epoch=1).mean(),
                "of the best (%)": 100 * fraction_reached(curves.valid_accuracy).mean(),
                "test (%)": test,
                "95 % of test": around,
                "macro (%)": 100 * tested.macro_accuracy.mean(),
                "test error": tested.error.mean(),
            }
        )
    formats = {"eta": "g", "at epoch": ".1f", "of the best (%)": ".1f", "test error": ".3f"}
    return Table(rows, formats)


def costs(runs: Results) -> Table:
    """Return sizes, operation counts and times of the three networks, each trained alone."""
    timed = {name: runs[f"times/{name}"].attrs for name in NETWORKS}
    seconds = {name: attrs["seconds_per_epoch"] for name, attrs in timed.items()}
    work = {name: sum(multiply_adds(model)) for name, model in NETWORKS.items()}
    rows = [
        {
            "network": name,
            "parameters": parameters(model),
            "multiply-adds an image": work[name],
            "of the dense net's": work[name] / work["dense"],
            "s an epoch": seconds[name],
            "times the dense net's": seconds[name] / seconds["dense"],
            "device": timed[name]["device"],
        }
        for name, model in NETWORKS.items()
    ]
    shares = dict.fromkeys(("of the dense net's", "times the dense net's"), ".1f")
    return Table(rows, shares | {"s an epoch": ".3g"})


def finding(runs: Results) -> str:
    """Return which networks were still improving when their training ended."""
    still = [
        f"{name}, eta {float(curves.learning_rate):g} (mean epoch of best "
        f"{float(best_epoch(curves).mean()):.1f} of {int(curves.epoch[-1])})"
        for name, curves, _ in settings(runs)
        if still_rising(curves)
    ]
    if not still:
        return "Every network was past its best when training ended."
    return (
        "Still improving when training ended, so that their best accuracy is too low and its epoch "
        f"too early: {'; '.join(still)}."
    )


EXPERIMENT = Experiment(
    "convnets",
    "Convolutional networks (C1 to C3)",
    sweeps=sweeps,
    figures={
        "accuracy": Figure(
            "ConvNets and the dense net, same Adam, in epochs all have: validation accuracy.",
            lambda runs: draw_together(runs, ("valid_accuracy",)),
        ),
        "error": Figure(
            "The same: training (dashed) and validation error.",
            lambda runs: draw_together(runs, ("train_error", "valid_error")),
        ),
        **{
            f"accuracy_{name}": Figure(
                f"{name.upper()} in all its epochs: training (dashed) and validation accuracy.",
                lambda runs, name=name: draw_alone(runs, name),
                of=f"convnets/{name}",
            )
            for name in ("c1", "c2")
        },
        "confusion_c1": Figure(
            "C1 at the best of the epochs kept (first eta): test images of each class by the class "
            "they are read as, all seeds.",
            draw_confusion,
            of="convnets/c1",
        ),
    },
    tables={"accuracy": accuracies, "cost": costs},
    finding=finding,
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
