"""Is mine better? Curves of two rules or more in, one honest sentence, table and picture out."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from emnist_jax import figures
from emnist_jax.errors import InputError, nearest
from emnist_jax.figures.tables import Table
from emnist_jax.stats import (
    best,
    diverged,
    paired,
    probability_of_improvement,
    seeds_needed,
    tuned_scores,
)
from emnist_jax.stats._inputs import require_dims, require_variables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTED = ("model_fields", "batch_size", "dtype", "precision")
"""What of the configuration may differ, but is noted where it does."""


class Pair(NamedTuple):
    """One rule less another, on the same seeds; accuracies are fractions."""

    a: str
    b: str
    difference: float
    lower: float
    upper: float
    sd: float  # of the differences
    p: float  # of the paired t test
    q: float | None  # p adjusted for the number of pairs (Benjamini and Hochberg 1995); None: one
    improvement: float  # probability that a seed of a is above a seed of b
    needed: float  # seeds that would decide, were the estimates the truth (of m pairs, at a level
    # of 1 - (1 - level) / m, which decides whatever the others are); inf: above 10,000
    level: float
    unlike: str = ""  # in what the settings that both were given differ, and what follows

    @property
    def verdict(self) -> str:
        """Return which of the two is better, or "undecided": equal differences have no spread."""
        if not self.alone or self.same or (self.q is not None and self.q > 1 - self.level):
            return "undecided"
        return f"{self.a if self.difference > 0 else self.b} is better"

    @property
    def alone(self) -> bool:
        """Return whether the interval excludes 0, whatever other pairs there are."""
        return self.lower > 0 or self.upper < 0

    @property
    def same(self) -> bool:
        """Return whether the difference is the same on every seed, to rounding."""
        return self.sd < 1e-9

    @property
    def adjusted(self) -> str:
        """Return the verdict with the q of several pairs."""
        return self.verdict + self.with_q

    @property
    def with_q(self) -> str:
        """Return the q of several pairs in brackets."""
        return "" if self.q is None else f" (q = {self.q:.2g})"

    @property
    def points(self) -> str:
        """Return the difference and its interval in points of accuracy."""
        return in_points(self.difference, self.lower, self.upper)

    @property
    def outlook(self) -> str:
        """Return how many seeds would decide."""
        return f"about {self.needed:,.0f} seeds" if isfinite(self.needed) else "over 10,000 seeds"


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; prints as a sentence a pair, shows as a table in notebooks."""

    pairs: tuple[Pair, ...]
    curves: Mapping[str, xr.Dataset]
    scores: Mapping[str, xr.DataArray]  # one tuned score a seed
    k: int  # settings each rule was given
    settings: Mapping[str, int]  # that each rule has
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return the sentences, each with its own note, then what else to keep in mind."""
        lines = []
        for pair in self.pairs:
            lines += [self._sentence(pair), *([f"  {pair.unlike}"] if pair.unlike else [])]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    __repr__ = __str__

    def _sentence(self, pair: Pair) -> str:
        after = f" after {self.k} setting{'s' * (self.k > 1)}" if self._tuned else ""
        corrected, note = "", ""
        if pair.verdict == "undecided" and pair.same:
            note = f"; {'the same' if pair.difference else 'equal'} on every seed"
        elif pair.verdict == "undecided":
            note = f"; {pair.outlook} would decide"
            if pair.alone:
                corrected = f" after correction for {len(self.pairs)} comparisons"
        verdict = f"{pair.verdict}{corrected}{pair.with_q}{note}"
        return f"{pair.a} - {pair.b}{after}: {pair.points}: {verdict}"

    @property
    def _tuned(self) -> bool:
        return max(self.settings.values()) > 1

    def table(self) -> Table:
        """Return a row a pair: difference, verdict, probability of improvement, p, seeds."""
        rows = [
            {
                "rules": f"{pair.a} - {pair.b}",
                "difference": pair.points,
                "verdict": pair.verdict,
                "P(improvement)": pair.improvement,
                "p": pair.p,
                "q": pair.q,
                "would decide": pair.outlook,
            }
            for pair in self.pairs
        ]
        return Table(rows, {"p": ".2g", "q": ".2g"})

    def _repr_html_(self) -> str:
        own = (pair.unlike for pair in self.pairs if pair.unlike)
        return self.table().html("; ".join([*own, *self.notes]))

    def plot(self) -> "Figure":
        """Draw the rules against the learning rate, and their differences with intervals."""
        differences = {
            f"{p.a} - {p.b}\n{p.adjusted}": self.scores[p.a] - self.scores[p.b] for p in self.pairs
        }
        note = f"differences: the best of {self.k}, less the winner's luck" * self._tuned
        level = self.pairs[0].level
        some = {*self.settings.values()} != {self.k}  # the panels then show other numbers
        scores = self.scores if some else None
        return figures.plot_comparison(
            self.curves, differences, level=level, scores=scores, note=note
        )


def compare(
    *curves: xr.Dataset | Mapping[str, xr.Dataset],
    against: str | None = None,
    k: int | None = None,
    epoch: int | None = None,
    level: float = 0.95,
) -> Comparison:
    """Compare learning rules, tuned alike, on the same seeds: which is better, and how sure is it?

    Each trial counts with its best epoch's validation accuracy; one without a finite accuracy
    counts as 0. Each rule's score at a seed is that of its best of k settings, less the luck of the
    winner (`stats.tuned_scores`), so that neither more settings nor lucky ones flatter. Then
    the paired t interval over seeds (`stats.paired`). Where a rule has fewer settings, or some of
    the other's values only, a note says so, with the difference of all settings. Of several pairs a
    verdict also needs a false discovery rate of at most 1 - `level`
    (`scipy.stats.false_discovery_control`).

    Args:
        *curves: of two rules or more, named by their `rule`; or one mapping {name: curves}.
        against: the rule that the others are compared with; None compares the first with each.
        k: settings each rule is given; None takes as many as the one with the fewest has.
        epoch: read all trials at this epoch instead of each one's best; 0 if not finite there.
        level: confidence level.

    Returns:
        The comparison, to print, to show in a notebook, or to `.plot()`.

    Raises:
        InputError: fewer than two rules or seeds, or curves of different data, split, epochs,
            seeds or minibatch orders, naming what differs.

    Examples:
        >>> print(compare(sgd, adam))  # doctest: +SKIP
        sgd - adam after 5 settings: -0.7 points [-3.0, 1.5]: undecided; about 54 seeds would decide
    """
    named = _named(curves)
    require_alike(named)
    if against is not None and against not in named:
        raise InputError(f'against="{against}": {nearest(against, named)}')
    first = next(iter(named))
    if epoch is not None:
        if epoch not in (epochs := named[first].epoch.values):  # the same in all
            raise InputError(f"epoch={epoch}: give one of {_listed(epochs)}")
        named = {name: one.sel(epoch=[epoch]) for name, one in named.items()}
    scores = {name: score_of(one) for name, one in named.items()}
    settings = {name: one.size // one.seed.size for name, one in scores.items()}
    k = min(settings.values()) if k is None else k
    tuned = {name: tuned_scores(score, k) for name, score in scores.items()}
    names = [(first, b) for b in named if b != first]
    if against is not None:
        names = [(a, against) for a in named if a != against]
    pairs = []
    for a, b in names:
        unlike = _unlike({a: scores[a], b: scores[b]}, k, level)
        pairs.append(_pair(a, b, tuned, level, len(names))._replace(unlike=unlike))
    if len(pairs) > 1:
        from scipy.stats import false_discovery_control

        adjusted = false_discovery_control(np.nan_to_num([pair.p for pair in pairs], nan=1.0))
        pairs = [pair._replace(q=float(q)) for pair, q in zip(pairs, adjusted, strict=True)]
    return Comparison(tuple(pairs), named, tuned, k, settings, tuple(notes_on(named)))


def score_of(curves: xr.Dataset) -> xr.DataArray:
    """Return each trial's validation accuracy at its best epoch; 0 if there is none."""
    score = best(curves).valid_accuracy.fillna(0.0)
    return score if set(score.dims) > {"seed"} else score.expand_dims("only")


