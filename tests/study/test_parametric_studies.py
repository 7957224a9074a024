"""Studies on parametric segments: what is refused, what can be swept, and whole runs on small meshes."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fesolver.errors import InputError
from fesolver.fem.assembly import assemble_stiffness
from fesolver.report.figures import write_figures
from fesolver.report.html import write_report
from fesolver.report.results import read_results
from fesolver.study.cases import expand_cases
from fesolver.study.config import StudyConfig, load_study, study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.memory import BASE_MB, expected_memory_mb
from fesolver.study.model import build_models, check_tables, make_problem, study_load_case
from fesolver.study.progress import SilentProgress
from fesolver.study.runner import run_study
from fesolver.study.shipped import shipped_folder
from fesolver.study.stages import Stages

BASE: dict[str, Any] = {
    "schema": 1,
    "name": "small",
    "input": {"kind": "parametric", "t_score": -3.0},
    "segment": {"levels": ["L1", "L2"], "refinement": 0.4},
}
SYNTHETIC = {"input": {"kind": "synthetic", "t_score": -3.0}, "segment": {"levels": ["L1", "L2"]}}
DENSITY = "input.t_score"
HEIGHT = "input.dimensions.L1.anterior_height_mm"


def study(**tables: Any) -> StudyConfig:
    """The base with tables merged into it."""
    data = copy.deepcopy(BASE)
    for name, table in tables.items():
        data[name] = {**data.get(name, {}), **table}
    return study_from_dict(data, source="s.toml")


def refused(**tables: Any) -> InputError:
    """What stops a study before it is meshed."""

    def read() -> None:
        for case in expand_cases(study(**tables)):
            check_tables(case.config)
            read_data(case.config)

    with pytest.raises(InputError) as caught:
        read()
    return caught.value


@pytest.mark.parametrize(
    ("tables", "where", "what"),
    [
        ({"segment": {"spacing_mm": 1.0}}, "s.toml: segment.spacing_mm", "means nothing on a structured mesh"),
        ({"segment": {"shell": "from_ct"}}, "s.toml: segment.shell", "means nothing on a structured mesh"),
        ({"segment": {"element": "hex27"}}, "segment.element", "'hex27'"),
        ({"segment": {"refinement": 0.0}}, "segment.refinement", "0.0"),
        ({"segment": {"refinement": 100.0}}, "segment.refinement", "100.0"),
        ({"calibration": {"method": "calibrated"}}, "s.toml: [calibration]", "no CT to calibrate"),
        ({"input": {"density_g_cm3": 0.1}}, "s.toml: input", "either t_score or density_g_cm3"),
        ({"input": {"voxel_mm": 1.0}}, "s.toml: input.voxel_mm", "unknown key"),
        ({"input": {"dimensions": {"T9": {"anterior_height_mm": 20.0}}}}, "[input]", "dimensions names T9"),
        ({"input": {"dimensions": {"L1": {"height_mm": 20.0}}}}, "[input] L1", "unknown dimension 'height_mm'"),
        ({"input": {"dimensions": {"L1": {"anterior_height_mm": 0.02}}}}, "[input] L1", "outside 5 to 50"),
        ({"input": {"fractures": {"L3": {"kind": "wedge", "grade": 2}}}}, "[input]", "fractures names L3"),
        ({"input": {"fractures": {"L1": {"kind": "wedge"}}}}, "[input] fractures.L1", "fracture grade"),
        ({"input": {"discs": {"L2-L3": {"height_mm": 8.0}}}}, "[input]", "discs names L2-L3"),
        ({"input": {"discs": {"L1-L2": {"height_mm": 0.0}}}}, "[input] L1-L2", "height_mm = 0 mm is outside"),
        ({"input": {"size": 30.0}}, "[input]", "size = 30 is outside"),
        ({"disc": {"degeneration": {"L2-L3": "moderate"}}}, "s.toml", "disc.degeneration names 'L2-L3'"),
        ({"disc": {"nucleus": "gas"}}, "disc.nucleus", "'gas'"),
        ({"treatment": {"level": "L4", "volume_ml": 2.0}}, "s.toml", "treatment.level 'L4'"),
        ({"sweep": {"segment.spacing_mm": [1.0]}}, "segment.spacing_mm", "means nothing on a structured mesh"),
        ({"sweep": {HEIGHT.replace("L1", "L3"): [20.0]}}, "[sweep]", "is not a key of this study"),
        ({"sweep": {HEIGHT: [0.02]}}, "[input] L1", "outside 5 to 50"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_refused_with_its_place(tables, where, what):
    error = refused(**tables)

    assert what in error.what
    assert where in str(error.where)
    assert error.fix or "anterior_height" in error.what


def test_a_segment_without_density_is_refused():
    with pytest.raises(InputError, match="the segment has no density"):
        study_from_dict({**BASE, "input": {"kind": "parametric"}})


@pytest.mark.parametrize(
    ("tables", "where"),
    [
        ({"disc": {"nucleus": "fluid"}}, "disc.nucleus"),
        ({"disc": {"fibre_layers": True}}, "disc.fibre_layers"),
        ({"segment": {"levels": ["L1", "L2"], "refinement": 2.0}}, "segment.refinement"),
        ({"segment": {"levels": ["L1", "L2"], "element": "hex20"}}, "segment.element"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_needs_a_structured_mesh_is_refused_on_voxels(tables, where):
    with pytest.raises(InputError) as caught:
        study_from_dict({**BASE, **SYNTHETIC, **tables}, source="s.toml")

    assert caught.value.where == f"s.toml: {where}"


def test_a_misspelt_dimension_in_a_sweep_names_the_closest_one():
    error = refused(sweep={"input.dimensions.L1.anterior_heigt_mm": [20.0]})

    assert error.fix == f"did you mean {HEIGHT!r}?"


def test_keys_of_voxel_meshes_are_not_offered_to_a_sweep():
    error = refused(sweep={"xyz": [1.0]})

    assert "segment.refinement" in str(error.fix)
    assert "spacing_mm" not in str(error.fix)


@pytest.mark.parametrize(
    ("key", "values", "tables"),
    [
        (DENSITY, (-3.0, -2.0), {}),
        (HEIGHT, (20.0, 22.0), {}),
        (HEIGHT, (20.0, 22.0), {"input": {"dimensions": {"L1": {"anterior_height_mm": 21.0}}}}),
        ("input.discs.L1-L2.height_mm", (7.0, 9.0), {}),
        ("segment.refinement", (0.4, 0.5), {}),
        ("treatment.volume_ml", (0.0, 2.0), {"treatment": {"level": "L1"}}),
        ("disc.nucleus_bulk_modulus_mpa", (100.0, 1000.0), {"disc": {"nucleus": "fluid"}}),
        (
            "input.fractures.L1.anterior_loss_percent",
            (10.0, 30.0),
            {"input": {"fractures": {"L1": {"anterior_loss_percent": 20.0}}}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_number_of_the_segment_can_be_swept(key, values, tables):
    cases = expand_cases(study(**tables, sweep={key: list(values)}))

    assert [case.keys for case in cases] == [{key: value} for value in values]
    for case, value in zip(cases, values, strict=True):
        node: Any = case.config.model_dump()
        for step in key.split("."):
            node = node[step]
        assert node == value


def test_a_swept_dimension_reaches_the_body():
    cases = expand_cases(study(sweep={HEIGHT: [20.0, 22.0]}))
    heights = [read_data(case.config).recipe.column()["L1"].dimensions.anterior_height_mm for case in cases]

    assert heights == [20.0, 22.0]


def test_what_is_not_as_published_is_listed_with_its_source():
    data = read_data(
        study(
            input={
                "dimensions": {"L1": {"anterior_height_mm": 20.0}},
                "fractures": {"L1": {"kind": "wedge", "grade": 2}},
            },
            disc={"degeneration": {"L1-L2": "moderate"}},
        )
    )
    given, fracture, disc = data.findings

    # 32.5 % of 20 mm are lost; the published height of L1 is 23 mm.
    assert given.startswith("L1: anterior_height_mm = 20 mm given in the study, 13.5 mm after fracture")
    assert "published 23 mm (compiled from radiographic and cadaver series; recalled, low)" in given
    assert fracture.startswith("L1: wedge of Genant grade 2, height loss anterior 32.5 %; density times 1.")
    assert disc == "L1-L2: degeneration moderate"
    assert "standard uncertainty of 30 mg/cm3" in data.calibration


@pytest.fixture(scope="module")
def fractured(tmp_path_factory):
    """A fractured L1 over a fluid disc, 0 and 2 ml of cement, run with figures and report."""
    config = study(
        input={"fractures": {"L1": {"kind": "wedge", "grade": 2}}},
        disc={"nucleus": "fluid"},
        treatment={"level": "L1", "volume_ml": 2.0},
        sweep={"treatment.volume_ml": [2.0, 0.0]},
    )
    out = tmp_path_factory.mktemp("run") / "fractured"
    run_study(config, out, threads=1)
    write_figures(out)
    write_report(out)
    return read_results(out)


def test_the_record_holds_geometry_fracture_and_pressures(fractured):
    record = fractured.done[0].record
    geometry, (cavity,) = record["geometry"], record["cavities"]
    factor = read_data(study(input={"fractures": {"L1": {"kind": "wedge", "grade": 2}}})).recipe.density_factor("L1")

    assert record["mesh_text"] == "structured, refinement 0.4, hex8"
    assert "spacing_mm" not in record
    assert geometry["bodies"]["L1"]["density_factor"] == pytest.approx(factor, rel=1e-12)
    ratio = geometry["bodies"]["L1"]["density_mean_g_cm3"] / geometry["bodies"]["L2"]["density_mean_g_cm3"]
    assert ratio == pytest.approx(factor, rel=0.02)  # the pattern follows the shape, so cells share it otherwise
    assert geometry["bodies"]["L1"]["anterior_height_mm"] == pytest.approx(23.0 * (1 - 0.325))
    assert cavity["name"] == "L1-L2/nucleus"
    assert cavity["pressure_mpa"]["intact"] > 0.3
    assert cavity["pressure_mpa"]["treated"] != cavity["pressure_mpa"]["intact"]


def test_tables_hold_the_pressure_of_the_fluid(fractured):
    case = fractured.done[0]
    summary = fractured.case_summary(case)
    row = summary[(summary["level"] == "L1-L2") & (summary["state"] == "intact")].iloc[0]

    assert row["nucleus_pressure_mpa"] == pytest.approx(case.record["cavities"][0]["pressure_mpa"]["intact"], rel=1e-9)
    assert max(cut["imbalance"] for cut in case.record["cuts"]) < 1e-6


def test_without_cement_treated_is_intact_to_the_last_bit(fractured):
    case = next(c for c in fractured.done if c.keys["treatment.volume_ml"] == 0.0)
    changes = fractured.case_changes(case)

    assert np.all(changes["change"].to_numpy(float) == 0.0)


def test_fields_have_no_cells_where_the_fluid_is(fractured):
    fields = fractured.done[0].read_fields()

    assert not fields.fraction("L1-L2", "nucleus").any()
    assert fields.fraction("L1-L2", "annulus").any()


def test_the_report_names_mesh_fracture_and_fluid(fractured):
    text = (fractured.folder / "report.html").read_text(encoding="utf-8")

    assert "Mesh: structured, refinement 0.4, hex8" in text
    assert "L1: wedge of Genant grade 2, height loss anterior 32.5 %" in text
    assert "standard uncertainty of 30 mg/cm3" in text
    assert "closed cavity full of fluid" in text
    assert "the segment is parametric" in text
    assert "<h3>Recipe</h3>" in text
    assert (fractured.folder / "figures" / "section_von_mises.png").is_file()


@pytest.mark.long
def test_a_quadratic_study_runs_whole_and_is_nearly_as_stiff_as_the_linear_one(tmp_path):
    found = {}
    for element in ("hex8", "hex20"):
        config = study(segment={"levels": ["L1"], "element": element})
        run_study(config, tmp_path / element, threads=1)
        write_figures(tmp_path / element)
        results = read_results(tmp_path / element)
        assert max(cut["imbalance"] for cut in results.done[0].record["cuts"]) < 1e-6
        assert f"refinement 0.4, {element}" in results.done[0].record["mesh_text"]
        table = results.summary
        row = table[(table["level"] == "segment") & (table["state"] == "intact")].iloc[0]
        found[element] = float(row["segment_stiffness_n_per_mm"])

    fields = results.done[0].read_fields()
    assert fields.cells.shape[1] == 20
    # A body between rigid ends: the shapes differ by their straight and curved walls, 3 % in area.
    assert found["hex20"] == pytest.approx(found["hex8"], rel=0.04)


@pytest.mark.long
def test_a_coarser_pair_of_a_structured_study_gives_a_spacing_floor(tmp_path):
    config = study(
        segment={"refinement": 0.75}, treatment={"level": "L1", "volume_ml": 2.0}, solver={"floor": "spacing"}
    )
    run_study(config, tmp_path / "floor", threads=1)
    changes = pd.read_csv(tmp_path / "floor" / "changes.csv")
    stiffness = changes[changes["quantity"] == "segment_stiffness_n_per_mm"].iloc[0]

    assert stiffness["floor_spacing"] > 0.0


@pytest.mark.parametrize("name", ["parametric_vertebroplasty", "wedge_fracture"])
def test_shipped_parametric_studies_can_be_read(name):
    config = load_study(shipped_folder("studies") / f"{name}.toml")
    for case in expand_cases(config):
        check_tables(case.config)
        data = read_data(case.config)
        assert data.recipe.levels == config.segment.levels


def test_the_record_of_a_run_is_plain_json(fractured):
    assert json.loads((fractured.folder / "run.json").read_text())["config"]["input"]["kind"] == "parametric"


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_the_expected_memory_holds_the_assembled_matrix_twice(element):
    config = study(segment={"element": element})
    model = build_models(config, read_data(config), Stages(SilentProgress())).intact
    problem, _ = make_problem(model, study_load_case(config))
    matrix = assemble_stiffness(problem)

    # Once as it is and once with the pads' unknowns in it; base memory apart.
    assert expected_memory_mb(model.mesh) - BASE_MB > 2e-6 * (matrix.data.nbytes + matrix.indices.nbytes)
