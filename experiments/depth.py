"""W4: why are two convolutions no better than one? Channel counts crossed, with equal heads.

    python -m experiments.depth --data emnist/balanced
    python -m experiments.depth --data emnist/balanced --size 131600

The paper's C1 and C2 differ in three ways at once: one convolution or two, ten channels or five and
ten, dense layers of 576 and 160 units or of 150. Here one convolution of 5, 10 or 20 channels and
two of 5 and 10, 10 and 10, or 10 and 20 channels each get both heads. Adam as in the paper, b1 .9,
b2 .9999, at eta 1e-3, which is its undamped rule at 1e-4. Projected on two CPU cores, from 4.4 ms a
step of C1 and 1.7 ms of C2: 20 minutes as it stands, with 26,320 images; 100 minutes with all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr
from flax import linen as nn

import emnist_jax as ej
from emnist_jax.figures import plot_curves, plot_intervals
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, interval
from experiments._common import (
    CHOSEN,
    difference,
    draw,
    main,
    peak_limits,
    together,
    train,
    tuned,
)
from experiments._common import Options as CommonOptions
from experiments.convnets import multiply_adds, parameters

CHANNELS = ((5,), (10,), (20,), (5, 10), (10, 10), (10, 20))
HEADS = ((150,), (576, 160))


def dashed(numbers: tuple[int, ...]) -> str:
    """Return numbers as text: 5-10."""
    return "-".join(map(str, numbers))


def name_of(channels: tuple[int, ...], head: tuple[int, ...]) -> str:
    """Return a network's name: conv5-10_head150 is C2, conv10_head576-160 is C1."""
    return f"conv{dashed(channels)}_head{dashed(head)}"


NETWORKS: Mapping[str, nn.Module] = {
    name_of(channels, head): ej.ConvNet(channels=channels, hidden=head)
    for head in HEADS
    for channels in CHANNELS
}
C1, C2 = name_of((10,), (576, 160)), name_of((5, 10), (150,))
_CHANGES = (
    ("a second convolution: 10 to 5-10", (10,), (5, 10)),
    ("a second convolution: 10 to 10-10", (10,), (10, 10)),
    ("channels of one: 5 to 10", (5,), (10,)),
    ("channels of one: 10 to 20", (10,), (20,)),
    ("channels of two: 5-10 to 10-20", (5, 10), (10, 20)),
)
# What is changed, from and to: C1 to C2, then each difference between them by itself.
EFFECTS = (
    ("all at once: C1 to C2", C1, C2),
    *(
        (f"{what}, head {dashed(head)}", name_of(before, head), name_of(after, head))
        for what, before, after in _CHANGES
        for head in HEADS
    ),
    *(
        (f"head 150 to 576-160, channels {dashed(c)}", *(name_of(c, h) for h in HEADS))
        for c in ((10,), (5, 10), (10, 20))
    ),
)
COST = "20 minutes on two CPU cores with 26,320 images, 100 minutes with all (projected)"
RUNS = tuple(f"depth/{name}" for name in NETWORKS)
CAPTIONS = {
    "effects": "What C2 gains over C1, and what each difference between them changes by itself; "
    "same seeds.",
    "accuracy": "One and two convolutions, both heads: validation accuracy.",
}


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    size: int | None = 26_320
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    epochs: int = 10
    """passes over the training images"""
    learning_rate: tuple[float, ...] = (1e-3,)
    """learning rates of Adam; of several, the best is chosen for each seed on the others"""


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train all networks, save their curves, and draw figures and tables."""
    found = measure(options)
    draw(figures(found), tables(found), options.out / "depth")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train all networks; return their curves by name."""
    grid = {"learning_rate": options.learning_rate, **CHOSEN}
    return {
        name: train(options, f"depth/{name}", model, "adam", grid)
        for name, model in NETWORKS.items()
    }


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return the effects with intervals, and the curves at the first rate."""
    panels = {
        f"head {dashed(head)}": together(
            {dashed(c): found[name_of(c, head)].isel(learning_rate=0) for c in CHANNELS}, "network"
        )
        for head in HEADS
    }
    curves = together(panels, "head")
    return {
        "effects": plot_intervals(
            *zip(*effects(found), strict=True),
            reference=0,
            xlabel="best validation accuracy, points",
            note="mean difference and 95 % t interval over seeds",
        ),
        "accuracy": plot_curves(curves, hue="network", col="head", ylim=peak_limits(curves)),
    }


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return the size and the accuracy of every network."""
    header = ["channels", "head", "parameters", "multiply-adds an image", "best (%)", "95 %"]
    header += ["epoch of best", "s an epoch"]
    rows = []
    for name, model in NETWORKS.items():
        over = interval(tuned(found[name]))
        rows.append(
            [
                dashed(model.channels),
                dashed(model.hidden),
                f"{parameters(model):,}",
                f"{multiply_adds(model):,}",
                f"{float(over['mean']):.2f}",
                f"{float(over.lower):.2f} to {float(over.upper):.2f}",
                f"{float(best(found[name]).best_epoch.mean()):.1f}",
                f"{found[name].attrs.get('seconds_per_epoch', float('nan')):.3g}",
            ]
        )
    return {"networks": Table(header, rows)}


def effects(found: Mapping[str, xr.Dataset]) -> list[tuple[str, float, float, float]]:
    """Return each effect with its 95 % interval, in points."""
    return [
        (what, *difference(tuned(found[after]), tuned(found[before])))
        for what, before, after in EFFECTS
    ]


def finding(found: Mapping[str, xr.Dataset]) -> str:
    """Return how C1 and C2 differ, and what each difference between them does by itself."""
    whole, *single = effects(found)
    clear = [row for row in single if row[2] > 0 or row[3] < 0]
    told, rest = (
        [f"{what} {mean:+.2f} points [{low:.2f}, {high:.2f}]" for what, mean, low, high in rows]
        for rows in (clear, [row for row in single if row not in clear])
    )
    return (
        f"C2 less C1: {whole[1]:+.2f} points [{whole[2]:.2f}, {whole[3]:.2f}]. Of {len(single)} "
        f"single differences {len(clear)} have an interval that excludes 0 (if nothing differed, "
        f"one in twenty would): {'; '.join(told) or 'none'}. Not told from 0: "
        f"{'; '.join(rest) or 'none'}."
    )


if __name__ == "__main__":
    main(run, Options)
