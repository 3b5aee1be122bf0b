"""Learning rules: functions `(learning_rate, **hyperparameters) -> optax.GradientTransformation`.

Notation: g is the gradient of the minibatch's mean loss, theta the parameters, eta the learning
rate, t = 1, 2, ... the number of the update. Every hyperparameter may be a traced number, so one
compiled program serves a whole grid of them. Any rule of optax and optax.contrib is a rule here
too, by its name. A rule whose state has a field `averaged` (parameters) is evaluated there: see
`train.evaluated`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from emnist_jax import identify as _identify
from emnist_jax.errors import InputError, check_choice, written

Rule = Callable[..., optax.GradientTransformation]
Correction = Literal["exact", "constant", "none"]
_DECAY_RATES = {"b1", "b2", "b3", "beta", "beta1", "beta2", "beta3", "rho"}
_DECAY_RATES |= {"decay", "decay_rate", "momentum", "dropout"}  # all of them in [0, 1)
_NO_RULES = {"lbfgs", "momo", "momo_adam", "sophia"}  # they need the loss, not gradients alone
_NO_RULES |= {"dpsgd"}  # clips the gradient of each image, of which `train` takes the mean
_NO_RULES |= {"schedule_free_sgd"}  # is evaluated at an average that its state does not hold
_NO_RULES |= {"galore"}  # under vmap its branch, a singular value decomposition, runs every update
REQUIRED = inspect.Parameter.empty  # the default of an argument that has none


def sgd(learning_rate: float) -> optax.GradientTransformation:
    """Stochastic gradient descent: theta <- theta - eta g (Robbins & Monro, 1951)."""
    return optax.sgd(learning_rate, momentum=None)


def momentum(learning_rate: float, decay: float = 0.9) -> optax.GradientTransformation:
    """Heavy-ball momentum: m <- decay m + g; theta <- theta - eta m (Polyak, 1964).

    There is no factor (1 - decay) on g: at equal eta a step is up to 1 / (1 - decay) times
    as long as one of `sgd`.
    """
    return optax.sgd(learning_rate, momentum=decay, nesterov=False)


def nesterov(learning_rate: float, decay: float = 0.9) -> optax.GradientTransformation:
    """Nesterov momentum: m <- decay m + g; theta <- theta - eta (g + decay m).

    The form of Sutskever et al. (2013), with the gradient taken at the current parameters.
    """
    return optax.sgd(learning_rate, momentum=decay, nesterov=True)


def rmsprop(
    learning_rate: float, decay: float = 0.9, eps: float = 1e-8
) -> optax.GradientTransformation:
    """RMSprop: r <- decay r + (1 - decay) g^2; theta <- theta - eta g / sqrt(r + eps).

    r starts at 0, is not bias corrected, and eps is inside the root (Tieleman & Hinton, 2012).
    `optax.rmsprop`'s defaults put eps inside the root too; PyTorch puts it outside, with
    decay 0.99.
    """
    return optax.rmsprop(
        learning_rate,
        decay=decay,
        eps=eps,
        initial_scale=0.0,
        eps_in_sqrt=True,
        centered=False,
        momentum=None,
        nesterov=False,
        bias_correction=False,
    )


def adam(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba, 2015, Algorithm 1), eps outside the root.

    m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2;
    theta <- theta - eta (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
    """
    return optax.adam(learning_rate, b1=b1, b2=b2, eps=eps, eps_root=0.0, nesterov=False)


class MomentsState(NamedTuple):
    """State of `adam_variant`: updates made so far, and both moments of the gradient."""

    count: jax.Array
    m: optax.Updates
    v: optax.Updates


def adam_variant(
    learning_rate: float,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    damped: bool = True,
    correct_m: Correction = "exact",
    correct_v: Correction = "exact",
) -> optax.GradientTransformation:
    """Adam with the slips that implementations of it make, one an argument.

    Args:
        learning_rate: eta.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added to the root of the second moment.
        damped: m <- b1 m + (1 - b1) g; otherwise m <- b1 m + g, which takes 1 / (1 - b1) times
            longer steps.
        correct_m: first moment divided by 1 - b1^t ("exact", Algorithm 1), by 1 - b1
            ("constant"), or not at all ("none").
        correct_v: the same for the second moment, with b2.
    """

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return MomentsState(jnp.zeros((), jnp.int32), zeros, zeros)

    def corrected(moment, decay, count, correction):
        if correction == "none":
            return moment
        return moment / (1 - decay ** (count if correction == "exact" else 1))

    def update(grads, state, params=None):
        del params
        count = state.count + 1
        gain = 1 - b1 if damped else 1
        m = jax.tree.map(lambda m, g: b1 * m + gain * g, state.m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.v, grads)

        def change(m, v):
            root = jnp.sqrt(corrected(v, b2, count, correct_v))
            step = corrected(m, b1, count, correct_m) / (root + eps)
            return (-learning_rate * step).astype(m.dtype)

        return jax.tree.map(change, m, v), MomentsState(count, m, v)

    return optax.GradientTransformation(init, update)


