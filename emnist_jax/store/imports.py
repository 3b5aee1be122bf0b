"""Results of other programs as curves: a tidy CSV file, or DeepOBS's JSON files."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from emnist_jax.errors import InputError
from emnist_jax.store.files import located

LABELS = ("rule", "seed", "epoch")
_DEEPOBS = {"losses": "error", "accuracies": "accuracy"}


def curves_from(path: str | Path, rename: Mapping[str, str] | None = None) -> dict[str, xr.Dataset]:
    """Return the per-seed results of other programs as curves by rule, ready for `compare`.

    A CSV file is tidy: a row an epoch of a trial. Columns: `seed`; `valid_accuracy`, as a fraction;
    and, where there are any, `epoch` (absent: final results, epoch 0), `rule` (absent: the file's
    name), further curves (`train_accuracy`, `valid_error`, ...), and hyperparameters: every other
    column of numbers. Text that is the same for all of a rule, such as `data`, becomes an
    attribute. Where the settings are no full grid they get the dimension `sample`. What
    `export.to_csv` writes is read back.

    A folder is one test problem of DeepOBS (Schneider et al. 2019), `<optimizer>/<setting>/*.json`;
    files of an older run with the same seed are passed over. Settings that were not run with all
    seeds of their optimizer, as in a search on one seed, are left out, which `attrs["left_out"]`
    counts. Without a validation part (DeepOBS before 1.2) its test part stands in.

    Without `valid_error`, which breaks ties between epochs, it is 1 - `valid_accuracy`.

    Args:
        path: the file or folder.
        rename: names of its columns to the names above, such as {"optimizer": "rule"}.

    Returns:
        Curves by the name of the rule.

    Raises:
        InputError: no such file, columns that are missing, accuracies in percent, or trials that
            are missing or there twice.
    """
    path = located(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    table = _deepobs(path) if path.is_dir() else _csv(path)
    table = table.rename(columns=dict(rename or {}))
    if "rule" not in table:
        table["rule"] = path.name.split(".")[0]
    if "epoch" not in table:
        table["epoch"] = 0
    for name in ("seed", "valid_accuracy"):
        if name not in table:
            listed = ", ".join(map(str, table.columns))
            raise InputError(f"{path}: no column {name}; rename one of: {listed}")
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise InputError(f"{path}: column {name} holds other than numbers")
    if not table.valid_accuracy.dropna().between(0, 1).all():
        raise InputError(f"{path}: accuracies are fractions from 0 to 1; divide per cent by 100")
    if "valid_error" not in table:
        table["valid_error"] = 1 - table.valid_accuracy
    groups = table.groupby("rule", sort=False)
    return {str(rule): _curves(rows, f"{path}: {rule}", path.is_dir()) for rule, rows in groups}


def _csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (ValueError, OSError) as error:  # what pandas raises for files that are no tables
        raise InputError(f"{path}: not readable as CSV: {error}") from error


def _curves(rows: pd.DataFrame, what: str, partial: bool) -> xr.Dataset:
    """Return one rule's rows as curves; `partial`: leave out settings without all seeds."""
    text = rows.select_dtypes(exclude="number")
    attrs = {name: str(text[name].iloc[0]) for name in text if text[name].nunique() == 1}
    numbers = rows.dropna(axis="columns", how="all").select_dtypes("number")
    curves = [name for name in numbers if name.endswith(("_accuracy", "_error"))]
    names = [name for name in numbers if name not in (*LABELS, *curves)]
    rows = rows[[*names, "seed", "epoch", *curves]]
    varied = [name for name in names if rows[name].nunique(dropna=False) > 1]
    left_out = 0
    if partial and varied:
        seeds = rows.groupby(varied, dropna=False).seed.transform("nunique")
        settings = rows[varied].drop_duplicates()
        rows = rows[seeds == seeds.max()]
        left_out = len(settings) - len(rows[varied].drop_duplicates())
        varied = [name for name in varied if rows[name].nunique() > 1]
    settings = rows[varied].drop_duplicates()
    n = len(settings) if varied else 1
    grid = n == np.prod([settings[name].nunique() for name in varied])
    dims = varied if grid else ["sample"]
    if not grid:
        rows = rows.assign(sample=rows.groupby(varied, sort=False, dropna=False).ngroup())
    index = [*dims, "seed", "epoch"]
    needed = n * rows.seed.nunique() * rows.epoch.nunique()
    if len(rows) != needed or rows.duplicated(index).any():
        counts = f"{n} settings x {rows.seed.nunique()} seeds x {rows.epoch.nunique()} epochs"
        raise InputError(f"{what} has {len(rows)} rows, not one for each of {counts}")
    found = rows.set_index(index)[curves].to_xarray()
    if not grid:
        columns = {name: ("sample", settings[name].to_numpy()) for name in varied}
        found = found.drop_vars("sample").assign_coords(columns)
    fixed = {name: rows[name].iloc[0] for name in names if name not in varied}
    attrs |= {"left_out": left_out} if left_out else {}
    return found.assign_coords(fixed).assign_attrs(attrs)


def _deepobs(folder: Path) -> pd.DataFrame:
    """Return the runs below a folder as a tidy table."""
    tables, problems = {}, set()
    for path in sorted(folder.rglob("*.json")):
        try:
            run = json.loads(path.read_text())
            problems.add(run["testproblem"])
            parts = ("train", "valid") if run.get("valid_accuracies") else ("train", "test")
            columns = {
                f"{name}_{quantity}": run[f"{part}_{key}"]
                for name, part in zip(("train", "valid"), parts, strict=True)
                for key, quantity in _DEEPOBS.items()
            }
            table = pd.DataFrame(columns)
            rule = run["optimizer_name"] if "optimizer_name" in run else run["optimizer"]
            given = run["optimizer_hyperparams"] if "optimizer_name" in run else run["hyperparams"]
            if "learning_rate" in run:
                given = given | {"learning_rate": run["learning_rate"]}
            given = {{"lr": "learning_rate"}.get(name, name): x for name, x in given.items()}
            key = (rule, json.dumps(given, sort_keys=True), run["random_seed"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a run of DeepOBS with accuracies: {error!r}") from error
        numbers = {n: float(v) for n, v in given.items() if isinstance(v, int | float)}
        labels = {"data": run["testproblem"], "rule": rule}
        labels |= {"seed": run["random_seed"], "epoch": range(len(table))}
        tables[key] = table.assign(**labels, **numbers)  # names end in dates: the latest stays
    if len(problems) != 1:
        listed = ", ".join(sorted(problems)) or "no JSON file"
        raise InputError(f"{folder}: give the folder of one test problem; it holds {listed}")
    return pd.concat(tables.values(), ignore_index=True)
