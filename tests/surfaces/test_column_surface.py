"""Surfaces of parametric bodies, vertebrae and discs against the solids they bound."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from surface_samples import TURN, euler, is_closed, n_crossings, quality

from fesolver.anatomy.column import build_column
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.anatomy.posterior import arch_depth
from fesolver.anatomy.shape import body_coordinates, endplate_area
from fesolver.errors import InputError
from fesolver.meshing.regions import cell_moments
from fesolver.meshing.structured import mesh_column
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.column_disc import disc_surface
from fesolver.surfaces.from_column import body_surface, vertebra_surface
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, POSTERIOR, SUPERIOR_ENDPLATE

LEVELS = ("L1", "L2")


@pytest.fixture(scope="module")
def column():
    return build_column(LEVELS, sagittal_tilt_deg=12.0, coronal_tilt_deg=-7.0)


@pytest.fixture(scope="module")
def bodies(column):
    return {level: body_surface(column[level], edge_mm=1.5) for level in LEVELS}


@pytest.fixture(scope="module")
def vertebra(column):
    return vertebra_surface(column["L2"], edge_mm=2.5, longer_left_mm=8.0)


@pytest.fixture(scope="module")
def hexahedra(column):
    """Volumes by the quadratic hexahedra on the same map, mm3."""
    mesh = mesh_column(column, element="hex20").mesh
    volumes, _ = cell_moments(mesh)
    return {name: volumes[mesh.level_cells(name)].sum() for name in (*LEVELS, "L1-L2")}


@pytest.mark.parametrize("level", LEVELS)
def test_a_body_holds_what_the_hexahedra_hold(bodies, hexahedra, level):
    surface, _ = bodies[level]

    assert is_closed(surface)
    assert euler(surface) == 2
    assert n_crossings(surface) == 0
    assert quality(surface).min() > 0.4
    # Chords of 0.6 mm over radii of 17 mm and more cut off 0.6^2 / (8 * 17) on 2800 mm2: 0.03 %.
    assert surface.volume == pytest.approx(hexahedra[level], rel=5e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_points_of_a_body_lie_on_its_implicit_surface(bodies, column, level):
    surface, _ = bodies[level]

    depth = body_coordinates(column[level].frame.to_local(surface.points), column[level].dimensions).depth_mm

    # Half the height of a chord of 1.5 edges over the smallest radius, 8 mm at the posterior lobes.
    assert np.abs(depth).max() < 0.05


@pytest.mark.parametrize(("kind", "side"), [(SUPERIOR_ENDPLATE, "superior"), (INFERIOR_ENDPLATE, "inferior")])
def test_endplates_face_up_and_down_and_end_at_the_rims(bodies, column, kind, side):
    surface, kinds = bodies["L1"]
    vertebra = column["L1"]
    vectors = surface.area_vectors[kinds == kind].sum(axis=0)
    rim = np.intersect1d(surface.triangles[kinds == kind], surface.triangles[kinds == OUTER])
    at = body_coordinates(vertebra.frame.to_local(surface.points[rim]), vertebra.dimensions)

    # The flat of the rim plane has the footprint's area, whatever the hollow: the flux through a lid is the same.
    flux = vectors @ getattr(vertebra, f"{side}_normal")
    tilt = np.hypot(1.0, vertebra.dimensions.rim_slope)
    assert flux == pytest.approx(endplate_area(vertebra.dimensions, side) * tilt, rel=2e-3)
    assert_allclose(at.radius, 1.0, atol=1e-3)
    assert_allclose(np.abs(at.height), 1.0, atol=1e-3)


def test_a_vertebra_is_the_union_of_body_and_arch_around_one_canal(column, vertebra):
    surface, kinds = vertebra
    vertebra = column["L2"]
    step = 1.4
    # Turned off the flat faces of the processes, which a straight lattice meets or misses as a whole.
    around = np.arange(-85.0, 85.0, step)
    grid = np.stack(np.meshgrid(around, around, around, indexing="ij"), axis=-1).reshape(-1, 3) @ TURN
    grid = grid[(np.abs(grid - [0.0, 30.0, -5.0]) < [60.0, 55.0, 30.0]).all(axis=1)]
    body = body_coordinates(grid, vertebra.dimensions).depth_mm
    arch = arch_depth(grid, vertebra.dimensions, longer_left_mm=8.0)
    inside = np.maximum(body, arch) > 0

    assert is_closed(surface)
    assert euler(surface) == 0
    assert n_crossings(surface) == 0
    assert set(kinds) == {SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE, OUTER, POSTERIOR}
    assert quality(surface).min() > 0.2
    # Edges cut off by a step of 1.5 mm: 1.5^2 / 4 of area along some 400 mm of edges, 0.6 %; the counting's own 0.2 %.
    assert surface.volume == pytest.approx(np.count_nonzero(inside) * step**3, rel=0.008)
    local = vertebra.frame.to_local(surface.points)
    assert_allclose(local[:, 0].max() - 8.0, -local[:, 0].min(), atol=0.5)  # the mark is on the left
    assert vertebra.frame.to_local(surface.centers[kinds == POSTERIOR])[:, 1].mean() > 25.0


def test_every_kind_of_a_vertebra_is_one_patch(vertebra):
    surface, kinds = vertebra

    for kind in (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE, POSTERIOR):
        own = surface.triangles[kinds == kind]
        edges = np.sort(np.concatenate([own[:, [k, (k + 1) % 3]] for k in range(3)]), axis=1)
        _, counts = np.unique(edges, axis=0, return_counts=True)
        n_edges, n_points = len(counts), len(np.unique(own))
        # Euler's number: a disc has 1; pedicles, arch and canal are a handle with two borders at the body, -1 or so.
        assert n_points - n_edges + len(own) == (1 if kind != POSTERIOR else 0)


def test_a_disc_closes_the_gap_with_the_bodies_own_triangles(bodies, column, hexahedra):
    shape = DiscShape(column["L1"], column["L2"], column.discs[0])

    surface, kinds = disc_surface(shape, upper=bodies["L1"], lower=bodies["L2"], edge_mm=1.5)

    assert is_closed(surface)
    assert euler(surface) == 2
    assert n_crossings(surface) == 0
    assert quality(surface).min() > 0.4
    # The bulged wall's chords are 1.5 mm over radii of 17 mm around and 10 mm up: 0.04 mm on 900 mm2 of 10 000 mm3.
    assert surface.volume == pytest.approx(hexahedra["L1-L2"], rel=2e-3)
    for level, kind in (("L1", INFERIOR_ENDPLATE), ("L2", SUPERIOR_ENDPLATE)):
        body, body_kinds = bodies[level]
        own = surface.points[surface.triangles[kinds == kind]]
        theirs = body.points[body.triangles[body_kinds == kind]][:, ::-1]
        assert {t.tobytes() for t in own} == {np.ascontiguousarray(t).tobytes() for t in theirs}
    middle = 0.5 * (column["L1"].inferior_rim_centre + column["L2"].superior_rim_centre)
    assert ClosestPoint(surface).depth(middle[None])[0] > 2.0


def test_a_surface_that_is_no_parametric_body_makes_no_disc(bodies, column):
    shape = DiscShape(column["L1"], column["L2"], column.discs[0])
    surface, kinds = bodies["L2"]
    moved = TriangleSurface(surface.points * 1.2, surface.triangles)

    with pytest.raises(InputError, match="no endplate with one rim"):
        disc_surface(shape, upper=bodies["L1"], lower=(moved, kinds), edge_mm=1.5)


@pytest.mark.parametrize("edge", [0.0, 0.1, 20.0, np.nan])
def test_edges_that_are_none_for_a_vertebra_are_refused(column, edge):
    with pytest.raises(InputError, match="edge_mm"):
        body_surface(column["L1"], edge_mm=edge)
