"""The anchors: each model builds, units and signs are right, and what theory says about each of them holds."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.frames import Frame
from fesolver.fem.problem import Elasticity
from fesolver.meshing.regions import cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh, Surface

STUDY = Path(__file__).resolve().parents[2] / "studies" / "anchors"
sys.path.insert(0, str(STUDY))

import anchor_checks as checks  # noqa: E402
import anchor_models as models  # noqa: E402
import anchor_runs as runs  # noqa: E402
import anchors  # noqa: E402

COARSE = 0.4


@cache
def unit(nucleus="solid", **disc):
    return models.build_unit(("L1", "L2"), refinement=COARSE, tables={"disc": {"nucleus": nucleus, **disc}})


@cache
def numbers(nucleus="solid"):
    return runs.unit_numbers(("L1", "L2"), refinement=COARSE, tables={"disc": {"nucleus": nucleus}})


def brick(young):
    """A body of 30 x 20 x 24 mm in 3 x 2 x 2 cells, as a level."""
    x, y, z = (np.linspace(0.0, length, n + 1) for length, n in ((30.0, 3), (20.0, 2), (24.0, 2)))
    grid = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    number = np.arange(grid[..., 0].size).reshape(grid.shape[:3])
    corners = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1))
    cells = np.stack([number[i : i + 3, j : j + 2, k : k + 2].ravel() for i, j, k in corners], axis=-1)
    up = np.array([0.0, 0.0, 1.0])

    def side(k, order, normal):
        quads = np.stack(
            [number[i : i + 3, j : j + 2, k].ravel() for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], axis=-1
        )[:, order]
        return Surface(quads, np.zeros(6, np.int64), np.tile(normal, (6, 1)), np.full(6, 100.0))

    surfaces = {
        "L1/superior_endplate": side(2, [0, 1, 2, 3], up),
        "L1/inferior_endplate": side(0, [3, 2, 1, 0], -up),
    }
    mesh = SpineMesh(grid.reshape(-1, 3), cells, {}, surfaces, {}, ("L1",), Frame(np.zeros(3), np.eye(3)))
    return mesh, Elasticity(np.full(len(cells), young), np.full(len(cells), models.PMMA[1]))


def test_a_brick_of_the_caps_own_material_has_the_stiffness_of_one_bar():
    problem, top = models.capped_problem(*brick(models.PMMA[0]), thickness_mm=3.0, n_layers=2)

    # E A / L: both planes hold along z only, so the bar is in uniaxial stress.
    exact = models.PMMA[0] * 600.0 / (24.0 + 2 * 3.0)
    assert_allclose(models.capped_stiffness(problem, top), exact, rtol=1e-6)  # solver tolerance 1e-7


def test_caps_fill_the_space_between_the_endplates_and_two_planes():
    mesh, elasticity = models.build_body("L1", density_g_cm3=0.1, refinement=COARSE)
    problem, top = models.capped_problem(mesh, elasticity, thickness_mm=3.0)
    z = problem.points[:, 2]

    caps = cell_volumes(replace(mesh, points=problem.points, cells=problem.cells))[len(mesh.cells) :]

    assert caps.min() > 0.0
    assert_allclose(z[top], mesh.points[:, 2].max() + 3.0, rtol=0, atol=1e-9)
    assert_allclose(z.min(), mesh.points[:, 2].min() - 3.0, rtol=0, atol=1e-9)
    # Divergence theorem on the endplates: height to the plane times the area seen along z, by the facets' four corners.
    expected = 0.0
    for side, plane in (("superior", z.max()), ("inferior", z.min())):
        surface = mesh.surfaces[f"L1/{side}_endplate"]
        height = np.abs(plane - mesh.points[surface.facets, 2].mean(axis=1))
        expected += float(np.sum(height * surface.areas * np.abs(surface.normals[:, 2])))
    assert_allclose(caps.sum(), expected, rtol=2e-3)  # facets are warped: the mean of four corners is no exact mean


def test_a_capped_body_is_no_stiffer_than_under_uniform_strain():
    mesh, elasticity = models.build_body("L1", density_g_cm3=0.113, refinement=COARSE, layers_mpa=(2980.0, 2980.0))
    problem, top = models.capped_problem(mesh, elasticity)
    volumes = cell_volumes(replace(mesh, points=problem.points, cells=problem.cells))
    height = np.ptp(problem.points[:, 2])

    stiffness = models.capped_stiffness(problem, top)

    # One Poisson's ratio everywhere and sides that are free: the field of uniform axial strain is admissible, and the
    # least potential energy lies below its own.
    bound = float(np.sum(problem.elasticity.young * volumes)) / height**2
    assert 0.3 * bound < stiffness < bound  # the caps lie in series, not beside the bone: well below, same magnitude
    held, top = models.capped_problem(mesh, elasticity, bonded=True)
    assert models.capped_stiffness(held, top) > stiffness


def test_a_soft_solid_nucleus_and_a_fluid_of_its_bulk_modulus_give_one_pressure():
    young, poisson = 0.01, 0.4999
    bulk = young / (3.0 * (1.0 - 2.0 * poisson))
    solid = unit(nucleus_young_mpa=young, nucleus_poisson=poisson)
    fluid = unit("fluid", nucleus_bulk_modulus_mpa=bulk)

    a, b = (models.solve_disc_alone(model, "L1-L2") for model in (solid, fluid))

    # Shear of 0.003 MPa beside pressures of 1 MPa: 1 %.
    assert_allclose(a.pressure, b.pressure, rtol=0.01)
    assert_allclose(a.stiffness, b.stiffness, rtol=0.01)


def test_a_disc_of_one_material_between_rigid_plates_has_its_effective_modulus_between_two_bounds():
    young, poisson = 8.0, 0.3
    tables = {"disc": {"fibres": False, "annulus_young_mpa": young, "annulus_poisson": poisson,
                       "nucleus_young_mpa": young, "nucleus_poisson": poisson}}  # fmt: skip

    found = runs.unit_numbers(("L1", "L2"), refinement=COARSE, tables=tables)

    # Between free and prevented lateral expansion: E and the confined modulus.
    confined = young * (1 - poisson) / ((1 + poisson) * (1 - 2 * poisson))
    assert young < found["disc alone effective modulus"] < confined


@pytest.mark.parametrize("nucleus", ["solid", "fluid"])
def test_units_have_the_signs_and_the_magnitudes_of_their_units(nucleus):
    found = numbers(nucleus)

    assert 500.0 < found["disc stiffness"] < 2500.0  # the published band, N/mm
    assert found["unit stiffness"] < found["disc stiffness"]  # two bodies in series
    assert_allclose(found["pressure at 1000 N"], found["pressure ratio"] * 1000.0 / found["area"], rtol=2e-3)
    assert 0.5 < found["pressure ratio"] < 2.0
    assert found["inferior bulge"] > 0.0
    assert found["superior bulge"] > 0.0
    assert_allclose(found["effective modulus"] * found["area"] / found["height"], found["disc stiffness"], rtol=1e-12)


def test_the_height_of_a_disc_counts_the_cavity_of_a_fluid_nucleus():
    heights = [models.disc_height(unit(nucleus), "L1-L2", 1200.0) for nucleus in ("solid", "fluid")]

    # Cells and wall are of the same points; four triangles about a centre are the same warped facet's volume to 1e-3.
    assert_allclose(heights[0], heights[1], rtol=1e-3)
    assert 6.0 < heights[0] < 10.0


def test_slack_fibres_leave_a_stiffness_between_none_and_all():
    all_of_them, none = (models.solve_segment(unit(fibres=fibres)) for fibres in (True, False))

    slack, _ = models.solve_with_slack_fibres(unit(fibres=True), most_rounds=3)

    assert all_of_them.axial_displacement > slack.axial_displacement > none.axial_displacement


def test_shares_of_a_body_between_discs_sum_to_one_with_its_endplates():
    model = models.build_unit(("T12", "L1", "L2"), refinement=COARSE)
    found = runs.shares(models.solve_segment(model), "L1")

    assert 0.2 < found["shell share at mid-height"] < 0.7
    assert found["largest core share"] >= found["core share 10 % up"]
    assert found["largest shell share"] >= found["shell share at mid-height"]


def test_a_body_alone_has_a_strength_of_0_0068_times_its_stiffness_and_height():
    found = runs.isolated(models.build_unit(("L1",), refinement=COARSE), "L1")

    # Centroids of the endplates lie 23.1 mm apart: 23.4 at the rims, less the hollows.
    assert_allclose(found["strength"] / (0.0068 * found["stiffness"]), 23.1, rtol=0.01)


def test_a_body_taken_from_a_segment_with_fluid_nuclei_stands_between_rigid_ends_without_them():
    found = runs.isolated(models.body_alone(unit("fluid"), "L1"), "L1")
    own = runs.isolated(models.build_unit(("L1",), refinement=COARSE), "L1")

    # The same body leaning by its place in the segment: along another axis it is a little less stiff or stiffer.
    assert_allclose(found["stiffness"], own["stiffness"], rtol=0.1)


def test_the_verdict_names_the_side():
    band = replace(anchors.ANCHORS[0], low=1.0, high=2.0)
    single = replace(band, high=1.0)

    assert [anchors.verdict(band, value) for value in (0.9, 1.5, 2.1)] == ["low", "yes", "high"]
    assert anchors.verdict(single, 0.8) == "-20 %"


def test_pages_hold_the_table_of_the_stored_results():
    results = anchors.json.loads(anchors.RESULTS.read_text())
    text = anchors.table(results)

    assert set(results) == set(checks.SECTIONS)
    for page in (anchors.README, anchors.DOCS):
        assert text in page.read_text(encoding="utf-8")
