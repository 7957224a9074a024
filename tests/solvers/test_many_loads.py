"""Many loads, restarts and when to stop: what `solve` of the voxel solver promises beyond one answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from constrained_problems import METHODS, mixed_problem, pillar
from lattices import FIXED, FREE, SLIDE, TILT, all_dofs, box_mesh, on_plane, pads
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.cuts import cut_forces
from fesolver.fem.problem import Elasticity, LinearTie, Loads, Problem, RigidLoad
from fesolver.fem.recovery import internal_force
from fesolver.solvers import voxel_hierarchy
from fesolver.solvers.prepare import prepare
from fesolver.solvers.solution import Solution

VOXEL = "voxel-multigrid"


@pytest.fixture(autouse=True)
def many_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarsen down to a few nodes a side, so that small problems take some iterations."""
    monkeypatch.setattr(voxel_hierarchy, "MAX_DENSE", 40)


def column(top: NDArray[np.bool_] = TILT, seed: int = 5) -> Problem:
    """Bone of 20 to 20,000 MPa with a soft disc across, between pads."""
    points, cells, lattice = box_mesh((9, 7, 12), (1.5, 1.7, 1.2))
    z = points[cells].mean(axis=1)[:, 2]
    is_disc = (z > 6.0) & (z < 9.6)
    young = np.where(is_disc, 5.0, 20.0 * 10 ** np.random.default_rng(seed).uniform(0, 3, len(cells)))
    elasticity = Elasticity(young, np.where(is_disc, 0.49, 0.3))
    return Problem(points, cells, elasticity, rigid_bodies=pads(points, top=top), lattice=lattice)


def on_top(*generalised: float) -> Loads:
    """Force (N) and moment (N mm) on the top pad."""
    return Loads(rigid={"top": RigidLoad(np.array(generalised[:3]), np.array(generalised[3:]))})


def six_loads() -> list[Loads]:
    """Six independent forces (some 100 N) with moments (some 1 N m) on the top pad."""
    rows = np.random.default_rng(4).uniform(-1.0, 1.0, (6, 6)) + np.eye(6)
    return [on_top(*row) for row in rows * np.array([100.0] * 3 + [1000.0] * 3)]


def nodal_loads(problem: Problem, n: int) -> list[Loads]:
    """Random forces on all points."""
    rng = np.random.default_rng(8)
    return [Loads(nodal_force=rng.standard_normal(problem.points.shape)) for _ in range(n)]


def test_a_list_of_loads_gives_what_each_gives_alone():
    problem, loads = mixed_problem()
    others = [replace(one, prescribed=loads.prescribed) for one in nodal_loads(problem, 3)]
    system = prepare(problem, VOXEL)

    together = system.solve([loads, *others, Loads(), loads], rtol=1e-10)

    assert isinstance(together, list)
    for case, solution in zip([loads, *others, Loads(), loads], together, strict=True):
        alone = system.solve(case, rtol=1e-10)
        assert solution.is_converged
        assert_allclose(solution.u, alone.u, rtol=0, atol=1e-8 * max(np.abs(alone.u).max(), 1e-300))
        for name, reaction in alone.rigid_reaction.items():
            assert_allclose(solution.rigid_reaction[name], reaction, rtol=0, atol=1e-6)
        residual = true_residual(problem, case, solution.u)
        assert residual <= 1e-10 * (1.0 + 1e-3)
    assert_array_equal(together[4].u, 0.0)


def test_a_combination_of_earlier_loads_takes_one_iteration_at_most():
    problem = column()
    force = nodal_loads(problem, 1)[0].nodal_force
    first, second = on_top(0, 0, -500, 300, 0, 0), Loads(nodal_force=force)
    both = Loads(nodal_force=-2.0 * force, rigid={"top": RigidLoad(np.array([0, 0, 1500.0]), np.array([-900.0, 0, 0]))})
    system = prepare(problem, VOXEL)

    found = system.solve([first, second, both, first])

    assert found[0].iterations > 8
    assert [s.iterations <= 1 for s in found] == [False, False, True, True]
    assert_allclose(found[2].u, -3 * found[0].u - 2 * found[1].u, rtol=0, atol=1e-6 * np.abs(found[2].u).max())


