"""The report's first page: the answer, the claims it rests on, and the paper's figures."""

from collections.abc import Mapping

from emnist_jax.figures.tables import Table
from experiments._claims_table import FIGURES
from experiments._draw import Section
from experiments._pages import differences, head, pictured, tabled
from experiments._verdicts import (
    READING_NAMES,
    Found,
    by_verdict,
    count,
    in_words,
    link,
    result,
)
from experiments.claims.criteria import Verdict
from experiments.claims.judge import Judgement, judge_reading
from experiments.claims.paper import KEY, SECTIONS

FOREST = "forest.png"
SHORT = 15  # rows of a table on the first page
EVIDENCE = "Every reading with its figures: [among the experiments](experiments.md#anomalies)."
ABOUT = (
    "Verdicts are computed: a claim *holds* when the 95 % interval over seeds of what is measured "
    "lies within its bounds, *does not hold* when it lies outside, and is *undecided* when a bound "
    "lies in the interval. It *holds only for the undamped rule* when it fails for Adam as printed "
    "and holds without Adam's factor 1 - b1. A diverged network counts as guessing."
)
PAGES = (
    "[Every claim](claims.md) · [every experiment](experiments.md) · "
    "[beyond the paper](beyond.md) · [times and devices](times.md)"
)


def report(found: Found, sections: Mapping[str, Section], forest: bool = False) -> str:
    """Return the first page as Markdown; `forest`: whether there is a forest plot beside it."""
    pictures = paper_figures(sections)
    lines = [*head("The paper's claims, measured", found.runs), PAGES, "", "## The answer", ""]
    lines += [f"{i}. {line}" for i, line in enumerate(sentences(found), 1)]
    lines += ["", "## The main claims", "", key_table(found).markdown(), ABOUT, ""]
    if forest:
        caption = (
            "Every claim with a number to come near to, on one scale: 0 is that number (the middle "
            "of a range), and the band is what counts as the same."
        )
        lines += ["## Measured against the paper", "", *pictured(FOREST, caption)]
    lines += ["## What differs from the paper", "", *differences(found.runs), ""]
    if (odd := sections.get("anomalies")) and odd.tables:
        lines += [f"## {odd.title}", "", odd.text, ""]
        if found.lost:
            names = ", ".join(link(found.by_id[name]) for name in found.lost)
            lines += [f"Claims that no reading of Adam gives: {names}.", ""]
        first, table = next(iter(odd.tables.items()))
        # A long table is evidence, which the page of experiments has.
        lines += tabled({first: table}) if len(table.rows) <= SHORT else [EVIDENCE, ""]
    lines += ["## The paper's figures", ""]
    for number, picture in pictures.items():
        about = by_verdict((j for j in found.judged if j.claim.figure == number), link)
        lines += [f"### Figure {number}", "", *pictured(*picture), f"Claims: {about}.", ""]
    if 1 not in pictures:  # a folder of results need not hold images
        lines += ["Figure 1, 25 images of the data, is drawn by `python -m experiments.samples`."]
    return "\n".join(lines)


def paper_figures(sections: Mapping[str, Section]) -> dict[int, tuple[str, str]]:
    """Return the paper's figures, of those that sections show, by number: path and caption."""
    shown = {one[0]: one for section in sections.values() for one in section.figures}
    return {number: shown[path] for number, path in FIGURES.items() if path in shown}


# The answer


def sentences(found: Found) -> list[str]:
    """Return the answer: counts, what stands, what does not, which Adam, which accuracy."""
    counts = (count(getattr(j, name) for j in found.judged) for name in ("verdict", "controlled"))
    second = sum(j.claim.id.endswith("2") for j in found.judged)
    return [
        f"**{len(found.judged)} claims**, {second} of them second readings of one text: "
        f"{'; with false discoveries controlled: '.join(counts)}.",
        f"**What stands:** {_standing(found, Verdict.HOLDS)}.",
        "**What does not:** "
        f"{_standing(found, Verdict.FAILS, Verdict.UNDAMPED, Verdict.UNDECIDED)}.",
        f"**Which Adam:** {_which_adam(found)}.",
        f"**Which accuracy:** {_which_accuracy(found)}.",
    ]


