"""Names of a tetrahedral mesh: surfaces of the bodies, and frames of levels and discs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import disc_name, sort_levels
from fesolver.bone.tissue import Region
from fesolver.fem.elements import ELEMENTS
from fesolver.imaging.frames import oriented_frame
from fesolver.meshing.regions import cell_moments, facet_surface
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.meshing.tet_volume import boundary_facets
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, SUPERIOR_ENDPLATE

__all__ = ["SURFACE_NAMES", "NamedParts", "joined_cells", "name_mesh"]

SURFACE_NAMES: Mapping[str, int] = {
    "superior_endplate": SUPERIOR_ENDPLATE,
    "inferior_endplate": INFERIOR_ENDPLATE,
    "outer": OUTER,
}
"""Surface of a body -> kind of the triangles on it."""

_LEAST_FRACTION = 1e-12


@dataclass(frozen=True)
class NamedParts:
    """Cells part by part, and what is known of them; everything in the segment frame.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm; points that no cell uses are left out of the mesh.
    cells : mapping of str to (k, 4) ndarray of int64
        Per level or disc.
    fractions : mapping of str to mapping of str to (k,) ndarray
        Per level or disc: region (`trabecular`, ...) -> fraction of its cells; they sum to 1.
    triangles : mapping of str to (m, 3) ndarray of int64
        The outside of every vertebra.
    kinds : mapping of str to (m,) ndarray of int8
        As `VertebraSurface.kind`.
    left : mapping of str to (3,) ndarray
        The patient's left at every level.
    frame : Frame
        The segment frame in its parent.
    """

    points: NDArray[np.float64]
    cells: Mapping[str, NDArray[np.int64]]
    fractions: Mapping[str, Mapping[str, NDArray[np.float64]]]
    triangles: Mapping[str, NDArray[np.int64]]
    kinds: Mapping[str, NDArray[np.int8]]
    left: Mapping[str, NDArray[np.float64]]
    frame: Frame


def name_mesh(parts: NamedParts, *, keep_posterior: bool = True) -> SpineMesh:
    """One mesh of linear tetrahedra with regions, surfaces and frames.

    Parameters
    ----------
    parts : NamedParts
        Levels and discs.
    keep_posterior : bool
        Otherwise cells that posterior elements fill by half or more are left out, and what they fill of others counts
        as trabecular bone.

    Returns
    -------
    SpineMesh
    """
    levels = sort_levels(parts.triangles)
    cells, fractions = dict(parts.cells), {name: dict(f) for name, f in parts.fractions.items()}
    is_body = {level: _is_body(parts, level) for level in levels}
    if not keep_posterior:
        for level in levels:
            kept = joined_cells(cells[level], is_body[level])
            old = fractions[level]
            old["trabecular"] = old["trabecular"] + old["posterior"]
            fractions[level] = {name: f[kept] for name, f in old.items() if name != "posterior"}
            cells[level], is_body[level] = cells[level][kept], np.ones(int(kept.sum()), dtype=np.bool_)
    start = dict(zip(cells, np.cumsum([0, *(len(c) for c in cells.values())]).tolist(), strict=False))
    used, together = np.unique(np.concatenate(list(cells.values())), return_inverse=True)
    together = together.reshape(-1, 4).astype(np.int64)
    number = np.full(len(parts.points), -1)
    number[used] = np.arange(len(used))
    regions: dict[str, Region] = {}
    surfaces: dict[str, Surface] = {}
    for name, own in fractions.items():
        for part, fraction in own.items():
            at = np.flatnonzero(fraction > _LEAST_FRACTION)
            if len(at):
                regions[f"{name}/{part}"] = Region((at + start[name]).astype(np.int64), fraction[at])
    points = parts.points[used]
    for level in levels:
        body = start[level] + np.flatnonzero(is_body[level])
        named = _body_surfaces(points, together, body, number[parts.triangles[level]], parts.kinds[level])
        surfaces |= {f"{level}/{side}": surface for side, surface in named.items()}
    mesh = SpineMesh(points, together, regions, surfaces, {}, levels, parts.frame, element="tet4")
    posterior = np.zeros(len(together))
    for name, region in regions.items():
        if name.endswith("/posterior"):
            posterior[region.cells] = region.fraction
    return replace(mesh, frames=_frames(mesh, 1.0 - posterior, parts.left))


def _is_body(parts: NamedParts, level: str) -> NDArray[np.bool_]:
    """Cells of a level that are body: less than half posterior elements, or with a facet on an endplate."""
    cells = parts.cells[level]
    posterior = parts.fractions[level].get("posterior")
    if posterior is None:
        return np.ones(len(cells), dtype=np.bool_)
    out = np.asarray(posterior < 0.5)
    facets, owners = boundary_facets(cells)
    kinds = parts.kinds[level][_find_rows(facets, parts.triangles[level])]
    out[owners[np.isin(kinds, (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE))]] = True
    return out


def joined_cells(cells: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece, joined across faces, of the chosen cells."""
    faces = np.sort(cells[:, np.array(ELEMENTS["tet4"].faces)].reshape(-1, 3), axis=1)
    order = np.lexsort(faces.T[::-1])
    same = np.flatnonzero(np.all(faces[order][1:] == faces[order][:-1], axis=1))
    one, other = order[same] // 4, order[same + 1] // 4
    both = chosen[one] & chosen[other]
    m = len(cells)
    graph = sparse.coo_matrix((np.ones(int(both.sum())), (one[both], other[both])), shape=(m, m))
    label = connected_components(graph, directed=False)[1]
    return np.asarray(chosen & (label == np.argmax(np.bincount(label[chosen], minlength=m))))


