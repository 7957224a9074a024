"""Which inputs of two result sets differ, and which of these can move a case that both have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from fesolver.study.explain.result_set import ResultSet

__all__ = ["InputDifference", "input_differences"]

_NO_NUMBERS = frozenset({"schema", "name", "description", "output", "design", "cluster"})
"""Tables that decide which cases there are and what is kept, not what a case gives."""

_RANGE = frozenset(
    {"values", "low", "high", "n", "spacing", "distribution", "mean", "sd", "mode", "alpha", "beta", "base", "label",
     "source"}
)  # fmt: skip
"""Keys of a factor that decide at which values it is tried."""

_Path = tuple[str, ...]


@dataclass(frozen=True)
class InputDifference:
    """One input that is not the same in both result sets.

    Parameters
    ----------
    kind : {"config", "input file", "version", "commit"}
    key : str
        Dotted key of the study, name of a file or package.
    a, b : str
        As JSON; empty where a set has none. Of files, the beginning of the SHA-256.
    is_cause : bool
        Whether it can move the numbers of a case whose factors have the same values in both.
    """

    kind: Literal["config", "input file", "version", "commit"]
    key: str
    a: str
    b: str
    is_cause: bool


def input_differences(a: ResultSet, b: ResultSet) -> tuple[InputDifference, ...]:
    """Every input that differs: keys of the study, contents of files, versions, commit.

    Notes
    -----
    A key that both sets leave to a factor moves no case with the same values of the factors, and neither do the ranges
    of factors. A file is its content: a path that differs is none.
    """
    found = list(_config_differences(a, b))
    found += _unnamed_files(a, b)
    for name in dict.fromkeys([*a.versions, *b.versions]):
        one, other = a.versions.get(name, ""), b.versions.get(name, "")
        if one != other:
            found.append(InputDifference("version", name, one, other, False))
    if a.commit != b.commit:
        found.append(InputDifference("commit", "git_commit", _commit(a.commit), _commit(b.commit), False))
    return tuple(found)


def _config_differences(a: ResultSet, b: ResultSet) -> Iterator[InputDifference]:
    """Keys of the study; a table that only one has is one key."""
    varied = _varied(a.config) & _varied(b.config)
    for path, one, other in _walk(_plain(a.config, a.inputs), _plain(b.config, b.inputs), ()):
        key = ".".join(path)
        is_file = any(isinstance(value, _File) for value in (one, other))
        yield InputDifference(
            "input file" if is_file else "config", key, _shown(one), _shown(other),
            key not in varied and _moves_cases(path, is_in_both=one is not None and other is not None),
        )  # fmt: skip


@dataclass(frozen=True)
class _File:
    """An input file by its content."""

    sha256: str


def _plain(node: Any, inputs: Mapping[str, str]) -> Any:
    """Tables without empty entries, whose defaults came and went with versions; paths as contents."""
    if isinstance(node, Mapping):
        kept = {str(key): _plain(value, inputs) for key, value in node.items()}
        return {key: value for key, value in kept.items() if value is not None} or None
    if isinstance(node, list | tuple):
        return [_plain(value, inputs) for value in node]
    if isinstance(node, str) and node in inputs:
        return _File(inputs[node])
    return node


def _walk(a: Any, b: Any, path: _Path) -> Iterator[tuple[_Path, Any, Any]]:
    """Places where two trees of tables differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys([*a, *b]):
            yield from _walk(a.get(key), b.get(key), (*path, key))
    elif a != b:
        yield path, a, b


def _moves_cases(path: _Path, *, is_in_both: bool) -> bool:
    """Whether a key of the study moves the numbers of a case at the same values of its factors."""
    if path[:1] == ("sweep",):
        return not is_in_both
    if path[:1] == ("factors",) and len(path) > 2:
        return path[2] not in _RANGE
    return not path or path[0] not in _NO_NUMBERS


def _varied(config: Mapping[str, Any]) -> set[str]:
    """Dotted keys that factors set."""
    keys = set(config.get("sweep") or {})
    for table in (config.get("factors") or {}).values():
        given = table.get("key") or ()
        keys |= {given} if isinstance(given, str) else set(given)
        for level in table.get("levels") or ():
            keys |= set(level.get("set") or {})
    return keys


def _unnamed_files(a: ResultSet, b: ResultSet) -> Iterator[InputDifference]:
    """Input files that no key of the study names, by their names."""
    one, other = _files(a), _files(b)
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            yield InputDifference("input file", name, _shown(one.get(name)), _shown(other.get(name)), True)


def _files(given: ResultSet) -> dict[str, _File]:
    """Contents of the files that no key names."""
    named = set(_texts(given.config))
    return {PurePath(path).name: _File(digest) for path, digest in given.inputs.items() if path not in named}


def _texts(node: Any) -> Iterator[str]:
    """Every text in tables of tables."""
    if isinstance(node, str):
        yield node
    values = node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ()
    for value in values:
        yield from _texts(value)


def _commit(full: str) -> str:
    """The beginning of a commit, with `+` where files differed from it."""
    return full[:12] + ("+" if full.endswith("+") and len(full) > 12 else "")


def _shown(value: Any) -> str:
    """A value as a reader sees it."""
    if value is None:
        return ""
    return json.dumps(value, default=lambda file: f"sha256 {file.sha256[:12]}").strip('"')
