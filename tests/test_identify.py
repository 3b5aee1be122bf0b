"""Which rule is it? Implementations written here, PyTorch's equations and optax's rules are named.

PyTorch's equations are those of its documentation (docs.pytorch.org/docs/stable/optim.html).
"""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from emnist_jax import rules
from emnist_jax.errors import InputError
from emnist_jax.identify.equations import KNOWN
from emnist_jax.identify.readings import search_others
from emnist_jax.identify.steps import observe

RATE = 0.01


def adam(lr=RATE, b1=0.9, b2=0.999, eps=1e-8, l2=0.0, decay=0.0, **slips):
    """Return a new update function that keeps its moments, as a PyTorch optimiser does."""
    m, v, t = 0.0, 0.0, 0

    def corrected(moment, b, kind):
        return moment / {"exact": 1 - b**t, "constant": 1 - b, "none": 1}[kind]

    def update(g, p):
        nonlocal m, v, t
        t, g = t + 1, g + l2 * p
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        up = corrected(
            b1 * m + (1 - b1) * g if "nesterov" in slips else m, b1, slips.get("m", "exact")
        )
        square = corrected(v, b2, slips.get("v", "exact"))
        root = {
            "outside": np.sqrt(square) + eps,
            "inside": np.sqrt(square + eps),
            "outside, before": (np.sqrt(v) + eps) / np.sqrt(1 - b2**t),
            "inside, before": np.sqrt((v + eps) / (1 - b2**t)),
        }[slips.get("place", "outside")]
        return p - lr * up / root - lr * decay * p

    return update


def torch_sgd(lr=0.1, momentum=0.9, dampening=0.0, nesterov=False, weight_decay=0.0):
    buffer = None

    def update(g, p):
        nonlocal buffer
        g = g + weight_decay * p
        buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
        return p - lr * (g + momentum * buffer if nesterov else buffer)

    return update


