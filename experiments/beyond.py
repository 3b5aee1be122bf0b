"""Beyond the paper: nine rules at equal budgets, and the questions it left open (W1 to W4).

    python -m experiments.beyond --preset demo
    python -m experiments.beyond --data emnist/balanced --out results

The first takes minutes, with few images drawn by the program; the second has all images, about 22
hours on two CPU cores (projected from measured step times, see each experiment). It goes on where
it stopped, and the report of `experiments.paper` in the same folder shows what is finished.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emnist_jax.cli.options import guarded, option, parse
from experiments._study import BEYOND, StudyOptions, check_study, run_all, write_report

_SMALL = {"size": 1880, "seeds": 2, "epochs": 2}
# What a preset changes of each experiment's own options.
PRESETS = {
    "demo": {
        **dict.fromkeys(BEYOND, _SMALL),
        **dict.fromkeys(("rules_compared", "training_size"), _SMALL | {"epochs": 5, "settings": 4}),
        "rules_on_c2": _SMALL | {"settings": 4},
        "cifar10": _SMALL | {"epochs": 5, "cifar10": "glyphs"},
        "regularisation": _SMALL | {"epochs": 5, "convnet_epochs": 2},
        "fifth": _SMALL | {"cifar10": "glyphs"},
    },
    "full": {},
}


@dataclass(frozen=True)
class Options(StudyOptions):
    """Options of the whole."""

    preset: Literal["demo", "full"] = "full"
    """demo: few small images, minutes; full: each as it stands"""
    cifar10: option(str | None, "glyphs in the demo, else cifar10", "STR") = None
    """the second data set of the experiment cifar10; the demo compares glyphs with itself"""


def run(options: Options) -> Path:
    """Run what is not finished, and write the report; return its path.

    Raises:
        InputError: invalid options, a folder of another run, or no curves to report.
    """
    check_study(options, BEYOND)
    out = options.out or Path("runs") / f"beyond-{options.preset}"
    if not options.report_only:
        data = options.data or ("glyphs" if options.preset == "demo" else "emnist/balanced")
        given = {name: {"cifar10": options.cifar10} for name in ("cifar10", "fifth")}
        run_all(BEYOND, options, data, out, PRESETS[options.preset], given)
    return write_report(out)


if __name__ == "__main__":
    guarded(lambda: run(parse(Options, "python -m experiments.beyond", __doc__)))
