"""The options of `emnist-jax sweep`, which depend on the rule and the model, and their values."""

import inspect
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import tyro
from flax import linen as nn

import emnist_jax as ej
from emnist_jax import rules, schedules
from emnist_jax.cli import options as common
from emnist_jax.cli.options import flag, flags, option, parse_known
from emnist_jax.cli.parts import find_model, find_rule, first_paragraph, is_own, show_list
from emnist_jax.data.pictures import BACKGROUNDS
from emnist_jax.engine import ranges
from emnist_jax.engine.grid import GridLike, check_seeds, make_grid
from emnist_jax.engine.job import KEEP, PRECISIONS
from emnist_jax.errors import InputError, check_count, nearest
from emnist_jax.models import model_fields
from emnist_jax.watch import NAMES as WATCHED

PROG = "emnist-jax sweep"


@dataclass(frozen=True)
class _First:
    """The options on which the others depend, and the one that trains nothing."""

    config: option(Path | None, "none", "FILE") = None
    """a TOML file of options, see above"""
    rule: option(str | None, "adam", "NAME") = None
    """learning rule, see --list, or your own: file.py:function"""
    model: option(str | None, "mlp", "NAME") = None
    """mlp or convnet, or your own: file.py:Class"""
    list: option(Literal["rules", "models", "data"] | None, "train", "{rules,models,data}") = None
    """print what there is of rules, models or data, and train nothing"""


@dataclass(frozen=True)
class Options(common.Options, _First):
    """The options of every sweep; each rule and model adds its own."""

    background: Literal[BACKGROUNDS] = "white"
    """what transparent pixels of image files lie on"""
    transposed: option(Literal["yes", "no"] | None, "EMNIST's files", "{yes,no}") = None
    """whether the images of IDX and other files of arrays lie transposed"""
    seeds: tuple[int, ...] = (ej.Sweep.seeds,)
    """random initialisations of every setting: how many, or which, as in 3 5 7"""
    samples: option(int | None, "a grid", "INT") = None
    """draw so many settings instead of a grid"""
    sample_seed: int = 0
    """of the draw"""
    sampler: Literal[ranges.SAMPLERS] = "random"
    """of the draw: random, or the more even sequences of Sobol or Halton"""
    schedule: Literal["constant", "cosine"] = "constant"
    """of the learning rate"""
    warmup: int = 0
    """updates over which it first rises"""
    order: option(str, metavar="seed or INT") = ej.Sweep.order
    """of the minibatches: each seed's own, or this one for all seeds"""
    precision: Literal[PRECISIONS] = ej.Sweep.precision
    """of matrix products"""
    watch: tuple[Literal[WATCHED], ...] = ej.Sweep.watch
    """diagnostics of the training to record, means over an epoch's updates"""
    keep: option(tuple[str, ...] | None, "none", f"{{{','.join(KEEP)}}} or INT ...") = None
    """keep every trial's network, to predict with: as it was at its best epoch, by validation
    accuracy or error, at the end, or at these epochs"""
    name: option(str | None, "the rule's name", "TEXT") = None
    """results go to OUT/NAME"""
    plan: bool = False
    """print what the sweep would take, and train nothing"""


class Chosen(NamedTuple):
    """The parsed options."""

    options: Options
    model: nn.Module
    rule: str | rules.Rule
    grid: GridLike

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.options.out / (self.options.name or rules.name_of(self.rule))

    def data(self) -> ej.Dataset:
        """Return the data, loaded."""
        options = self.options
        transposed = {"yes": True, "no": False}.get(options.transposed)
        how = {"size": options.size, "background": options.background, "transposed": transposed}
        return ej.load(options.data, options.split, **how)

    def sweep(self, data: ej.Dataset) -> ej.Sweep:
        """Return the sweep; a schedule depends on the number of training images."""
        options, rule = self.options, self.rule
        if options.schedule == "cosine":
            updates = schedules.steps(data, options.epochs, options.batch_size)
            rule = schedules.cosine(rule, updates, options.warmup)
        elif options.warmup:
            rule = schedules.warmup(rule, options.warmup)
        order = int(options.order) if options.order.isdecimal() else options.order
        seeds, keep = _seeds(options.seeds), _keep(options.keep)
        how = {n: getattr(options, n) for n in ("epochs", "batch_size", "precision", "watch")}
        return ej.Sweep(self.model, rule, self.grid, seeds, order=order, keep=keep, **how)