def in_points(difference: float, lower: float, upper: float) -> str:
    """Return a difference of fractions as text: +0.2 points [-1.2, 1.8]."""
    shown = [100 * x for x in (difference, lower, upper)]
    digits = 1 if shown[2] - shown[1] >= 0.4 else 2
    mean, low, high = (f"{round(x, digits) + 0.0:.{digits}f}" for x in shown)
    return f"{'' if mean.startswith('-') else '+'}{mean} points [{low}, {high}]"


def by_rule(curves: Iterable[xr.Dataset]) -> dict[str, xr.Dataset]:
    """Return curves by the name of their rule, numbered where it comes again."""
    named: dict[str, xr.Dataset] = {}
    seen: Counter[str] = Counter()
    for one in curves:
        require_variables(one)
        rule = str(one.attrs.get("rule", "rule"))
        seen[rule] += 1
        named[f"{rule} ({seen[rule]})" if seen[rule] > 1 else rule] = one
    return named


def _named(given: Sequence[xr.Dataset | Mapping[str, xr.Dataset]]) -> dict[str, xr.Dataset]:
    """Return checked curves by name: as given, or the rule's."""
    mapping = len(given) == 1 and isinstance(given[0], Mapping)
    named = dict(given[0]) if mapping and not isinstance(given[0], xr.Dataset) else by_rule(given)
    if len(named) < 2:
        raise InputError("a comparison needs the curves of two rules or more: compare(mine, adam)")
    for name, one in named.items():
        require_variables(one, "valid_accuracy", "valid_error")
        require_dims(one, "seed", "epoch")
        if not {"seed", "epoch"} <= set(one.coords):
            raise InputError('curves to compare need the coordinates "seed" and "epoch"')
        if not one.indexes["seed"].is_unique:
            raise InputError(f'{name} holds a seed twice; give curves.drop_duplicates("seed")')
    return named


