"""Closed surfaces of all parts of a tetrahedral segment over one set of points, and the cells that fill them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import disc_name
from fesolver.errors import InputError
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.tet_annulus import DiscPlaces, disc_places
from fesolver.meshing.tet_belts import make_room
from fesolver.meshing.tet_discs import DiscSurface, disc_between, facing_patches
from fesolver.meshing.tet_nucleus import Cap, Nucleus, nucleus_between, on_outline
from fesolver.meshing.tet_offsets import BodyLayers, offset_layers
from fesolver.meshing.tet_smoothing import smooth_parts
from fesolver.meshing.tet_volume import fill_surface
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.remesh import remesh_surface
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, SUPERIOR_ENDPLATE, VertebraSurface

__all__ = [
    "Filled",
    "Parts",
    "build_parts",
    "check_wall",
    "fill_parts",
    "on_endplates",
    "places_of_discs",
    "remeshed",
    "with_layers",
    "with_nuclei",
    "with_room",
]

Masks = tuple[NDArray[np.bool_], ...]
Piece = tuple[NDArray[np.float64], NDArray[np.int64]]

_DEEPEST_MM = 0.2
"""How deep a disc's wall may cut into the rim of a bone: what flat triangles of 2 mm leave of a curve; a choice."""
_KINDS = 4


@dataclass(frozen=True)
class Parts:
    """Surfaces of all parts, in the segment frame.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    bodies : mapping of str to (m, 3) ndarray of int64
        Level -> the outside of its vertebra.
    kinds : mapping of str to (m,) ndarray of int8
        As `VertebraSurface.kind`.
    discs : mapping of str to DiscSurface
        By name, cranial first; of their points only the numbers count.
    caps : mapping of str to (Cap, Cap)
        The lower and the upper endplate of each disc.
    nuclei : mapping of str to Nucleus
        Of discs whose nucleus has cells of its own.
    """

    points: NDArray[np.float64]
    bodies: Mapping[str, NDArray[np.int64]]
    kinds: Mapping[str, NDArray[np.int8]]
    discs: Mapping[str, DiscSurface]
    caps: Mapping[str, tuple[Cap, Cap]]
    nuclei: Mapping[str, Nucleus] = field(default_factory=dict)


@dataclass(frozen=True)
class Filled:
    """Cells of every part but for those of layers.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm; those of the parts come first.
    cells : mapping of str to (k, 4) ndarray of int64
        Per level or disc, VTK order.
    nucleus_cells : mapping of str to int
        Of discs whose nucleus has cells of its own: how many, first of all.
    """

    points: NDArray[np.float64]
    cells: Mapping[str, NDArray[np.int64]]
    nucleus_cells: Mapping[str, int]

    def in_nucleus(self, disc: str) -> NDArray[np.float64] | None:
        """1 in cells of the nucleus, 0 in those of the annulus, (k,); None where cells may hold both."""
        if disc not in self.nucleus_cells:
            return None
        return (np.arange(len(self.cells[disc])) < self.nucleus_cells[disc]).astype(np.float64)


def remeshed(
    vertebrae: Sequence[VertebraSurface], masks: Masks, size_mm: float
) -> tuple[tuple[VertebraSurface, ...], Masks]:
    """Vertebrae with triangles of another size, their parts and the masks (m,) of their triangles kept."""
    new, inside = [], []
    for vertebra, mask in zip(vertebrae, masks, strict=True):
        surface, tags = remesh_surface(vertebra.surface, size_mm, tags=vertebra.kind + _KINDS * mask)
        new.append(replace(vertebra, surface=surface, kind=(tags % _KINDS).astype(np.int8)))
        inside.append(np.asarray(tags >= _KINDS))
    return tuple(new), tuple(inside)


def with_room(
    vertebrae: Sequence[VertebraSurface], masks: Masks, depth: NDArray[np.float64]
) -> tuple[VertebraSurface, ...]:
    """Vertebrae whose points lie clear of the ends of their layers; borders of masks stay."""
    out = []
    for vertebra, mask in zip(vertebrae, masks, strict=True):
        points, triangles = vertebra.surface.points, vertebra.surface.triangles
        held = on_outline(triangles, mask, len(points))
        moved = make_room(points, triangles, vertebra.kind, depth, is_held=held)
        out.append(replace(vertebra, surface=TriangleSurface(moved, triangles)))
    return tuple(out)


