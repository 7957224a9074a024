"""Ligaments, contacts and fibres as arrays: the active set finds the one state that balances, from any start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from constrained_problems import METHODS, mixed_problem, pillar
from dense_reference import dense_stiffness
from lattices import FREE, SLIDE, all_dofs, box_mesh, on_plane, pads, uniform
from numpy.testing import assert_allclose

from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.assembly import assemble_stiffness
from fesolver.fem.connections import add_inner_elements, connection_set, law_force
from fesolver.fem.cuts import cut_forces
from fesolver.fem.problem import Connections, FluidCavity, LinearTie, Loads, Problem, RigidLoad
from fesolver.solvers.prepare import prepare

TENSION_ONLY = ([0.0], [0.0, 40.0])
COMPRESSION_ONLY = ([0.0], [60.0, 0.0])


def between(problem, pairs, laws, name="springs", force_at_break=0.0) -> Connections:
    """Elements along the lines between pairs of points; one (breaks, stiffness) each."""
    pairs = np.asarray(pairs)
    line = problem.points[pairs[:, 1]] - problem.points[pairs[:, 0]]
    line /= np.linalg.norm(line, axis=1)[:, None]
    owner = np.full(len(problem.points), -1)
    for cell, ids in enumerate(problem.cells):
        owner[ids] = cell
    breaks, stiffness = (np.array([law[k] for law in laws], dtype=float) for k in (0, 1))
    return Connections(
        name=name,
        starts=np.arange(0, 2 * len(pairs) + 1, 2),
        points=pairs.ravel(),
        weights=np.stack([-line, line], axis=1).reshape(-1, 3),
        owners=owner[pairs.ravel()],
        breaks=breaks,
        stiffness=stiffness,
        force_at_break=np.full(len(pairs), force_at_break),
    )


def law_by_hand(breaks, stiffness, force_at_break, elongation) -> float:
    """Force by walking along the law from its first break."""
    if elongation <= breaks[0]:
        return force_at_break + stiffness[0] * (elongation - breaks[0])
    force, at = force_at_break, breaks[0]
    for k, end in zip(stiffness[1:], [*breaks[1:], np.inf], strict=True):
        force += k * (min(elongation, end) - at)
        at = min(elongation, end)
    return force


def out_of_balance(problem: Problem, loads: Loads, solution) -> float:
    """Residual over the free unknowns relative to the loads, from a dense stiffness matrix and the law by hand."""
    internal = (dense_stiffness(problem) @ solution.u.ravel()).reshape(-1, 3)
    for c in problem.connections:
        for i in range(c.count):
            entries = slice(c.starts[i], c.starts[i + 1])
            elongation = float(np.sum(c.weights[entries] * solution.u[c.points[entries]]))
            force = law_by_hand(c.breaks[i], c.stiffness[i], c.force_at_break[i], elongation)
            for point, weight in zip(c.points[entries], c.weights[entries], strict=True):
                internal[point] += force * weight
    external = loads.nodal_force if loads.nodal_force is not None else np.zeros_like(internal)
    r = external - internal
    size = np.abs(external).sum() + sum(np.abs(load.force).sum() for load in loads.rigid.values())
    worst, is_held = 0.0, np.zeros(len(r), dtype=bool)
    is_held[problem.prescribed_dofs // 3] = True
    for body in problem.rigid_bodies:
        is_held[body.points] = True
        given = loads.rigid.get(body.name, RigidLoad())
        arms = problem.points[body.points] - body.reference
        force = r[body.points].sum(axis=0) + given.force
        moment = np.cross(arms, r[body.points]).sum(axis=0) + given.moment
        worst = max(worst, np.abs(np.concatenate([force, moment])[~body.is_fixed]).max(initial=0.0))
    return max(worst, np.abs(r[~is_held]).max()) / size


def with_springs(seed: int = 5) -> tuple[Problem, Loads]:
    """The lopsided mesh of every constraint with 30 random elements of three pieces, some of them pre-strained."""
    problem, loads = mixed_problem()
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.choice(len(problem.points), 2, replace=False) for _ in range(30)])
    laws = []
    for _ in range(30):
        first = rng.normal(scale=0.01)
        laws.append(
            ([first, first + rng.uniform(0.0, 0.02)], np.sort(rng.uniform(0.0, 80.0, 3)) * (rng.random(3) > 0.3))
        )
    springs = between(problem, pairs, laws, force_at_break=0.3)
    return replace(problem, connections=(springs,)), loads


@pytest.mark.parametrize("method", METHODS)
def test_forces_balance_by_a_dense_matrix_and_the_law_walked_by_hand(method):
    problem, loads = with_springs()

    solution = prepare(problem, method=method).solve(loads, rtol=1e-11)

    assert out_of_balance(problem, loads, solution) < 1e-10  # rtol 1e-11, forces of one size
    assert solution.active_set.changes[-1] == 0
    assert len(set(solution.connections["springs"].piece.tolist())) == 3, "all kinds of pieces occur"


@pytest.mark.parametrize("seed", range(4))
def test_any_start_ends_in_the_same_state(seed):
    problem, loads = with_springs()
    system = prepare(problem, method="direct")
    calm = system.solve(loads, rtol=1e-12)
    start = np.random.default_rng(seed).normal(scale=10.0 ** (seed - 2), size=problem.points.shape)

    again = system.solve(loads, u0=start, rtol=1e-12)

    assert_allclose(again.u, calm.u, rtol=0, atol=1e-10 * np.abs(calm.u).max())
    assert np.array_equal(again.connections["springs"].piece, calm.connections["springs"].piece)


@pytest.mark.parametrize("method", METHODS)
def test_other_moduli_keep_the_connections(method):
    problem, loads = with_springs()
    softer = replace(problem.elasticity, young=0.5 * problem.elasticity.young)
    system = prepare(problem, method=method)
    system.solve(loads, rtol=1e-8)

    solution = system.with_elasticity(softer).solve(loads, rtol=1e-11)

    assert out_of_balance(replace(problem, elasticity=softer), loads, solution) < 1e-10


def column_on_a_stop(gap: float) -> tuple[Problem, float, float]:
    """A column of 10 x 10 x 40 mm under a pad that slides along z, with a one-sided stop beside it."""
    points, cells, _ = box_mesh((2, 2, 8), (5.0, 5.0, 5.0))
    problem = Problem(points, cells, uniform(len(cells), 100.0, 0.0), rigid_bodies=pads(points, top=SLIDE))
    top, low = on_plane(points, 2, 40.0)[4], on_plane(points, 2, 0.0)[4]
    stop = between(problem, [[low, top]], [([-gap], [250.0, 0.0])], name="stop")
    return replace(problem, connections=(stop,)), 100.0 * 100.0 / 40.0, 250.0


@pytest.mark.parametrize("force", [40.0, 49.9, 50.1, 200.0])
def test_one_sided_spring_begins_to_carry_at_its_gap(force):
    """Bar and stop of 250 N/mm each, stop at 0.2 mm: u = F / k up to 50 N, then (F + k_stop gap) / (k + k_stop)."""
    problem, k, k_stop = column_on_a_stop(gap=0.2)

    solution = prepare(problem).solve(Loads(rigid={"top": RigidLoad(np.array([0.0, 0.0, -force]))}), rtol=1e-12)

    shortening = force / k if force <= 0.2 * k else (force + k_stop * 0.2) / (k + k_stop)
    assert_allclose(solution.rigid_motion["top"][2], -shortening, rtol=1e-10)
    assert_allclose(solution.connections["stop"].force, [-max(0.0, k_stop * (shortening - 0.2))], rtol=1e-8, atol=1e-9)
    assert_allclose(solution.rigid_reaction["bottom"][2], force, rtol=1e-9)


def test_elements_within_cells_precondition_and_do_not_change_the_answer():
    """A family of fibres a hundred times as stiff as the cells: iterations stay those of the solid."""
    points, cells, lattice = box_mesh((6, 6, 8), 1.0)
    problem = Problem(
        points, cells, uniform(len(cells), 4.0, 0.45), rigid_bodies=pads(points, top=FREE), lattice=lattice
    )
    direction = np.array([0.6, 0.0, 0.8])
    fibres = [fibre_rows(problem, direction * np.array([sign, 1, 1]), 500.0) for sign in (1.0, -1.0)]
    loads = Loads(rigid={"top": RigidLoad(np.array([0, 0, 9.0]), np.array([60.0, 0, 0]))})
    problem = replace(problem, connections=tuple(replace(f, name=f"fibres {n}") for n, f in enumerate(fibres)))

    found = {method: prepare(problem, method=method).solve(loads, rtol=1e-10) for method in METHODS}

    for solution in found.values():
        assert_allclose(solution.u, found["direct"].u, rtol=0, atol=1e-7 * np.abs(solution.u).max())
    assert found["amg"].iterations < 0.6 * found["voxel-multigrid"].iterations, "levels without the fibres"
    assert {0, 1} == set(np.concatenate([s.piece for s in found["amg"].connections.values()]).tolist())


def fibre_rows(problem: Problem, direction, stiffness_mpa: float) -> Connections:
    """One tension-only element per cell of unit cubes: the mean strain of the cell along a direction, times 1 mm."""
    corners = problem.points[problem.cells[0]] - problem.points[problem.cells[0]].mean(axis=0)
    mean_gradient = corners * 0.5  # of trilinear functions over a unit cube: +-1/4 per component
    a = np.asarray(direction)
    weights = np.tile((mean_gradient @ a)[:, None] * a, (len(problem.cells), 1))
    m = len(problem.cells)
    return Connections(
        "fibres", np.arange(0, 8 * m + 1, 8), problem.cells.ravel(), weights, np.repeat(np.arange(m), 8),
        np.zeros((m, 1)), np.tile([0.0, stiffness_mpa], (m, 1)), np.zeros(m),
    )  # fmt: skip


def test_elements_within_cells_are_added_to_the_matrix_where_they_belong():
    """K + sum of k w w^T over the elements within a cell; one across cells is left out."""
    points, cells, _ = box_mesh((2, 1, 2), 1.0)
    problem = Problem(points, cells, uniform(4, 4.0, 0.3))
    across = between(problem, [[0, len(points) - 1]], [TENSION_ONLY])
    problem = replace(problem, connections=(across, fibre_rows(problem, [0.0, 0.6, 0.8], 50.0)))
    K, k = assemble_stiffness(problem), np.array([7.0, 1.0, 2.0, 0.0, 3.0])

    added = (add_inner_elements(problem, K, k) - K).toarray()

    rows = connection_set(problem).matrix.toarray()
    assert_allclose(added, rows[1:].T @ (k[1:, None] * rows[1:]), atol=1e-14)


def test_cuts_balance_with_elements_across_them_and_within_cells():
    problem, loads = pillar(4)
    apart = np.linalg.norm(problem.points - [0.0, 0.0, 0.0], axis=1)
    pairs = [[int(np.argmin(apart)), int(np.argmax(apart))], [3, 100], [60, 20]]
    across = between(problem, pairs, [([0.0], [5000.0, 5000.0])] * 3)
    problem = replace(problem, connections=(across, fibre_rows(problem, [0.0, 0.6, 0.8], 500.0)))
    solution = prepare(problem, method="direct").solve(loads, rtol=1e-12)
    about = np.array([1.0, 2.0, 3.0])
    below = problem.points[problem.cells].mean(axis=1)[:, 2] < 4.0

    cut = cut_forces(
        problem, solution.u, below, about=about, connections={n: s.force for n, s in solution.connections.items()}
    )

    top = problem.rigid_bodies[1]
    load = loads.rigid["top"]
    wrench = np.where(top.is_fixed, solution.rigid_reaction["top"], np.concatenate([load.force, load.moment]))
    assert_allclose(cut.force, wrench[:3], atol=1e-6)  # 500 N at 1e-12, some thousand entries
    assert_allclose(cut.moment, wrench[3:] + np.cross(top.reference - about, wrench[:3]), atol=1e-5)
    with pytest.raises(InputError, match="forces of connection 'springs' are not given"):
        cut_forces(problem, solution.u, below)


def test_cuts_balance_with_ties_across_them():
    """Two blocks one above the other held together by ties only: the cut between them passes the whole load."""
    points, cells, _ = box_mesh((2, 2, 2), 1.0)
    both = np.concatenate([points, points + np.array([0.0, 0.0, 2.0])])
    problem = Problem(
        both, np.concatenate([cells, cells + len(points)]), uniform(16), rigid_bodies=pads(both, top=FREE)
    )
    lower, upper = on_plane(points, 2, 2.0), len(points) + on_plane(points, 2, 0.0)
    ties = tuple(
        LinearTie(3 * s + c, np.array([3 * m + c]), np.ones(1))
        for s, m in zip(upper, lower, strict=True)
        for c in range(3)
    )
    problem = replace(problem, ties=ties)
    loads = Loads(rigid={"top": RigidLoad(np.array([3.0, 4.0, -50.0]), np.array([7.0, -2.0, 5.0]))})
    solution = prepare(problem, method="direct").solve(loads, rtol=1e-12)
    centers, about = both[problem.cells].mean(axis=1)[:, 2], np.array([0.3, 0.2, 0.1])
    arm = problem.rigid_bodies[1].reference - about
    for height in (1.0, 2.0, 3.0):
        cut = cut_forces(problem, solution.u, centers < height, about=about, out_of_balance=solution.internal_force)
        assert_allclose(cut.force, [3.0, 4.0, -50.0], atol=1e-9)
        assert_allclose(cut.moment, np.cross(arm, [3.0, 4.0, -50.0]) + np.array([7.0, -2.0, 5.0]), atol=1e-9)
    with pytest.raises(InputError, match="ties are not given"):
        cut_forces(problem, solution.u, centers < 1.0)


@pytest.mark.parametrize("bulk_modulus", [50.0, np.inf])
def test_fluid_cavity_and_contacts_are_found_together(bulk_modulus):
    """A hollow box whose inner walls are also strung together: forces balance and the fluid fills its cavity."""
    active = np.ones((3, 3, 3), dtype=bool)
    active[1, 1, 1] = False
    from lattices import voxel_mesh

    points, cells, _ = voxel_mesh(active, 1.0)
    problem = Problem(points, cells, uniform(len(cells), 100.0, 0.3), rigid_bodies=pads(points, top=FREE))
    corner = {tuple(p): i for i, p in enumerate(points.astype(int).tolist())}
    quads = [
        [(1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 2, 1)], [(2, 1, 1), (2, 2, 1), (2, 2, 2), (2, 1, 2)],
        [(1, 1, 1), (2, 1, 1), (2, 1, 2), (1, 1, 2)], [(1, 2, 1), (1, 2, 2), (2, 2, 2), (2, 2, 1)],
        [(1, 1, 1), (1, 2, 1), (2, 2, 1), (2, 1, 1)], [(1, 1, 2), (2, 1, 2), (2, 2, 2), (1, 2, 2)],
    ]  # fmt: skip
    wall = np.array([[corner[p] for p in quad] for quad in quads])
    strings = between(
        problem, [[corner[1, 1, 1], corner[1, 1, 2]], [corner[2, 2, 1], corner[2, 1, 2]]],
        [([0.0], [90.0, 0.0]), ([-1e-3], [0.0, 70.0])],
    )  # fmt: skip
    problem = replace(problem, connections=(strings,), cavities=(FluidCavity("nucleus", wall, bulk_modulus),))
    loads = Loads(rigid={"top": RigidLoad(np.array([0, 1.0, -20.0]))})

    solution = prepare(problem, method="direct").solve(loads, rtol=1e-11)

    from fesolver.fem.cavity import volume_gradient

    gradient = volume_gradient(points, wall)
    p = solution.cavity_pressure["nucleus"]
    assert_allclose(np.sum(gradient * solution.u), -p / bulk_modulus, atol=1e-9)
    pushed = replace(loads, nodal_force=p * gradient)
    assert out_of_balance(problem, pushed, solution) < 1e-10
    assert p > 0.1
    assert solution.connections["springs"].piece.tolist() in ([0, 1], [0, 0], [1, 1])


def test_law_force_of_unequal_numbers_of_pieces_is_padded_without_effect():
    problem, _ = mixed_problem()
    one = between(problem, [[0, 9]], [([0.1], [1.0, 3.0])], name="one")
    two = between(problem, [[0, 9]], [([0.1, 0.4], [1.0, 3.0, 3.0])], name="two")
    both = connection_set(replace(problem, connections=(one, two)))
    for e in (-1.0, 0.1, 0.2, 5.0):
        found = both.force(np.array([e, e]))
        assert_allclose(found, law_by_hand([0.1], [1.0, 3.0], 0.0, e), rtol=1e-14)
    assert_allclose(law_force(two.breaks, two.stiffness, two.force_at_break, np.array([1.0])), [2.7])


def test_a_part_that_only_contacts_hold_is_refused():
    points, cells, _ = box_mesh((1, 1, 2), 1.0)
    apart = np.concatenate([points, points + np.array([5.0, 0.0, 0.0])])
    problem = Problem(
        apart, np.concatenate([cells, cells + len(points)]), uniform(4), prescribed_dofs=all_dofs(np.arange(4))
    )
    problem = replace(problem, connections=(between(problem, [[0, 12]], [COMPRESSION_ONLY]),))
    with pytest.raises(InputError, match="can move freely"):
        prepare(problem)


def test_not_settling_is_an_error_that_says_how_far_it_came(monkeypatch):
    problem, loads = with_springs()
    monkeypatch.setattr("fesolver.solvers.active_set.MAX_OUTER", 1)
    system = prepare(problem, method="amg")
    with pytest.raises(ConvergenceError, match="after 1 outer iterations"):
        system.solve(loads, rtol=1e-12)
    assert not system.solve(loads, rtol=1e-12, on_failure="return").is_converged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stiffness": np.array([[1.0, -2.0]])}, "negative"),
        ({"breaks": np.array([[np.nan]])}, "finite"),
        ({"points": np.array([0, 999])}, "attached to a point outside"),
        ({"owners": np.array([0, 999])}, "owner is no cell"),
        ({"starts": np.array([0, 0])}, "attached to nothing"),
        ({"weights": np.array([[0, 0, 1.0], [0, 0, 1.0]])}, "do not balance"),
        ({"weights": np.array([[0, 1.0, 0], [0, -1.0, 0]])}, "do not balance"),
        ({"force_at_break": np.zeros(3)}, "shape"),
    ],
)
def test_connections_that_cannot_be_solved_are_refused_by_name(change, message):
    problem, _ = pillar(2)
    good = between(problem, [[0, len(problem.points) - 1]], [TENSION_ONLY], name="L1-L2/flavum")
    bad = replace(good, **change)
    with pytest.raises(InputError, match=message) as error:
        prepare(replace(problem, connections=(bad,)))
    assert "L1-L2/flavum" in str(error.value)
    with pytest.raises(InputError, match="two connections are called"):
        prepare(replace(problem, connections=(good, good)))
