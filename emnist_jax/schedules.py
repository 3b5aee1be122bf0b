"""Learning-rate schedules, and an average of the weights, which can stand in for one.

    rule = cosine("adam", steps=schedules.steps(data, epochs=10, batch_size=50), warmup=100)
    sweep(data, model, rule, {"learning_rate": [1e-3, 1e-4], "b1": [0, 0.9]}, epochs=10)

A schedule needs the number of updates, so it is a function that wraps a rule. The shape (0 to 1)
multiplies the rule's finished update: where the update is proportional to the learning rate, as it
is for every rule of `rules` but `schedule_free_adamw` (which is refused), this is the rule at
learning rate eta * shape(t), and eta stays a number on an axis of the sweep. `average`
wraps a rule, too, and leaves its learning rate alone. What wraps a rule returns one with the same
hyperparameters; equal arguments give the same one.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from emnist_jax import rules
from emnist_jax.data import Dataset
from emnist_jax.errors import InputError, check_count

MOST_STEPS = 10**9


def steps(data: Dataset, epochs: int, batch_size: int = 50) -> int:
    """Return the number of updates of a sweep: epochs times whole minibatches an epoch.

    Raises:
        InputError: epochs or batch size out of range, or data that are not loaded.
    """
    if not isinstance(data, Dataset):
        raise InputError(f"data={data!r:.60}: give a Dataset, as ej.load returns it")
    check_count("epochs", epochs)
    check_count("batch_size", batch_size, most=len(data.train.labels))
    return epochs * (len(data.train.labels) // batch_size)


def cosine(rule: str | rules.Rule, steps: int, warmup: int = 0, final: float = 0.0) -> rules.Rule:
    """Return the rule with a learning rate that falls along half a cosine.

    The rate rises as in `warmup`, and after w warm-up updates update t = w + 1, w + 2, ... takes
    eta (final + (1 - final) (1 + cos(pi (t - w - 1) / (steps - w))) / 2) (Loshchilov & Hutter,
    2017, without restarts).

    Args:
        rule: a rule's name, or a rule.
        steps: number of updates of the whole training (see `steps`), the warm-up included.
        warmup: number of updates of the warm-up, fewer than `steps`.
        final: fraction of the learning rate to fall to, in [0, 1].

    Raises:
        InputError: an unknown rule, or numbers out of range.
    """
    check_count("steps", steps, most=MOST_STEPS)
    check_count("warmup", warmup, most=steps - 1, least=0)
    if not isinstance(final, int | float) or not 0 <= final <= 1:
        raise InputError(f"final={final!r}: give a fraction of the learning rate, 0 to 1")
    details = f"steps={steps}, warmup={warmup}, final={final:g}"
    make, arguments = optax.cosine_decay_schedule, (1, steps - warmup, final)
    return _scheduled(rules.find(rule), "cosine", details, make, arguments, warmup)


def warmup(rule: str | rules.Rule, steps: int) -> rules.Rule:
    """Return the rule with a learning rate that first rises: update t takes eta t / (steps + 1).

    After `steps` updates it is eta. No update is wasted on a rate of 0.

    Raises:
        InputError: an unknown rule, or a number of steps out of range.
    """
    check_count("steps", steps, most=MOST_STEPS, least=0)
    return _scheduled(
        rules.find(rule), "warmup", f"steps={steps}", optax.constant_schedule, (1,), steps
    )


class AverageState(NamedTuple):
    """State of a rule of `average`: updates made so far, the average, and the rule's own state."""

    count: jax.Array
    averaged: optax.Params  # the name by which `train` finds what to evaluate
    inner: optax.OptState


def average(rule: str | rules.Rule, decay: float = 0.999) -> rules.Rule:
    """Return the rule evaluated at an exponential average of its weights; training is unchanged.

    After update t the average a becomes d a + (1 - d) theta, d = min(decay, (1 + t) / (10 + t)), so
    that it forgets the initial weights early (Polyak & Juditsky, 1992, with the exponential weights
    usual in deep learning).

    Args:
        rule: a rule's name, or a rule.
        decay: of the average, in [0, 1).

    Raises:
        InputError: an unknown rule, one that averages already, or a decay out of range.
    """
    if not isinstance(decay, int | float) or not 0 <= decay < 1:
        raise InputError(f"decay={decay!r}: give a number from 0 to below 1")
    return _averaged(rules.find(rule), decay)


@lru_cache  # the same function for the same arguments: a sweep compiles once for a function
def _averaged(rule: rules.Rule, decay: float) -> rules.Rule:
    if rule is rules.schedule_free_adamw:
        raise InputError("schedule_free_adamw averages its weights already")

    @wraps(rule)  # its hyperparameters and, for provenance, its source are the rule's
    def averaging(*args, **hyperparameters):
        made = rule(*args, **hyperparameters)

        def init(params):
            return AverageState(jnp.zeros((), jnp.int32), params, made.init(params))

        def update(grads, state, params):
            updates, inner = made.update(grads, state.inner, params)
            count = state.count + 1
            new = optax.apply_updates(params, updates)

            def mean(old, now):
                weight = jnp.minimum(decay, (1 + count) / (10 + count)).astype(old.dtype)
                return weight * old + (1 - weight) * now

            return updates, AverageState(count, jax.tree.map(mean, state.averaged, new), inner)

        return optax.GradientTransformation(init, update)

    averaging.__name__ = f"average({rules.name_of(rule)}, decay={decay:g})"
    return averaging


@lru_cache  # the same function for the same arguments: a sweep compiles once for a function
def _scheduled(
    rule: rules.Rule, kind: str, details: str, make: Callable, arguments: tuple, warmup: int
) -> rules.Rule:
    """Return the rule with its update times a schedule, after a warm-up."""
    if rule is rules.schedule_free_adamw:
        raise InputError("schedule_free_adamw takes no schedule: its average stands in for one")
    shape = make(*arguments)
    if warmup:
        rise = optax.linear_schedule(1 / (warmup + 1), 1, warmup)
        shape = optax.join_schedules([rise, shape], [warmup])

    @wraps(rule)  # its hyperparameters and, for provenance, its source are the rule's
    def scheduled(*args, **hyperparameters):
        made = rule(*args, **hyperparameters)
        return optax.chain(made, optax.scale_by_schedule(shape))

    scheduled.__name__ = f"{kind}({rules.name_of(rule)}, {details})"
    return scheduled