def test_six_loads_span_all_that_a_pad_can_carry():
    problem = column(top=FREE)
    system = prepare(problem, VOXEL)
    seventh = on_top(30.0, -20.0, -500.0, 900.0, -400.0, 250.0)

    found = system.solve([*six_loads(), seventh])

    assert all(s.iterations > 1 for s in found[:6])
    assert found[6].iterations <= 1
    assert_allclose(found[6].u, system.solve(seventh).u, rtol=0, atol=1e-6 * np.abs(found[6].u).max())


def test_more_loads_than_are_remembered_are_all_solved():
    problem = column()
    loads = nodal_loads(problem, 8)
    system = prepare(problem, VOXEL)

    for case, solution in zip(loads, system.solve(loads), strict=True):
        assert true_residual(problem, case, solution.u) <= 1e-8 * (1.0 + 1e-3)


def test_the_order_of_loads_matters_within_the_tolerance_only():
    problem = column(top=FREE)
    system = prepare(problem, VOXEL)
    loads = [*six_loads(), *nodal_loads(problem, 1)]

    forward, backward = system.solve(loads, rtol=1e-9), system.solve(loads[::-1], rtol=1e-9)

    for one, other in zip(forward, backward[::-1], strict=True):
        assert_allclose(one.u, other.u, rtol=0, atol=1e-7 * np.abs(one.u).max())


@pytest.mark.parametrize("method", METHODS)
def test_no_loads_give_no_solutions(method):
    problem, _ = pillar(2)

    assert prepare(problem, method).solve([]) == []


@pytest.mark.parametrize("top", [FIXED, TILT, FREE], ids=["fixed", "tilt", "free"])
def test_restart_from_the_answer_returns_its_bits(top):
    problem = column(top=top)
    motion = np.array([0.01, 0, -0.1, 0, 0.02, 0])
    loads = Loads(rigid={"top": RigidLoad(np.array([0, 0, -500.0]), np.array([300.0, -100.0, 0]), motion)})
    system = prepare(problem, VOXEL)
    first = system.solve(loads)
    assert first.iterations > 8

    again = system.solve(loads, u0=first.u)
    many = system.solve([loads, loads], u0=first.u)

    for solution in (again, *many):
        assert solution.iterations == 0
        assert solution.is_converged
        assert_array_equal(solution.u, first.u)
        assert_allclose(solution.internal_force, first.internal_force, rtol=0, atol=1e-9)


