"""Fibres and contacts against closed forms: patches, bars, and Hertz's sphere by refinement of mesh and penalty."""

from __future__ import annotations

import numpy as np
import pytest
from lattices import SLIDE, all_dofs, box_mesh, distorted_box, is_on_box, pads
from numpy.testing import assert_allclose
from solid_meshes import solid_box
from verification_connections import (
    FIBRE_MPA,
    FRACTION,
    directions,
    fibred,
    indentation_force,
    sphere_on_block,
)

from fesolver.fem.problem import Loads, RigidLoad
from fesolver.solvers.prepare import prepare

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


def test_stiffer_contacts_come_nearer_to_the_unpenetrated_one_in_proportion():
    """While the same nodes touch, the force's distance to its limit is first order in 1/k: it halves as k doubles."""
    steps = np.diff([indentation_force(8, k) for k in (3200.0, 6400.0, 12800.0)])
    assert (steps > 0.0).all()
    assert_allclose(steps[0] / steps[1], 2.0, rtol=0.02)  # second order in 1/k: 1 % of the step at k = 3200


@pytest.mark.long
def test_sphere_on_a_block_by_refined_mesh_and_penalty_is_hertz():
    errors = [abs(sphere_on_block(n)[2] - 1.0) for n in (10, 20)]
    assert errors[1] < errors[0]
    assert errors[1] < 0.02  # five cells across the contact's radius of 0.5 mm
