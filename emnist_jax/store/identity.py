"""What is compiled, as a hash: the key of compiled programs, and what makes a run the same run."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from emnist_jax.errors import written
from emnist_jax.store.fingerprint import digest, lines

_TRACES = itertools.count()
_NAMES = ("name", "debug_info")  # of functions, which decide no number
_TAKE_OTHERS = {"cond", "scan", "while", "_piecewise"}  # of JAX, but hold another's function


def identity(function: Callable, *args: object) -> str:
    """Return a hash of the program that JAX makes of a function, traced anew.

    Equal programs, their constants included, have equal hashes in any process with the same
    versions of the libraries. Arrays among the arguments may be `jax.ShapeDtypeStruct`.

    JAX keeps the trace of a function under a `jit`, `scan` or `cond` of its own, and does not see
    that a global it reads has changed. Where a trace is kept that is true no longer, all that JAX
    keeps is dropped, compiled programs included.
    """
    kept = jax.make_jaxpr(lambda *args: function(*args))(*args)  # a new function has no trace
    if not _keeps_own(kept.jaxpr):
        return digest(_equations(kept))
    with set_xla_metadata(trace=next(_TRACES)):  # traces are kept for a context: this one is new
        fresh = digest(_equations(jax.make_jaxpr(lambda *args: function(*args))(*args)))
    if fresh != digest(_equations(kept)):
        jax.clear_caches()
    return fresh


def _equations(traced: ClosedJaxpr | Jaxpr) -> Iterator[str]:
    """Yield a program: its equations, variables by number, constants and functions by content."""
    jaxpr, numbers = getattr(traced, "jaxpr", traced), {}

    def named(variables):
        for one in variables:
            if isinstance(one, Literal):
                yield from (written(one.aval), *lines(one.val, {}))
            elif one in numbers:
                yield f"{numbers[one]}"
            else:
                numbers[one] = len(numbers)
                yield written(one.aval)

    yield from lines(list(getattr(traced, "consts", ())), {})
    yield from named((*jaxpr.constvars, *jaxpr.invars))
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for name, value in sorted(equation.params.items()):
            if name not in _NAMES:
                yield name
                yield from _parameter(value)
        yield from named((*equation.invars, *equation.outvars))
    yield from named(jaxpr.outvars)


def _parameter(value: object) -> Iterator[str]:
    if isinstance(value, ClosedJaxpr | Jaxpr):
        yield from _equations(value)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from ("item", *_parameter(one))
    else:
        yield from lines(value, {})


def _keeps_own(jaxpr: Jaxpr) -> bool:
    """Whether a program holds the kept trace of a function that is not JAX's, and may change."""
    return any(
        bool(_TAKE_OTHERS & {equation.primitive.name, equation.params.get("name")})
        or not _of_jax(inner)
        or _keeps_own(inner)
        for equation in jaxpr.eqns
        for value in jax.tree.leaves(list(equation.params.values()))
        if isinstance(value, ClosedJaxpr | Jaxpr) and (inner := getattr(value, "jaxpr", value))
    )


def _of_jax(jaxpr: Jaxpr) -> bool:
    """Whether a function within a program is JAX's or this package's, which does not change."""
    folders = Path(jax.__file__).parent, Path(__file__).parent.parent
    place = str(jaxpr.debug_info.func_src_info)
    return any(f" at {folder}" in place for folder in folders)
