"""Progress of a sweep: a bar in terminals and notebooks, a line a minute in log files."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Counts epochs and shows the best validation accuracy and how many trials diverged."""

    def __init__(self, bar, show: bool):
        self.bar, self.show, self.total = bar, show, 0
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
        elif self.show and (time.monotonic() - self.last_line > 60 or done == self.total):
            self.last_line = time.monotonic()
            passed = (self.last_line - self.started) / 60
            left = passed * (self.total - done) / max(done, 1)
            line = f"epoch {done}/{self.total}, {passed:.1f} min, {left:.1f} min left, {text}"
            print(line, flush=True)


@contextmanager
def progress(show: bool = True) -> Iterator[Progress]:
    """Yield a `Progress`: a bar where the output is a terminal or notebook, else lines."""
    if not (show and (sys.stdout.isatty() or "ipykernel" in sys.modules)):
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
    with rich.Progress(*columns) as bar:
        yield Progress(bar, show)
