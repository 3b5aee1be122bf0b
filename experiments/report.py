"""The report: verdicts, tables and figures as one Markdown page, from curves alone."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.stats import two_proportions
from experiments.claims import (
    BEYOND,
    CORRECTIONS,
    PAPER,
    READINGS,
    Claim,
    Estimate,
    Judgement,
    Verdict,
    judge,
    judge_reading,
)
from experiments.claims.paper import SECTIONS

READING_NAMES = {
    "adam": "Algorithm 1",
    "adam_undamped": "undamped (Adam at 10 eta)",
    "adam_uncorrected": "no bias correction",
    "adam_undamped_uncorrected": "undamped, no bias correction",
    "adam_constant_correction": "moments divided by 1 - b",
}


class Section(NamedTuple):
    """What the report shows of an experiment."""

    title: str
    tables: Mapping[str, Table]  # by caption
    figures: Sequence[tuple[str, str]]  # path relative to the report, caption
    text: str = ""


def report(
    datasets: Mapping[str, xr.Dataset],
    sections: Sequence[Section],
    beyond: Mapping[str, Section] | None = None,
) -> str:
    """Return the report as Markdown.

    Args:
        datasets: curves and test results by the name of their experiment.
        sections: figures and tables, in the order to show them.
        beyond: the same by experiment, of those whose questions are in `claims.BEYOND`.
    """
    judgements = [judge(claim, datasets) for claim in PAPER]
    lines = [
        "# The paper's claims, measured",
        "",
        "Made from the curves in this folder alone, by `python -m experiments.paper --report-only`;"
        " do not edit. Verdicts are computed: a claim *holds* when the 95 % interval over seeds of "
        "what is measured lies within its bounds, *does not hold* when it lies outside, and is "
        "*undecided* when a bound lies in the interval. A diverged network counts as guessing.",
        "",
        *_data_lines(datasets),
        "",
        "## Summary",
        "",
        _count(judgements),
        "",
        *(f"{i}. {line}" for i, line in enumerate(summary(judgements, datasets), 1)),
        "",
        "## Claims",
        "",
        claims_table(judgements).markdown(),
        "## What the text itself gets wrong",
        "",
        corrections_table().markdown(),
    ]
    for section in sections:
        lines += _section_lines(section, "##")
    lines += _beyond_lines(datasets, beyond) if beyond else []
    lines += ["## Times and devices", "", runs_table(datasets).markdown()]
    return "\n".join(lines)


def _section_lines(section: Section, level: str) -> list[str]:
    lines = [f"{level} {section.title}", ""]
    lines += [section.text, ""] if section.text else []
    for caption, table in section.tables.items():
        lines += [caption, "", table.markdown()]
    for path, caption in section.figures:
        lines += [f"![{caption}]({path})", "", f"*{caption}*", ""]
    return lines


def _beyond_lines(datasets: Mapping[str, xr.Dataset], sections: Mapping[str, Section]) -> list[str]:
    """Return the part on what the paper left open: verdicts of all, then each experiment."""
    told, parts = [], []
    for name, section in sections.items():
        judged = [judge(question, datasets) for question in BEYOND[name]]
        if all(j.verdict is Verdict.UNTESTABLE for j in judged):
            told.append(f"- **{section.title}** {section.text}")
            continue
        told.append(f"- **{section.title}** {_stands_and_falls(judged, name_all=True)}")
        first, *rest = _section_lines(section, "###")
        parts += [first, "", questions_table(judged).markdown(), *rest[1:]]
    return [
        "## Beyond the paper",
        "",
        "What it left open, or compared with too few seeds and unequal budgets, put as claims and "
        "judged in the same way; run by `python -m experiments.beyond`. Rules and networks count "
        "at their best settings, which for each seed are chosen on the other seeds. Intervals are "
        "over seeds, that is over initial weights (those of budgets over settings too); images, "
        "their split and the order of minibatches are the same in all. Other validation images "
        "would move a difference by up to about 2 sqrt(q / n), where n is their number and q the "
        "share that one network gets right and the other wrong: 1.1 points for q = .1, n = 3,160.",
        "",
        *told,
        "",
        *parts,
    ]


def _count(judgements: Sequence[Judgement]) -> str:
    """Return how many claims there are with each verdict."""
    counts = Counter(judgement.verdict for judgement in judgements)
    told = ", ".join(f"{counts[verdict]} {_plural(verdict)}" for verdict in Verdict)
    return f"**{len(judgements)} claims**: {told}."


def summary(judgements: Sequence[Judgement], datasets: Mapping[str, xr.Dataset]) -> list[str]:
    """Return ten lines: what stands and falls in each section, which Adam, the text's slips."""
    found = {judgement.claim.id: judgement for judgement in judgements}
    lines = [
        f"**{name}.** {_stands_and_falls([found[claim.id] for claim in claims])}"
        for name, claims in SECTIONS.items()
    ]
    slips = "; ".join(f"{said} ({meant})" for _, said, meant, _ in CORRECTIONS[:4])
    return [
        *lines,
        f"**Which Adam?** {_which_adam(datasets)}",
        f"**The text itself** slips {len(CORRECTIONS)} times, as it alone shows, such as: {slips}; "
        "all are [below](#what-the-text-itself-gets-wrong).",
    ]


