"""Grids and seeds: the settings that were meant, in order, or one line."""

from functools import partial

import numpy as np
import pytest

import emnist_jax as ej
from emnist_jax import rules
from emnist_jax.engine.grid import check_seeds, make_grid
from emnist_jax.errors import check_count

MODEL = ej.MLP()


def test_a_mapping_is_the_product_of_its_lists_in_order():
    grid = make_grid(
        {"learning_rate": [0.1, 0.01], "b1": 0.9, "b2": (0.99, 0.999)}, rules.adam, MODEL
    )
    assert grid.dims == ("learning_rate", "b2") and grid.shape == (2, 2)
    rows = [(s["learning_rate"], s["b1"], s["b2"]) for s in grid.settings]
    assert rows == [(0.1, 0.9, 0.99), (0.1, 0.9, 0.999), (0.01, 0.9, 0.99), (0.01, 0.9, 0.999)]
    assert grid.coords["b1"] == ((), 0.9)


def test_a_list_of_settings_has_one_dimension():
    settings = [{"learning_rate": 0.1, "b1": 0.0}, {"b1": 0.9, "learning_rate": 0.01}]
    grid = make_grid(settings, rules.adam, MODEL)
    assert grid.dims == ("sample",) and grid.shape == (2,)
    assert [s["b1"] for s in grid.settings] == [0.0, 0.9]
    np.testing.assert_array_equal(grid.coords["learning_rate"][1], [0.1, 0.01])


def test_float_fields_of_the_model_are_hyperparameters():
    grid = make_grid({"learning_rate": 0.1, "dropout": [0.1, 0.2]}, rules.sgd, MODEL)
    assert grid.dims == ("dropout",)


REFUSED = {
    "empty": ({}, "the grid is empty"),
    "no list": ([], "the grid is empty"),
    "number": (0.1, r"give \{name: values\}"),
    "text": ("learning_rate", r"give \{name: values\}"),
    "numbers": ([0.1, 0.2], r"give \{name: values\}"),
    "no values": ({"learning_rate": []}, "learning_rate has no values"),
    "missing": ({"b1": [0.9]}, "the grid gives no learning_rate"),
    "misspelt": (
        {"learning_rate": 0.1, "beta1": 0.9},
        'no hyperparameter "beta1": did you mean "b1"',
    ),
    "not a name": ({"learning_rate": 0.1, 7: 0.9}, 'no hyperparameter "7"'),
    "zero": ({"learning_rate": [0.1, 0]}, "learning_rate=0 must be positive"),
    "negative": ({"learning_rate": -0.1}, "must be positive"),
    "infinite": ({"learning_rate": np.inf}, "must be positive and finite"),
    "nan": ({"learning_rate": np.nan}, "is not a number"),
    "beta of 1": ({"learning_rate": 0.1, "b1": 1.0}, "b1=1 is outside"),
    "negative beta": ({"learning_rate": 0.1, "b2": -0.1}, "outside"),
    "1 in float32": (
        {"learning_rate": 0.1, "b2": 1 - 1e-9},
        "not possible in float32: b2=1 is outside",
    ),
    "0 in float32": ({"learning_rate": 1e-60}, "not possible in float32"),
    "inf in float32": ({"learning_rate": 1e60}, "not possible in float32"),
    "dropout of 1": ({"learning_rate": 0.1, "dropout": 1.0}, "dropout=1 is outside"),
    "words": ({"learning_rate": ["0.1"]}, "is not a number"),
    "truth": ({"learning_rate": True}, "is not a number"),
    "nothing": ({"learning_rate": None}, "is not a number"),
    "complex": ({"learning_rate": 1j}, "is not a number"),
    "too large": ({"learning_rate": 10**400}, "too large"),
    "ragged": ({"learning_rate": [[0.1], [0.1, 0.2]]}, "not a number|flat list"),
    "nested": ({"learning_rate": [[0.1, 0.2]]}, "2 dimensions"),
    "twice": ({"learning_rate": [0.1, 0.1]}, "lists a value twice"),
    "other names": ([{"learning_rate": 0.1}, {"b1": 0.1}], "settings differ"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    grid, reason = REFUSED[case]
    with pytest.raises(ej.InputError, match=reason) as error:
        make_grid(grid, rules.adam, MODEL)
    assert "\n" not in str(error.value)


def test_what_is_1_in_float32_is_possible_in_float64():
    grid = {"learning_rate": 0.1, "b2": 1 - 1e-9}
    assert make_grid(grid, rules.adam, MODEL, "float64").settings[0]["b2"] == 1 - 1e-9


def test_a_switch_is_no_number_of_a_grid():
    with pytest.raises(ej.InputError, match=r"damped of adam_variant is not a number.*partial"):
        make_grid({"learning_rate": 0.1, "damped": [0, 1]}, rules.adam_variant, MODEL)
    made = make_grid({"learning_rate": 0.1}, partial(rules.adam_variant, damped=False), MODEL)
    assert made.settings == ({"learning_rate": 0.1},)


def test_seeds():
    np.testing.assert_array_equal(check_seeds(3), [0, 1, 2])
    np.testing.assert_array_equal(check_seeds(np.int64(1)), [0])
    np.testing.assert_array_equal(check_seeds([7, 2]), [7, 2])
    np.testing.assert_array_equal(check_seeds(np.array([4])), [4])
    assert check_seeds(range(2)).dtype == np.int32


@pytest.mark.parametrize(
    "seeds",
    [
        *(0, -1, True, 1.5, None, "3", 10**9, {1, 2}, np.array(3), np.zeros((1, 1), int)),
        *([], [1, 1], [1.0], [True], [-1], [2**31], [[1]]),
    ],
)
def test_seeds_refused(seeds):
    with pytest.raises(ej.InputError, match="seed") as error:
        check_seeds(seeds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [0, -3, 2.0, "5", None, True, 10**7])
def test_counts_refused(value):
    with pytest.raises(ej.InputError, match=r"epochs=.*give a whole number from 1 to 1000000"):
        check_count("epochs", value)
    check_count("epochs", np.int32(5))
