"""Files of arrays: IDX, CSV, .npz, .mat or Parquet, alone, in a folder, or in a zip archive
such as EMNIST's official gzip.zip and matlab.zip, of which nothing is unpacked.

Names are `<prefix>-<train|test|...>-<images-idx3|labels-idx1>-ubyte[.gz]` for IDX,
`<prefix>-<train|test|...>.<csv|npz|parquet>` or `<prefix>.<csv|npz|mat|parquet>` for the others, in
any letter case, beside an optional `<prefix>-mapping.txt` with lines `label character-code ...`.
"""

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from emnist_jax.data import csv, emnist, idx, parquet
from emnist_jax.data.dataset import Source
from emnist_jax.data.emnist import Part, Stored
from emnist_jax.data.tables import PARTS, read_mat, read_npz
from emnist_jax.errors import InputError, nearest

_READERS = {"csv": csv.read, "mat": read_mat, "npz": read_npz, "parquet": parquet.read}
_PART = rf"(?P<part>{'|'.join(sorted(PARTS, key=len, reverse=True))})"
_ARRAYS = {"images": 3, "labels": 1}  # the kinds of IDX files, and their dimensions
_IDX = re.compile(
    rf"(?:(?P<prefix>.+)[-_])?{_PART}[-_](?P<kind>images|labels)[-_.]idx[13][-_.]ubyte(\.gz)?", re.I
)
_TABLE = re.compile(
    rf"(?:(?P<prefix>.+)[-_.])?{_PART}(-\d+-of-(?P<shards>\d+)(-\w+)?)?"
    r"\.(?P<kind>csv|npz|parquet)(\.gz)?",
    re.I,
)
_WHOLE = re.compile(rf"(?P<prefix>.+)\.(?P<kind>{'|'.join(_READERS)})(\.gz)?", re.I)
_MAPPING = re.compile(r"(?:(?P<prefix>.+)[-_])?mapping\.txt", re.I)
_TAR = re.compile(r".+\.(tar(\.\w+)?|t[gbx]z2?)", re.I)
_MAX_MEMBER = 4 * 2**30  # bytes; EMNIST's largest file has less than two GiB

Members = Mapping[str, Callable[[], bytes]]


class File(NamedTuple):
    """What a file's name says: its prefix, its part ("" if it is no part), and its kind."""

    name: str
    prefix: str
    part: str
    kind: str
    shards: int = 1


def read_name(name: str) -> File | None:
    """Return what a name says; None if it is no file of arrays. A mapping's kind is `mapping`."""
    for pattern in (_IDX, _TABLE, _WHOLE, _MAPPING):
        if match := pattern.fullmatch(name):
            found = match.groupdict()
            part = PARTS[found["part"].lower()] if found.get("part") else ""
            kind = found.get("kind", "mapping").lower()
            return File(name, found["prefix"] or "", part, kind, int(found.get("shards") or 1))
    return None


def in_folder(path: Path) -> list[Path]:
    """Return the files of arrays in a folder and their mappings, sorted: IDX files alone if any."""
    found = _known(path)
    idx_files = [file for file, known in found.items() if known.kind in _ARRAYS]
    files = idx_files or [file for file, known in found.items() if known.kind in _READERS]
    return files and files + [file for file, known in found.items() if known.kind == "mapping"]


def are_idx(files: Iterable[Path]) -> bool:
    """Return whether files of arrays are IDX files."""
    return any(read_name(file.name).kind in _ARRAYS for file in files)


def beside(path: Path) -> list[Path]:
    """Return a file of arrays and what it is read with: other parts of a train file, mappings.

    Nothing where the path is of another kind.
    """
    this = read_name(path.name)
    if this is None or this.kind not in _READERS:
        return []
    found = []
    for file, known in _known(path.parent).items():
        same = known.prefix.lower() == this.prefix.lower()
        mapping = known.kind == "mapping" and (same or not known.prefix)
        other = same and known.kind == this.kind and known.part and this.part == "train"
        if file.name == path.name or mapping or other:
            found.append(file)
    return found


