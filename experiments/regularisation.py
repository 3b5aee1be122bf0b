"""W2: do batch normalisation, dropout and weight decay help? On the dense net and on C1.

    python -m experiments.regularisation --data emnist/balanced

Each alone against the plain network on the same seeds: batch normalisation as is usual (trained
from 1 and 0, running statistics in evaluation), dropout of hidden dense units, and decoupled weight
decay (AdamW; Loshchilov & Hutter, 2019). Adam as in the paper, b1 .9, b2 .9999, at eta 1e-3, which
is its undamped rule at 1e-4.
"""

from collections.abc import Iterator

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_curves
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, best_setting, paired
from experiments._curves import (
    over_seeds,
    peak_limits,
    perhaps_not_done,
    plot_differences,
    together,
    with_names,
)
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._names import name
from experiments._networks import C1, CHOSEN, DENSE, float32_sweep
from experiments.claims.measures import best_accuracy, overfitting

NETWORKS = {"dense": DENSE, "c1": C1}
VARIANTS = {
    "plain": {},
    "batch_norm": {},
    "dropout": {"dropout": (0.2, 0.5)},
    "weight_decay": {"weight_decay": (0.01, 0.1, 1.0)},
}


def sweeps(epochs: int = 40, convnet_epochs: int = 15) -> dict[str, ej.Sweep]:
    """Return a sweep for each network with each regulariser."""
    usual = {"learning_rate": 1e-3, **CHOSEN, "weight_decay": 0.0}
    found = {}
    for network, model in NETWORKS.items():
        for variant, axis in VARIANTS.items():
            norm = ej.BatchNorm() if variant == "batch_norm" else None
            found[f"regularisation/{network}/{variant}"] = float32_sweep(
                model.clone(batch_norm=norm),
                "adamw",
                usual | axis,
                epochs=epochs if network == "dense" else convnet_epochs,
            )
    return found


def settings(runs: Results, network: str, variant: str) -> dict[float | None, xr.Dataset]:
    """Return the curves of each strength of a regulariser; None is that of one without strengths.

    Coordinates that not all networks have are left out, so that the curves can be subtracted.
    """
    curves = runs[f"regularisation/{network}/{variant}"]
    axis, own = next(iter(VARIANTS[variant]), None), ["dropout", "weight_decay"]
    values = [None] if axis is None else curves[axis].values.tolist()
    chosen = {v: curves if v is None else curves.sel({axis: v}) for v in values}
    return {v: one.drop_vars(own, errors="ignore") for v, one in chosen.items()}


def every_setting(runs: Results) -> Iterator[tuple[str, str, float | None, xr.Dataset, xr.Dataset]]:
    """Yield network, regulariser, strength, its curves and the plain network's."""
    for network in NETWORKS:
        plain = settings(runs, network, "plain")[None]
        for variant in VARIANTS:
            for strength, curves in settings(runs, network, variant).items():
                yield network, variant, strength, curves, plain


def draw_gains(runs: Results):
    """Draw what each regulariser adds to the accuracy, and beside it to the gap."""
    gains, gaps = {}, {}
    for network, variant, strength, curves, plain in every_setting(runs):
        if variant != "plain":
            label = f"{name(network)}, {name(variant)}"
            label += "" if strength is None else f" {strength:g}"
            gains[label] = over_seeds(best_accuracy(curves) - best_accuracy(plain))
            gaps[label] = over_seeds(overfitting(curves) - overfitting(plain))
    panels = {"best accuracy: more is better": gains, "over-fitting gap: less is better": gaps}
    return plot_differences(panels, "with it less without, points")


def draw_accuracy(runs: Results, network: str):
    """Draw each regulariser at the strength with the highest mean best accuracy."""
    shown = {
        name(variant): max(
            settings(runs, network, variant).values(), key=lambda x: float(best_accuracy(x).mean())
        )
        for variant in VARIANTS
    }
    curves, both = with_names(together(shown, "variant")), ("train_accuracy", "valid_accuracy")
    return plot_curves(curves, hue="variant", variables=both, ylim=peak_limits(curves, both))


def gains_table(runs: Results) -> Table:
    """Return accuracy and over-fitting of every setting, with its paired gain."""
    rows = []
    for network, variant, strength, curves, plain in every_setting(runs):
        at_best, (mean, bounds) = best(curves), over_seeds(best_accuracy(curves))
        less, gap = (
            None if variant == "plain" else paired(of(curves), of(plain))
            for of in (best_accuracy, overfitting)
        )
        row = {
            "network": network,
            "regulariser": variant.replace("_", " "),
            "strength": strength,
            "best (%)": mean,
            "95 %": bounds,
            "less plain (points)": less and less.difference,
            "95 % of it": less and (less.lower, less.upper),
            "effect size g": less and less.g_z,
            "epoch of best": at_best.best_epoch.mean(),
            "gap at best epoch": 100 * (at_best.train_accuracy - at_best.valid_accuracy).mean(),
            "gap at last epoch": overfitting(curves).mean(),
            "gap less plain": gap and gap.difference,
            "95 % of the gap": gap and (gap.lower, gap.upper),
        }
        rows.append(row)
    signs = dict.fromkeys(("less plain (points)", "gap less plain"), "+.2f")
    return Table(rows, signs | {"strength": "g", "effect size g": ".1f", "epoch of best": ".1f"})


def finding(runs: Results) -> str:
    """Return the best strength of each regulariser, and which may not be done."""
    every = {
        f"{name(n)}, {name(v)}": runs[f"regularisation/{n}/{v}"] for n in NETWORKS for v in VARIANTS
    }
    strengths = []
    for words, curves in every.items():
        for axis in {"dropout", "weight_decay"}.intersection(curves.dims):
            taken, tried = float(best_setting(curves)[axis]), curves[axis].values.tolist()
            ends = {min(tried): " (the least tried)", max(tried): " (the most tried)"}
            strengths.append(f"{words} {taken:g}{ends.get(taken, '')}")
    return (
        f"Best strengths: {'; '.join(strengths)}; all at one learning rate. "
        f"{perhaps_not_done(every)}"
    )


EXPERIMENT = Experiment(
    "regularisation",
    "Do batch normalisation, dropout and weight decay help? (W2)",
    sweeps=sweeps,
    least_seeds=2,
    help={"convnet_epochs": "passes over the training images, of C1"},
    figures={
        "gains": Figure(
            "What does each regulariser add to the best validation accuracy, and to the gap of "
            "training and validation accuracy after the last epoch? Same seeds.",
            draw_gains,
        ),
        **{
            f"accuracy_{network}": Figure(
                f"Regularisers on {name(network)}, each at its best strength: training (dashed) "
                "and validation accuracy.",
                lambda runs, network=network: draw_accuracy(runs, network),
                of=f"regularisation/{network}",
            )
            for network in NETWORKS
        },
    },
    tables={"settings": gains_table},
    finding=finding,
    cost="125 minutes on two CPU cores",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
