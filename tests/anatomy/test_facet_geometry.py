"""Facet joints: published ranges, orientation, mirror images, patches of equal area, wrong uses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.column import build_column
from fesolver.anatomy.facet_dimensions import FACET_SOURCES, FACETS, FacetDimensions, facet_dimensions
from fesolver.anatomy.facet_joints import FacetJoint, contact_grid, facet_joints
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.posterior import canal_front
from fesolver.bone.cartilage import FACET_CARTILAGE, Cartilage, confined_modulus
from fesolver.errors import InputError
from fesolver.fem.hooke import isotropic_elasticity

MIRROR = np.array([-1.0, 1.0, 1.0])
COLUMN = build_column(["T11", "T12", "L1", "L2", "L3", "L4", "L5"])
JOINTS = {joint.name: joint for joint in facet_joints(COLUMN)}
CENTER, NORMAL = np.array([3.0, -2.0, 5.0]), np.array([-0.48, 0.6, 0.64])
OBLIQUE = FacetJoint("L1-L2/left", "L1", "L2", "left", CENTER, NORMAL, 11.0, 15.0, 0.4)


@pytest.mark.parametrize("name", FACETS)
def test_sizes_lie_in_the_ranges_of_panjabi_1993(name):
    """Abstract: width 9.6 to 16.3, height 10.2 to 18.4, interfacet width 20.8 to 40.6 mm, area 72.3 to 211.9 mm2."""
    d = facet_dimensions(*name.split("-"))

    assert 9.6 <= d.width_mm <= 16.3
    assert 10.2 <= d.height_mm <= 18.4
    assert 20.8 <= d.interfacet_mm <= 40.6
    assert 72.3 <= 0.25 * np.pi * d.width_mm * d.height_mm <= 211.9
    assert 41.0 <= d.longitudinal_deg <= 86.0
    # Their angle to the sagittal plane is counted from the other side, 67.4 (C3 to T) to 154.8 degrees.
    assert 180.0 - 154.8 <= d.transverse_deg <= 180.0 - 62.0


def test_orientation_follows_masharawi_2004():
    """Abstract: T1 to T11 25 to 30 degrees off the frontal plane, T12 to L2 25.89 to 33.87, L3 to L5 40.40 to 56.30."""
    turn = {name: facet_dimensions(*name.split("-")).transverse_deg for name in FACETS}

    assert 115.0 <= turn["T10-T11"] <= 120.0
    assert all(25.89 <= turn[name] <= 34.0 for name in ("T12-L1", "L1-L2", "L2-L3"))
    assert all(40.40 <= turn[name] <= 56.30 for name in ("L3-L4", "L4-L5", "L5-S1"))


def test_every_dimension_has_its_source_and_standing():
    fields = set(FacetDimensions.__dataclass_fields__) - {"upper", "lower"}

    assert set(FACET_SOURCES) == fields
    assert all(source.standing for source in FACET_SOURCES.values())


@pytest.mark.parametrize(
    ("transverse", "longitudinal", "left_normal"),
    [(0.0, 90.0, (-1.0, 0.0, 0.0)), (90.0, 90.0, (0.0, 1.0, 0.0)), (90.0, 60.0, (0.0, np.sqrt(0.75), 0.5))],
    ids=["faces the midline", "faces backwards", "leans back"],
)
def test_the_normal_of_the_left_superior_facet_has_its_defining_directions(transverse, longitudinal, left_normal):
    facets = facet_dimensions("L1", "L2", transverse_deg=transverse, longitudinal_deg=longitudinal)

    assert_allclose(facets.normal("left"), left_normal, atol=1e-15)
    assert_allclose(facets.normal("right"), MIRROR * left_normal, atol=1e-15)


def test_lumbar_superior_facets_face_inwards_and_thoracic_ones_outwards():
    assert JOINTS["L1-L2/left"].normal[0] < -0.8
    assert JOINTS["T11-T12/left"].normal[0] > 0.1
    assert all(joint.normal[1] > 0.4 for joint in JOINTS.values())


def test_left_and_right_mirror_each_other_in_an_upright_column():
    for name in ("T11-T12", "L1-L2", "L4-L5"):
        left, right = JOINTS[f"{name}/left"], JOINTS[f"{name}/right"]

        assert left.center[0] > 0.0
        assert_allclose(right.center, MIRROR * left.center, atol=1e-12)
        assert_allclose(right.normal, MIRROR * left.normal, atol=1e-12)


def test_joints_stand_behind_the_canal_front_at_the_height_of_the_disc():
    for name, joint in JOINTS.items():
        upper, lower = (COLUMN[level] for level in (joint.upper, joint.lower))
        above, below = (v.frame.to_local(joint.center) for v in (upper, lower))
        depth = below[1] - canal_front(lower.dimensions)

        assert 0.5 * lower.dimensions.canal_depth_mm < depth < 1.3 * lower.dimensions.canal_depth_mm, name
        assert above[2] < 0.0 < below[2], name
        assert abs(above[0]) == pytest.approx(0.5 * facet_dimensions(joint.upper, joint.lower).interfacet_mm)


def test_joints_turn_with_the_column_and_stay_where_they_are_in_the_segment_frame():
    leaning = build_column(["L1", "L2", "L3"], sagittal_tilt_deg=12.0, coronal_tilt_deg=-7.0)
    upright = build_column(["L1", "L2", "L3"])
    turn = leaning["L2"].frame.axes.T @ upright["L2"].frame.axes

    for a, b in zip(facet_joints(leaning), facet_joints(upright), strict=True):
        assert_allclose(a.center, turn @ b.center, atol=1e-12)
        assert_allclose(a.normal, turn @ b.normal, atol=1e-12)
    frame = Frame(np.array([1.0, 2.0, 3.0]), leaning["L2"].frame.axes)
    for a, b in zip(facet_joints(leaning, frame=frame), facet_joints(leaning), strict=True):
        assert_allclose(frame.to_parent(a.center), b.center, atol=1e-12)
        assert_allclose(frame.vectors_to_parent(a.normal), b.normal, atol=1e-12)


def test_one_side_can_be_replaced_alone_and_wins_over_both():
    changed = {"L1-L2": {"transverse_deg": 40.0}, "L1-L2/right": {"transverse_deg": 20.0, "gap_mm": 1.0}}
    left, right = facet_joints(build_column(["L1", "L2"]), overrides=changed)

    assert left.normal[1] == pytest.approx(
        np.sin(np.deg2rad(40.0)) * right.normal[1] / np.sin(np.deg2rad(20.0)), rel=0.02
    )
    assert (left.gap_mm, right.gap_mm) == (0.4, 1.0)


def test_the_axes_of_a_facet_are_right_handed_with_the_height_upwards():
    axes = OBLIQUE.axes

    assert_allclose(axes @ axes.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert axes[1, 2] > 0.0
    assert axes[0, 2] == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_contact_points_lie_on_the_ellipse_about_its_centre(n):
    at = OBLIQUE.contact_points(n)
    local = (at - OBLIQUE.center) @ OBLIQUE.axes.T

    assert at.shape == (n * n, 3)
    assert_allclose(at.mean(axis=0), OBLIQUE.center, atol=1e-13)
    assert_allclose(local[:, 2], 0.0, atol=1e-13)
    assert np.all(np.hypot(local[:, 0] / 5.5, local[:, 1] / 7.5) < 1.0)
    assert np.abs(local[:, 1]).max() >= np.abs(local[:, 0]).max()


def test_patches_have_one_area_each():
    """A map keeps areas if the part of points within a radius is the radius squared, up to the patches it cuts."""
    radius = np.hypot(*contact_grid(100).T)

    for limit in (0.2, 0.5, 0.8):
        assert np.mean(radius < limit) == pytest.approx(limit**2, abs=0.01)
    assert np.sum(radius**2) / 100**2 == pytest.approx(0.5, rel=1e-3)


def test_the_confined_modulus_is_the_corner_of_the_elasticity_matrix():
    for cartilage in FACET_CARTILAGE.values():
        D = isotropic_elasticity(cartilage.young, cartilage.poisson)

        assert cartilage.confined == pytest.approx(D[..., 2, 2].item())
    assert confined_modulus(17.0, 0.0) == 17.0


@pytest.mark.parametrize(("young", "poisson"), [(0.0, 0.4), (-1.0, 0.4), (np.nan, 0.4), (24.0, 0.5), (24.0, -0.1)])
def test_impossible_cartilage_is_refused(young, poisson):
    with pytest.raises(InputError, match="cartilage"):
        Cartilage(young, poisson)


def test_a_negative_gap_says_by_how_much_where_and_on_which_side():
    with pytest.raises(InputError, match=r"gap negative: the joint overlaps by 0\.3 mm\n  where: L1-L2, left"):
        replace(OBLIQUE, gap_mm=-0.3)
    with pytest.raises(InputError, match=r"gap negative: the joint overlaps by 0\.25 mm\n  where: L4-L5"):
        facet_joints(build_column(["L4", "L5"]), overrides={"L4-L5/right": {"gap_mm": -0.25}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width_mm": 0.0}, "width_mm of a facet is 0"),
        ({"normal": np.array([0.0, 2.0, 0.0])}, "normal of length 1"),
        ({"normal": np.array([0.0, 0.0, 1.0])}, "the facet lies flat"),
        ({"side": "right"}, "is not the right one"),
        ({"center": np.array([np.nan, 0.0, 0.0])}, "finite centre"),
    ],
)
def test_an_impossible_joint_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(OBLIQUE, **changes)


def test_unknown_joints_and_dimensions_are_named():
    with pytest.raises(InputError, match="no published facet joints for C7-T1"):
        facet_dimensions("C7", "T1")
    with pytest.raises(InputError, match="unknown facet dimension 'widht_mm'"):
        facet_dimensions("L1", "L2", widht_mm=12.0)
    with pytest.raises(InputError, match="no facet joint 'L2-L3' in the column"):
        facet_joints(build_column(["L1", "L2"]), overrides={"L2-L3": {}})
    with pytest.raises(InputError, match="it looks like metres"):
        facet_dimensions("L1", "L2", width_mm=0.011)
    with pytest.raises(InputError, match="whole number"):
        contact_grid(0)
