"""The goals of the benchmarks, what a run says about each, and why one is missed."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.tables import find, milliseconds, span

OURS = "emnist_jax"
EAGER = "PyTorch eager", "PyTorch eager, fused", "PyTorch eager, fused, channels last"
ENSEMBLE = ("torch.func ensemble",)
# What else could be meant by such a peer, and is faster: told beside the goal.
STRONGER = {EAGER: "PyTorch eager, a process a core", ENSEMBLE: "torch.compile of the ensemble"}
# Where a goal is missed: the reason found, and what to try next. notes.md has the measurements.
FEWER = "Next: fewer, larger operations in a step"
ONE_PASS = (
    "XLA passes over the arrays of a step three times (m, v, parameters). Next: one pass over all "
    "arrays of a rule, 25 trials without one alone"
)
WHY_EAGER = {
    ("dense", "sgd"): f"25 trials are trained as 26 on two devices. {FEWER}",
    ("dense", "adam"): f"25 trials are trained as 3 x 8 and one alone, and {ONE_PASS}",
    ("C1", "adam"): (
        "its products take half of the step, Adam's arrays, out of cache, a sixth, patches and "
        "pooling most of the rest; a fifth trial is trained alone, on both cores, and costs more "
        "than its share. Next: Adam's update in blocks that stay in the cache"
    ),
    ("C2", "adam"): (
        "5 trials are trained as 6 on two devices, a sixth of it for nothing; the rest is not "
        "profiled. Next: the time of its patches and its pooling"
    ),
}
_MANY = "an ensemble of 25 makes the same large products on all cores"
WHY_ENSEMBLE = {
    ("dense", "sgd"): f"{_MANY}, and here 25 trials are trained as 26. {FEWER}",
    ("dense", "adam"): f"{_MANY}, and {ONE_PASS}",
}
WHY_MATRIX = (
    "the products of the narrow layers reach 145 and 120 GFLOP/s, and wider networks come nearer "
    f"(below). {FEWER}"
)
WHY_SEEDS = {
    "C1": "one trial alone is trained on both cores, and its arrays are out of cache as those of "
    "five. Next: updates in blocks that stay in the cache"
}
WHY_EVALUATION = (
    "its products alone, at the rates their shapes reach (205, 145 and 120 GFLOP/s for the three "
    "layers), take .98 of its 1.04 to 1.11 us an image and network; the faster training is, the "
    "larger the share. Next: larger products for the narrow layers, or metrics of training images "
    "less often"
)
WHY_IMPORT = (
    "JAX, Flax, optax and xarray (with pandas, and pyarrow where an extra has installed it) are "
    "nearly all of it. Next: xarray imported when curves are first labelled"
)
WHY_START = "half of it is the import. Next: as there"
WHY_HOURS = (
    "Adam's 160 trials are three quarters of it, evaluation a quarter. Next: as for dense Adam"
)
GPU_GOALS = (
    "on one H100, the whole paper at five seeds: under 5 minutes",
    "on one H100, dense, sgd, 64 trials: at least 50 x faster than PyTorch eager there",
)
AGAINST = {
    EAGER: ("PyTorch eager in one process", WHY_EAGER),
    ENSEMBLE: ("a `torch.func` ensemble of as many", WHY_ENSEMBLE),
}
NOTHING = "not measured"
NO_GPU = "not measured: there was no GPU. Next: this same program on one"


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
        return "met" if self.met else "**missed**" + (f": {self.why}" if self.why else "")


def goals(results: Mapping) -> list[Goal]:
    """Return every goal with what this run says about it."""
    steps, found = results["steps"], []
    for network, rule, trials, names, factor in (
        ("dense", "sgd", 25, EAGER, 4),
        ("dense", "adam", 25, EAGER, 4),
        ("dense", "sgd", 25, ENSEMBLE, 2),
        ("dense", "adam", 25, ENSEMBLE, 2),
        ("C1", "adam", 5, EAGER, 2),
        ("C2", "adam", 5, EAGER, 1.5),
    ):
        against, why = AGAINST[names]
        text = f"{network}, {rule}, {trials} trials: at least {factor} x faster than {against}"
        why = why[network, rule]
        found.append(_ratio_goal(steps, text, network, rule, trials, names, factor, why))
    found += [_matrix_goal(steps)]
    for network in ("dense", "C1", "C2"):
        for rule in ("sgd", "adam"):
            found.append(_seeds_goal(steps, network, rule))
    if "scaling" in results:
        found += _scaling_goals(results["scaling"])
    return [*found, *_gpu_goals(results)]


def ratio(peer: Mapping, ours: Mapping) -> tuple[float, float, float]:
    """Return how many times faster ours is: by medians, and the extremes of both ranges."""
    return (
        peer["ms"] / ours["ms"],
        peer["least"] / ours["most"],
        peer["most"] / ours["least"],
    )


def _ratio_goal(steps, text, network, rule, trials, names, factor, why) -> Goal:
    rows = find(steps, network=network, rule=rule)
    ours = find(rows, name=OURS, trials=trials)
    # A loop over single networks costs as much for each of 25 as for one.
    peers = [r for r in rows if r["name"] in names and r["trials"] in (1, trials)]
    if names == ENSEMBLE:
        peers = [r for r in peers if r["trials"] == trials]
    if not ours or not peers:
        return Goal(text, NOTHING, None)
    best = min(peers, key=lambda row: row["ms"])
    middle, low, high = ratio(best, ours[0])
    measured = f"{middle:.2f} x ({low:.2f} to {high:.2f}; {ours[0]['ms']:.3f} against "
    measured += f"{best['ms']:.3f} ms)"
    others = find(rows, name=STRONGER[names])
    others = [r for r in others if r["trials"] == trials or names == EAGER]
    other = min(others, key=lambda row: row["ms"], default=best)
    if other["ms"] < best["ms"]:
        measured += f"; against {other['name']}: {ratio(other, ours[0])[0]:.2f} x"
    reached = ours[0]["bound"]
    bound = f"the step is at {reached:.0%} of its bound, {reached * factor / middle:.0%} would do"
    return Goal(text, measured, middle >= factor, f"{bound}; {why}")


def _matrix_goal(steps) -> Goal:
    text = "dense SGD sweep: at least 65 % of the measured matrix rate"
    rows = find(steps, network="dense", rule="sgd", name=OURS)
    if not rows:
        return Goal(text, NOTHING, None)
    best = max(rows, key=lambda row: row["matrix_rate"])
    measured = f"{best['matrix_rate']:.0%} at {best['trials']} trials"
    return Goal(text, measured, best["matrix_rate"] >= 0.65, WHY_MATRIX)


def _seeds_goal(steps, network, rule) -> Goal:
    text = f"{network}, {rule}: five seeds no dearer than one, a model-step"
    rows = {r["trials"]: r for r in find(steps, network=network, rule=rule, name=OURS)}
    if not {1, 5} <= rows.keys():
        return Goal(text, NOTHING, None)
    measured = f"{milliseconds(rows[5])} against {milliseconds(rows[1])} ms"
    return Goal(text, measured, rows[5]["ms"] <= rows[1]["ms"], WHY_SEEDS.get(network, ""))


def _scaling_goals(scaling: Mapping) -> list[Goal]:
    shares = {r["rule"]: r["share"] for r in scaling["evaluation"] if r["network"] == "dense"}
    imported, second = scaling["start"]["import"], scaling["start"]["second start"]
    heavy = scaling["start"]["heavy"]
    hours = scaling["paper"]["dense_hours"]
    return [
        Goal(
            "evaluation of 115,800 images: under 35 % of the dense epoch",
            ", ".join(f"{rule} {share:.0%}" for rule, share in shares.items())
            + " of the training in it ("
            + ", ".join(f"{share / (1 + share):.0%}" for share in shares.values())
            + " of both together)",
            max(shares.values()) < 0.35,
            WHY_EVALUATION,
        ),
        Goal(
            "`import emnist_jax`: under 1.5 s, without TFDS, matplotlib, orbax, scipy.stats",
            f"{span(imported)} s, Python itself included; loaded: {heavy}",
            imported["median"] < 1.5 and heavy == "[]",
            WHY_IMPORT,
        ),
        Goal(
            "second start of a sweep to its first epoch: under 5 s",
            f"{span(second)} s, the epoch itself left out",
            second["median"] < 5,
            WHY_START,
        ),
        Goal(
            "the paper's dense experiments (25 + 30 + 160 trials, 100 epochs): under 3 hours",
            f"{hours:.2f} hours, projected",
            hours < 3,
            WHY_HOURS,
        ),
    ]


def _gpu_goals(results: Mapping) -> list[Goal]:
    if "CPU" in results["device"]:
        return [Goal(text, NO_GPU, None) for text in GPU_GOALS]
    paper, step = GPU_GOALS
    rows = results.get("scaling", {"paper": {"rows": []}})["paper"]["rows"]
    minutes = 60 * sum(row["hours"] for row in rows)
    projected = f"not measured as a whole: {minutes:.1f} minutes, projected" if rows else NOTHING
    return [
        Goal(paper, projected, None),
        _ratio_goal(results["steps"], step, "dense", "sgd", 64, EAGER, 50, FEWER),
    ]
