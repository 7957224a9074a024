"""Named conversions between density kinds: explicit steps, never made silently."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fesolver.bone.density import Density, DensityKind
from fesolver.errors import InputError

__all__ = [
    "CONVERSIONS",
    "Conversion",
    "conversion",
    "conversion_chains",
    "convert",
    "kaneko2004_ha_to_ash",
    "les1994_qct_to_ash",
    "schileo2008_ash_to_app",
    "schileo2008_ha_to_ash",
]


@dataclass(frozen=True)
class Conversion:
    """One published regression from a density kind to another; call it on a `Density`.

    Parameters
    ----------
    name : str
        Name in configurations and results.
    source_kind, target_kind : DensityKind
        What it takes and what it gives.
    slope : float
        Dimensionless.
    intercept_g_cm3 : float
        g/cm3.
    source : str
        The paper.
    standing : str
        How well the coefficients are known to this package.
    """

    name: str
    source_kind: DensityKind
    target_kind: DensityKind
    slope: float
    intercept_g_cm3: float
    source: str
    standing: str

    @property
    def formula(self) -> str:
        """The regression as one line, g/cm3."""
        end = f" + {self.intercept_g_cm3:g}" if self.intercept_g_cm3 else ""
        return f"{self.target_kind} = {self.slope:g} {self.source_kind}{end}"

    def __call__(self, density: Density) -> Density:
        """The density in the target kind; raises `InputError` when it comes in another kind than the source's."""
        if density.kind != self.source_kind:
            raise InputError(f"conversion {self.name} takes {self.source_kind}, got {density.kind}")
        return Density(self.slope * density.values + self.intercept_g_cm3, self.target_kind)


les1994_qct_to_ash = Conversion(
    "les1994_qct_to_ash",
    "rho_qct",
    "rho_ash",
    1.22,
    0.0523,
    "Les et al. 1994, J Orthop Res 12:822 (equine metacarpus); as used by Keyak et al.",
    "known from the paper with medium confidence, not re-read",
)
schileo2008_ha_to_ash = Conversion(
    "schileo2008_ha_to_ash",
    "rho_ha",
    "rho_ash",
    0.877,
    0.079,
    "Schileo et al. 2008, J Biomech 41:2483",
    "known from the paper with high confidence, not re-read",
)
kaneko2004_ha_to_ash = Conversion(
    "kaneko2004_ha_to_ash",
    "rho_ha",
    "rho_ash",
    0.839,
    0.0698,
    "Kaneko et al. 2004, J Biomech 37:523",
    "known from the paper with medium confidence, not re-read",
)
schileo2008_ash_to_app = Conversion(
    "schileo2008_ash_to_app",
    "rho_ash",
    "rho_app",
    1.0 / 0.60,
    0.0,
    "Schileo et al. 2008, J Biomech 41:2483: rho_ash / rho_app = 0.598, used as 0.60",
    "known from the paper with high confidence, not re-read",
)

CONVERSIONS: dict[str, Conversion] = {
    step.name: step
    for step in (les1994_qct_to_ash, schileo2008_ha_to_ash, kaneko2004_ha_to_ash, schileo2008_ash_to_app)
}
"""Every conversion this package knows. There is none between `rho_qct` and `rho_ha`: it depends on the scanner."""


def conversion(name: str) -> Conversion:
    """The conversion of that name; raises `InputError` on an unknown one."""
    if name not in CONVERSIONS:
        raise InputError(f"unknown density conversion {name!r}", fix=f"use one of {', '.join(CONVERSIONS)}")
    return CONVERSIONS[name]


def convert(density: Density, steps: Iterable[str | Conversion]) -> Density:
    """Apply named conversions one after the other.

    Parameters
    ----------
    density : Density
        g/cm3.
    steps : iterable of str or Conversion
        In order; each must take what the one before it gives.

    Returns
    -------
    Density
        g/cm3, of the last step's kind.

    Raises
    ------
    InputError
        On an unknown name or a step that does not fit.

    Notes
    -----
    A chain multiplies the uncertainty of its steps: at 80 mg/cm3 of `rho_qct` the modulus is 210 MPa by the law
    calibrated on vertebral QCT, 543 MPa by way of ash and apparent density, and 49 MPa by way of ash density and the
    spine law. `docs/theory/bone_laws.md` has the table.

    Examples
    --------
    >>> import numpy as np
    >>> convert(Density(np.array([0.08]), "rho_qct"), ["les1994_qct_to_ash", "schileo2008_ash_to_app"])
    Density(values=array([0.24983333]), kind='rho_app')
    """
    for step in steps:
        density = (conversion(step) if isinstance(step, str) else step)(density)
    return density


def conversion_chains(source_kind: DensityKind, target_kind: DensityKind) -> list[tuple[str, ...]]:
    """All chains of known conversions between two kinds, shortest first; empty when there is none.

    Examples
    --------
    >>> conversion_chains("rho_qct", "rho_app")
    [('les1994_qct_to_ash', 'schileo2008_ash_to_app')]
    """
    found: list[tuple[str, ...]] = []
    open_chains: list[tuple[DensityKind, tuple[str, ...]]] = [(source_kind, ())]
    while open_chains:
        kind, chain = open_chains.pop(0)
        for step in CONVERSIONS.values():
            if step.source_kind != kind or step.name in chain:
                continue
            if step.target_kind == target_kind:
                found.append((*chain, step.name))
            else:
                open_chains.append((step.target_kind, (*chain, step.name)))
    return found
