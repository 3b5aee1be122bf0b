"""The signals on which a sweep saves and stops."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # Ctrl-C, a cluster's time limit, a terminal that closes


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C, SIGTERM or SIGHUP sets, so that the run saves before it stops.

    A second signal stops at once: no more than since the last checkpoint is lost. A signal that
    is ignored stays so (`nohup`). Outside the main thread nothing is caught.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number, frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        # print is not safe inside a signal handler
        with suppress(OSError, ValueError, AttributeError):
            line = b"\nstopping after this epoch, to save it; once more to stop at once\n"
            os.write(sys.stderr.fileno(), line)

    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    caught = [one for one in numbers if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in caught}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
