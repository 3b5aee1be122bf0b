"""The goals of the benchmarks, what a run says about each, and why one is missed."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from benchmarks.tables import find, span

OURS = "emnist_jax"
EAGER = "PyTorch eager", "PyTorch eager, fused", "PyTorch eager, fused, channels last"
EVALUATED, HOURS, IMPORT, START = 0.34, 5, 0.4, 2.5  # share of training; hours; seconds
TIMES, PAPER_TIMES = 1.6, 5  # faster than the fastest peer; the paper, than PyTorch eager
# Network, rule and trials; the fraction of the matrix rate, or of the bound, to reach.
RACES = {
    ("dense", "sgd", 25): ("matrix_rate", 0.68),
    ("dense", "adam", 25): ("matrix_rate", 0.58),
    ("C1", "sgd", 5): None,
    ("C1", "adam", 5): ("bound", 0.55),
    ("C2", "sgd", 5): None,
    ("C2", "adam", 5): ("bound", 0.38),
}
NAMES = {"matrix_rate": "of the measured matrix rate", "bound": "of the bound"}
# Found on two cores of an AMD EPYC; notes.md has the measurements.
WHY = {
    "dense": "its narrow layers' products do not reach the matrix rate; next: larger ones",
    "C1": "Adam's arrays leave the cache and are passed over three times; next: one pass over them",
    "C2": "patches, pooling and thin products take most of its step; next: fewer passes",
    "evaluation": "its narrow layers' products, at 120 to 145 GFLOP/s; the faster training is, the "
    "larger the share",
    "hours": "Adam's grid and the ConvNets take most of it, and C2's step is hardly faster than "
    "PyTorch's; ours has an evaluation after each epoch, PyTorch's has none; next: C2",
    "import": "what is imported beside JAX, Flax and optax",
    "start": "half of it is the import",
}


class Goal(NamedTuple):
    """A goal, what was measured, and whether it is met (None: not measured in this run)."""

    text: str
    measured: str
    met: bool | None
    why: str = ""

    def verdict(self) -> str:
        """Return whether it is met, and if not, why."""
        if self.met is None:
            return ""
        return "met" if self.met else f"**missed**: {self.why}"


def goals(results: Mapping) -> list[Goal]:
    """Return every goal with what this run says about it."""
    found = [goal for race in RACES for goal in _race(results["steps"], *race)]
    return found + (list(_scaling(results["scaling"])) if "scaling" in results else [])


def fastest(steps, network: str, rule: str, names: tuple[str, ...] = ()) -> Mapping | None:
    """Return the row of the fastest peer, among those of some names or all."""
    rows = find(steps, network=network, rule=rule)
    peers = [r for r in rows if (r["name"] in names if names else r["name"] != OURS)]
    return min(peers, key=lambda row: row["ms"], default=None)


def _race(steps, network: str, rule: str, trials: int) -> Iterator[Goal]:
    what = f"{network}, {rule}, {trials} trials"
    text = f"{what}: at least {TIMES} x faster than the fastest peer"
    ours = find(steps, network=network, rule=rule, trials=trials, name=OURS)
    peer = fastest(steps, network, rule)
    if not ours or not peer:
        yield Goal(text, "not measured", None)
        return
    (ours,) = ours
    times = peer["ms"] / ours["ms"]
    low, high = peer["least"] / ours["most"], peer["most"] / ours["least"]
    measured = f"{times:.2f} x ({low:.2f} to {high:.2f}); {peer['name']}, {peer['trials']} trials"
    yield Goal(text, measured, times >= TIMES, WHY[network])
    if RACES[network, rule, trials]:
        name, least = RACES[network, rule, trials]
        text = f"{what}: at least {least:.0%} {NAMES[name]}"
        yield Goal(text, f"{ours[name]:.0%}", ours[name] >= least, WHY[network])


def _scaling(scaling: Mapping) -> Iterator[Goal]:
    (row,) = find(scaling["evaluation"], network="dense", rule="sgd")
    text = f"evaluation of 115,800 images: under {EVALUATED:.0%} of training in a dense SGD epoch"
    yield Goal(text, f"{row['share']:.0%}", row["share"] < EVALUATED, WHY["evaluation"])
    start = scaling["start"]
    beside = (
        start["import jax, flax.linen, optax, emnist_jax"]["median"]
        - start["import jax, flax.linen, optax"]["median"]
    )
    text = f"`import emnist_jax`: under {IMPORT} s beside JAX, flax.linen and optax"
    used = start["from emnist_jax import sweep"]["median"]
    measured = f"{beside:.2f} s; `from emnist_jax import sweep` in all {used:.2f} s"
    yield Goal(text, measured, beside < IMPORT, WHY["import"])
    second = start["second start"]
    text = f"second start of a sweep to its first epoch: under {START} s"
    measured = f"{span(second)} s, the epoch itself left out"
    yield Goal(text, measured, second["median"] < START, WHY["start"])
    hours = sum(row["hours"] for row in scaling["paper"])
    text = f"the whole paper at five seeds: under {HOURS} hours"
    yield Goal(text, f"{hours:.2f} hours, projected", hours < HOURS, WHY["hours"])
    eager = [row["eager_hours"] for row in scaling["paper"]]
    text = f"... at least {PAPER_TIMES} x faster than PyTorch eager"
    if None in eager:
        yield Goal(text, "not measured", None)
        return
    measured = f"{sum(eager) / hours:.2f} x; PyTorch's {sum(eager):.1f} hours without evaluation"
    yield Goal(text, measured, sum(eager) >= PAPER_TIMES * hours, WHY["hours"])
