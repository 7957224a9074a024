"""How far every body turns, and how far the two bodies of a disc turn against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fesolver.outcomes.parts import discs, facing_levels, part_fraction
from fesolver.outcomes.state import SEGMENT, OutcomeSettings, SolvedState, Value
from fesolver.outcomes.surface import RigidMotion, fit_rigid_motion

__all__ = ["LARGEST_ROTATION_DEG", "ROTATIONS", "body_motion", "rotation_values", "rotation_warnings"]

ROTATIONS = ("flexion_rotation_deg", "left_bending_rotation_deg", "left_axial_rotation_deg")
"""Turns about +x, +y and +z of the segment frame, as the moments of `fesolver.loading.moments`."""

LARGEST_ROTATION_DEG = 5.0
"""Turn of one body against the next, degrees, above which reports warn; a choice. Small rotations still hold to 0.4 %
(1 - cos), but a disc stiffens as it turns, which a linear model does not."""


def body_motion(state: SolvedState, level: str) -> RigidMotion:
    """Rigid motion of a vertebral body: the volume-weighted least-squares fit to the displacement of its points.

    Parameters
    ----------
    state : SolvedState
        The solved segment.
    level : str
        Vertebral level; its posterior elements do not count.

    Notes
    -----
    Each cell gives equal parts of the volume that the body fills of it to its points. A rigid motion is found exactly
    whatever the weights; the body's own deformation enters as its mean.
    """
    mesh = state.mesh
    volume = (part_fraction(mesh, level) - part_fraction(mesh, level, ("posterior",))) * state.cell_volumes
    cells = np.flatnonzero(volume > 0.0)
    ids = mesh.cells[cells]
    weight = np.zeros(len(mesh.points))
    np.add.at(weight, ids, volume[cells, None] / ids.shape[1])
    used = np.flatnonzero(weight)
    return fit_rigid_motion(mesh.points[used], state.solution.u[used], weight[used])


def rotation_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Rotations of bodies, of each disc's upper body against the lower one, and of the whole segment, degrees.

    Notes
    -----
    About the axes of the segment frame (x left, y posterior, z superior): flexion, bending to the left and axial
    rotation of the front to the left are positive. The segment's is that of its highest against its lowest body,
    the sum of its discs'. Small rotations: they add, and their order does not matter.
    """
    levels = segment.mesh.levels
    turn = {level: np.degrees(body_motion(segment, level).rotation) for level in levels}
    values = [value for level in levels for value in _named(level, turn[level])]
    for disc in discs(segment.mesh):
        upper, lower = facing_levels(disc)
        values += _named(disc, turn[upper] - turn[lower])
    if len(levels) > 1:
        values += _named(SEGMENT, turn[levels[0]] - turn[levels[-1]])
    return values


def rotation_warnings(values: Iterable[Value]) -> tuple[str, ...]:
    """What to say where one body turns against the next by more than a linear model can describe.

    Parameters
    ----------
    values : iterable of Value
        With those of `rotation_values`; others are passed over.

    Returns
    -------
    tuple of str
        One sentence per disc and rotation above `LARGEST_ROTATION_DEG`.

    Examples
    --------
    >>> warning, = rotation_warnings([Value("L4-L5", "flexion_rotation_deg", 6.3)])
    >>> warning.split(": ")[0]
    'L4-L5 turns by 6.3 degrees (flexion)'
    """
    return tuple(
        f"{value.level} turns by {value.value:.1f} degrees "
        f"({value.quantity.removesuffix('_rotation_deg').replace('_', ' ')}): above {LARGEST_ROTATION_DEG:g} degrees a "
        "linear model is beyond its range, the rotation is a secant value"
        for value in values
        if "-" in value.level and value.quantity in ROTATIONS and abs(value.value) > LARGEST_ROTATION_DEG
    )


def _named(level: str, turn: NDArray[np.float64]) -> list[Value]:
    """The three rotations of a level, a disc or the segment."""
    return [Value(level, quantity, float(angle)) for quantity, angle in zip(ROTATIONS, turn, strict=True)]
