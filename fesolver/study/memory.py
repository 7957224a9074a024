"""What this machine has left, and whether a model fits."""

from __future__ import annotations

from fesolver.errors import InputError

__all__ = ["available_mb", "check_memory"]


def available_mb() -> float | None:
    """Memory that can still be taken on this machine, MB; None where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) / 1024.0
    except OSError:
        pass
    return None


def check_memory(needed_mb: float) -> None:
    """Refuse a model that will not fit.

    Raises
    ------
    InputError
        With what is needed and what there is.
    """
    have = available_mb()
    if have is not None and needed_mb > have:
        raise InputError(
            f"the model needs about {needed_mb:,.0f} MB and {have:,.0f} MB are available",
            fix="use a larger spacing_mm or fewer levels",
        )
