"""Where the bodies, canals and endplates of labelled vertebrae are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.anatomy.levels import LEVELS, sort_levels
from fesolver.errors import InputError
from fesolver.imaging.canal import Canal, CutPlane, cut_at_canal, find_canal
from fesolver.imaging.endplates import fit_endplates
from fesolver.imaging.frames import oriented_frame
from fesolver.imaging.indicator import Indicator, filled_points, smooth_indicator
from fesolver.imaging.volume import LabelVolume, VertebraGeometry

__all__ = ["BODY_PARTS", "VertebraParts", "body_mask", "locate_vertebrae"]

BODY_PARTS = ("body", "body_border")
"""Part names of subregion labels that make up the vertebral body."""

_LEFT, _POSTERIOR, _CRANIAL = np.eye(3)
_STEP_MM = 1.0
_MIN_SOLIDITY = 0.85
_MAX_TURN_DEG = 30.0
_MIN_BODY_SHARE = 0.45


@dataclass(frozen=True)
class VertebraParts:
    """One vertebra taken apart.

    Parameters
    ----------
    level : str
        Vertebral level.
    geometry : VertebraGeometry
        Body frame and endplates, in scanner space (LPS+ mm).
    cut_point, cut_normal : (3,) ndarray or None
        Plane between the body and the posterior elements, LPS+ mm; the normal points posteriorly. None where
        the body comes from subregion labels or is all there is.
    source : {"canal", "subregions", "body_labels"}
        How the body was told from the rest.
    """

    level: str
    geometry: VertebraGeometry
    cut_point: NDArray[np.float64] | None
    cut_normal: NDArray[np.float64] | None
    source: Literal["canal", "subregions", "body_labels"]


def body_mask(labels: LabelVolume, level: str, subregions: LabelVolume | None) -> NDArray[np.bool_]:
    """Voxels of the vertebra's body by subregion labels, or of the whole vertebra without them.

    Raises
    ------
    InputError
        If the two label volumes are on different grids, or the subregions hold no body for the level.
    """
    mask = labels.mask(level)
    if subregions is None:
        return mask
    if subregions.values.shape != labels.values.shape or not np.allclose(subregions.affine, labels.affine, atol=1e-3):
        raise InputError(
            f"subregion labels ({subregions.values.shape}) and vertebra labels ({labels.values.shape}) are on "
            "different grids",
            fix="give both on the same voxels",
        )
    # Subregion numbers repeat from level to level: only together with the vertebra's label do they mean one body.
    body = mask & (subregions.mask(BODY_PARTS[0]) | subregions.mask(BODY_PARTS[1]))
    if mask.any() and body.sum() < 0.1 * mask.sum():
        raise InputError(
            f"{level}: the subregion labels give its body {int(body.sum())} of {int(mask.sum())} voxels",
            fix=f"name the body's parts {' and '.join(map(repr, BODY_PARTS))}, or leave the subregions out",
        )
    parts, count = ndimage.label(body)
    if count > 1:
        body = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return body


def _solidity(points: NDArray[np.float64], volume: float) -> float:
    """Volume over that of the convex hull."""
    from scipy.spatial import ConvexHull

    return volume / float(ConvexHull(points).volume)


def _spine_direction(labels: LabelVolume, levels: Sequence[str]) -> NDArray[np.float64]:
    """Cranial direction: from the lowest to the highest level's centroid, or the scanner's z for a single level."""
    if len(levels) < 2:
        return _CRANIAL.copy()
    ends = [labels.to_mm(np.argwhere(labels.mask(level)).mean(axis=0)) for level in (levels[-1], levels[0])]
    direction = ends[1] - ends[0]
    return np.asarray(direction / np.linalg.norm(direction))


def _refuse_cut_body(labels: LabelVolume, mask: NDArray[np.bool_], level: str, cut: CutPlane | None) -> None:
    """Raise where voxels of the body lie on the volume's edge: what looks like an endplate there is the edge."""
    index = np.argwhere(mask)
    on_edge = ((index == 0) | (index == np.array(mask.shape) - 1)).any(axis=1)
    touching = labels.to_mm(index[on_edge])
    if cut is not None:
        touching = touching[(touching - cut.point) @ cut.normal < 0]
    if len(touching):
        raise InputError(
            f"{level}: its body is cut by the edge of the volume ({len(touching)} voxels on it)",
            where=f"near {np.round(touching.mean(axis=0), 1).tolist()} mm (LPS)",
            fix="leave this level out, or use a scan that holds the whole body",
        )


def _check_posterior(level: str, body: NDArray[np.float64], canal: Canal, axis: NDArray[np.float64]) -> None:
    """Raise where the canal does not lie behind the body as the image's orientation says."""
    towards = canal.outline.mean(axis=0) - body.mean(axis=0)
    towards -= axis * (towards @ axis)
    behind = np.cross(axis, _LEFT - axis * (axis @ _LEFT))
    cosine = float(towards @ behind / (np.linalg.norm(towards) * np.linalg.norm(behind)))
    angle = float(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))
    if angle > _MAX_TURN_DEG:
        raise InputError(
            f"{level}: its canal lies {angle:.0f} degrees off the posterior direction of the image's orientation",
            where=f"near {np.round(body.mean(axis=0), 1).tolist()} mm (LPS)",
            fix="the orientation (direction cosines, axis codes) of the file is wrong, or the patient lay turned",
        )


