"""The report's page beyond the paper: a screen a question."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from emnist_jax.figures.tables import Table
from experiments._claims_table import claims_table
from experiments._data import FIFTH
from experiments._draw import Section
from experiments._pages import BACK, head, pictured
from experiments._verdicts import by_verdict, result
from experiments.claims.beyond import BEYOND
from experiments.claims.criteria import Verdict
from experiments.claims.judge import Judgement, judge_all

ABOUT_BEYOND = (
    "What the paper left open, or compared with too few seeds and unequal budgets, put as claims "
    "and judged in the same way; run by `python -m experiments.beyond`. Rules and networks count "
    "at their best settings, less the luck of choosing these. Intervals are over seeds, that is "
    "over initial weights and the order of minibatches (those of budgets over settings too), for "
    "the settings tried and one split of the images. The best and the worst of several rules are "
    "picked by the means that they are compared by. Other validation images would move a "
    "difference by up to about 2 sqrt(q / n), where n is their number and q the share that one "
    "network gets right and the other wrong: .5 points for q = .1, n = 15,800. On a fifth of the "
    "images networks have as many epochs, so a fifth of the updates; where the intervals of a "
    "changed verdict overlap, the change may be chance. Times are of runs beside others on the "
    "same device, and count each in full."
)
ANSWERED = ("claim", "says", "result", "verdict")
PART = "on a fifth of the training images"


def beyond_page(runs: Mapping[str, xr.Dataset], sections: Mapping[str, Section]) -> str:
    """Return what the paper left open, a screen a question: finding, verdicts, one figure."""
    asked = {name: section for name, section in sections.items() if name in BEYOND}
    now = _judged(runs, [name for name, one in asked.items() if one.figures and not one.part])
    before = _judged(on_fifth(runs), asked)
    answers, parts = [], []
    for name, section in asked.items():
        title = ", ".join(filter(None, (section.title, section.part)))
        if not (judged := now.get(name) or _tested(before[name])):
            answers.append(f"- **{title}** {section.text}")
            continue
        answers.append(f"- **{title}** {by_verdict(_tested(judged), _answer)}.")
        rows = [{key: row[key] for key in ANSWERED} for row in claims_table(judged).rows]
        changed = []
        if name in now and _tested(before[name]):
            small = {j.claim.id: j for j in before[name]}
            for row, j in zip(rows, judged, strict=True):
                few = small[j.claim.id]
                row[PART] = f"{result(few)}: {few.verdict}" if few.estimate else ""
            changed = [_changed(judged, small), ""]
        parts += [f"## {title}", "", section.text, "", Table(rows).markdown(), *changed]
        parts += [line for one in section.figures[:1] for line in pictured(*one)]
        more = f"How it is measured, tables and figures: [the experiment](experiments.md#{name})."
        parts += [" ".join(filter(None, (section.about, more))), ""]
    top = [*head("Beyond the paper", runs), BACK, "", ABOUT_BEYOND, "", _multiplicity(now), ""]
    return "\n".join([*top, *answers, "", *parts])


def _judged(
    runs: Mapping[str, xr.Dataset], experiments: Iterable[str]
) -> dict[str, list[Judgement]]:
    """Return the verdicts on some questions, controlled together, by experiment."""
    of = {name: BEYOND[name] for name in experiments}
    judged = iter(judge_all([claim for claims in of.values() for claim in claims], runs))
    return {name: [next(judged) for _ in claims] for name, claims in of.items()}


def _multiplicity(judged: Mapping[str, Sequence[Judgement]]) -> str:
    """Return which verdicts fall where false discoveries over all questions are controlled."""
    found = [j for of in judged.values() for j in _tested(of)]
    lost = [j.claim.id for j in found if j.verdict is not j.controlled]
    return (
        f"{len(found)} verdicts stand together here. If of all decided ones no more than 5 % may "
        f"be false (Benjamini and Hochberg), {', '.join(lost) or 'none'} "
        f"{'become' if len(lost) > 1 else 'becomes'} undecided."
    )


def on_fifth(runs: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return the runs on a fifth of the training images, named as those on all."""
    return {name.removeprefix(FIFTH): one for name, one in runs.items() if name.startswith(FIFTH)}


def _tested(judged: Sequence[Judgement]) -> list[Judgement]:
    return [j for j in judged if j.verdict is not Verdict.UNTESTABLE]


def _changed(judged: Sequence[Judgement], small: Mapping[str, Judgement]) -> str:
    """Return which verdicts are others than on a fifth of the images."""
    pairs = [(small[j.claim.id], j) for j in judged]
    both = [(old, new) for old, new in pairs if old.estimate and new.estimate]
    other = [(old, new) for old, new in both if old.verdict is not new.verdict]
    words = "; ".join(
        f"{new.claim.id} {old.verdict}, now {new.verdict}{_overlap(old, new)}" for old, new in other
    )
    return f"Of {len(both)} verdicts {len(other)} are others than on a fifth of the images" + (
        f": {words}." if other else "."
    )


def _overlap(old: Judgement, new: Judgement) -> str:
    """Return whether intervals overlap, in words; those without upper ends always would."""
    a, b = old.estimate, new.estimate
    both = a.lower <= b.upper and b.lower <= a.upper and np.isfinite(min(a.upper, b.upper))
    return " (intervals overlap)" * bool(both)


def _answer(j: Judgement) -> str:
    return f"{j.claim.says} ([{j.claim.id}](#{j.claim.id.lower()}))"
