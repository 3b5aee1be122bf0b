"""Rules and models by name, on the command line: this package's, or the user's `FILE.py:NAME`."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import MISSING
from pathlib import Path

from flax import linen as nn

import emnist_jax as ej
from emnist_jax import rules
from emnist_jax.adapters import class_of
from emnist_jax.console import show
from emnist_jax.data import SOURCES
from emnist_jax.errors import InputError, nearest

MODELS = {"mlp": ej.MLP, "convnet": ej.ConvNet}


def find_rule(name: str) -> rules.Rule:
    """Return the rule of that name, or the user's own; none is an `InputError`."""
    return rules.find(_own(name, _is_rule, callable) if is_own(name) else name)


def find_model(name: str) -> type[nn.Module]:
    """Return the class of networks of that name, or the user's own; none is an `InputError`."""
    if is_own(name):
        return own_model(name)
    if name not in MODELS:
        hint = f"{nearest(name, MODELS)}, or your own: file.py:Class"
        raise InputError(f'unknown model "{name}": {hint}')
    return MODELS[name]


def show_list(kind: str) -> None:
    """Show what there is of rules, models or data, a line each."""
    if kind == "data":
        lines = SOURCES
    else:
        things = MODELS if kind == "models" else {name: rules.find(name) for name in rule_names()}
        lines = {name: first_paragraph(thing) for name, thing in things.items()}
    for name, line in lines.items():
        show(f"{name:{max(map(len, lines))}}  {line}".rstrip())


def rule_names() -> list[str]:
    """Return all rules by name, this package's first."""
    return [*rules.RULES, *(name for name in rules.names() if name not in rules.RULES)]


def first_paragraph(thing: object) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


# The user's own


def is_own(text: str) -> bool:
    """Return whether a name stands for a part in a file or module of the user's."""
    return ":" in text or text.endswith(".py")


def own_model(text: str) -> type[nn.Module]:
    """Return the class of networks that `text` names, adapted where it is not a linen class.

    None, or one with a field without a default is an `InputError`.
    """
    found = class_of(_own(text, _is_model))
    for name, field in found.__dataclass_fields__.items():
        own = field.init and name not in ("classes", "parent", "name")
        if own and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{text}: its field {name} has no default; give it one")
    return found


def _is_model(thing: object) -> bool:
    try:
        return class_of(thing) is not None
    except InputError:  # an invalid argument, which is reported where the model is chosen
        return True


def _is_rule(thing: object) -> bool:
    return inspect.isfunction(thing) and "learning_rate" in inspect.signature(thing).parameters


def _own(
    text: str, fits: Callable[[object], bool], named: Callable[[object], bool] | None = None
) -> object:
    """Return what `text` names where it is `named`, by default where it fits; else what fits."""
    place, _, name = text.rpartition(":") if ":" in text else (text, "", "")
    members = vars(_import(place))
    if name in members and (named or fits)(members[name]):
        return members[name]
    there = [one for one, value in members.items() if fits(value) and not one.startswith("_")]
    if not there:
        raise InputError(f'no "{name}" in {place}, and nothing else that fits')
    if not name:
        raise InputError(f"{place}: name what to use of it, as in {place}:{there[-1]}")
    raise InputError(f'no "{name}" in {place}: {nearest(name, there)}')


def _import(place: str):
    """Import a file by its path, a module by its name; what it raises is one line."""
    path = Path(place).expanduser()
    # As Python does for a script: what lies beside it can be imported, after all else.
    sys.path.append(str(path.parent.absolute()))
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        if not path.is_file():
            raise InputError(f"{place}: no such file")
        name = f"own_{path.stem}"  # never the name of a library's module
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code raises whatever it likes
        raise InputError(f"{place}: {type(error).__name__}: {error}") from error
