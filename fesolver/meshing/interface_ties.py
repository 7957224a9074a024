"""Non-matching interfaces tied by mortar: the slave side's points as combinations of the master side's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import FACET_OF_SIZE, FACETS
from fesolver.fem.facets import checked_facets
from fesolver.fem.problem import LinearTie
from fesolver.meshing.interface_cuts import InterfaceCuts, cut_interface

__all__ = ["LEAST_COVERED", "tie_interface"]

LEAST_COVERED = 0.95
"""Part of a slave facet that masters must cover. Curvature alone takes less away: the ends of two chords of 30 degrees,
projected along one's normal, are (pi / 6)^2 / 16 = 1.7 % of a facet apart."""

_SHARE: Mapping[str, float] = MappingProxyType({"tri3": 0.0, "quad4": 0.0, "tri6": 0.1, "quad8": 0.2})
"""What a corner's transformed function takes of each adjacent mid-side function [3]_ of `tie_interface`."""

_EXACT = 1e-11
"""Offsets below this part of the masters' extent are round-off."""

_FLAT = 1e-2
"""Least second moment of masters, over the largest, across which they count as spread: a tenth in length."""


def tie_interface(
    points: NDArray[np.float64],
    *,
    slave_facets: NDArray[np.int64],
    master_facets: NDArray[np.int64],
    search_mm: float | None = None,
    least_covered: float = LEAST_COVERED,
    uncovered: Literal["error", "leave"] = "error",
) -> tuple[LinearTie, ...]:
    """Ties that join a slave side of an interface to a master side by mortar with dual shape functions.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm.
    slave_facets, master_facets : (m, 3, 4, 6 or 8) ndarray of int64
        Point ids, one kind of facet on each side, counter-clockwise seen from outside the side's own solid: the sides
        face each other. The finer or the softer side is the better slave. No point is on both sides.
    search_mm : float, optional
        Facets farther apart along the slave's normal do not meet; by default half the mean size of slave facets.
    least_covered : float
        In (0, 1]: fraction of a slave facet's projection that masters must cover.
    uncovered : {"error", "leave"}
        What becomes of a slave facet covered less: refused, or left out. Points of facets left out altogether are free.

    Returns
    -------
    tuple of LinearTie
        Three per slave point, by ascending degree of freedom. A displacement linear in space stays so on a flat
        interface; rigid motions pass exactly on any, so that forces and moments on cuts balance.

    Raises
    ------
    InputError
        If a slave facet is covered too little or twice, the sides share points, or a facet is folded or has no area;
        the message has the place in mm.

    Notes
    -----
    With the slave's displacement sum N_j u_j, multipliers from dual functions lambda_j, biorthogonal to N_j on the
    covered part of every facet, turn the weak condition "no jump" into one row for each slave point [1]_::

        D_j u_j = sum over l of M_jl u_l,    D_j = integral of N_j,    M_jl = integral of lambda_j N_l

    integrated over the facets' mutual cuts [2]_ (`cut_interface`). The multipliers contain constants, as the lambda_j
    sum to 1: a constant traction is carried over point by point exactly, and the constant-stress patch test holds on a
    flat interface whatever the meshes. Tying each slave point to the facet below it (collocation) fails that test.

    In facets of order 2 the integral of a corner's function is zero or negative. The slave's basis is transformed: a
    corner's function takes 1/10 (six-node triangles) or 1/5 (eight-node quadrilaterals) of both adjacent mid-side
    functions, which shrink by as much; the sum stays 1 and all integrals become positive [3]_.

    Where a slave point lies off the combination of its masters' places, on curved or gapped interfaces, weights linear
    in the masters' places make up for the offset in the directions in which they spread, and the least-squares
    rotation of the masters carries what is left.

    References
    ----------
    .. [1] B. I. Wohlmuth, "A mortar finite element method using dual spaces for the Lagrange multiplier", *SIAM J.
       Numer. Anal.* 38, 2000, 989-1012.
    .. [2] M. A. Puso, T. A. Laursen, "A mortar segment-to-segment contact method for large deformation solid
       mechanics", *Comput. Methods Appl. Mech. Eng.* 193, 2004, 601-629.
    .. [3] A. Popp, B. I. Wohlmuth, M. W. Gee, W. A. Wall, "Dual quadratic mortar finite element methods for 3D finite
       deformation contact", *SIAM J. Sci. Comput.* 34, 2012, B421-B446.

    Examples
    --------
    A triangle over the middle of a larger one follows it:

    >>> corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 0], [1, 2, 0], [2, 1, 0]], float)
    >>> ties = tie_interface(corners, slave_facets=np.array([[3, 4, 5]]), master_facets=np.array([[0, 1, 2]]))
    >>> ties[0].dof, ties[0].masters, ties[0].weights.round(12)
    (9, array([0, 3, 6]), array([0.5 , 0.25, 0.25]))
    """
    slave, master = _checked(points, slave_facets, master_facets)
    if not 0.0 < least_covered <= 1.0:
        raise InputError(f"least_covered must lie in (0, 1], got {least_covered:g}")
    if uncovered not in ("error", "leave"):
        raise InputError(f"unknown uncovered {uncovered!r}", fix="use 'error' or 'leave'")
    if search_mm is None:
        search_mm = 0.5 * float(np.mean(np.linalg.norm(np.ptp(points[slave], axis=1), axis=1)))
    if not (np.isfinite(search_mm) and search_mm > 0.0):
        raise InputError(f"search_mm must be positive, got {search_mm}")
    cuts = cut_interface(points, slave, master, search_mm)
    kept = _covered(points, slave, cuts.covered, least_covered, uncovered, search_mm)
    ids, weights = _mortar_weights(slave, master, cuts, kept)
    ties: list[LinearTie] = []
    for row, point in enumerate(ids.tolist()):
        some = slice(weights.indptr[row], weights.indptr[row + 1])
        ties += _point_ties(points, point, weights.indices[some].astype(np.int64), weights.data[some])
    return tuple(ties)


