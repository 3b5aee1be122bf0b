"""The curves of a finished run for other programs, written into the run's own folder.

    emnist-jax export runs/adam --to csv parquet
    emnist-jax export runs/adam --to tensorboard wandb --each setting

csv and parquet hold a row a trial and epoch. TensorBoard reads what tensorboard/ holds, Weights &
Biases uploads wandb/ by `wandb sync`. All but csv need packages of the extra `trackers`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

import emnist_jax as ej
from emnist_jax.cli.options import option
from emnist_jax.console import show
from emnist_jax.store import export


@dataclass(frozen=True)
class Options:
    """Options of this command."""

    run: Positional[option(Path | None, "none", "RUN")] = None
    """folder of a finished run"""
    to: tuple[Literal["csv", "parquet", "tensorboard", "wandb"], ...] = ("csv",)
    """what to write, several at once if you like"""
    each: Literal["trial", "setting"] = "trial"
    """trackers: a run per trial, or a run per setting with means over seeds"""
    project: str = "emnist_jax"
    """Weights & Biases: the project"""


def run(options: Options) -> None:
    """Write the files, and print where they are."""
    folder = options.run
    if folder is None or not options.to:
        raise ej.InputError("give the folder of a run, and after --to what to write")
    curves = ej.load_curves(folder / "curves.nc")
    tables = {"csv": export.to_csv, "parquet": export.to_parquet}
    for kind in dict.fromkeys(options.to):
        if kind in tables:
            show(tables[kind](curves, folder / f"curves.{kind}"))
        elif kind == "tensorboard":
            made = export.to_tensorboard(curves, folder / "tensorboard", options.each)
            show(f"{len(made)} runs; see them by: tensorboard --logdir {folder / 'tensorboard'}")
        else:
            made = export.to_wandb(curves, folder, options.each, project=options.project)
            show(f"{len(made)} runs; upload them by: wandb sync {folder / 'wandb'}/offline-*")
