"""Sections 4 to 6: batch normalisation, convolution, the test set; and the data."""

from functools import partial

import xarray as xr

from experiments.claims.judge import Claim, Estimate, NotTestable, Runs
from experiments.claims.measures import (
    INF,
    LONG,
    SIGN,
    SPLIT,
    accuracy_at,
    best_accuracy,
    best_epoch,
    best_of,
    best_or_more,
    exactly,
    first_epoch_share,
    paired,
    peak_gain,
    spread,
)

# Characters that many people write alike: a class of one group read as another of it.
LOOK_ALIKES = ("0DO", "1IL", "2Z", "5S", "9gq", "Ff", "UV", "4Y", "8B", "6b")


def _look_alikes(runs: Runs) -> xr.DataArray:
    """Return the share (%) of C1's test errors that stay within a group of look-alikes."""
    tested = _longest(runs, "c1", "/test")
    tested = tested.isel(epoch=-1) if "epoch" in tested.dims else tested
    if "confusion" not in tested:
        raise NotTestable("convnets/c1/test holds no confusion matrix")
    matrix, names = tested.confusion, tested.true.values
    group = {name: i for i, names in enumerate(LOOK_ALIKES) for name in names}
    alike = xr.DataArray(
        [[a != b and group.get(a, a) == group.get(b, b) for b in names] for a in names],
        dims=("true", "predicted"),
    )
    wrong = xr.DataArray([[a != b for b in names] for a in names], dims=("true", "predicted"))
    inside, errors = ((matrix * m.values).sum(["true", "predicted"]) for m in (alike, wrong))
    return 100 * inside / errors


def _norm(runs: Runs) -> xr.Dataset:
    """Return batch normalisation as the paper's bug left it: frozen draws, minibatch statistics."""
    return runs.chosen_adam("batch_norm/frozen_normal_minibatch", epochs=LONG)


def _tested(name: str, variable: str):
    scale = 100 if "accuracy" in variable else 1
    return lambda runs: scale * runs.chosen_adam(f"{name}/test")[variable]


def _after_7(name: str, variable: str):
    scale = 100 if "accuracy" in variable else 1

    def measure(runs: Runs) -> xr.DataArray:
        return scale * runs.chosen_adam(name, epochs=7)[variable].sel(epoch=7, drop=True)

    return measure


def _longest(runs: Runs, cell: str, part: str = "", epochs: int = 0) -> xr.Dataset:
    """Return a ConvNet's curves or test results, of the longer run where it has this rate."""
    try:
        return runs.chosen_adam(f"convnets/{cell}/longer{part}", epochs=epochs)
    except NotTestable:
        return runs.chosen_adam(f"convnets/{cell}{part}", epochs=epochs)


def _ratio(runs: Runs, cell: str, other: str) -> Estimate:
    return exactly(runs.seconds(f"convnets/{cell}") / runs.seconds(f"convnets/{other}"))


def _second_convolution_gain(runs: Runs) -> Estimate:
    return peak_gain(*(_longest(runs, cell, epochs=10) for cell in ("c2", "c1")))


DATA = (
    Claim(
        "D1",
        "Section 1, Figure 1",
        "some images are ambiguous even to people",
        "at least half of C1's test errors confuse characters that people write alike",
        _look_alikes,
        50,
        INF,
        "most errors; people were not asked, so this stands in for them "
        f"(groups: {', '.join(LOOK_ALIKES)})",
    ),
)

BATCH_NORM = (
    Claim(
        "N1a",
        "Section 4",
        "with batch normalisation (never updated, by a bug) 72.3 % is reached",
        "best validation accuracy: frozen draws, statistics of the minibatch",
        lambda runs: best_accuracy(_norm(runs)),
        66.7,
        77.9,
        "the paper's own +- 5.6",
        any_adam=True,
    ),
    Claim(
        "N1b",
        "Section 4",
        "with frozen batch normalisation seeds differ by 5.6 points",
        "standard deviation of it over seeds",
        lambda runs: spread(best_accuracy(_norm(runs))),
        2.8,
        INF,
        "half of 5.6, as five seeds do not give an sd better than that",
        "points",
        any_adam=True,
    ),
    Claim(
        "N1c",
        "Section 4",
        "frozen batch normalisation is poorer than the baseline",
        "best validation accuracy less that of SGD's best eta is below 0",
        lambda runs: paired(best_accuracy(_norm(runs)), best_of(runs, "sgd")[0]),
        -INF,
        0,
        SIGN,
        "points",
        any_adam=True,
    ),
)