def _checked(
    points: NDArray[np.float64], slave_facets: NDArray[np.int64], master_facets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Facets of both sides, refused where there are none or they share points."""
    at, slave = checked_facets(points, slave_facets)
    _, master = checked_facets(points, master_facets)
    for side, facets in (("slave", slave), ("master", master)):
        if not len(facets):
            raise InputError(f"the {side} side of the interface has no facets")
    shared = np.intersect1d(slave, master)
    if len(shared):
        x, y, z = at[shared[0]]
        raise InputError(
            f"{len(shared)} points are on both sides of the interface",
            where=f"the first at ({x:.1f}, {y:.1f}, {z:.1f}) mm",
            fix="give each side its own points, or leave out the facets that already join",
        )
    return slave, master


def _covered(
    points: NDArray[np.float64],
    slave: NDArray[np.int64],
    covered: NDArray[np.float64],
    least: float,
    uncovered: str,
    search_mm: float,
) -> NDArray[np.bool_]:
    """Which slave facets are tied; refused, with the place, where too little of one is covered, or any part twice."""
    kept = covered >= least
    twice = covered > 2.0 - least
    worst = int(np.argmax(covered)) if twice.any() else int(np.argmin(covered))
    x, y, z = points[slave[worst]].mean(axis=0)
    where = f"facet {worst} at ({x:.1f}, {y:.1f}, {z:.1f}) mm"
    if twice.any():
        raise InputError(
            f"masters cover a slave facet {covered[worst]:.2f} times", where=where,
            fix=f"list each master once, or lower search_mm ({search_mm:.3g})",
        )  # fmt: skip
    if uncovered == "error" and not kept.all():
        raise InputError(
            f"{int((~kept).sum())} of {len(kept)} slave facets are covered too little by masters facing them within "
            f"{search_mm:.3g} mm; the worst to {covered[worst]:.0%}, {least:.0%} is needed",
            where=where,
            fix="take the other side as slave, list facets counter-clockwise from outside, raise search_mm, or leave "
            "uncovered facets out with uncovered='leave'",
        )
    if not kept.any():
        raise InputError(
            f"masters cover no slave facet (at most {covered.max(initial=0.0):.0%})", where=where,
            fix="check that the sides face each other, and search_mm",
        )  # fmt: skip
    return kept


def _mortar_weights(
    slave: NDArray[np.int64], master: NDArray[np.int64], cuts: InterfaceCuts, kept: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Any]:
    """Ascending slave points and a sparse matrix (CSR) of their weights on all points up to the last master."""
    from scipy.sparse import csr_array

    T = _transformation(FACET_OF_SIZE[slave.shape[1]])
    ids, local = np.unique(slave[kept], return_inverse=True)
    nodes = np.full(slave.shape, -1)
    nodes[kept] = local.reshape(-1, slave.shape[1])
    own = cuts.first[kept] @ T.T
    gram = T @ cuts.gram[kept] @ T.T
    dual = np.zeros_like(cuts.gram)
    dual[kept] = own[:, :, None] * np.linalg.inv(gram)
    D = np.bincount(nodes[kept].ravel(), weights=own.ravel(), minlength=len(ids))
    used = kept[cuts.slave] & cuts.cross.any(axis=(1, 2))
    pair_s, pair_m = cuts.slave[used], cuts.master[used]
    blocks = dual[pair_s] @ (T @ cuts.cross[used])
    rows = np.broadcast_to(nodes[pair_s][:, :, None], blocks.shape)
    columns = np.broadcast_to(master[pair_m][:, None, :], blocks.shape)
    shape = (len(ids), int(master.max()) + 1)
    M = csr_array((blocks.ravel(), (rows.ravel(), columns.ravel())), shape=shape)
    M.sum_duplicates()
    weights = csr_array(_back(nodes[kept], slave.shape[1], len(ids)) @ M.multiply(1.0 / D[:, None]))
    weights.sort_indices()
    return ids, weights


def _transformation(kind: str) -> NDArray[np.float64]:
    """Transformed functions of a facet (rows) as combinations of its shape functions (columns)."""
    facet, share = FACETS[kind], _SHARE[kind]
    T = np.eye(facet.n_nodes)
    for i, (a, b) in enumerate(facet.edges if facet.order == 2 else ()):
        middle = facet.n_corners + i
        T[[a, b], middle] = share
        T[middle, middle] = 1.0 - 2.0 * share
    return T


def _back(nodes: NDArray[np.int64], k: int, n: int) -> Any:
    """Displacements of n slave points from coefficients of the transformed functions, sparse."""
    from scipy.sparse import csr_array

    facet = FACETS[FACET_OF_SIZE[k]]
    share = _SHARE[facet.name]
    if facet.order == 1:
        return csr_array((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, n))
    ends = nodes[:, np.array(facet.edges)].reshape(-1, 2)
    middle, first = np.unique(nodes[:, facet.n_corners :].ravel(), return_index=True)
    own = np.ones(n)
    own[middle] = 1.0 - 2.0 * share
    rows = np.concatenate([np.arange(n), middle, middle])
    columns = np.concatenate([np.arange(n), ends[first, 0], ends[first, 1]])
    return csr_array((np.concatenate([own, np.full(2 * len(middle), share)]), (rows, columns)), shape=(n, n))


def _point_ties(
    points: NDArray[np.float64], point: int, masters: NDArray[np.int64], weights: NDArray[np.float64]
) -> list[LinearTie]:
    """Three ties of one slave point, its weights completed so that rigid motions pass exactly."""
    arms = points[masters] - points[masters].mean(axis=0)
    offset = points[point] - points[masters[0]] - weights @ (points[masters] - points[masters[0]])
    extent = float(np.sqrt(np.mean(np.sum(arms**2, axis=1))))
    if np.linalg.norm(offset) > _EXACT * extent:
        weights, offset = _spread(arms, weights, offset)
    if np.linalg.norm(offset) <= _EXACT * extent:
        return [LinearTie(3 * point + d, 3 * masters + d, weights) for d in range(3)]
    blocks = weights[:, None, None] * np.eye(3) + _rotation_weights(arms, offset)
    dofs = (3 * masters[:, None] + np.arange(3)).ravel()
    return [LinearTie(3 * point + d, dofs, np.ascontiguousarray(blocks[:, d].ravel())) for d in range(3)]


def _spread(
    arms: NDArray[np.float64], weights: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights moved linearly along the directions in which masters spread, and the offset that is left."""
    size, axes = np.linalg.eigh(arms.T @ arms)
    wide = size > _FLAT * size[-1]
    along = axes[:, wide]
    moved = weights + arms @ (along @ ((along.T @ offset) / size[wide]))
    return moved, offset - (moved - weights) @ arms


def _rotation_weights(arms: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (k, 3, 3) of the displacement by which masters' least-squares rotation carries an offset (3,)."""
    inertia = np.sum(arms**2) * np.eye(3) - arms.T @ arms
    turned = _cross_matrices(offset[None])[0] @ np.linalg.inv(inertia)
    return np.asarray(-turned @ _cross_matrices(arms))


def _cross_matrices(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices (k, 3, 3) whose product with b is the cross product of each vector with b."""
    x, y, z = vectors.T
    out = np.zeros((len(vectors), 3, 3))
    out[:, 0, 1], out[:, 0, 2], out[:, 1, 2] = -z, y, -x
    return out - out.transpose(0, 2, 1)
