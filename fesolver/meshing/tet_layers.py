"""Shell, endplates and posterior elements in tetrahedra: the part of each cell within a depth of the body's surface."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.meshing.tet_fractions import Leaves, linear_cut, split_cells
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["body_fractions", "check_thickness"]

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]

_DEPTH = 2
"""Cells that may hold some of a layer are divided into 64."""
_CHUNK = 20_000
"""Cells divided at once: 35 places each."""


def check_thickness(**thickness_mm: float) -> None:
    """Refuse a thickness that is no layer's, in mm: 0 leaves the layer out, otherwise 0.05 to 3."""
    for name, value in thickness_mm.items():
        if not (np.isfinite(value) and (value == 0.0 or 0.05 <= value <= 3.0)):
            raise InputError(f"{name} = {value:g} mm is no layer's thickness", fix="give 0.05 to 3 mm, or 0 for none")


def body_fractions(
    corners: NDArray[np.float64],
    patches: Mapping[str, TriangleSurface],
    *,
    thickness_mm: Mapping[str, float],
    is_posterior: Inside | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Fractions of a vertebra's parts in its cells.

    Parameters
    ----------
    corners : (n_cells, 4, 3) ndarray
        Cells of one vertebra, mm.
    patches : mapping of str to TriangleSurface
        `superior_endplate`, `inferior_endplate` and `outer` (the side wall), in the cells' frame; one that is missing
        has no layer.
    thickness_mm : mapping of str to float
        True thickness below each patch, mm; 0 leaves the layer out.
    is_posterior : callable, optional
        Takes places (n, 3) and tells which belong to arch and processes.

    Returns
    -------
    dict of str to (n_cells,) ndarray
        `posterior`, `superior_endplate`, `inferior_endplate`, `cortical`, `trabecular`; they sum to 1.

    Raises
    ------
    InputError
        If a thickness is out of range.

    Notes
    -----
    A place belongs to a layer if it is closer to the layer's patch than the thickness. Cells are divided into 64 equal
    parts and the distances taken linear in each: exact under a flat patch. As in the other meshes, posterior elements
    have no layers, endplates come first (the superior one where both claim a place) and the cortex takes its part of
    what they leave.
    """
    check_thickness(**thickness_mm)
    layers = [
        (name, ClosestPoint(patches[name]), thickness_mm[name])
        for name in ("superior_endplate", "inferior_endplate", "outer")
        if thickness_mm.get(name, 0.0) > 0.0 and name in patches and len(patches[name].triangles)
    ]
    behind = _posterior(corners, is_posterior)
    n = len(corners)
    out = {name: np.zeros(n) for name in ("superior_endplate", "inferior_endplate", "cortical")}
    near = np.flatnonzero(_may_hold(corners, layers) & (behind < 1.0))
    for start in range(0, len(near), _CHUNK):
        ids = near[start : start + _CHUNK]
        leaves = split_cells(corners[ids], _DEPTH)
        is_body = np.ones(leaves.centers.shape[:2], dtype=np.bool_)
        if is_posterior is not None:
            mixed = behind[ids] > 0.0
            is_body[mixed] = ~is_posterior(leaves.centers[mixed].reshape(-1, 3)).reshape(is_body[mixed].shape)
        for name, fraction in _layer_fractions(leaves, layers, is_body).items():
            out["cortical" if name == "outer" else name][ids] = fraction
    trabecular = 1.0 - behind - np.sum(list(out.values()), axis=0)
    return {"posterior": behind, **out, "trabecular": np.maximum(trabecular, 0.0)}


def _layer_fractions(
    leaves: Leaves, layers: list[tuple[str, ClosestPoint, float]], is_body: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Fraction of every layer in divided cells, one after the other in the order given."""
    taken, reached = np.full(leaves.places.shape[:2], np.inf), np.zeros(is_body.shape)
    out = {}
    for name, closest, thickness in layers:
        depth = closest(leaves.places.reshape(-1, 3)).distances.reshape(taken.shape) - thickness
        taken = np.minimum(taken, depth)
        # The least of linear functions lies below none of them: a union never loses what it held before.
        union = np.maximum(linear_cut(taken[:, leaves.corners]), reached)
        out[name] = ((union - reached) * is_body).mean(axis=1)
        reached = union
    return out


def _may_hold(corners: NDArray[np.float64], layers: list[tuple[str, ClosestPoint, float]]) -> NDArray[np.bool_]:
    """Cells that a layer may reach: a corner within its thickness and a fifth of the cell's edge."""
    edge = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    points, back = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    out = np.zeros(len(corners), dtype=np.bool_)
    for _, closest, thickness in layers:
        nearest = closest(points).distances[back].reshape(-1, 4).min(axis=1)
        out |= nearest < thickness + 0.2 * edge
    return out


def _posterior(corners: NDArray[np.float64], is_posterior: Inside | None) -> NDArray[np.float64]:
    """Fraction of posterior elements: by the cell's corners and middle, by its parts' middles where these disagree."""
    if is_posterior is None:
        return np.zeros(len(corners))
    # Corners stand on the surface: drawn in a little they are inside for certain.
    middle = corners.mean(axis=1, keepdims=True)
    probes = np.concatenate([middle + 0.98 * (corners - middle), middle], axis=1)
    found = is_posterior(probes.reshape(-1, 3)).reshape(-1, 5).sum(axis=1)
    fraction: NDArray[np.float64] = (found == 5).astype(np.float64)
    mixed = np.flatnonzero((found > 0) & (found < 5))
    if len(mixed):
        centers = split_cells(corners[mixed], _DEPTH).centers
        fraction[mixed] = is_posterior(centers.reshape(-1, 3)).reshape(len(mixed), -1).mean(axis=1)
    return fraction
