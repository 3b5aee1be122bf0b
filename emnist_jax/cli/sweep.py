"""Any sweep: a model, a learning rule, the values to try, data.

    emnist-jax sweep --rule adam --learning-rate 1e-4 1e-3 --b1 0 0.9 --seeds 5 --data glyphs

VALUE is a number, or a range in quotes: "logspace(-4,-1,7)", "linspace(0,0.9,4)", or
"1-logspace(-4,-1,4)" for 0.9999 to 0.9. Several values are a dimension of the grid. With
--samples, settings are drawn at random instead: from "loguniform(1e-5,1e-1)",
"uniform(0,0.5)" and from lists. Numbers of a model of your own are options, as here.

--config FILE holds the same options, which the command line overrules:

    rule = "adam"
    learning-rate = "logspace(-4,-1,7)"
    b1 = [0, 0.9]
    batch-norm = true
"""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax import figures as draw
from emnist_jax.cli.options import start
from emnist_jax.cli.sweep_options import Chosen, parse
from emnist_jax.console import show
from emnist_jax.engine.forecast import forecast
from emnist_jax.errors import InputError
from emnist_jax.figures.images import setting_and_seeds
from emnist_jax.figures.tables import save_table, settings_table
from emnist_jax.models import describe
from emnist_jax.rules import name_of
from emnist_jax.stats import best

MOST_LINES, MOST_PANELS, MOST_SAMPLES, MOST_CELLS = 8, 4, 5, 12  # of a figure, to be readable


def command(args: Sequence[str]) -> None:
    """Run from the words of a command line."""
    chosen = parse(args, __doc__)
    if chosen is not None:
        start(chosen.options)
        run(chosen)


def run(chosen: Chosen) -> xr.Dataset | None:
    """Train the sweep, save its curves, figures and table, and print where they are.

    With `plan`, print what that would take, and train nothing.
    """
    options, folder = chosen.options, chosen.folder
    data = chosen.data()
    sweep, at_once = chosen.sweep(data), {"trials_at_once": options.trials_at_once}
    if options.plan:
        plan = forecast(sweep, data, None if options.overwrite else folder, **at_once)
        return show(plan or f"{folder}: complete, nothing to train")
    show(f"{folder}: {name_of(sweep.rule)} on {describe(sweep.model)}")
    how = {"overwrite": options.overwrite, "keep_state": options.keep_state} | at_once
    found = ej.run(sweep, data, folder, **how)
    curves, networks = found if options.keep else (found, None)
    show(folder / "curves.nc")
    shown = ranked(curves) if "sample" in curves.dims else curves
    made = figures(shown)
    if networks is not None:
        show(folder / "networks.safetensors")
        made |= figures_of_networks(networks, data, curves.attrs["rule"])
    for name, figure in made.items():
        show(draw.save_figure(figure, folder / name)[0])
    save_table(settings_table(shown), folder / "settings")
    show(f"{folder / 'settings.md'}\n\n{draw.summarise(shown)}")
    return curves


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

    The first dimension of the grid is shown by colour, a second of few values by panels; the
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
    made = {"curves": draw.plot_curves(shown, hue=hue, col=col)}
    if "learning_rate" in dims and curves.sizes["learning_rate"] > 2:
        others = [dim for dim in dims if dim != "learning_rate"]
        hue = next((dim for dim in others if curves.sizes[dim] <= MOST_LINES), None)
        shown = curves.isel({dim: top[dim] for dim in others if dim != hue})
        made["best_against_rate"] = draw.plot_best_against_rate(shown, hue=hue)
    cells = [dim for dim in dims if curves.sizes[dim] <= MOST_CELLS]
    if len(cells) > 1:
        y, x = sorted(cells, key=lambda dim: dim != "learning_rate")[:2]
        shown = curves.isel({dim: top[dim] for dim in dims if dim not in (x, y)})
        made["heatmap"] = draw.plot_heatmap(shown, x=x, y=y)
    return made


def _figures_of_samples(curves: xr.Dataset) -> dict:
    few = curves.isel(sample=slice(MOST_SAMPLES))
    made = {"curves": draw.plot_curves(few, hue="sample" if few.sizes["sample"] > 1 else None)}
    if "sample" in curves.learning_rate.dims:
        by_rate = curves.swap_dims(sample="learning_rate").sortby("learning_rate")
        made["best_against_rate"] = draw.plot_best_against_rate(by_rate)
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
    made = {"confusion": draw.plot_confusion(best.confusion(data.valid), note=about)}
    note = f"{about} · {setting_and_seeds(best.epoch, 'answering together')}"
    shown, labels = data.valid.images, data.valid.labels
    read = best.probabilities(shown).argmax("class")
    with suppress(InputError):  # no mistake to draw
        made["confused"] = draw.plot_confused_examples(shown, labels, read, data.classes, note=note)
    with suppress(InputError):  # weights that are no picture
        first = best.sel(seed=int(best.epoch.seed[0]))
        note = f"{data.name} · {trained} · {setting_and_seeds(first.epoch, '')}"
        made["weights"] = draw.plot_weights(first.parameters, note=note)
    return made


def _score(curves: xr.Dataset) -> xr.DataArray:
    """Return each setting's mean over seeds of the best validation accuracy."""
    return best(curves).valid_accuracy.mean("seed")
