"""From a failed check of the study's tables to one message in the user's words: what, where, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from fesolver.errors import InputError
from fesolver.study.schema import (
    CtInput,
    MeshInput,
    MeshRecipe,
    ParametricInput,
    StudyConfig,
    SurfacesInput,
    SyntheticInput,
)

__all__ = ["as_input_error", "in_study_file"]

_GIVE = {
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "a number less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "finite_number": "a finite number",
    "float_type": "a number, without quotes",
    "float_parsing": "a number",
    "int_type": "a whole number, without quotes",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false, without quotes",
    "string_type": 'a text in quotes, like "L1"',
    "path_type": 'a path in quotes, like "ct.nii.gz"',
    "literal_error": "{expected}",
    "tuple_type": "a list in square brackets",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length}",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-', a letter or digit first",
}
"""What to give instead, by the type of the mistake; the rest keep the checker's own words."""


def as_input_error(
    error: ValidationError, source: str, model: type[StudyConfig] | type[MeshRecipe] = StudyConfig
) -> InputError:
    """The first mistake of a pydantic report as one message; the rest are counted.

    Parameters
    ----------
    error : ValidationError
        What the tables of the study refuse.
    source : str
        The study file, for `where`.
    model : StudyConfig or MeshRecipe
        What the file holds.
    """
    first = error.errors()[0]
    loc, kind = first["loc"], first["type"]
    keys = [str(step) for i, step in enumerate(loc) if not (i == 1 and loc[0] == "input")]
    key = ".".join(keys)
    more = error.error_count() - 1
    what, fix = _words(kind, key, first)
    if kind == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        close = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        fix = f"did you mean {close[0]!r}? (units are part of the name)" if close else f"known keys: {', '.join(known)}"
    cause = first.get("ctx", {}).get("error")
    if not key and isinstance(cause, InputError):
        key = cause.where or ""
    return InputError(
        what + (f" (and {more} more mistake{'s' if more > 1 else ''})" if more else ""),
        where=f"{source}: {key}" if key else source,
        fix=fix,
    )


@contextmanager
def in_study_file(path: Path) -> Iterator[None]:
    """Name the study file in refusals that name a key of it and no file.

    Parameters
    ----------
    path : Path
        The study file, as the user gave it.

    Raises
    ------
    InputError
        As the block raises it; `[load]` and `load.force_n` become `PATH: [load]` and `PATH: load.force_n`.
    """
    try:
        yield
    except InputError as error:
        where = error.where or ""
        found = re.match(r"\[?([a-z]+)(?=[.\[\]]|$)", where)
        if found is None or found[1] not in StudyConfig.model_fields or where.startswith(str(path)):
            raise
        raise type(error)(error.what, where=f"{path}: {where}", fix=error.fix) from error


def _words(kind: str, key: str, first: Any) -> tuple[str, str]:
    """What is wrong and what to do, of one mistake."""
    context = first.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key {key!r}", ""
    if kind == "missing":
        return f"key {key!r} is missing", "add it"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        given = repr(context["tag"]) if "tag" in context else "missing"
        return f"{key}.kind is {given}", f"use {key}.kind = 'ct', 'synthetic', 'parametric', 'surfaces' or 'mesh'"
    if kind in _GIVE:
        return f"{key} cannot be {_shown(first['input'])}", f"give {_GIVE[kind].format(**context)}"
    cause = context.get("error")
    what = cause.what if isinstance(cause, InputError) else first["msg"].removeprefix("Value error, ")
    is_table = isinstance(first.get("input"), dict)
    if key and not is_table:
        what = f"{key} = {_shown(first['input'])}: {what}"
    if isinstance(cause, InputError) and cause.fix:
        return what, cause.fix
    return what, f"correct [{key}]" if key and is_table else f"correct {key or 'the study'}"


def _shown(value: Any) -> str:
    """A value as it stands in a TOML file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        value = list(value)
    return "a table" if isinstance(value, dict) else repr(value)


_INPUTS = {
    "ct": CtInput,
    "synthetic": SyntheticInput,
    "parametric": ParametricInput,
    "surfaces": SurfacesInput,
    "mesh": MeshInput,
}


def _known_keys(root: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Keys of the table at a location of the model."""
    model: Any = root
    for step in loc:
        if model is StudyConfig and step == "input":
            model = None
        elif model is None:
            model = _INPUTS.get(step, CtInput)
        elif step in model.model_fields:  # the others are names or numbers in a table or list of tables
            model = _table_in(model.model_fields[step].annotation) or root
    fields = (model or root).model_fields
    return [field.alias or name for name, field in fields.items()]


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a key holds, or holds a list or table of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_in(part)) is not None), None)
