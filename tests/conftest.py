"""Settings of every test: strict rank promotion, and a private cache folder."""

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Point the data cache to a folder of this test session, never to the user's own."""
    monkeypatch.setenv("EMNIST_JAX_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
