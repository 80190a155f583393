"""Ending a training politely: Ctrl-C and SIGTERM let the step under way finish, so that it can be resumed."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def stop_signals(trainer: Any) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set ``trainer.asked``; a second one ends the program at once.

    Outside the main thread, where Python hands out no signals, nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        if trainer.asked:
            raise KeyboardInterrupt
        trainer.asked = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
