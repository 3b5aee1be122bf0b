"""The trained networks of a sweep: kept at an epoch, evaluated, predicting, stored."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from emnist_jax import hosts, models, train
from emnist_jax.adapters import Other, adapted, class_of
from emnist_jax.data import Split, pictures
from emnist_jax.errors import InputError, check_count, short
from emnist_jax.models import model_fields
from emnist_jax.store.files import load_arrays, located, save_arrays
from emnist_jax.store.identity import identity

FILE = "networks.safetensors"
KEPT = ("epoch", "valid_accuracy", "valid_error")
Pictures = np.ndarray | str | os.PathLike | Sequence[np.ndarray | str | os.PathLike]


@dataclass(frozen=True, repr=False)
class Prediction:
    """The most probable classes of one picture, the most probable first."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def name(self) -> str:
        """The most probable class."""
        return self.classes[0]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return self.probabilities[0]

    def __repr__(self) -> str:
        pairs = zip(self.classes, self.probabilities, strict=True)
        return ", ".join(f"{name} {100 * p:.1f} %" for name, p in pairs)


@dataclass(frozen=True, repr=False)
class Networks:
    """Trained networks, labelled like the curves they belong to.

    `variables` holds Flax collections whose arrays lead with one axis over all networks. `kept`
    (grid dimensions, seed, and `epoch` where a list of epochs was kept) holds the `epoch` each
    network is of, its `valid_accuracy` and its `valid_error`. `classes` are the names of the
    classes, `form` what the training images look like.
    """

    model: nn.Module
    variables: Mapping[str, Mapping]
    kept: xr.Dataset
    evaluation_batch: int
    classes: tuple[str, ...]
    form: pictures.PictureForm

    def __len__(self) -> int:
        return self.epoch.size

    def __repr__(self) -> str:
        sizes = [f"{dim}: {size}" for dim, size in self.epoch.sizes.items()]
        networks = f"{len(self)} network{'s' * (len(self) != 1)}"
        return ", ".join([f"{networks} {models.describe(self.model)}", *sizes])

    @property
    def epoch(self) -> xr.DataArray:
        """The epoch each network is of, (grid dimensions, seed[, epoch])."""
        return self.kept.epoch.broadcast_like(self.kept.valid_accuracy)

    @property
    def parameters(self) -> Mapping:
        """The parameters of the one network there is, for instance for `plot_weights`.

        Raises:
            InputError: there are several.
        """
        if len(self) > 1:
            dims = ", ".join(f"{dim}=..." for dim in self.epoch.dims)
            raise InputError(f"there are {len(self)} networks: choose one, networks.sel({dims})")
        return jax.tree.map(lambda leaf: leaf[0], self.variables["params"])

    def sel(self, **labels) -> "Networks":
        """Return the networks of some labels, as xarray's `sel`: `networks.sel(seed=0)`.

        Raises:
            InputError: no network has the labels.
        """
        try:
            return self._chosen(lambda kept: kept.sel(**labels))
        except (KeyError, ValueError) as error:
            raise InputError(f"no network has the labels {labels}: {error}") from None

    def best_setting(self) -> "Networks":
        """Return the networks, all seeds, of the setting with the highest mean validation accuracy.

        It is chosen on the validation images, each network counting as it was kept.
        """
        settings = [dim for dim in self.epoch.dims if dim != "seed"]
        if not settings:
            return self
        mean = self.kept.valid_accuracy.fillna(0).mean([d for d in self.epoch.dims if d == "seed"])
        return self._chosen(lambda kept: kept.isel(mean.argmax(settings)))

    def _chosen(self, choose: Callable[[xr.Dataset], xr.Dataset]) -> "Networks":
        numbers = np.arange(len(self)).reshape(self.epoch.shape)
        kept = choose(self.kept.assign(number=(self.epoch.dims, numbers)))
        rows = kept.number.values.ravel()
        variables = jax.tree.map(lambda leaf: leaf[rows], self.variables)
        return replace(self, variables=variables, kept=kept.drop_vars("number"))

    def logits(self, images: np.ndarray) -> xr.DataArray:
        """Return logits (grid dimensions, seed, image, class) of images (n, h, w, c) uint8.

        Raises:
            InputError: images of another shape than the networks were trained on.
        """
        if np.shape(images)[1:] != self.form.shape:
            shape = ", ".join(map(str, self.form.shape))
            what = f"{_what(images)}: give images (n, {shape})"
            raise InputError(f"{what}, such as data.valid.images")
        batch = self.evaluation_batch
        model, variables, fields = self.model, self.variables, self._fields()
        batches = [images[i : i + batch] for i in range(0, len(images), batch)]
        applied = partial(_applied, model)
        programs = {len(b): identity(applied, variables, fields, b) for b in batches[-2:]}
        parts = [_logits(programs[len(b)], model, variables, fields, b) for b in batches]
        return self._labelled(np.concatenate(parts, axis=1), "image", "class")

    def _labelled(self, values: np.ndarray, *dims: str) -> xr.DataArray:
        """Return values (network, ...) with the labels of the networks, and `dims` besides."""
        shape = (*self.epoch.shape, *np.shape(values)[1:])
        return xr.DataArray(np.reshape(values, shape), self.epoch.coords, (*self.epoch.dims, *dims))

    def _fields(self) -> dict[str, np.ndarray]:
        """Return the model's fields that were on an axis of the sweep, a number a network."""
        dtype = _computed_in(self.variables)
        found = {}
        for name in model_fields(self.model) & set(map(str, self.kept.coords)):
            values = self.kept[name].broadcast_like(self.epoch).transpose(*self.epoch.dims)
            found[name] = values.values.ravel().astype(dtype)
        return found

    def probabilities(self, images: np.ndarray) -> xr.DataArray:
        """Return class probabilities (grid dimensions, image, class) of images (n, h, w, c) uint8.

        They are the mean of the softmax over the seeds' networks, which answer as an ensemble;
        `networks.sel(seed=0)` is one alone.
        """
        found = xr.apply_ufunc(jax.nn.softmax, self.logits(images).astype("float32"))
        found = found.assign_coords({"class": list(self.classes)})
        return found.mean("seed") if "seed" in found.dims else found

    def predict(self, images: Pictures, top: int = 3) -> list[Prediction]:
        """Return the most probable classes of pictures.

        Arrays of the size the networks were trained on are taken as they are. Other arrays and
        files are made to look like the training images (see `pictures.fit`): dark ink on light
        paper is inverted where training images are light on dark, and a character is cut out,
        scaled and centred. Several settings answer by the best of them (see `best_setting`), the
        seeds' networks as an ensemble (see `probabilities`).

        Args:
            images: an array (n, height, width[, channels]) or (height, width) of uint8 or floats in
                [0, 1], the path of a picture, or a list of arrays and paths, a picture each.
            top: the number of classes to name.

        Returns:
            A prediction a picture.

        Raises:
            InputError: no such file, or no picture.
        """
        check_count("top", top)
        found = self.best_setting().probabilities(self.seen(images)).values
        order = np.argsort(-found, axis=-1, kind="stable")[:, :top]
        return [
            Prediction(tuple(self.classes[i] for i in first), tuple(map(float, row[first])))
            for row, first in zip(found, order, strict=True)
        ]

    def seen(self, images: Pictures) -> np.ndarray:
        """Return pictures as the networks see them, (n, height, width, channels) uint8.

        Raises:
            InputError: as `predict`.
        """
        if isinstance(images, list | tuple) and not len(images):
            raise InputError("there are no pictures: give at least one")
        if isinstance(images, list | tuple):
            return np.concatenate([self.seen(one) for one in images])
        if isinstance(images, str | os.PathLike):
            pixels = pictures.read(images, self.form.shape[-1], self.form.background)[None]
            name = f"{images}"
        else:
            values = np.asarray(images)
            if values.ndim < 2:
                what = _what(images)
                raise InputError(f"{what}: give images, such as data.test.images, or paths")
            values = values[None] if values.ndim == 2 else values
            pixels, name = Split(values, np.zeros(len(values), int)).images, "the array"
            if pixels.shape[1:] == self.form.shape:
                return pixels
        if pixels.shape[-1] != self.form.shape[-1]:
            has, take = pixels.shape[-1], self.form.shape[-1]
            raise InputError(f"{name} has {has} channels, but the networks take {take}")
        try:
            return np.stack([pictures.fit(one, self.form) for one in pixels])
        except InputError as error:
            raise InputError(f"{name}: {error}") from None

    def _on(self, split: Split) -> np.ndarray:
        """Return logits (network, image, class) on a split."""
        if not isinstance(split, Split):
            raise InputError(f"{_what(split)}: give a part of the data, data.valid or data.test")
        return self.logits(split.images).values.reshape(len(self), len(split), -1)

    def evaluate(self, split: Split) -> xr.Dataset:
        """Return error (nats), accuracy and macro accuracy (mean over classes) on a split.

        Variables have the grid's dimensions and `seed`.

        Raises:
            InputError: it is no split.
        """
        flat, labels = self._on(split), jnp.asarray(split.labels)
        right = (flat.argmax(-1) == split.labels) & ~np.isnan(flat).any(-1)  # NaN is never right
        counts = np.bincount(split.labels)
        recall = [np.bincount(split.labels, weights=r, minlength=len(counts)) for r in right]
        with np.errstate(divide="ignore", invalid="ignore"):
            macro = np.nanmean(np.asarray(recall) / counts, axis=1)
        errors = [float(train.cross_entropy(jnp.asarray(one), labels).mean()) for one in flat]
        found = {"error": errors, "accuracy": right.mean(1), "macro_accuracy": macro}
        variables = {name: self._labelled(values) for name, values in found.items()}
        return xr.Dataset(variables, attrs={"images": len(labels)})

    def confusion(self, split: Split) -> xr.DataArray:
        """Return counts (grid dimensions, seed, true, predicted) on a split, classes by name.

        Raises:
            InputError: it is no split.
        """
        predicted = self._on(split).argmax(-1)
        n, names = len(self.classes), list(self.classes)
        counts = [np.bincount(split.labels * n + row, minlength=n * n) for row in predicted]
        found = self._labelled(np.reshape(counts, (-1, n, n)), "true", "predicted")
        return found.assign_coords(true=names, predicted=names).rename("confusion")

    def save(self, path: str | Path) -> Path:
        """Write the networks to a safetensors file, whole or not at all, with a checksum.

        Its metadata describe model, labels, classes and images as JSON: `load_networks` needs no
        more.

        Raises:
            InputError: the file cannot be written.
        """
        about = {
            "model": models.describe(self.model, defaults=True),
            "changed": models.describe(self.model),  # a default may be no literal
            "built_in": type(self.model) in models.BUILT_IN.values(),
            "labels": {
                str(name): [list(values.dims), str(values.dtype), values.values.tolist()]
                for name, values in self.kept.variables.items()
            },
            "evaluation_batch": self.evaluation_batch,
            "classes": self.classes,
            "form": self.form._asdict(),
        }
        written = {name: json.dumps(value) for name, value in about.items()}
        return save_arrays(path, _named(self.variables), written)


