"""C1 to C3: one and two convolutions against the dense net, with times and operation counts.

    python -m experiments.convnets --data emnist/balanced

All three with the same Adam, b1 .9, b2 .9999, at eta 1e-4 and at 1e-3 (undamped Adam at 1e-4). The
ConvNets still rise at the smaller rate when they are past their best at the larger one: they train
longer with it in a run of their own. The networks of each trial's best validation epoch then see
the test images, once.
"""

from collections.abc import Iterator

import xarray as xr

from emnist_jax import Sweep
from emnist_jax.figures import plot_confusion, plot_curves
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, fraction_reached
from experiments._curves import over_seeds, peak_limits, together
from experiments._experiment import Experiment, Figure, Runs, main
from experiments._networks import C1, C2, CHOSEN_GRID, DENSE, multiply_adds, parameters
from experiments.claims.measures import best_epoch, still_rising

NETWORKS = {"dense": DENSE, "c1": C1, "c2": C2}
LONGER = {"c1": 2, "c2": 3}  # times as many epochs, at the smallest learning rate


def sweeps(epochs: int = 20) -> dict[str, Sweep]:
    """Return the three networks' sweeps; enough epochs for the ConvNets to peak at eta 1e-3."""
    usual = {
        f"convnets/{name}": Sweep(model, "adam", CHOSEN_GRID, epochs=epochs, keep="best")
        for name, model in NETWORKS.items()
    }
    return usual | {
        f"convnets/{name}/longer": usual[f"convnets/{name}"].replace(
            grid=CHOSEN_GRID | {"learning_rate": (1e-4,)}, epochs=times * epochs
        )
        for name, times in LONGER.items()
    }


def longest(runs: Runs) -> Iterator[tuple[str, xr.Dataset, xr.Dataset]]:
    """Yield networks, curves and test results at each rate, of the longer run if there is one."""
    for name in NETWORKS:
        usual, longer = f"convnets/{name}", f"convnets/{name}/longer"
        for rate in runs[usual].learning_rate.values:
            has = name in LONGER and rate in runs[longer].learning_rate
            run = longer if has else usual
            yield name, *(runs[f"{run}{part}"].sel(learning_rate=rate) for part in ("", "/test"))


def draw_together(runs: Runs, **options):
    """Draw the curves of the three networks, a panel each learning rate."""
    curves = together({name: runs[f"convnets/{name}"] for name in NETWORKS}, "network")
    return plot_curves(curves, hue="network", col="learning_rate", **options)


def draw_accuracy(runs: Runs):
    """Draw the validation accuracy of the three networks."""
    limits = peak_limits(together({name: runs[f"convnets/{name}"] for name in NETWORKS}, "network"))
    return draw_together(runs, ylim=limits)


def draw_longer(curves: xr.Dataset):
    """Draw training and validation accuracy of a longer run."""
    both = ("train_accuracy", "valid_accuracy")
    return plot_curves(curves, col="learning_rate", variables=both, ylim=peak_limits(curves))


def draw_confusion(runs: Runs):
    """Draw which test images of each class C1 reads as which."""
    tested = runs["convnets/c1/longer/test"]
    about = " · ".join(str(tested.attrs[name]) for name in ("data", "rule", "model"))
    note = f"{about} · {tested.attrs['images']:,} test images"
    return plot_confusion(tested.confusion.isel(learning_rate=0), note=note)


def accuracies(runs: Runs) -> Table:
    """Return each network's accuracies on validation and test images at both rates."""
    rows = []
    for name, curves, tested in longest(runs):
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
                "test at best epoch (%)": test,
                "95 % of test": around,
                "macro (%)": 100 * tested.macro_accuracy.mean(),
                "test error": tested.error.mean(),
            }
        )
    formats = {"eta": "g", "at epoch": ".1f", "of the best (%)": ".1f", "test error": ".3f"}
    return Table(rows, formats)


def costs(runs: Runs) -> Table:
    """Return sizes, operation counts and times of the three networks."""
    seconds = {name: runs[f"convnets/{name}"].attrs["seconds_per_epoch"] for name in NETWORKS}
    work = {name: multiply_adds(model) for name, model in NETWORKS.items()}
    rows = [
        {
            "network": name,
            "parameters": parameters(model),
            "multiply-adds an image": work[name],
            "of the dense net's": work[name] / work["dense"],
            "s an epoch": seconds[name],
            "times the dense net's": seconds[name] / seconds["dense"],
            "device": runs[f"convnets/{name}"].attrs["device"],
        }
        for name, model in NETWORKS.items()
    ]
    shares = dict.fromkeys(("of the dense net's", "times the dense net's"), ".1f")
    return Table(rows, shares | {"s an epoch": ".3g"})


def finding(runs: Runs) -> str:
    """Return which networks were still improving when their training ended."""
    still = [
        f"{name}, eta {float(curves.learning_rate):g} (mean epoch of best "
        f"{float(best_epoch(curves).mean()):.1f} of {int(curves.epoch[-1])})"
        for name, curves, _ in longest(runs)
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
            "ConvNets and the dense net with the same Adam: validation accuracy.", draw_accuracy
        ),
        "error": Figure(
            "ConvNets and the dense net, the same Adam: training (dashed) and validation error.",
            lambda runs: draw_together(runs, variables=("train_error", "valid_error")),
        ),
        **{
            f"longer_{name}": Figure(
                f"{name.upper()} at the smallest eta, for longer: training (dashed), validation "
                "accuracy.",
                lambda runs, name=name: draw_longer(runs[f"convnets/{name}/longer"]),
                of=f"convnets/{name}/longer",
            )
            for name in LONGER
        },
        "confusion_c1": Figure(
            "C1 at its best validation epoch (first eta): test images of each class by the class "
            "they are read as, all seeds.",
            draw_confusion,
            of="convnets/c1/longer",
        ),
    },
    tables={"accuracy": accuracies, "cost": costs},
    finding=finding,
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
