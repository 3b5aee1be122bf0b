"""The time of a training step, a model: this library and its peers in one race."""

import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

import emnist_jax as ej
from benchmarks import ours, peers, peers_numpy, peers_torch, roofline
from benchmarks.goals import OURS
from benchmarks.timing import Contestant, race
from emnist_jax._setup import cores


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    trials: tuple[int, ...]
    ensembles: tuple[int, ...]  # numbers of networks in the peers' ensembles
    images: dict[str, int]  # training images of all, and so a timed epoch of ours, by network
    seconds: float  # of a timed run, where it can be chosen
    rounds: int
    limit: float  # seconds after which a contestant sits out, after two rounds at least
    compiled: bool  # whether torch.compile takes part


FULL = Effort(
    (1, 5, 25, 60), (1, 5, 25, 60), {"dense": 10_000, "C1": 1000, "C2": 1000}, 0.3, 5, 4.0, True
)
QUICK = Effort((1, 5), (5,), {"dense": 10_000, "C1": 250, "C2": 250}, 0.05, 2, 0.5, False)
RULES = "sgd", "adam"
# A larger ensemble of ConvNets needs gigabytes and seconds a step (grouped convolutions).
LARGEST_CONV_ENSEMBLE = 25


def measure(data: ej.Dataset, effort: Effort, machine: dict) -> list[dict]:
    """Race every network and rule, and return a row for each contestant."""
    return [
        row
        for network in ours.NETWORKS
        for rule in RULES
        for row in _group(data, network, rule, effort, machine)
    ]


def _group(data: ej.Dataset, network: str, rule: str, effort: Effort, machine: dict) -> list[dict]:
    model = ours.NETWORKS[network]
    part = ours.part(data, effort.images[network])
    print(f"{network}, {rule}", file=sys.stderr, flush=True)
    entries = [
        (Contestant(OURS, n, sweep.epoch, sweep.steps), {"trials_at_once": min(n, sweep.at_once)})
        for n in effort.trials
        for sweep in [ours.Timed(part, model, rule, n)]
    ]
    opened: list[peers_torch.Processes] = []
    entries += _peers(part, network, rule, effort, opened)
    named = [replace(c, name=f"{c.name}, {c.trials} trials, {more}") for c, more in entries]
    timings = race(named, effort.seconds, effort.rounds, effort.limit)
    for processes in opened:
        processes.close()
    image, classes = data.train.images.shape[1:], len(data.classes)
    cost = roofline.cost(model, rule, image, classes, ours.BATCH)
    rows = []
    for (contestant, more), (timing, steps) in zip(entries, timings.values(), strict=True):
        milliseconds = timing.times(1000)
        rows.append(
            {"network": network, "rule": rule, "name": contestant.name}
            | {"trials": contestant.trials, "ms": milliseconds.median}
            | {"least": milliseconds.least, "most": milliseconds.most}
            | {"rounds": timing.rounds, "steps": steps}
            | {"matrix_rate": cost.flop / timing.median / machine["flop_per_second"]}
            | {"bound": cost.seconds(machine) / timing.median}
            | more
        )
    del entries, named
    gc.collect()
    return rows


def _peers(
    data: ej.Dataset, network: str, rule: str, effort: Effort, opened: list
) -> Iterator[tuple[Contestant, dict]]:
    model, rate, split = ours.NETWORKS[network], ours.RATES[rule], data.train
    largest = effort.trials[-1] if network == "dense" else LARGEST_CONV_ENSEMBLE
    sizes = [n for n in effort.ensembles if n <= largest]
    weights = [ours.initial_weights(model, data, seed) for seed in range(max(sizes))]
    common = rule, rate, weights[0], split

    def enter(name: str, peer, **more) -> tuple[Contestant, dict]:
        run = peers.runner(peer, len(split.labels), ours.BATCH)
        return Contestant(name, peer.trials, run), more

    def eager(threads: int, **options) -> peers_torch.Eager:
        return peers_torch.Eager(*common, threads=threads, **options)

    def ensemble(n: int, threads: int, **options) -> peers_torch.Ensemble:
        return peers_torch.Ensemble(rule, rate, weights[:n], split, threads=threads, **options)

    torch.compiler.reset()  # it gives up on code that it meets in many shapes
    # PyTorch is fastest now with one thread and now with all: both take part.
    for threads in sorted({1, cores()}):
        yield enter("PyTorch eager", eager(threads, fused=False), threads=threads)
        yield enter("PyTorch eager, fused", eager(threads), threads=threads)
        if network != "dense":
            last = eager(threads, channels_last=True)
            yield enter("PyTorch eager, fused, channels last", last, threads=threads)
        for n in sizes:
            yield enter("torch.func ensemble", ensemble(n, threads), threads=threads)
        if effort.compiled:
            yield enter("torch.compile", eager(threads, compiled=True), threads=threads)
            for n in sorted({*sizes} & {5, 25 if network == "dense" else 5}):
                peer = ensemble(n, threads, compiled=True)
                yield enter("torch.compile of the ensemble", peer, threads=threads)
    processes = peers_torch.Processes(*common, cores=cores())
    opened.append(processes)
    yield enter("PyTorch eager, a process a core", processes, threads=1)
    yield enter("Flax loop", peers.FlaxLoop(*common))
    yield enter("numpy, float64", peers_numpy.Numpy(*common))
