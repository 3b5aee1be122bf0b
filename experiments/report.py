"""The report: verdicts, tables and figures as one Markdown page, from curves alone."""

import math
from collections.abc import Mapping, Sequence

import xarray as xr

from emnist_jax.figures.tables import Table
from experiments._draw import Section, counted
from experiments._verdicts import (
    claims_table,
    corrections_table,
    count,
    questions_table,
    stands_and_falls,
    summary,
)
from experiments.claims import BEYOND, PAPER, Verdict, judge

ABOUT = (
    "Made from the curves in this folder alone, by `python -m experiments.paper --report-only`; do "
    "not edit. Verdicts are computed: a claim *holds* when the 95 % interval over seeds of what is "
    "measured lies within its bounds, *does not hold* when it lies outside, and is *undecided* "
    "when a bound lies in the interval. A diverged network counts as guessing."
)
ABOUT_BEYOND = (
    "What it left open, or compared with too few seeds and unequal budgets, put as claims and "
    "judged in the same way; run by `python -m experiments.beyond`. Rules and networks count at "
    "their best settings, less the luck of choosing these. Intervals are over "
    "seeds, that is over initial weights and the order of minibatches (over weights alone where a "
    "caption says shared order; those of budgets over settings too); images and their split are "
    "the same in all. Other validation images would move a "
    "difference by up to about 2 sqrt(q / n), where n is their number and q the share that one "
    "network gets right and the other wrong: 1.1 points for q = .1, n = 3,160."
)


def report(
    runs: Mapping[str, xr.Dataset],
    sections: Sequence[Section],
    beyond: Mapping[str, Section] | None = None,
) -> str:
    """Return the report as Markdown.

    Args:
        runs: curves and test results by their folder.
        sections: figures and tables, in the order to show them.
        beyond: the same by experiment, of those whose questions are in `claims.BEYOND`.
    """
    judgements = [judge(claim, runs) for claim in PAPER]
    lines = ["# The paper's claims, measured", ""]
    lines += [f"**{notice}**", ""] if (notice := about_glyphs(runs)) else []
    lines += [ABOUT, "", *_data_lines(runs), ""]
    lines += ["## Summary", "", count(judgements), ""]
    lines += [f"{i}. {line}" for i, line in enumerate(summary(judgements, runs), 1)]
    lines += ["", "## Claims", "", claims_table(judgements).markdown()]
    lines += ["## What the text itself gets wrong", "", corrections_table().markdown()]
    for section in sections:
        lines += [f"## {section.title}", "", *_body(section)]
    lines += _beyond_lines(runs, beyond) if beyond else []
    lines += ["## Times and devices", "", runs_table(runs).markdown()]
    return "\n".join(lines)


def about_glyphs(runs: Mapping[str, xr.Dataset]) -> str | None:
    """Return what verdicts on glyphs are not about, or None where the data are others."""
    if {curves.attrs.get("data") for curves in runs.values()} != {"glyphs"}:
        return None
    images = counted(next(iter(runs.values())))
    return (
        "A small demonstration on glyphs, characters that the program draws"
        f"{images and f' ({images})'}: its verdicts are about neither EMNIST nor the paper."
    )


def _body(section: Section) -> list[str]:
    """Return an experiment's finding, tables and figures."""
    lines = [section.text, ""] if section.text else []
    for caption, table in section.tables.items():
        lines += [caption, "", table.markdown()]
    for path, caption in section.figures:
        lines += [f"![{caption}]({path})", "", f"*{caption}*", ""]
    return lines


def _beyond_lines(runs: Mapping[str, xr.Dataset], sections: Mapping[str, Section]) -> list[str]:
    """Return the part on what the paper left open: verdicts of all, then each experiment."""
    answers, parts = [], []
    for name, section in sections.items():
        judged = [judge(question, runs) for question in BEYOND[name]]
        if all(j.verdict is Verdict.UNTESTABLE for j in judged):
            answers.append(f"- **{section.title}** {section.text}")
            continue
        answers.append(f"- **{section.title}** {stands_and_falls(judged, name_all=True)}")
        table = questions_table(judged).markdown()
        parts += [f"### {section.title}", "", table, *_body(section)]
    return ["## Beyond the paper", "", ABOUT_BEYOND, "", *answers, "", *parts]


def runs_table(runs: Mapping[str, xr.Dataset]) -> Table:
    """Return a row a run: its size, its times, its device and its code."""
    rows = []
    for name, curves in sorted(runs.items()):
        if "train_error" in curves:
            settings = math.prod(
                n for dim, n in curves.sizes.items() if dim not in ("seed", "epoch")
            )
            seconds = curves.attrs.get("wall_seconds")
            rows.append(
                {
                    "run": name,
                    "rule": str(curves.attrs.get("rule", "")),
                    "settings": settings,
                    "seeds": curves.sizes["seed"],
                    "epochs": curves.sizes["epoch"] - 1,
                    "s an epoch and network": curves.attrs.get("seconds_per_epoch"),
                    "minutes": None if seconds is None else seconds / 60,
                    "device": str(curves.attrs.get("device", "")),
                    "commit": str(curves.attrs.get("commit", ""))[:10],
                }
            )
    return Table(rows, {"s an epoch and network": ".3g", "minutes": ".1f"})


def _data_lines(runs: Mapping[str, xr.Dataset]) -> list[str]:
    keys = ("data", "data_hash", "split_hash")
    seen: dict[tuple[str, ...], str] = {}
    for curves in runs.values():
        of = tuple(str(curves.attrs.get(key, "unknown")) for key in keys)
        seen[of] = seen.get(of) or counted(curves)
    lines = [
        f"Data: `{name}` ({images}{'; ' * bool(images)}contents {data[:12]}, split {split[:12]})."
        for (name, data, split), images in sorted(seen.items())
    ]
    return [
        *lines,
        "The paper's data are EMNIST Balanced, pooled and split anew; verdicts are about"
        " the data named here.",
    ]
