"""X1: which rule, at equal budgets? Claims on searches of rules, with and without a schedule."""

from collections.abc import Mapping
from functools import partial

import xarray as xr

from emnist_jax.stats import difference_after_k
from experiments.claims.baseline import SLIGHT, TWICE
from experiments.claims.criteria import Estimate, above, at_least, at_most, between
from experiments.claims.judge import Claim
from experiments.claims.measures import best_accuracy, seed_differences
from experiments.claims.networks import NONE_GAINED
from experiments.claims.quantities import TUNED, Measured, run
from experiments.claims.runs import NotTestable, Runs
from experiments.claims.tuning import slowest_over_fastest, tuned_range

SCHEDULE_FREE = "schedule_free_adamw"
RULES = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
NEWER = ("adamw", "lion", SCHEDULE_FREE, "adopt")
ON_C2 = ("sgd", "adam", "adamw", "nesterov", "lion", SCHEDULE_FREE)
COUNTS = {3: "three", 4: "four", 6: "six", 9: "nine"}
SEARCHES = {"dense": "rules_compared/dense", "c2": "rules_on_c2"}
NAMES = {"dense": "the dense net", "c1": "C1", "c2": "C2"}
_LITTLE = "half a point, about what other validation images would move a difference by"


def tuned_gain(name: str, over: str) -> Measured:
    """Return what one run's best setting gains over another's."""
    return TUNED(run(name)) - TUNED(run(over))


def folder(network: str, rule: str, kind: str = "") -> str:
    """Return where a rule's curves on a network are: at a constant rate, "cosine", "averaged".

    Schedule-free AdamW averages; it has no cosine, and stands beside both.
    """
    ending = f"_{kind}" if kind and rule != SCHEDULE_FREE else ""
    return f"{SEARCHES[network]}/{rule}{ending}"


def _adam_over_sgd(curves: Mapping[str, xr.Dataset]) -> Estimate:
    a, b = (best_accuracy(curves[rule]) for rule in ("adam", "sgd"))
    if min(a.sizes["seed"], b.sizes["seed"]) < 2:
        raise NotTestable("one seed gives no interval")
    alike = a.sizes["sample"] == b.sizes["sample"]  # then of the same quantiles
    found = difference_after_k(a, b, resample="both", same_settings=alike)
    after = found.isel(k=min(2, found.sizes["k"] - 1))
    return Estimate(*(float(after[x]) for x in ("difference", "lower", "upper")), int(found.n))


def _newest_over_adam(curves: Mapping[str, xr.Dataset]) -> xr.DataArray:
    found = {rule: TUNED.of(one) for rule, one in curves.items()}
    adam = found.pop("adam")
    return seed_differences(max(found.values(), key=lambda x: float(x.mean())), adam)


def rule_claims(letters: str, network: str, rules: tuple[str, ...]) -> tuple[Claim, ...]:
    """Return the claims on some rules on a network, X1 and these letters."""
    name, both, count = NAMES[network], "Abstract, Section 7", COUNTS[len(rules)]
    newer = tuple(rule for rule in rules if rule in NEWER)

    def of(function, words, unit="points", rules=rules, kind=""):
        def measured(runs: Runs):
            return function({rule: runs.pick(folder(network, rule, kind)) for rule in rules})

        return Measured(words, unit, measured)

    def adam(kind: str) -> str:
        return folder(network, "adam", kind)

    # fmt: off
    return (
        Claim(f"X1{letters[0]}",
              f"which of {count} rules is taken matters little for the accuracy of {name}",
              of(tuned_range, "best validation accuracy in as many epochs, best less worst rule"),
              at_most(SLIGHT, "one point, as for the paper's three rules (F1e)"), section=both),
        Claim(f"X1{letters[1]}",
              f"which of {count} rules is taken matters much for the epochs to train {name}",
              of(slowest_over_fastest,
                 "epochs to a point below the best, slowest over fastest rule (never counts as one "
                 "epoch more than there were, with no upper end)", "times"),
              at_least(2, TWICE), section=both),
        Claim(f"X1{letters[2]}",
              f"with three random settings to try on {name}, Adam is the better bet than SGD",
              of(_adam_over_sgd,
                 "expected best validation accuracy after three settings, Adam less SGD",
                 rules=("adam", "sgd")),
              above(0, "the sign; bootstrap over seeds and settings"), section="Section 7"),
        Claim(f"X1{letters[3]}", f"one of {COUNTS[len(newer)]} newer rules beats Adam on {name}",
              of(_newest_over_adam,
                 f"best validation accuracy in the epochs trained, the best of {', '.join(newer)} "
                 "less Adam", rules=("adam", *newer)),
              above(0, "the sign; the best of several noisy means flatters it a little"),
              section="beyond"),
        Claim(f"X1{letters[4]}",
              f"where every rule may decay its rate, the choice matters little on {name}",
              of(tuned_range,
                 "best validation accuracy, best less worst rule, all with a cosine but "
                 "schedule-free AdamW", kind="cosine"),
              at_most(SLIGHT, "one point, as for the paper's three rules (F1e)"), section=both),
        Claim(f"X1{letters[5]}",
              f"schedule-free AdamW is no better than Adam with a cosine on {name}",
              tuned_gain(folder(network, SCHEDULE_FREE), adam("cosine")),
              at_most(NONE_GAINED, _LITTLE), section="beyond"),
        Claim(f"X1{letters[6]}", f"a cosine helps Adam on {name}",
              tuned_gain(adam("cosine"), adam("")), above(0), section="beyond"),
        Claim(f"X1{letters[7]}",
              "where every rule decays its rate, the choice matters little for the epochs to an "
              f"accuracy that all reach on {name}",
              of(partial(slowest_over_fastest, pick=min),
                 "epochs to a point below the worst rule's best, slowest over fastest rule, all "
                 "with a cosine (never: as in X1b)", "times",
                 rules=tuple(rule for rule in rules if rule != SCHEDULE_FREE), kind="cosine"),
              at_most(2, f"{TWICE}; asked when the curves were known"), section=both),
    )
    # fmt: on


_AVERAGED = folder("dense", "adam", "averaged")
# fmt: off
AVERAGE_CLAIMS = (
    Claim("X1h", "schedule-free AdamW is no better than Adam at an average of its weights",
          tuned_gain(folder("dense", SCHEDULE_FREE), _AVERAGED),
          at_most(NONE_GAINED, _LITTLE), section="beyond"),
    Claim("X1i", "averaging does for Adam what a cosine does",
          tuned_gain(_AVERAGED, folder("dense", "adam", "cosine")),
          between(-NONE_GAINED, NONE_GAINED, _LITTLE), section="beyond"),
)
# fmt: on