def _known(folder: Path) -> dict[Path, File]:
    found = {file: read_name(file.name) for file in sorted(folder.iterdir()) if file.is_file()}
    return {file: known for file, known in found.items() if known}


def read(path: Path, files: Iterable[Path], variant: str | None = None, **options: Any) -> Source:
    """Read one variant (`balanced`, or a whole prefix) of the files `in_folder` or `beside` a path.

    Options are `transposed` (see `emnist.as_source`) and `background` (see `pictures.read`). Files
    that are missing, unreadable or malformed, and an ambiguous variant are an `InputError`.
    """
    members = {file.name: file.read_bytes for file in files}
    return _read(members, path, path.parent if path.is_file() else path, variant, **options)


def read_zip(path: Path, variant: str | None = None, **options: Any) -> Source:
    """Read one variant of the files in an archive, with the options and errors of `read`.

    Also refused are another kind of file, a damaged archive, a member that points outside it or is
    larger than it can be, and two of one name.
    """
    known = read_name(path.name)
    if _TAR.fullmatch(path.name):
        raise InputError(f"{path}: a tar archive; unpack it and give the folder")
    if known and known.kind in _ARRAYS:
        raise InputError(f"{path}: one of four IDX files; give the folder that holds them")
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        kinds = ", .".join(["zip", *_READERS])
        raise InputError(f"{path}: not a kind of file that is read; give a .{kinds} or a folder")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name: partial(_read_member, archive, info, f"{path}/{name}")
                for name, info in _members(archive, path).items()
            }
            return _read(members, path, path, variant, **options)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: damaged zip archive ({error}); fetch or copy it again") from None


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the files of arrays and mappings of an archive by their names without folders."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(f'{path}: member "{name}" points outside the archive; not read')
        known = read_name(parts.name)
        if info.is_dir() or not known or parts.parts[0] == "__MACOSX":
            continue
        before = found.setdefault(parts.name, info)
        if before is not info and (known.kind != "mapping" or before.CRC != info.CRC):
            raise InputError(f"{path}: holds {parts.name} twice; unpack it and give one folder")
    return found


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """Return a member's bytes; what is larger than it can be is not unpacked."""
    if info.file_size > _MAX_MEMBER:
        raise InputError(f"{name}: {info.file_size:,} bytes unpacked, too large; not read")
    with archive.open(info) as stream:
        ndim = _ARRAYS.get(read_name(PurePosixPath(name).name).kind)
        header = stream.read(4 + 4 * ndim) if ndim else b""
        if ndim and header[:2] != b"\x1f\x8b":
            idx.check_size(header, info.file_size, name, ndim)
        return header + stream.read()


def _read(
    members: Members,
    path: Path,
    where: Path,
    variant: str | None,
    transposed: bool | None = None,
    background: str = "white",
) -> Source:
    known = [read_name(name) for name in members]
    prefix = _choose_prefix(known, path, variant)
    own = [file for file in known if file.prefix.lower() == prefix.lower()]
    files = [file for file in own if file.kind != "mapping"]
    start = f"{prefix}-" if prefix else ""
    if any(file.kind in _ARRAYS for file in files):
        stored, notes = _read_idx(members, files, where, start), []
    else:
        stored, notes = _read_tables(members, files, where, background)
    alone = len({file.prefix.lower() for file in known if file.kind != "mapping"}) == 1
    mappings = [file for file in (known if alone else own) if file.kind == "mapping"]
    if mappings:
        name = max(mappings, key=lambda file: file in own).name
        stored = stored._replace(mapping=emnist.parse_mapping(members[name](), f"{where}/{name}"))
    name = prefix or (path.stem if path == where and path.is_file() else where.resolve().name)
    source = emnist.as_source(name, f"{path}", stored, transposed, prefix)
    return source._replace(notes=(*notes, *source.notes))


