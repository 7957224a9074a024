"""Studies on meshes made elsewhere: our own read back, gmsh's with physical groups, densities by cell, and misuse."""

from __future__ import annotations

import json
import shutil

import meshio
import numpy as np
import pytest
from made_surfaces import files_in, merged, read, refusal, study, toml
from meshing.tet_cases import require_gmsh
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from fesolver.cli import app
from fesolver.errors import InputError
from fesolver.meshing.optional import load_gmsh
from fesolver.report.results import read_results
from fesolver.study.config import study_from_dict
from fesolver.study.runner import run_study
from fesolver.study.study_mesh import mesh_of_study

LEVELS = {"levels": ["L1", "L2"]}
ORIGINAL = {
    "name": "original",
    "input": {"kind": "parametric", "density_g_cm3": 0.1},
    "segment": {**LEVELS, "refinement": 0.4},
    "disc": {"fibres": False},
}


def foreign_tables(**tables):
    """The original's mesh file as the input, with tables merged in."""
    base = {
        "name": "foreign",
        "input": {"kind": "mesh", "file": "original.vtu", "axes": "LPS", "unit": "mm", "density_key": "density"},
        "segment": LEVELS,
        "disc": {"fibres": False},
    }
    return merged(base, tables)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the original study's mesh, and copies with one thing wrong each."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "original.toml").write_text(toml(ORIGINAL))
    arguments = ["mesh", str(folder / "original.toml"), "--out", str(folder / "original.vtu")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    grid = meshio.read(folder / "original.vtu")

    def copy(name, points=grid.points, data=grid.cell_data, legend=True):
        meshio.write(folder / f"{name}.vtu", meshio.Mesh(points, grid.cells, cell_data=data))
        if legend:
            shutil.copy(folder / "original.json", folder / f"{name}.json")

    holed = grid.cell_data["density"][0].astype(float)
    holed[3] = np.nan
    copy("metres", points=grid.points / 1000.0)
    copy("mirrored", points=grid.points * [-1.0, 1.0, 1.0])
    copy("no_number", data={**grid.cell_data, "density": [holed]})
    density = grid.cell_data["density"][0].astype(float)
    everywhere = np.where(density > 0.0, 1000.0 * density, 70.0)  # as a scan has some in discs too
    copy("milligrams", data={**grid.cell_data, "density": [everywhere]})
    copy("no_legend", legend=False)
    copy("other_legend", legend=False)
    (folder / "other_legend.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def regions(place):
    """Region -> its number in the file."""
    legend = json.loads((place / "original.json").read_text(encoding="utf-8"))
    return {name: int(number) for number, name in legend["region"].items()}


def values_of(data, folder, name):
    """Every finite number of the summary of a run, by state, level and quantity."""
    run_study(study(data, folder), folder / name, threads=1)
    table = read_results(folder / name).summary.set_index(["state", "level"]).drop(columns=["case"])
    return table.select_dtypes("number").stack().dropna()


def test_a_mesh_written_and_read_back_gives_the_same_answers(place):
    ours = values_of(ORIGINAL, place, "ours")
    back = values_of(foreign_tables(), place, "back")
    floors = ours.index.get_level_values("state").str.startswith(("floor", "change"))
    shared = ours[~floors].index.intersection(back.index)

    assert len(shared) > 60
    assert {"segment_stiffness_n_per_mm", "isolated_stiffness_n_per_mm"} <= set(shared.get_level_values(2))
    # Densities are float32 in the file (6e-8), both solves stop at 1e-8 of the load; rotations near zero are round-off
    # against the segment's own of 0.05 degrees.
    assert_allclose(back[shared], ours[shared], rtol=1e-6, atol=1e-7)


def test_fibres_of_a_mesh_made_elsewhere_run_around_its_own_annulus(place):
    """The file's fibre axes are not read but found from the annulus' shape: answers with fibres are near."""
    ours = mesh_of_study(study(ORIGINAL, place)).segment.tissue.axes["L1-L2/annulus"]
    back = mesh_of_study(study(foreign_tables(), place)).segment.tissue.axes["L1-L2/annulus"]
    angle = np.degrees(np.arccos(np.clip(np.abs(np.einsum("nij,nij->ni", ours, back)), 0.0, 1.0)))

    assert_allclose(np.einsum("nij,nkj->nik", back, back), np.broadcast_to(np.eye(3), back.shape), rtol=0, atol=1e-12)
    assert np.median(angle) < 5.0
    assert angle.max() < 20.0  # where the section turns quickly, at the back, on eight cells around a quarter


def test_densities_in_milligrams_are_the_same_densities_and_discs_have_none(place):
    data = foreign_tables(input={"file": "milligrams.vtu", "density_unit": "mg/cm3"})
    ours = mesh_of_study(study(foreign_tables(), place)).segment.tissue
    back = mesh_of_study(study(data, place)).segment.tissue

    assert_allclose(back.density, ours.density, rtol=1e-12)
    assert ours.density.max() > 0.1
    bone = np.concatenate([r.cells for name, r in back.regions.items() if not name.startswith("L1-L2")])
    assert np.all(np.delete(back.density, bone) == 0.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"density_unit": "mg/cm3"}, ["mean density of L1 is 9.94e-05 g/cm3", "0.01 to 2.2 g/cm3", "density_unit"]),
        ({"file": "milligrams.vtu"}, ["mean density of L1 is 99.4 g/cm3", "input.density_key"]),
    ],
)
def test_a_density_that_is_wrong_by_a_thousand_is_refused(place, given, words):
    with pytest.raises(InputError) as caught:
        mesh_of_study(study(foreign_tables(input=given), place))

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"input": {"file": "no.vtu"}}, ["no.vtu does not exist", "input.file"]),
        ({"input": {"file": "no_legend.vtu"}}, ["which cells are which region", "L1/trabecular"]),
        ({"input": {"file": "other_legend.vtu"}}, ["other_legend.json", "give `regions`"]),
        ({"input": {"file": "metres.vtu"}}, ["L1 is 0.0", "15 to 250 mm", "unit"]),
        ({"input": {"file": "mirrored.vtu"}}, ["inside out", "mirrored"]),
        ({"input": {"unit": "m"}}, ["in LPS and mm", "original.json"]),
        ({"input": {"axes": "RAS"}}, ["in LPS and mm"]),
        ({"input": {"density_key": "rho"}}, ["no cell array 'rho'", "scaled_jacobian"]),
        ({"input": {"t_score": -3.0}}, ["one density, got t_score and density_key"]),
        ({"input": {"density_key": None}}, ["one density, got none", "density_key"]),
        ({"input": {"region_key": "region"}}, ["region_key = 'region'", "give regions"]),
        ({"segment": {"levels": ["L1"]}}, ["holds L1, L2, segment.levels are L1"]),
        ({"segment": {"size_mm": 2.0}}, ["size_mm means nothing on a foreign mesh", "the mesh has its cells"]),
        ({"segment": {"cortical_thickness_mm": 0.4}}, ["cortical_thickness_mm means nothing on a foreign mesh"]),
        ({"segment": {"element": "hex8"}}, ["element means nothing on a foreign mesh"]),
        ({"segment": {"cells": "voxels"}}, ["not meshed with voxels"]),
        ({"solver": {"floor": "spacing"}}, ["one size", "solver.floor"]),
        ({"disc": {"nucleus": "fluid"}}, ["disc.nucleus"]),
        ({"sweep": {"input.density_g_cm3": [0.1]}}, ["[sweep]", "density_g_cm3 and density_key"]),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[0][:40],
)
def test_a_mistake_is_refused_with_what_to_do(place, tables, words):
    message = refusal(foreign_tables(**tables), place)

    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"L1/cortical": None, "L1/shell": 2}, ["unknown region 'L1/shell'", "trabecular, cortical"]),
        ({"L1/cortical": None}, ["cells are in no region", "of the file"]),
        ({"L1/cement": 99}, ["region L1/cement has no cells", "99"]),
        ({"L1/cement": 1}, ["both in L1/trabecular and in L1/cement"]),
        ({"L1/cement": "glue"}, ["no physical group 'glue'"]),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[0][:30],
)
def test_regions_that_do_not_fit_the_file_are_refused(place, regions, change, words):
    table = {name: number for name, number in {**regions, **change}.items() if number is not None}
    message = refusal(foreign_tables(input={"file": "no_legend.vtu", "regions": table}), place)

    for word in words:
        assert word in message


