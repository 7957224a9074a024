"""Rank correlations of factors: checked, turned into a matrix, and put into points of the unit cube."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from fesolver.errors import InputError
from fesolver.study.schema_design import CorrelationTable

__all__ = ["correlated", "correlation_matrix"]

_WHERE = "design.correlations"
_LEAST_EIGENVALUE = 1e-10  # below it, round-off of the factorisation decides
_LEAST_PIVOT = 1e-8
_OPEN = (2.0**-53, 1.0 - 2.0**-53)


def correlation_matrix(names: Sequence[str], correlations: Sequence[CorrelationTable]) -> NDArray[np.float64]:
    """Correlation of the normal scores that gives the wanted rank correlations.

    Parameters
    ----------
    names : sequence of str
        The k factors, in the order of the columns of their points.
    correlations : sequence of CorrelationTable
        Spearman's rank correlations of pairs; pairs that are not named have 0.

    Returns
    -------
    (k, k) ndarray
        Pearson's correlation of the normal scores, 2 sin(pi r / 6) for a rank correlation r; what `correlated` takes.

    Raises
    ------
    InputError
        If a factor is unknown or paired with itself, a pair is given twice, or the matrix is not positive definite.

    Notes
    -----
    Two jointly normal variables of correlation rho have the rank correlation r = (6 / pi) arcsin(rho / 2) [1]_, and
    ranks do not change when a variable is transformed to another distribution.

    References
    ----------
    .. [1] K. Pearson, *On further methods of determining correlation*, Drapers' Company Research Memoirs, Biometric
       Series IV, London, 1907.

    Examples
    --------
    >>> pair = CorrelationTable(between=("age", "density"), value=-0.5)
    >>> correlation_matrix(["age", "density"], [pair]).round(4)
    array([[ 1.    , -0.5176],
           [-0.5176,  1.    ]])
    """
    ranks = np.eye(len(names))
    index = {name: i for i, name in enumerate(names)}
    seen: dict[frozenset[str], int] = {}
    for number, table in enumerate(correlations):
        where = f"{_WHERE}[{number}]"
        a, b = table.between
        for name in (a, b):
            if name not in index:
                raise InputError(
                    f"{name!r} is no factor of this study",
                    where=f"{where}.between",
                    fix=f"the factors are {', '.join(names)}",
                )
        if a == b:
            raise InputError(
                f"factor {a} is correlated with itself", where=f"{where}.between", fix="name two different factors"
            )
        first = seen.setdefault(frozenset((a, b)), number)
        if first != number:
            raise InputError(
                f"the correlation of {a} and {b} is given twice",
                where=f"{where}.between",
                fix=f"keep this one or {_WHERE}[{first}]",
            )
        ranks[index[a], index[b]] = ranks[index[b], index[a]] = table.value
    if len(names) and _least_eigenvalue(ranks) <= _LEAST_EIGENVALUE:
        raise _not_definite(names, ranks)
    return _score_correlation(ranks)


def correlated(u: ArrayLike, matrix: ArrayLike, *, keep_strata: bool) -> NDArray[np.float64]:
    """Points of the unit cube with correlated columns, each column still uniform.

    Parameters
    ----------
    u : (n, k) array_like
        Points with independent columns, strictly inside (0, 1).
    matrix : (k, k) array_like
        Correlation of the normal scores, from `correlation_matrix`.
    keep_strata : bool
        Only reorder the columns, so that every stratum of a Latin hypercube keeps its point; otherwise map each point
        by itself, so that the first n points of a sequence stay the first n.

    Returns
    -------
    (n, k) ndarray
        Strictly inside (0, 1).

    Raises
    ------
    InputError
        If the shapes do not fit, a number is not inside (0, 1), the matrix is not a positive definite correlation
        matrix, or there are too few points to reorder.

    Notes
    -----
    Point by point: the Gaussian copula, u' = Phi(L Phi^-1(u)) with L the Cholesky factor of the matrix [1]_; a column
    that is correlated with none before it stays as it is. Reordered: Iman and Conover's method [2]_ on van der Waerden
    scores Phi^-1(i / (n + 1)); their sample correlation, which chance makes differ from 0, is taken out before the
    wanted one is put in, and each column takes the order of its scores. The first column stays as it is.

    References
    ----------
    .. [1] R. B. Nelsen, *An Introduction to Copulas*, 2nd ed., Springer, 2006.
    .. [2] R. L. Iman, W. J. Conover, *A distribution-free approach to inducing rank correlation among input variables*,
       Commun. Stat. Simul. Comput. 11:311-334, 1982.
    """
    u, matrix = np.asarray(u, dtype=np.float64), np.asarray(matrix, dtype=np.float64)
    k = u.shape[1] if u.ndim == 2 else -1
    if matrix.shape != (k, k):
        raise InputError(f"points of shape {u.shape} and a correlation matrix of shape {matrix.shape} do not fit")
    if not np.all((u > 0.0) & (u < 1.0)):
        raise InputError("points to be correlated must lie strictly inside (0, 1)")
    if not (np.array_equal(matrix, matrix.T) and np.all(np.diag(matrix) == 1.0)):
        raise InputError("a correlation matrix is symmetric with a diagonal of ones", where=_WHERE)
    root = _cholesky(matrix, _LEAST_EIGENVALUE)
    if root is None:
        raise InputError("the correlation matrix is not positive definite", where=_WHERE)
    return _reordered(u, root) if keep_strata else _copula(u, root)


def _copula(u: NDArray[np.float64], root: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each point through the normal distribution whose correlation has this Cholesky factor."""
    scores = ndtri(u)
    out = u.copy()
    for j, row in enumerate(root):
        if np.any(row[:j]):
            out[:, j] = np.clip(ndtr(_combined(scores, row[: j + 1])), *_OPEN)
    return out


