"""CSV files as on Kaggle: an image a line, its label and then its pixels, with or without names."""

import io
import math
import re
from collections import Counter

import numpy as np

from emnist_jax.data.emnist import Stored, encoding
from emnist_jax.data.tables import LABELS, part_of
from emnist_jax.errors import InputError

_ROWS = 10_000  # read at once
_NUMBER = re.compile(r"-?\d+(\.\d*)?(e[-+]?\d+)?", re.IGNORECASE)
_NO_PIXELS = ("", "index", "id")


class UnlabelledError(InputError):
    """Images without labels, such as the test part of a competition."""


def read(raw: bytes, name: str) -> Stored:
    """Read the one part of a file.

    The label is in the column named so (label, class, target, ...), else in the first. Columns are
    set apart by commas, semicolons or tabs. Lines of different lengths, what is no number, and
    pixels that are no square are an `InputError`.
    """
    import pandas as pd

    raw = raw.lstrip(b" \r\n")  # a tab is an empty name
    first = raw[: 2**20].decode(encoding(raw), "replace").partition("\n")[0].strip(" \r")
    separator = max(",;\t", key=Counter(first).__getitem__)
    fields = [field.strip(' "').lower() for field in first.split(separator)]
    named = _is_header(fields, name)
    label = next((i for i, field in enumerate(fields) if named and field in LABELS), None)
    if label is None:
        if math.isqrt(len(fields)) ** 2 == len(fields) > 1:
            raise UnlabelledError(f"{name}: {len(fields)} columns are an image without its label")
        label = 0
    others = _NO_PIXELS if named else ()
    pixels = [i for i, field in enumerate(fields) if i != label and field not in others]
    how = {"sep": separator, "encoding": encoding(raw), "skiprows": int(named)}
    how |= {"header": None, "chunksize": _ROWS, "keep_default_na": False}
    images, labels = [], []
    try:
        for chunk in pd.read_csv(io.BytesIO(raw), **how):
            if chunk.shape[1] != len(fields):
                raise InputError(f"{name}: lines of {chunk.shape[1]} and of {len(fields)} values")
            images.append(_levels(chunk.iloc[:, pixels].to_numpy(), name))
            labels.append(chunk.iloc[:, label].to_numpy())
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name}: not a readable CSV file ({error})") from None
    if not images:
        raise InputError(f"{name}: holds no images")
    return Stored({"": part_of(np.concatenate(images), np.concatenate(labels), name)})


def _is_header(fields: list[str], name: str) -> bool:
    """Return whether the first line names columns: by words, or by numbers that count up.

    A word for labels before pixels' levels may be either, a name or a label: an `InputError`.
    """
    numbers = [field for field in fields if _NUMBER.fullmatch(field)]
    if len(numbers) < len(fields) / 2:
        return True
    known = set(fields) & set(LABELS)
    pixels = numbers if known else fields[1:]
    counted = [[f"{i + start}" for i in range(len(pixels))] for start in (0, 1)]
    # pandas writes equal names as 0, 0.1, 0.2, ...: so it is in a well-known file of letters
    if pixels in counted or numbers[1:4] == ["0.1", "0.2", "0.3"]:
        return True
    if known:
        advice = "begin the file with a line that names the columns: label, 0, 1, 2, ..."
        raise InputError(f'{name}: "{min(known)}" may be a label or a column\'s name: {advice}')
    return False


def _levels(values: np.ndarray, name: str) -> np.ndarray:
    """Return pixels as numbers, whole ones as uint8."""
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name}: a pixel is no number, or a line is cut off")
    if values.dtype.kind in "iu" and values.size and 0 <= values.min() <= values.max() <= 255:
        return values.astype(np.uint8)
    return values
