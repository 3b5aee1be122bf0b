"""The report's pages say what the curves say, and their links lead somewhere."""

import csv
import io
import json
import re
from collections import Counter
from functools import cache

import numpy as np
import paper_world
import pytest
import scipy.stats
from paper_world import altered

from emnist_jax.figures.tables import Table, save_table, settings_table
from experiments import samples
from experiments._claims_table import EVIDENCE, claims_table
from experiments._draw import Section, protocol
from experiments._forest import draw_forest
from experiments._pages import (
    about_glyphs,
    claims_page,
    differences,
    experiments_page,
    runs_table,
)
from experiments._study import PAPER as EXPERIMENTS
from experiments._verdicts import find, in_words
from experiments.claims.criteria import Estimate, Verdict
from experiments.claims.judge import ForestRow, forest, judge
from experiments.claims.paper import CORRECTIONS, KEY, PAPER, REVISED
from experiments.forensics import readings_table
from experiments.report import FIGURES, report, sentences

WORLD = paper_world.world()
CLAIMS = {claim.id: claim for claim in PAPER}
SEEN = [(path, f"Seen {number}.") for number, path in FIGURES.items()]
SECTIONS = {
    "x": Section("Title", {"Caption": Table([{"a": "b"}])}, SEEN, "Text.", "Data: few."),
    "anomalies": Section("Oddities", {n: Table([{n: "c"}]) for n in ("First", "Then")}, (), "Why."),
}


def rows_of(table):
    return {next(iter(row.values())): row for row in table.rows}


@cache
def all_holds():
    return find(WORLD)


@cache
def mixed():
    """Some claims hold, some do not, one only undamped, some are undecided or not testable."""
    adam = WORLD["adam"].isel(seed=[0, 1]).copy(deep=True)
    adam.valid_accuracy.loc[{"seed": 0}] = adam.valid_accuracy.sel(seed=0) * 0.99
    tested = WORLD["convnets/c1/test"].copy(deep=True)
    tested.accuracy.loc[{"learning_rate": 1e-4}] = tested.accuracy.sel(learning_rate=1e-4) - 0.1
    runs = altered("rmsprop", "valid_accuracy", {0: 0.02, 8: 0.75, 100: 0.7}, learning_rate=0.001)
    runs = runs(WORLD) | {"adam": adam, "convnets/c1/test": tested}
    return find({name: one for name, one in runs.items() if not name.startswith("batch_norm")})


def cells(found, column):
    """Return a column of the page of all claims by claim."""
    lines = claims_page(found, SECTIONS).splitlines()
    header = next(line for line in lines if line.startswith("| claim |"))
    at = header[2:-2].split(" | ").index(column)
    rows = [line[2:-2].split(" | ") for line in lines if line.startswith("| <a")]
    return {row[0].partition("</a>")[2]: row[at] for row in rows}


# The first page


def test_the_answer_is_five_sentences_and_the_page_is_short():
    text = report(mixed(), SECTIONS, forest=True)
    assert len(sentences(mixed())) == 5
    assert len(text.splitlines()) <= 250 and len(text.split()) < 2000
    assert "nan" not in text


def test_the_answer_counts_what_the_page_of_claims_shows():
    (counts, *_), verdicts = sentences(mixed()), list(cells(mixed(), "verdict").values())
    assert {verdict.strip("*") for verdict in verdicts} == set(Verdict)
    before, after = counts.split("with false discoveries controlled")
    for said, shown in ((before, verdicts), (after, cells(mixed(), "controlled").values())):
        shown = Counter(one.strip("* ") for one in shown)
        for verdict in Verdict:
            plural = verdict.replace("holds", "hold").replace("does", "do")
            word = verdict if shown[verdict] == 1 else plural
            seen = re.search(rf"\b{shown[verdict]} {word}(,|\.|;)", said)
            assert bool(seen) == bool(shown[verdict]), (verdict, said)


def test_the_answer_names_what_stands_and_what_does_not():
    _, stands, falls, *_ = sentences(all_holds())
    assert "RMSprop 12 of 12" in stands and falls == "**What does not:** nothing."
    assert all(f"[{one}](claims.md#{one.lower()})" in stands for one in KEY)
    _, stands, falls, *_ = sentences(mixed())
    assert "[R1h]" not in stands
    of = dict(re.findall(r"\*([a-z ]+)\*: ([^;]*)", falls))
    assert "RMSprop's best accuracy ([R1h](claims.md#r1h))" in of["does not hold"]
    assert "[T2c]" in of["holds only for the undamped rule"] and "[A1i]" in of["undecided"]


