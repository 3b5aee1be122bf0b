"""Schedules of the learning rate against their equations, and against optax."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import emnist_jax as ej
from emnist_jax import rules, schedules
from emnist_jax.errors import InputError


def cosine_shape(steps, warmup, final):
    """The fraction of the learning rate at updates 1, 2, ..., from the equations."""
    t = np.arange(1, steps + 1, dtype=np.float64)
    fall = (t - warmup - 1) / (steps - warmup)
    fallen = final + (1 - final) * (1 + np.cos(np.pi * fall)) / 2
    return np.where(t <= warmup, t / (warmup + 1), fallen)


def updates(rule, steps, gradient=1.0, learning_rate=0.1):
    """The updates of one number under a rule."""
    made = rule(learning_rate)
    params = jnp.zeros(())
    state, taken = made.init(params), []
    for t in range(steps):
        change, state = made.update(jnp.asarray(gradient * (1 + t % 3)), state, params)
        taken.append(float(change))
    return np.array(taken)


@pytest.mark.parametrize(("warmup", "final"), [(0, 0.0), (1, 0.0), (7, 0.25)])
def test_cosine_is_its_equation(warmup, final):
    rule = schedules.cosine("sgd", 20, warmup, final)
    gradients = 1 + np.arange(20) % 3
    expected = -0.1 * cosine_shape(20, warmup, final) * gradients
    np.testing.assert_allclose(updates(rule, 20), expected, rtol=2e-6, atol=1e-9)


def test_warmup_rises_and_stays():
    expected = -0.1 * np.array([0.2, 0.4, 0.6, 0.8, 1, 1, 1]) * [1, 2, 3, 1, 2, 3, 1]
    np.testing.assert_allclose(updates(schedules.warmup("sgd", 4), 7), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "rmsprop", "adam", "lion"])
def test_a_scheduled_rule_is_the_rule_at_each_updates_rate(name):
    """A rule under a changing learning rate is what optax makes of a function of the count."""
    shape = cosine_shape(9, 3, 0.1)
    at = jnp.asarray(shape, jnp.float32)
    of_optax = rules.find(name)(lambda count: 0.1 * at[count])
    scheduled = updates(schedules.cosine(name, 9, 3, 0.1), 9)
    np.testing.assert_allclose(scheduled, updates(lambda _: of_optax, 9), rtol=1e-5)


def test_a_scheduled_rule_keeps_its_hyperparameters_and_its_name_has_the_schedule():
    rule = schedules.cosine("adam", 20, warmup=5)
    assert rules.hyperparameters(rule) == rules.hyperparameters(rules.adam)
    assert rules.name_of(rule) == "cosine(adam, steps=20, warmup=5, final=0)"
    assert rule is schedules.cosine(rules.adam, 20, warmup=5)  # so that it compiles once
    assert rule is not schedules.cosine("adam", 21, warmup=5)
    assert rules.name_of(schedules.warmup(optax.lion, 3)) == "warmup(lion, steps=3)"


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_an_average_is_its_equation_and_changes_no_update(decay):
    rule = schedules.average("momentum", decay)
    made, plain = rule(0.1), rules.momentum(0.1)
    params = jnp.array([1.0, -2.0])
    state, own = made.init(params), plain.init(params)
    theta, average = np.array([1.0, -2.0]), np.array([1.0, -2.0])
    for t in range(1, 31):
        gradient = jnp.array([0.3, -0.1]) * (1 + t % 3)
        updates, state = made.update(gradient, state, params)
        expected, own = plain.update(gradient, own, params)
        np.testing.assert_array_equal(updates, expected)
        params = optax.apply_updates(params, updates)
        theta = theta + np.asarray(expected, np.float64)
        d = min(decay, (1 + t) / (10 + t))
        average = d * average + (1 - d) * theta
    np.testing.assert_allclose(state.averaged, average, rtol=1e-5)


@pytest.mark.slow
def test_curves_and_networks_of_an_averaged_rule_are_of_the_average():
    data, model, grid = ej.load("glyphs", size=470), ej.MLP(hidden=(8,)), {"learning_rate": 0.1}
    how = {"seeds": 2, "epochs": 2, "keep": "last", "progress_bar": False}
    plain, _ = ej.sweep(data, model, "sgd", grid, **how)
    averaged, kept = ej.sweep(data, model, schedules.average("sgd", 0.9), grid, **how)
    error = averaged.valid_error.isel(epoch=-1)
    np.testing.assert_allclose(kept.evaluate(data.valid).error, error, rtol=1e-5)
    assert (abs(plain.valid_error.isel(epoch=-1) - error) > 1e-3).all()
    same, _ = ej.sweep(data, model, schedules.average("sgd", 0.0), grid, **how)
    np.testing.assert_allclose(same.valid_error, plain.valid_error, rtol=1e-5)


def test_an_average_keeps_hyperparameters_is_named_and_refuses_what_it_cannot():
    rule = schedules.average("adam")
    assert rules.hyperparameters(rule) == rules.hyperparameters(rules.adam)
    assert rules.name_of(rule) == "average(adam, decay=0.999)"
    assert rule is schedules.average(rules.adam)
    for decay in (1, -0.1, "much"):
        with pytest.raises(InputError, match="give a number from 0 to below 1"):
            schedules.average("sgd", decay)
    with pytest.raises(InputError, match="averages its weights already"):
        schedules.average("schedule_free_adamw")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("adm", 10), 'did you mean "adam"'),
        (("adam", 0), "steps=0"),
        (("adam", 10, 10), "warmup=10: give a whole number from 0 to 9"),
        (("adam", 10, -1), "warmup=-1"),
        (("adam", 10, 2, 1.5), "final=1.5"),
    ],
)
def test_invalid_schedules_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        schedules.cosine(*arguments)


def test_schedules_refuse_what_they_cannot_count_or_wrap():
    with pytest.raises(InputError, match="data='glyphs': give a Dataset"):
        schedules.steps("glyphs", epochs=1)
    with pytest.raises(InputError, match="lambda learning_rate"):
        schedules.cosine(optax.adam(0.1), 10)


def test_steps_are_epochs_times_whole_minibatches():
    images = np.zeros((230, 8, 8, 1), np.uint8)
    data = ej.load([(images[:n], np.arange(n) % 3) for n in (230, 20, 20)])
    assert schedules.steps(data, epochs=3, batch_size=50) == 12
    with pytest.raises(InputError, match="batch_size=231"):
        schedules.steps(data, epochs=3, batch_size=231)
