"""Ties in the voxel solver: one answer with the direct solver, and convergence that ties do not spoil."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from lattices import TILT, all_dofs, box_mesh, mixed_elasticity, on_plane, uniform
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from fesolver.fem.problem import Elasticity, LinearTie, Loads, Problem, RigidBody, RigidLoad
from fesolver.solvers import voxel_hierarchy
from fesolver.solvers.prepare import prepare

KINDS = ["periodic", "plane", "weighted", "prescribed masters", "rigid masters"]


def ties_between(slaves: NDArray[np.int64], masters: NDArray[np.int64], components: Iterable[int]) -> list[LinearTie]:
    """Every slave point follows the master point in the same place of the list."""
    one = np.ones(1)
    return [
        LinearTie(int(3 * s + c), np.array([3 * m + c]), one)
        for s, m in zip(slaves, masters, strict=True)
        for c in components
    ]


def tied_problem(kind: str, n: int) -> tuple[Problem, Loads]:
    """A cube of 12 mm on a held bottom, loaded on top off its middle, with one kind of tie."""
    points, cells, lattice = box_mesh((n, n, n), 12.0 / n)
    x, z = points[:, 0], points[:, 2]
    low, high = np.flatnonzero(z == 0.0), np.flatnonzero(z == z.max())
    left, right = on_plane(points, 0, 0.0), on_plane(points, 0, points[:, 0].max())  # both in the order y, z
    force = np.zeros_like(points)
    force[high] = np.stack([0 * high + 1.0, 0 * high - 0.5, -4.0 - x[high] / 3.0], axis=1) / len(high)
    bodies: tuple[RigidBody, ...] = ()
    ties: list[LinearTie] = []
    held = all_dofs(low)
    rigid = {}
    if kind == "periodic":
        ties = ties_between(right, left, range(3))
        held = all_dofs(np.setdiff1d(low, right))
    elif kind == "plane":
        ties = ties_between(high[1:], np.full(len(high) - 1, high[0]), [2])
    elif kind == "weighted":
        # A row across the middle of the right side: 0.3 of the left side, 0.7 of another component further below.
        level = np.rint(z * n / 12.0)
        at, far, below = right[level[right] == n // 2], left[level[left] == n // 2], right[level[right] == n // 4]
        ties = [
            LinearTie(int(3 * s + c), np.array([3 * a + c, 3 * b + (c + 1) % 3]), np.array([0.3, 0.7]))
            for s, a, b in zip(at, far, below, strict=True)
            for c in (0, 2)
        ]
    elif kind == "prescribed masters":
        at = right[z[right] > z.max() / 2]
        ties = [LinearTie(int(3 * s + 2), np.array([3 * low[3] + 2, 3 * low[-1]]), np.array([0.5, 2.0])) for s in at]
    elif kind == "rigid masters":
        bodies = (RigidBody("top", high, points[high].mean(axis=0) + 0.7, TILT),)
        rigid["top"] = RigidLoad(
            np.array([0.0, 0.0, -4.0]), np.array([8.0, -3.0, 0.0]), np.array([0.01, 0, 0, 0, 0, 0])
        )
        force[high] = 0.0
        at = right[(z[right] < z.max()) & (z[right] >= z.max() / 2)]
        ties = [LinearTie(int(3 * s), np.array([3 * high[0] + 2, 3 * high[-1]]), np.array([-0.3, 0.6])) for s in at]
    problem = Problem(
        points, cells, uniform(len(cells), 100.0), prescribed_dofs=held, rigid_bodies=bodies,
        ties=tuple(ties), lattice=lattice,
    )  # fmt: skip
    given = 1e-3 * np.sin(np.arange(len(held)))
    return problem, Loads(nodal_force=force, prescribed=given, rigid=rigid)


@pytest.fixture
def many_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarsen down to a few nodes a side, so that small problems have several grids."""
    monkeypatch.setattr(voxel_hierarchy, "MAX_DENSE", 40)


