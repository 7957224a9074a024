"""The models behind the anchors: units, discs between rigid plates, bodies between rigid ends, bodies between PMMA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.density_fields import PatternedDensity
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.bone.materials import FibreReinforced, Isotropic, LayeredFibres, default_materials, fibre_strains
from fesolver.bone.mixing import mix_elasticity
from fesolver.fem.hooke import rotate_elasticity
from fesolver.fem.problem import Elasticity, FluidCavity, Loads, Problem, RigidBody, RigidLoad
from fesolver.fem.recovery import recover_fields
from fesolver.loading.load_case import LoadCase
from fesolver.meshing.regions import cell_volumes, region_volume
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.submesh import extract_body
from fesolver.outcomes.state import SolvedState
from fesolver.outcomes.surface import FacetSurface
from fesolver.outcomes.weighted import weighted_mean
from fesolver.solvers.prepare import prepare
from fesolver.study.config import study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.model import Extras, Model, build_models, make_problem
from fesolver.study.stages import Stages
from fesolver.study.state_solver import solved_state

RTOL = 1e-7
"""Of every solve: the numbers of the table have four digits at most, and cut forces balance to 1e-6."""

PMMA = (2500.0, 0.3)
"""Young's modulus in MPa and Poisson's ratio of the caps of Bonelab/spineFE-benchmark."""


def build_unit(levels: tuple[str, ...], *, refinement: float = 1.0, tables: Mapping[str, Any] | None = None) -> Model:
    """A parametric segment with the package's defaults, but for `tables` (keys of a study file)."""
    data: dict[str, Any] = {"schema": 1, "name": "anchor", "input": {"kind": "parametric", "t_score": -1.0}}
    data["segment"] = {"levels": list(levels), "refinement": refinement}
    for table, keys in (tables or {}).items():
        data[table] = {**data.get(table, {}), **keys}
    if "density_g_cm3" in data["input"]:
        data["input"].pop("t_score")
    config = study_from_dict(data)
    return build_models(config, read_data(config), Stages()).intact


def solve_segment(model: Model, *, force_n: float = 1000.0, top: str = "tilt") -> SolvedState:
    """Compression between rigid pads on the outermost endplates."""
    load_case = LoadCase(force_n=force_n, top=top)  # type: ignore[arg-type]
    problem, pads = make_problem(model, load_case)
    solution = prepare(problem).solve(pads.loads, rtol=RTOL)
    return solved_state("anchor", model, load_case, problem, pads, solution)


def body_alone(model: Model, level: str) -> Model:
    """One body of a segment."""
    mesh, tissue = extract_body(model.mesh, model.tissue, level)
    parts = [r.cells for name, r in model.mesh.regions.items() if name.split("/")[0] == level]
    cells = np.unique(np.concatenate(parts))
    return replace(model, mesh=mesh, tissue=tissue, elasticity=_restricted(model.elasticity, cells), extras=Extras())


@dataclass(frozen=True)
class DiscAlone:
    """A disc between rigid endplates: axial stiffness, N/mm, and nucleus pressure, MPa, at the force."""

    stiffness: float
    pressure: float


def solve_disc_alone(model: Model, disc: str, *, force_n: float = 1000.0, tilt: bool = True) -> DiscAlone:
    """The disc of a segment between rigid endplates: the lower held, the upper free along the axis and to tilt."""
    mesh = model.mesh
    upper, lower = disc.split("-")
    sides = [FacetSurface.of(mesh, f"{upper}/inferior_endplate"), FacetSurface.of(mesh, f"{lower}/superior_endplate")]
    # The bone cells behind the endplates go along, all their points rigid: a fluid's wall must have cells around it.
    held = [np.unique(mesh.cells[side.cells]) for side in sides]
    cells = np.unique(np.concatenate([mesh.level_cells(disc), *(side.cells for side in sides)]))
    used = np.unique(mesh.cells[cells])
    point_id = np.full(len(mesh.points), -1)
    point_id[used] = np.arange(len(used))
    kept = (2, 3, 4) if tilt else (2,)  # along the axis, and both transverse rotations
    bodies = tuple(
        RigidBody(
            name, point_id[points], side.centroid, np.array([not (name == "top" and k in kept) for k in range(6)])
        )
        for name, points, side in zip(("top", "bottom"), held, sides, strict=True)
    )
    problem = Problem(
        points=mesh.points[used],
        cells=point_id[mesh.cells[cells]],
        elasticity=_restricted(model.elasticity, cells),
        rigid_bodies=bodies,
        cavities=tuple(
            FluidCavity(c.name, point_id[c.facets], c.bulk_modulus)
            for c in model.cavities
            if c.name == f"{disc}/nucleus"
        ),
    )
    loads = Loads(rigid={"top": RigidLoad(force=np.array([0.0, 0.0, -force_n]))})
    solution = prepare(problem).solve(loads, rtol=RTOL)
    pressure = solution.cavity_pressure.get(f"{disc}/nucleus")
    if pressure is None:
        nucleus = np.searchsorted(cells, mesh.regions[f"{disc}/nucleus"].cells)
        stress = recover_fields(problem, solution.u).stress[nucleus]
        pressure = weighted_mean(-stress[:, :3].sum(axis=1) / 3.0, cell_volumes(mesh)[cells[nucleus]])
    return DiscAlone(-force_n / float(solution.rigid_motion["top"][2]), float(pressure))


