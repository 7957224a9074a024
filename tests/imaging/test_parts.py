import dataclasses

import numpy as np
import pytest
from analytic_bodies import ARCH_HALF_HEIGHT, CANAL_RADIUS, HEIGHT, A, B, Column, angle_deg, rotation
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.imaging.parts import locate_vertebrae
from fesolver.imaging.volume import LabelVolume

TURNS = {
    "straight": np.eye(3),
    "sagittal": rotation(20, [1, 0, 0]),
    "coronal": rotation(-20, [0, 1, 0]),
    "oblique": rotation(20, [1, 1, 0.3]),
}
CENTER = np.array([3.0, 12.0, 0.0])


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
def test_canal_and_cut_plane_are_found_whatever_the_tilt(turn):
    labels = Column(["L1"]).labels(turn=turn)

    part = locate_vertebrae(labels, levels=["L1"])["L1"]

    assert part.source == "canal"
    # The circle's chord inside the body is closed by bone: 9 mm behind B the circle just touches it. Half a voxel of
    # smoothed rim all round the circle is 0.75 / 9 of its radius.
    assert_allclose(part.geometry.canal_area_mm2, np.pi * CANAL_RADIUS**2, rtol=0.15)
    posterior = turn @ [0.0, 1.0, 0.0]
    assert angle_deg(part.cut_normal, posterior) < 3.0
    wall = turn @ (np.array([0.0, B, 0.0]) - CENTER)
    # One voxel: the circle's front is an arc, its edge is taken as the median over the middle 70 %.
    assert abs((part.cut_point - wall) @ posterior) < 2.0


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
@pytest.mark.parametrize("wedge_deg", [0.0, 8.0])
def test_endplates_have_their_angle_area_and_place(turn, wedge_deg):
    column = Column(["L1"], wedge_deg=wedge_deg)
    labels = column.labels(turn=turn)

    geometry = locate_vertebrae(labels, levels=["L1"])["L1"].geometry

    slope = np.tan(np.deg2rad(wedge_deg / 2))
    # A terrace of one voxel (1.5 mm) over the plate's 32 mm is 2.7 degrees: half of that at most, mostly a third.
    assert angle_deg(geometry.superior_normal, turn @ [0, slope, 1]) < 1.35
    assert angle_deg(geometry.inferior_normal, turn @ [0, slope, -1]) < 1.35
    # The cut plane leaves the whole body; the half level of a sharp rim is rounded by half a voxel all round: 8 %.
    area = np.pi * A * B * np.hypot(1, slope)
    assert_allclose(geometry.superior_area_mm2, area, rtol=0.08)
    assert_allclose(geometry.inferior_area_mm2, area, rtol=0.08)
    for centroid, z in ((geometry.superior_centroid, HEIGHT / 2), (geometry.inferior_centroid, -HEIGHT / 2)):
        assert_allclose(centroid, turn @ (np.array([0, 0, z]) - CENTER), atol=0.95)  # half a voxel, and 0.2 mm
    assert angle_deg(geometry.frame.axes[2], turn @ [0, 0, 1.0]) < 1.35


def test_concave_endplates_keep_their_plane():
    geometry = locate_vertebrae(Column(["L1"], concavity=2.0).labels(), levels=["L1"])["L1"].geometry

    assert angle_deg(geometry.superior_normal, np.array([0, 0, 1.0])) < 0.5
    assert_allclose(geometry.superior_area_mm2, np.pi * A * B, rtol=0.08)
    # The mean of 2 (1 - r^2) over an ellipse is 1 mm; a curved plate averages out the voxels' own half.
    assert_allclose(geometry.superior_centroid[2], HEIGHT / 2 - 1.0, atol=0.3)


def test_anisotropic_voxels_give_the_same_parts():
    turn = TURNS["oblique"]
    geometry = locate_vertebrae(Column(["L1"]).labels(turn=turn, spacing=(0.8, 0.8, 3.0)), levels=["L1"])["L1"].geometry

    assert angle_deg(geometry.superior_normal, turn @ [0, 0, 1.0]) < 1.5
    assert_allclose(geometry.superior_area_mm2, np.pi * A * B, rtol=0.08)


