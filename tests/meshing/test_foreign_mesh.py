"""Meshes of other programs: regions by arrays, sets and groups; surfaces and frames found; what is refused."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from solid_meshes import cut

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import UniformDensity
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.facets import area_vectors
from fesolver.meshing.foreign_mesh import read_foreign_mesh
from fesolver.meshing.io import write_mesh
from fesolver.meshing.regions import cell_moments, cell_volumes
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue


@pytest.fixture(scope="module", params=["hex8", "hex20"])
def ours(request):
    structured = mesh_column(build_column(["L1", "L2", "L3"]), refinement=0.4, element=request.param)
    tissue = structured_tissue(structured, UniformDensity(0.1))
    graded = 0.05 + 0.001 * np.arange(len(tissue.density))
    return structured.mesh, Tissue(graded, tissue.kind, tissue.regions, tissue.axes, tissue.depth)


@pytest.fixture(scope="module")
def column():
    return mesh_column(build_column(["L1", "L2"]), refinement=0.4).mesh


def facet_keys(surface):
    """Facets with their cells, in an order of their own."""
    return sorted(zip(map(tuple, np.sort(surface.facets, axis=1).tolist()), surface.cells.tolist(), strict=True))


def foreign(mesh, *, points=None, cells=None, element=None, **more) -> meshio.Mesh:
    """A mesh in memory with an array `part` that numbers our regions from 1."""
    part = np.zeros(len(mesh.cells), int)
    for number, region in enumerate(mesh.regions.values(), start=1):
        part[region.cells] = number
    kind = ELEMENTS[element or mesh.element].meshio_name
    blocks = [(kind, mesh.cells if cells is None else cells)]
    return meshio.Mesh(mesh.points if points is None else points, blocks, cell_data={"part": [part]}, **more)


def numbered(mesh) -> dict[str, int]:
    return {name: number for number, name in enumerate(mesh.regions, start=1)}


@pytest.mark.parametrize("suffix", [".vtu", ".msh"])
def test_our_own_file_comes_back_with_regions_surfaces_frames_and_density(ours, tmp_path, suffix):
    mesh, tissue = ours
    path = tmp_path / f"segment{suffix}"
    write_mesh(path, path.with_suffix(".json"), mesh, tissue)

    found = read_foreign_mesh(path, axes="LPS", unit="mm", density_key="density")

    assert_array_equal(found.mesh.points, mesh.points)
    assert_array_equal(found.mesh.cells, mesh.cells)
    assert found.mesh.levels == mesh.levels
    assert found.mesh.element == mesh.element
    assert set(found.mesh.regions) == set(mesh.regions)
    for name, region in mesh.regions.items():
        assert_array_equal(found.mesh.regions[name].cells, region.cells)
    assert set(found.mesh.surfaces) == set(mesh.surfaces)
    for name, surface in mesh.surfaces.items():
        assert facet_keys(found.mesh.surfaces[name]) == facet_keys(surface)
        assert_allclose(found.mesh.surfaces[name].areas.sum(), surface.areas.sum(), rtol=1e-12)
    curved, (volume, centroid) = mesh.element == "hex20", cell_moments(mesh)
    for name, frame in mesh.frames.items():
        # Ours of curved cells were taken while edges were straight: areas weigh endplates a little otherwise.
        own = mesh.level_cells(name)
        middle = np.average(centroid[own], axis=0, weights=volume[own]) if curved else frame.origin
        assert_allclose(found.mesh.frames[name].origin, middle, atol=1e-9)
        assert_allclose(found.mesh.frames[name].axes, frame.axes, atol=1e-3 if curved else 1e-9)
    assert_allclose(found.mesh.frame.axes, mesh.frame.axes)
    assert_allclose(found.density, tissue.density, rtol=1e-7)  # float32
    assert found.findings == ()


def test_normals_point_outward_and_surfaces_close_around_every_body(column):
    found = read_foreign_mesh(foreign(column), regions=numbered(column), region_key="part", axes="LPS", unit="mm").mesh

    for level in ("L1", "L2"):
        vectors = [area_vectors(found.points, found.surfaces[f"{level}/{s}"].facets).sum(axis=0)
                   for s in ("superior_endplate", "inferior_endplate", "outer")]  # fmt: skip
        assert_allclose(sum(vectors), 0.0, atol=1e-9)  # closed
        assert vectors[0][2] > 900.0  # mm2, up
        assert vectors[1][2] < -900.0


@pytest.mark.parametrize(("axes", "of_lps"), [("RAS", np.diag([-1.0, -1.0, 1.0])), ("SLP", np.eye(3)[[1, 2, 0]])])
def test_a_mesh_turned_and_in_metres_comes_to_the_same_segment_frame(column, axes, of_lps):
    # A file in its own axes and metres, of a patient who lies askew.
    turn = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(0.2), -np.sin(0.2)], [0.0, np.sin(0.2), np.cos(0.2)]])
    lps = column.points @ turn.T + np.array([30.0, -80.0, 400.0])
    grid = foreign(column, points=lps @ of_lps / 1000.0)

    found = read_foreign_mesh(grid, regions=numbered(column), region_key="part", axes=axes, unit="m").mesh

    assert_allclose(found.points, column.points, atol=1e-9)
    assert_allclose(found.frame.to_parent(found.points), lps, atol=1e-9)
    assert_allclose(found.frames["L1-L2"].axes, column.frames["L1-L2"].axes, atol=1e-9)


@pytest.mark.parametrize("element", ["tet4", "tet10", "wedge6"])
def test_other_cells_have_the_same_volumes_and_endplates(column, element):
    points, cells = cut(column.points, column.cells, element)
    copies = len(cells) // len(column.cells)
    part = np.zeros(len(column.cells), int)
    for number, region in enumerate(column.regions.values(), start=1):
        part[region.cells] = number
    grid = meshio.Mesh(points, [(ELEMENTS[element].meshio_name, cells)], cell_data={"part": [np.repeat(part, copies)]})
    regions = numbered(column)

    found = read_foreign_mesh(grid, regions=regions, region_key="part", axes="LPS", unit="mm").mesh

    if element == "wedge6":  # each hexahedron's sides are a quadrilateral, its ends two triangles
        assert found.surfaces["L1/outer"].facets.shape[1] == 4
        assert found.surfaces["L1/superior_endplate"].facets.shape[1] == 3
    assert found.element == element
    for name, surface in column.surfaces.items():
        # Triangles of a warped quadrilateral have its corners and nearly its area.
        assert_allclose(found.surfaces[name].areas.sum(), surface.areas.sum(), rtol=2e-3)
    assert_allclose(cell_volumes(found).sum(), cell_volumes(column).sum(), rtol=1e-3)


def test_cell_sets_and_physical_groups_name_regions_too(column, tmp_path):
    names = {name: f"set {i}" for i, name in enumerate(column.regions)}
    sets = {names[name]: [region.cells] for name, region in column.regions.items()}
    grid = foreign(column, cell_sets=sets)
    by_set = read_foreign_mesh(grid, regions=names, axes="LPS", unit="mm").mesh
    groups = {f"group {i}": np.array([i, 3]) for i in range(1, len(column.regions) + 1)}
    tags = grid.cell_data["part"]
    path = tmp_path / "groups.msh"
    data = {"gmsh:physical": tags, "gmsh:geometrical": tags}
    msh = meshio.Mesh(column.points, [("hexahedron", column.cells)], cell_data=data, field_data=groups)
    meshio.write(path, msh, file_format="gmsh22")
    by_group = read_foreign_mesh(
        path, regions={name: f"group {i}" for name, i in numbered(column).items()}, axes="LPS", unit="mm"
    ).mesh

    for name, region in column.regions.items():
        assert_array_equal(by_set.regions[name].cells, region.cells)
        assert_array_equal(by_group.regions[name].cells, region.cells)


def test_what_is_no_solid_cell_is_left_out_and_told(column):
    grid = foreign(column, points=np.vstack([[[1e3, 0, 0], [0, 1e3, 0]], column.points]), cells=column.cells + 2)
    flat = meshio.Mesh(
        grid.points,
        [("triangle", np.array([[0, 1, 2]])), ("hexahedron", column.cells + 2)],
        cell_data={"part": [np.array([99]), grid.cell_data["part"][0]]},
    )

    found = read_foreign_mesh(flat, regions=numbered(column), region_key="part", axes="LPS", unit="mm")

    assert_array_equal(found.mesh.cells, column.cells)
    assert found.findings == (
        "cells that are not solid are left out: 1 triangle",
        "2 points belong to no solid cell and are left out",
    )


def test_a_disc_with_points_of_its_own_is_told_and_endplates_found_by_their_direction(column):
    disc = column.level_cells("L1-L2")
    cells = column.cells.copy()
    ids, back = np.unique(cells[disc], return_inverse=True)
    cells[disc] = len(column.points) + back.reshape(-1, 8)
    grid = foreign(column, points=np.vstack([column.points, column.points[ids]]), cells=cells)

    found = read_foreign_mesh(grid, regions=numbered(column), region_key="part", axes="LPS", unit="mm")

    assert [f.split(":")[0] for f in found.findings[-2:]] == [
        "the disc below L1 shares no facet with it",
        "the disc above L2 shares no facet with it",
    ]
    for name, surface in column.surfaces.items():
        assert_allclose(found.mesh.surfaces[name].areas.sum(), surface.areas.sum(), rtol=1e-9)


def refused(mesh, match: str, fix: str = "", **given) -> None:
    """Whether the mesh is refused with these words."""
    options = {"regions": None, "region_key": "part", "axes": "LPS", "unit": "mm"} | given
    with pytest.raises(InputError, match=match) as caught:
        read_foreign_mesh(mesh, **options)
    assert fix in (caught.value.fix or "")


def test_bad_meshes_are_refused_with_the_place_and_what_to_do(column):
    grid, regions = foreign(column), numbered(column)
    mirrored = foreign(column, points=column.points * [-1.0, 1.0, 1.0])
    refused(mirrored, "every cell is inside out", "right-handed", regions=regions)
    bent = column.cells.copy()
    bent[7] = bent[7][[4, 5, 6, 7, 0, 1, 2, 3]]
    refused(foreign(column, cells=bent), r"1 of \d+ cells are inverted[\s\S]*cell 7 at \(", "repair", regions=regions)
    refused(grid, "left-handed frame", regions=regions, axes="RPS")
    refused(grid, "unit 'inch'", "mm, cm, m", regions=regions, unit="inch")
    refused(grid, r"L1 is \S+ x \S+ x \S+ mm large", "check unit", regions=regions, unit="m")
    mixed = meshio.Mesh(grid.points, [("hexahedron", column.cells), ("tetra", column.cells[:5, [0, 1, 3, 4]])])
    refused(mixed, r"one kind, this one has: \d+ hexahedron, 5 tetra", "keep one of", regions=regions)
    quadratic = meshio.Mesh(grid.points, [("hexahedron27", np.zeros((2, 27), int))])
    refused(quadratic, "2 hexahedron27", "hexahedron20", regions=regions)


def test_bad_names_of_regions_are_refused_with_the_list(column):
    grid, regions = foreign(column), numbered(column)
    refused(grid, "unknown region 'L1/spongy'", "trabecular, cortical", regions={"L1/spongy": 1})
    refused(
        grid, "unknown region 'L1-L3/annulus'", regions={"L1/trabecular": 1, "L3/trabecular": 2, "L1-L3/annulus": 3}
    )
    refused(grid, "L1 and L3 are not neighbours", regions={"L1/trabecular": 1, "L3/trabecular": 2})
    refused(grid, "has no cells", regions=regions | {"L1/posterior": 77})
    first = next(iter(regions))
    refused(grid, r"in no region[\s\S]*cell \d+ at", "part has 1, 2", regions={first: 1})
    refused(grid, "are both in", regions=regions | {first: [1, 2]})
    refused(grid, "no cell set and no physical group 'bone'", regions={"L1/trabecular": "bone"})
    refused(grid, "no cell array with the numbers", "['part']", regions=regions, region_key="tags")
    refused(grid, "there is no cell array 'rho'", "part", regions=regions, density_key="rho")
    refused(grid, "nothing says which cells", "L1/trabecular")
    refused(Path("nowhere.vtu"), "no such file", regions=regions)
    grid.cell_data["rho"] = [np.where(np.arange(len(column.cells)) == 3, np.nan, 0.1)]
    refused(grid, r"not a number[\s\S]*cell 3", regions=regions, density_key="rho")


def test_files_that_are_no_mesh_and_a_wrong_frame_of_our_own_are_refused(ours, tmp_path, capsys):
    broken = tmp_path / "broken.vtu"
    broken.write_text("not a mesh")
    refused(broken, "cannot read", "ending", regions={"L1/trabecular": 1})
    path = tmp_path / "own.vtu"
    write_mesh(path, path.with_suffix(".json"), *ours)
    refused(path, "in LPS and mm", 'axes = "LPS"', axes="RAS")
    path.with_suffix(".json").write_text('{"schema": 9}')
    refused(path, "not one that this package writes", "give `regions`")
