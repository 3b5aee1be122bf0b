"""Which Adam did the paper run? Five implementations against its rows with b1 = .9.

    python -m experiments.forensics --data emnist/balanced

Algorithm 1 and the undamped rule (without the factor 1 - b1) are read from the grid of
`experiments.adam`, which should have run into the same --out: undamped Adam at eta is Adam at
eta / (1 - b1), here ten times eta. So only the rules without bias correction, or with a constant
one, are trained; and only where the paper says something of them: eta 1e-3 and 1e-4 with b1 .9.
Twenty epochs reach past its peaks there (epoch 6, and 80 % at most).
"""

from contextlib import suppress

from emnist_jax.figures import plot_curves
from emnist_jax.figures.style import mark
from emnist_jax.figures.tables import Table
from experiments._curves import NONE, peak_limits, plot_means, together, with_names
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._networks import DENSE, paper_sweep
from experiments._verdicts import READING_NAMES, in_words
from experiments.claims.criteria import Verdict
from experiments.claims.judge import judge_reading
from experiments.claims.paper import PAPER, SECTIONS
from experiments.claims.runs import READINGS, NotTestable, Runs

GRID = {"learning_rate": (1e-3, 1e-4), "b1": (0.9,), "b2": (0.9, 0.99, 0.999, 0.9999)}
# Claims whose number the paper gives: of what, and the number.
REPORTED = {
    "A1g": (r"A1g: best at $\eta$ = $10^{-3}$", 80.0),
    "A1p": (r"A1p: by epoch 6 at $\eta$ = $10^{-4}$", 83.0),
}


def draw_readings(runs: Results):
    """Draw each reading's numbers beside the reported ones, a panel each claim."""
    claims = {claim.id: claim for claim in PAPER}
    panels = {}
    for claim, (title, _) in REPORTED.items():
        found = {READING_NAMES[r]: judge_reading(claims[claim], runs, r).estimate for r in READINGS}
        panels[title] = {of: (x.mean, x[1:3]) if x else NONE for of, x in found.items()}
    data = runs["adam"].attrs.get("data", "")
    return plot_means(
        panels,
        reference=[[number] * len(READINGS) for _, number in REPORTED.values()],
        xlabel="validation accuracy (%)",
        note=f"{data} · dense net, b1 .9, b2 .9999 · mean and 95 % t interval over seeds",
    )


def draw_curves(runs: Results):
    """Draw the curves of each reading at the paper's choice."""
    curves = {}
    for reading in READINGS:
        with suppress(NotTestable):
            one = Runs(runs, reading).adam(1e-4, 0.9, 0.9999).reset_coords(drop=True)
            curves[READING_NAMES[reading]] = with_names(one)
    found = together(curves, "reading")
    figure = plot_curves(found, hue="reading", ylim=peak_limits(found))
    return mark(figure, "83 % by epoch 6", 6, 83)


def readings_table(runs: Results) -> Table:
    """Return each claim about Adam, or of networks trained by it, under each reading of Adam."""
    rows = []
    for claim in (one for one in PAPER if one.any_adam or one in SECTIONS["Adam"]):
        found = {reading: judge_reading(claim, runs, reading) for reading in READINGS}
        held = [READING_NAMES[r] for r, j in found.items() if j.verdict is Verdict.HOLDS]
        tested = any(j.estimate for j in found.values())
        cells = {
            READING_NAMES[r]: j.estimate and f"{in_words(j.estimate, claim.unit)}: {j.verdict}"
            for r, j in found.items()
        }
        matched = "; ".join(held) or ("none" if tested else "not testable")
        row = {"claim": claim.id, "the paper": claim.says, "bounds": claim.criterion.words}
        rows.append(row | cells | {"matched by": matched})
    return Table(rows)


EXPERIMENT = Experiment(
    "forensics",
    "Which Adam?",
    sweeps={
        f"forensics/{rule}": paper_sweep(DENSE, rule, GRID, epochs=20) for rule in READINGS[2:]
    },
    reads=("adam",),
    figures={
        "readings": Figure(
            "Five readings of Adam against the paper's numbers (diamonds): A1g, at most 80 % at "
            "eta 1e-3; A1p, 83 % by epoch 6 at eta 1e-4 (both b1 .9, b2 .9999). The best of 100 "
            "epochs for the first two, of 20 for the others.",
            draw_readings,
        ),
        "curves": Figure(
            "Five readings of Adam at eta 1e-4, b1 .9, b2 .9999: validation accuracy.", draw_curves
        ),
    },
    tables={"readings": readings_table},
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
