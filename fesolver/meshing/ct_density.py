"""The density of a parametric body, sampled from the CT of another spine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from fesolver.anatomy.dimensions import VertebraDimensions, check_between
from fesolver.anatomy.section import posterior_narrowing, section_axes
from fesolver.anatomy.shape import body_coordinates
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.imaging.volume import SegmentImage, VertebraGeometry
from fesolver.meshing.discs import Outline, fit_outline

__all__ = ["CtDensity", "ct_density"]

_SLABS = 5
"""Heights at which the outline of a CT body is taken."""


@dataclass(frozen=True)
class CtDensity:
    """Density by normalised place, as a `fesolver.anatomy.density_fields.DensityField`.

    Parameters
    ----------
    values : (n, n, m) ndarray
        Density, g/cm3, at the centres of equal bins over xi (left), eta (posterior) and height, each in [-1, 1].
    kind : DensityKind
        What it is equivalent to.
    core : float
        Normalised radius and height beyond which the value at `core` is taken.
    """

    values: NDArray[np.float64]
    kind: DensityKind
    core: float = 0.9

    def at(self, points: ArrayLike, dimensions: VertebraDimensions) -> NDArray[np.float64]:
        """Density at points (n, 3) of the body frame in mm, g/cm3, (n,), linear between bins."""
        place = _normalised(np.asarray(points, dtype=np.float64), dimensions)
        return self._sample(place)

    def scaled(self, factor: float) -> CtDensity:
        """The same field times a factor."""
        return replace(self, values=factor * self.values)

    def _sample(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Density at normalised places (n, 3)."""
        radius = np.hypot(place[:, 0], place[:, 1])
        inwards = np.minimum(1.0, self.core / np.maximum(radius, 1e-12))
        held = np.column_stack([place[:, :2] * inwards[:, None], np.clip(place[:, 2], -self.core, self.core)])
        index = (0.5 * (held + 1.0) * self.values.shape - 0.5).T
        return np.asarray(ndimage.map_coordinates(self.values, index, order=1, mode="nearest"))


def ct_density(image: SegmentImage, level: str, *, bins: int = 24, core: float = 0.9) -> CtDensity:
    """Density pattern of one body of a CT, to be laid into a body of any other shape.

    Parameters
    ----------
    image : SegmentImage
        Resampled CT with its bodies.
    level : str
        Body to sample; the field may be given to any other level.
    bins : int, optional
        Bins across the body's width, depth and height, 4 to 64; with cells of 1 mm, 24 are about 1.7 mm wide.
    core : float, optional
        Normalised radius and height beyond which densities are taken from inside, 0.5 to 1: what lies there is shell
        and endplate, which a parametric mesh has as layers of its own. 0.9 is a choice.

    Returns
    -------
    CtDensity

    Raises
    ------
    InputError
        If the level is not in the image, has too few cells for the bins, or a parameter is outside its range.

    Notes
    -----
    Height is measured between the fitted endplate planes; the radius over that of the body's outline in the same
    direction, a Fourier series fitted to five slabs and taken linearly between them. A bin has the mean of its cells;
    one without any takes the nearest that has. The mean over another body is that of the pattern there, and differs
    from the CT's by what the shapes differ; divide by it for another mean.

    Examples
    --------
    >>> import numpy as np
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> field = CtDensity(np.full((8, 8, 8), 0.1), "rho_qct")
    >>> field.at([[0.0, 0.0, 0.0]], vertebra_dimensions("L3"))
    array([0.1])
    """
    if level not in image.levels:
        raise InputError(f"level {level!r} is not in the image", fix=f"use one of {', '.join(image.levels)}")
    check_between("bins", bins, 4, 64, "")
    check_between("core", core, 0.5, 1.0, "")
    cells = np.argwhere(image.body == image.levels.index(level) + 1)
    if len(cells) < bins**3 // 8:
        raise InputError(
            f"{level} has {len(cells)} cells, too few for {bins} x {bins} x {bins} bins",
            fix="use smaller spacing_mm or fewer bins",
        )
    volume = float(np.prod(image.spacing))
    place = _ct_places(image.origin + (cells + 0.5) * image.spacing, volume, image.vertebrae[level])
    at = np.clip(np.floor(0.5 * (place + 1.0) * bins), 0, bins - 1).astype(np.int64)
    flat = np.ravel_multi_index(tuple(at.T), (bins, bins, bins))
    density = image.density[tuple(cells.T)]
    count = np.bincount(flat, minlength=bins**3).reshape(bins, bins, bins)
    total = np.bincount(flat, weights=density, minlength=bins**3).reshape(bins, bins, bins)
    nearest = ndimage.distance_transform_edt(count == 0, return_distances=False, return_indices=True)
    values = np.divide(total, count, out=np.zeros_like(total), where=count > 0)[tuple(nearest)]
    return CtDensity(np.asarray(values), image.kind, core)


