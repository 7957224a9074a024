"""What is wrong with a label map, where, and what was done about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from fesolver.anatomy.levels import LEVELS, sort_levels
from fesolver.errors import InputError
from fesolver.imaging.repair import (
    Piece,
    body_core,
    crop_to_named,
    cut_faces,
    find_contacts,
    find_holes,
    find_pieces,
    is_behind_bodies,
    mean_section,
    spine_axis,
)
from fesolver.imaging.schemes import TRANSITIONAL_LEVELS, spine_rank
from fesolver.imaging.volume import LabelVolume, Volume

__all__ = ["Finding", "FindingAction", "FindingKind", "LabelCheck", "check_labels"]

FindingKind = Literal["transitional", "order", "gap", "size", "repeated", "crumb", "hole", "cut", "contact", "hu"]
FindingAction = Literal["listed", "repaired", "refused"]

# Thresholds. They tell a fault that changes a model from one that does not; none is a published value.
_CRUMB_FRACTION = 0.05  # of the level's largest piece: a smaller piece is noise of the segmentation
_REPEAT_DISTANCE_MM = 20.0  # along the spine; pieces of one vertebra (body and arch) lie closer than a level's height
_GAP_RATIO = 1.6  # a skipped level doubles the step between centroids, which varies by about 20 % between neighbours
_SIZE_RATIO = 1.0 / 3.0  # of the median level: neighbours differ by about 15 %, T1 and L5 by a factor below 3
_CUT_FRACTION = 0.02  # of the mean cross-section: the tip of a process may reach the edge, an endplate may not
_CONTACT_FRACTION = 0.10  # of the mean cross-section, in contacts near the bodies
_MEAN_HU = (-200.0, 2000.0)
_USUAL_MEAN_HU = (0.0, 800.0)
_METAL_HU = 2500.0
_METAL_FRACTION = 0.01


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Parameters
    ----------
    kind : str
        `transitional` (T13, L6), `order`, `gap` (room for a level between two), `size`, `repeated`, `crumb`,
        `hole`, `cut` (by the volume's edge), `contact` (labels of two levels touch) or `hu`.
    level : str
        The level; `upper-lower` for two.
    place_mm : tuple of float
        Where, LPS+ mm.
    message : str
        What was found, with the numbers.
    action : {"listed", "repaired", "refused"}
        What was done. A refused finding stands in a `LabelCheck` only as text of the error.
    """

    kind: FindingKind
    level: str
    place_mm: tuple[float, float, float]
    message: str
    action: FindingAction

    def __str__(self) -> str:
        x, y, z = self.place_mm
        return f"{self.level} at ({x:.1f}, {y:.1f}, {z:.1f}) mm: {self.message} [{self.kind}, {self.action}]"


@dataclass(frozen=True)
class LabelCheck:
    """A label map that can be used, and what was found in it.

    Parameters
    ----------
    labels : LabelVolume
        Repaired in the levels used; other levels are as they were.
    findings : tuple of Finding
        Cranial levels first.
    """

    labels: LabelVolume
    findings: tuple[Finding, ...]