def torch_rmsprop(lr=RATE, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    v = mean = buffer = 0.0

    def update(g, p):
        nonlocal v, mean, buffer
        v = alpha * v + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        root = np.sqrt(v - mean**2 if centered else v) + eps
        buffer = momentum * buffer + g / root
        return p - lr * buffer

    return update


def torch_nadam(lr=0.002, b1=0.9, b2=0.999, eps=1e-8, psi=0.004):
    m, v, t, product = 0.0, 0.0, 0, 1.0

    def update(g, p):
        nonlocal m, v, t, product
        t += 1
        now, after = (b1 * (1 - 0.5 * 0.96 ** (i * psi)) for i in (t, t + 1))
        product *= now
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        up = after * m / (1 - product * after) + (1 - now) * g / (1 - product)
        return p - lr * up / (np.sqrt(v / (1 - b2**t)) + eps)

    return update


def torch_amsgrad(lr=RATE, b1=0.9, b2=0.999, eps=1e-8):
    m, v, t, most = 0.0, 0.0, 0, 0.0

    def update(g, p):
        nonlocal m, v, t, most
        t += 1
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        most = np.maximum(most, v)
        return p - lr / (1 - b1**t) * m / (np.sqrt(most) / np.sqrt(1 - b2**t) + eps)

    return update


UPDATES = {  # an update function, the rule's name, the slips' words, hyperparameters
    "Adam": (adam(), "adam", [], {"b1": 0.9, "b2": 0.999, "eps": 1e-8}),
    "unusual": (adam(b1=0.7, b2=0.95, eps=1e-4), "adam", [], {"b1": 0.7, "b2": 0.95, "eps": 1e-4}),
    "AdamW": (adam(decay=0.05), "adamw", [], {"weight_decay": 0.05}),
    "Adam, L2": (adam(l2=0.05), "adam", ["coupled weight decay"], {"weight_decay": 0.05}),
    "v uncorrected": (adam(v="none"), "adam_uncorrected_v", [], {}),
    "m uncorrected": (adam(m="none"), "adam", ["without bias correction of m"], {}),
    "v constant": (adam(v="constant"), "adam", ["v divided by 1 - b2 at every"], {}),
    "inside": (adam(place="inside"), "adam", ["eps inside the root"], {}),
    "Keras's eps": (adam(place="outside, before"), "adam", ["outside the root and"], {}),
    "in, before": (adam(place="inside, before"), "adam", ["inside the root and"], {}),
    "Nesterov": (adam(nesterov=True), "adam", ["Nesterov's step: b1 m"], {}),
    "NAdam": (torch_nadam(RATE), "PyTorch's NAdam", [], {}),
    "AMSGrad": (torch_amsgrad(), "PyTorch's AMSGrad", [], {}),
    "SGD": (torch_sgd(RATE, 0.0), "sgd", [], {}),
    "SGD, momentum": (torch_sgd(RATE), "momentum", [], {"decay": 0.9}),
    "SGD, Nesterov": (torch_sgd(RATE, nesterov=True), "nesterov", [], {"decay": 0.9}),
    "SGD, dampening": (
        torch_sgd(RATE, 0.8, 0.5, weight_decay=1e-3),
        "momentum",
        ["m starting as the first gradient", "coupled weight decay"],
        {"decay": 0.8, "dampening": 0.5, "weight_decay": 1e-3},
    ),
    "RMSprop": (torch_rmsprop(), "PyTorch's RMSprop", [], {"alpha": 0.99}),
    "RMSprop, centred": (
        torch_rmsprop(momentum=0.9, centered=True),
        "PyTorch's RMSprop",
        ["v centred", "momentum"],
        {"alpha": 0.99, "b1": 0.9},
    ),
}  # fmt: skip


SOME = [*UPDATES][::3]  # `make test` has a third of them


@pytest.mark.parametrize(
    "name", [n if n in SOME else pytest.param(n, marks=pytest.mark.slow) for n in UPDATES]
)
def test_an_update_function_is_named_with_its_slips(name):
    update, rule, words, values = UPDATES[name]
    found = rules.identify(update, learning_rate=RATE)
    assert (found.matched, found.name) == (True, rule), found
    assert len(found.slips) == len(words)
    for slip, word in zip(found.slips, words, strict=True):
        assert word in slip
    assert {k: found.hyperparameters[k] for k in values} == pytest.approx(values, rel=1e-3)
    assert bool(found.differences) == bool(words)


@pytest.mark.parametrize("name", sorted(rules.RULES.keys() & KNOWN.keys()))
def test_each_rule_of_ours_is_named_under_an_alias(name):
    found = rules.identify(lambda learning_rate: rules.RULES[name](learning_rate))
    assert (found.name, found.matched, found.slips) == (name, True, ())


@pytest.mark.slow
def test_each_rule_of_optax_of_the_families_is_named_under_an_alias():
    for name in ("adamw", "nadam", "nadamw", "amsgrad", "adamax", "adamaxw", "adagrad"):
        found = rules.identify(lambda lr, name=name: getattr(optax, name)(lr))
        assert (found.name, found.matched, found.slips) == (name, True, ())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:`optimistic_adam` is deprecated")
def test_each_other_rule_is_named_under_an_alias():
    others = {name: rules.find(name) for name in rules.names() if name not in KNOWN}
    for name, function in others.items():
        seen = observe(function(learning_rate=RATE), name)
        found = search_others(seen, others, {"learning_rate": RATE})
        assert found is not None, name
        assert found[0] in (name, name.removesuffix("_v2"))  # optax has one rule under both


@pytest.mark.slow
def test_other_rules_are_named_with_arguments_missing_changed_or_of_another_name():
    others = {name: rules.find(name) for name in rules.names() if name not in KNOWN}
    step = optax.scale_by_learning_rate(RATE)
    lion = optax.chain(optax.scale_by_lion(0.8, 0.95), step)
    signs = optax.chain(optax.ema(0.7, debias=False), optax.scale_by_sign(), step)
    for rule, has, name, numbers in (
        (lion, {"b1": 0.8, "b2": 0.95, "learning_rate": RATE}, "lion", {"weight_decay": 0}),
        (lion, {"beta1": 0.8, "beta_2": 0.95}, "lion", {"weight_decay": 0, "learning_rate": RATE}),
        (signs, {"decay": 0.7, "learning_rate": RATE}, "signum", {"beta": 0.7}),
    ):
        found = search_others(observe(rule, name), others, has)
        assert found[0] == name
        assert {n: found[1][n] for n in numbers} == pytest.approx(numbers)


def test_a_rule_with_other_names_of_arguments_is_matched_by_what_they_do():
    def mine(lr, beta1=0.9, beta2=0.999, epsilon=1e-8, wd=0.0, unused=1.0):
        return optax.adamw(lr, beta1, beta2, epsilon, weight_decay=2 * wd)

    found = rules.identify(mine)
    assert (found.name, found.slips) == ("adam", ())
    assert found.arguments == {
        "beta1": "b1",
        "beta2": "b2",
        "epsilon": "eps",
        "wd": "decoupled weight_decay (to 0.02 where it is 0.01)",
        "unused": "nothing",
    }
    swapped = rules.identify(
        lambda learning_rate, b1=0.9, b2=0.99: optax.adam(learning_rate, b2, b1)
    )
    assert swapped.arguments == {"b1": "b2", "b2": "b1"}
    assert swapped.hyperparameters["b1"] == pytest.approx(0.99)


@pytest.mark.slow
def test_without_the_learning_rate_it_is_measured_and_both_readings_are_given():
    found = rules.identify(rules.adam_undamped(1e-3))
    assert found.name == "adam"
    assert found.hyperparameters["learning_rate"] == pytest.approx(1e-2)
    assert [one.split(",")[0] for one in found.also] == ["adam_undamped with learning_rate 0.001"]
    lion = rules.identify(optax.lion(3e-4))
    assert (lion.name, lion.hyperparameters["learning_rate"]) == ("lion", pytest.approx(3e-4))


def test_the_first_difference_is_where_the_known_rule_steps_otherwise():
    found = rules.identify(adam(v="none"), learning_rate=RATE)
    assert not found.differences  # a known rule of its own
    found = rules.identify(adam(v="constant"), learning_rate=RATE)
    one = found.differences["adam"]
    close = str(one._replace(change=-0.01, known=-0.0100049))
    assert close.endswith(": -0.01 instead of -0.010005")
    assert one.update == 2  # at the first, 1 - b2^t is 1 - b2
    # v grows by 1 + b2 where it is divided by 1 - b2^2 = (1 - b2) (1 + b2).
    assert one.change / one.known == pytest.approx(1 / np.sqrt(1 + 0.999), rel=1e-3)


def test_a_rule_that_is_none_of_the_known_ones_is_reported_as_none():
    found = rules.identify(optax.chain(optax.clip(0.1), optax.adam(RATE)))
    assert not found.matched
    assert str(found).startswith("no known rule; the nearest is adam with learning_rate 0.01")
    assert found.differences


def test_float32_agrees_within_the_tolerance():
    double = adam()

    def update(g, p):
        return double(g.astype(np.float32), p.astype(np.float32)).astype(np.float32)

    found = rules.identify(update, learning_rate=RATE)
    assert (found.name, found.matched, found.slips) == ("adam", True, ())
    assert found.error > 1e-12
    assert not jax.config.jax_enable_x64  # as it was


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("adma", 'did you mean "adam"'),
        (lambda g, p: g[0], r"returns no array \(4, 8\)"),
        (lambda learning_rate: learning_rate, "returns float"),
        (lambda learning_rate: 1 / 0, "division by zero"),
        (lambda learning_rate, b1: optax.adam(learning_rate, b1), r"identify\(rule, b1=0.9\)"),
        (lambda g, p: 1 / 0, "ZeroDivisionError"),
        (lambda g, p: p + np.nan, "NaN or infinity at update 1"),
        (
            optax.GradientTransformation(lambda p: (), lambda g, s, p=None: g),
            r"must return a pair, \(updates, state\)",
        ),
    ],
)
def test_what_cannot_be_identified_is_refused_in_a_line(rule, message):
    with pytest.raises(InputError, match=message):
        rules.identify(rule)


def test_an_argument_that_counts_is_something_else():
    def mine(learning_rate, repeat=1):
        return optax.chain(*[optax.identity()] * repeat, optax.adam(learning_rate))

    found = rules.identify(mine)
    assert found.name == "adam" and found.arguments["repeat"] == "something else"


def test_values_of_required_arguments_can_be_given():
    mine = partial(lambda learning_rate, b1: optax.adam(learning_rate, b1), b1=0.8)
    for found in (rules.identify(mine), rules.identify(mine.func, b1=0.8)):
        assert found.hyperparameters["b1"] == pytest.approx(0.8)
