"""Dotted keys of a study: which there are, what they hold, and the same study with some of them set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from fesolver.anatomy.dimensions import DIMENSION_UNITS, DiscDimensions, VertebraDimensions
from fesolver.anatomy.levels import LEVELS, disc_name, sort_levels
from fesolver.errors import InputError
from fesolver.study.messages import as_input_error
from fesolver.study.schema import FractureConfig, StudyConfig

__all__ = ["NOT_OF_THE_MODEL", "SIZED_BY", "idle_keys", "kind_of_mesh", "study_tables", "value_at", "with_value"]

NOT_OF_THE_MODEL = ("schema", "name", "description", "output", "sweep", "factors", "design", "cluster")
"""Tables and keys that say what is done with a model, and are no part of it."""

_PARTS = ("posterior_elements", "cortical_thickness_mm", "endplate_thickness_mm", "nucleus_area_fraction")
_OWN_KEYS: dict[str, tuple[str, ...]] = {
    "voxel": (*_PARTS, "spacing_mm", "shell"),
    "structured": (*_PARTS, "refinement", "element", "layer_cells"),
    "tetrahedral": (*_PARTS, "size_mm", "size_inside_mm", "element", "layers", "layer_cells"),
    "foreign": (),
}
"""Keys of `[segment]` that mean something on one kind of mesh and not on every other."""

SIZED_BY = {"voxel": "spacing_mm", "structured": "refinement", "tetrahedral": "size_mm"}
"""Kind of mesh -> key of `[segment]` that says how fine it is."""

_REPLACES = {"treatment.fill_fraction": "treatment.volume_ml", "treatment.volume_ml": "treatment.fill_fraction"}
"""Key -> the one it takes the place of: a base study always has one of the two."""

_BODY = {entry.name for entry in fields(VertebraDimensions)} & set(DIMENSION_UNITS)
_DISC = {entry.name for entry in fields(DiscDimensions)} & set(DIMENSION_UNITS)


def study_tables(config: StudyConfig) -> dict[str, Any]:
    """Every table of a study as plain JSON values, defaults included."""
    return config.model_dump(mode="json", by_alias=True)


def value_at(config: StudyConfig, key: str) -> Any:
    """What a study has at a dotted key, as a plain JSON value; None where it has nothing."""
    node: Any = study_tables(config)
    for step in key.split("."):
        node = node.get(step) if isinstance(node, dict) else None
    return node


def with_value(
    config: StudyConfig,
    values: Mapping[str, Any],
    *,
    source: str = "sweep",
    places: Mapping[str, str] | None = None,
) -> StudyConfig:
    """The same study with some keys set.

    Parameters
    ----------
    config : StudyConfig
        The study; it stays as it is.
    values : mapping of str to value
        Dotted key to what it becomes.
    source : str, optional
        The study file, for messages; may be empty.
    places : mapping of str to str, optional
        Dotted key to what names it in the study, such as `factors.cement.key`. Any value may then be set. Without it
        the keys are those of `[sweep]`, which are numbers.

    Raises
    ------
    InputError
        If a key does not exist, its table is not in the study, or it cannot hold the value.

    Notes
    -----
    Of `treatment.volume_ml` and `treatment.fill_fraction`, the one that is set replaces the other.
    """
    data = study_tables(config)
    for key in sorted(values, key=lambda key: key != "segment.levels"):  # the others may name what the levels bring
        _set(data, key, values[key], _place(key, source, places), is_sweep=places is None)
    for key in values:
        other = _REPLACES.get(key)
        if other is not None and other not in values:
            data["treatment"][other.removeprefix("treatment.")] = None
    try:
        made = StudyConfig.model_validate(data)
    except ValidationError as error:
        shown = ", ".join(f"{key} = {_shown(value)}" for key, value in values.items())
        where = list(dict.fromkeys(_place(key, source, places) for key in values))
        refused = as_input_error(error, f"{', '.join(where)}: {shown}" if places else f"{where[0]} {shown}")
        place = (refused.where or "").removesuffix(f": {next(iter(values))}" if len(values) == 1 else "")
        raise InputError(refused.what, where=place, fix=refused.fix) from None
    if places is not None:
        _refuse_idle(made, values, source, places)
    return made


def idle_keys(kind: str) -> set[str]:
    """Keys of `[segment]` that mean nothing on a kind of mesh."""
    return {key for keys in _OWN_KEYS.values() for key in keys} - set(_OWN_KEYS[kind])


def kind_of_mesh(data: Mapping[str, Any]) -> str | None:
    """What a study that has not been checked yet is meshed with; None where its tables do not say."""
    given, segment = data.get("input"), data.get("segment")
    if not isinstance(given, dict) or not isinstance(segment, dict):
        return None
    defaults = {"ct": "voxels", "synthetic": "voxels", "parametric": "hexahedra", "surfaces": "tetrahedra"}
    cells = segment.get("cells") or defaults.get(str(given.get("kind")))
    if given.get("kind") == "mesh":
        return "foreign"
    return {"voxels": "voxel", "hexahedra": "structured", "tetrahedra": "tetrahedral"}.get(str(cells))


def _place(key: str, source: str, places: Mapping[str, str] | None) -> str:
    """Where a key is named: file, and `[sweep]` or the factor."""
    place = "[sweep]" if places is None else places.get(key, "[factors]")
    return f"{source}: {place}" if source else place


def _set(data: dict[str, Any], key: str, value: Any, where: str, *, is_sweep: bool) -> None:
    """Set one key in the tables of a study."""
    *tables, leaf = key.split(".")
    word = "sweep key " if is_sweep else ""
    if is_sweep or key.partition(".")[0] not in NOT_OF_THE_MODEL:
        _open(data, tables, leaf, is_sweep=is_sweep)
    else:
        raise InputError(
            f"{key!r} is no part of the model", where=where, fix="set what a case depends on, such as load.force_n"
        )
    node: Any = data
    for depth, table in enumerate(tables, 1):
        if isinstance(node, dict) and table in node and node[table] is None and depth == len(tables):
            name = ".".join(tables)
            raise InputError(
                f"{word}{key!r}: the study has no [{name}]", where=where, fix=f"add [{name}] with what it needs"
            )
        node = node.get(table) if isinstance(node, dict) else None
    if not isinstance(node, dict) or leaf not in node:
        raise InputError(
            f"{word}{key!r} is not a key of this study", where=where, fix=_hint(data, key, is_sweep=is_sweep)
        )
    if is_sweep and isinstance(node[leaf], bool | str | list | dict):
        raise InputError(f"sweep key {key!r} is not a number", where=where, fix="sweep numeric keys only")
    node[leaf] = value


def _open(data: dict[str, Any], tables: list[str], leaf: str, *, is_sweep: bool) -> None:
    """Make room for a key that a study may leave out of one of its tables of names."""
    match tables:
        case ["input", ("dimensions" | "discs") as table, owner] if data["input"]["kind"] == "parametric":
            names = _discs(data) if table == "discs" else data["segment"]["levels"]
            if owner in names and leaf in (_DISC if table == "discs" else _BODY):
                data["input"][table].setdefault(owner, {}).setdefault(leaf, None)
        case ["disc", "degeneration"] if leaf in _discs(data) and not is_sweep:
            data["disc"]["degeneration"].setdefault(leaf, None)
        case ["input", "fractures", level] if data["input"]["kind"] == "parametric" and not is_sweep:
            if level in data["segment"]["levels"] and leaf in FractureConfig.model_fields:
                data["input"]["fractures"].setdefault(level, {}).setdefault(leaf, None)


def _discs(data: dict[str, Any]) -> list[str]:
    """Names of the discs of a segment."""
    levels = data["segment"]["levels"]
    if not isinstance(levels, list | tuple) or not all(level in LEVELS for level in levels):
        return []
    return [disc_name(*pair) for pair in pairwise(sort_levels(levels))]


def _hint(data: dict[str, Any], key: str, *, is_sweep: bool) -> str:
    """The key that was probably meant, or all there are."""
    known, dimensions = _settable_keys(data, numbers_only=is_sweep), _dimension_keys(data)
    close = difflib.get_close_matches(key, [*known, *dimensions], n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    more = ", and dimensions such as " + dimensions[0] if dimensions else ""
    return f"{'numeric ' if is_sweep else ''}keys: {', '.join(known)}{more}"


def _dimension_keys(data: dict[str, Any]) -> list[str]:
    """Dotted names of every dimension of a parametric segment, given in the study or not."""
    if data["input"]["kind"] != "parametric":
        return []
    names = [f"dimensions.{level}.{name}" for level in data["segment"]["levels"] for name in sorted(_BODY)]
    names += [f"discs.{disc}.{name}" for disc in _discs(data) for name in sorted(_DISC)]
    return [f"input.{name}" for name in names]


def _settable_keys(data: dict[str, Any], *, numbers_only: bool) -> list[str]:
    """Dotted names of the keys that mean something on the study's kind of mesh."""
    idle = {f"segment.{name}" for name in idle_keys(kind_of_mesh(data) or "voxel")}
    return [key for key in _keys(data, numbers_only) if key not in idle]


