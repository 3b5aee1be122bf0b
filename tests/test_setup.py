"""A good guest: what importing changes (nothing), and what a sweep sets up when it first runs."""

import json
import os
import subprocess
import sys

import pytest

BEGIN = """
import json, sys, warnings
import jax, flax.linen, optax
names = "jax_num_cpu_devices", "jax_compilation_cache_dir", "jax_compilation_cache_max_size"
def state():
    return [*(getattr(jax.config, name) for name in names), len(warnings.filters)]
before, modules = state(), set(sys.modules)
import emnist_jax as ej
heavy = {"xarray", "pandas", "h5netcdf", "tyro", "matplotlib", "scipy", "IPython", "rich"}
found = {"same": state() == before, "heavy": sorted(heavy & (set(sys.modules) - modules))}
found["version"] = ej.__version__
"""
RUN = """
curves = ej.sweep(ej.load("glyphs", size=188), ej.MLP((4,)), "sgd", {"learning_rate": 0.1},
                  seeds=1, epochs=1, progress_bar=False)
filters = [str(one[1]) for one in warnings.filters]
found["after"] = state()[1:3] == before[1:3] and "persistent" not in str(filters)
found["devices"] = jax.device_count()
"""
END = "print(json.dumps(found))"


def run(code, cache, **variables):
    options = {"EMNIST_JAX_CACHE": str(cache)} | variables
    ours = {name for name in os.environ if name.startswith("JAX_") and "CACHE" in name}
    environment = {n: v for n, v in os.environ.items() if n not in {*ours, "XLA_FLAGS"}} | options
    words = [sys.executable, "-c", code + END]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_importing_changes_nothing_and_loads_nothing_heavy(tmp_path):
    found, _ = run(BEGIN, tmp_path)
    assert found["same"] and found["heavy"] == [] and found["version"][0].isdigit()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one core is one device anyway")
@pytest.mark.slow
def test_a_sweep_sets_up_its_devices_and_leaves_the_rest_as_it_was(tmp_path):
    found, errors = run(BEGIN + RUN, tmp_path)
    assert found["devices"] == len(os.sched_getaffinity(0)) and found["after"] and errors == ""
    assert list((tmp_path / "compiled").iterdir())
    off = {"EMNIST_JAX_CPU_DEVICES": "off", "EMNIST_JAX_PROGRAMS": "off"}
    found, errors = run(BEGIN + RUN, tmp_path / "off", **off)
    assert found["devices"] == 1 and errors == ""
    assert not (tmp_path / "off" / "compiled").exists()
    started = "jax.numpy.zeros(3).block_until_ready()\n"
    found, errors = run(BEGIN + started + RUN + RUN, tmp_path)
    assert found["devices"] == 1
    assert errors.count("JAX had started with 1 CPU device") == 1
