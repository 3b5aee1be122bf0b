"""The programs on a GPU that is there: timed, beside what they hold and beside PyTorch.

    JAX_PLATFORMS=cuda,cpu python -m benchmarks.gpu    # two minutes; writes gpu.json and gpu.md

Products in float32 and as a GPU has them by default, TF32.
"""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax

import emnist_jax as ej
from benchmarks import ours, peers, programs
from benchmarks.tables import table
from benchmarks.timing import Contestant, Timing, alternate, race
from emnist_jax.store.files import write_text
from emnist_jax.store.provenance import commit, describe_devices

PRECISIONS = "float32", "default"
ROUNDS = 5
BANDWIDTH = {"H200": 4.8e12, "H100": 3.35e12}  # bytes a second, by NVIDIA's data sheets
PEER_IMAGES = 10_000


def warm(
    data: ej.Dataset, network: str, rule: str, precision: str
) -> tuple[ours.Timed, dict[str, object]]:
    """Return a case's sweep, all trials at once and run once, and what its programs hold."""
    trials = programs.CASES[network, rule] * programs.SEEDS
    how = {"at_once": trials, "precision": precision}
    sweep = ours.Timed(data, ours.NETWORKS[network], rule, trials, **how)
    holds = programs.held(sweep.runner, sweep.chunks[0].rows, sweep.compile())
    sweep.epoch()
    sweep.evaluate()
    return sweep, holds


def measure(data: ej.Dataset) -> Iterator[dict[str, object]]:
    """Yield what the programs of each case and precision hold, and what they take."""
    cases = [(*case, precision) for case in programs.CASES for precision in PRECISIONS]
    with ThreadPoolExecutor() as threads:  # XLA compiles without Python
        made = list(threads.map(lambda case: warm(data, *case), cases))
    for (network, rule, precision), (sweep, holds) in zip(cases, made, strict=True):
        timed = alternate({"epoch": sweep.epoch, "evaluate": sweep.evaluate}, ROUNDS)
        images = sweep.trials * (len(data.train) + len(data.valid))
        yield {
            "network": network,
            "rule": rule,
            "precision": precision,
            "step_ms": timed["epoch"].times(1000 / sweep.steps),
            "evaluation_us": timed["evaluate"].times(1e6 / images),
        } | holds


def race_peers(data: ej.Dataset) -> Iterator[dict[str, object]]:
    """Yield what PyTorch takes for a step of one network, alone and in as large an ensemble."""
    from benchmarks import peers_torch  # PyTorch is an extra

    part = ours.part(data, PEER_IMAGES)
    for (network, rule), settings in programs.CASES.items():
        trials, rate = settings * programs.SEEDS, ours.RATES[rule]
        model = ours.NETWORKS[network]
        weights = [ours.initial_weights(model, data, seed) for seed in range(trials)]
        made = {
            "PyTorch eager": peers_torch.Eager(rule, rate, weights[0], part.train, threads=1),
            "torch.func ensemble": peers_torch.Ensemble(rule, rate, weights, part.train, threads=1),
        }
        entries = [
            Contestant(name, peer.trials, peers.runner(peer, PEER_IMAGES, ours.BATCH))
            for name, peer in made.items()
        ]
        for name, (timing, steps) in race(entries, 0.3, ROUNDS, 2.0).items():
            yield {
                "network": network,
                "rule": rule,
                "name": name,
                "trials": made[name].trials,
                "step_ms": timing.times(1000 * made[name].trials),
                "steps": steps,
            }


def papers_minutes(steps: list[dict]) -> float:
    """Return the minutes of the paper's sweeps, by the float32 programs most like them."""
    each = {}
    for row in steps:
        if row["precision"] == "float32":
            updates = Timing(*row["step_ms"]).median / 1000 * programs.TRAIN / ours.BATCH
            images = row["trials"] * (programs.TRAIN + programs.VALID)
            seconds = updates + Timing(*row["evaluation_us"]).median / 1e6 * images
            each[row["network"], row["rule"]] = seconds / row["trials"]
    return programs.minutes_of_papers_epochs(each)


def render(found: dict) -> str:
    """Return the tables as Markdown."""
    rate = next((rate for name, rate in BANDWIDTH.items() if name in found["device"]), None)
    speed = f", at {rate / 1e12} TB/s (the vendor's)" if rate else ""
    alone = {
        (p["network"], p["rule"], p["name"]): Timing(*p["step_ms"]).median / p["trials"]
        for p in found["peers"]
    }
    lines = []
    for r in found["steps"]:
        step, moved = Timing(*r["step_ms"]), max(r["bytes"], r["least"])
        case, each = (r["network"], r["rule"]), step.median / r["trials"]
        rivals = [alone.get((*case, peer)) for peer in ("PyTorch eager", "torch.func ensemble")]
        lines.append(
            (
                ", ".join(case),
                r["precision"],
                str(r["trials"]),
                f"{step.median:.3f} ({step.least:.3f} to {step.most:.3f})",
                str(r["kernels"]),
                f"{r['bytes'] / 1e6:,.0f}",
                f"{r['least'] / 1e6:,.0f}",
                f"{1000 * moved / rate:.3f}" if rate else "",
                f"{Timing(*r['evaluation_us']).median:.4f}",
                *(f"{rival / each:,.0f} x" if rival else "" for rival in rivals),
                f"{r['memory'] / 2**20:,.0f}",
                f"{r['forecast'] / 2**20:,.0f}",
            )
        )
    head = "", "products", "trials", "ms a step of all", "kernels", "MB a step", "least"
    head += "ms of these bytes", "evaluation, us an image and network"
    head += "PyTorch eager, a network alone", "torch.func ensemble", "memory, MiB", "forecast"
    return "\n\n".join(
        [
            "## On a GPU",
            f"`python -m benchmarks.gpu` on {found['device']}, commit {found['commit'][:10]}, jax "
            f"{found['jax']}. {found['about']} A step is of all trials, median of {ROUNDS} epochs "
            f"of {found['images']:,} images; bytes are those of the compiled "
            f"program{speed}. PyTorch's are times of a step and network, as multiples of ours; its "
            "products are float32, its convolutions TF32. Kernels differ from those read without a "
            "device where JAX's version or its flags do.",
            table(head, lines),
            "From the float32 rows, evaluation included and compiling left out, the whole paper at "
            f"five seeds takes {papers_minutes(found['steps']):.0f} minutes on this GPU "
            "(projected, not run).",
        ]
    )


def main() -> None:
    """Measure everything, writing gpu.json after each row, and then gpu.md."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    data = ours.part(ej.load("glyphs"), programs.TRAIN)
    flags = os.environ.get("XLA_FLAGS")
    found: dict = {
        "device": describe_devices(),
        "commit": commit(),
        "jax": jax.__version__,
        "about": f"XLA_FLAGS: `{flags}`." if flags else "",
        "images": len(data.train),
        "steps": [],
        "peers": [],
    }
    for name, rows in (("steps", measure(data)), ("peers", race_peers(data))):
        for row in rows:
            found[name].append(row)
            write_text(folder / "gpu.json", json.dumps(found) + "\n")
    print(write_text(folder / "gpu.md", render(json.loads(json.dumps(found))) + "\n"))


if __name__ == "__main__":
    main()
