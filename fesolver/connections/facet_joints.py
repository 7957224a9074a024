"""Facet joints as contact: patches that push along the facet's normal once the gap is closed, without friction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.facet_joints import FacetJoint
from fesolver.bone.cartilage import CARTILAGE_LAYERS_MM, DEFAULT_CARTILAGE, Cartilage
from fesolver.connections.posterior_links import posterior_attachments
from fesolver.errors import InputError
from fesolver.fem.attachments import Attachment
from fesolver.fem.problem import Connections
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["Attach", "FacetForce", "connect_facets", "contact_stiffness", "facet_force", "facet_name"]

Attach: TypeAlias = Callable[[SpineMesh, str, NDArray[np.float64]], Sequence[Attachment]]
"""Takes a mesh, a level and places (k, 3) on its posterior elements, mm; gives one attachment per place."""

_ON_LINE_MM = 1e-6
"""How far the two places of an element may lie off one line along the normal: round-off of millimetres."""


@dataclass(frozen=True)
class FacetForce:
    """What one facet joint carries.

    Parameters
    ----------
    force : (3,) ndarray
        N, on the upper vertebra's inferior facet; the lower vertebra feels the opposite.
    center_of_pressure : (3,) ndarray or None
        mm; None where nothing is carried.
    contact_area : float
        mm2, of the patches that carry.
    peak_pressure : float
        MPa, the largest patch force over its area.
    """

    force: NDArray[np.float64]
    center_of_pressure: NDArray[np.float64] | None
    contact_area: float
    peak_pressure: float

    @property
    def magnitude(self) -> float:
        """Resultant, N."""
        return float(np.sqrt(np.sum(self.force**2)))


def facet_name(joint: FacetJoint) -> str:
    """Name of a joint's connections: `L1-L2/facet_left`."""
    return joint.name.replace("/", "/facet_")


def contact_stiffness(
    joint: FacetJoint,
    *,
    cartilage: Cartilage = DEFAULT_CARTILAGE,
    thickness_mm: float = CARTILAGE_LAYERS_MM,
    points_per_side: int = 4,
) -> float:
    """Stiffness of one of the n * n patches of a facet joint.

    Parameters
    ----------
    joint : FacetJoint
        Gives the area.
    cartilage : Cartilage
        Both layers'.
    thickness_mm : float
        Both layers together.
    points_per_side : int
        n.

    Returns
    -------
    float
        N/mm: confined modulus times area of the patch over thickness; see `fesolver.bone.cartilage.confined_modulus`.

    Raises
    ------
    InputError
        If the thickness is not positive, or n is no whole number of 1 or more.
    """
    if not (np.isfinite(thickness_mm) and thickness_mm > 0.0):
        raise InputError(
            f"cartilage thickness = {thickness_mm} mm is not positive",
            where=joint.name,
            fix="give thickness_mm of both layers together",
        )
    return cartilage.confined * joint.area_mm2 / len(joint.contact_points(points_per_side)) / thickness_mm


