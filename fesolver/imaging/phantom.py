"""Synthetic spine segments: a density image and its labels, as if from a calibrated CT, built from published numbers.

The segment goes through the same labelled-volume path as a scan, so what is learnt on it about the path holds there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import Column, PlacedVertebra, build_column
from fesolver.anatomy.dimensions import check_between
from fesolver.anatomy.levels import LEVELS
from fesolver.anatomy.posterior import arch_depth
from fesolver.anatomy.shape import body_coordinates
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.imaging.phantom_tissue import (
    PhantomTissue,
    density_from_t_score,
    inner_fraction,
    mixed_density,
    trabecular_pattern,
)
from fesolver.imaging.volume import LabelVolume, Volume

__all__ = ["DEFAULT_T_SCORE", "SyntheticSegment", "synthetic_segment"]

DEFAULT_T_SCORE = -3.0
"""Severity of the built-in segment: well inside osteoporosis (T-score of -2.5 and below)."""

_MARGIN_MM = 6.0
_MARK_MM = 8.0
_MAX_VOXELS = 60_000_000
_ARCH, _BORDER, _BODY = 41, 49, 50
"""Part numbers, those of SPINEPS."""
_PART_NAMES: Mapping[int, str] = MappingProxyType({_ARCH: "arch", _BORDER: "body_border", _BODY: "body"})
_NOTHING: Mapping[str, Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True)
class SyntheticSegment:
    """A synthetic segment and the truth behind it.

    Parameters
    ----------
    density : Volume
        Density in g/cm3 of the stated kind, (ni, nj, nk).
    kind : {"rho_qct"}
        What the density is equivalent to.
    labels : LabelVolume
        Vertebra labels on the same grid, numbered as in VerSe (`T12` is 19, `L1` is 20).
    subregions : LabelVolume
        Parts on the same grid: `body` (trabecular bone alone), `body_border` (voxels that hold shell or endplate),
        `arch`. The label path does not need it; it is the truth to compare with.
    column : Column
        Dimensions and frames the image was made from.
    trabecular_density_g_cm3 : float
        Mean of the trabecular bone of every level.
    """

    density: Volume
    kind: DensityKind
    labels: LabelVolume
    subregions: LabelVolume
    column: Column
    trabecular_density_g_cm3: float


def synthetic_segment(
    *,
    levels: Sequence[str] = ("T12", "L1", "L2"),
    t_score: float | None = None,
    density_g_cm3: float | None = None,
    voxel_mm: float = 1.0,
    seed: int = 0,
    tissue: PhantomTissue | None = None,
    dimensions: Mapping[str, Mapping[str, float]] = _NOTHING,
    discs: Mapping[str, Mapping[str, float]] = _NOTHING,
    tilt_deg: float = 10.0,
    lean_left_deg: float = 0.0,
    mark_left: bool = False,
) -> SyntheticSegment:
    """Density image and labels of a segment with published dimensions.

    Parameters
    ----------
    levels : sequence of str, optional
        Consecutive levels in any order, T10 to L5.
    t_score : float, optional
        Severity; `density_from_t_score` turns it into a density. -3 if neither this nor `density_g_cm3` is given.
    density_g_cm3 : float, optional
        Mean density of the trabecular bone instead, g/cm3 (`rho_qct`).
    voxel_mm : float, optional
        Edge of the cubic voxels, mm.
    seed : int, optional
        Changes the texture of the trabecular bone, and nothing else.
    tissue : PhantomTissue, optional
        Spatial pattern of the density.
    dimensions, discs : mapping of str to mapping, optional
        Dimensions to replace, per level and per disc: `{"L1": {"anterior_height_mm": 16.0}}`.
    tilt_deg, lean_left_deg : float, optional
        Lean of the whole segment from the scanner's z, degrees: forward, then to the patient's left. Real segments lie
        10 degrees and more off; endplates level with the voxels would become terraces, whose tilt cannot be measured.
    mark_left : bool, optional
        Make the left transverse processes 8 mm longer, to tell left from right.

    Returns
    -------
    SyntheticSegment
        Volumes in LPS+ mm with the middle of the segment at the origin.

    Raises
    ------
    InputError
        If levels, dimensions or densities cannot be used, both densities are given, or the voxel is too coarse for the
        thinnest disc.

    Notes
    -----
    The texture is a sum of waves with fixed wave vectors in the frame of each vertebra, so it is the same field on any
    grid and in any position. Trabecular density is pattern times exp(texture), scaled so that its mean over the voxels
    without shell is the one asked for in every level. The same arguments give the same bits.

    Examples
    --------
    >>> segment = synthetic_segment(levels=["L1"], density_g_cm3=0.08, voxel_mm=2.0)
    >>> core = segment.subregions.mask("body")
    >>> round(float(segment.density.values[core].mean()), 6)
    0.08
    """
    tissue = PhantomTissue() if tissue is None else tissue
    target = _target_density(t_score, density_g_cm3)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed is {seed!r}, not an integer of 0 or more")
    column = build_column(
        levels, dimensions=dimensions, discs=discs, sagittal_tilt_deg=tilt_deg, coronal_tilt_deg=lean_left_deg
    )
    _check_voxel(voxel_mm, column)
    affine, shape = _grid(column, voxel_mm)

    density = np.full(shape, tissue.soft_tissue_g_cm3)
    labels = np.zeros(shape, dtype=np.uint8)
    parts = np.zeros(shape, dtype=np.uint8)
    names = {_label_value(level): level for level in column.levels}
    for vertebra in column.vertebrae:
        box, points = _box_points(vertebra, affine, shape, voxel_mm)
        size = labels[box].shape
        extra, part = _paint(
            vertebra, points, target=target, tissue=tissue, voxel_mm=voxel_mm, seed=seed, mark_left=mark_left
        )
        bone = (part > 0).reshape(size)
        _refuse_overlap(labels[box][bone], vertebra.level, names)
        # Boxes of neighbours overlap: each adds what its bone has over the soft tissue.
        density[box] += extra.reshape(size)
        labels[box][bone] = _label_value(vertebra.level)
        parts[box][bone] = part.reshape(size)[bone]
    return SyntheticSegment(
        density=Volume(density, affine),
        kind="rho_qct",
        labels=LabelVolume(labels, affine, MappingProxyType(names)),
        subregions=LabelVolume(parts, affine, _PART_NAMES),
        column=column,
        trabecular_density_g_cm3=target,
    )


def _paint(
    vertebra: PlacedVertebra,
    points: NDArray[np.float64],
    *,
    target: float,
    tissue: PhantomTissue,
    voxel_mm: float,
    seed: int,
    mark_left: bool,
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Density over that of soft tissue, and part number (0 outside), at the voxel centres around one vertebra, (n,)."""
    local = vertebra.frame.to_local(points)
    body = body_coordinates(local, vertebra.dimensions)
    arch = arch_depth(local, vertebra.dimensions, longer_left_mm=_MARK_MM if mark_left else 0.0)
    core = inner_fraction(body.depth_mm - tissue.shell_thickness_mm, voxel_mm)
    is_core = (core == 1.0) & (arch <= -0.5 * voxel_mm)
    if not is_core.any():
        raise InputError(f"{vertebra.level} has no voxel inside its shell", fix="use a smaller voxel_mm")
    trabecular = trabecular_pattern(body, local, vertebra.level, tissue=tissue, seed=seed)
    trabecular *= target / float(np.mean(trabecular[is_core]))
    density = mixed_density(body.depth_mm, arch, core, trabecular, tissue=tissue, voxel_mm=voxel_mm)
    part = np.where(is_core, _BODY, np.where(body.depth_mm > 0.0, _BORDER, np.where(arch > 0.0, _ARCH, 0)))
    return density - tissue.soft_tissue_g_cm3, part.astype(np.uint8)


