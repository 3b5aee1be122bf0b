"""IDX files: right arrays from well-formed ones, one clear line from all others."""

import gzip
import os
import re
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from idx_files import arrays, emnist_files, idx_bytes, write_folder, write_zip

from emnist_jax.data import files as data_files
from emnist_jax.data import idx, load
from emnist_jax.errors import InputError

SHARED = Path(
    os.environ.get("EMNIST_JAX_TEST_DATA") or Path(__file__).parents[2] / "shared" / "emnist"
)
POOL_LABELS = SHARED / "emnist-pool47-train-labels-idx1-ubyte.gz"
TRAIN_IMAGES = "emnist-balanced-train-images-idx3-ubyte.gz"
TRAIN_LABELS = "emnist-balanced-train-labels-idx1-ubyte.gz"
TEST_IMAGES = TRAIN_IMAGES.replace("train", "test")
TEST_LABELS = TRAIN_LABELS.replace("train", "test")


def assert_source(source, parts, name="emnist/balanced"):
    assert source.name == name
    for split, part in ((source.train, "train"), (source.test, "test")):
        images, labels = parts[part]
        np.testing.assert_array_equal(split.images[..., 0], images)
        np.testing.assert_array_equal(split.labels, labels)


def read_folder(path):
    return data_files.read(path, data_files.in_folder(path))


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("form", ["gzipped", "plain", "zip"])
def test_official_layout_gives_upright_images(tmp_path, form):
    files, parts = emnist_files()
    if form == "plain":
        files = {name.removesuffix(".gz"): gzip.decompress(raw) for name, raw in files.items()}
    if form == "zip":
        source = data_files.read_zip(write_zip(tmp_path / "gzip.zip", files))
    else:
        source = read_folder(write_folder(tmp_path, files))
    assert_source(source, parts)
    assert source.classes == tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")


def test_upright_an_l_stored_transposed_stands(tmp_path):
    upright = np.zeros((47, 28, 28), np.uint8)
    upright[:, 4:24, 6] = 255  # the stem
    upright[:, 23, 6:20] = 255  # the foot, at the bottom
    files, _ = emnist_files(n_train=47, n_test=47)
    stored = upright.swapaxes(1, 2)
    files[TRAIN_IMAGES] = gzip.compress(idx_bytes(stored))
    image = load(write_folder(tmp_path, files), "official").train.images[0, ..., 0]
    assert image[23].sum() == 14 * 255 and image[:, 6].sum() == 20 * 255


def test_mnist_layout_without_prefix_is_not_transposed(tmp_path):
    images, labels = arrays(60, 10)
    files = {
        "train-images-idx3-ubyte": idx_bytes(images),
        "train-labels-idx1-ubyte": idx_bytes(labels),
        "t10k-images.idx3-ubyte": idx_bytes(images[:10]),
        "t10k-labels.idx1-ubyte": idx_bytes(labels[:10]),
    }
    source = read_folder(write_folder(tmp_path / "digits", files))
    assert_source(source, {"train": (images, labels), "test": (images[:10], labels[:10])}, "digits")
    assert source.classes == tuple("0123456789")


def test_mapping_names_the_classes_and_shifts_labels_from_one(tmp_path):
    files, parts = emnist_files("letters", n_classes=26, first_label=1)
    assert_source(read_folder(write_folder(tmp_path, files)), parts, "emnist/letters")
    files["emnist-letters-mapping.txt"] = "".join(
        f"{i + 1} {65 + i} {97 + i}\n" for i in range(26)
    ).encode()
    source = read_folder(write_folder(tmp_path, files))
    assert_source(source, parts, "emnist/letters")
    assert source.classes == tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_variant_after_hash_chooses_among_several(tmp_path):
    balanced, _ = emnist_files("balanced")
    digits, parts = emnist_files("digits", n_classes=10, seed=5)
    archive = write_zip(tmp_path / "gzip.zip", balanced | digits)
    with pytest.raises(InputError, match=r"several variants.*balanced, digits"):
        load(archive)
    with pytest.raises(InputError, match='did you mean "digits"'):
        load(f"{archive}#digit")
    data = load(f"{archive}#digits", "official")
    assert data.name == "emnist/digits"
    np.testing.assert_array_equal(data.test.images[..., 0], parts["test"][0])


