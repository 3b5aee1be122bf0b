"""The command line of `experiments.sweep`: its options depend on the chosen rule and model."""

import argparse
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from flax import linen as nn

import emnist_jax as ej
from emnist_jax import rules
from emnist_jax.data import SOURCES, SPLITS
from emnist_jax.engine import ranges
from emnist_jax.engine.grid import GridLike, check_seeds, make_grid, model_fields
from emnist_jax.engine.job import KEEP
from emnist_jax.errors import InputError, check_count, nearest
from experiments._common import Options as CommonOptions
from experiments._own import own_model, own_rule

MODELS = {"mlp": ej.MLP, "convnet": ej.ConvNet}
SCHEDULES = ("constant", "cosine")
EPILOG = """\
--rule and --model also take your own: myrules.py:sign_momentum, mymodels.py:Net. A field of a
model that is a number is an option, as for the models here.

values: numbers, or ranges in quotes: "logspace(-4,-1,7)", "linspace(0,0.9,4)", or
"1-logspace(-4,-1,4)" for 0.9999 to 0.9. Several values are a dimension of the grid. With
--samples, settings are drawn at random instead: from "loguniform(1e-5,1e-1)",
"uniform(0,0.5)" and from lists.

--config FILE holds the same options, which the command line overrules:
    rule = "adam"
    learning-rate = "logspace(-4,-1,7)"
    b1 = [0, 0.9]
    batch-norm = true"""


@dataclass(frozen=True)
class Options(CommonOptions):
    """What to train: the options of every experiment, and what the others come to."""

    seeds: int | tuple[int, ...] = 5
    epochs: int = 10
    name: str = "sweep"
    model: nn.Module = field(default_factory=ej.MLP)
    rule: str | rules.Rule = "adam"
    grid: GridLike = ()
    schedule: str = "constant"
    warmup: int = 0
    keep: str | None = None
    plan: bool = False


def parse(words: Sequence[str], about: str) -> Options | None:
    """Return what the words of a command line ask for; None if that was a list, now printed.

    Raises:
        InputError: an unknown option or name, or a value that cannot be meant.
    """
    first = _Parser(add_help=False, allow_abbrev=False)
    for name in ("--config", "--rule", "--model"):
        first.add_argument(name)
    first.add_argument("--list", nargs="?", const="")
    early = first.parse_known_args(words)[0]
    if early.list is not None:
        return _print_list(early.list)
    config = _read_config(Path(early.config)) if early.config else {}
    rule = str(early.rule or config.get("rule", "adam"))
    model = str(early.model or config.get("model", "mlp"))
    parts = _find_rule(rule), _find_model(model)
    parser = _make_parser(about, rule, model, *parts)
    try:
        before = parser.read(_words(config, parser.names())) if config else None
    except InputError as error:
        raise InputError(f"{early.config}: {error}") from None
    return _make_options(parser.read(words, before), *parts)


def _find_rule(name: str) -> rules.Rule:
    return own_rule(name) if ":" in name else rules.find(name)


def _find_model(name: str) -> type[nn.Module]:
    if ":" in name:
        return own_model(name)
    if name not in MODELS:
        hint = f"{nearest(name, MODELS)}, or your own: file.py:Class"
        raise InputError(f'unknown model "{name}": {hint}')
    return MODELS[name]


