"""The paper's claims as data, and their verdicts computed from labelled curves.

`PAPER` lists the claims, `BEYOND` what it left open, put in the same form. A claim measures one
number a seed; its mean has a 95 % interval, and the claim's criterion says between which bounds the
number has to lie. Nothing here trains, and no verdict is typed in: another curve gives another
verdict. Read `runs` (which curves), `measures` and `tuning` (which number), `criteria` (which
bounds), `judge`.
"""

from experiments.claims.beyond import BEYOND
from experiments.claims.criteria import Estimate, Verdict
from experiments.claims.judge import (
    Claim,
    ForestRow,
    Judgement,
    by_reading,
    forest,
    judge,
    judge_all,
    judge_reading,
)
from experiments.claims.paper import CORRECTIONS, KEY, PAPER, REVISED, SECTIONS
from experiments.claims.runs import READINGS, NotTestable, Runs

__all__ = [
    "BEYOND",
    "CORRECTIONS",
    "KEY",
    "PAPER",
    "READINGS",
    "REVISED",
    "SECTIONS",
    "Claim",
    "Estimate",
    "ForestRow",
    "Judgement",
    "NotTestable",
    "Runs",
    "Verdict",
    "by_reading",
    "forest",
    "judge",
    "judge_all",
    "judge_reading",
]
