"""Claims as rows of a table: what was measured, the verdict, and a link to what shows it."""

import math
from collections.abc import Collection, Sequence

from emnist_jax.figures.tables import Table
from experiments._verdicts import in_words, result
from experiments.claims.criteria import Verdict
from experiments.claims.judge import Claim, Judgement

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
