"""Save and resume a sweep: whole states only, damage detected, killed at any instant."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emnist_jax import results
from emnist_jax.errors import InputError


class State(NamedTuple):
    """How far a sweep has come: everything it needs to go on, to the last bit."""

    chunk: int  # the chunk in training
    epoch: int  # the last epoch recorded of it; -1 before any
    chunk_size: int
    arrays: list[np.ndarray]  # the chunk's trials, flattened
    values: dict[str, np.ndarray]  # metrics of all trials, (trials, epochs + 1)
    kept: list[np.ndarray]  # variables of the networks to keep, (trials, ...); empty if none
    kept_epoch: np.ndarray  # the epoch each is of, (trials,)
    seconds: np.ndarray  # training seconds, (chunks, epochs)
    wall_seconds: float


class Checkpoints:
    """The checkpoints of one sweep in a folder: the newest two, each with a checksum."""

    def __init__(self, folder: Path, every_minutes: float):
        self.folder, self.every, self.saved_at = folder, 60 * every_minutes, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last save is `every_minutes` ago."""
        return time.monotonic() - self.saved_at >= self.every

    def save(self, state: State) -> None:
        """Write a state as the newest checkpoint; older ones than the one before it are removed.

        A disk that is full loses the new checkpoint only: the older ones stay.
        """
        number = max(self._numbers(), default=0) + 1
        tree = _to_tree(state)
        tree["checksum"] = np.frombuffer(_digest(tree), np.uint8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _checkpointer().save(self._path(number).absolute(), tree)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder}: the checkpoint cannot be written ({_first_line(error)}); "
                "make room and run the same command again"
            ) from error
        for old in self._numbers()[:-2]:
            shutil.rmtree(self._path(old), ignore_errors=True)
        self.saved_at = time.monotonic()

    def restore(self) -> State | None:
        """Return the newest checkpoint that is whole, or None."""
        for number in reversed(self._numbers()):
            try:
                tree = _checkpointer().restore(self._path(number).absolute())
                tree = {name: np.array(value) for name, value in tree.items()}
                if tree.pop("checksum").tobytes() == _digest(tree):
                    return _from_tree(tree)
            except Exception:  # a torn or damaged file raises anything; an older one may be whole
                pass
            print(f"{self._path(number)}: damaged, going back to the checkpoint before it")
        return None

    def clear(self) -> None:
        """Remove all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}"

    def _numbers(self) -> list[int]:
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if p.name.isdecimal())


def _checkpointer():
    import orbax.checkpoint as ocp  # heavy: only sweeps that are saved pay for it

    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler())


def _to_tree(state: State) -> dict[str, np.ndarray]:
    tree = {f"array {i:03d}": array for i, array in enumerate(state.arrays)}
    tree |= {f"kept {i:03d}": array for i, array in enumerate(state.kept)}
    tree |= {f"value {name}": array for name, array in state.values.items()}
    counts = np.array([state.chunk, state.epoch, state.chunk_size], np.int64)
    return tree | {
        "counts": counts,
        "kept_epoch": state.kept_epoch,
        "seconds": state.seconds,
        "wall_seconds": np.array(state.wall_seconds),
    }


def _from_tree(tree: Mapping[str, np.ndarray]) -> State:
    chunk, epoch, chunk_size = (int(n) for n in tree["counts"])
    arrays = [tree[name] for name in sorted(tree) if name.startswith("array ")]
    kept = [tree[name] for name in sorted(tree) if name.startswith("kept ")]
    values = {n.removeprefix("value "): a for n, a in tree.items() if n.startswith("value ")}
    return State(
        chunk,
        epoch,
        chunk_size,
        arrays,
        values,
        kept,
        tree["kept_epoch"],
        tree["seconds"],
        float(tree["wall_seconds"]),
    )


def _digest(tree: Mapping[str, np.ndarray]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(tree):
        array = np.ascontiguousarray(tree[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one run; the lock goes with the process, however it ends.

    Raises:
        InputError: another run holds the folder, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"{folder}: another run is writing here; wait for it, or choose another --out"
            ) from None
        yield
    finally:
        os.close(handle)


def check_same(folder: Path, configuration: Mapping[str, object], ignore: tuple = ()) -> None:
    """Compare a run's configuration with the one its folder was begun with; write it if new.

    Raises:
        InputError: naming what differs.
    """
    path = folder / "configuration.json"
    if not path.exists():
        results.write_text(path, json.dumps(configuration, indent=1, sort_keys=True) + "\n")
        return
    try:
        begun = json.loads(path.read_text())
    except ValueError:
        raise InputError(f"{path}: damaged; use --overwrite, or choose another --out") from None
    now = json.loads(json.dumps(configuration))
    differing = [
        f"{name} {_short(begun.get(name))} there, {_short(now.get(name))} here"
        for name in sorted({*begun, *now} - set(ignore))
        if begun.get(name) != now.get(name)
    ]
    if differing:
        raise InputError(
            f"{folder} holds another run ({'; '.join(differing)}); "
            "use --overwrite, or choose another --out"
        )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets, so that the run saves before it stops.

    A second signal stops at once. Outside the main thread nothing is caught.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
