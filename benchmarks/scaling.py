"""How time and memory grow, and what everything around training costs."""

import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from pathlib import Path

import jax

import emnist_jax as ej
from benchmarks import ours, roofline
from benchmarks.timing import Timing, alternate, seconds_of
from emnist_jax.engine import programs as parallel
from emnist_jax.engine.chunks import arrays_of
from emnist_jax.store.checkpoint import Checkpoints

PAPER_IMAGES = 100_000
DENSE, NORM = "dense", "dense, batch norm"
BATCHES = "dense, batch norm of minibatches"  # in evaluation, too: 50 images at a time
# The experiments of the paper at five seeds: name, network and rule, trials, epochs.
PAPER = (
    ("sgd", (DENSE, "sgd"), 25, 100),
    ("rmsprop", (DENSE, "rmsprop"), 30, 100),
    ("adam", (DENSE, "adam"), 160, 100),
    ("forensics", (DENSE, "adam"), 120, 20),
    ("batch_norm", (BATCHES, "adam"), 40, 100),
    ("convnets", (DENSE, "adam"), 10, 40),
    ("convnets", ("C1", "adam"), 10, 40),
    ("convnets", ("C2", "adam"), 10, 60),
)
DENSE_EXPERIMENTS = "sgd", "rmsprop", "adam"
ROUNDS, LIMIT = 3, 4.0


