"""Curves in notebooks: a table of the settings, with all that xarray shows folded below it."""

import xarray as xr

from emnist_jax.figures.tables import curves_summary_html


def curves_html(dataset: xr.Dataset) -> str:
    """Return the table of `curves_summary_html` if a dataset holds curves, else xarray's own."""
    usual = dataset._repr_html_()
    if not {"valid_accuracy", "valid_error"} <= set(dataset) or "epoch" not in dataset.dims:
        return usual
    try:
        table = curves_summary_html(dataset)
    except ValueError:  # curves of an unusual kind
        return usual
    return f"{table}<details><summary>dimensions, values, provenance</summary>{usual}</details>"
