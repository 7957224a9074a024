"""Stress of second-order elements from polynomials fitted over patches of cells, and the error it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.elements import ELEMENTS, quadrature, shape_functions
from fesolver.fem.hooke import elasticity_matrices
from fesolver.fem.problem import Problem
from fesolver.fem.quadrature_fields import quadrature_fields
from fesolver.fem.smoothing import StressError

__all__ = ["PatchStress", "patch_error", "patch_stress"]

CHUNK = 8192
"""Cells, or pairs of patch and cell, handled at once."""

_SAMPLES = {"hex20": 3, "tet10": 2, "wedge15": 2}
"""Degree of the rule whose points are sampled: 2 x 2 x 2, 4, and 3 x 2, where the stress is best."""

_LINEAR, _CURVED = np.arange(4), np.arange(4, 10)
"""Places of the monomials 1, x, y, z and x^2, y^2, z^2, yz, xz, xy."""

_UNDETERMINED = 1e-3
"""Mean square, over a patch of radius 1, of what a unit curvature adds to the best linear fit: less does not count.

Around inner corners of regular meshes the least is 0.024 (hex20), 0.0034 (tet10, six to a cube) and 0.0038 (wedge15),
with corners moved by 0.15 cells 0.016, 0.0022 and 0.0024. Across one layer of hex20 or wedge15 it is 0, and at most
0.0005 with corners so moved: there it is warp that would be taken for information.
"""


@dataclass(frozen=True)
class PatchStress:
    """Continuous stress inside groups of cells.

    Parameters
    ----------
    stress : (m, 6) ndarray
        MPa, one row per point and group.
    rows : (n_cells, k) ndarray of int64
        Row of every node of every cell.
    """

    stress: NDArray[np.float64]
    rows: NDArray[np.int64]


def patch_stress(
    problem: Problem,
    u: NDArray[np.float64],
    groups: NDArray[np.int64],
    initial_strain: NDArray[np.float64] | None = None,
) -> PatchStress:
    """Stress at nodes from quadratic polynomials, one around every corner.

    Parameters
    ----------
    problem : Problem
        The solved problem, of an element of the second order.
    u : (n_points, 3) ndarray
        Displacement, mm.
    groups : (n_cells,) ndarray of int64
        Label of each cell, not negative; a patch is made of cells of one group.
    initial_strain : (n_cells, 6) ndarray, optional
        As in `fesolver.fem.problem.Loads`.

    Returns
    -------
    PatchStress

    Notes
    -----
    Superconvergent patch recovery [1]_: around every corner a complete quadratic is fitted, by least squares, to the
    stress at the sampling points of the cells that share it. A corner takes the value of its own patch, a mid-side node
    the mean of its edge's two. Most patches at surfaces, and all in a layer one cell thick, do not have the points for
    a quadratic; [1]_ takes values there from patches inside, which extrapolates far. Here every patch has its linear
    part in full, and of the curvatures those combinations that its points determine; the others are zero.

    References
    ----------
    .. [1] O. C. Zienkiewicz, J. Z. Zhu, "The superconvergent patch recovery and a posteriori error estimates. Part 1:
       the recovery technique", *Int. J. Numer. Meth. Eng.* 33, 1992, 1331-1364.
    """
    element = ELEMENTS[problem.element]
    n_labels = int(groups.max(initial=0)) + 1
    keys, inverse = np.unique(problem.cells * n_labels + groups[:, None], return_inverse=True)
    rows = inverse.reshape(problem.cells.shape)
    corners, patch = np.unique(rows[:, : element.n_corners], return_inverse=True)
    places = problem.points[keys // n_labels]
    pairs = patch.ravel(), np.repeat(np.arange(len(rows)), element.n_corners)
    samples = _samples(problem, u, initial_strain)
    centre, length, coefficients = _fitted(samples, pairs, len(corners))
    stress = np.empty((len(keys), 6))
    own = _monomials(places[corners], centre, length)
    stress[corners] = np.einsum("ni,nij->nj", own, coefficients)
    patches = patch.reshape(len(rows), -1)
    for middle, ends in enumerate(element.edges, start=element.n_corners):
        at = rows[:, middle]
        of_ends = patches[:, list(ends)]
        P = _monomials(places[at, None], centre[of_ends], length[of_ends])
        stress[at] = np.einsum("mei,meij->mj", P, coefficients[of_ends]) / 2  # every cell of an edge says the same
    return PatchStress(stress, rows)


def patch_error(
    problem: Problem,
    u: NDArray[np.float64],
    groups: NDArray[np.int64],
    initial_strain: NDArray[np.float64] | None = None,
) -> StressError:
    """Zienkiewicz-Zhu estimate with `patch_stress`, cell by cell; parameters as there.

    Returns
    -------
    StressError
        Squares of energy norms, N mm.
    """
    smooth = patch_stress(problem, u, groups, initial_strain)
    degree = max(ELEMENTS[problem.element].degree, 4)
    N = shape_functions(problem.element, quadrature(problem.element, degree)[0])
    error, energy = np.empty(len(problem.cells)), np.empty(len(problem.cells))
    for part in _parts(problem):
        fields = quadrature_fields(problem, u, initial_strain, degree=degree, cells=part)
        gap = np.einsum("qk,mki->mqi", N, smooth.stress[smooth.rows[part]]) - fields.stress
        compliance = np.linalg.inv(elasticity_matrices(problem.elasticity, np.arange(part.start, part.stop)))
        for stress, out in ((gap, error), (fields.stress, energy)):
            out[part] = np.einsum("mq,mqi,mij,mqj->m", fields.weights, stress, compliance, stress, optimize=True)
    return StressError(error, energy)


def _parts(problem: Problem) -> Iterator[slice]:
    """Slices that cover the cells."""
    n = len(problem.cells)
    return (slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))


def _samples(
    problem: Problem, u: NDArray[np.float64], initial_strain: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sampling points (n_cells, q, 3) and the stress there (n_cells, q, 6)."""
    degree = _SAMPLES[problem.element]
    n, q = len(problem.cells), len(quadrature(problem.element, degree)[1])
    points, stress = np.empty((n, q, 3)), np.empty((n, q, 6))
    for part in _parts(problem):
        fields = quadrature_fields(problem, u, initial_strain, degree=degree, cells=part)
        points[part], stress[part] = fields.points, fields.stress
    return points, stress


