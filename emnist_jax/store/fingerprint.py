"""Fingerprints of code: what decides a run's numbers, so that another code is not taken for it."""

import hashlib
import inspect
import re
import types
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from operator import itemgetter
from pathlib import Path

import numpy as np

LIBRARIES = ("jax", "jaxlib", "flax", "optax")
_KNOWN = ("emnist_jax", "builtins", "numpy", "chex", *LIBRARIES)  # their versions are recorded
_NUMERIC_CODE = ("train", "layers", "models", "rules", "schedules", "engine/*")


def own_code(*things: object) -> str | None:
    """Return a hash of what the caller has written: a model's class, a rule, metrics.

    A function is taken with its defaults, with the values it closes over and with the globals it
    names, functions among them likewise. None if all of it comes from libraries.
    """
    parts: list[str] = []
    for thing in things:
        _describe(thing, parts, set())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12] if parts else None


def _describe(thing: object, parts: list[str], seen: set[int]) -> None:
    """Add the lines that tell `thing` from another; nothing for what a library holds."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, partial):
        parts.append(f"partial {_value(thing.args)} {_value(thing.keywords)}")
        _describe(thing.func, parts, seen)
    elif inspect.isclass(thing):
        for one in thing.__mro__:
            if not _known(one):
                for name, member in sorted(vars(one).items()):
                    if inspect.isfunction(member):
                        parts.append(f"{one.__qualname__}.{name}")
                        _describe(member, parts, seen)
    elif inspect.isfunction(thing):
        function = inspect.unwrap(thing)
        if not _known(function):
            parts.append(_code_text(function.__code__))
            parts.append(f"{_value(function.__defaults__)} {_value(function.__kwdefaults__)}")
        named = inspect.getclosurevars(function)
        # A library's function may close over the caller's, as a schedule does over a rule.
        scopes = (named.nonlocals,) if _known(function) else (named.nonlocals, named.globals)
        for name, value in sorted(
            ((n, v) for scope in scopes for n, v in scope.items()), key=itemgetter(0)
        ):
            parts.append(name)
            _describe(value, parts, seen)
    elif not callable(thing):
        parts.append(_value(thing))


def _code_text(code: types.CodeType) -> str:
    """Return a function's instructions and constants, those of functions within it included."""
    constants = [_code_text(c) if inspect.iscode(c) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _value(value: object) -> str:
    if hasattr(value, "__array__") and not np.isscalar(value):
        array = np.asarray(value)
        return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))  # an address is not the same twice


def _known(thing: type | types.FunctionType) -> bool:
    return (thing.__module__ or "").partition(".")[0] in _KNOWN


def package_code() -> str:
    """Return the package's version and a hash of the modules that decide a trial's numbers."""
    folder, digest = Path(__file__).parent.parent, hashlib.sha256()
    for name in _NUMERIC_CODE:
        for file in sorted(folder.glob(f"{name}.py")):
            digest.update(file.read_bytes())
    return f"{installed('emnist_jax')} {digest.hexdigest()[:12]}"


def installed(package: str) -> str:
    """Return the installed version of a package, "unknown" if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
