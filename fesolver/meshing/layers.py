"""Cortical shell and bony endplates: layers thinner than a cell, by the part of each cell they fill."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.meshing.surfaces import FACE_STEPS, BodyFaces

__all__ = ["layer_fractions"]


def layer_fractions(
    faces: BodyFaces,
    is_body: NDArray[np.bool_],
    spacing: NDArray[np.float64],
    *,
    cortical_thickness_mm: float,
    endplate_thickness_mm: float,
) -> dict[str, NDArray[np.float64]]:
    """Volume fraction of each layer in the cells of a body.

    Parameters
    ----------
    faces : BodyFaces
        The body's outside.
    is_body : (nx, ny, nz) ndarray of bool
        Cells of the body.
    spacing : (3,) ndarray
        Cell edges, mm.
    cortical_thickness_mm, endplate_thickness_mm : float
        True thickness across the surface, mm; 0 leaves the layer out.

    Returns
    -------
    dict of str to (nx, ny, nz) ndarray
        `superior_endplate`, `inferior_endplate`, `cortical`; the rest of each cell is trabecular.

    Raises
    ------
    InputError
        If a thickness is negative or not finite.

    Notes
    -----
    Under a face whose surface normal n is steepest along its own lattice axis, a layer of thickness t reaches
    t / |n_axis| along that axis, and layer k of cells of edge h below it holds

        f_k = clip((t / |n_axis| - k h) / h, 0, 1).

    For a surface along the lattice this is clip((t - k h) / h, 0, 1); with the factor a wall at 45 degrees does not
    lose 29 % of its shell, whatever its stairs. n is the
    normal of `BodyFaces`. Faces that are not along the steepest
    axis are risers of the same stairs and add nothing. Endplates come first, cortex takes its part of what is left; the
    roots of posterior elements carry no cortex, whether these are meshed or not: the bone goes on there.
    """
    for name, t in (
        ("cortical_thickness_mm", cortical_thickness_mm),
        ("endplate_thickness_mm", endplate_thickness_mm),
    ):
        if not (np.isfinite(t) and t >= 0):
            raise InputError(f"{name} must be 0 or positive, not {t}")
    axis = faces.direction // 2
    steepness = np.abs(faces.normals)
    along = np.take_along_axis(steepness, axis[:, None], axis=1)[:, 0]
    is_tread = along >= steepness.max(axis=1) - 1e-9
    layers: dict[str, NDArray[np.float64]] = {}
    for number, (name, thickness) in enumerate(
        (
            ("superior_endplate", endplate_thickness_mm),
            ("inferior_endplate", endplate_thickness_mm),
            ("cortical", cortical_thickness_mm),
        )
    ):
        fraction = np.zeros(is_body.shape)
        chosen = (faces.kind == number) & is_tread & ~faces.is_to_posterior
        cells, inward = faces.cells[chosen], -FACE_STEPS[faces.direction[chosen]]
        h = spacing[axis[chosen]]
        reach = thickness / along[chosen]
        k = 0
        while len(cells):
            filled = np.clip((reach - k * h) / h, 0.0, 1.0)
            np.maximum.at(fraction, tuple(cells.T), filled)
            k += 1
            cells = cells + inward
            # A body ends before the grid does (its margin is empty): a clipped index is never a body's.
            deeper = (reach > k * h) & is_body[tuple(np.clip(cells, 0, np.array(is_body.shape) - 1).T)]
            cells, inward, h, reach = cells[deeper], inward[deeper], h[deeper], reach[deeper]
        layers[name] = fraction
    plates = layers["superior_endplate"] + layers["inferior_endplate"]
    over = np.maximum(plates, 1.0)
    layers["superior_endplate"] /= over
    layers["inferior_endplate"] /= over
    layers["cortical"] *= 1.0 - np.minimum(plates, 1.0)
    return layers
