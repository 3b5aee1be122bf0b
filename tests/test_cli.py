"""The console command: options of each rule and model, files, refusals, and a sweep in small."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tyro
import xarray as xr
from PIL import Image

import emnist_jax as ej
from emnist_jax import rules
from emnist_jax.cli import main, options, parts, sweep, sweep_options
from emnist_jax.engine.grid import make_grid
from emnist_jax.errors import InputError
from emnist_jax.store.curves import load_curves

RATE = ("--learning-rate", "0.1")
TINY = ("--size", "188", "--seeds", "2", "--epochs", "1", "--batch-size", "20", "--hidden", "8")
SAME = {"seeds": 2, "epochs": 1, "batch_size": 20, "progress_bar": False}  # as a call


def parse(*words):
    return sweep_options.parse(words)


def run(*words):
    """Run the command; return its exit code, and the lines of its output and of its errors."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["emnist-jax", *map(str, words)])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main.main()
            except SystemExit as stopped:
                code = stopped.code
    return code or 0, out.getvalue().splitlines(), err.getvalue().splitlines()


# The parser


@dataclass(frozen=True)
class Kinds:
    """One option of each kind."""

    run: tyro.conf.Positional[Path | None] = None
    """a folder"""
    count: options.option(int | None, "all", "INT") = None
    """how many"""
    rate: float = 0.5
    """how much"""
    rates: tuple[float, ...] = (0.1,)
    """several"""
    split: Literal["paper", "official"] = "paper"
    """which"""
    again: bool = False
    """whether"""


def kinds(*words):
    return options.parse(Kinds, "prog", "What it does.", words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], Kinds()),
        (["a/b", "--count", "3", "--again"], Kinds(Path("a/b"), 3, again=True)),
        (["--rate", "-1e-3", "a"], Kinds(Path("a"), rate=-0.001)),
        (["--rates", "-1e-3", "-.5"], Kinds(rates=(-0.001, -0.5))),
        (["--split=official"], Kinds(split="official")),
        (["--rates", "--again", "--no-again"], Kinds(rates=())),
        (["--rate", "1", "--rate", "2"], Kinds(rate=2.0)),
        (["~/runs"], Kinds(Path.home() / "runs")),
    ],
)
def test_words_are_read_as_the_types_of_the_fields(words, expected):
    assert kinds(*words) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cuont", "3"], 'no option "--cuont": did you mean "--count"'),
        (["--cuont=3"], 'no option "--cuont": did you mean "--count"'),
        (["a", "b"], 'unexpected "b"'),
        (["--count", "3.5"], '--count "3.5": give a whole number'),
        (["--rates", "1", "x"], '--rates "x": give a number'),
        (["--split", "papr"], '--split "papr": did you mean "paper"'),
        (["--count"], "--count: give a whole number; see prog --help"),
        (["--split", "--again"], "--split: give one of: official, paper"),
        (["--rate", "--count", "1"], "--rate: give a number"),
    ],
)
def test_wrong_words_are_one_line_with_the_option_meant(words, message, capfd):
    with pytest.raises(InputError) as refused:
        kinds(*words)
    assert str(refused.value).startswith(message)
    assert capfd.readouterr() == ("", "")


# The options of a sweep


def test_how_data_are_read_is_an_option(monkeypatch):
    given = []
    monkeypatch.setattr(ej, "load", lambda *words, **how: given.append((words, how)))
    words = ["--data", "a/b", "--background", "black", "--transposed", "no"]
    parse("--learning-rate", "1e-3", *words).data()
    parse("--learning-rate", "1e-3").data()
    assert given == [
        (("a/b", "paper"), {"size": None, "background": "black", "transposed": False}),
        (("glyphs", "paper"), {"size": None, "background": "white", "transposed": None}),
    ]