def _normalised(points: NDArray[np.float64], dimensions: VertebraDimensions) -> NDArray[np.float64]:
    """Normalised place (n, 3) of points (n, 3) in a parametric body."""
    body = body_coordinates(points, dimensions)
    a, b, c = section_axes(np.clip(body.height, -1.0, 1.0), dimensions)
    xi, eta = points[:, 0] / a, (points[:, 1] - 0.5 * c) / b
    eta = np.where(eta > 0.0, eta / posterior_narrowing(xi, b, c), eta)
    return np.column_stack([xi, eta, body.height])


def _ct_places(points: NDArray[np.float64], volume: float, vertebra: VertebraGeometry) -> NDArray[np.float64]:
    """Normalised place (n, 3) of the cells (n, 3) of a body in the segment frame, each of the same volume, mm3."""
    local = vertebra.frame.to_local(points)
    low = _plane_height(local, vertebra, "inferior")
    high = _plane_height(local, vertebra, "superior")
    height = np.clip(2.0 * (local[:, 2] - low) / np.maximum(high - low, 1e-9) - 1.0, -1.0, 1.0)
    slab = np.clip(np.floor(0.5 * (height + 1.0) * _SLABS), 0, _SLABS - 1).astype(np.int64)
    area = volume * _SLABS / np.maximum(high - low, 1e-9)
    outlines = [fit_outline(local[slab == k, :2], area[slab == k]) for k in range(_SLABS)]
    where = np.clip(0.5 * (height + 1.0) * _SLABS - 0.5, 0.0, _SLABS - 1.0)
    lower = np.minimum(where.astype(np.int64), _SLABS - 2)
    part = where - lower
    xy = np.zeros((len(points), 2))
    for k, outline in enumerate(outlines):
        weight = np.where(lower == k, 1.0 - part, np.where(lower + 1 == k, part, 0.0))
        xy += weight[:, None] * _in_outline(local[:, :2], outline)
    return np.column_stack([xy, height])


def _plane_height(local: NDArray[np.float64], vertebra: VertebraGeometry, side: str) -> NDArray[np.float64]:
    """Height of a fitted endplate plane over points (n, 3) of the body frame, mm."""
    frame = vertebra.frame
    normal = frame.axes @ getattr(vertebra, f"{side}_normal")
    at = frame.to_local(getattr(vertebra, f"{side}_centroid"))
    return np.asarray(at[2] - ((local[:, :2] - at[:2]) @ normal[:2]) / normal[2])


def _in_outline(xy: NDArray[np.float64], outline: Outline) -> NDArray[np.float64]:
    """Place (n, 2) on the unit disc: the radius over the outline's, in the direction scaled by its half-axes."""
    across, along = (outline.radius(np.array([0.0, np.pi]) + turn)[0].mean() for turn in (0.0, 0.5 * np.pi))
    way = (xy - outline.center) / np.array([across, along])
    length = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-12)
    return np.asarray(way / length[:, None] * outline.normalised_radius(xy)[:, None])
