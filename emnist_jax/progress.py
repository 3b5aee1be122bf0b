"""Progress of a sweep: a bar in terminals and notebooks, a line a minute in log files."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """Counts epochs and shows the best validation accuracy and how many trials diverged.

    `bar` is a bar of rich or None; with `redraw` it does not draw itself, but is handed over.
    """

    def __init__(self, bar, show: bool, redraw: Callable[[object], object] | None = None):
        self.bar, self.show, self.redraw, self.total = bar, show, redraw, 0
        self.started = self.last_line = time.monotonic()

    def start(self, total: int) -> None:
        """Set the number of epochs to come, over all chunks of trials."""
        self.total = total
        if self.bar is not None:
            self.bar.add_task("", total=total, text="")

    def update(self, done: int, best: float, diverged: int) -> None:
        """Show that `done` epochs are behind us, and what they found."""
        lost = f", {diverged} diverged" if diverged else ""
        text = f"best validation accuracy {best:.1%}{lost}"
        if self.bar is not None:
            self.bar.update(self.bar.tasks[0].id, completed=done, text=text)
            if self.redraw is not None:
                self.redraw(self.bar.make_tasks_table(self.bar.tasks))
        elif self.show and (time.monotonic() - self.last_line > 60 or done == self.total):
            self.last_line = time.monotonic()
            passed = (self.last_line - self.started) / 60
            left = passed * (self.total - done) / max(done, 1)
            line = f"epoch {done}/{self.total}, {passed:.1f} min, {left:.1f} min left, {text}"
            print(line, flush=True)


@contextmanager
def progress(show: bool = True) -> Iterator[Progress]:
    """Yield a `Progress`: a bar where the output is a terminal or notebook, else lines."""
    terminal, notebook = sys.stdout.isatty(), "ipykernel" in sys.modules
    if not (show and (terminal or notebook)):
        yield Progress(None, show)
        return
    from rich import progress as rich

    columns = (
        rich.TextColumn("epoch"),
        rich.MofNCompleteColumn(),
        rich.BarColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[text]}"),
    )
    if not terminal:  # rich's own way in notebooks needs widgets, which saved ones do not show
        from IPython.display import display

        yield Progress(rich.Progress(*columns), show, display("", display_id=True).update)
        return
    with rich.Progress(*columns) as bar:
        yield Progress(bar, show)
