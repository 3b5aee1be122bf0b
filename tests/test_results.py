"""Curves and arrays on disk: what is read is what was written, or an error."""

import json
import os
import stat

import numpy as np
import pytest
import xarray as xr

from emnist_jax.errors import InputError
from emnist_jax.store.curves import checksum, load_curves, save_curves
from emnist_jax.store.files import load_arrays, save_arrays, write_text
from emnist_jax.store.provenance import provenance


@pytest.fixture
def curves():
    random = np.random.default_rng(0)
    values = random.normal(size=(2, 3, 4)).astype(np.float32)
    values[1, 2, 1:] = np.nan
    return xr.Dataset(
        {
            "valid_error": (("learning_rate", "seed", "epoch"), values),
            "valid_accuracy": (("learning_rate", "seed", "epoch"), values**2),
        },
        {
            "learning_rate": [0.1, 1e-3],
            "seed": np.arange(3, dtype=np.int32),
            "epoch": np.arange(4, dtype=np.int32),
            "b1": 0.9,
        },
        {"model": "MLP(é)", "trials_at_once": 4, "seconds_per_epoch": 0.125},
    )


def test_curves_come_back_identical(tmp_path, curves):
    path = save_curves(curves, tmp_path / "new folder" / "curves.nc")
    loaded = load_curves(path)
    assert loaded.identical(curves)
    for name in curves.variables:
        assert loaded[name].dtype == curves[name].dtype
        assert loaded[name].values.tobytes() == curves[name].values.tobytes()
    assert {type(v) for v in loaded.attrs.values()} <= {str, int, float, np.int64, np.float64}


def test_every_value_label_name_and_attribute_enters_the_checksum(curves):
    changed = [
        curves.assign(valid_error=curves.valid_error.where(curves.seed != 1, 0)),
        curves.assign_coords(learning_rate=[0.1, 2e-3]),
        curves.rename(b1="b2"),
        curves.transpose("seed", "learning_rate", "epoch"),
        curves.assign_attrs(model="other"),
        curves.assign(valid_error=curves.valid_error.astype("float64")),
    ]
    sums = [checksum(one) for one in (curves, *changed)]
    assert len(set(sums)) == len(sums)
    assert checksum(curves.copy(deep=True)) == sums[0]


# h5netcdf's own clearing up fails on some files it could not open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flipped_bit_is_noticed_or_harmless(tmp_path, curves):
    path = save_curves(curves, tmp_path / "curves.nc")
    whole, noticed = path.read_bytes(), 0
    for position in np.random.default_rng(1).integers(0, len(whole), 60):
        raw = bytearray(whole)
        raw[position] ^= 1 << int(position) % 8
        path.write_bytes(raw)
        try:
            assert load_curves(path).identical(curves)
        except InputError as error:
            noticed += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert noticed > 0


@pytest.mark.parametrize("content", [b"", b"not netCDF", b"\x89HDF\r\n\x1a\n" + b"\0" * 90])
def test_what_is_no_curves_file_is_one_line(tmp_path, content):
    path = tmp_path / "curves.nc"
    with pytest.raises(InputError, match="no such file"):
        load_curves(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="not readable as curves"):
        load_curves(path)


def test_a_folder_stands_for_the_curves_in_it(tmp_path, curves):
    with pytest.raises(InputError, match="no such file; give the folder of"):
        load_curves(tmp_path)
    save_curves(curves, tmp_path / "curves.nc")
    assert load_curves(tmp_path).identical(load_curves(tmp_path / "curves.nc"))


def test_another_netcdf_file_is_not_taken_for_curves(tmp_path, curves):
    curves.to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(InputError, match="not readable as curves"):
        load_curves(tmp_path / "other.nc")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    path = write_text(tmp_path / "a.txt", "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(InputError, match=r"a\.txt: cannot be written: No space left.*make room"):
        write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_new_file_may_be_read_by_others(tmp_path):
    path = write_text(tmp_path / "a.txt", "é")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert path.read_bytes() == "é".encode()


def test_a_folder_in_the_way_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file/a.txt", tmp_path):
        with pytest.raises(InputError, match="cannot be written") as error:
            write_text(path, "x")
        assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


NAMED = {
    "scalar": np.array(5.0),
    "empty": np.zeros((0, 3), np.float32),
    "integers": np.arange(6, dtype=np.int32).reshape(2, 3),
    "not contiguous": np.arange(12.0).reshape(3, 4).T,
    "truth": np.array([True, False]),
}


def test_arrays_come_back_with_shape_dtype_and_bytes(tmp_path):
    path = save_arrays(tmp_path / "a.safetensors", NAMED, {"model": "MLP"})
    loaded, about = load_arrays(path)
    assert about == {"model": "MLP"} and set(loaded) == set(NAMED)
    for name, array in NAMED.items():
        assert loaded[name].dtype == array.dtype and loaded[name].shape == array.shape
        np.testing.assert_array_equal(loaded[name], array)


def test_every_flipped_bit_of_arrays_is_noticed(tmp_path):
    path = save_arrays(tmp_path / "a.safetensors", NAMED, {"model": "MLP"})
    whole = path.read_bytes()
    for position in range(len(whole)):
        raw = bytearray(whole)
        raw[position] ^= 1 << position % 8
        path.write_bytes(raw)
        with pytest.raises(InputError, match="damaged"):
            load_arrays(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(InputError, match="damaged"):
        load_arrays(path)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        load_arrays(path)


def test_provenance_says_command_versions_device_and_commit():
    found = provenance({"epochs": 3})
    assert json.loads(found["configuration"]) == {"epochs": 3}
    assert json.loads(found["versions"])["numpy"] == np.__version__
    assert found["command"].startswith("python ") and " x " in found["device"]
    assert found["commit"] == "unknown" or len(found["commit"].rstrip("+")) == 40