def test_options_make_the_grid_and_the_model():
    chosen = parse(
        *["--rule", "rmsprop", "--learning-rate", "logspace(-3,-1,3)", "--decay", "0.5"],
        *["--model", "convnet", "--channels", "2", "3", "--hidden", "--kernel", "3"],
        *["--batch-norm", "--dropout", "0", "0.2", "--seeds", "3"],
    )
    assert chosen.grid == {"learning_rate": (0.001, 0.01, 0.1), "decay": 0.5, "dropout": (0, 0.2)}
    assert chosen.model == ej.ConvNet((2, 3), (), batch_norm=ej.BatchNorm(), kernel=3)
    assert (chosen.rule, chosen.folder) == ("rmsprop", Path("runs/rmsprop"))


def test_what_is_not_given_is_the_rules_and_the_sweeps_own():
    chosen = parse("--learning-rate", "1e-3")
    assert chosen.grid == {"learning_rate": 0.001}
    assert chosen.sweep(None) == ej.Sweep(ej.MLP(), "adam", {"learning_rate": 0.001})
    several = parse("--learning-rate", "1e-3", "--seeds", "0", "7", "--out=~/a", "--name", "b/c")
    assert several.sweep(None).seeds == (0, 7)
    assert several.folder == Path.home() / "a/b/c"
    more = ("--order", "3", "--keep", "0", "10", "--precision", "high")
    made = parse("--learning-rate", "1e-3", *more).sweep(None)
    assert (made.order, made.keep, made.precision) == (3, (0, 10), "high")


def test_a_schedule_counts_the_updates_of_the_data():
    images = np.zeros((230, 8, 8, 1), np.uint8)
    data = ej.load([(images[:n], np.arange(n) % 3) for n in (230, 20, 20)])
    words = (*RATE, "--rule", "sgd", "--epochs", "3", "--warmup", "2")
    assert rules.name_of(parse(*words).sweep(data).rule) == "warmup(sgd, steps=2)"
    made = parse(*words, "--schedule", "cosine").sweep(data)
    assert rules.name_of(made.rule) == "cosine(sgd, steps=12, warmup=2, final=0)"


@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:`optimistic_adam` is deprecated")
@pytest.mark.parametrize("rule", parts.rule_names())
def test_every_rule_takes_each_of_its_options(rule):
    """Each option of each rule works as a number that is not known when compiled."""
    function = rules.find(rule)
    names = list(sweep_options._rule_options(function))
    words = [word for name in names for word in (options.flag(name), "0.25", "0.5")]
    assert list(parse("--rule", rule, *words).grid) == names
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