def disc_height(model: Model, disc: str, area: float) -> float:
    """Mean height of a disc, mm: its volume over the area at mid-height; the fluid's cavity belongs to it."""
    mesh = model.mesh
    volume = sum(region_volume(mesh, name) for name in mesh.regions if name.split("/")[0] == disc)
    for cavity in model.cavities:
        if cavity.name == f"{disc}/nucleus":
            volume += _enclosed(mesh.points, cavity.facets)
    return float(volume / area)


def build_body(
    level: str,
    *,
    density_g_cm3: float,
    refinement: float = 1.0,
    layers_mpa: tuple[float, float] | None = None,
    offset_g_cm3: float = 0.0,
    size: float = 1.0,
) -> tuple[SpineMesh, Elasticity]:
    """A body of given mean density; shell and endplates of the moduli given, or trabecular bone throughout."""
    recipe = SpineRecipe((level,), density=PatternedDensity(density_g_cm3), size=size)
    without = {"cortical_thickness_mm": 0.0, "endplate_thickness_mm": 0.0} if layers_mpa is None else {}
    made = mesh_column(recipe.column(), refinement=refinement, **without)
    tissue = structured_tissue(made, recipe.density_field(level))
    tissue = replace(tissue, density=tissue.density + offset_g_cm3)
    materials = default_materials()
    if layers_mpa is not None:
        materials |= {"cortical": Isotropic(layers_mpa[0], 0.3), "endplate": Isotropic(layers_mpa[1], 0.3)}
    elasticity, _ = mix_elasticity(tissue, materials, volumes=cell_volumes(made.mesh))
    return made.mesh, elasticity


def capped_problem(
    mesh: SpineMesh, elasticity: Elasticity, *, thickness_mm: float = 3.0, n_layers: int = 3, bonded: bool = False
) -> tuple[Problem, NDArray[np.int64]]:
    """A body between PMMA caps that end in planes, and the points of the upper plane.

    Both planes are held along z; across it they are free but for a minimal support (`bonded`: held in all directions).
    """
    level = mesh.levels[0]
    points, cells = [mesh.points], [mesh.cells]
    ends = []
    n_points = len(mesh.points)
    for side, sign in (("superior", 1.0), ("inferior", -1.0)):
        facets = mesh.surfaces[f"{level}/{side}_endplate"].facets
        ids, local = np.unique(facets, return_inverse=True)
        local = local.reshape(facets.shape)
        base = mesh.points[ids]
        plane = sign * (np.max(sign * base[:, 2]) + thickness_mm)
        sheet = ids
        for layer in range(1, n_layers + 1):
            moved = base.copy()
            moved[:, 2] += (plane - base[:, 2]) * layer / n_layers
            new = n_points + np.arange(len(ids))
            n_points += len(ids)
            points.append(moved)
            near, far = sheet[local], new[local]
            # Facets run counter-clockwise seen from outside; a cell begins with its lower face, seen from above.
            cells.append(np.hstack([near, far]) if sign > 0 else np.hstack([far[:, ::-1], near[:, ::-1]]))
            sheet = new
        ends.append(sheet)
    added = sum(len(c) for c in cells[1:])
    whole = np.concatenate(points)
    top, bottom = ends
    both = np.concatenate(ends)
    held = 3 * both + 2
    if bonded:
        held = np.concatenate([3 * both + k for k in range(3)])
    else:
        at = whole[bottom] - whole[bottom].mean(axis=0)
        pin, guide = bottom[np.argmin(np.linalg.norm(at, axis=1))], bottom[np.argmax(at[:, 0])]
        held = np.concatenate([held, [3 * pin, 3 * pin + 1, 3 * guide + 1]])
    pmma = replace(
        elasticity,
        young=np.concatenate([elasticity.young, np.full(added, PMMA[0])]),
        poisson=np.concatenate([elasticity.poisson, np.full(added, PMMA[1])]),
    )
    return Problem(whole, np.concatenate(cells), pmma, prescribed_dofs=np.sort(held)), top


