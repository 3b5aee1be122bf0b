"""Several hosts: one process on each, all running the same program in step.

JAX's distributed runtime connects them: it finds out who takes part, moves arrays between hosts and
ends every process when one dies. A sweep then sees the devices of all hosts. The functions below
are all that a sweep says to other hosts; called in a single process they do the plain thing.
"""

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from threading import Thread
from typing import NoReturn, ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from emnist_jax.errors import InputError

P, T = ParamSpec("P"), TypeVar("T")

HEARTBEAT_SECONDS = 30  # a host not heard of for so long is dead
PIECE = 2**26  # bytes moved at once
AGAIN = "give the same command on every host again, and it goes on from the last checkpoint"


class LostHostError(RuntimeError):
    """Another host has ended, or can no longer be reached: this one cannot go on alone."""


def connect(
    coordinator: str = "auto", processes: int | None = None, process: int | None = None
) -> None:
    """Join the processes of a run, one a host; call it before anything is computed.

    Args:
        coordinator: "auto" asks the cluster that started this process (SLURM, Open MPI,
            Kubernetes, Cloud TPU: see `jax.distributed.initialize`). Else host:port of process 0,
            the port free there and open to the others.
        processes: how many there are; with "auto" the cluster knows.
        process: the number of this one, from 0; likewise.

    Raises:
        InputError: no such cluster, numbers that cannot be meant, hosts of unlike numbers of
            devices, or JAX has computed something already.
    """
    address = None if coordinator == "auto" else coordinator
    # Its signal handler would take the SIGTERM on which a sweep saves and stops.
    jax.config.update("jax_enable_preemption_service", False)
    _prepare_last_words()
    try:
        jax.distributed.initialize(
            address,
            processes,
            process,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=2 * HEARTBEAT_SECONDS,
        )
    except Exception as error:  # a cluster's own client raises what it likes
        _no_last_words()
        raise InputError(
            f"cannot connect to other hosts: {error} (give --coordinator HOST:PORT, --processes "
            "and --process, or auto where SLURM, Open MPI, Kubernetes or Cloud TPU started this)"
        ) from error
    atexit.register(_end)
    _check_devices()


def alone() -> bool:
    """Return whether this process is not connected to others."""
    return not jax.distributed.is_initialized()


def is_first() -> bool:
    """Return whether this process is the one that reads and writes results."""
    return alone() or jax.process_index() == 0


def _together(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function that all hosts call at once fail as a lost host."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if alone():  # then whatever is raised has another reason
            return function(*args, **kwargs)
        try:
            return function(*args, **kwargs)
        except (RuntimeError, ValueError) as error:  # as JAX raises what the network reports
            reason = str(error).partition("\n")[0]
            raise LostHostError(f"another host has ended or is out of reach ({reason})") from error

    return call


def first(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function on the first host alone; every host returns what it returns.

    All hosts must call this at the same point. What is returned must be picklable.

    Raises:
        InputError: the function raised it; it is raised on every host.
        LostHostError: see there.
    """
    if alone():
        return function(*args, **kwargs)
    said = b""
    if is_first():
        try:
            said = pickle.dumps((function(*args, **kwargs), None))
        except InputError as error:
            said = pickle.dumps((None, error))
    found, error = pickle.loads(_broadcast(said))
    if error is not None:
        raise error
    return found


@_together
def _broadcast(said: bytes) -> bytes:
    """Return the bytes of the first host."""
    told = multihost_utils.broadcast_one_to_all(np.int32(divmod(len(said), PIECE)))
    length = int(told[0]) * PIECE + int(told[1])
    pieces = []
    for start in range(0, length, PIECE):
        # Powers of two, so that few programs are compiled.
        size = 1 << (min(PIECE, length - start) - 1).bit_length()
        piece = np.zeros(size, np.uint8)
        own = np.frombuffer(said[start : start + size], np.uint8)
        piece[: len(own)] = own
        pieces.append(multihost_utils.broadcast_one_to_all(piece).tobytes())
    return b"".join(pieces)[:length]


@_together
def any_of(*flags: bool) -> tuple[bool, ...]:
    """Return for each flag whether it is set on any host; all hosts must call this."""
    if alone():
        return flags
    found = multihost_utils.process_allgather(np.array(flags))
    return tuple(found.any(0).tolist())


def check_same(configuration: Mapping[str, object]) -> None:
    """Compare what every host is about to do; all hosts must call this.

    Raises:
        InputError: on every host, if any is about to do something else.
    """
    if alone():
        return
    theirs = first(lambda: configuration)
    names = sorted({*theirs, *configuration})
    differing = [name for name in names if theirs.get(name) != configuration.get(name)]
    if any_of(bool(differing))[0]:
        where = f"this one in its {', '.join(differing)}" if differing else "see the others"
        raise InputError(
            f"the hosts are not about to do the same ({where}): give every host the same command, "
            "data and version of the code"
        )


@_together
def gather(tree):
    """Return a tree of arrays split by trials as numpy arrays, whole on every host."""
    if alone():
        return jax.device_get(tree)
    return jax.tree.map(_gather, tree)


def _gather(array: jax.Array) -> np.ndarray:
    """Gather a few trials of every device at a time: none has room for the trials of all."""
    devices = len(array.sharding.device_set)
    each = len(array) // devices
    rows = max(1, PIECE * each // max(1, array.nbytes))
    if rows >= each:
        return multihost_utils.process_allgather(array, tiled=True)
    by_device = array.reshape(devices, each, *array.shape[1:])
    parts = [
        multihost_utils.process_allgather(by_device[:, i : i + rows], tiled=True)
        for i in range(0, each, rows)
    ]
    return np.concatenate(parts, axis=1).reshape(array.shape)


def _check_devices() -> None:
    """Refuse hosts of unlike numbers of devices: JAX exchanges nothing between them."""
    total, own = jax.device_count(), jax.local_device_count()
    if total != own * jax.process_count():
        raise InputError(
            f"{total} devices on {jax.process_count()} hosts, {own} on this one: every host must "
            "show as many (on CPUs set JAX_NUM_CPU_DEVICES)"
        )


# The end of a process


def leave(code: int, wait_seconds: float = 5) -> NoReturn:
    """End this process with an exit code, whether or not the others end with it.

    They are waited for a little: what ended this process has often been said to all.
    """
    if alone():
        sys.exit(code)
    ending = Thread(target=jax.distributed.shutdown, daemon=True)
    ending.start()
    ending.join(wait_seconds)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    _no_last_words()
    os._exit(code)


def _end() -> None:
    """Wait for the others to end, as JAX does when Python exits; only then all went well."""
    jax.distributed.shutdown()
    _no_last_words()


_SAY = "import sys; sys.stdin.read() or sys.stderr.write(sys.argv[1])"
_speaker: subprocess.Popen | None = None


def _prepare_last_words() -> None:
    """Let a process of its own say, should this one be aborted, what that means.

    When a host is lost, JAX's runtime aborts this process from a thread of its own, with a stack
    trace and no chance for Python to say anything.
    """
    global _speaker
    words = (
        "error: this process was ended before its run was: by JAX, as another host died or is out "
        f"of reach, or from outside; {AGAIN}\n"
    )
    _speaker = subprocess.Popen(
        [sys.executable, "-ESc", _SAY, words],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is not meant for it
    )


def _no_last_words() -> None:
    if _speaker is not None:
        with suppress(BrokenPipeError):
            _speaker.communicate(b"all is said")
