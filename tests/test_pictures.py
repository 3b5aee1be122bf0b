"""Pictures from files look like the images that networks were trained on."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

import emnist_jax as ej
from emnist_jax.data import pictures
from emnist_jax.errors import InputError

INK = pictures.PictureForm((28, 28, 1), paper=0, extent=20 / 28)  # light ink on dark paper


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
    image = pictures.fit(picture, pictures.PictureForm((8, 8, 3), 100, None))
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


def ground(mode):
    """Return black ink on a transparent ground, (6, 6), and where the ink is."""
    alpha = np.zeros((6, 6), np.uint8)
    alpha[1:4, 2] = 255
    stored = Image.merge("RGBA", [Image.new("L", (6, 6))] * 3 + [Image.fromarray(alpha)])
    return stored.convert(mode), alpha > 0


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [(m, "png") for m in ("RGBA", "LA", "P")] + [("RGBA", s) for s in ("webp", "tiff", "gif")],
)
def test_transparency_lies_on_white_or_black_in_folders_too(tmp_path, mode, suffix):
    picture, ink = ground(mode)
    for name in "ab":
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(5):
            options = {"lossless": True} if suffix == "webp" else {}
            picture.save(tmp_path / "train" / name / f"{i}.{suffix}", **options)
    for background, level in (("white", 255), ("black", 0)):
        data = ej.load(tmp_path, background=background)
        image = data.train.images[0]
        assert data.background == background
        np.testing.assert_array_equal(image, np.where(ink, 0, level)[..., None].repeat(3, -1))
        read = pictures.read(tmp_path / f"train/a/0.{suffix}", 3, background)
        np.testing.assert_array_equal(read, image)


def test_what_is_half_transparent_is_mixed(tmp_path):
    Image.new("RGBA", (1, 1), (200, 0, 0, 128)).save(tmp_path / "a.png")
    mixed = pictures.read(tmp_path / "a.png", 3)[0, 0]
    np.testing.assert_allclose(mixed, [227.4, 127, 127], atol=1)  # .502 ink + .498 white


@pytest.mark.parametrize(
    ("kind", "suffix"), [("<u2", "png"), ("<u2", "tif"), (">u2", "tif"), ("i4", "tif")]
)
def test_16_bits_are_scaled_to_8(tmp_path, kind, suffix):
    levels = np.arange(0, 65536, 257, dtype=kind).reshape(16, 16)
    mode = {"<u2": "I;16", ">u2": "I;16B", "i4": "I"}[kind]
    Image.frombytes(mode, (16, 16), levels.tobytes()).save(tmp_path / f"a.{suffix}")
    image = pictures.read(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(image.ravel(), np.arange(256))


def test_levels_of_32_bits_are_refused(tmp_path):
    Image.fromarray(np.full((2, 2), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="levels of 32 bits; store it with 8 or 16"):
        pictures.read(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_pictures_stand_as_exif_says_and_damaged_exif_is_none(tmp_path, suffix):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(upright).rotate(90).save(tmp_path / f"a.{suffix}", exif=exif)
    image = pictures.read(tmp_path / f"a.{suffix}").astype(int)
    assert abs(image - upright).max() < 9
    if suffix == "jpg":
        Image.fromarray(upright).save(tmp_path / "b.jpg", exif=b"Exif\0\0MM\0*nonsense")
        assert abs(pictures.read(tmp_path / "b.jpg").astype(int) - upright).max() < 9


def test_of_several_frames_the_first_is_read_and_cmyk_becomes_rgb(tmp_path):
    first, second = (Image.new("L", (4, 4), level) for level in (51, 204))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (pictures.read(tmp_path / "a.gif") == 51).all()
    Image.new("CMYK", (2, 2), (0, 255, 0, 0)).save(tmp_path / "a.tif")
    assert pictures.read(tmp_path / "a.tif")[0, 0].tolist() == [255, 0, 255]


def test_a_tilde_is_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.new("L", (3, 2), 7).save(tmp_path / "a.bmp")
    assert pictures.read("~/a.bmp").shape == (2, 3, 1)
