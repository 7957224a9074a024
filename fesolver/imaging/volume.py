"""Images and label images on an oblique grid, in LPS+ millimetres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.frames import Frame
from fesolver.bone.density import DensityKind

__all__ = ["LabelVolume", "SegmentImage", "VertebraGeometry", "Volume"]


@dataclass(frozen=True)
class Volume:
    """Voxel values and where they are.

    Parameters
    ----------
    values : (ni, nj, nk) ndarray
        One value per voxel (HU, g/cm3, label, ...).
    affine : (4, 4) ndarray
        Voxel index (of the voxel's centre) to LPS+ mm. Any rotation, flip or anisotropic spacing.
    """

    values: NDArray[Any]
    affine: NDArray[np.float64]

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel edge lengths along the index axes, mm, (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    def to_mm(self, index: ArrayLike) -> NDArray[np.float64]:
        """Voxel indices (..., 3) to LPS+ mm."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, points: ArrayLike) -> NDArray[np.float64]:
        """LPS+ mm (..., 3) to fractional voxel indices."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return (np.asarray(points, dtype=np.float64) - self.affine[:3, 3]) @ inverse.T


@dataclass(frozen=True)
class LabelVolume(Volume):
    """A label image and what its numbers mean.

    Parameters
    ----------
    values, affine
        As in `Volume`; integer values.
    names : mapping of int to str
        Label value to vertebral level (`L1`) for vertebra labels, or to a part name (`body`, `arch`, ...) for
        subregion labels. Values without a name are background.
    """

    names: Mapping[int, str]

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Voxels of one level or part, (ni, nj, nk)."""
        return np.isin(self.values, [value for value, label in self.names.items() if label == name])


@dataclass(frozen=True)
class VertebraGeometry:
    """Where one vertebral body is and how it stands; all vectors in the frame stated by the owner.

    Parameters
    ----------
    level : str
        Vertebral level.
    frame : Frame
        Body frame: origin at the body's centroid; z along the line of endplate centroids, x to the patient's left.
    superior_centroid, superior_normal : (3,) ndarray
        Plane fitted to the superior endplate: centroid in mm and unit normal pointing out of the body (cranially).
    inferior_centroid, inferior_normal : (3,) ndarray
        The same for the inferior endplate, normal pointing out of the body (caudally).
    superior_area_mm2, inferior_area_mm2 : float
        Area of each endplate's footprint in its plane.
    canal_area_mm2 : float
        Largest see-through hole of the whole vertebra, 0 where subregion labels were used instead.
    """

    level: str
    frame: Frame
    superior_centroid: NDArray[np.float64]
    superior_normal: NDArray[np.float64]
    inferior_centroid: NDArray[np.float64]
    inferior_normal: NDArray[np.float64]
    superior_area_mm2: float
    inferior_area_mm2: float
    canal_area_mm2: float


@dataclass(frozen=True)
class SegmentImage:
    """One spine segment resampled once, onto the cells of a grid in the segment's own frame.

    Cell (i, j, k) spans `origin + (i, j, k) * spacing` to `origin + (i + 1, j + 1, k + 1) * spacing` in `frame`.

    Parameters
    ----------
    spacing : (3,) ndarray
        Cell edges, mm.
    origin : (3,) ndarray
        Lower corner of cell (0, 0, 0) in the segment frame, mm.
    frame : Frame
        The segment frame in scanner space (LPS+ mm): z from the centroid of the lowest inferior to that of the highest
        superior endplate, x the patient's left made orthogonal.
    levels : tuple of str
        Levels of the segment, cranial first.
    body : (nx, ny, nz) int8 ndarray
        0, or 1 + the position in `levels` of the vertebral body that holds the cell.
    posterior : (nx, ny, nz) int8 ndarray
        The same for posterior elements; all 0 when they are left out.
    density : (nx, ny, nz) ndarray
        Cell mean of the calibrated CT, g/cm3, not floored; 0 outside bone.
    kind : DensityKind
        What the density is equivalent to.
    vertebrae : mapping of str to VertebraGeometry
        Per level, in the segment frame.
    source_spacing_mm : float
        Largest voxel edge of the CT the segment came from (the synthetic phantom states its own).
    volume_change : mapping of str to float
        Per level: volume on this grid over volume of the label voxels, minus 1.
    extra : mapping of str to (nx, ny, nz) ndarray
        Volume fractions of further labels, e.g. `cement`, `implant`; 0 outside bone.
    left_out : (nx, ny, nz) int8 ndarray, optional
        Where posterior elements that are no part of the image lie beside its bodies, numbered as `posterior`.
    """

    spacing: NDArray[np.float64]
    origin: NDArray[np.float64]
    frame: Frame
    levels: tuple[str, ...]
    body: NDArray[np.int8]
    posterior: NDArray[np.int8]
    density: NDArray[np.float64]
    kind: DensityKind
    vertebrae: Mapping[str, VertebraGeometry]
    source_spacing_mm: float
    volume_change: Mapping[str, float]
    extra: Mapping[str, NDArray[np.float64]]
    left_out: NDArray[np.int8] | None = None