def _reordered(u: NDArray[np.float64], root: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns in the order of scores that have this Cholesky factor's correlation in the sample."""
    n, k = u.shape
    scores = ndtri(np.arange(1, n + 1) / (n + 1))[_ranks(u)]
    sample = np.eye(k)
    for i in range(k if n > k else 0):
        for j in range(i):  # every column holds the same numbers, so one sum of squares norms both
            sample[i, j] = sample[j, i] = (scores[:, i] * scores[:, j]).sum() / (scores[:, i] ** 2).sum()
    own = _cholesky(sample, _LEAST_PIVOT) if n > k else None
    if own is None:
        raise InputError(
            f"{n} points are too few to give {k} factors their correlations",
            where="design.n",
            fix=f"use {max(10 * k, n + 1)} points or more, or kind = 'sobol'",
        )
    free = np.empty_like(scores)
    for j in range(k):
        free[:, j] = (scores[:, j] - _combined(free, own[j, :j])) / own[j, j]
    wanted = np.stack([_combined(free, root[j, : j + 1]) for j in range(k)], axis=1)
    return np.asarray(np.take_along_axis(np.sort(u, axis=0), _ranks(wanted), axis=0))


def _combined(columns: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the leading columns times the numbers of a row, in fixed order: the same bits with any BLAS."""
    out = np.zeros(len(columns))
    for j, value in enumerate(row):
        out += value * columns[:, j]
    return out


def _ranks(columns: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of every number in its column, from 0; equal ones in order."""
    return np.argsort(np.argsort(columns, axis=0, kind="stable"), axis=0, kind="stable")


def _cholesky(matrix: NDArray[np.float64], least: float) -> NDArray[np.float64] | None:
    """Lower Cholesky factor in plain loops (the same bits with any LAPACK); None where a pivot is `least` or less."""
    k = len(matrix)
    root = np.zeros((k, k))
    for j in range(k):
        for i in range(j, k):
            rest = float(matrix[i, j]) - sum(float(root[i, p] * root[j, p]) for p in range(j))
            if i == j and rest <= least:
                return None
            root[i, j] = np.sqrt(rest) if i == j else rest / root[j, j]
    return root


def _score_correlation(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of normal scores from rank correlations; exactly 1 on the diagonal."""
    scores = 2.0 * np.sin(np.pi / 6.0 * ranks)
    np.fill_diagonal(scores, 1.0)
    return np.asarray(scores)


def _least_eigenvalue(ranks: NDArray[np.float64]) -> float:
    """Least eigenvalue of the correlation of the normal scores."""
    return float(np.linalg.eigvalsh(_score_correlation(ranks))[0])


def _not_definite(names: Sequence[str], ranks: NDArray[np.float64]) -> InputError:
    """What to say of correlations that cannot hold together, and which of them to lower."""
    scores = _score_correlation(ranks)
    values, vectors = np.linalg.eigh(scores)
    v = vectors[:, 0]
    heavy = [names[i] for i in np.argsort(-np.abs(v), kind="stable") if abs(v[i]) > 0.3 * np.abs(v).max()]
    # The least eigenvalue is v^T C v: the pair that takes most from it is the one to lower.
    share = np.triu(np.outer(v, v) * scores, 1)
    i, j = (int(at) for at in np.unravel_index(np.argmin(share), share.shape))
    pair = np.zeros(ranks.shape, dtype=bool)
    pair[i, j] = pair[j, i] = True
    alone, together = (_largest_scale(ranks, which) for which in (pair, ~np.eye(len(names), dtype=bool)))
    enough = f" to {alone * ranks[i, j]:.12g}" if alone else ""
    return InputError(
        f"these rank correlations cannot hold at once: their matrix has the least eigenvalue {values[0]:.3g}, not a "
        f"positive one; the factors that weigh most in its eigenvector are {', '.join(heavy)}",
        where=_WHERE,
        fix=f"lower the correlation of {names[i]} and {names[j]} ({ranks[i, j]:g}){enough}, or take all of them times "
        f"{together:g}",
    )


def _largest_scale(ranks: NDArray[np.float64], which: NDArray[np.bool_]) -> float:
    """Largest of 0.99, 0.98, ... that makes the matrix definite when these entries are multiplied by it; 0 if none."""
    for hundredths in range(99, 0, -1):
        if _least_eigenvalue(np.where(which, ranks * hundredths / 100, ranks)) > _LEAST_EIGENVALUE:
            return hundredths / 100
    return 0.0
