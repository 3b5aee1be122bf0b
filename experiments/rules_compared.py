"""Nine learning rules at equal budgets: as many random settings each, on the dense net and on C2.

    python -m experiments.rules_compared --data emnist/balanced
    python -m experiments.rules_compared --data emnist/balanced --size 131600 --convnet-epochs 10

Which rule to take, if one can try k settings? The ranges, below, are fixed beforehand; learning
rates span three decades each, and what is drawn for a hyperparameter of one name has the same
quantiles for all rules: they are compared setting by setting, and a lucky draw is lucky for all.
As it stands, with 26,320 images, it took 13 + 52 minutes on two CPU cores (pauses left out); the
second line, with all of EMNIST, is projected on the same cores at 12 hours.

Besides the usual rules: Lion (Chen et al., 2023), schedule-free AdamW (Defazio et al., 2024), and
ADOPT (Taniguchi et al., 2024) as the most recent, proved to converge with any b2, which mattered so
much in the paper's Adam; every operation of it is elementwise, so that all its
hyperparameters are axes of one compiled program. (Muon's orthogonalisation costs several times the
network's own operations here; Prodigy has no learning rate to compare.)
"""

from functools import partial

from emnist_jax import Sweep, schedules
from emnist_jax.engine import ranges
from emnist_jax.errors import check_count
from emnist_jax.figures import plot_budget, plot_intervals, plot_settings
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best_after_k
from experiments._data import Source, fifth, half
from experiments._experiment import Experiment, Figure, Runs, main
from experiments._names import NAMES
from experiments._networks import C2, DENSE, float32_sweep
from experiments._rules import choice_table, folder, less_after_k, scores, tuned_table
from experiments._rules_finding import finding

NETWORKS = {"dense": DENSE, "c2": C2}
AVERAGED = ("sgd", "momentum", "adam")
PARTS = {"half": half, "small": fifth}  # of the training images
_DECAY, _LONG = "1-loguniform(0.01,0.5)", "1-loguniform(0.0001,0.1)"
_ADAM = {"learning_rate": "loguniform(1e-5,1e-2)", "b1": "1-loguniform(0.02,1)", "b2": _LONG}
SPACES: dict[str, dict[str, str]] = {
    "sgd": {"learning_rate": "loguniform(1e-3,1)"},
    "momentum": {"learning_rate": "loguniform(1e-4,1e-1)", "decay": _DECAY},
    "nesterov": {"learning_rate": "loguniform(1e-4,1e-1)", "decay": _DECAY},
    "rmsprop": {"learning_rate": "loguniform(1e-5,1e-2)", "decay": "1-loguniform(0.001,0.5)"},
    "adam": _ADAM,
    "adamw": _ADAM | {"weight_decay": "loguniform(1e-4,1)"},
    "lion": {
        "learning_rate": "loguniform(1e-6,1e-3)",
        "b1": "1-loguniform(0.02,0.5)",
        "b2": "1-loguniform(0.001,0.1)",
        "weight_decay": "loguniform(1e-3,10)",
    },
    "schedule_free_adamw": {
        "learning_rate": "loguniform(1e-4,1e-1)",
        "b1": "1-loguniform(0.02,0.5)",
        "b2": _LONG,
        "weight_decay": "loguniform(1e-4,1)",
    },
    "adopt": _ADAM,
}

ENDS = ("difference", "lower", "upper")
BOOTSTRAP = "95 % bootstrap over seeds and settings"


