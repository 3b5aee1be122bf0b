"""The command of an experiment."""

from emnist_jax.cli.options import guarded, parse, start
from emnist_jax.console import show
from experiments._draw import draw
from experiments._experiment import Experiment
from experiments._options import options_of
from experiments._train import collect, train


def main(experiment: Experiment, about: str) -> None:
    """Run an experiment from the command line: train what is missing, draw, report.

    `about` is its module's docstring, the text of `--help`.
    """

    def command() -> None:
        options = parse(options_of(experiment), f"python -m experiments.{experiment.name}", about)
        if experiment.sweeps:
            start(options)
            train(experiment, options)
        show(draw(experiment, collect(options.out, experiment), options.out).text)

    guarded(command)