def test_samples_are_settings_drawn_by_their_seed():
    words = ["--learning-rate", "loguniform(1e-4,1e-2)", "--b1", "0", "0.9", "--samples", "6"]
    drawn = parse(*words).grid
    assert drawn == parse(*words, "--sample-seed", "0").grid
    assert len({one["learning_rate"] for one in drawn}) == 6
    assert all(1e-4 < one["learning_rate"] < 1e-2 and one["b1"] in (0, 0.9) for one in drawn)
    assert parse(*words, "--sample-seed", "1").grid != drawn
    assert parse(*words, "--sampler", "sobol").grid != drawn
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
    assert (file.rule, file.options.seeds, file.options.size) == ("rmsprop", (3,), 500)
    over = parse("--decay=.1", "--no-batch-norm", "--seeds", "4", "--config", str(path))
    assert over.grid == {"learning_rate": (0.001, 0.01), "decay": 0.1}
    assert over.model == ej.MLP((7, 5))
    assert (over.rule, over.options.seeds, over.options.size) == ("rmsprop", (4,), 500)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bt1 = 0.9", 'no option "bt1": did you mean "b1"'),
        ("epochs = [1, 2]", 'unexpected "2"'),
        ("epochs = true", "--epochs: give a whole number"),
        ('list = "rules"', 'no option "list"'),
        ("[adam]\nb1 = 0", '"adam"'),
        ("b1 = {}", '"b1": give a number'),
        ("b1 = ", "is no TOML"),
        ('rule = "sgd"\nb1 = 0.9', 'no option "b1"'),
    ],
)
def test_a_bad_file_is_named(text, message, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        parse("--config", str(path), *RATE)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


OWN = '''
import flax.linen as nn
import optax
from flax import nnx

import beside

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
    batch_norm: bool = True
    padding: int = 0
    activation: object = nn.leaky_relu

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(self.width, use_bias=self.bias)(x.reshape(len(x), -1))
        return nn.Dense(self.classes)(self.activation(x, self.slope))

class Unready(nn.Module):
    width: int

class Nnx(nnx.Module):
    def __init__(self, rngs, classes, width=8, slope=0.0):
        self.last = nnx.Linear(width, classes, rngs=rngs)

def unready(rngs, classes, depth):
    pass

def sign_momentum(learning_rate, decay=beside.DECAY):
    sign = optax.scale_by_sign()
    return optax.chain(optax.ema(decay), sign, optax.scale_by_learning_rate(learning_rate))

def helper():
    pass

def clash(learning_rate, size=0.5):
    pass
'''


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Return a folder with a file of the user's own parts, a broken one and a module beside."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(OWN)
    (folder / "beside.py").write_text("DECAY = 0.9")
    (folder / "broken.py").write_text("1 / 0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.chdir(folder)
        yield folder


def test_models_and_rules_of_ones_own_have_their_options(here):
    words = ("--model", "mine.py:Net", "--rule", "mine.py:sign_momentum")
    chosen = parse(*words, "--learning-rate", "0.1", "--decay", "0", "0.5", "--no-bias")
    model = chosen.model
    assert (type(model).__name__, model.width, model.bias) == ("Net", 8, False)
    assert (model.batch_norm, model.padding) == (True, 0)  # its own, whatever they mean here
    assert chosen.rule.__name__ == chosen.folder.name == "sign_momentum"
    assert chosen.grid == {"learning_rate": 0.1, "decay": (0, 0.5)}
    chosen = parse("--model", "mine.py:Nnx", "--width", "5", "--slope", "0", ".1", *RATE)
    assert ej.models.describe(chosen.model) == "Nnx(width=5)" and chosen.grid["slope"] == (0, 0.1)
    _, lines, _ = run("sweep", *words, "--help")
    text = " ".join(" ".join(lines).replace("│", "").split())
    assert "--width INT units, 100 % of them useful. (default: 8)" in text
    assert "--no-bias" in text and "--activation" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*RATE, "--bt1", "0.9"], 'with rule adam and model mlp: did you mean "--b1"'),
        ([*RATE, "--rule", "sgd", "--b1", "0.9"], 'no option "--b1" with rule sgd'),
        ([*RATE, "--channels", "3"], 'no option "--channels" with rule adam and model mlp'),
        ([*RATE, "--rule", "adm"], 'did you mean "adam"'),
        ([*RATE, "--rule", "qqq"], 'unknown rule "qqq": give one of: '),
        ([*RATE, "--model", "mpl"], 'did you mean "mlp"'),
        (["--list", "rule"], 'did you mean "rules"'),
        (["--list"], "give one of: data, models, rules"),
        ([], "give --learning-rate"),
        (["--learning-rate"], "give --learning-rate a value or more"),
        ([*RATE, "--b1"], "give --b1 a value or more"),
        ([*RATE, "--seeds"], "seeds is empty"),
        (["adam", *RATE], 'unexpected "adam"'),
        (["--learning-rate", "-1e-3"], "learning_rate=-0.001 must be positive"),
        (["--learning-rate", "0.1", "0.1"], "lists a value twice"),
        (["--learning-rate", "loguniform(1e-4,1)"], "--samples 30"),
        ([*RATE, "--samples", "3"], "range to draw from"),
        ([*RATE, "--b1", "1.5"], "outside [0, 1)"),
        ([*RATE, "--dropout", "1"], "outside [0, 1)"),
        ([*RATE, "--hidden", "0"], "hidden=0"),
        ([*RATE, "--epochs", "ten"], '--epochs "ten": give a whole number'),
        ([*RATE, "--epochs", "0"], "epochs=0"),
        ([*RATE, "--schedule", "cosin"], 'did you mean "cosine"'),
        ([*RATE, "--seeds", "1", "1"], "seeds lists a seed twice"),
        ([*RATE, "--warmup", "-3"], "warmup=-3"),
        ([*RATE, "--name", "../a"], "inside --out"),
        ([*RATE, "--config", "nowhere.toml"], "give a TOML file of options"),
        ([*RATE, "--keep", "bset"], '--keep "bset": did you mean "best"'),
        ([*RATE, "--model", "nowhere.py:Net"], "nowhere.py: no such file"),
        ([*RATE, "--model", "no_such_module:Net"], "No module named 'no_such_module'"),
        ([*RATE, "--model", "emnist_jax.models:MPL"], 'did you mean "MLP"'),
        ([*RATE, "--rule", "emnist_jax.rules:adm"], 'did you mean "adam"'),
        ([*RATE, "--model", "mine.py:Nte"], 'did you mean "Net"'),
        ([*RATE, "--model", "mine.py:Unready"], "its field width has no default"),
        ([*RATE, "--model", "mine.py:unready"], "its argument depth has no default"),
        ([*RATE, "--model", "broken.py:Net"], "ZeroDivisionError: division by zero"),
        ([*RATE, "--rule", "mine.py:helper"], "helper has no argument learning_rate"),
        ([*RATE, "--rule", "mine.py"], "name what to use of it, as in mine.py:"),
        ([*RATE, "--rule", "mine.py:clash"], "its size is the name of another option"),
        ([*RATE, "--processes", "2"], "need --coordinator"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, message, here):
    before = sorted(here.rglob("*"))
    code, out, (line,) = run("sweep", *words)
    assert (code, out) == (2, [])
    assert line.startswith("error: ") and message in line
    assert [one for one in sorted(here.rglob("*")) if "__pycache__" not in str(one)] == [
        one for one in before if "__pycache__" not in str(one)
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["swep"], 'no command "swep": did you mean "sweep"'),
        (["predict"], "give the folder of a run"),
        (["predict", "runs"], "then the path of a picture"),
        (["predict", ".", "letter.png"], "holds no networks"),
        (["export"], "give the folder of a run"),
        (["join", "a", "b"], "and --out FOLDER"),
        (["compare", "a"], "give the folders of two runs or more"),
        (["compare", "a", "b"], "a: "),
        (["compare", "a", "./a"], "named twice"),
        (["export", "runs", "--to", "cvs"], '--to "cvs": did you mean "csv"'),
    ],
)
def test_the_other_commands_refuse_alike(words, message, here):
    code, _, lines = run(*words)
    assert code == 2 and message in lines[-1]