MALFORMED = {
    "wrong magic": (TRAIN_IMAGES, lambda raw: b"\0\0\x0d\x03" + raw[4:], "magic number 00000d03"),
    "labels for images": (
        TRAIN_IMAGES,
        lambda raw: idx_bytes(np.zeros(9)),
        "magic number 00000801",
    ),
    "truncated": (TRAIN_IMAGES, lambda raw: raw[:-1], "truncated"),
    "header only": (TRAIN_IMAGES, lambda raw: raw[:9], "truncated inside its IDX header"),
    "empty file": (TRAIN_IMAGES, lambda raw: b"", "truncated"),
    "too long": (TRAIN_IMAGES, lambda raw: raw + b"\0", "too long"),
    "zero images": (TRAIN_IMAGES, lambda raw: idx_bytes(np.zeros((0, 28, 28))), "holds nothing"),
    "zero width": (TRAIN_IMAGES, lambda raw: idx_bytes(np.zeros((9, 28, 0))), "holds nothing"),
    "huge promise": (
        TRAIN_IMAGES,
        lambda raw: raw[:4] + struct.pack(">3I", *[2**32 - 1] * 3),
        "truncated",
    ),
    "too few labels": (
        TRAIN_LABELS,
        lambda raw: idx_bytes(np.zeros(115)),
        "115 labels for the 116",
    ),
    "label outside": (TRAIN_LABELS, lambda raw: idx_bytes(np.full(116, 60)), "label 60 is none"),
}


@pytest.mark.parametrize("gzipped", [True, False])
@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_file_is_one_line_naming_it(tmp_path, case, gzipped):
    name, damage, reason = MALFORMED[case]
    files, _ = emnist_files()
    raw = damage(gzip.decompress(files.pop(name)))
    name = name if gzipped else name.removesuffix(".gz")
    files[name] = gzip.compress(raw) if gzipped else raw
    with pytest.raises(InputError, match=re.escape(reason)) as error:
        load(write_folder(tmp_path, files))
    assert name in one_line(error)


@pytest.mark.parametrize("keep", [1, 10, 100, -9, -1])
def test_truncated_gzip(tmp_path, keep):
    files, _ = emnist_files()
    files[TRAIN_IMAGES] = files[TRAIN_IMAGES][:keep]
    with pytest.raises(InputError, match=r"truncated|damaged|magic") as error:
        load(write_folder(tmp_path, files))
    assert TRAIN_IMAGES in one_line(error)


def test_every_flipped_byte_of_a_gzip_is_found_or_harmless(tmp_path):
    images, _ = arrays(3, 3, size=4)
    good = gzip.compress(idx_bytes(images), mtime=0)
    refused = 0
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x5A
        try:
            np.testing.assert_array_equal(idx.decode(bytes(bad), "x", 3), images)
        except InputError:
            refused += 1
    assert refused > len(good) - 10  # gzip's own header has a few bytes without meaning


def test_missing_file_and_wrong_mapping(tmp_path):
    files, _ = emnist_files()
    labels = files.pop(TRAIN_LABELS)
    folder = write_folder(tmp_path, files)
    with pytest.raises(InputError, match=r"emnist-balanced-train-labels-idx1-ubyte.*missing"):
        load(folder)
    (folder / TRAIN_LABELS).write_bytes(labels)
    for text in ("0 48\n0 49\n", "zero 48\n", "300 48\n", "0 48 1 1\n", "0 7\n", "\n"):
        (folder / "emnist-balanced-mapping.txt").write_text(text)
        with pytest.raises(InputError, match=r"mapping.txt: (line|holds no)"):
            load(folder)


@pytest.mark.parametrize("member", ["../evil", "a/../../evil", "/etc/evil", "..\\evil"])
def test_archive_with_a_member_outside_is_refused(tmp_path, member):
    files, _ = emnist_files()
    archive = write_zip(tmp_path / "a" / "gzip.zip", files | {member: b"x"}, inside="")
    with pytest.raises(InputError, match="points outside"):
        load(archive)
    assert not list(tmp_path.rglob("evil*"))


def test_archive_with_one_name_twice_is_refused(tmp_path):
    files, _ = emnist_files()
    files |= {f"old/{TRAIN_IMAGES}": files[TRAIN_IMAGES], "old/notes": b"1", "notes": b"2"}
    with pytest.raises(InputError, match=rf"holds {TRAIN_IMAGES} twice"):
        load(write_zip(tmp_path / "gzip.zip", files))
    del files[f"old/{TRAIN_IMAGES}"]  # other files may share a name
    assert len(load(write_zip(tmp_path / "gzip.zip", files)).classes) == 47


