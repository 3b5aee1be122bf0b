"""TensorFlow Datasets builders that need no TensorFlow: images as plain uint8 tensors in
array_record.

TFDS's own builders of these datasets read and encode with TensorFlow. These fetch the same official
files through TFDS's download manager, which verifies size and checksum (also of a file that lies in
the manual folder already), parse them with numpy, and keep their order. Import this module only
when it is needed: it imports TFDS.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from emnist_jax.data import emnist, files, idx
from emnist_jax.data.dataset import Source, Split
from emnist_jax.errors import InputError

UrlInfo = tfds.download.checksums.UrlInfo
_CIFAR10_RECORD = 1 + 3 * 32 * 32  # label, then the red, green and blue planes


class ArrayBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the builders share; a subclass names its files, shape and classes, and reads them."""

    VERSION = tfds.core.Version("1.0.0")
    URLS: ClassVar[tuple[str, ...]]
    SHAPE: ClassVar[tuple[int, int, int]]
    CLASSES: ClassVar[tuple[str, ...]]
    url_infos: ClassVar[dict[str, UrlInfo] | None] = None  # None: TFDS knows the URL's checksum

    def _read(self, paths: list[Path]) -> Source:
        """Read the downloaded files, one path a URL."""
        raise NotImplementedError

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Tensor(shape=self.SHAPE, dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=list(self.CLASSES)),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # the official order: a split's indices mean the same to all
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        source = self._read([Path(dl_manager.download(url)) for url in self.URLS])
        examples = self._generate_examples
        return {"train": examples(source.train), "test": examples(source.test)}

    def _generate_examples(self, split: Split) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            yield key, {"image": image, "label": int(label)}


class EmnistArrays(ArrayBuilder, skip_registration=True):
    """EMNIST, upright, any of its six variants (Cohen et al., 2017, arXiv:1702.05373)."""

    URLS = ("https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",)
    SHAPE = (28, 28, 1)
    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name=name) for name in emnist.VARIANTS]
    url_infos: ClassVar = {
        URLS[0]: UrlInfo(
            size=561_753_746,
            checksum="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            filename="gzip.zip",
        )
    }

    @property
    def CLASSES(self) -> tuple[str, ...]:  # noqa: N802 - the name of the other builders' constant
        """The variant's classes."""
        return tuple(emnist.OFFICIAL_CODES[self.builder_config.name].values())

    def _read(self, paths: list[Path]) -> Source:
        source = files.read_zip(paths[0], self.builder_config.name)
        if source.classes != self.CLASSES:
            raise InputError(f"{paths[0]}: its mapping is not the official one of {source.name}")
        return source


class MnistArrays(ArrayBuilder, skip_registration=True):
    """MNIST (LeCun, Cortes and Burges)."""

    URLS = tuple(
        tfds.image_classification.MNIST.URL + f"{part}-{kind}-ubyte.gz"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )
    SHAPE = (28, 28, 1)
    CLASSES = tuple("0123456789")

    def _read(self, paths: list[Path]) -> Source:
        arrays = [
            idx.decode(path.read_bytes(), str(path), ndim)
            for path, ndim in zip(paths, (3, 1, 3, 1), strict=True)
        ]
        return Source(self.name, self.CLASSES, Split(*arrays[:2]), Split(*arrays[2:]))


class FashionMnistArrays(MnistArrays, skip_registration=True):
    """Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747)."""

    URLS = tuple(
        tfds.image_classification.FashionMNIST.URL + url.rpartition("/")[2]
        for url in MnistArrays.URLS
    )
    CLASSES = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )


class Cifar10Arrays(ArrayBuilder, skip_registration=True):
    """CIFAR-10, the binary version (Krizhevsky, 2009)."""

    URLS = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
    SHAPE = (32, 32, 3)
    CLASSES = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )

    def _read(self, paths: list[Path]) -> Source:
        with tarfile.open(paths[0]) as archive:
            batches = [
                archive.extractfile(f"cifar-10-batches-bin/{name}.bin").read()
                for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
            ]
        train, test = _decode_cifar10(b"".join(batches[:5])), _decode_cifar10(batches[5])
        return Source(self.name, self.CLASSES, train, test)


def _decode_cifar10(raw: bytes) -> Split:
    records = np.frombuffer(raw, np.uint8).reshape(-1, _CIFAR10_RECORD)
    return Split(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0])


BUILDERS: dict[str, type[ArrayBuilder]] = {
    "emnist": EmnistArrays,
    "mnist": MnistArrays,
    "fashion_mnist": FashionMnistArrays,
    "cifar10": Cifar10Arrays,
}