@pytest.mark.parametrize(
    ("words", "shown", "absent"),
    [
        ([], ["sweep", "compare", "join", "predict", "export"], ["Traceback"]),
        (["sweep", "-h"], ["--b1", "m <- b1 m + (1 - b1) g", "--seeds", "--hidden"], ["--decay"]),
        (["sweep", "--rule", "rmsprop", "-h"], ["--decay", "(default: 0.9)"], ["--b1 VALUE"]),
        (["sweep", "--rule", "lion", "-h"], ["--weight-decay VALUE"], ["--mask", "--channels"]),
        (["sweep", "--model", "convnet", "-h"], ["--channels INT"], ["--weight-decay"]),
        (["predict", "--help"], ["RUN", "PICTURE", "--top"], ["--batch-size"]),
    ],
)
def test_help_shows_what_there_is(words, shown, absent):
    code, lines, err = run(*words)
    text = "\n".join(lines)
    assert (code, err) == (0, [])
    assert all(one in text for one in shown) and not any(one in text for one in absent)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("rules", {"sgd", "adam", "adam_undamped", "lion", "adamw", "muon"}),
        ("models", {"mlp", "convnet"}),
        ("data", {"glyphs", "emnist/balanced"}),
    ],
)
def test_lists_have_a_line_each(kind, names):
    lines = [line.split(maxsplit=1) for line in run("sweep", "--list", kind)[1]]
    assert all(len(line) == 2 for line in lines), "each has a description"
    assert names <= {line[0] for line in lines}


