"""Spine segments of tetrahedra from the surfaces of their vertebrae, discs and layers included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import PlacedVertebra
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import LEVELS, disc_name, sort_levels
from fesolver.errors import InputError
from fesolver.imaging.frames import segment_frame
from fesolver.meshing.quality import check_quality
from fesolver.meshing.regions import cell_centroids
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.tet_annulus import DiscPlaces, disc_places, nucleus_fraction
from fesolver.meshing.tet_belts import make_room
from fesolver.meshing.tet_discs import DiscSurface, disc_between, facing_patches
from fesolver.meshing.tet_layers import body_fractions, check_thickness
from fesolver.meshing.tet_names import SURFACE_NAMES, NamedParts, name_mesh
from fesolver.meshing.tet_offsets import BodyLayers, check_layered_quality, kind_thickness, offset_layers
from fesolver.meshing.tet_volume import fill_surface
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.remesh import remesh_surface
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, SUPERIOR_ENDPLATE, VertebraSurface

__all__ = ["TetMesh", "mesh_surfaces"]

_DEEPEST_MM = 0.2
"""How deep a disc's wall may cut into the rim of a bone: what flat triangles of 2 mm leave of a curve; a choice."""


@dataclass(frozen=True)
class TetMesh:
    """A mesh of tetrahedra, and what only it knows.

    Parameters
    ----------
    mesh : SpineMesh
        Points, cells, names.
    bodies : mapping of str to VertebraSurface or PlacedVertebra
        What each level was made from, in the mesh frame's parent.
    annulus_axes : mapping of str to (k, 3, 3) ndarray
        Per region `L1-L2/annulus`: rows are the circumferential, radial (outward) and axial unit vectors of each of its
        cells, right-handed, in the mesh frame: radial normal to the lamella, axial the disc's axis within it.
    annulus_depth : mapping of str to (k,) ndarray
        Per region `L1-L2/annulus`: place of each cell's centre across the annulus, 0 on the nucleus, 1 outside.
    thin_layer_points : int
        Points of the surfaces under which a conforming layer is thinner than asked for, because it does not fit.
    """

    mesh: SpineMesh
    bodies: Mapping[str, VertebraSurface | PlacedVertebra]
    annulus_axes: Mapping[str, NDArray[np.float64]]
    annulus_depth: Mapping[str, NDArray[np.float64]]
    thin_layer_points: int = 0


def mesh_surfaces(
    vertebrae: Sequence[VertebraSurface],
    *,
    size_mm: float = 2.0,
    size_inside_mm: float = 3.0,
    element: Literal["tet4", "tet10"] = "tet4",
    cortical_thickness_mm: float = 0.35,
    endplate_thickness_mm: float = 0.35,
    layers: Literal["conforming", "fractions"] = "fractions",
    layer_cells: int = 1,
    nucleus_area_fraction: float = 0.4,
    nucleus_posterior_mm: float = 0.0,
    disc_size_mm: float | None = None,
    disc_bulge_mm: float = 0.0,
    keep_posterior: bool = True,
    remesh: bool = True,
    min_scaled_jacobian: float = 0.05,
) -> TetMesh:
    """Mesh of vertebrae given by their surfaces, with discs between facing endplates: one conforming mesh.

    Parameters
    ----------
    vertebrae : sequence of VertebraSurface
        Consecutive levels in any order, all in one frame (LPS+ mm).
    size_mm, size_inside_mm : float
        Edge length at surfaces and in the core of a body, mm.
    element : {"tet4", "tet10"}
        Linear cells, or quadratic ones with straight edges.
    cortical_thickness_mm, endplate_thickness_mm : float
        True thickness of the shell and of the bony endplates; 0 leaves the layer out.
    layers : {"conforming", "fractions"}
        Whether layers have cells of their own (`fesolver.meshing.tet_offsets`), or enter by volume fractions of the
        cells that hold some of them (`fesolver.meshing.tet_layers`).
    layer_cells : int
        Cells through a conforming layer, 1 to 8.
    nucleus_area_fraction, nucleus_posterior_mm : float
        Area of the nucleus over the disc's, and how far its centre lies behind the disc's axis.
    disc_size_mm : float, optional
        Largest edge length in discs; `size_mm` by default.
    disc_bulge_mm : float
        How far discs stand out at mid-height over the line between the endplates' borders.
    keep_posterior : bool
        Whether arch and processes stay; without them, cells of which they fill half or more are left out.
    remesh : bool
        Whether the surfaces are meshed anew with triangles of `size_mm` first; otherwise cells follow the triangles
        that are there.
    min_scaled_jacobian : float
        Cells below it are refused, those of conforming layers below `tet_offsets.LEAST_LAYER_JACOBIAN`. At the default
        the edges of the worst corner lie within 3 degrees of one plane: tetrahedra between two given surfaces have less
        room than hexahedra of a swept section.

    Returns
    -------
    TetMesh
        In the segment frame: z from the centroid of the lowest inferior to that of the highest superior endplate, x the
        patient's left.

    Raises
    ------
    InputError
        On a parameter out of range, levels that are repeated or not consecutive, endplates that do not face each other,
        a disc's wall that runs through bone, conforming layers that do not fit, surfaces that gmsh cannot fill, or
        cells below the quality limit.
    MissingDependencyError
        Without gmsh.

    Notes
    -----
    Bodies and discs are filled one by one between the same triangles, so that they share points and facets: no
    interface needs a tie. Vertebrae are not joined across facet joints.
    """
    if element not in ("tet4", "tet10"):
        raise InputError(f"element {element!r} is unknown", fix="use 'tet4' or 'tet10'")
    if layers not in ("conforming", "fractions"):
        raise InputError(f"layers {layers!r} is unknown", fix="use 'conforming' or 'fractions'")
    check_thickness(cortical_thickness_mm=cortical_thickness_mm, endplate_thickness_mm=endplate_thickness_mm)
    ordered = _ordered(vertebrae)
    levels = tuple(v.level for v in ordered)
    frame = segment_frame({v.level: v.geometry for v in ordered}, levels)
    if remesh:
        ordered = tuple(_remeshed(v, size_mm) for v in ordered)
    thickness = dict.fromkeys(("superior_endplate", "inferior_endplate"), endplate_thickness_mm)
    thickness["outer"] = cortical_thickness_mm
    if layers == "conforming":
        ordered = tuple(_with_room(v, kind_thickness(thickness)) for v in ordered)
    parts = _parts(ordered, frame, size_mm if disc_size_mm is None else disc_size_mm, disc_bulge_mm)
    places = {
        name: disc_places(
            disc, nucleus_area_fraction=nucleus_area_fraction, nucleus_posterior_mm=nucleus_posterior_mm, name=name
        )
        for name, disc in parts.discs.items()
    }
    layered: dict[str, BodyLayers] = {}
    if layers == "conforming":
        parts, layered = _layered(parts, thickness, layer_cells)
    points, cells = _filled(parts, layered, size_mm, size_inside_mm, size_mm if disc_size_mm is None else disc_size_mm)
    fractions = {}
    for vertebra in ordered:
        body, level = parts.bodies[vertebra.level], vertebra.level
        fractions[level] = body_fractions(
            points[cells[level]],
            {name: TriangleSurface(parts.points, body[parts.kinds[level] == k]) for name, k in SURFACE_NAMES.items()},
            thickness_mm={} if layered else thickness,
            is_posterior=_Behind(vertebra, frame),
        )
        if layered:
            own = layered[level].fractions()
            cells[level] = np.concatenate([layered[level].cells, cells[level]])
            fractions[level] = {name: np.concatenate([own[name], f]) for name, f in fractions[level].items()}
    for name, disc in places.items():
        inside = nucleus_fraction(points[cells[name]], disc)
        fractions[name] = {"nucleus": inside, "annulus": 1.0 - inside}
    left = {v.level: frame.vectors_to_local(v.frame.axes[0]) for v in ordered}
    named = NamedParts(points, cells, fractions, parts.bodies, parts.kinds, left, frame)
    mesh = name_mesh(named, keep_posterior=keep_posterior)
    axes, depth = _annulus(mesh, places)
    if element == "tet10":
        mesh = second_order(mesh)
    check = check_layered_quality if layered else check_quality
    check(mesh, min_scaled_jacobian=min_scaled_jacobian)
    thin = sum(own.thin_points for own in layered.values())
    return TetMesh(mesh, {v.level: v for v in ordered}, axes, depth, thin)


@dataclass(frozen=True)
class _Parts:
    """Surfaces of all parts over one set of points, in the segment frame."""

    points: NDArray[np.float64]
    bodies: dict[str, NDArray[np.int64]]
    kinds: dict[str, NDArray[np.int8]]
    discs: dict[str, DiscSurface]