def test_restart_from_a_similar_model_saves_iterations_and_gives_the_same():
    problem = column()
    young = problem.elasticity.young.copy()
    young[len(young) // 2 :][:40] *= 1.02
    similar = prepare(problem, VOXEL)
    system = similar.with_elasticity(replace(problem.elasticity, young=young))
    loads = on_top(0, 0, -500, 300, 0, 0)
    before = similar.solve(loads).u

    cold, warm = system.solve(loads), system.solve(loads, u0=before)

    assert warm.iterations <= cold.iterations - 3, (cold.iterations, warm.iterations)
    assert not np.array_equal(warm.u, before)
    assert_allclose(warm.u, cold.u, rtol=0, atol=1e-6 * np.abs(cold.u).max())


def restarted(problem: Problem, loads: Loads, moved: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """The answer, and the answer from a start that is the answer but for some unknowns."""
    system = prepare(problem, VOXEL)
    first = system.solve(loads, rtol=1e-10)
    start = first.u.copy()
    start.ravel()[moved] += 1.0
    return first.u, system.solve(loads, u0=start, rtol=1e-9).u


def test_a_start_does_not_change_what_is_prescribed():
    problem, loads = mixed_problem()

    exact, u = restarted(problem, loads, problem.prescribed_dofs)

    assert_allclose(u, exact, rtol=0, atol=1e-7 * np.abs(exact).max())


def test_a_start_does_not_bend_a_rigid_body():
    problem, loads = mixed_problem()

    exact, u = restarted(problem, loads, 3 * problem.rigid_bodies[1].points[:1])

    assert_allclose(u, exact, rtol=0, atol=1e-7 * np.abs(exact).max())


def test_a_start_does_not_tear_a_tie():
    problem, loads = mixed_problem()
    free = np.setdiff1d(np.arange(len(problem.points)), np.concatenate([b.points for b in problem.rigid_bodies]))
    a, b = free[~np.isin(3 * free, problem.prescribed_dofs)][:2]
    problem = replace(problem, ties=(LinearTie(int(3 * a), np.array([3 * b + 1]), np.array([0.5])),))

    exact, u = restarted(problem, loads, np.array([3 * a]))

    assert_allclose(u, exact, rtol=0, atol=1e-7 * np.abs(exact).max())


def test_start_that_does_not_fit_is_refused_with_its_shape():
    problem, loads = mixed_problem()
    system = prepare(problem, VOXEL)
    start = np.zeros(problem.points.shape)
    start[3, 1] = np.inf

    with pytest.raises(InputError, match=rf"u0 must have shape \({len(start)}, 3\), got \({3 * len(start)},\)"):
        system.solve(loads, u0=start.ravel())
    with pytest.raises(InputError, match="u0 must be finite"):
        system.solve([loads, loads], u0=start)


def true_residual(problem: Problem, loads: Loads, u: NDArray[np.float64]) -> float:
    """||f - K u|| / ||f|| from the definition in `Solution`: f is what is left with all free unknowns at zero."""
    norms = []
    given = np.zeros_like(u)
    if loads.prescribed is not None:
        given.ravel()[problem.prescribed_dofs] = loads.prescribed
    bodies = []
    for body in problem.rigid_bodies:
        arm = problem.points[body.points] - body.reference
        turns = np.stack([np.cross(axis, arm) for axis in np.eye(3)], axis=2)
        modes = np.concatenate([np.broadcast_to(np.eye(3), turns.shape), turns], axis=2)
        load = loads.rigid.get(body.name, RigidLoad())
        given[body.points] = modes @ np.where(body.is_fixed, load.motion, 0.0)
        length = np.sqrt(np.mean(np.sum(arm**2, axis=1)))  # turns count as the displacement of a typical point
        bodies.append((body, modes / np.array([1, 1, 1, length, length, length]), load, length))
    for v in (u, given):
        r = -internal_force(problem, v)
        if loads.nodal_force is not None:
            r += loads.nodal_force
        parts = []
        for body, modes, load, length in bodies:
            own = np.concatenate([load.force, load.moment / length])
            total = np.einsum("kca,kc->a", modes, r[body.points]) + own
            parts.append(total[~body.is_fixed])
            r[body.points] = 0.0
        r.ravel()[problem.prescribed_dofs] = 0.0
        norms.append(np.linalg.norm(np.concatenate([r.ravel(), *parts])))
    return norms[0] / norms[1] if norms[1] else float(norms[0])


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9])
def test_last_residual_is_the_true_one(rtol):
    for problem, loads in (mixed_problem(), (column(), on_top(0, 0, -500, 300, 0, 0))):
        solution = prepare(problem, VOXEL).solve(loads, rtol=rtol)

        residual = true_residual(problem, loads, solution.u)
        # Round-off of internal forces: 1e-16 times forces that are some 1e4 times the load.
        assert solution.residual_norms[-1] == pytest.approx(residual, rel=1e-4, abs=1e-12)
        assert residual <= rtol * (1 + 1e-3)
        assert solution.residual_norms[0] == 1.0


def test_last_residual_is_the_true_one_where_no_more_can_be_had():
    """Conjugate gradients' own residual falls for ever; the true one stays at round-off."""
    problem, loads = column(), on_top(0, 0, -500, 300, 0, 0)

    solution = prepare(problem, VOXEL).solve(loads, rtol=1e-16, on_failure="return")

    residual = true_residual(problem, loads, solution.u)
    assert not solution.is_converged
    assert residual > 1e-16
    assert 0.1 * residual < solution.residual_norms[-1] < 10 * residual  # each with its own round-off


def force_errors(problem: Problem, u: NDArray[np.float64], force: NDArray[np.float64]) -> NDArray[np.float64]:
    """Force through every plane of points less the force on the top pad, as part of the largest force."""
    level = np.rint(problem.points[problem.cells].mean(axis=1)[:, 2] / problem.lattice.spacing[2] - 0.5)
    planes = np.arange(1, problem.lattice.shape[2])
    found = np.array([cut_forces(problem, u, level < k).force for k in planes])
    return np.abs(found - force).max(axis=1) / np.abs(force).max()


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6, 1e-8])
def test_forces_through_planes_balance_to_a_hundred_times_the_tolerance(rtol):
    problem = column(top=FREE)
    force = np.array([20.0, -40.0, -500.0])

    solution = prepare(problem, VOXEL).solve(on_top(*force, 300, 0, 0), rtol=rtol)

    # Twice: nodes between a plane and the pad, and the pad itself, may each be that far out of balance.
    assert force_errors(problem, solution.u, force).max() <= 2 * 100 * rtol