@pytest.mark.usefixtures("many_grids")
@pytest.mark.parametrize("integration", ["b-bar", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_tied_problem_agrees_with_the_direct_solver(kind, integration):
    problem, loads = tied_problem(kind, 4)
    elasticity = mixed_elasticity(len(problem.cells), 4)  # with orthotropic and anisotropic cells at the ties
    problem = replace(problem, elasticity=elasticity, integration=integration)

    exact = prepare(problem, "direct").solve(loads)
    solution = prepare(problem, "voxel-multigrid").solve(loads, rtol=1e-9)

    assert len(problem.ties) > 4
    assert_allclose(solution.u, exact.u, rtol=0, atol=1e-7 * np.abs(exact.u).max())
    slaves = np.array([tie.dof for tie in problem.ties])
    expected = [tie.weights @ solution.u.ravel()[tie.masters] for tie in problem.ties]
    assert_allclose(solution.u.ravel()[slaves], expected, rtol=1e-13, atol=1e-18)
    for name, reaction in exact.rigid_reaction.items():
        assert_allclose(solution.rigid_reaction[name], reaction, rtol=0, atol=1e-6 * np.abs(reaction).max())


def shell(n: int) -> Elasticity:
    """Cortex of 8000 MPa around 200 MPa."""
    at = (np.arange(n) + 0.5) / n
    depth = np.minimum(at, 1.0 - at)
    inside = np.minimum(np.minimum(depth[:, None, None], depth[None, :, None]), depth[None, None, :])
    return Elasticity(np.where(inside < 0.125, 8000.0, 200.0).ravel(), np.full(n**3, 0.3))


@pytest.mark.usefixtures("many_grids")
@pytest.mark.parametrize("kind", KINDS)
def test_ties_hardly_cost_iterations_at_any_size(kind):
    """At 8, 16 and 24 cells a side: 8 or 9 iterations with one material, 11 to 15 in a shell, tied or not."""
    for elasticity in (lambda n: uniform(n**3, 100.0), shell):
        tied, free = [], []
        for n in (8, 16, 24):
            problem, loads = tied_problem(kind, n)
            problem = replace(problem, elasticity=elasticity(n))
            tied.append(prepare(problem, "voxel-multigrid").solve(loads).iterations)
            free.append(prepare(replace(problem, ties=()), "voxel-multigrid").solve(loads).iterations)
        assert all(a <= 1.8 * b for a, b in zip(tied, free, strict=True)), (tied, free)
        assert max(tied) <= tied[0] + 4, tied


@pytest.mark.usefixtures("many_grids")
@pytest.mark.parametrize("kind", KINDS)
def test_new_moduli_under_ties_give_what_a_fresh_system_gives(kind):
    problem, loads = tied_problem(kind, 6)
    elasticity = mixed_elasticity(len(problem.cells), 8, (0,))

    changed = prepare(problem, "voxel-multigrid").with_elasticity(elasticity)
    fresh = prepare(replace(problem, elasticity=elasticity), "voxel-multigrid")

    assert_array_equal(changed.solve(loads).u, fresh.solve(loads).u)


@pytest.mark.usefixtures("many_grids")
def test_bar_under_a_plane_that_stays_plane_is_in_uniaxial_stress():
    """A force on one point of a top that stays plane and slides: u = F / (E A) (-nu x, -nu y, z)."""
    points, cells, lattice = box_mesh((5, 5, 6), (1.0, 1.2, 0.9))
    x, y, z = points.T
    low, high = np.flatnonzero(z == 0.0), np.flatnonzero(z == z.max())
    corner, along = np.flatnonzero((x == 0) & (y == 0) & (z == 0)), np.flatnonzero((x > 4.9) & (y == 0) & (z == 0))
    ties = ties_between(high[1:], np.full(len(high) - 1, high[0]), [2])  # the top stays plane
    held = np.sort(np.concatenate([3 * low + 2, 3 * corner, 3 * corner + 1, 3 * along + 1]))
    problem = Problem(
        points, cells, uniform(len(cells), 50.0, 0.3), prescribed_dofs=held, ties=tuple(ties), lattice=lattice
    )
    force = np.zeros_like(points)
    force[high[7], 2] = -12.0  # anywhere: the master takes it all

    u = prepare(problem, "voxel-multigrid").solve(Loads(nodal_force=force), rtol=1e-11).u

    strain = -12.0 / (50.0 * 5.0 * 6.0)
    expected = strain * np.stack([-0.3 * x, -0.3 * y, z], axis=1)
    assert_allclose(u, expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_tie_that_names_a_master_twice_counts_it_twice():
    problem, loads = tied_problem("weighted", 4)
    tie = problem.ties[0]
    twice = LinearTie(tie.dof, np.repeat(tie.masters, 2), np.repeat(tie.weights, 2) / 2)
    other = replace(problem, ties=(twice, *problem.ties[1:]))

    u = prepare(problem, "voxel-multigrid").solve(loads, rtol=1e-11).u

    assert_allclose(
        prepare(other, "voxel-multigrid").solve(loads, rtol=1e-11).u, u, rtol=0, atol=1e-9 * np.abs(u).max()
    )
