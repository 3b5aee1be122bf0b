"""The claims of the paper, one entry each, in the order of its sections.

A tolerance of one point on an accuracy covers another split of the images and the paper's few seeds
(its own sds are .3 and .4; 15,800 images leave .6 either way).
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import xarray as xr

from experiments.claims.adam import ADAM, LUCK, whole_grid
from experiments.claims.baseline import RMSPROP, SGD, SLIGHT, TWICE
from experiments.claims.criteria import above, at_least, at_most, below
from experiments.claims.judge import Claim
from experiments.claims.measures import LONG, accuracy_at, best_accuracy, best_epoch, exactly
from experiments.claims.networks import BATCH_NORM, CONVNETS, DATA, TEST, times
from experiments.claims.quantities import BEST, SHARE, TUNED_PEAK, Measured, network, rmsprop, run
from experiments.claims.runs import Runs
from experiments.claims.tuning import (
    held_out_earliest,
    less_luck,
    slowest_over_fastest,
    tuned_range,
)

RULES = ("sgd", "rmsprop", "adam")
# Inputs and units of the three dense layers of C1 and of the dense net, as the paper lists them.
LAYERS = ((1960, 576, 160, 47), (784, 100, 100, 47))


def _rules(function: Callable) -> Callable[[Runs], object]:
    return lambda runs: function({rule: runs.pick(rule, epochs=LONG) for rule in RULES})


def _adam_first_epoch(runs: Runs) -> xr.DataArray:
    """Return the grid's highest accuracy after epoch 1 in percent of the grid's best."""
    curves = whole_grid(runs)
    return 100 * less_luck(accuracy_at(curves, 1)) / less_luck(best_accuracy(curves))


def _adam_finishes(runs: Runs) -> xr.DataArray:
    """Return the epoch of the best accuracy of the fastest setting that is as good as any."""
    curves = whole_grid(runs)
    return held_out_earliest(best_accuracy(curves), best_epoch(curves), 1.0)


def _weights(widths: tuple[int, ...]) -> int:
    return sum(a * b for a, b in pairwise(widths))


def _best(name: str, words: str) -> Measured:
    return BEST(network(f"convnets/{name}", words, epochs=10))


# fmt: off
CONCLUSIONS = (
    Claim("F1a", "RMSprop finishes in under ten epochs, with the right eta",
          TUNED_PEAK(run("rmsprop", epochs=LONG)), below(10, "ten")),
    Claim("F1b", "Adam finishes in under ten epochs, with the right setting",
          Measured("epoch of the best validation accuracy where it is earliest, of the settings "
                   "within a point of the grid's best", "epoch", _adam_finishes, any_adam=True),
          below(10, "ten; each seed's setting is chosen on the other seeds")),
    Claim("F1c", "RMSprop reaches over 90 % of its final accuracy in one epoch",
          SHARE(rmsprop(0.001)), above(90, "ninety")),
    Claim("F1d",
          "Adam reaches over 90 % of its final accuracy in one epoch, with the right setting",
          Measured("validation accuracy after epoch 1 where it is highest, of the grid's best", "%",
              _adam_first_epoch, any_adam=True),
          above(90, f"ninety; {LUCK}")),
    Claim("F1e", "the choice of the rule matters little for accuracy",
          Measured("best validation accuracy, best less worst rule, each at its best setting",
                   "points", _rules(tuned_range)),
          at_most(SLIGHT, f"one point; {LUCK}"),
          section="Abstract, Section 7"),
    *(Claim(f"F1f{number}",
            f"the choice of the rule matters much for training time (each rule {where})",
            Measured("epochs to a point below the worst rule's best, slowest over fastest rule",
                     "times",
                     _rules(partial(slowest_over_fastest, pick=min, fastest_setting=fast))),
            at_least(2, TWICE), section="Abstract, Section 7")
      for number, where, fast in (("", "at its most accurate setting", False),
                                  ("2", "at its fastest setting", True))),
    Claim("F1g", "convolution helps", _best("c1", "C1") - _best("dense", "dense net"), above(0)),
    Claim("F1h", "convolution costs training time", times("c1", "dense"), above(1, "longer")),
    Claim("F1i", "C1's dense layers have more than ten times as many weights as the dense net's",
          Measured("weights of the three dense layers, C1 over the dense net", "times",
                   lambda runs: exactly(_weights(LAYERS[0]) / _weights(LAYERS[1]))),
          above(10, "ten")),
)

SECTIONS = {
    "Data": DATA, "SGD": SGD, "RMSprop": RMSPROP, "Adam": ADAM, "Batch normalisation": BATCH_NORM,
    "ConvNets": CONVNETS, "Test set": TEST, "Conclusions": CONCLUSIONS,
}
PAPER: tuple[Claim, ...] = tuple(claim for section in SECTIONS.values() for claim in section)
# What the report shows first, in few words: numbers and conclusions that its answer rests on.
KEY = {
    "R1h": "RMSprop's best accuracy",
    "A1g": "Adam's 80 % at eta 1e-3 with b1 .9",
    "A1i": "Adam's best accuracy with b1 0",
    "A1p": "Adam's speed at eta 1e-4 with b1 .9",
    "A1v": "Adam's best setting",
    "N1a": "the accuracy with batch normalisation",
    "C1a": "the best accuracy of one convolution",
    "C2a": "the best accuracy of two",
    "C3e": "a second convolution brings nothing",
    "T1a": "the batch-normalised net's validation accuracy",
    "T1c": "the batch-normalised net's test accuracy",
    "T2c": "the ConvNet's test accuracy",
    "F1e": "the rule matters little for accuracy",
    "F1f": "the rule matters much for time",
}

# What is wrong in the text itself: where, what it says, what is meant, how one knows.
CORRECTIONS: tuple[tuple[str, str, str, str], ...] = (
    ("Section 3", "RMSprop averages the gradient", "the squared gradient",
     "its prose says so, and the root of a signed mean does not exist"),
    ("Section 2", "stop at the lowest validation accuracy", "the highest", "the aim is accuracy"),
    ("Section 3", "eta = .9999 overfits most", "b2 = .9999", "no eta of the grid is .9999"),
    ("Section 4", "the last layer has 10 units", "47", "there are 47 classes"),
    ("Section 5", "83.7 % and 83.2 % error after epoch 1", "accuracy",
     "90 % of the top is reached by then, it says; 83 % error is not that"),
    ("Section 5", "layer widths 576/176", "576/160", "the list of layers says 160"),
    ("Section 5", "one padding layer in C2", "two",
     "490 inputs of the first dense layer are 10 maps of 7 x 7, which takes padding twice"),
    ("Section 5", "activation and bias inside the sum over input channels", "outside",
     "a unit has one bias and one activation"),
    ("Section 5", "87.44 against 87.1 % shows no use of a second convolution", "it shows nothing",
     "two accuracies on 15,800 images each: z = 0.91, within noise"),
    ("Section 3", "exp(-x^2 / .01) has its optimum to be found from x = 1", "x = 0 is a maximum",
     "descent moves away from it"),
)

# Definitions changed after the first runs (two seeds of Adam, one minibatch order) were seen and
# before the present ones were trained: claims, what it was, what it is, why.
REVISED: tuple[tuple[str, str, str, str], ...] = (
    ("B1a to B1g", "five seeds", "ten seeds",
     "five left B1g undecided, so that SGD's sweep grew. Its five were trained twice: on two "
     "CPU cores B1g held (.45 points [.22, .68]), on an H200 it was undecided "
     "(.36 [-.05, .77]); the H200's, trained last, grew"),
    ("R1a to R1l", "five seeds", "ten seeds", "five left R1i, F1a and F1f2 undecided"),
    ("R1j", "0 to 2 points", "0 to 1", "one meaning of slightly: F1e had 1"),
    ("A1l, A1u", "above 0", "a margin of .3", "one meaning of best: A1v had .3"),
    ("C3e", "at most 0", "at most .5", "no seeds show a difference of exactly 0: W3h had .5"),
    ("A1q", "epochs 5 to 20", "epochs 5 to 100", "the text names no window: all epochs trained"),
    ("C1a, C2a, C3e", "still rising: best in the last two epochs", "in the last twentieth",
     "C2's mean was 58.0 of 60, a tie; so it was trained anew, for 100 epochs"),
    ("N1a, C2a, C3e", "20 epochs without gradient through mean and variance, 60 of C2", "100",
     "both were still rising"),
    ("A1s, A1w", "both b1 at once", "a claim each", "b1 0 does not depend on which Adam is meant"),
    ("F1f", "epoch of the best", "epochs to an accuracy all reach", "tops are flat: it was a tie"),
    ("F1f2", "", "at its fastest setting", "the second reading of what time a rule takes"),
    ("C2c, C2d", "any times", "times of as many networks at once", "others do not compare"),
    ("R1j, N1c, A1u, A1v, F1d, F1e", "best setting chosen on the other seeds", "less its luck",
     "intervals of seeds that choose for each other are too narrow where settings tie"),
    ("A1j2, A1o2", "", "first passage of 83.5 %", "the second reading of when it is reached"),
    ("A1p2", "", "mean of all b2", "the text names no b2"),
    ("R1k, R1l, T1e, F1h, F1i", "", "new", "claims of the text that were not judged"),
    ("T1a2, T1b2", "", "new", "a reading found after the fact"),
)
# fmt: on
