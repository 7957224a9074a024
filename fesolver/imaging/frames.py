"""Frames of vertebrae and of the segment, built from fitted endplates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.imaging.volume import VertebraGeometry

__all__ = ["geometry_in", "oriented_frame", "segment_frame"]

_LEFT = np.array([1.0, 0.0, 0.0])


def oriented_frame(origin: NDArray[np.float64], z: NDArray[np.float64], left: NDArray[np.float64] = _LEFT) -> Frame:
    """Frame with the given z and x as near to `left` as orthogonality allows.

    Parameters
    ----------
    origin : (3,) ndarray
        Origin in the parent frame, mm.
    z : (3,) ndarray
        Cranial direction, any length.
    left : (3,) ndarray
        The patient's left in the parent frame; the LPS+ x axis by default.

    Raises
    ------
    InputError
        If `z` is nearly parallel to `left`: then nothing tells how the body is turned about its axis.
    """
    z = np.asarray(z, dtype=np.float64) / np.linalg.norm(z)
    x = left - z * (left @ z)
    length = float(np.linalg.norm(x))
    if length < 0.3:
        raise InputError(
            f"the spine's axis lies within {np.rad2deg(np.arcsin(min(length, 1.0))):.0f} degrees of the patient's "
            "left-right direction",
            fix="check the image's orientation (its direction cosines)",
        )
    x /= length
    return Frame(np.asarray(origin, dtype=np.float64), np.array([x, np.cross(z, x), z]))


def segment_frame(vertebrae: Mapping[str, VertebraGeometry], levels: Sequence[str]) -> Frame:
    """Frame of a segment: z from the lowest inferior to the highest superior endplate's centroid, origin at the former.

    Parameters
    ----------
    vertebrae : mapping of str to VertebraGeometry
        In scanner mm.
    levels : sequence of str
        Cranial first.
    """
    low = vertebrae[levels[-1]].inferior_centroid
    high = vertebrae[levels[0]].superior_centroid
    return oriented_frame(low, high - low)


def geometry_in(frame: Frame, geometry: VertebraGeometry) -> VertebraGeometry:
    """The same vertebra with every point and vector in `frame` instead of its parent."""
    own = geometry.frame
    return replace(
        geometry,
        frame=Frame(frame.to_local(own.origin), frame.vectors_to_local(own.axes)),
        superior_centroid=frame.to_local(geometry.superior_centroid),
        superior_normal=frame.vectors_to_local(geometry.superior_normal),
        inferior_centroid=frame.to_local(geometry.inferior_centroid),
        inferior_normal=frame.vectors_to_local(geometry.inferior_normal),
    )