def _find_cut(
    labels: LabelVolume, level: str, filled: NDArray[np.float64], volume: float, up: NDArray[np.float64], pixel: float
) -> tuple[Canal, CutPlane] | None:
    """Canal and cut plane of one vertebra, None for a label that is a body alone."""
    canal = find_canal(filled, up=up, lateral=_LEFT, pixel=pixel)
    if canal is None:
        solidity = _solidity(filled, volume)
        if solidity >= _MIN_SOLIDITY:
            return None
        raise InputError(
            f"{level}: no direction shows a closed canal, and its label is no body alone either (it fills "
            f"{100 * solidity:.0f} % of its convex hull; a body fills {100 * _MIN_SOLIDITY:.0f} % or more)",
            where=f"near {np.round(filled.mean(axis=0), 1).tolist()} mm (LPS)",
            fix="repair the label's arch, or give subregion labels with 'body'",
        )
    cut = cut_at_canal(filled, canal, posterior=_POSTERIOR)
    share = float(np.mean((filled - cut.point) @ cut.normal < 0))
    if share < _MIN_BODY_SHARE:
        raise InputError(
            f"{level}: only {100 * share:.0f} % of the vertebra lie in front of its canal, a body is more than half",
            where=f"near {np.round(filled.mean(axis=0), 1).tolist()} mm (LPS)",
            fix="front and back are exchanged: the orientation (direction cosines, axis codes) of the file is wrong",
        )
    return canal, cut


def _locate(labels: LabelVolume, level: str, subregions: LabelVolume | None, up: NDArray[np.float64]) -> VertebraParts:
    """Take one vertebra apart."""
    whole = smooth_indicator(labels.mask(level), labels.affine, where=f"level {level}")
    filled, point_volume = filled_points(whole, _STEP_MM)
    pixel = max(_STEP_MM, float(np.cbrt(point_volume)) * 1.05)
    cut: CutPlane | None = None
    canal: Canal | None = None
    source: Literal["canal", "subregions", "body_labels"]
    indicator: Indicator = whole
    if subregions is not None:
        source = "subregions"
        mask = body_mask(labels, level, subregions)
        indicator = smooth_indicator(mask, labels.affine, where=f"body of {level}")
        canal = find_canal(filled, up=up, lateral=_LEFT, pixel=pixel)
        body_points, _ = filled_points(indicator, _STEP_MM)
    else:
        mask = labels.mask(level)
        found = _find_cut(labels, level, filled, len(filled) * point_volume, up, pixel)
        source = "canal" if found else "body_labels"
        body_points = filled
        if found:
            canal, cut = found
            body_points = filled[(filled - cut.point) @ cut.normal < 0]
    _refuse_cut_body(labels, mask, level, cut)

    def body(at: NDArray[np.float64]) -> NDArray[np.float64]:
        field = indicator(at) - 0.5
        return field if cut is None else np.where((at - cut.point) @ cut.normal < 0, field, -0.5)

    axis = canal.axis if canal is not None else up
    # Extent of one voxel along the axis.
    voxel_mm = float(np.abs(labels.affine[:3, :3].T @ axis).max())
    superior, inferior, axis = fit_endplates(body, body_points, axis=axis, left=_LEFT, voxel_mm=voxel_mm, where=level)
    if canal is not None:
        _check_posterior(level, body_points, canal, axis)
    geometry = VertebraGeometry(
        level=level,
        frame=oriented_frame(body_points.mean(axis=0), axis),
        superior_centroid=superior.centroid,
        superior_normal=superior.normal,
        inferior_centroid=inferior.centroid,
        inferior_normal=inferior.normal,
        superior_area_mm2=superior.area_mm2,
        inferior_area_mm2=inferior.area_mm2,
        canal_area_mm2=canal.area_mm2 if canal is not None and source == "canal" else 0.0,
    )
    return VertebraParts(
        level, geometry, None if cut is None else cut.point, None if cut is None else cut.normal, source
    )


def locate_vertebrae(
    labels: LabelVolume, *, levels: Sequence[str], subregions: LabelVolume | None = None
) -> dict[str, VertebraParts]:
    """Find body, canal and endplates of each level.

    Parameters
    ----------
    labels : LabelVolume
        Vertebra labels, in any orientation.
    levels : sequence of str
        Levels wanted, e.g. `["L1", "L2", "L3"]`.
    subregions : LabelVolume, optional
        Part labels on the same grid with the names `body` and `body_border`; where given they decide what is body.

    Returns
    -------
    dict of str to VertebraParts
        Cranial first, in scanner space.

    Raises
    ------
    InputError
        If a level is not in the labels, is cut by the volume's edge at its body, has neither a canal nor the shape of a
        body alone (a label that fills less than 85 % of its convex hull), or stands against the image's orientation.
    """
    ordered = sort_levels(levels)
    present = set(labels.names.values())
    for level in ordered:
        if level not in present or not labels.mask(level).any():
            held = sort_levels({name for name in present if name in LEVELS and labels.mask(name).any()})
            raise InputError(
                f"level {level} is not in the labels, which hold {', '.join(held) or 'no vertebra'}",
                fix="choose levels that are there, or check the label scheme",
            )
    up = _spine_direction(labels, ordered)
    return {level: _locate(labels, level, subregions, up) for level in ordered}
