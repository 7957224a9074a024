"""Attachment sites of the ligaments of a column, disc by disc, in the frame of its mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

from numpy.typing import ArrayLike

from fesolver.anatomy.column import Column
from fesolver.anatomy.facet_joints import FacetJoint, facet_joints
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import disc_name
from fesolver.anatomy.ligament_landmarks import landmark_sites
from fesolver.anatomy.ligament_sites import (
    LigamentSites,
    SitePairs,
    capsular_sites,
    pair_sites,
    vertebra_sites,
)
from fesolver.errors import InputError

__all__ = ["ColumnSites", "column_sites", "sites_from_landmarks"]

ColumnSites = Mapping[str, Mapping[str, SitePairs]]
"""Disc name to ligament to the ends of its strands, in the segment frame."""


def column_sites(
    column: Column, frame: Frame, joints: Sequence[FacetJoint] | None = None
) -> dict[str, dict[str, SitePairs]]:
    """Sites of all ligaments of a parametric column.

    Parameters
    ----------
    column : Column
        Sizes and places of the vertebrae.
    frame : Frame
        Segment frame in the column's parent: `SpineMesh.frame` of a mesh of it.
    joints : sequence of FacetJoint, optional
        In the segment frame; by default the published ones.

    Returns
    -------
    dict of str to dict
        Disc name to ligament to sites.

    Raises
    ------
    InputError
        If a disc has one facet joint only.

    Examples
    --------
    >>> import numpy as np
    >>> from fesolver.anatomy.column import build_column
    >>> sites = column_sites(build_column(["L1", "L2"]), Frame(np.zeros(3), np.eye(3)))
    >>> sorted(sites["L1-L2"])[:3]
    ['anterior_longitudinal', 'capsular', 'interspinous']
    """
    joints = facet_joints(column, frame=frame) if joints is None else joints
    placed = {
        v.level: {
            name: sites.to_parent(v.frame).to_local(frame) for name, sites in vertebra_sites(v.dimensions).items()
        }
        for v in column.vertebrae
    }
    return _by_disc(column.levels, placed, joints)


def sites_from_landmarks(
    landmarks: Mapping[str, Mapping[str, ArrayLike]],
    frames: Mapping[str, Frame],
    levels: Sequence[str],
    joints: Sequence[FacetJoint] = (),
    *,
    missing: Literal["refuse", "leave_out"] = "refuse",
) -> dict[str, dict[str, SitePairs]]:
    """Sites of the ligaments of vertebrae with landmarks, as surfaces give them.

    Parameters
    ----------
    landmarks : mapping of str to mapping of str to (3,) array_like
        Level to landmarks, mm, in the segment frame; see
        `fesolver.anatomy.ligament_landmarks.NEEDED_LANDMARKS`.
    frames : mapping of str to Frame
        Level to body frame in the segment frame, as `SpineMesh.frames`.
    levels : sequence of str
        Cranial first.
    joints : sequence of FacetJoint, optional
        In the segment frame; where a disc has none, it has no capsular ligament.
    missing : {"refuse", "leave_out"}, optional
        What to do with a ligament whose landmarks one of its vertebrae lacks.

    Raises
    ------
    InputError
        If a landmark or a level is missing, or a disc has one facet joint only.
    """
    absent = [level for level in levels if level not in landmarks or level not in frames]
    if absent:
        raise InputError(f"there are no landmarks or no frame of {', '.join(absent)}", where=absent[0])
    placed = {
        level: landmark_sites(
            landmarks[level], left=frames[level].axes[0], up=frames[level].axes[2], level=level, missing=missing
        )
        for level in levels
    }
    return _by_disc(levels, placed, joints)


def _by_disc(
    levels: Sequence[str], placed: Mapping[str, Mapping[str, LigamentSites]], joints: Sequence[FacetJoint]
) -> dict[str, dict[str, SitePairs]]:
    """Pairs of neighbours, with the capsular ligament where there are joints."""
    out: dict[str, dict[str, SitePairs]] = {}
    for upper, lower in pairwise(levels):
        name = disc_name(upper, lower)
        out[name] = pair_sites(placed[upper], placed[lower])
        own = {joint.side: joint for joint in joints if (joint.upper, joint.lower) == (upper, lower)}
        if len(own) == 1:
            raise InputError(f"{name} has a {next(iter(own))} facet joint only", where=name, fix="give both, or none")
        if own:
            out[name]["capsular"] = capsular_sites(own["left"], own["right"])
    return out
