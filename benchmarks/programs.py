"""The programs that a GPU, TPU cores and this CPU run, read without the device: `make programs`.

XLA compiles for a device from a description of it; the H100's is `h100.txt`. Nothing here is timed:
what a step launches, reads and writes is counted in the compiled program, and a lower bound of the
time follows from it. It leaves out the choices of the autotuner, which needs the device.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
from jax.experimental.topologies import get_topology_desc
from jax.sharding import AxisType, Mesh

import emnist_jax as ej
from benchmarks import ours, roofline
from benchmarks.scaling import kind_of, papers_sweeps
from benchmarks.tables import table
from emnist_jax._setup import start_jax
from emnist_jax.engine import programs
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.forecast import memory
from emnist_jax.engine.job import make_job
from emnist_jax.store.files import write_text

H100 = {"bytes_per_second": 3.35e12, "flop_per_second": 67e12}  # float32, as the paper's sweeps
LAUNCH = 2.5e-6  # seconds a kernel, about
TARGETS = "one H100", "4 v5e cores", "8 v5e cores", "this CPU"
# Network and rule: settings, of five seeds each.
CASES = {("dense", "sgd"): 5, ("dense", "adam"): 32, ("C1", "adam"): 2, ("C2", "adam"): 2}
SEEDS, CLASSES, TRAIN, VALID = 5, 47, 100_000, 15_800
COLLECTIVES = "all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter"
_SIZES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s64": 8, "u64": 8, "f64": 8}
_NO_KERNEL = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast", "after-all"}
_NO_KERNEL |= {"copy-start", "copy-done", "slice-start", "slice-done", "partition-id"}
# On an H100: kernels of a step at most, bytes at most so many times the least, and why not.
GOALS = {
    ("dense", "sgd"): (18, 1.25, "activations and their gradients, for few settings a seed"),
    ("dense", "adam"): (18, 1.25, "Adam's three results are no end of a product"),
    ("C1", "adam"): (30, 1.25, "patches, pooling and padding are kernels of their own"),
    ("C2", "adam"): (30, 1.25, "its patches are thirty times its weights"),
}
NEXT = {
    "dense": "updates of all biases as one array",
    "C1": "a kernel of one's own for convolution and pooling",
    "C2": "a kernel of one's own for convolution and pooling",
}


class Kernel(NamedTuple):
    """An instruction of a loop's body that a device runs."""

    name: str
    shape: str
    written: int  # bytes
    read: int  # bytes; of arrays that lead with the loop's steps, those of one step


class Loop(NamedTuple):
    """The loop of an epoch's program over its steps, or one of an evaluation's over batches."""

    trips: int
    kernels: list[Kernel]

    @property
    def bytes(self) -> int:
        """Return the bytes that a step reads and writes."""
        return sum(kernel.written + kernel.read for kernel in self.kernels)


def mesh(target: str) -> Mesh:
    """Return the devices of a target."""
    count = int(target.split()[0]) if target[0].isdigit() else 1
    if target == "this CPU":
        return programs.row_mesh()
    if "v5e" in target:
        found = get_topology_desc(f"v5e:2x{count // 2}x1", platform="tpu")
    else:
        config = Path(__file__).with_name("h100.txt").read_text()
        options = {"target_config": config, "topology": "1x1x1"}
        found = get_topology_desc("h100", platform="cuda", **options)
    devices = np.array(found.devices)
    return Mesh(devices, ("rows",), axis_types=(AxisType.Auto,))


def images() -> ej.Dataset:
    """Return data of the paper's size; what they show decides nothing here."""

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((count, 28, 28, 1), np.uint8), np.arange(count, dtype=np.int32) % CLASSES

    return ej.load({"train": part(TRAIN), "valid": part(VALID), "test": part(CLASSES)})


def chunk(data: ej.Dataset, network: str, rule: str, target: str) -> tuple[Runner, np.ndarray]:
    """Return a runner on a target, and the rows of a case: its seeds; on a CPU, what suits it."""
    rates = np.geomspace(1e-4, 1e-2, CASES[network, rule]).tolist()
    sweep = ej.Sweep(ours.NETWORKS[network], rule, {"learning_rate": rates}, SEEDS, ours.EPOCHS)
    job, devices = make_job(sweep, data), mesh(target)
    runner = Runner(job, devices)
    rows = np.arange(job.trials).reshape(-1, SEEDS).T
    return runner, runner.layout()[0] if runner.on_cpu else rows


