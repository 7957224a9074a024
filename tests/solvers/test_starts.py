"""Starts made of several displacements: nearest in energy, at once where they span the solution, for `amg` alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattices import TILT, pads
from numpy.testing import assert_allclose, assert_array_equal
from solid_meshes import solid_box

from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity, Loads, Problem, RigidLoad
from fesolver.solvers import amg
from fesolver.solvers.prepare import prepare
from fesolver.solvers.starts import combination_weights


def block(young=100.0) -> tuple[Problem, Loads]:
    """A distorted block of unlike cells between pads, pressed, pulled at its points and moved at three components.

    It has more unknowns than a single level solves densely.
    """
    points, cells = solid_box("hex8", (9, 8, 10), (4.0, 3.0, 6.0), distortion=0.15, seed=3)
    rng = np.random.default_rng(8)
    moduli = young * rng.uniform(0.2, 3.0, len(cells))
    bodies = pads(points, top=TILT)
    loose = np.setdiff1d(np.arange(len(points)), np.concatenate([body.points for body in bodies]))
    problem = Problem(
        points,
        cells,
        Elasticity(moduli, np.full(len(cells), 0.3)),
        prescribed_dofs=np.sort(3 * rng.permutation(loose)[:3] + np.arange(3)),
        rigid_bodies=bodies,
    )
    loads = Loads(
        nodal_force=rng.standard_normal(points.shape),
        prescribed=np.array([0.01, -0.02, 0.005]),
        rigid={"top": RigidLoad(np.array([0.0, 0.0, -30.0]), np.array([5.0, -8.0, 0.0]))},
    )
    return problem, loads


def test_weights_are_the_minimum_of_the_energy_over_the_span():
    rng = np.random.default_rng(1)
    half = rng.standard_normal((12, 12))
    A, b, X = half @ half.T, rng.standard_normal(12), rng.standard_normal((12, 3)) * [1.0, 1e4, 1e-5]

    c = combination_weights(X.T @ A @ X, X.T @ b)

    # At the minimum the residual is orthogonal to the span; scaled by the sizes of what is multiplied.
    across = X.T @ (b - A @ X @ c)
    assert np.all(np.abs(across) < 1e-10 * np.abs(X).max(axis=0) * np.abs(b).max())


def test_weights_of_a_displacement_given_twice_are_shared():
    energy = np.array([[2.0, 2.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 0.0]])  # the third has no energy

    assert_allclose(combination_weights(energy, np.array([4.0, 4.0, 0.0])), [1.0, 1.0, 0.0], rtol=1e-12)


def test_a_solution_in_the_span_of_the_starts_takes_no_iteration():
    problem, loads = block()
    system = prepare(problem, "amg")
    exact = system.solve(loads, rtol=1e-12).u
    other = np.random.default_rng(2).standard_normal(exact.shape)
    other.ravel()[problem.prescribed_dofs] = loads.prescribed  # motions that are given are given to every start
    for body in problem.rigid_bodies:
        other[body.points] = exact[body.points]

    # exact = 0.25 a + 0.75 b, neither of them near it
    a, b = exact + 3.0 * (other - exact), exact - (other - exact)
    alone = system.solve(loads, u0=a, rtol=1e-8)
    found = system.solve(loads, u0=(a, b), rtol=1e-8)

    assert alone.iterations > 10
    assert found.iterations == 0
    assert_allclose(found.u, exact, rtol=0, atol=1e-8 * np.abs(exact).max())


def test_softer_and_stiffer_neighbours_start_closer_than_one_of_them():
    problem, loads = block()
    is_bone = np.arange(len(problem.cells)) % 3 == 0

    def changed(factor):
        return replace(problem.elasticity, young=problem.elasticity.young * np.where(is_bone, factor, 1.0))

    system = prepare(problem, "amg")
    near = [system.with_elasticity(changed(factor)).solve(loads).u for factor in (0.6, 1.0, 1.6)]
    case = system.with_elasticity(changed(1.25))

    several, one = case.solve(loads, u0=near), case.solve(loads, u0=near[1])

    # An interpolation through three points against none: more than a decade of the residual.
    assert several.residual_norms[0] < 0.1 * one.residual_norms[0]
    assert several.iterations < one.iterations
    assert_allclose(several.u, one.u, rtol=0, atol=1e-6 * np.abs(one.u).max())


def test_bits_of_a_combined_start_do_not_depend_on_threads():
    problem, loads = block()
    starts = [np.random.default_rng(seed).standard_normal(problem.points.shape) for seed in range(3)]

    one, two = (prepare(problem, "amg", threads=n).solve(loads, u0=starts) for n in (1, 2))

    assert_array_equal(one.u, two.u)
    assert one.residual_norms == two.residual_norms


@pytest.mark.parametrize("method", ["direct", "pyamg"])
def test_other_methods_begin_at_the_first_start(method):
    problem, loads = block()
    starts = [np.random.default_rng(seed).standard_normal(problem.points.shape) for seed in range(2)]
    system = prepare(problem, method)

    assert_array_equal(system.solve(loads, u0=starts).u, system.solve(loads, u0=starts[0]).u)


def test_every_start_is_checked():
    problem, loads = block()
    good = np.zeros(problem.points.shape)
    system = prepare(problem, "amg")

    with pytest.raises(InputError, match="shape"):
        system.solve(loads, u0=[good, good[:-1]])
    with pytest.raises(InputError, match="finite"):
        system.solve(loads, u0=[good, good + np.nan])


def test_blocks_copied_from_known_places_are_those_that_are_searched(monkeypatch):
    problem, loads = block()
    copied = prepare(problem, "amg")
    copy = amg.free_blocks
    monkeypatch.setattr(amg, "free_blocks", lambda nodes, K, has_own_pattern: copy(nodes, K, has_own_pattern=False))
    searched = prepare(problem, "amg")

    assert_array_equal(copied._upper, searched._upper)
    assert_array_equal(copied._first.values, searched._first.values)
    assert copied._upper.any()
    assert_array_equal(copied.solve(loads).u, searched.solve(loads).u)
