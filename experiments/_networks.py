"""The paper's networks and its choice for Adam; sizes and operation counts of networks."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict

import emnist_jax as ej
from emnist_jax import train
from emnist_jax.engine.grid import GridLike

Shape = tuple[int, int, int]  # height, width, channels
IMAGE = (28, 28, 1)
DENSE = ej.MLP(hidden=(100, 100))
C1 = ej.ConvNet(channels=(10,), hidden=(576, 160))
C2 = ej.ConvNet(channels=(5, 10), hidden=(150,))

CHOSEN = {"b1": 0.9, "b2": 0.9999}
"""The paper's decay rates for Adam on every network but the baseline."""
CHOSEN_GRID: Mapping[str, float | tuple[float, ...]] = {"learning_rate": (1e-4, 1e-3), **CHOSEN}
"""The paper's learning rate with them; and ten times that, at which Adam is the undamped rule
(without the factor 1 - b1) at the paper's rate."""


def float32_sweep(
    model: nn.Module, rule: str | ej.rules.Rule, grid: GridLike, **fields
) -> ej.Sweep:
    """Return a sweep with products in float32 on every device; a GPU's usual ones have TF32's ten
    bits, a TPU's bfloat16's seven."""
    return ej.Sweep(model, rule, grid, precision="float32", **fields)


def paper_sweep(model: nn.Module, rule: str, grid: GridLike, **fields: Any) -> ej.Sweep:
    """Return a sweep of the paper: with accuracies of all images, and as means over classes."""
    metrics = {"macro_accuracy": train.macro_accuracy}
    return float32_sweep(model, rule, grid, metrics=metrics, **fields)


def multiply_adds(model: nn.Module, image: Shape = IMAGE, classes: int = 47) -> list[int]:
    """Return the multiplications with additions of one image's forward pass, layer by layer.

    A dense layer has inputs x outputs; a convolution that keeps the size has rows x columns of its
    image for every element of its kernel. Biases, activations and pooling are left out.
    """
    found = []
    for path, leaf in sorted(flatten_dict(_shapes(model, image, classes)).items()):
        if path[-1].endswith("kernel"):
            layer = int(path[-1].split("_")[1]) if leaf.ndim == 4 else 0
            positions = (image[0] >> layer) * (image[1] >> layer) if leaf.ndim == 4 else 1
            found.append(positions * math.prod(leaf.shape))
    return found


def parameters(model: nn.Module, image: Shape = IMAGE, classes: int = 47) -> int:
    """Return the number of parameters."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(_shapes(model, image, classes)))


def _shapes(model: nn.Module, image: Shape, classes: int) -> dict:
    images = np.zeros((1, *image))
    return jax.eval_shape(model.clone(classes=classes).init, jax.random.key(0), images)["params"]