@pytest.mark.parametrize("name", [TRAIN_IMAGES, TRAIN_IMAGES.removesuffix(".gz")])
def test_a_member_too_large_is_not_unpacked(tmp_path, monkeypatch, name):
    files, _ = emnist_files()
    raw = gzip.decompress(files.pop(TRAIN_IMAGES)) + bytes(10**6)
    files[name] = gzip.compress(raw, 0) if name.endswith(".gz") else raw
    monkeypatch.setattr(data_files, "_MAX_MEMBER", 10**6 if name.endswith(".gz") else 10**9)
    unpacked, read = [], zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile, "read", lambda *a: unpacked.append(len(b := read(*a))) or b
    )
    with pytest.raises(InputError, match=r"too l(arge|ong)") as error:
        load(write_zip(tmp_path / "gzip.zip", files))
    assert name in one_line(error)
    assert sum(unpacked) < 100


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("gzip.tar.gz", "unpack it and give the folder"),
        ("gzip.tgz", "unpack it and give the folder"),
        (TRAIN_IMAGES, "give the folder that holds them"),
    ],
)
def test_another_kind_of_file_is_refused_with_advice(tmp_path, name, advice):
    (tmp_path / name).write_bytes(gzip.compress(b"whatever"))
    with pytest.raises(InputError, match=advice) as error:
        load(tmp_path / name)
    assert name in one_line(error)


