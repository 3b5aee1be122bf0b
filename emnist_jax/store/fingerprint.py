"""Fingerprints of code: what decides a run's numbers, so that another code is not taken for it."""

import ast
import dataclasses
import hashlib
import inspect
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from numbers import Number
from pathlib import Path

import numpy as np

from emnist_jax.errors import written

LIBRARIES = ("jax", "jaxlib", "flax", "optax")  # their versions are recorded
_NUMERIC_CODE = ("train", "layers", "models", "rules", "schedules")
_NUMERIC_CODE += tuple(f"engine/{name}" for name in ("chunks", "fit", "grid", "growth", "job"))
_NUMERIC_CODE += ("engine/layout", "engine/programs", "engine/run", "store/identity")
# Attributes by which partials, methods, properties and functions under a decorator hold others.
_HOLD = ("func", "args", "keywords", "fget", "wrapped", "fwd", "bwd", "jvp")
_HOLD += ("__wrapped__", "__func__", "__self__")


def own_code(*things: object) -> str | None:
    """Return a hash of what the caller has written: models, a rule, metrics; None if nothing is.

    A function counts by its syntax, defaults, the values it closes over and the globals it names; a
    class by its members; functions among all these likewise, but for those of installed libraries.
    """
    seen: dict[int, object] = {}
    found = [line for thing in things for line in lines(thing, seen)]
    return digest(found) if any(line.startswith("own ") for line in found) else None


def digest(found: Iterator[str] | list[str]) -> str:
    """Return a hash of lines."""
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12]


def lines(thing: object, seen: dict[int, object]) -> Iterator[str]:
    """Yield what identifies a thing in any process: its values, the code of its functions.

    No address, set order, install path, docstring or comment is among it.
    """
    if isinstance(thing, Enum | str | bytes | Number | types.NoneType | types.ModuleType):
        yield thing.__name__ if isinstance(thing, types.ModuleType) else repr(thing)
    elif hasattr(thing, "__array__") and not isinstance(thing, type):
        yield from _array(thing)
    elif isinstance(thing, tuple | list):
        yield f"{type(thing).__name__} {len(thing)}"
        for one in thing:
            yield from lines(one, seen)
    elif isinstance(thing, set | frozenset):
        yield from ("set", *sorted(digest(lines(one, {})) for one in thing))
    elif id(thing) in seen:
        yield f"again {list(seen).index(id(thing))}"
    else:
        seen[id(thing)] = thing  # held, so that nothing else gets its id
        yield from _parts(thing, seen)


def package_code() -> str:
    """Return the package's version and a hash of the modules that decide a trial's numbers."""
    folder, found = Path(__file__).parent.parent, hashlib.sha256()
    for name in _NUMERIC_CODE:
        for file in sorted(folder.glob(f"{name}.py")):
            found.update(file.read_bytes())
    return f"{installed('emnist_jax')} {found.hexdigest()[:12]}"


def installed(package: str) -> str:
    """Return the installed version of a package, "unknown" if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _parts(thing: object, seen: dict[int, object]) -> Iterator[str]:
    """Yield the lines of what has parts: mappings, classes, functions, objects."""
    if isinstance(thing, Mapping):
        parts = thing
    elif isinstance(thing, type):
        own = [one for one in thing.__mro__ if not _of_library(one.__module__)]
        yield from [thing.__qualname__, *(f"own class {one.__qualname__}" for one in own)]
        parts = {f"{one.__qualname__}.{n}": value for one in own for n, value in _members(one)}
    elif inspect.isfunction(thing):
        yield thing.__qualname__
        parts = _function_parts(thing)
    elif not _of_library(type(thing).__module__):
        held = (*getattr(thing, "__dict__", ()), *getattr(thing, "__slots__", ()))
        parts = {name: getattr(thing, name, None) for name in ("__class__", *sorted(held))}
    elif dataclasses.is_dataclass(thing):
        names = [one.name for one in dataclasses.fields(thing)]
        parts = {name: getattr(thing, name, None) for name in ("__class__", *names)}
    else:
        yield written(thing)
        parts = {name: getattr(thing, name) for name in _HOLD if hasattr(thing, name)}
    for name, part in parts.items():
        yield name if isinstance(name, str) else written(name)
        yield from lines(part, seen)


def _members(own: type) -> Iterator[tuple[str, object]]:
    """Yield the members of a class that its author wrote, not those that a decorator made."""
    for name, member in sorted(vars(own).items()):
        made = not inspect.isfunction(member) or member.__code__.co_filename == "<string>"
        flax = type(member).__module__.startswith("flax") and not hasattr(member, "wrapped")
        if not flax and not (made and name.startswith("__")):
            yield name, member


def _function_parts(function: types.FunctionType) -> dict[str, object]:
    """Return what a function refers to by name: the values it closes over, and globals."""
    code, scope = function.__code__, function.__globals__
    parts = {}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not assigned yet
            parts[name] = cell.cell_contents
    parts["__wrapped__"] = getattr(function, "__wrapped__", None)
    # A library's may close over the caller's, as a schedule does.
    if _of_library(scope.get("__name__", "__main__")):
        return parts
    names, found = _names(code), {}
    for space in (scope, *(vars(sys.modules[name]) for name in names & sys.modules.keys())):
        _find(names, space, found)
    parts |= dict(sorted(found.items()))
    parts["defaults"] = function.__defaults__, function.__kwdefaults__
    return parts | {f"own {_source(function)}": None}


def _names(code: types.CodeType) -> set[str]:
    """Return the globals and attributes that a function names, functions within it included."""
    inner = (one for one in code.co_consts if inspect.iscode(one))
    return set(code.co_names).union(*map(_names, inner))


def _find(names: set[str], space: Mapping[str, object], found: dict[str, object]) -> None:
    """Add the values of names in a module's globals, and in those of the modules among them."""
    if _of_library(space.get("__name__")):
        return
    for name in names & space.keys():
        place, value = f"{space['__name__']}.{name}", space[name]
        if place not in found:
            found[place] = value
            if isinstance(value, types.ModuleType):
                _find(names, vars(value), found)


def _source(function: types.FunctionType) -> str:
    """Return a function's syntax without docstrings; its instructions where it has no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function.__code__)))
    except (OSError, TypeError, SyntaxError):
        return _instructions(function.__code__)
    nodes = list(ast.walk(tree))
    if sum(isinstance(node, ast.Lambda) for node in nodes) > 1:  # it may be any of them
        return _instructions(function.__code__)
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _instructions(code: types.CodeType) -> str:
    constants = [_instructions(c) if inspect.iscode(c) else written(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _array(value: object) -> Iterator[str]:
    if str(getattr(value, "dtype", "")).startswith("key<"):
        import jax

        value = jax.random.key_data(value)
    try:
        array = np.asarray(value)
    except TypeError:  # traced
        yield written(value)
        return
    if array.dtype == object:
        yield from lines(array.tolist(), {})
    else:
        yield f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _of_library(module: str | None) -> bool:
    """Whether a module is Python's, this package's or an installed library's."""
    top = (module or "builtins").partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    there = {"site-packages", "dist-packages"} & set(Path(file).parts)
    return bool(there) or top in {"emnist_jax", *LIBRARIES, *sys.stdlib_module_names}