def check_labels(
    labels: LabelVolume,
    *,
    levels: Sequence[str],
    ct: Volume | None = None,
    treated: str | None = None,
    accept: Collection[FindingKind] = (),
) -> LabelCheck:
    """Check a vertebra label map and mend what can be mended.

    Parameters
    ----------
    labels : LabelVolume
        Vertebra labels. Names that are no level (a cement label) are left alone.
    levels : sequence of str
        The levels the model uses, neighbours of each other, in any order. Only these are mended or refused.
    ct : Volume, optional
        The CT in HU on any grid, to look at the values inside the labels.
    treated : str, optional
        The level to be augmented, one of `levels`: in it, anything denser than bone is refused.
    accept : collection of str, optional
        Kinds of finding to list instead of refusing, for a user who has looked at them. A missing level stays refused.

    Returns
    -------
    LabelCheck
        Repaired labels, and every finding with its place.

    Raises
    ------
    InputError
        If `levels` are unknown, repeated or not neighbours, `treated` is not one of them, `accept` is no kind, or
        a level used has a fault that is neither mended nor accepted: it is missing; out of order; labelled twice; far
        smaller than the others; cut by the volume's edge over more than 2 % of its mean cross-section; in contact with
        another used level near their bodies over more than 10 % of it; outside the CT, of 0 HU or its label number
        throughout, of a mean HU outside -200 to 2000, or over more than 1 % of its volume above 2500 HU. All faults are
        named in one error, with their places.

    Notes
    -----
    Mended: pieces under 5 % of the level's largest are removed, enclosed holes without a label filled. A larger second
    piece is kept and listed if it lies level with the first (an arch apart from its body), refused if it lies more than
    20 mm along the spine from it.

    Contact across facets is usual, since segmentations close the joint space. A contact is behind the bodies where
    `repair.is_behind_bodies` finds it; it is listed only: posterior elements are left out of a model or kept
    apart from each other. Labels alone cannot tell a bony bridge from a thin disc that was labelled shut.

    The order is taken along the line from the first to the last centroid, and this line must run caudally (towards -z):
    a scan upside down, or a scheme numbered the other way, is refused.

    The mean cross-section is the label's volume over its length along the spine, posterior elements included.
    """
    used = _checked_levels(levels, treated)
    _check_kinds(accept)
    whole, (labels, box) = labels, crop_to_named(labels)
    named = {name for name in labels.names.values() if name in LEVELS or name in TRANSITIONAL_LEVELS}
    present = sorted((name for name in named if labels.mask(name).any()), key=spine_rank)
    missing = [level for level in used if level not in present]
    if missing:
        raise InputError(
            f"no voxel is labelled {', '.join(missing)}; labelled are {', '.join(present) or 'no levels at all'}",
            fix="use levels that are there, or the scheme that the labels were written in",
        )
    pieces = {level: find_pieces(labels, level) for level in present}
    axis = spine_axis([pieces[level][0].centroid for level in present])
    findings = [
        *_check_order(pieces, present, used, axis),
        *_check_sizes(pieces, present, used),
        *(finding for level in present for finding in _check_pieces(pieces[level], level, used, axis, labels)),
    ]
    mended = _without(labels, pieces, [f.level for f in findings if f.kind == "crumb" and f.action == "repaired"])
    for level in used:
        holes = find_holes(mended, level)
        if len(holes):
            text = f"{len(holes)} enclosed voxels filled"
            findings.append(_finding("hole", level, labels.to_mm(holes[0]), text, "repaired"))
            mended.values[tuple(holes.T)] = _value(labels, level)
    sections = {level: mean_section(mended, level, axis) for level in present}
    findings += _check_cuts(mended, present, used, sections, whole.values.shape, box)
    findings += _check_contacts(mended, present, used, sections)
    if ct is not None:
        findings += [finding for level in used for finding in _check_hu(mended, ct, level, level == treated)]
    findings = [_accepted(finding) if finding.kind in accept else finding for finding in findings]
    findings.sort(key=lambda finding: spine_rank(finding.level.split("-")[0]))
    _raise_refused(findings)
    values = whole.values.copy()
    values[box] = mended.values
    return LabelCheck(LabelVolume(values, whole.affine, whole.names), tuple(findings))


def _checked_levels(levels: Sequence[str], treated: str | None) -> tuple[str, ...]:
    """The levels used, cranial first."""
    if not levels:
        raise InputError("no levels are asked for", fix='name them, for example levels = ["L1", "L2", "L3"]')
    used = sort_levels(levels)
    places = [LEVELS.index(level) for level in used]
    if any(b - a != 1 for a, b in pairwise(places)):
        raise InputError(
            f"levels {', '.join(used)} are not neighbours, each once", fix=f"use all of {used[0]} to {used[-1]}, once"
        )
    if treated is not None and treated not in used:
        raise InputError(f"the treated level {treated!r} is not one of {', '.join(used)}", fix="add it to the levels")
    return used


def _check_kinds(accept: Collection[str]) -> None:
    """Refuse a kind of finding that there is not."""
    kinds = get_args(FindingKind)
    for kind in accept:
        if kind not in kinds:
            raise InputError(f"there is no finding of kind {kind!r} to accept", fix=f"use some of {', '.join(kinds)}")


