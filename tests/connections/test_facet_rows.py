"""Facet contact on meshes: rigid motions, closing, force law, statics, and how arches follow their bodies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.column import build_column
from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.anatomy.facet_joints import facet_joints
from fesolver.bone.cartilage import Cartilage
from fesolver.bone.tissue import Region
from fesolver.connections.facet_joints import connect_facets, contact_stiffness, facet_force, facet_name
from fesolver.connections.posterior_links import pedicle_footprint, pedicle_patch, posterior_attachment
from fesolver.errors import InputError
from fesolver.fem.connections import check_connections, connection_set, law_force
from fesolver.fem.problem import Elasticity, Problem
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import mesh_column

SPIN = np.array([[0.0, -0.3, 0.2], [0.3, 0.0, -0.5], [-0.2, 0.5, 0.0]])
GRADIENT = np.array([[0.1, -0.3, 0.2], [0.4, 0.2, -0.5], [-0.1, 0.3, 0.15]])


def with_process(mesh: SpineMesh, level: str, at: np.ndarray) -> SpineMesh:
    """The mesh and a loose cube of 6 mm as posterior element of a level, about a place."""
    corners = np.array([[x, y, z] for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))], dtype=float)
    cube = np.arange(8)[None] + len(mesh.points)
    own = Region(np.array([len(mesh.cells)]), np.ones(1))
    return replace(
        mesh,
        points=np.concatenate([mesh.points, at + 6.0 * (corners - 0.5)]),
        cells=np.concatenate([mesh.cells, cube]),
        regions={**mesh.regions, f"{level}/posterior": own},
    )


@pytest.fixture(scope="module")
def structured():
    return mesh_column(build_column(["L1", "L2"]), refinement=0.6)


@pytest.fixture(scope="module")
def joints(structured):
    return facet_joints(structured.column, frame=structured.mesh.frame)


@pytest.fixture(scope="module", params=["pedicles", "own cells", "quadratic"])
def mesh(request, structured, joints):
    if request.param == "quadratic":
        return second_order(structured.mesh)
    if request.param == "own cells":
        return with_process(structured.mesh, "L1", joints[0].center)
    return structured.mesh


def problem_of(mesh, connections):
    n = len(mesh.cells)
    constants = Elasticity(np.ones(n), np.zeros(n))
    return Problem(mesh.points, mesh.cells, constants, element=mesh.element, connections=connections)


def of_level(mesh, level):
    """Points of the cells of one level."""
    own = np.zeros(len(mesh.points), dtype=bool)
    own[mesh.cells[mesh.level_cells(level)]] = True
    return own


def test_rigid_motions_of_the_segment_do_not_stretch_any_patch(mesh, joints):
    contacts = connect_facets(mesh, joints)
    rows = connection_set(problem_of(mesh, contacts)).matrix

    check_connections(problem_of(mesh, contacts))
    for u in (*(np.tile(axis, (len(mesh.points), 1)) for axis in np.eye(3)), mesh.points @ SPIN.T):
        # Round-off of displacements of up to 30 mm.
        assert_allclose(rows @ u.ravel(), 0.0, atol=1e-12)


def test_a_rigid_motion_of_the_upper_vertebra_closes_the_joint_by_its_normal_part(mesh, joints):
    contacts = connect_facets(mesh, joints, points_per_side=3)
    motion = np.array([0.2, -0.5, 0.1]) + mesh.points @ SPIN.T
    u = np.where(of_level(mesh, "L1")[:, None], motion, 0.0)

    for joint, contact in zip(joints, contacts, strict=True):
        rows = connection_set(problem_of(mesh, (contact,))).matrix
        expected = (np.array([0.2, -0.5, 0.1]) + joint.contact_points(3) @ SPIN.T) @ joint.normal

        assert_allclose(rows @ u.ravel(), expected, atol=1e-12)
        # The lower vertebra's motion counts the other way.
        assert_allclose(rows @ (motion - u).ravel(), -expected, atol=1e-12)


def test_the_law_pushes_once_the_gap_is_closed(structured, joints):
    joint = replace(joints[0], gap_mm=0.5)
    (contact,) = connect_facets(structured.mesh, [joint], cartilage=Cartilage(10.0, 0.4), thickness_mm=2.0)
    at = np.array([1.0, 0.0, -0.5, -0.7])
    # 10 MPa confined at nu 0.4 is 10 * 0.6 / (1.4 * 0.2) MPa; 16 patches share the ellipse.
    k = (6.0 / 0.28) * (np.pi / 4 * joint.width_mm * joint.height_mm / 16) / 2.0

    for element in range(contact.count):
        laws = (np.repeat(x[element : element + 1], 4, axis=0) for x in (contact.breaks, contact.stiffness))
        assert_allclose(law_force(*laws, np.zeros(4), at), [0.0, 0.0, 0.0, -0.2 * k], rtol=1e-12)
    assert_allclose(contact.force_at_break, 0.0)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_patches_together_have_the_stiffness_of_the_whole_layer(joints, n):
    k = contact_stiffness(joints[0], cartilage=Cartilage(24.0, 0.3), thickness_mm=1.6, points_per_side=n)

    assert n * n * k == pytest.approx(24.0 * 0.7 / (1.3 * 0.4) * joints[0].area_mm2 / 1.6)


def test_forces_on_the_two_vertebrae_cancel_in_force_and_moment(mesh, joints):
    contact = connect_facets(mesh, joints)[0]
    rows = np.repeat(np.arange(contact.count), np.diff(contact.starts))
    is_upper = np.isin(contact.owners, mesh.level_cells("L1"))

    assert np.isin(contact.owners, np.concatenate([mesh.level_cells("L1"), mesh.level_cells("L2")])).all()
    for element in range(contact.count):
        own = rows == element
        arm = mesh.points[contact.points] - joints[0].contact_points(4)[element]
        for side, sign in ((own & is_upper, 1.0), (own & ~is_upper, -1.0)):
            assert_allclose(contact.weights[side].sum(axis=0), sign * joints[0].normal, atol=1e-13)
            # Moment about the patch, of arms of up to 60 mm.
            assert_allclose(np.cross(arm[side], contact.weights[side]).sum(axis=0), 0.0, atol=1e-11)


def test_names_and_order_follow_the_joints(structured, joints):
    contacts = connect_facets(structured.mesh, joints[::-1])

    assert [c.name for c in contacts] == ["L1-L2/facet_right", "L1-L2/facet_left"]
    assert [facet_name(joint) for joint in joints] == ["L1-L2/facet_left", "L1-L2/facet_right"]


def test_the_resultant_acts_along_the_normal_at_the_centre_of_pressure(joints):
    joint = joints[0]
    force = np.zeros(16)
    force[[2, 9]] = [-10.0, -30.0]
    result = facet_force(joint, force)

    assert_allclose(result.force, 40.0 * joint.normal)
    assert result.magnitude == pytest.approx(40.0)
    at = joint.contact_points(4)
    assert_allclose(result.center_of_pressure, 0.25 * at[2] + 0.75 * at[9])
    assert result.contact_area == pytest.approx(joint.area_mm2 / 8.0)
    assert result.peak_pressure == pytest.approx(30.0 * 16 / joint.area_mm2)
    assert facet_force(joint, np.zeros(4)).center_of_pressure is None


def test_a_place_in_posterior_cells_is_embedded_there_and_one_afar_follows_the_pedicles(structured, joints):
    mesh = with_process(structured.mesh, "L1", joints[0].center)
    cube = len(mesh.cells) - 1

    place = joints[0].center + np.array([1.0, 2.0, -0.5])
    inside = posterior_attachment(mesh, "L1", place)
    afar = posterior_attachment(mesh, "L1", joints[1].center)

    assert set(inside.owners) == {cube}
    displaced = np.einsum("kij,kj->i", inside.weights, mesh.points[inside.points] @ GRADIENT.T)
    assert_allclose(displaced, GRADIENT @ place, atol=1e-13)
    assert set(afar.points) == set(pedicle_patch(structured.mesh, "L1"))


def test_owners_hold_their_points_and_belong_to_the_body(structured):
    mesh = structured.mesh
    link = posterior_attachment(mesh, "L2", [0.0, 40.0, 0.0])

    assert all(point in mesh.cells[owner] for point, owner in zip(link.points, link.owners, strict=True))
    assert np.isin(link.owners, mesh.level_cells("L2")).all()


@pytest.mark.parametrize("known", [True, False], ids=["dimensions", "proportions"])
def test_pedicles_stand_left_and_right_on_the_upper_half_of_the_posterior_wall(known):
    structured = mesh_column(build_column(["L3"]), refinement=1.0)
    mesh = structured.mesh
    footprint = pedicle_footprint(vertebra_dimensions("L3")) if known else None
    x, y, z = mesh.frames["L3"].to_local(mesh.points[pedicle_patch(mesh, "L3", footprint)]).T

    assert np.sum(x > 0.0) == np.sum(x < 0.0) >= 4
    assert np.abs(x).min() > 9.0
    assert y.min() > 0.0
    assert z.mean() > 0.0
    assert set(np.round(np.abs(x), 6)) == set(np.round(x[x > 0.0], 6))


def test_the_patch_counts_points_by_the_wall_they_stand_for(structured):
    """A linear field on a graded wall: the place at the area's centroid moves as the wall's mean, not the points'."""
    mesh = structured.mesh
    ids = pedicle_patch(mesh, "L1")
    surface = mesh.surfaces["L1/outer"]
    share = np.array([sum(a / 4 for f, a in zip(surface.facets, surface.areas, strict=True) if i in f) for i in ids])
    centroid = share @ mesh.points[ids] / share.sum()
    link = posterior_attachment(mesh, "L1", centroid)

    moved = np.einsum("kij,kj->i", link.weights, mesh.points[link.points] @ GRADIENT.T)
    assert_allclose(moved, GRADIENT @ centroid, atol=1e-12)