def load_networks(
    path: str | Path, model: nn.Module | type[nn.Module] | Other | None = None
) -> Networks:
    """Return the networks that a sweep with `keep` left in its folder.

    Args:
        path: the folder, or the safetensors file itself.
        model: for a model that is not this package's its class (or function of `rngs`, or pair of
            functions), whose fields are set as in training where they are plain values, or the
            model itself (a field `classes` that is None is set); by default as the file describes
            it.

    Raises:
        InputError: no such file, a damaged one, or a model that is missing or does not fit.
    """
    path, leaves, stored = hosts.first(_read, located(path))
    if "labels" not in stored:
        raise InputError(f"{path}: written by an older version; train the networks again")
    about = {name: json.loads(value) for name, value in stored.items()}
    form = pictures.PictureForm(**about["form"] | {"shape": tuple(about["form"]["shape"])})
    classes = tuple(about["classes"])
    if model is None and not about["built_in"]:
        name = about["model"].partition("(")[0]
        ways = f"load_networks(..., model={name}), or on the command line --model FILE.py:{name}"
        raise InputError(f"{path}: networks of your own class {name}: give it too, {ways}")
    if model is None:
        model = models.rebuild(about["model"])
    elif own := class_of(model):
        try:
            model = models.rebuild(about["changed"], own)
        except InputError as error:
            raise InputError(f"{path}: networks of {error}") from None
    model = adapted(model)
    if getattr(model, "classes", 0) is None:
        model = model.clone(classes=len(classes))
    variables = _variables(path, model, leaves, form)
    listed = about["labels"].items()
    labels = {name: (dims, np.asarray(values, kind)) for name, (dims, kind, values) in listed}
    kept = xr.Dataset(labels).set_coords([name for name in labels if name not in KEPT])
    return Networks(model, variables, kept, about["evaluation_batch"], classes, form)


