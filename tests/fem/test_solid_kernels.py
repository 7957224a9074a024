"""Every element and formulation: patch, rigid modes, an independent reference, constants of the material, recovery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattices import GRADIENT, all_dofs, mixed_elasticity, uniform, varied_elasticity
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.linalg import spsolve
from solid_meshes import is_on_faces, solid_box, solid_cylinder
from solid_reference import cell_stiffness

from fesolver.errors import InputError
from fesolver.fem.assembly import assemble_stiffness
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.hooke import elasticity_matrices, isotropic_elasticity
from fesolver.fem.problem import Elasticity, Members, Problem
from fesolver.fem.recovery import (
    body_force,
    cell_nodal_forces,
    initial_strain_force,
    internal_force,
    quadrature_fields,
    recover_fields,
    smoothed_stress,
    zz_error,
)

KINDS = [("hex8", "b-bar"), ("hex8", "full"), ("hex8", "incompatible")] + [(e, "full") for e in ELEMENTS if e != "hex8"]
every_kind = pytest.mark.parametrize(("element", "integration"), KINDS, ids=lambda value: value)
ENGINEERING = np.array([GRADIENT[0, 0], GRADIENT[1, 1], GRADIENT[2, 2], *(GRADIENT + GRADIENT.T)[[1, 0, 0], [2, 2, 1]]])
CURVED = {"hex20": 0.08, "wedge15": 0.08}
"""Mid-sides off their edges, in cells. Not tet10: its 4 points integrate degree 2, and curved cells need 3."""


def distorted(element: str, integration: str, elasticity=None, shape=(2, 2, 2), poisson=0.3) -> Problem:
    """A distorted box, no face of its inner cells along an axis."""
    points, cells = solid_box(element, shape, (1.0, 1.5, 0.8), distortion=0.2, seed=3, curved=CURVED.get(element, 0.0))
    given = uniform(len(cells), 1000.0, poisson) if elasticity is None else elasticity(len(cells))
    return Problem(points, cells, given, element=element, integration=integration)


def single_cell(element: str, integration: str, elasticity: Elasticity) -> Problem:
    """One cell with every node, mid-sides too, off its place: nothing is parallel to anything."""
    nodes = ELEMENTS[element].nodes
    shift = np.random.default_rng(7).uniform(-0.08, 0.08, nodes.shape)
    points = (nodes + shift) @ np.array([[1.0, 0.2, 0.0], [0.0, 0.9, 0.3], [-0.1, 0.0, 1.1]]).T
    return Problem(points, np.arange(len(nodes))[None], elasticity, element=element, integration=integration)


def lopsided() -> Elasticity:
    """One cell with a random positive definite elasticity matrix."""
    root = np.random.default_rng(2).standard_normal((6, 6))
    return Elasticity(np.ones(1), np.zeros(1), np.zeros(1, np.int64), 100.0 * (root @ root.T + np.eye(6))[None])


@every_kind
@pytest.mark.parametrize("poisson", [0.0, 0.3, 0.49])
def test_patch_linear_field_is_reproduced_inside(element, integration, poisson):
    problem = distorted(element, integration, poisson=poisson)
    K = assemble_stiffness(problem).tocsr()
    exact = (problem.points @ GRADIENT.T).ravel()
    fixed = all_dofs(np.flatnonzero(is_on_faces(problem.points)))
    free = np.setdiff1d(np.arange(exact.size), fixed)
    assert len(free) >= 3

    u_free = spsolve(K[free][:, free].tocsc(), -K[free][:, fixed] @ exact[fixed])

    # Round-off of 2e-3 times the ratio of volumetric to shear stiffness, 50 at nu = 0.49.
    assert_allclose(u_free, exact[free], rtol=0, atol=1e-14 if poisson < 0.4 else 1e-13)


@every_kind
def test_patch_strain_stress_and_energy_are_the_exact_constants_everywhere(element, integration):
    problem = distorted(element, integration, varied_elasticity)
    u = problem.points @ GRADIENT.T
    D = elasticity_matrices(problem.elasticity)
    stress = D @ ENGINEERING

    fields, at_points = recover_fields(problem, u), quadrature_fields(problem, u)

    assert_allclose(fields.strain, np.tile(ENGINEERING, (len(D), 1)), atol=1e-14)
    assert_allclose(fields.stress, stress, atol=1e-11)  # 1e-14 times moduli of 1000 MPa
    assert_allclose(fields.strain_energy_density, 0.5 * stress @ ENGINEERING, rtol=1e-11)
    assert_allclose(at_points.strain, np.broadcast_to(ENGINEERING, at_points.strain.shape), atol=1e-14)
    assert_allclose(at_points.stress, np.broadcast_to(stress[:, None], at_points.stress.shape), atol=1e-11)


@every_kind
def test_one_distorted_cell_has_exactly_six_modes_without_energy(element, integration):
    problem = single_cell(element, integration, uniform(1, 1.0, 0.3))
    K = assemble_stiffness(problem).toarray()
    values = np.linalg.eigvalsh(K)
    modes = rigid_modes(problem.points, [0.3, -0.2, 5.0]).reshape(-1, 6)

    assert_allclose(K @ modes, 0.0, atol=2e-14)  # round-off of arms of 5 mm
    assert np.all(np.abs(values[:6]) < 1e-14)
    assert values[6] > 1e-3 * values[-1]  # no hourglass


@every_kind
@pytest.mark.parametrize("elasticity", [uniform(1, 700.0, 0.35), uniform(1, 700.0, 0.4999), lopsided()])
def test_stiffness_of_one_cell_matches_a_dense_reference_from_the_weak_form(element, integration, elasticity):
    problem = single_cell(element, integration, elasticity)
    expected = cell_stiffness(problem)

    K = assemble_stiffness(problem).toarray()

    assert_allclose(K, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    assert_array_equal(K, K.T)


@every_kind
def test_an_isotropic_cell_and_its_own_matrix_give_the_same_stiffness(element, integration):
    plain = single_cell(element, integration, uniform(1, 700.0, 0.45))
    D = isotropic_elasticity(700.0, 0.45)[None]
    general = replace(plain, elasticity=Elasticity(np.ones(1), np.zeros(1), np.zeros(1, np.int64), D))
    K = assemble_stiffness(plain).toarray()

    assert_allclose(assemble_stiffness(general).toarray(), K, rtol=0, atol=1e-14 * np.abs(K).max())


@every_kind
def test_young_poisson_and_shear_modulus_are_what_a_bar_shows(element, integration):
    """A brick of 2 x 3 x 5 mm under pure tension and pure shear: E = stress / strain, G = E / (2 (1 + nu))."""
    points, cells = solid_box(element, (1, 1, 1), (2.0, 3.0, 5.0))
    problem = Problem(points, cells, uniform(len(cells), 800.0, 0.25), element=element, integration=integration)
    top = points[:, 2] > 5.0 - 1e-9
    stretched = 1e-3 * points * [-0.25, -0.25, 1.0]
    sheared = 1e-3 * np.column_stack([points[:, 2], np.zeros(len(points)), np.zeros(len(points))])

    tension, shear = internal_force(problem, stretched), internal_force(problem, sheared)

    assert_allclose(tension[top].sum(axis=0), [0.0, 0.0, 800.0 * 1e-3 * 6.0], atol=1e-13)
    assert_allclose(shear[top].sum(axis=0), [320.0 * 1e-3 * 6.0, 0.0, 0.0], atol=1e-13)
    sides = np.abs(points[:, 0] - 1.0) > 1.0 - 1e-9
    # No lateral stress: the sides carry nothing across themselves.
    assert_allclose(tension[sides, 0], 0.0, atol=1e-13)
    assert_allclose(recover_fields(problem, sheared).stress, [[0, 0, 0, 0, 0.32, 0]] * len(cells), atol=1e-13)


def test_incompatible_modes_make_one_brick_bend_exactly():
    """Pure bending: u = kappa (-x z, nu y z, (x^2 + nu (z^2 - y^2)) / 2), energy E I kappa^2 L / 2, I = b h^3 / 12.

    Without the modes the brick must shear to bend. Timoshenko and Goodier, Theory of Elasticity, section 102.
    """
    E, nu, kappa, (L, b, h) = 1000.0, 0.3, 1e-3, (5.0, 2.0, 1.0)
    points, cells = solid_box("hex8", (1, 1, 1), (L, b, h))
    x, y, z = (points - points.mean(axis=0)).T
    u = kappa * np.column_stack([-x * z, nu * y * z, 0.5 * (x**2 + nu * (z**2 - y**2))])
    problem = Problem(points, cells, uniform(1, E, nu), integration="incompatible")
    exact = 0.5 * E * b * h**3 / 12 * kappa**2 * L

    energy = 0.5 * u.ravel() @ (assemble_stiffness(problem) @ u.ravel())
    stiff = 0.5 * u.ravel() @ (assemble_stiffness(replace(problem, integration="full")) @ u.ravel())

    assert energy == pytest.approx(exact, rel=1e-12)
    assert recover_fields(problem, u).strain_energy_density[0] * L * b * h == pytest.approx(exact, rel=1e-12)
    assert stiff > 5.0 * exact


@every_kind
def test_internal_force_and_energy_agree_with_the_matrix(element, integration):
    problem = distorted(element, integration, lambda n: mixed_elasticity(n, 4, scale=0.1))
    u = np.random.default_rng(8).standard_normal(problem.points.shape)
    ends = np.array([[0, 5], [3, -1], [5, 2]])
    root = np.random.default_rng(9).standard_normal((3, 3, 3))
    problem = replace(problem, members=(Members("springs", ends, 50.0 * root @ root.transpose(0, 2, 1)),))
    K = assemble_stiffness(problem)

    force = internal_force(problem, u)
    own = np.einsum("eai,eai->e", cell_nodal_forces(problem, u, np.arange(len(problem.cells))), u[problem.cells])
    at_points = quadrature_fields(problem, u)
    density = recover_fields(problem, u).strain_energy_density

    assert_allclose(force.ravel(), K @ u.ravel(), rtol=0, atol=1e-12 * np.abs(force).max())
    assert_allclose(0.5 * own, density * at_points.weights.sum(axis=1), rtol=1e-11)


@every_kind
def test_a_free_body_takes_its_initial_strain_without_stress(element, integration):
    problem = distorted(element, integration, varied_elasticity)
    u = problem.points @ GRADIENT.T
    initial = np.tile(ENGINEERING, (len(problem.cells), 1))

    fields = recover_fields(problem, u, initial)

    assert_allclose(fields.strain, initial, atol=1e-14)
    assert_allclose(fields.stress, 0.0, atol=1e-11)
    assert_allclose(fields.strain_energy_density, 0.0, atol=1e-24)
    assert_allclose(cell_nodal_forces(problem, u, np.arange(3), initial), 0.0, atol=1e-11)
    force = initial_strain_force(problem, initial)
    assert_allclose(internal_force(problem, u), force, rtol=0, atol=1e-13 * np.abs(force).max())


@every_kind
def test_a_held_body_answers_its_initial_strain_with_minus_the_elastic_stress(element, integration):
    problem = distorted(element, integration, varied_elasticity)
    initial = np.random.default_rng(6).standard_normal((len(problem.cells), 6))
    expected = -np.einsum("eij,ej->ei", elasticity_matrices(problem.elasticity), initial)

    at_points = quadrature_fields(problem, np.zeros_like(problem.points), initial)

    assert_allclose(at_points.stress, np.broadcast_to(expected[:, None], at_points.stress.shape), rtol=1e-12)


@pytest.mark.parametrize("element", ELEMENTS)
def test_volumes_and_places_of_quadrature_points_are_the_bodys(element):
    points, cells = solid_box(element, (3, 2, 2), (3.0, 2.0, 1.0), distortion=0.2, curved=CURVED.get(element, 0.0))
    problem = Problem(points, cells, uniform(len(cells)), element=element)

    fields = quadrature_fields(problem, np.zeros_like(points), degree=6)

    assert fields.weights.sum() == pytest.approx(6.0, rel=1e-13)
    centroid = np.einsum("mq,mqi->i", fields.weights, fields.points) / 6.0
    assert_allclose(centroid, [1.5, 1.0, 0.5], rtol=1e-12)


@pytest.mark.parametrize("element", ELEMENTS)
def test_body_forces_do_the_work_of_the_field_on_every_linear_displacement(element):
    points, cells = solid_box(element, (3, 2, 2), (3.0, 2.0, 1.0), distortion=0.2, curved=CURVED.get(element, 0.0))
    problem = Problem(points, cells, uniform(len(cells)), element=element)
    f = np.array([0.3, -0.7, 1.1])

    # In each coordinate: 5 of det J on curved cells, 2 of the shape function, 2 of x.
    constant = body_force(problem, f, degree=9)
    by_cell = body_force(problem, np.tile(f, (len(cells), 1)), degree=9)
    rising = body_force(problem, lambda x: x[:, :1] * f, degree=9)

    assert_allclose(constant.T @ points, 6.0 * np.outer(f, [1.5, 1.0, 0.5]), rtol=1e-12)
    assert_array_equal(by_cell, constant)
    assert_allclose(rising.sum(axis=0), 6.0 * 1.5 * f, rtol=1e-12)
    # int x x over [0, 3] is 9, over the other axes the means count.
    assert_allclose(rising.T @ points, np.outer(f, [9.0 * 2.0, 9.0, 4.5]), rtol=1e-12)


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_usual_rule_is_exact_for_constant_body_forces_on_straight_cells(element):
    points, cells = solid_box(element, (3, 2, 2), (3.0, 2.0, 1.0), distortion=0.2)
    problem = Problem(points, cells, uniform(len(cells)), element=element)
    f = np.array([0.3, -0.7, 1.1])

    assert_allclose(body_force(problem, f), body_force(problem, f, degree=9), rtol=0, atol=1e-14)


def test_body_force_of_the_wrong_shape_is_refused():
    points, cells = solid_box("tet4")
    problem = Problem(points, cells, uniform(len(cells)), element="tet4")

    with pytest.raises(InputError, match=r"a body force must be finite and of shape \(3,\) or \(48, 3\)"):
        body_force(problem, np.zeros((2, 3)))


@every_kind
def test_smoothed_stress_of_a_linear_field_is_the_exact_constant_and_has_no_error(element, integration):
    problem = distorted(element, integration)
    u = problem.points @ GRADIENT.T
    expected = isotropic_elasticity(1000.0, 0.3) @ ENGINEERING

    smooth, error = smoothed_stress(problem, u), zz_error(problem, u)

    assert_allclose(smooth.at_points(len(u)), np.tile(expected, (len(u), 1)), atol=1e-11)
    assert np.all(error.error <= 1e-20 * error.energy)
    assert error.energy.sum() == pytest.approx(ENGINEERING @ expected * 1.0 * 1.5 * 0.8, rel=1e-12)


@pytest.mark.parametrize("element", ["hex20", "tet10", "wedge15"])
def test_smoothed_stress_of_a_quadratic_field_is_exact_up_to_the_boundary(element):
    """Strain is linear, inside the element's space: extrapolation finds it at every node, whatever is averaged."""
    points, cells = solid_box(element, (2, 2, 3), (1.0, 1.5, 0.8))
    problem = Problem(points, cells, uniform(len(cells), 1000.0, 0.3), element=element)
    x, y, z = points.T
    u = 1e-3 * np.column_stack([x * y, y * z - x**2, z * x])
    zero = np.zeros_like(x)
    strain = 1e-3 * np.column_stack([y, z, x, y, z, x - 2 * x + zero])

    smooth = smoothed_stress(problem, u).at_points(len(points))
    error = zz_error(problem, u)

    assert_allclose(smooth, strain @ isotropic_elasticity(1000.0, 0.3), atol=1e-12)
    assert np.all(error.error <= 1e-20 * error.energy.sum())


