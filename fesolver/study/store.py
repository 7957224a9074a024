"""The result folder: staged beside its place, moved there when it is whole."""

from __future__ import annotations

import glob
import itertools
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fesolver.errors import InputError
from fesolver.fem.voigt import principal_values, stress_tensor, von_mises
from fesolver.meshing.io import write_fields
from fesolver.outcomes.state import SolvedState
from fesolver.study.case import CaseResult
from fesolver.study.schema import SCHEMA

__all__ = ["check_target", "folders_above", "staged_folder", "write_case", "write_json", "write_text"]

OURS = (
    "run.json", "study.json", "summary.csv", "changes.csv", "results", "cases", "figures", "tables", "report.html",
)  # fmt: skip
"""What a result folder holds."""

_log = logging.getLogger("fesolver")


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse a result folder that exists, or that is not ours to replace.

    Raises
    ------
    InputError
        If `out` is a file, a folder without `run.json` that is not empty, or exists and `overwrite` is not set.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out} is a file", where="--out", fix="give a folder that does not exist yet")
    if not any(out.iterdir()):
        return
    if not any((out / name).is_file() for name in ("run.json", "study.json")):
        raise InputError(f"{out} holds files that are no result of ours", where="--out", fix="give another folder")
    others = sorted(path.name for path in out.iterdir() if path.name not in OURS and not path.name.startswith("."))
    if overwrite and others:
        raise InputError(
            f"{out} holds files of yours beside its results: {', '.join(others[:5])}", where="--out",
            fix="move them away, or give another folder: --overwrite replaces the whole folder",
        )  # fmt: skip
    if not overwrite:
        raise InputError(f"{out} already holds results", where="--out", fix="use --overwrite, or give another folder")


@contextmanager
def staged_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write into; it takes the name `out` only if the block ends well.

    An interrupt or an error removes what was written and leaves an older result as it was.
    """
    check_target(out, overwrite=overwrite)
    out = out.absolute()
    _warn_of_remains(out)
    with folders_above(out):
        staging = _new_beside(out, "partial")
        try:
            yield staging
            _replace(out, staging)
        except OSError as error:
            raise InputError(f"cannot write results: {error.strerror}", where=str(error.filename or out)) from None
        finally:
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def folders_above(out: Path) -> Iterator[None]:
    """Make the folders above `out`, and take those away again that are empty at the end.

    Raises
    ------
    InputError
        If they cannot be made, or written into.
    """
    made = [parent for parent in out.absolute().parents if not parent.exists()]
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        if not os.access(out.absolute().parent, os.W_OK):
            raise PermissionError(13, "no permission to write")
    except OSError as error:
        _remove_empty(made)
        raise InputError(
            f"cannot write into {out.parent}: {error.strerror}", where="--out", fix="give a folder you may write to"
        ) from None
    try:
        yield
    finally:
        _remove_empty(made)


def _warn_of_remains(out: Path) -> None:
    """Name what runs that were killed have left beside `out`."""
    for folder in sorted(out.parent.glob(f".{glob.escape(out.name)}.*.partial")):
        _log.warning("%s is left from a run that was killed, or still going; delete it if it was killed", folder)


def _remove_empty(folders: list[Path]) -> None:
    """Remove the folders that were made for a result that did not come."""
    for folder in folders:
        with suppress(OSError):  # holds something, or was never made
            folder.rmdir()


def _new_beside(out: Path, ending: str) -> Path:
    """A new folder beside `out`; one of the same process number, left by a run that was killed, is stepped over."""
    for count in itertools.count():
        folder = out.with_name(f".{out.name}.{os.getpid()}.{count}.{ending}")
        with suppress(FileExistsError):
            folder.mkdir()
            break
    return folder


def _replace(out: Path, staging: Path) -> None:
    """Give `staging` the name `out`; where that fails or is interrupted, the older result has it again."""
    if not out.exists():
        staging.rename(out)
        return
    aside = _new_beside(out, "previous")
    previous = aside / out.name
    try:
        out.rename(previous)
        staging.rename(out)
    finally:
        if previous.exists() and not out.exists():
            previous.rename(out)
        shutil.rmtree(aside, ignore_errors=True)


def write_json(path: Path, data: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(data, indent=1, allow_nan=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text whole or not at all."""
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(
            f"cannot write {path.name}: {error.strerror or error}", where=str(path), fix="make room, or allow writing"
        ) from None