def _read(path: Path) -> tuple[Path, dict[str, np.ndarray], dict[str, str]]:
    """Return the file of networks that `path`, or the folder `path`, is, and what it holds."""
    path = path / FILE if path.is_dir() or not path.suffix else path
    if not path.exists():
        what = "holds no networks" if path.parent.exists() else "is no folder of a run"
        advice = 'keep="best", on the command line with emnist-jax sweep --keep best'
        raise InputError(f"{path.parent} {what}: train networks with {advice}")
    return path, *load_arrays(path)


def _variables(
    path: Path, model: nn.Module, leaves: Mapping[str, np.ndarray], form: pictures.PictureForm
) -> Mapping:
    """Return the arrays stored as variables of the model; refuse other names and shapes."""
    image = jax.ShapeDtypeStruct((1, *form.shape), jnp.float32)
    try:
        made = dict(jax.eval_shape(model.init, jax.random.key(0), image))
    except Exception as error:  # the caller's own code raises whatever it likes
        raise InputError(f"{path}: no networks of {models.describe(model)}: {error}") from None
    shapes = {name: leaf.shape for name, leaf in _named(made).items()}
    if shapes.keys() != leaves.keys():
        differing = ", ".join(sorted(shapes.keys() ^ leaves.keys()))
        raise InputError(f"{path}: no networks of {models.describe(model)}: {short(differing)}")
    if shapes != {name: leaf.shape[1:] for name, leaf in leaves.items()}:
        raise InputError(f"{path}: networks of other widths than {models.describe(model)}")
    return jax.tree.unflatten(jax.tree.structure(made), [leaves[name] for name in shapes])