def _network(row: str, cell: str, name: str, peak: float, first: float) -> tuple[Claim, ...]:
    """Return the claims on a ConvNet: its peak and its first epoch."""
    pick = partial(_longest, cell=cell, epochs=10)
    return (
        Claim(
            f"{row}a",
            "Section 5",
            f"{name} reaches {peak:g} %",
            "best validation accuracy (no upper bound where it still rises at the end)",
            lambda runs: best_or_more(pick(runs)),
            peak - 1,
            peak + 1,
            SPLIT,
            any_adam=True,
        ),
        Claim(
            f"{row}b",
            "Section 5",
            f"{name} reaches {first:g} % after one epoch (misprinted as its error)",
            "validation accuracy after epoch 1",
            lambda runs: accuracy_at(_longest(runs, cell, epochs=1), 1),
            first - 1,
            first + 1,
            SPLIT,
            any_adam=True,
        ),
    )


def _speed(letters: str, cell: str) -> tuple[Claim, ...]:
    """Return the claims on how fast a ConvNet trains."""
    pick, name = partial(_longest, cell=cell, epochs=10), cell.upper()
    return (
        Claim(
            f"C3{letters[0]}",
            "Section 5",
            f"{name} is best in under ten epochs",
            "epoch of its best validation accuracy",
            lambda runs: best_epoch(pick(runs)),
            -INF,
            10,
            "ten",
            "epoch",
            any_adam=True,
        ),
        Claim(
            f"C3{letters[1]}",
            "Section 5",
            f"{name} reaches 90 % of its best in one epoch",
            "validation accuracy after epoch 1 in per cent of the best is 90 or more",
            lambda runs: first_epoch_share(pick(runs)),
            90,
            INF,
            "ninety",
            any_adam=True,
        ),
    )


CONVNETS = (
    *_network("C1", "c1", "C1 (one convolution)", 87.44, 83.7),
    *_network("C2", "c2", "C2 (two convolutions)", 87.1, 83.2),
    Claim(
        "C2c",
        "Section 5",
        "an epoch of C2 takes 45 % longer than one of C1",
        "ratio of the training times of an epoch",
        lambda runs: _ratio(runs, "c2", "c1"),
        1.2,
        1.7,
        "1.45 within a quarter; the paper's loops cost by the number of convolutions",
        "times",
    ),
    Claim(
        "C2d",
        "Section 5",
        "an epoch of C2 takes over 100 times one of the dense net",
        "ratio of the training times of an epoch",
        lambda runs: _ratio(runs, "c2", "dense"),
        100,
        INF,
        "a hundred",
        "times",
    ),
    *_speed("ab", "c1"),
    *_speed("cd", "c2"),
    Claim(
        "C3e",
        "Section 5",
        "a second convolution brings nothing",
        "best validation accuracy, C2 less C1, is at most 0 (no bounds where they still rise)",
        _second_convolution_gain,
        -INF,
        0,
        SIGN,
        "points",
        any_adam=True,
    ),
)


def _test_row(row: str, cell: str, name: str, numbers: tuple[float, ...]) -> tuple[Claim, ...]:
    """Return the claims on a network after 7 epochs: validation and test, accuracy and error."""
    kinds = (
        ("a", "validation accuracy", _after_7(cell, "valid_accuracy"), 1.0, "%"),
        ("b", "validation error", _after_7(cell, "valid_error"), 0.03, "nats"),
        ("c", "test accuracy", _tested(cell, "accuracy"), 1.0, "%"),
        ("d", "test error", _tested(cell, "error"), 0.03, "nats"),
    )
    return tuple(
        Claim(
            row + letter,
            "Section 6",
            f"{name} after 7 epochs: {what} {number:g}{' %' if unit == '%' else ''}",
            f"{what} after epoch 7",
            measure,
            number - tolerance,
            number + tolerance,
            SPLIT if unit == "%" else "the paper's number within .03, as a point of accuracy costs",
            unit,
            any_adam=True,
        )
        for (letter, what, measure, tolerance, unit), number in zip(kinds, numbers, strict=True)
    )


def _c1_over_dense(runs: Runs) -> xr.DataArray:
    c1, dense = (_tested(f"test_set/{cell}", "accuracy")(runs) for cell in ("c1", "trained"))
    return paired(c1, dense)


TEST = (
    *_test_row(
        "T1",
        "test_set/trained",
        "the batch-normalised net",
        (84.2, 0.493, 82.22, 0.547),
    ),
    *_test_row("T2", "test_set/c1", "C1", (87.44, 0.363, 86.76, 0.397)),
    Claim(
        "T2e",
        "Section 6",
        "the ConvNet beats the dense net on the test set",
        "test accuracy after 7 epochs, C1 less the dense net with batch normalisation, is above 0",
        _c1_over_dense,
        0,
        INF,
        SIGN,
        "points",
        any_adam=True,
    ),
)
