"""Several hosts: one process on each, all running the same program in step.

JAX's distributed runtime connects them: it finds out who takes part, moves arrays between hosts and
ends every process when one dies. A sweep then sees the devices of all hosts. The functions below
are all the communication a sweep has; in a single process they are ordinary local calls.
"""

import atexit
import faulthandler
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from inspect import signature
from threading import Event, Thread, current_thread, main_thread
from typing import NoReturn, ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from emnist_jax._setup import prepare
from emnist_jax.console import show
from emnist_jax.errors import InputError

P, T = ParamSpec("P"), TypeVar("T")

HEARTBEAT_SECONDS = 30  # a host not heard of for so long is dead
QUIET_SECONDS = 5  # no message if all hosts connect within this time
COME_SECONDS = 300  # in which all hosts must have connected
MEET_SECONDS = 3600  # that hosts may be apart, as they load data and compile
END_SECONDS = 600  # that they may be apart when they end; then JAX ends those still at work
PIECE = 2**26  # bytes moved at once
AGAIN = "give the same command on every host again, and it goes on from the last checkpoint"


class LostHostError(RuntimeError):
    """Another host has ended, or can no longer be reached: this one cannot go on alone."""


def connect(
    coordinator: str = "auto", processes: int | None = None, process: int | None = None
) -> None:
    """Join the processes of a run, one a host; call it before anything is computed.

    A process that waits prints so. If the others do not come in `COME_SECONDS`, it ends with a line
    about that and exit code 2. An exception that nothing catches ends it at once from
    here on, so that the others need not wait for it.

    Args:
        coordinator: "auto" takes it from the cluster that started this process (SLURM, Open MPI,
            Kubernetes, Cloud TPU: see `jax.distributed.initialize`). Else host:port of process 0,
            the port free there and open to the others.
        processes: how many there are; with "auto" the cluster knows.
        process: the number of this one, from 0; likewise.

    Raises:
        InputError: no such cluster, an invalid address or number, hosts of unlike
            numbers of devices, or JAX has connected or computed something already.
    """
    if not alone():
        raise InputError("this process has connected to others already: it can do so once")
    _check_arguments(coordinator, processes, process)
    address = None if coordinator == "auto" else coordinator
    prepare()
    # Its signal handler would take the SIGTERM on which a sweep saves and stops.
    jax.config.update("jax_enable_preemption_service", False)
    options = signature(jax.distributed.initialize).parameters
    late = "shutdown_timeout_seconds"  # from JAX 0.9 on; before, its own default holds
    shutdown = {late: END_SECONDS} if late in options else {}
    _prepare_last_words()
    try:
        with _patience(), _ended_by_ctrl_c():
            jax.distributed.initialize(
                address,
                processes,
                process,
                # Later than our own end: JAX's would be an abort with a stack trace.
                initialization_timeout=2 * COME_SECONDS,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                **shutdown,
            )
    except Exception as error:  # a cluster's own client raises what it likes
        _no_last_words()
        raise InputError(
            f"cannot connect to other hosts: {error} (give --coordinator HOST:PORT, --processes "
            "and --process, or auto where SLURM, Open MPI, Kubernetes or Cloud TPU started this)"
        ) from error
    atexit.register(_end)
    sys.excepthook = _ending_at_once(sys.excepthook)
    _check_devices()


def _check_arguments(coordinator: str, processes: int | None, process: int | None) -> None:
    host, _, port = coordinator.rpartition(":")
    if coordinator != "auto" and not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise InputError(f'coordinator "{coordinator}": give HOST:PORT of process 0, or auto')
    if processes is not None and processes < 1:
        raise InputError(f"processes={processes}: give the number of all processes, 1 or more")
    if process is not None and not 0 <= process < (processes or process + 1):
        last = "" if processes is None else f" to {processes - 1}"
        raise InputError(f"process={process}: give its number, from 0{last}")


@contextmanager
def _patience() -> Iterator[None]:
    """Print, while this process connects, which others it waits for; end it if they do not come."""
    come = Event()

    def watch():
        if come.wait(QUIET_SECONDS):
            return
        waited = f"waiting for {_others()}, {COME_SECONDS} seconds at most"
        show(waited, error=True)
        if not come.wait(COME_SECONDS - QUIET_SECONDS):
            error = f"error: waited {COME_SECONDS} seconds for {_others()}; start each of them once"
            show(f"{error}, where it can reach that address", error=True)
            _no_last_words()
            os._exit(2)  # JAX cannot be stopped waiting

    Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        come.set()