def test_wrong_uses_are_named(structured, joints):
    mesh = structured.mesh
    with pytest.raises(InputError, match="L1-L2/facet_left is given more than once"):
        connect_facets(mesh, [joints[0], joints[0]])
    with pytest.raises(InputError, match="needs L3, which the mesh has not"):
        connect_facets(mesh, [replace(joints[0], name="L2-L3/left", upper="L2", lower="L3")])
    with pytest.raises(InputError, match="thickness = 0 mm is not positive"):
        connect_facets(mesh, joints, thickness_mm=0)
    with pytest.raises(InputError, match="whole number"):
        connect_facets(mesh, joints, points_per_side=0)
    with pytest.raises(InputError, match="do not belong to a facet"):
        facet_force(joints[0], [-1.0, -2.0, -3.0])
    with pytest.raises(InputError, match="cannot pull"):
        facet_force(joints[0], [1.0])
    with pytest.raises(InputError, match="no surface L7/outer"):
        pedicle_patch(mesh, "L7")
    with pytest.raises(InputError, match="where the pedicles of L1 stand"):
        pedicle_patch(mesh, "L1", replace(pedicle_footprint(vertebra_dimensions("L1")), height_mm=80.0))


def test_sides_attached_at_different_places_are_refused(structured, joints):
    def shifted(mesh, level, places):
        arm = [1.0, 0.0, 0.0] if level == "L2" else [0.0, 0.0, 0.0]
        return [posterior_attachment(mesh, level, place + arm) for place in places]

    with pytest.raises(InputError, match=r"mm off one line along the normal\n  where: L1-L2/left"):
        connect_facets(structured.mesh, joints, shifted)
