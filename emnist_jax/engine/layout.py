"""Which trials are trained together: chunks of rows; a row's trials share their minibatches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

# Measured on a CPU, in steps of one trial: what a row's minibatches cost, and compiling a chunk of
# another shape. Trials beyond those that suit it make a step slower by this share for each time.
SHUFFLE, COMPILE, CROWDED = 0.15, 20_000, 0.1


class Room(NamedTuple):
    """What one device trains at once."""

    suits: int  # trials that fit its cache, or that its memory holds at ease
    most: int  # trials at most
    launch: float  # what a step costs before any trial, in steps of one trial


def layout(
    todo: np.ndarray, devices: int, room: Room, updates: int, *, by_seed: bool
) -> list[np.ndarray]:
    """Return the chunks of a sweep: each (rows, k) numbers of trials, repeated ones are padding.

    Args:
        todo: (settings, seeds) bool, the trials to train; they are numbered in this order.
        devices: each trains as many rows of a chunk as the others.
        room: what one of them trains at once.
        updates: of a trial, against which compiling counts.
        by_seed: whether each seed has an order of its own; then a row holds settings of one seed.
    """
    numbers = np.arange(todo.size).reshape(todo.shape)
    if not by_seed:
        left = numbers[todo]
        each = min(
            range(1, min(room.suits, -(-len(left) // devices)) + 1), key=_even(len(left), devices)
        )
        return [_rows(part, devices) for part in _split(left, each * devices)]
    # Seeds with equally many settings to train make chunks of one shape.
    by_count: dict[int, list[np.ndarray]] = {}
    for one, wanted in zip(numbers.T, todo.T, strict=True):
        by_count.setdefault(int(wanted.sum()), []).append(one[wanted])
    chunks = []
    for count, seeds in sorted(by_count.items(), reverse=True):
        if count:
            options = list(_options(np.array(seeds), devices, room))
            chunks += min(options, key=lambda made: _cost(made, devices, room, updates))
    return chunks


def _even(trials: int, devices: int):
    """Return the cost of so many trials a device and chunk: the last one is padded."""

    def cost(each: int) -> tuple[float, int]:
        whole, left = divmod(trials, each * devices)
        last = [1 if left <= devices else each] if left else []
        return sum(trained + SHUFFLE for trained in [each] * whole + last), -each

    return cost


def _split(trials: np.ndarray, size: int) -> list[np.ndarray]:
    return np.split(trials, range(size, len(trials), size))


def _rows(trials: np.ndarray, rows: int) -> np.ndarray:
    """Return trials as equal rows, the last trial repeated."""
    rows = min(rows, len(trials))
    each = -(-len(trials) // rows)
    return trials[np.minimum(np.arange(rows * each), len(trials) - 1)].reshape(rows, each)


def _options(seeds: np.ndarray, devices: int, room: Room) -> Iterator[list[np.ndarray]]:
    """Yield ways to cut (seeds, settings) trials into chunks."""
    count = seeds.shape[1]
    widths = sorted({-(-count // parts) for parts in range(1, count + 1)})
    for k in [width for width in widths if width <= room.most] or [1]:
        rows = np.concatenate([_rows(one, -(-count // k)) for one in seeds])
        for high in range(1, max(1, min(max(room.suits, k), room.most) // k) + 1):
            at_once = min(high * devices, len(rows))
            whole = len(rows) // at_once * at_once
            chunks = _split(rows[:whole], at_once)
            if whole == len(rows):
                yield chunks
                continue
            yield [*chunks, rows[whole:]]  # its rows padded to the number of devices
            even = len(rows) - (len(rows) - whole) % devices
            rest = [rows[whole:even]] if even > whole else []
            if (left := rows[even:]).size and k > 1:  # are cut in parts, one a device
                narrow = np.concatenate([_rows(row, devices // len(left)) for row in left])
                yield [*chunks, *rest, narrow]


def _cost(chunks: Sequence[np.ndarray], devices: int, room: Room, updates: int) -> float:
    """Return the steps of one trial that take as long as the chunks do."""

    def step(rows: int, k: int) -> float:
        high = -(-rows // devices)
        crowded = 1 + CROWDED * max(0, high * k / room.suits - 1)
        return room.launch + high * (k + SHUFFLE) * crowded

    shapes = {chunk.shape for chunk in chunks}
    return updates * sum(step(*chunk.shape) for chunk in chunks) + COMPILE * len(shapes)
