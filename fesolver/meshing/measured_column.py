"""The column that a mesh looks like: sizes and places of bodies measured on it, for what has only published shapes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import Column, PlacedVertebra
from fesolver.anatomy.dimensions import VertebraDimensions, disc_dimensions, vertebra_dimensions
from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["measured_column"]

_EDGE = 0.15
"""Part of the depth at its front and back over which heights are taken."""

_POSTERIOR = (
    *("canal_width_mm", "canal_depth_mm", "pedicle_width_mm", "pedicle_height_mm", "lamina_thickness_mm"),
    *("spinous_process_mm", "transverse_span_mm"),
)
"""Sizes behind the body: the published ones, in proportion to its width."""


def measured_column(mesh: SpineMesh) -> Column:
    """Vertebrae of the size and in the place of a mesh's bodies.

    Parameters
    ----------
    mesh : SpineMesh
        Of any kind, with both endplates of every level.

    Returns
    -------
    Column
        Placed in the mesh's frame. Widths, depths and heights of the bodies and heights of the discs are the mesh's;
        sizes behind the bodies are published ones in proportion to the mean width, all else is published.

    Raises
    ------
    InputError
        If a body has no endplates, or none of a plausible size.

    Notes
    -----
    Widths and depths are extents of the endplates along the body's axes. Heights are between the two endplates' mean
    heights over the front and the back 15 % of the depth.
    """
    placed = tuple(_placed(mesh, level) for level in mesh.levels)
    discs = []
    for upper, lower in pairwise(mesh.levels):
        top, bottom = _facets(mesh, upper, "inferior_endplate"), _facets(mesh, lower, "superior_endplate")
        axis = mesh.frames[lower].axes[2]
        gap = float(
            (np.average(top[0], axis=0, weights=top[1]) - np.average(bottom[0], axis=0, weights=bottom[1])) @ axis
        )
        discs.append(disc_dimensions(upper, lower, height_mm=gap))
    return Column(placed, tuple(discs))


def _placed(mesh: SpineMesh, level: str) -> PlacedVertebra:
    """One vertebra."""
    axes = mesh.frames[level].axes
    plates = {side: _facets(mesh, level, f"{side}_endplate") for side in ("superior", "inferior")}
    middle = 0.5 * sum(np.average(at, axis=0, weights=area) for at, area in plates.values())
    frame = Frame(np.asarray(middle), axes)
    sizes: dict[str, float] = {}
    heights: dict[str, tuple[float, float]] = {}
    for side, (at, area) in plates.items():
        rim = frame.to_local(mesh.points[np.unique(mesh.surfaces[f"{level}/{side}_endplate"].facets)])
        sizes[f"{side}_width_mm"], sizes[f"{side}_depth_mm"] = np.ptp(rim[:, :2], axis=0).tolist()
        heights[side] = _front_and_back(frame.to_local(at), area)
    sizes["anterior_height_mm"] = heights["superior"][0] - heights["inferior"][0]
    sizes["posterior_height_mm"] = heights["superior"][1] - heights["inferior"][1]
    published = vertebra_dimensions(level)
    ratio = (sizes["superior_width_mm"] + sizes["inferior_width_mm"]) / (
        published.superior_width_mm + published.inferior_width_mm
    )
    sizes |= {name: ratio * getattr(published, name) for name in _POSTERIOR}
    try:
        dimensions: VertebraDimensions = vertebra_dimensions(level, **sizes)
    except InputError as error:
        raise InputError(
            f"the body of the mesh is no vertebra of a plausible size: {error.what}", where=level,
            fix="check the mesh's unit, axes and endplates",
        ) from error  # fmt: skip
    return PlacedVertebra(dimensions, frame)


def _facets(mesh: SpineMesh, level: str, side: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centres (m, 3) of the facets of an endplate, and their areas seen along the body's axis (m,)."""
    surface = mesh.surfaces.get(f"{level}/{side}")
    if surface is None or not len(surface.facets):
        raise InputError(f"the mesh has no surface {level}/{side}", fix="check the labels or regions of that level")
    corners = surface.facets[:, : 3 if surface.facets.shape[1] in (3, 6) else 4]
    seen = surface.areas * np.abs(surface.normals @ mesh.frames[level].axes[2])
    return mesh.points[corners].mean(axis=1), seen


def _front_and_back(local: NDArray[np.float64], area: NDArray[np.float64]) -> tuple[float, float]:
    """Mean height over the front (low y) and the back of an endplate, mm."""
    y = local[:, 1]
    reach = _EDGE * (y.max() - y.min())
    found = []
    for is_there in (y <= y.min() + reach, y >= y.max() - reach):
        found.append(float(np.average(local[is_there, 2], weights=np.maximum(area[is_there], 1e-12))))
    return found[0], found[1]
