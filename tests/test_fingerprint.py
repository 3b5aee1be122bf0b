"""Code of the caller's own: whatever changes its numbers changes its fingerprint."""

from functools import partial

import flax.linen as nn
import numpy as np
import optax
import pytest

from emnist_jax import rules, schedules
from emnist_jax.store.fingerprint import own_code

FACTOR = 1.0


def closing_over(factor):
    return lambda learning_rate: optax.sgd(factor * learning_rate)


def using_a_global(learning_rate):
    return optax.sgd(FACTOR * learning_rate)


def calling_another(learning_rate):
    return using_a_global(learning_rate)


class Model(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(47)(x.reshape(len(x), -1))


def test_values_closed_over_count():
    assert own_code(closing_over(1.0)) == own_code(closing_over(1.0))
    assert own_code(closing_over(1.0)) != own_code(closing_over(3.0))
    small, large = np.zeros(10_000), np.zeros(10_000)
    large[5_000] = 1  # where printing an array leaves its middle out
    assert own_code(closing_over(small)) != own_code(closing_over(large))


@pytest.mark.parametrize("rule", [using_a_global, calling_another])
def test_globals_count_also_of_functions_called(rule, monkeypatch):
    before = own_code(rule)
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert own_code(rule) != before


def test_arguments_bound_to_a_function_count():
    assert own_code(partial(using_a_global, 0.1)) != own_code(partial(using_a_global, 0.2))


def test_a_rule_under_a_schedule_counts():
    one = schedules.cosine(closing_over(1.0), 10)
    assert own_code(one) == own_code(schedules.cosine(closing_over(1.0), 10))
    assert own_code(one) != own_code(schedules.cosine(closing_over(3.0), 10))


def test_a_models_methods_count():
    class Other(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return nn.Dense(47)(nn.relu(x.reshape(len(x), -1)))

    assert own_code(Model) != own_code(Other)


def test_what_libraries_hold_is_identified_by_their_versions():
    assert own_code(rules.adam, optax.lion) is None