def test_a_reading_of_adam_fits_best_where_more_claims_hold_than_with_any_other():
    none = dict.fromkeys(all_holds().held, (0, 0))
    found = all_holds()._replace(held=none | {"adam": (5, 35), "adam_uncorrected": (6, 9)})
    said = sentences(found)[3]
    assert "**no bias correction** fits best" in said and found.fitting == "adam_uncorrected"
    assert "there hold with Algorithm 1, 5 of 35; no bias correction, 6 of 9" in said
    found = found._replace(held=none | {"adam": (6, 35), "adam_undamped": (6, 35)})
    assert "**none** fits best" in sentences(found)[3] and found.fitting == "adam_undamped"
    assert sentences(found._replace(held=none))[3] == "**Which Adam:** none was run."


def test_verdicts_that_rest_on_how_accuracy_is_averaged_are_named():
    less = {"valid_accuracy": 0.03, "train_accuracy": 0}
    rmsprop = WORLD["rmsprop"]
    macro = {v.replace("accuracy", "macro_accuracy"): rmsprop[v] - x for v, x in less.items()}
    found = find({"rmsprop": rmsprop.assign(macro), "sgd": WORLD["sgd"]})
    said = sentences(found)[4]
    assert "[R1h](claims.md#r1h) (does not hold)" in said and "R1c" not in said
    of_sgd = [c for c in PAPER if c.id[0] == "B" or c.id in ("R1f", "R1g", "R1j", "R1l")]
    assert f"({len(of_sgd)} lack that mean)" in said


def test_the_main_claims_are_measured_under_both_readings():
    text = report(mixed(), {})
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert [re.match(r"\| \[(\w+)\]", row)[1] for row in rows] == [
        claim.id for claim in PAPER if claim.id in KEY
    ]
    row = next(row for row in rows if row.startswith("| [T2c]"))
    assert "| 76.76 % [" in row and "| 86.76 % [" in row
    assert row.endswith("| **holds only for the undamped rule** |")


