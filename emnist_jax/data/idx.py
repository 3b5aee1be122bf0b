"""IDX files in the layout of EMNIST and MNIST: a folder of them, gzipped or not, or the official
gzip.zip.

Files are named `<prefix>-<train|test>-<images-idx3|labels-idx1>-ubyte[.gz]`, beside an optional
`<prefix>-mapping.txt` with lines `label character-code ...`. EMNIST stores its images transposed;
they are made upright here (any prefix that begins with `emnist`).
"""

import gzip
import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from emnist_jax.data.dataset import Source, Split, freeze
from emnist_jax.data.strokes import CLASSES as MERGED
from emnist_jax.errors import InputError, nearest

_FILE = re.compile(
    r"(?:(?P<prefix>.+)-)?(?P<part>train|test|t10k)-(?P<kind>images|labels)[-.]idx[13]-ubyte(?P<gz>\.gz)?"
)
_UBYTE = 8  # IDX's code of unsigned bytes
_MAX_DEFLATE = 1032  # deflate cannot expand a byte to more
_MAX_MEMBER = 4 * 2**30  # bytes; EMNIST's largest file has half of one GiB
_TAR = re.compile(r".+\.(tar(\.\w+)?|t[gbx]z2?)", re.IGNORECASE)
_DIGITS = tuple("0123456789")
_UPPER = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
# The label of each class in the files, for official variants that come without a mapping file.
OFFICIAL_CODES: dict[str, dict[int, str]] = {
    "byclass": dict(enumerate(_DIGITS + _UPPER + tuple("abcdefghijklmnopqrstuvwxyz"))),
    "bymerge": dict(enumerate(MERGED)),
    "balanced": dict(enumerate(MERGED)),
    "letters": dict(enumerate(_UPPER, start=1)),
    "digits": dict(enumerate(_DIGITS)),
    "mnist": dict(enumerate(_DIGITS)),
}

VARIANTS = tuple(OFFICIAL_CODES)


def decode(raw: bytes, name: str, ndim: int) -> np.ndarray:
    """Decode the bytes of one IDX file of unsigned bytes, gzipped or not.

    Args:
        raw: the file's contents.
        name: the file's name, for error messages.
        ndim: number of dimensions it must have: 3 for images, 1 for labels.

    Returns:
        A read-only uint8 array.

    Raises:
        InputError: not IDX, another type or number of dimensions, an empty array, truncated,
            damaged, or longer than its header says.
    """
    if raw[:2] != b"\x1f\x8b":
        return _decode_plain(raw, name, ndim)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            header = stream.read(4 + 4 * ndim)
            length = math.prod(_read_shape(header, name, ndim))
            if length > _MAX_DEFLATE * len(raw):
                raise InputError(f"{name}: truncated: its header promises {length:,} bytes")
            # One byte more than promised: shows excess, and reaches the end, so gzip's checksum is
            # compared.
            return _decode_plain(header + stream.read(length + 1), name, ndim)
    except EOFError:
        raise InputError(f"{name}: truncated gzip file; fetch or copy it again") from None
    except (OSError, zlib.error) as error:
        raise InputError(f"{name}: damaged gzip file ({error}); fetch or copy it again") from None


def _decode_plain(raw: bytes, name: str, ndim: int) -> np.ndarray:
    shape = _check_size(raw, len(raw), name, ndim)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


def _check_size(header: bytes, size: int, name: str, ndim: int) -> tuple[int, ...]:
    """Return the shape that an IDX header states, which a file of `size` bytes must have."""
    shape = _read_shape(header, name, ndim)
    size, length = size - (4 + 4 * ndim), math.prod(shape)
    if size != length:
        state = "truncated" if size < length else "too long"
        raise InputError(
            f"{name}: {state}: its header promises {length:,} bytes for shape {shape}, "
            f"there are {'more' if state == 'too long' else f'{size:,}'}"
        )
    return shape


