"""Where cement starts to spread: needle tips placed by the axes and the extent of the vertebral body."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError

__all__ = ["APPROACHES", "Approach", "check_tip_fractions", "needle_tips"]

Approach = Literal["bipedicular", "unipedicular_left", "unipedicular_right", "point"]
"""How the needles come in; `left` and `right` are the patient's; `point` takes a place in mm instead."""

APPROACHES: tuple[str, ...] = get_args(Approach)

_SIDES = {"bipedicular": (1.0, -1.0), "unipedicular_left": (1.0,), "unipedicular_right": (-1.0,)}


def check_tip_fractions(lateral_fraction: float, depth_fraction: float) -> None:
    """Refuse tips outside the body: `InputError` unless lateral is in [0, 0.5) and depth in (0, 1)."""
    if not 0.0 <= lateral_fraction < 0.5:
        raise InputError(f"lateral_fraction must lie in [0, 0.5), got {lateral_fraction}")
    if not 0.0 < depth_fraction < 1.0:
        raise InputError(f"depth_fraction must lie in (0, 1), got {depth_fraction}")


def needle_tips(
    centroids: NDArray[np.float64],
    frame: Frame,
    approach: Approach,
    *,
    lateral_fraction: float,
    depth_fraction: float,
) -> NDArray[np.float64]:
    """Tips of the needles of a pedicular approach.

    Parameters
    ----------
    centroids : (k, 3) ndarray
        Centres of the cells that hold trabecular bone of the body, mm, mesh frame.
    frame : Frame
        Body frame in the mesh frame: x to the patient's left, y posterior, z cranial.
    approach : {"bipedicular", "unipedicular_left", "unipedicular_right"}
        Left is +x of the body frame.
    lateral_fraction : float
        Distance of a tip from the middle, over the width of the body, in [0, 0.5).
    depth_fraction : float
        Distance of a tip from the anterior wall, over the depth of the body there, in (0, 1).

    Returns
    -------
    (n, 3) ndarray
        Tips in the mesh frame, mm, left first.

    Raises
    ------
    InputError
        If a fraction is outside its range.

    Notes
    -----
    Width and depth are those of the bone in the middle fifth of the body's height, or in the cells nearest to it; the
    depth, and with it the anterior wall, is taken in the sagittal slab of the tip, because the wall is round. That
    needle tips belong at the junction of the anterior and middle thirds is common surgical guidance and not a
    measurement; a quarter of the width off the middle puts each tip in the centre of its half. Both are keys of the
    plan.
    """
    if approach not in _SIDES:
        raise InputError(f"approach {approach!r} has no needle tips", fix=f"use one of {', '.join(_SIDES)}")
    check_tip_fractions(lateral_fraction, depth_fraction)
    local = frame.to_local(centroids)
    low, high = local[:, 2].min(), local[:, 2].max()
    middle = 0.5 * (low + high)
    off = np.abs(local[:, 2] - middle)
    # Large cells may have no centre in the middle fifth: then the layer nearest to the middle stands for it.
    slab = local[off <= max(0.1 * (high - low), float(off.min()) + 0.05 * (high - low)) + 1e-9]
    left, right = slab[:, 0].max(), slab[:, 0].min()
    tips = []
    for side in _SIDES[approach]:
        x = 0.5 * (left + right) + side * lateral_fraction * (left - right)
        near = np.abs(slab[:, 0] - x)
        sagittal = slab[near <= max(0.05 * (left - right), float(near.min()) + 1e-9)]
        anterior, posterior = sagittal[:, 1].min(), sagittal[:, 1].max()
        tips.append([x, anterior + depth_fraction * (posterior - anterior), middle])
    return frame.to_parent(np.array(tips))
