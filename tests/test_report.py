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
from experiments.claims import PAPER, Verdict, judge, judge_reading
from experiments.claims.judge import Estimate, Judgement
from experiments.report import (
    Section,
    bounds,
    claims_table,
    corrections_table,
    describe,
    readings_table,
    report,
    runs_table,
    summary,
)

WORLD = paper_world.world()


def rows_of(table):
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


def judged(runs):
    return [judge(claim, runs) for claim in PAPER]


@cache
def report_of_the_world():
    table = Table(["a"], [["b"]])
    return report(WORLD, [Section("Title", {"Caption.": table}, [("x/y.png", "Seen.")], "Text.")])


def test_claims_table_has_what_was_measured_and_the_verdict():
    rows = rows_of(claims_table(judged(WORLD)))
    assert list(rows) == [claim.id for claim in PAPER]
    assert {row["verdict"] for row in rows.values()} == {"**holds**"}
    best = WORLD["rmsprop"].valid_accuracy.sel(learning_rate=0.001).max("epoch").values * 100
    low, high = scipy.stats.t.interval(0.95, 4, best.mean(), scipy.stats.sem(best))
    assert rows["R1h"]["result"] == f"{best.mean():.2f} % [{low:.2f}, {high:.2f}]"
    assert rows["R1h"]["bounds"] == "81.7 to 83.7"
    assert rows["C2c"]["result"] == f"{146 / 101:.2f} times"


def test_difference_of_nearly_nothing_does_not_read_as_zero():
    claim = next(claim for claim in PAPER if claim.unit == "nats")
    found = Judgement(claim, Verdict.UNDECIDED, Estimate(-0.00004, -0.00152, 0.00144, 5))
    row = rows_of(claims_table([found]))[claim.id]
    assert row["result"] == "-0.0000 nats [-0.0015, 0.0014]"
    found = found._replace(estimate=Estimate(0.0, 0.0, 0.0, 5))
    assert rows_of(claims_table([found]))[claim.id]["result"] == "0.000 nats [0.000, 0.000]"


def test_changed_curve_changes_the_report():
    change = altered("rmsprop", "valid_accuracy", {0: 0.02, 8: 0.9, 100: 0.8}, learning_rate=0.001)
    before, after = report_of_the_world(), report(change(WORLD), [])
    assert f"**{len(PAPER)} claims**: {len(PAPER)} hold, 0 do not hold" in before
    assert f"**{len(PAPER)} claims**: {len(PAPER)} hold" not in after
    row = next(line for line in after.splitlines() if line.startswith("| R1h |"))
    assert row.endswith("| **does not hold** |")
    assert "90.00 %" in row


def test_summary_has_ten_lines_that_name_what_falls():
    points = {0: 0.02, 1: 0.7, 5: 0.82, 10: 0.85, 100: 0.8}
    change = altered("sgd", "valid_accuracy", points, learning_rate=0.1)
    runs = change(WORLD)
    lines = summary(judged(runs), runs)
    assert len(lines) == 10
    assert max(map(len, lines)) < 800
    (line,) = (line for line in lines if line.startswith("**SGD.**"))
    assert (
        "6 of 7 tested claims hold. Does not hold: SGD at eta .01 is the choice for quality "
        "(B1g: -1.40 points)." in line
    )


def test_summary_names_what_is_undecided_and_its_seeds():
    curves = WORLD["adam"].isel(seed=[0, 1]).copy(deep=True)
    at = {"learning_rate": 1e-4, "b1": 0.9, "b2": 0.9999, "seed": 0}
    curves.valid_accuracy.loc[at] = curves.valid_accuracy.loc[at] * 0.97
    runs = WORLD | {"adam": curves}
    (line,) = (line for line in summary(judged(runs), runs) if line.startswith("**Adam.**"))
    assert "Undecided with 2 seeds: A1p, " in line


def test_summary_of_nothing_says_which_run_is_missing():
    lines = summary(judged({}), {})
    assert f"0 undecided, {len(PAPER) - 1} not testable." in report({}, [])
    assert any("Not testable: sgd was not run." in line for line in lines)


def test_summary_compares_readings_of_adam_on_the_claims_that_all_were_tested_on():
    runs = WORLD | {"forensics/adam_uncorrected": WORLD["adam"].sel(b1=[0.9])}
    line = summary(judged(runs), runs)[-2]
    rows = rows_of(readings_table(runs)).values()
    common = [row for row in rows if row["no bias correction"] and row["undamped (Adam at 10 eta)"]]
    held = sum("no bias correction" in row["matched by"] for row in common)
    assert f"Of {len(common)} tested under each of these: Algorithm 1 {len(common)}; " in line
    assert f"no bias correction {held}." in line


def test_summary_counts_what_each_reading_of_adam_explains():
    runs = {"adam": WORLD["adam"]}
    about = [claim for claim in PAPER if claim.any_adam]
    tested = [judge(claim, runs).verdict for claim in about]
    known = sum(verdict is not Verdict.UNTESTABLE for verdict in tested)
    other = [judge_reading(claim, runs, "adam_undamped").verdict for claim in about]
    both = sum(Verdict.UNTESTABLE not in pair for pair in zip(tested, other, strict=True))
    assert 0 < both <= known
    line = summary(judged(runs), runs)[-2]
    assert f"Of {both} tested under each of these: Algorithm 1 {both}; " in line


def test_readings_table_names_the_readings_that_match():
    runs = WORLD | {"forensics/adam_uncorrected": WORLD["adam"].sel(b1=[0.9])}
    rows = rows_of(readings_table(runs))
    assert set(rows) == {c.id for c in PAPER if c.any_adam or c.id.startswith("A1")}
    assert rows["A1p"]["matched by"] == "Algorithm 1; no bias correction"
    assert rows["A1p"]["no bias correction"].startswith("83.00 %")
    assert rows["A1p"]["moments divided by 1 - b"] == ""
    assert rows_of(readings_table({}))["A1p"]["matched by"] == "not testable"


