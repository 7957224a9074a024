"""What is worked out once for a mesh: kept where only names change, never seen where the shape does."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import PatternedDensity, UniformDensity
from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.anatomy.quadrature import body_quadrature
from fesolver.bone.tissue import Region, Tissue
from fesolver.meshing.memo import Memo, content_digest
from fesolver.meshing.regions import cell_centroids, cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import StructuredMesh, mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.submesh import extract_body


@cache
def structured() -> StructuredMesh:
    return mesh_column(build_column(["L1", "L2"]), refinement=0.4)


def fresh(mesh: SpineMesh) -> SpineMesh:
    """The same mesh with nothing kept."""
    return replace(mesh, memo=Memo())


def tissue(mesh: SpineMesh) -> Tissue:
    return Tissue(np.full(len(mesh.cells), 0.1), "rho_qct", mesh.regions)


def with_cement(mesh: SpineMesh) -> SpineMesh:
    """Half of the trabecular bone of L1 under another name."""
    bone = mesh.regions["L1/trabecular"]
    part = Region(bone.cells, 0.5 * bone.fraction)
    return replace(mesh, regions={**mesh.regions, "L1/trabecular": part, "L1/cement": part})


def test_a_value_is_made_once_for_its_key_and_sources():
    memo, made = Memo(), []
    first, second = np.zeros(2), np.zeros(2)  # equal, and not the same

    for key, source in ((1, first), (1, first), (2, first), (1, second), (1, first)):
        memo.once("kind", key, partial(made.append, key), sources=(source,), size=3)

    assert made == [1, 2, 1]


def test_of_every_kind_the_value_asked_for_longest_ago_goes_first():
    memo, made = Memo(), []

    for key in (1, 2, 1, 3, 1, 2):
        memo.once("kind", key, partial(made.append, key), size=2)
        memo.once("other", 0, lambda: made.append("other"))

    assert made == [1, "other", 2, 3, 2]


def test_a_value_that_could_not_be_made_is_not_kept():
    memo = Memo()
    with pytest.raises(ZeroDivisionError):
        memo.once("kind", 1, lambda: 1 / 0)

    assert memo.once("kind", 1, lambda: 7.0) == 7.0


def test_digests_tell_arrays_of_other_type_shape_or_content_apart():
    arrays = [np.zeros(4), np.zeros(4, np.int64), np.zeros((2, 2)), np.array([0.0, 0, 0, 1]), np.zeros(0), np.zeros(3)]

    assert len({content_digest(a) for a in arrays}) == len(arrays)
    assert content_digest(np.arange(8)[::2]) == content_digest(np.array([0, 2, 4, 6]))


def test_volumes_are_worked_out_once_for_all_names_of_cells_and_again_for_moved_points():
    mesh = structured().mesh
    volumes = cell_volumes(mesh)
    moved = replace(mesh, points=2.0 * mesh.points)
    fewer = replace(mesh, cells=mesh.cells[:10])

    assert cell_volumes(with_cement(mesh)) is volumes
    assert cell_volumes(replace(mesh, frames={}, surfaces={})) is volumes
    # A factor of 2 changes no bit of a mantissa.
    assert_array_equal(cell_volumes(moved), 8.0 * volumes)
    assert_array_equal(cell_centroids(moved), 2.0 * cell_centroids(mesh))
    assert_array_equal(cell_volumes(fewer), volumes[:10])
    assert cell_volumes(replace(moved, points=mesh.points)) is not volumes
    assert_array_equal(cell_volumes(fresh(mesh)), volumes)


def test_what_is_shared_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        cell_volumes(structured().mesh)[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        body_quadrature(vertebra_dimensions("L1"))[1][0] = 1.0


def test_a_mesh_that_was_sent_to_another_process_keeps_nothing_and_goes_on():
    mesh = structured().mesh
    volumes = cell_volumes(mesh)
    sent = pickle.loads(pickle.dumps(mesh))

    assert_array_equal(cell_volumes(sent), volumes)
    assert cell_volumes(sent) is not volumes
    assert cell_volumes(replace(sent, regions={})) is cell_volumes(sent)


def test_a_body_is_cut_out_of_a_mesh_once_whatever_its_regions_are_called():
    mesh = fresh(structured().mesh)
    treated = with_cement(mesh)
    before, after = (extract_body(m, tissue(m), "L1")[0] for m in (mesh, treated))
    alone, _ = extract_body(fresh(treated), tissue(treated), "L1")

    assert after.points is before.points
    assert cell_volumes(after) is cell_volumes(before)
    assert set(after.regions) == {*before.regions, "L1/cement"}
    for name, region in alone.regions.items():
        assert_array_equal(after.regions[name].cells, region.cells)
        assert_array_equal(after.regions[name].fraction, region.fraction)
    for name in ("points", "cells"):
        assert_array_equal(getattr(after, name), getattr(alone, name))
    for name, surface in alone.surfaces.items():
        assert_array_equal(after.surfaces[name].facets, surface.facets)
    assert (after.levels, list(after.frames)) == (("L1",), ["L1"])


def test_a_body_of_other_cells_or_surfaces_is_cut_out_anew():
    mesh = fresh(structured().mesh)
    whole, _ = extract_body(mesh, tissue(mesh), "L1")
    bare = {name: region for name, region in mesh.regions.items() if name != "L1/cortical"}
    part, _ = extract_body(mesh, replace(tissue(mesh), regions=bare), "L1")
    closed, _ = extract_body(replace(mesh, surfaces={}), tissue(mesh), "L1")
    moved = replace(mesh, points=mesh.points + 1.0)
    shifted, _ = extract_body(moved, tissue(moved), "L1")

    left = {name: region.cells for name, region in bare.items() if name.startswith("L1/")}
    assert len(part.cells) == len(np.unique(np.concatenate(list(left.values()))))
    assert not closed.surfaces
    assert_array_equal(shifted.points, whole.points + 1.0)


def test_densities_of_bodies_do_not_depend_on_what_was_asked_before():
    fields = {"L1": PatternedDensity(0.08), "L2": PatternedDensity(0.10)}
    found = structured_tissue(structured(), fields)
    for _ in range(2):
        structured_tissue(structured(), UniformDensity(0.1))

    assert_array_equal(structured_tissue(structured(), fields).density, found.density)
    d = vertebra_dimensions("L1")
    wider = replace(d, superior_width_mm=d.superior_width_mm + 1.0)
    assert body_quadrature(wider)[2].sum() > body_quadrature(d)[2].sum()
    assert len(body_quadrature(d, radial=2)[2]) < len(body_quadrature(d)[2])
