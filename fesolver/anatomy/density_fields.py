"""Density in a vertebral body as a field of normalised places: uniform, by compartment, or with published patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.dimensions import VertebraDimensions, check_between
from fesolver.anatomy.published import Source
from fesolver.anatomy.quadrature import body_quadrature
from fesolver.anatomy.shape import body_coordinates
from fesolver.bone.density import DENSITY_KINDS, DensityKind
from fesolver.errors import InputError

__all__ = [
    "AXIAL_COMPARTMENTS",
    "PATTERN_SOURCES",
    "RADIAL_COMPARTMENTS",
    "CompartmentDensity",
    "DensityField",
    "PatternedDensity",
    "UniformDensity",
    "mean_density",
    "rim_axial_pattern",
]

RADIAL_COMPARTMENTS: tuple[str, ...] = ("core", "rim")
AXIAL_COMPARTMENTS: tuple[str, ...] = ("inferior_third", "middle_third", "superior_third")

_SEGAMI = "K. Segami et al., regional CT attenuation across the lumbar endplate, PubMed 34705863 (308 endplates)"
PATTERN_SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "rim_density_ratio": Source(
            f"{_SEGAMI}: periphery 32.5 % denser than the centre of endplates; carried over to the whole height, with "
            "the edge between normalised radius 0.6 and 0.8",
            "read (endplates); choice (whole height, place of the edge)",
        ),
        "inferior_superior_ratio": Source(
            f"{_SEGAMI}: inferior endplates are denser; the size and the linear course are choices",
            "read (direction); choice (size)",
        ),
    }
)
"""Source and standing of the numbers of `PatternedDensity`."""


class DensityField(Protocol):
    """Density as a function of the place in a body."""

    @property
    def kind(self) -> DensityKind:
        """What the density is equivalent to."""
        ...

    def at(self, points: ArrayLike, dimensions: VertebraDimensions) -> NDArray[np.float64]:
        """Density at points (n, 3) of the body frame in mm, g/cm3, (n,)."""
        ...

    def scaled(self, factor: float) -> DensityField:
        """The same field times a factor."""
        ...


@dataclass(frozen=True)
class UniformDensity:
    """The same density everywhere.

    Parameters
    ----------
    mean_g_cm3 : float
        Density, g/cm3.
    kind : {"rho_qct", "rho_ha", "rho_ash", "rho_app"}, optional
        What it is equivalent to.

    Raises
    ------
    InputError
        If the density is outside 0.001 to 2 g/cm3 or the kind is unknown.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> UniformDensity(0.08).at([[0.0, 0.0, 0.0]], vertebra_dimensions("L1"))
    array([0.08])
    """

    mean_g_cm3: float
    kind: DensityKind = "rho_qct"

    def __post_init__(self) -> None:
        _check(self.mean_g_cm3, self.kind)

    def at(self, points: ArrayLike, dimensions: VertebraDimensions) -> NDArray[np.float64]:
        """Density at points (n, 3) of the body frame in mm, g/cm3, (n,)."""
        return np.full(len(body_coordinates(points, dimensions).radius), self.mean_g_cm3)

    def scaled(self, factor: float) -> UniformDensity:
        """The same field times a factor."""
        return replace(self, mean_g_cm3=factor * self.mean_g_cm3)


@dataclass(frozen=True)
class CompartmentDensity:
    """A density of its own in every compartment.

    Parameters
    ----------
    values_g_cm3 : mapping of str to float
        By `core` and `rim`, by `inferior_third`, `middle_third` and `superior_third`, or by both as in
        `core/middle_third`; an entry for a pair goes before one for its parts.
    core_radius : float, optional
        Normalised radius that parts core and rim; 0.7, the central part of an endplate (Wang et al. 2012).
    mean_g_cm3 : float, optional
        Scale everything so that the mean over the body is this, g/cm3.
    kind : {"rho_qct", "rho_ha", "rho_ash", "rho_app"}, optional
        What the densities are equivalent to.

    Raises
    ------
    InputError
        If a compartment is unknown, has no density, or has two; if a density or the radius is outside its range.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> field = CompartmentDensity({"core": 0.07, "rim": 0.10})
    >>> field.at([[0.0, 0.0, 0.0], [18.0, 2.0, 0.0]], vertebra_dimensions("L1"))
    array([0.07, 0.1 ])
    """

    values_g_cm3: Mapping[str, float]
    core_radius: float = 0.7
    mean_g_cm3: float | None = None
    kind: DensityKind = "rho_qct"

    def __post_init__(self) -> None:
        pairs = [f"{r}/{a}" for r in RADIAL_COMPARTMENTS for a in AXIAL_COMPARTMENTS]
        known = [*RADIAL_COMPARTMENTS, *AXIAL_COMPARTMENTS, *pairs]
        unknown = sorted(set(self.values_g_cm3) - set(known))
        if unknown:
            raise InputError(f"unknown compartment {', '.join(map(repr, unknown))}", fix=f"use {', '.join(known)}")
        for name, value in self.values_g_cm3.items():
            _check(value, self.kind, name)
        check_between("core_radius", self.core_radius, 0.1, 0.95, "")
        if self.mean_g_cm3 is not None:
            _check(self.mean_g_cm3, self.kind)
        self._table()

    def at(self, points: ArrayLike, dimensions: VertebraDimensions) -> NDArray[np.float64]:
        """Density at points (n, 3) of the body frame in mm, g/cm3, (n,)."""
        density = self._unscaled(points, dimensions)
        if self.mean_g_cm3 is None:
            return density
        _, quadrature, weights = body_quadrature(dimensions, radii=(self.core_radius,))
        mean = float(np.dot(weights, self._unscaled(quadrature, dimensions)) / np.sum(weights))
        return np.asarray(density * (self.mean_g_cm3 / mean))

    def scaled(self, factor: float) -> CompartmentDensity:
        """The same field times a factor."""
        mean = None if self.mean_g_cm3 is None else factor * self.mean_g_cm3
        return replace(self, values_g_cm3={k: factor * v for k, v in self.values_g_cm3.items()}, mean_g_cm3=mean)

    def _unscaled(self, points: ArrayLike, dimensions: VertebraDimensions) -> NDArray[np.float64]:
        """Density by compartment alone."""
        body = body_coordinates(points, dimensions)
        rim = (body.radius > self.core_radius).astype(int)
        third = np.clip(np.floor(1.5 * (body.height + 1.0)), 0, 2).astype(int)
        return np.asarray(self._table()[rim, third])

    def _table(self) -> NDArray[np.float64]:
        """Density by (core or rim, third from below), (2, 3)."""
        table = np.empty((2, 3))
        for i, radial in enumerate(RADIAL_COMPARTMENTS):
            for j, axial in enumerate(AXIAL_COMPARTMENTS):
                pair = f"{radial}/{axial}"
                found = [pair] if pair in self.values_g_cm3 else [n for n in (radial, axial) if n in self.values_g_cm3]
                if len(found) != 1:
                    problem = f"has two densities, of {' and of '.join(found)}" if found else "has no density"
                    raise InputError(f"compartment {pair} {problem}", fix=f"give {pair} one of its own")
                table[i, j] = self.values_g_cm3[found[0]]
        return table


@dataclass(frozen=True)
class PatternedDensity:
    """Density with the published patterns: rim denser than centre, inferior denser than superior.

    Parameters
    ----------
    mean_g_cm3 : float
        Mean over the whole body, g/cm3.
    rim_density_ratio : float, optional
        Density near the wall (normalised radius over 0.8) over that around the axis (under 0.6).
    inferior_superior_ratio : float, optional
        Density at the inferior over that at the superior end, linear between.
    kind : {"rho_qct", "rho_ha", "rho_ash", "rho_app"}, optional
        What the density is equivalent to.

    Raises
    ------
    InputError
        If a number is outside its range or the kind is unknown.

    Notes
    -----
    `PATTERN_SOURCES` has where both ratios come from; they are those of the synthetic CT. The pattern is divided by its
    mean over `body_quadrature`, so that the mean is the one asked for in every shape.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> d = vertebra_dimensions("L1")
    >>> round(mean_density(PatternedDensity(0.08), d), 12)
    0.08
    """

    mean_g_cm3: float
    rim_density_ratio: float = 1.325
    inferior_superior_ratio: float = 1.10
    kind: DensityKind = "rho_qct"

    def __post_init__(self) -> None:
        _check(self.mean_g_cm3, self.kind)
        check_between("rim_density_ratio", self.rim_density_ratio, 0.5, 3.0, "")
        check_between("inferior_superior_ratio", self.inferior_superior_ratio, 0.33, 3.0, "")

    def at(self, points: ArrayLike, dimensions: VertebraDimensions) -> NDArray[np.float64]:
        """Density at points (n, 3) of the body frame in mm, g/cm3, (n,)."""
        _, quadrature, weights = body_quadrature(dimensions)
        mean = float(np.dot(weights, self._pattern(quadrature, dimensions)) / np.sum(weights))
        return np.asarray(self._pattern(points, dimensions) * (self.mean_g_cm3 / mean))

    def scaled(self, factor: float) -> PatternedDensity:
        """The same field times a factor."""
        return replace(self, mean_g_cm3=factor * self.mean_g_cm3)

    def _pattern(self, points: ArrayLike, dimensions: VertebraDimensions) -> NDArray[np.float64]:
        """Density up to a factor."""
        body = body_coordinates(points, dimensions)
        return rim_axial_pattern(
            body.radius,
            body.height,
            rim_density_ratio=self.rim_density_ratio,
            inferior_superior_ratio=self.inferior_superior_ratio,
        )


def rim_axial_pattern(
    radius: NDArray[np.float64],
    height: NDArray[np.float64],
    *,
    rim_density_ratio: float,
    inferior_superior_ratio: float,
) -> NDArray[np.float64]:
    """Density up to a factor: a smooth step to the rim times a line along the axis.

    Parameters
    ----------
    radius, height : (n,) ndarray
        Normalised coordinates, as in `BodyCoordinates`.
    rim_density_ratio : float
        Value beyond radius 0.8 over that within 0.6.
    inferior_superior_ratio : float
        Value at height -1 over that at +1.

    Returns
    -------
    (n,) ndarray
        Positive, dimensionless; 1 on the axis at half the height.
    """
    s = np.clip((radius - 0.6) / 0.2, 0.0, 1.0)
    rim = 1.0 + (rim_density_ratio - 1.0) * s * s * (3.0 - 2.0 * s)
    ratio = inferior_superior_ratio
    axial = 1.0 - (ratio - 1.0) / (ratio + 1.0) * np.clip(height, -1.0, 1.0)
    return np.asarray(rim * axial)


def mean_density(field: DensityField, dimensions: VertebraDimensions) -> float:
    """Mean of a density field over a vertebral body, g/cm3, by `body_quadrature`."""
    _, points, weights = body_quadrature(dimensions)
    return float(np.dot(weights, field.at(points, dimensions)) / np.sum(weights))


def _check(density_g_cm3: float, kind: str, name: str = "mean_g_cm3") -> None:
    """A density and its kind, or an `InputError`."""
    check_between(name, density_g_cm3, 0.001, 2.0, "g/cm3")
    if kind not in DENSITY_KINDS:
        raise InputError(f"density kind {kind!r} is unknown", fix=f"use one of {', '.join(DENSITY_KINDS)}")
