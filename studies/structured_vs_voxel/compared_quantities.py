"""Numbers that mean the same on any mesh of a parametric segment: places and depths come from the shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from segment_shapes import DEPTHS_MM, ZONES, BodyShape, SegmentShape

from fesolver.bone.materials import Material
from fesolver.bone.mixing import material_of
from fesolver.bone.tissue import Region
from fesolver.fem.elements import quadrature, shape_functions, shape_gradients
from fesolver.fem.facets import facet_chunks, facet_points
from fesolver.fem.hooke import isotropic_elasticity
from fesolver.fem.problem import Problem
from fesolver.fem.recovery import cell_nodal_forces, quadrature_fields, recover_fields
from fesolver.fem.voigt import von_mises
from fesolver.loading.pads import TOP
from fesolver.meshing.regions import cell_centroids, region_volume
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.tet_fractions import split_cells
from fesolver.outcomes.surface import FacetSurface
from fesolver.solvers.solution import Solution

__all__ = ["SIDES", "Solved", "quantities", "region_volumes"]

Array = NDArray[np.float64]

SIDES = ("superior", "inferior")
RIM_MM = 1.0
"""Width of the rim: one of the largest cells."""
_RAMP_MM = 2.0
_DEGREE = 5
_NEAR_MM = 6.0


@dataclass(frozen=True)
class Solved:
    """A solved model of a parametric segment.

    Parameters
    ----------
    shape : SegmentShape
        The segment.
    mesh : SpineMesh
        Its frame is given in the parent frame of the shape's column.
    problem : Problem
    solution : Solution
    region_young : mapping of str to (k,) ndarray
        Modulus, MPa, of every region in each of its cells.
    materials : mapping of str to Material
        Of the study.
    force_n : float
        Compression of the top pad.
    zones : mapping of str to Region or None
        Fractions of cells in the zones of `segment_shapes.ZONES`, where cells may hold several regions; None where
        every cell is of one.
    """

    shape: SegmentShape
    mesh: SpineMesh
    problem: Problem
    solution: Solution
    region_young: Mapping[str, Array]
    materials: Mapping[str, Material]
    force_n: float
    zones: Mapping[str, Region] | None = None


def quantities(solved: Solved) -> dict[str, float]:
    """Stiffness, tractions and von Mises stresses by name.

    Notes
    -----
    `stiffness`: force over shortening at the load point, N/mm; of a disc, the force over what its two endplates' rigid
    motions approach each other along z.

    Traction: nodal forces that the body's own cells put on the endplate's points, along the normal of the true rim
    plane, over the facets' area seen along it. Parts of an endplate are weights w(x) between 0 and 1 in space, taken at
    the points: sum w f / sum w a is the mean of the traction under w with the cells' own shape functions. `centre` is
    the nucleus' circle, `rim` the outer 1 mm; both fade over 2 mm, half on each side of their edge.

    von Mises: of trabecular bone's own stress, its mean over the bone's volume within 2 (or 3) mm under the endplate's
    surface, layers left out.
    """
    out = {"stiffness_n_per_mm": solved.force_n / -float(solved.solution.rigid_motion[TOP][2])}
    plates = {name: FacetSurface.of(solved.mesh, name) for name in solved.mesh.surfaces if "endplate" in name}
    for disc in solved.shape.column.discs:
        above = plates[f"{disc.upper}/inferior_endplate"].rigid_motion(solved.solution.u).translation
        below = plates[f"{disc.lower}/superior_endplate"].rigid_motion(solved.solution.u).translation
        out[f"{disc.name} stiffness_n_per_mm"] = solved.force_n / float((below - above)[2])
    for i, body in enumerate(solved.shape.bodies):
        for side in SIDES:
            name = f"{body.dimensions.level}/{side}_endplate"
            for what, value in _tractions(solved, i, side, plates[name]).items():
                out[f"{name} {what}"] = value
    for what, value in _layers_of(solved)(solved).items():
        out[what] = value
    return out


def region_volumes(mesh: SpineMesh) -> dict[str, float]:
    """Volume of every region, mm3."""
    return {name: region_volume(mesh, name) for name in sorted(mesh.regions)}


def _tractions(solved: Solved, i: int, side: str, plate: FacetSurface) -> dict[str, float]:
    """Mean normal traction, MPa, of one endplate, its centre and its rim; its area and the rim's part of the force."""
    body, mesh = solved.shape.bodies[i], solved.mesh
    normal = mesh.frame.vectors_to_local(getattr(body.vertebra, f"{side}_normal"))
    points = np.unique(plate.facets)
    own = mesh.level_cells(body.dimensions.level)
    own = own[np.isin(mesh.cells[own], points).any(axis=1)]
    force = np.zeros(len(mesh.points))
    for k in range(0, len(own), 65536):
        part = own[k : k + 65536]
        along = cell_nodal_forces(solved.problem, solved.solution.u, part) @ normal
        force += np.bincount(mesh.cells[part].ravel(), along.ravel(), len(force))
    area = np.zeros(len(mesh.points))
    for some in facet_chunks(len(plate.facets)):
        on = facet_points(mesh.points, plate.facets[some])
        np.add.at(area, plate.facets[some], (on.areas @ normal) @ on.shape)
    force, area = force[points], area[points]
    centre, rim = _weights(solved.shape, i, side, body, mesh.frame.to_parent(mesh.points[points]))
    return {
        "area_mm2": float(area.sum()),
        "traction_mpa": float(force.sum() / area.sum()),
        "centre traction_mpa": float((centre @ force) / (centre @ area)),
        "rim traction_mpa": float((rim @ force) / (rim @ area)),
        "rim force share": float((rim @ force) / force.sum()),
    }


