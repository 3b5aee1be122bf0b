"""Parquet files as on the Hugging Face Hub: encoded images, and a label each."""

import io
import json
from collections.abc import Mapping

from emnist_jax.data import pictures
from emnist_jax.data.emnist import Part, Stored
from emnist_jax.data.tables import IMAGES, LABELS, labels_of
from emnist_jax.errors import InputError


def read(raw: bytes, name: str, background: str = "white") -> Stored:
    """Read the one part of a file, and its class names if the file's metadata hold them.

    A file that is damaged, holds no column of encoded images or none of labels, or images that
    cannot be read or differ in size is an `InputError`, as is pyarrow where it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        advice = "pip install 'emnist_jax[parquet]'"
        raise InputError(f"{name}: reading Parquet needs pyarrow: {advice}") from None
    try:
        table = pq.read_table(io.BytesIO(raw))
    except Exception as error:
        raise InputError(f"{name}: not a readable Parquet file ({error})") from None
    columns = {column.lower(): column for column in table.column_names}
    image = next((columns[known] for known in IMAGES if known in columns), None)
    label = next((columns[known] for known in LABELS if known in columns), None)
    if image is None or label is None:
        listed = ", ".join(table.column_names)
        raise InputError(f"{name}: its columns are {listed}; give image and label")
    encoded = table[image].combine_chunks()
    if pa.types.is_struct(encoded.type) and encoded.type.get_field_index("bytes") >= 0:
        encoded = encoded.field("bytes")
    binary = pa.types.is_binary(encoded.type) or pa.types.is_large_binary(encoded.type)
    if not binary or encoded.null_count or not len(encoded):
        raise InputError(f"{name}: its column {image} holds no encoded images (PNG, JPEG, ...)")
    if pa.types.is_nested(table[label].type) or table[label].null_count:
        raise InputError(f"{name}: its column {label} does not hold one label an image")
    files = enumerate(map(io.BytesIO, encoded.to_pylist()))
    images = pictures.read_all(((file, f"{name}: image {i}") for i, file in files), background)
    labels = labels_of(table[label].to_numpy(), name)
    classes = _classes(table.schema.metadata or {}, label)
    return Stored({"": Part(images, labels, name)}, classes=classes)


def _classes(metadata: Mapping[bytes, bytes], label: str) -> dict[int, str] | None:
    """Return the class names in the metadata of the library `datasets`."""
    try:
        about = json.loads(metadata[b"huggingface"])
        return dict(enumerate(map(str, about["info"]["features"][label]["names"])))
    except (KeyError, TypeError, ValueError):
        return None
