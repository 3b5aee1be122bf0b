"""The user's own parts on the command line: `FILE.py:NAME`, or `MODULE:NAME`."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field
from pathlib import Path

from flax import linen as nn

from emnist_jax.errors import InputError, nearest


def own_model(text: str) -> type[nn.Module]:
    """Return the class of Flax modules that `text` names.

    Raises:
        InputError: there is none, or it has a field that nothing on a command line can set.
    """
    found = _own(text, lambda one: inspect.isclass(one) and issubclass(one, nn.Module))
    for name, field in found.__dataclass_fields__.items():
        if name not in ("classes", "parent", "name") and field.init and _is_required(field):
            raise InputError(f"{text}: its field {name} has no default; give it one")
    return found


def own_rule(text: str) -> Callable:
    """Return the learning rule, a function of `learning_rate`, that `text` names.

    Raises:
        InputError: there is none.
    """
    return _own(text, lambda one: inspect.isfunction(one) and _takes_a_rate(one))


def _own(text: str, fits: Callable[[object], bool]) -> object:
    place, _, name = text.rpartition(":")
    members = vars(_import(place))
    if name in members and fits(members[name]):
        return members[name]
    there = [one for one, value in members.items() if fits(value) and not one.startswith("_")]
    hint = nearest(name, there) if there else "nothing in it can be meant"
    raise InputError(f'no "{name}" in {place}: {hint}')


def _import(place: str):
    """Import a file by its path, a module by its name; what it raises is one line."""
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        if not Path(place).is_file():
            raise InputError(f"{place}: no such file")
        name = f"own_{Path(place).stem}"  # never the name of a library's module
        spec = importlib.util.spec_from_file_location(name, place)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code raises whatever it likes
        raise InputError(f"{place}: {type(error).__name__}: {error}") from error


def _takes_a_rate(function: Callable) -> bool:
    return "learning_rate" in inspect.signature(function).parameters


def _is_required(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
