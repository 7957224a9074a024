"""Rotations of bodies and discs, and what ligaments, fibres and facets carry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.tissue import Region
from fesolver.fem.problem import Connections, Elasticity
from fesolver.outcomes.connections import connection_values, fibre_strain
from fesolver.outcomes.registry import OUTCOMES, evaluate, select_outcomes
from fesolver.outcomes.rotation import ROTATIONS, body_motion, rotation_values, rotation_warnings
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.solvers.solution import ConnectionState

SETTINGS = OutcomeSettings()
UPPER, LOWER = np.array([3e-2, -2e-2, 1e-2]), np.array([1e-2, 5e-3, -4e-3])


def turned(mesh) -> np.ndarray:
    """L1 and L2 moved as rigid bodies, each its own way; the disc is stretched between them."""
    u = np.zeros_like(mesh.points)
    for level, turn, about in (("L1", UPPER, [2.0, -3.0, 8.0]), ("L2", LOWER, [-1.0, 4.0, 1.0])):
        ids = np.unique(mesh.cells[mesh.level_cells(level)])
        u[ids] = np.array([0.1, -0.2, 0.3]) + np.cross(turn, mesh.points[ids] - about)
    return u


@pytest.fixture
def pair(column, given_state) -> SolvedState:
    mesh = column.mesh()
    points = mesh.points + 0.05 * np.sin(7.0 * mesh.points[:, [1, 2, 0]])  # cells of unequal shape and volume
    mesh = replace(mesh, points=points, lattice=None)
    held = replace(mesh, points=column.mesh().points)  # flat ends for the fixture's pads
    state = given_state(held, turned(mesh))
    return replace(state, mesh=mesh, problem=replace(state.problem, points=points))


def by_name(values: list[Value]) -> dict[tuple[str, str], float]:
    return {(v.level, v.quantity): v.value for v in values}


def test_bodies_that_move_rigidly_turn_by_their_own_rotation(pair):
    found = by_name(rotation_values(pair, {}, SETTINGS))

    for at, quantity in enumerate(ROTATIONS):
        assert found["L1", quantity] == pytest.approx(np.degrees(UPPER[at]), abs=1e-12)
        assert found["L2", quantity] == pytest.approx(np.degrees(LOWER[at]), abs=1e-12)


def test_a_disc_turns_by_its_upper_body_against_its_lower_one(pair):
    found = by_name(rotation_values(pair, {}, SETTINGS))

    for at, quantity in enumerate(ROTATIONS):
        assert found["L1-L2", quantity] == pytest.approx(np.degrees(UPPER[at] - LOWER[at]), abs=1e-12)
        assert found["segment", quantity] == pytest.approx(found["L1-L2", quantity], abs=1e-12)


@pytest.mark.parametrize(
    ("quantity", "edge", "goes"),
    [
        ("flexion_rotation_deg", (1, -1.0), (2, -1.0)),  # the front down
        ("left_bending_rotation_deg", (0, 1.0), (2, -1.0)),  # the left down
        ("left_axial_rotation_deg", (1, -1.0), (0, 1.0)),  # the front to the left
    ],
)
def test_rotations_are_positive_where_the_front_or_the_left_goes(column, given_state, quantity, edge, goes):
    mesh = column.mesh()
    arms = mesh.points - mesh.points.mean(axis=0)
    u = np.zeros_like(mesh.points)
    u[:, goes[0]] = 1e-3 * goes[1] * edge[1] * arms[:, edge[0]]  # that edge goes there, the opposite one the other way

    found = by_name(rotation_values(given_state(mesh, u), {}, SETTINGS))

    assert found["L1", quantity] > 0.0
    assert found["L2", quantity] > 0.0


def test_the_motion_of_a_body_weighs_by_volume(column, given_state):
    mesh = column.mesh()
    width, n, k = column.n * column.spacing[1], column.n, 1e-3
    points = mesh.points.copy()
    points[:, 1] = points[:, 1] ** 2 / width  # thin cells in front, thick ones behind
    u = np.zeros_like(points)
    u[:, 2] = k * points[:, 1] ** 2
    state = given_state(replace(mesh, points=points, lattice=None), u)

    motion = body_motion(state, "L1")

    # Least squares of the turn about x: k cov(y, y^2) / (var y + var z), planes of points by half of
    # the cells beside them.
    y = np.linspace(0.0, width, n + 1) ** 2 / width
    w = np.convolve(np.diff(y), [0.5, 0.5]) / width
    z = np.arange(5.0)
    v = np.array([0.5, 1.0, 1.0, 1.0, 0.5]) / 4.0
    cov = w @ ((y - w @ y) * y**2)
    expected = k * cov / (w @ (y - w @ y) ** 2 + v @ (z - 2.0) ** 2)
    assert motion.rotation[0] == pytest.approx(expected, rel=1e-12)
    assert_allclose(motion.rotation[1:], 0.0, atol=1e-15)


def test_a_body_alone_has_a_rotation_and_no_disc_or_segment(pair, column, given_state):
    alone = replace(column, heights=(4,)).mesh()
    values = rotation_values(given_state(alone, np.zeros_like(alone.points)), {}, SETTINGS)

    assert {v.level for v in values} == {"L1"}


def test_posterior_elements_do_not_turn_a_body(pair):
    mesh = pair.mesh
    cells = mesh.level_cells("L1")
    y = mesh.points[mesh.cells[cells]].mean(axis=1)[:, 1]
    behind = cells[y > np.quantile(y, 0.7)]
    regions = {"L1/posterior": Region(behind, np.ones(len(behind)))}
    for name, region in mesh.regions.items():
        kept = ~np.isin(region.cells, behind)
        regions[name] = Region(region.cells[kept], region.fraction[kept])
    only = np.setdiff1d(mesh.cells[behind], mesh.cells[np.setdiff1d(cells, behind)])
    u = pair.solution.u.copy()
    u[only] += np.array([0.0, 0.0, 5.0])
    state = replace(pair, mesh=replace(mesh, regions=regions), solution=replace(pair.solution, u=u))

    motion = body_motion(state, "L1")

    assert len(only) > 10
    assert_allclose(motion.rotation, UPPER, atol=1e-14)


def test_large_turns_of_a_disc_are_warned_of_and_those_of_a_body_are_not():
    values = [
        Value("L1", "flexion_rotation_deg", 19.0),
        Value("L1-L2", "flexion_rotation_deg", -5.5),
        Value("L2-L3", "flexion_rotation_deg", 5.0),
        Value("L3-L4", "left_axial_rotation_deg", 7.0),
        Value("L3-L4", "disc_area_mm2", 1500.0),
        Value("segment", "flexion_rotation_deg", 19.0),
    ]

    warnings = rotation_warnings(values)

    assert len(warnings) == 2
    assert warnings[0].startswith("L1-L2 turns by -5.5 degrees (flexion)")
    assert warnings[1].startswith("L3-L4 turns by 7.0 degrees (left axial)")
    assert all("beyond its range" in line for line in warnings)


def group(name: str, m: int, owners: np.ndarray | None = None, ends: np.ndarray | None = None) -> Connections:
    """Elements along x between two points each."""
    of = np.zeros(m, np.int64) if owners is None else owners
    points = np.tile([0, 1], m) if ends is None else ends.ravel()
    return Connections(
        name, np.arange(0, 2 * m + 1, 2), points, np.tile([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], (m, 1)),
        np.repeat(of, 2), np.zeros((m, 1)), np.tile([0.0, 1.0], (m, 1)), np.zeros(m),
    )  # fmt: skip


def with_connections(state: SolvedState, *groups: tuple[Connections, list[float], list[float]]) -> SolvedState:
    """A state whose groups have the given elongations and forces."""
    found = {
        c.name: ConnectionState(np.array(e, float), np.array(f, float), (np.array(f) > 0).astype(np.int64))
        for c, e, f in groups
    }
    return replace(
        state,
        problem=replace(state.problem, connections=tuple(c for c, *_ in groups)),
        solution=replace(state.solution, connections=found),
    )


def test_ligaments_pull_by_the_sum_of_their_strands(pair):
    state = with_connections(pair, (group("L1-L2/anterior_longitudinal", 3), [0.2, -0.1, 0.4], [5.0, 0.0, 8.0]))

    found = by_name(connection_values(state, {}, SETTINGS))

    assert found == {
        ("L1-L2", "anterior_longitudinal_tension_n"): 13.0,
        ("L1-L2", "anterior_longitudinal_pulling_fraction"): pytest.approx(2 / 3),
    }


def test_facet_forces_are_positive_where_the_joint_is_pressed(pair):
    state = with_connections(
        pair,
        (group("L1-L2/facet_left", 4), [-0.6, -0.7, 0.0, 0.1], [-20.0, -30.0, 0.0, 0.0]),
        (group("L1-L2/facet_right", 4), [0.1] * 4, [0.0] * 4),
    )

    found = by_name(connection_values(state, {}, SETTINGS))

    assert found["L1-L2", "facet_force_left_n"] == 50.0
    assert found["L1-L2", "facet_contact_left_fraction"] == 0.5
    assert found["L1-L2", "facet_force_right_n"] == 0.0
    assert not np.signbit(found["L1-L2", "facet_force_right_n"])


def test_fibres_count_by_the_volume_of_their_cells_and_strain_by_their_length(pair):
    cells = np.array([3, 40, 41])
    ends = pair.mesh.cells[cells][:, [0, 1]]  # along x
    length = np.diff(pair.mesh.points[ends][:, :, 0], axis=1)[:, 0]
    fibres = group("L1-L2/fibres", 3, cells, ends)
    strain = np.array([0.01, 0.02, -0.03])
    state = with_connections(pair, (fibres, list(strain * length), [4.0, 3.0, 0.0]))

    found = by_name(connection_values(state, {}, SETTINGS))

    volume = pair.cell_volumes[cells]
    assert found["L1-L2", "fibres_pulling_fraction"] == pytest.approx((volume[0] + volume[1]) / volume.sum(), rel=1e-12)
    assert found["L1-L2", "fibres_tension_max_mesh_dependent_n"] == 4.0
    assert found["L1-L2", "fibres_strain_max_mesh_dependent"] == pytest.approx(0.02, rel=1e-12)
    assert_allclose(fibre_strain(fibres, pair.mesh.points, strain * length), strain, rtol=1e-12)


def test_a_problem_without_connections_gives_no_values_of_them(pair):
    assert connection_values(pair, {}, SETTINGS) == []
    values = evaluate(select_outcomes(["rotation", "connections"]), pair)
    assert {v.quantity for v in values} == set(ROTATIONS)
    assert OUTCOMES["connections"].needs == ("segment",)


def test_a_solved_column_bends_forward_under_a_force_in_front(column, solved_state):
    mesh = column.mesh()
    n = len(mesh.cells)
    state = solved_state(mesh, Elasticity(np.full(n, 100.0), np.zeros(n)), top="free", offset=2.0)

    found = by_name(rotation_values(state, {}, SETTINGS))

    # Pure bending by F e: curvature F e / (E I) over the 6 mm between the bodies' centres, to what 6 bricks across the
    # depth are off in bending.
    inertia = (column.n * 1.5) ** 4 / 12.0
    expected = np.degrees(500.0 * 2.0 * 6.0 / (100.0 * inertia))
    assert found["L1-L2", "flexion_rotation_deg"] == pytest.approx(expected, rel=0.03)
