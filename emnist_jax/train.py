"""Training of one network, as pure functions: init, step, epoch, evaluation.

Nothing here knows of seeds in parallel, grids, files or devices; `engine` maps these functions over
trials. `model` is a Flax module called as `module(x, train=False)`, `rule` an optax transformation.
Pixels lie in flat rows (see `Pixels`), which no device pads, and are scaled where they are used.
A rule that evaluates other parameters than those it differentiates at, such as an average of them,
keeps these in its state as a field called `averaged`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, DTypeLike, Float, Int, UInt8

Metric = Callable[[Array, Array], Array]  # (logits, labels) -> one number an image
INIT, ORDER, DROPOUT = range(3)  # the roles of random keys


class Trial(NamedTuple):
    """A network in training."""

    params: Any  # what the rule updates
    variables: Any  # what it does not: running statistics, frozen draws
    opt_state: optax.OptState


def key_for(seed: Int[Array, ""] | int, role: int, *counts: Int[Array, ""] | int) -> Array:
    """Return the random key of a seed for a role, and then for an epoch, a step."""
    key = jax.random.fold_in(jax.random.key(seed), role)
    for count in counts:
        key = jax.random.fold_in(key, count)
    return key


def scale(images: UInt8[Array, "..."], dtype: DTypeLike) -> Float[Array, "..."]:
    """Map pixels 0..255 to [0, 1]."""
    return images.astype(dtype) / 255


class Pixels(NamedTuple):
    """What flat rows of pixels stand for: images (height, width, channels), computed in `dtype`."""

    shape: tuple[int, int, int]
    dtype: str

    def scaled(self, rows: UInt8[Array, "n pixels"]) -> Float[Array, "n height width channels"]:
        """Return the images of rows of pixels, in [0, 1]."""
        return scale(rows, self.dtype).reshape(-1, *self.shape)


def init(model: nn.Module, rule: optax.GradientTransformation, pixels: Pixels, seed) -> Trial:
    """Return the untrained trial: its weights depend on the seed alone, drawn in float32.

    Variables that a model declares in another type than float32 keep it.
    """
    variables = dict(model.init(key_for(seed, INIT), jnp.zeros((1, *pixels.shape), jnp.float32)))
    variables = jax.tree.map(
        lambda v: v.astype(pixels.dtype) if v.dtype == jnp.float32 else v, variables
    )
    params = variables.pop("params")
    return Trial(params, variables, rule.init(params))


def step(model: nn.Module, rule: optax.GradientTransformation, trial: Trial, images, labels, key):
    """Return the trial after one update on a minibatch: images (n, height, width, channels)."""

    def loss(params):
        logits, variables = model.apply(
            {"params": params, **trial.variables},
            images,
            train=True,
            rngs={"dropout": key},
            mutable=list(trial.variables),
        )
        return cross_entropy(logits, labels).mean(), variables

    grads, variables = jax.grad(loss, has_aux=True)(trial.params)
    updates, opt_state = rule.update(grads, trial.opt_state, trial.params)
    return Trial(optax.apply_updates(trial.params, updates), variables, opt_state)


def epoch(
    update: Callable[..., Any],
    trials: Any,
    images: UInt8[Array, "steps ..."],
    labels: Int[Array, "steps ..."],
) -> Any:
    """Return a trial, or many, after one update on each minibatch in turn.

    Args:
        update: of them on a minibatch: `(trials, number of the minibatch, images, labels)`. Of many
            it is mapped over them within this loop: mapping whole loops would lay every array of
            theirs out trial by trial, and copy those that lie otherwise.
        trials: what `update` takes and returns.
        images: those of each minibatch.
        labels: theirs.
    """

    def one(trials, batch):
        return update(trials, *batch), None

    return jax.lax.scan(one, trials, (jnp.arange(len(labels)), images, labels))[0]


def evaluated(trial: Trial) -> dict[str, Any]:
    """Return the Flax variables to evaluate: `averaged` of the rule's state, or else the params."""
    params = optax.tree_utils.tree_get(
        trial.opt_state, "averaged", trial.params, lambda path, _: _is_field(path[-1])
    )
    return {"params": params, **trial.variables}


