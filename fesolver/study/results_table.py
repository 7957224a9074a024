"""What a study found, as tables: one row per case, one row per value, intact beside treated."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.errors import InputError
from fesolver.study.engine.dataset import read_table
from fesolver.study.engine.task import Task
from fesolver.study.schema import SCHEMA

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATES", "factor_columns", "long_table", "outcome_columns", "paired", "results_table"]

STATES = ("intact", "treated", "change", "floor_solver", "floor_spacing")
_OUTCOME = re.compile(rf"({'|'.join(STATES)})/([^/]+)/(.+)", re.DOTALL)
_HEAD = ("case", "status", "error")


def results_table(folder: Path) -> pd.DataFrame:
    """Results of a study, one row per case in the order of its design; also while it runs.

    Parameters
    ----------
    folder : Path
        Result folder: `results/*.parquet`, and `study.json` with the cases.

    Returns
    -------
    DataFrame
        `case`, `status` (`done`, `failed`, NaN: not run yet), `error`, one column per factor, outcomes as
        `STATE/LEVEL/QUANTITY` with the unit at the end of the quantity. Without `study.json`, the rows there are.

    Raises
    ------
    InputError
        If the folder holds no results, or results that this version cannot read.
    """
    folder = Path(folder)
    cases = _cases(folder / "study.json")
    if cases is None and not (folder / "results").is_dir():
        state = "holds no results of a study" if folder.is_dir() else "is no folder"
        raise InputError(f"{folder} {state}", where=str(folder), fix="give a folder that `fesolver run` has written")
    return read_table(folder / "results", cases)


def factor_columns(table: pd.DataFrame) -> list[str]:
    """Columns of a results table that hold factors."""
    return [name for name in table.columns if name not in _HEAD and not _OUTCOME.fullmatch(name)]


def outcome_columns(table: pd.DataFrame) -> list[str]:
    """Columns of a results table that hold outcomes."""
    return [name for name in table.columns if _OUTCOME.fullmatch(name)]


def long_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per value that is there (not NaN), case by case.

    Parameters
    ----------
    table : DataFrame
        Results table.

    Returns
    -------
    DataFrame
        `case`, factors, `state`, `level`, `quantity`, `value`.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"case": ["00000-a"], "status": ["done"], "error": [""], "volume_ml": [4.0],
    ...                       "intact/L1/stiffness_n_per_mm": [800.0], "treated/L1/stiffness_n_per_mm": [950.0]})
    >>> long_table(table)[["volume_ml", "state", "level", "value"]].to_records(index=False).tolist()
    [(4.0, 'intact', 'L1', 800.0), (4.0, 'treated', 'L1', 950.0)]
    """
    import pandas as pd

    names = outcome_columns(table)
    values = table[names].to_numpy(dtype=np.float64)
    rows, columns = np.nonzero(~np.isnan(values))
    parts = np.array([name.split("/", 2) for name in names], dtype=object).reshape(-1, 3)
    out = table[["case", *factor_columns(table)]].iloc[rows].reset_index(drop=True)
    for k, name in enumerate(("state", "level", "quantity")):
        out[name] = pd.Series(parts[columns, k], dtype="str")
    out["value"] = values[rows, columns]
    return out


def paired(table: pd.DataFrame, level: str, quantity: str) -> pd.DataFrame:
    """One quantity of one level, intact beside treated, one row per case.

    Parameters
    ----------
    table : DataFrame
        Results table.
    level : str
        Body or disc, `L2` or `L1-L2`.
    quantity : str
        With its unit, `nucleus_pressure_mpa`.

    Returns
    -------
    DataFrame
        `case`, factors, `intact`, `treated`, `change`, `floor_solver`, `floor_spacing`; NaN where there is none.

    Raises
    ------
    InputError
        If no case has that quantity at that level.
    """
    columns = [f"{state}/{level}/{quantity}" for state in STATES]
    if not set(columns) & set(table.columns):
        known = [name.split("/", 2) for name in outcome_columns(table)]
        levels = sorted({at for _, at, found in known if found == quantity})
        there = levels or sorted({found for _, at, found in known if at == level}) or sorted({at for _, at, _ in known})
        raise InputError(
            f"no {quantity} at {level} in the results",
            where="level" if levels else "quantity",
            fix="there are " + ", ".join(there) if there else "no case has outcomes",
        )
    out = table[["case", *factor_columns(table)]].reset_index(drop=True)
    for state, column in zip(STATES, columns, strict=True):
        out[state] = table[column].to_numpy() if column in table.columns else np.nan
    return out


def _cases(path: Path) -> list[Task] | None:
    """Cases of a study in the order of its design; None without the file."""
    try:
        study: Any = json.loads(path.read_text(encoding="utf-8"))
        version = study.get("schema", SCHEMA)
        cases = [Task(c["digest"], c["case"], k, c["keys"]) for k, c in enumerate(study["cases"])]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {path.name}: {error.strerror}", where=str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path.name} is damaged",
            where=str(path),
            fix="run the study again into this folder: rows that are done stay",
        ) from None
    if version > SCHEMA:
        raise InputError(f"{path.name} has schema {version}; this version knows {SCHEMA}", where=str(path))
    return cases
