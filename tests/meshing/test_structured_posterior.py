"""Posterior elements on structured meshes: shape, joints, ties to the body, clearance between levels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import UniformDensity
from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.anatomy.facet_joints import facet_joints
from fesolver.anatomy.posterior_hexahedra import posterior_blocks
from fesolver.bone.cartilage import CARTILAGE_LAYERS_MM
from fesolver.connections.facet_joints import connect_facets
from fesolver.errors import InputError
from fesolver.fem.connections import check_connections, connection_set
from fesolver.fem.elements import shape_functions
from fesolver.fem.problem import Elasticity, Problem
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.regions import facet_vectors, region_volume
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_posterior import add_posterior, extend_tissue
from fesolver.meshing.structured_tissue import structured_tissue

SPIN = np.array([[0.0, -0.3, 0.2], [0.3, 0.0, -0.5], [-0.2, 0.5, 0.0]])
TETRAHEDRA = np.array([[0, 1, 2, 6], [0, 2, 3, 6], [0, 3, 7, 6], [0, 7, 4, 6], [0, 4, 5, 6], [0, 5, 1, 6]])


@pytest.fixture(scope="module")
def plain():
    return mesh_column(build_column(["L1", "L2", "L3"]), refinement=0.6)


@pytest.fixture(scope="module")
def arched(plain):
    return add_posterior(plain)


def posterior_points(mesh, level):
    return np.unique(mesh.cells[mesh.regions[f"{level}/posterior"].cells])


def samples_inside(mesh, cells, places):
    """How many places lie in any of some hexahedra, each cut into six tetrahedra."""
    every = mesh.points[mesh.cells[cells]]
    low, high = every.min(axis=1), every.max(axis=1)
    places = places[np.all((places >= low.min(axis=0)) & (places <= high.max(axis=0)), axis=1)]
    found = np.zeros(len(places), dtype=bool)
    for nodes, a, b in zip(every, low, high, strict=True):
        near = np.flatnonzero(np.all((places >= a) & (places <= b), axis=1))
        if not len(near):
            continue
        t = nodes[TETRAHEDRA]
        inverse = np.linalg.inv(np.swapaxes(t[:, 1:] - t[:, :1], 1, 2))
        local = np.einsum("tij,ptj->pti", inverse, places[near][:, None] - t[:, 0])
        found[near] |= np.any((local > -1e-9).all(axis=2) & (local.sum(axis=2) < 1.0 + 1e-9), axis=1)
    return int(found.sum())


def test_what_was_there_keeps_its_numbers(plain, arched):
    n, m = len(plain.mesh.points), len(plain.mesh.cells)

    assert np.array_equal(arched.mesh.points[:n], plain.mesh.points)
    assert np.array_equal(arched.mesh.cells[:m], plain.mesh.cells)
    assert {name for name in arched.mesh.regions if name not in plain.mesh.regions} == {
        f"{level}/posterior" for level in ("L1", "L2", "L3")
    }
    covered = sum(region.fraction.sum() for region in arched.mesh.regions.values())
    assert covered == len(arched.mesh.cells)


def test_levels_share_no_points_with_each_other_or_with_bodies(plain, arched):
    own = [set(posterior_points(arched.mesh, level)) for level in ("L1", "L2", "L3")]

    assert not (own[0] & own[1]) | (own[1] & own[2])
    assert min(map(min, own)) >= len(plain.mesh.points)
    assert set().union(*own) == set(range(len(plain.mesh.points), len(arched.mesh.points)))


@pytest.mark.parametrize("levels", [("T10", "T11", "T12", "L1"), ("L1", "L2", "L3", "L4", "L5")])
def test_every_published_level_has_clean_cells_clear_of_its_neighbours(levels):
    """Clearance by 64 places in every cell, its corners included; the facing bones stand a gap and two layers apart."""
    plain = mesh_column(build_column(levels), refinement=0.4)
    mesh = add_posterior(plain).mesh
    quality = mesh_quality(mesh.points, mesh.cells).scaled_jacobian
    grid = np.linspace(-1.0, 1.0, 4)
    xi = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    own = {level: mesh.regions[f"{level}/posterior"].cells for level in levels}
    places = {
        level: (shape_functions("hex8", xi) @ mesh.points[mesh.cells[own[level]]]).reshape(-1, 3) for level in levels
    }

    for upper, lower in pairwise(levels):
        assert samples_inside(mesh, own[lower], places[upper]) == 0
        assert samples_inside(mesh, own[upper], places[lower]) == 0
        for level, other in ((upper, lower), (lower, upper)):
            around = np.concatenate([plain.mesh.level_cells(name) for name in (other, f"{upper}-{lower}")])
            assert samples_inside(mesh, around, places[level]) == 0
    assert all(quality[cells].min() > 0.12 for cells in own.values())


def test_left_and_right_are_mirror_images():
    mesh = add_posterior(mesh_column(build_column(["L2"]), refinement=0.6)).mesh
    at = mesh.points[posterior_points(mesh, "L2")]
    mirrored = at * [-1.0, 1.0, 1.0]
    apart = np.linalg.norm(at[:, None] - mirrored[None], axis=-1).min(axis=1)

    assert_allclose(apart, 0.0, atol=1e-9)


def test_articular_bone_faces_the_joint_at_half_a_gap_and_one_layer(arched):
    half = 0.5 * (0.4 + CARTILAGE_LAYERS_MM)
    for joint in arched.joints:
        for level, process, sign in ((joint.lower, "superior", -1.0), (joint.upper, "inferior", 1.0)):
            facets = arched.articular[f"{level}/{process}_{joint.side}"]
            area = facet_vectors(arched.mesh.points, facets).sum(axis=0)

            assert_allclose((arched.mesh.points[facets] - joint.center) @ joint.normal, sign * half, atol=1e-9)
            assert_allclose(area / np.linalg.norm(area), -sign * joint.normal, atol=1e-9)
    assert not [name for name in arched.articular if name.startswith(("L1/superior", "L3/inferior"))]


def test_a_rigid_motion_of_a_body_is_that_of_its_arch(plain, arched):
    """Ties pass translations and turns: the root of every pedicle moves as the wall below it."""
    mesh = arched.mesh
    motion = (np.array([0.2, -0.5, 0.1]) + mesh.points @ SPIN.T).ravel()
    slaves = {tie.dof // 3 for tie in arched.ties}

    for tie in arched.ties:
        assert tie.weights @ motion[tie.masters] == pytest.approx(motion[tie.dof], abs=1e-9)
        assert np.all(tie.masters < 3 * len(plain.mesh.points))
    for level in mesh.levels:
        roots = np.array(sorted(slaves & set(posterior_points(mesh, level))))
        x, y, z = mesh.frames[level].to_local(mesh.points[roots]).T
        assert np.sum(x > 0.0) == np.sum(x < 0.0) == 3 * 4
        assert y.min() > 5.0
        assert abs(z.mean()) < 5.0


def test_roots_lie_on_the_wall_with_the_pedicles_size(plain):
    d = vertebra_dimensions("L2")
    blocks = posterior_blocks(d, lambda places: 15.0 - 0.01 * places[:, 0] ** 2)
    at = blocks.points[np.unique(blocks.roots)]
    normal = facet_vectors(blocks.points, blocks.roots)

    assert_allclose(at[:, 1], 15.0 - 0.01 * at[:, 0] ** 2)
    assert np.all(normal[:, 1] < 0.0)
    # Projected along y: two pedicles, their width times their height less what their convergence takes.
    assert -normal[:, 1].sum() == pytest.approx(2.0 * d.pedicle_width_mm * 0.6 * d.posterior_height_mm, rel=1e-9)


def test_volume_is_that_of_an_arch(plain, arched):
    """Posterior elements hold about a quarter to a half of a lumbar body's volume: 6 to 13 of 25 cm3."""
    assert 6e3 < region_volume(arched.mesh, "L2/posterior") < 13e3