def _is_field(key: object) -> bool:
    """Whether a key of a tree is a field of a state, and not the name of a layer."""
    return isinstance(key, optax.tree_utils.NamedTupleKey)


def batch_sums(
    model: nn.Module,
    pixels: Pixels,
    trial: Trial,
    images: UInt8[Array, "n pixels"],
    labels: Int[Array, "n"],
    metrics: Mapping[str, Metric],
) -> dict[str, Array]:
    """Return the sum of each metric over some images; with `by_class` those over each class's.

    Metrics get logits in float32 or better, and are summed so, whatever the model computes in.
    """
    logits = at_least_float32(model.apply(evaluated(trial), pixels.scaled(images)))
    return {
        name: summed(metric, metric(logits, labels), labels, logits.shape[-1])
        for name, metric in metrics.items()
    }


def all_sums(
    sums: Callable[..., Any],
    images: UInt8[Array, "n pixels"],
    labels: Int[Array, "n"],
    batch_size: int,
) -> Any:
    """Return the sums over all images, the remainder of the batches included.

    `sums`: over the images and labels of a batch, of a trial or mapped over many, as in `epoch`.
    """
    whole = len(labels) // batch_size * batch_size
    batches = [a[:whole].reshape(-1, batch_size, *a.shape[1:]) for a in (images, labels)]
    found = jax.tree.map(lambda s: s.sum(0), jax.lax.map(lambda b: sums(*b), tuple(batches)))
    if whole < len(labels):
        found = jax.tree.map(jnp.add, found, sums(images[whole:], labels[whole:]))
    return found


def means(sums: Mapping[str, Array], labels: Int[Array, "n"]) -> dict[str, Float[Array, ""]]:
    """Return the means of a trial's metrics; with `by_class` those of the classes' means."""
    by_class = {name: jnp.bincount(labels, length=len(s)) for name, s in sums.items() if s.ndim}
    # A class without images is 0 / 0, which nanmean leaves out.
    return {name: jnp.nanmean(s / by_class.get(name, len(labels))) for name, s in sums.items()}


def summed(metric: Metric, values: Array, labels: Int[Array, "n"], classes: int) -> Array:
    """Return the sum of a metric's values, or with `by_class` that over each class's images."""
    values = at_least_float32(values)
    if not getattr(metric, "by_class", False):
        return values.sum()
    return values @ jax.nn.one_hot(labels, classes, dtype=values.dtype)


def at_least_float32(values: Array) -> Array:
    """Return numbers of any type as floats of 32 bits or more."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def of_labels(logits: Float[Array, "n classes"], labels: Int[Array, "n"]) -> Float[Array, "n"]:
    """Return each image's logit of its label, by a mask: indexing has a scatter as its gradient."""
    mask = jnp.arange(logits.shape[-1])[None] == labels[:, None]
    return jnp.where(mask, logits, 0).sum(-1)


def cross_entropy(logits: Float[Array, "n classes"], labels: Int[Array, "n"]) -> Float[Array, "n"]:
    """Return the softmax cross-entropy (nats) of each image."""
    return jax.nn.logsumexp(logits, -1) - of_labels(logits, labels)


def accuracy(logits: Float[Array, "n classes"], labels: Int[Array, "n"]) -> Float[Array, "n"]:
    """Return 1 for each image whose largest logit is its label's, else 0.

    Of equal logits the first counts, as `argmax` has it; NaN is never right. The maximum is the one
    that `cross_entropy` computes; looking for its place would be a second, slower pass.
    """
    own = of_labels(logits, labels)
    earlier = jnp.arange(logits.shape[-1])[None] < labels[:, None]
    first = ~((logits == own[:, None]) & earlier).any(-1)
    return ((own == logits.max(-1)) & first).astype(logits.dtype)


def macro_accuracy(logits: Float[Array, "n classes"], labels: Int[Array, "n"]) -> Float[Array, "n"]:
    """Return `accuracy`; `means` averages it within each class first: classes count alike."""
    return accuracy(logits, labels)


macro_accuracy.by_class = True
