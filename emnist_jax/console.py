"""Lines of text: what is shown never costs what was computed, on closed pipes and full disks."""

import functools
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

import numpy as np

BARS = "▁▂▃▄▅▆▇█"


def show(line: object = "", error: bool = False) -> None:
    """Print a line at once, to stderr where `error`; go on without it where it cannot be written.

    That is where the pipe is closed, the disk is full, the stream is closed or missing. Characters
    that the stream's encoding lacks become question marks.
    """
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # closed before Python started, or a program without a console
        return
    try:
        try:
            print(line, file=stream, flush=True)
        except UnicodeEncodeError as wrong:
            print(str(line).encode(wrong.encoding, "replace").decode(wrong.encoding), file=stream)
            stream.flush()
    except (OSError, ValueError) as wrong:  # ValueError: the stream is closed
        _drop_buffer(stream)
        if not error:
            _report_once(getattr(wrong, "strerror", None) or str(wrong))


@functools.cache
def _report_once(reason: str) -> None:
    show(f"output cannot be written ({reason}); going on without it", error=True)


def flush() -> None:
    """Write what Python holds back of stdout; where that fails, drop it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        _drop_buffer(sys.stdout)


def _drop_buffer(stream: TextIO | None) -> None:
    """Empty the buffer of a stream that cannot be written, or Python fails on it when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        number = stream.fileno()
        kept, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        try:
            stream.flush()
        finally:
            os.dup2(kept, number)  # a disk may have room again later
            os.close(kept)
            os.close(nowhere)


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