def test_finer_blocks_have_the_same_shape():
    structured = mesh_column(build_column(["L1", "L2"]), refinement=0.6)
    volumes = [region_volume(add_posterior(structured, subdivision=k).mesh, "L1/posterior") for k in (1, 2)]

    # Chords of 16 to 34 degrees cut the laminae short.
    assert volumes[1] == pytest.approx(volumes[0], rel=0.04)


def test_contact_pulls_at_the_processes_and_no_rigid_motion_excites_it(arched):
    mesh = arched.mesh
    contacts = connect_facets(mesh, arched.joints)
    n = len(mesh.cells)
    problem = Problem(mesh.points, mesh.cells, Elasticity(np.ones(n), np.zeros(n)), connections=contacts)
    rows = connection_set(problem).matrix

    check_connections(problem)
    assert_allclose(rows @ (mesh.points @ SPIN.T).ravel(), 0.0, atol=1e-11)
    for joint, contact in zip(arched.joints, contacts, strict=True):
        sides = [mesh.regions[f"{level}/posterior"].cells for level in (joint.upper, joint.lower)]
        assert np.isin(contact.owners, np.concatenate(sides)).all()


def test_quadratic_bodies_get_quadratic_arches():
    arched = add_posterior(mesh_column(build_column(["L1", "L2"]), refinement=0.5, element="hex20"))
    mesh = arched.mesh

    assert mesh.cells.shape[1] == 20
    assert mesh.regions["L1/posterior"].cells.max() < len(mesh.cells)
    motion = (mesh.points @ SPIN.T).ravel()
    for tie in arched.ties:
        assert tie.weights @ motion[tie.masters] == pytest.approx(motion[tie.dof], abs=1e-9)


