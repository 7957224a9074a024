"""Outcomes do not depend on what was worked out before on the same mesh, bit by bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fesolver.bone.tissue import Region
from fesolver.fem.cuts import cut_forces, cut_sides
from fesolver.fem.problem import Elasticity, Loads
from fesolver.meshing.memo import Memo
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.cuts import cells_below, cut_area, cut_part, part_sides
from fesolver.outcomes.endplate_geometry import central_weights, depth_fraction, rim_weights
from fesolver.outcomes.equilibrium import check_equilibrium, external_load_above
from fesolver.outcomes.error_estimate import region_groups
from fesolver.outcomes.parts import part_rank
from fesolver.outcomes.registry import evaluate, select_outcomes
from fesolver.outcomes.state import OutcomeSettings, SolvedState
from fesolver.outcomes.surface import FacetSurface

NAMES = ("yielding", "stiffness", "disc", "endplate", "load_share", "energy", "rotation", "equilibrium")
SETTINGS = OutcomeSettings(bulge_rim_mm=1.0, share_heights=(0.3, 0.7))
UP = np.array([0.0, 0.0, 1.0])


def fresh(mesh: SpineMesh) -> SpineMesh:
    """The same mesh with nothing kept."""
    return replace(mesh, memo=Memo())


def displacement(mesh: SpineMesh, seed: int = 1) -> np.ndarray:
    """Compression by 1 % with waves and noise on it, mm."""
    noise = 1e-4 * np.random.default_rng(seed).normal(size=mesh.points.shape)
    return noise - 0.01 * mesh.points * UP * (1.0 + 0.3 * np.sin(mesh.points))


def treated(mesh: SpineMesh, share: float = 0.7) -> SpineMesh:
    """Cement in the upper half of the trabecular bone of L1."""
    bone = mesh.regions["L1/trabecular"]
    filled = np.arange(len(bone.cells)) % 2 == 0
    left = np.where(filled, (1.0 - share) * bone.fraction, bone.fraction)
    cement = Region(bone.cells[filled], share * bone.fraction[filled])
    return replace(mesh, regions={**mesh.regions, "L1/trabecular": Region(bone.cells, left), "L1/cement": cement})


def numbers(state: SolvedState) -> dict[tuple[str, str], float]:
    return {(v.level, v.quantity): v.value for v in evaluate(select_outcomes(NAMES), state, None, SETTINGS)}


def test_all_outcomes_have_the_same_bits_on_a_mesh_that_has_been_used_and_on_a_new_one(column, given_state):
    mesh = column.mesh()
    others = [treated(mesh), treated(mesh, 0.4), mesh]
    for other in others:
        numbers(given_state(other, displacement(other, seed=2)))

    for other in others:
        u = displacement(other)
        assert numbers(given_state(other, u)) == numbers(given_state(fresh(other), u))


def test_a_mesh_of_other_shape_has_numbers_of_its_own(column, given_state):
    mesh = column.mesh()
    numbers(given_state(mesh, displacement(mesh)))
    points = mesh.points * [1.0, 1.25, 1.0] + [0.0, 0.0, 0.01]
    moved = replace(mesh, points=points, lattice=None)
    u = displacement(moved)

    found = numbers(given_state(moved, u))
    assert found == numbers(given_state(fresh(moved), u))
    assert found["L1", "superior_endplate_area_mm2"] == FacetSurface.of(moved, "L1/superior_endplate").area
    assert FacetSurface.of(moved, "L1/superior_endplate").points is points


def test_a_surface_of_the_same_name_and_other_facets_is_another_one(column):
    mesh = column.mesh()
    whole = FacetSurface.of(mesh, "L1/superior_endplate")
    surface = mesh.surfaces["L1/superior_endplate"]
    half = replace(surface, **{k: getattr(surface, k)[:18] for k in ("facets", "cells", "normals", "areas")})
    other = replace(mesh, surfaces={**mesh.surfaces, "L1/superior_endplate": half})

    assert FacetSurface.of(mesh, "L1/superior_endplate") is whole
    assert FacetSurface.of(treated(mesh), "L1/superior_endplate") is whole
    assert FacetSurface.of(other, "L1/superior_endplate").area == pytest.approx(0.5 * whole.area)


def test_depths_follow_cells_and_depth_and_weights_follow_their_width(column):
    mesh = column.mesh()
    surface = FacetSurface.of(mesh, "L1/superior_endplate")
    cells = mesh.level_cells("L1")
    for depth in (1.0, 2.5, 1.0):
        # Layers of 1 mm under a flat top: whole cells, and half of the third layer under 2.5 mm.
        found = depth_fraction(mesh, surface, cells, depth)
        assert found.sum() * 1.5**2 == pytest.approx(depth * surface.area)
        assert_array_equal(depth_fraction(mesh, surface, cells[::-1], depth), found[::-1])
        assert_array_equal(depth_fraction(mesh, surface, cells[5:9], depth), found[5:9])
    for part in (0.1, 0.5, 0.1):
        assert central_weights(surface, part).sum() == pytest.approx(part * surface.area)
    assert rim_weights(surface, 1.0).sum() < rim_weights(surface, 2.0).sum()


def test_cement_leaves_the_cuts_of_a_mesh_where_they_are(column, given_state):
    mesh = column.mesh()
    states = [given_state(m, displacement(m)) for m in (mesh, treated(mesh))]
    at = mesh.frames["L1"].origin
    first, second = (part_sides(state, "L1", point=at, normal=UP) for state in states)

    assert states[0].part_rank is states[1].part_rank
    assert second.cells is first.cells
    assert_array_equal(first.below, cells_below(states[0], "L1", point=at, normal=UP))
    exact = cut_sides(mesh.cells, len(mesh.points), first.below)
    assert_array_equal(first.is_above, exact.is_above)
    assert_array_equal(first.cells, exact.cells)
    higher = part_sides(states[0], "L1", point=at + UP, normal=UP)
    assert higher.below.sum() == first.below.sum() + 36  # one layer of 6 x 6 cells


def test_cells_of_another_part_give_another_cut(column, given_state):
    mesh = column.mesh()
    state = given_state(mesh, displacement(mesh))
    at = mesh.frames["L1"].origin
    _, below = cut_part(state, "L1", point=at, normal=UP)
    area = cut_area(state, "L1", below, UP)
    disc, bone = (
        np.concatenate([r.cells for n, r in mesh.regions.items() if n.startswith(p)]) for p in ("L1-L2/", "L1/")
    )
    lowest = bone[bone < bone.min() + 1]
    regions = dict(mesh.regions)
    regions["L1-L2/annulus"] = Region(np.union1d(disc, lowest), np.ones(len(disc) + len(np.setdiff1d(lowest, disc))))
    regions |= {n: Region(r.cells[r.cells != lowest[0]], r.fraction[r.cells != lowest[0]]) for n, r in regions.items()
                if n.startswith("L1/")}  # fmt: skip
    other = replace(mesh, regions=regions)

    assert (part_rank(other) != part_rank(mesh)).sum() == 1
    found = given_state(other, displacement(other))
    same = given_state(fresh(other), displacement(other))
    assert_array_equal(
        part_sides(found, "L1", point=at, normal=UP).below, part_sides(same, "L1", point=at, normal=UP).below
    )
    assert area == pytest.approx(81.0)


def test_forces_and_loads_take_the_sides_of_a_cut_as_well_as_its_cells(column, given_state):
    mesh = column.mesh()
    state = given_state(mesh, displacement(mesh))
    at = mesh.frames["L1-L2"].origin
    sides = part_sides(state, "L1-L2", point=at, normal=UP)
    first = cut_forces(state.problem, state.solution.u, sides.below, about=at)
    second = cut_forces(state.problem, state.solution.u, sides, about=at)

    assert_array_equal(first.force, second.force)
    assert_array_equal(first.moment, second.moment)
    for one, two in zip(*(external_load_above(state, s, at) for s in (sides.below, sides)), strict=True):
        assert_array_equal(one, two)
    assert check_equilibrium(state) is check_equilibrium(state)


def test_loads_at_some_points_above_a_cut_have_the_sum_over_all_points_above_it(column, given_state):
    mesh = column.mesh()
    rng = np.random.default_rng(3)
    force = np.where(rng.random(len(mesh.points)) < 0.2, 1.0, 0.0)[:, None] * rng.normal(size=mesh.points.shape)
    state = replace(given_state(mesh, displacement(mesh)), loads=Loads(nodal_force=force))
    at = mesh.frames["L1-L2"].origin
    sides = part_sides(state, "L1-L2", point=at, normal=UP)
    on_top, wrench = sides.is_above, state.solution.rigid_reaction["top"]
    top = state.problem.rigid_bodies[1].reference
    moment = np.cross(mesh.points[on_top] - at, force[on_top]).sum(axis=0)

    found = external_load_above(state, sides, at)

    assert_array_equal(found[0], wrench[:3] + force[on_top].sum(axis=0))
    assert_array_equal(found[1], wrench[3:] + np.cross(top - at, wrench[:3]) + moment)


def test_groups_of_more_regions_than_a_label_has_bits_are_those_of_their_sets():
    rng = np.random.default_rng(5)
    inside = rng.random((100, 300)) < 0.02
    regions = {f"r{n}": Region(np.flatnonzero(row), np.ones(row.sum())) for n, row in enumerate(inside)}

    sets, expected = np.unique(inside.T, axis=0, return_inverse=True)

    assert len(sets) > 100
    assert_array_equal(region_groups(regions, 300), expected.ravel())


def test_new_moduli_on_a_used_mesh_have_stiffness_of_their_own(column, given_state):
    mesh = column.mesh()
    u = displacement(mesh)
    soft, stiff = (Elasticity(np.full(len(mesh.cells), e), np.zeros(len(mesh.cells))) for e in (100.0, 200.0))
    first, second = (numbers(given_state(mesh, u, e))["L1", "cut_axial_force_n"] for e in (soft, stiff))

    assert second == 2.0 * first
