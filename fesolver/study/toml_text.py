"""Tables as TOML text that reads back as the same tables."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fesolver.errors import InputError

__all__ = ["toml_text"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(tables: Mapping[str, Any]) -> str:
    """TOML text of tables of plain values.

    Parameters
    ----------
    tables : mapping
        Top level: plain values, then tables. A table among them becomes `[name]`, one in it an inline table; tables of
        tables only, such as `[factors]`, become `[name.other]`.

    Returns
    -------
    str
        Keys keep their order, numbers every bit.

    Raises
    ------
    InputError
        If a value is None or of a type that TOML does not have.

    Examples
    --------
    >>> print(toml_text({"schema": 1, "load": {"force_n": 500.0, "top": "tilt"}}), end="")
    schema = 1
    <BLANKLINE>
    [load]
    force_n = 500.0
    top = "tilt"
    """
    lines = [f"{_key(key)} = {_value(value, key)}" for key, value in tables.items() if not isinstance(value, Mapping)]
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            continue
        if table and all(isinstance(value, Mapping) for value in table.values()):
            for inner, given in table.items():
                lines += _table(f"{_key(name)}.{_key(inner)}", given, f"{name}.{inner}")
        else:
            lines += _table(_key(name), table, name)
    return "\n".join(lines) + "\n"


def _table(head: str, table: Mapping[str, Any], where: str) -> list[str]:
    """Lines of one table, its own tables inline."""
    return ["", f"[{head}]", *(f"{_key(key)} = {_value(value, f'{where}.{key}')}" for key, value in table.items())]


def _key(key: str) -> str:
    """A key, in quotes where it must be."""
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any, where: str) -> str:
    """A value on one line; long lists of tables on a line each."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        inner = (f"{_key(key)} = {_value(given, f'{where}.{key}')}" for key, given in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, Sequence):
        items = [_value(given, f"{where}[{place}]") for place, given in enumerate(value)]
        if items and all(isinstance(given, Mapping) for given in value):
            return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
        return "[" + ", ".join(items) + "]"
    what = "nothing (None)" if value is None else f"of type {type(value).__name__}"
    raise InputError(f"TOML has no value for {where}, which is {what}", where=where, fix="leave it out")


def _text(value: str) -> str:
    """A text in quotes; JSON's escapes are TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
