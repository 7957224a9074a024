"""Points of a design from a CSV file: one line per case, one column per factor."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from fesolver.errors import InputError

__all__ = ["csv_points", "line_of_point"]


def csv_points(path: Path, factors: Mapping[str, Sequence[str] | None]) -> tuple[dict[str, float | str], ...]:
    """Points of a design from a file.

    Parameters
    ----------
    path : Path
        CSV in UTF-8 with commas; the first line names the columns, in any order.
    factors : mapping of str to (sequence of str or None)
        Every factor, and the names of its levels; None where its values are numbers.

    Returns
    -------
    tuple of dict
        Factor name to number or level name: one per line, in the order of `factors`. Blank lines are skipped.

    Raises
    ------
    InputError
        If the file cannot be read or has no points, a column is unknown, missing or there twice, a line has too many
        or too few cells, or a cell is empty, no finite number where one is needed, or no name of a level.

    Notes
    -----
    Read with Python's own CSV reader, which knows the line in the file that a cell comes from.
    """
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is no UTF-8 text", where=where, fix="save it as CSV in UTF-8") from None
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror}", where=where, fix="design.file names a CSV file"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    points: list[dict[str, float | str]] = []
    columns: list[str] | None = None
    try:
        for cells in reader:
            line, cells = reader.line_num, [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if columns is None:
                columns = _checked_columns(cells, factors, f"{where}: line {line}")
            else:
                points.append(_point(cells, columns, factors, where, line))
    except csv.Error as error:
        raise InputError(f"{path.name} is no CSV file: {error}", where=f"{where}: line {reader.line_num}") from None
    if not points:
        raise InputError(
            f"{path.name} has no points", where=where, fix="a line of factor names, then one line per case"
        )
    return tuple(points)


def line_of_point(path: Path, index: int) -> int:
    """Line of a file that a point comes from, both as `csv_points` counts them: lines from 1, points from 0."""
    reader = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True)
    lines = (reader.line_num for cells in reader if any(cell.strip() for cell in cells))
    return next(islice(lines, index + 1, None))


def _checked_columns(cells: list[str], factors: Iterable[str], where: str) -> list[str]:
    """Names of the columns, each factor once and nothing else."""
    names = list(factors)
    for i, cell in enumerate(cells):
        if cell not in names:
            close = difflib.get_close_matches(cell, names, n=1, cutoff=0.5)
            raise InputError(
                f"column {i + 1}, {cell!r}, is no factor of this study",
                where=where,
                fix=f"did you mean {close[0]!r}?" if close else f"columns, with commas between: {', '.join(names)}",
            )
        if cell in cells[:i]:
            raise InputError(f"column {cell} is there twice", where=where, fix="keep one of them")
    missing = [name for name in names if name not in cells]
    if missing:
        raise InputError(
            f"there is no column for {', '.join(missing)}", where=where, fix="every factor needs a column of its name"
        )
    return cells


def _point(
    cells: list[str], columns: list[str], factors: Mapping[str, Sequence[str] | None], where: str, line: int
) -> dict[str, float | str]:
    """One line as a point, in the order of the factors."""
    if len(cells) != len(columns):
        raise InputError(
            f"{len(cells)} cells in a table of {len(columns)} columns",
            where=f"{where}: line {line}",
            fix=f"give one value for each of {', '.join(columns)}; decimals with a point",
        )
    texts = dict(zip(columns, cells, strict=True))
    return {
        name: _value(texts[name], levels, f"{where}: line {line}, column {name}") for name, levels in factors.items()
    }


def _value(text: str, levels: Sequence[str] | None, where: str) -> float | str:
    """What a cell says: the name of a level, or a finite number."""
    if not text:
        raise InputError("an empty cell", where=where, fix="every case needs a value of every factor")
    if levels is not None:
        if text not in levels:
            raise InputError(
                f"{text!r} is no level of this factor", where=where, fix=f"its levels: {', '.join(levels)}"
            )
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in text:
        raise InputError(
            f"{text!r} is no finite number", where=where, fix="a number like 0.5 or 2e-3, without its unit"
        )
    return value
