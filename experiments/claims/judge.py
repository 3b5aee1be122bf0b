"""How claims are judged: one by one, under each reading of Adam, and all together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import xarray as xr

from experiments.claims.criteria import Criterion, Estimate, Verdict
from experiments.claims.measures import estimate
from experiments.claims.quantities import Measured
from experiments.claims.runs import READINGS, NotTestable, Runs

FALSE_DISCOVERIES = 0.05  # the share of decided verdicts that may be wrong
SECTION_OF = {"D": 1, "B": 2, "R": 3, "A": 3, "N": 4, "C": 5, "T": 6, "F": 7}  # by a row's letter


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and how to test it.

    Attributes:
        id: row of the protocol and a letter; a 2 marks another reading of the same text.
        says: what the paper claims, in other words than its own.
        measured: what is measured.
        criterion: where its number has to lie.
        figure: of the paper that shows it; 0 if none does.
        section: where it is made, if not in the section of its row.
    """

    id: str
    says: str
    measured: Measured
    criterion: Criterion
    figure: int = 0
    section: str = ""

    @property
    def where(self) -> str:
        """The section in which it is made."""
        number = SECTION_OF.get(self.id[0])
        return self.section or (f"Section {number}" if number else "further work")

    @property
    def statement(self) -> str:
        """What is measured, and where it has to lie."""
        return f"{self.measured.words}, is {self.criterion.words}"

    @property
    def unit(self) -> str:
        """Unit of the number."""
        return self.measured.unit

    @property
    def any_adam(self) -> bool:
        """Whether it depends on which implementation of Adam is meant."""
        return self.measured.any_adam


class Judgement(NamedTuple):
    """The verdict on a claim, and what it rests on.

    Attributes:
        claim: what was judged.
        verdict: what the 95 % interval says.
        estimate: of the claim's number, Adam as printed; None where it was not testable.
        undamped: the same with the undamped rule, for claims that depend on it.
        reason: why it was not testable.
        p: p value of the verdict (see `Criterion.p`); NaN for numbers that are none of seeds.
        controlled: the verdict once false discoveries over all claims are controlled.
        macro: the verdict with accuracies as means over classes, and the number so.
        seeds_needed: for an undecided claim, the seeds that decide it with a power of .8.
    """

    claim: Claim
    verdict: Verdict
    estimate: Estimate | None = None
    undamped: Estimate | None = None
    reason: str = ""
    p: float = math.nan
    controlled: Verdict = Verdict.UNTESTABLE
    macro: Verdict = Verdict.UNTESTABLE
    macro_estimate: Estimate | None = None
    seeds_needed: float = math.nan


def judge_reading(
    claim: Claim, datasets: Mapping[str, xr.Dataset], reading: str, macro: bool = False
) -> Judgement:
    """Return the verdict on a claim under one reading of Adam."""
    runs, measured, criterion = Runs(datasets, reading, macro), claim.measured, claim.criterion
    try:
        like = measured.like and partial(measured.like, runs)
        found = estimate(measured.of(runs), like, **measured.at)
    except NotTestable as reason:
        return Judgement(claim, Verdict.UNTESTABLE, reason=str(reason))
    verdict = criterion.verdict(found)
    p = criterion.p(found) if found.seeds else math.nan
    return Judgement(claim, verdict, found, p=p, controlled=verdict)


def judge(claim: Claim, datasets: Mapping[str, xr.Dataset], macro: bool = False) -> Judgement:
    """Return the verdict on a claim.

    It holds when the 95 % interval over seeds lies within the claim's bounds, it does not when the
    interval lies outside, and is undecided when a bound lies in the interval. A claim about Adam
    that does not hold for Algorithm 1 is tried with the undamped rule.
    """
    plain = judge_reading(claim, datasets, "adam", macro)
    if not claim.any_adam:
        return plain
    other = judge_reading(claim, datasets, "adam_undamped", macro)
    found = plain._replace(undamped=other.estimate)
    if plain.verdict is Verdict.FAILS and other.verdict is Verdict.HOLDS:
        return found._replace(
            verdict=Verdict.UNDAMPED, controlled=Verdict.UNDAMPED, p=max(plain.p, other.p)
        )
    return found


def judge_all(claims: Sequence[Claim], datasets: Mapping[str, xr.Dataset]) -> list[Judgement]:
    """Return all verdicts, also under control of false discoveries and with macro accuracy.

    A decision whose p value, adjusted over all claims with one (Benjamini and Hochberg 1995),
    exceeds .05 becomes undecided. An undecided claim gets the number of seeds it needs.
    """
    from scipy.stats import false_discovery_control

    found = [judge(claim, datasets) for claim in claims]
    tested = [i for i, j in enumerate(found) if not math.isnan(j.p)]
    if tested:
        adjusted = false_discovery_control([found[i].p for i in tested])
        for i, p in zip(tested, adjusted, strict=True):
            if p > FALSE_DISCOVERIES:
                found[i] = found[i]._replace(controlled=Verdict.UNDECIDED)
    macro = [judge(claim, datasets, macro=True) for claim in claims]
    return [
        j._replace(macro=m.verdict, macro_estimate=m.estimate, seeds_needed=_needed(j))
        for j, m in zip(found, macro, strict=True)
    ]


def _needed(judgement: Judgement) -> float:
    if judgement.verdict is not Verdict.UNDECIDED or not judgement.estimate.seeds:
        return math.nan
    return judgement.claim.criterion.seeds_needed(judgement.estimate)


def by_reading(
    claims: Sequence[Claim], datasets: Mapping[str, xr.Dataset]
) -> dict[str, dict[str, Verdict]]:
    """Return for each reading of Adam the verdicts by claim, of those that it was run for.

    Only claims that depend on the reading count: what has b1 = 0 is the same under all.
    """
    about = [claim for claim in claims if claim.any_adam]
    found = {r: {c.id: judge_reading(c, datasets, r).verdict for c in about} for r in READINGS}
    return {
        reading: {name: one for name, one in of.items() if one is not Verdict.UNTESTABLE}
        for reading, of in found.items()
    }


class ForestRow(NamedTuple):
    """A claim's mean and interval, 0 the paper's number, -1 and 1 the claim's bounds."""

    claim: Claim
    printed: tuple[float, float, float] | None
    fitting: tuple[float, float, float] | None  # under the reading of Adam that fits best


def forest(
    judged: Iterable[Judgement], datasets: Mapping[str, xr.Dataset], reading: str = "adam_undamped"
) -> list[ForestRow]:
    """Return (measured - paper) / tolerance of every testable claim with a number of the paper.

    `reading` is the one that holds most claims (see `by_reading`).
    """
    rows = []
    for claim, printed in ((j.claim, j.estimate) for j in judged if j.claim.criterion.numeric):
        other = judge_reading(claim, datasets, reading).estimate if claim.any_adam else None
        scaled = [one and claim.criterion.scaled(one) for one in (printed, other)]
        if any(scaled):
            rows.append(ForestRow(claim, *scaled))
    return rows
