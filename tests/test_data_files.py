"""CSV, .npz, .mat and Parquet files: the same data from each, one clear line from odd ones."""

import gzip
import io
import json
import zipfile

import numpy as np
import pytest
from idx_files import arrays
from PIL import Image
from scipy.io import savemat

from emnist_jax.data import load
from emnist_jax.errors import InputError

IMAGES, LABELS = arrays(94)  # upright, the 47 classes of EMNIST Balanced
STORED = IMAGES.swapaxes(1, 2)
MERGED = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
DIGITS = LABELS % 10  # with these the images are not EMNIST's
COLUMNS = [f"pixel{i}" for i in range(784)]


def csv_text(images, labels, header=None, separator=","):
    rows = [header] if header else []
    rows += [[label, *image.ravel()] for image, label in zip(images, labels, strict=True)]
    return "\n".join(separator.join(map(str, row)) for row in rows) + "\n"


def write_csv(path, images, labels):
    path.write_text(csv_text(images, labels))


def write_npz(path, images, labels):
    np.savez(path, inputs=images.reshape(len(images), -1).astype(np.float32), targets=labels)


def write_parquet(path, images, labels, names=None):
    pa = pytest.importorskip("pyarrow")
    encoded = []
    for image in images:
        Image.fromarray(image).save(buffer := io.BytesIO(), "PNG")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    table = pa.table({"image": encoded, "label": labels})
    about = {"info": {"features": {"label": {"names": names}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(about)} if names else None)
    pytest.importorskip("pyarrow.parquet").write_table(table, path)


def write_mat(path, images, labels, first=0):
    part = {"images": images.reshape(len(images), -1), "labels": labels[:, None] + float(first)}
    mapping = [[i + first, ord(c)] for i, c in enumerate(MERGED)]
    test = {name: values[:47] for name, values in part.items()}
    dataset = {"train": part, "test": test, "mapping": np.array(mapping, np.uint8)}
    savemat(path, {"dataset": dataset}, do_compression=True)


def contents(data):
    """Return images with labels, whatever their order."""
    parts = (data.train, data.valid, data.test)
    pairs = [(i.tobytes(), int(n)) for p in parts for i, n in zip(p.images, p.labels, strict=True)]
    return sorted(pairs)


def expected(images=IMAGES, labels=LABELS):
    return sorted((image.tobytes(), int(n)) for image, n in zip(images, labels, strict=True))


@pytest.mark.parametrize(
    ("write", "suffix"), [(write_csv, "csv"), (write_npz, "npz"), (write_parquet, "parquet")]
)
def test_a_file_with_its_other_parts_beside_it(tmp_path, write, suffix):
    write(tmp_path / f"emnist-balanced-train.{suffix}", STORED, LABELS)
    write(tmp_path / f"emnist-balanced-test.{suffix}", STORED[:47], LABELS[:47])
    data = load(tmp_path / f"emnist-balanced-train.{suffix}", "official")
    assert (data.name, data.classes) == ("emnist/balanced", tuple(MERGED))
    assert contents(data) == sorted(expected() + expected(IMAGES[:47], LABELS[:47]))
    np.testing.assert_array_equal(data.test.images[..., 0], IMAGES[:47])
    assert any("test" in note for note in data.notes)
    assert load(tmp_path, "official").hash == data.hash
    one = load(tmp_path / f"emnist-balanced-test.{suffix}")
    assert contents(one) == expected(IMAGES[:47], LABELS[:47])


def test_mat_alone_and_in_an_archive(tmp_path):
    write_mat(tmp_path / "emnist-balanced.mat", STORED, LABELS)
    write_mat(tmp_path / "mine.mat", STORED, LABELS, first=1)
    data = load(tmp_path / "emnist-balanced.mat", "official")
    np.testing.assert_array_equal(data.test.images[..., 0], IMAGES[:47])
    with zipfile.ZipFile(tmp_path / "matlab.zip", "w") as archive:
        for name in ("emnist-balanced.mat", "mine.mat"):
            archive.write(tmp_path / name, f"matlab/{name}")
    assert load(f"{tmp_path}/matlab.zip#balanced", "official").hash == data.hash
    with pytest.raises(InputError, match="several variants; add # and one of balanced, mine"):
        load(tmp_path / "matlab.zip")
    mine = load(f"{tmp_path}/matlab.zip#mine", transposed=True)
    assert mine.classes == tuple(MERGED) and contents(mine) == contents(data)


def mangled(images, labels):  # how pandas writes a column name again and again
    return csv_text(images, labels, ["0", *(f"0.{i}" for i in range(1, 785))])


CSV = {
    "no names": csv_text(IMAGES, DIGITS),
    "names": csv_text(IMAGES, DIGITS, ["label", *COLUMNS]),
    "numbers as names": csv_text(IMAGES, DIGITS, ["label", *range(784)]),
    "mangled names": mangled(IMAGES, DIGITS),
    "byte-order mark and semicolons": "\ufeff" + csv_text(IMAGES, DIGITS, None, ";"),
    "an index, tabs": "\n".join(
        f"{i - 1 if i else ''}\t{line}"
        for i, line in enumerate(csv_text(IMAGES, DIGITS, ["label", *COLUMNS], "\t").splitlines())
    ),
    "an index": "\n".join(
        f"{i - 1 if i else ''},{line}"
        for i, line in enumerate(csv_text(IMAGES, DIGITS, ["label", *COLUMNS]).splitlines())
    ),
}


@pytest.mark.parametrize("kind", CSV)
def test_csv_of_many_kinds(tmp_path, kind):
    (tmp_path / "mine.csv").write_text(CSV[kind])
    assert contents(load(tmp_path / "mine.csv")) == expected(labels=DIGITS)
    (tmp_path / "mine.csv.gz").write_bytes(gzip.compress(CSV[kind].encode()))
    assert contents(load(tmp_path / "mine.csv.gz")) == expected(labels=DIGITS)


def test_a_test_part_without_labels_is_named_and_not_read(tmp_path):
    (tmp_path / "train.csv").write_text(CSV["names"])
    lines = [",".join(COLUMNS), *(",".join(map(str, image.ravel())) for image in IMAGES[:3])]
    (tmp_path / "test.csv").write_text("\n".join(lines))
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")
    data = load(tmp_path)
    assert contents(data) == expected(labels=DIGITS)
    assert "test.csv: 784 columns are an image without its label; not read" in data.notes[0]


@pytest.mark.parametrize(
    "names",
    [
        ("images", "labels"),
        ("inputs", "targets"),
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "val_images", "val_labels"),
    ],
)
def test_npz_of_many_names(tmp_path, names):
    values = [IMAGES, DIGITS[:, None], IMAGES, DIGITS[:, None]]
    np.savez(tmp_path / "mine.npz", **dict(zip(names, values, strict=False)))
    assert contents(load(tmp_path / "mine.npz")) == sorted(
        expected(labels=DIGITS) * (len(names) // 2)
    )


def test_names_as_labels_and_names_in_parquet(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=np.array(["dog", "cat"])[DIGITS % 2])
    assert load(tmp_path / "a.npz").classes == ("cat", "dog")
    write_parquet(tmp_path / "mnist.parquet", IMAGES, DIGITS, list("0123456789"))
    data = load(tmp_path / "mnist.parquet")  # the names of MNIST's digits are no EMNIST mapping
    assert data.classes == tuple("0123456789") and contents(data) == expected(labels=DIGITS)


def test_labels_that_are_numbers_sort_as_numbers(tmp_path):
    text = np.arange(5, 16).astype(str)
    np.savez(tmp_path / "a.npz", images=IMAGES[:55], labels=np.tile(text, 5))
    data = load(tmp_path / "a.npz")
    assert data.classes == tuple(text)
    assert contents(data) == expected(IMAGES[:55], np.tile(np.arange(11), 5))


def test_a_letter_that_is_a_word_for_labels_is_no_header(tmp_path):
    letters = csv_text(IMAGES, np.array(["y", "z"])[DIGITS % 2])
    (tmp_path / "a.csv").write_text(letters)
    with pytest.raises(InputError, match='"y" may be a label or a column'):
        load(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(",".join(["y", *map(str, range(784))]) + "\n" + letters)
    assert contents(load(tmp_path / "a.csv")) == expected(labels=DIGITS % 2)


def test_shards_are_one_part_and_none_may_be_missing(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00002.parquet", IMAGES[:50], DIGITS[:50])
    with pytest.raises(InputError, match="1 files of the train part, not 2"):
        load(tmp_path)
    write_parquet(tmp_path / "train-00001-of-00002.parquet", IMAGES[50:], DIGITS[50:])
    assert contents(load(tmp_path)) == expected(labels=DIGITS)


def npz(**values):
    np.savez(buffer := io.BytesIO(), **values)
    return buffer.getvalue()


def mat(**values):
    savemat(buffer := io.BytesIO(), values)
    return buffer.getvalue()


def changed(before, after):
    return CSV["names"].replace(before, after, 1).encode()


SMALL = {"images": IMAGES, "labels": DIGITS}
ODD = {
    "a.csv": [
        (b"", "not a readable CSV"),
        (changed("\n0,", "\n-1,"), "labels are -1"),
        (changed("\n1,", "\n,"), "image 2 has no label"),
        (changed("\n1,", "\nNaN,"), "image 2 has no label"),
        (changed(",7,", ",,"), "a pixel is no number, or a line is cut off"),
        (changed(",7,", ",seven,"), "a pixel is no number"),
        (changed(",7,", ",700,"), "range from 0 to 700; give integers 0 to 255"),
        (CSV["names"][:-900].encode(), "a line is cut off"),
        (changed("\n1,", "\n1,5,"), "Expected 785 fields in line 3, saw 786"),
        (b"1,2,3,4,5,6\n" * 9, "5 pixels an image are no square"),
        (b"1,2,3,4\n" * 9, "4 columns are an image without its label"),
    ],
    "a.csv.gz": [(gzip.compress(CSV["names"].encode())[:-9], "damaged gzip file")],
    "a.npz": [
        (b"junk", "not a readable .npz file"),
        (npz(**SMALL)[:-99], "not a readable .npz file"),
        (npz(images=IMAGES, labels=np.array([print] * 94)), "not a readable .npz file"),
        (npz(a=IMAGES), "holds a; give images and labels"),
        (npz(**SMALL, inputs=IMAGES), "images and inputs are both images"),
        (npz(images=IMAGES, labels=np.eye(10)[DIGITS]), "give one label an image"),
        (npz(images=IMAGES, labels=DIGITS + 0.5), "labels are float64"),
        (npz(images=IMAGES, labels=np.where(DIGITS == 2, np.nan, DIGITS)), "image 3 has no label"),
        (npz(images=IMAGES, labels=np.array([b"\xe9", b"a"])[DIGITS % 2]), "xe9' is not UTF-8"),
        (npz(images=IMAGES, labels=DIGITS[1:]), "93 labels for the 94 images"),
        (npz(images=IMAGES[:0], labels=DIGITS[:0]), "holds no images"),
        (npz(images=IMAGES / 255 - 0.5, labels=DIGITS), "scale floats"),
        (npz(images=np.arange(20), labels=np.arange(20) % 2), r"images of shape \(20,\); give"),
        (npz(images=5, labels=[0, 1]), r"images of shape \(\); give"),
    ],
    "a.mat": [
        (b"junk" * 99, "not a readable .mat file"),
        (mat(**SMALL)[:-99], "not a readable .mat file"),
        (b"MATLAB 7.3".ljust(124) + b"\0\2IM" + bytes(99), "save it with -v7"),
        (mat(X=np.ones((8, 8, 3, 50)), y=np.ones(50)), "50 labels for the 8 images"),
        (mat(**SMALL, mapping=np.array(["cat", "dog"])), "mapping: give rows of a label"),
    ],
    "a.parquet": [(b"PAR1", "not a readable Parquet file")],
    "a.npy": [(b"junk", "not a kind of file that is read")],
}


@pytest.mark.parametrize(
    ("name", "raw", "reason"), [(name, *case) for name, cases in ODD.items() for case in cases]
)
def test_odd_files_are_one_line(tmp_path, name, raw, reason):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError, match=reason) as error:
        load(tmp_path / name)
    assert "\n" not in str(error.value) and str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"image": [b"x"] * 9, "label": [0] * 9}, "image 0: not a readable picture"),
        ({"image": [b"x"] * 9, "label": [[0, 1]] * 9}, "does not hold one label an image"),
        ({"image": ["x"] * 9, "label": [0] * 9}, "image holds no encoded images"),
        ({"text": ["x"] * 9, "label": [0] * 9}, "its columns are text, label"),
    ],
)
def test_odd_columns_of_parquet_are_one_line(tmp_path, columns, reason):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=reason):
        load(tmp_path / "a.parquet")


def test_two_classes_of_one_name_are_refused(tmp_path):
    write_parquet(tmp_path / "a.parquet", IMAGES, DIGITS % 2, ["x", "x"])
    with pytest.raises(InputError, match="two classes are called 'x'"):
        load(tmp_path / "a.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'emnist_jax\[parquet\]'"):
        load(tmp_path / "a.parquet")


def test_12_bits_stored_in_16_are_noticed(tmp_path):
    for name in "ab":
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(5):
            dim = np.full((4, 4), 4000 + i, np.uint16)
            Image.fromarray(dim).save(tmp_path / "train" / name / f"{i}.png")
    assert "no pixel is above 16 of 255" in load(tmp_path).notes[0]
