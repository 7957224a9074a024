"""Fluid cavities: against the whole saddle system, Lame's sphere, and an almost incompressible solid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattices import TILT, box_mesh, pads, uniform, voxel_mesh
from numpy.testing import assert_allclose
from solid_meshes import solid_box

from fesolver.errors import InputError
from fesolver.fem.assembly import assemble_stiffness, reduction_matrix
from fesolver.fem.cavity import enclosed_volume, volume_gradient
from fesolver.fem.cuts import cut_forces
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import Elasticity, FluidCavity, Loads, Problem, RigidLoad
from fesolver.solvers import amg
from fesolver.solvers.prepare import prepare

LOADS = Loads(rigid={"top": RigidLoad(np.array([0.0, 0.0, -60.0]), np.array([40.0, -25.0, 0.0]))})


def hollow_box(bulk_modulus: float = np.inf, *, holes=((1, 1, 1),)) -> Problem:
    """A box of unlike cells with cells taken out, each hole a cavity."""
    active = np.ones((4, 3, 5), dtype=bool)
    whole, all_cells, lattice = box_mesh(active.shape, (1.0, 1.2, 0.9))
    for hole in holes:
        active[hole] = False
    points, cells, _ = voxel_mesh(active, (1.0, 1.2, 0.9))
    cavities = []
    for number, hole in enumerate(holes):
        cell = all_cells[int(np.flatnonzero(np.all(lattice.cell_index == hole, axis=1))[0])]
        ids = [int(np.flatnonzero(np.all(np.isclose(points, whole[i]), axis=1))[0]) for i in cell]
        facets = np.array([[ids[a] for a in face] for face in ELEMENTS["hex8"].faces])
        cavities.append(FluidCavity(f"hole {number}", facets, bulk_modulus))
    rng = np.random.default_rng(3)
    elasticity = Elasticity(rng.uniform(2.0, 9.0, len(cells)), rng.uniform(0.1, 0.4, len(cells)))
    return Problem(points, cells, elasticity, rigid_bodies=pads(points, top=TILT), cavities=tuple(cavities))


def saddle_solution(problem: Problem, force: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacement and pressures from the whole indefinite system at once; force on the reduced unknowns."""
    P = reduction_matrix(problem).toarray()
    A = P.T @ assemble_stiffness(problem).toarray() @ P
    g = np.array([volume_gradient(problem.points, c.facets).ravel() for c in problem.cavities])
    soft = np.diag([enclosed_volume(problem.points, c.facets) / c.bulk_modulus for c in problem.cavities])
    system = np.block([[A, -(g @ P).T], [-(g @ P), -soft]])
    found = np.linalg.solve(system, np.concatenate([force, np.zeros(len(g))]))
    return (P @ found[: A.shape[0]]).reshape(-1, 3), found[A.shape[0] :]


@pytest.mark.parametrize("method", ["direct", "amg", "pyamg"])
@pytest.mark.parametrize("bulk_modulus", [np.inf, 40.0])
def test_pressures_and_displacement_are_those_of_the_saddle_system(method, bulk_modulus):
    problem = hollow_box(bulk_modulus, holes=((1, 1, 1), (2, 1, 3)))
    solution = prepare(problem, method).solve(LOADS, rtol=1e-11)
    top = problem.rigid_bodies[1]
    length = np.sqrt(np.mean(np.sum((problem.points[top.points] - top.reference) ** 2, axis=1)))
    wrench = np.concatenate([LOADS.rigid["top"].force, LOADS.rigid["top"].moment / length])[~top.is_fixed]
    n_free = reduction_matrix(problem).shape[1]
    force = np.concatenate([np.zeros(n_free - len(wrench)), wrench])

    u, pressures = saddle_solution(problem, force)

    assert_allclose(solution.u, u, rtol=0, atol=1e-8 * np.abs(u).max())
    assert_allclose(list(solution.cavity_pressure.values()), pressures, rtol=1e-7)
    assert min(pressures) > 0  # the column is pressed, and so is what it holds


def test_an_incompressible_fluid_keeps_its_volume_and_a_soft_one_follows_its_modulus():
    for bulk_modulus in (np.inf, 40.0):
        problem = hollow_box(bulk_modulus)
        solution = prepare(problem).solve(LOADS, rtol=1e-12)
        cavity = problem.cavities[0]
        change = float(np.sum(volume_gradient(problem.points, cavity.facets) * solution.u))

        expected = -solution.cavity_pressure["hole 0"] * enclosed_volume(problem.points, cavity.facets) / bulk_modulus

        assert_allclose(change, expected, rtol=1e-9, atol=1e-13)


