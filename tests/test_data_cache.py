"""The array cache: fast, never stale, never damaged, never in the way."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from idx_files import emnist_files, write_folder

from emnist_jax._setup import cache_folder
from emnist_jax.data import cache, files, glyphs, load

SIZE = 1316


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("EMNIST_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def builds(monkeypatch):
    """The calls of the IDX reader: whether a load came from the cache."""
    calls = []
    original = files.read
    monkeypatch.setattr(files, "read", lambda *a, **k: calls.append(a) or original(*a, **k))
    return calls


def same(a, b) -> bool:
    pairs = [(getattr(a, p), getattr(b, p)) for p in ("train", "valid", "test")]
    return (a.name, a.classes, a.split_hash, a.hash, a.notes) == (
        b.name,
        b.classes,
        b.split_hash,
        b.hash,
        b.notes,
    ) and (
        all(
            np.array_equal(x.images, y.images) and np.array_equal(x.labels, y.labels)
            for x, y in pairs
        )
    )


def test_second_load_is_equal_and_reads_no_source(tmp_path, cache_dir, builds):
    source = write_folder(tmp_path / "idx", emnist_files()[0])
    first, second = load(source), load(source)
    assert len(builds) == 1 and same(first, second)
    assert not second.train.images.flags.writeable
    # The stored hash is the hash of the arrays, not merely the same twice.
    fresh = load((second.train.images, second.train.labels)).train
    del vars(second.train)["hash"]
    assert second.train.hash == first.train.hash != fresh.hash


def test_split_and_size_have_their_own_entries(tmp_path, cache_dir):
    source = write_folder(tmp_path / "idx", emnist_files()[0])
    loaded = [load(source), load(source, "official"), load(source, size=50)]
    assert len({data.hash for data in loaded}) == 3
    assert [load(source).hash, load(source, "official").hash] == [d.hash for d in loaded[:2]]


def test_a_changed_source_is_read_again_and_its_old_entry_removed(tmp_path, cache_dir, builds):
    source = write_folder(tmp_path / "idx", emnist_files()[0])
    first = load(source)
    changed = emnist_files(seed=7)[0]
    times = {name: (source / name).stat() for name in changed}
    write_folder(source, changed)
    for name, stat in times.items():  # even if its modification time is put back
        os.utime(source / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load(source).hash != first.hash and len(builds) == 2
    assert len(list(cache_dir.iterdir())) == 1


def test_changed_code_does_not_meet_old_arrays(cache_dir, monkeypatch):
    load(size=SIZE)
    (old,) = cache_dir.iterdir()
    monkeypatch.setattr(cache, "_code_version", lambda: "another")
    load(size=SIZE)
    (new,) = cache_dir.iterdir()
    assert old != new


def test_any_damage_is_noticed_and_repaired(tmp_path, cache_dir, builds):
    source = write_folder(tmp_path / "idx", emnist_files()[0])
    first = load(source)
    (entry,) = cache_dir.iterdir()
    good = entry.read_bytes()
    random = np.random.default_rng(0)
    damaged = [b"", good[:100], good[:-30], b"\0" * len(good)]
    for position in random.integers(0, len(good), 60).tolist() + list(
        range(len(good) - 400, len(good), 9)
    ):
        flipped = bytearray(good)
        flipped[position] ^= 1 << int(random.integers(8))
        damaged.append(bytes(flipped))
    for raw in damaged:
        entry.write_bytes(raw)
        assert same(load(source), first)
    assert (
        len(builds) > len(damaged) * 0.5
    )  # all but flips of bytes without meaning forced a new build


def test_a_consistently_shortened_array_is_noticed(cache_dir):
    first = load(size=SIZE)
    (entry,) = cache_dir.iterdir()
    good = entry.read_bytes()
    short = good.replace(b"(1000, 28, 28, 1)", b"( 900, 28, 28, 1)").replace(b"(1000,)", b"( 900,)")
    assert short != good
    entry.write_bytes(short)
    assert same(load(size=SIZE), first)


def test_a_pickle_is_never_loaded(cache_dir):
    first = load(size=SIZE)
    (entry,) = cache_dir.iterdir()
    with np.load(entry) as arrays:
        stored = dict(arrays)
    stored["train_labels"] = np.array([print] * len(first.train), object)
    np.savez(entry, allow_pickle=True, **stored)
    assert same(load(size=SIZE), first)


@pytest.mark.parametrize("obstacle", ["file in its place", "no permission"])
def test_an_unwritable_cache_is_one_line(tmp_path, cache_dir, obstacle, capsys):
    if obstacle == "no permission":
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        cache_dir.mkdir(mode=0o500)
    else:
        cache_dir.write_text("in the way")
    data = [load(size=SIZE), load(size=SIZE)][1]
    assert len(data.train) == 1000
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"array cache not written to {cache_dir}: ")


def test_a_failed_write_leaves_nothing(cache_dir, monkeypatch, capsys):
    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    load(size=SIZE)
    line = f"array cache not written to {cache_dir}: No space left on device\n"
    assert capsys.readouterr().err == line
    assert list(cache_dir.iterdir()) == []


def test_what_a_killed_process_left_is_removed_in_time(cache_dir):
    cache_dir.mkdir()
    for name, age in (("emnist_jax-o.tmp", 7200), ("emnist_jax-n.tmp", 10), ("mine.tmp", 7200)):
        (cache_dir / name).write_text("half")
        os.utime(cache_dir / name, (time.time() - age,) * 2)
    load(size=SIZE)
    assert {path.name for path in cache_dir.glob("*.tmp")} == {"emnist_jax-n.tmp", "mine.tmp"}


def test_two_processes_at_once_both_succeed(cache_dir):
    code = f"from emnist_jax.data import load; print(load(size={SIZE}).hash)"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(set(answers)) == 1 and answers[0].strip() == load(size=SIZE).hash
    assert [path.suffix for path in cache_dir.iterdir()] == [".npz"]


def test_second_load_of_glyphs_draws_none(cache_dir, monkeypatch):
    first, strokes = load(size=SIZE), []
    monkeypatch.setattr(glyphs, "draw", lambda *a, **k: strokes.append(a) or 1 / 0)
    assert same(load(size=SIZE), first) and not strokes


def test_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EMNIST_JAX_CACHE", "~/own")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("EMNIST_JAX_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "emnist_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "emnist_jax"


def test_an_unwritable_cache_of_programs_is_silent(tmp_path):
    (tmp_path / "compiled").write_text("in the way")
    code = """import emnist_jax, jax
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
print(jax.jit(lambda x: x * 2)(21.0))"""
    environment = os.environ | {"EMNIST_JAX_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("42.0", "")
