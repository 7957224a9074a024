"""Parts of structured segments: annulus axes, densities, fluid nucleus, layers left out, frames, bad geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import UniformDensity
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.fem.cavity import enclosed_volume
from fesolver.meshing.regions import cell_moments, cell_volumes, depth_below, facet_vectors, region_volume
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.submesh import extract_body, without_nuclei

THREE = ("T12", "L1", "L2")


@cache
def segment(levels=THREE, refinement=0.6, element="hex8", **options):
    return mesh_column(build_column(levels), refinement=refinement, element=element, **options)


@dataclass(frozen=True)
class Field:
    """A density that is any function of the body frame's points."""

    value: object
    kind: str = "rho_qct"

    def at(self, points, dimensions):
        return self.value(points)


def bulging():
    return build_column(THREE, discs={"L1-L2": {"bulge_mm": 2.0, "nucleus_posterior_mm": 1.5}})


def test_annulus_axes_are_those_of_the_disc_shape():
    column = bulging()
    structured = mesh_column(column)
    mesh = structured.mesh
    axes = structured.annulus_axes["L1-L2/annulus"]
    shape = DiscShape(column["L1"], column["L2"], column.discs[1])
    section, n_layers = structured.counts.section, structured.counts.disc
    around, rings = section.around, section.annulus + section.shell
    # Corners of the outermost columns, (layers, around, 8, 3).
    columns = mesh.points[mesh.cells[mesh.regions["L1-L2/annulus"].cells]].reshape(n_layers, rings, around, 8, 3)[:, -1]
    height = columns.mean(axis=2) @ mesh.frames["L1-L2"].axes[2]
    low, high = (c.mean(axis=1) @ mesh.frames["L1-L2"].axes[2] for c in (columns[0, :, :4], columns[-1, :, 4:]))
    s = 2.0 * (height - low) / (high - low) - 1.0
    angle = np.broadcast_to(-0.75 * np.pi + (np.arange(around) + 0.5) * 2.0 * np.pi / around, s.shape)
    expected = mesh.frame.vectors_to_local(
        shape.annulus_axes(0.99 * np.cos(angle).ravel(), 0.99 * np.sin(angle).ravel(), s.ravel())
    ).reshape(n_layers, around, 3, 3)
    cosines = np.sum(axes.reshape(n_layers, rings, around, 3, 3)[:, -1] * expected, axis=-1)

    # Flat cells against the curved shape at their middles; the shape's axial direction follows its own meridian, and
    # the mesh's the disc's axis, a turn within the lamella.
    assert cosines.min() > np.cos(np.deg2rad(6.0))
    assert cosines[..., 1].min() > np.cos(np.deg2rad(3.0))


def test_annulus_axes_are_right_handed_and_run_clockwise_seen_from_above():
    structured = segment()
    mesh = structured.mesh
    for name, axes in structured.annulus_axes.items():
        assert_allclose(axes @ axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), axes.shape), atol=1e-12)
        assert_allclose(np.linalg.det(axes), 1.0, atol=1e-12)
        arm = cell_moments(mesh)[1][mesh.regions[name].cells] - mesh.frames[name.split("/")[0]].origin
        assert np.all(np.einsum("ni,ni->n", arm, axes[:, 1]) > 0.0)
        assert np.all(np.cross(arm, axes[:, 0])[:, 2] < 0.0)
        assert np.all(axes[:, 2, 2] > 0.9)


