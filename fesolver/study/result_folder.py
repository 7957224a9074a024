"""The result folder of a study: whose it is, what is in it already, and the files a finished run leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fesolver.errors import InputError
from fesolver.study.config import StudyConfig
from fesolver.study.engine.task import Task
from fesolver.study.schema import SCHEMA
from fesolver.study.store import write_json

__all__ = ["check_owner", "move_cases", "remove_if_empty", "write_study_file"]


def check_owner(out: Path, config: StudyConfig) -> bool:
    """Whether a folder holds results of this study, to go on with; refuse one that holds anything else.

    Parameters
    ----------
    out : Path
        Result folder.
    config : StudyConfig
        What is to be run into it.

    Returns
    -------
    bool
        False where the folder does not exist or is empty.

    Raises
    ------
    InputError
        If `out` is a file, holds files that are no results, or results of another study or of a newer version.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise InputError(f"{out} is a file", where="--out", fix="give a folder that does not exist yet")
    if not any(out.iterdir()):
        return False
    if not (out / "study.json").is_file():
        if (out / "run.json").is_file():
            raise InputError(
                f"{out} holds results of a version that could not go on with them", where="--out",
                fix="use --overwrite, or give another folder",
            )  # fmt: skip
        raise InputError(f"{out} holds files that are no result of ours", where="--out", fix="give another folder")
    found = _read(out / "study.json")
    if int(found.get("schema", SCHEMA)) > SCHEMA:
        raise InputError(
            f"{out} holds results of schema {found['schema']}; this version knows {SCHEMA}", where="--out",
            fix="update fesolver, or give another folder",
        )  # fmt: skip
    if found.get("name") != config.name:
        raise InputError(
            f"{out} holds results of another study, {found.get('name')!r}; this one is {config.name!r}", where="--out",
            fix="give another folder, or --overwrite to replace them",
        )  # fmt: skip
    return True


def write_study_file(
    out: Path, config: StudyConfig, tasks: Sequence[Task], inputs: Sequence[tuple[str, str]], versions: dict[str, str]
) -> None:
    """Write `study.json`: the study and its cases, before the first of them is run."""
    write_json(
        out / "study.json",
        {
            "schema": SCHEMA,
            "name": config.name,
            "config": config.model_dump(mode="json", by_alias=True),
            "inputs": [{"path": path, "sha256": digest} for path, digest in inputs],
            "versions": versions,
            "cases": [{"digest": task.digest, "case": task.case, "keys": dict(task.keys)} for task in tasks],
        },
    )


def move_cases(out: Path, tasks: Sequence[Task]) -> None:
    """Give the folders of cases that have another place in the design now their new names."""
    folder = out / "cases"
    if not folder.is_dir():
        return
    names = {task.case.partition("-")[2]: task.case for task in tasks}
    for old in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        new = names.get(old.name.partition("-")[2])
        if new is not None and new != old.name and not (folder / new).exists():
            record = old / "case.json"
            if record.is_file():
                write_json(record, _read(record) | {"case": new})
            old.rename(folder / new)


def remove_if_empty(out: Path) -> None:
    """Take a folder away in which no case was finished."""
    has_rows = (out / "results").is_dir() and any((out / "results").glob("*.parquet"))
    if not has_rows and not (out / "run.json").exists() and (out / "study.json").exists():
        shutil.rmtree(out, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of ours."""
    with suppress(ValueError, OSError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    raise InputError(
        f"{path.name} is damaged", where=str(path),
        fix="use --overwrite to run everything again, or give another folder",
    )  # fmt: skip
