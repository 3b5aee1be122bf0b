"""Settings of every test: strict rank promotion, a private data cache, programs compiled once."""

import os
import signal

import jax
import pytest
from hypothesis import settings

jax.config.update("jax_num_cpu_devices", 2)  # whatever the machine, and whichever test is first
jax.config.update("jax_numpy_rank_promotion", "raise")
settings.register_profile("few", max_examples=150, deadline=None)
settings.register_profile("many", max_examples=2500, deadline=None)
settings.load_profile("few")


def pytest_configure(config):
    """Keep every compiled program, for all workers, processes and sessions of these tests."""
    folder = str(config.cache.mkdir("programs"))
    for name, value in {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    # A process in the background is begun with these ignored, which a sweep respects.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


if not hasattr(jax, "enable_x64"):  # its name before JAX 0.8
    from jax.experimental import enable_x64

    jax.enable_x64 = enable_x64


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Point the data cache to a folder of this test session, never to the user's own."""
    monkeypatch.setenv("EMNIST_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
