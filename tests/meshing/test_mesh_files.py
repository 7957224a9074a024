"""Mesh files read back: the same points, cells, regions and axes in every format."""

from __future__ import annotations

import json
import os
from pathlib import Path

import meshio
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import UniformDensity
from fesolver.errors import InputError
from fesolver.meshing.abaqus import ABAQUS_TYPES, set_name
from fesolver.meshing.io import MESH_FORMATS, check_mesh_path, staged, write_fields, write_mesh
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.report.results import CaseResult
from fesolver.report.section_figures import case_planes

GRIDS = [suffix for suffix in MESH_FORMATS if suffix != ".inp"]


@pytest.fixture(scope="module", params=["hex8", "hex20"])
def made(request):
    structured = mesh_column(build_column(["L1", "L2"]), refinement=0.4, element=request.param)
    return structured.mesh, structured_tissue(structured, UniformDensity(0.1))


def written(made, folder: Path, suffix: str) -> tuple[Path, dict]:
    """A file and the JSON beside it."""
    path = folder / f"segment{suffix}"
    write_mesh(path, path.with_suffix(".json"), *made, about={"recipe": "mine"})
    return path, json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("suffix", GRIDS)
def test_a_mesh_reads_back_bit_by_bit_with_its_regions_named(made, tmp_path, suffix):
    mesh, tissue = made
    path, legend = written(made, tmp_path, suffix)
    grid = meshio.read(path)
    data = {name: np.concatenate(values) for name, values in grid.cell_data.items()}

    assert_array_equal(grid.points, mesh.points)
    assert_array_equal(np.concatenate([block.data for block in grid.cells]), mesh.cells)
    assert {block.type for block in grid.cells} == {"hexahedron" if mesh.element == "hex8" else "hexahedron20"}
    for number, name in legend["region"].items():
        assert_array_equal(np.flatnonzero(data["region"] == int(number)), mesh.regions[name].cells)
    assert_allclose(data["density"], tissue.density, rtol=1e-7)  # float32
    assert legend["recipe"] == "mine"
    assert legend["element"] == mesh.element


@pytest.mark.parametrize("suffix", GRIDS)
def test_endplates_are_numbered_on_their_points(made, tmp_path, suffix):
    mesh, _ = made
    path, legend = written(made, tmp_path, suffix)
    number = meshio.read(path).point_data["endplate"]

    assert len(legend["endplate"]) == 4
    for key, name in legend["endplate"].items():
        assert_array_equal(np.flatnonzero(number == int(key)), np.unique(mesh.surfaces[name].facets))


def test_annulus_axes_are_unit_vectors_in_the_annulus_and_zero_outside(made, tmp_path):
    mesh, tissue = made
    data = meshio.read(written(made, tmp_path, ".vtu")[0]).cell_data
    axes = np.stack([data[f"annulus_{name}"][0] for name in ("circumferential", "radial", "axial")], axis=1)
    own = mesh.regions["L1-L2/annulus"].cells
    outside = np.setdiff1d(np.arange(len(mesh.cells)), own)

    assert_allclose(axes[own], tissue.axes["L1-L2/annulus"], atol=1e-7)  # float32
    assert_allclose(np.linalg.det(axes[own]), 1.0, atol=1e-6)
    assert not axes[outside].any()
    # Radial points away from the disc's axis, axial up.
    centre = mesh.points[mesh.cells[own][:, :8]].mean(axis=1)
    outward = centre - mesh.frames["L1-L2"].origin
    assert np.all(np.einsum("ni,ni->n", axes[own, 1], outward) > 0.0)
    assert np.all(axes[own, 2, 2] > 0.5)


def test_gmsh_knows_regions_as_named_groups_of_volumes(made, tmp_path):
    mesh, _ = made
    grid = meshio.read(written(made, tmp_path, ".msh")[0])

    assert {name: int(dim) for name, (_, dim) in grid.field_data.items()} == dict.fromkeys(mesh.regions, 3)
    groups = np.concatenate(grid.cell_data["gmsh:physical"])
    for name, region in mesh.regions.items():
        assert_array_equal(np.flatnonzero(groups == grid.field_data[name][0]), region.cells)


