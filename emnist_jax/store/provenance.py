"""Where results come from: command, configuration, versions, device and commit."""

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import xarray as xr

from emnist_jax._setup import in_notebook
from emnist_jax.store.fingerprint import installed

PACKAGES = ("emnist_jax", "jax", "jaxlib", "flax", "optax", "numpy", "xarray")


def provenance(configuration: Mapping[str, object]) -> dict[str, str]:
    """Return where results come from: command, configuration, versions, device and commit."""
    return {
        # That of a notebook's kernel is but a file's path.
        "command": "notebook" if in_notebook() else shlex.join(["python", *sys.orig_argv[1:]]),
        "configuration": json.dumps(configuration, sort_keys=True),
        "versions": json.dumps(
            {"python": platform.python_version()} | {name: installed(name) for name in PACKAGES}
        ),
        "device": describe_devices(),
        "commit": commit(),
    }


def describe_devices() -> str:
    """Return the number and model of JAX's devices: a GPU's own name, a CPU's from the system.

    >>> describe_devices()  # doctest: +SKIP
    '16 x NVIDIA H100 80GB HBM3 on 2 hosts'
    """
    import jax

    devices = jax.devices()
    among = f" on {jax.process_count()} hosts" if jax.process_count() > 1 else ""
    return f"{len(devices)} x {_describe_device(devices[0])}{among}"


def _describe_device(device) -> str:
    if device.platform != "cpu":
        return str(device.device_kind)
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if models:
            return f"CPU core ({models[0]})"
    return f"CPU core ({platform.processor() or platform.machine()})"


def commit() -> str:
    """Return the commit of this package's checkout, with `+` where files differ from it."""
    folder = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "--", __file__)  # else the checkout is another project's
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(folder))
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def runs_of(curves: xr.Dataset) -> list[dict[str, object]]:
    """Return the provenance of each run that trained a part of the curves."""
    if "runs" in curves.attrs:
        return json.loads(curves.attrs["runs"])
    names = ("command", "versions", "device", "commit", "wall_seconds")
    return [{name: curves.attrs[name] for name in names}]  # of older versions
