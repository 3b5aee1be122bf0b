"""Settings of a sweep: the grid a caller writes, checked and laid out as trials."""

import itertools
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flax.linen as nn
import numpy as np

from emnist_jax import rules
from emnist_jax.errors import InputError, check_count, nearest, short
from emnist_jax.models import model_fields

GridLike = Mapping[str, float | Sequence[float]] | Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Grid:
    """Settings in the order they are trained, and the dimensions that label their curves."""

    dims: tuple[str, ...]
    coords: dict[str, tuple[tuple[str, ...], np.ndarray]]  # name -> (dims, values)
    settings: tuple[dict[str, float], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of each dimension."""
        coords, samples = self.coords, len(self.settings)  # `sample` has no labels of its own
        return tuple(len(coords[dim][1]) if dim in coords else samples for dim in self.dims)


def make_grid(grid: GridLike, rule: rules.Rule, model: nn.Module, dtype: str = "float32") -> Grid:
    """Return the settings of a grid: the product of its lists, or the settings listed one by one.

    A grid is a mapping of hyperparameters to numbers or lists of them (a list becomes a dimension),
    or a list of whole settings (dimension `sample`). The names are arguments of the rule or numeric
    fields of the model (such as `dropout`). An empty grid, an unknown name, and a value that is
    listed twice or out of range, be it in the `dtype` it is trained with, are an `InputError`.
    """
    listed = isinstance(grid, Sequence) and all(isinstance(one, Mapping) for one in grid)
    if not (listed or isinstance(grid, Mapping)):
        raise InputError(f"grid={short(grid)}: give {{name: values}}, or a list of mappings")
    made = _product(grid) if isinstance(grid, Mapping) else _listed(grid)
    if not grid or not made.settings:
        raise InputError('the grid is empty; give at least {"learning_rate": [0.1]}')
    _check_names(made.settings[0], rule, model)
    for setting in made.settings:
        for name, value in setting.items():
            _check_value(name, value, dtype)
    return made


def _check_value(name: str, value: float, dtype: str) -> None:
    rules.check_value(name, value)
    with np.errstate(over="ignore"):
        rounded = float(np.dtype(dtype).type(value))
    try:
        rules.check_value(name, rounded)
    except InputError as error:  # b2 = 1 - 1e-9 is 1 in float32
        raise InputError(f"{name}={value!r} is not possible in {dtype}: {error}") from None


def _product(grid: Mapping[str, float | Sequence[float]]) -> Grid:
    lists = {name: np.atleast_1d(_floats(name, values)) for name, values in grid.items()}
    for name, values in lists.items():
        if len(values) == 0:
            raise InputError(f"{name} has no values; give at least one")
        if len(set(values.tolist())) < len(values):
            raise InputError(f"{name} lists a value twice: {_plain(values)}")
    dims = tuple(name for name, values in grid.items() if np.ndim(values) == 1)
    coords = {
        name: ((name,), values) if name in dims else ((), values[0])
        for name, values in lists.items()
    }
    product = itertools.product(*(values.tolist() for values in lists.values()))
    return Grid(dims, coords, tuple(dict(zip(lists, values, strict=True)) for values in product))


def _listed(settings: Sequence[Mapping[str, float]]) -> Grid:
    names = list(settings[0]) if settings else []
    for setting in settings:
        if set(setting) != set(names):
            raise InputError(f"settings differ in their hyperparameters: {names}, {list(setting)}")
    columns = {name: _floats(name, [s[name] for s in settings]) for name in names}
    coords = {name: (("sample",), values) for name, values in columns.items()}
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return Grid(("sample",), coords, tuple(dict(zip(names, row, strict=True)) for row in rows))


def _floats(name: str, values: object) -> np.ndarray:
    """Return values as float64, refusing what is not a number (text, truth values, None)."""
    try:
        listed = np.asarray(values, dtype=object)
    except ValueError:  # nested lists of unequal lengths
        raise InputError(f"{name}: give a number or a flat list") from None
    if listed.ndim > 1:
        raise InputError(f"{name} has {listed.ndim} dimensions; give a number or a flat list")
    for value in np.atleast_1d(listed):
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
            raise InputError(f"{name}={short(value)} is not a number")
    try:
        return listed.astype(np.float64)
    except OverflowError:
        raise InputError(f"{name} lists a number too large for a float") from None


def _check_names(setting: Mapping[str, float], rule: rules.Rule, model: nn.Module) -> None:
    arguments, fields = rules.hyperparameters(rule), model_fields(model)
    for name in setting:
        if name not in arguments and name not in fields:
            known = nearest(str(name), {*arguments, *fields})
            raise InputError(f'{rules.name_of(rule)} has no hyperparameter "{name}": {known}')
        if isinstance(arguments.get(name), bool | str):
            raise InputError(
                f"{name} of {rules.name_of(rule)} is not a number; give "
                f"rule=functools.partial(..., {name}=...) instead of a grid"
            )
    for name, default in arguments.items():
        if default is rules.REQUIRED and name not in setting:
            raise InputError(f'the grid gives no {name}; add {{"{name}": [...]}}')


def check_seeds(seeds: int | Sequence[int]) -> np.ndarray:
    """Return the seeds as int32: 0..n-1 of a number n, or the list itself.

    No seed, a seed twice, or a seed outside 0..2^31-1 is an `InputError`.
    """
    if isinstance(seeds, numbers.Integral) and not isinstance(seeds, bool):
        check_count("seeds", seeds)
        seeds = range(int(seeds))
    flat = isinstance(seeds, Sequence) or (isinstance(seeds, np.ndarray) and seeds.ndim == 1)
    listed = list(seeds) if flat else [None]
    if not all(isinstance(s, numbers.Integral) and not isinstance(s, bool) for s in listed):
        raise InputError(f"seeds={short(seeds)}: give a whole number or a list of whole numbers")
    if not listed:
        raise InputError("seeds is empty: give at least one seed")
    if len(set(listed)) < len(listed):
        raise InputError(f"seeds lists a seed twice: {_plain(listed)}")
    if min(listed) < 0 or max(listed) >= 2**31:
        raise InputError(f"seeds must lie in 0..2147483647: {_plain(listed)}")
    return np.asarray(listed, dtype=np.int32)


def _plain(values: Sequence[float] | np.ndarray) -> str:
    return ", ".join(f"{value:g}" for value in values)
