"""The overlap of two sides of an interface: which facets face each other, and integrals over what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import FACET_OF_SIZE, FACETS
from fesolver.fem.facets import area_vectors
from fesolver.fem.quadrature import cell_rule
from fesolver.meshing.interface_ties_kernels import cut_integrals

__all__ = ["InterfaceCuts", "cut_interface"]

_TRIANGLES: Mapping[str, tuple[tuple[int, int, int], ...]] = MappingProxyType(
    {
        "tri3": ((0, 1, 2),),
        "quad4": ((0, 1, 2), (0, 2, 3)),
        "tri6": ((0, 3, 5), (1, 4, 3), (2, 5, 4), (3, 4, 5)),
        "quad8": ((0, 4, 7), (1, 5, 4), (2, 6, 5), (3, 7, 6), (4, 5, 6), (4, 6, 7)),
    }
)
"""Flat triangles through the nodes of a facet, by which overlaps are cut."""

_TOTAL_DEGREE: Mapping[str, int] = MappingProxyType({"tri3": 1, "quad4": 2, "tri6": 2, "quad8": 3})
"""Largest total degree of a shape function."""

_EXTRA_DEGREE = 10
"""For facets whose map is not affine: the integrand is smooth and no polynomial. With corners of 65 to 129 degrees the
resultants of shape functions then came out to 6e-13 of themselves, with 4 degrees to 3e-9, with none to 2e-6."""


@dataclass(frozen=True)
class InterfaceCuts:
    """Integrals over the overlap of a slave and a master side.

    Parameters
    ----------
    gram : (m, ks, ks) ndarray
        Of products of the slave facet's shape functions over its covered part, mm2.
    first : (m, ks) ndarray
        Of the slave's shape functions, mm2.
    slave, master : (p,) ndarray of int64
        Facets of every pair that may overlap.
    cross : (p, ks, km) ndarray
        Of the slave's times the master's shape functions, mm2.
    covered : (m,) ndarray
        Fraction of each slave facet's projection that masters cover.
    gap : (m,) ndarray
        Largest distance along the slave's normal from it to its masters, mm.
    """

    gram: NDArray[np.float64]
    first: NDArray[np.float64]
    slave: NDArray[np.int64]
    master: NDArray[np.int64]
    cross: NDArray[np.float64]
    covered: NDArray[np.float64]
    gap: NDArray[np.float64]


def cut_interface(
    points: NDArray[np.float64],
    slave_facets: NDArray[np.int64],
    master_facets: NDArray[np.int64],
    search_mm: float,
) -> InterfaceCuts:
    """Cut two sides of an interface by each other and integrate products of shape functions over the pieces.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm.
    slave_facets, master_facets : (m, ks) and (M, km) ndarray of int64
        Facets of one kind each, counter-clockwise seen from outside their own solid, so that the sides face each other.
    search_mm : float
        Facets farther apart along the slave's normal do not meet.

    Raises
    ------
    InputError
        If a facet has no area, or is so folded that a place on it is not found.

    Notes
    -----
    On the plane of each slave facet's mean normal both sides are cut into triangles through their nodes, which are
    clipped by each other; at quadrature points of the pieces, the reference coordinates on both sides are found by
    Newton's method along that normal [1]_. Areas are the slave's own, curvature included. With affine maps the
    quadrature is exact.

    References
    ----------
    .. [1] M. A. Puso, T. A. Laursen, "A mortar segment-to-segment contact method for large deformation solid
       mechanics", *Comput. Methods Appl. Mech. Eng.* 193, 2004, 601-629.
    """
    kind_s, kind_m = (FACET_OF_SIZE[facets.shape[1]] for facets in (slave_facets, master_facets))
    slaves, masters = points[slave_facets], points[master_facets]
    axes, projected = _planes(points, slave_facets)
    starts, ids = _candidates(slaves, masters, search_mm)
    sizes = np.sqrt(projected)
    m, ks, km = len(slaves), slaves.shape[1], masters.shape[1]
    gram, first = np.zeros((m, ks, ks)), np.zeros((m, ks))
    cross, covered, gap = np.zeros((len(ids), ks, km)), np.zeros(m), np.zeros(m)
    trouble = np.zeros(m, dtype=np.int64)
    origin = slaves[:, : FACETS[kind_s].n_corners].mean(axis=1)
    rule, weights = cell_rule("triangle", _degree(slaves, masters, kind_s, kind_m))
    cut_integrals(
        slaves, masters, starts, ids, np.array(_TRIANGLES[kind_s]), np.array(_TRIANGLES[kind_m]),
        FACETS[kind_s].nodes.copy(), FACETS[kind_m].nodes.copy(), rule.copy(), weights.copy(), float(search_mm), sizes,
        (gram, first, cross, covered, gap, trouble, origin, axes),
    )  # fmt: skip
    if trouble.any():
        x, y, z = origin[int(np.argmax(trouble))]
        raise InputError(
            "a facet of the interface is folded: a place on it has no reference coordinates",
            where=f"({x:.1f}, {y:.1f}, {z:.1f}) mm",
            fix="untangle the mesh there",
        )
    slave = np.repeat(np.arange(m), np.diff(starts))
    return InterfaceCuts(gram, first, slave, ids, cross, covered / projected, gap)


def _planes(points: NDArray[np.float64], facets: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Axes (m, 3, 3) of facets, the last along the mean outward normal, and their area on that plane (m,), mm2."""
    # The flat triangles' mean normal: on their plane the facet's outline encloses this area.
    corners = points[facets]
    triangles = np.array(_TRIANGLES[FACET_OF_SIZE[facets.shape[1]]])
    a, b, c = (corners[:, triangles[:, i]] for i in range(3))
    vectors = 0.5 * np.cross(b - a, c - a).sum(axis=1)
    area = np.linalg.norm(vectors, axis=1)
    extent = np.max(np.ptp(corners, axis=1), axis=1, initial=0.0)
    flat = ~(area > 1e-12 * extent**2) | ~(np.linalg.norm(area_vectors(points, facets), axis=1) > 0.0)
    if flat.any():
        x, y, z = corners[int(np.argmax(flat))].mean(axis=0)
        raise InputError(
            f"a facet of the interface has no area ({int(flat.sum())} in all)",
            where=f"({x:.1f}, {y:.1f}, {z:.1f}) mm",
            fix="take it out, or merge its points",
        )
    normal = vectors / area[:, None]
    along = corners[:, 1] - corners[:, 0]
    along = along - np.sum(along * normal, axis=1)[:, None] * normal
    along /= np.linalg.norm(along, axis=1)[:, None]
    return np.stack([along, np.cross(normal, along), normal], axis=1), area


