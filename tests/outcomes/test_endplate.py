"""Endplate bulge on given displacements, and layer stresses in columns with known fields."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.tissue import Region
from fesolver.errors import InputError
from fesolver.fem.voigt import von_mises
from fesolver.outcomes.endplate import endplate_bulge, endplate_values, layer_groups, stress_summary
from fesolver.outcomes.endplate_geometry import central_weights, depth_fraction, outline, rim_weights
from fesolver.outcomes.state import OutcomeSettings
from fesolver.outcomes.surface import FacetSurface

SETTINGS = OutcomeSettings()
TOP = "L1/superior_endplate"


def fine_column(column, n=20, spacing=(1.5, 1.5, 1.0), **kwargs):
    return replace(column, n=n, spacing=spacing, heights=(3,), **kwargs)


def in_disc(n, spacing):
    """A round column: cells whose centre lies in the circle."""
    radius = 0.5 * n * spacing
    return lambda xyz: np.hypot(*(xyz[:, :2] - radius).T) < radius


def test_a_rigid_motion_gives_no_bulge_even_to_a_concave_endplate(column):
    mesh = fine_column(column).mesh()
    points = mesh.points.copy()
    points[:, 2] -= 0.01 * np.sum((points[:, :2] - 10.0) ** 2, axis=1)
    surface = FacetSurface.of(replace(mesh, points=points), TOP)
    u = np.array([0.5, -0.3, 2.0]) + np.cross([0.01, -0.02, 0.03], points)

    assert endplate_bulge(surface, u, SETTINGS) == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize(("endplate", "inward"), [("superior_endplate", -1.0), ("inferior_endplate", 1.0)])
def test_a_paraboloid_bulges_by_its_depth_between_centre_and_rim(column, endplate, inward):
    """w = b (1 - r2/R2): on any band the fitted plane is its mean, so the bulge is a difference of two mean r2."""
    n, h, depth = 40, 1.0, 0.2
    mesh = fine_column(column, n=n, spacing=(h, h, 1.0), keep=in_disc(n, h)).mesh()
    surface = FacetSurface.of(mesh, f"L1/{endplate}")
    r2 = np.sum((mesh.points[:, :2] - 20.0) ** 2, axis=1)
    u = np.zeros_like(mesh.points)
    u[:, 2] = inward * depth * (1.0 - r2 / 400.0)
    # Circle of radius R: the inner 10 % has mean r2 of R2/20, the outer 3 mm one of (R2 + (R - 3)2)/2.
    exact = depth * ((400.0 + 17.0**2) / 2.0 - 400.0 / 20.0) / 400.0

    bulge = endplate_bulge(surface, u, SETTINGS)

    assert bulge == pytest.approx(exact, rel=0.02)  # 1 mm stairs for a circle of 20 mm


def test_bulge_is_the_same_for_a_turned_body(column):
    mesh = fine_column(column, n=12).mesh()
    rng = np.random.default_rng(2)
    u = rng.normal(size=mesh.points.shape)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    straight = FacetSurface.of(mesh, TOP)
    turned = FacetSurface(
        TOP, mesh.points @ turn.T, straight.facets, straight.cells, straight.facet_normals @ turn.T, straight.areas
    )

    assert endplate_bulge(turned, u @ turn.T, SETTINGS) == pytest.approx(endplate_bulge(straight, u, SETTINGS))


def test_centre_and_rim_hold_the_areas_asked_for(column):
    surface = FacetSurface.of(fine_column(column).mesh(), TOP)  # 30 x 30 mm

    assert central_weights(surface, 0.1).sum() == pytest.approx(90.0)
    assert rim_weights(surface, 3.0).sum() == pytest.approx(900.0 - 24.0**2)
    # 2.5 mm holds one whole row of 1.5 mm and two thirds of the next.
    assert rim_weights(surface, 2.5).sum() == pytest.approx(900.0 - 27.0**2 + (2 / 3) * (27.0**2 - 24.0**2))


def test_the_central_area_is_symmetric_where_the_endplate_is(column):
    surface = FacetSurface.of(fine_column(column).mesh(), TOP)
    weights = central_weights(surface, 0.1)

    assert_allclose(weights @ (surface.centers - surface.centroid), 0.0, atol=1e-10)


def test_a_hole_in_the_endplate_is_no_rim(column):
    mesh = fine_column(column).mesh()
    surface = mesh.surfaces[TOP]
    centre = np.linalg.norm(mesh.points[surface.facets].mean(axis=1)[:, :2] - 15.0, axis=1)
    keep = centre > 2.5
    holed = replace(
        surface,
        facets=surface.facets[keep],
        cells=surface.cells[keep],
        normals=surface.normals[keep],
        areas=surface.areas[keep],
    )
    faceted = FacetSurface.of(replace(mesh, surfaces={TOP: holed}), TOP)

    assert len(outline(faceted)) == 4 * 20
    assert rim_weights(faceted, 3.0).sum() == pytest.approx(900.0 - 24.0**2)


def test_a_rim_that_reaches_the_centre_is_refused(column):
    surface = FacetSurface.of(column.mesh(), TOP)  # 9 x 9 mm

    with pytest.raises(InputError, match="reaches its central") as caught:
        endplate_bulge(surface, np.zeros_like(surface.points), replace(SETTINGS, bulge_rim_mm=4.0))

    assert "bulge_rim_mm" in caught.value.where


@pytest.mark.parametrize("depth", [0.3, 1.0, 2.0, 2.6])
@pytest.mark.parametrize("endplate", ["superior_endplate", "inferior_endplate"])
def test_the_layer_under_an_endplate_has_area_times_depth(column, depth, endplate):
    mesh = replace(column, spacing=(1.5, 1.5, 0.75)).mesh()
    surface = FacetSurface.of(mesh, f"L1/{endplate}")
    cells = mesh.level_cells("L1")

    inside = depth_fraction(mesh, surface, cells, depth)

    assert np.sum(inside) * 1.5**2 * 0.75 == pytest.approx(81.0 * depth, rel=1e-12)
    distance = np.abs(mesh.points[mesh.cells[cells]].mean(axis=1)[:, 2] - surface.centroid[2])
    assert np.all(inside[distance > depth + 0.375] == 0.0)


def test_cells_are_sorted_by_what_they_hold(column, given_state):
    mesh = column.mesh()
    trabecular = mesh.regions["L1/trabecular"]
    moved = trabecular.cells[trabecular.fraction == 1.0][:3]
    fraction = trabecular.fraction.copy()
    fraction[np.isin(trabecular.cells, moved)] = 0.25
    regions = {
        **mesh.regions,
        "L1/trabecular": Region(trabecular.cells, fraction),
        "L1/cement": Region(moved, np.full(3, 0.75)),
    }
    state = given_state(replace(mesh, regions=regions), np.zeros_like(mesh.points))

    groups = layer_groups(state, "L1")

    assert set(np.flatnonzero(groups["cement"])) == set(moved)
    assert set(np.flatnonzero(groups["mixed"])) == set(mesh.regions["L1/cortical"].cells)
    assert groups["bone"].sum() == 4 * 16 - 3
    assert not groups["bone"][mesh.level_cells("L2")].any()


def test_uniform_compression_gives_its_stress_everywhere(column, given_state):
    mesh = column.mesh()
    u = mesh.points @ np.diag([0.0, 0.0, -0.01])
    values = endplate_values(given_state(mesh, u), {}, SETTINGS)
    table = {(v.level, v.quantity): v.value for v in values}

    for name in ("mean", "p95", "max_mesh_dependent"):  # E = 100, nu = 0: -1 MPa
        assert table["L2", f"inferior_endplate_min_principal_stress_{name}_mpa"] == pytest.approx(-1.0)
        assert table["L2", f"superior_endplate_mixed_von_mises_stress_{name}_mpa"] == pytest.approx(1.0)
    assert table["L1", "superior_endplate_layer_volume_mm3"] == pytest.approx(2.0 * 36.0)
    assert table["L1", "superior_endplate_mixed_layer_volume_mm3"] == pytest.approx(2.0 * 45.0)
    assert table["L1", "inferior_endplate_bulge_mm"] == pytest.approx(0.0, abs=1e-15)
    assert ("L1", "superior_endplate_bulge_mm") not in table  # tied to the pad
    assert not [quantity for _, quantity in table if "cement" in quantity]


def test_percentiles_are_those_of_the_most_compressed_volume():
    low = -np.arange(1.0, 101.0)

    summary = stress_summary(low, -low, np.ones(100))

    assert summary["min_principal_stress_p95_mpa"] == -96.0  # 96 to 100 are the top 5 %
    assert summary["von_mises_stress_p95_mpa"] == 96.0
    assert summary["min_principal_stress_max_mesh_dependent_mpa"] == -100.0
    assert summary["min_principal_stress_mean_mpa"] == -50.5


def test_principal_stress_turns_with_the_field(column, given_state):
    """Simple shear of a body of nu 0: principal stresses +-G gamma, von Mises sqrt(3) G gamma."""
    mesh = column.mesh()
    gradient = np.zeros((3, 3))
    gradient[0, 2] = 0.02
    state = given_state(mesh, mesh.points @ gradient.T)

    assert_allclose(state.principal_stress, np.tile([-1.0, 0.0, 1.0], (len(mesh.cells), 1)), atol=1e-12)
    assert_allclose(von_mises(state.fields.stress), np.sqrt(3.0), rtol=1e-12)
    assert_allclose(state.principal_strain[:, 0], -0.01, rtol=1e-12)
