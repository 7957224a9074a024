"""Frames, landmarks, facet joints and neighbours of vertebral surfaces."""

from __future__ import annotations

import meshio
import numpy as np
import pytest
from numpy.testing import assert_allclose
from vertebra_shapes import (
    BODY_SEMI_AXES,
    CANAL_BACK,
    FACET_GAP,
    FACET_HALF,
    LONGER_LEFT,
    SPACING,
    SPINOUS_RADIUS,
    SPINOUS_TIP,
    STEP,
    SUPERIOR_BOX,
    TRANSVERSE_RADIUS,
    TRANSVERSE_X,
    body_of_revolution,
    facet_normal,
    made_parts,
    made_vertebra,
    rotation_about,
    turned,
)

from fesolver.errors import InputError
from fesolver.surfaces.landmarks import LANDMARKS
from fesolver.surfaces.parts_facets import facet_pairs
from fesolver.surfaces.parts_segment import check_neighbours, segment_frame
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import VertebraSurface, vertebra_parts

SIDES = {"left": 1.0, "right": -1.0}
BODY = body_of_revolution(20.0, 14.0, 3.0)


def moved_body(level: str, shift, rotation=None) -> VertebraSurface:
    return vertebra_parts(turned(BODY, np.eye(3) if rotation is None else rotation, np.asarray(shift, float)), level)


@pytest.fixture(scope="module")
def surface() -> TriangleSurface:
    return made_vertebra()


@pytest.fixture(scope="module")
def vertebra() -> VertebraSurface:
    return made_parts()


@pytest.fixture(scope="module")
def lower() -> VertebraSurface:
    return made_parts("L3", (0.0, 0.0, -SPACING))


def test_the_longer_transverse_process_is_on_the_left(vertebra):
    # Mean of a spherical cap 2 mm high lies 1 mm below its top (Archimedes).
    for name, side in SIDES.items():
        tip = TRANSVERSE_X + (LONGER_LEFT if side > 0 else 0.0) + TRANSVERSE_RADIUS - 1.0
        place = vertebra.frame.to_local(vertebra.landmark(f"transverse_process_{name}")) + vertebra.frame.origin
        assert_allclose(place, [side * tip, 29.0, 2.0], atol=0.5, err_msg=name)  # a third of the lattice's step


def test_a_mirrored_file_has_the_longer_process_on_the_right(surface):
    mirrored = TriangleSurface(surface.points * [-1.0, 1.0, 1.0], surface.triangles[:, ::-1].copy())
    v = vertebra_parts(mirrored, "L2")
    reach = {name: abs(float(v.landmark(f"transverse_process_{name}")[0])) for name in SIDES}
    assert reach["right"] - reach["left"] == pytest.approx(LONGER_LEFT, abs=0.7)


def test_the_frame_is_that_of_the_body(vertebra):
    axes = vertebra.frame.axes
    assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    line = vertebra.geometry.superior_centroid - vertebra.geometry.inferior_centroid
    assert_allclose(axes[2], line / np.linalg.norm(line), atol=1e-12)
    # The pedicles' feet in front of the cut pull the origin back; the ellipse itself is centred.
    assert_allclose(vertebra.frame.origin, [0.0, 0.3, 0.1], atol=0.15)
    assert_allclose(axes, np.eye(3), atol=np.deg2rad(0.7))


def test_landmarks_are_where_the_shape_has_them(vertebra):
    assert tuple(vertebra.landmarks) == LANDMARKS
    assert not vertebra.missing
    spinous = SPINOUS_TIP + np.array([0.0, SPINOUS_RADIUS - 1.0, 0.0])
    assert_allclose(vertebra.landmark("spinous_process_tip"), spinous, atol=0.5)
    assert vertebra.landmark("lamina")[1] == pytest.approx(CANAL_BACK, abs=0.3)
    for name, sign in (("anterior", -1.0), ("posterior", 1.0)):
        for plate, up in (("superior", 1.0), ("inferior", -1.0)):
            expected = [0.0, sign * BODY_SEMI_AXES[1], up * 13.0]
            assert_allclose(vertebra.landmark(f"{name}_{plate}"), expected, atol=STEP, err_msg=f"{name} {plate}")
    for name, side in SIDES.items():
        facet = SUPERIOR_BOX * [side, 1.0, 1.0] + facet_normal(side) * FACET_HALF[1]
        assert_allclose(vertebra.landmark(f"superior_facet_{name}"), facet, atol=STEP)
        facing = facet - [0.0, 0.0, SPACING] + facet_normal(side) * FACET_GAP
        # The lower half of its height counts, and what it stands on takes part at its upper end.
        assert_allclose(vertebra.landmark(f"inferior_facet_{name}"), facing, atol=2.0)
        pedicle = vertebra.landmark(f"pedicle_{name}")
        assert_allclose(pedicle[[0, 2]], [side * 15.5, 4.0], atol=0.5)
        assert BODY_SEMI_AXES[1] < pedicle[1] < 24.0


