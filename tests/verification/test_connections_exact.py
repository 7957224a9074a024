"""Fibres and contacts against closed forms: patches, bars, and Hertz's sphere by refinement of mesh and penalty."""

from __future__ import annotations

import numpy as np
import pytest
from lattices import SLIDE, all_dofs, box_mesh, distorted_box, is_on_box, pads, uniform
from numpy.testing import assert_allclose
from solid_meshes import solid_box

from fesolver.anatomy.frames import Frame
from fesolver.bone.materials import FibreReinforced, Isotropic
from fesolver.bone.tissue import Region, Tissue
from fesolver.connections.fibres import annulus_fibres
from fesolver.fem.problem import Connections, Loads, Problem, RigidLoad
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.solvers.prepare import prepare

FIBRE_MPA, FRACTION, ANGLE = 500.0, 0.16, 30.0


def fibred(points, cells, element="hex8", axes=None, ground=4.0, poisson=0.3, angle=ANGLE, **constraints) -> Problem:
    """A body of annulus: ground in the cells, fibres at +-30 degrees from x in the xz plane as elements."""
    n = len(cells)
    axes = np.tile(np.eye(3) if axes is None else axes, (n, 1, 1))
    regions = {"L1-L2/annulus": Region(np.arange(n), np.ones(n))}
    mesh = SpineMesh(points, cells, regions, {}, {}, ("L1", "L2"), Frame(np.zeros(3), np.eye(3)), element=element)
    material = FibreReinforced(
        Isotropic(ground, poisson), fibre_young_mpa=FIBRE_MPA, volume_fraction=FRACTION, angle_deg=angle
    )
    tissue = Tissue(np.zeros(n), "rho_qct", regions, {"L1-L2/annulus": axes})
    fibres = annulus_fibres(mesh, tissue, {"annulus": material})
    return Problem(points, cells, uniform(n, ground, poisson), element=element, connections=fibres, **constraints)


def directions() -> np.ndarray:
    """Both families as unit vectors: +-30 degrees from x towards z."""
    c, s = np.cos(np.deg2rad(ANGLE)), np.sin(np.deg2rad(ANGLE))
    return np.array([[c, 0.0, s], [c, 0.0, -s]])


SHEARING = 1e-3 * np.array([[0.1, -0.4, 0.9], [0.2, -1.1, 0.3], [0.4, 0.8, -0.2]])
"""Displacement gradient, not symmetric, that stretches one family and shortens the other."""


