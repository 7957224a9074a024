"""Sensitivity by regression: partial rank correlations, standardised coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.study.explain.columns import complete_sample

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["prcc", "standardised_regression"]

_ROUND_OFF = 1e-9
"""What is left of a unit column, beside this, is none."""


def prcc(table: pd.DataFrame, factors: Sequence[str], outcome: str, *, confidence: float = 0.95) -> pd.DataFrame:
    """Partial rank correlation coefficient of every factor with an outcome.

    Parameters
    ----------
    table : DataFrame
        One row per case, as `results_table` gives it; cases without the outcome are left out.
    factors : sequence of str
        Columns of numbers; equal values share their mean rank.
    outcome : str
        Column.
    confidence : float
        Of the intervals.

    Returns
    -------
    DataFrame
        `factor, prcc, low, high, p_value, n, r_squared`; the last is that of the regression on ranks: far below 1, the
        outcome is not monotone in the factors, or they interact, and these coefficients miss the rest.

    Raises
    ------
    InputError
        If a factor has named levels, does not vary or follows from others; if there are fewer than k + 4 cases, or the
        outcome does not vary.

    Notes
    -----
    The Pearson correlation of what is left of the ranks of the factor and of the outcome after linear regression of
    each on the ranks of the other k - 1 factors; t = r sqrt((n - k - 1) / (1 - r^2)) has n - k - 1 degrees of freedom
    where there is no correlation [1]_. The interval is tanh(atanh r +- z / sqrt(n - k - 2)): Fisher's, with the sample
    lessened by the k - 1 factors held [2]_. Where the outcome's ranks follow from the other factors entirely, the
    coefficient is 0.

    It sees monotone parts only: of a factor that acts up and down alike it is about 0, however strong. In a model
    without noise it grows towards 1 with n, and the interval, which knows spread and no bias, falls short of the
    limit: see `index_convergence`.

    References
    ----------
    .. [1] S. Marino, I. B. Hogue, C. J. Ray, D. E. Kirschner, *A methodology for performing global uncertainty and
       sensitivity analysis in systems biology*, J. Theor. Biol. 254:178-196, 2008.
    .. [2] R. A. Fisher, *The distribution of the partial correlation coefficient*, Metron 3:329-332, 1924.

    Examples
    --------
    >>> import pandas as pd
    >>> x = [0.1, 0.7, 0.3, 0.9, 0.5, 0.2, 0.8]
    >>> cubes = pd.DataFrame({"x": x, "change/L1/k_n_per_mm": [v**3 for v in x]})
    >>> prcc(cubes, ["x"], "change/L1/k_n_per_mm")["prcc"].round(6).tolist()
    [1.0]
    """
    import pandas as pd
    from scipy import stats

    X, y = complete_sample(table, factors, outcome)
    ranks, rank_y = _unit_columns(stats.rankdata(X, axis=0)), _unit_columns(stats.rankdata(y)[:, None])[:, 0]
    _check_independent(ranks, factors)
    n, k = X.shape
    r = np.array([_partial(ranks, rank_y, j) for j in range(k)])
    z = stats.norm.ppf(0.5 + confidence / 2) / np.sqrt(n - k - 2)
    with np.errstate(divide="ignore"):
        middle = np.arctanh(r)
        t = np.abs(r) * np.sqrt((n - k - 1) / (1.0 - r**2))
    return pd.DataFrame(
        {
            "factor": list(factors),
            "prcc": r,
            "low": np.tanh(middle - z),
            "high": np.tanh(middle + z),
            "p_value": 2.0 * stats.t.sf(t, n - k - 1),
            "n": n,
            "r_squared": _r_squared(ranks, rank_y),
        }
    )


def standardised_regression(
    table: pd.DataFrame, factors: Sequence[str], outcome: str, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Standardised coefficients of a linear regression, and how much of the outcome it explains.

    Parameters
    ----------
    table, factors, outcome, confidence
        As in `prcc`.

    Returns
    -------
    DataFrame
        `factor, src, low, high, p_value, n, r_squared`. With independent factors the squares of `src` are their shares
        of the variance, and add up to `r_squared`; where that is far below 1, linear indices say little.

    Raises
    ------
    InputError
        As in `prcc`.

    Notes
    -----
    src_j = b_j sd(x_j) / sd(y) with b of least squares; intervals and p values are those of Student's t with n - k - 1
    degrees of freedom [1]_, which take the residual for noise.

    References
    ----------
    .. [1] A. Saltelli et al., *Global Sensitivity Analysis: The Primer*, Wiley, 2008, section 1.2.5.

    Examples
    --------
    >>> import pandas as pd
    >>> flat = pd.DataFrame({"a": [0.0, 1.0] * 4, "b": [0.0, 0.0, 1.0, 1.0] * 2})
    >>> flat["change/L1/k_n_per_mm"] = 3.0 * flat.a - 4.0 * flat.b
    >>> standardised_regression(flat, ["a", "b"], "change/L1/k_n_per_mm")["src"].round(6).tolist()
    [0.6, -0.8]
    """
    import pandas as pd
    from scipy import stats

    given, y = complete_sample(table, factors, outcome)
    X, target = _unit_columns(given), _unit_columns(y[:, None])[:, 0]
    _check_independent(X, factors)
    n, k = X.shape
    src = np.linalg.lstsq(X, target, rcond=None)[0]
    left = target - X @ src
    variance = left @ left / (n - k - 1)
    error = np.sqrt(variance * np.diag(np.linalg.inv(X.T @ X)))
    half = stats.t.ppf(0.5 + confidence / 2, n - k - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0.0, np.abs(src) / error, np.inf)
    return pd.DataFrame(
        {
            "factor": list(factors),
            "src": src,
            "low": src - half,
            "high": src + half,
            "p_value": 2.0 * stats.t.sf(t, n - k - 1),
            "n": n,
            "r_squared": 1.0 - left @ left,
        }
    )


def _unit_columns(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of zero mean and unit length."""
    centred = values - values.mean(axis=0)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=0)))


def _left_over(columns: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """What regression on columns leaves of a unit column; zero where that is round-off."""
    if not columns.shape[1]:
        return target
    left = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
    return left if left @ left > _ROUND_OFF**2 else np.zeros_like(left)


def _partial(columns: NDArray[np.float64], target: NDArray[np.float64], j: int) -> float:
    """Correlation of column j and the target, the other columns held."""
    others = np.delete(columns, j, axis=1)
    a, b = _left_over(others, columns[:, j]), _left_over(others, target)
    if not b.any():
        return 0.0
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def _r_squared(columns: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Share of the target's variance that regression on columns explains."""
    left = _left_over(columns, target)
    return float(1.0 - left @ left)


def _check_independent(columns: NDArray[np.float64], factors: Sequence[str]) -> None:
    """Refuse a factor that the others determine: no regression can tell them apart."""
    for j, name in enumerate(factors):
        if not _left_over(np.delete(columns, j, axis=1), columns[:, j]).any():
            raise InputError(
                f"factor {name!r} follows from the others in this design", where="factors", fix="leave one of them out"
            )