def write_case(
    folder: Path,
    case: str,
    keys: Mapping[str, Any],
    result: CaseResult,
    *,
    with_fields: bool,
    with_record: bool = True,
) -> None:
    """Write what is kept of one case, whole or not at all: `case.json`, `fields.vtu` and `connections.csv`."""
    bands = [
        {
            "quantity": b.quantity, "level": b.level, "low": b.low, "high": b.high, "standing": b.standing,
            "source": b.source, "ours": b.ours, "is_inside": b.is_inside, "hypothesis": b.hypothesis,
        }
        for b in result.bands
    ]  # fmt: skip
    record = {"schema": SCHEMA, "case": case, "keys": dict(keys), **result.record, "bands": bands}
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = _new_beside(folder, "partial")
    try:
        if with_fields:
            _write_fields(made / "fields.vtu", result)
            _write_connections(made / "connections.csv", result)
        if with_record:
            write_json(made / "case.json", record)
        if folder.exists():  # of a run that was ended between these files and the row
            shutil.rmtree(folder)
        made.rename(folder)
    except OSError as error:
        raise InputError(
            f"cannot write what is kept of case {case}: {error.strerror or error}", where=str(error.filename or folder),
            fix="make room there, or keep less (output.records, output.fields)",
        ) from None  # fmt: skip
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write_connections(path: Path, result: CaseResult) -> None:
    """Every ligament strand, contact and fibre of every state: place, elongation, force, piece of its law."""
    import pandas as pd

    parts = []
    for state in _states(result).values():
        for c in state.problem.connections:
            found = state.solution.connections[c.name]
            size = np.abs(c.weights).sum(axis=1)
            total = np.add.reduceat(size, c.starts[:-1])
            at = np.add.reduceat(size[:, None] * state.mesh.points[c.points], c.starts[:-1], axis=0) / total[:, None]
            table = {"state": state.name, "group": c.name, "element": np.arange(c.count)}
            places = dict(zip(("x_mm", "y_mm", "z_mm"), at.T, strict=True))
            answer = {"elongation_mm": found.elongation, "force_n": found.force, "piece": found.piece}
            parts.append(pd.DataFrame(table | places | answer))
    if parts:
        pd.concat(parts).to_csv(path, index=False, float_format="%.9g")


def _states(result: CaseResult) -> dict[str, SolvedState]:
    """States of the segment by name."""
    states = {"intact": result.pair.intact.segment}
    if len(result.models) > 1:
        states["treated"] = result.pair.treated.segment
    return states


def _write_fields(path: Path, result: CaseResult) -> None:
    """Fields of every state on the mesh of the last one, whose regions hold the cement."""
    points: dict[str, Any] = {}
    cells: dict[str, Any] = {"density": result.models[0].tissue.density}
    for name, state in _states(result).items():
        model = result.models[0] if name == "intact" else result.models[-1]
        points[f"displacement_{name}"] = state.solution.u
        stress = state.fields.stress
        cells[f"strain_{name}"] = state.fields.strain
        cells[f"stress_{name}"] = stress
        cells[f"strain_energy_density_{name}"] = state.fields.strain_energy_density
        cells[f"von_mises_{name}"] = von_mises(stress)
        cells[f"min_principal_stress_{name}"] = np.ascontiguousarray(principal_values(stress_tensor(stress))[:, 0])
        cells[f"young_{name}"] = model.elasticity.young
    write_fields(path, result.models[-1].mesh, point_data=points, cell_data=cells)
