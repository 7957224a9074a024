"""Means of a CT over the cells of any mesh, from the voxels' overlap with each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import ElementName
from fesolver.imaging.cell_averages_kernels import all_cell_integrals
from fesolver.imaging.volume import Volume

__all__ = ["CellAverages", "cell_averages"]


@dataclass(frozen=True)
class CellAverages:
    """Means over cells.

    Parameters
    ----------
    mean : (n_cells,) ndarray
        Mean of the voxel-wise constant field over the part of the cell inside the volume, in the field's unit.
    covered : (n_cells,) ndarray
        Fraction of the cell inside the volume, 0 to 1.
    volume : (n_cells,) ndarray
        mm3, with straight edges; the field's integral is the sum of mean times volume.
    """

    mean: NDArray[np.float64]
    covered: NDArray[np.float64]
    volume: NDArray[np.float64]


def cell_averages(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    element: ElementName,
    volume: Volume,
    *,
    outside: Literal["error", "nearest", "covered"] = "error",
    least_covered: float = 0.99,
) -> CellAverages:
    """Exact mean of a voxel-wise constant field over every cell.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm, in the frame of the volume's affine (LPS+).
    cells : (n_cells, k) ndarray of int64
        Cells of one kind, VTK order.
    element : ElementName
        What they are. Cells of order 2 are taken with straight edges, through their corners.
    volume : Volume
        The field; any orientation, flip and anisotropic spacing.
    outside : {"error", "nearest", "covered"}
        What becomes of a cell covered less than `least_covered`: refused, given the value of the voxel nearest to its
        centroid, or the mean over whatever of it is covered (0 where nothing is).
    least_covered : float
        In (0, 1]. A cell covered at least so far has the mean over its covered part.

    Returns
    -------
    CellAverages

    Raises
    ------
    InputError
        If cells do not fit the element, are inverted or flat, reach outside the volume, or meet voxels that are not
        finite; the message has the place in mm.

    Notes
    -----
    The field is constant in each voxel, the box of one voxel step around the voxel's centre. With F its integral along
    the last voxel axis, the integral over a cell is, by the divergence theorem, that of F times the outward area across
    that axis over the cell's faces. A face is cut along the voxels' planes [1]_; on each piece F is linear and its
    integral exact. Faces of four corners are four triangles around the mean of the corners, which gives the
    hexahedron the volume of its trilinear map [2]_. Two cells that share a face share these triangles: no part of the
    field is lost or counted twice, and the integral over a mesh is that over the body it fills.

    References
    ----------
    .. [1] I. E. Sutherland, G. W. Hodgman, "Reentrant polygon clipping", *Comm. ACM* 17, 1974, 32-42.
    .. [2] J. Grandy, "Efficient computation of volume of hexahedral cells", Lawrence Livermore National Laboratory,
       UCRL-ID-128886, 1997.

    Examples
    --------
    A unit tetrahedron with its corner at the middle of a voxel of 1, between voxels of 0:

    >>> values = np.zeros((3, 3, 3))
    >>> values[1, 1, 1] = 1.0
    >>> corners = np.array([[1.0, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2]])
    >>> found = cell_averages(corners, np.arange(4)[None], "tet4", Volume(values, np.eye(4)))
    >>> found.mean.round(12), found.covered.round(12)  # all but three corners of (1 / 2)^3 of the volume
    (array([0.625]), array([1.]))
    """
    _check(points, cells, element, least_covered)
    solid = ELEMENTS[element]
    # Voxel i from i to i + 1.
    index = volume.to_index(points) + 0.5
    used = index[cells[:, : solid.n_corners]]
    crop, low = _crop(volume, used)
    corners = np.ascontiguousarray(used - low)
    below = np.zeros((*crop.shape[:2], crop.shape[2] + 1))
    np.cumsum(crop, axis=2, out=below[:, :, 1:])
    n_face = np.array([len(face) // solid.order for face in solid.faces])
    faces = np.array([[*face[:n], *[0] * (4 - n)] for face, n in zip(solid.faces, n_face, strict=True)])
    sums = np.zeros((len(cells), 3))
    all_cell_integrals(corners, faces, n_face, crop, below, sums)

    scale = float(np.linalg.det(volume.affine[:3, :3]))
    size = sums[:, 2] * scale
    _refuse_inverted(points, cells, corners, size / abs(scale))
    covered = np.clip(sums[:, 1] / sums[:, 2], 0.0, 1.0)
    mean = np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(cells)), where=covered > 1e-12)
    short = np.flatnonzero(covered < least_covered)
    if len(short) and outside == "error":
        _refuse_outside(points, cells, covered, short, least_covered)
    if len(short) and outside == "nearest":
        mean[short] = _nearest(volume, points[cells[short, : solid.n_corners]].mean(axis=1))
    return CellAverages(mean, covered, size)


def _check(points: NDArray[np.float64], cells: NDArray[np.int64], element: ElementName, least_covered: float) -> None:
    """Refuse arrays that are no mesh of the element."""
    if element not in ELEMENTS:
        raise InputError(f"unknown element {element!r}", fix=f"use one of {list(ELEMENTS)}")
    if cells.ndim != 2 or cells.shape[1] != ELEMENTS[element].n_nodes:
        raise InputError(
            f"cells of {element} must have shape (n_cells, {ELEMENTS[element].n_nodes}), got {cells.shape}"
        )
    if points.ndim != 2 or points.shape[1] != 3 or not np.all(np.isfinite(points)):
        raise InputError(f"points must be finite and of shape (n_points, 3), got {points.shape}")
    if cells.size and not 0 <= cells.min() <= cells.max() < len(points):
        raise InputError(f"cells name points {cells.min()} to {cells.max()}, there are {len(points)}")
    if not 0.0 < least_covered <= 1.0:
        raise InputError(f"least_covered must lie in (0, 1], got {least_covered:g}")


def _crop(volume: Volume, used: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The voxels that cells with corners `used` (n_cells, k, 3) can reach, and the first one's index (3,)."""
    shape = np.array(volume.values.shape)
    if used.size == 0 or volume.values.size == 0:
        return np.zeros((0, 0, 0)), np.zeros(3)
    first = np.clip(np.floor(used.min(axis=(0, 1))).astype(np.int64) - 1, 0, shape)
    last = np.clip(np.ceil(used.max(axis=(0, 1))).astype(np.int64) + 1, first, shape)
    window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    values = np.ascontiguousarray(volume.values[window], dtype=np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        x, y, z = volume.to_mm(np.argwhere(bad)[0] + first)
        raise InputError(
            f"{int(bad.sum())} voxels under the mesh are not finite",
            where=f"the first at ({x:.1f}, {y:.1f}, {z:.1f}) mm",
        )
    return values, first.astype(np.float64)


def _refuse_inverted(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    corners: NDArray[np.float64],
    size: NDArray[np.float64],
) -> None:
    """Refuse cells without a volume (in voxels) above the round-off of their extent."""
    extent = np.prod(np.ptp(corners, axis=1), axis=1) if len(cells) else np.zeros(0)
    bad = ~(size > 1e-12 * extent)
    if bad.any():
        first = int(np.argmax(bad))
        x, y, z = points[cells[first]].mean(axis=0)
        raise InputError(
            f"a cell is inverted or flat ({int(bad.sum())} in all)",
            where=f"cell {first} at ({x:.1f}, {y:.1f}, {z:.1f}) mm",
            fix="move its points, or give them in VTK order",
        )


def _refuse_outside(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    covered: NDArray[np.float64],
    short: NDArray[np.int64],
    least: float,
) -> None:
    """Refuse cells that reach outside the volume, and name the one that does so most."""
    worst = int(short[np.argmin(covered[short])])
    x, y, z = points[cells[worst]].mean(axis=0)
    raise InputError(
        f"{len(short)} of {len(cells)} cells reach outside the volume; the worst has {covered[worst]:.0%} inside, "
        f"{least:.0%} is needed",
        where=f"cell {worst} at ({x:.1f}, {y:.1f}, {z:.1f}) mm",
        fix="check that mesh and volume are in one frame and in mm, or take a volume that holds the whole mesh",
    )


def _nearest(volume: Volume, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Value (n,) of the voxel nearest to each place (n, 3), mm."""
    index = np.clip(np.rint(volume.to_index(at)).astype(np.int64), 0, np.array(volume.values.shape) - 1)
    return np.asarray(volume.values[tuple(index.T)], dtype=np.float64)
