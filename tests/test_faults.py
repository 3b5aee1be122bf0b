"""A short form of the faults that `python -m tests.faults` injects into real processes."""

import os

import pytest
from faults import damage, kills, victim

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    os.environ["EMNIST_JAX_CACHE"] = str(folder / "cache")
    return folder, *victim.reference(folder / "reference")


@pytest.fixture(autouse=True)
def cache_of_the_reference(reference, private_cache, monkeypatch):
    monkeypatch.setenv("EMNIST_JAX_CACHE", str(reference[0] / "cache"))


def test_killed_runs_resume_bit_for_bit(reference, tmp_path):
    _, outcome, window = reference
    killed = kills.kill_and_resume(tmp_path, outcome, window, kills=3, seed=1, in_a_row=3)
    assert (killed.kills, killed.lost) == (3, 0)


def test_three_processes_build_one_array_cache(reference):
    folder, outcome, _ = reference
    assert damage.two_caches_at_once(folder / "caches", outcome) == (1, 0)