def _candidates(
    slaves: NDArray[np.float64], masters: NDArray[np.float64], search_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Masters that may overlap each slave facet, ascending: ids[starts[f]:starts[f + 1]]."""
    from scipy.spatial import cKDTree

    middle_s, middle_m = slaves.mean(axis=1), masters.mean(axis=1)
    radius_s = np.linalg.norm(slaves - middle_s[:, None], axis=2).max(axis=1)
    radius_m = np.linalg.norm(masters - middle_m[:, None], axis=2).max(axis=1)
    reach = radius_s + radius_m.max() + search_mm
    found = cKDTree(middle_m).query_ball_point(middle_s, reach, return_sorted=True)
    count = np.array([len(near) for near in found], dtype=np.int64)
    ids = np.concatenate([np.asarray(near, dtype=np.int64) for near in found])
    owner = np.repeat(np.arange(len(slaves)), count)
    distance = np.linalg.norm(middle_s[owner] - middle_m[ids], axis=1)
    kept = distance <= radius_s[owner] + radius_m[ids] + search_mm
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner[kept], minlength=len(slaves)))])
    return starts.astype(np.int64), ids[kept]


def _degree(slaves: NDArray[np.float64], masters: NDArray[np.float64], kind_s: str, kind_m: str) -> int:
    """Degree of the quadrature: exact where every map is affine, rich where one is not."""
    degree = _TOTAL_DEGREE[kind_s] + max(_TOTAL_DEGREE[kind_s], _TOTAL_DEGREE[kind_m])
    is_affine = _is_affine(slaves, kind_s) and _is_affine(masters, kind_m)
    return degree if is_affine else degree + _EXTRA_DEGREE


def _is_affine(corners: NDArray[np.float64], kind: str) -> bool:
    """Whether every facet (m, k, 3) is an affine image of its reference."""
    facet = FACETS[kind]
    basis = np.column_stack([np.ones(facet.n_nodes), facet.nodes])
    left = np.eye(facet.n_nodes) - basis @ np.linalg.pinv(basis)
    off = np.abs(np.einsum("ab,mbx->max", left, corners)).max(initial=0.0)
    return bool(off <= 1e-9 * np.abs(np.ptp(corners, axis=1)).max(initial=0.0))