def build_parts(
    vertebrae: Sequence[VertebraSurface],
    masks: Masks,
    frame: Frame,
    size_mm: float,
    bulge_mm: float,
    *,
    check_walls: bool = True,
) -> Parts:
    """Surfaces of bodies and discs.

    Parameters
    ----------
    vertebrae : sequence of VertebraSurface
        Consecutive levels, cranial first.
    masks : tuple of (m,) ndarray of bool
        Triangles of each within the outline of a nucleus.
    frame : Frame
        The segment frame, in that of the vertebrae.
    size_mm : float
        Edge length on the walls of discs, mm.
    bulge_mm : float
        As in `disc_between`.
    check_walls : bool
        Whether walls of discs that run through bone are refused.

    Raises
    ------
    InputError
        If endplates do not face each other, or a wall runs through bone.
    """
    levels = [v.level for v in vertebrae]
    kinds = dict(zip(levels, facing_patches(vertebrae), strict=True))
    inside = dict(zip(levels, masks, strict=True))
    points = frame.to_local(np.concatenate([v.surface.points for v in vertebrae]))
    start = np.cumsum([0, *(len(v.surface.points) for v in vertebrae)])
    bodies = {v.level: v.surface.triangles + n for v, n in zip(vertebrae, start, strict=False)}
    discs: dict[str, DiscSurface] = {}
    caps: dict[str, tuple[Cap, Cap]] = {}
    for upper, lower in pairwise(levels):
        name = disc_name(upper, lower)
        sides = ((lower, SUPERIOR_ENDPLATE), (upper, INFERIOR_ENDPLATE))
        low, high = (Cap(bodies[v][kinds[v] == k], inside[v][kinds[v] == k]) for v, k in sides)
        caps[name] = low, high
        discs[name] = disc_between(
            points,
            low.triangles,
            high.triangles,
            left=np.array([1.0, 0.0, 0.0]),
            size_mm=size_mm,
            bulge_mm=bulge_mm,
            name=name,
        )
        wall = discs[name].surface.points[len(points) :]
        for level in (upper, lower) if check_walls else ():
            check_wall(wall, TriangleSurface(points, bodies[level]), disc=name, level=level)
        points = discs[name].surface.points
    return Parts(points, bodies, kinds, discs, caps)


def check_wall(wall: NDArray[np.float64], body: TriangleSurface, *, disc: str, level: str) -> None:
    """Refuse a disc whose wall (n, 3) runs through bone: its cells would overlap the body's without being joined."""
    if len(wall) == 0:
        return
    depth = ClosestPoint(body).depth(wall)
    deepest = int(np.argmax(depth))
    if depth[deepest] > _DEEPEST_MM:
        raise InputError(
            f"the wall of disc {disc} runs {depth[deepest]:.1f} mm deep through {level}",
            where="({:.1f}, {:.1f}, {:.1f}) mm in the segment frame".format(*wall[deepest]),
            fix="check the endplates of both bodies, or give disc_bulge_mm",
        )


def places_of_discs(
    parts: Parts, *, nucleus_area_fraction: float, nucleus_posterior_mm: float
) -> dict[str, DiscPlaces]:
    """`disc_places` of every disc."""
    return {
        name: disc_places(
            disc, nucleus_area_fraction=nucleus_area_fraction, nucleus_posterior_mm=nucleus_posterior_mm, name=name
        )
        for name, disc in parts.discs.items()
    }


def on_endplates(places: Mapping[str, DiscPlaces]) -> dict[tuple[str, int], DiscPlaces]:
    """Places of discs by level and kind of the endplates that they lie on."""
    out = {}
    for name, disc in places.items():
        upper, lower = name.split("-")
        out[upper, INFERIOR_ENDPLATE] = out[lower, SUPERIOR_ENDPLATE] = disc
    return out


def with_nuclei(parts: Parts, places: Mapping[str, DiscPlaces], *, size_mm: float, clear_mm: float) -> Parts:
    """The parts with nuclei of their own where their outlines fit (`nucleus_between`)."""
    points, nuclei = parts.points, {}
    for name, (lower, upper) in parts.caps.items():
        nucleus = nucleus_between(points, lower, upper, places[name], size_mm=size_mm, clear_mm=clear_mm)
        if nucleus is not None:
            points, nuclei[name] = nucleus.points, nucleus
    return replace(parts, points=points, nuclei=nuclei)


