"""Sections 2 and 3: SGD and RMSprop on the dense net."""

import math

from experiments.claims.criteria import above, at_least, at_most, below, between, near
from experiments.claims.judge import Claim
from experiments.claims.measures import LONG
from experiments.claims.quantities import (
    BEST,
    PEAK,
    TUNED,
    TUNED_PEAK,
    at,
    change,
    mean,
    rmsprop,
    run,
    sgd,
)

SLIGHT = 1  # points: "slightly", "little", and the tolerance of a number
TWICE = "twice as long is much"
BEST_SGD = run("sgd", "SGD", LONG)
LATE = ((8, 12), (96, 100))

# fmt: off
SGD = (
    Claim("B1a", "SGD at eta .1 overfits from about epoch 10", PEAK(sgd(0.1)),
          between(5, 20, "10 within a factor of two: the top of the curve is flat", 10), figure=3),
    Claim("B1b", "the validation accuracy of SGD at eta .1 declines from there on",
          change("valid_accuracy", *LATE)(sgd(0.1)), below(0), figure=3),
    Claim("B1c", "the training accuracy of SGD at eta .1 keeps rising",
          change("train_accuracy", *LATE)(sgd(0.1)), above(0), figure=3),
    *(Claim(f"B1{letter}", f"SGD at eta {rate:g} still improves at epoch 100",
            change("valid_accuracy", (86, 90), (96, 100))(sgd(rate)), above(0), figure=3)
      for letter, rate in (("d", 0.003), ("e", 0.001))),
    Claim("B1f", "SGD at eta .1 is the choice for speed", at(5)(sgd(0.1)) - at(5)(sgd(0.01)),
          above(0), figure=3),
    Claim("B1g", "SGD at eta .01 is the choice for quality", BEST(sgd(0.01)) - BEST(sgd(0.1)),
          above(0), figure=2),
)
RMSPROP = (
    *(Claim(f"R1{letter}", f"RMSprop at eta {rate:g} learns nothing",
            mean("valid_accuracy", 91, 100)(rmsprop(rate)),
            at_most(5, "twice what always naming the largest class gives (2.1 to 2.8 %)"), figure=4)
      for letter, rate in (("a", 0.3), ("b", 0.1))),
    *(Claim(f"R1{letter}",
            f"the error of RMSprop at eta {rate:g} stays that of guessing, ln 47 = 3.85",
            mean("train_error", 91, 100)(rmsprop(rate)),
            near(math.log(47), 0.1,
                "ln 47 within .1: it is the error of even odds; guessing by the classes' shares "
                "costs a little less where these are uneven"), figure=5)
      for letter, rate in (("c", 0.1), ("k", 0.3))),
    *(Claim(f"R1{letter}", f"RMSprop at eta {rate:g} gains nothing after the first epoch",
            change("train_error", (1, 1), (91, 100))(rmsprop(rate)),
            at_least(-0.05, "no gain, but for a few hundredths of noise"), figure=5)
      for letter, rate in (("d", 0.01), ("e", 0.03))),
    *(Claim(f"R1{letter}", f"RMSprop at eta {rate:g} learns faster than SGD at the same eta",
            at(1)(rmsprop(rate, 1)) - at(1)(sgd(rate, 1)), above(0), figure=4)
      for letter, rate in (("f", 0.003), ("g", 0.001))),
    Claim("R1h", "RMSprop at eta .001 reaches 82.7 +- .4 %", BEST(rmsprop(0.001)), near(82.7)),
    Claim("R1i", "RMSprop at eta .001 is best between epochs 6 and 9", PEAK(rmsprop(0.001)),
          between(4, 11, "6 to 9 and two epochs more either way: the top of the curve is flat")),
    Claim("R1j", "RMSprop at eta .001 is slightly worse than SGD's best",
          TUNED(BEST_SGD) - BEST(rmsprop(0.001)),
          between(0, SLIGHT, "worse, by a point at most: slightly as in F1e", math.nan)),
    Claim("R1l", "RMSprop at eta .001 is considerably faster than SGD",
          TUNED_PEAK(BEST_SGD) / PEAK(rmsprop(0.001)), at_least(2, TWICE)),
)
# fmt: on
