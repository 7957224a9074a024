"""Posterior elements as hexahedra: an arch swept around the canal, and the processes that grow from its faces.

Blocks are logical grids. A process shares its first layer of points with the arch, so that everything hangs together;
neighbouring levels share nothing. Shapes are those of `fesolver.anatomy.posterior`, with articular processes that end
on the two sides of the facet joints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.dimensions import VertebraDimensions
from fesolver.anatomy.facet_dimensions import SIDES, Side
from fesolver.anatomy.facet_joints import FacetJoint
from fesolver.anatomy.hexahedral_blocks import BlockBuilder, bilinear, straight_layers
from fesolver.anatomy.posterior import canal_front
from fesolver.errors import InputError

__all__ = ["PosteriorBlocks", "Wall", "posterior_blocks"]

Wall = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Takes (k, 2) places (x, z) in the body frame, mm, and gives y (k,) of the posterior wall there."""

_FLAT_FRONT = 1.0 / 3.0
"""Share of the canal's depth between the pedicles, as in `fesolver.anatomy.posterior`."""
_ANGLES = (0.0, 10.0, 44.0, 60.0, 76.0, 90.0)
"""Around the canal from the pedicle to the midline, degrees, at stations 2 to 6 and 6.5. Superior processes stand on
stations 1 to 3, inferior ones on 4 to 6, so that either is on its own side of the facet from its base on; a choice."""
_HALF = 6.5
"""Stations from the root of a pedicle to the midline."""
_PROCESS_MM = 6.0
"""Thickness of an articular process behind its facet; a choice."""
_REACH = 0.42
"""Where an articular process ends over its facet's height, 0.5 being the tip of the ellipse: bone is kept off the next
lamina, and the outermost of 4 x 4 patches still have bone beside them; a choice."""
_BLEND = 0.5
"""Part of an articular process over which its section turns from the arch's to that behind the facet; a choice."""
_ROOT_LATERAL, _ROOT_OUTERMOST = 0.85, 0.86
"""Place of the root's middle over that of the pedicle beside the canal, and of its outer edge over the body's half
width: pedicles converge into the body."""
_APART_MM = 1.0
"""Least distance of a pedicle's root from the middle; a choice."""


@dataclass(frozen=True)
class PosteriorBlocks:
    """Hexahedra of one level's posterior elements.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm, in the body frame.
    cells : (m, 8) ndarray of int64
        VTK order.
    roots : (k, 4) ndarray of int64
        Facets of both pedicles on the posterior wall, outward, towards the body.
    facets : mapping of str to (q, 4) ndarray of int64
        `superior_left`, `inferior_right`, ...: bone of the articular processes that faces its neighbour, outward.
    """

    points: NDArray[np.float64]
    cells: NDArray[np.int64]
    roots: NDArray[np.int64]
    facets: Mapping[str, NDArray[np.int64]]


def posterior_blocks(
    dimensions: VertebraDimensions,
    wall: Wall,
    *,
    superior: Mapping[Side, FacetJoint] | None = None,
    inferior: Mapping[Side, FacetJoint] | None = None,
    cartilage_mm: float = 1.6,
    subdivision: int = 1,
) -> PosteriorBlocks:
    """Pedicles, laminae, spinous and transverse processes, and the articular ones that the joints ask for.

    Parameters
    ----------
    dimensions : VertebraDimensions
        Size of the vertebra.
    wall : callable
        Posterior wall of the body.
    superior, inferior : mapping of side to FacetJoint, optional
        Joints with the vertebra above and below, in this body's frame; without, there are no such processes.
    cartilage_mm : float
        Both layers together: bone ends half of it, and half the gap, from the middle of the joint.
    subdivision : int
        Cells per block edge scale with it; 1 is about 200 cells with all processes.

    Returns
    -------
    PosteriorBlocks

    Raises
    ------
    InputError
        If `subdivision` is no whole number of 1 or more, the cartilage's thickness is negative, or the body is too
        narrow for its pedicles.
    """
    if subdivision < 1 or subdivision != int(subdivision):
        raise InputError(f"subdivision = {subdivision} is not a whole number of 1 or more")
    if not cartilage_mm >= 0.0:
        raise InputError(f"cartilage thickness = {cartilage_mm} mm is negative")
    build, k = BlockBuilder(), int(subdivision)
    station = _stations(k)
    arch = build.add_points(
        _arch(dimensions, wall, station, np.linspace(0, 1, 2 * k + 1), np.linspace(0, 1, 3 * k + 1))
    )
    build.add_cells(arch)
    _spinous(build, dimensions, arch[_between(station, 6.0, 7.0)][:, -1, :], k)
    facets: dict[str, NDArray[np.int64]] = {}
    for side in SIDES:
        root = arch[_between(station, *_span(side, 1.0, 3.0))]
        _transverse(build, dimensions, root[:, -1, k : 2 * k + 1], side, k)
        if superior is not None:
            facets[f"superior_{side}"] = _articular(build, root[:, :, -1], superior[side], -1.0, cartilage_mm, k)
        if inferior is not None:
            behind = arch[_between(station, *_span(side, 4.0, 6.0))]
            facets[f"inferior_{side}"] = _articular(build, behind[:, :, 0], inferior[side], 1.0, cartilage_mm, k)
    forward = np.array([0.0, -1.0, 0.0])
    roots = np.concatenate([build.quads(arch[end], forward) for end in (0, -1)])
    return PosteriorBlocks(build.points, build.cells, roots, facets)


