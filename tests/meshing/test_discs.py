import dataclasses

import numpy as np
import pytest
from analytic_bodies import GAP, A, B, Column, angle_deg, rotation
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.meshing.discs import find_disc, fit_outline
from fesolver.meshing.regions import section_area
from fesolver.meshing.voxel import mesh_segment

AREA = np.pi * A * B
TURNS = {"straight": np.eye(3), "12 degrees": rotation(12, [1, 0, 0]), "20 degrees": rotation(20, [1, 1, 0])}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
def test_disc_has_the_area_and_height_of_the_gap_whatever_the_tilt(turn):
    image = Column(["L1", "L2"]).image(spacing=1.0, turn=turn)

    disc = find_disc(image, "L1", "L2", nucleus_area_fraction=0.4)

    # A column's height ends at the corners of oblique stairs, a third of a cell early: 4 % of 9 mm at both ends.
    assert_allclose(disc.area_mm2, AREA, rtol=0.05)
    assert_allclose(disc.mean_height_mm, GAP, rtol=0.06)
    assert_allclose(len(disc.cells), AREA * GAP, rtol=0.06)
    assert angle_deg(disc.frame.axes[2], turn.T @ [0, 0, 1.0]) < 1e-6
    assert_allclose(image.frame.to_parent(disc.frame.origin), [0, 0, 17.5], atol=0.5)


def test_wedge_shaped_gap_is_covered_along_the_bisector():
    # Superior and inferior planes open by 14 degrees, and the axis stands across neither.
    image = Column(["L1", "L2"], wedge_deg=14.0).image(spacing=1.0)

    disc = find_disc(image, "L1", "L2", nucleus_area_fraction=0.4)

    assert_allclose(disc.area_mm2, AREA, rtol=0.03)
    assert_allclose(disc.mean_height_mm * disc.area_mm2, AREA * GAP, rtol=0.05)
    assert_allclose(disc.least_height_mm, GAP - 2 * B * np.tan(np.deg2rad(7.0)), atol=1.0)


@pytest.mark.parametrize("fraction", [0.3, 0.4, 0.5])
@pytest.mark.parametrize("wedge_deg", [0.0, 10.0])
def test_nucleus_takes_its_part_of_the_area_not_of_the_volume(fraction, wedge_deg):
    image = Column(["L1", "L2"], wedge_deg=wedge_deg).image(spacing=1.0)
    mesh = mesh_segment(image, nucleus_area_fraction=fraction)

    nucleus = section_area(mesh, ["L1-L2/nucleus"], "L1-L2", thickness_mm=2.0)
    whole = section_area(mesh, ["L1-L2/nucleus", "L1-L2/annulus"], "L1-L2", thickness_mm=2.0)

    assert_allclose(nucleus / whole, fraction, atol=0.01)
    # A scaled copy: its extents are the disc's by the root of the fraction.
    cells = mesh.regions["L1-L2/nucleus"].cells
    extent = np.ptp(mesh.lattice.cell_index[cells], axis=0) + 1.0
    assert_allclose(extent[:2], 2 * np.sqrt(fraction) * np.array([A, B]), atol=2.0)


def test_nucleus_reaches_both_endplates_and_never_the_rim():
    mesh = mesh_segment(Column(["L1", "L2"], wedge_deg=6.0).image(spacing=1.0, turn=TURNS["12 degrees"]))
    nucleus = mesh.cells[mesh.regions["L1-L2/nucleus"].cells]
    for name in ("L1/inferior_endplate", "L2/superior_endplate"):
        assert len(np.intersect1d(nucleus, mesh.surfaces[name].facets)) > 100
    for level in ("L1", "L2"):
        assert len(np.intersect1d(nucleus, mesh.surfaces[f"{level}/outer"].facets)) == 0


def test_gap_thinner_than_two_cells_is_refused_with_disc_place_and_spacing():
    image = Column(["L1", "L2"], gap=1.8).image(spacing=2.0)
    with pytest.raises(InputError, match=r"disc L1-L2 is thinner than two cells of 2 mm(.|\n)*near \[") as caught:
        find_disc(image, "L1", "L2", nucleus_area_fraction=0.4)

    spacing = float(caught.value.fix.split("=")[1].split()[0])
    finer = Column(["L1", "L2"], gap=1.8).image(spacing=spacing)
    assert find_disc(finer, "L1", "L2", nucleus_area_fraction=0.4).least_height_mm > 2 * spacing - 0.5


def test_displaced_body_gives_no_disc():
    image = Column(["L1", "L2"], with_arch=False).image(spacing=1.0)
    nx, ny, nz = image.body.shape
    body = np.zeros((2 * nx, ny, nz), dtype=np.int8)
    body[:nx][image.body == 2] = 2
    body[nx:][image.body == 1] = 1

    with pytest.raises(InputError, match="no disc L1-L2"):
        find_disc(dataclasses.replace(image, body=body), "L1", "L2", nucleus_area_fraction=0.4)


def test_outline_of_an_ellipse_has_its_radius_and_normals():
    x, y = np.meshgrid(np.arange(-25, 25, 0.25), np.arange(-25, 25, 0.25))
    inside = (x / A) ** 2 + (y / B) ** 2 < 1
    xy = np.column_stack([x[inside], y[inside]]) + np.array([3.0, -2.0])

    outline = fit_outline(xy, np.full(len(xy), 0.0625))

    assert_allclose(outline.center, [3.0, -2.0], atol=0.15)
    angle = np.linspace(-np.pi, np.pi, 50)
    exact = A * B / np.hypot(B * np.cos(angle), A * np.sin(angle))
    assert_allclose(outline.radius(angle)[0], exact, rtol=0.02)
    rim = outline.center + np.column_stack([exact * np.cos(angle), exact * np.sin(angle)])
    assert_allclose(outline.normalised_radius(rim), 1.0, rtol=0.02)
    normal = np.column_stack([np.cos(angle) * exact / A**2, np.sin(angle) * exact / B**2])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    assert (outline.outward(rim) * normal).sum(axis=1).min() > np.cos(np.deg2rad(4))
