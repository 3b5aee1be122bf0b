"""How time and memory grow, and what everything around training costs."""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

import emnist_jax as ej
from benchmarks import ours, roofline
from benchmarks.goals import EAGER, fastest
from benchmarks.timing import Timing, alternate, seconds_of
from emnist_jax import watch
from emnist_jax.engine.memory import bytes_of
from emnist_jax.store.checkpoint import Checkpoints
from experiments._networks import DENSE
from experiments._study import PAPER

NORM = "dense, batch norm"
MODELS = ours.NETWORKS | {NORM: DENSE.clone(batch_norm=ej.BatchNorm())}
ROUNDS, LIMIT = 3, 4.0


def measure(data: ej.Dataset, machine: dict, quick: bool) -> dict[str, object]:
    """Run all studies and return their rows by name."""
    found: dict[str, object] = {}
    studies = {
        "evaluation": lambda: evaluation(data, quick),
        "watch": lambda: watching(data, quick),
        "trials": lambda: trials(data, quick),
        "chunks": lambda: chunks(data, quick),
        "images": lambda: images(data, quick),
        "width": lambda: width(data, machine, quick),
        "devices": lambda: devices(data),
        "checkpoint": lambda: checkpoint(data, quick),
        "compilation": lambda: compilation(data, quick),
        "start": lambda: start(quick),
    }
    for name, study in studies.items():
        print(name, file=sys.stderr, flush=True)
        found[name] = study()
    return found


def _row(timing: Timing, **more) -> dict:
    return more | {
        "seconds": timing.median,
        "least": timing.least,
        "most": timing.most,
        "rounds": timing.rounds,
    }


