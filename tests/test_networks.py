"""Trained networks: stored, loaded from their folder alone, asked for predictions."""

from dataclasses import replace

import flax.linen as nn
import jax
import numpy as np
import pytest
import scipy.special
import xarray as xr
from PIL import Image

import emnist_jax as ej
from emnist_jax import models
from emnist_jax.data import pictures
from emnist_jax.errors import InputError
from emnist_jax.figures import plot_weights
from emnist_jax.store.files import save_arrays
from emnist_jax.store.networks import Networks

RATES = [0.03, 0.003]
FORM = pictures.PictureForm((28, 28, 1), 0, 0.75)


@pytest.fixture(scope="module")
def data():
    return ej.load("glyphs", size=940)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


def sweep(data, model, grid=None, **options):
    grid = {"learning_rate": RATES} if grid is None else grid
    options = {"seeds": 2, "epochs": 2, "keep": "best", "progress_bar": False} | options
    return ej.sweep(data, model, "adam", grid, **options)


@pytest.fixture(scope="module")
def networks(data, folder):
    return sweep(data, ej.MLP((16,)), out=folder)[1]


@pytest.mark.parametrize(
    "model",
    [
        ej.MLP((8, 7), batch_norm=ej.BatchNorm("frozen", "normal", "minibatch", momentum=0.5)),
        ej.ConvNet((2,), (9,), kernel=3, batch_norm=ej.BatchNorm(), dropout=0.1),
    ],
)
def test_a_folder_is_all_that_is_needed_to_load_built_in_models(data, model, tmp_path):
    model = model.clone(classes=47)
    made = jax.jit(model.init)(jax.random.key(0), np.ones((1, *FORM.shape), np.float32))
    variables = jax.tree.map(lambda leaf: np.asarray(leaf)[None], dict(made))
    numbers = {"epoch": 3, "valid_accuracy": np.float32(0.1), "valid_error": np.float32(np.nan)}
    labels = {"seed": [2], "learning_rate": 1e-3}
    kept = xr.Dataset({name: ("seed", [value]) for name, value in numbers.items()}, labels)
    trained = Networks(model, variables, kept, 50, data.classes, FORM)
    trained.save(tmp_path / "networks.safetensors")
    loaded = ej.load_networks(tmp_path)
    assert loaded.model == model
    assert (loaded.classes, loaded.form) == (data.classes, FORM)
    assert loaded.evaluation_batch == 50
    xr.testing.assert_identical(loaded.kept, kept)
    few = data.test.images[:7]
    np.testing.assert_array_equal(loaded.logits(few), trained.logits(few))


def test_drawn_settings_are_labelled_again(data, tmp_path):
    grid = [{"learning_rate": 0.01, "b1": 0.5}, {"learning_rate": 0.1, "b1": 0.9}]
    _, trained = sweep(data, ej.MLP((4,)), grid, seeds=1, epochs=1, out=tmp_path)
    xr.testing.assert_identical(ej.load_networks(tmp_path).kept, trained.kept)


class Leaky(nn.Module):
    """A model of the user's own, whose slope is an axis of the sweep."""

    classes: int | None = None
    slope: float = 0.0

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(16)(x.reshape(len(x), -1))
        return nn.Dense(self.classes)(nn.leaky_relu(x, self.slope))


def test_own_models_are_given(data, tmp_path):
    _, trained = sweep(data, Leaky(), seeds=1, epochs=1, out=tmp_path)
    with pytest.raises(InputError, match=r"your own class Leaky: .*model=Leaky\)"):
        ej.load_networks(tmp_path)
    with pytest.raises(InputError, match="no networks of MLP"):
        ej.load_networks(tmp_path, ej.MLP((16,)))
    few = data.test.images[:7]
    for given in (Leaky(), Leaky):
        loaded = ej.load_networks(tmp_path, given)
        np.testing.assert_array_equal(loaded.logits(few), trained.logits(few))
    with pytest.raises(InputError, match=r"Leaky\(classes=47\): no model of the class Dense"):
        ej.load_networks(tmp_path, nn.Dense)


def test_widths_that_differ_are_refused(folder, networks):
    with pytest.raises(InputError, match="other widths than MLP"):
        ej.load_networks(folder, ej.MLP((17,)))


def test_each_network_is_applied_with_its_own_number_on_a_models_axis(data):
    grid = {"learning_rate": 0.01, "slope": [0.0, 0.5]}
    curves, trained = sweep(data, Leaky(), grid, keep="last")
    found = trained.evaluate(data.valid)
    at_end = curves.isel(epoch=-1, drop=True)
    np.testing.assert_allclose(found.error, at_end.valid_error, rtol=1e-4)
    one = trained.sel(slope=0.5, seed=1).evaluate(data.valid)
    np.testing.assert_allclose(one.error, found.error.sel(slope=0.5, seed=1), rtol=1e-6)


