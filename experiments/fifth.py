"""W1 to W4 on a fifth of the training images: which of their answers need all of them?

    python -m experiments.fifth --data emnist/balanced

The same sweeps in fifth/, for as many epochs, so with a fifth of the updates; the validation images
are the same.
"""

from emnist_jax import Sweep
from experiments import cifar10, depth, regularisation, weights_or_convolution
from experiments._data import FIFTH, OtherData, fifth
from experiments._experiment import Experiment, Taken
from experiments._main import main

QUESTIONS = cifar10, regularisation, weights_or_convolution, depth


def sweeps() -> dict[str, Sweep]:
    """Return the sweeps of all questions."""
    made = (question.EXPERIMENT.make() for question in QUESTIONS)
    return {f"{FIFTH}{name}": sweep for of in made for name, sweep in of.items()}


def sources() -> dict[str, OtherData]:
    """Return the data of each: a fifth of what its question has."""
    own = {name: of for question in QUESTIONS for name, of in question.EXPERIMENT.data.items()}
    changed = {of: of.then(fifth) for of in {OtherData(), *own.values()}}
    return {name: changed[own.get(name.removeprefix(FIFTH), OtherData())] for name in sweeps()}


def taken() -> dict[str, Taken]:
    """Return what W4 takes of W3: C1 and C2, as both take them of the paper on all images."""
    w3, w4 = weights_or_convolution.EXPERIMENT, depth.EXPERIMENT
    made = w3.make()
    own = {of.folder: Taken(FIFTH + name, made[name]) for name, of in w3.taken.items()}
    return {FIFTH + name: own[of.folder] for name, of in w4.taken.items()}


EXPERIMENT = Experiment(
    "fifth",
    "W1 to W4 on a fifth of the training images",
    sweeps=sweeps,
    least_seeds=2,
    data=sources(),
    taken=taken(),
    help={"cifar10": "the second data set: a TFDS name, or a path as for --data"},
    cost="130 minutes on two CPU cores (projected)",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
