"""The paper's claims as data, and their verdicts computed from labelled curves.

`PAPER` lists the claims, `BEYOND` what it left open, put in the same form. A claim measures one
number a seed; its mean has a 95 % interval, and the claim's criterion says between which bounds the
number has to lie. Nothing here trains, and no verdict is typed in: another curve gives another
verdict. Read `runs` (which curves), `measures` and `tuning` (which number), `criteria` (which
bounds), `judge`.
"""
