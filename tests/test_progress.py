"""Progress: the best settings beside the bar, a line a minute in log files, nothing in the way."""

import io
import re
import sys

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import emnist_jax as ej
from emnist_jax._setup import _show_curves_as_tables, in_notebook
from emnist_jax.engine import progress as module
from emnist_jax.engine.progress import Progress, leaders, progress
from emnist_jax.figures import curves_summary_html
from emnist_jax.figures.notebooks import curves_html


def text_of(renderable):
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(renderable)
    return console.file.getvalue()


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that tests set by hand."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def accuracies():
    """Return (7 settings x 2 seeds, 4 epochs): setting i ends at i / 10, the last has not begun."""
    values = np.linspace(0, 1, 4) * np.repeat(np.arange(7), 2)[:, None] / 10
    values[-2:] = np.nan
    return values


def test_the_five_best_settings_are_shown_with_their_mean_curves():
    values = accuracies()
    values[10, 1] = 0.9  # the mean of 0.9 and 0.5 is the best
    values[8, 2:] = np.nan  # diverged: its other seed goes on
    names = [f"rate {i}" for i in range(7)]
    lines = [line.split(None, 2) for line in text_of(leaders(names, values)).splitlines()]
    assert [name.strip() for *_, name in lines] == [
        "rate 5",
        "rate 3",
        "rate 4",
        "rate 2",
        "rate 1",
    ]
    assert [score for score, *_ in lines] == ["70.0%", "30.0%", "26.7%", "20.0%", "10.0%"]
    curves = [curve for _, curve, _ in lines]
    assert curves[0] == "▁█▅█"  # 0, .533, .333, .5 of .533
    assert curves[1] == "▁▂▄▅"  # on the same scale


def test_epochs_to_come_are_not_drawn_and_nothing_is_shown_before_the_first():
    values = accuracies()[:4]
    values[:, 2:] = np.nan
    assert [len(line.split()[1]) for line in text_of(leaders(["a", "b"], values)).splitlines()] == [
        *(2, 2)
    ]
    assert text_of(leaders(["a", "b"], values * np.nan)).strip() == ""
    assert text_of(leaders([], values)).strip() == ""


def test_the_loop_is_not_slowed_by_drawing(clock):
    drawn = []
    show = Progress(drawn.append, True)
    show.start(1000, [f"rate {i}" for i in range(7)])
    for epoch in range(1, 1001):
        clock[0] += 0.01
        show.update(0, epoch, accuracies(), 1)
    assert len(drawn) <= 1 + 10 / module.EVERY_SECONDS + 1
    last = text_of(drawn[-1])
    assert "1000/1000" in last and "best validation accuracy 50.0%, 1 diverged" in last
    assert "rate 5" in last


def test_log_files_get_a_line_a_minute_and_the_last(clock, capsys):
    with progress(True) as show:
        show.start(100, ["a"])
        for epoch in range(1, 101):
            clock[0] += 2.5
            show.update(0, epoch, np.full((1, 3), 0.25), 0)
    at_once, *lines = capsys.readouterr().out.splitlines()
    assert at_once == "1 setting, 100 epochs each: compiling"
    assert [int(re.match(r"epoch (\d+)/100, ", line)[1]) for line in lines] == [24, 48, 72, 96, 100]
    assert lines[0] == "epoch 24/100, 1.0 min, 3.2 min left, best validation accuracy 25.0%"


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.4, "2 s"), (59, "59 s"), (90, "1.5 min"), (9000, "2.5 h")]
)
def test_times_are_in_a_unit_that_suits(seconds, text):
    assert module.duration(seconds) == text


def test_epochs_are_counted_in_each_chunk(clock, capsys):
    drawn = []
    for show in (Progress(None, True), Progress(lambda what: drawn.append(text_of(what)), True)):
        show.start(3, ["a"], [0, 0])
        for chunk, epoch in np.ndindex(2, 4):
            clock[0] += 100
            show.update(chunk, epoch, np.full((1, 3), 0.25), 0)
    expected = [f"{n}/3, chunk {c}/2" for c in (1, 2) for n in range(4)]
    lines = capsys.readouterr().out.splitlines()
    for said in (lines[1:], drawn[1:]):
        assert [re.search(r"epoch (\d/3, chunk \d/2)", line)[1] for line in said] == expected


def test_the_time_left_is_that_of_epochs_to_train(clock, capsys):
    show = Progress(None, True)
    show.start(10, ["a"], [10, 8, 4])  # a chunk is whole, two go on
    for chunk, epoch in [(1, 9), (1, 10), (2, 5)]:
        clock[0] += 60
        show.update(chunk, epoch, np.full((1, 3), 0.25), 0)
    left = re.findall(r"([\d.]+) min left", capsys.readouterr().out)
    assert left == ["7.0", "6.0", "5.0"]  # of 2 and 6 epochs


