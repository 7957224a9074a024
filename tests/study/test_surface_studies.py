"""Studies on closed surfaces: what is refused and where, what frames and units do, and whole runs with their report."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
from made_surfaces import BODY, below, files_in, read, refusal, study, surface_tables, toml, uneven, write_bodies
from meshing.tet_cases import require_gmsh
from numpy.testing import assert_allclose
from surfaces.vertebra_shapes import SPACING, rotation_about, turned
from typer.testing import CliRunner

from fesolver.cli import app
from fesolver.errors import InputError
from fesolver.imaging.io import write_volume
from fesolver.imaging.volume import Volume
from fesolver.meshing import optional
from fesolver.meshing.regions import cell_volumes, region_volume
from fesolver.report.figures import write_figures
from fesolver.report.html import write_report
from fesolver.report.results import Results, read_results
from fesolver.study.config import load_study
from fesolver.study.runner import run_study
from fesolver.study.study_mesh import mesh_of_study
from fesolver.surfaces.io import write_surface
from fesolver.surfaces.surface import TriangleSurface

pytestmark = pytest.mark.tet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def _gmsh_is_here():
    require_gmsh()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two bodies as STL, and what can go wrong with them."""
    folder = tmp_path_factory.mktemp("surfaces")
    write_bodies(folder)
    pushed = BODY.points.copy()
    pushed[np.linalg.norm(pushed - [20.0, 0.0, 0.0], axis=1) < 6.0] -= [45.0, 0.0, 0.0]
    write_surface(TriangleSurface(BODY.points, BODY.triangles[:-200]), folder / "open.ply")
    write_surface(TriangleSurface(BODY.points, BODY.triangles[:, ::-1]), folder / "inside_out.ply")
    write_surface(TriangleSurface(pushed, BODY.triangles), folder / "crossing.ply")
    write_surface(below(BODY, 20.0), folder / "overlapping.ply")
    write_surface(below(BODY, 2 * SPACING), folder / "far.ply")
    (folder / "garbage.ply").write_text("not a mesh")
    return folder


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"input": {"files": {"L9": "L1.stl", "L2": "L2.stl"}}}, ["input.files", "unknown vertebral level 'L9'"]),
        ({"input": {"files": {"L2": "L1.stl", "L3": "L2.stl"}}}, ["input.files has L2, L3, segment.levels L1, L2"]),
        ({"input": {"files": {"L1": "L1.stl", "L2": "L1.stl"}}}, ["L1 and L2 are the same file, L1.stl"]),
        ({"input": {"files": {}}}, ["there is no surface", 'L1 = "L1.stl"']),
        ({"input": {"files": {"L1": "no.stl", "L2": "L2.stl"}}}, ["no.stl does not exist", "input.files.L1"]),
        ({"input": {"files": {"L1": ".", "L2": "L2.stl"}}}, ["is a folder", "input.files.L1"]),
        ({"input": {"axes": None}}, ["'input.axes' is missing"]),
        ({"input": {"unit": None}}, ["'input.unit' is missing"]),
        ({"input": {"unit": "inch"}}, ["input.unit", "'mm', 'cm' or 'm'"]),
        ({"input": {"axis": "LPS"}}, ["input.axis", "did you mean 'axes'"]),
        ({"input": {"density_g_cm3": 0.1}}, ["one density, got t_score and density_g_cm3"]),
        ({"input": {"t_score": None}}, ["one density, got none", "t_score, density_g_cm3 and ct"]),
        ({"input": {"t_score": None, "ct": "ct.nii.gz"}}, ["[calibration]", "not calibrated"]),
        (
            {"input": {"t_score": None, "ct": "ct.nii.gz", "density_kind": "rho_ha"}},
            ["a CT has its own pattern", "calibration.density_kind"],
        ),
        ({"calibration": {"method": "calibrated"}}, ["no CT to calibrate"]),
        ({"segment": {"size_mm": 0.0}}, ["segment.size_mm", "0.3 or more"]),
        ({"segment": {"size_mm": 50.0}}, ["segment.size_mm", "6 or less"]),
        ({"segment": {"size_inside_mm": 2.0}}, ["size_inside_mm = 2 is smaller than size_mm = 6"]),
        ({"segment": {"refinement": 1.0}}, ["refinement means nothing on a tetrahedral mesh", "segment.size_mm"]),
        ({"segment": {"element": "hex8"}}, ["no hex8", "tet10 or tet4"]),
        ({"segment": {"shell": "from_ct"}}, ["shell means nothing on a tetrahedral mesh"]),
        ({"disc": {"nucleus": "fluid"}}, ["disc.nucleus", "fluid"]),
        ({"sweep": {"segment.size_mm": [2.0, 6.0], "segment.size_inside_mm": [3.0]}}, ["size_mm = 6", "[sweep]"]),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[0][:40],
)
def test_tables_that_make_no_sense_are_refused_before_any_surface_is_read(place, tables, words):
    message = refusal(surface_tables(**tables), place)

    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"axes": "LAS"}, ["'LAS'", "left-handed", "LPS"]),
        ({"axes": "LP"}, ["'LP'", "not three letters"]),
        ({"axes": "LLS"}, ["'LLS'", "twice"]),
        ({"unit": "m"}, ["L1.stl", '"mm", which would fit']),
        ({"files": {"L1": "garbage.ply", "L2": "L2.stl"}}, ["garbage.ply", "no PLY header"]),
        ({"files": {"L1": "open.ply", "L2": "L2.stl"}}, ["open.ply", "1 opening", "mm in LPS"]),
        ({"files": {"L1": "crossing.ply", "L2": "L2.stl"}}, ["crossing.ply", "run through each other", "mm in LPS"]),
        ({"files": {"L1": "inside_out.ply", "L2": "L2.stl"}, "repair": False}, ["point inward", "repair = true"]),
        ({"files": {"L1": "L1.stl", "L2": "overlapping.ply"}}, ["L1 and L2", "overlaps its neighbour by 6.0 mm"]),
        ({"files": {"L1": "L2.stl", "L2": "L1.stl"}}, ["L1 lies 34 mm below L2", "exchanged"]),
        ({"files": {"L1": "L1.stl", "L2": "far.ply"}}, ["disc L1-L2", "42.1 mm high", "no level between"]),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[-1][:30],
)
def test_surfaces_that_are_not_those_of_the_study_are_refused_with_their_place(place, given, words):
    message = refusal(surface_tables(input=given), place)

    for word in words:
        assert word in message


