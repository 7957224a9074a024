"""Whether two problems differ in their moduli alone, bit by bit."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from fesolver.fem.problem import Problem

__all__ = ["has_same_constraints"]


def has_same_constraints(a: Problem, b: Problem) -> bool:
    """Whether two problems have the same mesh, constraints, members, cavities and connections.

    Parameters
    ----------
    a, b : Problem

    Returns
    -------
    bool
        True where `b` is `a` with other moduli: what is prepared for one serves the other.
    """
    return all(_is_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(Problem) if f.name != "elasticity")


def _is_same(a: Any, b: Any) -> bool:
    """Equal types and equal values, arrays by their elements."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(_is_same, a, b))
    if is_dataclass(a):
        return all(_is_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return bool(a == b)
