"""Damage other than killing: full and read-only disks, flipped bits, torn files, two at once."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

import emnist_jax as ej
from emnist_jax.store.curves import load_curves
from emnist_jax.store.files import load_arrays

from . import victim

Count = tuple[int, int]  # injected, lost
Reference = Mapping[str, bytes]


class NotPermittedError(Exception):
    """This machine does not allow a fault to be made."""


def full_disk(folder: Path, reference: Reference) -> Count:
    """Disk full, then enlarged."""
    sizes = (0, 8, 24, 48, 80, 120, 160, 176, 184)  # KiB: from the first checkpoint to the curves
    lost = 0
    for size in sizes:
        with disk(folder / f"disk{size}", f"{size + 4}k") as where:
            path = where / "run"
            work = partial(_train, f"{where.name}/run")
            refused = one_line(*victim.run(folder / "log", work), "make room")
            remount(where, "size=16m")
            lost += not (refused and same(path, reference))
    return len(sizes), lost


def read_only_disk(folder: Path, reference: Reference) -> Count:
    """Disk read-only, then writable."""
    with disk(folder / "disk", "16m") as where:
        path = where / "run"
        victim.kill_inside(path, "checkpoint/0", 4)
        remount(where, "ro")
        said = victim.run(folder / "log", partial(_train, "disk/run"))
        refused = one_line(*said, "cannot be written: Read-only")
        remount(where, "rw")
        return 1, 0 if refused and same(path, reference) else 1


def damaged_checkpoints(folder: Path, reference: Reference) -> Count:
    """Checkpoint flipped or torn."""
    random, lost, cases = np.random.default_rng(1), 0, 0
    begun = folder / "begun"
    victim.kill_inside(begun, "checkpoint/0", 9)
    for damaged in (1, 1, 1, 1, 2):  # the newest, or both
        for harm in (victim.flip, _tear):
            cases += 1
            path = folder / f"run{cases}"
            shutil.copytree(begun, path)
            for file in sorted((path / "checkpoint").glob("*.safetensors"))[-damaged:]:
                harm(file, random)
            code, said = victim.run(path)
            noticed = said.count(": damaged,") == damaged
            lost += not (code == 0 and noticed and victim.outcome(path) == reference)
    return cases, lost


def flipped_curves(folder: Path, reference: Reference) -> Count:
    """Bit flipped in curves.nc."""
    return _flips(folder, _read_flipped_curves, folder.parent / "reference/curves.nc")


def flipped_networks(folder: Path, reference: Reference) -> Count:
    """Bit flipped in networks.safetensors."""
    return _flips(folder, _read_flipped_networks, folder.parent / "reference/networks.safetensors")


def flipped_cache(folder: Path, reference: Reference) -> Count:
    """Bit flipped in the array cache."""
    cache, random, lost, cases = folder / "cache", np.random.default_rng(2), 0, 8
    shutil.copytree(os.environ["EMNIST_JAX_CACHE"], cache)
    for case in range(cases):
        victim.flip(next(cache.glob("*.npz")), random)
        path = folder / f"run{case}"
        code, _ = victim.run(path, cache=str(cache))
        lost += not (code == 0 and victim.outcome(path) == reference)
    return cases, lost


def two_runs_at_once(folder: Path, reference: Reference) -> Count:
    """Two runs into one folder."""
    cases, lost = 3, 0
    for case in range(cases):
        path = folder / f"run{case}"
        first = victim.start(path)
        while not victim.newest(path) and first.is_alive():
            time.sleep(0.001)
        os.kill(first.pid, signal.SIGSTOP)  # else it may end before the second has begun
        refused = one_line(*victim.run(folder / "log", partial(_train, path.name)), "another run")
        os.kill(first.pid, signal.SIGCONT)
        first.join()
        lost += not (refused and first.exitcode == 0 and victim.outcome(path) == reference)
    return cases, lost


def two_caches_at_once(folder: Path, reference: Reference) -> Count:
    """Three processes build one array cache."""
    paths = [folder / f"run{i}" for i in range(3)]
    processes = [victim.start(path, cache=str(folder / "cache")) for path in paths]
    for process in processes:
        process.join()
    equal = [p.exitcode == 0 for p in processes] + [victim.outcome(p) == reference for p in paths]
    return 1, 0 if all(equal) and len(list((folder / "cache").glob("*.npz"))) == 1 else 1


def command_line(folder: Path, reference: Reference) -> Count:
    """Command line stopped by a signal."""
    words = [sys.executable, "-m", "experiments.sgd", "--overwrite", "--size", str(victim.SIZE)]
    words += ["--epochs", "150", "--seeds", "2", "--out"]
    finish([*words, str(folder / "reference")])
    expected, lost = load_curves(folder / "reference/sgd/curves.nc"), 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        path = folder / number.name
        process = subprocess.Popen(
            [*words, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while not (path / "sgd/.lock").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(1.5)
        process.send_signal(number)
        said = process.communicate(timeout=120)[1]
        if number == signal.SIGKILL:
            stopped, again = process.returncode == -9, [*words, str(path)]
            again.remove("--overwrite")
        else:
            stopped = process.returncode == 130 and bool(victim.newest(path / "sgd"))
            again = [sys.executable, *shlex.split(said.rpartition("from here: ")[2])[1:]]
        finish(again)
        found = load_curves(path / "sgd/curves.nc")
        lost += not (stopped and all(np.array_equal(found[v], expected[v]) for v in expected))
    return 3, lost


SCENARIOS: tuple[Callable[[Path, Reference], Count], ...] = (
    command_line,
    full_disk,
    read_only_disk,
    damaged_checkpoints,
    flipped_curves,
    flipped_networks,
    flipped_cache,
    two_runs_at_once,
    two_caches_at_once,
)


def finish(words: list[str]) -> None:
    """Run a command to its end."""
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def same(path: Path, reference: Reference) -> bool:
    """Whether the run, resumed, ends like the reference and leaves nothing unfinished."""
    code, _ = victim.run(path)
    return code == 0 and victim.outcome(path) == reference and not victim.unfinished(path)


def one_line(code: int, said: str, reason: str) -> bool:
    """Whether a process gave exit code 2 and one line with a reason."""
    right = code == 2 and said.startswith("error: ") and said.count("\n") == 1 and reason in said
    if not right:
        print(f"exit code {code}: {said}")
    return right


@contextmanager
def disk(where: Path, size: str) -> Iterator[Path]:
    """Mount a small disk in memory."""
    where.mkdir(parents=True)
    try:
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(where)]
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise NotPermittedError("mounting a small disk takes root") from None
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


def remount(where: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(where)], check=True)


def _tear(path: Path, random: np.random.Generator) -> None:
    """Leave the first part of a file only."""
    os.truncate(path, int(random.integers(path.stat().st_size)))


def _train(run: str, log: Path) -> None:
    """Train in another folder than the one whose log is written."""
    victim.train(log.parent / run)


FLIPS = 300


def _flips(folder: Path, read: Callable[[Path], None], file: Path) -> Count:
    """Read a file with one bit flipped, many times; in its own process, which must not crash."""
    folder.mkdir(exist_ok=True)
    shutil.copy(file, folder / file.name)
    code, said = victim.run(folder / file.name, read)
    if code != 0:
        print(f"exit code {code}: {said}")
    return FLIPS, 0 if code == 0 else FLIPS


def _read_flipped_curves(path: Path) -> None:
    expected = load_curves(path)
    _read_flipped(path, lambda: load_curves(path).identical(expected))


def _read_flipped_networks(path: Path) -> None:
    expected, about = load_arrays(path)

    def equal() -> bool:
        found, text = load_arrays(path)
        return text == about and all(np.array_equal(found[k], expected[k]) for k in expected)

    _read_flipped(path, equal)


def _read_flipped(path: Path, equal: Callable[[], bool]) -> None:
    """Assert that whatever bit is flipped, reading gives the same arrays, or an InputError."""
    random, whole = np.random.default_rng(3), path.read_bytes()
    for _ in range(FLIPS):
        victim.flip(path, random)
        try:
            assert equal(), "a flipped bit gave other arrays"
        except ej.InputError as error:
            assert "\n" not in str(error), error
        path.write_bytes(whole)
