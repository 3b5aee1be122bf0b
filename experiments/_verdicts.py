"""The verdicts on the paper's claims, judged once for all pages, in words and in tables."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from emnist_jax.figures.tables import Table
from experiments._experiment import Results
from experiments.claims import (
    PAPER,
    READINGS,
    Claim,
    Estimate,
    Judgement,
    Verdict,
    by_reading,
    judge_all,
)

READING_NAMES = {
    "adam": "Algorithm 1",
    "adam_undamped": "undamped (Adam at 10 eta)",
    "adam_uncorrected": "no bias correction",
    "adam_undamped_uncorrected": "undamped, no bias correction",
    "adam_constant_correction": "moments divided by 1 - b",
}


# Which of the figures is the paper's of that number.
FIGURES = {
    1: "samples/figure_1_samples.png",
    2: "sgd/figure_2_best_against_rate.png",
    3: "sgd/figure_3_accuracy.png",
    4: "rmsprop/figure_4_validation_accuracy.png",
    5: "rmsprop/figure_5_training_error.png",
    6: "adam/figure_6_grid.png",
    7: "adam/figure_7_curves.png",
}


class Found(NamedTuple):
    """What runs say of the paper's claims.

    Attributes:
        runs: curves and test results by their folder.
        judged: the verdict on every claim.
        held: for each reading of Adam how many claims hold, and how many were tested.
        lost: claims that hold under no reading of Adam, and are undecided under none.
    """

    runs: Results
    judged: Sequence[Judgement]
    held: Mapping[str, tuple[int, int]]
    lost: Sequence[str] = ()

    @property
    def by_id(self) -> dict[str, Judgement]:
        """The verdicts by claim."""
        return {j.claim.id: j for j in self.judged}

    @property
    def fitting(self) -> str:
        """The reading under which most claims hold, of those other than the printed one."""
        return max(READINGS[1:], key=lambda reading: self.held[reading][0])


# Where what is measured is drawn, or else shown, by how a claim's id begins; the longest counts.
EVIDENCE = {
    "D": "convnets/confusion_c1.png",
    "R1": "rmsprop/best_against_rate.png",
    "A1": "adam/figure_6_grid.png",
    "A1e": "anomalies/swings.png",
    "A1f": "anomalies/swings.png",
    "A1m": "adam/longer_windows.png",
    "A1o": "adam/longer_windows.png",
    "A1q": "adam/figure_7_curves.png",
    "A1t": "adam/figure_7_curves.png",
    "N1": "batch_norm/accuracy_adam.png",
    "C": "convnets/accuracy.png",
    "C2c": "times.md",
    "C2d": "times.md",
    "T": "test_set/test_accuracy.png",
    "T1b": "experiments.md#test_set",
    "T1d": "experiments.md#test_set",
    "T2b": "experiments.md#test_set",
    "T2d": "experiments.md#test_set",
    "F1a": "rmsprop/best_against_rate.png",
    "F1b": "adam/figure_6_grid.png",
    "F1c": "rmsprop/figure_4_validation_accuracy.png",
    "F1d": "adam/figure_6_grid.png",
    "F1e": "budgets/budgets.png",
    "F1f": "budgets/budgets.png",
    "F1g": "convnets/accuracy.png",
    "F1h": "times.md",
    "F1i": "experiments.md#convnets",
}
PLURAL = {
    Verdict.HOLDS: "hold",
    Verdict.FAILS: "do not hold",
    Verdict.UNDAMPED: "hold only for the undamped rule",
}


def find(runs: Results) -> Found:
    """Return the verdicts on all claims of the paper."""
    verdicts = by_reading(PAPER, runs)
    held = {r: (list(of.values()).count(Verdict.HOLDS), len(of)) for r, of in verdicts.items()}
    under = {
        claim.id: {of[claim.id] for of in verdicts.values() if claim.id in of} for claim in PAPER
    }
    lost = [name for name, each in under.items() if each == {Verdict.FAILS}]
    return Found(runs, judge_all(PAPER, runs), held, lost)


def count(verdicts: Iterable[Verdict]) -> str:
    """Return how many claims have each verdict: 3 hold, 1 does not hold, ..."""
    counts = Counter(verdicts)
    words = {one: PLURAL.get(one, one) if counts[one] != 1 else one for one in Verdict}
    return ", ".join(f"{counts[one]} {words[one]}" for one in Verdict if counts[one])


def by_verdict(
    judged: Iterable[Judgement],
    words: Callable[[Judgement], str],
    verdicts: Iterable[Verdict] = Verdict,
) -> str:
    """Return claims in words, those of each verdict together: *holds*: these, those; ..."""
    judged, parts = list(judged), []
    for verdict in verdicts:
        of = ", ".join(words(j) for j in judged if j.verdict is verdict)
        parts += [f"*{verdict}*: {of}"] if of else []
    return "; ".join(parts)


def link(j: Judgement) -> str:
    """Return a link to a claim's row."""
    return f"[{j.claim.id}](claims.md#{j.claim.id.lower()})"


