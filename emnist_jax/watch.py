"""Why rules differ: norms of gradient, update and weights, and how updates turn, a mean an epoch.

A sweep with `watch=("gradient_norm", ...)` has these as variables of its curves. They are sums in
the state of the rule, wrapped; what is trained stays the same.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from emnist_jax.train import Trial

NAMES = ("gradient_norm", "update_norm", "weight_norm", "update_ratio", "update_cosine")


class WatchState(NamedTuple):
    """State of a rule that is watched."""

    rule: optax.OptState
    count: Int[Array, ""]  # updates of this epoch
    sums: dict[str, Float[Array, ""]]  # of what is watched, over these
    before: optax.Updates | tuple[()]  # the last update, where its turn is watched


def watched(
    rule: optax.GradientTransformation, names: Sequence[str]
) -> optax.GradientTransformation:
    """Return the rule with sums of what is watched in its state.

    Euclidean norms are over all parameters together: of the gradient g, of the update u (the change
    of the parameters), of the weights w before it; `update_ratio` is |u| / |w|, `update_cosine` the
    cosine of the angle between u and the update before it.
    """

    def init(params):
        before = jax.tree.map(jnp.zeros_like, params) if "update_cosine" in names else ()
        return WatchState(rule.init(params), *_zero(names), before)

    def update(grads, state, params):
        updates, inner = rule.update(grads, state.rule, params)
        size, weights = _norm(updates), _norm(params)
        seen = {
            "gradient_norm": _norm(grads),
            "update_norm": size,
            "weight_norm": weights,
            "update_ratio": size / weights,
        }
        if "update_cosine" in names:
            product = optax.tree_utils.tree_vdot(updates, state.before)
            lengths = size * _norm(state.before)
            seen["update_cosine"] = jnp.where(lengths > 0, product / lengths, 0)
        sums = {name: total + seen[name] for name, total in state.sums.items()}
        before = updates if "update_cosine" in names else ()
        return updates, WatchState(inner, state.count + 1, sums, before)

    return optax.GradientTransformation(init, update)


def begin(trial: Trial) -> Trial:
    """Return a trial, of a rule that is watched, whose sums begin anew."""
    count, sums = _zero(trial.opt_state.sums)
    return trial._replace(opt_state=trial.opt_state._replace(count=count, sums=sums))


def means(trial: Trial) -> dict[str, Float[Array, ""]]:
    """Return the means over the updates since `begin`; NaN before any."""
    state: Any = trial.opt_state
    return {name: total / state.count for name, total in state.sums.items()}


def _zero(names: Sequence[str]) -> tuple[Int[Array, ""], dict[str, Float[Array, ""]]]:
    return jnp.zeros((), jnp.int32), {name: jnp.zeros(()) for name in names}


def _norm(tree: Any) -> Float[Array, ""]:
    return jnp.sqrt(sum((x.astype(jnp.float32) ** 2).sum() for x in jax.tree.leaves(tree)))