def _choose_prefix(files: Iterable[File], path: Path, variant: str | None) -> str:
    """Return the prefix of `variant`; the only one there is if None."""
    found = {file.prefix.lower(): file.prefix for file in files if file.kind != "mapping"}
    if not found:
        example = "emnist-balanced-train-images-idx3-ubyte.gz"
        others = ", .".join(_READERS)
        raise InputError(f"{path}: holds no IDX files such as {example}, nor .{others}")
    short = {prefix.removeprefix("emnist-"): name for prefix, name in sorted(found.items())}
    if variant is None:
        train = {file.prefix.lower() for file in files if file.part == "train"}
        if len(found) > 1 and len(train) != 1:
            listed = ", ".join(filter(None, short))
            raise InputError(f"{path}: holds several variants; add # and one of {listed}")
        return found[min(train if len(train) == 1 else found)]
    wanted = variant.lower()
    if wanted not in found and wanted not in short:
        raise InputError(f'{path}: no variant "{variant}": {nearest(variant, short)}')
    return found.get(wanted) or short[wanted]


def _read_idx(members: Members, files: Iterable[File], path: Path, start: str) -> Stored:
    parts = {}
    for part in ("train", "test", "valid"):
        if part == "valid" and not any(file.part == part for file in files):
            continue
        found = []
        for kind, ndim in _ARRAYS.items():
            names = [file.name for file in files if (file.part, file.kind) == (part, kind)]
            if not names:
                missing = f"{start}{part}-{kind}-idx{ndim}-ubyte(.gz)"
                raise InputError(f"{path}: {missing} is missing; put it there")
            name = min(names, key=len)  # a plain one before a gzipped one
            found.append(idx.decode(members[name](), f"{path}/{name}", ndim))
        parts[part] = Part(*found, f"{path}/{name}")
    return Stored(parts)


def _read_tables(
    members: Members, files: Sequence[File], where: Path, background: str
) -> tuple[Stored, list[str]]:
    """Return the parts of files of one prefix, and notes: which files are parts, or hold none."""
    if len({file.kind for file in files}) > 1:
        listed = ", ".join(file.name for file in files)
        raise InputError(f"{where}: holds {listed}; give the path of one of them")
    found: dict[str, list[Part]] = {}
    stored, notes = Stored({}), []
    for file in files:
        raw, name = members[file.name](), f"{where}/{file.name}"
        raw = _unpacked(raw, name) if raw[:2] == b"\x1f\x8b" else raw
        options = {"background": background} if file.kind == "parquet" else {}
        try:
            stored = _READERS[file.kind](raw, name, **options)
        except csv.UnlabelledError as error:
            if len(files) == 1 or file.part == "train":
                raise
            notes.append(f"{error}; not read")
            continue
        for part, content in stored.parts.items():
            found.setdefault(part or file.part or "train", []).append(content)
        if len(files) > 1 and file.part != "train":
            notes.append(f"{name}: read as the {file.part} part")
    for part, contents in found.items():
        shards = max([file.shards for file in files if file.part == part], default=1)
        if len(contents) != shards:
            raise InputError(f"{where}: {len(contents)} files of the {part} part, not {shards}")
    if "train" not in found:  # a test file alone is a whole data set
        found = {"train": [content for contents in found.values() for content in contents]}
    parts = {part: _joined(contents) for part, contents in found.items()}
    return stored._replace(parts=parts), notes


def _joined(contents: Sequence[Part]) -> Part:
    """Return one part of those in several files."""
    if len(contents) == 1:
        return contents[0]
    if len({part.images.shape[1:] for part in contents}) > 1:
        raise InputError(f"{contents[0].name}: other image sizes than {contents[1].name}")
    images, labels = (np.concatenate([part[i] for part in contents]) for i in (0, 1))
    return Part(images, labels, contents[0].name)


def _unpacked(raw: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name}: damaged gzip file ({error}); fetch or copy it again") from None
