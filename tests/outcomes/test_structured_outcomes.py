"""Outcomes on smooth meshes: quadratic facets and cells, and discs whose nucleus is a fluid."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.fem.cavity import wall_cells
from fesolver.meshing.regions import cell_volumes, region_volume
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.cuts import cavity_opening, cut_area, cut_part
from fesolver.outcomes.disc import disc_values, nucleus_pressure
from fesolver.outcomes.endplate import ENDPLATES, endplate_bulge
from fesolver.outcomes.endplate_geometry import depth_fraction, outline
from fesolver.outcomes.energy import energy_values
from fesolver.outcomes.equilibrium import IMBALANCE_TOLERANCE, check_equilibrium
from fesolver.outcomes.parts import parts
from fesolver.outcomes.registry import evaluate, select_outcomes
from fesolver.outcomes.state import OutcomeSettings, SolvedState
from fesolver.outcomes.stiffness import axial_stiffness
from fesolver.outcomes.surface import FacetSurface
from fesolver.solvers.prepare import prepare
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.model import build_models, make_problem, study_load_case
from fesolver.study.progress import SilentProgress
from fesolver.study.stages import Stages
from fesolver.study.state_solver import solved_state

SETTINGS = OutcomeSettings()
SOLID_BULK_MPA = 1.0 / (3.0 * (1.0 - 2.0 * 0.499))  # E / (3 (1 - 2 nu)) of the default nucleus
DISC = "L1-L2"


def study(element: str, refinement: float, **disc: Any) -> StudyConfig:
    """L1 and L2 with their disc under 500 N."""
    return study_from_dict(
        {
            "schema": 1,
            "name": "pair",
            "input": {"kind": "parametric", "t_score": -3.0},
            "segment": {"levels": ["L1", "L2"], "refinement": refinement, "element": element},
            "disc": disc,
        }
    )


def mesh(element: str = "hex8", refinement: float = 0.4) -> SpineMesh:
    config = study(element, refinement)
    return build_models(config, read_data(config), Stages(SilentProgress())).intact.mesh


def solve(element: str = "hex8", refinement: float = 0.4, method: str = "auto", **disc: Any) -> SolvedState:
    """The pair, solved to 1e-8."""
    config = study(element, refinement, **disc)
    model = build_models(config, read_data(config), Stages(SilentProgress())).intact
    load_case = study_load_case(config)
    problem, pads = make_problem(model, load_case)
    solution = prepare(problem, method=method, threads=1).solve(pads.loads, rtol=1e-8)
    return solved_state("intact", model, load_case, problem, pads, solution)


@cache
def hex8() -> SolvedState:
    return solve()


@cache
def hex20() -> SolvedState:
    return solve("hex20")


@cache
def fluid(element: str = "hex8", bulk_modulus: float = SOLID_BULK_MPA) -> SolvedState:
    return solve(element, nucleus="fluid", nucleus_bulk_modulus_mpa=bulk_modulus)


def numbers(values: list) -> dict[tuple[str, str], float]:
    return {(v.level, v.quantity): v.value for v in values}


def one_facet(points: list[list[float]]) -> FacetSurface:
    """A surface of one facet in a plane of constant z."""
    xyz = np.column_stack([np.array(points, float), np.zeros(len(points))])
    corners = xyz[:4]
    area = 0.5 * np.cross(corners[2] - corners[0], corners[3] - corners[1])[2]
    ids = np.arange(len(xyz))[None]
    return FacetSurface("one", xyz, ids, np.zeros(1, np.int64), np.array([[0.0, 0.0, 1.0]]), np.array([area]))


SQUARE = [[0, 0], [2, 0], [2, 2], [0, 2]]


def test_a_quadratic_square_has_minus_a_twelfth_at_corners_and_a_third_at_mid_sides():
    surface = one_facet([*SQUARE, [1, 0], [2, 1], [1, 2], [0, 1]])

    assert_allclose(surface.node_weights[0], [-1 / 12] * 4 + [1 / 3] * 4, rtol=0, atol=1e-14)


def test_the_mean_of_a_parabola_over_a_quadratic_facet_is_its_integral():
    surface = one_facet([*SQUARE, [1, 0], [2, 1], [1, 2], [0, 1]])
    u = np.zeros((8, 3))
    u[:, 2] = surface.points[:, 0] ** 2

    # The mean of x^2 over 0 to 2 is 4/3; that of its values at the eight nodes is 14/8.
    assert surface.displacement(u)[0, 2] == pytest.approx(4 / 3, abs=1e-14)


def test_the_centre_of_a_trapezoid_is_its_centroid():
    surface = one_facet([[0, 0], [6, 0], [4, 3], [2, 3]])

    # Parallel sides 6 and 2, height 3: h/3 (a + 2 b) / (a + b) above the longer one.
    assert_allclose(surface.centers[0], [3.0, 3 / 3 * (6 + 2 * 2) / (6 + 2), 0.0], atol=1e-14)


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_a_rigid_motion_gives_no_bulge_on_a_smooth_concave_endplate(element):
    pair = mesh(element)
    u = np.array([0.3, -0.2, 0.5]) + np.cross([2e-3, -3e-3, 1e-3], pair.points)

    for level in pair.levels:
        for endplate in ENDPLATES:
            surface = FacetSurface.of(pair, f"{level}/{endplate}")
            assert abs(endplate_bulge(surface, u, SETTINGS)) < 1e-13  # round-off of motions of 0.6 mm
            motion = surface.rigid_motion(u)
            assert_allclose(motion.rotation, [2e-3, -3e-3, 1e-3], atol=1e-14)


def test_the_bulge_of_a_paraboloid_is_the_same_on_linear_and_quadratic_facets():
    # One field on one shape has one bulge; centre and rim are made of facets of 3 mm, which costs a percent.
    bulges = []
    for pair in (mesh(refinement=1.6), mesh("hex20", 0.8)):
        surface = FacetSurface.of(pair, "L2/superior_endplate")
        r = pair.points - surface.centroid
        u = np.outer(-1e-3 * (np.sum(r**2, axis=1) - (r @ surface.normal) ** 2), -surface.normal)
        bulges.append(endplate_bulge(surface, u, SETTINGS))

    assert bulges[0] > 0.1
    assert bulges[1] == pytest.approx(bulges[0], rel=0.02)


def test_the_outline_of_a_quadratic_endplate_runs_through_its_mid_sides():
    lengths, counts = [], []
    for pair in (mesh(), mesh("hex20"), mesh(refinement=1.6)):
        surface = FacetSurface.of(pair, "L1/superior_endplate")
        edges = outline(surface)
        a, b = np.moveaxis(pair.points[edges], 1, 0)
        lengths.append(float(np.linalg.norm(b - a, axis=1).sum()))
        counts.append(len(edges))

    assert counts[1] == 2 * counts[0]
    # A polygon of twice the sides has a quarter of the error of the perimeter.
    assert abs(lengths[1] - lengths[2]) < 0.5 * abs(lengths[0] - lengths[2])


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_the_layer_of_the_endplates_own_thickness_holds_the_endplate(element):
    pair = mesh(element)
    surface = FacetSurface.of(pair, "L1/superior_endplate")
    region = pair.regions["L1/superior_endplate"]
    inside = depth_fraction(pair, surface, region.cells, 0.35)

    # The layer is 0.35 mm thick along the facets' normals: depth along the mean normal is more where they lean.
    assert inside.min() > 0.8
    volume = cell_volumes(pair)[region.cells]
    assert float(volume @ inside) == pytest.approx(0.35 * surface.area, rel=0.03)


@pytest.mark.parametrize("state", [hex8, hex20, fluid, lambda: fluid("hex20")], ids=["hex8", "hex20", "fluid", "both"])
def test_every_cut_balances_the_load(state):
    cuts = check_equilibrium(state())

    assert [cut.name for cut in cuts] == ["L1", "L1-L2", "L2"]
    assert max(cut.imbalance for cut in cuts) < IMBALANCE_TOLERANCE
    for cut in cuts:
        assert cut.force[2] == pytest.approx(-500.0, rel=1e-6)


def test_a_pressure_left_out_of_the_cut_is_seen():
    state = fluid()
    silent = replace(state, solution=replace(state.solution, cavity_pressure={}))

    assert {cut.name: cut.is_balanced for cut in check_equilibrium(silent)}["L1-L2"] is False


def test_quadratic_cells_are_as_stiff_as_linear_ones_twice_as_fine():
    # 1511 N/mm at 0.4 and 1504 at 0.8; the linear cells of 0.4 are at 1570.
    assert axial_stiffness(hex20()) == pytest.approx(axial_stiffness(solve(refinement=0.8)), rel=0.02)


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_section_of_a_fluid_disc_is_that_of_the_solid_one(element):
    whole, opened = (hex8() if element == "hex8" else hex20()), fluid(element)
    frame = whole.mesh.frames[DISC]
    areas = []
    for state in (whole, opened):
        _, below = cut_part(state, DISC, point=frame.origin, normal=frame.axes[2])
        areas.append(cut_area(state, DISC, below, frame.axes[2]))
    opening, pressure = cavity_opening(opened, DISC, below, frame.axes[2])

    # Area vectors depend on the rim of a section alone: the opening is exactly what the annulus leaves.
    assert areas[1] + opening == pytest.approx(areas[0], rel=1e-12)
    assert opening / areas[0] == pytest.approx(0.40, abs=0.03)  # the nucleus is 40 % of the section
    assert pressure == opened.solution.cavity_pressure[f"{DISC}/nucleus"]


def test_a_solid_disc_has_no_opening():
    below = np.zeros(len(hex8().mesh.cells), dtype=bool)

    assert cavity_opening(hex8(), DISC, below, np.array([0.0, 0.0, 1.0])) is None


def test_force_of_a_fluid_nucleus_is_its_pressure_times_its_opening():
    state = fluid()
    found = numbers(disc_values(state, {}, SETTINGS))
    whole = numbers(disc_values(hex8(), {}, SETTINGS))
    annulus_area = found[DISC, "disc_area_mm2"] - whole[DISC, "disc_area_mm2"]
    assert abs(annulus_area) < 1e-9 * whole[DISC, "disc_area_mm2"]
    frame = state.mesh.frames[DISC]
    _, below = cut_part(state, DISC, point=frame.origin, normal=frame.axes[2])
    opening = found[DISC, "disc_area_mm2"] - cut_area(state, DISC, below, frame.axes[2])
    pressure = found[DISC, "nucleus_pressure_mpa"]

    assert found[DISC, "nucleus_axial_force_n"] == pytest.approx(-pressure * opening, rel=1e-10)
    assert found[DISC, "nucleus_axial_force_n"] + found[DISC, "annulus_axial_force_n"] == pytest.approx(
        found[DISC, "disc_axial_force_n"], rel=1e-12
    )
    # 500 N along z, seen along the disc's own axis.
    assert found[DISC, "disc_axial_force_n"] == pytest.approx(-500.0 * frame.axes[2, 2], rel=0.01)
    mean = -found[DISC, "disc_axial_force_n"] / found[DISC, "disc_area_mm2"]
    assert found[DISC, "nucleus_pressure_over_mean_pressure"] == pytest.approx(pressure / mean, rel=1e-12)


def test_energy_of_solid_and_fluid_is_half_of_force_times_displacement():
    state = fluid(bulk_modulus=20.0)
    found = numbers(energy_values(state, {}, SETTINGS))
    half = 0.5 * state.axial_force * state.axial_displacement
    volume = region_volume(hex8().mesh, f"{DISC}/nucleus")
    of_fluid = 0.5 * state.solution.cavity_pressure[f"{DISC}/nucleus"] ** 2 * volume / 20.0

    # Clapeyron; the soft fluid holds enough for its absence to be seen.
    assert of_fluid > 0.002 * half
    assert found["segment", "strain_energy_n_mm"] == pytest.approx(half, rel=1e-6)
    assert sum(found[part, "strain_energy_n_mm"] for part in parts(state.mesh)) == pytest.approx(half, rel=1e-6)


def test_pressure_of_a_fluid_is_close_to_that_of_a_solid_of_the_same_bulk_modulus():
    # The solid of nu 0.499 has a shear modulus of 0.33 MPa beside its pressure of 0.5 MPa: measured 1.8 % less at 0.5.
    assert nucleus_pressure(fluid(), DISC) == pytest.approx(nucleus_pressure(hex8(), DISC), rel=0.04)


def test_a_solid_nucleus_without_shear_stiffness_is_the_fluid():
    young = 0.02
    poisson = 0.5 * (1.0 - young / (3.0 * SOLID_BULK_MPA))
    soft = solve(nucleus_young_mpa=young, nucleus_poisson=poisson)

    # The difference is in proportion to the shear modulus, a fiftieth of the default's.
    assert nucleus_pressure(soft, DISC) == pytest.approx(nucleus_pressure(fluid(), DISC), rel=2e-3)
    assert axial_stiffness(soft) == pytest.approx(axial_stiffness(fluid()), rel=5e-3)


def test_a_fluid_disc_is_a_part_between_its_vertebrae():
    assert parts(fluid().mesh) == ("L1", "L1-L2", "L2")


@pytest.mark.parametrize("state", [hex8, hex20, fluid], ids=["hex8", "hex20", "fluid"])
def test_every_outcome_of_the_segment_is_finite(state):
    outcomes = [outcome for outcome in select_outcomes() if outcome.name != "strength"]
    values = evaluate(outcomes, state())

    assert all(np.isfinite(value.value) for value in values)
    assert {"nucleus_pressure_mpa", "disc_stiffness_n_per_mm", "nucleus_load_share"} <= {v.quantity for v in values}


def test_every_facet_of_a_wall_belongs_to_the_cell_behind_it():
    state = fluid("hex20")
    cavity = state.problem.cavities[0]
    owner = wall_cells(state.problem, cavity)

    assert np.all([np.isin(f, state.problem.cells[c]).all() for f, c in zip(cavity.facets, owner, strict=True)])


def test_a_facet_between_two_cells_is_no_wall():
    state = hex8()
    annulus = state.mesh.regions[f"{DISC}/nucleus"].cells
    inner = state.mesh.cells[annulus[0], [4, 5, 6, 7]][None]
    cavity = replace(fluid().problem.cavities[0], facets=inner)

    with pytest.raises(InputError, match="1 facets of the wall of cavity 'L1-L2/nucleus' are no outer faces"):
        wall_cells(state.problem, cavity)
