"""The report and its tables say what the curves say."""

import csv
import io
from functools import cache

import numpy as np
import paper_world
import pytest
import scipy.stats
from paper_world import altered

from emnist_jax.figures.tables import Table, save_table, settings_table
from experiments import _verdicts
from experiments._draw import Section, protocol
from experiments._verdicts import claims_table, corrections_table, readings_table, summary
from experiments.claims import PAPER, Verdict, judge, judge_reading
from experiments.claims.judge import Estimate
from experiments.report import about_glyphs, report, runs_table

WORLD = paper_world.world()


def rows_of(table):
    return {next(iter(row.values())): row for row in table.rows}


@cache
def judged():
    return [judge(claim, WORLD) for claim in PAPER]


@cache
def report_of_the_world():
    table = Table([{"a": "b"}])
    return report(WORLD, [Section("Title", {"Caption.": table}, [("x/y.png", "Seen.")], "Text.")])


def test_claims_table_has_what_was_measured_and_the_verdict():
    rows = rows_of(claims_table(judged()))
    assert list(rows) == [claim.id for claim in PAPER]
    assert {row["verdict"] for row in rows.values()} == {"**holds**"}
    best = WORLD["rmsprop"].valid_accuracy.sel(learning_rate=0.001).max("epoch").values * 100
    low, high = scipy.stats.t.interval(0.95, 4, best.mean(), scipy.stats.sem(best))
    assert rows["R1h"]["result"] == f"{best.mean():.2f} % [{low:.2f}, {high:.2f}]"
    assert rows["C2c"]["result"] == f"{146 / 101:.2f} times"


def test_difference_of_nearly_nothing_does_not_read_as_zero():
    found = Estimate(-0.00004, -0.00152, 0.00144, 5)
    assert _verdicts.in_words(found, "nats") == "-0.0000 nats [-0.0015, 0.0014]"
    found = Estimate(0.0, 0.0, 0.0, 5)
    assert _verdicts.in_words(found, "nats") == "0.000 nats [0.000, 0.000]"


def test_a_changed_curve_changes_the_report_and_its_summary():
    points = {0: 0.02, 1: 0.7, 5: 0.82, 10: 0.85, 100: 0.8}
    runs = altered("sgd", "valid_accuracy", points, learning_rate=0.1)(WORLD)
    before, after = report_of_the_world(), report(runs, [])
    assert f"**{len(PAPER)} claims**: {len(PAPER)} hold, 0 do not hold" in before
    assert f"**{len(PAPER)} claims**: {len(PAPER)} hold" not in after
    (row,) = (line for line in after.splitlines() if line.startswith("| B1g |"))
    assert row.endswith("| **does not hold** |") and "-1.40 points" in row
    assert "Does not hold: SGD at eta .01 is the choice for quality (B1g: -1.40 points)." in after


def test_summary_names_what_is_undecided_and_what_was_not_run():
    curves = WORLD["adam"].isel(seed=[0, 1]).copy(deep=True)
    at = {"learning_rate": 1e-4, "b1": 0.9, "b2": 0.9999, "seed": 0}
    curves.valid_accuracy.loc[at] = curves.valid_accuracy.loc[at] * 0.97
    about = [judge(claim, {"adam": curves}) for claim in PAPER]
    lines = summary(about, {"adam": curves})
    assert len(lines) == 10
    (line,) = (line for line in lines if line.startswith("**Adam.**"))
    assert "Undecided with 2 seeds: " in line and "A1p" in line.split("Undecided")[1]
    assert any("Not testable: sgd was not run." in line for line in lines)


def test_readings_of_adam_are_compared_on_the_claims_that_all_were_tested_on():
    runs = {"adam": WORLD["adam"], "forensics/adam_uncorrected": WORLD["adam"].sel(b1=[0.9])}
    rows = rows_of(readings_table(runs))
    assert rows["A1p"]["matched by"] == "Algorithm 1; no bias correction"
    assert rows["A1p"]["no bias correction"].startswith("83.00 %")
    assert rows["A1p"]["moments divided by 1 - b"] is None
    assert rows["C1a"]["matched by"] == "not testable"
    about = [claim for claim in PAPER if claim.any_adam]
    verdicts = {
        reading: [judge_reading(claim, runs, reading).verdict for claim in about]
        for reading in ("adam", "adam_undamped")
    }
    both = [Verdict.UNTESTABLE not in pair for pair in zip(*verdicts.values(), strict=True)]
    assert f"Of {sum(both)} tested under each of these: Algorithm 1 {sum(both)}; " in (
        _verdicts.which_adam(runs)
    )


def test_only_a_report_of_glyphs_alone_begins_with_what_it_is_not_about():
    glyphs = WORLD["sgd"].assign_attrs(data="glyphs")
    assert "neither EMNIST nor the paper" in about_glyphs({"sgd": glyphs})
    assert about_glyphs({"sgd": glyphs, "adam": WORLD["adam"]}) is None


