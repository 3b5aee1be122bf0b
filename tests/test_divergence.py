"""A trial that diverges keeps NaN, is counted, and never touches its neighbours."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import emnist_jax as ej

HEALTHY = [1e-2, 1e-3]


@pytest.fixture(scope="module")
def data():
    return ej.load("glyphs", size=660)


def train(data, rates, *, rule="adam", **options):
    options = {"seeds": 2, "epochs": 3, "trials_at_once": 6, "progress_bar": False} | options
    grid = {"learning_rate": rates}
    return ej.sweep(data, ej.MLP(hidden=(8,)), rule, grid, **options)


@pytest.mark.parametrize("rule", ["sgd", "adam"])
@pytest.mark.parametrize("rate", [1e6, 3e38])
def test_neighbours_are_the_same_to_the_last_bit(data, rule, rate):
    # The same grid but for one rate: products of other sizes would round differently.
    tame = train(data, [HEALTHY[0], 1e-4, HEALTHY[1]], rule=rule).sel(learning_rate=HEALTHY)
    beside = train(data, [HEALTHY[0], rate, HEALTHY[1]], rule=rule)
    for name in tame:
        found = beside[name].sel(learning_rate=HEALTHY).values
        assert np.isfinite(found).all() and found.tobytes() == tame[name].values.tobytes()
    wild = beside.valid_error.sel(learning_rate=rate, epoch=slice(1, None))
    if rate == 3e38:  # overflows in the first update
        assert np.isnan(wild).all()
        assert np.isnan(beside.valid_accuracy.sel(learning_rate=rate, epoch=slice(1, None))).all()
    else:  # far from any minimum, but finite
        assert (wild > 1000).all()


def test_a_trial_that_comes_back_still_keeps_nan(data):
    steps = len(data.train) // 50

    def errant(learning_rate):
        """All weights are 1e30 too large after the first epoch, and 0 after the second."""

        def update(grads, count, params):
            leap = jnp.where(count == steps - 1, 1e30, jnp.where(count == steps, -1e30, 0.0))
            return jax.tree.map(lambda g: jnp.full_like(g, leap), grads), count + 1

        return optax.GradientTransformation(lambda _: jnp.zeros((), jnp.int32), update)

    curves = train(data, [0.1], rule=errant)
    assert np.isfinite(curves.valid_error.sel(epoch=0)).all()
    assert np.isnan(curves.valid_error.sel(epoch=slice(1, None))).all()


def test_the_progress_line_counts_diverged_trials(data, capsys):
    train(data, [*HEALTHY, 3e38], progress_bar=True)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("epoch 3/3, ") and last.endswith(", 2 diverged")


def test_networks_kept_at_their_best_are_finite(data):
    curves, networks = train(data, [*HEALTHY, 3e38], keep="best")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(networks.variables))
    assert (networks.epoch.sel(learning_rate=3e38) == 0).all()
    found = networks.evaluate(data.valid)
    best = curves.valid_accuracy.max("epoch")
    np.testing.assert_allclose(found.accuracy, best, atol=1e-6)
