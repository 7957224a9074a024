"""Signals: Ctrl-C and that of a batch system, raised only where Python can unwind; that of a broken pipe, ignored."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from types import FrameType

__all__ = ["end_on_signals", "ignore_broken_pipes"]

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


def ignore_broken_pipes() -> None:
    """Have a write to a pipe that nobody reads any more raise BrokenPipeError, as Python does from its start.

    Notes
    -----
    A library may set the signal back to ending the process without a word, as gmsh does when it is initialised (seen
    with 4.15). Python's own call would do in the main thread only, and a mesh may be made in another.
    """
    if hasattr(signal, "SIGPIPE"):
        set_handler = ctypes.CDLL(None).signal
        set_handler.argtypes, set_handler.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
        before = set_handler(signal.SIGPIPE, int(signal.SIG_IGN))
        if before:  # ignored, or a handler that somebody set
            set_handler(signal.SIGPIPE, before)


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
