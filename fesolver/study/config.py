"""Reading a study file: one clear message for each mistake."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fesolver.errors import InputError
from fesolver.study.design.factor_tables import study_factors
from fesolver.study.design.refusals import try_factors
from fesolver.study.keys import SIZED_BY, idle_keys, kind_of_mesh, with_value
from fesolver.study.messages import as_input_error
from fesolver.study.schema import SCHEMA, StudyConfig
from fesolver.study.toml_file import read_toml

__all__ = ["StudyConfig", "by_content", "config_hash", "is_path_key", "load_study", "study_from_dict", "with_value"]


def config_hash(config: StudyConfig, *, without: tuple[str, ...] = (), files: Mapping[str, str] | None = None) -> str:
    """SHA-256 of the resolved configuration as canonical JSON, top-level tables in `without` left out.

    Paths that `files` knows count by their hash, not by their place.
    """
    data = by_content(config.model_dump(mode="json", by_alias=True), files or {})
    for key in without:
        data.pop(key, None)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def by_content(node: Any, files: Mapping[str, str]) -> Any:
    """Tables of tables with every path that `files` knows replaced by the hash of what is there."""
    if not files:
        return node
    if isinstance(node, dict):
        return {key: by_content(value, files) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [by_content(value, files) for value in node]
    return files.get(node) or node if isinstance(node, str) else node


def load_study(path: str | Path) -> StudyConfig:
    """Read and check a study file.

    Parameters
    ----------
    path : path
        TOML file; relative paths in it are relative to it, `${NAME}` expands from the environment.

    Returns
    -------
    StudyConfig

    Raises
    ------
    InputError
        If the file is missing, is not TOML, is of a newer schema, or a key is unknown, missing or out of range.
    """
    path = Path(path)
    return study_from_dict(read_toml(path, "study"), source=str(path), base=path.resolve().parent)


def study_from_dict(data: dict[str, Any], *, source: str = "study", base: Path | None = None) -> StudyConfig:
    """Check a study given as nested dictionaries, as `load_study` does for a file."""
    version = data.get("schema", SCHEMA)
    if type(version) is not int or version < 1:
        raise InputError(f"schema = {version!r} is no version", where=source, fix=f"write schema = {SCHEMA}")
    if version > SCHEMA:
        raise InputError(
            f"schema = {version!r} is newer than this version reads (schema {SCHEMA})",
            where=source, fix="update fesolver",
        )  # fmt: skip
    if "levels" in data and "input" not in data and "segment" not in data:
        raise InputError("this is a mesh recipe, not a study", where=source, fix="use `fesolver mesh`")
    data = _expand(data, source, base or Path.cwd(), ())
    if isinstance(data.get("sweep"), dict):
        data["sweep"] = _flatten(data["sweep"], source)
    _place_files(data, source, base or Path.cwd())
    _check_mesh_keys(data, source)
    try:
        config = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise as_input_error(error, source) from None
    except InputError as error:
        raise InputError(
            error.what, where=f"{source}: {error.where}" if error.where else source, fix=error.fix
        ) from None
    for key, values in config.sweep.items():
        if not values:
            raise InputError(
                f"sweep key {key!r} has no values", where=f"{source}: [sweep]", fix="give a list of numbers, or drop it"
            )
        for value in values:
            with_value(config, {key: value}, source=source)
    try:
        factors = study_factors(config)
        if config.factors:
            try_factors(config, factors)
    except InputError as error:
        raise InputError(
            error.what, where=f"{source}: {error.where}" if error.where else source, fix=error.fix
        ) from None
    return config


_PATH_KEYS = ("ct", "labels", "subregions", "cement_label", "implant_label", "file")


def _expand(node: Any, source: str, base: Path, keys: tuple[str, ...]) -> Any:
    """Expand ${NAME} in strings and make the known path keys absolute."""
    if isinstance(node, dict):
        return {key: _expand(value, source, base, (*keys, key)) for key, value in node.items()}
    if not isinstance(node, str):
        return node

    def replace(match: re.Match[str]) -> str:
        value = os.environ.get(match.group(1))
        if value is None:
            raise InputError(
                f"environment variable {match.group(1)} is not set",
                where=f"{source}: {'.'.join(keys)}",
                fix=_missing_variable_hint(match.group(1)),
            )
        return value

    text = re.sub(r"\$\{(\w+)\}", replace, node)
    is_path = keys == ("design", "file") or is_path_key(keys)
    return str((base / text).absolute()) if is_path else text


def is_path_key(keys: tuple[str, ...]) -> bool:
    """Whether a key of `[input]`, as its steps, holds a path."""
    return keys[:1] == ("input",) and (keys[-1] in _PATH_KEYS or keys[1:2] == ("files",))


def _place_files(data: dict[str, Any], source: str, base: Path) -> None:
    """Make paths that factors set absolute, as those in `[input]` are."""
    tables = data.get("factors")
    for table in tables.values() if isinstance(tables, dict) else ():
        if not isinstance(table, dict):
            continue
        keys = [table["key"]] if isinstance(table.get("key"), str) else table.get("key") or []
        if (
            isinstance(keys, list | tuple)
            and keys
            and all(isinstance(key, str) and is_path_key(tuple(key.split("."))) for key in keys)
        ):
            steps = tuple(keys[0].split("."))
            for name in ("values", "base"):
                if isinstance(table.get(name), list):
                    table[name] = [_expand(value, source, base, steps) for value in table[name]]
                elif isinstance(table.get(name), str):
                    table[name] = _expand(table[name], source, base, steps)
        for level in table["levels"] if isinstance(table.get("levels"), list) else ():
            if isinstance(level, dict) and isinstance(level.get("set"), dict):
                level["set"] = _placed_settings(level["set"], source, base, ())


def _placed_settings(node: Mapping[str, Any], source: str, base: Path, above: tuple[str, ...]) -> dict[str, Any]:
    """What a level sets, its paths absolute; keys may be dotted or nested."""
    out: dict[str, Any] = {}
    for key, value in node.items():
        steps = (*above, *key.split("."))
        if isinstance(value, dict):
            out[key] = _placed_settings(value, source, base, steps)
        else:
            out[key] = _expand(value, source, base, steps) if isinstance(value, str) else value
    return out


def _check_mesh_keys(data: dict[str, Any], source: str) -> None:
    """Refuse keys of `[segment]` and `[calibration]` that the kind of mesh or input has no use for."""
    kind = kind_of_mesh(data)
    if kind is None:
        return
    swept = [key.removeprefix("segment.") for key in data.get("sweep", {}) if key.startswith("segment.")]
    idle = [key for key in (*data["segment"], *swept) if key in idle_keys(kind)]
    if idle:
        sized = f"cells are sized by segment.{SIZED_BY[kind]}" if kind in SIZED_BY else "the mesh has its cells"
        raise InputError(
            f"{idle[0]} means nothing on a {kind} mesh", where=f"{source}: segment.{idle[0]}",
            fix=f"leave it out; {sized}",
        )  # fmt: skip
    given = data["input"]
    if data.get("calibration") is None:
        return
    if given["kind"] == "parametric":
        raise InputError(
            "a parametric segment has no CT to calibrate", where=f"{source}: [calibration]", fix="leave it out"
        )
    if given["kind"] in ("surfaces", "mesh") and given.get("ct") is None:
        raise InputError(
            "there is no CT to calibrate", where=f"{source}: [calibration]", fix="give input.ct, or leave it out"
        )


def _missing_variable_hint(name: str) -> str:
    """What to do about an environment variable; for the data folder, where the data is published."""
    if name != "FESOLVER_DATA":
        return f"set {name}"
    return (
        "set FESOLVER_DATA to a folder with ct_lumbar_3mm/ and ct_L3_1p5mm/; the scans are published with "
        "wasserth/TotalSegmentator (tests/reference_files/example_ct.nii.gz and its labels) and Hendrik-code/TPTBox "
        "(TPTBox/tests/sample_ct) on GitHub; studies/README.md says how to lay them out"
    )


def _flatten(node: dict[str, Any], source: str, prefix: str = "") -> dict[str, Any]:
    """Nested sweep tables to dotted keys."""
    out: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            out |= _flatten(value, source, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
