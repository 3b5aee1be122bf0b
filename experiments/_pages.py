"""The report's other pages: every claim, every experiment, times; and what pages share."""

import json
import math
from collections.abc import Mapping, Sequence

import xarray as xr

from emnist_jax.figures.tables import Table
from emnist_jax.store.provenance import runs_of
from experiments._claims_table import claims_table, entries_table
from experiments._draw import Section, counted, protocol
from experiments._verdicts import Found
from experiments.claims.beyond import BEYOND
from experiments.claims.judge import Claim
from experiments.claims.paper import CORRECTIONS, REVISED, SECTIONS

BACK = "Back to [the answer](README.md)."
ABOUT_CLAIMS = (
    "[The first page](README.md#the-main-claims) explains the verdicts. *Controlled*: the "
    "verdict when of all decided ones no more than 5 % may be false (Benjamini and Hochberg). "
    "*Macro*: number and verdict with accuracy as the mean over classes. *Seeds needed*: how many "
    "would decide an undecided claim with a power of .8, were mean and spread as estimated."
)
ABOUT_REVISED = (
    "After the first runs (two seeds of Adam, one minibatch order) and before the present ones: "
    "bounds never moved after the present data were seen. Seeds, and epochs where curves still "
    "rose, were added after: the rows say so. What it changed that each seed has its own order of "
    "minibatches is [in the statistics](../docs/statistics.md#what-an-order-for-each-seed-changed)."
)
ABOUT_TIMES = (
    "Times of runs as they were made, many beside others on the same device: what a step takes is "
    "in the [benchmarks](../benchmarks/README.md). Only runs in `times/` had a device to "
    "themselves, and claims about times rest on them."
)
POOL47 = (
    "emnist/pool47 are 131,600 real images of EMNIST's 47 balanced classes, pooled from its other "
    "splits, so that a class has 877 to 3,704"
)
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


def claims_page(found: Found, sections: Mapping[str, Section]) -> str:
    """Return every claim with its verdicts, the text's slips, and the definitions changed."""
    drawn = {path for section in sections.values() for path, _ in section.figures}
    lines = [*head("Every claim", found.runs), BACK, "", ABOUT_CLAIMS, ""]
    judged = found.by_id
    for name, claims in SECTIONS.items():
        table = claims_table([judged[claim.id] for claim in claims], drawn)
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


def times_page(runs: Mapping[str, xr.Dataset]) -> str:
    """Return what each run took, and where."""
    top = [*head("Times and devices", runs), BACK, "", ABOUT_TIMES, ""]
    return "\n".join([*top, runs_table(runs).markdown()])


def runs_table(runs: Mapping[str, xr.Dataset]) -> Table:
    """Return a row a run: its size, its times, and where it comes from."""
    rows = []
    for name, curves in sorted(runs.items()):
        if "train_error" in curves and "taken_from" not in curves.attrs:
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
            rows.append(row | {name: _origin(curves, name, end) for name, end in ORIGIN.items()})
    return Table(rows, {"s an epoch and network": ".3g", "minutes": ".1f"})


def _origin(curves: xr.Dataset, name: str, end: int) -> str:
    """Return an attribute, of a run that grew those of all its parts."""
    parts = runs_of(curves) if "runs" in curves.attrs else []
    found = [str(one.get(name, curves.attrs.get(name, "")))[:end] for one in (*parts, curves.attrs)]
    return " and ".join(dict.fromkeys(found))


# What differs


def differences(runs: Mapping[str, xr.Dataset]) -> list[str]:
    """Return the data and the protocol recorded in the curves, next to the paper's."""
    kinds = {json.loads(one.attrs.get("configuration", "{}")).get("dtype") for one in runs.values()}
    sizes = next(filter(None, map(_class_sizes, runs.values())), "not known")
    timed = {name for name in runs if name.startswith("times/")}
    here = [protocol([one for name, one in runs.items() if name not in timed])]
    here += [f"test images a class: {sizes}", "split by a permutation of its own"]
    if any(one.attrs.get("data") == "emnist/pool47" for one in runs.values()):
        here.append(POOL47)
    there = "EMNIST Balanced, as many images of each class, split by a permutation not known"
    return [
        f"> **Here:** {'; '.join([*here, *sorted(filter(None, kinds))])}.",
        ">",
        f"> **In the paper:** {there}; seeds: 1 to 5; epochs: 100, 7 of its last nets; float64.",
    ]


def _class_sizes(tested: xr.Dataset) -> str:
    """Return the least and the most test images that a class has."""
    if "confusion" not in tested:
        return ""
    others = {dim: 0 for dim in tested.confusion.dims if dim not in ("true", "predicted")}
    sizes = tested.confusion.isel(others).sum("predicted")
    return f"{int(sizes.min()):,} to {int(sizes.max()):,}"
