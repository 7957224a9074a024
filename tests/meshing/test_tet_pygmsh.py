"""The parametric column through pygmsh against the structured hexahedra: the same names, volumes and frames."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tet_cases import require_gmsh

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import PatternedDensity
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.anatomy.shape import body_coordinates
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.meshing.optional import load_gmsh
from fesolver.meshing.pygmsh_column import disc_coordinates, mesh_with_pygmsh
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.regions import cell_centroids, cell_volumes, region_volume
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.tet_tissue import tet_tissue

pytestmark = pytest.mark.tet

SIZE = 4.0
BODY = ("trabecular", "cortical", "superior_endplate", "inferior_endplate")


@pytest.fixture(scope="module")
def column():
    require_gmsh()
    # A disc off the middle and a bulge: nothing is symmetric from front to back.
    return build_column(["L1", "L2"], discs={"L1-L2": {"nucleus_posterior_mm": 1.5, "bulge_mm": 1.0}})


@pytest.fixture(scope="module")
def shape(column):
    return DiscShape(*column.vertebrae, column.discs[0])


@pytest.fixture(scope="module")
def tet(column):
    return mesh_with_pygmsh(column, size_mm=SIZE)


@pytest.fixture(scope="module")
def structured(column):
    return mesh_column(column, refinement=1.0)


def volume_of(mesh, level, parts):
    return sum(region_volume(mesh, f"{level}/{part}") for part in parts)


def shared_points(mesh, one, other):
    """Points of the faces that a cell of one part shares with a cell of another, in the column's frame."""
    faces = np.array([f[:3] for f in ELEMENTS["tet4"].faces])
    first, second = (np.sort(mesh.cells[own][:, faces], axis=-1).reshape(-1, 3) for own in (one, other))
    n = len(mesh.points)
    powers = np.array([n * n, n, 1])
    both = first[np.isin(first @ powers, second @ powers)]
    return mesh.frame.to_parent(mesh.points[np.unique(both)]), len(both)


def test_bodies_have_the_volume_of_the_structured_mesh(tet, structured):
    for level in ("L1", "L2"):
        assert_allclose(volume_of(tet.mesh, level, BODY), volume_of(structured.mesh, level, BODY), rtol=0.005)


def test_recovered_regions_have_the_volumes_of_the_structured_mesh(tet, structured):
    assert set(tet.mesh.regions) == set(structured.mesh.regions)
    assert_allclose(sum(r.dense(len(tet.mesh.cells)) for r in tet.mesh.regions.values()), 1.0, rtol=0, atol=1e-12)
    for name in tet.mesh.regions:
        # Chords of 4 mm on the nucleus' radius of 12 mm cut off 4^2 / (12 * 12^2) = 0.9 % of its area; layers as well.
        assert_allclose(region_volume(tet.mesh, name), region_volume(structured.mesh, name), rtol=0.015, err_msg=name)


def test_parts_meet_on_the_surfaces_that_part_them(tet, shape):
    mesh = tet.mesh
    nucleus, annulus = (mesh.regions[f"L1-L2/{part}"].cells for part in ("nucleus", "annulus"))

    points, count = shared_points(mesh, nucleus, annulus)
    place = disc_coordinates(points, shape)
    assert count > 50
    # A cell told wrongly would bring a corner from within a part: 4 mm are 0.4 of the annulus' width of 8 mm.
    assert_allclose(shape.annulus_layer(place[:, 0], place[:, 1]), 0.0, atol=0.02)

    # Patches are interpolated between exact curves; a body's cell told wrongly would reach 4 mm into the disc.
    for vertebra in tet.bodies.values():
        points, count = shared_points(mesh, mesh.level_cells(vertebra.level), mesh.level_cells("L1-L2"))
        assert count > 50
        assert_allclose(body_coordinates(vertebra.frame.to_local(points), vertebra.dimensions).depth_mm, 0.0, atol=0.1)
    assert shared_points(mesh, mesh.level_cells("L1"), mesh.level_cells("L2"))[1] == 0


