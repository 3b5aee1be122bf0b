"""A sweep as a value: all that decides its curves, but the data."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature

import flax.linen as nn

from emnist_jax import rules, train
from emnist_jax.adapters import Other
from emnist_jax.engine.grid import GridLike
from emnist_jax.errors import check_choice


@dataclass(frozen=True)
class Sweep:
    """All that decides the curves of a sweep but the data; `run` trains it.

    Attributes:
        model: a linen module called as `module(x, train=False)`, an NNX class, a function of `rngs`
            that returns an NNX module, or functions `(init, apply)` (see `adapters`); a field
            `classes` that is None is set to the data's number of classes.
        rule: a name (see `rules`), or a function of the learning rate and hyperparameters.
        grid: hyperparameters of the rule (or float fields of the model, such as `dropout`) with
            a number or a list of numbers each, or a list of whole settings. A name that both
            have is set in both.
        seeds: a number n (seeds 0..n-1) or a list. A seed decides the initial weights and, with
            `order="seed"`, the minibatches.
        epochs: passes over the training images.
        batch_size: images a minibatch; what is left over of an epoch is not trained on.
        order: "seed" gives each seed a minibatch order of its own, equal for all settings and
            rules, so that they are compared in pairs. A number k gives all seeds the order k:
            intervals over seeds then hold given that order, and are too narrow for any other.
        metrics: more functions (logits, labels) -> one number an image, by name, such as
            `{"macro_accuracy": train.macro_accuracy}`, the mean over classes.
        watch: diagnostics of the training to record, as means over an epoch's updates: some of
            "gradient_norm", "update_norm", "weight_norm", "update_ratio", "update_cosine" (see
            `emnist_jax.watch`).
        variants: more models of the same variables, by name, to evaluate the trials with, such as
            one that normalises with minibatch statistics; adds `valid_accuracy_NAME` and so on.
        dtype: "float32", or "float64" (set `jax_enable_x64` first).
        precision: of matrix products, as `jax.default_matmul_precision` has it: "default" is
            float32 on a CPU, TF32 on a recent GPU, one bfloat16 pass on a TPU.
        keep: "best" also returns every trial's network at its highest validation accuracy (ties
            to the lower validation error, then to the earlier epoch), "lowest_error" at its lowest
            validation error (ties to the higher accuracy), "last" after the last epoch; a list of
            epochs keeps it at each of them.
    """

    model: nn.Module | Other
    rule: str | rules.Rule
    grid: GridLike
    seeds: int | Sequence[int] = 5
    epochs: int = 10
    batch_size: int = 50
    order: str | int = "seed"
    metrics: Mapping[str, train.Metric] | None = None
    watch: Sequence[str] = ()
    variants: Mapping[str, nn.Module | Other] | None = None
    dtype: str = "float32"
    precision: str = "default"
    keep: str | Sequence[int] | None = None

    def replace(self, **changes: object) -> "Sweep":
        """Return the sweep with some fields changed.

        Raises:
            InputError: a name that is no field.
        """
        check_names(changes, Sweep)
        return dataclasses.replace(self, **changes)


def check_names(given: Mapping[str, object], *takers: Callable) -> None:
    """Refuse a name that is no argument of any of the takers, but `sweep` and `data`."""
    known = [name for taker in takers for name in signature(taker).parameters]
    known = [name for name in dict.fromkeys(known) if name not in ("sweep", "data")]
    for name in given:
        check_choice(f'no argument "{name}"', name, known)