def _standing(found: Found, *verdicts: Verdict) -> str:
    """Return the main claims with the verdicts, and the sections that mostly hold (or do not)."""
    judged, parts = found.by_id, []
    for name, claims in SECTIONS.items():
        tested = [v for c in claims if (v := judged[c.id].verdict) is not Verdict.UNTESTABLE]
        hold = tested.count(Verdict.HOLDS)
        if tested and (2 * hold > len(tested)) == (Verdict.HOLDS in verdicts):
            parts.append(f"{name} {hold} of {len(tested)}")
    named = by_verdict(main_claims(found), _in_short, verdicts)
    sections = f"by section there hold: {', '.join(parts)}" if parts else ""
    return "; ".join(filter(None, (named, sections))) or "nothing"


def _in_short(j: Judgement) -> str:
    """Return a main claim in few words, with its controlled verdict if that is another."""
    controlled = "" if j.controlled is j.verdict else f", controlled: {j.controlled}"
    return f"{KEY[j.claim.id]} ({link(j)}{controlled})"


def _which_adam(found: Found) -> str:
    held = {reading: of for reading, of in found.held.items() if of[1]}
    if not held:
        return "none was run"
    counts = "; ".join(f"{READING_NAMES[one]}, {a} of {b}" for one, (a, b) in held.items())
    best, *rest = sorted(held, key=lambda reading: -held[reading][0])
    leads = not rest or held[best][0] > held[rest[0]][0]
    return (
        f"**{READING_NAMES[best] if leads else 'none'}** fits best; undamped lacks the factor "
        "1 - b1 = .1, so that its steps are ten times as long. Of the claims that depend on Adam's "
        f"implementation there hold with {counts}"
    )


def _which_accuracy(found: Found) -> str:
    tested = [j for j in found.judged if j.macro is not Verdict.UNTESTABLE]
    moved = [j for j in tested if j.macro is not j.verdict]
    main = ", ".join(f"{link(j)} ({j.macro})" for j in moved if j.claim.id in KEY)
    lacking = sum(j.verdict is not Verdict.UNTESTABLE for j in found.judged) - len(tested)
    return (
        "the share of all images (micro); with the mean over classes (macro), which is the same "
        "for the paper's classes of equal size, "
        f"{len(moved)} of {len(tested)} verdicts would be others, of the main claims "
        f"{main or 'none'}"
        f"{f' ({lacking} lack that mean)' if lacking else ''}"
    )


# The main claims


def main_claims(found: Found) -> list[Judgement]:
    """Return the verdicts on the main claims."""
    return [j for j in found.judged if j.claim.id in KEY]


def key_table(found: Found) -> Table:
    """Return a row a main claim, measured under the printed and the best other reading of Adam."""
    rows, judged = [], found.by_id
    for j in main_claims(found):
        other = j.claim.any_adam and judge_reading(j.claim, found.runs, found.fitting).estimate
        rows.append(
            {
                "claim": link(j),
                "the paper": j.claim.says,
                "bounds": j.claim.criterion.words,
                "as printed": result(j),
                READING_NAMES[found.fitting]: in_words(other, j.claim.unit) if other else "",
                "verdict": _verdict(j, judged.get(f"{j.claim.id}2")),
            }
        )
    return Table(rows)


def _verdict(j: Judgement, second: Judgement | None) -> str:
    """Return a main claim's verdict, beside it the controlled one and that of a second reading."""
    controlled = "" if j.controlled is j.verdict else f"; controlled: {j.controlled}"
    alike = second is None or second.verdict is j.verdict
    other = "" if alike else f"; read as {link(second)}: {second.verdict}"
    return f"**{j.verdict}**{controlled}{other}"