def test_stress_is_not_smoothed_across_the_border_of_two_groups():
    """Two stiffnesses in series: the strain jumps, the stress along does not, the stress across does."""
    points, cells = solid_box("hex8", (2, 2, 4))
    is_upper = points[cells].mean(axis=1)[:, 2] > 0.5
    problem = Problem(points, cells, Elasticity(np.where(is_upper, 200.0, 100.0), np.full(len(cells), 0.3)))
    u = np.column_stack([1e-3 * points[:, 0], np.zeros(len(points)), np.zeros(len(points))])
    lower, upper = 1e-3 * isotropic_elasticity(np.array([100.0, 200.0]), 0.3)[:, 0]

    apart = smoothed_stress(problem, u, is_upper.astype(np.int64))
    mixed = smoothed_stress(problem, u)

    on_border = np.flatnonzero(np.abs(points[:, 2] - 0.5) < 1e-9)
    assert len(apart.points) == len(points) + len(on_border)
    assert_allclose(apart.stress, np.where(apart.groups[:, None] == 1, upper, lower), atol=1e-15)
    assert_allclose(mixed.at_points(len(points))[on_border], np.tile((lower + upper) / 2, (9, 1)), atol=1e-15)
    assert zz_error(problem, u, is_upper.astype(np.int64)).error.max() < 1e-25
    assert zz_error(problem, u).error.max() > 1e-7


