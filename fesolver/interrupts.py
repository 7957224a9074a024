"""Ctrl-C and the signal of a batch system, raised only where Python can unwind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

__all__ = ["end_on_signals"]

WAIT_S = 0.02
"""How long a signal waits that came while a kernel was being compiled or loaded."""


def end_on_signals() -> None:
    """Make SIGINT raise KeyboardInterrupt and SIGTERM SystemExit(143), where that is safe.

    Notes
    -----
    While numba compiles, loads or dispatches a kernel, its C code calls Python code. An exception raised there by a
    signal comes back as SystemError, or ends the process: the signal is sent again a little later instead.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _on_signal)
    signal.signal(signal.SIGTERM, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    """Raise, or come again."""
    if _is_in_numba(frame):
        timer = threading.Timer(WAIT_S, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        sys.exit(128 + number)


def _is_in_numba(frame: FrameType | None) -> bool:
    """Whether a function of numba is being called."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(("numba.", "llvmlite.")):
            return True
        frame = frame.f_back
    return False