def sweeps(
    epochs: int = 10,
    convnet_epochs: int = 8,
    settings: int = 16,
    convnet_settings: int = 8,
    sample_seed: int = 0,
    batch_size: int = 50,
    images: int = 100_000,
) -> dict[str, Sweep]:
    """Return a sweep for each rule on each network, over random settings from its ranges.

    At a constant learning rate, with a cosine after a warm-up of a twentieth of the updates, and,
    on the dense net, averaged; there at a constant rate with fewer images, too.
    """
    for name, count in (("settings", settings), ("convnet_settings", convnet_settings)):
        check_count(name, count)
    efforts = {"dense": (epochs, settings), "c2": (convnet_epochs, convnet_settings)}
    found = {}
    for network, (last, samples) in efforts.items():
        steps = last * (images // batch_size)
        for rule, space in SPACES.items():
            values = {name: ranges.parse(name, [word]) for name, word in space.items()}
            made = partial(
                float32_sweep,
                NETWORKS[network],
                grid=ranges.draw(values, samples, sample_seed),
                epochs=last,
                batch_size=batch_size,
            )
            at = folder(network, rule)
            found[at] = made(rule)
            if rule != "schedule_free_adamw":  # whose average stands in for a schedule
                found[f"{at}_cosine"] = made(schedules.cosine(rule, steps, warmup=steps // 20))
            if network == "dense":
                found |= {f"{part}/{at}": made(rule) for part in PARTS}
                if rule in AVERAGED:
                    found[f"{at}_averaged"] = made(schedules.average(rule))
    return found


def about(runs: Runs, network: str) -> str:
    """Return what the note of a figure says of a network's runs."""
    curves = runs[folder(network, "adam")]
    return f"{curves.attrs.get('data', '')} · {NAMES[network]} · {curves.sizes['seed']} seeds"


def draw_budgets(runs: Runs, network: str):
    """Draw what tuning buys, a panel each rule, with Adam's."""
    found = {}
    for rule, score in scores(runs, network).items():
        after = best_after_k(score, resample="both")
        found[NAMES[rule]] = (after.k, after.expected, after.lower, after.upper)
    note = f"{about(runs, network)} · mean over orders of trying settings · {BOOTSTRAP}"
    return plot_budget(found, against=NAMES["adam"], note=note)


def draw_against_adam(runs: Runs, network: str):
    """Draw each rule less Adam (points) at equal budgets, one setting and half of them."""
    own = scores(runs, network)
    others = [rule for rule in own if rule != "adam"]
    budgets = sorted({1, max(1, own["adam"].sizes["sample"] // 2)})
    less = [[less_after_k(own[rule], own["adam"], k) for rule in others] for k in budgets]
    return plot_intervals(
        [NAMES[rule] for rule in others],
        *([[100 * float(x[end]) for x in row] for row in less] for end in ENDS),
        reference=0,
        titles=[f"{k} setting{'s' * (k > 1)} tried" for k in budgets],
        xlabel="best validation accuracy less Adam's, points",
        note=f"{about(runs, network)} · {BOOTSTRAP}",
    )


def draw_settings(runs: Runs, network: str):
    """Draw every setting's accuracy by its learning rate."""
    note = f"{about(runs, network)} · a dot: mean over seeds"
    found = {NAMES[rule]: score for rule, score in scores(runs, network).items()}
    return plot_settings(found, note=note)


def ranges_table(runs: Runs) -> Table:
    """Return what the settings of each rule are drawn from."""
    words = {
        rule: ", ".join(f"{name} {of}" for name, of in space.items())
        for rule, space in SPACES.items()
    }
    return Table([{"rule": rule, "settings drawn from": of} for rule, of in words.items()])


EXPERIMENT = Experiment(
    "rules_compared",
    "Which rule to take (X1)",
    sweeps=sweeps,
    help={
        "convnet_epochs": "passes over the training images, of C2",
        "settings": "random settings of each rule on the dense net",
        "convnet_settings": "random settings of each rule on C2",
        "sample_seed": "seed of the draw of settings",
    },
    data={
        f"{part}/{folder('dense', rule)}": Source(change=change)
        for part, change in PARTS.items()
        for rule in SPACES
    },
    least_seeds=2,
    figures={
        **{
            f"{kind}_{network}": Figure(
                text.format(NAMES[network]),
                lambda runs, draw=draw, network=network: draw(runs, network),
                of=f"rules_compared/{network}",
            )
            for network in NETWORKS
            for kind, draw, text in (
                (
                    "budgets",
                    draw_budgets,
                    "Eight rules beside Adam on {}: expected best validation accuracy after k "
                    "settings.",
                ),
                (
                    "against_adam",
                    draw_against_adam,
                    "Eight rules less Adam on {}, at equal budgets.",
                ),
                (
                    "settings",
                    draw_settings,
                    "Nine rules on {}: every setting's best validation accuracy by its eta.",
                ),
            )
        },
    },
    tables={
        "choice": choice_table,
        "tuned": tuned_table,
        "ranges": ranges_table,
    },
    finding=finding,
    cost="65 minutes on two CPU cores with 26,320 images, 12 hours with all (projected)",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
