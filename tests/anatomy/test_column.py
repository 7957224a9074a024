"""Columns: frames that follow from heights and wedges, curvature against published ranges, wrong uses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.column import build_column
from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError

LUMBAR = ("L1", "L2", "L3", "L4", "L5")


def test_levels_stand_cranial_first_whatever_the_order_given():
    column = build_column(["L2", "T12", "L1"])

    heights = [vertebra.frame.origin[2] for vertebra in column.vertebrae]

    assert column.levels == ("T12", "L1", "L2")
    assert heights == sorted(heights, reverse=True)
    assert [disc.name for disc in column.discs] == ["T12-L1", "L1-L2"]


@pytest.mark.parametrize("levels", [("T12", "L1", "L2"), LUMBAR])
def test_rim_planes_are_apart_by_the_height_and_the_wedge_of_the_disc(levels):
    column = build_column(levels)

    for (above, below), disc in zip(pairwise(column.vertebrae), column.discs, strict=True):
        gap = above.inferior_rim_centre - below.superior_rim_centre
        up, down = -above.inferior_normal, below.superior_normal
        assert np.linalg.norm(gap) == pytest.approx(disc.height_mm)
        # Positive wedge: higher in front, so the face above has the normal that leans further back.
        wedge = np.degrees(np.arctan2(up[1], up[2]) - np.arctan2(down[1], down[2]))
        assert wedge == pytest.approx(disc.wedge_deg)
        assert_allclose(gap / np.linalg.norm(gap), (up + down) / np.linalg.norm(up + down), atol=1e-12)


def test_a_lordotic_disc_is_higher_in_front():
    column = build_column(["L4", "L5"])
    above, below = column.vertebrae
    half = 0.5 * above.dimensions.mid_height_mm
    slope = above.dimensions.rim_slope
    front = above.frame.to_parent([[0, -15, -half + 15 * slope], [0, 15, -half - 15 * slope]])

    heights = (front - below.superior_rim_centre) @ below.superior_normal

    # 30 mm apart on planes 12.5 degrees apart.
    assert heights[0] - heights[1] == pytest.approx(30 / np.cos(np.arctan(slope)) * np.sin(np.radians(12.5)))


def test_the_angle_over_the_column_is_the_sum_of_its_wedges():
    column = build_column(["T11", "T12", "L1", "L2"])

    total = sum(v.dimensions.wedge_deg for v in column.vertebrae) - sum(d.wedge_deg for d in column.discs)

    assert column.kyphosis_deg == pytest.approx(total)


def test_the_thoracolumbar_junction_is_about_straight_and_the_lumbar_spine_lordotic():
    # T10 to L2: 0 to 6 degrees of kyphosis; L1 to L5: about 43 degrees of lordosis.
    assert 0.0 <= build_column(["T10", "T11", "T12", "L1", "L2"]).kyphosis_deg <= 6.0
    assert build_column(LUMBAR).kyphosis_deg == pytest.approx(-43.0, abs=3.0)


def test_a_wedge_fracture_tips_the_spine_above_forward():
    intact = build_column(["T12", "L1", "L2"])
    broken = build_column(["T12", "L1", "L2"], dimensions={"L1": {"anterior_height_mm": 16.0}})

    # (23 - 16) mm less in front over 34.7 mm of depth.
    added = broken["L1"].dimensions.wedge_deg - intact["L1"].dimensions.wedge_deg
    assert added == pytest.approx(np.degrees(2 * np.arctan(7.8 / 69.4) - 2 * np.arctan(0.8 / 69.4)))
    assert broken.kyphosis_deg - intact.kyphosis_deg == pytest.approx(added)
    assert broken["T12"].frame.axes[2, 1] < broken["L2"].frame.axes[2, 1]


def test_without_tilt_the_column_runs_along_z_through_the_origin():
    column = build_column(LUMBAR)

    top, bottom = column.vertebrae[0].superior_rim_centre, column.vertebrae[-1].inferior_rim_centre

    assert_allclose(top + bottom, 0, atol=1e-12)
    assert_allclose((top - bottom)[:2], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("sagittal", "coronal", "axis"),
    [
        (20.0, 0.0, [0, -np.sin(np.radians(20)), np.cos(np.radians(20))]),
        (0.0, 20.0, [np.sin(np.radians(20)), 0, np.cos(np.radians(20))]),
    ],
)
def test_tilt_leans_forward_and_to_the_left(sagittal, coronal, axis):
    column = build_column(["L1", "L2"], sagittal_tilt_deg=sagittal, coronal_tilt_deg=coronal)

    along = column.vertebrae[0].superior_rim_centre - column.vertebrae[-1].inferior_rim_centre

    assert_allclose(along / np.linalg.norm(along), axis, atol=1e-12)
    assert all(np.linalg.det(v.frame.axes) == pytest.approx(1.0) for v in column.vertebrae)


def test_tilt_moves_the_column_as_one_rigid_body():
    straight = build_column(["T12", "L1"])
    tilted = build_column(["T12", "L1"], sagittal_tilt_deg=15.0, coronal_tilt_deg=-8.0)

    for a, b in zip(straight.vertebrae, tilted.vertebrae, strict=True):
        assert_allclose(
            straight["L1"].frame.to_local(a.frame.origin), tilted["L1"].frame.to_local(b.frame.origin), atol=1e-12
        )


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (["T12", "L2"], "L1 is missing"),
        (["L1", "L1"], "more than once"),
        (["L1", "L9"], "unknown vertebral level 'L9'"),
        (["C7", "T1"], "no published dimensions for C7"),
        (["L5", "S1"], "no published dimensions for S1"),
        ([], "not a list of levels"),
        ("L1", "not a list of levels"),
    ],
)
def test_levels_that_make_no_column_are_refused(levels, message):
    with pytest.raises(InputError, match=message):
        build_column(levels)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"dimensions": {"L4": {"anterior_height_mm": 20.0}}}, "level L4, which is not in the column"),
        ({"discs": {"L2-L1": {"height_mm": 5.0}}}, "disc L2-L1, which is not in the column"),
        ({"discs": {"L1-L2": {"height": 5.0}}}, "unknown dimension 'height'"),
        ({"sagittal_tilt_deg": 95.0}, "not under 90 degrees"),
        ({"coronal_tilt_deg": float("nan")}, "not under 90 degrees"),
    ],
)
def test_replacements_that_fit_nothing_are_refused(replaced, message):
    with pytest.raises(InputError, match=message):
        build_column(["L1", "L2"], **replaced)


def test_a_level_outside_the_column_is_refused_by_name():
    with pytest.raises(InputError, match="'L3' is not in the column"):
        build_column(["L1", "L2"])["L3"]


def test_a_frame_takes_points_there_and_back():
    column = build_column(["L1", "L2"], sagittal_tilt_deg=25.0, coronal_tilt_deg=10.0)
    frame = column["L2"].frame
    points = np.array([[1.0, -2.0, 3.0], [40.0, 5.0, -7.0]])

    assert_allclose(frame.to_local(frame.to_parent(points)), points, atol=1e-12)
    assert_allclose(frame.to_parent([0.0, 0.0, 1.0]) - frame.origin, frame.axes[2], atol=1e-12)
    assert_allclose(frame.vectors_to_local(frame.vectors_to_parent(points)), points, atol=1e-12)


def test_a_left_handed_frame_is_refused():
    with pytest.raises(InputError, match="right-handed"):
        Frame(np.zeros(3), np.diag([-1.0, 1.0, 1.0]))