def loops(text: str) -> list[Loop]:
    """Return the loops over steps or batches of an optimised program, `compiled.as_text()`."""
    parts, found = _computations(text), []
    for line in text.splitlines():
        if called := re.search(r" while\(.*condition=%([\w.\-]+), body=%([\w.\-]+)", line):
            trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
            trips = trips or re.search(r"constant\((\d+)\)", " ".join(parts[called[1]]))
            if trips:
                kernels = list(_kernels(parts[called[2]], int(trips[1])))
                found.append(Loop(int(trips[1]), kernels))
    return found


def _computations(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if head := re.match(r"^(?:ENTRY )?%([\w.\-]+) .*\{\s*$", line):
            lines = found.setdefault(head[1], [])
        elif re.match(r"^\s+(ROOT )?%", line):
            lines.append(line.strip())
    return found


def _kernels(body: list[str], trips: int) -> Iterator[Kernel]:
    shapes: dict[str, str] = {}
    for line in body:
        name, shape, op, operands = re.match(
            r"(?:ROOT )?%([\w.\-]+) = (.*?) ([a-z\-]+)\((.*)$", line
        ).groups()
        shapes[name] = shape
        if op not in _NO_KERNEL:
            used = dict.fromkeys(re.findall(r"%([\w.\-]+)", operands.split(")")[0]))
            read = sum(_bytes(shapes[one], trips) for one in used if one in shapes)
            yield Kernel(name, shape, _bytes(shape, trips), read)


def _bytes(shape: str, trips: int) -> int:
    total = 0
    for kind, dims in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", shape):
        dims = [int(n) for n in dims.split(",") if n]
        if kind == "s8" and len(dims) == 1:
            continue  # room that a cuBLAS product may use for itself
        whole = _SIZES.get(kind, 4) * int(np.prod(dims, dtype=np.int64))
        total += whole // trips if dims[:1] == [trips] else whole
    return total


def moved(found: list[Loop], runner: Runner, trials: int) -> list[str]:
    """Return the copies and transposes in loops as large as a layer's weights of so many trials."""
    weights = {trials * leaf.size for leaf in jax.tree.leaves(runner.trial.params) if leaf.ndim > 1}
    return [
        kernel.name
        for loop in found
        for kernel in loop.kernels
        if re.search("copy|transpose|pad", kernel.name)
        and any(_elements(dims) in weights for dims in re.findall(r"\[([\d,]+)\]", kernel.shape))
    ]


def _elements(dims: str) -> int:
    return int(np.prod([int(n) for n in dims.split(",")]))


def measure(data: ej.Dataset, network: str, rule: str, target: str) -> dict[str, object]:
    """Compile the programs of a case for a target, and return what they hold."""
    runner, rows = chunk(data, network, rule, target)
    return held(runner, rows, runner.compiled(rows)) | {"case": (network, rule), "target": target}


def held(
    runner: Runner, rows: np.ndarray, made: dict[str, jax.stages.Compiled]
) -> dict[str, object]:
    """Return what compiled programs hold."""
    text = made["epoch"].as_text()
    loop = max(loops(text), key=lambda one: one.bytes)  # others shuffle
    on_device = -(-len(rows) // runner.mesh.size)  # rows, padding included
    trials = on_device * rows.shape[1]
    job = runner.job
    cost = roofline.cost(job.structure.model, job.rule_name, (28, 28, 1), CLASSES, ours.BATCH)
    pixels = ours.BATCH * 784
    batches = loops(made["evaluate"].as_text())
    evaluation = sum(one.trips * bound(one) for one in batches)
    return {
        "trials": rows.size,
        "kernels": len(loop.kernels),
        "bytes": loop.bytes,
        "least": trials * (cost.bytes - pixels) + on_device * pixels,
        "memory": max(map(_memory, made.values())),
        "forecast": memory(runner, rows, made).total,
        "collectives": sum(word in text for word in COLLECTIVES),
        "moved": moved([loop, *batches], runner, trials),
        "seconds": loop.trips * bound(loop, trials * cost.flop) + evaluation,
    }


def _memory(program: jax.stages.Compiled) -> int:
    used = program.memory_analysis()
    held = used.argument_size_in_bytes + used.temp_size_in_bytes + used.output_size_in_bytes
    return held - used.alias_size_in_bytes


def bound(loop: Loop, flop: float = 0) -> float:
    """Return the least seconds of a step on an H100, of which so many operations are known."""
    limit = max(loop.bytes / H100["bytes_per_second"], flop / H100["flop_per_second"])
    return limit + LAUNCH * len(loop.kernels)


def minutes_of_papers_epochs(seconds: dict[tuple[str, str], float]) -> float:
    """Return the minutes of the paper's sweeps from seconds an epoch, by network and rule."""
    total = 0.0
    for _, sweep in papers_sweeps().values():
        network, rule = kind_of(sweep)
        each = seconds[network.split(",")[0], "sgd" if rule == "sgd" else "adam"]
        settings = int(np.prod([np.size(values) for values in sweep.grid.values()]))
        total += settings * sweep.seeds * sweep.epochs * each
    return total / 60


def render(rows: list[dict]) -> str:
    """Return the table as Markdown."""
    one = (row for row in rows if row["target"] == "one H100")
    least = minutes_of_papers_epochs({row["case"]: row["seconds"] / row["trials"] for row in one})
    head = "", "for", "trials", "kernels", "MB a step", "least", "ratio"
    head += "memory, MiB", "forecast", "collectives", "weights moved"
    lines = [
        (
            *(", ".join(r["case"]), r["target"], str(r["trials"]), str(r["kernels"])),
            *(f"{r[name] / 1e6:,.1f}" for name in ("bytes", "least")),
            f"{r['bytes'] / r['least']:.2f}",
            *(f"{r[name] / 2**20:,.0f}" for name in ("memory", "forecast")),
            *(str(r["collectives"]), ", ".join(r["moved"]) or "none"),
        )
        for r in rows
    ]
    return "\n\n".join(
        [
            "## The programs of a GPU and of TPU cores, read without them",
            f"`make programs`, with jax {jax.__version__}: what XLA compiles for a device that is "
            "not there, one step of an epoch, on one device. MB read and written count every "
            "array that a kernel takes and gives, whether a cache has it or not; the least is "
            "parameters and moments in and out once, and the pixels. Memory is the most that any "
            "of a sweep's programs takes, and its forecast. On a CPU a kernel is no launch.",
            table(head, lines),
            f"Computed, not measured: from these bytes at 3.35 TB/s, the operations at 67 "
            f"TFLOP/s (float32) and {LAUNCH * 1e6} us a kernel, the whole paper at five seeds "
            f"takes an H100 {least:.0f} minutes at least, evaluation included. "
            "Sweeps of the dense network with RMSprop, with other forms of Adam and with batch "
            "normalisation count as Adam's.",
            "Goals on an H100, kernels a step and bytes by the least:",
            table(("", "kernels", "bytes", "if missed, why", "next"), _goals(rows)),
        ]
    )


def _goals(rows: list[dict]) -> Iterator[tuple[str, ...]]:
    for r in rows:
        if r["target"] == "one H100":
            kernels, ratio, why = GOALS[r["case"]]
            more = r["bytes"] / r["least"]
            met = r["kernels"] <= kernels, more <= ratio
            missed = not all(met)
            yield (
                ", ".join(r["case"]),
                f"{r['kernels']} of at most {kernels}: {'met' if met[0] else '**missed**'}",
                f"{more:.2f} of at most {ratio}: {'met' if met[1] else '**missed**'}",
                why * missed,
                NEXT[r["case"][0]] * missed,
            )


def main() -> None:
    """Compile everything, and write programs.md."""
    start_jax()  # a CPU device a core, as a run has
    data = images()
    rows = []
    for target in TARGETS:
        for case in CASES:
            print(*case, target, file=sys.stderr, flush=True)
            rows.append(measure(data, *case, target))
    file = Path(__file__).with_name("programs.md")
    write_text(file, render(rows) + "\n")
    print(file)


if __name__ == "__main__":
    main()