def test_damaged_archives(tmp_path):
    files, _ = emnist_files()
    raw = write_zip(tmp_path / "gzip.zip", files).read_bytes()
    for damaged in (b"", raw[: len(raw) // 2], b"not a zip" * 100):
        (tmp_path / "gzip.zip").write_bytes(damaged)
        with pytest.raises(InputError, match=r"gzip\.zip: damaged zip") as error:
            load(tmp_path / "gzip.zip")
        one_line(error)
    flipped = bytearray(raw)
    flipped[len(raw) // 3] ^= 0xFF
    (tmp_path / "gzip.zip").write_bytes(flipped)
    with pytest.raises(InputError, match=r"gzip\.zip"):
        load(tmp_path / "gzip.zip")


@pytest.mark.examples
@given(
    raw=st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda magic, shape, body: magic + struct.pack(f">{len(shape)}I", *shape) + body,
            st.sampled_from([b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x09\x03", b"\0\0\x08\x04"]),
            st.lists(st.sampled_from([0, 1, 2, 3, 5, 2**16, 2**31, 2**32 - 1]), max_size=4),
            st.binary(max_size=40),
        ),
    ),
    ndim=st.sampled_from([1, 3]),
    zipped=st.booleans(),
    cut=st.integers(0, 80),
)
def test_any_bytes_are_refused_or_decoded_rightly(raw, ndim, zipped, cut):
    stored = gzip.compress(raw, mtime=0) if zipped else raw
    stored = stored[: len(stored) - cut] if cut < 5 else stored
    try:
        array = idx.decode(stored, "x", ndim)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        # Re-encoding what was read must give the very bytes: nothing else may be accepted.
        whole = gzip.decompress(stored) if stored[:2] == b"\x1f\x8b" else stored
        assert idx_bytes(array) == whole and array.size > 0 and array.ndim == ndim


@pytest.mark.examples
@given(
    shape=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    zipped=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_round_trip(shape, zipped, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    raw = idx_bytes(array)
    decoded = idx.decode(gzip.compress(raw) if zipped else raw, "x", 3)
    np.testing.assert_array_equal(decoded, array)


@pytest.mark.skipif(not POOL_LABELS.is_file(), reason="EMNIST_JAX_TEST_DATA has no real files")
def test_real_files(tmp_path):
    for file in SHARED.glob("emnist-*"):
        shutil.copy(file, tmp_path)
    data = load(tmp_path)
    assert data.name == "emnist/pool47" and len(data.classes) == 47
    assert [len(p) for p in (data.train, data.valid, data.test)] == [100_000, 15_800, 15_800]
    # Upright: a 1 is a vertical line, so its ink spreads over rows, not over columns.
    ones = data.train.images[data.train.labels == data.classes.index("1"), ..., 0].mean(0)
    axis = np.arange(28)
    spread = [np.average((axis - 13.5) ** 2, weights=ones.sum(1 - i)) for i in (0, 1)]
    assert spread[0] > 2 * spread[1]
    raw = gzip.decompress(POOL_LABELS.read_bytes())
    official = load(tmp_path, "official")
    counts = np.bincount(np.concatenate([official.train.labels, official.valid.labels]))
    np.testing.assert_array_equal(counts, np.bincount(np.frombuffer(raw[8:], np.uint8)))


def test_parts_of_other_sizes_are_refused(tmp_path):
    files, _ = emnist_files()
    small = np.zeros((len(gzip.decompress(files[TEST_LABELS])) - 8, 14, 14))
    files[TEST_IMAGES] = gzip.compress(idx_bytes(small))
    with pytest.raises(InputError, match="different sizes, 14x14x1 and 28x28x1"):
        load(write_folder(tmp_path, files))


def test_a_gap_in_the_labels_without_a_mapping_is_refused(tmp_path):
    labels = np.array([0, 1, 2, 200] * 20)
    files = {
        f"own-{part}-{kind}": idx_bytes(array)
        for part in ("train", "test")
        for kind, array in (
            ("images-idx3-ubyte", np.zeros((80, 28, 28))),
            ("labels-idx1-ubyte", labels),
        )
    }
    with pytest.raises(InputError, match="go up to 200 but none is 3"):
        load(write_folder(tmp_path, files))


def stored(prefix, upright, labels, mapping=None, suffix=".gz"):
    """Return files of equal images, stored as EMNIST stores them, in both parts."""
    images = np.repeat(upright.T[None], len(labels), 0)
    dash = f"{prefix}-" if prefix else ""
    files = {f"{dash}mapping.txt": mapping} if mapping else {}
    for part in ("train", "test"):
        files[f"{dash}{part}-images-idx3-ubyte{suffix}"] = gzip.compress(idx_bytes(images), 1)
        files[f"{dash}{part}-labels-idx1-ubyte{suffix}"] = gzip.compress(idx_bytes(labels), 1)
    return files


UPRIGHT = np.zeros((28, 28), np.uint8)
UPRIGHT[2:26, 5:8] = 255
MERGED = "".join(
    f"{i} {ord(c)}\n" for i, c in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
)
DIGITS = "".join(f"{i} {48 + i}\n" for i in range(10))


@pytest.mark.parametrize(
    ("prefix", "labels", "mapping", "turned", "why"),
    [
        ("EMNIST-balanced", range(47), None, True, "by their name"),
        ("emnist_digits", range(10), None, True, "by their name"),
        ("balanced", range(47), None, True, "47 classes"),
        ("Letters", range(1, 27), None, True, "26 classes"),
        ("", range(62), None, True, "62 classes"),
        ("", range(47), MERGED, True, "mapping"),
        ("mine", range(10), DIGITS, True, "mapping"),
        ("mnist", range(10), None, False, "taken as upright"),
        ("", range(10), None, False, "taken as upright"),
        ("mine", range(26), None, False, "taken as upright"),
    ],
)
def test_orientation_is_what_the_files_are(tmp_path, capsys, prefix, labels, mapping, turned, why):
    labels = np.tile(labels, 3)
    files = stored(prefix, UPRIGHT, labels, mapping and mapping.encode())
    path = write_folder(tmp_path / "f", files)
    for option in (None, True, False, None):  # each has its own entry in the cache
        data = load(path, transposed=option)
        turn = turned if option is None else option
        np.testing.assert_array_equal(data.train.images[0, ..., 0], UPRIGHT if turn else UPRIGHT.T)
        assert option is not None or why in data.notes[0]
    assert why in capsys.readouterr().err


def test_a_folder_called_emnist_may_hold_mnist(tmp_path):
    files = stored("", UPRIGHT.T, np.tile(range(10), 3))
    data = load(write_folder(tmp_path / "emnist-letters_data", files))
    np.testing.assert_array_equal(data.train.images[0, ..., 0], UPRIGHT)
    assert data.classes == tuple("0123456789")


@pytest.mark.parametrize(("mark", "encoding"), [("\ufeff", "utf-8"), ("\ufeff", "utf-16-le")])
def test_mapping_with_a_byte_order_mark_and_names_in_capitals(tmp_path, mark, encoding):
    files = stored("emnist-pool47", UPRIGHT, np.tile(range(47), 2), None, ".GZ")
    files["EMNIST-POOL47-MAPPING.TXT"] = (mark + MERGED.replace("\n", "\r\n")).encode(encoding)
    write_folder(tmp_path / "samples" / "a", {"a.png": b"beside the files"})
    data = load(write_folder(tmp_path, files))
    assert data.classes[10] == "A" and data.train.images[0, 2:26, 6].all()