def result(judgement: Judgement) -> str:
    """Return what was measured, or why nothing was."""
    found = judgement.estimate
    return judgement.reason if found is None else in_words(found, judgement.claim.unit)


def in_words(estimate: Estimate, unit: str) -> str:
    """Return an estimate with its interval: 82.80 % [82.49, 83.12], or epoch 8.8 [7.1, 10.5]."""
    largest = max(map(abs, estimate[:3]))
    digits = {"nats": 3, "epoch": 1}.get(unit, 2)
    if 0 < largest < math.inf:  # a difference of nearly nothing is no zero
        digits = max(digits, 1 - math.floor(math.log10(largest)))
    mean, lower, upper = (f"{value:.{digits}f}" for value in estimate[:3])
    number = f"epoch {mean}" if unit == "epoch" else f"{mean} {unit}".strip()
    return f"{number} [{lower}, {upper}]" if estimate.seeds else number


# Tables


def claims_table(judgements: Sequence[Judgement], drawn: Collection[str] = ()) -> Table:
    """Return one row per claim; `drawn` are the figures that there are, to link to."""
    rows = []
    for j in judgements:
        row = {
            "claim": f'<a id="{j.claim.id.lower()}"></a>{j.claim.id}',
            "where": j.claim.where,
            "shown in": _evidence(j.claim, drawn),
            "says": j.claim.says,
            "measured": j.claim.statement,
            "why these bounds": j.claim.criterion.why,
            "result": result(j),
            "undamped Adam": j.undamped and in_words(j.undamped, j.claim.unit),
            "seeds": (j.estimate and j.estimate.seeds) or None,
            "verdict": f"**{j.verdict}**",
            "controlled": str(j.controlled),
            "macro": _macro(j),
            "seeds needed": _seeds(j.seeds_needed),
        }
        rows.append(row)
    return Table(rows)


def _evidence(claim: Claim, drawn: Collection[str]) -> str:
    """Return a link to what shows a claim's number: a figure of the paper, or of the runs."""
    if claim.figure:
        words = f"Figure {claim.figure}"
        seen = FIGURES[claim.figure] in drawn
        return f"[{words}](README.md#figure-{claim.figure})" if seen else words
    path = EVIDENCE.get(max(filter(claim.id.startswith, EVIDENCE), key=len, default=""), "")
    name = path.rpartition("/")[2].partition(".")[0].replace("_", " ")
    page, _, section = path.partition("#")
    there = path in drawn or any(one.startswith(f"{section}/") for one in drawn)
    return f"[{name}]({path})" if there or page == "times.md" else ""


def _macro(j: Judgement) -> str:
    """Return number and verdict with accuracies as means over classes; a dash if both are alike."""
    if j.macro is Verdict.UNTESTABLE or j.macro_estimate == j.estimate:
        return "-" if j.macro is j.verdict else str(j.macro)
    return f"{in_words(j.macro_estimate, j.claim.unit)}: {j.macro}"


def _seeds(needed: float) -> str:
    if math.isnan(needed):
        return ""
    return f"about {math.ceil(needed)}" if math.isfinite(needed) else "no number would do"


def entries_table(entries: Sequence[tuple[str, ...]], *columns: str) -> Table:
    """Return a row an entry, such as those of `CORRECTIONS`."""
    return Table([dict(zip(columns, entry, strict=True)) for entry in entries])
