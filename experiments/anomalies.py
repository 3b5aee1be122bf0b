"""Numbers of the paper that its text does not give: which reading of it, or which slip, does?

    python -m experiments.anomalies --data emnist/balanced

Each hypothesis is trained at the paper's choice for Adam, b1 .9 and b2 .9999: slips in batch
normalisation and other Adams on the dense net; other kernels and other Adams on the ConvNets, for
one epoch. What needs no training is read from `experiments.batch_norm`, which should have run into
the same --out.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.stats import two_proportions
from experiments._anomalies import ANOMALIES, FROZEN, TRAINED, UNCORRECTED, Anomaly, sweeps
from experiments._curves import NONE, plot_means
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._verdicts import in_words
from experiments.claims.criteria import INF, Estimate, Verdict
from experiments.claims.judge import Claim
from experiments.claims.measures import best_accuracy, estimate, still_rising
from experiments.claims.paper import PAPER
from experiments.claims.runs import NotTestable

CLAIMS = {claim.id: claim for claim in PAPER}
FITS, UNDECIDED, FAILS = Verdict.HOLDS, Verdict.UNDECIDED, Verdict.FAILS
IN_WORDS = {FITS: "fits", UNDECIDED: "undecided", FAILS: "does not fit"}
# The figures: what of, and which claims' numbers, a panel each.
PANELS = {
    "batch_normalisation": (
        "72.3 ± 5.6 % with batch normalisation",
        {"N1a": "best validation accuracy (%)"},
    ),
    "first_epoch": ("The ConvNets after one epoch", {"C1b": "C1 (%)", "C2b": "C2 (%)"}),
    "at_most_80": ("Adam at eta 1e-3 reaches 80 %", {"A1g": "best validation accuracy (%)"}),
    "swings": (
        "Adam at eta 1e-2 swings by 25 points",
        {"A1f": "largest fall in one epoch (points)"},
    ),
    "test": (
        "The batch-normalised net after 7 epochs, and on test images",
        {"T1a": "validation (%)", "T1c": "test (%)", "T1e": "difference (points)"},
    ),
}


class Tried(NamedTuple):
    """One number of the paper under one hypothesis, and whether it fits as a claim would hold."""

    anomaly: Anomaly
    claim: Claim
    hypothesis: str
    estimate: Estimate
    verdict: Verdict
    beside: str = ""

    @property
    def words(self) -> str:
        """What was measured, and what beside that."""
        return in_words(self.estimate, self.claim.unit) + (self.beside and f", {self.beside}")


def measured(runs: Results) -> Iterator[Tried]:
    """Yield what each hypothesis gives for each number, of the runs there are."""
    for anomaly in ANOMALIES:
        for (folder, variant), words in anomaly.readings.items():
            rates = runs[folder].learning_rate.values if folder in runs else []
            for rate in np.atleast_1d(rates):
                with suppress(NotTestable):
                    curves = anomaly.pick(runs, folder, variant, rate)
                    for claim in anomaly.numbers:
                        yield _read(anomaly, CLAIMS[claim], f"{words}, eta {rate:g}", curves)


def _read(anomaly: Anomaly, claim: Claim, words: str, curves: xr.Dataset) -> Tried:
    number = anomaly.numbers[claim.id]
    found, beside = estimate(number(curves)), ""
    rising = number is best_accuracy and bool(still_rising(curves))
    verdict = claim.criterion.verdict(found._replace(upper=INF) if rising else found)
    if more := anomaly.beside:
        value = estimate(more.of(curves))
        beside = f"{more.words} {in_words(value, '')} ({more.criterion.words})"
        verdict = _worst({verdict, more.criterion.verdict(value)})
    beside += (", " if beside else "") + "still rising" if rising else ""
    return Tried(anomaly, claim, words, found, verdict, beside)


def draw(runs: Results, panels: Mapping[str, str]):
    """Draw what was measured beside the paper's numbers and the bounds, a panel each claim."""
    found = {(r.claim.id, r.hypothesis): r.estimate for r in measured(runs) if r.claim.id in panels}
    words = list(dict.fromkeys(hypothesis for _, hypothesis in found)) or ["no reading"]
    rows = {
        title: {w: (x.mean, x[1:3]) if (x := found.get((claim, w))) else NONE for w in words}
        for claim, title in panels.items()
    }
    about = next(runs[name] for name in runs if name.startswith(("anomalies/", "batch_norm/")))
    bounds = [CLAIMS[claim].criterion for claim in panels]
    figure = plot_means(
        rows,
        reference=[[one.reported] * len(words) for one in bounds],
        note=f"{about.attrs['data']} · mean and 95 % t interval over seeds · grey: what fits",
    )
    for axes, one in zip(figure.axes, bounds, strict=True):
        limits = axes.get_xlim()
        axes.axvspan(*np.clip((one.low, one.high), *limits), color="0.92", zorder=0)
        axes.set_xlim(limits)
    return figure


