"""Reading a study file: one clear message for each mistake."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fesolver.errors import InputError
from fesolver.study.schema import SCHEMA, CtInput, StudyConfig, SyntheticInput, TissueConfig

__all__ = ["StudyConfig", "config_hash", "load_study", "study_from_dict", "with_value"]


def config_hash(config: StudyConfig, *, without: tuple[str, ...] = ()) -> str:
    """SHA-256 of the resolved configuration as canonical JSON, top-level tables in `without` left out."""
    data = config.model_dump(mode="json", by_alias=True)
    for key in without:
        data.pop(key, None)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


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
    if not path.is_file():
        raise InputError(f"study file {path} does not exist", fix="give the path of a .toml study file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}", where=str(path)) from None
    return study_from_dict(data, source=str(path), base=path.resolve().parent)


def study_from_dict(data: dict[str, Any], *, source: str = "study", base: Path | None = None) -> StudyConfig:
    """Check a study given as nested dictionaries, as `load_study` does for a file."""
    version = data.get("schema", SCHEMA)
    if not isinstance(version, int) or version > SCHEMA:
        raise InputError(
            f"schema = {version!r} is newer than this version reads (schema {SCHEMA})",
            where=source, fix="update fesolver",
        )  # fmt: skip
    data = _expand(data, source, base or Path.cwd(), ())
    if isinstance(data.get("sweep"), dict):
        data["sweep"] = _flatten(data["sweep"], source)
    try:
        config = StudyConfig.model_validate(data)
    except ValidationError as error:
        raise _translated(error, source, data) from None
    except InputError as error:
        raise InputError(
            error.what, where=f"{source}: {error.where}" if error.where else source, fix=error.fix
        ) from None
    for key, values in config.sweep.items():
        if not values:
            raise InputError(f"sweep key {key!r} has no values", where=source)
        for value in values:
            with_value(config, {key: value}, source=source)
    return config


def with_value(config: StudyConfig, values: dict[str, float], *, source: str = "sweep") -> StudyConfig:
    """The same study with some numeric keys (dotted) set; raises `InputError` where one does not exist."""
    data = config.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        *tables, leaf = key.split(".")
        node: Any = data
        for table in tables:
            node = node.get(table) if isinstance(node, dict) else None
        if not isinstance(node, dict) or leaf not in node:
            known = list(_numeric_keys(data))
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"numeric keys: {', '.join(known)}"
            raise InputError(f"sweep key {key!r} is not a key of this study", where=f"{source}: [sweep]", fix=hint)
        if isinstance(node[leaf], bool | str | list | dict):
            raise InputError(f"sweep key {key!r} is not a number", where=f"{source}: [sweep]")
        node[leaf] = value
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        raise _translated(error, f"{source}: [sweep] {values}", data) from None


def _numeric_keys(data: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the keys that hold a number."""
    out: list[str] = []
    for key, value in data.items():
        if key in ("sweep", "schema"):
            continue
        if isinstance(value, dict):
            out += _numeric_keys(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            out.append(prefix + key)
    return out


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
    is_path = keys[:1] == ("input",) and keys[-1] in ("ct", "labels", "subregions", "cement_label", "implant_label")
    return str((base / text).absolute()) if is_path else text


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


def _translated(error: ValidationError, source: str, data: dict[str, Any]) -> InputError:
    """The first mistake of a pydantic report as one message: what, where, what to do; the rest are counted."""
    first = error.errors()[0]
    keys = [str(k) for k in first["loc"] if k not in ("ct", "synthetic") or first["loc"][0] != "input"]
    if first["loc"] and first["loc"][-1] in ("ct", "synthetic") and len(first["loc"]) > 2:
        keys.append(str(first["loc"][-1]))
    key = ".".join(keys)
    what, fix = first["msg"].removeprefix("Value error, "), None
    if first["type"] == "extra_forbidden":
        what = f"unknown key {key!r}"
        known = _known_keys(first["loc"][:-1])
        close = difflib.get_close_matches(str(keys[-1]), known, n=1, cutoff=0.5)
        fix = f"did you mean {close[0]!r}? (units are part of the name)" if close else f"known keys: {', '.join(known)}"
    elif first["type"] == "missing":
        what, fix = f"key {key!r} is missing", "add it"
    elif "input" in first and not isinstance(first["input"], dict):
        what = f"{key} = {first['input']!r}: {what}"
    more = error.error_count() - 1
    where = f"{source}: {key}" if key else source
    return InputError(what + (f" (and {more} more)" if more else ""), where=where, fix=fix)


def _known_keys(loc: tuple[Any, ...]) -> list[str]:
    """Keys of the table at a location of the model."""
    model: Any = StudyConfig
    for step in loc:
        if model is StudyConfig and step == "input":
            model = None
        elif model is None:
            model = CtInput if step == "ct" else SyntheticInput
        elif isinstance(step, int):
            model = TissueConfig
        else:
            annotation = model.model_fields[step].annotation
            options = [a for a in getattr(annotation, "__args__", (annotation,)) if isinstance(a, type)]
            model = next((a for a in options if issubclass(a, BaseModel)), StudyConfig)
    fields = (model or StudyConfig).model_fields
    return [field.alias or name for name, field in fields.items()]
