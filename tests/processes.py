"""Runs in processes of their own: with a number of devices of their own, alone or as hosts."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from emnist_jax import hosts

# Children are forked from a server that has imported all this, but not started JAX.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "emnist_jax.engine.run",
        "h5netcdf",
        "safetensors.numpy",
        "optax",
        "emnist_jax.cli.sweep",
        "scipy.stats",
    ]
)
HEARTBEAT = 8  # seconds: a tenth of the time a test would take with the default
HANGS = 240  # seconds: what has not ended by then never will, on however busy a machine


def _child(work: Callable, args: tuple, log: str, devices: int, host: tuple | None) -> None:
    """Do the work as a command line would, with everything it says in a file."""
    import jax

    from emnist_jax.cli.options import guarded

    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    jax.config.update("jax_num_cpu_devices", devices)
    jax.config.update("jax_numpy_rank_promotion", "raise")
    hosts.HEARTBEAT_SECONDS = HEARTBEAT

    def command():
        if host is not None:
            hosts.connect(*host)
        work(*args)

    try:
        guarded(command)
    except Exception:
        sys.excepthook(*sys.exc_info())  # as a child of a fork server calls no hook
        sys.exit(1)
    hosts.leave(0)  # nor does it run exit handlers


def start(work: Callable, *args, log: Path, devices: int = 1, host: tuple | None = None):
    """Start a process that does `work(*args)` on so many CPU devices."""
    arguments = work, args, str(log), devices, host
    process = PROCESSES.Process(target=_child, args=arguments, daemon=True)
    process.start()
    return process


def start_hosts(work: Callable, *args, folder: Path, count: int = 2, devices: int = 1) -> list:
    """Start as many connected processes; what they say goes to 0.log, 1.log, ... in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    address = free_address()
    return [
        start(
            work,
            *args,
            log=folder / f"{i}.log",
            devices=devices,
            host=(address, count, i) if count > 1 else None,
        )
        for i in range(count)
    ]


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def ended(processes: list, seconds: float = HANGS) -> list[int | None]:
    """Return the exit codes of processes that end in time; None for one that does not."""
    for process in processes:
        process.join(seconds)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes
