"""Trusses and springs: closed forms of bars, what is refused, and what members hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattices import all_dofs, box_mesh, on_plane, uniform, voxel_mesh
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.members import axial_forces, check_members, member_forces, springs, trusses
from fesolver.fem.problem import Members, Problem
from fesolver.fem.rigid_motions import MotionEquations, free_motions
from fesolver.fem.supports import check_supports


def solve(members: Members, n_points: int, free: list[int], force: np.ndarray) -> np.ndarray:
    """Displacement (n_points, 3) of members alone, by a dense stiffness: the other points do not move."""
    K = np.zeros((n_points, 3, n_points, 3))
    for (a, b), S in zip(members.ends, members.stiffness, strict=True):
        K[a, :, a] += S
        if b >= 0:
            K[b, :, b] += S
            K[a, :, b] -= S
            K[b, :, a] -= S
    u = np.zeros((n_points, 3))
    dofs = all_dofs(np.array(free))
    u.ravel()[dofs] = np.linalg.solve(K.reshape(3 * n_points, -1)[np.ix_(dofs, dofs)], force.ravel()[dofs])
    return u


def test_a_stretched_bar_pulls_its_ends_together_by_its_stiffness():
    points = np.array([[1.0, 2.0, 3.0], [1.0 + 3.0, 2.0, 3.0 + 4.0]])
    bar = trusses("bar", points, [[0, 1]], young_mpa=200.0, area_mm2=10.0)
    u = np.array([[0.0, 0.0, 0.0], [0.06, 0.5, 0.08]])  # 0.1 along the bar, the rest across it

    force = member_forces(bar, u)

    tension = 200.0 * 10.0 / 5.0 * 0.1  # E A / L times the stretch
    assert_allclose(axial_forces(bar, points, u), tension)
    assert_allclose(force[0], -tension * np.array([0.6, 0.0, 0.8]), atol=1e-12)


def test_a_tripod_has_the_stiffness_and_the_forces_of_the_closed_form():
    """Legs of length L at angle t to the vertical: 3 E A / L cos^2 t down, 3/2 E A / L sin^2 t sideways."""
    radius, height = 3.0, 4.0
    angle = 2 * np.pi * np.arange(3) / 3
    points = np.vstack([[0, 0, height], np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)])
    legs = trusses("legs", points, [[1, 0], [0, 2], [3, 0]], young_mpa=1000.0, area_mm2=2.0)
    length = np.hypot(radius, height)
    rigidity = 1000.0 * 2.0 / length

    force = np.zeros((4, 3))
    force[0, 2] = -60.0
    u = solve(legs, 4, [0], force)
    assert_allclose(u[0], [0, 0, -60.0 / (3 * rigidity * (height / length) ** 2)], atol=1e-12)
    assert_allclose(axial_forces(legs, points, u), -60.0 / 3 / (height / length))

    force[0] = [60.0, 0.0, 0.0]
    u = solve(legs, 4, [0], force)
    assert_allclose(u[0], [60.0 / (1.5 * rigidity * (radius / length) ** 2), 0, 0], atol=1e-12)


def test_springs_in_series_share_the_force_and_add_their_give():
    points = np.array([[0.0, 0, 0], [0, 0, 2.0], [0, 0, 5.0]])
    chain = springs("chain", points, [[0, 1], [1, 2]], stiffness_n_per_mm=[30.0, 60.0])
    side = springs("side", points, [[1, -1], [2, -1]], stiffness_n_per_mm=np.diag([1.0, 1.0, 0.0]))
    both = Members("both", np.vstack([chain.ends, side.ends]), np.concatenate([chain.stiffness, side.stiffness]))
    force = np.zeros((3, 3))
    force[2, 2] = 5.0

    u = solve(both, 3, [1, 2], force)

    assert u[2, 2] == pytest.approx(5.0 / 20.0)  # 1 / (1/30 + 1/60) = 20
    assert_allclose(axial_forces(chain, points, u), 5.0)


def test_a_spring_to_ground_acts_along_its_direction_only():
    points = np.array([[4.0, 5.0, 6.0]])
    bed = springs("bed", points, [[0, -1]], stiffness_n_per_mm=7.0, direction=[0.0, 3.0, 4.0])

    force = member_forces(bed, np.array([[1.0, 0.0, 5.0]]))

    assert_allclose(force, 7.0 * 4.0 * np.array([[0.0, 0.6, 0.8]]))  # on ground: the way the point moves
    with pytest.raises(InputError, match=r"(?s)ends at ground.*\(4\.0, 5\.0, 6\.0\) mm.*member_forces"):
        axial_forces(bed, points, points)


def test_a_matrix_joins_two_points_at_one_place():
    points = np.zeros((2, 3))
    S = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
    joint = springs("joint", points, [[0, 1]], stiffness_n_per_mm=S)
    u = np.array([[0.1, 0.2, -0.3], [0.0, -0.1, 0.4]])

    assert_allclose(member_forces(joint, u)[0], S @ (u[0] - u[1]))


POINTS = np.array([[0.0, 0, 0], [0, 0, 10.0], [0, 0, 10.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trusses("t", POINTS, [[0, 1]], young_mpa=1.0, area_mm2=-2.0), r"area_mm2 of 't'.*got -2\.0"),
        (lambda: trusses("t", POINTS, [[0, 1]], young_mpa=[1.0, 2.0], area_mm2=1.0), r"young_mpa of 't'.*\(1,\)"),
        (lambda: trusses("t", POINTS, [[1, 2]], young_mpa=1.0, area_mm2=1.0), r"(?s)no length.*0\.0, 0\.0, 10\.0"),
        (lambda: trusses("t", POINTS, [[0, -1]], young_mpa=1.0, area_mm2=1.0), "no place"),
        (lambda: trusses("t", POINTS, [[0, 3]], young_mpa=1.0, area_mm2=1.0), "points 0 and 3, there are 3"),
        (lambda: trusses("t", POINTS, [[-1, 0]], young_mpa=1.0, area_mm2=1.0), "points -1 and 0"),
        (lambda: trusses("t", POINTS, [[1, 1]], young_mpa=1.0, area_mm2=1.0), "point 1 to itself"),
        (lambda: trusses("t", POINTS, [[0.5, 1]], young_mpa=1.0, area_mm2=1.0), "float64"),
        (lambda: springs("s", POINTS, [[0, -1]], stiffness_n_per_mm=1.0), "has no line"),
        (lambda: springs("s", POINTS, [[0, -1]], stiffness_n_per_mm=1.0, direction=[0, 0, 0]), "direction.*zero"),
        (lambda: springs("s", POINTS, [[0, 1]], stiffness_n_per_mm=1.0, direction=[1, 0, 0]), "couple"),
        (lambda: springs("s", POINTS, [[0, 1]], stiffness_n_per_mm=np.eye(3)), "couple"),
        (lambda: springs("s", POINTS, [[1, 2]], stiffness_n_per_mm=-np.eye(3)), "semidefinite"),
        (lambda: springs("s", POINTS, [[1, 2]], stiffness_n_per_mm=np.triu(np.ones((3, 3)))), "symmetric"),
        (lambda: springs("s", POINTS, [[1, 2]], stiffness_n_per_mm=np.full((3, 3), np.nan)), "not finite"),
        (lambda: springs("s", POINTS, [[1, 2]], stiffness_n_per_mm=np.eye(3), direction=[1, 0, 0]), "both"),
        (lambda: springs("s", POINTS, [[1, 2]], stiffness_n_per_mm=np.eye(2)), r"got \(2, 2\)"),
    ],
)
def test_members_that_make_no_sense_are_refused_with_name_and_place(make, message):
    with pytest.raises(InputError, match=message):
        make()


def block() -> Problem:
    """A cube of edge 10 that nothing holds."""
    points, cells, _ = box_mesh((2, 2, 2), 5.0)
    return Problem(points, cells, uniform(len(cells)))


def with_legs(problem: Problem, feet: np.ndarray, heads: np.ndarray) -> Problem:
    """The problem with trusses from new prescribed points `feet` to the nearest of its points."""
    n = len(problem.points)
    points = np.vstack([problem.points, feet])
    near = np.argmin(np.linalg.norm(problem.points[None] - heads[:, None], axis=2), axis=1)
    ends = np.stack([near, n + np.arange(len(feet))], axis=1)
    legs = trusses("legs", points, ends, young_mpa=1.0, area_mm2=1.0)
    held = np.union1d(problem.prescribed_dofs, all_dofs(n + np.arange(len(feet))))
    return replace(problem, points=points, members=(*problem.members, legs), prescribed_dofs=held)


def hexapod() -> tuple[np.ndarray, np.ndarray]:
    """Feet and heads of six legs that hold a cube of edge 10, two to a head."""
    heads = np.repeat([[0, 0, 0], [10, 0, 0], [5, 10, 0.0]], 2, axis=0)
    return heads + np.array([[4, 1, -9], [-5, 2, -9], [5, 3, -9], [-4, 1, -8], [3, 4, -9], [-6, -2, -9.0]]), heads


def test_six_skew_trusses_hold_a_block_and_five_leave_one_motion():
    feet, heads = hexapod()
    check_supports(with_legs(block(), feet, heads))

    with pytest.raises(InputError, match=r"(?s)the mesh can move freely: the supports hold 5 of its 6"):
        check_supports(with_legs(block(), feet[:5], heads[:5]))


def test_three_skew_trusses_hold_what_a_ball_joint_leaves():
    pinned = replace(block(), prescribed_dofs=np.arange(3))  # the corner at the origin
    feet, heads = np.array([[10.0, 7, -8], [2, 10, -8], [0, -9, 10]]), np.array([[10.0, 0, 0], [0, 10, 0], [0, 0, 10]])

    check_supports(with_legs(pinned, feet, heads))
    with pytest.raises(InputError, match="hold 5 of its 6"):
        check_supports(with_legs(pinned, feet[:2], heads[:2]))
    with pytest.raises(InputError, match="hold 5 of its 6"):  # a leg whose line goes through the joint holds nothing
        check_supports(with_legs(pinned, np.vstack([feet[:2], [0, 0, 14.0]]), heads))


def test_six_trusses_that_all_meet_one_line_do_not_hold():
    rng = np.random.default_rng(3)
    heads = block().points[[0, 2, 6, 8, 18, 20]]
    on_line = np.array([20.0, 5.0, 5.0]) + rng.uniform(-3, 3, (6, 1)) * np.array([0.0, 1.0, 0.0])

    with pytest.raises(InputError, match="hold 5 of its 6"):
        check_supports(with_legs(block(), on_line, heads))


def two_blocks(has_lattice: bool) -> Problem:
    """Two cubes apart along x; the first is held."""
    active = np.zeros((5, 2, 2), dtype=bool)
    active[:2], active[3:] = True, True
    points, cells, lattice = voxel_mesh(active, 10.0)
    problem = Problem(points, cells, uniform(len(cells)), prescribed_dofs=all_dofs(on_plane(points, 0, 0.0)))
    return replace(problem, lattice=lattice if has_lattice else None)


@pytest.mark.parametrize("has_lattice", [True, False])
def test_blocks_joined_by_springs_are_held_when_six_of_them_are_independent(has_lattice):
    problem = two_blocks(has_lattice)
    left, right = on_plane(problem.points, 0, 20.0), on_plane(problem.points, 0, 30.0)
    cross = np.array([(a, b) for a in left[[0, 2, 6]] for b in right[[0, 2, 8]]])
    links = springs("links", problem.points, cross, stiffness_n_per_mm=10.0)
    parallel = springs("parallel", problem.points, np.stack([left, right], axis=1), stiffness_n_per_mm=10.0)

    check_supports(replace(problem, members=(links,)))
    # Nine springs along x hold the stretch and two tilts.
    with pytest.raises(InputError, match=r"(?s)a part of 8 of 16 cells.*hold 3 of its 6.*40\.0, 10\.0, 10\.0"):
        check_supports(replace(problem, members=(parallel,)))
    with pytest.raises(InputError, match="the mesh can move freely: the supports hold 0 of its 6"):
        check_supports(replace(problem, members=(links,), prescribed_dofs=np.zeros(0, np.int64)))


def test_three_full_springs_to_ground_hold_a_block_and_two_leave_the_turn_about_their_line():
    problem = block()
    bed = springs("bed", problem.points, [[0, -1], [2, -1], [6, -1]], stiffness_n_per_mm=np.diag([1.0, 2.0, 3.0]))

    check_supports(replace(problem, members=(bed,)))
    two = Members("two", bed.ends[:2], bed.stiffness[:2])
    with pytest.raises(InputError, match="hold 5 of its 6"):
        check_supports(replace(problem, members=(two,)))


def test_a_point_of_members_alone_must_be_held_in_three_directions():
    """A mast on a held block: three stays hold its tip, two do not."""
    problem = replace(block(), prescribed_dofs=all_dofs(on_plane(block().points, 2, 0.0)))
    tip = len(problem.points)
    points = np.vstack([problem.points, [3.0, 4.0, 17.0]])
    stays = trusses("stays", points, [[2, tip], [8, tip], [20, tip]], young_mpa=1.0, area_mm2=1.0)
    guyed = replace(problem, points=points, members=(stays,))

    check_supports(guyed)
    slack = Members("stays", stays.ends[:2], stays.stiffness[:2])
    with pytest.raises(InputError, match=r"(?s)belongs to members only can move.*\(3\.0, 4\.0, 17\.0\) mm"):
        check_supports(replace(guyed, members=(slack,)))
    # The two stays lie in a plane along y: holding y adds nothing, x does.
    check_supports(replace(guyed, members=(slack,), prescribed_dofs=np.append(problem.prescribed_dofs, 3 * tip)))
    with pytest.raises(InputError, match="members only"):
        check_supports(
            replace(guyed, members=(slack,), prescribed_dofs=np.append(problem.prescribed_dofs, 3 * tip + 1))
        )
    with pytest.raises(InputError, match="1 points belong to no cell"):
        check_supports(replace(guyed, members=()))


def test_the_check_of_a_problem_names_the_bad_member():
    problem = block()
    good = springs("good", problem.points, [[0, -1]], stiffness_n_per_mm=np.eye(3))
    check_members(replace(problem, members=(good,)))

    with pytest.raises(InputError, match="used twice"):
        check_members(replace(problem, members=(good, good)))
    with pytest.raises(InputError, match="joins points 40 and -1"):
        check_members(replace(problem, members=(replace(good, ends=np.array([[40, -1]])),)))
    with pytest.raises(InputError, match="semidefinite"):
        check_members(replace(problem, members=(replace(good, stiffness=-good.stiffness),)))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 4), k=st.integers(1, 40))
def test_links_leave_the_null_space_of_their_equations_whatever_they_join(seed, n, k):
    """Between owners, inside one, and to ground; up to many links of one pair."""
    rng = np.random.default_rng(seed)
    low, high = np.array([-2.0, 0.0, 1.0]), np.array([4.0, 3.0, 7.0])
    left, right = rng.integers(0, n, k), rng.integers(-1, n, k)
    a, b = (rng.integers(0, 4, (k, 3)).astype(float) + low for _ in range(2))
    directions = np.eye(3)[rng.integers(0, 3, k)]
    equations = MotionEquations(n, low, high)
    equations.link((a, left), (b, right), directions)
    scale = np.array([1, 1, 1, 6.0, 6.0, 6.0])
    C = np.zeros((k, n + 1, 6))  # ground is the last, and left out
    for owner, at, sign in ((left, a, 1.0), (right, b, -1.0)):
        modes = rigid_modes(at, (low + high) / 2) / scale
        C[np.arange(k), owner] += sign * np.einsum("kd,kdm->km", directions, modes)
    C = C[:, :n].reshape(k, 6 * n)

    motions = free_motions(equations)

    assert motions.shape == (n, 6, 6 * n - np.linalg.matrix_rank(C, tol=1e-6))
    assert_allclose(C @ motions.reshape(6 * n, -1), 0.0, atol=1e-8 * max(1.0, np.abs(motions).max(initial=0.0)))