def _read_shape(header: bytes, name: str, ndim: int) -> tuple[int, ...]:
    """Return the shape that an IDX header states, all of it checked."""
    if len(header) < 4:
        raise InputError(f"{name}: truncated: {len(header)} bytes are no IDX file")
    magic = bytes([0, 0, _UBYTE, ndim])
    if header[:4] != magic:
        raise InputError(
            f"{name}: magic number {header[:4].hex()}, expected {magic.hex()} "
            f"(IDX, unsigned bytes, {ndim} dimension{'s' if ndim > 1 else ''})"
        )
    if len(header) < 4 + 4 * ndim:
        raise InputError(f"{name}: truncated inside its IDX header")
    shape = struct.unpack(f">{ndim}I", header[4 : 4 + 4 * ndim])
    if 0 in shape:
        raise InputError(f"{name}: holds nothing: its shape is {shape}")
    return shape


def idx_files(path: Path) -> list[Path]:
    """Return the IDX and mapping files of a folder, sorted; empty if it holds none."""
    files = sorted(file for file in path.iterdir() if _FILE.fullmatch(file.name))
    mappings = sorted(path.glob("*-mapping.txt"))
    return files + mappings if files else []


def read_folder(path: Path, variant: str | None = None) -> Source:
    """Read one variant (`balanced`, or the whole prefix) of a folder of IDX files.

    Raises:
        InputError: files are missing, unreadable or malformed, or which variant is meant is not
            clear.
    """
    members = {file.name: file.read_bytes for file in idx_files(path)}
    return _read(members, str(path), variant, default_name=path.resolve().name)


def read_zip(path: Path, variant: str | None = None) -> Source:
    """Read one variant of an archive of IDX files, such as EMNIST's official gzip.zip; nothing is
    unpacked.

    Raises:
        InputError: as `read_folder`; also another kind of file, a damaged archive, a member that
            points outside it or is larger than it can be, or two of one name.
    """
    if _TAR.fullmatch(path.name):
        raise InputError(f"{path}: a tar archive; unpack it and give the folder")
    if _FILE.fullmatch(path.name):
        raise InputError(f"{path}: one of four IDX files; give the folder that holds them")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name: partial(_read_member, archive, info, f"{path}/{name}")
                for name, info in _members(archive, path).items()
            }
            return _read(members, str(path), variant, default_name=path.stem)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: damaged zip archive ({error}); fetch or copy it again") from None


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the IDX and mapping files of an archive by their names without folders."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(
                f'{path}: member "{info.filename}" points outside the archive; not read'
            )
        wanted = _FILE.fullmatch(parts.name) or parts.name.endswith("-mapping.txt")
        if info.is_dir() or not wanted or parts.parts[0] == "__MACOSX":
            continue
        if parts.name in found:
            raise InputError(f"{path}: holds {parts.name} twice; unpack it and give one folder")
        found[parts.name] = info
    return found


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """Return a member's bytes; what is larger than it can be is not unpacked."""
    if info.file_size > _MAX_MEMBER:
        raise InputError(f"{name}: {info.file_size:,} bytes unpacked, too large; not read")
    with archive.open(info) as stream:
        match = _FILE.fullmatch(PurePosixPath(name).name)
        ndim = 3 if match and match["kind"] == "images" else 1
        header = stream.read(4 + 4 * ndim)
        if match and header[:2] != b"\x1f\x8b":
            _check_size(header, info.file_size, name, ndim)
        return header + stream.read()


def _read(
    members: Mapping[str, Callable[[], bytes]], where: str, variant: str | None, default_name: str
) -> Source:
    prefix = _choose_prefix(members, where, variant)
    parts = {}
    for part in ("train", "test"):
        images_file = _find(members, where, prefix, part, "images")
        labels_file = _find(members, where, prefix, part, "labels")
        images = decode(members[images_file](), f"{where}/{images_file}", ndim=3)
        labels = decode(members[labels_file](), f"{where}/{labels_file}", ndim=1)
        if len(images) != len(labels):
            raise InputError(
                f"{where}/{labels_file}: {len(labels):,} labels for the {len(images):,} images "
                f"of {images_file}"
            )
        parts[part] = images, labels, f"{where}/{labels_file}"
    codes = _class_codes(members, where, prefix, parts["train"][1])
    transposed = prefix.startswith("emnist")
    splits = {
        part: _as_split(images, labels, codes, name, transposed)
        for part, (images, labels, name) in parts.items()
    }
    name = prefix.replace("emnist-", "emnist/", 1) if prefix else default_name
    return Source(name, tuple(codes.values()), splits["train"], splits["test"])


