"""The report's other pages: every claim, every experiment, beyond the paper, times."""

import math
from collections.abc import Collection, Mapping, Sequence

import xarray as xr

from emnist_jax.figures.tables import Table
from experiments._data import FIFTH
from experiments._draw import Section, counted
from experiments._verdicts import Found, by_verdict, claims_table, entries_table, result
from experiments.claims import (
    BEYOND,
    CORRECTIONS,
    REVISED,
    SECTIONS,
    Claim,
    Judgement,
    Verdict,
    judge_all,
)

BACK = "Back to [the answer](README.md)."
ABOUT_CLAIMS = (
    "[The first page](README.md#the-main-claims) explains the verdicts. *Controlled*: the "
    "verdict when of all decided ones no more than 5 % may be false (Benjamini and Hochberg). "
    "*Macro*: the verdict with accuracy as the mean over classes. *Seeds needed*: how many would "
    "decide an undecided claim with a power of .8, were mean and spread as estimated."
)
ABOUT_REVISED = (
    "After the first runs (two seeds of Adam, one minibatch order) and before the present ones: "
    "bounds never moved after the present data were seen. Seeds were added after: the first row."
)
ABOUT_TIMES = (
    "Times of runs as they were made, many beside others on the same device: what a step takes is "
    "in the [benchmarks](../benchmarks/README.md). Only runs in `times/` had a device to "
    "themselves, and claims about times rest on them."
)
ABOUT_BEYOND = (
    "What the paper left open, or compared with too few seeds and unequal budgets, put as claims "
    "and judged in the same way; run by `python -m experiments.beyond`. Rules and networks count "
    "at their best settings, less the luck of choosing these. Intervals are over seeds, that is "
    "over initial weights and the order of minibatches (over weights alone where a section says "
    "shared order; those of budgets over settings too); images and their split are the same in "
    "all. Other validation images would move a difference by up to about 2 sqrt(q / n), where n "
    "is their number and q the share that one network gets right and the other wrong: .5 points "
    "for q = .1, n = 15,800. Times are of runs beside others on the same device."
)
ANSWERED = ("claim", "says", "result", "verdict")
# Attributes of curves that tell where they come from, and how much of each is shown.
ORIGIN = {"rule": 99, "data": 99, "data_hash": 12, "split_hash": 12, "device": 99, "commit": 10}


# Parts of every page


def head(title: str, runs: Mapping[str, xr.Dataset]) -> list[str]:
    """Return a page's title, and a notice if its runs are of glyphs."""
    notice = about_glyphs(runs)
    return [f"# {title}", "", *([f"**{notice}**", ""] if notice else [])]


def about_glyphs(runs: Mapping[str, xr.Dataset]) -> str | None:
    """Return what verdicts on glyphs are not about, or None where the data are others."""
    if {curves.attrs.get("data") for curves in runs.values()} != {"glyphs"}:
        return None
    images = counted(next(iter(runs.values())))
    return (
        "A small demonstration on glyphs, characters that the program draws"
        f"{images and f' ({images})'}: its verdicts are about neither EMNIST nor the paper."
    )


def pictured(path: str, caption: str) -> list[str]:
    """Return a figure with its caption."""
    name = path.rpartition("/")[2].partition(".")[0].replace("_", " ")
    return [f"![{name}]({path})", "", f"*{caption}*", ""]


def tabled(tables: Mapping[str, Table]) -> list[str]:
    """Return tables, each below its name."""
    return [line for name, table in tables.items() for line in (f"{name}:", "", table.markdown())]


def body(section: Section) -> list[str]:
    """Return an experiment's finding, protocol, tables and figures."""
    lines = [line for text in (section.text, section.about) if text for line in (text, "")]
    return lines + tabled(section.tables) + [x for one in section.figures for x in pictured(*one)]


# Pages


def claims_page(found: Found, figures: Collection[int]) -> str:
    """Return every claim with its verdicts, the text's slips, and the definitions changed.

    `figures` are the numbers of the paper's that the first page shows.
    """
    lines = [*head("Every claim", found.runs), BACK, "", ABOUT_CLAIMS, ""]
    judged = {j.claim.id: j for j in found.judged}
    for name, claims in SECTIONS.items():
        table = claims_table([judged[claim.id] for claim in claims], figures)
        lines += [f"## {name}", "", table.markdown()]
    slips = entries_table(CORRECTIONS, "where", "the paper", "what is meant", "how one knows")
    changed = entries_table(REVISED, "claims", "was", "is", "why")
    lines += ["## What the text itself gets wrong", "", slips.markdown()]
    lines += ["## Definitions changed", "", ABOUT_REVISED, "", changed.markdown()]
    return "\n".join(lines)


