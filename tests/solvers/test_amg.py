"""Smoothed aggregation on any mesh: against the direct solver, its iterations, its bits, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from constrained_problems import pillar
from lattices import FREE, TILT, box_mesh, on_plane, pads, uniform
from numpy.testing import assert_allclose, assert_array_equal
from solid_meshes import solid_box, solid_cylinder

from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.members import springs
from fesolver.fem.problem import Elasticity, LinearTie, Loads, Problem, RigidLoad
from fesolver.solvers import amg
from fesolver.solvers.prepare import RESCUE_LIMIT, prepare


def lopsided(element: str, shape=(4, 3, 5)) -> tuple[Problem, Loads]:
    """A distorted box of unlike cells between pads, with prescribed components, ties and forces everywhere."""
    points, cells = solid_box(element, shape, (4.0, 3.0, 6.0), distortion=0.15, seed=2)
    rng = np.random.default_rng(4)
    elasticity = Elasticity(rng.uniform(1.0, 300.0, len(cells)), rng.uniform(0.0, 0.45, len(cells)))
    bodies = pads(points, top=TILT)
    held = np.concatenate([body.points for body in bodies])
    loose = rng.permutation(np.setdiff1d(np.arange(len(points)), held))
    ties = (
        LinearTie(
            3 * int(loose[0]) + 1, np.array([3 * loose[1] + 1, 3 * bodies[0].points[0] + 2]), np.array([0.7, 0.3])
        ),
        LinearTie(3 * int(loose[2]), np.array([3 * loose[3] + 2]), np.array([-1.2])),
    )
    prescribed = np.sort(3 * loose[4:9] + rng.integers(0, 3, 5))
    problem = Problem(
        points, cells, elasticity, prescribed_dofs=prescribed, rigid_bodies=bodies, ties=ties, element=element
    )
    loads = Loads(
        nodal_force=rng.standard_normal(points.shape),
        prescribed=0.01 * rng.standard_normal(5),
        rigid={"top": RigidLoad(np.array([0.0, 0.0, -30.0]), np.array([5.0, -8.0, 0.0]))},
        initial_strain=1e-3 * rng.standard_normal((len(cells), 6)),
    )
    return problem, loads


def column(element: str, n: int) -> tuple[Problem, Loads]:
    """Bone, a nearly incompressible disc and bone, pressed between pads; n cells across the radius."""
    points, cells = solid_cylinder(element, 2 * n, n, 5 * n, radius=20.0, height=50.0)
    height = points[cells].mean(axis=1)[:, 2]
    is_disc = (height > 20.0) & (height < 30.0)
    elasticity = Elasticity(np.where(is_disc, 4.0, 300.0), np.where(is_disc, 0.499, 0.3))
    problem = Problem(points, cells, elasticity, rigid_bodies=pads(points, top=TILT), element=element)
    return problem, Loads(rigid={"top": RigidLoad(np.array([0.0, 0.0, -500.0]), np.array([900.0, 0.0, 0.0]))})


@pytest.mark.parametrize("element", list(ELEMENTS))
def test_every_element_and_constraint_is_solved_as_by_the_direct_solver(element):
    problem, loads = lopsided(element)

    found = prepare(problem, "amg").solve(loads, rtol=1e-11)
    expected = prepare(problem, "direct").solve(loads)

    scale = np.abs(expected.u).max()
    assert_allclose(found.u, expected.u, rtol=0, atol=1e-8 * scale)  # 1e-11 times the condition of this mesh
    for body in ("top", "bottom"):
        wrench = expected.rigid_reaction[body]
        assert_allclose(found.rigid_reaction[body], wrench, rtol=0, atol=1e-6 * np.abs(wrench).max())
    for tie in problem.ties:
        assert_allclose(
            found.u.ravel()[tie.dof], tie.weights @ found.u.ravel()[tie.masters], rtol=0, atol=1e-12 * scale
        )


@pytest.mark.parametrize(
    ("element", "limit"), [("hex8", 100), ("wedge6", 100), ("tet4", 100), ("tet10", 150), ("hex20", 220)]
)
def test_iterations_stay_few_with_a_nearly_incompressible_disc(element, limit):
    problem, loads = column(element, 3)

    solution = prepare(problem, "amg").solve(loads)

    assert solution.is_converged
    assert solution.iterations < limit  # 72, 67, 56, 93 and 156 when written; a level that fails costs hundreds


def test_iterations_hardly_grow_as_cells_are_halved():
    counts = []
    for n in (2, 4):
        problem, loads = column("hex8", n)
        counts.append(prepare(problem, "amg").solve(loads).iterations)

    assert counts[1] < 1.6 * counts[0]  # without coarse levels they would double


def test_bits_do_not_depend_on_threads():
    problem, loads = column("hex8", 4)

    one, two = (prepare(problem, "amg", threads=n).solve(loads) for n in (1, 2))

    assert_array_equal(one.u, two.u)
    assert one.residual_norms == two.residual_norms


def test_other_moduli_give_the_bits_of_a_fresh_system():
    problem, loads = column("hex8", 3)
    softer = replace(problem.elasticity, young=0.3 * problem.elasticity.young)

    reused = prepare(problem, "amg").with_elasticity(softer).solve(loads)
    fresh = prepare(replace(problem, elasticity=softer), "amg").solve(loads)

    assert_array_equal(reused.u, fresh.u)


def test_a_start_at_the_solution_is_returned_at_once():
    problem, loads = lopsided("hex8")
    system = prepare(problem, "amg")
    first = system.solve(loads, rtol=1e-9)

    again = system.solve(loads, u0=first.u, rtol=1e-8)

    assert again.iterations == 0
    assert_allclose(again.u, first.u, rtol=0, atol=1e-12 * np.abs(first.u).max())


def test_springs_between_two_blocks_carry_what_the_direct_solver_says():
    lower, cells, _ = box_mesh((3, 3, 3), 1.0)
    points = np.vstack([lower, lower + np.array([0.0, 0.0, 4.0])])
    all_cells = np.vstack([cells, cells + len(lower)])
    first, second = on_plane(points, 2, 3.0), on_plane(points, 2, 4.0)  # both in the order of x and y
    stiffness = np.linspace(20.0, 90.0, len(first))
    members = springs("disc", points, np.column_stack([first, second]), stiffness_n_per_mm=stiffness)
    problem = Problem(
        points, all_cells, uniform(len(all_cells)), rigid_bodies=pads(points, top=TILT), members=(members,)
    )
    loads = Loads(rigid={"top": RigidLoad(np.array([0.0, 0.0, -100.0]))})

    found = prepare(problem, "amg").solve(loads, rtol=1e-11)
    expected = prepare(problem, "direct").solve(loads)

    assert_allclose(found.u, expected.u, rtol=0, atol=1e-9 * np.abs(expected.u).max())
    force = found.member_force["disc"]
    # All of the load passes the springs: they push the upper block's points, their second ends, up.
    assert_allclose(force.sum(axis=0), [0.0, 0.0, 100.0], atol=1e-6)
    shortening = (found.u[first] - found.u[second])[:, 2]
    assert_allclose(force[:, 2], stiffness * shortening, rtol=1e-9)


def test_the_choice_is_named_with_its_reason():
    voxels, _ = pillar(9)
    mesh = replace(voxels, lattice=None)

    assert "regular lattice" in prepare(voxels).reason
    assert "off a lattice" in prepare(mesh).reason
    assert "factorisation is the quickest" in prepare(pillar(3)[0]).reason
    assert prepare(mesh, "pyamg").reason == "asked for"
    assert prepare(replace(voxels, integration="incompatible")).method == "amg"


def test_a_direct_solver_takes_over_where_the_chosen_iteration_fails(monkeypatch, caplog):
    voxels, loads = pillar(9)
    problem = replace(voxels, lattice=None)
    assert problem.points.size <= RESCUE_LIMIT
    monkeypatch.setattr(amg, "MAX_ITERATIONS", 3)

    solution = prepare(problem).solve(loads)

    assert solution.method == "direct"
    assert "direct takes over" in caplog.text
    with pytest.raises(ConvergenceError, match="amg stopped"):
        prepare(problem, "amg").solve(loads)


def test_voxel_multigrid_refuses_members_and_incompatible_modes():
    problem, _ = pillar(6)
    members = springs("s", problem.points, [[0, -1]], stiffness_n_per_mm=1.0, direction=[0.0, 0.0, 1.0])

    for other in (replace(problem, members=(members,)), replace(problem, integration="incompatible")):
        with pytest.raises(InputError, match="no trusses, springs or incompatible modes"):
            prepare(other, "voxel-multigrid")


def test_a_free_pad_costs_no_accuracy():
    points, cells = solid_box("hex8", (6, 6, 8), (6.0, 6.0, 8.0), distortion=0.1)
    problem = Problem(points, cells, uniform(len(cells)), rigid_bodies=pads(points, top=FREE))
    loads = Loads(rigid={"top": RigidLoad(np.array([3.0, -2.0, -50.0]), np.array([20.0, -10.0, 30.0]))})

    found, expected = (prepare(problem, method).solve(loads, rtol=1e-11) for method in ("amg", "direct"))

    assert_allclose(found.rigid_motion["top"], expected.rigid_motion["top"], rtol=1e-8)
