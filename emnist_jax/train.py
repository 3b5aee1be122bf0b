"""Training of one network, as pure functions: init, step, epoch, evaluate.

Nothing here knows of seeds in parallel, grids, files or devices; `sweep` maps these functions over
trials. `model` is a Flax module called as `module(x, train=False)`, `rule` an optax transformation.
A rule that wants other parameters evaluated than those it takes gradients at, such as an average of
them, keeps these in its state as a field called `averaged`.
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


def init(model: nn.Module, rule: optax.GradientTransformation, seed, images, dtype) -> Trial:
    """Return the untrained trial: its weights depend on the seed alone, drawn in float32."""
    variables = dict(model.init(key_for(seed, INIT), scale(images[:1], jnp.float32)))
    variables = jax.tree.map(lambda v: v.astype(dtype), variables)
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
    model: nn.Module,
    rule: optax.GradientTransformation,
    trial: Trial,
    images: UInt8[Array, "steps batch height width channels"],
    labels: Int[Array, "steps batch"],
    key: Array,
) -> Trial:
    """Return the trial after one update on each minibatch in turn."""
    dtype = jax.tree.leaves(trial.params)[0].dtype

    def update(trial, batch):
        number, images, labels = batch
        key_now = jax.random.fold_in(key, number)
        return step(model, rule, trial, scale(images, dtype), labels, key_now), None

    return jax.lax.scan(update, trial, (jnp.arange(len(labels)), images, labels))[0]


def evaluated(trial: Trial) -> dict[str, Any]:
    """Return the Flax variables to evaluate: `averaged` of the rule's state, or else the params."""
    params = optax.tree_utils.tree_get(trial.opt_state, "averaged", trial.params)
    return {"params": params, **trial.variables}


def evaluate(
    model: nn.Module, trial: Trial, images, labels, batch_size: int, metrics: Mapping[str, Metric]
) -> dict[str, Float[Array, ""]]:
    """Return the mean of each metric over all images, the remainder of the batches included."""
    dtype = jax.tree.leaves(trial.params)[0].dtype
    variables = evaluated(trial)
    whole = len(labels) // batch_size * batch_size

    def totals(images, labels):
        logits = model.apply(variables, scale(images, dtype))
        return {name: metric(logits, labels).sum() for name, metric in metrics.items()}

    batches = [a[:whole].reshape(-1, batch_size, *a.shape[1:]) for a in (images, labels)]
    sums = jax.tree.map(lambda s: s.sum(0), jax.lax.map(lambda b: totals(*b), tuple(batches)))
    if whole < len(labels):
        sums = jax.tree.map(jnp.add, sums, totals(images[whole:], labels[whole:]))
    return {name: total / len(labels) for name, total in sums.items()}


def cross_entropy(logits: Float[Array, "n classes"], labels: Int[Array, "n"]) -> Float[Array, "n"]:
    """Return the softmax cross-entropy (nats) of each image."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def accuracy(logits: Float[Array, "n classes"], labels: Int[Array, "n"]) -> Float[Array, "n"]:
    """Return 1 for each image whose largest logit is its label's, else 0."""
    return (logits.argmax(-1) == labels).astype(logits.dtype)