@pytest.mark.parametrize("command", [["run", "s.toml", "--no-report", "--out", "made/r"], ["check", "s.toml"]])
def test_a_refused_surface_ends_a_command_with_code_2_and_nothing_written(place, tmp_path, monkeypatch, command):
    for name in ("L1.stl", "overlapping.ply"):
        (tmp_path / name).write_bytes((place / name).read_bytes())
    files = {"L1": "L1.stl", "L2": "overlapping.ply"}
    (tmp_path / "s.toml").write_text(toml(surface_tables(input={"files": files})))
    monkeypatch.chdir(tmp_path)
    before = files_in(tmp_path)
    result = CliRunner().invoke(app, command)

    assert result.exit_code == 2, result.output
    assert result.stderr.count("error:") == 1
    assert "to do:" in result.stderr
    assert files_in(tmp_path) == before


def _no_gmsh(error: Exception) -> type:
    """An `importlib` that has no gmsh."""

    class Without:
        @staticmethod
        def import_module(name: str) -> None:
            raise error

    return Without


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module named 'gmsh'", name="gmsh"), "pip install 'fesolver[tet]'"),
        (OSError("libGLU.so.1: cannot open shared object file"), "apt-get install libglu1-mesa"),
    ],
)
def test_without_gmsh_the_package_to_install_is_named_and_nothing_is_written(place, monkeypatch, error, words):
    (place / "s.toml").write_text(toml(surface_tables(segment={"levels": ["L1"]}, input={"files": {"L1": "L1.stl"}})))
    monkeypatch.chdir(place)
    monkeypatch.setattr(optional, "importlib", _no_gmsh(error))
    before = files_in(place)
    result = CliRunner().invoke(app, ["mesh", "s.toml", "--out", "made/s.vtu"])

    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert files_in(place) == before