def _plural(verdict: Verdict) -> str:
    return verdict.replace("holds", "hold").replace("does", "do")


def _stands_and_falls(judgements: Sequence[Judgement], name_all: bool = False) -> str:
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
        told = [
            f"{j.claim.says} ({j.claim.id}: {_means(j)})" for j in tested if j.verdict is verdict
        ]
        if told:
            parts.append(f"{verdict.value.capitalize()}: {'; '.join(told)}.")
    open_ = [j for j in tested if j.verdict is Verdict.UNDECIDED]
    if open_:
        seeds = sorted({j.estimate.seeds for j in open_})
        having = f" with {' or '.join(map(str, seeds))} seeds" if all(seeds) else ""
        parts.append(f"Undecided{having}: {', '.join(j.claim.id for j in open_)}.")
    return " ".join(parts)


def _which_adam(datasets: Mapping[str, xr.Dataset]) -> str:
    """Return for each reading how many claims hold, of those that every reading was run for."""
    held: dict[str, set[str]] = {}
    tested: dict[str, set[str]] = {}
    for reading in READINGS:
        judged = [judge_reading(c, datasets, reading) for c in PAPER if c.any_adam]
        ids = {j.claim.id for j in judged if j.verdict is not Verdict.UNTESTABLE}
        if ids:
            tested[reading] = ids
            held[reading] = {j.claim.id for j in judged if j.verdict is Verdict.HOLDS}
    if not tested:
        return "Not testable: no run with Adam."
    both = [reading for reading in READINGS[:2] if reading in tested]
    parts = [_holding(both, tested, held)] if both else []
    if len(tested) > len(both):
        parts.append(_holding(list(tested), tested, held))
    return (
        f"Claims that depend on how Adam was implemented, and how many hold: {'. '.join(parts)}. "
        "Without the factor (1 - b1) = .1 Adam takes steps ten times as long."
    )


def _holding(
    readings: Sequence[str], tested: Mapping[str, set[str]], held: Mapping[str, set[str]]
) -> str:
    """Return how many of the claims tested under all these readings hold under each."""
    common = set.intersection(*(tested[reading] for reading in readings))
    told = "; ".join(f"{READING_NAMES[r]} {len(held[r] & common)}" for r in readings)
    return f"Of {len(common)} tested under each of these: {told}"


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """Return a row a claim: what the paper says, what was measured, the verdict."""
    header = ["claim", "where", "the paper", "measured here", "bounds", "why these", "result"]
    header += ["seeds", "undamped Adam", "verdict"]
    rows = [
        [
            j.claim.id,
            j.claim.where,
            j.claim.says,
            j.claim.statement,
            bounds(j.claim),
            j.claim.criterion.why,
            _measured(j),
            str(j.estimate.seeds or "") if j.estimate else "",
            _interval(j.undamped, j.claim.unit) if j.undamped else "",
            f"**{j.verdict}**",
        ]
        for j in judgements
    ]
    return Table(header, rows)


