"""`fesolver mesh STUDY.toml`: the mesh of a study, its legend, what is printed and what is refused."""

from __future__ import annotations

import json
import logging

import meshio
import numpy as np
import pytest
from made_surfaces import files_in, merged, toml
from numpy.testing import assert_allclose
from typer.testing import CliRunner

import fesolver.report.study_mesh_files
from fesolver.cli import app
from fesolver.errors import InputError
from fesolver.study.config import study_from_dict
from fesolver.study.study_mesh import mesh_of_study

PARAMETRIC = {
    "name": "small",
    "input": {"kind": "parametric", "density_g_cm3": 0.1},
    "segment": {"levels": ["L1"], "refinement": 0.4},
    "treatment": {"level": "L1", "volume_ml": 3.0},
}
SYNTHETIC = {
    "name": "voxels",
    "input": {"kind": "synthetic", "t_score": -3.0, "voxel_mm": 2.0},
    "segment": {"levels": ["L1"], "spacing_mm": 3.0},
}


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    """A working folder with a study in it; the package's log handlers as they were."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(toml(PARAMETRIC))
    log = logging.getLogger("fesolver")
    before, level = list(log.handlers), log.level
    yield
    log.handlers[:], log.level = before, level


def run(*arguments: str):
    return CliRunner().invoke(app, ["mesh", *arguments])


def test_a_study_s_mesh_and_its_legend_take_the_study_s_name(tmp_path):
    result = run("s.toml")

    assert result.exit_code == 0, result.output
    assert files_in(tmp_path) == {"s.toml", "small.vtu", "small.json"}
    legend = json.loads((tmp_path / "small.json").read_text(encoding="utf-8"))
    grid = meshio.read(tmp_path / "small.vtu")
    assert legend["study"]["segment"]["refinement"] == 0.4
    assert set(np.unique(grid.cell_data["region"][0])) == {int(number) for number in legend["region"]}
    assert f"{len(grid.cells[0].data)} hex8 cells" in result.stdout
    for words in ("volume (ml)", "L1/cortical", "scaled Jacobian", "density:", "small.json"):
        assert words in result.stdout


def test_the_file_holds_the_intact_segment_that_the_study_solves(tmp_path):
    made = mesh_of_study(study_from_dict(PARAMETRIC)).segment
    run("s.toml", "--out", "made/a.vtu", "--quiet")
    grid = meshio.read(tmp_path / "made" / "a.vtu")

    assert_allclose(grid.points, made.mesh.points, rtol=0, atol=1e-12)
    assert np.array_equal(grid.cells[0].data, made.mesh.cells)
    assert_allclose(grid.cell_data["density"][0], made.tissue.density, rtol=1e-6)  # float32 in the file
    assert not any(name.endswith("cement") for name in made.mesh.regions)


def test_the_first_case_of_a_sweep_is_meshed():
    table = merged(PARAMETRIC, {"sweep": {"segment.refinement": [0.5, 0.4]}})
    swept = mesh_of_study(study_from_dict(table)).segment.mesh
    plain = mesh_of_study(study_from_dict(merged(PARAMETRIC, {"segment": {"refinement": 0.5}}))).segment.mesh

    assert np.array_equal(swept.points, plain.points)


def test_voxels_of_a_study_are_bricks_of_its_spacing(tmp_path):
    (tmp_path / "v.toml").write_text(toml(SYNTHETIC))
    result = run("v.toml", "--out", "v.msh")

    assert result.exit_code == 0, result.output
    grid = meshio.read(tmp_path / "v.msh")
    corners = grid.points[grid.cells_dict["hexahedron"]]
    assert_allclose(np.ptp(corners, axis=1), 3.0, rtol=0, atol=1e-9)
    assert "L1/trabecular" in grid.field_data


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["s.toml", "--out", "a.stl"], [".stl is no mesh format", ".vtu, .vtk, .msh, .inp"]),
        (["s.toml", "--out", "."], ["is a folder", "--out"]),
        (["s.toml", "--out", "old.vtu"], ["old.vtu exists already", "--overwrite"]),
        (["s.toml", "--out", "new.vtu", "--refinement", "2"], ["--refinement belongs to recipes", "[segment]"]),
        (["s.toml", "--out", "new.vtu", "--picture", "a.png"], ["--picture belongs to recipes"]),
        (["wrong.toml", "--out", "new.vtu"], ["segment.size_mm", "means nothing on a structured mesh"]),
        (["s.toml", "--out", "old.vtu/a.vtu"], ["cannot write", "place you may write to"]),
    ],
    ids=["format", "folder", "exists", "refinement", "picture", "key", "place"],
)
def test_misuse_says_what_to_do_and_leaves_no_file(tmp_path, arguments, words):
    (tmp_path / "old.vtu").write_text("kept")
    (tmp_path / "wrong.toml").write_text(toml(merged(PARAMETRIC, {"segment": {"size_mm": 2.0}})))
    before = files_in(tmp_path)
    result = run(*arguments)

    assert result.exit_code == 2, result.output
    assert result.stderr.count("error:") == 1
    for word in (*words, "to do:"):
        assert word in result.stderr
    assert files_in(tmp_path) == before
    assert (tmp_path / "old.vtu").read_text() == "kept"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_half_written_and_old_files_stay_where_writing_fails(tmp_path, monkeypatch, error):
    (tmp_path / "a.vtu").write_text("old mesh")
    (tmp_path / "a.json").write_text("old legend")
    before = files_in(tmp_path)

    def fail(path, *_, **__):
        path.write_text("half a mesh")
        raise error

    monkeypatch.setattr(fesolver.report.study_mesh_files, "write_mesh", fail)
    result = run("s.toml", "--out", "a.vtu", "--overwrite")

    assert result.exit_code == (2 if isinstance(error, OSError) else 130), result.output
    assert files_in(tmp_path) == before
    assert (tmp_path / "a.vtu").read_text() == "old mesh"


def test_what_stops_a_run_stops_a_mesh():
    with pytest.raises(InputError, match="unknown"):
        mesh_of_study(study_from_dict(merged(PARAMETRIC, {"bone": {"law": "unknown"}})))
