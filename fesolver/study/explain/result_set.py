"""A result folder as one value: what went in, its cases, its table."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.errors import InputError
from fesolver.study.results_table import results_table
from fesolver.study.schema import SCHEMA

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CaseEntry", "ResultSet", "read_result_set"]


@dataclass(frozen=True)
class CaseEntry:
    """One case of a result folder.

    Parameters
    ----------
    case : str
        Id.
    digest : str
        Hash of all that its numbers depend on; empty in folders of versions that did not keep it.
    keys : mapping
        Factors and their values.
    """

    case: str
    digest: str
    keys: Mapping[str, Any]


@dataclass(frozen=True)
class ResultSet:
    """What `fesolver run` has left in a folder.

    Parameters
    ----------
    folder : Path
    name : str
        Of the study.
    config : mapping
        The study's tables.
    inputs : mapping of str to str
        SHA-256 of every input file, by path.
    versions : mapping of str to str
        Of Python and packages; empty where unknown.
    commit : str
        Of the checkout; empty outside one.
    cases : tuple of CaseEntry
        In the order of the design.
    table : DataFrame
        Results in the layout of `results_table`, one row for each case.
    """

    folder: Path
    name: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    versions: Mapping[str, str]
    commit: str
    cases: tuple[CaseEntry, ...]
    table: pd.DataFrame


def read_result_set(folder: Path) -> ResultSet:
    """Read a result folder: of a study, of one case, finished or not.

    Raises
    ------
    InputError
        If it is no result folder, is of a newer schema, damaged, or holds no results.
    """
    folder = Path(folder)
    study, run = _record(folder / "study.json"), _record(folder / "run.json")
    if study is None and run is None:
        state = "holds neither study.json nor run.json" if folder.is_dir() else "is no folder"
        raise InputError(f"{folder} {state}", where=str(folder), fix="give a folder that `fesolver run` has written")
    record = (run or {}) | (study or {})
    try:
        cases = tuple(
            CaseEntry(str(c.get("case", c.get("id"))), str(c.get("digest", "")), dict(c["keys"]))
            for c in record["cases"]
        )
        inputs = {str(entry["path"]): str(entry["sha256"]) for entry in record.get("inputs", ())}
        found = ResultSet(
            folder, str(record.get("name", "")), dict(record["config"]), inputs, dict(record.get("versions", {})),
            str(record.get("git_commit") or ""), cases, _table(folder, cases),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "the record of the run is damaged", where=str(folder), fix="run the study again into this folder"
        ) from error
    return found


def _record(path: Path) -> dict[str, Any] | None:
    """A JSON record of a run; None where there is none."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = int(found.get("schema", SCHEMA))
    except OSError as error:
        raise InputError(f"cannot read {path.name}: {error.strerror}", where=str(path)) from None
    except (ValueError, TypeError, AttributeError):
        raise InputError(
            f"{path.name} is damaged", where=str(path), fix="run the study again into this folder"
        ) from None
    if version > SCHEMA:
        raise InputError(
            f"{path.name} has schema {version}; this version knows {SCHEMA}", where=str(path), fix="update fesolver"
        )
    return dict(found)


def _table(folder: Path, cases: tuple[CaseEntry, ...]) -> pd.DataFrame:
    """The results, one row for each case; from `summary.csv` where there is no dataset of rows."""
    if (folder / "results").is_dir():
        table = results_table(folder)
    elif (folder / "summary.csv").is_file():
        table = _from_summary(folder / "summary.csv")
    else:
        raise InputError(f"{folder} holds no results", where=str(folder), fix="run the study into it first")
    ids = [entry.case for entry in cases]
    return table.drop_duplicates("case").set_index("case").reindex(ids).reset_index()


def _from_summary(path: Path) -> pd.DataFrame:
    """Wide rows of `summary.csv`; Python reads its floats exactly."""
    import pandas as pd

    rows: dict[str, dict[str, Any]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                names = list(line)
                case, state, level = line["case"], line["state"], line["level"]
                row = rows.setdefault(case, {"case": case, "status": "failed" if state == "failed" else "done"})
                for name in names[names.index("level") + 1 :]:
                    if line[name]:
                        row[f"{state}/{level}/{name}"] = float(line[name])
    except (ValueError, KeyError, TypeError, OSError, csv.Error) as error:
        raise InputError(f"{path.name} is damaged: {error}", where=str(path), fix="run the study again") from None
    return pd.DataFrame(list(rows.values()), columns=None if rows else ["case", "status"])
