"""Ctrl-C and stop signals, turned into a question that long work asks between its steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def asked_to_stop(
    first: Callable[[], None] = lambda: None, *, insist: bool = True
) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM has come; the second one raises KeyboardInterrupt at once.

    first: called at the first one, to tell that the work stops after its step. insist: False where
    a second one must not interrupt the step. Outside the main thread, where Python takes no
    signals, the answer is always no.

    >>> with asked_to_stop() as stop:
    ...     stop()
    False
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if not asked:
            asked.append(number)
            first()
        elif insist:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