def _check_order(
    pieces: dict[str, list[Piece]], present: Sequence[str], used: Sequence[str], axis: NDArray[np.float64]
) -> list[Finding]:
    """Levels against their order along the spine, steps with room for another level, and transitional levels."""
    out = []
    heights = {level: float(pieces[level][0].centroid @ axis) for level in present}
    steps = {(a, b): heights[a] - heights[b] for a, b in pairwise(present)}
    typical = float(np.median([abs(step) for step in steps.values()])) if steps else 0.0
    for (upper, lower), step in steps.items():
        is_used = upper in used and lower in used
        place = 0.5 * (pieces[upper][0].centroid + pieces[lower][0].centroid)
        skipped = spine_rank(lower) - spine_rank(upper) - 1
        if step <= 0:
            text = f"{upper} lies {-step:.1f} mm below {lower} along the spine"
            out.append(_finding("order", f"{upper}-{lower}", place, text, _refuse_if(upper in used or lower in used)))
        elif len(steps) > 2 and is_used and skipped == 0 and step > _GAP_RATIO * typical:
            text = f"{step:.0f} mm apart where {typical:.0f} mm is usual here: a level between them has no label"
            out.append(_finding("gap", f"{upper}-{lower}", place, text, "refused"))
    for name in present:
        if name in ("T13", "L6"):
            above, below = ("T12", "L1") if name == "T13" else ("L5", "S1")
            text = f"a transitional vertebra {name}: {above} and {below} are no neighbours here"
            is_between = above in used and below in used
            out.append(_finding("transitional", name, pieces[name][0].centroid, text, _refuse_if(is_between)))
    return out


def _check_sizes(pieces: dict[str, list[Piece]], present: Sequence[str], used: Sequence[str]) -> list[Finding]:
    """Levels far smaller than the others."""
    sizes = {level: len(pieces[level][0].index) for level in present if level not in TRANSITIONAL_LEVELS}
    typical = float(np.median(list(sizes.values()))) if sizes else 0.0
    return [
        _finding(
            "size",
            level,
            pieces[level][0].centroid,
            f"{size} voxels where {typical:.0f} are usual here: a sliver of a vertebra",
            _refuse_if(level in used),
        )
        for level, size in sizes.items()
        if size < _SIZE_RATIO * typical
    ]


def _check_pieces(
    pieces: list[Piece], level: str, used: Sequence[str], axis: NDArray[np.float64], labels: LabelVolume
) -> Iterable[Finding]:
    """Second pieces of one level: crumbs, parts of the same vertebra, or the label of another one."""
    main, voxel_mm3 = pieces[0], float(np.prod(labels.spacing))
    for piece in pieces[1:]:
        n = len(piece.index)
        away = abs(float((piece.centroid - main.centroid) @ axis))
        size = f"a piece of {n} voxels ({n * voxel_mm3:.0f} mm3) apart from the other {len(main.index)}"
        if n < _CRUMB_FRACTION * len(main.index):
            action: FindingAction = "repaired" if level in used else "listed"
            yield _finding("crumb", level, piece.centroid, size + (", removed" if level in used else ""), action)
        elif away > _REPEAT_DISTANCE_MM:
            text = f"{size}, {away:.0f} mm along the spine: one label on two vertebrae"
            yield _finding("repeated", level, piece.centroid, text, _refuse_if(level in used))
        else:
            yield _finding("repeated", level, piece.centroid, f"{size}, level with them: kept", "listed")


def _check_cuts(
    labels: LabelVolume,
    present: Sequence[str],
    used: Sequence[str],
    sections: dict[str, float],
    shape: tuple[int, ...],
    box: tuple[slice, ...],
) -> Iterable[Finding]:
    """Levels that reach the edge of the image."""
    for level in present:
        area, place = cut_faces(labels, level, shape=shape, box=box)
        if area > 0:
            share = area / sections[level]
            text = f"cut by the edge of the volume over {area:.0f} mm2, {100 * share:.0f} % of its mean cross-section"
            yield _finding("cut", level, place, text, _refuse_if(level in used and share > _CUT_FRACTION))


def _check_contacts(
    labels: LabelVolume,
    present: Sequence[str],
    used: Sequence[str],
    sections: dict[str, float],
) -> Iterable[Finding]:
    """Labels of different levels that touch, near the bodies or behind them."""
    contacts = [c for c in find_contacts(labels) if all(name in present for name in c.names)]
    cores = {level: body_core(labels, level) for level in {name for contact in contacts for name in contact.names}}
    by_pair: dict[tuple[str, str, bool], list[tuple[float, NDArray[np.float64]]]] = {}
    for contact in contacts:
        upper, lower = sorted(contact.names, key=spine_rank)
        if (upper, lower) == ("S1", "sacrum"):
            continue  # one bone
        is_behind = is_behind_bodies(contact.centroid, cores[upper], cores[lower])
        by_pair.setdefault((upper, lower, is_behind), []).append((contact.area_mm2, contact.centroid))
    for (upper, lower, is_behind), patches in by_pair.items():
        area = sum(patch[0] for patch in patches)
        share = area / min(sections[upper], sections[lower])
        where = "behind the bodies (facets)" if is_behind else "near the bodies"
        text = (
            f"the labels touch {where} over {area:.0f} mm2 ({len(patches)} patches), {100 * share:.0f} % of the section"
        )
        is_fatal = not is_behind and upper in used and lower in used and share > _CONTACT_FRACTION
        yield _finding("contact", f"{upper}-{lower}", max(patches, key=lambda p: p[0])[1], text, _refuse_if(is_fatal))


