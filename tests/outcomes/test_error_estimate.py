"""The Zienkiewicz-Zhu estimate against true errors: effectivity on a smooth field, zero where there is no error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattices import GRADIENT
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.linalg import spsolve
from solid_meshes import is_on_faces, solid_box

from fesolver.bone.tissue import Region
from fesolver.errors import InputError
from fesolver.fem.assembly import assemble_stiffness
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.hooke import isotropic_elasticity
from fesolver.fem.problem import Elasticity, Problem
from fesolver.fem.quadrature_fields import quadrature_fields
from fesolver.outcomes.error_estimate import RegionError, estimate_error, region_groups

YOUNG, POISSON = 1000.0, 0.3
SOURCE, FORCE = np.array([1.9, -0.7, 1.6]), np.array([1.0, -0.5, 0.8])


def kelvin(at: np.ndarray) -> np.ndarray:
    """Displacement (n, 3), up to a factor, by a point force outside the unit cube (Kelvin): in equilibrium inside."""
    d = at - SOURCE
    r = np.linalg.norm(d, axis=1)[:, None]
    return ((3 - 4 * POISSON) * FORCE + d * (d @ FORCE)[:, None] / r**2) / r


def kelvin_strain(at: np.ndarray) -> np.ndarray:
    """Its strain (n, 6), by the central difference of fourth order."""
    h = 1e-3  # truncation about h^4, round-off 1e-13
    gradient = np.stack(
        [(8 * (kelvin(at + h * e) - kelvin(at - h * e)) - kelvin(at + 2 * h * e) + kelvin(at - 2 * h * e)) / (12 * h)
         for e in np.eye(3)], axis=2,
    )  # fmt: skip
    G = gradient + gradient.transpose(0, 2, 1)
    return np.stack([*(gradient[:, i, i] for i in range(3)), G[:, 1, 2], G[:, 0, 2], G[:, 0, 1]], axis=1)


def uniform_problem(element: str, n: int, distortion: float = 0.1) -> Problem:
    """A unit cube with its surface prescribed."""
    points, cells = solid_box(element, (n, n, n), distortion=distortion)
    held = (3 * np.flatnonzero(is_on_faces(points))[:, None] + np.arange(3)).ravel()
    material = Elasticity(np.full(len(cells), YOUNG), np.full(len(cells), POISSON))
    return Problem(points, cells, material, element=element, prescribed_dofs=held)


def solved(problem: Problem, given: np.ndarray) -> np.ndarray:
    """Displacement (n_points, 3) with the prescribed components of `given`."""
    K = assemble_stiffness(problem).tocsr()
    u, held = given.ravel().copy(), problem.prescribed_dofs
    free = np.setdiff1d(np.arange(u.size), held)
    if len(free):
        u[free] = spsolve(K[free][:, free].tocsc(), -K[free][:, held] @ u[held])
    return u.reshape(-1, 3)


def whole(problem: Problem) -> dict[str, Region]:
    """One region of all cells."""
    return {"all": Region(np.arange(len(problem.cells)), np.ones(len(problem.cells)))}


def effectivity(element: str, n: int) -> tuple[float, float]:
    """Estimate over true error, and true error, of Kelvin's field; the true one by a richer rule than the solver's."""
    problem = uniform_problem(element, n)
    u = solved(problem, kelvin(problem.points))
    fields = quadrature_fields(problem, u, degree=7)
    D = isotropic_elasticity(YOUNG, POISSON)
    strain = kelvin_strain(fields.points.reshape(-1, 3)).reshape(fields.stress.shape)
    gap = strain @ D - fields.stress
    true = float(np.sqrt(np.einsum("cq,cqi,ij,cqj", fields.weights, gap, np.linalg.inv(D), gap)))
    return estimate_error(problem, u, whole(problem)).total.error / true, true


@pytest.mark.parametrize("element", tuple(ELEMENTS))
def test_the_estimate_is_the_true_error_of_a_smooth_field_ever_closer_under_refinement(element):
    """Recovery of higher order makes the effectivity tend to 1 [Zienkiewicz and Zhu 1992]; 0.8 to 1.2 is usual."""
    order = ELEMENTS[element].order
    sizes = (4, 8) if order == 1 else (3, 6)

    coarse, fine = (effectivity(element, n) for n in sizes)

    # First the errors are those of the element's order, halved or quartered.
    assert coarse[1] / fine[1] == pytest.approx(2.0**order, rel=0.12)
    # Surfaces, where recovery is one-sided, are a smaller part of a finer mesh: 0.93 to 1.07 was seen.
    assert abs(fine[0] - 1) < 0.1
    assert abs(fine[0] - 1) < max(abs(coarse[0] - 1), 0.02)


@pytest.mark.parametrize("element", tuple(ELEMENTS))
def test_a_linear_field_has_no_error(element):
    problem = uniform_problem(element, 3, 0.2)
    found = estimate_error(problem, problem.points @ GRADIENT.T, whole(problem))

    assert found.total.relative < 1e-12  # round-off of strains of 1e-3
    assert found.cells.max() < 1e-12
    assert found.total.norm > 0.01


def two_layers(element: str) -> tuple[Problem, np.ndarray, dict[str, Region]]:
    """A bar of two materials in series under tension: nu 0, so that a displacement linear in each is exact."""
    points, cells = solid_box(element, (2, 2, 4), (1.0, 1.0, 2.0), distortion=0.0)
    above = points[cells].mean(axis=1)[:, 2] > 1.0
    young = np.where(above, 100.0, 1000.0)
    problem = Problem(points, cells, Elasticity(young, np.zeros(len(cells))), element=element)
    z = points[:, 2]
    u = np.zeros_like(points)
    u[:, 2] = np.where(z > 1.0, 1.0 / 1000.0 + (z - 1.0) / 100.0, z / 1000.0)
    lower, upper = np.flatnonzero(~above), np.flatnonzero(above)
    # Shear across the axis too, so that the stress along the layers jumps while tractions do not.
    u[:, 0] = 1e-3 * points[:, 0]
    return problem, u, {"bone": Region(lower, np.ones(len(lower))), "disc": Region(upper, np.ones(len(upper)))}


@pytest.mark.parametrize("element", tuple(ELEMENTS))
def test_stress_that_jumps_between_regions_is_no_error_and_is_not_smoothed_away(element):
    """Lateral stress is E times 1e-3: it jumps from 1 to 0.1 MPa at the interface, exactly."""
    problem, u, regions = two_layers(element)
    found = estimate_error(problem, u, regions)

    assert {name: row.relative < 1e-12 for name, row in found.regions.items()} == {"bone": True, "disc": True}
    assert estimate_error(problem, u, whole(problem)).total.relative > 0.05


def test_regions_add_up_and_mixed_cells_count_by_their_fraction():
    problem = uniform_problem("hex8", 4)
    u = kelvin(problem.points)
    n = len(problem.cells)
    left, right = np.arange(n // 2 + 4), np.arange(n // 2 - 4, n)
    shares = {name: np.ones(len(cells)) for name, cells in (("left", left), ("right", right))}
    shares["left"][-8:], shares["right"][:8] = 0.3, 0.7
    regions = {"left": Region(left, shares["left"]), "right": Region(right, shares["right"])}

    found = estimate_error(problem, u, regions)

    groups = region_groups(regions, n)
    assert_array_equal(np.bincount(groups), [n // 2 - 4, n // 2 - 4, 8])  # right alone, left alone, both
    assert len(set(groups[left[:-8]].tolist())) == 1
    squares = [row.error**2 for row in found.regions.values()]
    assert sum(squares) == pytest.approx(found.total.error**2, rel=1e-12)
    # A region of one fraction everywhere: its squares are that part of the whole's.
    half = estimate_error(problem, u, {"half": Region(np.arange(n), np.full(n, 0.25))})
    assert half.regions["half"].error == pytest.approx(0.5 * half.total.error, rel=1e-12)
    assert half.regions["half"].relative == pytest.approx(half.total.relative, rel=1e-12)


@pytest.mark.parametrize("element", ["hex8", "tet10"])
def test_free_swelling_has_no_stress_and_no_error(element):
    problem = uniform_problem(element, 2, 0.2)
    swelling = np.tile([0.01, 0.02, -0.01, 0.0, 0.004, 0.006], (len(problem.cells), 1))
    x, y, z = problem.points.T
    u = np.stack([0.01 * x + 0.006 * y + 0.004 * z, 0.02 * y, -0.01 * z], axis=1)

    found = estimate_error(problem, u, whole(problem), initial_strain=swelling)

    assert found.total.norm < 1e-10  # the root of round-off of 1e-16 x 10 MPa, squared, over E
    assert estimate_error(problem, 0 * u, whole(problem)).total.relative == 0.0


def test_the_relative_error_is_over_the_norm_of_solution_and_error_together():
    assert RegionError(error=3.0, norm=4.0).relative == pytest.approx(0.6)
    assert RegionError(error=0.0, norm=0.0).relative == 0.0


def test_the_table_has_a_line_for_every_region():
    problem, u, regions = two_layers("hex8")
    text = estimate_error(problem, 0 * u, regions).to_text()

    assert [line.split()[0] for line in text.splitlines()] == ["region", "bone", "disc", "all"]


def test_regions_and_displacements_of_another_mesh_are_refused():
    problem, u, regions = two_layers("hex8")
    bone = regions["bone"]

    with pytest.raises(InputError, match=r"'bone' names cells 0 to 99, there are 16"):
        estimate_error(problem, u, {"bone": Region(np.array([0, 99]), np.ones(2))})
    with pytest.raises(InputError, match=r"fractions of region 'bone'"):
        estimate_error(problem, u, {"bone": replace(bone, fraction=0 * bone.fraction)})
    with pytest.raises(InputError, match=r"\(8,\) cells and \(1,\) fractions"):
        estimate_error(problem, u, {"bone": replace(bone, fraction=np.ones(1))})
    with pytest.raises(InputError, match="u must have shape"):
        estimate_error(problem, u[:-1], regions)
    assert_allclose(
        estimate_error(problem, u, {}).total.relative, estimate_error(problem, u, whole(problem)).total.relative
    )