@dataclass(frozen=True)
class _Behind:
    """`VertebraSurface.is_posterior` for places of the segment frame."""

    vertebra: VertebraSurface
    frame: Frame

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which places (n, 3) belong to posterior elements."""
        return self.vertebra.is_posterior(self.frame.to_parent(points))


def _ordered(vertebrae: Sequence[VertebraSurface]) -> tuple[VertebraSurface, ...]:
    """Vertebrae cranial first, or an `InputError` naming what is missing or repeated."""
    given = [v.level for v in vertebrae]
    if not given:
        raise InputError("no vertebra is given", fix="give one surface or more")
    levels = sort_levels(given)
    wanted = LEVELS[LEVELS.index(levels[0]) : LEVELS.index(levels[-1]) + 1]
    if levels != wanted:
        raise InputError(
            f"levels {', '.join(levels)} are not consecutive, each once",
            fix=f"give one surface for each of {', '.join(wanted)}",
        )
    return tuple(sorted(vertebrae, key=lambda v: LEVELS.index(v.level)))


def _remeshed(vertebra: VertebraSurface, size_mm: float) -> VertebraSurface:
    """A vertebra with triangles of another size, its parts kept."""
    surface, kind = remesh_surface(vertebra.surface, size_mm, tags=vertebra.kind)
    return replace(vertebra, surface=surface, kind=kind.astype(np.int8))


def _with_room(vertebra: VertebraSurface, depth: NDArray[np.float64]) -> VertebraSurface:
    """A vertebra whose points lie clear of the ends of its layers."""
    surface = vertebra.surface
    points = make_room(surface.points, surface.triangles, vertebra.kind, depth)
    return replace(vertebra, surface=TriangleSurface(points, surface.triangles))


def _parts(vertebrae: tuple[VertebraSurface, ...], frame: Frame, size_mm: float, bulge_mm: float) -> _Parts:
    """Surfaces of bodies and discs."""
    kinds = dict(zip((v.level for v in vertebrae), facing_patches(vertebrae), strict=True))
    points = frame.to_local(np.concatenate([v.surface.points for v in vertebrae]))
    start = np.cumsum([0, *(len(v.surface.points) for v in vertebrae)])
    bodies = {v.level: v.surface.triangles + n for v, n in zip(vertebrae, start, strict=False)}
    discs: dict[str, DiscSurface] = {}
    for upper, lower in pairwise(v.level for v in vertebrae):
        name = disc_name(upper, lower)
        discs[name] = disc_between(
            points,
            bodies[lower][kinds[lower] == SUPERIOR_ENDPLATE],
            bodies[upper][kinds[upper] == INFERIOR_ENDPLATE],
            left=np.array([1.0, 0.0, 0.0]),
            size_mm=size_mm,
            bulge_mm=bulge_mm,
            name=name,
        )
        wall = discs[name].surface.points[len(points) :]
        for level in (upper, lower):
            _check_wall(wall, TriangleSurface(points, bodies[level]), disc=name, level=level)
        points = discs[name].surface.points
    return _Parts(points, bodies, kinds, discs)


def _check_wall(wall: NDArray[np.float64], body: TriangleSurface, *, disc: str, level: str) -> None:
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


def _layered(
    parts: _Parts, thickness_mm: Mapping[str, float], layer_cells: int
) -> tuple[_Parts, dict[str, BodyLayers]]:
    """The parts with their layers' points and their side walls cut below the rims, and the layers of each level."""
    points, bodies, kinds, out = parts.points, dict(parts.bodies), dict(parts.kinds), {}
    for level, triangles in parts.bodies.items():
        own = offset_layers(
            points, triangles, kinds[level], thickness_mm=thickness_mm, layer_cells=layer_cells, name=level
        )
        points, bodies[level], kinds[level], out[level] = own.points, own.triangles, own.kind, own
    return _Parts(points, bodies, kinds, parts.discs), out


def _filled(
    parts: _Parts, layered: Mapping[str, BodyLayers], size_mm: float, size_inside_mm: float, disc_size_mm: float
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.int64]]]:
    """Points of the whole mesh, and the cells of every part but for those of layers."""
    n = len(parts.points)
    points, cells = [parts.points], {}
    inside_layers = {level: own.inner for level, own in layered.items()}
    surfaces = {level: TriangleSurface(parts.points, inside_layers.get(level, t)) for level, t in parts.bodies.items()}
    surfaces |= {name: TriangleSurface(parts.points, d.surface.triangles) for name, d in parts.discs.items()}
    added = 0
    for name, surface in surfaces.items():
        inside = max(size_mm, disc_size_mm) if name in parts.discs else size_inside_mm
        filled, own = fill_surface(surface, size_mm=min(size_mm, inside), size_inside_mm=inside, name=name)
        cells[name] = np.where(own < n, own, own + added)
        points.append(filled[n:])
        added += len(filled) - n
    return np.concatenate(points), cells


def _annulus(
    mesh: SpineMesh, places: Mapping[str, DiscPlaces]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Local axes and places across of the cells of every annulus, at their centroids."""
    axes, depth = {}, {}
    centroids = cell_centroids(mesh)
    for name, disc in places.items():
        region = f"{name}/annulus"
        at = centroids[mesh.regions[region].cells]
        axes[region] = disc.axes(at)
        depth[region] = np.clip(disc.layer(at), 0.0, 1.0)
    return axes, depth
