"""Bad arguments of a sweep: one line each, never a traceback; good ones: the plan they mean."""

import math

import flax.linen as nn
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emnist_jax as ej
from emnist_jax.engine.forecast import forecast
from emnist_jax.engine.job import make_job

DATA = ej.Dataset(
    *[(np.zeros((n, 4, 4, 1), np.uint8), np.arange(n) % 3) for n in (30, 6, 6)],
    classes=("a", "b", "c"),
    name="zeros",
)
RATES = {"learning_rate": [0.1, 0.01]}


def plan(model=None, rule="adam", grid=RATES, seeds=2, epochs=3, batch_size=5, **rest):
    defaults = {"metrics": None, "dtype": "float32", "keep": None}
    model = ej.MLP() if model is None else model
    rest = defaults | rest
    return make_job(ej.Sweep(model, rule, grid, seeds, epochs, batch_size, **rest), DATA)


def test_a_good_plan():
    made = plan()
    assert (made.trials, made.shape, made.dims) == (4, (2, 2), ("learning_rate", "seed"))
    np.testing.assert_array_equal(made.hyper["learning_rate"], np.float32([0.1, 0.1, 0.01, 0.01]))
    np.testing.assert_array_equal(made.trial_seeds, [0, 1, 0, 1])
    assert made.structure.model.classes == 3


def branching(learning_rate):
    return optax.sgd(learning_rate) if learning_rate > 0 else optax.adam(1e-3)


class Dropping(nn.Module):
    rate: float = 0.1

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dropout(self.rate, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(3)(x)


def updates_alone(learning_rate):
    return optax.GradientTransformation(lambda p: (), lambda g, state, params=None: g)


REFUSED = {
    "rule": ({"rule": "adm"}, 'unknown rule "adm": did you mean "adam"'),
    "a rule's letters": ({"rule": "adma"}, 'did you mean "adam"'),
    "updates alone": ({"rule": updates_alone}, r"updates_alone: its update must return a pair"),
    "a rule of lr": ({"rule": lambda lr: optax.sgd(lr)}, "has no argument learning_rate"),
    "no rule": ({"rule": 5}, "rule=5: give a rule's name"),
    "a list of rules": ({"rule": ["sgd"]}, "give a rule's name"),
    "a rule with its numbers": ({"rule": optax.adam(0.1)}, "lambda learning_rate: optax.adam"),
    "a rule that branches": ({"rule": branching}, "with branching cannot take a step"),
    "Flax's Dropout": (
        {"model": Dropping(), "grid": RATES | {"rate": [0.1, 0.2]}},
        "Flax's Dropout takes no rate of the grid",
    ),
    "branching on a number": ({"rule": branching}, "depends on a number that is traced"),
    "model": ({"model": "MLP"}, "is no model of a sweep"),
    "model class": ({"model": ej.MLP}, "is no model of a sweep"),
    "batch": ({"batch_size": 31}, "batch_size=31 is larger than the 30 training images"),
    "no epochs": ({"epochs": 0}, "epochs=0"),
    "endless": ({"epochs": 10**12}, "epochs="),
    "half a batch": ({"batch_size": 2.5}, "batch_size=2.5"),
    "dtype": ({"dtype": "float16"}, 'use "float32" or "float64"'),
    "x64 is off": ({"dtype": "float64"}, "jax_enable_x64"),
    "keep": ({"keep": "bset"}, 'did you mean "best"'),
    "metrics": ({"metrics": [len]}, "give a mapping"),
    "metric": ({"metrics": {"margin": 5}}, "give a mapping"),
    "metric's arguments": (
        {"metrics": {"margin": lambda logits: logits}},
        "metrics: margin cannot be called as margin(logits, labels)",
    ),
    "metric's shape": (
        {"metrics": {"top": lambda x, y: x}},
        "metrics: top gives shape (6, 3), not one number an image (6,)",
    ),
    "metric's type": ({"metrics": {"top": lambda x, y: (x, y)}}, "metrics: top gives tuple"),
    "complex metric": (
        {"metrics": {"top": lambda x, y: 1j * x[:, 0]}},
        "metrics: top gives complex",
    ),
    "two curves of one name": (
        {"metrics": {"error_b": ej.train.macro_accuracy}, "variants": {"b": ej.MLP()}},
        "train_error_b would be two curves",
    ),
    "an axis called as a curve": (
        {
            "rule": lambda learning_rate, valid_error: optax.sgd(learning_rate),
            "grid": RATES | {"valid_error": [0.1, 0.2]},
        },
        "the grid: valid_error is the name of a curve",
    ),
    "an axis called as a label": (
        {
            "rule": lambda learning_rate, epoch: optax.sgd(learning_rate),
            "grid": RATES | {"epoch": 3},
        },
        "the grid: epoch is the name of a curve",
    ),
    "variants": ({"variants": [ej.MLP()]}, "variants: give a mapping of names to models"),
    "metric's name": ({"metrics": {"error": len}}, "'error' cannot be a metric's name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case):
    arguments, reason = REFUSED[case]
    with pytest.raises(ej.InputError) as error:
        plan(**arguments)
    assert reason in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"trials_at_once": 0}, "trials_at_once=0"),
        ({"trials_at_once": 2.0}, "trials_at_once=2.0"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes=-1"),
        ({"checkpoint_minutes": math.nan}, "checkpoint_minutes=nan"),
        ({"checkpoint_minutes": "5"}, "checkpoint_minutes='5'"),
        ({"out": 5}, "5: give the path of a file or folder"),
    ],
)
def test_a_sweep_refuses_before_it_writes(tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ej.InputError, match=reason):
        ej.sweep(DATA, ej.MLP(), "sgd", RATES, batch_size=5, **{"out": "run", **arguments})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: ej.run("x", DATA),
        lambda: forecast("x", DATA),
        lambda: ej.load_curves(5),
        lambda: ej.load_networks(5),
        lambda: ej.curves_from(5),
    ],
)
def test_what_is_of_another_kind_is_one_line(call):
    with pytest.raises(ej.InputError, match=r"'x' is no sweep|5: give the path of a file"):
        call()


