"""Learning rules against float64 numpy written from their equations."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from emnist_jax import rules, schedules, train
from emnist_jax.errors import InputError

STEPS = 12
ETA, EPS = 0.05, 1e-8


def gradients(seed=0):
    """Gradients of several steps, some of them exactly zero."""
    g = np.random.default_rng(seed).normal(size=(STEPS, 7)) * 10.0 ** np.arange(-3, 4)
    g[3:5, 2] = 0
    return g


def steps_of(rule, theta, grads):
    """Return theta after every update of an optax rule, in float64."""
    with jax.enable_x64(True):
        theta = jnp.asarray(theta, jnp.float64)
        state, path = rule.init(theta), []
        for g in grads:
            updates, state = rule.update(jnp.asarray(g), state, theta)
            theta = optax.apply_updates(theta, updates)
            path.append(np.asarray(theta))
    assert path[-1].dtype == np.float64
    return np.stack(path)


def sgd(theta, grads):
    for g in grads:
        theta = theta - ETA * g
        yield theta


def momentum(theta, grads, decay, nesterov=False):
    m = np.zeros_like(theta)
    for g in grads:
        m = decay * m + g
        theta = theta - ETA * (g + decay * m if nesterov else m)
        yield theta


def rmsprop(theta, grads, beta):
    r = np.zeros_like(theta)
    for g in grads:
        r = beta * r + (1 - beta) * g**2
        theta = theta - ETA * g / np.sqrt(r + EPS)
        yield theta


def adam(theta, grads, b1, b2, damped=True, by=("exact", "exact")):
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + ((1 - b1) if damped else 1) * g
        v = b2 * v + (1 - b2) * g**2
        by_m, by_v = (
            {"exact": 1 - b**t, "constant": 1 - b, "none": 1}[kind]
            for b, kind in zip((b1, b2), by, strict=True)
        )
        theta = theta - ETA * (m / by_m) / (np.sqrt(v / by_v) + EPS)
        yield theta


def schedule_free(theta, grads, b1, b2, decay):
    """Yield y after every update; with b1 = 1 that is x, the average."""
    x = z = y = theta
    v = np.zeros_like(theta)
    for t, g in enumerate(grads, start=1):
        v = b2 * v + (1 - b2) * g**2
        z = z - ETA * (g / (np.sqrt(v / (1 - b2**t)) + EPS) + decay * y)
        x = (1 - 1 / t) * x + z / t
        y = (1 - b1) * z + b1 * x
        yield y


def adopt(theta, grads, b1, b2):
    m, v = np.zeros_like(theta), grads[0] ** 2
    yield theta
    for k, g in enumerate(grads[1:], start=1):
        m = b1 * m + (1 - b1) * np.clip(g / np.maximum(np.sqrt(v), 1e-6), -(k**0.25), k**0.25)
        theta = theta - ETA * m
        v = b2 * v + (1 - b2) * g**2
        yield theta


def adamw(theta, grads, b1, b2, decay):
    for after, before in zip(
        adam(np.zeros_like(theta), grads, b1, b2),
        [np.zeros_like(theta), *adam(np.zeros_like(theta), grads, b1, b2)],
        strict=False,
    ):
        theta = theta + (after - before) - ETA * decay * theta
        yield theta


def lion(theta, grads, b1, b2, decay):
    m = np.zeros_like(theta)
    for g in grads:
        theta = theta - ETA * (np.sign(b1 * m + (1 - b1) * g) + decay * theta)
        m = b2 * m + (1 - b2) * g
        yield theta


CASES = {
    "sgd": (rules.sgd(ETA), sgd),
    "momentum": (rules.momentum(ETA, 0.9), functools.partial(momentum, decay=0.9)),
    "nesterov": (rules.nesterov(ETA, 0.8), functools.partial(momentum, decay=0.8, nesterov=True)),
    "rmsprop": (rules.rmsprop(ETA, 0.9, EPS), functools.partial(rmsprop, beta=0.9)),
    "rmsprop, beta 0": (rules.rmsprop(ETA, 0.0, EPS), functools.partial(rmsprop, beta=0.0)),
    "adopt": (rules.adopt(ETA, 0.9, 0.99), functools.partial(adopt, b1=0.9, b2=0.99)),
    "adamw": (
        rules.find("adamw")(ETA, 0.9, 0.99, EPS, weight_decay=0.3),
        functools.partial(adamw, b1=0.9, b2=0.99, decay=0.3),
    ),
    "lion": (
        rules.find("lion")(ETA, 0.9, 0.99, weight_decay=0.3),
        functools.partial(lion, b1=0.9, b2=0.99, decay=0.3),
    ),
}
for b1 in (0.0, 0.9):
    CASES[f"schedule_free_adamw, {b1}"] = (
        rules.schedule_free_adamw(ETA, b1, 0.99, EPS, 0.3),
        functools.partial(schedule_free, b1=b1, b2=0.99, decay=0.3),
    )
    for b2 in (0.9, 0.9999):
        for rule, numpy_kind in {
            rules.adam: {},
            rules.adam_undamped: {"damped": False},
            rules.adam_uncorrected: {"by": ("none", "none")},
            rules.adam_uncorrected_v: {"by": ("exact", "none")},
            rules.adam_undamped_uncorrected: {"damped": False, "by": ("none", "none")},
            rules.adam_undamped_uncorrected_m: {"damped": False, "by": ("none", "exact")},
            rules.adam_constant_correction: {"by": ("constant", "constant")},
        }.items():
            CASES[f"{rule.__name__}, {b1}, {b2}"] = (
                rule(ETA, b1, b2, EPS),
                functools.partial(adam, b1=b1, b2=b2, **numpy_kind),
            )


@pytest.mark.parametrize("name", CASES)
def test_every_step_equals_the_equations_in_float64(name):
    rule, equations = CASES[name]
    theta, grads = np.linspace(-1, 1, 7), gradients()
    expected = np.stack(list(equations(theta, grads)))
    np.testing.assert_allclose(steps_of(rule, theta, grads), expected, rtol=1e-9, atol=1e-12)


def test_rmsprop_has_epsilon_inside_the_root():
    # A gradient far below sqrt(eps): inside the root the step is eta g / sqrt(eps), outside eta.
    g = np.array([[1e-7]])
    inside = steps_of(rules.rmsprop(1.0, 0.0, 1e-8), np.zeros(1), g)[0, 0]
    assert inside == pytest.approx(-1e-7 / np.sqrt(1e-14 + 1e-8), rel=1e-9)


@pytest.mark.parametrize("b2", [0.9, 0.99, 0.999, 0.9999])
def test_undamped_adam_is_adam_at_eta_over_one_minus_b1(b2):
    theta, grads = np.linspace(-1, 1, 7), gradients(1)
    undamped = steps_of(rules.adam_undamped(ETA, 0.9, b2), theta, grads)
    longer = steps_of(rules.adam(ETA / (1 - 0.9), 0.9, b2), theta, grads)
    np.testing.assert_allclose(undamped, longer, rtol=1e-9, atol=1e-9)


def test_undamped_adam_without_first_moment_is_adam():
    theta, grads = np.linspace(-1, 1, 7), gradients(2)
    one = steps_of(rules.adam_undamped(ETA, 0.0, 0.999), theta, grads)
    two = steps_of(rules.adam(ETA, 0.0, 0.999), theta, grads)
    np.testing.assert_allclose(one, two, rtol=1e-12)


def test_schedule_free_is_evaluated_at_its_average():
    theta, grads = np.linspace(-1, 1, 7), gradients(3)
    rule = rules.schedule_free_adamw(ETA, 0.9, 0.99, EPS, 0.3)
    theirs = optax.contrib.schedule_free_adamw(ETA, None, 0.9, 0.99, EPS, 0.3)
    with jax.enable_x64(True):
        trials = []
        for made in (rule, theirs):
            params = {"w": jnp.asarray(theta)}
            trial = train.Trial(params, {}, made.init(params))
            assert train.evaluated(trial) == {"params": params}
            for g in grads:
                updates, state = made.update({"w": jnp.asarray(g)}, trial.opt_state, trial.params)
                trial = train.Trial(optax.apply_updates(trial.params, updates), {}, state)
            trials.append(trial)
        expected = optax.contrib.schedule_free_eval_params(trials[1].opt_state, trials[1].params)
        x, theirs, y = (
            np.asarray(tree["w"])
            for tree in (train.evaluated(trials[0])["params"], expected, trials[0].params)
        )
    *_, last = schedule_free(theta, grads, 0.9, 0.99, 0.3)
    np.testing.assert_allclose(y, last, rtol=1e-9)
    np.testing.assert_allclose(x, theirs, rtol=1e-9)
    assert np.abs(x - y).max() > 1e-3  # not where gradients are taken


def test_an_average_is_found_behind_other_transformations():
    class Mean(NamedTuple):
        averaged: dict

    last = optax.GradientTransformation(
        lambda params: Mean(jax.tree.map(lambda p: p + 1, params)), lambda g, s, p=None: (g, s)
    )
    rule, params = optax.chain(optax.adam(0.1), last), {"w": jnp.zeros(2)}
    trial = train.Trial(params, {"stats": 5}, rule.init(params))
    np.testing.assert_array_equal(train.evaluated(trial)["params"]["w"], np.ones(2))
    assert train.evaluated(trial)["stats"] == 5


def test_schedule_free_refuses_a_schedule():
    with pytest.raises(InputError, match="takes no schedule"):
        schedules.cosine("schedule_free_adamw", 10)


@pytest.mark.parametrize(
    "name",
    ["sgd", "rmsprop", "adam", "adam_uncorrected", "schedule_free_adamw", "adopt", "adamw", "lion"],
)
def test_a_traced_hyperparameter_compiles_once(name):
    rule, traces = rules.find(name), []

    @jax.jit
    def update(hyper, g):
        traces.append(hyper)
        made = rule(**hyper)
        return made.update(g, made.init(g), g)[0]

    known = rules.hyperparameters(rule)
    keys = [k for k, v in known.items() if k == "learning_rate" or isinstance(v, float)]
    for value in (0.1, 0.2, 0.5):
        update(dict.fromkeys(keys, value), jnp.ones(3))
    assert len(traces) == 1


def test_rules_of_optax_are_found_by_name():
    assert rules.find("lion") is optax.lion
    assert rules.find("muon") is optax.contrib.muon
    assert rules.find("adam") is rules.adam
    assert rules.find("schedule_free_adamw") is rules.schedule_free_adamw


def test_an_unknown_rule_names_the_nearest():
    with pytest.raises(InputError, match='unknown rule "rmsprp": did you mean "rmsprop"'):
        rules.find("rmsprp")


@pytest.mark.parametrize(
    "name", ["apply_updates", "scale_by_learning_rate", "lbfgs", "momo", "galore"]
)
def test_functions_of_optax_that_are_no_rules_are_refused(name):
    with pytest.raises(InputError, match="unknown rule"):
        rules.find(name)
