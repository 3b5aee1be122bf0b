"""Sections 4 to 6: batch normalisation, convolution, the test set; and the data."""

from functools import partial
from operator import itemgetter

import xarray as xr

from experiments.claims.baseline import BEST_SGD
from experiments.claims.criteria import above, at_least, at_most, below, near
from experiments.claims.judge import Claim
from experiments.claims.measures import LONG, best_or_more, exactly, peak_gain, spread
from experiments.claims.quantities import (
    BEST,
    PEAK,
    SHARE,
    TUNED,
    Measured,
    Quantity,
    Selection,
    at,
    network,
)
from experiments.claims.runs import NotTestable, Runs

# Characters that many people write alike: a class of one group read as another of it.
LOOK_ALIKES = ("0DO", "1IL", "2Z", "5S", "9gq", "Ff", "UV", "4Y", "8B", "6b")
NONE_GAINED = 0.5  # points: "nothing", "no better", as in W3h
WHY_NONE = "half a point is little beside what a convolution may gain"


def _look_alikes(runs: Runs) -> xr.DataArray:
    """Return the share (%) of C1's test errors that stay within a group of look-alikes."""
    tested = runs.chosen_adam("convnets/c1/test").isel(epoch=-1)
    matrix, names = tested.confusion, tested.true.values
    group = {name: i for i, names in enumerate(LOOK_ALIKES) for name in names}
    alike = xr.DataArray(
        [[a != b and group.get(a, a) == group.get(b, b) for b in names] for a in names],
        dims=("true", "predicted"),
    )
    wrong = xr.DataArray([[a != b for b in names] for a in names], dims=("true", "predicted"))
    inside, errors = ((matrix * m.values).sum(["true", "predicted"]) for m in (alike, wrong))
    return 100 * inside / errors


# fmt: off
DATA = (
    Claim("D1", "some images are ambiguous even to people",
          Measured("share of C1's test errors that confuse look-alikes", "%", _look_alikes),
          at_least(50,
              "most errors; people were not asked, so characters that many write alike stand in "
              f"(groups: {', '.join(LOOK_ALIKES)})"), figure=1),
)
# fmt: on


# Batch normalisation as the paper's bug left it: frozen draws, statistics of the minibatch.
FROZEN = Selection(
    "frozen batch normalisation",
    lambda runs: runs.chosen_adam("batch_norm/frozen_normal", LONG, "minibatch"),
    any_adam=True,
)
# fmt: off
BATCH_NORM = (
    Claim("N1a", "with batch normalisation (never updated, by a bug) 72.3 % is reached",
          BEST(FROZEN), near(72.3, 5.6, "the paper's own +- 5.6")),
    Claim("N1b", "with frozen batch normalisation seeds differ by 5.6 points",
          BEST(FROZEN).over("standard deviation over seeds", spread, "points"),
          at_least(2.8, "half of 5.6, as five seeds do not give an sd better than that", 5.6)),
    Claim("N1c", "frozen batch normalisation is poorer than the baseline",
          BEST(FROZEN) - TUNED(BEST_SGD), below(0)),
)
# fmt: on


def cell(name: str, epochs: int = 10) -> Selection:
    """Return a ConvNet's curves."""
    return network(f"convnets/{name}", name.upper(), epochs)


BEST_OR_MORE = Quantity(f"{BEST.words} (open above where it still rises)", "%", best_or_more)


def _network(name: str, letters: str, peak: float, first: float) -> tuple[Claim, ...]:
    """Return the claims on a ConvNet: its peak and its first epoch, and how soon they are."""
    row = name.upper()
    ten = f"{row} is best in under ten epochs"
    soon = f"{row} reaches 90 % of its best in one epoch"
    after = f"{row} reaches {first:g} % after one epoch (misprinted as its error)"
    return (
        Claim(f"{row}a", f"{row} reaches {peak:g} %", BEST_OR_MORE(cell(name)), near(peak)),
        Claim(f"{row}b", after, at(1)(cell(name, 1)), near(first)),
        Claim(f"C3{letters[0]}", ten, PEAK(cell(name)), below(10, "ten")),
        Claim(f"C3{letters[1]}", soon, SHARE(cell(name)), at_least(90, "ninety")),
    )


