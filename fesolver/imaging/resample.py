"""One resampling: from scanner voxels to the cells of a grid in the segment's own frame."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import LEVELS, sort_levels
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.imaging.frames import geometry_in, segment_frame
from fesolver.imaging.indicator import Indicator, smooth_indicator
from fesolver.imaging.parts import VertebraParts, body_mask, locate_vertebrae
from fesolver.imaging.segment_density import check_density, label_fractions, with_density
from fesolver.imaging.volume import LabelVolume, SegmentImage, Volume

__all__ = ["build_segment_image"]

_log = logging.getLogger("fesolver")

_MARGIN_CELLS = 3
_MAX_VOLUME_CHANGE = 0.04
_MAX_CELLS = 200_000_000
_LEFT_OUT = 0.4
"""Level of the smoothed label of posterior elements that are left out: below one half, so that they reach the body."""
_ROOT_MM = 3.0
"""Shortest way, backwards, that bone goes on where an arch is rooted; what is thinner lies on the wall. A choice."""


@dataclass(frozen=True)
class _Grid:
    """Cells of the target grid."""

    frame: Frame
    origin: NDArray[np.float64]
    spacing: float
    shape: tuple[int, int, int]

    def sample_points(self, box: tuple[slice, slice, slice], parts: int) -> NDArray[np.float64]:
        """Midpoints of the sub-cells in a box of cells, scanner mm, (nx parts, ny parts, nz parts, 3)."""
        axes = [
            self.origin[a] + self.spacing * (part.start + (np.arange((part.stop - part.start) * parts) + 0.5) / parts)
            for a, part in enumerate(box)
        ]
        x, y, z = (axis[:, None] * row for axis, row in zip(axes, self.frame.axes, strict=True))
        return np.asarray(self.frame.origin + x[:, None, None] + y[None, :, None] + z[None, None, :])


@dataclass(frozen=True)
class _Piece:
    """One label field to be put on the grid: a body, or the posterior elements of a level."""

    level: str
    number: int
    is_body: bool
    indicator: Indicator
    cut: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    target_mm3: float

    def corners(self) -> NDArray[np.float64]:
        """Voxels of the piece, scanner mm."""
        points = self.indicator.to_mm(np.argwhere(self.indicator.mask))
        if self.cut is not None:
            reach = float(np.linalg.norm(self.indicator.affine[:3, :3], axis=0).max())
            side = (points - self.cut[0]) @ self.cut[1]
            points = points[side < reach] if self.is_body else points[side > -reach]
        return points


def _cut_fraction(indicator: Indicator, cut: tuple[NDArray[np.float64], NDArray[np.float64]] | None) -> float:
    """Part of the label's voxels, as cubes, on the body's side of the cut plane."""
    if cut is None:
        return 1.0
    voxels = np.argwhere(indicator.mask)
    sub = (np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) + 0.5) / 4 - 0.5
    point, normal = cut
    along = (indicator.to_mm(voxels) - point) @ normal
    steps = sub @ indicator.affine[:3, :3].T @ normal
    return float(np.mean(along[:, None] + steps[None] < 0))


def _pieces(
    labels: LabelVolume, parts: Mapping[str, VertebraParts], subregions: LabelVolume | None
) -> tuple[list[_Piece], list[_Piece]]:
    """Bodies, and posterior elements."""
    bodies: list[_Piece] = []
    posterior: list[_Piece] = []
    for number, (level, found) in enumerate(parts.items(), start=1):
        mask = labels.mask(level)
        if found.source == "subregions":
            inside = body_mask(labels, level, subregions)
            pairs = [(True, inside), (False, mask & ~inside)]
        else:
            pairs = [(True, mask), (False, mask)]
        cut = None
        if found.cut_point is not None and found.cut_normal is not None:
            cut = (found.cut_point, found.cut_normal)
        for is_body, voxels in pairs:
            if is_body or (found.source != "body_labels" and voxels.any()):
                indicator = smooth_indicator(voxels, labels.affine, where=f"level {level}")
                share = _cut_fraction(indicator, cut)
                volume = float(indicator.mask.sum()) * indicator.voxel_volume
                volume *= share if is_body or cut is None else 1.0 - share
                (bodies if is_body else posterior).append(_Piece(level, number, is_body, indicator, cut, volume))
    return bodies, posterior


def _grid_around(pieces: Sequence[_Piece], frame: Frame, spacing: float) -> _Grid:
    """Grid over the pieces with a margin; its planes pass through the frame's origin."""
    local = np.concatenate([frame.to_local(piece.corners()) for piece in pieces])
    reach = max(float(np.linalg.norm(piece.indicator.affine[:3, :3], axis=0).max()) for piece in pieces)
    low = np.floor((local.min(axis=0) - reach) / spacing) - _MARGIN_CELLS
    high = np.ceil((local.max(axis=0) + reach) / spacing) + _MARGIN_CELLS
    shape = tuple(int(n) for n in high - low)
    if np.prod([float(n) for n in shape]) > _MAX_CELLS:
        raise InputError(
            f"a grid of {' x '.join(map(str, shape))} cells of {spacing} mm is too large", fix="use a larger spacing_mm"
        )
    return _Grid(frame, low * spacing, spacing, (shape[0], shape[1], shape[2]))


