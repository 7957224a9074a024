"""Statistics of a table of cases: summaries, and differences between intact and treated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.study.explain.intervals import (
    bootstrap_interval,
    check_confidence,
    effect_sizes,
    paired_p_values,
    t_interval,
)
from fesolver.study.explain.outcome_columns import check_columns, numbers_of, pair_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SAMPLES", "bootstrap_interval", "paired_differences", "summarise"]

SAMPLES = frozenset({"latin_hypercube", "sobol"})
"""Designs whose cases are drawn from distributions; those of the others are chosen, or depend on each other."""


def summarise(
    table: pd.DataFrame,
    quantity_columns: str | Sequence[str],
    by: str | Sequence[str] | None = None,
    confidence: float = 0.95,
    *,
    is_sample: bool = False,
) -> pd.DataFrame:
    """Size, mean, spread and range of columns of a table of cases.

    Parameters
    ----------
    table : DataFrame
        One row per case, with column `status`; failed cases are counted and left out.
    quantity_columns : str or sequence of str
        Columns of numbers, such as `change/L2/segment_stiffness_n_per_mm`.
    by : str or sequence of str, optional
        Factors; one group per combination that occurs, numbers ascending, names in the order of the table.
    confidence : float
        Of the interval of the mean, in (0, 1).
    is_sample : bool
        Whether the cases are drawn at random from the population that the statistics speak of (`SAMPLES` names such
        designs; a table of measured subjects is one too).

    Returns
    -------
    DataFrame
        One row per group and column: the factors, `column`, `n`, `n_failed`, `n_missing` (done, without a finite
        number), `is_sample`, `confidence`, `mean`, `sd` (divisor n - 1), `standard_error`, `mean_low`, `mean_high`,
        `median`, `q25`, `q75`, `min`, `max`, in the unit of the column. NaN where a number does not exist: `sd` of one
        case; error and interval of the mean where `is_sample` is False.

    Raises
    ------
    InputError
        If a column or factor is not in the table, a column holds text, fewer than 2 cases are done, or a factor is
        called like a column of the result.

    Notes
    -----
    What the interval means depends on the design. For independent draws it is Student's t-interval of the population's
    mean, exact for normal numbers. A Latin hypercube integrates that part of an outcome almost exactly which is a sum
    of effects of single factors: for many cases the mean's variance is smaller than SD^2 / n by that part [1]_, and
    the interval wider than it need be; scrambled Sobol points are read in the same way. The points of a grid, of
    one-at-a-time, Morris and Saltelli designs are chosen or share coordinates: there is no sampling error, mean and SD
    describe these points alone, and no interval is given. No interval holds the error of the model or its mesh. Cases
    seldom fail at random: a summary that leaves many out is biased.

    Quartiles are linear interpolations between ordered values (type 7 of [2]_).

    References
    ----------
    .. [1] M. Stein, "Large sample properties of simulations using Latin hypercube sampling", Technometrics 29:143-151,
       1987.
    .. [2] R. J. Hyndman, Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50:361-365,
       1996.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"status": ["done"] * 4, "change/L2/bulge_mm": [1.0, 2.0, 3.0, 4.0]})
    >>> row = summarise(table, "change/L2/bulge_mm", is_sample=True).iloc[0]
    >>> float(row["mean"]), float(row["sd"]), float(row["mean_low"]), float(row["mean_high"])
    (2.5, 1.291, 0.4457, 4.554)
    """
    import pandas as pd

    check_confidence(confidence)
    names = check_columns(table, [quantity_columns] if isinstance(quantity_columns, str) else quantity_columns)
    factors = _checked(table, by, _SUMMARY)
    parts = []
    for labels, group in _groups(table[list(dict.fromkeys(("status", *factors, *names)))], factors):
        done = group[group["status"] == "done"]
        statistics = _summary(numbers_of(done, names), confidence, is_sample=is_sample)
        counts = {"n_failed": len(group) - len(done), "is_sample": is_sample, "confidence": confidence}
        part = pd.DataFrame({"column": list(names), **statistics, **counts})
        parts.append(pd.DataFrame({**labels, **part}, index=part.index)[[*factors, *_SUMMARY]])
    return pd.concat(parts, ignore_index=True)


def paired_differences(
    table: pd.DataFrame,
    level: str,
    quantity: str,
    by: str | Sequence[str] | None = None,
    confidence: float = 0.95,
    *,
    is_sample: bool = False,
) -> pd.DataFrame:
    """What the treatment changed in one quantity, case by case on the same mesh.

    Parameters
    ----------
    table : DataFrame
        One row per case, with column `status`.
    level, quantity : str
        Such as `L1-L2` and `nucleus_pressure_mpa`.
    by : str or sequence of str, optional
        Factors, as in `summarise`.
    confidence : float
        Of the intervals, in (0, 1).
    is_sample : bool
        As in `summarise`: without it, intervals and p values are NaN.

    Returns
    -------
    DataFrame
        One row per group: the factors, `level`, `quantity`, `n` (pairs), `n_failed`, `n_missing`, `is_sample`,
        `confidence`; `intact_mean`, `intact_sd`, `treated_mean`, `treated_sd`, `change_mean`, `change_sd`,
        `change_low`, `change_high` in the quantity's unit; the same four of `percent` (mean of the cases' changes in
        percent of their own intact magnitude; NaN if one of those is 0); effect sizes `cohens_d_z`, `hedges_g_z`,
        `cohens_d_av`, `hedges_g_av`; `t_p`, `wilcoxon_p` (two-sided); `n_resolved` (changes above every floor
        that is known), `n_floor_solver`, `n_floor_spacing` (pairs whose floor is known), `floor_median` (of the larger
        floor).

    Raises
    ------
    InputError
        As `summarise`.

    Notes
    -----
    d_z is the mean difference over the SD of the differences [1]_, d_av over the mean of the two states' SDs [2]_; each
    is multiplied by Hedges' correction with n - 1 degrees of freedom for g. They are NaN where the SD is 0. The SDs of
    a designed study are made by the ranges that somebody chose for the factors, and so are its effect sizes. A p value
    is about the mean of the population alone: it falls as cases are added at will and says nothing about the size of
    a change; a change that is not resolved may be numerical noise, however small its p.
    Wilcoxon's signed ranks [3]_ leave out differences of exactly 0.

    References
    ----------
    .. [1] J. Cohen, *Statistical Power Analysis for the Behavioral Sciences*, 2nd ed., Erlbaum, 1988.
    .. [2] D. Lakens, "Calculating and reporting effect sizes to facilitate cumulative science", Frontiers in Psychology
       4:863, 2013.
    .. [3] F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1:80-83, 1945.

    Examples
    --------
    >>> import pandas as pd
    >>> pairs = {"intact/L2/k_n": [1.0, 2.0, 4.0], "treated/L2/k_n": [2.0, 4.0, 7.0]}
    >>> table = pd.DataFrame({"status": ["done"] * 3, **pairs})
    >>> row = paired_differences(table, "L2", "k_n", is_sample=True).iloc[0]
    >>> float(row["change_mean"]), float(row["change_sd"]), float(row["cohens_d_z"])
    (2.0, 1.0, 2.0)
    """
    import pandas as pd

    check_confidence(confidence)
    factors = _checked(table, by, _PAIRED)
    pairs = pair_of(table, level, quantity).reset_index(drop=True)
    rows = []
    for labels, group in _groups(table[["status", *factors]], factors):
        done = group.index[group["status"] == "done"]
        pair = pairs.loc[done]
        known = pair[np.isfinite(pair["change"])]
        statistics = _paired(known, confidence, is_sample=is_sample)
        counts = {"n": len(known), "n_failed": len(group) - len(done), "n_missing": len(done) - len(known)}
        where = {"level": level, "quantity": quantity, "is_sample": is_sample, "confidence": confidence}
        rows.append({**labels, **where, **counts, **statistics})
    return pd.DataFrame(rows)[[*factors, *_PAIRED]]


_SUMMARY = (
    *("column", "n", "n_failed", "n_missing", "is_sample", "confidence", "mean", "sd", "standard_error"),
    *("mean_low", "mean_high", "median", "q25", "q75", "min", "max"),
)
"""Columns of `summarise`, after the factors."""

_PAIRED = (
    *("level", "quantity", "n", "n_failed", "n_missing", "is_sample", "confidence"),
    *("intact_mean", "intact_sd", "treated_mean", "treated_sd"),
    *(f"{of}_{what}" for of in ("change", "percent") for what in ("mean", "sd", "low", "high")),
    *("cohens_d_z", "hedges_g_z", "cohens_d_av", "hedges_g_av", "t_p", "wilcoxon_p"),
    *("n_resolved", "n_floor_solver", "n_floor_spacing", "floor_median"),
)
"""Columns of `paired_differences`, after the factors."""


def _checked(table: pd.DataFrame, by: str | Sequence[str] | None, taken: Sequence[str]) -> tuple[str, ...]:
    """The factors to group by, if the table is one of cases and has them."""
    check_columns(table, ["status"])
    n_done = int((table["status"] == "done").sum())
    if n_done < 2:
        raise InputError(
            f"{n_done} of {len(table)} cases are done: statistics need 2 or more",
            where="table of cases",
            fix="run more cases; `fesolver run --retry-failed` repeats those that failed",
        )
    factors = check_columns(table, () if by is None else (by,) if isinstance(by, str) else by, kind="factor")
    for name in factors:
        if name in taken:
            raise InputError(f"a factor called {name!r} hides a column of the statistics", fix="rename the factor")
    return factors


def _groups(table: pd.DataFrame, factors: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups of the table with their factor values; the whole table where there are no factors."""
    import pandas as pd

    table = table.reset_index(drop=True)
    if not factors:
        yield {}, table
        return
    order = [
        table[name] if pd.api.types.is_numeric_dtype(table[name]) else pd.Series(pd.factorize(table[name])[0])
        for name in factors
    ]
    ranks = pd.concat(order, axis=1, keys=range(len(factors)))
    for _, rows in ranks.groupby(list(ranks.columns), sort=True, dropna=False):
        group = table.loc[rows.index]
        yield {name: group[name].iloc[0] for name in factors}, group


