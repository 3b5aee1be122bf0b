"""What is seen of the training: norms and angles of updates, against numpy step by step."""

import numpy as np
import pytest

import emnist_jax as ej
from emnist_jax import train
from emnist_jax.errors import InputError
from emnist_jax.watch import NAMES

RATE, DECAY = 0.5, 0.9


@pytest.fixture(scope="module")
def data():
    return ej.load("glyphs", size=188)


def softmax_regression(data, epochs):
    """Momentum on a linear model from zero weights, in float64: means over each epoch's updates."""
    import jax

    images = data.train.images.reshape(len(data.train), -1) / 255
    x, y = np.c_[images, np.ones(len(images))], np.eye(47)[data.train.labels]
    w, m, before, found = np.zeros((785, 47)), 0.0, np.zeros((785, 47)), []
    for epoch in range(1, epochs + 1):
        key = train.key_for(0, train.ORDER, epoch)
        order = np.asarray(jax.random.permutation(key, len(x)))[: len(x) // 50 * 50]
        rows = []
        for batch in order.reshape(-1, 50):
            p = np.exp(x[batch] @ w)
            g = x[batch].T @ (p / p.sum(1, keepdims=True) - y[batch]) / 50
            m = DECAY * m + g
            u = -RATE * m
            sizes = [np.linalg.norm(one) for one in (g, u, w, before)]
            cosine = (u * before).sum() / (sizes[1] * sizes[3]) if sizes[3] else 0
            with np.errstate(divide="ignore"):
                rows.append([*sizes[:3], sizes[1] / sizes[2], cosine])
            w, before = w + u, u
        found.append(np.mean(rows, 0))
    return np.array(found)


def test_means_are_those_of_every_update_of_the_epoch(data):
    from flax import linen as nn

    class Linear(nn.Module):
        classes: int | None = None

        @nn.compact
        def __call__(self, x, train=False):
            zeros = nn.initializers.zeros
            return nn.Dense(self.classes, kernel_init=zeros)(x.reshape(len(x), -1))

    sweep = ej.Sweep(Linear(), "momentum", {"learning_rate": RATE, "decay": DECAY}, 1, 3)
    plain = ej.run(sweep, data, progress_bar=False)
    curves = ej.run(sweep.replace(watch=NAMES), data, progress_bar=False)
    found = np.stack([curves[name].values[0, 1:] for name in NAMES], axis=1)
    np.testing.assert_allclose(found, softmax_regression(data, 3), rtol=2e-4)
    for name in NAMES:
        assert curves[name].dims == ("seed", "epoch") and np.isnan(curves[name].values[0, 0])
    for name in plain:  # watching changes nothing
        np.testing.assert_allclose(curves[name], plain[name], rtol=1e-5)


@pytest.mark.parametrize(
    ("watch", "message"),
    [("gradient_norm", "give a list of"), (["gradient_nrm"], 'did you mean "gradient_norm"')],
)
def test_what_cannot_be_watched_is_refused(data, watch, message):
    with pytest.raises(InputError, match=message):
        ej.sweep(data, ej.MLP((4,)), "sgd", {"learning_rate": 0.1}, watch=watch)