def _monomials(
    places: NDArray[np.float64], origin: NDArray[np.float64], length: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Monomials (..., 10) of (places - origin) / length."""
    at = (places - origin) / length[..., None]
    out = np.ones((*at.shape[:-1], 10))
    out[..., 1:4] = at
    out[..., 4:7] = at * at
    out[..., 7:] = at[..., [1, 0, 0]] * at[..., [2, 2, 1]]
    return out


def _fitted(
    samples: tuple[NDArray[np.float64], NDArray[np.float64]],
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    n: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centres (n, 3), radii (n,) and coefficients (n, 10, 6) of patches, which are pairs of patch and cell."""
    points, stress = samples
    count = points.shape[1] * np.bincount(pairs[0], minlength=n)
    centre, length = np.zeros((n, 3)), np.zeros(n)
    A, b = np.zeros((n, 10, 10)), np.zeros((n, 10, 6))
    chunks = [tuple(some[start : start + CHUNK] for some in pairs) for start in range(0, len(pairs[0]), CHUNK)]
    for at, cells in chunks:
        np.add.at(centre, at, points[cells].sum(axis=1))
    centre /= count[:, None]
    for at, cells in chunks:
        np.maximum.at(length, at, np.linalg.norm(points[cells] - centre[at, None], axis=2).max(axis=1))
    for at, cells in chunks:
        P = _monomials(points[cells], centre[at, None], length[at, None])
        np.add.at(A, at, P.transpose(0, 2, 1) @ P)
        np.add.at(b, at, P.transpose(0, 2, 1) @ stress[cells])
    return centre, length, _solved(A, b, count)


def _solved(A: NDArray[np.float64], b: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    """Coefficients (n, 10, 6): the linear part always, of the quadratic part what the samples give beside it."""
    B = A[:, _LINEAR[:, None], _CURVED]
    both = np.linalg.solve(A[:, _LINEAR[:, None], _LINEAR], np.concatenate([B, b[:, _LINEAR]], axis=2))
    follow, alone = both[..., : len(_CURVED)], both[..., len(_CURVED) :]
    S = A[:, _CURVED[:, None], _CURVED] - B.transpose(0, 2, 1) @ follow
    rest = b[:, _CURVED] - B.transpose(0, 2, 1) @ alone
    size, vectors = np.linalg.eigh(S / count[:, None, None])
    inverse = np.divide(1.0, size * count[:, None], out=np.zeros_like(size), where=size > _UNDETERMINED)
    out = np.empty_like(b)
    out[:, _CURVED] = vectors @ (inverse[..., None] * (vectors.transpose(0, 2, 1) @ rest))
    out[:, _LINEAR] = alone - follow @ out[:, _CURVED]
    return out
