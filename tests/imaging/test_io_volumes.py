"""Volumes read to the same place in LPS+ mm, whatever the format and the orientation they were saved in."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.errors import InputError
from fesolver.imaging.io import read_labels, read_volume, write_volume
from fesolver.imaging.volume import LabelVolume, Volume

SPACING = np.array([1.0, 1.5, 2.5])
# A head-to-toe L with a foot to the left: no rotation or reflection maps it onto itself.
MARKS = {(2, 3, 1): 100, (2, 3, 5): 200, (8, 3, 1): 300, (2, 9, 1): 400}


def marked_image(direction: np.ndarray | None = None) -> SimpleITK.Image:
    values = np.zeros((11, 12, 7), dtype=np.int16)
    for index, value in MARKS.items():
        values[index] = value
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing(SPACING.tolist())
    image.SetOrigin([-20.0, 30.0, 400.0])
    if direction is not None:
        image.SetDirection(direction.ravel().tolist())
    return image


def places(volume: Volume) -> dict[int, np.ndarray]:
    return {value: volume.to_mm(np.argwhere(volume.values == value)[0]) for value in MARKS.values()}


def rotation(axis: np.ndarray, angle_deg: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(angle_deg)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LPI", "PIR", "SAL"])
def test_marks_lie_at_the_same_points_in_every_orientation_and_format(tmp_path, orientation, suffix):
    path = tmp_path / f"marks{suffix}"
    SimpleITK.WriteImage(SimpleITK.DICOMOrient(marked_image(), orientation), str(path))

    found = places(read_volume(path))

    for index, value in MARKS.items():
        # 1e-4 mm: NIfTI keeps its affine in single precision
        assert_allclose(found[value], np.array([-20, 30, 400]) + index * SPACING, atol=1e-4)


@pytest.mark.parametrize("orientation", ["LPS", "PIR"])
def test_marks_of_an_oblique_scan_lie_where_its_rotation_puts_them(tmp_path, orientation):
    turned = rotation(np.array([1.0, 2.0, -0.5]), 23.0)
    path = tmp_path / "oblique.nii.gz"
    SimpleITK.WriteImage(
        SimpleITK.PermuteAxes(marked_image(turned), (1, 2, 0)) if orientation == "PIR" else marked_image(turned),
        str(path),
    )

    found = places(read_volume(path))

    for index, value in MARKS.items():
        assert_allclose(found[value], np.array([-20, 30, 400]) + turned @ (index * SPACING), atol=1e-4)


def test_a_nifti_header_in_ras_is_turned_to_lps_once(tmp_path):
    # Written byte by byte, so that no library's own convention stands on both sides.
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 4, 3, 2, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, 2, 2, 2, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    struct.pack_into("<f", header, 112, 1)
    header[123] = 2  # mm
    struct.pack_into("<2h", header, 252, 0, 1)
    struct.pack_into("<12f", header, 280, 2, 0, 0, -10, 0, 2, 0, 5, 0, 0, 2, 50)
    header[344:348] = b"n+1\0"
    values = np.zeros((4, 3, 2), dtype="<i2")
    values[0, 2, 1] = 7  # RAS (-10, 9, 52): 10 mm to the patient's left, 9 mm anterior, 52 mm superior
    path = tmp_path / "ras.nii.gz"
    path.write_bytes(gzip.compress(bytes(header) + values.tobytes(order="F")))

    volume = read_volume(path)

    assert_allclose(volume.to_mm(np.argwhere(volume.values == 7)[0]), [10.0, -9.0, 52.0], atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_written_volume_reads_back_as_it_was(tmp_path, suffix):
    affine = np.eye(4)
    affine[:3, :3] = rotation(np.array([0.2, 1.0, 0.4]), -37.0) * np.array([0.7, 0.8, 1.25]) * [1, -1, 1]
    affine[:3, 3] = 12.5, -80.25, 300.0
    values = np.random.default_rng(3).normal(size=(5, 6, 7))
    path = tmp_path / f"volume{suffix}"

    write_volume(Volume(values, affine), path)
    back = read_volume(path)

    assert_array_equal(back.values, values)
    assert_allclose(back.affine, affine, atol=2e-5)  # single precision of NIfTI
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_written_labels_read_back_with_their_names(tmp_path):
    values = np.zeros((4, 4, 4), dtype=np.int32)
    values[1:3, 1:3, 1:3] = 20
    write_volume(LabelVolume(values, np.diag([2.0, 2.0, 2.0, 1.0]), {20: "L1"}), tmp_path / "labels.nii.gz")

    labels = read_labels(tmp_path / "labels.nii.gz", {20: "L1"})

    assert labels.values.dtype == np.int32
    assert labels.mask("L1").sum() == 8


def test_whole_numbers_kept_as_floats_are_labels_and_others_are_not(tmp_path):
    values = np.zeros((4, 4, 4), dtype=np.float32)
    values[1:3, 1:3, 1:3] = 20.0
    write_volume(Volume(values, np.eye(4)), tmp_path / "whole.nii.gz")
    assert read_labels(tmp_path / "whole.nii.gz", {20: "L1"}).mask("L1").sum() == 8

    values[3, 0, 2] = 19.5
    write_volume(Volume(values, np.eye(4)), tmp_path / "blurred.nii.gz")
    with pytest.raises(InputError, match=r"1 of 64 labels are not whole numbers, the first is 19\.5") as error:
        read_labels(tmp_path / "blurred.nii.gz", {20: "L1"})
    assert "blurred.nii.gz, voxel (3, 0, 2) at (3, 0, 2) mm" in str(error.value)


def test_labels_of_another_scheme_are_refused_with_what_the_file_holds(tmp_path):
    values = np.zeros((3, 3, 3), dtype=np.uint8)
    values[1, 1, 1] = 5
    write_volume(Volume(values, np.eye(4)), tmp_path / "labels.nrrd")
    with pytest.raises(InputError, match="it holds 0, 5; the names are for 20 to 21"):
        read_labels(tmp_path / "labels.nrrd", {20: "L1", 21: "L2"})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_nan_is_refused_with_its_place_in_mm(tmp_path, suffix, dtype):
    # ITK's NIfTI reader turns NaN into 0, which would pass as water.
    values = np.zeros((4, 5, 6), dtype=dtype)
    values[1, 2, 3] = np.nan
    values[3, 4, 5] = np.inf
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    path = tmp_path / f"ct{suffix}"
    write_volume(Volume(values, affine), path)
    with pytest.raises(InputError, match="2 of 120 voxels are NaN or infinite") as error:
        read_volume(path)
    assert f"{path}, the first at voxel (1, 2, 3) at (-1, -4, 9) mm" in str(error.value)


def write_array(path: Path, array: np.ndarray, *, is_vector: bool = False, spacing: float = 1.0) -> Path:
    image = SimpleITK.GetImageFromArray(array, isVector=is_vector)
    image.SetSpacing([spacing] * image.GetDimension())
    SimpleITK.WriteImage(image, str(path))
    return path


def test_images_that_are_no_volume_are_refused_with_their_path(tmp_path):
    volume = np.zeros((3, 4, 5), dtype=np.int16)
    cases = {
        "single slice": write_array(tmp_path / "slice.nii.gz", volume[:1]),
        "5 x 4 x 3 x 2 is not a volume": write_array(tmp_path / "series.nii.gz", np.stack([volume] * 2)),
        "5 x 4 is not a volume": write_array(tmp_path / "flat.mha", volume[0]),
        "3 numbers per voxel": write_array(tmp_path / "colour.mha", np.stack([volume] * 3, -1), is_vector=True),
        "spacing .* is outside": write_array(tmp_path / "metres.mha", volume, spacing=0.001),
        "no such image": tmp_path / "absent.nii.gz",
        "of no format": tmp_path / "notes.txt",
        "cannot be read": tmp_path / "broken.nrrd",
    }
    cases["of no format"].write_text("text")
    cases["cannot be read"].write_text("text")
    for message, path in cases.items():
        with pytest.raises(InputError, match=message) as error:
            read_volume(path)
        assert str(path) in str(error.value)
        assert error.value.fix


def test_a_fourth_axis_of_length_one_is_dropped(tmp_path):
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    assert_array_equal(read_volume(write_array(tmp_path / "one.nii.gz", volume[None])).values, volume.T)


def test_a_nifti_header_without_orientation_is_refused(tmp_path):
    path = write_array(tmp_path / "blind.nii", np.zeros((3, 4, 5), dtype=np.int16))
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2h", raw, 252, 0, 0)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="states no orientation"):
        read_volume(path)


def test_writing_refuses_what_it_cannot_hold(tmp_path):
    volume = Volume(np.zeros((3, 3, 3)), np.eye(4))
    with pytest.raises(InputError, match="no format"):
        write_volume(volume, tmp_path / "volume.png")
    with pytest.raises(InputError, match="no such folder"):
        write_volume(volume, tmp_path / "absent" / "volume.mha")
    sheared = np.eye(4)
    sheared[0, 2] = 0.2
    with pytest.raises(InputError, match="right angles"):
        write_volume(Volume(volume.values, sheared), tmp_path / "volume.mha")
    assert list(tmp_path.iterdir()) == []


def write_series(folder: Path, image: SimpleITK.Image, uid: str, description: str, *, tilt: float = 0.0) -> list[Path]:
    """One DICOM file per slice; `tilt` shifts each slice sideways by so many mm."""
    folder.mkdir(exist_ok=True)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = np.reshape(image.GetDirection(), (3, 3))
    files = []
    for k in range(image.GetDepth()):
        slice_ = image[:, :, k]
        origin = np.add(image.TransformIndexToPhysicalPoint((0, 0, k)), [0.0, tilt * k, 0.0])
        for tag, text in {
            "0008|0060": "CT",
            "0008|103e": description,
            "0008|0018": f"{uid}.{k + 1}",
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0020|0013": str(k + 1),
            "0020|0032": "\\".join(f"{x:.5f}" for x in origin),
            "0020|0037": "\\".join(f"{x:.6f}" for x in direction[:, :2].T.ravel()),
            "0028|1052": "-1024",
            "0028|1053": "1",
        }.items():
            slice_.SetMetaData(tag, text)
        files.append(folder / f"{description}_{image.GetDepth() - k:03d}.dcm")
        writer.SetFileName(str(files[-1]))
        writer.Execute(slice_)
    return files


def test_a_dicom_series_reads_to_the_same_points_and_hu(tmp_path):
    turned = rotation(np.array([1.0, 0.0, 0.0]), 12.0)
    write_series(tmp_path / "ct", marked_image(turned), "1.2.3.4", "bone")

    volume = read_volume(tmp_path / "ct")

    assert set(np.unique(volume.values)) == {0, *MARKS.values()}  # HU: the file's own rescaling is applied
    for index, value in MARKS.items():
        place = np.array([-20, 30, 400]) + turned @ (index * SPACING)
        assert_allclose(places(volume)[value], place, atol=1e-3)  # positions have five decimals, cosines six


def test_several_dicom_series_are_listed_and_one_is_chosen(tmp_path):
    folder = tmp_path / "ct"
    write_series(folder, marked_image(), "1.2.3.4", "bone")
    write_series(folder, marked_image() + 1, "1.2.3.5", "soft")
    with pytest.raises(InputError, match="2 DICOM series in one folder") as error:
        read_volume(folder)
    assert "1.2.3.4  'bone', 7 files" in str(error.value)
    assert read_volume(folder, series="1.2.3.4").values.min() == 0
    assert read_volume(folder, series="soft").values.min() == 1
    with pytest.raises(InputError, match="'lung' is not one of these"):
        read_volume(folder, series="lung")


def test_a_dicom_series_with_a_missing_slice_is_refused_with_its_place(tmp_path):
    files = write_series(tmp_path / "ct", marked_image(), "1.2.3.4", "bone")
    files[3].unlink()
    with pytest.raises(InputError, match=r"the usual 2\.500 mm, the first is 5\.000 mm") as error:
        read_volume(tmp_path / "ct")
    assert "between slices 3 and 4 at (-20.0, 30.0, 405.0) mm" in str(error.value)


def test_a_tilted_gantry_and_an_empty_folder_are_refused(tmp_path):
    write_series(tmp_path / "tilted", marked_image(), "1.2.3.4", "bone", tilt=0.4)
    with pytest.raises(InputError, match=r"shifted sideways by 0\.400 mm"):
        read_volume(tmp_path / "tilted")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no DICOM series"):
        read_volume(tmp_path / "empty")


@pytest.mark.data
def test_real_scans_read_with_their_orientation(data_dir):
    lumbar = read_volume(data_dir / "ct_lumbar_3mm" / "ct.nii.gz")
    assert lumbar.values.shape == (48, 51, 79)
    assert_allclose(np.diag(lumbar.affine)[:3], [-3.0, -3.0, 3.0])  # RAS: indices run to the right and forwards
    single = read_volume(data_dir / "ct_L3_1p5mm" / "ct.nii.gz")
    # P-I-R: the first index runs to posterior (+y), the second to inferior (-z), the third to the right (-x)
    assert_allclose(single.affine[:3, :3], 1.5 * np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]]), atol=1e-6)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.4, 0.95])
def test_a_file_that_ends_early_is_refused_and_never_filled_with_what_is_in_memory(tmp_path, suffix, share):
    whole = tmp_path / f"whole{suffix}"
    noise = np.random.default_rng(0).integers(-1000, 1000, (20, 21, 22)).astype(np.int16)  # does not pack
    write_volume(Volume(noise, np.eye(4)), whole)
    part = tmp_path / f"part{suffix}"
    part.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])

    with pytest.raises(InputError, match=r"ends early|incomplete|expected|cannot be read"):
        read_volume(part)


def test_keys_that_another_format_took_from_a_nifti_file_mean_nothing(tmp_path):
    SimpleITK.WriteImage(SimpleITK.Cast(marked_image(), SimpleITK.sitkFloat32), str(tmp_path / "a.nii.gz"))
    copy = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    assert copy.HasMetaDataKey("vox_offset")
    for key in ("qform_code", "sform_code"):
        copy.SetMetaData(key, "0")
    SimpleITK.WriteImage(copy, str(tmp_path / "b.nrrd"), useCompression=True)

    assert_array_equal(read_volume(tmp_path / "b.nrrd").values, read_volume(tmp_path / "a.nii.gz").values)


@pytest.mark.parametrize("values", [[-5, 31], range(600)])
def test_an_image_of_many_or_negative_values_is_no_label_map(tmp_path, values):
    picture = np.resize(np.array(values, dtype=np.int16), (10, 10, 10))
    write_volume(Volume(picture, np.eye(4)), tmp_path / "ct.nrrd")

    with pytest.raises(InputError, match="these are no labels"):
        read_labels(tmp_path / "ct.nrrd", {31: "L1"})