def measure(data: ej.Dataset, machine: dict, quick: bool) -> dict[str, object]:
    """Run all studies and return their rows by name."""
    found: dict[str, object] = {}
    studies = {
        "evaluation": lambda: evaluation(data, quick),
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
    found["paper"] = paper(found["evaluation"])
    return found


def _row(timing: Timing, **more) -> dict:
    return more | {
        "seconds": timing.median,
        "least": timing.least,
        "most": timing.most,
        "rounds": timing.rounds,
    }


def _epochs(sweeps: dict[str, ours.Sweep]) -> dict[str, Timing]:
    """Time an epoch of each sweep."""
    for sweep in sweeps.values():
        sweep.epoch()
    return alternate({name: sweep.epoch for name, sweep in sweeps.items()}, ROUNDS, LIMIT)


def evaluation(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time an epoch, and the evaluation of all images that follows it."""
    many = 5 if quick else 25
    settings = [(DENSE, rule, many, 20_000) for rule in DENSE_EXPERIMENTS]
    settings += [(name, "adam", 10, 10_000) for name in (NORM, BATCHES)]
    settings += [("C1", "adam", 5, 1000), ("C2", "adam", 5, 1000)]
    norms = {NORM: ej.BatchNorm(), BATCHES: ej.BatchNorm(statistics="minibatch")}
    models = ours.NETWORKS | {
        name: ej.MLP(hidden=(100, 100), batch_norm=norm) for name, norm in norms.items()
    }
    rows = []
    for network, rule, n, size in settings:
        sweep = ours.Sweep(ours.part(data, size), models[network], rule, n)
        sweep.epoch()
        sweep.evaluate()
        timed = alternate({"epoch": sweep.epoch, "evaluation": sweep.evaluate}, ROUNDS, LIMIT)
        epoch, evaluating = timed["epoch"], timed["evaluation"]
        row = {"network": network, "rule": rule, "trials": n, "images": size}
        row |= {"epoch": epoch, "evaluation": evaluating}
        row = {k: v._asdict() if isinstance(v, Timing) else v for k, v in row.items()}
        rows.append(row | {"share": evaluating.median / epoch.median})
    return rows


def trials(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time and memory against the number of trials, all trained at once."""
    part, counts = ours.part(data, 2000), (1, 4, 16) if quick else (1, 2, 4, 8, 16, 32, 64, 128)
    sweeps = {
        str(n): ours.Sweep(part, ours.NETWORKS["dense"], "adam", n, at_once=n) for n in counts
    }
    rows = []
    for (name, sweep), timing in zip(sweeps.items(), _epochs(sweeps).values(), strict=True):
        program, _ = sweep.compile()
        memory = program.memory_analysis()
        rows.append(
            _row(timing.times(1 / sweep.steps / int(name)), trials=int(name))
            | {"state_mib": parallel.bytes_of(sweep.state) / 2**20}
            | {"scratch_mib": memory.temp_size_in_bytes / 2**20 if memory else None}
        )
    return rows


def chunks(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time of a large Adam sweep against how many trials are trained at once."""
    part, counts = ours.part(data, 2000), (4, 40) if quick else (2, 4, 8, 12, 20, 40)
    sizes = [None, *counts]
    sweeps = {
        str(size): ours.Sweep(part, ours.NETWORKS["dense"], "adam", 40, at_once=size)
        for size in sizes
    }
    return [
        _row(timing.times(1 / sweeps[name].steps / 40), trials_at_once=sweeps[name].at_once)
        | {"chosen": name == "None"}
        for name, timing in _epochs(sweeps).items()
    ]


def images(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time of a step against the number of training images."""
    counts = (1000, 10_000) if quick else (1000, 10_000, PAPER_IMAGES)
    sweeps = {
        str(n): ours.Sweep(ours.part(data, n), ours.NETWORKS["dense"], "sgd", 10) for n in counts
    }
    return [
        _row(timing.times(1 / sweeps[name].steps / 10), images=int(name))
        for name, timing in _epochs(sweeps).items()
    ]


def width(data: ej.Dataset, machine: dict, quick: bool) -> list[dict]:
    """Time of a step against the width of both hidden layers."""
    part, widths = ours.part(data, 2000), (50, 100) if quick else (25, 50, 100, 200, 400, 800)
    models = {str(w): ej.MLP(hidden=(w, w)) for w in widths}
    sweeps = {name: ours.Sweep(part, model, "sgd", 10) for name, model in models.items()}
    rows = []
    for name, timing in _epochs(sweeps).items():
        image = data.train.images.shape[1:]
        cost = roofline.cost(models[name], "sgd", image, len(data.classes), ours.BATCH)
        step = timing.times(1 / sweeps[name].steps / 10)
        rate = cost.flop / step.median / machine["flop_per_second"]
        rows.append(_row(step, width=int(name), matrix_rate=rate))
    return rows


def devices(data: ej.Dataset) -> list[dict]:
    """Time of a step against the number of devices that share the trials."""
    part, present = ours.part(data, 5000), len(jax.devices())
    counts = sorted({1, *(n for n in (2, 4, 8, 16) if n < present), present})
    sweeps = {
        str(n): ours.Sweep(part, ours.NETWORKS["dense"], "sgd", 10 * n, devices=n) for n in counts
    }
    rows = [
        _row(timing.times(1 / sweeps[n].steps / sweeps[n].trials), devices=int(n))
        for n, timing in _epochs(sweeps).items()
    ]
    one = rows[0]["seconds"]
    return [row | {"efficiency": one / row["devices"] / row["seconds"]} for row in rows]


def checkpoint(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time to save and to restore the state of a sweep."""
    rows = []
    for network, n in (("dense", 25), ("C1", 2 if quick else 5)):
        sweep = ours.Sweep(ours.part(data, 500), ours.NETWORKS[network], "adam", n, at_once=n)
        arrays = arrays_of(sweep.state, sweep.chunk)
        state = sweep.runner.fresh(n)._replace(chunk=0, epoch=1, arrays=arrays)
        with tempfile.TemporaryDirectory() as folder:
            configuration = sweep.runner.plan.configuration()
            checkpoints = Checkpoints(Path(folder) / "checkpoint", configuration, "this device", 0)
            checkpoints.save(state)  # warm
            save = partial(checkpoints.save, state)
            timed = alternate({"save": save, "restore": checkpoints.restore}, ROUNDS)
        size = parallel.bytes_of(arrays) / 2**20
        row = {"network": network, "trials": n, "mib": size}
        rows.append(row | {name: timing._asdict() for name, timing in timed.items()})
    return rows


def compilation(data: ej.Dataset, quick: bool) -> list[dict]:
    """Time to compile an epoch's and an evaluation's program, with no cache to help.

    Each time for another number of images: JAX would not compile the same program again.
    """
    from jax.experimental.compilation_cache import compilation_cache

    rows, folder = [], jax.config.jax_compilation_cache_dir
    compilation_cache.reset_cache()  # a change of the folder alone would go unnoticed
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        for network in ("dense",) if quick else ours.NETWORKS:
            model, sizes = ours.NETWORKS[network], (1000,) if quick else (1000, 1500, 2000)
            sweeps = [ours.Sweep(ours.part(data, size), model, "adam", 5) for size in sizes]
            times = [seconds_of(sweep.compile) for sweep in sweeps]
            rows.append({"network": network} | Timing.of(times)._asdict())
    finally:
        compilation_cache.reset_cache()
        jax.config.update("jax_compilation_cache_dir", folder)
    return rows


def start(quick: bool) -> dict[str, object]:
    """Time, in fresh processes: import, first and second load of data, first and second start.

    A start is timed from before Python until the first epoch of 25 dense trials ends, less the time
    of the second epoch: so it holds data (already drawn), compilation or its cache, and the first
    evaluation. Each round begins with an empty cache.
    """
    times: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"EMNIST_JAX_CACHE": folder}
            times["python"].append(seconds_of(partial(_python, "pass", environment)))
            times["import"].append(seconds_of(partial(_python, "import emnist_jax", environment)))
            for name in ("first load", "second load"):
                times[name].append(float(_python(_LOAD, environment)))
            for name in ("first start", "second start"):
                ended, _, _, epoch = map(float, _python(_START, environment).split())
                times[name].append(ended - epoch)
    return {"heavy": _python(_HEAVY, dict(os.environ))} | {
        name: Timing.of(seconds)._asdict() for name, seconds in times.items()
    }


_HEAVY = """
import sys, emnist_jax
heavy = {"tensorflow_datasets", "matplotlib", "orbax", "scipy.stats"}
print(sorted(heavy & sys.modules.keys()))
"""
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


def paper(timed: list[dict]) -> dict[str, object]:
    """Project the time of the paper's experiments from measured epochs and evaluations."""
    seconds = {
        (r["network"], r["rule"]): (r["epoch"]["median"] + r["evaluation"]["median"])
        / r["trials"]
        * (PAPER_IMAGES / r["images"])
        for r in timed
    }
    rows = [
        {"experiment": name, "network": of[0], "trials": trials, "epochs": epochs}
        | {"hours": trials * epochs * seconds[of] / 3600}
        for name, of, trials, epochs in PAPER
    ]
    dense = sum(row["hours"] for row in rows if row["experiment"] in DENSE_EXPERIMENTS)
    return {"rows": rows, "dense_hours": dense}
