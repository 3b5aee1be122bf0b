"""Numbers of the paper that its text does not give: which reading of it, or which slip, does?

    python -m experiments.anomalies --data emnist/balanced

Each hypothesis is trained at the paper's choice for Adam, b1 .9 and b2 .9999: slips in batch
normalisation and other Adams on the dense net; other kernels and other Adams on the ConvNets, for
one epoch. What needs no training is read from `experiments.batch_norm`, which should have run into
the same --out.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import numpy as np
import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.stats import two_proportions
from experiments._anomalies import ANOMALIES, FROZEN, TRAINED, UNCORRECTED, Anomaly, sweeps
from experiments._curves import NONE, over_seeds, plot_means
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments.claims import PAPER, NotTestable

CLAIMS = {claim.id: claim for claim in PAPER}


def measured(runs: Results) -> Iterator[dict]:
    """Yield one row per hypothesis and number, of the runs there are."""
    for anomaly in ANOMALIES:
        for (folder, variant), words in anomaly.readings.items():
            rates = runs[folder].learning_rate.values if folder in runs else []
            for rate in np.atleast_1d(rates):
                with suppress(NotTestable):
                    curves = anomaly.pick(runs, folder, variant, rate)
                    for claim in anomaly.numbers:
                        yield _row(anomaly, f"{words}, eta {rate:g}", curves, claim)


def _row(anomaly: Anomaly, words: str, curves: xr.Dataset, claim: str) -> dict:
    mean, (lower, upper) = over_seeds(anomaly.numbers[claim](curves))
    bounds, unit = CLAIMS[claim].criterion, CLAIMS[claim].unit
    meets, beside = lower < bounds.high and bounds.low < upper, None
    # An interval wider than the bounds would meet any.
    fits = meets and upper - lower <= bounds.high - bounds.low
    if more := anomaly.beside:
        value = float(more.of(curves).mean())
        beside = f"{more.words} {value:.2f} ({more.low:g} to {more.high:g})"
        fits = fits and more.low <= value <= more.high
    return {
        "anomaly": anomaly.title,
        "claim": claim,
        "hypothesis": words,
        "the paper": f"{bounds.words} {unit}",
        "measured": mean,
        "95 %": (lower, upper),
        "beside": beside,
        "fits": fits,
    }


def _reported(claim: str) -> float:
    """Return the paper's number: the middle of its bounds, or the one there is."""
    bounds = CLAIMS[claim].criterion
    return (bounds.low + bounds.high) / 2 if np.isfinite(bounds.high) else bounds.low


def draw(runs: Results, part: str):
    """Draw what was measured beside the paper's numbers, a panel each claim of a letter.

    Errors are left out.
    """
    rows = [row for row in measured(runs) if row["claim"].startswith(part)]
    found = {(row["claim"], row["hypothesis"]): (row["measured"], row["95 %"]) for row in rows}
    shown = dict.fromkeys(claim for claim, _ in found if CLAIMS[claim].unit != "nats")
    words = list(dict.fromkeys(row["hypothesis"] for row in rows))
    panels = {
        f"{claim} ({CLAIMS[claim].unit})": {one: found.get((claim, one), NONE) for one in words}
        for claim in shown
    }
    curves = next(runs[name] for name in runs if name.startswith(("anomalies/", "batch_norm/")))
    note = f"{curves.attrs['data']} · {curves.sizes['seed']} seeds"
    return plot_means(
        panels,
        reference=[[_reported(claim)] * len(words) for claim in shown],
        note=f"{note} · mean and 95 % t interval over seeds",
    )


def finding(runs: Results) -> str:
    """Return for each anomaly which readings fit, or how far the nearest is."""
    found: dict[str, dict[str, list[dict]]] = {}
    for row in measured(runs):
        found.setdefault(row["anomaly"], {}).setdefault(row["hypothesis"], []).append(row)
    lines = [f"- {_fitting(title, list(of.values()))}" for title, of in found.items()]
    z = float(two_proportions(0.842, 15_800, 0.8222, 15_800).z)
    return (
        "A reading fits where the 95 % interval over seeds meets the claim's bounds and is no "
        "wider, and what stands beside it lies within its own.\n\n"
        + "\n".join(lines)
        + f"\n\nT1's 84.2 and 82.22 % are {z:.1f} standard errors apart, which sampling of "
        "15,800 images each does not give."
    )


def _fitting(title: str, readings: list[list[dict]]) -> str:
    """Return which readings fit, each with one or more rows that all have to."""
    fit = [of[0]["hypothesis"] for of in readings if all(row["fits"] for row in of)]
    if fit:
        return f"**{title}:** of {len(readings)} readings fit: {'; '.join(fit)}."
    nearest = min(
        (of[0] for of in readings), key=lambda r: abs(r["measured"] - _reported(r["claim"]))
    )
    return (
        f"**{title}:** none of {len(readings)} readings fits; nearest: {nearest['hypothesis']}, "
        f"{nearest['measured']:.2f} {CLAIMS[nearest['claim']].unit}."
    )


EXPERIMENT = Experiment(
    "anomalies",
    "The paper's anomalies",
    sweeps=sweeps,
    help={"norm_epochs": "passes over the training images, with batch normalisation"},
    reads=("adam", f"forensics/{UNCORRECTED}", FROZEN, TRAINED, f"{TRAINED}/test"),
    figures={
        name: Figure(
            f"{words}: readings and the paper's numbers (diamonds).", partial(draw, part=part)
        )
        for name, part, words in (
            ("batch_normalisation", "N", "72.3 ± 5.6 % with batch normalisation"),
            ("first_epoch", "C", "The ConvNets after one epoch"),
            ("adam", "A", "Adam at eta 1e-3 (A1g) and 1e-2 (A1f: the largest fall in one epoch)"),
            ("test", "T", "Validation (T1a), test (T1c) and their difference (T1e)"),
        )
    },
    tables={"anomalies": lambda runs: Table([*measured(runs)], {"measured": ".4g", "95 %": ".4g"})},
    finding=finding,
    cost="25 minutes on two CPU cores",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