def test_regions_by_number_read_the_same_mesh_as_the_legend(place, regions):
    by_number = read(foreign_tables(input={"file": "no_legend.vtu", "regions": regions}), place).found.mesh
    by_legend = read(foreign_tables(), place).found.mesh

    assert_allclose(by_number.points, by_legend.points, rtol=0, atol=1e-9)
    for name, region in by_legend.regions.items():
        assert np.array_equal(region.cells, by_number.regions[name].cells)


def test_a_command_with_a_wrong_mesh_ends_with_code_2_and_writes_nothing(place, monkeypatch):
    (place / "wrong.toml").write_text(toml(foreign_tables(input={"density_key": "rho"})))
    monkeypatch.chdir(place)
    before = files_in(place)
    result = CliRunner().invoke(app, ["run", "wrong.toml", "--out", "made/r"])

    assert result.exit_code == 2, result.output
    assert result.stderr.count("error:") == 1
    assert files_in(place) == before


def _columns(path):
    """Two cylinders with one between them, meshed by gmsh with a physical group each."""
    gmsh = load_gmsh()
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MeshSizeMax", 8.0)
        parts = [(3, gmsh.model.occ.addCylinder(0, 0, z, 0, 0, h, 20)) for z, h in ((-34, 26), (-8, 8), (0, 26))]
        gmsh.model.occ.fragment(parts[:1], parts[1:])
        gmsh.model.occ.synchronize()
        for _, tag in gmsh.model.getEntities(3):
            z = gmsh.model.occ.getCenterOfMass(3, tag)[2]
            gmsh.model.addPhysicalGroup(3, [tag], name="lower" if z < -10 else "disc" if z < 0 else "upper")
        gmsh.model.mesh.generate(3)
        gmsh.write(str(path))
    finally:
        gmsh.finalize()


