"""The general command: values and ranges, schedules, options of each rule and model, files."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr
from PIL import Image

import emnist_jax as ej
from emnist_jax import rules, schedules
from emnist_jax.engine import ranges
from emnist_jax.engine.grid import make_grid
from emnist_jax.errors import InputError
from emnist_jax.store.curves import load_curves
from experiments import _common, _own, _sweep_options, predict, sweep

TINY = ["--size", "188", "--seeds", "2", "--epochs", "1", "--batch-size", "20", "--hidden", "8"]


def parse(*words):
    return _sweep_options.parse(words, "about")


# Values


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
    ("words", "told"),
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
def test_words_that_cannot_be_meant_are_refused(words, told):
    with pytest.raises(InputError, match=told) as refused:
        ranges.parse("x", words)
    assert "\n" not in str(refused.value)


# Random settings


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
    ("values", "samples", "seed", "told"),
    [
        (SEARCH, 0, 0, "samples=0"),
        (SEARCH, 5, -1, "sample seed -1"),
        ({"learning_rate": (0.1, 0.2)}, 5, 0, "range to draw from"),
    ],
)
def test_draws_that_cannot_be_meant_are_refused(values, samples, seed, told):
    with pytest.raises(InputError, match=told):
        ranges.draw(values, samples, seed)


# Schedules


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


def test_a_scheduled_rule_keeps_its_hyperparameters_and_tells_its_schedule():
    rule = schedules.cosine("adam", 20, warmup=5)
    assert rules.hyperparameters(rule) == rules.hyperparameters(rules.adam)
    assert rules.name_of(rule) == "cosine(adam, steps=20, warmup=5, final=0)"
    assert rule is schedules.cosine(rules.adam, 20, warmup=5)  # so that it compiles once
    assert rule is not schedules.cosine("adam", 21, warmup=5)
    assert rules.name_of(schedules.warmup(optax.lion, 3)) == "warmup(lion, steps=3)"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("adm", 10), 'did you mean "adam"'),
        (("adam", 0), "steps=0"),
        (("adam", 10, 10), "warmup=10 leaves nothing of the 10"),
        (("adam", 10, -1), "warmup=-1"),
        (("adam", 10, 2, 1.5), "final=1.5"),
    ],
)
def test_schedules_that_cannot_be_meant_are_refused(arguments, told):
    with pytest.raises(InputError, match=told):
        schedules.cosine(*arguments)


def test_schedules_say_what_they_need():
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


# Options


def test_options_make_the_grid_and_the_model():
    options = parse(
        *["--rule", "rmsprop", "--learning-rate", "logspace(-3,-1,3)", "--decay", "0.5"],
        *["--model", "convnet", "--channels", "2", "3", "--hidden", "--kernel", "3"],
        *["--batch-norm", "--dropout", "0", "0.2", "--seeds", "3", "--warmup", "4"],
    )
    assert options.grid == {"learning_rate": (0.001, 0.01, 0.1), "decay": 0.5, "dropout": (0, 0.2)}
    assert options.model == ej.ConvNet((2, 3), (), batch_norm=ej.BatchNorm(), kernel=3)
    assert (options.rule, options.seeds, options.epochs, options.warmup) == ("rmsprop", 3, 10, 4)


def test_a_single_value_is_no_dimension_and_what_is_not_given_is_the_rules_own():
    options = parse("--learning-rate", "1e-3")
    assert options.grid == {"learning_rate": 0.001}
    assert options.model == ej.MLP()


def test_one_number_counts_seeds_and_several_name_them():
    assert parse("--learning-rate", "1e-3").seeds == 5
    assert parse("--learning-rate", "1e-3", "--seeds", "3").seeds == 3
    assert parse("--learning-rate", "1e-3", "--seeds", "0", "7").seeds == (0, 7)


@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:`optimistic_adam` is deprecated")
@pytest.mark.parametrize("rule", _sweep_options._rule_names())
def test_every_rule_takes_each_of_its_options(rule):
    """Each option of each rule works as a number that is not known when compiled."""
    function = rules.find(rule)
    names = list(_sweep_options._rule_options(function))
    assert names[0] == "learning_rate"
    words = [word for name in names for word in ("--" + name.replace("_", "-"), "0.25", "0.5")]
    options = parse("--rule", rule, *words)
    assert list(options.grid) == names
    params = {"weights": jnp.ones((2, 3))}

    def update(hyper):
        made = function(**hyper)
        state = made.init(params)
        return state, *made.update(params, state, params)

    hyper = {name: jnp.float32(0.5) for name in names}
    with jax.numpy_rank_promotion("allow"):  # optax's business
        before, changes, after = jax.eval_shape(update, hyper)
    assert changes["weights"].shape == (2, 3)
    assert jax.tree.map(jnp.result_type, before) == jax.tree.map(jnp.result_type, after)


SEARCHED = ["--learning-rate", "loguniform(1e-4,1e-2)", "--b1", "0", "0.9", "--samples", "6"]


def test_samples_are_settings_drawn_by_their_seed():
    drawn, again = parse(*SEARCHED).grid, parse(*SEARCHED, "--sample-seed", "0").grid
    assert drawn == again
    assert len({one["learning_rate"] for one in drawn}) == 6
    assert all(1e-4 < one["learning_rate"] < 1e-2 and one["b1"] in (0, 0.9) for one in drawn)
    assert parse(*SEARCHED, "--sample-seed", "1").grid != drawn
    assert make_grid(drawn, rules.adam, ej.MLP()).dims == ("sample",)


def test_the_command_line_overrules_the_file(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        'rule = "rmsprop"\nlearning-rate = "logspace(-3,-2,2)"\ndecay = [0.5, 0.9]\n'
        "batch-norm = true\nhidden = [7, 5]\nseeds = 3\nsize = 500\n"
    )
    file = parse("--config", str(path))
    assert file.grid == {"learning_rate": (0.001, 0.01), "decay": (0.5, 0.9)}
    assert file.model == ej.MLP((7, 5), batch_norm=ej.BatchNorm())
    assert (file.rule, file.seeds, file.size) == ("rmsprop", 3, 500)
    words = ["--decay", "0.1", "--no-batch-norm", "--seeds", "4"]
    over = parse(*words, "--config", str(path))
    assert over.grid == {"learning_rate": (0.001, 0.01), "decay": 0.1}
    assert over.model == ej.MLP((7, 5))
    assert (over.rule, over.seeds, over.size) == ("rmsprop", 4, 500)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bt1 = 0.9", 'no option "bt1": did you mean "b1"'),
        ("epochs = [1, 2]", 'unexpected "2"'),
        ("epochs = true", "--epochs: expected one argument"),
        ('list = "rules"', 'no option "list"'),
        ("[adam]\nb1 = 0", '"adam"'),
        ("b1 = {}", '"b1": give a number'),
        ("b1 = ", "is no TOML"),
        ('rule = "sgd"\nb1 = 0.9', 'no option "b1"'),
    ],
)
def test_a_bad_file_is_named(text, told, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        parse("--config", str(path), "--learning-rate", "0.1")
    assert str(refused.value).startswith(f"{path}: ")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


RATE = ["--learning-rate", "0.1"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            [*RATE, "--bt1", "0.9"],
            'no option --bt1 with rule adam and model mlp: did you mean "--b1"',
        ),
        ([*RATE, "--bt1=0.9"], 'did you mean "--b1"'),
        ([*RATE, "--rule", "sgd", "--b1", "0.9"], "no option --b1 with rule sgd"),
        ([*RATE, "--channels", "3"], "no option --channels with rule adam and model mlp"),
        ([*RATE, "--rule", "adm"], 'did you mean "adam"'),
        ([*RATE, "--rule", "qqq"], 'unknown rule "qqq": give one of: '),
        ([*RATE, "--model", "mpl"], 'did you mean "mlp"'),
        (["--list", "rule"], 'did you mean "rules"'),
        ([], "give --learning-rate"),
        (["adam", *RATE], 'unexpected "adam"'),
        (["--learning-rate"], "expected at least one argument"),
        (["--learning-rate", "-0.1"], "must be positive"),
        (["--learning-rate", "0.1", "0.1"], "lists a value twice"),
        (["--learning-rate", "loguniform(1e-4,1)"], "--samples 30"),
        ([*RATE, "--samples", "3"], "range to draw from"),
        ([*RATE, "--b1", "1.5"], "outside [0, 1)"),
        ([*RATE, "--dropout", "1"], "outside [0, 1)"),
        ([*RATE, "--hidden", "0"], "hidden=0"),
        ([*RATE, "--epochs", "ten"], "invalid int value: 'ten'"),
        ([*RATE, "--epochs", "0"], "epochs=0"),
        ([*RATE, "--schedule", "cosin"], 'did you mean "cosine"'),
        ([*RATE, "--seeds", "1", "1"], "seeds lists a seed twice"),
        ([*RATE, "--warmup", "-3"], "warmup=-3"),
        ([*RATE, "--name", "../a"], "inside --out"),
        ([*RATE, "--config", "nowhere.toml"], "give a TOML file of options"),
        ([*RATE, "--keep", "bset"], 'did you mean "best"'),
        (["--list"], "--list rules, --list models or --list data"),
        ([*RATE, "--model", "nowhere.py:Net"], "nowhere.py: no such file"),
        ([*RATE, "--model", "no_such_module:Net"], "No module named 'no_such_module'"),
        ([*RATE, "--model", "emnist_jax.models:MPL"], 'did you mean "MLP"'),
        ([*RATE, "--rule", "emnist_jax.rules:adm"], 'did you mean "adam"'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, told, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["sweep", "--size", "188", *words])
    with pytest.raises(SystemExit) as stopped:
        sweep.main()
    assert stopped.value.code == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line != "sweep:"]
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert told in said[0]
    assert not list(tmp_path.rglob("curves.nc"))


@pytest.mark.parametrize(
    ("words", "shown", "absent"),
    [
        (["--rule", "adam"], ["--b1", "--b2", "m <- b1 m + (1 - b1) g", "--hidden"], ["--decay"]),
        (["--rule", "rmsprop"], ["--decay", "default: 0.9"], ["--b1"]),
        (["--rule", "lion", "--model", "convnet"], ["--weight-decay", "--channels"], ["--mask"]),
    ],
)
def test_help_shows_the_options_of_the_rule_and_the_model(words, shown, absent, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(*words, "--help")
    assert not stopped.value.code
    text = capsys.readouterr().out
    assert all(one in text for one in [*shown, "--learning-rate", "--seeds", "--config"])
    assert not any(one in text for one in absent)


def test_lists_have_a_line_each(capsys):
    for kind, names in {
        "rules": ["sgd", "adam", "adam_undamped", "lion", "adamw", "muon"],
        "models": ["mlp", "convnet"],
        "data": ["glyphs", "emnist/balanced"],
    }.items():
        assert parse("--list", kind) is None
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        assert all(len(line) == 2 for line in lines), "each has a description"
        assert set(names) <= {line[0] for line in lines}


# From end to end


def run(monkeypatch, capsys, tmp_path, *words):
    """Run the command; return the curves, what it printed and the figures drawn."""
    monkeypatch.setattr(sys, "argv", ["sweep", *TINY, "--out", str(tmp_path), *words])
    sweep.main()
    printed = capsys.readouterr().out
    paths = [line for line in printed.splitlines() if line.startswith(str(tmp_path))]
    assert all((tmp_path / path).exists() for path in paths)
    return printed, [path.rpartition("/")[2] for path in paths]


def test_a_grid_gives_the_curves_of_the_same_sweep(monkeypatch, capsys, tmp_path):
    words = ["--rule", "momentum", "--learning-rate", "logspace(-2,0,3)", "--dropout", "0", "0.3"]
    printed, names = run(monkeypatch, capsys, tmp_path, *words)
    drawn = ["curves.png", "best_against_rate.png", "heatmap.png"]
    assert names == ["curves.nc", *drawn, "settings.md"]
    assert printed.count("of 2  ") == 6  # a row of the table for each setting
    curves = load_curves(tmp_path / "sweep" / "curves.nc")
    grid = {"learning_rate": [0.01, 0.1, 1.0], "dropout": [0.0, 0.3]}
    data = ej.load("glyphs", size=188)
    same = ej.sweep(
        data, ej.MLP((8,)), "momentum", grid, seeds=2, epochs=1, batch_size=20, progress_bar=False
    )
    xr.testing.assert_equal(curves, same)


OWN = '''
import flax.linen as nn
import optax

class Net(nn.Module):
    """A net of one's own.

    Attributes:
        width: units, 100 % of them
            useful.
    """

    classes: int
    width: int = 8
    slope: float = 0.0
    bias: bool = True
    activation: object = nn.leaky_relu

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(self.width, use_bias=self.bias)(x.reshape(len(x), -1))
        return nn.Dense(self.classes)(self.activation(x, self.slope))

class Unready(nn.Module):
    width: int

def sign_momentum(learning_rate, decay=0.9):
    sign = optax.scale_by_sign()
    return optax.chain(optax.ema(decay), sign, optax.scale_by_learning_rate(learning_rate))

def helper():
    pass
'''


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


def test_models_and_rules_of_ones_own_have_their_options(own_file, capsys):
    words = ["--model", f"{own_file}:Net", "--rule", f"{own_file}:sign_momentum"]
    options = parse(*words, "--learning-rate", "0.1", "--decay", "0", "0.5", "--no-bias")
    model = options.model
    assert (type(model).__name__, model.width, model.bias) == ("Net", 8, False)
    assert options.rule.__name__ == "sign_momentum"
    assert options.grid == {"learning_rate": 0.1, "decay": [0.0, 0.5]} or (
        options.grid == {"learning_rate": 0.1, "decay": (0.0, 0.5)}
    )
    with pytest.raises(SystemExit):
        parse(*words, "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "--width N units, 100 % of them useful (default: 8)" in text
    assert "--no-bias" in text and "--activation" not in text


def test_what_of_ones_own_cannot_be_meant_is_told(own_file):
    for words, told in {
        ("--model", f"{own_file}:Nte"): 'did you mean "Net"',
        ("--model", f"{own_file}:Unready"): "its field width has no default",
        ("--rule", f"{own_file}:helper"): "one of: sign_momentum",
    }.items():
        with pytest.raises(InputError, match=told):
            parse(*words, "--learning-rate", "0.1")
    own_file.write_text("1 / 0")
    with pytest.raises(InputError, match="ZeroDivisionError: division by zero"):
        parse("--model", f"{own_file}:Net", "--learning-rate", "0.1")


def test_networks_are_kept_drawn_and_asked(monkeypatch, capsys, tmp_path):
    words = ["--learning-rate", "0.01", "0.001", "--keep", "lowest_error"]
    _, names = run(monkeypatch, capsys, tmp_path, *words)
    kept = ["curves.nc", "networks.safetensors"]
    drawn = ["curves.png", "confusion.png", "confused.png", "weights.png", "settings.md"]
    assert names == kept + drawn
    networks = ej.load_networks(tmp_path / "sweep")
    curves = load_curves(tmp_path / "sweep" / "curves.nc")
    expected = ej.stats.best(curves, "valid_error").best_epoch
    np.testing.assert_array_equal(networks.epoch, expected)
    path = tmp_path / "letter.png"
    image = ej.load("glyphs", size=188).test.images[0]
    Image.fromarray(255 - image[..., 0]).save(path)
    figure = str(tmp_path / "seen")
    monkeypatch.setattr(
        sys,
        "argv",
        ["predict", str(tmp_path / "sweep"), str(path), "--top", "2", "--figure", figure],
    )
    _common.main(predict.run, predict.Options)
    said, drawn = capsys.readouterr().out.splitlines()
    assert said == f"{path}: {networks.predict(image[..., 0], top=2)[0]}"
    assert drawn == figure + ".png" and (tmp_path / "seen.svg").exists()
    with pytest.raises(InputError, match="give the path of a picture"):
        predict.run(predict.Options(tmp_path / "sweep"))


def test_networks_of_ones_own_are_asked_by_their_class(monkeypatch, capsys, tmp_path, own_file):
    model = f"{own_file}:Net"
    data, own = ej.load("glyphs", size=188), _own.own_model(model)
    rate, folder = {"learning_rate": 0.01}, tmp_path / "own"
    options = {"seeds": 1, "epochs": 1, "keep": "last", "progress_bar": False}
    _, networks = ej.sweep(data, own(47, width=5), "adam", rate, out=folder, **options)
    path = tmp_path / "letter.png"
    Image.fromarray(data.test.images[0, ..., 0]).save(path)
    asked = predict.run(predict.Options(folder, (path,), model))
    assert asked == networks.predict([path])
    with pytest.raises(InputError, match="or on the command line --model"):
        predict.run(predict.Options(folder, (path,)))


def test_samples_are_ranked_and_labelled_by_what_was_drawn(monkeypatch, capsys, tmp_path):
    words = ["--learning-rate", "loguniform(1e-3,1e-1)", "--b1", "0.5", "--samples", "3"]
    printed, names = run(monkeypatch, capsys, tmp_path, *words, "--name", "a/b")
    assert names == ["curves.nc", "curves.png", "best_against_rate.png", "settings.md"]
    curves = load_curves(tmp_path / "a" / "b" / "curves.nc")
    best = curves.valid_accuracy.max("epoch").mean("seed").values
    rates = curves.learning_rate.values
    ranked = sweep.ranked(curves)
    order = sorted(range(3), key=lambda i: (-best[i], i))
    assert list(ranked["sample"].values) == [f"{i}: learning_rate={rates[i]:.4g}" for i in order]
    assert [printed.index(f"{i}: learning_rate") for i in order] == sorted(
        printed.index(f"{i}: learning_rate") for i in range(3)
    )
    np.testing.assert_array_equal(ranked.valid_accuracy.values, curves.valid_accuracy.values[order])


def test_a_schedule_knows_the_number_of_updates(monkeypatch, capsys, tmp_path):
    words = ["--rule", "sgd", "--learning-rate", "0.5", "--schedule", "cosine", "--warmup", "2"]
    _, names = run(monkeypatch, capsys, tmp_path, *words)
    path = tmp_path / "sweep" / "curves.nc"
    curves, written = load_curves(path), path.stat().st_mtime_ns
    count = round(188 * 100_000 / 131_600) // 20  # one epoch
    assert curves.attrs["rule"] == f"cosine(sgd, steps={count}, warmup=2, final=0)"
    rule = schedules.cosine("sgd", count, 2)
    data = ej.load("glyphs", size=188)
    same = ej.sweep(
        *(data, ej.MLP((8,)), rule, {"learning_rate": 0.5}),
        **{"seeds": 2, "epochs": 1, "batch_size": 20, "progress_bar": False},
    )
    xr.testing.assert_equal(curves, same)
    assert run(monkeypatch, capsys, tmp_path, *words)[1] == names  # the same command again:
    assert path.stat().st_mtime_ns == written  # nothing is trained


def test_ctrl_c_tells_the_command_that_goes_on(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    words = ["-m", "experiments.sweep", "--learning-rate", "logspace(-4,-1,4)", "--overwrite"]
    monkeypatch.setattr(sweep, "run", interrupted)
    monkeypatch.setattr(sys, "argv", ["sweep", *words[2:]])
    monkeypatch.setattr(sys, "orig_argv", ["python3", *words])
    with pytest.raises(SystemExit) as stopped:
        sweep.main()
    assert stopped.value.code == 130
    again = "python -m experiments.sweep --learning-rate 'logspace(-4,-1,4)'"
    assert capsys.readouterr().err.rstrip().endswith(again)


# Figures of hand-made curves


def handmade(**grid):
    shape = (*map(len, grid.values()), 2, 3)
    values = np.random.default_rng(0).uniform(0.2, 0.4, shape)
    coords = grid | {"seed": [0, 1], "epoch": [0, 1, 2]}
    names = ("train_error", "train_accuracy", "valid_error", "valid_accuracy")
    return xr.Dataset({name: (tuple(coords), values.copy()) for name in names}, coords)


def test_figures_stand_at_the_best_setting_of_what_they_do_not_show():
    curves = handmade(
        learning_rate=np.logspace(-4, -1, 12), b1=[0.0, 0.9], b2=[0.9, 0.99, 0.999], eps=[1e-8]
    )
    curves.valid_accuracy.loc[{"b2": 0.99, "b1": 0.9}] += 0.5
    made = sweep.figures(curves)
    assert set(made) == {"curves", "best_against_rate", "heatmap"}
    assert made["heatmap"].axes[0].images[0].get_array().shape == (12, 2)  # rates upwards, b1
    assert len([a for a in made["curves"].axes if a.get_title()]) == 2  # a panel for each b1
    captions = [figure.get_supxlabel() for figure in made.values()]
    assert all("0.99" in text for text in captions)
    assert len(made["curves"].axes[0].get_lines()) >= 8


def test_heat_maps_need_two_dimensions_of_few_values():
    assert "heatmap" not in sweep.figures(handmade(learning_rate=[0.1, 0.01], b1=[0.9]))
    many = handmade(learning_rate=np.logspace(-4, -1, 13), b1=[0.0, 0.9], b2=[0.9, 0.99, 0.999])
    assert sweep.figures(many)["heatmap"].axes[0].images[0].get_array().shape == (2, 3)


def test_figures_of_networks_name_setting_and_seeds():
    data = ej.load("glyphs", size=188)
    grid = {"learning_rate": [0.01, 0.1], "b1": 0.5}
    options = {"seeds": [3, 4], "epochs": 1, "keep": "last", "progress_bar": False}
    _, networks = ej.sweep(data, ej.MLP((8,)), "adam", grid, **options)
    assert repr(networks) == "4 networks MLP(hidden=(8,), classes=47), learning_rate: 2, seed: 2"
    made = sweep.figures_of_networks(networks, data, "adam")
    for name, seeds in {
        "confusion": "seeds 3, 4 counted together",
        "confused": "seeds 3, 4 answering together",
        "weights": "seed 3 alone",
    }.items():
        said = " ".join(made[name].get_supxlabel().split())
        assert seeds in said and "= 0.5" in said and r"$\eta$ = " in said, said
        assert "glyphs" in said and "adam" in said and "MLP(hidden=(8,)" in said


def test_a_diverged_setting_is_not_the_best():
    curves = handmade(learning_rate=[0.1, 0.01, 0.001], b1=[0.0, 0.9], b2=[0.9, 0.99])
    curves.valid_accuracy.loc[{"b2": 0.9}] = np.nan
    curves.valid_error.loc[{"b2": 0.9}] = np.nan
    assert "0.99" in sweep.figures(curves)["curves"].get_supxlabel()
