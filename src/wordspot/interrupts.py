"""Start processes that Ctrl-C does not reach, so that their parent decides what becomes of them."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Processes started while this lasts never get an interrupt; one for this thread waits until then.

    A terminal sends it to all processes of a command. One that is still being started cannot ignore it yet, and would end with a
    traceback; but which signals a thread blocks is handed down to the processes that it starts. Other threads still get an
    interrupt, and Windows has no such thing.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
