"""The density of a CT on the cells of a segment image, and the fractions of further labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.density import DENSITY_KINDS, DensityKind
from fesolver.errors import InputError
from fesolver.imaging.cell_averages import CellAverages
from fesolver.imaging.grid_averages import mean_over_cells
from fesolver.imaging.volume import SegmentImage, Volume

__all__ = ["check_density", "label_fractions", "with_density"]


def with_density(image: SegmentImage, density: Volume, kind: DensityKind) -> SegmentImage:
    """The same segment with the density of another volume in its bone.

    Parameters
    ----------
    image : SegmentImage
    density : Volume
        Calibrated CT, g/cm3, in any orientation; not floored.
    kind : DensityKind
        What the density is equivalent to.

    Returns
    -------
    SegmentImage
        Density is the exact mean of the volume's voxels over each cell of bone, 0 elsewhere.

    Raises
    ------
    InputError
        If the kind is unknown, the volume is a single slice, or bone lies outside it or over voxels that are not
        finite.
    """
    check_density(density, kind)
    bone = _bone(image)
    _refuse_outside(image, density, np.argwhere(image.body > 0))
    is_finite = np.isfinite(density.values)
    if not is_finite.all():
        unknown = _averages(image, replace(density, values=1.0 - is_finite), bone).mean
        _refuse_unknown(image, bone[unknown > 0.0])
        density = replace(density, values=np.where(is_finite, density.values, 0.0))
    values = _on_grid(image, bone, _averages(image, density, bone).mean)
    return replace(image, density=values, kind=kind, source_spacing_mm=float(density.spacing.max()))


def label_fractions(image: SegmentImage, labels: Mapping[str, Volume]) -> dict[str, NDArray[np.float64]]:
    """Volume fraction (nx, ny, nz) of 0/1 volumes in the cells of bone, by name; 0 elsewhere."""
    bone, out = _bone(image), {}
    for name, volume in labels.items():
        found = _averages(image, volume, bone)
        out[name] = _on_grid(image, bone, np.clip(found.mean * found.covered, 0.0, 1.0))
    return out


def check_density(density: Volume, kind: str) -> None:
    """Refuse a volume that cannot hold a density, or a kind that is unknown."""
    if kind not in DENSITY_KINDS:
        raise InputError(f"density kind {kind!r} is unknown", fix=f"use one of {', '.join(DENSITY_KINDS)}")
    if density.values.ndim != 3 or min(density.values.shape) < 2:
        raise InputError(f"CT {density.values.shape} must be a volume of two voxels or more per axis")


def _bone(image: SegmentImage) -> NDArray[np.int64]:
    """Cells of bone, (n, 3)."""
    return np.argwhere((image.body > 0) | (image.posterior > 0))


def _averages(image: SegmentImage, volume: Volume, cells: NDArray[np.int64]) -> CellAverages:
    """Means of a volume over cells (n, 3) of the image."""
    return mean_over_cells(volume, frame=image.frame, origin=image.origin, spacing=float(image.spacing[0]), cells=cells)


def _on_grid(image: SegmentImage, cells: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of some cells on the whole grid, 0 in the others."""
    out = np.zeros(image.body.shape)
    out[tuple(cells.T)] = values
    return out


def _refuse_outside(image: SegmentImage, density: Volume, cells: NDArray[np.int64]) -> None:
    """Raise where cells of bodies (n, 3) lie outside the CT."""
    points = image.frame.to_parent(image.origin + (cells + 0.5) * image.spacing)
    index = density.to_index(points)
    outside = ((index < -0.5) | (index > np.array(density.values.shape) - 0.5)).any(axis=1)
    if outside.any():
        raise InputError(
            f"{int(outside.sum())} of {len(cells)} bone cells lie outside the CT",
            where=f"near {np.round(points[outside].mean(axis=0), 1).tolist()} mm (LPS)",
            fix="the CT and its labels are not in the same space, or the CT is cropped",
        )


def _refuse_unknown(image: SegmentImage, cells: NDArray[np.int64]) -> None:
    """Raise where bone cells (n, 3) meet voxels that are not finite."""
    if len(cells):
        place = image.frame.to_parent(image.origin + (cells.mean(axis=0) + 0.5) * image.spacing)
        raise InputError(
            f"the CT has no finite value in {len(cells)} bone cells",
            where=f"near {np.round(place, 1).tolist()} mm (LPS)",
            fix="repair the CT: NaN and infinite voxels are not filled in",
        )
