"""Known learning rules as equations in float64 numpy, and the choices that slips are made of.

Written once for all of them: `directions` holds the moments and how they are put together, a `Form`
the choices in them, `KNOWN` the form of each rule. `forms` are those compared with an
implementation: the known ones and all within two choices of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np

SLIPS = {  # the choices of a Form, and the words for a rule that differs in one
    "second": {
        "none": "without division by a second moment",
        "mean": "divided by the root of v <- b2 v + (1 - b2) g^2",
        "sum": "divided by the root of the sum of g^2",
        "largest": "divided by v <- max(b2 v, |g| + eps)",
    },
    "damped": {
        True: "with m damped: m <- b1 m + (1 - b1) g",
        False: "with m undamped: m <- b1 m + g",
    },
    "correct_m": {
        "none": "without bias correction of m",
        "exact": "with bias correction of m",
        "constant": "with m divided by 1 - b1 at every update instead of by 1 - b1^t",
    },
    "correct_v": {
        "none": "without bias correction of v",
        "exact": "with bias correction of v",
        "constant": "with v divided by 1 - b2 at every update instead of by 1 - b2^t",
    },
    "eps": {
        "outside": "with eps outside the root",
        "inside": "with eps inside the root",
        "outside, before": "with eps outside the root and added before the bias correction of v",
        "inside, before": "with eps inside the root and added before the bias correction of v",
    },
    "nesterov": {
        "no": "without Nesterov's step",
        "plain": "with Nesterov's step: b1 m + (1 - b1) g for m, or b1 m + g where m is undamped",
        "ahead": "with Nesterov's step, its m corrected as of the next update (Dozat; optax)",
        "scheduled": "with Nesterov's step and b1 growing by Dozat's schedule (PyTorch, Keras)",
    },
    "momentum": {
        "gradient": "with momentum of the gradient",
        "step": "with momentum of the step: m of g / sqrt(v) in place of m / sqrt(v)",
    },
    "maximum": {
        "no": "without the maximum of v",
        "before": "with the maximum of v taken before its bias correction (PyTorch)",
        "after": "with the maximum of v taken after its bias correction (optax)",
    },
    "centred": {
        False: "without centring of v",
        True: "with v centred: less the mean of g, squared",
    },
    "first": {
        "zero": "with m starting at 0",
        "gradient": "with m starting as the first gradient (PyTorch)",
    },
    "start": {"zero": "with v starting at 0", "above": "with v starting above 0"},
    "decay": {
        "coupled": "with coupled weight decay (L2: added to the gradient)",
        "decoupled": "with decoupled weight decay (added to the step)",
    },
}


@dataclass(frozen=True)
class Form:
    """The choices in a rule's equations; those of `SLIPS`. The defaults are Adam's."""

    second: str = "mean"
    damped: bool = True
    correct_m: str = "exact"
    correct_v: str = "exact"
    eps: str = "outside"
    nesterov: str = "no"
    momentum: str = "gradient"
    maximum: str = "no"
    centred: bool = False
    first: str = "zero"
    start: str = "zero"
    decay: str = "decoupled"

    def numbers(self) -> list[str]:
        """Return the names of the hyperparameters that these equations have."""
        by_moment = {"none": (), "mean": ("b2", "eps"), "sum": ("eps",), "largest": ("b2", "eps")}
        dampening = ("dampening",) if self.first == "gradient" else ()
        initial = ("initial",) if self.start == "above" else ()
        return ["b1", *by_moment[self.second], *initial, *dampening, "weight_decay"]


class Known(NamedTuple):
    """A named rule: its form, and its hyperparameters with the names that it has for them."""

    form: Form
    names: Mapping[str, str]


_ADAM = {"b1": "b1", "b2": "b2", "eps": "eps"}
_ADAMW = {**_ADAM, "weight_decay": "weight_decay"}
_ADAMAX = Form(second="largest", correct_v="none")
_RAW = Form(correct_m="none", correct_v="none")  # Adam without bias correction
_PLAIN = replace(_RAW, second="none", damped=False, decay="coupled")
_RMS = replace(_RAW, damped=False, eps="inside", momentum="step", decay="coupled")
KNOWN = {
    "sgd": Known(_PLAIN, {}),
    "momentum": Known(_PLAIN, {"b1": "decay"}),
    "nesterov": Known(replace(_PLAIN, nesterov="plain"), {"b1": "decay"}),
    "rmsprop": Known(_RMS, {"b2": "decay", "eps": "eps"}),
    "adagrad": Known(
        replace(_RMS, second="sum", start="above"),
        {"initial": "initial_accumulator_value", "eps": "eps"},
    ),
    "PyTorch's RMSprop": Known(replace(_RMS, eps="outside"), {"b2": "alpha", "eps": "eps"}),
    "PyTorch's Adagrad": Known(replace(_RMS, second="sum", eps="outside"), {"eps": "eps"}),
    "adam": Known(Form(), _ADAM),
    "adamw": Known(Form(), _ADAMW),
    "adam_undamped": Known(Form(damped=False), _ADAM),
    "adam_uncorrected": Known(_RAW, _ADAM),
    "adam_uncorrected_v": Known(Form(correct_v="none"), _ADAM),
    "adam_undamped_uncorrected": Known(replace(_RAW, damped=False), _ADAM),
    "adam_undamped_uncorrected_m": Known(Form(damped=False, correct_m="none"), _ADAM),
    "adam_constant_correction": Known(Form(correct_m="constant", correct_v="constant"), _ADAM),
    "nadam": Known(Form(nesterov="ahead"), _ADAM),
    "nadamw": Known(Form(nesterov="ahead"), _ADAMW),
    "PyTorch's NAdam": Known(Form(nesterov="scheduled"), _ADAM),
    "PyTorch's AMSGrad": Known(Form(maximum="before"), _ADAM),
    "amsgrad": Known(Form(maximum="after"), _ADAM),
    "adamax": Known(_ADAMAX, _ADAM),
    "adamaxw": Known(_ADAMAX, _ADAMW),
}


def _corrections(kind: str, decay: float, t: int) -> float:
    return np.float64({"exact": 1 - decay**t, "constant": 1 - decay, "none": 1.0}[kind])


def directions(
    form: Form, values: Mapping[str, float], theta: np.ndarray, grads: np.ndarray
) -> np.ndarray:
    """Return what each update subtracts, over the learning rate and without decoupled decay.

    `values` are b1, b2, eps, weight_decay, initial (of v) and dampening; `theta` the weights before
    each update, (updates, elements); `grads` the gradients, of the same shape.
    """
    b1, b2, eps = values["b1"], values["b2"], values["eps"]
    gain = 1 - b1 if form.damped else 1.0
    if form.first == "gradient":
        gain = 1 - values["dampening"]
    m = mean = peak = np.zeros_like(theta[0])
    v, ahead, steps = np.full_like(m, values["initial"] if form.start == "above" else 0), 1.0, []
    for t, (g, weights) in enumerate(zip(grads, theta, strict=True), start=1):
        if form.decay == "coupled":
            g = g + values["weight_decay"] * weights
        # The root of the second moment, with eps.
        root = 1.0
        if form.second == "largest":
            root = v = np.maximum(b2 * v, np.abs(g) + eps)
        elif form.second != "none":
            v = v + g**2 if form.second == "sum" else b2 * v + (1 - b2) * g**2
            c = _corrections(form.correct_v, b2, t)
            peak = np.maximum(peak, v / c if form.maximum == "after" else v)
            square = {"no": v / c, "before": peak / c, "after": peak}[form.maximum]
            if form.centred:
                mean = b2 * mean + (1 - b2) * g
                square = square - mean**2
            before = c if form.eps.endswith("before") else 1.0
            if form.eps.startswith("inside"):
                root = np.sqrt(square + eps / before)
            else:
                root = np.sqrt(square) + eps / np.sqrt(before)
        # The first moment, of the gradient or of the step.
        if form.momentum == "step":
            g = g / root
        m = g if form.first == "gradient" and t == 1 else b1 * m + gain * g
        step = m / _corrections(form.correct_m, b1, t)
        if form.nesterov == "plain":
            step = (b1 * m + gain * g) / _corrections(form.correct_m, b1, t)
        elif form.nesterov == "ahead":
            step = b1 * m / _corrections(form.correct_m, b1, t + 1)
            step = step + gain * g / _corrections(form.correct_m, b1, t)
        elif form.nesterov == "scheduled":
            now, following = (b1 * (1 - 0.5 * 0.96 ** (0.004 * i)) for i in (t, t + 1))
            ahead *= now
            step = (1 - now) * g / (1 - ahead) + following * m / (1 - ahead * following)
        steps.append(step if form.momentum == "step" else step / root)
    return np.stack(steps)


def _sensible(form: Form) -> bool:
    """Return whether each choice of the form has a meaning beside the others."""
    of_v = (form.correct_v, form.eps, form.maximum, form.start)
    if form.second in ("none", "largest") and of_v != ("none", "outside", "no", "zero"):
        return False
    moving = form.second == "mean"
    m_corrected, v_corrected = form.correct_m != "none", form.correct_v != "none"
    return not (
        (not moving and (v_corrected or form.maximum != "no" or form.centred))
        or (form.second == "none" and form.momentum == "step")
        or (v_corrected and form.start == "above")
        or (not v_corrected and (form.eps.endswith("before") or form.maximum == "after"))
        or (form.centred and (m_corrected or form.maximum != "no"))
        or (form.momentum == "step" and m_corrected)
        or (form.first == "gradient" and (m_corrected or form.second != "none" or form.damped))
        or (form.nesterov in ("ahead", "scheduled") and form.correct_m != "exact")
    )


@cache
def forms() -> tuple[Form, ...]:
    """Return the known forms and all within two choices of one, nearest first."""
    rings = [dict.fromkeys(known.form for known in KNOWN.values())]
    choices = [(name, choice) for name, known in SLIPS.items() for choice in known]
    for _ in range(2):
        slipped = (replace(form, **{name: one}) for form in rings[-1] for name, one in choices)
        rings.append(dict.fromkeys(slipped))
    return tuple(form for form in rings[0] | rings[1] | rings[2] if _sensible(form))


def slips(form: Form, values: Mapping[str, float], name: str) -> tuple[int, list[str]]:
    """Return in how many choices a form differs from a known rule, and each in words."""
    known = KNOWN[name]
    nonzero = {n for n in form.numbers() if values[n]}
    extra = nonzero - {*known.names}
    absent = {n for n in known.names if n in form.numbers()} - nonzero
    differ = {f for f in SLIPS if getattr(form, f) != getattr(known.form, f)} - {"decay"}
    if "weight_decay" in extra or ("weight_decay" in nonzero and form.decay != known.form.decay):
        differ.add("decay")
    words = [SLIPS[f][getattr(form, f)] for f in SLIPS if f in differ]
    words += ["with momentum"] if "b1" in extra else []
    count = len(differ | (extra - {"weight_decay"})) + len(absent)
    return count + ("momentum" in differ), words  # momentum of the step is RMSprop's
