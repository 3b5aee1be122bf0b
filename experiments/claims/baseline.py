"""Sections 2 and 3: SGD and RMSprop on the dense net."""

import math

from experiments.claims.judge import Claim
from experiments.claims.measures import (
    INF,
    SIGN,
    SPLIT,
    accuracy_at,
    best_accuracy,
    best_epoch,
    best_of,
    change,
    paired,
    rmsprop,
    sgd,
)

SGD = (
    Claim(
        "B1a",
        "Section 2, Figure 3",
        "SGD at eta .1 overfits from about epoch 10",
        "epoch of its best validation accuracy",
        lambda runs: best_epoch(sgd(runs, 0.1)),
        5,
        20,
        "10 within a factor of two: the top of the curve is flat",
        "epoch",
    ),
    Claim(
        "B1b",
        "Section 2, Figure 3",
        "the validation accuracy of SGD at eta .1 declines from there on",
        "validation accuracy, epochs 96-100 less epochs 8-12, is below 0",
        lambda runs: change(sgd(runs, 0.1), "valid_accuracy", (8, 12), (96, 100)),
        -INF,
        0,
        SIGN,
        "points",
    ),
    Claim(
        "B1c",
        "Section 2, Figure 3",
        "the training accuracy of SGD at eta .1 keeps rising",
        "training accuracy, epochs 96-100 less epochs 8-12, is above 0",
        lambda runs: change(sgd(runs, 0.1), "train_accuracy", (8, 12), (96, 100)),
        0,
        INF,
        SIGN,
        "points",
    ),
    *(
        Claim(
            f"B1{letter}",
            "Section 2, Figure 3",
            f"SGD at eta {rate:g} still improves at epoch 100",
            "validation accuracy, epochs 96-100 less epochs 86-90, is above 0",
            lambda runs, rate=rate: change(sgd(runs, rate), "valid_accuracy", (86, 90), (96, 100)),
            0,
            INF,
            SIGN,
            "points",
        )
        for letter, rate in (("d", 0.003), ("e", 0.001))
    ),
    Claim(
        "B1f",
        "Section 2",
        "SGD at eta .1 is the choice for speed",
        "validation accuracy after epoch 5, eta .1 less eta .01, is above 0",
        lambda runs: accuracy_at(sgd(runs, 0.1), 5) - accuracy_at(sgd(runs, 0.01), 5),
        0,
        INF,
        SIGN,
        "points",
    ),
    Claim(
        "B1g",
        "Section 2",
        "SGD at eta .01 is the choice for quality",
        "best validation accuracy, eta .01 less eta .1, is above 0",
        lambda runs: best_accuracy(sgd(runs, 0.01)) - best_accuracy(sgd(runs, 0.1)),
        0,
        INF,
        SIGN,
        "points",
    ),
)

RMSPROP = (
    *(
        Claim(
            f"R1{letter}",
            "Section 3, Figure 4",
            f"RMSprop at eta {rate:g} learns nothing",
            "validation accuracy, mean of epochs 91-100, is at most 5 %",
            lambda runs, rate=rate: (
                100 * rmsprop(runs, rate).valid_accuracy.sel(epoch=slice(91, 100)).mean("epoch")
            ),
            -INF,
            5,
            "chance is 2.1 %; a single class learnt doubles it",
        )
        for letter, rate in (("a", 0.3), ("b", 0.1))
    ),
    Claim(
        "R1c",
        "Section 3, Figure 5",
        "the error of RMSprop at eta .1 stays that of guessing, ln 47 = 3.85",
        "training error, mean of epochs 91-100",
        lambda runs: rmsprop(runs, 0.1).train_error.sel(epoch=slice(91, 100)).mean("epoch"),
        math.log(47) - 0.1,
        math.log(47) + 0.1,
        "ln 47 within .1: guessing with uneven odds costs a little more",
        "nats",
    ),
    *(
        Claim(
            f"R1{letter}",
            "Section 3, Figure 5",
            f"RMSprop at eta {rate:g} gains nothing after the first epoch",
            "training error, epochs 91-100 less epoch 1, is at least -.05",
            lambda runs, rate=rate: change(rmsprop(runs, rate), "train_error", (1, 1), (91, 100)),
            -0.05,
            INF,
            "no gain, but for a few hundredths of noise",
            "nats",
        )
        for letter, rate in (("d", 0.01), ("e", 0.03))
    ),
    *(
        Claim(
            f"R1{letter}",
            "Section 3, Figure 4",
            f"RMSprop at eta {rate:g} learns faster than SGD at the same eta",
            "validation accuracy after epoch 1, RMSprop less SGD, is above 0",
            lambda runs, rate=rate: paired(
                accuracy_at(rmsprop(runs, rate, 1), 1), accuracy_at(sgd(runs, rate, 1), 1)
            ),
            0,
            INF,
            SIGN,
            "points",
        )
        for letter, rate in (("f", 0.003), ("g", 0.001))
    ),
    Claim(
        "R1h",
        "Section 3",
        "RMSprop at eta .001 reaches 82.7 +- .4 %",
        "best validation accuracy",
        lambda runs: best_accuracy(rmsprop(runs, 0.001)),
        81.7,
        83.7,
        SPLIT,
    ),
    Claim(
        "R1i",
        "Section 3",
        "RMSprop at eta .001 is best between epochs 6 and 9",
        "epoch of its best validation accuracy",
        lambda runs: best_epoch(rmsprop(runs, 0.001)),
        4,
        11,
        "6 to 9 and two epochs more either way: the top of the curve is flat",
        "epoch",
    ),
    Claim(
        "R1j",
        "Section 3",
        "RMSprop at eta .001 is slightly worse than SGD's best",
        "best validation accuracy of SGD's best eta less RMSprop's at .001, between 0 and 2",
        lambda runs: paired(best_of(runs, "sgd")[0], best_accuracy(rmsprop(runs, 0.001))),
        0,
        2,
        "worse, and by little: two points at most",
        "points",
    ),
)
