"""What is made of an experiment's runs: figures, tables, and its section of the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import xarray as xr

from emnist_jax.console import show
from emnist_jax.figures import save_figure
from emnist_jax.figures.tables import Table, save_table
from emnist_jax.store.provenance import runs_of
from experiments._experiment import Experiment, Results


class Section(NamedTuple):
    """What the report shows of an experiment."""

    title: str
    tables: Mapping[str, Table] = {}  # by caption
    figures: Sequence[tuple[str, str]] = ()  # path relative to the report, caption
    text: str = ""
    about: str = ""  # data, seeds and protocol of its runs
    part: str = ""  # of the training images, if not all


def missing_of(experiment: Experiment, runs: Results) -> list[str]:
    """Return the folders of runs that an experiment's figures and tables still need."""
    return [name for name in (*experiment.folders, *experiment.reads) if name not in runs]


def draw(experiment: Experiment, runs: Results, out: Path) -> Section:
    """Write an experiment's figures and tables, and return its section; short if unfinished."""
    if missing := missing_of(experiment, runs):
        more = f" and {len(missing) - 3} more" * (len(missing) > 3)
        begun = not experiment.folders or any(name in runs for name in experiment.folders)
        what = f"Not finished: {', '.join(missing[:3])}{more}." if begun else "Not run."
        how = f" `python -m experiments.{experiment.name}` takes about {experiment.cost}."
        return Section(experiment.title, text=what + how * bool(experiment.cost))
    folder = out / experiment.name
    figures, tables, about = [], {}, _protocol(experiment, runs)
    for name, figure in experiment.figures.items():
        show(save_figure(figure.draw(runs), folder / name)[0])
        own = _protocol(experiment, runs, figure.of)
        caption = figure.caption if own == about else f"{figure.caption} {own}."
        figures.append((f"{experiment.name}/{name}.png", caption))
    for name, make in experiment.tables.items():
        if not (table := make(runs)).rows:
            continue  # such as the paper's seed where fewer were trained
        save_table(table, folder / name)
        tables[name.replace("_", " ").capitalize()] = table
    about = f"{about}. {took([runs[name] for name in experiment.folders])}"
    return Section(experiment.title, tables, figures, experiment.finding(runs), about.strip())


def took(datasets: Sequence[xr.Dataset]) -> str:
    """Return how long runs trained, on which device, and which took no time as others had them."""
    minutes: Counter[str] = Counter()
    timed = [one for one in datasets if "train_error" in one and "wall_seconds" in one.attrs]
    for part in (part for curves in timed for part in runs_of(curves)):
        minutes[str(part["device"])] += float(part["wall_seconds"]) / 60
    words = " and ".join(f"{time:,.1f} minutes on {device}" for device, time in minutes.items())
    taken = sorted({one.attrs["taken_from"] for one in datasets if "taken_from" in one.attrs})
    beside = f", beside the curves of {', '.join(taken)}" if taken else ""
    return f"Trained in {words}{beside}." if words else ""


def _protocol(experiment: Experiment, runs: Results, of: str = "") -> str:
    """Return the data, seeds and protocol of an experiment's runs, for captions."""
    names = [*experiment.folders, *experiment.reads]
    names = [name for name in names if name.startswith(f"{experiment.name}/")] or names
    return protocol([runs[name] for name in names if f"{name}/".startswith(of and f"{of}/")])


def protocol(datasets: Sequence[xr.Dataset]) -> str:
    """Return the data, seeds and protocol of some runs and tests, for captions."""
    by_name: dict[str, list[xr.Dataset]] = {}
    for one in datasets:
        by_name.setdefault(str(one.attrs.get("data", "unknown")), []).append(one)
    counts = {name: counted(*of) for name, of in sorted(by_name.items())}
    named = [f"{name} ({of})" if of else name for name, of in counts.items()]
    curves = [one for one in datasets if "train_error" in one]
    batches = [one.attrs["batch_size"] for one in curves if "batch_size" in one.attrs]
    parts = [
        f"Data: {' and '.join(named)}",
        f"seeds: {in_range([one.sizes['seed'] for one in curves])}",
        f"epochs: {in_range([one.sizes['epoch'] - 1 for one in curves])}",
        *([f"minibatch {in_range(batches)}"] if batches else []),
    ]
    shared = [one.attrs.get("order", "seed") != "seed" for one in curves]
    if any(shared):
        which = "all seeds" if all(shared) else "seeds of some runs"
        parts.append(f"{which} with a shared order of minibatches")
    return "; ".join(parts)


def in_range(numbers: Sequence[int]) -> str:
    """Return the numbers there are: 5, 5 or 10, 1 to 100."""
    each = sorted(set(numbers))
    words = [f"{number:,}" for number in each]
    return " or ".join(words) if len(each) < 3 else f"{words[0]} to {words[-1]}"


def counted(*runs: xr.Dataset) -> str:
    """Return in words how many images the networks learned from and were validated on.

    Test results do not count the images of training; the curves beside them do.
    """
    names = "train_images", "valid_images"
    both = [[int(one.attrs[name]) for one in runs if name in one.attrs] for name in names]
    return "{} training, {} validation images".format(*map(in_range, both)) if all(both) else ""
