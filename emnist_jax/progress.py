"""Progress of a sweep: a bar in terminals and notebooks, a line now and then in log files."""

import sys
import time
from contextlib import contextmanager


class Progress:
    """Counts epochs of a sweep and shows the best validation accuracy and the diverged trials."""

    def __init__(self, epochs: int, show: bool):
        self.epochs, self.done, self.bar, self.last_line = epochs, 0, None, time.monotonic()
        self.started = time.monotonic()
        self.show = show

    def update(self, done: int, best: float, diverged: int) -> None:
        """Show that `done` epochs (over all chunks) are behind us."""
        self.done = done
        text = f"best validation accuracy {best:.1%}" if best == best else ""
        text += f", {diverged} diverged" if diverged else ""
        if self.bar is not None:
            self.bar.update(0, completed=done, text=text)
        elif self.show and (time.monotonic() - self.last_line > 60 or done == self.epochs):
            self.last_line = time.monotonic()
            minutes = (self.last_line - self.started) / 60
            print(f"epoch {done}/{self.epochs}, {minutes:.1f} min, {text}", flush=True)


@contextmanager
def progress(epochs: int, show: bool = True):
    """Yield a `Progress` over `epochs` epochs; a bar where the output is a terminal or notebook."""
    counter = Progress(epochs, show)
    if not (show and (sys.stdout.isatty() or "ipykernel" in sys.modules)):
        yield counter
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Bar(*columns) as counter.bar:
        counter.bar.add_task("", total=epochs, text="")
        yield counter