def with_layers(
    parts: Parts, thickness_mm: Mapping[str, float], layer_cells: int
) -> tuple[Parts, dict[str, BodyLayers]]:
    """The parts with their layers' points and their side walls cut below the rims, and the layers of each level."""
    points, bodies, kinds, out = parts.points, dict(parts.bodies), dict(parts.kinds), {}
    for level, triangles in parts.bodies.items():
        own = offset_layers(
            points, triangles, kinds[level], thickness_mm=thickness_mm, layer_cells=layer_cells, name=level
        )
        points, bodies[level], kinds[level], out[level] = own.points, own.triangles, own.kind, own
    return replace(parts, points=points, bodies=bodies, kinds=kinds), out


def fill_parts(
    parts: Parts,
    layered: Mapping[str, BodyLayers],
    *,
    size_mm: float,
    size_inside_mm: float,
    disc_size_mm: float,
    min_scaled_jacobian: float,
) -> Filled:
    """Cells in every part, points moved where cells are bad.

    Parameters
    ----------
    parts : Parts
        With the layers' points.
    layered : mapping of str to BodyLayers
        By level, or none.
    size_mm, size_inside_mm, disc_size_mm : float
        As for `fesolver.meshing.tetrahedra.mesh_surfaces`.
    min_scaled_jacobian : float
        Where a disc with a nucleus of its own has cells below it, or cannot be filled, it is filled without.

    Raises
    ------
    InputError
        If gmsh cannot fill a part.
    """
    disc = max(size_mm, disc_size_mm)
    inside = {**dict.fromkeys(parts.bodies, size_inside_mm), **dict.fromkeys(parts.discs, disc)}
    beside = [(own.cells, own.planes) for own in layered.values()]
    pieces = {}
    for name, size in inside.items():
        sizes = {"size_mm": min(size_mm, size), "size_inside_mm": size}
        if name in parts.nuclei:
            whole, own = parts.discs[name].surface.triangles, parts.nuclei[name]
            try:
                pieces[name] = [_fill(parts, t, sizes, name) for t in (own.surface, own.annulus(whole))]
                continue
            except InputError:
                pass
        pieces[name] = [_fill(parts, _outside(parts, layered, name), sizes, name)]
    while True:
        points, cells = _joined(parts.points, pieces)
        points = smooth_parts(points, list(cells.values()), beside, n_fixed=len(parts.points))
        two = [name for name, some in pieces.items() if len(some) == 2]
        poor = [d for d in two if mesh_quality(points, cells[d], "tet4").scaled_jacobian.min() < min_scaled_jacobian]
        if not poor:
            return Filled(points, cells, {name: len(pieces[name][0][1]) for name in two})
        for name in poor:
            sizes = {"size_mm": min(size_mm, disc), "size_inside_mm": disc}
            pieces[name] = [_fill(parts, _outside(parts, layered, name), sizes, name)]


def _outside(parts: Parts, layered: Mapping[str, BodyLayers], name: str) -> NDArray[np.int64]:
    """Closed surface of a disc, or of what the layers leave of a body."""
    if name in parts.discs:
        return parts.discs[name].surface.triangles
    return layered[name].inner if name in layered else parts.bodies[name]


def _fill(parts: Parts, triangles: NDArray[np.int64], sizes: Mapping[str, float], name: str) -> Piece:
    """Points added inside a closed surface, and its cells."""
    points, cells = fill_surface(TriangleSurface(parts.points, triangles), name=name, **sizes)
    return points[len(parts.points) :], cells


def _joined(
    points: NDArray[np.float64], pieces: Mapping[str, Sequence[Piece]]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.int64]]]:
    """Points of surfaces (n, 3) and of all pieces after them, and the cells of each part with these numbers."""
    n = added = len(points)
    every, cells = [points], {}
    for name, some in pieces.items():
        own = []
        for new, filled in some:
            own.append(np.where(filled < n, filled, filled - n + added))
            every.append(new)
            added += len(new)
        cells[name] = np.concatenate(own)
    return np.concatenate(every), cells
