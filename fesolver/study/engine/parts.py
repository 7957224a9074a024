"""One part of the dataset: rows to the bytes of a Parquet file, and back, every bit kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.study.engine.task import Row, Task

__all__ = ["SCHEMA", "DamagedPartError", "Record", "decode_part", "encode_part", "make_record"]

SCHEMA = 1
HEAD = ("serial", "layout", "digest", "case", "index", "status", "error", "facts")
FACTOR = "factor:"
OUTCOME = "outcome:"
COMPRESS_ABOVE = 64  # rows; below, compression costs more time than it saves room


class DamagedPartError(ValueError):
    """A file that is no part of a dataset, or no whole one."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row as it is kept.

    Parameters
    ----------
    serial : int
        How many rows were added to the dataset before it; copies of a row share it.
    digest, case, index, keys
        Of its task.
    status, error
        Of the row.
    facts : str
        Facts of the row as JSON.
    names : tuple of str
        Outcomes in the order in which the evaluator gave them.
    values : (n_names,) ndarray
        Their values.
    """

    serial: int
    digest: str
    case: str
    index: int
    keys: Mapping[str, Any]
    status: str
    error: str
    facts: str
    names: tuple[str, ...]
    values: NDArray[np.float64]


def make_record(task: Task, row: Row, serial: int) -> Record:
    """What is kept of a task and its row; ValueError if the row is another task's."""
    if row.digest != task.digest:
        raise ValueError(f"row {row.digest} is not of task {task.digest}")
    return Record(
        serial=serial,
        digest=task.digest,
        case=task.case,
        index=task.index,
        keys=dict(task.keys),
        status=row.status,
        error=row.error.encode("utf-8", "backslashreplace").decode(),  # file names in messages need not be UTF-8
        facts=json.dumps(dict(row.facts), default=_plain),
        names=tuple(row.values),
        values=np.array(list(row.values.values()), dtype=np.float64),
    )


def encode_part(records: Sequence[Record], study: str = "") -> memoryview:
    """Bytes of a Parquet file that holds `records`.

    Parameters
    ----------
    records : sequence of Record
        One or more.
    study : str
        Name of the study, kept in the file's metadata.

    Returns
    -------
    memoryview

    Notes
    -----
    Outcomes have their own names, factors `factor:NAME`; an outcome whose name would clash is `outcome:NAME`.
    A column holds NaN (factors: null) in rows that do not have it. `layout` numbers the list of columns that a row has,
    in its own order; the lists are in the metadata, so that the order of a row's columns does not depend on which rows
    it shares a file with. Pages carry checksums, and the names of the columns one of their own.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    factors = list(dict.fromkeys(name for keys in _unlike(r.keys for r in records) for name in keys))
    outcomes = list(dict.fromkeys(name for names in dict.fromkeys(r.names for r in records) for name in names))
    layouts, of_rows = _layouts(records, factors, outcomes)
    fields, arrays, as_json = [], [], []
    for name in factors:
        array, is_json = _factor_array([r.keys.get(name) for r in records], [name in r.keys for r in records])
        fields.append(pa.field(FACTOR + name, array.type))
        arrays.append(array)
        as_json.append(is_json)
    for name, column in zip(outcomes, _matrix(records, outcomes).T, strict=True):
        fields.append(pa.field(_stored_name(name), pa.float64(), nullable=False))
        arrays.append(pa.array(column))
    head = _head(records, of_rows)
    schema = pa.schema([*(pa.field(k, v.type, nullable=False) for k, v in head.items()), *fields])
    columns = json.dumps({"layouts": layouts, "json": as_json})
    metadata = {
        "fesolver_schema": str(SCHEMA),
        "fesolver_study": study,
        "fesolver_columns": columns,
        "fesolver_check": str(_check(schema, len(records), columns)),
    }
    table = pa.Table.from_arrays([*head.values(), *arrays], schema=schema)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd" if len(records) > COMPRESS_ABOVE else "none",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,  # twice the bytes of a small part
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table, row_group_size=len(records))
        writer.add_key_value_metadata(metadata)
    return memoryview(sink.getvalue())


def decode_part(data: bytes, where: str) -> list[Record]:
    """Rows of the bytes that `encode_part` made.

    Parameters
    ----------
    data : bytes
        Whole content of a file.
    where : str
        Its name, for messages.

    Returns
    -------
    list of Record
        Values are views of one array.

    Raises
    ------
    DamagedPartError
        If the bytes are no whole part.
    InputError
        If a newer version wrote them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        about = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
        version = int(about.get("fesolver_schema", "0"))
    except MemoryError:
        raise
    except Exception as error:  # whatever damaged bytes make the reader raise
        raise DamagedPartError(str(error)) from None
    if version > SCHEMA:
        raise InputError(
            f"the results were written by a newer version (schema {version}; this one knows {SCHEMA})",
            where=where,
            fix="install the version that wrote them, or give another result folder",
        )
    try:
        return _records(file, about)
    except MemoryError:
        raise
    except Exception as error:
        raise DamagedPartError(str(error)) from None


