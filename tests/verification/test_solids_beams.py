"""Solid elements in bending and twist: sound ones against theory, the others shown to lock."""

from __future__ import annotations

import pytest
from verification_beams import COOK_SIZES, cantilever, cook
from verification_macneal import BENDS, SHAPES, against_published, curved_beam, straight_beam
from verification_meshes import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_membrane_of_cook_approaches_its_reference_point(kind):
    (coarse,), (fine,) = (cook(kind, n) for n in COOK_SIZES[kind])

    assert coarse.is_met, coarse
    assert fine.is_met, fine
    assert abs(fine.error) < abs(coarse.error)


@pytest.mark.parametrize("kind", KINDS)
def test_cantilever_has_the_exact_deflection_and_bending_stress(kind):
    for row in cantilever(kind):
        assert row.is_met, row


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_straight_beam_of_single_cells_is_as_its_element_is_known(kind, shape):
    for row in straight_beam(kind, shape):
        assert row.is_met, row


@pytest.mark.parametrize("kind", KINDS)
def test_curved_beam_of_single_cells_is_as_its_element_is_known(kind):
    for row in curved_beam(kind):
        assert row.is_met, row


@pytest.mark.parametrize("shape", SHAPES)
def test_incompatible_modes_give_the_numbers_of_another_program(shape):
    for row in against_published(shape):
        assert row.is_met, row


@pytest.mark.parametrize("kind", ["hex8 incompatible", "hex20"])
def test_straight_beam_of_many_cells_is_that_of_theory(kind):
    for row in straight_beam(kind, n=4):
        assert row.is_met, row


@pytest.mark.long
@pytest.mark.parametrize("kind", BENDS)
def test_beams_of_many_cells_are_those_of_theory(kind):
    for row in (*straight_beam(kind, n=4), *curved_beam(kind, n=4)):
        assert row.is_met, row
