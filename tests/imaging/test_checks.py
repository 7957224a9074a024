"""Faults of a label map are found where they are, mended or refused; harmless ones are listed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.errors import InputError
from fesolver.imaging.checks import check_labels
from fesolver.imaging.io import read_labels, read_volume
from fesolver.imaging.schemes import label_scheme
from fesolver.imaging.volume import LabelVolume, Volume

NAMES = label_scheme("verse")
NUMBER = {name: number for number, name in NAMES.items()}
MM = 2.0
BODY = (slice(9, 26), slice(4, 17))  # 34 x 26 mm


def column(levels=("L1", "L2", "L3", "L4"), *, n_up: int = 14, n_disc: int = 4) -> LabelVolume:
    """Boxes with a bar behind each, cranial level at the top (+z); level i from `floor(i)` upwards."""
    values = np.zeros((35, 40, 4 + len(levels) * (n_up + n_disc)), dtype=np.int32)
    for i, level in enumerate(levels):
        z = slice(*span(i, len(levels), n_up, n_disc))
        values[(*BODY, z)] = NUMBER[level]
        values[15:20, 17:34, z.start + 4 : z.start + 9] = NUMBER[level]
    affine = np.diag([MM, MM, MM, 1.0])
    affine[:3, 3] = -30.0, 100.0, 500.0
    return LabelVolume(values, affine, NAMES)


def span(i: int, n: int, n_up: int = 14, n_disc: int = 4) -> tuple[int, int]:
    """First and past-the-last slice of the i-th level from the top."""
    start = 4 + (n - 1 - i) * (n_up + n_disc)
    return start, start + n_up


def kinds(check) -> set[tuple[str, str, str]]:
    return {(finding.kind, finding.level, finding.action) for finding in check.findings}


def test_a_sound_column_has_no_findings_and_keeps_its_voxels():
    labels = column()
    check = check_labels(labels, levels=["L2", "L3"])
    assert check.findings == ()
    assert_array_equal(check.labels.values, labels.values)
    assert check.labels.values is not labels.values


def test_a_crumb_is_removed_where_it_is_used_and_listed_elsewhere():
    labels = column()
    crumb = (33, 2, 40)
    labels.values[crumb] = NUMBER["L2"]

    used = check_labels(labels, levels=["L2", "L3"])
    assert kinds(used) == {("crumb", "L2", "repaired")}
    assert_allclose(used.findings[0].place_mm, labels.to_mm(crumb))
    assert used.labels.values[crumb] == 0
    assert labels.values[crumb] == NUMBER["L2"]  # the input is untouched

    unused = check_labels(labels, levels=["L3", "L4"])
    assert kinds(unused) == {("crumb", "L2", "listed")}
    assert unused.labels.values[crumb] == NUMBER["L2"]


def test_a_voxel_joined_by_a_corner_only_is_a_crumb():
    labels = column()
    z = span(1, 4)[1]
    labels.values[26, 17, z] = NUMBER["L2"]  # beyond the body's corner (25, 16, z - 1)
    assert kinds(check_labels(labels, levels=["L2"])) == {("crumb", "L2", "repaired")}


def test_a_hole_is_filled_unless_it_holds_another_named_label():
    labels = column()
    z = span(1, 4)[0] + 6
    labels.values[15:17, 10, z] = 0
    check = check_labels(labels, levels=["L2"])
    assert kinds(check) == {("hole", "L2", "repaired")}
    assert (check.labels.values[15:17, 10, z] == NUMBER["L2"]).all()

    labels.values[15:17, 10, z] = 99  # a cement label without a level: a hole of the bone
    assert (check_labels(labels, levels=["L2"]).labels.values[15:17, 10, z] == NUMBER["L2"]).all()

    names = {**NAMES, 99: "cement"}
    kept = check_labels(LabelVolume(labels.values, labels.affine, names), levels=["L2"])
    assert kept.findings == ()
    assert (kept.labels.values[15:17, 10, z] == 99).all()


def test_an_arch_apart_from_its_body_is_kept_and_listed():
    labels = column()
    z = span(1, 4)[0]
    labels.values[15:20, 17:20, z : z + 14] = 0
    check = check_labels(labels, levels=["L2"])
    assert kinds(check) == {("repeated", "L2", "listed")}
    assert_array_equal(check.labels.values, labels.values)


def test_one_label_on_two_vertebrae_is_refused_where_it_is_used():
    labels = column(("L1", "L2", "L3", "L4", "L5"))
    labels.values[labels.values == NUMBER["L5"]] = NUMBER["L3"]
    with pytest.raises(InputError, match="one label on two vertebrae") as error:
        check_labels(labels, levels=["L2", "L3"])
    assert "72 mm along the spine" in error.value.where  # two levels of 14 + 4 slices of 2 mm
    assert ("repeated", "L3", "listed") in kinds(check_labels(labels, levels=["L1", "L2"]))


def test_a_missing_level_is_refused_with_what_is_there():
    with pytest.raises(InputError, match="no voxel is labelled L5; labelled are L1, L2, L3, L4"):
        check_labels(column(), levels=["L4", "L5"])


def test_swapped_levels_are_refused_and_so_is_a_column_upside_down():
    labels = column()
    swapped = labels.values.copy()
    swapped[labels.values == NUMBER["L2"]] = NUMBER["L3"]
    swapped[labels.values == NUMBER["L3"]] = NUMBER["L2"]
    with pytest.raises(InputError, match="fault") as error:
        check_labels(LabelVolume(swapped, labels.affine, NAMES), levels=["L2", "L3"])
    assert "L2 lies 36.0 mm below L3 along the spine" in error.value.where

    turned = labels.affine @ np.diag([1.0, -1.0, -1.0, 1.0])
    with pytest.raises(InputError, match="3 fault"):
        check_labels(LabelVolume(labels.values, turned, NAMES), levels=["L1", "L2", "L3", "L4"])


def test_order_is_taken_along_the_spine_and_not_along_the_scanner():
    labels = column()
    angle = np.deg2rad(70.0)  # a patient bent far forwards; z differences shrink to a third
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = labels.affine.copy()
    affine[:3] = turn @ affine[:3]
    assert check_labels(LabelVolume(labels.values, affine, NAMES), levels=["L1", "L2", "L3"]).findings == ()


def test_room_for_an_unlabelled_level_between_two_is_refused():
    labels = column(("T12", "L1", "L2", "L3", "L4"))
    values = labels.values.copy()
    values[labels.values == NUMBER["L2"]] = 0
    for level, shifted in (("L3", "L2"), ("L4", "L3")):
        values[labels.values == NUMBER[level]] = NUMBER[shifted]
    with pytest.raises(InputError, match="fault") as error:
        check_labels(LabelVolume(values, labels.affine, NAMES), levels=["L1", "L2"])
    assert "L1-L2" in error.value.where
    assert "72 mm apart where 36 mm is usual" in error.value.where


def test_a_transitional_vertebra_between_two_used_levels_is_refused_and_elsewhere_listed():
    labels = column(("T12", "T13", "L1", "L2"))
    with pytest.raises(InputError, match="fault") as error:
        check_labels(labels, levels=["T12", "L1"])
    assert "T12 and L1 are no neighbours here" in error.value.where
    assert kinds(check_labels(labels, levels=["L1", "L2"])) == {("transitional", "T13", "listed")}


def test_a_level_cut_by_the_edge_is_refused_where_it_is_used():
    labels = column()
    cut = LabelVolume(labels.values[:, :, : span(0, 4)[1] - 3], labels.affine, NAMES)
    with pytest.raises(InputError, match="fault") as error:
        check_labels(cut, levels=["L1", "L2"])
    # 17 x 13 voxels of 2 x 2 mm in the last slice
    assert "cut by the edge of the volume over 884 mm2" in error.value.where
    assert kinds(check_labels(cut, levels=["L2", "L3"])) == {("cut", "L1", "listed")}
    assert kinds(check_labels(cut, levels=["L1", "L2"], accept=["cut"])) == {("cut", "L1", "listed")}


def test_the_tip_of_a_process_may_reach_the_edge():
    labels = column()
    z = span(1, 4)[0] + 6
    labels.values[17, 34:, z] = NUMBER["L2"]
    check = check_labels(labels, levels=["L2"])
    assert kinds(check) == {("cut", "L2", "listed")}
    assert "over 4 mm2" in check.findings[0].message


@pytest.mark.parametrize(("n_wide", "action"), [(3, "listed"), (13, "refused")])
def test_bodies_that_touch_are_listed_below_a_tenth_of_the_section_and_refused_above(n_wide, action):
    labels = column()
    low, high = span(1, 4)[0], span(2, 4)[1]
    labels.values[10 : 10 + n_wide, 6:12, high:low] = NUMBER["L2"]
    if action == "refused":
        with pytest.raises(InputError, match="fault") as error:
            check_labels(labels, levels=["L2", "L3"])
        assert f"near the bodies over {n_wide * 6 * 4} mm2" in error.value.where
        assert kinds(check_labels(labels, levels=["L3", "L4"])) == {("contact", "L2-L3", "listed")}
    else:
        check = check_labels(labels, levels=["L2", "L3"])
        assert kinds(check) == {("contact", "L2-L3", "listed")}
        assert f"over {n_wide * 6 * 4} mm2 (1 patches)" in check.findings[0].message
        # the shared faces lie on top of the lower body
        assert_allclose(check.findings[0].place_mm, labels.to_mm([10 + (n_wide - 1) / 2, 8.5, high - 0.5]))


@pytest.mark.parametrize("turn_deg", [0.0, 20.0, -20.0])
def test_contact_across_facets_is_listed_however_large_and_however_the_patient_lies(turn_deg):
    labels = column()
    upper, lower = span(1, 4)[0], span(2, 4)[0]
    for i in (10, 22):
        labels.values[i : i + 5, 26:33, lower + 9 : upper + 4] = NUMBER["L3"]
        labels.values[i : i + 5, 26:33, lower + 14 : upper + 9] = NUMBER["L2"]
    labels.values[10:27, 26:33, lower + 5 : lower + 9] = NUMBER["L3"]
    labels.values[10:27, 26:33, upper + 5 : upper + 9] = NUMBER["L2"]
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = labels.affine.copy()
    affine[:3] = turn @ affine[:3]

    check = check_labels(LabelVolume(labels.values, affine, NAMES), levels=["L2", "L3"])

    assert kinds(check) == {("contact", "L2-L3", "listed")}
    assert "behind the bodies (facets) over 280 mm2 (2 patches)" in check.findings[0].message


def test_a_bridge_beside_the_bodies_is_not_taken_for_facets_however_far_out():
    labels = column()
    upper, lower = span(1, 4)[0], span(2, 4)[0]
    for wing, tip in ((slice(0, 9), slice(0, 4)), (slice(26, 35), slice(31, 35))):
        labels.values[wing, 8:14, lower + 4 : lower + 10] = NUMBER["L3"]
        labels.values[wing, 8:14, upper + 4 : upper + 10] = NUMBER["L2"]
        labels.values[tip, 8:14, lower + 10 : upper] = NUMBER["L3"]
        labels.values[tip, 8:14, upper : upper + 4] = NUMBER["L2"]
    # the tips are cut by the volume's edge too: that fault is accepted here
    with pytest.raises(InputError, match="1 fault") as error:
        check_labels(labels, levels=["L2", "L3"], accept=["cut"])
    assert "near the bodies over 192 mm2 (2 patches)" in error.value.where


def test_hu_inside_bone_is_looked_at_where_the_labels_are():
    labels = column()
    hu = np.where(labels.values > 0, 200.0, 40.0)
    ct = Volume(hu, labels.affine)
    assert check_labels(labels, levels=["L2", "L3"], ct=ct).findings == ()

    with pytest.raises(InputError, match="fault") as error:
        check_labels(labels, levels=["L2"], ct=Volume(hu - 1200.0, labels.affine))
    assert "mean -1000 HU" in error.value.where

    shifted = labels.affine.copy()
    shifted[2, 3] += 60.0
    with pytest.raises(InputError, match="labels and CT do not belong together"):
        check_labels(labels, levels=["L4"], ct=Volume(hu, shifted))


def test_metal_is_listed_in_a_neighbour_and_refused_in_the_level_to_be_treated():
    labels = column()
    hu = np.where(labels.values > 0, 200.0, 40.0)
    hu[15:18, 10:13, span(1, 4)[0] + 6] = 3000.0
    ct = Volume(hu, labels.affine)
    check = check_labels(labels, levels=["L2", "L3"], ct=ct, treated="L3")
    assert kinds(check) == {("hu", "L2", "listed")}
    with pytest.raises(InputError, match="in the level to be treated"):
        check_labels(labels, levels=["L2", "L3"], ct=ct, treated="L2")


def test_wrong_requests_are_refused():
    labels = column()
    for levels, message in (
        ([], "no levels"),
        (["L1", "L3"], "not neighbours"),
        (["L1", "L1"], "not neighbours"),
        (["L9"], "unknown vertebral level"),
    ):
        with pytest.raises(InputError, match=message):
            check_labels(labels, levels=levels)
    with pytest.raises(InputError, match="the treated level 'L4' is not one of L1, L2"):
        check_labels(labels, levels=["L1", "L2"], treated="L4")


@pytest.mark.data
def test_the_lumbar_scan_passes_for_its_complete_levels_and_lists_its_known_flaws(data_dir):
    folder = data_dir / "ct_lumbar_3mm"
    labels = read_labels(folder / "labels.nii.gz", label_scheme("totalsegmentator"))
    ct = read_volume(folder / "ct.nii.gz")

    check = check_labels(labels, levels=["L1", "L2", "L3"], ct=ct, treated="L2")

    assert_array_equal(check.labels.values, labels.values)  # nothing to mend in L1 to L3
    # the flaws that the data's own description names
    assert {
        ("crumb", "L5", "listed"),
        ("cut", "T12", "listed"),
        ("size", "T11", "listed"),
        ("contact", "L1-L2", "listed"),
        ("contact", "L2-L3", "listed"),
    } <= kinds(check)
    by_place = {(f.level, "behind" in f.message) for f in check.findings if f.kind == "contact"}
    assert {("L1-L2", True), ("L2-L3", True), ("T12-L1", False)} <= by_place  # facets; T12-L1 at the disc
    assert ("L2-L3", False) not in by_place
    with pytest.raises(InputError, match="cut by the edge"):
        check_labels(labels, levels=["T12", "L1"])


@pytest.mark.data
def test_the_single_vertebra_scan_passes_for_its_complete_level_only(data_dir):
    folder = data_dir / "ct_L3_1p5mm"
    labels = read_labels(folder / "labels_vertebra.nii.gz", label_scheme("verse"))
    ct = read_volume(folder / "ct.nii.gz")
    check = check_labels(labels, levels=["L3"], ct=ct, treated="L3")
    assert ("hole", "L3", "repaired") in kinds(check)
    assert check.labels.mask("L3").sum() == labels.mask("L3").sum() + 4
    assert {("cut", "L2", "listed"), ("cut", "L4", "listed"), ("contact", "L3-L4", "listed")} <= kinds(check)
    with pytest.raises(InputError, match="cut by the edge"):
        check_labels(labels, levels=["L3", "L4"])