def test_a_refused_grid_leaves_what_is_there(tmp_path):
    (tmp_path / "curves.nc").write_text("precious")
    with pytest.raises(ej.InputError, match="unknown rule"):
        ej.sweep(DATA, ej.MLP(), "no rule", RATES, batch_size=5, out=tmp_path, overwrite=True)
    assert (tmp_path / "curves.nc").read_text() == "precious"


@pytest.mark.parametrize("data", ["glyps", 5, None, ([1], [2], [3]), "emnist/balancd"])
def test_unknown_data_is_one_line(data):
    with pytest.raises(ej.InputError) as error:
        ej.sweep(data, ej.MLP(), "sgd", RATES)
    assert "\n" not in str(error.value)


number = st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=3))
anything = st.one_of(
    number, st.lists(number, max_size=3), st.dictionaries(number, number, max_size=2)
)
name = st.one_of(st.sampled_from(["learning_rate", "b1", "b2", "eps", "dropout"]), number)
value = st.one_of(st.floats(0, 1), st.lists(st.floats(0, 1), max_size=3), anything)
mapping = st.dictionaries(name, value, max_size=4)
grids = st.one_of(
    mapping, st.lists(mapping, max_size=3), anything, st.builds(lambda m: m | RATES, mapping)
)


@pytest.mark.examples
@given(grid=grids, seeds=st.one_of(st.integers(1, 5), anything))
def test_any_grid_and_seeds_are_refused_in_one_line_or_meant(grid, seeds):
    try:
        made = plan(grid=grid, seeds=seeds)
    except ej.InputError as error:
        assert "\n" not in str(error)
        return
    hyper = made.hyper
    assert made.trials == len(made.grid.settings) * len(made.seeds) == math.prod(made.shape)
    assert len(set(made.seeds.tolist())) == len(made.seeds)
    assert all(v.shape == (made.trials,) for v in hyper.values())
    assert ((hyper["learning_rate"] > 0) & np.isfinite(hyper["learning_rate"])).all()
    for bounded in ("b1", "b2", "dropout"):
        if bounded in hyper:
            assert ((hyper[bounded] >= 0) & (hyper[bounded] < 1)).all()


@pytest.mark.examples
@given(
    arguments=st.fixed_dictionaries(
        {},
        optional={
            "rule": st.one_of(st.sampled_from(["sgd", "adamw"]), anything),
            "model": anything,
            "epochs": st.one_of(st.integers(-1, 3), anything),
            "batch_size": st.one_of(st.integers(-1, 40), anything),
            "metrics": anything,
            "dtype": st.one_of(st.just("float32"), anything),
            "keep": st.one_of(st.just("best"), anything),
        },
    )
)
def test_any_arguments_are_refused_in_one_line_or_meant(arguments):
    try:
        made = plan(**arguments)
    except ej.InputError as error:
        assert "\n" not in str(error)
    else:
        assert made.epochs == arguments.get("epochs", 3) >= 1
        assert 1 <= made.structure.batch_size == arguments.get("batch_size", 5) <= 30


def test_numbers_alone_are_no_data():
    with pytest.raises(ej.InputError, match=r"\[1, 2\] is no data: give \(images, labels\)"):
        ej.load([1, 2])


def test_the_command_line_gives_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    from experiments import sgd
    from experiments._main import main

    for words, reason in (
        (["--data", "glyps"], 'did you mean "glyphs"'),
        (["--learning-rate", "-0.1"], "learning_rate=-0.1 must be positive"),
        (["--learning-rate"], "learning_rate has no values"),
        (["--epochs", "0"], "epochs=0: give a whole number from 1"),
        (["--seeds", "0"], "seeds=0"),
        (["--batch-size", "100000"], "batch_size=100000 is larger than"),
    ):
        monkeypatch.setattr("sys.argv", ["sgd", "--out", str(tmp_path / "runs"), *words])
        with pytest.raises(SystemExit) as stopped:
            main(sgd.EXPERIMENT, "")
        (error,) = capsys.readouterr().err.splitlines()
        assert stopped.value.code == 2
        assert error.startswith("error: ") and reason in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--seeds", "--adam-seeds", "--convnet-epochs"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_the_paper_refuses_before_it_writes(tmp_path, monkeypatch, capsys, option, value):
    from emnist_jax.cli.options import guarded, parse
    from experiments import paper

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["paper", "--preset", "demo", option, value])
    with pytest.raises(SystemExit) as stopped:
        guarded(lambda: paper.run(parse(paper.Options, "paper", "")))
    (error,) = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2
    assert error.startswith(f"error: {option[2:].replace('-', '_')}={value}: give a whole number")
    assert list(tmp_path.iterdir()) == []