def _field_on_grid(piece: _Piece, grid: _Grid) -> tuple[tuple[slice, slice, slice], NDArray[np.float64]]:
    """Mean indicator of each cell in the piece's box, -1 on the wrong side of the cut plane."""
    reach = float(np.linalg.norm(piece.indicator.affine[:3, :3], axis=0).max())
    local = (grid.frame.to_local(piece.corners()) - grid.origin) / grid.spacing
    low = np.maximum(np.floor(local.min(axis=0) - reach / grid.spacing).astype(int) - 1, 0)
    high = np.minimum(np.ceil(local.max(axis=0) + reach / grid.spacing).astype(int) + 1, grid.shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    voxel = float(np.linalg.norm(piece.indicator.affine[:3, :3], axis=0).min())
    n = max(1, int(np.ceil(grid.spacing / voxel - 1e-9)))
    values = piece.indicator(grid.sample_points(box, n))
    shape = [high[a] - low[a] for a in range(3)]
    field = values.reshape(shape[0], n, shape[1], n, shape[2], n).mean(axis=(1, 3, 5))
    if piece.cut is not None:
        side = (grid.sample_points(box, 1) - piece.cut[0]) @ piece.cut[1]
        field = np.where((side < 0) == piece.is_body, field, -1.0)
    return box, field


def _volume_level(field: NDArray[np.float64], piece: _Piece, cell_mm3: float) -> float:
    """Level of the field that encloses the piece's own volume."""
    count = round(piece.target_mm3 / cell_mm3)
    where = f"{piece.level} {'body' if piece.is_body else 'posterior elements'}"
    if count < 1 or count >= field.size:
        raise InputError(f"{where}: {piece.target_mm3:.1f} mm3 is less than one cell", fix="use a smaller spacing_mm")
    ordered = np.partition(field, (field.size - count - 1, field.size - count), axis=None)
    level = 0.5 * float(ordered[field.size - count - 1] + ordered[field.size - count])
    low, high = (0.35, 0.65) if piece.is_body else (0.05, 0.8)
    if not low < level < high:
        raise InputError(
            f"{where}: its volume of {piece.target_mm3:.0f} mm3 is met only at the level {level:.2f} of its smoothed "
            "label, far from one half",
            fix="use a smaller spacing_mm, or inspect the label: it is thin or full of holes",
        )
    return level


def _largest_part(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Largest face-connected component and how many cells the others held."""
    parts, count = ndimage.label(mask)
    if count <= 1:
        return mask, 0
    keep = parts == 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return keep, int(mask.sum() - keep.sum())


def _separate_bodies(body: NDArray[np.int8], levels: Sequence[str], grid: _Grid) -> None:
    """Clear cells of a lower body that share a point with the body above, in place; refuse a wide contact."""
    around = np.ones((3, 3, 3), dtype=bool)
    for upper in range(1, len(levels)):
        lower = body == upper + 1
        touching = lower & ndimage.binary_dilation(body == upper, around)
        if not touching.any():
            continue
        section = float(lower.sum()) / max(1, int(lower.any(axis=(0, 1)).sum()))
        columns = int(touching.any(axis=2).sum())
        place = grid.frame.to_parent(grid.origin + (np.argwhere(touching).mean(axis=0) + 0.5) * grid.spacing)
        where = f"near {np.round(place, 1).tolist()} mm (LPS)"
        if columns > 0.10 * section:
            raise InputError(
                f"the bodies of {levels[upper - 1]} and {levels[upper]} are welded over "
                f"{columns * grid.spacing**2:.0f} mm2 ({100 * columns / section:.0f} % of the section): no disc there",
                where=where,
                fix="repair the labels there, or use a smaller spacing_mm if the gap is real",
            )
        body[touching] = 0
        _log.warning(
            "bodies of %s and %s touch %s: %d cells removed",
            levels[upper - 1],
            levels[upper],
            where,
            int(touching.sum()),
        )


def _assign(pieces: Sequence[_Piece], grid: _Grid) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Body and posterior number of each cell: the field furthest above its own level wins."""
    body = np.zeros(grid.shape, dtype=np.int8)
    posterior = np.zeros(grid.shape, dtype=np.int8)
    best = np.zeros(grid.shape)
    cell_mm3 = grid.spacing**3
    for piece in pieces:
        box, field = _field_on_grid(piece, grid)
        margin = field - _volume_level(field, piece, cell_mm3)
        wins = margin > best[box]
        best[box][wins] = margin[wins]
        body[box][wins] = piece.number if piece.is_body else 0
        posterior[box][wins] = 0 if piece.is_body else piece.number
    return body, posterior


def _left_out(pieces: Sequence[_Piece], grid: _Grid, body: NDArray[np.int8]) -> NDArray[np.int8]:
    """Posterior number of each cell that holds no body, as far as the grid reaches; slivers behind a wall left out."""
    out = np.zeros(grid.shape, dtype=np.int8)
    n = int(np.ceil(_ROOT_MM / grid.spacing))
    for piece in pieces:
        box, field = _field_on_grid(piece, grid)
        own = np.zeros(grid.shape, dtype=bool)
        own[box] = (field > _LEFT_OUT) & (body[box] == 0)
        # What reaches the end of the grid goes on beyond it.
        longer = np.pad(own, ((0, 0), (0, n), (0, 0)), mode="edge")
        out[ndimage.binary_opening(longer, np.ones((1, n, 1), dtype=bool))[:, : grid.shape[1]]] = piece.number
    return out


def _refuse_bad_input(labels: LabelVolume, levels: Sequence[str], spacing_mm: float) -> tuple[str, ...]:
    """Check what the front end is given; return the levels in order."""
    if not (np.isfinite(spacing_mm) and spacing_mm > 0):
        raise InputError(f"spacing_mm must be positive, not {spacing_mm}")
    ordered = sort_levels(levels)
    if not ordered:
        raise InputError("no level is asked for")
    if len(set(ordered)) != len(ordered):
        raise InputError(f"a level is given twice: {', '.join(ordered)}")
    first = LEVELS.index(ordered[0])
    if ordered != LEVELS[first : first + len(ordered)]:
        raise InputError(f"levels {', '.join(ordered)} leave one out", fix="a segment is a run of neighbouring levels")
    if not np.issubdtype(labels.values.dtype, np.integer):
        raise InputError(f"labels are {labels.values.dtype}, not integers")
    if labels.values.ndim != 3 or min(labels.values.shape) < 2:
        raise InputError(f"labels {labels.values.shape} must be a volume of two voxels or more per axis")
    return ordered


def build_segment_image(
    density: Volume,
    kind: DensityKind,
    labels: LabelVolume,
    *,
    levels: Sequence[str],
    spacing_mm: float,
    subregions: LabelVolume | None = None,
    keep_posterior: bool = False,
    extra: Mapping[str, Volume] | None = None,
) -> SegmentImage:
    """Put bodies, density and further labels on one grid in the segment's own frame.

    Parameters
    ----------
    density : Volume
        Calibrated CT, g/cm3, in any orientation; not floored.
    kind : DensityKind
        What the density is equivalent to.
    labels : LabelVolume
        Vertebra labels; their grid may differ from the CT's.
    levels : sequence of str
        A run of neighbouring levels, e.g. `["L1", "L2", "L3"]`.
    spacing_mm : float
        Edge of the cubic cells.
    subregions : LabelVolume, optional
        Part labels on the grid of `labels`; see `locate_vertebrae`.
    keep_posterior : bool
        Keep the posterior elements.
    extra : mapping of str to Volume, optional
        0/1 indicators of further labels (`cement`, `implant`); their volume fraction per cell is kept.

    Returns
    -------
    SegmentImage
        `volume_change` compares each body with the same body of label voxels (cut by the same plane).

    Raises
    ------
    InputError
        On levels that are missing, cut or not neighbours; bodies welded over more than 10 % of their section; a
        body's volume off by more than 4 %; bone outside the CT.

    Notes
    -----
    Each label's 0/1 indicator is smoothed and interpolated by a cubic spline at the cells (averaged over sub-points
    where a cell is larger than a voxel), and the label furthest above its level wins. The level is the one that
    encloses the volume of the label's own voxels: near one half for a body, lower for thin processes, so neither
    shrinks. Density is the exact mean of the CT's voxels over each cell, before any floor: bone mass is kept. Cells of
    two bodies that touch are cleared on the lower side: bodies are joined by discs only.
    """
    check_density(density, kind)
    ordered = _refuse_bad_input(labels, levels, spacing_mm)
    parts = locate_vertebrae(labels, levels=ordered, subregions=subregions)
    frame = segment_frame({level: part.geometry for level, part in parts.items()}, ordered)
    bodies, arches = _pieces(labels, parts, subregions)
    pieces = [*bodies, *arches] if keep_posterior else bodies
    grid = _grid_around(pieces, frame, float(spacing_mm))
    body, posterior = _assign(pieces, grid)
    _separate_bodies(body, ordered, grid)
    change: dict[str, float] = {}
    for piece in bodies:
        own, crumbs = _largest_part(body == piece.number)
        body[(body == piece.number) & ~own] = 0
        if crumbs:
            _log.info("%s: %d cells apart from its body removed", piece.level, crumbs)
        change[piece.level] = float(own.sum()) * grid.spacing**3 / piece.target_mm3 - 1.0
        if abs(change[piece.level]) > _MAX_VOLUME_CHANGE:
            raise InputError(
                f"{piece.level}: its body has {100 * change[piece.level]:+.1f} % of volume after resampling to "
                f"{spacing_mm} mm (at most {100 * _MAX_VOLUME_CHANGE:.0f} % is accepted)",
                fix="use a smaller spacing_mm; if that does not help, the label is in pieces or welded to another",
            )
    image = SegmentImage(
        spacing=np.full(3, grid.spacing),
        origin=grid.origin,
        frame=frame,
        levels=ordered,
        body=body,
        posterior=posterior,
        density=np.zeros(grid.shape),
        kind=kind,
        vertebrae={level: geometry_in(frame, part.geometry) for level, part in parts.items()},
        source_spacing_mm=float(density.spacing.max()),
        volume_change=change,
        extra={},
        left_out=None if keep_posterior else _left_out(arches, grid, body),
    )
    return replace(with_density(image, density, kind), extra=label_fractions(image, extra or {}))