def test_runs_table_has_sizes_times_and_devices():
    attrs = {"seconds_per_epoch": 0.5, "wall_seconds": 90.0, "device": "a device"}
    curves = WORLD["adam"].assign_attrs(attrs | {"commit": "c" * 40})
    _, row = runs_table({"adam": curves, "test": WORLD["test_set/c1/test"]}).text()
    assert row == ["adam", "any", "32", "5", "100", "0.5", "1.5", "a device", "c" * 10]


def test_correction_of_the_two_accuracies_has_its_z():
    row = next(row for row in corrections_table().rows if row["the paper"].startswith("87.44"))
    p = (0.8744 + 0.871) / 2
    z = (0.8744 - 0.871) / np.sqrt(p * (1 - p) * 2 / 15_800)
    assert f"z = {z:.2f}" in row["how one knows"]


def test_sections_show_tables_figures_and_captions():
    text = report_of_the_world()
    assert "## Title\n\nText.\n\nCaption.\n\n| a |\n| --- |\n| b |\n\n![Seen.](x/y.png)" in text
    assert "nan" not in text


def test_the_caption_names_data_seeds_and_protocol():
    found = protocol([WORLD["sgd"], WORLD["sgd"].isel(seed=slice(2), epoch=slice(11))])
    assert found == "Data: handmade; seeds: 2 or 5; epochs: 10 or 100; minibatch 50."
    found = protocol([WORLD["sgd"].assign_attrs(order="shared order")])
    assert found.endswith("; minibatch 50; all seeds with a shared order of minibatches.")
    counted = WORLD["sgd"].assign_attrs(train_images=30, valid_images=20)
    found = protocol([WORLD["test_set/c1/test"], counted])
    assert found.startswith("Data: handmade (30 training, 20 validation images); seeds: 5; epochs")


# Tables

AWKWARD = Table(
    [
        {"a_b": "x | y", "50 %": (1, 2.5), "n": 1234, "of": 0.5},
        {"a_b": r"\d {1} #3 & <4", "50 %": np.float32(2), "n": None, "of": float("nan")},
        {"a_b": 'say "hi", twice', "50 %": True, "n": np.int64(7), "of": np.inf},
    ],
    {"of": ".0%"},
)
TEXT = [
    ["a_b", "50 %", "n", "of"],
    ["x | y", "1 to 2.50", "1,234", "50%"],
    [r"\d {1} #3 & <4", "2.00", "", "-"],
    ['say "hi", twice', "yes", "7", "-"],
]


def test_numbers_become_text_where_they_are_printed():
    assert AWKWARD.text() == TEXT
    assert list(csv.reader(io.StringIO(AWKWARD.csv()))) == TEXT
    lines = AWKWARD.markdown().splitlines()
    assert lines[:2] == ["| a_b | 50 % | n | of |", "| --- | --- | --- | --- |"]
    assert lines[2] == r"| x \| y | 1 to 2.50 | 1,234 | 50% |"


def test_latex_escapes_what_it_would_obey():
    lines = AWKWARD.latex().splitlines()
    assert lines[0] == r"\begin{tabular}{llll}" and lines[1] == r"\toprule"
    assert lines[2] == r"a\_b & 50 \% & n & of \\"
    assert lines[5].startswith(r"\textbackslash{}d \{1\} \#3 \& $<$4 & ")
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_table_is_written_three_times(tmp_path):
    paths = save_table(AWKWARD, tmp_path / "name.of" / "table")
    assert [p.name for p in paths] == ["table.md", "table.csv", "table.tex"]
    assert paths[1].read_text() == AWKWARD.csv()


def test_settings_table_is_computed_over_seeds():
    curves = paper_world.rmsprop()
    curves.valid_accuracy.loc[{"seed": 4, "epoch": slice(3, None), "learning_rate": 0.3}] = np.nan
    for name in ("train_error", "valid_error", "train_accuracy"):
        curves[name] = curves[name].where(curves.valid_accuracy.notnull())
    rows = rows_of(settings_table(curves, first_seeds=3))
    assert list(rows) == [0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
    best = 100 * curves.valid_accuracy.sel(learning_rate=0.001).max("epoch").values
    row = rows[0.001]
    bounds = scipy.stats.t.interval(0.95, 4, best.mean(), scipy.stats.sem(best))
    assert row["best (%)"] == pytest.approx(best.mean()) and row["95 %"] == pytest.approx(bounds)
    assert row["sd"] == pytest.approx(best.std(ddof=1))
    assert (row["epoch of best"], row["in seeds"]) == (8, (8, 8))
    assert row["last (%)"] == pytest.approx(80)
    assert row["first 3 seeds: best (%)"] == pytest.approx(best[:3].mean())
    assert row["first 3 seeds: sd"] == pytest.approx(best[:3].std(ddof=1))
    assert rows[0.3]["diverged"] == 1 and np.isnan(rows[0.3]["last (%)"])
    assert not any("first" in name for name in settings_table(curves).rows[0])