def questions_table(judgements: Sequence[Judgement]) -> Table:
    """Return a row a question beyond the paper: the answer put to the test, and the verdict."""
    header = ["question", "answer put to the test", "measured", "bounds", "why these", "result"]
    rows = [
        [
            j.claim.id,
            j.claim.says,
            j.claim.statement,
            bounds(j.claim),
            j.claim.criterion.why,
            _measured(j),
            f"**{j.verdict}**",
        ]
        for j in judgements
    ]
    return Table([*header, "verdict"], rows)


def readings_table(datasets: Mapping[str, xr.Dataset]) -> Table:
    """Return each claim about Adam, or of networks trained by it, under each reading of Adam."""
    rows = []
    for claim in PAPER:
        if not (claim.any_adam or claim in SECTIONS["Adam"]):
            continue
        found = [judge_reading(claim, datasets, reading) for reading in READINGS]
        cells = [
            f"{_interval(j.estimate, claim.unit)}: {j.verdict}" if j.estimate else "" for j in found
        ]
        match = [
            READING_NAMES[r]
            for r, j in zip(READINGS, found, strict=True)
            if j.verdict is Verdict.HOLDS
        ]
        tested = any(j.estimate for j in found)
        rows.append(
            [
                claim.id,
                claim.says,
                bounds(claim),
                *cells,
                "; ".join(match) or ("none" if tested else "not testable"),
            ]
        )
    return Table(["claim", "the paper", "bounds", *READING_NAMES.values(), "matched by"], rows)


def corrections_table() -> Table:
    """Return the mistakes of the text, each with how one knows."""
    rows = [list(row) for row in CORRECTIONS]
    images = 15_800
    z = float(two_proportions(0.8744, images, 0.871, images).z)
    for row in rows:
        if row[1].startswith("87.44"):
            row[3] += f": z = {z:.2f}, within noise"
    return Table(["where", "the paper", "what is meant or true", "how one knows"], rows)


def runs_table(datasets: Mapping[str, xr.Dataset]) -> Table:
    """Return a row a run: its size, its times, its device and its code."""
    header = ["run", "rule", "settings", "seeds", "epochs", "s an epoch and network", "minutes"]
    header += ["device", "commit"]
    rows = []
    for name, curves in sorted(datasets.items()):
        if "epoch" not in curves.dims:
            continue
        sizes = dict(curves.sizes)
        seeds, epochs = sizes.pop("seed"), sizes.pop("epoch") - 1
        attrs = curves.attrs
        rows.append(
            [
                name,
                str(attrs.get("rule", "")),
                str(math.prod(sizes.values())),
                str(seeds),
                str(epochs),
                f"{attrs['seconds_per_epoch']:.3g}" if "seconds_per_epoch" in attrs else "",
                f"{attrs['wall_seconds'] / 60:.1f}" if "wall_seconds" in attrs else "",
                str(attrs.get("device", "")),
                str(attrs.get("commit", ""))[:10],
            ]
        )
    return Table(header, rows)