def _weights(shape: SegmentShape, i: int, side: str, body: BodyShape, points: Array) -> tuple[Array, Array]:
    """Weights (k,) of centre and rim at points on an endplate."""
    d = body.dimensions
    xi, eta, _ = body.places(points).T
    half = 0.25 * (getattr(d, f"{side}_width_mm") + getattr(d, f"{side}_depth_mm"))
    centre, radius = 0.0, float(np.sqrt(0.4))
    if shape.discs:
        disc = shape.discs[min(max(i - 1 if side == "superior" else i, 0), len(shape.discs) - 1)]
        centre, radius = disc.nucleus_centre, disc.nucleus_radius
    inside = (radius - np.hypot(xi, eta - centre)) * half
    to_wall = (1.0 - np.hypot(xi, eta)) * half
    return np.clip(0.5 + inside / _RAMP_MM, 0.0, 1.0), np.clip(0.5 + (RIM_MM - to_wall) / _RAMP_MM, 0.0, 1.0)


def _layer_means(stress: Array, weights: Mapping[str, Array], normals: Mapping[str, Array]) -> dict[str, float]:
    """Means of von Mises stress and of stress along the endplate's normal under weights (volumes) by zone."""
    out: dict[str, float] = {}
    equivalent = von_mises(stress)
    for side in SIDES:
        x, y, z = normals[side]
        along = stress @ np.array([x * x, y * y, z * z, 2 * y * z, 2 * x * z, 2 * x * y])
        for depth in DEPTHS_MM:
            within = weights[f"{side} {depth}"]
            out[f"{side}_endplate von_mises_{depth}mm_mpa"] = float(equivalent @ within / within.sum())
            out[f"{side}_endplate normal_stress_{depth}mm_mpa"] = float(along @ within / within.sum())
            out[f"{side}_endplate layer_{depth}mm_mm3"] = float(within.sum())
    return out


def _layers_of(solved: Solved) -> Callable[[Solved], dict[str, float]]:
    """How layer means are taken on the cells at hand."""
    if solved.mesh.element in ("tet4", "tet10"):
        return _tet_layers
    return _cell_layers if solved.zones is None else _voxel_layers


def _normals(solved: Solved, body: BodyShape) -> dict[str, Array]:
    """Normals of both rim planes in the mesh frame."""
    return {s: solved.mesh.frame.vectors_to_local(getattr(body.vertebra, f"{s}_normal")) for s in SIDES}


