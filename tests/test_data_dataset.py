"""The Dataset itself, how sources are split, and plain arrays."""

import dataclasses
import hashlib

import numpy as np
import pytest

from emnist_jax.data import Dataset, Split, load, split_indices
from emnist_jax.data.dataset import permutation
from emnist_jax.errors import InputError


def pair(n=100, seed=0, shape=(6, 5)):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, *shape), dtype=np.uint8), np.arange(n) % 10


def pcg64(seed: int, n: int) -> list[int]:
    """PCG XSL-RR 128/64 from its definition, seeded as numpy's SeedSequence tells it to be."""
    words = np.random.SeedSequence(seed).generate_state(4, np.uint64).tolist()
    multiplier, mask = 0x2360ED051FC65DA44385DF649FCCF645, 2**128 - 1
    increment = ((words[2] << 64 | words[3]) << 1 | 1) & mask
    state = ((increment + (words[0] << 64 | words[1])) * multiplier + increment) & mask
    out = []
    for _ in range(n):
        state = (state * multiplier + increment) & mask
        value, turn = (state >> 64 ^ state) & (2**64 - 1), state >> 122
        out.append((value >> turn | value << (64 - turn)) & (2**64 - 1))
    return out


def test_permutation_is_the_documented_one():
    draws = pcg64(2017, 1000)
    assert permutation(1000).tolist() == sorted(range(1000), key=draws.__getitem__)


@pytest.mark.parametrize(
    ("total", "sizes"),
    [
        (131_600, (100_000, 15_800, 15_800)),
        (26_320, (20_000, 3_160, 3_160)),
        (70_000, (53_192, 8_404, 8_404)),
        (10, (8, 1, 1)),
    ],
)
def test_paper_sizes_and_disjointness(total, sizes):
    parts = split_indices((total, 0, 0), "paper")
    assert tuple(map(len, parts)) == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(total))


def test_official_keeps_the_test_part_and_splits_train():
    train, valid, test = split_indices((112_800, 0, 18_800), "official")
    assert len(valid) == round(112_800 * 15_800 / 115_800)
    np.testing.assert_array_equal(test, np.arange(112_800, 131_600))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(112_800))
    assert not np.array_equal(np.sort(valid), valid)  # a random choice, not the tail


def test_official_keeps_a_validation_part_of_the_source():
    train, valid, test = split_indices((50, 20, 30), "official")
    assert sorted(train) == list(range(50))
    assert (valid.tolist(), test.tolist()) == (list(range(50, 70)), list(range(70, 100)))


@pytest.mark.parametrize("split", ["paper", "official"])
def test_size_takes_a_subset_in_proportion(split):
    parts = split_indices((1000, 0, 200), split, size=600)
    whole = split_indices((1000, 0, 200), split)
    for part, full in zip(parts, whole, strict=True):
        assert len(part) == pytest.approx(len(full) / 2, abs=1)
    everything = np.concatenate(parts)
    assert len(np.unique(everything)) == len(everything)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (((9, 0, 0), "papr"), 'did you mean "paper"'),
        (((9, 0, 0), "official"), 'no test part; use split="paper"'),
        (((2, 0, 0), "paper"), "too few"),
        (((100, 0, 0), "paper", 101), "give 1 to 100"),
        (((100, 0, 0), "paper", 0), "give 1 to 100"),
    ],
)
def test_impossible_splits(arguments, reason):
    with pytest.raises(InputError, match=reason):
        split_indices(*arguments)


def test_a_pair_of_arrays_is_split_with_images_and_labels_together():
    images, labels = pair(200)
    data = load((images, labels))
    assert [len(p) for p in (data.train, data.valid, data.test)] == [152, 24, 24]
    train, valid, test = split_indices((200, 0, 0), "paper")
    for part, index in ((data.train, train), (data.valid, valid), (data.test, test)):
        np.testing.assert_array_equal(part.images[..., 0], images[index])
        np.testing.assert_array_equal(part.labels, labels[index])
        assert part.images.dtype == np.uint8 and part.labels.dtype == np.int32
        assert part.images.shape[1:] == (6, 5, 1)
    digest = hashlib.sha256()
    for index in (train, valid, test):
        digest.update(np.int64(len(index)).tobytes() + index.astype(np.int64).tobytes())
    assert data.split_hash == digest.hexdigest()


@pytest.mark.parametrize("form", [tuple, dict])
def test_three_pairs_are_taken_as_they_are(form):
    pairs = [pair(20), pair(8, 1), pair(5, 2)]
    given = (
        dict(zip(("train", "valid", "test"), pairs, strict=True)) if form is dict else tuple(pairs)
    )
    data = load(given, classes="abcdefghij", name="mine")
    assert (data.name, data.classes) == ("mine", tuple("abcdefghij"))
    for part, (images, labels) in zip((data.train, data.valid, data.test), pairs, strict=True):
        np.testing.assert_array_equal(part.images[..., 0], images)
        np.testing.assert_array_equal(part.labels, labels)