def _named(variables: Mapping) -> dict[str, jax.Array]:
    """Return arrays by their places in variables: "params/dense_0/kernel"."""
    return {
        jax.tree_util.keystr(keys, simple=True, separator="/"): leaf
        for keys, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }


def predict(images: Pictures, networks: Networks | str | Path, top: int = 3) -> list[Prediction]:
    """Return the most probable classes of pictures, by networks or by those in a run's folder.

    See `Networks.predict`: `predict("letter.png", "runs/adam")`.

    Raises:
        InputError: no such networks, no such file, or no picture.
    """
    if not isinstance(networks, Networks | str | os.PathLike):
        raise InputError(f"{_what(networks)}: give networks, or the folder of a run that kept them")
    networks = networks if isinstance(networks, Networks) else load_networks(networks)
    return networks.predict(images, top)


def _what(given: object) -> str:
    shape = np.shape(given) if isinstance(given, np.ndarray | jax.Array | list) else ()
    return f"{type(given).__name__} of shape {shape}" if shape else f"a {type(given).__name__}"


def _applied(model: nn.Module, variables, fields, images):
    dtype = _computed_in(variables)

    def one(variables, fields):
        return model.clone(**fields).apply(variables, train.scale(images, dtype))

    return train.at_least_float32(jax.vmap(one)(variables, fields))


@partial(jax.jit, static_argnums=(0, 1))
def _logits(program: str, model: nn.Module, variables, fields, images):
    """Return `_applied`; `program` is its identity, which code that changes changes."""
    return _applied(model, variables, fields, images)


def _computed_in(variables: Mapping) -> np.dtype:
    """Return the type of the images that a model was trained on."""
    return jnp.promote_types(jax.tree.leaves(variables["params"])[0].dtype, jnp.float32)
