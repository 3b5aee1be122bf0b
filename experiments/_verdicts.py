"""Verdicts on claims as tables and sentences."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.stats import two_proportions
from experiments.claims import (
    CORRECTIONS,
    PAPER,
    READINGS,
    SECTIONS,
    Estimate,
    Judgement,
    Verdict,
    judge_reading,
)

Runs = Mapping[str, xr.Dataset]
READING_NAMES = {
    "adam": "Algorithm 1",
    "adam_undamped": "undamped (Adam at 10 eta)",
    "adam_uncorrected": "no bias correction",
    "adam_undamped_uncorrected": "undamped, no bias correction",
    "adam_constant_correction": "moments divided by 1 - b",
}


# Tables


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """Return a row a claim: what the paper says, what was measured, the verdict."""
    rows = [
        {"claim": j.claim.id, "where": j.claim.where, "the paper": j.claim.says}
        | {"measured here": j.claim.measured.words}
        | _bounds_and_result(j)
        | {
            "seeds": (j.estimate and j.estimate.seeds) or None,
            "undamped Adam": j.undamped and in_words(j.undamped, j.claim.unit),
            "verdict": f"**{j.verdict}**",
        }
        for j in judgements
    ]
    return Table(rows)


def questions_table(judgements: Sequence[Judgement]) -> Table:
    """Return a row a question beyond the paper: the answer put to the test, and the verdict."""
    rows = [
        {"question": j.claim.id, "answer put to the test": j.claim.says}
        | {"measured": j.claim.measured.words}
        | _bounds_and_result(j)
        | {"verdict": f"**{j.verdict}**"}
        for j in judgements
    ]
    return Table(rows)


def _bounds_and_result(j: Judgement) -> dict[str, str]:
    about = j.claim.criterion
    return {"bounds": about.words, "why these": about.why, "result": result(j)}


def readings_table(runs: Runs) -> Table:
    """Return each claim about Adam, or of networks trained by it, under each reading of Adam."""
    rows = []
    for claim in (one for one in PAPER if one.any_adam or one in SECTIONS["Adam"]):
        found = {reading: judge_reading(claim, runs, reading) for reading in READINGS}
        held = [READING_NAMES[r] for r, j in found.items() if j.verdict is Verdict.HOLDS]
        tested = any(j.estimate for j in found.values())
        cells = {
            READING_NAMES[r]: j.estimate and f"{in_words(j.estimate, claim.unit)}: {j.verdict}"
            for r, j in found.items()
        }
        matched = "; ".join(held) or ("none" if tested else "not testable")
        row = {"claim": claim.id, "the paper": claim.says, "bounds": claim.criterion.words}
        rows.append(row | cells | {"matched by": matched})
    return Table(rows)


def corrections_table() -> Table:
    """Return the mistakes of the text, each with how one knows."""
    rows = []
    for where, paper, meant, why in CORRECTIONS:
        if paper.startswith("87.44"):
            z = float(two_proportions(0.8744, 15_800, 0.871, 15_800).z)
            why = f"{why}: z = {z:.2f}, within noise"
        row = {"where": where, "the paper": paper, "what is meant or true": meant}
        rows.append(row | {"how one knows": why})
    return Table(rows)


# Sentences


def count(judgements: Sequence[Judgement]) -> str:
    """Return how many claims there are with each verdict."""
    counts = Counter(judgement.verdict for judgement in judgements)
    found = ", ".join(f"{counts[verdict]} {_plural(verdict)}" for verdict in Verdict)
    return f"**{len(judgements)} claims**: {found}."


def summary(judgements: Sequence[Judgement], runs: Runs) -> list[str]:
    """Return ten lines: what stands and falls in each section, which Adam, the text's slips."""
    found = {judgement.claim.id: judgement for judgement in judgements}
    lines = [
        f"**{name}.** {stands_and_falls([found[claim.id] for claim in claims])}"
        for name, claims in SECTIONS.items()
    ]
    slips = "; ".join(f"{paper} ({meant})" for _, paper, meant, _ in CORRECTIONS[:4])
    return [
        *lines,
        f"**Which Adam?** {which_adam(runs)}",
        f"**The text itself** slips {len(CORRECTIONS)} times, as it alone shows, such as: {slips}; "
        "all are [below](#what-the-text-itself-gets-wrong).",
    ]


def stands_and_falls(judgements: Sequence[Judgement], name_all: bool = False) -> str:
    """Return what falls in words with what was measured, what is undecided by name.

    With `name_all` also what holds: answers to open questions are worth reading either way.
    """
    tested = [j for j in judgements if j.verdict is not Verdict.UNTESTABLE]
    if not tested:
        return f"Not testable: {judgements[0].reason}."
    stands = sum(j.verdict is Verdict.HOLDS for j in tested)
    parts = [f"{stands} of {len(tested)} tested claims hold."]
    named = (Verdict.FAILS, Verdict.UNDAMPED)
    for verdict in (Verdict.HOLDS, *named) if name_all else named:
        of = [j for j in tested if j.verdict is verdict]
        if of:
            words = "; ".join(f"{j.claim.says} ({j.claim.id}: {_means(j)})" for j in of)
            parts.append(f"{verdict.value.capitalize()}: {words}.")
    undecided = [j for j in tested if j.verdict is Verdict.UNDECIDED]
    if undecided:
        seeds = sorted({j.estimate.seeds for j in undecided})
        having = f" with {' or '.join(map(str, seeds))} seeds" if all(seeds) else ""
        parts.append(f"Undecided{having}: {', '.join(j.claim.id for j in undecided)}.")
    return " ".join(parts)


def which_adam(runs: Runs) -> str:
    """Return for each reading how many claims hold, of those that every reading was run for."""
    held: dict[str, set[str]] = {}
    tested: dict[str, set[str]] = {}
    for reading in READINGS:
        judged = [judge_reading(c, runs, reading) for c in PAPER if c.any_adam]
        ids = {j.claim.id for j in judged if j.verdict is not Verdict.UNTESTABLE}
        if ids:
            tested[reading] = ids
            held[reading] = {j.claim.id for j in judged if j.verdict is Verdict.HOLDS}
    if not tested:
        return "Not testable: no run with Adam."
    both = [reading for reading in READINGS[:2] if reading in tested]
    groups = [both] * bool(both) + [list(tested)] * (len(tested) > len(both))
    parts = []
    for readings in groups:
        common = set.intersection(*(tested[reading] for reading in readings))
        found = "; ".join(f"{READING_NAMES[r]} {len(held[r] & common)}" for r in readings)
        parts.append(f"Of {len(common)} tested under each of these: {found}")
    return (
        f"Claims that depend on how Adam was implemented, and how many hold: {'. '.join(parts)}. "
        "Without the factor (1 - b1) = .1 Adam takes steps ten times as long."
    )


def _plural(verdict: Verdict) -> str:
    return verdict.replace("holds", "hold").replace("does", "do")


# Numbers


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


def _means(judgement: Judgement) -> str:
    """Return the mean alone; under both rules where they differ in verdict."""
    both = judgement.verdict is Verdict.UNDAMPED
    found = [judgement.estimate, judgement.undamped] if both else [judgement.estimate]
    words = [in_words(one._replace(seeds=0), judgement.claim.unit) for one in found]
    return " as printed, undamped ".join(words)
