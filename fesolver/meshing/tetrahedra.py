"""Spine segments of tetrahedra from the surfaces of their vertebrae, discs and layers included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import PlacedVertebra
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import LEVELS, sort_levels
from fesolver.errors import InputError
from fesolver.imaging.frames import segment_frame
from fesolver.meshing.quality import check_quality
from fesolver.meshing.regions import cell_centroids
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.tet_annulus import DiscPlaces, nucleus_fraction
from fesolver.meshing.tet_layers import body_fractions, check_thickness
from fesolver.meshing.tet_names import SURFACE_NAMES, NamedParts, name_mesh
from fesolver.meshing.tet_nucleus import outlined_surfaces
from fesolver.meshing.tet_offsets import BodyLayers, kind_thickness
from fesolver.meshing.tet_parts import (
    build_parts,
    fill_parts,
    on_endplates,
    places_of_discs,
    remeshed,
    with_layers,
    with_nuclei,
    with_room,
)
from fesolver.meshing.tet_quality import check_layered_quality
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import VertebraSurface

__all__ = ["TetMesh", "mesh_surfaces"]


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
    mixed_nuclei : tuple of str
        Discs whose nucleus should have cells of its own and has not, because its outline does not fit: it enters by
        volume fractions there.
    """

    mesh: SpineMesh
    bodies: Mapping[str, VertebraSurface | PlacedVertebra]
    annulus_axes: Mapping[str, NDArray[np.float64]]
    annulus_depth: Mapping[str, NDArray[np.float64]]
    thin_layer_points: int = 0
    mixed_nuclei: tuple[str, ...] = ()


def mesh_surfaces(
    vertebrae: Sequence[VertebraSurface],
    *,
    size_mm: float = 2.0,
    size_inside_mm: float = 3.0,
    element: Literal["tet4", "tet10"] = "tet4",
    cortical_thickness_mm: float = 0.35,
    endplate_thickness_mm: float = 0.35,
    layers: Literal["conforming", "fractions"] = "conforming",
    layer_cells: int = 1,
    nucleus_area_fraction: float = 0.4,
    nucleus_posterior_mm: float = 0.0,
    nucleus_cells: Literal["conforming", "fractions"] | None = None,
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
    nucleus_cells : {"conforming", "fractions"}, optional
        Whether nuclei have cells of their own (`fesolver.meshing.tet_nucleus`), or enter by volume fractions of the
        cells of the disc; as `layers` by default.
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
        Cells below it are refused, those of conforming layers below `tet_quality.LEAST_LAYER_JACOBIAN`. At the default
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
    own_nuclei = layers if nucleus_cells is None else nucleus_cells
    if own_nuclei not in ("conforming", "fractions"):
        raise InputError(f"nucleus_cells {nucleus_cells!r} is unknown", fix="use 'conforming' or 'fractions'")
    ordered = _ordered(vertebrae)
    levels = tuple(v.level for v in ordered)
    frame = segment_frame({v.level: v.geometry for v in ordered}, levels)
    thickness = dict.fromkeys(("superior_endplate", "inferior_endplate"), endplate_thickness_mm)
    thickness["outer"] = cortical_thickness_mm
    disc_size = size_mm if disc_size_mm is None else disc_size_mm
    nucleus = {"nucleus_area_fraction": nucleus_area_fraction, "nucleus_posterior_mm": nucleus_posterior_mm}
    masks = tuple(np.zeros(len(v.surface.triangles), dtype=np.bool_) for v in ordered)
    if own_nuclei == "conforming":
        given = build_parts(ordered, masks, frame, disc_size, disc_bulge_mm, check_walls=False)
        outlines = on_endplates(places_of_discs(given, **nucleus))
        ordered, masks = outlined_surfaces(ordered, frame, outlines, remesh=remesh)
    if remesh:
        ordered, masks = remeshed(ordered, masks, size_mm)
    if layers == "conforming":
        ordered = with_room(ordered, masks, kind_thickness(thickness))
    parts = build_parts(ordered, masks, frame, disc_size, disc_bulge_mm)
    places = places_of_discs(parts, **nucleus)
    if own_nuclei == "conforming":
        clear = cortical_thickness_mm if layers == "conforming" else 0.0
        parts = with_nuclei(parts, places, size_mm=disc_size, clear_mm=clear)
    layered: dict[str, BodyLayers] = {}
    if layers == "conforming":
        parts, layered = with_layers(parts, thickness, layer_cells)
    filled = fill_parts(
        parts, layered, size_mm=size_mm, size_inside_mm=size_inside_mm, disc_size_mm=disc_size,
        min_scaled_jacobian=min_scaled_jacobian,
    )  # fmt: skip
    points, cells = filled.points, dict(filled.cells)
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
        inside = filled.in_nucleus(name)
        inside = nucleus_fraction(points[cells[name]], disc) if inside is None else inside
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
    mixed = tuple(name for name in places if own_nuclei == "conforming" and name not in filled.nucleus_cells)
    return TetMesh(mesh, {v.level: v for v in ordered}, axes, depth, thin, mixed)


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
