"""The whole paper: every experiment, every claim judged, and a report of it all.

    python -m experiments.paper --preset demo
    python -m experiments.paper --out results
    python -m experiments.paper --out results --report-only

The first takes minutes on a laptop, with few small images drawn by the program; the second is the
paper's protocol, for hours on a GPU; either goes on where it stopped. The third rebuilds figures,
tables and README.md from the curves alone.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emnist_jax.cli.options import guarded, option, parse
from experiments import samples
from experiments._study import PAPER, StudyOptions, check_study, run_all, write_report

_SMALL = {"size": 2820, "seeds": 3, "epochs": 10}
# What a preset changes of each experiment's own options, which are the paper's protocol.
PRESETS = {
    "paper": {},
    "demo": {
        **dict.fromkeys(("sgd", "rmsprop", "batch_norm"), _SMALL),
        **dict.fromkeys(("adam", "forensics"), _SMALL | {"seeds": 2, "epochs": 20}),
        "convnets": _SMALL | {"seeds": 2, "epochs": 3},
        "anomalies": _SMALL | {"seeds": 2, "epochs": 3, "slow_epochs": 3},
    },
}


@dataclass(frozen=True)
class Options(StudyOptions):
    """Options of the whole."""

    preset: Literal["demo", "paper"] = "paper"
    """demo: few small images, few epochs and seeds, minutes; paper: the full protocol, hours"""
    adam_seeds: option(int | None, "as --seeds", "INT") = None
    """of Adam's grid alone: random initialisations and orders of every setting"""
    convnet_epochs: option(int | None, "as that experiment has", "INT") = None
    """a fifth of C2's and the dense net's epochs beside it; C1 has twice as many"""


def run(options: Options) -> Path:
    """Run what is not finished, and write the report; return its path.

    Raises:
        InputError: invalid options, a folder of another run, or no curves to report.
    """
    check_study(options, PAPER, "adam_seeds", "convnet_epochs")
    out = options.out or Path("runs") / options.preset
    if not options.report_only:
        demo = options.preset == "demo"
        data = options.data or ("glyphs" if demo else "emnist/balanced")
        size = _SMALL["size"] if demo else None
        samples.run(samples.Options(data=data, split=options.split, size=size, out=out))
        given = {
            "adam": {"seeds": options.adam_seeds},
            "convnets": {"epochs": options.convnet_epochs},
        }
        run_all(PAPER, options, data, out, PRESETS[options.preset], given)
    return write_report(out)


if __name__ == "__main__":
    guarded(lambda: run(parse(Options, "python -m experiments.paper", __doc__)))
