"""The machine's measured limits, and what a training step must spend of them."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn

from benchmarks.timing import Timing, alternate, seconds_of
from emnist_jax._setup import cores
from experiments._networks import Shape, multiply_adds, parameters


class Cost(NamedTuple):
    """What one update of one network must spend."""

    parameters: int
    flop: int  # of matrix products and convolutions; a multiply-add is two
    bytes: int  # the rule's reads and writes of parameters and state, and the minibatch's pixels

    def seconds(self, machine: Mapping[str, float]) -> float:
        """Return the least seconds on a machine that computes and copies at the same time."""
        return max(self.flop / machine["flop_per_second"], self.bytes / machine["bytes_per_second"])


STATE_ARRAYS = {"sgd": 1, "rmsprop": 2, "adam": 3}  # the parameters, and the rule's moments


def cost(model: nn.Module, rule: str, image: Shape, classes: int, batch: int) -> Cost:
    """Count a step's operations and bytes.

    Forward, gradient of the weights and gradient of the inputs (but the first layer's) are one
    product each of the same size. Elementwise work is left out: it is below 2 %. Parameters and
    moments (float32) are read once and written once a step; activations and gradients could stay in
    the cache.
    """
    first, *others = multiply_adds(model, image, classes)
    count = parameters(model, image, classes)
    moved = 2 * 4 * count * STATE_ARRAYS[rule] + batch * math.prod(image)
    return Cost(count, 2 * batch * (2 * first + 3 * sum(others)), moved)


def machine(rounds: int = 7) -> dict[str, object]:
    """Measure the float32 matrix product, by JAX or PyTorch as is faster, and PyTorch's copy."""
    import jax
    import jax.numpy as jnp
    import torch

    n, copied = 2048, 2**26  # 2048 x 2048 matrices; arrays of 256 MiB, far beyond the cache
    torch.set_num_threads(cores())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, target = torch.rand(n, n, device=device), torch.empty(copied, device=device)
    source = torch.rand(copied, device=device)
    ja = jnp.full((n, n), 0.5)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))

    def finish(_) -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    products = {
        "torch": lambda: finish(torch.mm(a, a)),
        "jax": lambda: product(ja).block_until_ready(),
    }
    best = {name: _best(function, rounds) for name, function in products.items()}
    copy = _best(lambda: finish(target.copy_(source)), rounds)
    fastest = min(best, key=lambda name: best[name].median)
    return {
        "flop_per_second": 2 * n**3 / best[fastest].median,
        "flop_per_second_range": [2 * n**3 / best[fastest].most, 2 * n**3 / best[fastest].least],
        "product_by": fastest,
        "bytes_per_second": 2 * 4 * copied / copy.median,
        "bytes_per_second_range": [2 * 4 * copied / copy.most, 2 * 4 * copied / copy.least],
    }


def _best(function, rounds: int) -> Timing:
    seconds_of(function)
    return alternate({"": function}, rounds)[""]
