"""The check of supports against a plain one, and on grids against meshes."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lattices import FIXED, FREE, all_dofs, box_mesh, on_plane, uniform, voxel_mesh
from numpy.testing import assert_allclose
from scipy.ndimage import label

from fesolver.errors import InputError
from fesolver.fem.constraints import check_problem, rigid_modes
from fesolver.fem.problem import LinearTie, Problem, RigidBody
from fesolver.fem.supports import MAX_PARTS, GridBody, check_grid_supports, check_supports

ANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def message(check, *args) -> str:
    """What the check says; nothing if it is content."""
    try:
        check(*args)
    except InputError as error:
        return str(error)
    return ""


def random_problem(seed: int, *, has_ties: bool) -> Problem:
    """A few cells with up to three rigid bodies, some prescribed components and, if asked for, ties."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 5, 3)
    active = rng.random(shape) < rng.choice([0.2, 0.4, 0.6, 0.8, 1.0])
    active[tuple(rng.integers(0, shape))] = True
    points, cells, lattice = voxel_mesh(active, rng.uniform(0.3, 2.0, 3), rng.uniform(-50.0, 50.0, 3))
    left = rng.permutation(len(points))
    bodies = []
    for number in range(rng.integers(0, 4)):
        ids, left = np.sort(left[: (k := rng.integers(1, 6))]), left[k:]
        if len(ids):
            reference = points[ids].mean(axis=0) + rng.choice([0.0, 3.0]) * rng.standard_normal(3)
            bodies.append(RigidBody(f"body {number}", ids, reference, rng.random(6) < rng.choice([0.0, 0.5, 1.0])))
    ids, left = left[: (k := rng.integers(0, 8))], left[k:]
    dofs = all_dofs(np.sort(ids)) if rng.random() < 0.5 else np.sort(3 * ids + rng.integers(0, 3, len(ids)))
    ties = []
    if has_ties and len(left) > 1:
        slaves, masters = left[: (k := rng.integers(1, len(left)))][:3], left[k:]
        for slave in slaves:
            some = rng.permutation(np.concatenate([masters, *[body.points for body in bodies]]))[: rng.integers(1, 4)]
            ties.append(
                LinearTie(
                    int(3 * slave + rng.integers(3)),
                    3 * some + rng.integers(0, 3, len(some)),
                    rng.normal(size=len(some)),
                )
            )
    return Problem(
        points, cells, uniform(len(cells)), prescribed_dofs=dofs, rigid_bodies=tuple(bodies), ties=tuple(ties),
        lattice=lattice,
    )  # fmt: skip


def count_free_motions(problem: Problem) -> int:
    """Dimension of the null space of every equation, written out one by one for the displacement of every corner.

    Unknowns: three displacements of every point, six motions of every part and body. No part speaks for another.
    """
    lattice = problem.lattice
    assert lattice is not None
    active = np.zeros(lattice.shape, dtype=bool)
    active[tuple(lattice.cell_index.T)] = True
    labels, n_parts = label(active)
    part = labels[tuple(lattice.cell_index.T)] - 1
    n = problem.points.size
    size = n + 6 * (n_parts + len(problem.rigid_bodies))
    modes = rigid_modes(problem.points, problem.points[0])
    rows = []

    def follow(point: int, owner: int) -> None:
        for component in range(3):
            row = np.zeros(size)
            row[3 * point + component] = 1.0
            row[n + 6 * owner : n + 6 * owner + 6] = -modes[point, component]
            rows.append(row)

    for point, owner in {(int(p), int(part[c])) for c, ids in enumerate(problem.cells) for p in ids}:
        follow(point, owner)
    rows.extend(np.eye(size)[problem.prescribed_dofs])
    for number, body in enumerate(problem.rigid_bodies, start=n_parts):
        for point in body.points:
            follow(int(point), number)
        motion = np.eye(6)
        motion[:3] = rigid_modes(body.reference[None], problem.points[0])[0]
        for held in motion[body.is_fixed]:
            rows.append(np.zeros(size))
            rows[-1][n + 6 * number : n + 6 * number + 6] = held
    for tie in problem.ties:
        row = np.zeros(size)
        row[tie.dof] = 1.0
        np.add.at(row, tie.masters, -tie.weights)
        rows.append(row)
    return size - int(np.linalg.matrix_rank(np.array(rows), tol=1e-7))


def on_grid(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[GridBody]]:
    """The same without a mesh: active cells, spacing, origin, fixed components, rigid bodies."""
    lattice = problem.lattice
    assert lattice is not None
    active = np.zeros(lattice.shape, dtype=bool)
    active[tuple(lattice.cell_index.T)] = True
    fixed = np.zeros((*(n + 1 for n in lattice.shape), 3), dtype=bool)
    point, component = np.divmod(problem.prescribed_dofs, 3)
    fixed[(*lattice.point_index[point].T, component)] = True
    rigid = []
    for body in problem.rigid_bodies:
        mask = np.zeros(fixed.shape[:3], dtype=bool)
        mask[tuple(lattice.point_index[body.points].T)] = True
        rigid.append((body.name, mask, body.reference, body.is_fixed))
    return active, lattice.spacing, lattice.origin, fixed, rigid


