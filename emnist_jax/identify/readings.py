"""The known equations, and their hyperparameters, that take the steps observed."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from emnist_jax.identify.equations import KNOWN, Form, directions, forms, slips
from emnist_jax.identify.steps import TOLERANCE, UPDATES, Steps, replay

MOST_FITS = 30  # forms beside the known ones whose hyperparameters are measured
MOST_DECAY = 1 - 9.9e-5  # b1 and b2 nearer to 1: their mean is a sum in so few updates
USUAL = {  # the values that a measurement begins with
    "b1": (0.9, 0.0, 0.5),
    "b2": (0.999, 0.9, 0.99),
    "eps": tuple(10.0**-i for i in (8, *range(1, 16))),
    "initial": (0.1, 1.0, 1e-3),
    "weight_decay": (0.0, 1e-4, 1e-2, 0.1),
    "dampening": (0.0, 0.5, 0.9),
}


class Reading(NamedTuple):
    """Equations with their numbers, and how far they are from the steps observed."""

    form: Form
    values: dict[str, float]
    error: float  # the largest difference, relative to the element's largest step
    share: float  # of steps that differ by more than the tolerance

    @property
    def fits(self) -> bool:
        """Return whether no step differs by more than the tolerance."""
        return self.error <= TOLERANCE


def changes_of(form: Form, values: Mapping[str, float], seen: Steps) -> np.ndarray:
    """Return the changes that the equations make of the weights observed."""
    with np.errstate(all="ignore"):
        step = directions(form, values, seen.theta, seen.grads)
        if form.decay == "decoupled":
            step = step + values["weight_decay"] * seen.theta
        return -values["learning_rate"] * step


def difference(changes: np.ndarray, seen: Steps) -> np.ndarray:
    """Return how far changes are from those observed, over the element's largest one."""
    return np.nan_to_num(np.abs(changes - seen.changes) / seen.scale, nan=1e3, posinf=1e3)


def _off(changes: np.ndarray, seen: Steps) -> np.ndarray:
    """Return differences of at most 1: one step far off counts little more than one just off."""
    r = np.minimum(difference(changes, seen), 1e3)
    return r / np.sqrt(1 + r**2)


def _read(form: Form, values: Mapping[str, float], seen: Steps) -> Reading:
    off = difference(changes_of(form, values, seen), seen)
    return Reading(form, dict(values), float(off.max()), float((off > TOLERANCE).mean()))


def _solve_linear(
    form: Form, values: dict, seen: Steps, rate: float | None
) -> tuple[dict, np.ndarray]:
    """Return the values with the rate, if it is unknown, and decoupled decay by least squares.

    The second is what the equations make of the weights with them.
    """
    decoupled = form.decay == "decoupled"
    with np.errstate(all="ignore"):
        step = np.nan_to_num(directions(form, values, seen.theta, seen.grads), posinf=1e9)
        x, w, y = (np.clip(a / seen.scale, -1e9, 1e9) for a in (-step, -seen.theta, seen.changes))
    columns = [x, w] if decoupled else [x]
    y = y - rate * columns.pop(0) if rate is not None else y
    found = [] if rate is None else [rate]
    if columns:
        table = np.stack([c.ravel() for c in columns], axis=1)
        found += np.linalg.lstsq(table, y.ravel())[0].tolist()
    rate = found[0] or 1e-300
    decay = found[1] / rate if decoupled else values["weight_decay"]
    changes = -rate * (step + decay * seen.theta if decoupled else step)
    return {**values, "learning_rate": rate, "weight_decay": decay}, changes


_DECAYS, _SCALES = ("b1", "b2"), ("eps", "initial")  # measured by logarithms: of 1 - b, of eps
_TO = dict.fromkeys(_DECAYS, lambda b: np.log1p(-b)) | dict.fromkeys(_SCALES, np.log)
_FROM = dict.fromkeys(_DECAYS, lambda x: -np.expm1(x)) | dict.fromkeys(_SCALES, np.exp)


def fit(form: Form, seen: Steps, rate: float | None, start: Mapping[str, float]) -> Reading:
    """Return the form with the hyperparameters that come closest to the steps observed.

    `rate` is the learning rate where it is known; `start` holds values to begin with, and where it
    has none, the best of the usual ones is taken.
    """
    from scipy.optimize import least_squares  # .2 s, which a sweep need not wait for

    names = [n for n in form.numbers() if n != "weight_decay" or form.decay == "coupled"]

    def off(values):
        return _off(_solve_linear(form, values, seen, rate)[1], seen)

    values = {name: usual[0] for name, usual in USUAL.items()} | dict(start)
    for name in [name for name in names if name not in start] * 2:
        values[name] = min(USUAL[name], key=lambda v, name=name: off({**values, name: v}).sum())

    def values_at(x):
        x = np.clip(x, -50, 50)
        moved = {n: float(_FROM.get(n, float)(v)) for n, v in zip(names, x, strict=True)}
        return {**values, **moved}

    def solve():
        first = [_TO.get(n, float)(values[n]) for n in names]
        found = least_squares(lambda x: off(values_at(x)).ravel(), first, method="lm", max_nfev=100)
        solved = values_at(found.x)
        solved |= {n: min(solved[n], MOST_DECAY) for n in _DECAYS}
        return _read(form, _solve_linear(form, solved, seen, rate)[0], seen)

    reading = solve()
    if not reading.fits and reading.values["b2"] == MOST_DECAY:  # where the equations are flat
        values["b2"] = 0.9
        reading = min(reading, solve(), key=lambda one: one.share)
    return reading


