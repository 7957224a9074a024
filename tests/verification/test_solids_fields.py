"""The closed-form fields against the numbers of the literature, and against equilibrium."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from verification_fields import (
    CompositeSphere,
    EndLoadedBeam,
    HollowCylinder,
    HollowSphere,
    Manufactured,
    curved_beam_deflection,
    plate_with_hole_stress,
    torsion_constant,
)

STEP = 1e-5
PLACES = np.array([[1.3, 0.8, 0.5], [0.4, -1.9, 0.1], [-2.0, 0.3, 0.7]])


def divergence(stress, x: np.ndarray) -> np.ndarray:
    """Of stress(x) -> (n, 3, 3), by central differences."""
    return sum((stress(x + d)[:, :, j] - stress(x - d)[:, :, j]) / (2 * STEP) for j, d in enumerate(STEP * np.eye(3)))


def test_lame_solutions_have_the_values_of_the_literature():
    cylinder, sphere = HollowCylinder(young=1.0), HollowSphere(young=1.0)

    assert cylinder.displacement(1.0) == pytest.approx(1.90667, abs=5e-6)
    assert (cylinder.hoop(1.0), cylinder.hoop(2.0)) == pytest.approx((1.6667, 0.6667), abs=5e-5)
    assert sphere.displacement(1.0) == pytest.approx(0.8)
    assert (sphere.hoop(1.0), sphere.hoop(2.0)) == pytest.approx((0.7142857, 0.2142857), abs=5e-8)
    assert CompositeSphere().core_stress() == pytest.approx(-1.470588, abs=5e-7)


def test_kirsch_field_is_in_equilibrium_and_concentrates_threefold():
    def stress(x):
        xx, yy, xy = plate_with_hole_stress(x, 0.9, 2.0)
        zero = 0 * xx
        return np.stack([xx, xy, zero, xy, yy, zero, zero, zero, zero], axis=1).reshape(-1, 3, 3)

    xx, yy, _ = plate_with_hole_stress(np.array([[0.0, 0.9, 0.0], [0.9, 0.0, 0.0], [1e5, 2e5, 0.0]]), 0.9, 2.0)

    assert_allclose(divergence(stress, PLACES), 0.0, atol=1e-8)  # truncation: step^2 of 1e-10
    assert_allclose([xx[0], yy[1], xx[2], yy[2]], [6.0, -2.0, 2.0, 0.0], atol=1e-9)


def test_end_loaded_beam_carries_its_force_and_moment():
    beam = EndLoadedBeam()
    y = np.linspace(-beam.depth / 2, beam.depth / 2, 4001)
    x = np.column_stack([0 * y + 12.0, y, 0 * y])

    normal, shear = beam.stress(x)

    # Trapezium rule on 4000 intervals: 1e-7 of a parabola.
    assert np.trapezoid(shear, y) == pytest.approx(beam.force, rel=1e-6)
    assert np.trapezoid(-normal * y, y) == pytest.approx(beam.force * (beam.length - 12.0), rel=1e-6)
    assert np.trapezoid(normal, y) == pytest.approx(0.0, abs=1e-6)


def test_beam_constants_agree_with_slender_theory():
    # Ring of radius 4.22 and depth 0.2: a curved beam of that depth differs from slender theory by (h / R)^2 and shear.
    slender = np.pi * 4.22**3 / 4 / (1e7 * 0.1 * 0.2**3 / 12)
    assert curved_beam_deflection(4.12, 4.32, 0.1, 1e7, 1.0) == pytest.approx(slender, rel=5e-4)
    # Timoshenko and Goodier's table: 0.229 b h^3 for a ratio of two, 0.1406 a^4 for a square.
    assert torsion_constant(0.2, 0.1) == pytest.approx(0.229 * 0.2 * 0.1**3, rel=2e-3)
    assert torsion_constant(1.0, 1.0) == pytest.approx(0.1406, abs=5e-5)


@pytest.mark.parametrize("slope", [0.0, 0.5])
def test_body_force_balances_the_manufactured_stress(slope):
    exact = Manufactured(slope=slope)

    found = divergence(lambda x: exact.stress(exact.gradient(x), exact.young(x)), PLACES)

    assert_allclose(exact.body_force(PLACES), -found, atol=1e-7)  # of 1
