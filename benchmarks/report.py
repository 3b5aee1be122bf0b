"""What was measured, as Markdown: goals first, then every table. JSON in, text out."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

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
WHY_SEEDS = {
    "C1": "one trial alone is trained on both cores, and its arrays are out of cache as those of "
    "five. Next: updates in blocks that stay in the cache"
}
WHY_EVALUATION = (
    "its products alone, at the rates their shapes reach (205, 145 and 120 GFLOP/s for the three "
    "layers), take .98 us an image and network, 94 % of it; the faster training is, the larger the "
    "share. Next: larger products for the narrow layers, or metrics of training images less often"
)
WHY_IMPORT = (
    "JAX, Flax, optax and xarray (with pandas, and pyarrow where an extra has installed it) are "
    "nearly all of it. Next: xarray imported when curves are first labelled"
)
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


def render(results: Mapping) -> str:
    """Return the whole report as Markdown."""
    sections = [
        "# Benchmarks",
        "`make bench` (or `python -m benchmarks`; `--quick` for a first look) measures all of this "
        "anew and writes this page and `results.json`. What was tried to get here is in "
        "[notes.md](notes.md).",
        _conditions(results),
        "## Goals",
        _table(
            ("goal", "measured", ""),
            [(g.text, g.measured, g.verdict()) for g in goals(results)],
        ),
    ]
    sections += _steps(results["steps"])
    if "scaling" in results:
        sections += _scaling(results["scaling"])
    if "devices" in results:
        sections += _devices(results["devices"], results["scaling"]["devices"][-1])
    return "\n\n".join(sections) + "\n"


def _conditions(results: Mapping) -> str:
    machine = results["machine"]
    low, high = (value / 1e9 for value in machine["flop_per_second_range"])
    slow, fast = (value / 1e9 for value in machine["bytes_per_second_range"])
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    quick = "**A quick run: few rounds, no ConvNet at full length.** " if results["quick"] else ""
    return (
        f"{quick}{results['device']}; {versions}; commit {results['commit']}; "
        f"{results['minutes']:.1f} minutes in all. Measured rates: float32 matrix product "
        f"{machine['flop_per_second'] / 1e9:.0f} GFLOP/s ({low:.0f} to {high:.0f}, by "
        f"{machine['product_by']}), copy {machine['bytes_per_second'] / 1e9:.1f} GB/s read and "
        f"written ({slow:.1f} to {fast:.1f})."
    )


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


def _find(steps: Iterable[Mapping], **wanted) -> list[Mapping]:
    return [row for row in steps if all(row[name] == value for name, value in wanted.items())]


def _ratio_goal(steps, text, network, rule, trials, names, factor, why) -> Goal:
    rows = _find(steps, network=network, rule=rule)
    ours = _find(rows, name=OURS, trials=trials)
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
    others = _find(rows, name=STRONGER[names])
    others = [r for r in others if r["trials"] == trials or names == EAGER]
    other = min(others, key=lambda row: row["ms"], default=best)
    if other["ms"] < best["ms"]:
        measured += f"; against {other['name']}: {ratio(other, ours[0])[0]:.2f} x"
    reached = ours[0]["bound"]
    bound = f"the step is at {reached:.0%} of its bound, {reached * factor / middle:.0%} would do"
    return Goal(text, measured, middle >= factor, f"{bound}; {why}")


def _matrix_goal(steps) -> Goal:
    text = "dense SGD sweep: at least 65 % of the measured matrix rate"
    rows = _find(steps, network="dense", rule="sgd", name=OURS)
    if not rows:
        return Goal(text, NOTHING, None)
    best = max(rows, key=lambda row: row["matrix_rate"])
    measured = f"{best['matrix_rate']:.0%} at {best['trials']} trials"
    return Goal(text, measured, best["matrix_rate"] >= 0.65)


def _seeds_goal(steps, network, rule) -> Goal:
    text = f"{network}, {rule}: five seeds no dearer than one, a model-step"
    rows = {r["trials"]: r for r in _find(steps, network=network, rule=rule, name=OURS)}
    if not {1, 5} <= rows.keys():
        return Goal(text, NOTHING, None)
    measured = f"{_milliseconds(rows[5])} against {_milliseconds(rows[1])} ms"
    return Goal(text, measured, rows[5]["ms"] <= rows[1]["ms"], WHY_SEEDS.get(network, ""))


def _scaling_goals(scaling: Mapping) -> list[Goal]:
    shares = {r["rule"]: r["share"] for r in scaling["evaluation"] if r["network"] == "dense"}
    imported, second = scaling["start"]["import"], scaling["start"]["second start"]
    heavy = scaling["start"]["heavy"]
    hours = scaling["paper"]["total_hours"]
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
            f"{_span(imported)} s, Python itself included; loaded: {heavy}",
            imported["median"] < 1.5 and heavy == "[]",
            WHY_IMPORT,
        ),
        Goal(
            "second start of a sweep to its first epoch: under 5 s",
            f"{_span(second)} s, the epoch itself left out",
            second["median"] < 5,
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


def _steps(rows: list[Mapping]) -> list[str]:
    """Return a table for each network and rule."""
    sections = [
        "## A training step, a model",
        "Milliseconds: median (least to most). Batch 50. Programs that train one network at a time "
        "cost the same for each of many, so they stand in the first column; `x` is how often this "
        "library's fastest column is faster. `rate` is the fraction of the measured matrix rate, "
        "`bound` of the least time that the step's operations and bytes allow, both for the "
        "fastest column. PyTorch runs with one thread and with one a core.",
    ]
    groups = dict.fromkeys((row["network"], row["rule"]) for row in rows)
    for network, rule in groups:
        group = _find(rows, network=network, rule=rule)
        counts = sorted({row["trials"] for row in group if row["name"] == OURS})
        best = min(row["ms"] for row in group if row["name"] == OURS)
        lines = []
        for name, count in dict.fromkeys((row["name"], row.get("threads")) for row in group):
            same = [r for r in _find(group, name=name) if r.get("threads") == count]
            named = {row["trials"]: row for row in same}
            if not named.keys() & set(counts):  # a process a core: not a number of trials
                named = {1: next(iter(named.values()))}
            fastest = min(named.values(), key=lambda row: row["ms"])
            threads = f" ({count} thr.)" if count else ""
            lines.append(
                (
                    name + threads,
                    *(_milliseconds(named.get(n)) for n in counts),
                    f"{fastest['ms'] / best:.2f}",
                    f"{fastest['matrix_rate']:.0%}",
                    f"{fastest['bound']:.0%}",
                )
            )
        head = ("", *(f"{n} trial{'s' * (n > 1)}" for n in counts), "x", "rate", "bound")
        sections += [f"### {network}, {rule}", _table(head, lines)]
    return sections


def _milliseconds(row: Mapping | None) -> str:
    if row is None:
        return ""
    digits = 3 if row["ms"] < 1 else 2
    return f"{row['ms']:.{digits}f} ({row['least']:.{digits}f} to {row['most']:.{digits}f})"


def _scaling(scaling: Mapping) -> list[str]:
    """Return the tables of the scaling studies."""
    start, paper = scaling["start"], scaling["paper"]
    sections = ["## Scaling", "Milliseconds a step a model: median (least to most)."]
    for name, title, columns in (
        (
            "trials",
            "Trials at once (dense, Adam; state of all of them, scratch memory of a device)",
            ("trials", "state_mib", "scratch_mib"),
        ),
        ("chunks", "40 trials (dense, Adam) in chunks", ("trials_at_once", "chosen")),
        ("images", "Training images (dense, SGD, 10 trials)", ("images",)),
        ("width", "Width (dense, SGD, 10 trials)", ("width", "matrix_rate")),
        (
            "devices",
            "Devices (dense, SGD, 10 trials on each; on a CPU, one alone may use every core)",
            ("devices", "efficiency"),
        ),
    ):
        head = (*(column.replace("_", " ") for column in columns), "ms")
        lines = [
            (*(_cell(column, row[column]) for column in columns), _milliseconds(_in_ms(row)))
            for row in scaling[name]
        ]
        sections += [f"### {title}", _table(head, lines)]
    evaluation = [
        (
            *(r["network"], r["rule"], str(r["trials"]), f"{r['images']:,}"),
            *(_span(r["epoch"]), _span(r["evaluation"]), f"{r['share']:.0%}"),
        )
        for r in scaling["evaluation"]
    ]
    head = ("network", "rule", "trials", "training images", "epoch, s", "evaluation, s", "share")
    sections += ["### Evaluation of all training and validation images", _table(head, evaluation)]
    sections += ["### Around training", _table(("", "seconds"), _around(scaling, start))]
    hours = [
        (r["experiment"], r["network"], f"{r['trials']}", f"{r['epochs']}", f"{r['hours']:.2f}")
        for r in paper["rows"]
    ]
    hours.append(("the first three", "", "", "", f"{paper['total_hours']:.2f}"))
    hours.append(("all", "", "", "", f"{sum(r['hours'] for r in paper['rows']):.2f}"))
    sections += [
        "### The whole paper at five seeds, projected",
        "Epochs of 100,000 training images, 115,800 evaluated after each, at the times above; "
        "compiling, checkpoints, drawing and the test images are left out. What the runs in "
        "[results](../results/README.md) took, on a machine with other work, is in their table "
        "of times.",
        _table(("experiment", "network", "trials", "epochs", "hours"), hours),
    ]
    return sections


def _devices(devices: Mapping, measured: Mapping) -> list[str]:
    """Return memory against its forecast, and the cost model of many devices.

    `measured` is the row of most devices in the scaling study: what the model's assumption is
    beside it.
    """
    memory = [
        (
            *(row["study"], str(row["devices"]), str(row["trials"])),
            *(f"{row[name]:.1f}" for name in ("forecast_mib", "measured_mib")),
            f"{row['error']:+.1%}",
        )
        for row in devices["memory"]
    ]
    names = "training", "exchange", "checkpoints", "replication"
    model = [
        (
            *(f"{row[name]:,}" for name in ("devices", "hosts", "trials")),
            *(f"{row[name]:,.1f}" if row[name] >= 0.1 else f"{row[name]:.1g}" for name in names),
            f"{row['efficiency']:.1%}",
        )
        for row in devices["model"]
    ]
    parts = devices["parts"]
    return [
        "### Memory of a device, and of the host",
        "With Adam, in a process of its own. Dense: nets of 1000 and 500 units; convolutional: of "
        "10 and 20 channels and 500 units. Kept on the host: nets of 500 units, each kept and "
        "saved; this is the memory of the whole process, not of a device.",
        _table(("", "devices", "trials", "forecast, MiB", "measured, MiB", "error"), memory),
        "### A cost model of 8, 64 and 512 devices",
        "Not measured: computed from parts measured on one device and between two processes over "
        "loopback, for one chunk of 10 trials a device (dense, Adam), 100 epochs of 100,000 "
        "images. Assumed: every device is as fast as one alone here, as devices with cores and "
        f"memory of their own may be: {measured['devices']} CPU devices of this machine, which "
        "share its memory, and cores that one alone may use as well, have an efficiency of "
        f"{measured['efficiency']:.0%} (above). A host has 8; hosts exchange "
        "flags and metrics once an epoch in a ring, each of its steps as slow as between the two "
        f"processes ({parts['exchange'] * 1000:.1f} ms); the first host gathers all trials "
        f"({parts['exchange_bytes_per_second'] / 2**20:.0f} MiB/s) and writes a checkpoint "
        f"({parts['save_bytes_per_second'] / 2**20:.0f} MiB/s) every 5 minutes; every host reads "
        "its own data, which CPU devices read where they lie (replication). Compiling and failures "
        "are left out.",
        _table(
            ("devices", "hosts", "trials", *(f"{name}, s" for name in names), "efficiency"), model
        ),
    ]


def _around(scaling: Mapping, start: Mapping) -> list[tuple[str, str]]:
    lines = []
    for row in scaling["checkpoint"]:
        what = f"checkpoint of {row['trials']} x {row['network']}, Adam ({row['mib']:.0f} MiB)"
        lines += [(f"{what}: {verb}", _span(row[verb])) for verb in ("save", "restore")]
    for row in scaling["compilation"]:
        what = f"compile epoch and evaluation, {row['network']}, Adam, 5 trials"
        lines.append((what, _span(row)))
    return [
        *lines,
        ("`python -c pass`", _span(start["python"])),
        ("`python -c 'import emnist_jax'`", _span(start["import"])),
        ("draw 26,320 glyphs", _span(start["first load"])),
        ("load them from the cache", _span(start["second load"])),
        ("first start of 25 dense trials, to the first epoch", _span(start["first start"])),
        ("the same, second start", _span(start["second start"])),
    ]


def _in_ms(row: Mapping) -> dict:
    return {
        "ms": row["seconds"] * 1000,
        "least": row["least"] * 1000,
        "most": row["most"] * 1000,
    }


def _span(timing: Mapping) -> str:
    return f"{timing['median']:.2f} ({timing['least']:.2f} to {timing['most']:.2f})"


def _cell(column: str, value) -> str:
    if column == "chosen":
        return "by default" if value else ""
    if column in ("matrix_rate", "efficiency"):
        return f"{value:.0%}"
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def _table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = list(head)
    rows = [head, ["---"] * len(head), *map(list, lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
