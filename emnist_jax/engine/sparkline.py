"""A curve in one line of text."""

from collections.abc import Sequence

import numpy as np

BARS = "▁▂▃▄▅▆▇█"


def sparkline(
    values: Sequence[float], width: int = 20, limits: tuple[float, float] | None = None
) -> str:
    """Return a one-line picture of `values` in at most `width` characters; x where not finite.

    It spans the values, or `limits` if given.

    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    """
    values = np.asarray(values, float)
    if len(values) > width:
        values = values[np.linspace(0, len(values) - 1, width).round().astype(int)]
    known = np.isfinite(values)
    low, high = limits or ((values[known].min(), values[known].max()) if known.any() else (0, 1))
    shares = np.clip((np.where(known, values, low) - low) / ((high - low) or 1), 0, 1)
    bars = np.array(list(BARS))[(shares * (len(BARS) - 1)).round().astype(int)]
    return "".join(np.where(known, bars, "x"))