def _summary(values: NDArray[np.float64], confidence: float, *, is_sample: bool) -> dict[str, Any]:
    """Statistics of every column of an array (n_rows, n_columns)."""
    import pandas as pd

    frame = pd.DataFrame(values)
    low, high = frame.min().to_numpy(), frame.max().to_numpy()
    n = frame.count().to_numpy()
    # Of equal numbers the mean is the number and the SD is 0, without the round-off of a sum.
    mean = np.where(low == high, low, frame.mean().to_numpy())
    sd = np.where((low == high) & (n > 1), 0.0, frame.std(ddof=1).to_numpy())
    q25, median, q75 = frame.quantile([0.25, 0.5, 0.75]).to_numpy() if len(frame) else np.full((3, len(n)), np.nan)
    mean_low, mean_high = t_interval(mean, sd if is_sample else np.full(len(n), np.nan), n, confidence)
    error = np.divide(sd, np.sqrt(n), out=np.full(len(n), np.nan), where=(n > 1) & is_sample)
    return {
        "n": n,
        "n_missing": len(frame) - n,
        "mean": mean,
        "sd": sd,
        "standard_error": error,
        "mean_low": mean_low,
        "mean_high": mean_high,
        "median": median,
        "q25": q25,
        "q75": q75,
        "min": low,
        "max": high,
    }


