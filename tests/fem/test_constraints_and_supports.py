"""Rigid bodies, ties, loads, and every reason to refuse a problem, with the place in the message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattices import FIXED, FREE, TILT, all_dofs, box_mesh, distorted_box, on_plane, pads, uniform, voxel_mesh
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.fem.assembly import reduction_matrix
from fesolver.fem.constraints import check_loads, check_problem, given_displacement, rigid_maps, rigid_modes
from fesolver.fem.problem import Elasticity, LinearTie, Loads, Problem, RigidBody, RigidLoad
from fesolver.fem.supports import face_connected_parts


def box_problem(**changes) -> Problem:
    points, cells, lattice = box_mesh((2, 2, 3), 2.0)
    problem = Problem(points, cells, uniform(len(cells)), rigid_bodies=pads(points), lattice=lattice)
    return replace(problem, **changes)


def test_rigid_modes_are_the_linearised_turn_about_the_reference():
    points = np.random.default_rng(0).standard_normal((5, 3))
    reference = np.array([0.3, -2.0, 1.0])
    angle = np.array([0.5, -1.0, 2.0])

    modes = rigid_modes(points, reference)

    assert_allclose(modes[:, :, 3:] @ angle, np.cross(angle, points - reference), atol=1e-14)
    assert_allclose(modes[:, :, :3] @ angle, np.tile(angle, (5, 1)), atol=0)


def test_reduction_moves_the_points_of_a_body_rigidly():
    problem = box_problem()
    P = reduction_matrix(problem).toarray()
    top = problem.rigid_bodies[1]
    rigid = rigid_maps(problem)[1]

    assert P.shape[1] == 3 * (len(problem.points) - 18) + 3
    assert_allclose(
        P.reshape(-1, 3, P.shape[1])[top.points][:, :, -3:], rigid_modes(problem.points[top.points], top.reference)[
            :, :, [2, 3, 4]
        ] / rigid.scale[[2, 3, 4]]
    )  # fmt: skip


def test_prescribed_motion_of_a_body_reaches_a_slave_tied_to_it():
    points, cells, lattice = box_mesh((2, 2, 3), 2.0)
    bodies = pads(points)
    master, slave = int(bodies[0].points[0]), int(on_plane(points, 2, 2.0)[0])
    tie = LinearTie(3 * slave, np.array([3 * master]), np.array([0.5]))
    problem = Problem(points, cells, uniform(len(cells)), rigid_bodies=bodies, ties=(tie,), lattice=lattice)
    motion = np.array([0.4, 0, 0, 0, 0, 0.0])

    u = given_displacement(problem, Loads(rigid={"bottom": RigidLoad(motion=motion)}))

    assert u[slave, 0] == pytest.approx(0.2)


def two_boxes(join: str) -> Problem:
    """Two blocks of 2 x 2 x 2 cells that share a face, an edge, a corner, or nothing; only the first is held."""
    active = np.zeros((5, 4, 4), dtype=bool)
    active[:2, :2, :2] = True
    shift = {"face": (2, 0, 0), "edge": (2, 2, 0), "corner": (2, 2, 2), "gap": (3, 0, 0)}[join]
    active[shift[0] : shift[0] + 2, shift[1] : shift[1] + 2, shift[2] : shift[2] + 2] = True
    points, cells, lattice = voxel_mesh(active, 10.0)
    held = all_dofs(on_plane(points, 0, 0.0))
    return Problem(points, cells, uniform(len(cells)), prescribed_dofs=held, lattice=lattice)


@pytest.mark.parametrize(
    ("join", "held", "place"),
    [
        ("gap", 0, r"\(40\.0, 10\.0, 10\.0\)"),
        ("corner", 3, r"\(30\.0, 30\.0, 30\.0\)"),
        ("edge", 5, r"\(30\.0, 30\.0, 10\.0\)"),
    ],
)
@pytest.mark.parametrize("has_lattice", [True, False])
def test_island_and_hinged_parts_are_refused_with_their_place(join, held, place, has_lattice):
    problem = two_boxes(join)
    if not has_lattice:
        problem = replace(problem, lattice=None)

    with pytest.raises(InputError, match=rf"(?s)a part of 8 of 16 cells.*hold {held} of its 6.*{place} mm"):
        check_problem(problem)


def test_parts_that_share_a_face_are_one_part():
    problem = two_boxes("face")
    check_problem(problem)

    assert face_connected_parts(problem)[1] == 1
    assert face_connected_parts(replace(problem, lattice=None))[1] == 1


def test_hinged_part_held_by_a_second_support_is_accepted():
    problem = two_boxes("edge")
    far = on_plane(problem.points, 0, 40.0)

    check_problem(replace(problem, prescribed_dofs=np.union1d(problem.prescribed_dofs, [3 * far[0], 3 * far[1] + 1])))


def test_a_ring_of_parts_and_bodies_that_nothing_holds_keeps_six_motions():
    """Hinged parts under a common free body: a loop of three, in which no sign can be wrong unseen."""
    problem = two_boxes("edge")
    ends = np.concatenate([on_plane(problem.points, 0, 0.0), on_plane(problem.points, 0, 40.0)])
    bridge = RigidBody("bridge", ends, np.zeros(3), FREE)

    with pytest.raises(InputError, match="the mesh can move freely: the supports hold 0 of its 6"):
        check_problem(replace(problem, prescribed_dofs=np.zeros(0, np.int64), rigid_bodies=(bridge,)))


def test_parts_joined_by_a_rigid_body_or_by_ties_are_held():
    problem = two_boxes("gap")
    inner, outer = on_plane(problem.points, 0, 20.0), on_plane(problem.points, 0, 30.0)
    body = RigidBody("bridge", np.concatenate([inner, outer]), np.zeros(3), FREE)
    ties = tuple(
        LinearTie(3 * int(b) + d, np.array([3 * int(a) + d]), np.ones(1))
        for a, b in zip(inner, outer, strict=True)
        for d in range(3)
    )

    check_problem(replace(problem, rigid_bodies=(body,)))
    check_problem(replace(problem, ties=ties))
    with pytest.raises(InputError, match="hold 4 of its 6"):  # one point, and the normal motion of a second
        check_problem(replace(problem, ties=ties[:4]))


@pytest.mark.parametrize(("held", "n_held"), [([0], 1), ([0, 1, 2], 3), ([0, 1, 2, 3], 4)])
def test_too_few_prescribed_components_are_counted(held, n_held):
    points, cells, lattice = box_mesh((2, 2, 2))

    with pytest.raises(InputError, match=rf"the mesh can move freely: the supports hold {n_held} of its 6"):
        check_problem(Problem(points, cells, uniform(8), prescribed_dofs=np.array(held), lattice=lattice))


def test_isostatic_support_by_six_components_is_enough():
    points, cells, lattice = box_mesh((2, 2, 2))
    a, b, c = (int(np.flatnonzero((points == p).all(axis=1))[0]) for p in ([0, 0, 0], [2, 0, 0], [0, 2, 0]))
    dofs = np.sort([3 * a, 3 * a + 1, 3 * a + 2, 3 * b + 1, 3 * b + 2, 3 * c + 2])

    check_problem(Problem(points, cells, uniform(8), prescribed_dofs=dofs, lattice=lattice))


def test_free_body_on_a_single_point_can_spin_and_is_refused():
    points, cells, lattice = box_mesh((2, 2, 2))
    spinner = RigidBody("hook", np.array([len(points) - 1]), points[-1], FREE)
    held = all_dofs(on_plane(points, 2, 0.0))

    with pytest.raises(InputError, match="rigid body 'hook' can turn"):
        check_problem(
            Problem(points, cells, uniform(8), prescribed_dofs=held, rigid_bodies=(spinner,), lattice=lattice)
        )


def test_pads_that_slide_together_are_refused_and_one_fixed_pad_is_enough():
    bottom, top = box_problem().rigid_bodies

    with pytest.raises(InputError, match="hold 5 of its 6"):
        check_problem(box_problem(rigid_bodies=(replace(bottom, is_fixed=np.array([1, 1, 0, 1, 1, 1], bool)), top)))
    check_problem(box_problem(rigid_bodies=(bottom, replace(top, is_fixed=FREE))))


@pytest.mark.parametrize("bad", [0.0, -3.0, np.nan, np.inf])
def test_bad_modulus_is_refused_with_the_number_of_cells_and_the_place(bad):
    problem = box_problem()
    young = problem.elasticity.young.copy()
    young[[4, 7]] = bad

    with pytest.raises(InputError, match=r"(?s)2 cells have a modulus.*cell 4 at \(1\.0, 3\.0, 3\.0\) mm"):
        check_problem(replace(problem, elasticity=replace(problem.elasticity, young=young)))


@pytest.mark.parametrize("bad", [0.5, -1.0, np.nan])
def test_bad_poisson_ratio_is_refused_with_the_place(bad):
    problem = box_problem()
    poisson = problem.elasticity.poisson.copy()
    poisson[2] = bad

    with pytest.raises(InputError, match=r"(?s)Poisson.*cell 2 at"):
        check_problem(replace(problem, elasticity=replace(problem.elasticity, poisson=poisson)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda D: D * -1.0, r"(?s)not positive definite.*cell 3 at"),
        (lambda D: D * np.nan, r"(?s)not (positive definite|symmetric).*cell 3 at"),
        (lambda D: D + np.triu(D, 1), r"(?s)not symmetric.*cell 3 at"),
        (lambda D: D[:5], "general_matrices must have shape"),
    ],
)
def test_bad_elasticity_matrix_is_refused(change, message):
    problem = box_problem()
    good = 100.0 * (np.eye(6) + 0.1)
    elasticity = Elasticity(
        problem.elasticity.young, problem.elasticity.poisson, np.array([3]), np.asarray(change(good))[None]
    )

    with pytest.raises(InputError, match=message):
        check_problem(replace(problem, elasticity=elasticity))


def test_general_cells_out_of_order_are_refused():
    problem = box_problem()
    elasticity = replace(problem.elasticity, general_cells=np.array([5, 2]), general_matrices=np.stack([np.eye(6)] * 2))

    with pytest.raises(InputError, match="ascending"):
        check_problem(replace(problem, elasticity=elasticity))


def test_point_held_twice_is_refused_with_its_place():
    problem = box_problem()
    bottom, top = problem.rigid_bodies
    corner = int(top.points[-1])

    with pytest.raises(InputError, match=r"(?s)held by two constraints.*\(4\.0, 4\.0, 6\.0\) mm"):
        check_problem(replace(problem, prescribed_dofs=np.array([3 * corner])))
    with pytest.raises(InputError, match="held by two constraints"):
        check_problem(replace(problem, rigid_bodies=(bottom, top, RigidBody("x", top.points[-1:], np.zeros(3), FIXED))))


@pytest.mark.parametrize(
    ("points", "message"), [([], "has no points"), ([3, 3], "lists a point twice"), ([3, 999], "does not exist")]
)
def test_bad_points_of_a_rigid_body_are_refused(points, message):
    body = RigidBody("pad", np.array(points, dtype=np.int64), np.zeros(3), FIXED)

    with pytest.raises(InputError, match=message):
        check_problem(box_problem(rigid_bodies=(body,)))


@pytest.mark.parametrize(
    ("ties", "message"),
    [
        ([(30, [33], [1.0]), (30, [36], [1.0])], "slave of two ties"),
        ([(30, [33], [1.0]), (33, [36], [1.0])], "also a master"),
        ([(0, [33], [1.0])], "prescribed or rigid"),
        ([(30, [33, 34], [1.0])], "one finite weight per master"),
        ([(30, [33], [np.nan])], "one finite weight per master"),
        ([(30, [3000], [1.0])], "outside 0"),
    ],
)
def test_bad_ties_are_refused(ties, message):
    made = tuple(LinearTie(dof, np.array(masters), np.array(weights)) for dof, masters, weights in ties)

    with pytest.raises(InputError, match=message):
        check_problem(box_problem(ties=made))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prescribed_dofs": np.array([40, 31])}, "ascending"),
        ({"prescribed_dofs": np.array([4000])}, "inside the mesh"),
        ({"cells": np.zeros((0, 8), np.int64)}, "no cells"),
        ({"cells": np.zeros((12, 4), np.int64)}, "cells of hex8"),
        ({"cells": np.full((12, 8), 99)}, "cells name points 99"),
        ({"elasticity": uniform(5)}, "one value for each of 12 cells"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check_problem(box_problem(**changes))


def test_points_that_are_nan_or_unused_are_refused():
    problem = box_problem()
    points = problem.points.copy()
    points[5, 1] = np.nan

    with pytest.raises(InputError, match="points must be finite"):
        check_problem(replace(problem, points=points))
    with pytest.raises(InputError, match="1 points belong to no cell"):
        check_problem(replace(problem, points=np.vstack([problem.points, [[0.0, 0.0, 0.0]]])))


@pytest.mark.parametrize(
    ("loads", "message"),
    [
        (Loads(rigid={"lid": RigidLoad()}), r"(?s)unknown rigid body \['lid'\].*'bottom', 'top'"),
        (Loads(nodal_force=np.zeros((3, 3))), "nodal_force must be finite and of shape"),
        (Loads(nodal_force=np.full((36, 3), np.nan)), "nodal_force must be finite"),
        (Loads(prescribed=np.zeros(2)), "prescribed must be finite and of shape"),
        (Loads(rigid={"top": RigidLoad(force=np.array([0, 0, np.inf]))}), "force on rigid body 'top'"),
        (Loads(rigid={"top": RigidLoad(motion=np.zeros(3))}), "motion on rigid body 'top' must be 6"),
    ],
)
def test_loads_that_do_not_fit_are_refused(loads, message):
    with pytest.raises(InputError, match=message):
        check_loads(box_problem(), loads)


def test_distorted_mesh_without_lattice_passes_the_checks():
    points, cells = distorted_box()

    check_problem(Problem(points, cells, uniform(len(cells)), rigid_bodies=pads(points, top=TILT)))
