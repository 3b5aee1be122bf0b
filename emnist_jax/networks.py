"""The trained networks of a sweep: kept at their best epoch or the last, evaluated, stored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from emnist_jax import arrays, hosts, train
from emnist_jax.data import Split
from emnist_jax.errors import InputError


@dataclass(frozen=True)
class Networks:
    """Trained networks, labelled like the curves they belong to.

    `variables` holds Flax collections whose arrays lead with one axis over all networks; `epoch`
    (grid dimensions, seed) holds the epoch each network is of.
    """

    model: nn.Module
    variables: Mapping[str, Mapping]
    epoch: xr.DataArray
    evaluation_batch: int

    def __len__(self) -> int:
        return self.epoch.size

    def sel(self, **labels) -> "Networks":
        """Return the networks of some labels, as xarray's `sel`: `networks.sel(seed=0)`.

        Raises:
            InputError: no network has the labels.
        """
        numbers = self.epoch.copy(data=np.arange(len(self)).reshape(self.epoch.shape))
        try:
            numbers, epoch = numbers.sel(**labels), self.epoch.sel(**labels)
        except (KeyError, ValueError) as error:
            raise InputError(f"no network has the labels {labels}: {error}") from None
        chosen = numbers.values.ravel()
        return replace(
            self, variables=jax.tree.map(lambda a: a[chosen], self.variables), epoch=epoch
        )

    def logits(self, images: np.ndarray) -> xr.DataArray:
        """Return logits (grid dimensions, seed, image, class) of images (n, h, w, c) uint8."""
        n, batch = len(images), self.evaluation_batch
        parts = [
            _logits(self.model, self.variables, images[i : i + batch]) for i in range(0, n, batch)
        ]
        values = np.concatenate([np.asarray(part) for part in parts], axis=1)
        return xr.DataArray(
            values.reshape(*self.epoch.shape, *values.shape[1:]),
            dims=(*self.epoch.dims, "image", "class"),
            coords=self.epoch.coords,
        )

    def evaluate(self, split: Split) -> xr.Dataset:
        """Return error (nats), accuracy and macro accuracy (mean over classes) on a split.

        Variables have the grid's dimensions and `seed`.
        """
        labels = jnp.asarray(split.labels)
        logits = self.logits(split.images)
        flat = logits.values.reshape(len(self), len(labels), -1)
        right = flat.argmax(-1) == split.labels
        counts = np.bincount(split.labels)
        recall = [np.bincount(split.labels, weights=r, minlength=len(counts)) for r in right]
        with np.errstate(divide="ignore", invalid="ignore"):
            macro = np.nanmean(np.asarray(recall) / counts, axis=1)
        errors = [float(train.cross_entropy(jnp.asarray(one), labels).mean()) for one in flat]
        found = {"error": errors, "accuracy": right.mean(1), "macro_accuracy": macro}
        shape, dims = self.epoch.shape, self.epoch.dims
        variables = {name: (dims, np.asarray(v).reshape(shape)) for name, v in found.items()}
        return xr.Dataset(variables, self.epoch.coords, {"images": len(labels)})

    def save(self, path: str | Path) -> Path:
        """Write the arrays to a safetensors file, whole or not at all, with a checksum.

        Raises:
            InputError: the file cannot be written.
        """
        leaves = {
            jax.tree_util.keystr(keys, simple=True, separator="/"): array
            for keys, array in jax.tree_util.tree_leaves_with_path(self.variables)
        }
        about = {"model": type(self.model).__name__, "dims": json.dumps(self.epoch.dims)}
        return arrays.save(path, {**leaves, "epoch": self.epoch.values}, about)


def load(path: str | Path, model: nn.Module, like: xr.DataArray, evaluation_batch: int) -> Networks:
    """Return the networks that `Networks.save` wrote.

    Args:
        path: the safetensors file.
        model: the model they were trained as.
        like: curves at one epoch, (grid dimensions, seed): the labels.
        evaluation_batch: images evaluated at once.

    Raises:
        InputError: no such file, or a damaged one.
    """
    from flax.traverse_util import unflatten_dict

    try:
        leaves, _ = hosts.first(arrays.load, path)
        epoch = like.copy(data=leaves.pop("epoch"))
    except (KeyError, ValueError) as error:  # an InputError too is a ValueError
        raise InputError(f"{error}; use --overwrite to train the networks again") from None
    return Networks(model, unflatten_dict(leaves, sep="/"), epoch, evaluation_batch)


@jax.jit(static_argnums=0)
def _logits(model: nn.Module, variables, images):
    dtype = jax.tree.leaves(variables["params"])[0].dtype
    return jax.vmap(lambda v: model.apply(v, train.scale(images, dtype)))(variables)
