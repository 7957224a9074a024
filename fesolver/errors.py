"""What went wrong, where, and what to do: the only exceptions this package raises on purpose."""

from __future__ import annotations

__all__ = ["ClusterError", "ConvergenceError", "FesolverError", "InputError", "MissingDependencyError"]


class FesolverError(Exception):
    """Base of every error raised on purpose.

    Parameters
    ----------
    what : str
        What is wrong, with the numbers.
    where : str, optional
        File, key or place in mm.
    fix : str, optional
        What the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        lines = [what]
        if where:
            lines.append(f"  where: {where}")
        if fix:
            lines.append(f"  to do: {fix}")
        super().__init__("\n".join(lines))


class InputError(FesolverError, ValueError):
    """The input cannot be used as it is."""

    exit_code = 2


class MissingDependencyError(InputError, ImportError):
    """An optional part is asked for and cannot be loaded."""


class ConvergenceError(FesolverError):
    """An iterative solve did not reach its tolerance; there is no result."""

    exit_code = 3


class ClusterError(FesolverError):
    """What computed elsewhere is gone before it was done; results that came back are kept."""

    exit_code = 3