def test_a_hollow_sphere_full_of_fluid_follows_lame():
    a, b, young, poisson, kappa, outside = 1.0, 2.0, 10.0, 0.3, 25.0, 0.4
    points, cells = solid_box("hex20", (6, 6, 4), (1.0, 1.0, 1.0))
    # The six faces of a cube, each a patch of the shell: (s, t, r) to a point of the sphere of radius r.
    parts, ids = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            s, t = np.tan(np.pi / 4 * (2 * points[:, 0] - 1)), np.tan(np.pi / 4 * (2 * points[:, 1] - 1))
            way = np.empty_like(points)
            way[:, axis], way[:, (axis + 1) % 3], way[:, (axis + 2) % 3] = sign, sign * s, t
            way /= np.linalg.norm(way, axis=1, keepdims=True)
            parts.append(way * (a + (b - a) * points[:, 2])[:, None])
            ids.append(cells + len(points) * (len(parts) - 1))
    every = np.vstack(parts)
    _, first, inverse = np.unique(np.round(every, 9), axis=0, return_index=True, return_inverse=True)
    points, cells = every[first], inverse.ravel()[np.vstack(ids)]
    radius = np.linalg.norm(points, axis=1)
    faces = cells[:, np.array(ELEMENTS["hex20"].faces)].reshape(-1, 8)
    inner, outer = (faces[np.all(np.abs(radius[faces] - r) < 1e-9, axis=1)] for r in (a, b))
    cavity = FluidCavity("sphere", inner[:, [0, 3, 2, 1, 7, 6, 5, 4]], kappa)
    at = [int(np.argmin(np.linalg.norm(points - p, axis=1))) for p in ([b, 0, 0], [0, b, 0], [0, 0, b])]
    held = np.sort([3 * at[0] + 1, 3 * at[0] + 2, 3 * at[1], 3 * at[1] + 2, 3 * at[2], 3 * at[2] + 1])
    problem = Problem(
        points, cells, uniform(len(cells), young, poisson), prescribed_dofs=held, element="hex20", cavities=(cavity,)
    )
    force = -outside * volume_gradient(points, outer)

    solution = prepare(problem, "amg").solve(Loads(nodal_force=force), rtol=1e-10)

    # u(r) = A r + B / r^2 with A = (p a^3 - q b^3) / (3 K (b^3 - a^3)), B = (p - q) a^3 b^3 / (4 G (b^3 - a^3)), and
    # 3 u(a) / a = -p / kappa gives p (Lame; Timoshenko, Goodier, Theory of Elasticity, section 136).
    K, G, d = young / (3 * (1 - 2 * poisson)), young / (2 * (1 + poisson)), b**3 - a**3
    on_p, on_q = a**3 / (K * d) + 3 * b**3 / (4 * G * d), b**3 / (K * d) + 3 * b**3 / (4 * G * d)
    pressure = outside * on_q / (on_p + 1 / kappa)
    assert_allclose(solution.cavity_pressure["sphere"], pressure, rtol=2e-3)  # six cells along a quarter circle


def test_the_cut_through_a_cavity_carries_the_whole_load():
    problem = hollow_box()
    solution = prepare(problem).solve(LOADS, rtol=1e-12)
    height = problem.points[problem.cells].mean(axis=1)[:, 2]
    about, beyond = problem.rigid_bodies[1].reference, solution.rigid_reaction["top"]
    assert_allclose(beyond[[2, 3, 4]], [-60.0, 40.0, -25.0], atol=1e-7)

    for z in (1.0, 1.3, 2.2):  # through the hole or beside it: cells whose centres are below
        cut = cut_forces(problem, solution.u, height < z, about=about, pressures=solution.cavity_pressure)

        assert_allclose(cut.force, beyond[:3], atol=1e-7)
        assert_allclose(cut.moment, beyond[3:], atol=1e-6)


def test_moduli_changed_change_the_pressure():
    problem = hollow_box()
    system = prepare(problem)
    before = system.solve(LOADS)
    other = replace(problem.elasticity, young=problem.elasticity.young * np.linspace(1.0, 3.0, len(problem.cells)))

    after = system.with_elasticity(other).solve(LOADS)
    fresh = prepare(replace(problem, elasticity=other)).solve(LOADS)

    assert after.cavity_pressure == fresh.cavity_pressure
    assert abs(after.cavity_pressure["hole 0"] / before.cavity_pressure["hole 0"] - 1) > 0.01


def test_a_wall_with_a_gap_and_a_bulk_modulus_of_zero_are_refused():
    problem = hollow_box()
    cavity = problem.cavities[0]

    with pytest.raises(InputError, match="closed"):
        prepare(replace(problem, cavities=(replace(cavity, facets=cavity.facets[1:]),)))
    with pytest.raises(InputError, match="bulk modulus"):
        prepare(replace(problem, cavities=(replace(cavity, bulk_modulus=0.0),)))


@pytest.mark.parametrize("method", ["direct", "amg", "pyamg"])
def test_forces_balance_at_free_points_with_the_fluid_s_own_within_the_tolerance(method):
    problem = hollow_box(40.0, holes=((1, 1, 1), (2, 1, 3)))
    solution = prepare(problem, method).solve(LOADS, rtol=1e-8)
    held = np.concatenate([body.points for body in problem.rigid_bodies])

    left = np.delete(
        solution.internal_force
        - sum(solution.cavity_pressure[c.name] * volume_gradient(problem.points, c.facets) for c in problem.cavities),
        held,
        axis=0,
    )

    # Each part of the sum is within rtol of its own load: 60 N and two pressures of a few MPa on 1 mm2.
    assert np.linalg.norm(left) < 2e-8 * 60.0
    assert np.linalg.norm(np.delete(solution.internal_force, held, axis=0)) > 1.0  # the fluid does carry force


def test_a_direct_solver_takes_over_for_unit_pressures_too(monkeypatch):
    problem = hollow_box()
    expected = prepare(problem, "direct").solve(LOADS)
    monkeypatch.setattr(amg, "MAX_ITERATIONS", 1)
    system = prepare(problem, "amg")
    system.rescue = "direct"

    found = system.solve(LOADS)

    assert found.method == "direct"
    assert_allclose(list(found.cavity_pressure.values()), list(expected.cavity_pressure.values()), rtol=1e-7)