@pytest.mark.slow
def test_networks_are_kept_at_the_epoch_that_the_statistics_name(data):
    by, epochs = {"best": "valid_accuracy", "lowest_error": "valid_error"}, {}
    for kind in (*by, "last"):
        curves, trained = sweep(data, ej.MLP((16,)), epochs=30, keep=kind)
        expected = 30 if kind == "last" else ej.stats.best(curves, by[kind]).best_epoch
        np.testing.assert_array_equal(trained.epoch, expected)
        picked = curves.sel(epoch=trained.epoch)
        np.testing.assert_array_equal(trained.kept.valid_error, picked.valid_error)
        found = trained.evaluate(data.valid)
        np.testing.assert_allclose(found.error, picked.valid_error, rtol=1e-4)
        epochs[kind] = trained.epoch
    assert (epochs["best"] != epochs["lowest_error"]).any()  # else this tests one of them


def test_probabilities_are_the_mean_softmax_over_seeds(data, networks):
    images = data.test.images[:9]
    logits = networks.logits(images)
    expected = scipy.special.softmax(logits.values.astype(float), axis=-1)
    found = networks.probabilities(images)
    assert found.dims == ("learning_rate", "image", "class")
    np.testing.assert_allclose(found, expected.mean(logits.dims.index("seed")), rtol=1e-5)
    alone = networks.sel(seed=1)
    own = alone.logits(images)  # of another program, which rounds differently
    np.testing.assert_allclose(own, logits.sel(seed=1), rtol=1e-5, atol=1e-5)
    one = scipy.special.softmax(own.values.astype(float), axis=-1)
    np.testing.assert_allclose(alone.probabilities(images), one, rtol=1e-5)


def test_the_best_setting_by_mean_validation_accuracy_predicts(data, networks):
    best = networks.kept.valid_accuracy.mean("seed").idxmax("learning_rate").item()
    other = next(rate for rate in RATES if rate != best)
    images = data.test.images[:20]
    assert networks.predict(images) == networks.sel(learning_rate=best).predict(images)
    assert networks.predict(images) != networks.sel(learning_rate=other).predict(images)


def test_predictions_name_the_classes_in_order_of_probability(data, networks):
    found = networks.predict(data.test.images[:3], top=5)
    expected = networks.best_setting().probabilities(data.test.images[:3])
    for prediction, row in zip(found, expected.values, strict=True):
        assert len(prediction.classes) == 5
        np.testing.assert_allclose(prediction.probabilities, np.sort(row)[::-1][:5])
        assert prediction.name == data.classes[row.argmax()]
        assert prediction.probability == row.max()


def test_a_file_an_array_and_its_negative_are_read_alike(data, folder, networks, tmp_path):
    image = data.test.images[0, ..., 0]
    Image.fromarray(image).save(tmp_path / "light.png")
    Image.fromarray(255 - image).save(tmp_path / "dark.png")
    expected, two = networks.predict(image), networks.predict([image, image])  # round otherwise
    assert networks.predict([tmp_path / "light.png", str(tmp_path / "dark.png")]) == two
    assert ej.predict(tmp_path / "light.png", folder) == expected
    assert networks.predict(image / 255) == expected
    assert networks.predict([image, data.test.images[:1]]) == two
    for one in two:
        assert one.classes == expected[0].classes
        np.testing.assert_allclose(one.probabilities, expected[0].probabilities, rtol=1e-5)


def test_what_is_transparent_lies_where_it_lay_in_training(data, tmp_path):
    on_black = replace(data, background="black")
    sweep(on_black, ej.MLP((4,)), {"learning_rate": 0.1}, seeds=1, epochs=1, out=tmp_path)
    image = data.test.images[0]
    drawn = np.dstack([np.full_like(np.repeat(image, 3, -1), 255), image])  # white, its opacity
    Image.fromarray(drawn).save(tmp_path / "a.png")
    np.testing.assert_array_equal(ej.load_networks(tmp_path).seen(tmp_path / "a.png"), image[None])


