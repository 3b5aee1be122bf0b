"""Several experiments into one folder, and the report of all that it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from emnist_jax.cli.options import Running, option, start
from emnist_jax.console import show
from emnist_jax.errors import InputError, check_count, nearest
from emnist_jax.figures import save_figure
from emnist_jax.store.files import write_text
from experiments import (
    adam,
    anomalies,
    batch_norm,
    budgets,
    cifar10,
    convnets,
    coverage,
    depth,
    fifth,
    forensics,
    regularisation,
    rmsprop,
    rules_compared,
    rules_on_c2,
    samples,
    sgd,
    test_set,
    training_size,
    weights_or_convolution,
)
from experiments._beyond_page import PART, beyond_page, on_fifth
from experiments._draw import Section, draw, missing_of, protocol, took
from experiments._experiment import Experiment, Results
from experiments._forest import draw_forest
from experiments._options import Options, options_of
from experiments._pages import about_glyphs, claims_page, experiments_page, times_page
from experiments._train import collect, train
from experiments._verdicts import READING_NAMES, find
from experiments.claims.judge import forest
from experiments.report import report


def _by_name(*modules: ModuleType) -> dict[str, Experiment]:
    return {module.EXPERIMENT.name: module.EXPERIMENT for module in modules}


PAPER = _by_name(sgd, rmsprop, adam, forensics, batch_norm, convnets, test_set, anomalies, budgets)
BEYOND = _by_name(
    rules_compared,
    rules_on_c2,
    training_size,
    cifar10,
    regularisation,
    weights_or_convolution,
    depth,
    fifth,
)
ALONE = _by_name(coverage)  # trained by their own modules only, and reported where they are
Values = Mapping[str, Mapping[str, Any]]
"""Options by experiment."""


@dataclass(frozen=True)
class StudyOptions(Running):
    """Options of several experiments; a preset's values, then these, replace their own."""

    data: option(str | None, "glyphs in the demo, else emnist/balanced", "STR") = None
    """glyphs (drawn), a TensorFlow Datasets name (emnist/balanced), a path of IDX files, images"""
    split: Literal["paper", "official"] = "paper"
    """paper: all images pooled and split again; official: the source's own test part"""
    seeds: option(int | None, "as each experiment has", "INT") = None
    """random initialisations and orders of every setting: seeds 0, 1, ..."""
    only: option(tuple[str, ...], "all", "NAME ...") = ()
    """run these; the report shows all there are"""
    out: option(Path | None, "runs/ and the preset", "PATH") = None
    """folder of results"""
    report_only: bool = False
    """run nothing: the report from the curves that are there"""


def check_study(options: StudyOptions, experiments: Mapping[str, Experiment], *counts: str) -> None:
    """Refuse invalid options before anything is written, and connect to other hosts.

    Raises:
        InputError: an unknown experiment, or a number below 1.
    """
    for name in options.only:
        if name not in experiments:
            raise InputError(f'no experiment "{name}": {nearest(name, experiments)}')
    for name in ("seeds", *counts):
        if getattr(options, name) is not None:
            check_count(name, getattr(options, name))
    start(options)


def run_all(
    experiments: Mapping[str, Experiment],
    options: StudyOptions,
    data: str,
    out: Path,
    preset: Values,
    given: Values,
) -> None:
    """Train what is missing of experiments; `given` replaces `preset` where it is not None.

    A sweep that several share is trained once, with the options of the first that has it.
    """
    owner: dict[str, str] = {}
    for name, experiment in experiments.items():
        owner = dict.fromkeys(experiment.make(), name) | owner

    def options_for(name: str) -> Options:
        shared = "split", "overwrite", "keep_state", "trials_at_once"
        values = {key: getattr(options, key) for key in shared}
        own = {"seeds": options.seeds} | {k: v for k, v in given.get(name, {}).items() if v}
        values |= {"data": data, "out": out, **preset.get(name, {})}
        values |= {key: value for key, value in own.items() if value is not None}
        return options_of(experiments[name])(**values)

    names = options.only or experiments
    for folder in dict.fromkeys(folder for name in names for folder in experiments[name].make()):
        first = owner[folder]
        train(experiments[first], options_for(first), {folder})


def _draw_beyond(experiment: Experiment, runs: Results, out: Path) -> Section:
    """Return an experiment's section, of a fifth of the images where not all sweeps are done."""
    few = on_fifth(runs)
    small = [few[name] for name in experiment.folders if name in few]
    if missing_of(experiment, runs) and small:
        if missing_of(experiment, few):  # the claims are judged, but no figure is drawn
            section = draw(experiment, runs, out)
            return section._replace(part=PART, text=f"On all images: {section.text}")
        return draw(experiment, few, out)._replace(part=PART)
    section = draw(experiment, runs, out)
    if not small:
        return section
    return section._replace(about=f"{section.about} On a fifth: {protocol(small)}. {took(small)}")


def write_report(out: Path) -> Path:
    """Write all figures, tables and pages from the curves in a folder; return the first page.

    Raises:
        InputError: no curves there.
    """
    runs = collect(out, *BEYOND.values())
    known = {name for one in (PAPER | ALONE | BEYOND).values() for name in one.folders}
    if not known & set(runs):
        raise InputError(f"{out}: no finished experiment here; run without --report-only first")
    sections = {}
    if (out / samples.FIGURE).exists():
        figure = (str(samples.FIGURE), "25 random training images with their labels.")
        sections["samples"] = Section("Data (D1)", figures=[figure])
    for name, experiment in (PAPER | ALONE).items():
        if any(folder in runs for folder in experiment.folders or experiment.reads):
            sections[name] = draw(experiment, runs, out)
    beyond = {name: _draw_beyond(one, runs, out) for name, one in BEYOND.items()}
    drawn = {name: one for name, one in beyond.items() if one.figures}
    of_paper = {name for one in PAPER.values() for name in one.folders}
    found = find({name: one for name, one in runs.items() if name in of_paper} or runs)
    if rows := forest(found.judged, found.runs, found.fitting):
        drawn_of = [one for name, one in found.runs.items() if not name.startswith("times/")]
        about = READING_NAMES[found.fitting], protocol(drawn_of)
        show(save_figure(draw_forest(rows, *about), out / "forest")[0])
    pages = {
        "claims.md": claims_page(found, sections),
        "experiments.md": experiments_page(runs, sections | drawn),
        "beyond.md": beyond_page(runs, beyond),
        "times.md": times_page(runs),
        "README.md": report(found, sections, forest=bool(rows)),
    }
    paths = [write_text(out / name, text) for name, text in pages.items()]
    show("\n".join(filter(None, (str(paths[-1]), about_glyphs(found.runs)))))
    return paths[-1]
