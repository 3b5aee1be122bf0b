"""Values as words: numbers, ranges, and distributions that settings are drawn from."""

import numpy as np
import pytest

from emnist_jax.engine import ranges
from emnist_jax.errors import InputError


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["0.1", "1e-3"], (0.1, 0.001)),
        (["logspace(-4,-1,4)"], (0.0001, 0.001, 0.01, 0.1)),
        (["linspace(0, 0.9, 4)"], (0, 0.3, 0.6, 0.9)),
        (["1-logspace(-4,-1,4)"], (0.9999, 0.999, 0.99, 0.9)),
        (["0.5", "linspace(1,2,2)"], (0.5, 1, 2)),
    ],
)
def test_words_are_exactly_these_values(words, values):
    assert ranges.parse("x", words) == values


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ten"], "x=ten: 'ten' is no number"),
        (["lospace(1,2,3)"], 'did you mean "logspace"'),
        (["logspace(-4,-1)"], r"first, last and how many, as in logspace\(-4,-1,7\)"),
        (["linspace(0,1,2.5)"], "how many"),
        (["linspace(0,1,nan)"], "how many"),
        (["linspace(0,1,0)"], "whole number from 1 to 10000"),
        (["linspace(0,1,1e9)"], "whole number from 1 to 10000"),
        (["linspace(0,one,3)"], "'one' is no number"),
        (["logspace(0,400,3)"], "too large"),
        (["loguniform(0,1)"], "above 0"),
        (["uniform(1,0)"], "lowest and the highest"),
        (["uniform(nan,1)"], "lowest and the highest"),
        (["uniform(0,1,2)"], "lowest and the highest"),
        (["uniform(0,1)", "2"], "stands alone"),
        (["__import__('os')"], "did you mean|one of"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(words, message):
    with pytest.raises(InputError, match=message) as refused:
        ranges.parse("x", words)
    assert "\n" not in str(refused.value)


SEARCH = {
    "learning_rate": ranges.parse("learning_rate", ["loguniform(1e-5,1e-1)"]),
    "b2": ranges.parse("b2", ["1-loguniform(1e-4,1e-1)"]),
    "b1": (0.0, 0.9),
    "eps": (1e-8,),
}


def test_draws_have_their_distributions():
    settings = ranges.draw(SEARCH, 4000, 3)
    drawn = {name: np.array([one[name] for one in settings]) for name in SEARCH}
    rates = np.log10(drawn["learning_rate"])
    # Uniform from -5 to -1: a quarter in each decade, within 4 standard deviations.
    counts = np.histogram(rates, [-5, -4, -3, -2, -1])[0]
    assert counts.sum() == 4000
    np.testing.assert_allclose(counts, 1000, atol=4 * np.sqrt(4000 * 0.25 * 0.75))
    thirds = np.histogram(np.log10(1 - drawn["b2"]), [-4, -3, -2, -1])[0]
    np.testing.assert_allclose(thirds, 4000 / 3, atol=4 * np.sqrt(4000 * 2 / 9))
    assert abs((drawn["b1"] == 0.9).sum() - 2000) < 4 * np.sqrt(1000)
    assert set(drawn["eps"]) == {1e-8}
    assert abs(np.corrcoef(rates, drawn["b1"])[0, 1]) < 4 / np.sqrt(4000)


def test_a_seed_draws_the_same_settings_and_more_samples_go_on():
    assert ranges.draw(SEARCH, 30, 0)[:10] == ranges.draw(SEARCH, 10, 0)
    assert ranges.draw(SEARCH, 10, 1) != ranges.draw(SEARCH, 10, 0)
    alone = ranges.draw({"learning_rate": SEARCH["learning_rate"]}, 10, 0)
    together = ranges.draw(SEARCH, 10, 0)
    assert [one["learning_rate"] for one in alone] == [one["learning_rate"] for one in together]


@pytest.mark.parametrize(
    ("values", "samples", "seed", "message"),
    [
        (SEARCH, 0, 0, "samples=0"),
        (SEARCH, 5, -1, "sample seed -1"),
        ({"learning_rate": (0.1, 0.2)}, 5, 0, "range to draw from"),
    ],
)
def test_invalid_draws_are_refused(values, samples, seed, message):
    with pytest.raises(InputError, match=message):
        ranges.draw(values, samples, seed)


# Quasi-random draws


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