def describe(datasets: Sequence[xr.Dataset]) -> str:
    """Return the data, seeds and protocol of an experiment's curves, for captions."""
    first = datasets[0]
    counts: dict[str, set[str]] = {}
    for d in datasets:
        counts.setdefault(str(d.attrs.get("data", "unknown")), set()).add(_images(d))
    # Test results do not count the images of training; the curves beside them do.
    data = " and ".join(
        f"{name} ({count})" if count else name
        for name, known in sorted(counts.items())
        for count in sorted(known - {""}) or [""]
    )
    numbers = {
        name: sorted({d.sizes[name] for d in datasets if name in d.dims})
        for name in ("seed", "epoch")
    }
    seeds, epochs = (
        " or ".join(map(str, v)) for v in (numbers["seed"], [n - 1 for n in numbers["epoch"]])
    )
    parts = [f"Data: {data}", f"seeds: {seeds}", f"epochs: {epochs}"]
    if "batch_size" in first.attrs:
        parts.append(f"minibatch {first.attrs['batch_size']}")
    return "; ".join(parts) + "."


def _data_lines(datasets: Mapping[str, xr.Dataset]) -> list[str]:
    keys = ("data", "data_hash", "split_hash")
    seen = {}
    for curves in datasets.values():
        of = tuple(str(curves.attrs.get(key, "unknown")) for key in keys)
        seen[of] = seen.get(of) or _images(curves)
    lines = [
        f"Data: `{name}` ({images}{'; ' * bool(images)}contents {data[:12]}, split {split[:12]})."
        for (name, data, split), images in sorted(seen.items())
    ]
    return [
        *lines,
        "The paper's data are EMNIST Balanced, pooled and split anew; verdicts are about"
        " the data named here.",
    ]


def _images(curves: xr.Dataset) -> str:
    """Return in words how many images the networks learned from and were validated on."""
    counts = [
        curves.attrs.get(f"{part}_images") or _denominator(curves.get(f"{part}_accuracy"))
        for part in ("train", "valid")
    ]
    if not all(counts):
        return ""
    return f"{counts[0]:,} training, {counts[1]:,} validation images"


def _denominator(accuracy: xr.DataArray | None) -> int | None:
    """Return the number of images that accuracies are shares of, for curves that do not record it.

    It is the least n that makes them all whole; None if none does, or they are too few to tell.
    """
    if accuracy is None or accuracy.dtype != np.float32:  # as a sweep computes them
        return None
    shares = np.unique(accuracy)
    shares = shares[np.isfinite(shares)].astype(float)
    if len(shares) < 20:
        return None
    n = np.arange(1, 200_001)
    for share in shares:
        n = n[abs(share * n - np.round(share * n)) < 1e-7 * n]  # what float32 leaves open
    return int(n[0]) if len(n) else None


def bounds(claim: Claim) -> str:
    """Return a claim's bounds in words."""
    ends = claim.criterion.low, claim.criterion.high
    low, high = (f"{value:.4g}" for value in ends)
    if math.isinf(ends[1]):
        return f"above {low}"
    if math.isinf(ends[0]):
        return f"below {high}"
    return f"{low} to {high}"


def _measured(judgement: Judgement) -> str:
    if judgement.estimate is None:
        return judgement.reason
    return _interval(judgement.estimate, judgement.claim.unit)


def _interval(estimate: Estimate, unit: str) -> str:
    largest = max(map(abs, estimate[:3]))
    digits = 3 if unit == "nats" else 2
    if 0 < largest < math.inf:  # a difference of nearly nothing is no zero
        digits = max(digits, 1 - math.floor(math.log10(largest)))
    mean, lower, upper = (f"{value:.{digits}f}" for value in estimate[:3])
    sign = " %" if unit == "%" else f" {unit}"
    return f"{mean}{sign} [{lower}, {upper}]" if estimate.seeds else f"{mean}{sign}"


def _means(judgement: Judgement) -> str:
    """Return the mean alone; under both rules where they differ in verdict."""
    found = [judgement.estimate]
    if judgement.verdict is Verdict.UNDAMPED:
        found.append(judgement.undamped)
    told = [_interval(one._replace(seeds=0), judgement.claim.unit) for one in found]
    return " as printed, undamped ".join(told)