def test_a_terminal_shows_bar_and_settings_in_place(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("emnist_jax.engine.progress.in_notebook", lambda: False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress(True) as show:
        show.start(2, ["b1 0.9", "b1 0"])
        show.update(0, 2, accuracies()[2:6], 0)
    said = terminal.getvalue()
    assert "2/2" in said and "b1 0" in said and "20.0%" in said
    assert "\x1b[" in said


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_without_the_characters_gets_lines(encoding, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("emnist_jax.engine.progress.in_notebook", lambda: False)
    with progress(True) as show:
        assert (show.draw is not None) == (encoding == "utf-8")


def test_nothing_is_shown_if_not_wanted(capsys, clock):
    with progress(False) as show:
        show.start(1)
        clock[0] += 1000
        show.update(0, 1, accuracies(), 0)
    assert not capsys.readouterr().out


def test_a_notebook_cell_is_redrawn_without_widgets(monkeypatch, clock):
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")

    pages = []

    class Cell:
        def update(self, page):
            pages.append(page.data)

    monkeypatch.setattr("emnist_jax.engine.progress.in_notebook", lambda: True)
    monkeypatch.setattr(display, "display", lambda *_, display_id: Cell())
    with progress(True) as show:
        show.start(2, ["b1 0.9", "b1 <0>"])
        show.update(0, 2, accuracies()[2:6], 0)
    assert "2/2" in pages[-1] and "b1 &lt;0&gt;" in pages[-1]
    assert pages[-1].startswith("<pre")


def test_settings_are_named_by_what_they_differ_in(capsys, monkeypatch):
    named = []
    start = Progress.start
    monkeypatch.setattr(
        Progress,
        "start",
        lambda self, epochs, names, *rest: (named.append(names), start(self, epochs, names, *rest)),
    )
    data = ej.load("glyphs", size=188)
    for grid in ({"learning_rate": [0.1, 0.01], "b1": 0.9}, {"learning_rate": 0.1}):
        ej.sweep(data, ej.MLP((4,)), "adam", grid, seeds=1, epochs=1)
    assert named == [["learning_rate 0.1", "learning_rate 0.01"], ["adam"]]


# Curves in notebooks


def some_curves():
    values = np.random.default_rng(0).random((2, 3, 4))
    dims = ("learning_rate", "seed", "epoch")
    names = ("valid_accuracy", "valid_error")
    return xr.Dataset(
        dict.fromkeys(names, (dims, values)),
        {"learning_rate": [0.1, 0.01], "seed": range(3), "epoch": range(4)},
        {"data": "glyphs"},
    )


@pytest.fixture
def shell():
    """Return an IPython shell of this test alone, as `get_ipython` returns it."""
    pytest.importorskip("IPython", reason="IPython is not installed")
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()


def test_ipython_shows_curves_as_a_table_and_other_datasets_as_xarray_does(shell):
    _show_curves_as_tables()
    show = shell.display_formatter.format
    curves, other = some_curves(), xr.Dataset({"a": ("x", [1, 2])})
    shown, _ = show(curves)
    assert curves_summary_html(curves) in shown["text/html"]
    assert "<details>" in shown["text/html"] and "valid_accuracy" in shown["text/html"]
    assert shown["text/plain"] == repr(curves)
    shown, _ = show(other)
    assert shown["text/html"].split("</style>")[0] == other._repr_html_().split("</style>")[0]
    assert "<caption>" not in shown["text/html"]


@pytest.mark.parametrize(
    "change",
    [
        lambda curves: curves.max("epoch"),
        lambda curves: curves.drop_vars("valid_error"),
        lambda curves: curves.assign(valid_accuracy=("x", [1.0, 2.0])),
    ],
)
def test_what_only_resembles_curves_is_shown_as_xarray_does(change):
    assert "<caption>" not in curves_html(change(some_curves()))


def test_parts_of_curves_are_shown_as_tables_too():
    for curves in (some_curves().isel(seed=0), some_curves().sel(learning_rate=0.1)):
        assert "<caption>glyphs" in curves_html(curves)


def test_a_notebook_is_recognised_by_its_kernel_not_by_imports(monkeypatch):
    import ipykernel  # noqa: F401 - as whoever starts a notebook has done

    assert not in_notebook()
    shell = type("Shell", (), {"kernel": object()})()
    monkeypatch.setitem(sys.modules, "IPython", type("IPython", (), {"get_ipython": lambda: shell}))
    assert in_notebook()