def test_runs_table_has_sizes_times_and_devices():
    attrs = {
        "seconds_per_epoch": 0.5,
        "wall_seconds": 90.0,
        "device": "a device",
        "commit": "c" * 40,
    }
    curves = WORLD["adam"].assign_attrs(attrs)
    (row,) = runs_table({"adam": curves, "test": WORLD["test_set/c1/test"]}).rows
    assert row == ["adam", "any", "32", "5", "100", "0.5", "1.5", "a device", "c" * 10]


def test_correction_of_the_two_accuracies_has_its_z():
    row = next(row for row in corrections_table().rows if row[1].startswith("87.44"))
    p = (0.8744 + 0.871) / 2
    z = (0.8744 - 0.871) / np.sqrt(p * (1 - p) * 2 / 15_800)
    assert f"z = {z:.2f}" in row[3]


def test_sections_show_tables_figures_and_captions():
    text = report_of_the_world()
    assert "## Title\n\nText.\n\nCaption.\n\n| a |\n| --- |\n| b |\n\n![Seen.](x/y.png)" in text
    assert "nan" not in text


def test_caption_tells_data_seeds_and_protocol():
    told = describe([WORLD["sgd"], WORLD["sgd"].isel(seed=slice(2), epoch=slice(11))])
    assert told == "Data: handmade; seeds: 2 or 5; epochs: 10 or 100; minibatch 50."
    counted = WORLD["sgd"].assign_attrs(train_images=30, valid_images=20)
    told = describe([counted, WORLD["sgd"]])  # as test results stand beside curves
    assert told.startswith("Data: handmade (30 training, 20 validation images); seeds")


def test_images_are_counted_where_the_record_does_not_say():
    assert "validation images;" not in report_of_the_world()  # not computed by a sweep
    curves, rng = WORLD["sgd"].copy(), np.random.default_rng(0)
    for part, n in (("train", 100_000), ("valid", 15_800)):
        right = rng.integers(0, n, curves.train_accuracy.shape)
        curves[f"{part}_accuracy"] = curves.train_accuracy.copy(data=(right / n).astype("float32"))
    said = "handmade (100,000 training, 15,800 validation images);"
    assert describe([curves]).startswith(f"Data: {said}")
    known = curves.assign_attrs(train_images=3, valid_images=2)
    assert "handmade (3 training, 2 validation images);" in describe([known])
    assert "Data: `handmade` (3 training, 2 validation images; contents" in report(
        {"sgd": known}, []
    )
    assert "images" not in describe([curves.isel(epoch=[0], learning_rate=[0])])  # too few to tell


@pytest.mark.parametrize(
    ("claim", "text"), [("B1b", "below 0"), ("D1", "above 50"), ("R1j", "0 to 1")]
)
def test_bounds_in_words(claim, text):
    assert bounds(next(c for c in PAPER if c.id == claim)) == text


# Tables

AWKWARD = Table(["a_b", "50 %"], [["x | y", "1 ± 2"], ['say "hi", twice', r"\d {1} #3 & <4"]])


def test_csv_reads_back():
    read = list(csv.reader(io.StringIO(AWKWARD.csv())))
    assert read == [AWKWARD.header, *AWKWARD.rows]


def test_markdown_keeps_bars_in_their_cells():
    lines = AWKWARD.markdown().splitlines()
    assert lines[:3] == ["| a_b | 50 % |", "| --- | --- |", r"| x \| y | 1 ± 2 |"]


def test_latex_escapes_what_it_would_obey():
    lines = AWKWARD.latex().splitlines()
    assert lines[0] == r"\begin{tabular}{ll}"
    assert lines[2] == r"a\_b & 50 \% \\"
    assert r"1 $\pm$ 2 \\" in lines[4]
    assert lines[5].endswith(r"\textbackslash{}d \{1\} \#3 \& $<$4 \\")


def test_table_is_written_three_times(tmp_path):
    paths = save_table(AWKWARD, tmp_path / "name.of" / "table")
    assert [p.name for p in paths] == ["table.md", "table.csv", "table.tex"]
    assert paths[1].read_text() == AWKWARD.csv()


def test_settings_table_is_computed_over_seeds():
    curves = paper_world.rmsprop()
    curves.valid_accuracy.loc[{"seed": 4, "epoch": slice(3, None), "learning_rate": 0.3}] = np.nan
    for name in ("train_error", "valid_error", "train_accuracy"):
        curves[name] = curves[name].where(curves.valid_accuracy.notnull())
    table = settings_table(curves, first_seeds=3)
    rows = rows_of(table)
    assert list(rows) == ["0.3", "0.1", "0.03", "0.01", "0.003", "0.001"]
    best = 100 * curves.valid_accuracy.sel(learning_rate=0.001).max("epoch").values
    low, high = scipy.stats.t.interval(0.95, 4, best.mean(), scipy.stats.sem(best))
    row = rows["0.001"]
    assert row["best (%)"] == f"{best.mean():.2f}"
    assert row["95 %"] == f"{low:.2f} to {high:.2f}"
    assert row["sd"] == f"{best.std(ddof=1):.2f}"
    assert row["epoch of best"] == "8.0 (8 to 8)"
    assert row["last (%)"] == "80.00"
    assert row["first 3 seeds: best ± sd"] == f"{best[:3].mean():.2f} ± {best[:3].std(ddof=1):.2f}"
    assert (rows["0.3"]["diverged"], rows["0.3"]["last (%)"]) == ("1 of 5", "-")
    assert "first 3 seeds: best ± sd" not in settings_table(curves).header