def _others() -> str:
    run = _connection()
    if run.coordinator_address is None:  # the cluster has not answered yet
        return "the cluster to name all processes and their address"
    return f"all {run.num_processes} processes to connect at {run.coordinator_address}"


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end this process at once: Python handles signals only after JAX has connected."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or current_thread() is not main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _connection():
    """Return JAX's connection to the other processes, of which barriers have no public name."""
    from jax._src.distributed import global_state

    return global_state


def alone() -> bool:
    """Return whether this process is not connected to others."""
    return not jax.distributed.is_initialized()


def is_first() -> bool:
    """Return whether this process is the one that reads and writes results."""
    return alone() or jax.process_index() == 0


def _together(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function that all hosts call at once wait for them, and fail as a lost host.

    Its first call meets the others before it sends: a connection is made then, for which JAX has
    30 seconds on CPUs, and hosts are further apart than that when one has data to download or
    programs to compile that another finds in its cache. A connection once made waits longer.
    """
    met = False

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        nonlocal met
        if alone():  # then whatever is raised has another reason
            return function(*args, **kwargs)
        try:
            if not met:
                _connection().client.wait_at_barrier(
                    "emnist_jax", timeout_in_ms=1000 * MEET_SECONDS
                )
            met = True
            return function(*args, **kwargs)
        except (RuntimeError, ValueError) as error:  # as JAX raises what the network reports
            raise LostHostError(_what_happened(str(error))) from error

    return call


def _what_happened(reason: str) -> str:
    if "Barrier timed out" in reason:
        return f"another host has not come as far as this one in {MEET_SECONDS} seconds"
    reason = reason.partition("\n")[0]
    return f"another host has ended or is out of reach ({reason})"


def first(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function on the first host alone; every host returns what it returns.

    All hosts must call this at the same point. What is returned must be picklable. An `InputError`
    of the function is raised on every host.
    """
    if alone():
        return function(*args, **kwargs)
    sent = b""
    if is_first():
        try:
            sent = pickle.dumps((function(*args, **kwargs), None))
        except InputError as error:
            sent = pickle.dumps((None, error))
    found, error = pickle.loads(_broadcast(sent))
    if error is not None:
        raise error
    return found


@_together
def _broadcast(sent: bytes) -> bytes:
    """Return the bytes of the first host."""
    whole, rest = multihost_utils.broadcast_one_to_all(np.int32(divmod(len(sent), PIECE)))
    length = int(whole) * PIECE + int(rest)
    pieces = []
    for start in range(0, length, PIECE):
        # Powers of two, so that few programs are compiled.
        size = 1 << (min(PIECE, length - start) - 1).bit_length()
        piece = np.zeros(size, np.uint8)
        own = np.frombuffer(sent[start : start + size], np.uint8)
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


def agree(configuration: Mapping[str, object]) -> None:
    """Compare what every host is about to do; all hosts must call this.

    If any is about to do something else, an `InputError` is raised on every host.
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
def least(number: int) -> int:
    """Return the least of the hosts' numbers, each 0 or more; all hosts must call this."""
    if alone():
        return number
    found = multihost_utils.process_allgather(np.int32(divmod(number, PIECE)))
    return min(int(high) * PIECE + int(low) for high, low in found)


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

    It waits for them a little: what ended this process has often ended them, too.
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


def _ending_at_once(show: Callable) -> Callable:
    """Return an exception hook that shows what nothing has caught, then ends this process."""

    def hook(kind, error, trace):
        show(kind, error, trace)
        if kind is KeyboardInterrupt:  # of a sweep stopped: all hosts raise it
            leave(130)
        leave(1, wait_seconds=5 if kind is InputError else 0)

    return hook


# The program of a helper process: it reads this one's last words, and reports why it died.
_REPORT = """
import sys
words = sys.stdin.read()
if words != "done":
    aborted = words.startswith("Fatal Python error: Aborted")
    sys.stderr.write(sys.argv[1] if aborted else words + sys.argv[2])
"""
_ABORTED = f"error: JAX ended this process, as another host died or is out of reach; {AGAIN}\n"
_KILLED = f"error: this process was killed, by a signal, or because it ran out of memory; {AGAIN}\n"
_reporter: subprocess.Popen | None = None


def _prepare_last_words() -> None:
    """Start a helper process that reports why this one died, if JAX or a signal ends it.

    When a host is lost, JAX's runtime aborts this process from a thread of its own, with a stack
    trace, and Python can write no more than `faulthandler` does.
    """
    global _reporter
    _reporter = subprocess.Popen(
        [sys.executable, "-ESc", _REPORT, _ABORTED, _KILLED],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C must not end it
    )
    faulthandler.enable(_reporter.stdin, all_threads=False)


def _no_last_words() -> None:
    if _reporter is not None:
        faulthandler.disable()
        with suppress(BrokenPipeError):
            _reporter.communicate(b"done")