def test_immutable_and_apart_from_the_callers_arrays():
    images, labels = pair(20)
    split = Split(images[:10], labels[:10])
    before = split.images.copy()
    images[:] = 0
    np.testing.assert_array_equal(split.images, before)
    with pytest.raises(ValueError, match="read-only"):
        split.images[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        split.images = images


def test_replace_swaps_a_part_and_changes_the_hash():
    data = load(pair(100))
    other = pair(12, 9)
    new = dataclasses.replace(data, valid=other)
    np.testing.assert_array_equal(new.valid.images[..., 0], other[0])
    assert new.train is data.train and new.hash != data.hash
    assert dataclasses.replace(new, valid=data.valid).hash == data.hash


def test_hash_sees_pixels_labels_shape_and_classes_but_not_the_name():
    images, labels = pair(100)
    base = load((images, labels))
    assert load((images.copy(), labels.copy()), name="other").hash == base.hash
    changed = images.copy()
    changed[3, 2, 1] ^= 1
    relabelled = labels.copy()
    relabelled[[0, 1]] = relabelled[[1, 0]]
    for source in ((changed, labels), (images, relabelled), (images.reshape(100, 5, 6), labels)):
        assert load(source).hash != base.hash
    assert load((images, labels), classes="abcdefghij").hash != base.hash


def test_floats_become_uint8():
    images = np.linspace(0, 1, 4 * 256).reshape(4, 16, 16, 1)
    split = Split(images, np.arange(4))
    np.testing.assert_array_equal(split.images, np.rint(images * 255).astype(np.uint8))
    assert split.images.min() == 0 and split.images.max() == 255


BAD_ARRAYS = [
    (np.full((4, 2, 2), np.nan), np.arange(4), "NaN"),
    (np.full((4, 2, 2), np.inf), np.arange(4), "range"),
    (np.full((4, 2, 2), 1.5), np.arange(4), r"range.*\[0, 1\]"),
    (np.full((4, 2, 2), -0.1), np.arange(4), "range"),
    (np.full((4, 2, 2), 256), np.arange(4), "0 to 255"),
    (np.zeros((4, 2)), np.arange(4), "shape"),
    (np.zeros((4, 3, 8, 8)), np.arange(4), r"channels first.*transpose\(0, 2, 3, 1\)"),
    (np.zeros((0, 2, 2)), np.arange(0), "no images"),
    (np.zeros((4, 2, 2), complex), np.arange(4), "complex"),
    ([[[1, 2]], [[1]]], np.arange(2), "not one array"),
    (np.zeros((4, 2, 2)), np.arange(3), "4 images but 3 labels"),
    (np.zeros((4, 2, 2)), np.zeros(4), "integers"),
    (np.zeros((4, 2, 2)), np.zeros((4, 10), int), "integers of shape"),
    (np.zeros((4, 2, 2)), np.array([0, 1, -1, 2]), "from 0"),
]


@pytest.mark.parametrize(("images", "labels", "reason"), BAD_ARRAYS)
def test_unusable_arrays(images, labels, reason):
    with pytest.raises(InputError, match=reason) as error:
        load((images, labels))
    assert "\n" not in str(error.value) and str(error.value).startswith("arrays: ")


def test_unusable_calls():
    data = load(pair(50))
    cases = [
        (lambda: load(data), "Dataset already"),
        (lambda: load("glyphs", "papre"), 'did you mean "paper"'),
        (lambda: load("glyphs", size=0), "above 0"),
        (lambda: load("glyphs", size=2), "too few"),
        (lambda: load("glyphs", size=2.5), "whole number"),
        (lambda: load("glyphs", classes="ab"), "arrays only"),
        (lambda: load(pair(50), classes=5), "classes=5: give a list of names"),
        (lambda: load("./no-such-folder"), "no such folder"),
        (lambda: load("no\0such\nname"), "no such folder"),
        (lambda: load((pair()[0], np.zeros(100, int))), "one class is nothing to learn"),
        (lambda: load(pair(50), classes=[*"abcdefghi", "caf\udce9"]), r"'caf.udce9' is not UTF-8"),
        (lambda: load(pair(50), transposed=True), "transposed can be given for files"),
        (lambda: load("glyphs", background="grey"), "one of: black, white"),
        (lambda: load(3), "expected a pair"),
        (lambda: load({"train": pair()}), "train, valid and test"),
        (lambda: load((pair(), pair(), pair()), size=5), "size cannot"),
        (lambda: load(pair(50), classes="abc"), "label 3, 4, 5, 6, 7 is outside the 3 classes"),
        (lambda: dataclasses.replace(data, test=pair(5, shape=(7, 7))), "give one size"),
        (
            lambda: dataclasses.replace(data, test=(pair(5)[0], np.full(5, 10))),
            "label 10 is outside",
        ),
    ]
    for call, reason in cases:
        with pytest.raises(InputError, match=reason) as error:
            call()
        assert "\n" not in str(error.value)


def test_repr_is_one_line_a_part():
    lines = repr(load(pair(1316), name="mine")).splitlines()
    assert lines[0].startswith("mine: 10 classes, hash ")
    assert lines[1:] == [
        "  train 1,000 images of 6x5x1",
        "  valid 158 images of 6x5x1",
        "  test  158 images of 6x5x1",
    ]
    assert isinstance(load(pair(50)), Dataset)
