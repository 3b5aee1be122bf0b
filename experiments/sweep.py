"""Any sweep from the command line: a model, a learning rule, the values to try, data.

python -m experiments.sweep --rule adam --learning-rate 1e-4 1e-3 --b1 0 0.9 --seeds 5 --data glyphs
"""

import sys
from contextlib import suppress

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax import rules, schedules
from emnist_jax.engine.forecast import Forecast, forecast
from emnist_jax.errors import InputError
from emnist_jax.figures import (
    plot_best_against_rate,
    plot_confused_examples,
    plot_confusion,
    plot_curves,
    plot_heatmap,
    plot_weights,
    summarise,
)
from emnist_jax.figures.images import setting_and_seeds
from emnist_jax.figures.tables import settings_table
from emnist_jax.models import describe
from emnist_jax.stats import best
from experiments._common import connect, draw, guarded, train
from experiments._sweep_options import Options, parse

MOST_LINES, MOST_PANELS, MOST_SAMPLES, MOST_CELLS = 8, 4, 5, 12  # of a figure, to be readable


def run(options: Options) -> xr.Dataset | None:
    """Train the sweep, save its curves, figures and table, and print where they are.

    With `plan`, print what that would take, and train nothing.
    """
    rule = scheduled_rule(options)
    if options.plan:
        return print(planned(options, rule))
    found = train(options, options.name, options.model, rule, options.grid, options.keep)
    curves, networks = found if options.keep else (found, None)
    folder = options.out / options.name
    print(folder / "curves.nc")
    shown = ranked(curves) if "sample" in curves.dims else curves
    made = figures(shown)
    if networks is not None:
        print(folder / "networks.safetensors")
        data = ej.load(options.data, options.split, size=options.size)
        made |= figures_of_networks(networks, data, curves.attrs["rule"])
    draw(made, {"settings": settings_table(shown)}, folder)
    print(f"{folder / 'settings.md'}\n\n{summarise(shown)}")
    return curves


def scheduled_rule(options: Options) -> str | rules.Rule:
    """Return the rule by name, or the rule with its schedule, which has to know the data's size."""
    if options.schedule == "constant":
        return schedules.warmup(options.rule, options.warmup) if options.warmup else options.rule
    data = ej.load(options.data, split=options.split, size=options.size)
    updates = schedules.steps(data, options.epochs, options.batch_size)
    return schedules.cosine(options.rule, updates, options.warmup)


def planned(options: Options, rule: str | rules.Rule) -> Forecast:
    """Return what the sweep would take."""
    return forecast(
        ej.load(options.data, split=options.split, size=options.size),
        options.model,
        rule,
        options.grid,
        seeds=options.seeds,
        epochs=options.epochs,
        batch_size=options.batch_size,
        keep=options.keep,
        trials_at_once=options.trials_at_once,
    )


# Figures and tables


def ranked(curves: xr.Dataset) -> xr.Dataset:
    """Return drawn samples, the best first, each labelled by what was drawn for it."""
    order = np.argsort(-_score(curves).fillna(-np.inf).values, kind="stable")
    curves = curves.isel(sample=order)
    drawn = [name for name, values in curves.coords.items() if values.dims == ("sample",)]
    for name in [name for name in drawn if len(set(curves[name].values)) == 1]:
        curves = curves.drop_vars(name).assign_coords({name: curves[name].values[0]})
        drawn.remove(name)
    labels = [
        " ".join([f"{number}:", *(f"{name}={curves[name].values[i]:.4g}" for name in drawn)])
        for i, number in enumerate(order)
    ]
    return curves.assign_coords(sample=labels)


def figures(curves: xr.Dataset) -> dict:
    """Return learning curves and, where there are several, accuracies against learning rates.

    The first dimension of the grid is told apart by colour, a second of few values by panels; the
    others stand at the best setting. Of two dimensions or more there is a heat map. Of ranked
    samples, the best are drawn.
    """
    if "sample" in curves.dims:
        return _figures_of_samples(curves)
    score = _score(curves).fillna(-np.inf)
    dims = [str(dim) for dim in score.dims if score.sizes[dim] > 1]
    top = score.argmax(dims) if dims else {}
    hue, col = (*dims, None, None)[:2]
    col = col if col and curves.sizes[col] <= MOST_PANELS else None
    shown = curves.isel({dim: top[dim] for dim in dims if dim not in (hue, col)})
    if hue and curves.sizes[hue] > MOST_LINES:
        spread = np.linspace(0, curves.sizes[hue] - 1, MOST_LINES).round().astype(int)
        shown = shown.isel({hue: spread})
    made = {"curves": plot_curves(shown, hue=hue, col=col)}
    if "learning_rate" in dims and curves.sizes["learning_rate"] > 2:
        others = [dim for dim in dims if dim != "learning_rate"]
        hue = next((dim for dim in others if curves.sizes[dim] <= MOST_LINES), None)
        shown = curves.isel({dim: top[dim] for dim in others if dim != hue})
        made["best_against_rate"] = plot_best_against_rate(shown, hue=hue)
    cells = [dim for dim in dims if curves.sizes[dim] <= MOST_CELLS]
    if len(cells) > 1:
        y, x = sorted(cells, key=lambda dim: dim != "learning_rate")[:2]
        shown = curves.isel({dim: top[dim] for dim in dims if dim not in (x, y)})
        made["heatmap"] = plot_heatmap(shown, x=x, y=y)
    return made


def _figures_of_samples(curves: xr.Dataset) -> dict:
    few = curves.isel(sample=slice(MOST_SAMPLES))
    made = {"curves": plot_curves(few, hue="sample" if few.sizes["sample"] > 1 else None)}
    if "sample" in curves.learning_rate.dims:
        by_rate = curves.swap_dims(sample="learning_rate").sortby("learning_rate")
        made["best_against_rate"] = plot_best_against_rate(by_rate)
        for axes in made["best_against_rate"].axes:  # neighbours differ in more than their rate
            for drawn in axes.containers:
                drawn.lines[0].set_linestyle("none")
    return made


def figures_of_networks(networks: ej.Networks, data: ej.Dataset, rule: str) -> dict:
    """Return what the best setting's networks learned and confuse, on the validation images.

    Confusions are those of all seeds' networks, counted together; examples those of the networks
    as they answer together; weights those of the first seed's.
    """
    best = networks.best_setting()
    trained = f"{rule} · {describe(best.model)}"
    about = f"{data.name} · {len(data.valid):,} validation images · {trained}"
    made = {"confusion": plot_confusion(best.confusion(data.valid), note=about)}
    note = f"{about} · {setting_and_seeds(best.epoch, 'answering together')}"
    images, labels = data.valid.images, data.valid.labels
    read = best.probabilities(images).argmax("class")
    with suppress(InputError):  # no mistake to draw
        made["confused"] = plot_confused_examples(images, labels, read, data.classes, note=note)
    with suppress(InputError):  # weights that are no picture
        first = best.sel(seed=int(best.epoch.seed[0]))
        note = f"{data.name} · {trained} · {setting_and_seeds(first.epoch, '')}"
        made["weights"] = plot_weights(first.parameters, note=note)
    return made


def _score(curves: xr.Dataset) -> xr.DataArray:
    """Return each setting's mean over seeds of the best validation accuracy."""
    return best(curves).valid_accuracy.mean("seed")


def main() -> None:
    """Run from the command line."""

    def command():
        options = parse(sys.argv[1:], __doc__)
        if options is not None:
            connect(options)
            run(options)

    guarded(command)


if __name__ == "__main__":
    main()
