"""Density fields: means over the body, published ratios, compartments, and T-scores with their uncertainty."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.density_fields import (
    PATTERN_SOURCES,
    CompartmentDensity,
    PatternedDensity,
    UniformDensity,
    mean_density,
)
from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.anatomy.fractures import fractured
from fesolver.anatomy.shape import body_coordinates
from fesolver.anatomy.t_score import t_score_density
from fesolver.errors import InputError

L1 = vertebra_dimensions("L1")
# No hollows and equal heights: normalised height is s, and thirds are thirds of the volume of a straight body.
FLAT = vertebra_dimensions(
    "L1",
    superior_concavity_mm=0.0,
    inferior_concavity_mm=0.0,
    waist_fraction=0.0,
    inferior_width_mm=41.2,
    inferior_depth_mm=34.1,
    anterior_height_mm=23.8,
)


def lattice_mean(field, d, step=0.5):
    """Mean of a field over the points of a lattice inside the body."""
    axes = [np.arange(-h, h, step) + 0.013 for h in (26.0, 24.0, 15.0)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = points[body_coordinates(points, d).depth_mm > 0]
    return float(field.at(inside, d).mean())


def test_a_uniform_field_is_the_same_everywhere():
    assert_allclose(UniformDensity(0.08).at([[0, 0, 0], [15, 2, 5]], L1), 0.08)


@pytest.mark.parametrize("shape", [L1, fractured(L1, kind="biconcave", grade=3), vertebra_dimensions("L5")])
def test_the_mean_of_a_patterned_field_is_the_one_asked_for_in_every_shape(shape):
    field = PatternedDensity(0.093, rim_density_ratio=1.6, inferior_superior_ratio=1.4)

    assert mean_density(field, shape) == pytest.approx(0.093, rel=1e-12)
    # The lattice meets flat faces up to 0.2 % wrong; the pattern varies by half across the body.
    assert lattice_mean(field, shape) == pytest.approx(0.093, rel=2e-3)


def test_the_rim_is_denser_than_the_centre_by_the_published_ratio():
    centre, rim = PatternedDensity(0.08).at(body_points([0.3, 0.9], 0, 0, FLAT), FLAT)

    assert rim / centre == pytest.approx(1.325, rel=1e-12)  # 32.5 %, PubMed 34705863
    assert "read" in PATTERN_SOURCES["rim_density_ratio"].standing


def test_the_inferior_end_is_the_denser_one():
    bottom, top = PatternedDensity(0.08, inferior_superior_ratio=1.2).at(body_points(0.2, 0, [-1, 1], FLAT), FLAT)

    assert bottom / top == pytest.approx(1.2, rel=1e-12)


def test_compartments_have_their_own_densities():
    field = CompartmentDensity(
        {"core/inferior_third": 0.09, "core/middle_third": 0.06, "core/superior_third": 0.08, "rim": 0.12}
    )

    at = field.at(body_points([0, 0, 0, 0.8, 0.8], 0, [-0.9, 0, 0.9, 0.9, -0.9], FLAT), FLAT)

    assert_allclose(at, [0.09, 0.06, 0.08, 0.12, 0.12])


def test_the_mean_over_compartments_is_that_of_their_volumes():
    # Thirds of the height are thirds of the volume; the core takes 0.7^2 of a section without indentation.
    straight = vertebra_dimensions(
        "L1",
        **{
            name: getattr(FLAT, name)
            for name in (
                "superior_concavity_mm",
                "inferior_concavity_mm",
                "waist_fraction",
                "inferior_width_mm",
                "inferior_depth_mm",
                "anterior_height_mm",
            )
        },
        posterior_indentation_mm=0.0,
    )
    thirds = CompartmentDensity({"inferior_third": 0.12, "middle_third": 0.06, "superior_third": 0.09})
    rings = CompartmentDensity({"core": 0.06, "rim": 0.10})

    assert mean_density(rings, straight) == pytest.approx(0.49 * 0.06 + 0.51 * 0.10, rel=1e-9)
    assert lattice_mean(thirds, straight, 0.25) == pytest.approx(0.09, rel=5e-3)  # planes of the lattice


def test_a_mean_can_be_asked_of_compartments_and_keeps_their_ratio():
    field = CompartmentDensity({"core": 0.06, "rim": 0.10}, mean_g_cm3=0.05)

    centre, rim = field.at(body_points([0.1, 0.9], 0, 0, L1), L1)

    assert mean_density(field, L1) == pytest.approx(0.05, rel=1e-12)
    assert rim / centre == pytest.approx(10 / 6, rel=1e-12)


@pytest.mark.parametrize(
    "field", [UniformDensity(0.08), PatternedDensity(0.08), CompartmentDensity({"core": 0.06, "rim": 0.1})]
)
def test_a_scaled_field_is_that_factor_denser_everywhere(field):
    points = body_points([0.1, -0.5, 0.9], [0.3, 0.1, 0.2], [0.1, -0.8, 0.9], L1)

    assert_allclose(field.scaled(1.3).at(points, L1), 1.3 * field.at(points, L1), rtol=1e-12)
    assert field.scaled(1.3).kind == "rho_qct"


def test_a_t_score_gives_a_density_with_its_uncertainty():
    density = t_score_density(-2.5)

    assert density.mean == pytest.approx(0.1467 - 2.5 * 0.0267)
    assert density.standard_uncertainty == 0.030


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformDensity(80.0), "it looks like mg/cm3"),
        (lambda: UniformDensity(0.08, kind="bmd"), "density kind 'bmd' is unknown"),
        (lambda: PatternedDensity(0.08, rim_density_ratio=0.1), "rim_density_ratio = 0.1 is outside"),
        (lambda: CompartmentDensity({"core": 0.06}), "compartment rim/inferior_third has no density"),
        (lambda: CompartmentDensity({"core": 0.1, "rim": 0.1, "middle_third": 0.1}), "of core and of middle_third"),
        (lambda: CompartmentDensity({"shell": 0.1}), "unknown compartment 'shell'"),
        (lambda: CompartmentDensity({"core": 0.1, "rim": -0.1}), "rim = -0.1 g/cm3 is outside"),
        (lambda: CompartmentDensity({"core": 0.1, "rim": 0.1}, core_radius=1.0), "core_radius = 1 is outside"),
    ],
)
def test_fields_that_make_no_sense_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
