"""What a sweep sets up when it first runs; `import emnist_jax` itself changes nothing.

EMNIST_JAX_CPU_DEVICES, EMNIST_JAX_PROGRAMS and EMNIST_JAX_TABLES, each set to "off", turn off one
CPU device a core, the folder of compiled programs, and tables of curves in notebooks.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

from emnist_jax.console import show
from emnist_jax.errors import InputError

PROGRAMS_BYTES = 2**31  # that compiled programs may take on disk; the least recently used go first


def is_off(name: str) -> bool:
    """Return whether an environment variable of this package is set to "off"."""
    return os.environ.get(f"EMNIST_JAX_{name}", "").lower() == "off"


@cache
def prepare() -> None:
    """Let JAX see one CPU device a core, if it has not started; show curves as tables in notebooks.

    On a CPU, trials spread over one-thread devices train faster than one device with many
    threads. What the user has chosen, in `jax_num_cpu_devices` or XLA_FLAGS, stays.
    """
    import jax

    _show_curves_as_tables()
    flags = os.environ.get("XLA_FLAGS", "")
    chosen = jax.config.jax_num_cpu_devices >= 1 or "host_platform_device_count" in flags
    if chosen or is_off("CPU_DEVICES") or cores() == 1:
        return
    try:
        jax.config.update("jax_num_cpu_devices", cores())
    except RuntimeError:  # JAX has started
        if jax.default_backend() == "cpu":
            show(
                f"JAX had started with {jax.device_count()} CPU device, so trials train on it: run "
                f"a sweep before other computations to have one on each of {cores()} cores",
                error=True,
            )


@contextmanager
def kept_programs() -> Iterator[None]:
    """Keep the programs compiled meanwhile in a folder of this package, between processes.

    Where the user has chosen a `jax_compilation_cache_dir`, it stays.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    if jax.config.jax_compilation_cache_dir is not None or is_off("PROGRAMS") or _reload_is_loud():
        yield
        return
    options = {
        "jax_compilation_cache_dir": str(cache_folder() / "compiled"),
        "jax_persistent_cache_min_compile_time_secs": 0.2,
        "jax_compilation_cache_max_size": PROGRAMS_BYTES,
    }
    before = {name: getattr(jax.config, name) for name in options}
    try:
        _configure(options)
        compilation_cache.reset_cache()
        with warnings.catch_warnings():
            # Only time is lost where this folder cannot be used, so not two warnings a program.
            unused = "Error (reading|writing) persistent compilation cache entry"
            warnings.filterwarnings("ignore", unused)
            yield
    finally:
        _configure(before)
        compilation_cache.reset_cache()


def _configure(options: dict[str, object]) -> None:
    import jax

    for name, value in options.items():
        jax.config.update(name, value)


def _reload_is_loud() -> bool:
    """Return whether JAX prints errors for each CPU program it reloads, as 0.8 to 0.10.1 do."""
    import jax

    loud = (0, 8, 0) <= jax.version.__version_info__[:3] <= (0, 10, 1)
    return loud and jax.default_backend() == "cpu"


def _show_curves_as_tables() -> None:
    """Let IPython, where this runs under it, show curves as tables; other datasets stay xarray's.

    Text, as in a terminal, is xarray's own for all.
    """
    ipython = sys.modules.get("IPython")  # never imported for this
    shell = getattr(ipython, "get_ipython", lambda: None)()
    if shell is not None and not is_off("TABLES"):
        html = shell.display_formatter.formatters["text/html"]
        html.for_type_by_name("xarray.core.dataset", "Dataset", _curves_html)


def _curves_html(dataset: object) -> str:
    from emnist_jax.figures.notebooks import curves_html

    return curves_html(dataset)


def start_jax() -> None:
    """Prepare JAX and let it look for its devices, as it does at the first computation.

    A platform in JAX_PLATFORMS that this machine or this JAX lacks is an `InputError`.
    """
    import jax

    prepare()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where a plugin finds no device
        if chosen := jax.config.jax_platforms:
            advice = f"JAX_PLATFORMS={chosen} finds no device: unset it, or set JAX_PLATFORMS=cpu"
            raise InputError(advice) from error
        raise InputError(f"JAX finds no device: {error}") from error


def float64() -> AbstractContextManager:
    """Return a context in which JAX computes in float64; before 0.8 it is an experimental name."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64(True)


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
