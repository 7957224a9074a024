"""The last measured speed of this machine, kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "read_rate", "write_rate"]


def cache_folder() -> Path:
    """Folder for what can be measured again: FESOLVER_CACHE_DIR, else the system's place for caches."""
    if given := os.environ.get("FESOLVER_CACHE_DIR"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "fesolver"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/fesolver").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "fesolver"


def read_rate(threads: int) -> float | None:
    """Seconds per unknown and solve of the last run with this many threads, None before the first."""
    try:
        rates = json.loads((cache_folder() / "rate.json").read_text(encoding="utf-8"))
        return float(rates[str(threads)])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_rate(threads: int, seconds_per_dof: float) -> None:
    """Remember a rate; a folder that cannot be written is no error."""
    path = cache_folder() / "rate.json"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        rates = {}
        with contextlib.suppress(OSError, ValueError):
            rates = dict(json.loads(path.read_text(encoding="utf-8")))
        rates[str(threads)] = seconds_per_dof
        temporary = path.with_name(f"rate.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(rates), encoding="utf-8")
        temporary.replace(path)