def self_balanced(name: str) -> tuple[Problem, Loads]:
    """A uniform column under loads that put no force through any plane."""
    points, cells, lattice = box_mesh((6, 6, 12))
    free = "twist" not in name
    bodies = pads(points, top=FREE if free else FIXED)
    problem = Problem(
        points, cells, Elasticity(np.full(len(cells), 100.0), np.full(len(cells), 0.3)), rigid_bodies=bodies,
        lattice=lattice,
    )  # fmt: skip
    if name == "pinch":
        force = np.zeros_like(points)
        force[np.flatnonzero((points == [0, 3, 6]).all(axis=1)), 0] = 10.0
        force[np.flatnonzero((points == [6, 3, 6]).all(axis=1)), 0] = -10.0
        return problem, Loads(nodal_force=force)
    if name == "given twist":
        return problem, Loads(rigid={"top": RigidLoad(motion=np.array([0, 0, 0, 0, 0, 0.01]))})
    return problem, on_top(0, 0, 0, *{"bending": (1000.0, 0, 0), "torsion": (0, 0, 1000.0)}[name])


@pytest.mark.parametrize("name", ["bending", "torsion", "given twist", "pinch"])
def test_loads_that_balance_themselves_are_solved_in_as_many_iterations(name):
    problem, loads = self_balanced(name)
    pushed = replace(loads, rigid={"top": RigidLoad(np.array([0, 0, -100.0]), np.array([1000.0, 0, 0]))})
    exact = prepare(problem, "direct").solve(loads).u
    system = prepare(problem, VOXEL)

    solution = system.solve(loads)

    assert_allclose(solution.u, exact, rtol=0, atol=1e-6 * np.abs(exact).max())
    free = replace(problem, rigid_bodies=pads(problem.points, top=FREE))
    assert solution.iterations <= prepare(free, VOXEL).solve(pushed).iterations + 3


def test_forces_are_what_the_solver_waits_for_where_the_residual_is_small_before():
    """Given motions of a stiff pad make a large right-hand side, against which an unbalanced force looks small."""
    points, cells, lattice = box_mesh((6, 6, 12))
    z = points[cells].mean(axis=1)[:, 2]
    young = np.where((z > 4) & (z < 8), 1.0, 20000.0)
    problem = Problem(
        points, cells, Elasticity(young, np.full(len(cells), 0.3)), rigid_bodies=pads(points, top=FIXED),
        lattice=lattice,
    )  # fmt: skip
    motion = np.array([0, 0, -0.1, 0, 0, 0])

    solution = prepare(problem, VOXEL).solve(Loads(rigid={"top": RigidLoad(motion=motion)}), rtol=1e-6)

    force = solution.rigid_reaction["top"][:3]
    assert force_errors(problem, solution.u, force).max() <= 2 * 100 * 1e-6
    first = int(np.argmax(np.array(solution.residual_norms) <= 1e-6))
    assert first < solution.iterations, solution.residual_norms


def reaction_cases() -> dict[str, tuple[Problem, Loads]]:
    """A given motion, a given displacement of points, a force on a pad."""
    held = column(top=FIXED)
    points = held.points
    low, high = on_plane(points, 2, 0.0), on_plane(points, 2, points[:, 2].max())
    dofs = all_dofs(np.sort(np.concatenate([low, high])))
    given = np.zeros_like(points)
    given[high, 2] = -0.1
    return {
        "motion": (held, Loads(rigid={"top": RigidLoad(motion=np.array([0, 0, -0.1, 0.01, 0, 0]))})),
        "displacement": (
            replace(held, rigid_bodies=(), prescribed_dofs=dofs), Loads(prescribed=given.ravel()[dofs]),
        ),
        "force": (column(top=SLIDE), on_top(0, 0, -500.0, 0, 0, 0)),
        "force on a tilting pad": (column(top=TILT), on_top(0, 0, -500.0, 900.0, 300.0, 0)),
    }  # fmt: skip


