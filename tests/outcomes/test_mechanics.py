"""Stiffness, cuts, shares, energy and equilibrium on columns with exact solutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.tissue import Region
from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.hooke import isotropic_elasticity
from fesolver.fem.problem import Elasticity
from fesolver.outcomes.cuts import axial_moduli, cells_below, cut_area, cut_part, split_axial_force
from fesolver.outcomes.disc import disc_values
from fesolver.outcomes.energy import energy_values
from fesolver.outcomes.equilibrium import check_equilibrium, external_load_above, list_reactions
from fesolver.outcomes.load_share import body_force_split, load_share_values
from fesolver.outcomes.parts import part_rank, parts
from fesolver.outcomes.state import OutcomeSettings
from fesolver.outcomes.stiffness import axial_stiffness, stiffness_between, stiffness_values
from fesolver.outcomes.strength import BLIND_TO_LOAD_TRANSFER, strength_values

SETTINGS = OutcomeSettings()
AXIS = np.array([0.0, 0.0, 1.0])
YOUNG = {"trabecular": 200.0, "cortical": 8000.0, "annulus": 8.0, "nucleus": 2.0}
UNIFORM = {"trabecular": 200.0, "cortical": 200.0, "annulus": 8.0, "nucleus": 8.0}
BODY_RING, BODY_CORE = 20 * 2.25, 16 * 2.25  # mm2 of the 6 x 6 section of 1.5 mm cells


def table(values):
    return {(v.level, v.quantity): v.value for v in values}


def test_parts_run_from_cranial_to_caudal(column):
    mesh = column.mesh()

    assert parts(mesh) == ("L1", "L1-L2", "L2")
    z = mesh.points[mesh.cells].mean(axis=1)[:, 2]
    assert_allclose(part_rank(mesh), np.select([z > 6, z > 4], [0, 1], 2))


def test_stiffnesses_of_a_series_column_are_those_of_its_members(column, solved_state):
    """nu = 0: one-dimensional, k = E A / h for each member."""
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, UNIFORM))
    numbers = table(stiffness_values(state, {}, SETTINGS))
    body, disc = 200.0 * 81.0 / 4.0, 8.0 * 81.0 / 2.0

    assert numbers["L1", "vertebra_stiffness_n_per_mm"] == pytest.approx(body, rel=1e-8)
    assert numbers["L2", "vertebra_stiffness_n_per_mm"] == pytest.approx(body, rel=1e-8)
    assert numbers["L1-L2", "disc_stiffness_n_per_mm"] == pytest.approx(disc, rel=1e-8)
    assert numbers["segment", "segment_stiffness_n_per_mm"] == pytest.approx(1 / (2 / body + 1 / disc), rel=1e-8)
    assert numbers["segment", "load_point_force_n"] == pytest.approx(-500.0, rel=1e-8)


def test_stiffness_of_a_part_does_not_see_rigid_motion(column, solved_state, given_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))
    rigid = np.array([1.0, 2.0, 3.0]) + np.cross([0.02, -0.01, 0.03], mesh.points)
    moved = replace(state, solution=replace(state.solution, u=state.solution.u + rigid))
    faces = {"lower": "L1/inferior_endplate", "upper": "L1/superior_endplate"}

    assert stiffness_between(moved, "L1", **faces) == pytest.approx(stiffness_between(state, "L1", **faces), rel=1e-9)


def test_shell_and_core_of_a_parallel_column_share_by_area_times_modulus(column, solved_state):
    """nu = 0 between rigid ends: one axial strain, so each material carries E A, also inside the mixed ring."""
    alone = replace(column, heights=(6,))
    mesh = alone.mesh()
    state = solved_state(mesh, alone.elasticity(mesh, YOUNG))
    shell = 8000.0 * 0.4 * BODY_RING
    core = 200.0 * (0.6 * BODY_RING + BODY_CORE)

    numbers = table(load_share_values(state, {}, SETTINGS))

    for place in ("mid", "near_inferior_endplate", "near_superior_endplate"):
        assert numbers["L1", f"shell_load_share_{place}"] == pytest.approx(shell / (shell + core), rel=1e-9)
        assert numbers["L1", f"core_axial_force_{place}_n"] == pytest.approx(-500 * core / (shell + core), rel=1e-9)


def test_shares_are_taken_at_their_own_heights(column, solved_state):
    """Ten rows, the shell only in the lowest two: it shows in the cut at 10 % alone."""
    alone = replace(column, heights=(10,))
    mesh = alone.mesh()
    low = mesh.points[mesh.cells].mean(axis=1)[:, 2] < 2.0
    cortical, trabecular = mesh.regions["L1/cortical"], mesh.regions["L1/trabecular"]
    shell = cortical.cells[low[cortical.cells]]
    fraction = np.where(np.isin(trabecular.cells, shell), 0.6, 1.0)
    regions = {
        "L1/cortical": Region(shell, np.full(len(shell), 0.4)),
        "L1/trabecular": Region(trabecular.cells, fraction),
    }
    mesh = replace(mesh, regions=regions)
    numbers = table(load_share_values(solved_state(mesh, alone.elasticity(mesh, YOUNG)), {}, SETTINGS))

    assert numbers["L1", "shell_load_share_near_inferior_endplate"] > 0.5
    assert numbers["L1", "shell_load_share_mid"] == 0.0
    assert numbers["L1", "shell_load_share_near_superior_endplate"] == 0.0
    assert numbers["L1", "core_load_share_mid"] == pytest.approx(1.0)


def test_cement_counts_to_the_core_and_takes_its_modulus_share(column, solved_state):
    """A column of 25 % bone, 75 % cement up the middle: iso-strain again."""
    alone = replace(column, heights=(6,))
    mesh = alone.mesh()
    trabecular = mesh.regions["L1/trabecular"]
    inner = trabecular.cells[trabecular.fraction == 1.0]
    fraction = np.where(np.isin(trabecular.cells, inner), 0.25, trabecular.fraction)
    regions = {**mesh.regions, "L1/trabecular": Region(trabecular.cells, fraction)}
    regions["L1/cement"] = Region(inner, np.full(len(inner), 0.75))
    mesh = replace(mesh, regions=regions)
    state = solved_state(mesh, alone.elasticity(mesh, {**YOUNG, "cement": 2000.0}))
    shell = 8000.0 * 0.4 * BODY_RING
    cement = 2000.0 * 0.75 * BODY_CORE
    bone = 200.0 * (0.6 * BODY_RING + 0.25 * BODY_CORE)
    cut, _ = cut_part(state, "L1", point=np.array([4.5, 4.5, 3.0]), normal=AXIS)

    force = split_axial_force(state, cut, "L1", AXIS)
    share = body_force_split(state, "L1", 0.5)

    assert force["cement"] == pytest.approx(-500.0 * cement / (shell + cement + bone), rel=1e-9)
    assert share["core"] == pytest.approx(-500.0 * (cement + bone) / (shell + cement + bone), rel=1e-9)
    assert sum(force.values()) == pytest.approx(-500.0, rel=1e-9)


def test_moduli_per_cell_split_as_the_single_unknown_does(column, solved_state):
    """Trabecular moduli that differ from cell to cell, given or left as the rest of a mixed cell."""
    alone = replace(column, heights=(6,))
    mesh = alone.mesh()
    trabecular = mesh.regions["L1/trabecular"]
    young = np.random.default_rng(4).uniform(50.0, 500.0, len(trabecular.cells))
    total = np.zeros(len(mesh.cells))
    total[trabecular.cells] += trabecular.fraction * young
    total[mesh.regions["L1/cortical"].cells] += 0.4 * 8000.0
    state = solved_state(mesh, Elasticity(total, np.full(len(total), 0.3)))
    given = replace(state, region_young={**state.region_young, "L1/trabecular": young})

    assert body_force_split(given, "L1", 0.5) == pytest.approx(body_force_split(state, "L1", 0.5), rel=1e-12)
    with pytest.raises(InputError, match="region_young of 'L1/trabecular' has shape"):
        replace(state, region_young={"L1/trabecular": young[1:]})


def test_two_materials_of_unknown_modulus_in_one_cell_are_refused(column, solved_state):
    alone = replace(column, heights=(6,))
    mesh = alone.mesh()
    state = replace(solved_state(mesh, alone.elasticity(mesh, YOUNG)), region_young={})

    with pytest.raises(InputError, match="L1/trabecular and L1/cortical") as caught:
        body_force_split(state, "L1", 0.5)

    assert "mm" in caught.value.where
    assert "region_young" in caught.value.fix


def test_axial_modulus_of_a_general_cell_is_that_of_its_compliance():
    matrices = isotropic_elasticity(np.array([700.0, 90.0]), 0.3)
    state = type("S", (), {"elasticity": Elasticity(np.full(4, 10.0), np.full(4, 0.3), np.array([1, 3]), matrices)})

    assert_allclose(axial_moduli(state, np.array([0, 1, 2, 3])), [10.0, 700.0, 10.0, 90.0], rtol=1e-12)


def test_nucleus_and_annulus_carry_their_areas_share(column, solved_state):
    """nu = 0: the disc between much stiffer bodies is a parallel column; its pressure is -sigma_zz / 3."""
    mesh = column.mesh()
    stiff = {"trabecular": 1e7, "cortical": 1e7, "annulus": 8.0, "nucleus": 2.0}
    state = solved_state(mesh, column.elasticity(mesh, stiff), method="direct", rtol=1e-7)  # contrast of 1e6
    state = replace(
        state, region_young={"L1-L2/annulus": 8.0, "L1-L2/nucleus": 2.0, "L1/cortical": 1e7, "L2/cortical": 1e7}
    )
    numbers = table(disc_values(state, {}, SETTINGS))
    nucleus, annulus = 2.0 * BODY_CORE, 8.0 * BODY_RING
    force = 500.0 * nucleus / (nucleus + annulus)

    assert numbers["L1-L2", "disc_area_mm2"] == pytest.approx(81.0)
    # The bodies are 1e6 stiffer, not rigid.
    assert numbers["L1-L2", "nucleus_axial_force_n"] == pytest.approx(-force, rel=1e-5)
    assert numbers["L1-L2", "nucleus_load_share"] == pytest.approx(force / 500.0, rel=1e-5)
    assert numbers["L1-L2", "nucleus_pressure_mpa"] == pytest.approx(force / BODY_CORE / 3.0, rel=1e-5)
    assert numbers["L1-L2", "nucleus_pressure_over_mean_pressure"] == pytest.approx(
        (force / BODY_CORE / 3.0) / (500.0 / 81.0), rel=1e-5
    )


@pytest.mark.parametrize("tilt_deg", [0.0, 15.0, 30.0])
def test_a_stepped_cut_passes_the_whole_force_and_its_true_area(column, solved_state, tilt_deg):
    mesh = replace(column, heights=(6, 4, 6)).mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG, poisson=0.3), top="tilt")
    normal = np.array([np.sin(np.radians(tilt_deg)), 0.0, np.cos(np.radians(tilt_deg))])
    cut, below = cut_part(state, "L1", point=mesh.frames["L1"].origin, normal=normal)

    assert_allclose(cut.force, state.solution.rigid_reaction["top"][:3], atol=1e-6)
    # The vector area of a stepped section is that of its rim; seen along z it is the cross-section.
    assert cut_area(state, "L1", below, AXIS) == pytest.approx(81.0)


def test_a_cut_through_a_tilted_disc_leaves_the_bone_whole(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))
    steep = np.array([np.sin(1.0), 0.0, np.cos(1.0)])

    below = cells_below(state, "L1-L2", point=mesh.frames["L1-L2"].origin, normal=steep)

    assert below[mesh.level_cells("L2")].all()
    assert not below[mesh.level_cells("L1")].any()


def test_a_cut_that_separates_nothing_is_refused(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))

    with pytest.raises(InputError, match="on one side"):
        cells_below(state, "L1-L2", point=np.array([0.0, 0.0, 4.4]), normal=AXIS)


@pytest.mark.parametrize(("top", "offset"), [("fixed", 0.0), ("tilt", 2.0), ("free", 1.0)])
def test_energy_is_half_of_force_times_displacement(column, solved_state, top, offset):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG, poisson=0.3), top=top, offset=offset)
    numbers = table(energy_values(state, {}, SETTINGS))
    whole = numbers["segment", "strain_energy_n_mm"]

    assert whole == pytest.approx(0.5 * state.axial_force * state.axial_displacement, rel=1e-8)
    assert sum(numbers[part, "strain_energy_n_mm"] for part in parts(mesh)) == pytest.approx(whole, rel=1e-12)
    density = numbers["segment", "strain_energy_density_mean_n_mm_per_mm3"]
    assert density == pytest.approx(whole / (81.0 * 10.0), rel=1e-12)


@pytest.mark.parametrize("method", ["direct", "voxel-multigrid"])
@pytest.mark.parametrize(("top", "offset"), [("fixed", 2.0), ("tilt", 2.0), ("free", 1.0)])
def test_every_cut_balances_the_loads_beyond_it(column, solved_state, top, offset, method):
    mesh = column.mesh()
    state = solved_state(
        mesh, column.elasticity(mesh, YOUNG, poisson=0.3), top=top, offset=offset, method=method, rtol=1e-8
    )

    cuts = check_equilibrium(state)

    assert [cut.name for cut in cuts] == ["L1", "L1-L2", "L2"]
    for cut in cuts:
        assert cut.is_balanced, cut
        assert cut.force[2] == pytest.approx(-500.0, rel=1e-6)
    if top == "free":  # statically determinate: M_x = -offset * (-F) ... r x F with r_y = -offset
        assert_allclose(cuts[0].moment, [offset * 500.0, 0.0, 0.0], atol=1e-3)
        assert_allclose(cuts[0].force[:2], 0.0, atol=1e-4)


def test_a_wrong_force_is_seen_at_every_cut(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG, poisson=0.3))
    rigid = {"top": replace(state.loads.rigid["top"], force=np.array([0.0, 0.0, -500.01]))}

    cuts = check_equilibrium(replace(state, loads=replace(state.loads, rigid=rigid)))

    assert [cut.imbalance for cut in cuts] == pytest.approx([2e-5] * 3, rel=1e-2)
    assert not any(cut.is_balanced for cut in cuts)


def test_nodal_forces_and_prescribed_motion_count_as_external(column, solved_state):
    """A segment held at its top points and pulled by forces inside: reactions and loads both enter the balance."""
    from fesolver.fem.problem import Loads, Problem
    from fesolver.fem.recovery import recover_fields
    from fesolver.solvers.prepare import prepare

    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG, poisson=0.3))
    top = state.problem.rigid_bodies[1].points
    dofs = np.sort((3 * top[:, None] + np.arange(3)).ravel())
    problem = Problem(
        mesh.points, mesh.cells, state.elasticity, prescribed_dofs=dofs, rigid_bodies=state.problem.rigid_bodies[:1]
    )
    forces = np.zeros_like(mesh.points)
    inside = np.setdiff1d(np.arange(len(mesh.points)), np.concatenate([top, problem.rigid_bodies[0].points]))
    forces[inside] = np.random.default_rng(0).normal(size=(len(inside), 3))
    loads = Loads(nodal_force=forces)
    solution = prepare(problem, threads=1).solve(loads, rtol=1e-10)
    pulled = replace(
        state,
        problem=problem,
        loads=loads,
        solution=solution,
        fields=recover_fields(problem, solution.u),
        load_body="bottom",
    )

    assert all(cut.is_balanced for cut in check_equilibrium(pulled))


def test_a_rigid_body_across_a_cut_is_refused(column, solved_state):
    from fesolver.fem.problem import RigidBody

    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))
    rod = RigidBody("rod", np.flatnonzero(mesh.points[:, 0] == 0.0), np.zeros(3), np.zeros(6, bool))
    state = replace(state, problem=replace(state.problem, rigid_bodies=(rod,)))
    below = cells_below(state, "L1", point=mesh.frames["L1"].origin, normal=AXIS)

    with pytest.raises(InputError, match="'rod' holds points on both sides"):
        external_load_above(state, below, mesh.frames["L1"].origin)


def test_sideways_reactions_are_measured_against_the_load(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))
    pushed = {**state.solution.rigid_reaction, "top": np.array([18.0, 24.0, -500.0, 0.0, 0.0, 0.0])}

    calm = {r.name: r for r in list_reactions(state)}
    sideways = {
        r.name: r for r in list_reactions(replace(state, solution=replace(state.solution, rigid_reaction=pushed)))
    }

    assert not calm["top"].is_sideways
    assert_allclose(calm["bottom"].force + calm["top"].force, 0.0, atol=1e-6)
    assert sideways["top"].sideways_fraction == pytest.approx(0.06)
    assert sideways["top"].is_sideways


def test_strength_is_the_coefficient_times_stiffness_times_height(column, solved_state):
    """A uniform body alone: k h = E A."""
    alone = replace(column, heights=(6,))
    mesh = alone.mesh()
    body = solved_state(mesh, alone.elasticity(mesh, UNIFORM))

    numbers = table(strength_values(body, {"L1": body}, SETTINGS))

    assert numbers["L1", "strength_isolated_n"] == pytest.approx(0.0068 * 200.0 * 81.0, rel=1e-8)
    assert numbers["L1", "isolated_stiffness_over_ea_h"] == pytest.approx(1.0, rel=1e-8)
    assert numbers["L1", "body_height_mm"] == pytest.approx(6.0)
    assert numbers["L1", "factor_of_risk_isolated"] == pytest.approx(500.0 / (0.0068 * 200.0 * 81.0), rel=1e-8)
    assert "blind to load transfer" in BLIND_TO_LOAD_TRANSFER


def test_a_missing_isolated_solve_is_refused(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))

    with pytest.raises(InputError, match="isolated solve of L1 is missing"):
        strength_values(state, {"L2": state}, SETTINGS)


def test_an_unconverged_solution_makes_no_state(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))

    with pytest.raises(ConvergenceError, match="stopped at a residual"):
        replace(state, solution=replace(state.solution, is_converged=False, residual_norms=(0.3,)))


def test_the_load_point_may_lie_beside_the_pads_reference(column, solved_state):
    """Displacement of the load point follows the pad's rotation: u + w x r."""
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG, poisson=0.3), top="tilt", offset=2.0)
    motion = state.solution.rigid_motion["top"]
    aside = replace(state, load_point=state.load_point + np.array([0.0, 1.0, 0.0]))

    assert axial_stiffness(state) > 0.0
    assert motion[3] != 0.0
    assert aside.axial_displacement == pytest.approx(motion[2] + motion[3] * 1.0, rel=1e-12)
