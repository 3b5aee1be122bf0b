"""IDX files of unsigned bytes, gzipped or not: the format of EMNIST's and MNIST's own files."""

import gzip
import io
import math
import struct
import zlib

import numpy as np

from emnist_jax.errors import InputError

_MAX_DEFLATE = 1032  # deflate cannot expand a byte to more


def decode(raw: bytes, name: str, ndim: int) -> np.ndarray:
    """Decode the bytes of one IDX file of unsigned bytes, gzipped or not; read-only uint8.

    `ndim` is the number of dimensions it must have: 3 for images, 1 for labels. What is not IDX, of
    another type or number of dimensions, empty, truncated, damaged, or longer than its header says
    is an `InputError`.
    """
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
                header = stream.read(4 + 4 * ndim)
                length = math.prod(_read_shape(header, name, ndim))
                if length > _MAX_DEFLATE * len(raw):
                    raise InputError(f"{name}: truncated: its header promises {length:,} bytes")
                # One byte more than promised: shows excess, and reaches the end, so gzip's checksum
                # is compared.
                raw = header + stream.read(length + 1)
        except EOFError:
            raise InputError(f"{name}: truncated gzip file; fetch or copy it again") from None
        except (OSError, zlib.error) as error:
            reason = f"damaged gzip file ({error})"
            raise InputError(f"{name}: {reason}; fetch or copy it again") from None
    shape = check_size(raw, len(raw), name, ndim)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def check_size(header: bytes, size: int, name: str, ndim: int) -> tuple[int, ...]:
    """Return the shape that an IDX header states, which a file of `size` bytes must have."""
    shape = _read_shape(header, name, ndim)
    size, length = size - (4 + 4 * ndim), math.prod(shape)
    if size != length:
        state, there = ("truncated", f"{size:,}") if size < length else ("too long", "more")
        promised = f"its header promises {length:,} bytes for shape {shape}"
        raise InputError(f"{name}: {state}: {promised}, there are {there}")
    return shape


def _read_shape(header: bytes, name: str, ndim: int) -> tuple[int, ...]:
    """Return the shape that an IDX header states, all of it checked."""
    if len(header) < 4:
        raise InputError(f"{name}: truncated: {len(header)} bytes are no IDX file")
    magic = bytes([0, 0, 8, ndim])  # 8 is IDX's code of unsigned bytes
    if header[:4] != magic:
        wanted = f"{magic.hex()} (IDX, unsigned bytes, {ndim} dimension{'s' if ndim > 1 else ''})"
        raise InputError(f"{name}: magic number {header[:4].hex()}, expected {wanted}")
    if len(header) < 4 + 4 * ndim:
        raise InputError(f"{name}: truncated inside its IDX header")
    shape = struct.unpack(f">{ndim}I", header[4 : 4 + 4 * ndim])
    if 0 in shape:
        raise InputError(f"{name}: holds nothing: its shape is {shape}")
    return shape
