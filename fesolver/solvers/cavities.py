"""Fluid cavities: their pressures from the solid's answers to unit pressures.

With g_c the derivative of a cavity's volume by the displacement, pressures p and volumes V satisfy

    K u = f + sum over c of p_c g_c,      g_c . u + V_c / kappa_c p_c = 0,

solved by block elimination [1]_: u = u_f + sum p_c w_c with K u_f = f and K w_c = g_c. The solid stays symmetric
positive definite, so any solver will do, and the answers to unit pressures serve all load cases.

References
----------
.. [1] M. Benzi, G. H. Golub, J. Liesen, Numerical solution of saddle point problems, Acta Numerica 14 (2005) 1-137,
   section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import ConvergenceError
from fesolver.fem.cavity import enclosed_volume, volume_gradient
from fesolver.fem.problem import Problem
from fesolver.solvers.raw import Raw

__all__ = ["CavityResponse", "cavity_forces"]


def cavity_forces(problem: Problem) -> NDArray[np.float64]:
    """Nodal forces (n_cavities, n_points, 3), N, of 1 MPa in each cavity: the derivative of its volume, mm2."""
    return np.array([volume_gradient(problem.points, cavity.facets) for cavity in problem.cavities])


@dataclass(frozen=True)
class CavityResponse:
    """What 1 MPa in each cavity does to the solid with the supports held.

    Parameters
    ----------
    forces : (c, n_points, 3) ndarray
        Of unit pressures.
    raw : tuple of Raw
        Answers to them.
    matrix : (c, c) ndarray
        Volume change of cavity a per MPa in cavity b, and the fluid's own compliance, mm3/MPa.
    rtol : float
        Tolerance of the loads these were solved for.
    """

    forces: NDArray[np.float64]
    raw: tuple[Raw, ...]
    matrix: NDArray[np.float64]
    rtol: float

    @classmethod
    def of(cls, problem: Problem, forces: NDArray[np.float64], raw: list[Raw], rtol: float) -> CavityResponse:
        """From the solid's answers.

        Raises
        ------
        ConvergenceError
            If one of them did not converge.
        """
        for cavity, one in zip(problem.cavities, raw, strict=True):
            if not one.is_converged:
                raise ConvergenceError(
                    f"the answer to a pressure in cavity {cavity.name!r} stopped at a residual of {one.norms[-1]:.2e}",
                    fix="check the supports and moduli around it, or use another method",
                )
        stiff = [enclosed_volume(problem.points, c.facets) / c.bulk_modulus for c in problem.cavities]
        matrix = np.einsum("ani,bni->ab", forces, np.array([one.u for one in raw])) + np.diag(stiff)
        return cls(forces, tuple(raw), matrix, rtol)

    def fill(self, found: list[Raw]) -> tuple[list[Raw], list[NDArray[np.float64]]]:
        """Solutions of the solid alone, with the fluid's part added, and the pressures, MPa, of every load case."""
        filled, pressures = list[Raw](), list[NDArray[np.float64]]()
        for one in found:
            p = np.linalg.solve(self.matrix, -np.einsum("cni,ni->c", self.forces, one.u))
            u = one.u + np.einsum("c,cni->ni", p, np.array([w.u for w in self.raw]))
            inner = one.internal_force
            for pressure, unit in zip(p, self.raw, strict=True):
                if inner is not None and unit.internal_force is not None:
                    inner = inner + pressure * unit.internal_force
            filled.append(replace(one, u=u, internal_force=inner))
            pressures.append(p)
        return filled, pressures
