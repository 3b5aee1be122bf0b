"""Networks that are not linen modules, made to look like one: Flax NNX, and pairs of functions.

All code but this sees one kind of model: dataclass fields, `clone`, `init`, and `apply` as linen
has them. An NNX class or function becomes a class of the fields that it has arguments, `rngs`
aside; a pair of functions one of the arguments after `key, x` of `init` and `params, x` of `apply`.
A field `classes` needs no default: it is set to the data's number of classes.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import flax.linen as nn
import jax

from emnist_jax.errors import InputError, short

# An NNX class, or a function of `rngs` that returns an NNX module, or a partial of one; or a pair.
Other = Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]]
_FORMS = (
    "give ej.MLP() or another linen module, an NNX class or function that takes rngs, or functions "
    "(init, apply)"
)
_PASSED = ("rngs", "train", "key")  # arguments that are no fields


def adapted(model: nn.Module | Other) -> nn.Module:
    """Return a model as all code sees it: a linen module as it is, others adapted.

    Raises:
        InputError: it is none of the forms of a model, or has arguments that cannot be fields.
    """
    if isinstance(model, nn.Module | _Adapted):
        return model
    if isinstance(model, partial):
        try:
            given = _signature(model.func).bind_partial(*model.args, **model.keywords)
            return adapted(model.func).clone(**given.arguments)
        except TypeError as error:
            raise InputError(f"model={short(model)}: {error}") from None
    kind = class_of(model)
    if kind is None or issubclass(kind, nn.Module):
        from flax import nnx

        drawn = isinstance(model, nnx.Module)
        hint = "give its class: each seed draws weights of its own" if drawn else _FORMS
        raise InputError(f"model={short(model)} is no model of a sweep: {hint}")
    return kind()


def class_of(model: object) -> type | None:
    """Return the class of modules whose fields a model leaves open; None if there is none.

    Of a linen class it is the class itself; of an NNX class, a function of `rngs` or a pair
    `(init, apply)` an adapted one, whose fields have the defaults of the arguments.

    Raises:
        InputError: an argument that cannot be a field.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        return model
    if isinstance(model, tuple | list) and len(model) == 2 and all(map(callable, model)):
        return _class(_Pair, getattr(model[1], "__name__", ""), tuple(model), 2)
    if inspect.isroutine(model) or isinstance(model, type):
        return _class(_Nnx, model.__name__, (model,), 0) if "rngs" in _named(model) else None
    return None


