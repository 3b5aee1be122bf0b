"""Image folders."""

import os

import numpy as np
import pytest
from PIL import Image

from emnist_jax.data import load
from emnist_jax.errors import InputError


def write(root, part, counts, seed=0, shape=(8, 6, 3), suffix=".png"):
    """Write random images; return them by class in the order of their names."""
    random = np.random.default_rng(seed)
    written = {}
    for name, n in counts.items():
        (root / part / name).mkdir(parents=True, exist_ok=True)
        written[name] = random.integers(0, 256, (n, *shape), dtype=np.uint8)
        for i, image in enumerate(written[name]):
            Image.fromarray(image).save(root / part / name / f"{i:04}{suffix}")
    return written


def test_rgb_folder_with_test_part(tmp_path):
    root = tmp_path / "pets"
    train = write(root, "train", {"dog": 12, "cat": 12})
    test = write(root, "test", {"dog": 3}, seed=1)
    data = load(root, "official")
    assert (data.name, data.classes) == ("pets", ("cat", "dog"))
    np.testing.assert_array_equal(data.test.images, test["dog"])
    assert data.test.labels.tolist() == [1, 1, 1]
    stored = {image.tobytes(): i for i, name in enumerate(data.classes) for image in train[name]}
    for part in (data.train, data.valid):
        assert [stored[image.tobytes()] for image in part.images] == part.labels.tolist()
    assert (len(data.train), len(data.valid)) == (21, 3)


def test_class_folders_alone_are_refused_with_where_they_belong(tmp_path):
    write(tmp_path / "pets", "train", {"dog": 2, "cat": 2})
    with pytest.raises(InputError, match=f"it is a part of one itself, give {tmp_path}/pets"):
        load(tmp_path / "pets" / "train")
    (tmp_path / "pets" / "train").rename(tmp_path / "pets" / "all")
    with pytest.raises(InputError, match=r"the class folders in it belong into .*/all/train/"):
        load(tmp_path / "pets" / "all")


def test_train_alone_is_split_and_validation_part_is_kept(tmp_path):
    write(tmp_path / "a", "train", {"x": 10, "y": 10})
    assert [len(p) for p in vars(load(tmp_path / "a")).values() if hasattr(p, "images")] == [
        16,
        2,
        2,
    ]
    with pytest.raises(InputError, match="no test part"):
        load(tmp_path / "a", "official")
    valid = write(tmp_path / "a", "valid", {"y": 4}, seed=3)
    write(tmp_path / "a", "test", {"x": 4}, seed=4)
    np.testing.assert_array_equal(load(tmp_path / "a", "official").valid.images, valid["y"])


def test_grey_images_keep_one_channel_and_mixed_ones_become_rgb(tmp_path):
    grey = write(tmp_path / "g", "train", {"w": 9, "x": 9}, shape=(8, 6))
    data = load(tmp_path / "g")
    assert data.train.images.shape[1:] == (8, 6, 1)
    colour = write(tmp_path / "g", "train", {"y": 9}, suffix=".PNG")
    data = load(tmp_path / "g")
    assert data.train.images.shape[1:] == (8, 6, 3)
    grey = np.concatenate([*grey.values()])
    expected = {np.repeat(image[..., None], 3, -1).tobytes() for image in grey}
    expected |= {image.tobytes() for image in colour["y"]}
    found = np.concatenate([data.train.images, data.valid.images, data.test.images])
    assert {image.tobytes() for image in found} == expected


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda root: (root / "train/x/0000.png").write_bytes(b"no image"),
            "0000.png: not a readable",
        ),
        (lambda root: (root / "train/x/0000.png").write_bytes(b""), "0000.png: not a readable"),
        (lambda root: _cut(root / "train/x/0000.png"), "0000.png: not a readable"),
        (lambda root: write(root, "test", {"z": 1}), '"z" is not in train'),
        (lambda root: write(root, "test", {"x": 1}, shape=(9, 9, 3)), "9x9 pixels"),
        (lambda root: (root / "train").rename(root / "tran"), "holds neither"),
    ],
)
def test_unusable_folders(tmp_path, damage, reason):
    root = tmp_path / "d"
    write(root, "train", {"x": 10, "y": 10})
    damage(root)
    with pytest.raises(InputError, match=reason) as error:
        load(root)
    assert "\n" not in str(error.value) and str(root) in str(error.value)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def test_a_new_image_is_seen(tmp_path):
    write(tmp_path / "n", "train", {"w": 20, "x": 20})
    before = load(tmp_path / "n")
    write(tmp_path / "n", "train", {"y": 1}, seed=8)
    after = load(tmp_path / "n")
    assert (before.classes, after.classes) == (("w", "x"), ("w", "x", "y"))


@pytest.mark.parametrize("names", [("val", "Test"), ("validation", "testing")])
def test_parts_under_their_other_names(tmp_path, names):
    write(tmp_path / "a", "Train", {"x": 10, "y": 10})
    valid = write(tmp_path / "a", names[0], {"y": 4}, seed=3)
    test = write(tmp_path / "a", names[1], {"x": 4}, seed=4)
    data = load(tmp_path / "a", "official")
    np.testing.assert_array_equal(data.valid.images, valid["y"])
    np.testing.assert_array_equal(data.test.images, test["x"])
    write(tmp_path / "a", "valid", {"y": 4})
    with pytest.raises(InputError, match="are both the valid part; keep one"):
        load(tmp_path / "a")


def test_what_is_not_read_is_counted_and_named_also_from_the_cache(tmp_path):
    write(tmp_path / "a", "train", {"x": 9, "y": 9})
    assert load(tmp_path / "a").notes == ()
    write(tmp_path / "a", "train/x", {"more": 5})
    write(tmp_path / "a", "holdout", {"x": 3})
    (tmp_path / "a/train/empty").mkdir()
    (tmp_path / "a/train/y/photo.heic").write_bytes(b"")
    (tmp_path / "a/train/y/.hidden").write_bytes(b"")
    for _ in range(2):
        data = load(tmp_path / "a")
        assert sum(map(len, (data.train, data.valid, data.test))) == 18
        (line,) = data.notes
        assert line.startswith(f"{tmp_path}/a: 9 files not read: train/empty/ holds no images, ")
        for named in ("5 in train/x/more/", "1 in train/y/ (.heic)", "3 in holdout/"):
            assert named in line


def test_composed_and_decomposed_names_are_one_class(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    write(tmp_path / "a", "train", {decomposed: 10, "x": 10})
    write(tmp_path / "a", "test", {composed: 3})
    data = load(tmp_path / "a", "official")
    assert data.classes == (composed, "x") and data.test.labels.tolist() == [0, 0, 0]


def test_a_class_that_is_not_utf8_is_refused_and_such_a_folder_read(tmp_path):
    latin = os.fsdecode(b"caf\xe9")
    write(tmp_path / latin, "train", {"x": 10, "y": 10})
    assert repr(load(tmp_path / latin)).startswith(r"caf\udce9: 2 classes")
    write(tmp_path / latin, "train", {latin: 2})
    with pytest.raises(InputError, match="is not UTF-8; rename it") as error:
        load(tmp_path / latin)
    str(error.value).encode()
