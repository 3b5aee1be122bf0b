"""What was measured, as Markdown: goals first, then every table. JSON in, text out."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks import scaling
from benchmarks.goals import OURS, goals
from benchmarks.tables import cell, find, in_ms, milliseconds, span, table


def page(results: Mapping) -> str:
    """Return README.md: the report, then the pages that other runs wrote."""
    others = [Path(__file__).with_name(name) for name in ("programs.md", "gpu.md")]
    return "\n".join([render(results), *(one.read_text() for one in others if one.exists())])


def render(results: Mapping) -> str:
    """Return the whole report as Markdown; the paper's hours are of its sweeps as they are now."""
    if studies := results.get("scaling"):
        paper = scaling.paper(studies["evaluation"], results["steps"])
        results = {**results, "scaling": studies | {"paper": paper}}
    sections = [
        "# Benchmarks",
        "`make bench` (or `python -m benchmarks`; `--quick` for a first look) measures all of this "
        "anew and writes this page and `results.json`. What was tried to get here is in "
        "[notes.md](notes.md).",
        _conditions(results),
        "## Goals",
        table(
            ("goal", "measured", ""), ((g.text, g.measured, g.verdict()) for g in goals(results))
        ),
    ]
    sections += _steps(results["steps"])
    if "scaling" in results:
        sections += _scaling(results["scaling"])
    if "memory" in results:
        sections += _memory(results["memory"])
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


def _steps(rows: list[Mapping]) -> list[str]:
    """Return a table for each network and rule."""
    sections = [
        "## A training step, a model",
        "Milliseconds: median (least to most). Batch 50. Trials are settings of five seeds (one "
        "trial: one seed), each seed with its own minibatch order; of the peers every network has "
        "its own. Programs that train one network at a time "
        "cost the same for each of many, so they stand in the first column; `x` is how often this "
        "library's fastest column is faster. `rate` is the fraction of the measured matrix rate, "
        "`bound` of the least time that the step's operations and bytes allow, both for the "
        "fastest column. PyTorch runs with one thread and with one a core.",
    ]
    groups = dict.fromkeys((row["network"], row["rule"]) for row in rows)
    for network, rule in groups:
        group = find(rows, network=network, rule=rule)
        counts = sorted({row["trials"] for row in group if row["name"] == OURS})
        best = min(row["ms"] for row in group if row["name"] == OURS)
        lines = []
        for name, count in dict.fromkeys((row["name"], row.get("threads")) for row in group):
            same = [r for r in find(group, name=name) if r.get("threads") == count]
            named = {row["trials"]: row for row in same}
            if not named.keys() & set(counts):  # a process a core: not a number of trials
                named = {1: next(iter(named.values()))}
            fastest = min(named.values(), key=lambda row: row["ms"])
            threads = f" ({count} thr.)" if count else ""
            lines.append(
                (
                    name + threads,
                    *(milliseconds(named.get(n)) for n in counts),
                    f"{fastest['ms'] / best:.2f}",
                    f"{fastest['matrix_rate']:.0%}",
                    f"{fastest['bound']:.0%}",
                )
            )
        head = ("", *(f"{n} trial{'s' * (n > 1)}" for n in counts), "x", "rate", "bound")
        sections += [f"### {network}, {rule}", table(head, lines)]
    return sections


def _scaling(studies: Mapping) -> list[str]:
    """Return the tables of the scaling studies."""
    sections = ["## Scaling", "Milliseconds a step a model: median (least to most)."]
    for name, title, columns in (
        (
            "trials",
            "Trials at once (dense, Adam; state of all of them, scratch memory of a device)",
            ("trials", "state_mib", "scratch_mib"),
        ),
        ("watch", "Watching the training (dense, Adam, 25 trials)", ("watched",)),
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
            (*(cell(column, row[column]) for column in columns), milliseconds(in_ms(row)))
            for row in studies[name]
        ]
        sections += [f"### {title}", table(head, lines)]
    evaluation = [
        (
            *(r["network"], r["rule"], str(r["trials"]), f"{r['images']:,}"),
            *(span(r["epoch"]), span(r["evaluation"]), f"{r['share']:.0%}"),
        )
        for r in studies["evaluation"]
    ]
    head = ("network", "rule", "trials", "training images", "epoch, s", "evaluation, s", "share")
    sections += ["### Evaluation of all training and validation images", table(head, evaluation)]
    sections += ["### Around training", table(("", "seconds"), _around(studies))]
    hours = [
        (
            *(r["experiment"], r["network"], r["rule"], f"{r['trials']}", f"{r['epochs']}"),
            *(f"{r[name]:.2f}" if r[name] else "" for name in ("hours", "eager_hours")),
        )
        for r in studies["paper"]
    ]
    totals = [sum(r[name] or 0 for r in studies["paper"]) for name in ("hours", "eager_hours")]
    hours.append(("all", "", "", "", "", *(f"{total:.2f}" for total in totals)))
    sections += [
        "### The whole paper at five seeds, projected",
        "Epochs of 100,000 training images, 115,800 evaluated after each, at the times above; "
        "compiling, checkpoints, drawing and the test images are left out. PyTorch eager: its "
        "fastest steps above, without evaluation; Adam's for RMSprop, those without batch "
        "normalisation for those with it.",
        table(
            ("experiment", "network", "rule", "trials", "epochs", "hours", "PyTorch eager"), hours
        ),
    ]
    return sections


def _memory(rows: list[Mapping]) -> list[str]:
    """Return memory against its forecast."""
    lines = [
        (
            *(row["study"], str(row["devices"]), str(row["trials"])),
            *(f"{row[name]:.1f}" for name in ("forecast_mib", "measured_mib")),
            f"{row['error']:+.1%}",
        )
        for row in rows
    ]
    return [
        "### Memory of a device, and of the host",
        "With Adam, in a process of its own. Dense: nets of 1000 and 500 units; convolutional: of "
        "10 and 20 channels and 500 units. Kept on the host: nets of 500 units, each kept and "
        "saved; this is the memory of the whole process, not of a device.",
        table(("", "devices", "trials", "forecast, MiB", "measured, MiB", "error"), lines),
    ]


def _around(studies: Mapping) -> list[tuple[str, str]]:
    lines = []
    for row in studies["checkpoint"]:
        what = f"checkpoint of {row['trials']} x {row['network']}, Adam ({row['mib']:.0f} MiB)"
        lines += [(f"{what}: {verb}", span(row[verb])) for verb in ("save", "restore")]
    for row in studies["compilation"]:
        what = f"compile the programs, {row['network']}, Adam, 5 trials"
        lines.append((what, span(row)))
    return lines + [
        (_STARTED.get(name, f"`python -c '{name}'`"), span(timing))
        for name, timing in studies["start"].items()
    ]


_STARTED = {
    "first load": "draw 26,320 glyphs",
    "second load": "load them from the cache",
    "first start": "first start of 25 dense trials, to the first epoch",
    "second start": "the same, second start",
}