@pytest.mark.tet
def test_physical_groups_of_gmsh_make_a_study(tmp_path):
    require_gmsh()
    _columns(tmp_path / "two.msh")
    groups = {"L1/trabecular": "upper", "L2/trabecular": "lower", "L1-L2/annulus": "disc"}
    young, area, height = 4.2, np.pi * 20.0**2, 8.0
    data = {
        "name": "msh",
        "input": {"kind": "mesh", "file": "two.msh", "axes": "LPS", "unit": "mm", "density_g_cm3": 0.2,
                  "density_pattern": "uniform", "regions": groups},
        "segment": LEVELS, "disc": {"fibres": False, "annulus_poisson": 0.0},
        "load": {"top": "fixed"},
    }  # fmt: skip
    values = values_of(data, tmp_path, "r")

    # Without Poisson's ratio a column is springs in series: E A / h each. The bone holds the disc's ends, which matters
    # not at nu = 0; pads hold the bone's at nu = 0.3, and cells of 8 mm cut 2.6 % off the circle's area.
    bone = 2980.0 * 0.2**1.05
    series = area / (height / young + 2 * 26.0 / bone)
    assert values["intact", "segment", "segment_stiffness_n_per_mm"] == pytest.approx(series, rel=0.04)


def test_a_mesh_study_needs_a_density_at_once():
    with pytest.raises(InputError, match="one density"):
        study_from_dict(
            {"name": "a", "input": {"kind": "mesh", "file": "a", "axes": "LPS", "unit": "mm"}, "segment": LEVELS}
        )
