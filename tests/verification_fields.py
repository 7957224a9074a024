"""Closed-form fields for the solid elements, written from the theory and not from the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CompositeSphere",
    "EndLoadedBeam",
    "HollowCylinder",
    "HollowSphere",
    "Manufactured",
    "curved_beam_deflection",
    "plate_with_hole_stress",
    "torsion_constant",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HollowCylinder:
    """Thick cylinder of radii a < b under inner pressure, no axial strain (Lame) [1]_.

    References
    ----------
    .. [1] S. P. Timoshenko, J. N. Goodier, *Theory of Elasticity*, 3rd ed., McGraw-Hill, 1970, articles 28 and 136.
    """

    a: float = 1.0
    b: float = 2.0
    pressure: float = 1.0
    young: float = 1000.0
    poisson: float = 0.3

    def displacement(self, r: float) -> float:
        """Radial, mm."""
        scale = (1 + self.poisson) / self.young * self.pressure * self.a**2 / (self.b**2 - self.a**2)
        return scale * ((1 - 2 * self.poisson) * r + self.b**2 / r)

    def hoop(self, r: float) -> float:
        """Hoop stress, MPa."""
        return self.pressure * self.a**2 / (self.b**2 - self.a**2) * (1 + self.b**2 / r**2)


@dataclass(frozen=True)
class HollowSphere(HollowCylinder):
    """Thick sphere of radii a < b under inner pressure (Lame)."""

    def displacement(self, r: float) -> float:
        """Radial, mm."""
        nu, scale = self.poisson, self.pressure * self.a**3 / (self.young * (self.b**3 - self.a**3))
        return scale * ((1 - 2 * nu) * r + (1 + nu) * self.b**3 / (2 * r**2))

    def hoop(self, r: float) -> float:
        """Hoop stress, MPa."""
        return self.pressure * self.a**3 / (self.b**3 - self.a**3) * (1 + self.b**3 / (2 * r**3))


@dataclass(frozen=True)
class CompositeSphere:
    """Ball of radius R1 in a shell up to R2, both isotropic, bonded, under outer pressure.

    Displacement A r in the core and B r + C / r^2 in the shell; A, B, C from continuity and the pressure.
    """

    inner_radius: float = 1.0
    outer_radius: float = 2.0
    core_young: float = 2500.0
    shell_young: float = 100.0
    poisson: float = 0.3
    pressure: float = 1.0

    def core_stress(self) -> float:
        """Hydrostatic stress of the core, MPa."""
        nu, R1, R2 = self.poisson, self.inner_radius, self.outer_radius
        core_bulk, bulk = (E / (1 - 2 * nu) for E in (self.core_young, self.shell_young))  # 3 K
        shear = 2 * self.shell_young / (1 + nu)  # 4 G
        matrix = np.array([
            [R1, -R1, -1 / R1**2],
            [core_bulk, -bulk, shear / R1**3],
            [0.0, bulk, -shear / R2**3],
        ])  # fmt: skip
        A, _, _ = np.linalg.solve(matrix, [0.0, 0.0, -self.pressure])
        return float(core_bulk * A)


@dataclass(frozen=True)
class EndLoadedBeam:
    """Cantilever of narrow section under a parabolic shear load at x = L, in plane strain [1]_.

    The plane-stress solution with E / (1 - nu^2) and nu / (1 - nu). Held at (0, 0), and against rotation at
    (0, D / 2): points where the exact displacement is zero.

    References
    ----------
    .. [1] S. P. Timoshenko, J. N. Goodier, *Theory of Elasticity*, 3rd ed., McGraw-Hill, 1970, article 21.
    """

    length: float = 48.0
    depth: float = 12.0
    force: float = 1000.0
    young: float = 3e4
    poisson: float = 0.3

    @property
    def inertia(self) -> float:
        """Second moment of a section of unit thickness, mm4."""
        return self.depth**3 / 12

    def tip_deflection(self) -> float:
        """Of the axis at x = L along y, mm, per unit thickness."""
        E, nu = self.young / (1 - self.poisson**2), self.poisson / (1 - self.poisson)
        L, D = self.length, self.depth
        return self.force / (6 * E * self.inertia) * ((4 + 5 * nu) * D**2 * L / 4 + 2 * L**3)

    def stress(self, x: Array) -> tuple[Array, Array]:
        """Normal stress along x and shear stress, MPa, at coordinates (..., 3)."""
        normal = -self.force * (self.length - x[..., 0]) * x[..., 1] / self.inertia
        shear = self.force * (self.depth**2 / 4 - x[..., 1] ** 2) / (2 * self.inertia)
        return normal, shear


def plate_with_hole_stress(x: Array, radius: float, stress: float) -> tuple[Array, Array, Array]:
    """In-plane stresses xx, yy, xy in MPa at (..., 3) of an infinite plate with a round hole, pulled along x [1]_.

    References
    ----------
    .. [1] G. Kirsch, Die Theorie der Elastizitaet und die Beduerfnisse der Festigkeitslehre, Z. VDI 42, 1898;
       S. P. Timoshenko, J. N. Goodier, *Theory of Elasticity*, article 35.
    """
    theta, t = np.arctan2(x[..., 1], x[..., 0]), radius**2 / np.sum(x[..., :2] ** 2, axis=-1)
    c2, s2, half = np.cos(2 * theta), np.sin(2 * theta), 0.5 * stress
    rr = half * (1 - t) + half * (1 - 4 * t + 3 * t**2) * c2
    tt = half * (1 + t) - half * (1 + 3 * t**2) * c2
    rt = -half * (1 + 2 * t - 3 * t**2) * s2
    mean, difference = 0.5 * (rr + tt), 0.5 * (rr - tt)
    along = difference * c2 - rt * s2
    return mean + along, mean - along, difference * s2 + rt * c2


def curved_beam_deflection(inner: float, outer: float, thickness: float, young: float, force: float) -> float:
    """Radial tip deflection, mm, of a quarter ring clamped at one end, radial force at the other, plane stress [1]_.

    References
    ----------
    .. [1] S. P. Timoshenko, J. N. Goodier, *Theory of Elasticity*, 3rd ed., McGraw-Hill, 1970, article 33.
    """
    a2, b2 = inner**2, outer**2
    N = a2 - b2 + (a2 + b2) * np.log(outer / inner)
    return float(np.pi * force * (a2 + b2) / (young * thickness * N))


def torsion_constant(width: float, height: float) -> float:
    """St Venant's torsion constant, mm4, of a rectangle, width >= height [1]_.

    References
    ----------
    .. [1] S. P. Timoshenko, J. N. Goodier, *Theory of Elasticity*, 3rd ed., McGraw-Hill, 1970, article 109.
    """
    n = np.arange(1, 40, 2)
    series = np.sum(np.tanh(n * np.pi * width / (2 * height)) / n**5)
    return float(width * height**3 / 3 * (1 - 192 * height / (np.pi**5 * width) * series))


@dataclass(frozen=True)
class Manufactured:
    """Three plane sine waves with nothing in common, under the body force that balances them.

    The modulus is 100 (1 + slope sin(pi x)) MPa: its gradient enters the body force.
    """

    poisson: float = 0.3
    slope: float = 0.0

    _WAVES = np.array([[1.0, 0.6, 0.8], [0.5, 1.1, 0.7], [0.9, 0.4, 1.2]]) * 2.0
    _AMPLITUDE = 1e-3 * np.array([1.0, -0.8, 0.6])

    def young(self, x: Array) -> Array:
        """Modulus (...,), MPa."""
        return np.asarray(100.0 * (1 + self.slope * np.sin(np.pi * x[..., 0])))

    def displacement(self, x: Array) -> Array:
        """(..., 3), mm."""
        return np.asarray(self._AMPLITUDE * np.sin(x @ self._WAVES.T))

    def gradient(self, x: Array) -> Array:
        """du_i / dx_j, (..., 3, 3)."""
        return np.asarray((self._AMPLITUDE * np.cos(x @ self._WAVES.T))[..., :, None] * self._WAVES)

    def stress(self, gradient: Array, young: Array) -> Array:
        """(..., 3, 3), MPa, of a displacement gradient."""
        nu = self.poisson
        strain = 0.5 * (gradient + np.swapaxes(gradient, -1, -2))
        trace = np.trace(strain, axis1=-2, axis2=-1)[..., None, None]
        ratio = nu / (1 - 2 * nu) * trace * np.eye(3) + strain
        return np.asarray(young[..., None, None] / (1 + nu) * ratio)

    def body_force(self, x: Array) -> Array:
        """-div sigma, (..., 3), N/mm3."""
        nu = self.poisson
        second = -self._AMPLITUDE * np.sin(x @ self._WAVES.T)
        grad_div = np.einsum("...i,ii,ij->...j", second, self._WAVES, self._WAVES)
        laplace = second * np.sum(self._WAVES**2, axis=1)
        inner = 0.5 / (1 + nu) * (grad_div / (1 - 2 * nu) + laplace)
        along_x = self.stress(self.gradient(x), np.ones(x.shape[:-1]))[..., 0]
        rise = 100.0 * self.slope * np.pi * np.cos(np.pi * x[..., 0])
        return np.asarray(-self.young(x)[..., None] * inner - rise[..., None] * along_x)
