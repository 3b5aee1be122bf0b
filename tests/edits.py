"""Code of the caller's own, and edits of what it reaches: each changes what it computes."""

import dataclasses
import sys
import types
from functools import cached_property, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

FACTOR, NUMBERS, TABLE = 1.0, np.ones(10_000, np.float32), {"a": [1.0], "f": lambda x: x}
KEY = jax.random.key(0)
helper = types.ModuleType("a_helper")  # a file of the caller's own, beside the script
exec(
    "FACTOR = 1.0\ndef outer():\n    def inner():\n        return FACTOR\n    return inner()",
    vars(helper),
)
sys.modules["a_helper"] = helper


@dataclasses.dataclass
class Options:
    factor: float = 1.0


class Base(nn.Module):
    FACTOR = 1.0

    @property
    def a_property(self):
        return 1.0

    @cached_property
    def a_cached_property(self):
        return 1.0

    @staticmethod
    def a_static(x):
        return x

    @classmethod
    def a_class_method(cls, x):
        return x

    def a_method(self, x):
        return x


class Model(Base):
    @nn.compact
    def __call__(self, x):
        x = self.FACTOR * self.a_property * self.a_cached_property * x
        return self.a_method(self.a_static(self.a_class_method(x)))


class Callable:
    scale = 1.0

    def __init__(self):
        self.factor = 1.0

    def __call__(self, x):
        return self.factor * self.scale * x


OPTIONS, CALLABLE, MODEL = Options(), Callable(), Model()


def closing_over(factor):
    def function(x):
        return factor * x

    def change():
        nonlocal factor
        factor = 2.0

    function.change = change
    return function


CLOSURE = closing_over(1.0)


def a_global(x):
    return FACTOR * x


def importing(x):
    from a_helper import outer

    return outer() * x


def with_default(x, factor=1.0):
    return factor * x


@jax.jit
def jitted(x):
    return FACTOR * x


@jax.custom_vjp
def own_gradient(x):
    return x


own_gradient.defvjp(lambda x: (x, None), lambda _, g: (FACTOR * g,))


@nn.jit
class Jitted(nn.Module):
    @nn.compact
    def __call__(self, x):
        return FACTOR * x


def on_host(x):
    return FACTOR * x


def other(x):
    return 2 * x


def set_global(name, value):
    return lambda: globals().__setitem__(name, value)


def cached(value):
    made = cached_property(lambda self: value)
    made.__set_name__(Base, "a_cached_property")
    return made


double = set_global("FACTOR", 2.0)
EDITS = {  # a function of an array, or a model; what changes it
    "a global": (a_global, double),
    "a global of a helper": (lambda x: a_global(x), double),
    "an attribute of a module": (
        lambda x: helper.FACTOR * x,
        lambda: setattr(helper, "FACTOR", 2.0),
    ),
    "two functions deep": (lambda x: helper.outer() * x, lambda: setattr(helper, "FACTOR", 2.0)),
    "imported inside": (importing, lambda: setattr(helper, "FACTOR", 2.0)),
    "a list in a mapping": (
        lambda x: TABLE["a"][0] * x,
        lambda: TABLE["a"].insert(0, 2.0),
    ),
    "a lambda in a mapping": (lambda x: TABLE["f"](x), lambda: TABLE.update(f=lambda x: 2 * x)),
    "one of 10,000 numbers": (lambda x: jnp.asarray(NUMBERS) * x[0], lambda: NUMBERS.put(5_000, 2)),
    "a random key": (
        lambda x: x + jax.random.normal(KEY, x.shape),
        set_global("KEY", jax.random.key(1)),
    ),
    "a dataclass": (lambda x: OPTIONS.factor * x, lambda: setattr(OPTIONS, "factor", 2.0)),
    "an object's attribute": (CALLABLE, lambda: setattr(CALLABLE, "factor", 2.0)),
    "its class's attribute": (CALLABLE, lambda: setattr(Callable, "scale", 2.0)),
    "a value closed over": (CLOSURE, CLOSURE.change),
    "a default": (with_default, lambda: setattr(with_default, "__defaults__", (2.0,))),
    "a list in a partial": (
        partial(partial(lambda a, b, x: a[0] * b * x, TABLE["a"]), 1.0),
        lambda: TABLE["a"].insert(0, 2.0),
    ),
    "autoreload's new code": (a_global, lambda: setattr(a_global, "__code__", other.__code__)),
    "a base's constant": (MODEL, lambda: setattr(Base, "FACTOR", 2.0)),
    "a property": (MODEL, lambda: setattr(Base, "a_property", property(lambda self: 2.0))),
    "a cached property": (Model(), lambda: setattr(Base, "a_cached_property", cached(2.0))),
    "a method": (MODEL, lambda: setattr(Base, "a_method", lambda self, x: 2 * x)),
    "a static method": (MODEL, lambda: setattr(Base, "a_static", staticmethod(other))),
    "a class method": (
        MODEL,
        lambda: setattr(Base, "a_class_method", classmethod(lambda cls, x: 2 * x)),
    ),
    # JAX keeps the traces of these.
    "jit": (lambda x: jitted(x), double),
    "jit of the whole": (jitted, double),
    "jit's new code": (
        lambda x: jitted(x),
        lambda: setattr(jitted.__wrapped__, "__code__", other.__code__),
    ),
    "scan": (lambda x: jax.lax.scan(lambda c, _: (a_global(c), None), x, None, 2)[0], double),
    "cond": (lambda x: jax.lax.cond(x[0] > 0, a_global, a_global, x), double),
    "checkpoint": (lambda x: jax.checkpoint(a_global)(x), double),
    "piecewise": (lambda x: jnp.piecewise(x, [x > 0], [a_global, a_global]), double),
    "custom_vjp": (jax.grad(lambda x: own_gradient(x).sum()), double),
    "nn.jit": (Jitted(), double),
    "a function on the host": (lambda x: jax.pure_callback(on_host, x, x), double),
}
