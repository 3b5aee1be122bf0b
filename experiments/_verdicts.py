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
    Estimate,
    Judgement,
    Verdict,
    held_by_reading,
    judge_all,
)

READING_NAMES = {
    "adam": "Algorithm 1",
    "adam_undamped": "undamped (Adam at 10 eta)",
    "adam_uncorrected": "no bias correction",
    "adam_undamped_uncorrected": "undamped, no bias correction",
    "adam_constant_correction": "moments divided by 1 - b",
}


class Found(NamedTuple):
    """What runs say of the paper's claims.

    Attributes:
        runs: curves and test results by their folder.
        judged: the verdict on every claim.
        held: for each reading of Adam how many claims hold, and how many were tested.
    """

    runs: Results
    judged: Sequence[Judgement]
    held: Mapping[str, tuple[int, int]]

    @property
    def fitting(self) -> str:
        """The reading under which most claims hold, of those other than the printed one."""
        return max(READINGS[1:], key=lambda reading: self.held[reading][0])


PLURAL = {
    Verdict.HOLDS: "hold",
    Verdict.FAILS: "do not hold",
    Verdict.UNDAMPED: "hold only for the undamped rule",
}


def find(runs: Results) -> Found:
    """Return the verdicts on all claims of the paper."""
    return Found(runs, judge_all(PAPER, runs), held_by_reading(PAPER, runs))


def count(verdicts: Iterable[Verdict]) -> str:
    """Return how many claims have each verdict: 3 hold, 1 does not hold, ..."""
    counts = Counter(verdicts)
    words = {one: PLURAL.get(one, one) if counts[one] != 1 else one for one in Verdict}
    return ", ".join(f"{counts[one]} {words[one]}" for one in Verdict)


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
    """Return an estimate with its interval: 82.80 % [82.49, 83.12]."""
    largest = max(map(abs, estimate[:3]))
    digits = 3 if unit == "nats" else 2
    if 0 < largest < math.inf:  # a difference of nearly nothing is no zero
        digits = max(digits, 1 - math.floor(math.log10(largest)))
    mean, lower, upper = (f"{value:.{digits}f}" for value in estimate[:3])
    return f"{mean} {unit} [{lower}, {upper}]" if estimate.seeds else f"{mean} {unit}"


# Tables


def claims_table(judgements: Sequence[Judgement], figures: Collection[int] = ()) -> Table:
    """Return one row per claim; `figures` are those of the paper's that the first page shows."""
    rows = []
    for j in judgements:
        where, figure = j.claim.where, f"Figure {j.claim.figure}"
        if j.claim.figure in figures:
            figure = f"[{figure}](README.md#figure-{j.claim.figure})"
        row = {
            "claim": f'<a id="{j.claim.id.lower()}"></a>{j.claim.id}',
            "where": f"{where}, {figure}" if j.claim.figure else where,
            "says": j.claim.says,
            "measured": j.claim.statement,
            "why these bounds": j.claim.criterion.why,
            "result": result(j),
            "undamped Adam": j.undamped and in_words(j.undamped, j.claim.unit),
            "seeds": (j.estimate and j.estimate.seeds) or None,
            "verdict": f"**{j.verdict}**",
            "controlled": str(j.controlled),
            "macro": str(j.macro),
            "seeds needed": _seeds(j.seeds_needed),
        }
        rows.append(row)
    return Table(rows)


def _seeds(needed: float) -> str:
    if math.isnan(needed):
        return ""
    return f"about {math.ceil(needed)}" if math.isfinite(needed) else "no number would do"


def entries_table(entries: Sequence[tuple[str, ...]], *columns: str) -> Table:
    """Return a row an entry, such as those of `CORRECTIONS`."""
    return Table([dict(zip(columns, entry, strict=True)) for entry in entries])