def adam_undamped(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam without the factor (1 - b1): m <- b1 m + g, otherwise Algorithm 1.

    Equal to `adam` at eta / (1 - b1); equal to `adam` when b1 = 0.
    """
    return adam_variant(learning_rate, b1, b2, eps, damped=False)


def adam_uncorrected(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam without bias correction: theta <- theta - eta m / (sqrt(v) + eps)."""
    return adam_variant(learning_rate, b1, b2, eps, correct_m="none", correct_v="none")


def adam_uncorrected_v(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with bias correction of m alone: its first step is 1 / sqrt(1 - b2) times as long."""
    return adam_variant(learning_rate, b1, b2, eps, correct_v="none")


def adam_undamped_uncorrected(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with neither the factor (1 - b1) nor bias correction."""
    return adam_variant(
        learning_rate, b1, b2, eps, damped=False, correct_m="none", correct_v="none"
    )


def adam_undamped_uncorrected_m(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with m <- b1 m + g, not corrected; v is corrected.

    Equal to dividing a damped m by 1 - b1 at every update.
    """
    return adam_variant(learning_rate, b1, b2, eps, damped=False, correct_m="none")


def adam_constant_correction(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam that divides its moments by 1 - b at every step instead of by 1 - b^t."""
    return adam_variant(learning_rate, b1, b2, eps, correct_m="constant", correct_v="constant")


class ScheduleFreeState(NamedTuple):
    """State of `schedule_free_adamw`: updates made so far, second moment, z, and x."""

    count: jax.Array
    v: optax.Updates
    z: optax.Params
    averaged: optax.Params  # the name by which `train` finds what to evaluate


def schedule_free_adamw(
    learning_rate: float,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """AdamW without a schedule, by averaging (Defazio et al., 2024); x is what is evaluated.

    y = (1 - b1) z + b1 x; g is the gradient at y; v <- b2 v + (1 - b2) g^2;
    z <- z - eta (g / (sqrt(v / (1 - b2^t)) + eps) + weight_decay y); x <- (1 - 1/t) x + z / t.

    y is the network that is trained: all three begin as theta. With a constant eta the weights
    eta^2 of the average are equal, hence 1/t; there is no warm-up. Running statistics of batch
    normalisation are those met at y, not at x.
    """

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return ScheduleFreeState(jnp.zeros((), jnp.int32), zeros, params, params)

    def update(grads, state, params):
        count = state.count + 1
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.v, grads)

        def descend(z, v, g, y):
            change = g / (jnp.sqrt(v / (1 - b2**count)) + eps) + weight_decay * y
            return (z - learning_rate * change).astype(z.dtype)

        z = jax.tree.map(descend, state.z, v, grads, params)
        x = jax.tree.map(lambda x, z: x + (z - x) / count.astype(x.dtype), state.averaged, z)
        updates = jax.tree.map(
            lambda z, x, y: ((1 - b1) * z + b1 * x - y).astype(y.dtype), z, x, params
        )
        return updates, ScheduleFreeState(count, v, z, x)

    return optax.GradientTransformation(init, update)


def adopt(
    learning_rate: float, b1: float = 0.9, b2: float = 0.9999, eps: float = 1e-6
) -> optax.GradientTransformation:
    """ADOPT (Taniguchi et al., 2024), Adam made to converge with any b2; with its clipping.

    v <- g^2 at the first update, which moves nothing; then, with k = t - 1,
    m <- b1 m + (1 - b1) clip(g / max(sqrt(v), eps), -k^(1/4), k^(1/4)); theta <- theta - eta m;
    v <- b2 v + (1 - b2) g^2. So a gradient is divided by the second moment before it.
    """
    return optax.contrib.adopt(learning_rate, b1=b1, b2=b2, eps=eps)


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        sgd,
        momentum,
        nesterov,
        rmsprop,
        adam,
        adam_undamped,
        adam_uncorrected,
        adam_uncorrected_v,
        adam_undamped_uncorrected,
        adam_undamped_uncorrected_m,
        adam_constant_correction,
        schedule_free_adamw,
        adopt,
    )
}


def find(rule: str | Rule) -> Rule:
    """Return the rule of that name, from this module or else from optax; a function is itself.

    Raises:
        InputError: no rule has the name, or it is no function of learning_rate.
    """
    if callable(rule):
        arguments = inspect.signature(rule).parameters.values()
        if not any(a.name == "learning_rate" or a.kind is a.VAR_KEYWORD for a in arguments):
            raise InputError(
                f"{name_of(rule)} has no argument learning_rate; a rule is a function of it, such "
                "as lambda learning_rate, b1=0.9: optax.adam(learning_rate, b1)"
            )
        return rule
    if isinstance(rule, optax.GradientTransformation):
        raise InputError(
            "the rule has its numbers fixed; give a function of them, such as "
            "lambda learning_rate: optax.adam(learning_rate)"
        )
    if not isinstance(rule, str):
        raise InputError(f"rule={rule!r:.60}: give a rule's name, or a function of learning_rate")
    found = _optax_rules() | RULES
    check_choice(f'unknown rule "{rule}"', rule, found)
    return found[rule]


def identify(
    rule: str | Rule | optax.GradientTransformation | Callable, **hyperparameters: float
) -> _identify.Identity:
    """Return which known rule an implementation is, from the steps that it takes.

    It is fed fixed gradients (with zeros, changes of sign, scales from 1e-11 to 1e2) and compared,
    in float64, with the equations of known rules and with their slips: bias correction of m
    or v exact, constant or none; eps inside or outside the root, before or after the correction;
    m damped or not; weight decay coupled or decoupled; forms of Nesterov's step, of AMSGrad, of
    RMSprop. Hyperparameters are measured, not taken from names; each argument of a function is
    changed in turn, to find out which hyperparameter it is. Weight decay is that per unit of
    learning rate. Where the learning rate is unknown, rules that differ in its meaning only are
    the same; other readings are then listed.

    Args:
        rule: a rule's name; a function of learning_rate (or lr, eta, alpha, step_size); a
            transformation of optax; or a new update function `(grads, params) -> new params` of
            arrays (4, 8), which may keep a state, as a PyTorch optimiser does. For the last two,
            `learning_rate=...` gives what is known of it.
        **hyperparameters: values of a function's arguments in place of its defaults (learning
            rate 0.01).

    Returns:
        The identity, which prints as sentences.

    Raises:
        InputError: the rule cannot be called, or cannot update a matrix of weights.
    """
    if not (callable(rule) or isinstance(rule, optax.GradientTransformation)):
        rule = find(rule)
    return _identify.identify(rule, {name: find(name) for name in names()}, hyperparameters)


def names() -> list[str]:
    """Return the names of all rules, this module's and optax's."""
    return sorted({*RULES, *_optax_rules()})


@cache
def _optax_rules() -> dict[str, Rule]:
    """Public functions of optax and optax.contrib whose first argument is the learning rate."""
    return {
        name: function
        for module in (optax.contrib, optax)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if next(iter(hyperparameters(function)), "") == "learning_rate"
        and not name.startswith(("_", "scale_by_"))
        and name not in _NO_RULES
    }


def hyperparameters(rule: Rule) -> dict[str, object]:
    """Return the names of a rule's arguments with their defaults (`REQUIRED` for none)."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(rule).parameters.values()
    return {p.name: p.default for p in parameters if p.kind not in kinds}


def name_of(rule: str | Rule) -> str:
    """Return the rule's name, for labels and provenance."""
    if isinstance(rule, str):
        return rule
    if isinstance(rule, partial):
        settings = [
            f"{name}={value if isinstance(value, str) else written(value)}"
            for name, value in rule.keywords.items()
        ]
        return f"{name_of(rule.func)}({', '.join(settings)})"
    return getattr(rule, "__name__", type(rule).__name__)


def check_value(name: str, value: float) -> None:
    """Refuse an invalid value; valid are learning rate and eps > 0, decay rates in [0, 1).

    Raises:
        InputError: naming the hyperparameter and its range.
    """
    if not isinstance(value, int | float) or math.isnan(value):
        raise InputError(f"{name}={value!r} is not a number")
    if name in ("learning_rate", "eps") and not 0 < value < math.inf:
        raise InputError(f"{name}={value:g} must be positive and finite")
    if math.isinf(value):
        raise InputError(f"{name}={value:g} must be finite")
    if name in _DECAY_RATES and not 0 <= value < 1:
        raise InputError(f"{name}={value:g} is outside [0, 1)")
