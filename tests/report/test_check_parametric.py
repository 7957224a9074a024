"""What a check says and shows of a parametric study."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.report.check_histograms import CELL_KINDS, cell_kinds
from fesolver.report.check_picture import write_check_picture
from fesolver.report.check_text import check_lines, mesh_wedge_deg
from fesolver.report.html_geometry import geometry_html, mesh_words
from fesolver.report.results import CaseResult
from fesolver.study.check import StudyCheck, check_study
from fesolver.study.config import study_from_dict


def check(**tables: Any) -> StudyCheck:
    """A small parametric study, checked."""
    data: dict[str, Any] = {
        "schema": 1,
        "name": "small",
        "input": {"kind": "parametric", "t_score": -3.0},
        "segment": {"levels": ["L1", "L2"], "refinement": 0.5},
    }
    for name, table in tables.items():
        data[name] = {**data.get(name, {}), **table}
    return check_study(study_from_dict(data), threads=1)


@pytest.fixture(scope="module")
def fractured() -> StudyCheck:
    """A given height, a fracture, a fluid nucleus and cement."""
    return check(
        input={
            "dimensions": {"L2": {"posterior_height_mm": 26.0}},
            "fractures": {"L1": {"kind": "wedge", "grade": 2}},
        },
        disc={"nucleus": "fluid"},
        treatment={"level": "L1", "volume_ml": 3.0},
    )


def case_of(record: dict[str, Any], tmp_path) -> CaseResult:
    return CaseResult("case-0", {}, "done", "", tmp_path, record)


def test_a_check_names_mesh_size_and_no_scanner(fractured):
    lines = check_lines(fractured)

    assert lines[0] == "segment:  L1, L2, parametric"
    assert "(structured, refinement 0.5, hex8)" in lines[1]
    assert not any("scanner" in line for line in lines)


def test_a_check_says_what_is_varied_in_words_and_between_which_values():
    lines = check_lines(
        check(
            factors={
                "stiff": {"key": "load.force_n", "values": [400.0, 500.0]},
                "mine": {"key": "load.top", "values": ["free", "tilt"]},
            }
        )
    )

    assert "factor:   stiff: compressive force (N): 400.0, 500.0" in lines
    assert any(line.startswith("factor:   mine: ") and line.endswith(": free, tilt") for line in lines)
    assert "cases:    4" in "\n".join(lines)


def test_the_uncertainty_of_a_t_score_is_stated(fractured):
    # T = -3: 0.1467 - 3 * 0.0267 g/cm3.
    text = "\n".join(check_lines(fractured))

    assert "mean density 67 mg/cm3 from a T-score of -3" in text
    assert "standard uncertainty of 30 mg/cm3" in text


def test_given_dimensions_stand_beside_the_published_ones_and_their_source(fractured):
    text = "\n".join(check_lines(fractured))

    assert "L2: posterior_height_mm = 26 mm given in the study; published 24.3 mm (Panjabi et al. 1991" in text


def test_fracture_fluid_and_cement_are_found(fractured):
    text = "\n".join(check_lines(fractured))

    assert "L1: wedge of Genant grade 2, height loss anterior 32.5 %; density times" in text
    assert "L1-L2/nucleus: a cavity of" in text
    assert "bulk modulus 1666.7 MPa; its pressure is an unknown" in text
    assert "L1-L2:    height 7.8 mm, wedge +4.0°, fluid nucleus of 40 % of the area" in text
    assert "cement: 3.00 ml placed" in text


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_wedge_and_layers_are_measured_on_the_mesh(element):
    made = check(segment={"element": element})
    lines = {line.split(":")[0]: line for line in check_lines(made)}

    for level in ("L1", "L2"):
        # A right triangle: the rims differ by (posterior less anterior height) over the mean depth.
        assert mesh_wedge_deg(made.mesh, level) == pytest.approx(vertebra_dimensions(level).wedge_deg, abs=0.1)
        assert f"wedge {vertebra_dimensions(level).wedge_deg:+.1f}°" in lines[level]
        # 0.35 mm in the dimensions; volume over area is less on the outside of a curve.
        measured = [float(part.split()[-1 if "mm" not in part else -2]) for part in lines[level].split(", ")[4:7]]
        assert_allclose(measured, 0.35, rtol=0.03)


def test_density_of_a_body_is_that_of_its_recipe():
    made = check(input={"density_pattern": "uniform"})

    assert made.geometry is not None
    for body in made.geometry["bodies"].values():
        assert body["density_mean_g_cm3"] == pytest.approx(0.1467 - 3 * 0.0267, rel=1e-12)


@pytest.mark.parametrize("ending", [".png", ".pdf"])
def test_the_picture_of_a_parametric_study_is_drawn(fractured, tmp_path, ending):
    path = write_check_picture(fractured, tmp_path / f"model{ending}")

    assert path.stat().st_size > 20_000


def test_the_picture_of_quadratic_cells_and_a_single_level_is_drawn(tmp_path):
    made = check(segment={"levels": ["L3"], "element": "hex20", "refinement": 0.4})

    assert write_check_picture(made, tmp_path / "model.png").stat().st_size > 20_000


def test_every_cell_of_a_structured_mesh_has_its_kind(fractured):
    kinds = cell_kinds(fractured.mesh)
    names = [name for name, *_ in CELL_KINDS]

    for name, region in fractured.mesh.regions.items():
        kind = name.split("/")[1]
        expected = {"cortical": "shell in the cell", "annulus": "annulus"}.get(kind)
        if expected:
            assert np.all(kinds[region.cells] == names.index(expected))


def test_the_geometry_section_lists_sizes_fractures_and_pressures(fractured, tmp_path):
    record = {
        "mesh_text": "structured, refinement 1, hex8",
        "calibration": "parametric segment, mean density 67 mg/cm3",
        "geometry": fractured.geometry,
        "cavities": [
            {"name": "L1-L2/nucleus", "volume_ml": 4.16, "bulk_modulus_mpa": 1666.7,
             "pressure_mpa": {"intact": 0.5, "treated": 0.512}},
        ],
    }  # fmt: skip
    text = geometry_html(case_of(record, tmp_path))

    assert "Mesh: structured, refinement 1, hex8. Parametric segment, mean density 67 mg/cm3." in text
    assert "wedge of Genant grade 2" in text
    assert "posterior_height_mm = 26 mm given in the study" in text
    assert "pressure treated (MPa)" in text
    assert "0.512" in text


def test_results_without_geometry_have_no_such_section(tmp_path):
    assert geometry_html(case_of({"spacing_mm": 1.0}, tmp_path)) == ""
    assert mesh_words(case_of({}, tmp_path)) == ""