@ANY
@given(seed=st.integers(0, 2**32 - 1), has_ties=st.booleans())
def test_refused_exactly_where_the_equations_leave_a_motion_and_with_the_right_count(seed, has_ties):
    problem = random_problem(seed, has_ties=has_ties)
    n_free = count_free_motions(problem)

    said = message(check_supports, problem)

    assert bool(said) == (n_free > 0)
    if found := re.search(r"hold (\d) of its 6", said):
        assert int(found[1]) == max(6 - n_free, 0)


@ANY
@given(seed=st.integers(0, 2**32 - 1))
def test_grid_and_mesh_say_the_same(seed):
    problem = random_problem(seed, has_ties=False)
    said = message(check_supports, problem)

    assert message(check_grid_supports, *on_grid(problem)) == said
    assert without_numbers(message(check_supports, replace(problem, lattice=None))) == without_numbers(said)


def without_numbers(text: str) -> str:
    """Without decimals: means over points and over the lattice round differently."""
    return re.sub(r"-?\d+\.\d", "#", text)


def test_place_and_size_of_an_island_are_those_of_its_cells():
    active = np.zeros((9, 4, 5), dtype=bool)
    active[:3] = True
    active[5:8, 1, 2:4] = True  # 6 cells: x 5..8, y 1..2, z 2..4
    active[7, 2, 2] = True  # and one more
    points, cells, lattice = voxel_mesh(active, (1.0, 2.0, 4.0), (10.0, -20.0, 30.0))
    held = all_dofs(on_plane(points, 0, 10.0))
    problem = Problem(points, cells, uniform(len(cells)), prescribed_dofs=held, lattice=lattice)
    # Cell centres: x 6 * 6.5 + 7.5 over 7, y 6 * 1.5 + 2.5, z 6 * 3 + 2.5, in cells.
    place = 10 + 46.5 / 7, -20 + 2 * 11.5 / 7, 30 + 4 * 20.5 / 7

    for check, args in (
        (check_problem, (problem,)),
        (check_problem, (replace(problem, lattice=None),)),
        (check_grid_supports, on_grid(problem)),
    ):
        said = message(check, *args)
        assert "a part of 7 of 67 cells can move freely: the supports hold 0 of its 6" in said
        assert_allclose([float(x) for x in re.findall(r"-?\d+\.\d", said)], place, atol=0.051)  # printed to 0.1


def test_points_that_left_the_lattice_count_where_they_are():
    """On the lattice the four points of a face hold it; moved onto one line they do not, and no lattice may hide it."""
    points, cells, lattice = box_mesh((1, 1, 1))
    face = on_plane(points, 2, 0.0)
    problem = Problem(points, cells, uniform(1), prescribed_dofs=all_dofs(face), lattice=lattice)
    check_supports(problem)
    moved = points.copy()
    moved[face, 1] = 0.0

    with pytest.raises(InputError, match="hold 5 of its 6"):
        check_supports(replace(problem, points=moved))


def crumbs_beside_a_plate(n: int) -> np.ndarray:
    """A plate of cells at z = 0, and n single cells that touch it along an edge of a step, n more that float."""
    active = np.zeros((4, 2 * n, 6), dtype=bool)
    active[:2, :, :2] = True
    active[2, ::2, 2] = True
    active[2, ::2, 5] = True
    return active


@pytest.mark.parametrize("n", [2, 240])
def test_many_crumbs_are_counted_held_or_not(n):
    active = crumbs_beside_a_plate(n)
    fixed = np.zeros((5, 2 * n + 1, 7, 3), dtype=bool)
    is_held = message(check_grid_supports, active, 1.0, 0.0, fixed)
    fixed[:, :, 0] = True

    said = message(check_grid_supports, active, 1.0, 0.0, fixed)

    assert "the mesh can move freely: the supports hold 0 of its 6" in is_held
    assert f"a part of {2 * n} of {2 * n + 8 * n} cells can move freely: the supports hold 0 of its 6" in said
    assert f"centred at (2.5, {n - 0.5:.1f}, 4.0) mm" in said
    fixed[:, :, 3:] = True  # a second support holds the upper edge of the hinged ones and all of the floating ones
    check_grid_supports(active, 1.0, 0.0, fixed)