def test_the_frame_and_the_unit_of_the_files_do_not_change_what_is_read(tmp_path):
    surface = uneven(BODY)
    x, y, z = surface.points.T
    write_surface(surface, tmp_path / "L1.ply")
    write_surface(TriangleSurface(np.column_stack([-y, x, z]) / 10.0, surface.triangles), tmp_path / "L1.obj")
    stated = {".ply": {"axes": "LPS", "unit": "mm"}, ".obj": {"axes": "ALS", "unit": "cm"}}
    found = [
        read(surface_tables(input={**keys, "files": {"L1": f"L1{ending}"}}, segment={"levels": ["L1"]}), tmp_path)
        for ending, keys in stated.items()
    ]

    for one, other in zip(*(data.vertebrae for data in found), strict=True):
        # Divided by ten and multiplied again: one rounding of numbers up to 50 mm.
        assert_allclose(one.surface.points, other.surface.points, rtol=0, atol=1e-12)
        assert_allclose(one.frame.axes, other.frame.axes, rtol=0, atol=1e-9)
    assert_allclose(found[0].vertebrae[0].surface.volume, BODY.volume * 0.85, rtol=1e-12)


def test_inward_normals_are_turned_and_told_where_repair_is_on(place):
    files = {"L1": "inside_out.ply", "L2": "L2.stl"}
    data = read(surface_tables(input={"files": files}), place)

    assert data.vertebrae[0].surface.volume == pytest.approx(BODY.volume, rel=1e-12)
    assert any(line.startswith("L1: ") and "turned" in line for line in data.findings)


def test_what_a_body_without_an_arch_lacks_is_one_line_a_level(place):
    lines = [line for line in read(surface_tables(), place).findings if "body alone" in line]

    assert [line[:3] for line in lines] == ["L1:", "L2:"]
    assert "spinous process tip" in lines[0]


def test_cells_are_half_as_large_again_inside_where_the_study_does_not_say(place):
    for size, inside in ((2.0, 3.0), (6.0, 9.0), (0.3, 0.45)):
        segment = study(surface_tables(segment={"size_mm": size}), place).segment
        assert segment.size_inside_mm == pytest.approx(inside, rel=1e-15)


def test_a_ct_gives_every_cell_the_density_of_its_own_place(place):
    """A CT with 0.2 on the patient's left and 0.1 on the right, its voxels coarser than some cells."""
    values = np.full((18, 18, 22), 0.1)
    values[9:] = 0.2
    affine = np.diag([5.0, 5.0, 5.0, 1.0])
    affine[:3, 3] = [-42.5, -42.5, -70.0]  # centre of the first voxel: the border of 9 and 8 lies at x = 0
    write_volume(Volume(values, affine), place / "density.mha")
    data = surface_tables(
        input={"files": {"L1": "L1.stl"}, "t_score": None, "ct": "density.mha"},
        segment={"levels": ["L1"]},
        calibration={"method": "calibrated"},
    )
    made = mesh_of_study(study(data, place)).segment
    mesh, density = made.mesh, made.tissue.density
    x = mesh.points[mesh.cells][:, :, 0] + mesh.frame.origin[0]  # the body of revolution is not turned about z

    assert_allclose(density[x.min(axis=1) > 0.5], 0.2, rtol=1e-12)
    assert_allclose(density[x.max(axis=1) < -0.5], 0.1, rtol=1e-12)
    # Half of the body lies on either side; flat cells of 6 mm are not quite symmetric.
    assert density @ cell_volumes(mesh) == pytest.approx(0.15 * BODY.volume, rel=0.01)


