"""Sources by their TensorFlow Datasets name: `emnist/balanced`, `mnist`, `cifar10`, ..."""

import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emnist_jax.data.dataset import Source, Split, as_split, freeze
from emnist_jax.data.emnist import VARIANTS
from emnist_jax.errors import InputError, check_choice, nearest

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# The names that need no TensorFlow, and those a wrong one is compared with.
NAMES = (*(f"emnist/{variant}" for variant in VARIANTS), "mnist", "fashion_mnist", "cifar10")
_BATCH = 4096
_CONNECT_SECONDS = 15


def data_dir() -> Path:
    """Return the folder of TFDS's datasets: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def state(name: str) -> str:
    """Return what a cached copy of `name` depends on; a missing TFDS is an `InputError`."""
    try:
        version = metadata.version("tensorflow-datasets")
    except metadata.PackageNotFoundError:
        raise InputError(
            f"{name}: data sets by name need tensorflow-datasets and array_record, and the latter "
            "has no wheel for Windows: give files instead (EMNIST's gzip.zip), or use WSL"
        ) from None
    return f"{name} {data_dir()} {version}"


def read(name: str) -> Source:
    """Download, prepare and read a TFDS dataset of images with one label each.

    One that TFDS lacks, that needs TensorFlow, that cannot be downloaded, or is not of equally
    large images with a label and a train part is an `InputError`.
    """
    import tensorflow_datasets as tfds

    builder = _builder(name)
    manual = data_dir() / "downloads" / "manual" / builder.name
    try:
        keys = builder.info.supervised_keys or ()
        if len(keys) != 2 or not _is_image_and_label(builder.info.features, *keys):
            raise InputError(f"{name}: is not a dataset of uint8 images with one class label each")
        if not (builder.data_path / "dataset_info.json").exists():  # it is not prepared yet
            _check_reachable(builder, manual)
        how = {"manual_dir": manual, "try_download_gcs": False, "verify_ssl": True}
        config = tfds.download.DownloadConfig(**how)
        builder.download_and_prepare(file_format="array_record", download_config=config)
    except InputError:
        raise
    except ImportError as error:
        raise InputError(
            f"{name}: TFDS needs the package {error.name} to prepare it: pip install tensorflow "
            f"importlib_resources (or use one of {', '.join(NAMES)}, glyphs)"
        ) from None
    except Exception as error:  # the network raises whatever it likes, TFDS more
        raise InputError(_how_to_get(name, builder, manual, error)) from None
    return _read_prepared(name, builder)


def _builder(name: str) -> "tfds.core.DatasetBuilder":
    import tensorflow_datasets as tfds

    from emnist_jax.data.tfds_builders import BUILDERS

    root, _, variant = name.partition("/")
    how = {"data_dir": data_dir(), "file_format": "array_record"}
    if root in BUILDERS:
        check_choice(f'no TFDS dataset "{name}"', name, NAMES)
        return BUILDERS[root](config=variant or None, **how)
    try:
        return tfds.builder(name, **how)
    except Exception:  # unknown name, unknown configuration, a builder that cannot be imported
        what = f'no source "{name}", neither a folder nor a TFDS dataset'
        raise InputError(f"{what}: {nearest(name, [*NAMES, 'glyphs'])}") from None


def _check_reachable(builder: "tfds.core.DatasetBuilder", manual: Path) -> None:
    """Raise OSError at once where there is no network; TFDS would try for minutes."""
    urls = getattr(builder, "URLS", ())
    missing = [url for url in urls if not (manual / url.rpartition("/")[2]).exists()]
    if not missing or urllib.request.getproxies():
        return  # only the proxy knows
    parts = urllib.parse.urlsplit(missing[0])
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    socket.create_connection((parts.hostname, port), timeout=_CONNECT_SECONDS).close()


def _how_to_get(
    name: str, builder: "tfds.core.DatasetBuilder", manual: Path, error: Exception
) -> str:
    """Return one line: why `name` could not be prepared, and what to do without a network."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    urls = getattr(builder, "URLS", ())
    if not urls:
        return f"{name}: TFDS could not prepare it ({reason}); `glyphs` needs no download"
    files = ", ".join(url.rpartition("/")[2] for url in urls)
    size = sum(info.size for info in (builder.url_infos or {}).values())
    note = f" ({size:,} bytes)" if size else ""
    return (
        f"{name}: could not be downloaded and prepared ({reason}). Put {files}{note} from "
        f"{urls[0].rpartition('/')[0]}/ into {manual} and try again; `glyphs` needs no download"
    )


def _read_prepared(name: str, builder: "tfds.core.DatasetBuilder") -> Source:
    keys = builder.info.supervised_keys
    labels = builder.info.features[keys[1]]
    if "train" not in builder.info.splits:
        raise InputError(f"{name}: has no train part, only {', '.join(builder.info.splits)}")
    parts = {
        part: _read_part(f"{name} {tfds_part}", builder.as_data_source(split=tfds_part), *keys)
        for part, tfds_part in (("train", "train"), ("test", "test"), ("valid", "validation"))
        if tfds_part in builder.info.splits
    }
    return Source(name, tuple(labels.names), **parts)


def _is_image_and_label(features: Mapping, image: object, label: object) -> bool:
    """Return whether two keys, which may be structures, name an image and a class label."""
    import tensorflow_datasets as tfds

    named = isinstance(image, str) and isinstance(label, str)
    if not named or not isinstance(features[label], tfds.features.ClassLabel):
        return False
    feature = features[image]
    # a structure's shape is a dict, a text's () and a video's has four dimensions
    return len(feature.shape) in (2, 3) and feature.np_dtype == np.uint8


def _read_part(name: str, records: "tfds.data_source", image_key: str, label_key: str) -> Split:
    """Read all records, in batches: several times faster than one by one."""
    if not len(records):
        raise InputError(f"{name}: holds no images")
    images = np.empty((len(records), *records[0][image_key].shape), np.uint8)
    labels = np.empty(len(records), np.int32)
    for start in range(0, len(records), _BATCH):
        batch = records.__getitems__(range(start, min(start + _BATCH, len(records))))
        for i, record in enumerate(batch, start):
            image = record[image_key]
            if image.shape != images.shape[1:] or image.dtype != np.uint8:
                odd = "its images differ in size or are not uint8"
                raise InputError(f"{name}: {odd}; not usable here")
            images[i], labels[i] = image, record[label_key]
    return as_split((freeze(images), freeze(labels)), name)
