"""Inject faults into real runs, count what is lost, and exit with 1 if anything is.

    python -m tests.faults

Nothing lost means: every run, resumed after its fault, ends with the very bytes of the run that was
left alone; every damaged file is noticed or harmless; every refusal is one line and exit code 2.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import damage, edits, kills, victim

KILLS = 60


def main() -> int:
    # A process in the background is begun with these ignored, and its children too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    print(f"{'':38}  injected  survived  lost")
    began, totals = time.monotonic(), [0, 0]

    def count(what: str, injected: int, lost: int) -> None:
        totals[0] += injected
        totals[1] += lost
        print(f"{what:38}  {injected:8}  {injected - lost:8}  {lost:4}", flush=True)

    with tempfile.TemporaryDirectory(prefix="faults") as name:
        folder = Path(name)
        os.environ["EMNIST_JAX_CACHE"] = str(folder / "cache")
        reference, window = victim.reference(folder / "reference")
        killed = kills.kill_and_resume(folder / "kills", reference, window, KILLS, seed=0)
        count("killed at a random moment", killed.kills, killed.lost)
        for what, number in killed.inside.items():
            print(f"  of them inside a write of {what}: {number}")
        for scenario in (*damage.SCENARIOS, *edits.SCENARIOS):
            what = scenario.__doc__.splitlines()[0].rstrip(".")
            try:
                count(what, *scenario(folder / scenario.__name__, reference))
            except damage.NotPermittedError as error:
                print(f"{what:38}  skipped: {error}")
    injected, lost = totals
    print(
        f"{'all':38}  {injected:8}  {injected - lost:8}  {lost:4}  "
        f"({(time.monotonic() - began) / 60:.1f} minutes)"
    )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
