"""The run that faults are injected into, in processes of its own."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax.store.curves import load_curves
from emnist_jax.store.files import load_arrays

SIZE, EPOCHS = 1316, 5
# Dropout draws, running statistics, moments, a trial that overflows at once, three chunks.
MODEL = ej.MLP(hidden=(16,), batch_norm=ej.BatchNorm(statistics="running"))
GRID = {"learning_rate": [1e-3, 1e-2, 3e38], "dropout": [0.0, 0.2]}

# Children are forked from a server that has imported all this, but not started JAX.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["emnist_jax.engine.run", "h5netcdf", "safetensors.numpy", "optax"]
)


def train(folder: Path) -> tuple[xr.Dataset, object]:
    return ej.sweep(
        ej.load("glyphs", size=SIZE),
        MODEL,
        "adam",
        GRID,
        seeds=2,
        epochs=EPOCHS,
        keep="best",
        out=folder,
        checkpoint_minutes=0,
        trials_at_once=4,
        progress_bar=False,
    )


def _child(work: Callable, path: Path, cache: str, limit: int | None) -> None:
    """Do the work as a command line would: bad input is a line on stderr and exit code 2."""
    os.environ["EMNIST_JAX_CACHE"] = cache
    with open(f"{path}.log", "w") as log:
        os.dup2(log.fileno(), 2)
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        work(path)
    except ej.InputError as error:
        os.write(2, f"error: {error}\n".encode())
        os._exit(2)


def start(path: Path, work: Callable = train, *, cache: str | None = None, limit=None):
    """Start a process that does `work(path)`; what it says goes to `path`.log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = work, path, cache or os.environ["EMNIST_JAX_CACHE"], limit
    process = PROCESSES.Process(target=_child, args=arguments, daemon=True)
    process.start()
    return process


def run(path: Path, work: Callable = train, **options) -> tuple[int, str]:
    """Return exit code and stderr of a process that does `work(path)`."""
    process = start(path, work, **options)
    process.join(600)  # reading 300 damaged files takes minutes on a busy machine
    return process.exitcode, said(path)


def reference(path: Path) -> tuple[dict[str, bytes], float]:
    """Return the outcome of a run left alone, and the seconds from its first checkpoint on."""
    run(path.with_name("warm-up"))  # fills the cache of compiled programs
    process, saving = start(path), None
    while process.is_alive():
        saving = saving or (newest(path) and time.monotonic())
        time.sleep(0.002)
    assert process.exitcode == 0, said(path)
    return outcome(path), time.monotonic() - saving


def said(path: Path) -> str:
    return Path(f"{path}.log").read_text()


def kill_when(path: Path, moment: Callable[[], bool]) -> bool:
    """Start the run, SIGKILL it when the moment has come; return whether it came before the end."""
    process = start(path)
    while process.is_alive():
        if moment():
            process.kill()
            break
    process.join()
    return process.exitcode == -9


def after(folder: Path, seconds: float) -> Callable[[], bool]:
    """The moment some time after the run goes on saving, or, when negative, after its start."""
    before, started = newest(folder), time.monotonic()
    saving = []  # when it was first seen to save

    def moment() -> bool:
        now = time.monotonic()
        if seconds < 0:
            return now - started > -seconds
        if not saving and newest(folder) != before:
            saving.append(now)
        return bool(saving) and now - saving[0] > seconds

    return moment


def newest(folder: Path) -> str:
    try:
        return max(os.listdir(folder / "checkpoint"), default="")
    except FileNotFoundError:
        return ""


def inside_write(folder: Path, file: str, number: int = 1) -> Callable[[], bool]:
    """The moment `file`... is being written, for the `number`-th time in this process."""
    where = (folder / file).parent
    start = f".{Path(file).name}"

    def writing() -> set[str]:
        try:
            return {name for name in os.listdir(where) if name.startswith(start)}
        except FileNotFoundError:
            return set()

    before, seen = writing(), set()  # before: left by an earlier kill

    def moment() -> bool:
        now = writing() - before
        seen.update(now)
        return bool(now) and len(seen) >= number

    return moment


def kill_inside(path: Path, file: str, number: int) -> None:
    """Kill a run inside a write; it begins anew where that moment was missed on a busy machine."""
    for _ in range(20):
        if kill_when(path, inside_write(path, file, number)):
            return
        shutil.rmtree(path)
    raise TimeoutError(f"no write of {file} was seen in 20 runs")


def unfinished(folder: Path) -> list[Path]:
    """Files a killed process was in the middle of writing."""
    return [*folder.glob(".*.tmp"), *folder.glob("checkpoint/.*.tmp")]


def outcome(folder: Path) -> dict[str, bytes]:
    """Every number a finished run gave, as bytes: curves and networks."""
    curves = load_curves(folder / "curves.nc")
    leaves, _ = load_arrays(folder / "networks.safetensors")
    return {name: curves[name].values.tobytes() for name in curves} | {
        name: array.tobytes() for name, array in leaves.items()
    }


def flip(path: Path, random: np.random.Generator) -> None:
    """Flip one random bit of a file."""
    raw = bytearray(path.read_bytes())
    raw[random.integers(len(raw))] ^= 1 << int(random.integers(8))
    path.write_bytes(bytes(raw))