def stiffness_energy(problem: Problem, loads: Loads, u: NDArray[np.float64]) -> float:
    """Work of the given motion by its reaction, or of the given load by its motion: N mm."""
    if loads.prescribed is not None:
        return float(loads.prescribed @ internal_force(problem, u).ravel()[problem.prescribed_dofs])
    top = problem.rigid_bodies[1]
    arm = problem.points[top.points] - top.reference
    load = loads.rigid["top"]
    force = internal_force(problem, u)[top.points]
    reaction = np.concatenate([force.sum(axis=0), np.cross(arm, force).sum(axis=0)])
    modes = np.stack([np.cross(axis, arm) for axis in np.eye(3)], axis=2)
    modes = np.concatenate([np.broadcast_to(np.eye(3), modes.shape), modes], axis=2).reshape(-1, 6)
    moved = np.linalg.lstsq(modes, u[top.points].ravel(), rcond=None)[0]
    return float(
        np.where(top.is_fixed, load.motion, 0.0) @ reaction
        + np.where(top.is_fixed, 0.0, np.concatenate([load.force, load.moment])) @ moved
    )


@pytest.mark.parametrize("asked", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("name", reaction_cases())
def test_stopping_on_the_reaction_is_earlier_and_keeps_its_word(name, asked):
    problem, loads = reaction_cases()[name]
    system = prepare(problem, VOXEL)
    exact = system.solve(loads, rtol=1e-11)
    full = system.solve(loads, rtol=1e-10)

    early = system.solve(loads, rtol=1e-10, reaction_rtol=asked)

    assert early.stopped_by == "reaction"
    assert full.stopped_by == "residual"
    assert early.is_converged
    assert early.iterations < full.iterations
    expected = stiffness_energy(problem, loads, exact.u)
    assert stiffness_energy(problem, loads, early.u) == pytest.approx(expected, rel=asked)


def test_reaction_that_settles_after_the_residual_stops_by_the_residual():
    problem = column()
    loads = on_top(0, 0, -500, 300, 0, 0)

    solution = prepare(problem, VOXEL).solve(loads, rtol=1e-2, reaction_rtol=1e-15)

    assert solution.stopped_by == "residual"
    assert solution.residual_norms[-1] <= 1e-2


def reaction_errors(problem: Problem, cases: list[Loads], early: list[Solution]) -> NDArray[np.float64]:
    """Relative errors of the work done by each load."""
    exact = [prepare(problem, VOXEL).solve(loads, rtol=1e-10) for loads in cases]
    work = [
        stiffness_energy(problem, loads, one.u) / stiffness_energy(problem, loads, other.u)
        for loads, one, other in zip(cases, early, exact, strict=True)
    ]
    return np.abs(np.array(work) - 1.0)


def test_six_loads_alone_stop_on_their_own_reactions():
    problem = column(top=FREE)
    system = prepare(problem, VOXEL)

    early = [system.solve(loads, rtol=1e-9, reaction_rtol=1e-4) for loads in six_loads()]

    assert [s.stopped_by for s in early] == ["reaction"] * 6
    assert reaction_errors(problem, six_loads(), early).max() <= 1e-4


def test_six_loads_at_once_stop_on_their_own_reactions():
    problem = column(top=FREE)

    early = prepare(problem, VOXEL).solve(six_loads(), rtol=1e-9, reaction_rtol=1e-4)

    assert reaction_errors(problem, six_loads(), early).max() <= 1e-4


def test_restart_stops_on_its_reaction():
    problem = column(top=FREE)
    system = prepare(problem, VOXEL)
    loads = on_top(10, 0, -500, 300, 0, 0)

    early = system.solve(loads, u0=system.solve(loads, rtol=1e-2).u, rtol=1e-9, reaction_rtol=1e-6)

    assert reaction_errors(problem, [loads], [early]).max() <= 1e-6


@pytest.mark.parametrize("method", ["direct", "amg", "pyamg"])
def test_methods_without_an_estimate_refuse_to_stop_on_the_reaction(method):
    problem, loads = pillar(2)

    with pytest.raises(
        InputError, match=f"method '{method}' cannot stop on the reaction(.|\n)*leave out reaction_rtol"
    ):
        prepare(problem, method).solve(loads, reaction_rtol=1e-3)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-3, np.nan, np.inf])
def test_reaction_tolerance_out_of_range_is_refused(value):
    problem, loads = pillar(2)

    with pytest.raises(InputError, match=f"reaction_rtol must lie between 0 and 1, got {value}"):
        prepare(problem, VOXEL).solve(loads, reaction_rtol=value)
