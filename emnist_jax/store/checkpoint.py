"""Save and resume a sweep: whole states only, damage detected, killed at any instant."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from emnist_jax import hosts
from emnist_jax.console import show
from emnist_jax.errors import InputError, short
from emnist_jax.store.files import DamagedError, load_arrays, remove_unfinished, save_arrays

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


CHOOSE = "choose another --out (or --name, where there is one), or use --overwrite"
FINISH = "it has not ended: finish it by the command that began it, or remove its checkpoint folder"
# What older versions did not record.
OLDER = {"jax_settings": {}, "order": 0, "precision": "default", "variants": {}, "watch": []}
_FOLLOWS = {  # what of a configuration differs only because something else does
    "model_fields": {"model"},
    "evaluation_batch": {"model", "batch_size"},
    "own_code": {"model", "rule", "metrics", "variants"},
    "program": {
        *("model", "rule", "metrics", "variants", "batch_size", "settings", "dtype", "data_hash"),
    },
    "data_hash": {"data", "images"},
    "split_hash": {"data", "images"},
    "dims": {"settings"},
}


class State(NamedTuple):
    """How far a sweep has come: everything it needs to go on, to the last bit."""

    chunk: int  # the chunk in training
    epoch: int  # the last epoch recorded of it; -1 before any
    chunks: list[np.ndarray]  # the trials of each chunk, (rows, k), see `layout`
    begun: np.ndarray  # the epoch each chunk goes on from, -1 for one that begins, (chunks,)
    arrays: list[np.ndarray]  # the chunk's trials, flattened
    values: dict[str, np.ndarray]  # metrics of all trials, (trials, epochs + 1)
    kept: list[np.ndarray]  # variables of the networks to keep, (trials, kept of each, ...)
    kept_epoch: np.ndarray  # the epoch each is of, (trials, kept of each)
    seconds: np.ndarray  # training seconds, (chunks, epochs)
    wall_seconds: float


class Checkpoints:
    """The checkpoints of one run in a folder: the newest two, each with what it is a run of."""

    def __init__(
        self, folder: Path, configuration: Mapping[str, object], devices: str, every_minutes: float
    ):
        self.folder, self.configuration, self.devices = folder, configuration, devices
        self.every, self.saved_at = 60 * every_minutes, time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last save is `every_minutes` ago."""
        return time.monotonic() - self.saved_at >= self.every

    def save(self, state: State) -> None:
        """Write a state as the newest checkpoint, then remove those older than the one before it.

        If it cannot be written (full disk), an `InputError`, the older checkpoints stay.
        """
        hosts.first(self._save, state)
        self.saved_at = time.monotonic()

    def _save(self, state: State) -> None:
        numbers = self._numbers()
        about = {"configuration": json.dumps(self.configuration), "devices": self.devices}
        save_arrays(self._path(max(numbers, default=0) + 1), _to_arrays(state), about)
        for old in numbers[:-1]:
            self._path(old).unlink(missing_ok=True)

    def restore(self) -> State | None:
        """Return the newest checkpoint that is whole, or None.

        Another run's, or one that cannot be read is an `InputError` that says what differs.
        """
        return hosts.first(self._restore)

    def _restore(self) -> State | None:
        for number in reversed(self._numbers()):
            try:
                stored, about = load_arrays(self._path(number))
            except DamagedError as error:
                show(f"{error}; going on without it", error=True)
                self._path(number).unlink(missing_ok=True)  # it must not count as one of two
                continue
            run = self.folder.parent
            advice = FINISH if (run / "curves.nc").exists() else CHOOSE
            begun = json.loads(about["configuration"])
            check_same(run, begun, self.configuration, advice=advice)
            if about["devices"] != self.devices:
                show(
                    f"{run}: begun on {about['devices']}, going on on {self.devices}: equal to "
                    "rounding, not to the last bit",
                    error=True,
                )
            return _from_arrays(stored)
        return None

    def clear(self) -> None:
        """Remove all checkpoints."""
        hosts.first(shutil.rmtree, self.folder, ignore_errors=True)

    def clear_of(self, configuration: Mapping[str, object]) -> None:
        """Remove the checkpoints of a run of this configuration; another's growth keeps its own."""
        hosts.first(self._clear_of, configuration)

    def _clear_of(self, configuration: Mapping[str, object]) -> None:
        for number in reversed(self._numbers()):
            with suppress(DamagedError):
                begun = json.loads(load_arrays(self._path(number))[1]["configuration"])
                with suppress(InputError):
                    check_same(self.folder.parent, begun, configuration)
                    shutil.rmtree(self.folder, ignore_errors=True)
                return

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"

    def _numbers(self) -> list[int]:
        found = self.folder.glob("*.safetensors")
        return sorted(int(path.stem) for path in found if path.stem.isdecimal())


def _to_arrays(state: State) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(at, simple=True, separator=" "): np.asarray(x) for at, x in leaves}


def _from_arrays(named: Mapping[str, np.ndarray]) -> State:
    def part(kind: str) -> dict[str, np.ndarray]:
        start = f"{kind} "
        return {n.removeprefix(start): x for n, x in named.items() if n.startswith(start)}

    whole = {kind: named[kind] for kind in ("begun", "kept_epoch", "seconds")}
    whole |= {kind: named[kind].item() for kind in ("chunk", "epoch", "wall_seconds")}
    for kind in ("chunks", "arrays", "kept"):
        found = part(kind)
        whole[kind] = [found[str(i)] for i in range(len(found))]
    return State(**whole, values=part("values"))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one run; the lock goes with the process, however it ends.

    What killed runs left half-written is removed. Where the system or the file system knows no
    locks (Windows, some network drives) nothing is held. A folder that another run holds, or that
    cannot be written is an `InputError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        if fcntl:
            _lock(handle, folder)
        for left in (folder, folder / "checkpoint", folder / "state"):
            remove_unfinished(left)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{folder}: another run is writing here; wait for it, or choose another --out"
        ) from None
    except OSError:  # no locks on this file system
        pass


def check_same(
    folder: Path,
    begun: Mapping[str, object],
    now: Mapping[str, object],
    ignore: tuple = (),
    advice: str = CHOOSE,
) -> None:
    """Compare the configuration that a folder's run was begun with and the one of this run.

    Code is the same if the program is; other versions of JAX make other programs of the same code,
    so between these the caller's own code is compared. The `InputError` names what differs.
    """
    begun, now = OLDER | dict(begun), OLDER | json.loads(json.dumps(now))
    if "images" not in begun.keys() & now.keys():  # of an older version; the hashes cover it
        ignore = (*ignore, "images")
    alike = begun.get("versions") == now.get("versions") and "program" in begun
    code = "own_code" if alike else "program"
    names = {*begun, *now} - {code, *ignore}
    differing = {name for name in names if begun.get(name) != now.get(name)}
    if differing:
        named = "; ".join(
            f"{name} {short(begun.get(name))} there, {short(now.get(name))} here"
            for name in sorted(differing)
            if not _FOLLOWS.get(name, set()) & differing
        )
        raise InputError(f"{folder} holds another run ({named}); {advice}")