@pytest.mark.parametrize("element", ["hex8", "tet4", "tet10", "hex20"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_patch_of_tension_only_fibres_keeps_a_linear_field(element, sign):
    """Uniform strain on the boundary: the same inside, and the force of each family is its own or none."""
    if element == "hex8":
        points, cells = distorted_box()
    else:
        points, cells = solid_box(element, distortion=0.15)
    gradient = sign * SHEARING
    exact = points @ gradient.T
    held = np.flatnonzero(is_on_box(points))
    problem = fibred(points, cells, element, prescribed_dofs=all_dofs(held))

    solution = prepare(problem, method="direct").solve(Loads(prescribed=exact.ravel()[problem.prescribed_dofs]))

    assert_allclose(solution.u, exact, atol=1e-9 * np.abs(exact).max())  # rtol 1e-8 on forces of a uniform state
    strain = 0.5 * (gradient + gradient.T)
    stretch = np.array([a @ strain @ a for a in directions()])
    assert (stretch > 0.0).any(), "one family at least pulls"
    assert (stretch < 0.0).any(), "and one is slack"
    lam, mu = 4.0 * 0.3 / (1.3 * 0.4), 4.0 / 2.6
    stress = lam * np.trace(strain) * np.eye(3) + 2.0 * mu * strain
    family = FIBRE_MPA * FRACTION / 2.0
    for a, e in zip(directions(), stretch, strict=True):
        stress = stress + family * max(e, 0.0) * np.outer(a, a)
    # Virtual work with the field itself: nodal forces on the boundary times u = stress . gradient times volume.
    volume = np.prod(points.max(axis=0) - points.min(axis=0))
    assert_allclose(np.sum(solution.internal_force * exact), volume * np.sum(stress * gradient), rtol=1e-8)


@pytest.mark.parametrize("force", [20.0, -20.0])
def test_bar_along_its_fibres_is_stiff_in_tension_and_as_soft_as_its_ground_in_compression(force):
    """Fibres along z, nu = 0: k = (E + E_f v) A / L in tension, E A / L in compression."""
    points, cells, _ = box_mesh((2, 2, 5), (2.0, 2.0, 4.0))
    along_z = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    problem = fibred(points, cells, axes=along_z, poisson=0.0, angle=0.0, rigid_bodies=pads(points, top=SLIDE))

    solution = prepare(problem, method="direct").solve(Loads(rigid={"top": RigidLoad(np.array([0, 0, force]))}))

    young = 4.0 + (FIBRE_MPA * FRACTION if force > 0.0 else 0.0)
    assert_allclose(solution.rigid_motion["top"][2], force * 20.0 / (young * 16.0), rtol=1e-8)


def indented(n: int, half_width: float, radius: float, stiffness: float) -> tuple[Problem, int]:
    """A quarter of a block under a rigid sphere, a contact per node of its top, gap r^2 / 2 R; the sphere's first dof.

    Cells shrink towards the contact; symmetry planes x = 0 and y = 0, far faces and bottom held.
    """
    grade = np.linspace(0.0, 1.0, n + 1)
    line = 2.1 * grade + (half_width - 2.1) * grade**4
    down = -line[::-1]
    points, cells, _ = box_mesh((n, n, n), 1.0)
    points = np.stack(
        [line[points[:, 0].astype(int)], line[points[:, 1].astype(int)], down[points[:, 2].astype(int)]], 1
    )
    low = points.min(axis=0)
    fixed = np.zeros(points.shape, dtype=bool)
    fixed[points[:, 0] == 0.0, 0] = fixed[points[:, 1] == 0.0, 1] = True
    far = (points[:, 0] == half_width) | (points[:, 1] == half_width) | (points[:, 2] == low[2])
    fixed[far] = True
    top = np.flatnonzero((points[:, 2] == 0.0) & ~far)
    weight = np.gradient(line)
    weight[0] = 0.5 * (line[1] - line[0])
    area = weight[np.searchsorted(line, points[top, 0])] * weight[np.searchsorted(line, points[top, 1])]
    # The sphere is a plate above, held as a whole, whose underside has the block's nodes one by one.
    plate, plate_cells, _ = box_mesh((n, n, 1), 1.0)
    plate = np.stack([line[plate[:, 0].astype(int)], line[plate[:, 1].astype(int)], 1.0 + plate[:, 2]], axis=1)
    above = {tuple(at): k for k, at in enumerate(plate[:, :2].tolist()) if plate[k, 2] == 1.0}
    sphere = len(points) + np.array([above[tuple(at)] for at in points[top, :2].tolist()])
    gap = np.sum(points[top, :2] ** 2, axis=1) / (2.0 * radius)
    m, everything = len(top), np.concatenate([points, plate])
    every_cell = np.concatenate([cells, plate_cells + len(points)])
    owner = np.full(len(everything), -1)
    owner[every_cell] = np.arange(len(every_cell))[:, None]
    ends = np.stack([top, sphere], axis=1).ravel()
    contact = Connections(
        name="contact", starts=2 * np.arange(m + 1), points=ends,
        weights=np.tile([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]], (m, 1)), owners=owner[ends],
        breaks=-gap[:, None], stiffness=np.stack([stiffness * area, np.zeros(m)], 1), force_at_break=np.zeros(m),
    )  # fmt: skip
    dofs = np.flatnonzero(np.concatenate([fixed.ravel(), np.ones(plate.size, dtype=bool)]))
    problem = Problem(everything, every_cell, uniform(len(every_cell), 10.0, 0.3), dofs, connections=(contact,))
    return problem, 3 * len(points)


def indentation_force(
    n: int, stiffness: float, *, half_width: float = 6.0, depth: float = 0.02, radius: float = 12.5
) -> float:
    """Force on the whole sphere pressed in by a depth."""
    problem, first = indented(n, half_width, radius, stiffness)
    dofs = problem.prescribed_dofs
    prescribed = np.where((dofs >= first) & (dofs % 3 == 2), -depth, 0.0)
    solution = prepare(problem).solve(Loads(prescribed=prescribed), rtol=1e-9)
    force = solution.connections["contact"].force
    assert (force <= 0.0).all(), "a contact never pulls"
    return -4.0 * float(force.sum())


def test_stiffer_contacts_come_nearer_to_the_unpenetrated_one_in_proportion():
    """While the same nodes touch, the force's distance to its limit is first order in 1/k: it halves as k doubles."""
    steps = np.diff([indentation_force(8, k) for k in (3200.0, 6400.0, 12800.0)])
    assert (steps > 0.0).all()
    assert_allclose(steps[0] / steps[1], 2.0, rtol=0.02)  # second order in 1/k: 1 % of the step at k = 3200


@pytest.mark.long
def test_sphere_on_a_block_by_refined_mesh_and_penalty_is_hertz():
    """F = 4/3 E* sqrt(R) d^1.5 [1]_; the block of half-width L stiffens by a / L, taken out by L = 12 and 24 mm.

    .. [1] K. L. Johnson, Contact Mechanics, Cambridge, 1985, section 4.2.
    """
    hertz = 4.0 / 3.0 * 10.0 / (1.0 - 0.09) * np.sqrt(12.5) * 0.02**1.5

    def without_penalty(n: int, half_width: float) -> float:
        coarse, fine = (indentation_force(n, k, half_width=half_width) for k in (3200.0, 6400.0))
        return 2.0 * fine - coarse

    errors = []
    for n in (10, 20):
        near, far = (without_penalty(n, half_width) for half_width in (12.0, 24.0))
        errors.append(abs((2.0 * far - near) / hertz - 1.0))
    assert errors[1] < errors[0]
    assert errors[1] < 0.02  # five cells across the contact's radius of 0.5 mm