def from_known(reading: Reading) -> tuple[int, int]:
    """Return in how many choices the nearest known rule differs, and its place in `KNOWN`."""
    return min((slips(reading.form, reading.values, n)[0], i) for i, n in enumerate(KNOWN))


def _simplest(reading: Reading, seen: Steps) -> Reading:
    """Return the reading with the roundest numbers, and nearest to a known rule, that fits."""
    for name in ("learning_rate", *reading.form.numbers()):
        value, decays = reading.values[name], name in _DECAYS
        options = [0.0] if name in ("b1", "weight_decay", "dampening") else []
        for places in range(1, 7):
            rounded = float(f"{1 - value if decays else value:.{places}g}")
            options.append(round(1 - rounded, 9) if decays else rounded)
        tried = [_read(reading.form, {**reading.values, name: one}, seen) for one in options]
        reading = next((one for one in tried if one.share <= reading.share), reading)
    same = (_read(form, reading.values, seen) for form in forms())
    return min((one for one in same if one.share <= reading.share), key=from_known, default=reading)


def digits(reading: Reading) -> int:
    """Return how many digits the reading's numbers have: who writes a rule takes round ones."""
    names = ("learning_rate", *reading.form.numbers())
    return sum(len(f"{reading.values[name]:.6g}".replace("0", "")) for name in names)


def search(seen: Steps, rate: float | None) -> list[Reading]:
    """Return the readings that fit, likeliest first; where none does, only the nearest one."""
    known = list(dict.fromkeys(known.form for known in KNOWN.values()))
    readings = []
    for form in known:
        readings.append(fit(form, seen, rate, {}))
        if readings[-1].fits and rate is not None:  # else others may fit at another rate
            break
    if not any(one.fits for one in readings):
        usual = {name: values[0] for name, values in USUAL.items()}
        others = [{"weight_decay": 1e-3}, {"weight_decay": 0.1}, {"b1": 0.0}, {"b2": 0.9}]
        others += [{"b2": 0.99}, {"b2": 0.9, "eps": 1e-4}]
        starts = [min(readings, key=lambda one: one.share).values, usual]
        starts += [{**usual, **other} for other in others]
        first = Steps(*(a[:5] for a in seen[:3]), seen.scale)

        def far(form):
            tried = (_solve_linear(form, start, first, rate)[1] for start in starts)
            return min(_off(changes, first).sum() for changes in tried)

        for form in sorted((form for form in forms() if form not in known), key=far)[:MOST_FITS]:
            readings.append(fit(form, seen, rate, {}))
            if readings[-1].fits:
                if rate is None:  # damping is a matter of the rate
                    readings.append(fit(replace(form, damped=not form.damped), seen, rate, {}))
                break
    fitting = [_simplest(one, seen) for one in readings if one.fits]
    if not fitting:
        return [_simplest(min(readings, key=lambda one: one.share), seen)]
    return sorted(fitting, key=lambda one: (from_known(one)[0], digits(one), from_known(one)[1]))


def search_others(
    seen: Steps, others: Mapping[str, Callable], values: Mapping[str, float]
) -> tuple[str, dict[str, float], float] | None:
    """Return the first of other rules that takes these steps, its numbers, and the difference.

    The others are run with their defaults but for `values`: hyperparameters of the rule observed,
    by name. Of those it lacks, one, then all are tried at 0, which switches them off, and one at a
    value of another name. The learning rate is measured if it is not among them.
    """
    plain = {_squashed(name): value for name, value in values.items()}
    tried = []
    for name, function in others.items():
        own = {n: v for n, v in defaults_of(function).items() if n != "learning_rate"}
        given = {n: plain.get(_squashed(n), v) for n, v in own.items()}
        lacks = [n for n in own if _squashed(n) not in plain]
        rest = [v for n, v in values.items() if _squashed(n) not in map(_squashed, own)]
        numbers = [v for v in rest if type(v) in (int, float) and v != values.get("learning_rate")]
        changes = [{}, *({n: v} for n in lacks for v in (0 * own[n], *numbers) if v != own[n])]
        changes += [{n: 0 * own[n] for n in lacks}]
        tried += [(len(some), name, {"learning_rate": 0.01, **given, **some}) for some in changes]
    for _, name, numbers in sorted(tried, key=lambda one: one[0]):
        error = _error(others[name], numbers, seen, values.get("learning_rate"))
        if error <= TOLERANCE:
            return name, numbers, error
    return None


def _error(function: Callable, numbers: dict, seen: Steps, rate: float | None) -> float:
    """Return how far a rule's steps are from those observed; inf where it cannot take them.

    The learning rate is put into `numbers`: as given, or measured.
    """
    with suppress(Exception), warnings.catch_warnings():  # it needs other arguments: no match
        warnings.simplefilter("ignore")
        numbers["learning_rate"] = rate or numbers["learning_rate"]
        one = replay(function(**numbers), seen, 1)[0]
        if rate is None:
            numbers["learning_rate"] *= float(np.median((seen.changes[0] / one)[one != 0]))
            one = replay(function(**numbers), seen, 1)[0]
        if (np.abs(one - seen.changes[0]) / seen.scale).max() <= TOLERANCE:
            return float(difference(replay(function(**numbers), seen, UPDATES), seen).max())
    return np.inf


def _squashed(name: str) -> str:
    """Return b1 for beta1 and beta_1: one name for what arguments are called."""
    return name.replace("beta", "b").replace("epsilon", "eps").replace("_", "")


def defaults_of(rule: Callable) -> dict[str, float]:
    """Return the arguments of a rule that have a number as default."""
    arguments = inspect.signature(rule).parameters.values()
    return {a.name: a.default for a in arguments if type(a.default) in (int, float)}
