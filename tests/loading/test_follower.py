"""Follower load: every disc carries the force along its own chord, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.column import build_column
from fesolver.errors import InputError
from fesolver.fem.cuts import CutForces
from fesolver.loading.follower import body_points, chord_directions, follower_forces, follower_load, spread_over_body
from fesolver.loading.load_case import LoadCase, isolated_load_case
from fesolver.loading.pads import check_load_case
from fesolver.meshing.regions import cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import mesh_column
from fesolver.outcomes.cuts import cut_part
from fesolver.outcomes.equilibrium import IMBALANCE_TOLERANCE, check_equilibrium, list_reactions
from fesolver.outcomes.parts import discs, part_fraction
from fesolver.outcomes.rotation import rotation_values
from fesolver.outcomes.state import OutcomeSettings, SolvedState
from fesolver.outcomes.stiffness import stiffness_values
from fesolver.solvers.prepare import prepare
from fesolver.study.config import study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.model import Model, build_models, make_problem
from fesolver.study.progress import SilentProgress
from fesolver.study.stages import Stages
from fesolver.study.state_solver import solved_state

LEVELS = ("L1", "L2", "L3", "L4", "L5")
FORCE = 700.0
PLACES = np.array([[1.0, -3.0, 90.0], [-2.0, -9.0, 61.0], [0.5, -14.0, 30.0], [3.0, -6.0, -2.0]])
"""A chain that bends in both planes."""


@cache
def model(element: str = "hex8") -> Model:
    """The lumbar spine with its lordosis, on coarse cells."""
    config = study_from_dict(
        {
            "schema": 1,
            "name": "lumbar",
            "input": {"kind": "parametric", "t_score": -1.0},
            "segment": {"levels": list(LEVELS), "refinement": 0.25, "element": element},
        }
    )
    return build_models(config, read_data(config), Stages(SilentProgress())).intact


@cache
def solve(method: str = "direct", rtol: float = 1e-9, **keys: Any) -> SolvedState:
    """The lumbar spine under a load case without axial force."""
    load_case = LoadCase(**{"force_n": 0.0, "top": "free", **keys})
    problem, pads = make_problem(model(), load_case)
    solution = prepare(problem, method=method, threads=1).solve(pads.loads, rtol=rtol)
    return solved_state("follower", model(), load_case, problem, pads, solution)


def disc_cuts(state: SolvedState) -> list[CutForces]:
    """Force and moment, about the disc's centre, across every disc.

    Along the disc's own plane: one normal to z would run into the bone beside a tilted disc, which carries a body's
    share of the load.
    """
    frames = [(disc, state.mesh.frames[disc]) for disc in discs(state.mesh)]
    return [cut_part(state, disc, point=frame.origin, normal=frame.axes[2])[0] for disc, frame in frames]


@pytest.mark.parametrize("method", ["direct", "amg"])
def test_every_disc_of_a_curved_spine_carries_the_follower_load_along_its_own_chord(method):
    state = solve(method, follower_n=FORCE)
    points = body_points(state.mesh)
    directions = chord_directions(points)

    assert abs(directions[:, 1]).max() > 0.2  # lordosis: the chords are well off the axis, on both sides of it
    assert directions[:, 1].min() < 0.0 < directions[:, 1].max()
    for cut, direction, upper, lower in zip(disc_cuts(state), directions, points[:-1], points[1:], strict=True):
        assert_allclose(cut.force, FORCE * direction, rtol=0, atol=1e-6 * FORCE)
        # On the chord's line: no moment about either end of it, 1e-6 of the force times the chord's length.
        for end in (upper, lower):
            moment = cut.moment + np.cross(cut.about - end, cut.force)
            assert np.linalg.norm(moment) < 1e-6 * FORCE * np.linalg.norm(upper - lower)


def test_every_cut_balances_a_follower_load_with_moments_and_a_force():
    state = solve(follower_n=500.0, force_n=100.0, flexion_nm=5.0, lateral_bending_nm=-2.0, axial_rotation_nm=3.0)

    cuts = check_equilibrium(state)

    assert len(cuts) == 9
    assert max(cut.imbalance for cut in cuts) < IMBALANCE_TOLERANCE
    top, bottom = (next(r for r in list_reactions(state) if r.name == name) for name in ("top", "bottom"))
    assert_allclose(top.force, [0.0, 0.0, -100.0], atol=1e-6)
    assert_allclose(top.moment, [5000.0, -2000.0, 3000.0], atol=1e-4)
    # The support answers to the last chord and the axial force.
    expected = 500.0 * chord_directions(body_points(state.mesh))[-1] + [0.0, 0.0, -100.0]
    assert_allclose(bottom.force, -expected, atol=1e-4)


def test_a_nodal_force_left_out_of_the_balance_is_seen():
    state = solve(follower_n=FORCE)
    silent = replace(state, loads=replace(state.loads, nodal_force=None))

    assert not any(cut.is_balanced for cut in check_equilibrium(silent))


def test_a_top_that_may_not_move_sideways_adds_its_own_reaction_to_every_disc():
    state = solve(follower_n=FORCE, top="tilt")
    side = next(r for r in list_reactions(state) if r.name == "top").force

    assert abs(side[1]) > 1.0
    assert abs(side[2]) < 1e-6
    for cut, direction in zip(disc_cuts(state), chord_directions(body_points(state.mesh)), strict=True):
        assert_allclose(cut.force, FORCE * direction + side, rtol=0, atol=1e-6 * FORCE)


def test_a_pure_moment_is_the_same_in_every_disc_and_brings_no_force():
    moment = np.array([7.5, 2.0, -4.0])
    state = solve(flexion_nm=7.5, lateral_bending_nm=2.0, axial_rotation_nm=-4.0)

    for cut in disc_cuts(state):
        assert_allclose(cut.moment, 1000.0 * moment, atol=1e-6 * 7500.0)
        assert np.linalg.norm(cut.force) < 1e-6 * 7500.0 / 30.0  # over the distance between bodies
    reactions = {r.name: r for r in list_reactions(state)}
    assert reactions["bottom"].sideways_fraction == 0.0  # of no force
    assert max(cut.imbalance for cut in check_equilibrium(state)) < IMBALANCE_TOLERANCE


def test_the_body_forces_turn_the_resultant_from_chord_to_chord_about_the_body_points():
    forces = follower_forces(PLACES, FORCE)

    for chord, direction in enumerate(chord_directions(PLACES)):
        above = slice(0, chord + 1)
        assert_allclose(forces[above].sum(axis=0), FORCE * direction, rtol=1e-14, atol=1e-11)
        for place in (PLACES[chord], PLACES[chord + 1], 0.3 * PLACES[chord] + 0.7 * PLACES[chord + 1]):
            moment = np.cross(PLACES[above] - place, forces[above]).sum(axis=0)
            assert_allclose(moment, 0.0, atol=1e-12 * FORCE * 100.0)  # round-off of arms of 100 mm
    assert_allclose(forces[-1], 0.0)


def test_bodies_on_a_straight_line_get_no_force_but_the_first():
    forces = follower_forces(np.outer([90.0, 55.0, 24.0], [0.0, 0.6, 0.8]), FORCE)

    assert_allclose(forces[0], [0.0, -0.6 * FORCE, -0.8 * FORCE], rtol=1e-14)
    assert_allclose(forces[1:], 0.0, atol=1e-12)


@cache
def pair(element: str) -> SpineMesh:
    return mesh_column(build_column(["L1", "L2"]), refinement=0.25, element=element).mesh  # type: ignore[arg-type]


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_a_spread_force_has_its_resultant_and_no_moment_about_its_place(element):
    mesh, force, at = pair(element), np.array([120.0, -50.0, -600.0]), np.array([4.0, -9.0, 20.0])

    nodal = spread_over_body(mesh, "L1", force, at)

    assert_allclose(nodal.sum(axis=0), force, rtol=1e-12)
    assert_allclose(np.cross(mesh.points - at, nodal).sum(axis=0), 0.0, atol=1e-10 * 600.0 * 20.0)
    outside = np.setdiff1d(np.arange(len(mesh.points)), mesh.cells[mesh.level_cells("L1")])
    assert not nodal[outside].any()


def test_a_force_through_the_centroid_is_uniform_over_the_body():
    mesh = pair("hex8")

    nodal = spread_over_body(mesh, "L2", [0.0, 0.0, -1.0], mesh.frames["L2"].origin)

    # Consistent forces of a uniform body force do the work of the force on the mean displacement of a linear field.
    volume = part_fraction(mesh, "L2") * cell_volumes(mesh)
    assert_allclose(nodal[:, :2], 0.0, atol=1e-15)
    assert_allclose(nodal[:, 2].sum(), -1.0, rtol=1e-12)
    assert_allclose(mesh.points.T @ nodal[:, 2], -mesh.frames["L2"].origin, atol=1e-11)
    assert len(np.flatnonzero(nodal[:, 2])) == len(np.unique(mesh.cells[volume > 0.0]))


def test_a_cell_counts_by_the_part_of_it_that_the_body_fills():
    mesh = pair("hex8")
    name = "L1/trabecular"
    region = mesh.regions[name]
    half = replace(region, fraction=0.5 * region.fraction)
    other = replace(mesh, regions={**mesh.regions, name: half, "L1/posterior": half})

    whole, less = (spread_over_body(m, "L1", [0.0, 0.0, 1.0], m.frames["L1"].origin) for m in (mesh, other))

    # Shell and endplates keep their weight, the core has half of it: points inside carry less, the rim more.
    inside = np.setdiff1d(mesh.cells[region.cells], np.delete(mesh.cells, region.cells, axis=0))
    volume = cell_volumes(mesh)
    full = float(volume @ part_fraction(mesh, "L1"))
    core = float(volume[region.cells] @ region.fraction)
    assert len(inside)
    # The linear part is small: the halved body's centroid hardly moves (0.2 mm here).
    assert_allclose(less[inside, 2] / whole[inside, 2], 0.5 * full / (full - 0.5 * core), rtol=0.02)


@pytest.mark.parametrize("method", ["direct", "amg"])
def test_nodal_forces_on_the_points_of_a_pad_act_on_the_pad(method):
    load_case = LoadCase(force_n=300.0, top="free")
    problem, pads = make_problem(model(), load_case)
    body = next(b for b in pads.rigid_bodies if b.name == "top")
    # Equal forces at the points act at their mean; the difference to the load point is a moment on the pad.
    nodal = np.zeros_like(problem.points)
    nodal[body.points] = [0.0, 0.0, -300.0 / len(body.points)]
    arm = problem.points[body.points].mean(axis=0) - body.reference
    given = pads.loads.rigid["top"]
    turned = replace(given, moment=np.cross(arm, given.force))
    system = prepare(problem, method=method, threads=1)

    by_points = system.solve(replace(pads.loads, nodal_force=nodal, rigid={}), rtol=1e-9)
    by_pad = system.solve(replace(pads.loads, rigid={"top": turned}), rtol=1e-9)

    # Two solves to a residual of 1e-9, of a system whose pad moves much more easily than its cells.
    assert_allclose(by_points.u, by_pad.u, atol=1e-7 * np.abs(by_pad.u).max())
    assert_allclose(by_points.rigid_reaction["top"], 0.0, atol=1e-4)  # of 300 N and N mm


def test_stated_body_points_replace_centroids():
    mesh = pair("hex8")
    behind = mesh.frames["L1"].origin + np.array([0.0, 5.0, 0.0])

    assert_allclose(body_points(mesh, {"L1": behind}), [behind, mesh.frames["L2"].origin])
    nodal = follower_load(mesh, 500.0, {"L1": behind})
    moment = np.cross(mesh.points - behind, nodal).sum(axis=0)
    assert_allclose(moment, 0.0, atol=1e-7)
    chord = mesh.frames["L2"].origin - behind
    assert_allclose(nodal.sum(axis=0), 500.0 * chord / np.linalg.norm(chord), rtol=1e-12)


def test_stiffness_is_left_out_where_the_motion_is_not_that_of_an_axial_force():
    def given(**keys: float) -> set[str]:
        return {v.quantity for v in stiffness_values(solve(**keys), {}, OutcomeSettings())}

    point = {"load_point_force_n", "load_point_displacement_mm"}
    parts = {"vertebra_stiffness_n_per_mm", "disc_stiffness_n_per_mm"}
    assert given(flexion_nm=7.5) == point
    assert given(follower_n=FORCE) == point | parts
    assert given(force_n=300.0) == point | parts | {"segment_stiffness_n_per_mm"}


def test_rotations_of_a_spine_in_flexion_add_up_and_grow_upwards():
    values = {(v.level, v.quantity): v.value for v in rotation_values(solve(flexion_nm=7.5), {}, OutcomeSettings())}
    flexion = [values[level, "flexion_rotation_deg"] for level in LEVELS]
    of_discs = [values[disc, "flexion_rotation_deg"] for disc in discs(model().mesh)]

    assert np.all(np.diff(flexion) < 0.0)  # the cranial body turns most, forward
    assert min(of_discs) > 0.0
    assert sum(of_discs) == pytest.approx(values["segment", "flexion_rotation_deg"], rel=1e-12)
    # A spine of symmetric bodies bends in its own plane.
    assert abs(values["segment", "left_bending_rotation_deg"]) < 1e-6 * flexion[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"follower_n": -1.0}, "follower_n must be finite and not negative, got -1.0"),
        ({"follower_n": np.nan}, "follower_n must be finite"),
        ({"follower_n": 5.0, "force_n": -1.0}, "force_n must be positive"),
        ({"follower_n": 5.0, "control": "displacement", "displacement_mm": 1.0}, "follower load beside a given"),
    ],
)
def test_a_follower_load_that_cannot_be_applied_is_an_input_error(arguments, message):
    with pytest.raises(InputError, match=message):
        check_load_case(LoadCase(**arguments))


def test_points_that_give_no_chord_are_refused():
    mesh = pair("hex8")

    with pytest.raises(InputError, match="needs the chord between two bodies; there are 1"):
        follower_forces(PLACES[:1], FORCE)
    with pytest.raises(InputError, match=r"coincide at \[1.0, -3.0, 90.0\] mm"):
        chord_directions([PLACES[0], PLACES[0]])
    with pytest.raises(InputError, match="given for L7, no level of the mesh"):
        body_points(mesh, {"L7": [0.0, 0.0, 0.0]})
    with pytest.raises(InputError, match="point of L2 must be three finite numbers"):
        body_points(mesh, {"L2": [0.0, np.nan, 0.0]})


def test_one_body_alone_is_pressed_whatever_the_segment_is_loaded_by():
    bent = LoadCase("bent", force_n=0.0, top="free", flexion_nm=7.5, follower_n=1175.0)

    assert isolated_load_case(bent) == LoadCase("isolated", force_n=1175.0, top="fixed")
    assert isolated_load_case(replace(bent, follower_n=0.0)).force_n == LoadCase.force_n
    assert isolated_load_case(LoadCase(force_n=320.0, offset_anterior_mm=4.0)) == LoadCase(
        "isolated", force_n=320.0, top="fixed"
    )
    check_load_case(isolated_load_case(bent))
