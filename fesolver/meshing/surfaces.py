"""Outer faces of voxel bodies, told apart into endplates and the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.imaging.endplates import ENDPLATE_TURN_DEG
from fesolver.imaging.volume import SegmentImage
from fesolver.meshing.spine_mesh import Surface

__all__ = ["FACE_CORNERS", "FACE_STEPS", "BodyFaces", "body_faces", "surface_of"]

FACE_STEPS = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]])
"""Step to the neighbour across each of a cell's six faces."""

FACE_CORNERS = np.array(
    [
        [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
        [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]],
        [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
        [[0, 1, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0]],
        [[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]],
        [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
    ]
)
"""Corners of each face as steps on the lattice, counter-clockwise seen from outside."""

KINDS = ("superior_endplate", "inferior_endplate", "outer")
_MIN_COSINE_TREAD, _MIN_COSINE_RISER = 0.5, 0.85
_MIN_COSINE = float(np.cos(np.deg2rad(ENDPLATE_TURN_DEG)))
_ZONE_BELOW_MM = 6.0
_ZONE_ABOVE_MM = 5.0
_SMOOTHING_MM = 1.5


@dataclass(frozen=True)
class BodyFaces:
    """The outside of one body, face by face.

    Parameters
    ----------
    cells : (m, 3) ndarray of int64
        Grid position of the cell behind each face.
    direction : (m,) ndarray of int64
        Row of `FACE_STEPS`.
    kind : (m,) ndarray of int64
        Position in (`superior_endplate`, `inferior_endplate`, `outer`).
    normals : (m, 3) ndarray
        Outward normals of the true surface, not of the voxel faces: the fitted plane's on endplates, the smoothed
        body's elsewhere.
    is_to_posterior : (m,) ndarray of bool
        Faces shared with the level's own posterior elements.
    """

    cells: NDArray[np.int64]
    direction: NDArray[np.int64]
    kind: NDArray[np.int64]
    normals: NDArray[np.float64]
    is_to_posterior: NDArray[np.bool_]


def _smooth_normals(
    mask: NDArray[np.bool_], cells: NDArray[np.int64], step: NDArray[np.int64], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Outward normals of the smoothed mask, halfway between each cell and its neighbour."""
    low = np.maximum(cells.min(axis=0) - 6, 0)
    high = np.minimum(cells.max(axis=0) + 7, mask.shape)
    window = mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float64)
    window = np.pad(window, 2)
    sigma = np.maximum(_SMOOTHING_MM / spacing, 1.0)
    smooth = ndimage.gaussian_filter(window, sigma, mode="constant")
    here = tuple((cells - low + 2).T)
    there = tuple((cells - low + 2 + step).T)
    slopes: list[NDArray[np.float64]] = list(np.gradient(smooth, *spacing))
    normals = -np.stack([slope[here] + slope[there] for slope in slopes], axis=-1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    # Inside a slit both sides cancel: there the voxel face's own normal stands.
    return np.asarray(np.where(length > 1e-6, normals / np.maximum(length, 1e-6), step.astype(np.float64)))


def body_faces(
    image: SegmentImage,
    level: str,
    body: NDArray[np.int8],
    posterior: NDArray[np.int8],
    disc: NDArray[np.int8],
) -> BodyFaces:
    """Faces of a body to anything but itself, with their kind.

    Parameters
    ----------
    image : SegmentImage
        For the fitted endplates.
    level : str
        Which body.
    body, posterior : (nx, ny, nz) int8 ndarray
        0 or 1 + position of the level, as in the image, after cleaning; posterior elements meshed or not.
    disc : (nx, ny, nz) int8 ndarray
        0 or 1 + position of the disc's upper level.

    Notes
    -----
    A face to a disc is endplate, always. Any other is endplate where it lies within 60 degrees of the fitted plane's
    normal, the smoothed body's normal there within `ENDPLATE_TURN_DEG`, and the face within 6 mm below to 5 mm above
    that plane; a riser of a tilted endplate's stairs is endplate too, if the smoothed body's normal there lies within
    32 degrees. Project areas on the plane's normal to compare them with the footprint. Faces to the level's own
    posterior elements are `outer`: the surface is the body's, whether these are kept or not.
    """
    position = image.levels.index(level)
    mask = body == position + 1
    at = np.argwhere(mask)
    padded = np.pad(mask, 1)
    cells_list, direction_list = [], []
    for d, step in enumerate(FACE_STEPS):
        is_outer = ~padded[tuple((at + 1 + step).T)]
        cells_list.append(at[is_outer])
        direction_list.append(np.full(int(is_outer.sum()), d))
    cells, direction = np.concatenate(cells_list), np.concatenate(direction_list)
    step = FACE_STEPS[direction]
    normals = _smooth_normals(mask, cells, step, image.spacing)
    beyond = tuple((cells + 1 + step).T)
    disc_there = np.pad(disc, 1)[beyond]
    geometry = image.vertebrae[level]
    centers = image.origin + (cells + 0.5 + 0.5 * step) * image.spacing
    kind = np.full(len(cells), 2)
    walls = normals.copy()
    for number, normal, centroid, facing in (
        (0, geometry.superior_normal, geometry.superior_centroid, position),
        (1, geometry.inferior_normal, geometry.inferior_centroid, position + 1),
    ):
        height = (centers - centroid) @ normal
        is_tread = step @ normal > _MIN_COSINE_TREAD
        least = np.where(is_tread, _MIN_COSINE, _MIN_COSINE_RISER)
        in_zone = (height > -_ZONE_BELOW_MM) & (height < _ZONE_ABOVE_MM) & (normals @ normal > least)
        # Disc number p joins levels p - 1 and p, counted from 0.
        faces_disc = (disc_there == facing) & (disc_there > 0)
        kind[(in_zone & (disc_there == 0)) | faces_disc] = number
        # Smoothing rounds the rim over: a wall's normal there is the wall's without the plate's part.
        at_rim = np.abs(height) < 2.0 * max(_SMOOTHING_MM, float(image.spacing.max()))
        part = normals @ normal
        wall = at_rim & (np.abs(step @ normal) < _MIN_COSINE_TREAD) & (np.abs(part) < 0.99)
        flat = normals[wall] - part[wall, None] * normal
        walls[wall] = flat / np.sqrt((flat**2).sum(axis=1))[:, None]
    own_posterior = np.pad(posterior, 1)[beyond] == position + 1
    kind[own_posterior] = 2
    plates = np.array([geometry.superior_normal, geometry.inferior_normal])
    surface_normals = np.where((kind < 2)[:, None], plates[np.minimum(kind, 1)], walls)
    return BodyFaces(cells, direction, kind, surface_normals, own_posterior)


def surface_of(
    faces: BodyFaces,
    kind: int,
    spacing: NDArray[np.float64],
    cell_ids: NDArray[np.int64],
    point_ids: NDArray[np.int64],
) -> Surface:
    """Surface of one kind of face.

    Parameters
    ----------
    faces : BodyFaces
        The body's outside.
    kind : int
        0 superior endplate, 1 inferior endplate, 2 the rest.
    spacing : (3,) ndarray
        Cell edges, mm.
    cell_ids, point_ids : ndarray of int64
        Mesh ids on the grid of cells and of points.
    """
    chosen = faces.kind == kind
    cells, direction = faces.cells[chosen], faces.direction[chosen]
    corners = cells[:, None, :] + FACE_CORNERS[direction]
    area = np.prod(spacing) / spacing[direction // 2]
    return Surface(
        facets=point_ids[tuple(np.moveaxis(corners, -1, 0))],
        cells=cell_ids[tuple(cells.T)],
        normals=FACE_STEPS[direction].astype(np.float64),
        areas=area.astype(np.float64),
    )