def _keys(data: dict[str, Any], numbers_only: bool, prefix: str = "") -> list[str]:
    """Dotted names of the keys of tables in tables."""
    out: list[str] = []
    for key, value in data.items():
        if not prefix and (key in ("sweep", "schema") if numbers_only else key in NOT_OF_THE_MODEL):
            continue
        if isinstance(value, dict) and value:
            out += _keys(value, numbers_only, f"{prefix}{key}.")
        elif (not numbers_only and prefix) or (isinstance(value, int | float) and not isinstance(value, bool)):
            out.append(prefix + key)
    return out


def _refuse_idle(config: StudyConfig, keys: Mapping[str, Any], source: str, places: Mapping[str, str]) -> None:
    """Refuse keys of `[segment]` that the kind of mesh has no use for."""
    kind = config.mesh_kind
    idle = [f"segment.{key}" for key in idle_keys(kind)]
    for key in keys:
        if key in idle and keys[key] is not None:
            sized = f"cells are sized by segment.{SIZED_BY[kind]}" if kind in SIZED_BY else "the mesh has its cells"
            raise InputError(
                f"{key.removeprefix('segment.')} means nothing on a {kind} mesh", where=_place(key, source, places),
                fix=f"leave it out; {sized}",
            )  # fmt: skip


def _shown(value: Any) -> str:
    """A value as a message shows it."""
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