def _choose_prefix(members: Mapping[str, object], where: str, variant: str | None) -> str:
    """Return the prefix meant by `variant`; the only one there is if None."""
    matches = [match for match in map(_FILE.fullmatch, members) if match]
    prefixes = sorted({match["prefix"] or "" for match in matches})
    if not prefixes:
        raise InputError(
            f"{where}: holds no IDX files such as emnist-balanced-train-images-idx3-ubyte.gz"
        )
    short = {prefix.removeprefix("emnist-"): prefix for prefix in prefixes}
    if variant is None:
        if len(prefixes) > 1:
            raise InputError(
                f"{where}: holds several variants; add # and one of {', '.join(short)}"
            )
        return prefixes[0]
    if variant in prefixes:
        return variant
    if variant not in short:
        raise InputError(f'{where}: no variant "{variant}": {nearest(variant, short)}')
    return short[variant]


def _find(members: Mapping[str, object], where: str, prefix: str, part: str, kind: str) -> str:
    """Return the file of one part and kind; a plain one before a gzipped one."""
    names = {"train"} if part == "train" else {"test", "t10k"}
    found = [
        name
        for name in members
        if (match := _FILE.fullmatch(name))
        and (match["prefix"] or "") == prefix
        and match["part"] in names
        and match["kind"] == kind
    ]
    if not found:
        dash = f"{prefix}-" if prefix else ""
        number = 3 if kind == "images" else 1
        raise InputError(
            f"{where}: {dash}{part}-{kind}-idx{number}-ubyte(.gz) is missing; put it there"
        )
    return min(found, key=len)


def _class_codes(
    members: Mapping[str, Callable[[], bytes]], where: str, prefix: str, labels: np.ndarray
) -> dict[int, str]:
    """Return class names by the files' label codes, ascending."""
    mapping = f"{prefix}-mapping.txt"
    if mapping in members:
        return _parse_mapping(members[mapping](), f"{where}/{mapping}")
    known = OFFICIAL_CODES.get(prefix.removeprefix("emnist-"))
    if known:
        return known
    found = np.unique(labels)
    if len(found) <= found.max():  # a gap: more likely a wrong label than a class without images
        missing = np.setdiff1d(np.arange(found.max()), found)[0]
        raise InputError(
            f"{where}: the training labels go up to {found.max()} but none is {missing}; correct "
            f'them, or add {mapping} with a line "label character-code" for each class'
        )
    return {int(code): str(code) for code in found}


def _parse_mapping(raw: bytes, name: str) -> dict[int, str]:
    """Parse lines `label character-code [other-case's character-code]`."""
    codes: dict[int, str] = {}
    for line in raw.decode("ascii", "replace").splitlines():
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,3})\s+(\d{1,6})(?:\s+\d{1,6})?\s*", line, re.ASCII)
        label, character = (int(match[1]), chr(int(match[2]))) if match else (256, "")
        if label > 255 or label in codes or not character.isprintable():
            raise InputError(
                f'{name}: line "{line[:40]}" is not "label character-code", each label once'
            )
        codes[label] = character
    if not codes:
        raise InputError(f"{name}: holds no classes")
    return dict(sorted(codes.items()))


def _as_split(
    images: np.ndarray, labels: np.ndarray, codes: dict[int, str], name: str, transposed: bool
) -> Split:
    """Return upright images with labels 0 .. n-1."""
    lookup = np.full(256, -1, np.int32)
    lookup[list(codes)] = np.arange(len(codes))
    unknown = labels[lookup[labels] < 0]
    if len(unknown):
        raise InputError(f"{name}: label {unknown[0]} is none of the {len(codes)} classes")
    upright = freeze(np.ascontiguousarray(images.swapaxes(1, 2)) if transposed else images.copy())
    return Split(upright[..., None], freeze(lookup[labels]))
