"""Conjugate gradients with a preconditioner that is symmetric up to round-off, on flat vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fesolver.fem.kernels import vectors
from fesolver.solvers.linear_view import Vector

__all__ = ["CgResult", "flexible_cg", "vector_norm"]


@dataclass(frozen=True)
class CgResult:
    """What conjugate gradients found.

    Parameters
    ----------
    x : (n,) ndarray
    iterations : int
    reduction : float
        Residual of the recurrence over the size of the right-hand side.
    is_converged : bool
    """

    x: Vector
    iterations: int
    reduction: float
    is_converged: bool


def vector_norm(x: Vector) -> float:
    """2-norm, the same bits for any number of threads."""
    return float(np.sqrt(vectors.block_dot(x, x)))


def flexible_cg(
    multiply: Callable[[Vector], Vector],
    precondition: Callable[[Vector], Vector],
    b: Vector,
    *,
    rtol: float,
    max_iterations: int,
    x0: Vector | None = None,
    on_iteration: Callable[[int, float], None] | None = None,
) -> CgResult:
    """Solve A x = b to ||b - A x|| <= rtol ||b||.

    Parameters
    ----------
    multiply, precondition : callable
        A x and M^-1 r as new vectors.
    b : (n,) ndarray
        Right-hand side.
    rtol : float
        On the residual of the recurrence.
    max_iterations : int
        Then it stops.
    x0 : (n,) ndarray, optional
        Start; zero by default.
    on_iteration : callable, optional
        Called with (iteration, residual over the size of b).

    Notes
    -----
    The flexible choice of beta [1]_ forgives a preconditioner in single precision.

    References
    ----------
    .. [1] Y. Notay, Flexible conjugate gradients, SIAM J. Sci. Comput. 22 (2000) 1444-1460.
    """
    size = vector_norm(b)
    x = np.zeros_like(b) if x0 is None else x0.copy()
    if size == 0.0:
        return CgResult(np.zeros_like(b), 0, 0.0, True)
    r = b.copy() if x0 is None else b - multiply(x)
    p, Ap, curvature, done = np.zeros_like(b), np.zeros_like(b), 1.0, 0
    norm = vector_norm(r)
    while norm > rtol * size and done < max_iterations and np.isfinite(norm):
        z = precondition(r)
        vectors.scale_add(p, -vectors.block_dot(z, Ap) / curvature, z, 1.0)
        Ap = multiply(p)
        curvature = vectors.block_dot(p, Ap)
        if not curvature > 0.0:
            break
        alpha = vectors.block_dot(p, r) / curvature
        vectors.scale_add(x, 1.0, p, alpha)
        vectors.scale_add(r, 1.0, Ap, -alpha)
        norm = vector_norm(r)
        done += 1
        if on_iteration is not None:
            on_iteration(done, norm / size)
    return CgResult(x, done, norm / size, bool(norm <= rtol * size))