def times(one: str, other: str) -> Measured:
    """Return the ratio of the training times of an epoch, of as many networks at once."""
    return Measured(
        f"training time of an epoch, {one} over {other}, as many networks at once",
        "times",
        lambda runs: exactly(runs.time_ratio(one, other)),
    )


# fmt: off
CONVNETS = (
    *_network("c1", "ab", 87.44, 83.7),
    *_network("c2", "cd", 87.1, 83.2),
    Claim("C2c", "an epoch of C2 takes 45 % longer than one of C1", times("c2", "c1"),
          near(1.45, 0.25, "1.45 within a quarter; the paper's loops cost by their convolutions")),
    Claim("C2d", "an epoch of C2 takes over 100 times one of the dense net", times("c2", "dense"),
          above(100, "a hundred")),
    Claim("C3e", "a second convolution brings nothing",
          Measured(f"{BEST.words}: C2 less C1 (open where they still rise)", "points",
                   lambda runs: peak_gain(*(cell(name).pick(runs) for name in ("c2", "c1"))),
                   any_adam=True),
          at_most(NONE_GAINED, WHY_NONE)),
)
# fmt: on


# The test set. The paper evaluated with the statistics of the minibatch, as far as is known.


def after_7(name: str, words: str, part: str = "", variant: str = "") -> Selection:
    """Return a network after 7 epochs, its `part` "/test" results or its curves."""

    def pick(runs: Runs) -> xr.Dataset:
        found = runs.chosen_adam(name + part, variant=variant)
        if 7 not in found.epoch:
            raise NotTestable(f"{name}{part} lacks epoch 7")
        return found.sel(epoch=7, drop=True)

    return Selection(words, pick, any_adam=True)


VALID = Quantity(
    "validation accuracy after epoch 7", "%", lambda curves: 100 * curves.valid_accuracy
)
TESTED = Quantity("test accuracy after epoch 7", "%", lambda results: 100 * results.accuracy)
VALID_ERROR = Quantity("validation error after epoch 7", "nats", itemgetter("valid_error"))
TEST_ERROR = Quantity("test error after epoch 7", "nats", itemgetter("error"))


def _test_row(
    row: str,
    says: str,
    sources: tuple[Selection, Selection],
    numbers: tuple[float, ...],
    end: str = "",
) -> tuple[Claim, ...]:
    """Return the claims on a network after 7 epochs: validation and test, accuracy and error."""
    quantities = {
        "validation accuracy": VALID,
        "validation error": VALID_ERROR,
        "test accuracy": TESTED,
        "test error": TEST_ERROR,
    }
    error = "the paper's number within .03, as a point of accuracy costs"
    return tuple(
        Claim(
            f"{row}{letter}{end}",
            f"{says}: {name} {number:g}",
            quantity(sources[letter in "cd"]),
            near(number) if quantity.unit == "%" else near(number, 0.03, error),
        )
        for letter, (name, quantity), number in zip(
            "abcd", quantities.items(), numbers, strict=False
        )
    )


NORMALISED = partial(after_7, "batch_norm/trained_normal", "the batch-normalised net")
C1 = partial(after_7, "convnets/c1", "C1")
# Runs have running statistics, and as a variant those of the minibatch, as in the paper's library.
MINIBATCH = NORMALISED(variant="minibatch"), NORMALISED(variant="minibatch", part="/test")
RUNNING, C1_PARTS = NORMALISED(), (C1(), C1(part="/test"))
# fmt: off
TEST = (
    *_test_row("T1", "the batch-normalised net after 7 epochs", MINIBATCH,
               (84.2, 0.493, 82.22, 0.547)),
    *_test_row("T1", "the same, read after the fact as validated with running statistics",
               (RUNNING, RUNNING), (84.2, 0.493), "2"),
    Claim("T1e", "the batch-normalised net loses 1.98 points from validation to test images",
          VALID(MINIBATCH[0]) - TESTED(MINIBATCH[1]),
          near(1.98, 1, "within a point; sampling of 15,800 images each leaves .8 either way")),
    *_test_row("T2", "C1 after 7 epochs", C1_PARTS, (87.44, 0.363, 86.76, 0.397)),
    Claim("T2e", "the ConvNet beats the dense net on the test set",
          TESTED(C1_PARTS[1]) - TESTED(MINIBATCH[1]), above(0)),
)
# fmt: on
