"""Tissues of the patient's own scan as calibration materials: what is published of them, and their CT numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.imaging.volume import Volume

__all__ = ["PUBLISHED_TISSUES", "PublishedTissue", "TissueSample", "sample_hu", "tissue_density"]

_MIN_SAMPLE_VOXELS = 30  # with 20 HU of noise the mean is then known to 4 HU


@dataclass(frozen=True)
class PublishedTissue:
    """What is published of a tissue as a calibration material.

    Parameters
    ----------
    density_g_cm3 : float or None
        Equivalent density, g/cm3; None where no value can be given without the scan's own measurement.
    kind : DensityKind
        What it is equivalent to.
    hu_range : tuple of float
        CT numbers, HU, between which a sample is believed to be this tissue, without contrast agent.
    source : str
        Paper and standing.
    """

    density_g_cm3: float | None
    kind: DensityKind
    hu_range: tuple[float, float]
    source: str


_EGGERMONT = (
    "Eggermont et al. 2019, PLoS ONE 14:e0220564 (120 kVp, CaHA phantom, peaks of the histogram; method read in the "
    "abstract, value of medium confidence, not re-read)"
)

PUBLISHED_TISSUES: Mapping[str, PublishedTissue] = MappingProxyType(
    {
        "air": PublishedTissue(-0.840, "rho_ha", (-1050.0, -900.0), _EGGERMONT),
        "fat": PublishedTissue(-0.080, "rho_ha", (-150.0, -50.0), _EGGERMONT),
        "muscle": PublishedTissue(0.030, "rho_ha", (20.0, 90.0), _EGGERMONT),
        "blood": PublishedTissue(
            None,
            "rho_ha",
            (20.0, 75.0),
            "used with air by Lee et al. 2017, Bone 103:325 (abstract; their value is not published there)",
        ),
    }
)
"""Tissues that can calibrate a scan. The densities are of medium confidence: using one makes a calibration assumed."""


@dataclass(frozen=True)
class TissueSample:
    """Where in the CT a known tissue lies.

    Parameters
    ----------
    tissue : str
        `air`, `fat`, `muscle`, `blood`, or a name of the user's own with `density_g_cm3`.
    box_mm : tuple, optional
        ((x, y, z), (x, y, z)): opposite corners of a box, LPS+ mm.
    label_values : tuple of int, optional
        Numbers in a label image instead of a box.
    density_g_cm3 : float, optional
        Equivalent density, g/cm3; needs a `source`. Without it the published value is taken.
    source : str
        Where `density_g_cm3` comes from.
    """

    tissue: str
    box_mm: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    label_values: tuple[int, ...] = ()
    density_g_cm3: float | None = None
    source: str = ""


def tissue_density(sample: TissueSample, kind: DensityKind) -> tuple[float, str, bool]:
    """Density of a sample's tissue in g/cm3, its source, and whether it is the published one.

    Raises
    ------
    InputError
        If the sample has a density without a source, or none and none of the asked kind is published.
    """
    known = PUBLISHED_TISSUES.get(sample.tissue)
    if sample.density_g_cm3 is not None:
        if not sample.source.strip():
            raise InputError(f"the density of {sample.tissue!r} has no source", fix="name the paper or the measurement")
        return sample.density_g_cm3, sample.source.strip(), False
    if known is None or known.density_g_cm3 is None:
        with_value = ", ".join(name for name, tissue in PUBLISHED_TISSUES.items() if tissue.density_g_cm3 is not None)
        raise InputError(
            f"no density is published here for {sample.tissue!r}",
            fix=f"give density_g_cm3 and its source, or use {with_value}",
        )
    if known.kind != kind:
        raise InputError(
            f"the published density of {sample.tissue} is {known.kind}, the calibration is to be {kind}",
            fix=f"calibrate to {known.kind} and convert by name, or give a density in {kind} with its source",
        )
    return known.density_g_cm3, known.source, True


def sample_hu(ct: Volume, sample: TissueSample, labels: Volume | None) -> float:
    """Median CT number of a sample, HU.

    Raises
    ------
    InputError
        If the sample names no place, lies outside the CT, is smaller than 30 voxels, or cannot be its tissue.
    """
    if (sample.box_mm is None) == (not sample.label_values):
        raise InputError(
            f"tissue sample {sample.tissue!r} has {'neither' if sample.box_mm is None else 'both'} a box and labels",
            fix="give either a box in mm or label numbers",
        )
    if sample.box_mm is not None:
        where = f"{sample.tissue}, box {sample.box_mm} mm"
        hu = _box_values(ct, sample.box_mm, where)
    else:
        where = f"{sample.tissue}, labels {sample.label_values}"
        if labels is None:
            raise InputError("a tissue sample by labels needs a label image", where=where)
        if labels.values.shape != ct.values.shape or not np.allclose(labels.affine, ct.affine, atol=1e-3):
            raise InputError("the label image of the tissue samples is not on the CT's grid", where=where)
        hu = ct.values[binary_erosion(np.isin(labels.values, sample.label_values))].astype(np.float64)
    if len(hu) < _MIN_SAMPLE_VOXELS:
        raise InputError(
            f"{len(hu)} voxels in a tissue sample",
            where=where,
            fix=f"take at least {_MIN_SAMPLE_VOXELS}, off the edges",
        )
    median = float(np.median(hu))
    known = PUBLISHED_TISSUES.get(sample.tissue)
    if known is not None and not known.hu_range[0] <= median <= known.hu_range[1]:
        low, high = known.hu_range
        raise InputError(
            f"{sample.tissue} at {median:.0f} HU (SD {hu.std():.0f}) where {low:.0f} to {high:.0f} is believed",
            where=where,
            fix="move the sample; in a scan with contrast agent blood and organs cannot calibrate",
        )
    return median


def _box_values(
    ct: Volume, box_mm: tuple[tuple[float, float, float], tuple[float, float, float]], where: str
) -> NDArray[np.float64]:
    """CT numbers of the voxels whose centres lie in a box in mm."""
    low, high = np.sort(np.asarray(box_mm, dtype=np.float64), axis=0)
    corners = np.array([[(low, high)[c][axis] for axis, c in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    index = ct.to_index(corners)
    if (index.min(axis=0) < -0.5).any() or (index.max(axis=0) > np.array(ct.values.shape) - 0.5).any():
        raise InputError("a tissue sample reaches outside the CT", where=where, fix="give LPS+ mm inside the volume")
    first = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, ct.values.shape)
    window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    places = ct.to_mm(np.moveaxis(np.indices(last - first), 0, -1) + first)
    is_inside = ((places >= low) & (places <= high)).all(axis=-1)
    return np.asarray(ct.values[window][is_inside], dtype=np.float64)