def test_labels_of_bodies_alone_are_accepted_and_arches_with_a_gap_are_not():
    body = Column(["L1"], with_arch=False).labels(turn=TURNS["sagittal"])

    def without_left_half(n, p, inside):
        return inside & ((p[..., 1] < B) | (p[..., 0] > 0))

    found = locate_vertebrae(body, levels=["L1"])["L1"]
    assert found.source == "body_labels"
    assert found.cut_point is None
    assert found.geometry.canal_area_mm2 == 0.0
    with pytest.raises(InputError, match=r"L1: no direction shows a closed canal(.|\n)*near \["):
        locate_vertebrae(Column(["L1"]).labels(edit=without_left_half), levels=["L1"])


def test_subregions_decide_what_is_body():
    column = Column(["L1", "L2"])
    labels = column.labels()
    index = np.argwhere(np.ones(labels.values.shape, dtype=bool))
    center = np.array([3.0, 12.0, column.middle(0) / 2])
    p = (labels.to_mm(index) + center).reshape((*labels.values.shape, 3))
    is_body = column.is_body(0, p) | column.is_body(1, p)
    parts = np.where(is_body, 50, np.where(labels.values > 0, 41, 0))
    subregions = LabelVolume(parts, labels.affine, {50: "body", 41: "arch"})

    found = locate_vertebrae(labels, levels=["L1", "L2"], subregions=subregions)

    assert list(found) == ["L1", "L2"]
    for part in found.values():
        assert part.source == "subregions"
        assert part.cut_normal is None
        assert part.geometry.canal_area_mm2 == 0.0
        assert_allclose(part.geometry.superior_area_mm2, np.pi * A * B, rtol=0.08)
    shifted = dataclasses.replace(subregions, affine=labels.affine + np.eye(4)[:, [3]] * 0.5)
    with pytest.raises(InputError, match="different grids"):
        locate_vertebrae(labels, levels=["L1"], subregions=shifted)
    with pytest.raises(InputError, match="subregion labels give its body 0 of"):
        locate_vertebrae(labels, levels=["L1"], subregions=dataclasses.replace(subregions, names={50: "corpus"}))


def test_level_that_is_not_there_is_refused_with_what_is():
    with pytest.raises(InputError, match="L4 is not in the labels, which hold L1, L2"):
        locate_vertebrae(Column(["L1", "L2"]).labels(), levels=["L4"])


def test_body_cut_by_the_edge_is_refused_and_a_cut_process_is_not():
    labels = Column(["L1"]).labels()
    rows = np.flatnonzero(labels.values.any(axis=(0, 2)))
    columns = np.flatnonzero(labels.values.any(axis=(0, 1)))
    process_cut = dataclasses.replace(labels, values=labels.values[:, : rows[-1] - 3])
    body_cut = dataclasses.replace(labels, values=labels.values[:, :, : columns[-1] - 2])

    assert locate_vertebrae(process_cut, levels=["L1"])["L1"].source == "canal"
    with pytest.raises(InputError, match="L1: its body is cut by the edge of the volume"):
        locate_vertebrae(body_cut, levels=["L1"])


def test_orientation_that_puts_the_canal_in_front_is_refused():
    labels = Column(["L1"]).labels()
    turned = labels.affine.copy()
    turned[:3] = rotation(180, [0, 0, 1]) @ turned[:3]

    with pytest.raises(InputError, match=r"% of the vertebra lie in front of its canal(.|\n)*orientation"):
        locate_vertebrae(dataclasses.replace(labels, affine=turned), levels=["L1"])


def test_arch_height_leaves_room_for_a_tilt_of_the_canal():
    # A ring of half height 8 mm and radius 9 mm stays see-through up to 48 degrees: the search's own limit.
    assert np.rad2deg(np.arctan(CANAL_RADIUS / ARCH_HALF_HEIGHT)) > 48.0