def parse(args: Sequence[str], about: str = "") -> Chosen | None:
    """Parse a command line; None if `--list` was given and has been printed.

    An unknown option or name, or an invalid value is an `InputError`.
    """
    first, _ = parse_known(_First, PROG, "", args, add_help=False)
    if first.list is not None:
        return show_list(first.list)
    config = _read_config(first.config) if first.config else {}
    rule = first.rule or str(config.get("rule", "adam"))
    model = first.model or str(config.get("model", "mlp"))
    function, module = find_rule(rule), find_model(model)
    kind = _options_of(rule, function, model, module)
    words = _words(config, flags(kind), first.config)
    try:
        common.parse(kind, PROG, about, words)
    except InputError as error:
        raise InputError(f"{first.config}: {error}") from None
    context = f" with rule {rule} and model {model}"
    options = common.parse(kind, PROG, about, [*words, *args], context)
    return _checked(options, function if is_own(rule) else rule, function, module)


# The options of a rule and a model


def _options_of(
    rule: str, function: rules.Rule, model: str, module: type[nn.Module]
) -> type[Options]:
    """Return the options of every sweep with those of this rule and this model, as groups."""
    named = {"rule": (rule, function, _rule_options), "model": (model, module, _model_options)}
    taken, groups = {one.name for one in fields(Options)}, []
    for part, (name, thing, options_of) in named.items():
        own = options_of(thing)
        if double := taken.intersection(own):
            taken_name = f"its {min(double)} is the name of another option; rename it"
            raise InputError(f"{part} {name}: {taken_name}")
        taken.update(own)
        members = [(one, *_typed(one, default)) for one, default in own.items()]
        group = make_dataclass(part, members, frozen=True)
        # From it tyro has the help of each, too. The rules of optax explain themselves at length.
        long = part == "model" or name in rules.RULES or is_own(name)
        group.__doc__ = (inspect.getdoc(thing) if long else first_paragraph(thing)) or name
        kind = Annotated[group, tyro.conf.arg(name=f"{part} {name}"), tyro.conf.OmitArgPrefixes]
        groups.append((f"of_{part}", kind, field(default_factory=group)))
    return make_dataclass("Options", groups, bases=(Options,), frozen=True)


def _typed(name: str, default: object) -> tuple[object, object]:
    """Return the type of an option, and its value where it is not given.

    Values on an axis of the sweep stay words, which may be ranges; not given, they are the
    rule's or the model's own.
    """
    if default is None:  # `batch_norm`, see `_settable`
        return bool, False
    if default is rules.REQUIRED or isinstance(default, float):
        hint = "(required)" if default is rules.REQUIRED else f"(default: {default:g})"
        arg = tyro.conf.arg(metavar="VALUE ...", help_behavior_hint=hint)
        return Annotated[tuple[str, ...] | None, arg], None
    return (tuple[int, ...] if isinstance(default, tuple) else type(default)), default


def _rule_options(rule: rules.Rule) -> dict[str, object]:
    """Return a rule's hyperparameters that a grid can hold: those that are real numbers."""
    # Some rules of optax have a learning rate of None; a comparison states its learning rates.
    known = rules.hyperparameters(rule).items()
    numbers = {n: one for n, one in known if one is rules.REQUIRED or isinstance(one, float)}
    return {"learning_rate": rules.REQUIRED} | numbers


def _model_options(model: type[nn.Module]) -> dict[str, object]:
    """Return a model's fields that an option can set, with their defaults.

    The number of classes comes from the data; a field of another kind stays as the model has it.
    """
    ours = ("classes", "parent", "name")
    own = [one for one in fields(model) if one.init and one.name not in ours]
    return {one.name: one.default for one in own if _settable(one.name, one.default)}


def _settable(name: str, default: object) -> bool:
    whole = isinstance(default, tuple) and all(type(one) is int for one in default)
    return whole or isinstance(default, float | int) or (name == "batch_norm" and default is None)


