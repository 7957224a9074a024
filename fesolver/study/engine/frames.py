"""Rows as one pandas table, the same bits whatever order they came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.study.engine.parts import Record
from fesolver.study.engine.task import Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["make_frame"]

HEAD = ("case", "status", "error")


def make_frame(rows: Mapping[str, Record], order: Sequence[Task] | None = None) -> pd.DataFrame:
    """Table of the rows of `order`, or of all rows by index and digest: `case, status, error`, factors, outcomes.

    Parameters
    ----------
    rows : mapping of str to Record
        The row of each digest.
    order : sequence of Task, optional
        Which cases, with their ids and factors.

    Returns
    -------
    DataFrame
        See `dataset.read_table`.
    """
    import pandas as pd

    cases: Sequence[Task | Record]
    cases = sorted(rows.values(), key=lambda r: (r.index, r.digest)) if order is None else order
    found = [rows.get(case.digest) for case in cases]
    head = {
        "case": [case.case for case in cases],
        "status": [None if row is None else row.status for row in found],
        "error": ["" if row is None else row.error for row in found],
    }
    columns: dict[str, Any] = {name: pd.Series(values, dtype="str") for name, values in head.items()}
    for key in dict.fromkeys(key for keys in dict.fromkeys(tuple(case.keys) for case in cases) for key in keys):
        name = key if key not in HEAD else f"factor:{key}"
        columns[name] = pd.Series([case.keys.get(key, np.nan) for case in cases])
    names, matrix = _outcomes(found)
    shown = [name if name not in columns else f"outcome:{name}" for name in names]
    return pd.concat([pd.DataFrame(columns), pd.DataFrame(matrix, columns=pd.Index(shown, dtype="str"))], axis=1)


def _outcomes(rows: Sequence[Record | None]) -> tuple[list[str], NDArray[np.float64]]:
    """Names in order of first use, and values of done rows; NaN elsewhere."""
    done = [(i, row) for i, row in enumerate(rows) if row is not None and row.status == "done"]
    layouts = dict.fromkeys(row.names for _, row in done)
    at = {name: k for k, name in enumerate(dict.fromkeys(name for names in layouts for name in names))}
    places = {names: [at[name] for name in names] for names in layouts}
    matrix = np.full((len(rows), len(at)), np.nan)
    for i, row in done:
        matrix[i, places[row.names]] = row.values
    return list(at), matrix
