"""The volume in a cavity and its gradient; walls that are open, inside out, or beside the mesh."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattices import all_dofs, on_plane, uniform, voxel_mesh
from numpy.testing import assert_allclose
from solid_meshes import solid_box, solid_cylinder

from fesolver.errors import InputError
from fesolver.fem.cavity import check_cavities, check_wall, enclosed_volume, volume_gradient
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.distributed import outer_facets, pressure_force
from fesolver.fem.problem import FluidCavity, Problem, RigidBody

ONE_KIND = ("hex8", "hex20", "tet4", "tet10")


def closed(element: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and outer facets of a warped box."""
    points, cells = solid_box(element, (2, 2, 2), (2.0, 3.0, 4.0), distortion=0.1)
    x, y, z = points.T
    points = points + 0.1 * np.stack([np.sin(y + z), np.cos(x - z), np.sin(x + 0.5 * y)], axis=1) + [50.0, 0, 0]
    (outer,) = outer_facets(cells, element).values()
    return points, outer.facets


@pytest.mark.parametrize("element", ONE_KIND)
def test_the_gradient_of_the_volume_is_its_derivative_along_any_displacement(element):
    """The volume is a cubic of the step: a central difference plus its third-order term is exact."""
    points, facets = closed(element)
    u = np.random.default_rng(1).standard_normal(points.shape)
    g = volume_gradient(points, facets)

    def odd(step: float) -> float:
        return (enclosed_volume(points + step * u, facets) - enclosed_volume(points - step * u, facets)) / 2

    slope = (8 * odd(0.1) - odd(0.2)) / (6 * 0.1)  # the cubic term out of two odd parts
    assert np.sum(g * u) == pytest.approx(slope, rel=1e-10)


@pytest.mark.parametrize("element", ONE_KIND)
def test_rigid_motions_keep_the_volume_and_growth_triples_it(element):
    points, facets = closed(element)
    g = volume_gradient(points, facets)

    modes = rigid_modes(points, points.mean(axis=0))
    assert_allclose(np.einsum("ai,aim->m", g, modes), 0.0, atol=1e-12 * np.abs(g).sum() * 4)  # arms up to 4 mm
    assert np.sum(g * points) == pytest.approx(3 * enclosed_volume(points, facets), rel=1e-11)
    assert_allclose(g, pressure_force(points, facets, -1.0), atol=0)


def test_the_volume_of_a_cylinder_of_quadratic_facets_is_that_of_parabolic_arcs():
    """Between chord and circle; each arc of angle t adds 2/3 chord x sagitta to the polygon (Archimedes' parabola)."""
    radius, height, n = 10.0, 20.0, 8
    points, cells = solid_cylinder("hex20", n // 4, 1, 2, radius=radius, height=height)
    facets = outer_facets(cells, "hex20")["quad8"].facets
    t = 2 * np.pi / n
    arc = 0.5 * radius**2 * np.sin(t) + 2 / 3 * (2 * radius * np.sin(t / 2)) * radius * (1 - np.cos(t / 2))

    assert enclosed_volume(points, facets) == pytest.approx(n * arc * height, rel=1e-12)
    assert enclosed_volume(points, facets[:, [0, 3, 2, 1, 7, 6, 5, 4]]) == pytest.approx(-n * arc * height, rel=1e-12)


def hollow() -> tuple[Problem, FluidCavity]:
    """A box of 4 x 4 x 5 cells with a hole of 2 x 2 x 2; the wall's normals point into the solid."""
    active = np.ones((4, 4, 5), dtype=bool)
    active[1:3, 1:3, 2:4] = False
    points, cells, _ = voxel_mesh(active, 2.0)
    facets = outer_facets(cells)["quad4"].facets
    inner = np.all((points > 1.0) & (points < [7.0, 7.0, 9.0]), axis=1)
    wall = facets[inner[facets].all(axis=1)]
    problem = Problem(points, cells, uniform(len(cells)), prescribed_dofs=all_dofs(on_plane(points, 2, 0.0)))
    return problem, FluidCavity("hole", wall[:, ::-1])


def test_a_hole_in_a_box_is_a_cavity_of_its_volume():
    problem, cavity = hollow()

    check_cavities(replace(problem, cavities=(cavity,)))
    check_cavities(replace(problem, cavities=(replace(cavity, bulk_modulus=2200.0),)))
    assert enclosed_volume(problem.points, cavity.facets) == pytest.approx(4.0**3, rel=1e-13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[1:], r"(?s)not closed: 4 of its 92 edges.*mm"),
        (lambda f: f[:, ::-1], r"(?s)encloses -64 mm3.*\(4\.0, 4\.0, 6\.0\) mm"),
        (lambda f: np.vstack([f[:1, ::-1], f[1:]]), "not closed: 8 of its 96"),
        (lambda f: np.vstack([f, f[:1]]), "not closed: 12 of its 100"),  # its edges twice, its neighbours' once
        (lambda f: np.vstack([f[:1], f[:1, ::-1]]), "encloses 0 mm3"),
        (lambda f: f[:0], "has no facets"),
    ],
)
def test_walls_that_hold_no_fluid_are_refused_with_their_place(change, message):
    problem, cavity = hollow()

    with pytest.raises(InputError, match=message):
        check_wall(problem.points, replace(cavity, facets=change(cavity.facets)))


def test_a_mid_side_point_that_neighbours_do_not_share_opens_the_wall():
    points, facets = closed("tet10")
    loose = facets.copy()
    loose[0, 3] = len(points)

    check_wall(points, FluidCavity("bag", facets))
    with pytest.raises(InputError, match="not closed: 2 of its"):
        check_wall(np.vstack([points, points[facets[0, 3]]]), FluidCavity("bag", loose))


def test_cavities_beside_the_mesh_and_without_a_modulus_are_refused():
    problem, cavity = hollow()
    moved = replace(problem, points=np.vstack([problem.points, problem.points]))
    beside = replace(cavity, facets=cavity.facets + len(problem.points))

    with pytest.raises(InputError, match="26 points of the wall of cavity 'hole' belong to no cell"):
        check_cavities(replace(moved, cavities=(beside,)))
    with pytest.raises(InputError, match=r"must be positive, got 0\.0 MPa"):
        check_cavities(replace(problem, cavities=(replace(cavity, bulk_modulus=0.0),)))
    with pytest.raises(InputError, match="got nan"):
        check_cavities(replace(problem, cavities=(replace(cavity, bulk_modulus=np.nan),)))
    with pytest.raises(InputError, match="used twice"):
        check_cavities(replace(problem, cavities=(cavity, cavity)))


def test_an_incompressible_cavity_in_a_rigid_wall_has_no_pressure():
    problem, cavity = hollow()
    body = RigidBody("shell", np.unique(cavity.facets), np.array([4.0, 4.0, 6.0]), np.zeros(6, dtype=bool))
    rigid = replace(problem, rigid_bodies=(body,), cavities=(cavity,))

    with pytest.raises(InputError, match="cannot move but rigidly"):
        check_cavities(rigid)
    check_cavities(replace(rigid, cavities=(replace(cavity, bulk_modulus=2200.0),)))
    held = np.union1d(problem.prescribed_dofs, all_dofs(np.unique(cavity.facets)))
    with pytest.raises(InputError, match="cannot move but rigidly"):
        check_cavities(replace(problem, prescribed_dofs=held, cavities=(cavity,)))
