"""Measure everything and write results.json and README.md.

    python -m benchmarks            # a quarter of an hour on two cores
    python -m benchmarks --quick    # two minutes, to runs/benchmarks

Let nothing else run meanwhile.
"""

import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import emnist_jax as ej
from emnist_jax._setup import start_jax
from emnist_jax.cli.options import guarded, parse
from emnist_jax.errors import InputError
from emnist_jax.store.files import write_text
from emnist_jax.store.provenance import commit, describe_devices

PACKAGES = ("jax", "flax", "optax", "torch", "numpy", "scipy")


@dataclass(frozen=True)
class Options:
    """Speed of this library and its peers, measured in one run."""

    quick: bool = False
    """fewer and shorter runs"""
    out: Path | None = None
    """folder of results.json and README.md (default: benchmarks; runs/benchmarks if quick)"""


def run(options: Options) -> None:
    """Measure and write.

    Raises:
        InputError: PyTorch is not installed, or `out` cannot be written.
    """
    if find_spec("torch") is None:
        raise InputError('PyTorch is not installed: run pip install -e ".[bench]"')
    from benchmarks import devices, report, roofline, scaling, steps

    start_jax()  # before anything computes: a device a core, as a sweep has
    folder = options.out or (Path("runs/benchmarks") if options.quick else Path(__file__).parent)
    began = time.perf_counter()
    data = ej.load("glyphs")
    machine = roofline.machine()
    effort = steps.QUICK if options.quick else steps.FULL
    found: dict[str, object] = {
        "quick": options.quick,
        "device": describe_devices(),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        "commit": commit(),
        "machine": machine,
        "steps": steps.measure(data, effort, machine),
    }
    found["scaling"] = scaling.measure(data, machine, options.quick)
    found["memory"] = devices.measure()
    found["minutes"] = (time.perf_counter() - began) / 60
    found = json.loads(json.dumps(found))
    write_text(folder / "results.json", json.dumps(found) + "\n")
    print(write_text(folder / "README.md", report.page(found)))


if __name__ == "__main__":
    guarded(lambda: run(parse(Options, "python -m benchmarks", __doc__)))
