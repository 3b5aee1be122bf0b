"""The verdicts on the paper's claims, judged once for all pages, in words."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from experiments._experiment import Results
from experiments.claims.criteria import Estimate, Verdict
from experiments.claims.judge import Judgement, by_reading, judge_all
from experiments.claims.paper import PAPER
from experiments.claims.runs import READINGS

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
