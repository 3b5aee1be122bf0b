"""W4: why are two convolutions no better than one? Channel counts changed, with equal heads.

    python -m experiments.depth --data emnist/balanced

The paper's C1 and C2 differ in three ways at once: one convolution or two, ten channels or five and
ten, dense layers of 576 and 160 units or of 150. Here one convolution of 10 channels and two of 5
and 10 or 10 and 10 get both heads; one of 5 or 20 gets C1's alone, two of 10 and 20 get C2's alone,
as the whole cross would take five hours on two CPU cores. Adam as in the paper, b1 .9, b2 .9999, at
eta 1e-3, which is its undamped rule at 1e-4. Networks with C1's head have 15 epochs, with C2's 25.
"""

from functools import partial

from emnist_jax import ConvNet
from emnist_jax.figures import plot_curves
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best
from experiments import convnets
from experiments._curves import (
    gains,
    peak_limits,
    perhaps_not_done,
    plot_gains,
    signed,
    size_row,
    together,
    with_names,
)
from experiments._experiment import Experiment, Figure, Results, Taken
from experiments._main import main
from experiments._networks import C1, C2, CHOSEN, float32_sweep

CHANNELS = {  # of each head
    C2.hidden: ((10,), (5, 10), (10, 10), (10, 20)),
    C1.hidden: ((5,), (10,), (20,), (5, 10), (10, 10)),
}
EPOCHS = {C2.hidden: 25, C1.hidden: 15}  # past the peak


def dashed(numbers: tuple[int, ...]) -> str:
    """Return numbers as text: 5-10."""
    return "-".join(map(str, numbers))


def folder(channels: tuple[int, ...], head: tuple[int, ...]) -> str:
    """Return where a network is trained: C2 in conv5-10_head150, C1 in conv10_head576-160."""
    return f"depth/conv{dashed(channels)}_head{dashed(head)}"


def called(model: ConvNet) -> str:
    """Return a network in words."""
    return f"channels {dashed(model.channels)} with head {dashed(model.hidden)}"


NETWORKS = {
    folder(channels, head): ConvNet(channels=channels, hidden=head)
    for head, of in CHANNELS.items()
    for channels in of
}
_GRID = {"learning_rate": (1e-3,), **CHOSEN}
_CHANGES = (
    ("a second convolution: 10 to 5-10", (10,), (5, 10)),
    ("a second convolution: 10 to 10-10", (10,), (10, 10)),
    ("channels of one: 5 to 10", (5,), (10,)),
    ("channels of one: 10 to 20", (10,), (20,)),
    ("channels of two: 5-10 to 10-20", (5, 10), (10, 20)),
)
# How changes begin, by kind, in words.
KINDS = {
    "a second": "a second convolution",
    "channels": "twice the channels",
    "head": "C1's head instead of C2's",
}
# What is changed, to and from: C1 to C2, then each difference between them alone.
EFFECTS = {
    "all at once: C1 to C2": (folder(C2.channels, C2.hidden), folder(C1.channels, C1.hidden)),
    **{
        f"{what}, head {dashed(head)}": (folder(after, head), folder(before, head))
        for what, before, after in _CHANGES
        for head, of in CHANNELS.items()
        if before in of and after in of
    },
    **{
        f"head 150 to 576-160, channels {dashed(c)}": (folder(c, C1.hidden), folder(c, C2.hidden))
        for c in CHANNELS[C2.hidden]
        if c in CHANNELS[C1.hidden]
    },
}


def draw_accuracy(runs: Results, head: tuple[int, ...]):
    """Draw the curves of the networks with one head."""
    own = {f"channels {dashed(c)}": with_names(runs[folder(c, head)]) for c in CHANNELS[head]}
    curves = together(own, "network")
    return plot_curves(curves, hue="network", ylim=peak_limits(curves))


def sizes(runs: Results) -> Table:
    """Return the size and the accuracy of every network."""
    rows = []
    for name, model in NETWORKS.items():
        curves = runs[name]
        row = {"channels": dashed(model.channels), "head": dashed(model.hidden)}
        top = {"epoch of best": best(curves).best_epoch.mean()}
        rows.append(row | size_row(model, curves, **top))
    return Table(rows, {"epoch of best": ".1f", "s an epoch": ".3g"})


def finding(runs: Results) -> str:
    """Return how C1 and C2 differ, and what each kind of difference between them does alone."""
    (_, whole), *single = gains(runs, EFFECTS).items()
    parts = []
    for start, words in KINDS.items():
        means, ends = zip(*(of for what, of in single if what.startswith(start)), strict=True)
        clear = sum(low > 0 or high < 0 for low, high in ends)
        reach = f"{min(means):+.2f} to {max(means):+.2f} points"
        parts.append(f"{words}, {reach} ({clear} of {len(ends)} intervals exclude 0)")
    rising = perhaps_not_done({called(of): runs[name] for name, of in NETWORKS.items()})
    return (
        f"C2 less C1: {signed(whole)}. Each difference between them alone: {'; '.join(parts)}; if "
        "nothing differed, one interval in twenty would. Networks of 5, 20 or 10 and 20 channels "
        f"have one head each, as the whole cross takes too long. {rising}"
    )


EXPERIMENT = Experiment(
    "depth",
    "Why are two convolutions no better than one? (W4)",
    sweeps={
        name: float32_sweep(model, "adam", _GRID, epochs=EPOCHS[model.hidden])
        for name, model in NETWORKS.items()
    },
    taken={
        folder(of.channels, of.hidden): Taken(name, convnets.sweeps()[name])
        for name, of in (("convnets/c1", C1), ("convnets/c2", C2))
    },
    figures={
        "effects": Figure(
            "Which difference between C1 and C2 matters? What C2 gains over C1, and what each "
            "difference changes alone; same seeds.",
            partial(plot_gains, pairs=EFFECTS),
        ),
        **{
            f"accuracy_head{dashed(head)}": Figure(
                f"One and two convolutions with a head of {dashed(head)} units: validation "
                "accuracy.",
                partial(draw_accuracy, head=head),
            )
            for head in CHANNELS
        },
    },
    tables={"networks": sizes},
    finding=finding,
    cost="3.5 hours on two CPU cores",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
