"""The drawn characters: the same for the same seed, all classes, neither trivial nor noise."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from emnist_jax.data import glyphs, load


def test_default_sizes_classes_and_name():
    data = load()
    assert [len(p) for p in (data.train, data.valid, data.test)] == [20_000, 3_160, 3_160]
    assert (data.name, data.train.images.shape[1:]) == ("glyphs", (28, 28, 1))
    assert "".join(data.classes) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    counts = sum(np.bincount(p.labels, minlength=47) for p in (data.train, data.valid, data.test))
    assert set(counts) == {560}
    images = [image.tobytes() for p in (data.train, data.valid, data.test) for image in p.images]
    assert len(set(images)) == len(images)  # none twice: leaks would flatter the validation


def test_official_split_of_glyphs_is_other_images_than_paper():
    paper, official = load(size=1316), load(split="official", size=1316)
    assert len(official.test) == len(paper.test) == 158
    np.testing.assert_array_equal(official.test.labels, np.arange(1316 - 158, 1316) % 47)
    assert paper.split_hash != official.split_hash


def test_same_images_in_this_and_another_process():
    images, _ = glyphs.draw(1100)
    again, _ = glyphs.draw(1100)
    np.testing.assert_array_equal(images, again)
    code = (
        "import hashlib; from emnist_jax.data import glyphs; "
        "print(hashlib.sha256(glyphs.draw(1100)[0].tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(images.tobytes()).hexdigest()


def test_a_smaller_size_is_a_beginning():
    images, labels = glyphs.draw(600)
    fewer, fewer_labels = glyphs.draw(70)
    np.testing.assert_array_equal(fewer, images[:70])
    np.testing.assert_array_equal(fewer_labels, labels[:70])


def test_ink_is_plausible():
    images, _ = glyphs.draw(4700)
    bright = (images > 127).mean((1, 2, 3))
    assert 0.05 < bright.mean() < 0.3
    assert bright.min() > 0.005 and bright.max() < 0.6
    assert images.max((1, 2, 3)).min() > 150  # every character is written
    ink = images[..., 0].astype(float)
    edge = np.concatenate([ink[:, 0], ink[:, -1], ink[:, :, 0], ink[:, :, -1]], 1)
    assert edge.mean() < 0.06 * 255  # inside the frame


@pytest.mark.slow
def test_harder_than_template_matching_but_far_above_chance():
    images, labels = glyphs.draw(9400)
    pixels = images.reshape(len(images), -1) / 255.0
    train, test = slice(0, 7000), slice(7000, None)
    means = np.stack([pixels[train][labels[train] == c].mean(0) for c in range(47)])
    distance = ((pixels[test][:, None] - means[None]) ** 2).sum(-1)
    accuracy = (distance.argmin(1) == labels[test]).mean()
    assert 0.3 < accuracy < 0.65  # chance is 0.02


def test_every_class_has_strokes_and_every_stroke_parses():
    strokes = glyphs.read_strokes()
    assert tuple(strokes) == glyphs.CLASSES
    for variants in strokes.values():
        for text in variants:
            control, arcs = glyphs._parse(text)
            assert len(control) >= 2 and np.abs(control).max() <= 0.55
            assert sorted({i for arc in arcs for i in arc}) == list(range(len(control)))


def test_curves_pass_through_their_control_points():
    control, arcs = glyphs._parse("0,0 50,80 100,0! 100,100")
    dots, spacing = glyphs._dots(control, arcs)
    line = dots @ control
    assert np.linalg.norm(line[:, None] - control[None], axis=-1).min(0).max() < 0.02
    np.testing.assert_allclose(dots.sum(1), 1, atol=1e-12)  # shifting the points shifts the curve
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert np.median(steps) == pytest.approx(np.median(spacing), rel=0.02)