# From end to end


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a sweep that kept its networks, the command, and what it printed."""
    out = tmp_path_factory.mktemp("runs")
    words = ("sweep", *TINY, "--learning-rate", "0.01", "0.001", "--keep", "lowest_error")
    words = (*words, "--out", out)
    code, lines, err = run(*words)
    assert (code, err) == (0, [])
    return out / "adam", words, lines


def test_a_sweep_leaves_its_curves_networks_figures_and_table(trained):
    folder, _, lines = trained
    assert lines[0] == f"{folder}: adam on MLP(hidden=(8,))"
    assert lines[1].startswith("2 settings, 1 epoch each")
    named = [Path(line) for line in lines[1:] if line.startswith(str(folder))]
    kept = ["curves.nc", "networks.safetensors"]
    drawn = ["curves.png", "confusion.png", "confused.png", "weights.png", "settings.md"]
    assert [path.name for path in named] == kept + drawn
    assert all(path.exists() for path in named)
    assert len([line for line in lines if line.startswith("0.0")]) == 2  # a row a setting


def test_its_curves_are_those_of_the_call(trained):
    rates = {"learning_rate": [0.01, 0.001]}
    data = ej.load("glyphs", size=188)
    same, _ = ej.sweep(data, ej.MLP((8,)), "adam", rates, keep="lowest_error", **SAME)
    curves = load_curves(trained[0] / "curves.nc")
    xr.testing.assert_equal(curves, same)
    expected = ej.stats.best(curves, "valid_error").best_epoch
    np.testing.assert_array_equal(ej.load_networks(trained[0]).epoch, expected)


@pytest.fixture
def undrawn(monkeypatch):
    """Let no figures be drawn."""
    monkeypatch.setattr(sweep, "figures", lambda curves: {})
    monkeypatch.setattr(sweep, "figures_of_networks", lambda *_: {})


def test_the_same_command_trains_nothing(trained, undrawn):
    folder, words, lines = trained
    before = (folder / "curves.nc").read_bytes()
    _, again, _ = run(*words)
    assert again[1] == f"{folder}: complete, nothing trained"
    assert again[-3:] == lines[-3:]  # the table
    assert (folder / "curves.nc").read_bytes() == before


def test_its_networks_read_pictures(trained, tmp_path):
    image = ej.load("glyphs", size=188).test.images[0]
    path = tmp_path / "letter.png"
    Image.fromarray(255 - image[..., 0]).save(path)
    words = ("predict", "--top", "2", trained[0], path, "--figure", tmp_path / "seen")
    code, (line, drawn), _ = run(*words)
    networks = ej.load_networks(trained[0])
    assert (code, line) == (0, f"{path}: {networks.predict(image[..., 0], top=2)[0]}")
    assert drawn == f"{tmp_path / 'seen.png'}" and (tmp_path / "seen.svg").exists()


def test_its_curves_are_exported(trained):
    code, lines, _ = run("export", trained[0], "--to", "csv")
    assert (code, lines) == (0, [str(trained[0] / "curves.csv")])
    assert (trained[0] / "curves.csv").read_text().count("\n") == 1 + 2 * 2 * 2


def test_runs_trained_apart_are_joined(trained, tmp_path):
    curves = load_curves(trained[0] / "curves.nc")
    for i in (0, 1):
        seeds = json.loads(curves.attrs["configuration"]) | {"seeds": [i]}
        part = curves.isel(seed=[i]).assign_attrs(configuration=json.dumps(seeds))
        ej.save_curves(part, tmp_path / str(i) / "curves.nc")
    words = ("join", tmp_path / "0", tmp_path / "1", "--out", tmp_path / "whole")
    code, (line, *_), _ = run(*words)
    assert (code, line) == (0, str(tmp_path / "whole/curves.nc"))
    xr.testing.assert_equal(load_curves(tmp_path / "whole"), curves)
    assert run(*words)[0] == 2  # nothing is overwritten


@pytest.mark.skipif(not hasattr(ej, "compare"), reason="comes with ej.compare")
def test_runs_are_compared_by_the_names_of_their_folders(trained, tmp_path):
    curves = load_curves(trained[0] / "curves.nc")
    ej.save_curves(curves, tmp_path / "mine/curves.nc")
    words = ("compare", tmp_path / "mine", trained[0], "--figure", tmp_path / "c")
    code, lines, _ = run(*words)
    assert code == 0 and lines[0].startswith("mine - adam")
    assert run(words[0], *(Path(word, "curves.nc") for word in words[1:3]))[1][0] == lines[0]
    assert lines[-1] == f"{tmp_path / 'c.png'}" and (tmp_path / "c.svg").exists()


def test_networks_of_ones_own_are_read_by_their_class(tmp_path, here, undrawn):
    words = ("--model", "mine.py:Net", "--width", "5", "--learning-rate", "0.01", "--keep", "last")
    tiny = TINY[:-2]
    code, _, err = run("sweep", *tiny, *words, "--out", tmp_path, "--name", "own/net")
    assert (code, err) == (0, [])
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "letter.png")
    asked = ("predict", tmp_path / "own/net", tmp_path / "letter.png")
    assert run(*asked, "--model", "mine.py:Net")[0] == 0
    code, _, (line,) = run(*asked)
    assert code == 2 and "or on the command line --model" in line


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["-m", "experiments.sgd", "--overwrite"], "python -m experiments.sgd"),
        (["/a/bin/emnist-jax", "sweep", "--b1", "1-x(3)"], "emnist-jax sweep --b1 '1-x(3)'"),
    ],
)
def test_a_stopped_command_names_what_is_saved_and_what_goes_on(words, again, monkeypatch, capsys):
    def stopped():
        raise KeyboardInterrupt("epoch 31 of 300 saved")

    monkeypatch.setattr(sys, "orig_argv", ["python3", *words])
    with pytest.raises(SystemExit) as left:
        options.guarded(stopped)
    assert left.value.code == 130
    line = f"stopped (epoch 31 of 300 saved); to go on from here: {again}"
    assert capsys.readouterr().err.strip() == line


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


def test_samples_are_ranked_and_labelled_by_what_was_drawn():
    curves = handmade(sample=[0, 1, 2])
    curves.valid_accuracy[:] = np.array([0.2, 0.8, np.nan])[:, None, None]
    drawn = {"learning_rate": ("sample", [0.1, 0.01, 1.0]), "b1": ("sample", [0.5, 0.5, 0.5])}
    ranked = sweep.ranked(curves.drop_vars("sample").assign_coords(drawn))
    labels = ["1: learning_rate=0.01", "0: learning_rate=0.1", "2: learning_rate=1"]
    assert list(ranked["sample"].values) == labels  # a diverged one comes last
    assert float(ranked.b1) == 0.5
    assert list(ranked.valid_accuracy[:, 0, 0].values[:2]) == [0.8, 0.2]
    assert set(sweep.figures(ranked)) == {"curves", "best_against_rate"}


def test_figures_of_networks_name_setting_and_seeds(trained):
    networks, data = ej.load_networks(trained[0]), ej.load("glyphs", size=188)
    made = sweep.figures_of_networks(networks, data, "adam")
    for name, seeds in {
        "confusion": "seeds 0, 1 counted together",
        "confused": "seeds 0, 1 answering together",
        "weights": "seed 0 alone",
    }.items():
        caption = " ".join(made[name].get_supxlabel().split())
        for part in (seeds, r"$\eta$ = ", "glyphs", "adam", "MLP(hidden=(8,)"):
            assert part in caption, caption


def test_a_diverged_setting_is_not_the_best():
    curves = handmade(learning_rate=[0.1, 0.01, 0.001], b1=[0.0, 0.9], b2=[0.9, 0.99])
    curves.valid_accuracy.loc[{"b2": 0.9}] = np.nan
    curves.valid_error.loc[{"b2": 0.9}] = np.nan
    assert "0.99" in sweep.figures(curves)["curves"].get_supxlabel()


def test_the_options_of_all_commands_have_the_defaults_of_a_sweep():
    defaults = options.Options()
    assert (defaults.epochs, defaults.batch_size) == (ej.Sweep.epochs, ej.Sweep.batch_size)
