"""Closed-form solutions, written from the theory and not from the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BONDED_DISC", "SphericalInclusion", "tapered_bar_shortening"]

BONDED_DISC = {0.4999: 2.952, 0.499: 2.919, 0.49: 2.634, 0.45: 1.930, 0.3: 1.211}
"""Apparent over true modulus by Poisson's ratio: a disc of radius 20 and height 10 bonded to rigid plates.

Computed, not closed form: fine axisymmetric models, converged to 2e-4 (the design document of this package).
"""


def tapered_bar_shortening(force: float, length: float, area: float, young: float, slope: float) -> float:
    """Shortening, mm, of a bar under end force with modulus E(z) = young (1 + slope z / length)."""
    return force * length / (area * young) * np.log1p(slope) / slope


@dataclass(frozen=True)
class SphericalInclusion:
    """A bonded elastic sphere in an infinite elastic matrix under remote uniaxial stress along z.

    Parameters
    ----------
    radius : float
        mm.
    matrix_young, inclusion_young : float
        MPa.
    matrix_poisson, inclusion_poisson : float
        Dimensionless.
    stress : float
        Remote stress, MPa.

    Notes
    -----
    Inside, the strain is uniform [1]_. Outside, the disturbance has a spherical and a deviatoric part,

        u = A x / r^3  +  P grad(x.d.x / r^5)  +  Q (2 (1 - 2 nu) d x / r^3 + 3 (x.d.x) x / r^5),

    d the deviatoric direction diag(-1, -1, 2) / 2: each term solves Navier's equations and decays. A, P and Q follow
    from the continuity of displacement at r = a; that the tractions are then continuous too is not used, and is what a
    test checks by finite differences, together with equilibrium.

    References
    ----------
    .. [1] J. D. Eshelby, The determination of the elastic field of an ellipsoidal inclusion, Proc. R. Soc. A 241, 1957.
    .. [2] J. N. Goodier, Concentration of stress around spherical and cylindrical inclusions and flaws, J. Appl.
       Mech. 1, 1933.
    """

    radius: float = 1.0
    matrix_young: float = 100.0
    matrix_poisson: float = 0.3
    inclusion_young: float = 2500.0
    inclusion_poisson: float = 0.3
    stress: float = -1.0

    def strains(self) -> tuple[float, float, float, float]:
        """Remote and inner strain, each as volumetric mean e and deviatoric k: strain = e I + k diag(-1, -1, 2) / 2."""
        E, nu = self.matrix_young, self.matrix_poisson
        bulk, shear = E / (3 * (1 - 2 * nu)), E / (2 * (1 + nu))
        Ei, nui = self.inclusion_young, self.inclusion_poisson
        bulk_i, shear_i = Ei / (3 * (1 - 2 * nui)), Ei / (2 * (1 + nui))
        e0, k0 = self.stress / (9 * bulk), self.stress / (3 * shear)
        alpha = (1 + nu) / (3 * (1 - nu))
        beta = 2 * (4 - 5 * nu) / (15 * (1 - nu))
        return e0, k0, e0 / (1 + alpha * (bulk_i / bulk - 1)), k0 / (1 + beta * (shear_i / shear - 1))

    def inner_stress(self) -> tuple[float, float]:
        """Axial and lateral stress inside, MPa."""
        _, _, e, k = self.strains()
        bulk = self.inclusion_young / (3 * (1 - 2 * self.inclusion_poisson))
        shear = self.inclusion_young / (2 * (1 + self.inclusion_poisson))
        return 3 * bulk * e + 2 * shear * k, 3 * bulk * e - shear * k

    def displacement(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacement (n, 3), mm, at points (n, 3) relative to the centre."""
        e0, k0, e1, k1 = self.strains()
        d = np.diag([-0.5, -0.5, 1.0])
        a, nu = self.radius, self.matrix_poisson
        r = np.linalg.norm(x, axis=1)[:, None]
        dx = x @ d
        xdx = np.sum(x * dx, axis=1)[:, None]
        inside = e1 * x + k1 * dx
        r = np.maximum(r, a)  # the outer formula is not used inside
        Q = 5 * (k1 - k0) / (4 * (4 - 5 * nu))
        P = 3 * Q / 5
        disturbance = (e1 - e0) * x * a**3 / r**3
        disturbance = disturbance + P * a**5 * (2 * dx / r**5 - 5 * xdx * x / r**7)
        disturbance = disturbance + Q * a**3 * (2 * (1 - 2 * nu) * dx / r**3 + 3 * xdx * x / r**5)
        outside = e0 * x + k0 * dx + disturbance
        return np.where(np.linalg.norm(x, axis=1)[:, None] <= a, inside, outside)