def _target_density(t_score: float | None, density_g_cm3: float | None) -> float:
    """Mean trabecular density asked for, g/cm3."""
    if t_score is not None and density_g_cm3 is not None:
        raise InputError(
            f"both t_score = {t_score:g} and density_g_cm3 = {density_g_cm3:g} are given", fix="give one of them"
        )
    if density_g_cm3 is None:
        return density_from_t_score(DEFAULT_T_SCORE if t_score is None else t_score)
    check_between("density_g_cm3", density_g_cm3, 0.001, 1.0, "g/cm3")
    return density_g_cm3


def _check_voxel(voxel_mm: float, column: Column) -> None:
    """Voxels must leave two to the thinnest part of every disc."""
    check_between("voxel_mm", voxel_mm, 0.1, 3.0, "mm")
    for gap, above, below in zip(column.discs, column.vertebrae[:-1], column.vertebrae[1:], strict=True):
        reach = 0.5 * max(above.dimensions.inferior_depth_mm, below.dimensions.superior_depth_mm)
        thinnest = gap.height_mm - reach * 2.0 * np.tan(np.radians(0.5 * abs(gap.wedge_deg)))
        if thinnest < 2.0 * voxel_mm:
            raise InputError(
                f"voxel_mm = {voxel_mm:g} is too coarse: the disc {gap.name} is {thinnest:.1f} mm at its thinnest edge",
                where=gap.name,
                fix=f"use voxel_mm = {0.5 * thinnest:.2f} or less"
                if thinnest >= 0.2
                else f"give {gap.name} more height_mm or less wedge_deg",
            )


