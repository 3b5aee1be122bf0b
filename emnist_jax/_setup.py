"""What JAX must know before it starts: one CPU device a core, a folder for compiled programs."""

import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path


def prepare_jax() -> None:
    """Let JAX see one CPU device a core, and keep compiled programs between processes.

    On a CPU, trials spread over one-thread devices train faster than one device with many
    threads. Nothing the user has chosen is changed: `jax_num_cpu_devices`,
    `jax_compilation_cache_dir`, XLA_FLAGS and a JAX that has already started are left alone.
    """
    import jax

    flags = os.environ.get("XLA_FLAGS", "")
    if jax.config.jax_num_cpu_devices < 1 and "host_platform_device_count" not in flags:
        with suppress(RuntimeError):  # the backend has started: too late, and harmless
            jax.config.update("jax_num_cpu_devices", cores())
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        # Only time is lost where this folder cannot be used, so not two warnings a program.
        unused = "Error (reading|writing) persistent compilation cache entry"
        warnings.filterwarnings("ignore", unused)


def cores() -> int:
    """Return the number of CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_notebook() -> bool:
    """Return whether this is the kernel of a notebook; others may import ipykernel, too."""
    ipython = sys.modules.get("IPython")
    return hasattr(getattr(ipython, "get_ipython", lambda: None)(), "kernel")


def cache_folder() -> Path:
    """Return EMNIST_JAX_CACHE, else emnist_jax in XDG_CACHE_HOME or ~/.cache."""
    if folder := os.environ.get("EMNIST_JAX_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "emnist_jax"