def evaluation(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time an epoch, and the evaluation of all images that follows it."""
    many, rows = 5 if quick else 25, []
    settings = [("dense", rule, many, 20_000) for rule in ours.RATES]
    settings += [(NORM, "adam", 10, 10_000), ("C1", "adam", 5, 1000), ("C2", "adam", 5, 1000)]
    for network, rule, n, size in settings:
        sweep = ours.Timed(ours.part(data, size), MODELS[network], rule, n)
        sweep.epoch()
        sweep.evaluate()
        timed = alternate({"epoch": sweep.epoch, "evaluation": sweep.evaluate}, ROUNDS, LIMIT)
        row = {"network": network, "rule": rule, "trials": n, "images": size}
        row |= {name: timing._asdict() for name, timing in timed.items()}
        rows.append(row | {"share": timed["evaluation"].median / timed["epoch"].median})
    return rows


def _study(
    column: str,
    sweeps: Mapping[object, ours.Timed],
    more: Callable[[object, ours.Timed, Timing], dict] = lambda *_: {},
) -> list[dict]:
    """Time a step of one trial in each sweep: rows with the value it is for, and `more`."""
    rows = []
    for sweep in sweeps.values():
        sweep.epoch()
    epochs = alternate({value: sweep.epoch for value, sweep in sweeps.items()}, ROUNDS, LIMIT)
    for value, sweep in sweeps.items():
        step = epochs[value].times(1 / sweep.steps / sweep.trials)
        rows.append(_row(step, **{column: value}) | more(value, sweep, step))
    return rows


def watching(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time of a step with what a sweep may watch of the training."""
    part, many = ours.part(data, 2000 if quick else 10_000), 5 if quick else 25
    watched = {"nothing": (), "norms and ratio": watch.NAMES[:-1], "all": watch.NAMES}
    made = {name: ours.Timed(part, DENSE, "adam", many, watch=w) for name, w in watched.items()}
    return _study("watched", made)


def trials(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time and memory against the number of trials, all trained at once."""
    part, counts = ours.part(data, 2000), (1, 5, 20) if quick else (1, 5, 10, 20, 40, 80)

    def memory(_, sweep: ours.Timed, __) -> dict:
        used = sweep.compile()["epoch"].memory_analysis()
        return {
            "state_mib": bytes_of(sweep.chunks[0].trials) / 2**20,
            "scratch_mib": used.temp_size_in_bytes / 2**20 if used else None,
        }

    made = {n: ours.Timed(part, DENSE, "adam", n, at_once=n) for n in counts}
    return _study("trials", made, memory)


def chunks(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time of a large Adam sweep against how many trials are trained at once."""
    part, sizes = ours.part(data, 2000), (None, *((5, 40) if quick else (2, 5, 10, 20, 40)))
    made = {size: ours.Timed(part, DENSE, "adam", 40, at_once=size) for size in sizes}
    return _study(
        "trials_at_once",
        made,
        lambda size, sweep, _: {"trials_at_once": sweep.at_once, "chosen": size is None},
    )


def images(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time of a step against the number of training images."""
    counts = (1000, 10_000) if quick else (1000, 10_000, ours.PAPER_IMAGES)
    return _study("images", {n: ours.Timed(ours.part(data, n), DENSE, "sgd", 10) for n in counts})


def width(data: ej.Dataset, machine: dict, quick: bool) -> list[dict]:
    """Time of a step against the width of both hidden layers."""
    part, widths = ours.part(data, 2000), (50, 100) if quick else (25, 50, 100, 200, 400, 800)
    models = {w: ej.MLP(hidden=(w, w)) for w in widths}

    def rate(width: int, _, step: Timing) -> dict:
        image = data.train.images.shape[1:]
        cost = roofline.cost(models[width], "sgd", image, len(data.classes), ours.BATCH)
        return {"matrix_rate": cost.flop / step.median / machine["flop_per_second"]}

    made = {w: ours.Timed(part, model, "sgd", 10) for w, model in models.items()}
    return _study("width", made, rate)


def devices(data: ej.Dataset) -> list[dict]:
    """Time of a step against the number of devices that share the trials."""
    part, present = ours.part(data, 5000), len(jax.devices())
    counts = sorted({1, *(n for n in (2, 4, 8, 16) if n < present), present})
    rows = _study("devices", {n: ours.Timed(part, DENSE, "sgd", 10 * n, devices=n) for n in counts})
    one = rows[0]["seconds"]
    return [row | {"efficiency": one / row["devices"] / row["seconds"]} for row in rows]


def checkpoint(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time to save and to restore the state of a sweep."""
    rows = []
    for network, n in (("dense", 25), ("C1", 2 if quick else 5)):
        sweep = ours.Timed(ours.part(data, 500), ours.NETWORKS[network], "adam", n, at_once=n)
        chunk, runner = sweep.chunks[0], sweep.runner
        arrays = runner.arrays_of(chunk.trials, chunk.placed)
        state = runner.fresh([chunk.rows])._replace(chunk=0, epoch=1, arrays=arrays)
        with tempfile.TemporaryDirectory() as folder:
            configuration = runner.job.configuration
            checkpoints = Checkpoints(Path(folder) / "checkpoint", configuration, "this device", 0)
            checkpoints.save(state)  # warm
            save = partial(checkpoints.save, state)
            timed = alternate({"save": save, "restore": checkpoints.restore}, ROUNDS)
        size = bytes_of(arrays) / 2**20
        row = {"network": network, "trials": len(chunk.placed), "mib": size}
        rows.append(row | {name: timing._asdict() for name, timing in timed.items()})
    return rows


def compilation(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time to compile the programs of a sweep, with no cache to help.

    Each time for another number of images: JAX would not compile the same program again.
    """
    from jax.experimental.compilation_cache import compilation_cache

    rows, folder = [], jax.config.jax_compilation_cache_dir
    compilation_cache.reset_cache()  # a change of the folder alone would go unnoticed
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        for network in ("dense",) if quick else ours.NETWORKS:
            model, sizes = ours.NETWORKS[network], (1000,) if quick else (1000, 1500, 2000)
            sweeps = [ours.Timed(ours.part(data, size), model, "adam", 5) for size in sizes]
            times = [seconds_of(sweep.compile) for sweep in sweeps]
            rows.append({"network": network} | Timing.of(times)._asdict())
    finally:
        compilation_cache.reset_cache()
        jax.config.update("jax_compilation_cache_dir", folder)
    return rows


def start(quick: bool) -> dict[str, dict]:
    """Time, in fresh processes: import, first and second load of data, first and second start.

    A start is timed from before Python until the first epoch of the first chunk of 25 dense trials
    ends, less the time of the second epoch: so it holds data (already drawn), compilation or its
    cache, and the first evaluation. Each round begins with an empty cache.
    """
    times: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"EMNIST_JAX_CACHE": folder}
            for name in ("pass", _LIBRARIES, _BARE, _OURS):
                times[name].append(seconds_of(partial(_python, name, environment)))
            for name in ("first load", "second load"):
                times[name].append(float(_python(_LOAD, environment)))
            for name in ("first start", "second start"):
                ended, _, _, epoch, *_ = map(float, _python(_START, environment).split())
                times[name].append(ended - epoch)
    return {name: Timing.of(seconds)._asdict() for name, seconds in times.items()}


_LIBRARIES = "import jax, flax.linen, optax"
_BARE = f"{_LIBRARIES}, emnist_jax"  # what the rest needs is loaded when it is first used:
_OURS = "from emnist_jax import sweep"
_LOAD = """
import time, emnist_jax as ej
began = time.perf_counter()
ej.load("glyphs")
print(time.perf_counter() - began)
"""
_START = """
import sys, time
began = float(sys.argv[1])
import emnist_jax as ej
from emnist_jax.engine.chunks import Runner

train = Runner.run_epoch

def timed(*args):
    at = time.time()
    trials = train(*args)
    print(time.time() - began, time.time() - at)
    return trials

Runner.run_epoch = timed
ej.sweep(ej.load("glyphs"), ej.MLP(), "sgd", {"learning_rate": [.1, .03, .01, .003, .001]},
         seeds=5, epochs=2, trials_at_once=25, progress_bar=False)
"""


def _python(program: str, environment: dict) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, str(time.time())],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def papers_sweeps() -> dict[str, tuple[str, ej.Sweep]]:
    """Return the paper's sweeps by folder, each once, with the experiment that trains it."""
    return {
        folder: (name, sweep)
        for name, experiment in reversed(PAPER.items())
        for folder, sweep in experiment.make().items()
    }


def kind_of(sweep: ej.Sweep) -> tuple[str, str]:
    """Return the network and the rule whose times stand for a sweep's.

    Adam's do for its variants, one batch normalisation's for all.
    """
    if sweep.model.batch_norm is not None:
        return NORM, "adam"
    shape = _layers(sweep.model)  # kernels drawn otherwise take no other time
    (network,) = [name for name, one in ours.NETWORKS.items() if _layers(one) == shape]
    return network, sweep.rule if sweep.rule in ours.RATES else "adam"


def _layers(model: nn.Module) -> tuple[tuple[int, ...], ...]:
    return tuple(getattr(model, "channels", ())), tuple(model.hidden)


def paper(timed: list[dict], steps: list[dict]) -> list[dict[str, object]]:
    """Project the time of the paper's experiments from measured epochs and evaluations.

    PyTorch eager's from its fastest steps alone; those of Adam stand for RMSprop, those without
    batch normalisation for those with it.
    """
    seconds = {
        (r["network"], r["rule"]): (r["epoch"]["median"] + r["evaluation"]["median"])
        / r["trials"]
        * (ours.PAPER_IMAGES / r["images"])
        for r in timed
    }
    rows: dict[tuple, dict] = {}
    for name, sweep in papers_sweeps().values():
        key = name, *kind_of(sweep), sweep.epochs
        row = dict(zip(("experiment", "network", "rule", "epochs"), key, strict=True))
        eager = fastest(steps, key[1].split(",")[0], {"sgd": "sgd"}.get(key[2], "adam"), EAGER)
        row = rows.setdefault(key, row | {"trials": 0, "hours": 0.0, "eager_hours": eager and 0.0})
        trials = sweep.seeds * math.prod(map(np.size, sweep.grid.values()))
        row["trials"] += trials
        row["hours"] += trials * sweep.epochs * seconds[key[1:3]] / 3600
        if eager:
            updates = trials * sweep.epochs * (ours.PAPER_IMAGES // ours.BATCH)
            row["eager_hours"] += updates * eager["ms"] / 1000 / 3600
    return list(rows.values())
