"""The files a study reads, by content: where they lie is no part of a result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from fesolver.errors import InputError
from fesolver.study.input_files import file_hash
from fesolver.study.schema import StudyConfig

__all__ = ["combined_hash", "companion_files", "input_hashes", "input_paths"]

_DATA_FILE = {".mhd": re.compile(rb"^ElementDataFile\s*=\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE),
              ".nhdr": re.compile(rb"^data ?file:\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)}  # fmt: skip
"""Headers whose data lie in another file, and where they name it."""

_BESIDE = {".hdr": (".img",), ".img": (".hdr",), ".xdmf": (".h5",), ".ele": (".node",), ".node": (".ele",)}
"""Formats of two files with one stem."""

_MESHES = (".vtu", ".vtk", ".msh", ".inp", ".xdmf", ".ele", ".node", ".mesh", ".bdf", ".med")
"""Formats beside which our own legend, a JSON of the same stem, may lie."""


def input_paths(config: StudyConfig) -> tuple[Path, ...]:
    """Every path in the input of a study, each once, in the order of its keys."""
    return tuple(dict.fromkeys(_paths(config.input.model_dump())))


def input_hashes(config: StudyConfig, known: MutableMapping[str, str] | None = None) -> dict[str, str]:
    """SHA-256 of every file or folder that a study reads, with the files that belong to it, by path.

    Parameters
    ----------
    config : StudyConfig
    known : mutable mapping of str to str, optional
        Hashes of other cases of the same study; those of this one are added.

    Returns
    -------
    dict of str to str
        Empty text for what is not there.
    """
    known = {} if known is None else known
    found = {}
    for path in input_paths(config):
        if str(path) not in known:
            known[str(path)] = combined_hash(path) if path.exists() else ""
        found[str(path)] = known[str(path)]
    return found


def companion_files(path: Path) -> tuple[Path, ...]:
    """Files beside an input that are read with it: the data of a header, the legend of a mesh.

    Raises
    ------
    InputError
        If a header names data that lie in another folder or in many files.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        return ()
    beside = [path.with_suffix(other) for other in _BESIDE.get(suffix, ())]
    if suffix in _MESHES:
        beside.append(path.with_suffix(".json"))
    if suffix in _DATA_FILE:
        named = _DATA_FILE[suffix].search(path.read_bytes())
        name = named.group(1).decode("utf-8", "replace") if named else "LOCAL"
        if name.upper() != "LOCAL":
            parts = (PurePosixPath(name), PureWindowsPath(name))
            if (
                name.upper().startswith("LIST")
                or "%" in name
                or any(len(p.parts) != 1 or ".." in p.parts for p in parts)
            ):
                raise InputError(
                    f"{path.name} keeps its data in {name!r}", where=str(path),
                    fix="store the volume as one file, such as .nii.gz, .mha or .nrrd",
                )  # fmt: skip
            beside.append(path.with_name(name))
    return tuple(other for other in beside if other.is_file())


def combined_hash(path: Path) -> str:
    """SHA-256 of a file or folder; where companions are read with it, of all their hashes."""
    digests = [file_hash(file) for file in (path, *companion_files(path))]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _paths(node: Any) -> list[Path]:
    """Every path in tables of tables."""
    if isinstance(node, Path):
        return [node]
    values = node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ()
    return [path for value in values for path in _paths(value)]