def _voxel_layers(solved: Solved) -> dict[str, float]:
    """Layer means where cells hold several materials: each has the strain of the cell, and a stress of its own."""
    mesh, zones = solved.mesh, solved.zones
    assert zones is not None
    assert mesh.lattice is not None
    strain = recover_fields(solved.problem, solved.solution.u).strain
    volume = float(np.prod(mesh.lattice.spacing))
    out = {}
    for body in solved.shape.bodies:
        level = body.dimensions.level
        region = mesh.regions[f"{level}/trabecular"]
        bone = material_of(f"{level}/trabecular", solved.materials)
        D = isotropic_elasticity(1.0, bone.poisson)  # type: ignore[union-attr]
        young = np.broadcast_to(solved.region_young[f"{level}/trabecular"], region.cells.shape)
        stress = young[:, None] * (strain[region.cells] @ D)
        weights = {}
        for side in SIDES:
            so_far = np.zeros(len(region.cells))
            for depth in DEPTHS_MM:
                zone = zones[f"{level}/trabecular/{side} {depth}"]
                so_far = so_far + volume * zone.dense(len(mesh.cells))[region.cells]
                weights[f"{side} {depth}"] = so_far
        for name, value in _layer_means(stress, weights, _normals(solved, body)).items():
            out[f"{level}/{name}"] = value
    return out


def _tet_layers(solved: Solved) -> dict[str, float]:
    """Layer means in tetrahedra cut into 64: bone has the strain at the middle of each part and a stress of its own."""
    mesh = solved.mesh
    out = {}
    for body in solved.shape.bodies:
        level, d = body.dimensions.level, body.dimensions
        region = mesh.regions[f"{level}/trabecular"]
        corners = mesh.points[mesh.cells[region.cells, :4]]
        height = body.places(mesh.frame.to_parent(corners.reshape(-1, 3)))[:, 2].reshape(-1, 4)
        near = np.flatnonzero((1.0 - np.abs(height)).min(axis=1) * 0.5 * d.mid_height_mm < _NEAR_MM)
        bone = material_of(f"{level}/trabecular", solved.materials)
        D = isotropic_elasticity(1.0, bone.poisson)  # type: ignore[union-attr]
        young = np.broadcast_to(solved.region_young[f"{level}/trabecular"], region.cells.shape)
        stress = []
        within: dict[str, list[Array]] = {f"{side} {depth}": [] for side in SIDES for depth in DEPTHS_MM}
        for k in range(0, len(near), 4096):
            part = near[k : k + 4096]
            leaves = split_cells(corners[part], 2).centers
            strain, volume = _tet_strains(solved, region.cells[part])
            stress.append((young[part, None, None] * (strain @ D)).reshape(-1, 6))
            zone = body.zones(mesh.frame.to_parent(leaves.reshape(-1, 3)))
            each = np.repeat(volume / leaves.shape[1], leaves.shape[1])
            for side in SIDES:
                so_far = np.zeros(len(each))
                for depth in DEPTHS_MM:
                    so_far = so_far + each * (zone == ZONES.index(f"trabecular/{side} {depth}"))
                    within[f"{side} {depth}"].append(so_far)
        weights = {name: np.concatenate(values) for name, values in within.items()}
        for name, value in _layer_means(np.concatenate(stress), weights, _normals(solved, body)).items():
            out[f"{level}/{name}"] = value
    return out


def _tet_strains(solved: Solved, cells: NDArray[np.int64]) -> tuple[Array, Array]:
    """Strains (m, 64, 6) at the middles of the parts of tetrahedra with straight edges, and volumes (m,)."""
    mesh = solved.mesh
    reference = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    at = split_cells(reference[None], 2).centers[0]
    X = mesh.points[mesh.cells[cells, :4]]
    J = X[:, 1:] - X[:, :1]
    G = np.einsum("qkd,mid->mqki", shape_gradients(mesh.element, at), np.linalg.inv(J))
    H = np.einsum("mqki,mkj->mqij", G, solved.solution.u[mesh.cells[cells]])
    xx, yy, zz = (H[..., i, i] for i in range(3))
    yz, xz, xy = (H[..., i, j] + H[..., j, i] for i, j in ((1, 2), (0, 2), (0, 1)))
    return np.stack([xx, yy, zz, yz, xz, xy], axis=-1), np.abs(np.linalg.det(J)) / 6.0


