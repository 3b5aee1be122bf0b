"""The curves of a finished run for other programs, written into the run's own folder.

    python -m experiments.export runs/sweep --to csv parquet
    python -m experiments.export runs/sweep --to tensorboard wandb --each setting

csv and parquet hold a row a trial and epoch. TensorBoard reads what tensorboard/ holds, Weights &
Biases uploads wandb/ by `wandb sync`. All but csv need packages of the extra `trackers`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

import emnist_jax as ej
from emnist_jax.store import export
from experiments._common import main


@dataclass(frozen=True)
class Options:
    """Options of this command."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """folder of a finished run"""
    to: tuple[Literal["csv", "parquet", "tensorboard", "wandb"], ...] = ("csv",)
    """what to write, several at once if you like"""
    each: Literal["trial", "setting"] = "trial"
    """trackers: a run a trial, or a run a setting with means over seeds"""
    project: str = "emnist_jax"
    """Weights & Biases: the project"""


def run(options: Options) -> None:
    """Write everything asked for, and print where it is."""
    folder = options.run
    curves = ej.load_curves(folder / "curves.nc")
    for kind in dict.fromkeys(options.to):
        if kind == "csv":
            print(export.to_csv(curves, folder / "curves.csv"))
        elif kind == "parquet":
            print(export.to_parquet(curves, folder / "curves.parquet"))
        elif kind == "tensorboard":
            made = export.to_tensorboard(curves, folder / "tensorboard", options.each)
            print(f"{len(made)} runs; see them by: tensorboard --logdir {folder / 'tensorboard'}")
        else:
            made = export.to_wandb(curves, folder, options.each, project=options.project)
            print(f"{len(made)} runs; upload them by: wandb sync {folder / 'wandb'}/offline-*")


if __name__ == "__main__":
    main(run, Options)