def test_a_body_alone_has_corners_and_says_why_nothing_else():
    v = vertebra_parts(BODY, "L1")
    assert tuple(v.landmarks) == LANDMARKS[:4]
    angle = np.deg2rad(50.0)
    radius, height = 17.0 + 3.0 * np.sin(angle), 11.0 + 3.0 * np.cos(angle)
    # The border runs along rings 7.5 degrees apart: 0.4 mm of the rounding.
    assert_allclose(v.landmark("anterior_superior"), [0.0, -radius, height], atol=0.25)
    assert_allclose(v.landmark("posterior_inferior"), [0.0, radius, -height], atol=0.25)
    with pytest.raises(InputError, match="no landmark 'lamina': the surface is a body alone"):
        v.landmark("lamina")


def test_facet_pairs_find_centre_normal_area_and_gap(vertebra, lower):
    pairs = facet_pairs(vertebra, lower)
    assert set(pairs) == {"left", "right"}
    for name, side in SIDES.items():
        pair, n = pairs[name], facet_normal(side)
        middle = SUPERIOR_BOX * [side, 1.0, 1.0] + n * (FACET_HALF[1] + 0.5 * FACET_GAP) - [0.0, 0.0, SPACING]
        assert pair.normal @ n > np.cos(np.deg2rad(5.0))
        assert_allclose(pair.center, middle, atol=1.0)
        # Faces of 12 by 16 mm, bevelled by the lattice by up to half a step all round; the flat inside is exact.
        assert (12.0 - STEP) * (16.0 - STEP) < pair.area_mm2 < 12.0 * 16.0 * 1.05
        assert pair.gap_mm == pytest.approx(FACET_GAP, abs=0.05)


def test_neighbours_report_the_disc_and_no_overlap(vertebra, lower):
    (found,) = check_neighbours([vertebra, lower])
    assert found.name == "L2-L3"
    assert found.disc_height_mm == pytest.approx(SPACING - 26.0, abs=0.15)  # the bevelled rim
    assert found.tilt_deg == pytest.approx(0.0, abs=0.5)
    assert found.overlap is None
    assert set(found.facets) == {"left", "right"}


def test_overlapping_facets_are_reported_with_their_depth(vertebra):
    # Moved back by 3 mm, the lower facets come nearer by 3 / sqrt(2): the gap of 1.5 becomes an overlap of 0.62.
    (found,) = check_neighbours([vertebra, made_parts("L3", (0.0, 3.0, -SPACING))])
    depth = 3.0 / np.sqrt(2.0) - FACET_GAP
    assert found.overlap is not None
    assert found.overlap.depth_mm == pytest.approx(depth, abs=0.1)
    assert found.overlap.place[1] > 25.0
    for pair in found.facets.values():
        assert pair.gap_mm == pytest.approx(-depth, abs=0.05)


def test_a_disc_higher_in_front_has_a_positive_tilt():
    # Turned by -6 degrees about x (left), the upper body leans back and the disc opens to the front.
    upper = moved_body("L1", [0.0, 0.0, 37.0], rotation_about(0, -6.0))
    (found,) = check_neighbours([upper, moved_body("L2", [0.0, 0.0, 0.0])])
    assert found.tilt_deg == pytest.approx(6.0, abs=0.2)
    # 9 mm between rim planes, sunk by nothing: half heights are 14.
    assert found.disc_height_mm == pytest.approx(37.0 - 14.0 - 14.0 / np.cos(np.deg2rad(6.0)), abs=0.25)
    assert found.facets == {}


def test_overlapping_bodies_are_refused_with_place_and_depth():
    bodies = [moved_body("L1", [0.0, 0.0, 26.0]), moved_body("L2", [0.0, 0.0, 0.0])]
    with pytest.raises(InputError, match=r"body overlaps its neighbour by (1\.9|2\.0) mm") as caught:
        check_neighbours(bodies)
    assert "near [" in str(caught.value.where)


