"""Pictures and fields of tetrahedra: read back, cut and drawn as hexahedra are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tet_split import split_elasticity, split_mesh, split_tissue

from fesolver.meshing.io import write_fields
from fesolver.report.check_picture import write_check_picture
from fesolver.report.check_text import check_lines
from fesolver.report.html_geometry import geometry_html
from fesolver.report.results import CaseResult
from fesolver.report.section_figures import case_planes, section_figures
from fesolver.study.check import StudyCheck, check_study
from fesolver.study.config import study_from_dict


@pytest.fixture(scope="module")
def whole() -> StudyCheck:
    """A small parametric study of hexahedra, checked."""
    table = {"kind": "parametric", "t_score": -3.0}
    segment = {"levels": ["L1", "L2"], "refinement": 0.4}
    return check_study(study_from_dict({"schema": 1, "name": "small", "input": table, "segment": segment}), threads=1)


@pytest.fixture(scope="module", params=["tet4", "tet10"])
def split(request, whole) -> StudyCheck:
    """The same in tetrahedra."""
    mesh = split_mesh(whole.mesh, quadratic=request.param == "tet10")
    return replace(
        whole,
        mesh=mesh,
        tissue=split_tissue(whole.tissue),
        elasticity=split_elasticity(whole.elasticity),
        n_cells=len(mesh.cells),
    )


def test_the_planes_of_a_case_go_through_the_same_place_in_tetrahedra(whole, split):
    planes = [
        case_planes(c.mesh.points, c.mesh.cells, c.mesh.regions["L1/trabecular"].dense(len(c.mesh.cells)))
        for c in (whole, split)
    ]

    for of_whole, of_split in zip(*planes, strict=True):
        # Box by box the weights of cells differ a little, so the plane moves by tenths of 1 mm of 35.
        assert_allclose(of_split.section.areas.sum(), of_whole.section.areas.sum(), rtol=0.01)
        assert_allclose(of_split.section.limits, of_whole.section.limits, atol=0.3)


def test_fields_of_tetrahedra_are_read_back_and_drawn(split, tmp_path):
    mesh = split.mesh
    stress = -1.0 - 0.01 * mesh.points[mesh.cells].mean(axis=1)[:, 2]
    data = {f"{name}_intact": stress for name in ("min_principal_stress", "von_mises", "young")}
    write_fields(
        tmp_path / "fields.vtu", mesh, point_data={}, cell_data=data | {"young_intact": split.elasticity.young}
    )
    fields = CaseResult("case", {}, "done", "", tmp_path, {}).read_fields()

    assert fields is not None
    assert fields.cells.shape == mesh.cells.shape
    assert_allclose(
        fields.fraction("L1", "trabecular"), mesh.regions["L1/trabecular"].dense(len(mesh.cells)), atol=1e-6
    )
    drawn = {name: table for name, _, _, table in section_figures(fields, "L1")}
    assert set(drawn) == {"section_min_principal_stress", "section_von_mises", "section_young"}
    table = drawn["section_von_mises"]
    assert set(table["part"]) == {"L1", "L1-L2", "L2"}
    assert np.isfinite(table.select_dtypes("number").to_numpy()).all()


@pytest.mark.parametrize("split", ["tet10"], indirect=True)
def test_a_check_of_tetrahedra_is_drawn_with_its_pads(split, tmp_path, monkeypatch):
    from matplotlib.collections import LineCollection

    drawn: list[int] = []
    made = LineCollection.__init__

    def counted(self: Any, segments: Any, **options: Any) -> None:
        if options.get("linewidths") == 3.5:
            drawn.append(len(segments))
        made(self, segments, **options)

    monkeypatch.setattr(LineCollection, "__init__", counted)

    assert write_check_picture(split, tmp_path / "check.png").stat().st_size > 20_000
    # Two planes and two pads, each along the whole width of an endplate of ten facets and more.
    assert len(drawn) == 4
    assert min(drawn) >= 10


def test_a_check_of_surfaces_says_so_and_gives_heights_of_discs_alone(split):
    geometry = {"kind": "surfaces", "bodies": {}, "discs": {"L1-L2": {"height_mm": 8.25, "wedge_deg": -3.0}}}
    lines = check_lines(replace(split, geometry=geometry, mesh_text="tetrahedra of 3 mm"))

    assert lines[0] == "segment:  L1, L2, surfaces"
    assert "L1-L2:    height 8.2 mm, wedge -3.0°" in lines


def test_the_geometry_of_surfaces_shows_files_sizes_and_findings(tmp_path):
    body = {
        "file": "L1.ply", "triangles": 12345, "volume_ml": 61.25, "body_volume_ml": 40.5, "superior_area_mm2": 1200.0,
        "inferior_area_mm2": 1300.0, "density_mean_g_cm3": 0.066, "findings": ["2 triangles of no area <removed>"],
    }  # fmt: skip
    discs = {"L1-L2": {"height_mm": 8.0, "wedge_deg": 2.5, "facet_gap_left_mm": 0.75}}
    record = {
        "geometry": {"kind": "surfaces", "bodies": {"L1": body}, "discs": discs},
        "mesh_text": "tetrahedra of 2 mm",
    }
    text = geometry_html(CaseResult("case", {}, "done", "", tmp_path, json.loads(json.dumps(record))))

    for words in (
        "L1.ply",
        "12 345",
        "61.25",
        "left facet gap (mm)",
        "0.7500",
        "L1: 2 triangles of no area &lt;removed",
    ):
        assert words in text
    assert "right facet gap" not in text
    assert "published" not in text