def test_energy_of_a_general_cell_is_taken_with_its_own_compliance():
    points, cells = solid_box("tet10", (2, 2, 2))
    problem = Problem(points, cells, varied_elasticity(len(cells)), element="tet10")
    u = np.random.default_rng(1).standard_normal(points.shape)
    volume = quadrature_fields(problem, u).weights.sum(axis=1)

    energy = zz_error(problem, u).energy

    # Straight cells: strain is linear and its square within the stiffness' own quadrature.
    assert_allclose(energy, 2.0 * recover_fields(problem, u).strain_energy_density * volume, rtol=1e-10)


@every_kind
def test_an_inverted_cell_is_refused_with_its_place_by_every_way_in(element, integration):
    good, cells = solid_box(element, (2, 1, 1), (20.0, 10.0, 10.0))
    points = np.vstack([good, good * [-1.0, 1.0, 1.0]])  # and its mirror image, of which one cell is used
    cells = np.vstack([cells, cells[-1:] + len(good)])
    problem = Problem(points, cells, uniform(len(cells)), element=element, integration=integration)
    u, last = np.zeros_like(points), len(cells) - 1
    x, y, z = points[cells[last]].mean(axis=0)
    message = rf"(?s)inverted or flat \(1 in all\).*cell {last} at \({x:.1f}, {y:.1f}, {z:.1f}\) mm"

    for way in (
        lambda: assemble_stiffness(problem),
        lambda: recover_fields(problem, u),
        lambda: body_force(problem, [0.0, 0.0, -1.0]),
    ):
        with pytest.raises(InputError, match=message):
            way()


def test_initial_strain_of_the_wrong_shape_is_refused():
    points, cells = solid_cylinder("wedge6")
    problem = Problem(points, cells, uniform(len(cells)), element="wedge6")

    with pytest.raises(InputError, match=r"initial_strain must have shape \(160, 6\), got \(6,\)"):
        recover_fields(problem, np.zeros_like(points), np.zeros(6))
