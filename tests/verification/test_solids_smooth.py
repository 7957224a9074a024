"""Every solid element: exact on linear fields, of the order of theory on smooth ones."""

from __future__ import annotations

import pytest
from verification_meshes import KINDS
from verification_smooth import orders, patch
from verification_solids import FIRST_ORDER

COARSE = {1: (4, 8), 2: (3, 6)}


@pytest.mark.parametrize("poisson", [0.0, 0.3, 0.49])
@pytest.mark.parametrize("kind", KINDS)
def test_linear_field_is_exact_on_distorted_cells(kind, poisson):
    for row in patch(kind, poisson):
        assert row.is_met, row


@pytest.mark.parametrize("kind", KINDS)
def test_orders_are_those_of_theory(kind):
    for row in orders(kind, sizes=COARSE[KINDS[kind].order]):
        assert row.is_met, row


@pytest.mark.parametrize("kind", FIRST_ORDER)
def test_orders_hold_where_the_modulus_varies(kind):
    for row in orders(kind, sizes=COARSE[1], slope=0.5):
        assert row.is_met, row


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_orders_hold_on_a_third_mesh(kind):
    for row in orders(kind):
        assert row.is_met, row