def _label_value(level: str) -> int:
    """VerSe number of a level: C1 to C7 are 1 to 7, T1 is 8, L1 is 20."""
    return LEVELS.index(level) + 1


def _outline(vertebra: PlacedVertebra) -> NDArray[np.float64]:
    """Corners of a box around one vertebra with its processes, in the column's parent, mm, (8, 3)."""
    d = vertebra.dimensions
    half_width = 0.5 * max(d.superior_width_mm, d.inferior_width_mm, d.transverse_span_mm + 2.0 * _MARK_MM)
    half_depth = 0.5 * max(d.superior_depth_mm, d.inferior_depth_mm)
    back = half_depth + d.canal_depth_mm + d.lamina_thickness_mm + d.spinous_process_mm
    half_height = 0.5 * max(d.posterior_height_mm, d.anterior_height_mm)
    below = half_height + 0.2 * d.spinous_process_mm + 0.5 * d.pedicle_height_mm
    corners = [
        (x, y, z) for x in (-half_width, half_width) for y in (-half_depth, back) for z in (-below, half_height + 1.0)
    ]
    return vertebra.frame.to_parent(np.array(corners))


def _grid(column: Column, voxel_mm: float) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Affine and shape of a scanner-aligned grid around the column."""
    corners = np.concatenate([_outline(vertebra) for vertebra in column.vertebrae])
    low = [floor((v - _MARGIN_MM) / voxel_mm) for v in corners.min(axis=0)]
    high = [ceil((v + _MARGIN_MM) / voxel_mm) for v in corners.max(axis=0)]
    shape = (high[0] - low[0], high[1] - low[1], high[2] - low[2])
    count = shape[0] * shape[1] * shape[2]
    if count > _MAX_VOXELS:
        raise InputError(
            f"voxel_mm = {voxel_mm:g} makes {count / 1e6:.0f} million voxels",
            fix=f"use voxel_mm = {voxel_mm * (count / _MAX_VOXELS) ** (1 / 3):.2f} or more, or fewer levels",
        )
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = (np.array(low, dtype=np.float64) + 0.5) * voxel_mm
    return affine, shape


def _box_points(
    vertebra: PlacedVertebra, affine: NDArray[np.float64], shape: tuple[int, int, int], voxel_mm: float
) -> tuple[tuple[slice, slice, slice], NDArray[np.float64]]:
    """The part of the grid around one vertebra, and its voxel centres in the column's parent, mm, (n, 3)."""
    corners = (_outline(vertebra) - affine[:3, 3]) / voxel_mm
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 3, shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    axes = [affine[i, 3] + voxel_mm * np.arange(low[i], high[i]) for i in range(3)]
    return box, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _refuse_overlap(taken: NDArray[np.uint8], level: str, names: Mapping[int, str]) -> None:
    """Levels must not grow into each other, as they can with replaced dimensions."""
    if taken.any():
        other = names[int(taken.max())]
        raise InputError(
            f"{other} and {level} overlap in {int(np.count_nonzero(taken))} voxels",
            where=f"{other}-{level}",
            fix="give the disc more height_mm or less wedge_deg, or undo the dimensions that were replaced",
        )
