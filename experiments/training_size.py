"""X2: does the choice of a rule carry over from fewer training images to more?

    python -m experiments.training_size --data emnist/balanced

The rules of `rules_compared` at constant rates, with the same settings for as many epochs, so with
fewer updates, on a fifth and on half of its training images; the validation images are the same.
"""

from emnist_jax import Sweep
from emnist_jax.figures.tables import Table
from experiments import rules_compared
from experiments._curves import Mean, gain, plot_differences, tuned
from experiments._data import FIFTH, HALF, OtherData, fifth, half
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._names import NAMES
from experiments.claims.rules import NEWER, RULES, folder

PARTS = {FIFTH: fifth, HALF: half, "": None}
ALL = {rule: folder("dense", rule) for rule in RULES + NEWER}


def sweeps(epochs: int = 10, settings: int = 16, sample_seed: int = 0) -> dict[str, Sweep]:
    """Return the sweeps of all rules at constant rates, on each part of the images."""
    made = rules_compared.sweeps(epochs, settings, sample_seed)
    return {f"{part}{name}": made[name] for part in (FIFTH, HALF) for name in ALL.values()}


def accuracy(runs: Results, part: str) -> dict[str, float]:
    """Return each rule's mean accuracy (%) at its best setting on a part."""
    return {rule: float(tuned(runs[part + name]).mean()) for rule, name in ALL.items()}


def less_adam(runs: Results, part: str) -> dict[str, Mean]:
    """Return each rule less Adam, in points, both at their best settings on a part."""
    adam = runs[part + ALL["adam"]]
    others = {rule: runs[part + name] for rule, name in ALL.items() if rule != "adam"}
    return {NAMES[rule]: gain(one, adam) for rule, one in others.items()}


def images(runs: Results, part: str) -> int:
    """Return how many training images a part has."""
    return int(runs[part + ALL["adam"]].attrs["train_images"])


def draw(runs: Results):
    """Draw each rule less Adam, a panel each number of training images."""
    panels = {f"{images(runs, part):,} images": less_adam(runs, part) for part in PARTS}
    return plot_differences(panels, "best validation accuracy less Adam's, points", same_scale=True)


def accuracies(runs: Results) -> Table:
    """Return each rule's accuracy and rank by the number of training images."""
    means = {part: accuracy(runs, part) for part in PARTS}
    rows = []
    for rule in ALL:
        row: dict[str, object] = {"rule": NAMES[rule]}
        for part, found in means.items():
            row[f"{images(runs, part):,} images (%)"] = found[rule]
            row[f"rank of {images(runs, part):,}"] = 1 + sum(
                x > found[rule] for x in found.values()
            )
        rows.append(row)
    return Table(rows)


def finding(runs: Results) -> str:
    """Return which rules lead at each size."""
    lines = []
    for part in PARTS:
        mean = accuracy(runs, part)
        ranked = sorted(mean, key=mean.get, reverse=True)
        first, second, *_, last = ((NAMES[rule], f"({mean[rule]:.2f} %)") for rule in ranked)
        lines.append(
            f"With {images(runs, part):,} training images {' leads '.join(first)}, then "
            f"{' '.join(second)}; last is {' '.join(last)}."
        )
    return " ".join(
        [*lines, "All trained for as many epochs, so on fewer images with fewer updates."]
    )


EXPERIMENT = Experiment(
    "training_size",
    "Does the choice of a rule carry over to more images? (X2)",
    sweeps=sweeps,
    reads=tuple(ALL.values()),
    data={
        part + name: OtherData(change=PARTS[part])
        for part in (FIFTH, HALF)
        for name in ALL.values()
    },
    help=rules_compared.HELP,
    least_seeds=2,
    figures={
        "less_adam": Figure(
            "Do rules rank alike with fewer training images? Each less Adam, constant rates.", draw
        )
    },
    tables={"accuracies": accuracies},
    finding=finding,
    cost="75 minutes on two CPU cores",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