def _body_surfaces(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    body_cells: NDArray[np.int64],
    triangles: NDArray[np.int64],
    kind: NDArray[np.int8],
) -> dict[str, Surface]:
    """Endplates and the rest of one body's outside; facets towards the posterior elements belong to `outer`."""
    facets, owners = boundary_facets(cells[body_cells])
    on = _find_rows(facets, triangles)
    kinds = np.where(on >= 0, kind[on], OUTER)
    kinds = np.where(np.isin(kinds, (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE)), kinds, OUTER)
    return {
        name: facet_surface(points, facets[kinds == number], body_cells[owners[kinds == number]])
        for name, number in SURFACE_NAMES.items()
    }


def _frames(
    mesh: SpineMesh, body_fraction: NDArray[np.float64], left: Mapping[str, NDArray[np.float64]]
) -> dict[str, Frame]:
    """Frames of levels and discs in the segment frame, as `SpineMesh` defines them; posterior elements do not count."""
    volume, centroid = cell_moments(mesh)
    out: dict[str, Frame] = {}
    plates = {}
    for level in mesh.levels:
        own = mesh.level_cells(level)
        weight = volume[own] * body_fraction[own]
        ends = [mesh.surfaces[f"{level}/{side}_endplate"] for side in ("superior", "inferior")]
        high, low = (s.areas @ mesh.points[s.facets[:, :3]].mean(axis=1) / s.areas.sum() for s in ends)
        out[level] = oriented_frame(weight @ centroid[own] / weight.sum(), high - low, left[level])
        plates[level] = tuple(s.areas @ s.normals for s in ends)
    for upper, lower in pairwise(mesh.levels):
        own = mesh.level_cells(disc_name(upper, lower))
        up, down = plates[lower][0], plates[upper][1]
        axis = up / np.linalg.norm(up) - down / np.linalg.norm(down)
        middle = volume[own] @ centroid[own] / volume[own].sum()
        out[disc_name(upper, lower)] = oriented_frame(middle, axis, _unit(out[upper].axes[0] + out[lower].axes[0]))
    return out


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """A vector of length 1."""
    return np.asarray(vector / np.linalg.norm(vector))


def _find_rows(wanted: NDArray[np.int64], triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position in `triangles` of each wanted triangle, whatever corner leads; -1 where it is not there."""
    n = int(max(wanted.max(initial=0), triangles.max(initial=0))) + 1
    powers = np.array([n * n, n, 1])
    keys = np.sort(triangles, axis=1) @ powers
    order = np.argsort(keys)
    want = np.sort(wanted, axis=1) @ powers
    at = order[np.minimum(np.searchsorted(keys[order], want), len(keys) - 1)]
    return np.where(keys[at] == want, at, -1)
