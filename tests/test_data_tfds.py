"""TensorFlow Datasets names: our builders need neither TensorFlow nor, with files, a network."""

import gzip
import hashlib
import io
import socket
import tarfile

import numpy as np
import pytest
from idx_files import arrays, emnist_files, idx_bytes, write_folder, write_zip

from emnist_jax.data import load, tfds
from emnist_jax.errors import InputError


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """A TFDS folder of this test, a cache of this test, and no network."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("EMNIST_JAX_CACHE", str(tmp_path / "cache"))

    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def place(tmp_path, monkeypatch, name: str, files: dict[str, bytes]):
    """Put files into the manual folder of a builder and make their checksums the expected ones."""
    from emnist_jax.data.tfds_builders import BUILDERS, UrlInfo

    builder = BUILDERS[name]
    folder = write_folder(tmp_path / "tfds/downloads/manual" / f"{name}_arrays", files)
    infos = {}
    for url in builder.URLS:
        raw = files[url.rpartition("/")[2]]
        digest = hashlib.sha256(raw).hexdigest()
        infos[url] = UrlInfo(size=len(raw), checksum=digest, filename=url.rpartition("/")[2])
    monkeypatch.setattr(builder, "url_infos", infos)
    return folder


def zip_bytes(tmp_path, files):
    return write_zip(tmp_path / "scratch/gzip.zip", files).read_bytes()


def test_emnist_from_the_manual_folder_equals_the_archive(tmp_path, monkeypatch):
    balanced, parts = emnist_files("balanced")
    digits, _ = emnist_files("digits", n_classes=10)
    archive = zip_bytes(tmp_path, balanced | digits)
    place(tmp_path, monkeypatch, "emnist", {"gzip.zip": archive})
    data = load("emnist/balanced", "official")
    assert (data.name, len(data.classes)) == ("emnist/balanced", 47)
    np.testing.assert_array_equal(data.test.images[..., 0], parts["test"][0])
    np.testing.assert_array_equal(data.test.labels, parts["test"][1])
    direct = load(f"{tmp_path / 'scratch/gzip.zip'}#balanced", "official")
    assert (direct.hash, direct.split_hash) == (data.hash, data.split_hash)
    prepared = list((tmp_path / "tfds/emnist_arrays/balanced/1.0.0").glob("*.array_record*"))
    assert len(prepared) == 2


def test_second_load_reads_the_cache(tmp_path, monkeypatch):
    place(tmp_path, monkeypatch, "emnist", {"gzip.zip": zip_bytes(tmp_path, emnist_files()[0])})
    first = load("emnist/balanced")
    monkeypatch.setattr(tfds, "read", lambda name: pytest.fail("read again"))
    assert load("emnist/balanced").hash == first.hash


def test_an_archive_with_another_checksum_is_refused(tmp_path, monkeypatch):
    folder = place(
        tmp_path, monkeypatch, "emnist", {"gzip.zip": zip_bytes(tmp_path, emnist_files()[0])}
    )
    (folder / "gzip.zip").write_bytes(zip_bytes(tmp_path, emnist_files(seed=4)[0]))
    with pytest.raises(InputError, match="checksum") as error:
        load("emnist/balanced")
    assert "\n" not in str(error.value)


def test_offline_says_which_file_to_put_where_and_names_glyphs(tmp_path, caplog):
    with pytest.raises(InputError) as error:
        load("emnist/letters")
    message = str(error.value)
    assert "\n" not in message and "Network is unreachable" in message
    assert not caplog.records, "TFDS warns that the data set is not prepared"
    for part in (
        "gzip.zip (561,753,746 bytes)",
        "https://biometrics.nist.gov/cs_links/EMNIST/",
        str(tmp_path / "tfds/downloads/manual/emnist_arrays"),
        "glyphs",
    ):
        assert part in message


def test_mnist(tmp_path, monkeypatch):
    images, labels = arrays(70, 10)
    files = {
        f"{part}-{kind}-ubyte.gz": gzip.compress(idx_bytes(array))
        for part, rows in (("train", slice(0, 60)), ("t10k", slice(60, 70)))
        for kind, array in (("images-idx3", images[rows]), ("labels-idx1", labels[rows]))
    }
    for name in ("mnist", "fashion_mnist"):
        place(tmp_path, monkeypatch, name, files)
        data = load(name, "official")
        assert (data.name, len(data.classes)) == (name, 10)
        np.testing.assert_array_equal(data.test.images[..., 0], images[60:])
        np.testing.assert_array_equal(data.test.labels, labels[60:])


def test_cifar10(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(60) % 10
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            rows = slice(10 * i, 10 * i + 10)
            planes = images[rows].transpose(0, 3, 1, 2).reshape(10, -1)
            raw = np.concatenate([labels[rows, None].astype(np.uint8), planes], 1).tobytes()
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    place(tmp_path, monkeypatch, "cifar10", {"cifar-10-binary.tar.gz": buffer.getvalue()})
    data = load("cifar10", "official")
    np.testing.assert_array_equal(data.test.images, images[50:])
    np.testing.assert_array_equal(data.test.labels, labels[50:])
    assert data.classes[:3] == ("airplane", "automobile", "bird")


def own_builder(features, keys):
    """Register a data set of 40 records of these features, whose values are made from them."""
    import tensorflow_datasets as tfds

    def info(self):
        kinds = tfds.features.FeaturesDict(features)
        return tfds.core.DatasetInfo(builder=self, features=kinds, supervised_keys=keys)

    def fail(self, dl_manager):
        pytest.fail("prepared, though it cannot be used")

    parts = {"VERSION": tfds.core.Version("1.0.0"), "_info": info, "_split_generators": fail}
    parts["_generate_examples"] = None
    return type("Own", (tfds.core.GeneratorBasedBuilder,), parts, skip_registration=True)


def test_sets_without_images_or_with_several_labels_are_one_line_before_any_download(monkeypatch):
    import tensorflow_datasets as tfds

    kinds = tfds.features
    label, image = kinds.ClassLabel(names=["x", "y"]), kinds.Tensor(shape=(8, 8, 3), dtype=np.uint8)
    cases = [
        ({"text": kinds.Text(), "label": label}, ("text", "label")),
        ({"age": np.float32, "fare": np.float32, "label": label}, ({"age": "age"}, "label")),
        ({"all": {"a": np.uint8, "b": np.uint8}, "label": label}, ("all", "label")),
        ({"image": image, "label": kinds.Sequence(label)}, ("image", "label")),
        ({"image": image, "label": np.int64}, ("image", "label")),
        (
            {"image": kinds.Tensor(shape=(8, 8), dtype=np.float32), "label": label},
            ("image", "label"),
        ),
        (
            {"film": kinds.Tensor(shape=(5, 8, 8, 3), dtype=np.uint8), "label": label},
            ("film", "label"),
        ),
        ({"image": image, "label": label}, None),
    ]
    for features, keys in cases:
        builder = own_builder(features, keys)
        monkeypatch.setattr(tfds, "builder", lambda *a, b=builder, **k: b(data_dir=k["data_dir"]))
        with pytest.raises(InputError, match="own_set: is not a dataset of uint8 images") as error:
            load("own_set")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("emnist/balance", 'did you mean "emnist/balanced"'),
        ("emnist", "emnist/balanced"),
        ("glyph", 'did you mean "glyphs"'),
        ("fashion_mnits", 'did you mean "fashion_mnist"'),
        ("Not A Name!", "no such folder or file, and no TFDS name"),
    ],
)
def test_wrong_names(name, hint):
    with pytest.raises(InputError, match=hint) as error:
        load(name)
    assert "\n" not in str(error.value)
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_without_tensorflow_datasets_a_line_says_what_to_give(monkeypatch):
    def missing(name):
        raise tfds.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tfds.metadata, "version", missing)
    with pytest.raises(InputError, match=r"mnist: .* no wheel for Windows: give files .*gzip\.zip"):
        load("mnist")


def test_a_name_that_needs_tensorflow_says_so():
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="pip install tensorflow") as error:
            load("kmnist")
        assert "\n" not in str(error.value)
    else:
        pytest.skip("TensorFlow is installed")