def test_ring_lines_go_from_one_disc_to_the_next_through_a_body():
    discs = {"T12-L1": {"nucleus_posterior_mm": 2.0}, "L1-L2": {"nucleus_posterior_mm": -2.0}}
    shifted, plain = mesh_column(build_column(THREE, discs=discs), refinement=0.6), segment()
    section = plain.counts.section
    inside = np.arange(section.core**2 + section.around * section.nucleus)

    def moved(side):
        """How far to posterior the facets over the nucleus went, mm, against concentric ones."""
        middle = []
        for structured in (shifted, plain):
            surface = structured.mesh.surfaces[f"L1/{side}_endplate"]
            areas, facets = surface.areas[inside], surface.facets[inside]
            centre = areas @ structured.mesh.points[facets].mean(axis=1) / areas.sum()
            middle.append(structured.column["L1"].frame.to_local(structured.mesh.frame.to_parent(centre))[1])
        return middle[0] - middle[1]

    # Shifts in mm hold on the midline; off it the kidney's sections are shorter by up to a fifth.
    assert_allclose(moved("superior"), 2.0, atol=0.4)
    assert_allclose(moved("inferior"), -2.0, atol=0.4)


def test_the_outer_ring_of_a_disc_goes_from_one_shell_to_the_other():
    column = build_column(("L1", "L2"), dimensions={"L1": {"shell_thickness_mm": 2.0}})
    structured = mesh_column(column)
    mesh, section = structured.mesh, structured.counts.section
    shape = (structured.counts.disc, section.annulus + section.shell, section.around, 8, 3)
    outer = mesh.points[mesh.cells[mesh.regions["L1-L2/annulus"].cells]].reshape(shape)[:, -1]
    # Corners 0 and 1 of a cell are its inner and outer ones below, 4 and 5 above.
    width = [np.linalg.norm(outer[layer, :, k + 1] - outer[layer, :, k], axis=1) for layer, k in ((0, 0), (-1, 4))]

    # Walls lean by 13 to 19 degrees at the rims, for their waist: in the endplate a shell is 1.03 to 1.06 times wider,
    # and rays are not quite normal to the kidney.
    assert_allclose(np.median(width[0]), 1.04 * 0.35, rtol=0.05)
    assert_allclose(np.median(width[1]), 1.04 * 2.0, rtol=0.05)
    middle = np.linalg.norm(outer[structured.counts.disc // 2, :, 1] - outer[structured.counts.disc // 2, :, 0], axis=1)
    assert_allclose(np.median(middle), 1.04 * 0.5 * (0.35 + 2.0), rtol=0.05)
    # Layer by layer: no line jumps back at either end.
    steps = np.diff(np.linalg.norm(outer[:, :, 1] - outer[:, :, 0], axis=2), axis=0)
    assert np.all(steps > 0.0)


def test_annulus_depth_runs_from_the_nucleus_outwards():
    structured = segment(THREE, 1.0)
    section = structured.counts.section
    depth = structured.annulus_depth["L1-L2/annulus"].reshape(structured.counts.disc, -1, section.around)

    assert depth.shape[1] == section.annulus + section.shell == 6
    assert depth.min() > 0.0
    assert depth.max() < 1.0
    assert np.all(np.diff(depth, axis=1) > 0.0)
    # The outermost ring is the shell's, 0.35 mm of about 7: its middle is 0.175 mm from the outline.
    assert_allclose(depth[:, -1].mean(), 1.0 - 0.175 / 7.0, atol=0.01)


def test_a_linear_density_is_taken_at_centroids_and_a_quadratic_one_is_not():
    structured = segment()
    mesh = structured.mesh
    slopes = np.array([2e-3, -3e-3, 1e-3])
    tissue = structured_tissue(structured, {level: Field(lambda p: 0.2 + p @ slopes) for level in THREE})

    own = mesh.level_cells("L1")
    local = structured.column["L1"].frame.to_local(mesh.frame.to_parent(cell_moments(mesh)[1][own]))
    assert_allclose(tissue.density[own], 0.2 + local @ slopes, rtol=1e-9)

    square = structured_tissue(structured, Field(lambda p: 1e-3 * p[:, 2] ** 2))
    # Mean of z^2 over a slab of height h is its centre's plus h^2 / 12.
    heights = np.ptp(mesh.points[mesh.cells[own]][:, [0, 4], 2], axis=1)
    excess = square.density[own] / 1e-3 - local[:, 2] ** 2
    assert_allclose(np.sum(excess), np.sum(heights**2) / 12.0, rtol=0.05)


def test_tissue_is_zero_in_discs_and_takes_any_field_of_one_kind():
    structured = segment()
    tissue = structured_tissue(structured, UniformDensity(0.1))

    is_disc = np.zeros(len(tissue.density), dtype=bool)
    for name in ("T12-L1", "L1-L2"):
        is_disc[structured.mesh.level_cells(name)] = True
    assert_array_equal(tissue.density[is_disc], 0.0)
    assert_allclose(tissue.density[~is_disc], 0.1, rtol=1e-12)
    assert set(tissue.axes) == {"T12-L1/annulus", "L1-L2/annulus"}

    with pytest.raises(InputError, match="densities are given for L1"):
        structured_tissue(structured, {"L1": UniformDensity(0.1)})
    mixed = {"T12": UniformDensity(0.1), "L1": UniformDensity(0.1, "rho_app"), "L2": UniformDensity(0.1)}
    with pytest.raises(InputError, match="different kinds"):
        structured_tissue(structured, mixed)
    with pytest.raises(InputError, match="-1 g/cm3"):
        structured_tissue(structured, Field(lambda p: np.where(p[:, 0] > 15.0, -1.0, 0.1)))


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_a_cavity_has_the_volume_of_the_nucleus_and_a_closed_wall(element):
    mesh = segment(THREE, 0.6, element).mesh
    opened = without_nuclei(mesh, ["L1-L2"])
    facets, points = opened.cavities[0].facets, opened.mesh.points
    vectors = facet_vectors(points, facets)
    centre = points[facets].mean(axis=(0, 1))

    assert_allclose(vectors.sum(axis=0), 0.0, atol=1e-9)
    assert np.all(np.einsum("ni,ni->n", vectors, points[facets].mean(axis=1) - centre) > 0.0)
    # Volume is a third of the flux of x; facet means for x are off by the facets' curvature alone.
    flux = np.einsum("ni,ni->n", vectors, points[facets[:, :4]].mean(axis=1) - centre).sum() / 3.0
    assert_allclose(flux, region_volume(mesh, "L1-L2/nucleus"), rtol=1e-3 if element == "hex8" else 1e-2)
    assert_allclose(points[opened.mesh.cells], mesh.points[mesh.cells[opened.cells]], rtol=0, atol=0)
    assert "L1-L2/nucleus" not in opened.mesh.regions
    n_cells = len(opened.mesh.cells)
    assert_array_equal(sum(r.dense(n_cells) for r in opened.mesh.regions.values()), 1.0)
    endplate = opened.mesh.surfaces["L2/superior_endplate"]
    assert_allclose(facet_vectors(points, endplate.facets), endplate.areas[:, None] * endplate.normals, atol=1e-12)


def test_the_tissue_of_an_opened_mesh_is_that_of_its_cells():
    structured = segment()
    tissue = structured_tissue(structured, Field(lambda p: 0.2 + 1e-3 * p[:, 2]))
    opened = without_nuclei(structured.mesh, ["T12-L1"], bulk_modulus=2000.0)
    left = opened.tissue(tissue)

    assert_array_equal(left.density, tissue.density[opened.cells])
    assert opened.cavities[0].bulk_modulus == 2000.0
    assert_array_equal(opened.cells[left.regions["T12-L1/annulus"].cells], tissue.regions["T12-L1/annulus"].cells)
    assert_array_equal(left.axes["T12-L1/annulus"], tissue.axes["T12-L1/annulus"])


def test_a_mesh_without_that_nucleus_is_refused():
    mesh = segment().mesh
    with pytest.raises(InputError, match=r"no region 'L3-L4/nucleus'(.|\n)*L1-L2, T12-L1"):
        without_nuclei(mesh, ["L3-L4"])
    with pytest.raises(InputError, match="bulk_modulus must be positive"):
        without_nuclei(mesh, ["L1-L2"], bulk_modulus=0.0)


def test_all_nuclei_go_at_once_and_each_leaves_a_wall_of_its_own_volume():
    mesh = segment().mesh
    opened = without_nuclei(mesh)

    assert [cavity.name for cavity in opened.cavities] == ["T12-L1/nucleus", "L1-L2/nucleus"]
    assert not any(name.endswith("/nucleus") for name in opened.mesh.regions)
    for cavity in opened.cavities:
        # Facets are warped quadrilaterals of both sides alike: the volume of the hole is that of the cells.
        assert_allclose(
            enclosed_volume(opened.mesh.points, cavity.facets), region_volume(mesh, cavity.name), rtol=1e-12
        )


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_a_body_is_taken_out_of_any_mesh(element):
    structured = segment(THREE, 0.6, element)
    mesh = structured.mesh
    tissue = Tissue(np.arange(len(mesh.cells), dtype=float), "rho_qct", mesh.regions)
    body, own = extract_body(mesh, tissue, "L1")

    assert body.element == element
    assert_array_equal(own.density, mesh.level_cells("L1"))
    assert_allclose(cell_volumes(body), cell_volumes(mesh)[mesh.level_cells("L1")], rtol=1e-12)
    assert set(body.surfaces) == {f"L1/{s}" for s in ("superior_endplate", "inferior_endplate", "outer")}
    outer = body.surfaces["L1/outer"]
    assert_allclose(facet_vectors(body.points, outer.facets), outer.areas[:, None] * outer.normals, atol=1e-12)


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_depth_below_an_endplate_is_half_the_thickness_in_its_layer(element):
    mesh = segment(THREE, 1.0, element).mesh
    cells = mesh.regions["L1/superior_endplate"].cells
    depth, facet = depth_below(mesh, "L1/superior_endplate", cells)

    # Facets are flat between nodes of a hollow surface: 3 mm chords of a radius of 30 mm and more stand off by 0.02 mm.
    assert_allclose(depth, 0.175, atol=0.02)
    assert_array_equal(mesh.surfaces["L1/superior_endplate"].cells[facet], cells)


def test_frames_stand_on_centroids_and_along_endplates():
    structured = segment(THREE, 1.0)
    mesh = structured.mesh
    volume, centroid = cell_moments(mesh)
    for name, frame in mesh.frames.items():
        own = mesh.level_cells(name)
        assert_allclose(frame.origin, volume[own] @ centroid[own] / volume[own].sum(), atol=1e-12)
        assert frame.axes[2, 2] > 0.9
        assert frame.axes[0, 0] > 0.999
    column = structured.column
    # Vector areas of endplates follow from their plane rims: the disc's axis is the bisector of the rim planes.
    normal = mesh.frame.vectors_to_local(column["L2"].superior_normal - column["L1"].inferior_normal)
    assert_allclose(mesh.frames["L1-L2"].axes[2], normal / np.linalg.norm(normal), atol=1e-9)
    assert_allclose(
        mesh.points[np.unique(mesh.surfaces["L2/inferior_endplate"].facets)].mean(axis=0)[:2], 0.0, atol=2.0
    )


def test_a_thickness_of_zero_leaves_the_layer_out_and_keeps_the_cells():
    full, bare = segment(), segment(THREE, 0.6, cortical_thickness_mm=0.0, endplate_thickness_mm=0.0)

    assert {name.split("/")[1] for name in bare.mesh.regions} == {"trabecular", "nucleus", "annulus"}
    assert_array_equal(bare.mesh.cells, full.mesh.cells)
    assert_allclose(bare.mesh.points, full.mesh.points, atol=1e-12)
    assert_array_equal(bare.mesh.regions["L1/trabecular"].cells, full.mesh.level_cells("L1"))


def test_layer_cells_divide_the_layers_and_nothing_else():
    one, two = segment(), segment(THREE, 0.6, layer_cells=3)

    assert (one.counts.endplate, two.counts.endplate) == (1, 2)
    for name in ("L1/cortical", "L1/superior_endplate"):
        assert_allclose(region_volume(two.mesh, name), region_volume(one.mesh, name), rtol=5e-3)