def finding(runs: Results) -> str:
    """Return which anomalies a reading explains, and how near the others come."""
    found: dict[str, dict[str, list[Tried]]] = {}
    for one in measured(runs):
        found.setdefault(one.anomaly.title, {}).setdefault(one.hypothesis, []).append(one)
    if not found:
        return "No reading can be judged: one seed gives no interval."
    explained, open_ = [], []
    for title, readings in found.items():
        by = {verdict: [] for verdict in IN_WORDS}
        for hypothesis, of in readings.items():
            words = ", ".join(one.words for one in of)
            by[_worst({one.verdict for one in of})].append(f"{hypothesis}, {words}")
        tried = f"of {len(readings)} readings"
        if by[FITS]:
            explained.append(f"- **{title}:** {tried} {len(by[FITS])} fit: {'; '.join(by[FITS])}.")
        else:
            some = f"; undecided: {'; '.join(by[UNDECIDED])}" if by[UNDECIDED] else ""
            open_.append(f"- **{title}:** {tried} none fits{some or _nearest(readings)}.")
    z = float(two_proportions(0.842, 15_800, 0.8222, 15_800).z)
    count = sum(map(len, found.values()))
    return "\n\n".join(
        [
            "A reading fits as a claim holds: where the 95 % interval over seeds lies within the "
            "bounds, and what stands beside it within its own (in brackets); what still rises has "
            f"no upper end. {count} readings were tried: with so many, one may fit by chance.",
            *(["**Explained**", "\n".join(explained)] if explained else []),
            *(["**Not explained**", "\n".join(open_)] if open_ else []),
            f"T1's 84.2 and 82.22 % are {z:.1f} standard errors apart, which sampling of 15,800 "
            "images each does not give.",
        ]
    )


def _worst(verdicts: Collection[Verdict]) -> Verdict:
    """Return the verdict on several numbers, which all have to fit."""
    return next(verdict for verdict in (FAILS, UNDECIDED, FITS) if verdict in verdicts)


def _nearest(readings: Mapping[str, Sequence[Tried]]) -> str:
    """Return the hypothesis whose first number comes nearest to the paper's."""
    firsts = [of[0] for of in readings.values()]
    near = min(firsts, key=lambda r: abs(r.estimate.mean - r.claim.criterion.reported))
    return f"; nearest: {near.hypothesis}, {near.words}"


def _table(runs: Results) -> Table:
    """Return a row a hypothesis and number."""
    rows = [
        {
            "anomaly": one.anomaly.title,
            "claim": one.claim.id,
            "hypothesis": one.hypothesis,
            "the paper": f"{one.claim.criterion.words} {one.claim.unit}",
            "measured": one.estimate.mean,
            "95 %": one.estimate[1:3],
            "beside": one.beside,
            "fits": IN_WORDS[one.verdict],
        }
        for one in measured(runs)
    ]
    return Table(rows)


EXPERIMENT = Experiment(
    "anomalies",
    "The paper's anomalies",
    sweeps=sweeps,
    help={"slow_epochs": "those with no gradient through the minibatch's mean and variance"},
    reads=("adam", f"forensics/{UNCORRECTED}", FROZEN, TRAINED, f"{TRAINED}/test"),
    figures={
        name: Figure(f"{words}: readings, and the paper's numbers.", partial(draw, panels=panels))
        for name, (words, panels) in PANELS.items()
    },
    tables={"anomalies": _table},
    finding=finding,
    cost="40 minutes on two CPU cores",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
