"""What is EMNIST's own, whatever kind of file it comes in: its classes, and images that lie
transposed.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from emnist_jax.data.dataset import Source, as_split, freeze
from emnist_jax.errors import InputError

_DIGITS = tuple("0123456789")
_UPPER = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
MERGED = (*_DIGITS, *_UPPER, *"abdefghnqrt")  # the others look like their capitals
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
_SIZE = (28, 28)


class Part(NamedTuple):
    """One part as a file stores it: images (n, h, w[, c]), labels (n,), the file of the labels."""

    images: np.ndarray
    labels: np.ndarray
    name: str


class Stored(NamedTuple):
    """What a file holds: its parts ("" where it is one part), and the class of each label.

    `mapping` is EMNIST's own, `classes` names of any origin.
    """

    parts: dict[str, Part]
    mapping: dict[int, str] | None = None
    classes: dict[int, str] | None = None


def as_source(
    name: str, where: str, stored: Stored, transposed: bool | None = None, prefix: str = ""
) -> Source:
    """Return parts of files with upright images and labels 0 .. n-1, checked.

    The classes are those stored with the labels, else of the EMNIST variant that the prefix or the
    labels identify, else the labels themselves, numbers by their size.

    EMNIST stores its images transposed. Files are EMNIST's if their prefix says so, in any letter
    case, or if they hold images of 28x28 with an official mapping, or with the classes of a variant
    with letters. Ten digits without a mapping may be MNIST's, which are upright.

    `name` is the source's, `where` the files, for messages; `prefix` begins the files' own names,
    such as `emnist-balanced`; `transposed` whether the images lie transposed, None decides as
    above. Labels with a gap, of no class or of another number than images are an `InputError`, as
    is what `Split` refuses.
    """
    parts, mapping, classes = stored
    mapping_file = f"{prefix}-mapping.txt" if prefix else "mapping.txt"
    for part in parts.values():
        if not part.images.size:
            raise InputError(f"{part.name}: holds no images")
        images, labels = len(part.images), len(part.labels)
        if images != labels:
            raise InputError(f"{part.name}: {labels:,} labels for the {images:,} images")
    train = parts["train"]
    codes = mapping or classes or _codes(prefix, train, where, mapping_file)
    why = _why_transposed(prefix, codes, mapping, train.images)
    turn = bool(why) if transposed is None else transposed
    splits = {}
    for key, part in parts.items():
        images = part.images.swapaxes(1, 2) if turn else part.images
        images = freeze(np.array(images, order="C"))
        splits[key] = as_split((images, _numbered(part, codes)), part.name)
    noted = train.images.shape[1:3] == _SIZE or why
    notes = (_orientation(where, why, transposed),) if noted else ()
    name = re.sub("^emnist-", "emnist/", name, flags=re.IGNORECASE)
    return Source(name, tuple(map(str, codes.values())), **splits, notes=notes)


def parse_mapping(raw: bytes, name: str) -> dict[int, str]:
    """Parse lines `label code [code of the other case]`; others are refused as by `mapping_of`."""
    lines = [line for line in raw.decode(encoding(raw), "replace").splitlines() if line.strip()]
    for line in lines:
        if not re.fullmatch(r"\s*\d{1,3}\s+\d{1,6}(\s+\d{1,6})?\s*", line, re.ASCII):
            raise _bad_mapping(name, line)
    return mapping_of([[*map(int, line.split())] for line in lines], name)


def encoding(raw: bytes) -> str:
    """Return the encoding of a byte-order mark, else UTF-8; neither keeps the mark."""
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "utf-16" if wide else "utf-8-sig"


def mapping_of(rows: Sequence[Sequence[int]], name: str) -> dict[int, str]:
    """Return the class of each label, ascending, from rows of a label and a character's code.

    No rows, a label above 255 or twice, or no printable character are an `InputError`.
    """
    codes: dict[int, str] = {}
    for label, code, *_ in rows:
        character = chr(code) if 0 <= code <= 0x10FFFF else ""
        if label > 255 or label in codes or not character.isprintable() or not character:
            raise _bad_mapping(name, f"{label} {code}")
        codes[label] = character
    if not codes:
        raise InputError(f"{name}: holds no classes")
    return dict(sorted(codes.items()))


def _bad_mapping(name: str, line: str) -> InputError:
    return InputError(f'{name}: line "{line[:40]}" is not "label character-code", each label once')


def _codes(prefix: str, train: Part, where: str, mapping_file: str) -> dict:
    """Return class names by label, ascending."""
    found = np.unique(train.labels)
    labels = found.tolist()
    if found.dtype.kind == "U":
        with suppress(ValueError):  # 10 comes after 9
            labels = sorted(labels, key=float)
        return {label: label for label in labels}
    words = re.split(r"[^a-z0-9]+", prefix.lower())
    named = next((variant for variant in VARIANTS if variant in words), None)
    official = OFFICIAL_CODES.get(named, {})
    alone = named == prefix.lower() and set(labels) <= set(official)
    if named and ("emnist" in prefix.lower() or alone):
        return official
    for official in map(OFFICIAL_CODES.get, ("byclass", "balanced", "letters")):
        if train.images.shape[1:3] == _SIZE and labels == list(official):
            return official
    if len(found) <= found.max():  # a gap: more likely a wrong label than a class without images
        missing = next(n for n, label in enumerate(labels) if n != label)
        given = f"the training labels go up to {found.max()} but none is {missing}"
        lines = f'{mapping_file} with a line "label character-code" for each class'
        raise InputError(f"{where}: {given}; correct them, or add {lines}")
    return {label: str(label) for label in labels}


def _why_transposed(
    prefix: str, codes: Mapping, mapping: Mapping | None, images: np.ndarray
) -> str:
    """Return by what the files are EMNIST's; nothing if they are not."""
    if "emnist" in prefix.lower():
        return "by their name"
    grey = images.shape[1:3] == _SIZE and images.shape[3:] in ((), (1,))
    if not grey or codes not in OFFICIAL_CODES.values():
        return ""
    if mapping:
        return "by their mapping"
    return f"by their {len(codes)} classes" if len(codes) > len(_DIGITS) else ""


def _orientation(where: str, why: str, transposed: bool | None) -> str:
    if transposed is not None:
        return f"{where}: images {'turned upright' if transposed else 'taken as upright'}"
    if not why:
        return (
            f"{where}: not EMNIST's files, so taken as upright; {_asked('True', 'yes')} turns them"
        )
    done = f"so their transposed images were turned upright; {_asked('False', 'no')} leaves them"
    return f"{where}: EMNIST's files, {why}, {done}"


def _asked(value: str, word: str) -> str:
    return f"transposed={value} (emnist-jax sweep --transposed {word})"


def _numbered(part: Part, codes: Mapping) -> np.ndarray:
    """Return labels as class numbers."""
    known = np.array(list(codes))
    labels = part.labels.astype(str) if known.dtype.kind == "U" else part.labels
    order = np.argsort(known)
    numbers = order[np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)]
    unknown = labels[known[numbers] != labels]
    if len(unknown):
        raise InputError(f"{part.name}: label {unknown[0]} is none of the {len(codes)} classes")
    return freeze(numbers.astype(np.int32))