def require_alike(named: Mapping[str, xr.Dataset]) -> None:
    """Refuse curves that differ in what a comparison of rules must share."""
    (first, one), *others = named.items()
    for name, other in others:
        for what, remedy in {
            "data": "train both on the same data",
            "split": "train both on the same split",
            "epochs": "select those of the shorter, curves.sel(epoch=slice(0, ...))",
            "seeds": "train the missing ones, or select the common ones, curves.sel(seed=[...])",
            "minibatch order": "train both with the same order",
        }.items():
            a, b = _facts(one)[what], _facts(other)[what]
            if a is not None and b is not None and a != b:
                raise InputError(f"{first} and {name} differ in {what}: {a}, {b}; {remedy}")


def _facts(curves: xr.Dataset) -> dict[str, str | None]:
    """Return what rules that are compared must share, as text; None: not known."""
    about = {name: str(value) for name, value in curves.attrs.items()}
    order = about.get("order", "shared" if "data_hash" in about else None)
    sizes = ((part, about.get(f"{part}_images")) for part in ("train", "valid"))
    contents = [f"{number} {part} images" for part, number in sizes if number is not None]
    contents += [f"hash {about['data_hash'][:12]}"] if "data_hash" in about else []
    data = [about.get("data", ""), f"({', '.join(contents)})" if contents else ""]
    return {
        "data": " ".join(filter(None, data)) or None,
        "split": about.get("split_hash", "")[:12] or None,
        "epochs": _listed(curves.epoch.values),
        "seeds": _listed(np.sort(curves.seed.values)),
        "minibatch order": order,
    }