@dataclasses.dataclass(frozen=True)
class _Adapted:
    """What linen modules have, for networks that are none; the user's `_functions` do the work."""

    _functions = ()

    def clone(self, **changes: object) -> "_Adapted":
        """Return the model with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def _fields(self) -> dict[str, object]:
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}


class _Nnx(_Adapted):
    """A class of NNX modules, or a function that returns one.

    Parameters are `nnx.Param`; other `nnx.Variable`s, running statistics among them, are carried
    beside them, with the key of the initial draws. Each call makes the module anew from that key,
    sets its variables, and gives its streams of random numbers the keys of the step; compilers
    leave out the draws that are replaced.
    """

    def init(self, key: jax.Array, x: jax.Array) -> dict[str, Any]:
        """Return the variables of an untrained network."""
        return {**self._variables(self._module(key)), "rngs": {"init": jax.random.key_data(key)}}

    def apply(self, variables: Mapping, x: jax.Array, train=False, rngs=None, mutable=False):
        """Return logits and, where `mutable` is given, the variables that are not parameters."""
        from flax import nnx

        key = (rngs or {}).get("dropout", jax.random.key(0))
        module = self._module(jax.random.wrap_key_data(variables["rngs"]["init"]))
        nnx.update(module, variables["params"])
        nnx.update(module, variables["state"])
        keys, structure = jax.tree.flatten(nnx.to_pure_dict(nnx.state(module, nnx.RngKey)))
        keys = list(jax.random.split(key, len(keys) + 1))
        passed = {"train": train, "rngs": nnx.Rngs(keys.pop())}
        if keys:
            nnx.update(module, jax.tree.unflatten(structure, keys))
        module.train() if train else module.eval()
        logits = _call(module, (x,), passed)
        found = {**variables, **self._variables(module)}
        found.pop("params")
        return logits if mutable is False else (logits, found)

    def _module(self, key: jax.Array):
        from flax import nnx

        (make,) = self._functions
        module = _call(make, (), {**self._fields, "rngs": nnx.Rngs(key)})
        if not isinstance(module, nnx.Module):
            raise InputError(f"{make.__name__} returns {short(module)}, no NNX module")
        return module

    @staticmethod
    def _variables(module) -> dict[str, dict]:
        from flax import nnx

        others = nnx.Any(nnx.Param, nnx.RngState, nnx.Intermediate)
        kinds = {"params": nnx.Param, "state": nnx.All(nnx.Variable, nnx.Not(others))}
        return {name: nnx.to_pure_dict(nnx.state(module, kind)) for name, kind in kinds.items()}


class _Pair(_Adapted):
    """Functions `init(key, x) -> params` and `apply(params, x[, train, key]) -> logits`.

    `init` may return a mapping of "params" and others, which are not parameters: `apply` then takes
    the whole mapping, and in training may return (logits, changes of the others). `key` is None
    outside training.
    """

    def init(self, key: jax.Array, x: jax.Array) -> dict[str, Any]:
        """Return the variables of an untrained network."""
        made = _call(self._functions[0], (key, x), self._fields)
        whole = isinstance(made, Mapping) and "params" in made and len(made) > 1
        return dict(made) if whole else {"params": made}

    def apply(self, variables: Mapping, x: jax.Array, train=False, rngs=None, mutable=False):
        """Return logits and, where `mutable` is given, the variables that are not parameters."""
        others = {name: value for name, value in variables.items() if name != "params"}
        first = variables if others else variables["params"]
        given = {**self._fields, "train": train, "key": (rngs or {}).get("dropout")}
        found = _call(self._functions[1], (first, x), given)
        logits, changed = found if isinstance(found, tuple) else (found, {})
        return logits if mutable is False else (logits, {**others, **changed})


def _signature(function: Callable) -> inspect.Signature:
    """Return a signature; of a class that of `__init__`, which NNX's metaclass hides."""
    made = partial(function.__init__, None) if isinstance(function, type) else function
    return inspect.signature(made)


def _named(function: Callable, skip: int = 0) -> dict[str, inspect.Parameter]:
    """Return the arguments of a function by name, but the first `skip`."""
    try:
        listed = list(_signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):  # of some built-in ones
        return {}
    return {
        one.name: one for one in listed if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }


def _call(function: Callable, first: tuple, given: Mapping[str, object]):
    """Call a function with those of the arguments given that it names."""
    named = _named(function, len(first))
    return function(*first, **{name: value for name, value in given.items() if name in named})


def _class(kind: type, name: str, functions: Sequence[Callable], skip: int) -> type:
    fields = {}
    for function in functions:
        for one in _named(function, skip).values():
            if one.name in _PASSED:
                continue
            default = None if one.name == "classes" and one.default is one.empty else one.default
            if default is one.empty or one.name in dir(_Pair):
                what = "has no default" if default is one.empty else "cannot be named so"
                raise InputError(f"{name}: its argument {one.name} {what}")
            fields[one.name] = default
    name = name if name.isidentifier() else "Model"  # of a lambda
    try:
        return _dataclass(kind, name, tuple(functions), tuple(fields.items()))
    except TypeError:
        raise InputError(f"{name}: a default cannot be hashed; use a tuple for a list") from None


@cache  # equal models are of one class, and compiled once
def _dataclass(kind: type, name: str, functions: tuple, fields: tuple) -> type:
    members = {"_functions": functions, "__doc__": inspect.getdoc(functions[-1])}
    listed = [
        (field, type(default), dataclasses.field(default=default)) for field, default in fields
    ]
    made = dataclasses.make_dataclass(name, listed, bases=(kind,), frozen=True, namespace=members)
    whose = functions[-1]
    while isinstance(whose, partial):
        whose = whose.func
    made.__module__ = whose.__module__  # its code is the user's, see `store.fingerprint`
    return made