def capped_stiffness(problem: Problem, top: NDArray[np.int64], *, shortening_mm: float = 0.2) -> float:
    """Axial force over shortening between the two planes, N/mm."""
    value = np.zeros(3 * len(problem.points))
    value[3 * top + 2] = -shortening_mm
    loads = Loads(prescribed=value[problem.prescribed_dofs])
    solution = prepare(problem).solve(loads, rtol=RTOL)
    return -float(np.sum(solution.internal_force[top, 2])) / shortening_mm


def solve_with_slack_fibres(model: Model, *, most_rounds: int = 12, settled: float = 2e-3) -> tuple[SolvedState, float]:
    """The segment without the fibre families that shorten, and the part of them that changed in the last round."""
    state = solve_segment(model)
    before: NDArray[np.bool_] | None = None
    for _ in range(most_rounds):
        loose, slack = _without_slack(model, state)
        changing = 1.0 if before is None else float(np.mean(slack != before))
        if changing < settled:
            break
        before = slack
        state = solve_segment(loose)
    return state, changing


def _without_slack(model: Model, state: SolvedState) -> tuple[Model, NDArray[np.bool_]]:
    """The model without the fibre families that are shortened in a state, and which those are."""
    e = model.elasticity
    matrices, found = e.general_matrices.copy(), []
    for name, material in sorted(model.mix.materials.items()):
        if not isinstance(material, LayeredFibres):
            continue
        region, axes = model.tissue.regions[name], model.tissue.axes[name]
        number = material.layer_of(model.tissue.depth[name])
        for k in range(material.n_layers):
            own = np.flatnonzero(number == k)
            layer = material.layer(k)
            is_slack = fibre_strains(layer, state.fields.strain[region.cells[own]], axes[own]) < 0.0
            rows = np.searchsorted(e.general_cells, region.cells[own])
            for family, one in enumerate(_family_matrices(layer)):
                matrices[rows] -= is_slack[:, family, None, None] * rotate_elasticity(one, axes[own])
            found.append(is_slack.ravel())
    return replace(model, elasticity=replace(e, general_matrices=matrices)), np.concatenate(found)


def _family_matrices(layer: FibreReinforced) -> list[NDArray[np.float64]]:
    """What each of the two families adds to the ground, (6, 6) in MPa; together `FibreReinforced.fibre_matrix`."""
    out = []
    for x, y, z in layer.directions():
        v = np.array([x * x, y * y, z * z, y * z, x * z, x * y])
        out.append(0.5 * layer.volume_fraction * layer.fibre_young_mpa * np.outer(v, v))
    return out


def _restricted(e: Elasticity, cells: NDArray[np.int64]) -> Elasticity:
    """Constants of some cells, ascending."""
    at = np.searchsorted(cells, e.general_cells)
    inside = (at < len(cells)) & (cells[np.minimum(at, len(cells) - 1)] == e.general_cells)
    return Elasticity(e.young[cells], e.poisson[cells], at[inside].astype(np.int64), e.general_matrices[inside])


def _enclosed(points: NDArray[np.float64], facets: NDArray[np.int64]) -> float:
    """Volume inside closed quadrilateral facets with outward normals, mm3, each as four triangles about its centre."""
    corners = points[facets]
    centre = corners.mean(axis=1)
    return float(
        sum(np.einsum("mi,mi->", centre, np.cross(corners[:, k], corners[:, (k + 1) % 4])) / 6.0 for k in range(4))
    )