def test_tissue_follows(plain, arched):
    before = structured_tissue(plain, UniformDensity(0.1))
    tissue = extend_tissue(before, arched.mesh, density=0.25)

    assert tissue.density.shape == (len(arched.mesh.cells),)
    assert np.array_equal(tissue.density[: len(before.density)], before.density)
    assert set(tissue.density[arched.mesh.regions["L2/posterior"].cells]) == {0.25}
    assert tissue.axes is before.axes


def test_wrong_uses_are_named(plain, arched):
    joints = facet_joints(plain.column, frame=plain.mesh.frame)
    with pytest.raises(InputError, match="has posterior elements already"):
        add_posterior(arched.structured)
    with pytest.raises(InputError, match="facet joints are given for L1-L2/left, L1-L2/right"):
        add_posterior(plain, joints[:2])
    with pytest.raises(InputError, match="subdivision = 0"):
        add_posterior(plain, subdivision=0)
    with pytest.raises(InputError, match="cartilage thickness = -1 mm"):
        add_posterior(plain, cartilage_mm=-1)
    with pytest.raises(InputError, match="3 cells, the tissue"):
        extend_tissue(structured_tissue(plain, UniformDensity(0.1)), replace(plain.mesh, cells=plain.mesh.cells[:3]))


def test_pedicles_that_do_not_fit_the_body_are_refused():
    structured = mesh_column(build_column(["L1"]), refinement=0.5)
    higher = {"posterior_height_mm": 48.0, "anterior_height_mm": 47.0, "pedicle_height_mm": 25.0}
    narrow = vertebra_dimensions("L1", superior_width_mm=17.0, inferior_width_mm=17.0)

    with pytest.raises(InputError, match="does not stand on the posterior wall"):
        add_posterior(replace(structured, column=build_column(["L1"], dimensions={"L1": higher})))
    with pytest.raises(InputError, match="pedicles of L1 meet in front of the canal"):
        posterior_blocks(narrow, lambda places: 15.0 - 0.01 * places[:, 0] ** 2)
