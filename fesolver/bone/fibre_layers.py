"""Fibres of the annulus by layer, apart from the ground between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.bone.materials import ANNULUS_FIBRE_LAYERS, FibreReinforced, Isotropic, LayeredFibres, Material
from fesolver.errors import InputError

__all__ = ["FIBRE_LAYERS_OF_EIGHT", "FIBRE_LAYERS_OF_SIX", "FibreFamilies", "fibre_families", "without_fibres"]

FIBRE_LAYERS_OF_EIGHT: tuple[tuple[float, float], ...] = ANNULUS_FIBRE_LAYERS
"""Fibre modulus (MPa) and cross-section (mm2) of eight layers in four equal pairs, outer to inner [BMC Musculoskelet
Disord 2013;14:220, table 1, after Shirazi-Adl; read in the table]."""

FIBRE_LAYERS_OF_SIX: tuple[tuple[float, float], ...] = (
    (550.0, 0.70), (495.0, 0.63), (440.0, 0.55), (420.0, 0.49), (385.0, 0.41), (360.0, 0.30),
)  # fmt: skip
"""Fibre modulus (MPa) and cross-section (mm2) of six layers, outer to inner [Sci Rep 2025, s41598-025-22755-z, table 1;
read in the table]."""


@dataclass(frozen=True)
class FibreFamilies:
    """Two families of fibres in every cell.

    Parameters
    ----------
    young : (k,) ndarray
        Modulus of a fibre, MPa.
    volume_fraction : (k,) ndarray
        Fibre volume of one family over the volume of the annulus: half of that of both.
    directions : (k, 2, 3) ndarray
        Unit vectors in (circumferential, radial, axial) components.
    """

    young: NDArray[np.float64]
    volume_fraction: NDArray[np.float64]
    directions: NDArray[np.float64]


def fibre_families(
    material: FibreReinforced | LayeredFibres, count: int, depth: ArrayLike | None = None
) -> FibreFamilies:
    """Moduli, fractions and directions of the fibres in cells: those of the homogenised material.

    Parameters
    ----------
    material : FibreReinforced or LayeredFibres
    count : int
        Number of cells.
    depth : (count,) array_like, optional
        Place across the annulus, 0 (inside) to 1 (outside); needed for layers.

    Returns
    -------
    FibreFamilies

    Raises
    ------
    InputError
        If layers are given and the depth is not, or is not in [0, 1].

    Notes
    -----
    Energy per volume of a cell with strain eps: sum over both families of 1/2 E v (a . eps a)^2, which is that of
    `FibreReinforced.fibre_matrix` where no fibre is slack.

    Examples
    --------
    >>> layered = LayeredFibres(Isotropic(4.2, 0.45), layers=FIBRE_LAYERS_OF_SIX)
    >>> fibre_families(layered, 2, [0.95, 0.05]).young
    array([550., 360.])
    """
    if isinstance(material, FibreReinforced):
        layers, number = [material], np.zeros(count, dtype=np.int64)
    else:
        at = np.zeros(0) if depth is None else np.asarray(depth, dtype=np.float64)
        if at.shape != (count,) or not np.all((at >= 0.0) & (at <= 1.0)):
            raise InputError(
                f"fibre layers, but no depth in 0 (inside) to 1 (outside) for each of {count} cells",
                fix="give Tissue.depth, or one fibre modulus for all",
            )
        layers, number = [material.layer(n) for n in range(material.n_layers)], material.layer_of(at)
    return FibreFamilies(
        np.array([layer.fibre_young_mpa for layer in layers])[number],
        np.array([0.5 * layer.volume_fraction for layer in layers])[number],
        np.array([layer.directions() for layer in layers])[number],
    )


def without_fibres(material: Material) -> Isotropic:
    """The ground substance of an annulus: what cells are made of whose fibres are elements of their own.

    Raises
    ------
    InputError
        If the material has no fibres.

    Examples
    --------
    >>> without_fibres(FibreReinforced(Isotropic(4.2, 0.45), 473.6, 0.16))
    Isotropic(young=4.2, poisson=0.45)
    """
    if not isinstance(material, FibreReinforced | LayeredFibres):
        raise InputError(f"{type(material).__name__} has no fibres to take out")
    return material.ground
