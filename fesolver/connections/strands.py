"""Strands: lines between two attachments that pull and do not push."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.attachments import Attachment
from fesolver.fem.problem import Connections

__all__ = ["StrandLaw", "spring_law", "strand_law", "strand_lengths", "strands"]

_SHORTEST_MM = 1e-6
"""Length below which a strand has no direction."""


@dataclass(frozen=True)
class StrandLaw:
    """Force over elongation in straight pieces, as `fesolver.fem.problem.Connections` takes it.

    Parameters
    ----------
    breaks : (m, b) ndarray
        mm, ascending.
    stiffness : (m, b + 1) ndarray
        N/mm.
    force_at_break : (m,) ndarray
        N, at the first break.
    """

    breaks: NDArray[np.float64]
    stiffness: NDArray[np.float64]
    force_at_break: NDArray[np.float64]


def strand_law(
    length_mm: ArrayLike,
    area_mm2: ArrayLike,
    *,
    young_mpa: tuple[float, float],
    switch_strain: float,
    prestrain: float = 0.0,
    where: str | None = None,
) -> StrandLaw:
    """Bilinear law of strands that go slack.

    Parameters
    ----------
    length_mm : (m,) array_like or float
        Length of each strand in the reference shape, mm, positive.
    area_mm2 : (m,) array_like or float
        Cross-section of each strand, mm2, not negative.
    young_mpa : (float, float)
        Modulus up to and beyond the switch strain, MPa, not negative.
    switch_strain : float
        Strain where the modulus changes, positive.
    prestrain : float, optional
        Strain in the reference shape, in (-1, 1): positive pulls there, negative is slack.
    where : str, optional
        Name for messages.

    Returns
    -------
    StrandLaw
        Two breaks: where the strand goes taut, and the switch.

    Raises
    ------
    InputError
        If a number is outside its range.

    Notes
    -----
    F = A (E1 min(eps, eps_s) + E2 max(eps - eps_s, 0)) for eps = prestrain + e / L > 0, else 0: small strains, the area
    stays. Both moduli count strain from where the strand is taut, as the published tables of bilinear ligaments do.

    Examples
    --------
    >>> law = strand_law(20.0, 40.0, young_mpa=(15.0, 19.0), switch_strain=0.062)
    >>> law.breaks.round(3), law.stiffness
    (array([[0.  , 1.24]]), array([[ 0., 30., 38.]]))
    """
    length, area = np.broadcast_arrays(np.atleast_1d(np.asarray(length_mm, np.float64)), np.asarray(area_mm2, float))
    _check_lengths(length, where)
    _check_prestrain(prestrain, where)
    for name, values, unit in (("an area", area, "mm2"), ("a modulus", np.asarray(young_mpa, dtype=float), "MPa")):
        if not (np.all(np.isfinite(values)) and np.all(values >= 0.0)):
            raise InputError(f"{name} of a strand is {values.min():g} {unit}, not 0 or more", where=where)
    if not (np.isfinite(switch_strain) and switch_strain > 0.0):
        raise InputError(f"the switch strain of a strand must be positive, not {switch_strain:g}", where=where)
    per_strain = area / length
    return StrandLaw(
        breaks=np.stack([-prestrain * length, (switch_strain - prestrain) * length], axis=1),
        stiffness=np.stack([0.0 * length, young_mpa[0] * per_strain, young_mpa[1] * per_strain], axis=1),
        force_at_break=np.zeros(len(length)),
    )


def spring_law(
    length_mm: ArrayLike, stiffness_n_per_mm: ArrayLike, *, prestrain: float = 0.0, where: str | None = None
) -> StrandLaw:
    """Law of springs that go slack: one stiffness, whatever the length.

    Parameters
    ----------
    length_mm : (m,) array_like or float
        Length in the reference shape, mm, positive; only the pre-strain refers to it.
    stiffness_n_per_mm : (m,) array_like or float
        N/mm, not negative.
    prestrain : float, optional
        As in `strand_law`.
    where : str, optional
        Name for messages.

    Raises
    ------
    InputError
        If a number is outside its range.

    Examples
    --------
    >>> spring_law(10.0, 8.74, prestrain=0.01).breaks
    array([[-0.1]])
    """
    length, k = np.broadcast_arrays(np.atleast_1d(np.asarray(length_mm, float)), np.asarray(stiffness_n_per_mm, float))
    _check_lengths(length, where)
    _check_prestrain(prestrain, where)
    if not (np.all(np.isfinite(k)) and np.all(k >= 0.0)):
        raise InputError(f"a stiffness of a strand is {k.min():g} N/mm, not 0 or more", where=where)
    return StrandLaw((-prestrain * length)[:, None], np.stack([0.0 * k, k], axis=1), np.zeros(len(length)))


def strand_lengths(starts: Sequence[Attachment], ends: Sequence[Attachment]) -> NDArray[np.float64]:
    """Distances between attachments, mm, (m,)."""
    return np.array([np.linalg.norm(b.at - a.at) for a, b in zip(starts, ends, strict=True)])


def strands(name: str, starts: Sequence[Attachment], ends: Sequence[Attachment], law: StrandLaw) -> Connections:
    """Strands between pairs of attachments.

    Parameters
    ----------
    name : str
        Name their forces are reported under.
    starts, ends : sequence of Attachment
        The two ends of every strand.
    law : StrandLaw
        One row per strand.

    Returns
    -------
    Connections

    Raises
    ------
    InputError
        If a strand has no length or an end without points, there is none, or the law is for another number of strands.

    Notes
    -----
    The elongation is d . (u_end - u_start), d the unit vector from start to end in the reference shape: small
    displacements, the direction stays. Its weights are W^T d for the attachments' weights W, so that the force acts on
    the points as the attachments hand it on.
    """
    if not starts or len(starts) != len(ends):
        raise InputError(f"{name}: {len(starts)} starts and {len(ends)} ends do not make strands", where=name)
    if law.breaks.shape[0] != len(starts):
        raise InputError(f"the law is for {law.breaks.shape[0]} strands, there are {len(starts)}", where=name)
    _check_lengths(strand_lengths(starts, ends), name)
    rows = [_entries(name, a, b) for a, b in zip(starts, ends, strict=True)]
    return Connections(
        name=name,
        starts=np.concatenate([[0], np.cumsum([len(points) for points, _, _ in rows])]).astype(np.int64),
        points=np.concatenate([points for points, _, _ in rows]),
        weights=np.concatenate([weights for _, weights, _ in rows]),
        owners=np.concatenate([owners for _, _, owners in rows]),
        breaks=law.breaks,
        stiffness=law.stiffness,
        force_at_break=law.force_at_break,
    )


def _entries(
    name: str, start: Attachment, end: Attachment
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Points, weights and owners of one strand; entries of one point and one owner are one."""
    if not len(start.points) or not len(end.points):
        raise InputError("a strand is attached to nothing: one end has no points", where=name)
    direction = end.at - start.at
    direction = direction / np.linalg.norm(direction)
    keys = np.concatenate([np.stack([side.points, side.owners], axis=1) for side in (start, end)])
    weights = np.concatenate([-direction @ start.weights, direction @ end.weights])
    unique, back = np.unique(keys, axis=0, return_inverse=True)
    merged = np.zeros((len(unique), 3))
    np.add.at(merged, back.ravel(), weights)
    return unique[:, 0], merged, unique[:, 1]


def _check_lengths(length: NDArray[np.float64], where: str | None) -> None:
    """Refuse strands without a direction."""
    if not (np.all(np.isfinite(length)) and np.all(length > _SHORTEST_MM)):
        raise InputError(
            f"a strand has no length ({length.min():g} mm)", where=where, fix="attach its ends to two different places"
        )


def _check_prestrain(prestrain: float, where: str | None) -> None:
    """Refuse a pre-strain that no strand can have."""
    if not -1.0 < prestrain < 1.0:
        raise InputError(
            f"the pre-strain of a strand is {prestrain:g}, outside (-1, 1)", where=where, fix="0.05 is 5 % stretched"
        )
