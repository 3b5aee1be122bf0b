"""Code that changed is not taken for code that did not, and the same script is the same run."""

import importlib
import os
import subprocess
import sys
from copy import deepcopy
from functools import partial
from pathlib import Path

import edits
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import emnist_jax as ej
from emnist_jax import rules, schedules
from emnist_jax.engine.job import make_job
from emnist_jax.store.fingerprint import own_code
from emnist_jax.store.identity import identity


@pytest.fixture(autouse=True)
def unedited():
    importlib.reload(edits)


def computed(thing):
    return partial(thing.apply, {}) if isinstance(thing, nn.Module) else thing


@pytest.mark.parametrize("what", edits.EDITS)
def test_an_edit_changes_the_program_and_the_code(what):
    thing, edit = edits.EDITS[what]
    x = jnp.linspace(1.0, 2.0, 3)
    before = identity(computed(thing), x), own_code(thing)
    assert (identity(computed(thing), x), own_code(thing)) == before
    edit()
    after = identity(computed(thing), x), own_code(thing)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_stale_trace_is_dropped_for_whoever_uses_it_next():
    x = jnp.ones(3)
    jax.jit(lambda x: edits.jitted(x))(x)
    edits.double()
    identity(lambda x: edits.jitted(x) + 1, x)
    np.testing.assert_array_equal(edits.jitted(x), 2 * x)


def test_constants_closed_over_are_part_of_a_program():
    small, large = np.zeros(10_000), np.zeros(10_000)
    large[5_000] = 1  # where printing an array leaves its middle out
    x = jnp.ones(10_000)
    assert identity(lambda x: x + small, x) == identity(lambda y: y + deepcopy(small), x)
    assert identity(lambda x: x + small, x) != identity(lambda x: x + large, x)
    inner = [jax.jit(lambda x, c=c: x + c) for c in (small, large)]
    assert identity(inner[0], x) != identity(inner[1], x)


def test_a_rule_under_a_schedule_counts():
    one = schedules.cosine(partial(rules.adam, b1=0.5), 10)
    own = [schedules.cosine(lambda learning_rate, k=k: optax.sgd(k), 10) for k in (1.0, 3.0)]
    assert own_code(one) is None
    assert own_code(own[0]) != own_code(own[1])


def test_what_libraries_hold_is_identified_by_their_versions():
    assert own_code(rules.adam, optax.lion) is None


SCRIPT = """
import sys
from functools import partial, wraps
from typing import Callable
import flax.linen as nn, jax, jax.numpy as jnp, optax
from emnist_jax import rules
from emnist_jax.store.identity import identity
from emnist_jax.models import describe
from emnist_jax.store.fingerprint import own_code

NAMES = {"sgd", "plain", "vanilla", "usual"}

class Net(nn.Module):
    act: Callable = nn.relu
    init: Callable = nn.initializers.he_normal()
    @nn.compact
    def __call__(self, x):
        return self.act(nn.Dense(3, kernel_init=self.init)(x))

def weights(p):
    return jax.tree.map(lambda x: x.ndim > 1, p)

@jax.custom_jvp
def f(x):
    return 2 * x if "sgd" in NAMES or "e" in {"a", "b", "c", "d"} else x

f.defjvp(lambda p, t: (f(*p), t[0]))

def wrapped(g):
    @wraps(g)
    def inner(x):
        return jax.pure_callback(lambda y: y, x, g(x))
    return inner

g = wrapped(jax.jit(lambda x: f(x)))
rule = partial(optax.adamw, mask=weights)
x = jnp.ones((2, 4))
model = Net(act=jax.nn.gelu)
print(identity(lambda x: model.init_with_output(jax.random.key(0), x), x), identity(g, x))
print(identity(lambda p: rule(0.1).update(p, rule(0.1).init(p), p), {"a": x}))
print(own_code(model, rule, g), describe(model, defaults=True), rules.name_of(rule))
"""


def test_the_same_script_is_the_same_run(tmp_path):
    def printed(folder, seed, text):
        path = tmp_path / folder / "script.py"
        path.parent.mkdir()
        path.write_text(text)
        paths = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": paths}
        return subprocess.run(
            [sys.executable, path], env=env, check=True, capture_output=True, text=True
        ).stdout

    edited = "# a comment\n\n" + SCRIPT.replace("(p):\n", '(p):\n    """A docstring."""\n')
    edited = edited.replace("(self, x):\n", '(self, x):\n        """Another."""\n')
    edited = edited.replace('{"sgd", "plain", "vanilla", ', '{"vanilla", "sgd", "plain", ')
    first, second = printed("a", "1", SCRIPT), printed("b", "2", edited)
    assert first == second
    assert " at 0x" not in first and "Net(act=gelu, init=init)" in first


SCALE = 1.0


@pytest.mark.parametrize("size", [500, 32, 84])  # a batch, what is left of train, and of valid
def test_a_metric_counts_at_each_size_it_is_computed_at(monkeypatch, size):
    def metric(logits, labels):
        return logits[:, 0] * SCALE if len(labels) == size else logits[:, 0]

    def program():
        how = {"metrics": {"own": metric}}
        sweep = ej.Sweep(ej.MLP(hidden=(4,)), "sgd", {"learning_rate": 0.1}, **how)
        return make_job(sweep, data).structure.program

    data = ej.load("glyphs", size=700)
    before = program()
    assert program() == before
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert program() != before
