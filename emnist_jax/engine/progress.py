"""Progress of a sweep: a bar and the best settings in terminals and notebooks, else lines.

The loop over epochs hands over an array it has anyway; it is looked at twice a second at most.
"""

import io
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

import numpy as np

from emnist_jax._setup import in_notebook
from emnist_jax.console import BARS, sparkline
from emnist_jax.console import show as show_line

if TYPE_CHECKING:
    from rich.console import RenderableType

LEADERS = 5  # settings shown
EVERY_SECONDS, LINE_SECONDS = 0.5, 60.0


class Progress:
    """Counts epochs, and shows the best settings so far and how many trials diverged."""

    def __init__(self, draw: "Callable[[RenderableType], None] | None", show: bool):
        self.draw, self.show, self.settings = draw, show, ()
        self.epochs, self.before = 0, [0]
        self.started = self.shown = time.monotonic()
        self.bar = None if draw is None else _bar()

    def start(
        self, epochs: int, settings: Sequence[str] = (), before: Sequence[int] = (0,)
    ) -> None:
        """Set what is to come: epochs of each chunk of trials; and the settings' names.

        `before` holds, of each chunk, the epochs that need no training now.
        """
        self.epochs, self.before, self.settings = epochs, before, settings
        if self.bar is not None:
            total = epochs * len(before) - sum(before)
            self.bar.add_task("", total=total, at=self.at(0, 0), text="")
            self.draw(self.bar)
        else:
            count = f"{len(settings)} setting{'s' * (len(settings) != 1)}"
            self.line(f"{count}, {epochs} epoch{'s' * (epochs != 1)} each: compiling")

    def at(self, chunk: int, epoch: int) -> str:
        """Return how far training has come, in words."""
        of_chunks = f", chunk {chunk + 1}/{len(self.before)}" if len(self.before) > 1 else ""
        return f"epoch {epoch}/{self.epochs}{of_chunks}"

    def line(self, text: str) -> None:
        """Show a line above what is drawn."""
        if self.show:
            show_line(text)

    def update(self, chunk: int, epoch: int, accuracy: np.ndarray, diverged: int) -> None:
        """Show that an epoch of a chunk is behind us, and what was found so far.

        `accuracy` (trials, epochs) is on the validation images, NaN for what is to come; trials
        run over settings, then seeds.
        """
        now, total = time.monotonic(), self.epochs * len(self.before) - sum(self.before)
        done = self.epochs * chunk + epoch - sum(self.before[: chunk + 1])
        every = LINE_SECONDS if self.bar is None else EVERY_SECONDS
        if not self.show or (done < total and now - self.shown < every):
            return
        self.shown = now
        lost = f", {diverged} diverged" if diverged else ""
        text = f"best validation accuracy {np.nanmax(accuracy, initial=0):.1%}{lost}"
        if self.bar is not None:
            from rich.console import Group

            at = self.at(chunk, epoch)
            self.bar.update(self.bar.tasks[0].id, completed=done, at=at, text=text)
            self.draw(Group(self.bar, leaders(self.settings, accuracy)))
            return
        passed = now - self.started
        left = passed * (total - done) / max(done, 1)
        self.line(f"{self.at(chunk, epoch)}, {duration(passed)}, {duration(left)} left, {text}")


def duration(seconds: float) -> str:
    """Return seconds as text, in the unit that suits them."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def leaders(settings: Sequence[str], accuracy: np.ndarray) -> "RenderableType":
    """Return the best settings so far: the mean over seeds of each seed's best, and the mean curve.

    The curves share one scale, from 0 to the best accuracy drawn.
    """
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    if not settings:
        return table
    by_setting = accuracy.reshape(len(settings), -1, accuracy.shape[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # settings to come are NaN throughout
        score = np.nanmean(np.nanmax(by_setting, axis=-1), axis=-1)
        first = [i for i in np.argsort(-score, kind="stable")[:LEADERS] if np.isfinite(score[i])]
        curves = [np.nanmean(by_setting[i], axis=0) for i in first]
    top = max((np.nanmax(curve) for curve in curves), default=1)
    for i, curve in zip(first, curves, strict=True):
        curve = curve[: np.flatnonzero(np.isfinite(curve))[-1] + 1]
        table.add_row(f"{score[i]:.1%}", sparkline(curve, 24, (0, float(top))), settings[i])
    return table


@contextmanager
def progress(show: bool = True) -> Iterator[Progress]:
    """Yield a `Progress`: a bar where the output is a terminal or notebook, else lines."""
    if show and in_notebook():
        yield Progress(_notebook_cell(), show)
    elif show and _draws(sys.stdout):
        from rich.live import Live

        live = Live(refresh_per_second=4)
        live.start()
        try:
            yield Progress(live.update, show)
        finally:
            with suppress(OSError):  # the terminal is gone
                live.stop()
    else:
        yield Progress(None, show)


def _draws(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal with the characters of bars and sparklines."""
    try:
        return (
            stream is not None and stream.isatty() and bool(BARS.encode(stream.encoding or "utf-8"))
        )
    except UnicodeEncodeError:
        return False


def _bar():
    from rich import progress as rich

    return rich.Progress(
        rich.TextColumn("{task.fields[at]}"),
        rich.BarColumn(),
        rich.TimeRemainingColumn(elapsed_when_finished=True),
        rich.TextColumn("{task.fields[text]}"),
    )


def _notebook_cell() -> "Callable[[RenderableType], None]":
    """Return what draws in place below a cell, without widgets: the notebook keeps it."""
    from IPython.display import HTML, display
    from rich.console import Console

    cell = display(HTML(""), display_id=True)
    style = "white-space:pre;overflow-x:auto;line-height:normal;font-family:monospace"

    def draw(what: "RenderableType") -> None:
        console = Console(record=True, file=io.StringIO(), width=110, force_jupyter=False)
        console.print(what)
        code = f'<pre style="{style}">{{code}}</pre>'
        cell.update(HTML(console.export_html(inline_styles=True, code_format=code)))

    return draw
