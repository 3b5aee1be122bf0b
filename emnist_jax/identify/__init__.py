"""Which known learning rule an implementation is, from the steps that it takes.

Steps on fixed gradients (`steps`) are compared with the equations of known rules (`equations`),
whose hyperparameters are measured by least squares, not read from names (`readings`). Rules of
optax of other families are run as they are. `rules.identify` is the function to call.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import optax

from emnist_jax.errors import InputError
from emnist_jax.identify import readings
from emnist_jax.identify.equations import KNOWN, slips
from emnist_jax.identify.readings import Reading, digits, from_known
from emnist_jax.identify.steps import SHAPE, TOLERANCE, UPDATES, Steps, is_transformation, observe

OTHER = {"coupled": "decoupled", "decoupled": "coupled"}
RATE_NAMES = ("learning_rate", "lr", "eta", "alpha", "step_size", "rate")


class Difference(NamedTuple):
    """The first update in which a known rule changes some weight otherwise."""

    update: int  # 1 is the first
    element: tuple[int, int]  # of the matrix of weights, where it differs most
    change: float
    known: float  # the change that the known rule makes

    def __str__(self) -> str:
        where = f"update {self.update}, element {self.element}"
        pairs = ((f"{self.change:.{n}g}", f"{self.known:.{n}g}") for n in range(3, 18))
        change, known = next(pair for pair in pairs if pair[0] != pair[1])  # digits that tell
        return f"first at {where}: {change} instead of {known}"


@dataclass(frozen=True)
class Identity:
    """Which known rule an implementation is; prints as sentences.

    Attributes:
        name: the known rule, or the nearest one where `matched` is false.
        slips: in which choices it differs from that rule.
        hyperparameters: their measured values, by that rule's names.
        error: largest difference of a step to this reading, over the element's largest step.
        matched: whether all steps agree with this reading.
        arguments: which hyperparameter each argument of a rule sets, by what it changes.
        also: other readings of the same steps, where the learning rate is unknown.
        differences: the nearest known rules with their first difference, at these values.
    """

    name: str
    slips: tuple[str, ...]
    hyperparameters: dict[str, float]
    error: float
    matched: bool
    arguments: dict[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    differences: dict[str, Difference] = field(default_factory=dict)

    def __str__(self) -> str:
        what = _title(self.name, self.hyperparameters, self.slips)
        lines = [what if self.matched else f"no known rule; the nearest is {what}"]
        renamed = [f"{a} sets {h}" for a, h in self.arguments.items() if a != h]
        lines += [f"argument {', '.join(renamed)}"] if renamed else []
        lines += [f"the same steps as {other}" for other in self.also]
        lines += [f"differs from {name} {one}" for name, one in self.differences.items()]
        within = f"within {self.error:.1g} of each weight's largest step (tolerance {TOLERANCE:g})"
        if self.matched:
            lines.append(f"all {UPDATES} updates of {SHAPE[0] * SHAPE[1]} weights agree {within}")
        return "\n".join(lines)

    __repr__ = __str__


def _title(name: str, values: Mapping[str, float], words: Sequence[str]) -> str:
    numbers = ", ".join(f"{n} {v:.6g}" for n, v in values.items())
    return f"{name} with {numbers}" + (f", but {'; '.join(words)}" if words else "")


def _described(reading: Reading) -> tuple[str, dict[str, float], list[str]]:
    """Return the nearest known rule, the values by its names, and the slips in words."""
    name = list(KNOWN)[from_known(reading)[1]]
    names = KNOWN[name].names
    shown = [n for n in reading.form.numbers() if n in names or reading.values[n]]
    values = {names.get(n, n): reading.values[n] for n in ("learning_rate", *shown)}
    return name, values, slips(reading.form, reading.values, name)[1]


def _differences(reading: Reading, seen: Steps) -> dict[str, Difference]:
    found = {}
    for name, known in KNOWN.items():
        lacks = {"b1", "weight_decay", "dampening"} - {*known.names}
        changes = readings.changes_of(known.form, reading.values | dict.fromkeys(lacks, 0.0), seen)
        wrong = readings.difference(changes, seen)
        if wrong.max() > TOLERANCE:
            t = int(np.argmax(wrong.max(axis=1) > TOLERANCE))
            i = int(np.argmax(wrong[t]))
            place = tuple(map(int, np.unravel_index(i, SHAPE)))
            one = Difference(t + 1, place, float(seen.changes[t, i]), float(changes[t, i]))
            found[name] = ((wrong > TOLERANCE).mean(), one)
    order = sorted(found, key=lambda n: (slips(reading.form, reading.values, n)[0], found[n][0]))
    return {name: found[name][1] for name in order[:2]}


def _meanings(
    rule: Callable, given: Mapping[str, float], reading: Reading, names: Sequence[str]
) -> dict[str, str]:
    """Return which hyperparameter each of these arguments is: the one that changes with it."""
    known = KNOWN[list(KNOWN)[from_known(reading)[1]]].names
    other = replace(reading.form, decay=OTHER[reading.form.decay])
    found = {}
    for name in names:
        value = 0.9 * given[name] or 0.01
        try:
            seen = observe(_make(rule, name, {**given, name: value}), name)
        except InputError:  # such as a count, of which this is no value
            found[name] = "something else"
            continue
        decaying = {**reading.values, "weight_decay": value}
        starts = ((reading.form, reading.values), (reading.form, decaying), (other, decaying))
        for form, start in starts:
            values = readings.fit(form, seen, reading.values["learning_rate"], start)
            if values.fits:
                break
        new, old = values.values, reading.values
        noise = {n: 0.0 if n == "eps" else 1e-6 for n in form.numbers()}
        changed = [n for n in noise if abs(new[n] - old[n]) > 1e-3 * abs(old[n]) + noise[n]]
        if not values.fits:
            found[name] = "something else"
        elif not changed:
            found[name] = "nothing"
        else:
            found[name] = " and ".join(known.get(n, n) for n in changed)
            if changed == ["weight_decay"] and not reading.values["weight_decay"]:
                found[name] = f"{form.decay} weight_decay"
            if len(changed) == 1 and not np.isclose(new[changed[0]], value, rtol=1e-2):
                found[name] += f" (to {new[changed[0]]:.3g} where it is {value:.3g})"
    return found


def identify(
    rule: Callable | optax.GradientTransformation,
    known: Mapping[str, Callable],
    given: Mapping[str, float],
) -> Identity:
    """Return which of the `known` rules, by name, this is (see `rules.identify`).

    `rule` is a function of hyperparameters, a transformation, or an update function; `given` holds
    values of hyperparameters.
    """
    name, values, numbers, rate_name = getattr(rule, "__name__", "the rule"), given, [], None
    made = rule
    if not is_transformation(rule):
        arguments = inspect.signature(rule).parameters
        rate_name = next((argument for argument in arguments if argument in RATE_NAMES), None)
    if rate_name:
        values = {**readings.defaults_of(rule), rate_name: 0.01, **given}
        numbers = [n for n in values if n != rate_name and type(values[n]) in (int, float)]
        made = _make(rule, name, values)
    seen, rate = observe(made, name), values.get(rate_name or "learning_rate")
    best, *alike = readings.search(seen, rate)
    if not best.fits:
        likeliest = sorted(known, key=lambda n: n not in name)  # lion for my_lion
        others = {n: known[n] for n in likeliest if n not in KNOWN}
        rates = {} if rate is None else {"learning_rate": rate}
        if same := readings.search_others(seen, others, {**values, **rates}):
            return Identity(same[0], (), same[1], same[2], True)
        if rate is not None and (free := readings.search(seen, None))[0].fits:
            best, alike = free[0], []
    title, hyper, words = _described(best)
    also = {}
    if rate is None:
        near = (one for one in alike if from_known(one)[0] == from_known(best)[0])
        also = dict.fromkeys(_title(*_described(o)) for o in near if digits(o) <= digits(best) + 3)
        also.pop(_title(title, hyper, words), None)
    read = (title, tuple(words), hyper, best.error, best.fits)
    arguments = _meanings(rule, values, best, numbers) if numbers and best.fits else {}
    differences = _differences(best, seen) if words or not best.fits else {}
    return Identity(*read, arguments, tuple(also), differences)


def _make(rule: Callable, name: str, values: Mapping[str, float]) -> optax.GradientTransformation:
    try:
        made = rule(**values)
    except Exception as error:  # a user's function raises what it likes
        advice = "give its other arguments to identify, as in identify(rule, b1=0.9)"
        given = ", ".join(values)
        raise InputError(f"{name} cannot be called with {given}: {error}; {advice}") from error
    if not is_transformation(made):
        kind = type(made).__name__
        raise InputError(f"{name} returns {kind}; a rule returns a transformation of optax")
    return made
