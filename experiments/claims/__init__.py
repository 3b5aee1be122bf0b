"""The paper's claims as data, and their verdicts computed from labelled curves.

`PAPER` lists the claims, `BEYOND` what it left open, put in the same form. A claim measures one
number a seed; its mean has a 95 % interval, and the claim says between which bounds the number has
to lie. Nothing here trains, and no verdict is typed in: another curve gives another verdict.
"""

from experiments.claims.beyond import BEYOND
from experiments.claims.judge import (
    READINGS,
    Claim,
    Estimate,
    Judgement,
    NotTestable,
    Runs,
    Verdict,
    judge,
    judge_reading,
)
from experiments.claims.paper import CORRECTIONS, PAPER

__all__ = [
    "BEYOND",
    "CORRECTIONS",
    "PAPER",
    "READINGS",
    "Claim",
    "Estimate",
    "Judgement",
    "NotTestable",
    "Runs",
    "Verdict",
    "judge",
    "judge_reading",
]