@pytest.fixture(scope="module")
def treated(place):
    """Two bodies of revolution, 3 ml of cement in the upper one."""
    config = study(surface_tables(treatment={"level": "L1", "volume_ml": 3.0}), place)
    out = place / "results"
    run_study(config, out, threads=1)
    return read_results(out)


def row(results: Results, level: str, state: str):
    """One row of the summary."""
    table = results.summary
    return table[(table["level"] == level) & (table["state"] == state)].iloc[0]


def test_a_surface_study_is_in_balance_and_cement_makes_its_level_stiffer(treated):
    record = treated.done[0].record

    assert max(cut["imbalance"] for cut in record["cuts"]) < 1e-6
    stiffness = [row(treated, "L1", state)["isolated_stiffness_n_per_mm"] for state in ("intact", "treated")]
    assert stiffness[1] > 1.05 * stiffness[0]
    neighbour = [row(treated, "L2", state)["isolated_stiffness_n_per_mm"] for state in ("intact", "treated")]
    assert neighbour[0] == neighbour[1]  # alone, nothing of it has changed
    cut = row(treated, "L1-L2", "treated")["cut_axial_force_n"]
    assert cut == pytest.approx(-500.0, rel=1e-6)  # in series: the load itself


def test_the_record_names_files_sizes_and_volumes(treated):
    record = treated.done[0].record
    body = record["geometry"]["bodies"]["L1"]

    assert record["mesh_text"] == "tetrahedra of 6 mm, 9 mm inside, tet4"
    assert record["geometry"]["kind"] == "surfaces"
    assert (body["file"], body["triangles"]) == ("L1.stl", len(BODY.triangles))
    assert body["volume_ml"] == pytest.approx(1e-3 * BODY.volume, rel=1e-6)  # STL holds float32
    # Remeshing keeps the volume, whatever its edge length, and cells fill the surface; points of the nucleus' outline
    # then slide along chords of 6 mm, which cut off 6^2 / 8 / 30 = 0.15 mm of an endplate of 30 mm radius.
    assert row(treated, "L1", "intact")["bone_volume_mm3"] == pytest.approx(BODY.volume, rel=2e-4)
    assert record["geometry"]["discs"]["L1-L2"]["height_mm"] == pytest.approx(SPACING - 26.0, abs=0.2)


def test_input_files_are_kept_with_their_hashes(treated, place):
    kept = {Path(entry["path"]).name: entry["sha256"] for entry in treated.run["inputs"]}

    assert kept == {n: hashlib.sha256((place / n).read_bytes()).hexdigest() for n in ("L1.stl", "L2.stl")}


@pytest.mark.long
def test_labels_and_parameters_are_meshed_with_tetrahedra_too(tmp_path):
    segment = {"levels": ["L1"], "cells": "tetrahedra", "size_mm": 5.0, "element": "tet4"}
    volumes = {}
    for given in ({"kind": "synthetic", "t_score": -3.0, "voxel_mm": 2.0}, {"kind": "parametric", "t_score": -3.0}):
        config = study({"name": "t", "input": given, "segment": segment}, tmp_path)
        mesh = mesh_of_study(config).segment.mesh
        parts = ("trabecular", "cortical", "superior_endplate", "inferior_endplate")
        volumes[given["kind"]] = sum(region_volume(mesh, f"L1/{part}") for part in parts)

    # Both stand for the published L1; the phantom's section and corners are its own, and its arch is cut off by shape.
    assert volumes["synthetic"] == pytest.approx(volumes["parametric"], rel=0.10)


