"""What every experiment shares: options, command line, training, figures and tables on disk."""

import io
import itertools
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import tyro

import emnist_jax as ej
from emnist_jax import hosts
from emnist_jax.engine.grid import GridLike
from emnist_jax.engine.run import finished
from emnist_jax.errors import InputError, nearest

if TYPE_CHECKING:
    import xarray as xr
    from flax import linen as nn
    from matplotlib.figure import Figure

    from emnist_jax.figures.tables import Table
    from emnist_jax.store.networks import Networks

T = TypeVar("T")


def otherwise(default: str, metavar: str) -> object:
    """Annotate an option whose default, None, stands for something that its help should say."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


@dataclass(frozen=True)
class Options:
    """Options of every experiment."""

    data: str = "glyphs"
    """glyphs (drawn), a TensorFlow Datasets name (emnist/balanced), a path of IDX files, images"""
    split: Literal["paper", "official"] = "paper"
    """paper: all images pooled and split again; official: the source's own test part"""
    size: Annotated[int | None, otherwise("all", "INT")] = None
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    seeds: int = 5
    """number of random initialisations of every setting: seeds 0, 1, ..."""
    epochs: int = 100
    """passes over the training images"""
    batch_size: int = 50
    """images a minibatch"""
    out: Path = Path("runs")
    """folder of results; what was interrupted there is resumed, what is complete is skipped"""
    overwrite: bool = False
    """begin again, whatever is there"""
    trials_at_once: Annotated[int | None, otherwise("as many as suit the devices", "INT")] = None
    """trials trained together"""
    coordinator: Annotated[str | None, otherwise("none", "HOST:PORT")] = None
    """to use several hosts, give the same command on each: with auto under SLURM, Open MPI,
    Kubernetes or on a Cloud TPU, or with HOST:PORT of process 0 and the next two options"""
    processes: Annotated[int | None, otherwise("as many as auto finds", "INT")] = None
    """number of hosts, each with one process"""
    process: Annotated[int | None, otherwise("as auto finds", "INT")] = None
    """which of them this is: 0, 1, ...; process 0 reads and writes the results"""


def train(
    options: Options,
    folder: str,
    model: "nn.Module",
    rule: str,
    grid: GridLike,
    keep: str | None = None,
) -> "xr.Dataset | tuple[xr.Dataset, Networks]":
    """Train a sweep with the common options, saved and resumed in `folder` of the results."""
    sweep = ej.Sweep(
        model, rule, grid, options.seeds, options.epochs, options.batch_size, keep=keep
    )
    data = ej.load(options.data, split=options.split, size=options.size)
    out = options.out / folder
    if options.overwrite or finished(sweep, data, out) is None:
        print(f"{folder}:", flush=True)
    return ej.run(
        sweep, data, out, overwrite=options.overwrite, trials_at_once=options.trials_at_once
    )


def draw(figures: "Mapping[str, Figure]", tables: "Mapping[str, Table]", folder: Path) -> None:
    """Write figures, and tables as Markdown, CSV and LaTeX, under their names in a folder."""
    from emnist_jax.figures.tables import save_table

    save_figures(figures, folder)
    for name, table in tables.items():
        save_table(table, folder / name)


def save_figures(figures: Mapping[str, "Figure"], folder: Path) -> list[Path]:
    """Write figures as PNG and SVG under their names and print where the PNGs are."""
    from emnist_jax.figures import save_figure

    paths = [
        path for name, figure in figures.items() for path in save_figure(figure, folder / name)
    ]
    for path in paths:
        if path.suffix == ".png":
            print(path)
    return paths


def parse(options: type[T], prog: str, description: str, args: list[str] | None = None) -> T:
    """Return the options of a command line; --help prints and exits.

    Raises:
        InputError: an unknown option, or a value that is none.
    """
    command = prog
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            chosen, unknown = tyro.cli(
                options,
                prog=command,
                description=description,
                args=args,
                return_unknown_args=True,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stopped:
        if not stopped.code:
            raise
        raise InputError(f"{_box_text(printed.getvalue())}; see {command} --help") from None
    if unknown:
        word = unknown[0].partition("=")[0]
        if not word.startswith("-"):
            raise InputError(f'"{word}" belongs to no option; see {command} --help')
        named = [one.name for one in fields(options) if "Positional" not in str(one.type)]
        names = [f"--{name.replace('_', '-')}" for name in named]
        raise InputError(f'no option "{word}": {nearest(word, names)}')
    return chosen


def _box_text(box: str) -> str:
    """Return what is wrong from a box that tyro draws: its text between title and next rule."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", box)
    lines = [line.strip("│ ") for line in plain.splitlines()[1:]]
    below_title = itertools.dropwhile(lambda line: not line.strip("─-"), lines)
    said = " ".join(itertools.takewhile(lambda line: line.strip("─-"), below_title))
    return _choices(said.removeprefix("Error parsing ").rstrip("."))


def _choices(said: str) -> str:
    """Return what tyro says of a word that is none of some choices, the nearest one named."""
    wrong = re.fullmatch(r"invalid choice '(.*)' for argument '(.*)'\. Expected one of (.*)", said)
    if wrong is None:
        return said
    word, option, choices = wrong.groups()
    known = re.findall(r"'(.*?)'", choices)
    return f'{option} "{word}": {nearest(word, known)}'


def main(run: Callable, options: type) -> None:
    """Run an experiment from the command line."""

    def command():
        module = sys.modules[run.__module__]
        command = f"python -m experiments.{Path(module.__file__).stem}"
        chosen = parse(options, command, module.__doc__)
        connect(chosen)
        run(chosen)

    guarded(command)


def connect(options: object) -> None:
    """Connect to the other hosts that the options name, if any; the first one alone prints.

    Raises:
        InputError: they cannot be reached.
    """
    names = "coordinator", "processes", "process"
    given = [getattr(options, name, None) for name in names]  # what trains nothing has none
    if given == [None, None, None]:
        return
    if given[0] is None:
        raise InputError("--processes and --process need --coordinator HOST:PORT, or auto")
    hosts.connect(*given)
    if not hosts.is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)


def guarded(command: Callable[[], object]) -> None:
    """Call a command: bad input is one line and exit code 2, Ctrl-C says how to go on.

    A lost host is one line and exit code 1.
    """
    try:
        command()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        hosts.leave(2)
    except hosts.LostHostError as error:
        print(f"error: {error}; {hosts.AGAIN}", file=sys.stderr)
        hosts.leave(1, wait_seconds=0)
    except KeyboardInterrupt:
        kept = [word for word in sys.orig_argv[1:] if word != "--overwrite"]
        again = shlex.join(["python", *kept])
        print(f"\nstopped; to go on from here: {again}", file=sys.stderr)
        hosts.leave(130)