def _listed(values: np.ndarray) -> str:
    """Return whole numbers as `0 to 4` where they follow each other, else one by one."""
    values = [int(value) for value in values]
    if len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return " ".join(map(str, values))


def _pair(a: str, b: str, tuned: Mapping[str, xr.DataArray], level: float, pairs: int) -> Pair:
    over = paired(tuned[a], tuned[b], level=level)
    names = ("difference", "lower", "upper", "sd", "p")
    difference, lower, upper, sd, p = (float(over[name]) for name in names)
    improvement = float(probability_of_improvement(tuned[a], tuned[b], resamples=1).estimate)
    needed = seeds_needed(difference, sd, level=1 - (1 - level) / pairs)
    return Pair(a, b, difference, lower, upper, sd, p, None, improvement, needed, level)


def _unlike(scores: Mapping[str, xr.DataArray], k: int, level: float) -> str:
    """Return how unlike the settings of two rules are, and the difference with all of both."""
    count = {name: one.size // one.seed.size for name, one in scores.items()}
    differing = []
    for (a, one), (b, other) in permutations(scores.items()):
        for x in map(str, {*one.coords} & {*other.coords} - {"seed", "sample"}):
            few, many = ({*np.atleast_1d(side[x].values).tolist()} for side in (one, other))
            if few < many and (len(few), len(many)) != (count[a], count[b]):
                differing.append(f"{a} tried {len(few)} of the {len(many)} values of {x} of {b}")
    (a, n), (b, m) = count.items()
    if n != m:
        over = paired(*map(tuned_scores, scores.values()), level=level)
        points = in_points(*(float(over[name]) for name in ("difference", "lower", "upper")))
        differing.append(
            f"{a} has {n} setting{'s' * (n > 1)}, {b} {m}; each counts as the best of {k} of "
            f"its own drawn at random; with all settings of both: {points}"
        )
    return "; ".join(sorted(differing))


def notes_on(named: Mapping[str, xr.Dataset]) -> list[str]:
    """Return what a reader of the verdict should keep in mind."""
    notes, scores = [], {name: score_of(curves) for name, curves in named.items()}
    for name, curves in named.items():
        lost = diverged(curves).broadcast_like(scores[name])
        if lost.any():
            words = f"{int(lost.sum())} of {lost.size} trials of {name} diverged; each counts with"
            others = scores[name].where(~lost).mean("seed").fillna(-np.inf)
            worst = int(lost.isel(others.argmax([*others.dims])).sum())
            decides = f"; {worst} at its best setting, which decides its score" if worst else ""
            notes.append(f"{words} its best epoch before that, as 0 without one{decides}")
        if end := _best_at_end(scores[name]):
            notes.append(f"{name} is best at the {end} learning rate of its grid: widen it")
    for what in NOTED:
        found = {name: _configured(curves, what) for name, curves in named.items()}
        if len({json.dumps(value) for value in found.values() if value is not None}) > 1:
            listed = ", ".join(f"{name} {value}" for name, value in found.items())
            notes.append(f"they also differ in {what}: {listed}")
    if any("sample" in one.dims for one in scores.values()):
        notes.append("settings were drawn at random: the interval is for these, not another draw")
    if {_facts(one)["minibatch order"] for one in named.values()} - {None, "seed"}:
        notes.append("all seeds share one minibatch order: another may give another difference")
    return notes


def _configured(curves: xr.Dataset, what: str) -> object:
    return json.loads(curves.attrs.get("configuration", "{}")).get(what, curves.attrs.get(what))


def _best_at_end(score: xr.DataArray, x: str = "learning_rate") -> str | None:
    """Return "lowest" or "highest" if the best settings, but not all, lie at that end of rates."""
    if x not in score.coords or score[x].size < 2:
        return None
    mean = score.mean("seed")
    rates = score[x].broadcast_like(mean).values[mean.values == mean.values.max()]
    at = {"lowest": rates == float(score[x].min()), "highest": rates == float(score[x].max())}
    return next((end for end, there in at.items() if there.all()), None)