def _records(file: Any, about: Mapping[str, str]) -> list[Record]:
    """Rows of an open Parquet file."""
    schema = file.schema_arrow
    columns = json.loads(about["fesolver_columns"])
    n_rows = file.metadata.num_rows
    if int(about["fesolver_check"]) != _check(schema, n_rows, about["fesolver_columns"]):
        raise DamagedPartError("its columns do not fit their checksum")
    table = file.read(use_threads=False)
    head = {name: table.column(name).to_pylist() for name in HEAD}
    stored = schema.names[len(HEAD) :]
    n_factors = len(columns["json"])
    keys = [name.removeprefix(FACTOR) for name in stored[:n_factors]]
    names = [name.removeprefix(OUTCOME) for name in stored[n_factors:]]
    given = [
        [json.loads(text) if text is not None else None for text in column] if is_json else column
        for is_json, column in zip(
            columns["json"], (table.column(FACTOR + key).to_pylist() for key in keys), strict=True
        )
    ]
    matrix = np.empty((n_rows, len(names)))
    for j, name in enumerate(stored[n_factors:]):
        matrix[:, j] = table.column(name).to_numpy()
    layouts = [
        (
            [(keys[k], given[k]) for k in layout if k < n_factors],
            tuple(names[k - n_factors] for k in layout if k >= n_factors),
            _selection([k - n_factors for k in layout if k >= n_factors], len(names)),
        )
        for layout in columns["layouts"] or [range(len(stored))]
    ]
    return [_record(i, head, matrix, layouts[head["layout"][i]]) for i in range(n_rows)]


def _record(i: int, head: Mapping[str, Sequence[Any]], matrix: NDArray[np.float64], layout: Any) -> Record:
    """Row `i` of a file, with the factors and outcomes of its layout."""
    factors, names, selection = layout
    return Record(
        serial=head["serial"][i],
        digest=head["digest"][i],
        case=head["case"][i],
        index=head["index"][i],
        keys={name: column[i] for name, column in factors},
        status=head["status"][i],
        error=head["error"][i],
        facts=head["facts"][i],
        names=names,
        values=matrix[i, selection],
    )


def _selection(places: list[int], n: int) -> Any:
    """Index of `places` among `n` columns: a slice (so, a view) where all are meant."""
    return slice(None) if places == list(range(n)) else places


def _unlike(mappings: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, ...]]:
    """Different lists of keys, in order of first use."""
    return dict.fromkeys(tuple(mapping) for mapping in mappings)


def _layouts(
    records: Sequence[Record], factors: list[str], outcomes: list[str]
) -> tuple[list[list[int]] | None, list[int]]:
    """Lists of columns that rows have (None: every row has all, in order), and the number of the list of each row."""
    factor_at = {name: k for k, name in enumerate(factors)}
    outcome_at = {name: len(factors) + k for k, name in enumerate(outcomes)}
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
    of_rows = [found.setdefault((tuple(r.keys), r.names), len(found)) for r in records]
    lists = [[*(factor_at[k] for k in keys), *(outcome_at[n] for n in names)] for keys, names in found]
    return (None if lists == [list(range(len(factors) + len(outcomes)))] else lists), of_rows


def _matrix(records: Sequence[Record], outcomes: list[str]) -> NDArray[np.float64]:
    """Values of the rows, columns contiguous; NaN where a row has none."""
    at = {name: k for k, name in enumerate(outcomes)}
    places = {names: [at[name] for name in names] for names in dict.fromkeys(r.names for r in records)}
    matrix = np.full((len(records), len(outcomes)), np.nan, order="F")
    for i, record in enumerate(records):
        matrix[i, places[record.names]] = record.values
    return matrix


def _head(records: Sequence[Record], of_rows: list[int]) -> dict[str, Any]:
    """Columns that every part has."""
    import pyarrow as pa

    head = {name: pa.array([getattr(r, name) for r in records]) for name in HEAD if name != "layout"}
    return {name: pa.array(of_rows, pa.int32()) if name == "layout" else head[name] for name in HEAD}


def _factor_array(values: list[Any], present: list[bool]) -> tuple[Any, bool]:
    """Arrow array of a factor, and whether it holds JSON: one type where all values share one, JSON text otherwise."""
    import pyarrow as pa

    there = [v for v, is_there in zip(values, present, strict=True) if is_there]
    for python, arrow in ((bool, pa.bool_()), (str, pa.string()), (Integral, pa.int64()), (Real, pa.float64())):
        if all(isinstance(v, python) and (python is bool or not isinstance(v, bool)) for v in there):
            convert = {bool: bool, str: str, Integral: int, Real: float}[python]
            cells = [convert(v) if is_there else None for v, is_there in zip(values, present, strict=True)]
            if python is not Integral or all(abs(c) < 2**63 for c in cells if c is not None):
                return pa.array(cells, arrow), False
    texts = [json.dumps(v, default=_plain) if p else None for v, p in zip(values, present, strict=True)]
    return pa.array(texts, pa.string()), True


def _stored_name(outcome: str) -> str:
    """Column of an outcome: its name, unless that means something else."""
    clashes = outcome in HEAD or outcome.startswith((FACTOR, OUTCOME))
    return OUTCOME + outcome if clashes else outcome


def _check(schema: Any, n_rows: int, columns: str) -> int:
    """Checksum of what the pages' own do not cover."""
    fields = [f"{field.name} {field.type} {field.nullable}" for field in schema]
    return zlib.crc32("\n".join([*fields, str(n_rows), columns]).encode())


def _plain(value: Any) -> Any:
    """What JSON holds of a value it does not know."""
    return value.item() if isinstance(value, np.generic) else str(value)