# The parsed options


def _checked(
    options: Options, rule: str | rules.Rule, function: rules.Rule, module: type[nn.Module]
) -> Chosen:
    """Return the parsed options, checked as far as possible without data."""
    model = _make_model(vars(options.of_model), module)
    grid = _make_grid(options, function, model)
    make_grid(grid, function, model)  # refuses values out of range
    for name in ("epochs", "batch_size", *(["warmup"] if options.warmup else [])):
        check_count(name, getattr(options, name))
    _seeds(options.seeds)
    _keep(options.keep)
    path = Path(options.name or "rule")
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise InputError(f'--name "{options.name}": give the name of a folder inside --out')
    return Chosen(options, model, rule, grid)


def _seeds(given: Sequence[int]) -> int | tuple[int, ...]:
    """Return a single number, which counts seeds, or the seeds themselves."""
    seeds = given[0] if len(given) == 1 else tuple(given)
    check_seeds(seeds)
    return seeds


def _keep(words: Sequence[str] | None) -> str | tuple[int, ...] | None:
    """Return which networks are kept: by a word, or at a list of epochs."""
    if words is None:
        return None
    if words and all(word.isdecimal() for word in words):
        return tuple(int(word) for word in words)
    if (word := " ".join(words)) not in KEEP:
        raise InputError(f'--keep "{word}": {nearest(word, KEEP)}, or epochs')
    return word


def _make_model(given: Mapping[str, object], module: type[nn.Module]) -> nn.Module:
    """Return the model with its structure; what is a number on an axis belongs to the grid."""
    chosen = {"classes": None} if "classes" in module.__dataclass_fields__ else {}
    for name, default in _model_options(module).items():
        value = given[name]
        if default is None:
            chosen[name] = ej.BatchNorm() if value else None
        elif not isinstance(default, float):
            counts = value if isinstance(value, tuple) else (value,)
            for number in [one for one in counts if type(one) is int and value != default]:
                check_count(name, number)
            chosen[name] = value
    return module(**chosen)


def _make_grid(options: Options, rule: rules.Rule, model: nn.Module) -> GridLike:
    """Return the grid of lists, or the settings drawn."""
    given = vars(options.of_rule) | vars(options.of_model)
    usual = _rule_options(rule)
    names = [name for name in (*usual, *sorted(model_fields(model))) if given[name] is not None]
    required = [name for name, default in usual.items() if default is rules.REQUIRED]
    for name in {*required, *names}:
        if not given[name]:
            raise InputError(f"give {flag(name)} a value or more, such as {flag(name)} 1e-3 1e-4")
    values = {name: ranges.parse(name, given[name]) for name in names}
    if options.samples is not None:
        return ranges.draw(values, options.samples, options.sample_seed, options.sampler)
    for name, one in values.items():
        if isinstance(one, ranges.Distribution):
            advice = "give the number of draws, --samples 30"
            raise InputError(f"{flag(name)} is a distribution: {advice}")
    return {name: one if len(one) > 1 else one[0] for name, one in values.items()}


# Files of options


def _read_config(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        advice = "give a TOML file of options, as in --help"
        raise InputError(f"{path}: cannot be read: {error.strerror}; {advice}") from None
    except ValueError as error:  # not TOML, or not text at all
        raise InputError(f"{path}: is no TOML: {error}") from None


def _words(config: Mapping[str, object], names: Iterable[str], path: Path | None) -> list[str]:
    """Return a file's options as words of a command line."""
    names = sorted({*names} - {"--config", "--list"})
    words = []
    for key, value in config.items():
        if flag(key) not in names:
            hint = nearest(flag(key), names).replace("--", "")
            raise InputError(f'{path}: no option "{key}": {hint}')
        if isinstance(value, bool):
            words.append(flag(key) if value else flag(key).replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag(key), *map(str, value)]
        elif isinstance(value, str | int | float):
            words.append(f"{flag(key)}={value}")
        else:
            raise InputError(f'{path}: "{key}": give a number, a text, true or false, or a list')
    return words