def test_levels_must_follow_each_other():
    bodies = {level: moved_body(level, [0.0, 0.0, z]) for level, z in (("L1", 74.0), ("L2", 37.0), ("L3", 0.0))}
    assert len(check_neighbours(list(bodies.values()))) == 2
    with pytest.raises(InputError, match="L1, L3 are not consecutive"):
        check_neighbours([bodies["L1"], bodies["L3"]])
    with pytest.raises(InputError, match="L2, L1 are not consecutive, cranial first"):
        check_neighbours([bodies["L2"], bodies["L1"]])


def test_exchanged_places_too_high_discs_and_strange_tilts_are_refused():
    low = moved_body("L2", [0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="L1 lies 37 mm below L2"):
        check_neighbours([moved_body("L1", [0.0, 0.0, -37.0]), low])
    # 25 mm between the flats; the rounded rim, 0.09 mm on average over either footprint, adds to it.
    with pytest.raises(InputError, match=r"disc L1-L2 is 25\.2 mm high"):
        check_neighbours([moved_body("L1", [0.0, 0.0, 53.0]), low])
    with pytest.raises(InputError, match="tilted by 40 degrees"):
        check_neighbours([moved_body("L1", [0.0, 0.0, 50.0], rotation_about(0, 40.0)), low])


def test_the_segment_frame_runs_from_the_lowest_to_the_highest_endplate():
    bodies = [
        moved_body("L1", [1.0, 10.0, 74.0]),
        moved_body("L2", [0.0, 5.0, 37.0]),
        moved_body("L3", [0.0, 0.0, 0.0]),
    ]
    frame = segment_frame(bodies)
    line = np.array([1.0, 10.0, 102.0])
    assert_allclose(frame.origin, bodies[2].geometry.inferior_centroid, atol=1e-12)
    # Endplate centroids lie a rim's share (0.05 mm) below the flat: along z alone.
    assert_allclose(frame.axes[2], line / np.linalg.norm(line), atol=2e-4)
    assert frame.axes[0, 0] > 0.99


@pytest.mark.long
@pytest.mark.data
def test_scanned_levels_come_apart_as_a_lumbar_spine(data_dir):
    vertebrae = []
    for level in ("L1", "L2", "L3", "L4", "L5"):
        mesh = meshio.read(data_dir / "surfaces_L1_L5" / f"{level}.ply")
        x, y, z = mesh.points.T.astype(np.float64)  # anterior, left, superior
        points = np.column_stack([y, -x, z])
        vertebrae.append(vertebra_parts(TriangleSurface(points, mesh.cells_dict["triangle"].astype(np.int64)), level))

    for v in vertebrae:
        assert not v.missing, v.level
        for name in LANDMARKS:
            if name.endswith("_left"):
                # The shapes were made symmetric, their triangles were not.
                left, right = (v.landmark(n) for n in (name, name.replace("_left", "_right")))
                assert_allclose(left, right * [-1.0, 1.0, 1.0], atol=1.5, err_msg=f"{v.level} {name}")
        # Panjabi's lumbar bodies have 24.7 to 28.4 cm3 and 1103 to 1318 mm2 (recalled, medium to high confidence); this
        # man is larger, by less than a factor of two.
        assert 25e3 < v.body_volume_mm3 < 57e3, v.level
        assert 1100.0 < v.geometry.inferior_area_mm2 < 2000.0
    wedges = [np.cross(-v.geometry.inferior_normal, v.geometry.superior_normal)[0] for v in vertebrae]
    # Posterior less anterior height is positive in L1 and L2 and falls from L2 to L5 (recalled, medium confidence).
    assert np.all(np.array(wedges) * [1, 1, -1, -1, -1] > 0)
    assert np.all(np.diff(wedges[1:]) < 0)
    discs = check_neighbours(vertebrae)
    assert all(5.0 < d.disc_height_mm < 14.0 and d.tilt_deg > 0.0 for d in discs)
    assert all(set(d.facets) == {"left", "right"} for d in discs)
    # Lordosis L1 to L5 is about 43 degrees (recalled, medium to high confidence; healthy spread about 10).
    ends = vertebrae[0].geometry.superior_normal, -vertebrae[-1].geometry.inferior_normal
    assert 25.0 < np.rad2deg(np.arccos(ends[0] @ ends[1])) < 60.0