def _cell_layers(solved: Solved) -> dict[str, float]:
    """Layer means where cells are of one material: quadrature, cut at the depth along each line through a cell."""
    mesh = solved.mesh
    centroids = cell_centroids(mesh)
    out = {}
    for body in solved.shape.bodies:
        level, d = body.dimensions.level, body.dimensions
        cells = mesh.regions[f"{level}/trabecular"].cells
        height = body.places(mesh.frame.to_parent(centroids[cells]))[:, 2]
        cells = cells[(1.0 - np.abs(height)) * 0.5 * d.mid_height_mm < _NEAR_MM]
        stress = []
        within: dict[str, list[Array]] = {f"{side} {depth}": [] for side in SIDES for depth in DEPTHS_MM}
        for k in range(0, len(cells), 8192):
            part = cells[k : k + 8192]
            at = quadrature_fields(solved.problem, solved.solution.u, degree=_DEGREE, cells=part)
            stress.append(at.stress.reshape(-1, 6))
            for name, share in _shares(solved, body, part).items():
                within[name].append((share * at.weights).ravel())
        weights = {name: np.concatenate(values) for name, values in within.items()}
        for name, value in _layer_means(np.concatenate(stress), weights, _normals(solved, body)).items():
            out[f"{level}/{name}"] = value
    return out


def _shares(solved: Solved, body: BodyShape, cells: NDArray[np.int64]) -> dict[str, Array]:
    """Factors (m, q) on the quadrature weights of cells that leave what is within each depth of each endplate.

    Notes
    -----
    Along the third reference coordinate, which runs from endplate to endplate, depth is taken as linear; the part of
    the line within the depth is integrated with the quadratic polynomials through the three Gauss points.
    """
    mesh = solved.mesh
    xi, _ = quadrature(mesh.element, _DEGREE)
    places = []
    for end in (-1.0, 1.0):
        N = shape_functions(mesh.element, np.column_stack([xi[:, :2], np.full(len(xi), end)]))
        points = np.einsum("qk,mki->mqi", N, mesh.points[mesh.cells[cells]])
        places.append(body.places(mesh.frame.to_parent(points.reshape(-1, 3))).T)
    out = {}
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        for depth in DEPTHS_MM:
            low, high = (sign * (p[2] - body.height_at_depth(side, depth, p[0], p[1])) for p in places)
            # Where the two ends lie on two sides, the line crosses the depth in between.
            crossing = np.clip((low + high) / np.where(low == high, 1.0, low - high), -1.0, 1.0)
            begin = np.where(low >= 0.0, -1.0, np.where(high >= 0.0, crossing, 1.0))
            end = np.where(high >= 0.0, 1.0, np.where(low >= 0.0, crossing, -1.0))
            share = _line_share(xi[:, 2], begin.reshape(len(cells), -1), np.maximum(end, begin).reshape(len(cells), -1))
            out[f"{side} {depth}"] = share
    return out


def _line_share(zeta: Array, begin: Array, end: Array) -> Array:
    """Integral over [begin, end] of the Lagrange polynomial of each of three Gauss points, over that on [-1, 1]."""
    g = np.sqrt(0.6)
    # Coefficients of 1, z, z^2 for the points -g, 0, g.
    table = np.array([[0.0, -1.0 / (2 * g), 1.0 / 1.2], [1.0, 0.0, -1.0 / 0.6], [0.0, 1.0 / (2 * g), 1.0 / 1.2]])
    c = table[np.rint(zeta / g).astype(int) + 1]
    whole = 2.0 * c[:, 0] + 2.0 / 3.0 * c[:, 2]
    part = sum(c[:, n] * (end ** (n + 1) - begin ** (n + 1)) / (n + 1) for n in range(3))
    return np.asarray(part / whole)