def test_surfaces_and_frames_are_those_of_the_structured_mesh(tet, structured):
    for name, surface in structured.mesh.surfaces.items():
        assert_allclose(tet.mesh.surfaces[name].areas.sum(), surface.areas.sum(), rtol=0.01)
        mean, same = (s.areas @ s.normals for s in (tet.mesh.surfaces[name], surface))
        assert_allclose(mean, same, atol=0.01 * surface.areas.sum())
    for name, frame in structured.mesh.frames.items():
        assert_allclose(tet.mesh.frames[name].axes, frame.axes, atol=2e-3)
        assert_allclose(tet.mesh.frames[name].origin, frame.origin, atol=0.05)


def test_axes_and_depth_of_the_annulus_are_those_of_the_shape(tet, shape):
    mesh, name = tet.mesh, "L1-L2/annulus"
    place = disc_coordinates(mesh.frame.to_parent(cell_centroids(mesh)[mesh.regions[name].cells]), shape)

    assert_allclose(mesh.frame.vectors_to_parent(tet.annulus_axes[name]), shape.annulus_axes(*place.T), atol=1e-6)
    assert_allclose(tet.annulus_depth[name], shape.annulus_layer(place[:, 0], place[:, 1]), atol=1e-6)


def test_disc_coordinates_undo_the_map_of_the_disc(shape):
    rng = np.random.default_rng(9)
    radius, angle, s = np.sqrt(rng.uniform(0, 1, 300)), rng.uniform(-np.pi, np.pi, 300), rng.uniform(-1, 1, 300)
    place = np.stack([radius * np.cos(angle), radius * np.sin(angle), s], axis=1)

    assert_allclose(disc_coordinates(shape.points(*place.T), shape), place, atol=1e-9)


def test_tissue_of_a_pattern_has_the_mass_of_the_structured_mesh(tet, structured):
    ours, same = tet_tissue(tet, PatternedDensity(0.1)), structured_tissue(structured, PatternedDensity(0.1))

    masses = [cell_volumes(m) @ t.density for m, t in ((tet.mesh, ours), (structured.mesh, same))]
    assert_allclose(masses[0], masses[1], rtol=0.005)


def test_a_single_body_of_quadratic_cells_is_valid_and_leaves_gmsh_finalised():
    require_gmsh()
    mesh = mesh_with_pygmsh(build_column(["L3"]), size_mm=6.0, element="tet10", cortical_thickness_mm=0.0).mesh

    assert mesh_quality(mesh.points, mesh.cells, "tet10").least_det_jacobian.min() > 0.0
    assert set(mesh.regions) == {"L3/trabecular", "L3/superior_endplate", "L3/inferior_endplate"}
    assert not load_gmsh().isInitialized()


def test_parameters_out_of_range_are_refused(column):
    with pytest.raises(InputError, match="size_mm"):
        mesh_with_pygmsh(column, size_mm=0.0)
    with pytest.raises(InputError, match="hex8"):
        mesh_with_pygmsh(column, element="hex8")
    with pytest.raises(InputError, match="cortical_thickness_mm"):
        mesh_with_pygmsh(column, size_mm=6.0, cortical_thickness_mm=-1.0)


@pytest.mark.long
def test_three_levels_converge_to_the_structured_volumes():
    require_gmsh()
    column = build_column(["L1", "L2", "L3"])
    same = mesh_column(column, refinement=2.0).mesh

    errors = []
    for size in (4.0, 2.5):
        mesh = mesh_with_pygmsh(column, size_mm=size).mesh
        errors.append([abs(volume_of(mesh, v, BODY) / volume_of(same, v, BODY) - 1.0) for v in column.levels])

    assert max(errors[0]) < 0.005
    assert max(errors[1]) < 0.002