def _paired(pair: pd.DataFrame, confidence: float, *, is_sample: bool) -> dict[str, Any]:
    """Statistics of the pairs that have both numbers."""
    names = ["intact", "treated", "change", "change_percent"]
    found = _summary(pair[names].to_numpy(float), confidence, is_sample=is_sample)
    # A mean over those that have a percent would be one of other cases than the mean change.
    found["mean"][3] = found["mean"][3] if not found["n_missing"][3] else np.nan
    out = {f"{of}_{what}": found[what][at] for at, of in enumerate(("intact", "treated")) for what in ("mean", "sd")}
    for at, of in ((2, "change"), (3, "percent")):
        is_known = np.isfinite(found["mean"][at])
        for key, what in (("mean", "mean"), ("sd", "sd"), ("low", "mean_low"), ("high", "mean_high")):
            out[f"{of}_{key}"] = found[what][at] if is_known else np.nan
    floors = pair[["floor_solver", "floor_spacing"]]
    worst = floors.abs().max(axis=1)
    sizes = {"change": out["change_mean"], **{f"sd_{of}": out[f"{of}_sd"] for of in ("intact", "treated", "change")}}
    return {
        **out,
        **effect_sizes(len(pair), **sizes),
        **paired_p_values(pair["change"].to_numpy(float), out["change_mean"], out["change_sd"], is_sample=is_sample),
        "n_resolved": int((pair["change"].abs() > worst).sum()),
        "n_floor_solver": int(floors["floor_solver"].count()),
        "n_floor_spacing": int(floors["floor_spacing"].count()),
        "floor_median": float(worst.median()),
    }