def test_a_tilde_is_the_home(data, folder, networks, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    curves = ej.load_curves("~")
    assert ej.save_curves(curves, "~/a/b.nc") == folder / "a" / "b.nc"
    assert ej.load_curves("~/a/b.nc").equals(curves)
    image = data.test.images[:1]
    assert ej.predict(image, "~") == networks.predict(image)
    with pytest.raises(InputError, match="~nobody_here"):
        ej.save_curves(curves, "~nobody_here/a.nc")


def test_large_drawings_are_read_as_the_character_they_show(data, networks, tmp_path):
    """A network that knows its training images must know them as large dark ink on grey paper."""
    knows = sweep(data, ej.MLP((64,)), {"learning_rate": 3e-3}, epochs=15, keep="last")[1]
    images, labels = data.train.images[:40], data.train.labels[:40]
    paths = [tmp_path / f"{i}.jpg" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        sheet = Image.new("L", (420, 350), 225)
        ink = Image.fromarray(255 - image[..., 0]).resize((224, 224), Image.Resampling.BICUBIC)
        sheet.paste(ink.point(lambda level: 225 * level // 255), (150, 40))
        sheet.save(path)
    right = [p.name == data.classes[i] for p, i in zip(knows.predict(paths), labels, strict=True)]
    exact = [p.name == data.classes[i] for p, i in zip(knows.predict(images), labels, strict=True)]
    assert np.mean(exact) > 0.9
    assert np.mean(right) > 0.6  # size and place, which tell c from C, are lost


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nowhere.png", "nowhere.png: no such file"),
        ([], "at least one"),
        (np.zeros((2, 28, 28, 3), np.uint8), "3 channels, but the networks take 1"),
        (np.zeros((2, 30, 28), np.uint8), "the array: nothing is drawn"),
        (np.full((28, 28), 300), "300"),
    ],
)
def test_what_cannot_be_predicted_gets_one_clear_line(networks, wrong, message):
    with pytest.raises(InputError, match=message):
        networks.predict(wrong)


def test_what_is_no_part_of_the_data_gets_one_clear_line(data, networks):
    wrong = {
        "a Dataset: give a part of the data": lambda: networks.evaluate(data),
        "ndarray of shape .*: give a part": lambda: networks.confusion(data.test.images),
        r"a Split: give images \(n, 28, 28, 1\)": lambda: networks.logits(data.test),
        "a Split: give images, such as": lambda: networks.predict(data.test),
        "ndarray of shape .*: give networks": lambda: ej.predict(networks, data.test.images),
    }
    for message, call in wrong.items():
        with pytest.raises(InputError, match=message):
            call()


def test_nan_is_never_right(data, networks):
    """Class 0 where the largest of NaN is looked for; a network that diverged answers nothing."""
    lost = replace(networks, variables=jax.tree.map(lambda x: x * np.nan, networks.variables))
    found = lost.evaluate(data.test)
    assert (found.accuracy == 0).all() and found.error.isnull().all()


def test_top_is_a_number_of_classes(data, networks):
    with pytest.raises(InputError, match="top=0"):
        networks.predict(data.test.images[:1], top=0)
    assert len(networks.predict(data.test.images[:1], top=100)[0].classes) == 47


def test_confusion_counts_each_networks_reading_of_each_class(data, networks):
    found = networks.confusion(data.valid)
    assert found.sum("predicted").sel(learning_rate=RATES[0], seed=1).values.tolist() == (
        np.bincount(data.valid.labels, minlength=47).tolist()
    )
    right = sum(found.sel(true=name, predicted=name) for name in data.classes)
    accuracy = networks.evaluate(data.valid).accuracy
    np.testing.assert_allclose(right / len(data.valid), accuracy)


def test_parameters_are_those_of_one_network(networks):
    one = networks.sel(learning_rate=RATES[1], seed=0)
    kernel = one.parameters["dense_0"]["kernel"]
    np.testing.assert_array_equal(kernel, networks.variables["params"]["dense_0"]["kernel"][2])
    assert plot_weights(one.parameters).axes
    with pytest.raises(InputError, match=r"4 networks: choose one, networks.sel\(learning_rate="):
        networks.parameters


@pytest.mark.parametrize("file", ["curves.nc", "nothing"])
def test_a_folder_without_networks_says_how_to_get_them(tmp_path, file):
    (tmp_path / file).write_bytes(b"")
    with pytest.raises(InputError, match='holds no networks: train networks with keep="best"'):
        ej.load_networks(tmp_path)
    with pytest.raises(InputError, match="elsewhere is no folder of a run: train networks"):
        ej.load_networks(tmp_path / "elsewhere")


def test_files_of_older_versions_are_refused(tmp_path):
    save_arrays(tmp_path / "networks.safetensors", {"epoch": np.zeros(2)}, {"model": "MLP"})
    with pytest.raises(InputError, match="older version"):
        ej.load_networks(tmp_path)


def test_only_descriptions_of_built_in_models_are_rebuilt():
    with pytest.raises(InputError, match="no model of this package"):
        models.rebuild("__import__('os').getcwd()")
    assert models.rebuild(models.describe(ej.MLP(), defaults=True)) == ej.MLP()