def _stations(k: int) -> NDArray[np.float64]:
    """Stations along the arch, from the left root (0) by the midline (6.5) to the right root (13)."""
    side = np.linspace(0.0, 6.0, 6 * k + 1)
    return np.concatenate([side[:-1], np.linspace(6.0, 7.0, 2 * k + 1), 2.0 * _HALF - side[-2::-1]])


def _span(side: Side, low: float, high: float) -> tuple[float, float]:
    """Stations of one side, counted from its root, as stations along the arch."""
    return (low, high) if side == "left" else (2.0 * _HALF - high, 2.0 * _HALF - low)


def _between(station: NDArray[np.float64], low: float, high: float) -> NDArray[np.int64]:
    """Rows of the arch from one station to another."""
    return np.flatnonzero((station > low - 1e-9) & (station < high + 1e-9))


def _arch(
    d: VertebraDimensions,
    wall: Wall,
    station: NDArray[np.float64],
    across: NDArray[np.float64],
    along: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Points (stations, across, along, 3) of pedicles and laminae: from the canal outwards, from below upwards."""
    is_left = station <= _HALF
    at = np.where(is_left, station, 2.0 * _HALF - station)
    canal, outside = 0.5 * d.canal_width_mm, 0.5 * d.canal_width_mm + d.pedicle_width_mm
    front = canal_front(d)
    hinge, rear = front + _FLAT_FRONT * d.canal_depth_mm, d.canal_depth_mm * (1.0 - _FLAT_FRONT)
    turn = np.deg2rad(np.interp(at, (2.0, 3.0, 4.0, 5.0, 6.0, _HALF), _ANGLES))
    run = np.interp(at, (0.0, 1.0, 2.0), (front, front + 1.0, hinge))
    inner = np.stack([canal * np.cos(turn), run + rear * np.sin(turn)], axis=1)
    outer = np.stack([outside * np.cos(turn), run + (rear + d.lamina_thickness_mm) * np.sin(turn)], axis=1)
    # Roots stand closer to the middle than the pedicles beside the canal.
    half = 0.5 * (1.0 - d.waist_fraction) * 0.5 * (d.superior_width_mm + d.inferior_width_mm)
    shift = min((_ROOT_LATERAL - 1.0) * 0.5 * (canal + outside), _ROOT_OUTERMOST * half - outside)
    if canal + shift < _APART_MM:
        raise InputError(
            f"the pedicles of {d.level} meet in front of the canal: its body is too narrow for them",
            where=d.level,
            fix="make pedicle_width_mm smaller, or the body wider",
        )
    for edge in (inner, outer):
        edge[:, 0] += shift * np.interp(at, (0.0, 1.0), (1.0, 0.0))
    low, high = _heights(d, at)
    plan = inner[:, None] + across[None, :, None] * (outer - inner)[:, None]
    z = low[:, None] + along * (high - low)[:, None]
    points = np.empty((len(station), len(across), len(along), 3))
    points[..., :2] = plan[:, :, None, :]
    points[..., 2] = z[:, None, :]
    points[~is_left, ..., 0] *= -1.0
    for end in (0, -1):
        points[end, ..., 1] = wall(points[end][..., [0, 2]].reshape(-1, 2)).reshape(len(across), len(along))
    return points


def _heights(d: VertebraDimensions, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper edge z of the arch at stations counted from a root."""
    height = min(d.pedicle_height_mm, 0.6 * d.posterior_height_mm)
    top = 0.5 * min(d.posterior_height_mm, d.mid_height_mm) - 2.5
    return (
        np.asarray(np.interp(at, (3.0, 4.0), (top - height, top - 1.0 - 1.25 * height))),
        np.asarray(np.interp(at, (2.0, 4.0), (top, top - 7.0))),
    )


def _rectangle(base: NDArray[np.int64], corners: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """A flat end (a, b, 3) for a process on a base (a, b)."""
    a, b = base.shape
    return bilinear(np.asarray(corners, dtype=np.float64), np.linspace(0, 1, a), np.linspace(0, 1, b))


def _spinous(build: BlockBuilder, d: VertebraDimensions, base: NDArray[np.int64], k: int) -> None:
    """The spinous process, falling by a fifth of its length, on the laminae's back about the midline."""
    start = build.points[base]
    back = canal_front(d) + d.canal_depth_mm + d.lamina_thickness_mm + d.spinous_process_mm
    middle = start[..., 2].mean() - 0.2 * d.spinous_process_mm
    half = 0.4 * np.ptp(start[..., 2])
    tip = _rectangle(base, [(x, back, middle + z) for x, z in ((3.0, -half), (-3.0, -half), (-3.0, half), (3.0, half))])
    build.grow(base, straight_layers(start, tip, 3 * k))


def _transverse(build: BlockBuilder, d: VertebraDimensions, base: NDArray[np.int64], side: Side, k: int) -> None:
    """A transverse process on the outer face of the arch behind a pedicle."""
    start = build.points[base]
    x = 0.5 * d.transverse_span_mm * (1.0 if side == "left" else -1.0)
    y, z = start[..., 1].mean(), start[..., 2].mean()
    order = ((-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0))
    first = 1.0 if side == "left" else -1.0
    tip = _rectangle(base, [(x, y + first * dy, z + dz) for dy, dz in order])
    build.grow(base, straight_layers(start, tip, 3 * k))


def _articular(
    build: BlockBuilder, base: NDArray[np.int64], joint: FacetJoint, behind: float, cartilage_mm: float, k: int
) -> NDArray[np.int64]:
    """An articular process from the arch to the far end of its facet; gives the facets of that side.

    `behind` is the side of the joint it stands on: -1 for the lower vertebra's, +1 for the upper one's.
    """
    width, up, normal = joint.axes
    face = joint.center + behind * 0.5 * (joint.gap_mm + cartilage_mm) * normal
    start = build.points[base]
    far = _REACH * joint.height_mm * -behind
    near = float((start.reshape(-1, 3).mean(axis=0) - face) @ up)
    n = 4 * k
    section = 0.5 * joint.width_mm * np.array([-1.0, 1.0, 1.0, -1.0])[:, None] * width
    section = section + _PROCESS_MM * behind * np.array([0.0, 0.0, 1.0, 1.0])[:, None] * normal
    order = _least_twist(start[[0, -1, -1, 0], [0, 0, -1, -1]], face + near * up + section)
    u, v = (np.linspace(0.0, 1.0, m) for m in base.shape)
    left = far - (start - face) @ up
    layers = []
    for t in np.linspace(0.0, 1.0, n + 1)[1:]:
        flat = bilinear((face + (near + t * (far - near)) * up + section)[order], u, v)
        share = min(1.0, t / _BLEND)
        layers.append((1.0 - share) * (start + t * left[..., None] * up) + share * flat)
    ids = build.grow(base, np.array(layers))
    edges = {frozenset((0, 1)): ids[:, 0], frozenset((1, 2)): ids[-1], frozenset((2, 3)): ids[:, -1]}
    facet = frozenset(int(np.flatnonzero(order == corner)[0]) for corner in (0, 1))
    return build.quads(edges.get(facet, ids[0])[:, int(np.ceil(_BLEND * n)) :], -behind * normal)


def _least_twist(base: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.int64]:
    """Corners (4,) of the end's quadrilateral in the order that lies nearest to the base's."""
    a, b = base[:, :2] - base[:, :2].mean(axis=0), end[:, :2] - end[:, :2].mean(axis=0)
    turned = [np.roll(order, i) for order in (np.arange(4), np.arange(4)[::-1]) for i in range(4)]
    return np.asarray(min(turned, key=lambda order: float(np.sum((a - b[order]) ** 2))))
