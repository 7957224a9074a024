"""NAFEMS LE1, LE10 and LE11 with every solid element."""

from __future__ import annotations

import pytest
from verification_meshes import KINDS
from verification_nafems import elliptic_membrane, heated_cylinder, thick_plate


@pytest.mark.parametrize("kind", KINDS)
def test_elliptic_membrane_le1_has_its_stress_at_d(kind):
    for row in elliptic_membrane(kind):
        assert row.is_met, row


@pytest.mark.parametrize("kind", KINDS)
def test_thick_plate_le10_has_its_stress_at_the_inner_end(kind):
    for row in thick_plate(kind):
        assert row.is_met, row


@pytest.mark.parametrize("kind", KINDS)
def test_heated_cylinder_le11_has_its_stress_at_a(kind):
    for row in heated_cylinder(kind):
        assert row.is_met, row
