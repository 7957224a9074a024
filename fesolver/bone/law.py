"""Density to modulus and strength of trabecular bone: what a law is, how it is applied, what it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.conversions import conversion_chains
from fesolver.bone.density import Density, DensityKind
from fesolver.bone.forms import PowerForm
from fesolver.errors import InputError

__all__ = ["DEFAULT_FLOOR_MPA", "BoneLaw", "LawReport", "StrengthPartner", "TransverseRatios"]

DEFAULT_FLOOR_MPA = 1.0
"""Smallest modulus of bone tissue, MPa, where noise or marrow leaves no mineral.

A modelling choice, not a measurement: the modulus of the default nucleus, so that marrow is never the softest part of
a model, and below 1 % of the 128 MPa that the default law gives at 50 mg/cm3, so that it carries nothing visible.
"""


@dataclass(frozen=True)
class StrengthPartner:
    """The strength regression published for the same specimens, or by the same laboratory for the same tissue.

    Parameters
    ----------
    form : PowerForm
        Stress in MPa over density in the law's kind.
    meaning : {"yield", "ultimate"}
        Which point of the stress-strain curve.
    source, standing : str
        The paper, and how well its numbers are known to this package.
    """

    form: PowerForm
    meaning: Literal["yield", "ultimate"]
    source: str
    standing: str

    @property
    def formula(self) -> str:
        """The regression as one line, MPa and g/cm3."""
        return f"{self.form.text('S')} ({self.meaning})"


@dataclass(frozen=True)
class TransverseRatios:
    """Transverse isotropy about the body axis z, as ratios to the axial modulus E_z.

    Parameters
    ----------
    young_transverse : float
        E_x / E_z = E_y / E_z.
    shear_axial : float
        G_xz / E_z = G_yz / E_z.
    poisson_transverse : float
        nu_xy. G_xy follows as E_x / (2 (1 + nu_xy)).
    poisson_transverse_axial : float
        nu_xz = nu_yz: minus the strain along z over that along x under stress along x.
    source, standing : str
        The paper, and how well its numbers are known to this package.
    """

    young_transverse: float
    shear_axial: float
    poisson_transverse: float
    poisson_transverse_axial: float
    source: str
    standing: str


@dataclass(frozen=True)
class LawReport:
    """How often a law was used outside its own data; volume fractions when weights were given.

    Parameters
    ----------
    fraction_floored : float
        Where the law gave less than the floor and the floor was used.
    fraction_below, fraction_above : float
        Density below or above the law's own range: extrapolated.
    """

    fraction_floored: float
    fraction_below: float
    fraction_above: float


@dataclass(frozen=True)
class BoneLaw:
    """A published regression from density to axial modulus of trabecular bone.

    Parameters
    ----------
    name : str
        Name in configurations and results.
    kind : DensityKind
        The density it was measured against; another kind is refused.
    form : PowerForm
        Modulus in MPa along the body axis.
    density_range_g_cm3 : tuple of float
        Lowest and highest density of its specimens.
    source, standing : str
        The paper, and how well its numbers are known to this package.
    strength : StrengthPartner or None
        The strength law that belongs to it; None gives no law-based strength.
    anisotropy : TransverseRatios or None
        None is isotropic.

    Notes
    -----
    Every law here is for trabecular bone. None is extrapolated into cortex without a warning: `evaluate` reports the
    fraction above the range, and the mixing rule repeats it in its notes.
    """

    name: str
    kind: DensityKind
    form: PowerForm
    density_range_g_cm3: tuple[float, float]
    source: str
    standing: str
    strength: StrengthPartner | None = None
    anisotropy: TransverseRatios | None = None

    @property
    def formula(self) -> str:
        """The modulus law as one line, MPa and g/cm3."""
        return self.form.text("E_z" if self.anisotropy else "E")

    def modulus(self, density: Density) -> NDArray[np.float64]:
        """Axial modulus in MPa as the regression gives it, without a floor; see `evaluate` for the one used in a model.

        Raises
        ------
        InputError
            If `density` has another kind than the law, or is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from fesolver.bone.laws import bone_law
        >>> bone_law("kopperdahl2002_linear").modulus(Density(np.array([0.08]), "rho_qct"))
        array([223.7])
        """
        return self.form(self._checked(density))

    def strength_mpa(self, density: Density) -> NDArray[np.float64]:
        """Yield or ultimate stress in MPa (see `strength.meaning`), not below zero.

        Raises
        ------
        InputError
            If the law has no published strength partner, or `density` does not fit.
        """
        if self.strength is None:
            raise InputError(
                f"bone law {self.name} has no published strength partner",
                fix="use a strain-based criterion, which needs none, or a law with a partner (`fesolver laws`)",
            )
        return np.asarray(np.maximum(self.strength.form(self._checked(density)), 0.0))

    def evaluate(
        self,
        density: Density,
        *,
        floor_mpa: float = DEFAULT_FLOOR_MPA,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], LawReport]:
        """Floored modulus, and how often the floor and the ends of the range were passed.

        Parameters
        ----------
        density : Density
            (...) cell means in g/cm3: average first, floor after.
        floor_mpa : float
            Smallest modulus, MPa, not negative.
        weights : (...) ndarray, optional
            Volumes the fractions are taken over; equal by default.

        Returns
        -------
        modulus : (...) ndarray
            MPa.
        report : LawReport

        Raises
        ------
        InputError
            If `density` has another kind or is not finite, or the floor is negative.
        """
        if not (np.isfinite(floor_mpa) and floor_mpa >= 0.0):
            raise InputError(f"the modulus floor must be finite and not negative, got {floor_mpa} MPa")
        raw = self.modulus(density)
        low, high = self.density_range_g_cm3
        w = np.ones(raw.shape) if weights is None else weights
        total = float(np.sum(w))

        def fraction(where: NDArray[np.bool_]) -> float:
            return float(np.sum(np.where(where, w, 0.0)) / total) if total > 0.0 else 0.0

        report = LawReport(fraction(raw < floor_mpa), fraction(density.values < low), fraction(density.values > high))
        return np.maximum(raw, floor_mpa), report

    def _checked(self, density: Density) -> NDArray[np.float64]:
        """The values, after the kind and finiteness have been checked."""
        if density.kind != self.kind:
            chains = [" then ".join(chain) for chain in conversion_chains(density.kind, self.kind)]
            raise InputError(
                f"bone law {self.name} takes {self.kind}, got {density.kind}",
                fix=f"convert explicitly: {' or '.join(chains)}"
                if chains
                else f"no conversion from {density.kind} to {self.kind} is known here: choose a law for {density.kind} "
                "or calibrate the CT to the law's kind",
            )
        values = np.asarray(density.values, dtype=np.float64)
        if not np.all(np.isfinite(values)):
            raise InputError(f"{np.count_nonzero(~np.isfinite(values))} densities are not finite")
        return values
