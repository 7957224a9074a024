"""Reading a study file: one clear message for each mistake."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fesolver.anatomy.dimensions import DIMENSION_UNITS, DiscDimensions, VertebraDimensions
from fesolver.anatomy.levels import disc_name
from fesolver.errors import InputError
from fesolver.study.messages import as_input_error
from fesolver.study.schema import SCHEMA, StudyConfig
from fesolver.study.toml_file import read_toml

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
    return config


def with_value(config: StudyConfig, values: dict[str, float], *, source: str = "sweep") -> StudyConfig:
    """The same study with some numeric keys (dotted) set; raises `InputError` where one does not exist."""
    data = config.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        *tables, leaf = key.split(".")
        node: Any = data
        if key in _dimension_keys(data):
            data["input"][tables[1]].setdefault(tables[2], {}).setdefault(leaf, 0.0)
        for table in tables:
            node = node.get(table) if isinstance(node, dict) else None
        if not isinstance(node, dict) or leaf not in node:
            known = _sweepable_keys(data)
            dimensions = _dimension_keys(data)
            close = difflib.get_close_matches(key, [*known, *dimensions], n=1)
            more = ", and dimensions such as " + dimensions[0] if dimensions else ""
            hint = f"did you mean {close[0]!r}?" if close else f"numeric keys: {', '.join(known)}{more}"
            raise InputError(f"sweep key {key!r} is not a key of this study", where=f"{source}: [sweep]", fix=hint)
        if isinstance(node[leaf], bool | str | list | dict):
            raise InputError(
                f"sweep key {key!r} is not a number", where=f"{source}: [sweep]", fix="sweep numeric keys only"
            )
        node[leaf] = value
    try:
        return StudyConfig.model_validate(data)
    except ValidationError as error:
        shown = ", ".join(f"{key} = {value:g}" for key, value in values.items())
        raise as_input_error(error, f"{source}: [sweep] {shown}") from None


def _dimension_keys(data: dict[str, Any]) -> list[str]:
    """Dotted names of every dimension of a parametric segment, given in the study or not."""
    if data["input"]["kind"] != "parametric":
        return []
    levels = data["segment"]["levels"]
    owners = {
        "dimensions": (levels, VertebraDimensions),
        "discs": ([disc_name(*pair) for pair in itertools.pairwise(levels)], DiscDimensions),
    }
    return [
        f"input.{table}.{owner}.{entry.name}"
        for table, (names, record) in owners.items()
        for owner in names
        for entry in fields(record)
        if entry.name in DIMENSION_UNITS
    ]


def _sweepable_keys(data: dict[str, Any]) -> list[str]:
    """Dotted names of the keys that hold a number and mean something on the study's kind of mesh."""
    idle = _idle_keys(_mesh_kind(data) or "voxel")
    return [key for key in _numeric_keys(data) if key not in {f"segment.{name}" for name in idle}]


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
    is_path = keys[:1] == ("input",) and (keys[-1] in _PATH_KEYS or keys[1:2] == ("files",))
    return str((base / text).absolute()) if is_path else text


_PARTS = ("posterior_elements", "cortical_thickness_mm", "endplate_thickness_mm", "nucleus_area_fraction")
_OWN_KEYS: dict[str, tuple[str, ...]] = {
    "voxel": (*_PARTS, "spacing_mm", "shell"),
    "structured": (*_PARTS, "refinement", "element", "layer_cells"),
    "tetrahedral": (*_PARTS, "size_mm", "size_inside_mm", "element", "layers", "layer_cells"),
    "foreign": (),
}
"""Keys of `[segment]` that mean something on one kind of mesh and not on every other."""

_SIZED_BY = {"voxel": "spacing_mm", "structured": "refinement", "tetrahedral": "size_mm"}


def _idle_keys(kind: str) -> set[str]:
    """Keys of `[segment]` that mean nothing on a kind of mesh."""
    return {key for keys in _OWN_KEYS.values() for key in keys} - set(_OWN_KEYS[kind])


def _mesh_kind(data: dict[str, Any]) -> str | None:
    """What a study that has not been checked yet is meshed with; None where its tables do not say."""
    given, segment = data.get("input"), data.get("segment")
    if not isinstance(given, dict) or not isinstance(segment, dict):
        return None
    defaults = {"ct": "voxels", "synthetic": "voxels", "parametric": "hexahedra", "surfaces": "tetrahedra"}
    cells = segment.get("cells") or defaults.get(str(given.get("kind")))
    if given.get("kind") == "mesh":
        return "foreign"
    return {"voxels": "voxel", "hexahedra": "structured", "tetrahedra": "tetrahedral"}.get(str(cells))


def _check_mesh_keys(data: dict[str, Any], source: str) -> None:
    """Refuse keys of `[segment]` and `[calibration]` that the kind of mesh or input has no use for."""
    kind = _mesh_kind(data)
    if kind is None:
        return
    swept = [key.removeprefix("segment.") for key in data.get("sweep", {}) if key.startswith("segment.")]
    idle = [key for key in (*data["segment"], *swept) if key in _idle_keys(kind)]
    if idle:
        sized = f"cells are sized by segment.{_SIZED_BY[kind]}" if kind in _SIZED_BY else "the mesh has its cells"
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
