"""Reading and writing volumes: NIfTI, NRRD, MetaImage and DICOM series, any orientation, into LPS+ millimetres."""

from __future__ import annotations

import gzip
import math
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.imaging.volume import LabelVolume, Volume

__all__ = ["READABLE_SUFFIXES", "WRITABLE_SUFFIXES", "read_labels", "read_volume", "write_volume"]

READABLE_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""Files that `read_volume` takes; a folder is read as a DICOM series."""

WRITABLE_SUFFIXES: tuple[str, ...] = (".nii", ".nii.gz", ".nrrd", ".mha")
"""Files that `write_volume` makes: one file each, so that a broken run leaves none."""

_SPACING_RANGE_MM = (0.005, 20.0)  # micro-CT to the thickest clinical slices: outside, the header's unit is not mm
_SLICE_GAP_MM = 0.01  # positions are written with two to six decimals
_MOST_LABELS = 512  # TotalSegmentator writes 118; a CT has thousands of values
_ORTHOGONAL = 1e-4  # direction cosines are stored in single precision or as short decimals


def read_volume(path: str | os.PathLike[str], *, series: str | None = None) -> Volume:
    """Read an image file or a DICOM series.

    Parameters
    ----------
    path : path-like
        A NIfTI, NRRD or MetaImage file, or the folder of a DICOM series.
    series : str, optional
        For a folder with several DICOM series: the series instance UID or the series description of the one to read.

    Returns
    -------
    Volume
        Values in index order (i, j, k), in the file's number type after its own rescaling (HU for a CT), and the affine
        from voxel index to LPS+ mm. Nothing is resampled, flipped or reordered.

    Raises
    ------
    InputError
        If the file is missing, of another format, not readable, not a three-dimensional image of one number per voxel,
        a single slice, without orientation, sheared, with a spacing that cannot be in mm, or holds a NaN or an infinity
        (the first is named with its place in mm); if a NIfTI file ends before its voxels do; if a folder holds no DICOM
        series, several and `series` does not choose one, or slices that are missing, doubled, unevenly spaced or
        sheared by a gantry tilt.

    Notes
    -----
    SimpleITK gives LPS for every format (the RAS of a NIfTI header is converted there), so the affine is its
    direction, spacing and origin as they are.
    """
    place = Path(path)
    if not place.exists():
        raise InputError(
            "no such image", where=str(place), fix="check the path; relative paths start at the study file"
        )
    image = _read_dicom(place, series) if place.is_dir() else _read_file(place)
    return _checked_volume(image, place)


def read_labels(path: str | os.PathLike[str], names: Mapping[int, str], *, series: str | None = None) -> LabelVolume:
    """Read a label image.

    Parameters
    ----------
    path : path-like
        As for `read_volume`.
    names : mapping of int to str
        What the numbers mean (`fesolver.imaging.schemes.label_scheme`); numbers without a name are background.
    series : str, optional
        As for `read_volume`.

    Returns
    -------
    LabelVolume
        Values as int32, affine, and `names`.

    Raises
    ------
    InputError
        As for `read_volume`; and if a value is not a whole number (a probability map, or labels that were
        interpolated), is negative, or there are too many (a CT); or if no number in the file has a name.
    """
    volume = read_volume(path, series=series)
    values = volume.values
    if not np.issubdtype(values.dtype, np.integer):
        off = np.argwhere(values != np.rint(values))
        if len(off):
            first = tuple(off[0])
            raise InputError(
                f"{len(off)} of {values.size} labels are not whole numbers, the first is {float(values[first]):.6g}",
                where=f"{path}, {_place_mm(volume, first)}",
                fix="give the label map itself: labels must not be interpolated, and a probability map is no label map",
            )
    found = np.unique(values)
    if found[-1] > np.iinfo(np.int32).max or found[0] < np.iinfo(np.int32).min:
        raise InputError(f"label values reach {found[0]} to {found[-1]}", where=str(path), fix="use 32-bit integers")
    if found[0] < 0 or len(found) > _MOST_LABELS:
        raise InputError(
            f"these are no labels: {len(found)} different values from {found[0]} to {found[-1]}",
            where=str(path),
            fix="give the label map; this looks like the CT itself",
        )
    if not np.isin(found, list(names)).any():
        shown = ", ".join(str(int(value)) for value in found[:12]) + (", ..." if len(found) > 12 else "")
        raise InputError(
            f"no label in the file has a name: it holds {shown}; the names are for {min(names)} to {max(names)}",
            where=str(path),
            fix="choose the label scheme that wrote the file, or give a table of label number to level",
        )
    return LabelVolume(np.ascontiguousarray(values, dtype=np.int32), volume.affine, dict(names))


def write_volume(volume: Volume, path: str | os.PathLike[str]) -> None:
    """Write a volume as NIfTI, NRRD or MetaImage; an existing file is replaced whole or not at all.

    Parameters
    ----------
    volume : Volume
        Values of any real number type; truth values become 0 and 1. The names of a `LabelVolume` have no place in these
        formats: keep them beside the file.
    path : path-like
        File ending in .nii, .nii.gz, .nrrd or .mha.

    Raises
    ------
    InputError
        If the ending is another, the folder does not exist, or the affine is sheared or singular.
    """
    sitk = _simpleitk()

    place = Path(path)
    suffix = _suffix(place)
    if suffix not in WRITABLE_SUFFIXES:
        raise InputError(
            f"no format for {place.name!r}", where=str(place), fix=f"end it in {_listed(WRITABLE_SUFFIXES)}"
        )
    if not place.parent.is_dir():
        raise InputError("no such folder", where=str(place.parent), fix="make it first")
    spacing = volume.spacing
    if not np.isfinite(volume.affine).all() or (spacing <= 0).any():
        raise InputError(f"voxel spacing {spacing.tolist()} mm cannot be written", where=str(place))
    direction = volume.affine[:3, :3] / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > _ORTHOGONAL:
        raise InputError("the volume's axes are not at right angles: image files cannot hold it", where=str(place))
    values = volume.values.astype(np.uint8) if volume.values.dtype == np.bool_ else volume.values
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(volume.affine[:3, 3].tolist())
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fesolver-") as folder:
        draft = Path(folder) / f"volume{suffix}"
        sitk.WriteImage(image, str(draft), useCompression=suffix != ".nii")
        draft.replace(place)


def _simpleitk() -> Any:
    """SimpleITK, loaded by the first call that needs it."""
    import SimpleITK

    return SimpleITK


def _read_file(path: Path) -> Any:
    """SimpleITK image of one file."""
    sitk = _simpleitk()

    if _suffix(path) not in READABLE_SUFFIXES:
        fix = f"give {_listed(READABLE_SUFFIXES)}, or the folder of a DICOM series"
        if path.suffix.lower() in ("", ".dcm", ".ima"):
            fix = f"for DICOM give the folder of the series, {path.parent}"
        raise InputError(f"{path.name!r} is of no format that is read here", where=str(path), fix=fix)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with _quiet_itk():
            reader.ReadImageInformation()
            _check_layout(reader.GetSize(), reader.GetNumberOfComponents(), path)
            # Other formats made from a NIfTI file carry its keys along, and mean nothing by them.
            is_nifti = _suffix(path) in (".nii", ".nii.gz")
            if is_nifti:
                _check_nifti_states_orientation(path, reader)
                _check_nifti_is_whole(path, reader)
            image = reader.Execute()
            if is_nifti:
                _check_nifti_is_finite(path, reader)
    except RuntimeError as error:
        raise _unreadable(path, error) from error
    while image.GetDimension() > 3:
        image = image[..., 0]
    return image


def _check_nifti_states_orientation(path: Path, header: Any) -> None:
    """Refuse a NIfTI file whose header says nothing about left and right."""
    keys = header.GetMetaDataKeys()
    codes = [header.GetMetaData(key) for key in ("qform_code", "sform_code") if key in keys]
    if codes and all(code == "0" for code in codes):
        raise InputError(
            "the NIfTI header states no orientation (qform and sform codes are 0)",
            where=str(path),
            fix="export it again from the DICOM series: left and right cannot be guessed",
        )


def _check_nifti_is_whole(path: Path, header: Any) -> None:
    """Refuse a NIfTI file that ends before its voxels do: its reader fills the rest with whatever is in memory."""
    needed = int(float(header.GetMetaData("vox_offset")))
    needed += math.prod(header.GetSize()) * int(header.GetMetaData("bitpix")) // 8
    try:
        with _opened(path) as file:
            held = 0
            while block := file.read(1 << 24):
                held += len(block)
    except (EOFError, OSError, zlib.error) as error:
        raise InputError(
            f"the file is damaged or incomplete: {error}", where=str(path), fix="copy or download it again"
        ) from error
    if held < needed:
        raise InputError(
            f"the file ends early: it holds {held} bytes, its header announces {needed}",
            where=str(path),
            fix="copy or download it again",
        )


def _opened(path: Path) -> Any:
    """A file, unpacked where it is packed with gzip, whatever its name."""
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_packed else path.open("rb")


def _check_nifti_is_finite(path: Path, header: Any) -> None:
    """Refuse NaN and infinity in a NIfTI file of floats: its reader silently turns them into zeros."""
    kind = {"16": "f4", "64": "f8"}.get(header.GetMetaData("datatype"))
    if kind is None:
        return
    with _opened(path) as file:
        order = "<" if int.from_bytes(file.read(4), "little") in (348, 540) else ">"
        file.seek(int(float(header.GetMetaData("vox_offset"))))
        shape = header.GetSize()[:3]
        values = np.frombuffer(file.read(math.prod(shape) * int(kind[1])), order + kind).reshape(shape, order="F")
    _check_is_finite(Volume(values, _affine(header)), path)


def _read_dicom(folder: Path, series: str | None) -> Any:
    """SimpleITK image of one DICOM series in a folder."""
    sitk = _simpleitk()

    try:
        with _quiet_itk():
            files = {
                uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
                for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
            }
            names = files[_choose_series(folder, files, series)]
            headers = [_dicom_header(name) for name in names]
            if len(names) > 1:
                _check_slices(folder, headers)
            _check_layout((*headers[0].GetSize()[:2], max(len(names), headers[0].GetSize()[2])), 1, folder)
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(names)
            return reader.Execute() if len(names) > 1 else sitk.ReadImage(names[0])
    except RuntimeError as error:
        raise _unreadable(folder, error) from error


def _dicom_header(name: str) -> Any:
    """Header of one DICOM file, as a SimpleITK reader that has read no pixels."""
    sitk = _simpleitk()

    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return reader


def _choose_series(folder: Path, files: Mapping[str, tuple[str, ...]], series: str | None) -> str:
    """UID of the series to read."""
    if not files:
        raise InputError(
            "the folder holds no DICOM series", where=str(folder), fix="give the folder of the slices itself"
        )
    if series is None and len(files) == 1:
        return next(iter(files))
    described = {uid: _dicom_text(_dicom_header(names[0]), "0008|103e") for uid, names in files.items()}
    chosen = [uid for uid in files if series is not None and series.strip() in (uid, described[uid])]
    if len(chosen) == 1:
        return chosen[0]
    table = "\n".join(f"    {uid}  {described[uid]!r}, {len(files[uid])} files" for uid in files)
    what = (
        f"{len(files)} DICOM series in one folder" if series is None else f"DICOM series {series!r} is not one of these"
    )
    raise InputError(f"{what}:\n{table}", where=str(folder), fix="choose one by its series UID or its description")


def _check_slices(folder: Path, headers: list[Any]) -> None:
    """Refuse slices that are missing, doubled, differently laid out, or shifted sideways (gantry tilt)."""
    layouts = {
        (header.GetSize(), tuple(np.round(header.GetSpacing()[:2], 6)), tuple(np.round(header.GetDirection(), 5)))
        for header in headers
    }
    if len(layouts) > 1:
        raise InputError(
            f"the slices of the series have {len(layouts)} different sizes, pixel spacings or orientations",
            where=str(folder),
            fix="take out scouts and reformatted slices",
        )
    normal = np.reshape(headers[0].GetDirection(), (3, 3))[:, 2]
    origins = np.array([header.GetOrigin() for header in headers])
    heights = origins @ normal
    origins, heights = origins[np.argsort(heights)], np.sort(heights)
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    odd = np.flatnonzero(np.abs(gaps - usual) > max(_SLICE_GAP_MM, 0.01 * usual))
    if usual <= _SLICE_GAP_MM or len(odd):
        at = int(odd[0]) if len(odd) else 0
        raise InputError(
            f"uneven slices: {len(odd)} of {len(gaps)} gaps differ from the usual {usual:.3f} mm, "
            f"the first is {gaps[at]:.3f} mm",
            where=f"{folder}, between slices {at + 1} and {at + 2} at {_mm(origins[at])} and {_mm(origins[at + 1])}",
            fix="complete the series; slices at one place are several scans in one series: separate them",
        )
    shift = np.diff(origins, axis=0) - np.outer(gaps, normal)
    sideways = float(np.abs(shift).max())
    if sideways > max(_SLICE_GAP_MM, 0.01 * usual):
        raise InputError(
            f"each slice is shifted sideways by {sideways:.3f} mm: the gantry was tilted",
            where=str(folder),
            fix="have the scanner's software correct the tilt, or resample the series onto right angles first",
        )


def _check_layout(size: tuple[int, ...], n_components: int, path: Path) -> None:
    """Refuse what is not a three-dimensional image of one number per voxel."""
    shown = " x ".join(map(str, size))
    if n_components != 1:
        raise InputError(
            f"{n_components} numbers per voxel (colour or vectors)", where=str(path), fix="give one number per voxel"
        )
    if len(size) < 3 or any(n > 1 for n in size[3:]):
        raise InputError(
            f"an image of {shown} is not a volume", where=str(path), fix="give one three-dimensional volume"
        )
    if min(size[:3]) < 2:
        raise InputError(f"a volume of {shown} voxels is a single slice", where=str(path), fix="give the whole volume")


def _checked_volume(image: Any, path: Path) -> Volume:
    """Volume of a SimpleITK image, refused where its numbers or its geometry cannot be right."""
    sitk = _simpleitk()

    spacing = np.array(image.GetSpacing())
    direction = np.reshape(image.GetDirection(), (3, 3))
    low, high = _SPACING_RANGE_MM
    if not ((spacing >= low) & (spacing <= high)).all():
        raise InputError(
            f"voxel spacing {_mm(spacing)} is outside {low} to {high} mm",
            where=str(path),
            fix="correct the spacing in the header; it is read in mm",
        )
    if np.abs(direction.T @ direction - np.eye(3)).max() > _ORTHOGONAL:
        raise InputError("the image axes are not at right angles", where=str(path), fix="resample it onto right angles")
    values: NDArray[Any] = np.ascontiguousarray(sitk.GetArrayViewFromImage(image).T)
    volume = Volume(values, _affine(image))
    if np.issubdtype(values.dtype, np.complexfloating):
        raise InputError("the image holds complex numbers", where=str(path), fix="give one real number per voxel")
    _check_is_finite(volume, path)
    return volume


def _check_is_finite(volume: Volume, path: Path) -> None:
    """Refuse NaN and infinity, with the place of the first."""
    if np.issubdtype(volume.values.dtype, np.floating) and not np.isfinite(volume.values).all():
        bad = np.argwhere(~np.isfinite(volume.values))
        raise InputError(
            f"{len(bad)} of {volume.values.size} voxels are NaN or infinite",
            where=f"{path}, the first at {_place_mm(volume, tuple(bad[0]))}",
            fix="replace them in the source, or crop the volume to where it is known",
        )


def _affine(header: Any) -> NDArray[np.float64]:
    """Voxel index to LPS+ mm of a SimpleITK image or reader; the first three axes of a longer header."""
    n = len(header.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(header.GetDirection(), (n, n))[:3, :3] * header.GetSpacing()[:3]
    affine[:3, 3] = header.GetOrigin()[:3]
    return affine


def _unreadable(path: Path, error: RuntimeError) -> InputError:
    """The reader's refusal as one line of ours."""
    reason = str(error).strip().splitlines()[-1].removeprefix("sitk::ERROR:").strip()
    if "No such file" in reason:  # what MetaImage says of a file that ends early
        reason = "it ends early, or is damaged"
    elif "Unable to determine ImageIO reader" in reason:
        reason = f"its content is not {_suffix(path)}, whatever its name"
    return InputError(f"the image cannot be read: {reason}", where=str(path), fix="check that the file is whole")


def _dicom_text(header: Any, tag: str) -> str:
    """Text of a DICOM tag, empty where there is none."""
    return str(header.GetMetaData(tag)).strip() if header.HasMetaDataKey(tag) else ""


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """Keep ITK's own warnings off the terminal: what matters of them is raised here."""
    sitk = _simpleitk()

    was_shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(was_shown)


def _suffix(path: Path) -> str:
    """Ending of a file name, `.nii.gz` whole."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def _listed(names: tuple[str, ...]) -> str:
    """Names as words."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _place_mm(volume: Volume, index: tuple[Any, ...]) -> str:
    """Voxel index and its place, as text."""
    return f"voxel {tuple(int(i) for i in index)} at {_mm(volume.to_mm(index))}"


def _mm(point: NDArray[np.float64]) -> str:
    """A point or three lengths as text."""
    return "(" + ", ".join(f"{value:.4g}" if abs(value) < 10 else f"{value:.1f}" for value in point) + ") mm"