class _Parser(argparse.ArgumentParser):
    """Options of which a wrong one is an `InputError`."""

    def error(self, message: str):
        """Raise instead of printing the usage."""
        raise InputError(message)

    def read(
        self, words: Sequence[str], before: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Return what the words say, over what was said before; refuse words that mean nothing."""
        chosen, rest = self.parse_known_args(words, before)
        for word in rest:
            name = word.partition("=")[0]
            if name.startswith("--"):
                what = f"rule {chosen.rule} and model {chosen.model}"
                raise InputError(f"no option {name} with {what}: {nearest(name, self.names())}")
            raise InputError(f'unexpected "{word}": every value follows an option; see --help')
        return chosen

    def names(self) -> list[str]:
        """Return the options there are, without those that only print or negate."""
        no = ("-h", "--help", "--list", "--no-")
        return [name for name in self._option_string_actions if not name.startswith(no)]


def _make_parser(
    about: str, rule: str, model: str, function: rules.Rule, module: type[nn.Module]
) -> _Parser:
    """Return the options of every sweep, and those of this rule and this model."""
    parser = _Parser(
        prog="python -m experiments.sweep",
        usage="%(prog)s --learning-rate VALUE ... [options]",
        description=about,
        epilog=EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_general(parser.add_argument_group("the sweep"))
    # The rules of optax explain themselves at length.
    text = _about(function) if rule in rules.RULES or ":" in rule else _line(function)
    group = parser.add_argument_group(f"rule {rule}", text)
    for name, default in _rule_options(function).items():
        _add_values(group, name, "required" if default is rules.REQUIRED else _default(default))
    text = _about(module).partition("\n\nAttributes:")[0]
    group = parser.add_argument_group(f"model {model}", text)
    said = _said_of_fields(module)
    for name, default in _model_options(module).items():
        if name == "batch_norm":
            _add_switch(group, name, "batch normalisation before every ReLU")
        elif isinstance(default, bool):
            _add_switch(group, name, said.get(name, ""), default)
        elif isinstance(default, float):
            _add_values(group, name, f"{said.get(name, '')} ({_default(default)})".strip())
        else:
            _add_counts(group, name, default, said.get(name, ""))
    return parser


def _add_general(group: argparse._ArgumentGroup) -> None:
    """Add the options of every sweep."""
    usual = {one.name: one.default for one in fields(Options)}
    add = group.add_argument
    add("--list", metavar="KIND", nargs="?", help="print what there is of rules, models or data")
    add("--config", metavar="FILE", help="a TOML file of options, see below")
    add("--rule", default="adam", metavar="NAME", help="learning rule (default: adam), see --list")
    add("--model", default="mlp", metavar="NAME", help="mlp (the default) or convnet")
    add("--samples", type=int, metavar="N", help="draw so many settings instead of a grid")
    add("--sample-seed", type=int, default=0, metavar="N", help="of the draw (default: 0)")
    add("--schedule", **_one_of(SCHEDULES), default="constant", help="of the learning rate")
    add("--warmup", type=int, default=0, metavar="N", help="updates over which it first rises")
    add("--data", default=usual["data"], help="glyphs (the default); --list data tells more")
    text = "of train, validation and test"
    add("--split", **_one_of(SPLITS), default=usual["split"], help=f"{text} (default: paper)")
    add("--size", type=int, metavar="N", help="use a fixed random subset of so many images")
    text = "random initialisations of every setting: how many (default: 5), or which, as in 3 5 7"
    add("--seeds", type=int, nargs="+", default=[usual["seeds"]], metavar="N", help=text)
    for name, text in {
        "epochs": "passes over the training images",
        "batch_size": "images a minibatch",
    }.items():
        text = f"{text} ({_default(usual[name])})"
        add(_flag(name), type=int, default=usual[name], metavar="N", help=text)
    text = (
        "keep every trial's network, to predict with: as it was at its best epoch, by validation "
    )
    add("--keep", **_one_of(KEEP), help=f"{text}accuracy or error, or at the end")
    add("--out", type=Path, default=usual["out"], metavar="FOLDER", help="default: runs")
    add("--name", default=usual["name"], help="results go to FOLDER/NAME (default: sweep)")
    _add_switch(group, "overwrite", "begin again, whatever is there; otherwise it is resumed")
    add("--trials-at-once", type=int, metavar="N", help="default: as many as suit the devices")
    _add_switch(group, "plan", "say what the sweep would take, and train nothing")
    add("--coordinator", metavar="HOST:PORT", help="of process 0 of several, or auto; see docs")
    add("--processes", type=int, metavar="N", help="number of hosts, each with one process")
    add("--process", type=int, metavar="I", help="which of them this is: 0, 1, ...")


def _add_values(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    group.add_argument(_flag(name), nargs="+", metavar="VALUE", help=text)


def _add_counts(
    group: argparse._ArgumentGroup, name: str, default: int | Sequence[int], text: str
) -> None:
    """Add a whole number, or as many as one likes."""
    nargs = None if isinstance(default, int) else "*"
    usual = _default(default if nargs is None else " ".join(map(str, default)))
    text = f"{text} ({usual})".strip()
    group.add_argument(_flag(name), type=int, nargs=nargs, metavar="N", default=default, help=text)


def _add_switch(
    group: argparse._ArgumentGroup, name: str, text: str, default: bool = False
) -> None:
    """Add --name and --no-name; the latter overrules a file."""
    switch = argparse.BooleanOptionalAction
    group.add_argument(_flag(name), action=switch, default=default, help=text)


def _one_of(choices: Sequence[str]) -> dict[str, object]:
    """Return how an option reads one of some words; of a wrong one the nearest is named."""

    def read(word: str) -> str:
        if word not in choices:
            raise argparse.ArgumentTypeError(f'"{word}": {nearest(word, choices)}')
        return word

    return {"type": read, "metavar": f"{{{','.join(choices)}}}"}


def _default(value: object) -> str:
    return f"default: {value:g}" if isinstance(value, float) else f"default: {value}"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _rule_options(rule: rules.Rule) -> dict[str, object]:
    """Return a rule's hyperparameters that a grid can hold: those that are real numbers."""
    # Some rules of optax have a learning rate of None; a comparison states its learning rates.
    options = {"learning_rate": rules.REQUIRED}
    for name, default in rules.hyperparameters(rule).items():
        if default is rules.REQUIRED or isinstance(default, float):
            options[name] = default
    return options


def _model_options(model: type[nn.Module]) -> dict[str, object]:
    """Return a model's fields that an option can set, with their defaults.

    The data tell the classes; a field of another kind stays as the model has it.
    """
    own = [one for one in fields(model) if one.name not in ("classes", "parent", "name")]
    found = {one.name: one.default for one in own if one.init}
    return {name: default for name, default in found.items() if _settable(name, default)}


def _settable(name: str, default: object) -> bool:
    whole = isinstance(default, tuple) and all(type(one) is int for one in default)
    return whole or isinstance(default, float | int) or (name == "batch_norm" and default is None)


def _said_of_fields(model: type[nn.Module]) -> dict[str, str]:
    """Return what a model's docstring says of its fields, under "Attributes:"."""
    said, name = {}, None
    for line in (inspect.getdoc(model) or "").partition("Attributes:\n")[2].splitlines():
        if one := re.match(r"    (\w+): (.*)", line):
            name = one[1]
            said[name] = one[2].rstrip(".")
        elif name and line.startswith("        "):
            said[name] = f"{said[name]} {line.strip()}".rstrip(".")
        else:
            name = None
    return {name: text.replace("%", "%%") for name, text in said.items()}


def _make_options(chosen: argparse.Namespace, rule: rules.Rule, model: type[nn.Module]) -> Options:
    """Return the options, checked as far as possible without data."""
    given = vars(chosen)
    made = _make_model(given, model)
    grid = _make_grid(given, rule, made)
    make_grid(grid, rule, made)  # refuses values out of range
    if chosen.warmup:
        check_count("warmup", chosen.warmup)
    path = Path(chosen.name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise InputError(f'--name "{chosen.name}": give the name of a folder inside --out')
    kept = {name: given[name] for name in ("name", "schedule", "warmup", "keep", "plan")}
    kept |= {one.name: given[one.name] for one in fields(CommonOptions)}
    kept["seeds"] = _seeds(given["seeds"])
    return Options(**kept, model=made, rule=rule if ":" in chosen.rule else chosen.rule, grid=grid)


def _seeds(given: Sequence[int]) -> int | tuple[int, ...]:
    """Return a single number, which counts seeds, or the seeds themselves."""
    seeds = given[0] if len(given) == 1 else tuple(given)
    check_seeds(seeds)
    return seeds


def _make_model(given: Mapping[str, object], model: type[nn.Module]) -> nn.Module:
    """Return the model with its structure; what is a number on an axis belongs to the grid."""
    chosen = {"classes": None} if "classes" in model.__dataclass_fields__ else {}
    for name, default in _model_options(model).items():
        if name == "batch_norm":
            chosen[name] = ej.BatchNorm() if given[name] else None
        elif isinstance(default, bool):
            chosen[name] = given[name]
        elif isinstance(default, int):
            check_count(name, given[name])
            chosen[name] = given[name]
        elif not isinstance(default, float):
            for number in given[name]:
                check_count(name, number)
            chosen[name] = tuple(given[name])
    return model(**chosen)


def _make_grid(given: Mapping[str, object], rule: rules.Rule, model: nn.Module) -> GridLike:
    """Return the grid of lists, or the settings drawn."""
    options = _rule_options(rule)
    for name, default in options.items():
        if default is rules.REQUIRED and given[name] is None:
            raise InputError(f"give {_flag(name)} a value or more, such as {_flag(name)} 1e-3 1e-4")
    names = [name for name in (*options, *sorted(model_fields(model))) if given[name] is not None]
    values = {name: ranges.parse(name, given[name]) for name in names}
    if given["samples"] is not None:
        return ranges.draw(values, given["samples"], given["sample_seed"])
    for name, one in values.items():
        if isinstance(one, ranges.Distribution):
            raise InputError(f"{_flag(name)} is to be drawn from: say how often, --samples 30")
    return {name: one if len(one) > 1 else one[0] for name, one in values.items()}


# Files and lists


def _read_config(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        advice = "give a TOML file of options, as at the end of --help"
        raise InputError(f"{path}: cannot be read: {error.strerror}; {advice}") from None
    except ValueError as error:  # not TOML, or not text at all
        raise InputError(f"{path}: is no TOML: {' '.join(str(error).split())}") from None


def _words(config: Mapping[str, object], names: Iterable[str]) -> list[str]:
    """Return a file's options as a command line says them."""
    names = sorted({*names} - {"--config"})
    words = []
    for key, value in config.items():
        flag = _flag(key)
        if flag not in names:
            raise InputError(f'no option "{key}": {nearest(flag, names).replace("--", "")}')
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        elif isinstance(value, str | int | float):
            words.append(f"{flag}={value}")
        else:
            raise InputError(f'"{key}": give a number, a text, true or false, or a list')
    return words


def _print_list(kind: str) -> None:
    """Print what there is of a kind, a line each."""
    kinds: dict[str, Callable[[], Mapping[str, str]]] = {
        "rules": lambda: {name: _line(rules.find(name)) for name in _rule_names()},
        "models": lambda: {name: _line(model) for name, model in MODELS.items()},
        "data": lambda: SOURCES,
    }
    if not kind:
        raise InputError("say what to list: --list rules, --list models or --list data")
    if kind not in kinds:
        raise InputError(f'nothing to list of "{kind}": {nearest(kind, kinds)}')
    lines = kinds[kind]()
    for name, line in lines.items():
        print(f"{name:{max(map(len, lines))}}  {line}".rstrip())


def _rule_names() -> list[str]:
    return [*rules.RULES, *(name for name in rules.names() if name not in rules.RULES)]


def _about(thing: object) -> str:
    """Return a docstring without the account of its arguments."""
    return (inspect.getdoc(thing) or "").partition("\n\nArgs:")[0]


def _line(thing: object) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join(_about(thing).partition("\n\n")[0].split())