def _check_hu(labels: LabelVolume, ct: Volume, level: str, is_treated: bool) -> Iterable[Finding]:
    """CT values inside one level."""
    index = np.argwhere(labels.mask(level))
    centroid = labels.to_mm(index.mean(axis=0))
    hu = _sample(ct, labels.to_mm(index))
    outside = int(np.isnan(hu).sum())
    if outside:
        text = f"{outside} of {len(hu)} voxels lie outside the CT: labels and CT do not belong together"
        yield _finding("hu", level, centroid, text, "refused")
        return
    mean = float(hu.mean())
    low, high = _MEAN_HU
    if hu.max() == hu.min() and mean in (0.0, float(_value(labels, level))):
        text = f"every voxel has {mean:g} HU: an empty image or a label map, not a CT"
        yield _finding("hu", level, centroid, text, "refused")
    elif not low <= mean <= high:
        text = f"mean {mean:.0f} HU where bone has {low:.0f} to {high:.0f}: not this CT, or not in HU"
        yield _finding("hu", level, centroid, text, "refused")
    elif not _USUAL_MEAN_HU[0] <= mean <= _USUAL_MEAN_HU[1]:
        yield _finding("hu", level, centroid, f"an unusual mean of {mean:.0f} HU for a whole vertebra", "listed")
    dense = hu > _METAL_HU
    if dense.any():
        share = float(dense.mean())
        place = labels.to_mm(index[dense].mean(axis=0))
        text = f"{100 * share:.2f} % of its volume is above {_METAL_HU:.0f} HU: metal or cement"
        text += ", in the level to be treated" if is_treated else ""
        yield _finding("hu", level, place, text, _refuse_if(is_treated or share > _METAL_FRACTION))


def _raise_refused(findings: Sequence[Finding]) -> None:
    """One error with every fault that stands in the way."""
    refused = [finding for finding in findings if finding.action == "refused"]
    if refused:
        kinds = ", ".join(dict.fromkeys(repr(finding.kind) for finding in refused))
        raise InputError(
            f"the labels cannot be used as they are: {len(refused)} fault(s) in the levels asked for",
            where="\n         ".join(map(str, refused)),
            fix=f"correct the labels there, use other levels, or accept findings of kind {kinds} if they are right",
        )


def _without(labels: LabelVolume, pieces: dict[str, list[Piece]], levels: Collection[str]) -> LabelVolume:
    """A copy of the labels, with the crumbs of some levels set to background."""
    values = np.array(labels.values)
    background = next(value for value in range(len(labels.names) + 1) if value not in labels.names)
    for level in dict.fromkeys(levels):
        for piece in pieces[level][1:]:
            if len(piece.index) < _CRUMB_FRACTION * len(pieces[level][0].index):
                values[tuple(piece.index.T)] = background
    return LabelVolume(values, labels.affine, labels.names)


def _sample(ct: Volume, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """CT at places in mm by linear interpolation, NaN outside."""
    index = ct.to_index(points)
    # half a voxel of slack: a volume ends at its voxels' faces, not at their centres
    is_inside = ((index >= -0.5 - 1e-6) & (index <= np.array(ct.values.shape) - 0.5 + 1e-6)).all(axis=1)
    hu = map_coordinates(ct.values, index.T, output=np.float64, order=1, mode="nearest")
    return np.where(is_inside, hu, np.nan)


def _finding(kind: FindingKind, level: str, place: NDArray[np.float64], message: str, action: FindingAction) -> Finding:
    """A finding with its place as plain numbers."""
    return Finding(kind, level, (float(place[0]), float(place[1]), float(place[2])), message, action)


def _accepted(finding: Finding) -> Finding:
    """A refused finding as one that the user accepts."""
    if finding.action != "refused":
        return finding
    return replace(finding, message=f"{finding.message} (accepted)", action="listed")


def _refuse_if(is_fatal: bool) -> FindingAction:
    """What is done about a finding that cannot be mended."""
    return "refused" if is_fatal else "listed"


def _value(labels: LabelVolume, level: str) -> int:
    """The label number of a level."""
    return next(value for value, name in labels.names.items() if name == level)