def test_every_link_between_the_pages_leads_somewhere():
    found = mixed()
    drawn = {path.partition("/")[0]: path for path in EVIDENCE.values() if path.endswith("png")}
    others = {name: Section("T", {}, [(path, "Seen.")]) for name, path in drawn.items()}
    sections = others | SECTIONS
    pages = {
        "README.md": report(found, sections),
        "claims.md": claims_page(found, sections),
        "experiments.md": experiments_page(WORLD, sections),
    }
    anchors = {
        name: set(re.findall(r'<a id="(.*?)">', text))
        | {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
        for name, text in pages.items()
    }
    links = re.findall(r"\((\w+\.md)#(.*?)\)", "".join(pages.values()))
    assert len(links) > len(KEY) + 20
    assert [link for link in links if link[1] not in anchors[link[0]]] == []
    assert anchors["claims.md"] >= {claim.id.lower() for claim in PAPER}
    assert "README.md#figure" not in claims_page(found, {})  # that show no figure


def test_each_figure_of_the_paper_is_drawn_by_an_experiment():
    drawn = {f"{name}/{figure}.png" for name, one in EXPERIMENTS.items() for figure in one.figures}
    assert set(FIGURES.values()) == {path for path in drawn if "/figure_" in path} | {
        str(samples.FIGURE)
    }


def test_each_figure_of_the_paper_is_shown_once_with_its_claims():
    text = report(mixed(), SECTIONS)
    assert re.findall(r"^### Figure (\d)$", text, re.MULTILINE) == list("1234567")
    part = text.partition("### Figure 3\n")[2].partition("###")[0]
    assert (
        part.count("Seen 3.") == text.count("Seen 3.") == 1
        and "](sgd/figure_3_accuracy.png)" in part
    )
    for claim in PAPER:
        assert (claim.figure == 3) == (f"[{claim.id}](" in part)


def test_anomalies_are_shown_with_their_first_table_if_there_are_any():
    text = report(mixed(), SECTIONS)
    assert "## Oddities\n\nWhy.\n\nFirst:\n\n| First |" in text and "Then" not in text
    assert "Oddities" not in report(mixed(), {"anomalies": Section("Oddities", text="Not run.")})
    long = SECTIONS["anomalies"]._replace(tables={"First": Table([{"First": "c"}] * 16)})
    text = report(mixed(), {"anomalies": long})
    assert "Why.\n\nEvery reading with its figures: [" in text and "| First |" not in text


def test_differences_from_the_paper_are_those_of_the_curves():
    about = {"train_images": 30, "valid_images": 20, "configuration": json.dumps({"dtype": "f"})}
    runs = {"sgd": WORLD["sgd"].assign_attrs(about), "c1": WORLD["convnets/c1/test"]}
    here, _, there = differences(runs)
    assert "Data: handmade (30 training, 20 validation images); seeds: 5; epochs: 100" in here
    assert "; test images a class: 90 to 130; " in here and here.endswith("; f.")
    assert "EMNIST Balanced" in there
    few = runs["sgd"].isel(seed=[0, 1]).assign_attrs(order="shared order")
    some = differences({"sgd": runs["sgd"], "few": few, "times/c1": few.isel(seed=[0])})[0]
    assert "; seeds: 2 or 5; " in some and "; seeds of some runs with a shared order" in some
    many = {f"{i}": runs["sgd"].isel(seed=slice(n)) for i, n in enumerate((5, 5, 1, 2))}
    assert "; seeds: 1 to 5; " in differences(many)[0]
    assert (
        "shared order of minibatches; test images a class: not known" in differences({"x": few})[0]
    )


def test_a_changed_curve_changes_the_report():
    points = {0: 0.02, 1: 0.7, 5: 0.82, 10: 0.85, 100: 0.8}
    runs = altered("sgd", "valid_accuracy", points, learning_rate=0.1)(WORLD)
    before, after = report(all_holds(), {}), claims_page(find(runs), {})
    second = sum(claim.id.endswith("2") for claim in PAPER)
    counted = f"**{len(PAPER)} claims**, {second} of them second readings of one text: "
    assert f"{counted}{len(PAPER)} hold; with" in before
    row = next(line for line in after.splitlines() if "</a>B1g |" in line)
    assert "| **does not hold** |" in row and "-1.40 points" in row


def test_only_a_report_of_glyphs_alone_begins_with_what_it_is_not_about():
    glyphs = WORLD["sgd"].assign_attrs(data="glyphs")
    assert "neither EMNIST nor the paper" in about_glyphs({"sgd": glyphs})
    assert about_glyphs({"sgd": glyphs, "adam": WORLD["adam"]}) is None
    assert "neither EMNIST" in experiments_page({"sgd": glyphs}, {}).splitlines()[2]


# The forest plot


def test_the_forest_shows_tolerances_and_clips_with_an_arrow_and_a_number():
    points = {0: 0.02, 8: 0.85, 100: 0.8}
    runs = altered("rmsprop", "valid_accuracy", points, learning_rate=0.001)(WORLD)
    (row,) = forest([judge(CLAIMS["R1h"], runs)], runs)
    assert row.printed[0] == pytest.approx((85 - 82.7) / 1)
    far = ForestRow(CLAIMS["A1p"], (-14.2, -15, -13.5), (0.5, 0.2, 7.1))
    axes = draw_forest([row, far], "undamped").axes[0]
    marks = {line.get_marker(): line.get_xydata() for line in axes.lines if len(line.get_xdata())}
    assert marks["<"][0][0] == -6 and marks["<"][0][1] < 1 < marks["s"][0][1]
    assert marks["o"][0] == pytest.approx([2.3, 0]) and marks["s"][0][0] == 0.5
    assert [text.get_text() for text in axes.texts] == ["\N{MINUS SIGN}14"]
    ends = [line.get_xdata() for line in axes.lines if line.get_marker() == "None"]
    assert any(np.array_equal(x, [0.2, 6]) for x in ends)
    assert axes.patches[0].get_extents().transformed(axes.transData.inverted()).x1 == (
        pytest.approx(1)
    )
    assert [label.get_text()[-3:] for label in axes.get_yticklabels()] == ["R1h", "A1p"]


# The other pages


def test_claims_table_has_what_was_measured_and_the_verdict():
    rows = dict(zip(CLAIMS, claims_table(all_holds().judged).rows, strict=True))
    assert {row["verdict"] for row in rows.values()} == {"**holds**"}
    best = WORLD["rmsprop"].valid_accuracy.sel(learning_rate=0.001).max("epoch").values * 100
    low, high = scipy.stats.t.interval(0.95, 4, best.mean(), scipy.stats.sem(best))
    assert rows["R1h"]["result"] == f"{best.mean():.2f} % [{low:.2f}, {high:.2f}]"
    assert rows["C2c"]["result"] == f"{146 / 101:.2f} times"
    assert {row["seeds needed"] for row in rows.values()} == {""}


def test_undecided_claims_say_how_many_seeds_would_decide():
    needed = cells(mixed(), "seeds needed")
    undecided = [j for j in mixed().judged if j.verdict is Verdict.UNDECIDED]
    assert {one for one, text in needed.items() if text} <= {j.claim.id for j in undecided}
    for j in undecided:
        if np.isfinite(j.seeds_needed):
            assert needed[j.claim.id] == f"about {int(np.ceil(j.seeds_needed))}"
    (row,) = claims_table([undecided[0]._replace(seeds_needed=np.inf)]).rows
    assert row["seeds needed"] == "no number would do"


def test_slips_and_changed_definitions_are_listed():
    text = claims_page(all_holds(), {})
    slips, changed = text.split("## What the text")[1].split("## Definitions")
    assert all(f"| {paper} | {meant} |" in slips for _, paper, meant, _ in CORRECTIONS)
    assert all(
        f"| {claims} | {was} | {new} | {why} |" in changed for claims, was, new, why in REVISED
    )


def test_difference_of_nearly_nothing_does_not_read_as_zero():
    found = Estimate(-0.00004, -0.00152, 0.00144, 5)
    assert in_words(found, "nats") == "-0.0000 nats [-0.0015, 0.0014]"
    found = Estimate(0.0, 0.0, 0.0, 5)
    assert in_words(found, "nats") == "0.000 nats [0.000, 0.000]"


def test_readings_of_adam_are_compared_claim_by_claim():
    runs = {"adam": WORLD["adam"], "forensics/adam_uncorrected": WORLD["adam"].sel(b1=[0.9])}
    rows = rows_of(readings_table(runs))
    assert rows["A1p"]["matched by"] == "Algorithm 1; no bias correction"
    assert rows["A1p"]["no bias correction"].startswith("83.00 %")
    assert rows["A1p"]["moments divided by 1 - b"] is None
    assert rows["C1a"]["matched by"] == "not testable"


def test_runs_table_has_sizes_times_and_devices():
    attrs = {"seconds_per_epoch": 0.5, "wall_seconds": 90.0, "device": "a device"}
    attrs |= {"commit": "c" * 40, "data_hash": "d" * 40, "split_hash": "e" * 40}
    curves = WORLD["adam"].assign_attrs(attrs)
    _, row = runs_table({"adam": curves, "test": WORLD["convnets/c1/test"]}).text()
    origin = ["any", "handmade", "d" * 12, "e" * 12, "a device", "c" * 10]
    assert row == ["adam", "32", "5", "100", "0.5", "1.5", *origin]


def test_correction_of_the_two_accuracies_has_its_z():
    (why,) = (why for _, paper, _, why in CORRECTIONS if paper.startswith("87.44"))
    p = (0.8744 + 0.871) / 2
    z = (0.8744 - 0.871) / np.sqrt(p * (1 - p) * 2 / 15_800)
    assert f"z = {z:.2f}" in why


def test_sections_show_finding_protocol_tables_and_figures_once():
    text = experiments_page(WORLD, SECTIONS)
    assert "## Title\n\nText.\n\nData: few.\n\nCaption:\n\n| a |\n| --- |\n| b |\n\n" in text
    assert "![figure 1 samples](samples/figure_1_samples.png)\n\n*Seen 1.*\n" in text
    assert text.count("Seen 1.") == text.count("Data: few.") == 1


def test_the_protocol_names_data_seeds_and_epochs():
    found = protocol([WORLD["sgd"], WORLD["sgd"].isel(seed=slice(2), epoch=slice(11))])
    assert found == "Data: handmade; seeds: 2 or 5; epochs: 10 or 100; minibatch 50"
    found = protocol([WORLD["sgd"].assign_attrs(order="shared order")])
    assert found.endswith("; minibatch 50; all seeds with a shared order of minibatches")
    counted = WORLD["sgd"].assign_attrs(train_images=30, valid_images=20)
    found = protocol([WORLD["convnets/c1/test"], counted])
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