def test_chain_of_bars_on_hinges_moves_but_for_its_held_end():
    """Bars hinged end to end: each one turns about its edge, in a row longer than any dense method would like."""
    n = 120
    active = np.zeros((2 * n, 2 * n, 1), dtype=bool)
    for k in range(n):
        active[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = True
    fixed = np.zeros((2 * n + 1, 2 * n + 1, 2, 3), dtype=bool)
    fixed[0] = True

    with pytest.raises(InputError, match=f"a part of {4 * n - 4} of {4 * n} cells can move freely"):
        check_grid_supports(active, 0.5, 0.0, fixed)
    # The joints of a chain of hinges around parallel axes stay where they are if all of them do.
    for k in range(1, n + 1):
        fixed[2 * k, 2 * k, :, 0] = True
        fixed[2 * k - 1, 2 * k, :, 1] = True
    check_grid_supports(active, 0.5, 0.0, fixed)


def test_too_many_parts_are_refused_by_number():
    active = np.zeros((2 * MAX_PARTS + 2, 1, 1), dtype=bool)
    active[::2] = True
    fixed = np.ones((2 * MAX_PARTS + 3, 2, 2, 3), dtype=bool)

    with pytest.raises(InputError, match=rf"(?s)falls into {MAX_PARTS + 1} parts.*keep the largest"):
        check_grid_supports(active, 1.0, 0.0, fixed)
    active[-2:] = False
    check_grid_supports(active, 1.0, 0.0, fixed)


def test_many_points_on_a_line_hold_no_turn_about_it_and_one_beside_it_does():
    """Round-off of the sums over 20,000 points must neither hold the turn nor hide the one point that does."""
    n = 20_000
    active = np.ones((2, 2, n), dtype=bool)
    fixed = np.zeros((3, 3, n + 1, 3), dtype=bool)
    fixed[1, 1] = True

    with pytest.raises(InputError, match="hold 5 of its 6"):
        check_grid_supports(active, 0.1, 17.3, fixed)
    active, fixed = active[:, :, :4000], fixed[:, :, :4001]
    fixed[2, 1, 7, 1] = True  # an arm of 1 in a length of 4000
    check_grid_supports(active, 0.1, 17.3, fixed)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_of_bodies_that_spin_alike_is_named(seed):
    """All of them take an equal part but for round-off, which must not choose."""
    rng = np.random.default_rng(seed)
    points, cells, lattice = box_mesh((3, 3, 3), rng.uniform(0.3, 3.0, 3), rng.uniform(-50.0, 50.0, 3))
    places = rng.permutation(on_plane(points, 2, points[:, 2].max()))[:8]
    hooks = tuple(
        RigidBody(f"hook {i}", np.array([p]), points[p] + rng.uniform(-9, 9, 3), FREE) for i, p in enumerate(places)
    )
    held = all_dofs(on_plane(points, 2, points[:, 2].min()))
    problem = Problem(points, cells, uniform(27), prescribed_dofs=held, rigid_bodies=hooks, lattice=lattice)

    for has_lattice in (True, False):
        with pytest.raises(InputError, match="rigid body 'hook 0' can turn"):
            check_problem(problem if has_lattice else replace(problem, lattice=None))


def test_points_outside_the_material_hold_nothing():
    active = np.zeros((4, 2, 2), dtype=bool)
    active[:2] = True
    grid = (5, 3, 3)
    outside = np.zeros(grid, dtype=bool)
    outside[3:] = True
    fixed = np.repeat(outside[..., None], 3, axis=3)
    pad = np.ones(grid, dtype=bool)

    with pytest.raises(InputError, match="the mesh can move freely: the supports hold 0 of its 6"):
        check_grid_supports(active, 1.0, 0.0, fixed)
    with pytest.raises(InputError, match="rigid body 'pad' has no points"):
        check_grid_supports(active, 1.0, 0.0, fixed, [("pad", outside, np.zeros(3), FIXED)])
    check_grid_supports(active, 1.0, 0.0, fixed, [("pad", pad, np.zeros(3), FIXED)])
    outside[1, 1, 1] = True
    with pytest.raises(InputError, match="the mesh can move freely: the supports hold 3 of its 6"):
        check_grid_supports(active, 1.0, 0.0, fixed, [("pad", outside, np.zeros(3), FIXED)])


def test_shapes_that_do_not_fit_are_refused():
    active = np.ones((2, 2, 2), dtype=bool)
    fixed = np.ones((3, 3, 3, 3), dtype=bool)

    with pytest.raises(InputError, match=r"no cell is active in a grid of shape \(2, 2, 2\)"):
        check_grid_supports(~active, 1.0, 0.0, fixed)
    with pytest.raises(InputError, match=r"fixed must have shape \(3, 3, 3, 3\), got \(2, 2, 2, 3\)"):
        check_grid_supports(active, 1.0, 0.0, fixed[1:, 1:, 1:])
    with pytest.raises(InputError, match=r"rigid body 'pad' must be a mask of shape \(3, 3, 3\), got \(2, 2, 2\)"):
        check_grid_supports(active, 1.0, 0.0, fixed, [("pad", active, np.zeros(3), FIXED)])


def test_memory_of_the_checks_is_a_few_bytes_per_cell():
    """Labels take 4 bytes per cell, masks 1 each, the test of the points 24 per point; 8 ids per cell would take 64."""
    points, cells, lattice = box_mesh((40, 40, 40))
    held = all_dofs(on_plane(points, 2, 0.0))
    problem = Problem(points, cells, uniform(len(cells)), prescribed_dofs=held, lattice=lattice)
    check_problem(problem)

    tracemalloc.start()
    check_problem(problem)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 40 * len(cells)
