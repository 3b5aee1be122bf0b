"""Quasi-random draws: as even as they should be, and more samples begin with the same ones."""

import numpy as np
import pytest

from emnist_jax.engine import ranges
from emnist_jax.errors import InputError

SPACE = {
    "learning_rate": ranges.parse("learning_rate", ["loguniform(1e-4,1)"]),
    "b1": ranges.parse("b1", ["uniform(0,1)"]),
    "eps": (1e-8, 1e-4),
}


@pytest.mark.parametrize("sampler", ["sobol", "halton"])
def test_quasi_random_draws_go_on_with_more_samples(sampler):
    assert ranges.draw(SPACE, 30, 3, sampler)[:10] == ranges.draw(SPACE, 10, 3, sampler)
    assert ranges.draw(SPACE, 10, 3, sampler) != ranges.draw(SPACE, 10, 4, sampler)


def test_sobol_puts_as_many_settings_into_every_cell():
    # of 64 points in base 2, exactly 4 in each of 4 x 4 cells
    drawn = ranges.draw(SPACE, 64, 0, "sobol")
    rates = np.log10([one["learning_rate"] for one in drawn])
    counts, *_ = np.histogram2d(rates, [one["b1"] for one in drawn], 4, [[-4, 0], [0, 1]])
    assert (counts == 4).all()
    assert sum(one["eps"] == 1e-4 for one in drawn) == 32


def test_an_unknown_sampler_is_refused():
    with pytest.raises(InputError, match='did you mean "sobol"'):
        ranges.draw(SPACE, 4, 0, "sobel")