def read_deck(path: Path) -> dict[str, list[list[float]]]:
    """Numbers of every keyword line of an input deck; records joined where a line ends in a comma."""
    out: dict[str, list[list[float]]] = {}
    open_record = False
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("**"):
            continue
        if line.startswith("*"):
            out[line] = rows = []
            open_record = False
        elif "HEADING" not in next(reversed(out)):
            numbers = [float(part) for part in line.split(",") if part.strip()]
            assert len(numbers) <= 16  # what a line of a deck may hold
            if open_record:
                rows[-1] += numbers
            else:
                rows.append(numbers)
            open_record = line.rstrip().endswith(",")
    return out


def test_a_deck_holds_the_same_mesh_with_a_set_per_region_and_surface(made, tmp_path):
    mesh, _ = made
    path, legend = written(made, tmp_path, ".inp")
    deck = read_deck(path)
    nodes = np.array(deck["*NODE, NSET=ALL_NODES"])
    elements = np.array(deck[f"*ELEMENT, TYPE={ABAQUS_TYPES[mesh.element]}, ELSET=ALL_CELLS"], int)

    assert_array_equal(nodes[:, 0], np.arange(1, len(mesh.points) + 1))
    assert_allclose(nodes[:, 1:], mesh.points, rtol=1e-13, atol=1e-300)  # 14 digits: CalculiX reads 20 characters
    assert_array_equal(elements[:, 1:] - 1, mesh.cells)
    for name, region in mesh.regions.items():
        found = np.concatenate(deck[f"*ELSET, ELSET={set_name(name)}"]).astype(int) - 1
        assert_array_equal(found, region.cells)
        assert legend["sets"][set_name(name)] == name
    for name, surface in mesh.surfaces.items():
        found = np.concatenate(deck[f"*NSET, NSET=ON_{set_name(name)}"]).astype(int) - 1
        assert_array_equal(found, np.unique(surface.facets))


def test_fields_of_linear_and_quadratic_cells_come_back_and_can_be_cut(made, tmp_path):
    mesh, tissue = made
    write_fields(
        tmp_path / "fields.vtu",
        mesh,
        point_data={"displacement_intact": mesh.points},
        cell_data={"density": tissue.density},
    )
    fields = CaseResult("one", {}, "done", "", tmp_path, {}).read_fields()

    assert_array_equal(fields.cells, mesh.cells)
    assert_array_equal(fields.points, mesh.points)
    assert set(fields.regions) == set(mesh.regions)
    assert_array_equal(np.flatnonzero(fields.regions["L1/cortical"]), mesh.regions["L1/cortical"].cells)
    linear = mesh_quality(mesh.points, np.ascontiguousarray(mesh.cells[:, :8])).volume
    for plane in case_planes(fields.points, fields.cells, fields.fraction("L1")):
        # A plane's area times the extent across it bounds the volume of the straight-edged cells it goes through.
        assert 0.5 * linear.sum() < plane.section.areas.sum() * 45.0 < 2.0 * linear.sum()


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.vtu.gz", "a.PNG"])
def test_an_unknown_ending_is_refused_with_the_list(name):
    with pytest.raises(InputError, match="no mesh format") as caught:
        check_mesh_path(Path(name))

    assert all(suffix in (caught.value.fix or "") for suffix in MESH_FORMATS)


def test_an_ending_in_capitals_is_known(made, tmp_path):
    path, _ = written(made, tmp_path, ".VTU")

    assert len(meshio.read(path, file_format="vtu").points) == len(made[0].points)


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_nothing_is_left_of_files_that_were_not_finished(tmp_path, error):
    target = tmp_path / "new" / "folder" / "a.txt"

    def write_half():
        with staged(target, tmp_path / "b.txt") as (partial, _):
            partial.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert list(tmp_path.rglob("*")) == []


def test_finished_files_take_their_names_together(tmp_path):
    targets = [tmp_path / "made" / "a.txt", tmp_path / "b.txt"]
    targets[1].write_text("old")
    with staged(*targets) as partial:
        for path in partial:
            assert str(os.getpid()) in path.name
            path.write_text("new")
        assert targets[1].read_text() == "old"

    assert [path.read_text() for path in targets] == ["new", "new"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.txt", "b.txt", "made"]
