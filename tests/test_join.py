"""Parts of a sweep made one: what belongs together, and what does not."""

import itertools
import json

import numpy as np
import pytest
import xarray as xr

import emnist_jax as ej
from emnist_jax.errors import InputError

DIMS = ("learning_rate", "b1", "seed", "epoch")


def curves(rates=(0.1, 0.01, 0.3), b1=(0.0, 0.9), seeds=(0, 1, 2, 5), **changes):
    """Curves whose numbers name their trial; the trial (0.01, 0.9, 2) has diverged."""
    grid = np.array(list(itertools.product(rates, b1, seeds))) @ [100.0, 10.0, 1.0]
    values = grid.reshape(len(rates), len(b1), len(seeds))[..., None] + np.arange(3)
    found = xr.Dataset(
        {"valid_error": (DIMS, values)},
        {"learning_rate": [*rates], "b1": [*b1], "seed": [*seeds], "epoch": [0, 1, 2]},
    )
    found = found.where((found.learning_rate != 0.01) | (found.b1 != 0.9) | (found.seed != 2))
    settings = [{"learning_rate": rate, "b1": one} for rate, one in itertools.product(rates, b1)]
    begun = {"settings": settings, "seeds": [*seeds], "data_hash": "a", "rule": "adam"} | changes
    run = {"command": f"seeds {seeds}", "wall_seconds": 2.0}
    attrs = {"configuration": json.dumps(begun), "runs": json.dumps([run]), "rule": "adam"}
    return found.assign_attrs(attrs)


SPLITS = {
    "seeds": [curves(seeds=(0, 5)), curves(seeds=(1, 2))],
    "settings": [curves(rates=(0.3,)), curves(rates=(0.1, 0.01))],
    "both": [curves(rates=[r], seeds=[s]) for r in (0.01, 0.1, 0.3) for s in (5, 0, 1, 2)],
    "overlapping": [curves(), curves(seeds=(0, 2))],
    "one setting each": [curves(rates=[r]).squeeze("learning_rate") for r in (0.1, 0.01, 0.3)],
}


@pytest.mark.parametrize("parts", SPLITS.values(), ids=SPLITS)
def test_parts_make_the_whole(parts):
    joined, whole = ej.join(*parts), curves()
    assert set(joined.valid_error.dims) == set(DIMS)
    same = joined.transpose(*DIMS).sel({dim: whole[dim] for dim in DIMS})
    xr.testing.assert_equal(same, whole)
    begun = json.loads(joined.attrs["configuration"])
    assert sorted(begun["seeds"]) == [0, 1, 2, 5] and len(begun["settings"]) == 6
    assert len(json.loads(joined.attrs["runs"])) == len(parts)


def test_samples_are_known_by_their_settings():
    def samples(*rows):
        values = [[[100 * rate + seed] for seed in (0, 1)] for rate in rows]
        found = xr.Dataset(
            {"valid_error": (("sample", "seed", "epoch"), values)},
            {"learning_rate": ("sample", [*rows]), "seed": [0, 1], "epoch": [0]},
        )
        settings = [{"learning_rate": rate} for rate in rows]
        begun = {"settings": settings, "seeds": [0, 1]}
        return found.assign_attrs(configuration=json.dumps(begun), runs="[]")

    joined = ej.join(samples(0.3, 0.1), samples(0.2), samples(0.1))
    assert joined.learning_rate.values.tolist() == [0.3, 0.1, 0.2]
    np.testing.assert_allclose(joined.valid_error[:, 1, 0], [31, 11, 21])


def test_settings_are_named_in_the_order_of_the_curves():
    order = [(0.1, 0.9), (0.1, 0.0), (0.01, 0.0), (0.01, 0.9)]
    parts = [curves([rate], [b1]).squeeze(["learning_rate", "b1"]) for rate, b1 in order]
    joined = ej.join(*parts)
    begun = json.loads(joined.attrs["configuration"])
    flat = joined.valid_error.sel(seed=0, epoch=0).values.ravel()
    named = [100 * one["learning_rate"] + 10 * one["b1"] for one in begun["settings"]]
    np.testing.assert_allclose(flat, named)
    assert begun["dims"] == list(joined.valid_error.dims[:-1])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([curves(), curves(data_hash="b")], "data_hash 'a' there, 'b' here"),
        ([curves(seeds=(0,)), curves(seeds=(1,), rule="sgd")], "rule 'adam' there, 'sgd' here"),
        ([curves(rates=(0.1,), seeds=(0,)), curves(rates=(0.3,), seeds=(1,))], "4 of 8 trials"),
        ([curves(), curves() + 1], "in two parts"),
        ([curves(), curves().where(curves().epoch < 1)], "in two parts"),
        ([curves().where(curves().seed > 1), curves(seeds=(0,))], "in two parts"),
        ([curves(), curves(settings=[{"learning_rate": 0.1}])], "lack a hyperparameter"),
        ([], "give curves"),
        ([curves(), curves().assign_attrs(configuration="{}")], "some name no settings"),
        ([curves(data_hash=None), curves()], "data_hash None there, 'a' here"),
        ([curves(model="MLP()"), curves()], r"model 'MLP\(\)' there, None here"),
        ([curves(), "runs/b"], "give curves"),
    ],
)
def test_what_does_not_belong_together_is_refused(parts, message):
    with pytest.raises(InputError, match=message):
        ej.join(
            *[
                p.assign_attrs(curves().attrs) if i and hasattr(p, "attrs") and not p.attrs else p
                for i, p in enumerate(parts)
            ]
        )