def experiments_page(runs: Mapping[str, xr.Dataset], sections: Mapping[str, Section]) -> str:
    """Return a section an experiment: finding, how its questions are judged, tables, figures."""
    lines = [*head("Every experiment", runs), BACK, ""]
    for name, section in sections.items():
        lines += [f'<a id="{name}"></a>', "", f"## {section.title}", ""]
        if name in BEYOND:  # those of the paper have a page of their own
            lines += tabled({"Questions": _definitions(BEYOND[name])})
        lines += body(section)
    return "\n".join(lines)


def beyond_page(runs: Mapping[str, xr.Dataset], sections: Mapping[str, Section]) -> str:
    """Return what the paper left open, a screen a question: finding, verdicts, one figure."""
    now, before = _judged_beyond(runs), _judged_beyond(on_fifth(runs))
    answers, parts = [], []
    for name, section in sections.items():
        if name not in BEYOND:
            continue
        tested, small = _tested(now[name]), _tested(before[name])
        if not tested and not small:
            answers.append(f"- **{section.title}** {section.text}")
            continue
        answers.append(f"- **{section.title}** {by_verdict(tested or small, _answer)}.")
        rows = [{key: row[key] for key in ANSWERED} for row in claims_table(now[name]).rows]
        if small:
            for row, j in zip(rows, before[name], strict=True):
                row["on a fifth of the images"] = f"{result(j)}: {j.verdict}" if j.estimate else ""
        parts += [f"## {section.title}", "", section.text, "", Table(rows).markdown()]
        parts += [_changed(now[name], before[name]), ""] if tested and small else []
        parts += [line for one in section.figures[:1] for line in pictured(*one)]
        more = f"How it is measured, tables and figures: [the experiment](experiments.md#{name})."
        parts += [" ".join(filter(None, (section.about, more))), ""]
    top = [*head("Beyond the paper", runs), BACK, "", ABOUT_BEYOND, "", _multiplicity(now), ""]
    return "\n".join([*top, *answers, "", *parts])


def _judged_beyond(runs: Mapping[str, xr.Dataset]) -> dict[str, list[Judgement]]:
    """Return the verdicts on all questions, controlled together, by experiment."""
    judged = iter(judge_all([claim for claims in BEYOND.values() for claim in claims], runs))
    return {name: [next(judged) for _ in claims] for name, claims in BEYOND.items()}


def _definitions(claims: Sequence[Claim]) -> Table:
    """Return how each question is measured and judged."""
    return Table(
        [
            {
                "claim": claim.id,
                "says": claim.says,
                "measured": claim.statement,
                "why these bounds": claim.criterion.why,
            }
            for claim in claims
        ]
    )


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


def _changed(judged: Sequence[Judgement], before: Sequence[Judgement]) -> str:
    """Return what all images instead of a fifth change."""
    both = [(old, new) for old, new in zip(before, judged, strict=True) if old.estimate]
    other = [(old, new) for old, new in both if new.estimate and old.verdict is not new.verdict]
    words = "; ".join(f"{new.claim.id} {old.verdict}, now {new.verdict}" for old, new in other)
    return f"With all images instead of a fifth, {len(other)} of {len(both)} verdicts change" + (
        f": {words}." if other else "."
    )


def times_page(runs: Mapping[str, xr.Dataset]) -> str:
    """Return what each run took, and where."""
    top = [*head("Times and devices", runs), BACK, "", ABOUT_TIMES, ""]
    return "\n".join([*top, runs_table(runs).markdown()])


def _answer(j: Judgement) -> str:
    return f"{j.claim.says} ([{j.claim.id}](#{j.claim.id.lower()}))"


def runs_table(runs: Mapping[str, xr.Dataset]) -> Table:
    """Return a row a run: its size, its times, and where it comes from."""
    rows = []
    for name, curves in sorted(runs.items()):
        if "train_error" in curves:
            settings = [n for dim, n in curves.sizes.items() if dim not in ("seed", "epoch")]
            seconds = curves.attrs.get("wall_seconds")
            row = {
                "run": name,
                "settings": math.prod(settings),
                "seeds": curves.sizes["seed"],
                "epochs": curves.sizes["epoch"] - 1,
                "s an epoch and network": curves.attrs.get("seconds_per_epoch"),
                "minutes": None if seconds is None else seconds / 60,
            }
            origin = {name: str(curves.attrs.get(name, ""))[:end] for name, end in ORIGIN.items()}
            rows.append(row | origin)
    return Table(rows, {"s an epoch and network": ".3g", "minutes": ".1f"})
