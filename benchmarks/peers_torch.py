"""PyTorch peers: eager, compiled, ensembles of `torch.func`, and a process a core."""

import multiprocessing

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from benchmarks.peers import Weights, floats, layers, named
from emnist_jax.data import Split

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def network(weights: Weights) -> nn.Sequential:
    """Return a network with these weights."""
    convs, dense = layers(weights)
    modules: list[nn.Module] = []
    for kernel, bias in convs:
        rows, columns, inputs, outputs = kernel.shape
        conv = nn.Conv2d(inputs, outputs, (rows, columns), padding=rows // 2)
        modules += [_filled(conv, kernel.transpose(3, 2, 0, 1), bias), nn.ReLU(), nn.MaxPool2d(2)]
    modules.append(nn.Flatten())
    for kernel, bias in dense:
        modules += [_filled(nn.Linear(*kernel.shape), kernel.T, bias), nn.ReLU()]
    return nn.Sequential(*modules[:-1]).to(DEVICE)


def _filled(layer: nn.Module, kernel: np.ndarray, bias: np.ndarray) -> nn.Module:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(kernel))
        layer.bias.copy_(torch.tensor(bias))
    return layer


def _back(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T  # a bias stays as it is


def _data(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.tensor(floats(split).transpose(0, 3, 1, 2)).contiguous()
    return images.to(DEVICE), torch.tensor(split.labels, dtype=torch.long, device=DEVICE)


def _optimizer(rule: str, params, rate: float, fused: bool) -> torch.optim.Optimizer:
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule]
    return kind(params, lr=rate, fused=fused)


class _Loop:
    """What PyTorch's own training loops share."""

    threads: int
    many = False  # whether a step takes the minibatches of several networks

    def run(self, order: np.ndarray) -> None:
        """Make an update on each minibatch of `order`, (steps, trials, batch)."""
        torch.set_num_threads(self.threads)
        order = order if self.many else order[:, 0]
        for rows in torch.as_tensor(order, device=DEVICE):
            self.step(self.images[rows], self.labels[rows])
        if DEVICE == "cuda":
            torch.cuda.synchronize()


class Eager(_Loop):
    """One network, trained the usual way.

    `compiled`: forward and backward by torch.compile; `channels_last`: the memory format that
    PyTorch recommends for convolutions.
    """

    trials = 1

    def __init__(
        self,
        rule: str,
        rate: float,
        weights: Weights,
        split: Split,
        *,
        threads: int,
        fused: bool = True,
        compiled: bool = False,
        channels_last: bool = False,
    ):
        self.threads = threads
        torch.set_num_threads(threads)
        self.images, self.labels = _data(split)
        self.net = network(weights)
        if channels_last:
            self.images = self.images.contiguous(memory_format=torch.channels_last)
            self.net = self.net.to(memory_format=torch.channels_last)
        self.optimizer = _optimizer(rule, self.net.parameters(), rate, fused)

        def loss(images, labels):
            return F.cross_entropy(self.net(images), labels)

        self.loss = torch.compile(loss, dynamic=False) if compiled else loss

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Make one update."""
        self.optimizer.zero_grad()
        self.loss(images, labels).backward()
        self.optimizer.step()

    def weights(self) -> list[Weights]:
        """Return the weights of the network."""
        return [named(_back(p.detach().cpu().numpy()) for p in self.net.parameters())]


class Ensemble(_Loop):
    """Networks trained together: gradients of all by `vmap`, one fused optimiser over them."""

    many = True

    def __init__(
        self,
        rule: str,
        rate: float,
        weights: list[Weights],
        split: Split,
        *,
        threads: int,
        compiled: bool = False,
    ):
        self.threads, self.trials = threads, len(weights)
        torch.set_num_threads(threads)
        self.images, self.labels = _data(split)
        nets = [network(w) for w in weights]
        params, _ = stack_module_state(nets)
        self.params = {name: p.detach() for name, p in params.items()}
        self.optimizer = _optimizer(rule, self.params.values(), rate, fused=True)

        def loss(params, images, labels):
            return F.cross_entropy(functional_call(nets[0], params, (images,)), labels)

        grads = vmap(grad(loss), in_dims=(0, 0, 0))
        self.grads = torch.compile(grads, dynamic=False) if compiled else grads

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Make one update of every network."""
        for name, gradient in self.grads(self.params, images, labels).items():
            self.params[name].grad = gradient
        self.optimizer.step()

    def weights(self) -> list[Weights]:
        """Return the weights of each network."""
        arrays = [p.cpu().numpy() for p in self.params.values()]
        return [named(_back(array[t]) for array in arrays) for t in range(self.trials)]


class Processes:
    """`Eager` in a process a core, each with one thread and a network of its own."""

    def __init__(self, rule: str, rate: float, weights: Weights, split: Split, *, cores: int):
        self.trials, context = cores, multiprocessing.get_context("spawn")
        self.pipes, self.workers = [], []
        for _ in range(cores):
            here, there = context.Pipe()
            args = there, rule, rate, weights, split
            worker = context.Process(target=_work, args=args, daemon=True)
            worker.start()
            self.pipes.append(here)
            self.workers.append(worker)

    def run(self, order: np.ndarray) -> None:
        """Make an update of every network on its minibatches of `order` (steps, trials, batch)."""
        for i, pipe in enumerate(self.pipes):
            pipe.send(order[:, i : i + 1])
        for pipe in self.pipes:
            pipe.recv()

    def close(self) -> None:
        """End the processes."""
        for pipe in self.pipes:
            pipe.send(None)
        for worker in self.workers:
            worker.join()


def _work(pipe, rule: str, rate: float, weights: Weights, split: Split) -> None:
    peer = Eager(rule, rate, weights, split, threads=1)
    while (order := pipe.recv()) is not None:
        peer.run(order)
        pipe.send(True)