@pytest.mark.parametrize(
    ("given", "segment", "words"),
    [
        (
            {"kind": "parametric", "t_score": -3.0},
            {"layers": "fractions", "layer_cells": 2},
            "layer_cells means nothing",
        ),
        ({"kind": "ct", "ct": "a", "labels": "b", "cement_label": "c"}, {}, "not mapped onto tetrahedra"),
        ({"kind": "ct", "ct": "a", "labels": "b", "implant_label": "c"}, {}, "not mapped onto tetrahedra"),
    ],
    ids=["layers", "cement", "implant"],
)
def test_what_tetrahedra_cannot_take_is_refused(tmp_path, given, segment, words):
    table = {"levels": ["L1"], "cells": "tetrahedra", **segment}
    data = {"name": "t", "input": given, "segment": table, "calibration": {"method": "calibrated"}}
    if given["kind"] == "parametric":
        del data["calibration"]

    assert words in refusal(data, tmp_path)


def test_the_shipped_study_of_surfaces_can_be_read(monkeypatch, tmp_path):
    monkeypatch.setenv("FESOLVER_DATA", str(tmp_path))
    config = load_study(ROOT / "studies" / "surfaces_L1_L3.toml")

    assert config.mesh_kind == "tetrahedral"
    assert config.input.files["L2"] == tmp_path / "surfaces_L1_L5" / "L2.ply"
    assert config.treatment.level == "L2"


@pytest.mark.long
@pytest.mark.data
def test_scanner_surfaces_run_intact_and_treated_with_the_same_report_as_other_inputs(data_dir, tmp_path, monkeypatch):
    if not (data_dir / "surfaces_L1_L5" / "L1.ply").is_file():
        pytest.skip("no surfaces_L1_L5 in the data")
    monkeypatch.setenv("FESOLVER_DATA", str(data_dir))
    path = ROOT / "studies" / "surfaces_L1_L3.toml"
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    data["segment"] |= {"size_mm": 4.0}  # a third of the shipped study's cells
    run_study(study(data, tmp_path), tmp_path / "r", threads=1)
    write_figures(tmp_path / "r")
    write_report(tmp_path / "r")
    results = read_results(tmp_path / "r")
    text = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")

    assert max(cut["imbalance"] for cut in results.done[0].record["cuts"]) < 1e-6
    for level in ("L1", "L2", "L3"):
        assert f"{level}.ply" in text
        body = results.done[0].record["geometry"]["bodies"][level]
        # The mesh follows the surface between its arch's cut and its endplates: 4 mm cells blur the cut.
        assert row(results, level, "intact")["bone_volume_mm3"] == pytest.approx(1e3 * body["body_volume_ml"], rel=0.02)
    assert (
        row(results, "segment", "treated")["segment_stiffness_n_per_mm"]
        > (row(results, "segment", "intact")["segment_stiffness_n_per_mm"])
    )
    for section in ("Answer", "Changes per level", "Strength and risk", "Geometry", "Sections", "Balance of forces"):
        assert f"<h2>{section}" in text


def test_a_turned_segment_keeps_its_own_frame(tmp_path):
    turn = rotation_about(0, 20.0)
    for k, level in enumerate(("L1", "L2")):
        write_surface(turned(below(BODY, k * SPACING), turn), tmp_path / f"{level}.stl")
    data = read(surface_tables(), tmp_path)

    for vertebra in data.vertebrae:
        # z runs along the line through the endplates' centroids; the patches are found triangle by triangle.
        assert_allclose(vertebra.frame.axes[2], turn[:, 2], rtol=0, atol=0.02)


def test_conforming_layers_leave_no_mixed_cell_and_fractions_take_no_layer_cells(tmp_path):
    write_bodies(tmp_path)
    segment = {"layers": "conforming", "cortical_thickness_mm": 1.0, "endplate_thickness_mm": 1.0}
    config = study(surface_tables(segment=segment), tmp_path)
    regions = mesh_of_study(config).segment.mesh.regions
    assert {name.split("/")[1] for name in regions} >= {"cortical", "superior_endplate", "trabecular"}
    layers = [region for name, region in regions.items() if name.endswith(("cortical", "endplate"))]
    assert all(np.all(region.fraction == 1.0) for region in layers)
    with pytest.raises(InputError, match="layer_cells means nothing"):
        study(surface_tables(segment={"layers": "fractions", "layer_cells": 2}), tmp_path)
