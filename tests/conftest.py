"""Settings of every test: strict rank promotion, and a private cache folder."""

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

if not hasattr(jax, "enable_x64"):  # its name before JAX 0.8
    from jax.experimental import enable_x64

    jax.enable_x64 = enable_x64


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Point the data cache to a folder of this test session, never to the user's own."""
    monkeypatch.setenv("EMNIST_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