def connect_facets(
    mesh: SpineMesh,
    joints: Sequence[FacetJoint],
    attach: Attach = posterior_attachments,
    *,
    cartilage: Cartilage = DEFAULT_CARTILAGE,
    thickness_mm: float = CARTILAGE_LAYERS_MM,
    points_per_side: int = 4,
) -> tuple[Connections, ...]:
    """Contact of facet joints, one `Connections` per joint.

    Parameters
    ----------
    mesh : SpineMesh
        Of any kind, with both levels of every joint.
    joints : sequence of FacetJoint
        In the mesh frame.
    attach : callable, optional
        How places follow a vertebra; by default in its posterior cells, or rigidly behind the pedicles.
    cartilage : Cartilage
        Of both layers.
    thickness_mm : float
        Both layers together.
    points_per_side : int
        n: every joint is n * n patches of one area.

    Returns
    -------
    tuple of Connections
        `L1-L2/facet_left`, ... in the order of `joints`.

    Raises
    ------
    InputError
        If a joint's level is not in the mesh, a name comes twice, the thickness is not positive, or the two places of
        a patch do not lie on one line along the normal.

    Notes
    -----
    With the normal n from the lower to the upper vertebra, the elongation of a patch is e = n . (u_upper - u_lower),
    negative as the joint closes, and its force k (e + gap) for e < -gap, else 0: small displacements, the normal fixed,
    no friction [1]_. Both places are the middle of the gap, so the two forces cancel in force and in moment. Left out:
    sliding by more than a patch, curved facets, and the tip of a process that lands on a lamina.

    References
    ----------
    .. [1] K. L. Johnson, *Contact Mechanics*, Cambridge, 1985, section 4.3 (recalled, high confidence).
    """
    names = [facet_name(joint) for joint in joints]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"facet joint {twice} is given more than once")
    out = []
    for joint, name in zip(joints, names, strict=True):
        for level in (joint.upper, joint.lower):
            if level not in mesh.levels:
                raise InputError(
                    f"facet joint {joint.name} needs {level}, which the mesh has not",
                    fix=f"the mesh has {', '.join(mesh.levels)}",
                )
        k = contact_stiffness(joint, cartilage=cartilage, thickness_mm=thickness_mm, points_per_side=points_per_side)
        at = joint.contact_points(points_per_side)
        pairs = list(zip(attach(mesh, joint.upper, at), attach(mesh, joint.lower, at), strict=True))
        out.append(_contact(name, joint, pairs, k))
    return tuple(out)


def _contact(name: str, joint: FacetJoint, pairs: list[tuple[Attachment, Attachment]], k: float) -> Connections:
    """Elements between pairs of attachments, the upper vertebra's first."""
    for upper, lower in pairs:
        off = np.abs(np.cross(upper.at - lower.at, joint.normal)).max()
        if not off <= _ON_LINE_MM:
            raise InputError(
                f"the two sides of a contact patch stand {off:.3g} mm off one line along the normal",
                where=f"{joint.name}, near ({upper.at[0]:.1f}, {upper.at[1]:.1f}, {upper.at[2]:.1f}) mm",
                fix="attach both vertebrae at the same place",
            )
    sides = [part for pair in pairs for part in pair]
    signs = [1.0, -1.0] * len(pairs)
    lengths = np.array([len(a.points) + len(b.points) for a, b in pairs])
    m = len(pairs)
    return Connections(
        name=name,
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        points=np.concatenate([part.points for part in sides]),
        weights=np.concatenate(
            [s * np.einsum("i,kij->kj", joint.normal, p.weights) for s, p in zip(signs, sides, strict=True)]
        ),
        owners=np.concatenate([part.owners for part in sides]),
        breaks=np.full((m, 1), -joint.gap_mm),
        stiffness=np.tile([k, 0.0], (m, 1)),
        force_at_break=np.zeros(m),
    )


def facet_force(joint: FacetJoint, force: ArrayLike) -> FacetForce:
    """Resultant, centre of pressure, contact area and peak pressure of one joint.

    Parameters
    ----------
    joint : FacetJoint
        In the mesh frame.
    force : (n * n,) array_like
        N, tension positive, of the joint's elements as `connect_facets` made them: a solution's
        `connections["L1-L2/facet_left"].force`.

    Returns
    -------
    FacetForce

    Raises
    ------
    InputError
        If the number of forces is no square, or one is a tension.

    Examples
    --------
    >>> joint = FacetJoint("L1-L2/left", "L1", "L2", "left", np.zeros(3), np.array([0.0, 1.0, 0.0]), 10.0, 14.0, 0.4)
    >>> facet_force(joint, [-30.0]).force.tolist()
    [0.0, 30.0, 0.0]
    """
    f = np.asarray(force, dtype=np.float64)
    n = isqrt(f.size)
    if f.ndim != 1 or n < 1 or n * n != f.size:
        raise InputError(f"{f.shape} forces do not belong to a facet of n * n patches", where=joint.name)
    if np.any(f > 0.0):
        raise InputError(f"a facet cannot pull: a patch carries {f.max():g} N of tension", where=joint.name)
    push = -f
    total = float(push.sum())
    area = joint.area_mm2 / f.size
    centre = push @ joint.contact_points(n) / total if total > 0.0 else None
    return FacetForce(total * joint.normal, centre, area * int(np.sum(push > 0.0)), float(push.max()) / area)
