"""The steps that a rule takes on fixed gradients."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from emnist_jax._setup import float64
from emnist_jax.errors import InputError

UPDATES, SHAPE = 10, (4, 8)
TOLERANCE = 1e-4  # of an element's largest step; every slip changes some step by far more


class Steps(NamedTuple):
    """What a rule did, (updates, elements) each: gradients, weights before, changes of them."""

    grads: np.ndarray
    theta: np.ndarray
    changes: np.ndarray
    scale: np.ndarray  # of a change in an element: differences are relative to it


def gradients() -> np.ndarray:
    """Return the gradients fed to every rule, (updates, elements); the same at each call.

    Their scales, 1e-11 to 1e2, show an eps of 1e-12 and above in or out of the root; some elements
    have zeros at first, some at last, one has its largest gradient first, one keeps one value.
    """
    elements = SHAPE[0] * SHAPE[1]
    g = np.random.default_rng(0).normal(size=(UPDATES, elements))
    g = (g + 0.3 * np.sign(g)) * np.repeat(10.0 ** np.arange(-11, 3), 3)[:elements]
    g[:, -8:] = g[:, -8:] / np.abs(g[:, -8:]).max(axis=0)
    g[:3, -8], g[4:, -7], g[1:, -6], g[:, -5], g[:, -4:-2] = 0, 0, 0.01 * g[1:, -6], 0.5, 0
    return g


def observe(rule: optax.GradientTransformation | Callable, name: str) -> Steps:
    """Return what a transformation, or a function `(grads, params) -> new params`, does.

    One that cannot take these updates, or returns anything else is an `InputError`.
    """
    # The first weights are zero where gradients are tiny, lest rounding hide their steps.
    first = np.zeros(SHAPE[0] * SHAPE[1])
    first[-10:] = np.linspace(-1, 1, 10)
    grads, theta = gradients(), [first]
    try:
        with float64():
            changes, noise = zip(*_updates(rule, grads, theta, name), strict=True)
    except InputError:
        raise
    except Exception as error:  # the caller's own code raises whatever it likes
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise InputError(f"{name} cannot update a matrix of weights: {reason}") from error
    changes = np.stack(changes)
    if not np.isfinite(changes).all():
        bad = np.argmax(~np.isfinite(changes).all(axis=1))
        raise InputError(f"{name} returns NaN or infinity at update {bad + 1}")
    largest = np.abs(changes).max(axis=0)
    usual = np.median(largest[largest > 0]) if largest.any() else 1.0
    scale = np.where(largest > 0, largest, usual) + np.max(noise, axis=0) / TOLERANCE
    return Steps(grads, np.stack(theta[:-1]), changes, scale)


def _updates(
    rule, grads: np.ndarray, theta: list, name: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the change of each update and its rounding error, and append the weights after it."""
    transformation = is_transformation(rule)
    params = jnp.asarray(theta[0].reshape(SHAPE))
    state = rule.init(params) if transformation else None
    for g in grads:
        if transformation:
            changed = rule.update(jnp.asarray(g.reshape(SHAPE)), state, params)
            if not isinstance(changed, tuple) or len(changed) != 2:
                raise InputError(f"{name}: its update must return a pair, (updates, state)")
            updates, state = changed
            params = optax.apply_updates(params, updates)
            change, error = np.asarray(updates, np.float64).ravel(), 0.0
        else:
            after = np.asarray(rule(g.reshape(SHAPE).copy(), theta[-1].reshape(SHAPE).copy()))
            if after.shape != SHAPE or not np.issubdtype(after.dtype, np.floating):
                raise InputError(f"{name} returns no array {SHAPE} of new weights, as was given")
            change = after.astype(np.float64).ravel() - theta[-1]
            params, error = after, 4 * np.finfo(after.dtype).eps * np.abs(theta[-1])
        theta.append(np.asarray(params, np.float64).ravel())
        yield change, error + np.zeros_like(change)


def is_transformation(rule: object) -> bool:
    """Return whether this is a transformation of optax, or looks like one."""
    return hasattr(rule, "init") and hasattr(rule, "update")


def replay(rule: optax.GradientTransformation, seen: Steps, updates: int) -> np.ndarray:
    """Return the changes that a transformation's first updates make of the weights observed."""
    with float64():
        state, changes = rule.init(jnp.asarray(seen.theta[0].reshape(SHAPE))), []
        for g, weights in zip(seen.grads[:updates], seen.theta, strict=False):
            g, weights = (jnp.asarray(a.reshape(SHAPE)) for a in (g, weights))
            change, state = rule.update(g, state, weights)
            changes.append(np.asarray(change, np.float64).ravel())
    return np.stack(changes)
