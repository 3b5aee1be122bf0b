"""Memory: what devices and hosts have, and what a chunk of trials takes there."""

import os
from contextlib import suppress
from pathlib import Path

import jax
import numpy as np

from emnist_jax.engine.layout import Room

CPU_CACHE = 5 * 2**20  # bytes of trials
CPU_LAUNCH, LAUNCH = 0.3, 30.0  # of a step, in steps of one trial
UNKNOWN_MEMORY = 8 * 2**30  # if the platform does not report it


def room_for_trials(device: jax.Device, trial_bytes: int) -> Room:
    """Return how many trials, of so many bytes of parameters and states, suit one device.

    On a CPU they should stay in its cache: 5 MiB was fastest of what was measured, and twice as
    much is only a little slower. Elsewhere gradients, activations and copies take several times as
    much again, so a tenth of the memory; launching a step's kernels costs as much as many trials.
    """
    if device.platform == "cpu":
        suits = max(1, CPU_CACHE // trial_bytes)
        return Room(suits, 2 * suits, CPU_LAUNCH)
    suits = max(1, memory_of(device) // 10 // trial_bytes)
    return Room(suits, suits, LAUNCH)


def memory_of(device: jax.Device) -> int:
    """Return the bytes of memory of a device; CPU devices share the machine's, or their group's."""
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit", UNKNOWN_MEMORY)
    return host_memory() // jax.local_device_count()


def host_memory() -> int:
    """Return the bytes of memory of this machine, or of the group its processes are held to."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except AttributeError:  # Windows
        memory = UNKNOWN_MEMORY
    return min([memory, *_group_limits()])


def _group_limits(root: Path = Path("/")) -> list[int]:
    """Return the limits of memory of this process's control group and of those around it (Linux).

    Each of them holds. Version 2 has one tree of groups, version 1 one for memory alone.
    """
    limits, tree = [], root / "sys/fs/cgroup"
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            file = "memory.limit_in_bytes" if controllers else "memory.max"
            groups = tree / controllers / path.lstrip("/")
            for folder in (groups, *groups.parents):
                with suppress(OSError, ValueError):  # no such group here, or "max"
                    limits.append(int((folder / file).read_text()))
    return limits


def bytes_of(tree) -> int:
    """Return the bytes of the arrays of a tree (abstract ones too)."""
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
