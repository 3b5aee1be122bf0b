"""Pictures from files look like the images that networks were trained on."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

import emnist_jax as ej
from emnist_jax.data import pictures
from emnist_jax.errors import InputError

INK = pictures.Form((28, 28, 1), paper=0, extent=20 / 28)  # light ink on dark paper


def drawing(size=(400, 300), paper=240, ink=20, box=(40, 90, 139, 289)):
    """Return a filled box on paper, as (height, width, 1)."""
    picture = Image.new("L", size, paper)
    ImageDraw.Draw(picture).rectangle(box, fill=ink)
    return np.asarray(picture)[..., None]


def test_the_form_of_glyphs_is_light_ink_on_dark_paper_with_room_around_it():
    form = pictures.form_of(ej.load("glyphs", size=470).train.images)
    assert form.shape == (28, 28, 1)
    assert form.paper < 16
    assert 0.6 < form.extent < 0.9


def test_the_form_of_photographs_has_no_extent():
    noise = np.random.default_rng(0).integers(0, 256, (50, 16, 12, 3), dtype=np.uint8)
    assert pictures.form_of(noise).shape == (16, 12, 3)
    assert pictures.form_of(noise).extent is None


def test_extent_is_the_longer_side_of_the_box_of_the_ink():
    images = np.zeros((3, 20, 20, 1), np.uint8)
    for image, (high, wide) in zip(images, [(5, 10), (10, 4), (12, 12)], strict=True):
        image[2 : 2 + high, 3 : 3 + wide] = 255
    assert pictures.form_of(images).extent == 10 / 20


def test_a_drawing_is_inverted_cut_out_scaled_and_centred():
    image = pictures.fit(drawing(), INK)[..., 0]  # 100 wide, 200 high
    assert image.shape == (28, 28) and image.dtype == np.uint8
    rows, columns = np.nonzero(image > 127)
    assert (rows.min(), rows.max()) == (4, 23)
    assert (columns.min(), columns.max()) == (9, 18)
    assert image.max() == 255 and image[0].max() == 0


def test_light_ink_on_dark_paper_gives_the_same_image():
    dark = 255 - drawing()
    np.testing.assert_array_equal(pictures.fit(dark, INK), pictures.fit(drawing(), INK))


def test_networks_of_dark_ink_get_dark_ink():
    form = INK._replace(paper=255)
    expected = 255 - pictures.fit(drawing(), INK)
    np.testing.assert_array_equal(pictures.fit(drawing(), form), expected)


def test_thin_lines_keep_full_ink():
    thin = drawing(box=(40, 90, 42, 289))
    assert pictures.fit(thin, INK).max() == 255


def test_a_picture_of_the_very_size_is_left_alone_but_for_its_paper():
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    image[0], image[-1], image[:, 0], image[:, -1] = 0, 0, 0, 0
    np.testing.assert_array_equal(pictures.fit(image, INK), image)
    np.testing.assert_array_equal(pictures.fit(255 - image, INK), image)


def test_photographs_are_cropped_about_the_middle():
    picture = np.zeros((40, 100, 3), np.uint8)
    picture[:, 30:70] = (10, 200, 90)
    image = pictures.fit(picture, pictures.Form((8, 8, 3), 100, None))
    np.testing.assert_array_equal(image, np.broadcast_to((10, 200, 90), (8, 8, 3)))


def test_an_empty_page_is_refused():
    with pytest.raises(InputError, match="nothing is drawn"):
        pictures.fit(np.full((50, 60, 1), 230, np.uint8), INK)


def test_files_are_read_as_grey_or_colour_with_transparency_white(tmp_path):
    picture = Image.new("RGBA", (7, 5), (0, 0, 0, 0))
    picture.putpixel((3, 2), (255, 0, 0, 255))
    picture.save(tmp_path / "a.png")
    grey, colour = (pictures.read(tmp_path / "a.png", channels) for channels in (1, 3))
    assert grey.shape == (5, 7, 1) and colour.shape == (5, 7, 3)
    assert grey[0, 0, 0] == 255 and grey[2, 3, 0] == 76  # ITU-R 601: .299 of red
    assert colour[2, 3].tolist() == [255, 0, 0]


def test_what_is_no_picture_gets_one_clear_line(tmp_path):
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match="not a readable picture"):
        pictures.read(tmp_path / "a.png", 1)
    with pytest.raises(InputError, match="no such file"):
        pictures.read(tmp_path / "b.png", 1)
    with pytest.raises(InputError, match="these networks take 2"):
        pictures.read(tmp_path / "a.png", 2)
